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

    def too_large(boxes: Iterable[Box]) -> Footprint | None:
        return next((part for part in map(taken, boxes) if not part.fits(chip)), None)

    choices, ones = _choices(chip, shape), (1,) * len(shape)
    largest = _candidates(chip, shape, choices)[0][0]
    # What does not fit along one axis, a single value along all others, fits in no part.
    choices = [
        [e for e in axis if e == 1 or too_large([_middle(shape, (*ones[:i], e, *ones[i + 1 :]))]) is None]
        for i, axis in enumerate(choices)
    ]
    best: tuple[int, ...] | None = None
    fewest = math.inf
    failed: Footprint | None = None
    for row, parts in zip(*_candidates(chip, shape, choices), strict=True):
        if parts >= fewest:
            break
        extents = tuple(int(e) for e in row)
        # In the middle no side saves anything: what does not fit there need not be tried elsewhere.
        middle = _middle(shape, extents)
        failed = too_large([middle])
        if failed is None:
            cores = int(parts) + sum(_cores_before(chip, link, middle, int(parts)) for link in links)
            if cores < fewest:
                failed = too_large(tiles(shape, extents))
                if failed is None:
                    best, fewest = extents, cores
    if best is not None:
        failed = None
    else:
        # Single neurons were tried last.
        best = tuple(int(e) for e in largest)
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


def _choices(chip: Chip, shape: tuple[int, ...]) -> list[list[int]]:
    """List, for each axis, the extents that a part may have."""
    choices = [_extents(n) for n in shape]
    if chip.tile_width_power and len(shape) > 1:
        choices[-1] = [2**i for i in range((shape[-1] - 1).bit_length() + 1)]
    return choices


def _candidates(chip: Chip, shape: tuple[int, ...], choices: Sequence[Sequence[int]]) -> tuple[Array, Array]:
    """List extents ``(candidates, axes)`` whose neurons fit, and how many parts they make, the fewest first.

    Of as many parts those come first that keep channels together, and then those that are wide. Places of a tile
    count even where the layer ends within it.
    """
    if not shape:
        return np.empty((1, 0), np.int64), np.ones(1, np.int64)
    extents = np.stack(np.meshgrid(*choices, indexing="ij"), -1).reshape(-1, len(shape))
    extents = extents[extents.prod(axis=1) <= chip.neurons]
    counts = [-(-n // extents[:, axis]) for axis, n in enumerate(shape)]
    parts: Array = np.prod(counts, axis=0, dtype=np.int64)
    order = np.lexsort([*(-extents[:, axis] for axis in range(len(shape) - 1, -1, -1)), parts])
    return extents[order], parts[order]


def _extents(n: int) -> list[int]:
    """List the extents of parts that cut an axis evenly, each once."""
    return sorted({math.ceil(n / parts) for parts in range(1, n + 1)})
