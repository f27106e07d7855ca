"""Judges files in a process of its own, whose end, slowness or greed does not reach ours."""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from judgement import Judgement, judge

SECONDS = 30.0
"""For one file."""

BYTES = 4 << 30
"""Of address space, beyond what the imports take."""


class Worker:
    """A process that judges one file after the other; it is started again if it ends.

    Parameters
    ----------
    log
        A file for what the process says when it crashes.
    seconds
        The most that it may take for one file.
    program
        What the process runs.
    """

    def __init__(self, log: Path, seconds: float = SECONDS, program: Path = Path(__file__)) -> None:
        self._log = log
        self._seconds = seconds
        self._program = program
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def judge(self, path: Path) -> Judgement:
        """Judge a file."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], self._seconds)
        if not ready:
            self._stop()
            return Judgement("too slow", f"not done after {self._seconds:g} s")
        answer = process.stdout.readline()
        if answer:
            return Judgement(*json.loads(answer))
        self._stop()
        said = self._log.read_text(errors="replace")[-5000:]
        return Judgement("crashed", f"{said}\nended with status {process.returncode}")

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-X", "faulthandler", str(self._program)]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def main() -> None:
    """Judge the files that standard input names, one a line."""
    # Whatever libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for line in sys.stdin:
        judgement = judge(Path(line.rstrip("\n")))
        print(json.dumps([judgement.outcome, judgement.reason]), file=answers, flush=True)


if __name__ == "__main__":
    main()
