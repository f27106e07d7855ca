"""Imports a test case and compares what its layers compute with what is expected."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
from cases import Case, Value
from onnx import TensorProto
from trained import Trained, every_way

from neurocompile.errors import NeurocompileError
from neurocompile.frontends.onnx_ops import OPERATORS
from neurocompile.frontends.onnx_reader import Imported, read
from neurocompile.ir import Array, run

Outcome = Literal["error", "wrong", "right", "refused", "not applicable"]
"""``error`` is an exception that no user should see, ``refused`` one that tells the user what isn't converted."""

_WORST_FIRST: tuple[Outcome, ...] = ("error", "wrong", "right", "refused")

_TOLERANCE = 1e-4
"""Relative to the largest value."""

_LISTED_TOLERANCE = 1e-3
"""Onnx's own for the outputs that it lists: some of them have four digits."""

_FLOAT16_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Verdict:
    """What became of a case, why, and whether ONNX Runtime was asked as well."""

    outcome: Outcome
    reason: str = ""
    onnxruntime: bool = False


def supported() -> list[str]:
    """Name the operators that the importer converts."""
    return sorted(OPERATORS)


@cache
def judge(case: Case) -> Verdict:
    """Try each way to make a trained network of the case, with the batch of the case and with an open one.

    The worst outcome is the verdict, a refusal only where nothing was right.
    """
    reason = _why_not_applicable(case)
    if reason:
        return Verdict("not applicable", reason)
    return min(_tries(case), key=lambda verdict: _WORST_FIRST.index(verdict.outcome))


def _why_not_applicable(case: Case) -> str:
    if any(node.domain == "ai.onnx.preview.training" for node in case.model.graph.node):
        return "trains"
    if any(value is None for data in case.data for value in (*data.inputs.values(), *data.outputs)):
        return "has sequences or optionals"
    if not all(data.inputs for data in case.data):
        return "has no input"
    return "" if any(every_way(case)) else "has no input of reals or bytes"


def _tries(case: Case) -> Iterator[Verdict]:
    for trained in every_way(case):
        verdict = _try(trained)
        yield verdict
        if verdict.outcome == "right":
            yield _try(trained.with_open_batch())
        if all(value.ndim == 1 for value in trained.feeds.values()):
            yield _try(trained.as_one_image())


def _try(trained: Trained) -> Verdict:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(trained.model, path)
        try:
            imported = read(path)
        except NeurocompileError as error:
            issue = error.issues[0]
            problem = issue.problem.replace(str(path), "the file")
            return Verdict("refused", f"{issue.op}: {problem}" if issue.op else problem)
        except Exception as error:
            return _failure("error", trained, f"{type(error).__name__}: {error}")
        theirs = _run_onnxruntime(path, trained.feeds, imported.outputs)
    try:
        found = _run(imported, trained.feeds)
    except Exception as error:
        return _failure("error", trained, f"{type(error).__name__}: {error}")
    if not trained.expected and not theirs:
        return Verdict("refused", "ONNX Runtime can't run it")
    types = {info.name: info.type.tensor_type.elem_type for info in trained.model.graph.output}
    for source, outputs, least in (
        ("onnx's", trained.expected, _LISTED_TOLERANCE),
        ("ONNX Runtime's", theirs, _TOLERANCE),
    ):
        for name in found if outputs else ():
            tolerance = _FLOAT16_TOLERANCE if types[name] == TensorProto.FLOAT16 else least
            difference = _difference(found[name], outputs[name], tolerance)
            if difference:
                return _failure("wrong", trained, f"{name} differs from {source}: {difference}")
    return Verdict("right", onnxruntime=bool(theirs))


def _failure(outcome: Outcome, trained: Trained, reason: str) -> Verdict:
    shapes = onnx.printer.to_text(trained.model.graph).splitlines()[0]
    return Verdict(outcome, f"{shapes}: {reason}")


def _run(imported: Imported, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Give the outputs by their names in the file."""
    # Infinite and invalid values are what some of the cases are about.
    with np.errstate(all="ignore"):
        values = run(imported.graph, feeds)
    return {name: values[node] for name, node in zip(imported.outputs, imported.graph.outputs, strict=True)}


def _run_onnxruntime(path: Path, feeds: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Value]:
    """Give ONNX Runtime's outputs by their names, or none where it can't run the model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        return dict(zip(outputs, session.run(outputs, dict(feeds)), strict=True))
    except Exception:  # ONNX Runtime's exceptions have no common base of their own
        return {}


def _difference(found: Array, expected: Value, tolerance: float) -> str:
    assert expected is not None
    if found.shape != expected.shape:
        return f"{list(found.shape)}, not {list(expected.shape)}"
    reals = expected.astype(np.float64)
    largest = float(np.abs(reals[np.isfinite(reals)]).max(initial=0))
    if np.allclose(found, reals, rtol=0, atol=max(tolerance * largest, 1e-6), equal_nan=True):
        return ""
    with np.errstate(invalid="ignore"):
        return f"by {np.nanmax(np.abs(found - reals)):.3g}"
