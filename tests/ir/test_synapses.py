from __future__ import annotations

import numpy as np
import pytest
import torch
from ir.streams import check, conv, flat
from ir.windows import every_window, shape_for, torch_conv, torch_max, torch_sum

from neurocompile.ir import Array
from neurocompile.ir.kernels import Window
from neurocompile.ir.processes import (
    ConvSynapses,
    CurrentSum,
    LinearSynapses,
    PoolSynapses,
    ReshapeSynapses,
    ScaleSynapses,
    SpikeMaxPool,
    Synapses,
    WireSynapses,
)

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (5, 2, 3))
SPIKES = RNG.random((7, 2, 4, 6, 5)) < 0.4


@every_window
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_conv_synapses(window: Window, groups: int) -> None:
    spikes = RNG.random((5, 2, *shape_for(window))) < 0.4
    weight = RNG.normal(size=(8, 4 // groups, *window.kernel))
    check(conv(weight, window, groups=groups), torch_conv(flat(spikes), weight, window, groups), spikes)


def test_linear_synapses() -> None:
    weight, stream = RNG.normal(size=(3, 5)), RNG.normal(size=(4, 2, 5))
    check(LinearSynapses(weight), flat(stream) @ weight.T, stream)


@every_window
def test_pool_synapses_sum_windows(window: Window) -> None:
    spikes = RNG.random((5, 2, *shape_for(window))) < 0.4
    pool = PoolSynapses(window.kernel, window.stride, window.padding, window.dilation)
    check(pool, torch_sum(flat(spikes), window), spikes)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32])
def test_pool_synapses_sum_integers_without_overflow(dtype: type) -> None:
    total = PoolSynapses((4, 6), (1, 1)).run(np.full((1, 1, 1, 4, 6), 127, dtype))
    assert total.item() == 24 * 127


def test_pool_synapses_count_all_spikes_of_a_window() -> None:
    assert PoolSynapses((20, 20), (1, 1)).run(np.ones((1, 1, 1, 20, 20), np.bool_)).item() == 400


def test_pools_in_a_row_do_not_overflow() -> None:
    spikes = np.ones((1, 1, 1, 32, 32), np.bool_)
    halved = PoolSynapses((2, 2), (2, 2)).run(spikes)
    assert PoolSynapses((16, 16), (16, 16)).run(halved).item() == 32 * 32


def test_reshape_synapses() -> None:
    result = check(ReshapeSynapses((5, 24)), flat(SPIKES).reshape(14, 5, 24), SPIKES)
    assert result.dtype == np.bool_


@pytest.mark.parametrize("stream", [SPIKES, SPIKES.astype(np.int8), SPIKES * 0.5], ids=lambda s: s.dtype.name)
@pytest.mark.parametrize("silence", [False, True])
def test_wire_synapses_move_repeat_and_leave_out(stream: Array, silence: bool) -> None:
    index = RNG.integers(0, 120, (3, 50))
    if silence:
        index[RNG.random(index.shape) < 0.5] = -1
    wires = torch.from_numpy(flat(stream).reshape(14, -1))
    expected = [[wires[:, i] if i >= 0 else torch.zeros(14) for i in row] for row in index]
    result = check(WireSynapses(index), np.moveaxis(np.array(expected), -1, 0), stream)
    assert result.dtype == stream.dtype


@pytest.mark.parametrize("shape", [(), (5,), (4, 1, 1), (6, 1), (4, 6, 5)])
def test_scale_synapses_broadcast_against_one_image(shape: tuple[int, ...]) -> None:
    weight = RNG.normal(size=shape)
    check(ScaleSynapses(weight), flat(SPIKES) * np.broadcast_to(weight, (4, 6, 5)), SPIKES)


def shifted(sums: Array, exponent: int) -> Array:
    """Multiply by a power of two and round down, in Python's unbounded integers."""
    return np.vectorize(lambda s: int(s) << exponent if exponent >= 0 else int(s) >> -exponent, otypes=[np.int64])(
        sums
    )


@pytest.mark.parametrize("exponent", [0, 3, -2])
@pytest.mark.parametrize(
    ("dtype", "least", "most"),
    [
        (np.bool_, 0, 1),
        (np.int8, -128, 127),
        (np.uint8, 0, 255),
        (np.int32, -100, 100),
        (np.int32, -(2**14), 2**14),
    ],
)
def test_integer_synapses_are_exact(exponent: int, dtype: type, least: int, most: int) -> None:
    weight = RNG.integers(-127, 128, (5, 600)).astype(np.int8)
    received = RNG.integers(least, most + 1, (3, 2, 600))
    received[0, 0, :2] = least, most
    expected = shifted(np.einsum("tbi,oi->tbo", received.astype(np.int64), weight.astype(np.int64)), exponent)
    result = LinearSynapses(weight, exponent).run(received.astype(dtype))
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result, expected)


@every_window
def test_integer_convolutions_are_exact(window: Window) -> None:
    weight = RNG.integers(-127, 128, (3, 4, *window.kernel)).astype(np.int8)
    received = RNG.integers(-255, 256, (2, 2, *shape_for(window))).astype(np.int32)
    check(conv(weight, window, 1), 2 * torch_conv(flat(received), weight, window), received)


