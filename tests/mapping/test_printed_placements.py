"""Against what Lava's compiler for Loihi 2 printed, and nengo-loihi's limits of Loihi 1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from lava_dl_networks import pilotnet, yolo_kp

from neurocompile.ir import Graph
from neurocompile.ir.processes import ConvSynapses, LinearSynapses
from neurocompile.mapping import CHIPS, map_graph
from neurocompile.mapping.boxes import whole
from neurocompile.mapping.footprint import footprint
from neurocompile.mapping.links import Link


def largest(bits: int, *shape: int) -> np.ndarray:
    """Give weights that need so many bits."""
    weight = np.ones(shape, np.int8)
    weight.ravel()[-1] = 1 if bits == 1 else 2 ** (bits - 1) - 1
    return weight


@pytest.mark.parametrize(
    ("name", "build", "printed"),
    [
        ("PilotNet SDNN", lambda: pilotnet(input_neurons=False), 61),
        ("PilotNet LIF", lambda: pilotnet(input_neurons=True), 74),
        ("YOLO-KP", yolo_kp, 574),
    ],
)
def test_cores(name: str, build: Callable[[], Graph], printed: int) -> None:
    found = map_graph(build(), CHIPS["loihi2"])
    assert not found.violations
    assert abs(len(found.cores) - printed) <= 0.15 * printed, name
    assert {"PilotNet SDNN": 54, "PilotNet LIF": 67, "YOLO-KP": 545}[name] == len(found.cores)


@pytest.mark.parametrize(
    ("inputs", "size", "outputs", "bits", "words"),
    [
        # PilotNet SDNN, then a layer of PilotNet LIF. The widths are those that the words leave open.
        (3, 3, 24, 6, 81),
        (24, 3, 36, 6, 864),
        (36, 3, 48, 6, 1620),
        (48, 3, 64, 5, 2592),
        (64, 3, 64, 4, 2880),
        (48, 3, 64, 4, 2160),
        # YOLO-KP: percentages of 16000.
        (3, 3, 16, 5, 54),
        (16, 3, 32, 6, 576),
        (32, 3, 64, 5, 1728),
        (64, 3, 128, 5, 6336),
        (128, 3, 128, 5, 12672),
        (256, 3, 64, 4, 11520),
        (256, 3, 64, 5, 13824),
        (512, 1, 256, 5, 10752),
        (512, 1, 48, 7, 3072),
    ],
)
def test_words_of_shared_kernels(inputs: int, size: int, outputs: int, bits: int, words: int) -> None:
    weight = largest(bits, outputs, inputs, size, size)
    link = Link("a", "b", (ConvSynapses(weight),), ((inputs, 9, 9),), (outputs, 10 - size, 10 - size))
    taken = footprint(CHIPS["loihi2"], whole(link.shape), [link], 0)
    assert (taken.input_axons, taken.synapse_words) == (1, words)


@pytest.mark.parametrize(
    ("inputs", "outputs", "bits", "words"),
    [
        # Before they were cut: PilotNet SDNN, PilotNet LIF, Oxford.
        (2560, 100, 4, 66560),
        (2560, 100, 3, 61440),
        (200, 256, 8, 16200),
        (256, 200, 8, 16128),
        # On one core.
        (100, 50, 6, 1500),
        (100, 50, 4, 1300),
        (50, 10, 4, 150),
        (10, 1, 4, 10),
    ],
)
def test_words_of_dense_weights(inputs: int, outputs: int, bits: int, words: int) -> None:
    link = Link("a", "b", (LinearSynapses(largest(bits, outputs, inputs)),), ((inputs,),), (outputs,))
    taken = footprint(CHIPS["loihi2"], whole(link.shape), [link], 0)
    assert (taken.input_axons, taken.synapse_words) == (inputs, words)


def test_axon_map_of_yolo() -> None:
    """One entry for a place where kernels follow, and one for a neuron where the host reads."""
    found = map_graph(yolo_kp(), CHIPS["loihi2"])
    for layer in found.layers[:-1]:
        assert layer.largest.output_axons * layer.extents[0] == layer.largest.neurons
    assert found.layers[-1].largest.output_axons == found.layers[-1].largest.neurons


def test_limits_of_loihi_1() -> None:
    """Those of nengo-loihi's ``block.py``, and of its chips."""
    chip = CHIPS["loihi1"]
    assert (chip.neurons, chip.input_axons, chip.output_axons) == (1024, 4096, 4096)
    assert (chip.synapse_words * 64, chip.cores) == (2**20, 128)


@pytest.mark.parametrize(
    ("inputs", "outputs", "words"),
    [
        # nengo-loihi's bits_per_axon, 8 bits and no index: 10 bits before every 64 synapses, in words of 64 bits.
        (1, 64, 9),
        (1, 65, 9 + 1),
        (1, 6, 1),
        (1, 7, 2),
        (300, 128, 300 * 18),
    ],
)
def test_words_of_dense_weights_on_loihi_1(inputs: int, outputs: int, words: int) -> None:
    link = Link("a", "b", (LinearSynapses(largest(8, outputs, inputs)),), ((inputs,),), (outputs,))
    taken = footprint(CHIPS["loihi1"], whole(link.shape), [link], 0)
    assert (taken.input_axons, taken.synapse_words) == (inputs, words)


def test_seven_bits_take_eight_on_loihi_1() -> None:
    seven, eight = (
        footprint(
            CHIPS["loihi1"],
            whole((40,)),
            [Link("a", "b", (LinearSynapses(largest(bits, 40, 20)),), ((20,),), (40,))],
            0,
        )
        for bits in (7, 8)
    )
    assert seven == eight
