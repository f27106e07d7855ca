"""Runs a workload in our own simulators, by the same questions and answers as ``peers/simulate.py``."""

from __future__ import annotations

import json
import re
import sys
import time
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
from simulation.workloads import LARGEST_PIXEL, Branch, Workload, workload

from neurocompile.backend import Executable, compile_for
from neurocompile.ir import Graph, Node
from neurocompile.ir.fixed_point import CURRENT_SHIFT
from neurocompile.ir.op import Array
from neurocompile.ir.processes import (
    ConvSynapses,
    CurrentSum,
    Decoder,
    Encoder,
    IntegrateAndFire,
    LinearSynapses,
    ReshapeSynapses,
    ScaleSynapses,
)
from neurocompile.parallel import threads
from neurocompile.passes.round_weights import RoundWeights


def graph(network: Workload, *, at_threshold: bool) -> Graph:
    """Make the network of processes.

    Parameters
    ----------
    network
        Of numbers that are whole or real.
    at_threshold
        Whether neurons fire where they reach the threshold, and not only above it. With whole numbers they do if
        they start with 1.
    """
    starts = at_threshold and network.integer
    unit, kind = (2**CURRENT_SHIFT, np.int32) if network.integer else (1, np.float64)
    levels = LARGEST_PIXEL if network.integer else 0
    encoder = Encoder(network.shape, "constant", levels or 1.0, levels, integer=network.integer)
    nodes, shapes = [Node("image", encoder)], network.shapes
    for number, layer in enumerate(network.layers):
        currents = []
        for place, branch in enumerate(layer.branches):
            source = "image" if branch.source < 0 else f"layer{branch.source}"
            if branch.weight.ndim == 2 and branch.source >= 0 and len(shapes[branch.source]) > 1:
                size = (int(np.prod(shapes[branch.source])),)
                nodes.append(Node(f"flat{number}", ReshapeSynapses(size), (source,)))
                source = f"flat{number}"
            currents.append(f"weights{number}.{place}")
            nodes.append(Node(currents[-1], synapses(branch, network.integer), (source,)))
        if len(currents) > 1:
            nodes.append(Node(f"sum{number}", CurrentSum(), tuple(currents)))
            currents = [f"sum{number}"]
        around = (len(layer.bias), *[1] * (len(shapes[number]) - 1))
        parameters = layer.bias.reshape(around) * unit, np.array(layer.threshold * unit), np.array(starts * unit)
        neurons = IntegrateAndFire(*(values.astype(kind) for values in parameters))
        nodes.append(Node(f"layer{number}", neurons, (currents[0],)))
    one = np.ones(1, np.int8 if network.integer else np.float64)
    nodes.append(Node("count", ScaleSynapses(one), (nodes[-1].name,)))
    nodes.append(Node("decoder", Decoder(np.zeros(1, kind), unit=1.0), ("count",)))
    graph_ = Graph(tuple(nodes), ("decoder",))
    return graph_ if network.integer else RoundWeights()(graph_)


def synapses(branch: Branch, integer: bool) -> LinearSynapses | ConvSynapses:
    """Give the weights of a branch."""
    weight: Array = branch.weight.astype(np.int8 if integer else np.float64)
    if weight.ndim == 2:
        return LinearSynapses(weight)
    pad = weight.shape[2] // 2
    return ConvSynapses(weight, stride=(branch.stride,) * 2, padding=(pad,) * 4)


def memory_mb(kind: str) -> float:
    """Return this program's memory, ``VmRSS``, or its peak, ``VmHWM``; ``ru_maxrss`` starts with its parent's."""
    found = re.search(rf"{kind}:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024


def main() -> None:
    """Answer one line after another."""
    target = sys.argv[1]

    @cache
    def network(name: str) -> Workload:
        kind, precision, rate = name.split("-")
        return workload(kind, float(rate), integer=precision == "int8")

    @cache
    def made(name: str, at_threshold: bool) -> tuple[Executable, float]:
        """Give the network, and the memory that this program has before it runs."""
        with threads(1):
            executable = compile_for(target, graph(network(name), at_threshold=at_threshold))
        return executable, memory_mb("VmRSS")

    print(json.dumps({"version": version("neurocompile")}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        executable, before = made(asked["workload"], asked["at_threshold"])
        images = network(asked["workload"]).images(asked["of"])[: asked["images"]]
        peak = memory_mb("VmHWM")
        # Begins the peak anew.
        Path("/proc/self/clear_refs").write_text("5")
        began = time.process_time()
        result = executable.run(images, steps=asked["steps"])
        seconds = time.process_time() - began if target == "numpy" else result.seconds
        unit = 2**CURRENT_SHIFT if network(asked["workload"]).integer else 1
        counts = np.rint(result.potentials[:, -1] / unit).astype(int)
        sent = (activity.synaptic_operations for name, activity in result.activity.items() if name != "image")
        answer = {
            "seconds": seconds,
            "peak_mb": max(peak, memory_mb("VmHWM")),
            "more_mb": memory_mb("VmHWM") - before,
            "counts": counts.tolist(),
            "synaptic_operations": sum(sent),
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
