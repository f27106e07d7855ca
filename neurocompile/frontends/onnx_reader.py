"""Reads an ONNX file into a graph of layers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from neurocompile.errors import Issue, ModelError, NeurocompileError
from neurocompile.frontends.onnx_ops import IMPORTERS, OnnxNode
from neurocompile.ir import Array, Graph, Node, Op, TensorType
from neurocompile.ir.layers import Input

_OLDEST_OPSET = 11

_INPUT_TYPES: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.UINT8: "uint8",
}

_FOLDED = frozenset(
    [
        "Add",
        "Cast",
        "Concat",
        "Constant",
        "Div",
        "Gather",
        "Identity",
        "Mul",
        "Reshape",
        "Shape",
        "Slice",
        "Squeeze",
        "Sub",
        "Transpose",
        "Unsqueeze",
    ]
)
"""The operators that are computed at once where all of their inputs are constants."""

_MOVING = frozenset(
    ["Cast", "Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"]
)
"""Those of them that leave the numbers as they are."""

_ON_INTEGERS = frozenset(["Cast", "Flatten", "Identity", "MaxPool", "Reshape", "Squeeze"])
"""The operators that do the same to whole numbers as to reals."""


def read(path: str | os.PathLike[str]) -> Graph:
    """Read an ONNX file.

    Parameters
    ----------
    path
        The file. Opset 11 or newer, one input, of any batch size.

    Returns
    -------
    Graph
        Of layers, with the file's own node names.

    Raises
    ------
    ModelError
        If the file can't be read, or with every node that can't be converted.
    """
    model = _load(Path(path))
    return _Importer(model).graph()


def _load(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path, format="protobuf")
        onnx.checker.check_model(model)
    except OSError as error:
        raise ModelError(f"can't read {path}: {error.strerror or error}", remedy="check the path") from error
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{path} is no valid ONNX file ({reason})",
            remedy="export the model again; the file may be incomplete",
        ) from error
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    if opset < _OLDEST_OPSET:
        raise ModelError(
            f"{path} has opset {opset}; the oldest that is read is {_OLDEST_OPSET}",
            remedy=f"convert it with onnx.version_converter.convert_version(model, {_OLDEST_OPSET})",
        )
    return model


@dataclass(frozen=True)
class _Value:
    node: str
    type: TensorType
    real: bool


class _Importer:
    """Walks the ONNX nodes in order, and knows each value as a constant or as a node of the new graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._constants: dict[str, Array] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
        }
        self._values: dict[str, _Value] = {}
        self._nodes: dict[str, Node] = {}
        self._types: dict[str, TensorType] = {}
        self._batch: int | None = None
        """The size of the batch; None where the file leaves it open."""
        self._sizes: set[str] = set()
        """Constants with a 0 that stands for the open batch, which Reshape takes for "leave it as it is"."""
        self._unknown: set[str] = set()
        """Values that depend on a node which was refused: their readers are not to blame."""

    def graph(self) -> Graph:
        issues = []
        for value in self._model.graph.input:
            if value.name not in self._constants:
                issues += self._add_input(value)
        for i, proto in enumerate(self._model.graph.node):
            name = self._unused(proto.name or f"{proto.op_type}_{i}")
            try:
                self._add(name, proto)
            except NeurocompileError as error:
                issues += error.issues
                self._unknown.update(proto.output)
        if issues:
            raise ModelError.of(issues)
        inputs = [node.name for node in self._nodes.values() if isinstance(node.op, Input)]
        if len(inputs) != 1:
            raise ModelError(f"the model has the inputs {inputs}", remedy="export a model with one input")
        return Graph.of(self._nodes.values(), [self._output(value.name) for value in self._model.graph.output])

    def _output(self, name: str) -> str:
        if name not in self._values:
            raise ModelError(f"the output '{name}' does not depend on the input", remedy="export the model again")
        return self._values[name].node

    def _add_input(self, value: onnx.ValueInfoProto) -> list[Issue]:
        tensor = value.type.tensor_type
        self._unknown.add(value.name)
        dims = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
        if len(dims) < 2 or any(not d or d < 0 for d in dims[1:]):
            problem = f"has the shape {[d or '?' for d in dims]}: only the first axis, the batch, may be open"
            return [Issue(problem, value.name, "input", "export the model with a fixed size of image")]
        dtype = _INPUT_TYPES.get(tensor.elem_type)
        if dtype is None:
            known = onnx.TensorProto.DataType.values()
            given = onnx.TensorProto.DataType.Name(tensor.elem_type) if tensor.elem_type in known else "no type"
            problem = f"holds {given.lower()}; read are {', '.join(_INPUT_TYPES.values())}"
            return [Issue(problem, value.name, "input", "export the model with a float32 or uint8 input")]
        self._unknown.discard(value.name)
        self._batch = dims[0] or None
        entry = Input(tuple(d for d in dims[1:] if d), dtype)
        self._emit(value.name, value.name, entry, (), real=dtype != "uint8")
        return []

    def _add(self, name: str, proto: onnx.NodeProto) -> None:
        supported = proto.domain in ("", "ai.onnx") and proto.op_type in IMPORTERS
        foldable = proto.domain in ("", "ai.onnx") and proto.op_type in _FOLDED
        if self._unknown.intersection(proto.input):
            if not supported and not foldable:
                raise _unsupported(name, proto)
            self._unknown.update(proto.output)
            return
        read = [i for i in proto.input if i]
        if foldable and all(i in self._constants for i in read):
            self._fold(name, proto)
            return
        computed = [self._values[i] for i in read if i in self._values]
        if proto.op_type == "Shape" and computed:
            self._measure(proto, computed[0].type.shape)
            return
        if not supported:
            raise _unsupported(name, proto)
        if not computed or any(i not in self._constants and i not in self._values for i in read):
            raise ModelError(
                f"reads {read}: the images do not reach it, or by an output that is not converted",
                name,
                proto.op_type,
                "export the model after model.eval(), without this node",
            )
        if not all(value.real for value in computed) and proto.op_type not in _ON_INTEGERS:
            remedy = "cast the images to float32 before anything is computed with them"
            raise ModelError("computes in integers", name, proto.op_type, remedy)
        if self._sizes.intersection(read) and proto.op_type != "Reshape":
            raise _depends_on_batch(name, proto)
        node = OnnxNode(
            name=name,
            op=proto.op_type,
            tensors=tuple(self._values[i].type if i in self._values else None for i in proto.input),
            constants=tuple(self._constants.get(i) for i in proto.input),
            attributes={a.name: _attribute(a) for a in proto.attribute},
            batch=self._batch,
        )
        inputs = tuple(value.node for value in computed)
        real = proto.op_type == "Cast" or computed[0].real
        steps = IMPORTERS[proto.op_type](node)
        for i, op in enumerate(steps):
            step = name if i == len(steps) - 1 else self._unused(f"{name}.{type(op).__name__.lower()}")
            inputs = (self._emit(step, proto.output[0], op, inputs, real),)

    def _unused(self, name: str) -> str:
        while name in self._nodes:
            name += "'"
        return name

    def _emit(self, name: str, output: str, op: Op, inputs: tuple[str, ...], real: bool) -> str:
        try:
            inferred = op.infer(*(self._types[i] for i in inputs))
        except NeurocompileError as error:
            remedy = "change the layer to a form that is converted, and export the model again"
            raise ModelError(error.issues[0].problem, name, type(op).__name__, remedy) from error
        self._nodes[name] = Node(name, op, inputs)
        self._types[name] = inferred
        self._values[output] = _Value(name, inferred, real)
        return name

    def _measure(self, proto: onnx.NodeProto, shape: tuple[int, ...]) -> None:
        (output,) = proto.output
        attributes = {a.name: _attribute(a) for a in proto.attribute}
        sizes = [self._batch or 0, *shape][attributes.get("start", 0) : attributes.get("end")]
        self._constants[output] = np.array(sizes, np.int64)
        if 0 in sizes:
            self._sizes.add(output)

    def _fold(self, name: str, proto: onnx.NodeProto) -> None:
        sizes = self._sizes.intersection(proto.input)
        moved = proto.input if proto.op_type == "Concat" else proto.input[:1]
        if sizes and (proto.op_type not in _MOVING or not sizes.issubset(moved)):
            raise _depends_on_batch(name, proto)
        evaluator = ReferenceEvaluator(_single_node_model(proto, self._model))
        try:
            results = list(evaluator.run(None, {i: self._constants[i] for i in proto.input if i}))
        except Exception as error:  # the evaluator raises whatever its operators do
            problem = f"can't be computed from its constants: {error}"
            raise ModelError(problem, name, proto.op_type, "export the model again") from error
        self._constants.update(zip(proto.output, results, strict=True))
        if sizes and not np.all(results[0]):
            self._sizes.add(proto.output[0])


def _single_node_model(proto: onnx.NodeProto, model: onnx.ModelProto) -> onnx.ModelProto:
    untyped = onnx.TypeProto()
    graph = helper.make_graph(
        [proto],
        "constant",
        [helper.make_value_info(i, untyped) for i in dict.fromkeys(proto.input) if i],
        [helper.make_value_info(o, untyped) for o in proto.output],
    )
    return helper.make_model(graph, opset_imports=model.opset_import)


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    return value.decode() if isinstance(value, bytes) else value


def _depends_on_batch(name: str, proto: onnx.NodeProto) -> ModelError:
    remedy = "export the model with a fixed batch, or without this computation"
    return ModelError("computes with the number of images in the batch", name, proto.op_type, remedy)


def _unsupported(name: str, proto: onnx.NodeProto) -> ModelError:
    op = f"{proto.domain}.{proto.op_type}" if proto.domain else proto.op_type
    if proto.op_type in ("Softmax", "LogSoftmax", "ArgMax"):
        remedy = "export the class scores that go into it: the decision is the same"
    else:
        remedy = f"export the model without it; supported: {', '.join(sorted(IMPORTERS))}"
    return ModelError("has no spiking form yet", name, op, remedy)
