"""Between images and streams: the encoder and the decoder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from neurocompile.ir import fixed_point
from neurocompile.ir.functions import sigmoid
from neurocompile.ir.layers import ArgMax, Softmax
from neurocompile.ir.op import Array, TensorType, require, require_broadcast
from neurocompile.ir.processes.poisson import poisson_spikes
from neurocompile.ir.processes.process import Process

EncoderCode = Literal["constant", "poisson", "once"]
Readout = Literal["linear", "sigmoid", "softmax", "log_softmax", "argmax"]


@dataclass(frozen=True, eq=False)
class Encoder(Process):
    """Turns images into what the first synapses receive at every step.

    Parameters
    ----------
    shape
        Of one image.
    code
        ``constant``: the same graded value at every step. ``once``: at the first step only. ``poisson``: spikes of
        the mean rate ``min(abs(x) / ceiling, 1) / (1 + refractory)``, negative where ``x`` is (Diehl et al. 2015).
    ceiling
        The input value that the code's largest value stands for.
    levels
        Steps of the graded value between 0 and the ceiling, rounded to the nearest and clipped; 0 leaves it
        unrounded and unclipped.
    seed
        Of the Poisson spikes. Each image has a generator of its own, so the spikes do not depend on how images
        are grouped.
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
    def unit(self) -> float:
        """The input value that a stream's 1 stands for."""
        if self.code == "poisson":
            return self.ceiling * (1 + self.refractory)
        return self.ceiling / self.levels if self.levels else self.ceiling

    def infer(self, *_: TensorType) -> TensorType:  # noqa: D102
        require(min(self.shape, default=1) > 0, f"has the shape {list(self.shape)}")
        finite = math.isfinite(self.ceiling) and self.ceiling > 0
        require(finite and self.levels >= 0, f"has ceiling={self.ceiling} and levels={self.levels}")
        require(self.seed >= 0, f"has seed={self.seed}")
        require(self.refractory >= 0, f"has refractory={self.refractory}")
        whole = self.code == "poisson" or self.levels > 0
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
        if self.code == "poisson":
            return self._poisson(share, steps, first)
        if self.levels:
            share = np.rint(np.clip(share, -1, 1) * self.levels)
        if self.integer:
            share = share.astype(np.int32)
        if self.code == "once":
            stream = np.zeros((steps, *share.shape), share.dtype)
            stream[0] = share
            return stream
        return np.broadcast_to(share, (steps, *share.shape))

    def _poisson(self, share: Array, steps: int, first: int) -> Array:
        stream = np.empty((steps, *share.shape), np.int8)
        for i, image in enumerate(share):
            generator = np.random.default_rng([self.seed, first + i])
            rate = np.minimum(np.abs(image), 1).ravel() / (1 + self.refractory)
            fired = poisson_spikes(rate, steps, self.refractory, generator).reshape(steps, *self.shape)
            stream[:, i] = fired * np.sign(image).astype(np.int8)
        return stream


@dataclass(frozen=True, eq=False)
class Decoder(Process):
    """Reads the output layer: its accumulated current is the network's answer.

    The stream that it gives out is what it has accumulated by each step: ``total = total + current + bias``, or
    for digits ``total = 2 * total + current``, starting with the bias. On integers the current counts ``2 ** 6``
    as in a membrane, in 64 bits.

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
    """

    bias: Array
    unit: float = 1.0
    radix: int = 1
    readout: Readout = "linear"

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        require_broadcast(self.bias, shapes[0])
        require(math.isfinite(self.unit) and self.unit > 0, f"has unit={self.unit}")
        require(self.readout in ("linear", "sigmoid") or len(shapes[0]) > 0, "has no axis for its readout")
        return shapes[0]

    def infer(self, *inputs: TensorType) -> TensorType:  # noqa: D102
        output = super().infer(*inputs)
        require(self.bias.dtype.kind == ("i" if output.integer else "f"), f"its bias does not fit a {output}")
        return output

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        current = inputs[0]
        if self.bias.dtype.kind == "i":
            current = current.astype(np.int64) << fixed_point.CURRENT_SHIFT
        if self.radix == 1:
            return np.cumsum(current + self.bias, axis=0)
        accumulated = np.empty(current.shape, np.result_type(current, self.bias))
        total = np.broadcast_to(self.bias, current.shape[1:])
        for now, out in zip(current, accumulated, strict=True):
            total = np.add(self.radix * total, now, out=out)
        return accumulated

    def scores(self, accumulated: Array, steps: int) -> Array:
        """Estimate the network's real outputs from what was accumulated over so many steps."""
        return accumulated * (self.unit / (steps if self.radix == 1 else self.radix**steps))

    def read(self, accumulated: Array, steps: int) -> Array:
        """Estimate the network's answer ``(B, *outputs)`` from what was accumulated over so many steps."""
        scores = self.scores(accumulated, steps)
        if self.readout == "sigmoid":
            return sigmoid(scores)
        if self.readout in ("softmax", "log_softmax"):
            return Softmax(log=self.readout == "log_softmax").run(scores)
        return ArgMax().run(scores) if self.readout == "argmax" else scores
