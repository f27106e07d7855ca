"""What Lava's Python computes for synapses, against the IR's operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from neurocompile_lava import plan
from neurocompile_lava.worker import synapses

from neurocompile.ir import Array, Graph, Node, run
from neurocompile.ir.op import Op
from neurocompile.ir.processes import (
    ConvSynapses,
    Decoder,
    Encoder,
    FlattenSynapses,
    LinearSynapses,
    PoolSynapses,
    ScaleSynapses,
    SpikeMaxPool,
)

rng = np.random.default_rng(7)


def mantissas(*shape: int) -> Array:
    return rng.integers(-127, 128, shape).astype(np.int8)


def reals(*shape: int) -> Array:
    """Multiples of a power of two, whose sums do not depend on their order."""
    return rng.integers(-1000, 1001, shape) / 256


IMAGE = (4, 7, 6)

CHAINS: dict[str, Sequence[Op]] = {
    "conv": [ConvSynapses(mantissas(3, 4, 3, 2))],
    "conv, shifted left": [ConvSynapses(mantissas(3, 4, 1, 1), 5)],
    "conv, shifted right": [ConvSynapses(mantissas(3, 4, 2, 2), -3)],
    "conv, window": [ConvSynapses(mantissas(3, 4, 3, 2), 0, (2, 1), (2, 0, 1, 3), (1, 3))],
    "conv, groups": [ConvSynapses(mantissas(6, 2, 3, 3), -1, (1, 2), (1, 1, 1, 1), (2, 1), 2)],
    "conv, depthwise": [ConvSynapses(mantissas(8, 1, 3, 3), -1, padding=(0, 1, 1, 0), groups=4)],
    "linear": [FlattenSynapses(), LinearSynapses(mantissas(5, 168), -4)],
    "scale": [ScaleSynapses(mantissas(4), 2), ScaleSynapses(mantissas(1), -9)],
    "pool": [PoolSynapses((3, 2), (2, 1), (1, 0, 2, 1)), ScaleSynapses(mantissas(4), -2)],
    "row": [
        ConvSynapses(mantissas(2, 4, 3, 3), -6),
        PoolSynapses((2, 2), (1, 2)),
        FlattenSynapses(),
        ScaleSynapses(mantissas(16), -5),
        LinearSynapses(mantissas(3, 16), -2),
    ],
    "real conv": [ConvSynapses(reals(6, 2, 3, 2), 0, (2, 1), (1, 0, 1, 2), (1, 2), 2)],
    "real row": [PoolSynapses((2, 2), (2, 2), (1, 0, 0, 0)), ScaleSynapses(reals(4)), FlattenSynapses()],
    "real linear": [FlattenSynapses(), LinearSynapses(reals(5, 168)), ScaleSynapses(reals(1))],
}


def graph_of(chain: Sequence[Op], integer: bool) -> Graph:
    nodes = [Node("input", Encoder(IMAGE, levels=255, integer=integer))]
    for op in chain:
        nodes.append(Node(f"synapses{len(nodes)}", op, (nodes[-1].name,)))
    nodes.append(Node("decoder", Decoder(np.zeros(1, np.int64 if integer else float)), (nodes[-1].name,)))
    return Graph.of(nodes, ["decoder"])


def operations(graph: Graph) -> list[dict[str, Any]]:
    """The operations of the plan's one path, with their arrays as the worker puts them in."""
    made = plan.plan(graph)
    (path,) = [p for p in made.processes if p["kind"] == "synapses"]
    return [{**o, "weight": made.arrays[o["weight"]]} if "weight" in o else o for o in path["operations"]]


@pytest.mark.parametrize("name", CHAINS)
def test_synapses_in_a_row(name: str) -> None:
    integer = not name.startswith("real")
    graph = graph_of(CHAINS[name], integer)
    x = rng.integers(-255, 256, (3, *IMAGE))
    stream = x.astype(np.int32 if integer else float)
    (end,) = graph["decoder"].inputs
    expected = run(graph, {"input": stream[:, None]}, keep=[end])[end][:, 0]
    compute = synapses.chain(operations(graph), np.int32 if integer else np.float64)
    np.testing.assert_array_equal(compute(stream), expected, strict=True)


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_max_pool(dtype: type) -> None:
    pool = SpikeMaxPool((3, 2), (2, 1), (1, 1, 2, 0))
    # Negative throughout, so that padding would win if it counted as 0.
    x = -rng.integers(1, 100, (2, *IMAGE)).astype(dtype)
    found = synapses.max_pool(x, pool.kernel, pool.stride, pool.padding)
    before = synapses.max_pool(np.zeros_like(x), pool.kernel, pool.stride, pool.padding)
    expected = pool.run(x[None].astype(np.int32 if dtype is np.int64 else dtype))[0]
    np.testing.assert_array_equal(found - before, expected)
