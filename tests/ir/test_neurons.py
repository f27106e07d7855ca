from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from neurocompile.ir import Array
from neurocompile.ir.fixed_point import CURRENT_MAX, MEMBRANE_MAX
from neurocompile.ir.processes import (
    DigitNeurons,
    GradedNeurons,
    IntegrateAndFire,
    Neurons,
    Process,
    Reset,
)

RNG = np.random.default_rng(0)


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
