"""What tuning brought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from neurocompile.evaluate import Evaluation
from neurocompile.network import Network


@dataclass(frozen=True)
class Epoch:
    """What the network did when all training images had been seen once more.

    Parameters
    ----------
    number
        0 for the network as it was converted.
    training_loss
        On average over the epoch; None before the first.
    loss, accuracy, spikes_per_neuron
        On the images that were held out.
    seconds
        That the epoch took, with its measurement.
    """

    number: int
    training_loss: float | None
    loss: float
    accuracy: float
    spikes_per_neuron: float
    seconds: float


@dataclass(frozen=True)
class Tuned:
    """A network before and after it was tuned.

    Parameters
    ----------
    network
        As of the best epoch.
    before, after
        On the test images, in the NumPy simulator.
    epochs
        From number 0 on.
    training_images, held_out_images
        How many there were.
    device, threads
        On which it was tuned.
    """

    network: Network
    before: Evaluation
    after: Evaluation
    epochs: Sequence[Epoch]
    training_images: int
    held_out_images: int
    device: str
    threads: int

    @property
    def best(self) -> Epoch:
        """The epoch whose loss on the images held out is the least."""
        return best_of(self.epochs)

    @property
    def seconds(self) -> float:
        """That training took, without the measurements on the test images."""
        return sum(epoch.seconds for epoch in self.epochs)


def best_of(epochs: Sequence[Epoch]) -> Epoch:
    """Give the first epoch with the least loss on the images held out."""
    return min(epochs, key=lambda epoch: epoch.loss)
