"""What would become of a network, told before anything runs."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from threadpoolctl import threadpool_limits

from neurocompile import backend
from neurocompile.errors import DataError, GraphError, Issue, NeurocompileError
from neurocompile.frontends.onnx_file import OnnxFile
from neurocompile.frontends.onnx_reader import inspect
from neurocompile.ir import Graph, kernels
from neurocompile.ir.codes import Code
from neurocompile.ir.kernels import Window
from neurocompile.ir.layers import BatchNorm, Conv, Linear
from neurocompile.ir.processes import IntegrateAndFire, Neurons, Reset, ScaleSynapses, Synapses
from neurocompile.mapping import ChipName, Mapping, find, map_graph
from neurocompile.options import CodeName, Options
from neurocompile.parallel import cores
from neurocompile.passes import pipeline
from neurocompile.passes.approximate import TOLERANCE, Approximate, Region, regions
from neurocompile.passes.outline import outlined_processes
from neurocompile.passes.piecewise import fit
from neurocompile.passes.split_readout import split_readout

_USUAL_RANGES = ((-8.0, 8.0), (1.0, 8.0))
"""Of what activations receive, where no images tell; the second for functions that are not defined below 0."""

_BASE_BYTES = 260 << 20
_CHUNK_BYTES = 32 << 20
"""What Python and its libraries take, Numba among them, and what the simulator gives each thread at least."""


@dataclass(frozen=True)
class Approximated:
    """A node that is converted with an error.

    Parameters
    ----------
    node
        Its name.
    function
        What it computes.
    tolerance
        The largest error, relative to the difference between the function's largest and smallest value.
    segments
        Straight lines, each of which takes a neuron for every value; as many as the usual range of inputs needs.
    """

    node: str
    function: str
    tolerance: float
    segments: int


@dataclass(frozen=True)
class Size:
    """How large the spiking network is.

    Parameters
    ----------
    layers
        Of neurons.
    neurons
        In all.
    synapses
        Weights that are stored; a convolution's are shared.
    multiplications
        For an image and step, as the NumPy simulator computes them.
    """

    layers: int
    neurons: int
    synapses: int
    multiplications: int


@dataclass(frozen=True)
class Check:
    """What is known of a conversion before anything runs.

    Parameters
    ----------
    target
        The backend that was asked.
    issues
        What keeps the network from being converted, or from running on the target.
    approximations
        The nodes that are converted with an error.
    parameters
        Trained weights, biases and gains of the network.
    size
        Of the spiking network; None if it can't be converted.
    memory_bytes, seconds
        What the NumPy simulator is estimated to take for ``images`` images over ``steps`` steps on this machine;
        None likewise.
    images, steps
        See above.
    mapping
        To the cores of the chip that was asked for; None if none was, or the network can't be converted.
    """

    target: str
    issues: tuple[Issue, ...]
    approximations: tuple[Approximated, ...]
    parameters: int
    size: Size | None
    memory_bytes: int | None
    seconds: float | None
    images: int
    steps: int
    mapping: Mapping | None = None

    @property
    def converts(self) -> bool:
        """Whether nothing keeps the network from running on the target."""
        return not self.issues


def check(
    model: str | os.PathLike[str],
    target: str = "numpy",
    *,
    code: CodeName | Literal["auto"] = "auto",
    steps: int | None = None,
    images: int = 1000,
    chip: ChipName | None = None,
) -> Check:
    """Tell what would become of a network, without images and before anything runs.

    Parameters
    ----------
    model
        An ONNX file.
    target
        Where the spiking network is to run.
    code, steps
        As in ``Options``.
    images
        For which memory and time are estimated.
    chip
        On whose cores the network is to fit: ``loihi1`` or ``loihi2``; None for any. For ``loihi1`` the rate code
        has reset to zero, which is what its neurons do.

    Raises
    ------
    ModelError
        If the file can't be read at all.
    BackendError
        If there is no such target.
    DataError
        If steps or images are no such numbers, or there is no such chip.
    """
    chosen = backend.find(target)
    issues = [Issue(f"images={images} is less than 1", remedy="choose 1 or more")] if images < 1 else []
    try:
        wanted = None if chip is None else find(chip)
    except DataError as error:
        issues += error.issues
    stock = chip == "loihi1" and code in ("auto", "rate")
    try:
        reset: Reset = "zero" if stock else "subtract"
        options = Options(code=code, steps=steps, reset=reset, precision=chosen.precision, target=target)
        spiking = options.resolved(chosen.codes, stock=chosen.stock).spiking_code
    except DataError as error:
        raise DataError.of([*error.issues, *issues]) from None
    if issues:
        raise DataError.of(issues)
    steps = spiking.steps
    inspected = inspect(OnnxFile.read(model))
    issues += inspected.issues
    if inspected.graph is None:
        return Check(target, tuple(issues), (), 0, None, None, None, images, steps)
    found = _Conversion(inspected.graph, spiking, complete=not issues)
    issues += found.issues
    size = memory = seconds = mapping = None
    if found.processes is not None and not issues:
        if wanted is not None:
            mapping = map_graph(found.processes, wanted)
            issues += mapping.violations
        issues += chosen.check(found.processes)
        size = _size(found.processes)
        memory, seconds = _memory(found.processes, steps), _seconds(size, images, steps)
    return Check(
        target,
        tuple(issues),
        found.approximations,
        _parameters(inspected.graph),
        size,
        memory,
        seconds,
        images,
        steps,
        mapping,
    )


class _Conversion:
    """Takes a network's outline through the passes, and collects what each has to say of it.

    Parameters
    ----------
    graph
        Of layers.
    code
        Of the neurons.
    complete
        Whether all of the network was imported; what stands in for the rest is not lowered.
    """

    def __init__(self, graph: Graph, code: Code, *, complete: bool) -> None:
        self.code = code
        self.issues: list[Issue] = []
        self.approximations: tuple[Approximated, ...] = ()
        self.processes: Graph | None = None
        try:
            graph, _ = split_readout(graph)
        except GraphError as error:
            self.issues += error.issues
        for step in pipeline.STRAIGHTEN:
            graph = step(graph)
        try:
            found = regions(graph)
        except GraphError as error:
            self.issues += error.issues
            return
        self.approximations = tuple(_approximated(region) for region in found)
        if self.issues or not complete:
            return
        try:
            self.processes = self._lower(graph, found)
        except NeurocompileError as error:
            self.issues += error.issues

    def _lower(self, graph: Graph, found: tuple[Region, ...]) -> Graph:
        ranges = {region.input: _usual_range(region) for region in found}
        return outlined_processes(Approximate(ranges)(graph), self.code)


def _approximated(region: Region) -> Approximated:
    low, high = _usual_range(region)
    try:
        segments = len(fit(region, low, high, TOLERANCE).lines.ramps)
    except GraphError:
        segments = 0
    return Approximated(region.node, region.function, TOLERANCE, segments)


def _usual_range(region: Region) -> tuple[float, float]:
    for low, high in _USUAL_RANGES:
        if np.isfinite(region(np.linspace(low, high, 100))).all():
            return low, high
    return _USUAL_RANGES[-1]


def _parameters(graph: Graph) -> int:
    return sum(_count(node.op) for node in graph.nodes)


def _count(op: object) -> int:
    if isinstance(op, Conv | Linear):
        return op.weight.size + (op.bias.size if np.any(op.bias) else 0)
    return op.scale.size + op.shift.size if isinstance(op, BatchNorm) else 0


def _size(graph: Graph) -> Size:
    neurons = [math.prod(graph.types[n.name].shape) for n in graph.nodes if isinstance(n.op, Neurons)]
    synapses = sum(node.op.weight.size for node in graph.nodes if isinstance(node.op, Synapses))
    return Size(len(neurons), sum(neurons), synapses, sum(_multiplications(graph).values()))


def _multiplications(graph: Graph) -> dict[str, int]:
    """Count, for each node with weights, the multiplications for an image and step."""
    found = {}
    for node in graph.nodes:
        op, shape = node.op, graph.types[node.name].shape
        if isinstance(op, ScaleSynapses):
            found[node.name] = math.prod(shape)
        elif isinstance(op, Synapses):
            found[node.name] = op.weight.size * math.prod(shape[1:])
    return found


def _memory(graph: Graph, steps: int) -> int:
    """Estimate the NumPy simulator's peak: the weights as read and as reals, and the streams of all threads."""
    weights = sum(node.op.weight.size for node in graph.nodes if isinstance(node.op, Synapses))
    largest = max(math.prod(t.shape) for t in graph.types.values())
    # Spikes, and lists of them, of a layer and of what it reads.
    streams = cores() * max(_CHUNK_BYTES, 4 * largest * steps)
    return _BASE_BYTES + 24 * weights + streams


def _seconds(size: Size, images: int, steps: int) -> float:
    """Estimate the NumPy simulator's time at most: that of one without events, by a convolution here."""
    x, weight = np.ones((2, 16, 28, 28)), np.ones((32, 16, 3, 3))
    window = Window((3, 3))
    multiplications = x.shape[0] * weight.size * 26 * 26
    one = np.ones(1)
    neurons = IntegrateAndFire(one, one, one)
    with threadpool_limits(1, "blas"):
        multiplying = _processor_time(lambda: kernels.conv(x, weight, window, 1)) / multiplications
        firing = _processor_time(lambda: neurons.run(x[None])) / x.size
    work = size.multiplications * multiplying + size.neurons * firing
    return images * steps * work / cores()


def _processor_time(work: Callable[[], object]) -> float:
    """Time a piece of work in seconds of one core, whatever else the machine does."""
    times = []
    for _ in range(5):
        began = time.thread_time()
        work()
        times.append(time.thread_time() - began)
    return min(times)
