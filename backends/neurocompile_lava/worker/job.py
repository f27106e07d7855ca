"""Builds a network of Lava processes from a plan, runs it, and writes what came out.

A job is a folder with ``plan.json``, ``arrays.npz`` and ``stream.npy``; the worker adds ``potentials.npy`` and a
file of spikes for each recorded process. The plan's form is described in ``neurocompile_lava.plan``.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile_lava.worker.guard import emit, guard

Array = npt.NDArray[Any]

PLAN_VERSION = 2

_PIECES = 20
"""How often progress is reported during a run."""


def main(folder: Path) -> None:
    """Run the job in a folder and end this process."""
    network: list[Network] = []
    release = guard(lambda: network[0].runtime if network else None, folder)
    emit("loading Lava")
    plan = json.loads((folder / "plan.json").read_text())
    if plan["version"] != PLAN_VERSION:
        raise ValueError(f"the plan has version {plan['version']}, this worker reads {PLAN_VERSION}")
    with np.load(folder / "arrays.npz", allow_pickle=False) as stored:
        arrays = dict(stored)
    stream = np.load(folder / "stream.npy", allow_pickle=False)
    if plan["constant"]:
        stream = np.broadcast_to(stream, (plan["steps"], *stream.shape[1:]))
    network.append(Network(plan, arrays, stream))
    emit("starting")
    began = time.perf_counter()
    network[0].run()
    seconds = time.perf_counter() - began
    release()
    network[0].stop()
    network[0].write(folder)
    emit("done", seconds=seconds)
    # Leaving in the ordinary way waits for threads of Lava's that never end.
    os._exit(0)


class Network:
    """The Lava processes of a plan.

    Parameters
    ----------
    plan
        As ``neurocompile_lava.plan`` makes it.
    arrays
        Weights and other arrays that the plan names.
    stream
        What the encoder sends, ``(T, B, *shape)``.
    """

    def __init__(self, plan: dict[str, Any], arrays: dict[str, Array], stream: Array) -> None:
        # Lava takes seconds to import, and tests of a job's other parts do without.
        from lava.magma.core.run_conditions import RunSteps
        from lava.magma.core.run_configs import Loihi2SimCfg
        from lava.proc.lif.process import LIFReset

        from neurocompile_lava.worker.processes import process

        self._run_steps = RunSteps
        self._process = process
        self._stock_lif = LIFReset
        self._steps = plan["steps"]
        self._batch = stream.shape[1]
        self._fixed = plan["fixed"]
        self._config = Loihi2SimCfg(select_tag="fixed_pt" if self._fixed else "floating_pt")
        self._arrays = arrays
        self._total = self._steps + max(p["depth"] for p in plan["processes"] if "depth" in p)
        self._recorded: dict[str, tuple[Any, dict[str, Any]]] = {}
        self._source = process.Source(stream=stream, name="source")
        self._out: dict[str, Any] = {plan["source"]: self._source.s_out}
        for description in plan["processes"]:
            getattr(self, f"_add_{description['kind']}")(description)

    @property
    def runtime(self) -> Any:
        """Lava's ``Runtime``, None before the run."""
        return self._source.runtime

    def run(self) -> None:
        """Run all steps, and report progress."""
        piece = math.ceil(self._total / _PIECES)
        for done in range(0, self._total, piece):
            steps = min(piece, self._total - done)
            self._source.run(condition=self._run_steps(num_steps=steps), run_cfg=self._config)
            emit("progress", done=done + steps, total=self._total)

    def stop(self) -> None:
        """End Lava's processes."""
        self._source.stop()

    def write(self, folder: Path) -> None:
        """Write the potentials ``(T, B, outputs)`` and each recorded process's spikes ``(T, B, *shape)``."""
        for name, (memory, description) in self._recorded.items():
            first = description["depth"]
            if name == "potentials":
                dtype = np.int64 if self._fixed else np.float64
                rows = np.frombuffer(memory, dtype).reshape(self._total, *self._shape(description["shape"]))
            else:
                shape = self._shape(description["shape_in"])
                bits = np.frombuffer(memory, np.uint8).reshape(self._total, -1)
                values = np.unpackbits(bits, axis=1, count=math.prod(shape))
                rows = values.reshape(self._total, *shape).astype(bool)
            # The pipeline's delay: a process of depth d does at step t + d what the reference does at step t.
            np.save(folder / f"{name}.npy", rows[first : first + self._steps])

    def _shape(self, shape: list[int]) -> tuple[int, ...]:
        return (self._batch, *shape)

    def _add_synapses(self, d: dict[str, Any]) -> None:
        synapses = self._process.Synapses(
            operations=[self._with_arrays(o) for o in d["operations"]],
            shape_in=self._shape(d["shape_in"]),
            shape_out=self._shape(d["shape_out"]),
            delay=d["delay"],
            record=self._memory(d),
            name=d["name"],
        )
        self._out[d["from"]].connect(synapses.s_in)
        self._out[d["name"]] = synapses.a_out

    def _add_if(self, d: dict[str, Any]) -> None:
        neurons = self._process.IF(
            shape=self._shape(d["shape"]),
            vth=self._arrays[d["vth"]],
            bias=self._arrays[d["bias"]],
            v=self._arrays[d["v"]],
            start=d["depth"] + 1,
            name=d["name"],
        )
        self._connect(d, neurons.a_in)
        self._out[d["name"]] = neurons.s_out

    def _add_lif(self, d: dict[str, Any]) -> None:
        shape = self._shape(d["shape"])
        neurons = self._stock_lif(
            shape=shape,
            vth=d["vth"],
            du=4095 if self._fixed else 1,
            dv=0,
            bias_mant=np.broadcast_to(self._arrays[d["bias_mant"]], shape),
            bias_exp=np.broadcast_to(self._arrays[d["bias_exp"]], shape),
            # Once: biases act before the first spike can have arrived, and what they did is cleared.
            reset_interval=2 * self._total + 2,
            reset_offset=d["depth"] + 1,
            name=d["name"],
        )
        self._connect(d, neurons.a_in)
        self._out[d["name"]] = neurons.s_out

    def _add_max_pool(self, d: dict[str, Any]) -> None:
        pool = self._process.MaxPool(
            shape_in=self._shape(d["shape_in"]),
            shape_out=self._shape(d["shape"]),
            window=d["window"],
            start=d["depth"] + 1,
            record=self._memory(d),
            name=d["name"],
        )
        self._connect(d, pool.s_in)
        self._out[d["name"]] = pool.s_out

    def _add_readout(self, d: dict[str, Any]) -> None:
        shape = self._shape(d["shape"])
        record = multiprocessing.RawArray("B", self._total * math.prod(shape) * 8)
        self._recorded["potentials"] = (record, d)
        readout = self._process.Readout(
            shape=shape, bias=self._arrays[d["bias"]], start=d["depth"] + 1, record=record, name=d["name"]
        )
        self._connect(d, readout.a_in)

    def _memory(self, d: dict[str, Any]) -> Any:
        """Make shared memory for the bits of what a process receives, where the plan wants it recorded."""
        if d["record"] is None:
            return None
        size = math.ceil(math.prod(self._shape(d["shape_in"])) / 8)
        memory = multiprocessing.RawArray("B", self._total * size)
        self._recorded[d["record"]] = (memory, {"depth": d["source_depth"], "shape_in": d["shape_in"]})
        return memory

    def _connect(self, d: dict[str, Any], port: Any) -> None:
        for name in d["from"]:
            self._out[name].connect(port)

    def _with_arrays(self, operation: dict[str, Any]) -> dict[str, Any]:
        return {
            name: self._arrays[value] if name in ("weight", "index") else value
            for name, value in operation.items()
        }
