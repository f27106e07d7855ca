"""A graph of processes as a PyTorch module."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from neurocompile.errors import GraphError, Issue
from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.processes import (
    ConvSynapses,
    CurrentSum,
    Decoder,
    DigitNeurons,
    Encoder,
    GradedNeurons,
    IntegrateAndFire,
    LinearSynapses,
    PoolSynapses,
    Process,
    ReshapeSynapses,
    ScaleSynapses,
    SpikeMaxPool,
    WireSynapses,
)
from neurocompile.losses import Activity
from neurocompile.twin.coding import DecoderTwin, encoded, numbers
from neurocompile.twin.neurons import DigitTwin, GradedTwin, IntegrateAndFireTwin, NeuronsTwin, PoolOfSpikesTwin
from neurocompile.twin.surrogates import Surrogate
from neurocompile.twin.synapses import (
    ConvTwin,
    LinearTwin,
    PoolTwin,
    ReshapeTwin,
    ScaleTwin,
    SumTwin,
    WeightedTwin,
    WireTwin,
)
from neurocompile.twin.windows import CONVOLUTIONS

_CONNECTIONS: dict[type[Process], Callable[[Any], nn.Module]] = {
    ConvSynapses: ConvTwin,
    CurrentSum: SumTwin,
    Decoder: DecoderTwin,
    LinearSynapses: LinearTwin,
    PoolSynapses: PoolTwin,
    ReshapeSynapses: ReshapeTwin,
    ScaleSynapses: ScaleTwin,
    SpikeMaxPool: PoolOfSpikesTwin,
    WireSynapses: WireTwin,
}

_TRAINED = (WeightedTwin, NeuronsTwin, DecoderTwin)

_NEURONS: dict[type[Process], Callable[[Any, Surrogate], nn.Module]] = {
    DigitNeurons: DigitTwin,
    GradedNeurons: GradedTwin,
    IntegrateAndFire: IntegrateAndFireTwin,
}


@dataclass(frozen=True, eq=False)
class Traces:
    """What a network did with a batch of B images in T steps; gradients flow through all but the potentials.

    Parameters
    ----------
    potentials
        What the decoder has accumulated by each step, ``(B, T, *outputs)`` in float64.
    output
        What each step adds to the scores, likewise; the mean over T is what the network answers.
    spikes
        Of each layer of neurons, by its name: ``(B, T, *shape)``. Messages are whole numbers.
    membranes
        Likewise, when it is decided on a spike, in thresholds; of none unless these were asked for.
    largest
        The message that stands for a threshold, of each layer; 1 of spikes.
    """

    potentials: Tensor
    output: Tensor
    spikes: Mapping[str, Tensor]
    membranes: Mapping[str, Tensor]
    largest: Mapping[str, int]

    @property
    def scores(self) -> Tensor:
        """One for each class, ``(B, C)``: a single output tells class 1 from class 0 by its sign."""
        return self._classes.mean(dim=1)

    def activity(self, targets: Tensor | None = None, mask: Tensor | None = None) -> Activity:
        """Give it as the losses read it: a message is the share of a threshold that it stands for.

        Parameters
        ----------
        targets
            The class of each image, ``(B,)``.
        mask
            Which steps are valid, ``(B, T)``; None stands for all.
        """
        shares = {
            name: stream if self.largest[name] == 1 else stream / self.largest[name]
            for name, stream in self.spikes.items()
        }
        return Activity(shares, self.membranes, self._classes, targets, mask)

    @property
    def _classes(self) -> Tensor:
        flat = self.output.flatten(2) if self.output.dim() > 2 else self.output[..., None]
        return torch.cat([torch.zeros_like(flat), flat], dim=2) if flat.shape[2] == 1 else flat


class Twin(nn.Module):
    """A compiled network in PyTorch: the same neurons, with surrogate gradients.

    Weights, biases, thresholds and what membranes start with are trained. In a graph of Loihi's integers these are
    rounded in the forward pass, and straight through backwards. In float64, as it is made, its spikes are those of
    the NumPy engine: on integers always, on reals as the compiler rounds them. In float32 they are the same where
    all sums of integers are below 2 ** 24.

    Parameters
    ----------
    graph
        Of processes.
    surrogate
        Whose gradients spikes have.

    Raises
    ------
    GraphError
        With every node that has no twin, or holds integers beyond Loihi's widths.
    """

    def __init__(self, graph: Graph, surrogate: Surrogate | None = None) -> None:
        super().__init__()
        self.graph = graph
        issues = list(_unknown(graph))
        if issues:
            raise GraphError.of(issues)
        chosen = Surrogate() if surrogate is None else surrogate
        # Names of nodes may have dots in them, which names of modules must not.
        self._names = [node.name for node in graph.nodes if not isinstance(node.op, Encoder)]
        self.processes = nn.ModuleList(_twin(graph[name], chosen) for name in self._names)
        issues = list(self._changed())
        if issues:
            raise GraphError.of(issues)

    def encode(self, images: Tensor | Array, steps: int, first: int = 0) -> Tensor:
        """Encode images ``(B, *shape)`` as what the network takes, ``(B, T, *shape)``, on the module's device.

        Parameters
        ----------
        images
            As the network takes them.
        steps
            T.
        first
            The index of ``images[0]`` in the data set, of which Poisson spikes depend.
        """
        encoder = self.graph.inputs[0].op
        assert isinstance(encoder, Encoder)
        return encoded(encoder, images, steps, first, next(self.parameters()))

    @property
    def spells(self) -> bool:
        """Whether there are neurons, and all send digits."""
        return {type(each) for each in self.processes if isinstance(each, NeuronsTwin)} == {DigitTwin}

    def forward(self, stream: Tensor, *, membranes: bool = False, at_once: bool = False) -> Traces:
        """Run a network.

        Parameters
        ----------
        stream
            ``(B, T, *shape)`` of any real type, such as ``encode`` gives, or one of one's own.
        membranes
            Whether to record these too, for a loss that reads them.
        at_once
            Whether to pass on the whole numbers that digits spell, in one step, instead of T digits: nearly the
            same network in a T-th of the time, without what digits get wrong that were decided on too early.
            Spikes are then messages ``(B, 1, *shape)``, and no membranes are recorded.

        Raises
        ------
        GraphError
            If the stream does not fit, or other neurons than those of digits are to run at once.
        """
        entry = self.graph.inputs[0].name
        shape = self.graph.types[entry].shape
        if not isinstance(stream, Tensor):
            problem = f"the stream is a {type(stream).__name__}"
            raise GraphError(problem, entry, remedy="give a tensor, such as torch.as_tensor makes of an array")
        if stream.dim() < 2 or tuple(stream.shape[2:]) != shape or not stream.numel():
            expected = ", ".join(("B", "T", *map(str, shape)))
            raise GraphError(
                f"the stream has the shape {tuple(stream.shape)}; the network takes ({expected})",
                entry,
                remedy="give what Twin.encode makes of images",
            )
        if at_once and not self.spells:
            raise GraphError("not all neurons send digits", remedy="run it step by step")
        digits = stream.shape[1]
        sent = stream.to(next(self.parameters()).dtype)
        values = {entry: numbers(sent) if at_once else sent}
        spikes: dict[str, Tensor] = {}
        recorded: dict[str, Tensor | None] = {}
        largest: dict[str, int] = {}
        for name, process in self._named():
            inputs = [values[i] for i in self.graph[name].inputs]
            if at_once and isinstance(process, DigitTwin):
                (current,) = inputs
                spikes[name] = process.at_once(current, digits)
                values[name], largest[name] = spikes[name], 2**digits
            elif isinstance(process, NeuronsTwin):
                spikes[name], recorded[name] = process(*inputs, membranes=membranes)
                values[name], largest[name] = spikes[name], process.largest
            elif isinstance(process, DecoderTwin):
                potentials, output = process(*inputs, digits=digits if at_once else None)
            else:
                values[name] = process(*inputs)
        held = {name: membrane for name, membrane in recorded.items() if membrane is not None}
        return Traces(potentials, output, spikes, held, largest)

    def fields(self) -> dict[str, dict[str, Tensor]]:
        """Give what is trained as the processes have it now: for each node its fields, without gradients."""
        with torch.no_grad():
            return {name: each.fields() for name, each in self._named() if isinstance(each, _TRAINED)}

    def _named(self) -> Iterator[tuple[str, nn.Module]]:
        return zip(self._names, self.processes, strict=True)

    def _changed(self) -> Iterator[Issue]:
        """Name the fields that a process has otherwise than in the graph."""
        for name, fields in self.fields().items():
            op = self.graph[name].op
            for field, now in fields.items():
                if not torch.equal(now, torch.tensor(getattr(op, field), dtype=torch.float64)):
                    yield Issue(
                        f"its {field} is beyond Loihi's widths, or not above 0",
                        name,
                        type(op).__name__,
                        "compile the network again",
                    )


def _twin(node: Node, surrogate: Surrogate) -> nn.Module:
    kind = type(node.op)
    assert issubclass(kind, Process)
    return _NEURONS[kind](node.op, surrogate) if kind in _NEURONS else _CONNECTIONS[kind](node.op)


def _unknown(graph: Graph) -> Iterator[Issue]:
    for node in graph.nodes:
        op, name = node.op, type(node.op).__name__
        if type(op) not in {Encoder, *_CONNECTIONS, *_NEURONS}:
            yield Issue("has no twin in PyTorch", node.name, name, "give a compiled network")
        elif isinstance(op, ConvSynapses) and len(op.window.kernel) not in CONVOLUTIONS:
            problem = f"PyTorch has no convolutions over {len(op.window.kernel)} axes"
            yield Issue(problem, node.name, name, "use 1 to 3 axes")
    ends = [type(graph[name].op) for name in graph.outputs]
    if ends != [Decoder] or [type(node.op) for node in graph.inputs] != [Encoder]:
        yield Issue("is no network from one encoder to one decoder", remedy="give a compiled network")
