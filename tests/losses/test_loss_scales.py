"""What a loss does not depend on: the numbers of sequences, steps, neurons and layers, and what the mask hides."""

import pytest
import torch
from activities import TERMS, activity, changed, every_term, ragged, sequence, value

from neurocompile.losses import Activity, LossTerm, ProbSpikes


@every_term
def test_sequences_given_twice(term: LossTerm) -> None:
    given = activity()
    assert given.targets is not None
    twice = changed(Activity(given.spikes, given.membranes, given.output), lambda x: torch.cat([x, x]))
    twice = Activity(twice.spikes, twice.membranes, twice.output, torch.cat([given.targets, given.targets]))
    assert value(term, twice) == pytest.approx(value(term, given), rel=1e-5)


@every_term
def test_neurons_and_layers_given_twice(term: LossTerm) -> None:
    given = activity()
    spikes = {name: torch.cat([x, x], dim=2) for name, x in given.spikes.items()}
    membranes = {name: torch.cat([x, x], dim=2) for name, x in given.membranes.items()}
    wider = Activity(spikes, membranes, given.output, given.targets)
    assert value(term, wider) == pytest.approx(value(term, given), rel=1e-5)
    # A layer that is there once more, under a name of its own with the same target.
    if getattr(term, "layer_targets", {}):
        return
    more = Activity(
        {**given.spikes, **{f"{name} again": x for name, x in given.spikes.items()}},
        {**given.membranes, **{f"{name} again": x for name, x in given.membranes.items()}},
        given.output,
        given.targets,
    )
    assert value(term, more) == pytest.approx(value(term, given), rel=1e-5)


@pytest.mark.parametrize("name", ["probspikes", "rate_reg", "membrane"])
@pytest.mark.parametrize("factor", [2, 25])
def test_steps_given_again_and_again(name: str, factor: int) -> None:
    for term in TERMS:
        if term.name == name and term != ProbSpikes(normalize=False):
            longer = changed(activity(), lambda x: x.repeat(1, factor, *[1] * (x.dim() - 2)))
            assert value(term, longer) == pytest.approx(value(term, activity()), rel=1e-4)


@pytest.mark.parametrize("name", ["temporal", "isi"])
def test_steps_of_a_stationary_train(name: str) -> None:
    """These look at several steps: over long trains they agree as far as chance and the first steps let them."""
    for term in TERMS:
        if term.name == name:
            short, long = (value(term, activity(8, steps, seed=3)) for steps in (120, 1200))
            assert long == pytest.approx(short, rel=0.15)


@every_term
def test_a_ragged_batch_is_the_mean_of_its_sequences(term: LossTerm) -> None:
    lengths = [12, 7, 9]
    mask = ragged(lengths, 12)
    full = activity(mask=mask)

    def hidden(x: torch.Tensor) -> torch.Tensor:
        return x.masked_fill(~mask.reshape(3, 12, *[1] * (x.dim() - 2)), torch.nan)

    alone = [value(term, sequence(full, i, length)) for i, length in enumerate(lengths)]
    assert value(term, changed(full, hidden)) == pytest.approx(sum(alone) / 3, rel=1e-5)
    assert value(term, full) == pytest.approx(sum(alone) / 3, rel=1e-5)


@every_term
def test_what_the_mask_hides_gets_no_gradient(term: LossTerm) -> None:
    mask = ragged([12, 7, 9], 12)
    leaves: list[torch.Tensor] = []

    def leaf(x: torch.Tensor) -> torch.Tensor:
        # NaN, where a product with 0 would be NaN too.
        x = x.masked_fill(~mask.reshape(3, 12, *[1] * (x.dim() - 2)), torch.nan).requires_grad_()
        leaves.append(x)
        return x

    loss, _ = term(changed(activity(mask=mask), leaf))
    loss.backward()
    reached = [x.grad for x in leaves if x.grad is not None]
    assert reached
    for gradient in reached:
        assert gradient.isfinite().all()
        assert not gradient[~mask].any()
