"""Small ONNX models, and the comparison of their import with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from neurocompile.frontends.onnx_reader import read
from neurocompile.frontends.onnx_reference import OnnxReference
from neurocompile.ir import Array, Graph, run

RNG = np.random.default_rng(0)


def node(op: str, inputs: Sequence[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs, [output], name=attributes.pop("name", output), **attributes)


def model(
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int | str | None],
    constants: Mapping[str, Array] | None = None,
    *,
    opset: int = 18,
    dtype: int = TensorProto.FLOAT,
    outputs: Sequence[str] | None = None,
) -> onnx.ModelProto:
    """Build a model from the input ``x`` to the last node's output."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_empty_tensor_value_info(name) for name in outputs or nodes[-1].output[:1]],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    # An old IR version, so that every ONNX Runtime reads the file whatever the onnx package is.
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    # The checker wants the outputs' types, also where a broken node has none.
    proto = onnx.shape_inference.infer_shapes(proto)
    for info in proto.graph.output:
        if not info.type.tensor_type.HasField("shape"):
            info.CopyFrom(helper.make_tensor_value_info(info.name, dtype, [None] * len(shape)))
    return proto


def saved(proto: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def batch(proto: onnx.ModelProto) -> Array:
    """Images for a model's input: three of them where the batch is open."""
    first, *shape = (d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim)
    if proto.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8:
        return RNG.integers(0, 256, (first or 3, *shape), np.uint8)
    return RNG.normal(size=(first or 3, *shape)).astype(np.float32)


def imported(path: Path, x: Array) -> tuple[Graph, Array]:
    """Read a model and run its layers."""
    graph = read(path).graph
    return graph, run(graph, {graph.inputs[0].name: x})[graph.outputs[0]]


def assert_equals_onnxruntime(proto: onnx.ModelProto, folder: Path) -> Graph:
    path, x = saved(proto, folder), batch(proto)
    expected = OnnxReference(path).run(x)
    graph, found = imported(path, x)
    assert found.shape == expected.shape
    np.testing.assert_allclose(
        found, expected, rtol=1e-5, atol=1e-5 * max(1, np.nanmin([np.nanmax(np.abs(expected)), 1e3]))
    )
    return graph
