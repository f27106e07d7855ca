"""What each coding scheme tells, and what it costs.

``python benchmarks/coding_schemes.py`` prints the tables of docs/codecs.md: 100 samples of 20 values, drawn
uniformly from [0, 1], with the options of ``EncoderConfig`` and windows of 100 and 400 ms.
"""

from __future__ import annotations

import numpy as np

from neurocompile.codecs.config import EncoderConfig
from neurocompile.codecs.metrics.benchmark import COLUMNS, benchmark_schemes, metrics_rows


def main() -> None:
    data = np.random.default_rng(0).uniform(0, 1, (100, 20))
    for window_ms in (100.0, 400.0):
        print(f"\n{window_ms:g} ms\n")
        # The times are the machine's.
        print(f"| {' | '.join(COLUMNS[:-2])} |")
        print("|---" * len(COLUMNS[:-2]) + "|")
        config = EncoderConfig(time_window_ms=window_ms, normalize_input=False, seed=0)
        for row in metrics_rows(benchmark_schemes(data, config)):
            print(f"| {' | '.join(row[:-2])} |")


if __name__ == "__main__":
    main()
