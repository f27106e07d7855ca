"""The command line: ``neurocompile MODEL``, and its commands from ``check`` to ``lava``."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from cyclopts import (
    App,
    Argument,
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    Token,
    UnusedCliTokensError,
)

from neurocompile.commands import lava
from neurocompile.commands.check import check_command
from neurocompile.commands.compile import Steps, compile_command
from neurocompile.commands.encode import encode_command
from neurocompile.commands.export import export_command
from neurocompile.commands.run import run_command
from neurocompile.commands.tune import tune_command
from neurocompile.console import USAGE, CommandConsole, discard_output
from neurocompile.errors import NeurocompileError

DEFECT = 70
"""Exit status of an error that is neurocompile's own."""

INTERRUPTED = 130
BROKEN_PIPE = 141
"""Exit status after a signal: 128 and its number."""

app = App(
    name="neurocompile",
    help="Compile a trained network to a spiking one, measure what it loses, and run it on a target.",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)
app.default(compile_command)
app.command(check_command, name="check")
app.command(run_command, name="run")
app.command(lava.app)
app.command(export_command, name="export")
app.command(tune_command, name="tune")
app.command(encode_command, name="encode")


def main(tokens: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    arguments = list(sys.argv[1:] if tokens is None else tokens)
    debug = "--debug" in arguments
    try:
        if arguments:
            status = app(
                arguments,
                console=CommandConsole(),
                exit_on_error=False,
                print_error=False,
                result_action="return_value",
            )
        else:
            app.help_print([], console=CommandConsole(stderr=True))
            status = USAGE
    except CycloptsError as error:
        _tell(f"error: {_usage_problem(error)}", debug)
        status = USAGE
    except NeurocompileError as error:
        _tell(f"error: {error}", debug)
        status = USAGE
    except BrokenPipeError:
        # Whatever read the report has had enough: there is nobody left to tell.
        discard_output()
        status = BROKEN_PIPE
    except KeyboardInterrupt as interrupt:
        _tell(": ".join(["interrupted", *map(str, interrupt.args)]), debug)
        status = INTERRUPTED
    except MemoryError as error:
        problem = f"error: there is too little memory ({str(error) or 'none left'})"
        _tell(f"{problem}\n  remedy: choose fewer --steps or --samples, or give fewer images", debug)
        status = USAGE
    except Exception as error:
        remedy = (
            "this is a defect of neurocompile; please report it with the output of the same command and --debug"
        )
        _tell(f"error: {type(error).__name__}: {error}\n  remedy: {remedy}", debug)
        status = DEFECT
    sys.exit(status or 0)


def _tell(message: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    # A path in it may look like rich's markup.
    CommandConsole(stderr=True).out(message, highlight=False)


_NOUNS = {
    int: "a whole number",
    float: "a number",
    Steps | None: "a whole number or auto",
}


def _usage_problem(error: CycloptsError) -> str:
    problem = str(error)
    match error:
        case UnusedCliTokensError(unused_tokens=[*extra]):
            problem = f"there is no use for {' '.join(extra)}"
        case CoercionError(token=Token(keyword=str(name), value=value), target_type=kind) if kind in _NOUNS:
            problem = f"{name} takes {_NOUNS[kind]}, not '{value}'"
        case MissingArgumentError(argument=Argument() as missing):
            given = error.keyword or any(token.keyword for token in missing.tokens)
            problem = f"{missing.name} needs a value" if given else f"{missing.name} is missing"
    command = " ".join(["neurocompile", *(error.command_chain or ())])
    return f"{problem}\n  remedy: see {command} --help"
