"""Regularisation of membranes."""

import pytest
import torch
from activities import ragged, spikes

from neurocompile.errors import DataError
from neurocompile.losses import Activity, MembraneRegularization


def test_the_formula() -> None:
    membranes = torch.tensor([[0.0, 2.0], [-3.0, 2.5]])[None]
    loss, numbers = MembraneRegularization(2.0)(Activity(membranes={"a": membranes}))
    assert loss.item() == pytest.approx((1 + 0.25) / 4)
    assert numbers["largest"] == 3
    assert numbers["beyond"] == 0.5


def test_the_gradient_points_back_within_bounds() -> None:
    membranes = torch.tensor([-3.0, -2.0, 0.0, 1.9, 4.0])[None, None].requires_grad_()
    MembraneRegularization()(Activity(membranes={"a": membranes}))[0].backward()
    assert membranes.grad is not None
    assert membranes.grad.flatten().tolist() == pytest.approx([-0.4, 0, 0, 0, 0.8])


def test_a_bound_of_0_has_no_edge() -> None:
    membranes = torch.zeros(1, 2, 3, requires_grad=True)
    loss, numbers = MembraneRegularization(0)(Activity(membranes={"a": membranes}))
    loss.backward()
    assert membranes.grad is not None
    assert not membranes.grad.any()
    assert numbers["beyond"] == 0


def test_only_valid_steps_count() -> None:
    membranes = torch.full((2, 4, 1), 3.0)
    membranes[0, 1:] = torch.inf
    loss, numbers = MembraneRegularization()(Activity(membranes={"a": membranes}, mask=ragged([1, 4], 4)))
    assert (loss.item(), numbers["largest"], numbers["beyond"]) == (1, 3, 1)


def test_it_needs_membranes() -> None:
    with pytest.raises(DataError, match="membrane: no membranes were recorded"):
        MembraneRegularization()(Activity({"a": spikes(1, 2, 3)}))


def test_the_bound_is_checked() -> None:
    with pytest.raises(DataError, match="membrane: max_membrane=-1 is no number from 0"):
        MembraneRegularization(-1)
