"""What the tests of the losses share: random activity, and every term in every variant."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from neurocompile.losses import (
    Activity,
    ISIRegularization,
    LossTerm,
    MembraneRegularization,
    ProbSpikes,
    RateRegularization,
    TemporalConsistency,
)

TERMS: list[LossTerm] = [
    ProbSpikes(),
    ProbSpikes(temperature=0.1),
    ProbSpikes(normalize=False),
    RateRegularization(),
    RateRegularization(0.3, {"hidden": 0.2}, 0.1, 0.4, 2.0),
    TemporalConsistency(2, "l1"),
    TemporalConsistency(3, "l2"),
    TemporalConsistency(2, "variance"),
    ISIRegularization(),
    ISIRegularization(5, 2.0),
    MembraneRegularization(0.5),
]

every_term = pytest.mark.parametrize("term", TERMS, ids=str)


def ragged(lengths: list[int], steps: int) -> Tensor:
    """Make the mask of sequences of these lengths."""
    return torch.arange(steps) < torch.tensor(lengths)[:, None]


def spikes(*shape: int, rate: float = 0.3, seed: int = 0) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def activity(
    size: int = 3, steps: int = 12, classes: int = 4, seed: int = 0, mask: Tensor | None = None
) -> Activity:
    """Make binary spikes and normal membranes of a network of two layers and an output."""
    generator = torch.Generator().manual_seed(seed)
    return Activity(
        spikes={"image": spikes(size, steps, 2, 3, seed=seed), "hidden": spikes(size, steps, 5, seed=seed + 1)},
        membranes={"hidden": torch.randn(size, steps, 5, generator=generator)},
        output=spikes(size, steps, classes, seed=seed + 2),
        targets=torch.randint(classes, (size,), generator=generator),
        mask=mask,
    )


def changed(given: Activity, change) -> Activity:
    """Apply a function to all values over time; targets and mask stay."""
    assert given.output is not None
    return Activity(
        spikes={name: change(values) for name, values in given.spikes.items()},
        membranes={name: change(values) for name, values in given.membranes.items()},
        output=change(given.output),
        targets=given.targets,
        mask=given.mask,
    )


def sequence(given: Activity, index: int, length: int) -> Activity:
    """Cut one sequence out, of so many steps, without a mask."""
    assert given.targets is not None
    alone = changed(Activity(given.spikes, given.membranes, given.output), lambda x: x[index : index + 1, :length])
    return Activity(alone.spikes, alone.membranes, alone.output, given.targets[index : index + 1])


def value(term: LossTerm, given: Activity) -> float:
    loss, _ = term(given)
    assert loss.shape == ()
    assert math.isfinite(loss.item())
    return loss.item()
