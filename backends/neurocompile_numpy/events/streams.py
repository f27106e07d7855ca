"""Streams of some images, in the layout of the reference engine and in that of events.

A frame is what a stream is at a step. Where several steps are alike, they share one: a constant input has one
frame, and so has one that is sent once, which all later steps lack.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from neurocompile.ir import Array
from neurocompile.ir.processes import ScaleSynapses
from neurocompile_numpy.events.layout import places_of, whole_vectors
from neurocompile_numpy.events.lists import Events, add_counts
from neurocompile_numpy.events.routes import Route
from neurocompile_numpy.events.windows import Windows


@dataclass(frozen=True)
class Stream(ABC):
    """What a node gives out.

    Parameters
    ----------
    shape
        Of one image.
    frame
        ``(steps,)``: the frame of each step, -1 where all is 0.
    """

    shape: tuple[int, ...]
    frame: Array

    @cached_property
    def frames(self) -> Array:
        """``(frames, images, *shape)``, as the reference engine lays it out."""
        channels, _ = places_of(self.shape)
        frames = np.moveaxis(self.places[..., :channels], (1, 0, 3), (0, 1, 2))
        by_shape: Array = frames.reshape(*frames.shape[:2], *self.shape)
        return by_shape

    @property
    @abstractmethod
    def places(self) -> Array:
        """``(images, frames, places, channels)``, the channels filled up to whole vectors with 0."""

    @property
    @abstractmethod
    def images(self) -> int:
        """How many there are."""

    @property
    def steps(self) -> int:
        """How many there are."""
        return len(self.frame)

    @cached_property
    def dense(self) -> Array:
        """``(steps, images, *shape)``."""
        frames = self.frames
        if np.array_equal(self.frame, np.arange(len(frames))):
            return frames
        if not self.frame.any():
            return np.broadcast_to(frames[0], (self.steps, *frames.shape[1:]))
        whole = np.zeros((self.steps, *frames.shape[1:]), frames.dtype)
        whole[self.frame >= 0] = frames[self.frame[self.frame >= 0]]
        return whole

    @cached_property
    def events(self) -> Events:
        """Of spikes, which have a frame for every step."""
        return Events.of(self.places.view(np.int8))

    def block(self, low: int, high: int) -> tuple[Array, Array]:
        """Give places with frames for the steps from one to another, and for each of these its frame."""
        if len(self.frame) > 1 and self.frame[-1] == len(self.frame) - 1:
            return self.places[:, low:high], np.arange(high - low)
        return self.places, self.frame[low:high]

    def count(self) -> Array:
        """Count the values other than 0 of each neuron, over all steps and images: ``shape``."""
        times = np.bincount(self.frame[self.frame >= 0], minlength=len(self.frames))
        counts = np.stack([np.count_nonzero(frame, axis=0) for frame in self.frames])
        total: Array = np.tensordot(times, counts, 1)
        return total


@dataclass(frozen=True)
class FramesStream(Stream):
    """One that the reference engine computed.

    Parameters
    ----------
    shape, frame
        As of ``Stream``.
    values
        ``(frames, images, *shape)``.
    """

    values: Array

    @property
    def images(self) -> int:
        """As of ``Stream``."""
        return len(self.values[0])

    @cached_property
    def frames(self) -> Array:
        """As of ``Stream``."""
        return self.values

    @cached_property
    def places(self) -> Array:
        """As of ``Stream``."""
        frames, images = self.values.shape[:2]
        channels, places = places_of(self.shape)
        laid_out = np.zeros((images, frames, places, whole_vectors(channels)), self.values.dtype)
        laid_out[..., :channels] = self.values.reshape(frames, images, channels, places).transpose(1, 0, 3, 2)
        return laid_out


@dataclass(frozen=True)
class PlacesStream(Stream):
    """One that a kernel computed.

    Parameters
    ----------
    shape, frame
        As of ``Stream``.
    values
        ``(images, frames, places, channels)``.
    """

    values: Array

    @property
    def images(self) -> int:
        """As of ``Stream``."""
        return len(self.values)

    @property
    def places(self) -> Array:
        """As of ``Stream``."""
        return self.values

    def count(self) -> Array:
        """As of ``Stream``."""
        _, _, places, channels = self.values.shape
        counts = np.zeros(places * channels, np.int64)
        add_counts(self.values.view(np.int8).reshape(-1, places * channels), counts)
        by_place = counts.reshape(places, channels)[:, : places_of(self.shape)[0]]
        total: Array = by_place.T.reshape(self.shape)
        return total


@dataclass(frozen=True)
class PooledStream(Stream):
    """The sums of a pool of spikes, which are not added up if only events are asked for.

    Parameters
    ----------
    shape, frame
        As of ``Stream``.
    source
        The spikes.
    windows
        That they are added up in.
    """

    source: Stream
    windows: Windows

    @property
    def images(self) -> int:
        """As of ``Stream``."""
        return self.source.images

    @cached_property
    def places(self) -> Array:
        """As of ``Stream``."""
        values = self.source.places
        return self.windows.sums(values.view(np.int8) if values.dtype == np.bool_ else values)

    @cached_property
    def events(self) -> Events:
        """The events of all places of a window, one after another."""
        channels = self.source.places.shape[3]
        return self.source.events.pooled(self.windows.tap, self.windows.position, channels)


@dataclass(frozen=True)
class RoutedStream(Stream):
    """The currents that spikes cause, computed when they are asked for.

    Parameters
    ----------
    shape, frame
        As of ``Stream``.
    source
        The spikes.
    route
        That they take.
    """

    source: Stream
    route: Route

    @property
    def images(self) -> int:
        """As of ``Stream``."""
        return self.source.images

    @cached_property
    def places(self) -> Array:
        """As of ``Stream``."""
        return self.route.currents(self.source.events, 0, self.steps)

    def block(self, low: int, high: int) -> tuple[Array, Array]:
        """As of ``Stream``."""
        return self.route.currents(self.source.events, low, high), np.arange(high - low)


@dataclass(frozen=True)
class ScaledStream(Stream):
    """What one-to-one weights make of a stream, computed when it is asked for.

    Parameters
    ----------
    shape, frame
        As of ``Stream``.
    source
        What they are applied to.
    synapses
        The weights, laid out as places with all their channels.
    """

    source: Stream
    synapses: ScaleSynapses

    @property
    def images(self) -> int:
        """As of ``Stream``."""
        return self.source.images

    @cached_property
    def places(self) -> Array:
        """As of ``Stream``."""
        scaled: Array = self.synapses.run(self.source.places)
        return scaled

    def block(self, low: int, high: int) -> tuple[Array, Array]:
        """As of ``Stream``."""
        values, frame = self.source.block(low, high)
        return self.synapses.run(values), frame


@dataclass(frozen=True)
class SummedStream(Stream):
    """The sum of currents, added up when it is asked for.

    Parameters
    ----------
    shape, frame
        As of ``Stream``.
    parts
        What is added up.
    """

    parts: tuple[Stream, ...]

    @property
    def images(self) -> int:
        """As of ``Stream``."""
        return self.parts[0].images

    @cached_property
    def places(self) -> Array:
        """As of ``Stream``."""
        total, _ = self.block(0, self.steps)
        return total

    def block(self, low: int, high: int) -> tuple[Array, Array]:
        """As of ``Stream``."""
        blocks = [part.block(low, high) for part in self.parts]
        real = any(values.dtype.kind == "f" for values, _ in blocks)
        images, _, *neurons = blocks[0][0].shape
        total = np.zeros((images, high - low, *neurons), np.float64 if real else np.int32)
        for values, frame in blocks:
            if np.array_equal(frame, np.arange(high - low)):
                total += values
                continue
            for step in np.flatnonzero(frame >= 0):
                total[:, step] += values[:, frame[step]]
        return total, np.arange(high - low)
