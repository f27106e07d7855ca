"""Options of encoders and decoders, as files and commands hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar

from neurocompile.codecs.checks import CheckedOptions, Checks, whole_steps
from neurocompile.errors import DataError, Issue

CodingScheme = Literal[
    "rate_poisson",
    "rate_burst",
    "temporal_ttfs",
    "temporal_rank_order",
    "temporal_phase",
    "population_gaussian",
    "population_triangular",
]
EncodingType = Literal[
    "rate_bernoulli",
    "rate_poisson",
    "rate_deterministic",
    "rate_burst",
    "latency",
    "ttfs",
    "rank_order",
    "phase",
    "population",
    "delta",
]
DecodingType = Literal[
    "rate",
    "first_spike",
    "population",
    "membrane",
    "ensemble",
    "sliding_rate",
    "isi",
    "bayesian",
    "rank_order",
    "phase",
    "delta",
]
Normalization = Literal["none", "minmax", "sigmoid", "clamp"]
Scope = Literal["sample", "batch"]
LatencyMapping = Literal["linear", "exponential", "log"]
Tuning = Literal["gaussian", "triangular"]
Centers = Literal["linear", "uniform", "learned"]
DeltaMode = Literal["reference", "difference"]
EvalThreshold = Literal["even", "half"]
PopulationMode = Literal["classification", "regression"]
MembraneMode = Literal["final", "max"]

Self = TypeVar("Self", bound="Config")


@dataclass(frozen=True)
class Config(CheckedOptions):
    """A frozen dataclass of options, checked when it is made, that JSON can hold."""

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON can hold them."""
        options = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}

    @classmethod
    def from_dict(cls: type[Self], options: Mapping[str, Any]) -> Self:
        """Make it of what ``to_dict`` gave; options that are missing have their defaults.

        Raises
        ------
        DataError
            If options are unknown or wrong.
        """
        known = {field.name for field in fields(cls)}
        unknown = [Issue(f"has no option '{name}'", op=cls.__name__) for name in options if name not in known]
        if unknown:
            raise DataError.of(unknown)
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in options.items()})


@dataclass(frozen=True)
class EncoderConfig(Config):
    """Options of ``NeuromorphicEncoder``, in ms and Hz.

    Parameters
    ----------
    coding_scheme
        Which code.
    time_window_ms, dt_ms
        The window, and a step of it; a part of a step at its end is left out.
    max_firing_rate_hz, min_firing_rate_hz
        The rates of the values 1 and 0. A neuron fires so often while it is ready, and with its refractory period
        ``r / (1 + r * refractory)``: 1,000 Hz become 333 Hz with 2 ms.
    refractory_period_ms
        So long after a spike there is none.
    population_size
        Neurons for each input dimension.
    jitter_ms
        The standard deviation of noise on spike times, which bursts and ranks can't have.
    normalize_input
        Whether each sample's values are stretched to [0, 1]; else they have to be in it.
    seed
        Of all randomness, or None for another one each time.
    rate_includes_refractory
        Whether the rates are those with the refractory period counted in, so that 333 Hz are 333 Hz.
    phase_frequency_hz
        Of the oscillation that phases refer to.
    """

    coding_scheme: CodingScheme = "rate_poisson"
    time_window_ms: float = 100.0
    dt_ms: float = 0.1
    max_firing_rate_hz: float = 1000.0
    min_firing_rate_hz: float = 0.0
    refractory_period_ms: float = 2.0
    population_size: int = 10
    jitter_ms: float = 0.0
    normalize_input: bool = True
    seed: int | None = None
    rate_includes_refractory: bool = False
    phase_frequency_hz: float = 40.0

    @property
    def num_steps(self) -> int:
        """The whole steps of the window."""
        return whole_steps(self.time_window_ms, self.dt_ms)

    @property
    def refractory_steps(self) -> int:
        """How many steps after a spike have none."""
        return whole_steps(self.refractory_period_ms, self.dt_ms)

    def _rules(self, checks: Checks) -> None:
        checks.positive(time_window_ms=self.time_window_ms, phase_frequency_hz=self.phase_frequency_hz)
        checks.not_negative(jitter_ms=self.jitter_ms)
        checks.countable(self.dt_ms, time_window_ms=self.time_window_ms, jitter_ms=self.jitter_ms)
        checks.seed(self.seed)
        if self.coding_scheme == "rate_poisson" or self.coding_scheme.startswith("population"):
            checks.rates(
                self.dt_ms,
                self.min_firing_rate_hz,
                self.max_firing_rate_hz,
                self.refractory_period_ms,
                self.rate_includes_refractory,
            )
        else:
            # Nobody fires at these rates, and steps may be longer than they allow.
            checks.positive(dt_ms=self.dt_ms, max_firing_rate_hz=self.max_firing_rate_hz)
            checks.not_negative(
                min_firing_rate_hz=self.min_firing_rate_hz, refractory_period_ms=self.refractory_period_ms
            )
            checks.countable(self.dt_ms, refractory_period_ms=self.refractory_period_ms)
        if self.time_window_ms > 0 and self.dt_ms > 0:
            checks.require(
                self.time_window_ms >= self.dt_ms or self.num_steps >= 1,
                f"time_window_ms={self.time_window_ms} is shorter than a step of {self.dt_ms} ms",
                "a longer window or shorter steps",
            )
        if self.coding_scheme.startswith("population"):
            checks.population(self.population_size, "linear")
        else:
            checks.positive(population_size=self.population_size)
        ordered = self.coding_scheme in ("temporal_rank_order", "rate_burst")
        checks.require(
            self.jitter_ms == 0 or not ordered,
            f"jitter_ms={self.jitter_ms} would destroy what {self.coding_scheme} sends",
            "jitter_ms=0",
        )


