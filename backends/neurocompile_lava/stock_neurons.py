"""Which of Lava's stock neurons stand for a layer, and with which parameters.

``LIFReset`` is a neuron with reset to zero as it is.

``ATRLIF`` fires where ``v - r >= theta`` and adds ``2 * theta`` to ``r``, which decays by ``delta_r``. Without
decay, and with half of the threshold for ``theta``, that is a reset by subtraction; the membrane starts lower by
the other half, and by 1, since our neurons fire above the threshold.

``SigmaDelta`` adds up its input, rectifies the sum, and sends by how much that has grown, shifted down by
``state_exp`` bits. From a fresh start, and with all of the input in one step, that is the message of our graded
neuron, but for its ceiling. Two of them make up for it: with ``u`` the sum and half a message, and ``L`` the
largest message, ``min(max(u >> k, 0), L) = (max(u, 0) >> k) - (max(u - (L << k), 0) >> k)``. What reads the layer
has the weights of the second with the other sign.

Both have no way to start later than the run, so their biases come from the source with the input.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurocompile.errors import Issue
from neurocompile.ir import Array, Node
from neurocompile.ir.fixed_point import CURRENT_SHIFT, STATE_EXPONENT_MAX, split_bias
from neurocompile.ir.processes import GradedNeurons, IntegrateAndFire, Neurons


@dataclass(frozen=True)
class StockNeurons:
    """A layer of stock neurons.

    Parameters
    ----------
    kind
        In the plan.
    size
        How many there are.
    sends
        The type of what they send.
    parameters, arrays
        What the plan tells of them.
    current
        What the source sends them at each step, ``(size,)``.
    """

    kind: str
    size: int
    sends: str
    parameters: Mapping[str, Any]
    arrays: Mapping[str, Array] = field(default_factory=dict)
    current: Array = field(default_factory=lambda: np.zeros(0, np.int32))


def kind_issues(node: Node) -> Iterator[Issue]:
    """Tell if stock Lava has no neurons of a layer's kind."""
    op, kind = node.op, type(node.op).__name__
    if not (isinstance(op, GradedNeurons) or (isinstance(op, IntegrateAndFire) and not op.signed and not op.wait)):
        problem, remedy = "stock Lava has no such neurons", "choose --code graded, or --code rate --no-signed"
        yield Issue(problem, node.name, kind, remedy)


def number_issues(node: Node) -> Iterator[Issue]:
    """Tell if stock neurons of the layer's kind do not hold its thresholds or biases."""
    op, kind = node.op, type(node.op).__name__
    assert isinstance(op, Neurons)
    if isinstance(op, IntegrateAndFire) and op.reset == "zero":
        return
    if op.bias.dtype.kind == "f":
        problem = "stock Lava has neurons for its code in integers only"
        yield Issue(problem, node.name, kind, "choose --precision int8, or --code rate --reset zero")
    elif not _fits(op):
        problem = "its thresholds or biases are none that stock neurons hold"
        yield Issue(problem, node.name, kind, "compile it with --target lava-stock")


def _fits(op: Neurons) -> bool:
    """Tell whether the threshold and the bias of integer neurons are what ``Quantize`` chooses for stock ones."""
    whole = op.bias >> CURRENT_SHIFT << CURRENT_SHIFT == op.bias
    threshold = int(op.v_threshold.reshape(-1)[0]) >> CURRENT_SHIFT
    if op.v_threshold.size != 1 or not np.all(whole):
        return False
    if isinstance(op, GradedNeurons):
        return any(op.levels << exponent == threshold for exponent in range(STATE_EXPONENT_MAX + 1))
    return threshold % 2 == 0


def stock_neurons(op: Neurons, shape: tuple[int, ...]) -> StockNeurons:
    """Give the stock neurons that stand for a layer of a shape."""
    size = int(np.prod(shape))
    if isinstance(op, GradedNeurons):
        return _sigma_delta(op, _each(op.bias, shape) >> CURRENT_SHIFT)
    assert isinstance(op, IntegrateAndFire)
    return _lif(op, shape) if op.reset == "zero" else _atrlif(op, size, shape)


def _lif(op: IntegrateAndFire, shape: tuple[int, ...]) -> StockNeurons:
    threshold = op.v_threshold.reshape(-1)[0]
    if op.bias.dtype.kind == "f":
        mantissa, exponent, vth = op.bias, np.zeros(1), float(threshold)
    else:
        (mantissa, exponent), vth = split_bias(op.bias), int(threshold) >> CURRENT_SHIFT
    arrays = {"bias_mant": _each(mantissa, shape), "bias_exp": _each(exponent, shape)}
    return StockNeurons("lif", int(np.prod(shape)), "bool", {"vth": vth}, arrays)


def _atrlif(op: IntegrateAndFire, size: int, shape: tuple[int, ...]) -> StockNeurons:
    threshold = int(op.v_threshold.reshape(-1)[0])
    start = _each(op.v_init, shape) - threshold // 2 - 1
    current = _each(op.bias, shape) >> CURRENT_SHIFT
    return StockNeurons("atrlif", size, "bool", {"theta": threshold >> CURRENT_SHIFT + 1}, {"v": start}, current)


def _sigma_delta(op: GradedNeurons, bias: Array) -> StockNeurons:
    ceiling = int(op.v_threshold.reshape(-1)[0]) >> CURRENT_SHIFT
    exponent = (ceiling // op.levels).bit_length() - 1
    lowest = bias + (1 << exponent >> 1)
    current = np.concatenate([lowest, lowest - ceiling])
    return StockNeurons("sigma_delta", len(current), "int32", {"state_exp": exponent}, current=current)


def _each(values: Array, shape: tuple[int, ...]) -> Array:
    """Give the value of each neuron, ``(size,)``."""
    return np.broadcast_to(values, shape).ravel()
