"""Regularisation of membranes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from neurocompile.checks import number_issues
from neurocompile.errors import DataError
from neurocompile.losses.activity import mean_over_time
from neurocompile.losses.term import DiagnoseLayer, LayerTerm


@dataclass(frozen=True)
class MembraneRegularization(LayerTerm):
    """Keeps membranes within bounds, where surrogate gradients are not 0 and integers do not overflow.

    ``mean(relu(|v| - max_membrane) ** 2)`` over valid steps, sequences and neurons. Squares, and their sum, are
    finite for membranes up to 1e15.

    Parameters
    ----------
    max_membrane
        In units of the membrane, 0 or more. Balanced networks have thresholds of 1.

    Raises
    ------
    DataError
        If it is not.
    """

    name: ClassVar[str] = "membrane"
    reads: ClassVar[Literal["spikes", "membranes"]] = "membranes"
    max_membrane: float = 2.0

    def __post_init__(self) -> None:
        issues = list(number_issues("max_membrane", self.max_membrane, 0, op=self.name))
        if issues:
            raise DataError.of(issues)

    def layer(self, name: str, values: Tensor, valid: Tensor) -> tuple[Tensor, DiagnoseLayer]:  # noqa: ARG002
        """Compute the term of one layer.

        The diagnostics are the ``largest`` absolute membrane, and the fraction that is ``beyond`` the bound.
        """
        excess = (values.abs() - self.max_membrane).relu()
        loss = mean_over_time(excess.square(), valid).mean()
        return loss, lambda: {
            "largest": values.detach().abs().max().item(),
            "beyond": mean_over_time((excess > 0).double(), valid).mean().item(),
        }
