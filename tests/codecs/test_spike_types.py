from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from codecs_worlds import WORLDS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from neurocompile.codecs.arrays import NumpyDraws, TorchDraws, admit, draws_for, namespace
from neurocompile.codecs.axes import BATCH_DIM, TIME_DIM, batch_to_time_first, time_to_batch_first
from neurocompile.codecs.spike_batch import SpikeBatch
from neurocompile.codecs.spike_train import PopulationCode, SpikeTrain, TemporalCode, batch_of, trains_of
from neurocompile.errors import DataError

DT = st.sampled_from([0.1, 0.25, 1.0, 1 / 3, 0.7])
worlds = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)


def streams():
    features = array_shapes(min_dims=0, max_dims=3, max_side=3)
    return features.flatmap(
        lambda shape: st.lists(
            st.integers(1, 12).flatmap(lambda steps: arrays(np.bool_, (steps, *shape))), min_size=1, max_size=4
        )
    )


# Axes


@worlds
def test_axes_change_places_and_back(world):
    x = world(np.arange(24).reshape(2, 3, 4))
    assert (BATCH_DIM, TIME_DIM) == (0, 1)
    turned = batch_to_time_first(x)
    assert tuple(turned.shape) == (3, 2, 4)
    assert np.array_equal(np.asarray(turned), np.asarray(x).transpose(1, 0, 2))
    assert np.array_equal(np.asarray(time_to_batch_first(turned)), np.asarray(x))


def test_one_axis_has_no_batch_and_time():
    with pytest.raises(DataError, match="no axes of time and batch"):
        time_to_batch_first(np.zeros(3))


# Arrays


@pytest.mark.parametrize(
    ("given_", "kind"),
    [
        (np.float16([1]), np.float32),
        (np.float32([1]), np.float32),
        (np.float64([1]), np.float64),
        (np.int8([1]), np.float64),
        (np.array([True]), np.float64),
        ([1, 2], np.float64),
        (3.5, np.float64),
    ],
)
def test_admitted_numpy_arrays_are_floats(given_, kind):
    x = admit(given_)
    assert x.dtype == kind
    assert np.array_equal(x, np.asarray(given_))


@pytest.mark.parametrize(
    ("kind", "becomes"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float64, torch.float64),
        (torch.int32, torch.float32),
        (torch.bool, torch.float32),
    ],
)
def test_admitted_tensors_are_floats(kind, becomes):
    assert admit(torch.ones(2, dtype=kind)).dtype == becomes


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.array([1, np.nan, np.inf]), "NaN or infinities, in 2 places"),
        (torch.tensor([-math.inf]), "NaN or infinities, in 1 places"),
        (np.float64("nan"), "NaN or infinities, in 1 places"),
        (torch.tensor(math.nan), "NaN or infinities, in 1 places"),
        (np.zeros((0, 3)), "empty"),
        (torch.zeros(0), "empty"),
        (np.array(["a"]), "type <U1"),
        (np.array([None]), "type object"),
        (np.array([1j]), "type complex128"),
        (torch.tensor([1j]), "complex"),
        ([[1], [2, 3]], "no array"),
    ],
)
def test_what_is_no_array_of_finite_reals_is_refused(wrong, message):
    with pytest.raises(DataError, match=message):
        admit(wrong)


def test_worlds_are_not_mixed():
    with pytest.raises(DataError, match="not all NumPy arrays or all PyTorch tensors"):
        namespace(np.ones(2), torch.ones(2))


@worlds
def test_draws_come_from_their_distributions(world):
    draws = draws_for(world([0.0]), 1)
    uniform, exponential, normal, octets = (
        np.asarray(draw((20000,)), float) for draw in (draws.uniform, draws.exponential, draws.normal, draws.bytes)
    )
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert uniform.mean() == pytest.approx(0.5, abs=0.02)
    assert exponential.min() >= 0
    assert exponential.mean() == pytest.approx(1, abs=0.04)
    assert (normal.mean(), normal.std()) == (pytest.approx(0, abs=0.03), pytest.approx(1, abs=0.03))
    assert set(octets) == set(range(256))
    assert octets.mean() == pytest.approx(127.5, abs=2.5)


