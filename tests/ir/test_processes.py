from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurocompile.errors import GraphError
from neurocompile.ir import Array, Op, TensorType
from neurocompile.ir.fixed_point import CURRENT_MAX, MEMBRANE_MAX
from neurocompile.ir.layers import AvgPool, Conv, Linear
from neurocompile.ir.processes import (
    ConvSynapses,
    CurrentSum,
    Decoder,
    Encoder,
    FlattenSynapses,
    IntegrateAndFire,
    LinearSynapses,
    PoolSynapses,
    Reset,
    ScaleSynapses,
    SpikeMaxPool,
    Synapses,
)

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (5, 2, 3))
SPIKES = RNG.random((7, 2, 4, 6, 5)) < 0.4


def fire(current: list[float], bias: float, threshold: float, v_init: float, reset: Reset) -> list[bool]:
    """One neuron, step by step, in Python's floats."""
    v, spikes = v_init, []
    for a in current:
        v = v + a + bias
        spikes.append(v > threshold)
        if spikes[-1]:
            v = v - threshold if reset == "subtract" else 0.0
    return spikes


def fire_integer(current: list[int], bias: int, threshold: int, v_init: int, reset: Reset) -> list[bool]:
    """One neuron, step by step, in Python's unbounded integers, wrapped and clipped at 24 bits."""
    v, spikes = v_init, []
    for a in current:
        shifted = (a * 64 + 2**23) % 2**24 - 2**23
        v = max(-(2**23) + 1, min(2**23 - 1, v + shifted + bias))
        spikes.append(v > threshold)
        if spikes[-1]:
            v = v - threshold if reset == "subtract" else 0
    return spikes


resets = st.sampled_from(["subtract", "zero"])
eighths = st.integers(-24, 24).map(lambda i: i / 8)


@given(
    current=hnp.arrays(np.float64, (12, 2, 3), elements=eighths),
    bias=hnp.arrays(np.float64, (3,), elements=eighths),
    threshold=st.sampled_from([0.5, 1.0, 2.0]),
    v_init=st.sampled_from([0.0, 0.5, -1.0]),
    reset=resets,
)
def test_real_neurons(current: Array, bias: Array, threshold: float, v_init: float, reset: Reset) -> None:
    spikes = IntegrateAndFire(bias, np.array(threshold), np.array(v_init), reset).run(current)
    for image, neuron in np.ndindex(2, 3):
        expected = fire(current[:, image, neuron].tolist(), float(bias[neuron]), threshold, v_init, reset)
        assert spikes[:, image, neuron].tolist() == expected


large = st.integers(-3 * CURRENT_MAX, 3 * CURRENT_MAX)


