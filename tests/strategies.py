"""Generated graphs of layers, and what the tests of passes and processes share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from neurocompile.calibration.ceilings import ceilings
from neurocompile.ir import Array, Graph, Node, Op, run
from neurocompile.ir.codes import Code, DigitCode, GradedCode, RateCode
from neurocompile.ir.layers import (
    Add,
    Affine,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Identity,
    Input,
    Linear,
    MaxPool,
    Rearrange,
    ReLU,
    Reshape,
)
from neurocompile.ir.processes import Encoder
from neurocompile.passes.balance import Balance
from neurocompile.passes.lower import Lower
from neurocompile.passes.pipeline import SIMPLIFY


@dataclass
class GraphBuilder:
    """A graph of layers that grows node by node from one input."""

    draw: st.DrawFn
    rng: np.random.Generator
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def add(self, op: Op, *inputs: str) -> str:
        name = f"{type(op).__name__.lower()}{len(self.nodes)}"
        self.nodes.append(Node(name, op, inputs))
        self.shapes[name] = Graph.of(self.nodes, [name]).types[name].shape
        return name

    def weight(self, *shape: int) -> Array:
        """Draw weights about as large as training makes them; some channels, or all of them, are zero."""
        weight = self.rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        kind = self.draw(st.sampled_from(["dense", "dense", "dense", "dead channels", "zero"]))
        if kind == "dead channels":
            weight[self.rng.random(len(weight)) < 0.5] = 0
        return weight * (kind != "zero")

    def vector(self, size: int) -> Array:
        return self.rng.normal(size=size) * 0.3


def _conv(b: GraphBuilder, source: str) -> Op:
    channels, *space = b.shapes[source]
    groups = channels if b.draw(st.booleans()) else 1
    out = groups * b.draw(st.integers(1, 2))
    kernel = tuple(b.draw(st.integers(1, min(3, n))) for n in space)
    padding = tuple(b.draw(st.integers(0, 1)) for _ in range(2 * len(space)))
    stride = b.draw(st.sampled_from([1, 2])), *[1] * (len(space) - 1)
    weight = b.weight(out, channels // groups, *kernel)
    return Conv(weight, b.vector(out), stride, padding, (), groups)


def _window(b: GraphBuilder, source: str) -> tuple[tuple[int, ...], ...]:
    space = b.shapes[source][1:]
    kernel = tuple(min(2, n) for n in space)
    stride = (b.draw(st.sampled_from([1, 2])),) * len(space)
    padded = set(kernel) == {2} and b.draw(st.booleans())
    padding = (1, *[0] * (2 * len(space) - 2), 1) if padded else ()
    dilation = (2, *[1] * (len(space) - 1)) if space[0] > 2 and b.draw(st.booleans()) else ()
    return kernel, stride, padding, dilation


def _affine(b: GraphBuilder, source: str) -> Op:
    shape = b.shapes[source]
    size = b.draw(st.sampled_from([(1,), (shape[0], *[1] * (len(shape) - 1)), shape[-1:], shape]))
    scale = b.rng.choice([-1.3, -0.5, 0.0, 0.7, 1.0, 2.0], size)
    shift = b.draw(st.sampled_from([0.0, 1.0])) * b.rng.normal(size=size) * 0.3
    return Affine(np.ones(size) if b.draw(st.integers(0, 4)) == 0 else scale, shift)


def _relu(b: GraphBuilder, source: str) -> Op:
    shape = b.shapes[source]
    channels = (shape[0], *[1] * (len(shape) - 1))
    return ReLU(
        b.draw(st.sampled_from([np.array(np.inf), np.array(np.inf), np.array(0.5), np.full(channels, 0.4)]))
    )


def _reshape(b: GraphBuilder, source: str) -> Op:
    shape = b.shapes[source]
    size = int(np.prod(shape))
    return Reshape(b.draw(st.sampled_from([(size,), (1, size), shape[::-1], (*shape[:-1], 1, shape[-1])])))


def _rearrange(b: GraphBuilder, source: str) -> Op:
    """Transpose, leave out, repeat, or pad with zeros."""
    shape = b.shapes[source]
    index = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)
    kind = b.draw(st.sampled_from(["last", "first", "reverse", "leave out", "repeat", "pad", "any", "channels"]))
    if kind in ("last", "first"):
        index = np.moveaxis(index, 0, -1) if kind == "last" else np.moveaxis(index, -1, 0)
    elif kind == "reverse":
        index = index.T
    elif kind == "leave out":
        index = index[..., ::2]
    elif kind == "repeat":
        index = np.repeat(index, 2, axis=0)[: 2 * shape[0] - 1]
    elif kind == "pad":
        index = np.pad(index, [(0, 1), *[(1, 0)] * (len(shape) - 1)], constant_values=-1)
    elif kind == "channels":
        index = b.rng.permutation(index)
    else:
        index = b.rng.integers(-1, index.size, shape, dtype=np.int32)
    return Rearrange(index)


def _batch_norm(b: GraphBuilder, source: str) -> Op:
    size = b.shapes[source][0]
    return BatchNorm(1 + 2 * b.vector(size), b.vector(size), b.vector(size), b.rng.uniform(0.3, 2, size))


def _linear(b: GraphBuilder, source: str) -> Op:
    out = b.draw(st.integers(1, 4))
    return Linear(b.weight(out, b.shapes[source][0]), b.vector(out))


_ANYWHERE: dict[str, Callable[[GraphBuilder, str], Op]] = {
    "relu": _relu,
    "identity": lambda *_: Identity(),
    "affine": _affine,
    "batchnorm": _batch_norm,
    "reshape": _reshape,
    "rearrange": _rearrange,
}
_ON_IMAGES: dict[str, Callable[[GraphBuilder, str], Op]] = _ANYWHERE | {
    "conv": _conv,
    "maxpool": lambda b, source: MaxPool(*_window(b, source)),
    "avgpool": lambda b, source: AvgPool(*_window(b, source)),
}
_ON_VECTORS: dict[str, Callable[[GraphBuilder, str], Op]] = _ANYWHERE | {"linear": _linear}

_LARGEST = 500
"""Values of an image, so that repeated ones do not pile up."""


@st.composite
def layer_graphs(
    draw: st.DrawFn, *, most_outputs: int = 2, most_layers: int = 9, without: tuple[str, ...] = ()
) -> Graph:
    """Graphs of every layer in any order: shared nodes, residual sums, dead weights, several outputs."""
    b = GraphBuilder(draw, np.random.default_rng(draw(st.integers(0, 2**32 - 1))))
    shape = draw(st.sampled_from([(1, 4, 4), (2, 5, 4), (3, 4, 6), (6,), (2, 7), (2, 3, 2, 3)]))
    last = b.add(Input(shape))
    for _ in range(draw(st.integers(1, most_layers))):
        small = sorted(name for name, shape in b.shapes.items() if np.prod(shape) <= _LARGEST)
        source = last if last in small and draw(st.integers(0, 3)) else draw(st.sampled_from(small))
        table = _ON_IMAGES if len(b.shapes[source]) > 1 else _ON_VECTORS
        kind = draw(st.sampled_from(["add", "concat", *(k for k in table if k not in without)]))
        if kind == "add":
            alike = [name for name, other in b.shapes.items() if other == b.shapes[source]]
            last = b.add(Add(), source, draw(st.sampled_from(alike)))
        elif kind == "concat":
            axis = draw(st.integers(0, len(b.shapes[source]) - 1))
            rest = np.delete(b.shapes[source], axis).tolist()
            alike = [
                name
                for name, other in b.shapes.items()
                if len(other) == len(b.shapes[source]) and np.delete(other, axis).tolist() == rest
            ]
            last = b.add(Concat(axis), source, draw(st.sampled_from(alike)))
        else:
            last = b.add(table[kind](b, source), source)
    others = draw(st.lists(st.sampled_from(sorted(b.shapes)), max_size=most_outputs - 1))
    return Graph.of(b.nodes, [last, *others])


def images(graph: Graph, count: int = 4, seed: int = 0) -> Array:
    """Images between -1 and 1 for a graph of layers with one input, in multiples of 1/8."""
    return np.random.default_rng(seed).integers(-8, 9, (count, *graph.nodes[0].op.shape)) / 8


def outputs(graph: Graph, x: Array) -> list[Array]:
    """What a graph of layers gives out, output by output."""
    values = run(graph, {node.name: x for node in graph.inputs})
    return [values[name] for name in graph.outputs]


def assert_same_function(a: Graph, b: Graph, x: Array) -> None:
    """Compare two graphs of layers on images, to 1e-9 of the largest output."""
    for before, after in zip(outputs(a, x), outputs(b, x), strict=True):
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-9 * max(1, np.abs(before).max()))


RATE = RateCode(steps=64)
"""What its neurons are does not depend on the number of steps."""

FINE_CODES: dict[str, Code] = {
    "rate": RateCode(256),
    "signed": RateCode(256, signed=True),
    "wait": RateCode(256, wait=True),
    "digit": DigitCode(8),
    "graded": GradedCode(8),
}
"""Codes that all tell about 256 values apart."""


def largest(graph: Graph, x: Array) -> dict[str, Array]:
    """The largest values of each channel of each ReLU."""
    return ceilings(graph, x, 100, by_channel=True)


def balanced(graph: Graph, x: Array, highest: float = 1.0) -> Graph:
    """Simplify a graph of layers and balance it so that the largest values on images become ``highest``."""
    for step in SIMPLIFY:
        graph = step(graph)
    return Balance({name: ceiling / highest for name, ceiling in largest(graph, x).items()})(graph)


def lowered(graph: Graph, x: Array, *, levels: int = 255, code: Code = RATE) -> Graph:
    """Compile a graph of layers to real processes, with an encoder that sends real values."""
    encoder = Encoder((), "once" if code.radix > 1 else "constant", 1.0, levels)
    return Lower(encoder, code)(balanced(graph, x, code.highest))


def chain(shape: tuple[int, ...], *ops: Op) -> Graph:
    """Build layers in a row on an input; their names are their kinds, numbered from 1."""
    nodes = [Node("x", Input(shape))]
    for i, op in enumerate(ops, 1):
        nodes.append(Node(f"{type(op).__name__.lower()}{i}", op, (nodes[-1].name,)))
    return Graph(tuple(nodes), (nodes[-1].name,))


def estimate(graph: Graph, x: Array, steps: int) -> Array:
    """What a graph of processes with one decoder says that the network's real output is."""
    (entry,), (decoder,) = graph.inputs, graph.outputs
    stream = run(graph, {entry.name: entry.op.encode(x, steps)})[decoder]
    scores: Array = graph[decoder].op.scores(stream[-1], steps)
    return scores
