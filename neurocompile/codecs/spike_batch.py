"""Spikes on a grid of steps, as arrays ``(B, T, ...)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import array_api_compat

from neurocompile.codecs.arrays import Array, as_array, namespace
from neurocompile.codecs.axes import BATCH_DIM, TIME_DIM
from neurocompile.errors import DataError


@dataclass(frozen=True, eq=False)
class SpikeBatch:
    """What every encoder returns and every decoder takes.

    Parameters
    ----------
    spikes
        ``(B, T, N)`` or ``(B, T, C, H, W)``; ``bool``, ``uint8`` or floats.
    mask
        ``(B, T)``, True where the step belongs to the sample; None if all do. Streams of different lengths are
        padded at their ends, and there are no spikes in the padding.
    aux
        What a decoder may need: ``rates``, ``spike_times``, ``population_map``, ``normalization`` and others, as
        each encoder says.

    Raises
    ------
    DataError
        If the spikes are no numbers, the mask does not fit them, it leaves out steps before others, or there are
        spikes where it is False.
    """

    spikes: Array
    mask: Array = None
    aux: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "spikes", as_array(self.spikes, "the array of spikes"))
        xp = namespace(self.spikes)
        if not xp.isdtype(self.spikes.dtype, ("bool", "integral", "real floating")):
            raise DataError(f"spikes of the type {self.spikes.dtype}", remedy="give bool, integers or floats")
        if self.spikes.ndim < 2:
            raise DataError(
                f"spikes are (B, T, ...), and these have the shape {list(self.spikes.shape)}",
                remedy="give the batch first, then time",
            )
        steps = tuple(self.spikes.shape[:2])
        if self.mask is None:
            mask = xp.ones(steps, dtype=xp.bool, device=self.device)
            object.__setattr__(self, "mask", mask)
            return
        xp = namespace(self.spikes, self.mask)
        if tuple(self.mask.shape) != steps or self.mask.dtype != xp.bool:
            raise DataError(
                f"the mask has the shape {list(self.mask.shape)} and the type {self.mask.dtype}",
                remedy=f"a mask of these spikes is bool, of the shape {list(steps)}",
            )
        if bool(xp.any(self.mask[:, 1:] & ~self.mask[:, :-1])):
            raise DataError(
                "the mask has steps after some that it leaves out", remedy="put the padding at the end of samples"
            )
        if not bool(xp.all(self.mask)) and bool(xp.any(self.spikes[~self.mask] != 0)):
            raise DataError(
                "there are spikes in steps that the mask leaves out", remedy="set them to 0, or widen the mask"
            )

    @property
    def time_steps(self) -> int:
        """T, the padding counted in."""
        return int(self.spikes.shape[TIME_DIM])

    @property
    def batch_size(self) -> int:
        """B."""
        return int(self.spikes.shape[BATCH_DIM])

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """The axes after batch and time: ``(N,)`` or ``(C, H, W)``."""
        return tuple(self.spikes.shape[2:])

    @property
    def device(self) -> Any:
        """Where the spikes are: PyTorch's device, or ``"cpu"`` in NumPy."""
        return array_api_compat.device(self.spikes)

    @property
    def lengths(self) -> Array:
        """The steps of each sample, ``(B,)``."""
        xp = namespace(self.mask)
        return xp.sum(xp.astype(self.mask, xp.int64), axis=TIME_DIM)

    def is_binary(self) -> bool:
        """Tell whether every value is 0 or 1."""
        xp = namespace(self.spikes)
        if self.spikes.dtype == xp.bool:
            return True
        return bool(xp.all((self.spikes == 0) | (self.spikes == 1)))

    @classmethod
    def stack(cls, streams: Sequence[Array], aux: Mapping[str, Any] | None = None) -> SpikeBatch:
        """Make a batch of streams ``(T_i, ...)``, padded to the longest.

        Raises
        ------
        DataError
            If there are none, or their features, types or worlds differ.
        """
        if not streams:
            raise DataError("there are no streams to make a batch of", remedy="give at least one")
        xp = namespace(*streams)
        if any(stream.ndim < 1 for stream in streams):
            raise DataError("a stream without an axis of time", remedy="give (T, ...)")
        first = streams[0]
        features = tuple(first.shape[1:])
        for i, stream in enumerate(streams):
            if tuple(stream.shape[1:]) != features or stream.dtype != first.dtype:
                raise DataError(
                    f"stream {i} has features {list(stream.shape[1:])} of {stream.dtype}, "
                    f"and the first {list(features)} of {first.dtype}"
                )
        device = array_api_compat.device(first)
        steps = max(int(stream.shape[0]) for stream in streams)
        spikes = xp.zeros((len(streams), steps, *features), dtype=first.dtype, device=device)
        mask = xp.zeros((len(streams), steps), dtype=xp.bool, device=device)
        for i, stream in enumerate(streams):
            spikes[i, : stream.shape[0]] = stream
            mask[i, : stream.shape[0]] = True
        return cls(spikes, mask, aux or {})

    def unstack(self) -> list[Array]:
        """Return each sample's steps ``(T_i, ...)`` without the padding."""
        return [stream[valid] for stream, valid in zip(self.spikes, self.mask, strict=True)]
