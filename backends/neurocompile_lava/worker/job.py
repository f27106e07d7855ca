"""Builds a network of Lava processes from a plan, runs it, and writes what came out.

A job is a folder with ``plan.json``, ``arrays.npz`` and ``stream.npy``; the worker adds ``potentials.npy`` and a
file of spikes for each recorded process. A network of several parts is a job for each in one folder, where the
later ones find what the earlier ones recorded. The plan's form is described in ``neurocompile_lava.plan``.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile_lava.worker.guard import emit, guard
from neurocompile_lava.worker.running import Running
from neurocompile_lava.worker.stock import StockNetwork

Array = npt.NDArray[Any]

PLAN_VERSION = 5


def main(folder: Path) -> None:
    """Run the job in a folder and end this process."""
    network: list[Network | StockNetwork] = []
    release = guard(lambda: network[0].runtime if network else None, folder)
    emit("loading Lava")
    plan = json.loads((folder / "plan.json").read_text())
    if plan["version"] != PLAN_VERSION:
        raise ValueError(f"the plan has version {plan['version']}, this worker reads {PLAN_VERSION}")
    # An archive gives the arrays that are asked for: a part of a network does not need all of them.
    with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
        if plan["kind"] == "stock":
            network.append(StockNetwork(plan, arrays, _load(folder, "stream")))
        else:
            files = {source["file"] for source in plan["sources"]}
            network.append(Network(plan, arrays, {file: _load(folder, file) for file in files}))
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


def _load(folder: Path, name: str) -> Array:
    stream: Array = np.load(folder / f"{name}.npy", allow_pickle=False)
    return stream


class Network(Running):
    """The Lava processes of a part of a network.

    Parameters
    ----------
    plan
        As ``neurocompile_lava.plan`` makes it.
    arrays
        Weights and other arrays that the plan names.
    streams
        What comes from outside, ``(T, B, *shape)``, by the files that the plan names.
    """

    def __init__(self, plan: dict[str, Any], arrays: Mapping[str, Array], streams: Mapping[str, Array]) -> None:
        # Lava takes seconds to import, and tests of a job's other parts do without.
        from lava.magma.core.run_conditions import RunSteps
        from lava.magma.core.run_configs import Loihi2SimCfg
        from lava.proc.lif.process import LIFReset

        from neurocompile_lava.worker.processes import process

        self._run_steps = RunSteps
        self._process = process
        self._stock_lif = LIFReset
        self._steps = plan["steps"]
        self._fixed = plan["fixed"]
        self._config = Loihi2SimCfg(select_tag="fixed_pt" if self._fixed else "floating_pt")
        self._arrays = arrays
        self._total = plan["total"]
        self._recorded: dict[str, tuple[Any, np.dtype[Any], int, tuple[int, ...]]] = {}
        sources = plan["sources"]
        given = [self._stream(source, streams[source["file"]]) for source in sources]
        self._batch = given[0].shape[1]
        starts = [source["start"] + 1 for source in sources]
        self._source = process.Source(streams=given, starts=starts, name="source")
        self._out: dict[str, Any] = {
            source["name"]: getattr(self._source, f"{process.PORT_OUT}{number}")
            for number, source in enumerate(sources)
        }
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

    def _stream(self, source: dict[str, Any], stream: Array) -> Array:
        return np.broadcast_to(stream, (self._steps, *stream.shape[1:])) if source["constant"] else stream

    def _shape(self, shape: list[int]) -> tuple[int, ...]:
        return (self._batch, *shape)

    def _add_synapses(self, d: dict[str, Any]) -> None:
        self._out[d["name"]] = self._receiver(self._process.Synapses, d).a_out

    def _add_if(self, d: dict[str, Any]) -> None:
        self._add_neurons(self._process.IF, d, signed=d["signed"])

    def _add_digit(self, d: dict[str, Any]) -> None:
        self._add_neurons(self._process.Digit, d)

    def _add_graded(self, d: dict[str, Any]) -> None:
        self._add_neurons(self._process.Graded, d, levels=d["levels"])

    def _add_neurons(self, kind: Any, d: dict[str, Any], **parameters: Any) -> None:
        neurons = self._receiver(
            kind,
            d,
            vth=self._arrays[d["vth"]],
            bias=self._arrays[d["bias"]],
            v=self._arrays[d["v"]],
            ahead=d["ahead"],
            **self._times(d),
            **parameters,
        )
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
        self._out[d["from"]].connect(neurons.a_in)
        self._out[d["name"]] = neurons.s_out

    def _add_max_pool(self, d: dict[str, Any]) -> None:
        pool = self._receiver(
            self._process.MaxPool,
            d,
            shape_out=self._shape(d["shape_out"]),
            window=d["window"],
            radix=d["radix"],
            **self._times(d),
        )
        self._out[d["name"]] = pool.s_out

    def _add_readout(self, d: dict[str, Any]) -> None:
        dtype = np.dtype(np.int64 if self._fixed else np.float64)
        shape = self._shape(d["shape_in"])
        memory = self._memory("potentials", dtype, d["start"], shape)
        how = {"bias": self._arrays[d["bias"]], "radix": d["radix"], "reads": d["reads"]}
        self._receiver(self._process.Readout, d, **how, memory=memory, **self._times(d))

    def _add_record(self, d: dict[str, Any]) -> None:
        shape = self._shape(d["shape"])
        record = self._record(d["record"], shape)
        recorder = self._process.Recorder(shape=shape, record=record, name=d["name"])
        self._out[d["from"]].connect(recorder.a_in)

    def _receiver(self, kind: Any, d: dict[str, Any], **parameters: Any) -> Any:
        """Make a process that has paths, and connect them with their sources."""
        paths = []
        for path in d["paths"]:
            shape = self._shape(path["shape_in"])
            paths.append(
                {
                    "operations": [self._with_arrays(o) for o in path["operations"]],
                    "shape_in": shape,
                    "delay": path["delay"],
                    "record": self._record(path["record"], shape),
                }
            )
        process = kind(paths=paths, shape_in=self._shape(d["shape_in"]), name=d["name"], **parameters)
        for number, path in enumerate(d["paths"]):
            self._out[path["source"]].connect(getattr(process, f"{self._process.PORT_IN}{number}"))
        return process

    def _times(self, d: dict[str, Any]) -> dict[str, int]:
        """Tell which steps' currents count, in Lava's numbers, which begin with 1."""
        return {"start": d["start"] + 1, "steps": self._steps}

    def _record(self, record: dict[str, Any] | None, shape: tuple[int, ...]) -> Any:
        """Make shared memory for what a process receives, where the plan wants it recorded, and tell its type."""
        if record is None:
            return None
        dtype = np.dtype(record["type"])
        return self._memory(record["name"], dtype, record["start"], shape), dtype

    def _memory(self, name: str, dtype: np.dtype[Any], start: int, shape: tuple[int, ...]) -> Any:
        size = math.prod(shape)
        row = math.ceil(size / 8) if dtype == np.bool_ else size * dtype.itemsize
        memory = multiprocessing.RawArray("B", self._total * row)
        self._recorded[name] = (memory, dtype, start, shape)
        return memory

    def _with_arrays(self, operation: dict[str, Any]) -> dict[str, Any]:
        return {
            name: self._arrays[value] if name in ("weight", "index") else value
            for name, value in operation.items()
        }
