"""Measures what a large network takes: VGG-19 (Simonyan and Zisserman 2015), 143.7 million parameters.

``python benchmarks/scale.py`` writes the network with random weights as one file of 575 MB and with external data,
runs ``check`` and the import with its exact passes on them, each in a process of its own, and writes times and
peak memory, also as multiples of the file, to docs/scale.md. It needs Linux.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS = [64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512, 0]
"""Of VGG-19's convolutions; 0 stands for a pool."""

PAGE = Path(__file__).resolve().parent.parent / "docs" / "scale.md"


def vgg19() -> onnx.ModelProto:
    """Build VGG-19 with He's initialisation."""
    rng = np.random.default_rng(0)
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def layer(op: str, shape: tuple[int, ...], source: str, **attributes: object) -> str:
        name = f"{op.lower()}{len(nodes)}"
        values = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"{name}.weight"))
        weights.append(numpy_helper.from_array(np.zeros(shape[0], np.float32), f"{name}.bias"))
        nodes.append(helper.make_node(op, [source, f"{name}.weight", f"{name}.bias"], [name], name, **attributes))
        return name

    def plain(op: str, source: str, **attributes: object) -> str:
        name = f"{op.lower()}{len(nodes)}"
        nodes.append(helper.make_node(op, [source], [name], name, **attributes))
        return name

    last, inputs = "image", 3
    for channels in CHANNELS:
        if channels:
            convolved = layer("Conv", (channels, inputs, 3, 3), last, kernel_shape=[3, 3], pads=[1] * 4)
            last, inputs = plain("Relu", convolved), channels
        else:
            last = plain("MaxPool", last, kernel_shape=[2, 2], strides=[2, 2])
    last = plain("Flatten", last)
    for outputs, features in ((4096, 25088), (4096, 4096)):
        last = plain("Dropout", plain("Relu", layer("Gemm", (outputs, features), last, transB=1)))
    last = plain("Softmax", layer("Gemm", (1000, 4096), last, transB=1), axis=1)
    graph = helper.make_graph(
        nodes,
        "vgg19",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 224, 224])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["batch", 1000])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def check(path: str) -> None:
    """Do what ``neurocompile check`` does."""
    from neurocompile.checker import check

    assert check(path).converts


def simplify(path: str) -> None:
    """Import, and apply the exact passes, each checked on an image."""
    from neurocompile.frontends.onnx_reader import read
    from neurocompile.passes import pipeline
    from neurocompile.passes.split_readout import split_readout

    graph, _ = split_readout(read(path).graph)
    image = np.random.default_rng(0).random((1, 3, 224, 224))
    pipeline.apply(pipeline.SIMPLIFY, graph, image)


WORK: dict[str, Callable[[str], None]] = {"check": check, "import and exact passes": simplify}


def measure(work: str, path: Path) -> tuple[float, int]:
    """Do a piece of work in a process of its own, and give its seconds and peak memory."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, __file__, work, str(path)], check=True, capture_output=True, text=True)
    return time.perf_counter() - began, json.loads(done.stdout)


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        one, apart = Path(folder) / "vgg19.onnx", Path(folder) / "apart.onnx"
        model = vgg19()
        onnx.save(model, one)
        size = one.stat().st_size
        onnx.save(model, apart, save_as_external_data=True, location="apart.data")
        del model
        for name, path in (("one file", one), ("external data", apart)):
            for work in WORK:
                seconds, memory = measure(work, path)
                rows.append(f"| {work} | {name} | {seconds:.1f} s | {memory / 1e6:.0f} MB | {memory / size:.2f} |")
    table = "\n".join(rows)
    text = f"""# Scale

VGG-19, 143.7 million parameters, a file of {size / 1e6:.0f} MB, each in a process of its own, its start and
imports counted in (`python benchmarks/scale.py` writes this page):

| what | weights in | time | peak memory | of the file's size |
|---|---|---:|---:|---:|
{table}
"""
    PAGE.write_text(text)
    print(text)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        WORK[sys.argv[1]](sys.argv[2])
        # What getrusage tells would count what the parent process had before.
        (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        print(int(peak) * 1024)
    else:
        main()
