from __future__ import annotations

from pathlib import Path

import pytest
from neurocompile_lava.runtime import find_or_make


@pytest.fixture(scope="session")
def lava_python() -> Path:
    """The Python that runs Lava, from the user's own cache, where other test runs find it again."""
    return find_or_make(print)
