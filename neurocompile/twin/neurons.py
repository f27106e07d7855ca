"""The twins of layers of neurons, and of the pool of what they send."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial

import torch
from torch import Tensor, nn

from neurocompile.ir.fixed_point import CURRENT_SHIFT, MEMBRANE_MAX, THRESHOLD_MAX
from neurocompile.ir.processes import DigitNeurons, GradedNeurons, IntegrateAndFire, Neurons, SpikeMaxPool
from neurocompile.losses.precision import full_precision
from neurocompile.twin import windows
from neurocompile.twin.fixed_point import (
    integrated,
    membrane_units,
    rounded_bias,
    rounded_membrane,
    rounded_threshold,
    through,
)
from neurocompile.twin.integration import Neuron, integrate
from neurocompile.twin.parameters import Parameter, least_threshold
from neurocompile.twin.rounding import rounded
from neurocompile.twin.surrogates import Surrogate


class NeuronsTwin(nn.Module, ABC):
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
        self.largest = op.largest
        self._spike = surrogate
        self._integer = op.bias.dtype.kind == "i"
        self._unit = float(op.v_threshold.mean()) if self._integer else 1.0
        if self._integer:
            most = float(min(THRESHOLD_MAX << CURRENT_SHIFT, self._most_threshold(op)))
            self.bias = Parameter(op.bias, rounded_bias, self._unit)
            self.v_threshold = Parameter(op.v_threshold, partial(rounded_threshold, most=most), self._unit)
        else:
            self.bias = Parameter(op.bias)
            self.v_threshold = Parameter(op.v_threshold, least_threshold)

    def forward(self, current: Tensor, *, membranes: bool = False) -> tuple[Tensor, Tensor | None]:
        """Give spikes, and if asked the membranes when it is decided on them, both ``(B, T, *shape)``."""
        # Sums of half precision would lose what the next steps add.
        kept = current.to(self.bias.latent.dtype)
        with full_precision(kept.device):
            threshold = self.v_threshold()
            spikes, held = self.run(kept, self.bias(), threshold)
            return spikes, held / threshold.detach() if membranes else None

    def fields(self) -> dict[str, Tensor]:
        """Give the process's fields as they are now."""
        return {"bias": self.bias(), "v_threshold": self.v_threshold()}

    @abstractmethod
    def run(self, current: Tensor, bias: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
        """Give spikes, and membranes when it is decided on them, both ``(B, T, *shape)``."""

    def _most_threshold(self, op: Neurons) -> int:  # noqa: ARG002
        return THRESHOLD_MAX << CURRENT_SHIFT

    def _received(self, current: Tensor) -> Tensor:
        """Give what currents are worth in a membrane."""
        return membrane_units(current) if self._integer else current


class IntegrateAndFireTwin(NeuronsTwin):
    """Of ``IntegrateAndFire``; what its membranes start with is trained too."""

    def __init__(self, op: IntegrateAndFire, surrogate: Surrogate) -> None:
        super().__init__(op, surrogate)
        self._neuron = Neuron(op.reset, op.signed, op.wait, self._integer, surrogate)
        self.v_init = Parameter(op.v_init, rounded_membrane if self._integer else None, self._unit)

    def fields(self) -> dict[str, Tensor]:  # noqa: D102
        return {**super().fields(), "v_init": self.v_init()}

    def run(self, current: Tensor, bias: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        return integrate(current, bias, threshold, self.v_init(), self._neuron)


class DigitTwin(NeuronsTwin):
    """Of ``DigitNeurons``."""

    def __init__(self, op: DigitNeurons, surrogate: Surrogate) -> None:
        super().__init__(op, surrogate)
        self._ahead = op.ahead

    def run(self, current: Tensor, bias: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        half = threshold * 2.0 ** (self._ahead - 1)
        early = through(half, _two_thirds) if self._integer else half * 4 / 3
        unit = 2 * half.detach()
        steps = self._received(current).unbind(1)
        silence = torch.zeros_like(steps[0])
        v, sent = silence + bias, torch.zeros_like(silence)
        spikes, membranes = [], []
        for k in range(-self._ahead, len(steps)):
            received = k + self._ahead
            v = integrated(2 * v, steps[received] if received < len(steps) else silence, 0.0, self._integer)
            if k < 0:
                continue
            membranes.append(v / 2**self._ahead)
            limit = half if k == len(steps) - 1 else early
            s = self._spike(v - limit, unit) - self._spike(-limit - v, unit) * (sent > 0)
            spikes.append(s)
            sent = 2 * sent + s.detach()
            v = v - 2 * s * half
        return torch.stack(spikes, dim=1), torch.stack(membranes, dim=1)

    def at_once(self, current: Tensor, digits: int) -> Tensor:
        """Give the whole numbers that so many digits D spell, from 0 to ``2 ** D - 1``, ``(B, 1, *shape)``.

        Parameters
        ----------
        current
            What the numbers of the layer before lead to, ``(B, 1, *shape)``.
        digits
            D.
        """
        kept = current.to(self.bias.latent.dtype)
        with full_precision(kept.device):
            # In units of currents, of which there are more than of biases and thresholds.
            unit = 2.0**-CURRENT_SHIFT if self._integer else 1.0
            bias, threshold = self.bias() * (unit * 2.0**digits), self.v_threshold() * unit
            return rounded(kept, bias, threshold, 2**digits - 1)

    def _most_threshold(self, op: Neurons) -> int:
        assert isinstance(op, DigitNeurons)
        # What was made by hand may have more already.
        return max(int(MEMBRANE_MAX) >> (op.ahead + 1), int(op.v_threshold.max()))


class GradedTwin(NeuronsTwin):
    """Of ``GradedNeurons``: messages are rounded straight through, with no surrogate."""

    def __init__(self, op: GradedNeurons, surrogate: Surrogate) -> None:
        super().__init__(op, surrogate)
        self._levels = op.levels

    def run(self, current: Tensor, bias: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        messages, membranes = [], []
        for received in self._received(current).unbind(1):
            v = integrated(torch.zeros_like(received), received, bias, self._integer)
            membranes.append(v)
            # A product of a membrane and the levels takes more bits than float32 has.
            parts = v.double() * self._levels / threshold.double()
            message = through(parts, lambda x: (x + 0.5).floor())
            messages.append(message.clamp(0, self._levels).to(v.dtype))
        return torch.stack(messages, dim=1), torch.stack(membranes, dim=1)


def _two_thirds(half: Tensor) -> Tensor:
    """Give two thirds of a whole of two halves, rounded down."""
    return (half.double() * 4 / 3).floor().to(half.dtype)


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
