"""The report as a person reads it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from neurocompile.backend import Runtime
from neurocompile.budget import Budget
from neurocompile.checker import Check
from neurocompile.early_exit import EarlyExit
from neurocompile.evaluate import Evaluation
from neurocompile.mapping import Mapping
from neurocompile.mapping.energy import Estimate
from neurocompile.mapping.placement import floor_plan
from neurocompile.network import Network
from neurocompile.options import Options
from neurocompile.report.compiled import Compiled
from neurocompile.report.deployed import Ran
from neurocompile.search import Search
from neurocompile.significance import PairedLoss

_SYNTHETIC = (
    "no data: calibrated and measured on synthetic images, with values from 0 to 1, or of bytes to 255. "
    "Not known are the accuracy, how real images differ from these, and activations of more than twice the "
    "largest found, which would be clipped. Give --data FILE to know."
)


_SOME_HUNDREDS = 100
"""Calibration images with fewer of which a report warns."""


_RESOURCES = {
    "neurons": "neurons",
    "input_axons": "in",
    "output_axons": "out",
    "synapse_words": "words",
    "neuron_groups": "groups",
}
"""Of a core, as short as a table needs them: axons lead in and out, and words of 64 bits hold synapses."""


def print_compiled(console: Console, found: Compiled) -> None:
    """Print what ``neurocompile MODEL`` found."""
    network, evaluation, deployed = found.network, found.evaluation, found.deployed
    options = network.options
    console.print(Text.assemble((_code(options), "bold"), f": {found.reason}"))
    if found.search is not None:
        console.print(_search(found.search))
        console.print(_search_verdict(found.search), highlight=False)
    console.print(
        f"[bold]{_count(evaluation.images, 'synthetic image' if network.synthetic else 'test image')}[/], "
        f"{options.precision} weights, "
        f"{options.encoder} input, simulated in {evaluation.seconds:.1f} s"
    )
    if network.approximations:
        console.print(_approximations(network))
    if network.synthetic:
        console.print(Text(_SYNTHETIC, style="yellow"))
    elif found.calibration_images < _SOME_HUNDREDS:
        images = _count(found.calibration_images, "image")
        console.print(Text(f"calibrated on {images} only: give some hundreds", style="yellow"))
    console.print(_accuracy(evaluation) if evaluation.labelled else _agreement(evaluation))
    for line in _significance(evaluation):
        console.print(line, highlight=False)
    if evaluation.early_exit is not None:
        console.print(_early_exit(evaluation, evaluation.early_exit), highlight=False)
    console.print(_activity(evaluation))
    if found.budget is not None:
        _print_budget(console, found.budget)
    if found.mapping is not None:
        _print_mapping(console, found.mapping)
    if found.cost is not None:
        console.print(_cost(found.cost), highlight=False, soft_wrap=True)
    ran = deployed.ran
    differ = sum(deployed.mismatches.values())
    console.print(
        f"[bold]deployed on {deployed.target}[/]: {_count(len(ran.decisions), 'image')}, "
        f"{_count(ran.spikes, 'spike')} in {_count(len(ran.layers), 'layer')} compared with the simulation, "
        f"[bold {'red' if differ else 'green'}]{_count(differ, 'mismatch', 'mismatches')}[/], {ran.seconds:.1f} s"
    )
    for name, count in deployed.mismatches.items():
        if count:
            console.print(Text(f"  {name}: {_count(count, 'mismatch', 'mismatches')}"))


def print_ran(console: Console, target: str, steps: int, result: Ran) -> None:
    """Print what ``neurocompile run DEPLOYMENT`` found."""
    images = _count(len(result.decisions), "image")
    console.print(f"[bold]{images} on {target}[/], {_count(steps, 'step')}, {result.seconds:.1f} s")
    table = _table("layer", "spikes")
    for name, activity in result.activity.items():
        table.add_row(Text(name), str(activity.events))
    console.print(table)
    decisions = " ".join(map(str, result.decisions))
    console.print(f"decisions: {decisions}", highlight=False, soft_wrap=True)
    console.print(f"spikes' SHA-256: {result.digest}", highlight=False, soft_wrap=True)


def print_checked(console: Console, model: str, check: Check) -> None:
    """Print what ``neurocompile check MODEL`` found."""
    verdict = "[bold green]converts[/]" if check.converts else "[bold red]does not convert[/]"
    console.print(Text(model, style="bold"), verdict, f"for {check.target}")
    for issue in check.issues:
        console.print(Text(str(issue)), soft_wrap=True)
    if check.approximations:
        table = _table("approximated", "function", "error, of its span", "neurons for a value")
        for found in check.approximations:
            tolerance = f"at most {100 * found.tolerance:g} %"
            table.add_row(Text(found.node), found.function, tolerance, str(found.segments))
        console.print(table)
    if check.mapping is not None:
        _print_mapping(console, check.mapping)
    console.print(f"{check.parameters:,} parameters", highlight=False)
    if check.size is None or check.memory_bytes is None or check.seconds is None:
        return
    size = check.size
    console.print(
        f"{_count(size.layers, 'layer')} of {size.neurons:,} neurons, {size.synapses:,} synapses", highlight=False
    )
    console.print(
        f"estimate for {check.images:,} images over {_count(check.steps, 'step')} in the NumPy simulator: "
        f"at most {_duration(check.seconds)}, {check.memory_bytes / 1e6:,.0f} MB",
        highlight=False,
        soft_wrap=True,
    )


def _print_mapping(console: Console, mapping: Mapping) -> None:
    """Print what each layer takes of a chip's cores, and where they lie."""
    chip = mapping.chip
    columns = ("cores", "part", "neurons", "in", "out", "words", "fullest of")
    table = _table(f"on {chip.name}", *columns)
    for layer in mapping.layers:
        part = layer.largest
        table.add_row(
            Text(layer.name),
            str(layer.cores),
            "x".join(map(str, layer.extents)),
            *(str(n) for n in (part.neurons, part.input_axons, part.output_axons, part.synapse_words)),
            f"{_RESOURCES[layer.bound_by]} {100 * layer.utilisation(chip):.0f} %",
        )
    limits = (chip.neurons, chip.input_axons, chip.output_axons, chip.synapse_words)
    table.add_row("at most", "", "", *map(str, limits), style="bold")
    console.print(table)
    console.print(
        f"{_count(len(mapping.cores), 'core')} on {_count(mapping.chips, 'chip')} of {chip.cores}, "
        f"{mapping.neurons:,} neurons; in and out are axons, words of 64 bits hold synapses",
        highlight=False,
        soft_wrap=True,
    )
    for number, layers in enumerate(floor_plan(mapping)):
        cores = ", ".join(
            f"{first}-{last} {name}" if last > first else f"{first} {name}" for name, first, last in layers
        )
        console.print(Text(f"  chip {number}: {cores}"), highlight=False, soft_wrap=True)
    for what in dict.fromkeys(layer.needs for layer in mapping.layers if layer.needs is not None):
        names = ", ".join(layer.name for layer in mapping.layers if layer.needs == what)
        console.print(Text(f"needs {what}: {names}"), highlight=False, soft_wrap=True)


