from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from neurocompile.backend import Activity, Progress, Result, silent
from neurocompile.evaluate import Evaluation, evaluate, mismatches
from neurocompile.significance import PairedLoss, share_at_most

IMAGES, STEPS, CLASSES = 20, 6, 4


@dataclass
class Prepared:
    """An executable whose result was made before."""

    result: Result
    asked: list[tuple[int, tuple[str, ...], int]] = field(default_factory=list)

    def run(
        self,
        x: np.ndarray,
        *,
        steps: int,
        probes: Sequence[str] = (),
        first: int = 0,
        progress: Progress = silent,
    ) -> Result:
        self.asked.append((steps, tuple(probes), first))
        progress("running", len(x), len(x))
        return replace(self.result, potentials=self.result.potentials[first : first + len(x)])

    def close(self) -> None:
        pass


ACTIVITY = {
    "image": Activity(500, 4000, np.array([500, 0])),
    "first": Activity(300, 900, np.array([100, 200, 0])),
    "second": Activity(100, 0, np.array([100])),
}
NEURONS = {"first": 8, "second": 2}


def result(potentials: np.ndarray, spikes: Mapping[str, np.ndarray] | None = None) -> Result:
    return Result(potentials, ACTIVITY, spikes or {}, 1.5)


@pytest.fixture
def potentials() -> np.ndarray:
    # Few different values, so that many are equal and the first of them has to win.
    return np.random.default_rng(0).integers(0, 3, (IMAGES, STEPS, CLASSES))


@pytest.fixture
def y() -> np.ndarray:
    return np.random.default_rng(1).integers(0, CLASSES, IMAGES)


@pytest.fixture
def ann() -> np.ndarray:
    return np.random.default_rng(2).integers(0, CLASSES, IMAGES)


def measured(ann_accuracy: float | None, accuracy_by_step: list[float]) -> Evaluation:
    return Evaluation(10, ann_accuracy, np.array(accuracy_by_step), None, None, ACTIVITY, NEURONS, 0.1)


def first_of_largest(values: np.ndarray) -> int:
    best = 0
    for i, value in enumerate(values.ravel()):
        if value > values.ravel()[best]:
            best = i
    return best


def test_figures_are_those_of_a_plain_computation(potentials: np.ndarray, y: np.ndarray, ann: np.ndarray) -> None:
    executable = Prepared(result(potentials))
    told: list[tuple[str, int, int]] = []
    found = evaluate(
        executable,
        np.zeros((IMAGES, 3)),
        y,
        steps=STEPS,
        neurons=NEURONS,
        ann=ann,
        progress=lambda *now: told.append(now),
    )
    for step in range(STEPS):
        right = sum(first_of_largest(potentials[i, step]) == y[i] for i in range(IMAGES))
        assert found.accuracy_by_step[step] == right / IMAGES
    alike = sum(ann[i] == first_of_largest(potentials[i, -1]) for i in range(IMAGES))
    ann_right = sum(ann[i] == y[i] for i in range(IMAGES))
    assert (found.images, found.steps, found.seconds) == (IMAGES, STEPS, 1.5)
    assert found.accuracy == found.accuracy_by_step[-1]
    assert found.agreement == alike / IMAGES
    assert found.ann_accuracy == ann_right / IMAGES
    assert found.loss_points == pytest.approx(100 * (found.ann_accuracy - found.accuracy))
    decided = [first_of_largest(potentials[i, -1]) for i in range(IMAGES)]
    only_ann = sum(ann[i] == y[i] != decided[i] for i in range(IMAGES))
    only_snn = sum(decided[i] == y[i] != ann[i] for i in range(IMAGES))
    assert found.loss == PairedLoss(IMAGES, only_ann, only_snn)
    assert found.loss.points == pytest.approx(found.loss_points)
    assert found.changed_decisions == IMAGES - alike
    assert found.changed_at_most == share_at_most(IMAGES - alike, IMAGES)
    assert executable.asked == [(STEPS, (), 0)]
    assert told == [("running", IMAGES, IMAGES)]


