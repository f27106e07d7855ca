"""The twins of the encoder and the decoder."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from neurocompile.ir import Array
from neurocompile.ir.fixed_point import CURRENT_SHIFT
from neurocompile.ir.processes import Decoder, Encoder
from neurocompile.ir.processes.coding import SINCE_FIRST
from neurocompile.twin.parameters import Parameter, full_precision


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

    def forward(self, current: Tensor) -> tuple[Tensor, Tensor]:
        """Give what is accumulated, in float64, and what each step adds to the scores.

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
