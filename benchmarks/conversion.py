"""Measures the example networks in full, and writes ``docs/results.md``.

Each row is a run of the command line, as a user would run it, over the whole test set; ``--quick`` takes the small
network only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMMAND = Path(sys.executable).with_name("neurocompile")
SHOWN_STEPS = (4, 8, 16, 32, 64)


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


def accuracy_table(models: list[str]) -> list[str]:
    """Measure accuracy, loss and spikes for each network and precision."""
    rows = [
        "| network | weights | ANN | "
        + " | ".join(f"{steps} steps" for steps in SHOWN_STEPS)
        + " | loss, points | decide alike | spikes per neuron | synaptic operations |",
        "|---|---|---:|" + "---:|" * (len(SHOWN_STEPS) + 4),
    ]
    for model in models:
        for precision in ("float", "int8"):
            report = run(model, "--precision", precision).report
            snn = report["snn"]
            cells = [
                model,
                precision,
                percent(report["ann"]["accuracy"]),
                *(percent(snn["accuracy_by_step"][steps - 1]) for steps in SHOWN_STEPS),
                f"{report['loss']['points']:.2f}",
                percent(snn["agreement"]),
                f"{snn['spikes_per_neuron']:.2f}",
                f"{snn['synaptic_operations']:,.0f}",
            ]
            rows.append("| " + " | ".join(cells) + " |")
    return rows


def options_table(model: str) -> list[str]:
    """Measure what other choices cost, on the same network with int8 weights."""
    choices = {
        "as above": (),
        "one threshold a layer": ("--per", "layer"),
        "thresholds from the maximum": ("--balance", "max"),
        "spike count at the output": ("--decoder", "count"),
        "Poisson input": ("--encoder", "poisson"),
        "reset to zero (stock LIF)": ("--reset", "zero"),
        "reset to zero, maximum, a layer, Poisson (Diehl et al. 2015)": (
            *("--reset", "zero", "--balance", "max"),
            *("--per", "layer", "--encoder", "poisson"),
        ),
    }
    rows = [
        "| choice | " + " | ".join(f"{steps} steps" for steps in SHOWN_STEPS) + " | loss, points |",
        "|---|" + "---:|" * (len(SHOWN_STEPS) + 1),
    ]
    for name, options in choices.items():
        report = run(model, "--precision", "int8", *options).report
        accuracies = report["snn"]["accuracy_by_step"]
        cells = [
            name,
            *(percent(accuracies[steps - 1]) for steps in SHOWN_STEPS),
            f"{report['loss']['points']:.2f}",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def lava_table(models: list[str]) -> list[str]:
    """Measure runs on Lava: 64 images, 32 steps, int8."""
    rows = [
        "| network | neurons | spikes compared | mismatches | Lava, s | simulation of all images, s | in all, s "
        "| peak memory, MB |",
        "|---|" + "---:|" * 7,
    ]
    for model in models:
        measured = run(model, "--target", "lava", "--steps", "32")
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
    lines = [
        "# Results",
        "",
        f"Written by `make bench` on {machine}.",
        "Accuracies in percent over the whole test set; loss and agreement after 64 steps.",
        "",
        "## Accuracy against steps",
        "",
        *accuracy_table(models),
        "",
        f"## What other choices cost: {models[min(1, len(models) - 1)]}, int8",
        "",
        *options_table(models[min(1, len(models) - 1)]),
        "",
        "## On Lava: 64 images, 32 steps, int8",
        "",
        *lava_table(models),
        "",
    ]
    text = "\n".join(lines)
    if arguments.quick:
        print(text)
    else:
        (ROOT / "docs" / "results.md").write_text(text)


if __name__ == "__main__":
    main()
