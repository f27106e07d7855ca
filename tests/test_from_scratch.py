"""The example that trains a spiking network from nothing."""

import runpy
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "train_from_scratch.py"


def test_a_network_learns_to_read_times_and_runs_on_lava(capsys: pytest.CaptureFixture[str]) -> None:
    accuracy, differ = runpy.run_path(str(EXAMPLE))["main"](epochs=4)
    assert accuracy > 0.75
    assert differ == 0
    assert "epoch 4: loss" in capsys.readouterr().out
    assert len(EXAMPLE.read_text().splitlines()) <= 60
