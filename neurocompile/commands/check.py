"""``neurocompile check``: what of a network would not convert or fit."""

from __future__ import annotations

import json
from pathlib import Path

from neurocompile.checker import check
from neurocompile.console import USAGE, Debug, Json, standard_output
from neurocompile.mapping import ChipName
from neurocompile.options import CodeChoice
from neurocompile.report import document, terminal


def check_command(
    model: Path,
    /,
    *,
    target: str = "numpy",
    code: CodeChoice = "auto",
    steps: int | None = None,
    chip: ChipName | None = None,
    images: int = 1000,
    json_: Json = False,
    debug: Debug = False,
) -> int:
    """Tell what of a network would not convert or fit, before anything runs.

    The exit status is 0 if it converts and 2 if not.

    Parameters
    ----------
    model
        The ONNX file.
    target
        Where the spiking network is to run: numpy, lava or lava-stock.
    code
        How spikes stand for values.
    steps
        Time steps for an image, for which memory and time are estimated.
    chip
        On whose neurocores the network is to fit: loihi1 or loihi2.
    images
        For which they are estimated.
    json_
        Print one JSON object.
    debug
        Show the traceback of an error.
    """
    del debug
    found = check(model, target, code=code, steps=steps, images=images, chip=chip)
    with standard_output() as console:
        if json_:
            print(json.dumps(document.checked(str(model), found)))
        else:
            terminal.print_checked(console, str(model), found)
    return 0 if found.converts else USAGE
