"""Compiles trained networks to spiking ones for Loihi/Lava-style backends, and measures what is lost."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurocompile.ann_to_snn import ANNtoSNNConverter
    from neurocompile.backend import Result
    from neurocompile.checker import Check, check
    from neurocompile.codecs.config import EncoderConfig
    from neurocompile.codecs.protocol import ConversionResult
    from neurocompile.compiler import compile
    from neurocompile.data import TrainingData
    from neurocompile.errors import NeurocompileError
    from neurocompile.evaluate import Evaluation
    from neurocompile.frontends.model import Model
    from neurocompile.frontends.onnx_ops import register_operator
    from neurocompile.network import Deployment, Network, load
    from neurocompile.neuromorphic import NeuromorphicEncoder
    from neurocompile.options import Options
    from neurocompile.parallel import threads
    from neurocompile.search import fewest_steps
    from neurocompile.tuning.options import TuningOptions
    from neurocompile.tuning.result import Tuned
    from neurocompile.tuning.tune import tune

__all__ = [
    "ANNtoSNNConverter",
    "Check",
    "ConversionResult",
    "Deployment",
    "EncoderConfig",
    "Evaluation",
    "Model",
    "Network",
    "NeurocompileError",
    "NeuromorphicEncoder",
    "Options",
    "Result",
    "TrainingData",
    "Tuned",
    "TuningOptions",
    "check",
    "compile",
    "fewest_steps",
    "load",
    "register_operator",
    "threads",
    "tune",
]

_HOMES = {
    "ANNtoSNNConverter": "ann_to_snn",
    "Check": "checker",
    "ConversionResult": "codecs.protocol",
    "Deployment": "network",
    "EncoderConfig": "codecs.config",
    "Evaluation": "evaluate",
    "Model": "frontends.model",
    "Network": "network",
    "NeurocompileError": "errors",
    "NeuromorphicEncoder": "neuromorphic",
    "Options": "options",
    "Result": "backend",
    "TrainingData": "data",
    "Tuned": "tuning.result",
    "TuningOptions": "tuning.options",
    "check": "checker",
    "compile": "compiler",
    "fewest_steps": "search",
    "load": "network",
    "register_operator": "frontends.onnx_ops",
    "threads": "parallel",
    "tune": "tuning.tune",
}


def __getattr__(name: str) -> object:
    # ONNX and its runtime take a while to import: what is not used is not waited for.
    if name not in _HOMES:
        raise AttributeError(f"module 'neurocompile' has no attribute '{name}'")
    return getattr(import_module(f"neurocompile.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
