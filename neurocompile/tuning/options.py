"""How a network is to be tuned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from neurocompile.checks import choice_issues, number_issues, whole_issues
from neurocompile.errors import DataError, Issue

LOSSES: Mapping[str, Any] = {
    "w_probspikes": 1.0,
    "w_rate": 0.03,
    "w_temporal": 0.0,
    "w_isi": 0.0,
    "w_membrane": 0.0,
    "target_rate": 0.0,
    "range_weight": 0.0,
}
"""Fields of ``LossConfig``: besides the classes, squares of rates, so that spikes become few."""

LOSSES_OF_STEPS = ("w_temporal", "w_isi", "w_membrane")
"""Weights of what the whole numbers do not show that digits spell at once."""

SurrogateChoice = Literal["rectangular", "triangle", "arctan", "fast_sigmoid", "sigmoid"]
"""The names of ``twin.Surrogate``, which can't be imported without PyTorch."""


@dataclass(frozen=True)
class TuningOptions:
    """How a network is to be tuned.

    Parameters
    ----------
    epochs
        How often all training images are seen, at most.
    batch_size
        Images for each step of the optimiser.
    learning_rate
        Of Adam, at the beginning; it falls to 0 by half a cosine.
    distillation
        Weight of the divergence from the original network's probabilities (Hinton et al. 2015); 0 leaves it out.
    flip
        Whether half of the training images are mirrored, left to right.
    shift
        By how many pixels training images are moved at most, in both directions.
    losses
        Fields of ``neurocompile.losses.LossConfig`` that are to be other than ``LOSSES``.
    held_out
        The share of the training images by which it is told which epoch was best.
    patience
        It ends after so many epochs in a row that were not better.
    mixed_precision
        Whether synapses compute in bfloat16.
    surrogate
        Of the spikes' gradients, as ``neurocompile.twin.Surrogate`` names them. By the rectangle of the width of a
        threshold the rate of a neuron with a constant current has the gradient 0 where it can't change, and in
        one step or two 1 elsewhere: that of its staircase, straight through. In more steps it is 1 for most
        currents. Digits are trained as the numbers that they spell, which are rounded straight through.
    seed
        Of the order of the images, and of which are held out.
    device
        As PyTorch names it; a GPU where there is one if None.

    Raises
    ------
    DataError
        With every option that has no such value.
    """

    epochs: int = 3
    batch_size: int = 128
    learning_rate: float = 1e-3
    distillation: float = 1.0
    flip: bool = False
    shift: int = 0
    losses: Mapping[str, Any] = field(default_factory=dict)
    held_out: float = 0.05
    patience: int = 5
    mixed_precision: bool = False
    surrogate: SurrogateChoice = "rectangular"
    seed: int = 0
    device: str | None = None

    def __post_init__(self) -> None:
        issues = list(self._issues())
        if issues:
            raise DataError.of(issues)

    def to_dict(self) -> dict[str, Any]:
        """Give all fields, as JSON can hold them."""
        return {**asdict(self), "losses": {**LOSSES, **self.losses}}

    def _issues(self) -> Iterator[Issue]:
        yield from choice_issues("surrogate", self.surrogate, get_args(SurrogateChoice))
        for name in ("epochs", "batch_size", "patience"):
            yield from whole_issues(name, getattr(self, name))
        for name in ("shift", "seed"):
            yield from whole_issues(name, getattr(self, name), least=0)
        for name in ("mixed_precision", "flip"):
            if not isinstance(getattr(self, name), bool):
                yield Issue(
                    f"{name}={getattr(self, name)!r} is neither True nor False", remedy="choose one of them"
                )
        if not isinstance(self.losses, Mapping):
            yield Issue(
                f"losses={self.losses!r} gives no fields their values", remedy="give such as {'w_rate': 0.2}"
            )
        if not isinstance(self.device, str | None):
            yield Issue(f"device={self.device!r} is no name", remedy="give one such as 'cpu', or None")
        yield from number_issues("learning_rate", self.learning_rate, 0, 1, above=True)
        yield from number_issues("distillation", self.distillation, 0)
        yield from number_issues("held_out", self.held_out, 0, 0.5, above=True)
