"""What the table of operators holds for each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from neurocompile.frontends.onnx_node import OnnxNode

Importer = Callable[[OnnxNode], str | Sequence[str]]
"""Adds the layers that stand for a node, and names the one that gives its output, or one for each output."""

Form = Literal["synapses", "wires", "currents", "neurons", "piecewise neurons", "max pool", "decoder", "folded"]
"""What becomes of an operator in spikes.

``synapses``: weights. ``wires``: where spikes go. ``currents``: branches that meet in a neuron. ``neurons``:
integrate-and-fire. ``piecewise neurons``: several for each value, which approximate a curve. ``max pool``: the
process of that name. ``decoder``: computed from what the outputs have accumulated. ``folded``: into the weights
around it.
"""


@dataclass(frozen=True)
class Operator:
    """How an ONNX operator is converted.

    Parameters
    ----------
    importer
        Its docstring says what of the operator is converted: the documents are generated from it.
    form
        What it becomes in spikes.
    """

    importer: Importer
    form: Form

    @property
    def conditions(self) -> str:
        """What of the operator is converted, in one line."""
        text = " ".join((self.importer.__doc__ or "").split()).removeprefix("Convert ")
        return text[:1].upper() + text[1:]
