from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.codes import RateCode
from neurocompile.ir.layers import Add, Affine, Conv, Input, ReLU
from neurocompile.ir.processes import ConvSynapses, Encoder, LinearSynapses, ScaleSynapses, Synapses
from neurocompile.passes.lower import Lower
from neurocompile.passes.quantize import Quantize
from neurocompile.passes.units import Branch, choose_unit, nearest_weights

NO_BIAS = np.zeros(1)


def branch(op: Synapses, largest: float = 1.0) -> Branch:
    return Branch(Node("synapses", op, ("x",)), op.weight, largest, 1, np.arange(len(op.weight)))


def one_to_one(*weights: float) -> Branch:
    return branch(ScaleSynapses(np.array(weights).reshape(-1, 1, 1)))


def conv(seed: int, channels: int) -> Branch:
    return branch(ConvSynapses(np.random.default_rng(seed).normal(size=(channels, 4, 3, 3)) / 6))


def chosen(branches: Sequence[Branch], *, per_layer: bool = False, has_threshold: bool = True) -> Array:
    return choose_unit(branches, NO_BIAS, per_layer=per_layer, has_threshold=has_threshold)


def relative_errors(wires: Branch, unit: Array) -> Array:
    """How far integer weights are from the real ones, as a share of these."""
    steps, _ = wires.steps(unit)
    return np.abs(nearest_weights(steps) / steps - 1).reshape(-1)


shortcuts = st.lists(st.floats(0.3, 3), min_size=2, max_size=6)


@given(weights=shortcuts, seed=st.integers(0, 99))
def test_thresholds_are_whole_and_not_much_smaller(weights: list[float], seed: int) -> None:
    rest, wires = conv(seed, len(weights)), one_to_one(*weights)
    without, unit = chosen([rest]), chosen([rest, wires])
    np.testing.assert_allclose(1 / unit, np.rint(1 / unit))
    # Units are those of the smaller of both weights, and grow by up to 1 / 0.85.
    smallest = np.minimum(rest.peaks, wires.peaks) / 127
    assert np.all(unit >= smallest * (1 - 1e-9))
    assert np.all(unit <= smallest / 0.84 + 0.02 * smallest + smallest**2 * 2)
    assert without.shape == unit.shape


@given(weights=shortcuts, seed=st.integers(0, 99))
def test_one_to_one_weights_become_nearly_whole(weights: list[float], seed: int) -> None:
    """Their errors would all have one sign; half a unit of 8 bits is up to one part in 128."""
    wires = one_to_one(*weights)
    unit = chosen([conv(seed, len(weights)), wires])
    assert relative_errors(wires, unit).max() <= 0.2 / 64


@given(weights=shortcuts, seed=st.integers(0, 99))
def test_is_no_worse_than_the_smallest_unit(weights: list[float], seed: int) -> None:
    rest, wires = conv(seed, len(weights)), one_to_one(*weights)
    unit = chosen([rest, wires])
    smallest = 1 / np.floor(127 / np.minimum(rest.peaks, wires.peaks))
    assert relative_errors(wires, unit).mean() <= relative_errors(wires, smallest).mean() + 1e-3


def test_the_smallest_unit_alone_leaves_larger_errors() -> None:
    """The tests above would notice a choice that is not made."""
    rng = np.random.default_rng(0)
    errors = []
    for seed in range(20):
        rest, wires = conv(seed, 4), one_to_one(*rng.uniform(0.3, 3, 4))
        smallest = 1 / np.floor(127 / np.minimum(rest.peaks, wires.peaks))
        errors.append([relative_errors(wires, u).max() for u in (chosen([rest, wires]), smallest)])
    ours, plain = np.max(errors, axis=0)
    assert ours < 0.2 / 64 < plain


@pytest.mark.parametrize("threshold", [1, 2, 93, 98, 100, 104, 127, 200, 1000, 2001])
def test_weights_of_many_inputs_alone_keep_the_smallest_unit(threshold: int) -> None:
    peak = 127 / threshold
    rest = branch(LinearSynapses(np.array([[peak, 0.1 * peak], [-0.3 * peak, 0.9 * peak]])))
    np.testing.assert_allclose(1 / chosen([rest]), np.floor(threshold / np.array([1, 0.9]) + 1e-9))


@pytest.mark.parametrize("kind", ["per layer", "without threshold"])
def test_one_unit_for_all_and_units_of_a_decoder_are_not_changed(kind: str) -> None:
    wires = one_to_one(0.613, 0.734)
    if kind == "per layer":
        unit = chosen([wires], per_layer=True)
        np.testing.assert_allclose(1 / unit, [np.floor(127 / 0.734)])
    else:
        unit = chosen([wires], has_threshold=False)
        np.testing.assert_allclose(unit, np.array([0.613, 0.734]) / 127)


def test_scales_of_places_are_not_one_to_one() -> None:
    """A channel with a weight for each place has no one weight to suit."""
    weight = np.random.default_rng(0).uniform(0.5, 1, (2, 3, 3))
    scales = branch(ScaleSynapses(weight))
    np.testing.assert_allclose(1 / chosen([scales]), np.floor(127 / scales.peaks))


@pytest.mark.parametrize("weights", [(200.3, 150.7), (127.5, 140.2), (64.3, 100.1), (30.2, 40.3)], ids=str)
def test_large_weights_keep_a_threshold(weights: tuple[float, ...]) -> None:
    wires = one_to_one(*weights)
    unit = chosen([wires])
    assert np.all(np.isfinite(unit))
    assert np.all(1 / unit >= np.maximum(np.floor(0.85 * np.floor(127 / np.array(weights))), 1))
    steps, _ = wires.steps(unit)
    assert np.abs(steps).max() <= 127.5


def residual(scale: float) -> Graph:
    """A shortcut with a weight of its own beside a convolution."""
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(3, 3, 3, 3)) / 5
    nodes = [
        Node("x", Input((3, 4, 4))),
        Node("first", ReLU(), ("x",)),
        Node("conv", Conv(weight, np.zeros(3), padding=(1, 1, 1, 1)), ("first",)),
        Node("short", Affine(np.array([0.61, 0.83, 1.37]).reshape(3, 1, 1) * scale, np.zeros(1)), ("first",)),
        Node("sum", Add(), ("conv", "short")),
        Node("second", ReLU(), ("sum",)),
    ]
    return Graph.of(nodes, ["second"])


@pytest.mark.parametrize("scale", [1.0, 0.1, 10.0, 300.0])
def test_shortcuts_of_quantised_networks_are_nearly_exact(scale: float) -> None:
    graph = Quantize()(Lower(Encoder((), levels=255), RateCode(8))(residual(scale)))
    (short,) = [n for n in graph.nodes if isinstance(n.op, ScaleSynapses) and n.name.startswith("short")]
    assert isinstance(short.op, ScaleSynapses)
    threshold = np.broadcast_to(graph["second"].op.v_threshold.reshape(-1, 1, 1), (3, 1, 1)) / 2**6
    found = short.op.weight * 2.0**short.op.weight_exponent / threshold
    expected = np.array([0.61, 0.83, 1.37]).reshape(3, 1, 1) * scale
    np.testing.assert_allclose(found, expected, rtol=0.003 if scale < 100 else 0.01)
