from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from strategies import balanced, chain, estimate, images, layer_graphs, lowered, outputs

from neurocompile.errors import GraphError
from neurocompile.ir import Graph, Node
from neurocompile.ir.layers import Add, Affine, AvgPool, BatchNorm, Conv, Input, Linear, MaxPool, ReLU, Reshape
from neurocompile.ir.processes import (
    ConvSynapses,
    CurrentSum,
    Decoder,
    Encoder,
    ReshapeSynapses,
    IntegrateAndFire,
    LinearSynapses,
    PoolSynapses,
    ScaleSynapses,
    SpikeMaxPool,
)
from neurocompile.ir.serialization import from_document, to_document
from neurocompile.passes.lower import Lower

LOWER = Lower(Encoder(()))


@given(graph=layer_graphs(most_outputs=1))
def test_estimate_converges_to_the_layers_output(graph: Graph) -> None:
    x = images(graph)
    try:
        processes = lowered(graph, x, levels=0)
    except GraphError as error:
        assume("not rectified" not in str(error))
        raise
    expected = outputs(graph, x)[0]
    # What is still in the membranes is some spikes' worth, so the error falls as 1 / T.
    spikes = 10 * (1 + np.abs(expected).max())
    for steps in (64, 512):
        assert np.abs(estimate(processes, x, steps) - expected).max() <= spikes / steps


@given(graph=layer_graphs(most_outputs=1, without=("relu", "maxpool")))
def test_what_has_no_neurons_is_equal_at_every_step(graph: Graph) -> None:
    x = images(graph)
    expected = outputs(graph, x)[0]
    found = estimate(lowered(graph, x, levels=0), x, steps=1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * max(1, np.abs(expected).max()))


@given(graph=layer_graphs(most_outputs=1, without=("maxpool",)))
def test_leaves_its_input_unchanged(graph: Graph) -> None:
    layers = balanced(graph, images(graph))
    before = from_document(*to_document(layers))
    LOWER(layers)
    assert layers == before


def kinds(graph: Graph) -> list[type]:
    return [type(node.op) for node in graph.nodes]


def test_layers_become_synapses_and_neurons() -> None:
    conv = Conv(np.ones((2, 1, 3, 3)), np.array([0.25, 0.5]), (2, 2), (1, 1, 1, 1))
    graph = LOWER(chain((1, 8, 8), conv, ReLU(), Reshape((32,)), Linear(np.ones((3, 32)), np.zeros(3))))
    assert kinds(graph) == [
        Encoder,
        ConvSynapses,
        IntegrateAndFire,
        ReshapeSynapses,
        LinearSynapses,
        Decoder,
    ]
    assert graph["relu2"].op == IntegrateAndFire(
        np.array([0.25, 0.5]).reshape(2, 1, 1), np.array(1.0), np.array(0.5)
    )


def test_reset_to_zero_starts_from_an_empty_membrane() -> None:
    graph = Lower(Encoder(()), "zero")(chain((2,), ReLU()))
    assert (graph["relu1"].op.reset, graph["relu1"].op.v_init) == ("zero", 0)


def test_encoder_unit_goes_into_the_first_weights() -> None:
    graph = Lower(Encoder((), ceiling=2.0, levels=4))(chain((1,), Linear(np.ones((1, 1)), np.zeros(1)), ReLU()))
    assert graph["linear1"].op.weight == 0.5


def test_bias_at_padded_edges_is_kept_for_each_neuron() -> None:
    """A shift before a padded convolution brings less where the window reaches over the edge."""
    shifted = Affine(np.ones(1), np.ones(1))
    graph = LOWER(
        chain((1, 3, 3), shifted, Conv(np.ones((1, 1, 3, 3)), np.zeros(1), padding=(1, 1, 1, 1)), ReLU())
    )
    np.testing.assert_array_equal(graph["relu3"].op.bias, [[[4, 6, 4], [6, 9, 6], [4, 6, 4]]])


def test_division_of_a_mean_goes_into_the_weights_before() -> None:
    graph = LOWER(chain((1, 2, 2), Conv(np.ones((1, 1, 1, 1)), np.zeros(1)), AvgPool((2, 2), (2, 2)), ReLU()))
    assert kinds(graph)[1:3] == [ConvSynapses, PoolSynapses]
    assert graph["conv1"].op.weight == 0.25


@pytest.mark.parametrize("behind", [Linear(np.ones((1, 8)), np.zeros(1)), Affine(np.array([3.0]), np.zeros(1))])
def test_scale_of_channels_before_flatten(behind: Linear | Affine) -> None:
    graph = chain((2, 2, 2), Affine(np.array([1.0, 2.0]).reshape(2, 1, 1), np.ones((2, 1, 1))), Reshape((8,)), behind)
    x = np.arange(8.0).reshape(1, 2, 2, 2)
    np.testing.assert_allclose(estimate(LOWER(graph), x, 1), outputs(graph, x)[0])


