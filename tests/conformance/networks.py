"""Small networks of every shape that the compiler lowers, and their compilation to processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np

from neurocompile.backend import find
from neurocompile.calibration.ceilings import ceilings
from neurocompile.calibration.ranges import lowest, ranges, samples
from neurocompile.ir import Array, Graph, Node, Op
from neurocompile.ir.layers import (
    Add,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Function,
    Input,
    Linear,
    MaxPool,
    Multiply,
    Rearrange,
    ReLU,
    Reshape,
    Softmax,
)
from neurocompile.ir.processes import DecoderCode, Encoder
from neurocompile.options import CodeName, Options
from neurocompile.passes.approximate import Approximate, regions
from neurocompile.passes.balance import Balance
from neurocompile.passes.lower import Lower
from neurocompile.passes.pipeline import SIMPLIFY
from neurocompile.passes.quantize import Quantize
from neurocompile.passes.rectify_output import RectifyOutput
from neurocompile.passes.rectify_pools import RectifyPools, pools
from neurocompile.passes.round_weights import RoundWeights
from neurocompile.passes.split_readout import split_readout


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

    def shape(self, name: str) -> tuple[int, ...]:
        return Graph.of(self.nodes, [name]).types[name].shape

    def linear(self, outputs: int, *, bias: float = 0.2) -> str:
        (inputs,) = self.shape(self.nodes[-1].name)
        weight = self.rng.normal(0.15, 1, (outputs, inputs)) / np.sqrt(inputs)
        return self.add(Linear(weight, bias * self.rng.normal(size=outputs)))

    def conv(
        self,
        outputs: int,
        kernel: int | tuple[int, ...] = 3,
        *source: str,
        bias: float = 0.2,
        size: float = 1.0,
        stride: tuple[int, ...] = (),
        padding: tuple[int, ...] | None = None,
        dilation: tuple[int, ...] = (),
        groups: int = 1,
    ) -> str:
        """Add a convolution; with padding that keeps the size if none is given."""
        channels, *space = self.shape(source[0] if source else self.nodes[-1].name)
        window = kernel if isinstance(kernel, tuple) else (kernel,) * len(space)
        inputs = channels // groups
        weight = size * self.rng.normal(0.1, 1, (outputs, inputs, *window)) / np.sqrt(inputs * np.prod(window))
        around = tuple(k // 2 for k in window) * 2 if padding is None else padding
        return self.add(
            Conv(weight, bias * self.rng.normal(size=outputs), stride, around, dilation, groups), *source
        )

    def relu(self, *source: str) -> str:
        return self.add(ReLU(), *source)

    def clip(self, ceiling: float) -> str:
        return self.add(ReLU(np.array(ceiling)))

    def transpose(self, *axes: int) -> str:
        shape = self.shape(self.nodes[-1].name)
        return self.add(Rearrange(np.arange(np.prod(shape)).reshape(shape).transpose(axes)))

    def batch_norm(self) -> str:
        size, *_ = self.shape(self.nodes[-1].name)
        scale, variance = self.rng.uniform(0.5, 1.5, (2, size))
        return self.add(
            BatchNorm(scale, self.rng.normal(0.3, 0.2, size), self.rng.normal(0.1, 0.1, size), variance)
        )

    def classify(self, outputs: int = 5) -> Graph:
        self.add(Reshape((int(np.prod(self.shape(self.nodes[-1].name))),)))
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
        (inputs,) = b.shape(b.nodes[-1].name)
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


def one_axis() -> Graph:
    b = Builder(3, 21)
    b.conv(6, 5, stride=(2,), padding=(1, 4))
    b.batch_norm()
    b.relu()
    b.conv(6, 3, groups=2, dilation=(2,), padding=(1, 2))
    b.relu()
    b.add(MaxPool((3,), (2,), (1, 0)))
    b.conv(4, 2)
    b.relu()
    b.add(AvgPool((2,), (2,)))
    return b.classify()


def three_axes() -> Graph:
    b = Builder(2, 5, 6, 4)
    b.conv(4, (3, 2, 1), stride=(1, 2, 1), padding=(1, 0, 0, 1, 1, 0))
    b.relu()
    b.add(AvgPool((2, 1, 2), (1, 1, 2), (1, 0, 0, 0, 0, 0)))
    b.conv(6, (2, 3, 2), groups=2, dilation=(2, 1, 1), padding=(0, 1, 1, 1, 1, 0))
    b.batch_norm()
    b.relu()
    b.add(MaxPool((2, 2, 1), (2, 1, 1)))
    b.conv(4, 1)
    b.relu()
    return b.classify()


def rearranged() -> Graph:
    """Wires behind the input, behind spikes, before neurons and between weights; some lead nowhere."""
    b = Builder(5, 6, 4)
    b.transpose(2, 0, 1)
    b.conv(6)
    b.relu()
    # The channels of three groups are dealt out to two.
    b.add(Reshape((3, 2, 30)))
    b.transpose(1, 0, 2)
    b.add(Reshape((6, 5, 6)))
    b.conv(6, groups=2)
    b.transpose(0, 2, 1)
    b.relu()
    cropped = np.full((6, 7, 4), -1)
    cropped[:, 1:6] = np.arange(180).reshape(6, 6, 5)[:, 1:, 1:]
    b.add(Rearrange(cropped))
    b.conv(4)
    b.add(Rearrange(np.arange(112).reshape(4, 7, 4)[:, ::-2]))
    b.conv(5, 2)
    b.relu()
    return b.classify()


def branches() -> Graph:
    """Branches of different sizes and depths, rectified or not, lie side by side before a convolution."""
    b = Builder(2, 6, 6)
    start = b.relu(b.conv(4))
    narrow = b.relu(b.conv(3, 1, start, size=6))
    b.relu(b.conv(3, 1, start))
    wide = b.conv(2, 3, size=0.2)
    pooled = b.add(MaxPool((3, 3), (1, 1), (1, 1, 1, 1)), start)
    mean = b.add(AvgPool((3, 3), (1, 1), (1, 1, 1, 1)), start)
    b.add(Concat(), narrow, wide, pooled, mean)
    b.batch_norm()
    joined = b.relu(b.conv(5))
    b.add(Concat(2), joined, b.relu(b.conv(5, 1, start, size=3)))
    b.relu(b.conv(4))
    return b.classify()


def branches_before_pools() -> Graph:
    """Spikes of branches lie side by side before pools, and one branch comes from the input."""
    b = Builder(2, 6, 6)
    start = b.relu(b.conv(3))
    small = b.relu(b.conv(2, 3, start, size=0.3, bias=0.02))
    large = b.relu(b.conv(3, 1, start, size=5))
    b.add(Concat(), small, start, large)
    b.add(MaxPool((3, 3), (2, 2), (1, 1, 0, 0)))
    joined = b.relu(b.conv(4))
    b.add(Concat(), joined, b.relu(b.conv(2, 3, "input", stride=(2, 2))))
    b.add(MaxPool((2, 2), (1, 1)))
    b.relu(b.conv(4, 2))
    return b.classify()


def dense_block() -> Graph:
    """Every layer reads all layers before it."""
    b = Builder(2, 5, 5)
    known = [b.relu(b.conv(3))]
    for _ in range(3):
        b.add(Concat(), *known)
        b.batch_norm()
        known.append(b.relu(b.conv(2)))
    b.add(Concat(), *known)
    b.add(AvgPool((5, 5)))
    return b.classify()


def dilated_pools() -> Graph:
    b = Builder(2, 8, 7)
    b.relu(b.conv(4))
    b.add(MaxPool((2, 3), (2, 1), (1, 1, 0, 1), (3, 2)))
    b.relu(b.conv(4))
    b.add(AvgPool((2, 2), (1, 2), (0, 1, 1, 0), (2, 3)))
    b.conv(5)
    b.relu()
    return b.classify()


def clipped() -> Graph:
    """Activations with ceilings, below and above what they reach, before weights and pools."""
    b = Builder(2, 6, 6)
    b.conv(4)
    b.clip(0.5)
    b.conv(4)
    b.clip(0.25)
    b.add(MaxPool((2, 2), (2, 2)))
    b.conv(5)
    b.clip(6.0)
    return b.classify()


def mobile() -> Graph:
    """Depthwise convolutions between pointwise ones, with a shortcut from currents to currents."""
    b = Builder(3, 8, 8)
    b.conv(4, stride=(2, 2))
    b.clip(1.0)
    b.conv(4, groups=4)
    b.clip(1.0)
    start = b.conv(3, 1)
    b.conv(9, 1)
    b.batch_norm()
    b.clip(1.0)
    b.conv(9, groups=9)
    b.batch_norm()
    b.clip(1.0)
    b.add(Add(), b.conv(3, 1), start)
    b.conv(6, 1)
    b.clip(1.0)
    b.add(AvgPool((4, 4), (4, 4)))
    return b.classify()


def pool_of_signed_values() -> Graph:
    """A pool of values that are not rectified, have biases, and come from branches."""
    b = Builder(2, 6, 6)
    b.relu(b.conv(4))
    b.add(Concat(), b.conv(2), b.conv(3, 1, size=2))
    b.batch_norm()
    b.add(MaxPool((2, 2), (2, 1), (1, 0, 0, 1), (2, 1)))
    b.relu(b.conv(4))
    return b.classify()


def smooth() -> Graph:
    """Activations that spikes compute piecewise, and a product."""
    b = Builder(2, 5, 5)
    b.conv(4)
    b.add(Function("gelu"))
    b.batch_norm()
    start = b.conv(4, 1)
    b.add(Multiply(), start, b.add(Function("sigmoid")))
    b.conv(4)
    b.add(Function("hard_swish"))
    return b.classify()


def shares() -> Graph:
    b = Builder(9)
    b.linear(12)
    b.relu()
    b.linear(5)
    b.add(Softmax())
    return b.graph()


def one_score() -> Graph:
    """The one output is a number without axes."""
    b = Builder(9)
    b.linear(12)
    b.relu()
    b.linear(1)
    b.add(Reshape(()))
    b.add(Function("sigmoid"))
    return b.graph()


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
    one_axis,
    three_axes,
    rearranged,
    branches,
    branches_before_pools,
    dense_block,
    dilated_pools,
    clipped,
    mobile,
    pool_of_signed_values,
    smooth,
    shares,
    one_score,
)


def images(layers: Graph, count: int) -> Array:
    """Images between -1/4 and 1 for a graph of layers, each darker than the one before."""
    op = layers.inputs[0].op
    assert isinstance(op, Input)
    values = np.random.default_rng(5).uniform(-0.25, 1, (count, *op.shape))
    return values * np.linspace(1, 0.2, count).reshape(-1, *[1] * len(op.shape))


def compiled(layers: Graph, options: Options) -> Graph:
    """Compile a graph of layers to processes, with all of the compiler's passes."""
    stock = find(options.target).stock
    options = options.resolved(get_args(CodeName), stock=stock)
    code = options.spiking_code
    x = images(layers, 24)
    layers, readout = split_readout(layers)
    bent = tuple(dict.fromkeys(region.input for region in regions(layers)))
    layers, _ = Approximate(ranges(layers, x, bent), samples=samples(layers, x, bent)).rewrite(layers)
    for step in SIMPLIFY:
        layers = step(layers)
    layers = RectifyPools(lowest(layers, x, pools(layers)))(layers)
    counts = options.decoder in ("count", "first_spike")
    if counts:
        layers = RectifyOutput()(layers)
    largest = ceilings(layers, x, 100, by_channel=True)
    if counts:
        largest[layers.outputs[0]] = largest[layers.outputs[0]].max(keepdims=True)
    graded = 255 if options.precision == "int8" else 2**16 - 1
    levels = graded if options.encoder == "constant" else 0
    sends = "once" if code.radix > 1 else options.encoder
    encoder = Encoder((), sends, 1.0, levels, options.seed)
    thresholds = {name: ceiling / code.highest for name, ceiling in largest.items()}
    decoder: DecoderCode = "membrane" if options.decoder == "count" else options.decoder
    graph = Lower(encoder, code, readout, decoder=decoder)(Balance(thresholds)(layers))
    if options.precision == "float":
        return RoundWeights()(graph)
    shared = stock or options.reset == "zero"
    return Quantize("layer" if shared else "channel", stock=stock and options.reset == "subtract")(graph)
