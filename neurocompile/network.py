"""A compiled network: measure it, deploy it, save it and load it."""

from __future__ import annotations

import dataclasses
import math
import os
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neurocompile.backend import Executable, Progress, Result, compile_for, decide, run_in_parts, silent
from neurocompile.budget import Budget, loss_budget
from neurocompile.causes import remedies
from neurocompile.conversion import Conversion
from neurocompile.data import image_issues, label_issues, range_issues
from neurocompile.early_exit import ExitRule
from neurocompile.errors import BackendError, DataError, DeploymentError, Issue
from neurocompile.evaluate import Evaluation, evaluate
from neurocompile.frontends.onnx_reference import OnnxReference
from neurocompile.ir import Array, Graph, archive
from neurocompile.ir.paths import Source
from neurocompile.ir.processes import Decoder, Encoder, Neurons, Process
from neurocompile.ir.serialization import from_document, to_document
from neurocompile.options import Options, steps_issues
from neurocompile.passes.approximate import Approximation
from neurocompile.passes.round_weights import RoundWeights

if TYPE_CHECKING:
    import torch

    from neurocompile.twin import Surrogate, Twin

_FORMAT = "neurocompile deployment"
_SCHEMA = 1

_PART = 256
_PART_RECORDED = 512 << 20
_MOST_RECORDED = 4 << 30
"""Spikes that are recorded at once, at one byte each."""


