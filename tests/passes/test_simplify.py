from __future__ import annotations

import pytest
from hypothesis import given
from strategies import assert_same_function, images, layer_graphs

from neurocompile.ir import Graph
from neurocompile.ir.serialization import from_document, to_document
from neurocompile.passes.base import Pass
from neurocompile.passes.pipeline import SIMPLIFY

every_pass = pytest.mark.parametrize("rewrite", SIMPLIFY, ids=lambda p: type(p).__name__)


@every_pass
@given(graph=layer_graphs())
def test_leaves_its_input_unchanged(rewrite: Pass, graph: Graph) -> None:
    before = from_document(*to_document(graph))
    rewrite(graph)
    assert graph == before


@every_pass
@given(graph=layer_graphs())
def test_result_verifies(rewrite: Pass, graph: Graph) -> None:
    result = rewrite(graph)
    assert Graph(result.nodes, result.outputs) == result


@every_pass
@given(graph=layer_graphs())
def test_is_idempotent(rewrite: Pass, graph: Graph) -> None:
    once = rewrite(graph)
    assert rewrite(once) == once


@every_pass
@given(graph=layer_graphs())
def test_keeps_the_function(rewrite: Pass, graph: Graph) -> None:
    assert_same_function(graph, rewrite(graph), images(graph))


@given(graph=layer_graphs())
def test_all_in_a_row_keep_the_function(graph: Graph) -> None:
    result = graph
    for rewrite in SIMPLIFY:
        result = rewrite(result)
    assert_same_function(graph, result, images(graph))
