from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conformance import networks
from strategies import chain, estimate, largest

import neurocompile as nc
from neurocompile.calibration import sequential as module
from neurocompile.calibration.ranges import lowest, ranges, samples
from neurocompile.calibration.sequential import Fitted, fit, last_weights
from neurocompile.calibration.thresholds import least_squares
from neurocompile.ir import Array, Graph, Node, run
from neurocompile.ir.codes import Code, DigitCode, GradedCode, RateCode
from neurocompile.ir.layers import Add, Affine, AvgPool, Conv, Input, Linear, ReLU, Reshape
from neurocompile.ir.processes import Encoder
from neurocompile.passes.approximate import Approximate, regions
from neurocompile.passes.balance import Balance
from neurocompile.passes.lower import Lower
from neurocompile.passes.pipeline import SIMPLIFY
from neurocompile.passes.rectify_pools import RectifyPools, pools
from neurocompile.passes.split_readout import split_readout

MODELS = Path(__file__).parents[2] / "models"
SIGNED = RateCode(4, signed=True)
CODES: dict[str, Code] = {
    "signed": SIGNED,
    "binary": RateCode(4),
    "zero": RateCode(4, "zero"),
    "wait": RateCode(4, wait=True),
    "graded": GradedCode(4),
    "digit": DigitCode(4),
}


def encoder_of(layers: Graph, code: Code, levels: int = 255) -> Encoder:
    entry = layers.inputs[0].op
    assert isinstance(entry, Input)
    return Encoder(entry.shape, "once" if code.radix > 1 else "constant", 1.0, levels)


def plain(layers: Graph, thresholds: Mapping[str, Array], code: Code) -> Fitted:
    """The original weights with thresholds that were chosen otherwise."""
    return Fitted(layers, {name: ceiling / code.highest for name, ceiling in thresholds.items()}, {}, 0.0)


def output_error(layers: Graph, fitted: Fitted, x: Array, code: Code) -> float:
    """The root of the mean squared difference of the outputs from the original network's."""
    graph = Lower(encoder_of(layers, code), code, starts=fitted.starts)(Balance(fitted.thresholds)(fitted.layers))
    wanted = run(layers, {layers.inputs[0].name: x})[layers.outputs[0]]
    return float(np.sqrt(np.mean((estimate(graph, x, code.steps) - wanted) ** 2)))


def linear(seed: int, out: int, inputs: int, bias: float = 0.3) -> Linear:
    rng = np.random.default_rng(seed)
    return Linear(rng.normal(size=(out, inputs)) / np.sqrt(inputs), bias * rng.normal(size=out))


def conv(seed: int, out: int, channels: int) -> Conv:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(out, channels, 3, 3)) / np.sqrt(9 * channels)
    return Conv(weight, 0.2 * rng.normal(size=out), padding=(1, 1, 1, 1))


def vectors(count: int, size: int = 8, seed: int = 1) -> Array:
    return np.random.default_rng(seed).random((count, size))


MLP = chain((8,), linear(0, 16, 8), ReLU(), linear(1, 12, 16), ReLU(), linear(2, 4, 12))


def weights(fitted: Graph, name: str) -> tuple[Array, Array]:
    op = fitted[name].op
    assert isinstance(op, Conv | Linear)
    return op.weight, op.bias


def assert_kept(before: Graph, after: Graph, name: str) -> None:
    for a, b in zip(weights(before, name), weights(after, name), strict=True):
        np.testing.assert_array_equal(a, b)


def assert_finite(fitted: Fitted) -> None:
    for node in fitted.layers.nodes:
        for _, value in node.op.parameters():
            if isinstance(value, np.ndarray) and isinstance(node.op, Conv | Linear):
                assert np.all(np.isfinite(value))
    for name, threshold in fitted.thresholds.items():
        assert np.all(np.isfinite(threshold))
        # What is too small for a weight to be divided by it is no threshold.
        assert threshold.min() > 1e-100, name


@cache
def digits() -> tuple[Graph, Array, Array]:
    layers, _ = split_readout(nc.Model.read(MODELS / "digits-mlp.onnx").graph)
    for step in SIMPLIFY:
        layers = step(layers)
    with np.load(MODELS / "digits-mlp.npz") as data:
        calibration, test = data["x_calibration"][:400], data["x_test"][:300]
    return layers, calibration / calibration.max(), test / calibration.max()


