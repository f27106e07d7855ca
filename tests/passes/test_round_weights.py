from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from strategies import chain, images, layer_graphs, lowered

from neurocompile.errors import GraphError
from neurocompile.ir import Array, Graph, Node, run
from neurocompile.ir.layers import Conv, Linear, MaxPool, ReLU
from neurocompile.ir.processes import Decoder, Encoder, IntegrateAndFire, LinearSynapses, Synapses
from neurocompile.passes.round_weights import RoundWeights


def rounded(graph: Graph, x: Array) -> tuple[Graph, Graph]:
    """Compile to real processes, before and after rounding."""
    try:
        processes = lowered(graph, x)
    except GraphError as error:
        assume("not rectified" not in str(error))
        raise
    return processes, RoundWeights()(processes)


def with_input_order(graph: Graph, order: Array) -> Graph:
    """Number the inputs of every first Linear anew, so that BLAS adds in another order."""
    nodes = []
    for node in graph.nodes:
        op = node.op
        if isinstance(op, LinearSynapses) and node.inputs == ("x",):
            op = LinearSynapses(op.weight[:, order])
        nodes.append(Node(node.name, op, node.inputs))
    return Graph(tuple(nodes), graph.outputs)


def test_spikes_do_not_depend_on_the_order_of_summation() -> None:
    rng = np.random.default_rng(0)
    layers = chain(
        (300,), Linear(rng.normal(size=(20, 300)), np.zeros(20)), ReLU(), Linear(np.eye(20), np.zeros(20))
    )
    x = rng.uniform(-1, 1, (8, 300))
    _, graph = rounded(layers, x)
    order = rng.permutation(300)
    stream = graph["x"].op.encode(x, 200)
    expected = run(graph, {"x": stream}, keep=["relu2", "decoder"])
    found = run(with_input_order(graph, order), {"x": stream[..., order]}, keep=["relu2", "decoder"])
    np.testing.assert_array_equal(found["relu2"], expected["relu2"])
    np.testing.assert_array_equal(found["decoder"], expected["decoder"])


def test_thresholds_and_starts_that_were_trained_are_rounded_too() -> None:
    """Then a membrane is a multiple of a power of two throughout, and sums of such are exact."""
    rng = np.random.default_rng(0)
    layers = chain(
        (30,), Linear(rng.normal(size=(20, 30)), np.zeros(20)), ReLU(), Linear(np.eye(20), np.zeros(20))
    )
    x = rng.uniform(-1, 1, (8, 30))
    processes, _ = rounded(layers, x)
    trained = [
        Node(n.name, replace(n.op, v_threshold=rng.uniform(0.5, 2, 20), v_init=rng.uniform(0, 0.5, 20)), n.inputs)
        if isinstance(n.op, IntegrateAndFire)
        else n
        for n in processes.nodes
    ]
    op = RoundWeights()(Graph(tuple(trained), processes.outputs))["relu2"].op
    assert isinstance(op, IntegrateAndFire)
    for values in (op.v_threshold, op.v_init):
        places = np.ldexp(values, 36)
        assert not np.array_equal(values, np.rint(values))
        np.testing.assert_array_equal(places, np.rint(places))


def test_larger_thresholds_leave_fewer_places() -> None:
    layers = chain((3,), Linear(np.eye(3), np.zeros(3)), ReLU(), Linear(np.eye(3), np.zeros(3)))
    processes, graph = rounded(layers, np.ones((4, 3)))
    large = [
        Node(n.name, replace(n.op, v_threshold=np.array(2.0**20 + 1 / 3)), n.inputs)
        if isinstance(n.op, IntegrateAndFire)
        else n
        for n in processes.nodes
    ]
    op = RoundWeights()(Graph(tuple(large), processes.outputs))["relu2"].op
    assert isinstance(op, IntegrateAndFire)
    # 52 bits of which 20 are the threshold's and 12 those of the steps.
    assert float(op.v_threshold) == 2.0**20 + round(2**20 / 3) / 2**20
    assert RoundWeights()(graph) == graph


def test_order_matters_without_rounding() -> None:
    """The test above would notice: unrounded sums differ in their last bits."""
    rng = np.random.default_rng(0)
    layers = chain((300,), Linear(rng.normal(size=(20, 300)), np.zeros(20)))
    x = rng.uniform(-1, 1, (8, 300))
    graph, _ = rounded(layers, x)
    order = rng.permutation(300)
    stream = graph["x"].op.encode(x, 2)
    found = run(with_input_order(graph, order), {"x": stream[..., order]})["decoder"]
    assert np.any(found != run(graph, {"x": stream})["decoder"])


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param((Linear(np.full((3, 4), 0.1), np.full(3, 0.3)),), id="one"),
        pytest.param(
            (Linear(np.full((3, 4), 1e6 / 3), np.zeros(3)), Linear(np.full((2, 3), 1e-6 / 7), np.full(2, 0.1))),
            id="two in a row, with a large sum between",
        ),
    ],
)
def test_potentials_are_exact_sums(layers: tuple[Linear, ...]) -> None:
    x = np.array([[0.1, 0.9, -0.3, 0.7]])
    _, graph = rounded(chain((4,), *layers), x)
    exact = [Fraction(float(v)) for v in graph["x"].op.encode(x, 1)[0, 0]]
    for node in graph.nodes:
        if isinstance(node.op, Synapses):
            exact = [
                sum(Fraction(float(w)) * v for w, v in zip(row, exact, strict=True)) for row in node.op.weight
            ]
    bias = [Fraction(float(b)) for b in np.broadcast_to(graph["decoder"].op.bias, len(exact))]
    found = run(graph, {"x": graph["x"].op.encode(x, 3)})["decoder"][:, 0]
    for step, potentials in enumerate(found, 1):
        assert [Fraction(float(v)) for v in potentials] == [
            step * (v + b) for v, b in zip(exact, bias, strict=True)
        ]


