"""What has a state of its own for each neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from neurocompile.ir import fixed_point, kernels
from neurocompile.ir.kernels import Window
from neurocompile.ir.op import Array, TensorType, require, require_broadcast
from neurocompile.ir.processes.process import Process
from neurocompile.ir.shapes import pool_shape

Reset = Literal["subtract", "zero"]


@dataclass(frozen=True, eq=False)
class IntegrateAndFire(Process):
    """Integrate-and-fire neurons without leak.

    At each step ``v += current + bias``; where ``v > v_threshold`` the neuron fires, and then either
    ``v -= v_threshold`` (reset by subtraction, Rueckauer et al. 2017) or ``v = 0``.

    In an integer stream ``v += wrap(current << 6) + bias``, saturated at 24 bits.

    Parameters
    ----------
    bias, v_threshold, v_init
        Broadcast against one image's neurons; ``v_init`` is the membrane before the first step.
    reset
        ``subtract`` or ``zero``.
    """

    bias: Array
    v_threshold: Array
    v_init: Array
    reset: Reset = "subtract"

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        for values in (self.bias, self.v_threshold, self.v_init):
            require_broadcast(values, shapes[0])
        return shapes[0]

    def infer(self, *inputs: TensorType) -> TensorType:  # noqa: D102
        output = super().infer(*inputs)
        kinds = {values.dtype.kind for values in (self.bias, self.v_threshold, self.v_init)}
        require(kinds == {"i" if output.integer else "f"}, f"its parameters do not fit a {output}")
        return output

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        return self._run_integer(inputs[0]) if self.bias.dtype.kind == "i" else self._run_real(inputs[0])

    def _run_real(self, current: Array) -> Array:
        v = np.empty(current.shape[1:], np.float64)
        v[...] = self.v_init
        spikes = np.empty(current.shape, np.bool_)
        for a, s in zip(current, spikes, strict=True):
            v += a
            v += self.bias
            np.greater(v, self.v_threshold, out=s)
            if self.reset == "subtract":
                v -= s * self.v_threshold
            else:
                v[s] = 0
        return spikes

    def _run_integer(self, current: Array) -> Array:
        bias, threshold = self.bias.astype(np.int32), self.v_threshold.astype(np.int32)
        v = np.empty(current.shape[1:], np.int32)
        v[...] = self.v_init
        u = np.empty_like(v)
        spikes = np.empty(current.shape, np.bool_)
        for a, s in zip(current, spikes, strict=True):
            # Shifted left by 8 more bits than the membrane's unit and back, int32 wraps around at 24 bits.
            up = 32 - fixed_point.MEMBRANE_BITS + fixed_point.CURRENT_SHIFT
            np.left_shift(a, up, out=u, dtype=np.int32, casting="unsafe")
            np.right_shift(u, 32 - fixed_point.MEMBRANE_BITS, out=u)
            u += bias
            v += u
            np.clip(v, -fixed_point.MEMBRANE_MAX, fixed_point.MEMBRANE_MAX, out=v)
            np.greater(v, threshold, out=s)
            if self.reset == "subtract":
                np.multiply(s, threshold, out=u)
                v -= u
            else:
                v[s] = 0
        return spikes


@dataclass(frozen=True, eq=False)
class SpikeMaxPool(Process):
    """Max pooling of spike trains: passes on what the leading input of each window adds.

    The output up to any step is the largest sum that an input of the window has reached by then. On spikes the
    neuron that is first to reach a count gates its window, so the pool fires once for each count reached, and
    its rate converges to the largest rate in the window.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()

    @property
    def window(self) -> Window:
        """The window."""
        return Window(self.kernel, self.stride, self.padding, self.dilation)

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return pool_shape(shapes[0], self.window)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        x = inputs[0]
        # MOST_STEPS steps of small counts can't overflow 32 bits; graded currents get 64.
        wide = np.int32 if x.dtype.itemsize <= 2 else np.int64
        total = np.zeros(x.shape[1:], np.float64 if x.dtype.kind == "f" else wide)
        before = kernels.pool_max(total, self.window)
        output = np.empty((len(x), *before.shape), x.dtype)
        for now, out in zip(x, output, strict=True):
            total += now
            leading = kernels.pool_max(total, self.window)
            np.subtract(leading, before, out=out, casting="unsafe")
            before = leading
        return output
