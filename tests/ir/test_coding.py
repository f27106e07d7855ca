from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from neurocompile.ir import TensorType
from neurocompile.ir.fixed_point import CURRENT_MAX
from neurocompile.ir.processes import (
    Decoder,
    Encoder,
    Readout,
)
from neurocompile.ir.processes.input_spikes import input_spikes

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (5, 2, 3))


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


@pytest.mark.parametrize("refractory", [0, 1, 4])
def test_poisson_spikes_keep_their_rate_and_their_pauses(refractory: int) -> None:
    encoder = Encoder((200,), "poisson", ceiling=2.0, refractory=refractory)
    stream = encoder.encode(np.repeat(X[:1].ravel()[:4], 50)[None], 4000)[:, 0]
    mean = stream.reshape(4000, 4, 50).mean(axis=(0, 2))
    np.testing.assert_allclose(mean * encoder.unit, np.clip(X[:1].ravel()[:4], -2, 2), atol=0.02)
    for neuron in stream.T:
        assert np.all(np.diff(np.flatnonzero(neuron)) > refractory)


def test_intervals_between_poisson_spikes_are_those_of_steps() -> None:
    """A pause, and then the chances of a coin that is thrown at every step."""
    refractory, rate = 3, 0.1
    (stream,) = input_spikes("poisson", np.full((1, 500), rate), 2000, refractory, 0, 0)
    chance = rate / (1 - rate * refractory)
    intervals = np.concatenate([np.diff(np.flatnonzero(neuron)) for neuron in stream.T])
    expected = chance * (1 - chance) ** np.arange(30)
    found = np.bincount(intervals - refractory - 1, minlength=30)[:30] / len(intervals)
    np.testing.assert_allclose(found, expected, atol=5 * np.sqrt(chance / len(intervals)))
    np.testing.assert_allclose(stream[0].mean(), chance, atol=0.06)


def test_no_rate_is_silence_and_a_rate_of_one_never_pauses() -> None:
    (spikes,) = input_spikes("poisson", np.array([[0.0, 1.0]]), 50, 0, 0, 0)
    assert spikes.sum(axis=0).tolist() == [0, 50]


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
