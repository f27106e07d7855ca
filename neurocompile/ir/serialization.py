"""Graphs as JSON documents beside named arrays, and back."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np

from neurocompile.errors import DeploymentError, GraphError
from neurocompile.ir.graph import Graph, Node
from neurocompile.ir.op import Array, Op


def to_document(graph: Graph) -> tuple[dict[str, Any], dict[str, Array]]:
    """Describe a graph.

    Returns
    -------
    document, arrays
        ``{"nodes": [{"name", "op", "inputs", "parameters"}], "outputs": [...]}``, in which an array stands as
        ``{"array": name}``, and the arrays by name. Equal arrays are stored once.
    """
    arrays: dict[str, Array] = {}
    names: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            key = (value.dtype.str, value.shape, value.tobytes())
            name = names.setdefault(key, f"arrays/{len(names)}")
            arrays[name] = value
            return {"array": name}
        return list(value) if isinstance(value, tuple) else value

    nodes = [
        {
            "name": node.name,
            "op": type(node.op).__name__,
            "inputs": list(node.inputs),
            "parameters": {name: plain(value) for name, value in node.op.parameters()},
        }
        for node in graph.nodes
    ]
    return {"nodes": nodes, "outputs": list(graph.outputs)}, arrays


def from_document(document: Mapping[str, Any], arrays: Mapping[str, Array]) -> Graph:
    """Rebuild a graph from ``to_document``'s result.

    Raises
    ------
    DeploymentError
        If the document is not of that form, or describes no valid graph.
    """
    try:
        nodes = tuple(
            Node(_text(n["name"]), _op(n, arrays), tuple(_text(i) for i in n["inputs"])) for n in document["nodes"]
        )
        return Graph(nodes, tuple(_text(o) for o in document["outputs"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeploymentError(
            f"the stored graph is malformed ({type(error).__name__}: {error})",
            remedy="compile it again with -o",
        ) from error
    except GraphError as error:
        raise DeploymentError.of(error.issues) from error


def _op(node: Mapping[str, Any], arrays: Mapping[str, Array]) -> Op:
    kind = Op.registry[node["op"]]
    hints = typing.get_type_hints(kind)
    given = dict(node["parameters"])
    values = {
        field.name: _value(given.pop(field.name), hints[field.name], arrays)
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]  # every registered Op is a dataclass
    }
    if given:
        raise ValueError(f"{node['op']} has no parameters {sorted(given)}")
    return kind(**values)


def _value(value: Any, hint: Any, arrays: Mapping[str, Array]) -> Any:
    origin = typing.get_origin(hint)
    if origin is np.ndarray:
        return arrays[value["array"]]
    if origin is tuple:
        members = typing.get_args(hint)
        if not isinstance(value, list) or (members[-1] is not Ellipsis and len(value) != len(members)):
            raise ValueError(f"{value!r} is no {hint}")
        return tuple(_value(v, members[0], arrays) for v in value)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise ValueError(f"{value!r} is none of {typing.get_args(hint)}")
        return value
    if origin in (typing.Union, types.UnionType) or type(value) is not hint:
        raise ValueError(f"{value!r} is no {hint}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no name")  # noqa: TRY004  # one kind of error for every malformed value
    return value
