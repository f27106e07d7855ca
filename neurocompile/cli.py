"""The command line: ``neurocompile MODEL``, and its commands from ``check`` to ``lava``."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from cyclopts import (
    App,
    Argument,
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    Token,
    UnusedCliTokensError,
)

from neurocompile import lava_command
from neurocompile.backend import find, use_python
from neurocompile.calibration.synthetic import synthetic_images
from neurocompile.checker import check
from neurocompile.compiler import compile as compile_network
from neurocompile.console import (
    USAGE,
    CommandConsole,
    Debug,
    Flag,
    Json,
    Output,
    check_output,
    discard_output,
    lava_python_issues,
    standard_output,
)
from neurocompile.data import Data, read_images
from neurocompile.encode_command import encode_command
from neurocompile.errors import BackendError, DataError, Issue, NeurocompileError
from neurocompile.export_command import export_command
from neurocompile.frontends.model import Model
from neurocompile.ir.archive import write_npz
from neurocompile.ir.processes import Reset
from neurocompile.mapping import CHIPS, ChipName, map_graph
from neurocompile.mapping.energy import estimate
from neurocompile.network import load
from neurocompile.options import MOST_BITS, Balance, CodeChoice, Decoding, Encoding, Options, Precision
from neurocompile.parallel import threads as use_threads
from neurocompile.report import document, terminal
from neurocompile.report.compiled import Compiled
from neurocompile.report.deployed import Comparison, Ran
from neurocompile.report.progress import ProgressDisplay
from neurocompile.search import fewest_steps
from neurocompile.tune_command import tune_command

MISMATCH = 1
"""Exit status where the target's spikes are not the simulated ones."""

DEFECT = 70
"""Exit status of an error that is neurocompile's own."""

INTERRUPTED = 130
BROKEN_PIPE = 141
"""Exit status after a signal: 128 and its number."""

_TOLERANCE = 0.1
"""Percentage points, for ``--steps auto``."""

app = App(
    name="neurocompile",
    help="Compile a trained network to a spiking one, measure what it loses, and run it on a target.",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)
app.command(lava_command.app)
app.command(export_command, name="export")
app.command(tune_command, name="tune")
app.command(encode_command, name="encode")

Steps = int | Literal["auto"]


