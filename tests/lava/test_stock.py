"""The IR's integers against Lava's stock processes: what quantisation gives can be deployed unaltered."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from neurocompile_lava.supervisor import supervise

from neurocompile.backend import compile_for
from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.fixed_point import (
    BIAS_EXPONENT_MAX,
    BIAS_MANTISSA_MAX,
    CURRENT_MAX,
    CURRENT_SHIFT,
    THRESHOLD_MAX,
    WEIGHT_MAX,
)
from neurocompile.ir.processes import (
    ConvSynapses,
    Decoder,
    DigitNeurons,
    Encoder,
    GradedNeurons,
    IntegrateAndFire,
    LinearSynapses,
    Neurons,
    ScaleSynapses,
)

PATIENCE = 300.0
STEPS = 24
EXPONENTS = (-9, -3, -1, 0, 1, 4)
NEURONS = [("lif", 1000), *(("lif_reset", vth) for vth in (0, 1, 1000, THRESHOLD_MAX - 1, THRESHOLD_MAX))]

STATE_EXPONENTS = (0, 1, 5, 7)
RESETS = (2, 200, 1024)

CONVOLUTIONS = {
    "plain": {},
    "strided": {"stride": (2, 1), "padding": (1, 2)},
    "dilated": {"dilation": (1, 2), "padding": (0, 2)},
    "grouped": {"groups": 2, "padding": (1, 1)},
    "depthwise": {"groups": 4, "stride": (1, 2)},
}


def weights(rng: np.random.Generator, *shape: int) -> Array:
    """Draw mantissas, the largest of both signs among them."""
    drawn = rng.integers(-WEIGHT_MAX, WEIGHT_MAX + 1, shape)
    drawn.flat[:4] = [WEIGHT_MAX, -WEIGHT_MAX, 1, -1]
    return drawn.astype(np.int8)


def as_lava_convolves(weight: Array) -> Array:
    """Lava's convolution flips kernels, whose axes are (out, kh, kw, in)."""
    return np.ascontiguousarray(weight[:, :, ::-1, ::-1].transpose(0, 2, 3, 1).astype(np.int32))


