"""The two worlds of arrays: NumPy's and PyTorch's.

Everything in ``neurocompile.codecs`` is written once, against the Python array API standard, and runs on either.
What the standard lacks and both have, like writing to places by their indices, is used as both have it. PyTorch is
imported only where a tensor was given, so whoever gave it has it.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, Protocol, TypeAlias

import array_api_compat
import array_api_compat.numpy
import numpy as np

from neurocompile.errors import DataError

#: A NumPy array or a PyTorch tensor. The standard has no type for it that both satisfy.
Array: TypeAlias = Any


def namespace(*arrays: Array) -> ModuleType:
    """Return the array API of these arrays, which have to be of one world."""
    # Without this, asking takes longer than adding 1,000 numbers.
    if all(type(x) is np.ndarray for x in arrays):
        return array_api_compat.numpy
    try:
        found: ModuleType = array_api_compat.array_namespace(*arrays)
    except TypeError as error:
        raise DataError(
            "the arrays are not all NumPy arrays or all PyTorch tensors",
            remedy="convert them to one of the two",
        ) from error
    return found


def as_array(x: Array, name: str) -> Array:
    """Return an array or a tensor as it is, and make a NumPy array of anything else.

    Raises
    ------
    DataError
        If it is none.
    """
    if array_api_compat.is_numpy_array(x) or array_api_compat.is_torch_array(x):
        return x
    try:
        return np.asarray(x)
    except ValueError as error:
        raise DataError(f"{name} is no array: {error}", remedy="give rows of equal lengths") from error


def admit(x: Array, name: str = "the input") -> Array:
    """Check an array that a user gave, and make it float32 or float64.

    Parameters
    ----------
    x
        An array, a tensor, or what NumPy makes an array of. Half precision becomes float32, in which 1,000 steps
        can be told apart, and integers become float64 in NumPy and float32 in PyTorch.
    name
        What messages call it.

    Returns
    -------
    Array
        Of the same shape, world and device, without NaN and infinities.

    Raises
    ------
    DataError
        If it is empty, holds no real numbers, or some that are not finite.
    """
    x = as_array(x, name)
    xp = namespace(x)
    if 0 in x.shape:
        raise DataError(f"{name} is empty: it has the shape {list(x.shape)}", remedy="give at least one value")
    if array_api_compat.is_numpy_array(x) and x.dtype.kind not in "biuf":
        raise DataError(f"{name} has the type {x.dtype}", remedy="give real numbers")
    if xp.isdtype(x.dtype, "complex floating"):
        raise DataError(f"{name} has complex numbers", remedy="give real numbers")
    if x.dtype not in (xp.float32, xp.float64):
        wide = xp.float64 if array_api_compat.is_numpy_array(x) else xp.float32
        half = not xp.isdtype(x.dtype, ("bool", "integral"))
        x = xp.astype(x, xp.float32 if half and x.dtype.itemsize < 4 else wide)
    if not bool(xp.all(xp.isfinite(x))):
        wrong = int(xp.sum(xp.astype(~xp.isfinite(x), xp.int64)))
        raise DataError(
            f"{name} holds NaN or infinities, in {wrong} places",
            remedy="mend the data before it is encoded",
        )
    return x


def constant(x: Array) -> Array:
    """Return the values without what PyTorch notes to differentiate them."""
    return x.detach() if array_api_compat.is_torch_array(x) else x


def as_numpy(x: Array) -> Array:
    """Return the values as a NumPy array, from whatever device they are on; half precision becomes single."""
    if not array_api_compat.is_torch_array(x):
        return np.asarray(x)
    x = array_api_compat.to_device(constant(x), "cpu")
    # NumPy has no bfloat16.
    return np.asarray(x.float() if x.is_floating_point() and x.dtype.itemsize < 4 else x)


class Draws(Protocol):
    """Random numbers of one world, in single precision or better."""

    def uniform(self, shape: tuple[int, ...]) -> Array:
        """Draw from [0, 1)."""
        ...

    def exponential(self, shape: tuple[int, ...]) -> Array:
        """Draw from the exponential distribution of mean 1."""
        ...

    def normal(self, shape: tuple[int, ...]) -> Array:
        """Draw from the normal distribution of mean 0 and variance 1."""
        ...

    def bytes(self, shape: tuple[int, ...]) -> Array:
        """Draw ``uint8``, each of the 256 values equally often."""
        ...


class NumpyDraws:
    """Random numbers as NumPy arrays.

    PCG64 and what is made of it here are integer arithmetic and tables, so that a seed gives the same numbers on
    every platform.

    Parameters
    ----------
    seed
        Of the generator, None for another one each time; or a generator to draw from.
    """

    def __init__(self, seed: int | np.random.Generator | None) -> None:
        if isinstance(seed, np.random.Generator):
            self.generator = seed
        else:
            self.generator = np.random.Generator(np.random.PCG64(seed))

    def uniform(self, shape: tuple[int, ...]) -> Array:  # noqa: D102
        return self.generator.random(shape)

    def exponential(self, shape: tuple[int, ...]) -> Array:  # noqa: D102
        return self.generator.standard_exponential(shape)

    def normal(self, shape: tuple[int, ...]) -> Array:  # noqa: D102
        return self.generator.standard_normal(shape)

    def bytes(self, shape: tuple[int, ...]) -> Array:  # noqa: D102
        size = math.prod(shape)
        words = self.generator.integers(0, 2**64 - 1, -(-size // 8), np.uint64, endpoint=True)
        # The order of a word's bytes is not the same on every platform.
        return words.astype("<u8", copy=False).view(np.uint8)[:size].reshape(shape)


class TorchDraws:
    """Random numbers as PyTorch tensors, in float32, which autocast does not touch.

    Parameters
    ----------
    seed
        Of the generator, None for another one each time.
    device
        Where the tensors are.
    """

    def __init__(self, seed: int | None, device: Any) -> None:
        import torch

        self.torch = torch
        self.device = device
        self.generator = torch.Generator(device=device)
        if seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(seed)

    def _new(self, shape: tuple[int, ...]) -> Array:
        return self.torch.empty(shape, dtype=self.torch.float32, device=self.device)

    def uniform(self, shape: tuple[int, ...]) -> Array:  # noqa: D102
        return self._new(shape).uniform_(generator=self.generator)

    def exponential(self, shape: tuple[int, ...]) -> Array:  # noqa: D102
        return self._new(shape).exponential_(generator=self.generator)

    def normal(self, shape: tuple[int, ...]) -> Array:  # noqa: D102
        return self._new(shape).normal_(generator=self.generator)

    def bytes(self, shape: tuple[int, ...]) -> Array:  # noqa: D102
        return self.torch.randint(256, shape, dtype=self.torch.uint8, device=self.device, generator=self.generator)


def draws_for(x: Array, seed: int | None) -> Draws:
    """Return random numbers in the world and on the device of ``x``."""
    return TorchDraws(seed, x.device) if array_api_compat.is_torch_array(x) else NumpyDraws(seed)