def _cost(cost: Estimate) -> str:
    parts = ", ".join(
        f"{name} {nanojoules / 1e3:,.2f}"
        for name, nanojoules in (
            ("synapses", cost.synapses_nj),
            ("neurons", cost.neurons_nj),
            ("hops", cost.hops_nj),
        )
    )
    total, time = f"{cost.energy_nj / 1e3:,.2f} uJ", f"{cost.time_us:,.0f} us"
    return f"for an image on loihi1 [bold]{total}[/] ({parts}) in [bold]{time}[/]: {cost.source}"


def print_runtime(console: Console, found: Runtime) -> None:
    """Print what ``neurocompile lava status`` found."""
    if found.issue is None:
        console.out(f"Python {found.version} runs Lava: {found.python}", highlight=False)
        console.out(f"named by {found.named_by}", highlight=False)
    else:
        console.out(str(found.issue), highlight=False)
    for folder, size in found.made.items():
        console.out(f"made: {folder}, {size / 1e6:,.0f} MB", highlight=False)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _approximations(network: Network) -> Table:
    table = _table("approximated", "function", "error, of its span", "neurons for a value")
    for found in network.approximations:
        table.add_row(Text(found.node), found.function, f"{100 * found.relative_error:.2f} %", str(found.segments))
    return table


def _accuracy(evaluation: Evaluation) -> Table:
    table = _table("", "accuracy", "loss", "relative", "decide alike")
    table.add_row("ANN", _percent(evaluation.ann_accuracy))
    for step in _powers(evaluation.steps):
        accuracy = float(evaluation.accuracy_by_step[step - 1])
        last = step == evaluation.steps
        table.add_row(
            f"SNN, {_count(step, 'step')}",
            _percent(accuracy),
            _points(evaluation.ann_accuracy, accuracy),
            _relative(evaluation) if last else "",
            _percent(evaluation.agreement) if last else "",
            style="bold" if last else None,
        )
    return table


def _agreement(evaluation: Evaluation) -> Table:
    table = _table("", "decide as the ANN")
    for step in _powers(evaluation.steps):
        table.add_row(f"SNN, {_count(step, 'step')}", _percent(float(evaluation.accuracy_by_step[step - 1])))
    return table


def _significance(evaluation: Evaluation) -> Iterator[str]:
    loss, changed, at_most = evaluation.loss, evaluation.changed_decisions, evaluation.changed_at_most
    if loss is None or changed is None or at_most is None:
        return
    if evaluation.labelled:
        yield from _verdict(loss)
    # A bound is not to be rounded to below itself.
    bound = f"{math.ceil(1e4 * at_most) / 100:.2f} %"
    yield f"  decided unlike the ANN {changed:,} of {evaluation.images:,} (at most {bound} with 95 % confidence)"


