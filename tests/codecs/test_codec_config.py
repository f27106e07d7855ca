from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import get_args

import numpy as np
import pytest

from neurocompile.codecs import presets
from neurocompile.codecs.config import CodingScheme, DecodingConfig, EncoderConfig, EncodingConfig, EncodingType
from neurocompile.codecs.encoders import (
    BernoulliRateEncoder,
    BurstEncoder,
    DeltaEncoder,
    DeterministicRateEncoder,
    LatencyEncoder,
    PhaseCodingEncoder,
    PoissonRateEncoder,
    PopulationEncoder,
    RankOrderEncoder,
    TimeToFirstSpikeEncoder,
    make_encoder,
)
from neurocompile.errors import DataError


def test_defaults_are_the_documents():
    defaults = {
        "coding_scheme": "rate_poisson",
        "time_window_ms": 100.0,
        "dt_ms": 0.1,
        "max_firing_rate_hz": 1000.0,
        "min_firing_rate_hz": 0.0,
        "refractory_period_ms": 2.0,
        "population_size": 10,
        "jitter_ms": 0.0,
        "normalize_input": True,
        "seed": None,
    }
    assert defaults.items() <= EncoderConfig().to_dict().items()
    defaults = {
        "type": "rate_bernoulli",
        "num_steps": 25,
        "normalization": "minmax",
        "deterministic_eval": True,
        "population_size": 8,
        "latency_mapping": "exponential",
        "rate_gain": 1.0,
        "rate_bias": 0.0,
        "seed": None,
    }
    assert defaults.items() <= EncodingConfig().to_dict().items()
    defaults = {"type": "rate", "temperature": 1.0, "eps": 1e-7, "population_mode": "classification"}
    assert defaults.items() <= DecodingConfig().to_dict().items()


@pytest.mark.parametrize(
    "config",
    [
        EncoderConfig(coding_scheme="temporal_phase", seed=3),
        EncodingConfig(type="delta", input_range=(-1.0, 2.0), t_max=7),
        DecodingConfig(type="ensemble", members=("rate", "isi"), weights=(1.0, 2.0)),
    ],
)
def test_json_holds_options(config):
    assert type(config).from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_options_may_be_numpys_numbers():
    config = EncodingConfig(num_steps=np.int64(25), seed=np.uint8(3), dt_ms=np.float32(0.5), jitter=np.int32(1))
    assert config == EncodingConfig(num_steps=25, seed=3, dt_ms=0.5, jitter=1)
    assert json.loads(json.dumps(config.to_dict()))["num_steps"] == 25
    encoder = PoissonRateEncoder(num_steps=np.int64(30), deterministic_eval=np.True_)
    assert (type(encoder.num_steps), encoder.deterministic_eval) == (int, True)
    with pytest.raises(DataError, match="num_steps=True"):
        EncodingConfig(num_steps=np.True_)


def test_every_problem_of_unknown_and_wrong_options_is_told():
    with pytest.raises(DataError) as caught:
        EncoderConfig.from_dict({"dt": 1, "window": 2})
    assert [issue.problem for issue in caught.value.issues] == ["has no option 'dt'", "has no option 'window'"]
    with pytest.raises(DataError) as caught:
        EncodingConfig(type="morse", num_steps=True, input_range=(0.0,), seed=1.5)
    named = {issue.problem.split("=")[0] for issue in caught.value.issues}
    assert named == {"type", "num_steps", "seed", "input_range"}


