"""Lowers layers to spiking processes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from neurocompile.errors import GraphError, Issue
from neurocompile.ir import Array, Graph, Node, Op
from neurocompile.ir.codes import Code
from neurocompile.ir.layers import (
    Add,
    Affine,
    AvgPool,
    Concat,
    Conv,
    Input,
    Linear,
    MaxPool,
    Rearrange,
    ReLU,
    Reshape,
    compact,
    per_channel,
)
from neurocompile.ir.processes import (
    ConvSynapses,
    CurrentSum,
    Decoder,
    DecoderCode,
    Encoder,
    LinearSynapses,
    PoolSynapses,
    Readout,
    ReshapeSynapses,
    ScaleSynapses,
    SpikeMaxPool,
    Synapses,
    WireSynapses,
)
from neurocompile.passes.base import Fidelity
from neurocompile.passes.ways import Way, extended, scaled_behind_pools

_ROUNDING = 1e-9
"""Of a ceiling that was divided by a threshold."""

_MOST_WAYS = 1024
"""To one neuron: branches that are split and added again without neurons between double them each time."""


@dataclass(frozen=True)
class Lower:
    """Turn a balanced graph of layers into a graph of processes.

    ReLU becomes neurons of the code with threshold 1; a ReLU whose ceiling is the largest value that these can
    send too, since there they are at their ceiling. Everything linear between two layers of neurons becomes
    synapses: each neuron's current is the sum of its ways, one from each source of spikes, and branches that
    were added or joined meet in that sum. Biases are gathered at the neuron, as the constant current that it
    receives when nothing spikes. The output's current is accumulated by the decoder.

    What is computed is the same as before in the limit of many steps, or of many levels of a message, but for
    reset to zero and Poisson spikes.

    Parameters
    ----------
    encoder
        The process that stands for the input.
    code
        Of the neurons.
    readout
        What the decoder makes of the outputs.
    starts
        Where the membranes of some ReLUs' neurons start; see ``Code.neurons``.
    decoder
        How the decoder reads the output.
    """

    fidelity: ClassVar[Fidelity] = "asymptotic"
    encoder: Encoder
    code: Code
    readout: Readout = "linear"
    starts: Mapping[str, Array] = field(default_factory=dict)
    decoder: DecoderCode = "membrane"

    def __call__(self, graph: Graph) -> Graph:  # noqa: D102
        rest = _values_at_rest(graph)
        issues = list(_what_does_not_lower(graph, rest, self.code.highest))
        if issues:
            raise GraphError.of(issues)
        reserved = [node.name for node in graph.nodes if isinstance(node.op, Input | ReLU | MaxPool)]
        processes = _Processes(reserved, self.code.message)
        ways: dict[str, tuple[Way, ...]] = {}
        for node in graph.nodes:
            op, shape = node.op, graph.types[node.name].shape
            if isinstance(op, Input):
                processes.put(node.name, replace(self.encoder, shape=op.shape), ())
                # What is sent once is worth as much as the same at every step.
                unit = self.encoder.unit * (self.code.radix if self.encoder.code == "once" else 1)
                ways[node.name] = extended(
                    (Way(node.name, shape),), f"{node.name}.unit", ScaleSynapses(np.array([unit]))
                )
            elif isinstance(op, ReLU):
                current = processes.add_ways(node.name, ways[node.inputs[0]])
                bias = compact(_array(rest[node.inputs[0]], shape))
                neurons = self.code.neurons(bias, self.starts.get(node.name))
                processes.put(node.name, neurons, (current,))
                ways[node.name] = processes.spikes(node.name, shape)
            elif isinstance(op, MaxPool):
                current = processes.add_pooled_ways(node.name, ways[node.inputs[0]])
                pool = SpikeMaxPool(op.kernel, op.stride, op.padding, op.dilation, self.code.radix)
                processes.put(node.name, pool, (current,))
                pools_spikes = node.name in processes.spiking
                ways[node.name] = processes.spikes(node.name, shape) if pools_spikes else (Way(node.name, shape),)
            else:
                ways[node.name] = _merged(_through(node, [ways[name] for name in node.inputs], graph))
                if len(ways[node.name]) > _MOST_WAYS:
                    problem = f"adds up more than {_MOST_WAYS} ways from neurons without neurons between"
                    raise GraphError(problem, node.name, type(op).__name__, "put a ReLU behind some of the sums")
        (output,) = graph.outputs
        current = processes.add_ways("decoder", ways[output])
        bias = compact(_array(rest[output], graph.types[output].shape))
        decoder = Decoder(bias, 1.0, self.code.radix, self.readout, self.decoder)
        return Graph.of(processes.nodes, (processes.add("decoder", decoder, (current,)),))


class _Processes:
    """The nodes of the new graph, each with a name of its own.

    Parameters
    ----------
    reserved
        The names of layers that become processes: these keep them.
    message
        What a spike of 1 is worth.
    """

    def __init__(self, reserved: Iterable[str], message: float) -> None:
        self.nodes: list[Node] = []
        self.spiking: set[str] = set()
        """Those that send spikes, which are worth the same for all."""
        self._taken = set(reserved)
        self._message = ScaleSynapses(np.array([message]))

    def put(self, name: str, op: Op, inputs: tuple[str, ...]) -> None:
        """Add a node under a reserved name."""
        self.nodes.append(Node(name, op, inputs))

    def add(self, name: str, op: Op, inputs: tuple[str, ...]) -> str:
        """Add a node under this name, or one like it if it is taken, and give the name."""
        while name in self._taken:
            name += "'"
        self._taken.add(name)
        self.nodes.append(Node(name, op, inputs))
        return name

    def spikes(self, source: str, shape: tuple[int, ...]) -> tuple[Way, ...]:
        """Give the way of what neurons, or a pool of spikes, send."""
        self.spiking.add(source)
        return _sent(source, shape, self._message)

    def add_ways(self, reader: str, ways: Sequence[Way]) -> str:
        """Add the synapses of ways to a process and their sum, and give the name of the current."""
        weighted: list[Way] = []
        for way in ways:
            if _has_weights(way):
                weighted.append(scaled_behind_pools(way))
            else:
                weighted += extended([way], f"{reader}.from.{way.source}", ScaleSynapses(np.ones(1)))
        return self._add_steps(reader, weighted)

    def add_pooled_ways(self, reader: str, ways: Sequence[Way]) -> str:
        """Add the synapses of ways to a pool likewise; it takes spikes as they are where only wires lead to it."""
        bare = [self._bare(way) for way in ways]
        sources = {way.source for way in ways}
        # The values of pools of currents may be worth something else than spikes.
        if any(_has_weights(way) for way in bare) or not (len(bare) == 1 or sources <= self.spiking):
            return self.add_ways(reader, ways)
        if sources <= self.spiking:
            self.spiking.add(reader)
        return self._add_steps(reader, bare)

    def _bare(self, way: Way) -> Way:
        """Give the way of spikes as they are, before they are given what they are worth."""
        if way.steps and way.steps[0].op is self._message:
            return replace(way, steps=way.steps[1:])
        return way

    def _add_steps(self, reader: str, ways: Sequence[Way]) -> str:
        ends = []
        for way in ways:
            end = way.source
            for step in way.steps:
                name = f"{step.name}.to.{reader}" if step.name in self._taken else step.name
                end = self.add(name, step.op, (end,))
            ends.append(end)
        return ends[0] if len(ends) == 1 else self.add(f"{reader}.current", CurrentSum(), tuple(ends))


def _has_weights(way: Way) -> bool:
    return any(isinstance(step.op, Synapses) for step in way.steps)


def _what_does_not_lower(graph: Graph, rest: dict[str, Array | None], highest: float) -> Iterable[Issue]:
    if len(graph.outputs) != 1:
        yield Issue(f"has the outputs {list(graph.outputs)}", remedy="export a model with one output")
    if len(graph.inputs) != 1:
        names = [node.name for node in graph.inputs]
        yield Issue(f"has the inputs {names}", remedy="export a model with one input")
    for node in graph.nodes:
        if isinstance(node.op, MaxPool) and rest[node.inputs[0]] is not None:
            yield Issue(
                "pools values with a bias that are not rectified",
                node.name,
                "MaxPool",
                "put the ReLU before the pool",
            )
        if isinstance(node.op, ReLU) and np.any(node.op.ceiling < highest * (1 - _ROUNDING)):
            yield Issue("has a ceiling below the threshold", node.name, "ReLU", "balance the network first")
        if not isinstance(node.op, _LOWERED):
            yield Issue("has no spiking form", node.name, type(node.op).__name__, "export the model without it")


_LOWERED = (Add, Affine, AvgPool, Concat, Conv, Input, Linear, MaxPool, Rearrange, ReLU, Reshape)


def _values_at_rest(graph: Graph) -> dict[str, Array | None]:
    """Compute what every layer gives when nothing spikes and the input is 0: the sum of its biases.

    None stands for zeros, which are not computed with.
    """
    rest: dict[str, Array | None] = {}
    for node in graph.nodes:
        shape = graph.types[node.name].shape
        before = [rest[name] for name in node.inputs]
        if isinstance(node.op, Input | ReLU | MaxPool) or not isinstance(node.op, _LOWERED):
            rest[node.name] = None
        elif any(values is not None for values in before):
            arrays = [_array(rest[name], graph.types[name].shape)[None] for name in node.inputs]
            rest[node.name] = node.op.run(*arrays)[0]
        else:
            rest[node.name] = _bias(node.op, shape)
    return rest


def _bias(op: Op, shape: tuple[int, ...]) -> Array | None:
    """Give what a layer makes of zeros."""
    values = np.zeros(1)
    if isinstance(op, Conv | Linear):
        values = per_channel(op.bias, len(shape))
    elif isinstance(op, Affine):
        values = op.shift
    return np.broadcast_to(values if shape else values.reshape(()), shape) if np.any(values) else None


def _array(values: Array | None, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(np.float64(0), shape) if values is None else values


def _sent(source: str, shape: tuple[int, ...], worth: ScaleSynapses) -> tuple[Way, ...]:
    """Give the way of what a source sends, a 1 of which is worth this."""
    ways = (Way(source, shape),)
    return ways if np.all(worth.weight == 1) else extended(ways, f"{source}.unit", worth)


def _merged(ways: Sequence[Way]) -> tuple[Way, ...]:
    """Make one way of those that are the same, so that a value added to itself is one that counts twice."""
    counts: dict[tuple[str, tuple[int, ...]], list[Way]] = {}
    for way in ways:
        counts.setdefault((way.source, tuple(id(step.op) for step in way.steps)), []).append(way)
    merged: list[Way] = []
    for same in counts.values():
        if len(same) == 1:
            merged += same
        else:
            merged += extended(same[:1], f"{same[0].source}.times", ScaleSynapses(np.array([float(len(same))])))
    return tuple(merged)


def _through(node: Node, before: Sequence[tuple[Way, ...]], graph: Graph) -> tuple[Way, ...]:
    """Extend ways by a linear layer; its bias is gathered elsewhere."""
    op = node.op
    if isinstance(op, Add):
        return tuple(way for ways in before for way in ways)
    if isinstance(op, Concat):
        return tuple(
            way
            for ways, index in zip(before, _places(op, node, graph), strict=True)
            for way in extended(ways, node.name, WireSynapses(index))
        )
    (ways,) = before
    if isinstance(op, Conv):
        weight = op.weight.astype(np.float64, copy=False)
        conv = ConvSynapses(weight, stride=op.stride, padding=op.padding, dilation=op.dilation, groups=op.groups)
        return extended(ways, node.name, conv)
    if isinstance(op, Linear):
        return extended(ways, node.name, LinearSynapses(op.weight.astype(np.float64, copy=False)))
    if isinstance(op, Affine):
        return extended(ways, node.name, ScaleSynapses(op.scale.astype(np.float64, copy=False)))
    if isinstance(op, AvgPool):
        pool = PoolSynapses(op.kernel, op.stride, op.padding, op.dilation)
        mean = ScaleSynapses(np.array([1 / op.window.places]))
        return extended(extended(ways, node.name, pool), f"{node.name}.mean", mean)
    if isinstance(op, Reshape):
        return extended(ways, node.name, ReshapeSynapses(op.shape))
    assert isinstance(op, Rearrange)
    moved = extended(ways, node.name, WireSynapses(op.index))
    return tuple(way for way in moved if not way.is_silent) or moved[:1]


def _places(op: Concat, node: Node, graph: Graph) -> Iterable[Array]:
    """Yield, for each branch, where its values come to in the whole; -1 where others do."""
    shape, start = graph.types[node.name].shape, 0
    for name in node.inputs:
        branch = graph.types[name].shape
        index = np.full(shape, -1, np.int32)
        end = start + branch[op.axis]
        place = (*[slice(None)] * op.axis, slice(start, end))
        index[place] = np.arange(np.prod(branch, dtype=np.int64), dtype=np.int32).reshape(branch)
        start = end
        yield index
