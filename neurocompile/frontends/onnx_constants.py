"""Computes at once what an ONNX file computes from constants alone, and follows the size of an open batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from neurocompile.errors import ModelError
from neurocompile.ir import Array

MOST_VALUES = 1 << 28
"""Of one constant, and of what one image is at one place of the network."""

MOST_MOVED = MOST_VALUES >> 4
"""Of an image, where values are moved: their numbers take eight times the memory of bytes, for several images."""

_MOST_VALUES_IN_ALL = 1 << 29
"""Of all constants that are computed: a file may declare any size in a few bytes."""

_SHAPE_LENGTH = 64
"""Constants up to this length are shown to shape inference: shapes, axes, repeats."""

FOLDED = frozenset(
    [
        "Abs",
        "Add",
        "And",
        "BatchNormalization",
        "Cast",
        "CastLike",
        "Ceil",
        "Clip",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "CumSum",
        "DepthToSpace",
        "DequantizeLinear",
        "Div",
        "Equal",
        "Exp",
        "Expand",
        "EyeLike",
        "Flatten",
        "Floor",
        "Gather",
        "GatherElements",
        "GatherND",
        "Gemm",
        "Greater",
        "GreaterOrEqual",
        "Identity",
        "Less",
        "LessOrEqual",
        "Log",
        "MatMul",
        "Max",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "Pad",
        "Pow",
        "Range",
        "Reciprocal",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "Reshape",
        "Round",
        "ScatterElements",
        "ScatterND",
        "Shape",
        "Sign",
        "Size",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Sum",
        "Tile",
        "Transpose",
        "Trilu",
        "Unsqueeze",
        "Where",
        "Xor",
    ]
)
"""The operators that are computed at once where all of their inputs are constants."""


@dataclass(frozen=True)
class Constant:
    """A value that does not depend on the images.

    Parameters
    ----------
    values
        One array; or, where it depends on how many images there are, one for each size of the batch that is
        assumed.
    """

    values: tuple[Array, ...]

    @classmethod
    def of(cls, values: Sequence[Array]) -> Constant:
        """Keep one array if all are equal."""
        first = values[0]
        same = all(v.dtype == first.dtype and np.array_equal(v, first) for v in values[1:])
        return cls((first,) if same else tuple(values))

    @property
    def depends_on_batch(self) -> bool:
        """Whether it differs with the number of images."""
        return len(self.values) > 1

    def at(self, i: int) -> Array:
        """Give the value for the ``i``-th assumed size of the batch."""
        return self.values[i if self.depends_on_batch else 0]


class Folder:
    """Computes nodes from constants, within a bound on memory.

    Parameters
    ----------
    opsets
        The versions of the operators that the model imports.
    """

    def __init__(self, opsets: Sequence[onnx.OperatorSetIdProto]) -> None:
        self._opsets = list(opsets)
        self._left = _MOST_VALUES_IN_ALL

    def fold(self, proto: onnx.NodeProto, inputs: Mapping[str, Constant]) -> list[Constant]:
        """Compute a node's outputs from its inputs by name; raise ``ModelError`` if that can't be done."""
        given = [inputs[name] for name in proto.input if name]
        count = max((len(constant.values) for constant in given), default=1)
        runs = [
            self.evaluate(proto, {name: inputs[name].at(i) for name in proto.input if name}) for i in range(count)
        ]
        found = [Constant.of(values) for values in zip(*runs, strict=True)]
        self._left -= sum(value.size for constant in found for value in constant.values)
        if self._left < 0:
            raise _too_large(proto, _MOST_VALUES_IN_ALL)
        return found

    def evaluate(self, proto: onnx.NodeProto, inputs: Mapping[str, Array]) -> list[Array]:
        """Run a node in onnx's reference implementation, once it is known how large the result gets."""
        try:
            model = self._model(proto, inputs)
            inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
            # Of a Slice of old opsets nothing is inferred, but it can't give more than it gets.
            sizes = [_size(output) for output in inferred.graph.output if proto.op_type != "Slice"]
        except Exception as error:  # shape inference raises whatever its checks do
            raise _not_computed(proto, error) from error
        if any(size > MOST_VALUES for size in sizes):
            raise _too_large(proto, MOST_VALUES)
        try:
            feeds = {info.name: inputs[info.name] for info in model.graph.input}
            results = ReferenceEvaluator(model).run(None, feeds)
            return [np.asarray(result) for result in results]
        except Exception as error:  # the evaluator raises whatever its operators do
            raise _not_computed(proto, error) from error

    def _model(self, proto: onnx.NodeProto, inputs: Mapping[str, Array]) -> onnx.ModelProto:
        shown = {name for name, value in inputs.items() if value.ndim <= 1 and value.size <= _SHAPE_LENGTH}
        graph = helper.make_graph(
            [proto],
            "constant",
            [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
                for name, value in inputs.items()
                if name not in shown
            ],
            [helper.make_empty_tensor_value_info(name) for name in proto.output if name],
            [numpy_helper.from_array(np.asarray(inputs[name]), name) for name in shown],
        )
        return helper.make_model(graph, opset_imports=self._opsets)


def _size(info: onnx.ValueInfoProto) -> int:
    dims = info.type.tensor_type.shape.dim
    if not info.type.tensor_type.HasField("shape") or any(not d.HasField("dim_value") for d in dims):
        raise ValueError("the size of its result can't be told beforehand")
    return math.prod(d.dim_value for d in dims)


def _not_computed(proto: onnx.NodeProto, error: Exception) -> ModelError:
    reason = str(error).strip().splitlines() or [type(error).__name__]
    problem = f"can't be computed from its constants: {reason[0]}"
    return ModelError(problem, proto.name, proto.op_type, "export the model again")


def _too_large(proto: onnx.NodeProto, most: int) -> ModelError:
    problem = f"makes a constant of more than {most:,} values"
    return ModelError(problem, proto.name, proto.op_type, "check the shapes in the model")
