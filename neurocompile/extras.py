"""Packages that only an extra installs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from neurocompile.errors import DependencyError


@contextmanager
def needing_torch(what: str) -> Iterator[None]:
    """Tell how to install PyTorch where an import in this block does not find it.

    Parameters
    ----------
    what
        What can't be had without it.

    Raises
    ------
    DependencyError
        If PyTorch is not installed; it is an ``ImportError`` too.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "torch":
            raise
        problem = f"{what} needs PyTorch, which is not installed"
        raise DependencyError(problem, remedy='pip install "neurocompile[torch]"') from error
