"""What tuning brought, as a person reads it."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from neurocompile.tuning.result import Tuned

_MOST_STEPS = 8
"""So many accuracies are told; --json has all."""


def print_tuned(console: Console, tuned: Tuned) -> None:
    """Print what ``neurocompile tune MODEL`` found."""
    options, before, after = tuned.network.options, tuned.before, tuned.after
    console.print(
        f"[bold]{options.code} code, steps: {after.steps}[/], {options.precision} weights, "
        f"{tuned.training_images:,} training images, {tuned.held_out_images:,} held out, "
        f"{tuned.seconds:.0f} s on {tuned.device}, threads: {tuned.threads}",
        highlight=False,
    )
    epochs = Table("epoch", box=box.SIMPLE)
    for header in ("training loss", "loss", "accuracy", "spikes per neuron", "seconds"):
        epochs.add_column(header, justify="right")
    for epoch in tuned.epochs:
        epochs.add_row(
            str(epoch.number) if epoch.number else "converted",
            "" if epoch.training_loss is None else f"{epoch.training_loss:.4f}",
            f"{epoch.loss:.4f}",
            f"{100 * epoch.accuracy:.2f} %",
            f"{epoch.spikes_per_neuron:.3f}",
            f"{epoch.seconds:.0f}",
            style="bold" if epoch is tuned.best else None,
        )
    console.print(epochs)
    table = Table(f"{after.images:,} test images", box=box.SIMPLE)
    for header in ("accuracy", "spikes per neuron", "synaptic operations"):
        table.add_column(header, justify="right")
    if after.ann_accuracy is not None:
        table.add_row("ANN", f"{100 * after.ann_accuracy:.2f} %")
    for name, found in (("converted", before), ("tuned", after)):
        accuracy, operations = f"{100 * found.accuracy:.2f} %", f"{found.synaptic_operations:,.0f}"
        table.add_row(name, accuracy, f"{found.spikes_per_neuron:.3f}", operations)
    console.print(table)
    if 1 < after.steps <= _MOST_STEPS:
        by_step = ", ".join(f"{100 * share:.2f}" for share in after.accuracy_by_step)
        console.print(f"tuned, decided after 1 to {after.steps} steps: {by_step} %", highlight=False)
    if tuned.best.number == 0:
        console.print("no epoch was better on the images held out: the network is as it was converted")
    else:
        console.print(f"kept: epoch {tuned.best.number}, with the least loss on the images held out")
