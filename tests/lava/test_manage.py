from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from neurocompile_lava import runtime
from neurocompile_lava.backend import LavaBackend
from neurocompile_lava.runtime import PYTHON_VARIABLE, locked, runtime_folder

from neurocompile.backend import Bundler, RuntimeManager, silent
from neurocompile.errors import BackendError

pytestmark = pytest.mark.usefixtures("stand_in")

PATIENCE = 60.0


@pytest.fixture
def lava() -> LavaBackend:
    backend = LavaBackend()
    assert isinstance(backend, RuntimeManager)
    assert isinstance(backend, Bundler)
    return backend


def test_there_is_none_yet(lava: LavaBackend, empty_cache: Path) -> None:
    found = lava.runtime()
    assert (found.python, found.version, found.named_by, found.made) == (None, None, None, {})
    assert found.issue is not None
    assert "no Lava runtime yet" in found.issue.problem
    assert "neurocompile lava install" in str(found.issue.remedy)
    assert not empty_cache.exists()


def test_one_is_made(lava: LavaBackend, empty_cache: Path) -> None:
    made = lava.make_runtime(silent)
    assert made == lava.runtime() == lava.make_runtime(silent)
    assert made.python == empty_cache / runtime_folder().name / "bin" / "python"
    assert (made.version, made.named_by, made.issue) == ("3.10.99", "neurocompile, which made it", None)
    (size,) = made.made.values()
    assert size >= made.python.stat().st_size


def test_the_named_one_is_found(lava: LavaBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, str(tmp_path / "python3.10"))
    found = lava.make_runtime(silent)
    assert (found.python, found.named_by, found.made) == (tmp_path / "python3.10", PYTHON_VARIABLE, {})


def test_the_named_one_does_not_run_lava(lava: LavaBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, "/bin/false")
    found = lava.runtime()
    assert found.issue is not None
    assert f"{PYTHON_VARIABLE} names /bin/false, which does not run Lava" in found.issue.problem


def test_the_made_one_is_broken(lava: LavaBackend) -> None:
    python = lava.make_runtime(silent).python
    assert python is not None
    python.write_text("#!/bin/sh\necho no module lava >&2\nexit 1\n")
    found = lava.runtime()
    assert (found.python, found.version) == (python, None)
    assert found.issue is not None
    assert found.issue.problem.endswith("does not run Lava any more: no module lava")
    with pytest.raises(BackendError, match="neurocompile lava remove and neurocompile lava install"):
        lava.make_runtime(silent)


def test_all_that_was_made_is_removed_and_nothing_else(lava: LavaBackend, empty_cache: Path) -> None:
    lava.make_runtime(silent)
    current = runtime_folder()
    earlier = empty_cache / "lava-0.9.0-0123456789ab"
    shutil.copytree(current, earlier)
    unfinished = empty_cache / "lava-0.8.0-0123456789ab.partial-xyz"
    unfinished.mkdir()
    others = [empty_cache / "lava-notes", empty_cache / "simulators-0123456789ab", empty_cache / "lava-0.10.0-x"]
    for other in others:
        other.mkdir()
    assert set(lava.runtime().made) == {current, earlier, unfinished}
    assert lava.remove_runtime(silent) == [current, empty_cache / "lava-0.8.0-0123456789ab", earlier]
    assert sorted(path for path in empty_cache.iterdir() if path.suffix != ".lock") == sorted(others)
    assert lava.remove_runtime(silent) == []


def test_files_may_vanish_while_they_are_looked_at(lava: LavaBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    lava.make_runtime(silent)

    def gone(path: Path) -> None:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "lstat", gone)
    assert lava.runtime().made == {runtime_folder(): 0}


def test_the_named_python_is_not_removed(
    lava: LavaBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, str(tmp_path / "python3.10"))
    assert lava.remove_runtime(silent) == []
    assert (tmp_path / "python3.10").exists()


def test_nothing_is_removed_while_it_is_made(lava: LavaBackend) -> None:
    lava.make_runtime(silent)
    folder = runtime_folder()
    waiting = threading.Event()
    with locked(folder, silent):
        thread = threading.Thread(target=lava.remove_runtime, args=(lambda *_: waiting.set(),))
        thread.start()
        assert waiting.wait(PATIENCE)
        assert folder.exists()
    thread.join(PATIENCE)
    assert not folder.exists()


def test_a_broken_off_removal_leaves_no_half(lava: LavaBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    lava.make_runtime(silent)

    @contextmanager
    def kept(**where: Any) -> Iterator[str]:
        yield tempfile.mkdtemp(**where)

    with monkeypatch.context() as broken:
        broken.setattr(tempfile, "TemporaryDirectory", kept)
        lava.remove_runtime(silent)
    assert not runtime_folder().exists()
    lava.remove_runtime(silent)
    assert lava.runtime().made == {}


def test_what_can_not_be_removed_is_told(lava: LavaBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    lava.make_runtime(silent)

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "rename", denied)
    with pytest.raises(BackendError, match=r"can't be removed: .*Permission denied") as caught:
        lava.remove_runtime(silent)
    assert "check the folder's permissions" in str(caught.value)
    assert runtime.find() is not None
