from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from strategies import assert_same_function, chain, images, layer_graphs, outputs

from neurocompile.errors import GraphError
from neurocompile.ir import Array, Graph, run
from neurocompile.ir.layers import Affine, Conv, Linear, ReLU, Reshape
from neurocompile.passes import pipeline
from neurocompile.passes.pipeline import SIMPLIFY, apply
from neurocompile.passes.rectify_output import RectifyOutput


@dataclass(frozen=True)
class Wrong:
    """A pass with a defect: it doubles what the network gives, or makes NaN of it."""

    factor: float
    fidelity = "exact"

    def __call__(self, graph: Graph) -> Graph:
        return chain(graph.nodes[0].op.shape, ReLU(), Affine(np.array([self.factor]), np.zeros(1)))


@given(graph=layer_graphs())
def test_applies_passes_in_order(graph: Graph) -> None:
    x = images(graph)
    expected = graph
    for step in SIMPLIFY:
        expected = step(expected)
    found = apply(SIMPLIFY, graph, x)
    assert found == expected
    assert_same_function(graph, found, x)


@pytest.mark.parametrize("factor", [2.0, 1.0001, np.nan])
def test_names_the_pass_that_changes_the_function(factor: float) -> None:
    graph = chain((2,), ReLU())
    with pytest.raises(GraphError, match=r"the pass Wrong changed the network's output"):
        apply((*SIMPLIFY, Wrong(factor)), graph, np.ones((1, 2)))


@given(graph=layer_graphs(most_outputs=1))
def test_rectified_output_is_the_positive_part(graph: Graph) -> None:
    x = images(graph)
    np.testing.assert_array_equal(outputs(RectifyOutput()(graph), x)[0], np.maximum(outputs(graph, x)[0], 0))


def test_rectified_output_gets_a_name_of_its_own() -> None:
    graph = chain((2,), Linear(np.ones((2, 2)), np.zeros(2)))
    assert RectifyOutput()(graph).outputs == ("linear1.spikes",)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Write down how many images each run of a graph takes."""
    seen: list[int] = []

    def counting(graph: Graph, feeds: dict[str, Array]) -> dict[str, Array]:
        seen.extend(len(x) for x in feeds.values())
        return run(graph, feeds)

    monkeypatch.setattr(pipeline, "run", counting)
    return seen


def test_runs_again_only_after_what_changed_something(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counted(monkeypatch)
    graph = chain((2,), Linear(np.eye(2), np.zeros(2)), Affine(np.full(1, 2.0), np.zeros(1)), ReLU())
    apply(SIMPLIFY, graph, np.ones((4, 2)))
    assert seen == [4, 4]


@pytest.mark.parametrize(("most", "images"), [(1000, 4), (60, 3), (1, 1)])
def test_large_networks_are_checked_on_fewer_images(
    monkeypatch: pytest.MonkeyPatch, most: int, images: int
) -> None:
    """Of 20 multiplications: 12 of the convolution at 4 places of 3 weights, and 8 of the linear layer."""
    monkeypatch.setattr(pipeline, "_MOST_MULTIPLICATIONS", most)
    seen = counted(monkeypatch)
    conv = Conv(np.ones((1, 1, 3)), np.zeros(1))
    graph = chain((1, 6), conv, Reshape((4,)), Linear(np.ones((2, 4)), np.zeros(2)))
    apply((), graph, np.ones((4, 1, 6)))
    assert seen == [images]
