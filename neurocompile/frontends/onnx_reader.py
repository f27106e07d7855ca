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

_INPUT_TYPES = ("float32", "float64", "uint8")

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
        model = onnx.load(path)
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


class _Importer:
    """Walks the ONNX nodes in order, and knows each value as a constant or as a node of the new graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model
        self._constants: dict[str, Array] = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
        }
        self._values: dict[str, _Value] = {}
        self._nodes: dict[str, Node] = {}
        self._unknown: set[str] = set()
        """Values that depend on a node which was refused: their readers are not to blame."""

    def graph(self) -> Graph:
        issues = []
        for value in self._model.graph.input:
            if value.name not in self._constants:
                issues += self._add_input(value)
        for i, proto in enumerate(self._model.graph.node):
            name = proto.name or f"{proto.op_type}_{i}"
            while name in self._nodes:
                name += "'"
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
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
        if dtype not in _INPUT_TYPES:
            problem = f"holds {dtype}; read are {', '.join(_INPUT_TYPES)}"
            return [Issue(problem, value.name, "input", "export the model with a float32 or uint8 input")]
        self._unknown.discard(value.name)
        self._emit(value.name, value.name, Input(tuple(d for d in dims[1:] if d), dtype), ())
        return []

    def _add(self, name: str, proto: onnx.NodeProto) -> None:
        if self._unknown.intersection(proto.input):
            if proto.op_type not in IMPORTERS and proto.op_type not in _FOLDED:
                raise _unsupported(name, proto)
            self._unknown.update(proto.output)
            return
        known = all(i in self._constants for i in proto.input if i)
        if known and proto.op_type in _FOLDED and not proto.domain:
            self._fold(name, proto)
            return
        if proto.op_type == "Shape" and not proto.attribute:
            # The batch axis as 0 is what Reshape takes for "leave it as it is".
            self._constants[proto.output[0]] = np.array([0, *self._values[proto.input[0]].type.shape], np.int64)
            return
        if proto.domain not in ("", "ai.onnx") or proto.op_type not in IMPORTERS:
            raise _unsupported(name, proto)
        node = OnnxNode(
            name=name,
            op=proto.op_type,
            tensors=tuple(self._values[i].type if i in self._values else None for i in proto.input),
            constants=tuple(self._constants.get(i) for i in proto.input),
            attributes={a.name: _attribute(a) for a in proto.attribute},
        )
        inputs = tuple(self._values[i].node for i in proto.input if i in self._values)
        steps = IMPORTERS[proto.op_type](node)
        for i, op in enumerate(steps):
            step = name if i == len(steps) - 1 else f"{name}.{type(op).__name__.lower()}"
            inputs = (self._emit(step, proto.output[0], op, inputs),)

    def _emit(self, name: str, output: str, op: Op, inputs: tuple[str, ...]) -> str:
        node = Node(name, op, inputs)
        by_name = {v.node: v.type for v in self._values.values()}
        try:
            inferred = op.infer(*(by_name[i] for i in inputs))
        except NeurocompileError as error:
            raise ModelError(error.issues[0].problem, name, type(op).__name__) from error
        self._nodes[name] = node
        self._values[output] = _Value(name, inferred)
        return name

    def _fold(self, name: str, proto: onnx.NodeProto) -> None:
        evaluator = ReferenceEvaluator(_single_node_model(proto, self._model))
        try:
            results = list(evaluator.run(None, {i: self._constants[i] for i in proto.input if i}))
        except Exception as error:  # the evaluator raises whatever its operators do
            raise ModelError(f"can't be computed from its constants: {error}", name, proto.op_type) from error
        self._constants.update(zip(proto.output, results, strict=True))


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


def _unsupported(name: str, proto: onnx.NodeProto) -> ModelError:
    op = f"{proto.domain}.{proto.op_type}" if proto.domain else proto.op_type
    supported = ", ".join(sorted(IMPORTERS))
    return ModelError("has no spiking form yet", name, op, f"export the model without it; supported: {supported}")
