"""Work on parts of the images, on all cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

_Part = TypeVar("_Part")
_Result = TypeVar("_Result")


def cores() -> int:
    """Count the cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows can't tell which these are
        return os.cpu_count() or 1


def each(work: Callable[[_Part], _Result], parts: Iterable[_Part]) -> Iterator[_Result]:
    """Apply a function to parts on all cores, and yield the results in order.

    No more parts are begun than there are cores and one, so that results do not pile up.
    """
    waiting: deque[Future[_Result]] = deque()
    # Parts already use every core, so BLAS must not start threads of its own.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores()) as pool:
        try:
            for part in parts:
                waiting.append(pool.submit(work, part))
                if len(waiting) > cores():
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
