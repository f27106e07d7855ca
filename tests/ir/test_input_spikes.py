"""Spikes of the input: all rate codes tell the same values."""

from __future__ import annotations

import numpy as np
import pytest

from neurocompile.errors import GraphError
from neurocompile.ir import Graph, Node
from neurocompile.ir.processes import Decoder, Encoder, EncoderCode, ScaleSynapses

STEPS = 64
X = np.linspace(-2, 2, 41)[None]
"""From minus the ceiling to the ceiling."""


@pytest.mark.parametrize("code", ["deterministic", "burst"])
def test_counts_are_the_values(code: EncoderCode) -> None:
    encoder = Encoder((41,), code, ceiling=2.0)
    stream = encoder.encode(X, STEPS)
    assert stream.dtype == np.int8
    np.testing.assert_allclose(stream.mean(axis=0) * encoder.unit, X, atol=2 / STEPS)
    np.testing.assert_array_equal(stream, encoder.encode(X, STEPS))


def test_even_spikes_are_even() -> None:
    stream = Encoder((1,), "deterministic").encode(np.array([[0.25]]), 16)
    assert np.flatnonzero(stream).tolist() == [1, 5, 9, 13]


def test_a_burst_comes_first() -> None:
    stream = Encoder((2,), "burst").encode(np.array([[0.25, -0.5]]), 16)
    assert np.flatnonzero(stream[:, 0, 0]).tolist() == [0, 1, 2, 3]
    assert np.flatnonzero(stream[:, 0, 1] == -1).tolist() == list(range(8))


def test_time_to_first_spike_is_one_spike_and_the_larger_the_earlier() -> None:
    stream = Encoder((5,), "ttfs", ceiling=2.0).encode(np.array([[2.0, 1.0, -2.0, 0.01, 0.0]]), 11)[:, 0]
    assert np.argmax(np.abs(stream), axis=0).tolist() == [0, 5, 0, 10, 0]
    assert stream.sum(axis=0).tolist() == [1, 1, -1, 1, 0]


def test_bernoulli_spikes_have_their_rates_and_depend_on_the_seed() -> None:
    encoder = Encoder((41,), "bernoulli", ceiling=2.0, seed=1)
    stream = encoder.encode(X, 4000)
    deviation = np.sqrt(np.abs(X) / 2 * (1 - np.abs(X) / 2) / 4000)
    assert np.all(np.abs(stream.mean(axis=0) - X / 2) <= 5 * deviation)
    np.testing.assert_array_equal(stream, encoder.encode(X, 4000))
    assert np.any(stream != Encoder((41,), "bernoulli", ceiling=2.0, seed=2).encode(X, 4000))


@pytest.mark.parametrize("code", ["bernoulli", "deterministic", "burst", "ttfs"])
def test_spikes_do_not_depend_on_how_images_are_grouped(code: EncoderCode) -> None:
    encoder = Encoder((41,), code)
    x = np.random.default_rng(0).uniform(-1, 1, (4, 41))
    whole = encoder.encode(x, 20)
    parts = [encoder.encode(x[i : i + 3], 20, first=i) for i in range(0, 4, 3)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize("code", ["poisson", "bernoulli", "deterministic", "burst", "ttfs"])
def test_darkness_is_silent(code: EncoderCode) -> None:
    assert not Encoder((3,), code).encode(np.zeros((2, 3)), 10).any()


def test_a_pause_is_for_poisson_spikes() -> None:
    with pytest.raises(GraphError, match="has refractory=2 of burst"):
        Graph((Node("x", Encoder((3,), "burst", refractory=2)),), ("x",)).types  # noqa: B018


CURRENT = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0.0]])[:, None]


def test_the_first_spike_leads_and_more_spikes_break_ties() -> None:
    read = Decoder(np.zeros(1), code="first_spike").run(CURRENT)[:, 0]
    assert np.argmax(read, axis=1).tolist() == [2, 2, 2, 2]
    assert np.argsort(read[-1]).tolist() == [0, 1, 2]
    tied = Decoder(np.zeros(1), code="first_spike").run(np.array([[1, 1.0], [0, 1]])[:, None])[-1, 0]
    assert tied[1] > tied[0]


def test_silence_never_leads() -> None:
    read = Decoder(np.zeros(1), code="first_spike").run(np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]])[:, None])
    assert read[-1, 0].tolist() == [0, 4097 + 1]


def test_steps_since_the_first_spike_are_shares() -> None:
    decoder = Decoder(np.zeros(1), code="first_spike")
    np.testing.assert_allclose(decoder.scores(decoder.run(CURRENT)[-1], 4), [[0.5, 0.75, 1.0]], atol=1e-3)


def test_the_highest_membrane_stays() -> None:
    decoder = Decoder(np.array([-1.0]), code="membrane_max")
    current = np.array([3.0, 0.0, 0.0, 4.0, 0.0])[:, None, None]
    assert decoder.run(current).ravel().tolist() == [2, 2, 2, 3, 3]


@pytest.mark.parametrize("code", ["membrane_max", "first_spike"])
def test_digits_are_read_from_the_membrane(code: str) -> None:
    nodes = (
        Node("x", Encoder((3,))),
        Node("one", ScaleSynapses(np.ones(1)), ("x",)),
        Node("decoder", Decoder(np.zeros(1), radix=2, code=code), ("one",)),  # type: ignore[arg-type]
    )
    with pytest.raises(GraphError, match=f"reads digits by {code}"):
        Graph(nodes, ("decoder",)).types  # noqa: B018