@pytest.mark.parametrize(
    ("config", "options", "problems"),
    [
        (
            EncoderConfig,
            {"time_window_ms": 0.05, "population_size": 0, "max_firing_rate_hz": 2e4, "jitter_ms": -1, "seed": -1},
            ["jitter_ms=-1", "seed=-1", "20000.0 can't be had", "shorter than a step", "population_size=0"],
        ),
        (EncoderConfig, {"dt_ms": 0.0}, ["dt_ms=0"]),
        (EncoderConfig, {"time_window_ms": float("inf")}, ["time_window_ms=inf"]),
        (
            EncoderConfig,
            {"dt_ms": 1e-300, "max_firing_rate_hz": 1.0, "refractory_period_ms": 0},
            ["has more than 2147483648 steps"],
        ),
        (
            EncoderConfig,
            {"refractory_period_ms": 1e30},
            ["refractory_period_ms=1e+30 has more than 2147483648 steps"],
        ),
        (
            EncoderConfig,
            {"refractory_period_ms": 1e17},
            ["refractory_period_ms=1e+17 has more than 2147483648 steps"],
        ),
        (EncoderConfig, {"refractory_period_ms": 10**400}, ["has more than 2147483648 steps of 0.1 ms"]),
        (EncoderConfig, {"jitter_ms": 1e30}, ["jitter_ms=1e+30 has more than 2147483648 steps of 0.1 ms"]),
        (EncoderConfig, {"seed": 2**63}, ["seed=9223372036854775808 is not from 0 to 2**63 - 1"]),
        (
            EncodingConfig,
            {
                "num_steps": 2**40,
                "latency_interval": 2**70,
                "rank_interval": 2**70,
                "jitter": 1e30,
                "refractory_period_ms": 1e30,
                "seed": 2**64,
            },
            ["num_steps=", "latency_interval=", "rank_interval=", "jitter=", "refractory_period_ms=", "seed="],
        ),
        (EncoderConfig, {"min_firing_rate_hz": 2000.0}, ["is above max_firing_rate_hz=1000"]),
        (EncoderConfig, {"rate_includes_refractory": True}, ["refractory period of 2.0 ms"]),
        (EncoderConfig, {"coding_scheme": "population_gaussian", "population_size": 1}, ["population_size=1"]),
        (EncoderConfig, {"coding_scheme": "temporal_rank_order", "jitter_ms": 1.0}, ["would destroy"]),
        (
            EncodingConfig,
            {
                "num_steps": 0,
                "t_min": 3,
                "t_max": 2,
                "theta_up": 0.0,
                "adaptation_decay": 1.0,
                "latency_spikes": 0,
            },
            ["num_steps=0", "latency_spikes=0", "t_min=3", "theta_up=0", "adaptation_decay=1"],
        ),
        (EncodingConfig, {"input_range": (1.0, 0.0)}, ["does not ascend"]),
        (EncodingConfig, {"input_range": (0.0, 1e300)}, ["within 1e30"]),
        (EncodingConfig, {"type": "population", "population_size": 1}, ["population_size=1"]),
        (EncodingConfig, {"max_firing_rate_hz": 1001.0}, ["1001.0 can't be had with steps of 1.0 ms"]),
        (EncodingConfig, {"dt_ms": -1.0}, ["dt_ms=-1"]),
        (
            DecodingConfig,
            {"temperature": 1e-40, "eps": -1.0, "modulation": 1.0},
            ["temperature", "eps", "modulation"],
        ),
        (DecodingConfig, {"type": "ensemble", "weights": (1.0,)}, ["do not weigh 2"]),
        (DecodingConfig, {"members": ("rate",)}, ["give members"]),
        (DecodingConfig, {"type": "ensemble", "members": ("ensemble",)}, ["an ensemble is a member"]),
        (DecodingConfig, {"type": "ensemble", "members": ("rate",), "weights": (1.0, 1.0)}, ["do not weigh 1"]),
        (DecodingConfig, {"type": "ensemble", "members": ("rate",), "weights": (0.0,)}, ["do not weigh"]),
    ],
)
def test_every_problem_is_told_at_once(config, options, problems):
    with pytest.raises(DataError) as caught:
        config(**options)
    message = str(caught.value)
    assert len(caught.value.issues) == len(problems)
    assert all(problem in message for problem in problems), message


def test_steps_are_counted_as_the_decimal_fractions_are_meant():
    assert EncoderConfig(time_window_ms=0.3, dt_ms=0.1).num_steps == 3
    assert EncoderConfig(time_window_ms=0.39, dt_ms=0.1).num_steps == 3
    assert EncoderConfig().num_steps == 1000
    assert EncoderConfig().refractory_steps == 20
    # The limit with pauses of 2 ms is a spike in 2.1 ms.
    EncoderConfig(rate_includes_refractory=True, max_firing_rate_hz=1000 / 2.1)


