from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import images, layer_graphs

from neurocompile.ir import Array, Graph, Node, run
from neurocompile.ir.graph import needed
from neurocompile.ir.layers import Add, Affine, Input, Layer, ReLU


class Counted(Layer):
    """Adds 1, and tells who ran."""

    ran: ClassVar[list[str]] = []

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *inputs: Array) -> Array:
        Counted.ran.append(self.name)
        return inputs[0] + 1


@pytest.fixture(autouse=True)
def forget() -> None:
    Counted.ran.clear()


def counted(name: str, source: str) -> Node:
    return Node(name, Counted(name), (source,))


def diamond() -> Graph:
    """``x`` leads to ``a``, which leads to ``sum`` by ``b`` and by ``c``; ``d`` comes behind, ``e`` beside."""
    nodes = [
        Node("x", Input((2,))),
        counted("a", "x"),
        counted("b", "a"),
        counted("c", "a"),
        Node("sum", Add(), ("b", "c")),
        counted("d", "sum"),
        counted("e", "a"),
    ]
    return Graph.of(nodes, ["d", "e"])


X = np.zeros((1, 2))


def test_without_other_feeds_all_that_is_kept_is_computed() -> None:
    found = run(diamond(), {"x": X})
    assert {name: values.tolist() for name, values in found.items()} == {"d": [[5, 5]], "e": [[2, 2]]}
    assert sorted(Counted.ran) == ["a", "b", "c", "d", "e"]


def test_what_is_not_needed_is_not_computed() -> None:
    assert run(diamond(), {"x": X}, keep=["b"])["b"].tolist() == [[2, 2]]
    assert Counted.ran == ["a", "b"]


def test_a_fed_node_gives_out_what_it_is_fed() -> None:
    found = run(diamond(), {"x": X, "b": X + 10}, keep=["b", "d"])
    assert found["b"].tolist() == [[10, 10]]
    assert found["d"].tolist() == [[13, 13]]
    assert sorted(Counted.ran) == ["a", "c", "d"]


def test_what_only_a_fed_node_reads_is_neither_computed_nor_asked_for() -> None:
    found = run(diamond(), {"sum": X}, keep=["d"])
    assert found["d"].tolist() == [[1, 1]]
    assert Counted.ran == ["d"]


def test_a_fed_node_that_nothing_needs_changes_nothing() -> None:
    assert run(diamond(), {"x": X, "d": X}, keep=["e"]).keys() == {"e"}
    assert Counted.ran == ["a", "e"]


def test_names_of_no_node_among_the_feeds_change_nothing() -> None:
    assert run(diamond(), {"x": X, "nobody": X}, keep=["a"])["a"].tolist() == [[1, 1]]


def test_a_node_that_is_kept_is_computed_although_its_readers_are_fed() -> None:
    found = run(diamond(), {"x": X, "b": X, "c": X, "e": X}, keep=["a", "sum"])
    assert found["a"].tolist() == [[1, 1]]
    assert found["sum"].tolist() == [[0, 0]]
    assert Counted.ran == ["a"]


def test_keeping_nothing_computes_nothing() -> None:
    assert run(diamond(), {"x": X}, keep=[]) == {}
    assert Counted.ran == []


def test_one_node_may_read_another_twice() -> None:
    nodes = [Node("x", Input((2,))), Node("twice", Add(), ("x", "x")), Node("y", ReLU(), ("twice",))]
    graph = Graph.of(nodes, ["y"])
    assert run(graph, {"x": X + 3})["y"].tolist() == [[6, 6]]
    assert run(graph, {"twice": X + 4})["y"].tolist() == [[4, 4]]


def test_needed_names_what_is_computed_and_what_is_fed() -> None:
    graph = diamond()
    assert needed(graph, (), {"d"}) == {"x", "a", "b", "c", "sum", "d"}
    assert needed(graph, {"b"}, {"d"}) == {"x", "a", "b", "c", "sum", "d"}
    assert needed(graph, {"b", "c"}, {"d"}) == {"b", "c", "sum", "d"}
    assert needed(graph, {"sum"}, {"sum", "e"}) == {"x", "a", "e", "sum"}


@given(graph=layer_graphs(), data=st.data())
def test_feeding_what_a_node_gives_changes_nothing(graph: Graph, data: st.DataObject) -> None:
    x = {graph.nodes[0].name: images(graph)}
    whole = run(graph, x, keep=[node.name for node in graph.nodes])
    fed = data.draw(st.sets(st.sampled_from(sorted(whole))))
    kept = data.draw(st.sets(st.sampled_from(sorted(whole)), min_size=1))
    found = run(graph, x | {name: whole[name] for name in fed}, keep=kept)
    assert found.keys() == kept
    for name in kept:
        np.testing.assert_array_equal(found[name], whole[name])


@given(graph=layer_graphs(), data=st.data())
def test_readers_see_what_is_fed(graph: Graph, data: st.DataObject) -> None:
    """As if the fed node were an affine of another image."""
    x = images(graph)
    whole = run(graph, {graph.nodes[0].name: x}, keep=[node.name for node in graph.nodes])
    name = data.draw(st.sampled_from(sorted(whole)))
    nodes = []
    for node in graph.nodes:
        nodes.append(Node(f"{node.name}.old", node.op, node.inputs) if node.name == name else node)
        if node.name == name:
            nodes.append(Node(name, Affine(np.full(1, -2.0), np.full(1, 0.5)), (f"{name}.old",)))
    changed = Graph.of(nodes, graph.outputs)
    expected = run(changed, {changed.inputs[0].name: x})
    found = run(graph, {graph.nodes[0].name: x, name: -2.0 * whole[name] + 0.5})
    for output in graph.outputs:
        np.testing.assert_allclose(found[output], expected[output], atol=1e-9)
