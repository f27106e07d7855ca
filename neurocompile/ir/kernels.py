"""Convolution and pooling windows in NumPy, in the channels-first layout."""

from __future__ import annotations

import numpy as np

from neurocompile.ir.op import Array, require

Padding = tuple[int, int, int, int]
"""Rows above, columns left, rows below, columns right: ONNX's order."""

_BLOCK_VALUES = 1 << 18
"""Patch values made at a time: they have to stay in the cache between being copied and multiplied."""


def window_shape(
    size: tuple[int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
    dilation: tuple[int, int] = (1, 1),
) -> tuple[int, int]:
    """Give the number of window positions down and across; raise ``GraphError`` if there is none."""
    require(min(*kernel, *stride, *dilation) > 0, f"has kernel={kernel}, stride={stride}, dilation={dilation}")
    require(min(padding) >= 0, f"has padding={padding}")
    rows, columns = (
        (n + before + after - d * (k - 1) - 1) // s + 1
        for n, k, s, d, before, after in zip(size, kernel, stride, dilation, padding[:2], padding[2:], strict=True)
    )
    require(rows > 0 and columns > 0, f"a window of {kernel} does not fit into {size} with padding {padding}")
    return rows, columns


def pad(x: Array, padding: Padding, value: float = 0) -> Array:
    """Pad the last two axes with a value."""
    if not any(padding):
        return x
    top, left, bottom, right = padding
    return np.pad(
        x,
        [(0, 0)] * (x.ndim - 2) + [(top, bottom), (left, right)],
        constant_values=np.asarray(value, x.dtype),
    )


def taps(
    x: Array,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    out: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> Array:
    """View padded images as windows: ``(..., kh, kw, rows, columns)``, without a copy."""
    *lead, down, across = x.strides
    shape = (*x.shape[:-2], *kernel, *out)
    strides = (*lead, down * dilation[0], across * dilation[1], down * stride[0], across * stride[1])
    return np.lib.stride_tricks.as_strided(x, shape, strides, writeable=False)


def conv2d(
    x: Array,
    weight: Array,
    stride: tuple[int, int],
    padding: Padding,
    dilation: tuple[int, int],
    groups: int,
) -> Array:
    """Correlate images with kernels, in the weight's data type.

    Parameters
    ----------
    x
        ``(N, C, H, W)``, any type that casts to the weight's.
    weight
        ``(out, C // groups, kh, kw)``, of a type that BLAS multiplies.

    Returns
    -------
    Array
        ``(N, out, rows, columns)``, of the weight's type.
    """
    outputs, channels, *window = weight.shape
    kernel = (window[0], window[1])
    out = window_shape((x.shape[2], x.shape[3]), kernel, stride, padding, dilation)
    matrix = weight.reshape(1, groups, outputs // groups, -1)
    patch = channels * groups * kernel[0] * kernel[1] * out[0] * out[1]
    block = max(1, _BLOCK_VALUES // patch)
    y = np.empty((len(x), groups, outputs // groups, out[0] * out[1]), weight.dtype)
    patches = np.empty((block, channels * groups, *kernel, *out), weight.dtype)
    for start in range(0, len(x), block):
        images = pad(x[start : start + block].astype(weight.dtype), padding)
        part = patches[: len(images)]
        np.copyto(part, taps(images, kernel, stride, out, dilation))
        np.matmul(matrix, part.reshape(len(part), groups, -1, out[0] * out[1]), out=y[start : start + block])
    return y.reshape(len(x), outputs, *out)


def pool_sum(x: Array, kernel: tuple[int, int], stride: tuple[int, int], padding: Padding) -> Array:
    """Sum each window of ``(N, C, H, W)``, in the type of ``x``."""
    return _reduce(np.add, x, kernel, stride, padding, 0)


def pool_max(x: Array, kernel: tuple[int, int], stride: tuple[int, int], padding: Padding) -> Array:
    """Take each window's maximum; padding never wins."""
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    return _reduce(np.maximum, x, kernel, stride, padding, lowest)


def _reduce(
    combine: np.ufunc,
    x: Array,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
    fill: float,
) -> Array:
    out = window_shape((x.shape[2], x.shape[3]), kernel, stride, padding)
    windows = taps(pad(x, padding, fill), kernel, stride, out)
    result: Array = windows[:, :, 0, 0].copy()
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            if (i, j) != (0, 0):
                combine(result, windows[:, :, i, j], out=result)
    return result
