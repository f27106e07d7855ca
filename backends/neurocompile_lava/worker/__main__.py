"""Starts a job: ``python .../worker FOLDER``, with a Python that runs Lava.

That Python does not have neurocompile. This makes the worker's own modules importable by their usual names,
without the packages around them and without anything else from where they are installed.
"""

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent

spec = importlib.machinery.ModuleSpec("neurocompile_lava", None, is_package=True)
spec.submodule_search_locations = [str(_ROOT)]
sys.modules["neurocompile_lava"] = importlib.util.module_from_spec(spec)
# Each process of a network has a share of the cores: threads of its own would only get into the others' way. NumPy
# reads this when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# The folder of this file, from which Python would import modules under wrong names.
sys.path.pop(0)

from neurocompile_lava.worker.job import main  # noqa: E402

main(Path(sys.argv[1]))
