"""The arithmetic of synapses in Lava's Python.

Written apart from the compiler's own, tap by tap instead of patch by patch: that both give equal spikes is then
evidence and no tautology. It needs numpy alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
        Each with its ``op``: ``conv``, ``linear``, ``scale``, ``pool`` or ``flatten``, and its parameters.
    dtype
        ``np.float64``, or ``np.int32`` for fixed point.
    """
    steps = [_MAKERS[o["op"]](o) for o in operations]

    def compute(x: Array) -> Array:
        for step in steps:
            x = step(x)
        return x.astype(dtype)

    return compute


def max_pool(
    x: Array, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int, int, int]
) -> Array:
    """Take the maximum of each window of ``(B, C, H, W)``; padding never wins."""
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    windows = _windows(_pad(x, padding, lowest), kernel, stride, (1, 1))
    result: Array = np.maximum.reduce(windows)
    return result


def _conv(o: Mapping[str, Any]) -> Operation:
    groups = o["groups"]
    weight = o["weight"]
    outputs, channels, *kernel = weight.shape
    # One matrix (out, in) for each tap and group.
    taps = weight.reshape(groups, outputs // groups, channels, -1).transpose(3, 0, 1, 2).astype(np.float64)

    def conv(x: Array) -> Array:
        padded = _pad(x.astype(np.float64), o["padding"], 0)
        total: Any = 0.0
        for tap, window in zip(taps, _windows(padded, kernel, o["stride"], o["dilation"]), strict=True):
            batch, _, rows, columns = window.shape
            total = total + tap @ window.reshape(batch, groups, channels, rows * columns)
        return _shifted(total.reshape(batch, outputs, rows, columns), o)

    return conv


def _linear(o: Mapping[str, Any]) -> Operation:
    matrix = o["weight"].T.astype(np.float64)
    return lambda x: _shifted(x.astype(np.float64) @ matrix, o)


def _scale(o: Mapping[str, Any]) -> Operation:
    weight = o["weight"].astype(np.float64)
    return lambda x: _shifted(x * weight.reshape(-1, *[1] * (x.ndim - 2)), o)


def _pool(o: Mapping[str, Any]) -> Operation:
    def pool(x: Array) -> Array:
        total: Array = np.add.reduce(_windows(_pad(x, o["padding"], 0), o["kernel"], o["stride"], (1, 1)))
        return total

    return pool


def _flatten(_: Mapping[str, Any]) -> Operation:
    return lambda x: x.reshape(len(x), -1)


_MAKERS: dict[str, Callable[[Mapping[str, Any]], Operation]] = {
    "conv": _conv,
    "linear": _linear,
    "scale": _scale,
    "pool": _pool,
    "flatten": _flatten,
}


def _shifted(x: Array, o: Mapping[str, Any]) -> Array:
    """Shift sums of integer weights by their exponent; float64 held them exactly."""
    if o["weight"].dtype != np.int8:
        return x
    integers = x.astype(np.int64)
    exponent = o["weight_exponent"]
    shifted: Array = integers << exponent if exponent >= 0 else integers >> -exponent
    return shifted


def _pad(x: Array, padding: Sequence[int], value: float) -> Array:
    top, left, bottom, right = padding
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def _windows(x: Array, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> list[Array]:
    """List, for each place in the kernel, the values that it meets at all positions."""
    rows = (x.shape[2] - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
    columns = (x.shape[3] - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
    return [
        x[
            :,
            :,
            i * dilation[0] : i * dilation[0] + (rows - 1) * stride[0] + 1 : stride[0],
            j * dilation[1] : j * dilation[1] + (columns - 1) * stride[1] + 1 : stride[1],
        ]
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]
