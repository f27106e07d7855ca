"""Why a layer sends what the original network's would not, and what makes that less."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from neurocompile.options import MOST_BITS, MOST_DIGITS, Options

Cause = Literal[
    "approximation", "encoding", "fit", "integer weights", "clipping", "resolution", "arrival", "reset"
]
"""Why what a layer sends is not what it would send by the original network's weights.

``approximation``: activations as straight lines. ``encoding``: the input as spikes. ``fit``: weights and biases
were fitted, which makes up for what the layers before lost. ``integer weights``: and biases. ``clipping``: at
the threshold. ``resolution``: of the spikes. ``arrival``: the input came unevenly, or was not all there when the
layer started. ``reset``: to zero.
"""


def remedies(options: Options) -> Mapping[Cause, str]:
    """Tell what makes each cause's share smaller in a network of these options.

    Parameters
    ----------
    options
        Resolved ones.

    Returns
    -------
    Mapping
        Without the causes that nothing helps against: a fit, or what these options do best already.
    """
    found: dict[Cause, str | None] = {
        "approximation": "an activation that is made of straight lines, such as ReLU",
        "encoding": _encoding(options),
        "integer weights": "--precision float" if options.precision == "int8" else None,
        "clipping": _clipping(options),
        "resolution": _resolution(options),
        "arrival": _arrival(options),
        "reset": "--reset subtract",
    }
    return {cause: remedy for cause, remedy in found.items() if remedy is not None}


def _encoding(options: Options) -> str | None:
    if options.encoder != "constant":
        return "--encoder constant"
    return "--precision float" if options.precision == "int8" else None


def _clipping(options: Options) -> str | None:
    if options.balance in ("mse", "ridge"):
        # They clip where that makes steps finer, so a finer code lets them clip less.
        return _resolution(options)
    largest = options.balance == "max" or options.percentile == 100
    return "more calibration images" if largest else "a larger --percentile"


def _resolution(options: Options) -> str | None:
    if options.code == "graded":
        return "more --bits" if options.bits < MOST_BITS else "--code digit"
    if options.code == "digit":
        return "more --steps" if (options.steps or 0) < MOST_DIGITS else None
    return "more --steps"


def _arrival(options: Options) -> str:
    if options.code == "digit":
        return "--code graded or rate"
    if options.reset == "zero":
        return "--reset subtract"
    if options.encoder != "constant":
        return "--encoder constant"
    if options.wait:
        return "more --steps or --code digit"
    return "--wait or --code digit" if options.signed else "--signed, --wait or --code digit"