@given(
    current=hnp.arrays(np.int32, (12, 1, 3), elements=large | st.integers(-20, 20)),
    bias=hnp.arrays(np.int64, (3,), elements=st.integers(-(2**19), 2**19)),
    threshold=st.integers(1, 2**17 - 1).map(lambda mantissa: mantissa << 6),
    reset=resets,
)
def test_integer_neurons_wrap_and_saturate(current: Array, bias: Array, threshold: int, reset: Reset) -> None:
    spikes = IntegrateAndFire(bias, np.array(threshold), np.array(threshold // 2), reset).run(current)
    for neuron in range(3):
        expected = fire_integer(
            current[:, 0, neuron].tolist(), int(bias[neuron]), threshold, threshold // 2, reset
        )
        assert spikes[:, 0, neuron].tolist() == expected


def integer_neuron(threshold: int, bias: int = 0, reset: Reset = "subtract") -> IntegrateAndFire:
    return IntegrateAndFire(np.array(bias), np.array(threshold), np.array(0), reset)


@pytest.mark.parametrize(("current", "fires"), [(CURRENT_MAX, True), (CURRENT_MAX + 1, False)])
def test_largest_current_that_does_not_wrap(current: int, fires: bool) -> None:
    assert integer_neuron(64).run(np.full((1, 1, 1), current, np.int32)).item() == fires


def test_membrane_saturates_instead_of_wrapping() -> None:
    neuron = integer_neuron(MEMBRANE_MAX - 63)
    assert neuron.run(np.full((3, 1, 1), CURRENT_MAX, np.int32)).reshape(-1).tolist() == [False, True, True]


def test_neuron_fires_above_its_threshold_not_at_it() -> None:
    neuron = IntegrateAndFire(np.zeros(1), np.ones(1), np.zeros(1))
    assert neuron.run(np.array([1.0, 0.5, 0.5]).reshape(3, 1, 1)).reshape(-1).tolist() == [False, True, False]


def test_rate_equals_the_current() -> None:
    neuron = IntegrateAndFire(np.zeros(1), np.ones(1), np.full(1, 0.5))
    rates = np.arange(0, 17) / 16
    spikes = neuron.run(np.broadcast_to(rates[:, None], (160, 17, 1)))
    np.testing.assert_allclose(spikes.mean(axis=0)[:, 0], rates, atol=1 / 160)


def test_synapses_equal_layers_at_each_step() -> None:
    weight = RNG.normal(size=(6, 2, 3, 2))
    synapses = ConvSynapses(weight, stride=(2, 1), padding=(1, 0, 0, 2), dilation=(1, 2), groups=2)
    layer = Conv(weight, np.zeros(6), (2, 1), (1, 0, 0, 2), (1, 2), 2)
    for received, expected in zip(SPIKES, synapses.run(SPIKES), strict=True):
        np.testing.assert_allclose(layer.run(received), expected, atol=1e-12)


def test_linear_synapses_equal_a_linear_layer() -> None:
    weight, stream = RNG.normal(size=(3, 5)), RNG.normal(size=(4, 2, 5))
    expected = [Linear(weight, np.zeros(3)).run(x) for x in stream]
    np.testing.assert_allclose(LinearSynapses(weight).run(stream), expected)


def test_pool_synapses_are_the_means_numerator() -> None:
    pool, mean = PoolSynapses((2, 3), (2, 1), (1, 0, 0, 1)), AvgPool((2, 3), (2, 1), (1, 0, 0, 1))
    expected = [6 * mean.run(x.astype(np.float64)) for x in SPIKES]
    np.testing.assert_allclose(pool.run(SPIKES), expected)


@pytest.mark.parametrize("dtype", [np.int8, np.int32])
def test_pool_synapses_sum_integers_without_overflow(dtype: type) -> None:
    total = PoolSynapses((4, 6), (1, 1)).run(np.full((1, 1, 1, 4, 6), 127, dtype))
    assert total.item() == 24 * 127


def test_pool_synapses_count_all_spikes_of_a_window() -> None:
    assert PoolSynapses((20, 20), (1, 1)).run(np.ones((1, 1, 1, 20, 20), np.bool_)).item() == 400


def test_flatten_synapses() -> None:
    np.testing.assert_array_equal(FlattenSynapses().run(SPIKES), SPIKES.reshape(7, 2, -1))


def test_scale_synapses_per_channel() -> None:
    result = ScaleSynapses(np.arange(4.0)).run(SPIKES)
    np.testing.assert_array_equal(result, SPIKES * np.arange(4.0).reshape(4, 1, 1))


def shifted(sums: Array, exponent: int) -> Array:
    """Multiply by a power of two and round down, in Python's unbounded integers."""
    return np.vectorize(lambda s: int(s) << exponent if exponent >= 0 else int(s) >> -exponent, otypes=[np.int64])(
        sums
    )


@pytest.mark.parametrize("exponent", [0, 3, -2])
@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int32])
def test_integer_synapses_are_exact(exponent: int, dtype: type) -> None:
    weight = RNG.integers(-127, 128, (5, 600)).astype(np.int8)
    received = RNG.integers(0, 2, (3, 2, 600)) if dtype == np.bool_ else RNG.integers(-100, 100, (3, 2, 600))
    expected = shifted(np.einsum("tbi,oi->tbo", received.astype(np.int64), weight.astype(np.int64)), exponent)
    np.testing.assert_array_equal(LinearSynapses(weight, exponent).run(received.astype(dtype)), expected)


