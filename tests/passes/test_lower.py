from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import FINE_CODES, RATE, balanced, chain, estimate, images, layer_graphs, lowered, outputs

from neurocompile.errors import GraphError
from neurocompile.ir import Graph, Node, Op, run
from neurocompile.ir.codes import Code, DigitCode, GradedCode, RateCode
from neurocompile.ir.layers import (
    Add,
    Affine,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Function,
    Input,
    Linear,
    MaxPool,
    Rearrange,
    ReLU,
    Reshape,
    Softmax,
    per_channel,
)
from neurocompile.ir.processes import (
    ConvSynapses,
    CurrentSum,
    Decoder,
    Encoder,
    IntegrateAndFire,
    LinearSynapses,
    PoolSynapses,
    ReshapeSynapses,
    ScaleSynapses,
    SpikeMaxPool,
    WireSynapses,
)
from neurocompile.ir.serialization import from_document, to_document
from neurocompile.passes.lower import Lower

LOWER = Lower(Encoder(()), RATE)


COARSER_AND_FINER: dict[str, tuple[Code, Code]] = {
    "rate": (RateCode(64), RateCode(512)),
    "signed": (RateCode(64, signed=True), RateCode(512, signed=True)),
    "wait": (RateCode(64, wait=True), RateCode(512, wait=True)),
    "digit": (DigitCode(6), DigitCode(9)),
    "graded": (GradedCode(6), GradedCode(8)),
}


@pytest.mark.parametrize("name", COARSER_AND_FINER)
@given(graph=layer_graphs(most_outputs=1))
def test_estimate_converges_to_the_layers_output(name: str, graph: Graph) -> None:
    x = images(graph)
    expected = outputs(graph, x)[0]
    for code in COARSER_AND_FINER[name]:
        try:
            processes = lowered(graph, x, levels=0, code=code)
        except GraphError as error:
            assume("not rectified" not in str(error))
            raise
        # What was not sent is some spikes' worth.
        spikes = 10 * (1 + np.abs(expected).max())
        assert np.abs(estimate(processes, x, code.steps) - expected).max() <= spikes * code.resolution


@given(
    graph=layer_graphs(most_outputs=1, without=("relu", "maxpool")),
    code=st.sampled_from([RATE, DigitCode(8), GradedCode(4)]),
)
def test_what_has_no_neurons_is_equal_at_every_step(graph: Graph, code: Code) -> None:
    x = images(graph)
    expected = outputs(graph, x)[0]
    for steps in (1, 4):
        found = estimate(lowered(graph, x, levels=0, code=code), x, steps)
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
    graph = Lower(Encoder(()), RateCode(8, "zero"))(chain((2,), ReLU()))
    assert (graph["relu1"].op.reset, graph["relu1"].op.v_init) == ("zero", 0)


@pytest.mark.parametrize("name", FINE_CODES)
def test_every_kind_of_neurons_is_made_by_the_code(name: str) -> None:
    code = FINE_CODES[name]
    graph = Lower(Encoder(()), code)(chain((2,), Linear(np.eye(2), np.array([0.25, 0.5])), ReLU()))
    assert graph["relu2"].op == code.neurons(np.array([0.25, 0.5]))
    assert graph["decoder"].op.radix == code.radix


@pytest.mark.parametrize("name", FINE_CODES)
def test_membranes_start_where_they_are_told(name: str) -> None:
    code, start = FINE_CODES[name], np.array([0.25, 0.75])
    graph = Lower(Encoder(()), code, starts={"relu1": start})(chain((2,), ReLU(), ReLU()))
    assert graph["relu1"].op == code.neurons(np.zeros(1), start)
    assert graph["relu2"].op == code.neurons(np.zeros(1))


def test_pools_of_spikes_count_them_as_the_code_does() -> None:
    graph = Lower(Encoder(()), DigitCode(8))(chain((1, 4, 4), ReLU(), MaxPool((2, 2)), ReLU()))
    assert graph["maxpool2"].op == SpikeMaxPool((2, 2), radix=2)


def test_what_a_message_is_worth_goes_into_the_weights_behind() -> None:
    behind = Linear(np.full((1, 2), 30.0), np.zeros(1))
    graph = Lower(Encoder(()), GradedCode(4))(chain((2,), ReLU(), behind))
    np.testing.assert_allclose(graph["linear2"].op.weight, [[2, 2]])


def test_a_pool_takes_messages_as_they_are() -> None:
    graph = Lower(Encoder(()), GradedCode(4))(chain((1, 4, 4), ReLU(), MaxPool((2, 2)), ReLU()))
    assert graph["maxpool2"].inputs == ("relu1",)
    (worth,) = (node.op.weight for node in graph.nodes if node.inputs == ("maxpool2",))
    np.testing.assert_allclose(worth, [1 / 15])


