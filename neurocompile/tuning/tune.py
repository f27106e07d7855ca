"""From a trained network to a spiking one that was trained on."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path

from neurocompile.backend import Progress, find, silent
from neurocompile.compiler import compile
from neurocompile.data import TrainingData
from neurocompile.errors import BackendError, DataError
from neurocompile.extras import needing_torch
from neurocompile.frontends.model import Model
from neurocompile.ir import Array
from neurocompile.ir.processes import Decoder
from neurocompile.options import Options
from neurocompile.parallel import cores
from neurocompile.tuning.checkpoint import fingerprint
from neurocompile.tuning.options import TuningOptions
from neurocompile.tuning.result import Tuned, best_of
from neurocompile.tuning.teacher import log_probabilities

STEPS = 2
"""Unless others are chosen."""


def tune(
    model: str | os.PathLike[str] | Model,
    data: TrainingData,
    options: Options | None = None,
    tuning: TuningOptions | None = None,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Tuned:
    """Compile a trained network to a spiking one, and train that for its number of steps.

    Weights, biases, thresholds and initial membranes are trained with surrogate gradients; Loihi's integers are
    rounded in every forward pass. The best epoch on images held out is kept, which may be the network as it was
    converted.

    Parameters
    ----------
    model
        An ONNX file, or what ``Model.read`` or ``Model.of_module`` made.
    data
        Training images with labels, and test images, which are measured on before and after.
    options
        Of the conversion; 2 digits and int8 weights where it is None.
    tuning
        How to train; ``TuningOptions()`` where it is None.
    checkpoint
        A file that is written after each epoch. If it is there already, and of the same run, training goes on from
        it.
    progress
        Told of each stage.

    Raises
    ------
    DependencyError
        If PyTorch is not installed.
    ModelError, GraphError
        As ``compile`` raises them.
    DataError
        If the data do not fit the network, or the loss is no longer finite.
    DeploymentError
        If the checkpoint can't be read or written, or is of another run.
    BackendError
        If the target can't take the network, as it was converted or as it was trained.
    """
    with needing_torch("neurocompile.tuning"):
        from neurocompile.tuning.objective import Objective
        from neurocompile.tuning.training import Examples, Trainer, device_of
        from neurocompile.twin import Surrogate
    chosen = Options(steps=STEPS, precision="int8") if options is None else options
    how = TuningOptions() if tuning is None else tuning
    objective, device = Objective(how), device_of(how.device)
    trained = model if isinstance(model, Model) else Model.read(model)
    data.check(trained.entry.shape, trained.entry.dtype, trained.classes)
    if len(data.x_train) < 2:
        raise DataError("there is one training image", remedy="give some thousands")
    if (how.flip or how.shift) and len(trained.entry.shape) < 2:
        problem = f"what the network takes has the shape {trained.entry.shape}, and can't be mirrored or moved"
        raise DataError(problem, remedy="leave out flip and shift, which are for images (..., H, W)")
    if how.shift and 2 * how.shift >= min(trained.entry.shape[-2:]):
        problem = f"shift={how.shift} moves half of what the network sees out of images {trained.entry.shape}"
        raise DataError(problem, remedy="choose a pixel or two")
    network = compile(trained, data.x_calibration, chosen, progress=progress)
    # Of images that the encoder would clip, other networks would be learned.
    clipped = network.input_issues(data.x_train)
    if clipped:
        raise DataError.of([replace(issue, problem=f"x_train: {issue.problem}") for issue in clipped])
    decoder = network.graph[network.graph.outputs[0]].op
    assert isinstance(decoder, Decoder)
    twin = network.to_torch(Surrogate(how.surrogate))
    readout = decoder.readout

    def teacher(images: Array) -> Array:
        return log_probabilities(trained.reference.run(images), readout, max(2, network.classes))

    training, held_out = Examples(data.x_train, data.y_train).split(how.held_out, how.seed)
    asked = teacher if how.distillation else None
    trainer = Trainer(twin, network.steps, training, held_out, asked, objective, device, how, progress)
    settings = {"options": asdict(network.options), "tuning": how.to_dict()}
    run = fingerprint(network.graph, settings, [data.x_train, data.y_train])
    epochs = trainer.train(None if checkpoint is None else Path(checkpoint), run)
    best = network if best_of(epochs).number == 0 else network.from_torch(twin)
    issues = list(find(network.options.target).check(best.graph))
    if issues:
        raise BackendError.of(issues)
    before = network.evaluate(data.x_test, data.y_test, progress=progress)
    after = before if best is network else best.evaluate(data.x_test, data.y_test, progress=progress)
    return Tuned(best, before, after, epochs, len(training.x), len(held_out.x), str(device), cores())
