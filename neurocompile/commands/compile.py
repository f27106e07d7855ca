"""``neurocompile MODEL``: a network converted, measured, and run on a target."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from neurocompile.backend import find, use_python
from neurocompile.calibration.synthetic import synthetic_images
from neurocompile.compiler import compile as compile_network
from neurocompile.console import (
    CommandConsole,
    Debug,
    Flag,
    Json,
    Output,
    check_output,
    lava_python_issues,
    standard_output,
)
from neurocompile.data import Data
from neurocompile.errors import BackendError, DataError, Issue
from neurocompile.frontends.model import Model
from neurocompile.ir.processes import Reset
from neurocompile.mapping import CHIPS, ChipName, map_graph
from neurocompile.mapping.energy import estimate
from neurocompile.options import MOST_BITS, Balance, CodeChoice, Decoding, Encoding, Options, Precision
from neurocompile.parallel import threads as use_threads
from neurocompile.report import document, terminal
from neurocompile.report.compiled import Compiled
from neurocompile.report.deployed import Comparison
from neurocompile.report.progress import ProgressDisplay
from neurocompile.search import fewest_steps

MISMATCH = 1
"""Exit status where the target's spikes are not the simulated ones."""

_TOLERANCE = 0.1
"""Percentage points, for ``--steps auto``."""

Steps = int | Literal["auto"]


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
