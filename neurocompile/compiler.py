"""From a trained network to a spiking one: the order of everything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from neurocompile.backend import Progress, find, silent
from neurocompile.calibration.ceilings import ceilings
from neurocompile.calibration.moments import second_moments
from neurocompile.calibration.ranges import lowest, ranges, samples
from neurocompile.calibration.sequential import Fitted, fit
from neurocompile.calibration.synthetic import safe_ceilings, synthetic_images
from neurocompile.calibration.thresholds import least_squares
from neurocompile.conversion import Conversion
from neurocompile.data import image_issues
from neurocompile.errors import BackendError, DataError, ModelError
from neurocompile.frontends.model import Model
from neurocompile.frontends.torch_module import is_module
from neurocompile.ir import Array, Graph
from neurocompile.ir.layers import Input
from neurocompile.ir.processes import DecoderCode, Encoder, EncoderCode
from neurocompile.network import Network
from neurocompile.options import Options
from neurocompile.passes import pipeline
from neurocompile.passes.approximate import Approximate, Approximation, regions
from neurocompile.passes.balance import Balance
from neurocompile.passes.lower import Lower
from neurocompile.passes.outline import outlined_processes
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
    model: str | os.PathLike[str] | Model | torch.nn.Module | Mapping[str, Any],
    calibration: Array | None = None,
    options: Options | None = None,
    *,
    progress: Progress = silent,
) -> Network:
    """Compile a trained network to a spiking one.

    Parameters
    ----------
    model
        An ONNX file, a PyTorch module, the weights of a perceptron as ``Model.of_weights`` takes them, or what
        ``Model`` made of one of these.
    calibration
        Training images ``(N, *shape)``, from which thresholds are chosen; some hundreds are enough. Where it is
        None synthetic ones stand in, with twice the room for activations: what is lost on real images is then
        not known.
    options
        What can be chosen: steps, reset, precision, encoder, decoder, balance and more; ``Options()`` where it
        is None.
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
    BackendError
        With every reason why the target can't take the network.
    """
    chosen = options or Options()
    synthetic = calibration is None
    if synthetic and chosen.balance is None:
        # What real images do is not known, so nothing is fitted to synthetic ones.
        chosen = replace(chosen, balance="channel", percentile=100.0)
    target = find(chosen.target)
    chosen = chosen.resolved(target.codes, stock=target.stock)
    code = chosen.spiking_code
    progress("compiling", 0, 4)
    trained = _trained(model, calibration)
    calibration = synthetic_images(trained.entry) if calibration is None else np.asarray(calibration)
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
    # Before anything is fitted, which can take minutes.
    issues = list(target.check(outlined_processes(layers, code)))
    if issues:
        raise BackendError.of(issues)
    layers = pipeline.apply(pipeline.SIMPLIFY, layers, probe)
    layers = pipeline.apply((RectifyPools(lowest(layers, calibration, pools(layers))),), layers, probe)
    if chosen.decoder in ("count", "first_spike"):
        layers = RectifyOutput()(layers)
    encoder = _encoder(trained.entry, calibration, chosen)
    fitted = _fitted(layers, encoder, calibration, chosen)
    if synthetic:
        fitted = replace(fitted, thresholds=safe_ceilings(layers, fitted.thresholds, encoder.ceiling))
    balanced = pipeline.apply((Balance(fitted.thresholds),), fitted.layers, probe)
    progress("compiling", 2, 4)
    decoder: DecoderCode = "membrane" if chosen.decoder == "count" else chosen.decoder
    graph = Lower(encoder, code, readout, fitted.starts, decoder)(balanced)
    progress("compiling", 3, 4)
    if chosen.precision == "float":
        graph = RoundWeights.of(code)(graph)
    else:
        moments = second_moments(balanced, graph, calibration, code)
        shared = target.stock or chosen.reset == "zero"
        # Neurons with reset to zero have biases of their own on any target.
        whole = target.stock and chosen.reset == "subtract"
        graph = Quantize("layer" if shared else "channel", moments, stock=whole)(graph)
    progress("compiling", 4, 4)
    conversion = Conversion(layers, fitted.layers, fitted.thresholds, code, graph)
    return Network(graph, chosen, trained.reference, approximations, conversion, synthetic)


def _trained(
    model: str | os.PathLike[str] | Model | torch.nn.Module | Mapping[str, Any], calibration: Array | None
) -> Model:
    if isinstance(model, Model):
        return model
    if isinstance(model, Mapping):
        return Model.of_weights(model)
    if isinstance(model, str | os.PathLike):
        return Model.read(model)
    if is_module(model):
        if calibration is None:
            problem = "a PyTorch module does not tell what images it takes"
            raise DataError(problem, remedy="give calibration images, or an ONNX file")
        return Model.of_module(model, np.asarray(calibration))
    remedy = "give an ONNX file, a PyTorch module, or a dict of weights"
    raise ModelError(f"the model is a {type(model).__name__}", remedy=remedy)


def _approximated(layers: Graph, calibration: Array) -> tuple[Graph, tuple[Approximation, ...]]:
    inputs = tuple(dict.fromkeys(region.input for region in regions(layers)))
    measured, sampled = ranges(layers, calibration, inputs), samples(layers, calibration, inputs)
    return Approximate(measured, samples=sampled).rewrite(layers)


def _fitted(layers: Graph, encoder: Encoder, calibration: Array, options: Options) -> Fitted:
    """Choose thresholds, and fit weights and biases where the method does."""
    assert options.percentile is not None
    code, (output,) = options.spiking_code, layers.outputs
    # Counts of different neurons only compare if they share a threshold.
    shared = output if options.decoder in ("count", "first_spike") else None
    if options.balance == "ridge":
        return fit(layers, encoder, calibration, code, shared)
    if options.balance == "mse":
        thresholds = least_squares(layers, calibration, code)
    else:
        percentile = 100.0 if options.balance == "max" else options.percentile
        found = ceilings(layers, calibration, percentile, by_channel=options.balance == "channel")
        # So that the largest value that can be sent is the ceiling.
        thresholds = {name: ceiling / code.highest for name, ceiling in found.items()}
    if shared is not None:
        thresholds[shared] = thresholds[shared].max(keepdims=True)
    return Fitted(layers, thresholds, {}, 0.0)


def _encoder(entry: Input, calibration: Array, options: Options) -> Encoder:
    if entry.dtype == "uint8":
        ceiling, levels = 255.0, 255
    else:
        largest = float(np.abs(calibration).max())
        ceiling, levels = largest or 1.0, 255 if options.precision == "int8" else 2**16 - 1
    if options.encoder != "constant":
        pause = options.refractory if options.encoder == "poisson" else 0
        return Encoder(entry.shape, options.encoder, ceiling, 0, options.seed, dtype=entry.dtype, refractory=pause)
    sends: EncoderCode = "once" if options.spiking_code.radix > 1 else "constant"
    return Encoder(entry.shape, sends, ceiling, levels, dtype=entry.dtype)
