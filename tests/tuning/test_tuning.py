"""Tuning: what it reaches, that it repeats, and that it goes on where it stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from tuning_problem import OPTIONS, solved, spikes

import neurocompile as nc
from neurocompile.errors import BackendError, DataError, DeploymentError, Issue
from neurocompile.frontends.onnx_reference import OnnxReference
from neurocompile.ir import Array
from neurocompile.tuning import checkpoint, objective, tune
from neurocompile.tuning.options import SurrogateChoice
from neurocompile.tuning.result import best_of
from neurocompile.twin import Traces, Twin
from neurocompile.twin.surrogates import SurrogateName

TUNING = nc.TuningOptions(epochs=3, batch_size=32, learning_rate=0.01, held_out=0.1)


@pytest.fixture(scope="module")
def problem(tmp_path_factory: pytest.TempPathFactory) -> tuple[nc.Model, nc.TrainingData]:
    return solved(tmp_path_factory.mktemp("model"))


Problem = tuple[nc.Model, nc.TrainingData]


@pytest.fixture(scope="module")
def images() -> Problem:
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(12, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
    )
    x = np.random.default_rng(0).normal(size=(60, 1, 3, 4)).astype(np.float32)
    model = nc.Model.of_module(module, x)
    y = model.reference.run(x).argmax(axis=1)
    return model, nc.TrainingData(x, y, x, x, y)


def tuned(problem: Problem, path: Path | None = None, **changed: Any) -> nc.Tuned:
    return nc.tune(*problem, OPTIONS, replace(TUNING, **changed), checkpoint=path)


@pytest.mark.parametrize("precision", ["float", "int8"])
def test_it_decides_better(problem: Problem, precision: str) -> None:
    options = replace(OPTIONS, precision=precision)  # type: ignore[arg-type]
    seen: list[tuple[str, int, int]] = []
    found = nc.tune(*problem, options, replace(TUNING, epochs=8), progress=lambda *told: seen.append(told))
    assert found.after.accuracy > found.before.accuracy + 0.05
    assert found.best.loss < found.epochs[0].loss
    assert (found.training_images, found.held_out_images) == (360, 40)
    assert found.after.ann_accuracy == 1
    assert found.network.options == options.resolved(("rate",))
    assert any("epoch 1 of 8" in doing for doing, _, _ in seen)
    assert all(done <= total for _, done, total in seen)


@pytest.mark.parametrize(("code", "steps"), [("digit", 2), ("graded", 1)])
def test_other_codes(problem: Problem, code: str, steps: int) -> None:
    options = nc.Options(code=code, steps=steps, precision="int8", bits=4)  # type: ignore[arg-type]
    found = nc.tune(*problem, options, replace(TUNING, epochs=4, learning_rate=0.002))
    assert found.best.number > 0
    # The loss is that of the answers, and no sum of messages.
    assert found.epochs[0].loss < 1
    assert found.after.accuracy > found.before.accuracy - 0.02
    assert found.after.steps == steps


def test_a_seed_reproduces(problem: Problem) -> None:
    first, again, other = tuned(problem, epochs=1), tuned(problem, epochs=1), tuned(problem, epochs=1, seed=1)
    assert first.network.graph == again.network.graph
    assert first.network.graph != other.network.graph


def test_it_goes_on_where_it_stopped(problem: Problem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tuned(problem)
    path = tmp_path / "checkpoint"
    real, saved = checkpoint.save, []

    def stop(*given: Any) -> None:
        real(*given)
        saved.append(path.read_bytes())
        if len(saved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        tuned(problem, path)
    assert path.read_bytes() == saved[2]
    resumed = tuned(problem, path)
    assert len(saved) == 4
    assert resumed.network.graph == whole.network.graph
    assert [replace(e, seconds=0) for e in resumed.epochs] == [replace(e, seconds=0) for e in whole.epochs]
    # What is finished stays so.
    assert tuned(problem, path).network.graph == whole.network.graph
    assert len(saved) == 4


def test_a_checkpoint_of_another_run_is_refused(problem: Problem, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    tuned(problem, path, epochs=1)
    with pytest.raises(DeploymentError, match="is of a run with another network, other options or other data"):
        tuned(problem, path, epochs=2)
    model, data = problem
    with pytest.raises(DeploymentError, match="is of a run with another"):
        tuned((model, replace(data, y_train=1 - data.y_train.clip(0, 1))), path, epochs=1)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DeploymentError, match="can't go on from the checkpoint"):
        tuned(problem, path, epochs=1)
    nc.compile(model, data.x_calibration, OPTIONS).save(path)
    with pytest.raises(DeploymentError, match="checkpoint is none, or of another version"):
        tuned(problem, path, epochs=1)


def test_it_stops_when_it_no_longer_gets_better(problem: Problem) -> None:
    found = tuned(problem, epochs=30, patience=2)
    assert len(found.epochs) < 31
    assert found.epochs[-1].number - found.best.number == 2
    assert found.best == best_of(found.epochs)


@pytest.mark.parametrize("precision", ["float", "int8"])
def test_the_converted_network_is_kept_if_nothing_is_better(problem: Problem, precision: str) -> None:
    options = replace(OPTIONS, precision=precision)  # type: ignore[arg-type]
    found = nc.tune(*problem, options, replace(TUNING, epochs=2, learning_rate=1.0, losses={"w_rate": 0.0}))
    converted = nc.compile(problem[0], problem[1].x_calibration, options)
    assert found.best.number == 0
    assert found.after == found.before
    assert found.network.graph == converted.graph
    np.testing.assert_array_equal(spikes(found.network), spikes(converted))


def test_mixed_precision(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    types = set()
    real = torch.nn.functional.linear

    def linear(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        y = real(x, weight)
        types.add(y.dtype)
        return y

    monkeypatch.setattr(torch.nn.functional, "linear", linear)
    found = tuned(problem, mixed_precision=True, epochs=1)
    assert types == {torch.bfloat16}
    assert np.isfinite(found.epochs[1].loss)
    assert found.after.accuracy > 0.5


def test_losses_of_ones_own(problem: Problem) -> None:
    few = tuned(problem, losses={"w_rate": 5.0}, epochs=2)
    many = tuned(problem, losses={"w_rate": 5.0, "target_rate": 1.0}, epochs=2)
    assert few.epochs[2].spikes_per_neuron < many.epochs[2].spikes_per_neuron
    assert np.isfinite(tuned(problem, losses={"w_membrane": 0.1}, epochs=1).epochs[1].loss)
    with pytest.raises(DataError, match="'w_spikes' is no field of LossConfig"):
        tuned(problem, losses={"w_spikes": 1})


def test_from_the_original_networks_answers_alone(problem: Problem) -> None:
    none = {"w_probspikes": 0.0, "w_rate": 0.0}
    found = tuned(problem, losses=none, epochs=2)
    assert found.epochs[2].loss < found.epochs[0].loss
    with pytest.raises(DataError, match="the loss has no terms"):
        tuned(problem, losses=none, distillation=0)


@pytest.mark.parametrize(
    ("losses", "at_once"),
    [({}, [False, True, False]), ({"w_isi": 0.1}, [False] * 3), ({"w_membrane": 0.1}, [False] * 3)],
)
def test_digits_are_trained_at_once_unless_their_order_counts(
    problem: Problem, losses: dict[str, float], at_once: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    real = Twin.forward

    def forward(twin: Twin, *given: Any, at_once: bool = False, **named: Any) -> Traces:
        seen.append(at_once)
        return real(twin, *given, at_once=at_once, **named)

    monkeypatch.setattr(Twin, "forward", forward)
    options = replace(OPTIONS, code="digit", steps=4, balance=None)
    nc.tune(*problem, options, replace(TUNING, epochs=1, batch_size=400, losses=losses))
    # The images held out, before and after, are decided on step by step, as they will be.
    assert seen == at_once


def test_the_teacher_sees_what_is_learned_from(images: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    taught, learned = [], []
    run, encode = OnnxReference.run, Twin.encode

    def taken(reference: OnnxReference, x: Array) -> Array:
        taught.append(x)
        return run(reference, x)

    def encoded(twin: Twin, x: Array, *given: Any) -> torch.Tensor:
        learned.append(x)
        return encode(twin, x, *given)

    monkeypatch.setattr(OnnxReference, "run", taken)
    monkeypatch.setattr(Twin, "encode", encoded)
    model, data = images
    nc.tune(model, data, OPTIONS, replace(TUNING, epochs=1, batch_size=400, flip=True, shift=1))
    (before, batch, after), x_train = learned, data.x_train
    np.testing.assert_array_equal(before, after)
    assert any(x is batch for x in taught)
    # Each image is made of pixels of its own, and few are as they were.
    assert np.isin(batch, x_train).all()
    assert len({x.tobytes() for x in batch} & {x.tobytes() for x in x_train}) < len(batch) / 2


def test_what_has_no_height_and_width_is_not_augmented(problem: Problem) -> None:
    with pytest.raises(DataError, match=r"has the shape \(6,\), and can't be mirrored or moved"):
        tuned(problem, flip=True)


def test_a_shift_leaves_half_of_an_image(images: Problem) -> None:
    with pytest.raises(DataError, match=r"shift=2 moves half of what the network sees out of images \(1, 3, 4\)"):
        nc.tune(*images, OPTIONS, replace(TUNING, shift=2))


def test_training_images_on_another_scale_are_refused(problem: Problem) -> None:
    model, data = problem
    with pytest.raises(DataError, match=r"x_train: .* % of the values are beyond"):
        nc.tune(model, replace(data, x_train=data.x_train * 16), OPTIONS, TUNING)


def test_a_checkpoint_that_cant_be_written_is_told_before_the_first_epoch(
    problem: Problem, tmp_path: Path
) -> None:
    seen: list[str] = []
    with pytest.raises(DeploymentError, match="can't write"):
        nc.tune(
            *problem,
            OPTIONS,
            TUNING,
            checkpoint=tmp_path / "missing" / "c",
            progress=lambda *told: seen.append(told[0]),
        )
    assert not any("epoch" in doing for doing in seen)


def test_without_the_original_networks_answers(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune, "log_probabilities", None)
    assert tuned(problem, distillation=0, epochs=1).epochs[1].loss > 0


def test_a_loss_that_is_not_finite_is_told(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    class Infinite(objective.Objective):
        def __call__(self, *given: Any) -> torch.Tensor:
            return super().__call__(*given) * torch.inf

    monkeypatch.setattr(objective, "Objective", Infinite)
    with pytest.raises(DataError, match="the loss is no longer finite"):
        tuned(problem)


def test_poisson_spikes(problem: Problem) -> None:
    options = replace(OPTIONS, encoder="poisson", steps=4)
    runs = [nc.tune(*problem, options, replace(TUNING, epochs=1)) for _ in range(2)]
    assert runs[0].network.graph == runs[1].network.graph


def test_a_module_from_pytorch() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    x = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    y = np.random.default_rng(1).integers(0, 3, 60)
    data = nc.TrainingData(x, y, x, x, y)
    found = nc.tune(nc.Model.of_module(module, x), data, tuning=nc.TuningOptions(epochs=1))
    assert (found.network.options.code, found.network.steps, found.network.options.balance) == ("digit", 2, "mse")


def test_what_is_refused(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = problem
    with pytest.raises(DataError, match="there is one training image"):
        nc.tune(model, replace(data, x_train=data.x_train[:1], y_train=data.y_train[:1]))
    for device in ("nothing", "meta"):
        with pytest.raises(DataError, match=f"PyTorch has no device '{device}'"):
            tuned(problem, device=device)
    with pytest.raises(DataError) as raised:
        nc.TuningOptions(
            0,
            1.5,  # type: ignore[arg-type]
            2.0,
            -1,
            held_out=0.9,
            patience=0,
            surrogate="none",  # type: ignore[arg-type]
            seed=-1,
            shift=-1,
            flip="no",  # type: ignore[arg-type]
            losses=[1],  # type: ignore[arg-type]
            device=1.5,  # type: ignore[arg-type]
        )
    assert len(raised.value.issues) == 12
    assert all(issue.remedy for issue in raised.value.issues)

    class Target:
        codes, stock = ("rate",), False

        def check(self, graph: object) -> list[Issue]:
            del graph
            return [Issue("it does not take what was trained")]

    real = tune.find
    monkeypatch.setattr(tune, "find", lambda name: Target() if name == "numpy" else real(name))
    with pytest.raises(BackendError, match="it does not take what was trained"):
        tuned(problem, epochs=1)


def test_every_surrogate_can_be_chosen() -> None:
    """The options name them anew, since they are read without PyTorch."""
    assert set(get_args(SurrogateChoice)) == set(get_args(SurrogateName))
