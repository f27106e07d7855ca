"""Every network fits on its cores, or it is said why not."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from lava_dl_networks import network, square
from strategies import chain, images, layer_graphs, lowered

from neurocompile.errors import DataError, GraphError
from neurocompile.ir import Graph
from neurocompile.ir.codes import Code, DigitCode, RateCode
from neurocompile.ir.layers import AvgPool, Conv, Linear, MaxPool, ReLU, Reshape
from neurocompile.ir.paths import receivers
from neurocompile.ir.processes import Encoder
from neurocompile.mapping import CHIPS, Chip, Mapping, find, map_graph
from neurocompile.mapping.boxes import slices, volume
from neurocompile.mapping.footprint import RESOURCES
from neurocompile.mapping.placement import floor_plan, hops, position
from neurocompile.passes.lower import Lower
from neurocompile.passes.quantize import Quantize


@st.composite
def chips(draw: st.DrawFn) -> Chip:
    """Chips of either kind, of which small networks take many cores."""
    return replace(
        CHIPS[draw(st.sampled_from(["loihi1", "loihi2"]))],
        cores=draw(st.integers(1, 40)),
        neurons=draw(st.integers(1, 60)),
        input_axons=draw(st.integers(1, 60)),
        output_axons=draw(st.integers(1, 80)),
        synapse_words=draw(st.integers(1, 200)),
    )


def consistent(graph: Graph, mapping: Mapping) -> None:
    """Check that every neuron has a core, that each core holds what it has, and that the totals are right."""
    placed = {node.name: np.zeros(graph.types[node.name].shape, int) for node in receivers(graph)}
    assert [layer.name for layer in mapping.layers] == list(placed)
    refused = {issue.node for issue in mapping.violations}
    for core in mapping.cores:
        placed[core.layer][slices(core.box)] += 1
        assert core.footprint.neurons == volume(core.box)
        assert core.footprint.fits(mapping.chip) or core.layer in refused
    for name, counts in placed.items():
        assert np.all(counts == 1), name
    assert mapping.neurons == sum(core.footprint.neurons for core in mapping.cores)
    assert sum(layer.cores for layer in mapping.layers) == len(mapping.cores)
    places = [(core.chip, core.index) for core in mapping.cores]
    assert places == sorted(set(places))
    assert all(chip < mapping.chips and index < mapping.chip.cores for chip, index in places)
    for layer in mapping.layers:
        cores = mapping.cores_of(layer.name)
        for name in RESOURCES:
            assert getattr(layer.largest, name) == max(getattr(core.footprint, name) for core in cores)
        fullest = max(max(core.footprint.utilisation(mapping.chip).values()) for core in cores)
        assert layer.utilisation(mapping.chip) == pytest.approx(fullest)
    spans = [(first, last) for chip in floor_plan(mapping) for _, first, last in chip]
    assert sum(last - first + 1 for first, last in spans) == len(mapping.cores)


@given(layer_graphs(most_outputs=1, most_layers=6), chips(), st.booleans())
def test_any_network_on_small_cores(layers: Graph, chip: Chip, rounded: bool) -> None:
    try:
        graph = lowered(layers, images(layers))
    except GraphError as error:
        assume("not rectified" not in str(error))
        raise
    if rounded:
        graph = Quantize("channel")(graph)
    consistent(graph, map_graph(graph, chip))


@given(layer_graphs(most_outputs=1, most_layers=6), chips())
def test_what_has_room_is_not_cut(layers: Graph, chip: Chip) -> None:
    try:
        graph = lowered(layers, images(layers))
    except GraphError as error:
        assume("not rectified" not in str(error))
        raise
    roomy = map_graph(graph, replace(chip, **dict.fromkeys(LIMITS, 10**6), tile_width_power=False))
    assert not roomy.violations
    assert len(roomy.cores) == len(roomy.layers)


LIMITS = ("neurons", "input_axons", "output_axons", "synapse_words")


def test_axons_reach_each_core_that_needs_them() -> None:
    """On Loihi 1, against counts by hand: 10 columns on cores of 4, 4 and 2, each of which needs a column more."""
    graph = lowered(
        chain((1, 10), ReLU(), Conv(np.ones((1, 1, 2)), np.zeros(1), padding=(0, 1))), images_of((1, 10))
    )
    chip = replace(CHIPS["loihi1"], neurons=4)
    found = map_graph(graph, chip)
    consistent(graph, found)
    first, second = found.layers
    assert (first.cores, second.cores) == (3, 3)
    assert [c.footprint.output_axons for c in found.cores_of(first.name)] == [4, 5, 3]
    assert [c.footprint.input_axons for c in found.cores_of(second.name)] == [5, 5, 2]
    assert [c.footprint.output_axons for c in found.cores_of(second.name)] == [0, 0, 0]


def images_of(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).random((4, *shape))


def rate(*layers: object, shape: tuple[int, ...], code: Code | None = None) -> Graph:
    return Lower(Encoder(()), code or RateCode(8, reset="zero"))(chain(shape, *layers))


def dense(outputs: int, inputs: int) -> Linear:
    return Linear(np.ones((outputs, inputs)), np.zeros(outputs))


def test_populations_of_many_channels_take_two_axons_on_loihi_1() -> None:
    for channels, slots in [(32, 1), (33, 2)]:
        kernel = Conv(np.ones((2, channels, 1, 1)), np.zeros(2))
        graph = rate(ReLU(), kernel, shape=(channels, 3, 3))
        first = map_graph(graph, CHIPS["loihi1"]).layers[0]
        assert first.largest.output_axons == slots * channels * 9


def test_a_neuron_of_loihi_1_has_an_axon_to_each_core_of_a_dense_layer() -> None:
    graph = rate(ReLU(), dense(400, 2000), ReLU(), dense(2, 400), shape=(2000,))
    chip = replace(CHIPS["loihi1"], output_axons=1000)
    found = map_graph(graph, chip)
    consistent(graph, found)
    assert not found.violations
    first, second, _ = found.layers
    assert first.cores == -(-2000 // (1000 // second.cores))


@pytest.mark.parametrize("name", ["loihi1", "loihi2"])
def test_a_neuron_that_no_core_holds(name: str) -> None:
    chip = find(name)
    inputs = chip.input_axons + 1
    graph = rate(ReLU(), dense(3, inputs), ReLU(), dense(2, 3), shape=(inputs,))
    found = map_graph(graph, chip)
    consistent(graph, found)
    axons = [issue for issue in found.violations if "input axons" in issue.problem]
    assert [(issue.node, issue.op) for issue in axons] == [("relu3", "IntegrateAndFire")]
    assert f"takes {inputs} input axons; a core of {name} has {chip.input_axons}" in axons[0].problem
    assert axons[0].remedy == "narrow or pool the layer before it"


def test_all_violations_are_told_at_once() -> None:
    graph = rate(ReLU(), dense(3, 20), ReLU(), dense(30, 3), ReLU(), dense(2, 30), shape=(20,))
    found = map_graph(graph, replace(CHIPS["loihi1"], input_axons=19, synapse_words=19))
    assert [(issue.node, "synapse" in issue.problem) for issue in found.violations] == [
        ("relu3", False),
        ("relu3", True),
        ("decoder", False),
        ("decoder", True),
    ]
    assert all(issue.remedy for issue in found.violations)


def test_groups_and_branches_store_what_they_have() -> None:
    """Of grouped kernels each channel has its own group's outputs, and behind a Concat each its own rows."""
    whole = map_graph(rate(ReLU(), Conv(np.ones((8, 8, 3, 3)), np.zeros(8)), shape=(8, 6, 6)), CHIPS["loihi2"])
    grouped = Conv(np.ones((8, 2, 3, 3)), np.zeros(8), groups=4)
    parts = map_graph(rate(ReLU(), grouped, shape=(8, 6, 6)), CHIPS["loihi2"])
    assert whole.layers[1].largest.synapse_words == 8 * 9 * 2
    assert parts.layers[1].largest.synapse_words == 8 * 9 * 1


