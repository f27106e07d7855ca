"""Runs a network of Lava's stock processes as its users do: anew for each image. ``python restart.py JOB.npz``.

It runs in Lava's own Python and needs nothing else. A job holds ``layers``, a JSON list; each layer has its
``kind``, ``dense`` or ``conv``, the names of its ``weight`` and ``bias`` and its threshold ``vth``, and a
convolution has its ``stride``, ``padding`` and ``shape`` of the input, (height, width, channels). Each image of
``images`` is sent at every one of ``steps``; ``Var.get`` at the end of an image reads the membranes of the output
neurons, which never fire. It prints, in JSON, the seconds of every image, with the compilation and the start of
its network and without.
"""

import json
import os
import sys
import time

import numpy as np
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.conv.process import Conv
from lava.proc.dense.process import Dense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.process import LIF


def build(image, layers, arrays, fixed):
    """Connect the processes of a network, and give the first and the last."""
    kind = np.int32 if fixed else np.float64
    first = RingBuffer(data=image[..., None].astype(kind))
    out, neurons = first.s_out, None
    for number, layer in enumerate(layers):
        weight = arrays[layer["weight"]]
        bits = {"num_message_bits": 0 if number else 24}
        if layer["kind"] == "conv":
            window = {name: tuple(layer[name]) for name in ("stride", "padding")}
            synapses = Conv(weight=weight, input_shape=tuple(layer["shape"]), **window, **bits)
        else:
            synapses = Dense(weights=weight, **bits)
        taken = synapses.s_in
        if out.shape != taken.shape:
            out.reshape(taken.shape).connect(taken)
        else:
            out.connect(taken)
        shape = synapses.a_out.shape
        bias = np.broadcast_to(arrays[layer["bias"]], shape)
        neurons = LIF(shape=shape, du=4095 if fixed else 1, dv=0, vth=layer["vth"], bias_mant=bias)
        synapses.a_out.connect(neurons.a_in)
        out = neurons.s_out
    return first, neurons


def main(job):
    """Run every image in a network of its own."""
    with np.load(job, allow_pickle=False) as stored:
        arrays = dict(stored)
    layers, steps, fixed = (json.loads(str(arrays[name])) for name in ("layers", "steps", "fixed"))
    config = Loihi2SimCfg(select_tag="fixed_pt" if fixed else "floating_pt")
    whole, running = [], []
    for image in arrays["images"]:
        began = time.perf_counter()
        first, last = build(image, layers, arrays, fixed)
        # The first step is part of the start: Lava makes its processes then.
        first.run(condition=RunSteps(num_steps=1), run_cfg=config)
        started = time.perf_counter()
        first.run(condition=RunSteps(num_steps=steps + len(layers) - 1), run_cfg=config)
        last.v.get()
        ended = time.perf_counter()
        first.stop()
        whole.append(time.perf_counter() - began)
        running.append(ended - started)
    print(json.dumps({"whole": whole, "running": running}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
    # Leaving in the ordinary way can wait for threads of Lava's that never end.
    os._exit(0)
