"""Ways that spikes take between two layers of neurons, as few synapses as do the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from neurocompile.ir import Array
from neurocompile.ir.layers import channels_of, per_channel
from neurocompile.ir.processes import (
    ConvSynapses,
    LinearSynapses,
    PoolSynapses,
    Process,
    ReshapeSynapses,
    ScaleSynapses,
    Synapses,
    WireSynapses,
)
from neurocompile.passes.broadcasts import settled
from neurocompile.passes.weights import scale_inputs, scale_outputs, wire_inputs


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

    @property
    def is_silent(self) -> bool:
        """Whether wires take none of the values on."""
        return any(isinstance(step.op, WireSynapses) and step.op.index.max() < 0 for step in self.steps)


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
    if isinstance(op, PoolSynapses):
        return _pool_moved_back(way)
    if isinstance(op, ConvSynapses | LinearSynapses):
        return _wires_folded(_scale_moved_on(way))
    return way


def scaled_behind_pools(way: Way) -> Way:
    """Put a scale that is the only weight on a way behind the pools: what they add up is rounded once."""
    weighted = [i for i, step in enumerate(way.steps) if isinstance(step.op, Synapses)]
    last = max((i for i, step in enumerate(way.steps) if isinstance(step.op, PoolSynapses)), default=-1)
    if len(weighted) != 1 or weighted[0] > last:
        return way
    (i,) = weighted
    op = way.steps[i].op
    scale = op.weight if isinstance(op, ScaleSynapses) else None
    for k in range(i + 1, last + 1):
        scale = None if scale is None else _behind(way.steps[k].op, scale, way.shape(k), way.shape(k + 1))
    if scale is None:
        return way
    moved = Step(way.steps[i].name, ScaleSynapses(scale), way.steps[last].shape)
    return replace(way, steps=(*way.steps[:i], *way.steps[i + 1 : last + 1], moved, *way.steps[last + 1 :]))


def _scale_moved_back(way: Way) -> Way:
    """Put a scale at the end of a way into the weights before it; wires and pools may lie between.

    Where no weights take it, it moves before wires that lead to more places than they come from.
    """
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
                break
            merged = replace(step, op=replace(op, weight=scale_outputs(op.weight, channels)))
            return replace(way, steps=(*before[:i], merged, *before[i + 1 :]))
        scale = _before(op, scale, step.shape, way.shape(i))
        if scale is None:
            break
    return _before_growing_wires(way)


def _before_growing_wires(way: Way) -> Way:
    *before, last = way.steps
    if not before or not isinstance(before[-1].op, WireSynapses):
        return way
    *before, wires = before
    source = way.shape(len(before))
    assert isinstance(last.op, ScaleSynapses)
    scale = _before(wires.op, last.op.weight, wires.shape, source)
    if scale is None or math.prod(source) >= math.prod(wires.shape):
        return way
    return replace(way, steps=(*before, Step(last.name, ScaleSynapses(scale), source), wires))


def _pool_moved_back(way: Way) -> Way:
    """Put a pool at the end of a way before wires that lead whole channels to more: there it adds up less."""
    *before, pool = way.steps
    if not before or not isinstance(before[-1].op, WireSynapses):
        return way
    source = way.shape(len(before) - 1)
    channels = _channels(before[-1].op.index, source)
    if channels is None or source[0] > len(channels):
        return way
    pooled = replace(pool, shape=(source[0], *pool.shape[1:]))
    wires = replace(before[-1], op=WireSynapses(_places(channels, pool.shape[1:])), shape=pool.shape)
    return replace(way, steps=(*before[:-1], pooled, wires))


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
            rest = replace(way, steps=tuple(before[:i]))
            for step in before[i + 1 :]:
                # Wires that the scale kept apart become one.
                rest = _extended(rest, step.name, step.op)
            return replace(rest, steps=(*rest.steps, merged))
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
    # The scale of what goes nowhere does not matter.
    found = np.full(math.prod(source), np.nan)
    found[index[wired]] = values
    # A value that goes to several places may be scaled differently there.
    return _settled(found.reshape(source)) if np.array_equal(found[index[wired]], values) else None


def _behind(op: Process, scale: Array, source: tuple[int, ...], shape: tuple[int, ...]) -> Array | None:
    """Give the scale behind wires or a pool that does what this one does before; None if there is none."""
    if scale.size == 1:
        return scale.reshape(1)
    if isinstance(op, PoolSynapses):
        channels = channels_of(scale, len(source))
        return None if channels is None else per_channel(channels, len(shape))
    index = _index(op, source)
    values = np.broadcast_to(scale, source).reshape(-1)
    return _settled(np.where(index >= 0, values[index], np.nan).reshape(shape))


def _settled(scale: Array) -> Array:
    """Choose a scale where none matters: one of the others, so as not to take up their range of integers."""
    silent = np.isnan(scale).reshape(len(scale) if scale.ndim else 1, -1).all(axis=1)
    if not silent.all():
        scale = np.where(silent.reshape(-1, *[1] * (scale.ndim - 1)), np.nanmax(scale), scale)
    return settled(scale)


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
    """Put wires before weights into these, where whole channels are wired and it takes no more weights.

    Elsewhere the weights of channels that are silent become 0: these must not take up the range of the others.
    """
    *before, last = way.steps
    if not before or not isinstance(before[-1].op, WireSynapses):
        return way
    index, source = before[-1].op.index, way.shape(len(before) - 1)
    op = last.op
    assert isinstance(op, ConvSynapses | LinearSynapses)
    groups = op.groups if isinstance(op, ConvSynapses) else 1
    wired = None
    if math.prod(source) <= index.size:
        if isinstance(op, LinearSynapses):
            source = (math.prod(source),)
        channels = _channels(index, source)
        wired = None if channels is None else _wired_inputs(op.weight, channels, source[0], groups)
    if wired is None:
        heard = index.reshape(len(index), -1).max(axis=1) >= 0
        weight = scale_inputs(op.weight, heard.astype(np.float64), groups)
        return replace(way, steps=(*before, replace(last, op=replace(op, weight=weight))))
    folded = replace(way, steps=tuple(before[:-1]))
    if source != folded.shape(len(folded.steps)):
        folded = _extended(folded, before[-1].name, ReshapeSynapses(source))
    return replace(folded, steps=(*folded.steps, replace(last, op=replace(op, weight=wired))))


def _wired_inputs(weight: Array, channels: Array, inputs: int, groups: int) -> Array | None:
    """Give the weights that take channels before wires; None if wires lead from one group to another."""
    if inputs % groups:
        return None
    each = inputs // groups
    within = channels.reshape(groups, -1) - each * np.arange(groups)[:, None]
    wired = channels.reshape(groups, -1) >= 0
    if np.any(wired & ((within < 0) | (within >= each))):
        return None
    by_group = weight.reshape(groups, -1, *weight.shape[1:])
    own = np.where(wired, within, -1)
    return np.concatenate([wire_inputs(part, index, each) for part, index in zip(by_group, own, strict=True)])


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


def _places(channels: Array, space: tuple[int, ...]) -> Array:
    """Give the place that each value is at where whole channels are wired: the other way about."""
    inside = np.arange(math.prod(space), dtype=np.int32).reshape(space)
    first = per_channel(channels.astype(np.int32), 1 + len(space))
    return np.where(first >= 0, first * inside.size + inside, -1)
