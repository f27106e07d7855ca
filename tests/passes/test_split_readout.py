from __future__ import annotations

import numpy as np
import pytest
from strategies import chain, images, outputs

from neurocompile.errors import GraphError
from neurocompile.ir import Graph, Node, Op
from neurocompile.ir.layers import Add, Affine, ArgMax, Function, Identity, Input, Linear, ReLU, Reshape, Softmax
from neurocompile.ir.processes import Decoder
from neurocompile.passes.split_readout import split_readout

READOUTS: list[tuple[Op, str]] = [
    (Softmax(), "softmax"),
    (Softmax(log=True), "log_softmax"),
    (ArgMax(), "argmax"),
    (Function("sigmoid"), "sigmoid"),
]


def assert_same_answer(graph: Graph, shape: tuple[int, ...]) -> str:
    """Compare the scores with a decoder's readout behind them with the whole network, and give the readout."""
    scores, readout = split_readout(graph)
    assert scores.types[scores.outputs[0]].shape == shape
    x = images(graph)
    (accumulated,), (expected,) = outputs(scores, x), outputs(graph, x)
    found = Decoder(np.zeros(1), readout=readout).read(accumulated, steps=1)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=0, atol=1e-12)
    return readout


@pytest.mark.parametrize(("op", "readout"), READOUTS)
@pytest.mark.parametrize("behind", [[], [Identity()], [Reshape((1, 5)), Reshape((5,))]])
def test_takes_the_readout_off(op: Op, readout: str, behind: list[Op]) -> None:
    layers = [Linear(np.eye(5), np.ones(5)), op, *([] if isinstance(op, ArgMax) else behind)]
    assert assert_same_answer(chain((5,), *layers), (5,)) == readout


@pytest.mark.parametrize(("op", "readout"), READOUTS)
def test_several_places_have_a_readout_each(op: Op, readout: str) -> None:
    assert assert_same_answer(chain((5, 2, 3), Affine(np.ones(1), np.ones(1)), op), (5, 2, 3)) == readout


@pytest.mark.parametrize("op", [Softmax, ArgMax])
@pytest.mark.parametrize(
    ("shape", "axis", "scores"),
    [((1, 1, 5), 2, (5,)), ((1, 5), 1, (5,)), ((5, 1, 1), 0, (5, 1, 1)), ((1,), 0, (1,))],
)
def test_classes_along_another_axis_come_first(
    op: type[Softmax | ArgMax], shape: tuple[int, ...], axis: int, scores: tuple[int, ...]
) -> None:
    assert_same_answer(chain(shape, ReLU(), op(axis)), scores)


@pytest.mark.parametrize("between", [Softmax(), Softmax(log=True), Function("sigmoid")])
def test_the_largest_of_probabilities_is_that_of_the_scores(between: Op) -> None:
    graph = chain((5,), ReLU(), between, ArgMax(), Reshape(()))
    assert assert_same_answer(graph, (5,)) == "argmax"
    assert not any(isinstance(node.op, Softmax | Function) for node in split_readout(graph)[0].nodes)


def test_reshapes_before_stay() -> None:
    graph, _ = split_readout(chain((5, 1, 1), Reshape((5,)), Softmax()))
    assert graph == chain((5, 1, 1), Reshape((5,)))


@pytest.mark.parametrize("last", [ReLU(), Reshape((1, 5)), Function("tanh"), Identity()])
def test_other_outputs_are_linear(last: Op) -> None:
    graph = chain((5,), Linear(np.eye(5), np.ones(5)), last)
    assert split_readout(graph) == (graph, "linear")


def test_a_sigmoid_in_between_stays() -> None:
    graph = chain((5,), Function("sigmoid"), Linear(np.eye(5), np.ones(5)))
    assert split_readout(graph) == (graph, "linear")


def test_those_that_are_not_last_are_refused_all_at_once() -> None:
    nodes = [
        Node("x", Input((5,))),
        Node("a", Softmax(), ("x",)),
        Node("b", Softmax(log=True), ("a",)),
        Node("c", ArgMax(), ("b",)),
        Node("d", Linear(np.ones((5, 1)), np.zeros(5)), ("c",)),
        Node("e", Add(), ("b", "d")),
        Node("f", Softmax(), ("e",)),
    ]
    with pytest.raises(GraphError) as caught:
        split_readout(Graph.of(nodes, ["f"]))
    assert [(issue.node, issue.op) for issue in caught.value.issues] == [
        ("a", "Softmax"),
        ("b", "LogSoftmax"),
        ("c", "ArgMax"),
    ]
    assert all("it can only be the last layer" in issue.problem for issue in caught.value.issues)
    assert {issue.remedy for issue in caught.value.issues} == {"remove it, or end the network there"}


def test_of_two_outputs_none_is_taken_off() -> None:
    nodes = [Node("x", Input((5,))), Node("a", Softmax(), ("x",)), Node("b", ReLU(), ("x",))]
    with pytest.raises(GraphError, match="it can only be the last layer of the only output"):
        split_readout(Graph.of(nodes, ["a", "b"]))
    graph = Graph.of(nodes[:1] + nodes[2:], ["b", "x"])
    assert split_readout(graph) == (graph, "linear")


@pytest.mark.parametrize("op", [Softmax(1), ArgMax(1)])
def test_places_before_the_classes_are_refused(op: Op) -> None:
    with pytest.raises(GraphError, match=r"works along axis 1 of \[4, 5\] .* the decoder has the first axis"):
        split_readout(chain((4, 5), ReLU(), op))
