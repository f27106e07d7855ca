"""Lava processes of spiking networks; each runs a batch of images side by side, shapes ``(B, *shape)``."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var

Array = npt.NDArray[Any]


class Source(AbstractProcess):  # type: ignore[misc]  # Lava has no types
    """Sends what an encoder gave.

    Parameters
    ----------
    stream
        ``(T, B, *shape)``; zeros are sent after the last step.
    """

    def __init__(self, *, stream: Array, name: str) -> None:
        super().__init__(stream=stream, name=name)
        self.s_out = OutPort(shape=stream.shape[1:])


class Synapses(AbstractProcess):  # type: ignore[misc]
    """Stateless synapses in a row, which send what they compute one step after they receive.

    Parameters
    ----------
    operations
        What to compute, as ``synapses.chain`` takes it.
    shape_in, shape_out
        With the batch axis.
    delay
        Steps that the result waits beyond the one that every synapse takes.
    record
        Where the spikes received are recorded, step by step: shared memory and their type, of which bool takes a
        bit each and any other a byte; or None.
    """

    def __init__(
        self,
        *,
        operations: list[dict[str, Any]],
        shape_in: tuple[int, ...],
        shape_out: tuple[int, ...],
        delay: int,
        record: Any,
        name: str,
    ) -> None:
        super().__init__(operations=operations, shape_out=shape_out, delay=delay, record=record, name=name)
        self.s_in = InPort(shape=shape_in)
        self.a_out = OutPort(shape=shape_out)


class Neurons(AbstractProcess):  # type: ignore[misc]
    """A layer of neurons: for so many steps it integrates what it receives, and for as many it fires.

    Parameters
    ----------
    shape
        With the batch axis.
    vth, bias, v
        The threshold, the bias, and the membrane before the first step, in membrane units; they broadcast.
    start
        The first step, counted from 1, whose input counts.
    ahead
        How many steps later the neurons fire for the first time.
    steps
        For which their input counts, and for which they fire.
    **parameters
        Those that only some neurons have.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        vth: Array,
        bias: Array,
        v: Array,
        start: int,
        ahead: int,
        steps: int,
        name: str,
        **parameters: Any,
    ) -> None:
        super().__init__(start=start, ahead=ahead, steps=steps, name=name, **parameters)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.v = Var(shape=shape, init=np.broadcast_to(v, shape))
        self.bias = Var(shape=bias.shape, init=bias)
        self.vth = Var(shape=vth.shape, init=vth)


class IF(Neurons):
    """Integrate-and-fire neurons with reset by subtraction, which stock Lava does not have.

    At each step whose input counts ``v += (a_in << 6) + bias`` (without the shift in floating point); where
    ``v > vth`` a spike is sent and ``v -= vth``. If its parameter ``signed`` is true, -1 is sent and ``v += vth``
    where ``v < 0`` and more 1s than -1s have been sent.
    """


class Digit(Neurons):
    """Neurons that send binary digits from -1 to 1, the highest first, while those of the current arrive.

    ``v = 2 * v + (a_in << 6)``, and twice the bias in the first step. Where ``3 * v > 4 * vth`` 1 is sent and
    ``v -= 2 * vth``; where ``3 * v < -4 * vth`` and what has been sent is above 0, -1 is sent and
    ``v += 2 * vth``. The last digit compares ``v`` with ``vth`` itself.
    """


class Graded(Neurons):
    """Neurons that send an integer at each step: how many parts of the threshold their current is worth.

    ``v = (a_in << 6) + bias``; what is sent is ``v * levels / vth``, rounded to the nearest and clipped to
    ``0 ... levels``, which is its parameter.
    """


class MaxPool(AbstractProcess):  # type: ignore[misc]
    """Passes on what the leading input of each window adds to its sum, ``sum = radix * sum + s_in``.

    Parameters
    ----------
    shape_in, shape_out
        With the batch axis.
    window
        As ``synapses.max_pool`` takes it.
    radix
        How much more a spike is worth than one a step later.
    start, steps
        The first step, counted from 1, whose input counts, and how many do.
    record
        As in ``Synapses``.
    """

    def __init__(
        self,
        *,
        shape_in: tuple[int, ...],
        shape_out: tuple[int, ...],
        window: dict[str, list[int]],
        radix: int,
        start: int,
        steps: int,
        record: Any,
        name: str,
    ) -> None:
        super().__init__(
            shape_in=shape_in,
            shape_out=shape_out,
            window=window,
            radix=radix,
            start=start,
            steps=steps,
            record=record,
            name=name,
        )
        self.s_in = InPort(shape=shape_in)
        self.s_out = OutPort(shape=shape_out)


class Recorder(AbstractProcess):  # type: ignore[misc]
    """Records what it receives; no part of the network.

    Parameters
    ----------
    shape
        Of what it receives at a step.
    record
        As in ``Synapses``, of any type.
    """

    def __init__(self, *, shape: tuple[int, ...], record: Any, name: str) -> None:
        super().__init__(record=record, name=name)
        self.a_in = InPort(shape=shape)


class Readout(AbstractProcess):  # type: ignore[misc]
    """Accumulates the output layer's current, and writes what it has at every step into shared memory.

    Parameters
    ----------
    shape
        With the batch axis.
    bias
        Added at every step, or with the radix 2 to start with; it broadcasts.
    radix
        How much more a current is worth than one a step later.
    start, steps
        The first step, counted from 1, that counts, and how many do.
    record
        Shared memory of 8-byte numbers, for ``(total steps, *shape)``.
    """

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        bias: Array,
        radix: int,
        start: int,
        steps: int,
        record: Any,
        name: str,
    ) -> None:
        super().__init__(shape=shape, bias=bias, radix=radix, start=start, steps=steps, record=record, name=name)
        self.a_in = InPort(shape=shape)
