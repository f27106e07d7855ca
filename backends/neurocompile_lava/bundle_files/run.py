"""Runs this folder's network on Lava: ``python run.py --help``."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
# The folder stays as it was exported.
sys.dont_write_bytecode = True

from neurocompile_lava.worker.bundle import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(HERE, sys.argv[1:]))
