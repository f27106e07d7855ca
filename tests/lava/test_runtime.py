from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import findpython
import pytest
from lava_stand_in import executable
from neurocompile_lava import runtime, supervisor
from neurocompile_lava.runtime import LAVA_VERSION, PYTHON_VARIABLE, find_or_make

from neurocompile.backend import silent, use_python
from neurocompile.errors import BackendError

PATIENCE = 120.0

pytestmark = pytest.mark.usefixtures("empty_cache")


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def never(doing: str, *_: int) -> None:
    pytest.fail(f"it took its time for {doing}")


def made(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


# ---------------------------------------------------------------- the Python that the user names


def test_uses_the_named_python(lava_python: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, str(lava_python))
    assert find_or_make(never) == lava_python
    assert not empty_cache.exists()


def test_looks_through_a_wrapper(lava_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper = executable(tmp_path / "lava-python", f'#!/bin/sh\n"{lava_python}" "$@"\n')
    monkeypatch.setenv(PYTHON_VARIABLE, str(wrapper))
    assert find_or_make(never) == lava_python


def test_the_named_python_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, "/no/such/python")
    with pytest.raises(BackendError, match="names /no/such/python, which is no executable file"):
        find_or_make(never)


def test_the_named_python_lacks_lava(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, sys.executable)
    monkeypatch.setattr(runtime, "_CHECK", "import no_lava_here")
    with pytest.raises(BackendError, match=r"does not run Lava: ModuleNotFoundError: .*no_lava_here"):
        find_or_make(never)


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
        find_or_make(never)


@pytest.mark.parametrize(
    ("text", "reason"),
    [("no program", "Exec format error"), ("#!/bin/sh\nexit 5\n", "it ended with exit code 5")],
)
def test_the_named_file_is_no_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, str(executable(tmp_path / "python", text)))
    with pytest.raises(BackendError, match=f"does not run Lava: .*{reason}") as caught:
        find_or_make(never)
    assert "or unset it" in str(caught.value)


def test_the_option_comes_before_the_variable(lava_python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, "/no/such/python")
    with use_python(lava_python):
        assert find_or_make(never) == lava_python


def test_the_python_of_the_option_is_not_there(lava_python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON_VARIABLE, str(lava_python))
    missing = pytest.raises(BackendError, match="--lava-python names /no/such/python, which is no executable file")
    with missing as caught, use_python(Path("/no/such/python")):
        find_or_make(never)
    assert "or leave it out" in str(caught.value)


# ---------------------------------------------------------------- the Python that runs this


