from __future__ import annotations

import math

import numpy as np
import pytest
from codecs_worlds import WORLDS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurocompile.codecs.encoders import (
    LatencyEncoder,
    LatencyMap,
    PhaseCodingEncoder,
    RankOrderEncoder,
    TimeToFirstSpikeEncoder,
)
from neurocompile.errors import DataError

worlds = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
SHARES = arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 6)), elements=st.floats(0, 1))
MAPPINGS = ("linear", "exponential", "log")


def spikes_of(batch, sample=0):
    return [np.flatnonzero(train).tolist() for train in np.asarray(batch.spikes)[sample].T]


# Latency


@given(SHARES, st.integers(2, 60))
def test_the_first_spike_is_where_the_document_has_it(x, steps):
    for world in WORLDS.values():
        batch = TimeToFirstSpikeEncoder(num_steps=steps, normalization="none")(world(x))
        spikes = np.asarray(batch.spikes)
        assert np.all(spikes.sum(1) == 1)
        first = spikes.argmax(1)
        assert np.all(np.abs(first - (steps - 1) * (1 - x)) <= 0.5 + 1e-9)
        assert np.array_equal(np.asarray(batch.aux["spike_times"]), first)


def naive_time(x, mapping, t_min, t_max, tau):
    if mapping == "linear":
        return t_min + (t_max - t_min) * (1 - x)
    if mapping == "log":
        return t_min + (t_max - t_min) * (1 - math.log2(1 + x))
    return t_min - tau * math.log(x) if x > 0 else math.inf


@pytest.mark.parametrize("mapping", MAPPINGS)
@pytest.mark.parametrize("allow_no_spike", [False, True])
@given(SHARES)
def test_mappings_follow_their_formulas(mapping, allow_no_spike, x):
    options = {"t_min": 3, "t_max": 17, "tau": 5.0, "allow_no_spike": allow_no_spike, "mapping": mapping}
    for world in WORLDS.values():
        batch = TimeToFirstSpikeEncoder(num_steps=20, normalization="none", **options)(world(x))
        for place, value in np.ndenumerate(x):
            time = naive_time(value, mapping, 3, 17, 5.0)
            found = int(batch.aux["spike_times"][place])
            silent = allow_no_spike and (value == 0 or time > 17.5)
            sample, neuron = place
            train = np.flatnonzero(np.asarray(batch.spikes)[sample, :, neuron]).tolist()
            if found < 0:
                assert silent
                assert train == []
            else:
                assert not silent
                assert abs(found - min(time, 17)) <= 0.5 + 1e-9
                assert train == [found]


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_larger_values_are_earlier_and_times_are_turned_back(mapping):
    curve = LatencyMap(mapping, 2, 30, 6.0)
    x = np.linspace(0.02, 1, 50)
    times = curve.steps(x)
    assert np.all(np.diff(times) < 0)
    assert times[-1] == pytest.approx(2)
    assert np.allclose(curve.share(times), x)


def test_the_time_constant_is_a_fifth_of_the_span():
    encoder = TimeToFirstSpikeEncoder(num_steps=21, mapping="exponential")
    assert encoder.latency_map == LatencyMap("exponential", 0, 20, 4.0)
    assert TimeToFirstSpikeEncoder(num_steps=1).latency_map.tau == pytest.approx(0.2)


@worlds
def test_a_window_of_one_step_has_all_spikes_in_it(world):
    for mapping in MAPPINGS:
        encoder = TimeToFirstSpikeEncoder(num_steps=1, mapping=mapping)
        assert np.asarray(encoder(world(np.array([0.0, 0.3, 1.0]))).spikes).all()


@worlds
def test_jitter_is_for_training_only(world):
    x = world(np.linspace(0, 1, 500))
    encoder = TimeToFirstSpikeEncoder(num_steps=400, t_min=50, t_max=350, jitter=6.0, seed=0)
    exact = np.asarray(encoder.eval()(x).aux["spike_times"])
    assert np.array_equal(exact, np.asarray(encoder(x).aux["spike_times"]))
    moved = np.asarray(encoder.train()(x).aux["spike_times"])
    inner = (exact > 80) & (exact < 320)
    assert np.std((moved - exact)[inner]) == pytest.approx(6, rel=0.15)
    assert moved.min() >= 50
    assert moved.max() <= 350


@worlds
def test_several_spikes_follow_the_first(world):
    encoder = LatencyEncoder(
        num_steps=10, normalization="none", mapping="linear", spikes=3, interval=2, allow_no_spike=True
    )
    batch = encoder(world(np.array([1.0, 1 / 3, 1 / 9, 0.0])))
    assert spikes_of(batch) == [[0, 2, 4], [6, 8], [8], []]
    assert np.asarray(batch.aux["spike_times"]).tolist() == [[0, 6, 8, -1]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"t_min": 5, "t_max": 4}, "do not lie in this order"),
        ({"t_max": 25}, "within 25 steps"),
        ({"t_min": -1}, "t_min=-1"),
        ({"tau": 0.0}, "tau=0"),
        ({"jitter": -1.0}, "jitter=-1"),
        ({"spikes": 0}, "spikes=0"),
        ({"interval": 0}, "interval=0"),
        ({"mapping": "square"}, "one of linear, exponential, log"),
    ],
)
def test_latencies_that_can_not_be_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        LatencyEncoder(**options)


