"""What all processes share."""

from __future__ import annotations

from neurocompile.ir.op import Op, TensorType, require

MOST_STEPS = 4096
"""Of a run: up to so many, sums of real weights are exact."""


class Process(Op, abstract=True):
    """An operator of the process dialect."""

    def infer(self, *inputs: TensorType) -> TensorType:
        """Give the output's type; raise ``GraphError`` where the inputs don't fit."""
        require(all(t.stream for t in inputs), "a process takes streams, and an input is none")
        require(len({t.integer for t in inputs}) <= 1, "adds an integer stream to a real one")
        integer = inputs[0].integer if inputs else False
        return TensorType(self.output_shape(*(t.shape for t in inputs)), stream=True, integer=integer)

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """Give the output's shape; the inputs' where the operator works element by element."""
        return shapes[0]
