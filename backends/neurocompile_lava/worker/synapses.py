"""The arithmetic of synapses in Lava's Python.

Written apart from the compiler's own: that both give equal spikes is then evidence and no tautology. It needs
numpy alone. Integers are multiplied as floats, for which there is a fast library: float32 where the largest
possible sum has no more than its 24 bits, and float64 elsewhere.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Operation = Callable[[Array], Array]

_EXACT = 2**24
"""Integers up to here are exact in float32."""

_LARGEST_SHIFT = 7
"""By which such an integer still fits int32."""

_BYTES = 4
"""Of an integer of which a sum of some may have more bits."""

_COLUMNS = 2**18
"""Values that are laid out at once for a convolution, so that they stay in a core's cache."""


def chain(operations: Sequence[Mapping[str, Any]], dtype: type) -> Operation:
    """Make one function of operations in a row.

    Parameters
    ----------
    operations
        Each with its ``op``, one of ``conv``, ``linear``, ``scale``, ``pool``, ``reshape`` and ``wires``, and its
        parameters.
    dtype
        ``np.float64``, or ``np.int32`` for fixed point.
    """
    steps = [_MAKERS[o["op"]](o) for o in operations]

    def compute(x: Array) -> Array:
        for step in steps:
            x = step(x)
        return x.astype(dtype, copy=False)

    return compute


def max_pool(x: Array, window: Mapping[str, Sequence[int]]) -> Array:
    """Take the maximum of each window of ``(B, C, *space)``; padding never wins.

    Parameters
    ----------
    x
        Of a type that has negative numbers.
    window
        Its ``kernel``, ``stride``, ``padding`` and ``dilation``, as in the plan.
    """
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return functools.reduce(np.maximum, _taps(x, window, lowest))


def _conv(o: Mapping[str, Any]) -> Operation:
    groups = o["groups"]
    outputs, channels = o["weight"].shape[:2]
    matrices = _Matrices(o["weight"].reshape(groups, outputs // groups, -1))

    def conv(x: Array) -> Array:
        weight = matrices.exact_for(x)
        positions = next(_taps(x[:1], o, 0)).shape[2:]
        size = groups * weight.shape[2] * math.prod(positions)
        found: Array = np.empty((len(x), outputs, *positions), weight.dtype)
        for part in _parts(len(x), max(1, _COLUMNS // size)):
            # Images go last, where they make long rows to copy.
            last = np.ascontiguousarray(np.moveaxis(x[part], 0, -1), weight.dtype)
            taps = list(_taps(last[None], o, 0))
            columns: Array = np.empty((groups, channels, len(taps), *taps[0].shape[2:]), weight.dtype)
            for number, tap in enumerate(taps):
                columns[:, :, number] = tap.reshape(groups, channels, *tap.shape[2:])
            sums = weight @ columns.reshape(groups, weight.shape[2], -1)
            found[part] = np.moveaxis(sums.reshape(outputs, *positions, -1), -1, 0)
        return _shifted(found, o)

    return conv


def _linear(o: Mapping[str, Any]) -> Operation:
    matrices = _Matrices(o["weight"])

    def linear(x: Array) -> Array:
        weight = matrices.exact_for(x)
        return _shifted(x.astype(weight.dtype) @ weight.T, o)

    return linear


class _Matrices:
    """Weights ``(..., out, in)`` in the types in which they are multiplied."""

    def __init__(self, weight: Array) -> None:
        self.wide = weight.astype(np.float64)
        self.narrow = weight.astype(np.float32)
        sums = np.abs(self.wide).sum(axis=-1)
        self.largest = _EXACT / max(1.0, sums.max(initial=0)) if weight.dtype == np.int8 else 0.0

    def exact_for(self, x: Array) -> Array:
        """Give those with which all sums over ``x`` are exact."""
        if x.dtype.kind != "i" or not self.largest:
            return self.wide
        # Small types need no look at the values.
        known = -np.iinfo(x.dtype).min <= self.largest
        return self.narrow if known or max(int(x.max()), -int(x.min())) <= self.largest else self.wide


def _parts(count: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, count, size))


def _scale(o: Mapping[str, Any]) -> Operation:
    weight = o["weight"].astype(np.float64)
    return lambda x: _shifted(x * weight, o)


def _pool(o: Mapping[str, Any]) -> Operation:
    def pool(x: Array) -> Array:
        wide = x if x.dtype.kind == "f" else x.astype(np.int32 if x.dtype.itemsize < _BYTES else np.int64)
        return functools.reduce(np.add, _taps(wide, o, 0))

    return pool


def _reshape(o: Mapping[str, Any]) -> Operation:
    return lambda x: x.reshape(len(x), *o["shape"])


def _wires(o: Mapping[str, Any]) -> Operation:
    # Silence comes first, so that its place is 0.
    index: Array = o["index"].astype(np.intp) + 1

    def wires(x: Array) -> Array:
        values: Array = np.concatenate([np.zeros((len(x), 1), x.dtype), x.reshape(len(x), -1)], axis=1)
        return values.take(index, axis=1)

    return wires


_MAKERS: dict[str, Callable[[Mapping[str, Any]], Operation]] = {
    "conv": _conv,
    "linear": _linear,
    "scale": _scale,
    "pool": _pool,
    "reshape": _reshape,
    "wires": _wires,
}


def _shifted(x: Array, o: Mapping[str, Any]) -> Array:
    """Shift sums of integer weights by their exponent; they were held exactly."""
    if o["weight"].dtype != np.int8:
        return x
    exponent = o["weight_exponent"]
    short = x.dtype == np.float32 and exponent <= _LARGEST_SHIFT
    integers = x.astype(np.int32 if short else np.int64)
    shifted: Array = integers << exponent if exponent >= 0 else integers >> -exponent
    return shifted


def _taps(x: Array, window: Mapping[str, Sequence[int]], fill: float) -> Iterator[Array]:
    """Give, for each place in the kernel, the values of ``(B, C, *space, ...)`` that it meets at all positions."""
    kernel, stride, padding, dilation = (window[name] for name in ("kernel", "stride", "padding", "dilation"))
    axes = len(kernel)
    around = [(0, 0), (0, 0), *zip(padding[:axes], padding[axes:], strict=True), *[(0, 0)] * (x.ndim - 2 - axes)]
    padded = np.pad(x, around, constant_values=fill)
    every_channel = (slice(None), slice(None))
    space = padded.shape[2 : 2 + axes]
    reach = [n - d * (k - 1) for n, k, d in zip(space, kernel, dilation, strict=True)]
    for place in itertools.product(*map(range, kernel)):
        # A place further on in the kernel meets values as much further on.
        shifts = [i * d for i, d in zip(place, dilation, strict=True)]
        met = tuple(slice(shift, shift + r, s) for shift, r, s in zip(shifts, reach, stride, strict=True))
        yield padded[every_channel + met]
