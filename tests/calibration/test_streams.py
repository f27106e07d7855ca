from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import chain

from neurocompile.calibration import streams as module
from neurocompile.calibration.streams import Streams
from neurocompile.ir import Array, Graph, Node, run
from neurocompile.ir.codes import Code, GradedCode, RateCode
from neurocompile.ir.layers import Add, AvgPool, Concat, Conv, Input, Linear, MaxPool, ReLU, Reshape
from neurocompile.ir.processes import Encoder
from neurocompile.passes.balance import Balance
from neurocompile.passes.lower import Lower

ALL = slice(None)
CODES: dict[str, Code] = {
    "rate": RateCode(6),
    "signed": RateCode(6, signed=True),
    "zero": RateCode(6, "zero"),
    "wait": RateCode(6, wait=True),
    "graded": GradedCode(6),
}
ENCODER = Encoder((2, 4, 4), levels=16)


def dyadic(rng: np.random.Generator, *shape: int) -> Array:
    return rng.integers(-4, 7, shape) / 16


def network(seed: int = 0) -> Graph:
    """A residual sum, both pools and branches side by side, with weights whose sums are exact."""
    rng = np.random.default_rng(seed)

    def conv(out: int, channels: int) -> Conv:
        return Conv(dyadic(rng, out, channels, 3, 3), dyadic(rng, out), padding=(1, 1, 1, 1))

    nodes = [
        Node("x", Input((2, 4, 4))),
        Node("conv1", conv(3, 2), ("x",)),
        Node("relu1", ReLU(), ("conv1",)),
        Node("conv2", conv(3, 3), ("relu1",)),
        Node("sum", Add(), ("conv2", "relu1")),
        Node("relu2", ReLU(np.array(2.0)), ("sum",)),
        Node("max", MaxPool((2, 2), (2, 2)), ("relu2",)),
        Node("mean", AvgPool((2, 2), (2, 2)), ("relu1",)),
        Node("both", Concat(), ("max", "mean")),
        Node("conv3", conv(2, 6), ("both",)),
        Node("relu3", ReLU(), ("conv3",)),
        Node("flat", Reshape((8,)), ("relu3",)),
        Node("linear", Linear(dyadic(rng, 3, 8), dyadic(rng, 3)), ("flat",)),
    ]
    return Graph.of(nodes, ["linear"])


THRESHOLDS = {
    "relu1": np.array([1.0, 2.0, 0.5]).reshape(3, 1, 1),
    "relu2": np.array([2.0]).reshape(1, 1, 1),
    "relu3": np.array([1.0, 4.0]).reshape(2, 1, 1),
}


def images(count: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).integers(-4, 17, (count, 2, 4, 4)) / 16


def started(code: Code, x: Array, encoder: Encoder = ENCODER) -> Streams:
    return Streams(network(), encoder, x, code, dict(THRESHOLDS))


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("parts", [1, 1 << 22])
def test_neurons_send_what_those_of_the_lowered_network_send(
    monkeypatch: pytest.MonkeyPatch, name: str, parts: int
) -> None:
    monkeypatch.setattr(module, "_CURRENT_VALUES", parts)
    code, x = CODES[name], images(5)
    start = None if name == "zero" else 0.5 + np.array([[-0.25, 0.125], [0.25, -0.125]]).repeat(2, 0).repeat(2, 1)
    starts = {} if start is None else {"relu1": start}
    graph = Lower(ENCODER, code, starts=starts)(Balance(THRESHOLDS)(network()))
    expected = run(graph, {"x": ENCODER.encode(x, code.steps)}, keep=[*THRESHOLDS, "decoder"])
    streams = started(code, x)
    for relu, threshold in THRESHOLDS.items():
        streams.simulate(relu, code.neurons(np.zeros(1), starts.get(relu)))
        sent = streams.current(relu, ALL) / (threshold * code.message)
        # Graded messages are worth parts that are not exact in binary.
        assert np.mean(np.abs(sent - expected[relu]) > 1e-9) <= (0.01 if name == "graded" else 0)
        assert np.any(expected[relu])
    scores = graph["decoder"].op.scores(expected["decoder"][-1], code.steps)
    np.testing.assert_allclose(streams.mean("linear", ALL), scores, atol=0.02 if name == "graded" else 1e-9)


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("encoding", ["constant", "poisson"])
def test_the_mean_is_that_of_all_steps(name: str, encoding: str) -> None:
    encoder = ENCODER if encoding == "constant" else Encoder((2, 4, 4), "poisson", 1.0)
    streams = started(CODES[name], images(5), encoder)
    for before, relu in (("conv1", "relu1"), ("sum", "relu2"), ("conv3", "relu3")):
        if before != "conv3":
            np.testing.assert_allclose(
                streams.mean(before, ALL), streams.current(before, ALL).mean(axis=0), atol=1e-12
            )
        streams.simulate(relu, CODES[name].neurons(np.zeros(1)))
    np.testing.assert_allclose(
        streams.mean("linear", ALL), streams.current("linear", ALL).mean(axis=0), atol=1e-12
    )


