from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import FINE_CODES, RATE, chain, estimate, images, layer_graphs, lowered, outputs

from neurocompile.errors import GraphError
from neurocompile.ir import Array, Graph, Node, Op, run
from neurocompile.ir.codes import Code, RateCode
from neurocompile.ir.fixed_point import (
    BIAS_EXPONENT_MAX,
    BIAS_MANTISSA_MAX,
    CURRENT_MAX,
    CURRENT_SHIFT,
    MEMBRANE_MAX,
    THRESHOLD_MAX,
    WEIGHT_MAX,
    split_bias,
)
from neurocompile.ir.layers import (
    Add,
    Affine,
    AvgPool,
    Concat,
    Conv,
    Input,
    Linear,
    MaxPool,
    Rearrange,
    ReLU,
    Reshape,
)
from neurocompile.ir.processes import Encoder, IntegrateAndFire, Neurons, SpikeMaxPool, Synapses
from neurocompile.ir.serialization import from_document, to_document
from neurocompile.passes.lower import Lower
from neurocompile.passes.quantize import Granularity, Quantize

granularities = st.sampled_from(["channel", "layer"])
# 24 bits do not hold what 256 steps bring to a neuron that waits: the options refuse it.
FINE_INTEGER_CODES = {name: code for name, code in FINE_CODES.items() if name != "wait"}

CODES = {**FINE_CODES, "wait": RateCode(16, wait=True)}
"""No neurons can wait for more steps: 24 bits would not hold what these bring."""

codes = st.sampled_from(list(CODES.values()))


def real(graph: Graph, x: Array, code: Code = RATE) -> Graph:
    """Compile to real processes."""
    try:
        return lowered(graph, x, code=code)
    except GraphError as error:
        assume("not rectified" not in str(error))
        raise


def neurons(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if isinstance(node.op, Neurons)]


@given(graph=layer_graphs(most_outputs=1), granularity=granularities, code=codes)
def test_weights_are_bytes_without_the_lowest(graph: Graph, granularity: Granularity, code: Code) -> None:
    for node in Quantize(granularity)(real(graph, images(graph), code)).nodes:
        if isinstance(node.op, Synapses):
            assert node.op.weight.dtype == np.int8
            assert node.op.weight.min(initial=0) >= -WEIGHT_MAX


@given(graph=layer_graphs(most_outputs=1), granularity=granularities, code=codes)
def test_thresholds_fit_their_mantissa(graph: Graph, granularity: Granularity, code: Code) -> None:
    for node in neurons(Quantize(granularity)(real(graph, images(graph), code))):
        mantissa, rest = np.divmod(node.op.v_threshold, 1 << CURRENT_SHIFT)
        assert not rest.any()
        assert 1 <= mantissa.min() <= mantissa.max() <= THRESHOLD_MAX


@given(graph=layer_graphs(most_outputs=1), granularity=granularities, code=codes)
def test_biases_fit_mantissa_and_exponent(graph: Graph, granularity: Granularity, code: Code) -> None:
    for node in neurons(Quantize(granularity)(real(graph, images(graph), code))):
        mantissa, exponent = split_bias(node.op.bias)
        np.testing.assert_array_equal(mantissa << exponent, node.op.bias)
        assert np.abs(mantissa).max() <= BIAS_MANTISSA_MAX
        assert exponent.max() <= BIAS_EXPONENT_MAX


@given(graph=layer_graphs(most_outputs=1))
def test_granularity_layer_gives_one_threshold(graph: Graph) -> None:
    for node in neurons(Quantize("layer")(real(graph, images(graph)))):
        assert node.op.v_threshold.size == 1


