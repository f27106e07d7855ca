"""What one core can do at most: dense products of reals and of bytes, and rows added from the nearest cache."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
from neurocompile_numpy.events.vectors import address, row_adder
from numba import njit
from onnx import TensorProto, helper
from threadpoolctl import threadpool_limits

SIZE = 512
ROWS = 128
OUTPUTS = 128

_add_rows = row_adder(OUTPUTS)


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
        _add_rows(address(rows), address(numbers), len(numbers), address(sums), 0, sums[0])


def _events() -> float:
    """Of bytes, as ``row_adder`` takes them: two in a number of 16 bits."""
    room = np.zeros(ROWS * OUTPUTS // 2 + 32, np.int16)
    first = -room.ctypes.data % 64 // 2
    rows, sums = room[first : first + ROWS * OUTPUTS // 2].reshape(ROWS, -1), np.zeros(OUTPUTS, np.int32)
    numbers, times = np.random.default_rng(0).integers(0, ROWS, 128).astype(np.uint16), 10_000
    _add(rows, numbers, sums, 1)
    return times * len(numbers) * OUTPUTS / _shortest(lambda: _add(rows, numbers, sums, times)) / 1e9


def _shortest(work: Callable[[], object]) -> float:
    seconds = []
    for _ in range(20):
        began = time.thread_time()
        work()
        seconds.append(time.thread_time() - began)
    return min(seconds)
