"""Streams of processes, compared with what is expected."""

from __future__ import annotations

import numpy as np

from neurocompile.ir import Array, TensorType
from neurocompile.ir.kernels import Window
from neurocompile.ir.processes import (
    ConvSynapses,
    Process,
    Synapses,
)


def flat(stream: Array) -> Array:
    """Steps and images in one axis."""
    return stream.reshape(-1, *stream.shape[2:])


def conv(weight: Array, window: Window, exponent: int = 0, groups: int = 1) -> ConvSynapses:
    return ConvSynapses(weight, exponent, window.stride, window.padding, window.dilation, groups)


def check(op: Process, expected: Array, *streams: Array) -> Array:
    """Compare what a process gives, and its type, with what is expected ``(T * B, *shape)``; give the stream."""
    result = op.run(*streams)
    integer = isinstance(op, Synapses) and op.weight.dtype == np.int8
    found = op.infer(*(TensorType(stream.shape[2:], stream=True, integer=integer) for stream in streams))
    assert found == TensorType(result.shape[2:], stream=True, integer=integer)
    assert result.shape[:2] == streams[0].shape[:2]
    np.testing.assert_allclose(flat(result), expected, rtol=1e-12, atol=1e-12)
    return result