@given(graph=layer_graphs(most_outputs=1), granularity=granularities, code=codes, seed=st.integers(0, 99))
def test_no_current_can_wrap_around(graph: Graph, granularity: Granularity, code: Code, seed: int) -> None:
    """Whatever arrives, and most of all where every value has the sign of its weight, 24 bits hold the current.

    And a membrane holds sixteen thresholds on top of it.
    """
    result = Quantize(granularity)(real(graph, images(graph), code))
    rng = np.random.default_rng(seed)
    values: dict[str, Array] = {}
    for node in result.nodes:
        op = node.op
        shape = (1, 3, *result.types[node.name].shape)
        if isinstance(op, Encoder):
            values[node.name] = op.levels * rng.choice([-1, 1], shape).astype(np.int32)
        elif isinstance(op, Neurons):
            current = np.abs(values[node.inputs[0]].astype(np.int64)).max() << CURRENT_SHIFT
            assert current + 16 * op.v_threshold.max() <= MEMBRANE_MAX
            sent = [0, op.largest] if op.sends.kind in "bu" else [-op.largest, 0, op.largest]
            values[node.name] = rng.choice(sent[-rng.integers(1, len(sent) + 1) :], shape).astype(op.sends)
        else:
            values[node.name] = op.run(*(values[name] for name in node.inputs))


@given(graph=layer_graphs(most_outputs=1), granularity=granularities)
def test_leaves_its_input_unchanged(graph: Graph, granularity: Granularity) -> None:
    processes = real(graph, images(graph))
    before = from_document(*to_document(processes))
    Quantize(granularity)(processes)
    assert processes == before


@pytest.mark.parametrize("name", FINE_INTEGER_CODES)
@given(graph=layer_graphs(most_outputs=1))
def test_what_neurons_send_stays_near_the_real_networks(name: str, graph: Graph) -> None:
    x, code = images(graph), CODES[name]
    processes = real(graph, x, code)
    layers = {node.name: node.op for node in neurons(processes)}
    expected, found = (
        run(g, {g.nodes[0].name: g.nodes[0].op.encode(x, code.steps)}, keep=list(layers))
        for g in (processes, Quantize()(processes))
    )
    for layer, op in layers.items():
        assert np.abs(op.value(expected[layer]) - op.value(found[layer])).mean() < 0.04


def test_what_is_silent_takes_no_range_of_integers() -> None:
    # Scales of 1 / 255 of the encoder, beside channels that the wires leave out.
    rows = np.arange(16, dtype=np.int32).reshape(4, 4, 1)
    scale = Affine(np.array([2.0, 0.7, 0.7, -0.5]).reshape(4, 1, 1), np.zeros((4, 1, 1)))
    nodes = (
        Node("x", Input((1, 4, 4))),
        Node("rows", Rearrange(rows), ("x",)),
        Node("scaled", scale, ("rows",)),
        Node("both", Concat(axis=0), ("scaled", "rows")),
        Node("pool", AvgPool(kernel=(2, 1), stride=(1, 1)), ("both",)),
    )
    graph = Graph(nodes, ("pool",))
    x, code = images(graph), CODES["rate"]
    found = estimate(Quantize()(real(graph, x, code)), x, code.steps)
    assert np.abs(found - outputs(graph, x)[0]).max() < 0.03


@pytest.mark.parametrize("name", FINE_INTEGER_CODES)
@given(graph=layer_graphs(most_outputs=1))
def test_estimate_stays_near_the_layers_output(name: str, graph: Graph) -> None:
    x, code = images(graph), CODES[name]
    expected = outputs(graph, x)[0]
    found = estimate(Quantize()(real(graph, x, code)), x, code.steps)
    assert np.abs(found - expected).max() < 0.1 * (1 + np.abs(expected).max())


