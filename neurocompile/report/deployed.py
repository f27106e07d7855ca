"""What a run on a target gave, and what it proved."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from neurocompile.backend import Activity, Result, total_activity
from neurocompile.evaluate import mismatches
from neurocompile.ir import Array


@dataclass(frozen=True)
class Ran:
    """A run on a target.

    Parameters
    ----------
    decisions
        The class decided on for each image after the last step.
    activity
        Of the encoder and each layer of neurons.
    layers
        The layers whose spikes were recorded.
    seconds
        That the run took.
    digest
        Of all spikes: equal spikes have equal digests, however the images were grouped.
    """

    decisions: Array
    activity: Mapping[str, Activity]
    layers: tuple[str, ...]
    seconds: float
    digest: str

    @classmethod
    def of(cls, parts: Iterable[Result]) -> Ran:
        """Put together the parts of a run, of which only one is in memory at a time."""
        decisions, activity, seconds = [], [], 0.0
        digest = _SpikesDigest()
        for part in parts:
            decisions.append(part.decisions[:, -1])
            activity.append(part.activity)
            seconds += part.seconds
            digest.add(part)
        return cls(
            np.concatenate(decisions), total_activity(activity), tuple(digest.layers), seconds, digest.hexdigest()
        )

    @property
    def spikes(self) -> int:
        """That the neurons fired."""
        return sum(self.activity[name].events for name in self.layers)


@dataclass(frozen=True)
class Comparison:
    """A sample that ran on a target, compared with the same in the NumPy simulator.

    Parameters
    ----------
    target
        The backend's name.
    ran
        The run on the target.
    mismatches
        For each layer the spikes, and for ``potentials`` the accumulated outputs, that differ.
    """

    target: str
    ran: Ran
    mismatches: Mapping[str, int]

    @classmethod
    def of(cls, target: str, parts: Iterable[Result], reference: Iterable[Result]) -> Comparison:
        """Compare the parts of two runs of the same images."""
        found: Counter[str] = Counter()

        def compared() -> Iterable[Result]:
            for part, expected in zip(parts, reference, strict=True):
                for name, count in mismatches(expected, part).items():
                    found[name] += count
                yield part

        return cls(target, Ran.of(compared()), found)

    @property
    def spike_mismatches(self) -> int:
        """Over all layers, steps and images."""
        return sum(self.mismatches.values()) - self.output_mismatches

    @property
    def output_mismatches(self) -> int:
        """Accumulated outputs that differ, over all steps and images."""
        return self.mismatches["potentials"]

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not any(self.mismatches.values())


class _SpikesDigest:
    """A SHA-256 over the spikes of each layer, image by image."""

    def __init__(self) -> None:
        self.layers: dict[str, hashlib._Hash] = {}

    def add(self, part: Result) -> None:
        for name, stream in part.spikes.items():
            digest = self.layers.setdefault(name, hashlib.sha256())
            for image in stream:
                digest.update(np.packbits(image.astype(bool)).tobytes())

    def hexdigest(self) -> str:
        both = hashlib.sha256()
        for name, digest in sorted(self.layers.items()):
            both.update(f"{name} {digest.hexdigest()}".encode())
        return both.hexdigest()
