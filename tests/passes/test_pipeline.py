from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from strategies import assert_same_function, chain, images, layer_graphs, outputs

from neurocompile.errors import GraphError
from neurocompile.ir import Graph
from neurocompile.ir.layers import Affine, Linear, ReLU
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
