from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import neurocompile as nc
from neurocompile.backend import Activity
from neurocompile.budget import Budget, LayerLoss, Share
from neurocompile.causes import Cause
from neurocompile.report import document, terminal
from neurocompile.report.deployed import Comparison, Ran
from neurocompile.search import Search, Tried
from neurocompile.significance import PairedLoss


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=80)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    return " ".join(text.split())


def test_it_holds_the_figures_of_the_json_document(console: Console, report: Any) -> None:
    found = document.compiled(report.compiled)
    terminal.print_compiled(console, report.compiled)
    text = printed(console)
    snn = found["snn"]
    assert text.startswith("rate code: as asked for 40 test images, float weights, constant input")
    assert f"ANN {100 * found['ann']['accuracy']:.2f} %" in text
    for step in (1, 2, 4, 8, 16):
        accuracy = snn["accuracy_by_step"][step - 1]
        points = 100 * (found["ann"]["accuracy"] - accuracy)
        assert f"SNN, {step} step{'s' * (step > 1)} {100 * accuracy:.2f} % {points:.2f} points" in text
    last = (
        f"SNN, 20 steps {100 * snn['accuracy']:.2f} % {found['loss']['points']:.2f} points "
        f"{100 * found['loss']['relative']:.2f} % {100 * snn['agreement']:.2f} %"
    )
    assert last in text
    assert f"all 8 {snn['spikes_per_neuron']:.2f} {snn['synaptic_operations']:,.0f}" in text
    for layer in snn["layers"]:
        assert layer["name"] in text
        assert f"{layer['synaptic_operations']:,.0f}" in text
    deployment = found["deployment"]
    assert f"deployed on numpy: 7 images, {deployment['spikes']} spikes in 1 layer compared" in text
    assert "0 mismatches" in text


def test_mismatches_are_told_by_layer(console: Console, report: Any, spoiled: Comparison) -> None:
    terminal.print_compiled(console, dataclasses.replace(report.compiled, deployed=spoiled))
    text = printed(console)
    assert "deployed on lava" in text
    assert "3 mismatches" in text
    assert text.endswith("rectified: 3 mismatches")


RATE: dict[str, Any] = {"code": "rate", "steps": 4, "balance": "channel"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (nc.Options(**RATE, reset="zero", precision="int8"), "rate code, reset to zero: | int8 weights, constant"),
        (nc.Options(**RATE, encoder="poisson"), "rate code: | float weights, poisson input"),
        (nc.Options(**RATE, signed=True), "rate code, signed: | float weights"),
        (nc.Options(**RATE, wait=True), "rate code, waiting: | float weights"),
        (nc.Options(code="digit", steps=6), "digit code, 6 digits: | float weights"),
        (nc.Options(code="digit", steps=1), "digit code, 1 digit: | float weights"),
        (nc.Options(code="graded", bits=5), "graded code, messages of 5 bits: | float weights"),
    ],
)
def test_it_tells_what_was_chosen(
    console: Console, make_report: Callable[..., Any], options: nc.Options, words: str
) -> None:
    report = make_report(options, samples=1)
    terminal.print_compiled(console, report.compiled)
    text = printed(console)
    code, rest = words.split(" | ")
    assert text.startswith(code)
    assert rest in text
    assert f"SNN, {report.network.steps} step" in text
    assert "1 image," in text


def test_it_tells_why_a_code_was_taken(console: Console, report: Any) -> None:
    terminal.print_compiled(console, dataclasses.replace(report.compiled, reason="no other does"))
    assert printed(console).startswith("rate code: no other does 40 test images")


def test_it_tells_where_the_loss_comes_from(console: Console, report: Any) -> None:
    causes: dict[Cause, Share] = {"clipping": Share(0.5, 0.25), "arrival": Share(-0.125, 0.5)}
    budget = Budget(40, 1.0, (LayerLoss("hidden", causes, {"arrival": "--wait"}), LayerLoss("decoder", {})))
    terminal.print_compiled(console, dataclasses.replace(report.compiled, budget=budget))
    text = printed(console)
    assert "loss on 40 images points error most of it what helps" in text
    assert "hidden 0.38 55.9 % arrival --wait" in text
    assert "decoder 0.00 0.0 % leave it as it is" in text
    assert "all 1.00" in text
    assert "points by cause: clipping 0.50, arrival -0.12; left over 0.62" in text


@pytest.mark.parametrize(
    ("tolerance", "losses", "verdict"),
    [
        (4.0, (None, PairedLoss(25, 1, 0)), "2 steps: the fewest within 4 points; loss at most"),
        (0.5, (None, None), "no number of steps is within 0.5 points; 2 lose least; loss (every changed decision"),
    ],
)
def test_it_tells_which_steps_were_tried(
    console: Console, report: Any, tolerance: float, losses: tuple[PairedLoss | None, ...], verdict: str
) -> None:
    tried = (Tried(1, 25, 3, losses[0]), Tried(2, 25, 1, losses[1]))
    terminal.print_compiled(console, dataclasses.replace(report.compiled, search=Search(tolerance, tried)))
    text = printed(console)
    assert f"1 step 25 3 12.00 points {tried[0].at_most:.2f} points" in text
    assert f"2 steps 25 1 4.00 points {tried[1].at_most:.2f} points" in text
    assert verdict in text
    assert f"at most {tried[1].at_most:.2f} points with 95 % confidence" in text


