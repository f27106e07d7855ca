"""From a trained network to a spiking one: the order of everything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from neurocompile.backend import Progress, silent
from neurocompile.calibration.ranges import lowest, ranges, samples
from neurocompile.data import image_issues
from neurocompile.errors import DataError, ModelError
from neurocompile.frontends.model import Model
from neurocompile.frontends.torch_module import is_module
from neurocompile.ir import Array, Graph
from neurocompile.ir.layers import Input
from neurocompile.ir.processes import Encoder
from neurocompile.network import Network
from neurocompile.options import Options
from neurocompile.passes import pipeline
from neurocompile.passes.approximate import Approximate, Approximation, regions
from neurocompile.passes.balance import Balance
from neurocompile.passes.lower import Lower
from neurocompile.passes.quantize import Quantize
from neurocompile.passes.rectify_output import RectifyOutput
from neurocompile.passes.rectify_pools import RectifyPools, pools
from neurocompile.passes.round_weights import RoundWeights
from neurocompile.passes.split_readout import split_readout

if TYPE_CHECKING:
    import torch

_PROBES = 4
"""Images on which the import and every exact pass are checked."""


def compile(
    model: str | os.PathLike[str] | Model | torch.nn.Module,
    calibration: Array,
    options: Options | None = None,
    *,
    progress: Progress = silent,
) -> Network:
    """Compile a trained network to a spiking one.

    Parameters
    ----------
    model
        An ONNX file, a PyTorch module, or what ``Model.read`` or ``Model.of_module`` made of one.
    calibration
        Training images ``(N, *shape)``, from which thresholds are chosen; some hundreds are enough.
    options
        What can be chosen: steps, reset, precision, encoder, decoder, calibration; ``Options()`` where it is None.
    progress
        Told of each stage.

    Raises
    ------
    ModelError
        If the file can't be read, the module can't be exported, or with every node that can't be converted.
    GraphError
        With every layer that spikes do not compute.
    DataError
        If the calibration images do not fit the network.
    """
    chosen = options or Options()
    progress("compiling", 0, 4)
    calibration = np.asarray(calibration)
    trained = _trained(model, calibration)
    issues = image_issues(calibration, trained.entry.shape, "calibration", trained.entry.dtype)
    if issues:
        raise DataError.of(issues)
    probe = calibration[:_PROBES]
    trained.check_import(probe)
    progress("compiling", 1, 4)
    layers, readout = split_readout(trained.graph)
    # Before anything is folded, since what is folded into one branch of a product no longer leads to the other,
    # and after values have been moved so that their channels come first.
    layers = pipeline.apply(pipeline.STRAIGHTEN, layers, probe)
    layers, approximations = _approximated(layers, calibration)
    layers = pipeline.apply(pipeline.SIMPLIFY, layers, probe)
    layers = pipeline.apply((RectifyPools(lowest(layers, calibration, pools(layers))),), layers, probe)
    if chosen.decoder == "count":
        layers = RectifyOutput()(layers)
    ceilings = chosen.calibration.ceilings(layers, calibration)
    if chosen.decoder == "count":
        # Counts of different neurons only compare if they share a threshold.
        ceilings[layers.outputs[0]] = ceilings[layers.outputs[0]].max(keepdims=True)
    layers = pipeline.apply((Balance(ceilings),), layers, probe)
    progress("compiling", 2, 4)
    graph = Lower(_encoder(trained.entry, calibration, chosen), chosen.reset, readout)(layers)
    progress("compiling", 3, 4)
    if chosen.precision == "float":
        graph = RoundWeights()(graph)
    else:
        graph = Quantize("layer" if chosen.reset == "zero" else "channel")(graph)
    progress("compiling", 4, 4)
    return Network(graph, chosen, trained.reference, approximations)


def _trained(model: str | os.PathLike[str] | Model | torch.nn.Module, calibration: Array) -> Model:
    if isinstance(model, Model):
        return model
    if isinstance(model, str | os.PathLike):
        return Model.read(model)
    if is_module(model):
        return Model.of_module(model, calibration)
    raise ModelError(f"the model is a {type(model).__name__}", remedy="give an ONNX file or a PyTorch module")


def _approximated(layers: Graph, calibration: Array) -> tuple[Graph, tuple[Approximation, ...]]:
    inputs = tuple(dict.fromkeys(region.input for region in regions(layers)))
    measured, sampled = ranges(layers, calibration, inputs), samples(layers, calibration, inputs)
    return Approximate(measured, samples=sampled).rewrite(layers)


def _encoder(entry: Input, calibration: Array, options: Options) -> Encoder:
    if entry.dtype == "uint8":
        ceiling, levels = 255.0, 255
    else:
        largest = float(np.abs(calibration).max())
        ceiling, levels = largest or 1.0, 255 if options.precision == "int8" else 2**16 - 1
    if options.encoder == "poisson":
        levels = 0
    return Encoder(entry.shape, options.encoder, ceiling, levels, options.seed, dtype=entry.dtype)
