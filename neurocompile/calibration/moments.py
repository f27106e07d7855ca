"""How the inputs of a layer's weights vary together, which tells how errors of weights show in its output."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from neurocompile.calibration.rows import inputs_at, places
from neurocompile.ir import Array, Graph, run
from neurocompile.ir.codes import Code
from neurocompile.ir.layers import ReLU
from neurocompile.ir.processes import ConvSynapses, Encoder, LinearSynapses, Neurons
from neurocompile.parallel import each

_MOST_IMAGES = 50
"""At a time."""

_MOST_INPUTS = 1024
"""Whose moments are measured together: an output that has more has them in blocks, as matrices get too large."""


def second_moments(layers: Graph, processes: Graph, x: Array, code: Code) -> dict[str, Array]:
    """Measure the second moments of what each convolution's or linear layer's weights receive in a step, and of 1.

    Parameters
    ----------
    layers
        Balanced.
    processes
        What it was lowered to.
    x
        Calibration images ``(N, *shape)``.
    code
        Of the neurons.

    Returns
    -------
    Mapping
        For each of those synapses a mean over all outputs' places, ``(groups, blocks, size + 1, size + 1)``: the
        inputs in order, as many to a block, with zeros after the last. The last row and column are those of a
        constant 1: of the bias.
    """
    weighted = [node for node in processes.nodes if isinstance(node.op, ConvSynapses | LinearSynapses)]
    found: dict[str, Array] = {}
    rows: dict[str, int] = {}

    def measured(start: int) -> Iterator[tuple[str, Array, int]]:
        sent = _sent(layers, processes, x[start : start + _MOST_IMAGES], code)
        values = run(processes, sent, keep={node.inputs[0] for node in weighted})
        for seed, node in enumerate(weighted):
            at = places(node.op, processes.types[node.name].shape, len(x), seed)
            received = inputs_at(node.op, values[node.inputs[0]][0], at)
            blocks = _blocks(received)
            augmented = np.concatenate([blocks, np.ones((*blocks.shape[:3], 1))], axis=3)
            yield node.name, np.swapaxes(augmented, 2, 3) @ augmented, received.shape[1]

    for part in each(lambda start: list(measured(start)), range(0, len(x), _MOST_IMAGES)):
        for name, moments, count in part:
            found[name] = found.get(name, 0) + moments
            rows[name] = rows.get(name, 0) + count
    return {name: total / rows[name] for name, total in found.items()}


def _blocks(received: Array) -> Array:
    """Divide inputs ``(groups, n, in)`` into blocks of one size, ``(groups, blocks, n, size)``."""
    groups, rows, inputs = received.shape
    count = math.ceil(inputs / _MOST_INPUTS)
    size = math.ceil(inputs / count)
    padded = np.pad(received, ((0, 0), (0, 0), (0, count * size - inputs)))
    return np.swapaxes(padded.reshape(groups, rows, count, size), 1, 2)


def _sent(layers: Graph, processes: Graph, x: Array, code: Code) -> Mapping[str, Array]:
    """Give what each source sends in a step on average, as a stream of one step; relative to a bias of 1."""
    (entry,) = processes.inputs
    assert isinstance(entry.op, Encoder)
    names = [node.name for node in layers.nodes if isinstance(node.op, ReLU)]
    found = run(layers, {entry.name: x}, keep=names)
    sent = {
        name: np.minimum(values, code.highest)[None] * node.op.largest
        for name, values in found.items()
        if isinstance((node := processes[name]).op, Neurons)
    }
    first = entry.op.encode(x, 1)
    return {entry.name: first / code.radix if entry.op.code == "once" else first, **sent}
