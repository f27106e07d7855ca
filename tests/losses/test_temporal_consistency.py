"""Regularisation of how a rate changes over time."""

import itertools
import statistics

import pytest
import torch
from activities import ragged, spikes
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.errors import DataError
from neurocompile.losses import Activity, TemporalConsistency

PENALTIES = ["l1", "l2", "variance"]


def naive(train: list[float], valid: list[bool], window: int, penalty: str) -> float | None:
    """Compute the penalty of one neuron by loops; None where there is nothing to compare."""
    rates = []
    for start in range(0, len(train) - window + 1, window):
        whole = all(valid[start : start + window])
        rates.append(statistics.fmean(train[start : start + window]) if whole else None)
    if penalty == "variance":
        known = [rate for rate in rates if rate is not None]
        return statistics.pvariance(known) if len(known) > 1 else None
    pairs = [(a, b) for a, b in itertools.pairwise(rates) if a is not None and b is not None]
    power = 1 if penalty == "l1" else 2
    return statistics.fmean(abs(b - a) ** power for a, b in pairs) if pairs else None


@given(st.data(), st.sampled_from(PENALTIES), st.integers(1, 4), st.integers(0, 99))
def test_against_loops(data: st.DataObject, penalty: str, window: int, seed: int) -> None:
    steps = data.draw(st.integers(2 * window, 12))
    # Masks may have gaps.
    row = st.lists(st.booleans(), min_size=steps, max_size=steps).filter(any)
    mask = data.draw(st.lists(row, min_size=3, max_size=3))
    train = spikes(3, steps, 2, seed=seed)
    loss, numbers = TemporalConsistency(window, penalty)(  # type: ignore[arg-type]
        Activity({"a": train}, mask=torch.tensor(mask))
    )
    sequences = [
        statistics.fmean(costs)
        for b in range(3)
        if None not in (costs := [naive(train[b, :, n].tolist(), mask[b], window, penalty) for n in range(2)])
    ]
    assert numbers["compared"] == pytest.approx(len(sequences) / 3)
    assert loss.item() == pytest.approx(statistics.fmean(sequences) if sequences else 0, abs=1e-6)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_a_steady_rate_costs_nothing(penalty: str) -> None:
    steady = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0])[None, :, None]
    loss, numbers = TemporalConsistency(2, penalty)(Activity({"a": steady}))  # type: ignore[arg-type]
    assert loss.item() == 0
    assert numbers["largest_change"] == 0


@pytest.mark.parametrize(("penalty", "cost"), [("l1", 1.0), ("l2", 1.0), ("variance", 0.25)])
@pytest.mark.parametrize("steps", [8, 80, 800])
def test_flicker_costs_the_same_however_long_it_lasts(penalty: str, cost: float, steps: int) -> None:
    flicker = (torch.arange(steps) // 2 % 2).float()[None, :, None]
    loss, numbers = TemporalConsistency(2, penalty)(Activity({"a": flicker}))  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(cost)
    assert numbers["largest_change"] == 1


def test_a_longer_window_sees_less_flicker() -> None:
    train = spikes(4, 60, 10)
    costs = [TemporalConsistency(w)(Activity({"a": train}))[0].item() for w in (1, 2, 5, 10)]
    assert costs == sorted(costs, reverse=True)


def test_what_is_left_over_does_not_count() -> None:
    train = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0])[None, :, None]
    assert TemporalConsistency(2)(Activity({"a": train}))[0].item() == 0


def test_sequences_too_short_to_compare_do_not_count() -> None:
    train = torch.tensor([1.0, 1.0, 0.0, 0.0])[None, :, None].repeat(2, 1, 1).requires_grad_()
    loss, numbers = TemporalConsistency(2)(Activity({"a": train}, mask=ragged([3, 4], 4)))
    assert (loss.item(), numbers["compared"]) == (1, 0.5)
    loss, numbers = TemporalConsistency(2)(Activity({"a": train}, mask=ragged([3, 3], 4)))
    assert (loss.item(), numbers["compared"]) == (0, 0)
    loss.backward()
    assert train.grad is not None
    assert not train.grad.any()


@pytest.mark.parametrize(("steps", "remedy"), [(5, "a window_size up to 2"), (1, "run more steps")])
def test_too_few_steps_for_two_windows(steps: int, remedy: str) -> None:
    with pytest.raises(DataError, match=f"{steps} steps do not hold two windows of window_size=3") as raised:
        TemporalConsistency(3)(Activity({"a": spikes(1, steps, 2)}))
    assert remedy in str(raised.value)


def test_every_option_is_checked_at_once() -> None:
    with pytest.raises(DataError) as raised:
        TemporalConsistency(0, "l3")  # type: ignore[arg-type]
    assert [issue.problem for issue in raised.value.issues] == [
        "window_size=0 is no whole number from 1",
        "penalty_type='l3' is no choice",
    ]
