"""Regularisation of the intervals between spikes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from neurocompile.checks import number_issues, whole_issues
from neurocompile.errors import DataError
from neurocompile.losses.activity import mean_over_time
from neurocompile.losses.term import DiagnoseLayer, LayerTerm


@dataclass(frozen=True)
class ISIRegularization(LayerTerm):
    """Keeps the spikes of each neuron apart: a spike costs more the sooner it follows another.

    ``mean(s[t] * sum_(k=1..W) exp(-k / tau) * s[t - k])`` over valid steps, sequences and neurons, W being
    ``refractory_window``: the kernel of a relative refractory period (Gerstner and Kistler 2002). Before the first
    step there are no spikes. A spike of -1 is one too: s is the size. For binary spikes it is at most
    ``sum_(k=1..W) exp(-k / tau)``, reached (but for the first W steps) by a neuron that fires at every step.

    Parameters
    ----------
    refractory_window
        W, in steps.
    tau
        In steps. With 1 the kernel has fallen to 5 % at the end of a window of 3.

    Raises
    ------
    DataError
        With every option that has no such value.
    """

    name: ClassVar[str] = "isi"
    refractory_window: int = 3
    tau: float = 1.0

    def __post_init__(self) -> None:
        issues = [
            *whole_issues("refractory_window", self.refractory_window, op=self.name),
            *number_issues("tau", self.tau, 0, above=True, op=self.name),
        ]
        if issues:
            raise DataError.of(issues)

    def layer(self, name: str, values: Tensor, valid: Tensor) -> tuple[Tensor, DiagnoseLayer]:  # noqa: ARG002
        """Compute the term of one layer.

        The diagnostic ``violations`` is the fraction of spikes that follow another within the window.
        """
        size, steps, neurons = values.shape
        window = self.refractory_window
        kernel = torch.exp(torch.arange(-window, 0, dtype=values.dtype, device=values.device) / self.tau)
        # Their size, with the gradient of a spike of 1 where there is none yet.
        spikes = torch.where(values < 0, -values, values)
        trains = spikes.transpose(1, 2).reshape(size * neurons, 1, steps)
        # conv1d correlates, so the kernel has to end with its value for one step ago. With W zeros before the
        # first step, and without the last step, each step sees its W predecessors; with W - 1 also itself.
        recent = functional.conv1d(functional.pad(trains, (window, -1)), kernel[None, None])
        recent = recent.reshape(size, neurons, steps).transpose(1, 2)
        loss = mean_over_time(spikes * recent, valid).mean()

        def diagnose() -> dict[str, float]:
            fired = values != 0
            before = functional.pad(fired.cumsum(dim=1), (0, 0, window + 1, 0))
            follows = fired & (before[:, window : window + steps] > before[:, :steps])
            spiked = fired.sum().item()
            return {"violations": follows.sum().item() / spiked if spiked else 0.0}

        return loss, diagnose