KINDS = {
    "rate_poisson": PoissonRateEncoder,
    "rate_burst": BurstEncoder,
    "temporal_ttfs": TimeToFirstSpikeEncoder,
    "temporal_rank_order": RankOrderEncoder,
    "temporal_phase": PhaseCodingEncoder,
    "population_gaussian": PopulationEncoder,
    "population_triangular": PopulationEncoder,
}


@pytest.mark.parametrize("scheme", get_args(CodingScheme))
def test_every_scheme_has_its_encoder_of_the_window(scheme):
    encoder = make_encoder(EncoderConfig(coding_scheme=scheme, seed=5, normalize_input=False))
    assert type(encoder) is KINDS[scheme]
    assert (encoder.num_steps, encoder.dt_ms, encoder.normalization, encoder.seed) == (1000, 0.1, "none", 5)
    batch = encoder(np.linspace(0, 1, 20))
    assert batch.time_steps == 1000
    assert batch.spikes.any()
    if isinstance(encoder, PopulationEncoder):
        assert (encoder.population_size, encoder.tuning) == (10, scheme.removeprefix("population_"))
    # No scheme breaks the refractory period of 2 ms.
    for train in batch.spikes[0].T:
        assert np.all(np.diff(np.flatnonzero(train)) > 20)


def test_rates_and_jitter_of_the_window_reach_the_encoder():
    config = EncoderConfig(max_firing_rate_hz=300.0, min_firing_rate_hz=10.0, jitter_ms=0.5)
    encoder = make_encoder(config)
    assert encoder.rates(np.array([0.0, 1.0])).tolist() == [10, 300]
    assert (encoder.jitter_ms, encoder.refractory_steps) == (0.5, 20)
    ttfs = make_encoder(EncoderConfig(coding_scheme="temporal_ttfs", jitter_ms=0.5))
    assert (ttfs.jitter, ttfs.mapping) == (5, "linear")
    phase = make_encoder(EncoderConfig(coding_scheme="temporal_phase", jitter_ms=0.5))
    assert (phase.jitter, phase.period_steps) == (5, 250)


# What each type takes from the options, under the names that its encoder has.
OPTIONS = {
    "rate_bernoulli": (
        BernoulliRateEncoder,
        {"rate_gain": 0.5, "rate_bias": 0.1, "deterministic_eval": False, "eval_threshold": "half"},
        {},
    ),
    "rate_poisson": (
        PoissonRateEncoder,
        {"max_firing_rate_hz": 100.0, "min_firing_rate_hz": 1.0, "refractory_period_ms": 3.0},
        {"deterministic_eval": True},
    ),
    "rate_deterministic": (DeterministicRateEncoder, {"max_firing_rate_hz": 100.0, "min_firing_rate_hz": 1.0}, {}),
    "rate_burst": (BurstEncoder, {}, {"burst_spikes": "max_spikes", "burst_isi_min_ms": "isi_min_ms"}),
    "latency": (
        LatencyEncoder,
        {"t_min": 2, "t_max": 9, "tau": 3.0, "allow_no_spike": True, "jitter": 0.5},
        {"latency_mapping": "mapping", "latency_spikes": "spikes", "latency_interval": "interval"},
    ),
    "ttfs": (
        TimeToFirstSpikeEncoder,
        {"t_min": 2, "t_max": 9, "tau": 3.0, "allow_no_spike": True, "jitter": 0.5},
        {"latency_mapping": "mapping"},
    ),
    "rank_order": (RankOrderEncoder, {}, {"rank_interval": "interval", "rank_first": "first"}),
    "phase": (PhaseCodingEncoder, {"jitter": 0.5}, {"phase_frequency_hz": "frequency_hz"}),
    "population": (
        PopulationEncoder,
        {"population_size": 5, "sigma": 0.3, "centers": "uniform", "tuning": "triangular"},
        {"deterministic_eval": "deterministic_eval"},
    ),
    "delta": (
        DeltaEncoder,
        {"theta_up": 0.3, "theta_down": 0.4, "adaptation": 0.5, "adaptation_decay": 0.6},
        {"delta_mode": "mode"},
    ),
}
OTHERS = {
    "burst_spikes": 3,
    "burst_isi_min_ms": 4.0,
    "latency_mapping": "log",
    "latency_spikes": 2,
    "latency_interval": 3,
    "rank_interval": 2,
    "rank_first": 4,
    "phase_frequency_hz": 200.0,
    "deterministic_eval": False,
    "delta_mode": "difference",
}


