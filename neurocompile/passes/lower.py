"""Lowers layers to spiking processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from neurocompile.errors import GraphError, Issue
from neurocompile.ir import Array, Graph, Node, Op
from neurocompile.ir.layers import (
    Add,
    Affine,
    AvgPool,
    Conv,
    Flatten,
    Input,
    Linear,
    MaxPool,
    ReLU,
    per_channel,
)
from neurocompile.ir.processes import (
    ConvSynapses,
    CurrentSum,
    Decoder,
    Encoder,
    FlattenSynapses,
    IntegrateAndFire,
    LinearSynapses,
    PoolSynapses,
    Reset,
    ScaleSynapses,
    SpikeMaxPool,
    Synapses,
)
from neurocompile.passes.base import Fidelity
from neurocompile.passes.weights import scale_inputs, scale_outputs

Way = tuple[str, tuple[tuple[str, Op], ...]]
"""From one source of spikes to a neuron: the source's name, and the named synapses on the way."""


@dataclass(frozen=True)
class Lower:
    """Turn a balanced graph of layers into a graph of processes.

    ReLU becomes integrate-and-fire neurons with threshold 1. Everything linear between two layers of neurons
    becomes synapses: each neuron's current is the sum of its paths, one from each source of spikes, and branches
    that were added meet in that sum. Biases are gathered at the neuron, as the constant current that it receives
    when nothing spikes. The output's current is accumulated by the decoder.

    What is computed is the same as before for a constant input, in the limit of many steps, for reset by
    subtraction.

    Parameters
    ----------
    encoder
        The process that stands for the input.
    reset
        Of all neurons: ``subtract`` or ``zero``.
    """

    fidelity: ClassVar[Fidelity] = "asymptotic"
    encoder: Encoder
    reset: Reset = "subtract"

    def __call__(self, graph: Graph) -> Graph:  # noqa: D102
        issues = list(_what_does_not_lower(graph))
        if issues:
            raise GraphError.of(issues)
        processes = _Processes(node.name for node in graph.nodes if isinstance(node.op, Input | ReLU | MaxPool))
        paths: dict[str, tuple[Way, ...]] = {}
        rest = _values_at_rest(graph)
        for node in graph.nodes:
            op = node.op
            if isinstance(op, Input):
                processes.put(node.name, replace(self.encoder, shape=op.shape), ())
                unit = np.array([self.encoder.unit])
                paths[node.name] = _extend(((node.name, ()),), f"{node.name}.unit", ScaleSynapses(unit))
            elif isinstance(op, ReLU):
                current = processes.add_paths(node.name, paths[node.inputs[0]])
                processes.put(node.name, _neuron(rest[node.inputs[0]], self.reset), (current,))
                paths[node.name] = ((node.name, ()),)
            elif isinstance(op, MaxPool):
                current = processes.add_paths(node.name, paths[node.inputs[0]], direct=True)
                processes.put(node.name, SpikeMaxPool(op.kernel, op.stride, op.padding), (current,))
                paths[node.name] = ((node.name, ()),)
            elif isinstance(op, Add):
                paths[node.name] = tuple(path for name in node.inputs for path in paths[name])
            else:
                paths[node.name] = _through(node, paths[node.inputs[0]])
        (output,) = graph.outputs
        current = processes.add_paths("decoder", paths[output])
        decoder = processes.add("decoder", Decoder(_compact(rest[output])), (current,))
        return Graph.of(processes.nodes, (decoder,))


class _Processes:
    """The nodes of the new graph, each with a name of its own.

    Parameters
    ----------
    reserved
        The names of layers that become processes: these keep them.
    """

    def __init__(self, reserved: Iterable[str]) -> None:
        self.nodes: list[Node] = []
        self._taken = set(reserved)

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

    def add_paths(self, reader: str, paths: Sequence[Way], direct: bool = False) -> str:
        """Add the synapses of paths and their sum, and give the name of the current.

        Parameters
        ----------
        reader
            The process that receives the current.
        direct
            Whether the reader takes a source's spikes without synapses between.
        """
        ends = []
        for source, chain in paths:
            steps = chain
            if not any(isinstance(op, Synapses) for _, op in chain) and not (direct and len(paths) == 1):
                steps = (*chain, (f"{reader}.from.{source}", ScaleSynapses(np.ones(1))))
            end = source
            for name, op in steps:
                end = self.add(f"{name}.to.{reader}" if name in self._taken else name, op, (end,))
            ends.append(end)
        return ends[0] if len(ends) == 1 else self.add(f"{reader}.current", CurrentSum(), tuple(ends))


