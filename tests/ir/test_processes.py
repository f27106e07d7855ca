from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from ir.windows import every_window, shape_for, torch_conv, torch_max, torch_sum

from neurocompile.errors import GraphError
from neurocompile.ir import Array, Op, TensorType
from neurocompile.ir.fixed_point import CURRENT_MAX, MEMBRANE_MAX
from neurocompile.ir.kernels import Window
from neurocompile.ir.processes import (
    ConvSynapses,
    CurrentSum,
    Decoder,
    DigitNeurons,
    Encoder,
    GradedNeurons,
    IntegrateAndFire,
    LinearSynapses,
    Neurons,
    PoolSynapses,
    Process,
    Readout,
    Reset,
    ReshapeSynapses,
    ScaleSynapses,
    SpikeMaxPool,
    Synapses,
    WireSynapses,
)

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (5, 2, 3))
SPIKES = RNG.random((7, 2, 4, 6, 5)) < 0.4


def flat(stream: Array) -> Array:
    """Steps and images in one axis."""
    return stream.reshape(-1, *stream.shape[2:])


def conv(weight: Array, window: Window, exponent: int = 0, groups: int = 1) -> ConvSynapses:
    return ConvSynapses(weight, exponent, window.stride, window.padding, window.dilation, groups)


def check(op: Process, expected: Array, *streams: Array) -> Array:
    """Compare what a process gives, and its type, with what is expected ``(T * B, *shape)``; give the stream."""
    result = op.run(*streams)
    integer = isinstance(op, Synapses) and op.weight.dtype == np.int8
    found = op.infer(*(TensorType(stream.shape[2:], stream=True, integer=integer) for stream in streams))
    assert found == TensorType(result.shape[2:], stream=True, integer=integer)
    assert result.shape[:2] == streams[0].shape[:2]
    np.testing.assert_allclose(flat(result), expected, rtol=1e-12, atol=1e-12)
    return result


Number = TypeVar("Number", int, Fraction)


def wrapped(current: int) -> int:
    """A current in membrane units, in Python's unbounded integers, cut to 24 bits."""
    return (current * 64 + 2**23) % 2**24 - 2**23


def saturated(v: Number) -> Number:
    return max(1 - 2**23, min(2**23 - 1, v)) if isinstance(v, int) else v


def units(current: Array) -> list[int] | list[Fraction]:
    """One neuron's currents, in membrane units."""
    return [wrapped(a) if isinstance(a, int) else Fraction(a) for a in current.tolist()]


def fire(
    current: Sequence[Number],
    bias: Number,
    threshold: Number,
    v_init: Number,
    reset: Reset = "subtract",
    signed: bool = False,
    wait: bool = False,
) -> list[int]:
    """One neuron, step by step, on exact numbers; integers in 24 bits."""
    v, spikes = v_init, []
    for a in current if wait else ():
        v = saturated(v + a + bias)
    for a in current:
        v = v if wait else saturated(v + a + bias)
        spikes.append(1 if v > threshold else -1 if signed and v < 0 and sum(spikes) > 0 else 0)
        v = 0 * v if reset == "zero" and spikes[-1] else v - spikes[-1] * threshold
    return spikes


modes = st.sampled_from([{}, {"reset": "zero"}, {"signed": True}, {"wait": True}, {"signed": True, "wait": True}])
eighths = st.integers(-24, 24).map(lambda i: i / 8)


@given(
    current=hnp.arrays(np.float64, (12, 2, 3), elements=eighths),
    bias=hnp.arrays(np.float64, (3,), elements=eighths),
    threshold=st.sampled_from([0.5, 1.0, 2.0]),
    v_init=st.sampled_from([0.0, 0.5, -1.0]),
    mode=modes,
)
def test_real_neurons(current: Array, bias: Array, threshold: float, v_init: float, mode: dict[str, Any]) -> None:
    spikes = IntegrateAndFire(bias, np.array(threshold), np.array(v_init), **mode).run(current)
    for image, neuron in np.ndindex(2, 3):
        exact = Fraction(bias[neuron]), Fraction(threshold), Fraction(v_init)
        assert spikes[:, image, neuron].tolist() == fire(units(current[:, image, neuron]), *exact, **mode)


large = st.integers(-3 * CURRENT_MAX, 3 * CURRENT_MAX)
thresholds = st.integers(1, 2**17 - 1).map(lambda mantissa: mantissa << 6)
integer_currents = hnp.arrays(np.int32, (12, 1, 3), elements=large | st.integers(-20, 20))
integer_biases = hnp.arrays(np.int64, (3,), elements=st.integers(-(2**19), 2**19))


