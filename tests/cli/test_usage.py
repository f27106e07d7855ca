from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from neurocompile.commands import compile as module

STEPS = "choose a whole number from 1 to 4096"


def test_help_names_the_commands_and_every_option(cli: Callable[..., Any]) -> None:
    outcome = cli("--help")
    assert (outcome.status, outcome.err) == (0, "")
    for word in (
        "MODEL",
        "check",
        "run",
        "export",
        "encode",
        "lava",
        "--version",
        "--target",
        "--data",
        "--code",
        "--steps",
        "--tolerance",
        "--bits",
        "--reset",
        "--signed",
        "--no-signed",
        "--wait",
        "--precision",
        "--encoder",
        "--decoder",
        "--balance",
        "--percentile",
        "--samples",
        "--budget",
        "--seed",
        "--lava-python",
        "--output",
        "-o",
        "--json",
        "--debug",
    ):
        assert word in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_help_of_run(cli: Callable[..., Any]) -> None:
    outcome = cli("run", "--help")
    assert (outcome.status, outcome.err) == (0, "")
    for word in ("DEPLOYMENT", "--input", "--target", "--output", "--json"):
        assert word in outcome.out


def test_no_arguments_print_the_help(cli: Callable[..., Any]) -> None:
    outcome = cli()
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == cli("--help").out


def test_the_version(cli: Callable[..., Any]) -> None:
    assert cli("--version") == (0, f"{version('neurocompile')}\n", "")


@pytest.mark.parametrize(
    ("arguments", "problem", "remedy"),
    [
        ("--steps 3", "MODEL is missing", "see neurocompile --help"),
        ("small.onnx --steps", "--steps needs a value", "see neurocompile --help"),
        ("small.onnx --steps many", "--steps takes a whole number or auto, not 'many'", "see neurocompile --help"),
        ("small.onnx --percentile all", "--percentile takes a number, not 'all'", "see neurocompile --help"),
        ("small.onnx --stepps 3", "Unknown option: --stepps. Did you mean --steps?", "see neurocompile --help"),
        ("small.onnx --budget some", "--budget takes a whole number, not 'some'", "see neurocompile --help"),
        ("small.onnx --code morse", '"morse" for --code. Choose from: "auto", "digit"', "see neurocompile --help"),
        ("small.onnx --reset none", '"none" for --reset. Choose from: "subtract", "zero"', "see neurocompile"),
        ("small.onnx other.onnx", "there is no use for other.onnx", "see neurocompile --help"),
        ("small.onnx --json=maybe", "--json", "see neurocompile --help"),
        ("run", "DEPLOYMENT is missing", "see neurocompile run --help"),
        ("run small.nc", "--input is missing", "see neurocompile run --help"),
        ("run small.nc --input", "--input needs a value", "see neurocompile run --help"),
        ("run small.nc --input images.npy --steps 3", "Unknown option: --steps", "see neurocompile run --help"),
        ("small.onnx --steps 0", "steps=0 is not in 1 to 4096", STEPS),
        ("small.onnx --steps 5000", "steps=5000 is not in 1 to 4096", STEPS),
        ("small.onnx --samples 0", "samples=0 is less than 1", "choose 1 or more test images"),
        ("small.onnx --samples -3", "samples=-3 is less than 1", "choose 1 or more test images"),
        ("small.onnx --budget -1", "budget=-1 is less than 0", "choose 0 or some hundreds of test images"),
        ("small.onnx --bits 3", "bits=3 is not in 4 to 8", "choose a whole number from 4 to 8"),
        ("small.onnx --code digit --steps 11", "steps=11 is more than the 10 digits", "choose up to 10 steps"),
        ("small.onnx --code digit --wait", "--code digit does not take --wait", "choose --code rate"),
        ("small.onnx --signed --wait", "--wait does not take --signed", "leave one of them out"),
        ("small.onnx --percentile 0", "percentile=0.0 is not in (0, 100]", "choose a number above 0"),
        ("small.onnx --percentile nan", "percentile=nan is not in (0, 100]", "choose a number above 0"),
        ("small.onnx --bits 6", "--bits does nothing here", "leave it out, or add --code graded"),
        ("small.onnx --code rate --percentile 99", "--percentile does nothing here", "leave it out, or add"),
        ("small.onnx --seed 3", "--seed does nothing here", "leave it out, or add --encoder poisson"),
        (
            "small.onnx --steps 4 --tolerance 1",
            "--tolerance does nothing here",
            "leave it out, or add --steps",
        ),
        ("small.onnx --seed -1", "seed=-1 is no whole number from 0", "choose 0 or"),
        ("small.onnx --target loihi", "there is no target 'loihi'", "choose one of lava, lava-stock, numpy"),
        ("small.onnx -o .", "can't write .: is a folder", "give the name of a file"),
        ("small.onnx -o none/small.nc", "there is no folder none", "give the name of a file"),
        ("small.onnx -o small.onnx/small.nc", "there is no folder small.onnx", "give the name of a file"),
        ("small.onnx -o small.onnx", "would replace a file that this command reads", "give another name"),
        ("small.onnx -o small.npz", "would replace a file that this command reads", "give another name"),
        ("run small.npz --input images.npy -o images.npy", "would replace a file", "give another name"),
    ],
)
def test_wrong_use_is_told(
    refused: Callable[..., str], arguments: str, problem: str, remedy: str, folder: Path
) -> None:
    if arguments.startswith("run") and "-o" in arguments:
        module.compile_network("small.onnx", [[0.0] * 6]).save(folder / "small.npz")
    message = refused(*arguments.split())
    assert problem in message
    assert f"\n  remedy: {remedy}" in message


