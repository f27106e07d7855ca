"""Measures what a peer has converted: the part that the scripts of all peers share.

A script gets the folder of a job, in which ``data.npz`` has the images and labels, and ``network.npz`` the
network's initialisers, the ANN's outputs on the test images and what the images are divided by. It prints one line
of JSON for each method.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import networks
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

BATCH_SIZE = 100
TOLERANCE = 1e-4
LONGEST_ERROR = 160


@dataclass(frozen=True)
class Job:
    """What a peer is to convert, and on what it is measured.

    Parameters
    ----------
    name
        Of the network.
    weights
        Its initialisers.
    x_calibration, x_test
        Images, scaled as the network takes them.
    y_test
        Their classes.
    logits
        The ANN's outputs for the test images, by ONNX Runtime.
    steps
        At which to read the outputs, ascending.
    skip
        Names of methods that need not be measured.
    """

    name: str
    weights: dict[str, NDArray[np.float32]]
    x_calibration: Tensor
    x_test: Tensor
    y_test: NDArray[np.int64]
    logits: NDArray[np.float32]
    steps: Sequence[int]
    skip: frozenset[str]

    def network(self) -> nn.Sequential:
        """Build the network anew, since a peer may change what it converts."""
        return networks.load(self.name, self.weights)


@dataclass(frozen=True)
class Spiking:
    """A converted network.

    Parameters
    ----------
    step
        Gives the output of one step for a batch of images.
    reset
        Forgets the images before.
    neurons
        The modules whose outputs are spikes.
    delays
        For each further way to read the output, by its name, the steps that it leaves out, by the number of all.
    """

    step: Callable[[Tensor], Tensor]
    reset: Callable[[], object]
    neurons: Sequence[nn.Module]
    delays: Mapping[str, Mapping[int, int]] = field(default_factory=dict)


Conversions = Mapping[str, Callable[[Job], Spiking]]


def read_job() -> Job:
    """Read the job that the command line names."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=sorted(networks.BUILDERS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", required=True)
    parser.add_argument("--skip", nargs="*", default=[], help="methods that need not be measured")
    arguments = parser.parse_args()
    with np.load(arguments.folder / "data.npz") as data:
        images = {key: data[key] for key in ("x_calibration", "x_test", "y_test")}
    with np.load(arguments.folder / "network.npz") as network:
        weights = {key: network[key] for key in network.files}
    logits, divisor = weights.pop("logits"), weights.pop("divisor")
    scaled = {
        key: torch.from_numpy(images[key].astype(np.float32) / divisor.astype(np.float32))
        for key in ("x_calibration", "x_test")
    }
    return Job(
        arguments.name,
        weights,
        **scaled,
        y_test=images["y_test"],
        logits=logits,
        steps=sorted(arguments.steps),
        skip=frozenset(arguments.skip),
    )


def check(job: Job) -> None:
    """Make sure that the rebuilt network computes what the ONNX file does."""
    network = job.network()
    outputs = np.concatenate([network(batch).numpy() for batch in torch.split(job.x_test, BATCH_SIZE)])
    error = float(np.abs(outputs - job.logits).max())
    if error > TOLERANCE:
        raise SystemExit(f"{job.name} in PyTorch differs from ONNX Runtime by {error:g}")


def run(packages: Sequence[str], conversions: Conversions) -> None:
    """Measure each conversion of the job on the command line, and print the results.

    Parameters
    ----------
    packages
        Whose versions are told.
    conversions
        By the name of the method.
    """
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    job = read_job()
    check(job)
    versions = {package: version(package) for package in packages}
    for name, convert in conversions.items():
        if name in job.skip:
            continue
        for result in measure(name, convert, job):
            print(json.dumps(result | {"versions": versions}), flush=True)


def measure(name: str, convert: Callable[[Job], Spiking], job: Job) -> Iterator[dict[str, Any]]:
    """Convert and measure; an error of the peer is a result too."""
    began = time.perf_counter()
    try:
        spiking = convert(job)
        readouts = {name: dict.fromkeys(job.steps, 0), **spiking.delays}
        yield from results(spiking, readouts, job)
    # Whatever a peer raises belongs in the table.
    except Exception as error:
        message = " ".join(f"{type(error).__name__}: {error}".split())
        yield {"method": name, "points": [], "error": message[:LONGEST_ERROR]}
    finally:
        print(f"{job.name}, {name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


def results(spiking: Spiking, readouts: Mapping[str, Mapping[int, int]], job: Job) -> Iterator[dict[str, Any]]:
    """Simulate all test images, and score each way to read the output."""
    classes = job.logits.argmax(axis=1)
    right = {(name, steps): 0 for name in readouts for steps in job.steps}
    changed = dict(right)
    with SpikeCount(spiking.neurons, job.steps[-1]) as count:
        for start in range(0, len(job.x_test), BATCH_SIZE):
            batch = slice(start, start + BATCH_SIZE)
            sums = simulate(spiking, job.x_test[batch], job.steps[-1], count)
            for name, steps in right:
                decided = (sums[steps] - sums[readouts[name][steps]]).argmax(axis=1)
                right[name, steps] += int(np.sum(decided == job.y_test[batch]))
                changed[name, steps] += int(np.sum(decided != classes[batch]))
    images = len(job.x_test)
    for name in readouts:
        points = [
            {
                "steps": steps,
                "accuracy": round(right[name, steps] / images, 6),
                "changed": round(changed[name, steps] / images, 6),
                "spikes_per_neuron": round(count.per_neuron(steps) / images, 4),
            }
            for steps in job.steps
        ]
        yield {"method": name, "points": points, "error": None}


def simulate(spiking: Spiking, images: Tensor, steps: int, count: SpikeCount) -> NDArray[np.float64]:
    """Show the images for so many steps, and return the sum of the outputs before each step and after the last."""
    spiking.reset()
    outputs = []
    for step in range(steps):
        count.step = step
        outputs.append(spiking.step(images).double().numpy())
    sums = np.cumsum(outputs, axis=0)
    return np.concatenate([np.zeros_like(sums[:1]), sums])


class SpikeCount:
    """Counts spikes by hooks on the modules that fire them.

    Parameters
    ----------
    neurons
        These modules.
    steps
        The most that will be simulated.
    """

    def __init__(self, neurons: Iterable[nn.Module], steps: int) -> None:
        self.step = 0
        self._modules = list(neurons)
        self._spikes = np.zeros(steps)
        self._sizes: dict[nn.Module, int] = {}

    def __enter__(self) -> SpikeCount:
        self._hooks = [module.register_forward_hook(self._add) for module in self._modules]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _add(self, module: nn.Module, _: object, spikes: Tensor) -> None:
        self._sizes[module] = spikes[0].numel()
        self._spikes[self.step] += float(spikes.sum(dtype=torch.float64))

    def per_neuron(self, steps: int) -> float:
        """Return the spikes of all images in the first steps, on average over the neurons."""
        return float(self._spikes[:steps].sum()) / sum(self._sizes.values())
