"""The nine image classifiers that the onnx package holds without their weights, with random ones.

Run as a command, it takes each of them from its file to two steps of spikes, and writes what that takes to
docs/zoo.md.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
from onnx import helper, numpy_helper

import neurocompile as nc
from neurocompile.backend import Result, compile_for
from neurocompile.frontends.model import Model
from neurocompile.ir import Array, run

NAMES = (
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
)

WITH_LRN = ("bvlc_alexnet", "inception_v1", "zfnet512")
"""Those that hold local response normalisation, which is refused: they can only be run without it."""

SCORES = {"inception_v2": 4e1, "resnet50": 4e3, "shufflenet": 1e5}
"""How large random weights make class scores where Softmax would give a single 1; the last layer undoes it."""

STEPS = 2

PAGE = Path(__file__).resolve().parents[2] / "docs" / "zoo.md"

HEAD = f"""# Large classifiers

The nine topologies that the onnx package holds, with random weights, from the file to {STEPS} steps of spikes
for one image in the NumPy simulator. Local response normalisation is refused, so the three that hold it are run
without it, and are refused with it. "Off ONNX Runtime" is the largest difference of the imported layers' result,
relative to the largest output. `python tests/proof/light_zoo.py` draws the weights and writes this page; with
random weights accuracy says nothing.
"""


def image() -> Array:
    return np.random.default_rng(1).random((1, 3, 224, 224), np.float32)


def with_random_weights(name: str, *, lrn: bool = True) -> onnx.ModelProto:
    """Load a network and draw its weights: in the file, all but the smallest arrays hold a single number.

    Parameters
    ----------
    lrn
        Whether the network keeps its local response normalisation.
    """
    model = onnx.load(Path(onnx.backend.test.__file__).parent / "data" / "light" / f"light_{name}.onnx")
    graph = model.graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    shapes = {key: value.shape for key, value in stored.items() if value.dtype == np.float32}
    shapes |= {n.output[0]: tuple(stored[n.input[0]]) for n in graph.node if n.op_type == "ConstantOfShape"}
    rng, positive = np.random.default_rng(0), set(_positive(graph))
    weights = {key: _draw(rng, shape, key in positive) for key, shape in shapes.items()}
    weights |= {key: value for key, value in stored.items() if key not in weights}
    nodes = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    if name in SCORES:
        (last,) = (node for node in nodes if node.op_type == "Gemm")
        weights[last.input[1]] /= SCORES[name]
    for node in nodes:
        if node.op_type == "LRN" and not lrn:
            node.CopyFrom(helper.make_node("Identity", node.input, node.output))
    inputs = [info for info in graph.input if info.name not in stored]
    del graph.node[:], graph.input[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.input.extend(inputs)
    graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in weights.items())
    # Older files have to list their constants among their inputs.
    model.ir_version = 4
    return model


def _positive(graph: onnx.GraphProto) -> Iterator[str]:
    """Name the scales and variances, which differ from biases by what reads them."""
    producers = {node.output[0]: node for node in graph.node}
    for node in graph.node:
        if node.op_type == "BatchNormalization":
            yield from (node.input[1], node.input[4])
        elif node.op_type == "Mul":
            yield producers[node.input[1]].input[0]


def _draw(rng: np.random.Generator, shape: tuple[int, ...], positive: bool) -> Array:
    if len(shape) > 1:
        # As large as keeps values at one scale from layer to layer of ReLUs (He et al. 2015).
        weights: Array = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
        return weights
    values = rng.uniform(0.5, 1.5, shape) if positive else rng.normal(0, 0.1, shape)
    return values.astype(np.float32)


@contextmanager
def saved(name: str, *, lrn: bool = True) -> Iterator[Path]:
    """Write a network with random weights to a file, which is gone afterwards: it may have 600 MB."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.onnx"
        onnx.save(with_random_weights(name, lrn=lrn), path)
        yield path


def difference(model: Model, x: Array) -> float:
    """Compare the layers with ONNX Runtime, relative to the largest output."""
    expected = model.reference.run(x)
    found = run(model.graph, {model.graph.inputs[0].name: x})[model.graph.outputs[0]]
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def run_spikes(network: nc.Network, x: Array) -> Result:
    return compile_for("numpy", network.graph).run(x, steps=STEPS)


def measure(name: str) -> dict[str, str]:
    """Take a network from its file to spikes, and give the cells of its row."""
    x = image()
    with saved(name, lrn=False) as path:
        times = [time.perf_counter()]
        model = Model.read(path)
        times.append(time.perf_counter())
        off = difference(model, x)
        times.append(time.perf_counter())
        network = nc.compile(model, x, nc.Options(code="rate", steps=STEPS, balance="channel"))
        times.append(time.perf_counter())
        result = run_spikes(network, x)
        times.append(time.perf_counter())
    read, compared, compiled, ran = np.diff(times)
    # Linux counts in kilobytes, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    return {
        "network": f"{name} without LRN" if name in WITH_LRN else name,
        "layers": str(len(model.graph.nodes)),
        "off ONNX Runtime": f"{off:.0e}",
        "neurons": f"{sum(network.neurons.values()):,}",
        "events": f"{sum(activity.events for activity in result.activity.values()):,}",
        "read, s": f"{read:.1f}",
        "compared, s": f"{compared:.1f}",
        "compiled, s": f"{compiled:.1f}",
        f"{STEPS} steps, s": f"{ran:.1f}",
        "peak memory, MB": f"{peak:.0f}",
    }


def main() -> None:
    lines = []
    for name in NAMES:
        # A process of its own measures this network's peak alone.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            row = pool.apply(measure, (name,))
        if not lines:
            lines += [f"| {' | '.join(row)} |", f"|---|{'---:|' * (len(row) - 1)}"]
        lines.append(f"| {' | '.join(row.values())} |")
        print(lines[-1], flush=True)
    PAGE.write_text("\n".join([HEAD, *lines, ""]))


if __name__ == "__main__":
    main()