def test_all_wrong_options_are_told_at_once(refused: Callable[..., str]) -> None:
    message = refused("small.onnx", "--steps", "0", "--seed", "-1", "--samples", "0", "--budget", "-1")
    for problem in ("steps=0", "seed=-1", "samples=0", "budget=-1"):
        assert problem in message
    assert message.count("remedy: ") == 4
    message = refused("small.onnx", "--samples", "0", "--bits", "5", "--seed", "1")
    assert message.count("remedy: ") == 3


def test_paths_that_look_like_markup_are_printed_as_they_are(refused: Callable[..., str]) -> None:
    assert "can't read [red]a[/]:bug:.onnx: " in refused("[red]a[/]:bug:.onnx")


def fail(error: BaseException) -> Callable[..., Any]:
    def raising(*_args: Any, **_options: Any) -> Any:
        raise error

    return raising


def test_a_defect_asks_for_a_report(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "compile_network", fail(ZeroDivisionError("of something")))
    outcome = cli("small.onnx")
    assert (outcome.status, outcome.out) == (70, "")
    assert "error: ZeroDivisionError: of something\n  remedy: this is a defect of neurocompile" in outcome.err
    assert "Traceback" not in outcome.err
    outcome = cli("small.onnx", "--debug")
    assert outcome.status == 70
    assert "Traceback" in outcome.err


@pytest.mark.parametrize(
    ("error", "told"), [(MemoryError(), "none left"), (MemoryError("Unable to allocate 9 TiB"), "allocate 9 TiB")]
)
def test_too_little_memory(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, error: MemoryError, told: str
) -> None:
    monkeypatch.setattr(module, "compile_network", fail(error))
    message = refused("small.onnx")
    assert "there is too little memory" in message
    assert told in message


def test_an_interruption(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "compile_network", fail(KeyboardInterrupt()))
    assert cli("small.onnx") == (130, "", "interrupted\n")
    outcome = cli("small.onnx", "--debug")
    assert outcome.status == 130
    assert "Traceback" in outcome.err


# ---------------------------------------------------------------- standard output


@pytest.mark.parametrize("arguments", [["small.onnx"], ["small.onnx", "--json"], ["--help"]])
def test_a_broken_pipe_ends_quietly(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        outcome = cli(*arguments)
    assert outcome.status == 141
    assert "error" not in outcome.err


def test_whoever_reads_a_little_gets_it(start: Callable[..., Any]) -> None:
    command = start("small.onnx", "--json")
    assert command.process.stdout.read(10) == '{"schema":'
    command.process.stdout.close()
    assert command.process.wait(120) in (0, 141)
    assert "rror" not in command.process.stderr.read()


@pytest.mark.parametrize("arguments", [["small.onnx"], ["small.onnx", "--json"]])
def test_a_full_disk_behind_standard_output(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", full)
        outcome = cli(*arguments)
    assert outcome.status == 2
    assert "can't write the report to standard output: No space left on device\n  remedy: " in outcome.err


def test_run_prints_to_a_broken_pipe_too(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("small.onnx", "--budget", "0", "-o", "small.nc").status == 0

    class Broken(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

        def fileno(self) -> int:
            return os.open(os.devnull, os.O_WRONLY)

    monkeypatch.setattr(sys, "stdout", Broken())
    assert cli("run", "small.nc", "--input", "images.npy").status == 141