@given(current=integer_currents, bias=integer_biases, threshold=thresholds, mode=modes)
def test_integer_neurons_wrap_and_saturate(
    current: Array, bias: Array, threshold: int, mode: dict[str, Any]
) -> None:
    spikes = IntegrateAndFire(bias, np.array(threshold), np.array(threshold // 2), **mode).run(current)
    for neuron in range(3):
        expected = fire(units(current[:, 0, neuron]), int(bias[neuron]), threshold, threshold // 2, **mode)
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


@pytest.mark.parametrize("count", [np.bool_, np.uint8])
@pytest.mark.parametrize("reset", ["subtract", "zero"])
def test_integer_neurons_take_spikes_as_they_are(reset: Reset, count: type) -> None:
    """Counts of 255 are worth 255 * 64, which no byte holds."""
    current = (np.arange(12) % 4 * 85).astype(count)
    spikes = integer_neuron(9000, -1, reset).run(current.reshape(12, 1, 1))
    assert spikes.reshape(-1).tolist() == fire(units(current.astype(int)), -1, 9000, 0, reset)


def test_real_neurons_take_signed_spikes_as_they_are() -> None:
    current = np.array([1, 1, -1, 1, 1, 0, 1], np.int8)
    spikes = IntegrateAndFire(np.full(1, 0.25), np.array(1.5), np.zeros(1)).run(current.reshape(7, 1, 1))
    exact = fire([Fraction(int(a)) for a in current], Fraction(1, 4), Fraction(3, 2), Fraction(0))
    assert spikes.reshape(-1).tolist() == exact


def one(neurons: Process, current: Sequence[float]) -> list[int]:
    """What one neuron sends."""
    return list(neurons.run(np.array(current).reshape(-1, 1, 1)).reshape(-1).tolist())


HALF = np.full(1, 0.5)


def test_signed_neurons_take_back_what_they_fired_too_early() -> None:
    current = [2.0, 0.0, 0.0, -2.0, 0.0, 0.0]
    assert sum(one(IntegrateAndFire(np.zeros(1), np.ones(1), HALF), current)) == 2
    assert one(IntegrateAndFire(np.zeros(1), np.ones(1), HALF, signed=True), current) == [1, 1, 0, -1, -1, 0]


def test_signed_neurons_never_take_back_more_than_they_fired() -> None:
    current = RNG.normal(size=(200, 5, 7))
    spikes = IntegrateAndFire(np.zeros(1), np.ones(1), HALF, signed=True).run(current)
    assert spikes.min() == -1
    assert np.cumsum(spikes, axis=0, dtype=int).min() == 0


@given(current=hnp.arrays(np.float64, (9, 1, 4), elements=eighths), threshold=st.sampled_from([0.5, 1.0, 1.5]))
def test_waiting_neurons_fire_as_often_as_what_has_arrived_is_worth(current: Array, threshold: float) -> None:
    """That is to the nearest, and at a tie one less, since a membrane at its threshold does not fire."""
    neurons = IntegrateAndFire(np.zeros(1), np.array(threshold), np.array(threshold / 2), wait=True)
    spikes = neurons.run(current)
    worth = current.sum(axis=0) / threshold
    tie = worth % 1 == 0.5
    np.testing.assert_array_equal(spikes.sum(axis=0), np.clip(np.floor(worth + 0.5) - tie, 0, 9))
    assert np.all(np.diff(spikes.astype(int), axis=0) <= 0)


def test_values_are_as_many_thresholds_as_mean_spikes() -> None:
    spikes = np.array([1, -1, 1, 1]).reshape(4, 1, 1)
    assert IntegrateAndFire(np.zeros(1), np.ones(1), HALF, signed=True).value(spikes).item() == 0.5


# --- Digits


def digits(
    current: Sequence[Number],
    bias: Number,
    threshold: Number,
    ahead: int,
    *,
    signed: bool = True,
    bounded: bool = False,
) -> list[int]:
    """One neuron's digits by what they are for, on exact numbers.

    What is left to be sent, of what is known of the input by then, is compared with what the digit is worth; here
    nothing doubles but, of saturating integers, the bounds.
    """
    steps = len(current)
    padded = [*current, *[0 * bias] * ahead]
    left, spikes = Fraction(bias), []
    # The membrane's unit at the step that the first of the currents comes is a half.
    for k in range(-ahead, steps):
        left += Fraction(padded[k + ahead]) / 2 ** (k + ahead + 1)
        if bounded:
            unit = Fraction(1, 2 ** (k + ahead + 1))
            left = max((1 - 2**23) * unit, min((2**23 - 1) * unit, left))
        if k < 0:
            continue
        worth = Fraction(threshold, 2 ** (k + 1))
        limit = worth / 2 if k == steps - 1 else worth * 2 / 3
        sent = sum(s * 2 ** (k - 1 - i) for i, s in enumerate(spikes))
        spikes.append(1 if left > limit else -1 if signed and left < -limit and sent > 0 else 0)
        left -= spikes[-1] * worth
    return spikes


aheads = st.integers(1, 4)


@given(
    current=hnp.arrays(np.float64, (7, 2, 3), elements=eighths),
    bias=hnp.arrays(np.float64, (3,), elements=eighths),
    threshold=st.sampled_from([0.5, 1.0, 2.0]),
    ahead=aheads,
)
def test_real_digits(current: Array, bias: Array, threshold: float, ahead: int) -> None:
    spikes = DigitNeurons(bias, np.array(threshold), ahead).run(current)
    for image, neuron in np.ndindex(2, 3):
        exact = Fraction(bias[neuron]), Fraction(threshold)
        assert spikes[:, image, neuron].tolist() == digits(units(current[:, image, neuron]), *exact, ahead)


@given(current=integer_currents, bias=integer_biases, threshold=thresholds, ahead=aheads)
def test_integer_digits_wrap_and_saturate(current: Array, bias: Array, threshold: int, ahead: int) -> None:
    spikes = DigitNeurons(bias, np.array(threshold), ahead).run(current)
    for neuron in range(3):
        inputs = units(current[:, 0, neuron])
        expected = digits(inputs, int(bias[neuron]), threshold, ahead, bounded=True)
        assert spikes[:, 0, neuron].tolist() == expected


@given(data=st.data(), ahead=aheads, bias=st.integers(-(2**19), 2**19))
def test_digits_do_not_change_where_membranes_saturate(data: st.DataObject, ahead: int, bias: int) -> None:
    """They hold ``2 ** (ahead + 1)`` thresholds and a current."""
    threshold = data.draw(st.integers(1, MEMBRANE_MAX >> ahead + 7), label="mantissa") << 6
    most = MEMBRANE_MAX - (threshold << ahead + 1) >> 6
    current = data.draw(
        st.lists(st.integers(-most, most) | st.sampled_from([-most, most]), min_size=8, max_size=8)
    )
    neurons = DigitNeurons(np.array(bias), np.array(threshold), ahead)
    found = neurons.run(np.array(current, np.int32).reshape(8, 1, 1))
    assert found.reshape(-1).tolist() == digits([64 * a for a in current], bias, threshold, ahead)


def once(values: Array, steps: int) -> Array:
    """A current that brings all of a value with the first digit."""
    stream = np.zeros((steps, 1, *values.shape))
    stream[0] = 2 * values
    return stream


VALUES = np.arange(-200, 1500) / 1024


@pytest.mark.parametrize("steps", range(1, 9))
@pytest.mark.parametrize("ahead", [1, 2, 3])
def test_digits_are_the_value_to_half_of_the_last(steps: int, ahead: int) -> None:
    nothing, last = np.zeros(1), 2.0**-steps
    neurons = DigitNeurons(nothing, np.ones(1), ahead)
    spikes = neurons.run(once(VALUES, steps))
    np.testing.assert_allclose(neurons.value(spikes)[0], VALUES.clip(0, 1 - last), rtol=0, atol=last / 2)
    # A bias is a value that has arrived.
    biased = DigitNeurons(VALUES, np.ones(1), ahead).run(once(np.zeros(VALUES.shape), steps))
    np.testing.assert_array_equal(biased, spikes)
    # The next layer, to which they come one by one, sends what they are worth.
    np.testing.assert_array_equal(neurons.value(neurons.run(spikes)), neurons.value(spikes))


def test_digits_do_not_follow_each_other() -> None:
    """So there are as few as there can be; a value above 2/3 would need a digit that is worth 1."""
    spikes = DigitNeurons(np.zeros(1), np.ones(1), 3).run(once(VALUES[VALUES < 2 / 3], 8))
    assert not np.any(spikes[:-2] * spikes[1:-1])


def test_digits_that_can_not_be_negative_collapse() -> None:
    """The first digit of one input is there before the last ones of another, which take nearly all of it away."""
    current = [1, 0, 0, 0, -8, -8, -8, -8]
    neurons = DigitNeurons(np.zeros(1), np.ones(1), 3)
    sent = one(neurons, np.array(current, float))
    assert sent == [1, -1, -1, -1, -1, 0, 0, 0]
    assert neurons.value(np.array(sent)[:, None]).item() == 1 / 32
    exact = [Fraction(a) for a in current]
    positive = digits(exact, Fraction(0), Fraction(1), 3, signed=False)
    assert neurons.value(np.array(positive)[:, None]).item() == 1 / 2


def test_digits_without_a_look_ahead_collapse_on_a_residual() -> None:
    """A shortcut and its branch bring twice as much with each digit as any later digits can send."""
    current = 2 * np.array([0.0, 1, 1, 1, 1, 1, 1, 1]).reshape(8, 1, 1)
    careful, hasty = (DigitNeurons(np.zeros(1), np.ones(1), ahead) for ahead in (3, 0))
    assert careful.value(careful.run(current)).item() == careful.value(current).item() == 254 / 256
    assert hasty.value(hasty.run(current)).item() == 127 / 256


# --- Graded messages


def message(v: Number, threshold: Number, levels: int) -> int:
    return max(0, min(levels, math.floor(Fraction(v) * levels / threshold + Fraction(1, 2))))


@given(
    current=hnp.arrays(np.float64, (2, 3, 4), elements=eighths),
    bias=hnp.arrays(np.float64, (4,), elements=eighths),
    threshold=st.sampled_from([0.5, 1.0, 2.0]),
    levels=st.sampled_from([1, 4, 15, 255]),
)
def test_real_messages(current: Array, bias: Array, threshold: float, levels: int) -> None:
    found = GradedNeurons(bias, np.array(threshold), levels).run(current)
    for place in np.ndindex(current.shape):
        v = Fraction(current[place]) + Fraction(bias[place[-1]])
        assert found[place] == message(v, Fraction(threshold), levels)


@given(
    current=integer_currents, bias=integer_biases, threshold=thresholds, levels=st.sampled_from([1, 4, 15, 255])
)
def test_integer_messages_wrap_and_saturate(current: Array, bias: Array, threshold: int, levels: int) -> None:
    found = GradedNeurons(bias, np.array(threshold), levels).run(current)
    for place in np.ndindex(current.shape):
        v = saturated(wrapped(int(current[place])) + int(bias[place[-1]]))
        assert found[place] == message(v, threshold, levels)


def test_messages_round_to_the_nearest_and_up_at_ties() -> None:
    neurons = GradedNeurons(np.zeros(1), np.ones(1), 4)
    assert one(neurons, [-1, 0.124, 0.125, 0.374, 0.375, 0.876, 1, 3]) == [0, 0, 1, 1, 2, 4, 4, 4]
    assert neurons.value(np.array([2, 4])[:, None]).item() == 0.75


# --- Of all neurons

REAL_NEURONS: dict[str, Neurons] = {
    "rate": IntegrateAndFire(np.zeros(1), np.ones(1), HALF),
    "signed": IntegrateAndFire(np.zeros(1), np.ones(1), HALF, signed=True),
    "wait": IntegrateAndFire(np.zeros(1), np.ones(1), HALF, wait=True),
    "digit": DigitNeurons(np.zeros(1), np.ones(1), 3),
    "graded": GradedNeurons(np.zeros(1), np.ones(1), 255),
}


@pytest.mark.parametrize(
    ("kind", "sends", "largest", "ahead"),
    [
        ("rate", np.bool_, 1, 0),
        ("signed", np.int8, 1, 0),
        ("wait", np.bool_, 1, 8),
        ("digit", np.int8, 1, 3),
        ("graded", np.uint8, 255, 0),
    ],
)
def test_what_neurons_send(kind: str, sends: type, largest: int, ahead: int) -> None:
    neurons = REAL_NEURONS[kind]
    spikes = neurons.run(RNG.normal(size=(9, 2, 50)))
    assert spikes.dtype == neurons.sends == sends
    assert spikes.max() == neurons.largest == largest
    assert neurons.lookahead(9) == ahead


@pytest.mark.parametrize("kind", REAL_NEURONS)
def test_neurons_send_the_same_at_another_scale(kind: str) -> None:
    neurons, current = REAL_NEURONS[kind], RNG.integers(-20, 30, (9, 2, 50))
    scaled = neurons.scaled(np.array(0), np.array(16 << 6))
    np.testing.assert_array_equal(scaled.run(current.astype(np.int32)), neurons.run(current / 16))


@pytest.mark.parametrize("kind", REAL_NEURONS)
def test_what_neurons_received_is_in_thresholds(kind: str) -> None:
    neurons = REAL_NEURONS[kind].scaled(np.array([32]), np.array([16 << 6]))
    current = np.array([8, 0, 0, 0], np.int32).reshape(4, 1, 1)
    share = 4 / 16 if kind == "digit" else 2 / 16
    assert neurons.received(current).item() == share + 1 / 32


# --- Connections


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


# --- Pools of spikes


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


def test_once_gives_the_value_at_the_first_step_only() -> None:
    encoder = Encoder((3,), "once", ceiling=2.0, levels=10)
    stream = encoder.encode(X, 4)
    np.testing.assert_array_equal(stream[0], Encoder((3,), ceiling=2.0, levels=10).encode(X, 1)[0])
    assert not np.any(stream[1:])
    assert encoder.unit == 0.2


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


def test_real_decoder_takes_spikes_as_they_are() -> None:
    assert Decoder(np.zeros(1)).run(np.ones((3, 1, 1), np.bool_)).reshape(-1).tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("integer", [False, True])
def test_decoder_of_digits(integer: bool) -> None:
    current, bias = RNG.integers(-20, 20, (9, 2, 3)), RNG.integers(-99, 99, 3)
    dtype = np.int32 if integer else np.float64
    decoder = Decoder(bias if integer else bias / 64, 1 / 64 if integer else 1.0, 2)
    accumulated = decoder.run(current.astype(dtype))
    for t in range(1, 10):
        worth = 2.0 ** -np.arange(1, t + 1)
        expected = np.einsum("tbi,t->bi", current[:t], worth) + bias / 64
        np.testing.assert_allclose(decoder.scores(accumulated[t - 1], t), expected, rtol=1e-12, atol=1e-12)


def test_integer_decoder_of_digits_counts_beyond_32_bits() -> None:
    result = Decoder(np.array([1]), 1.0, 2).run(np.full((10, 1, 1), CURRENT_MAX, np.int32))
    assert result[-1].item() == 64 * CURRENT_MAX * 1023 + 1024


READ: dict[Readout, Callable[[torch.Tensor], torch.Tensor]] = {
    "linear": lambda x: x,
    "sigmoid": torch.sigmoid,
    "softmax": lambda x: torch.softmax(x, 1),
    "log_softmax": lambda x: torch.log_softmax(x, 1),
    "argmax": lambda x: x.argmax(1, keepdim=True),
}


@pytest.mark.parametrize("readout", READ)
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 4, 5)])
def test_decoder_reads_the_answer(readout: Readout, shape: tuple[int, ...]) -> None:
    accumulated = RNG.integers(-(10**6), 10**6, shape)
    expected = READ[readout](torch.from_numpy(accumulated * (0.125 / 64)))
    found = Decoder(np.zeros(1), 0.125, readout=readout).read(accumulated, 64)
    np.testing.assert_allclose(found, expected, atol=1e-12)