@dataclass(frozen=True)
class Network:
    """A compiled spiking network.

    Parameters
    ----------
    graph
        Of processes.
    options
        With which it was compiled.
    reference
        The original network; None if this one was loaded from a file.
    approximations
        What was replaced by straight lines, and with which error.
    conversion
        The stages on the way; None if this one was loaded from a file, or trained.
    synthetic
        Whether it was calibrated on synthetic images: how large the activations of real ones get is not known.
    """

    graph: Graph
    options: Options
    reference: OnnxReference | None = None
    approximations: tuple[Approximation, ...] = ()
    conversion: Conversion | None = None
    synthetic: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image."""
        return self.graph.types[self.graph.inputs[0].name].shape

    @property
    def classes(self) -> int:
        """The number of outputs."""
        return int(np.prod(self.graph.types[self.graph.outputs[0]].shape))

    @property
    def neurons(self) -> dict[str, int]:
        """The size of each layer of neurons."""
        return {
            node.name: int(np.prod(self.graph.types[node.name].shape))
            for node in self.graph.nodes
            if isinstance(node.op, Neurons)
        }

    def input_issues(self, x: Array) -> list[Issue]:
        """List what is wrong with images, as the network takes them."""
        encoder = self.graph.inputs[0].op
        assert isinstance(encoder, Encoder)
        return image_issues(x, self.shape, "x", encoder.dtype) or range_issues(x, encoder.ceiling)

    @property
    def _decoder(self) -> Decoder:
        decoder = self.graph[self.graph.outputs[0]].op
        assert isinstance(decoder, Decoder)
        return decoder

    def estimate(self, result: Result) -> Array:
        """Estimate the original network's outputs ``(N, *outputs)`` from what a run accumulated.

        Of a network that ends with a Softmax these are probabilities; of one that ends with an ArgMax, classes.
        """
        return self._decoder.read(result.potentials[:, -1], result.potentials.shape[1])

    def evaluate(
        self,
        x: Array,
        y: Array | None = None,
        *,
        steps: int | None = None,
        early_exit: Array | None = None,
        progress: Progress = silent,
    ) -> Evaluation:
        """Measure the network in the NumPy simulator.

        Parameters
        ----------
        x, y
            Images ``(N, *shape)`` and their classes ``(N,)``; where these are not known, what the original network
            decides counts as right.
        steps
            For which to run; as compiled where it is None.
        early_exit
            Other images, from which it is learned when a decision is safe; then it is measured what stopping there
            would bring.
        progress
            Told of each chunk of images.

        Raises
        ------
        DataError
            If images or labels do not fit the network, or for a wrong number of steps.
        BackendError
            If there are no classes, and the network was loaded from a file, which does not hold the original one.
        """
        x, labels = np.asarray(x), None if y is None else np.asarray(y)
        steps = self.steps if steps is None else steps
        _require(self._measuring_issues(x, labels), steps)
        ann = None if self.reference is None and labels is not None else self._ann(x)
        executable, rule = compile_for("numpy", self.graph), None
        if early_exit is not None:
            others = np.asarray(early_exit)
            _require(self.input_issues(others), steps)
            rule = ExitRule.of(executable.run(others, steps=steps).potentials)
        found = evaluate(
            executable,
            x,
            self._ann(x) if labels is None else labels,
            steps=steps,
            neurons=self.neurons,
            ann=ann,
            exit_rule=rule,
            progress=progress,
        )
        return dataclasses.replace(found, labelled=labels is not None)

    def loss_budget(self, x: Array, y: Array | None = None, *, progress: Progress = silent) -> Budget:
        """Measure where the loss comes from: what each cause in each layer adds to it.

        Parameters
        ----------
        x, y
            Images ``(N, *shape)`` and their classes ``(N,)``, as in ``evaluate``; some hundreds tell the worst
            layers.
        progress
            Told of each part of the images.

        Raises
        ------
        DataError
            If images or labels do not fit the network.
        BackendError
            If the network was loaded from a file, which does not hold the original one, or trained, so that its
            layers are no longer those of the original one.
        """
        x, labels = np.asarray(x), None if y is None else np.asarray(y)
        _require(self._measuring_issues(x, labels), self.steps)
        ann = self._ann(x)
        if self.conversion is None:
            raise BackendError(
                "the network was trained: its layers are no longer those of the original one",
                remedy="measure the network that it was trained from",
            )
        right = ann if labels is None else labels
        return loss_budget(
            self.conversion,
            ann,
            x,
            right,
            steps=self.steps,
            remedies=remedies(self.options),
            progress=progress,
        )

    def _measuring_issues(self, x: Array, labels: Array | None) -> list[Issue]:
        # Labels are counted against the images, so these have to be right first.
        issues = self.input_issues(x) or self._places_issues()
        return issues or ([] if labels is None else label_issues(labels, len(x), self.classes))

    def _ann(self, x: Array) -> Array:
        """Give what the original network decides."""
        if self.reference is None:
            raise BackendError(
                "a deployment file does not hold the original network", remedy="compile the model again"
            )
        return self._decisions(self.reference.run(x))

    @property
    def steps(self) -> int:
        """For which it was compiled."""
        steps = self.options.steps
        assert steps is not None
        return steps

    def _places_issues(self) -> list[Issue]:
        _, *places = self.graph.types[self.graph.outputs[0]].shape
        if math.prod(places) == 1 or self._decoder.readout in ("linear", "sigmoid"):
            return []
        problem = f"the network decides on {math.prod(places)} places of an image, and only one class is measured"
        return [Issue(problem, remedy="run it on a target, and compare what Network.estimate gives")]

    def _decisions(self, outputs: Array) -> Array:
        """Decide by the original network's outputs as by what the spiking one accumulates."""
        flat = outputs.reshape(len(outputs), -1)
        if self._decoder.readout == "argmax":
            return flat[:, 0].astype(np.int64)
        # The probability for a score of 0.
        return decide(flat - 0.5 if self._decoder.readout == "sigmoid" else flat)

    def to_torch(self, surrogate: Surrogate | None = None) -> Twin:
        """Give the same network as a PyTorch module, to be trained.

        Parameters
        ----------
        surrogate
            Whose gradients spikes have; arctan's where it is None.

        Raises
        ------
        DependencyError
            If PyTorch is not installed.
        GraphError
            With every process that PyTorch can't run.
        """
        from neurocompile.twin import Twin

        return Twin(self.graph, surrogate)

    def from_torch(self, module: torch.nn.Module) -> Network:
        """Give this network with the weights, biases, thresholds and initial membranes of a module.

        Integers are those that the module's forward pass has, so the spikes are the same. Reals are rounded so
        that their sums are exact, as the compiler's are.

        Parameters
        ----------
        module
            What ``to_torch`` made of this network, or of one of the same form.

        Raises
        ------
        DependencyError
            If PyTorch is not installed.
        DataError
            With everything about the module that does not fit, or is not finite.
        GraphError
            If real weights have become too large for exact sums.
        """
        from neurocompile.twin import trained_graph

        graph = trained_graph(self.graph, module)
        if self.options.precision == "float":
            graph = RoundWeights.of(self.options.spiking_code)(graph)
        return dataclasses.replace(self, graph=graph, conversion=None)

    def deploy(self, target: str, progress: Progress = silent) -> Deployment:
        """Make the network ready to run on a target, such as ``"lava"``.

        Raises
        ------
        BackendError
            If the target is unknown, can't be had, or can't take the network.
        """
        return Deployment(self, compile_for(target, self.graph, progress))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a deployment file: the graph, the options, what was approximated, and the compiler's version.

        Raises
        ------
        DeploymentError
            If the file can't be written; nothing is left half-written.
        """
        document, arrays = to_document(self.graph)
        archive.write(
            Path(path),
            {
                "format": _FORMAT,
                "schema": _SCHEMA,
                "compiler": version("neurocompile"),
                "options": dataclasses.asdict(self.options),
                "approximations": [dataclasses.asdict(found) for found in self.approximations],
                "synthetic": self.synthetic,
                "graph": document,
            },
            arrays,
        )


@dataclass(frozen=True)
class Deployment:
    """A network on a target; a context manager that gives back what the target holds."""

    network: Network
    executable: Executable

    def run(
        self,
        x: Array,
        *,
        steps: int | None = None,
        probes: Sequence[str] | None = None,
        progress: Progress = silent,
    ) -> Result:
        """Run images.

        Parameters
        ----------
        x
            ``(N, *shape)``.
        steps
            For which to run; as compiled where it is None.
        probes
            The processes whose spikes to record; all layers of neurons where it is None.
        progress
            Told of the images that are done.

        Raises
        ------
        DataError
            If the images do not fit the network, or for a wrong number of steps.
        BackendError
            If the target can't record what is to be probed, or fails.
        """
        x = np.asarray(x)
        steps = self.network.steps if steps is None else steps
        _require(self.network.input_issues(x), steps)
        names = tuple(self.network.neurons) if probes is None else tuple(probes)
        recordable = [node.name for node in self.network.graph.nodes if isinstance(node.op, Source)]
        unknown = [name for name in names if name not in recordable]
        if unknown:
            raise BackendError(
                f"there are no spikes of {', '.join(unknown)} to record",
                remedy=f"probe some of {', '.join(recordable)}",
            )
        recorded = len(x) * steps * sum(int(np.prod(self.network.graph.types[name].shape)) for name in names)
        if recorded > _MOST_RECORDED:
            raise DataError(
                f"the spikes of {len(x)} images over {steps} steps take {recorded / 1e9:.1f} GB",
                remedy="run fewer images at a time, or probe fewer layers",
            )
        return self.executable.run(x, steps=steps, probes=names, progress=progress)

    def run_in_parts(self, x: Array, *, progress: Progress = silent) -> Iterator[Result]:
        """Run images as compiled, with the spikes of all layers, so many at a time that these fit into memory.

        Parameters
        ----------
        x
            ``(N, *shape)``.
        progress
            Told of the images that are done.
        """
        x, steps = np.asarray(x), self.network.steps
        _require(self.network.input_issues(x), steps)
        neurons = self.network.neurons
        part = max(1, min(_PART, _PART_RECORDED // (steps * sum(neurons.values()) + 1)))
        parts = run_in_parts(self.executable, x, part, steps=steps, probes=tuple(neurons), progress=progress)
        return (result for _, result in parts)

    def close(self) -> None:
        """Give back what the target holds."""
        self.executable.close()

    def __enter__(self) -> Deployment:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def load(path: str | os.PathLike[str]) -> Network:
    """Load a deployment file.

    Raises
    ------
    DeploymentError
        If the file is missing, truncated, edited, or of a newer schema.
    """
    document, arrays = archive.read(Path(path))
    schema = document.get("schema")
    if document.get("format") != _FORMAT or not isinstance(schema, int):
        raise DeploymentError(f"{path} is no deployment of neurocompile", remedy="give a file written by -o")
    if schema > _SCHEMA:
        raise DeploymentError(
            f"{path} has schema {schema}, of neurocompile {document.get('compiler')}; this one reads {_SCHEMA}",
            remedy="update neurocompile",
        )
    graph = from_document(document.get("graph", {}), arrays)
    if not _is_compiled(graph):
        raise DeploymentError(f"{path} holds no spiking network", remedy="compile it again with -o")
    options = _options(document.get("options", {}))
    approximations = _approximations(document.get("approximations", []))
    return Network(graph, options, approximations=approximations, synthetic=bool(document.get("synthetic")))


def _is_compiled(graph: Graph) -> bool:
    ends = [node.op for node in graph.inputs] + [graph[name].op for name in graph.outputs]
    return [type(op) for op in ends] == [Encoder, Decoder] and all(isinstance(n.op, Process) for n in graph.nodes)


def _options(stored: dict[str, Any]) -> Options:
    try:
        options = Options(**stored)
        if options.code == "auto" or None in dataclasses.astuple(options):
            raise TypeError("some were left open")
        return options
    except TypeError as error:
        raise DeploymentError(
            f"the stored options are malformed ({error})", remedy="compile it again with -o"
        ) from error
    except DataError as error:
        raise DeploymentError.of(error.issues) from error


def _approximations(stored: Any) -> tuple[Approximation, ...]:
    kinds = typing.get_type_hints(Approximation)
    try:
        found = tuple(Approximation(**fields) for fields in stored)
    except TypeError:
        found = None
    if found is None or any(type(getattr(a, name)) is not kind for a in found for name, kind in kinds.items()):
        raise DeploymentError("the stored approximations are malformed", remedy="compile it again with -o")
    return found


def _require(issues: Sequence[Issue], steps: int) -> None:
    found = [*issues, *steps_issues(steps)]
    if found:
        raise DataError.of(found)
