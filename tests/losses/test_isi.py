"""Regularisation of the intervals between spikes."""

import math

import pytest
import torch
from activities import ragged, spikes
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from neurocompile.errors import DataError
from neurocompile.losses import Activity, ISIRegularization


def naive(train: torch.Tensor, valid: torch.Tensor, window: int, tau: float) -> tuple[float, float]:
    """Compute the loss and the fraction of violations by loops."""
    size, steps, neurons = train.shape
    total, fired, violations = 0.0, 0, 0
    for b in range(size):
        of_sequence = 0.0
        for n in range(neurons):
            for t in range(steps):
                if not valid[b, t] or not train[b, t, n]:
                    continue
                earlier = [k for k in range(1, window + 1) if t >= k and valid[b, t - k] and train[b, t - k, n]]
                of_sequence += math.fsum(math.exp(-k / tau) for k in earlier)
                fired += 1
                violations += bool(earlier)
        total += of_sequence / int(valid[b].sum())
    return total / (size * neurons), violations / fired if fired else 0.0


@given(st.integers(1, 14), st.integers(1, 8), st.floats(0.3, 5), st.integers(0, 99), st.data())
def test_against_loops(steps: int, window: int, tau: float, seed: int, data: st.DataObject) -> None:
    train = spikes(2, steps, 3, rate=0.4, seed=seed)
    row = st.lists(st.booleans(), min_size=steps, max_size=steps).filter(any)
    mask = torch.tensor(data.draw(st.lists(row, min_size=2, max_size=2)))
    loss, numbers = ISIRegularization(window, tau)(Activity({"a": train}, mask=mask))
    expected, violations = naive(train, mask, window, tau)
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    assert numbers["violations"] == pytest.approx(violations)


@pytest.mark.parametrize("interval", [1, 2, 3, 4])
def test_a_pair_costs_what_its_interval_says(interval: int) -> None:
    train = torch.zeros(1, 10, 1)
    train[0, [2, 2 + interval]] = 1
    expected = math.exp(-interval / 2) / 10 if interval <= 3 else 0
    loss, numbers = ISIRegularization(3, tau=2.0)(Activity({"a": train}))
    assert loss.item() == pytest.approx(expected)
    assert numbers["violations"] == (0.5 if interval <= 3 else 0)


def test_a_spike_that_is_taken_back_is_one_that_follows() -> None:
    train = torch.tensor([1.0, -1.0, 1.0, 0.0]).reshape(1, 4, 1)
    signed, plain = (ISIRegularization()(Activity({"a": t})) for t in (train, train.abs()))
    assert signed[0].item() == plain[0].item() > 0
    assert signed[1]["violations"] == plain[1]["violations"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(("window", "tau", "apart"), [(200, 1.0, 150), (3, 0.02, 3)])
def test_violations_are_counted_where_they_cost_nothing(window: int, tau: float, apart: int) -> None:
    train = torch.zeros(1, 300, 1)
    train[0, [10, 10 + apart]] = 1
    assert ISIRegularization(window, tau)(Activity({"a": train}))[1]["violations"] == 0.5


@pytest.mark.parametrize("step", [0, 4, 9])
def test_a_spike_is_not_its_own_neighbour(step: int) -> None:
    train = torch.zeros(1, 10, 1)
    train[0, step] = 1
    assert ISIRegularization()(Activity({"a": train}))[0].item() == 0


def test_the_gradient_is_the_price_of_one_more_spike() -> None:
    """The gradient at a silent step is the price of a spike there: the same before the spike and after it."""
    train = torch.zeros(1, 9, 1)
    train[0, 4] = 1
    train.requires_grad_()
    ISIRegularization(2, tau=1.0)(Activity({"a": train}))[0].backward()
    assert train.grad is not None
    price = [0, 0, math.exp(-2), math.exp(-1), 0, math.exp(-1), math.exp(-2), 0, 0]
    assert train.grad.flatten().tolist() == pytest.approx([p / 9 for p in price])


def test_the_documented_maximum_and_its_edge() -> None:
    most = math.fsum(math.exp(-k) for k in (1, 2, 3))
    losses = [ISIRegularization()(Activity({"a": torch.ones(1, steps, 1)}))[0].item() for steps in (10, 100, 1000)]
    for steps, loss in zip((10, 100, 1000), losses, strict=True):
        assert most * (1 - 3 / steps) <= loss <= most


@pytest.mark.parametrize(("steps", "neurons"), [(4, 1), (4, 3000), (64, 100)])
def test_one_convolution_for_all_neurons_and_steps(
    steps: int, neurons: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []

    def conv1d(trains: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        shapes.append((tuple(trains.shape), tuple(kernel.shape)))
        return torch.conv1d(trains, kernel)

    monkeypatch.setattr(functional, "conv1d", conv1d)
    ISIRegularization(3)(Activity({"a": spikes(2, steps, neurons)}))
    assert shapes == [((2 * neurons, 1, steps + 2), (1, 1, 3))]


def test_a_window_longer_than_the_sequence() -> None:
    loss, _ = ISIRegularization(50, tau=1.0)(Activity({"a": torch.ones(1, 2, 1)}))
    assert loss.item() == pytest.approx(math.exp(-1) / 2)


def test_spikes_at_steps_that_are_not_valid_are_no_neighbours() -> None:
    loss, numbers = ISIRegularization()(Activity({"a": torch.ones(1, 5, 2)}, mask=ragged([1], 5)))
    assert (loss.item(), numbers["violations"]) == (0, 0)


def test_every_option_is_checked_at_once() -> None:
    with pytest.raises(DataError) as raised:
        ISIRegularization(1.5, 0)  # type: ignore[arg-type]
    assert [issue.problem for issue in raised.value.issues] == [
        "refractory_window=1.5 is no whole number from 1",
        "tau=0 is no number above 0",
    ]
