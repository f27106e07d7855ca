"""``neurocompile lava install | status | remove``: the Python that runs Lava."""

from __future__ import annotations

import json

from cyclopts import App

from neurocompile.backend import RuntimeManager, find
from neurocompile.console import USAGE, CommandConsole, Debug, Json, standard_output
from neurocompile.errors import BackendError
from neurocompile.report import document, terminal
from neurocompile.report.progress import ProgressDisplay

app = App(name="lava", help="Look at, make and remove the Python that runs Lava.")


@app.command(name="install")
def install_command(*, debug: Debug = False) -> int:
    """Make the Python that runs Lava, unless there is one.

    Parameters
    ----------
    debug
        Show the traceback of an error.
    """
    del debug
    manager = _manager()
    runtime = manager.runtime()
    there = runtime.issue is None
    if not there:
        with ProgressDisplay(CommandConsole(stderr=True)) as progress:
            runtime = manager.make_runtime(progress)
    with standard_output() as console:
        if there:
            console.out("there is nothing to make", highlight=False)
        terminal.print_runtime(console, runtime)
    return 0


@app.command(name="status")
def status_command(*, json_: Json = False, debug: Debug = False) -> int:
    """Tell where the Python that runs Lava is, what names it, its size, and whether it works.

    The exit status is 0 if it works and 2 if not.

    Parameters
    ----------
    json_
        Print one JSON object.
    debug
        Show the traceback of an error.
    """
    del debug
    runtime = _manager().runtime()
    with standard_output() as console:
        if json_:
            print(json.dumps(document.runtime(runtime)))
        else:
            terminal.print_runtime(console, runtime)
    return 0 if runtime.issue is None else USAGE


@app.command(name="remove")
def remove_command(*, debug: Debug = False) -> int:
    """Remove every Python that was made for Lava, and nothing else.

    Parameters
    ----------
    debug
        Show the traceback of an error.
    """
    del debug
    manager = _manager()
    with ProgressDisplay(CommandConsole(stderr=True)) as progress:
        removed = manager.remove_runtime(progress)
    with standard_output() as console:
        for folder in removed:
            console.out(f"removed {folder}", highlight=False)
        if not removed:
            console.out("there is nothing to remove", highlight=False)
    return 0


def _manager() -> RuntimeManager:
    backend = find("lava")
    if not isinstance(backend, RuntimeManager):
        raise BackendError(
            "the installed target 'lava' has no Python of its own to manage",
            remedy="install the one that comes with neurocompile",
        )
    return backend
