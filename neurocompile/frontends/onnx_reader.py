"""Reads an ONNX file into a graph of layers."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx
from onnx import helper

from neurocompile.errors import Issue, ModelError, NeurocompileError
from neurocompile.frontends.onnx_constants import FOLDED, MOST_VALUES, Constant, Folder
from neurocompile.frontends.onnx_file import OnnxFile
from neurocompile.frontends.onnx_node import OnnxNode, Value, attribute
from neurocompile.frontends.onnx_ops import OPERATORS, REFUSALS
from neurocompile.ir import Graph, Node
from neurocompile.ir.layers import Input

_INPUT_TYPES: dict[int, str] = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.UINT8: "uint8",
}

_REAL_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)

_ASSUMED_BATCHES = (2, 3)
"""Where the batch is open: what differs between the two depends on it."""

_ON_INTEGERS = frozenset(
    [
        "CenterCropPad",
        "Concat",
        "DepthToSpace",
        "Dropout",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "MaxPool",
        "Reshape",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    ]
)
"""The operators that do the same to whole numbers as to reals."""

_CASTS = ("Cast", "CastLike")
"""Make reals of whole numbers."""

_STANDARD = ("", "ai.onnx")


@dataclass(frozen=True)
class Imported:
    """What was read from an ONNX file.

    Parameters
    ----------
    graph
        Of layers, with the file's own node names.
    outputs
        The names that the graph's outputs have in the file.
    """

    graph: Graph
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Inspected:
    """All that can be said of an ONNX file.

    Parameters
    ----------
    graph
        Of layers; where a node can't be converted, an ``Input`` of its shape stands in for it, so that what comes
        behind is known too. None if there are no layers.
    outputs
        The names of the file's outputs that are converted.
    issues
        Every node that can't be converted, and everything else that keeps the file from being read.
    """

    graph: Graph | None
    outputs: tuple[str, ...]
    issues: tuple[Issue, ...]


def read(source: str | os.PathLike[str] | OnnxFile) -> Imported:
    """Read an ONNX file.

    Parameters
    ----------
    source
        The file's path, or what is loaded of it. Opset 7 or newer, of any batch size.

    Raises
    ------
    ModelError
        If the file can't be read, or with every node that can't be converted.
    """
    found = inspect(source)
    if found.issues or found.graph is None:
        raise ModelError.of(found.issues)
    return Imported(found.graph, found.outputs)


def inspect(source: str | os.PathLike[str] | OnnxFile) -> Inspected:
    """Read as much of an ONNX file as can be, and collect what can't.

    Raises
    ------
    ModelError
        If the file can't be read at all.
    """
    return _Reader(source if isinstance(source, OnnxFile) else OnnxFile.read(source)).inspect()


class _Reader:
    """Walks the ONNX nodes in order, and knows each value as a constant or as a layer's."""

    def __init__(self, file: OnnxFile) -> None:
        self._model = file.model
        self._known: dict[str, Constant | Value] = {
            name: Constant((value,)) for name, value in file.weights.items()
        }
        self._nodes: dict[str, Node] = {}
        self._batches: tuple[int, ...] = _ASSUMED_BATCHES
        self._opsets = {o.domain: o.version for o in self._model.opset_import}
        self._folder = Folder(self._model.opset_import)
        self._unknown: set[str] = set()
        """Values that depend on a node which was refused: their readers are not to blame."""

    def inspect(self) -> Inspected:
        entries = [value for value in self._model.graph.input if value.name not in self._known]
        issues = list(self._set_batch(entries))
        for entry in entries:
            issues += self._add_input(entry)
        outputs = _scores(self._model.graph)
        for i, proto in self._needed(outputs):
            proto.name = self._fresh(proto.name or f"{proto.op_type}_{i}")
            try:
                self._add(proto)
            except NeurocompileError as error:
                issues += error.issues
                self._stand_in(proto)
        for name in outputs:
            if not issues and not isinstance(self._known.get(name), Value):
                problem = f"the output '{name}' does not depend on the input"
                issues.append(Issue(problem, remedy="export the model again, with the class scores as output"))
        found = [self._known.get(name) for name in outputs]
        results = [value.node for value in found if isinstance(value, Value)]
        graph = Graph.of(self._nodes.values(), results or self._ends()) if self._nodes else None
        if not outputs:
            issues.append(Issue("the model has no outputs", remedy="export the model again"))
        return Inspected(graph, outputs, tuple(issues))

    def _ends(self) -> list[str]:
        """List the layers that none reads."""
        read = {name for node in self._nodes.values() for name in node.inputs}
        return [name for name in self._nodes if name not in read]

    def _stand_in(self, proto: onnx.NodeProto) -> None:
        """Let an input of the same shape stand in for a node that was refused, where its shape is known."""
        for name in proto.output:
            shape = self._shapes.get(name)
            if shape is None:
                self._unknown.add(name)
                continue
            layer = self._fresh(f"{proto.name}.refused")
            self._nodes[layer] = Node(layer, Input(shape))
            self._known[name] = Value(layer, shape)

    @cached_property
    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape, for one image, of what the file's nodes give, as far as onnx can tell."""
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        weights = {name: c.values[0] for name, c in self._known.items() if isinstance(c, Constant)}
        listed = {value.name for value in model.graph.input}
        model.graph.input.extend(
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in weights.items()
            if name not in listed
        )
        try:
            inferred = onnx.shape_inference.infer_shapes(model).graph
        except Exception:  # it raises whatever its checks do; what was refused is told all the same
            return {}
        shapes = {}
        for info in [*inferred.value_info, *inferred.output]:
            tensor = info.type.tensor_type
            first, *dims = [d.dim_value for d in tensor.shape.dim] or [0]
            if tensor.elem_type in _REAL_TYPES and first in (0, *self._batches) and min(dims, default=0) > 0:
                shapes[info.name] = tuple(dims)
        return {name: shape for name, shape in shapes.items() if math.prod(shape) <= MOST_VALUES}

    def _needed(self, outputs: tuple[str, ...]) -> list[tuple[int, onnx.NodeProto]]:
        """List the nodes that the outputs depend on, in order, with their places in the file."""
        needed, nodes = set(outputs), []
        for i, proto in reversed(list(enumerate(self._model.graph.node))):
            if needed.intersection(proto.output):
                needed.update(proto.input)
                nodes.append((i, proto))
        return nodes[::-1]

    def _set_batch(self, entries: list[onnx.ValueInfoProto]) -> list[Issue]:
        dims = [entry.type.tensor_type.shape.dim for entry in entries]
        sizes = {d[0].dim_value for d in dims if d}
        if len(sizes) > 1:
            names = [entry.name for entry in entries]
            problem = f"the inputs {names} have batches of different sizes"
            return [Issue(problem, remedy="export the model with one input, or with an open batch")]
        self._batches = tuple(sizes) if any(sizes) else _ASSUMED_BATCHES
        return []

    def _add_input(self, value: onnx.ValueInfoProto) -> list[Issue]:
        tensor = value.type.tensor_type
        self._unknown.add(value.name)
        dtype = _INPUT_TYPES.get(tensor.elem_type)
        if dtype is None:
            known = onnx.TensorProto.DataType.values()
            given = onnx.TensorProto.DataType.Name(tensor.elem_type) if tensor.elem_type in known else "no type"
            problem = f"holds {given.lower()}; read are {', '.join(_INPUT_TYPES.values())}"
            return [Issue(problem, value.name, "input", "export the model with a float32 or uint8 input")]
        dims = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
        if len(dims) < 2 or any(not d or d < 0 for d in dims[1:]) or (dims[0] or 0) < 0:
            problem = f"has the shape {[d or '?' for d in dims]}: only the first axis, the batch, may be open"
            return [Issue(problem, value.name, "input", "export the model with a fixed size of image")]
        entry = Input(tuple(d for d in dims[1:] if d), dtype)
        try:
            shape = entry.infer().shape
        except NeurocompileError as error:
            return [Issue(error.issues[0].problem, value.name, "input", "export the model with smaller images")]
        self._unknown.discard(value.name)
        name = self._fresh(value.name)
        self._nodes[name] = Node(name, entry)
        self._known[value.name] = Value(name, shape, real=dtype != "uint8")
        return []

    def _add(self, proto: onnx.NodeProto) -> None:
        kind = proto.op_type if proto.domain in _STANDARD else f"{proto.domain}.{proto.op_type}"
        foldable = kind in FOLDED
        if self._unknown.intersection(proto.input):
            if kind not in OPERATORS and not foldable:
                raise _refused(proto, kind)
            self._unknown.update(proto.output)
            return
        inputs = [self._known.get(name) if name else None for name in proto.input]
        computed = [value for value in inputs if isinstance(value, Value)]
        missing = [name for name in proto.input if name and name not in self._known]
        if foldable and not computed and not missing:
            constants = {name: self._known[name] for name in proto.input if name}
            folded = self._folder.fold(proto, {n: c for n, c in constants.items() if isinstance(c, Constant)})
            self._known.update(zip([name for name in proto.output if name], folded, strict=True))
            return
        if kind in ("Shape", "Size") and computed:
            self._measure(proto, computed[0].shape)
            return
        if kind not in OPERATORS:
            raise _refused(proto, kind)
        if not computed or missing:
            raise ModelError(
                f"reads {[i for i in proto.input if i]}: the images do not reach it, or by an output that is not "
                "converted",
                proto.name,
                kind,
                "export the model after model.eval(), without this node",
            )
        if (
            not all(value.real for value in computed)
            and kind not in ("Cast", "CastLike")
            and kind not in _ON_INTEGERS
        ):
            remedy = "cast the images to float32 before anything is computed with them"
            raise ModelError("computes in integers", proto.name, kind, remedy)
        self._import(proto, kind, inputs, computed)

    def _import(
        self,
        proto: onnx.NodeProto,
        kind: str,
        inputs: list[Constant | Value | None],
        computed: list[Value],
    ) -> None:
        opset = self._opsets.get(proto.domain, self._opsets.get("", 0))
        node = OnnxNode(proto, inputs, self._batches, opset, self._folder, self._fresh_among(proto.name))
        given = OPERATORS[kind].importer(node)
        results = [given] if isinstance(given, str) else list(given)
        layers = {layer.name: layer for layer in node.layers}
        renamed = _named_as_the_node(proto.name, results, layers)
        for layer in layers.values():
            name = renamed.get(layer.name, layer.name)
            self._nodes[name] = Node(name, layer.op, tuple(renamed.get(i, i) for i in layer.inputs))
        real = kind in _CASTS or all(value.real for value in computed)
        for output, result in zip(proto.output, results, strict=False):
            if output:
                self._known[output] = Value(renamed.get(result, result), node.shape_of(result), real)

    def _fresh(self, name: str) -> str:
        while name in self._nodes:
            name += "'"
        return name

    def _fresh_among(self, reserved: str) -> Callable[[str], str]:
        """Make names for the layers of one node, none of which takes the node's own."""
        taken = {reserved}

        def fresh(name: str) -> str:
            while name in taken or name in self._nodes:
                name += "'"
            taken.add(name)
            return name

        return fresh

    def _measure(self, proto: onnx.NodeProto, shape: tuple[int, ...]) -> None:
        attributes = {a.name: attribute(a) for a in proto.attribute}
        part = slice(attributes.get("start", 0), attributes.get("end"))
        sizes = [np.array([batch, *shape], np.int64) for batch in self._batches]
        measured = [s.prod() if proto.op_type == "Size" else s[part] for s in sizes]
        self._known[proto.output[0]] = Constant.of([np.asarray(m, np.int64) for m in measured])


def _scores(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Choose the outputs: labels beside the class scores are made of these, and so are maps of both."""
    mapped = {
        o: i
        for node in graph.node
        if node.op_type == "ZipMap"
        for o, i in zip(node.output, node.input, strict=False)
    }
    types = {o.name: o.type.tensor_type.elem_type for o in graph.output if not o.type.HasField("sequence_type")}
    types |= {mapped[o.name]: _REAL_TYPES[0] for o in graph.output if o.name in mapped}
    real = [name for name, kind in types.items() if kind in _REAL_TYPES]
    return tuple(real or types or [o.name for o in graph.output])


def _named_as_the_node(name: str, results: list[str], layers: Container[str]) -> dict[str, str]:
    """Let the layer that gives a node's only output have the node's name."""
    return {results[0]: name} if len(results) == 1 and results[0] in layers else {}


def _refused(proto: onnx.NodeProto, kind: str) -> ModelError:
    if kind in REFUSALS:
        problem, remedy = REFUSALS[kind]
        return ModelError(problem, proto.name, kind, remedy)
    remedy = "export the model without it; docs/operators.md lists what is converted, and how to add an operator"
    return ModelError("has no spiking form", proto.name, kind, remedy)