def test_a_single_output_decides_by_its_sign() -> None:
    single = np.array([[-2, -1, 1], [0, 1, -1]]).reshape(2, 3, 1)
    assert result(single).decisions.tolist() == [[0, 0, 1], [0, 1, 0]]
    found = evaluate(Prepared(result(single)), np.zeros((2, 3)), np.array([1, 1]), steps=3, neurons=NEURONS)
    assert found.accuracy_by_step.tolist() == [0, 0.5, 0.5]


def test_outputs_in_several_axes_are_classes_in_order() -> None:
    assert result(np.arange(12).reshape(2, 1, 3, 2, 1)).decisions.tolist() == [[5], [5]]


def test_spikes_are_counted_for_a_neuron_and_an_image(potentials: np.ndarray, y: np.ndarray) -> None:
    found = evaluate(Prepared(result(potentials)), np.zeros((IMAGES, 3)), y, steps=STEPS, neurons=NEURONS)
    assert found.spikes_per_neuron == (300 + 100) / (8 + 2) / IMAGES
    assert found.synaptic_operations == (4000 + 900) / IMAGES


def test_without_the_original_there_are_no_figures_of_it(potentials: np.ndarray, y: np.ndarray) -> None:
    found = evaluate(Prepared(result(potentials)), np.zeros((IMAGES, 3)), y, steps=STEPS, neurons=NEURONS)
    assert (found.ann_accuracy, found.agreement, found.loss_points, found.loss_relative) == (None,) * 4
    assert (found.loss, found.changed_decisions, found.changed_at_most) == (None,) * 3


@pytest.mark.parametrize(
    ("ann_accuracy", "by_step", "points", "relative"),
    [
        (0.8, [0.1, 0.6], 20.0, 0.25),
        (0.8, [0.9, 0.8], 0.0, 0.0),
        (0.8, [0.9], -10.0, -0.125),
        (0.0, [0.5], -50.0, None),
    ],
)
def test_the_loss(ann_accuracy: float, by_step: list[float], points: float, relative: float | None) -> None:
    found = measured(ann_accuracy, by_step)
    assert found.loss_points == pytest.approx(points)
    assert found.loss_relative == (None if relative is None else pytest.approx(relative))


@pytest.mark.parametrize("images", [1, 3, 9_999, 10_000, 1_000_003])
def test_changed_decisions_are_whole_images(images: int) -> None:
    for changed in {0, 1, images // 3, images - 1, images}:
        alike = np.arange(images) >= changed
        found = replace(measured(0.8, [0.8]), images=images, agreement=float(np.mean(alike)))
        assert found.changed_decisions == changed


def test_a_network_without_neurons_fires_no_spikes() -> None:
    assert (
        Evaluation(10, None, np.array([0.5]), None, None, {"image": ACTIVITY["image"]}, {}, 0.1).spikes_per_neuron
        == 0
    )


def test_mismatches_are_counted_by_layer(potentials: np.ndarray) -> None:
    spikes = np.random.default_rng(3).random((2, IMAGES, STEPS, 8)) < 0.5
    a = result(potentials, {"first": spikes[0], "second": spikes[1]})
    assert mismatches(a, a) == {"first": 0, "second": 0, "potentials": 0}
    changed = spikes[0].copy()
    changed[3, 2, :5] ^= True
    other = potentials.copy()
    other[0, -1, 0] += 1
    b = result(other, {"first": changed, "second": spikes[1]})
    assert mismatches(a, b) == mismatches(b, a) == {"first": 5, "second": 0, "potentials": 1}


def test_large_test_sets_run_in_parts(
    potentials: np.ndarray, y: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluate(Prepared(result(potentials)), np.zeros((IMAGES, 3)), y, steps=STEPS, neurons=NEURONS)
    monkeypatch.setattr("neurocompile.evaluate._PART", IMAGES - 1)
    executable = Prepared(result(potentials))
    told: list[int] = []
    found = evaluate(
        executable,
        np.zeros((IMAGES, 3)),
        y,
        steps=STEPS,
        neurons=NEURONS,
        progress=lambda _, done, __: told.append(done),
    )
    assert np.array_equal(found.accuracy_by_step, whole.accuracy_by_step)
    assert [first for _, _, first in executable.asked] == [0, IMAGES - 1]
    assert told == [IMAGES - 1, IMAGES]
    assert found.activity == {name: a + a for name, a in ACTIVITY.items()}
    assert found.seconds == 2 * whole.seconds