def test_integer_convolutions_are_exact() -> None:
    weight = RNG.integers(-127, 128, (3, 4, 2, 2)).astype(np.int8)
    received = RNG.integers(-255, 256, (2, 2, 4, 5, 5)).astype(np.int32)
    windows = np.lib.stride_tricks.sliding_window_view(received.astype(np.int64), (2, 2), axis=(3, 4))
    expected = np.einsum("tbiyxkl,oikl->tboyx", windows, weight.astype(np.int64))
    np.testing.assert_array_equal(ConvSynapses(weight, 1).run(received), 2 * expected)


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


def test_current_sum() -> None:
    np.testing.assert_array_equal(CurrentSum().run(X, X, X), X + X + X)


# --- Pools of spikes


def max_pool(stream: Array) -> Array:
    return SpikeMaxPool((2, 2), (2, 2), (0, 0, 0, 1)).run(stream)


def window_counts(stream: Array) -> Array:
    """The largest count of each window up to each step."""
    counts = np.cumsum(stream.astype(np.int64), axis=0)
    counts = np.pad(counts, [(0, 0)] * 4 + [(0, 1)], constant_values=-1)
    windows = np.lib.stride_tricks.sliding_window_view(counts, (2, 2), axis=(3, 4))[:, :, :, ::2, ::2]
    return windows.max(axis=(-1, -2))


def test_max_pool_has_fired_as_often_as_the_first_of_each_window() -> None:
    np.testing.assert_array_equal(np.cumsum(max_pool(SPIKES), axis=0), window_counts(SPIKES))


def test_max_pool_of_spikes_gives_spikes() -> None:
    assert max_pool(SPIKES).dtype == np.bool_


def test_max_pool_of_signed_spikes() -> None:
    stream = RNG.integers(-1, 2, (9, 2, 1, 4, 5)).astype(np.int8)
    pooled = SpikeMaxPool((2, 2), (2, 2)).run(stream)
    totals = np.cumsum(stream.astype(np.int64), axis=0)[..., :4]
    largest = totals.reshape(9, 2, 1, 2, 2, 2, 2).max(axis=(4, 6))
    np.testing.assert_array_equal(np.cumsum(pooled.astype(np.int64), axis=0), largest)


@pytest.mark.parametrize("dtype", [np.int32, np.float64])
def test_max_pool_of_constant_currents_is_their_maximum(dtype: type) -> None:
    current = RNG.integers(-(10**6), 10**6, (2, 1, 4, 4)).astype(dtype)
    pooled = SpikeMaxPool((2, 2), (2, 2)).run(np.broadcast_to(current, (4000, 2, 1, 4, 4)))
    expected = current.reshape(2, 1, 2, 2, 2, 2).max(axis=(3, 5))
    np.testing.assert_array_equal(pooled, np.broadcast_to(expected, pooled.shape))


# --- Encoder and decoder


def test_constant_code_gives_the_value_at_each_step() -> None:
    stream = Encoder((3,), ceiling=2.0).encode(X, 4)
    assert stream.strides[0] == 0
    np.testing.assert_array_equal(stream, np.broadcast_to(X / 2, (4, 5, 2, 3)))


def test_levels_round_to_the_nearest_and_clip() -> None:
    encoder = Encoder((5,), ceiling=2.0, levels=10)
    x = np.array([[0.0, 0.29, 2.0, 7.0, -7.0]])
    assert encoder.encode(x, 1)[0].tolist() == [[0, 1, 10, 10, -10]]
    assert encoder.unit == 0.2


def test_integer_code_is_an_integer_stream() -> None:
    encoder = Encoder((2,), ceiling=255.0, levels=255, integer=True)
    stream = encoder.encode(np.array([[0, 200]], np.uint8), 2)
    assert (stream.dtype, stream.tolist()) == (np.int32, [[[0, 200]], [[0, 200]]])
    assert encoder.infer() == TensorType((2,), stream=True, integer=True)


