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
        Shared memory for the bits of the spikes received, ``(steps, ceil(B * size / 8))``, or None.
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


class IF(AbstractProcess):  # type: ignore[misc]
    """Integrate-and-fire neurons with reset by subtraction, which stock Lava does not have.

    ``v += (a_in << 6) + bias`` (without the shift in floating point); where ``v > vth`` a spike is sent and
    ``v -= vth``.

    Parameters
    ----------
    shape
        With the batch axis.
    vth, bias, v
        The threshold, the bias and the membrane before the first step, in membrane units; they broadcast.
    start
        The first step, counted from 1, at which the neurons take part.
    """

    def __init__(
        self, *, shape: tuple[int, ...], vth: Array, bias: Array, v: Array, start: int, name: str
    ) -> None:
        super().__init__(start=start, name=name)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=shape)
        self.v = Var(shape=shape, init=np.broadcast_to(v, shape))
        self.bias = Var(shape=bias.shape, init=bias)
        self.vth = Var(shape=vth.shape, init=vth)


class MaxPool(AbstractProcess):  # type: ignore[misc]
    """Passes on what the leading input of each window adds to its sum.

    Parameters
    ----------
    shape_in, shape_out
        With the batch axis.
    window
        As ``synapses.max_pool`` takes it.
    start
        The first step, counted from 1, whose input counts.
    record
        As in ``Synapses``.
    """

    def __init__(
        self,
        *,
        shape_in: tuple[int, ...],
        shape_out: tuple[int, ...],
        window: dict[str, list[int]],
        start: int,
        record: Any,
        name: str,
    ) -> None:
        super().__init__(
            shape_in=shape_in,
            shape_out=shape_out,
            window=window,
            start=start,
            record=record,
            name=name,
        )
        self.s_in = InPort(shape=shape_in)
        self.s_out = OutPort(shape=shape_out)


class Readout(AbstractProcess):  # type: ignore[misc]
    """Accumulates the output layer's current, and writes what it has at every step into shared memory.

    Parameters
    ----------
    shape
        With the batch axis.
    bias
        Added at every step; it broadcasts.
    start
        The first step, counted from 1, that counts.
    record
        Shared memory ``(steps, *shape)`` of 8-byte numbers.
    """

    def __init__(self, *, shape: tuple[int, ...], bias: Array, start: int, record: Any, name: str) -> None:
        super().__init__(shape=shape, bias=bias, start=start, record=record, name=name)
        self.a_in = InPort(shape=shape)