@given(first=st.integers(0, 6), count=st.integers(1, 4))
def test_some_images_give_what_they_give_among_all(first: int, count: int) -> None:
    x = images(7)
    streams = started(CODES["signed"], x)
    streams.simulate("relu1", CODES["signed"].neurons(np.zeros(1)))
    part = slice(first, first + count)
    for name in ("relu1", "sum"):
        np.testing.assert_array_equal(streams.current(name, part), streams.current(name, ALL)[:, part])
        np.testing.assert_allclose(streams.mean(name, part), streams.mean(name, ALL)[part], atol=1e-12)
    np.testing.assert_allclose(streams.original("sum", part), streams.original("sum", ALL)[part])


def test_the_original_stays_what_it_was_when_layers_are_replaced() -> None:
    x = images(4)
    expected = run(network(), {"x": x}, keep=["conv3", "linear"])
    streams = started(CODES["rate"], x)
    for before, relu in (("conv1", "relu1"), ("conv2", "relu2"), ("conv3", "relu3")):
        op = streams.layers[before].op
        assert isinstance(op, Conv)
        streams.replace(before, replace(op, weight=2 * op.weight))
        streams.simulate(relu, CODES["rate"].neurons(np.zeros(1)))
        if relu == "relu2":
            np.testing.assert_allclose(streams.original("conv3", ALL), expected["conv3"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(streams.original("linear", ALL), expected["linear"], rtol=1e-5, atol=1e-6)


def test_replaced_layers_are_what_is_run() -> None:
    streams = started(CODES["rate"], images(4))
    before = streams.mean("conv1", ALL)
    op = streams.layers["conv1"].op
    assert isinstance(op, Conv)
    streams.replace("conv1", replace(op, bias=op.bias + 1))
    np.testing.assert_allclose(streams.mean("conv1", ALL), before + 1)
    np.testing.assert_allclose(streams.current("conv1", ALL).mean(axis=0), before + 1)


def test_spikes_that_nothing_reads_any_more_are_let_go() -> None:
    streams = started(CODES["rate"], images(4))
    held = []
    for relu in THRESHOLDS:
        streams.simulate(relu, CODES["rate"].neurons(np.zeros(1)))
        held.append(set(streams._spikes))
    assert held == [{"relu1"}, {"relu1", "relu2"}, {"relu3"}]


def test_only_what_comes_straight_from_the_input_is_constant() -> None:
    streams = started(CODES["rate"], images(4))
    streams.simulate("relu1", CODES["rate"].neurons(np.zeros(1)))
    assert [n for n in ("x", "conv1", "relu1", "conv2", "sum", "mean") if streams.is_constant(n)] == ["x", "conv1"]
    poisson = Streams(network(), Encoder((2, 4, 4), "poisson"), images(4), CODES["rate"])
    assert not poisson.is_constant("conv1")


def test_a_constant_input_is_led_through_once() -> None:
    streams = started(CODES["rate"], images(4))
    assert streams.current("conv1", ALL).strides[0] == 0
    assert streams.current("conv1", ALL).shape == (6, 4, 3, 4, 4)


def test_graded_messages_stand_for_the_nearest_of_their_levels() -> None:
    x = np.random.default_rng(0).random((50, 3))
    layers = chain((3,), ReLU())
    streams = Streams(layers, Encoder((3,), levels=2**16 - 1), x, GradedCode(4), {"relu1": np.full(1, 0.8)})
    streams.simulate("relu1", GradedCode(4).neurons(np.zeros(1)))
    expected = np.rint(np.minimum(x, 0.8) / 0.8 * 15) / 15 * 0.8
    np.testing.assert_allclose(streams.mean("relu1", ALL), expected, atol=1e-3)
