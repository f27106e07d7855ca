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
from neurocompile.report import document, terminal
from neurocompile.report.deployed import Comparison, Ran
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
    network, evaluation, deployed, _ = report
    found = document.compiled("small.onnx", network, evaluation, deployed)
    terminal.print_compiled(console, network, evaluation, deployed)
    text = printed(console)
    snn = found["snn"]
    assert "40 test images, float weights, reset by subtraction, constant input" in text
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
    terminal.print_compiled(console, report.network, report.evaluation, spoiled)
    text = printed(console)
    assert "deployed on lava" in text
    assert "3 mismatches" in text
    assert text.endswith("rectified: 3 mismatches")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (nc.Options(4, "zero", "int8"), "int8 weights, reset to zero, constant input"),
        (nc.Options(1, encoder="poisson"), "float weights, reset by subtraction, poisson input"),
    ],
)
def test_it_tells_what_was_chosen(
    console: Console, make_report: Callable[..., Any], options: nc.Options, words: str
) -> None:
    report = make_report(options, samples=1)
    terminal.print_compiled(console, report.network, report.evaluation, report.deployed)
    text = printed(console)
    assert words in text
    assert f"SNN, {options.steps} step" in text
    assert "1 image," in text


def test_it_says_that_the_ann_is_unknown(console: Console, report: Any) -> None:
    evaluation = dataclasses.replace(report.evaluation, ann_accuracy=None, agreement=None, loss=None)
    terminal.print_compiled(console, report.network, evaluation, report.deployed)
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
    terminal.print_compiled(console, report.network, evaluation, report.deployed)
    assert isinstance(console.file, io.StringIO)
    assert lines in console.file.getvalue()


def test_names_that_look_like_markup_are_printed_as_they_are(console: Console, report: Any) -> None:
    def renamed(values: Any) -> dict[str, Any]:
        return {name.replace("rectified", "[bold]act:bug:"): value for name, value in values.items()}

    evaluation = dataclasses.replace(
        report.evaluation, activity=renamed(report.evaluation.activity), neurons=renamed(report.evaluation.neurons)
    )
    deployed = dataclasses.replace(report.deployed, mismatches={"[bold]act:bug:": 2, "potentials": 0})
    terminal.print_compiled(console, report.network, evaluation, deployed)
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
    one = Ran(np.array([3]), {"/[x]/act": Activity(3, 0)}, ("/[x]/act",), 0.25, "0")
    terminal.print_ran(console, "numpy", 1, one)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "1 image on numpy, 1 step, 0.2 s" in text
    assert "/[x]/act" in text