@pytest.mark.parametrize(("images", "told"), [(100, None), (99, "99 images"), (1, "1 image")])
def test_few_calibration_images_are_told(console: Console, report: Any, images: int, told: str | None) -> None:
    terminal.print_compiled(console, dataclasses.replace(report.compiled, calibration_images=images))
    text = printed(console)
    assert ("give some hundreds" in text) == (told is not None)
    assert told is None or f"calibrated on {told} only: give some hundreds" in text


def test_it_says_that_the_ann_is_unknown(console: Console, report: Any) -> None:
    evaluation = dataclasses.replace(report.evaluation, ann_accuracy=None, agreement=None, loss=None)
    terminal.print_compiled(console, dataclasses.replace(report.compiled, evaluation=evaluation))
    text = printed(console)
    assert "ANN unknown" in text
    assert f"SNN, 20 steps {100 * evaluation.accuracy:.2f} % unknown unknown" in text
    assert "confidence" not in text


@pytest.mark.parametrize(
    ("loss", "changed", "lines"),
    [
        (
            PairedLoss(10_000, 25, 8),
            61,
            """
measurable loss: 0.17 points, 95 % confidence 0.06 to 0.30
  right by the ANN only 25, by the SNN only 8 (McNemar's p = 0.005)
  decided unlike the ANN 61 of 10,000 (at most 0.76 % with 95 % confidence)
""",
        ),
        (
            PairedLoss(10_000, 8, 25),
            61,
            """
measurable gain: 0.17 points, 95 % confidence 0.06 to 0.30
  right by the ANN only 8, by the SNN only 25 (McNemar's p = 0.005)
  decided unlike the ANN 61 of 10,000 (at most 0.76 % with 95 % confidence)
""",
        ),
        (
            PairedLoss(10_000, 0, 0),
            0,
            """
no measurable loss: 0.00 points, 95 % confidence -0.04 to 0.04
  right by the ANN only 0, by the SNN only 0 (McNemar's p = 1.000)
  decided unlike the ANN 0 of 10,000 (at most 0.03 % with 95 % confidence)
""",
        ),
        (
            PairedLoss(10_000, 0, 4),
            4,
            """
no measurable loss: -0.04 points, 95 % confidence -0.10 to 0.00
  right by the ANN only 0, by the SNN only 4 (McNemar's p = 0.125)
  decided unlike the ANN 4 of 10,000 (at most 0.10 % with 95 % confidence)
""",
        ),
        (
            PairedLoss(50_000, 12_345, 1_234),
            16_000,
            """
measurable loss: 22.22 points, 95 % confidence 21.81 to 22.64
  right by the ANN only 12,345, by the SNN only 1,234 (McNemar's p < 0.001)
  decided unlike the ANN 16,000 of 50,000 (at most 32.35 % with 95 % confidence)
""",
        ),
    ],
    ids=["loss", "gain", "none", "few", "many"],
)
def test_it_tells_how_sure_the_loss_is(
    console: Console, report: Any, loss: PairedLoss, changed: int, lines: str
) -> None:
    evaluation = dataclasses.replace(
        report.evaluation, images=loss.images, agreement=1 - changed / loss.images, loss=loss
    )
    terminal.print_compiled(console, dataclasses.replace(report.compiled, evaluation=evaluation))
    assert isinstance(console.file, io.StringIO)
    assert lines in console.file.getvalue()


def test_names_that_look_like_markup_are_printed_as_they_are(console: Console, report: Any) -> None:
    def renamed(values: Any) -> dict[str, Any]:
        return {name.replace("rectified", "[bold]act:bug:"): value for name, value in values.items()}

    evaluation = dataclasses.replace(
        report.evaluation, activity=renamed(report.evaluation.activity), neurons=renamed(report.evaluation.neurons)
    )
    deployed = dataclasses.replace(report.deployed, mismatches={"[bold]act:bug:": 2, "potentials": 0})
    terminal.print_compiled(
        console, dataclasses.replace(report.compiled, evaluation=evaluation, deployed=deployed)
    )
    assert printed(console).count("[bold]act:bug:") == 2


def test_a_run(console: Console, report: Any) -> None:
    terminal.print_ran(console, "numpy", 20, report.deployed.ran)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "7 images on numpy, 20 steps" in text
    assert f"decisions: {' '.join(map(str, report.result.decisions[:, -1]))}\n" in text
    assert f"spikes' SHA-256: {report.deployed.ran.digest}\n" in text
    assert str(report.result.activity["rectified"].events) in text


def test_a_run_of_one_image(console: Console) -> None:
    one = Ran(np.array([3]), {"/[x]/act": Activity(3, 0, np.array([3]))}, ("/[x]/act",), 0.25, "0")
    terminal.print_ran(console, "numpy", 1, one)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "1 image on numpy, 1 step, 0.2 s" in text
    assert "/[x]/act" in text
