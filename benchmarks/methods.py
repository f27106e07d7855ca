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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import onnx
import onnxruntime
import platformdirs
from peers.environment import python_of

ROOT = Path(__file__).resolve().parent.parent
PEERS = Path(__file__).resolve().parent / "peers"
COMMAND = Path(sys.executable).with_name("neurocompile")
PAGE, PLOT, NUMBERS = (ROOT / "docs" / f"methods.{suffix}" for suffix in ("md", "svg", "json"))

NETWORKS = ("digits-mlp", "fashion-cnn", "fashion-resnet")
STEPS = (1, 2, 4, 8, 16, 32, 64)
BATCH_SIZE = 500
LONGEST_ERROR = 160

OURS = "neurocompile"
PEER_SCRIPTS = {"SpikingJelly": "spikingjelly", "Sinabs": "sinabs"}
"""The tools that we compare with, and their names in the files of ``benchmarks/peers``."""

COMMON = ("--precision", "float")
"""The peers compute in float, so we do too."""


@dataclass(frozen=True)
class Method:
    """A way to convert with the command line.

    Parameters
    ----------
    name
        In tables and plots.
    options
        Of the command line.
    steps
        For which it is measured.
    anew
        Whether it is calibrated for the number of steps, and so runs once for each; otherwise a run of the most
        steps tells of all.
    steps_option
        Whether the command line is told the number of steps.
    """

    name: str
    options: tuple[str, ...]
    steps: tuple[int, ...] = STEPS
    anew: bool = False
    steps_option: bool = True


DIGITS = (4, 6, 8, 10)
RATE = ("--code", "rate")

FITTED = STEPS[:-1]
"""For which a method is fitted anew: the last takes as long as all others together."""

METHODS = (
    Method("rate, ridge, signed", (*RATE, "--balance", "ridge", "--signed"), FITTED, anew=True),
    Method("rate, ridge", (*RATE, "--balance", "ridge", "--no-signed"), FITTED, anew=True),
    Method("rate, ridge, wait", (*RATE, "--balance", "ridge", "--wait"), FITTED, anew=True),
    Method("rate, mse", (*RATE, "--balance", "mse", "--no-signed"), FITTED, anew=True),
    Method("rate, channel", (*RATE, "--balance", "channel")),
    Method("rate, percentile", (*RATE, "--balance", "percentile")),
    Method("rate, max", (*RATE, "--balance", "max")),
    Method(
        "rate, max, reset to zero, Poisson (Diehl et al. 2015)",
        (*RATE, "--balance", "max", "--reset", "zero", "--encoder", "poisson"),
    ),
    Method("digit", ("--code", "digit"), DIGITS, anew=True),
    *(
        Method(f"graded, {bits} bits", ("--code", "graded", "--bits", str(bits)), (1,), steps_option=False)
        for bits in (4, 6, 8)
    ),
)


def point_only(name: str) -> bool:
    """Tell whether a method's numbers of steps are few and its own, so that it is drawn and listed by points."""
    return name.startswith(("digit", "graded"))


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


Entry = dict[str, Any]
"""Of a method, as the JSON file has it: ``tool``, ``method``, ``images``, ``error``, ``versions``, ``points``."""


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


Results = dict[str, Any]


def update(results: Results, task: Task, entry: Entry) -> None:
    """Put the numbers of a method in, in place of older ones."""
    network = results["networks"].setdefault(task.name, {"methods": []})
    network |= {"images": task.images, "ann": ann_accuracy(task)}
    same = (entry["tool"], entry["method"])
    others = [other for other in network["methods"] if (other["tool"], other["method"]) != same]
    network["methods"] = sorted([*others, entry], key=rank)


def rank(entry: Entry) -> tuple[int, int]:
    """Order our methods as they are listed above, and then the peers'."""
    tools = [OURS, *PEER_SCRIPTS]
    names = [method.name for method in METHODS]
    return tools.index(entry["tool"]), names.index(entry["method"]) if entry["method"] in names else 0


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


# The page.


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


# The plot.

COLOURS = {
    OURS: ("#08306b", "#2171b5", "#6baed6", "#00a0a0", "#54278f", "#807dba", "#9ecae1", "#7f7f7f"),
    "SpikingJelly": ("#7f2704", "#d94801", "#fd8d3c", "#b8860b", "#e6ab02", "#a50f15"),
    "Sinabs": ("#00441b", "#238b45", "#74c476"),
}
"""Of the methods of a tool, in turn."""

LINE_STYLES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (8, 3)))
MARKERS = "os^vD<>p"
MARK_STYLES = {
    "digit": ("X", "black"),
    "graded, 4 bits": ("P", "tab:pink"),
    "graded, 6 bits": ("P", "tab:purple"),
    "graded, 8 bits": ("P", "tab:red"),
}
LINEAR_BELOW = 0.1
"""Points of loss, below which the scale is linear: a loss may be 0 or negative."""


def draw(results: Results, path: Path) -> None:
    """Draw loss against steps, a panel for each network."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "methods", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot as plt

    networks = results["networks"]
    figure, axes = plt.subplots(1, len(networks), figsize=(4.4 * len(networks), 7), sharey=True, squeeze=False)
    styles = line_styles(results)
    for panel, (name, network) in zip(axes[0], networks.items(), strict=True):
        for entry in network["methods"]:
            if entry["points"]:
                steps = [point["steps"] for point in entry["points"]]
                losses = [100 * (network["ann"] - point["accuracy"]) for point in entry["points"]]
                panel.plot(steps, losses, **styles[entry["tool"], entry["method"]])
        panel.set_xscale("log", base=2)
        panel.set_xticks(STEPS, map(str, STEPS))
        panel.set_yscale("symlog", linthresh=LINEAR_BELOW)
        panel.set_yticks([-1, -0.1, 0, 0.1, 1, 10, 100], ["-1", "-0.1", "0", "0.1", "1", "10", "100"])
        panel.grid(alpha=0.3)
        panel.set_title(f"{name}, ANN {100 * network['ann']:.2f} %")
        panel.set_xlabel("steps")
    axes[0][0].set_ylabel("loss of accuracy, points")
    drawn = {line.get_label(): line for panel in axes[0] for line in panel.get_lines()}
    order = [style["label"] for style in styles.values() if style["label"] in drawn]
    figure.legend([drawn[label] for label in order], order, loc="outside lower center", ncols=2, frameon=False)
    figure.set_layout_engine("constrained")
    figure.savefig(path, metadata={"Date": None})
    # Matplotlib ends lines with spaces.
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def line_styles(results: Results) -> dict[tuple[str, str], dict[str, Any]]:
    """Choose colour, dashes and marker for each method: the same in each panel."""
    styles: dict[tuple[str, str], dict[str, Any]] = {}
    entries = [entry for network in results["networks"].values() for entry in network["methods"]]
    for tool, method in dict.fromkeys((entry["tool"], entry["method"]) for entry in sorted(entries, key=rank)):
        style: dict[str, Any] = {"label": f"{tool}: {method}"}
        if point_only(method):
            marker, colour = MARK_STYLES.get(method, ("P", "black"))
            style |= {"marker": marker, "color": colour, "linestyle": "none", "markersize": 8}
        else:
            place = sum(other == tool and not point_only(name) for other, name in styles)
            dashes, marker = LINE_STYLES[place % len(LINE_STYLES)], MARKERS[place % len(MARKERS)]
            colour = COLOURS[tool][place % len(COLOURS[tool])]
            style |= {"color": colour, "linestyle": dashes, "marker": marker, "markersize": 3.5}
        styles[tool, method] = style | {"linewidth": 1.2}
    return styles


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
