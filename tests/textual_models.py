"""Builds models from ONNX's textual syntax, with random weights."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from neurocompile.ir import Array

RNG = np.random.default_rng(0)


def real(*shape: int) -> Array:
    """Make weights that keep values at their size."""
    fan_in = max(1, int(np.prod(shape[1:])))
    return (RNG.normal(size=shape) / np.sqrt(fan_in)).astype(np.float32)


def positive(*shape: int) -> Array:
    return RNG.uniform(0.5, 2, shape).astype(np.float32)


def number(value: float) -> Array:
    return np.array(value, np.float32)


def integers(*values: int) -> Array:
    return np.array(values, np.int64)


def norm(channels: int, name: str = "bn") -> dict[str, Array]:
    """Make the constants of a BatchNormalization."""
    parts = {"scale": positive(channels), "b": real(channels), "mean": real(channels), "var": positive(channels)}
    return {f"{name}_{part}": value for part, value in parts.items()}


def model(opset: int, x: str, y: str, nodes: str, ir_version: int = 8, **constants: Array) -> onnx.ModelProto:
    """Build a model from ``x`` to ``y``, whose shapes are given.

    Parameters
    ----------
    ir_version
        Below 4, initializers must be listed as inputs.
    """
    header = f'<ir_version: {ir_version}, opset_import: ["" : {opset}]>'
    proto = onnx.parser.parse_model(f"{header} network (float[{x}] x) => (float[{y}] y) {{ {nodes} }}")
    for name, value in constants.items():
        proto.graph.initializer.append(numpy_helper.from_array(value, name))
        if ir_version < 4:
            listed = helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            proto.graph.input.append(listed)
    for i, node in enumerate(proto.graph.node):
        node.name = f"{node.op_type}_{i}"
    return proto
