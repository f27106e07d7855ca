from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import chain, largest, layer_graphs

from neurocompile.calibration.synthetic import IMAGES, interval_bounds, safe_ceilings, synthetic_images
from neurocompile.ir import Array, Graph, Node, run
from neurocompile.ir.layers import Conv, Input, Linear, ReLU
from neurocompile.passes.pipeline import SIMPLIFY

SHAPES = [(), (1,), (7,), (2, 9), (1, 4, 4), (3, 8, 6), (2, 3, 4, 5)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("dtype", "highest"), [("float32", 1), ("float64", 1), ("uint8", 255)])
def test_images_are_what_the_model_takes(shape: tuple[int, ...], dtype: str, highest: int) -> None:
    images = synthetic_images(Input(shape, dtype))
    assert (images.shape, images.dtype) == ((IMAGES, *shape), np.dtype(dtype))
    assert images.min() >= 0
    assert images.max() <= highest


@pytest.mark.parametrize("shape", SHAPES[2:], ids=str)
@pytest.mark.parametrize(("dtype", "highest"), [("float32", 1), ("uint8", 255)])
def test_every_image_uses_the_whole_range(shape: tuple[int, ...], dtype: str, highest: int) -> None:
    flat = synthetic_images(Input(shape, dtype)).reshape(IMAGES, -1)
    assert np.all(flat.min(axis=1) == 0)
    np.testing.assert_allclose(flat.max(axis=1), highest)


def test_images_are_the_same_each_time() -> None:
    entry = Input((2, 5, 5))
    np.testing.assert_array_equal(synthetic_images(entry), synthetic_images(entry))


def test_images_differ_in_brightness() -> None:
    means = synthetic_images(Input((3, 16, 16))).reshape(IMAGES, -1).mean(axis=1)
    assert means.min() < 0.2
    assert means.max() > 0.7


def test_later_images_are_smoother() -> None:
    images = synthetic_images(Input((1, 16, 16)))
    rough = []
    for part in np.split(images, 4):
        neighbours = np.abs(np.diff(part, axis=2)).mean()
        rough.append(neighbours / np.abs(part - part.mean(axis=(1, 2, 3), keepdims=True)).mean())
    assert rough == sorted(rough, reverse=True)
    assert rough[-1] < 0.6 * rough[0]


def simplified(graph: Graph) -> Graph:
    for step in SIMPLIFY:
        graph = step(graph)
    return graph


@given(graph=layer_graphs(), seed=st.integers(0, 2**32 - 1), low=st.sampled_from([0.0, -1.0, 0.5]))
def test_bounds_contain_what_any_image_gives(graph: Graph, seed: int, low: float) -> None:
    graph = simplified(graph)
    bounds = interval_bounds(graph, low, 1.0)
    assert bounds.keys() == {node.name for node in graph.nodes}
    rng = np.random.default_rng(seed)
    shape = graph.nodes[0].op.shape
    x = rng.uniform(low, 1, (6, *shape))
    # Corners of the range are what the bounds are made of.
    x[3:] = rng.choice([low, 1.0], (3, *shape))
    for name, values in run(graph, {graph.nodes[0].name: x}, keep=bounds).items():
        lowest, highest = bounds[name]
        slack = 1e-9 * max(1, np.abs(values).max())
        assert np.all(values >= lowest - slack)
        assert np.all(values <= highest + slack)


@given(graph=layer_graphs(), seed=st.integers(0, 2**32 - 1))
def test_bounds_of_one_value_are_the_value(graph: Graph, seed: int) -> None:
    graph = simplified(graph)
    value = float(np.random.default_rng(seed).uniform(-1, 1))
    bounds = interval_bounds(graph, value, value)
    x = np.full((1, *graph.nodes[0].op.shape), value)
    for name, values in run(graph, {graph.nodes[0].name: x}, keep=bounds).items():
        for bound in bounds[name]:
            np.testing.assert_allclose(bound, values[0], atol=1e-9 * max(1, np.abs(values).max()))


def test_bounds_of_one_layer_are_reached() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(3, 6))
    low, high = interval_bounds(chain((6,), Linear(weight, np.ones(3))), 0.0, 2.0)["linear1"]
    np.testing.assert_allclose(high, 1 + 2 * np.maximum(weight, 0).sum(axis=1))
    np.testing.assert_allclose(low, 1 + 2 * np.minimum(weight, 0).sum(axis=1))


@given(graph=layer_graphs(most_outputs=1))
def test_safe_ceilings_are_up_to_twice_the_measured_ones_and_never_below(graph: Graph) -> None:
    graph = simplified(Graph.of([*graph.nodes, Node("last", ReLU(), graph.outputs[:1])], ["last"]))
    x = synthetic_images(graph.nodes[0].op)[:20].astype(np.float64)
    measured = largest(graph, x)
    for name, found in safe_ceilings(graph, measured, 1.0).items():
        assert np.all(found >= measured[name])
        assert np.all(found <= 2 * measured[name])
        ceiling = graph[name].op.ceiling
        assert np.all(found <= np.maximum(measured[name], ceiling))


def two_layers(ceiling: Array) -> Graph:
    return chain((2, 3, 3), Conv(np.full((1, 2, 3, 3), 0.5), np.zeros(1)), ReLU(ceiling))


@pytest.mark.parametrize(
    ("measured", "ceiling", "expected"),
    [(2.0, np.inf, 4.0), (6.0, np.inf, 9.0), (9.0, np.inf, 9.0), (2.0, 3.0, 3.0), (12.0, np.inf, 12.0)],
    ids=["twice", "what no image passes", "at the bound", "the own ceiling", "above the bound"],
)
def test_safe_ceilings_end_at_what_no_image_can_pass(measured: float, ceiling: float, expected: float) -> None:
    found = safe_ceilings(two_layers(np.array(ceiling)), {"relu2": np.full((1, 1, 1), measured)}, 1.0)
    assert found["relu2"].item() == pytest.approx(expected)
