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
import small_network
from neurocompile_numpy.backend import NumpyBackend
from onnx import helper

import neurocompile as nc
from neurocompile.errors import Issue

DIGITS = Path(__file__).parents[2] / "models" / "digits-mlp.onnx"
COMMAND = Path(sys.executable).with_name("neurocompile")


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("target", "options", "steps"),
    [
        ("numpy", (), 8),
        ("lava", (), 8),
        ("lava", ("--code", "graded"), 1),
        ("lava", ("--code", "rate", "--balance", "channel", "--steps", "32"), 32),
    ],
    ids=["numpy", "lava", "lava-graded", "lava-rate"],
)
def test_compile_store_and_run(folder: Path, target: str, options: tuple[str, ...], steps: int) -> None:
    digits = ("--target", target, "--samples", "16", "--budget", "100", "-o", "digits.nc", "--json")
    compiled = command(folder, str(DIGITS), *digits, *options)
    assert compiled.returncode == 0
    assert ("running on Lava ..." in compiled.stderr) == (target == "lava")
    assert "simulating ..." in compiled.stderr
    assert compiled.stdout.count("\n") == 1
    found = json.loads(compiled.stdout)
    assert found["schema"] == 1
    assert found["options"]["precision"] == ("int8" if target == "lava" else "float")
    assert found["snn"]["steps"] == len(found["snn"]["accuracy_by_step"]) == found["options"]["steps"] == steps
    assert found["ann"]["accuracy"] > 0.9
    assert found["snn"]["accuracy"] > 0.9
    assert found["snn"]["agreement"] > 0.9
    assert found["loss"]["points"] == 100 * (found["ann"]["accuracy"] - found["snn"]["accuracy"])
    assert found["budget"]["images"] == 100
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
    assert (run["target"], run["images"], run["steps"]) == (target, 16, steps)
    assert run["spikes_sha256"] == deployment["spikes_sha256"]
    with np.load(folder / "spikes.npz", allow_pickle=False) as stored:
        spikes = {name: stored[name] for name in stored.files}
    assert spikes.pop("decisions").tolist() == run["decisions"]
    assert spikes.pop("potentials").shape == (16, steps, 10)
    assert sum(int(np.count_nonzero(stream)) for stream in spikes.values()) == deployment["spikes"]
    assert all(name.startswith("spikes/") and stream.shape[:2] == (16, steps) for name, stream in spikes.items())


def test_a_deployment_for_lava_runs_on_numpy_too(cli: Callable[..., Any]) -> None:
    options = ("--target", "lava", "--samples", "5", "--budget", "0")
    assert cli("small.onnx", *options, "-o", "small.nc").status == 0
    digests = set()
    for target in ("numpy", "lava"):
        outcome = cli("run", "small.nc", "--input", "small.npz", "--target", target, "--json")
        assert outcome.status == 0
        digests.add(json.loads(outcome.out)["spikes_sha256"])
    assert len(digests) == 1


def test_the_terminals_report(cli: Callable[..., Any]) -> None:
    outcome = cli("small.onnx", "--samples", "3", "--budget", "20")
    assert outcome.status == 0
    doing = ("compiling", "preparing the simulator", "simulating", "finding where the loss comes from")
    assert outcome.err == "".join(f"{each} ...\n" for each in doing)
    reason = "digit code, 8 digits: ternary spikes, as exact as messages of 8 bits, and numpy runs its neurons"
    assert reason in " ".join(outcome.out.split())
    assert "40 test images" in outcome.out
    assert "loss on 20 images" in outcome.out
    assert "deployed on numpy: 3 images" in outcome.out
    assert "\x1b" not in outcome.out


