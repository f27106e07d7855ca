"""Shows what is being done, and how far it is."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class ProgressDisplay:
    """A bar for each thing that is done, on a terminal; elsewhere a line for each, once.

    Parameters
    ----------
    console
        Where to show it: standard error, so that results can be piped.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> ProgressDisplay:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, doing: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` is done; a total of 0 stands for something whose end is not known."""
        if doing not in self._tasks:
            if not self._console.is_terminal:
                self._console.out(f"{doing} ...", highlight=False)
            for task in self._tasks.values():
                self._bars.remove_task(task)
            self._tasks = {doing: self._bars.add_task(doing, total=None)}
        self._bars.update(self._tasks[doing], completed=done, total=total or None)


class _Rate(ProgressColumn):
    """How many are done in a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")
