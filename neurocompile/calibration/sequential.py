"""Fits weights, biases and thresholds layer by layer, to what the spiking layers before really send."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from neurocompile.calibration.ceilings import fitting
from neurocompile.calibration.dither import dithered
from neurocompile.calibration.ridge import Ridge
from neurocompile.calibration.rows import groups, inputs_at, outputs_at, places
from neurocompile.calibration.streams import Streams
from neurocompile.calibration.thresholds import simulated
from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.codes import Code
from neurocompile.ir.layers import Add, Conv, Identity, Linear, ReLU, Reshape
from neurocompile.ir.processes import Encoder
from neurocompile.parallel import each

_PENALTIES = (0.1, 0.3, 1.0)
"""Of the ridge regression, relative to the mean diagonal of the moments."""

_TRIED_IMAGES = 128
"""On which each penalty is fitted; it is judged on as many others."""

_STORED = 256 << 20
"""Spikes of the largest layer that are kept, at a byte each: with many steps fewer images are fitted on."""

_MOST_VALUES = 1 << 24
"""Of a current, on which thresholds are tried."""

_SEARCHED_IMAGES = 64
_PART = 25
"""Images at a time."""


@dataclass(frozen=True)
class Fitted:
    """Layers with weights and biases that were fitted, and what their neurons are to be.

    Parameters
    ----------
    layers
        In the values of the original network.
    thresholds
        For each ReLU the value of its threshold, which broadcasts against one image.
    starts
        For each ReLU where its membranes start, in thresholds.
    penalty
        That the ridge regression took.
    """

    layers: Graph
    thresholds: Mapping[str, Array]
    starts: Mapping[str, Array]
    penalty: float


def fit(layers: Graph, encoder: Encoder, x: Array, code: Code, one_threshold: str | None = None) -> Fitted:
    """Fit a network to its code.

    Layer by layer from the input on, weights and biases are fitted by ridge regression to what the original
    layer gives, on what the spiking layers before really send in as many steps as will run; then thresholds, one
    for each channel, with which the neurons come nearest to the original activations. The penalty is the one
    whose outputs are nearest to the original ones on images that were held out. This is layer-wise calibration
    (Li et al. 2021; Deng and Gu 2021) in closed form.

    Parameters
    ----------
    layers
        Of the original network.
    encoder
        Of its input.
    x
        Calibration images ``(N, *shape)``.
    code
        Of the neurons, whose steps or bits all count alike.
    one_threshold
        A ReLU all of whose neurons are to share a threshold.
    """
    largest = max(math.prod(t.shape) for t in layers.types.values())
    room = max(1, _STORED // (largest * code.steps))
    penalty = _PENALTIES[len(_PENALTIES) // 2]
    if len(x) >= 4:
        tried = min(_TRIED_IMAGES, room, len(x) // 2)
        fitting_on, held_out = _spread(x[::2], tried), _spread(x[1::2], tried)
        both = np.concatenate([fitting_on, held_out])
        sweeps = (_Sweep(Streams(layers, encoder, both, code), p, tried) for p in _PENALTIES)
        errors = [sweep.run(one_threshold).error() for sweep in sweeps]
        penalty = _PENALTIES[int(np.argmin(errors))]
    chosen = _spread(x, room)
    return _Sweep(Streams(layers, encoder, chosen, code), penalty, len(chosen)).run(one_threshold).fitted()


def _spread(x: Array, most: int) -> Array:
    """Take so many images, evenly spread."""
    return np.asarray(x[np.linspace(0, len(x) - 1, min(most, len(x))).astype(int)])


@dataclass
class _Sweep:
    """One way through a network, from the input on.

    Parameters
    ----------
    streams
        Of the original layers.
    penalty
        Of the ridge regression.
    used
        The images, from the first on, that are fitted on; the others are only led through.
    """

    streams: Streams
    penalty: float
    used: int
    starts: dict[str, Array] = field(default_factory=dict)

    def run(self, one_threshold: str | None) -> _Sweep:
        """Fit all layers."""
        for node in self.streams.layers.nodes:
            if isinstance(node.op, ReLU):
                self._fit_neurons(node, shared=node.name == one_threshold)
        if not isinstance(self.streams.layers[self._output].op, ReLU):
            self._fit_weights(self._output)
            lacking = np.concatenate(list(each(lambda part: self._lacking(self._output, part), self._parts())))
            mean = np.atleast_1d(lacking.mean(axis=(0, *range(2, lacking.ndim))))
            add_bias(self.streams, self._output, mean)
        return self

    @property
    def _output(self) -> str:
        (output,) = self.streams.layers.outputs
        return output

    def fitted(self) -> Fitted:
        return Fitted(self.streams.layers, self.streams.thresholds, self.starts, self.penalty)

    def error(self) -> float:
        """Give the squared error of the outputs on the images that were not fitted on."""
        held_out = [slice(i, i + _PART) for i in range(self.used, len(self.streams.x), _PART)]
        errors = each(lambda part: np.sum(self._lacking(self._output, part) ** 2), held_out)
        return float(sum(errors))

    def _parts(self) -> Iterator[slice]:
        return (slice(i, min(i + _PART, self.used)) for i in range(0, self.used, _PART))

    def _lacking(self, name: str, images: slice) -> Array:
        return self.streams.original(name, images) - self.streams.mean(name, images)

    def _fit_neurons(self, node: Node, *, shared: bool) -> None:
        (before,) = node.inputs
        self._fit_weights(before)
        shape = self.streams.layers.types[node.name].shape
        start = dithered(self.streams.layers, node.name)
        self.starts[node.name] = start
        neurons = self.streams.code.neurons(np.zeros(1), start)
        count = max(
            1, min(_SEARCHED_IMAGES, self.used, _MOST_VALUES // (math.prod(shape) * self.streams.code.steps))
        )
        images = slice(0, self.used, self.used // count)
        wanted = self.streams.original(node.name, images)
        threshold = simulated(self.streams.current(before, images), wanted, neurons)
        if shared:
            threshold = threshold.max(keepdims=True)
        # A neuron must be able to reach the ReLU's own ceiling, and not pass it.
        self.streams.thresholds[node.name] = fitting(threshold, node.op, len(shape))
        self.streams.simulate(node.name, neurons)

    def _fit_weights(self, name: str) -> None:
        """Fit the last weights before a ReLU or the output together, and a bias."""
        nodes = last_weights(self.streams.layers, name)
        nodes = [node for node in nodes if not self.streams.is_constant(node.inputs[0])]
        if len(nodes) > 1 and any(groups(node.op) > 1 for node in nodes):
            # Grouped weights see different inputs for each group, which others beside them do not.
            nodes = nodes[:1]
        if not nodes:
            return
        shape = self.streams.layers.types[nodes[0].name].shape
        at = places(nodes[0].op, shape, self.used, 0)
        widths = [node.op.weight[0].size for node in nodes if isinstance(node.op, Conv | Linear)]
        count = groups(nodes[0].op)
        ridge = Ridge(count, sum(widths) + 1, shape[0] // count)

        def sampled(part: slice) -> tuple[Array, Array]:
            received = [inputs_at(n.op, self.streams.mean(n.inputs[0], part), at) for n in nodes]
            ones = np.ones((*received[0].shape[:2], 1))
            lacking = self._lacking(name, part).reshape(-1, *shape)
            return np.concatenate([*received, ones], axis=2), outputs_at(nodes[0].op, lacking, at)

        for received, lacking in each(sampled, self._parts()):
            ridge.add(received, lacking)
        change = ridge.change(self.penalty)
        changes = np.split(change[..., :-1], np.cumsum(widths)[:-1], axis=2)
        for node, own in zip(nodes, changes, strict=True):
            op = node.op
            assert isinstance(op, Conv | Linear)
            self.streams.replace(node.name, replace(op, weight=op.weight + own.reshape(op.weight.shape)))
        add_bias(self.streams, nodes[0].name, change[..., -1].reshape(-1))


def last_weights(layers: Graph, name: str) -> list[Node]:
    """Find the weights that nothing but sums, and no other reader, keep from a ReLU or the output."""
    node = layers[name]
    if len(layers.consumers(name)) > 1:
        return []
    if isinstance(node.op, Conv | Linear):
        return [node]
    if isinstance(node.op, Add):
        found = [found for i in node.inputs for found in last_weights(layers, i)]
        # Behind a Reshape an output has another place, and what is added to itself counts twice.
        shape = layers.types[name].shape
        return [f for f in found if layers.types[f.name].shape == shape and found.count(f) == 1]
    return last_weights(layers, node.inputs[0]) if isinstance(node.op, Identity | Reshape) else []


def add_bias(streams: Streams, name: str, bias: Array) -> None:
    """Add a bias for each channel to the last weights before a ReLU or the output, if there are any."""
    for node in last_weights(streams.layers, name)[:1]:
        op = streams.layers[node.name].op
        assert isinstance(op, Conv | Linear)
        if len(op.bias) == len(bias):
            streams.replace(node.name, replace(op, bias=op.bias + bias))
