from __future__ import annotations

import itertools

import numpy as np
import pytest
from codecs_worlds import WORLDS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurocompile.codecs.encoders import DeltaEncoder
from neurocompile.errors import DataError

worlds = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
# Dyadic fractions, whose sums are exact.
STREAMS = arrays(
    np.float64,
    st.tuples(st.integers(1, 2), st.integers(1, 20), st.integers(1, 3)),
    elements=st.integers(-64, 64).map(lambda k: k / 32),
)
OPTIONS = st.fixed_dictionaries(
    {
        "theta_up": st.sampled_from([0.125, 0.5]),
        "theta_down": st.sampled_from([0.25, 0.5]),
        "mode": st.sampled_from(["reference", "difference"]),
        "adaptation": st.sampled_from([0.0, 0.5]),
        "adaptation_decay": st.sampled_from([0.0, 0.5]),
    }
)


def naive(x, theta_up, theta_down, mode, adaptation, adaptation_decay):
    """One channel, sample by sample."""
    on, off = [], []
    reference, up, down = x[0], 0.0, 0.0
    for value in x:
        high, low = theta_up * (1 + up), theta_down * (1 + down)
        change = value - reference
        on.append(change > high)
        off.append(change < -low)
        if mode == "difference":
            reference = value
        else:
            reference += high * on[-1] - low * off[-1]
        up = (up + adaptation * on[-1]) * adaptation_decay
        down = (down + adaptation * off[-1]) * adaptation_decay
    return on, off


@given(STREAMS, OPTIONS)
def test_spikes_are_those_of_the_loop(x, options):
    for world in WORLDS.values():
        spikes = np.asarray(DeltaEncoder(**options)(world(x)).spikes)
        samples, steps, features = x.shape
        assert spikes.shape == (samples, steps, 2 * features)
        for sample in range(samples):
            for feature in range(features):
                on, off = naive(x[sample, :, feature], **options)
                assert spikes[sample, :, feature].tolist() == on
                assert spikes[sample, :, features + feature].tolist() == off


@given(STREAMS, OPTIONS, st.lists(st.integers(1, 20), max_size=4))
def test_a_stream_in_pieces_is_the_stream_in_one_go(x, options, cuts):
    for world in WORLDS.values():
        whole = DeltaEncoder(**options)(world(x))
        encoder = DeltaEncoder(**options)
        edges = sorted({0, x.shape[1], *(cut for cut in cuts if cut < x.shape[1])})
        pieces = [encoder(world(x[:, a:b])) for a, b in itertools.pairwise(edges)]
        together = np.concatenate([np.asarray(piece.spikes) for piece in pieces], axis=1)
        assert np.array_equal(together, np.asarray(whole.spikes))
        encoder.reset()
        assert np.array_equal(np.asarray(encoder(world(x)).spikes), np.asarray(whole.spikes))


@worlds
def test_the_reference_follows_a_slow_signal_that_differences_do_not_see(world):
    ramp = np.linspace(0, 1, 101)
    x = world(ramp.reshape(1, -1, 1))
    spikes = np.asarray(DeltaEncoder(theta_up=0.0625)(x).spikes)[0, :, 0]
    assert np.max(np.abs(np.cumsum(spikes) * 0.0625 - ramp)) <= 0.0625 + 0.01
    assert not np.asarray(DeltaEncoder(theta_up=0.0625, mode="difference")(x).spikes).any()


@worlds
def test_an_adaptive_threshold_follows_from_the_spikes(world):
    x = np.random.default_rng(0).normal(0, 1, (1, 50, 2)).cumsum(1)
    options = {"theta_up": 0.25, "theta_down": 0.5, "adaptation": 0.5, "adaptation_decay": 0.5}
    batch = DeltaEncoder(**options)(world(x))
    spikes = np.asarray(batch.spikes)[0]
    grown = np.zeros(4)
    for t in range(50):
        thresholds = np.array([0.25, 0.25, 0.5, 0.5]) * (1 + grown)
        assert np.allclose(np.asarray(batch.aux["threshold_up"])[0, t], thresholds[:2])
        assert np.allclose(np.asarray(batch.aux["threshold_down"])[0, t], thresholds[2:])
        grown = (grown + 0.5 * spikes[t]) * 0.5
    plain = DeltaEncoder(theta_up=0.25, theta_down=0.5)(world(x))
    assert (plain.aux["threshold_up"], plain.aux["threshold_down"]) == (0.25, 0.5)
    assert np.asarray(plain.spikes).sum() > spikes.sum()


@worlds
def test_pictures_have_twice_the_channels(world):
    x = np.zeros((2, 3, 2, 4, 5))
    x[0, 1, 1] = 1
    batch = DeltaEncoder(theta_up=0.5, theta_down=0.5, mode="difference")(world(x))
    spikes = np.asarray(batch.spikes)
    assert spikes.shape == (2, 3, 4, 4, 5)
    assert spikes[0, 1, 1].all()
    assert spikes[0, 2, 3].all()
    assert spikes.sum() == 40
    assert tuple(batch.aux["reference"].shape) == (2, 2, 4, 5)


