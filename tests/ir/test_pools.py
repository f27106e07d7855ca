from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from ir.streams import flat
from ir.windows import every_window, shape_for, torch_max

from neurocompile.ir import Array
from neurocompile.ir.kernels import Window
from neurocompile.ir.processes import (
    SpikeMaxPool,
)

RNG = np.random.default_rng(0)
SPIKES = RNG.random((7, 2, 4, 6, 5)) < 0.4


def max_pool(stream: Array, window: Window) -> Array:
    return SpikeMaxPool(window.kernel, window.stride, window.padding, window.dilation).run(stream)


@every_window
def test_max_pool_has_fired_as_often_as_the_first_of_each_window(window: Window) -> None:
    spikes = RNG.random((6, 2, *shape_for(window))) < 0.4
    fired = np.cumsum(max_pool(spikes, window), axis=0)
    np.testing.assert_array_equal(flat(fired), torch_max(flat(np.cumsum(spikes, axis=0)), window))


def test_max_pool_of_spikes_gives_spikes() -> None:
    assert max_pool(SPIKES, Window((2, 2), (2, 2))).dtype == np.bool_


def test_max_pool_of_signed_spikes() -> None:
    stream = RNG.integers(-1, 2, (9, 2, 1, 4, 5)).astype(np.int8)
    pooled = SpikeMaxPool((2, 2), (2, 2)).run(stream)
    totals = np.cumsum(stream.astype(np.int64), axis=0)[..., :4]
    largest = totals.reshape(9, 2, 1, 2, 2, 2, 2).max(axis=(4, 6))
    np.testing.assert_array_equal(np.cumsum(pooled.astype(np.int64), axis=0), largest)


def test_a_pool_that_fires_when_any_input_does_is_wrong() -> None:
    """Of two neurons that take turns each fires at half of the steps, and so does their maximum."""
    spikes = np.array([[1, 0], [0, 1]] * 4, bool).reshape(8, 1, 1, 2)
    assert np.any(spikes, axis=-1).mean() == 1
    assert SpikeMaxPool((2,)).run(spikes).mean() == 0.5


@pytest.mark.parametrize("space", [(2,), (4, 4)])
@given(data=st.data())
def test_max_pool_of_digits_gives_digits_of_the_maximum(space: tuple[int, ...], data: st.DataObject) -> None:
    spikes = data.draw(hnp.arrays(np.int8, (6, 2, 1, *space), elements=st.integers(-1, 1)))
    window = Window((2,) * len(space), (2,) * len(space))
    pooled = SpikeMaxPool(window.kernel, window.stride, radix=2).run(spikes)
    assert pooled.dtype == np.int8
    assert np.abs(pooled).max() <= 1
    # By every step, too: so it can be sent on at once.
    worth = 2 ** np.arange(6).reshape(6, *[1] * (spikes.ndim - 1))
    totals, found = (np.cumsum(stream.astype(int) * worth[::-1], axis=0) for stream in (spikes, pooled))
    np.testing.assert_array_equal(flat(found), torch_max(flat(totals), window))


def test_a_pool_of_the_largest_digit_of_each_step_is_wrong() -> None:
    digits_of = np.array([[1, 0], [-1, 1], [0, 1]], np.int8)
    worth = np.array([4, 2, 1])
    assert worth @ digits_of.max(axis=1) == 7
    pooled = SpikeMaxPool((2,), radix=2).run(digits_of.reshape(3, 1, 1, 2))
    assert (worth @ digits_of).tolist() == [2, 3]
    assert worth @ pooled.reshape(3) == 3


@pytest.mark.parametrize("dtype", [np.int32, np.float64])
def test_max_pool_of_constant_currents_is_their_maximum(dtype: type) -> None:
    current = RNG.integers(-(10**6), 10**6, (2, 1, 4, 4)).astype(dtype)
    pooled = SpikeMaxPool((2, 2), (2, 2)).run(np.broadcast_to(current, (4000, 2, 1, 4, 4)))
    expected = current.reshape(2, 1, 2, 2, 2, 2).max(axis=(3, 5))
    np.testing.assert_array_equal(pooled, np.broadcast_to(expected, pooled.shape))