def conv(seed: int, out: int, channels: int, bias: float = 0.0, size: int = 3) -> Conv:
    weight = np.random.default_rng(seed).normal(size=(out, channels, size, size)) / size
    return Conv(weight, np.full(out, bias), padding=(size // 2,) * 4)


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param((conv(0, 2, 1), conv(1, 2, 2, 0.1), ReLU()), id="conv behind conv"),
        pytest.param((conv(0, 2, 1), ReLU(), conv(1, 3, 2), conv(2, 2, 3), ReLU()), id="conv behind conv, inside"),
        pytest.param((conv(0, 2, 1), AvgPool((2, 2), (2, 2)), ReLU()), id="pool behind conv"),
        pytest.param((conv(0, 2, 1), ReLU(), AvgPool((2, 2), (2, 2)), conv(1, 2, 2), ReLU()), id="pool of spikes"),
        pytest.param((conv(0, 2, 1), Reshape((72,)), ReLU()), id="flatten behind conv"),
        pytest.param((conv(0, 2, 1), MaxPool((2, 2), (2, 2)), conv(1, 2, 2), ReLU()), id="pool of currents"),
        pytest.param((conv(0, 2, 1, -0.2), ReLU(), MaxPool((2, 2), (2, 2)), conv(1, 2, 2)), id="max of spikes"),
    ],
)
def test_two_stages_between_neurons(layers: tuple[Conv, ...]) -> None:
    graph = chain((1, 6, 6), *layers)
    x = images(graph)
    expected = outputs(graph, x)[0]
    found = estimate(Quantize()(real(graph, x)), x, 512)
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()


def test_residual_branches_of_very_different_sizes_keep_their_bits() -> None:
    rng = np.random.default_rng(0)
    weight = 1e-3 * rng.normal(size=(4, 4))
    graph = Graph(
        (
            Node("x", Input((4,))),
            Node("a", ReLU(), ("x",)),
            Node("small", Linear(weight, np.zeros(4)), ("a",)),
            Node("large", Linear(np.eye(4), np.zeros(4)), ("a",)),
            Node("sum", Add(), ("small", "large")),
            Node("b", ReLU(), ("sum",)),
        ),
        ("b",),
    )
    before = real(graph, rng.random((20, 4)))
    weight = before["small"].op.weight
    found = Quantize()(before)["small"].op.weight.astype(int)
    largest, integers = (np.abs(w).max(axis=1, keepdims=True) for w in (weight, found))
    assert np.all(integers >= 64)
    np.testing.assert_allclose(found / integers, weight / largest, atol=0.01)


def quantized(layers: Graph, levels: int = 255) -> Graph:
    """Quantize layers that are balanced already."""
    return Quantize()(Lower(Encoder((), levels=levels), RATE)(layers))


def with_rows(weight: Array, bias: Array) -> Graph:
    """One layer of neurons with these weights and biases, as fractions of the threshold."""
    return Lower(Encoder((), levels=255), RATE)(chain((weight.shape[1],), Linear(weight, bias), ReLU()))


@pytest.mark.parametrize("tiny", [0.0, 1e-4, 1e-9, 1e-30])
@pytest.mark.parametrize("bias", [0.0, -0.5, 0.5])
def test_dead_channel_costs_the_others_nothing(tiny: float, bias: float) -> None:
    weight = np.array([[0.9, 0.3], [tiny, -tiny]])
    graph = Quantize()(with_rows(weight, np.array([0.0, bias])))
    neuron = graph["relu2"].op
    # A threshold of at least 2**10 units: what is rounded stays below a thousandth.
    assert neuron.v_threshold.reshape(-1)[0] >> CURRENT_SHIFT >= 1 << 10
    x = np.array([[0.5, 0.25]])
    np.testing.assert_allclose(estimate(graph, x, 512)[0], [0.525, max(bias, 0)], atol=0.01)


def test_tiny_weights_everywhere_keep_their_bits() -> None:
    graph = Quantize()(with_rows(np.full((2, 2), 1e-3), np.zeros(2)))
    assert np.all(np.abs(graph["linear1"].op.weight.astype(int)) >= 64)


def test_huge_weights_are_refused_where_24_bits_do_not_hold_them() -> None:
    with pytest.raises(GraphError, match=r"node 'linear1' \(LinearSynapses\): .* 65,535 thresholds"):
        Quantize()(with_rows(np.full((1, 2), 1e6), np.zeros(1)))


