"""What the compiler makes of a network, as the encoder document's ``ConversionResult``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from neurocompile.checks import choice_issues
from neurocompile.codecs.arrays import as_numpy
from neurocompile.codecs.protocol import ConversionResult
from neurocompile.compiler import compile as compile_network
from neurocompile.errors import DataError, Issue
from neurocompile.ir import Array, Graph
from neurocompile.ir.layers import Affine, Conv, Linear, ReLU
from neurocompile.options import Options
from neurocompile.passes.balance import Balance

Scaled = Literal["weights", "thresholds"]


@dataclass(frozen=True)
class ANNtoSNNConverter:
    """Compiles a network, and tells its weights, thresholds and accuracy.

    With the thresholds ``l`` of a layer and ``l_prev`` of the one before, neurons of the threshold 1 with
    ``W' = W * l_prev / l`` and ``b' = b / l`` fire as those of the threshold ``l / l_prev`` with ``W`` and
    ``b / l_prev`` do (Diehl et al. 2015). It is one or the other: both at once would divide by ``l / l_prev``
    twice.

    Parameters
    ----------
    options
        Of the compiler, but for the steps; the code is ``rate``. By default thresholds are the largest activations
        (Diehl et al. 2015); ``balance="ridge"`` fits weights, biases and thresholds layer by layer, as Deng and Gu
        (2021) and Li et al. (2021) calibrate them.
    scaled
        Whether the result has the weights scaled, or the thresholds, which leaves the weights as they are and
        needs one threshold for each layer. The compiled network is the first.

    Raises
    ------
    DataError
        If there is no such form, or the options are of another code.
    """

    options: Options = field(default_factory=lambda: Options(code="rate", balance="max"))
    scaled: Scaled = "weights"

    def __post_init__(self) -> None:
        issues = list(choice_issues("scaled", self.scaled, get_args(Scaled)))
        if self.options.code not in ("auto", "rate"):
            problem = f"--code {self.options.code} has no neurons that fire at a threshold's rate"
            issues.append(Issue(problem, remedy='choose code="rate"'))
        if issues:
            raise DataError.of(issues)

    def convert(
        self, ann_model: Any, calibration_data: Array, num_timesteps: int = 256, *, labels: Array | None = None
    ) -> ConversionResult:
        """Convert a network, and run it in the NumPy simulator.

        Parameters
        ----------
        ann_model
            What ``compile`` takes: an ONNX file, a PyTorch module, or a dict with the weight ``(out, in)``, or the
            pair of it and the bias, of each layer of a perceptron with ReLUs.
        calibration_data
            ``(N, *shape)``, from which thresholds are chosen, and on which both networks are measured.
        num_timesteps
            T, for which the network is compiled and run.
        labels
            Classes ``(N,)``. Without them what the original network decides counts as right, so that its accuracy
            is 1, and the spiking network's the share of equal decisions.

        Returns
        -------
        ConversionResult
            Its layers are those with weights, by their names in the model: fully connected ones and convolutions,
            with BatchNorm folded in, and what scales a shortcut without weights, which the conversion put there.
            Weights are as they are before
            they are rounded. A layer's factor is the root mean square of its scaled weights by that of the
            unscaled ones, which is ``l_prev / l`` where each layer has one threshold.

        Raises
        ------
        ModelError, GraphError, DataError, BackendError
            As ``compile``, or if the labels do not fit; ``DataError`` too if thresholds were to be scaled of
            neurons that several layers lead to, or that differ within a layer.
        """
        options = replace(self.options, code="rate", steps=num_timesteps)
        x = as_numpy(calibration_data)
        start = time.perf_counter()
        network = compile_network(ann_model, x, options)
        seconds = time.perf_counter() - start
        conversion = network.conversion
        assert conversion is not None
        balanced = Balance(conversion.thresholds)(conversion.fitted)
        layers, unscaled = _layers(balanced), _layers(conversion.fitted)
        neurons = {name: behind for name in layers if (behind := _neurons_behind(balanced, name)) is not None}
        # What gives counts of outputs their unit back is no layer of the network.
        layers = {name: layer for name, layer in layers.items() if name in unscaled or name in neurons}
        weights = {name: layer.weight for name, layer in layers.items()}
        biases = {name: layer.bias for name, layer in layers.items() if np.any(layer.bias)}
        # What scales a shortcut without weights was put there by the balance, in the place of 1.
        factors = {
            name: _size(weight) / (_size(unscaled[name].weight) if name in unscaled else 1.0)
            for name, weight in weights.items()
        }
        thresholds = dict.fromkeys(neurons, 1.0)
        if self.scaled == "thresholds":
            issues = [*_shared_issues(neurons), *_uneven_issues(conversion.thresholds)]
            if issues:
                raise DataError.of(issues)
            for name in neurons:
                scale = thresholds[name] = 1 / factors[name]
                weights[name], factors[name] = weights[name] * scale, 1.0
                if name in biases:
                    biases[name] = biases[name] * scale
        found = network.evaluate(x, None if labels is None else as_numpy(labels))
        assert found.ann_accuracy is not None
        return ConversionResult(
            snn_weights=weights,
            threshold_balancing=thresholds,
            normalization_factors=factors,
            accuracy_original=found.ann_accuracy,
            accuracy_converted=found.accuracy,
            accuracy_loss_pct=100 * (found.loss_relative or 0.0),
            num_timesteps_simulated=found.steps,
            conversion_time_s=seconds,
            snn_biases=biases,
        )


class _Layer(NamedTuple):
    weight: Array
    bias: Array


def _layers(graph: Graph) -> dict[str, _Layer]:
    """Collect what has weights."""
    found = {}
    for node in graph.nodes:
        if isinstance(node.op, Conv | Linear):
            found[node.name] = _Layer(node.op.weight, node.op.bias)
        elif isinstance(node.op, Affine):
            found[node.name] = _Layer(node.op.scale, node.op.shift)
    return found


def _size(weight: Array) -> float:
    # Weights that are all 0 are scaled by 1.
    return float(np.sqrt(np.mean(np.square(weight)))) or 1.0


def _neurons_behind(graph: Graph, name: str) -> str | None:
    """Name the neurons that get a layer's sums, if no other layer comes first."""
    waiting = list(graph.consumers(name))
    for node in waiting:
        if isinstance(node.op, ReLU):
            return node.name
        if not isinstance(node.op, Conv | Linear | Affine):
            waiting += graph.consumers(node.name)
    return None


def _shared_issues(neurons: Mapping[str, str]) -> Iterator[Issue]:
    for target in dict.fromkeys(neurons.values()):
        layers = [name for name, behind in neurons.items() if behind == target]
        if len(layers) > 1:
            problem = f"gets the sums of {', '.join(layers)}, each with a scale of its own, and has one threshold"
            yield Issue(problem, target, remedy='scale the weights: scaled="weights"')


def _uneven_issues(thresholds: Mapping[str, Array]) -> Iterator[Issue]:
    for name, threshold in thresholds.items():
        if np.ptp(threshold) > 0:
            problem = "has thresholds of its own for each channel, and the result has one for each layer"
            yield Issue(problem, name, remedy='scale the weights: scaled="weights", or choose balance="max"')
