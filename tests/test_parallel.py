from __future__ import annotations

import pytest

from neurocompile.errors import DataError
from neurocompile.parallel import cores, each, threads


def test_so_many_threads_are_used_as_are_asked_for() -> None:
    every = cores()
    with threads(3):
        assert cores() == 3
        with threads(1):
            assert cores() == 1
            assert list(each(lambda part: part**2, range(5))) == [0, 1, 4, 9, 16]
        with threads(None):
            assert cores() == every
        assert cores() == 3
    assert cores() == every


@pytest.mark.parametrize("count", [0, -1])
def test_less_than_one_thread_is_refused(count: int) -> None:
    with pytest.raises(DataError, match=f"threads={count} is less than 1"), threads(count):
        pass
