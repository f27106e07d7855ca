"""The twins of what has no state: synapses, wires and sums."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from neurocompile.ir import Array
from neurocompile.ir.processes import (
    ConvSynapses,
    PoolSynapses,
    ReshapeSynapses,
    Synapses,
    WireSynapses,
)
from neurocompile.twin import windows
from neurocompile.twin.fixed_point import rounded_weight, through
from neurocompile.twin.parameters import Parameter, weight_unit


def each_step(kernel: Callable[[Tensor], Tensor], stream: Tensor) -> Tensor:
    """Apply what has no state, ``(N, *shape)`` to ``(N, *shape)``, to every step of ``(B, T, *shape)``.

    A stream that is the same at every step is a view with stride 0 along T, and is computed once.
    """
    steps = stream.shape[1]
    if stream.stride(1) == 0:
        once = kernel(stream[:, 0])
        return once[:, None].expand(-1, steps, *once.shape[1:])
    result = kernel(stream.flatten(0, 1))
    return result.reshape(-1, steps, *result.shape[1:])


class WeightedTwin(nn.Module, ABC):
    """Synapses with weights to be trained: int8 ones are rounded in the forward pass.

    Parameters
    ----------
    op
        The process.
    """

    def __init__(self, op: Synapses) -> None:
        super().__init__()
        self._integer = op.weight.dtype.kind == "i"
        self._exponent = op.weight_exponent
        self.weight = Parameter(op.weight, rounded_weight if self._integer else None, weight_unit(op.weight))

    def forward(self, *streams: Tensor) -> Tensor:
        """Give the current."""
        if not self._integer:
            weight = self.weight()
            return each_step(lambda x: self.multiply(x, weight), streams[0])
        # Powers of two change no digit of a float, and weights are fewer than currents.
        scaled = self.weight() * 2.0**self._exponent
        current = each_step(lambda x: self.multiply(x, scaled), streams[0])
        return through(current, torch.floor) if self._exponent < 0 else current

    def fields(self) -> dict[str, Tensor]:
        """Give the process's fields as they are now."""
        return {"weight": self.weight()}

    @abstractmethod
    def multiply(self, x: Tensor, weight: Tensor) -> Tensor:
        """Apply the weights to ``(N, *shape)``."""


class ConvTwin(WeightedTwin):
    """Of ``ConvSynapses``."""

    def __init__(self, op: ConvSynapses) -> None:
        super().__init__(op)
        self._window, self._groups = op.window, op.groups

    def multiply(self, x: Tensor, weight: Tensor) -> Tensor:  # noqa: D102
        return windows.conv(x, weight, self._window, self._groups)


class LinearTwin(WeightedTwin):
    """Of ``LinearSynapses``."""

    def multiply(self, x: Tensor, weight: Tensor) -> Tensor:  # noqa: D102
        return nn.functional.linear(x, weight)


class ScaleTwin(WeightedTwin):
    """Of ``ScaleSynapses``."""

    def multiply(self, x: Tensor, weight: Tensor) -> Tensor:  # noqa: D102
        return x * weight


class PoolTwin(nn.Module):
    """Of ``PoolSynapses``."""

    def __init__(self, op: PoolSynapses) -> None:
        super().__init__()
        self._window = op.window

    def forward(self, *streams: Tensor) -> Tensor:
        """Sum each window."""
        return each_step(lambda x: windows.pool_sum(x, self._window), streams[0])


class ReshapeTwin(nn.Module):
    """Of ``ReshapeSynapses``."""

    def __init__(self, op: ReshapeSynapses) -> None:
        super().__init__()
        self._shape = op.shape

    def forward(self, *streams: Tensor) -> Tensor:
        """Give the same values in the other shape."""
        return each_step(lambda x: x.reshape(len(x), *self._shape), streams[0])


class WireTwin(nn.Module):
    """Of ``WireSynapses``."""

    index: Tensor

    def __init__(self, op: WireSynapses) -> None:
        super().__init__()
        self._shape, self._silent = op.index.shape, bool(op.index.min() < 0)
        self.register_buffer("index", torch.tensor(self._places(op.index)), persistent=False)

    def forward(self, *streams: Tensor) -> Tensor:
        """Move the values."""
        return each_step(self._moved, streams[0])

    def _places(self, index: Array) -> Array:
        # A silence stands before all values, so that it is 0 plus -1 that names it.
        return index.reshape(-1).astype("int64") + self._silent

    def _moved(self, x: Tensor) -> Tensor:
        values = x.flatten(1) if x.dim() > 1 else x[:, None]
        if self._silent:
            values = nn.functional.pad(values, (1, 0))
        return values.index_select(1, self.index).reshape(len(x), *self._shape)


class SumTwin(nn.Module):
    """Of ``CurrentSum``."""

    def __init__(self, op: object) -> None:
        del op
        super().__init__()

    def forward(self, *streams: Tensor) -> Tensor:
        """Add the currents up."""
        total = streams[0]
        if all(x.stride(1) == 0 for x in streams):
            once = sum((x[:, :1] for x in streams[1:]), start=total[:, :1])
            return once.expand_as(total)
        return sum(streams[1:], start=total)
