"""``neurocompile tune``: a network converted, and trained for a small number of steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from neurocompile.backend import find
from neurocompile.console import (
    CommandConsole,
    Debug,
    Flag,
    Json,
    Output,
    check_output,
    standard_output,
)
from neurocompile.data import TrainingData
from neurocompile.errors import DataError, DeploymentError
from neurocompile.frontends.model import Model
from neurocompile.ir.processes import Reset
from neurocompile.options import Balance, CodeChoice, Options, Precision
from neurocompile.parallel import threads as use_threads
from neurocompile.report import document
from neurocompile.report.progress import ProgressDisplay
from neurocompile.report.tuned import print_tuned
from neurocompile.tuning.options import LOSSES_OF_STEPS, SurrogateChoice, TuningOptions
from neurocompile.tuning.tune import STEPS, tune


def tune_command(
    model: Path,
    /,
    *,
    data: Path | None = None,
    target: str = "numpy",
    code: CodeChoice = "auto",
    steps: int | None = None,
    reset: Reset = "subtract",
    signed: bool | None = None,
    precision: Precision = "int8",
    balance: Balance | None = None,
    epochs: int = 3,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    distillation: float = 1.0,
    flip: Flag = False,
    shift: int = 0,
    losses: Path | None = None,
    held_out: float = 0.05,
    patience: int = 5,
    mixed_precision: Flag = False,
    surrogate: SurrogateChoice | None = None,
    seed: int = 0,
    device: str | None = None,
    checkpoint: Path | None = None,
    threads: int | None = None,
    output: Output = None,
    json_: Json = False,
    debug: Debug = False,
) -> int:
    """Convert a trained network, and train the spiking one for its number of steps.

    Weights, biases, thresholds and initial membranes are trained with surrogate gradients. It needs PyTorch.

    Parameters
    ----------
    model
        The ONNX file.
    data
        An .npz file with x_train and y_train, or x_calibration and y_calibration, and with x_test and y_test;
        MODEL.npz beside the model if not given.
    target
        For which the network is compiled.
    code
        How spikes stand for values: ternary digits, one message (graded), or a count of spikes (rate). auto: digit
        where the target runs it, else rate.
    steps
        Time steps for an image; 2 for digit and rate if not given.
    reset
        What a neuron of rate does when it fires: subtract the threshold, or start again at zero.
    signed
        Neurons of rate take back what they fired too early, by negative spikes; they do if not given, where they
        can.
    precision
        Of the weights: Loihi's integers, which are rounded as they are trained, or floats.
    balance
        How the thresholds to begin with are chosen; ridge for rate, mse for graded, and for digit mse below 6
        steps, else channel, if not given.
    epochs
        How often all training images are seen, at most.
    batch_size
        Images for each step of the optimiser.
    learning_rate
        At the beginning; it falls to 0.
    distillation
        Weight of what the network lacks of the original one's answers; 0 leaves it out.
    flip
        Mirror half of the training images, left to right.
    shift
        Move training images by up to so many pixels in both directions; a pixel or two.
    losses
        A JSON file with fields of LossConfig that are to be other than docs/tuning.md says.
    held_out
        The share of the training images by which it is told which epoch was best.
    patience
        It ends after so many epochs in a row that were not better.
    mixed_precision
        Let synapses compute in bfloat16 while they are trained.
    surrogate
        Whose gradients spikes have, where they are trained step by step; rectangular if not given.
    seed
        Of the order of the images, and of which are held out.
    device
        On which PyTorch computes; a GPU where there is one if not given.
    checkpoint
        Write this file after each epoch, and go on from it if it is there.
    threads
        Cores; all if not given.
    output
        Write the tuned network to this file.
    json_
        Print one JSON object.
    debug
        Show the traceback of an error.
    """
    del debug
    found = data or model.with_suffix(".npz")
    read = [path for path in (model, found, losses) if path is not None]
    check_output(output, *read)
    check_output(checkpoint, *read, option="--checkpoint")
    if output is not None and checkpoint is not None and output.resolve() == checkpoint.resolve():
        raise DeploymentError("--output and --checkpoint name one file", remedy="give another name")
    options = Options(
        code=code,
        steps=STEPS if steps is None and code != "graded" else steps,
        reset=reset,
        signed=signed,
        precision=precision,
        balance=balance,
        target=target,
    )
    backend = find(target)
    resolved = options.resolved(backend.codes, stock=backend.stock)
    fields = {} if losses is None else _fields(losses)
    stepwise = resolved.code == "rate" or (resolved.code == "digit" and any(map(fields.get, LOSSES_OF_STEPS)))
    if surrogate is not None and not stepwise:
        remedy = "leave it out, or choose --code rate"
        raise DataError("--surrogate does nothing here: no spikes are trained step by step", remedy=remedy)
    tuning = TuningOptions(
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        distillation=distillation,
        flip=flip,
        shift=shift,
        losses=fields,
        held_out=held_out,
        patience=patience,
        mixed_precision=mixed_precision,
        surrogate=surrogate or "rectangular",
        seed=seed,
        device=device,
    )
    with use_threads(threads), ProgressDisplay(CommandConsole(stderr=True)) as progress:
        trained, examples = Model.read(model), TrainingData.read(found)
        try:
            tuned = tune(trained, examples, options, tuning, checkpoint=checkpoint, progress=progress)
        except KeyboardInterrupt:
            if checkpoint is None or not checkpoint.exists():
                raise
            raise KeyboardInterrupt(f"the same command goes on from {checkpoint}") from None
        if output is not None:
            tuned.network.save(output)
    with standard_output() as console:
        if json_:
            print(json.dumps(document.tuned(str(model), tuning.to_dict(), tuned)))
        else:
            print_tuned(console, tuned)
    return 0


def _fields(path: Path) -> dict[str, Any]:
    """Read the fields of a JSON file."""
    try:
        fields = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror or error}", remedy="check the path") from error
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error})", remedy='write such as {"w_rate": 0.2}') from error
    if not isinstance(fields, dict):
        raise DataError(f"{path} holds no object", remedy='write such as {"w_rate": 0.2}')
    return fields
