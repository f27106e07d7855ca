"""Compiles trained networks to spiking ones for Loihi/Lava-style backends, and measures what is lost."""

from neurocompile.backend import Result
from neurocompile.calibration.ceilings import Calibration
from neurocompile.errors import NeurocompileError
from neurocompile.evaluate import Evaluation
from neurocompile.frontends.model import Model
from neurocompile.network import Deployment, Network, compile, load
from neurocompile.options import Options

__all__ = [
    "Calibration",
    "Deployment",
    "Evaluation",
    "Model",
    "Network",
    "NeurocompileError",
    "Options",
    "Result",
    "compile",
    "load",
]
