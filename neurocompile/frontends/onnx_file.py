"""Reads an ONNX file with little memory, and checks it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError, Message

from neurocompile.errors import Issue, ModelError
from neurocompile.frontends.onnx_weights import Initializers
from neurocompile.frontends.protobuf_wire import WireError, split
from neurocompile.ir import Array

_OLDEST_OPSET = 7

_MOST_NODES = 200_000
"""After functions are inlined: a few that call each other twice would else become any number."""


_ONNX = ("", "ai.onnx")
"""The names of the domain of ONNX's own operators."""


@dataclass(frozen=True)
class OnnxFile:
    """A model, and its weights apart from it.

    Parameters
    ----------
    model
        Checked by onnx: its attributes are well formed, its names are text, each is defined before it is read, and
        the opset of ONNX's own operators is one that onnx knows. It has no initializers, and its functions are
        inlined. A file may list initializers as inputs; ``model.graph.input`` has them then.
    weights
        Every initializer but texts, by its name, in the type that it is stored in; read-only.
    """

    model: onnx.ModelProto
    weights: Mapping[str, Array]

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> OnnxFile:
        """Read a file, and the weights that it keeps in others beside it.

        It takes little more memory than the weights, which are never in protobuf's hands.

        Parameters
        ----------
        path
            The file: ONNX's protobuf, whatever its name.

        Raises
        ------
        ModelError
            If the file, or one that it refers to, can't be read, is broken, or is too old or too new.
        """
        path = Path(path)
        try:
            with path.open("rb") as file:
                skeleton = split(file)
                model = onnx.ModelProto.FromString(skeleton.content)
                tensors = onnx.GraphProto(initializer=model.graph.initializer).initializer
                del model.graph.initializer[:]
                return _checked(str(path), model, Initializers(tensors, skeleton.payloads, file, path.parent))
        except OSError as error:
            raise ModelError(f"can't read {path}: {error.strerror or error}", remedy="check the path") from error
        except (WireError, DecodeError, UnicodeDecodeError) as error:
            raise _invalid(str(path), error) from error

    @classmethod
    def of(cls, model: onnx.ModelProto) -> OnnxFile:
        """Check a model that is in memory, and take its weights apart; it stays as it is.

        Parameters
        ----------
        model
            One with all of its weights.

        Raises
        ------
        ModelError
            If it is broken, or too old or too new.
        """
        bare = onnx.ModelProto()
        try:
            _copy(model, bare, without="graph")
            _copy(model.graph, bare.graph, without="initializer")
        except UnicodeDecodeError as error:
            raise _invalid("the model", error) from error
        return _checked("the model", bare, Initializers(model.graph.initializer, {}))


def _copy(source: Message, target: Message, without: str) -> None:
    for field, value in source.ListFields():
        if field.name == without:
            continue
        if isinstance(value, str | bytes | int):
            setattr(target, field.name, value)
        else:
            getattr(target, field.name).MergeFrom(value)