@dataclass(frozen=True)
class EncodingConfig(Config):
    """Options of an encoder, in steps.

    Parameters
    ----------
    type
        Which encoder.
    num_steps
        T.
    normalization
        How values become shares of [0, 1]: ``normalization.py``.
    deterministic_eval
        Whether evaluation draws nothing.
    population_size
        Neurons for each input dimension.
    latency_mapping
        From values to spike times.
    normalization_scope
        Whether ``minmax`` looks at each sample or at the whole batch.
    input_range
        What ``none`` and ``clamp`` take for 0 and 1.
    rate_gain, rate_bias
        A step's probability of a spike is ``clamp(gain * x + bias, 0, 1)``, for ``rate_bernoulli``.
    seed
        Of all randomness, or None for another one each time.
    dt_ms
        What a step lasts.
    max_firing_rate_hz, min_firing_rate_hz, refractory_period_ms
        As ``EncoderConfig`` has them, for ``rate_poisson``, ``rate_deterministic`` and ``population``; None is one
        spike a step. The refractory period is for ``rate_burst`` too.
    eval_threshold
        What ``deterministic_eval`` of ``rate_bernoulli`` compares with: ``even`` is thresholds spread evenly, so
        that counts are right, ``half`` is 0.5 at every step.
    t_min, t_max
        The steps of the largest and smallest value, for ``latency`` and ``ttfs``; None is the last.
    tau
        The time constant of the exponential mapping, in steps; None is a fifth of ``t_max - t_min``.
    allow_no_spike
        Whether values of 0, and those that the exponential mapping puts beyond ``t_max``, send nothing, for
        ``latency`` and ``ttfs``.
    jitter
        The standard deviation of noise on spike times, in steps: of ``latency``, ``ttfs`` and ``phase`` in
        training, and of the Poisson spikes of ``rate_poisson`` and ``population`` wherever they are drawn.
    latency_spikes, latency_interval
        How many spikes ``latency`` sends, and how many steps apart.
    sigma
        The tuning's width, in the unit of ``input_range``; None goes by the centers' distances.
    centers, tuning
        Where the tuning curves are, and their form.
    theta_up, theta_down
        The thresholds of ``delta``.
    delta_mode
        Whether ``delta`` compares with what was sent so far or with the value a step before.
    adaptation, adaptation_decay
        By which share of it a threshold of ``delta`` grows at a spike, and what remains of that a step later.
    burst_spikes, burst_isi_min_ms
        The most spikes of a burst and their smallest distance, for ``rate_burst``.
    rank_interval, rank_first
        How many steps apart ``rank_order`` sends, and how many channels fire; None is all.
    phase_frequency_hz
        Of the oscillation; None is one cycle in the window.
    """

    type: EncodingType = "rate_bernoulli"
    num_steps: int = 25
    normalization: Normalization = "minmax"
    deterministic_eval: bool = True
    population_size: int = 8
    latency_mapping: LatencyMapping = "exponential"
    normalization_scope: Scope = "sample"
    input_range: tuple[float, float] = (0.0, 1.0)
    rate_gain: float = 1.0
    rate_bias: float = 0.0
    seed: int | None = None
    dt_ms: float = 1.0
    max_firing_rate_hz: float | None = None
    min_firing_rate_hz: float = 0.0
    refractory_period_ms: float = 0.0
    eval_threshold: EvalThreshold = "even"
    t_min: int = 0
    t_max: int | None = None
    tau: float | None = None
    allow_no_spike: bool = False
    jitter: float = 0.0
    latency_spikes: int = 3
    latency_interval: int = 1
    sigma: float | None = None
    centers: Centers = "linear"
    tuning: Tuning = "gaussian"
    theta_up: float = 0.1
    theta_down: float = 0.1
    delta_mode: DeltaMode = "reference"
    adaptation: float = 0.0
    adaptation_decay: float = 0.9
    burst_spikes: int = 5
    burst_isi_min_ms: float = 2.0
    rank_interval: int = 1
    rank_first: int | None = None
    phase_frequency_hz: float | None = None

    @property
    def highest_rate_hz(self) -> float:
        """The rate of the value 1."""
        return 1000 / self.dt_ms if self.max_firing_rate_hz is None else self.max_firing_rate_hz

    def _rules(self, checks: Checks) -> None:
        checks.positive(
            dt_ms=self.dt_ms,
            tau=self.tau,
            latency_spikes=self.latency_spikes,
            sigma=self.sigma,
            burst_spikes=self.burst_spikes,
            burst_isi_min_ms=self.burst_isi_min_ms,
            rank_first=self.rank_first,
            phase_frequency_hz=self.phase_frequency_hz,
        )
        checks.steps(
            1,
            num_steps=self.num_steps,
            latency_interval=self.latency_interval,
            rank_interval=self.rank_interval,
        )
        checks.steps(0, jitter=self.jitter)
        checks.countable(self.dt_ms, burst_isi_min_ms=self.burst_isi_min_ms)
        checks.seed(self.seed)
        checks.range(input_range=self.input_range)
        if self.dt_ms > 0:
            checks.rates(
                self.dt_ms, self.min_firing_rate_hz, self.highest_rate_hz, self.refractory_period_ms, False
            )
        t_max = self.num_steps - 1 if self.t_max is None else self.t_max
        checks.steps_within(self.t_min, t_max, self.num_steps)
        checks.delta(self.theta_up, self.theta_down, self.adaptation, self.adaptation_decay)
        if self.type == "population":
            checks.population(self.population_size, self.centers)
        else:
            checks.positive(population_size=self.population_size)