# --- Types

REAL, INTEGER = TensorType((4, 6, 5), stream=True), TensorType((4, 6, 5), stream=True, integer=True)
ZERO, WHOLE = np.zeros(1), np.zeros(1, np.int64)

SCALAR = TensorType((), stream=True)

BROKEN: dict[str, tuple[Callable[[], Op], tuple[TensorType, ...], str]] = {
    "no stream": (lambda: ReshapeSynapses((4,)), (TensorType((4,)),), "takes streams, and an input is none"),
    "mixed": (CurrentSum, (REAL, INTEGER), "adds an integer stream to a real one"),
    "sum of shapes": (CurrentSum, (REAL, TensorType((4,), stream=True)), "combines tensors of different shapes"),
    "weights": (lambda: ScaleSynapses(np.ones(1)), (INTEGER,), "has float64 weights"),
    "integer weights": (lambda: ScaleSynapses(np.ones(1, np.int8)), (REAL,), "has int8 weights"),
    "wide weights": (lambda: ScaleSynapses(np.ones(1, np.int16)), (INTEGER,), "has int16 weights"),
    "bool weights": (lambda: ScaleSynapses(np.ones(1, np.bool_)), (REAL,), "has bool weights"),
    "exponent": (lambda: ScaleSynapses(np.ones(1), 2), (REAL,), "has float64 weights with the exponent 2"),
    "scale": (lambda: ScaleSynapses(np.ones(4)), (REAL,), "has values of shape [4] for an image of [4, 6, 5]"),
    "scale of nothing": (lambda: ScaleSynapses(np.ones(0)), (REAL,), "has values of shape [0]"),
    "conv": (lambda: ConvSynapses(np.ones((1, 3, 1, 1))), (REAL,), "do not fit an input of [4, 6, 5]"),
    "conv without space": (lambda: ConvSynapses(np.ones(4)), (REAL,), "not (outputs, inputs, *kernel)"),
    "linear": (lambda: LinearSynapses(np.ones((1, 4))), (REAL,), "do not fit an input of [4, 6, 5]"),
    "linear of nothing": (
        lambda: LinearSynapses(np.ones((0, 4))),
        (TensorType((4,), stream=True),),
        "weights [0, 4] do not fit",
    ),
    "pool": (lambda: PoolSynapses((7, 1)), (REAL,), "a window of (7, 1) does not fit"),
    "max pool": (lambda: SpikeMaxPool((2, 2), dilation=(1,)), (REAL,), "dilation=(1,)"),
    "reshape": (lambda: ReshapeSynapses((4, 31)), (REAL,), "shapes [4, 6, 5] as [4, 31]"),
    "wires beyond": (lambda: WireSynapses(np.array([120])), (REAL,), "points outside an image of [4, 6, 5]"),
    "wires before": (lambda: WireSynapses(np.array([-2])), (REAL,), "points outside an image of [4, 6, 5]"),
    "wires of reals": (lambda: WireSynapses(np.zeros(1)), (REAL,), "has an index of float64 [1]"),
    "neuron kind": (lambda: IntegrateAndFire(ZERO, ZERO, ZERO), (INTEGER,), "its parameters do not fit"),
    "neuron shape": (lambda: IntegrateAndFire(np.zeros(3), ZERO, ZERO), (REAL,), "has values of shape [3]"),
    "neuron axes": (
        lambda: IntegrateAndFire(np.zeros((1, 1, 1, 1)), ZERO, ZERO),
        (REAL,),
        "has values of shape [1, 1, 1, 1]",
    ),
    "digits kind": (lambda: DigitNeurons(ZERO, WHOLE, 3), (REAL,), "its parameters do not fit"),
    "digits shape": (lambda: DigitNeurons(ZERO, np.zeros(3), 3), (REAL,), "has values of shape [3]"),
    "no look-ahead": (lambda: DigitNeurons(ZERO, ZERO, 0), (REAL,), "starts 0 steps late"),
    "no levels": (lambda: GradedNeurons(ZERO, ZERO, 0), (REAL,), "has 0 levels"),
    "levels beyond a byte": (lambda: GradedNeurons(ZERO, ZERO, 256), (REAL,), "has 256 levels"),
    "decoder kind": (lambda: Decoder(WHOLE), (REAL,), "its bias does not fit"),
    "decoder shape": (lambda: Decoder(np.zeros(3)), (REAL,), "has values of shape [3]"),
    "decoder unit": (lambda: Decoder(ZERO, np.inf), (REAL,), "has unit=inf"),
    "decoder readout": (
        lambda: Decoder(np.zeros(()), 1.0, 1, "softmax"),
        (SCALAR,),
        "has no axis for its readout",
    ),
    "encoder levels": (lambda: Encoder((1,), integer=True), (), "has no levels to round them to"),
    "encoder ceiling": (lambda: Encoder((1,), ceiling=0.0), (), "has ceiling=0.0"),
    "encoder infinite": (lambda: Encoder((1,), ceiling=np.inf), (), "has ceiling=inf"),
    "encoder seed": (lambda: Encoder((1,), "poisson", seed=-1), (), "has seed=-1"),
    "encoder shape": (lambda: Encoder((0,)), (), "has the shape [0]"),
}


@pytest.mark.parametrize(("op", "types", "problem"), BROKEN.values(), ids=list(BROKEN))
def test_says_what_does_not_fit(op: Callable[[], Op], types: tuple[TensorType, ...], problem: str) -> None:
    with pytest.raises(GraphError) as caught:
        op().infer(*types)
    assert problem in str(caught.value)
