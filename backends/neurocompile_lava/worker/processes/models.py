"""Models of our processes on the CPU, in floating point and in Loihi's fixed point."""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neurocompile_lava.worker import synapses
from neurocompile_lava.worker.processes.process import IF, MaxPool, Readout, Source, Synapses

Array = npt.NDArray[Any]

_MEMBRANE_MAX = 2**23 - 1


class _Model(PyLoihiProcessModel):  # type: ignore[misc]  # Lava has no types
    """What all models share: the type that they compute in, and how they record."""

    dtype: ClassVar[type]
    time_step: int

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.parameters = proc_params

    def record(self, spikes: Array) -> None:
        """Write this step's spikes into the shared memory, if there is any."""
        memory = self.parameters["record"]
        if memory is not None:
            bits = np.packbits(spikes.astype(bool).reshape(-1))
            at = (self.time_step - 1) * len(bits)
            np.frombuffer(memory, np.uint8)[at : at + len(bits)] = bits


class _Source(_Model):
    s_out: PyOutPort

    def run_spk(self) -> None:
        stream = self.parameters["stream"]
        late = self.time_step > len(stream)
        now = np.zeros_like(stream[0]) if late else stream[self.time_step - 1]
        self.s_out.send(now.astype(self.dtype))


class _Synapses(_Model):
    s_in: PyInPort
    a_out: PyOutPort

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        silence = np.zeros(proc_params["shape_out"], self.dtype)
        self.waiting = deque([silence] * (1 + proc_params["delay"]))
        self.compute = synapses.chain(proc_params["operations"], self.dtype)

    def run_spk(self) -> None:
        self.a_out.send(self.waiting.popleft())
        received = self.s_in.recv()
        self.waiting.append(self.compute(received))
        self.record(received)


class _IF(_Model):
    a_in: PyInPort
    s_out: PyOutPort
    v: Array
    bias: Array
    vth: Array

    def run_spk(self) -> None:
        current = self.a_in.recv()
        if self.time_step < self.parameters["start"]:
            self.s_out.send(np.zeros(current.shape, bool))
            return
        self.integrate(current)
        spikes = self.v > self.vth
        self.v -= spikes * self.vth
        self.s_out.send(spikes)

    def integrate(self, current: Array) -> None:
        raise NotImplementedError


class _MaxPool(_Model):
    s_in: PyInPort
    s_out: PyOutPort

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.total = np.zeros(proc_params["shape_in"], np.int64 if self.dtype is np.int32 else float)
        self.leading = np.zeros(proc_params["shape_out"], self.total.dtype)

    def run_spk(self) -> None:
        received = self.s_in.recv()
        self.record(received)
        if self.time_step < self.parameters["start"]:
            received = np.zeros_like(received)
        self.total += received
        leading = synapses.max_pool(self.total, self.parameters["window"])
        self.s_out.send((leading - self.leading).astype(self.dtype))
        self.leading = leading


class _Readout(_Model):
    a_in: PyInPort

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        wide = np.int64 if self.dtype is np.int32 else np.float64
        self.total = np.zeros(proc_params["shape"], wide)

    def run_spk(self) -> None:
        current = self.a_in.recv().astype(self.total.dtype)
        if self.time_step >= self.parameters["start"]:
            self.total += self.scale(current) + self.parameters["bias"]
        at = (self.time_step - 1) * self.total.size
        view = np.frombuffer(self.parameters["record"], self.total.dtype)
        view[at : at + self.total.size] = self.total.reshape(-1)

    def scale(self, current: Array) -> Array:
        raise NotImplementedError


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class SourceFloat(_Source):
    """Sends reals."""

    dtype = np.float64
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SourceFixed(_Source):
    """Sends integers."""

    dtype = np.int32
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)


@implements(proc=Synapses, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class SynapsesFloat(_Synapses):
    """Computes in float64."""

    dtype = np.float64
    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=Synapses, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SynapsesFixed(_Synapses):
    """Computes in int32."""

    dtype = np.int32
    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)


@implements(proc=IF, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class IFFloat(_IF):
    """Integrates in float64."""

    dtype = np.float64
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, bool)
    v: Array = LavaPyType(np.ndarray, float)
    bias: Array = LavaPyType(np.ndarray, float)
    vth: Array = LavaPyType(np.ndarray, float)

    def integrate(self, current: Array) -> None:
        """Add the current and the bias to the membrane."""
        self.v += current
        self.v += self.bias


@implements(proc=IF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class IFFixed(_IF):
    """Integrates in 24 bits: the current wraps around, the membrane saturates."""

    dtype = np.int32
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, bool)
    v: Array = LavaPyType(np.ndarray, np.int32, precision=24)
    bias: Array = LavaPyType(np.ndarray, np.int32)
    vth: Array = LavaPyType(np.ndarray, np.int32)

    def integrate(self, current: Array) -> None:
        """Add the current and the bias to the membrane."""
        u = current.astype(np.int64) << 6
        u = ((u + 2**23) & (2**24 - 1)) - 2**23
        self.v[:] = np.clip(self.v + u + self.bias, -_MEMBRANE_MAX, _MEMBRANE_MAX)


@implements(proc=MaxPool, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class MaxPoolFloat(_MaxPool):
    """Sums up in float64."""

    dtype = np.float64
    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=MaxPool, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class MaxPoolFixed(_MaxPool):
    """Sums up in int64."""

    dtype = np.int32
    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)


@implements(proc=Readout, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class ReadoutFloat(_Readout):
    """Accumulates in float64."""

    dtype = np.float64
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)

    def scale(self, current: Array) -> Array:
        """Give the current as it is."""
        return current


@implements(proc=Readout, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ReadoutFixed(_Readout):
    """Accumulates in int64, where a current counts 64."""

    dtype = np.int32
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def scale(self, current: Array) -> Array:
        """Give the current in membrane units."""
        return current << 6
