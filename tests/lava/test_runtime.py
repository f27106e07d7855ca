from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import findpython
import pytest
from neurocompile_lava import runtime, supervisor
from neurocompile_lava.runtime import LAVA_VERSION, PYTHON_VARIABLE, find_or_make

from neurocompile.errors import BackendError

PATIENCE = 120.0

STAND_IN = """#!/bin/sh
# Stands in for Python 3.10: knows `-m venv FOLDER`, `-m pip ...` and `-c PROGRAM`.
echo "$@" >> "$STAND_IN_LOG"
case "$2" in
    venv) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    pip) eval "${STAND_IN_PIP:-true}" ;;
    *) echo "$0" ;;
esac
"""


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and no Python but the one that a test provides."""
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(runtime, "sys", SimpleNamespace(version_info=(3, 12, 1), executable="/no/python"))
    monkeypatch.setattr(findpython.Finder, "find_all", lambda *_args, **_kwargs: [])
    return tmp_path / "cache" / "neurocompile"


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let a stand-in be the Python 3.10 that is found, and give the file of its command lines."""
    python = executable(tmp_path / "python3.10", STAND_IN)
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "command-lines"))
    found = [SimpleNamespace(executable=python)]
    monkeypatch.setattr(findpython.Finder, "find_all", lambda *_args, **_kwargs: found)
    return tmp_path / "command-lines"


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def made(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


# ---------------------------------------------------------------- the Python that the user names


def test_uses_the_named_python(lava_python: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, str(lava_python))
    assert find_or_make(pytest.fail) == lava_python
    assert not empty_cache.exists()


def test_looks_through_a_wrapper(lava_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper = executable(tmp_path / "lava-python", f'#!/bin/sh\n"{lava_python}" "$@"\n')
    monkeypatch.setenv(PYTHON_VARIABLE, str(wrapper))
    assert find_or_make(pytest.fail) == lava_python


def test_the_named_python_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, "/no/such/python")
    with pytest.raises(BackendError, match="names /no/such/python, which is no executable file"):
        find_or_make(pytest.fail)


def test_the_named_python_lacks_lava(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)
    monkeypatch.setattr(runtime, "_CHECK", "import no_lava_here")
    with pytest.raises(BackendError, match=r"does not run Lava: ModuleNotFoundError: .*no_lava_here"):
        find_or_make(pytest.fail)


def test_the_named_python_has_another_lava(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lava = tmp_path / "lava" / "magma" / "core"
    lava.mkdir(parents=True)
    (lava / "run_configs.py").touch()
    (tmp_path / "lava_nc-0.9.0.dist-info").mkdir()
    (tmp_path / "lava_nc-0.9.0.dist-info" / "METADATA").write_text("Name: lava-nc\nVersion: 0.9.0\n")
    # A PYTHONPATH in the environment of this process would not come through.
    source = f'#!/bin/sh\nPYTHONPATH="{tmp_path}" exec "{sys.executable}" "$@"\n'
    wrapper = executable(tmp_path / "python", source)
    monkeypatch.setenv(PYTHON_VARIABLE, str(wrapper))
    with pytest.raises(BackendError, match=r"lava-nc 0\.9\.0 is installed, 0\.10\.0 is needed"):
        find_or_make(pytest.fail)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("no program", "Exec format error"), ("#!/bin/sh\nexit 5\n", "it ended with exit code 5")],
)
def test_the_named_file_is_no_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, str(executable(tmp_path / "python", text)))
    with pytest.raises(BackendError, match=f"does not run Lava: .*{reason}") as caught:
        find_or_make(pytest.fail)
    assert "or unset it" in str(caught.value)


# ---------------------------------------------------------------- the Python that runs this


