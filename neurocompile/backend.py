"""What a backend is, and how one is found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import ClassVar, Protocol

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
    """

    events: int
    synaptic_operations: int


def measure_activity(graph: Graph, spikes: Mapping[str, Array]) -> dict[str, Activity]:
    """Count the events of recorded streams ``(B, T, *shape)`` and the synapses that they drove."""
    synapses = fan_out(graph)
    activity = {}
    for name, stream in spikes.items():
        events = np.count_nonzero(stream, axis=(0, 1))
        activity[name] = Activity(int(events.sum()), int((events * synapses.get(name, 0)).sum()))
    return activity


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
    """

    potentials: Array
    activity: Mapping[str, Activity]
    spikes: Mapping[str, Array]
    seconds: float

    @property
    def decisions(self) -> Array:
        """The class decided on at each step: ``(B, T)``; the first of equals."""
        decided: Array = np.argmax(self.potentials.reshape(*self.potentials.shape[:2], -1), axis=2)
        return decided


class Executable(Protocol):
    """A graph of processes, ready to run on a target."""

    def run(self, x: Array, *, steps: int, probes: Sequence[str] = (), progress: Progress = silent) -> Result:
        """Run images ``(B, *shape)`` for a number of steps; ``probes`` name the processes to record."""

    def close(self) -> None:
        """Give back what it holds. No run is possible afterwards."""


class Backend(Protocol):
    """A target that runs graphs of processes."""

    name: ClassVar[str]

    def check(self, graph: Graph) -> Sequence[Issue]:
        """Tell every reason why this target can't take the graph."""

    def compile(self, graph: Graph, progress: Progress = silent) -> Executable:
        """Make the graph ready to run; raise ``BackendError`` if the target can't be had."""


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