def test_large_weights_are_taken_as_long_as_24_bits_hold_them() -> None:
    graph = Quantize()(with_rows(np.full((1, 1), 1e4), np.zeros(1)))
    assert estimate(graph, np.array([[0.5]]), 16) == pytest.approx(1)


def test_membrane_has_room_for_several_thresholds() -> None:
    """Currents come in bursts: what a saturated membrane cuts off would be lost."""
    graph = Quantize()(with_rows(np.full((1, 1), 1.0), np.zeros(1)))
    assert graph["relu2"].op.v_threshold.max() * 32 <= MEMBRANE_MAX


def test_decoder_unit_makes_its_stream_real_again() -> None:
    layers = chain((2,), Linear(np.array([[0.5, -2.0]]), np.array([0.75])))
    x = np.array([[1.0, 0.5]])
    graph = quantized(layers)
    np.testing.assert_allclose(estimate(graph, x, 4), outputs(layers, x)[0], atol=0.02)


def test_pool_that_takes_spikes_stays_as_it_is() -> None:
    layers = chain((1, 4, 4), ReLU(), MaxPool((2, 2), (2, 2)))
    graph = lowered(layers, images(layers))
    assert Quantize()(graph)["maxpool2"] == graph["maxpool2"]
    assert isinstance(graph["maxpool2"].op, SpikeMaxPool)


def test_constant_encoder_needs_levels() -> None:
    """Without them there are no integers to send: fractions would be cut off."""
    with pytest.raises(GraphError, match=r"'x' \(Encoder\): .*levels"):
        Quantize()(Lower(Encoder(()), RATE)(chain((1,), ReLU())))


def joined(sizes: Sequence[float], *behind: Op, axis: int = 0) -> Graph:
    """Convolutions of an image's 2 channels, of such sizes, side by side, and layers behind them."""
    nodes = [Node("x", Input((2, 4, 4)))]
    for i, size in enumerate(sizes):
        weight = size * np.random.default_rng(i).normal(size=(3, 2, 3, 3))
        nodes.append(Node(f"conv{i}", Conv(weight, np.zeros(3), padding=(1,) * 4), ("x",)))
    nodes.append(Node("join", Concat(axis), tuple(node.name for node in nodes[1:])))
    for i, op in enumerate(behind):
        nodes.append(Node(f"behind{i}", op, (nodes[-1].name,)))
    return Graph.of(nodes, [nodes[-1].name])


def thresholds(graph: Graph, name: str) -> Array:
    return graph[name].op.v_threshold.reshape(-1) >> CURRENT_SHIFT


def test_channels_of_joined_branches_have_units_of_their_own() -> None:
    graph = quantized(joined([0.01, 0.3], ReLU()))
    assert len(thresholds(graph, "behind0")) == 6
    for name in ("conv0", "conv1"):
        largest = np.abs(graph[name].op.weight.reshape(3, -1).astype(int)).max(axis=1)
        assert largest.min() >= 50


def test_branches_that_lie_side_by_side_do_not_add_up() -> None:
    """Their currents never meet, so that they need no more room than one, and no coarser units."""
    one, many = (quantized(joined([0.3] * count, ReLU())) for count in (1, 40))
    assert thresholds(many, "behind0").min() >= thresholds(one, "behind0").min() / 2


def test_channels_that_are_left_out_cost_the_others_nothing() -> None:
    weight = np.full((3, 2, 1, 1), 0.1)
    weight[1] = 1000
    left = Rearrange(np.arange(48).reshape(3, 4, 4)[[0, 2]])
    graph = quantized(chain((2, 4, 4), Conv(weight, np.zeros(3)), left, ReLU()))
    assert graph["conv1"].op.weight.reshape(3, 2).tolist() == [[127, 127], [0, 0], [127, 127]]


@pytest.mark.parametrize("axis", [1, 2])
def test_branches_that_are_joined_along_space_share_the_units_of_channels(axis: int) -> None:
    graph = quantized(joined([0.1, 0.3], ReLU(), axis=axis))
    assert len(thresholds(graph, "behind0")) == 3


