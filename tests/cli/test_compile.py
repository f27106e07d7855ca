from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from neurocompile_numpy.backend import NumpyBackend

import neurocompile as nc
from neurocompile.errors import Issue

DIGITS = Path(__file__).parents[2] / "models" / "digits-mlp.onnx"
COMMAND = Path(sys.executable).with_name("neurocompile")


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("target", ["numpy", "lava"])
def test_compile_store_and_run(folder: Path, target: str) -> None:
    digits = ("--target", target, "--steps", "32", "--samples", "16", "-o", "digits.nc", "--json")
    compiled = command(folder, str(DIGITS), *digits)
    assert compiled.returncode == 0
    assert ("running on Lava ..." in compiled.stderr) == (target == "lava")
    assert "simulating ..." in compiled.stderr
    assert compiled.stdout.count("\n") == 1
    found = json.loads(compiled.stdout)
    assert found["schema"] == 1
    assert found["options"]["precision"] == ("int8" if target == "lava" else "float")
    assert found["snn"]["steps"] == len(found["snn"]["accuracy_by_step"]) == 32
    assert found["ann"]["accuracy"] > 0.9
    assert found["snn"]["accuracy"] > 0.9
    assert found["snn"]["agreement"] > 0.9
    assert found["loss"]["points"] == 100 * (found["ann"]["accuracy"] - found["snn"]["accuracy"])
    deployment = found["deployment"]
    assert (deployment["target"], deployment["samples"], deployment["spike_mismatches"]) == (target, 16, 0)
    assert deployment["seconds"] > 0

    with np.load(DIGITS.with_suffix(".npz")) as data:
        np.save(folder / "digits.npy", data["x_test"][:16])
    arguments = ("run", "digits.nc", "--input", "digits.npy", "-o", "spikes.npz", "--json")
    ran = command(folder, *arguments)
    assert ran.returncode == 0
    assert ran.stdout.count("\n") == 1
    run = json.loads(ran.stdout)
    assert (run["target"], run["images"], run["steps"]) == (target, 16, 32)
    assert run["spikes_sha256"] == deployment["spikes_sha256"]
    with np.load(folder / "spikes.npz", allow_pickle=False) as stored:
        spikes = {name: stored[name] for name in stored.files}
    assert spikes.pop("decisions").tolist() == run["decisions"]
    assert spikes.pop("potentials").shape == (16, 32, 10)
    assert sum(int(stream.sum()) for stream in spikes.values()) == deployment["spikes"]
    assert all(name.startswith("spikes/") and stream.shape[:2] == (16, 32) for name, stream in spikes.items())


def test_a_deployment_for_lava_runs_on_numpy_too(cli: Callable[..., Any]) -> None:
    assert cli("small.onnx", "--target", "lava", "--steps", "16", "--samples", "5", "-o", "small.nc").status == 0
    digests = set()
    for target in ("numpy", "lava"):
        outcome = cli("run", "small.nc", "--input", "small.npz", "--target", target, "--json")
        assert outcome.status == 0
        digests.add(json.loads(outcome.out)["spikes_sha256"])
    assert len(digests) == 1


def test_the_terminals_report(cli: Callable[..., Any]) -> None:
    outcome = cli("small.onnx", "--steps", "16", "--samples", "3")
    assert outcome.status == 0
    assert outcome.err == "compiling ...\nsimulating ...\n"
    assert "40 test images" in outcome.out
    assert "deployed on numpy: 3 images" in outcome.out
    assert "\x1b" not in outcome.out


def test_a_run_on_the_terminal(cli: Callable[..., Any]) -> None:
    assert cli("small.onnx", "-o", "small.nc").status == 0
    outcome = cli("run", "small.nc", "--input", "images.npy", "-o", "spikes.npz")
    assert (outcome.status, outcome.err) == (0, "simulating ...\n")
    assert "5 images on numpy, 64 steps" in outcome.out
    with np.load("spikes.npz") as stored:
        assert f"decisions: {' '.join(map(str, stored['decisions']))}\n" in outcome.out


def test_every_option_is_one_of_the_compilers(cli: Callable[..., Any]) -> None:
    outcome = cli(
        *("small.onnx", "--data", "small.npz", "--target", "numpy", "--steps", "9", "--reset", "zero"),
        *("--precision", "int8", "--encoder", "poisson", "--decoder", "count", "--balance", "max"),
        *(
            "--percentile",
            "99",
            "--per",
            "layer",
            "--samples",
            "2",
            "--seed",
            "5",
            "--output",
            "small.nc",
            "--json",
        ),
    )
    assert outcome.status == 0
    expected = nc.Options(9, "zero", "int8", "poisson", "count", nc.Calibration("max", 99, "layer"), 5, "numpy")
    assert json.loads(outcome.out)["options"] == dataclasses.asdict(expected)
    assert nc.load("small.nc").options == expected


def test_the_same_command_writes_the_same_file(cli: Callable[..., Any], folder: Path) -> None:
    files = []
    for _ in range(2):
        assert cli("small.onnx", "-o", "small.nc").status == 0
        files.append((folder / "small.nc").read_bytes())
    assert files[0] == files[1]


class Picky(NumpyBackend):
    """A target that takes no network."""

    name: ClassVar[str] = "picky"

    def check(self, graph: Any) -> list[Issue]:
        neurons = [node for node in graph.nodes if node.name in ("rectified", "hidden")]
        return [
            Issue("is not to its taste", node.name, type(node.op).__name__, "take another") for node in neurons
        ]


def test_a_target_tells_all_that_it_can_not_take(
    refused: Callable[..., str], add_backend: Callable[[type], None]
) -> None:
    add_backend(Picky)
    message = refused("small.onnx", "--target", "picky")
    assert "node 'hidden' (LinearSynapses): is not to its taste\n  remedy: take another" in message
    assert "node 'rectified' (IntegrateAndFire): is not to its taste\n  remedy: take another" in message


# ---------------------------------------------------------------- a target that fires other spikes


class Forgetful(NumpyBackend):
    """A target that loses a neuron's spikes."""

    name: ClassVar[str] = "forgetful"

    def compile(self, *arguments: Any) -> Any:
        executable = super().compile(*arguments)

        class Loses:
            def run(self, x: Any, **options: Any) -> nc.Result:
                result = executable.run(x, **options)
                spikes = {name: stream.copy() for name, stream in result.spikes.items()}
                spikes["rectified"][0] ^= True
                return dataclasses.replace(result, spikes=spikes)

            def close(self) -> None:
                pass

        return Loses()


@pytest.fixture
def forgetful(add_backend: Callable[[type], None]) -> None:
    add_backend(Forgetful)


@pytest.mark.usefixtures("forgetful")
def test_other_spikes_are_told_by_the_exit_status(cli: Callable[..., Any]) -> None:
    outcome = cli("small.onnx", "--target", "forgetful", "--steps", "10", "--json")
    assert outcome.status == 1
    deployment = json.loads(outcome.out)["deployment"]
    assert deployment["spike_mismatches"] == 80
    assert deployment["mismatches_by_layer"] == {"rectified": 80, "potentials": 0}
    outcome = cli("small.onnx", "--target", "forgetful", "--steps", "10")
    assert outcome.status == 1
    assert "80 mismatches" in outcome.out
