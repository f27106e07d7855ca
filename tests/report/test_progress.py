from __future__ import annotations

import io

import pytest
from rich.console import Console

from neurocompile.report.progress import ProgressDisplay


def on_a_terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=80, _environ={"TERM": "xterm"})


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_elsewhere_each_thing_is_a_line_once() -> None:
    console = Console(file=io.StringIO(), force_terminal=False, width=80)
    with ProgressDisplay(console) as progress:
        for done in range(5):
            progress("compiling", done, 4)
        for done in range(100):
            progress("simulating", done, 100)
        progress("fetching [it] from /a/path", 0, 0)
    assert shown(console) == "compiling ...\nsimulating ...\nfetching [it] from /a/path ...\n"


def test_on_a_terminal_a_bar_shows_how_far_it_is() -> None:
    console = on_a_terminal()
    with ProgressDisplay(console) as progress:
        progress("simulating", 3, 64)
        progress._bars.refresh()
        assert "simulating" in shown(console)
        assert "3/64" in shown(console)
        progress("fetching [it]", 0, 0)
        progress._bars.refresh()
        assert "fetching [it]" in shown(console)


def test_a_bar_tells_the_rate() -> None:
    console = on_a_terminal()
    with ProgressDisplay(console) as progress:
        for done in (0, 10, 64):
            progress("simulating", done, 64)
        progress._bars.refresh()
        assert "/s" in shown(console)


def test_the_bar_is_of_the_thing_that_is_done_now() -> None:
    console = on_a_terminal()
    with ProgressDisplay(console) as progress:
        for doing in ("compiling", "simulating"):
            progress(doing, 1, 2)
        assert [task.description for task in progress._bars.tasks] == ["simulating"]


def test_the_cursor_comes_back_after_an_error() -> None:
    console = on_a_terminal()

    def fail() -> None:
        with ProgressDisplay(console) as progress:
            progress("simulating", 3, 64)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    hidden, visible = "\x1b[?25l", "\x1b[?25h"
    assert shown(console).rfind(visible) > shown(console).rfind(hidden) >= 0