@pytest.mark.parametrize(
    ("name", "at_most"), [("signed", 0.95), ("binary", 0.95), ("wait", 0.95), ("graded", 1.1)]
)
def test_outputs_of_a_trained_network_are_nearer_than_with_thresholds_alone(name: str, at_most: float) -> None:
    """One message of few bits hardly has errors that weights could make up for."""
    layers, calibration, test = digits()
    code = CODES[name]
    fitted = output_error(layers, fit(layers, encoder_of(layers, code), calibration, code), test, code)
    for thresholds in (least_squares(layers, calibration, code), largest(layers, calibration)):
        assert fitted < at_most * output_error(layers, plain(layers, thresholds, code), test, code)


def residual() -> Graph:
    """Two blocks, one of them with a projection."""
    nodes = [
        Node("x", Input((2, 6, 6))),
        Node("c1", conv(0, 6, 2), ("x",)),
        Node("r1", ReLU(), ("c1",)),
        Node("c2", conv(1, 6, 6), ("r1",)),
        Node("r2", ReLU(), ("c2",)),
        Node("c3", conv(2, 6, 6), ("r2",)),
        Node("s1", Add(), ("c3", "r1")),
        Node("r3", ReLU(), ("s1",)),
        Node("c4", conv(3, 8, 6), ("r3",)),
        Node("r4", ReLU(), ("c4",)),
        Node("c5", conv(4, 8, 8), ("r4",)),
        Node("c6", conv(5, 8, 6), ("r3",)),
        Node("s2", Add(), ("c5", "c6")),
        Node("r5", ReLU(), ("s2",)),
        Node("pool", AvgPool((6, 6)), ("r5",)),
        Node("flat", Reshape((8,)), ("pool",)),
        Node("out", linear(6, 4, 8), ("flat",)),
    ]
    return Graph.of(nodes, ["out"])


@pytest.mark.parametrize("name", ["signed", "binary"])
def test_residual_networks_are_nearer_than_with_thresholds_alone(name: str) -> None:
    layers, code = residual(), CODES[name]
    x = np.random.default_rng(0).random((100, 2, 6, 6))
    fitted = fit(layers, encoder_of(layers, code), x[::2], code)
    for thresholds in (least_squares(layers, x[::2], code), largest(layers, x[::2])):
        assert output_error(layers, fitted, x[1::2], code) < 0.9 * output_error(
            layers, plain(layers, thresholds, code), x[1::2], code
        )
    # Both branches of the projection are fitted, and the only weights of the identity's sum.
    for name in ("c2", "c3", "c4", "c5", "c6", "out"):
        assert np.any(weights(fitted.layers, name)[0] != weights(layers, name)[0])


def test_weights_that_a_constant_input_feeds_are_kept() -> None:
    fitted = fit(MLP, encoder_of(MLP, SIGNED), vectors(40), SIGNED).layers
    assert_kept(MLP, fitted, "linear1")
    assert np.any(weights(fitted, "linear3")[0] != weights(MLP, "linear3")[0])
    assert np.any(weights(fitted, "linear5")[1] != weights(MLP, "linear5")[1])


def test_weights_that_poisson_spikes_feed_are_fitted_too() -> None:
    fitted = fit(MLP, Encoder((8,), "poisson"), vectors(40), SIGNED).layers
    assert np.any(weights(fitted, "linear1")[0] != weights(MLP, "linear1")[0])


def shared() -> Graph:
    """``c2`` is read by a sum and a ReLU, so no layer may have it changed for itself."""
    nodes = [
        Node("x", Input((2, 4, 4))),
        Node("c1", conv(0, 4, 2), ("x",)),
        Node("r1", ReLU(), ("c1",)),
        Node("c2", conv(1, 4, 4), ("r1",)),
        Node("r2", ReLU(), ("c2",)),
        Node("c3", conv(2, 4, 4), ("r2",)),
        Node("sum", Add(), ("c3", "c2")),
        Node("r3", ReLU(), ("sum",)),
        Node("flat", Reshape((64,)), ("r3",)),
        Node("out", linear(3, 3, 64), ("flat",)),
    ]
    return Graph.of(nodes, ["out"])


def test_weights_with_several_readers_are_kept() -> None:
    layers = shared()
    x = np.random.default_rng(0).random((20, 2, 4, 4))
    fitted = fit(layers, encoder_of(layers, SIGNED), x, SIGNED)
    assert_kept(layers, fitted.layers, "c2")
    assert np.any(weights(fitted.layers, "c3")[0] != weights(layers, "c3")[0])


