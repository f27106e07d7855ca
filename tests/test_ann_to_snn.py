"""What is told of a converted network is what it computes."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_network
import torch

import neurocompile as nc
from neurocompile.codecs.protocol import ConversionResult, NeuromorphicEncoderProtocol
from neurocompile.errors import DataError, ModelError

ROOT = Path(__file__).resolve().parent.parent
RNG = np.random.default_rng(7)
X = RNG.uniform(-1, 1, (200, 6))
# Activations grow from layer to layer, so that what is scaled twice is scaled far too much.
LAYERS = {
    "first": (RNG.normal(0, 2, (12, 6)), RNG.normal(0, 1, 12)),
    "second": (RNG.normal(0, 2, (12, 12)), RNG.normal(0, 1, 12)),
    "scores": (RNG.normal(0, 1, (4, 12)), RNG.normal(0, 1, 4)),
}
STEPS = 128


def ann(x: np.ndarray) -> np.ndarray:
    *hidden, (weight, bias) = LAYERS.values()
    for w, b in hidden:
        x = np.maximum(x @ w.T + b, 0)
    return (x @ weight.T + bias).argmax(axis=1)


def simulated(result: ConversionResult, x: np.ndarray, reset: str = "subtract") -> tuple[np.ndarray, np.ndarray]:
    """Run the document's fourth phase: decisions, and each hidden layer's counts of spikes."""
    names = list(result.snn_weights)
    thresholds = [result.threshold_balancing[name] for name in names[:-1]]
    membranes = [
        np.full((len(x), len(result.snn_weights[name])), threshold / 2 * (reset == "subtract"))
        for name, threshold in zip(names, thresholds, strict=False)
    ]
    counts = [np.zeros_like(v) for v in membranes]
    outputs = np.zeros((len(x), len(result.snn_weights[names[-1]])))
    for _ in range(result.num_timesteps_simulated):
        spikes = x
        for v, count, threshold, name in zip(membranes, counts, thresholds, names, strict=False):
            v += spikes @ result.snn_weights[name].T + result.snn_biases[name]
            spikes = (v > threshold).astype(float)
            v[:] = v - spikes * threshold if reset == "subtract" else v * (1 - spikes)
            count += spikes
        outputs += spikes @ result.snn_weights[names[-1]].T + result.snn_biases[names[-1]]
    return outputs.argmax(axis=1), np.concatenate(counts, axis=1)


@cache
def converted(scaled: Any = "weights", reset: Any = "subtract") -> ConversionResult:
    options = nc.Options(code="rate", balance="max", reset=reset)
    return nc.ANNtoSNNConverter(options, scaled).convert(LAYERS, X, STEPS, labels=ann(X))


def test_either_normalisation_is_right_and_both_are_wrong() -> None:
    weights, thresholds = converted("weights"), converted("thresholds")
    decisions, counts = simulated(weights, X)
    assert np.mean(decisions == ann(X)) == pytest.approx(weights.accuracy_converted, abs=0.01)
    assert weights.accuracy_converted > 0.96
    others, other_counts = simulated(thresholds, X)
    # Rounding may move a spike that is right at its threshold.
    assert np.mean(counts != other_counts) < 0.001
    assert np.mean(decisions != others) < 0.01
    both = replace(weights, threshold_balancing=thresholds.threshold_balancing)
    wrong, few = simulated(both, X)
    assert few.sum() < 0.5 * counts.sum()
    assert np.mean(wrong == ann(X)) < weights.accuracy_converted - 0.1


def test_factors_and_thresholds_are_the_documents() -> None:
    weights, thresholds = converted("weights"), converted("thresholds")
    largest, x = [1.0], X
    for weight, bias in list(LAYERS.values())[:-1]:
        x = np.maximum(x @ weight.T + bias, 0)
        largest.append(x.max())
    for (name, (weight, bias)), before, after in zip(LAYERS.items(), largest, [*largest[1:], 1.0], strict=True):
        assert weights.normalization_factors[name] == pytest.approx(before / after)
        np.testing.assert_allclose(weights.snn_weights[name], weight * before / after, rtol=1e-5)
        np.testing.assert_allclose(weights.snn_biases[name], bias / after, rtol=1e-5)
        if name == "scores":
            continue
        assert weights.threshold_balancing[name] == 1
        assert thresholds.threshold_balancing[name] == pytest.approx(after / before)
        assert thresholds.normalization_factors[name] == 1
        np.testing.assert_allclose(thresholds.snn_weights[name], weight, rtol=1e-5)
        np.testing.assert_allclose(thresholds.snn_biases[name], bias / before, rtol=1e-5)
    assert list(weights.threshold_balancing) == ["first", "second"]


@pytest.mark.parametrize("balance", ["channel", "ridge"])
def test_thresholds_of_channels_are_in_the_weights_only(balance: Any) -> None:
    options = nc.Options(code="rate", balance=balance)
    with pytest.raises(DataError, match="thresholds of its own for each channel") as caught:
        nc.ANNtoSNNConverter(options, "thresholds").convert(LAYERS, X, 32)
    assert len(caught.value.issues) == 2


def test_counts_of_outputs_add_no_layer() -> None:
    result = nc.ANNtoSNNConverter(nc.Options(decoder="count", balance="max")).convert(LAYERS, X, 32)
    for told in (result.snn_weights, result.normalization_factors, result.threshold_balancing):
        assert list(told) == list(LAYERS)


def test_the_code_is_that_of_rates_however_few_the_steps() -> None:
    few, rate = (
        nc.ANNtoSNNConverter(nc.Options(code=code, balance="max")).convert(LAYERS, X, 4)  # type: ignore[arg-type]
        for code in ("auto", "rate")
    )
    assert few.num_timesteps_simulated == 4
    assert few.accuracy_converted == rate.accuracy_converted


def test_a_hard_reset_loses_what_subtraction_keeps() -> None:
    hard = converted(reset="zero")
    assert np.mean(simulated(hard, X, "zero")[0] == ann(X)) == pytest.approx(hard.accuracy_converted, abs=0.01)
    assert hard.accuracy_converted < converted().accuracy_converted - 0.02


def test_accuracies_are_measured_on_labels_and_else_on_decisions() -> None:
    labels = ann(X)
    labels[:50] = (labels[:50] + 1) % 4
    encoder = nc.NeuromorphicEncoder()
    result = encoder.convert_ann_to_snn(LAYERS, torch.from_numpy(X), STEPS, labels=torch.from_numpy(labels))
    assert result.accuracy_original == pytest.approx(0.75)
    assert 0.7 < result.accuracy_converted < 0.78
    loss = 100 * (0.75 - result.accuracy_converted) / 0.75
    assert result.accuracy_loss_pct == pytest.approx(loss)
    assert result.num_timesteps_simulated == STEPS
    assert 0 < result.conversion_time_s < 600
    agreement = encoder.convert_ann_to_snn(LAYERS, X, STEPS)
    assert agreement.accuracy_original == 1
    assert agreement.accuracy_converted == converted().accuracy_converted
    never = encoder.convert_ann_to_snn(
        {"one": np.array([[1.0], [-1.0]])}, np.ones((3, 1)), 4, labels=np.ones(3, int)
    )
    assert (never.accuracy_original, never.accuracy_loss_pct) == (0, 0)
    assert never.snn_biases == {}


@pytest.mark.parametrize("name", ["digits-mlp", "fashion-cnn"])
def test_trained_networks_lose_less_than_the_documents_two_percent(name: str) -> None:
    with np.load(ROOT / "models" / f"{name}.npz") as data:
        x, y = data["x_test"][:300], data["y_test"][:300]
    result = nc.NeuromorphicEncoder().convert_ann_to_snn(ROOT / "models" / f"{name}.onnx", x, labels=y)
    assert result.num_timesteps_simulated == 256
    assert result.accuracy_original > 0.9
    assert result.accuracy_loss_pct < 2
    assert all(np.isfinite(weight).all() for weight in result.snn_weights.values())
    assert set(result.normalization_factors) == set(result.snn_weights)


class Shortcut(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.scores = (torch.nn.Linear(6, n) for n in (6, 6, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.first(x))
        return self.scores(torch.relu(x + self.second(x)))


def test_shortcuts_have_a_scale_and_no_threshold_of_their_own() -> None:
    torch.manual_seed(0)
    x, module = X.astype(np.float32), Shortcut()
    result = nc.ANNtoSNNConverter().convert(module, x, 64)
    (shortcut,) = [name for name, weight in result.snn_weights.items() if weight.size == 1]
    assert result.normalization_factors[shortcut] == pytest.approx(float(result.snn_weights[shortcut].item()))
    assert len(result.threshold_balancing) == 3
    assert set(result.threshold_balancing.values()) == {1.0}
    with pytest.raises(DataError, match="each with a scale of its own") as caught:
        nc.ANNtoSNNConverter(scaled="thresholds").convert(module, x, 64)
    assert caught.value.issues[0].remedy == 'scale the weights: scaled="weights"'


def test_the_encoder_satisfies_the_protocol() -> None:
    assert isinstance(nc.NeuromorphicEncoder(), NeuromorphicEncoderProtocol)
    assert [field.name for field in fields(ConversionResult)] == [
        "snn_weights",
        "threshold_balancing",
        "normalization_factors",
        "accuracy_original",
        "accuracy_converted",
        "accuracy_loss_pct",
        "num_timesteps_simulated",
        "conversion_time_s",
        "snn_biases",
    ]


@pytest.mark.parametrize(
    ("call", "error", "problem"),
    [
        (lambda: nc.ANNtoSNNConverter(scaled="both"), DataError, "scaled='both' is no choice"),  # type: ignore[arg-type]
        (lambda: nc.ANNtoSNNConverter(nc.Options(code="digit")), DataError, "--code digit has no neurons"),
        (lambda: nc.ANNtoSNNConverter(nc.Options(code="graded")), DataError, "--code graded has no neurons"),
        (lambda: nc.ANNtoSNNConverter().convert(LAYERS, X, 0), DataError, "steps=0"),
        (lambda: nc.ANNtoSNNConverter().convert(LAYERS, X[:, :3]), DataError, "shape"),
        (lambda: nc.ANNtoSNNConverter().convert(LAYERS, X * np.nan), DataError, "NaN"),
        (lambda: nc.ANNtoSNNConverter().convert(LAYERS, X, 4, labels=np.zeros(3, int)), DataError, "200 images"),
        (lambda: nc.ANNtoSNNConverter().convert({}, X), ModelError, "no layers"),
        (lambda: nc.ANNtoSNNConverter().convert(small_network, X), ModelError, "module"),
    ],
)
def test_what_does_not_fit_is_told(call: Any, error: type[Exception], problem: str) -> None:
    with pytest.raises(error, match=problem):
        call()