def test_pools_before_weights_make_one_kernel() -> None:
    kernel = Conv(np.ones((4, 2, 3, 3)), np.zeros(4), (2, 2))
    graph = rate(ReLU(), AvgPool((2, 2), (2, 2)), kernel, shape=(2, 18, 18))
    layer = map_graph(graph, CHIPS["loihi2"]).layers[1]
    # A window of 2 with stride 2 under a kernel of 3 covers 6 places; four outputs of 8 bits take a word.
    assert layer.largest.synapse_words == 2 * 36
    assert map_graph(graph, CHIPS["loihi1"]).layers[1].largest.input_axons == 18 * 18


def test_what_needs_microcode_is_said() -> None:
    layers = (
        Conv(np.ones((2, 1, 3, 3)), np.zeros(2)),
        ReLU(),
        MaxPool((2, 2), (2, 2)),
        Reshape((18,)),
        dense(2, 18),
    )
    for name, code, needs in [
        ("loihi2", RateCode(8, reset="zero"), [None, "microcode", None]),
        ("loihi2", DigitCode(8), ["microcode", "microcode", None]),
        ("loihi1", RateCode(8, reset="zero"), [None, "max pools, which the chip has not", None]),
        (
            "loihi1",
            RateCode(8),
            ["reset by subtraction, which the chip has not", "max pools, which the chip has not", None],
        ),
    ]:
        found = map_graph(rate(*layers, shape=(1, 8, 8), code=code), CHIPS[name])
        assert [layer.needs for layer in found.layers] == needs
        assert not found.violations


