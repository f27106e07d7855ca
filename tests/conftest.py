from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import findpython
import hypothesis
import pytest
from lava_stand_in import STAND_IN, executable
from neurocompile_lava import runtime
from neurocompile_lava.runtime import PYTHON_VARIABLE

hypothesis.settings.register_profile("default", deadline=None, max_examples=40)
hypothesis.settings.register_profile("ci", deadline=None, max_examples=40, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and no Python for Lava but the one that a test provides."""
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(runtime, "sys", SimpleNamespace(version_info=(3, 12, 1), executable="/no/python"))
    monkeypatch.setattr(findpython.Finder, "find_all", lambda *_args, **_kwargs: [])
    return tmp_path / "cache" / "neurocompile"


@pytest.fixture
def stand_in(empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let a stand-in be the Python 3.10 that is found, and give the file of its command lines."""
    del empty_cache
    python = executable(tmp_path / "python3.10", STAND_IN)
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "command-lines"))
    found = [SimpleNamespace(executable=python)]
    monkeypatch.setattr(findpython.Finder, "find_all", lambda *_args, **_kwargs: found)
    return tmp_path / "command-lines"
