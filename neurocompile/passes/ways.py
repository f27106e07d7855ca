"""Ways that spikes take between two layers of neurons, as few synapses as do the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from neurocompile.ir import Array
from neurocompile.ir.layers import channels_of, compact, per_channel
from neurocompile.ir.processes import (
    ConvSynapses,
    LinearSynapses,
    PoolSynapses,
    Process,
    ReshapeSynapses,
    ScaleSynapses,
    WireSynapses,
)
from neurocompile.passes.weights import scale_inputs, scale_outputs


@dataclass(frozen=True)
class Step:
    """Synapses on a way, with the name that they are to have and the shape of what they give."""

    name: str
    op: Process
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Way:
    """From one source of spikes through synapses.

    Parameters
    ----------
    source
        The name of the process that sends.
    start
        The shape of what it sends.
    steps
        The synapses in order.
    """

    source: str
    start: tuple[int, ...]
    steps: tuple[Step, ...] = ()

    def shape(self, end: int) -> tuple[int, ...]:
        """Give the shape of what comes out of the first ``end`` steps."""
        return self.steps[end - 1].shape if end else self.start


def extended(ways: Sequence[Way], name: str, op: Process) -> tuple[Way, ...]:
    """Lead ways on through synapses, and merge these with what is before them where that is exact."""
    return tuple(_extended(way, name, op) for way in ways)


def _extended(way: Way, name: str, op: Process) -> Way:
    before = way.shape(len(way.steps))
    way = replace(way, steps=(*way.steps, Step(name, op, op.output_shape(before))))
    if isinstance(op, ScaleSynapses):
        return _scale_moved_back(way)
    if isinstance(op, ReshapeSynapses | WireSynapses):
        return _wires_merged(way)
    if isinstance(op, ConvSynapses | LinearSynapses):
        return _scale_moved_on(_wires_folded(way))
    return way


def _scale_moved_back(way: Way) -> Way:
    """Put a scale at the end of a way into the weights before it; wires and pools may lie between."""
    *before, last = way.steps
    assert isinstance(last.op, ScaleSynapses)
    scale: Array | None = last.op.weight
    for i in reversed(range(len(before))):
        step = before[i]
        op = step.op
        assert scale is not None
        if isinstance(op, ScaleSynapses):
            merged = replace(step, op=ScaleSynapses(op.weight * scale))
            return replace(way, steps=(*before[:i], merged, *before[i + 1 :]))
        if isinstance(op, ConvSynapses | LinearSynapses):
            channels = channels_of(scale, len(step.shape))
            if channels is None:
                return way
            merged = replace(step, op=replace(op, weight=scale_outputs(op.weight, channels)))
            return replace(way, steps=(*before[:i], merged, *before[i + 1 :]))
        scale = _before(op, scale, step.shape, way.shape(i))
        if scale is None:
            return way
    return way


def _scale_moved_on(way: Way) -> Way:
    """Put a scale before the weights at the end of a way into these; wires and pools may lie between."""
    *before, last = way.steps
    for i in reversed(range(len(before))):
        op = before[i].op
        if isinstance(op, ScaleSynapses):
            scale: Array | None = op.weight
            for k in range(i + 1, len(before)):
                scale = None if scale is None else _behind(before[k].op, scale, way.shape(k), before[k].shape)
            channels = None if scale is None else channels_of(scale, len(way.shape(len(before))))
            if channels is None:
                return way
            assert isinstance(last.op, ConvSynapses | LinearSynapses)
            groups = last.op.groups if isinstance(last.op, ConvSynapses) else 1
            merged = replace(last, op=replace(last.op, weight=scale_inputs(last.op.weight, channels, groups)))
            return replace(way, steps=(*before[:i], *before[i + 1 :], merged))
        if not isinstance(op, PoolSynapses | ReshapeSynapses | WireSynapses):
            return way
    return way


def _before(op: Process, scale: Array, shape: tuple[int, ...], source: tuple[int, ...]) -> Array | None:
    """Give the scale before wires or a pool that does what this one does behind; None if there is none."""
    if scale.size == 1:
        return scale.reshape(1)
    if isinstance(op, PoolSynapses):
        channels = channels_of(scale, len(shape))
        return None if channels is None else per_channel(channels, len(source))
    index = _index(op, source).reshape(-1)
    wired = index >= 0
    values = np.broadcast_to(scale, shape).reshape(-1)[wired]
    found = np.ones(math.prod(source))
    found[index[wired]] = values
    # A value that goes to several places may be scaled differently there.
    return compact(found.reshape(source)) if np.array_equal(found[index[wired]], values) else None


def _behind(op: Process, scale: Array, source: tuple[int, ...], shape: tuple[int, ...]) -> Array | None:
    """Give the scale behind wires or a pool that does what this one does before; None if there is none."""
    if scale.size == 1:
        return scale.reshape(1)
    if isinstance(op, PoolSynapses):
        channels = channels_of(scale, len(source))
        return None if channels is None else per_channel(channels, len(shape))
    index = _index(op, source)
    values = np.broadcast_to(scale, source).reshape(-1)
    return compact(np.where(index >= 0, values[index], 1.0).reshape(shape))


def _index(op: Process, source: tuple[int, ...]) -> Array:
    if isinstance(op, WireSynapses):
        return op.index
    assert isinstance(op, ReshapeSynapses)
    return np.arange(math.prod(source)).reshape(op.shape)


def _wires_merged(way: Way) -> Way:
    """Make one of wires in a row, and none of wires that lead straight on."""
    *before, last = way.steps
    op, source = last.op, way.shape(len(before))
    if before and isinstance(before[-1].op, ReshapeSynapses | WireSynapses):
        earlier = _index(before[-1].op, way.shape(len(before) - 1)).reshape(-1)
        index = _index(op, source)
        both = np.where(index >= 0, earlier[index], -1).astype(np.int32)
        *before, _ = before
        last = replace(last, op=WireSynapses(both))
        source = way.shape(len(before))
    index = _index(last.op, source)
    if index.size == math.prod(source) and np.array_equal(index.reshape(-1), np.arange(index.size)):
        straight = () if last.shape == source else (replace(last, op=ReshapeSynapses(last.shape)),)
        return replace(way, steps=(*before, *straight))
    return replace(way, steps=(*before, last))


def _wires_folded(way: Way) -> Way:
    """Put wires before weights into these, where whole channels are wired."""
    *before, last = way.steps
    if not before or not isinstance(before[-1].op, WireSynapses):
        return way
    source = way.shape(len(before) - 1)
    op = last.op
    if isinstance(op, LinearSynapses):
        weight = _rewired(op.weight, before[-1].op.index, math.prod(source))
        flat = () if len(source) == 1 else (replace(before[-1], op=ReshapeSynapses((math.prod(source),))),)
        steps = tuple(replace(step, shape=(math.prod(source),)) for step in flat)
        return replace(way, steps=(*before[:-1], *steps, replace(last, op=replace(op, weight=weight))))
    assert isinstance(op, ConvSynapses)
    channels = _channels(before[-1].op.index, source)
    if channels is None or op.groups != 1:
        return way
    weight = _rewired(op.weight, channels, source[0])
    return replace(way, steps=(*before[:-1], replace(last, op=replace(op, weight=weight))))


def _rewired(weight: Array, index: Array, inputs: int) -> Array:
    """Give the weights ``(out, inputs, ...)`` that do on the wires' inputs what these do on their outputs."""
    rewired = np.zeros((inputs, len(weight), *weight.shape[2:]))
    wired = index >= 0
    np.add.at(rewired, index[wired], np.moveaxis(weight[:, wired], 1, 0))
    return np.ascontiguousarray(np.moveaxis(rewired, 0, 1))


def _channels(index: Array, source: tuple[int, ...]) -> Array | None:
    """Give the channel that each channel of the result is, -1 for silence; None if wires do anything else."""
    if index.shape[1:] != source[1:]:
        return None
    places = math.prod(source[1:])
    rows = index.reshape(len(index), -1)
    first = rows[:, :1]
    straight = np.where(first >= 0, first + np.arange(places), -1)
    if np.any(rows != straight) or np.any(first[first >= 0] % places):
        return None
    return np.where(first[:, 0] >= 0, first[:, 0] // places, -1)
