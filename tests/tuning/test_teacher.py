"""What is learned from the original network is its probabilities, whatever its last layer is."""

import numpy as np
import pytest

from neurocompile.ir.layers import ArgMax, Softmax
from neurocompile.tuning.teacher import log_probabilities

SCORES = np.random.default_rng(0).normal(0, 3, (20, 4))
SHARES = np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("readout", "outputs"),
    [
        ("linear", SCORES),
        ("softmax", Softmax().run(SCORES)),
        ("log_softmax", Softmax(log=True).run(SCORES)),
    ],
)
def test_of_several_outputs(readout: str, outputs: np.ndarray) -> None:
    found = log_probabilities(outputs, readout, 4)  # type: ignore[arg-type]
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.exp(found), SHARES, atol=1e-6)


def test_of_decisions() -> None:
    found = np.exp(log_probabilities(ArgMax().run(SCORES), "argmax", 4))
    np.testing.assert_array_equal(found.argmax(axis=1), SCORES.argmax(axis=1))
    assert found.max(axis=1).min() > 0.999
    assert np.isfinite(np.log(found)).all()


@pytest.mark.parametrize("readout", ["linear", "sigmoid"])
def test_of_a_single_output(readout: str) -> None:
    score = SCORES[:, :1]
    outputs = 1 / (1 + np.exp(-score)) if readout == "sigmoid" else score
    found = np.exp(log_probabilities(outputs, readout, 2))  # type: ignore[arg-type]
    np.testing.assert_allclose(found[:, 1], 1 / (1 + np.exp(-score[:, 0])), atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_certainty_is_finite() -> None:
    assert np.isfinite(log_probabilities(np.array([[0.0, 1.0]]), "softmax", 2)).all()
    assert np.isfinite(log_probabilities(np.array([[0.0], [1.0]]), "sigmoid", 2)).all()
    assert np.isfinite(log_probabilities(np.array([[1e4, -1e4]]), "linear", 2)).all()
