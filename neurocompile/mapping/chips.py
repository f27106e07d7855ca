"""What a core of each chip holds, each constant with its source.

The abbreviations of sources:

nengo-loihi
    github.com/nengo/nengo-loihi, ``block.py``, ``builder/validate.py`` and ``hardware/builder.py``.
YOLO-KP, PilotNet SDNN, PilotNet LIF, Oxford
    The tables that Lava's Loihi 2 compiler printed into the notebooks of github.com/lava-nc/lava-dl,
    ``tutorials/lava/lib/dl/netx``: ``yolo_kp/run.ipynb`` (in percent), ``pilotnet_sdnn/benchmark.ipynb``,
    ``pilotnet_snn/benchmark.ipynb`` and ``oxford/run.ipynb`` (in numbers).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from neurocompile.errors import DataError

ChipName = Literal["loihi1", "loihi2"]


@dataclass(frozen=True)
class Chip:
    """The limits of a chip, and how its cores hold synapses.

    Parameters
    ----------
    name
        As on the command line.
    cores
        Of one chip.
    neurons, input_axons, output_axons, synapse_words, neuron_groups
        What one core holds at most; words are of 64 bits. ``output_axons`` are pairs of a neuron and a core that
        it sends to on Loihi 1, and entries of the axon map on Loihi 2. None where the chip knows no such thing.
    header_bits
        Before the synapses of an axon, or of each block of them.
    block_synapses
        The most synapses under one header; None for any number.
    weight_bits
        The widths that a weight can have.
    dense_index_bits
        That each synapse of an all-to-all connection takes besides its weight.
    population_channels
        The most channels that share one output axon of the single kind; more take two. None where the chip's
        messages carry the channel.
    tile_width_power
        Whether the tile of a core is a power of two wide.
    mesh
        Tiles from east to west and from north to south, and cores in a tile; None where it is not published.
    codes
        Of the spikes that the chip's messages can carry.
    """

    name: ChipName
    cores: int
    neurons: int
    input_axons: int
    output_axons: int
    synapse_words: int
    neuron_groups: int | None
    header_bits: int
    block_synapses: int | None
    weight_bits: tuple[int, ...]
    dense_index_bits: int
    population_channels: int | None
    tile_width_power: bool
    mesh: tuple[int, int, int] | None
    codes: tuple[str, ...]


LOIHI1 = Chip(
    name="loihi1",
    cores=128,  # Davies et al. 2018
    neurons=1024,  # nengo-loihi: MAX_COMPARTMENTS
    input_axons=4096,  # nengo-loihi: MAX_IN_AXONS
    output_axons=4096,  # nengo-loihi: MAX_OUT_AXONS
    synapse_words=16384,  # nengo-loihi: MAX_SYNAPSE_BITS is 2 ** 20, in words of 64 bits
    neuron_groups=None,  # Loihi 1 has one kind of neuron; Davies et al. 2018
    header_bits=10,  # nengo-loihi: bits_per_axon
    block_synapses=64,  # nengo-loihi: n_synapses
    weight_bits=(1, 2, 3, 4, 5, 6, 8),  # nengo-loihi: WEIGHT_BITS_MAP
    dense_index_bits=0,  # nengo-loihi: all-to-all weights are stored without indices
    population_channels=32,  # nengo-loihi: axons of the kind pop16 tell 32 channels apart, pop32 take two slots
    tile_width_power=False,
    mesh=(8, 4, 4),  # SANA-FE (Boyle et al. 2023): 32 tiles of 4 cores
    codes=("rate",),  # one-bit spikes; Davies et al. 2018
)

LOIHI2 = Chip(
    name="loihi2",
    cores=120,  # of 128 (Orchard et al. 2021) those that are free for a network
    neurons=4095,  # YOLO-KP: 3584 neurons are 87.52 %, 2688 are 65.64 %
    input_axons=16000,  # YOLO-KP: one is 0.01 %
    output_axons=16000,  # YOLO-KP: 2688 entries are 16.80 %
    # PilotNet and Oxford: the compiler printed it as the register's size when a core went beyond. The percentages
    # of YOLO-KP, a year later, are whole numbers of words of 16000 and not of 12000; the smaller one is safe.
    synapse_words=12000,
    neuron_groups=8,  # YOLO-KP: one is 12.50 %
    # Oxford: 256 synapses of 20 bits take 81 words and 200 take 63, which is one header for all; YOLO-KP: 128 of 5
    # bits take 11 words, which is more than the weights alone.
    header_bits=10,
    block_synapses=None,
    weight_bits=(1, 2, 3, 4, 5, 6, 7, 8),
    dense_index_bits=12,  # Oxford: 20 bits for a synapse of 8-bit weights
    population_channels=None,
    tile_width_power=True,  # PilotNet: 20 columns took two cores of 16, since 32 would not fit; all tiles are so
    mesh=None,
    codes=("digit", "graded", "rate"),  # graded spikes; Orchard et al. 2021
)

CHIPS = {chip.name: chip for chip in (LOIHI1, LOIHI2)}

INDEX_BITS = (0, 6, 7, 8, 9, 10, 11, 12)
"""The widths of an index to a neuron of the core, on Loihi 1 (nengo-loihi: INDEX_BITS_MAP)."""


def find(name: str) -> Chip:
    """Find a chip by its name.

    Raises
    ------
    DataError
        If there is none.
    """
    for chip in CHIPS.values():
        if chip.name == name:
            return chip
    raise DataError(f"there is no chip '{name}'", remedy=f"choose one of {', '.join(get_args(ChipName))}")
