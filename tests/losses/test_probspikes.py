"""ProbSpikes: the cross-entropy of spike counts."""

import math

import pytest
import torch
from activities import ragged, spikes

from neurocompile.errors import DataError
from neurocompile.losses import Activity, ProbSpikes
from neurocompile.losses.probspikes import LEAST_TEMPERATURE


def trains(*counts: int, steps: int) -> torch.Tensor:
    """Let each neuron of one sequence fire so many times, from the first step on."""
    return (torch.arange(steps)[:, None] < torch.tensor(counts)).float()[None]


def loss(term: ProbSpikes, output: torch.Tensor, *targets: int) -> float:
    return term(Activity(output=output, targets=torch.tensor(targets)))[0].item()


@pytest.mark.parametrize("temperature", [0.05, 1.0, 7.0])
@pytest.mark.parametrize("normalize", [True, False])
def test_the_formula(temperature: float, normalize: bool) -> None:
    scores = [3 / (8 if normalize else 1), 0.0, 5 / (8 if normalize else 1)]
    partition = math.fsum(math.exp(score / temperature) for score in scores)
    for target, score in enumerate(scores):
        got = loss(ProbSpikes(temperature, normalize), trains(3, 0, 5, steps=8), target)
        assert got == pytest.approx(math.log(partition) - score / temperature, rel=1e-5)


def test_it_is_the_mean_over_sequences() -> None:
    output = spikes(3, 9, 4)
    alone = [loss(ProbSpikes(), output[i : i + 1], target) for i, target in enumerate((0, 3, 1))]
    assert loss(ProbSpikes(), output, 0, 3, 1) == pytest.approx(sum(alone) / 3)


@pytest.mark.parametrize("factor", [2, 10, 100])
def test_rates_do_not_scale_with_steps_and_counts_do(factor: int) -> None:
    once, longer = trains(1, 3, steps=4), trains(1, 3, steps=4).repeat(1, factor, 1)
    assert loss(ProbSpikes(), longer, 0) == pytest.approx(loss(ProbSpikes(), once, 0))
    counts = ProbSpikes(normalize=False)
    assert loss(counts, longer, 0) > 1.5 * loss(counts, once, 0)
    # They are rates at another temperature.
    assert loss(counts, longer, 0) == pytest.approx(loss(ProbSpikes(1 / (4 * factor)), longer, 0))


@pytest.mark.parametrize(("temperature", "floor"), [(1.0, 1.4612), (0.1, 4.085e-4)])
def test_the_documented_floor(temperature: float, floor: float) -> None:
    best = loss(ProbSpikes(temperature), trains(6, *[0] * 9, steps=6), 0)
    assert best == pytest.approx(math.log(1 + 9 * math.exp(-1 / temperature)), rel=1e-3)
    assert best == pytest.approx(floor, rel=1e-3)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("counts", [(0, 0, 0), (9, 9, 9)])
def test_equal_counts_are_a_guess_and_zero_is_no_nan(counts: tuple[int, ...], normalize: bool) -> None:
    output = trains(*counts, steps=9).requires_grad_()
    value, _ = ProbSpikes(normalize=normalize)(Activity(output=output, targets=torch.tensor([1])))
    value.backward()
    assert value.item() == pytest.approx(math.log(3))
    assert output.grad is not None
    # A silent network still learns.
    assert output.grad[0, :, 1].lt(0).all()
    assert output.grad[0, :, 0].gt(0).all()


def test_a_probability_that_underflows_is_no_infinity() -> None:
    # exp(-1 / 1e-4) is 0 in float64 too: its logarithm alone would be infinite.
    output = trains(5, 0, steps=5).requires_grad_()
    value, _ = ProbSpikes(1e-4)(Activity(output=output, targets=torch.tensor([1])))
    value.backward()
    assert value.item() == pytest.approx(1e4)
    assert output.grad is not None
    assert output.grad.isfinite().all()


def test_the_least_temperature_is_finite_in_float16() -> None:
    output = trains(5, 0, steps=5).half().requires_grad_()
    ProbSpikes(LEAST_TEMPERATURE)(Activity(output=output, targets=torch.tensor([1])))[0].backward()
    assert output.grad is not None
    assert output.grad.isfinite().all()
    with pytest.raises(DataError, match=r"is no number from 0\.0001"):
        ProbSpikes(LEAST_TEMPERATURE / 2)


def test_the_decision_is_by_scores_where_probabilities_are_equal() -> None:
    rule = ProbSpikes(1e8, normalize=False)
    _, numbers = rule(Activity(output=trains(3, 4, steps=5).float(), targets=torch.tensor([1])))
    assert numbers["accuracy"] == 1


def test_the_temperature_comes_before_the_softmax() -> None:
    output = trains(4, 1, steps=8)
    sharp, flat = (ProbSpikes(t)(Activity(output=output, targets=torch.tensor([0])))[1] for t in (0.1, 10.0))
    assert sharp["confidence"] == pytest.approx(1 / (1 + math.exp(-3 / 8 / 0.1)))
    assert flat["confidence"] == pytest.approx(1 / (1 + math.exp(-3 / 8 / 10)))


def test_the_mask_gives_each_sequence_its_own_number_of_steps() -> None:
    output = torch.cat([trains(2, 1, steps=8), trains(4, 2, steps=8)])
    given = Activity(output=output, targets=torch.tensor([0, 0]), mask=ragged([4, 8], 8))
    assert ProbSpikes()(given)[0].item() == pytest.approx(loss(ProbSpikes(), trains(2, 1, steps=4), 0))


def test_diagnostics() -> None:
    output = torch.cat(
        [trains(3, 1, steps=4), trains(0, 0, steps=4), trains(1, 2, steps=4), trains(1, 2, steps=4)]
    )
    _, numbers = ProbSpikes()(Activity(output=output, targets=torch.tensor([0, 1, 1, 0])))
    assert numbers["silent"] == 0.25
    assert numbers["accuracy"] == 0.5


@pytest.mark.parametrize("temperature", [0, -1.0, 1e-8, math.nan, math.inf, "1", True])
def test_the_temperature_is_checked(temperature: object) -> None:
    with pytest.raises(DataError, match="probspikes: temperature="):
        ProbSpikes(temperature)  # type: ignore[arg-type]


def test_every_option_is_checked_at_once() -> None:
    with pytest.raises(DataError) as raised:
        ProbSpikes(0, "yes")  # type: ignore[arg-type]
    assert len(raised.value.issues) == 2


def test_it_tells_what_is_missing() -> None:
    with pytest.raises(DataError) as raised:
        ProbSpikes()(Activity({"a": spikes(2, 3, 4)}))
    assert [issue.problem for issue in raised.value.issues] == ["no output was recorded", "no targets were given"]
