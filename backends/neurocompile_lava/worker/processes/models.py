"""Models of our processes on the CPU, in floating point and in Loihi's fixed point."""

from __future__ import annotations

from abc import abstractmethod
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
from neurocompile_lava.worker.processes.process import (
    IF,
    Digit,
    Graded,
    MaxPool,
    Readout,
    Recorder,
    Source,
    Synapses,
)

Array = npt.NDArray[Any]

_MEMBRANE_MAX = 2**23 - 1


class _Floating:
    """Arithmetic in float64."""

    dtype: ClassVar[type] = np.float64
    wide: ClassVar[type] = np.float64

    @staticmethod
    def units(current: Array) -> Array:
        """Give a current in membrane units."""
        return current

    @staticmethod
    def add(v: Array, current: Array, bias: Array | int = 0) -> None:
        """Add to membranes."""
        v += current
        v += bias


class _Fixed:
    """Arithmetic in int32, where a current counts 64."""

    dtype: ClassVar[type] = np.int32
    wide: ClassVar[type] = np.int64

    @staticmethod
    def units(current: Array) -> Array:
        """Give a current in membrane units."""
        units: Array = current.astype(np.int64) << 6
        return units

    @staticmethod
    def add(v: Array, current: Array, bias: Array | int = 0) -> None:
        """Add to membranes of 24 bits: the current wraps around, the membrane saturates."""
        u = ((_Fixed.units(current) + 2**23) & (2**24 - 1)) - 2**23
        v[:] = np.clip(v + u + bias, -_MEMBRANE_MAX, _MEMBRANE_MAX)


class _Model(PyLoihiProcessModel):  # type: ignore[misc]  # Lava has no types
    """What all models share: the arithmetic, by a second base class, the time, and how they record."""

    dtype: ClassVar[type]
    wide: ClassVar[type]
    time_step: int

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.parameters = proc_params

    @property
    def now(self) -> int:
        """The step of those that count, from 0."""
        return self.time_step - int(self.parameters["start"])

    @property
    def counts(self) -> bool:
        """Whether what is received now counts."""
        return 0 <= self.now < int(self.parameters["steps"])

    def record(self, spikes: Array) -> None:
        """Write this step's spikes into the shared memory, if there is any."""
        if self.parameters["record"] is None:
            return
        memory, dtype = self.parameters["record"]
        sent = spikes.astype(dtype).reshape(-1)
        row = np.packbits(sent) if dtype == np.bool_ else sent.view(np.uint8)
        at = (self.time_step - 1) * len(row)
        np.frombuffer(memory, np.uint8)[at : at + len(row)] = row


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


class _Neurons(_Model):
    a_in: PyInPort
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int16)
    v: Array
    bias: Array
    vth: Array

    def run_spk(self) -> None:
        current = self.a_in.recv()
        ahead, steps = self.parameters["ahead"], self.parameters["steps"]
        if self.counts:
            self.integrate(current)
        elif steps <= self.now < steps + ahead:
            self.rest()
        fires = ahead <= self.now < ahead + steps
        spikes = self.fire() if fires else np.zeros(current.shape)
        self.s_out.send(spikes.astype(np.int16))

    @abstractmethod
    def integrate(self, current: Array) -> None:
        """Take in what is received."""

    def rest(self) -> None:
        """Do what is done while nothing is received any more, and spikes still have to be sent."""

    @abstractmethod
    def fire(self) -> Array:
        """Give this step's spikes, and take them from the membrane."""

    @abstractmethod
    def add(self, v: Array, current: Array, bias: Array | int = 0) -> None:
        """Add to membranes."""


class _IF(_Neurons):
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.sent: Any = 0

    def integrate(self, current: Array) -> None:
        self.add(self.v, current, self.bias)

    def fire(self) -> Array:
        spikes: Array = (self.v > self.vth).astype(self.dtype)
        if self.parameters["signed"]:
            spikes[(self.v < 0) & (self.sent > 0)] = -1
            self.sent = self.sent + spikes
        self.v -= spikes * self.vth
        return spikes


class _Digit(_Neurons):
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.sent: Any = 0

    def integrate(self, current: Array) -> None:
        self.v *= 2
        self.add(self.v, current, 2 * self.bias if self.now == 0 else 0)

    def rest(self) -> None:
        self.integrate(np.zeros_like(self.v))

    def fire(self) -> Array:
        last = self.now == self.parameters["ahead"] + self.parameters["steps"] - 1
        v, limit = (self.v, self.vth) if last else (3 * self.v, 4 * self.vth)
        up = v > limit
        down = (v < -limit) & (self.sent > 0)
        digits: Array = up.astype(self.dtype) - down
        self.sent = 2 * self.sent + digits
        self.v -= 2 * digits * self.vth
        return digits


