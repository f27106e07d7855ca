"""The report as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from neurocompile.checker import Check
from neurocompile.evaluate import Evaluation
from neurocompile.network import Network
from neurocompile.report.deployed import Comparison, Ran


def print_compiled(console: Console, network: Network, evaluation: Evaluation, deployed: Comparison) -> None:
    """Print what ``neurocompile MODEL`` found."""
    options = network.options
    console.print(
        f"[bold]{_count(evaluation.images, 'test image')}[/], {options.precision} weights, "
        f"reset {'by subtraction' if options.reset == 'subtract' else 'to zero'}, {options.encoder} input, "
        f"simulated in {evaluation.seconds:.1f} s"
    )
    if network.approximations:
        console.print(_approximations(network))
    console.print(_accuracy(evaluation))
    console.print(_activity(evaluation))
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
    console.print(f"{check.parameters:,} parameters", highlight=False)
    if check.size is None or check.memory_bytes is None or check.seconds is None:
        return
    size = check.size
    console.print(
        f"{_count(size.layers, 'layer')} of {size.neurons:,} neurons, {size.synapses:,} synapses", highlight=False
    )
    console.print(
        f"estimate for {check.images:,} images over {_count(check.steps, 'step')} in the NumPy simulator: "
        f"{_duration(check.seconds)}, {check.memory_bytes / 1e6:,.0f} MB",
        highlight=False,
        soft_wrap=True,
    )


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
