"""Measures the example networks in full, and writes ``docs/results.md``.

Each row is a run of the command line, as a user would run it, over the whole test set; ``--quick`` takes the small
network only.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
COMMAND = Path(sys.executable).with_name("neurocompile")


@dataclass(frozen=True)
class Run:
    """One run of the command line: its JSON report, the seconds that it took, and its peak memory in MB."""

    report: dict[str, Any]
    seconds: float
    peak_mb: float


@cache
def run(model: str, *options: str) -> Run:
    """Run ``neurocompile models/MODEL.onnx --json`` with options; the same run only once."""
    command = [str(COMMAND), f"models/{model}.onnx", "--json", *options]
    began = time.perf_counter()
    # A process of its own measures the peak of this command and not that of earlier ones.
    measured = subprocess.run(
        [sys.executable, __file__, "--measure", *command], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    seconds = time.perf_counter() - began
    report, peak = measured.stdout.decode().strip().splitlines()
    return Run(json.loads(report), seconds, float(peak))


def measure(command: list[str]) -> None:
    """Run a command and print its peak memory in MB after what it prints."""
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)


@dataclass(frozen=True)
class Row:
    """A code, its options, and how much it may lose: a defect shows, chance does not.

    Parameters
    ----------
    name
        As the table has it.
    options
        Of the command line.
    most_lost
        In percentage points.
    most_changed
        In percent of the decisions.
    """

    name: str
    options: tuple[str, ...]
    most_lost: float
    most_changed: float


BUDGET_IMAGES = 1000

ROWS = (
    Row("digit, 8 digits", ("--code", "digit"), 0.2, 0.5),
    Row("graded, 8 bits", ("--code", "graded"), 0.3, 0.8),
    Row("graded, 6 bits", ("--code", "graded", "--bits", "6"), 0.4, 1.2),
    Row("rate, 4 steps", ("--code", "rate", "--steps", "4"), 2.0, 5.0),
    Row("rate, 8 steps", ("--code", "rate", "--steps", "8"), 1.0, 3.0),
    Row("rate, 32 steps", ("--code", "rate", "--steps", "32"), 0.5, 1.6),
)


def codes_table(models: list[str], failures: list[str]) -> list[str]:
    """Measure loss, changed decisions and spikes for each network, code and precision; add what is too much."""
    lines = [
        "| network | code | weights | ANN | SNN | loss, points (95 % confidence) | changed | spikes per neuron "
        "| synaptic operations |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for model in models:
        for row in ROWS:
            for precision in ("float", "int8"):
                options = (*row.options, "--precision", precision, "--budget", "0", "--samples", "1")
                report = run(model, *options).report
                snn, loss = report["snn"], report["loss"]
                changed = 100 * snn["changed_decisions"] / snn["images"]
                if loss["points"] > row.most_lost or changed > row.most_changed:
                    failures.append(
                        f"{model}, {row.name}, {precision}: {loss['points']:.2f} points, {changed:.2f} %"
                    )
                cells = [
                    model,
                    row.name,
                    precision,
                    percent(report["ann"]["accuracy"]),
                    percent(snn["accuracy"]),
                    f"{loss['points']:.2f} ({loss['low']:.2f} to {loss['high']:.2f})",
                    f"{changed:.2f} %",
                    f"{snn['spikes_per_neuron']:.2f}",
                    f"{snn['synaptic_operations']:,.0f}",
                ]
                lines.append("| " + " | ".join(cells) + " |")
    return lines


BOUNDED = ("digit, 8 digits", "graded, 6 bits", "rate, 8 steps")
"""The rows whose errors are broken down."""

CAUSES = ("encoding", "fit", "integer weights", "clipping", "resolution", "arrival")


def causes_table(models: list[str]) -> list[str]:
    """Measure what the errors are due to: for each cause the relative errors of all layers, in quadrature."""
    lines = [f"| network | code | weights | {' | '.join(CAUSES)} |", "|---|---|---|" + "---:|" * len(CAUSES)]
    for model in models:
        with tempfile.TemporaryDirectory() as folder, np.load(ROOT / "models" / f"{model}.npz") as data:
            some = Path(folder) / "some.npz"
            tested = {name: data[name][:BUDGET_IMAGES] for name in ("x_test", "y_test")}
            np.savez(some, allow_pickle=False, x_calibration=data["x_calibration"], **tested)
            for row in (row for row in ROWS if row.name in BOUNDED):
                for precision in ("float", "int8"):
                    options = (*row.options, "--precision", precision, "--budget", str(BUDGET_IMAGES))
                    layers = run(model, "--data", str(some), *options, "--samples", "1").report["budget"]["layers"]
                    cells = [quadrature(cause, layers) for cause in CAUSES]
                    lines.append("| " + " | ".join([model, row.name, precision, *cells]) + " |")
    return lines


def quadrature(cause: str, layers: list[dict[str, Any]]) -> str:
    """Add up the errors of a cause over all layers, in percent."""
    errors = [layer["causes"][cause]["error"] for layer in layers if cause in layer["causes"]]
    return f"{100 * math.hypot(*errors):.2f} %" if errors else ""


def lava_table(models: list[str]) -> list[str]:
    """Measure runs on Lava: 64 images, 8 digits, int8."""
    rows = [
        "| network | neurons | spikes compared | mismatches | Lava, s | simulation of all images, s | in all, s "
        "| peak memory, MB |",
        "|---|" + "---:|" * 7,
    ]
    for model in models:
        measured = run(model, "--target", "lava")
        snn, deployed = measured.report["snn"], measured.report["deployment"]
        cells = [
            model,
            f"{snn['neurons']:,}",
            f"{deployed['spikes']:,}",
            str(deployed["spike_mismatches"]),
            f"{deployed['seconds']:.1f}",
            f"{snn['seconds']:.0f}",
            f"{measured.seconds:.0f}",
            f"{measured.peak_mb:.0f}",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def percent(fraction: float) -> str:
    """Write a fraction as a percentage."""
    return f"{100 * fraction:.2f}"


def main() -> None:
    """Measure, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="digits-mlp only, to standard output")
    parser.add_argument("--measure", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    models = ["digits-mlp"] if arguments.quick else ["digits-mlp", "fashion-cnn", "fashion-resnet"]
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    failures: list[str] = []
    lines = [
        "# Results",
        "",
        f"Written by `make bench` on {machine}.",
        "Over the whole test sets (10,000 images of Fashion-MNIST, 500 of the digits), not retrained; at most",
        "1,000 calibration images. `rate` is fitted for its number of steps, with signed spikes.",
        "",
        "## What each code loses",
        "",
        *codes_table(models, failures),
        "",
        "## What it is due to",
        "",
        "Of the first 1,000 test images: what each cause changes of a layer's activations, relative to these, all",
        "layers added up as independent ones are. [loss.md](loss.md) explains the causes.",
        "",
        *causes_table(models),
        "",
        "## On Lava: 64 images, 8 digits, int8",
        "",
        *lava_table(models),
        "",
    ]
    text = "\n".join(lines)
    if arguments.quick:
        print(text)
    else:
        (ROOT / "docs" / "results.md").write_text(text)
    for failure in failures:
        print(f"lost more than expected: {failure}", file=sys.stderr)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