def test_channels_that_are_repeated_or_dealt_out_have_one_unit() -> None:
    repeated = Rearrange(np.arange(48).reshape(3, 4, 4)[[0, 1, 1, 2]])
    dealt = Rearrange(np.arange(48).reshape(3, 4, 4).transpose(1, 0, 2))
    for move in (repeated, dealt, Reshape((48,))):
        graph = quantized(joined([0.1], move, ReLU()))
        assert len(thresholds(graph, "behind1")) == 1


@pytest.mark.parametrize("reads", [Conv(np.ones((2, 6, 1, 1)), np.zeros(2)), AvgPool((2, 2)), MaxPool((2, 2))])
@pytest.mark.parametrize("sizes", [(0.1, 0.1), (0.01, 1.0)])
def test_joined_branches_behave_like_the_layers(reads: Op, sizes: tuple[float, ...]) -> None:
    graph = joined(sizes, ReLU(), reads, ReLU())
    x = images(graph)
    expected = outputs(graph, x)[0]
    found = estimate(Quantize()(real(graph, x)), x, 512)
    assert np.abs(found - expected).max() < 0.04 * np.abs(expected).max()


def test_rounding_is_made_up_for_only_where_wires_lead_a_current() -> None:
    """A neuron's silent places would drift: over many steps half a unit a step is a spike."""
    index = np.full((1, 2, 4), -1)
    index[0, 0] = np.arange(4)
    layers = chain(
        (4,), Reshape((1, 1, 4)), Conv(np.full((1, 1, 1, 1), 0.001), np.zeros(1)), Rearrange(index), ReLU()
    )
    graph = quantized(layers)
    assert graph["conv2"].op.weight_exponent < 0
    bias = np.broadcast_to(graph["relu4"].op.bias, (1, 2, 4))
    assert (bias[0, 0] != 0).all()
    assert (bias[0, 1] == 0).all()


def test_scales_of_places_are_mantissas_with_a_unit_for_each_channel() -> None:
    scale = np.array([[0.5, 1.0], [0.02, 0.04]])
    graph = quantized(chain((2, 2), ReLU(), Affine(scale, np.zeros(1)), ReLU()), levels=1)
    weight = graph["affine2"].op.weight
    np.testing.assert_allclose(weight[:, 0] / weight[:, 1], 0.5, atol=0.01)
    assert np.all(np.abs(weight[:, 1].astype(int)) >= 64)


def test_two_spikes_at_a_place_of_a_pool_count_in_the_bound() -> None:
    """Where weights follow directly, a bound for one spike would let the sum wrap around."""
    nodes = [
        Node("x", Input((1, 2))),
        *(Node(f"r{i}", ReLU(), ("x",)) for i in range(8)),
        Node("sum", Add(), tuple(f"r{i}" for i in range(8))),
        Node("pool", MaxPool((2,)), ("sum",)),
        Node("large", Affine(np.full(1, 5e4), np.zeros(1)), ("pool",)),
        Node("out", ReLU(), ("large",)),
    ]
    processes = Lower(Encoder((), levels=1), RATE)(Graph.of(nodes, ["out"]))
    assert all(isinstance(processes[n].op, IntegrateAndFire) for n in processes["pool.current"].inputs)
    with pytest.raises(GraphError, match=f"can bring {CURRENT_MAX // 2:,} thresholds"):
        Quantize()(processes)


@pytest.mark.parametrize("shape", [(), (3,), (2, 4), (2, 3, 3), (1, 2, 3, 2)], ids=len)
def test_images_of_any_number_of_axes(shape: tuple[int, ...]) -> None:
    shift = np.full(shape, 0.25)
    graph = chain(shape, Affine(np.full(1, 0.5), shift), ReLU(), Affine(np.full(1, -2.0), np.ones(1)))
    x = images(graph)
    found = estimate(Quantize()(real(graph, x)), x, 256)
    np.testing.assert_allclose(found, outputs(graph, x)[0], atol=0.02)