def edge_currents(rng: np.random.Generator) -> Array:
    """Currents ``(T, neurons)``: all that quantised neurons may be given, and some that wrap around.

    The first beyond, ``2 ** 17`` exactly, is left out: there Lava's neurons leave the 24 bits instead.
    """
    beyond = CURRENT_MAX + 1
    constant = [0, 1, -1, 999, 1000, 32767, 32768, -32768, -32769, 65535, 65536, CURRENT_MAX, -CURRENT_MAX]
    wrapping = [beyond + 1, -beyond - 1, 2 * beyond, 3 * beyond - 1, 1 - 3 * beyond]
    columns = [np.full(STEPS, current) for current in constant + wrapping]
    columns += [CURRENT_MAX * (-1) ** np.arange(STEPS), np.where(np.arange(STEPS) % 5, 3, -7)]
    for size in (2, 1500, 40000, CURRENT_MAX):
        columns += list(rng.integers(-size // 2, size + 1, (3, STEPS)))
    return np.stack(columns, axis=1).astype(np.int32)


def sums(rng: np.random.Generator) -> Array:
    """Currents ``(T, neurons)`` that all arrive in the first step, of every size that compiled ones have."""
    edges = np.array([0, 1, -1, 63, 64, 127, 128, 32639, 32640, 32641, CURRENT_MAX, -CURRENT_MAX])
    first = np.concatenate([edges, rng.integers(-CURRENT_MAX, CURRENT_MAX, 300), rng.integers(-500, 500, 100)])
    currents = np.zeros((STEPS, len(first)), np.int32)
    currents[0] = first
    return currents


BIASES = [
    (0, 0),
    (64, 0),  # with a current of 999 exactly a threshold of 1000, which is not enough
    (65, 0),
    (-64, 0),
    (1, BIAS_EXPONENT_MAX),
    (BIAS_MANTISSA_MAX, 0),
    (-BIAS_MANTISSA_MAX, 3),
    (BIAS_MANTISSA_MAX, BIAS_EXPONENT_MAX),
    (-BIAS_MANTISSA_MAX, BIAS_EXPONENT_MAX),
]


@pytest.fixture(scope="module")
def arrays() -> dict[str, Array]:
    rng = np.random.default_rng(11)
    currents = edge_currents(rng)
    each = np.array(BIASES)
    # Every current meets every bias.
    given = {
        "currents": np.repeat(currents, len(each), axis=1),
        "bias_mant": np.tile(each[:, 0], currents.shape[1]),
        "bias_exp": np.tile(each[:, 1], currents.shape[1]),
        "linear": weights(rng, 7, 20),
        "odd": rng.integers(-300, 301, (7, 20)).astype(np.int32),
        "sums": sums(rng),
        "small currents": rng.integers(-300, 301, (STEPS, 60)).astype(np.int32),
        "many": rng.integers(-255, 256, (4, 128, 2, 2)).astype(np.int32),
        "one each": weights(rng, 128, 1, 1, 1),
        "messages": rng.integers(-255, 256, (STEPS, 20)).astype(np.int32),
        "images": rng.integers(-255, 256, (4, 4, 6, 7)).astype(np.int32),
    }
    for name, window in CONVOLUTIONS.items():
        given[name] = weights(rng, 8, 4 // window.get("groups", 1), 3, 2)
    return given


@pytest.fixture(scope="module")
def stock(
    arrays: dict[str, Array], lava_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Array]:
    """What Lava's processes give out, by the name of the case."""
    cases: list[dict[str, Any]] = [
        {"kind": "dense", "name": f"dense{e}", "x": "messages", "weights": "doubled", "weight_exp": e - 1}
        for e in EXPONENTS
    ]
    for name, window in CONVOLUTIONS.items():
        usual = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
        weight = {"weights": f"{name} for Lava"}
        cases.append({"kind": "conv", "name": name, "x": "images for Lava", **weight, **usual, **window})
    for kind in ("dense", "sparse"):
        cases.append({"kind": kind, "name": f"odd {kind}", "x": "messages", "weights": "odd", "weight_exp": 0})
    cases += [
        {"kind": "sparse", "name": f"sparse{e}", "x": "messages", "weights": "doubled", "weight_exp": e - 1}
        for e in EXPONENTS
    ]
    plain = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    cases += [
        {
            "kind": "conv",
            "name": "shifted",
            "x": "images for Lava",
            "weights": "plain for Lava",
            **plain,
            "weight_exp": 3,
        },
        {
            "kind": "conv",
            "name": "many",
            "x": "many for Lava",
            "weights": "one each for Lava",
            **plain,
            "groups": 128,
        },
    ]
    cases += [
        {"kind": "sigma_delta", "name": f"sigma_delta{e}", "x": "sums", "state_exp": e} for e in STATE_EXPONENTS
    ]
    cases += [
        {"kind": "atrlif", "name": f"atrlif{vth}", "x": "small currents", "vth": vth, "v": f"v{vth}"}
        for vth in RESETS
    ]
    for kind, vth in NEURONS:
        bias = {"bias_mant": "bias_mant", "bias_exp": "bias_exp"}
        cases.append({"kind": kind, "name": f"{kind}{vth}", "x": "currents", "vth": vth, **bias})
    # With 8 bits and both signs, Lava clears the lowest of 9 bits.
    given = {**arrays, "doubled": 2 * arrays["linear"].astype(np.int32)}
    given |= {f"{name} for Lava": as_lava_convolves(arrays[name]) for name in CONVOLUTIONS}
    given["one each for Lava"] = as_lava_convolves(arrays["one each"])
    given |= {f"{name} for Lava": np.moveaxis(arrays[name], 1, -1) for name in ("images", "many")}
    # Half of a threshold is what the neurons begin with; ``stock_neurons`` tells where the rest comes from.
    given |= {f"v{vth}": np.full(60, -1) for vth in RESETS}
    folder = tmp_path_factory.mktemp("stock")
    np.savez(folder / "input.npz", cases=json.dumps(cases), **given)
    script = Path(__file__).with_name("stock_reference.py")
    said: deque[str] = deque(maxlen=30)
    argv = [str(lava_python), str(script), str(folder / "input.npz"), str(folder / "output.npz")]
    code = supervise(argv, timeout=PATIENCE, on_output=said.append, on_error=said.append)
    assert code == 0, "\n".join(said)
    with np.load(folder / "output.npz", allow_pickle=False) as stored:
        return dict(stored)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_dense(arrays: dict[str, Array], stock: Mapping[str, Array], exponent: int) -> None:
    synapses = LinearSynapses(arrays["linear"], exponent)
    expected = synapses.run(arrays["messages"][:, None])[:, 0]
    np.testing.assert_array_equal(stock[f"dense{exponent}"][1:], expected)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_sparse(stock: Mapping[str, Array], exponent: int) -> None:
    np.testing.assert_array_equal(stock[f"sparse{exponent}"], stock[f"dense{exponent}"])


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_weights_of_both_signs_lose_their_lowest_bit(
    arrays: dict[str, Array], stock: Mapping[str, Array], kind: str
) -> None:
    """Why plans hold weights twice as large: what is odd is rounded down, and 9 bits are the most."""
    held = np.clip(arrays["odd"], -256, 255) >> 1 << 1
    expected = arrays["messages"] @ held.T
    np.testing.assert_array_equal(stock[f"odd {kind}"][1:], expected)


def test_conv_takes_no_exponent(stock: Mapping[str, Array]) -> None:
    """Why convolutions go to chips as ``Sparse``, and are shifted in processes of our own."""
    np.testing.assert_array_equal(stock["shifted"], stock["plain"])


def test_conv_of_128_groups_gives_nothing(stock: Mapping[str, Array]) -> None:
    assert not stock["many"].any()


@pytest.mark.parametrize("exponent", STATE_EXPONENTS)
def test_two_sigma_delta_neurons_send_a_graded_message(
    arrays: dict[str, Array], stock: Mapping[str, Array], exponent: int
) -> None:
    """One of them, with the other's bias, as plans make them: the first row of the currents holds both."""
    sent, current = stock[f"sigma_delta{exponent}"], arrays["sums"]
    np.testing.assert_array_equal(sent[0], np.maximum(current[0], 0) >> exponent)
    # Where a message was sent in full, no more comes.
    assert not sent[1:STEPS].any()
    levels = 255
    threshold = np.array([levels << exponent << CURRENT_SHIFT])
    neurons = GradedNeurons(np.zeros(1, np.int64), threshold, levels)
    below = current[0] + (1 << exponent >> 1)
    above = below - (levels << exponent)
    made = (np.maximum(below, 0) >> exponent) - (np.maximum(above, 0) >> exponent)
    np.testing.assert_array_equal(neurons.run(current[:1, None])[0, 0], made)


@pytest.mark.parametrize("vth", RESETS)
def test_atrlif_resets_by_subtraction(arrays: dict[str, Array], stock: Mapping[str, Array], vth: int) -> None:
    threshold = np.array([vth << CURRENT_SHIFT])
    expected = IntegrateAndFire(np.zeros(1, np.int64), threshold, threshold // 2).run(
        arrays["small currents"][:, None]
    )
    assert 0.02 < expected.mean() < 0.98
    np.testing.assert_array_equal(stock[f"atrlif{vth}"][:STEPS], expected[:, 0])


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_conv(arrays: dict[str, Array], stock: Mapping[str, Array], name: str) -> None:
    window: dict[str, Any] = dict(CONVOLUTIONS[name])
    down, across = window.pop("padding", (0, 0))
    synapses = ConvSynapses(arrays[name], padding=(down, across, down, across), **window)
    expected = synapses.run(arrays["images"][:, None])[:, 0]
    np.testing.assert_array_equal(np.moveaxis(stock[name][1:], -1, 1), expected)


@pytest.mark.parametrize(("kind", "vth"), NEURONS)
def test_neurons_with_reset_to_zero(
    arrays: dict[str, Array], stock: Mapping[str, Array], kind: str, vth: int
) -> None:
    bias = arrays["bias_mant"] << arrays["bias_exp"]
    threshold, start = np.array(vth << CURRENT_SHIFT), np.zeros((), np.int64)
    neurons = IntegrateAndFire(bias, threshold, start, "zero")
    expected = neurons.run(arrays["currents"][:, None])[:, 0]
    assert 0.05 < expected.mean() < 0.95
    different = np.flatnonzero(np.any(stock[f"{kind}{vth}"][:STEPS] != expected, axis=0))
    assert different.size == 0, arrays["currents"][:, different]


def stock_neurons(bias: Array, threshold: Array) -> Neurons:
    return IntegrateAndFire(bias, threshold.max(keepdims=True), np.zeros((), np.int64), "zero")


OURS: dict[str, Callable[[Array, Array], Neurons]] = {
    "subtract": lambda bias, threshold: IntegrateAndFire(bias, threshold, threshold // 2),
    "signed": lambda bias, threshold: IntegrateAndFire(bias, threshold, threshold // 2, signed=True),
    "wait": lambda bias, threshold: IntegrateAndFire(bias, threshold, threshold // 2, wait=True),
    "digit": lambda bias, threshold: DigitNeurons(bias, threshold >> 8 << 6, 3),
    "graded": lambda bias, threshold: GradedNeurons(bias, threshold.clip(64), 255),
}


@pytest.mark.parametrize("kind", [*OURS, "zero"])
def test_neurons_on_lava(kind: str) -> None:
    """Spikes bring our own neurons currents and biases of every size; Lava's those that it is right for."""
    rng = np.random.default_rng(3)
    size = 400
    mantissa, exponent = np.array(BIASES)[rng.integers(len(BIASES), size=size)].T
    if kind == "zero":
        threshold, shift = np.array([30000]), 6
    else:
        threshold, shift = rng.choice([0, 1, 1000, 30000, THRESHOLD_MAX], size), 12
    synapses = LinearSynapses(weights(rng, size, 16), shift)
    largest = np.abs(synapses.weight.astype(int)).sum(axis=1).max() << shift
    assert (2**16 < largest <= CURRENT_MAX) if kind == "zero" else (largest > 4 * CURRENT_MAX)
    neurons = OURS.get(kind, stock_neurons)(mantissa << exponent, threshold << CURRENT_SHIFT)
    graph = Graph.of(
        [
            Node("input", Encoder((16,), "poisson", integer=True)),
            Node("synapses", synapses, ("input",)),
            Node("neurons", neurons, ("synapses",)),
            Node("one", ScaleSynapses(np.ones(1, np.int8)), ("neurons",)),
            Node("decoder", Decoder(np.zeros(1, np.int64)), ("one",)),
        ],
        ["decoder"],
    )
    x = np.linspace(-1, 1, 16)[None]
    found, expected = (
        compile_for(name, graph).run(x, steps=24, probes=["neurons"]).spikes["neurons"]
        for name in ("lava", "numpy")
    )
    assert 0.05 < np.mean(expected != 0) < 0.95
    np.testing.assert_array_equal(found, expected, strict=True)
