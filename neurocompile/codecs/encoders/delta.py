"""Delta modulation, or temporal contrast: spikes tell that a signal has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from neurocompile.codecs.arrays import Array, admit, constant, namespace
from neurocompile.codecs.checks import Checks
from neurocompile.codecs.config import DeltaMode, Normalization
from neurocompile.codecs.encoders.encoder import Encoder
from neurocompile.codecs.normalization import NormalizationStats, normalize
from neurocompile.codecs.spike_batch import SpikeBatch
from neurocompile.errors import DataError


@dataclass(eq=False)
class _State:
    """Where a stream stands.

    Parameters
    ----------
    reference
        What its next value is compared with, ``(B, N)``.
    up, down
        How much the thresholds have grown, as a share of each, ``(B, N)``; None without adaptation.
    """

    reference: Array
    up: Array
    down: Array


@dataclass(kw_only=True, eq=False)
class DeltaEncoder(Encoder):
    """Sends an ON spike where a signal has risen by more than a threshold, and an OFF spike where it has fallen.

    It takes a stream in as many pieces as one likes: it goes on where the last ended, until ``reset``. The first
    value of a stream has no spike, since there is nothing that it has changed from. Pieces have any length, and
    ``num_steps`` says nothing of them.

    Parameters
    ----------
    theta_up, theta_down
        The thresholds.
    mode
        ``reference``: the signal is compared with what the spikes so far add up to, and each moves that by its
        threshold, so that a slow change is sent in time, and a decoder follows the signal. ``difference``: it is
        compared with its value a step before, so that a change of less than a threshold a step is never sent.
    adaptation, adaptation_decay
        At a spike its threshold grows by ``adaptation`` times itself, and what it has grown by shrinks to
        ``adaptation_decay`` of that at each step (Bellec et al. 2018). It follows from the spikes, so that a
        decoder knows it.
    normalization
        ``none`` here takes every finite value. ``minmax`` needs the whole stream, in one piece.
    """

    normalization: Normalization = "none"
    theta_up: float = 0.1
    theta_down: float = 0.1
    mode: DeltaMode = "reference"
    adaptation: float = 0.0
    adaptation_decay: float = 0.9
    _state: _State | None = field(default=None, init=False, repr=False)

    def _rules(self, checks: Checks) -> None:
        super()._rules(checks)
        checks.delta(self.theta_up, self.theta_down, self.adaptation, self.adaptation_decay)

    def reset(self) -> None:
        """Forget the stream: the next piece is the beginning of another."""
        super().reset()
        self._state = None

    def __call__(self, x: Array) -> SpikeBatch:
        """Encode the next piece of a stream.

        Parameters
        ----------
        x
            ``(B, T, N)`` or ``(B, T, C, H, W)`` with any T.

        Returns
        -------
        SpikeBatch
            ``(B, T, 2 N)`` or ``(B, T, 2 C, H, W)``, ``bool``: ON, then OFF. ``aux``: ``reference``, what the
            piece began with, ``(B, N)`` or ``(B, C, H, W)``; ``threshold_up`` and ``threshold_down``, those of
            each step, ``(B, T, N)`` or ``(B, T, C, H, W)``, or numbers where they do not adapt; ``normalization``.

        Raises
        ------
        DataError
            If it is empty, not finite, of another rank, or does not go on with the stream.
        """
        x = constant(admit(x))
        if x.ndim not in (3, 5):
            raise DataError(
                f"DeltaEncoder takes streams (B, T, N) or (B, T, C, H, W), and the input has the shape "
                f"{list(x.shape)}",
                remedy="give it an axis of time",
            )
        xp = namespace(x)
        if self.normalization == "minmax" and self._state is not None:
            raise DataError(
                "a second piece of a stream whose smallest and largest value are to be known",
                remedy="give all of it in one piece, or call reset() before another stream",
            )
        x, stats = self._normalized(x)
        state = self._begin(x)
        began = state.reference
        if self.mode == "difference" and not self.adaptation:
            before = xp.concat([state.reference[:, None], x[:, :-1]], axis=1)
            # Sums, since the difference of two large values may be larger than the largest float.
            on, off = x > before + self.theta_up, x < before - self.theta_down
            state.reference = x[:, -1]
            thresholds: dict[str, Array] = {"threshold_up": self.theta_up, "threshold_down": self.theta_down}
        else:
            on, off, thresholds = self._step_by_step(x, state)
        # The caller may write the next piece into the memory of this one.
        state.reference = xp.asarray(state.reference, copy=True)
        self._state = state
        aux = {"reference": began, "normalization": stats, **thresholds}
        return SpikeBatch(xp.concat([on, off], axis=2), aux=aux)

    def encode_ragged(self, streams: Sequence[Array]) -> SpikeBatch:
        """Encode whole streams of different lengths, each by itself; nothing goes on from before, nor after.

        Parameters
        ----------
        streams
            ``(T_i, N)`` or ``(T_i, C, H, W)``.

        Returns
        -------
        SpikeBatch
            As of one stream, padded to the longest, with the mask. In ``aux`` thresholds are padded with zeros.

        Raises
        ------
        DataError
            If there are none, or one is wrong as ``__call__`` says, or their features or worlds differ.
        """
        batches = []
        for stream in streams:
            self.reset()
            batches.append(self(admit(stream)[None]))
        self.reset()
        spikes = SpikeBatch.stack([batch.spikes[0] for batch in batches])
        aux = {name: _stacked([batch.aux[name] for batch in batches]) for name in batches[0].aux}
        return SpikeBatch(spikes.spikes, spikes.mask, aux)

    def _normalized(self, x: Array) -> tuple[Array, NormalizationStats]:
        xp = namespace(x)
        flat = xp.reshape(x, (x.shape[0], -1))
        if self.normalization == "none":
            zero = xp.zeros_like(flat[:, :1])
            return x, NormalizationStats("none", zero, zero + 1)
        share, stats = normalize(flat, self.normalization, self.normalization_scope, self.input_range)
        return xp.reshape(share, x.shape), stats

    def _begin(self, x: Array) -> _State:
        state = self._state
        if state is None:
            xp = namespace(x)
            grown = xp.zeros_like(x[:, 0])
            return _State(xp.asarray(x[:, 0], copy=True), grown, grown)
        namespace(x, state.reference)
        shape = (x.shape[0], *x.shape[2:])
        if shape != tuple(state.reference.shape) or x.dtype != state.reference.dtype:
            raise DataError(
                f"a piece {list(x.shape)} of {x.dtype} does not go on with a stream of "
                f"{state.reference.dtype} with the samples and features {list(state.reference.shape)}",
                remedy="call reset() before another stream",
            )
        return _State(state.reference, state.up, state.down)

    def _step_by_step(self, x: Array, state: _State) -> tuple[Array, Array, dict[str, Array]]:
        xp = namespace(x)
        on = xp.zeros_like(x, dtype=xp.bool)
        off = xp.zeros_like(on)
        up: Array = self.theta_up
        down: Array = self.theta_down
        ups: list[Array] = []
        downs: list[Array] = []
        adapts = self.adaptation > 0
        for t in range(x.shape[1]):
            now = x[:, t]
            if adapts:
                up, down = self.theta_up * (1 + state.up), self.theta_down * (1 + state.down)
                ups.append(up)
                downs.append(down)
            rises, falls = now > state.reference + up, now < state.reference - down
            on[:, t], off[:, t] = rises, falls
            if self.mode == "difference":
                state.reference = now
            else:
                moved = xp.where(rises, state.reference + up, state.reference)
                state.reference = xp.where(falls, state.reference - down, moved)
            if adapts:
                state.up = self._adapted(state.up, rises)
                state.down = self._adapted(state.down, falls)
        if adapts:
            return on, off, {"threshold_up": xp.stack(ups, axis=1), "threshold_down": xp.stack(downs, axis=1)}
        return on, off, {"threshold_up": self.theta_up, "threshold_down": self.theta_down}

    def _adapted(self, grown: Array, fired: Array) -> Array:
        xp = namespace(grown)
        return xp.where(fired, grown + self.adaptation, grown) * self.adaptation_decay


def _stacked(values: Sequence[Any]) -> Any:
    """Make one value of ``aux`` of those of single samples."""
    first = values[0]
    if isinstance(first, NormalizationStats):
        xp = namespace(first.low)
        low, high = (xp.concat([getattr(stats, name) for stats in values]) for name in ("low", "high"))
        return NormalizationStats(first.kind, low, high)
    return first if isinstance(first, int | float) else SpikeBatch.stack([value[0] for value in values]).spikes
