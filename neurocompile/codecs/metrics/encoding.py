"""What an encoding costs and what it is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ENERGY_PER_SPIKE_NJ = 0.9
"""The encoder document's energy of a spike on Loihi, in nanojoules.

Davies et al. 2018 have no energy of a spike, but 0.0236 nJ for a synaptic operation and 0.081 nJ for the update of
an active neuron. By these 0.9 nJ are a neuron's spike with 35 synapses: ``(0.9 - 0.081) / 0.0236``.
"""

Spikes = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class EncodingMetrics:
    """How good an encoding is, in the mean over the samples.

    Parameters
    ----------
    information_rate_bits_per_s
        The mutual information I(X; S) of a sample's values and spikes, by the window.
    reconstruction_accuracy
        R2 of the decoded values, or of rank order the share of pairs in their right order.
    coding_efficiency_bits_per_spike
        I(X; S) by the spikes; 0 without spikes.
    mean_firing_rate_hz
        Spikes by neurons and window.
    latency_to_first_spike_ms
        When neurons that spike do so first, from the beginning of the window; the window if none does.
    sparsity
        The fraction of pairs of a neuron and a step without a spike.
    energy_proxy_nJ
        The spikes of a sample times the energy of one, an estimate.
    encode_wall_time_ms, decode_wall_time_ms
        What encoding all the samples took, and decoding them.
    """

    information_rate_bits_per_s: float
    reconstruction_accuracy: float
    coding_efficiency_bits_per_spike: float
    mean_firing_rate_hz: float
    latency_to_first_spike_ms: float
    sparsity: float
    energy_proxy_nJ: float  # noqa: N815
    encode_wall_time_ms: float
    decode_wall_time_ms: float


@dataclass
class SpikeTally:
    """Counts the spikes of one piece of data after another.

    Parameters
    ----------
    dt_ms
        What a step lasts.
    """

    dt_ms: float
    samples: int = 0
    spikes: int = 0
    places: int = 0
    firing: int = 0
    first_steps: int = 0

    def add(self, spikes: Spikes) -> None:
        """Count ``(B, T, N)``."""
        self.samples += len(spikes)
        self.spikes += int(np.count_nonzero(spikes))
        self.places += spikes.size
        fires = spikes.any(axis=1)
        self.firing += int(np.count_nonzero(fires))
        self.first_steps += int(spikes.argmax(axis=1)[fires].sum())

    @property
    def spikes_per_sample(self) -> float:
        """In the mean."""
        return self.spikes / self.samples

    @property
    def rate_hz(self) -> float:
        """Spikes by neurons and time."""
        return 1000 * self.spikes / (self.places * self.dt_ms)

    @property
    def sparsity(self) -> float:
        """The fraction of pairs of a neuron and a step without a spike."""
        return 1 - self.spikes / self.places

    def latency_ms(self, window_ms: float) -> float:
        """Return the mean time of first spikes, or the window if there are none."""
        return self.first_steps / self.firing * self.dt_ms if self.firing else window_ms
