"""Runs Lava's stock processes on given integers: ``python stock_reference.py INPUT.npz OUTPUT.npz``.

It runs in Lava's own Python. The input holds ``cases``, a JSON list; each case has a ``kind``, the ``name`` of its
output, that of its input ``x`` ``(T, *shape)``, and what its process takes, where arrays are given by name.
"""

import json
import os
import sys

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.atrlif.process import ATRLIF
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense
from lava.proc.io.sink import RingBuffer as Sink
from lava.proc.io.source import RingBuffer as Source
from lava.proc.lif.process import LIF, LIFReset
from lava.proc.sdn.process import SigmaDelta
from lava.proc.sparse.process import Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix


def process(case, arrays, shape):
    """Make a case's process, and give its ports."""
    if case["kind"] == "dense":
        weights, exponent = arrays[case["weights"]], case["weight_exp"]
        dense = Dense(weights=weights, weight_exp=exponent, sign_mode=SignMode.MIXED, num_message_bits=24)
        return dense.s_in, dense.a_out
    if case["kind"] == "sparse":
        weights, exponent = csr_matrix(arrays[case["weights"]]), case["weight_exp"]
        synapses = Sparse(weights=weights, weight_exp=exponent, sign_mode=SignMode.MIXED, num_message_bits=24)
        return synapses.s_in, synapses.a_out
    if case["kind"] == "conv":
        window = {name: tuple(case[name]) for name in ("stride", "padding", "dilation")}
        window["weight_exp"] = case.get("weight_exp", 0)
        weights = arrays[case["weights"]]
        conv = Conv(weight=weights, input_shape=shape, groups=case["groups"], num_message_bits=24, **window)
        return conv.s_in, conv.a_out
    if case["kind"] == "sigma_delta":
        sigma_delta = SigmaDelta(shape=shape, vth=1, state_exp=case["state_exp"])
        return sigma_delta.a_in, sigma_delta.s_out
    if case["kind"] == "atrlif":
        still = {"delta_i": 4095 / 4096, "delta_v": 0, "delta_theta": 0, "delta_r": 0, "theta_step": 0}
        theta = case["vth"] // 2
        atrlif = ATRLIF(shape=shape, v=arrays[case["v"]], theta=theta, theta_0=theta, **still)
        return atrlif.a_in, atrlif.s_out
    neurons = {
        "vth": case["vth"],
        "bias_mant": arrays[case["bias_mant"]],
        "bias_exp": arrays[case["bias_exp"]],
    }
    if case["kind"] == "lif":
        lif = LIF(shape=shape, du=4095, dv=0, **neurons)
    else:
        lif = LIFReset(shape=shape, du=4095, dv=0, reset_interval=1000, reset_offset=1, **neurons)
    return lif.a_in, lif.s_out


def run(cases, arrays):
    """Run cases that share an input."""
    x = arrays[cases[0]["x"]]
    source = Source(data=np.moveaxis(x, 0, -1))
    sinks = []
    for case in cases:
        taken, given = process(case, arrays, x.shape[1:])
        source.s_out.connect(taken)
        # What synapses compute comes one step later.
        sinks.append(Sink(shape=given.shape, buffer=len(x) + 1))
        given.connect(sinks[-1].a_in)
    source.run(condition=RunSteps(num_steps=len(x) + 1), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    result = {c["name"]: np.moveaxis(sink.data.get(), -1, 0) for c, sink in zip(cases, sinks, strict=True)}
    source.stop()
    return result


if __name__ == "__main__":
    with np.load(sys.argv[1], allow_pickle=False) as stored:
        given = dict(stored)
    every = json.loads(str(given["cases"]))
    found = {}
    for name in sorted({case["x"] for case in every}):
        found.update(run([case for case in every if case["x"] == name], given))
    np.savez(sys.argv[2], **found)
    # Leaving in the ordinary way can wait for threads of Lava's that never end.
    os._exit(0)
