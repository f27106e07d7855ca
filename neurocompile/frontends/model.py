"""A trained network as the compiler takes it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neurocompile.errors import GraphError, Issue, ModelError
from neurocompile.frontends.onnx_file import OnnxFile
from neurocompile.frontends.onnx_reader import Imported, read
from neurocompile.frontends.onnx_reference import OnnxReference
from neurocompile.frontends.torch_module import export
from neurocompile.frontends.weight_arrays import perceptron
from neurocompile.ir import Array, Graph, run
from neurocompile.ir.layers import ArgMax, Input, Reshape

if TYPE_CHECKING:
    import torch

_TOLERANCES = {"float16": 3e-2}
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
        Of layers, with one input and one output.
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
        imported = one_in_one_out(read(path))
        return cls(imported.graph, OnnxReference(path, imported.outputs[0]))

    @classmethod
    def of_module(cls, module: torch.nn.Module, images: Array) -> Model:
        """Take a PyTorch module, which stays as it is.

        Parameters
        ----------
        module
            With one input and one output; it is exported in evaluation mode.
        images
            Some of those that it takes, ``(N, *shape)``.

        Raises
        ------
        DataError
            If the module can't take the images.
        ModelError
            If PyTorch can't export it, exports something else, or with every node that can't be converted.
        """
        exported = export(module, images)
        imported = one_in_one_out(read(OnnxFile.of(exported.model)))
        reference = OnnxReference(exported.model.SerializeToString(), imported.outputs[0])
        if exported.result is not None:
            problem = _difference(exported.result, reference.run(exported.image), _TOLERANCE)
            if problem:
                raise ModelError(
                    f"what PyTorch exports computes something else than the module: it {problem}",
                    remedy="look for a layer whose options ONNX does not have, such as AvgPool's divisor_override",
                )
        return cls(imported.graph, reference)

    @classmethod
    def of_weights(cls, layers: Mapping[str, Any]) -> Model:
        """Take the weights of a perceptron, as ``weight_arrays.perceptron`` does.

        Raises
        ------
        ModelError
            With every array that does not fit.
        """
        model = perceptron(layers)
        imported = read(OnnxFile.of(model))
        return cls(imported.graph, OnnxReference(model.SerializeToString(), imported.outputs[0]))

    @property
    def entry(self) -> Input:
        """The input."""
        (node,) = self.graph.inputs
        assert isinstance(node.op, Input)
        return node.op

    @property
    def classes(self) -> int:
        """The number of scores that the network has for an image, before it may choose the largest."""
        node = self.graph[self.graph.outputs[0]]
        while isinstance(node.op, Reshape):
            node = self.graph[node.inputs[0]]
        scores = node.inputs[0] if isinstance(node.op, ArgMax) else node.name
        return math.prod(self.graph.types[scores].shape)

    def check_import(self, probe: Array) -> None:
        """Compare the graph with the original on a few images ``(B, *shape)``.

        Raises
        ------
        GraphError
            If they differ: a defect of the frontend, not of the model.
        """
        expected = self.reference.run(probe)
        found = run(self.graph, {self.graph.inputs[0].name: probe})[self.graph.outputs[0]]
        problem = _difference(expected, found, _TOLERANCES.get(self.entry.dtype, _TOLERANCE))
        if problem:
            raise GraphError(
                f"the imported network {problem} from ONNX Runtime's result",
                remedy="please report this with the model",
            )


def _difference(expected: Array, found: Array, tolerance: float) -> str:
    """Tell by how much results differ, relative to the largest one; nothing if they do not."""
    error = float(np.abs(expected.reshape(found.shape) - found).max())
    return "" if error <= max(tolerance * float(np.abs(expected).max()), _LEAST) else f"differs by {error:.3g}"


def one_in_one_out(imported: Imported) -> Imported:
    """Give back what has one input and one output; raise ``ModelError`` otherwise."""
    inputs = [node.name for node in imported.graph.inputs]
    issues = []
    if len(inputs) != 1:
        issues.append(Issue(f"the model has the inputs {inputs}", remedy="export a model with one input"))
    if len(imported.outputs) != 1:
        problem = f"the model has the outputs {list(imported.outputs)}"
        issues.append(Issue(problem, remedy="export a model with one output, the class scores"))
    if issues:
        raise ModelError.of(issues)
    return imported
