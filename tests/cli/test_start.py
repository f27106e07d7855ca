"""How the command starts."""

import subprocess
import sys
import types

import pytest

import neurocompile
from neurocompile import __main__ as start


def test_runs_as_a_module() -> None:
    run = subprocess.run([sys.executable, "-m", "neurocompile", "--version"], capture_output=True, check=True)
    assert run.stdout.decode().strip()


def test_ctrl_c_during_the_imports_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted = types.ModuleType("neurocompile.cli")

    def main() -> None:
        raise KeyboardInterrupt

    interrupted.main = main  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "neurocompile.cli", interrupted)
    with pytest.raises(SystemExit) as ended:
        start.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_the_package_imports_only_what_is_used() -> None:
    script = "import sys, neurocompile; print('onnx' in sys.modules, neurocompile.compile.__name__)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert run.stdout.split() == [b"False", b"compile"]


def test_the_package_knows_its_names() -> None:
    assert dir(neurocompile) == neurocompile.__all__
    assert all(hasattr(neurocompile, name) for name in neurocompile.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = neurocompile.nothing  # type: ignore[attr-defined]