def _what_does_not_lower(graph: Graph) -> list[Issue]:
    issues = []
    if len(graph.outputs) != 1:
        issues.append(Issue(f"has the outputs {list(graph.outputs)}", remedy="export a model with one output"))
    if len(graph.inputs) != 1:
        names = [node.name for node in graph.inputs]
        issues.append(Issue(f"has the inputs {names}", remedy="export a model with one input"))
    rest = _values_at_rest(graph)
    for node in graph.nodes:
        if isinstance(node.op, MaxPool) and np.any(rest[node.inputs[0]] != 0):
            remedy = "put the ReLU before the pool"
            issues.append(Issue("pools values with a bias that are not rectified", node.name, "MaxPool", remedy))
    return issues


def _values_at_rest(graph: Graph) -> dict[str, Array]:
    """Compute what every layer gives when nothing spikes and the input is 0: the sum of its biases."""
    rest: dict[str, Array] = {}
    for node in graph.nodes:
        if isinstance(node.op, Input | ReLU | MaxPool):
            rest[node.name] = np.zeros(graph.types[node.name].shape)
        else:
            rest[node.name] = node.op.run(*(rest[name][None] for name in node.inputs))[0]
    return rest


def _neuron(bias: Array, reset: Reset) -> IntegrateAndFire:
    # Half a threshold to start with rounds the count of spikes to the nearest instead of down (Bu et al. 2022).
    # A reset to zero throws away what is left, so there it only adds spikes.
    v_init = 0.5 if reset == "subtract" else 0.0
    return IntegrateAndFire(_compact(bias), np.array(1.0), np.array(v_init), reset)


def _compact(values: Array) -> Array:
    """Keep one value for each channel where all of a channel's are equal."""
    first = values.reshape(len(values), -1)[:, 0]
    spread = per_channel(first, values.ndim)
    return spread if np.array_equal(np.broadcast_to(spread, values.shape), values) else values


def _through(node: Node, paths: Sequence[Way]) -> tuple[Way, ...]:
    """Extend paths by a linear layer; its bias is gathered elsewhere."""
    op = node.op
    if isinstance(op, Conv):
        conv = ConvSynapses(
            op.weight, stride=op.stride, padding=op.padding, dilation=op.dilation, groups=op.groups
        )
        return _extend(paths, node.name, conv)
    if isinstance(op, Linear):
        return _extend(paths, node.name, LinearSynapses(op.weight))
    if isinstance(op, Affine):
        return _extend(paths, node.name, ScaleSynapses(op.scale))
    if isinstance(op, AvgPool):
        pool = PoolSynapses(op.kernel, op.stride, op.padding)
        size = np.array([op.kernel[0] * op.kernel[1]])
        return _extend(_extend(paths, node.name, pool), f"{node.name}.mean", ScaleSynapses(1 / size))
    if isinstance(op, Flatten):
        return _extend(paths, node.name, FlattenSynapses())
    raise GraphError("has no spiking form", node.name, type(op).__name__)


def _extend(paths: Sequence[Way], name: str, op: Op) -> tuple[Way, ...]:
    return tuple((source, _simplify((*chain, (name, op)))) for source, chain in paths)


def _simplify(chain: tuple[tuple[str, Op], ...]) -> tuple[tuple[str, Op], ...]:
    """Merge the weights at a chain's end with a scale before them, or a scale at its end with what is before.

    Pools and Flatten may lie between.
    """
    *before, (name, op) = chain
    if not isinstance(op, Synapses):
        return chain
    for i in reversed(range(len(before))):
        earlier_name, earlier = before[i]
        if not isinstance(earlier, Synapses):
            continue
        # Behind Flatten each feature has a scale of its own, which channels can't take in.
        if isinstance(op, ScaleSynapses) and len(op.weight) in (1, len(earlier.weight)):
            scaled = replace(earlier, weight=scale_outputs(earlier.weight, op.weight))
            return (*before[:i], (earlier_name, scaled), *before[i + 1 :])
        if isinstance(earlier, ScaleSynapses):
            scaled = replace(op, weight=_scale_before(op, earlier.weight))
            return (*before[:i], *before[i + 1 :], (name, scaled))
        break
    return chain


def _scale_before(op: Synapses, scale: Array) -> Array:
    if isinstance(op, ScaleSynapses):
        weight: Array = op.weight * np.repeat(scale, len(op.weight) // len(scale))
        return weight
    return scale_inputs(op.weight, scale, op.groups if isinstance(op, ConvSynapses) else 1)
