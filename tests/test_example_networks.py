"""The example networks keep their accuracy, and spike on Lava as they do in the simulator."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import neurocompile
from neurocompile.data import Data
from neurocompile.frontends.onnx_reader import read
from neurocompile.ir import Graph
from neurocompile.passes import pipeline

MODELS = Path(__file__).resolve().parent.parent / "models"

STEPS = 64
CALIBRATION_IMAGES = 200


class Expected(NamedTuple):
    """A network's test: its first images, and what the spiking network may differ from the original on them."""

    network: str
    precision: str
    images: int
    least_agreement: float
    most_loss: float
    """In percentage points, either way."""


BOUNDS = [
    Expected("digits-mlp", "float", 500, 0.99, 0.8),
    Expected("digits-mlp", "int8", 500, 0.99, 0.8),
    Expected("fashion-cnn", "float", 150, 0.96, 2.0),
    Expected("fashion-cnn", "int8", 300, 0.97, 1.5),
    Expected("fashion-resnet", "float", 150, 0.96, 2.0),
    Expected("fashion-resnet", "int8", 300, 0.97, 1.5),
]

BATCH_NORMS = {"digits-mlp": 0, "fashion-cnn": 4, "fashion-resnet": 11}

Compiled = Callable[[str, str], neurocompile.Network]


@functools.cache
def data(name: str) -> Data:
    return Data.read(MODELS / f"{name}.npz")


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    """Compile a network at a precision, once."""

    @functools.cache
    def compile_once(name: str, precision: str) -> neurocompile.Network:
        return neurocompile.compile(
            MODELS / f"{name}.onnx",
            calibration=data(name).x_calibration[:CALIBRATION_IMAGES],
            options=neurocompile.Options(steps=STEPS, precision=precision),
        )

    return compile_once


@pytest.mark.parametrize("expected", BOUNDS, ids=lambda e: f"{e.network}-{e.precision}")
def test_accuracy_is_kept(compiled: Compiled, expected: Expected) -> None:
    x = data(expected.network).x_test[: expected.images]
    y = data(expected.network).y_test[: expected.images]
    assert len(y) == expected.images
    evaluation = compiled(expected.network, expected.precision).evaluate(x, y)
    assert evaluation.images == expected.images
    assert evaluation.steps == STEPS
    assert evaluation.ann_accuracy == accuracy_in_onnx_runtime(expected.network, x, y)
    assert evaluation.agreement >= expected.least_agreement
    assert abs(evaluation.loss_points) <= expected.most_loss


def accuracy_in_onnx_runtime(name: str, x: np.ndarray, y: np.ndarray) -> float:
    # Imported here, after neurocompile has turned its telemetry off.
    import onnxruntime

    session = onnxruntime.InferenceSession(MODELS / f"{name}.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"images": x})
    return float(np.mean(np.argmax(logits, axis=1) == y))


@pytest.mark.parametrize("name", BATCH_NORMS)
def test_exact_passes_leave_no_batch_norm(name: str) -> None:
    trained = read(MODELS / f"{name}.onnx").graph
    assert kinds(trained)["BatchNorm"] == BATCH_NORMS[name]
    simple = kinds(pipeline.apply(pipeline.SIMPLIFY, trained, data(name).x_calibration[:4]))
    assert simple["BatchNorm"] == simple["Affine"] == simple["Identity"] == 0
    # They went into the layers before them, and none of these was lost.
    for kind in ("Conv", "Linear", "ReLU", "Add", "AvgPool", "MaxPool"):
        assert simple[kind] == kinds(trained)[kind]


def kinds(graph: Graph) -> Counter[str]:
    return Counter(type(node.op).__name__ for node in graph.nodes)


@pytest.mark.parametrize(
    ("name", "precision", "images", "steps"),
    [
        ("fashion-cnn", "int8", 64, 32),
        ("fashion-resnet", "float", 16, 16),
        ("fashion-resnet", "int8", 16, 16),
    ],
)
def test_lava_computes_the_same(compiled: Compiled, name: str, precision: str, images: int, steps: int) -> None:
    network = compiled(name, precision)
    x = data(name).x_test[:images]
    with network.deploy("numpy") as deployment:
        simulated = deployment.run(x, steps=steps)
    with network.deploy("lava") as deployment:
        found = deployment.run(x, steps=steps)
    assert simulated.potentials.shape == (images, steps, network.classes)
    assert np.array_equal(found.potentials, simulated.potentials)
    assert list(found.spikes) == list(simulated.spikes) == list(network.neurons)
    for layer, stream in simulated.spikes.items():
        assert stream.shape[:2] == (images, steps)
        assert stream.any(), f"{layer} is silent"
        assert np.array_equal(found.spikes[layer], stream), f"{layer} spikes differently"
