"""Between images and streams: the encoder and the decoder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from neurocompile.ir import fixed_point
from neurocompile.ir.functions import sigmoid
from neurocompile.ir.layers import ArgMax, Softmax
from neurocompile.ir.op import Array, TensorType, require, require_broadcast
from neurocompile.ir.processes.input_spikes import SpikeCode, input_spikes
from neurocompile.ir.processes.process import MOST_STEPS, Process

EncoderCode = Literal["constant", "once", SpikeCode]
DecoderCode = Literal["membrane", "membrane_max", "first_spike"]
Readout = Literal["linear", "sigmoid", "softmax", "log_softmax", "argmax"]

SINCE_FIRST = MOST_STEPS + 1
"""What a step since the first spike counts beside spikes, of which there are fewer."""


@dataclass(frozen=True, eq=False)
class Encoder(Process):
    """Turns images into what the first synapses receive at every step.

    Parameters
    ----------
    shape
        Of one image.
    code
        ``constant``: the same graded value at every step. ``once``: at the first step only. Others: spikes of the
        mean rate ``min(abs(x) / ceiling, 1) / (1 + refractory)``, negative where ``x`` is (Diehl et al. 2015),
        laid out as ``input_spikes`` tells; or with ``ttfs`` one spike whose time tells that share.
    ceiling
        The input value that the code's largest value stands for.
    levels
        Steps of the graded value between 0 and the ceiling, rounded to the nearest and clipped; 0 leaves it
        unrounded and unclipped.
    seed
        Of spikes that are drawn.
    integer
        Whether it gives out Loihi integers.
    dtype
        Of the images, as the model declares it.
    refractory
        Steps after a Poisson spike without another.
    """

    arity: ClassVar[int | None] = 0
    shape: tuple[int, ...]
    code: EncoderCode = "constant"
    ceiling: float = 1.0
    levels: int = 0
    seed: int = 0
    integer: bool = False
    dtype: str = "float32"
    refractory: int = 0

    @property
    def spikes(self) -> bool:
        """Whether it sends spikes, and not graded values."""
        return self.code in get_args(SpikeCode)

    @property
    def unit(self) -> float:
        """The input value that a stream's 1 stands for."""
        if self.spikes:
            return self.ceiling * (1 + self.refractory)
        return self.ceiling / self.levels if self.levels else self.ceiling

    def infer(self, *_: TensorType) -> TensorType:  # noqa: D102
        require(min(self.shape, default=1) > 0, f"has the shape {list(self.shape)}")
        finite = math.isfinite(self.ceiling) and self.ceiling > 0
        require(finite and self.levels >= 0, f"has ceiling={self.ceiling} and levels={self.levels}")
        require(self.seed >= 0, f"has seed={self.seed}")
        pause = self.refractory
        require(pause == 0 or (pause > 0 and self.code == "poisson"), f"has refractory={pause} of {self.code}")
        whole = self.spikes or self.levels > 0
        require(whole or not self.integer, "sends integers, and has no levels to round them to")
        return TensorType(self.shape, stream=True, integer=self.integer)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return inputs[0]

    def encode(self, x: Array, steps: int, first: int = 0) -> Array:
        """Encode images.

        Parameters
        ----------
        x
            ``(B, *shape)``.
        steps
            T.
        first
            The index of ``x[0]`` in the data set.

        Returns
        -------
        Array
            The stream ``(T, B, *shape)``.
        """
        share = x.astype(np.float64) / self.ceiling
        if self.spikes:
            return self._spikes(share, steps, first)
        if self.levels:
            share = np.rint(np.clip(share, -1, 1) * self.levels)
        if self.integer:
            share = share.astype(np.int32)
        if self.code == "once":
            stream = np.zeros((steps, *share.shape), share.dtype)
            stream[0] = share
            return stream
        return np.broadcast_to(share, (steps, *share.shape))

    def _spikes(self, share: Array, steps: int, first: int) -> Array:
        rate = np.minimum(np.abs(share), 1).reshape(len(share), -1) / (1 + self.refractory)
        code: Any = self.code
        fired = input_spikes(code, rate, steps, self.refractory, self.seed, first)
        sign: Array = np.sign(share).astype(np.int8)
        return np.moveaxis(fired, 0, 1).reshape(steps, *share.shape) * sign


