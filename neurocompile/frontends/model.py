"""A trained network as the compiler takes it."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from neurocompile.errors import GraphError
from neurocompile.frontends.onnx_reader import read
from neurocompile.frontends.onnx_reference import OnnxReference
from neurocompile.ir import Array, Graph, run
from neurocompile.ir.layers import Input

_TOLERANCE = 1e-3
"""Relative to the largest output: ONNX Runtime computes in float32."""

_LEAST = 1e-6
"""Outputs that are 0 but for rounding are equal."""


@dataclass(frozen=True)
class Model:
    """A trained network: the graph of its layers, and the original to compare with.

    Parameters
    ----------
    graph
        Of layers, with one input.
    reference
        The same network in ONNX Runtime.
    """

    graph: Graph
    reference: OnnxReference

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Model:
        """Read an ONNX file.

        Raises
        ------
        ModelError
            If the file can't be read, or with every node that can't be converted.
        """
        return cls(read(path), OnnxReference(path))

    @property
    def entry(self) -> Input:
        """The input."""
        (node,) = self.graph.inputs
        assert isinstance(node.op, Input)
        return node.op

    @property
    def classes(self) -> int:
        """The number of values that the first output has for an image."""
        return int(np.prod(self.graph.types[self.graph.outputs[0]].shape))

    def check_import(self, probe: Array) -> None:
        """Compare the graph with the original on a few images ``(B, *shape)``.

        Raises
        ------
        GraphError
            If they differ: a defect of the frontend, not of the model.
        """
        expected = self.reference.run(probe)
        found = run(self.graph, {self.graph.inputs[0].name: probe})[self.graph.outputs[0]]
        error = float(np.abs(expected.reshape(found.shape) - found).max())
        if not error <= max(_TOLERANCE * float(np.abs(expected).max()), _LEAST):
            raise GraphError(
                f"the imported network differs from ONNX Runtime's result by {error:.3g}",
                remedy="please report this with the model",
            )
