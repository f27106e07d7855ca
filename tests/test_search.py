from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import beta

import neurocompile as nc
from neurocompile import search as module
from neurocompile.errors import DataError
from neurocompile.ir import Array
from neurocompile.options import MOST_DIGITS
from neurocompile.search import Search, Tried, fewest_steps
from neurocompile.significance import PairedLoss

MODELS = Path(__file__).parents[1] / "models"

LOSING: dict[str, Any] = {"code": "rate", "reset": "zero", "balance": "max", "encoder": "poisson"}


@cache
def digits() -> tuple[nc.Model, Array, Array]:
    with np.load(MODELS / "digits-mlp.npz") as data:
        # Labelled images that the network was not trained on.
        return nc.Model.read(MODELS / "digits-mlp.onnx"), data["x_test"][:300], data["y_test"][:300]


def searched(tolerance: float, *, labelled: bool = False, **options: Any) -> Search:
    model, x, y = digits()
    return fewest_steps(model, x, nc.Options(**options), tolerance, y if labelled else None)


def changed(steps: int, **options: Any) -> int:
    """What a network calibrated on every other image changes on the others."""
    model, x, _ = digits()
    found = nc.compile(model, x[::2], nc.Options(steps=steps, **options)).evaluate(x[1::2]).changed_decisions
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("options", "candidates"),
    [
        ({"code": "digit"}, list(range(1, MOST_DIGITS + 1))),
        ({"code": "rate"}, [1, 2, 4, 8, 16, 32, 64, 128, 256]),
    ],
    ids=["digit", "rate"],
)
@pytest.mark.parametrize("tolerance", [1.0, 3.0])
def test_the_first_that_keeps_the_tolerance_is_chosen(
    options: dict[str, Any], candidates: list[int], tolerance: float
) -> None:
    search = searched(tolerance, **options)
    assert search.reached
    assert [tried.steps for tried in search.tried] == candidates[: len(search.tried)]
    assert search.chosen is search.tried[-1]
    for tried in search.tried:
        assert (tried.points <= tolerance) == (tried is search.chosen)
        assert tried.changed == changed(tried.steps, **options)
        assert (tried.images, tried.loss) == (150, None)


def test_any_loss_will_do() -> None:
    assert [tried.steps for tried in searched(100.0, code="digit").tried] == [1]


def test_steps_that_were_given_are_not_among_the_options_that_count() -> None:
    assert searched(3.0, code="digit", steps=7).tried == searched(3.0, code="digit").tried


def test_the_code_is_chosen_as_for_any_compilation() -> None:
    assert searched(3.0).tried == searched(3.0, code="digit").tried


def test_where_nothing_keeps_the_tolerance_the_best_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_RATE_STEPS", 4)
    search = searched(0.0, **LOSING)
    assert [tried.steps for tried in search.tried] == [1, 2, 4]
    assert not search.reached
    assert search.chosen.points == min(tried.points for tried in search.tried) > 0


def test_of_equals_the_fewest_steps_are_chosen() -> None:
    tried = tuple(Tried(steps, 100, changed, None) for steps, changed in ((1, 9), (2, 3), (4, 3), (8, 5)))
    search = Search(1.0, tried)
    assert not search.reached
    assert search.chosen.steps == 2


def test_exactly_the_tolerance_is_kept() -> None:
    assert Search(3.0, (Tried(2, 100, 3, None),)).reached
    assert not Search(2.999, (Tried(2, 100, 3, None),)).reached


def test_labels_tell_the_loss() -> None:
    search = searched(2.0, labelled=True, code="digit")
    model, x, y = digits()
    for tried in search.tried:
        network = nc.compile(model, x[::2], nc.Options(code="digit", steps=tried.steps))
        measured = network.evaluate(x[1::2], y[1::2])
        assert tried.loss == measured.loss
        assert tried.points == pytest.approx(measured.loss_points)
        assert tried.at_most == measured.loss.high  # type: ignore[union-attr]


def test_a_network_may_gain_with_labels_and_change_decisions_at_once() -> None:
    gained = Tried(4, 100, 5, PairedLoss(100, 2, 3))
    assert gained.points == -1
    assert Search(0.0, (gained,)).reached
    assert Tried(4, 100, 5, None).points == 5


@pytest.mark.parametrize(("count", "images"), [(0, 150), (3, 150), (10, 50)])
def test_changed_decisions_have_an_upper_end(count: int, images: int) -> None:
    expected = 100 * beta.ppf(0.95, count + 1, images - count)
    assert Tried(4, images, count, None).at_most == pytest.approx(expected, rel=1e-6)


def test_tells_of_each_number_of_steps() -> None:
    model, x, _ = digits()
    seen: list[str] = []
    search = fewest_steps(model, x, nc.Options(code="digit"), 3.0, progress=lambda doing, *_: seen.append(doing))
    assert seen == ["trying 1 step", *(f"trying {tried.steps} steps" for tried in search.tried[1:])]


@pytest.mark.parametrize("tolerance", [float("nan"), -0.1, float("-inf")])
def test_refuses_what_is_no_tolerance(tolerance: float) -> None:
    with pytest.raises(DataError, match="is no loss"):
        searched(tolerance, code="digit")


def test_refuses_a_code_without_steps() -> None:
    with pytest.raises(DataError, match="--code graded sends one message"):
        searched(1.0, code="graded")


def test_refuses_one_image() -> None:
    model, x, _ = digits()
    with pytest.raises(DataError, match="one calibration image can't be held out"):
        fewest_steps(model, x[:1], nc.Options(code="digit"), 1.0)


def test_two_images_are_enough() -> None:
    model, x, _ = digits()
    search = fewest_steps(model, x[:2], nc.Options(code="digit"), 100.0)
    assert search.chosen.images == 1


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (np.zeros(299, int), "there are 300 images"),
        (np.full(300, 10), "labels from 10 to 10"),
        (np.zeros(300), "float64"),
    ],
    ids=["count", "class", "type"],
)
def test_refuses_labels_that_do_not_fit(labels: Array, problem: str) -> None:
    model, x, _ = digits()
    with pytest.raises(DataError, match=problem):
        fewest_steps(model, x, nc.Options(code="digit"), 1.0, labels)


@pytest.mark.parametrize("images", [np.zeros((10, 3)), np.full((10, 64), np.nan)], ids=["shape", "nan"])
def test_refuses_images_that_do_not_fit(images: Array) -> None:
    with pytest.raises(DataError, match=r"has the shape|NaN"):
        fewest_steps(digits()[0], images, nc.Options(code="digit"), 1.0)
