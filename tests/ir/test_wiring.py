from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from strategies import images, layer_graphs, lowered

from neurocompile.errors import GraphError
from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.fan_out import fan_out
from neurocompile.ir.paths import Path, is_direct, paths, receivers, starts
from neurocompile.ir.processes import (
    Connections,
    ConvSynapses,
    CurrentSum,
    Decoder,
    DigitNeurons,
    Encoder,
    IntegrateAndFire,
    LinearSynapses,
    Neurons,
    PoolSynapses,
    ReshapeSynapses,
    ScaleSynapses,
    SpikeMaxPool,
    WireSynapses,
)

NEURON = IntegrateAndFire(np.zeros(1), np.ones(1), np.zeros(1))


def sequence(shape: tuple[int, ...], *ops: Connections) -> Graph:
    nodes = [Node("x", Encoder(shape))]
    for i, op in enumerate(ops):
        nodes.append(Node(f"s{i}", op, (nodes[-1].name,)))
    nodes.append(Node("out", Decoder(np.zeros(1)), (nodes[-1].name,)))
    return Graph(tuple(nodes), ("out",))


def counted(graph: Graph) -> Array:
    """Count by brute force: with all weights 1, one spike alone brings as much current as it drives synapses."""
    shape = graph.types["x"].shape
    counts = np.empty(shape)
    for place in np.ndindex(shape):
        value = np.zeros((1, 1, *shape))
        value[(0, 0, *place)] = 1
        for node in graph.nodes[1:-1]:
            value = node.op.run(value)
        counts[place] = value.sum()
    return counts


@pytest.mark.parametrize(
    "graph",
    [
        sequence((2, 5, 4), ConvSynapses(np.ones((4, 1, 3, 2)), stride=(2, 1), padding=(1, 0, 2, 1), groups=2)),
        sequence((1, 7, 7), ConvSynapses(np.ones((2, 1, 2, 2)), dilation=(2, 3))),
        sequence((1, 5, 5), ConvSynapses(np.ones((1, 1, 1, 1)), stride=(3, 3))),
        sequence((2, 9), ConvSynapses(np.ones((3, 2, 3)), stride=(2,), padding=(1, 2), dilation=(2,))),
        sequence(
            (2, 4, 3, 5),
            ConvSynapses(np.ones((4, 1, 2, 1, 3)), stride=(2, 1, 1), padding=(0, 1, 1, 1, 0, 2), groups=2),
            PoolSynapses((2, 1, 2), (1, 2, 1), (1, 0, 0, 0, 0, 1), (1, 1, 3)),
        ),
        sequence((2, 2, 2), ReshapeSynapses((8,)), LinearSynapses(np.ones((3, 8)))),
        sequence((2, 3), WireSynapses(np.array([0, 5, -1, 5, 5, 2])), LinearSynapses(np.ones((2, 6)))),
        sequence(
            (2, 3),
            ReshapeSynapses((1, 3, 2)),
            WireSynapses(np.array([[[3, -1], [0, 3]], [[-1, 5], [-1, -1]]])),
            ConvSynapses(np.ones((2, 1, 2, 1)), padding=(1, 0, 0, 0), groups=2),
        ),
        sequence((2, 4, 4), PoolSynapses((3, 3), (2, 2), (1, 1, 0, 0)), ConvSynapses(np.ones((2, 2, 2, 1)))),
        sequence((2, 3, 3), ConvSynapses(np.ones((2, 2, 2, 2))), ConvSynapses(np.ones((3, 2, 2, 1)))),
        sequence(
            (2, 3, 3), ConvSynapses(np.ones((2, 2, 2, 2))), ReshapeSynapses((8,)), LinearSynapses(np.ones((3, 8)))
        ),
        sequence((3,), ScaleSynapses(np.ones(3))),
        sequence((2, 3, 2), ScaleSynapses(np.ones((2, 1, 1))), ConvSynapses(np.ones((1, 2, 2, 2)))),
    ],
)
def test_fan_out_equals_counting(graph: Graph) -> None:
    np.testing.assert_array_equal(fan_out(graph)["x"], counted(graph))


def test_fan_out_adds_the_paths_of_all_receivers() -> None:
    graph = Graph(
        (
            Node("x", Encoder((2,))),
            Node("a", LinearSynapses(np.ones((3, 2))), ("x",)),
            Node("n", NEURON, ("a",)),
            Node("b", LinearSynapses(np.ones((4, 2))), ("x",)),
            Node("c", LinearSynapses(np.ones((4, 3))), ("n",)),
            Node("sum", CurrentSum(), ("b", "c")),
            Node("out", Decoder(np.zeros(4)), ("sum",)),
        ),
        ("out",),
    )
    assert {name: count.tolist() for name, count in fan_out(graph).items()} == {"x": [7, 7], "n": [4, 4, 4]}


