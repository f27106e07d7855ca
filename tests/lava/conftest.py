from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from neurocompile_lava import supervisor
from neurocompile_lava.runtime import find_or_make


@pytest.fixture(scope="session")
def lava_python() -> Path:
    """The Python that runs Lava, from the user's own cache, where other test runs find it again."""
    return find_or_make(print)


@pytest.fixture
def skip_ahead(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Put the supervisor's clock forward by ten hours, so that a time-out comes when the test wants it."""
    ahead = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead[0], sleep=time.sleep)
    monkeypatch.setattr(supervisor, "time", clock)

    def skip() -> None:
        ahead[0] = 36000.0

    return skip