POISSON = Encoder((2, 3), "poisson", ceiling=2.0, seed=3)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_poisson_spikes_do_not_depend_on_how_images_are_grouped(size: int) -> None:
    whole = POISSON.encode(X, 20)
    parts = [POISSON.encode(X[i : i + size], 20, first=i) for i in range(0, len(X), size)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


def test_poisson_rates_are_the_values_with_their_signs() -> None:
    stream = POISSON.encode(X, 4000)
    assert set(np.unique(stream)) == {-1, 0, 1}
    deviation = np.sqrt(np.abs(X) / 2 * (1 - np.abs(X) / 2) / 4000)
    assert np.all(np.abs(stream.mean(axis=0) - X / 2) < 5 * deviation)


def test_poisson_spikes_of_different_steps_and_images_are_independent() -> None:
    stream = POISSON.encode(np.ones((2, 2, 3)), 4000).reshape(4000, -1).T
    following = np.corrcoef(stream[:, :-1], stream[:, 1:])
    assert np.abs(following - np.eye(len(following))).max() < 0.1


def test_poisson_seed_changes_the_spikes() -> None:
    assert np.any(POISSON.encode(X, 20) != Encoder((2, 3), "poisson", 2.0, seed=4).encode(X, 20))


def test_poisson_values_beyond_the_ceiling_fire_always() -> None:
    assert POISSON.encode(np.full((1, 2, 3), -9.0), 10).tolist() == np.full((10, 1, 2, 3), -1).tolist()


def test_encoder_passes_its_stream_on() -> None:
    assert POISSON.run(X) is X


def test_decoder_accumulates_current_and_bias() -> None:
    result = Decoder(np.array([0.5])).run(np.ones((3, 1, 1)))
    assert result.reshape(-1).tolist() == [1.5, 3.0, 4.5]


def test_integer_decoder_counts_in_membrane_units_beyond_32_bits() -> None:
    result = Decoder(np.array([1])).run(np.full((1000, 1, 1), CURRENT_MAX, np.int32))
    assert result[-1].item() == 1000 * (64 * CURRENT_MAX + 1)


# --- Types

REAL, INTEGER = TensorType((4, 6, 5), stream=True), TensorType((4, 6, 5), stream=True, integer=True)
ZERO, WHOLE = np.zeros(1), np.zeros(1, np.int64)

BROKEN: dict[str, tuple[Callable[[], Op], tuple[TensorType, ...], str]] = {
    "no stream": (FlattenSynapses, (TensorType((4,)),), "takes streams, and an input is none"),
    "mixed": (CurrentSum, (REAL, INTEGER), "adds an integer stream to a real one"),
    "sum of shapes": (CurrentSum, (REAL, TensorType((4,), stream=True)), "adds currents of different shapes"),
    "weights": (lambda: ScaleSynapses(np.ones(1)), (INTEGER,), "has float64 weights"),
    "exponent": (lambda: ScaleSynapses(np.ones(1), 2), (REAL,), "has float64 weights"),
    "neuron kind": (lambda: IntegrateAndFire(ZERO, ZERO, ZERO), (INTEGER,), "its parameters do not fit"),
    "neuron shape": (
        lambda: IntegrateAndFire(np.zeros(3), ZERO, ZERO),
        (REAL,),
        "parameters of shape [3] do not fit",
    ),
    "neuron axes": (lambda: IntegrateAndFire(np.zeros((1, 1, 1, 1)), ZERO, ZERO), (REAL,), "parameters of shape"),
    "decoder kind": (lambda: Decoder(WHOLE), (REAL,), "its bias does not fit"),
    "decoder shape": (lambda: Decoder(np.zeros(3)), (REAL,), "parameters of shape [3] do not fit"),
    "encoder levels": (lambda: Encoder((1,), integer=True), (), "has no levels to round them to"),
    "encoder ceiling": (lambda: Encoder((1,), ceiling=0.0), (), "has ceiling=0.0"),
    "encoder shape": (lambda: Encoder((0,)), (), "has the shape [0]"),
}


@pytest.mark.parametrize(("op", "types", "problem"), BROKEN.values(), ids=list(BROKEN))
def test_says_what_does_not_fit(op: Callable[[], Op], types: tuple[TensorType, ...], problem: str) -> None:
    with pytest.raises(GraphError) as caught:
        op().infer(*types)
    assert problem in str(caught.value)


def test_pools_in_a_row_do_not_overflow() -> None:
    spikes = np.ones((1, 1, 1, 32, 32), np.bool_)
    halved = PoolSynapses((2, 2), (2, 2)).run(spikes)
    assert PoolSynapses((16, 16), (16, 16)).run(halved).item() == 32 * 32