@pytest.mark.parametrize("kind", get_args(EncodingType))
def test_every_type_has_its_encoder_with_its_options(kind):
    encoder_type, same, renamed = OPTIONS[kind]
    others = {name: OTHERS[name] for name in renamed if isinstance(renamed[name], str)}
    common = {"num_steps": 20, "normalization": "clamp", "input_range": (-1.0, 2.0), "seed": 4}
    encoder = make_encoder(EncodingConfig(type=kind, normalization_scope="batch", **common, **same, **others))
    assert type(encoder) is encoder_type
    assert all(getattr(encoder, name) == value for name, value in (common | same).items())
    assert all(getattr(encoder, renamed[name]) == value for name, value in others.items())
    assert encoder.normalization_scope == "batch"


@pytest.mark.parametrize("kind", get_args(EncodingType))
def test_every_type_works_with_the_defaults(kind):
    encoder = make_encoder(EncodingConfig(type=kind))
    x = np.linspace(0, 1, 25)
    batch = encoder(x.reshape(1, 25, 1) if kind == "delta" else x)
    assert batch.time_steps == 25
    assert batch.spikes.any()


def test_options_that_do_not_fit_the_encoder_are_refused_when_it_is_made():
    with pytest.raises(DataError, match="and the window 25"):
        make_encoder(EncodingConfig(type="phase", phase_frequency_hz=1.0))
    with pytest.raises(DataError, match="is within the refractory period"):
        make_encoder(EncodingConfig(type="rate_burst", refractory_period_ms=2.0))


def test_presets_pair_encoders_with_decoders():
    pairs = {
        "rate_classification_preset": ("rate_bernoulli", "rate", "classification"),
        "ttfs_classification_preset": ("ttfs", "first_spike", "classification"),
        "population_classification_preset": ("population", "population", "classification"),
        "regression_preset": ("population", "population", "regression"),
    }
    for name, (encoding, decoding, mode) in pairs.items():
        preset = getattr(presets, name)()
        assert (preset.encoding.type, preset.decoding.type) == (encoding, decoding)
        assert preset.decoding.population_mode == mode
        assert make_encoder(preset.encoding)(np.linspace(0, 1, 4)).spikes.any()


def test_every_option_is_documented():
    for config in (EncoderConfig, EncodingConfig, DecodingConfig):
        listed = config.__doc__.split("Parameters", 1)[1]
        # The lines of names are those that are indented least.
        named = {name for line in re.findall(r"^    (\w.*)$", listed, re.MULTILINE) for name in line.split(", ")}
        assert {field.name for field in fields(config)} == named, config.__name__


@pytest.mark.parametrize("scheme", ["temporal_ttfs", "temporal_phase", "temporal_rank_order", "rate_burst"])
def test_steps_may_be_long_where_no_rate_is_read(scheme):
    assert make_encoder(EncoderConfig(scheme, dt_ms=2.0))(np.linspace(0, 1, 4)).spikes.any()
    with pytest.raises(DataError, match="max_firing_rate_hz=0"):
        EncoderConfig(scheme, max_firing_rate_hz=0)


@pytest.mark.parametrize("scheme", ["rate_poisson", "population_gaussian", "population_triangular"])
def test_steps_are_short_enough_for_rates(scheme):
    with pytest.raises(DataError, match=r"max_firing_rate_hz=1000\.0 can't be had with steps of 2\.0 ms"):
        EncoderConfig(scheme, dt_ms=2.0)
