"""How kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel when it is first called, without holding Python's lock, and keep the result on disk.

    Where there is no folder to keep it in, it is compiled anew in every process.
    """
    try:
        kernel: Callable[..., Any] = njit(nogil=True, cache=True)(function)
    except RuntimeError:
        kernel = njit(nogil=True)(function)
    return kernel
