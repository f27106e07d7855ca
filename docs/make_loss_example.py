"""Writes ``docs/loss.md``: the causes of a loss, and a network that converts badly, diagnosed and mended.

python docs/make_loss_example.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = Path(sys.executable).with_name("neurocompile")

TEXT = """\
# Where the loss comes from

`neurocompile MODEL` takes the loss apart. On the first 1,000 test images (`--budget N`; 0 leaves it out) the original
network is replaced layer by layer, from the input on: what the layers so far really send is led through the rest of the
original network. Within a layer one cause comes on top of another, and each counts for the accuracy that it costs. So
all shares add up to the loss; what is left over is stated, and is 0 but for rounding.

| cause | what | what helps |
|---|---|---|
| approximation | activations as straight lines, of all layers together | activations such as ReLU |
| encoding | the input as spikes or rounded numbers | `--encoder constant` |
| fit | weights and biases that were fitted: mostly negative points, since it makes up for the layers before | |
| integer weights | int8 weights and biases; of floats only the rounding that makes sums exact | `--precision float` |
| clipping | activations above the threshold | a larger `--percentile`, more calibration images; with `mse` and `ridge` what helps resolution |
| resolution | values are rounded to what the steps, digits or bits tell apart | more `--steps` or `--bits` |
| arrival | the input came unevenly, or late: what is left at the last step against all of it at once | `--signed`, `--wait`, `--code digit`; of digits `--code graded` |
| reset | a reset to zero throws away what was above the threshold | `--reset subtract` |

A layer's error is the root of the mean square of what a cause changes in its activations, over that of the activations
as they would be; of all causes together as if they were independent. *Most of it* is the cause with the largest error, and *what helps* is
against the largest that the options given can still make smaller. The first layer of the table is the one that costs
most points; its error tells how sure one can be of them, since some points are chance on 1,000 images.

## A network that converts badly, in four commands

fashion-cnn by the oldest recipe (Diehl et al. 2015), in 16 steps:
"""  # noqa: E501

STEPS = (
    (
        ("--balance", "max", "--encoder", "poisson", "--reset", "zero"),
        "",
    ),
    (
        ("--balance", "max"),
        "Encoder and reset are what the table names first. Without them:",
    ),
    (
        ("--balance", "ridge"),
        "What is left is that input arrives unevenly: with thresholds at the largest activations spikes are few, "
        "and come late. With weights and thresholds fitted for 16 steps, and spikes that can be taken back:",
    ),
    (
        ("--code", "digit", "--steps", "8"),
        "What is left is what 16 steps tell apart. Eight digits tell more, start when more of their input is "
        "there, and correct themselves:",
    ),
)


def report(options: tuple[str, ...]) -> str:
    """Run the command and give what it prints, as the page shows it."""
    arguments = ["models/fashion-cnn.onnx", "--precision", "int8", "--samples", "1", *options]
    if "digit" not in options:
        arguments[1:1] = ["--code", "rate", "--steps", "16"]
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(
        [str(COMMAND), *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    shown = [line.rstrip() for line in done.stdout.splitlines()]
    start = next(i for i, line in enumerate(shown) if "accuracy" in line)
    stop = next(i for i, line in enumerate(shown) if line.startswith("deployed"))
    # Activity is another subject.
    activity = next(i for i, line in enumerate(shown) if "for an image" in line)
    budget = next(i for i, line in enumerate(shown) if "loss on" in line)
    kept = "\n".join([*shown[start:activity], *shown[budget:stop]])
    return f"```console\n$ neurocompile {' '.join(arguments)}\n{kept}\n```\n"


def main() -> None:
    """Write the page."""
    parts = [TEXT]
    for options, why in STEPS:
        if why:
            parts.append(why + "\n")
        parts.append(report(options))
        print(options, file=sys.stderr)
    (ROOT / "docs" / "loss.md").write_text("\n".join(parts))


if __name__ == "__main__":
    main()
