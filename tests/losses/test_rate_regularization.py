"""Regularisation of firing rates."""

import math

import pytest
import torch
from activities import ragged, spikes

from neurocompile.errors import DataError
from neurocompile.losses import Activity, RateRegularization


def of_rates(*rates: float, steps: int = 20) -> torch.Tensor:
    """Make one sequence of neurons that fire at these rates."""
    return (torch.arange(steps)[:, None] < torch.tensor(rates) * steps).float()[None]


def test_the_formula() -> None:
    rates = (0.0, 0.05, 0.25, 0.9, 1.0)
    term = RateRegularization(target_rate=0.2, min_rate=0.1, max_rate=0.6, range_weight=3.0)
    expected = [(r - 0.2) ** 2 + 3 * (max(0.1 - r, 0) ** 2 + max(r - 0.6, 0) ** 2) for r in rates]
    loss, _ = term(Activity({"a": of_rates(*rates)}))
    assert loss.item() == pytest.approx(math.fsum(expected) / 5)


def test_on_target_nothing_is_lost() -> None:
    assert RateRegularization(0.25)(Activity({"a": of_rates(0.25, 0.25)}))[0].item() == 0


def test_each_layer_has_its_target_and_counts_alike() -> None:
    given = Activity({"wide": of_rates(*[0.3] * 50), "narrow": of_rates(0.2)})
    term = RateRegularization(0.3, {"narrow": 0.4})
    loss, numbers = term(given)
    assert loss.item() == pytest.approx(0.2**2 / 2)
    assert numbers["layers"]["wide"]["loss"] == pytest.approx(0, abs=1e-12)  # type: ignore[index]
    assert numbers["layers"]["narrow"]["loss"] == pytest.approx(0.2**2)  # type: ignore[index]
    assert numbers["rate"] == pytest.approx(0.25)


def test_a_target_for_a_layer_that_was_not_recorded() -> None:
    term = RateRegularization(layer_targets={"conv9": 0.1})
    with pytest.raises(DataError, match="names conv9") as raised:
        term(Activity({"conv1": spikes(1, 4, 2)}))
    assert "choose among conv1" in str(raised.value)
    with pytest.raises(DataError, match="no spikes were recorded") as raised:
        term(Activity(membranes={"conv1": spikes(1, 4, 2)}))
    assert len(raised.value.issues) == 2


def test_dead_and_saturated_neurons_are_those_of_all_sequences() -> None:
    train = torch.zeros(2, 4, 5)
    train[:, :, 0] = 1  # at every step
    train[0, :, 1] = 1  # at every step of one sequence
    train[0, 3, 2] = 1  # once
    train[0, 1, 3] = -1  # once, as it takes back
    _, numbers = RateRegularization()(Activity({"a": train}))
    assert numbers["dead"] == pytest.approx(1 / 5)
    assert numbers["saturated"] == pytest.approx(1 / 5)
    assert numbers["rate"] == pytest.approx((8 + 4 + 1 - 1) / 40)
    assert numbers["above"] == pytest.approx(3 / 10)
    assert numbers["below"] == pytest.approx(6 / 10)


def test_steps_that_are_not_valid_make_no_neuron_dead_or_saturated() -> None:
    train = torch.zeros(2, 4, 3)
    train[0, :2, 0] = train[1, :, 0] = 1  # at every valid step
    train[0, 2:, 1] = 1  # at no valid step
    train[1, 0, 2] = 1
    _, numbers = RateRegularization()(Activity({"a": train}, mask=ragged([2, 4], 4)))
    assert numbers["dead"] == pytest.approx(1 / 3)
    assert numbers["saturated"] == pytest.approx(1 / 3)
    assert numbers["rate"] == pytest.approx((2 + 0 + 0.25) / 6)


def test_a_silent_neuron_is_pulled_to_fire_and_a_saturated_one_not_to() -> None:
    train = of_rates(0.0, 1.0).requires_grad_()
    RateRegularization()(Activity({"a": train}))[0].backward()
    assert train.grad is not None
    assert train.grad[..., 0].lt(0).all()
    assert train.grad[..., 1].gt(0).all()


def test_every_option_is_checked_at_once() -> None:
    with pytest.raises(DataError) as raised:
        RateRegularization(1.5, {"a": -1, "b": True, "c": 0.5}, -0.1, 2, math.inf)
    named = [issue.problem.partition("=")[0] for issue in raised.value.issues]
    assert named == [
        "range_weight",
        "min_rate",
        "max_rate",
        "target_rate",
        "layer_targets['a']",
        "layer_targets['b']",
    ]


def test_the_range_holds_the_targets() -> None:
    with pytest.raises(DataError, match=r"target_rate=0\.05 is no number from 0\.1 to 0\.2"):
        RateRegularization(0.05, min_rate=0.1, max_rate=0.2)
    with pytest.raises(DataError, match=r"layer_targets\['a'\]=0.5 is no number from 0.1 to 0.2"):
        RateRegularization(0.15, {"a": 0.5}, min_rate=0.1, max_rate=0.2)
    with pytest.raises(DataError, match=r"min_rate=0\.3 is above max_rate=0\.2"):
        RateRegularization(min_rate=0.3, max_rate=0.2)


@pytest.mark.parametrize("targets", [[0.1], {1: 0.1}, None])
def test_layer_targets_are_names_and_rates(targets: object) -> None:
    with pytest.raises(DataError, match="does not give names of layers their rates"):
        RateRegularization(layer_targets=targets)  # type: ignore[arg-type]


def test_later_changes_of_the_targets_change_nothing() -> None:
    targets = {"a": 0.1}
    term = RateRegularization(layer_targets=targets)
    targets["a"] = 5
    assert term.layer_targets == {"a": 0.1}
