"""Windows over tensors ``(N, C, *space)``, as ``neurocompile.ir.kernels`` has them over arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from itertools import chain, product

import torch
from torch import Tensor
from torch.nn import functional

from neurocompile.ir.kernels import Window


def padded(x: Tensor, window: Window, value: float = 0.0) -> Tensor:
    """Pad the axes of space."""
    if not any(window.padding):
        return x
    # PyTorch counts axes from the last.
    around = reversed(list(zip(window.before, window.after, strict=True)))
    return functional.pad(x, tuple(chain.from_iterable(around)), value=value)


def pool_sum(x: Tensor, window: Window) -> Tensor:
    """Sum each window."""
    if len(window.kernel) == 2 and set(window.dilation) == {1}:
        return functional.avg_pool2d(padded(x, window), window.kernel, window.stride, divisor_override=1)
    return reduce(torch.add, _places(padded(x, window), window, x.shape[2:]))


def pool_max(x: Tensor, window: Window) -> Tensor:
    """Take each window's maximum; padding never wins."""
    if len(window.kernel) == 2:
        around = padded(x, window, -torch.inf)
        return functional.max_pool2d(around, window.kernel, window.stride, dilation=window.dilation)
    return reduce(torch.maximum, _places(padded(x, window, -torch.inf), window, x.shape[2:]))


CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}
"""By the number of axes."""


def conv(x: Tensor, weight: Tensor, window: Window, groups: int) -> Tensor:
    """Correlate with kernels ``(out, C // groups, *kernel)``."""
    images = padded(x, window)
    if len(window.kernel) == 2:
        # On CPUs it takes less than half the time.
        images, weight = (each.contiguous(memory_format=torch.channels_last) for each in (images, weight))
    convolution = CONVOLUTIONS[len(window.kernel)]
    return convolution(images, weight, stride=window.stride, dilation=window.dilation, groups=groups)


def _places(x: Tensor, window: Window, size: tuple[int, ...]) -> Iterator[Tensor]:
    """View what each place of the window meets, ``(N, C, *positions)``, of padded images."""
    positions = window.positions(tuple(size))
    every_channel = (slice(None), slice(None))
    for place in product(*map(range, window.kernel)):
        steps = zip(place, window.dilation, window.stride, positions, strict=True)
        inside = (slice(i * d, i * d + (n - 1) * s + 1, s) for i, d, s, n in steps)
        yield x[every_channel + tuple(inside)]
