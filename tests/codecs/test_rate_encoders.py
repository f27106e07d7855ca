from __future__ import annotations

import math

import numpy as np
import pytest
from codecs_worlds import WORLDS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurocompile.codecs.arrays import NumpyDraws
from neurocompile.codecs.encoders import (
    BernoulliRateEncoder,
    BurstEncoder,
    DeterministicRateEncoder,
    PoissonRateEncoder,
)
from neurocompile.codecs.spike_steps import _rare_places, evenly, poisson_steps, raster, separate
from neurocompile.errors import DataError

worlds = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
SHARES = arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 5)), elements=st.floats(0, 1))


def poisson_by_steps(x, config, rng):
    """The document's loop for one channel; its times are steps, which are compared exactly."""
    pause = round(config["t_refract"] / config["dt"])
    rate = config["f_min"] + (config["f_max"] - config["f_min"]) * x
    spikes, last = [], -pause - 1
    for t in range(config["steps"]):
        if t > last + pause and rng.uniform(0, 1) < rate * config["dt"] / 1000:
            spikes.append(t)
            last = t
    return spikes


def intervals(train):
    return np.diff(np.flatnonzero(train))


# Bernoulli


@worlds
def test_bernoulli_draws_each_step_with_the_probability(world):
    encoder = BernoulliRateEncoder(
        num_steps=20000, normalization="clamp", rate_gain=0.5, rate_bias=0.1, deterministic_eval=False, seed=0
    )
    for mode in (True, False):
        x = world(np.array([[0.0, 1 / 3, 0.777, 1.0], [5.0, 1e-4, 0.5, 0.25]]))
        batch = encoder.train(mode)(x)
        p = np.clip(0.5 * np.clip(np.asarray(x), 0, 1) + 0.1, 0, 1)
        spikes = np.asarray(batch.spikes)
        assert np.allclose(np.asarray(batch.aux["rates"]), p)
        assert np.all(np.abs(spikes.mean(1) - p) < 5 * np.sqrt(p * (1 - p) / 20000))
        # Steps do not know of each other.
        both = (spikes[:, 1:] & spikes[:, :-1]).mean(1)
        assert np.all(np.abs(both - p**2) < 5 * np.sqrt(p**2 / 20000))


@worlds
def test_bernoulli_is_exact_at_the_ends_and_within_a_256th(world):
    encoder = BernoulliRateEncoder(num_steps=4000, normalization="none", seed=1)
    spikes = np.asarray(encoder(world(np.array([0.0, 1.0, 1 / 1024, 1 - 1 / 1024]))).spikes)[0]
    assert not spikes[:, 0].any()
    assert spikes[:, 1].all()
    assert 0 < spikes[:, 2].sum() < 16
    assert 0 < (~spikes[:, 3]).sum() < 16


@given(SHARES, st.integers(1, 60))
def test_even_thresholds_make_counts_right(x, steps):
    encoder = BernoulliRateEncoder(num_steps=steps, normalization="none").eval()
    for world in WORLDS.values():
        counts = np.asarray(encoder(world(x)).spikes).sum(1)
        assert np.all(np.abs(counts - x * steps) <= 0.5 + 1e-9)


