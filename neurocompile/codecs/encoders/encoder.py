"""What encoders have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import array_api_compat

from neurocompile.codecs.arrays import Array, Draws, admit, draws_for, namespace
from neurocompile.codecs.checks import CheckedOptions, Checks
from neurocompile.codecs.config import Normalization, Scope
from neurocompile.codecs.normalization import normalize
from neurocompile.codecs.spike_batch import SpikeBatch
from neurocompile.errors import DataError

AnyEncoder = TypeVar("AnyEncoder", bound="Encoder")


@dataclass(kw_only=True, eq=False)
class Encoder(CheckedOptions):
    """Turns values or streams of them into spikes.

    It starts in training, where it draws and jitters; in evaluation, what is said to be deterministic draws
    nothing. Its generators go on from call to call; ``reset`` sets them back to the seed.

    Parameters
    ----------
    num_steps
        T.
    dt_ms
        What a step lasts.
    normalization, normalization_scope, input_range
        How values become shares of [0, 1]: ``normalization.normalize``.
    seed
        Of the generators: one for NumPy, and one for each of PyTorch's devices, with other spikes. None is
        another seed each time.
    """

    num_steps: int = 25
    dt_ms: float = 1.0
    normalization: Normalization = "minmax"
    normalization_scope: Scope = "sample"
    input_range: tuple[float, float] = (0.0, 1.0)
    seed: int | None = None
    training: bool = field(default=True, init=False)
    _draws: dict[str, Draws] = field(default_factory=dict, init=False, repr=False)

    def _rules(self, checks: Checks) -> None:
        checks.steps(1, num_steps=self.num_steps)
        checks.positive(dt_ms=self.dt_ms)
        checks.seed(self.seed)
        checks.range(input_range=self.input_range)

    def train(self: AnyEncoder, mode: bool = True) -> AnyEncoder:
        """Go to training, or with False to evaluation."""
        self.training = mode
        return self

    def eval(self: AnyEncoder) -> AnyEncoder:
        """Go to evaluation."""
        return self.train(False)

    def reset(self) -> None:
        """Forget everything since the encoder was made; with a seed, the same spikes come again."""
        self._draws.clear()

    @abstractmethod
    def __call__(self, x: Array) -> SpikeBatch:
        """Encode values."""

    def draws(self, x: Array) -> Draws:
        """Return the random numbers for the world and device of ``x``."""
        key = f"{array_api_compat.is_torch_array(x)} {array_api_compat.device(x)}"
        if key not in self._draws:
            self._draws[key] = draws_for(x, self.seed)
        return self._draws[key]


@dataclass(kw_only=True, eq=False)
class ValueEncoder(Encoder):
    """Turns values that do not change in time into spikes."""

    # What of aux has no place for each value, and keeps its shape.
    _shapeless: ClassVar[tuple[str, ...]] = ()

    def __call__(self, x: Array) -> SpikeBatch:
        """Encode values.

        Parameters
        ----------
        x
            ``(B, N)`` or ``(B, C, H, W)``; or ``(N,)``, which is one sample.

        Returns
        -------
        SpikeBatch
            ``(B, T, N)`` or ``(B, T, C, H, W)``, ``bool``. In ``aux``: ``normalization``, and what the encoder
            says, where ``(B, N)`` stands for the shape of ``x``.

        Raises
        ------
        DataError
            If it is empty, not finite, of another rank, or outside of the range that the normalization asks for.
        """
        x = admit(x)
        if x.ndim not in (1, 2, 4):
            raise DataError(
                f"{type(self).__name__} takes (N,), (B, N) or (B, C, H, W), and the input has the shape "
                f"{list(x.shape)}",
                remedy="streams (B, T, N) are for DeltaEncoder and PoissonRateEncoder.encode_profile",
            )
        xp = namespace(x)
        shape = tuple(x.shape) if x.ndim > 1 else (1, *x.shape)
        flat = xp.reshape(x, (shape[0], -1))
        share, stats = normalize(flat, self.normalization, self.normalization_scope, self.input_range)
        spikes, aux = self._encode(share)
        if spikes.shape[2] == share.shape[1]:
            spikes = xp.reshape(spikes, (shape[0], spikes.shape[1], *shape[1:]))
        for name, value in aux.items():
            if name not in self._shapeless and tuple(getattr(value, "shape", ())) == tuple(share.shape):
                aux[name] = xp.reshape(value, shape)
        return SpikeBatch(spikes, aux={**aux, "normalization": stats})

    def grid(self, x: Array) -> tuple[int, int, int]:
        """Return the shape of the spikes of neurons ``(B, N)``."""
        return x.shape[0], self.num_steps, x.shape[1]

    @abstractmethod
    def _encode(self, share: Array) -> tuple[Array, dict[str, Any]]:
        """Turn shares ``(B, N)`` into spikes ``(B, T, M)`` and what belongs into ``aux``."""
