"""Networks of more processes than Lava starts: they run in parts, with the spikes of the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conformance.networks import (
    Builder,
    Network,
    compiled,
    deep,
    dense_block,
    images,
    pool_of_currents,
    pool_of_spikes,
    residual,
    two_shortcuts,
)
from neurocompile_lava import plan
from neurocompile_lava.backend import LavaBackend, LavaExecutable

from neurocompile.backend import compile_for
from neurocompile.ir import Array, Graph
from neurocompile.ir.layers import Add
from neurocompile.ir.processes import Neurons
from neurocompile.options import Options

INT8: dict[str, Any] = {"precision": "int8"}


def of_many_layers(count: int) -> Graph:
    """A network with a shortcut around every third layer."""
    b = Builder(6)
    for number in range(count):
        before = b.nodes[-1].name
        b.linear(6)
        if number % 3 == 1:
            b.add(Add(), b.nodes[-1].name, before)
        b.relu()
    b.linear(3)
    return b.graph()


def compare(graph: Graph, x: Array, steps: int, python: Path) -> list[str]:
    """Compare every spike of every layer with the simulator's, and give what was said meanwhile."""
    names = [node.name for node in graph.nodes if isinstance(node.op, Neurons)]
    said: list[str] = []
    shares: list[float] = []

    def progress(doing: str, done: int, total: int) -> None:
        said.append(doing)
        shares.append(done / total)

    assert list(LavaBackend().check(graph)) == []
    found = LavaExecutable(graph, python).run(x, steps=steps, probes=names, progress=progress)
    expected = compile_for("numpy", graph).run(x, steps=steps, probes=names)
    np.testing.assert_array_equal(found.potentials, expected.potentials)
    for name in names:
        np.testing.assert_array_equal(found.spikes[name], expected.spikes[name])
    assert found.activity == expected.activity
    assert shares == sorted(shares)
    assert shares[-1] == 1
    return said


def test_forty_layers(lava_python: Path) -> None:
    layers = of_many_layers(40)
    graph = compiled(layers, Options(code="rate", **INT8))
    assert len(plan.plan(graph, 8).parts) == 2
    said = compare(graph, images(layers, 3), 12, lava_python)
    assert set(said) == {"running on Lava in 2 parts, one after another"}


@pytest.mark.parametrize(
    ("network", "options"),
    [
        (deep, Options(code="digit", **INT8)),
        (residual, Options(code="rate", reset="zero", signed=False, **INT8)),
        (two_shortcuts, Options(code="rate", wait=True, **INT8)),
        (two_shortcuts, Options(code="rate", encoder="poisson", precision="float")),
        (dense_block, Options(code="graded", **INT8)),
        (pool_of_spikes, Options(code="digit", **INT8)),
        (pool_of_currents, Options(code="rate", precision="float")),
    ],
)
def test_the_smallest_parts(
    network: Network, options: Options, lava_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every layer is a part, so that every stream is cut."""
    monkeypatch.setattr(plan, "MOST_PROCESSES", 4)
    layers = network()
    graph = compiled(layers, options)
    assert len(plan.plan(graph, 8).parts) >= 2
    compare(graph, images(layers, 3), 8, lava_python)
