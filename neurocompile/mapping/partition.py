"""Cuts a layer into parts that fit on cores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from neurocompile.ir import Array
from neurocompile.mapping.boxes import Box, tiles, volume
from neurocompile.mapping.chips import Chip
from neurocompile.mapping.footprint import Footprint, footprint, output_axons
from neurocompile.mapping.links import Link, Readers, slots


@dataclass(frozen=True)
class Partition:
    """A layer in parts.

    Parameters
    ----------
    extents
        Of a part along each axis: channels, then places.
    parts
        The boxes, and what each takes.
    alone
        Where even a single neuron does not fit, what one takes; else None.
    """

    extents: tuple[int, ...]
    parts: tuple[tuple[Box, Footprint], ...]
    alone: Footprint | None = None


def partition(chip: Chip, shape: tuple[int, ...], links: Sequence[Link], readers: Sequence[Readers]) -> Partition:
    """Cut a layer into parts that fit, all of the same extents but for the last along each axis.

    It is cut so that there are the fewest cores. Where a neuron has an output axon for each core that it sends to,
    those cores count that the layers before it need for these beyond what they need for their neurons.

    Where even single neurons do not fit, the parts hold as many as a core has room for, as if nothing else
    counted.

    Parameters
    ----------
    chip
        Whose cores they are for.
    shape
        Of the layer.
    links
        The paths into it.
    readers
        The paths out of it, which are cut already.
    """

    def taken(box: Box) -> Footprint:
        return footprint(chip, box, links, output_axons(chip, box, readers))

    candidates, parts = _candidates(chip, shape)
    alive = np.ones(len(candidates), bool)
    best: tuple[int, ...] | None = None
    fewest = math.inf
    failed: Footprint | None = None
    for i, row in enumerate(candidates):
        if not alive[i]:
            continue
        if parts[i] >= fewest:
            break
        extents = tuple(int(e) for e in row)
        # In the middle no side saves anything: what does not fit there need not be tried elsewhere.
        middle = _middle(shape, extents)
        failed = _too_large(chip, [taken(middle)])
        if failed is None:
            cores = int(parts[i]) + sum(_cores_before(chip, link, middle, int(parts[i])) for link in links)
            if cores >= fewest:
                continue
            failed = _too_large(chip, map(taken, tiles(shape, extents)))
            if failed is None:
                best, fewest = extents, cores
                continue
        # Whatever is as large along every axis takes as much.
        alive &= (candidates < row).any(axis=1)
    if best is not None:
        failed = None
    else:
        # Single neurons were tried last.
        best = tuple(int(e) for e in candidates[0])
    return Partition(best, tuple((box, taken(box)) for box in tiles(shape, best)), failed)


def _cores_before(chip: Chip, link: Link, box: Box, parts: int) -> float:
    """Estimate the cores that a source needs for its axons to so many such boxes, and not for its neurons."""
    if chip.population_channels is None or link.from_host:
        return 0
    axons = slots(link, chip.population_channels) * volume(link.boxes(box)[0]) * parts
    return max(0, axons / chip.output_axons - math.prod(link.shapes[0]) / chip.neurons)


def _middle(shape: tuple[int, ...], extents: tuple[int, ...]) -> Box:
    starts = [-(-n // e) // 2 * e for n, e in zip(shape, extents, strict=True)]
    return tuple((start, min(start + e, n)) for start, e, n in zip(starts, extents, shape, strict=True))


def _too_large(chip: Chip, parts: Iterable[Footprint]) -> Footprint | None:
    return next((part for part in parts if not part.fits(chip)), None)


def _candidates(chip: Chip, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """List extents ``(candidates, axes)`` whose neurons fit, and how many parts they make, the fewest first.

    Of as many parts those come first that keep channels together, and then those that are wide.
    """
    if not shape:
        return np.empty((1, 0), np.int64), np.ones(1, np.int64)
    choices = [_extents(n) for n in shape]
    if chip.tile_width_power and len(shape) > 1:
        choices[-1] = [2**i for i in range((shape[-1] - 1).bit_length() + 1)]
    extents = np.stack(np.meshgrid(*choices, indexing="ij"), -1).reshape(-1, len(shape))
    # Along an axis that is not cut, only a width that is a power of two may take more than there is.
    extents = extents[extents.prod(axis=1) <= chip.neurons]
    counts = [-(-n // extents[:, axis]) for axis, n in enumerate(shape)]
    parts: Array = np.prod(counts, axis=0, dtype=np.int64)
    order = np.lexsort([*(-extents[:, axis] for axis in range(len(shape) - 1, -1, -1)), parts])
    return extents[order], parts[order]


def _extents(n: int) -> list[int]:
    """List the extents of parts that cut an axis evenly, each once."""
    return sorted({math.ceil(n / parts) for parts in range(1, n + 1)})