def test_uses_the_running_python_if_it_has_lava(
    lava_python: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = SimpleNamespace(version_info=(3, 10, 13), executable=str(lava_python))
    monkeypatch.setattr(runtime, "sys", running)
    assert find_or_make(pytest.fail) == lava_python
    assert not empty_cache.exists()


@pytest.mark.usefixtures("stand_in")
def test_goes_on_if_the_running_python_lacks_lava(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "sys", SimpleNamespace(version_info=(3, 10, 13), executable="/bin/false"))
    assert find_or_make(lambda _: None).is_relative_to(empty_cache)


# ---------------------------------------------------------------- the one that we make


@pytest.mark.usefixtures("stand_in")
def test_makes_it_once(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    python = find_or_make(said.append)
    assert python.is_relative_to(empty_cache)
    assert python.is_file()
    assert [line.split("(")[0].strip() for line in said] == [
        "making the Lava runtime",
        "installing lava-nc 0.10.0 and what it needs",
    ]
    assert made(empty_cache) == [python.parents[1].name]
    # From now on nothing is run, so nothing can need the network.
    monkeypatch.setattr(subprocess, "Popen", pytest.fail)
    assert find_or_make(pytest.fail) == python


@pytest.mark.usefixtures("stand_in")
def test_makes_another_for_other_requirements(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find_or_make(lambda _: None)
    other = tmp_path / "requirements.txt"
    other.write_text("lava-nc==0.10.0\n")
    monkeypatch.setattr(runtime, "_REQUIREMENTS", other)
    assert find_or_make(lambda _: None) != first
    assert len(made(empty_cache)) == 2


@pytest.mark.usefixtures("stand_in")
def test_removes_what_a_killed_run_left(empty_cache: Path) -> None:
    python = find_or_make(lambda _: None)
    python.unlink()
    python.symlink_to("/no/longer/there")  # the Python that it was made with was removed
    left = empty_cache / f"{python.parents[1].name}.partial-abc"
    (left / "bin").mkdir(parents=True)
    assert find_or_make(lambda _: None) == python
    assert python.exists()
    assert made(empty_cache) == [python.parents[1].name]


@pytest.mark.parametrize(("name", "error"), [("INT", KeyboardInterrupt), ("TERM", SystemExit)])
def test_an_interrupted_make_leaves_nothing(
    empty_cache: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: type[BaseException]
) -> None:
    monkeypatch.setenv("STAND_IN_PIP", f"echo session $$ >> $STAND_IN_LOG; kill -{name} $PPID; sleep 600")
    with pytest.raises(error):
        find_or_make(lambda _: None)
    assert made(empty_cache) == []
    session = int(stand_in.read_text().split()[-1])
    assert supervisor._members(session) == []
    monkeypatch.delenv("STAND_IN_PIP")
    assert find_or_make(lambda _: None).exists()


def test_two_at_once_make_one(stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_PIP", f"while [ ! -e '{tmp_path}/go' ]; do sleep 0.05; done")
    installing = threading.Event()
    found: list[Path] = []
    said: list[str] = []

    def first() -> None:
        found.append(find_or_make(lambda line: installing.set() if "installing" in line else None))

    def second(line: str) -> None:
        said.append(line)
        (tmp_path / "go").touch()

    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert installing.wait(PATIENCE)
        found.append(find_or_make(second))
    finally:
        (tmp_path / "go").touch()
        thread.join()
    assert said == ["waiting for another neurocompile, which is making the Lava runtime"]
    assert found[0] == found[1]
    assert stand_in.read_text().count("-m venv") == 1


def test_pip_fails(empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("lava-nc==0.10.0\n")
    monkeypatch.setattr(runtime, "_REQUIREMENTS", requirements)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    found = [SimpleNamespace(executable=Path(sys.executable))]
    monkeypatch.setattr(findpython.Finder, "find_all", lambda *_args, **_kwargs: found)
    with pytest.raises(BackendError, match="could not be made") as caught:
        find_or_make(lambda _: None)
    assert "No matching distribution found for lava-nc==0.10.0" in str(caught.value)
    assert "check the network" in str(caught.value.issues[0].remedy)
    assert made(empty_cache) == []


@pytest.mark.usefixtures("stand_in")
def test_the_cache_folder_can_not_be_made(empty_cache: Path) -> None:
    empty_cache.parent.touch()
    with pytest.raises(BackendError, match="the Lava runtime can't be made in") as caught:
        find_or_make(pytest.fail)
    assert "XDG_CACHE_HOME" in str(caught.value.issues[0].remedy)


# ---------------------------------------------------------------- the Python 3.10 that it is made with


@pytest.mark.parametrize("unfit", [[], ["/bin/false"]])
def test_there_is_no_fit_python_310(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unfit: list[str]
) -> None:
    found = [SimpleNamespace(executable=Path(name)) for name in unfit]
    monkeypatch.setattr(findpython.Finder, "find_all", lambda *_args, **_kwargs: found)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match=r"Lava needs Python 3\.10") as caught:
        find_or_make(lambda _: None)
    assert "pyenv, uv" in str(caught.value.issues[0].remedy)
    assert PYTHON_VARIABLE in str(caught.value.issues[0].remedy)
    assert made(empty_cache) == []


def test_uv_fetches_it(stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findpython.Finder, "find_all", lambda *_args, **_kwargs: [])
    tools = tmp_path / "tools"
    tools.mkdir()
    executable(tools / "uv", f"#!/bin/sh\necho fetching >&2\necho '{tmp_path / 'python3.10'}'\n")
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    said: list[str] = []
    assert find_or_make(said.append).exists()
    assert "fetching Python 3.10 with uv" in said
    assert "-m venv" in stand_in.read_text()


def test_uv_can_not_fetch_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "uv", "#!/bin/sh\necho 'error: no network' >&2\nexit 2\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match=r"uv can't fetch one:\n    error: no network"):
        find_or_make(lambda _: None)


# ---------------------------------------------------------------- the real one


def test_the_requirements_are_pinned() -> None:
    lines = [line for line in runtime._REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z-]+==[0-9.]+", line) for line in lines)
    assert f"lava-nc=={LAVA_VERSION}" in lines


def test_the_real_one_runs_lava(lava_python: Path, tmp_path: Path) -> None:
    program = "import lava.proc.dense.models, numpy; print(numpy.__version__)"
    ran = subprocess.run([lava_python, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("1.")