def _checked(where: str, model: onnx.ModelProto, initializers: Initializers) -> OnnxFile:
    if _has_broken_text(model) or any(_is_broken(tensor) for tensor in initializers.tensors):
        raise _invalid(where, "a name is not UTF-8 text")
    _check_not_too_new(where, model)
    issues = [*_no_tensors(model.graph), *_unknown_operators(model), *initializers.check()]
    if issues:
        raise ModelError.of(issues)
    # No name is to be undefined while onnx checks the model: inputs stand for the initializers.
    listed = {value.name for value in model.graph.input}
    inputs = len(model.graph.input)
    model.graph.input.extend(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in initializers.tensors
        if tensor.name not in listed
    )
    try:
        onnx.checker.check_model(model)
        _check_not_too_old(where, model)
        if model.functions:
            _check_size(where, model)
            model = onnx.inliner.inline_local_functions(model)
            onnx.checker.check_model(model)
        _check_attributes(where, model)
        _check_inputs(where, model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise _invalid(where, error) from error
    del model.graph.input[inputs:]
    return OnnxFile(model, initializers.arrays())


def _has_broken_text(message: Message) -> bool:
    """Tell whether protobuf gave bytes where text belongs, as it does for what is not UTF-8."""
    for field, value in message.ListFields():
        values = [value] if isinstance(value, Message | str | bytes) else value
        if field.message_type is not None:
            if any(map(_has_broken_text, values)):
                return True
        elif field.type == field.TYPE_STRING and any(isinstance(text, bytes) for text in values):
            return True
    return False


def _is_broken(tensor: onnx.TensorProto) -> bool:
    # Not all of the tensor is looked at, which would copy its values.
    return isinstance(tensor.name, bytes) or any(map(_has_broken_text, tensor.external_data))


def _no_tensors(graph: onnx.GraphProto) -> Iterator[Issue]:
    for value in graph.input:
        kind = value.type.WhichOneof("value")
        if kind not in ("tensor_type", None):
            problem = f"is a {kind.removesuffix('_type').replace('_', ' ')}; only dense tensors are read"
            yield Issue(problem, value.name, "input", "export the model with a dense tensor as its input")
    for sparse in graph.sparse_initializer:
        remedy = "make the weights dense before the export"
        yield Issue("is sparse; only dense weights are read", sparse.values.name, "initializer", remedy)


def _unknown_operators(model: onnx.ModelProto) -> Iterator[Issue]:
    opset, functions = _opset(model), {function.name for function in model.functions}
    for node in _nodes(model.graph.node):
        if opset is None or node.domain not in _ONNX or node.op_type in ("", *functions):
            continue
        try:
            onnx.defs.get_schema(node.op_type, opset)
        except onnx.defs.SchemaError:
            remedy = "export the model with a newer opset, or name the operator's own domain"
            yield Issue(f"ONNX has no such operator in opset {opset}", node.name, node.op_type, remedy)


def _opset(model: onnx.ModelProto) -> int | None:
    return max((entry.version for entry in model.opset_import if entry.domain in _ONNX), default=None)


def _check_not_too_new(where: str, model: onnx.ModelProto) -> None:
    opset, newest = _opset(model) or 0, onnx.defs.onnx_opset_version()
    if opset > newest or model.ir_version > onnx.IR_VERSION:
        if opset > newest:
            problem = f"{where} has opset {opset}; the newest that the installed onnx knows is {newest}"
        else:
            problem = f"{where} has IR version {model.ir_version}; the installed onnx knows {onnx.IR_VERSION}"
        raise ModelError(problem, remedy="update onnx, or export the model for an older opset")


def _check_not_too_old(where: str, model: onnx.ModelProto) -> None:
    versions = {entry.version for entry in model.opset_import if entry.domain in _ONNX}
    if len(versions) != 1:
        raise _invalid(where, f"it has {len(versions)} opsets of ONNX's own operators")
    (opset,) = versions
    if opset < _OLDEST_OPSET:
        raise ModelError(
            f"{where} has opset {opset}; the oldest that is read is {_OLDEST_OPSET}",
            remedy=f"convert it with onnx.version_converter.convert_version(model, {_OLDEST_OPSET})",
        )


def _check_size(where: str, model: onnx.ModelProto) -> None:
    """Refuse functions that can't be inlined, or to too much."""
    bodies = {(f.domain, f.name, f.overload): [_called(node) for node in _nodes(f.node)] for f in model.functions}
    calls = {function: [name for name in body if name in bodies] for function, body in bodies.items()}
    sizes: dict[tuple[str, str, str], int] = {}
    try:
        for function in TopologicalSorter(calls).static_order():
            sizes[function] = sum(sizes.get(name, 1) for name in bodies[function])
    except CycleError as error:
        raise _invalid(where, "a function calls itself") from error
    size = sum(sizes.get(_called(node), 1) for node in _nodes(model.graph.node))
    if size > _MOST_NODES:
        raise ModelError(
            f"{where} has {size:,} nodes after its functions are inlined; at most {_MOST_NODES:,} are read",
            remedy="export the model without functions, or in parts",
        )


def _check_attributes(where: str, model: onnx.ModelProto) -> None:
    """Refuse attributes that stand for a function's, which onnx lets through where there is no function."""
    for node in _nodes(model.graph.node):
        if any(attribute.ref_attr_name for attribute in node.attribute):
            raise _invalid(where, f"node '{node.name}' has an attribute without a value")


def _check_inputs(where: str, model: onnx.ModelProto) -> None:
    """Refuse lists of inputs with one left out, which onnx lets through, and on which ONNX Runtime crashes."""
    version = _opset(model) or 0
    for node in _nodes(model.graph.node):
        if node.domain in _ONNX and "" in node.input:
            last = onnx.defs.get_schema(node.op_type, version).inputs[-1]
            if last.option == onnx.defs.OpSchema.FormalParameterOption.Variadic:
                raise _invalid(where, f"node '{node.name}' ({node.op_type}) has an input without a name")


def _called(node: onnx.NodeProto) -> tuple[str, str, str]:
    return node.domain, node.op_type, node.overload


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Give the nodes and those of the graphs in their attributes."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _nodes(graph.node)


def _invalid(where: str, reason: object) -> ModelError:
    lines = str(reason).strip().splitlines()
    return ModelError(
        f"{where} is no valid ONNX file ({lines[0] if lines else type(reason).__name__})",
        remedy="export the model again; the file may be incomplete",
    )
