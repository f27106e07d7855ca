from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurocompile.codecs.decoders import readings
from neurocompile.codecs.spike_batch import SpikeBatch
from neurocompile.errors import DataError

streams = arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 5)))


def one(*neurons: str) -> tuple[np.ndarray, np.ndarray]:
    """Write the spikes of a sample's neurons as strings of 0 and 1."""
    spikes = np.array([[int(step) for step in neuron] for neuron in neurons], np.float32).T[None]
    return spikes, np.ones(spikes.shape[:2], bool)


def all_readings(spikes: object, mask: object) -> dict[str, object]:
    return {
        "counts": readings.spike_counts(spikes),
        "first": readings.first_spike_steps(spikes, mask),
        "last": readings.last_spike_steps(spikes, mask),
        "ranks": readings.first_spike_ranks(spikes)[0],
        "sharing": readings.first_spike_ranks(spikes)[1],
        "sliding": readings.at_last_step(readings.sliding_rates(spikes, 3), mask),
        "intervals": readings.interval_rates(spikes, mask),
        "ready": readings.ready_steps(spikes, mask, 2),
        "phases": readings.mean_phases(spikes, 5.0)[0],
        "lengths": readings.mean_phases(spikes, 5.0)[1],
        "leaky": readings.at_last_step(readings.membranes(spikes, 4.0), mask),
        "perfect": readings.at_last_step(readings.membranes(spikes, None), mask),
    }


def test_readings_of_a_few_spikes() -> None:
    spikes, mask = one("0010110", "0000000", "0100000", "0010000")
    read = all_readings(spikes, mask)
    expected = {
        "counts": [3, 0, 1, 1],
        "first": [2, 7, 1, 2],
        "last": [5, -1, 1, 2],
        # The first and the last share a rank.
        "ranks": [1, 4, 0, 1],
        "sharing": [2, 1, 1, 2],
        "sliding": [2 / 3, 0, 0, 0],
        "intervals": [2 / 3, 0, 1 / 7, 1 / 7],
        # The pause after the spike in step 5 has one step of the window left.
        "ready": [7 - 2 - 2 - 1, 7, 5, 5],
        "leaky": [math.exp(-1) + math.exp(-0.5) + math.exp(-0.25), 0, math.exp(-1.25), math.exp(-1)],
        "perfect": [3, 0, 1, 1],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(read[name], [values], rtol=1e-6, err_msg=name)


def test_sliding_windows_are_shorter_at_the_beginning() -> None:
    spikes, _ = one("1101")
    np.testing.assert_allclose(readings.sliding_rates(spikes, 2)[0, :, 0], [1, 1, 0.5, 0.5])
    np.testing.assert_allclose(readings.sliding_rates(spikes, 9)[0, :, 0], [1, 1, 2 / 3, 3 / 4])


@pytest.mark.parametrize("phase", [0, 0.25, 0.5, 0.9])
def test_phases_are_shares_of_the_cycle(phase: float) -> None:
    spikes = np.zeros((1, 60, 1), np.float32)
    spikes[0, int(20 * phase) :: 20] = 1
    found, length = readings.mean_phases(spikes, 20.0)
    assert found[0, 0] == pytest.approx(phase, abs=1e-6)
    assert length[0, 0] == pytest.approx(1)


def test_phases_around_the_end_of_the_cycle_have_a_mean_there() -> None:
    spikes = np.zeros((1, 40, 2), np.float32)
    spikes[0, [19, 21], 0] = 1
    spikes[0, [5, 15], 1] = 1
    found, length = readings.mean_phases(spikes, 20.0)
    assert min(found[0, 0], 1 - found[0, 0]) == pytest.approx(0, abs=1e-6)
    assert length[0] == pytest.approx([math.cos(math.pi / 10), 0], abs=1e-6)


@given(streams)
def test_both_worlds_agree(spikes: np.ndarray) -> None:
    batch = SpikeBatch(spikes)
    tensors = SpikeBatch(torch.from_numpy(spikes))
    read = all_readings(readings.stream_of(batch), batch.mask)
    other = all_readings(readings.stream_of(tensors), tensors.mask)
    for name, values in read.items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, other[name], rtol=1e-5, atol=1e-5, err_msg=name)


