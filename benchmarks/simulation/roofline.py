"""What one core can do at most: dense products of reals and of bytes, and rows added from the nearest cache."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
from neurocompile_numpy.events.drive import ADD_INTEGERS
from neurocompile_numpy.events.vectors import LANES
from numba import njit
from onnx import TensorProto, helper
from threadpoolctl import threadpool_limits

SIZE = 512
ROWS = 64


def roofline() -> dict[str, float]:
    """Measure multiplications, or synaptic operations, for a second, in billions."""
    return {"float32": _float32(), "int8": _int8(), "events": _events()}


def _float32() -> float:
    a = np.ones((SIZE, SIZE), np.float32)
    with threadpool_limits(1, "blas"):
        return SIZE**3 / _shortest(lambda: a @ a) / 1e9


def _int8() -> float:
    """By ONNX Runtime's product of bytes."""
    x = helper.make_tensor_value_info("x", TensorProto.UINT8, [SIZE, SIZE])
    y = helper.make_tensor_value_info("y", TensorProto.INT32, [SIZE, SIZE])
    weight = onnx.numpy_helper.from_array(np.ones((SIZE, SIZE), np.int8), "w")
    nodes = [helper.make_node("MatMulInteger", ["x", "w"], ["y"])]
    model = helper.make_model(
        helper.make_graph(nodes, "dense", [x], [y], [weight]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    images = np.ones((SIZE, SIZE), np.uint8)
    return SIZE**3 / _shortest(lambda: session.run(None, {"x": images})) / 1e9


@njit
def _add(rows: np.ndarray, numbers: np.ndarray, sums: np.ndarray, times: int) -> None:
    for _ in range(times):
        ADD_INTEGERS(rows.ctypes.data, rows.strides[0], numbers.ctypes.data, len(numbers), sums.ctypes.data)


def _events() -> float:
    rows, sums, times = np.ones((ROWS, 4 * LANES), np.int8), np.zeros(4 * LANES, np.int32), 10_000
    numbers = np.random.default_rng(0).integers(0, ROWS, 128).astype(np.uint32)
    _add(rows, numbers, sums, 1)
    return times * len(numbers) * 4 * LANES / _shortest(lambda: _add(rows, numbers, sums, times)) / 1e9


def _shortest(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(20):
        began = time.thread_time()
        work()
        seconds.append(time.thread_time() - began)
    return min(seconds)
