"""Small networks of every shape that the compiler lowers, and their compilation to processes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from neurocompile.calibration.ceilings import Calibration
from neurocompile.ir import Array, Graph, Node, Op
from neurocompile.ir.layers import (
    Add,
    AvgPool,
    BatchNorm,
    Conv,
    Flatten,
    Input,
    Linear,
    MaxPool,
    ReLU,
)
from neurocompile.ir.processes import Encoder
from neurocompile.options import Options
from neurocompile.passes.balance import Balance
from neurocompile.passes.lower import Lower
from neurocompile.passes.pipeline import SIMPLIFY
from neurocompile.passes.quantize import Quantize
from neurocompile.passes.rectify_output import RectifyOutput
from neurocompile.passes.round_weights import RoundWeights


class Builder:
    """A graph of layers that grows node by node; every method gives the name of what it added."""

    def __init__(self, *shape: int) -> None:
        self.rng = np.random.default_rng(sum(shape))
        self.nodes = [Node("input", Input(shape))]

    def add(self, op: Op, *inputs: str) -> str:
        name = f"{type(op).__name__.lower()}{len(self.nodes)}"
        self.nodes.append(Node(name, op, inputs or (self.nodes[-1].name,)))
        return name

    def graph(self) -> Graph:
        return Graph.of(self.nodes, [self.nodes[-1].name])

    def channels(self, name: str) -> int:
        return Graph.of(self.nodes, [name]).types[name].shape[0]

    def linear(self, outputs: int, *, bias: float = 0.2) -> str:
        inputs = self.channels(self.nodes[-1].name)
        weight = self.rng.normal(0.15, 1, (outputs, inputs)) / np.sqrt(inputs)
        return self.add(Linear(weight, bias * self.rng.normal(size=outputs)))

    def conv(
        self,
        outputs: int,
        kernel: int = 3,
        *source: str,
        bias: float = 0.2,
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int, int, int] | None = None,
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
    ) -> str:
        inputs = self.channels(source[0] if source else self.nodes[-1].name) // groups
        weight = self.rng.normal(0.1, 1, (outputs, inputs, kernel, kernel)) / np.sqrt(inputs * kernel**2)
        around = padding or (kernel // 2,) * 4
        return self.add(
            Conv(weight, bias * self.rng.normal(size=outputs), stride, around, dilation, groups), *source
        )

    def relu(self, *source: str) -> str:
        return self.add(ReLU(), *source)

    def batch_norm(self) -> str:
        size = self.channels(self.nodes[-1].name)
        scale, variance = self.rng.uniform(0.5, 1.5, (2, size))
        return self.add(
            BatchNorm(scale, self.rng.normal(0.3, 0.2, size), self.rng.normal(0.1, 0.1, size), variance)
        )

    def classify(self, outputs: int = 5) -> Graph:
        self.add(Flatten())
        self.linear(outputs)
        return self.graph()


def mlp() -> Graph:
    b = Builder(14)
    b.linear(20)
    b.relu()
    b.linear(12)
    b.relu()
    b.linear(5)
    return b.graph()


def deep() -> Graph:
    b = Builder(9)
    for _ in range(8):
        b.linear(8)
        b.relu()
    b.linear(3)
    return b.graph()


def average_pool() -> Graph:
    b = Builder(2, 7, 6)
    b.conv(4, stride=(1, 2), padding=(1, 0, 2, 1))
    b.relu()
    b.add(AvgPool((2, 2), (2, 1), (0, 1, 1, 0)))
    b.conv(6)
    b.relu()
    return b.classify()


def global_average_pool() -> Graph:
    b = Builder(2, 5, 6)
    b.conv(6)
    b.relu()
    b.add(AvgPool((5, 6), (5, 6)))
    return b.classify()


def pool_of_spikes() -> Graph:
    """Pools in a row, beside a convolution of the same spikes."""
    b = Builder(1, 8, 8)
    spikes = b.relu(b.conv(4))
    b.add(MaxPool((3, 3), (2, 2), (1, 1, 1, 1)), spikes)
    pooled = b.add(MaxPool((2, 2), (1, 1), (0, 1, 1, 0)))
    strided = b.conv(4, 3, spikes, stride=(2, 2))
    b.add(Add(), pooled, strided)
    b.relu()
    return b.classify()


def pool_of_input() -> Graph:
    b = Builder(2, 6, 6)
    b.add(MaxPool((2, 2), (2, 2)))
    b.conv(4)
    b.relu()
    return b.classify()


def pool_of_currents() -> Graph:
    """Signed values of two branches reach a pool, whose maxima reach weights before any neuron."""
    b = Builder(2, 6, 7)
    left, right = b.conv(4, 3, "input", bias=0), b.conv(4, 1, "input", bias=0)
    b.add(Add(), left, right)
    b.add(MaxPool((2, 2), (2, 2), (1, 0, 1, 1)))
    b.conv(5)
    b.relu()
    return b.classify()


def residual() -> Graph:
    """Shortcuts by identity and by projection, past one layer of neurons and past two."""
    b = Builder(2, 6, 6)
    start = b.relu(b.conv(4))
    b.relu(b.conv(4))
    block = b.relu(b.add(Add(), b.conv(4), start))
    b.relu(b.conv(6, stride=(2, 2)))
    b.relu(b.conv(6))
    b.relu(b.add(Add(), b.conv(6), b.conv(6, 1, block, stride=(2, 2))))
    b.add(AvgPool((3, 3), (3, 3)))
    return b.classify()


def two_shortcuts() -> Graph:
    """Three paths of different lengths meet, one of them from the input."""
    b = Builder(3, 5, 5)
    first = b.relu(b.conv(3))
    second = b.relu(b.conv(3))
    b.relu(b.conv(3))
    b.relu(b.add(Add(), b.conv(3), first, second, b.conv(3, 1, "input")))
    return b.classify()


def bias_map() -> Graph:
    """A shift behind the neurons meets padding, so that the next bias differs from place to place."""
    b = Builder(1, 6, 5)
    b.conv(3)
    b.relu()
    b.batch_norm()
    b.conv(4, padding=(2, 0, 0, 1))
    b.relu()
    b.batch_norm()
    return b.classify()


def conv_of_conv() -> Graph:
    b = Builder(2, 6, 6)
    b.conv(3)
    b.conv(4)
    b.relu()
    b.conv(3)
    b.conv(4, stride=(2, 1))
    b.relu()
    return b.classify()


def positive() -> Graph:
    """Two layers of positive weights without neurons between reach the largest sums that integers may."""
    b = Builder(64)
    for outputs in (1024, 6):
        inputs = b.channels(b.nodes[-1].name)
        b.add(Linear(b.rng.uniform(0.9, 1, (outputs, inputs)), np.zeros(outputs)))
    b.relu()
    b.linear(3)
    return b.graph()


def windows() -> Graph:
    """Dilation, groups, depthwise kernels, strides and padding that differ from side to side."""
    b = Builder(4, 9, 8)
    b.conv(8, groups=2, dilation=(2, 1), padding=(2, 1, 1, 0))
    b.relu()
    b.conv(8, groups=8, stride=(2, 1), padding=(0, 1, 1, 0))
    b.relu()
    b.conv(16, groups=8, stride=(1, 2), dilation=(1, 2), padding=(1, 2, 0, 1))
    b.relu()
    b.conv(6, 1)
    b.relu()
    return b.classify()


Network = Callable[[], Graph]

NETWORKS: tuple[Network, ...] = (
    mlp,
    deep,
    average_pool,
    global_average_pool,
    pool_of_spikes,
    pool_of_input,
    pool_of_currents,
    residual,
    two_shortcuts,
    bias_map,
    conv_of_conv,
    positive,
    windows,
)


def images(layers: Graph, count: int) -> Array:
    """Images between -1/4 and 1 for a graph of layers, each darker than the one before."""
    op = layers.inputs[0].op
    assert isinstance(op, Input)
    values = np.random.default_rng(5).uniform(-0.25, 1, (count, *op.shape))
    return values * np.linspace(1, 0.2, count).reshape(-1, *[1] * len(op.shape))


def compiled(layers: Graph, options: Options) -> Graph:
    """Compile a graph of layers to processes, with all of the compiler's passes."""
    for step in SIMPLIFY:
        layers = step(layers)
    if options.decoder == "count":
        layers = RectifyOutput()(layers)
    x = images(layers, 24)
    ceilings = Calibration("max").ceilings(layers, x)
    if options.decoder == "count":
        ceilings[layers.outputs[0]] = ceilings[layers.outputs[0]].max(keepdims=True)
    levels = {"poisson": 0, "constant": 255 if options.precision == "int8" else 2**16 - 1}[options.encoder]
    graph = Lower(Encoder((), options.encoder, 1.0, levels, options.seed), options.reset)(
        Balance(ceilings)(layers)
    )
    if options.precision == "float":
        return RoundWeights()(graph)
    return Quantize("layer" if options.reset == "zero" else "channel")(graph)