class _Graded(_Neurons):
    def integrate(self, current: Array) -> None:
        self.v[:] = 0
        self.add(self.v, current, self.bias)

    def fire(self) -> Array:
        v: Array = self.v.astype(self.wide)
        levels = self.parameters["levels"]
        parts: Array = np.clip((2 * v * levels + self.vth) // (2 * self.vth), 0, levels)
        return parts


class _MaxPool(_Model):
    s_in: PyInPort
    s_out: PyOutPort

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.total = np.zeros(proc_params["shape_in"], self.wide)
        self.leading = np.zeros(proc_params["shape_out"], self.wide)

    def run_spk(self) -> None:
        received = self.s_in.recv()
        self.record(received)
        added = np.zeros_like(self.leading)
        if self.counts:
            radix = self.parameters["radix"]
            self.total = radix * self.total + received
            leading = synapses.max_pool(self.total, self.parameters["window"])
            added = leading - radix * self.leading
            self.leading = leading
        self.s_out.send(added.astype(self.dtype))


class _Recorder(_Model):
    a_in: PyInPort

    def run_spk(self) -> None:
        self.record(self.a_in.recv())


class _Readout(_Model):
    a_in: PyInPort

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.total = np.zeros(proc_params["shape"], self.wide)
        if proc_params["radix"] > 1:
            self.total += proc_params["bias"]

    def run_spk(self) -> None:
        units = self.units(self.a_in.recv())
        if self.counts and self.parameters["radix"] > 1:
            self.total = self.parameters["radix"] * self.total + units
        elif self.counts:
            self.total = self.total + units + self.parameters["bias"]
        at = (self.time_step - 1) * self.total.size
        view = np.frombuffer(self.parameters["record"], self.total.dtype)
        view[at : at + self.total.size] = self.total.reshape(-1)

    @abstractmethod
    def units(self, current: Array) -> Array:
        """Give a current in membrane units."""


class _FloatingNeurons(_Floating):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    v: Array = LavaPyType(np.ndarray, float)
    vth: Array = LavaPyType(np.ndarray, float)
    bias: Array = LavaPyType(np.ndarray, float)


class _FixedNeurons(_Fixed):
    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32, precision=24)
    v: Array = LavaPyType(np.ndarray, np.int32, precision=24)
    vth: Array = LavaPyType(np.ndarray, np.int32)
    bias: Array = LavaPyType(np.ndarray, np.int32)


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class SourceFloat(_Floating, _Source):
    """Sends reals."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SourceFixed(_Fixed, _Source):
    """Sends integers."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)


@implements(proc=Synapses, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class SynapsesFloat(_Floating, _Synapses):
    """Computes in float64."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=Synapses, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SynapsesFixed(_Fixed, _Synapses):
    """Computes in int32."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)


@implements(proc=IF, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class IFFloat(_FloatingNeurons, _IF):
    """Integrates in float64."""


@implements(proc=IF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class IFFixed(_FixedNeurons, _IF):
    """Integrates in 24 bits."""


@implements(proc=Digit, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class DigitFloat(_FloatingNeurons, _Digit):
    """Integrates in float64."""


@implements(proc=Digit, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class DigitFixed(_FixedNeurons, _Digit):
    """Integrates in 24 bits."""


@implements(proc=Graded, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class GradedFloat(_FloatingNeurons, _Graded):
    """Integrates in float64."""


@implements(proc=Graded, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class GradedFixed(_FixedNeurons, _Graded):
    """Integrates in 24 bits."""


@implements(proc=MaxPool, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class MaxPoolFloat(_Floating, _MaxPool):
    """Sums up in float64."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=MaxPool, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class MaxPoolFixed(_Fixed, _MaxPool):
    """Sums up in int64."""

    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)


@implements(proc=Readout, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class ReadoutFloat(_Floating, _Readout):
    """Accumulates in float64."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)


@implements(proc=Readout, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ReadoutFixed(_Fixed, _Readout):
    """Accumulates in int64."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class RecorderFloat(_Floating, _Recorder):
    """Records reals."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, float)


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class RecorderFixed(_Fixed, _Recorder):
    """Records integers."""

    a_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