def test_a_run_on_the_terminal(cli: Callable[..., Any]) -> None:
    assert cli("small.onnx", "--budget", "0", "-o", "small.nc").status == 0
    outcome = cli("run", "small.nc", "--input", "images.npy", "-o", "spikes.npz")
    assert (outcome.status, outcome.err) == (0, "preparing the simulator ...\nsimulating ...\n")
    assert "5 images on numpy, 8 steps" in outcome.out
    with np.load("spikes.npz") as stored:
        assert f"decisions: {' '.join(map(str, stored['decisions']))}\n" in outcome.out


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (
            "--code rate --steps 9 --reset zero --precision int8 --encoder poisson --decoder count "
            "--balance percentile --percentile 99 --seed 5",
            {
                "code": "rate",
                "steps": 9,
                "reset": "zero",
                "precision": "int8",
                "encoder": "poisson",
                "decoder": "count",
                "balance": "percentile",
                "percentile": 99.0,
                "seed": 5,
                "signed": False,
            },
        ),
        ("--code graded --bits 5 --balance mse", {"code": "graded", "bits": 5, "balance": "mse"}),
        ("--signed --steps 4", {"code": "rate", "signed": True, "steps": 4}),
        ("--wait --balance channel", {"code": "rate", "wait": True, "steps": 16, "balance": "channel"}),
        ("--code digit --steps 5 --balance percentile", {"code": "digit", "steps": 5, "balance": "percentile"}),
        ("--code rate", {"code": "rate", "signed": True, "balance": "ridge"}),
        ("--code rate --no-signed", {"code": "rate", "signed": False, "balance": "ridge"}),
    ],
)
def test_every_option_is_one_of_the_compilers(cli: Callable[..., Any], words: str, fields: dict[str, Any]) -> None:
    outcome = cli(
        *("small.onnx", "--data", "small.npz", "--target", "numpy", *words.split()),
        *("--samples", "2", "--budget", "0", "--output", "small.nc", "--json"),
    )
    assert outcome.status == 0
    expected = nc.Options(**fields).resolved(("digit", "graded", "rate"))
    report = json.loads(outcome.out)
    assert report["options"] == dataclasses.asdict(expected)
    assert report["code"]["name"] == expected.code
    assert (report["deployment"]["samples"], report["budget"]) == (2, None)
    assert nc.load("small.nc").options == expected


def test_the_budget_is_of_the_first_test_images(cli: Callable[..., Any]) -> None:
    whole, some = (json.loads(cli("small.onnx", "--json", *options).out) for options in ((), ("--budget", "7")))
    assert (whole["budget"]["images"], some["budget"]["images"]) == (40, 7)
    assert whole["budget"]["points"] == pytest.approx(whole["loss"]["points"])


# ---------------------------------------------------------------- the fewest steps


@pytest.mark.parametrize("code", ["digit", "rate"])
def test_as_few_steps_as_keep_the_tolerance(cli: Callable[..., Any], code: str) -> None:
    common = ("small.onnx", "--code", code, "--steps", "auto", "--budget", "0", "--samples", "2")
    outcome = cli(*common, "--tolerance", "9", "--json")
    assert outcome.status == 0
    assert "trying 1 step ...\n" in outcome.err
    report = json.loads(outcome.out)
    search = report["steps_search"]
    *others, last = search["tried"]
    assert (search["tolerance"], search["reached"]) == (9, True)
    assert last["steps"] == search["chosen"] == report["options"]["steps"] == report["snn"]["steps"]
    assert last["points"] <= 9 < min(tried["points"] for tried in others)
    assert all(tried["images"] == 25 for tried in search["tried"])
    printed = cli(*common, "--tolerance", "9").out
    assert f"{last['steps']} steps: the fewest within 9 points" in " ".join(printed.split())


def test_no_number_of_steps_keeps_the_tolerance(cli: Callable[..., Any], folder: Path) -> None:
    # The second score is larger than the first by less than 10 digits tell apart.
    weights = {
        "w": np.outer(np.ones(small_network.FEATURES), [1, 1.0003, 0]),
        "same": np.eye(small_network.CLASSES),
    }
    nodes = [
        helper.make_node("Gemm", ["image", "w"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "same"], ["y"]),
    ]
    small_network.write_nodes(folder / "small.onnx", nodes, weights)
    outcome = cli("small.onnx", "--steps", "auto", "--balance", "max", "--budget", "0", "--json")
    assert outcome.status == 0
    search = json.loads(outcome.out)["steps_search"]
    assert (search["reached"], [tried["steps"] for tried in search["tried"]]) == (False, list(range(1, 11)))
    best = min(search["tried"], key=lambda tried: tried["points"])
    assert (best["points"] > 10, best["steps"]) == (True, search["chosen"])


def test_messages_have_no_steps_to_choose(refused: Callable[..., str]) -> None:
    message = refused("small.onnx", "--code", "graded", "--steps", "auto")
    assert "--code graded sends one message: it has no steps\n  remedy: choose --bits" in message


@pytest.mark.parametrize("tolerance", ["-1", "nan"])
def test_tolerances_that_are_none(refused: Callable[..., str], tolerance: str) -> None:
    message = refused("small.onnx", "--steps", "auto", "--tolerance", tolerance)
    assert f"tolerance={float(tolerance)} is no loss" in message


# ---------------------------------------------------------------- without data


