"""Converts and measures with SpikingJelly's own recipes, in an environment that has it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any

import measuring
import torch
from measuring import Job, Spiking
from spikingjelly.activation_based import ann2snn, functional
from spikingjelly.activation_based.neuron.base_node import BaseNode
from torch import Tensor, nn

CALIBRATION_BATCH = 128
"""That of SpikingJelly's example imagenet_resnet18_ltb.py: its statistics are averages over batches."""

HALF = "99.9 % a channel, half threshold at first"
EXAMPLE_UPDATES = 390
"""Of a threshold in that example, with its 50,000 images."""


def batches(job: Job) -> list[Tensor]:
    """Split the calibration images."""
    return list(torch.split(job.x_calibration, CALIBRATION_BATCH))


def spiking(snn: nn.Module, delays: dict[str, dict[int, int]] | None = None) -> Spiking:
    """Tell how a converted network is run."""
    neurons = [module for module in snn.modules() if isinstance(module, BaseNode)]
    return Spiking(snn.eval(), lambda: functional.reset_net(snn), neurons, delays or {})


def rate_coding(**options: Any) -> Callable[[Job], Spiking]:
    """Return the conversion by the recipe for rate coding with these options."""

    def convert(job: Job) -> Spiking:
        recipe = ann2snn.RateCodingRecipe(dataloader=batches(job), **options)
        return spiking(ann2snn.Converter(recipe=recipe).convert(job.network()))

    return convert


def by_channels(job: Job) -> Spiking:
    """Convert with a threshold for each channel, and read the output from the estimated step on as well.

    Max pools stay behind the neurons, which is the default, and loses less on fashion-cnn than before them.
    """
    snn = rate_coding(mode="99.9%", channel_wise=True, half_threshold=True)(job).step
    assert isinstance(snn, nn.Module)
    with warnings.catch_warnings():
        # For few steps the estimate warns that it leaves nothing out.
        warnings.simplefilter("ignore")
        starts = {steps: ann2snn.estimate_delay_start(snn, batches(job), "cpu", steps) for steps in job.steps}
    return spiking(snn, {f"{HALF}, delayed readout": starts})


def local_threshold_balancing(updates: int) -> Callable[[Job], Spiking]:
    """Return the conversion by the recipe of Bu, Li and Yu, arXiv:2409.03368.

    Each batch moves the thresholds, so that with few images it takes several passes over them.
    """

    def convert(job: Job) -> Spiking:
        loader = list(islice(cycle(batches(job)), updates))
        recipe = ann2snn.LocalThresholdBalancingRecipe(dataloader=loader)
        return spiking(ann2snn.Converter(recipe=recipe).convert(job.network()))

    return convert


if __name__ == "__main__":
    measuring.run(
        ("spikingjelly", "torch"),
        {
            HALF: by_channels,
            "local threshold balancing, 32 updates": local_threshold_balancing(32),
            "99.9 %": rate_coding(mode="99.9%"),
            "max": rate_coding(mode="max"),
            f"local threshold balancing, {EXAMPLE_UPDATES} updates": local_threshold_balancing(EXAMPLE_UPDATES),
        },
    )
