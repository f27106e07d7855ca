"""Turns a real graph of processes into Loihi's integers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.fixed_point import CURRENT_MAX, CURRENT_SHIFT, split_bias
from neurocompile.ir.layers import compact, per_channel
from neurocompile.ir.paths import Path, paths
from neurocompile.ir.processes import (
    ConvSynapses,
    Decoder,
    Encoder,
    Neurons,
    PoolSynapses,
    ReshapeSynapses,
    ScaleSynapses,
    SpikeMaxPool,
    Synapses,
    WireSynapses,
)
from neurocompile.passes.base import Fidelity, Rewriter
from neurocompile.passes.error_feedback import round_weights, without_bias
from neurocompile.passes.stock_units import stock_unit
from neurocompile.passes.units import Branch, choose_unit, nearest_weights
from neurocompile.passes.weights import gains, scale_inputs

Granularity = Literal["channel", "layer"]

_LEEWAY = 1.5
"""How much larger currents may get when weights make up for each other: units have twice the room."""


@dataclass(frozen=True)
class Quantize:
    """Choose int8 weights, and integer thresholds and biases within Loihi's widths.

    Parameters
    ----------
    granularity
        ``channel``: a unit of weight, and so a threshold, for each output channel. ``layer``: one for all, which
        is what Lava's stock LIF holds.
    moments
        Of the inputs of weights, as ``second_moments`` measures them: with these their errors cancel out. Other
        weights are rounded to the nearest.
    stock
        Whether neurons without reset to zero have thresholds that Lava's stock ones hold (see ``stock_unit``), and
        biases that are whole units of current, since there they arrive through synapses.
    """

    fidelity: ClassVar[Fidelity] = "rounding"
    granularity: Granularity = "channel"
    moments: Mapping[str, Array] = field(default_factory=dict)
    stock: bool = False

    def __call__(self, graph: Graph) -> Graph:  # noqa: D102
        return _Quantizer(graph, self.granularity, self.moments, self.stock).run()


@dataclass(frozen=True)
class _Signal:
    """What integers mean at a point of a path: the real value of a 1, per channel, and the largest integer."""

    worth: Array
    largest: float


_SPIKE = _Signal(np.ones(1), 1.0)


@dataclass
class _Quantizer:
    graph: Graph
    granularity: Granularity
    moments: Mapping[str, Array]
    stock: bool
    sent: dict[str, _Signal] = field(default_factory=dict)
    """What each source sends."""

    def __post_init__(self) -> None:
        self.rewriter = Rewriter(self.graph)

    def run(self) -> Graph:
        for node in self.graph.nodes:
            op = node.op
            if isinstance(op, Encoder):
                self.rewriter.set(node.name, replace(op, integer=True), ())
                self.sent[node.name] = replace(_SPIKE, largest=float(op.levels)) if op.levels else _SPIKE
            elif isinstance(op, Neurons):
                self._quantize_neurons(node, op)
            elif isinstance(op, Decoder):
                unit, offset = self._quantize_paths(node, op.bias)
                bias = _membrane_units(op.bias, unit) + offset
                decoder = replace(op, bias=bias, unit=float(unit[0]) / 2**CURRENT_SHIFT)
                self.rewriter.set(node.name, decoder, node.inputs)
            elif isinstance(op, SpikeMaxPool):
                self._quantize_pool(node)
        return self.rewriter.graph()

    def _quantize_neurons(self, node: Node, op: Neurons) -> None:
        unit, offset = self._quantize_paths(node, op.bias)
        dimensions = len(self.graph.types[node.name].shape)
        bias = op.bias.reshape((1,) * (dimensions - op.bias.ndim) + op.bias.shape)
        whole = _membrane_units(bias, per_channel(unit, dimensions)) + offset
        if self.stock:
            whole = np.rint(whole / 2**CURRENT_SHIFT).astype(np.int64) << CURRENT_SHIFT
        mantissa, exponent = split_bias(whole)
        threshold = np.rint(1 / unit).astype(np.int64) << CURRENT_SHIFT
        if len(threshold) > 1:
            threshold = per_channel(threshold, dimensions)
        self.rewriter.set(node.name, op.scaled(mantissa << exponent, threshold), node.inputs)
        self.sent[node.name] = _Signal(np.ones(1), float(op.largest))

    def _quantize_pool(self, node: Node) -> None:
        ways = paths(self.graph, node)
        if not any(isinstance(s.op, Synapses) for path in ways for s in path.synapses):
            # All of them are worth the same, but at one place several may arrive at once.
            images = [self._image(path.source, self.sent[path.source].largest) for path in ways]
            largest = np.max(sum(_through(path.synapses, x) for path, x in zip(ways, images, strict=True)))
            self.sent[node.name] = replace(self.sent[ways[0].source], largest=float(largest))
            return
        unit, _ = self._quantize_paths(node, np.zeros(1))
        self.sent[node.name] = _Signal(unit, float(CURRENT_MAX))

    def _quantize_paths(self, receiver: Node, bias: Array) -> tuple[Array, Array]:
        """Quantize all weights on the paths to a receiver.

        Returns
        -------
        unit
            The real value of a current of 1: ``(channels,)`` of the receiver, or ``(1,)``.
        offset
            What to add to the bias, in membrane units, since shifted currents are rounded down; it broadcasts.
        """
        ways = paths(self.graph, receiver)
        branches = [self._branch(path) for path in ways]
        is_neuron = isinstance(receiver.op, Neurons)
        per_layer = self.granularity == "layer" or not is_neuron or not all(b.keeps_channels for b in branches)
        unit = choose_unit(branches, bias, per_layer=per_layer, has_threshold=is_neuron)
        if self.stock and is_neuron:
            unit = stock_unit(unit, receiver)
        offset = np.zeros(1, np.int64)
        for branch, path in zip(branches, ways, strict=True):
            weight, exponent, made_up = self._rounded(branch, path, unit)
            offset = offset + made_up
            op = branch.node.op
            assert isinstance(op, Synapses)
            self.rewriter.set(
                branch.node.name, replace(op, weight=weight, weight_exponent=exponent), branch.node.inputs
            )
            if exponent < 0:
                offset = offset + self._half_units(branch, path)
        return unit, compact(offset)

    def _rounded(self, branch: Branch, path: Path, unit: Array) -> tuple[Array, int, Array]:
        """Give a branch's integer weights, their exponent, and what the bias makes up for of their errors."""
        steps, exponent = branch.steps(unit)
        nearest = nearest_weights(steps)
        nothing = np.zeros(1, np.int64)
        moments = self.moments.get(branch.node.name)
        first = next(node for node in path.synapses if isinstance(node.op, Synapses))
        if moments is None or first is not branch.node:
            # What comes through other weights has other units than what was measured.
            return nearest, exponent, nothing
        direct = path.synapses[-1] is branch.node
        if not direct:
            # What pools and wires make of a bias is not the same everywhere.
            moments = without_bias(moments)
        rows = steps.reshape(len(moments), len(steps) // len(moments), -1)
        rounded = [round_weights(weight, h) for weight, h in zip(rows, moments, strict=True)]
        weight = np.concatenate([w for w, _ in rounded]).reshape(steps.shape).astype(np.int8)
        largest, usual = (branch.largest_currents(w, exponent).max() for w in (weight, nearest))
        if largest > _LEEWAY * usual:
            return nearest, exponent, nothing
        if not direct:
            return weight, exponent, nothing
        bias = np.concatenate([b for _, b in rounded]) * 2.0 ** (exponent + CURRENT_SHIFT)
        shape = self.graph.types[branch.node.name].shape
        return weight, exponent, per_channel(np.rint(bias).astype(np.int64), len(shape))

    def _half_units(self, branch: Branch, path: Path) -> Array:
        """Give half a unit of current for each that a branch rounds down, in membrane units; it broadcasts."""
        half = 1 << (CURRENT_SHIFT - 1)
        behind = path.synapses[path.synapses.index(branch.node) + 1 :]
        if not any(isinstance(node.op, _Wires) for node in behind):
            return np.array([branch.window * half])
        # Where wires lead no current, none is rounded.
        return _through(behind, self._image(branch.node.name, half)).astype(np.int64)

    def _image(self, name: str, value: float) -> Array:
        """Make what a node gives out if it gives one value everywhere."""
        return np.full(self.graph.types[name].shape, value)

    def _branch(self, path: Path) -> Branch:
        """Quantize the path up to its last weights, and describe those in the integers that reach them."""
        *_, last = (i for i, s in enumerate(path.synapses) if isinstance(s.op, Synapses))
        signal = self.sent[path.source]
        for i, node in enumerate(path.synapses[:last]):
            rewired = any(isinstance(s.op, _Wires) for s in path.synapses[i + 1 : last])
            signal = self._pass_on(node, signal, rewired=rewired)
        node = path.synapses[last]
        behind = path.synapses[last + 1 :]
        return Branch(
            node=node,
            weight=_per_integer(node.op, signal.worth, self.graph.types[node.name].shape),
            largest=signal.largest,
            window=math.prod(s.op.window.places for s in behind if isinstance(s.op, PoolSynapses)),
            sources=self._sources(node, behind),
        )

    def _sources(self, node: Node, behind: Sequence[Node]) -> Array | None:
        """Tell for each channel at the end of a path which one of the weights leads to it; see ``Branch``."""
        shape = self.graph.types[node.name].shape or (1,)
        if not any(isinstance(step.op, _Wires) for step in behind):
            return np.arange(shape[0])
        # Numbered from 1, since wires from nowhere give 0.
        numbers = np.arange(1, shape[0] + 1, dtype=np.int32)
        places = np.broadcast_to(per_channel(numbers, len(shape)), shape)
        for step in behind:
            if isinstance(step.op, PoolSynapses):
                rows = places.reshape(len(places), -1)
                if np.any(rows != rows[:, :1]):
                    return None
                places = np.broadcast_to(per_channel(rows[:, 0], places.ndim), self.graph.types[step.name].shape)
            else:
                places = step.op.run(places[None, None])[0, 0]
        rows = places.reshape(len(places) if places.ndim else 1, -1)
        leading = rows.max(axis=1)
        return None if np.any((rows != 0) & (rows != leading[:, None])) else leading - 1

    def _pass_on(self, node: Node, signal: _Signal, *, rewired: bool) -> _Signal:
        """Tell what a signal becomes; weights that wires follow get one unit, since wires mix channels."""
        op = node.op
        if isinstance(op, PoolSynapses):
            return replace(signal, largest=signal.largest * op.window.places)
        if isinstance(op, _Wires):
            # What is sent through wires has one worth.
            return signal
        assert isinstance(op, Synapses)
        # Weights that lead to other weights instead of to neurons: their sum goes on as a graded message.
        weight = _per_integer(op, signal.worth, self.graph.types[node.name].shape)
        branch = Branch(node, weight, signal.largest, window=1, sources=np.arange(len(weight)))
        unit = choose_unit([branch], np.zeros(1), per_layer=rewired, has_threshold=False)
        steps, exponent = branch.steps(unit)
        weight = nearest_weights(steps)
        self.rewriter.set(node.name, replace(op, weight=weight, weight_exponent=exponent), node.inputs)
        # What no weight leads to never carries a value: it must not take up the range of the next weights.
        worth = unit if rewired else np.where(branch.peaks > 0, unit, 0)
        return _Signal(worth, signal.largest * float(gains(op, weight).max()) * 2.0**exponent)


_Wires = ReshapeSynapses | WireSynapses


def _through(steps: Sequence[Node], image: Array) -> Array:
    """Lead an image through wires and pools."""
    stream = image[None, None]
    for node in steps:
        stream = node.op.run(stream)
    values: Array = stream[0, 0]
    return values


def _membrane_units(bias: Array, unit: Array) -> Array:
    units: Array = np.rint(bias / unit * 2**CURRENT_SHIFT).astype(np.int64)
    return units


def _per_integer(op: object, worth: Array, shape: tuple[int, ...]) -> Array:
    """Scale real weights so that they apply to integers of the given worth."""
    assert isinstance(op, Synapses)
    if isinstance(op, ScaleSynapses):
        # All axes are written out, so that the first one is the channels.
        aligned = op.weight.reshape((1,) * (len(shape) - op.weight.ndim) + op.weight.shape)
        scaled = aligned * per_channel(worth, len(shape))
        return np.broadcast_to(scaled, (*(shape[:1] or (1,)), *scaled.shape[1:]))
    return scale_inputs(op.weight, worth, op.groups if isinstance(op, ConvSynapses) else 1)
