"""A small network as an ONNX file, and data that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FEATURES = 6
CLASSES = 3


def write_model(path: Path, *, hidden: int = 8, seed: int = 0, dtype: int = TensorProto.FLOAT) -> Path:
    """Write a perceptron of two layers; another seed gives other weights, uint8 an input of bytes."""
    rng = np.random.default_rng(seed)
    weights = {
        "w1": rng.normal(0, 0.7, (hidden, FEATURES)),
        "b1": rng.normal(0, 0.2, hidden),
        "w2": rng.normal(0, 0.7, (CLASSES, hidden)),
        "b2": rng.normal(0, 0.2, CLASSES),
    }
    nodes = [
        helper.make_node("Gemm", ["image", "w1", "b1"], ["h"], "hidden", transB=1),
        helper.make_node("Relu", ["h"], ["r"], "rectified"),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["y"], "scores", transB=1),
    ]
    if dtype == TensorProto.UINT8:
        nodes.insert(0, helper.make_node("Cast", ["bytes"], ["image"], "cast", to=TensorProto.FLOAT))
    return write_nodes(path, nodes, weights, "bytes" if dtype == TensorProto.UINT8 else "image", dtype)


def write_nodes(
    path: Path,
    nodes: list[onnx.NodeProto],
    weights: Mapping[str, Any],
    entry: str = "image",
    dtype: int = TensorProto.FLOAT,
) -> Path:
    """Write ONNX nodes from an image of 6 features to the value `y`."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(entry, dtype, ["batch", FEATURES])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "outputs"])],
        [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def images(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, FEATURES)).astype(np.float32)


def labels(count: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, CLASSES, count)


def data(count: int = 40) -> dict[str, np.ndarray]:
    """Arrays as a data file holds them."""
    return {"x_calibration": images(50, seed=3), "x_test": images(count), "y_test": labels(count)}
