"""Spikes as times, and what is known about how they stand for values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Literal, get_args

import array_api_compat

from neurocompile.codecs.arrays import Array, admit, namespace
from neurocompile.codecs.spike_batch import SpikeBatch
from neurocompile.errors import DataError

TemporalScheme = Literal["ttfs", "rank_order", "phase"]


@dataclass(frozen=True, eq=False)
class SpikeTrain:
    """The spikes of some neurons, as times.

    Parameters
    ----------
    spike_times
        ``(num_neurons, max_spikes)``, in ms, ascending, the places after a neuron's last spike filled with NaN.
    neuron_ids
        ``(num_neurons,)``.
    duration_ms
        Of the window. A spike of step ``k`` has the time ``k * dt_ms``, the beginning of its step.
    dt_ms
        A step.
    num_spikes
        ``(num_neurons,)``, how many spikes each neuron has.
    binary_matrix
        The same spikes as ``(num_neurons, num_timesteps)``, ``bool``, or None.

    Raises
    ------
    DataError
        If the fields contradict each other.
    """

    spike_times: Array
    neuron_ids: Array
    duration_ms: float
    dt_ms: float
    num_spikes: Array
    binary_matrix: Array | None = None

    def __post_init__(self) -> None:
        positive = 0 < self.dt_ms <= self.duration_ms < math.inf
        if not positive:
            raise DataError(
                f"a window of {self.duration_ms} ms has no step of {self.dt_ms} ms",
                remedy="give a window of at least one step",
            )
        xp = namespace(self.spike_times)
        if self.spike_times.ndim != 2:
            raise DataError(
                f"spike times have the shape {list(self.spike_times.shape)}", remedy="(num_neurons, max_spikes)"
            )
        neurons = (int(self.spike_times.shape[0]),)
        if tuple(self.neuron_ids.shape) != neurons or tuple(self.num_spikes.shape) != neurons:
            raise DataError(
                f"neuron_ids and num_spikes have one value for each of {neurons[0]} neurons",
                remedy="give one a row of spike_times",
            )
        if not xp.isdtype(self.num_spikes.dtype, "integral"):
            raise DataError(f"num_spikes has the type {self.num_spikes.dtype}", remedy="give whole numbers")
        most = int(self.spike_times.shape[1])
        if not bool(xp.all((self.num_spikes >= 0) & (self.num_spikes <= most))):
            raise DataError(
                f"num_spikes is not all from 0 to the {most} places of spike_times", remedy="count the times"
            )
        known = ~xp.isnan(self.spike_times)
        places = xp.arange(most, device=array_api_compat.device(self.spike_times))
        if not bool(xp.all(known == (places[None, :] < self.num_spikes[:, None]))):
            raise DataError(
                "num_spikes does not count the times before NaN",
                remedy="count them, and pad with NaN at the end only",
            )
        outside = known & ~((self.spike_times >= 0) & (self.spike_times < self.duration_ms))
        if bool(xp.any(outside)):
            raise DataError(
                f"spikes lie outside of the window of {self.duration_ms} ms",
                remedy="give a longer window, or leave them out",
            )
        if bool(xp.any(self.spike_times[:, 1:] <= self.spike_times[:, :-1])):
            raise DataError("a neuron's spike times do not ascend", remedy="sort them, each one once")
        dense = self.binary_matrix
        if dense is None:
            return
        if tuple(dense.shape) != (*neurons, self.num_timesteps) or dense.dtype != xp.bool:
            raise DataError(
                f"the binary matrix has the shape {list(dense.shape)} and the type {dense.dtype}",
                remedy=f"give it as {[*neurons, self.num_timesteps]} of bool, or leave it out",
            )
        if not bool(xp.all(xp.count_nonzero(dense, axis=1) == self.num_spikes)):
            raise DataError(
                "the binary matrix has other spikes than num_spikes counts",
                remedy="give the same, or leave it out",
            )

    @property
    def num_timesteps(self) -> int:
        """The steps of the window."""
        return round(self.duration_ms / self.dt_ms)

    def dense(self) -> Array:
        """Return the spikes as ``(num_neurons, num_timesteps)``, ``bool``, each in the step nearest to its time.

        Raises
        ------
        DataError
            If two spikes of a neuron are in the same step.
        """
        if self.binary_matrix is not None:
            return self.binary_matrix
        xp = namespace(self.spike_times)
        neurons = int(self.spike_times.shape[0])
        device = array_api_compat.device(self.spike_times)
        matrix = xp.zeros((neurons, self.num_timesteps), dtype=xp.bool, device=device)
        rows, columns = xp.nonzero(~xp.isnan(self.spike_times))
        steps = xp.astype(xp.round(self.spike_times[rows, columns] / self.dt_ms), xp.int64)
        # A time in the last half of the last step has no later step to go to.
        steps = steps.clip(0, self.num_timesteps - 1)
        matrix[rows, steps] = True
        if int(xp.sum(xp.astype(matrix, xp.int64))) != rows.shape[0]:
            raise DataError(
                f"two spikes of a neuron are in the same step of {self.dt_ms} ms", remedy="use shorter steps"
            )
        return matrix

    def split(self, size: int) -> tuple[SpikeTrain, ...]:
        """Return trains of so many neurons each, one after another, the last of what is left."""
        return tuple(self._part(slice(start, start + size)) for start in range(0, self.spike_times.shape[0], size))

    def _part(self, rows: slice) -> SpikeTrain:
        # Rows of a train that was checked are right, and checking each again takes longer than encoding them.
        part = copy(self)
        for name in ("spike_times", "neuron_ids", "num_spikes", "binary_matrix"):
            of_all = getattr(self, name)
            object.__setattr__(part, name, None if of_all is None else of_all[rows])
        return part

    @classmethod
    def from_dense(cls, matrix: Array, dt_ms: float, neuron_ids: Array | None = None) -> SpikeTrain:
        """Make the train of ``(num_neurons, num_timesteps)``, which it keeps as its ``binary_matrix``.

        Raises
        ------
        DataError
            If the values are not all 0 or 1.
        """
        xp = namespace(matrix)
        if matrix.ndim != 2:
            raise DataError(
                f"a matrix (num_neurons, num_timesteps) is needed, not {list(matrix.shape)}", remedy="reshape it"
            )
        if matrix.dtype != xp.bool:
            if not bool(xp.all((matrix == 0) | (matrix == 1))):
                raise DataError("spikes that are not 0 or 1 have no train of times", remedy="threshold them")
            matrix = xp.astype(matrix, xp.bool)
        device = array_api_compat.device(matrix)
        neurons, num_timesteps = (int(n) for n in matrix.shape)
        # Encoders' spikes lie in memory step by step, and are looked through as they lie.
        places = xp.nonzero(xp.reshape(matrix.T, (-1,)))[0]
        steps = places // neurons
        keys = xp.sort((places - steps * neurons) * num_timesteps + steps)
        rows = keys // num_timesteps
        counts = xp.astype(xp.bincount(rows, minlength=neurons), xp.int64, copy=False)
        starts = xp.cumulative_sum(counts) - counts
        ranks = xp.arange(rows.shape[0], device=device) - starts[rows]
        most = int(xp.max(counts)) if neurons else 0
        times = xp.full((neurons, most), math.nan, dtype=xp.float64, device=device)
        times[rows, ranks] = xp.astype(keys - rows * num_timesteps, xp.float64) * dt_ms
        if neuron_ids is None:
            neuron_ids = xp.arange(neurons, device=device)
        return cls(times, neuron_ids, num_timesteps * dt_ms, dt_ms, counts, matrix)


def trains_of(batch: SpikeBatch, dt_ms: float) -> list[SpikeTrain]:
    """Make a train of each sample, its features flattened to neurons, its padding left out.

    Parameters
    ----------
    batch
        Of zeros and ones.
    dt_ms
        What a step of it lasts.

    Raises
    ------
    DataError
        If values are not 0 or 1, or a sample has no steps.
    """
    xp = namespace(batch.spikes)
    return [SpikeTrain.from_dense(xp.reshape(s, (s.shape[0], -1)).T, dt_ms) for s in batch.unstack()]


def train_of(batch: SpikeBatch, dt_ms: float) -> SpikeTrain:
    """Make one train of all samples, one after another; their ``neuron_ids`` begin again with each.

    Parameters
    ----------
    batch
        Of zeros and ones, without padding.
    dt_ms
        What a step of it lasts.

    Raises
    ------
    DataError
        If values are not 0 or 1.
    """
    spikes = batch.spikes
    xp = namespace(spikes)
    samples, steps = spikes.shape[:2]
    rows = xp.permute_dims(xp.reshape(spikes, (samples, steps, -1)), (0, 2, 1))
    ids = xp.arange(rows.shape[1], device=array_api_compat.device(spikes))
    return SpikeTrain.from_dense(xp.reshape(rows, (-1, steps)), dt_ms, xp.tile(ids, (samples,)))


def samples_of(train: SpikeTrain) -> int:
    """Count the samples of a train as ``train_of`` makes it: rows with one neuron's id are samples of that neuron.

    Raises
    ------
    DataError
        If there are no neurons, or their ids do not come again in the same order with each sample.
    """
    ids = train.neuron_ids
    rows = int(ids.shape[0])
    if not rows:
        raise DataError("the train has no neurons", remedy="give at least one")
    xp = namespace(ids)
    samples = int(xp.sum(xp.astype(ids == ids[0], xp.int64)))
    if rows % samples == 0:
        by_sample = xp.reshape(ids, (samples, -1))
        different = int(xp.unique_values(by_sample[0]).shape[0])
        if different == rows // samples and bool(xp.all(by_sample == by_sample[:1])):
            return samples
    raise DataError(
        f"{rows} rows are not {samples} samples of the same neurons, one after another",
        remedy="give each sample the same neuron_ids in the same order, each of them once",
    )


def batch_of(trains: Sequence[SpikeTrain], feature_shape: tuple[int, ...] | None = None) -> SpikeBatch:
    """Make a batch of trains, each a sample; the mask tells the steps of shorter ones.

    Parameters
    ----------
    trains
        With the same number of neurons and the same ``dt_ms``.
    feature_shape
        The shape that the neurons have, ``(N,)`` by default.

    Raises
    ------
    DataError
        If trains differ in neurons or steps, or the neurons do not fit the shape.
    """
    if not trains:
        raise DataError("there are no trains to make a batch of", remedy="give at least one")
    if len({train.dt_ms for train in trains}) > 1:
        raise DataError("the trains have steps of different lengths", remedy="encode them with the same dt_ms")
    neurons = int(trains[0].spike_times.shape[0])
    shape = (neurons,) if feature_shape is None else tuple(feature_shape)
    if math.prod(shape) != neurons:
        raise DataError(f"{neurons} neurons do not have the shape {list(shape)}", remedy="give a shape of as many")
    if any(train.spike_times.shape[0] != neurons for train in trains):
        raise DataError(
            "the trains have different numbers of neurons", remedy="make a batch of those with as many"
        )
    dense = [train.dense() for train in trains]
    xp = namespace(*dense)
    return SpikeBatch.stack([xp.reshape(matrix.T, (matrix.shape[1], *shape)) for matrix in dense])


@dataclass(frozen=True, eq=False)
class PopulationCode:
    """Values that populations of tuned neurons stand for.

    Parameters
    ----------
    spike_trains
        One for each input dimension, each of ``num_neurons_per_dim`` neurons; of several samples, those of one
        after those of another. Their ``neuron_ids`` do not count.
    tuning_centers
        ``(num_neurons,)`` of one dimension, or ``(num_dims, num_neurons)`` where each has its own: the values that
        neurons prefer.
    tuning_widths
        Likewise: the Gaussian's standard deviation, or half the base of a triangle.
    input_range
        The values that the centers are spread over.
    num_neurons_per_dim
        How many neurons each dimension has.
    num_samples
        How many samples there are.

    Raises
    ------
    DataError
        If the fields contradict each other.
    """

    spike_trains: tuple[SpikeTrain, ...]
    tuning_centers: Array
    tuning_widths: Array
    input_range: tuple[float, float]
    num_neurons_per_dim: int
    num_samples: int = 1

    def __post_init__(self) -> None:
        neurons, trains = self.num_neurons_per_dim, len(self.spike_trains)
        if self.num_samples < 1 or not trains or trains % self.num_samples:
            raise DataError(
                f"{trains} trains are not the dimensions of {self.num_samples} samples",
                remedy="give one for each dimension of each sample",
            )
        for name, tuning in (("centers", self.tuning_centers), ("widths", self.tuning_widths)):
            if tuple(tuning.shape) not in ((neurons,), (self.num_dims, neurons)):
                raise DataError(
                    f"the tuning {name} of {neurons} neurons have the shape {list(tuning.shape)}",
                    remedy="give (num_neurons,) or (num_dims, num_neurons)",
                )
            admit(tuning, f"the array of tuning {name}")
        if not bool(namespace(self.tuning_widths).all(self.tuning_widths > 0)):
            raise DataError("tuning widths are not all above 0", remedy="give the curves' widths")
        if any(train.spike_times.shape[0] != neurons for train in self.spike_trains):
            raise DataError(
                f"a dimension has {neurons} neurons, and a train has another number",
                remedy="give trains of as many neurons",
            )
        if len({(train.num_timesteps, train.dt_ms) for train in self.spike_trains}) > 1:
            raise DataError("the trains have different windows", remedy="give trains of one duration and dt_ms")
        if not self.input_range[0] < self.input_range[1]:
            raise DataError(
                f"the input range {list(self.input_range)} is empty", remedy="give the lower value first"
            )

    @property
    def num_dims(self) -> int:
        """The input dimensions of a sample."""
        return len(self.spike_trains) // self.num_samples


@dataclass(frozen=True, eq=False)
class TemporalCode:
    """A train whose spikes' times, phases or order stand for values.

    Parameters
    ----------
    spike_train
        The spikes.
    scheme
        Which code it is.
    reference_time_ms
        What times and phases count from.
    phase_frequency_hz
        Of the oscillation, for ``phase`` only.
    rank_order
        The channels, the most important first, for ``rank_order`` only.

    Raises
    ------
    DataError
        If there is no such scheme, a field that it needs is missing, one has no meaning in it, or the reference is
        no time.
    """

    spike_train: SpikeTrain
    scheme: TemporalScheme
    reference_time_ms: float = 0.0
    phase_frequency_hz: float | None = None
    rank_order: Array | None = None

    def __post_init__(self) -> None:
        if self.scheme not in get_args(TemporalScheme):
            raise DataError(
                f"no temporal scheme '{self.scheme}'", remedy=f"one of {', '.join(get_args(TemporalScheme))}"
            )
        if not 0 <= self.reference_time_ms < math.inf:
            raise DataError(
                f"reference_time_ms={self.reference_time_ms} is no time", remedy="give a finite one from 0"
            )
        if (self.phase_frequency_hz is not None) != (self.scheme == "phase"):
            raise DataError(
                f"phase_frequency_hz={self.phase_frequency_hz} with the scheme '{self.scheme}'",
                remedy="give it to the scheme that it belongs to, and to no other",
            )
        if (self.rank_order is not None) != (self.scheme == "rank_order"):
            given = "no" if self.rank_order is None else "a"
            raise DataError(
                f"{given} rank_order with the scheme '{self.scheme}'",
                remedy="give it to the scheme that it belongs to, and to no other",
            )
