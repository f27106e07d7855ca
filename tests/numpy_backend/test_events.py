"""The event-driven engine gives what the reference semantics give, in every value of every process."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from neurocompile_numpy.events.engine import Engine
from strategies import balanced, chain, images, layer_graphs

from neurocompile.errors import GraphError
from neurocompile.ir import Array, Graph, run
from neurocompile.ir.codes import Code, DigitCode, GradedCode, RateCode
from neurocompile.ir.layers import AvgPool, Conv, Linear, ReLU, Reshape
from neurocompile.ir.paths import Source
from neurocompile.ir.processes import Encoder
from neurocompile.passes.lower import Lower
from neurocompile.passes.quantize import Quantize
from neurocompile.passes.round_weights import RoundWeights

CODES: dict[str, Code] = {
    "rate": RateCode(9),
    "signed": RateCode(9, signed=True),
    "zero": RateCode(9, reset="zero"),
    "wait": RateCode(5, wait=True),
    "digit": DigitCode(6),
    "graded": GradedCode(6),
}


def check(graph: Graph, x: Array, steps: int, first: int = 3) -> None:
    """Compare what every process gives out; of reals those whose sums are exact."""
    (entry,), (output,) = graph.inputs, graph.outputs
    integer = graph.types[output].integer
    names = [node.name for node in graph.nodes if integer or node.name == output or isinstance(node.op, Source)]
    found = Engine(graph).run(x, steps, first, names)
    assert isinstance(entry.op, Encoder)
    expected = run(graph, {entry.name: entry.op.encode(x, steps, first)}, keep=names)
    for name in names:
        np.testing.assert_array_equal(found[name].dense, expected[name], err_msg=name)
        # What is added up on the way may be of a smaller type.
        assert found[name].dense.dtype == expected[name].dtype or not isinstance(graph[name].op, Source)
        np.testing.assert_array_equal(found[name].count(), np.count_nonzero(expected[name], axis=(0, 1)))


def test_pools_of_pools_and_groups() -> None:
    """Sums of more than one spike are no spikes."""
    rng = np.random.default_rng(0)
    layers = chain(
        (4, 9, 9),
        ReLU(),
        AvgPool((2, 2)),
        AvgPool((2, 2), (2, 2)),
        Conv(rng.normal(size=(8, 2, 3, 3)), np.zeros(8), padding=(1,) * 4, groups=2),
        ReLU(),
        AvgPool((2, 2)),
        Reshape((72,)),
        Linear(rng.normal(size=(3, 72)), np.zeros(3)),
    )
    x = np.abs(images(layers, 3))
    for code in CODES.values():
        encoder = Encoder((), "once" if code.radix > 1 else "constant", 1.0, 255)
        check(Quantize()(Lower(encoder, code)(balanced(layers, x, code.highest))), x, code.steps)


@pytest.mark.parametrize("precision", ["float", "int8"])
@pytest.mark.parametrize("name", CODES)
@given(graph=layer_graphs(most_outputs=1), poisson=st.booleans())
def test_generated_networks(precision: str, name: str, graph: Graph, poisson: bool) -> None:
    code, x = CODES[name], images(graph, 3)
    poisson = poisson and code.radix == 1
    sends = "poisson" if poisson else "once" if code.radix > 1 else "constant"
    encoder = Encoder((), sends, 1.0, 0 if poisson else 255)  # type: ignore[arg-type]
    try:
        processes = Lower(encoder, code)(balanced(graph, x, code.highest))
        processes = Quantize()(processes) if precision == "int8" else RoundWeights()(processes)
    except GraphError as error:
        # What can't be compiled is told, and other tests see to that.
        assume(not any(problem in str(error) for problem in ("not rectified", "exact", "24 bits have room for")))
        raise
    check(processes, x, code.steps)
