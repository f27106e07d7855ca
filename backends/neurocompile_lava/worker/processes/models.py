"""Models of our processes on the CPU, in floating point and in Loihi's fixed point."""

from __future__ import annotations

import functools
from abc import ABCMeta, abstractmethod
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
    PORT_IN,
    PORT_OUT,
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

_SINCE_FIRST = 4097
"""What a step since the first spike counts beside spikes."""


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
        # The 18 bits that stay go to the top of an int32, and its sign comes down with them.
        v += (current << 14) >> 8
        v += bias
        np.clip(v, -_MEMBRANE_MAX, _MEMBRANE_MAX, out=v)


class _Ports(ABCMeta):
    """Lets a model have any number of ports, whose types Lava looks up in its class by their names."""

    dtype: type

    def __getattr__(cls, name: str) -> LavaPyType:
        if name.startswith(PORT_IN):
            # Lava adds what comes to zeros of this type, so that the result has the type of what comes.
            return LavaPyType(PyInPort.VEC_DENSE, np.bool_)
        if name.startswith(PORT_OUT):
            return LavaPyType(PyOutPort.VEC_DENSE, cls.dtype)
        raise AttributeError(name)


class _Model(PyLoihiProcessModel, metaclass=_Ports):  # type: ignore[misc]  # Lava has no types
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

    def record(self, spikes: Array, record: Any) -> None:
        """Write this step's spikes into the shared memory, if there is any."""
        if record is None:
            return
        memory, dtype = record
        sent = spikes.astype(dtype).reshape(-1)
        row = np.packbits(sent) if dtype == np.bool_ else sent.view(np.uint8)
        at = (self.time_step - 1) * len(row)
        np.frombuffer(memory, np.uint8)[at : at + len(row)] = row


class _Source(_Model):
    def run_spk(self) -> None:
        streams, starts = self.parameters["streams"], self.parameters["starts"]
        for number, (stream, start) in enumerate(zip(streams, starts, strict=True)):
            step = self.time_step - start
            now = stream[step] if 0 <= step < len(stream) else np.zeros_like(stream[0])
            getattr(self, f"{PORT_OUT}{number}").send(now.astype(self.dtype))


class _Path:
    """Turns what it receives into currents, some steps later.

    Parameters
    ----------
    path
        As ``_Receiver`` of the processes takes it.
    dtype, silence
        The type of a current, and the one that is there before anything has been received.
    """

    def __init__(self, path: Any, dtype: type, silence: Array) -> None:
        self.delay, self.record = path["delay"], path["record"]
        self._waiting = deque([silence] * self.delay)
        self._compute = synapses.chain(path["operations"], dtype)
        self._received: Array | None = None
        self._current = silence

    def take(self, received: Array) -> None:
        """Take what arrives at this step."""
        # The same again, as of an encoder that sends a constant, gives the same again.
        if self._received is None or not np.array_equal(received, self._received):
            self._received, self._current = received, self._compute(received)
        self._waiting.append(self._current)

    def give(self) -> Array:
        """Give this step's current."""
        return self._waiting.popleft()


class _Receiver(_Model):
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        silence = np.zeros(proc_params["shape_in"], self.dtype)
        self.paths = [_Path(path, self.dtype, silence) for path in proc_params["paths"]]

    def run_spk(self) -> None:
        self.receive(at_once=True)
        self.step(functools.reduce(np.add, [path.give() for path in self.paths]))
        # Last, so that what is sent keeps nobody waiting.
        self.receive(at_once=False)

    def receive(self, *, at_once: bool) -> None:
        """Receive what is needed in this step, or what is not needed before the next."""
        for number, path in enumerate(self.paths):
            if (path.delay == 0) == at_once:
                received = getattr(self, f"{PORT_IN}{number}").recv()
                path.take(received)
                self.record(received, path.record)

    @abstractmethod
    def step(self, current: Array) -> None:
        """Do what is done at every step; the current belongs to the path."""


class _Synapses(_Receiver):
    a_out: PyOutPort

    def step(self, current: Array) -> None:
        self.a_out.send(current)


