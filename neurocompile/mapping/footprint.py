"""What a part of a layer takes of a core."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from neurocompile.ir.processes import WireSynapses
from neurocompile.mapping.boxes import Box, volume
from neurocompile.mapping.chips import INDEX_BITS, Chip
from neurocompile.mapping.links import Link, Readers, slots

_WORD_BITS = 64


@dataclass(frozen=True)
class Footprint:
    """What is taken of each resource of a core.

    Parameters
    ----------
    neurons
        Pools count one for each value that they send, the decoder one for each output.
    input_axons
        Distinct sources of spikes. Places of a shared kernel are one axon each on Loihi 1, where the message tells
        the channel, and one for all of them on Loihi 2, where it tells the place too.
    output_axons
        On Loihi 1 pairs of a neuron and a core that it sends to, on Loihi 2 entries of the axon map: one for each
        place where shared kernels follow, else one for each neuron.
    synapse_words
        Of 64 bits.
    neuron_groups
        Neurons with the same parameters and microcode.
    """

    neurons: int
    input_axons: int
    output_axons: int
    synapse_words: int
    neuron_groups: int = 1

    def utilisation(self, chip: Chip) -> dict[str, float]:
        """Tell what share of each resource of a core is taken; above 1 it does not fit."""
        limits = {name: getattr(chip, name) for name in RESOURCES}
        return {name: getattr(self, name) / limit for name, limit in limits.items() if limit is not None}

    def bound_by(self, chip: Chip) -> str:
        """Name the resource that is used most."""
        shares = self.utilisation(chip)
        return max(shares, key=shares.__getitem__)

    def fits(self, chip: Chip) -> bool:
        """Tell whether a core holds it."""
        return all(share <= 1 for share in self.utilisation(chip).values())


RESOURCES = tuple(field.name for field in dataclasses.fields(Footprint))


def footprint(chip: Chip, box: Box, links: Sequence[Link], output_axons: int) -> Footprint:
    """Count what a box of a layer takes.

    Parameters
    ----------
    chip
        Whose core it is.
    box
        Of the receiver's values.
    links
        The paths into it.
    output_axons
        That its neurons take.
    """
    axons = words = 0
    for link in links:
        taken = _link_footprint(chip, link, box)
        axons, words = axons + taken[0], words + taken[1]
    return Footprint(volume(box), axons, output_axons, words)


def _link_footprint(chip: Chip, link: Link, box: Box) -> tuple[int, int]:
    """Give the input axons and the words that a path takes."""
    boxes = link.boxes(box)
    sources, neurons = volume(boxes[0]), volume(box)
    if not sources:
        return 0, 0
    width = next(bits for bits in chip.weight_bits if bits >= link.weight_bits)
    if not link.shared:
        # Each source has the synapses of the neurons that it reaches under one axon.
        pairs = neurons * min(link.fan_in, sources)
        return sources, sources * _words(chip, -(-pairs // sources), width + chip.dense_index_bits)
    first, end = link.channels(boxes)
    inputs, (start, stop) = end - first, box[0]
    # Of grouped kernels, and of those behind a Concat, a channel reaches only a part of the outputs.
    outputs = -(-(stop - start) * min(link.channel_fan_in, inputs) // inputs)
    if chip.population_channels is None:
        return 1, inputs * link.window.places * _words(chip, outputs, width)
    index = next(bits for bits in INDEX_BITS if 2**bits >= min(neurons, 2 ** INDEX_BITS[-1]))
    words = sum(
        _words(chip, inputs * outputs * math.prod(reached), width + index)
        for reached in itertools.product(*_reached_places(link, box))
    )
    return -(-sources // (boxes[0][0][1] - boxes[0][0][0])), words


def _words(chip: Chip, synapses: int, bits: int) -> int:
    """Count the words of so many synapses of one axon (nengo-loihi: ``bits_per_axon``)."""
    block = chip.block_synapses or synapses
    full, rest = divmod(synapses, block)
    return full * _rounded(block * bits + chip.header_bits) + (
        _rounded(rest * bits + chip.header_bits) if rest else 0
    )


def _rounded(bits: int) -> int:
    return -(-bits // _WORD_BITS)


def _reached_places(link: Link, box: Box) -> list[list[int]]:
    """List, for each axis, how many of the box' places the different input places reach.

    Inputs from which the same places of the kernel lead on share their weights, as in nengo-loihi: those in the
    middle do, and those at the sides differ.
    """
    window, found = link.window, []
    size = next(
        shape for op, shape in zip(link.steps, link.shapes, strict=True) if not isinstance(op, WireSynapses)
    )[1:]
    for (start, end), n, k, s, d, before in zip(
        box[1:], size, window.kernel, window.stride, window.dilation, window.before, strict=True
    ):
        places: dict[int, list[int]] = {}
        for out in range(start, end):
            for j in range(k):
                at = out * s - before + j * d
                if 0 <= at < n:
                    places.setdefault(at, []).append(j)
        found.append([len(kernel) for kernel in {tuple(p) for p in places.values()}])
    return found


def output_axons(chip: Chip, box: Box, readers: Sequence[Readers]) -> int:
    """Count the output axons of a box of a source.

    Parameters
    ----------
    chip
        Whose core it is.
    box
        Of the source's values.
    readers
        What reads it; what nothing does, the decoder's totals, the host reads.
    """
    if chip.population_channels is not None:
        return sum(slots(r.link, chip.population_channels) * r.pairs(box) for r in readers)
    kinds = [r.link.shared for r in readers] or [False]
    places = volume(box[1:])
    return sum(places if shared else volume(box) for shared in kinds)
