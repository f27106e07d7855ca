from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import FINE_CODES, balanced, chain, estimate, images, layer_graphs

import neurocompile as nc
from neurocompile.backend import compile_for
from neurocompile.calibration.moments import second_moments
from neurocompile.errors import GraphError
from neurocompile.ir import Array, Graph, Node, run
from neurocompile.ir.codes import Code, RateCode
from neurocompile.ir.fixed_point import BIAS_EXPONENT_MAX, BIAS_MANTISSA_MAX, CURRENT_MAX, WEIGHT_MAX
from neurocompile.ir.layers import AvgPool, Concat, Conv, Input, Linear, Rearrange
from neurocompile.ir.processes import Encoder, Neurons, SpikeMaxPool, Synapses
from neurocompile.passes.balance import Balance
from neurocompile.passes.error_feedback import round_weights, without_bias
from neurocompile.passes.lower import Lower
from neurocompile.passes.quantize import Quantize

MODELS = Path(__file__).parents[2] / "models"


def correlated(seed: int, count: int = 200, inputs: int = 12) -> tuple[Array, Array]:
    """Inputs that vary together, and weights in units of integers."""
    rng = np.random.default_rng(seed)
    x = np.abs(rng.normal(size=(count, 3)) @ rng.normal(size=(3, inputs)) + 0.2 * rng.normal(size=(count, inputs)))
    return x, rng.uniform(-20, 20, (5, inputs))


def moments_of(x: Array) -> Array:
    """Of inputs in one block."""
    rows = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    return (rows.T @ rows / len(x))[None]


def output_error(x: Array, change: Array, bias: Array | float = 0.0) -> float:
    return float(np.mean((x @ change.T + bias) ** 2))


seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds)
def test_weights_are_whole_numbers_of_8_bits(seed: int) -> None:
    x, weight = correlated(seed)
    rounded, _ = round_weights(8 * weight, moments_of(x))
    assert np.all(rounded == np.rint(rounded))
    assert np.abs(rounded).max() <= WEIGHT_MAX


@given(seed=seeds)
def test_outputs_are_nearer_than_with_the_nearest_weights(seed: int) -> None:
    x, weight = correlated(seed)
    rounded, bias = round_weights(weight, moments_of(x))
    nearest = np.rint(weight) - weight
    best_bias = -(x @ nearest.T).mean(axis=0)
    found = output_error(x, rounded - weight, bias)
    assert found <= output_error(x, nearest)
    # Nor is it the bias alone that makes up for the errors.
    assert found <= output_error(x, nearest, best_bias)


@given(seed=seeds)
def test_without_bias_the_weights_alone_make_up_for_their_errors(seed: int) -> None:
    x, weight = correlated(seed)
    rounded, bias = round_weights(weight, without_bias(moments_of(x)))
    assert np.all(bias == 0)
    assert output_error(x, rounded - weight) <= output_error(x, np.rint(weight) - weight)


