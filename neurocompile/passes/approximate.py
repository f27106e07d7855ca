"""Makes piecewise linear functions of smooth ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from neurocompile.errors import GraphError, Issue
from neurocompile.ir import Array, Graph, Node, run
from neurocompile.ir.layers import Add, Affine, Choose, Function, Identity, Input, Multiply, ReLU
from neurocompile.passes.base import Fidelity, Rewriter
from neurocompile.passes.piecewise import fit
from neurocompile.passes.ramps import add_lines

TOLERANCE = 0.01
"""The largest error of an approximation, relative to the difference between its largest value and its smallest.

A rate over 64 steps, the default, is known to half a spike, which is about as much.
"""

_NARROWEST = 0.01
"""Of the larger end of a range: the least width in which a function of an input that hardly varies is fitted."""


@dataclass(frozen=True)
class Region:
    """Nodes that compute one function of one value, element by element.

    Parameters
    ----------
    input
        The name of the value.
    nodes
        In order; the last one gives the result.
    shape
        Of the value for an image.
    """

    input: str
    nodes: tuple[Node, ...]
    shape: tuple[int, ...]

    @property
    def node(self) -> str:
        """The name of the node that gives the result."""
        return self.nodes[-1].name

    @property
    def function(self) -> str:
        """The function's name; ``product`` where it is made of several."""
        op = self.nodes[-1].op
        return op.name if isinstance(op, Function) else "product"

    @cached_property
    def _graph(self) -> Graph:
        return Graph.of([Node(self.input, Input((1,) * len(self.shape))), *self.nodes], [self.node])

    def __call__(self, x: Array) -> Array:
        """Compute the function for values ``(n,)``."""
        images = x.reshape(-1, *[1] * len(self.shape))
        return run(self._graph, {self.input: images})[self.node].reshape(-1)


@dataclass(frozen=True)
class Approximation:
    """What a function became.

    Parameters
    ----------
    node
        That gave the function's result, and gives the approximation's now.
    function
        Its name, or ``product``.
    low, high
        The range of inputs in which it was fitted.
    segments
        The straight lines, without level ones; each takes a neuron for every value.
    error
        The largest in that range.
    relative_error
        The same, relative to the difference between the largest value in the range and the smallest.
    """

    node: str
    function: str
    low: float
    high: float
    segments: int
    error: float
    relative_error: float


@dataclass(frozen=True)
class Approximate:
    """Replace every ``Function``, ``Multiply`` and ``Choose`` by straight lines: ramps made of clipped ReLUs.

    The ramps of a value are channels of one layer. A neuron is at its threshold at the end of its ramp, where it
    can't fire more often: clipping costs nothing.

    A product or choice can only be replaced where it is a function of one value: a SiLU that was exported as
    ``x * sigmoid(x)``, a square. What is computed on the way to it goes too, unless something else reads it.

    Parameters
    ----------
    ranges
        For the input of each of ``regions``, by name, the smallest value and the largest that it has.
    tolerance
        The largest error, relative to the difference between the largest value in the range and the smallest.
    samples
        For the inputs of regions some of their values: where there are many, the error is made small.
    """

    fidelity: ClassVar[Fidelity] = "approximate"
    ranges: Mapping[str, tuple[float, float]]
    tolerance: float = TOLERANCE
    samples: Mapping[str, Array] = field(default_factory=dict)

    def __call__(self, graph: Graph) -> Graph:  # noqa: D102
        return self.rewrite(graph)[0]

    def rewrite(self, graph: Graph) -> tuple[Graph, tuple[Approximation, ...]]:
        """Give the new graph, and what was approximated.

        Raises
        ------
        GraphError
            With every product of values that are both computed, or with every function that is not finite or not
            continuous in its range.
        """
        rewriter = Rewriter(graph)
        done, issues = [], []
        for region in regions(graph):
            low, high = _widened(*self.ranges[region.input])
            try:
                found = fit(region, low, high, self.tolerance, self.samples.get(region.input))
            except GraphError as error:
                op = type(region.nodes[-1].op).__name__
                remedy = "keep its input away from there in the model, by a Clip before it"
                issues.append(Issue(error.issues[0].problem, region.node, op, remedy))
                continue
            if found.relative_error > self.tolerance:
                op = type(region.nodes[-1].op).__name__
                problem = f"jumps: straight lines are {found.relative_error:.0%} of its span beside it"
                issues.append(Issue(problem, region.node, op, "use a continuous function"))
                continue
            add_lines(rewriter, region.node, region.input, region.shape, found.lines)
            segments = len(found.lines.ramps)
            errors = (found.error, found.relative_error)
            done.append(Approximation(region.node, region.function, low, high, segments, *errors))
        if issues:
            raise GraphError.of(issues)
        return rewriter.graph(), tuple(done)


def regions(graph: Graph) -> tuple[Region, ...]:
    """Find what is to be approximated, in order.

    Raises
    ------
    GraphError
        With every product of values that are both computed.
    """
    found, issues = [], []
    needed = set(graph.outputs)
    # From the end: what only a region needs is part of that region.
    for node in reversed(graph.nodes):
        if node.name not in needed:
            continue
        region = _region(graph, node)
        if region is not None:
            found.append(region)
            needed.add(region.input)
            continue
        if isinstance(node.op, Multiply | Choose):
            done = "multiplies two values" if isinstance(node.op, Multiply) else "chooses between values"
            remedy = "leave the gate or attention out of the model, or multiply by a constant"
            issues.append(Issue(f"{done} that are both computed", node.name, type(node.op).__name__, remedy))
        needed.update(node.inputs)
    if issues:
        raise GraphError.of(issues[::-1])
    return tuple(reversed(found))


def _region(graph: Graph, node: Node) -> Region | None:
    """Walk back to the nearest value of which a function or product is a function, if there is one."""
    if not isinstance(node.op, Function | Multiply | Choose):
        return None
    place = {n.name: i for i, n in enumerate(graph.nodes)}
    inside = [node]
    frontier = set(node.inputs)
    while len(frontier) > 1:
        # None of the others depends on the last one, so the value looked for is not behind them but before it.
        last = graph[max(frontier, key=place.__getitem__)]
        if not _is_pointwise(last):
            return None
        inside.append(last)
        frontier.remove(last.name)
        frontier.update(last.inputs)
    (source,) = frontier
    return Region(source, tuple(inside[::-1]), graph.types[source].shape)


def _is_pointwise(node: Node) -> bool:
    op = node.op
    if isinstance(op, Affine):
        return op.scale.size == op.shift.size == 1
    if isinstance(op, ReLU):
        return op.ceiling.size == 1
    return isinstance(op, Function | Multiply | Choose | Add | Identity)


def _widened(low: float, high: float) -> tuple[float, float]:
    least = _NARROWEST * max(abs(low), abs(high)) or 1.0
    missing = max(0.0, least - (high - low)) / 2
    return low - missing, high + missing
