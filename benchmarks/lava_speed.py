"""Measures Lava with our processes against stock ones, and writes ``docs/lava-speed`` in Markdown and JSON.

``--quick`` takes the small MLP in int8 only, and prints.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from neurocompile_lava.runtime import find_or_make
from neurocompile_lava.worker.bundle import LAVA_VERSION
from on_lava.page import page
from on_lava.stock_job import write
from simulation.ours import graph
from simulation.workloads import workload
from simulator import processor

import neurocompile as nc
from neurocompile.backend import compile_for, silent
from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.processes import IntegrateAndFire

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGE, NUMBERS = (ROOT / "docs" / f"lava-speed.{suffix}" for suffix in ("md", "json"))

STEPS = 32
RATE = 0.13
PATIENCE = 600.0
"""Seconds that the restarts may take: Lava hangs where one of its processes fails."""

SMALL = {"small mlp": (4, 64, 1024), "small cnn": (2, 16, 256)}
"""Images with a restart for each, on stock processes in one run, and on ours."""

TRAINED = {"digits-mlp": 500, "fashion-cnn": 256}


def restart(network: str, integer: bool, images: int) -> dict[str, Any]:
    """Measure stock processes that are made anew for each image."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "job.npz"
        write(workload(network, RATE, integer=integer), images, STEPS, file)
        began = time.perf_counter()
        command = [find_or_make(silent), "-I", HERE / "on_lava" / "restart.py", file]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE)
        seconds = time.perf_counter() - began
    found = json.loads(ran.stdout.splitlines()[-1])
    return {"images": images, "steps": images / sum(found["running"]), "all": images / seconds}


def run(target: str, network: Graph, x: Array) -> dict[str, Any]:
    """Measure a target."""
    times: list[tuple[float, int]] = []
    executable = compile_for(target, network)
    began = time.perf_counter()
    executable.run(x, steps=STEPS, progress=lambda _, done, __: times.append((time.perf_counter(), done)))
    seconds = time.perf_counter() - began
    # The first piece holds the start of Lava's processes.
    (first, before), (last, after) = times[0], times[-1]
    return {"images": len(x), "steps": (after - before) / (last - first), "all": len(x) / seconds}


def reset_to_zero(network: Graph) -> Graph:
    """Let neurons be those of stock Lava."""
    nodes = [
        Node(n.name, replace(n.op, reset="zero"), n.inputs) if isinstance(n.op, IntegrateAndFire) else n
        for n in network.nodes
    ]
    return Graph.of(nodes, network.outputs)


def small(name: str, integer: bool) -> dict[str, Any]:
    """Measure a network of random weights in all three ways."""
    anew, in_a_row, at_once = SMALL[name]
    made = workload(name, RATE, integer=integer)
    network = graph(made, at_threshold=False)
    return {
        "network": name,
        "precision": "int8" if integer else "float",
        "restart": restart(name, integer, anew),
        "lava-stock": run("lava-stock", reset_to_zero(network), made.images(in_a_row)),
        "lava": run("lava", network, made.images(at_once)),
    }


def trained(name: str, precision: Literal["int8", "float"]) -> dict[str, Any]:
    """Measure one of ``models/`` on our processes."""
    with np.load(ROOT / "models" / f"{name}.npz") as data:
        calibration, x = data["x_calibration"], data["x_test"][: TRAINED[name]]
    options = nc.Options(code="rate", steps=STEPS, precision=precision, balance="max")
    network = nc.compile(ROOT / "models" / f"{name}.onnx", calibration, options)
    return {"network": name, "precision": precision, "lava": run("lava", network.graph, x)}


def cases() -> Iterator[dict[str, Any]]:
    """Measure all."""
    for integer in (True, False):
        for name in SMALL:
            yield small(name, integer)
    for precision in ("int8", "float"):
        for name in TRAINED:
            yield trained(name, precision)


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one case only, to standard output")
    quick = parser.parse_args().quick
    machine = f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    # What else ran: all ways suffer from it, and those that use both cores more.
    busy = round(os.getloadavg()[0], 1)
    results: dict[str, Any] = {
        "machine": machine,
        "lava": LAVA_VERSION,
        "steps": STEPS,
        "load_before": busy,
        "cases": [],
    }
    for case in [small("small mlp", True)] if quick else cases():
        results["cases"].append(case)
        print(json.dumps(case), flush=True)
        if not quick:
            # After each, so that what was measured is kept if the rest is broken off.
            NUMBERS.write_text(json.dumps(results, indent=1) + "\n")
            PAGE.write_text(page(results))
    if quick:
        print(page(results))


if __name__ == "__main__":
    main()
