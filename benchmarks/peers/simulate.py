"""Runs a workload in a peer's simulator, in an environment that has it.

Gets the tool and a folder, and then a line of JSON for each run: a workload's name, how many images and steps.
Answers with a line of JSON: seconds of processor time, the process's peak memory, and the spikes of each output.
"""

from __future__ import annotations

import json
import re
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

warnings.filterwarnings("ignore")

Simulate = Callable[[Tensor, int], Tensor]


@dataclass(frozen=True)
class Layer:
    """Weights by source, and a threshold."""

    branches: tuple[tuple[int, nn.Module], ...]
    threshold: float

    def current(self, sent: list[Tensor], flat: bool) -> Tensor:
        """Add up what the branches bring; ``flat`` tells that a batch has no axis of steps."""
        total = [apply(module, sent[source], flat) for source, module in self.branches]
        return sum(total[1:], start=total[0])


def apply(module: nn.Module, spikes: Tensor, flat: bool) -> Tensor:
    """Apply weights to a batch, or to every step of one."""
    if flat:
        return module(spikes.flatten(1) if isinstance(module, nn.Linear) else spikes)
    steps, images = spikes.shape[:2]
    found = apply(module, spikes.flatten(0, 1), flat=True)
    return found.unflatten(0, (steps, images))


def read(folder: Path, name: str) -> tuple[list[Layer], Tensor]:
    """Read a workload and its images."""
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        held = {key: torch.from_numpy(arrays[key]) for key in arrays}
    layers = []
    for number, layer in enumerate(json.loads((folder / f"{name}.json").read_text())):
        branches = []
        for place, branch in enumerate(layer["branches"]):
            weight = held[f"weight{number}.{place}"]
            bias = held[f"bias{number}"] if place == 0 else torch.zeros(len(weight))
            branches.append((branch["source"], weighted(weight, bias, branch["stride"])))
        layers.append(Layer(tuple(branches), layer["threshold"]))
    return layers, held["images"]


def weighted(weight: Tensor, bias: Tensor, stride: int) -> nn.Module:
    """Make a layer of PyTorch."""
    if weight.ndim == 2:
        module: nn.Module = nn.Linear(weight.shape[1], weight.shape[0])
    else:
        out, channels, size, _ = weight.shape
        module = nn.Conv2d(channels, out, size, stride=stride, padding=size // 2)
    module.weight.data, module.bias.data = weight, bias
    return module.eval().requires_grad_(False)


def by_step(layers: list[Layer], neuron: Callable[[Layer, Tensor, Any], tuple[Tensor, Any]]) -> Simulate:
    """Run step by step; what does not change from step to step is computed once."""

    def simulate(x: Tensor, steps: int) -> Tensor:
        first = layers[0].current([x], flat=True)
        states: list[Any] = [None] * len(layers)
        counts: Any = 0
        for _ in range(steps):
            sent: list[Tensor] = []
            for number, layer in enumerate(layers):
                current = layer.current(sent, flat=True) if number else first
                spikes, states[number] = neuron(layer, current, states[number])
                sent.append(spikes)
            counts = counts + sent[-1]
        return counts

    return simulate


def spikingjelly(layers: list[Layer]) -> Simulate:
    """All steps of a layer at once: its multi-step mode."""
    from spikingjelly.activation_based import neuron

    nodes = [neuron.IFNode(v_threshold=layer.threshold, v_reset=None, step_mode="m").eval() for layer in layers]

    def simulate(x: Tensor, steps: int) -> Tensor:
        first = layers[0].current([x], flat=True)
        sent: list[Tensor] = []
        for number, (layer, node) in enumerate(zip(layers, nodes, strict=True)):
            node.reset()
            current = layer.current(sent, flat=False) if number else first.expand(steps, *first.shape)
            sent.append(node(current.contiguous()))
        return sent[-1].sum(0)

    return simulate


def sinabs(layers: list[Layer]) -> Simulate:
    """All steps of a layer at once, squeezed into the batch."""
    from sinabs.activation import SingleSpike
    from sinabs.layers import IAF

    nodes = [IAF(spike_threshold=torch.tensor(layer.threshold), spike_fn=SingleSpike).eval() for layer in layers]

    def simulate(x: Tensor, steps: int) -> Tensor:
        first = layers[0].current([x], flat=True)
        sent: list[Tensor] = []
        for number, (layer, node) in enumerate(zip(layers, nodes, strict=True)):
            node.reset_states()
            current = layer.current(sent, flat=False) if number else first.expand(steps, *first.shape)
            # Its axes are images and steps.
            sent.append(node(current.transpose(0, 1).contiguous()).transpose(0, 1))
        return sent[-1].sum(0)

    return simulate


def snntorch(layers: list[Layer]) -> Simulate:
    """Leaky neurons without a leak."""
    import snntorch as snn

    neurons = {
        id(layer): snn.Leaky(beta=1.0, threshold=layer.threshold, reset_mechanism="subtract").eval()
        for layer in layers
    }

    def step(layer: Layer, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        neuron = neurons[id(layer)]
        return neuron(current, neuron.reset_mem() if state is None else state)

    return by_step(layers, step)


def norse(layers: list[Layer]) -> Simulate:
    """Its threshold and its reset by subtraction: it has no such neurons."""
    from norse.torch.functional.reset import reset_subtract
    from norse.torch.functional.threshold import threshold

    zero = torch.zeros(())
    limits = {id(layer): torch.tensor(layer.threshold) for layer in layers}

    def step(layer: Layer, current: Tensor, state: Any) -> tuple[Tensor, Any]:
        v, limit = (current if state is None else state + current), limits[id(layer)]
        spikes = threshold(v - limit, "super", 100.0)
        return spikes, reset_subtract(spikes, v, zero, limit)

    return by_step(layers, step)


TOOLS = {"spikingjelly": spikingjelly, "snntorch": snntorch, "sinabs": sinabs, "norse": norse}


def peak_mb() -> float:
    """Return the peak memory since this program began; ``ru_maxrss`` starts with that of whoever started it."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def main() -> None:
    """Answer one line after another."""
    tool, folder = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(1)

    @cache
    def made(name: str) -> tuple[Simulate, Tensor]:
        layers, images = read(folder, name)
        return TOOLS[tool](layers), images

    print(json.dumps({"version": version(tool)}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        simulate, images = made(asked["workload"])
        with torch.inference_mode():
            began = time.process_time()
            parts = images[: asked["images"]].split(asked["batch"])
            counts = torch.cat([simulate(part, asked["steps"]) for part in parts])
            seconds = time.process_time() - began
        answer = {"seconds": seconds, "peak_mb": peak_mb(), "counts": counts.flatten(1).long().tolist()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
