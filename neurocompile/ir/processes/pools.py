"""Max pooling of what neurons send."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurocompile.ir import kernels
from neurocompile.ir.kernels import Window
from neurocompile.ir.op import Array
from neurocompile.ir.processes.process import Process
from neurocompile.ir.shapes import pool_shape


@dataclass(frozen=True, eq=False)
class SpikeMaxPool(Process):
    """Max pooling of spike trains: passes on what the leading input of each window adds.

    The pool keeps for each input what its spikes have been worth so far: ``total = radix * total + spike``. What
    it sends is the spike that makes the same sum the largest of the window's: ``max(total) - radix * max(total
    before)``. Of spikes that count alike (``radix`` 1) the neuron that is first to reach a count gates its
    window, and the rate converges to the largest in the window. Of digits (``radix`` 2) the result is a digit
    again, from -1 to 1, and the largest value exactly.

    Parameters
    ----------
    radix
        How much more a spike is worth than one a step later: 1 or 2.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...] = ()
    padding: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    radix: int = 1

    @property
    def window(self) -> Window:
        """The window."""
        return Window(self.kernel, self.stride, self.padding, self.dilation)

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:  # noqa: D102
        return pool_shape(shapes[0], self.window)

    def run(self, *inputs: Array) -> Array:  # noqa: D102
        x = inputs[0]
        # MOST_STEPS steps of small counts can't overflow 32 bits, nor digits: graded currents get 64.
        wide = np.int32 if x.dtype.itemsize <= 2 else np.int64
        total = np.zeros(x.shape[1:], np.float64 if x.dtype.kind == "f" else wide)
        before = kernels.pool_max(total, self.window)
        output = np.empty((len(x), *before.shape), x.dtype)
        for now, out in zip(x, output, strict=True):
            total *= self.radix
            total += now
            leading = kernels.pool_max(total, self.window)
            np.subtract(leading, self.radix * before, out=out, casting="unsafe")
            before = leading
        return output
