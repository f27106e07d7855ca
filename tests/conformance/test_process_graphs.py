"""Graphs of processes that are made by hand: every backend runs what the dialect allows, whoever wrote it."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from conformance.comparison import WHOLE, assert_equal, by_definition, expected, found

from neurocompile.ir import Array, Graph, Node, Op
from neurocompile.ir.processes import (
    ConvSynapses,
    CurrentSum,
    Decoder,
    DigitNeurons,
    Encoder,
    GradedNeurons,
    IntegrateAndFire,
    LinearSynapses,
    PoolSynapses,
    ReshapeSynapses,
    ScaleSynapses,
    SpikeMaxPool,
    WireSynapses,
)


class Builder:
    """A graph of processes, real or integer, that grows node by node; every method gives a node's name."""

    def __init__(self, *shape: int, integer: bool, code: str = "constant") -> None:
        self.rng = np.random.default_rng(sum(shape))
        self.integer = integer
        levels = 0 if code == "poisson" else 255
        self.nodes = [Node("input", Encoder(shape, code, 1.0, levels, 3, integer))]  # type: ignore[arg-type]

    def add(self, op: Op, *inputs: str) -> str:
        name = f"{type(op).__name__.lower()}{len(self.nodes)}"
        self.nodes.append(Node(name, op, inputs or (self.nodes[-1].name,)))
        return name

    def weight(self, *shape: int) -> Array:
        """Draw mantissas, or as many 64ths."""
        drawn = self.rng.integers(-60, 100, shape)
        return drawn.astype(np.int8) if self.integer else drawn / 64

    def units(self, *values: float) -> list[Array]:
        """Give values in units of the current as parameters of neurons."""
        return [np.array(round(n * 64) if self.integer else n / 64) for n in values]

    def neurons(self, threshold: float, *inputs: str, bias: float = 0.0, **others: bool) -> str:
        """Add neurons; threshold and bias are given in units of the current."""
        return self.add(IntegrateAndFire(*self.units(bias, threshold, threshold / 2), **others), *inputs)  # type: ignore[arg-type]

    def decode(self, radix: int = 1) -> Graph:
        size = int(np.prod(Graph.of(self.nodes, [self.nodes[-1].name]).types[self.nodes[-1].name].shape))
        self.add(ReshapeSynapses((size,)))
        self.add(LinearSynapses(self.weight(4, size)))
        bias = np.full(1, 5, int if self.integer else float)
        self.nodes.append(Node("decoder", Decoder(bias, 1.0, radix), (self.nodes[-1].name,)))
        return Graph.of(self.nodes, ["decoder"])


def embedded(size: int, start: int, whole: int, *space: int) -> WireSynapses:
    """Wires that put an image's channels among others."""
    index = np.full((whole, *space), -1)
    index[start : start + size] = np.arange(index[:size].size).reshape(size, *space)
    return WireSynapses(index)


def one_axis(b: Builder) -> Graph:
    b.add(ConvSynapses(b.weight(4, 3, 3), stride=(2,), padding=(0, 2), dilation=(2,)))
    b.neurons(20_000 if b.integer else 100)
    b.add(PoolSynapses((3,), (2,), (1, 0), (2,)))
    b.add(ConvSynapses(b.weight(6, 2, 2), groups=2))
    b.neurons(200, bias=5)
    b.add(SpikeMaxPool((2,), (1,), (0, 1)))
    return b.decode()


def three_axes(b: Builder) -> Graph:
    b.add(ConvSynapses(b.weight(3, 2, 2, 3, 1), stride=(1, 2, 1), padding=(1, 0, 0, 0, 1, 0), dilation=(2, 1, 1)))
    b.neurons(20_000 if b.integer else 100)
    b.add(SpikeMaxPool((2, 2, 2), (1, 1, 2), (1, 0, 0, 0, 0, 0), (2, 1, 1)))
    b.add(ConvSynapses(b.weight(4, 3, 2, 1, 2), padding=(0, 0, 1, 0, 0, 0)))
    b.neurons(200, bias=5)
    return b.decode()


def branches_meet_at_a_pool(b: Builder) -> Graph:
    """Spikes of layers of different depth, signed spikes and counts lie side by side before a pool."""
    first = b.neurons(9000 if b.integer else 40, b.add(ConvSynapses(b.weight(2, 2, 3, 3), padding=(1, 1, 1, 1))))
    second = b.neurons(90, b.add(ConvSynapses(b.weight(3, 2, 1, 1)), first))
    left = b.add(embedded(2, 0, 9, 5, 4), first)
    middle = b.add(embedded(3, 2, 9, 5, 4), second)
    b.add(PoolSynapses((2, 2), (), (0, 1, 1, 0)), first)
    right = b.add(embedded(2, 5, 9, 5, 4))
    outer = b.add(embedded(2, 7, 9, 5, 4), "input")
    b.add(CurrentSum(), left, middle, right, outer)
    b.add(SpikeMaxPool((2, 2), (1, 2)))
    b.add(ConvSynapses(b.weight(4, 9, 2, 1)))
    b.neurons(300)
    return b.decode()


