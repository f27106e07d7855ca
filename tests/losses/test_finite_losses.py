"""Finite in, finite out: the losses, their gradients, and what is logged."""

import math
from collections.abc import Iterator

import torch
from activities import TERMS
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.losses import Activity, Diagnostics, ProbSpikes

seeds = st.integers(0, 2**32 - 1)
types = st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64])


def numbers(diagnostics: Diagnostics) -> Iterator[float]:
    for value in diagnostics.values():
        if isinstance(value, dict):
            yield from (number for layer in value.values() for number in layer.values())
        else:
            yield value


def check(inputs: Activity, leaves: list[torch.Tensor]) -> None:
    for term in (*TERMS, ProbSpikes(1e-4)):
        loss, diagnostics = term(inputs)
        assert loss.isfinite()
        assert all(map(math.isfinite, numbers(diagnostics)))
        gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
        assert all(gradient.isfinite().all() for gradient in gradients if gradient is not None)


@given(
    seeds, types, st.sampled_from([0, 0.1, 1]), st.sampled_from([0, 1, 1e3, 3e4]), st.integers(1, 3), st.booleans()
)
def test_of_spikes(seed: int, dtype: torch.dtype, rate: float, scale: float, size: int, signed: bool) -> None:
    generator = torch.Generator().manual_seed(seed)

    def train(*shape: int) -> torch.Tensor:
        spikes = (torch.rand(shape, generator=generator) < rate).to(dtype)
        if signed:
            spikes *= torch.randint(2, shape, generator=generator) * 2 - 1
        return spikes.requires_grad_()

    membranes = (scale * (2 * torch.rand((size, 7, 2), generator=generator) - 1)).to(dtype).requires_grad_()
    mask = torch.rand((size, 7), generator=generator) < 0.7
    mask[:, 0] = True
    hidden, output = train(size, 7, 2), train(size, 7, 3)
    targets = torch.randint(3, (size,), generator=generator)
    check(Activity({"hidden": hidden}, {"hidden": membranes}, output, targets, mask), [hidden, membranes, output])


@given(seeds, st.integers(-38, 15))
def test_of_reals_up_to_1e15(seed: int, magnitude: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    hidden, membranes, output = (
        (10.0**magnitude * (2 * torch.rand((2, 6, 3), generator=generator) - 1)).requires_grad_() for _ in range(3)
    )
    targets = torch.randint(3, (2,), generator=generator)
    check(Activity({"hidden": hidden}, {"hidden": membranes}, output, targets), [hidden, membranes, output])