@given(streams, st.integers(1, 4))
def test_padding_changes_nothing(spikes: np.ndarray, more: int) -> None:
    longer = np.zeros((spikes.shape[0], spikes.shape[1] + more, spikes.shape[2]), bool)
    longer[:, : spikes.shape[1]] = spikes
    mask = np.zeros(longer.shape[:2], bool)
    mask[:, : spikes.shape[1]] = True
    read = all_readings(spikes.astype(np.float32), np.ones(spikes.shape[:2], bool))
    for name, values in all_readings(longer.astype(np.float32), mask).items():
        np.testing.assert_allclose(values, read[name], rtol=1e-6, atol=1e-6, err_msg=name)


@given(arrays(np.float64, (1, 6, 3), elements=st.floats(0, 1)))
def test_soft_spikes_have_gradients_everywhere(soft: np.ndarray) -> None:
    for name in all_readings(torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.bool)):
        spikes = torch.from_numpy(soft).requires_grad_()
        value = all_readings(spikes, torch.ones(1, 6, dtype=torch.bool))[name]
        (gradient,) = torch.autograd.grad(value.sum(), spikes)
        assert torch.isfinite(gradient).all(), name
        assert torch.isfinite(value).all(), name


@given(arrays(np.float64, st.tuples(st.integers(1, 2), st.integers(1, 8), st.just(2)), elements=st.floats(0, 1)))
def test_rates_of_intervals_are_shares(soft: np.ndarray) -> None:
    for world in (np.asarray, torch.from_numpy):
        spikes, mask = world(soft), world(np.ones(soft.shape[:2], bool))
        rates = np.asarray(readings.interval_rates(spikes, mask))
        # A NaN is in no range.
        assert ((rates >= 0) & (rates <= 1 + 1e-12)).all()


def test_soft_intervals_are_those_of_drawn_spikes() -> None:
    probability = np.array([0.3, 0.0, 0.6, 0.5, 0.4])
    drawn = np.random.default_rng(0).random((200_000, 5, 1)) < probability[:, None]
    drawn = drawn[drawn.any(axis=1)[:, 0]]
    counts = drawn.sum(axis=1)
    span = 4 - drawn[:, ::-1].argmax(axis=1) - drawn.argmax(axis=1)
    soft = readings.interval_rates(probability[None, :, None], np.ones((1, 5), bool))
    assert soft[0, 0] == pytest.approx((counts - 1).sum() / span.sum(), abs=0.01)


def test_soft_first_spikes_are_expectations() -> None:
    probability = np.array([0.3, 0.0, 0.6, 0.5])
    drawn = np.random.default_rng(0).random((200_000, 4, 1)) < probability[:, None]
    mask = np.ones((1, 4), bool)
    soft = readings.first_spike_steps(probability[None, :, None], mask)
    hard = readings.first_spike_steps(drawn.astype(np.float32), mask)
    assert soft[0, 0] == pytest.approx(hard.mean(), abs=0.01)


def test_ready_steps_make_the_rate_of_a_process_with_pauses_right() -> None:
    generator = np.random.default_rng(1)
    spikes = np.zeros((1, 2_000, 200), np.float32)
    ready = np.zeros(200, int)
    for t in range(2_000):
        fires = (generator.random(200) < 0.1) & (ready <= t)
        spikes[0, t] = fires
        ready[fires] = t + 21
    exposure = readings.ready_steps(spikes, np.ones((1, 2_000), bool), 20)
    assert np.sum(spikes) / np.sum(exposure) == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("shape", [(1, 0, 2), (0, 3, 2), (1, 3, 0)])
def test_no_spikes_at_all_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="empty"):
        readings.stream_of(SpikeBatch(np.zeros(shape, bool)))


def test_spikes_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(DataError, match="NaN"):
        readings.stream_of(SpikeBatch(np.array([[[1.0], [np.nan]]])))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_counts_of_half_precision_are_exact(dtype: torch.dtype) -> None:
    spikes = torch.ones(1, 3_000, 1, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        stream = readings.stream_of(SpikeBatch(spikes))
        assert readings.spike_counts(stream).item() == 3_000
        assert stream.dtype == torch.float32