def test_even_thresholds_are_spread_in_time():
    # As many spikes as thresholds below: each row of 64 neurons has one more than the row before it.
    spikes = evenly((np.arange(65) / 64)[None], 64)[0]
    thresholds = 64 - spikes.sum(1)
    assert sorted(thresholds) == list(range(64))
    # Any 8 steps in a row that begin at a multiple of 8 have one threshold in each eighth.
    for block in thresholds.reshape(8, 8):
        assert sorted(block // 8) == list(range(8))
    assert evenly(np.array([[0.4, 0.6]]), 1).tolist() == [[[False, True]]]


def test_rare_places_are_one_in_256():
    size = 2**20
    places = _rare_places(size, NumpyDraws(0))
    assert np.all(np.diff(places) > 0)
    assert places[0] >= 0
    assert places[-1] < size
    assert abs(len(places) - size / 256) < 5 * np.sqrt(size / 256)
    # They reach the end.
    assert places[-1] > size - 256 * 20


@worlds
def test_half_is_always_or_never(world):
    encoder = BernoulliRateEncoder(num_steps=5, normalization="none", eval_threshold="half").eval()
    spikes = np.asarray(encoder(world(np.array([0.0, 0.49, 0.5, 1.0]))).spikes)[0]
    assert np.array_equal(spikes, np.tile([False, False, True, True], (5, 1)))


def test_gains_that_overflow_are_refused():
    with pytest.raises(DataError, match="rate_gain=1e"):
        BernoulliRateEncoder(rate_gain=1e31)
    with pytest.raises(DataError, match="rate_bias=nan"):
        BernoulliRateEncoder(rate_bias=math.nan)


# Poisson


@worlds
@pytest.mark.parametrize(("f_min", "f_max", "t_refract"), [(0, 1000, 2.0), (50, 400, 0.0), (20, 900, 0.5)])
def test_poisson_has_the_statistics_of_the_documents_loop(world, f_min, f_max, t_refract):
    config = {"f_min": f_min, "f_max": f_max, "t_refract": t_refract, "dt": 0.1, "steps": 1000}
    encoder = PoissonRateEncoder(
        num_steps=1000,
        dt_ms=0.1,
        normalization="none",
        max_firing_rate_hz=float(f_max),
        min_firing_rate_hz=float(f_min),
        refractory_period_ms=t_refract,
        seed=0,
    )
    neurons = 150
    rng = np.random.default_rng(1)
    for x in (0.2, 1.0):
        batch = encoder(world(np.full(neurons, x)))
        trains = np.asarray(batch.spikes)[0].T
        loop = [poisson_by_steps(x, config, rng) for _ in range(neurons)]
        ours, theirs = trains.sum(1), np.array([len(spikes) for spikes in loop])
        spread = math.sqrt((ours.var() + theirs.var()) / neurons)
        assert abs(ours.mean() - theirs.mean()) < 5 * spread
        assert ours.var() == pytest.approx(theirs.var(), rel=0.5)
        gaps = np.concatenate([intervals(train) for train in trains])
        loop_gaps = np.concatenate([np.diff(spikes) for spikes in loop])
        assert gaps.min() == loop_gaps.min() == 1 + round(t_refract / 0.1)
        deciles = np.linspace(0.1, 0.9, 9)
        assert np.allclose(np.quantile(gaps, deciles), np.quantile(loop_gaps, deciles), rtol=0.1, atol=2)
        firsts = np.argmax(trains, 1)[trains.any(1)], [spikes[0] for spikes in loop if spikes]
        assert np.mean(firsts[0]) == pytest.approx(np.mean(firsts[1]), rel=0.3)
        assert np.allclose(np.asarray(batch.aux["rates"]), f_min + (f_max - f_min) * x)


@worlds
def test_rates_with_pauses_counted_in_are_the_rates(world):
    encoder = PoissonRateEncoder(
        num_steps=20000,
        dt_ms=0.1,
        normalization="none",
        max_firing_rate_hz=400.0,
        refractory_period_ms=2.0,
        rate_includes_refractory=True,
        seed=0,
    )
    spikes = np.asarray(encoder(world(np.array([0.25, 0.5, 1.0]))).spikes)[0]
    assert np.allclose(spikes.sum(0) / 2, [100, 200, 400], rtol=0.15)
    assert encoder.eval()(world(np.ones(1))).spikes.any()
    fastest = PoissonRateEncoder(
        num_steps=210, dt_ms=0.1, normalization="none", refractory_period_ms=2.0, rate_includes_refractory=True
    )
    assert fastest.highest_rate_hz == pytest.approx(1000 / 2.1)
    trains = np.asarray(fastest(world(np.ones(3))).spikes)[0].T
    assert all(np.array_equal(np.flatnonzero(train), np.arange(10) * 21) for train in trains)


@worlds
def test_certain_and_impossible_spikes(world):
    encoder = PoissonRateEncoder(num_steps=50, normalization="none", refractory_period_ms=4.0, seed=0)
    trains = np.asarray(encoder(world(np.array([0.0, 1.0, 1e-30]))).spikes)[0].T
    assert trains[0].sum() == trains[2].sum() == 0
    assert np.flatnonzero(trains[1]).tolist() == list(range(0, 50, 5))


@given(SHARES, st.integers(1, 80), st.sampled_from([0.0, 1.0, 3.0]), st.sampled_from([0.0, 0.5, 20.0]))
def test_no_spike_is_within_a_pause(x, steps, refractory, jitter):
    for world in WORLDS.values():
        encoder = PoissonRateEncoder(
            num_steps=steps, normalization="none", refractory_period_ms=refractory, jitter_ms=jitter, seed=steps
        )
        profile = np.broadcast_to(x[:, None, :], (len(x), steps, x.shape[1])) * np.linspace(0, 1, steps)[:, None]
        for batch in (encoder(world(x)), encoder.encode_profile(world(profile))):
            assert tuple(batch.spikes.shape) == (len(x), steps, x.shape[1])
            for train in np.asarray(batch.spikes).transpose(0, 2, 1).reshape(-1, steps):
                assert np.all(intervals(train) > refractory)


@worlds
def test_jitter_moves_spikes_and_keeps_their_number(world):
    options = {"num_steps": 2000, "normalization": "none", "max_firing_rate_hz": 20.0, "refractory_period_ms": 2.0}
    still = np.asarray(PoissonRateEncoder(**options, seed=3)(world(np.ones(200))).spikes)
    moved = np.asarray(PoissonRateEncoder(**options, seed=3, jitter_ms=3.0)(world(np.ones(200))).spikes)
    assert moved.mean() == pytest.approx(still.mean(), rel=0.1)
    assert not np.array_equal(moved, still)


@worlds
def test_jitter_has_its_standard_deviation(world):
    # Certain spikes with long pauses are at 0, 1001, 2002, ...: what is off these is the jitter.
    encoder = PoissonRateEncoder(
        num_steps=5000, normalization="none", refractory_period_ms=1000.0, jitter_ms=8.0, seed=0
    )
    trains = np.asarray(encoder(world(np.ones(400))).spikes)[0].T
    firsts = np.array([np.flatnonzero(train)[0] for train in trains])
    # Before the window there is nothing: half of the noise of the first spike is cut off.
    assert np.mean(firsts == 0) == pytest.approx(0.5, abs=0.1)
    assert firsts[firsts > 0].mean() == pytest.approx(8 * math.sqrt(2 / math.pi), rel=0.15)


@worlds
def test_a_profile_is_drawn_with_each_steps_rate(world):
    steps, neurons = 40, 4000
    profile = np.linspace(0, 1, steps) ** 2
    x = world(np.tile(profile[None, :, None], (1, 1, neurons)))
    encoder = PoissonRateEncoder(num_steps=steps, normalization="none", max_firing_rate_hz=500.0, seed=0)
    batch = encoder.encode_profile(x)
    rate = np.asarray(batch.spikes)[0].mean(1)
    assert np.all(np.abs(rate - profile / 2) < 5 * np.sqrt(0.25 / neurons))
    assert tuple(batch.aux["rates"].shape) == (1, steps, neurons)
    # With pauses: the loop, whose probability of being ready is known step by step.
    encoder = PoissonRateEncoder(
        num_steps=steps, normalization="none", max_firing_rate_hz=500.0, refractory_period_ms=3.0, seed=0
    )
    rate = np.asarray(encoder.encode_profile(x).spikes)[0].mean(1)
    expected = []
    for t in range(steps):
        expected.append(profile[t] / 2 * (1 - sum(expected[max(0, t - 3) : t])))
    assert np.all(np.abs(rate - expected) < 5 * np.sqrt(0.25 / neurons))


def test_a_constant_profile_is_the_homogeneous_process():
    x = np.full((1, 100, 2000), 0.3)
    options = {"num_steps": 100, "normalization": "none", "refractory_period_ms": 2.0}
    profile = PoissonRateEncoder(**options, seed=0).encode_profile(x).spikes.mean()
    constant = PoissonRateEncoder(**options, seed=1)(x[0, 0]).spikes.mean()
    assert profile == pytest.approx(constant, rel=0.02)


@pytest.mark.parametrize("shape", [(5,), (1, 4, 2), (1, 5, 2, 2)])
def test_profiles_of_other_shapes_are_refused(shape):
    with pytest.raises(DataError, match="with 5 steps"):
        PoissonRateEncoder(num_steps=5).encode_profile(np.zeros(shape))


@pytest.mark.parametrize("rate", [0.03, 0.5, 1.0])
def test_fewer_steps_have_the_same_spikes_where_that_is_asked_for(rate):
    def drawn(steps):
        p = np.random.default_rng(2).random(50) * rate
        return raster(poisson_steps(p, steps, 2, NumpyDraws(0), prefix=True), (1, steps, 50))[0]

    assert np.array_equal(drawn(200)[:70], drawn(70))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_firing_rate_hz": 2000.0}, "can't be had with steps of 1.0 ms"),
        ({"max_firing_rate_hz": 10.0, "min_firing_rate_hz": 20.0}, "is above"),
        (
            {"max_firing_rate_hz": 400.0, "refractory_period_ms": 2.0, "rate_includes_refractory": True},
            "refractory period of 2.0 ms",
        ),
        ({"jitter_ms": -1.0}, "jitter_ms=-1"),
        ({"dt_ms": 0.0}, "dt_ms=0"),
    ],
)
def test_impossible_rates_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        PoissonRateEncoder(**options)


