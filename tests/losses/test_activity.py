"""What the losses read, and what does not fit."""

import numpy as np
import pytest
import torch
from activities import ragged, spikes

from neurocompile.errors import DataError
from neurocompile.losses import Activity, RateRegularization


def test_any_real_type_becomes_float32_and_float64_stays() -> None:
    types = [torch.bool, torch.uint8, torch.int8, torch.int64, torch.float16, torch.bfloat16, torch.float32]
    train = spikes(2, 6, 3)
    for dtype in types:
        given = Activity({"a": train.to(dtype)})
        assert given.flat(given.spikes["a"]).dtype == torch.float32
        assert torch.equal(given.flat(given.spikes["a"]), train)
    assert Activity({"a": train}).flat(train.double()).dtype == torch.float64


def test_layers_are_flat_in_the_order_of_their_neurons() -> None:
    images = spikes(2, 5, 3, 4)
    assert torch.equal(Activity({"a": images}).flat(images)[1, 2], images[1, 2].flatten())
    last = spikes(10, 3, 4, 2).contiguous(memory_format=torch.channels_last).reshape(2, 5, 3, 4, 2)
    flat = Activity({"a": last}).flat(last)
    assert flat.data_ptr() == last.data_ptr()
    assert torch.equal(flat.reshape(2, 5, 4, 2, 3), last.permute(0, 1, 3, 4, 2))
    lone = spikes(2, 5)
    assert Activity({"a": lone}).flat(lone).shape == (2, 5, 1)


def test_the_mask_hides_whatever_stands_there() -> None:
    mask = ragged([2, 5], 5)
    values = torch.ones(2, 5, 3)
    values[0, 2:] = torch.nan
    given = Activity({"a": values}, mask=mask)
    assert torch.equal(given.flat(values), mask[..., None].float().expand(2, 5, 3))
    assert torch.equal(given.valid, mask)
    assert Activity({"a": values}).valid.all()


def test_every_misfit_is_told_at_once() -> None:
    with pytest.raises(DataError) as raised:
        Activity(
            spikes={
                "flat": torch.zeros(3),
                "good": torch.zeros(2, 6, 4),
                "time-first": torch.zeros(6, 2, 4),
                "empty": torch.zeros(2, 6, 0),
            },
            membranes={"complex": torch.zeros(2, 6, 4, dtype=torch.complex64)},
            output=torch.zeros(2, 6),
            targets=torch.zeros(3, dtype=torch.int64),
            mask=torch.ones(2, 5, dtype=torch.bool),
        )
    text = str(raised.value)
    assert len(raised.value.issues) == 7
    for part in (
        "node 'flat': spikes: torch.float32 of the shape (3,)",
        "node 'time-first': spikes: (B, T) is (6, 2), and (2, 6) before",
        "node 'empty': spikes: torch.float32 of the shape (2, 6, 0)",
        "node 'complex': membranes: torch.complex64",
        "output: the shape is (2, 6)",
        "targets: torch.int64 of the shape (3,)",
        "mask: torch.bool of the shape (2, 5)",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("targets", "problem"),
    [
        (torch.tensor([0.0, 1.0]), "torch.float32 of the shape"),
        (torch.tensor([True, False]), "torch.bool of the shape"),
        (torch.tensor([0, 4]), "from 0 to 4, and there are 4 classes"),
        (torch.tensor([-1, 3]), "from -1 to 3, and there are 4 classes"),
    ],
)
def test_targets_are_classes(targets: torch.Tensor, problem: str) -> None:
    with pytest.raises(DataError, match="targets: ") as raised:
        Activity(output=spikes(2, 6, 4), targets=targets)
    assert problem in str(raised.value)


def test_a_target_below_0_is_refused_without_an_output_too() -> None:
    with pytest.raises(DataError, match="from -2 to 7"):
        Activity({"a": spikes(2, 6, 4)}, targets=torch.tensor([-2, 7]))


def test_a_sequence_has_a_valid_step() -> None:
    with pytest.raises(DataError, match="the sequences 1, 2 have no valid step"):
        Activity({"a": spikes(3, 6, 4)}, mask=ragged([6, 0, 0], 6))
    with pytest.raises(DataError, match=r"mask: torch\.float32"):
        Activity({"a": spikes(3, 6, 4)}, mask=torch.ones(3, 6))


def test_no_activity_is_refused() -> None:
    with pytest.raises(DataError, match="no activity was recorded"):
        Activity()


def test_every_array_that_is_no_tensor_is_told() -> None:
    spikes = torch.zeros(2, 3, 4)
    with pytest.raises(DataError) as raised:
        Activity({"a": spikes.numpy(), "b": spikes}, targets=[0, 1], mask=np.ones((2, 3), bool))  # type: ignore[dict-item, arg-type]
    assert [str(issue).splitlines()[0] for issue in raised.value.issues] == [
        "node 'a': spikes: a ndarray is no tensor",
        "targets: a list is no tensor",
        "mask: a ndarray is no tensor",
    ]


def test_losses_on_a_device_without_autocast() -> None:
    activity = Activity({"a": torch.zeros(2, 3, 4, device="meta")})
    assert RateRegularization().loss(activity).device.type == "meta"
