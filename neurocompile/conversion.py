"""What became of a network, stage by stage: for comparing the stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from neurocompile.ir import Array, Graph
from neurocompile.ir.codes import Code


@dataclass(frozen=True)
class Conversion:
    """A network at three stages, in which layers of neurons have the same names.

    Parameters
    ----------
    ann
        Layers with the original weights; smooth activations are straight lines already.
    fitted
        The same layers with the weights and biases that were fitted.
    thresholds
        The value of ``ann`` that a neuron's threshold stands for: for each ReLU an array that broadcasts against
        one image.
    code
        Of the neurons.
    processes
        The spiking network.
    """

    ann: Graph
    fitted: Graph
    thresholds: Mapping[str, Array]
    code: Code
    processes: Graph
