"""Work on parts of the images, on all cores."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from threadpoolctl import threadpool_limits

from neurocompile.errors import DataError

_Part = TypeVar("_Part")
_Result = TypeVar("_Result")


_chosen: ContextVar[int | None] = ContextVar("threads", default=None)


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Use so many cores for calibration and simulation, or all where it is None; results do not depend on it.

    Raises
    ------
    DataError
        If it is less than 1.
    """
    if count is not None and count < 1:
        raise DataError(f"threads={count} is less than 1", remedy="choose 1 or more")
    before = _chosen.set(count)
    try:
        with threadpool_limits(count, "blas"):
            yield
    finally:
        _chosen.reset(before)


def cores() -> int:
    """Count the cores that this process may use: as many as ``threads`` says, else all."""
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
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
