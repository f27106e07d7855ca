from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tuning_problem import arrays

import neurocompile as nc
from neurocompile.tuning import checkpoint

QUICK = ("--epochs", "1", "--batch-size", "64", "--threads", "1")


@pytest.fixture
def labelled(folder: Path) -> Path:
    np.savez(folder / "small.npz", **arrays(nc.Model.read(folder / "small.onnx"), 200))
    return folder


def test_tunes_reports_and_deploys(cli: Callable[..., Any], labelled: Path) -> None:
    outcome = cli("tune", "small.onnx", *QUICK, "-o", "tuned.nc", "--checkpoint", "checkpoint", "--json")
    assert outcome.status == 0
    assert "epoch 1 of 1 (" in outcome.err
    found = json.loads(outcome.out)
    assert (found["report"], len(found["epochs"])) == ("tune", 2)
    losses = [epoch["loss"] for epoch in found["epochs"]]
    assert found["best_epoch"] == losses.index(min(losses))
    assert (found["training_images"], found["held_out_images"], found["threads"]) == (190, 10, 1)
    assert (found["options"]["code"], found["options"]["steps"], found["options"]["precision"]) == (
        "digit",
        2,
        "int8",
    )
    assert found["tuning"]["losses"]["w_rate"] == 0.03
    for when in ("before", "after"):
        assert 0 < found[when]["accuracy"] <= 1
        assert len(found[when]["accuracy_by_step"]) == 2
        assert found[when]["spikes_per_neuron"] > 0
        assert found[when]["synaptic_operations"] > 0
    ran = json.loads(cli("run", "tuned.nc", "--input", "small.npz", "--json").out)
    with np.load(labelled / "small.npz") as data:
        assert np.mean(np.array(ran["decisions"]) == data["y_test"]) == found["after"]["accuracy"]
    # It goes on from the checkpoint, which is at the end.
    again = json.loads(
        cli("tune", "small.onnx", *QUICK, "-o", "tuned.nc", "--checkpoint", "checkpoint", "--json").out
    )
    assert again == found


def test_the_report(cli: Callable[..., Any], labelled: Path) -> None:
    (labelled / "losses.json").write_text('{"w_rate": 0.5}')
    options = ("--losses", "losses.json", "--precision", "float", "--steps", "4", "--learning-rate", "0.01")
    outcome = cli("tune", "small.onnx", *QUICK, *options)
    assert outcome.status == 0
    words = " ".join(outcome.out.split())
    assert "digit code, steps: 4, float weights, 190 training images, 10 held out" in words
    assert "tuned, decided after 1 to 4 steps: " in words
    for word in ("converted", "tuned", "ANN 100.00 %", "spikes per neuron", "synaptic operations"):
        assert word in words


def test_what_brought_nothing_is_told(cli: Callable[..., Any], labelled: Path) -> None:
    del labelled
    outcome = cli("tune", "small.onnx", *QUICK, "--learning-rate", "1")
    assert "no epoch was better on the images held out" in " ".join(outcome.out.split())


def test_help(cli: Callable[..., Any]) -> None:
    outcome = cli("tune", "--help")
    assert (outcome.status, outcome.err) == (0, "")
    for word in ("MODEL", "--data", "--steps", "--epochs", "--mixed-precision", "--checkpoint", "--seed"):
        assert word in outcome.out


def test_data_without_labels(refused: Callable[..., str]) -> None:
    message = refused("tune", "small.onnx")
    assert "small.npz lacks y_calibration: tuning needs labels\n  remedy: add x_train with y_train" in message


@pytest.mark.usefixtures("labelled")
def test_what_is_refused(refused: Callable[..., str], folder: Path) -> None:
    assert "epochs=0 is no whole number from 1" in refused("tune", "small.onnx", "--epochs", "0")
    assert "steps=11 is more than the 10 digits" in refused(
        "tune", "small.onnx", "--code", "digit", "--steps", "11"
    )
    assert "can't read none.onnx" in refused("tune", "none.onnx", "--data", "small.npz")
    assert "would replace a file" in refused("tune", "small.onnx", "-o", "small.npz")
    message = refused("tune", "small.onnx", "-o", "same", "--checkpoint", "./same")
    assert "--output and --checkpoint name one file" in message
    assert "can't read none.json" in refused("tune", "small.onnx", "--losses", "none.json")
    (folder / "losses.json").write_text("{")
    assert "losses.json is no JSON" in refused("tune", "small.onnx", "--losses", "losses.json")
    (folder / "losses.json").write_text("[1]")
    assert "losses.json holds no object" in refused("tune", "small.onnx", "--losses", "losses.json")
    (folder / "losses.json").write_text('{"rate": 1}')
    assert "'rate' is no field of LossConfig" in refused("tune", "small.onnx", "--losses", "losses.json")
    message = refused("tune", "small.onnx", "--losses", "losses.json", "-o", "losses.json")
    assert "--output losses.json would replace a file" in message
    message = refused("tune", "small.onnx", "--checkpoint", "small.npz")
    assert "--checkpoint small.npz would replace a file" in message
    assert "shift=-1 is no whole number from 0" in refused("tune", "small.onnx", "--shift", "-1")
    assert "leave out flip and shift" in refused("tune", "small.onnx", "--flip")
    (folder / "losses.json").write_text('{"w_membrane": 0}')
    message = refused("tune", "small.onnx", "--surrogate", "arctan", "--losses", "losses.json")
    assert "--surrogate does nothing here" in message


def test_ctrl_c_tells_how_to_go_on(
    cli: Callable[..., Any], labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del labelled
    real = checkpoint.save

    def stop(*given: Any) -> None:
        real(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", stop)
    outcome = cli("tune", "small.onnx", *QUICK, "--checkpoint", "checkpoint")
    assert outcome.status == 130
    assert outcome.err.splitlines()[-1] == "interrupted: the same command goes on from checkpoint"


def test_without_pytorch_it_tells_how_to_install_it(labelled: Path) -> None:
    script = "import sys; sys.modules['torch'] = None; from neurocompile.cli import main; main()"
    ran = subprocess.run(
        [sys.executable, "-c", script, "tune", "small.onnx"], cwd=labelled, capture_output=True, text=True
    )
    assert ran.returncode == 2
    assert 'pip install "neurocompile[torch]"' in ran.stderr


def test_the_command_line_does_not_import_pytorch() -> None:
    script = "import sys, neurocompile.cli; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert ran.stdout.strip() == "False"
