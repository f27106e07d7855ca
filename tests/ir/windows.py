"""Windows over one, two and three axes of space, and what PyTorch makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from neurocompile.ir import Array
from neurocompile.ir.kernels import Window

SHAPES = {1: (4, 11), 2: (4, 7, 6), 3: (4, 5, 6, 4)}
"""Of images, by the number of axes of space."""

WINDOWS = {
    "1-d": Window((4,)),
    "1-d all": Window((3,), (2,), (1, 2), (3,)),
    "2-d": Window((3, 2)),
    "2-d stride": Window((3, 2), (2, 3)),
    "2-d padding": Window((3, 2), (), (0, 1, 2, 0)),
    "2-d dilation": Window((3, 2), (), (), (2, 4)),
    "2-d all": Window((2, 3), (2, 1), (1, 2, 0, 1), (3, 2)),
    "2-d whole": Window((7, 6)),
    "2-d whole, padded": Window((7, 6), (), (1, 0, 0, 2)),
    "2-d place": Window((1, 1), (3, 2), (), (2, 2)),
    "3-d": Window((2, 3, 1)),
    "3-d all": Window((2, 3, 2), (1, 2, 3), (1, 0, 1, 0, 2, 0), (2, 1, 3)),
}

every_window = pytest.mark.parametrize("window", WINDOWS.values(), ids=list(WINDOWS))


def shape_for(window: Window) -> tuple[int, ...]:
    return SHAPES[len(window.kernel)]


def padded(x: Array, window: Window, value: float = 0) -> torch.Tensor:
    around = [n for sides in zip(window.before, window.after, strict=True) for n in sides]
    # PyTorch begins with the last axis.
    last_first = [n for i in reversed(range(0, len(around), 2)) for n in around[i : i + 2]]
    return functional.pad(torch.from_numpy(x), last_first, value=value)


def _of_axes(name: str, window: Window) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(functional, f"{name}{len(window.kernel)}d")
    return function


def torch_conv(x: Array, weight: Array, window: Window, groups: int = 1) -> Array:
    """Correlate ``(N, C, *space)``; exact for integers, in float64."""
    images, kernels = padded(x.astype(np.float64), window), torch.from_numpy(weight.astype(np.float64))
    y = _of_axes("conv", window)(images, kernels, None, window.stride, 0, window.dilation, groups)
    return np.asarray(y)


def torch_sum(x: Array, window: Window) -> Array:
    """Sum windows: a convolution with ones, channel by channel."""
    channels = x.shape[1]
    return torch_conv(x, np.ones((channels, 1, *window.kernel)), window, channels)


def torch_max(x: Array, window: Window) -> Array:
    images = padded(x.astype(np.float64), window, -np.inf)
    return np.asarray(_of_axes("max_pool", window)(images, window.kernel, window.stride, 0, window.dilation))