# Rank order


@given(SHARES, st.integers(1, 3))
def test_ranks_are_the_order_of_the_values(x, interval):
    for world in WORLDS.values():
        batch = RankOrderEncoder(num_steps=20, interval=interval, normalization="none")(world(x))
        order = np.asarray(batch.aux["rank_order"])
        ranks = np.asarray(batch.aux["ranks"])
        for sample, values in enumerate(x):
            expected = sorted(range(len(values)), key=lambda channel: (-values[channel], channel))
            assert order[sample].tolist() == expected
            assert [ranks[sample, channel] for channel in expected] == list(range(len(values)))
            assert spikes_of(batch, sample) == [[interval * rank] for rank in ranks[sample]]
        assert np.array_equal(np.asarray(batch.aux["spike_times"]), ranks * interval)


@worlds
def test_only_the_first_ranks_fire_where_that_is_asked_for(world):
    batch = RankOrderEncoder(num_steps=4, interval=2, first=2)(world(np.array([0.1, 0.9, 0.5])))
    assert spikes_of(batch) == [[], [0], [2]]
    assert np.asarray(batch.aux["spike_times"]).tolist() == [[-1, 0, 2]]
    assert np.asarray(batch.aux["rank_order"]).tolist() == [[1, 2, 0]]


def test_the_order_of_a_picture_is_flat():
    aux = RankOrderEncoder(num_steps=4)(np.array([[[[1.0, 2.0], [4.0, 3.0]]]])).aux
    assert aux["rank_order"].tolist() == [[2, 3, 1, 0]]
    assert aux["ranks"].tolist() == [[[[3, 2], [0, 1]]]]


def test_more_channels_than_steps_are_refused():
    with pytest.raises(DataError, match="31 channels") as caught:
        RankOrderEncoder(num_steps=30)(np.arange(31))
    assert "31 steps" in str(caught.value)
    with pytest.raises(DataError, match="first 3 spikes, 2 steps apart"):
        RankOrderEncoder(num_steps=4, interval=2, first=3)


# Phase


@given(SHARES, st.sampled_from([2.0, 5.0, 7.3, 20.0]), st.booleans())
def test_spikes_are_at_the_documents_phase_of_every_cycle(x, period, wrap):
    for world in WORLDS.values():
        encoder = PhaseCodingEncoder(
            num_steps=20, dt_ms=0.5, normalization="none", frequency_hz=1000 / (0.5 * period), wrap=wrap
        )
        batch = encoder(world(x))
        phases = np.asarray(batch.aux["phases"])
        # phi = 2 pi x of a cycle, or of a cycle but for its last step.
        assert np.allclose(phases, 2 * math.pi * x * (1 if wrap else (period - 1) / period))
        for (sample, neuron), phase in np.ndenumerate(phases):
            train = np.asarray(batch.spikes)[sample, :, neuron]
            expected = [k * period + phase / (2 * math.pi) * period for k in range(math.ceil(20 / period))]
            found = np.flatnonzero(train)
            inside = [time for time in expected if time < 19.5 - 1e-6]
            assert len(inside) <= len(found) <= len(expected)
            assert np.all(np.abs(found - expected[: len(found)]) <= 0.5 + 1e-6)


@worlds
def test_one_and_zero_are_told_apart_unless_the_phase_wraps(world):
    x = world(np.array([0.0, 1.0]))
    zero, one = spikes_of(PhaseCodingEncoder(num_steps=20, frequency_hz=100.0)(x))
    assert (zero, one) == ([0, 10], [9, 19])
    zero, one = spikes_of(PhaseCodingEncoder(num_steps=20, frequency_hz=100.0, wrap=True)(x))
    assert (zero, one) == ([0, 10], [10])


@worlds
def test_phase_jitter_stays_within_its_cycle(world):
    x = world(np.full(300, 0.5))
    encoder = PhaseCodingEncoder(num_steps=200, normalization="none", frequency_hz=20.0, jitter=3.0, seed=0)
    still = np.asarray(encoder.eval()(x).spikes)
    assert np.all(still.sum(1) == 4)
    moved = np.asarray(encoder.train()(x).spikes)
    cycles = moved[0].reshape(4, 50, 300)
    assert np.all(cycles.sum(1) == 1)
    assert np.std(cycles.argmax(1) - 24.5) == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("frequency", [10.0, 501.0])
def test_cycles_that_do_not_fit_are_refused(frequency):
    with pytest.raises(DataError, match="cycles of at least 2 steps"):
        PhaseCodingEncoder(num_steps=25, frequency_hz=frequency)
    with pytest.raises(DataError, match="frequency_hz=0"):
        PhaseCodingEncoder(frequency_hz=0.0)
