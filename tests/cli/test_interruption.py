from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import small_network
from neurocompile_lava.runtime import find_or_make

PATIENCE = 120.0

LONG = ("--code", "rate", "--steps", "4096", "--balance", "channel")


def interrupted(command: Any) -> None:
    """Send Ctrl-C, and see that the command ends as it should and leaves nothing."""
    command.process.send_signal(signal.SIGINT)
    outcome = command.end()
    assert (outcome.status, outcome.out) == (130, "")
    assert outcome.err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in outcome.err
    deadline = time.monotonic() + PATIENCE
    while command.left() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert command.left() == []


def test_while_data_are_read(folder: Path, start: Callable[..., Any]) -> None:
    # Whoever reads from a pipe into which nobody writes waits.
    os.mkfifo(folder / "slow.npz")
    command = start("small.onnx", "--data", "slow.npz", "-o", "small.nc")
    with (folder / "slow.npz").open("wb"):
        interrupted(command)
    assert not (folder / "small.nc").exists()


def test_while_compiling(folder: Path, start: Callable[..., Any]) -> None:
    # So many calibration images take many seconds.
    np.savez(folder / "small.npz", **{**small_network.data(), "x_calibration": small_network.images(2_000_000)})
    command = start("small.onnx", "-o", "small.nc")
    command.wait_for("compiling")
    interrupted(command)
    assert not (folder / "small.nc").exists()


def test_while_simulating(folder: Path, start: Callable[..., Any]) -> None:
    np.savez(folder / "small.npz", **small_network.data(20_000))
    command = start("small.onnx", *LONG)
    command.wait_for("simulating")
    interrupted(command)


@pytest.fixture
def on_lava(start: Callable[..., Any]) -> Any:
    """A long run on Lava, which has begun."""
    find_or_make(print)
    command = start("small.onnx", "--target", "lava", *LONG)
    command.wait_for("running on Lava")
    return command


def test_while_running_on_lava(on_lava: Any) -> None:
    assert on_lava.left()
    interrupted(on_lava)


def test_a_killed_worker(on_lava: Any) -> None:
    for process in psutil.Process(on_lava.process.pid).children():
        process.kill()
    outcome = on_lava.end()
    assert (outcome.status, outcome.out) == (2, "")
    assert "error: the Lava worker was killed by SIGKILL" in outcome.err
    assert on_lava.left() == []


def test_a_terminated_command_leaves_nothing(on_lava: Any) -> None:
    on_lava.process.terminate()
    outcome = on_lava.end()
    assert (outcome.status, outcome.out) == (128 + signal.SIGTERM, "")
    assert on_lava.left() == []
