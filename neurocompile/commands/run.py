"""``neurocompile run``: a saved deployment on images."""

from __future__ import annotations

import json
from pathlib import Path

from neurocompile.backend import use_python
from neurocompile.console import (
    CommandConsole,
    Debug,
    Json,
    Output,
    check_output,
    lava_python_issues,
    standard_output,
)
from neurocompile.data import read_images
from neurocompile.errors import DataError
from neurocompile.ir.archive import write_npz
from neurocompile.network import load
from neurocompile.parallel import threads as use_threads
from neurocompile.report import document, terminal
from neurocompile.report.deployed import Ran
from neurocompile.report.progress import ProgressDisplay


def run_command(
    deployment: Path,
    /,
    *,
    input: Path,
    target: str | None = None,
    threads: int | None = None,
    lava_python: Path | None = None,
    output: Output = None,
    json_: Json = False,
    debug: Debug = False,
) -> int:
    """Run a saved deployment on images.

    Parameters
    ----------
    deployment
        A file that was written by --output.
    input
        Images: an .npy file, or an .npz file with x_test.
    target
        Where to run it: numpy, lava or lava-stock; what it was compiled for if not given.
    threads
        Cores for calibration and simulation; all if not given. The results do not depend on it.
    lava_python
        The Python 3.10 with lava-nc that runs Lava; if not given, the one that NEUROCOMPILE_LAVA_PYTHON names, or
        one that is found or made.
    output
        Write decisions, potentials and the spikes of every layer to this .npz file.
    json_
        Print one JSON object.
    debug
        Show the traceback of an error.
    """
    del debug
    network = load(deployment)
    chosen = target or network.options.target
    check_output(output, deployment, input)
    issues = list(lava_python_issues(lava_python, chosen))
    if issues:
        raise DataError.of(issues)
    x = read_images(input)
    with (
        use_threads(threads),
        use_python(lava_python),
        ProgressDisplay(CommandConsole(stderr=True)) as progress,
        network.deploy(chosen, progress) as deployed,
    ):
        if output is None:
            result = Ran.of(deployed.run_in_parts(x, progress=progress))
        else:
            whole = deployed.run(x, progress=progress)
            result = Ran.of([whole])
            spikes = {f"spikes/{name}": stream for name, stream in whole.spikes.items()}
            write_npz(output, {"decisions": result.decisions, "potentials": whole.potentials, **spikes})
    steps = network.steps
    with standard_output() as console:
        if json_:
            print(json.dumps(document.ran(str(deployment), chosen, steps, result)))
        else:
            terminal.print_ran(console, chosen, steps, result)
    return 0
