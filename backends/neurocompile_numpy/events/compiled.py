"""How kernels are compiled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from numba import njit

from neurocompile.ir import fixed_point

_F = TypeVar("_F", bound=Callable[..., Any])


def stamp(*sources: Path) -> tuple[tuple[str, int, int], ...]:
    """Tell one state of source files from another."""
    found = ((path.name, path.stat()) for path in sources)
    return tuple((name, state.st_mtime_ns, state.st_size) for name, state in found)


_STAMP = stamp(Path(fixed_point.__file__), *sorted(Path(__file__).parent.glob("*.py")))


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a kernel when it is first called, without holding Python's lock, and keep the result on disk.

    Where there is no folder to keep it in, it is compiled anew in every process.
    """
    try:
        kernel: Callable[..., Any] = njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:
        return njit(nogil=True, error_model="numpy")(function)  # type: ignore[no-any-return]
    # Numba would look at the file of the kernel only, and not at those of its parts.
    kernel._cache._cache_file._source_stamp = _STAMP  # type: ignore[attr-defined]
    return kernel


def part(function: _F) -> _F:
    """Compile a part of kernels, which is called by these only."""
    compiled_part: _F = njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, error_model="numpy")(function)
    return compiled_part