def test_without_data_it_compiles_on_synthetic_images(cli: Callable[..., Any], folder: Path) -> None:
    (folder / "small.npz").unlink()
    outcome = cli("small.onnx", "-o", "small.nc", "--json")
    assert outcome.status == 0
    report = json.loads(outcome.out)
    assert (report["data"], report["options"]["balance"], report["options"]["percentile"]) == (
        "synthetic",
        "channel",
        100,
    )
    assert report["snn"]["accuracy"] == report["snn"]["agreement"]
    assert report["budget"]["images"] == report["snn"]["images"]
    assert nc.load("small.nc").synthetic
    assert "no data: calibrated and measured on synthetic images" in cli("small.onnx").out


@pytest.mark.parametrize("option", ["--early-exit", "--steps auto"])
def test_some_options_need_calibration_images(refused: Callable[..., str], folder: Path, option: str) -> None:
    (folder / "small.npz").unlink()
    message = refused("small.onnx", *option.split())
    assert f"{option} needs calibration images, and there are none\n  remedy: give --data FILE" in message


def test_what_stopping_early_brings(cli: Callable[..., Any]) -> None:
    options = ("small.onnx", "--code", "rate", "--steps", "12", "--budget", "0", "--early-exit")
    found = json.loads(cli(*options, "--json").out)["snn"]["early_exit"]
    assert 1 <= found["steps"] < 12
    assert found["changed_decisions"] <= 2
    text = " ".join(cli(*options).out.split())
    accuracy = f"{100 * found['accuracy']:.2f} % right"
    assert f"early exit: {found['steps']:.1f} of 12 steps on average, {accuracy}" in text
    assert json.loads(cli(*options[:-1], "--json").out)["snn"]["early_exit"] is None


def test_the_same_command_writes_the_same_file(cli: Callable[..., Any], folder: Path) -> None:
    files = []
    for _ in range(2):
        assert cli("small.onnx", "--budget", "0", "-o", "small.nc").status == 0
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
    assert "node 'rectified' (DigitNeurons): is not to its taste\n  remedy: take another" in message


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
                spikes["rectified"][0] = 1 - spikes["rectified"][0]
                return dataclasses.replace(result, spikes=spikes)

            def close(self) -> None:
                pass

        return Loses()


@pytest.fixture
def forgetful(add_backend: Callable[[type], None]) -> None:
    add_backend(Forgetful)


@pytest.mark.usefixtures("forgetful")
def test_other_spikes_are_told_by_the_exit_status(cli: Callable[..., Any]) -> None:
    outcome = cli("small.onnx", "--target", "forgetful", "--steps", "10", "--budget", "0", "--json")
    assert outcome.status == 1
    deployment = json.loads(outcome.out)["deployment"]
    assert deployment["spike_mismatches"] == 80
    assert deployment["mismatches_by_layer"] == {"rectified": 80, "potentials": 0}
    outcome = cli("small.onnx", "--target", "forgetful", "--steps", "10", "--budget", "0")
    assert outcome.status == 1
    assert "80 mismatches" in outcome.out


def test_a_chip(cli: Callable[..., Any]) -> None:
    given = ("--samples", "5", "--budget", "0", "--chip")
    outcome = cli("small.onnx", *given, "loihi1", "--code", "rate", "--reset", "zero")
    assert outcome.status == 0
    assert "2 cores on 1 chip of 128, 11 neurons" in outcome.out
    assert "for an image on loihi1 " in outcome.out
    assert ": estimate; constants of Davies et al. 2018" in outcome.out
    found = json.loads(cli("small.onnx", *given, "loihi1", "--code", "rate", "--reset", "zero", "--json").out)
    cost, snn = found["cost"], found["snn"]
    assert found["mapping"]["cores"] == 2
    assert cost["synapses_nj"] == pytest.approx(snn["synaptic_operations"] * 23.6 / 1e3)
    assert cost["neurons_nj"] == pytest.approx(11 * snn["steps"] * 81 / 1e3)
    assert cost["energy_nj"] == pytest.approx(cost["synapses_nj"] + cost["neurons_nj"] + cost["hops_nj"])
    assert cost["time_us"] > 0


def test_no_energy_is_told_of_loihi_2(cli: Callable[..., Any]) -> None:
    outcome = cli("small.onnx", "--samples", "5", "--budget", "0", "--chip", "loihi2", "--json")
    found = json.loads(outcome.out)
    assert (found["mapping"]["chip"]["name"], found["cost"]) == ("loihi2", None)


def test_a_chip_that_the_network_does_not_fit(cli: Callable[..., Any]) -> None:
    outcome = cli("small.onnx", "--chip", "loihi1")
    assert outcome.status == 2
    assert "(DigitNeurons): sends more than spikes of one bit, and loihi1 sends no others" in outcome.err
