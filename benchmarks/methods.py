"""Measures methods of conversion, ours and those of peers, and writes ``docs/methods`` in Markdown, SVG and JSON.

Our methods are runs of the command line; SpikingJelly and Sinabs convert the same networks in environments of
their own, which are made on the first run (``benchmarks/peers``). Every method is measured on the whole test set.
What the JSON file has already is measured again with ``--again`` only; ``--quick`` takes the small network only,
and prints.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import onnx
import onnxruntime
import platformdirs
from comparison.page import page
from comparison.plot import draw
from comparison.table import (
    METHODS,
    NETWORKS,
    OURS,
    PEER_SCRIPTS,
    STEPS,
    Entry,
    Method,
    Results,
    rank,
)
from peers.environment import python_of

ROOT = Path(__file__).resolve().parent.parent
PEERS = Path(__file__).resolve().parent / "peers"
COMMAND = Path(sys.executable).with_name("neurocompile")
PAGE, PLOT, NUMBERS = (ROOT / "docs" / f"methods.{suffix}" for suffix in ("md", "svg", "json"))

BATCH_SIZE = 500
LONGEST_ERROR = 160

COMMON = ("--precision", "float")
"""The peers compute in float, so we do too."""


@dataclass(frozen=True)
class Task:
    """A network and the data to measure it with.

    Parameters
    ----------
    name
        Of the network.
    data
        The file with its images and labels.
    images
        How many test images there are.
    """

    name: str
    data: Path
    images: int

    @property
    def model(self) -> Path:
        """The network's file."""
        return ROOT / "models" / f"{self.name}.onnx"


def prepare(name: str, images: int | None, folder: Path) -> Task:
    """Write the data of a network, and for the peers its weights and outputs, to a folder."""
    with np.load(ROOT / "models" / f"{name}.npz") as arrays:
        x_calibration, x_test, y_test = (arrays[key] for key in ("x_calibration", "x_test", "y_test"))
    x_test, y_test = x_test[:images], y_test[:images]
    task = Task(name, folder / "data.npz", len(x_test))
    np.savez(task.data, x_calibration=x_calibration, x_test=x_test, y_test=y_test)
    model = onnx.load(task.model)
    initialisers = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weights = {key: value for key, value in initialisers.items() if key.startswith("layers.")}
    (division,) = (node for node in model.graph.node if node.op_type == "Div")
    network = onnxruntime.InferenceSession(task.model, providers=["CPUExecutionProvider"])
    batches = (x_test[start : start + BATCH_SIZE] for start in range(0, len(x_test), BATCH_SIZE))
    logits = np.concatenate([network.run(None, {"images": batch})[0] for batch in batches])
    weights |= {"logits": logits, "divisor": initialisers[division.input[1]]}
    np.savez(folder / "network.npz", allow_pickle=False, **weights)
    return task


def ann_accuracy(task: Task) -> float:
    """Return the accuracy of the original network, in ONNX Runtime."""
    with np.load(task.data) as data, np.load(task.data.with_name("network.npz")) as network:
        return round(float(np.mean(network["logits"].argmax(axis=1) == data["y_test"])), 6)


def ours(task: Task, known: set[tuple[str, str]], methods: Iterable[Method] = METHODS) -> Iterator[Entry]:
    """Measure our methods but for the known ones."""
    for method in methods:
        if (OURS, method.name) in known:
            continue
        print(f"{task.name}: {method.name}", file=sys.stderr)
        entry: Entry = {"tool": OURS, "method": method.name, "images": task.images, "error": None, "points": []}
        try:
            for steps in method.steps if method.anew else method.steps[-1:]:
                report = run(task, method, steps)
                entry["versions"] = {OURS: report["neurocompile"]}
                entry["points"] += points(report, (steps,) if method.anew else method.steps)
        except subprocess.CalledProcessError as error:
            lines = error.stderr.strip().splitlines() or [f"exit status {error.returncode}"]
            entry |= {"error": lines[0][:LONGEST_ERROR], "points": []}
        yield entry


def run(task: Task, method: Method, steps: int) -> dict[str, Any]:
    """Run the command line, and return its report."""
    command: list[str | Path] = [
        COMMAND,
        task.model,
        "--data",
        task.data,
        "--json",
        "--samples",
        "1",
        "--budget",
        "0",
    ]
    command += [*COMMON, *method.options]
    if method.steps_option:
        command += ["--steps", str(steps)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def points(report: dict[str, Any], steps: Sequence[int]) -> list[dict[str, Any]]:
    """Read a report at these steps: what only its last step has is null at the others."""
    snn = report["snn"]
    return [
        {
            "steps": step,
            "accuracy": round(snn["accuracy_by_step"][step - 1], 6),
            "changed": round(1 - snn["agreement"], 6) if step == steps[-1] else None,
            "spikes_per_neuron": round(snn["spikes_per_neuron"], 4) if step == steps[-1] else None,
        }
        for step in steps
    ]


def peers(task: Task, known: set[tuple[str, str]]) -> Iterator[Entry]:
    """Measure the peers' methods but for the known ones."""
    for tool, peer in PEER_SCRIPTS.items():
        skipped = [method for known_tool, method in known if known_tool == tool]
        command: list[str | Path] = [python_of(peer), PEERS / f"run_{peer}.py", task.name, task.data.parent]
        command += ["--steps", *map(str, STEPS), "--skip", *skipped]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for line in process.stdout:
                yield {"tool": tool, "images": task.images, **json.loads(line)}
        if process.returncode:
            raise SystemExit(f"{tool} ended with status {process.returncode}")


def update(results: Results, task: Task, entry: Entry) -> None:
    """Put the numbers of a method in, in place of older ones."""
    network = results["networks"].setdefault(task.name, {"methods": []})
    network |= {"images": task.images, "ann": ann_accuracy(task)}
    same = (entry["tool"], entry["method"])
    others = [other for other in network["methods"] if (other["tool"], other["method"]) != same]
    network["methods"] = sorted([*others, entry], key=rank)


def known_methods(results: Results, task: Task) -> set[tuple[str, str]]:
    """Return the methods that have been measured on all these images, without an error of ours."""
    return {
        (entry["tool"], entry["method"])
        for entry in results["networks"].get(task.name, {"methods": []})["methods"]
        if entry["images"] == task.images and not (entry["tool"] == OURS and entry["error"])
    }


def machine() -> str:
    """Describe where the numbers come from."""
    return f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"


def load() -> Results:
    """Read the numbers so far."""
    if NUMBERS.exists():
        results: Results = json.loads(NUMBERS.read_text())
        return results
    return {"machine": machine(), "networks": {}}


def save(results: Results) -> None:
    """Write the numbers: a line for each point keeps the changes readable."""
    text = json.dumps(results, indent=1)
    for entry in (entry for network in results["networks"].values() for entry in network["methods"]):
        for point in entry["points"]:
            text = text.replace(json.dumps(point, indent=1).replace("\n", "\n" + 6 * " "), json.dumps(point))
    NUMBERS.write_text(text + "\n")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="digits-mlp only, to standard output")
    parser.add_argument("--only", choices=("ours", "peers"), help="measure these, and keep the other numbers")
    parser.add_argument("--again", action="store_true", help="measure again what has been measured")
    parser.add_argument("--images", type=int, help="take so many test images only, and print")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--plot-only", action="store_true", help="write page and plot from the numbers so far")
    return parser.parse_args()


def main() -> None:
    """Measure, and write the results."""
    arguments = parse()
    if not arguments.plot_only:
        printed = arguments.quick or arguments.images is not None
        results = {"machine": machine(), "networks": {}} if printed else load()
        for name in ["digits-mlp"] if arguments.quick else arguments.networks:
            measure(name, results, arguments, written=not printed)
        if printed:
            print(page(results))
            return
    results = load()
    PAGE.write_text(page(results))
    draw(results, PLOT)


def measure(name: str, results: Results, arguments: argparse.Namespace, *, written: bool) -> None:
    """Measure a network, and write the numbers as they come."""
    lock = platformdirs.user_cache_path("neurocompile", ensure_exists=True) / "bench-methods.lock"
    with tempfile.TemporaryDirectory() as folder:
        task = prepare(name, arguments.images, Path(folder))
        known = set() if arguments.again else known_methods(results, task)
        for part, measured in (("ours", ours), ("peers", peers)):
            if arguments.only in (None, part):
                for entry in measured(task, known):
                    if not written:
                        update(results, task, entry)
                        continue
                    # Another run may have written since: ours and the peers' can go on at the same time.
                    with filelock.FileLock(lock):
                        newest = load()
                        update(newest, task, entry)
                        save(newest)


if __name__ == "__main__":
    main()