def spikes_meet_at_a_pool(b: Builder) -> Graph:
    """Two spikes at one place are two, and one of them took a step more to come."""
    first = b.neurons(9000 if b.integer else 40, b.add(ConvSynapses(b.weight(2, 2, 1, 1))))
    second = b.neurons(50, b.add(ConvSynapses(b.weight(2, 2, 1, 1)), first))
    turned = b.add(WireSynapses(np.arange(40).reshape(2, 5, 4)[::-1]), second)
    b.add(CurrentSum(), first, turned, first)
    b.add(SpikeMaxPool((2, 2)))
    b.add(CurrentSum(), b.nodes[-1].name)
    b.neurons(2 if b.integer else 128)
    return b.decode()


def wired_neurons(b: Builder) -> Graph:
    """Neurons, and the decoder, take spikes without a weight between."""
    b.add(ConvSynapses(b.weight(2, 2, 1, 1)))
    first = b.neurons(9000 if b.integer else 40)
    second = b.neurons(2 if b.integer else 128, first)
    b.add(ScaleSynapses(b.weight(5, 4)), second)
    b.neurons(60)
    b.nodes.append(Node("decoder", Decoder(np.zeros(1, int if b.integer else float)), (b.nodes[-1].name,)))
    return Graph.of(b.nodes, ["decoder"])


def digits_at_pools(b: Builder) -> Graph:
    """Digits reach a pool as they are, and one with currents and the digits of a layer that starts later."""
    b.add(ConvSynapses(b.weight(2, 2, 3, 3), padding=(1, 1, 1, 1)))
    first = b.add(DigitNeurons(*b.units(-5, 40_000), 1))
    pooled = b.add(SpikeMaxPool((2, 2), (1, 1), (1, 1, 0, 0), radix=2), first)
    b.add(ConvSynapses(b.weight(2, 2, 1, 1)), pooled)
    second = b.add(DigitNeurons(*b.units(3, 150), 4))
    left, right = b.add(embedded(2, 0, 4, 5, 4), first), b.add(embedded(2, 2, 4, 5, 4), second)
    outer = b.add(ConvSynapses(b.weight(4, 2, 1, 1)), "input")
    b.add(CurrentSum(), left, right, outer)
    b.add(SpikeMaxPool((2, 2), (2, 1), radix=2))
    b.add(ConvSynapses(b.weight(3, 4, 1, 1)))
    b.add(DigitNeurons(*b.units(0, 60_000), 2))
    return b.decode(radix=2)


def every_code(b: Builder) -> Graph:
    """Neurons that go on firing, Lava's own among them, lead to those that count so many steps of input."""
    channels = 2
    for neurons in (
        IntegrateAndFire(*b.units(7, 9000, 0), "zero"),
        DigitNeurons(*b.units(5, 60), 3),
        IntegrateAndFire(*b.units(20, 80, 0), "zero"),
        IntegrateAndFire(*b.units(11, 60, 30), wait=True),
        IntegrateAndFire(*b.units(-5, 90, 45), signed=True),
        GradedNeurons(*b.units(30, 200), 5),
        IntegrateAndFire(*b.units(-20, 300, 150), wait=True),
        DigitNeurons(*b.units(-5, 250), 1),
    ):
        b.add(ConvSynapses(b.weight(3, channels, 1, 1)))
        b.add(neurons)
        channels = 3
    return b.decode()


GRAPHS: dict[str, tuple[tuple[int, ...], Callable[[Builder], Graph]]] = {
    "one axis": ((3, 17), one_axis),
    "three axes": ((2, 4, 5, 3), three_axes),
    "branches meet at a pool": ((2, 5, 4), branches_meet_at_a_pool),
    "spikes meet at a pool": ((2, 5, 4), spikes_meet_at_a_pool),
    "wired neurons": ((2, 5, 4), wired_neurons),
    "digits at pools": ((2, 5, 4), digits_at_pools),
    "every code": ((2, 5, 4), every_code),
}

CASES = [
    *itertools.product(GRAPHS, [False], ["constant"]),
    *itertools.product(GRAPHS, [True], ["constant", "poisson"]),
    *itertools.product(["digits at pools"], [False, True], ["once"]),
]


def made(name: str, integer: bool, code: str) -> tuple[Graph, Array]:
    shape, make = GRAPHS[name]
    graph = make(Builder(*shape, integer=integer, code=code))
    return graph, np.random.default_rng(1).uniform(-0.5, 1, (3, *shape))


@pytest.mark.parametrize("tested", WHOLE)
@pytest.mark.parametrize(("name", "integer", "code"), CASES)
def test_runs_as_defined(tested: str, name: str, integer: bool, code: str) -> None:
    graph, x = made(name, integer, code)
    assert_equal(found(tested, graph, x, 10), expected(tested, graph, x, 10))


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("integer", [False, True])
def test_the_graphs_are_alive(name: str, integer: bool) -> None:
    graph, x = made(name, integer, "constant")
    for layer, spikes in by_definition(graph, x, 10).spikes.items():
        assert 0.02 < np.mean(spikes != 0) < 0.9, (layer, spikes.mean())