def test_draws_are_in_single_precision_or_better_and_of_the_seed():
    assert draws_for(torch.ones(1, dtype=torch.float16), 3).uniform((4,)).dtype == torch.float32
    assert torch.equal(TorchDraws(3, "cpu").normal((4,)), TorchDraws(3, "cpu").normal((4,)))
    assert not torch.equal(TorchDraws(None, "cpu").normal((4,)), TorchDraws(None, "cpu").normal((4,)))
    assert not np.array_equal(NumpyDraws(None).normal((4,)), NumpyDraws(None).normal((4,)))
    generator = np.random.default_rng(5)
    assert NumpyDraws(generator).generator is generator


def test_a_seed_has_these_numbers_on_every_platform():
    draws = NumpyDraws(7)
    assert draws.bytes((2, 5)).tolist() == [[139, 74, 229, 241, 169], [65, 6, 160, 149, 106]]
    assert draws.uniform((2,)).tolist() == [0.7756856902451935, 0.22520718999059186]
    assert draws.exponential((2,)).tolist() == [0.20653275401650553, 3.3836373514362537]
    assert draws.normal((2,)).tolist() == [0.060143602597438485, 1.3402152455545335]


# SpikeBatch


@worlds
def test_a_batch_tells_its_shape(world):
    batch = SpikeBatch(world(np.zeros((2, 5, 3, 4, 4), bool)))
    assert (batch.batch_size, batch.time_steps, batch.feature_shape) == (2, 5, (3, 4, 4))
    assert np.asarray(batch.mask).all()
    assert tuple(batch.mask.shape) == (2, 5)
    assert np.asarray(batch.lengths).tolist() == [5, 5]
    assert str(batch.device) == "cpu"
    assert batch.aux == {}


@worlds
@pytest.mark.parametrize(
    ("values", "binary"), [([True, False], True), ([0.0, 1.0], True), ([0.0, 0.5], False), ([2, 0], False)]
)
def test_binary_is_zeros_and_ones(world, values, binary):
    assert SpikeBatch(world(np.array(values).reshape(1, 2, 1))).is_binary() == binary


@given(streams())
def test_stacked_streams_come_back_without_their_padding(given_streams):
    for world in WORLDS.values():
        batch = SpikeBatch.stack([world(stream) for stream in given_streams], {"rates": 1})
        assert np.asarray(batch.lengths).tolist() == [len(stream) for stream in given_streams]
        assert batch.aux == {"rates": 1}
        for stream, back in zip(given_streams, batch.unstack(), strict=True):
            assert np.array_equal(stream, np.asarray(back))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpikeBatch(np.zeros(3)), r"\(B, T, ...\)"),
        (lambda: SpikeBatch(np.zeros((2, 3, 1)), np.ones((2, 2), bool)), r"shape \[2, 2\]"),
        (lambda: SpikeBatch(np.zeros((2, 3, 1)), np.ones((2, 3))), "type float64"),
        (lambda: SpikeBatch(np.ones((1, 2, 1)), np.array([[True, False]])), "spikes in steps that the mask"),
        (lambda: SpikeBatch(np.zeros((1, 3, 1)), np.array([[True, False, True]])), "steps after some"),
        (lambda: SpikeBatch(np.zeros((1, 3, 1)), np.array([[False, True, True]])), "steps after some"),
        (lambda: SpikeBatch(np.array([[["1"]]])), "type <U1"),
        (lambda: SpikeBatch(np.array([[[1j]]])), "type complex128"),
        (lambda: SpikeBatch(np.zeros((1, 2, 1)), torch.ones(1, 2, dtype=torch.bool)), "not all NumPy"),
        (lambda: SpikeBatch.stack([]), "no streams"),
        (lambda: SpikeBatch.stack([np.array(True)]), "without an axis of time"),
        (lambda: SpikeBatch.stack([np.zeros((2, 1)), np.zeros((2, 2))]), "stream 1 has features"),
        (lambda: SpikeBatch.stack([np.zeros((2, 1)), np.zeros((2, 1), bool)]), "stream 1 has features"),
    ],
)
def test_contradictory_batches_are_refused(make, message):
    with pytest.raises(DataError, match=message):
        make()


# SpikeTrain


