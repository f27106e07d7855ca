"""Where the loss of a conversion comes from: layer by layer, and cause by cause."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import get_args

import numpy as np

from neurocompile.backend import Progress, decide, silent
from neurocompile.causes import Cause
from neurocompile.conversion import Conversion
from neurocompile.ir import Array, Graph, run
from neurocompile.ir.layers import ReLU
from neurocompile.ir.processes import Decoder, Encoder, IntegrateAndFire, Neurons
from neurocompile.parallel import each

_BYTES = 64 << 20
"""Of the currents of all layers that are in memory at once: some images at a time."""

_ALL = "all layers"

_NEGLIGIBLE = 0.01
"""An error relative to the activations that no layer is worth touching for."""


@dataclass(frozen=True)
class Share:
    """What one cause in one layer does.

    Parameters
    ----------
    points
        Of the loss, in percentage points: negative where it makes up for others.
    error
        Of the layer's activations, relative to what they would be: the root of the mean square of the change over
        that of the values.
    """

    points: float
    error: float


@dataclass(frozen=True)
class LayerLoss:
    """What a layer adds to the loss.

    Parameters
    ----------
    layer
        Its name; the input's and the decoder's among them, and ``all layers`` for approximations.
    causes
        Those that change anything.
    remedies
        What makes them smaller, where anything does.
    """

    layer: str
    causes: Mapping[Cause, Share]
    remedies: Mapping[Cause, str] = field(default_factory=dict)

    @property
    def points(self) -> float:
        """Of the loss, in percentage points."""
        return sum(share.points for share in self.causes.values())

    @property
    def error(self) -> float:
        """Of all causes together, as if they were independent."""
        return math.sqrt(sum(share.error**2 for share in self.causes.values()))

    @property
    def worst(self) -> Cause | None:
        """The cause with the largest error."""
        return max(self.causes, key=self._error_by, default=None)

    @property
    def remedy(self) -> str:
        """What would make the layer's error smaller."""
        curable = [cause for cause in self.causes if cause in self.remedies]
        curable = [cause for cause in curable if self._error_by(cause) >= _NEGLIGIBLE]
        return self.remedies[max(curable, key=self._error_by)] if curable else "leave it as it is"

    def _error_by(self, cause: Cause) -> float:
        return self.causes[cause].error


@dataclass(frozen=True)
class Budget:
    """The loss, taken apart.

    Parameters
    ----------
    images
        On which it was measured.
    points
        The loss on these images, in percentage points.
    layers
        The one that adds most first.
    """

    images: int
    points: float
    layers: tuple[LayerLoss, ...]

    @property
    def remainder(self) -> float:
        """What the layers do not add up to, in points."""
        return self.points - sum(layer.points for layer in self.layers)

    @property
    def by_cause(self) -> Mapping[Cause, float]:
        """The points of each cause over all layers."""
        total: defaultdict[Cause, float] = defaultdict(float)
        for layer in self.layers:
            for cause, share in layer.causes.items():
                total[cause] += share.points
        return {cause: total[cause] for cause in get_args(Cause) if cause in total}


def loss_budget(
    conversion: Conversion,
    ann: Array,
    x: Array,
    y: Array,
    *,
    steps: int,
    remedies: Mapping[Cause, str],
    progress: Progress = silent,
) -> Budget:
    """Measure what each cause in each layer adds to the loss, by swapping in one after another.

    The network is replaced layer by layer, from the input on: what the layers so far really send is led through
    the rest of the original network. Within a layer one cause comes on top of another. Each share is the
    accuracy before a cause minus that with it, so that all of them add up to the loss.

    Parameters
    ----------
    conversion
        What became of the network.
    ann
        The original network's decisions ``(N,)``.
    x, y
        Images ``(N, *shape)`` and their classes.
    steps
        For which it runs.
    remedies
        What makes each cause's share smaller, where anything does.
    progress
        Told of each part of the images.
    """
    lost: defaultdict[tuple[str, Cause], int] = defaultdict(int)
    change: defaultdict[tuple[str, Cause], float] = defaultdict(float)
    size: defaultdict[str, float] = defaultdict(float)
    before = after = 0
    part = _part(conversion.processes, steps)

    def swapped(start: int) -> tuple[int, list[_Swap]]:
        images = slice(start, start + part)
        return start, list(_Swapping(conversion, x[images], start, steps).swaps(ann[images], y[images]))

    for start, swaps in each(swapped, range(0, len(x), part)):
        previous = int(np.count_nonzero(ann[start : start + part] == y[start : start + part]))
        before += previous
        for swap in swaps:
            lost[swap.layer, swap.cause] += previous - swap.right
            change[swap.layer, swap.cause] += swap.change
            size[swap.layer] += swap.size
            previous = swap.right
        after += previous
        progress("finding where the loss comes from", min(start + part, len(x)), len(x))
    layers: dict[str, dict[Cause, Share]] = {}
    for (layer, cause), count in lost.items():
        error = math.sqrt(change[layer, cause] / size[layer]) if size[layer] else 0.0
        layers.setdefault(layer, {})[cause] = Share(100 * count / len(x), error)
    found = [LayerLoss(layer, causes, remedies) for layer, causes in layers.items()]
    found.sort(key=lambda layer: (-layer.points, -layer.error))
    return Budget(len(x), 100 * (before - after) / len(x), tuple(found))


