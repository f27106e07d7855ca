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
from neurocompile_lava.worker.running import Running
from neurocompile_lava.worker.stock import StockNetwork

Array = npt.NDArray[Any]

PLAN_VERSION = 4


def main(folder: Path) -> None:
    """Run the job in a folder and end this process."""
    network: list[Network | StockNetwork] = []
    release = guard(lambda: network[0].runtime if network else None, folder)
    emit("loading Lava")
    plan = json.loads((folder / "plan.json").read_text())
    if plan["version"] != PLAN_VERSION:
        raise ValueError(f"the plan has version {plan['version']}, this worker reads {PLAN_VERSION}")
    kind: type[Network | StockNetwork] = StockNetwork if plan["kind"] == "stock" else Network
    with np.load(folder / "arrays.npz", allow_pickle=False) as stored:
        arrays = dict(stored)
    stream = np.load(folder / "stream.npy", allow_pickle=False)
    if plan.get("constant"):
        stream = np.broadcast_to(stream, (plan["steps"], *stream.shape[1:]))
    network.append(kind(plan, arrays, stream))
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


class Network(Running):
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
        self._total = plan["total"]
        self._recorded: dict[str, tuple[Any, np.dtype[Any], int, tuple[int, ...]]] = {}
        self._source = process.Source(stream=stream, name="source")
        self._out: dict[str, Any] = {plan["source"]: self._source.s_out}
        for description in plan["processes"]:
            getattr(self, f"_add_{description['kind']}")(description)

    def write(self, folder: Path) -> None:
        """Write the potentials ``(T, B, outputs)`` and each recorded process's spikes ``(T, B, *shape)``."""
        for name, (memory, dtype, start, shape) in self._recorded.items():
            rows = np.frombuffer(memory, np.uint8).reshape(self._total, -1)
            # The pipeline's delay: a process does at this step what it does at step 0 in the reference.
            rows = rows[start : start + self._steps]
            if dtype == np.bool_:
                rows = np.unpackbits(rows, axis=1, count=math.prod(shape))
            np.save(folder / f"{name}.npy", rows.view(dtype).reshape(self._steps, *shape))

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
        self._add_neurons(self._process.IF, d, signed=d["signed"])

    def _add_digit(self, d: dict[str, Any]) -> None:
        self._add_neurons(self._process.Digit, d)

    def _add_graded(self, d: dict[str, Any]) -> None:
        self._add_neurons(self._process.Graded, d, levels=d["levels"])

    def _add_neurons(self, kind: Any, d: dict[str, Any], **parameters: Any) -> None:
        neurons = kind(
            shape=self._shape(d["shape"]),
            vth=self._arrays[d["vth"]],
            bias=self._arrays[d["bias"]],
            v=self._arrays[d["v"]],
            ahead=d["ahead"],
            **self._times(d),
            **parameters,
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
            reset_offset=d["start"] + 1,
            name=d["name"],
        )
        self._connect(d, neurons.a_in)
        self._out[d["name"]] = neurons.s_out

    def _add_max_pool(self, d: dict[str, Any]) -> None:
        pool = self._process.MaxPool(
            shape_in=self._shape(d["shape_in"]),
            shape_out=self._shape(d["shape"]),
            window=d["window"],
            radix=d["radix"],
            **self._times(d),
            record=self._memory(d),
            name=d["name"],
        )
        self._connect(d, pool.s_in)
        self._out[d["name"]] = pool.s_out

    def _add_readout(self, d: dict[str, Any]) -> None:
        shape = self._shape(d["shape"])
        dtype = np.dtype(np.int64 if self._fixed else np.float64)
        memory = multiprocessing.RawArray("B", self._total * math.prod(shape) * dtype.itemsize)
        self._recorded["potentials"] = (memory, dtype, d["start"], shape)
        readout = self._process.Readout(
            shape=shape,
            bias=self._arrays[d["bias"]],
            radix=d["radix"],
            **self._times(d),
            record=memory,
            name=d["name"],
        )
        self._connect(d, readout.a_in)

    def _times(self, d: dict[str, Any]) -> dict[str, int]:
        """Tell which steps' input counts, in Lava's numbers, which begin with 1."""
        return {"start": d["start"] + 1, "steps": self._steps}

    def _memory(self, d: dict[str, Any]) -> Any:
        """Make shared memory for what a process receives, where the plan wants it recorded, and tell its type."""
        if d["record"] is None:
            return None
        shape, dtype = self._shape(d["shape_in"]), np.dtype(d["record"]["type"])
        size = math.prod(shape)
        memory = multiprocessing.RawArray("B", self._total * (math.ceil(size / 8) if dtype == np.bool_ else size))
        self._recorded[d["record"]["name"]] = (memory, dtype, d["record"]["start"], shape)
        return memory, dtype

    def _connect(self, d: dict[str, Any], port: Any) -> None:
        for name in d["from"]:
            self._out[name].connect(port)

    def _with_arrays(self, operation: dict[str, Any]) -> dict[str, Any]:
        return {
            name: self._arrays[value] if name in ("weight", "index") else value
            for name, value in operation.items()
        }