@given(streams(), DT)
def test_trains_and_batches_become_each_other_without_loss(given_streams, dt_ms):
    for world in WORLDS.values():
        batch = SpikeBatch.stack([world(stream) for stream in given_streams])
        trains = [replace(train, binary_matrix=None) for train in trains_of(batch, dt_ms)]
        back = batch_of(trains, batch.feature_shape)
        assert np.array_equal(np.asarray(back.spikes), np.asarray(batch.spikes))
        assert np.array_equal(np.asarray(back.mask), np.asarray(batch.mask))
        again = [replace(train, binary_matrix=None) for train in trains_of(back, dt_ms)]
        for train, other in zip(trains, again, strict=True):
            assert np.array_equal(train.spike_times, other.spike_times, equal_nan=True)
            assert np.array_equal(train.num_spikes, other.num_spikes)
            assert (train.duration_ms, train.num_timesteps) == (other.duration_ms, other.num_timesteps)


@worlds
def test_a_train_holds_times_in_ms_padded_with_nan(world):
    train = SpikeTrain.from_dense(world(np.array([[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]])), 0.5)
    expected = [[0.5, 1.5], [0, np.nan], [np.nan, np.nan]]
    assert np.array_equal(np.asarray(train.spike_times), np.array(expected), equal_nan=True)
    assert np.asarray(train.num_spikes).tolist() == [2, 1, 0]
    assert np.asarray(train.neuron_ids).tolist() == [0, 1, 2]
    assert (train.duration_ms, train.dt_ms, train.num_timesteps) == (2.0, 0.5, 4)
    assert train.dense() is train.binary_matrix


@worlds
def test_a_train_splits_into_trains_of_its_rows(world):
    dense = np.random.default_rng(0).random((7, 9)) < 0.4
    train = SpikeTrain.from_dense(world(dense), 0.5)
    for whole in (train, replace(train, binary_matrix=None)):
        parts = whole.split(3)
        assert [len(part.neuron_ids) for part in parts] == [3, 3, 1]
        assert all((part.duration_ms, part.dt_ms) == (4.5, 0.5) for part in parts)
        assert np.array_equal(np.concatenate([np.asarray(part.dense()) for part in parts]), dense)
        # Each is what its fields make.
        for part in parts:
            assert np.array_equal(np.asarray(replace(part).num_spikes), np.asarray(part.dense()).sum(1))
        assert np.concatenate([np.asarray(part.neuron_ids) for part in parts]).tolist() == [*range(7)]


def test_times_off_the_grid_go_to_the_nearest_step():
    train = SpikeTrain(np.array([[0.4, 1.6, 2.9]]), np.array([0]), 3.0, 1.0, np.array([3]))
    with pytest.raises(DataError, match="two spikes of a neuron are in the same step"):
        train.dense()
    train = SpikeTrain(np.array([[0.4, 2.9]]), np.array([0]), 3.0, 1.0, np.array([2]))
    assert train.dense().tolist() == [[True, False, True]]


TIMES = np.array([[0.0, 1.0]])


def _train(times=TIMES, ids=None, duration=3.0, dt=1.0, counts=None, dense=None):
    ids = np.zeros(1, int) if ids is None else ids
    return SpikeTrain(times, ids, duration, dt, np.array([2]) if counts is None else counts, dense)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: _train(duration=0.5), "has no step"),
        (lambda: _train(dt=0.0), "has no step"),
        (lambda: _train(duration=np.inf), "has no step"),
        (lambda: _train(times=np.zeros(2)), r"\(num_neurons, max_spikes\)"),
        (lambda: _train(ids=np.zeros(2, int)), "one value for each of 1 neurons"),
        (lambda: _train(counts=np.array([1])), "does not count"),
        (lambda: _train(counts=np.array([5])), "from 0 to the 2 places"),
        (lambda: _train(times=np.full((1, 2), np.nan), counts=np.array([-3])), "from 0 to the 2 places"),
        (lambda: _train(counts=np.array([2.0])), "type float64"),
        (lambda: _train(times=np.array([[np.nan, 1.0]]), counts=np.array([1])), "does not count"),
        (lambda: _train(times=np.array([[0.0, 3.0]])), "outside of the window"),
        (lambda: _train(times=np.array([[-1.0, 1.0]])), "outside of the window"),
        (lambda: _train(times=np.array([[1.0, 1.0]])), "do not ascend"),
        (lambda: _train(dense=np.zeros((1, 2), bool)), r"give it as \[1, 3\]"),
        (lambda: _train(dense=np.array([[1.0, 1.0, 0.0]])), "type float64"),
        (lambda: _train(dense=np.zeros((1, 3), bool)), "other spikes"),
        (lambda: SpikeTrain.from_dense(np.zeros(3), 1.0), "num_timesteps"),
        (lambda: SpikeTrain.from_dense(np.full((1, 2), 0.5), 1.0), "not 0 or 1"),
        (lambda: batch_of([]), "no trains"),
        (lambda: batch_of([_train(), _train(dt=0.5)]), "different lengths"),
        (lambda: batch_of([_train()], (2,)), r"do not have the shape \[2\]"),
        (
            lambda: batch_of([_train(), SpikeTrain.from_dense(np.zeros((2, 3)), 1.0)]),
            "different numbers of neurons",
        ),
    ],
)
def test_contradictory_trains_are_refused(make, message):
    with pytest.raises(DataError, match=message):
        make()