def _part(graph: Graph, steps: int) -> int:
    values = sum(math.prod(t.shape) for t in graph.types.values())
    return max(1, min(50, _BYTES // (8 * values * steps)))


@dataclass(frozen=True)
class _Swap:
    """How many decisions are right with one cause more, and the squares of what it changes, and of the values."""

    layer: str
    cause: Cause
    right: int
    change: float = 0.0
    size: float = 0.0


class _Swapping:
    """Replaces the original network by the spiking one for some images."""

    def __init__(self, conversion: Conversion, x: Array, first: int, steps: int) -> None:
        self.c = conversion
        self.graph = conversion.processes
        (entry,) = self.graph.inputs
        (output,) = self.graph.outputs
        assert isinstance(entry.op, Encoder)
        self.entry, self.output, self.steps, self.x = entry, output, steps, x
        self.neurons = [
            node for node in self.graph.nodes if isinstance(node.op, Neurons) and node.name in conversion.ann
        ]
        kept = [node.inputs[0] for node in self.neurons] + [node.name for node in self.neurons] + [output]
        encoder: Encoder = entry.op
        stream = encoder.encode(x, steps, first)
        self.streams = run(self.graph, {entry.name: stream}, keep=kept)
        times = 1 if encoder.code == "once" else steps
        self.encoded = stream.sum(axis=0, dtype=np.float64) * (encoder.unit / times)

    def swaps(self, ann: Array, labels: Array) -> Iterator[_Swap]:
        """Swap in one cause after another, layer by layer."""
        entry, output = self.entry.name, self.c.ann.outputs[0]
        fed: dict[str, Array] = {entry: self.x.astype(np.float64)}

        def right(decisions: Array) -> int:
            return int(np.count_nonzero(decisions == labels))

        decisions = _decided(self._ann(output, fed))
        if not np.array_equal(decisions, ann):
            yield _Swap(_ALL, "approximation", right(decisions))
        ideal = fed[entry]
        fed[entry] = self.encoded
        change = _square(self.encoded - ideal)
        yield _Swap(entry, "encoding", right(_decided(self._ann(output, fed))), change, _square(ideal))
        for node in self.neurons:
            values = self._ann(node.name, fed)
            size = _square(values)
            for cause, changed in self._chain(node.name, fed):
                if np.array_equal(changed, values):
                    continue
                fed[node.name] = changed
                decisions = _decided(self._ann(output, fed))
                yield _Swap(node.name, cause, right(decisions), _square(changed - values), size)
                values, size = changed, 0.0
            fed[node.name] = values
        decoder = self.graph[self.output].op
        assert isinstance(decoder, Decoder)
        before, fitted = self._ann(output, fed), run(self.c.fitted, fed, keep=[output])[output]
        size = _square(before)
        if not np.array_equal(fitted, before):
            yield _Swap(self.output, "fit", right(_decided(fitted)), _square(fitted - before), size)
            size = 0.0
        scores = decoder.scores(self.streams[self.output][-1], self.steps)
        change = _square(scores - fitted)
        yield _Swap(self.output, "integer weights", right(_decided(scores)), change, size)

    def _chain(self, name: str, fed: Mapping[str, Array]) -> Iterator[tuple[Cause, Array]]:
        """Yield what a layer sends, in reals of the original network, with one more cause after another."""
        threshold = self.c.thresholds[name]
        relu = self.c.fitted[name].op
        assert isinstance(relu, ReLU)
        yield "fit", run(self.c.fitted, fed, keep=[name])[name]
        op = self.graph[name].op
        assert isinstance(op, Neurons)
        shares = op.received(self.streams[self.graph[name].inputs[0]])
        yield "integer weights", relu.run(shares * threshold)
        code = self.c.code
        clipped = np.clip(shares, 0, code.highest)
        yield "clipping", clipped * threshold
        yield "resolution", code.rounded(shares) * threshold
        if isinstance(op, IntegrateAndFire) and op.reset == "zero":
            soft = replace(op, reset="subtract", v_init=(op.v_threshold / 2).astype(op.v_init.dtype))
            current = self.streams[self.graph[name].inputs[0]]
            yield "arrival", soft.value(soft.run(current)) * threshold
            yield "reset", op.value(self.streams[name]) * threshold
        else:
            yield "arrival", op.value(self.streams[name]) * threshold

    def _ann(self, name: str, fed: Mapping[str, Array]) -> Array:
        """Give what the original network makes of what is fed so far."""
        return run(self.c.ann, fed, keep=[name])[name]


def _decided(scores: Array) -> Array:
    return decide(scores.reshape(len(scores), -1))


def _square(values: Array) -> float:
    return float(np.sum(values.astype(np.float64) ** 2))
