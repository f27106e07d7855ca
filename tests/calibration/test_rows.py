from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.calibration import rows as module
from neurocompile.calibration.rows import groups, inputs_at, outputs_at, places
from neurocompile.ir import Array
from neurocompile.ir.layers import Conv, Linear
from neurocompile.ir.processes import ConvSynapses, LinearSynapses

Weighted = Conv | Linear | ConvSynapses | LinearSynapses


def conv(seed: int, out: int, shape: tuple[int, ...], **window: tuple[int, ...] | int) -> Conv:
    rng = np.random.default_rng(seed)
    return Conv(rng.normal(size=(out, *shape)), rng.normal(size=out), **window)  # type: ignore[arg-type]


CASES = {
    "one axis": (conv(0, 4, (3, 3)), (3, 9)),
    "two axes": (conv(1, 4, (2, 3, 2)), (2, 6, 5)),
    "three axes": (conv(2, 4, (2, 2, 1, 3)), (2, 4, 3, 5)),
    "stride": (conv(3, 4, (2, 2, 2), stride=(2, 3)), (2, 7, 8)),
    "padding": (conv(4, 4, (2, 3, 3), padding=(2, 0, 1, 3)), (2, 5, 4)),
    "dilation": (conv(5, 4, (2, 2, 3), dilation=(3, 2)), (2, 6, 7)),
    "groups": (conv(6, 6, (2, 2, 2), groups=3), (6, 4, 5)),
    "depthwise": (conv(7, 8, (1, 3, 3), groups=4, padding=(1, 1, 1, 1), stride=(2, 1)), (4, 5, 6)),
    "all of it": (
        conv(8, 4, (2, 3, 2), stride=(2, 1), padding=(1, 2, 0, 1), dilation=(1, 2), groups=2),
        (4, 8, 6),
    ),
    "linear": (Linear(np.random.default_rng(9).normal(size=(4, 6)), np.ones(4)), (6,)),
}


def without_bias(op: Conv | Linear, x: Array) -> Array:
    bias = op.bias.reshape(-1, *[1] * (x.ndim - 2))
    return op.run(x) - bias


@pytest.mark.parametrize(("op", "shape"), CASES.values(), ids=CASES)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 6))
def test_rows_times_weights_are_what_the_layer_computes_there(
    op: Conv | Linear, shape: tuple[int, ...], seed: int, count: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, *shape))
    y = without_bias(op, x)
    space = int(np.prod(y.shape[2:]))
    at = rng.choice(space, min(count, space), replace=False)
    weight = op.weight.reshape(groups(op), -1, op.weight[0].size)
    found = inputs_at(op, x, at) @ np.swapaxes(weight, 1, 2)
    by_place = y.reshape(3, groups(op), -1, space)
    for group in range(groups(op)):
        expected = [by_place[image, group, :, place] for image in range(3) for place in at]
        np.testing.assert_allclose(found[group], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("op", "shape"), CASES.values(), ids=CASES)
def test_outputs_come_in_the_order_of_the_rows(op: Conv | Linear, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=(3, *shape))
    y = without_bias(op, x)
    at = places(op, y.shape[1:], 3, 0)
    weight = op.weight.reshape(groups(op), -1, op.weight[0].size)
    np.testing.assert_allclose(
        outputs_at(op, y, at), inputs_at(op, x, at) @ np.swapaxes(weight, 1, 2), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize(("op", "shape"), CASES.values(), ids=CASES)
def test_synapses_have_the_rows_of_their_layer(op: Conv | Linear, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=(2, *shape))
    synapses = (
        ConvSynapses(op.weight, stride=op.stride, padding=op.padding, dilation=op.dilation, groups=op.groups)
        if isinstance(op, Conv)
        else LinearSynapses(op.weight)
    )
    shape = op.run(x).shape[1:]
    at = places(op, shape, 2, 0)
    np.testing.assert_array_equal(places(synapses, shape, 2, 0), at)
    np.testing.assert_array_equal(inputs_at(synapses, x, at), inputs_at(op, x, at))


def test_spikes_become_numbers() -> None:
    spikes = np.array([[[True, False, True]]])
    rows = inputs_at(ConvSynapses(np.ones((1, 1, 2))), spikes, np.array([0, 1]))
    assert rows.dtype == np.float64
    assert rows.tolist() == [[[1, 0], [0, 1]]]


def test_all_places_where_there_are_few() -> None:
    op, _ = CASES["two axes"]
    assert places(op, (4, 4, 4), 10, 0).tolist() == list(range(16))
    assert places(CASES["linear"][0], (4,), 10, 0).tolist() == [0]


def test_some_places_where_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 100)
    op, _ = CASES["two axes"]
    found = places(op, (4, 20, 20), 10, 3)
    assert len(set(found.tolist())) == 10
    assert found.tolist() == sorted(found.tolist())
    assert 0 <= found.min() <= found.max() < 400
    np.testing.assert_array_equal(places(op, (4, 20, 20), 10, 3), found)
    assert np.any(places(op, (4, 20, 20), 10, 4) != found)
    assert len(places(op, (4, 20, 20), 1000, 3)) == 1