# Codes


def _population(**changes):
    fields = {
        "spike_trains": (SpikeTrain.from_dense(np.zeros((4, 3)), 1.0),) * 2,
        "tuning_centers": np.arange(4.0),
        "tuning_widths": np.ones(4),
        "input_range": (0.0, 3.0),
        "num_neurons_per_dim": 4,
    }
    return PopulationCode(**fields | changes)


def test_population_codes_fit_their_trains():
    assert len(_population().spike_trains) == 2
    assert _population(tuning_centers=np.ones((2, 4))).tuning_centers.shape == (2, 4)
    assert _population().num_dims == 2
    assert _population(num_samples=2, tuning_centers=np.ones((1, 4))).num_dims == 1
    other_window, other_steps = (SpikeTrain.from_dense(np.zeros((4, 6)), dt) for dt in (1.0, 0.5))
    for changes, message in (
        ({"tuning_centers": np.ones(3)}, "tuning centers"),
        ({"tuning_widths": np.ones((3, 4))}, "tuning widths"),
        ({"input_range": (1.0, 1.0)}, "is empty"),
        ({"spike_trains": ()}, "0 trains are not the dimensions of 1 samples"),
        ({"num_samples": 3}, "2 trains are not the dimensions of 3 samples"),
        ({"num_samples": 0}, "of 0 samples"),
        ({"num_samples": 2, "tuning_centers": np.ones((2, 4))}, "tuning centers"),
        ({"tuning_centers": np.full(4, np.nan)}, "tuning centers holds NaN"),
        ({"tuning_widths": np.array([1.0, 0.0, 1.0, 1.0])}, "not all above 0"),
        ({"tuning_widths": np.full(4, np.inf)}, "tuning widths holds NaN or infinities"),
        ({"spike_trains": (_population().spike_trains[0], other_window)}, "different windows"),
        ({"spike_trains": (_population().spike_trains[0], other_steps)}, "different windows"),
        ({"spike_trains": (SpikeTrain.from_dense(np.zeros((3, 3)), 1.0),)}, "another number"),
    ):
        with pytest.raises(DataError, match=message):
            _population(**changes)


def test_temporal_codes_have_the_fields_of_their_scheme():
    train = _train()
    assert TemporalCode(train, "ttfs").reference_time_ms == 0
    assert TemporalCode(train, "phase", phase_frequency_hz=40.0).phase_frequency_hz == 40
    assert TemporalCode(train, "rank_order", rank_order=np.array([0])).rank_order is not None
    for make, message in (
        (lambda: TemporalCode(train, "phase"), "phase_frequency_hz=None"),
        (lambda: TemporalCode(train, "ttfs", phase_frequency_hz=40.0), "phase_frequency_hz=40"),
        (lambda: TemporalCode(train, "rank_order"), "no rank_order"),
        (lambda: TemporalCode(train, "ttfs", rank_order=np.array([0])), "a rank_order"),
        (lambda: TemporalCode(train, "morse"), "no temporal scheme 'morse'"),
        (lambda: TemporalCode(train, "ttfs", reference_time_ms=-1.0), "reference_time_ms=-1"),
        (lambda: TemporalCode(train, "ttfs", reference_time_ms=np.nan), "reference_time_ms=nan"),
    ):
        with pytest.raises(DataError, match=message):
            make()


@worlds
def test_a_train_may_have_no_neurons_and_needs_a_step(world):
    train = SpikeTrain.from_dense(world(np.zeros((0, 3), bool)), 1.0)
    assert tuple(train.spike_times.shape) == (0, 0)
    assert tuple(train.dense().shape) == (0, 3)
    with pytest.raises(DataError, match="has no step"):
        SpikeTrain.from_dense(world(np.zeros((2, 0), bool)), 1.0)
