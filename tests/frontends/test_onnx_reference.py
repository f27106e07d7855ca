from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from onnx_models import RNG, model, node, saved

from neurocompile.parallel import cores

PRODUCT = model([node("MatMul", ["x", "w"], "y")], ("N", 512), {"w": RNG.standard_normal((512, 512)).astype("f4")})


def run(script: str, path: Path) -> str:
    """Run a script in a process that has no other threads, and give what it prints."""
    ran = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    return ran.stdout


STARTED = """
import sys
import psutil
from neurocompile.frontends.onnx_reference import OnnxReference
from neurocompile.parallel import threads

process, references = psutil.Process(), []
for count in (1, 3):
    before = process.num_threads()
    with threads(count):
        references.append(OnnxReference(sys.argv[1]))
    print(process.num_threads() - before)
"""


def test_it_starts_threads_as_far_as_it_may(tmp_path: Path) -> None:
    one, three = run(STARTED, saved(PRODUCT, tmp_path)).split()
    assert one == "0"
    assert int(three) >= 2


SPINNING = """
import sys, time
import numpy as np
from neurocompile.frontends.onnx_reference import OnnxReference

reference, used = OnnxReference(sys.argv[1]), 0.0
for _ in range(20):
    reference.run(np.ones((2_000, 512), np.float32))
    before = time.process_time()
    time.sleep(0.01)
    used += time.process_time() - before
print(used)
"""


@pytest.mark.skipif(cores() == 1, reason="one core has no other threads")
def test_its_threads_sleep_between_two_runs(tmp_path: Path) -> None:
    # Of 0.2 s, of which one that spins takes all.
    assert float(run(SPINNING, saved(PRODUCT, tmp_path))) < 0.05