def test_weights_behind_a_pool_of_currents_are_exact_too() -> None:
    """The pool sends products on, so their factors' bits add up with those of the weights behind it."""
    pool = (Conv(np.full((1, 1, 1, 1), 1 / 3), np.zeros(1)), MaxPool((1, 1), (1, 1)))
    x = np.full((1, 1, 1, 1), 0.7)
    _, graph = rounded(chain((1, 1, 1), *pool, Conv(np.full((1, 1, 1, 1), 1 / 7), np.zeros(1))), x)
    exact = Fraction(float(graph["x"].op.encode(x, 1).item()))
    for name in ("conv1", "conv3"):
        exact *= Fraction(float(graph[name].op.weight.item()))
    assert Fraction(float(run(graph, {"x": graph["x"].op.encode(x, 1)})["decoder"].item())) == exact


@given(graph=layer_graphs(most_outputs=1))
def test_weights_keep_more_bits_than_quantisation_would_leave(graph: Graph) -> None:
    before, after = rounded(graph, images(graph))
    for node in before.nodes:
        if isinstance(node.op, Synapses):
            error = np.abs(after[node.name].op.weight - node.op.weight).max()
            assert error <= 2.0**-8 * np.abs(node.op.weight).max()


@given(graph=layer_graphs(most_outputs=1))
def test_biases_are_rounded_by_a_millionth_at_most(graph: Graph) -> None:
    before, after = rounded(graph, images(graph))
    for node in before.nodes:
        if isinstance(node.op, IntegrateAndFire | Decoder):
            error = np.abs(after[node.name].op.bias - node.op.bias).max()
            assert error <= 1e-6 * max(1, np.abs(node.op.bias).max())


def test_weights_that_spikes_reach_stay_finer_than_sums_of_float32() -> None:
    weight = np.random.default_rng(0).normal(size=(4, 8))
    before, after = rounded(chain((8,), ReLU(), Linear(weight, np.zeros(4)), ReLU()), np.ones((1, 8)))
    largest = np.abs(before["linear2"].op.weight).sum(axis=1).max()
    np.testing.assert_allclose(
        after["linear2"].op.weight, before["linear2"].op.weight, rtol=0, atol=2.0**-30 * largest
    )
    whole = after["linear2"].op.weight * 2.0 ** (30 - np.ceil(np.log2(largest)))
    assert np.array_equal(whole, np.rint(whole))
    assert np.abs(whole).sum(axis=1).max() < 2**31


def test_small_weights_before_others_keep_their_bits() -> None:
    """An encoder of 16 bits makes the first weights small: they may not round to 0."""
    layers = chain((1,), Linear(np.array([[0.3]]), np.zeros(1)), Linear(np.array([[0.7]]), np.zeros(1)))
    before = lowered(layers, np.ones((1, 1)), levels=2**16 - 1)
    np.testing.assert_allclose(RoundWeights()(before)["linear1"].op.weight, before["linear1"].op.weight, rtol=1e-3)


def test_dead_weights_are_left_alone() -> None:
    graph = lowered(chain((1,), Linear(np.zeros((1, 1)), np.ones(1))), np.ones((1, 1)))
    assert RoundWeights()(graph) == graph


def test_refuses_more_weights_in_a_row_than_share_the_bits() -> None:
    in_a_row = [Linear(np.array([[0.3]]), np.zeros(1))] * 6
    graph = lowered(chain((1,), *in_a_row), np.ones((1, 1)))
    with pytest.raises(GraphError, match=r"'decoder' \(Decoder\): .*too many for exact float64 sums"):
        RoundWeights()(graph)


@given(graph=layer_graphs(most_outputs=1))
def test_is_idempotent(graph: Graph) -> None:
    _, after = rounded(graph, images(graph))
    assert RoundWeights()(after) == after


def test_refuses_weights_that_float64_can_not_add_up_exactly() -> None:
    exploding = chain((1,), Linear(np.full((1, 1), 1e14), np.zeros(1)))
    graph = lowered(exploding, np.ones((1, 1)), levels=1)
    with pytest.raises(GraphError, match=r"its currents can reach 1e\+14 thresholds"):
        RoundWeights()(graph)


def test_counts_levels_of_the_encoder_into_the_sums() -> None:
    processes = Graph(
        (
            Node("x", Encoder((1,), levels=2**16 - 1)),
            Node("fc", LinearSynapses(np.array([[1 / 3]])), ("x",)),
            Node("decoder", Decoder(np.zeros(1)), ("fc",)),
        ),
        ("decoder",),
    )
    weight = RoundWeights()(processes)["fc"].op.weight
    # 53 bits, less 12 for the steps, 15 for the current and 1 to spare, are left behind the point.
    assert (np.ldexp(weight, 25) % 1, np.ldexp(weight, 24) % 1 != 0) == (0, True)
