"""The networks that all simulators run: random weights, and thresholds at which neurons fire at a given rate."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurocompile.ir.kernels import Window, conv

Array = NDArray[Any]

LARGEST_PIXEL = 15
"""So that the largest currents of integers fit into 24 bits of a membrane."""

_CALIBRATION_IMAGES = 4
_CALIBRATION_STEPS = 32


@dataclass(frozen=True)
class Branch:
    """Weights from a layer to another.

    Parameters
    ----------
    source
        The number of the layer that sends; -1 is the image.
    weight
        ``(out, in)``, or ``(out, in, 3, 3)`` and ``(out, in, 1, 1)``.
    stride
        Of a convolution, which is padded by half of its kernel.
    """

    source: int
    weight: Array
    stride: int = 1


@dataclass(frozen=True)
class Layer:
    """Neurons that integrate what branches bring, fire above a threshold, and subtract it."""

    branches: tuple[Branch, ...]
    bias: Array
    threshold: float


@dataclass(frozen=True)
class Workload:
    """A network.

    Parameters
    ----------
    name
        Of the network.
    shape
        Of an image.
    layers
        Each reads earlier ones; the last has ten outputs.
    rate
        Spikes for each neuron and step that the thresholds aim at.
    integer
        Whether all numbers are whole.
    """

    name: str
    shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    rate: float
    integer: bool

    def images(self, count: int) -> Array:
        """Draw smooth images."""
        return _images(self.shape, count, self.integer, seed=1)

    @property
    def multiplications(self) -> int:
        """Of a dense simulator, for an image and step."""
        shapes = self.shapes
        return sum(
            int(np.prod(shapes[number])) * int(np.prod(branch.weight.shape[1:]))
            for number, layer in enumerate(self.layers)
            for branch in layer.branches
            if branch.source >= 0
        )

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of each layer."""
        found: list[tuple[int, ...]] = []
        for layer in self.layers:
            branch = layer.branches[0]
            given = self.shape if branch.source < 0 else found[branch.source]
            out, size = len(branch.weight), branch.stride
            found.append((out, *(-(-n // size) for n in given[1:])) if branch.weight.ndim > 2 else (out,))
        return found

    def save(self, folder: Path, images: int) -> None:
        """Write the network and its images for the peers."""
        arrays = {"images": self.images(images).astype(np.float32)}
        layers = []
        for number, layer in enumerate(self.layers):
            arrays[f"bias{number}"] = layer.bias.astype(np.float32)
            for place, branch in enumerate(layer.branches):
                arrays[f"weight{number}.{place}"] = branch.weight.astype(np.float32)
            branches = [{"source": branch.source, "stride": branch.stride} for branch in layer.branches]
            layers.append({"threshold": layer.threshold, "branches": branches})
        np.savez(folder / f"{self.name}.npz", allow_pickle=False, **arrays)
        (folder / f"{self.name}.json").write_text(json.dumps(layers))


_LINEAR = {"mlp": (1200, 1200, 10), "small mlp": (256, 10)}
_CONVOLUTIONS = {
    "small cnn": ((1, 28, 28), ((16, 1), (32, 2))),
    "cnn": ((1, 28, 28), ((32, 1), (64, 2), (128, 2))),
    "vgg": ((3, 32, 32), ((64, 1), (128, 2), (256, 2), (256, 1), (512, 2), (512, 1), (512, 2), (512, 1))),
}


def workload(network: str, rate: float, *, integer: bool) -> Workload:
    """Make one of ``cnn``, ``mlp``, ``vgg``, ``resnet``, ``small cnn`` and ``small mlp``."""
    builder = _Builder(network, rate, integer)
    if network in _LINEAR:
        for out in _LINEAR[network]:
            builder.linear(out)
    elif network == "resnet":
        builder.convolution(32, 1)
        for out, stride in ((32, 1), (64, 2), (128, 2)):
            builder.block(out, stride)
        builder.linear(10)
    else:
        for out, stride in _CONVOLUTIONS[network][1]:
            builder.convolution(out, stride)
        builder.linear(10)
    return builder.built()


class _Builder:
    """Adds layers, and finds the threshold of each on a few images."""

    def __init__(self, network: str, rate: float, integer: bool) -> None:
        self.network, self.rate, self.integer = network, rate, integer
        self.shape = (784,) if network in _LINEAR else _CONVOLUTIONS.get(network, ((3, 32, 32), ()))[0]
        self.rng = np.random.default_rng(0)
        self.layers: list[Layer] = []
        x = _images(self.shape, _CALIBRATION_IMAGES, integer, seed=7)
        self.spikes = [np.broadcast_to(x, (_CALIBRATION_STEPS, *x.shape))]

    def convolution(self, out: int, stride: int) -> None:
        self._add((self._kernel(-1, out, 3, stride),))

    def block(self, out: int, stride: int) -> None:
        """Two convolutions, and a shortcut around them."""
        self._add((self._kernel(-1, out, 3, stride),))
        self._add((self._kernel(-1, out, 3, 1), self._kernel(-2, out, 1, stride)))

    def linear(self, out: int) -> None:
        size = int(np.prod(self.spikes[-1].shape[2:]))
        self._add((Branch(len(self.layers) - 1, self._weight((out, size), size)),))

    def built(self) -> Workload:
        kind = "int8" if self.integer else "float32"
        name = f"{self.network}-{kind}-{self.rate:g}"
        return Workload(name, self.shape, tuple(self.layers), self.rate, self.integer)

    def _kernel(self, source: int, out: int, size: int, stride: int) -> Branch:
        channels = self.spikes[source].shape[2]
        number = len(self.spikes) + source - 1
        return Branch(number, self._weight((out, channels, size, size), channels * size**2), stride)

    def _weight(self, shape: tuple[int, ...], inputs: int) -> Array:
        weight = (self.rng.normal(size=shape) + 0.02) * np.sqrt(2 / inputs)
        if not self.integer:
            return weight.astype(np.float32).astype(np.float64)
        return np.clip(np.rint(weight * 127 / np.quantile(np.abs(weight), 0.9999)), -127, 127)

    def _add(self, branches: tuple[Branch, ...]) -> None:
        bias = np.zeros(len(branches[0].weight))
        currents = sum(apply(branch, self.spikes[branch.source + 1]) for branch in branches)
        assert isinstance(currents, np.ndarray)
        low, high = 1e-3, float(np.abs(currents).max()) * 2
        for _ in range(25):
            threshold = np.sqrt(low * high)
            too_many = _fire(currents, threshold).mean() > self.rate
            low, high = (threshold, high) if too_many else (low, threshold)
        threshold = float(max(1, np.rint(high))) if self.integer else float(np.float32(high))
        self.layers.append(Layer(branches, bias, threshold))
        self.spikes.append(_fire(currents, threshold))


def apply(branch: Branch, spikes: Array) -> Array:
    """Give the currents of streams ``(T, B, *shape)``."""
    steps, images = spikes.shape[:2]
    x = np.ascontiguousarray(spikes, np.float64).reshape(steps * images, *spikes.shape[2:])
    weight = branch.weight.astype(np.float64)
    if weight.ndim == 2:
        found = x.reshape(len(x), -1) @ weight.T
    else:
        pad = weight.shape[2] // 2
        found = conv(x, weight, Window(weight.shape[2:], (branch.stride,) * 2, (pad,) * 4), 1)
    return found.reshape(steps, images, *found.shape[1:])


def _fire(currents: Array, threshold: float) -> Array:
    v, spikes = np.zeros(currents.shape[1:]), np.empty(currents.shape, np.bool_)
    for a, s in zip(currents, spikes, strict=True):
        v += a
        np.greater(v, threshold, out=s)
        v -= s * threshold
    return spikes


def _images(shape: tuple[int, ...], count: int, integer: bool, seed: int) -> Array:
    """Blobs between 0 and 1, or in whole numbers."""
    channels, height, width = shape if len(shape) == 3 else (1, 28, 28)
    noise = np.random.default_rng(seed).normal(size=(count, channels, height, width))
    smooth = np.exp(-(np.fft.fftfreq(height)[:, None] ** 2 + np.fft.rfftfreq(width) ** 2) * 60)
    x = np.fft.irfft2(np.fft.rfft2(noise) * smooth, s=(height, width))
    x = np.clip(0.6 * x / x.std(axis=(1, 2, 3), keepdims=True) + 0.2, 0, 1)
    x = np.rint(x * LARGEST_PIXEL) if integer else x.astype(np.float32)
    return x.reshape(count, *shape)
