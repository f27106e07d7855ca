"""What the compiler does with a file, and whether it may."""

from __future__ import annotations

import math
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from third_opinion import evaluate

from neurocompile.errors import NeurocompileError
from neurocompile.frontends.model import Model
from neurocompile.ir import Array, run
from neurocompile.ir.layers import Function

Outcome = Literal["accepted", "refused", "wrong", "crashed", "too slow", "too much memory"]

GOOD = ("accepted", "refused")

_IMAGES = 5
"""Neither of the sizes that the importer assumes where the batch is open."""

_MOST_VALUES = 1 << 22
"""Of all layers of a network that is run."""

_TOLERANCES = {"float16": 3e-2}
_TOLERANCE = 1e-3
"""Relative to the largest output."""

_LEAST = 1e-12
"""Outputs that are 0 but for rounding are equal."""


@dataclass(frozen=True)
class Judgement:
    """An outcome, and what it was about."""

    outcome: Outcome
    reason: str = ""


def judge(path: Path) -> Judgement:
    """Read a file, and compare what its graph computes with ONNX Runtime's result."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _judge(path)
    except NeurocompileError as error:
        return Judgement("refused", str(error))
    except MemoryError:
        return Judgement("too much memory", traceback.format_exc())
    except Exception:
        return Judgement("crashed", traceback.format_exc())


def _judge(path: Path) -> Judgement:
    model = Model.read(path)
    proto = onnx.load(path, load_external_data=False)
    size = sum(math.prod(kind.shape) for kind in model.graph.types.values())
    if max(_batch(proto), _IMAGES) * size > _MOST_VALUES:
        return Judgement("accepted", "not compared: large")
    images = _random_images(model)
    try:
        expected = model.reference.run(images)
    except NeurocompileError:
        return Judgement("accepted", "not compared: ONNX Runtime fails")
    name = model.graph.inputs[0].name
    try:
        values = run(model.graph, {name: images}, [node.name for node in model.graph.nodes])
    except NeurocompileError as error:
        return Judgement("wrong", f"fails where ONNX Runtime does not: {error}")
    # Runtimes do not agree on the largest of values of which one is a logarithm of a negative number.
    curves = any(isinstance(node.op, Function) for node in model.graph.nodes)
    if curves and any(np.isnan(value).any() for value in values.values()):
        return Judgement("accepted", "not compared: NaN inside")
    found = values[model.graph.outputs[0]]
    tolerance = _TOLERANCES.get(model.entry.dtype, _TOLERANCE)
    difference = _difference(expected, found, tolerance)
    if not difference:
        return Judgement("accepted", "compared")
    try:
        exact = evaluate(proto, name, images)
    except Exception:  # it raises whatever its operators do
        return Judgement("wrong", difference)
    if _difference(exact, found, tolerance):
        return Judgement("wrong", difference)
    return Judgement("accepted", "compared: ONNX Runtime is wrong")


def _batch(proto: onnx.ModelProto) -> int:
    """Give the largest fixed batch of the inputs."""
    shapes = [value.type.tensor_type.shape.dim for value in proto.graph.input]
    return max((dims[0].dim_value for dims in shapes if dims), default=0)


def _random_images(model: Model) -> Array:
    rng = np.random.default_rng(0)
    shape = (_IMAGES, *model.entry.shape)
    if model.entry.dtype == "uint8":
        return rng.integers(0, 256, shape, np.uint8)
    return rng.normal(size=shape).astype(model.entry.dtype)


def _difference(expected: Array, found: Array, tolerance: float) -> str:
    """Say how two results differ; nothing if they do not."""
    if expected.shape != found.shape:
        return f"has the shape {found.shape} instead of {expected.shape}"
    # Where float32 overflows, or a logarithm has no value, there is nothing to compare with.
    finite = np.isfinite(expected)
    if not finite.any():
        return ""
    expected, found = expected[finite].astype(np.float64), found[finite]
    error, largest = float(np.abs(expected - found).max()), float(np.abs(expected).max())
    return (
        ""
        if error <= max(tolerance * largest, _LEAST)
        else f"differs by {error:.3g}; the largest output is {largest:.3g}"
    )
