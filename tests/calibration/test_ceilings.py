from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import chain

from neurocompile import ir
from neurocompile.calibration import ceilings as module
from neurocompile.calibration.ceilings import ceilings
from neurocompile.ir import Array, Graph
from neurocompile.ir.layers import Linear, ReLU, Reshape

IMAGES = chain((3, 4, 5), ReLU())
X = np.random.default_rng(0).normal(size=(130, 3, 4, 5)) * np.array([1.0, 2.0, 4.0]).reshape(3, 1, 1)


def largest(graph: Graph, x: Array, *, by_channel: bool = True) -> Array:
    """The largest values of the only ReLU."""
    (found,) = ceilings(graph, x, 100, by_channel=by_channel).values()
    return found


def expected(x: Array, percentile: float, by_channel: bool) -> Array:
    """The percentile of a ReLU's values, over all of them at once."""
    values = np.maximum(x, 0)
    axes = (0, 2, 3) if by_channel else (0, 1, 2, 3)
    return np.percentile(values, percentile, axis=axes, method="inverted_cdf").reshape(-1, 1, 1)


@pytest.mark.parametrize("by_channel", [True, False])
@pytest.mark.parametrize("percentile", [70.0, 90.0, 99.0, 99.9, 99.99, 100.0])
def test_percentile_of_all_values(percentile: float, by_channel: bool) -> None:
    found = ceilings(IMAGES, X, percentile, by_channel=by_channel)["relu1"]
    np.testing.assert_array_equal(found, expected(X, percentile, by_channel))


@pytest.mark.parametrize("by_channel", [True, False])
def test_the_hundredth_percentile_is_the_maximum(by_channel: bool) -> None:
    axes = (0, 2, 3) if by_channel else (0, 1, 2, 3)
    np.testing.assert_array_equal(largest(IMAGES, X, by_channel=by_channel).ravel(), np.ravel(X.max(axes)))


@given(images=st.integers(1, 130), percentile=st.floats(0.1, 100))
def test_share_of_values_at_or_below_the_ceiling(images: int, percentile: float) -> None:
    x = np.abs(X[:images]) + 1e-3
    ceiling = ceilings(IMAGES, x, percentile, by_channel=False)["relu1"].item()
    assert 100 * np.mean(x <= ceiling) >= percentile - 1e-9
    assert 100 * np.mean(x < ceiling) <= percentile + 1e-9


@pytest.mark.parametrize("chunk", [1, 7, 130, 1000])
def test_does_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    whole = ceilings(IMAGES, X, 99, by_channel=True)["relu1"]
    monkeypatch.setattr(module, "_MOST_IMAGES", chunk)
    np.testing.assert_array_equal(ceilings(IMAGES, X, 99, by_channel=True)["relu1"], whole)


def test_large_images_come_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ceilings(IMAGES, X, 99, by_channel=True)["relu1"]
    seen: list[int] = []

    def run(graph: Graph, feeds: dict[str, Array], keep: list[str]) -> dict[str, Array]:
        seen.append(len(feeds["x"]))
        return ir.run(graph, feeds, keep)

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module, "_MOST_VALUES", 100)
    np.testing.assert_array_equal(ceilings(IMAGES, X, 99, by_channel=True)["relu1"], whole)
    assert set(seen) == {1}


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        pytest.param(np.array(2.5), [2, 2.5, 2.5], id="one"),
        pytest.param(np.array([3.0, 0.5, 2.0]).reshape(3, 1, 1), [2, 0.5, 2], id="for each channel"),
    ],
)
def test_none_is_above_the_own_ceiling_of_a_relu(own: Array, expected: list[float]) -> None:
    """Each channel for itself: a low ceiling of one may not clip the others."""
    x = np.array([2.0, 4.0, 8.0]).reshape(1, 3, 1, 1)
    found = largest(chain((3, 1, 1), ReLU(own)), x)
    assert found.reshape(-1).tolist() == expected


def test_own_ceilings_of_places() -> None:
    own = np.array([[[1.0, 3.0]]])
    found = largest(chain((1, 1, 2), ReLU(own)), np.full((1, 1, 1, 2), 2.0))
    assert found.tolist() == [[[1, 2]]]


def test_own_ceilings_of_channels_where_the_layer_has_one_threshold() -> None:
    graph = chain((2,), ReLU(np.array([0.5, 9.0])))
    found = largest(graph, np.array([[2.0, 4.0]]), by_channel=False)
    assert found.tolist() == [0.5, 4]


def test_image_of_one_value_has_one_ceiling() -> None:
    found = largest(chain((), ReLU()), np.array([1.0, 3.0]))
    assert found.tolist() == [3]


def test_channels_of_a_vector_are_its_features() -> None:
    graph = chain((3, 4, 5), Reshape((60,)), Linear(np.ones((7, 60)), np.zeros(7)), ReLU())
    assert largest(graph, X).shape == (7,)


def test_dead_channel_gets_a_twentieth_of_the_largest() -> None:
    x = np.array([[-1.0, 0.001, 8.0]])
    found = largest(chain((3,), ReLU()), x)
    np.testing.assert_allclose(found, [0.4, 0.4, 8.0])


def test_dead_layer_gets_ceilings_of_1() -> None:
    found = largest(chain((3,), ReLU()), -np.ones((2, 3)))
    assert found.tolist() == [1, 1, 1]


def test_network_without_relu_needs_none() -> None:
    graph = chain((3,), Linear(np.ones((1, 3)), np.zeros(1)))
    assert ceilings(graph, np.ones((1, 3)), 100, by_channel=True) == {}