# Even distances


@given(SHARES, st.integers(1, 80), st.sampled_from([0.0, 2.0]))
def test_even_spikes_are_those_of_a_neuron_that_adds_up(x, steps, refractory):
    encoder = DeterministicRateEncoder(num_steps=steps, normalization="none", refractory_period_ms=refractory)
    # Of dyadic fractions, sums are exact.
    x = np.round(x * 64) / 64
    for world in WORLDS.values():
        spikes = np.asarray(encoder(world(x)).spikes)
        rate = x / (1 + x * refractory)
        assert np.all(np.abs(spikes.sum(1) - rate * steps) <= 0.5 + 1e-9)
        for train in spikes.transpose(0, 2, 1).reshape(-1, steps):
            assert np.all(intervals(train) > refractory)
        if not refractory:
            total = np.full(x.shape, 0.5)
            for t in range(steps):
                total += rate
                assert np.array_equal(spikes[:, t], total >= 1)
                total -= total >= 1


def test_spikes_are_delayed_until_a_pause_is_over():
    times = np.array([[3, 0], [4, 9], [20, 10]])
    following = separate(times, np.array([0, 1]), 4)
    assert times.tolist() == [[3, 1], [8, 9], [20, 14]]
    assert following.tolist() == [25, 19]


@worlds
def test_poisson_evaluates_evenly_where_that_is_asked_for(world):
    x = world(np.linspace(0, 1, 7))
    options = {"num_steps": 60, "refractory_period_ms": 2.0}
    even = DeterministicRateEncoder(**options)(x)
    poisson = PoissonRateEncoder(**options, deterministic_eval=True, jitter_ms=1.0)
    assert np.array_equal(np.asarray(poisson.eval()(x).spikes), np.asarray(even.spikes))
    assert not np.array_equal(np.asarray(poisson.train()(x).spikes), np.asarray(even.spikes))