@dataclass(frozen=True)
class DecodingConfig(Config):
    """Options of a decoder.

    Parameters
    ----------
    type
        Which decoder.
    temperature
        What scores are divided by before a softmax.
    eps
        The least that divisions and logarithms get.
    population_mode
        Whether a population stands for classes or for a value.
    membrane_mode
        Whether the last membrane or the largest counts.
    modulation
        What each rank is worth of the one before it, for ``rank_order`` (Thorpe and Gautrais 1998).
    window
        The steps that ``sliding_rate`` looks back.
    members, weights
        The decoders of an ``ensemble``, ``rate`` and ``first_spike`` if it is empty, and what each counts; None is
        alike.
    """

    type: DecodingType = "rate"
    temperature: float = 1.0
    eps: float = 1e-7
    population_mode: PopulationMode = "classification"
    membrane_mode: MembraneMode = "final"
    modulation: float = 0.9
    window: int = 10
    members: tuple[DecodingType, ...] = ()
    weights: tuple[float, ...] | None = None

    @property
    def ensemble(self) -> tuple[DecodingType, ...]:
        """The decoders of an ensemble."""
        return self.members or ("rate", "first_spike")

    def _rules(self, checks: Checks) -> None:
        checks.temperature(self.temperature)
        checks.positive(eps=self.eps, window=self.window)
        checks.require(0 < self.modulation < 1, f"modulation={self.modulation} is not between 0 and 1")
        ensemble = self.type == "ensemble"
        checks.require(
            ensemble or not self.members,
            f"type='{self.type}' with the members {list(self.members)}",
            "give members to an ensemble, and to nothing else",
        )
        checks.require("ensemble" not in self.members, "an ensemble is a member of an ensemble")
        if self.weights is not None:
            count = len(self.ensemble) if ensemble else 0
            fit = len(self.weights) == count and all(0 <= w < float("inf") for w in self.weights)
            checks.require(
                fit and sum(self.weights) > 0,
                f"weights={list(self.weights)} do not weigh {count} members",
                "one for each member, none negative, not all 0",
            )
