"""Maps a graph of processes to the cores of a chip."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from neurocompile.errors import Issue
from neurocompile.ir import Graph, Node, Op
from neurocompile.ir.paths import receivers
from neurocompile.ir.processes import Decoder, DigitNeurons, GradedNeurons, IntegrateAndFire, SpikeMaxPool
from neurocompile.mapping.boxes import Box
from neurocompile.mapping.chips import Chip
from neurocompile.mapping.footprint import RESOURCES, Footprint
from neurocompile.mapping.links import Readers, links
from neurocompile.mapping.partition import Partition, partition

_REMEDIES = {
    "input_axons": "narrow or pool the layer before it",
    "synapse_words": "choose smaller kernels or fewer channels before it, or split it into groups",
    "output_axons": "narrow the layers that read it, so that they take fewer cores",
}
"""By the resource of which a single neuron takes too much."""


@dataclass(frozen=True)
class Core:
    """A core, and what it holds.

    Parameters
    ----------
    layer
        Its name.
    box
        The layer's values that it holds.
    footprint
        What they take.
    chip, index
        Which core of which chip, from 0.
    """

    layer: str
    box: Box
    footprint: Footprint
    chip: int
    index: int


@dataclass(frozen=True)
class Layer:
    """A layer on its cores.

    Parameters
    ----------
    name, op
        Of its process.
    shape
        Of one image's values.
    extents
        Of a part along each axis.
    cores
        How many it takes.
    largest
        For each resource the most that one of the cores takes.
    bound_by
        The resource that is used most, of the core that is fullest.
    needs
        What the chip has to be taught to run it, or does not have; None if nothing.
    """

    name: str
    op: str
    shape: tuple[int, ...]
    extents: tuple[int, ...]
    cores: int
    largest: Footprint
    bound_by: str
    needs: str | None

    @property
    def neurons(self) -> int:
        """How many it has."""
        return math.prod(self.shape)

    def utilisation(self, chip: Chip) -> float:
        """Tell what share of the resource that bounds it is used, of the core that is fullest."""
        return self.largest.utilisation(chip)[self.bound_by]


@dataclass(frozen=True)
class Mapping:
    """A network on the cores of a chip, or of several.

    Parameters
    ----------
    chip
        Of which kind they are.
    layers
        In the order of the graph.
    cores
        Those of one layer follow each other, in the order of the layers.
    readers
        The paths between layers, and which values each core needs.
    violations
        Everything that does not fit.
    """

    chip: Chip
    layers: tuple[Layer, ...]
    cores: tuple[Core, ...]
    readers: tuple[Readers, ...]
    violations: tuple[Issue, ...]

    @property
    def chips(self) -> int:
        """How many it takes."""
        return -(-len(self.cores) // self.chip.cores)

    @property
    def neurons(self) -> int:
        """In all layers."""
        return sum(layer.neurons for layer in self.layers)

    def cores_of(self, layer: str) -> tuple[Core, ...]:
        """List the cores of a layer, in order."""
        return tuple(core for core in self.cores if core.layer == layer)


def map_graph(graph: Graph, chip: Chip) -> Mapping:
    """Cut every layer into parts that fit on cores, and place these.

    Input comes from the host and takes no core; the decoder's accumulators do. A core holds parts of one layer, as
    Lava's compiler has it.

    Parameters
    ----------
    graph
        Of processes. Weights that are no int8 yet count as 8 bits.
    chip
        Where it is to run.
    """
    nodes = list(receivers(graph))
    readers: dict[str, list[Readers]] = {}
    parts: dict[str, Partition] = {}
    issues: dict[str, list[Issue]] = {}
    # What reads a layer says how many cores its spikes go to.
    for node in reversed(nodes):
        into = links(graph, node)
        out = readers.get(node.name, [])
        made = partition(chip, graph.types[node.name].shape, into, out)
        parts[node.name] = made
        issues[node.name] = list(_violations(chip, node, made))
        for link in into:
            needs = tuple(link.boxes(box)[0] for box, _ in made.parts)
            readers.setdefault(link.source, []).append(Readers(link, needs))
    cores = _placed(chip, nodes, parts)
    return Mapping(
        chip,
        tuple(_layer(chip, graph, node, parts[node.name]) for node in nodes),
        tuple(cores),
        tuple(r for node in graph.nodes for r in readers.get(node.name, ())),
        tuple(issue for node in nodes for issue in issues[node.name]),
    )


def _placed(chip: Chip, nodes: Sequence[Node], parts: dict[str, Partition]) -> Iterator[Core]:
    place = 0
    for node in nodes:
        for box, footprint in parts[node.name].parts:
            yield Core(node.name, box, footprint, place // chip.cores, place % chip.cores)
            place += 1


def _layer(chip: Chip, graph: Graph, node: Node, made: Partition) -> Layer:
    taken = [footprint for _, footprint in made.parts]
    fullest = max(taken, key=lambda footprint: max(footprint.utilisation(chip).values()))
    largest = Footprint(*(max(getattr(footprint, name) for footprint in taken) for name in RESOURCES))
    shape = graph.types[node.name].shape
    extents = tuple(min(e, n) for e, n in zip(made.extents, shape, strict=True))
    kind = type(node.op).__name__
    needs = "; ".join(_needs(chip, node.op)) or None
    return Layer(node.name, kind, shape, extents, len(taken), largest, fullest.bound_by(chip), needs)


def _needs(chip: Chip, op: Op) -> Iterator[str]:
    """Say what stock Loihi neurons, with reset to zero and spikes of one bit, lack."""
    stock = isinstance(op, Decoder) or (isinstance(op, IntegrateAndFire) and op.reset == "zero" and not op.wait)
    if stock:
        return
    if chip.neuron_groups is not None:
        # Neurons of Loihi 2 are programs.
        yield "microcode"
    elif isinstance(op, SpikeMaxPool):
        yield "max pools, which the chip has not"
    elif isinstance(op, IntegrateAndFire) and not op.signed:
        yield "reset by subtraction, which the chip has not"


def _violations(chip: Chip, node: Node, made: Partition) -> Iterator[Issue]:
    kind = type(node.op).__name__
    if made.alone is not None:
        for name, share in made.alone.utilisation(chip).items():
            if share > 1:
                what, limit = name.replace("_", " "), getattr(chip, name)
                problem = (
                    f"a single neuron takes {getattr(made.alone, name)} {what}; a core of {chip.name} has {limit}"
                )
                yield Issue(problem, node.name, kind, _REMEDIES[name])
    signed = isinstance(node.op, IntegrateAndFire) and node.op.signed
    if "digit" not in chip.codes and (signed or isinstance(node.op, DigitNeurons | GradedNeurons)):
        problem = f"sends more than spikes of one bit, and {chip.name} sends no others"
        yield Issue(problem, node.name, kind, "choose --code rate --reset zero, or --chip loihi2")