@dataclass(frozen=True, eq=False)
class Decoder(Process):
    """Reads the output layer: its accumulated current is the network's answer.

    The stream that it gives out is what it has accumulated by each step: ``total = total + current + bias``, or
    for digits ``total = 2 * total + current``, starting with the bias. On integers the current counts ``2 ** 6``
    as in a membrane, in 64 bits.

    With ``membrane_max`` it is the largest total until then. With ``first_spike``, of output neurons that spike,
    it is the number of steps since the first spike, so that the earliest is the largest; among those of one step
    that with more spikes is.

    Parameters
    ----------
    bias
        Broadcast against one image's outputs.
    unit
        The real output that a 1 in the stream stands for after one step.
    radix
        How much more a spike is worth than one a step later: 1 or 2.
    readout
        What the network's last layer makes of its outputs, which takes no spikes: ``linear`` gives them as they
        are, and the others but ``sigmoid`` work along the first axis.
    code
        ``membrane``, ``membrane_max`` or ``first_spike``, as above.
    """

    bias: Array
    unit: float = 1.0
    radix: int = 1
    readout: Readout = "linear"
    code: DecoderCode = "membrane"

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        require_broadcast(self.bias, shapes[0])
        require(math.isfinite(self.unit) and self.unit > 0, f"has unit={self.unit}")
        require(self.readout in ("linear", "sigmoid") or len(shapes[0]) > 0, "has no axis for its readout")
        require(self.code == "membrane" or self.radix == 1, f"reads digits by {self.code}")
        return shapes[0]

    def infer(self, *inputs: TensorType) -> TensorType:  # noqa: D102
        output = super().infer(*inputs)
        require(self.bias.dtype.kind == ("i" if output.integer else "f"), f"its bias does not fit a {output}")
        return output

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        current = inputs[0]
        if self.code == "first_spike":
            return _since_first(current > 0).astype(np.int64 if self.bias.dtype.kind == "i" else np.float64)
        if self.bias.dtype.kind == "i":
            current = current.astype(np.int64) << fixed_point.CURRENT_SHIFT
        if self.radix == 1:
            total: Array = np.cumsum(current + self.bias, axis=0)
            return np.maximum.accumulate(total, axis=0) if self.code == "membrane_max" else total
        accumulated = np.empty(current.shape, np.result_type(current, self.bias))
        total = np.broadcast_to(self.bias, current.shape[1:])
        for now, out in zip(current, accumulated, strict=True):
            total = np.add(self.radix * total, now, out=out)
        return accumulated

    def scores(self, accumulated: Array, steps: int) -> Array:
        """Estimate the network's real outputs from what was accumulated over so many steps.

        The steps since a first spike are no estimate of a value: here they are shares of all steps.
        """
        if self.code == "first_spike":
            return accumulated / (SINCE_FIRST * steps)
        return accumulated * (self.unit / (steps if self.radix == 1 else self.radix**steps))

    def read(self, accumulated: Array, steps: int) -> Array:
        """Estimate the network's answer ``(B, *outputs)`` from what was accumulated over so many steps."""
        scores = self.scores(accumulated, steps)
        if self.readout == "sigmoid":
            return sigmoid(scores)
        if self.readout in ("softmax", "log_softmax"):
            return Softmax(log=self.readout == "log_softmax").run(scores)
        return ArgMax().run(scores) if self.readout == "argmax" else scores


def _since_first(fired: Array) -> Array:
    """Count steps since the first spike, and spikes in the second place: ``(T, B, *shape)``."""
    count: Array = np.cumsum(fired, axis=0, dtype=np.int64)
    elapsed: Array = np.cumsum(count > 0, axis=0, dtype=np.int64)
    return elapsed * SINCE_FIRST + count
