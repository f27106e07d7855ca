"""Estimates what a measured activity costs on Loihi 1. There is no public table of operations for Loihi 2."""

from __future__ import annotations

from collections.abc import Mapping as Table
from dataclasses import dataclass

import numpy as np

from neurocompile.backend import Activity
from neurocompile.errors import DataError
from neurocompile.ir import Array
from neurocompile.mapping.boxes import intersection, slices, volume
from neurocompile.mapping.links import Readers
from neurocompile.mapping.mapper import Mapping
from neurocompile.mapping.placement import hops

SYNAPTIC_OPERATION_PJ = 23.6
"""Davies et al. 2018."""

NEURON_UPDATE_PJ = 81.0
"""Davies et al. 2018, of an active neuron."""

EAST_WEST_HOP_PJ = 3.0
"""Davies et al. 2018, for a spike and tile."""

NORTH_SOUTH_HOP_PJ = 4.2
"""As SANA-FE (Boyle et al. 2023) has it, for a spike and tile."""

SYNAPTIC_OPERATION_NS = 3.5
"""Davies et al. 2018, table 2, at most."""

NEURON_UPDATE_NS = 8.4
"""Davies et al. 2018, of an active neuron."""

BARRIER_NS = 465.0
"""Davies et al. 2018, table 2: all of a chip's 32 tiles wait for each other at the end of a step."""

SOURCE = "estimate; constants of Davies et al. 2018 and, for hops from north to south, SANA-FE (Boyle et al. 2023)"


@dataclass(frozen=True)
class Estimate:
    """What an image costs, on average: an estimate, since nothing ran on a chip.

    Parameters
    ----------
    synapses_nj, neurons_nj, hops_nj
        Energy of synaptic operations, of neuron updates, and of spikes on their way between tiles, in nanojoules.
        What the chip takes at rest, its x86 cores and the input are not in it.
    time_us
        In microseconds: in every step each core does its share, and all wait for the slowest. Spikes are taken to
        be spread evenly over the steps.
    source
        That it is an estimate, and by which constants.
    """

    synapses_nj: float
    neurons_nj: float
    hops_nj: float
    time_us: float
    source: str = SOURCE

    @property
    def energy_nj(self) -> float:
        """All of it."""
        return self.synapses_nj + self.neurons_nj + self.hops_nj


def estimate(mapping: Mapping, activity: Table[str, Activity], images: int, steps: int) -> Estimate:
    """Estimate energy and time of an image on Loihi 1.

    Parameters
    ----------
    mapping
        Of the network.
    activity
        For each source of spikes, over all images, as a ``Result`` or an ``Evaluation`` has it.
    images
        That it was measured on.
    steps
        That the chip runs for an image.

    Raises
    ------
    DataError
        If the mapping is for another chip, the activity is not all there, or numbers are below 1.
    """
    if mapping.chip.name != "loihi1":
        problem = f"there is no public table of energies for {mapping.chip.name}"
        raise DataError(problem, remedy="map the network to loihi1")
    if images < 1 or steps < 1:
        raise DataError(f"images={images} and steps={steps}, which has less than 1", remedy="choose 1 or more")
    missing = sorted({r.link.source for r in mapping.readers} - set(activity))
    if missing:
        raise DataError(f"there is no activity of {missing}", remedy="give that of every source of spikes")
    operations = _operations_by_core(mapping, activity)
    east_west = north_south = 0.0
    for readers in mapping.readers:
        crossed = _hops(mapping, readers, activity[readers.link.source].by_neuron)
        east_west, north_south = east_west + crossed[0], north_south + crossed[1]
    neurons = np.array([core.footprint.neurons for core in mapping.cores])
    busy_ns = operations / (images * steps) * SYNAPTIC_OPERATION_NS + neurons * NEURON_UPDATE_NS
    return Estimate(
        synapses_nj=float(operations.sum()) / images * SYNAPTIC_OPERATION_PJ / 1e3,
        neurons_nj=float(neurons.sum()) * steps * NEURON_UPDATE_PJ / 1e3,
        hops_nj=(east_west * EAST_WEST_HOP_PJ + north_south * NORTH_SOUTH_HOP_PJ) / images / 1e3,
        time_us=steps * (float(busy_ns.max()) + BARRIER_NS) / 1e3,
    )


def _operations_by_core(mapping: Mapping, activity: Table[str, Activity]) -> Array:
    """Deal the synaptic operations of each source out to the cores that they happen on."""
    first = {core.layer: i for i, core in reversed(list(enumerate(mapping.cores)))}
    found = np.zeros(len(mapping.cores))
    for source in dict.fromkeys(r.link.source for r in mapping.readers):
        share = np.zeros(len(mapping.cores))
        for readers in (r for r in mapping.readers if r.link.source == source):
            for i, needs in enumerate(readers.needs, first[readers.link.receiver]):
                # What arrives, and to how many of the core's neurons each of it goes on average.
                events = float(activity[source].by_neuron[slices(needs)].sum())
                pairs = mapping.cores[i].footprint.neurons * min(readers.link.fan_in, volume(needs))
                share[i] += events * pairs / max(1, volume(needs))
        if share.any():
            found += share / share.sum() * activity[source].synaptic_operations
    return found


def _hops(mapping: Mapping, readers: Readers, events: Array) -> tuple[float, float]:
    """Count the hops of a source's spikes to the cores that read them; of the input, from the host, none."""
    east_west = north_south = 0.0
    targets = mapping.cores_of(readers.link.receiver)
    for core in mapping.cores_of(readers.link.source):
        for target, needs in zip(targets, readers.needs, strict=True):
            sent = float(events[slices(intersection(core.box, needs))].sum())
            x, y = hops(mapping.chip, core, target)
            east_west, north_south = east_west + sent * x, north_south + sent * y
    return east_west, north_south
