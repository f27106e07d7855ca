"""The original network, run by ONNX Runtime: what every conversion is compared with."""

from __future__ import annotations

import os

import numpy as np

# Some builds of ONNX Runtime send telemetry, from their import on; a compiler sends nothing anywhere.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnx
import onnxruntime

from neurocompile.errors import ModelError
from neurocompile.ir import Array
from neurocompile.parallel import cores

_BATCH = 250
"""Images at a time where the file leaves the batch open: larger ones need memory and are no faster."""

_TYPES = {"tensor(uint8)": np.uint8, "tensor(double)": np.float64, "tensor(float16)": np.float16}


class OnnxReference:
    """An ONNX file's network, run in ONNX Runtime on the CPU.

    Parameters
    ----------
    source
        The file, or a model in memory, serialised.
    output
        Which value to compute; the first output where it is None.

    Raises
    ------
    ModelError
        If ONNX Runtime can't run it.
    """

    def __init__(self, source: str | os.PathLike[str] | bytes, output: str | None = None) -> None:
        model = source if isinstance(source, bytes) else os.fspath(source)
        try:
            self._session = _session(model)
            if output is not None and output not in [o.name for o in self._session.get_outputs()]:
                self._session = _session(_with_output(model, output))
        except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
            name = "the model" if isinstance(model, bytes) else model
            remedy = "export the model again"
            if "NOT_IMPLEMENTED" in str(error):
                remedy = "export it in float32: ONNX Runtime has few operators for other types"
            raise ModelError(f"ONNX Runtime can't run {name}: {error}", remedy=remedy) from error
        self._output = output or self._session.get_outputs()[0].name
        (self._input,) = self._session.get_inputs()

    def run(self, x: Array) -> Array:
        """Compute the network's output.

        Parameters
        ----------
        x
            Images ``(B, *shape)``, cast to the type that the file declares.

        Returns
        -------
        Array
            ``(B, *output)``.

        Raises
        ------
        ModelError
            If ONNX Runtime fails.
        """
        fixed = self._input.shape[0]
        size = fixed if isinstance(fixed, int) and fixed > 0 else _BATCH
        parts = []
        for start in range(0, len(x), size):
            part = np.ascontiguousarray(x[start : start + size], _TYPES.get(self._input.type, np.float32))
            missing = fixed - len(part) if isinstance(fixed, int) and fixed > 0 else 0
            # A file with a fixed batch takes nothing else: the last one is filled up with its own last image.
            filled = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
            try:
                (result,) = self._session.run([self._output], {self._input.name: filled})
            except Exception as error:  # as above
                raise ModelError(f"ONNX Runtime fails: {error}", remedy="export the model again") from error
            if result.ndim == 0 or len(result) != len(filled):
                problem = f"the model gives a result of {list(result.shape)} for {len(filled)} images"
                raise ModelError(problem, remedy="keep the batch as the first axis")
            parts.append(result[: len(part)])
        return np.concatenate(parts)


def _session(model: str | bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = cores()
    # Threads that wait by spinning take cores from what runs next, such as training between two batches.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _with_output(model: str | bytes, output: str) -> bytes:
    """Let a model give out a value that its own outputs are made of."""
    proto = onnx.ModelProto.FromString(model) if isinstance(model, bytes) else onnx.load(model)
    proto.graph.output.append(onnx.ValueInfoProto(name=output))
    return proto.SerializeToString()
