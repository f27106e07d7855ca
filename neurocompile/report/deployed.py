"""What a run on a target proved."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurocompile.backend import Result
from neurocompile.evaluate import mismatches


@dataclass(frozen=True)
class DeployedRun:
    """A sample that ran on a target and in the NumPy simulator.

    Parameters
    ----------
    target
        The backend's name.
    samples
        Images.
    spikes
        That the target's neurons fired.
    mismatches
        For each layer, and for the potentials, the values that differ.
    seconds
        That the run took on the target.
    digest
        Of all spikes; equal spikes have equal digests.
    """

    target: str
    samples: int
    spikes: int
    mismatches: Mapping[str, int]
    seconds: float
    digest: str

    @classmethod
    def compare(cls, target: str, deployed: Result, reference: Result) -> DeployedRun:
        """Compare a run on a target with the reference's."""
        return cls(
            target,
            len(deployed.potentials),
            sum(int(np.count_nonzero(stream)) for stream in deployed.spikes.values()),
            mismatches(reference, deployed),
            deployed.seconds,
            spikes_digest(deployed),
        )

    @property
    def spike_mismatches(self) -> int:
        """Over all layers and the potentials."""
        return sum(self.mismatches.values())


def spikes_digest(result: Result) -> str:
    """Give the SHA-256 of all recorded spikes, layer by layer."""
    digest = hashlib.sha256()
    for name, stream in sorted(result.spikes.items()):
        digest.update(f"{name} {stream.shape}".encode())
        digest.update(np.packbits(stream.astype(bool)).tobytes())
    return digest.hexdigest()
