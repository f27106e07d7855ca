from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurocompile.codecs.config import DecodingConfig, EncodingConfig
from neurocompile.codecs.decoders import (
    BayesianDecoder,
    Decoder,
    FirstSpikeDecoder,
    InterSpikeIntervalDecoder,
    PhaseDecoder,
    PopulationDecoder,
    RankOrderDecoder,
    RateDecoder,
    make_decoder,
)
from neurocompile.codecs.encoders import make_encoder
from neurocompile.codecs.metrics import r2, rank_consistency

STEPS = 100
# The options of an encoder, the decoder, and how far values may be off: half of what the code tells apart.
LOSSES: dict[str, tuple[dict[str, Any], Decoder, float]] = {
    "bernoulli in evaluation": ({"type": "rate_bernoulli"}, RateDecoder(per_step=True), 0.5 / STEPS),
    "deterministic": ({"type": "rate_deterministic"}, RateDecoder(per_step=True), 1 / STEPS),
    "intervals": ({"type": "rate_deterministic"}, InterSpikeIntervalDecoder(), 0.06),
    "ttfs": ({"type": "ttfs", "latency_mapping": "linear"}, FirstSpikeDecoder(), 0.5 / (STEPS - 1)),
    "ttfs, log": ({"type": "ttfs", "latency_mapping": "log"}, FirstSpikeDecoder(), np.log(2) / (STEPS - 1)),
    "latency": ({"type": "latency"}, FirstSpikeDecoder(), 2.5 / (STEPS - 1)),
    "phase": ({"type": "phase"}, PhaseDecoder(), 0.5 / (STEPS - 1)),
    "population vector": ({"type": "population"}, PopulationDecoder(mode="regression"), 0.05),
    "likelihood": ({"type": "population"}, BayesianDecoder(), 0.01),
}


shares = st.integers(0, 10_000).map(lambda n: n / 10_000)


def values_of(out: Any) -> Any:
    return out.aux.get("values", out.logits_proxy)


@pytest.mark.parametrize(("options", "decoder", "error"), LOSSES.values(), ids=LOSSES)
@given(
    arrays(
        np.float64,
        st.tuples(st.integers(1, 3), st.integers(1, 5)),
        elements=shares,
    )
)
def test_values_come_back_as_far_as_the_code_tells_them_apart(
    options: dict[str, Any], decoder: Decoder, error: float, x: np.ndarray
) -> None:
    encoder = make_encoder(EncodingConfig(num_steps=STEPS, normalization="none", **options)).eval()
    values = values_of(decoder(encoder(x)))
    np.testing.assert_allclose(values, x, atol=error + 1e-5)
    tensors = values_of(decoder(encoder(torch.from_numpy(x))))
    np.testing.assert_allclose(tensors, values, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "decoder"),
    [
        ({"type": "rate_bernoulli"}, RateDecoder(per_step=True)),
        ({"type": "rate_poisson"}, RateDecoder(per_step=True)),
        ({"type": "population"}, PopulationDecoder(mode="regression")),
        ({"type": "population"}, BayesianDecoder()),
    ],
)
@pytest.mark.parametrize("world", [np.asarray, torch.from_numpy])
def test_drawn_rates_and_populations_reach_their_target(
    options: dict[str, Any], decoder: Decoder, world: Any
) -> None:
    x = np.random.default_rng(0).uniform(0, 1, (40, 10))
    encoder = make_encoder(EncodingConfig(num_steps=200, normalization="none", seed=0, **options))
    assert r2(x, np.asarray(values_of(decoder(encoder(world(x)))))) > 0.95


@given(st.permutations(range(20)))
def test_the_order_of_ranks_is_kept(order: list[int]) -> None:
    x = np.array([order], float)
    batch = make_encoder(EncodingConfig(type="rank_order", num_steps=20))(x)
    out = RankOrderDecoder()(batch)
    assert rank_consistency(x, out.aux["values"]) == 1
    assert rank_consistency(x, out.logits_proxy) == 1
    assert out.prediction[0] == np.argmax(x)


@pytest.mark.parametrize("kind", ["rate", "first_spike", "membrane", "sliding_rate", "isi", "rank_order"])
def test_the_class_with_the_largest_value_is_decided_for(kind: Any) -> None:
    x = np.random.default_rng(1).uniform(0, 0.5, (30, 6))
    labels = np.random.default_rng(2).integers(6, size=30)
    x[np.arange(30), labels] = 0.9
    code = "ttfs" if kind in ("first_spike", "rank_order") else "rate_deterministic"
    batch = make_encoder(EncodingConfig(type=code, num_steps=STEPS, normalization="none"))(x)
    assert np.array_equal(make_decoder(DecodingConfig(type=kind))(batch).prediction, labels)
