"""The sum of weighted terms, and its log."""

import json
import math

import pytest
import torch
from activities import activity, spikes

from neurocompile.errors import DataError
from neurocompile.losses import (
    Activity,
    ISIRegularization,
    LossConfig,
    MembraneRegularization,
    ProbSpikes,
    RateRegularization,
    SNNLossComposer,
    TemporalConsistency,
)

NAMES = ["probspikes", "rate_reg", "temporal", "isi", "membrane"]
DIAGNOSTICS = {
    "probspikes": {"accuracy", "confidence", "silent"},
    "rate_reg": {"loss", "rate", "dead", "saturated", "below", "above"},
    "temporal": {"loss", "largest_change", "compared"},
    "isi": {"loss", "violations"},
    "membrane": {"loss", "largest", "beyond"},
}


def test_the_log() -> None:
    loss, log = LossConfig().composer()(activity())
    assert list(log) == ["total", "components", "diagnostics", "weights"]
    assert list(log["components"]) == list(log["diagnostics"]) == list(log["weights"]) == NAMES
    assert log["weights"] == {
        "probspikes": 1.0,
        "rate_reg": 0.1,
        "temporal": 0.01,
        "isi": 0.01,
        "membrane": 0.001,
    }
    assert log["total"] == loss.item()
    weighted = [log["weights"][name] * log["components"][name] for name in NAMES]
    assert log["total"] == pytest.approx(math.fsum(weighted))
    assert json.loads(json.dumps(log)) == log


def test_the_diagnostics_of_each_layer() -> None:
    _, log = LossConfig().composer()(activity())
    for name, keys in DIAGNOSTICS.items():
        numbers = dict(log["diagnostics"][name])
        layers = numbers.pop("layers", None)
        assert set(numbers) == keys
        assert all(type(number) is float for number in numbers.values())
        if layers is None:
            assert name == "probspikes"
            continue
        assert isinstance(layers, dict)
        assert list(layers) == (["hidden"] if name == "membrane" else ["image", "hidden"])
        for key in keys:
            mean = math.fsum(layer[key] for layer in layers.values()) / len(layers)
            assert numbers[key] == pytest.approx(mean)
        assert numbers["loss"] == pytest.approx(log["components"][name])


def test_components_are_what_the_terms_give_alone() -> None:
    terms = [term for term, _ in LossConfig(probspikes_temperature=0.3).composer().terms]
    given = activity()
    _, log = SNNLossComposer([(term, 2.0) for term in terms])(given)
    for term in terms:
        alone, numbers = term(given)
        assert log["components"][term.name] == alone.item()
        assert log["diagnostics"][term.name] == numbers


def test_the_loss_without_the_log_is_the_loss() -> None:
    composer = LossConfig().composer()
    assert composer.loss(activity()).item() == composer(activity())[0].item()
    with pytest.raises(DataError, match="no output was recorded"):
        composer.loss(Activity(activity().spikes, activity().membranes))


def test_the_gradient_is_the_weighted_sum() -> None:
    gradients = []
    for weights in ((1.0, 0.0), (0.0, 1.0), (0.5, 3.0)):
        train = spikes(2, 8, 4).requires_grad_()
        terms = [(RateRegularization(), weights[0]), (ISIRegularization(), weights[1])]
        composer = SNNLossComposer([(term, weight) for term, weight in terms if weight])
        composer(Activity({"a": train}))[0].backward()
        assert train.grad is not None
        gradients.append(train.grad)
    torch.testing.assert_close(gradients[2], 0.5 * gradients[0] + 3 * gradients[1])


def test_the_log_holds_no_graph() -> None:
    train = spikes(2, 8, 4).requires_grad_()
    loss, log = SNNLossComposer([(RateRegularization(), 1)])(Activity({"a": train}))
    assert loss.requires_grad
    assert log["weights"] == {"rate_reg": 1.0}
    assert type(log["total"]) is float


def test_layers_of_different_types_go_together() -> None:
    given = Activity({"a": spikes(2, 8, 4).bool(), "b": spikes(2, 8, 3).double(), "c": spikes(2, 8, 2).half()})
    loss, _ = SNNLossComposer([(RateRegularization(), 1), (ISIRegularization(), 1)])(given)
    assert loss.dtype == torch.float64


def test_everything_that_is_missing_is_told_at_once() -> None:
    composer = SNNLossComposer([(ProbSpikes(), 1), (TemporalConsistency(4), 1), (MembraneRegularization(), 1)])
    with pytest.raises(DataError) as raised:
        composer(Activity({"a": spikes(1, 6, 2)}))
    assert [issue.op for issue in raised.value.issues] == ["probspikes", "probspikes", "temporal", "membrane"]


def test_every_wrong_weight_is_told_at_once() -> None:
    with pytest.raises(DataError) as raised:
        SNNLossComposer([(ProbSpikes(), 0), (ProbSpikes(0.1), math.nan), (ISIRegularization(), -1)])
    assert [str(issue).partition("\n")[0] for issue in raised.value.issues] == [
        "probspikes: weight=0 is no number above 0",
        "probspikes: weight=nan is no number above 0",
        "isi: weight=-1 is no number above 0",
        "probspikes: the term is given 2 times",
    ]
    with pytest.raises(DataError, match="the loss has no terms"):
        SNNLossComposer([])
