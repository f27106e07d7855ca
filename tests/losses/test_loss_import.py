"""The package needs PyTorch, and says so; the compiler does not."""

import subprocess
import sys

import pytest

from neurocompile.errors import DependencyError, NeurocompileError
from neurocompile.extras import needing_torch


def printed(script: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    ).stdout.strip()


def test_the_compiler_does_not_import_pytorch() -> None:
    assert printed("import sys, neurocompile; neurocompile.compile; print('torch' in sys.modules)") == "False"


@pytest.mark.parametrize("module", ["losses", "losses.composer"])
def test_without_pytorch_it_tells_how_to_install_it(module: str) -> None:
    # None in sys.modules is what Python itself takes for a module that can't be imported.
    script = f"""
import sys
sys.modules["torch"] = None
try:
    import neurocompile.{module}
except ImportError as error:
    print(type(error).__name__, error)
"""
    assert printed(script) == (
        "DependencyError neurocompile.losses needs PyTorch, which is not installed\n"
        '  remedy: pip install "neurocompile[torch]"'
    )


def test_only_what_pytorch_is_missing_for_is_translated() -> None:
    with (
        pytest.raises(DependencyError, match=r'pip install "neurocompile\[torch\]"') as raised,
        needing_torch("this"),
    ):
        raise ModuleNotFoundError("No module named 'torch'", name="torch.nn")
    assert isinstance(raised.value, ImportError)
    assert isinstance(raised.value, NeurocompileError)
    for name in ("torchvision", None):
        with pytest.raises(ModuleNotFoundError, match="nothing"), needing_torch("this"):
            raise ModuleNotFoundError("nothing", name=name)
