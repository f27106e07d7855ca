from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import chain

from neurocompile import ir
from neurocompile.calibration import ceilings
from neurocompile.calibration.ceilings import Calibration, Granularity
from neurocompile.ir import Array, Graph
from neurocompile.ir.layers import Linear, ReLU, Reshape

IMAGES = chain((3, 4, 5), ReLU())
X = np.random.default_rng(0).normal(size=(130, 3, 4, 5)) * np.array([1.0, 2.0, 4.0]).reshape(3, 1, 1)


def expected(x: Array, percentile: float, granularity: Granularity) -> Array:
    """The percentile of a ReLU's values, over all of them at once."""
    values = np.maximum(x, 0)
    axes = (0, 2, 3) if granularity == "channel" else (0, 1, 2, 3)
    return np.percentile(values, percentile, axis=axes, method="inverted_cdf").reshape(-1, 1, 1)


@pytest.mark.parametrize("granularity", ["channel", "layer"])
@pytest.mark.parametrize("percentile", [70.0, 90.0, 99.0, 99.9, 99.99, 100.0])
def test_percentile_of_all_values(percentile: float, granularity: Granularity) -> None:
    found = Calibration("percentile", percentile, granularity).ceilings(IMAGES, X)["relu1"]
    np.testing.assert_array_equal(found, expected(X, percentile, granularity))


@pytest.mark.parametrize("granularity", ["channel", "layer"])
def test_maximum_of_all_values(granularity: Granularity) -> None:
    found = Calibration("max", granularity=granularity).ceilings(IMAGES, X)["relu1"]
    np.testing.assert_array_equal(found, expected(X, 100, granularity))


@given(images=st.integers(1, 130), percentile=st.floats(0.1, 100))
def test_share_of_values_at_or_below_the_ceiling(images: int, percentile: float) -> None:
    x = np.abs(X[:images]) + 1e-3
    ceiling = Calibration("percentile", percentile, "layer").ceilings(IMAGES, x)["relu1"].item()
    assert 100 * np.mean(x <= ceiling) >= percentile - 1e-9
    assert 100 * np.mean(x < ceiling) <= percentile + 1e-9


@pytest.mark.parametrize("chunk", [1, 7, 130, 1000])
def test_does_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    whole = Calibration().ceilings(IMAGES, X)["relu1"]
    monkeypatch.setattr(ceilings, "_MOST_IMAGES", chunk)
    np.testing.assert_array_equal(Calibration().ceilings(IMAGES, X)["relu1"], whole)


def test_large_images_come_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Calibration().ceilings(IMAGES, X)["relu1"]
    seen: list[int] = []

    def run(graph: Graph, feeds: dict[str, Array], keep: list[str]) -> dict[str, Array]:
        seen.append(len(feeds["x"]))
        return ir.run(graph, feeds, keep)

    monkeypatch.setattr(ceilings, "run", run)
    monkeypatch.setattr(ceilings, "_MOST_VALUES", 100)
    np.testing.assert_array_equal(Calibration().ceilings(IMAGES, X)["relu1"], whole)
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
    found = Calibration("max").ceilings(chain((3, 1, 1), ReLU(own)), x)["relu1"]
    assert found.reshape(-1).tolist() == expected


def test_own_ceilings_of_places() -> None:
    own = np.array([[[1.0, 3.0]]])
    found = Calibration("max").ceilings(chain((1, 1, 2), ReLU(own)), np.full((1, 1, 1, 2), 2.0))["relu1"]
    assert found.tolist() == [[[1, 2]]]


def test_own_ceilings_of_channels_where_the_layer_has_one_threshold() -> None:
    graph = chain((2,), ReLU(np.array([0.5, 9.0])))
    found = Calibration("max", granularity="layer").ceilings(graph, np.array([[2.0, 4.0]]))["relu1"]
    assert found.tolist() == [0.5, 4]


def test_image_of_one_value_has_one_ceiling() -> None:
    found = Calibration("max").ceilings(chain((), ReLU()), np.array([1.0, 3.0]))["relu1"]
    assert found.tolist() == [3]


def test_channels_of_a_vector_are_its_features() -> None:
    graph = chain((3, 4, 5), Reshape((60,)), Linear(np.ones((7, 60)), np.zeros(7)), ReLU())
    assert Calibration().ceilings(graph, X)["relu3"].shape == (7,)


def test_dead_channel_gets_a_twentieth_of_the_largest() -> None:
    x = np.array([[-1.0, 0.001, 8.0]])
    found = Calibration("max").ceilings(chain((3,), ReLU()), x)["relu1"]
    np.testing.assert_allclose(found, [0.4, 0.4, 8.0])


def test_dead_layer_gets_ceilings_of_1() -> None:
    found = Calibration().ceilings(chain((3,), ReLU()), -np.ones((2, 3)))["relu1"]
    assert found.tolist() == [1, 1, 1]


def test_network_without_relu_needs_none() -> None:
    assert Calibration().ceilings(chain((3,), Linear(np.ones((1, 3)), np.zeros(1))), np.ones((1, 3))) == {}
