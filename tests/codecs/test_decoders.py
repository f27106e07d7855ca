from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from codecs_worlds import WORLDS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurocompile.codecs.config import DecodingConfig, LatencyMapping
from neurocompile.codecs.decoders.bayesian import BayesianDecoder
from neurocompile.codecs.decoders.decoder import Decoder
from neurocompile.codecs.decoders.delta import DeltaDecoder
from neurocompile.codecs.decoders.ensemble import EnsembleDecoder
from neurocompile.codecs.decoders.factory import make_decoder
from neurocompile.codecs.decoders.membrane import MembraneDecoder
from neurocompile.codecs.decoders.output import DecoderOutput
from neurocompile.codecs.decoders.population import PopulationDecoder
from neurocompile.codecs.decoders.rates import InterSpikeIntervalDecoder, RateDecoder, SlidingRateDecoder
from neurocompile.codecs.decoders.times import FirstSpikeDecoder, PhaseDecoder, RankOrderDecoder
from neurocompile.codecs.encoders import TimeToFirstSpikeEncoder
from neurocompile.codecs.spike_batch import SpikeBatch
from neurocompile.errors import DataError

DECODERS: dict[str, Decoder] = {
    "rate": RateDecoder(),
    "rate per step": RateDecoder(per_step=True),
    "sliding rate": SlidingRateDecoder(window=3),
    "intervals": InterSpikeIntervalDecoder(),
    "first spike": FirstSpikeDecoder(0.5),
    "rank order": RankOrderDecoder(),
    "phase": PhaseDecoder(period=6.0),
    "phase of the window": PhaseDecoder(),
    "final membrane": MembraneDecoder(tau_mem=4.0),
    "highest membrane": MembraneDecoder(mode="max", tau_mem=4.0),
    "groups": PopulationDecoder(),
    "population vector": PopulationDecoder(mode="regression"),
    "likelihood": BayesianDecoder(highest=0.6),
    "triangles": BayesianDecoder(highest=0.6, tuning="triangular", refractory=1),
    "delta": DeltaDecoder(),
    "ensemble": EnsembleDecoder(members=(RateDecoder(), FirstSpikeDecoder(), MembraneDecoder())),
}
TUNING = {
    "population_map": np.array([0, 0, 0, 1, 1, 1]),
    "centers": np.array([0.0, 0.5, 1.0]),
    "widths": np.full(3, 0.4),
}
# Steps, 6 neurons in 2 groups.
streams = arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 10), st.just(6)))


def tensors(tuning: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in tuning.items()}


def write(*neurons: str) -> np.ndarray:
    """Write the spikes of a sample's neurons as strings of 0 and 1."""
    return np.array([[int(step) for step in neuron] for neuron in neurons], bool).T[None]


@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS)
@given(streams)
def test_every_decoder_keeps_the_contract(decoder: Decoder, spikes: np.ndarray) -> None:
    out = decoder(SpikeBatch(spikes, aux=TUNING))
    batch = len(spikes)
    assert out.logits_proxy.shape[0] == out.prediction.shape[0] == batch
    assert out.logits_proxy.dtype == np.float32
    assert np.isfinite(out.logits_proxy).all()
    assert out.confidence.shape == (batch,)
    assert ((out.confidence >= 0) & (out.confidence <= 1)).all()
    if not decoder.regresses:
        assert np.array_equal(out.prediction, out.logits_proxy.argmax(axis=1))
    assert np.array_equal(out.aux["count_histogram"], spikes.sum(axis=1))
    first = np.where(spikes.any(axis=1), spikes.argmax(axis=1), -1)
    assert np.array_equal(out.aux["first_spike_times"], first)
    assert out.aux["margin"].shape == (batch,)
    assert (out.aux["margin"] >= 0).all()