def test_scale_of_features_stays_behind_flatten() -> None:
    graph = chain((2, 1, 1), Affine(np.ones((2, 1, 1)), np.ones(1)), Reshape((2,)), Affine(np.array([3.0, 4.0]), np.zeros(2)))
    x = np.array([1.0, 2.0]).reshape(1, 2, 1, 1)
    np.testing.assert_allclose(estimate(LOWER(graph), x, 1), [[6.0, 12.0]])


def test_branches_meet_at_the_neuron() -> None:
    graph = LOWER(
        Graph(
            (
                Node("x", Input((2,))),
                Node("a", ReLU(), ("x",)),
                Node("b", Linear(np.eye(2), np.zeros(2)), ("a",)),
                Node("sum", Add(), ("a", "b")),
                Node("c", ReLU(), ("sum",)),
            ),
            ("c",),
        )
    )
    assert isinstance(graph["c.current"].op, CurrentSum)
    assert graph["c.current"].inputs == ("c.from.a", "b")


def test_layer_read_by_two_neurons_becomes_synapses_of_each() -> None:
    graph = LOWER(
        Graph(
            (
                Node("x", Input((2,))),
                Node("fc", Linear(np.eye(2), np.zeros(2)), ("x",)),
                Node("a", ReLU(), ("fc",)),
                Node("b", ReLU(), ("fc",)),
                Node("sum", Add(), ("a", "b", "fc")),
            ),
            ("sum",),
        )
    )
    assert sorted(n.name for n in graph.nodes if isinstance(n.op, LinearSynapses)) == [
        "fc",
        "fc.to.b",
        "fc.to.decoder",
    ]


def test_path_taken_three_times_counts_so_often() -> None:
    graph = LOWER(
        Graph(
            (
                Node("x", Input((2,))),
                Node("fc", Linear(np.eye(2), np.zeros(2)), ("x",)),
                Node("sum", Add(), ("fc", "fc", "fc")),
                Node("a", ReLU(), ("sum",)),
            ),
            ("a",),
        )
    )
    assert graph["a"].inputs == ("fc",)
    np.testing.assert_array_equal(graph["fc"].op.weight, 3 * np.eye(2))


def test_max_pool_takes_spikes_as_they_are() -> None:
    graph = LOWER(chain((1, 4, 4), ReLU(), MaxPool((2, 2), (2, 2))))
    assert graph["maxpool2"].inputs == ("relu1",)
    assert isinstance(graph["maxpool2"].op, SpikeMaxPool)


def test_decoder_avoids_a_name_that_is_taken() -> None:
    graph = Graph((Node("x", Input((2,))), Node("decoder", ReLU(), ("x",))), ("decoder",))
    assert LOWER(graph).outputs == ("decoder'",)


def test_input_that_is_the_output() -> None:
    graph = LOWER(Graph((Node("x", Input((2,))),), ("x",)))
    assert kinds(graph) == [Encoder, ScaleSynapses, Decoder]


def test_refuses_everything_that_does_not_lower_at_once() -> None:
    graph = Graph(
        (
            Node("x", Input((1, 2, 2))),
            Node("y", Input((1, 2, 2))),
            Node("shifted", Affine(np.ones(1), np.ones(1)), ("x",)),
            Node("pool", MaxPool((2, 2), (2, 2)), ("shifted",)),
            Node("sum", Add(), ("x", "y")),
        ),
        ("pool", "sum"),
    )
    with pytest.raises(GraphError) as caught:
        LOWER(graph)
    problems = [issue.problem for issue in caught.value.issues]
    assert problems == [
        "has the outputs ['pool', 'sum']",
        "has the inputs ['x', 'y']",
        "pools values with a bias that are not rectified",
    ]


def test_names_a_layer_that_has_no_spiking_form() -> None:
    norm = BatchNorm(np.ones(1), np.zeros(1), np.zeros(1), np.ones(1))
    with pytest.raises(GraphError, match=r"node 'batchnorm1' \(BatchNorm\): has no spiking form"):
        LOWER(chain((1,), norm))


def test_names_of_the_model_may_look_like_those_that_lowering_makes() -> None:
    weight, bias = np.eye(2), np.zeros(2)
    graph = Graph.of(
        [
            Node("x", Input((2,))),
            Node("decoder", Linear(weight, bias), ("x",)),
            Node("relu.current", ReLU(), ("decoder",)),
            Node("sum", Add(), ("x", "relu.current")),
            Node("relu", ReLU(), ("sum",)),
        ],
        ["relu"],
    )
    lowered = Lower(Encoder((2,)))(graph)
    assert {type(lowered[name].op) for name in ("relu", "relu.current")} == {IntegrateAndFire}
