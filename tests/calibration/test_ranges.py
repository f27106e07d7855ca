from __future__ import annotations

import numpy as np
import pytest
from strategies import chain

from neurocompile.calibration import ranges as module
from neurocompile.calibration.ranges import lowest, ranges, samples
from neurocompile.ir import run
from neurocompile.ir.layers import Affine, Linear, ReLU

GRAPH = chain((3, 4, 5), Affine(np.array([[[1.0]], [[-2.0]], [[0.5]]]), np.ones(1)), ReLU())
X = np.random.default_rng(0).normal(size=(130, 3, 4, 5))
NAMES = ("affine1", "relu2")
VALUES = run(GRAPH, {"x": X}, keep=NAMES)


@pytest.fixture(params=[1 << 24, 1, 500])
def most_values(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of any size give the same."""
    monkeypatch.setattr(module, "_MOST_VALUES", request.param)


@pytest.mark.usefixtures("most_values")
def test_smallest_and_largest_of_all_values() -> None:
    assert ranges(GRAPH, X, NAMES) == {name: (VALUES[name].min(), VALUES[name].max()) for name in NAMES}


@pytest.mark.usefixtures("most_values")
def test_smallest_of_each_channel() -> None:
    found = lowest(GRAPH, X, NAMES)
    assert found.keys() == set(NAMES)
    for name in NAMES:
        np.testing.assert_array_equal(found[name], VALUES[name].min(axis=(0, 2, 3)))


@pytest.mark.parametrize("count", [1, 7, 33, 130])
def test_samples_are_values_of_the_node_as_often_as_they_occur(count: int) -> None:
    drawn = samples(GRAPH, X[:count], NAMES)
    for name in NAMES:
        values = VALUES[name][:count]
        assert len(drawn[name]) >= 1 << 13
        assert np.isin(drawn[name], values).all()
        assert abs(drawn[name].mean() - values.mean()) <= 0.3
    assert np.mean(drawn["relu2"] == 0) == pytest.approx(np.mean(VALUES["relu2"][:count] == 0), abs=0.2)


def test_samples_are_the_same_each_time() -> None:
    a, b = samples(GRAPH, X, NAMES), samples(GRAPH, X, NAMES)
    assert all(np.array_equal(a[name], b[name]) for name in NAMES)


def test_the_input_itself() -> None:
    assert ranges(GRAPH, X, ["x"])["x"] == (X.min(), X.max())


def test_vectors() -> None:
    graph = chain((2,), Linear(np.diag([1.0, -1.0]), np.zeros(2)))
    np.testing.assert_array_equal(
        lowest(graph, np.array([[1.0, 2.0], [3.0, 4.0]]), ["linear1"])["linear1"], [1, -4]
    )


def test_nothing_to_measure_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "run", None)
    assert ranges(GRAPH, X, ()) == lowest(GRAPH, X, ()) == samples(GRAPH, X, ()) == {}