def test_last_weights_are_those_that_only_sums_and_shapes_keep_from_their_reader() -> None:
    layers = residual()

    def found(name: str) -> list[str]:
        return [node.name for node in last_weights(layers, name)]

    assert found("c1") == ["c1"]
    assert found("s1") == ["c3"]
    assert found("s2") == ["c5", "c6"]
    assert found("out") == ["out"]
    assert found("pool") == found("r3") == found("x") == []
    assert [node.name for node in last_weights(shared(), "sum")] == ["c3"]
    reshaped = chain((2, 2, 2), conv(0, 2, 2), Reshape((8,)), ReLU())
    assert [node.name for node in last_weights(reshaped, "reshape2")] == ["conv1"]
    scaled = chain((8,), linear(0, 2, 8), Affine(np.full(1, 2.0), np.zeros(1)), ReLU())
    assert last_weights(scaled, "affine2") == []


def test_a_branch_in_another_order_is_not_fitted_with_the_rest() -> None:
    nodes = [
        Node("x", Input((2, 2, 2))),
        Node("r", ReLU(), ("x",)),
        Node("c", conv(0, 2, 2), ("r",)),
        Node("c.flat", Reshape((8,)), ("c",)),
        Node("r.flat", Reshape((8,)), ("r",)),
        Node("l", linear(1, 8, 8), ("r.flat",)),
        Node("sum", Add(), ("c.flat", "l")),
        Node("out", ReLU(), ("sum",)),
    ]
    layers = Graph.of(nodes, ["out"])
    assert [node.name for node in last_weights(layers, "sum")] == ["l"]
    x = np.random.default_rng(0).random((20, 2, 2, 2))
    assert_kept(layers, fit(layers, encoder_of(layers, SIGNED), x, SIGNED).layers, "c")


def mean_output_error(layers: Graph, x: Array) -> Array:
    fitted = fit(layers, encoder_of(layers, SIGNED), x, SIGNED)
    graph = Lower(encoder_of(layers, SIGNED), SIGNED, starts=fitted.starts)(
        Balance(fitted.thresholds)(fitted.layers)
    )
    wanted = run(layers, {layers.inputs[0].name: x})[layers.outputs[0]]
    return np.asarray((estimate(graph, x, 4) - wanted).mean(axis=0))


def test_outputs_are_right_on_average() -> None:
    np.testing.assert_allclose(mean_output_error(MLP, vectors(100)), 0, atol=1e-6)


def test_weights_whose_outputs_are_added_to_themselves_stay() -> None:
    twice = Graph((*MLP.nodes, Node("twice", Add(), ("linear5", "linear5"))), ("twice",))
    code = RateCode(4)
    fitted = fit(twice, encoder_of(twice, code), vectors(100), code).layers
    assert fitted["linear5"] == twice["linear5"]


