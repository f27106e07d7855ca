"""Every gradient against finite differences, in float64."""

import torch
from activities import every_term, ragged
from torch import Tensor

from neurocompile.losses import Activity, LossConfig, LossTerm, SNNLossComposer

MASK = ragged([8, 5], 8)


def check(loss: LossTerm | SNNLossComposer, mask: Tensor | None) -> None:
    targets = torch.tensor([1, 0])

    def value(image: Tensor, hidden: Tensor, membranes: Tensor, output: Tensor) -> Tensor:
        given = Activity({"image": image, "hidden": hidden}, {"hidden": membranes}, output, targets, mask)
        result = loss(given)[0]
        assert result.dtype == torch.float64
        return result

    # Reals, so that nothing stands at an edge, where |x| has no derivative.
    generator = torch.Generator().manual_seed(7)
    inputs = [
        torch.randn(shape, dtype=torch.float64, generator=generator, requires_grad=True)
        for shape in ((2, 8, 1, 1), (2, 8, 2), (2, 8, 2), (2, 8, 2))
    ]
    assert torch.autograd.gradcheck(value, inputs)
    gradients = torch.autograd.grad(value(*inputs), inputs, allow_unused=True)
    assert any(gradient is not None and gradient.any() for gradient in gradients)


@every_term
def test_of_each_term(term: LossTerm) -> None:
    check(term, None)


@every_term
def test_of_each_term_in_a_ragged_batch(term: LossTerm) -> None:
    check(term, MASK)


def test_of_all_together() -> None:
    check(LossConfig(layer_targets={"hidden": 0.3}, temporal_window_size=2).composer(), MASK)
