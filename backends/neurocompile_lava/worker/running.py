"""Runs a network of Lava processes that is built."""

from __future__ import annotations

import math
from typing import Any

from neurocompile_lava.worker.guard import emit

_CHANNEL = {"pypy_channel_size": 2}
"""Messages that a channel has room for: no process is more than a step ahead, and room is memory."""

_PIECES = 20
"""How often progress is reported during a run."""


class Running:
    """A network, which whoever builds it gives a source, Lava's way to run it, and the number of steps."""

    _source: Any
    _config: Any
    _run_steps: Any
    _total: int

    @property
    def runtime(self) -> Any:
        """Lava's ``Runtime``, None before the run."""
        return self._source.runtime

    def run(self) -> None:
        """Run all steps, and report progress."""
        piece = math.ceil(self._total / _PIECES)
        for done in range(0, self._total, piece):
            steps = min(piece, self._total - done)
            self._source.run(self._run_steps(num_steps=steps), self._config, _CHANNEL)
            emit("progress", done=done + steps, total=self._total)

    def stop(self) -> None:
        """End Lava's processes."""
        self._source.stop()
