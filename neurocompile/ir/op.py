"""What an operator is: frozen fields, an inferred type, and reference semantics in NumPy."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from neurocompile.errors import GraphError

Array = np.ndarray[tuple[Any, ...], np.dtype[Any]]

MOST_VALUES = 1 << 28
"""Of one image at one place of a network: those of the largest networks have some ten million."""

_MOST_AXES = 8
"""Of one image. NumPy has a limit too, and windows double the axes."""


@dataclass(frozen=True)
class TensorType:
    """The type of what a node gives out.

    Parameters
    ----------
    shape
        Without the batch axis (and, in a stream, without the time axis).
    stream
        False: one value per image, arrays ``(B, *shape)``; the layer dialect.
        True: one value per image and step, arrays ``(T, B, *shape)``; the process dialect.
    integer
        Whether the values are Loihi integers rather than reals.
    """

    shape: tuple[int, ...]
    stream: bool = False
    integer: bool = False

    def __post_init__(self) -> None:
        # Before anything of a size that a file merely declares is allocated.
        require(math.prod(self.shape) <= MOST_VALUES, f"has more than {MOST_VALUES:,} values for an image")
        require(len(self.shape) <= _MOST_AXES, f"has more than {_MOST_AXES} axes for an image")

    def __str__(self) -> str:
        kind = "integer" if self.integer else "real"
        return f"{kind} {'stream' if self.stream else 'tensor'} {list(self.shape)}"


class Op(ABC):
    """An operator with one output; its dataclass fields are its parameters.

    Arrays are copied once and read-only from then on, and operators compare by content.
    """

    arity: ClassVar[int | None] = 1
    """How many inputs it takes; None stands for one or more."""

    registry: ClassVar[dict[str, type[Op]]] = {}

    def __init_subclass__(cls, abstract: bool = False) -> None:
        if not abstract:
            Op.registry[cls.__name__] = cls

    def __post_init__(self) -> None:
        for name, value in self.parameters():
            if isinstance(value, np.ndarray) and not _is_frozen(value):
                frozen = value.copy()
                frozen.setflags(write=False)
                object.__setattr__(self, name, frozen)

    def parameters(self) -> Iterator[tuple[str, Any]]:
        """Yield the fields' names and values in the order of their declaration."""
        for field in fields(self):  # type: ignore[arg-type]  # every concrete Op is a dataclass
            yield field.name, getattr(self, field.name)

    @abstractmethod
    def infer(self, *inputs: TensorType) -> TensorType:
        """Give the output's type; raise ``GraphError`` where the inputs don't fit."""

    @abstractmethod
    def run(self, *inputs: Array) -> Array:
        """Compute the output: the reference that every other implementation is held to."""

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        assert isinstance(other, Op)
        return all(_same(a, b) for (_, a), (_, b) in zip(self.parameters(), other.parameters(), strict=True))

    def __hash__(self) -> int:
        return hash((type(self), tuple(v for _, v in self.parameters() if not isinstance(v, np.ndarray))))


def _is_frozen(array: Array) -> bool:
    """Tell whether neither the array nor any that it is a view of can be written."""
    owner: object = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        owner = owner.base
    return owner is None or isinstance(owner, bytes)


def _same(a: object, b: object) -> bool:
    if a is b:
        return True
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return type(a) is type(b) and a == b


def require(condition: bool, problem: str) -> None:
    """Raise ``GraphError`` unless the condition holds; the graph adds the node's name."""
    if not condition:
        raise GraphError(problem)


def require_broadcast(values: Array, shape: tuple[int, ...]) -> None:
    """Raise ``GraphError`` unless the values broadcast against one image's; one value fits an image of no axes."""
    places = shape or (1,)
    fits = values.ndim <= len(places) and all(
        a in (1, b) for a, b in zip(reversed(values.shape), reversed(places), strict=False)
    )
    require(fits, f"has values of shape {list(values.shape)} for an image of {list(shape)}")
