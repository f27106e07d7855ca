"""From a PyTorch module to an ONNX model, in memory, by PyTorch's own exporter."""

from __future__ import annotations

import contextlib
import copy
import io
import itertools
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from neurocompile.errors import DataError, ModelError
from neurocompile.ir import Array

if TYPE_CHECKING:
    import torch

_ONE_AT_A_TIME = threading.Lock()
"""What PyTorch's exporter says can only be kept quiet for the whole program, and so for one export at a time."""


def is_module(model: object) -> bool:
    """Tell whether this is a PyTorch module; PyTorch is not imported for the question."""
    torch_module: Any = sys.modules.get("torch")
    return torch_module is not None and isinstance(model, torch_module.nn.Module)


@dataclass(frozen=True)
class Exported:
    """A module as an ONNX model.

    Parameters
    ----------
    model
        The model.
    image, result
        An image in a batch of one, as the module takes it, and what the module makes of it; None where that is no
        single tensor.
    """

    model: onnx.ModelProto
    image: Array
    result: Array | None


def export(module: torch.nn.Module, images: Array) -> Exported:
    """Export a module in evaluation mode and in float32; its flags, parameters and buffers stay as they are.

    Parameters
    ----------
    module
        With one input and one output. Its hooks run, on tensors that may have no values.
    images
        Some of those that it takes, ``(N, *shape)``. Bytes stay bytes if the module takes them; everything else
        is cast to float32.

    Raises
    ------
    DataError
        If the module can't take the images.
    ModelError
        If PyTorch can't export it.
    """
    import torch

    images = np.asarray(images)
    if images.ndim < 2 or not len(images) or images.dtype.kind not in "fiub":
        problem = f"the calibration images are {images.dtype} of the shape {images.shape}"
        raise DataError(problem, remedy="give numbers of the shape (N, *shape of an image)")
    if any(map(torch.nn.parameter.is_lazy, itertools.chain(module.parameters(), module.buffers()))):
        remedy = "run it once on an image, and train it"
        raise ModelError("the module has lazy layers, whose weights do not exist yet", remedy=remedy)
    whole = _with_one_input(_in_single_precision(module))
    with _ONE_AT_A_TIME, _evaluating(whole), _silenced():
        sample, result = _accepted(whole, images)
        known = result.numpy(force=True) if isinstance(result, torch.Tensor) else None
        return Exported(_exported(whole, sample), sample[:1].numpy(force=True), known)


def _in_single_precision(module: torch.nn.Module) -> torch.nn.Module:
    """Copy a module of another precision: ONNX Runtime has no convolutions of float64, and NumPy no bfloat16."""
    import torch

    tensors = itertools.chain(module.parameters(), module.buffers())
    if all(tensor.dtype == torch.float32 for tensor in tensors if tensor.is_floating_point()):
        return module
    try:
        return copy.deepcopy(module).float()
    except Exception as error:  # whatever its parts raise
        problem = f"the module is not in float32, and can't be copied: {_reason(error)}"
        raise ModelError(problem, remedy="give module.float()") from error


def _with_one_input(module: torch.nn.Module) -> torch.nn.Module:
    """Wrap a module, so that whatever arguments it declares, the exporter sees one."""
    import torch

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, images: torch.Tensor) -> Any:
            return self.module(images)

    return Whole()


def _accepted(module: torch.nn.Module, images: Array) -> tuple[torch.Tensor, Any]:
    """Give two of the images as the module takes them, and what it makes of the first."""
    import torch

    # The first and the last are two images also where there is only one.
    two = images[[0, -1]]
    candidates = [two.astype(np.float32)]
    if images.dtype == np.uint8:
        candidates.insert(0, two)
    like = next(itertools.chain(module.parameters(), module.buffers()), torch.empty(0))
    for candidate in candidates:
        sample = torch.from_numpy(candidate).to(like.device)
        # The module may change its buffers: it gets copies.
        buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
        try:
            result = torch.func.functional_call(module, buffers, (sample[:1],))
        except Exception as error:  # whatever the module raises
            failure = error
        else:
            return sample, result
    raise DataError(
        f"the module can't take an image of {images.dtype} {images.shape[1:]}: {_reason(failure)}",
        remedy="give calibration images for which module(images) works after module.eval()",
    ) from failure


def _exported(module: torch.nn.Module, sample: torch.Tensor) -> onnx.ModelProto:
    import torch

    # For a batch of any size; where the module computes with its size, for one image at a time.
    batch = {0: torch.export.Dim("batch")}
    for images, dynamic_shapes in ((sample, (batch,)), (sample[:1], None)):
        try:
            program = torch.onnx.export(
                module, (images,), dynamo=True, dynamic_shapes=dynamic_shapes, verbose=False
            )
            assert program is not None
            return program.model_proto
        except ImportError as error:
            problem = f"PyTorch exports modules with the help of {error.name}, which is not installed"
            raise ModelError(problem, remedy='pip install "neurocompile[torch]"') from error
        except Exception as error:  # the exporter has no common class of errors, and lets through the module's
            failure = error
    raise _not_exported(module, failure) from failure


def _not_exported(module: torch.nn.Module, failure: Exception) -> ModelError:
    import torch

    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        return ModelError(
            "PyTorch can't export the module: it is one of TorchScript, whose Python code is gone",
            remedy="give the module that it was made of, or what torch.onnx.export(..., dynamo=False) writes",
        )
    reason = _reason(failure)
    if "data-dependent" in reason:
        return ModelError(
            "PyTorch can't export the module: what it computes with depends on the values of the images",
            remedy="take `if`, loops and sizes that depend on them out of the module's forward",
        )
    return ModelError(
        f"PyTorch can't export the module: {reason}",
        remedy="change it until torch.onnx.export(module, (images,), dynamo=True) works, or give an ONNX file",
    )


def _reason(error: BaseException) -> str:
    """Give the innermost cause in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__


@contextlib.contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    import torch

    modes = {part: part.training for part in module.modules()}
    try:
        module.eval()
        # A module that its user has compiled runs as it was written.
        with torch.inference_mode(False), torch.no_grad(), torch.compiler.set_stance("force_eager"):
            yield
    finally:
        for part, training in modes.items():
            part.training = training


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Keep the exporter's progress and warnings, which are about other ways to call it, from the user."""
    previous = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    nowhere = io.StringIO()
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(previous)
