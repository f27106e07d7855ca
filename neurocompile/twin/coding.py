"""The twins of the encoder and the decoder."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from neurocompile.ir import Array
from neurocompile.ir.fixed_point import CURRENT_SHIFT
from neurocompile.ir.processes import Decoder, Encoder
from neurocompile.ir.processes.coding import SINCE_FIRST
from neurocompile.losses.precision import full_precision
from neurocompile.twin.parameters import Parameter


def encoded(encoder: Encoder, images: Tensor | Array, steps: int, first: int, like: Tensor) -> Tensor:
    """Encode images ``(B, *shape)`` as the stream ``(B, T, *shape)``, of the type and on the device of a tensor.

    Spikes are laid out by NumPy, so that they are those of the engine.
    """
    if encoder.spikes:
        array = images.detach().cpu().numpy() if isinstance(images, Tensor) else images
        stream = np.moveaxis(encoder.encode(array, steps, first), 0, 1)
        return torch.tensor(stream, dtype=like.dtype, device=like.device)
    share = torch.as_tensor(images).to(like.device, torch.float64) / encoder.ceiling
    if encoder.levels:
        share = (share.clamp(-1, 1) * encoder.levels).round()
    stream_of_one = share.to(like.dtype)[:, None]
    if encoder.code == "once":
        silence = torch.zeros_like(stream_of_one).expand(-1, steps - 1, *share.shape[1:])
        return torch.cat([stream_of_one, silence], dim=1)
    return stream_of_one.expand(-1, steps, *share.shape[1:])


def numbers(stream: Tensor) -> Tensor:
    """Give the whole numbers that digits ``(B, T, *shape)`` spell, the highest first: ``(B, 1, *shape)``."""
    places = 2.0 ** torch.arange(stream.shape[1] - 1, -1, -1, device=stream.device)
    return (stream * places.reshape(-1, *[1] * (stream.dim() - 2))).sum(dim=1, keepdim=True).to(stream.dtype)


class DecoderTwin(nn.Module):
    """Of ``Decoder``, whose bias is trained.

    Parameters
    ----------
    op
        The process.
    """

    def __init__(self, op: Decoder) -> None:
        super().__init__()
        self._integer = op.bias.dtype.kind == "i"
        self._decoder = op
        self.bias = Parameter(op.bias, torch.round if self._integer else None, 1 / op.unit)

    def forward(self, current: Tensor, *, digits: int | None = None) -> tuple[Tensor, Tensor]:
        """Give what is accumulated, in float64, and what each step adds to the scores.

        Parameters
        ----------
        current
            ``(B, T, *outputs)``.
        digits
            How many spell the numbers that lead to it, if these come at once.

        Returns
        -------
        potentials, output
            Both ``(B, T, *outputs)``. The mean over T of the second is what ``Decoder.scores`` estimates, or would
            if the decoder read the membrane at the end: training has that for a goal.
        """
        steps, decoder = current.shape[1], self._decoder
        with full_precision(current.device):
            wide, bias = current.double(), self.bias().double()
            if self._integer:
                wide = wide * 2.0**CURRENT_SHIFT
            if digits is not None:
                accumulated = wide + bias * 2.0**digits
                return accumulated, accumulated * (decoder.unit * 2.0**-digits)
            if decoder.radix == 1:
                added = wide + bias
                return self._read(added.cumsum(1), current), added * decoder.unit
            total, totals = bias.expand_as(wide[:, 0]), []
            for now in wide.unbind(1):
                total = decoder.radix * total + now
                totals.append(total)
            powers = torch.arange(1, steps + 1, device=wide.device).reshape(-1, *[1] * (wide.dim() - 2))
            worth = steps * float(decoder.radix) ** -powers.double()
            return torch.stack(totals, dim=1), (bias + wide * worth) * decoder.unit

    def _read(self, total: Tensor, current: Tensor) -> Tensor:
        if self._decoder.code == "membrane_max":
            return total.cummax(1).values
        if self._decoder.code == "first_spike":
            count = (current > 0).double().cumsum(1)
            return (count > 0).double().cumsum(1) * SINCE_FIRST + count
        return total

    def fields(self) -> dict[str, Tensor]:
        """Give the process's fields as they are now."""
        return {"bias": self.bias()}
