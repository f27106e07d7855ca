"""Which ONNX operators are converted: one function each, in files by family; this table registers them."""

from __future__ import annotations

from neurocompile.frontends.onnx_ops import activations, arithmetic, linear, pools, readouts, rearrangements
from neurocompile.frontends.onnx_ops.operator import Form, Importer, Operator
from neurocompile.frontends.onnx_ops.refusals import REFUSALS

__all__ = ["OPERATORS", "REFUSALS", "Operator", "register_operator"]

OPERATORS: dict[str, Operator] = {
    **activations.OPERATORS,
    **arithmetic.OPERATORS,
    **linear.OPERATORS,
    **pools.OPERATORS,
    **readouts.OPERATORS,
    **rearrangements.OPERATORS,
}
"""By name; with the domain before it, such as ``ai.onnx.ml.Scaler``, unless it is ONNX's own."""


def register_operator(name: str, importer: Importer, form: Form) -> None:
    """Let models hold one operator more, or convert one in another way.

    Parameters
    ----------
    name
        The operator's, with its domain before it, such as ``com.example.MyOp``, unless it is ONNX's own.
    importer
        Takes an ``OnnxNode``, adds layers to it, and gives the name of the last one.
    form
        What the operator becomes in spikes.
    """
    OPERATORS[name] = Operator(importer, form)
