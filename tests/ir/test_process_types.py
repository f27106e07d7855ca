from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from neurocompile.errors import GraphError
from neurocompile.ir import Op, TensorType
from neurocompile.ir.processes import (
    ConvSynapses,
    CurrentSum,
    Decoder,
    DigitNeurons,
    Encoder,
    GradedNeurons,
    IntegrateAndFire,
    LinearSynapses,
    PoolSynapses,
    ReshapeSynapses,
    ScaleSynapses,
    SpikeMaxPool,
    WireSynapses,
)

REAL, INTEGER = TensorType((4, 6, 5), stream=True), TensorType((4, 6, 5), stream=True, integer=True)
ZERO, WHOLE = np.zeros(1), np.zeros(1, np.int64)

SCALAR = TensorType((), stream=True)

BROKEN: dict[str, tuple[Callable[[], Op], tuple[TensorType, ...], str]] = {
    "no stream": (lambda: ReshapeSynapses((4,)), (TensorType((4,)),), "takes streams, and an input is none"),
    "mixed": (CurrentSum, (REAL, INTEGER), "adds an integer stream to a real one"),
    "sum of shapes": (CurrentSum, (REAL, TensorType((4,), stream=True)), "combines tensors of different shapes"),
    "weights": (lambda: ScaleSynapses(np.ones(1)), (INTEGER,), "has float64 weights"),
    "integer weights": (lambda: ScaleSynapses(np.ones(1, np.int8)), (REAL,), "has int8 weights"),
    "wide weights": (lambda: ScaleSynapses(np.ones(1, np.int16)), (INTEGER,), "has int16 weights"),
    "bool weights": (lambda: ScaleSynapses(np.ones(1, np.bool_)), (REAL,), "has bool weights"),
    "exponent": (lambda: ScaleSynapses(np.ones(1), 2), (REAL,), "has float64 weights with the exponent 2"),
    "scale": (lambda: ScaleSynapses(np.ones(4)), (REAL,), "has values of shape [4] for an image of [4, 6, 5]"),
    "scale of nothing": (lambda: ScaleSynapses(np.ones(0)), (REAL,), "has values of shape [0]"),
    "conv": (lambda: ConvSynapses(np.ones((1, 3, 1, 1))), (REAL,), "do not fit an input of [4, 6, 5]"),
    "conv without space": (lambda: ConvSynapses(np.ones(4)), (REAL,), "not (outputs, inputs, *kernel)"),
    "linear": (lambda: LinearSynapses(np.ones((1, 4))), (REAL,), "do not fit an input of [4, 6, 5]"),
    "linear of nothing": (
        lambda: LinearSynapses(np.ones((0, 4))),
        (TensorType((4,), stream=True),),
        "weights [0, 4] do not fit",
    ),
    "pool": (lambda: PoolSynapses((7, 1)), (REAL,), "a window of (7, 1) does not fit"),
    "max pool": (lambda: SpikeMaxPool((2, 2), dilation=(1,)), (REAL,), "dilation=(1,)"),
    "reshape": (lambda: ReshapeSynapses((4, 31)), (REAL,), "shapes [4, 6, 5] as [4, 31]"),
    "wires beyond": (lambda: WireSynapses(np.array([120])), (REAL,), "points outside an image of [4, 6, 5]"),
    "wires before": (lambda: WireSynapses(np.array([-2])), (REAL,), "points outside an image of [4, 6, 5]"),
    "wires of reals": (lambda: WireSynapses(np.zeros(1)), (REAL,), "has an index of float64 [1]"),
    "neuron kind": (lambda: IntegrateAndFire(ZERO, ZERO, ZERO), (INTEGER,), "its parameters do not fit"),
    "neuron shape": (lambda: IntegrateAndFire(np.zeros(3), ZERO, ZERO), (REAL,), "has values of shape [3]"),
    "neuron axes": (
        lambda: IntegrateAndFire(np.zeros((1, 1, 1, 1)), ZERO, ZERO),
        (REAL,),
        "has values of shape [1, 1, 1, 1]",
    ),
    "digits kind": (lambda: DigitNeurons(ZERO, WHOLE, 3), (REAL,), "its parameters do not fit"),
    "digits shape": (lambda: DigitNeurons(ZERO, np.zeros(3), 3), (REAL,), "has values of shape [3]"),
    "no look-ahead": (lambda: DigitNeurons(ZERO, ZERO, 0), (REAL,), "starts 0 steps late"),
    "no levels": (lambda: GradedNeurons(ZERO, ZERO, 0), (REAL,), "has 0 levels"),
    "levels beyond a byte": (lambda: GradedNeurons(ZERO, ZERO, 256), (REAL,), "has 256 levels"),
    "decoder kind": (lambda: Decoder(WHOLE), (REAL,), "its bias does not fit"),
    "decoder shape": (lambda: Decoder(np.zeros(3)), (REAL,), "has values of shape [3]"),
    "decoder unit": (lambda: Decoder(ZERO, np.inf), (REAL,), "has unit=inf"),
    "decoder readout": (
        lambda: Decoder(np.zeros(()), 1.0, 1, "softmax"),
        (SCALAR,),
        "has no axis for its readout",
    ),
    "encoder levels": (lambda: Encoder((1,), integer=True), (), "has no levels to round them to"),
    "encoder ceiling": (lambda: Encoder((1,), ceiling=0.0), (), "has ceiling=0.0"),
    "encoder infinite": (lambda: Encoder((1,), ceiling=np.inf), (), "has ceiling=inf"),
    "encoder refractory": (lambda: Encoder((1,), "poisson", refractory=-1), (), "has refractory=-1"),
    "encoder seed": (lambda: Encoder((1,), "poisson", seed=-1), (), "has seed=-1"),
    "encoder shape": (lambda: Encoder((0,)), (), "has the shape [0]"),
}


@pytest.mark.parametrize(("op", "types", "problem"), BROKEN.values(), ids=list(BROKEN))
def test_says_what_does_not_fit(op: Callable[[], Op], types: tuple[TensorType, ...], problem: str) -> None:
    with pytest.raises(GraphError) as caught:
        op().infer(*types)
    assert problem in str(caught.value)
