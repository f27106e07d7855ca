"""The options of all losses in one place."""

import json
from collections.abc import Callable
from dataclasses import fields, replace

import pytest

from neurocompile.codecs import presets
from neurocompile.errors import DataError
from neurocompile.losses import (
    ISIRegularization,
    LossConfig,
    MembraneRegularization,
    ProbSpikes,
    RateRegularization,
    TemporalConsistency,
)


def test_the_defaults_of_the_weights_and_options() -> None:
    assert LossConfig().to_dict() == {
        "w_probspikes": 1.0,
        "w_rate": 0.1,
        "w_temporal": 0.01,
        "w_isi": 0.01,
        "w_membrane": 0.001,
        "probspikes_temperature": 1.0,
        "probspikes_normalize": True,
        "target_rate": 0.1,
        "layer_targets": {},
        "min_rate": 0.01,
        "max_rate": 0.5,
        "range_weight": 1.0,
        "temporal_window_size": 5,
        "temporal_penalty_type": "l2",
        "isi_refractory_window": 3,
        "isi_tau": 1.0,
        "max_membrane": 2.0,
    }


def test_the_defaults_are_those_of_the_terms() -> None:
    assert [term for term, _ in LossConfig().composer().terms] == [
        ProbSpikes(),
        RateRegularization(),
        TemporalConsistency(),
        ISIRegularization(),
        MembraneRegularization(),
    ]


def test_every_field_reaches_its_term() -> None:
    config = LossConfig(
        w_probspikes=2,
        w_rate=3,
        w_temporal=4,
        w_isi=5,
        w_membrane=6,
        probspikes_temperature=0.2,
        probspikes_normalize=False,
        target_rate=0.3,
        layer_targets={"a": 0.25},
        min_rate=0.2,
        max_rate=0.4,
        range_weight=0.5,
        temporal_window_size=7,
        temporal_penalty_type="variance",
        isi_refractory_window=9,
        isi_tau=4.0,
        max_membrane=8.0,
    )
    default = LossConfig()
    assert all(getattr(config, each.name) != getattr(default, each.name) for each in fields(LossConfig))
    assert config.composer().terms == (
        (ProbSpikes(0.2, False), 2),
        (RateRegularization(0.3, {"a": 0.25}, 0.2, 0.4, 0.5), 3),
        (TemporalConsistency(7, "variance"), 4),
        (ISIRegularization(9, 4.0), 5),
        (MembraneRegularization(8.0), 6),
    )
    assert LossConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_weight_of_0_leaves_a_term_out() -> None:
    terms = LossConfig(w_probspikes=0, w_isi=0.0).composer().terms
    assert [term.name for term, _ in terms] == ["rate_reg", "temporal", "membrane"]


def test_some_fields_in_a_dict_leave_the_others_at_their_defaults() -> None:
    assert LossConfig.from_dict({"target_rate": 0.2}) == replace(LossConfig(), target_rate=0.2)
    assert LossConfig.from_dict({}) == LossConfig()


def test_every_wrong_field_is_told_at_once() -> None:
    values = {
        "w_probspikes": -1,
        "w_rate": "much",
        "probspikes_temperature": 0,
        "target_rate": 2,
        "layer_targets": {"a": 7},
        "temporal_window_size": 0,
        "temporal_penalty_type": "l0",
        "isi_tau": None,
        "max_membrane": -3,
        "w_isis": 1,
        "tau": 2,
    }
    with pytest.raises(DataError) as raised:
        LossConfig.from_dict(values)
    assert [issue.problem for issue in raised.value.issues] == [
        "'w_isis' is no field of LossConfig",
        "'tau' is no field of LossConfig",
        "w_probspikes=-1 is no number from 0",
        "temperature=0 is no number from 0.0001",
        "w_rate='much' is no number from 0",
        "target_rate=2 is no number from 0.01 to 0.5",
        "layer_targets['a']=7 is no number from 0.01 to 0.5",
        "window_size=0 is no whole number from 1",
        "penalty_type='l0' is no choice",
        "tau=None is no number above 0",
        "max_membrane=-3 is no number from 0",
    ]
    assert all(issue.remedy for issue in raised.value.issues)


def test_the_options_of_a_term_that_is_left_out_are_checked_too() -> None:
    with pytest.raises(DataError, match="isi: tau=0"):
        LossConfig(w_isi=0, isi_tau=0)


def test_a_loss_has_a_weight_above_0() -> None:
    config = LossConfig(0, 0, 0, 0, 0)
    assert set(config.weights.values()) == {0}
    with pytest.raises(DataError, match="the loss has no terms"):
        config.composer()


def test_targets_are_within_the_range_unless_it_is_off() -> None:
    assert LossConfig(target_rate=0.0, layer_targets={"a": 0.9}, range_weight=0).target_rate == 0
    with pytest.raises(DataError, match=r"target_rate=0\.0 is no number from 0\.01 to 0\.5"):
        LossConfig(target_rate=0.0)


def test_a_dict_given_out_or_taken_is_not_shared() -> None:
    targets = {"a": 0.2}
    config = LossConfig(layer_targets=targets)
    targets["a"] = 9
    config.to_dict()["layer_targets"]["a"] = 9
    assert config.layer_targets == {"a": 0.2}


@pytest.mark.parametrize(
    ("preset", "reads_classes"),
    [
        (presets.rate_classification_preset, True),
        (presets.ttfs_classification_preset, True),
        (presets.population_classification_preset, True),
        (presets.regression_preset, False),
    ],
)
def test_presets_have_losses(preset: Callable[[], presets.CodecPreset], reads_classes: bool) -> None:
    composer = LossConfig.from_dict(preset().losses).composer()
    terms = {term.name: term for term, _ in composer.terms}
    assert ("probspikes" in terms) == reads_classes
    assert "rate_reg" in terms
    if reads_classes:
        assert terms["probspikes"] == ProbSpikes(0.1)