@pytest.mark.parametrize("code", [DigitCode(8), RateCode(8, signed=True)])
def test_loihi_1_sends_one_bit(code: Code) -> None:
    graph = rate(dense(4, 6), ReLU(), dense(2, 4), shape=(6,), code=code)
    (issue,) = map_graph(graph, CHIPS["loihi1"]).violations
    assert (issue.node, issue.remedy) == ("relu2", "choose --code rate --reset zero, or --chip loihi2")
    assert not map_graph(graph, CHIPS["loihi2"]).violations


def test_a_scalar_has_a_core() -> None:
    graph = rate(ReLU(), Reshape(()), ReLU(), shape=(1,))
    for chip in CHIPS.values():
        found = map_graph(graph, chip)
        consistent(graph, found)
        assert [layer.extents for layer in found.layers] == [(1,), (), ()]


def test_tiles_of_loihi_2_are_powers_of_two_wide() -> None:
    """PilotNet: 20 columns of 2 rows and 64 channels on two cores, though 2560 neurons would fit on one."""
    graph = network((64, 4, 22), [square(64, 3, 1, 0)], (10,))
    first = map_graph(graph, CHIPS["loihi2"]).layers[0]
    assert (first.cores, first.extents) == (2, (64, 2, 16))
    assert map_graph(graph, replace(CHIPS["loihi2"], tile_width_power=False)).layers[0].cores == 1


def test_a_mapping_is_immutable() -> None:
    found = map_graph(rate(dense(4, 6), ReLU(), dense(2, 4), shape=(6,)), CHIPS["loihi2"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.cores = ()


def test_no_such_chip() -> None:
    with pytest.raises(DataError, match="there is no chip 'loihi9'") as caught:
        find("loihi9")
    assert caught.value.issues[0].remedy == "choose one of loihi1, loihi2"


def test_cores_of_loihi_1_lie_on_a_mesh_of_tiles() -> None:
    graph = rate(ReLU(), dense(200, 1), ReLU(), dense(1, 200), shape=(1,))
    chip = replace(CHIPS["loihi1"], neurons=1)
    cores = map_graph(graph, chip).cores
    assert [position(chip, cores[i]) for i in (0, 3, 4, 31, 32, 127)] == [
        (0, 0),
        (0, 0),
        (1, 0),
        (7, 0),
        (0, 1),
        (7, 3),
    ]
    # The next chip lies to the east.
    assert position(chip, cores[128]) == (8, 0)
    assert hops(chip, cores[3], cores[32]) == (0, 1)
    assert hops(chip, cores[127], cores[129]) == (1, 3)
