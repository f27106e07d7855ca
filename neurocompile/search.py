"""Finds the fewest steps that keep a tolerance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from neurocompile.backend import Progress, find, silent
from neurocompile.compiler import compile
from neurocompile.data import label_issues
from neurocompile.errors import DataError
from neurocompile.frontends.model import Model
from neurocompile.ir import Array
from neurocompile.network import Network
from neurocompile.options import MOST_DIGITS, Options
from neurocompile.significance import PairedLoss, share_at_most

_MOST_RATE_STEPS = 256


@dataclass(frozen=True)
class Tried:
    """A number of steps, measured on images that were held out.

    Parameters
    ----------
    steps
        For which the network was compiled and ran.
    images
        How many were held out.
    changed
        The images on which it decides unlike the original network.
    loss
        Of accuracy; None where the labels are not known.
    """

    steps: int
    images: int
    changed: int
    loss: PairedLoss | None

    @property
    def points(self) -> float:
        """The loss; without labels the changed decisions, of which it can't be more."""
        return 100 * self.changed / self.images if self.loss is None else self.loss.points

    @property
    def at_most(self) -> float:
        """What the loss on all the images there are is at most, with 95 % confidence."""
        return 100 * share_at_most(self.changed, self.images) if self.loss is None else self.loss.high


@dataclass(frozen=True)
class Search:
    """The search for the fewest steps.

    Parameters
    ----------
    tolerance
        In percentage points.
    tried
        In order.
    """

    tolerance: float
    tried: tuple[Tried, ...]

    @property
    def reached(self) -> bool:
        """Whether any number of steps keeps the tolerance."""
        return self.tried[-1].points <= self.tolerance

    @property
    def chosen(self) -> Tried:
        """The fewest steps that keep the tolerance, else those that lose least."""
        return self.tried[-1] if self.reached else min(self.tried, key=lambda tried: tried.points)


def fewest_steps(
    model: Model,
    calibration: Array,
    options: Options,
    tolerance: float,
    labels: Array | None = None,
    *,
    progress: Progress = silent,
) -> Search:
    """Try more and more steps, each calibrated on half of the images and measured on the other half.

    Parameters
    ----------
    model
        The original network.
    calibration
        Images ``(N, *shape)``.
    options
        All but the steps.
    tolerance
        The loss in percentage points that is accepted on the images held out.
    labels
        The classes of the images ``(N,)``; where these are not known every changed decision counts as lost.
    progress
        Told of each number of steps.

    Raises
    ------
    DataError
        If the code has no steps to choose, there are too few images, or the labels do not fit.
    """
    target = find(options.target)
    # What else is left open, thresholds for one, is chosen for each number of steps.
    options = replace(options, code=options.resolved(target.codes, stock=target.stock).code)
    issues = [] if labels is None else label_issues(labels, len(calibration), model.classes)
    if issues:
        raise DataError.of(issues)
    if options.code == "graded":
        raise DataError("--code graded sends one message: it has no steps", remedy="choose --bits")
    if len(calibration) < 2:
        raise DataError("one calibration image can't be held out", remedy="give some hundreds of them")
    if not tolerance >= 0:
        raise DataError(f"tolerance={tolerance} is no loss", remedy="give percentage points from 0, such as 0.1")
    # Every other image: the two halves come from the same part of the data.
    fitting, held_out = calibration[::2], calibration[1::2]
    tried: list[Tried] = []
    for steps in _candidates(options):
        progress(f"trying {steps} step{'' if steps == 1 else 's'}", 0, 0)
        network = compile(model, fitting, replace(options, steps=steps))
        tried.append(_measured(network, held_out, None if labels is None else labels[1::2], steps))
        if tried[-1].points <= tolerance:
            break
    return Search(tolerance, tuple(tried))


def _candidates(options: Options) -> Iterator[int]:
    if options.code == "digit":
        yield from range(1, MOST_DIGITS + 1)
        return
    steps = 1
    while steps <= _MOST_RATE_STEPS:
        yield steps
        steps *= 2


def _measured(network: Network, x: Array, labels: Array | None, steps: int) -> Tried:
    measured = network.evaluate(x, labels)
    changed = measured.changed_decisions
    assert changed is not None
    return Tried(steps, len(x), changed, None if labels is None else measured.loss)