def test_uses_the_running_python_if_it_has_lava(
    lava_python: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = SimpleNamespace(version_info=(3, 10, 13), executable=str(lava_python))
    monkeypatch.setattr(runtime, "sys", running)
    assert find_or_make(never) == lava_python
    assert not empty_cache.exists()


@pytest.mark.usefixtures("stand_in")
def test_goes_on_if_the_running_python_lacks_lava(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "sys", SimpleNamespace(version_info=(3, 10, 13), executable="/bin/false"))
    assert find_or_make(silent).is_relative_to(empty_cache)


# ---------------------------------------------------------------- the one that we make


@pytest.mark.usefixtures("stand_in")
def test_makes_it_once(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    python = find_or_make(lambda line, *_: said.append(line))
    assert python.is_relative_to(empty_cache)
    assert python.is_file()
    assert [line.split("(")[0].strip() for line in dict.fromkeys(said)] == [
        "making the Lava runtime",
        "installing lava-nc 0.10.0 and what it needs",
    ]
    assert made(empty_cache) == [python.parents[1].name]
    # From now on nothing is run, so nothing can need the network.
    monkeypatch.setattr(subprocess, "Popen", pytest.fail)
    assert find_or_make(never) == python


@pytest.mark.usefixtures("stand_in")
def test_makes_another_for_other_requirements(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find_or_make(silent)
    other = tmp_path / "requirements.txt"
    other.write_text("lava-nc==0.10.0\n")
    monkeypatch.setattr(runtime, "_REQUIREMENTS", other)
    assert find_or_make(silent) != first
    assert len(made(empty_cache)) == 2


@pytest.mark.usefixtures("stand_in")
def test_removes_what_a_killed_run_left(empty_cache: Path) -> None:
    python = find_or_make(silent)
    python.unlink()
    python.symlink_to("/no/longer/there")  # the Python that it was made with was removed
    left = empty_cache / f"{python.parents[1].name}.partial-abc"
    (left / "bin").mkdir(parents=True)
    assert find_or_make(silent) == python
    assert python.exists()
    assert made(empty_cache) == [python.parents[1].name]


@pytest.mark.parametrize(("name", "error"), [("INT", KeyboardInterrupt), ("TERM", SystemExit)])
def test_an_interrupted_make_leaves_nothing(
    empty_cache: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: type[BaseException]
) -> None:
    monkeypatch.setenv("STAND_IN_PIP", f"echo session $$ >> $STAND_IN_LOG; kill -{name} $PPID; sleep 600")
    with pytest.raises(error):
        find_or_make(silent)
    assert made(empty_cache) == []
    session = int(stand_in.read_text().split()[-1])
    assert supervisor._members(session) == []
    monkeypatch.delenv("STAND_IN_PIP")
    assert find_or_make(silent).exists()


def test_two_at_once_make_one(stand_in: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_PIP", f"while [ ! -e '{tmp_path}/go' ]; do sleep 0.05; done")
    installing = threading.Event()
    found: list[Path] = []
    said: list[str] = []

    def first() -> None:
        found.append(find_or_make(lambda line, *_: installing.set() if "installing" in line else None))

    def second(line: str, *_: int) -> None:
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
    assert said == ["waiting for another neurocompile, which is making or removing the Lava runtime"]
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
        find_or_make(silent)
    assert "No matching distribution found for lava-nc==0.10.0" in str(caught.value)
    assert "check the network" in str(caught.value.issues[0].remedy)
    assert made(empty_cache) == []


@pytest.mark.usefixtures("stand_in")
def test_the_cache_folder_can_not_be_made(empty_cache: Path) -> None:
    empty_cache.parent.touch()
    with pytest.raises(BackendError, match="the Lava runtime can't be made in") as caught:
        find_or_make(never)
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
        find_or_make(silent)
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
    assert find_or_make(lambda line, *_: said.append(line)).exists()
    assert "fetching Python 3.10 with uv" in said
    assert "-m venv" in stand_in.read_text()


def test_uv_can_not_fetch_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "uv", "#!/bin/sh\necho 'error: no network' >&2\nexit 2\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendError, match=r"uv can't fetch one:\n    error: no network"):
        find_or_make(silent)


# ---------------------------------------------------------------- the real one


def test_the_requirements_are_pinned_and_hashed() -> None:
    lines = [line for line in runtime._REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    packages = re.findall(r"([a-z-]+==[0-9.]+)(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n", "\n".join([*lines, ""]))
    assert len(packages) == sum("==" in line for line in lines)
    assert f"lava-nc=={LAVA_VERSION}" in packages


def test_a_file_with_another_hash_is_refused(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "lava_nc-0.10.0-py3-none-any.whl", "w") as wheel:
        metadata = "Metadata-Version: 2.1\nName: lava-nc\nVersion: 0.10.0\n"
        wheel.writestr("lava_nc-0.10.0.dist-info/METADATA", metadata)
        wheel.writestr("lava_nc-0.10.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("lava_nc-0.10.0.dist-info/RECORD", "")
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(f"lava-nc==0.10.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(runtime, "_REQUIREMENTS", requirements)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    found = [SimpleNamespace(executable=Path(sys.executable))]
    monkeypatch.setattr(findpython.Finder, "find_all", lambda *_args, **_kwargs: found)
    with pytest.raises(BackendError, match="THESE PACKAGES DO NOT MATCH THE HASHES"):
        find_or_make(silent)
    assert made(empty_cache) == []


def test_tells_how_many_packages_are_collected(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAND_IN_PIP", "echo 'Collecting numpy'; echo Downloading; echo 'Collecting scipy'")
    said: list[tuple[str, int, int]] = []
    find_or_make(lambda *told: said.append(told))
    packages = sum("==" in line for line in runtime._REQUIREMENTS.read_text().splitlines())
    assert [told[1:] for told in said if told[0].startswith("installing")] == [(n, packages) for n in range(3)]
    assert "--require-hashes" in stand_in.read_text()


def test_the_real_one_runs_lava(lava_python: Path, tmp_path: Path) -> None:
    program = "import lava.proc.dense.models, numpy; print(numpy.__version__)"
    ran = subprocess.run([lava_python, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("1.")