@pytest.mark.parametrize("name", CODES)
def test_one_threshold_for_a_whole_layer(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(module, "_PENALTIES", (0.3,))
    layers = chain((8,), linear(0, 6, 8), ReLU(), linear(1, 5, 6), ReLU())
    code = CODES[name]
    fitted = fit(layers, encoder_of(layers, code), vectors(30), code, "relu4")
    assert fitted.thresholds["relu4"].size == 1
    assert fitted.thresholds["relu2"].size == 6
    separate = fit(layers, encoder_of(layers, code), vectors(30), code).thresholds["relu4"]
    assert fitted.thresholds["relu4"].item() >= separate.max() * (1 - 1e-9)


@pytest.mark.parametrize("ceiling", [0.2, 1.0, 50.0])
def test_no_threshold_lets_a_neuron_pass_the_ceiling_of_its_relu(ceiling: float) -> None:
    layers = chain((8,), linear(0, 16, 8), ReLU(np.array(ceiling)), linear(1, 4, 16))
    for code in CODES.values():
        threshold = fit(layers, encoder_of(layers, code), vectors(30), code).thresholds["relu2"]
        assert np.all(threshold * code.highest <= ceiling * (1 + 1e-9))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", CODES)
def test_few_images_are_enough_to_run(name: str, count: int) -> None:
    code = CODES[name]
    fitted = fit(MLP, encoder_of(MLP, code), vectors(count), code)
    assert_finite(fitted)
    assert (fitted.penalty == 0.3) or count >= 4


@pytest.mark.parametrize("name", CODES)
def test_a_channel_that_is_never_active(name: str) -> None:
    first = linear(0, 6, 8)
    bias = first.bias.copy()
    bias[2] = -50
    layers = chain((8,), Linear(first.weight, bias), ReLU(), linear(1, 4, 6))
    code = CODES[name]
    fitted = fit(layers, encoder_of(layers, code), vectors(30), code)
    assert_finite(fitted)
    assert output_error(layers, fitted, vectors(30, seed=2), code) < 0.5


@pytest.mark.parametrize("bias", [-1.0, -50.0])
@pytest.mark.parametrize("name", CODES)
def test_a_layer_that_is_never_active(name: str, bias: float) -> None:
    layers = chain((8,), Linear(0.1 * linear(0, 6, 8).weight, np.full(6, bias)), ReLU(), linear(1, 4, 6))
    code = CODES[name]
    fitted = fit(layers, encoder_of(layers, code), vectors(30), code)
    assert_finite(fitted)
    assert output_error(layers, fitted, vectors(30, seed=2), code) < 0.01


def test_a_layer_that_is_never_active_has_least_squares_of_1() -> None:
    layers = chain((8,), Linear(np.zeros((3, 8)), np.full(3, -50.0)), ReLU())
    assert least_squares(layers, vectors(9), SIGNED)["relu2"].tolist() == [1, 1, 1]


def test_a_linear_layer_with_more_inputs_than_samples() -> None:
    layers = chain((8,), linear(0, 300, 8), ReLU(), linear(1, 4, 300))
    fitted = fit(layers, encoder_of(layers, SIGNED), vectors(40), SIGNED)
    assert_finite(fitted)
    alone = plain(layers, least_squares(layers, vectors(40), SIGNED), SIGNED)
    x = vectors(100, seed=3)
    assert output_error(layers, fitted, x, SIGNED) < 1.1 * output_error(layers, alone, x, SIGNED)


def test_with_little_room_fewer_images_are_fitted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    x = vectors(40)
    monkeypatch.setattr(module, "_STORED", 16 * SIGNED.steps * 7)
    found = fit(MLP, encoder_of(MLP, SIGNED), x, SIGNED)
    monkeypatch.undo()
    spread = x[np.linspace(0, 39, 7).astype(int)]
    monkeypatch.setattr(module, "_PENALTIES", (found.penalty,))
    expected = fit(MLP, encoder_of(MLP, SIGNED), spread, SIGNED)
    assert found.layers == expected.layers


def test_takes_the_penalty_that_is_best_on_images_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    x = vectors(80)
    chosen = fit(MLP, encoder_of(MLP, SIGNED), x, SIGNED).penalty
    errors = {}
    for penalty in module._PENALTIES:
        monkeypatch.setattr(module, "_PENALTIES", (penalty,))
        errors[penalty] = output_error(MLP, fit(MLP, encoder_of(MLP, SIGNED), x[::2], SIGNED), x[1::2], SIGNED)
    assert errors[chosen] == min(errors.values())


def test_is_the_same_each_time() -> None:
    first, second = (fit(MLP, encoder_of(MLP, SIGNED), vectors(40), SIGNED) for _ in range(2))
    assert first.layers == second.layers
    for name, threshold in first.thresholds.items():
        np.testing.assert_array_equal(second.thresholds[name], threshold)


def simplified(build: networks.Network) -> tuple[Graph, Array]:
    layers = build()
    x = networks.images(layers, 10)
    layers, _ = split_readout(layers)
    bent = tuple(dict.fromkeys(region.input for region in regions(layers)))
    layers, _ = Approximate(ranges(layers, x, bent), samples=samples(layers, x, bent)).rewrite(layers)
    for step in SIMPLIFY:
        layers = step(layers)
    return RectifyPools(lowest(layers, x, pools(layers)))(layers), x


@pytest.mark.parametrize("build", networks.NETWORKS, ids=lambda build: build.__name__)
def test_every_network_is_fitted(monkeypatch: pytest.MonkeyPatch, build: networks.Network) -> None:
    monkeypatch.setattr(module, "_PENALTIES", (0.3,))
    layers, x = simplified(build)
    for code in (SIGNED, GradedCode(4)):
        fitted = fit(layers, encoder_of(layers, code), x, code)
        assert_finite(fitted)
        assert fitted.thresholds.keys() == {n.name for n in layers.nodes if isinstance(n.op, ReLU)}
        alone = plain(layers, largest(layers, x), code)
        assert output_error(layers, fitted, x, code) < 1.5 * output_error(layers, alone, x, code)
