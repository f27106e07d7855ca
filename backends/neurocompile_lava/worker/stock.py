"""Builds a network of Lava's stock processes from a plan, runs it, and writes what it recorded.

The plan's form is described in ``neurocompile_lava.stock_plan``.
"""

from __future__ import annotations

import math
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neurocompile_lava.worker.running import Running

Array = npt.NDArray[Any]

_MESSAGE_BITS = 24
"""Of what the encoder and sigma-delta neurons send."""

_SPIKE_BITS = 1
"""Of spikes. With none, Lava picks columns of the matrix at each step, which takes many times as long."""

_UNSCALED = 4095
"""The decay of a current that is gone after a step."""

_WITHOUT_DECAY = {"delta_v": 0, "delta_theta": 0, "delta_r": 0, "theta_step": 0}
_GONE = _UNSCALED / 4096
"""The same of a neuron that adds 1 to it."""


class StockNetwork(Running):
    """The stock processes of a plan.

    Parameters
    ----------
    plan
        As ``neurocompile_lava.stock_plan`` makes it.
    arrays
        Weights and other arrays that the plan names.
    stream
        What the encoder sends to the copies, ``(rounds * T, copies * inputs)``.
    """

    def __init__(self, plan: dict[str, Any], arrays: dict[str, Array], stream: Array) -> None:
        # Lava takes seconds to import, and tests of a job's other parts do without.
        from lava.magma.core.run_conditions import RunSteps
        from lava.magma.core.run_configs import Loihi2SimCfg
        from lava.proc.atrlif.process import ATRLIF
        from lava.proc.lif.process import LIFReset
        from lava.proc.sdn.process import SigmaDelta
        from lava.proc.sparse.process import DelaySparse, Sparse
        from lava.utils.weightutils import SignMode

        from neurocompile_lava.worker.processes import process

        self._run_steps, self._process = RunSteps, process
        self._lif, self._atrlif, self._sigma_delta = LIFReset, ATRLIF, SigmaDelta
        self._sparse, self._delayed, self._mixed = Sparse, DelaySparse, SignMode.MIXED
        self._fixed, self._steps, self._total = plan["fixed"], plan["steps"], plan["total"]
        self._config = Loihi2SimCfg(select_tag="fixed_pt" if self._fixed else "floating_pt")
        self._arrays = arrays
        self._copies, self._rows = plan["copies"], plan["rows"]
        self._recorded: list[tuple[str, Any, np.dtype[Any], int, int]] = []
        self._source = process.Source(streams=[stream], starts=[1], name="source")
        self._out: dict[str, Any] = {plan["source"]: self._source.s_out_0}
        for description in plan["processes"]:
            getattr(self, f"_add_{description['kind']}")(description)

    def write(self, folder: Path) -> None:
        """Write what was recorded, each ``(rounds * T, copies * size)``."""
        for number, (_, memory, dtype, start, size) in enumerate(self._recorded):
            rows = np.frombuffer(memory, np.uint8).reshape(self._total, -1)[start:]
            rows = rows[: self._rows]
            if dtype == np.bool_:
                rows = np.unpackbits(rows, axis=1, count=size)
            np.save(folder / f"record-{number}.npy", np.ascontiguousarray(rows).view(dtype))

    def _add_sparse(self, d: dict[str, Any]) -> None:
        from scipy.sparse import csr_matrix, identity, kron

        parts = tuple(self._arrays[d[name]] for name in ("data", "indices", "indptr"))
        one = csr_matrix(parts, shape=d["shape"])
        weights = kron(identity(self._copies, one.dtype), one, "csr") if self._copies > 1 else one
        how = {
            "weights": weights,
            "num_message_bits": _MESSAGE_BITS if d["graded"] else _SPIKE_BITS,
            "name": d["name"],
        }
        if self._fixed:
            how |= {"weight_exp": d["weight_exp"], "sign_mode": self._mixed}
        if d["delay"]:
            delays = csr_matrix((np.full(weights.nnz, d["delay"]), weights.indices, weights.indptr), weights.shape)
            synapses = self._delayed(**how, delays=delays, max_delay=d["delay"])
        else:
            synapses = self._sparse(**how)
        self._out[d["from"]].connect(synapses.s_in)
        self._out[d["name"]] = synapses.a_out

    def _add_lif(self, d: dict[str, Any]) -> None:
        neurons = self._lif(
            shape=(self._copies * d["size"],),
            vth=d["vth"],
            du=_UNSCALED if self._fixed else 1,
            dv=0,
            bias_mant=np.tile(self._arrays[d["bias_mant"]], self._copies),
            bias_exp=np.tile(self._arrays[d["bias_exp"]], self._copies),
            # Lava's steps begin with 1: it is set back before it takes in what the next image begins with.
            reset_interval=self._steps,
            reset_offset=d["start"] + 1,
            name=d["name"],
        )
        self._add_neurons(d, neurons)

    def _add_atrlif(self, d: dict[str, Any]) -> None:
        neurons = self._atrlif(
            shape=(self._copies * d["size"],),
            v=np.tile(self._arrays[d["v"]], self._copies),
            theta=d["theta"],
            theta_0=d["theta"],
            delta_i=_GONE,
            **_WITHOUT_DECAY,
            name=d["name"],
        )
        self._add_neurons(d, neurons)

    def _add_sigma_delta(self, d: dict[str, Any]) -> None:
        shape = (self._copies * d["size"],)
        # What is less than a message is not sent.
        self._add_neurons(d, self._sigma_delta(shape=shape, vth=1, state_exp=d["state_exp"], name=d["name"]))

    def _add_neurons(self, d: dict[str, Any], neurons: Any) -> None:
        for name in d["from"]:
            self._out[name].connect(neurons.a_in)
        self._out[d["name"]] = neurons.s_out

    def _add_record(self, d: dict[str, Any]) -> None:
        dtype, size = np.dtype(d["type"]), self._copies * d["size"]
        row = math.ceil(size / 8) if dtype == np.bool_ else size * dtype.itemsize
        memory = multiprocessing.RawArray("B", self._total * row)
        self._recorded.append((d["name"], memory, dtype, d["start"], size))
        recorder = self._process.Recorder(shape=(size,), record=(memory, dtype), name=f"record.{d['name']}")
        for name in d["from"]:
            self._out[name].connect(recorder.a_in)
