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
    LinearSynapses,
    PoolSynapses,
    ReshapeSynapses,
    ScaleSynapses,
    SpikeMaxPool,
    WireSynapses,
)

rng = np.random.default_rng(7)


def mantissas(*shape: int) -> Array:
    return rng.integers(-127, 128, shape).astype(np.int8)


def reals(*shape: int) -> Array:
    """Multiples of a power of two, whose sums do not depend on their order."""
    return rng.integers(-1000, 1001, shape) / 256


IMAGE, SERIES, VOLUME = (4, 7, 6), (4, 11), (4, 5, 4, 6)

FLAT = ReshapeSynapses((168,))

CHAINS: dict[str, tuple[tuple[int, ...], Sequence[Op]]] = {
    "conv": (IMAGE, [ConvSynapses(mantissas(3, 4, 3, 2))]),
    "conv, shifted left": (IMAGE, [ConvSynapses(mantissas(3, 4, 1, 1), 5)]),
    "conv, shifted right": (IMAGE, [ConvSynapses(mantissas(3, 4, 2, 2), -3)]),
    "conv, window": (IMAGE, [ConvSynapses(mantissas(3, 4, 3, 2), 0, (2, 1), (2, 0, 1, 3), (1, 3))]),
    "conv, groups": (IMAGE, [ConvSynapses(mantissas(6, 2, 3, 3), -1, (1, 2), (1, 1, 1, 1), (2, 1), 2)]),
    "conv, depthwise": (IMAGE, [ConvSynapses(mantissas(8, 1, 3, 3), -1, padding=(0, 1, 1, 0), groups=4)]),
    "conv, 1-d": (SERIES, [ConvSynapses(mantissas(6, 2, 3), -2, (2,), (1, 3), (2,), 2)]),
    "conv, 3-d": (
        VOLUME,
        [ConvSynapses(mantissas(6, 2, 2, 1, 3), -2, (2, 1, 2), (1, 0, 2, 0, 1, 0), (1, 1, 2), 2)],
    ),
    "linear": (IMAGE, [FLAT, LinearSynapses(mantissas(5, 168), -4)]),
    "scale": (IMAGE, [ScaleSynapses(mantissas(4, 1, 1), 2), ScaleSynapses(mantissas(1), -9)]),
    "scale, everywhere": (IMAGE, [ScaleSynapses(mantissas(4, 7, 6), -2), ScaleSynapses(mantissas(), 1)]),
    "pool": (IMAGE, [PoolSynapses((3, 2), (2, 1), (1, 0, 2, 1)), ScaleSynapses(mantissas(4, 1, 1), -2)]),
    "pool, dilated": (IMAGE, [PoolSynapses((3, 2), (1, 2), (1, 0, 2, 1), (2, 3))]),
    "pool, 1-d": (SERIES, [PoolSynapses((4,), (3,), (1, 2), (2,))]),
    "pool, 3-d": (VOLUME, [PoolSynapses((2, 3, 1), (2, 1, 2), (1, 0, 0, 0, 1, 0), (1, 1, 4))]),
    "reshape": (VOLUME, [ReshapeSynapses((5, 4, 1, 24))]),
    "wires": (IMAGE, [WireSynapses(np.arange(168).reshape(IMAGE).transpose(2, 0, 1))]),
    "wires, some": (IMAGE, [WireSynapses(rng.integers(-60, 168, (5, 9, 4)).clip(-1))]),
    "wires, bytes": (IMAGE, [WireSynapses(np.arange(-1, 128).astype(np.int8))]),
    "wires, none": (IMAGE, [WireSynapses(np.full((2, 3), -1))]),
    "nothing": (IMAGE, []),
    "row": (
        IMAGE,
        [
            ConvSynapses(mantissas(2, 4, 3, 3), -6),
            PoolSynapses((2, 2), (1, 2)),
            ReshapeSynapses((16,)),
            ScaleSynapses(mantissas(16), -5),
            LinearSynapses(mantissas(3, 16), -2),
            WireSynapses(np.array([[-1, 2], [0, 2]])),
        ],
    ),
    "real conv": (IMAGE, [ConvSynapses(reals(6, 2, 3, 2), 0, (2, 1), (1, 0, 1, 2), (1, 2), 2)]),
    "real row": (
        IMAGE,
        [PoolSynapses((2, 2), (2, 2), (1, 0, 0, 0)), ScaleSynapses(reals(4, 1, 1)), ReshapeSynapses((48,))],
    ),
    "real wires": (IMAGE, [WireSynapses(rng.integers(-60, 168, (5, 9, 4)).clip(-1)), ScaleSynapses(reals(9, 1))]),
    "real linear": (IMAGE, [FLAT, LinearSynapses(reals(5, 168)), ScaleSynapses(reals(1))]),
}


def graph_of(shape: tuple[int, ...], chain: Sequence[Op], integer: bool) -> Graph:
    nodes = [Node("input", Encoder(shape, levels=255, integer=integer))]
    for op in chain:
        nodes.append(Node(f"synapses{len(nodes)}", op, (nodes[-1].name,)))
    nodes.append(Node("decoder", Decoder(np.zeros(1, np.int64 if integer else float)), (nodes[-1].name,)))
    return Graph.of(nodes, ["decoder"])


def operations(graph: Graph) -> list[dict[str, Any]]:
    """The operations of the plan's one path, with their arrays as the worker puts them in."""
    made = plan.plan(graph, 1)
    ((part,), ((process,),)) = made.parts, [part.processes for part in made.parts]
    (path,) = process["paths"]
    assert part.sources == {"input": 0}
    return [
        {k: made.arrays[v] if k in ("weight", "index") else v for k, v in o.items()} for o in path["operations"]
    ]


@pytest.mark.parametrize("name", CHAINS)
def test_synapses_in_a_row(name: str) -> None:
    integer = not name.startswith("real")
    shape, chain = CHAINS[name]
    graph = graph_of(shape, chain, integer)
    x = rng.integers(-255, 256, (3, *shape))
    stream = x.astype(np.int32 if integer else float)
    (end,) = graph["decoder"].inputs
    expected = run(graph, {"input": stream[:, None]}, keep=[end])[end][:, 0]
    compute = synapses.chain(operations(graph), np.int32 if integer else np.float64)
    np.testing.assert_array_equal(compute(stream), expected, strict=True)


POOLS = {
    "2-d": (IMAGE, SpikeMaxPool((3, 2), (2, 1), (1, 1, 2, 0))),
    "dilated": (IMAGE, SpikeMaxPool((3, 2), (1, 2), (1, 1, 2, 0), (2, 4))),
    "1-d": (SERIES, SpikeMaxPool((4,), (2,), (0, 3), (2,))),
    "3-d": (VOLUME, SpikeMaxPool((2, 3, 2), (2, 1, 3), (1, 0, 0, 0, 1, 1), (1, 1, 4))),
}


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
@pytest.mark.parametrize("name", POOLS)
def test_max_pool(name: str, dtype: type) -> None:
    shape, pool = POOLS[name]
    made = plan.plan(graph_of(shape, [pool], integer=True), 1)
    (window,) = [p["window"] for p in made.parts[0].processes if p["kind"] == "max_pool"]
    # Negative throughout, so that padding would win if it counted as 0.
    x = -rng.integers(1, 100, (2, *shape)).astype(dtype)
    expected = pool.run(x[None].astype(np.int32 if dtype is np.int64 else dtype))[0]
    np.testing.assert_array_equal(synapses.max_pool(x, window), expected)
