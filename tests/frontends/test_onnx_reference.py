from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from onnx_models import RNG, model, node, saved

from neurocompile.frontends.onnx_reference import OnnxReference
from neurocompile.parallel import cores, threads

PRODUCT = model([node("MatMul", ["x", "w"], "y")], ("N", 512), {"w": RNG.standard_normal((512, 512)).astype("f4")})


def test_it_starts_threads_as_far_as_it_may(tmp_path: Path) -> None:
    path, process = saved(PRODUCT, tmp_path), psutil.Process()
    started = []
    for count in (1, 3):
        before = process.num_threads()
        with threads(count):
            reference = OnnxReference(path)
        started.append(process.num_threads() - before)
        reference.run(np.ones((8, 512), np.float32))
        del reference
    assert started[0] == 0
    assert started[1] >= 2


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
    path = saved(PRODUCT, tmp_path)
    ran = subprocess.run([sys.executable, "-c", SPINNING, str(path)], capture_output=True, text=True, check=True)
    # Of 0.2 s, of which one that spins takes all.
    assert float(ran.stdout) < 0.05
