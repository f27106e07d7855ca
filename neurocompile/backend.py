"""What a backend is, and how one is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from neurocompile.errors import BackendError, Issue
from neurocompile.ir import Array, Graph
from neurocompile.ir.fan_out import fan_out

GROUP = "neurocompile.backends"
"""The entry-point group in which distributions announce their backends."""

Progress = Callable[[str, int, int], None]
"""Told what is being done, and how much of how much is."""


def silent(doing: str, done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Activity:
    """What one source of spikes did during a run.

    Parameters
    ----------
    events
        Values other than 0 that it sent, over all images and steps.
    synaptic_operations
        The synapses that these events drove.
    by_neuron
        The events of each neuron, in the layer's shape.
    """

    events: int
    synaptic_operations: int
    by_neuron: Array = field(compare=False, repr=False)

    def __add__(self, other: Activity) -> Activity:
        return Activity(
            self.events + other.events,
            self.synaptic_operations + other.synaptic_operations,
            self.by_neuron + other.by_neuron,
        )


def measure_activity(graph: Graph, events: Mapping[str, Array]) -> dict[str, Activity]:
    """Count events and the synapses that they drove.

    Parameters
    ----------
    graph
        Of processes.
    events
        For each source how many each of its values had, in its shape.
    """
    synapses = fan_out(graph)
    return {
        name: Activity(int(count.sum()), int((count * synapses.get(name, 0)).sum()), count)
        for name, count in events.items()
    }


def total_activity(parts: Sequence[Mapping[str, Activity]]) -> dict[str, Activity]:
    """Add up the activity of several runs of one graph."""
    first, *rest = parts
    return {name: sum((part[name] for part in rest), start=first[name]) for name in first}


def decide(scores: Array) -> Array:
    """Decide on a class by scores ``(..., outputs)``.

    Several outputs are for one class each, and the first of the largest wins; a single one tells class 1 from
    class 0 by its sign, as trained with a sigmoid behind it.
    """
    decided: Array = scores[..., 0] > 0 if scores.shape[-1] == 1 else np.argmax(scores, axis=-1)
    return decided.astype(np.int64)


@dataclass(frozen=True)
class Result:
    """What a run gave.

    Parameters
    ----------
    potentials
        The decoder's stream ``(B, T, outputs)``: what it has accumulated by each step.
    activity
        For the encoder and each layer of neurons.
    spikes
        For each probed process its stream ``(B, T, *shape)``.
    seconds
        The time that the run took.
    by_reference
        The processes that the target has no way of its own for, and left to their reference semantics.
    """

    potentials: Array
    activity: Mapping[str, Activity]
    spikes: Mapping[str, Array]
    seconds: float
    by_reference: tuple[str, ...] = ()

    @property
    def decisions(self) -> Array:
        """The class decided on at each step: ``(B, T)``."""
        return decide(self.potentials.reshape(*self.potentials.shape[:2], -1))


class Executable(Protocol):
    """A graph of processes, ready to run on a target."""

    def run(
        self, x: Array, *, steps: int, probes: Sequence[str] = (), first: int = 0, progress: Progress = silent
    ) -> Result:
        """Run images.

        Parameters
        ----------
        x
            ``(B, *shape)``.
        steps
            T.
        probes
            The processes to record.
        first
            The index of ``x[0]`` in the data set: Poisson spikes depend on it, and on nothing else.
        progress
            Told of the images that are done.
        """

    def close(self) -> None:
        """Give back what it holds. No run is possible afterwards."""


class Backend(Protocol):
    """A target that runs graphs of processes."""

    name: ClassVar[str]

    precision: ClassVar[Literal["float", "int8"]]
    """What the target is for: the command line's default."""

    codes: ClassVar[tuple[str, ...]]
    """Those whose neurons it runs, as ``Options.code`` names them."""

    stock: ClassVar[bool]
    """Whether its neurons are Lava's stock ones: with one threshold a layer, and no spikes that are taken back."""

    def check(self, graph: Graph) -> Sequence[Issue]:
        """Tell every reason why this target can't take the graph."""

    def compile(self, graph: Graph, progress: Progress = silent) -> Executable:
        """Make the graph ready to run; raise ``BackendError`` if the target can't be had."""


_python: ContextVar[Path | None] = ContextVar("python", default=None)


@contextmanager
def use_python(python: Path | None) -> Iterator[None]:
    """Let targets that run in a Python of their own take this one, or the one that they find where it is None."""
    before = _python.set(python)
    try:
        yield
    finally:
        _python.reset(before)


def chosen_python() -> Path | None:
    """Give the Python that ``use_python`` names."""
    return _python.get()


@dataclass(frozen=True)
class Runtime:
    """The Python of its own that a target runs in.

    Parameters
    ----------
    python, version
        The executable and its version; None where there is none.
    named_by
        What tells to take it: an option, an environment variable, or who made it.
    made
        The folders that were made for it, those of earlier versions too, with their sizes in bytes.
    issue
        Why the target can't run; None if it can.
    """

    python: Path | None
    version: str | None
    named_by: str | None
    made: Mapping[Path, int]
    issue: Issue | None


@runtime_checkable
class RuntimeManager(Protocol):
    """A backend whose target runs in a Python of its own, which it can make."""

    def runtime(self) -> Runtime:
        """Look at the runtime, and change nothing."""

    def make_runtime(self, progress: Progress) -> Runtime:
        """Make the runtime if there is none; raise ``BackendError`` if it can't be had."""

    def remove_runtime(self, progress: Progress) -> Sequence[Path]:
        """Remove all that was made, nothing else, and tell which folders these were."""


@runtime_checkable
class Bundler(Protocol):
    """A backend that can write a network to a folder which runs on another machine, without the compiler."""

    def bundle(self, graph: Graph, steps: int, folder: Path, x: Array | None) -> None:
        """Write the folder whole or not at all, with images if there are any.

        Raises
        ------
        BackendError
            If the network can't be run so.
        DeploymentError
            If the folder can't be written.
        """


def run_in_parts(
    executable: Executable,
    x: Array,
    part: int,
    *,
    steps: int,
    probes: Sequence[str] = (),
    progress: Progress = silent,
) -> Iterator[tuple[int, Result]]:
    """Run so many images at a time, which bounds the memory; the results do not depend on how many.

    Yields
    ------
    int, Result
        The index of the part's first image, and what the part gave.
    """
    for start in range(0, len(x), part):
        images = x[start : start + part]

        def on_progress(doing: str, done: int, _: int, start: int = start) -> None:
            progress(doing, start + done, len(x))

        yield start, executable.run(images, steps=steps, probes=probes, first=start, progress=on_progress)


def names() -> list[str]:
    """List the installed backends."""
    return sorted(entry.name for entry in entry_points(group=GROUP))


def find(name: str) -> Backend:
    """Load a backend.

    Raises
    ------
    BackendError
        If none of that name is installed.
    """
    for entry in entry_points(group=GROUP, name=name):
        backend: Backend = entry.load()()
        return backend
    raise BackendError(f"there is no target '{name}'", remedy=f"choose one of {', '.join(names())}")


def compile_for(name: str, graph: Graph, progress: Progress = silent) -> Executable:
    """Find a backend, check that it takes the graph, and make the graph ready to run on it.

    Raises
    ------
    BackendError
        With every reason why the target can't take the graph.
    """
    backend = find(name)
    issues = list(backend.check(graph))
    if issues:
        raise BackendError.of(issues)
    return backend.compile(graph, progress)
