"""Half precision: the rules by which the losses stay what they are in float32."""

import pytest
import torch
from activities import activity, changed, every_term
from torch.nn import functional

from neurocompile.losses import (
    Activity,
    ISIRegularization,
    LossConfig,
    LossTerm,
    MembraneRegularization,
    ProbSpikes,
    RateRegularization,
)

halves = pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
ROUNDING = {torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}


@halves
@every_term
def test_autocast_changes_nothing(term: LossTerm, half: torch.dtype) -> None:
    given = activity()
    outside = term(given)
    with torch.autocast("cpu", dtype=half):
        inside = term(given)
    assert inside[0].dtype == torch.float32
    assert inside[0].item() == outside[0].item()
    assert inside[1] == outside[1]


@halves
def test_spikes_in_half_precision_give_the_same_loss(half: torch.dtype) -> None:
    given = activity()
    config = LossConfig(w_membrane=0)
    expected, _ = config.composer()(given)
    with torch.autocast("cpu", dtype=half):
        loss, _ = config.composer()(changed(given, lambda x: x.to(half)))
    assert loss.dtype == torch.float32
    assert loss.item() == expected.item()


@halves
@pytest.mark.parametrize("scale", [1, 30, 1000])
def test_membranes_in_half_precision_differ_by_their_rounding(half: torch.dtype, scale: float) -> None:
    membranes = scale * torch.randn(4, 10, 50, generator=torch.Generator().manual_seed(1))
    term = MembraneRegularization()
    expected, _ = term(Activity(membranes={"a": membranes}))
    loss, _ = term(Activity(membranes={"a": membranes.to(half)}))
    bound = 2.01 * ROUNDING[half] * membranes.square().mean().item()
    assert 0 < abs(loss.item() - expected.item()) <= bound


@halves
@every_term
def test_gradients_in_half_precision(term: LossTerm, half: torch.dtype) -> None:
    gradients = []
    for dtype in (torch.float32, half):
        leaves: list[torch.Tensor] = []

        def leaf(x: torch.Tensor, dtype: torch.dtype = dtype, leaves: list[torch.Tensor] = leaves) -> torch.Tensor:
            leaves.append(x.to(half).to(dtype).requires_grad_())
            return leaves[-1]

        with torch.autocast("cpu", dtype=half):
            loss, _ = term(changed(activity(), leaf))
        loss.backward()
        gradients.append([x.grad for x in leaves if x.grad is not None])
    for exact, rounded in zip(*gradients, strict=True):
        assert rounded.dtype == half
        # Below 2 ** -14 float16 has fewer digits.
        torch.testing.assert_close(rounded.float(), exact, rtol=2 * ROUNDING[half], atol=2.0**-24)


def test_counts_beyond_the_largest_float16() -> None:
    output = torch.zeros(1, 66_000, 2, dtype=torch.float16)
    output[..., 0] = 1
    assert output.sum(dim=1).isinf().any()
    for term in (ProbSpikes(), ProbSpikes(1e4, normalize=False)):
        given = Activity(output=output, targets=torch.tensor([1]))
        loss, _ = term(given)
        exact, _ = term(changed(given, torch.Tensor.double))
        assert loss.item() == pytest.approx(exact.item(), rel=1e-6)
    assert RateRegularization()(Activity({"a": output}))[1]["rate"] == 0.5


def test_counts_that_bfloat16_can_not_tell_apart() -> None:
    output = torch.ones(1, 257, 2, dtype=torch.bfloat16)
    output[0, 0, 0] = 0
    counts = output.sum(dim=1)
    assert counts[0, 0] == counts[0, 1]
    _, numbers = ProbSpikes(normalize=False)(Activity(output=output, targets=torch.tensor([1])))
    assert numbers["accuracy"] == 1


@halves
def test_the_softmax_is_in_float32(half: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    cross_entropy = functional.cross_entropy

    def spy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        seen.append((logits.dtype, torch.is_autocast_enabled("cpu")))
        return cross_entropy(logits, targets)

    monkeypatch.setattr(functional, "cross_entropy", spy)
    with torch.autocast("cpu", dtype=half):
        ProbSpikes()(changed(activity(), lambda x: x.to(half)))
    assert seen == [(torch.float32, False)]


@halves
def test_the_kernel_and_the_convolution_are_in_float32(half: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(trains: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        result = torch.conv1d(trains, kernel)
        seen.append((trains.dtype, kernel.dtype, result.dtype))
        return result

    monkeypatch.setattr(functional, "conv1d", spy)
    with torch.autocast("cpu", dtype=half):
        # What autocast would do to it.
        assert torch.conv1d(torch.zeros(1, 1, 4), torch.zeros(1, 1, 2)).dtype == half
        ISIRegularization()(Activity({"a": activity().spikes["image"].to(half)}))
    assert seen == [(torch.float32,) * 3]
