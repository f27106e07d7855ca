"""The plot of the comparison: loss of accuracy against steps, a panel for each network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comparison.table import OURS, STEPS, Results, point_only, rank
from matplotlib import pyplot as plt

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
    plt.switch_backend("svg")
    plt.rcParams.update({"svg.hashsalt": "methods", "svg.fonttype": "none", "font.size": 9})
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
