"""Judges many changed models: ``python tests/fuzz/long_run.py --count 2000 --seed 0``."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import get_args

from judgement import GOOD, Judgement, Outcome
from mutations import mutate
from seeds import FILE, seeds
from worker import SECONDS, Worker


def case(seed: int, number: int) -> tuple[str, bytes]:
    """Make a case: the name of the model that was changed, and the changed file."""
    random = Random(f"{seed}/{number}")
    name, content = random.choice(sorted(seeds().items()))
    return name, mutate(random, content)


class Run:
    """The judgements of the cases so far, by several workers."""

    def __init__(self, seed: int, numbers: Iterator[int], seconds: float, keep: Path | None) -> None:
        self.counts: Counter[str] = Counter()
        self.bad: dict[str, list[int]] = defaultdict(list)
        self._seed = seed
        self._numbers = numbers
        self._seconds = seconds
        self._keep = keep
        self._lock = threading.Lock()

    def work(self) -> None:
        """Take one case after the other until there are no more."""
        with tempfile.TemporaryDirectory() as folder, Worker(Path(folder) / "log", self._seconds) as worker:
            path = Path(folder) / FILE
            while True:
                with self._lock:
                    number = next(self._numbers, None)
                if number is None:
                    return
                name, content = case(self._seed, number)
                path.write_bytes(content)
                self._record(number, name, path, worker.judge(path))

    def _record(self, number: int, name: str, path: Path, judgement: Judgement) -> None:
        with self._lock:
            self.counts[judgement.outcome] += 1
            if judgement.outcome == "accepted":
                self.counts[judgement.reason] += 1
            if judgement.outcome in GOOD:
                return
            lines = judgement.reason.strip().splitlines()
            kind = f"{judgement.outcome}: {lines[-1] if lines else ''}"
            self.bad[kind].append(number)
            print(f"case {number}, from {name}: {kind}", flush=True)
            if self._keep is not None:
                self._keep.mkdir(parents=True, exist_ok=True)
                stem = f"{self._seed}-{number}-{judgement.outcome.replace(' ', '-')}"
                shutil.copy(path, self._keep / f"{stem}.onnx")
                (self._keep / f"{stem}.txt").write_text(f"from {name}\n{judgement.reason}\n")

    def print_summary(self) -> None:
        """Print how many cases had which outcome, and each kind of bad ones with the first of its cases."""
        print()
        for outcome in get_args(Outcome):
            print(f"  {outcome:<16}{self.counts[outcome]:>8,}")
            if outcome == "accepted":
                for reason in sorted(r for r in self.counts if "compared" in r):
                    print(f"    {reason:<48}{self.counts[reason]:>8,}")
        for kind, numbers in sorted(self.bad.items(), key=lambda item: -len(item[1])):
            print(f"{len(numbers):>8,} as case {min(numbers)}: {kind}")


def main() -> int:
    """Run the command; give 1 if a case is bad."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="the most for one case")
    parser.add_argument("--keep", type=Path, help="a folder for the bad files")
    options = parser.parse_args()
    numbers = iter(range(options.first, options.first + options.count))
    run = Run(options.seed, numbers, options.seconds, options.keep)
    with ThreadPoolExecutor(options.workers) as pool:
        for done in [pool.submit(run.work) for _ in range(options.workers)]:
            done.result()
    run.print_summary()
    return 1 if run.bad else 0


if __name__ == "__main__":
    sys.exit(main())
