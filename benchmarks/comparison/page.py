"""The page of the comparison, in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from comparison.table import STEPS, Entry, Results, point_only


def page(results: Results) -> str:
    """Write the results as Markdown."""
    versions = {
        name: version
        for network in results["networks"].values()
        for entry in network["methods"]
        for name, version in entry.get("versions", {}).items()
    }
    told = ", ".join(f"{name} {version.split('+')[0]}" for name, version in sorted(versions.items()))
    sections = [section for item in results["networks"].items() for section in network_section(*item)]
    return "\n".join([INTRODUCTION.format(machine=results["machine"], versions=told), *sections])


INTRODUCTION = """\
# Methods of conversion

Written by `make bench-methods` on {machine}, with {versions}.
The plot and the tables are made from [methods.json](methods.json).

![Loss of accuracy against steps](methods.svg)

- Every method converts the same trained networks, with the same 1,000 calibration images, without retraining, and
  is measured on the whole test set, in float, with constant input unless it says Poisson.
- *Loss* is the ANN's accuracy minus the spiking network's, in points; below 0 the spiking network decides better.
  *Changed decisions* are the images on which the two decide differently, in percent. What was not measured is
  empty.
- Steps are those for which a layer spikes. With *wait* each layer starts when the one before has finished, so that
  an answer takes that many steps a layer. A message of *digit* or *graded* is no plain spike: it has a sign, or
  bits.
- SpikingJelly's recipes calibrate on batches of 128 images, as its example on ImageNet does. *Local threshold
  balancing* moves its thresholds with every batch, some 390 times in that example; fewer updates leave them lower.
  *Delayed readout* leaves out the first steps, as many as SpikingJelly estimates.
- Two choices for SpikingJelly were made on the first 300 to 1,000 test images of fashion-cnn, in its favour: 32
  updates, out of 8, 32 and 128, and max pools behind the neurons, where the example has them before.
- Sinabs's `from_model` has no calibration: its thresholds are 1. By default its neurons fire several spikes in a
  step, which *SingleSpike* forbids, as all other methods of rate do. Its `normalize_weights` scales the biases of
  a layer by that layer's factor alone, which changes what the network computes: before any spiking, 0.4 % of the
  decisions of digits-mlp and 7.2 % of those of fashion-cnn.
- Each peer's network in PyTorch gives ONNX Runtime's outputs to within 0.0001 before it is converted, and its
  output is the sum of the last layer over the steps. What a peer can't convert has its error in the table.
"""


def network_section(name: str, network: dict[str, Any]) -> list[str]:
    """Write the tables of a network."""
    entries = network["methods"]
    lines = [entry for entry in entries if not point_only(entry["method"])]
    marks = [entry for entry in entries if point_only(entry["method"])]
    title = f"## {name}: ANN {100 * network['ann']:.2f} %, {network['images']:,} test images"
    ann = network["ann"]
    section = [
        title,
        "",
        "Loss in points:",
        "",
        *steps_table(lines, lambda point: loss(ann, point)),
        "Changed decisions in percent:",
        "",
        *steps_table(lines, lambda point: percent(point["changed"])),
        "Spikes per neuron for an image:",
        "",
        *steps_table(lines, lambda point: number(point["spikes_per_neuron"])),
    ]
    return section + (["Codes of few messages:", "", *marks_table(marks, ann)] if marks else [])


def steps_table(entries: Sequence[Entry], cell: Callable[[dict[str, Any]], str]) -> list[str]:
    """Write a table of a row for each method and a column for each number of steps."""
    rows = [
        "| tool | method | " + " | ".join(f"{steps} step{'s' * (steps > 1)}" for steps in STEPS) + " |",
        "|---|---|" + "---:|" * len(STEPS),
    ]
    for entry in entries:
        if entry["error"]:
            cells = [f"`{entry['error'].replace('|', '/')}`", *[""] * (len(STEPS) - 1)]
        else:
            measured = {point["steps"]: cell(point) for point in entry["points"]}
            cells = [measured.get(steps, "") for steps in STEPS]
        rows.append("| " + " | ".join([entry["tool"], entry["method"], *cells]) + " |")
    return [*rows, ""]


def marks_table(entries: Sequence[Entry], ann: float) -> list[str]:
    """Write a table of a row for each method and number of steps."""
    rows = [
        "| tool | method | steps | loss, points | changed decisions, % | messages per neuron |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for entry in entries:
        name = f"| {entry['tool']} | {entry['method']} |"
        if entry["error"]:
            rows.append(f"{name} | `{entry['error'].replace('|', '/')}` | | |")
        rows += [
            f"{name} {point['steps']} | {loss(ann, point)} | {percent(point['changed'])} "
            f"| {number(point['spikes_per_neuron'])} |"
            for point in entry["points"]
        ]
    return [*rows, ""]


def loss(ann: float, point: dict[str, Any]) -> str:
    """Write the loss in points."""
    return f"{100 * (ann - point['accuracy']) + 0.0:.2f}"


def percent(fraction: float | None) -> str:
    """Write a fraction as a percentage, and nothing if it is unknown."""
    return "" if fraction is None else f"{100 * fraction:.2f}"


def number(value: float | None) -> str:
    """Write a number, and nothing if it is unknown."""
    return "" if value is None else f"{value:.2f}"
