"""Networks of many kinds, converted: their spikes say what the original network computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_models import saved
from tensorflow_models import TENSORFLOW
from textual_models import model, real
from torch_networks import network
from zoo_models import OTHERS, ZOO

import neurocompile as nc
from neurocompile.frontends.model import Model

CODES = {
    "rate": nc.Options(code="rate", steps=256, balance="channel", percentile=100, signed=False),
    "digit": nc.Options(code="digit", steps=8, balance="channel", percentile=100),
    "graded": nc.Options(code="graded", bits=8, balance="channel", percentile=100),
}
"""With the largest activations of the same images nothing is clipped, and the codes tell 256 values apart."""

# Relative to how much the outputs differ from image to image. A layer whose biases are left out misses by 0.3 or
# more (the least of ResNet by 0.07), a pool that drops what is below 0 by 0.4, weights that are 10 % off by 0.2.
TOLERANCE = 0.05
TOLERANCE_OF_CURVES = 0.15
"""Straight lines stand for them, which are off by 1 % of the curve's range."""

FILES = {**TENSORFLOW, **ZOO, **OTHERS}

CURVED = {"curves", "keras2onnx", "Paddle2ONNX"}


def assert_spikes_say_the_same(trained: Model, tolerance: float, but: str = "") -> None:
    rng = np.random.default_rng(0)
    x = rng.random((16, *trained.entry.shape), np.float32)
    # Of different brightness, so that the outputs differ.
    x *= rng.uniform(0.1, 1, (16, *[1] * (x.ndim - 1))).astype(np.float32)
    expected = trained.reference.run(x)
    spread = np.sqrt(np.mean((expected - expected.mean(0)) ** 2))
    for code, options in CODES.items():
        if code == but:
            continue
        converted = nc.compile(trained, x, options)
        with converted.deploy("numpy") as deployment:
            found = converted.estimate(deployment.run(x, probes=()))
        error = np.sqrt(np.mean((found - expected.reshape(found.shape)) ** 2))
        assert error < tolerance * spread, code


@pytest.mark.parametrize("name", FILES)
def test_file(name: str, tmp_path: Path) -> None:
    tolerance = TOLERANCE_OF_CURVES if name in CURVED else TOLERANCE
    # A ReLU6 made of Min and Max: one spike is worth 23 thresholds of the next neuron, which three digits ahead
    # do not make up for. The README says so.
    but = "digit" if name == "tf2onnx without its optimizer" else ""
    assert_spikes_say_the_same(Model.read(saved(FILES[name], tmp_path)), tolerance, but)


@pytest.mark.parametrize("name", ["ResNet", "MobileNetV2", "ShuffleNetV2", "DenseNet", "U-Net, nearest", "curves"])
def test_module(name: str) -> None:
    images = np.random.default_rng(1).random((2, 3, 16, 16), np.float32)
    tolerance = TOLERANCE_OF_CURVES if name in CURVED else TOLERANCE
    assert_spikes_say_the_same(Model.of_module(network(name), images), tolerance)


def with_activation(activation: str) -> onnx.ModelProto:
    return model(
        20,
        "N, 2, 6, 6",
        "N, 5",
        f"""
        features = Conv (x, kernel, bias)
        activated = {activation} (features)
        pooled = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (activated)
        flat = Flatten (pooled)
        y = Gemm <transB = 1> (flat, head, head_bias)
        """,
        kernel=4 * real(6, 2, 3, 3),
        bias=real(6),
        head=real(5, 24),
        head_bias=real(5),
    )


STRAIGHT = {name: with_activation(name) for name in ("HardSigmoid", "LeakyRelu <alpha = 0.2>")}
CURVES = ("Celu", "Elu", "Gelu", "HardSwish", "Mish", "Selu", "Sigmoid", "Softplus", "Softsign", "Tanh")
ACTIVATIONS = {**STRAIGHT, **{name: with_activation(name) for name in CURVES}}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str, tmp_path: Path) -> None:
    tolerance = TOLERANCE if name in STRAIGHT else TOLERANCE_OF_CURVES
    assert_spikes_say_the_same(Model.read(saved(ACTIVATIONS[name], tmp_path)), tolerance)
