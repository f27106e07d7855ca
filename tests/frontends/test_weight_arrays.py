from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.errors import ModelError
from neurocompile.frontends.model import Model
from neurocompile.ir import run


@given(st.lists(st.integers(1, 6), min_size=2, max_size=5), st.booleans(), st.integers(0, 2**32))
def test_a_dict_of_weights_is_a_perceptron(sizes: list[int], biased: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    layers, x = {}, rng.normal(size=(4, sizes[0])).astype(np.float32)
    expected = x.astype(np.float64)
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        weight, bias = rng.normal(size=(outputs, inputs)), rng.normal(size=outputs) * biased
        expected = np.maximum(expected, 0) if i else expected
        expected = expected @ weight.T + bias
        layers[f"layer {i}"] = (weight, bias) if biased else weight
    model = Model.of_weights(layers)
    (found,) = run(model.graph, {model.graph.inputs[0].name: x}).values()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(model.reference.run(x), expected, rtol=1e-4, atol=1e-4)
    assert set(layers) <= {node.name for node in model.graph.nodes}


ONES = np.ones((2, 3))


@pytest.mark.parametrize(
    ("layers", "problems"),
    [
        ({}, ["there are no layers"]),
        ({"a": np.ones(3)}, ["its weight has the shape [3]"]),
        ({"a": np.ones((0, 3))}, ["its weight has the shape [0, 3]"]),
        ({"a": ONES, "b": ONES}, ["it takes 3 values, and the layer before has 2"]),
        ({"a": (ONES, np.ones(3))}, ["its bias has the shape [3], and it has 2 neurons"]),
        ({"a": np.full((2, 3), np.nan)}, ["its weight does not hold finite numbers of float32"]),
        ({"a": np.full((2, 3), 1e39)}, ["its weight does not hold finite numbers of float32"]),
        ({"a": (ONES, np.array(["x", "y"]))}, ["its bias does not hold finite numbers of float32"]),
        (
            {"a": (ONES, np.array([1, np.inf])), "b": "weights", "c": (ONES, np.ones(1))},
            [
                "its bias does not hold finite numbers of float32",
                "its weight does not hold finite numbers of float32",
                "its weight has the shape []",
                "its bias has the shape [1], and it has 2 neurons",
            ],
        ),
    ],
)
def test_arrays_that_do_not_fit_are_told(layers: dict[str, Any], problems: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        Model.of_weights(layers)
    assert [issue.problem for issue in caught.value.issues] == problems
    assert all(issue.remedy for issue in caught.value.issues)
