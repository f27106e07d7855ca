"""The arithmetic of synapses in Lava's Python.

Written apart from the compiler's own, tap by tap instead of patch by patch: that both give equal spikes is then
evidence and no tautology. It needs numpy alone.
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
        return x.astype(dtype)

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
    weight = o["weight"]
    outputs, channels = weight.shape[:2]
    # One matrix (out, in) for each tap and group.
    matrices = weight.reshape(groups, outputs // groups, channels, -1).transpose(3, 0, 1, 2).astype(np.float64)

    def conv(x: Array) -> Array:
        total: Any = 0.0
        for matrix, tap in zip(matrices, _taps(x.astype(np.float64), o, 0), strict=True):
            batch, _, *positions = tap.shape
            total = total + matrix @ tap.reshape(batch, groups, channels, math.prod(positions))
        return _shifted(total.reshape(batch, outputs, *positions), o)

    return conv


def _linear(o: Mapping[str, Any]) -> Operation:
    matrix = o["weight"].T.astype(np.float64)
    return lambda x: _shifted(x.astype(np.float64) @ matrix, o)


def _scale(o: Mapping[str, Any]) -> Operation:
    weight = o["weight"].astype(np.float64)
    return lambda x: _shifted(x * weight, o)


def _pool(o: Mapping[str, Any]) -> Operation:
    return lambda x: functools.reduce(np.add, _taps(x, o, 0))


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
    """Shift sums of integer weights by their exponent; float64 held them exactly."""
    if o["weight"].dtype != np.int8:
        return x
    integers = x.astype(np.int64)
    exponent = o["weight_exponent"]
    shifted: Array = integers << exponent if exponent >= 0 else integers >> -exponent
    return shifted


def _taps(x: Array, window: Mapping[str, Sequence[int]], fill: float) -> Iterator[Array]:
    """Give, for each place in the kernel, the values that it meets at all positions."""
    kernel, stride, padding, dilation = (window[name] for name in ("kernel", "stride", "padding", "dilation"))
    axes = len(kernel)
    around = list(zip(padding[:axes], padding[axes:], strict=True))
    padded = np.pad(x, [(0, 0), (0, 0), *around], constant_values=fill)
    every_channel = (slice(None), slice(None))
    reach = [n - d * (k - 1) for n, k, d in zip(padded.shape[2:], kernel, dilation, strict=True)]
    for place in itertools.product(*map(range, kernel)):
        # A place further on in the kernel meets values as much further on.
        shifts = [i * d for i, d in zip(place, dilation, strict=True)]
        met = tuple(slice(shift, shift + r, s) for shift, r, s in zip(shifts, reach, stride, strict=True))
        yield padded[every_channel + met]