class _Neurons(_Receiver):
    s_out: PyOutPort
    v: Array
    bias: Array
    vth: Array

    def step(self, current: Array) -> None:
        ahead, steps = self.parameters["ahead"], self.parameters["steps"]
        if self.counts:
            self.integrate(current)
        elif steps <= self.now < steps + ahead:
            self.rest()
        fires = ahead <= self.now < ahead + steps
        self.s_out.send(self.fire() if fires else np.zeros(current.shape, np.int8))

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
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int8)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.sent = np.zeros(proc_params["shape_in"] if proc_params["signed"] else (), np.int32)

    def integrate(self, current: Array) -> None:
        self.add(self.v, current, self.bias)

    def fire(self) -> Array:
        spikes: Array = (self.v > self.vth).astype(np.int8)
        if self.parameters["signed"]:
            spikes -= (self.v < 0) & (self.sent > 0)
            self.sent += spikes
        self.v -= spikes * self.vth
        return spikes


class _Digit(_Neurons):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int8)

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
        digits: Array = up.astype(np.int8) - down
        self.sent = 2 * self.sent + digits.astype(self.dtype)
        self.v -= 2 * digits * self.vth
        return digits


class _Graded(_Neurons):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int16)

    def integrate(self, current: Array) -> None:
        self.v[:] = 0
        self.add(self.v, current, self.bias)

    def fire(self) -> Array:
        v: Array = self.v.astype(self.wide)
        levels = self.parameters["levels"]
        parts: Array = np.clip((2 * v * levels + self.vth) // (2 * self.vth), 0, levels)
        return parts.astype(np.int16)


class _MaxPool(_Receiver):
    s_out: PyOutPort

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.total = np.zeros(proc_params["shape_in"], self.wide)
        self.leading = np.zeros(proc_params["shape_out"], self.wide)

    def step(self, current: Array) -> None:
        added = np.zeros_like(self.leading)
        if self.counts:
            radix = self.parameters["radix"]
            self.total = radix * self.total + current
            leading = synapses.max_pool(self.total, self.parameters["window"])
            added = leading - radix * self.leading
            self.leading = leading
        self.s_out.send(added.astype(self.dtype))


class _Recorder(_Model):
    a_in: PyInPort

    def run_spk(self) -> None:
        self.record(self.a_in.recv(), self.parameters["record"])


class _Readout(_Receiver):
    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.total = np.zeros(proc_params["shape_in"], self.wide)
        if proc_params["radix"] > 1:
            self.total += proc_params["bias"]
        self.most: Array | None = None
        self.count = np.zeros_like(self.total)

    def step(self, current: Array) -> None:
        if self.counts:
            self.take(current)
        read = self.total if self.most is None else self.most
        at = (self.time_step - 1) * read.size
        view = np.frombuffer(self.parameters["memory"], read.dtype)
        view[at : at + read.size] = read.reshape(-1)

    def take(self, current: Array) -> None:
        """Add what counts."""
        if self.parameters["reads"] == "first_spike":
            self.count += current > 0
            self.total += _SINCE_FIRST * (self.count > 0) + (current > 0)
        elif self.parameters["radix"] > 1:
            self.total = self.parameters["radix"] * self.total + self.units(current)
        else:
            self.total = self.total + self.units(current) + self.parameters["bias"]
        if self.parameters["reads"] == "membrane_max":
            self.most = self.total if self.most is None else np.maximum(self.most, self.total)

    @abstractmethod
    def units(self, current: Array) -> Array:
        """Give a current in membrane units."""


class _FloatingNeurons(_Floating):
    v: Array = LavaPyType(np.ndarray, float)
    vth: Array = LavaPyType(np.ndarray, float)
    bias: Array = LavaPyType(np.ndarray, float)


class _FixedNeurons(_Fixed):
    v: Array = LavaPyType(np.ndarray, np.int32, precision=24)
    vth: Array = LavaPyType(np.ndarray, np.int32)
    bias: Array = LavaPyType(np.ndarray, np.int32)


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class SourceFloat(_Floating, _Source):
    """Sends reals."""


@implements(proc=Source, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SourceFixed(_Fixed, _Source):
    """Sends integers."""


@implements(proc=Synapses, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class SynapsesFloat(_Floating, _Synapses):
    """Computes in float64."""

    a_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=Synapses, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class SynapsesFixed(_Fixed, _Synapses):
    """Computes in int32."""

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

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, float)


@implements(proc=MaxPool, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class MaxPoolFixed(_Fixed, _MaxPool):
    """Sums up in int64."""

    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)


@implements(proc=Readout, protocol=LoihiProtocol)
@requires(CPU)
@tag("floating_pt")
class ReadoutFloat(_Floating, _Readout):
    """Accumulates in float64."""


@implements(proc=Readout, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class ReadoutFixed(_Fixed, _Readout):
    """Accumulates in int64."""


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