@worlds
def test_streams_may_be_normalized(world):
    x = np.linspace(-3, 7, 40).reshape(2, 20, 1)
    shares = (x - x.min((1, 2), keepdims=True)) / np.ptp(x, axis=(1, 2), keepdims=True)
    encoder = DeltaEncoder(normalization="minmax", theta_up=0.11)
    batch = encoder(world(x))
    assert np.array_equal(np.asarray(batch.spikes), np.asarray(DeltaEncoder(theta_up=0.11)(world(shares)).spikes))
    assert np.asarray(batch.aux["normalization"].low).ravel().tolist() == x.min((1, 2)).tolist()
    with pytest.raises(DataError, match="second piece"):
        encoder(world(x))
    encoder.reset()
    assert np.array_equal(np.asarray(encoder(world(x)).spikes), np.asarray(batch.spikes))
    clipped = DeltaEncoder(normalization="clamp", input_range=(0.0, 2.0))(world(x))
    assert np.asarray(clipped.spikes).sum() < 2 * 20


@worlds
@pytest.mark.parametrize("adaptation", [0.0, 0.5])
@pytest.mark.parametrize("normalization", ["none", "minmax"])
def test_ragged_streams_carry_their_mask(world, adaptation, normalization):
    rng = np.random.default_rng(0)
    streams = [rng.normal(0, 0.3, (steps, 2)).cumsum(0) for steps in (5, 12, 1)]
    encoder = DeltaEncoder(theta_up=0.125, adaptation=adaptation, normalization=normalization)
    batch = encoder.encode_ragged([world(stream) for stream in streams])
    assert np.asarray(batch.lengths).tolist() == [5, 12, 1]
    assert np.asarray(batch.mask).sum() == 18
    for i, (stream, spikes) in enumerate(zip(streams, batch.unstack(), strict=True)):
        alone = encoder(world(stream[None]))
        encoder.reset()
        assert np.array_equal(np.asarray(spikes), np.asarray(alone.spikes)[0])
        assert np.array_equal(np.asarray(batch.aux["reference"])[i], np.asarray(alone.aux["reference"])[0])
        low = alone.aux["normalization"].low
        assert np.array_equal(np.asarray(batch.aux["normalization"].low)[i], np.asarray(low)[0])
        if adaptation:
            up = np.asarray(batch.aux["threshold_up"])[i]
            assert np.array_equal(up[: len(stream)], np.asarray(alone.aux["threshold_up"])[0])
        else:
            assert batch.aux["threshold_up"] == 0.125


def test_ragged_streams_have_the_same_features():
    with pytest.raises(DataError, match="stream 1 has features"):
        DeltaEncoder().encode_ragged([np.zeros((2, 3)), np.zeros((2, 4))])
    with pytest.raises(DataError, match="no streams"):
        DeltaEncoder().encode_ragged([])


@worlds
def test_the_widest_changes_are_seen(world):
    x = world(np.array([-1.7e308, 1.7e308, -1.7e308]).reshape(1, 3, 1))
    for mode in ("reference", "difference"):
        spikes = np.asarray(DeltaEncoder(mode=mode)(x).spikes)[0]
        assert spikes[1].tolist() == [True, False]
    assert spikes[2].tolist() == [False, True]


def test_what_does_not_go_on_with_a_stream_is_refused():
    encoder = DeltaEncoder()
    encoder(np.zeros((2, 3, 4)))
    for other in (np.zeros((1, 3, 4)), np.zeros((2, 3, 5)), np.zeros((2, 3, 4), np.float32)):
        with pytest.raises(DataError, match="does not go on") as caught:
            encoder(other)
        assert "reset()" in str(caught.value)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4, 5)])
def test_other_ranks_are_refused(shape):
    with pytest.raises(DataError, match="DeltaEncoder takes streams"):
        DeltaEncoder()(np.zeros(shape))


@pytest.mark.parametrize(
    "options", [{"theta_up": 0.0}, {"theta_down": -1.0}, {"adaptation": -1.0}, {"adaptation_decay": 1.0}]
)
def test_thresholds_that_can_not_be_are_refused(options):
    (name,) = options
    with pytest.raises(DataError, match=name):
        DeltaEncoder(**options)


@worlds
@pytest.mark.parametrize("adaptation", [0.0, 0.5])
@pytest.mark.parametrize("mode", ["reference", "difference"])
def test_pieces_may_come_in_the_same_memory(world, mode, adaptation):
    x = np.random.default_rng(0).normal(0, 1, (1, 12, 2)).cumsum(1)
    options = {"mode": mode, "adaptation": adaptation}
    whole = DeltaEncoder(**options)(world(x))
    encoder, memory = DeltaEncoder(**options), world(np.zeros((1, 3, 2)))
    batches = []
    for start in range(0, 12, 3):
        memory[...] = world(x[:, start : start + 3])
        batches.append(encoder(memory))
    memory[...] = 0
    together = np.concatenate([np.asarray(batch.spikes) for batch in batches], axis=1)
    assert np.array_equal(together, np.asarray(whole.spikes))
    assert np.asarray(batches[0].aux["reference"]).tolist() == x[:, 0].tolist()


@worlds
def test_thresholds_may_be_whole_numbers(world):
    batch = DeltaEncoder(theta_up=1, theta_down=2).encode_ragged([world(np.array([[0.0], [3.0]]))])
    assert (batch.aux["threshold_up"], batch.aux["threshold_down"]) == (1, 2)
    assert np.asarray(batch.spikes)[0, 1].tolist() == [True, False]
