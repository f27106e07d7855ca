from __future__ import annotations

from collections.abc import Iterator

import pytest
from one_thread import one_thread

import neurocompile as nc

__all__ = ["one_thread"]


@pytest.fixture(autouse=True)
def _one_core() -> Iterator[None]:
    """Tuning lets PyTorch use all cores otherwise."""
    with nc.threads(1):
        yield
