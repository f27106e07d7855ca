from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurocompile.codecs.decoders import DeltaDecoder
from neurocompile.codecs.encoders import DeltaEncoder
from neurocompile.codecs.spike_batch import SpikeBatch
from neurocompile.errors import DataError


def slow(steps: int, seed: int = 0) -> np.ndarray:
    """Make signals ``(2, T, 3)`` that change by less than 0.1 in a step."""
    change = np.random.default_rng(seed).uniform(-0.09, 0.09, (2, steps, 3))
    return np.cumsum(change, axis=1)


@pytest.mark.parametrize("adaptation", [0.0, 0.5])
def test_a_slow_signal_comes_back_within_a_threshold(adaptation: float) -> None:
    x = slow(200)
    batch = DeltaEncoder(theta_up=0.1, theta_down=0.1, adaptation=adaptation)(x)
    signal = DeltaDecoder()(batch).aux["reconstruction"]
    # Once grown, a threshold is up to (1 + adaptation * decay / (1 - decay)) times itself.
    assert np.abs(signal - x).max() < (0.1 if adaptation == 0 else 0.1 * (1 + adaptation * 9)) + 1e-5
    assert 1 - np.mean((signal - x) ** 2) / np.var(x) > 0.95


@given(
    arrays(
        np.float64, st.tuples(st.integers(1, 2), st.integers(1, 12), st.integers(1, 3)), elements=st.floats(-2, 2)
    ),
    st.sampled_from(["reference", "difference"]),
    st.sampled_from([0.0, 1.0]),
)
def test_the_signal_is_the_sum_of_the_spikes(x: np.ndarray, mode: str, adaptation: float) -> None:
    batch = DeltaEncoder(mode=mode, adaptation=adaptation, theta_up=0.2, theta_down=0.3)(x)  # type: ignore[arg-type]
    out = DeltaDecoder()(batch)
    n = x.shape[2]
    value = x[:, 0].copy()
    up, down = (np.broadcast_to(np.asarray(batch.aux[k]), x.shape) for k in ("threshold_up", "threshold_down"))
    for t in range(x.shape[1]):
        value = value + batch.spikes[:, t, :n] * up[:, t] - batch.spikes[:, t, n:] * down[:, t]
        np.testing.assert_allclose(out.aux["reconstruction"][:, t], value, atol=1e-5)
    np.testing.assert_allclose(out.logits_proxy, value, atol=1e-5)


def test_pieces_of_a_stream_decode_as_the_whole() -> None:
    x = slow(60)
    whole = DeltaDecoder()(DeltaEncoder()(x)).aux["reconstruction"]
    encoder = DeltaEncoder()
    pieces = [DeltaDecoder()(encoder(part)).aux["reconstruction"] for part in (x[:, :7], x[:, 7:30], x[:, 30:])]
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=1e-5)


def test_images_keep_their_halves() -> None:
    x = np.random.default_rng(1).uniform(0, 1, (2, 9, 2, 3, 4))
    batch = DeltaEncoder(theta_up=0.05, theta_down=0.05)(x)
    flat = DeltaEncoder(theta_up=0.05, theta_down=0.05)(x.reshape(2, 9, 24))
    decoder = DeltaDecoder()
    np.testing.assert_array_equal(decoder(batch).aux["reconstruction"], decoder(flat).aux["reconstruction"])


def test_the_thresholds_of_the_decoder_are_for_spikes_without_any() -> None:
    spikes = np.array([[[1, 0], [1, 0], [0, 1]]], bool)
    out = DeltaDecoder(theta_up=0.5, theta_down=0.25)(spikes)
    np.testing.assert_allclose(out.aux["reconstruction"][0, :, 0], [0.5, 1.0, 0.75])


@pytest.mark.parametrize(
    ("aux", "problem"),
    [
        ({"reference": np.zeros((2, 1))}, "reference has the shape"),
        ({"threshold_up": np.zeros((1, 2, 1))}, "threshold_up has the shape"),
        ({"threshold_down": np.full((1, 3, 1), np.nan)}, "threshold_down holds NaN"),
        ({"reference": torch.zeros(1, 1)}, "not all NumPy arrays"),
    ],
)
def test_thresholds_that_do_not_fit_are_refused(aux: dict[str, object], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        DeltaDecoder()(SpikeBatch(np.zeros((1, 3, 2), bool), aux=aux))


def test_an_odd_number_of_neurons_has_no_halves() -> None:
    with pytest.raises(DataError, match="3 neurons are not halves"):
        DeltaDecoder()(np.zeros((1, 2, 3), bool))


def test_streams_of_double_precision_come_back_in_it() -> None:
    x = 1e9 + slow(40)
    for world in (np.asarray, torch.from_numpy):
        signal = np.asarray(DeltaDecoder()(DeltaEncoder()(world(x))).aux["reconstruction"])
        assert signal.dtype == np.float64
        assert np.abs(signal - x).max() < 0.1 + 1e-5


@pytest.mark.parametrize("number", [np.float32(0.5), np.array(0.5), torch.tensor(0.5), 0.5])
def test_thresholds_may_be_numbers_of_any_kind(number: object) -> None:
    aux = {"threshold_up": number, "threshold_down": 1}
    out = DeltaDecoder()(SpikeBatch(np.array([[[1, 0], [1, 0], [0, 1]]], bool), aux=aux))
    np.testing.assert_allclose(out.aux["reconstruction"][0, :, 0], [0.5, 1.0, 0.0])