def test_what_is_sent_once_is_worth_as_much_as_what_is_sent_at_every_step() -> None:
    graph = Lower(Encoder((), "once", ceiling=2.0, levels=4), DigitCode(8))(chain((1,), ReLU()))
    (worth,) = (node.op.weight for node in graph.nodes if node.inputs == ("x",))
    assert worth.tolist() == [1]


def test_encoder_unit_goes_into_the_first_weights() -> None:
    graph = Lower(Encoder((), ceiling=2.0, levels=4), RATE)(
        chain((1,), Linear(np.ones((1, 1)), np.zeros(1)), ReLU())
    )
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
    channels = Affine(per_channel(np.array([1.0, 2.0]), 3), np.ones(1))
    graph = chain((2, 2, 2), channels, Reshape((8,)), behind)
    x = np.arange(8.0).reshape(1, 2, 2, 2)
    np.testing.assert_allclose(estimate(LOWER(graph), x, 1), outputs(graph, x)[0])


def test_scale_of_features_stays_behind_flatten() -> None:
    features = Affine(np.array([3.0, 4.0]), np.zeros(2))
    graph = chain((2, 1, 1), Affine(np.ones((2, 1, 1)), np.ones(1)), Reshape((2,)), features)
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
    lowered = Lower(Encoder((2,)), RATE)(graph)
    assert {type(lowered[name].op) for name in ("relu", "relu.current")} == {IntegrateAndFire}


RNG = np.random.default_rng(0)


