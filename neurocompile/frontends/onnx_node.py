"""An ONNX node as its importer sees it: what it reads, what it is told, and the layers that stand for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from neurocompile.errors import GraphError, ModelError
from neurocompile.frontends.onnx_constants import Constant, Folder
from neurocompile.ir import Array, Node, Op, TensorType
from neurocompile.ir.layers import Identity, Rearrange, Reshape

NO_BOUND = 1e15
"""Models hold huge numbers where they mean no bound; no value of a network comes near this one."""


@dataclass(frozen=True)
class Value:
    """What a node of the network computes.

    Parameters
    ----------
    node
        Of the graph of layers.
    shape
        Of one image.
    real
        Whether it holds reals; integers that are not images of bytes would round and wrap around.
    """

    node: str
    shape: tuple[int, ...]
    real: bool = True


@dataclass
class OnnxNode:
    """An ONNX node whose inputs are known.

    Parameters
    ----------
    proto
        The node, with a name.
    inputs
        For each input what it is; None where it is left out.
    batches
        The size of the batch, or the sizes that are assumed where it is open.
    opset
        The version of the node's operator set.
    folder
        Runs the node in onnx's reference implementation.
    fresh
        Gives a name for a layer that is not taken.
    """

    proto: onnx.NodeProto
    inputs: Sequence[Constant | Value | None]
    batches: tuple[int, ...]
    opset: int
    folder: Folder
    fresh: Callable[[str], str]
    layers: list[Node] = field(default_factory=list)
    """Those that stand for it so far."""

    def __post_init__(self) -> None:
        self.name: str = self.proto.name
        self.op: str = self.proto.op_type
        self.attributes: Mapping[str, Any] = {a.name: attribute(a) for a in self.proto.attribute}
        self._types = {v.node: TensorType(v.shape) for v in self.inputs if isinstance(v, Value)}

    def error(self, problem: str, remedy: str) -> ModelError:
        """Make an error that names this node."""
        return ModelError(problem, self.name, self.op, remedy)

    def add(self, op: Op, *sources: str) -> str:
        """Add a layer that reads others, or what the node's first input computes, and give its name."""
        name = self.fresh(f"{self.name}.{type(op).__name__.lower()}")
        node = Node(name, op, sources or (self.source(),))
        try:
            self._types[name] = op.infer(*(self._types[source] for source in node.inputs))
        except GraphError as error:
            remedy = "change the layer to a form that is converted, and export the model again"
            raise self.error(error.issues[0].problem, remedy) from error
        self.layers.append(node)
        return name

    def shape_of(self, layer: str) -> tuple[int, ...]:
        """Give the shape of what a layer computes for one image."""
        return self._types[layer].shape

    def is_computed(self, i: int) -> bool:
        """Tell whether an input is computed from the images."""
        return i < len(self.inputs) and isinstance(self.inputs[i], Value)

    def value(self, i: int = 0) -> Value:
        """Give an input that is computed from the images."""
        value = self.inputs[i] if i < len(self.inputs) else None
        if not isinstance(value, Value):
            raise self.error(
                "applies to a constant what is meant for the network's values", "put the network's values first"
            )
        return value

    def source(self, i: int = 0) -> str:
        """Give the layer that computes an input."""
        return self.value(i).node

    def shape(self, i: int = 0) -> tuple[int, ...]:
        """Give the shape of a computed input for one image."""
        return self.value(i).shape

    def constant(self, i: int) -> Array:
        """Give a constant input."""
        value = self.optional(i)
        if value is None:
            raise self.error(f"input {i} is left out", "export it as a constant")
        return value

    def optional(self, i: int) -> Array | None:
        """Give a constant input, or None where it is left out."""
        value = self.inputs[i] if i < len(self.inputs) else None
        if value is None:
            return None
        if isinstance(value, Value):
            raise self.error(f"input {i} is computed while the network runs", "export it as a constant")
        if value.depends_on_batch:
            raise depends_on_batch(self.name, self.op)
        return value.values[0]

    def reals(self, i: int) -> Array:
        """Give a constant input of finite reals, in float32 or float64."""
        value = self.constant(i)
        if value.dtype not in (np.float32, np.float64):
            try:
                value = value.astype(np.float64)
            except (TypeError, ValueError) as error:
                raise self.error(f"input {i} holds {value.dtype}, not numbers", "use float32") from error
        if not is_finite(value):
            raise self.error(f"input {i} holds NaN or infinite values", "check the training for divergence")
        return value

    def optional_reals(self, i: int) -> Array | None:
        """Give a constant input of finite reals, or None where it is left out."""
        return None if self.optional(i) is None else self.reals(i)

    def scalar(self, i: int) -> float | None:
        """Give a constant input of one number, or None where it is left out."""
        value = self.optional(i)
        if value is None:
            return None
        if value.size != 1:
            raise self.error(f"input {i} has {value.size} values; one is needed", "use a single number")
        return float(value.reshape(()))

    def number(self, name: str, default: float) -> float:
        """Give an attribute that is a finite number."""
        number = float(self.attributes.get(name, default))
        if not np.isfinite(number):
            raise self.error(f"has {name}={number}", "use a finite number")
        return number

    def integer(self, name: str, default: int) -> int:
        """Give an attribute that is a whole number."""
        return int(self.attributes.get(name, default))

    def flag(self, name: str, default: bool) -> bool:
        """Give an attribute that is 0 or 1."""
        flag = self.integer(name, int(default))
        if flag not in (0, 1):
            raise self.error(f"has {name}={flag}", "use 0 or 1")
        return bool(flag)

    def integers(self, name: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        """Give an attribute that is a list of whole numbers."""
        return tuple(int(i) for i in self.attributes.get(name, default))

    def text(self, name: str, default: str) -> str:
        """Give an attribute that is a string."""
        return str(self.attributes.get(name, default))

    def integers_or_input(self, name: str, i: int) -> tuple[int, ...] | None:
        """Give whole numbers that old opsets have as an attribute and newer ones as an input, if there are any."""
        if name in self.attributes:
            return self.integers(name)
        given = self.optional(i)
        if given is not None and given.dtype.kind not in "iu":
            raise self.error(f"input {i} holds {given.dtype}, not whole numbers", "export it again")
        return None if given is None else tuple(int(n) for n in given.reshape(-1))

    def image_axis(self, axis: int, axes: int) -> int:
        """Turn an axis of a tensor into one of the image, behind the batch."""
        if not -axes <= axis < axes:
            raise self.error(f"works on axis {axis} of {axes}", "check the axes")
        if axis % axes == 0:
            raise self.error("works across the images of the batch", "let every image stand for itself")
        return axis % axes - 1

    def place(self, index: Array, source: str) -> str:
        """Add what moves values: to each place of ``index`` the value that it names, -1 for a 0."""
        shape = self.shape_of(source)
        if np.array_equal(index.reshape(-1), np.arange(np.prod(shape, dtype=np.int64))):
            return self.add(Identity() if index.shape == shape else Reshape(index.shape), source)
        return self.add(Rearrange(index.astype(np.int32)), source)

    def spread(self, i: int, shape: tuple[int, ...]) -> str:
        """Repeat a computed input to a shape that it broadcasts to."""
        own = self.shape(i)
        if own == shape:
            return self.source(i)
        index = np.arange(np.prod(own, dtype=np.int64)).reshape(own)
        return self.place(np.broadcast_to(index, shape), self.source(i))


def attribute(proto: onnx.AttributeProto) -> Any:
    """Give an attribute's value."""
    value = onnx.helper.get_attribute_value(proto)
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def is_finite(values: Array) -> bool:
    """Tell whether all are finite, without an array of as many answers."""
    flat = values.reshape(-1)
    return all(bool(np.isfinite(flat[i : i + (1 << 20)]).all()) for i in range(0, flat.size, 1 << 20))


def depends_on_batch(name: str, op: str) -> ModelError:
    """Make the error of a node that computes with the number of images."""
    remedy = "export the model with a fixed batch, or without this computation"
    return ModelError("computes with the number of images in the batch", name, op, remedy)
