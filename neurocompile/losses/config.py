"""The options of all losses in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from neurocompile.checks import number_issues
from neurocompile.errors import DataError, Issue
from neurocompile.losses.composer import SNNLossComposer
from neurocompile.losses.isi import ISIRegularization
from neurocompile.losses.membrane import MembraneRegularization
from neurocompile.losses.probspikes import ProbSpikes
from neurocompile.losses.rate import RateRegularization
from neurocompile.losses.temporal import Penalty, TemporalConsistency
from neurocompile.losses.term import LossTerm


@dataclass(frozen=True)
class LossConfig:
    """The weights of the losses, and their options.

    Parameters
    ----------
    w_probspikes, w_rate, w_temporal, w_isi, w_membrane
        The weights, 0 or more; 0 leaves a term out.
    probspikes_temperature, probspikes_normalize
        Of ``ProbSpikes``.
    target_rate, layer_targets, min_rate, max_rate, range_weight
        Of ``RateRegularization``.
    temporal_window_size, temporal_penalty_type
        Of ``TemporalConsistency``.
    isi_refractory_window, isi_tau
        Of ``ISIRegularization``.
    max_membrane
        Of ``MembraneRegularization``.

    Raises
    ------
    DataError
        With every field that has no such value, those of terms that are left out included.
    """

    w_probspikes: float = 1.0
    w_rate: float = 0.1
    w_temporal: float = 0.01
    w_isi: float = 0.01
    w_membrane: float = 0.001
    probspikes_temperature: float = 1.0
    probspikes_normalize: bool = True
    target_rate: float = 0.1
    layer_targets: Mapping[str, float] = field(default_factory=dict)
    min_rate: float = 0.01
    max_rate: float = 0.5
    range_weight: float = 1.0
    temporal_window_size: int = 5
    temporal_penalty_type: Penalty = "l2"
    isi_refractory_window: int = 3
    isi_tau: float = 1.0
    max_membrane: float = 2.0

    def __post_init__(self) -> None:
        issues = list(self._issues())
        if issues:
            raise DataError.of(issues)
        object.__setattr__(self, "layer_targets", dict(self.layer_targets))

    @property
    def weights(self) -> dict[str, float]:
        """Of the terms, by their fields' names."""
        return {name: getattr(self, name) for name in self._makers()}

    def composer(self) -> SNNLossComposer:
        """Make the loss.

        Raises
        ------
        DataError
            If all weights are 0.
        """
        return SNNLossComposer(
            [(make(), self.weights[name]) for name, make in self._makers().items() if self.weights[name] > 0]
        )

    def to_dict(self) -> dict[str, Any]:
        """Give all fields, as JSON can hold them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LossConfig:
        """Make a configuration of some of the fields; the others have their defaults.

        Raises
        ------
        DataError
            With every field that there is not, or that has no such value.
        """
        known = [each.name for each in fields(cls)]
        issues = [
            Issue(f"{name!r} is no field of LossConfig", remedy=f"choose among {', '.join(known)}")
            for name in values
            if name not in known
        ]
        try:
            config = cls(**{name: values[name] for name in known if name in values})
        except DataError as error:
            issues.extend(error.issues)
        if issues:
            raise DataError.of(issues)
        return config

    def _makers(self) -> dict[str, Callable[[], LossTerm]]:
        """Give what makes the term of each weight, or raises its issues."""
        return {
            "w_probspikes": lambda: ProbSpikes(self.probspikes_temperature, self.probspikes_normalize),
            "w_rate": lambda: RateRegularization(
                self.target_rate, self.layer_targets, self.min_rate, self.max_rate, self.range_weight
            ),
            "w_temporal": lambda: TemporalConsistency(self.temporal_window_size, self.temporal_penalty_type),
            "w_isi": lambda: ISIRegularization(self.isi_refractory_window, self.isi_tau),
            "w_membrane": lambda: MembraneRegularization(self.max_membrane),
        }

    def _issues(self) -> Iterator[Issue]:
        for name, make in self._makers().items():
            yield from number_issues(name, self.weights[name], 0, op="LossConfig")
            try:
                make()
            except DataError as error:
                yield from error.issues