def _early_exit(evaluation: Evaluation, found: EarlyExit) -> str:
    right = f", {_percent(found.accuracy)} right" if evaluation.labelled else ""
    return (
        f"[bold]early exit[/]: {found.steps:.1f} of {_count(evaluation.steps, 'step')} on average{right}, "
        f"{_count(found.changed_decisions, 'decision')} unlike the last step's"
    )


def _verdict(loss: PairedLoss) -> Iterator[str]:
    gained = loss.measurable and loss.points < 0
    # A gain of 1 to 2 points is a loss of -2 to -1. The sum turns -0.0 into 0.0.
    found = (-loss.points, -loss.high, -loss.low) if gained else (loss.points, loss.low, loss.high)
    points, low, high = (f"{round(value, 2) + 0.0:.2f}" for value in found)
    verdict = f"{'measurable' if loss.measurable else 'no measurable'} {'gain' if gained else 'loss'}"
    p = "p < 0.001" if loss.p_value < 0.001 else f"p = {loss.p_value:.3f}"
    yield f"[bold]{verdict}[/]: {points} points, {100 * loss.confidence:g} % confidence {low} to {high}"
    only_ann, only_snn = f"{loss.only_ann_right:,}", f"{loss.only_snn_right:,}"
    yield f"  right by the ANN only {only_ann}, by the SNN only {only_snn} (McNemar's {p})"


def _code(options: Options) -> str:
    if options.code == "digit":
        return f"digit code, {_count(options.spiking_code.steps, 'digit')}"
    if options.code == "graded":
        return f"graded code, messages of {options.bits} bits"
    chosen = {"reset to zero": options.reset == "zero", "signed": options.signed, "waiting": options.wait}
    return ", ".join(["rate code", *(name for name, is_chosen in chosen.items() if is_chosen)])


def _search(search: Search) -> Table:
    table = _table("tried", "images", "decide otherwise", "loss", "at most, 95 %")
    for tried in search.tried:
        table.add_row(
            _count(tried.steps, "step"),
            str(tried.images),
            str(tried.changed),
            f"{tried.points:.2f} points",
            f"{tried.at_most:.2f} points",
            style="bold" if tried is search.chosen else None,
        )
    return table


def _search_verdict(search: Search) -> str:
    chosen = search.chosen
    what = "loss" if chosen.loss is not None else "loss (every changed decision counts, without labels)"
    if search.reached:
        verdict = f"{_count(chosen.steps, 'step')}: the fewest within {search.tolerance:g} points"
    else:
        verdict = f"no number of steps is within {search.tolerance:g} points; {chosen.steps} lose least"
    return f"{verdict}; {what} at most {chosen.at_most:.2f} points with 95 % confidence"


def _print_budget(console: Console, budget: Budget) -> None:
    """Print the layers that add most to the loss, and why."""
    table = _table(f"loss on {budget.images} images", "points", "error", "most of it", "what helps")
    for layer in budget.layers:
        table.add_row(
            Text(layer.layer),
            _signed(layer.points),
            f"{100 * layer.error:.1f} %",
            layer.worst or "",
            Text(layer.remedy),
        )
    table.add_row("all", _signed(budget.points), style="bold")
    console.print(table)
    causes = [f"{cause} {_signed(points)}" for cause, points in budget.by_cause.items()]
    console.print(f"points by cause: {', '.join(causes)}; left over {_signed(budget.remainder)}", highlight=False)


def _signed(points: float) -> str:
    return f"{round(points, 2) + 0.0:.2f}"


def _powers(steps: int) -> Iterator[int]:
    step = 1
    while step < steps:
        yield step
        step *= 2
    yield steps


def _activity(evaluation: Evaluation) -> Table:
    table = _table("for an image", "neurons", "spikes per neuron", "synaptic operations")
    for name, activity in evaluation.activity.items():
        neurons = evaluation.neurons.get(name)
        spikes = activity.events / evaluation.images
        table.add_row(
            Text(name),
            "" if neurons is None else str(neurons),
            "" if neurons is None else f"{spikes / neurons:.2f}",
            f"{activity.synaptic_operations / evaluation.images:,.0f}",
        )
    neurons_of_all = str(sum(evaluation.neurons.values()))
    spikes_of_all, operations = f"{evaluation.spikes_per_neuron:.2f}", f"{evaluation.synaptic_operations:,.0f}"
    table.add_row("all", neurons_of_all, spikes_of_all, operations, style="bold")
    return table


def _table(first: str, *rest: str) -> Table:
    table = Table(first, box=box.SIMPLE)
    for header in rest:
        table.add_column(header, justify="right")
    return table


def _count(number: int, noun: str, nouns: str | None = None) -> str:
    return f"{number} {noun if number == 1 else nouns or noun + 's'}"


def _points(ann: float | None, accuracy: float) -> str:
    return "unknown" if ann is None else f"{100 * (ann - accuracy):.2f} points"


def _relative(evaluation: Evaluation) -> str:
    relative = evaluation.loss_relative
    return "" if relative is None else f"{100 * relative:.2f} %"


def _percent(fraction: float | None) -> str:
    return "unknown" if fraction is None else f"{100 * fraction:.2f} %"
