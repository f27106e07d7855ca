"""The twins of layers of neurons, and of the pool of what they send."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from neurocompile.ir.fixed_point import CURRENT_SHIFT, MEMBRANE_MAX, THRESHOLD_MAX
from neurocompile.ir.processes import DigitNeurons, GradedNeurons, IntegrateAndFire, Neurons, SpikeMaxPool
from neurocompile.twin import windows
from neurocompile.twin.fixed_point import (
    membrane_units,
    rounded_bias,
    rounded_membrane,
    rounded_threshold,
    saturated,
    through,
)
from neurocompile.twin.parameters import Parameter, least_threshold
from neurocompile.twin.surrogates import Surrogate


class NeuronsTwin(nn.Module):
    """A layer of neurons whose thresholds and biases are trained.

    Membranes are in units of the threshold where a surrogate sees them, and where they are recorded.

    Parameters
    ----------
    op
        The process.
    surrogate
        Whose gradients spikes have.
    """

    def __init__(self, op: Neurons, surrogate: Surrogate) -> None:
        super().__init__()
        self._spike = surrogate
        self._integer = op.bias.dtype.kind == "i"
        self._unit = float(op.v_threshold.mean()) if self._integer else 1.0
        if self._integer:
            most = float(min(THRESHOLD_MAX << CURRENT_SHIFT, self._most_threshold(op)))
            self.bias = Parameter(op.bias, rounded_bias, self._unit)
            self.v_threshold = Parameter(op.v_threshold, lambda v: rounded_threshold(v, most), self._unit)
        else:
            self.bias = Parameter(op.bias)
            self.v_threshold = Parameter(op.v_threshold, least_threshold)

    def forward(self, current: Tensor) -> tuple[Tensor, Tensor]:
        """Give spikes, and membranes when it is decided on them, in thresholds, both ``(B, T, *shape)``."""
        # Sums of half precision would lose what the next steps add.
        kept = current.to(self.bias.latent.dtype)
        with torch.autocast(kept.device.type, enabled=False):
            spikes, membranes = self.run(kept)
        return torch.stack(spikes, dim=1), torch.stack(membranes, dim=1)

    def fields(self) -> dict[str, Tensor]:
        """Give the process's fields as they are now."""
        return {"bias": self.bias(), "v_threshold": self.v_threshold()}

    @abstractmethod
    def run(self, current: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Give spikes and membranes of each step."""

    def _most_threshold(self, op: Neurons) -> int:  # noqa: ARG002
        return THRESHOLD_MAX << CURRENT_SHIFT

    def _integrated(self, v: Tensor, current: Tensor, bias: Tensor | float) -> Tensor:
        if self._integer:
            return saturated(v + (membrane_units(current) + bias))
        return v + current + bias


class IntegrateAndFireTwin(NeuronsTwin):
    """Of ``IntegrateAndFire``; what its membranes start with is trained too."""

    def __init__(self, op: IntegrateAndFire, surrogate: Surrogate) -> None:
        super().__init__(op, surrogate)
        self._reset, self._signed, self._wait = op.reset, op.signed, op.wait
        self.v_init = Parameter(op.v_init, rounded_membrane if self._integer else None, self._unit)

    def fields(self) -> dict[str, Tensor]:  # noqa: D102
        return {**super().fields(), "v_init": self.v_init()}

    def run(self, current: Tensor) -> tuple[list[Tensor], list[Tensor]]:  # noqa: D102
        bias, threshold = self.bias(), self.v_threshold()
        scale = threshold.detach()
        v = torch.zeros_like(current[:, 0]) + self.v_init()
        sent = torch.zeros_like(v)
        steps = current.unbind(1)
        spikes, membranes = [], []
        if self._wait:
            for a in steps:
                v = self._integrated(v, a, bias)
        for a in steps:
            if not self._wait:
                v = self._integrated(v, a, bias)
            membranes.append(v / scale)
            s = self._spike((v - threshold) / scale)
            if self._signed:
                s = s - self._spike(-v / scale) * (sent > 0)
                sent = sent + s.detach()
            spikes.append(s)
            v = v - s * threshold if self._reset == "subtract" else v * (1 - s)
        return spikes, membranes


class DigitTwin(NeuronsTwin):
    """Of ``DigitNeurons``."""

    def __init__(self, op: DigitNeurons, surrogate: Surrogate) -> None:
        super().__init__(op, surrogate)
        self._ahead = op.ahead

    def run(self, current: Tensor) -> tuple[list[Tensor], list[Tensor]]:  # noqa: D102
        bias, half = self.bias(), self.v_threshold() * 2.0 ** (self._ahead - 1)
        early = half * 4 / 3
        if self._integer:
            early = through(early, (half.detach().double() * 4 / 3).floor().to(half.dtype))
        scale = 2 * half.detach()
        steps = current.unbind(1)
        silence = torch.zeros_like(steps[0])
        v, sent = silence + bias, torch.zeros_like(silence)
        spikes, membranes = [], []
        for k in range(-self._ahead, len(steps)):
            received = k + self._ahead
            v = self._integrated(2 * v, steps[received] if received < len(steps) else silence, 0.0)
            if k < 0:
                continue
            membranes.append(v / scale)
            limit = half if k == len(steps) - 1 else early
            s = self._spike((v - limit) / scale) - self._spike((-limit - v) / scale) * (sent > 0)
            spikes.append(s)
            sent = 2 * sent + s.detach()
            v = v - 2 * s * half
        return spikes, membranes

    def _most_threshold(self, op: Neurons) -> int:
        assert isinstance(op, DigitNeurons)
        # What was made by hand may have more already.
        return max(int(MEMBRANE_MAX) >> (op.ahead + 1), int(op.v_threshold.max()))


class GradedTwin(NeuronsTwin):
    """Of ``GradedNeurons``: messages are rounded straight through, with no surrogate."""

    def __init__(self, op: GradedNeurons, surrogate: Surrogate) -> None:
        super().__init__(op, surrogate)
        self._levels = op.levels

    def run(self, current: Tensor) -> tuple[list[Tensor], list[Tensor]]:  # noqa: D102
        bias, threshold = self.bias(), self.v_threshold()
        messages, membranes = [], []
        for a in current.unbind(1):
            v = self._integrated(torch.zeros_like(a), a, bias)
            membranes.append(v / threshold.detach())
            # A product of a membrane and the levels takes 32 bits.
            parts = v.double() * self._levels / threshold.double()
            rounded = through(parts, (parts.detach() + 0.5).floor())
            if self._integer:
                doubled, unit = v.detach().double() * (2 * self._levels), threshold.detach().double()
                rounded = through(parts, ((doubled + unit) / (2 * unit)).floor())
            messages.append(rounded.clamp(0, self._levels).to(v.dtype))
        return messages, membranes


class PoolOfSpikesTwin(nn.Module):
    """Of ``SpikeMaxPool``."""

    def __init__(self, op: SpikeMaxPool) -> None:
        super().__init__()
        self._window, self._radix = op.window, op.radix

    def forward(self, *streams: Tensor) -> Tensor:
        """Pass on what the leading input of each window adds."""
        steps = streams[0].unbind(1)
        total = torch.zeros_like(steps[0])
        before = windows.pool_max(total, self._window)
        sent = []
        for now in steps:
            total = self._radix * total + now
            leading = windows.pool_max(total, self._window)
            sent.append(leading - self._radix * before)
            before = leading
        return torch.stack(sent, dim=1)
