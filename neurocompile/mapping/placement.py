"""Where the cores lie: the floor plan, and the way of a spike."""

from __future__ import annotations

from itertools import groupby

from neurocompile.mapping.chips import Chip
from neurocompile.mapping.mapper import Core, Mapping


def position(chip: Chip, core: Core) -> tuple[int, int]:
    """Give a core's tile, from the west and from the north, of a chip whose mesh is published.

    Cores are numbered tile by tile, row by row. Chips are taken to lie in a row from west to east.
    """
    assert chip.mesh is not None
    columns, _, cores = chip.mesh
    row, column = divmod(core.index // cores, columns)
    return core.chip * columns + column, row


def hops(chip: Chip, source: Core, target: Core) -> tuple[int, int]:
    """Count the tiles that a spike crosses from one core to another, east to west and north to south."""
    (x0, y0), (x1, y1) = position(chip, source), position(chip, target)
    return abs(x1 - x0), abs(y1 - y0)


def floor_plan(mapping: Mapping) -> list[list[tuple[str, int, int]]]:
    """Give, for each chip, the layers on it, each with its first and its last core."""
    plan: list[list[tuple[str, int, int]]] = [[] for _ in range(mapping.chips)]
    for (chip, layer), cores in groupby(mapping.cores, key=lambda core: (core.chip, core.layer)):
        indices = [core.index for core in cores]
        plan[chip].append((layer, indices[0], indices[-1]))
    return plan
