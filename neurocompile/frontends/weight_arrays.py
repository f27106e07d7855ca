"""Imports a perceptron that is given as its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from neurocompile.errors import Issue, ModelError
from neurocompile.ir import Array

_OPSET, _IR_VERSION = 17, 9
"""Old enough for every ONNX Runtime."""

_LARGEST = float(np.finfo(np.float32).max)


def perceptron(layers: Mapping[str, Any]) -> onnx.ModelProto:
    """Make an ONNX model of fully connected layers with a ReLU between each and the next.

    Parameters
    ----------
    layers
        From the input on: the weight ``(out, in)`` of each by its name, or a pair of the weight and the bias
        ``(out,)``.

    Raises
    ------
    ModelError
        With every array that is no such weight or bias, or does not fit the layer before.
    """
    pairs = {str(name): _pair(value) for name, value in layers.items()}
    issues = list(_issues(pairs))
    if issues:
        raise ModelError.of(issues)
    # Values are called by numbers, so that layers may have any names.
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    for i, (name, (weight, bias)) in enumerate(pairs.items()):
        if nodes:
            nodes.append(helper.make_node("Relu", [f"sum{i}"], [f"value{i}"]))
        arrays = {f"weight{i}": weight, f"bias{i}": np.zeros(len(weight)) if bias is None else bias}
        weights += [numpy_helper.from_array(array.astype(np.float32), key) for key, array in arrays.items()]
        nodes.append(helper.make_node("Gemm", [f"value{i}", *arrays], [f"sum{i + 1}"], name, transB=1))
    shapes = [weight.shape for weight, _ in pairs.values()]
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("value0", TensorProto.FLOAT, ["batch", shapes[0][1]])],
        [helper.make_tensor_value_info(f"sum{len(pairs)}", TensorProto.FLOAT, ["batch", shapes[-1][0]])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)


def _pair(value: Any) -> tuple[Array, Array | None]:
    weight, bias = value if isinstance(value, tuple) and len(value) == 2 else (value, None)
    return np.asarray(weight), None if bias is None else np.asarray(bias)


def _issues(pairs: Mapping[str, tuple[Array, Array | None]]) -> Iterator[Issue]:
    if not pairs:
        yield Issue("there are no layers", remedy="give the weight of at least one")
    inputs = None
    for name, (weight, bias) in pairs.items():
        for array, what in ((weight, "weight"), (bias, "bias")):
            if array is not None and (array.dtype.kind not in "fiu" or not np.all(np.abs(array) <= _LARGEST)):
                yield Issue(f"its {what} does not hold finite numbers of float32", name, remedy="train it again")
        if weight.ndim != 2 or 0 in weight.shape:
            problem = f"its weight has the shape {list(weight.shape)}"
            yield Issue(problem, name, remedy="give (out, in), or the pair of weight and bias")
            inputs = None
            continue
        if inputs is not None and weight.shape[1] != inputs:
            problem = f"it takes {weight.shape[1]} values, and the layer before has {inputs}"
            yield Issue(problem, name, remedy="give weights as (out, in), the layers in their order")
        inputs = len(weight)
        if bias is not None and bias.shape != (inputs,):
            problem = f"its bias has the shape {list(bias.shape)}, and it has {inputs} neurons"
            yield Issue(problem, name, remedy=f"give it as [{inputs}]")
