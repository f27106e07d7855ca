from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from strategies import images, layer_graphs

from neurocompile.errors import GraphError
from neurocompile.ir import Graph, Node, TensorType, run
from neurocompile.ir.layers import Add, Affine, Identity, Input, Linear, ReLU
from neurocompile.ir.serialization import from_document, to_document

X = Node("x", Input((2,)))
RELU = Node("relu", ReLU(), ("x",))


def problems(nodes: tuple[Node, ...], outputs: tuple[str, ...]) -> list[str]:
    with pytest.raises(GraphError) as caught:
        Graph(nodes, outputs)
    return [str(issue) for issue in caught.value.issues]


def test_every_broken_rule_is_told_at_once() -> None:
    nodes = (
        Node("early", ReLU(), ("x",)),
        X,
        RELU,
        Node("relu", ReLU(), ("x",)),
        Node("two", ReLU(), ("x", "relu")),
        Node("none", Add()),
        Node("fc", Linear(np.ones((1, 3)), np.zeros(1)), ("x",)),
        Node("behind", ReLU(), ("fc",)),
    )
    assert problems(nodes, ("elsewhere",)) == [
        "node 'early' (ReLU): reads ['x'], which are not defined before it",
        "node 'relu' (ReLU): this name is used twice",
        "node 'two' (ReLU): takes 1 inputs, not 2",
        "node 'none' (Add): takes at least one input",
        "node 'fc' (Linear): weights [1, 3] do not fit an input of [2]",
        "node 'elsewhere': the graph's output is no node of it",
    ]


def test_outputs_are_needed() -> None:
    assert problems((X,), ()) == ["the graph has no outputs"]


def test_cycle_is_named() -> None:
    nodes = [X, Node("a", Add(), ("x", "b")), Node("b", ReLU(), ("a",))]
    with pytest.raises(GraphError, match="the graph has a cycle: a -> b"):
        Graph.of(nodes, ["b"])


def test_of_sorts_and_prunes() -> None:
    graph = Graph.of([RELU, Node("unused", ReLU(), ("x",)), X], ["relu"])
    assert graph == Graph((X, RELU), ("relu",))


def test_of_reports_an_output_that_is_missing() -> None:
    with pytest.raises(GraphError, match="'y': the graph's output is no node"):
        Graph.of([X], ["y"])


def test_finds_nodes_types_inputs_and_consumers() -> None:
    graph = Graph((X, RELU, Node("sum", Add(), ("relu", "relu", "x"))), ("sum",))
    assert graph["relu"] is RELU
    assert "relu" in graph
    assert "y" not in graph
    assert graph.inputs == (X,)
    assert graph.types["sum"] == TensorType((2,))
    assert [node.name for node in graph.consumers("relu")] == ["sum"]
    assert [node.name for node in graph.consumers("x")] == ["relu", "sum"]


def test_run_keeps_what_is_asked_for() -> None:
    graph = Graph((X, RELU, Node("same", Identity(), ("relu",))), ("same",))
    values = run(graph, {"x": np.array([[-1.0, 2.0]])}, keep=["relu"])
    assert {name: value.tolist() for name, value in values.items()} == {"relu": [[0.0, 2.0]]}


def test_run_keeps_it_in_the_order_asked_for() -> None:
    """Whoever draws for one node after another draws the same in every process."""
    names = [f"relu{i}" for i in range(20)]
    graph = Graph((X, *(Node(name, ReLU(), ("x",)) for name in names)), tuple(names))
    x = np.ones((1, 2))
    assert list(run(graph, {"x": x})) == names
    assert list(run(graph, {"x": x}, keep=reversed(names))) == names[::-1]


@given(graph=layer_graphs(most_outputs=3))
def test_outputs_have_the_inferred_shapes(graph: Graph) -> None:
    x = images(graph)
    for name, value in run(graph, {"input0": x}, keep=[node.name for node in graph.nodes]).items():
        assert value.shape == (len(x), *graph.types[name].shape)


def test_fields_can_not_be_set() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        X.name = "y"  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Graph((X,), ("x",)).outputs = ()  # type: ignore[misc]


def test_arrays_can_not_be_written() -> None:
    op = Linear(np.ones((1, 2)), np.zeros(1))
    with pytest.raises(ValueError, match="read-only"):
        op.weight[0, 0] = 2


def test_changing_the_given_array_does_not_change_the_operator() -> None:
    weight = np.ones((1, 2))
    op = Linear(weight, np.zeros(1))
    weight[0, 0] = 2
    assert op.weight[0, 0] == 1


def test_changing_what_a_read_only_view_shows_does_not_change_the_operator() -> None:
    bias = np.zeros(1)
    op = Linear(np.ones((3, 2)), np.broadcast_to(bias, 3))
    bias[0] = 2
    assert op.bias.tolist() == [0, 0, 0]


def test_operators_compare_by_content() -> None:
    op = Affine(np.ones(2), np.zeros(2))
    assert op == Affine(np.ones(2), np.zeros(2))
    assert hash(op) == hash(Affine(np.ones(2), np.zeros(2)))
    assert op != Affine(np.ones(2), np.ones(2))
    assert op != Affine(np.ones(2, np.float32), np.zeros(2))
    assert op != ReLU()
    assert Input((2,)) != Input((3,))


@given(graph=layer_graphs(most_outputs=3))
def test_loads_what_was_saved(graph: Graph) -> None:
    loaded = from_document(*to_document(graph))
    assert loaded == graph
    assert hash(loaded) == hash(graph)


def test_type_reads_well() -> None:
    assert str(TensorType((2, 3))) == "real tensor [2, 3]"
    assert str(TensorType((2,), stream=True, integer=True)) == "integer stream [2]"
