"""What the obvious form of a layer gets wrong, beside what it becomes; each compared with the original network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from strategies import estimate, largest

from neurocompile.ir import Array, Graph, Node, Op, run
from neurocompile.ir.codes import Code, DigitCode, GradedCode, RateCode
from neurocompile.ir.layers import Add, Affine, Concat, Conv, Input, Linear, ReLU
from neurocompile.ir.processes import Encoder
from neurocompile.passes.balance import Balance
from neurocompile.passes.lower import Lower
from neurocompile.passes.round_weights import RoundWeights

LEVELS = 2**16 - 1

EXACT: dict[str, tuple[Code, ...]] = {
    "digit": (DigitCode(4), DigitCode(7), DigitCode(10)),
    "graded": (GradedCode(4), GradedCode(6), GradedCode(8)),
    "wait": (RateCode(16, wait=True), RateCode(64, wait=True), RateCode(256, wait=True)),
}
"""Codes whose neurons decide with all of the input at hand, coarse ones first: each rounds to the nearest."""

UNEVEN: dict[str, tuple[Code, ...]] = {
    "rate": (RateCode(16), RateCode(128), RateCode(1024)),
    "signed": (RateCode(16, signed=True), RateCode(128, signed=True), RateCode(1024, signed=True)),
}
"""Codes whose neurons fire while the input arrives, and may be several spikes off."""

ALL = EXACT | UNEVEN
_SPIKES_OFF = 4

Change = Callable[[Graph], Graph]


@dataclass
class Compiled:
    """A network of layers and its form in spikes, with some images.

    Parameters
    ----------
    change
        What is done to the balanced layers before they are lowered, to make a naive form of them.
    scaled
        Whether the largest activation is what neurons can send at most, instead of what a 1 would be.
    """

    layers: Graph
    code: Code
    x: Array
    change: Change = lambda balanced: balanced
    scaled: bool = True

    @property
    def thresholds(self) -> dict[str, Array]:
        found = largest(self.layers, self.x)
        return {name: c / self.code.highest for name, c in found.items()} if self.scaled else found

    def outputs(self) -> Array:
        encoder = Encoder((), "once" if self.code.radix > 1 else "constant", 1.0, LEVELS)
        balanced = self.change(Balance(self.thresholds)(self.layers))
        return estimate(RoundWeights()(Lower(encoder, self.code)(balanced)), self.x, self.code.steps)

    def error(self) -> float:
        wanted = run(self.layers, {"x": self.x})[self.layers.outputs[0]]
        return float(np.abs(self.outputs() - wanted).max())

    def bound(self) -> float:
        """How far the largest output may be off: neurons round to the nearest, and weights lead errors on."""
        found: dict[str, Array] = {}
        slack = 1e-6
        for node in self.layers.nodes:
            op = node.op
            before = [found[name] for name in node.inputs]
            if isinstance(op, Input):
                found[node.name] = np.full((1, *op.shape), 0.5 / LEVELS)
            elif isinstance(op, ReLU):
                half = self.thresholds[node.name] * self.code.resolution / 2
                found[node.name] = before[0] + half * (1 + slack)
            else:
                found[node.name] = of_sizes(op).run(*before)
        return float(found[self.layers.outputs[0]].max()) + slack


def of_sizes(op: Op) -> Op:
    """The layer that leads errors on: weights without signs and biases."""
    if isinstance(op, Conv | Linear):
        return replace(op, weight=np.abs(op.weight), bias=0 * op.bias)
    return Affine(np.abs(op.scale), 0 * op.shift) if isinstance(op, Affine) else op


def assert_converges(name: str, layers: Graph, x: Array) -> None:
    errors = []
    for code in ALL[name]:
        found = Compiled(layers, code, x)
        errors.append(found.error())
        assert errors[-1] <= found.bound() * (1 if name in EXACT else _SPIKES_OFF)
    assert errors[2] < errors[0] / 4


def assert_fails(naive: Callable[[Code], Compiled], *names: str) -> None:
    """However fine the code is, the naive form is further off than any rounding explains."""
    for name in names or tuple(ALL):
        found = naive(ALL[name][-1])
        assert found.error() > 3 * found.bound()


def linear(seed: int, out: int, inputs: int, bias: float = 0.3) -> Linear:
    rng = np.random.default_rng(seed)
    return Linear(rng.normal(size=(out, inputs)) / np.sqrt(inputs), bias * rng.normal(size=out))


def scaled(by: float) -> Affine:
    return Affine(np.full(1, by), np.zeros(1))


def signed_images(count: int = 30, size: int = 6) -> Array:
    return np.random.default_rng(0).uniform(-1, 1, (count, size))


def images(count: int = 30, size: int = 6) -> Array:
    return np.abs(signed_images(count, size))


def leaky(name: str, source: str, slope: float = 0.2) -> list[Node]:
    """Neurons for the positive part, and neurons for the negative one."""
    return [
        Node(f"{name}.positive", ReLU(), (source,)),
        Node(f"{name}.turned", scaled(-1), (source,)),
        Node(f"{name}.negative", ReLU(), (f"{name}.turned",)),
        Node(f"{name}.slope", scaled(-slope), (f"{name}.negative",)),
        Node(name, Add(), (f"{name}.positive", f"{name}.slope")),
    ]


def leaky_network() -> Graph:
    nodes = [
        Node("x", Input((6,))),
        Node("l1", linear(1, 8, 6), ("x",)),
        *leaky("a1", "l1"),
        Node("l2", linear(2, 8, 8), ("a1",)),
        *leaky("a2", "l2"),
        Node("l3", linear(3, 3, 8), ("a2",)),
    ]
    return Graph.of(nodes, ["l3"])


def plain_network() -> Graph:
    nodes = [
        Node("x", Input((6,))),
        Node("l1", linear(1, 8, 6), ("x",)),
        Node("r1", ReLU(), ("l1",)),
        Node("l2", linear(2, 8, 8), ("r1",)),
        Node("r2", ReLU(), ("l2",)),
        Node("l3", linear(3, 3, 8), ("r2",)),
    ]
    return Graph.of(nodes, ["l3"])


@pytest.mark.parametrize("name", ALL)
def test_signed_inputs_converge(name: str) -> None:
    assert_converges(name, plain_network(), signed_images())


@pytest.mark.parametrize("name", ALL)
def test_inputs_that_send_no_negative_values_lose_half_of_the_image(name: str) -> None:
    found = Compiled(plain_network(), ALL[name][-1], signed_images())
    wanted = run(found.layers, {"x": found.x})["l3"]
    clipped = Compiled(found.layers, found.code, np.maximum(found.x, 0)).outputs()
    assert np.abs(clipped - wanted).max() > 3 * found.bound()


@pytest.mark.parametrize("name", ALL)
def test_signed_activations_converge(name: str) -> None:
    assert_converges(name, leaky_network(), signed_images())


@pytest.mark.parametrize("name", ALL)
def test_neurons_for_the_positive_part_alone_do_not(name: str) -> None:
    def without_negative(balanced: Graph) -> Graph:
        nodes = []
        for node in balanced.nodes:
            if isinstance(node.op, Add):
                node = Node(node.name, Affine(np.ones(1), np.zeros(1)), node.inputs[:1])
            nodes.append(node)
        return Graph.of(nodes, balanced.outputs)

    assert_fails(lambda code: Compiled(leaky_network(), code, signed_images(), without_negative), name)


def at_the_ceiling(ceiling: float = 6.0) -> tuple[Graph, Array]:
    """Half of the activations are at their ceiling, the others at 0."""
    weight = np.array([[40.0], [-40.0], [50.0]])
    nodes = [
        Node("x", Input((1,))),
        Node("l1", Linear(weight, np.zeros(3)), ("x",)),
        Node("r1", ReLU(np.array(ceiling)), ("l1",)),
        Node("l2", Linear(np.array([[1.0, 0.5, 2.0]]), np.zeros(1)), ("r1",)),
    ]
    return Graph.of(nodes, ["l2"]), np.array([[1.0], [-1.0], [0.75]])


@pytest.mark.parametrize("code", [DigitCode(1), DigitCode(3), DigitCode(8), GradedCode(4), RateCode(5)], ids=repr)
def test_activations_at_their_ceiling_are_exact(code: Code) -> None:
    layers, x = at_the_ceiling()
    assert Compiled(layers, code, x).error() < 1e-6


@pytest.mark.parametrize("digits", [1, 3, 8])
def test_digits_of_a_threshold_at_the_ceiling_are_off_by_the_last_one(digits: int) -> None:
    """So many digits reach ``1 - 2**-D``; with the threshold scaled by its inverse, that is the ceiling."""
    layers, x = at_the_ceiling()
    naive = Compiled(layers, DigitCode(digits), x, scaled=False)
    # Two of the three are at 6, with the weights 1 and 2.
    assert naive.error() == pytest.approx(2.0**-digits * 6 * 3, rel=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_ceilings_below_what_is_reached_converge(name: str) -> None:
    nodes = [
        Node("x", Input((6,))),
        Node("l1", linear(1, 8, 6), ("x",)),
        Node("r1", ReLU(np.array(0.3)), ("l1",)),
        Node("l2", linear(2, 8, 8), ("r1",)),
        Node("r2", ReLU(np.array(0.25)), ("l2",)),
        Node("l3", linear(3, 3, 8), ("r2",)),
    ]
    layers = Graph.of(nodes, ["l3"])
    assert_converges(name, layers, signed_images())

    def without_ceiling(code: Code) -> Compiled:
        def higher(balanced: Graph) -> Graph:
            """Thresholds as if there were no ceilings: twice as high."""
            changed = [
                Node(n.name, replace(n.op, weight=n.op.weight * w, bias=n.op.bias * b), n.inputs)
                if isinstance(n.op, Linear)
                else n
                for n, (w, b) in zip(balanced.nodes, factors(balanced), strict=True)
            ]
            return Graph.of(changed, balanced.outputs)

        def factors(balanced: Graph) -> list[tuple[float, float]]:
            given = {"l1": (0.5, 0.5), "l2": (1.0, 0.5), "l3": (2.0, 1.0)}
            return [given.get(n.name, (1.0, 1.0)) for n in balanced.nodes]

        return Compiled(layers, code, signed_images(), higher)

    assert_fails(without_ceiling, name)


def deep_chain(depth: int = 6) -> Graph:
    """Layers whose biases matter, and whose thresholds grow from one to the next."""
    nodes = [Node("x", Input((6,)))]
    for i in range(depth):
        layer = linear(10 + i, 6, 6, bias=0.5 * 1.5**i)
        nodes.append(Node(f"l{i}", replace(layer, weight=1.5 * np.abs(layer.weight)), (nodes[-1].name,)))
        nodes.append(Node(f"r{i}", ReLU(), (f"l{i}",)))
    nodes.append(Node("out", linear(20, 3, 6), (nodes[-1].name,)))
    return Graph.of(nodes, ["out"])


@pytest.mark.parametrize("name", ALL)
def test_biases_along_a_deep_chain_converge(name: str) -> None:
    assert_converges(name, deep_chain(), images())


@pytest.mark.parametrize("name", ALL)
def test_biases_that_are_not_scaled_with_the_thresholds_do_not(name: str) -> None:
    layers = deep_chain()

    def unscaled(balanced: Graph) -> Graph:
        nodes = []
        for node in balanced.nodes:
            if isinstance(node.op, Linear):
                original = layers[node.name].op
                assert isinstance(original, Linear)
                node = Node(node.name, replace(node.op, bias=original.bias), node.inputs)
            nodes.append(node)
        return Graph.of(nodes, balanced.outputs)

    assert_fails(lambda code: Compiled(layers, code, images(), unscaled), name)


def branches() -> Graph:
    """Two branches side by side, one of them a hundred times larger, and a layer in which both count alike."""
    small, large = linear(1, 5, 6), linear(2, 5, 6)
    reads = linear(3, 6, 10)
    nodes = [
        Node("x", Input((6,))),
        Node("l1", Linear(0.1 * small.weight, 0.1 * small.bias), ("x",)),
        Node("l2", Linear(10 * large.weight, 10 * large.bias), ("x",)),
        Node("r1", ReLU(), ("l1",)),
        Node("r2", ReLU(), ("l2",)),
        Node("both", Concat(), ("r1", "r2")),
        Node("l3", Linear(reads.weight * np.repeat([10, 0.1], 5), reads.bias), ("both",)),
        Node("r3", ReLU(), ("l3",)),
        Node("out", linear(4, 3, 6), ("r3",)),
    ]
    return Graph.of(nodes, ["out"])


@pytest.mark.parametrize("name", ALL)
def test_branches_side_by_side_of_different_scales_converge(name: str) -> None:
    assert_converges(name, branches(), signed_images())


@pytest.mark.parametrize("name", ALL)
def test_spikes_of_branches_that_count_alike_do_not(name: str) -> None:
    """With one threshold for both branches as what a spike is worth, whichever it comes from."""
    layers = branches()

    def alike(code: Code) -> Compiled:
        thresholds = Compiled(layers, code, signed_images()).thresholds
        worth = max(thresholds[name].max() for name in ("r1", "r2"))

        def change(balanced: Graph) -> Graph:
            original = layers["l3"].op
            assert isinstance(original, Linear)
            weight = original.weight * worth / thresholds["r3"].reshape(-1, 1)
            nodes = [
                Node(n.name, replace(n.op, weight=weight), n.inputs)
                if n.name == "l3" and isinstance(n.op, Linear)
                else n
                for n in balanced.nodes
            ]
            return Graph.of(nodes, balanced.outputs)

        return Compiled(layers, code, signed_images(), change)

    assert_fails(alike, name)


@pytest.mark.parametrize("name", sorted(EXACT))
def test_one_threshold_for_both_branches_silences_the_small_one(name: str) -> None:
    """It converges all the same, but needs a hundred times the levels."""
    layers = branches()
    code = EXACT[name][1]
    shared = Compiled(layers, code, signed_images())
    largest_of_both = max(shared.thresholds[name].max() for name in ("r1", "r2"))
    thresholds = shared.thresholds | {name: np.full(1, largest_of_both) for name in ("r1", "r2")}
    encoder = Encoder((), "once" if code.radix > 1 else "constant", 1.0, LEVELS)
    graph = RoundWeights()(Lower(encoder, code)(Balance(thresholds)(layers)))
    wanted = run(layers, {"x": shared.x})["out"]
    assert np.abs(estimate(graph, shared.x, code.steps) - wanted).max() > shared.bound()


def residual() -> Graph:
    """A shortcut past a layer after which values are several times larger."""
    nodes = [
        Node("x", Input((6,))),
        Node("l1", linear(1, 6, 6), ("x",)),
        Node("r1", ReLU(), ("l1",)),
        Node("l2", Linear(4 * linear(2, 6, 6).weight, np.ones(6)), ("r1",)),
        Node("r2", ReLU(), ("l2",)),
        Node("l3", Linear(2 * linear(3, 6, 6).weight, np.ones(6)), ("r2",)),
        Node("sum", Add(), ("l3", "r1")),
        Node("r3", ReLU(), ("sum",)),
        Node("out", linear(4, 3, 6), ("r3",)),
    ]
    return Graph.of(nodes, ["out"])


@pytest.mark.parametrize("name", ALL)
def test_residual_sums_converge(name: str) -> None:
    assert_converges(name, residual(), signed_images())


@pytest.mark.parametrize("name", ALL)
def test_a_shortcut_that_is_worth_a_threshold_for_each_spike_does_not(name: str) -> None:
    def unscaled(balanced: Graph) -> Graph:
        changed = [n.name for n in balanced.nodes if isinstance(n.op, Affine)]
        assert changed
        nodes = [
            Node(n.name, Affine(np.ones(1), n.op.shift), n.inputs) if isinstance(n.op, Affine) else n
            for n in balanced.nodes
        ]
        return Graph.of(nodes, balanced.outputs)

    assert_fails(lambda code: Compiled(residual(), code, signed_images(), unscaled), name)


@pytest.mark.parametrize("name", sorted(EXACT))
def test_the_bound_would_notice_one_level_more(name: str) -> None:
    """Errors come near to their bound: it is not too generous to tell anything."""
    code = EXACT[name][1]
    layers = Graph.of(plain_network().nodes[:3], ["r1"])
    found = Compiled(layers, code, signed_images(300))
    assert 0.9 * found.bound() < found.error() <= found.bound()
