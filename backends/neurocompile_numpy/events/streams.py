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
from neurocompile_numpy.events.bits import counts, packed, unpacked
from neurocompile_numpy.events.layout import places_of, whole_vectors


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

    @property
    def signed(self) -> bool:
        """Whether some spikes are -1."""
        return self.places.dtype != np.bool_

    @cached_property
    def bits(self) -> Array:
        """Spikes, which have a frame for every step, as ``packed``."""
        return packed(self.places, signed=self.signed)

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


@dataclass(frozen=True)
class BitsStream(Stream):
    """Spikes as kernels leave them.

    Parameters
    ----------
    shape, frame
        As of ``Stream``.
    values
        As ``packed``.
    """

    values: Array

    @property
    def signed(self) -> bool:
        """As of ``Stream``."""
        return bool(self.values.shape[1] > places_of(self.shape)[1])

    @property
    def images(self) -> int:
        """As of ``Stream``."""
        return len(self.values)

    @cached_property
    def places(self) -> Array:
        """As of ``Stream``."""
        return unpacked(self.values, signed=self.signed)

    @cached_property
    def bits(self) -> Array:
        """As of ``Stream``."""
        return self.values

    def count(self) -> Array:
        """As of ``Stream``."""
        channels, places = places_of(self.shape)
        by_place = counts(self.values).reshape(places, 1 + self.signed, -1).sum(axis=1, dtype=np.int64)
        total: Array = by_place[:, :channels].T.reshape(self.shape)
        return total
