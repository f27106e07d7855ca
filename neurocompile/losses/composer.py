"""The sum of weighted terms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

from torch import Tensor

from neurocompile.checks import number_issues
from neurocompile.errors import DataError, Issue
from neurocompile.losses.activity import Activity
from neurocompile.losses.term import Diagnostics, LossTerm


class LossLog(TypedDict):
    """What a loss was made of, in plain numbers: ``total`` is the sum of ``weights`` times ``components``."""

    total: float
    components: dict[str, float]
    diagnostics: dict[str, Diagnostics]
    weights: dict[str, float]


@dataclass(frozen=True)
class SNNLossComposer:
    """Sums weighted terms, and logs each.

    Parameters
    ----------
    terms
        Each with its weight, above 0: a term that is to be left out is not given.

    Raises
    ------
    DataError
        With every weight that is not so, and every term given twice.
    """

    terms: Sequence[tuple[LossTerm, float]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", tuple(self.terms))
        issues = list(self._issues())
        if issues:
            raise DataError.of(issues)

    def __call__(self, activity: Activity) -> tuple[Tensor, LossLog]:
        """Compute the loss.

        Returns
        -------
        tuple
            The loss, a scalar with a gradient, and the log.

        Raises
        ------
        DataError
            With everything that the activity lacks for the terms.
        """
        self._check(activity)
        measured = {term.name: (weight, *term(activity)) for term, weight in self.terms}
        first, *others = (weight * loss for weight, loss, _ in measured.values())
        total = sum(others, start=first)
        return total, {
            "total": total.item(),
            "components": {name: loss.item() for name, (_, loss, _) in measured.items()},
            "diagnostics": {name: numbers for name, (_, _, numbers) in measured.items()},
            "weights": {name: float(weight) for name, (weight, _, _) in measured.items()},
        }

    def loss(self, activity: Activity) -> Tensor:
        """Compute the loss without the log, in less time: where a device computes, it need not be waited for."""
        self._check(activity)
        first, *others = (weight * term.loss(activity) for term, weight in self.terms)
        return sum(others, start=first)

    def _check(self, activity: Activity) -> None:
        issues = [issue for term, _ in self.terms for issue in term.issues(activity)]
        if issues:
            raise DataError.of(issues)

    def _issues(self) -> Iterator[Issue]:
        if not self.terms:
            yield Issue("the loss has no terms", remedy="give one or more, with a weight above 0")
        for term, weight in self.terms:
            yield from number_issues("weight", weight, 0, above=True, op=term.name)
        for name, count in Counter(term.name for term, _ in self.terms).items():
            if count > 1:
                yield Issue(f"the term is given {count} times", op=name, remedy="give it once")
