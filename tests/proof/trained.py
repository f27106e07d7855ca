"""What a trained network would look like that holds a test case: some inputs are data, the others its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx
from cases import Case, DataSet, Value
from onnx import TensorProto, helper, numpy_helper

from neurocompile.ir import Array

_DATA = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.UINT8)
"""The types of what may be a network's data: reals, and images in bytes."""


@dataclass(frozen=True)
class Trained:
    """A model whose inputs are data alone.

    Parameters
    ----------
    model
        Its other inputs are constants.
    feeds
        The data, by input.
    expected
        What onnx lists for the outputs, by name; nothing where it lists none.
    """

    model: onnx.ModelProto
    feeds: Mapping[str, Array]
    expected: Mapping[str, Value]

    def with_open_batch(self) -> Trained:
        model = _copy(self.model)
        for info in model.graph.input:
            info.type.tensor_type.shape.dim[0].dim_param = "batch"
        return replace(self, model=model)

    def as_one_image(self) -> Trained:
        """Put an axis before the data, which makes an image of what would be a batch of single numbers."""
        model = _copy(self.model)
        for info in (*model.graph.input, *model.graph.output):
            sizes = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
            info.CopyFrom(helper.make_tensor_value_info(info.name, info.type.tensor_type.elem_type, [1, *sizes]))
        return Trained(model, {name: value[None] for name, value in self.feeds.items()}, {})


def every_way(case: Case) -> Iterator[Trained]:
    """Make each input alone the data, and then all of them together."""
    for data in case.data:
        names = [name for name, value in data.inputs.items() if value is not None and _is_data(case.model, name)]
        yield from (_trained(case.model, data, [name]) for name in names)
        if len(names) > 1:
            yield _trained(case.model, data, names)


def _is_data(model: onnx.ModelProto, name: str) -> bool:
    return any(info.name == name and info.type.tensor_type.elem_type in _DATA for info in model.graph.input)


def _trained(original: onnx.ModelProto, data: DataSet, fed: Sequence[str]) -> Trained:
    model = _copy(original)
    # Older files list their constants among their inputs, which makes them changeable.
    model.ir_version = max(original.ir_version, 4)
    del model.graph.input[:]
    for info in original.graph.input:
        value = data.inputs.get(info.name)
        if info.name in fed:
            model.graph.input.append(info)
        elif value is not None:
            model.graph.initializer.append(_tensor(info.name, value, info.type.tensor_type.elem_type))
    feeds = {name: value for name, value in data.inputs.items() if name in fed and value is not None}
    return Trained(model, feeds, dict(zip((o.name for o in model.graph.output), data.outputs, strict=True)))


def _tensor(name: str, value: Array, dtype: int) -> TensorProto:
    if dtype == TensorProto.STRING:
        texts = [str(text).encode() for text in value.flat]
        return TensorProto(name=name, data_type=dtype, dims=value.shape, string_data=texts)
    return numpy_helper.from_array(value, name)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy
