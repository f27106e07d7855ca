"""Measures the simulator against those of peers, and writes ``docs/speed`` in Markdown and JSON.

All simulators run the same networks with the same weights on one core, take turns in one run, and must count the
same output spikes. The peers have an environment of their own, which is made on the first run (``peers``).
``--quick`` takes the smallest run only, and prints.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from peers.environment import python_of
from simulation.encoding import encoding
from simulation.page import page
from simulation.roofline import roofline
from simulation.workloads import workload

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent
PAGE, NUMBERS = (ROOT / "docs" / f"speed.{suffix}" for suffix in ("md", "json"))

PEERS = ("spikingjelly", "snntorch", "sinabs", "norse")
AT_THRESHOLD = ("spikingjelly", "sinabs")
"""These fire where a neuron reaches the threshold; the others only above it."""

ROUNDS = 5
SECONDS = 0.7
"""That a turn takes, by as many images as that needs."""

CHECKED = 16
"""Images whose output spikes are compared."""

MOST_IMAGES = 512
IMAGE_STEPS = 1024
"""That a peer holds at once, up to 32 images: those that keep all steps would take many gigabytes."""


@dataclass(frozen=True)
class Case:
    """A network at a rate, with the weights of a precision, for some steps."""

    network: str
    precision: str
    rate: float
    steps: int

    @property
    def workload(self) -> str:
        """Its name."""
        return f"{self.network}-{self.precision}-{self.rate:g}"


CASES = (
    *(
        Case(network, precision, 0.13, 32)
        for network in ("cnn", "mlp", "vgg", "resnet")
        for precision in ("int8", "float32")
    ),
    *(Case("cnn", "int8", rate, 32) for rate in (0.02, 0.05, 0.3, 0.5)),
    *(Case("cnn", "int8", 0.13, steps) for steps in (8, 128, 1024)),
)
LAVA_CASES = tuple(Case(network, "int8", 0.13, 32) for network in ("cnn", "mlp"))
LAVA_IMAGES = 64
QUICK = (Case("mlp", "int8", 0.13, 8),)


def batch(case: Case) -> int:
    """Choose how many images a peer takes at once."""
    return max(1, min(32, IMAGE_STEPS // case.steps))


class Tool:
    """A simulator in a process of its own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        if name in PEERS:
            command: list[str | Path] = [python_of("simulators"), HERE / "peers" / "simulate.py", name, folder]
        else:
            command = [sys.executable, "-m", "simulation.ours", "lava" if name == "lava" else "numpy"]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE, env=environment
        )
        self.version = self._answer()["version"]

    def run(self, case: Case, images: int, *, at_threshold: bool = False) -> dict[str, Any]:
        """Run so many images."""
        asked = {"workload": case.workload, "steps": case.steps, "images": images, "batch": batch(case)}
        assert self.process.stdin
        print(
            json.dumps({**asked, "of": MOST_IMAGES, "at_threshold": at_threshold}),
            file=self.process.stdin,
            flush=True,
        )
        return self._answer()

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with status {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass
class Measured:
    """What a tool needed for a case."""

    images: int
    seconds: list[float] = field(default_factory=list)
    peak_mb: float = 0.0
    more_mb: float = 0.0
    differing: int = 0
    agree: float = 1.0

    @property
    def rate(self) -> float:
        """Images for a second of processor time, the median of all turns."""
        return self.images / statistics.median(self.seconds)


def measure(case: Case, names: Sequence[str], folder: Path) -> dict[str, Any]:
    """Measure the tools in turn, each in a process that runs this case only."""
    network = workload(case.network, case.rate, integer=case.precision == "int8")
    network.save(folder, MOST_IMAGES)
    tools = {name: Tool(name, folder) for name in names}
    ours = tools["neurocompile"]
    measured: dict[str, Measured] = {}
    expected = {at: ours.run(case, CHECKED, at_threshold=at)["counts"] for at in (True, False)}
    for name, tool in tools.items():
        tool.run(case, CHECKED)
        first = tool.run(case, CHECKED)
        counts, right = np.array(first["counts"]), np.array(expected[name in AT_THRESHOLD])
        wanted = CHECKED * SECONDS / max(first["seconds"], 1e-6)
        found = Measured(max(1, min(MOST_IMAGES, round(wanted))))
        found.differing = int(np.count_nonzero(counts != right))
        found.agree = float(np.mean(counts.argmax(axis=1) == right.argmax(axis=1)))
        measured[name] = found
    for _ in range(ROUNDS):
        for name, tool in tools.items():
            answer = tool.run(case, measured[name].images)
            measured[name].seconds.append(answer["seconds"])
            measured[name].peak_mb = answer["peak_mb"]
            measured[name].more_mb = max(measured[name].more_mb, answer.get("more_mb", 0.0))
    synaptic = ours.run(case, CHECKED)["synaptic_operations"] / CHECKED
    for tool in tools.values():
        tool.close()
    return {
        **vars(case),
        "neurons": sum(math.prod(shape) for shape in network.shapes),
        "multiplications": network.multiplications * case.steps,
        "synaptic_operations": synaptic,
        "tools": {
            name: {
                "version": tools[name].version,
                "images_per_second": found.rate,
                "peak_mb": found.peak_mb,
                "more_mb": found.more_mb,
                "differing_counts": found.differing,
                "agreeing_decisions": found.agree,
            }
            for name, found in measured.items()
        },
    }


def lava(case: Case) -> dict[str, Any]:
    """Measure Lava's simulator with our fused processes, and ours on a core."""
    runs: dict[str, dict[str, Any]] = {}
    for name in ("neurocompile", "lava"):
        tool = Tool(name, Path())
        tool.run(case, CHECKED)
        runs[name] = tool.run(case, LAVA_IMAGES)
        tool.close()
    return {
        **vars(case),
        "images": LAVA_IMAGES,
        "images_per_second": LAVA_IMAGES / runs["lava"]["seconds"],
        "slower": runs["lava"]["seconds"] / runs["neurocompile"]["seconds"],
        "differing_counts": int(
            np.count_nonzero(np.array(runs["lava"]["counts"]) != runs["neurocompile"]["counts"])
        ),
    }


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the smallest run only, to standard output")
    parser.add_argument("--page-only", action="store_true", help="write the page from the numbers so far")
    parser.add_argument("--only", nargs="+", help="measure these networks only, and print")
    arguments = parser.parse_args()
    if arguments.page_only:
        PAGE.write_text(page(json.loads(NUMBERS.read_text())))
        return
    cases = QUICK if arguments.quick else CASES
    if arguments.only:
        cases = tuple(case for case in cases if case.network in arguments.only)
    machine = f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    results: dict[str, Any] = {"machine": machine, "roofline": roofline(), "cases": []}
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            results["cases"].append(measure(case, (*PEERS, "neurocompile"), Path(folder)))
            print(json.dumps(results["cases"][-1]), file=sys.stderr)
    results["lava"] = [lava(case) for case in cases if case in LAVA_CASES]
    results["encoding"] = encoding()
    if arguments.quick or arguments.only:
        print(page(results))
        return
    NUMBERS.write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(page(results))


def processor() -> str:
    """Name the processor, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
