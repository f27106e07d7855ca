"""The methods of conversion that are compared, and how their numbers are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NETWORKS = ("digits-mlp", "fashion-cnn", "fashion-resnet")
STEPS = (1, 2, 4, 8, 16, 32, 64)

OURS = "neurocompile"
PEER_SCRIPTS = {"SpikingJelly": "spikingjelly", "Sinabs": "sinabs"}
"""The tools that we compare with, and their names in the files of ``benchmarks/peers``."""

Entry = dict[str, Any]
"""Of a method, as the JSON file has it: ``tool``, ``method``, ``images``, ``error``, ``versions``, ``points``."""

Results = dict[str, Any]
"""Of all: ``machine``, and for each of ``networks`` its ``images``, its accuracy ``ann`` and its ``methods``."""


@dataclass(frozen=True)
class Method:
    """A way to convert with the command line.

    Parameters
    ----------
    name
        In tables and plots.
    options
        Of the command line.
    steps
        For which it is measured.
    anew
        Whether it is calibrated for the number of steps, and so runs once for each; otherwise a run of the most
        steps tells of all.
    steps_option
        Whether the command line is told the number of steps.
    """

    name: str
    options: tuple[str, ...]
    steps: tuple[int, ...] = STEPS
    anew: bool = False
    steps_option: bool = True


DIGITS = (4, 6, 8, 10)
RATE = ("--code", "rate")

FITTED = STEPS[:-1]
"""For which a method is fitted anew: the last takes as long as all others together."""

METHODS = (
    Method("rate, ridge, signed", (*RATE, "--balance", "ridge", "--signed"), FITTED, anew=True),
    Method("rate, ridge", (*RATE, "--balance", "ridge", "--no-signed"), FITTED, anew=True),
    Method("rate, ridge, wait", (*RATE, "--balance", "ridge", "--wait"), FITTED, anew=True),
    Method("rate, mse", (*RATE, "--balance", "mse", "--no-signed"), FITTED, anew=True),
    Method("rate, channel", (*RATE, "--balance", "channel")),
    Method("rate, percentile", (*RATE, "--balance", "percentile")),
    Method("rate, max", (*RATE, "--balance", "max")),
    Method(
        "rate, max, reset to zero, Poisson (Diehl et al. 2015)",
        (*RATE, "--balance", "max", "--reset", "zero", "--encoder", "poisson"),
    ),
    Method("digit", ("--code", "digit"), DIGITS, anew=True),
    *(
        Method(f"graded, {bits} bits", ("--code", "graded", "--bits", str(bits)), (1,), steps_option=False)
        for bits in (4, 6, 8)
    ),
)


def point_only(name: str) -> bool:
    """Tell whether a method's numbers of steps are few and its own, so that it is drawn and listed by points."""
    return name.startswith(("digit", "graded"))


def rank(entry: Entry) -> tuple[int, int]:
    """Order our methods as they are listed above, and then the peers'."""
    tools = [OURS, *PEER_SCRIPTS]
    names = [method.name for method in METHODS]
    return tools.index(entry["tool"]), names.index(entry["method"]) if entry["method"] in names else 0
