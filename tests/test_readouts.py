"""Networks with other ends and activations than ReLU and scores, from the file to the measured network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import small_network
from onnx import helper
from small_network import CLASSES, FEATURES, images, labels

import neurocompile as nc
from neurocompile.errors import DataError, GraphError

X = images(60)
RNG = np.random.default_rng(7)
WEIGHTS = {
    "w1": RNG.normal(0, 0.7, (8, FEATURES)),
    "b1": RNG.normal(0, 0.2, 8),
    "w2": RNG.normal(0, 0.7, (CLASSES, 8)),
    "b2": RNG.normal(0, 0.2, CLASSES),
    "w3": RNG.normal(0, 0.7, (1, 8)),
    "b3": RNG.normal(0, 0.2, 1),
    "g": np.eye(8),
    "gain": RNG.uniform(0.5, 2, 8),
    "root": np.array(0.5**0.5),
    "one": np.ones(1),
}

Node = onnx.NodeProto


def node(op: str, inputs: list[str], output: str, **attributes: Any) -> Node:
    return helper.make_node(op, inputs, [output], output, **attributes)


def write(folder: Path, activation: list[Node], end: list[Node], outputs: int = CLASSES) -> Path:
    """Write a perceptron with an activation from ``h`` to ``a``, and an end from ``scores`` to ``y``."""
    weight, bias = ("w2", "b2") if outputs == CLASSES else ("w3", "b3")
    nodes = [
        node("Gemm", ["image", "w1", "b1"], "h", transB=1),
        *activation,
        node("Gemm", ["a", weight, bias], "scores", transB=1),
        *end,
    ]
    return small_network.write_nodes(folder / "model.onnx", nodes, WEIGHTS)


RELU = [node("Relu", ["h"], "a")]
LINEAR = [node("Identity", ["scores"], "y")]
ACTIVATIONS = {
    "SiLU": [node("Sigmoid", ["h"], "s"), node("Mul", ["h", "s"], "a")],
    "tanh": [node("Tanh", ["h"], "a")],
    "square": [node("Mul", ["h", "h"], "a")],
    "elu": [node("Elu", ["h"], "a")],
}
ENDS = {
    "softmax": [node("Softmax", ["scores"], "y", axis=1)],
    "log_softmax": [node("LogSoftmax", ["scores"], "y", axis=1)],
    "argmax": [node("ArgMax", ["scores"], "i", axis=1), node("Cast", ["i"], "y", to=1)],
    "sigmoid": [node("Sigmoid", ["scores"], "y")],
}


CODES: dict[str, dict[str, Any]] = {
    "rate": {"code": "rate", "steps": 1024, "signed": False},
    "digit": {"code": "digit", "steps": 10},
    "graded": {"code": "graded", "bits": 8},
}


def options(code: str, **others: Any) -> nc.Options:
    return nc.Options(**CODES[code], balance="channel", percentile=100, **others)


every_code = pytest.mark.parametrize("code", CODES)


@every_code
@pytest.mark.parametrize("precision", ["float", "int8"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_computed_by_spikes(tmp_path: Path, name: str, precision: Any, code: str) -> None:
    network = nc.compile(write(tmp_path, ACTIVATIONS[name], LINEAR), X, options(code, precision=precision))
    (found,) = network.approximations
    assert found.node == "a"
    assert 0 < found.relative_error <= 0.01
    assert sum(network.neurons.values()) == 8 * found.segments
    assert network.reference is not None
    expected = network.reference.run(X)
    # Each of the outputs sums 8 values, of which each is off by the stated error at most.
    bound = found.error * np.abs(WEIGHTS["w2"]).sum(axis=1).max()
    rounding = 0.01 if precision == "float" else 0.05
    estimate = network.estimate(network.deploy("numpy").run(X))
    assert np.abs(estimate - expected).max() <= bound + rounding * np.abs(expected).max()


def test_products_are_found_before_anything_is_folded(tmp_path: Path) -> None:
    """A gain for each feature that was folded into one branch alone would no longer be the same value in both."""
    gelu = [
        node("Relu", ["h"], "r"),
        node("Mul", ["r", "gain"], "x"),
        node("Mul", ["x", "root"], "b"),
        node("Erf", ["b"], "c"),
        node("Add", ["c", "one"], "d"),
        node("Mul", ["x", "d"], "a"),
    ]
    network = nc.compile(write(tmp_path, gelu, LINEAR), X)
    assert [(found.node, found.function) for found in network.approximations] == [("a", "product")]


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("outputs", [1, CLASSES])
def test_ends_with_counted_spikes(tmp_path: Path, name: str, outputs: int) -> None:
    counted = nc.Options(code="rate", steps=512, decoder="count", balance="channel")
    network = nc.compile(write(tmp_path, RELU, ENDS[name], outputs), X, counted)
    y = network.deploy("numpy").run(X).decisions[:, -1]
    evaluation = network.evaluate(X, y)
    assert evaluation.accuracy == 1
    # Where no output is above 0 no spikes are counted; and probabilities of one class alone are always 1.
    assert evaluation.agreement is not None
    if outputs > 1 or name == "sigmoid":
        assert evaluation.agreement >= 0.75


@every_code
@pytest.mark.parametrize("name", ENDS)
def test_ends_are_computed_by_the_decoder(tmp_path: Path, name: str, code: str) -> None:
    network = nc.compile(write(tmp_path, RELU, ENDS[name]), X, options(code))
    assert network.reference is not None
    expected = network.reference.run(X).reshape(len(X), -1)
    estimate = network.estimate(network.deploy("numpy").run(X)).reshape(len(X), -1)
    if name == "argmax":
        assert np.mean(estimate == expected) >= 0.95
    else:
        np.testing.assert_allclose(estimate, expected, atol=0.02)


@every_code
@pytest.mark.parametrize("name", ENDS)
def test_both_networks_decide_on_the_same_classes(tmp_path: Path, name: str, code: str) -> None:
    plain, found = (
        nc.compile(write(tmp_path, RELU, end), X, options(code)).evaluate(X, labels(60))
        for end in (LINEAR, ENDS[name])
    )
    assert found.ann_accuracy == plain.ann_accuracy
    assert found.agreement == plain.agreement
    assert np.array_equal(found.accuracy_by_step, plain.accuracy_by_step)


@every_code
@pytest.mark.parametrize("end", [LINEAR, ENDS["sigmoid"]], ids=["score", "sigmoid"])
def test_a_single_output_tells_two_classes_apart(tmp_path: Path, end: list[Node], code: str) -> None:
    network = nc.compile(write(tmp_path, RELU, end, outputs=1), X, options(code))
    assert network.reference is not None
    outputs = network.reference.run(X)[:, 0]
    y = (outputs > (0.5 if end is ENDS["sigmoid"] else 0)).astype(np.int64)
    assert set(y) == {0, 1}
    evaluation = network.evaluate(X, y)
    assert evaluation.ann_accuracy == 1
    assert evaluation.agreement == evaluation.accuracy >= 0.95
    with pytest.raises(DataError, match="labels from 0 to 2"):
        network.evaluate(X, y * 2)


def test_what_is_stored_reads_out_the_same(tmp_path: Path) -> None:
    network = nc.compile(write(tmp_path, ACTIVATIONS["SiLU"], ENDS["softmax"]), X)
    network.save(tmp_path / "network")
    loaded = nc.load(tmp_path / "network")
    assert loaded.approximations == network.approximations != ()
    probabilities = loaded.estimate(loaded.deploy("numpy").run(X))
    np.testing.assert_array_equal(probabilities, network.estimate(network.deploy("numpy").run(X)))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_every_layer_that_spikes_do_not_compute_is_told(tmp_path: Path) -> None:
    attention = [node("Softmax", ["h"], "s", axis=1), node("Mul", ["h", "s"], "a")]
    with pytest.raises(GraphError, match=r"node 's' \(Softmax\): .* it can only be the last layer"):
        nc.compile(write(tmp_path, attention, LINEAR), X)
    gate = [node("Gemm", ["h", "g"], "s"), node("Mul", ["h", "s"], "a")]
    with pytest.raises(GraphError, match=r"node 'a' \(Multiply\): multiplies two values that are both computed"):
        nc.compile(write(tmp_path, gate, LINEAR), X)


def test_places_that_are_decided_on_are_not_measured_as_one(tmp_path: Path) -> None:
    nodes = [
        node("Gemm", ["image", "w", "b"], "h", transB=1),
        node("Reshape", ["h", "shape"], "map"),
        node("ArgMax", ["map"], "i", axis=1),
        node("Cast", ["i"], "y", to=1),
    ]
    weights = {"w": RNG.normal(size=(CLASSES * 4, FEATURES)), "b": np.zeros(CLASSES * 4)}
    path = small_network.write_nodes(tmp_path / "map.onnx", nodes, weights)
    model = onnx.load(path)
    shape = onnx.numpy_helper.from_array(np.array([-1, CLASSES, 2, 2]), "shape")
    model.graph.initializer.append(shape)
    onnx.save(model, path)
    network = nc.compile(path, X)
    with pytest.raises(DataError, match="the network decides on 4 places of an image"):
        network.evaluate(X, labels(60))
    assert network.reference is not None
    estimate = network.estimate(network.deploy("numpy").run(X))
    np.testing.assert_array_equal(estimate, network.reference.run(X))