RESIDUAL = Graph(
    (
        Node("x", Encoder((1, 4, 4))),
        Node("a", ConvSynapses(np.ones((1, 1, 1, 1))), ("x",)),
        Node("n", NEURON, ("a",)),
        Node("pool", SpikeMaxPool((2, 2), (2, 2)), ("n",)),
        Node("b", ConvSynapses(np.ones((1, 1, 1, 1))), ("pool",)),
        Node("skip", ConvSynapses(np.ones((1, 1, 1, 1)), stride=(2, 2)), ("x",)),
        Node("sum", CurrentSum(), ("b", "skip")),
        Node("m", NEURON, ("sum",)),
        Node("flat", ReshapeSynapses((4,)), ("m",)),
        Node("fc", LinearSynapses(np.ones((2, 4))), ("flat",)),
        Node("out", Decoder(np.zeros(2)), ("fc",)),
    ),
    ("out",),
)


def test_receivers_are_what_has_state() -> None:
    assert [node.name for node in receivers(RESIDUAL)] == ["n", "pool", "m", "out"]


def test_paths_lead_from_sources_through_synapses() -> None:
    assert paths(RESIDUAL, RESIDUAL["m"]) == (Path("pool", (RESIDUAL["b"],)), Path("x", (RESIDUAL["skip"],)))
    assert paths(RESIDUAL, RESIDUAL["pool"]) == (Path("n", ()),)
    assert paths(RESIDUAL, RESIDUAL["out"]) == (Path("m", (RESIDUAL["flat"], RESIDUAL["fc"])),)


def test_a_layer_starts_after_the_longest_way_and_a_pool_of_spikes_with_its_source() -> None:
    assert starts(RESIDUAL, 5) == {"x": 0, "n": 1, "pool": 1, "m": 2, "out": 3}


@pytest.mark.parametrize(
    ("neurons", "ahead"),
    [(replace(NEURON, signed=True), 0), (replace(NEURON, wait=True), 4), (DigitNeurons(*np.ones((2, 1)), 3), 3)],
)
def test_neurons_that_look_ahead_start_later(neurons: Neurons, ahead: int) -> None:
    nodes = [Node(n.name, neurons, n.inputs) if n.op is NEURON else n for n in RESIDUAL.nodes]
    first, second = 1 + ahead, 2 + 2 * ahead
    expected = {"x": 0, "n": first, "pool": first, "m": second, "out": second + 1}
    assert starts(Graph.of(nodes, ("out",)), 5) == expected


SIDE_BY_SIDE = Graph(
    (
        Node("x", Encoder((2,))),
        Node("a", ScaleSynapses(np.ones(1)), ("x",)),
        Node("n", NEURON, ("a",)),
        Node("left", WireSynapses(np.array([[0, 1, -1]])), ("n",)),
        Node("right", WireSynapses(np.array([[-1, -1, 1]])), ("x",)),
        Node("both", CurrentSum(), ("left", "right")),
        Node("pool", SpikeMaxPool((2,)), ("both",)),
        Node("flat", ReshapeSynapses((2,)), ("pool",)),
        Node("out", Decoder(np.zeros(1)), ("flat",)),
    ),
    ("out",),
)


def test_a_pool_of_branches_is_a_layer_further_on() -> None:
    assert starts(SIDE_BY_SIDE, 1) == {"x": 0, "n": 1, "pool": 2, "out": 3}
    assert {name: count.tolist() for name, count in fan_out(SIDE_BY_SIDE).items()} == {
        "x": [1, 2],
        "n": [1, 1],
        "pool": [[1, 1]],
    }


def test_only_a_pool_takes_one_sources_spikes_as_they_are() -> None:
    for name, direct in [("n", False), ("pool", True), ("m", False), ("out", False)]:
        assert is_direct(RESIDUAL[name], paths(RESIDUAL, RESIDUAL[name])) == direct
    assert not is_direct(SIDE_BY_SIDE["pool"], paths(SIDE_BY_SIDE, SIDE_BY_SIDE["pool"]))
    twice = Graph.of(
        [
            Node("x", Encoder((1, 2))),
            Node("sum", CurrentSum(), ("x", "x")),
            Node("pool", SpikeMaxPool((2,)), ("sum",)),
            Node("out", Decoder(np.zeros(1)), ("pool",)),
        ],
        ("out",),
    )
    assert starts(twice, 1) == {"x": 0, "pool": 1, "out": 2}


@pytest.mark.parametrize("op", [CurrentSum(), Decoder(np.zeros(1))])
def test_currents_are_added_right_before_receivers_only(op: CurrentSum | Decoder) -> None:
    graph = Graph(
        (
            Node("x", Encoder((1,))),
            Node("sum", op, ("x",)),
            Node("a", ScaleSynapses(np.ones(1)), ("sum",)),
            Node("out", Decoder(np.zeros(1)), ("a",)),
        ),
        ("out",),
    )
    with pytest.raises(GraphError, match=r"'sum' \((CurrentSum|Decoder)\): gives currents that go on through"):
        paths(graph, graph["out"])


@given(graph=layer_graphs(most_outputs=1))
def test_every_synapse_lies_on_one_path(graph: Graph) -> None:
    try:
        processes = lowered(graph, images(graph))
    except GraphError as error:
        assume("not rectified" not in str(error))
        raise
    on_paths = [s.name for node in receivers(processes) for path in paths(processes, node) for s in path.synapses]
    assert sorted(on_paths) == sorted(n.name for n in processes.nodes if isinstance(n.op, Connections))
