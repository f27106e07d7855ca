"""Splits a network of Lava processes into parts that run one after another.

Each part gets what processes of earlier ones have sent, which these recorded, as it gets the encoder's stream. So
it gives what it would give within the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Layer = Sequence[dict[str, Any]]
"""The processes that stand for a receiver, as JSON holds them; the first has the paths, the last its name."""


@dataclass(frozen=True)
class Streams:
    """What the processes of a network send.

    Parameters
    ----------
    entry
        The name of the encoder.
    starts
        The step of Lava's, from 0, at which each that is received sends what is its step 0.
    shapes, files
        Of each but the encoder, for one image and step.
    types
        Of what neurons send. What else sends has values of any size, of which only events are counted.
    widest
        The type that holds all that can be sent.
    """

    entry: str
    starts: Mapping[str, int]
    shapes: Mapping[str, tuple[int, ...]]
    files: Mapping[str, str]
    types: Mapping[str, str]
    widest: str


@dataclass(frozen=True)
class Part:
    """Some layers in a row.

    Parameters
    ----------
    sources
        For each stream that comes from outside the step at which it starts.
    processes
        Their descriptions, as JSON holds them.
    total
        Steps of Lava's, by which the last process has done its own.
    """

    sources: dict[str, int]
    processes: list[dict[str, Any]]
    total: int


def split(layers: Sequence[Layer], streams: Streams, steps: int, most: int) -> Iterator[Part]:
    """Split a network, into parts as long as they can be.

    Parameters
    ----------
    layers
        Each after those that it reads.
    streams
        What they send.
    steps
        That each process does.
    most
        Processes of a part: four at least, which is what a single layer takes.
    """
    parts: list[list[Layer]] = [[]]
    for layer in layers:
        if parts[-1] and _count([*parts[-1], layer], streams) > most:
            parts.append([])
        parts[-1].append(layer)
    for number, part in enumerate(parts):
        later = {path["source"] for other in parts[number + 1 :] for path in _paths(other)}
        yield _part(part, streams, later, steps)


def _count(part: Sequence[Layer], streams: Streams) -> int:
    """Count the processes of a part, with its source and what records for later ones."""
    return 1 + sum(map(len, part)) + len(_unheard(part, streams))


def _part(layers: Sequence[Layer], streams: Streams, later: set[str], steps: int) -> Part:
    inside = _names(layers)
    received = list(dict.fromkeys(path["source"] for path in _paths(layers)))
    outside = [name for name in received if name not in inside]
    base = min(streams.starts[name] for name in outside)
    records = {
        name: {
            "name": streams.files[name],
            "type": streams.types.get(name, streams.widest if name in later else "bool"),
            "start": streams.starts[name] - base,
        }
        for name in inside
        if name in streams.files
    }
    unheard = _unheard(layers, streams)
    first = {name: records[name] for name in records if name not in unheard}
    processes = []
    for process in (process for layer in layers for process in layer):
        described = dict(process)
        if "paths" in process:
            # The first that receives what another sends records it.
            described["paths"] = [{**path, "record": first.pop(path["source"], None)} for path in process["paths"]]
        if "start" in process:
            described["start"] = process["start"] - base
        processes.append(described)
    for name in unheard:
        shape = list(streams.shapes[name])
        processes.append(
            {"kind": "record", "name": f"{name}.record", "from": name, "shape": shape, "record": records[name]}
        )
    last = max(process["start"] + process["ahead"] for process in processes if "start" in process)
    return Part({name: streams.starts[name] - base for name in outside}, processes, steps + last)


def _names(layers: Sequence[Layer]) -> list[str]:
    return [layer[-1]["name"] for layer in layers]


def _paths(layers: Sequence[Layer]) -> Iterator[Mapping[str, Any]]:
    return (path for layer in layers for path in layer[0]["paths"])


def _unheard(layers: Sequence[Layer], streams: Streams) -> list[str]:
    """List those of a part that are received in later ones only."""
    heard = {path["source"] for path in _paths(layers)}
    return [name for name in _names(layers) if name in streams.files and name not in heard]