@given(seed=seeds, size=st.integers(1, 9))
def test_inputs_that_do_not_vary_together_have_the_nearest_weights(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.uniform(-140, 140, (4, size))
    rounded, bias = round_weights(weight, np.diag(rng.uniform(0.1, 3, size + 1))[None])
    np.testing.assert_array_equal(rounded, np.clip(np.rint(weight), -WEIGHT_MAX, WEIGHT_MAX))
    np.testing.assert_allclose(bias, 0, atol=1e-9)


def test_two_equal_inputs_share_the_sum() -> None:
    x = np.random.default_rng(0).uniform(0, 1, (100, 1)).repeat(2, axis=1)
    rounded, _ = round_weights(np.array([[3.5, 3.5], [1.4, 1.4]]), moments_of(x))
    # Each to the nearest would give 8, or 7 with both of them rounded to even, and 2.
    assert rounded.sum(axis=1).tolist() == [7, 3]


def test_a_constant_input_leaves_its_error_to_the_bias() -> None:
    x = np.full((50, 1), 2.0)
    rounded, bias = round_weights(np.array([[3.4]]), moments_of(x))
    assert rounded.tolist() == [[3]]
    np.testing.assert_allclose(bias, 0.8, rtol=0.01)


def test_inputs_that_are_always_0_take_no_errors() -> None:
    x, weight = correlated(1)
    x[:, 4] = 0
    rounded, _ = round_weights(weight, moments_of(x))
    np.testing.assert_array_equal(rounded[:, 4], np.rint(weight[:, 4]))


def test_moments_of_nothing_but_the_bias_are_taken() -> None:
    moments = np.zeros((1, 4, 4))
    moments[0, -1, -1] = 1
    weight = np.array([[0.4, 1.6, -2.2]])
    rounded, bias = round_weights(weight, moments)
    assert (rounded.tolist(), bias.tolist()) == ([[0, 2, -2]], [0])


@given(seed=seeds)
def test_blocks_make_up_for_their_own_errors(seed: int) -> None:
    x, weight = correlated(seed, inputs=11)
    halves = np.concatenate([moments_of(x[:, :6]), moments_of(np.pad(x[:, 6:], ((0, 0), (0, 1))))])
    rounded, bias = round_weights(weight, halves)
    first, second = round_weights(weight[:, :6], halves[:1]), round_weights(weight[:, 6:], halves[1:])
    np.testing.assert_array_equal(rounded, np.concatenate([first[0], second[0]], axis=1))
    np.testing.assert_allclose(bias, first[1] + second[1])


def test_without_bias_changes_a_copy() -> None:
    moments = np.stack([moments_of(correlated(0)[0])] * 2)
    alone = without_bias(moments)
    assert np.all(alone[..., -1, :-1] == 0)
    assert np.all(alone[..., :-1, -1] == 0)
    assert np.all(moments[..., -1, :-1] != 0)
    np.testing.assert_array_equal(alone[..., :-1, :-1], moments[..., :-1, :-1])


def stages(graph: Graph, code: Code) -> tuple[Graph, Mapping[str, Array]]:
    """Real processes, and the moments of their weights' inputs."""
    x = np.abs(images(graph, 12))
    layers = balanced(graph, x, code.highest)
    encoder = Encoder((), "once" if code.radix > 1 else "constant", 1.0, 255)
    try:
        processes = Lower(encoder, code)(layers)
    except GraphError as error:
        assume("not rectified" not in str(error))
        raise
    return processes, second_moments(layers, processes, x, code)


def largest_currents(graph: Graph) -> dict[str, Array]:
    """What reaches each layer of neurons if every source sends its largest and every weight is positive."""
    nodes, sent = [], {}
    for node in graph.nodes:
        op = node.op
        if isinstance(op, Synapses):
            op = type(op)(**{**dict(op.parameters()), "weight": np.abs(op.weight)})
        nodes.append(Node(node.name, op, node.inputs))
        shape = (1, 1, *graph.types[node.name].shape)
        if isinstance(op, Encoder):
            sent[node.name] = np.full(shape, op.levels, np.int32)
        elif isinstance(op, Neurons):
            sent[node.name] = np.full(shape, op.largest, np.int32)
    receivers = {node.inputs[0] for node in nodes if isinstance(node.op, Neurons)}
    return run(Graph(tuple(nodes), graph.outputs), sent, keep=receivers)


@given(graph=layer_graphs(most_outputs=1), name=st.sampled_from(sorted(FINE_CODES)))
def test_no_current_of_weights_that_make_up_for_each_other_can_wrap_around(graph: Graph, name: str) -> None:
    processes, moments = stages(graph, FINE_CODES[name])
    quantized = Quantize(moments=moments)(processes)
    for node in quantized.nodes:
        if isinstance(node.op, Synapses):
            assert node.op.weight.dtype == np.int8
            assert node.op.weight.min() >= -WEIGHT_MAX
    for current in largest_currents(quantized).values():
        assert 0 <= current.min() <= current.max() <= CURRENT_MAX
    for node in quantized.nodes:
        if isinstance(node.op, Neurons):
            assert np.abs(node.op.bias).max() <= BIAS_MANTISSA_MAX << BIAS_EXPONENT_MAX


@given(graph=layer_graphs(most_outputs=1), name=st.sampled_from(sorted(FINE_CODES)))
def test_neurons_send_what_they_sent(graph: Graph, name: str) -> None:
    processes, moments = stages(graph, FINE_CODES[name])
    quantized = Quantize(moments=moments)(processes)
    for node in quantized.nodes:
        if isinstance(node.op, Neurons):
            before = processes[node.name].op
            assert isinstance(before, Neurons)
            assert (node.op.sends, node.op.largest) == (before.sends, before.largest)
        if isinstance(node.op, Neurons | SpikeMaxPool):
            assert quantized.types[node.name].integer


def rounding_errors(layers: Graph, x: Array) -> tuple[float, float]:
    """How far outputs are from those of real weights: with the nearest integers, and with moments."""
    code = RateCode(4)
    graph = Lower(Encoder((), levels=255), code)(layers)
    moments = second_moments(layers, graph, x, code)
    wanted = estimate(graph, x, 4)

    def error(quantized: Graph) -> float:
        return float(np.mean((estimate(quantized, x, 4) - wanted) ** 2))

    return error(Quantize()(graph)), error(Quantize(moments=moments)(graph))


@pytest.mark.parametrize("seed", range(5))
def test_quantised_layers_are_nearer_with_moments(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.clip(rng.random((300, 4)) @ rng.random((4, 30)) / 3, 0, 1)
    nearest, fed_back = rounding_errors(chain((30,), Linear(rng.normal(size=(6, 30)), rng.normal(size=6))), x)
    assert fed_back < 0.5 * nearest


@pytest.mark.parametrize("seed", range(5))
def test_a_pool_behind_a_convolution_keeps_the_gain(seed: int) -> None:
    """With padding a pool makes different sums of a bias, so the weights alone make up for their errors."""
    rng = np.random.default_rng(seed)
    smooth = rng.random((60, 2, 5, 5)).cumsum(axis=2).cumsum(axis=3)
    x = smooth / smooth.max()
    layers = chain(
        (2, 5, 5), Conv(rng.normal(size=(3, 2, 3, 3)), rng.normal(size=3)), AvgPool((2, 2), (1, 1), (1, 1, 0, 0))
    )
    nearest, fed_back = rounding_errors(layers, x)
    assert fed_back < nearest


def test_grouped_convolutions_have_moments_for_each_group() -> None:
    rng = np.random.default_rng(0)
    smooth = rng.random((60, 4, 5, 5)).cumsum(axis=2).cumsum(axis=3)
    nearest, fed_back = rounding_errors(
        chain((4, 5, 5), Conv(rng.normal(size=(6, 2, 3, 3)), rng.normal(size=6), groups=2)), smooth / smooth.max()
    )
    assert fed_back < nearest


@pytest.mark.parametrize("axis", [0, 1])
def test_branches_that_wires_join_keep_their_channels(axis: int) -> None:
    """What they make up for has to fit the whole, not the branch."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, 2, 5, 5)) / 255
    nodes = [
        Node("x", Input((2, 5, 5))),
        Node("a", Conv(rng.normal(size=(3, 2, 2, 2)), np.ones(3)), ("x",)),
        Node("b", Conv(rng.normal(size=(3 if axis else 5, 2, 2, 2)), np.ones(3 if axis else 5)), ("x",)),
        Node("both", Concat(axis), ("a", "b")),
    ]
    nearest, fed_back = rounding_errors(Graph.of(nodes, ["both"]), x)
    assert fed_back < nearest


def test_channels_that_wires_move_keep_their_order() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, 2, 5, 5)) / 255
    moved = Rearrange(np.arange(48).reshape(3, 4, 4).transpose(1, 2, 0))
    nearest, fed_back = rounding_errors(
        chain((2, 5, 5), Conv(rng.normal(size=(3, 2, 2, 2)), np.ones(3)), moved), x
    )
    assert fed_back < nearest


@cache
def digits_mlp() -> tuple[nc.Network, dict[str, Array]]:
    with np.load(MODELS / "digits-mlp.npz") as data:
        arrays = dict(data)
    options = nc.Options(code="digit", precision="int8")
    return nc.compile(MODELS / "digits-mlp.onnx", arrays["x_calibration"], options), arrays


def test_digits_of_8_bits_change_hardly_a_decision() -> None:
    network, data = digits_mlp()
    changed = network.evaluate(data["x_test"], data["y_test"]).changed_decisions
    assert changed is not None
    assert changed <= 2


def test_outputs_of_a_trained_network_are_nearer_with_moments() -> None:
    network, data = digits_mlp()
    conversion = network.conversion
    assert conversion is not None
    assert network.reference is not None
    balanced_layers = Balance(conversion.thresholds)(conversion.fitted)
    code = conversion.code
    encoder = network.graph.inputs[0].op
    assert isinstance(encoder, Encoder)
    real = Lower(Encoder(encoder.shape, encoder.code, encoder.ceiling, encoder.levels), code)(balanced_layers)
    moments = second_moments(balanced_layers, real, data["x_calibration"], code)
    exact = run(conversion.ann, {conversion.ann.inputs[0].name: data["x_test"].astype(np.float64)})
    (wanted,) = exact.values()
    errors = []
    for quantized in (Quantize()(real), Quantize(moments=moments)(real)):
        result = compile_for("numpy", quantized).run(data["x_test"], steps=code.steps)
        scores = quantized["decoder"].op.scores(result.potentials[:, -1], code.steps)
        errors.append(float(np.sqrt(np.mean((scores - wanted) ** 2))))
    nearest, fed_back = errors
    assert fed_back < 0.8 * nearest
