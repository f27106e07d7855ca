from __future__ import annotations

import numpy as np
import pytest
from strategies import assert_same_function, chain, images

from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.layers import Concat, Conv, Input, MaxPool, ReLU, per_channel
from neurocompile.passes.hoist_pools import HoistPools

POOL = MaxPool((2, 2), (2, 1), (1, 0, 0, 1))


def hoisted(graph: Graph) -> Graph:
    """Hoist, and check that the function stays."""
    result = HoistPools()(graph)
    assert_same_function(graph, result, images(graph))
    return result


def kinds(graph: Graph) -> list[type]:
    return [type(node.op) for node in graph.nodes[1:]]


@pytest.mark.parametrize("ceiling", [np.array(np.inf), np.array(0.5), per_channel(np.array([0.2, 0.7]), 3)])
def test_relu_goes_before_all_pools_in_a_row(ceiling: Array) -> None:
    graph = hoisted(chain((2, 5, 5), POOL, MaxPool((2, 2)), ReLU(ceiling)))
    assert kinds(graph) == [ReLU, MaxPool, MaxPool]
    assert graph["relu3"].op == ReLU(ceiling)


def test_relu_with_ceilings_of_places_stays() -> None:
    graph = chain((1, 3, 3), MaxPool((2, 2)), ReLU(np.array([[[0.25, 0.5], [0.75, 1.0]]])))
    assert hoisted(graph) == graph


def test_pool_that_is_an_output_stays() -> None:
    nodes = chain((2, 5, 5), POOL, ReLU()).nodes
    graph = Graph(nodes, ("relu2", "maxpool1"))
    assert hoisted(graph) == graph


def joined(*readers: Node, axis: int = 0) -> Graph:
    conv = Conv(np.random.default_rng(0).normal(size=(3, 2, 1, 1)), np.zeros(3))
    nodes = [Node("x", Input((2, 5, 5))), Node("a", ReLU(), ("x",)), Node("c", conv, ("x",))]
    nodes += [Node("b", ReLU(), ("c",) if axis == 0 else ("x",)), Node("join", Concat(axis), ("a", "b", "a"))]
    return Graph.of([*nodes, *readers], [readers[-1].name])


def test_pool_that_alone_reads_a_concat_goes_into_the_branches() -> None:
    graph = hoisted(joined(Node("pool", POOL, ("join",))))
    assert [graph[node.inputs[0]].name for node in graph.nodes if isinstance(node.op, MaxPool)] == ["a", "b", "a"]
    assert isinstance(graph["pool"].op, Concat)


def test_pools_in_a_row_all_go_into_the_branches() -> None:
    graph = hoisted(joined(Node("pool", POOL, ("join",)), Node("second", MaxPool((2, 2)), ("pool",))))
    assert kinds(graph).count(MaxPool) == 6
    assert isinstance(graph[graph.outputs[0]].op, Concat)


def test_pool_goes_into_the_branches_of_branches() -> None:
    outer = Node("outer", Concat(), ("join", "x"))
    graph = hoisted(joined(outer, Node("pool", POOL, ("outer",))))
    assert sorted(node.inputs[0] for node in graph.nodes if isinstance(node.op, MaxPool)) == ["a", "a", "b", "x"]


def test_relu_goes_first_so_that_no_pool_reads_what_is_not_rectified() -> None:
    """Pools in the branches would work on the concatenated currents' signs."""
    pools = (Node("pool", POOL, ("join",)), Node("second", MaxPool((2, 2)), ("pool",)))
    graph = hoisted(joined(*pools, Node("relu", ReLU(), ("second",))))
    assert graph["relu"].inputs == ("join",)


@pytest.mark.parametrize(
    "graph",
    [
        pytest.param(joined(Node("pool", POOL, ("join",)), axis=1), id="another axis"),
        pytest.param(
            joined(
                Node("pool", MaxPool((3, 3), (1, 1), (1, 1, 1, 1)), ("join",)),
                Node("both", Concat(), ("pool", "join")),
            ),
            id="read by something else too",
        ),
    ],
)
def test_pool_stays_behind_a_concat(graph: Graph) -> None:
    assert hoisted(graph) == graph