def conv(outputs: int, inputs: int, size: int = 1, groups: int = 1, bias: float = 0.0) -> Conv:
    weight = RNG.normal(size=(outputs, inputs // groups, size, size))
    return Conv(weight, np.full(outputs, bias), padding=(size // 2,) * 4, groups=groups)


def two_branches(*behind: Node, bias: float = 0.0) -> Graph:
    """Neurons a of 2 channels and b of 3, joined, and layers that read them."""
    nodes = [
        Node("x", Input((2, 4, 4))),
        Node("a", ReLU(), ("x",)),
        Node("c", conv(3, 2), ("x",)),
        Node("b", ReLU(), ("c",)),
        Node("b.shifted", Affine(np.ones(1), np.full(1, bias)), ("b",)),
        Node("join", Concat(), ("a", "b.shifted")),
    ]
    return Graph.of([*nodes, *behind], [behind[-1].name])


def assert_same_without_neurons_behind(graph: Graph, lowered: Graph) -> None:
    """Compare what the decoder reads in one step with the layers' output for the same spikes as values."""
    x = np.random.default_rng(1).integers(0, 2, (4, 2, 4, 4)).astype(float)
    (last,) = graph.outputs
    names = [node.name for node in graph.nodes if isinstance(node.op, ReLU)]
    spikes = run(lowered, {"x": x[None]}, keep=[*names, *lowered.outputs])
    behind = [node for node in graph.nodes if node.name not in names]
    entries = [Node(name, Input(graph.types[name].shape)) for name in names]
    expected = run(Graph.of([*behind, *entries], [last]), {"x": x} | {n: spikes[n][0] for n in names})[last]
    np.testing.assert_allclose(spikes[lowered.outputs[0]][0], expected, atol=1e-12)


def test_branches_of_a_concat_each_take_their_own_part_of_the_weights() -> None:
    graph = two_branches(Node("conv", conv(4, 5, 3), ("join",)))
    found = LOWER(graph)
    weight = graph["conv"].op.weight
    np.testing.assert_array_equal(found["conv"].op.weight, weight[:, :2])
    np.testing.assert_array_equal(found["conv.to.decoder"].op.weight, weight[:, 2:])
    assert WireSynapses not in kinds(found)
    assert_same_without_neurons_behind(graph, found)


def test_biases_of_branches_meet_padding() -> None:
    graph = two_branches(Node("conv", conv(4, 5, 3, bias=0.5), ("join",)), bias=2.0)
    assert_same_without_neurons_behind(graph, LOWER(graph))


def test_flattened_branches_take_their_own_part_of_a_linear_layer() -> None:
    linear = Linear(RNG.normal(size=(3, 80)), np.zeros(3))
    graph = two_branches(Node("flat", Reshape((80,)), ("join",)), Node("fc", linear, ("flat",)))
    found = LOWER(graph)
    assert [node.op.weight.shape for node in found.nodes if isinstance(node.op, LinearSynapses)] == [
        (3, 32),
        (3, 48),
    ]
    assert_same_without_neurons_behind(graph, found)


def test_pool_between_a_concat_and_its_weights_adds_up_each_branch_alone() -> None:
    graph = two_branches(
        Node("pool", AvgPool((2, 2), (2, 1), (1, 0, 0, 1)), ("join",)), Node("conv", conv(4, 5), ("pool",))
    )
    found = LOWER(graph)
    assert [found.types[n.name].shape[0] for n in found.nodes if isinstance(n.op, PoolSynapses)] == [2, 3]
    assert WireSynapses not in kinds(found)
    assert_same_without_neurons_behind(graph, found)


def test_joined_neurons_get_wires_behind_the_weights_of_each_branch() -> None:
    """A scale of all channels goes into the weights of each branch, for its own channels."""
    scaled = Node("scaled", Affine(per_channel(np.arange(1.0, 6.0), 3), np.ones(1)), ("join",))
    graph = two_branches(scaled)
    found = LOWER(graph)
    scales = [node.op.weight.reshape(-1).tolist() for node in found.nodes if isinstance(node.op, ScaleSynapses)]
    assert sorted(scales, key=len) == [[1.0], [1.0, 2.0], [3.0, 4.0, 5.0]]
    assert_same_without_neurons_behind(graph, found)


def channels(*order: int) -> Rearrange:
    """Wire whole channels of an image of 4 x 4; -1 for zeros."""
    first = per_channel(np.array(order), 3)
    return Rearrange(np.where(first >= 0, 16 * first + np.arange(16).reshape(4, 4), -1))


@pytest.mark.parametrize(
    ("order", "groups", "folds"),
    [
        pytest.param((4, 0, 3, 1, 2), 1, True, id="permuted"),
        pytest.param((0, 1, 1, 2, 3, 4), 1, True, id="repeated"),
        pytest.param((0, -1, 1, 2, -1, 3, 4), 1, True, id="embedded"),
        pytest.param((1, 3), 1, False, id="selected: would take more weights"),
        pytest.param((1, 0, 3, 2), 2, False, id="some of them, in groups"),
    ],
)
def test_wires_of_whole_channels_go_into_the_weights_behind(
    order: tuple[int, ...], groups: int, folds: bool
) -> None:
    graph = chain((5, 4, 4), ReLU(), channels(*order), conv(2 * groups, len(order), 3, groups))
    found = LOWER(graph)
    assert (WireSynapses not in kinds(found)) == folds
    assert_long_run(graph, found, RNG.normal(size=(3, 5, 4, 4)))


def assert_long_run(graph: Graph, found: Graph, x: np.ndarray, steps: int = 400) -> None:
    """Compare with the layers whose ReLUs are clipped as neurons are."""
    clipped = Graph.of(
        [Node(n.name, ReLU(np.array(1.0)) if isinstance(n.op, ReLU) else n.op, n.inputs) for n in graph.nodes],
        graph.outputs,
    )
    expected = outputs(clipped, x)[0]
    assert np.abs(estimate(found, x, steps) - expected).max() <= 10 * (1 + np.abs(expected).max()) / steps


@pytest.mark.parametrize(
    ("order", "folds"),
    [((1, 0, 3, 2), True), ((0, -1, 3, 3), True), ((2, 1, 0, 3), False)],
    ids=["within groups", "silent and repeated", "across groups"],
)
def test_wires_before_a_convolution_in_groups(order: tuple[int, ...], folds: bool) -> None:
    graph = chain((4, 4, 4), ReLU(), channels(*order), conv(4, 4, 3, groups=2))
    found = LOWER(graph)
    assert (WireSynapses not in kinds(found)) == folds
    assert_long_run(graph, found, RNG.normal(size=(3, 4, 4, 4)))


def test_weights_of_silent_channels_are_0() -> None:
    """They would take up the range of the others when these become integers."""
    graph = two_branches(Node("conv", conv(5, 5, groups=5), ("join",)))
    found = LOWER(graph)
    for name, own in (("conv", [0, 1]), ("conv.to.decoder", [2, 3, 4])):
        assert np.flatnonzero(found[name].op.weight).tolist() == own
    assert_same_without_neurons_behind(graph, found)


def test_features_that_are_read_twice_add_their_weights() -> None:
    graph = LOWER(
        chain((2,), ReLU(), Rearrange(np.array([1, 0, 1, -1])), Linear(np.array([[1.0, 2, 4, 8]]), np.zeros(1)))
    )
    assert graph["linear3"].op.weight.tolist() == [[2, 5]]
    assert WireSynapses not in kinds(graph)


def test_value_that_goes_to_several_places_may_be_scaled_differently_there() -> None:
    scale = Affine(np.array([2.0, 3.0, 5.0]), np.zeros(1))
    graph = chain((2,), Linear(np.array([[1.0, 2], [4, 8]]), np.zeros(2)), Rearrange(np.array([1, 0, 1])), scale)
    x = RNG.normal(size=(3, 2))
    np.testing.assert_allclose(estimate(LOWER(graph), x, 1), outputs(graph, x)[0])


def test_wires_that_a_scale_kept_apart_become_one() -> None:
    """The first wires leave channels out, so that the scale stays behind them until weights take it."""
    first, second = channels(2, 0), channels(1, 0)
    second = Rearrange(second.index.reshape(2, 4, 4)[:, ::-1])
    scale = Affine(per_channel(np.array([2.0, 3.0]), 3), np.zeros(1))
    graph = chain((3, 4, 4), ReLU(), first, scale, second, conv(2, 2, 3))
    found = LOWER(graph)
    assert kinds(found).count(WireSynapses) == 1
    assert ScaleSynapses not in kinds(found)[2:]
    assert_long_run(graph, found, RNG.normal(size=(3, 3, 4, 4)))


def test_branch_that_is_cut_off_takes_no_synapses() -> None:
    graph = two_branches(Node("first", channels(1, 0), ("join",)), Node("conv", conv(2, 2), ("first",)))
    found = LOWER(graph)
    assert CurrentSum not in kinds(found)
    assert "b" not in found
    assert_long_run(graph, found, RNG.normal(size=(3, 2, 4, 4)))


def test_pool_of_branches_takes_their_spikes_as_they_are() -> None:
    found = LOWER(
        two_branches(Node("pool", MaxPool((2, 2), (1, 1)), ("join",)), Node("conv", conv(2, 5), ("pool",)))
    )
    assert {type(found[name].op) for name in found["pool.current"].inputs} == {WireSynapses}


def test_pool_of_spikes_and_of_what_is_worth_something_else_takes_currents() -> None:
    """The spikes of a pool of currents are not worth 1 in integers."""
    nodes = [
        Node("x", Input((2, 4, 4))),
        Node("a", ReLU(), ("x",)),
        Node("graded", MaxPool((1, 1)), ("x",)),
        Node("join", Concat(), ("a", "graded")),
        Node("pool", MaxPool((2, 2)), ("join",)),
    ]
    found = LOWER(Graph.of(nodes, ["pool"]))
    assert [found[found[name].inputs[0]].op for name in found["pool.current"].inputs] == 2 * [
        ScaleSynapses(np.ones(1))
    ]


@pytest.mark.parametrize("shape", [(3,), (2, 5), (2, 3, 4), (2, 3, 2, 3)], ids=len)
def test_scales_of_places_reach_every_place(shape: tuple[int, ...]) -> None:
    scale, shift = RNG.normal(size=shape), RNG.normal(size=shape[-1:])
    graph = chain(shape, Affine(scale, shift), Reshape((int(np.prod(shape)),)))
    x = RNG.normal(size=(2, *shape))
    np.testing.assert_allclose(estimate(LOWER(graph), x, 1), outputs(graph, x)[0])


def test_image_of_one_value() -> None:
    graph = chain((), ReLU(), Affine(np.array(2.0), np.array(0.25)), ReLU())
    x = np.array([0.125, 0.25])
    np.testing.assert_allclose(estimate(LOWER(graph), x, 64), [0.5, 0.75], atol=1 / 64)


def test_weights_become_double_precision_and_are_not_copied_where_they_are() -> None:
    weight = np.ones((1, 1, 1, 1))
    weight.setflags(write=False)
    layers = (ReLU(), Conv(weight, np.zeros(1)), ReLU(), Conv(weight.astype(np.float32), np.zeros(1, np.float32)))
    graph = LOWER(chain((1, 2, 2), *layers))
    assert graph["conv2"].op.weight is weight
    assert graph["conv4"].op.weight.dtype == np.float64


def test_readout_goes_to_the_decoder() -> None:
    graph = Lower(Encoder(()), RATE, readout="softmax")(chain((2,), ReLU()))
    assert graph["decoder"].op.readout == "softmax"


def test_layers_at_rest_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A convolution of zeros gives its bias: large networks would take as long as for an image."""
    monkeypatch.setattr(Conv, "run", lambda *_: pytest.fail("computed"))
    monkeypatch.setattr(Linear, "run", lambda *_: pytest.fail("computed"))
    layers = (conv(2, 1, 3, bias=0.5), ReLU(), Reshape((18,)), Linear(np.ones((1, 18)), np.ones(1)))
    assert LOWER(chain((1, 3, 3), *layers))["decoder"].op.bias.tolist() == [1]


@pytest.mark.parametrize(
    ("op", "problem"),
    [
        (ReLU(np.array(0.5)), "has a ceiling below the threshold"),
        (Function("sigmoid"), "has no spiking form"),
        (Softmax(), "has no spiking form"),
    ],
)
def test_names_what_it_is_not_given_by_the_passes_before(op: Op, problem: str) -> None:
    with pytest.raises(GraphError, match=problem) as caught:
        LOWER(chain((2,), op, op))
    assert [issue.node for issue in caught.value.issues] == [f"{type(op).__name__.lower()}{i}" for i in (1, 2)]