@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS)
@given(streams)
def test_both_worlds_agree(decoder: Decoder, spikes: np.ndarray) -> None:
    ours = decoder(SpikeBatch(spikes, aux=TUNING))
    theirs = decoder(SpikeBatch(torch.from_numpy(spikes), aux=tensors(TUNING)))
    for field in ("logits_proxy", "confidence"):
        np.testing.assert_allclose(getattr(ours, field), getattr(theirs, field), rtol=1e-4, atol=1e-5)
    for name in ("count_histogram", "first_spike_times", "margin"):
        np.testing.assert_allclose(ours.aux[name], theirs.aux[name], atol=1e-5)


@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS)
@given(st.lists(arrays(bool, st.tuples(st.integers(1, 8), st.just(6))), min_size=1, max_size=3))
def test_ragged_samples_decode_as_each_by_itself(decoder: Decoder, samples: list[np.ndarray]) -> None:
    together = decoder(SpikeBatch.stack(samples, TUNING))
    for i, sample in enumerate(samples):
        alone = decoder(SpikeBatch(sample[None], aux=TUNING))
        np.testing.assert_allclose(together.logits_proxy[i], alone.logits_proxy[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(together.confidence[i], alone.confidence[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS)
def test_silence_is_told_apart_from_decisions(decoder: Decoder) -> None:
    out = decoder(SpikeBatch(np.zeros((2, 10, 6), bool), aux=TUNING))
    outputs = out.logits_proxy.shape[1]
    assert np.isfinite(out.logits_proxy).all()
    assert (out.aux["first_spike_times"] == -1).all()
    if decoder.regresses:
        # Of tuned neurons, silence speaks for the ends of the range, but for neither.
        assert (out.confidence < 0.6).all()
    else:
        assert out.confidence == pytest.approx(1 / outputs)
        assert (out.aux["margin"] == 0).all()


DIFFERENTIABLE = {name: decoder for name, decoder in DECODERS.items() if not isinstance(decoder, BayesianDecoder)}


@pytest.mark.parametrize("decoder", DIFFERENTIABLE.values(), ids=DIFFERENTIABLE)
@pytest.mark.parametrize("soft", [0.0, 0.3, 1.0])
def test_gradients_reach_spikes_and_are_finite(decoder: Decoder, soft: float) -> None:
    spikes = torch.full((2, 7, 6), soft)
    # What is the same at all phases has none.
    spikes[:, 4] = 0
    spikes.requires_grad_()
    decoder(SpikeBatch(spikes, aux=tensors(TUNING))).logits_proxy[:, 0].sum().backward()
    assert spikes.grad is not None
    assert torch.isfinite(spikes.grad).all()
    if soft == 0.3:
        assert spikes.grad.abs().max() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS)
def test_autocast_changes_nothing(decoder: Decoder, dtype: torch.dtype) -> None:
    spikes = torch.rand((2, 3_000, 6), generator=torch.Generator().manual_seed(0)) < 0.9
    exact = decoder(SpikeBatch(spikes, aux=tensors(TUNING)))
    with torch.autocast("cpu", dtype):
        mixed = decoder(SpikeBatch(spikes.to(dtype), aux=tensors(TUNING)))
    assert mixed.logits_proxy.dtype == torch.float32
    # bfloat16 would be off by a part of 256.
    torch.testing.assert_close(mixed.logits_proxy, exact.logits_proxy, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mixed.confidence, exact.confidence, rtol=1e-5, atol=1e-5)


def test_rates_are_counts_over_the_temperature() -> None:
    spikes = write("0110", "1111", "0000")
    out = RateDecoder(2.0)(spikes)
    assert out.logits_proxy.tolist() == [[1, 2, 0]]
    assert out.prediction.tolist() == [1]
    assert out.confidence[0] == pytest.approx(math.exp(2) / (1 + math.e + math.exp(2)))
    assert out.aux["margin"].tolist() == [1]
    assert RateDecoder(per_step=True)(spikes).logits_proxy.tolist() == [[0.5, 1, 0]]


@pytest.mark.parametrize("temperature", [1e-20, 1e30])
@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_no_temperature_makes_a_confidence_nan(world: Any, temperature: float) -> None:
    out = RateDecoder(temperature)(world(write("1" * 3_000, "0" * 3_000)))
    assert np.isfinite(np.asarray(out.logits_proxy)).all()
    assert out.confidence[0] == pytest.approx(1 if temperature < 1 else 0.5)


def test_images_of_neurons_are_flattened() -> None:
    spikes = np.zeros((1, 3, 2, 2, 2), bool)
    spikes[0, 1, 1, 0, 1] = True
    assert RateDecoder()(spikes).prediction.tolist() == [5]


def test_the_earliest_spike_wins_and_silence_never_does() -> None:
    # The document takes a silent neuron for one that fires in the first step, and lets it win.
    out = FirstSpikeDecoder()(write("0000", "0011", "0100"))
    assert out.logits_proxy.tolist() == [[-1, -0.5, -0.25]]
    assert out.prediction.tolist() == [2]
    assert out.aux["first_spike_times"].tolist() == [[-1, 2, 1]]


@pytest.mark.parametrize("mapping", ["linear", "exponential", "log"])
def test_times_are_read_by_the_map_that_they_were_encoded_with(mapping: LatencyMapping) -> None:
    x = np.linspace(0, 1, 50)[None]
    encoder = TimeToFirstSpikeEncoder(num_steps=400, normalization="none", mapping=mapping, allow_no_spike=True)
    values = FirstSpikeDecoder()(encoder(x)).aux["values"]
    # Half a step of the exponential map is the largest where values are.
    np.testing.assert_allclose(values, x, atol=0.5 * 5 / 399 + 1e-6)
    assert values[0, 0] == 0


def test_ranks_are_powers_of_the_modulation() -> None:
    out = RankOrderDecoder(modulation=0.5)(write("0010", "1000", "0000", "0100"))
    np.testing.assert_allclose(out.aux["values"], [[0.25, 1, 0, 0.5]])
    np.testing.assert_allclose(out.logits_proxy, np.log(0.5) * np.array([[2, 0, 4, 1]]), rtol=1e-6)
    assert out.prediction.tolist() == [1]


def test_late_ranks_are_told_apart_by_their_logarithm() -> None:
    ranks = RankOrderDecoder(modulation=0.5)(np.eye(1_000, dtype=bool)[None]).logits_proxy[0]
    assert (np.diff(ranks) < 0).all()


def test_the_last_window_counts_and_the_trace_is_kept() -> None:
    out = SlidingRateDecoder(window=2)(write("1100", "0011"))
    assert out.logits_proxy.tolist() == [[0, 1]]
    np.testing.assert_allclose(out.aux["rates"][0], [[1, 0], [1, 0], [0.5, 0.5], [0, 1]])


def test_intervals_tell_rates_finer_than_counts() -> None:
    out = InterSpikeIntervalDecoder()(write("1010100", "0100101"))
    np.testing.assert_allclose(out.logits_proxy, [[0.5, 2 / 5]])


def test_phases_of_cycles_in_the_window() -> None:
    out = PhaseDecoder(period=5.0, span=4.0)(write("1000010000", "0010000100", "0000100001"))
    np.testing.assert_allclose(out.aux["values"], [[0, 0.5, 1]], atol=1e-6)
    np.testing.assert_allclose(out.aux["resultant_length"], [[1, 1, 1]], atol=1e-6)


def test_a_phase_of_zero_that_rounding_puts_before_the_cycle_is_zero() -> None:
    # Cycles of 10.4 steps begin at 10.4, 20.8 and 31.2: the spikes are at 10, 21 and 31.
    spikes = np.zeros((1, 40, 1), bool)
    spikes[0, [0, 10, 21, 31]] = True
    assert PhaseDecoder(period=10.4)(spikes).aux["values"][0, 0] == pytest.approx(0, abs=0.05)


def test_the_membrane_that_is_given_is_read() -> None:
    membrane = np.array([[[0.0, 1.0], [5.0, 2.0], [1.0, 3.0]]])
    spikes = np.zeros((1, 3, 2), bool)
    assert MembraneDecoder()(spikes, membrane).logits_proxy.tolist() == [[1, 3]]
    assert MembraneDecoder(mode="max")(spikes, membrane).logits_proxy.tolist() == [[5, 3]]


def test_nothing_is_read_from_the_padding_of_a_membrane() -> None:
    batch = SpikeBatch(np.zeros((1, 3, 1), bool), np.array([[True, True, False]]))
    membrane = np.array([[[-3.0], [-2.0], [np.nan]]])
    assert MembraneDecoder()(batch, membrane).logits_proxy.tolist() == [[-2]]
    assert MembraneDecoder(mode="max")(batch, membrane).logits_proxy.tolist() == [[-2]]


def test_a_sample_without_steps_has_a_membrane_of_zero() -> None:
    batch = SpikeBatch(np.zeros((1, 2, 1), bool), np.zeros((1, 2), bool))
    for mode in ("final", "max"):
        assert MembraneDecoder(mode=mode)(batch, np.full((1, 2, 1), 7.0)).logits_proxy.tolist() == [[0]]


def test_without_a_membrane_the_spikes_are_integrated() -> None:
    spikes = write("1100", "0001")
    assert MembraneDecoder()(spikes).logits_proxy.tolist() == [[2, 1]]
    leaky = MembraneDecoder(tau_mem=1.0)(spikes).logits_proxy
    np.testing.assert_allclose(leaky, [[math.exp(-3) + math.exp(-2), 1]], rtol=1e-6)
    # The last spike wins with a leak, and the first neuron's two at its best.
    assert MembraneDecoder(mode="max", tau_mem=1.0)(spikes).prediction.tolist() == [0]


@pytest.mark.parametrize(
    ("membrane", "message"),
    [(np.zeros((1, 4, 2)), "shape"), (np.zeros((3, 2)), "shape"), (np.full((1, 3, 2), np.inf), "infinities")],
)
def test_membranes_that_do_not_fit_are_refused(membrane: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        MembraneDecoder()(np.zeros((1, 3, 2), bool), membrane)


def test_an_ensemble_is_the_mean_of_probabilities() -> None:
    spikes = write("1000", "0110", "0000")
    rate, first = RateDecoder(), FirstSpikeDecoder(0.1)
    out = EnsembleDecoder(members=(rate, first), weights=(1, 3))(spikes)
    shares = [np.exp(d(spikes).logits_proxy) / np.exp(d(spikes).logits_proxy).sum() for d in (rate, first)]
    mean = 0.25 * shares[0] + 0.75 * shares[1]
    np.testing.assert_allclose(np.exp(out.logits_proxy), mean, rtol=1e-5)
    assert out.confidence[0] == pytest.approx(mean.max())
    assert rate(spikes).prediction.tolist() == [1]
    assert out.prediction.tolist() == [0]
    np.testing.assert_allclose(out.aux["members"][0], shares[0], rtol=1e-5)


def test_an_ensemble_tells_all_that_is_wrong_with_it() -> None:
    with pytest.raises(DataError) as caught:
        EnsembleDecoder(members=(PopulationDecoder(mode="regression"), BayesianDecoder()), weights=(1,), eps=0)
    assert [issue.problem for issue in caught.value.issues] == [
        "eps=0 is no number above 0",
        "a PopulationDecoder that gives values instead of a decision is a member",
        "a BayesianDecoder that gives values instead of a decision is a member",
        "weights=[1] do not weigh 2 members",
    ]
    with pytest.raises(DataError, match="without members"):
        EnsembleDecoder()


def test_members_have_to_decide_between_the_same_outputs() -> None:
    ensemble = EnsembleDecoder(members=(RateDecoder(), PopulationDecoder()))
    with pytest.raises(DataError, match="score 6, 2 outputs"):
        ensemble(SpikeBatch(np.zeros((1, 4, 6), bool), aux=TUNING))


@pytest.mark.parametrize(
    ("decoder", "problem"),
    [
        (lambda: RateDecoder(0.0), "temperature=0.0"),
        (lambda: RateDecoder(1e-40), "temperature=1e-40"),
        (lambda: SlidingRateDecoder(window=0), "window=0"),
        (lambda: RankOrderDecoder(modulation=1.0), "modulation=1.0"),
        (lambda: PhaseDecoder(period=3.0, span=4.0), "span=4.0"),
        (lambda: PhaseDecoder(period=-1.0), "period=-1.0"),
        (lambda: MembraneDecoder(mode="mean"), "mode='mean'"),  # type: ignore[arg-type]
        (lambda: MembraneDecoder(tau_mem=0.0), "tau_mem=0.0"),
        (lambda: PopulationDecoder(eps=-1.0), "eps=-1.0"),
        (lambda: BayesianDecoder(highest=1.5), "highest=1.5"),
        (lambda: BayesianDecoder(input_range=(1.0, 0.0)), "input_range"),
        (lambda: DeltaDecoder(theta_up=0.0), "theta_up=0.0"),
    ],
)
def test_options_out_of_range_are_refused(decoder: object, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        decoder()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("config", "decoder"),
    [
        (DecodingConfig(), RateDecoder()),
        (DecodingConfig(type="first_spike", temperature=0.2), FirstSpikeDecoder(0.2)),
        (
            DecodingConfig(type="population", population_mode="regression", eps=1e-3),
            PopulationDecoder(mode="regression", eps=1e-3),
        ),
        (DecodingConfig(type="membrane", membrane_mode="max"), MembraneDecoder(mode="max")),
        (DecodingConfig(type="sliding_rate", window=4), SlidingRateDecoder(window=4)),
        (DecodingConfig(type="isi"), InterSpikeIntervalDecoder()),
        (DecodingConfig(type="bayesian"), BayesianDecoder()),
        (DecodingConfig(type="rank_order", modulation=0.8), RankOrderDecoder(modulation=0.8)),
        (DecodingConfig(type="phase"), PhaseDecoder()),
        (DecodingConfig(type="delta"), DeltaDecoder()),
    ],
)
def test_configurations_make_decoders(config: DecodingConfig, decoder: Decoder) -> None:
    assert make_decoder(config) == decoder


def test_a_configuration_makes_an_ensemble() -> None:
    config = DecodingConfig("ensemble", 0.5, members=("rate", "first_spike"), weights=(2.0, 1.0), eps=1e-4)
    members = RateDecoder(0.5), FirstSpikeDecoder(0.5)
    assert make_decoder(config) == EnsembleDecoder(members=members, weights=(2.0, 1.0), eps=1e-4)
    with pytest.raises(DataError, match="BayesianDecoder"):
        make_decoder(replace(config, members=("rate", "bayesian")))


def test_outputs_are_what_the_document_says() -> None:
    assert [field.name for field in fields(DecoderOutput)] == ["logits_proxy", "prediction", "confidence", "aux"]


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (np.full((1, 2, 2), np.nan), "NaN"),
        (np.zeros((1, 0, 2)), "empty"),
        (np.zeros(3), r"\(B, T, ...\)"),
        (np.full((1, 2, 2), 2), r"from 2 to 2 are not all in \[0, 1\]"),
        (torch.tensor([[[0.5, -1.0]]]), r"from -1 to 0.5 are not all in \[0, 1\]"),
        (np.full((1, 2, 2), "1"), "type <U1"),
        ([[[0], [1, 0]]], "no array"),
    ],
)
def test_bad_input_is_refused(bad: np.ndarray, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        RateDecoder()(bad)


def test_lists_are_arrays() -> None:
    assert RateDecoder()([[[0, 1]]]).prediction.tolist() == [1]


def test_an_ensemble_has_counts_and_first_spikes_by_default() -> None:
    made = make_decoder(DecodingConfig(type="ensemble"))
    assert isinstance(made, EnsembleDecoder)
    assert [type(member) for member in made.members] == [RateDecoder, FirstSpikeDecoder]
