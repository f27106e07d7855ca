"""Builds a function of straight lines out of layers that spikes compute."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurocompile.ir import Array, Op
from neurocompile.ir.layers import Affine, Conv, ReLU, Reshape, per_channel
from neurocompile.passes.base import Rewriter
from neurocompile.passes.piecewise import Piecewise, Ramp


def add_lines(rewriter: Rewriter, name: str, source: str, shape: tuple[int, ...], lines: Piecewise) -> None:
    """Put in, under a name, a function of a value.

    All ramps of all values are one layer of neurons, each at its threshold where its ramp ends.

    Parameters
    ----------
    source, shape
        The value's name, and its shape for an image.
    """
    if not lines.ramps:
        rewriter.set(name, Affine(np.array([lines.slope]), np.array([lines.base])), (source,))
    elif len(lines.ramps) == 1:
        gain, shift, ceiling, height = _arrays(lines.ramps)
        neurons = _add(rewriter, name, source, starts=Affine(gain, shift), ramps=ReLU(ceiling))
        rewriter.set(name, Affine(height, np.array([lines.base])), (neurons,))
    else:
        # Convolutions with a window of one place make of each channel one for each ramp, and of these one again.
        channels, *space = shape or (1,)
        image = (channels, *(space or (1,)))
        kernel = (1,) * (len(image) - 1)
        gain, shift, ceiling, height = (np.tile(values, channels) for values in _arrays(lines.ramps))
        sums = _add(
            rewriter,
            name,
            source,
            channels=Reshape(image),
            starts=Conv(gain.reshape(-1, 1, *kernel), shift, groups=channels),
            ramps=ReLU(per_channel(ceiling, len(image))),
            sums=Conv(height.reshape(channels, -1, *kernel), np.full(channels, lines.base), groups=channels),
        )
        rewriter.set(name, Reshape(shape), (sums,))


def _arrays(ramps: Sequence[Ramp]) -> tuple[Array, Array, Array, Array]:
    """Give, for each ramp, the gain and shift that make its rise one from 0 to 1, its ceiling, and its height."""
    gain = np.array([ramp.direction / ramp.width for ramp in ramps])
    shift = -gain * np.array([ramp.start for ramp in ramps])
    ceiling = np.array([1.0 if ramp.clipped else np.inf for ramp in ramps])
    return gain, shift, ceiling, np.array([ramp.height for ramp in ramps])


def _add(rewriter: Rewriter, name: str, source: str, **layers: Op) -> str:
    """Add layers in a row, named after the whole, and give the name of the last."""
    for part, op in layers.items():
        fresh = rewriter.fresh(f"{name}.{part}")
        rewriter.set(fresh, op, (source,))
        source = fresh
    return source