def main(tokens: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    arguments = list(sys.argv[1:] if tokens is None else tokens)
    debug = "--debug" in arguments
    try:
        if arguments:
            status = app(
                arguments,
                console=CommandConsole(),
                exit_on_error=False,
                print_error=False,
                result_action="return_value",
            )
        else:
            app.help_print([], console=CommandConsole(stderr=True))
            status = USAGE
    except CycloptsError as error:
        _tell(f"error: {_usage_problem(error)}", debug)
        status = USAGE
    except NeurocompileError as error:
        _tell(f"error: {error}", debug)
        status = USAGE
    except BrokenPipeError:
        # Whatever read the report has had enough: there is nobody left to tell.
        discard_output()
        status = BROKEN_PIPE
    except KeyboardInterrupt:
        _tell("interrupted", debug)
        status = INTERRUPTED
    except MemoryError as error:
        problem = f"error: there is too little memory ({str(error) or 'none left'})"
        _tell(f"{problem}\n  remedy: choose fewer --steps or --samples, or give fewer images", debug)
        status = USAGE
    except Exception as error:
        remedy = (
            "this is a defect of neurocompile; please report it with the output of the same command and --debug"
        )
        _tell(f"error: {type(error).__name__}: {error}\n  remedy: {remedy}", debug)
        status = DEFECT
    sys.exit(status or 0)


@app.default
def compile_command(
    model: Path,
    /,
    *,
    target: str = "numpy",
    chip: ChipName | None = None,
    data: Path | None = None,
    code: CodeChoice = "auto",
    steps: Steps | None = None,
    tolerance: float | None = None,
    bits: int | None = None,
    reset: Reset = "subtract",
    signed: bool | None = None,
    wait: Flag = False,
    precision: Precision | None = None,
    encoder: Encoding = "constant",
    decoder: Decoding = "membrane",
    balance: Balance | None = None,
    percentile: float | None = None,
    samples: int = 64,
    budget: int = 1000,
    early_exit: Flag = False,
    threads: int | None = None,
    lava_python: Path | None = None,
    refractory: int | None = None,
    seed: int | None = None,
    output: Output = None,
    json_: Json = False,
    debug: Debug = False,
) -> int:
    """Compile a trained network, measure what it loses, and run it on a target.

    Parameters
    ----------
    model
        The ONNX file.
    target
        Where the spiking network runs: numpy, lava, or lava-stock for processes of stock Lava alone.
    chip
        On whose neurocores the network is to fit: loihi1 or loihi2.
    data
        An .npz file with x_calibration, x_test and y_test; MODEL.npz beside the model if not given. If there is
        none, synthetic images stand in, and the report says what is then not known.
    code
        How spikes stand for values. digit: ternary spikes, each worth half of the one before. graded: one
        message of several bits. rate: a count of spikes. auto: the first of these that the target and the other
        options take.
    steps
        Time steps for an image, 1 to 4096; of digit the number of digits, up to 10. 8 for digit and 32 for rate if
        not given; auto for as few as keep the tolerance.
    tolerance
        Of --steps auto: the loss in percentage points on calibration images that were held out; 0.1 if not given.
    bits
        Of the messages of graded, 4 to 8; 8 if not given.
    reset
        What a neuron of rate does when it fires: subtract the threshold, or start again at zero.
    signed
        Neurons of rate take back what they fired too early, by negative spikes; they do with mse and ridge if
        not given.
    wait
        Each layer of rate starts when the one before has finished.
    precision
        Of the weights; int8 for lava and float for numpy if not given.
    encoder
        Of the input: a constant current; or spikes that are drawn by intervals (poisson) or step by step
        (bernoulli), lie at even distances (deterministic), or follow each other from the first step on (burst).
        ttfs is one spike, the earlier the larger a value: for networks that are then trained to read it.
    decoder
        Of the output: the accumulated membrane, or the most that it was (membrane_max); a count of spikes, or the
        neuron that fires first (first_spike).
    balance
        How thresholds are chosen: the max of a layer's activations, a percentile of them, a percentile for each
        channel, by least squares for the number of steps (mse), or with weights and biases, layer by layer
        (ridge). If not given, ridge for rate, mse for graded, and for digit mse below 6 steps, else channel.
    percentile
        Of the activations, above 0 and up to 100, for percentile and channel: 100 for digit and 99.9 else if not
        given.
    samples
        Test images that run on the target and are compared spike by spike.
    budget
        Test images on which it is measured where the loss comes from; 0 leaves that out.
    early_exit
        Measure what it brings to stop an image as soon as its decision is safe, as learned from the
        calibration images.
    threads
        Cores for calibration and simulation; all if not given. The results do not depend on it.
    lava_python
        The Python 3.10 with lava-nc that runs Lava; if not given, the one that NEUROCOMPILE_LAVA_PYTHON names, or
        one that is found or made.
    refractory
        Steps after a spike of the Poisson encoder without another; 0 if not given.
    seed
        Of the encoders that draw; 0 if not given.
    output
        Write the compiled network to this file.
    json_
        Print one JSON object.
    debug
        Show the traceback of an error.
    """
    del debug
    backend = find(target)
    issues = [*_count_issues(samples, budget), *lava_python_issues(lava_python, target)]
    try:
        options = Options(
            code=code,
            steps=None if steps == "auto" else steps,
            bits=MOST_BITS if bits is None else bits,
            reset=reset,
            signed=signed,
            wait=wait,
            precision=precision or backend.precision,
            encoder=encoder,
            decoder=decoder,
            balance=balance,
            percentile=percentile,
            refractory=0 if refractory is None else refractory,
            seed=0 if seed is None else seed,
            target=target,
        )
        reason = options.reason(backend.codes)
        resolved = options.resolved(backend.codes, stock=backend.stock)
    except DataError as error:
        raise DataError.of([*error.issues, *issues]) from None
    issues += _idle_issues(
        resolved,
        bits=bits,
        percentile=percentile,
        refractory=refractory,
        seed=seed,
        tolerance=None if steps == "auto" else tolerance,
    )
    if issues:
        raise DataError.of(issues)
    with (
        use_threads(threads),
        use_python(lava_python),
        ProgressDisplay(CommandConsole(stderr=True)) as progress,
    ):
        trained = Model.read(model)
        data_file = data or model.with_suffix(".npz")
        if data is None and not data_file.exists():
            check_output(output, model)
            found = Data(None, synthetic_images(trained.entry), None)
        else:
            check_output(output, model, data_file)
            found = Data.read(data_file)
            found.check(trained.entry.shape, trained.entry.dtype, trained.classes)
        search = None
        if found.x_calibration is None and (early_exit or steps == "auto"):
            problem = (
                f"--{'early-exit' if early_exit else 'steps auto'} needs calibration images, and there are none"
            )
            raise DataError(problem, remedy="give --data FILE, or leave it out")
        if steps == "auto":
            assert found.x_calibration is not None
            within = _TOLERANCE if tolerance is None else tolerance
            search = fewest_steps(trained, found.x_calibration, options, within, progress=progress)
            options = replace(options, steps=search.chosen.steps)
        network = compile_network(trained, found.x_calibration, options, progress=progress)
        # First what can fail soon: the file to write, the chip, and the target with its runtime and limits.
        if output is not None:
            network.save(output)
        mapping = None if chip is None else map_graph(network.graph, CHIPS[chip])
        if mapping is not None and mapping.violations:
            raise BackendError.of(mapping.violations)
        with network.deploy(target, progress) as deployment, network.deploy("numpy", progress) as reference:
            sample = found.x_test[:samples]
            parts = deployment.run_in_parts(sample, progress=progress)
            deployed = Comparison.of(target, parts, reference.run_in_parts(sample))
        others = found.x_calibration if early_exit else None
        evaluation = network.evaluate(found.x_test, found.y_test, early_exit=others, progress=progress)
        measured = None
        if budget:
            labels = None if found.y_test is None else found.y_test[:budget]
            measured = network.loss_budget(found.x_test[:budget], labels, progress=progress)
    cost = None
    if mapping is not None and chip == "loihi1":
        cost = estimate(mapping, evaluation.activity, evaluation.images, evaluation.steps)
    images = 0 if found.x_calibration is None else len(found.x_calibration)
    report = Compiled(str(model), reason, images, network, evaluation, deployed, measured, search, mapping, cost)
    with standard_output() as console:
        if json_:
            print(json.dumps(document.compiled(report)))
        else:
            terminal.print_compiled(console, report)
    return 0 if deployed.equal else MISMATCH


@app.command(name="check")
def check_command(
    model: Path,
    /,
    *,
    target: str = "numpy",
    code: CodeChoice = "auto",
    steps: int | None = None,
    chip: ChipName | None = None,
    images: int = 1000,
    json_: Json = False,
    debug: Debug = False,
) -> int:
    """Tell what of a network would not convert or fit, before anything runs.

    The exit status is 0 if it converts and 2 if not.

    Parameters
    ----------
    model
        The ONNX file.
    target
        Where the spiking network is to run: numpy, lava or lava-stock.
    code
        How spikes stand for values.
    steps
        Time steps for an image, for which memory and time are estimated.
    chip
        On whose neurocores the network is to fit: loihi1 or loihi2.
    images
        For which they are estimated.
    json_
        Print one JSON object.
    debug
        Show the traceback of an error.
    """
    del debug
    found = check(model, target, code=code, steps=steps, images=images, chip=chip)
    with standard_output() as console:
        if json_:
            print(json.dumps(document.checked(str(model), found)))
        else:
            terminal.print_checked(console, str(model), found)
    return 0 if found.converts else USAGE


@app.command(name="run")
def run_command(
    deployment: Path,
    /,
    *,
    input: Path,
    target: str | None = None,
    threads: int | None = None,
    lava_python: Path | None = None,
    output: Output = None,
    json_: Json = False,
    debug: Debug = False,
) -> int:
    """Run a saved deployment on images.

    Parameters
    ----------
    deployment
        A file that was written by --output.
    input
        Images: an .npy file, or an .npz file with x_test.
    target
        Where to run it: numpy, lava or lava-stock; what it was compiled for if not given.
    threads
        Cores for calibration and simulation; all if not given. The results do not depend on it.
    lava_python
        The Python 3.10 with lava-nc that runs Lava; if not given, the one that NEUROCOMPILE_LAVA_PYTHON names, or
        one that is found or made.
    output
        Write decisions, potentials and the spikes of every layer to this .npz file.
    json_
        Print one JSON object.
    debug
        Show the traceback of an error.
    """
    del debug
    network = load(deployment)
    chosen = target or network.options.target
    check_output(output, deployment, input)
    issues = list(lava_python_issues(lava_python, chosen))
    if issues:
        raise DataError.of(issues)
    x = read_images(input)
    with (
        use_threads(threads),
        use_python(lava_python),
        ProgressDisplay(CommandConsole(stderr=True)) as progress,
        network.deploy(chosen, progress) as deployed,
    ):
        if output is None:
            result = Ran.of(deployed.run_in_parts(x, progress=progress))
        else:
            whole = deployed.run(x, progress=progress)
            result = Ran.of([whole])
            spikes = {f"spikes/{name}": stream for name, stream in whole.spikes.items()}
            write_npz(output, {"decisions": result.decisions, "potentials": whole.potentials, **spikes})
    steps = network.steps
    with standard_output() as console:
        if json_:
            print(json.dumps(document.ran(str(deployment), chosen, steps, result)))
        else:
            terminal.print_ran(console, chosen, steps, result)
    return 0


def _count_issues(samples: int, budget: int) -> Iterator[Issue]:
    if samples < 1:
        yield Issue(f"samples={samples} is less than 1", remedy="choose 1 or more test images")
    if budget < 0:
        yield Issue(f"budget={budget} is less than 0", remedy="choose 0 or some hundreds of test images")


def _idle_issues(options: Options, **given: float | None) -> Iterator[Issue]:
    """List what was given and would be left out in silence."""
    read_with = {
        "bits": ("--code graded", options.code == "graded"),
        "percentile": ("--balance percentile or channel", options.balance in ("percentile", "channel")),
        "refractory": ("--encoder poisson", options.encoder == "poisson"),
        "seed": ("--encoder poisson or bernoulli", options.encoder in ("poisson", "bernoulli")),
        "tolerance": ("--steps auto", False),
    }
    for name, value in given.items():
        needed, read = read_with[name]
        if value is not None and not read:
            yield Issue(f"--{name} does nothing here", remedy=f"leave it out, or add {needed}")


def _tell(message: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    # A path in it may look like rich's markup.
    CommandConsole(stderr=True).out(message, highlight=False)


_NOUNS = {
    int: "a whole number",
    float: "a number",
    Steps | None: "a whole number or auto",
}


def _usage_problem(error: CycloptsError) -> str:
    problem = str(error)
    match error:
        case UnusedCliTokensError(unused_tokens=[*extra]):
            problem = f"there is no use for {' '.join(extra)}"
        case CoercionError(token=Token(keyword=str(name), value=value), target_type=kind) if kind in _NOUNS:
            problem = f"{name} takes {_NOUNS[kind]}, not '{value}'"
        case MissingArgumentError(argument=Argument() as missing):
            given = error.keyword or any(token.keyword for token in missing.tokens)
            problem = f"{missing.name} needs a value" if given else f"{missing.name} is missing"
    command = " ".join(["neurocompile", *(error.command_chain or ())])
    return f"{problem}\n  remedy: see {command} --help"
