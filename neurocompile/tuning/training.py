"""The loop: epochs of Adam over a network's twin."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neurocompile.backend import Progress, decide
from neurocompile.errors import DataError
from neurocompile.ir import Array
from neurocompile.parallel import cores
from neurocompile.tuning import checkpoint
from neurocompile.tuning.augmentation import augmented
from neurocompile.tuning.checkpoint import State
from neurocompile.tuning.objective import Objective
from neurocompile.tuning.options import TuningOptions
from neurocompile.tuning.result import Epoch, best_of
from neurocompile.twin import Traces, Twin


@dataclass(frozen=True)
class Examples:
    """Images to train on.

    Parameters
    ----------
    x, y
        Images ``(N, *shape)`` and their classes ``(N,)``.
    """

    x: Array
    y: Array

    def split(self, share: float, seed: int) -> tuple[Examples, Examples]:
        """Hold out a share, at least one image, chosen by a seed; give those to train on first."""
        order = np.random.default_rng(seed).permutation(len(self.x))
        count = max(1, round(share * len(self.x)))
        return self.some(np.sort(order[count:])), self.some(np.sort(order[:count]))

    def some(self, places: Array) -> Examples:
        """Give those at some places."""
        return Examples(self.x[places], self.y[places])


class Trainer:
    """Trains a twin, epoch by epoch.

    Parameters
    ----------
    twin
        The network; it is trained in place, in float32.
    steps
        T.
    training, held_out
        What it learns from, and what it is judged by.
    teacher
        Gives the logarithms of the original network's probabilities ``(B, C)``; None where these are not learned
        from.
    objective
        What is minimised.
    device
        On which.
    options
        How.
    progress
        Told of the images that are done.
    """

    def __init__(
        self,
        twin: Twin,
        steps: int,
        training: Examples,
        held_out: Examples,
        teacher: Callable[[Array], Array] | None,
        objective: Objective,
        device: torch.device,
        options: TuningOptions,
        progress: Progress,
    ) -> None:
        self._objective, self.device = objective, device
        self._options, self._progress, self._steps = options, progress, steps
        self._training, self._held_out, self._teacher = training, held_out, teacher
        self._twin = twin.float().to(self.device)
        self._at_once = twin.spells and not self._objective.reads_steps
        self._optimiser = torch.optim.Adam(self._twin.parameters(), options.learning_rate)

    def train(self, path: Path | None, run: str) -> tuple[Epoch, ...]:
        """Train until the last epoch, or until it no longer gets better, and leave the best in the twin.

        Parameters
        ----------
        path
            A checkpoint: gone on from if it is there, and written after each epoch.
        run
            Its ``fingerprint``.

        Raises
        ------
        DataError
            If the loss is no longer finite.
        DeploymentError
            If the checkpoint can't be read or written, or is of another run.
        """

        def save(state: State) -> None:
            if path is not None:
                checkpoint.save(path, run, state)

        with _threads():
            if path is not None and path.exists():
                state = checkpoint.load(path, run)
            else:
                state = self._begun()
                # That it can't be written is told before the first epoch.
                save(state)
            self._set(state)
            while not self._is_over(state.epochs):
                state = self._next(state)
                save(state)
            _set_parameters(self._twin, state.best)
        return state.epochs

    def _begun(self) -> State:
        began = time.perf_counter()
        now = _parameters(self._twin)
        zeros = {name: np.zeros_like(array) for name, array in now.items()}
        return State((self._measured(0, None, began),), 0, now, now, zeros, zeros)

    def _is_over(self, epochs: tuple[Epoch, ...]) -> bool:
        done, best = epochs[-1].number, best_of(epochs).number
        return done >= self._options.epochs or done - best >= self._options.patience

    def _next(self, state: State) -> State:
        began, number = time.perf_counter(), state.epochs[-1].number + 1
        accuracy = 100 * state.epochs[-1].accuracy
        doing = f"epoch {number} of {self._options.epochs} ({accuracy:.2f} % of the images held out were right)"
        order = np.random.default_rng([self._options.seed, number]).permutation(len(self._training.x))
        total, updates = 0.0, state.updates
        for start, batch in self._batches(self._training, order):
            self._progress(doing, start, len(order))
            for group in self._optimiser.param_groups:
                group["lr"] = self._learning_rate(updates)
            seen = (number - 1) * len(order) + start
            loss, _ = self._loss(self._augmented(batch, seen), seen, self._at_once)
            self._optimiser.zero_grad()
            torch.autograd.backward(loss)
            self._optimiser.step()
            updates += 1
            total += self._finite(loss) * len(batch.x)
        self._progress(doing, len(order), len(order))
        epochs = (*state.epochs, self._measured(number, total / len(order), began))
        now = _parameters(self._twin)
        best = now if best_of(epochs) is epochs[-1] else state.best
        return State(epochs, updates, now, best, self._moments("exp_avg"), self._moments("exp_avg_sq"))

    def _augmented(self, batch: Examples, seen: int) -> Examples:
        generator = np.random.default_rng([self._options.seed, 0, seen])
        return replace(batch, x=augmented(batch.x, self._options.flip, self._options.shift, generator))

    def _measured(self, number: int, training_loss: float | None, began: float) -> Epoch:
        """Measure the network on the images held out."""
        images = len(self._held_out.x)
        loss = right = spikes = 0.0
        with torch.no_grad():
            for start, batch in self._batches(self._held_out, np.arange(images)):
                value, traces = self._loss(batch, start)
                loss += self._finite(value) * len(batch.x)
                decided = decide(traces.potentials[:, -1].flatten(1).cpu().numpy())
                right += int((decided == batch.y).sum())
                spikes += sum(int(stream.count_nonzero()) for stream in traces.spikes.values())
        neurons = sum(math.prod(stream.shape[2:]) for stream in traces.spikes.values())
        seconds = time.perf_counter() - began
        per_neuron = spikes / (images * max(1, neurons))
        return Epoch(number, training_loss, loss / images, right / images, per_neuron, seconds)

    def _loss(self, batch: Examples, first: int, at_once: bool = False) -> tuple[Tensor, Traces]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._options.mixed_precision):
            stream = self._twin.encode(batch.x, self._steps, first)
            traces = self._twin(stream, membranes=self._objective.reads_membranes, at_once=at_once)
        answers = None if self._teacher is None else torch.tensor(self._teacher(batch.x), device=self.device)
        return self._objective(traces, torch.tensor(batch.y.astype(np.int64), device=self.device), answers), traces

    def _batches(self, examples: Examples, order: Array) -> Iterator[tuple[int, Examples]]:
        size = self._options.batch_size
        return ((start, examples.some(order[start : start + size])) for start in range(0, len(order), size))

    def _learning_rate(self, updates: int) -> float:
        batches = math.ceil(len(self._training.x) / self._options.batch_size)
        share = updates / (batches * self._options.epochs)
        return self._options.learning_rate * (1 + math.cos(math.pi * share)) / 2

    def _finite(self, loss: Tensor) -> float:
        value = loss.item()
        if not math.isfinite(value):
            raise DataError(
                "the loss is no longer finite", remedy="choose a smaller learning rate, or smaller weights"
            )
        return value

    def _set(self, state: State) -> None:
        """Put the network and the optimiser where a state has them."""
        _set_parameters(self._twin, state.latest)
        for name, parameter in self._twin.named_parameters():
            self._optimiser.state[parameter] = {
                "step": torch.tensor(float(state.updates)),
                "exp_avg": torch.tensor(state.mean[name], device=self.device),
                "exp_avg_sq": torch.tensor(state.square[name], device=self.device),
            }

    def _moments(self, kind: str) -> dict[str, Array]:
        return {
            name: np.array(self._optimiser.state[parameter][kind].cpu().numpy())
            for name, parameter in self._twin.named_parameters()
        }


def _parameters(twin: Twin) -> dict[str, Array]:
    return {name: np.array(parameter.detach().cpu().numpy()) for name, parameter in twin.named_parameters()}


def _set_parameters(twin: Twin, arrays: Mapping[str, Array]) -> None:
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            parameter.copy_(torch.tensor(arrays[name]))


def device_of(name: str | None) -> torch.device:
    """Give PyTorch's device of a name, or a GPU where there is one.

    Raises
    ------
    DataError
        If there is none that computes.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        zero = torch.zeros((), device=name)
        zero.item()
        return zero.device
    except (RuntimeError, AssertionError) as error:
        problem = f"PyTorch has no device '{name}': {str(error).splitlines()[0]}"
        raise DataError(problem, remedy="choose cpu, or leave it out") from error


@contextmanager
def _threads() -> Iterator[None]:
    """Let PyTorch use as many cores as the rest."""
    before = torch.get_num_threads()
    torch.set_num_threads(cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)
