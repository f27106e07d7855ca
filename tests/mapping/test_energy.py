"""Energy and time on Loihi 1, against sums by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from strategies import chain

from neurocompile.backend import Activity, measure_activity
from neurocompile.errors import DataError
from neurocompile.ir import Graph
from neurocompile.ir.codes import RateCode
from neurocompile.ir.layers import Conv, Linear, ReLU
from neurocompile.ir.processes import Encoder
from neurocompile.mapping import CHIPS, Mapping, energy, map_graph
from neurocompile.passes.lower import Lower


def network() -> Graph:
    layers = (Linear(np.ones((6, 3)), np.zeros(6)), ReLU(), Linear(np.ones((4, 6)), np.zeros(4)))
    return Lower(Encoder(()), RateCode(8, reset="zero"))(chain((3,), *layers))


def mapped(neurons: int = 1024, graph: Graph | None = None) -> Mapping:
    return map_graph(graph or network(), replace(CHIPS["loihi1"], neurons=neurons))


EVENTS = {"x": np.array([10, 0, 2]), "relu2": np.array([4, 0, 0, 0, 0, 6])}


def test_by_hand() -> None:
    graph = network()
    activity = measure_activity(graph, EVENTS)
    assert [activity[name].synaptic_operations for name in EVENTS] == [12 * 6, 10 * 4]
    found = energy.estimate(mapped(), activity, images=2, steps=8)
    assert found.synapses_nj == pytest.approx((72 + 40) / 2 * 23.6 / 1e3)
    assert found.neurons_nj == pytest.approx(10 * 8 * 81 / 1e3)
    # Both layers are on the first tile.
    assert found.hops_nj == 0
    slowest = max(72 / 16 * 3.5 + 6 * 8.4, 40 / 16 * 3.5 + 4 * 8.4)
    assert found.time_us == pytest.approx(8 * (slowest + 465) / 1e3)
    assert found.energy_nj == pytest.approx(found.synapses_nj + found.neurons_nj)
    assert found.source.startswith("estimate")
    assert "Davies et al. 2018" in found.source


def test_hops_are_weighted_by_their_direction() -> None:
    """One neuron on each core: six of the first layer, then four, four cores on a tile."""
    activity = measure_activity(network(), EVENTS)
    found = energy.estimate(mapped(neurons=1), activity, images=1, steps=8)
    # Neuron 0 on tile 0 sends 4 spikes to two cores on tile 1 and two on tile 2, neuron 5 on tile 1 sends 6.
    east_west = 4 * (2 * 1 + 2 * 2) + 6 * (2 * 0 + 2 * 1)
    assert found.hops_nj == pytest.approx(east_west * 3.0 / 1e3)


def test_hops_from_north_to_south() -> None:
    layers = (Linear(np.ones((32, 3)), np.zeros(32)), ReLU(), Linear(np.ones((1, 32)), np.zeros(1)))
    graph = Lower(Encoder(()), RateCode(8, reset="zero"))(chain((3,), *layers))
    events = {"x": np.zeros(3, int), "relu2": np.eye(32, dtype=int)[0]}
    found = energy.estimate(mapped(1, graph), measure_activity(graph, events), images=1, steps=1)
    # From tile (0, 0) to the 33rd core, on tile (0, 1).
    assert found.hops_nj == pytest.approx(4.2 / 1e3)


def test_operations_are_those_that_were_measured_however_a_layer_is_cut() -> None:
    layers = (ReLU(), Conv(np.ones((2, 2, 3, 3)), np.zeros(2), padding=(1,) * 4))
    graph = Lower(Encoder(()), RateCode(8, reset="zero"))(chain((2, 6, 6), *layers))
    events = {name: np.random.default_rng(0).integers(0, 5, (2, 6, 6)) for name in ("x", "relu1")}
    activity = measure_activity(graph, events)
    total = sum(a.synaptic_operations for a in activity.values())
    for neurons in (1024, 30, 7):
        found = energy.estimate(mapped(neurons, graph), activity, images=3, steps=2)
        assert found.synapses_nj == pytest.approx(total / 3 * 23.6 / 1e3)


def test_a_silent_network_takes_what_its_neurons_do() -> None:
    silence = {name: np.zeros_like(events) for name, events in EVENTS.items()}
    found = energy.estimate(mapped(), measure_activity(network(), silence), images=1, steps=1)
    assert (found.synapses_nj, found.hops_nj) == (0, 0)
    assert found.energy_nj == pytest.approx(10 * 81 / 1e3)


def test_nothing_is_told_of_loihi_2() -> None:
    with pytest.raises(DataError, match="no public table of energies for loihi2") as caught:
        energy.estimate(map_graph(network(), CHIPS["loihi2"]), {}, images=1, steps=1)
    assert caught.value.issues[0].remedy == "map the network to loihi1"


def test_what_can_not_be_estimated() -> None:
    activity: dict[str, Activity] = measure_activity(network(), EVENTS)
    for images, steps in [(0, 1), (1, 0)]:
        with pytest.raises(DataError, match="less than 1"):
            energy.estimate(mapped(), activity, images, steps)
    del activity["x"]
    with pytest.raises(DataError, match=r"no activity of \['x'\]"):
        energy.estimate(mapped(), activity, 1, 1)