@pytest.mark.parametrize("shape", [(), (4, 1, 1), (4, 6, 5)])
def test_integer_scales_are_exact(shape: tuple[int, ...]) -> None:
    weight = RNG.integers(-127, 128, shape).astype(np.int8)
    received = RNG.integers(-(2**20), 2**20, (2, 2, 4, 6, 5)).astype(np.int32)
    check(ScaleSynapses(weight, -3), shifted(flat(received) * weight.astype(np.int64), -3), received)


@pytest.mark.parametrize(
    ("op", "gain"),
    [
        (LinearSynapses(np.array([[1.0, -2.0], [0.5, 0.25]])), 3.0),
        (ConvSynapses(np.array([[[1.0, -2.0], [3.0, 0.0]], [[0.0, 0.0], [0.0, -6.5]]])), 6.5),
        (ScaleSynapses(np.array([[[1.0]], [[-4.0]]])), 4.0),
        (LinearSynapses(np.full((1, 600), -127, np.int8), 3), 600 * 127.0),
    ],
)
def test_gain_is_the_largest_current_of_inputs_of_1(op: Synapses, gain: float) -> None:
    assert op.gain == gain


def test_graded_sums_beyond_32_bits_are_shifted_exactly() -> None:
    weight = np.full((1, 600), 127, np.int8)
    received = np.full((1, 1, 600), 100_000, np.int32)
    assert LinearSynapses(weight, -17).run(received).item() == (600 * 127 * 100_000) >> 17


@pytest.mark.parametrize(
    "op",
    [
        LinearSynapses(RNG.normal(size=(3, 4))),
        LinearSynapses(np.ones((3, 4), np.int8)),
        ScaleSynapses(np.ones(4)),
    ],
)
def test_streams_that_are_constant_in_time_are_computed_once(op: Synapses) -> None:
    dtype = np.int32 if op.weight.dtype == np.int8 else np.float64
    stream = np.broadcast_to(np.arange(8).reshape(2, 4).astype(dtype), (9, 2, 4))
    result = op.run(stream)
    assert result.strides[0] == 0
    np.testing.assert_array_equal(result, op.run(np.ascontiguousarray(stream)))


def test_connections_of_constant_streams_are_computed_once() -> None:
    stream = np.broadcast_to(SPIKES[0], SPIKES.shape)
    for op in (PoolSynapses((2, 2)), ReshapeSynapses((120,)), WireSynapses(np.array([3, -1, 7])), CurrentSum()):
        result = op.run(stream)
        assert result.strides[0] == 0
        np.testing.assert_array_equal(result, op.run(np.ascontiguousarray(stream)))


# --- Sums of currents


def test_current_sum() -> None:
    before = X.copy()
    np.testing.assert_array_equal(CurrentSum().run(X, X, X), X + X + X)
    np.testing.assert_array_equal(X, before)


def test_sum_of_one_constant_stream_and_another() -> None:
    constant = np.broadcast_to(X[0], X.shape)
    np.testing.assert_array_equal(CurrentSum().run(constant, X), X[0] + X)
    np.testing.assert_array_equal(CurrentSum().run(constant, constant), np.broadcast_to(2 * X[0], X.shape))


@pytest.mark.parametrize("count", [2, 255, 256, 300])
def test_spikes_that_meet_are_counted(count: int) -> None:
    spikes = np.ones((1, 1, 1), np.bool_)
    assert CurrentSum().run(*[spikes] * count).item() == count


@pytest.mark.parametrize("first", [np.bool_, np.int8, np.uint8, np.uint16, np.int32, np.float64])
@pytest.mark.parametrize("second", [np.bool_, np.int8, np.uint8, np.uint16, np.int32, np.float64])
def test_sums_of_any_types_do_not_overflow(first: type, second: type) -> None:
    most = {np.bool_: 1, np.int8: 127, np.uint8: 255, np.uint16: 65535, np.int32: 2**29, np.float64: 0.5}
    a, b = (np.full((2, 1, 3), most[dtype], dtype) for dtype in (first, second))
    assert CurrentSum().run(a, b).tolist() == [[[most[first] + most[second]] * 3]] * 2


def embedded(size: int, start: int, channels: int) -> WireSynapses:
    """Wires that put an image's channels into a larger image of the same space, (3, 4)."""
    index = np.full((channels, 3, 4), -1)
    index[start : start + size] = np.arange(size * 12).reshape(size, 3, 4)
    return WireSynapses(index)


def test_branches_side_by_side_reach_a_pool_as_small_numbers() -> None:
    parts = [RNG.random((9, 2, size, 3, 4)) < 0.4 for size in (2, 1, 3)]
    branches = [embedded(len(p[0, 0]), start, 6).run(p) for p, start in zip(parts, (0, 2, 3), strict=True)]
    together = CurrentSum().run(*branches)
    np.testing.assert_array_equal(together, np.concatenate(parts, axis=2))
    pooled = SpikeMaxPool((2, 2)).run(together)
    assert together.itemsize == pooled.itemsize == 1
    np.testing.assert_array_equal(pooled, SpikeMaxPool((2, 2)).run(np.concatenate(parts, axis=2)))


def test_pool_of_spikes_that_meet() -> None:
    counts = CurrentSum().run(*RNG.random((3, 8, 2, 1, 4, 4)) < 0.6)
    pooled = SpikeMaxPool((2, 2)).run(counts)
    totals = np.cumsum(counts.astype(int), axis=0)
    expected = torch_max(flat(totals), Window((2, 2)))
    np.testing.assert_array_equal(flat(np.cumsum(pooled.astype(int), axis=0)), expected)
    assert pooled.max() > 1