# Bursts


@given(SHARES)
def test_bursts_follow_the_formula(x):
    encoder = BurstEncoder(num_steps=100, dt_ms=0.5, normalization="none", max_spikes=4, isi_max_ms=15.0)
    for world in WORLDS.values():
        batch = encoder(world(x))
        for sample in range(x.shape[0]):
            for neuron in range(x.shape[1]):
                value = x[sample, neuron]
                count = math.ceil(4 * value)
                gap = math.ceil(30 - (30 - 4) * value)
                train = np.asarray(batch.spikes)[sample, :, neuron]
                assert np.flatnonzero(train).tolist() == [k * gap for k in range(count)]
                assert int(batch.aux["burst_sizes"][sample, neuron]) == count
                assert int(batch.aux["burst_intervals"][sample, neuron]) == gap


def test_the_longest_interval_is_what_fits():
    assert BurstEncoder(num_steps=100, dt_ms=0.5).isi_steps == (4, 24)
    assert BurstEncoder(num_steps=100, max_spikes=1).isi_steps == (2, 99)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_spikes": 0}, "max_spikes=0"),
        ({"refractory_period_ms": 2.0}, "is within the refractory period"),
        ({"max_spikes": 20}, "is above the longest interval of 1 ms"),
        ({"isi_max_ms": 10.0}, "do not fit the window"),
        ({"isi_min_ms": 4.0, "isi_max_ms": 3.0}, "is above the longest interval of 3 ms"),
    ],
)
def test_bursts_that_do_not_fit_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        BurstEncoder(**options)
