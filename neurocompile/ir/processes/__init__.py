"""The process dialect: encoder, synapses, neurons and decoder, on streams ``(T, B, *shape)``.

Each operator computes all steps at once, in the order of its inputs: a feed-forward network has no feedback in
time, so one process can finish before the next starts. An integer stream follows Loihi's fixed-point rules.
A stream that is constant in time is a view with stride 0 along the time axis; synapses keep it so.
"""

from neurocompile.ir.processes.coding import Decoder, DecoderCode, Encoder, EncoderCode, Readout
from neurocompile.ir.processes.neurons import DigitNeurons, GradedNeurons, IntegrateAndFire, Neurons, Reset
from neurocompile.ir.processes.pools import SpikeMaxPool
from neurocompile.ir.processes.process import MOST_STEPS, Process
from neurocompile.ir.processes.synapses import (
    Connections,
    ConvSynapses,
    CurrentSum,
    LinearSynapses,
    PoolSynapses,
    ReshapeSynapses,
    ScaleSynapses,
    Synapses,
    WireSynapses,
)

__all__ = [
    "MOST_STEPS",
    "Connections",
    "ConvSynapses",
    "CurrentSum",
    "Decoder",
    "DecoderCode",
    "DigitNeurons",
    "Encoder",
    "EncoderCode",
    "GradedNeurons",
    "IntegrateAndFire",
    "LinearSynapses",
    "Neurons",
    "PoolSynapses",
    "Process",
    "Readout",
    "Reset",
    "ReshapeSynapses",
    "ScaleSynapses",
    "SpikeMaxPool",
    "Synapses",
    "WireSynapses",
]
