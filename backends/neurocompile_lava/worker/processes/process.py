"""Lava processes of spiking networks; each runs a batch of images side by side, shapes ``(B, *shape)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.process.variable import Var

Array = npt.NDArray[Any]


PORT_IN, PORT_OUT = "s_in_", "s_out_"
"""How the ports begin of which a process may have any number; a number follows."""


class Source(AbstractProcess):  # type: ignore[misc]  # Lava has no types
    """Sends streams: what an encoder gave, or what other processes sent in an earlier run.

    Parameters
    ----------
    streams
        Each ``(T, B, *shape)``; zeros are sent before its first step and after its last.
    starts
        The first step of each, counted from 1.
    """

    def __init__(self, *, streams: Sequence[Array], starts: Sequence[int], name: str) -> None:
        super().__init__(streams=streams, starts=starts, name=name)
        for number, stream in enumerate(streams):
            setattr(self, f"{PORT_OUT}{number}", OutPort(shape=stream.shape[1:]))


class _Receiver(AbstractProcess):  # type: ignore[misc]
    """Adds up the currents of paths, of which each begins at a port of its own.

    Parameters
    ----------
    paths
        Each with its ``operations``, as ``synapses.chain`` takes them; its ``shape_in``, with the batch axis; its
        ``delay``, the steps from what it receives to the current: 1 as in every synapse, more to wait, and 0 where
        there are no synapses; and its ``record``, where the spikes received are recorded, step by step: shared
        memory and their type, of which bool takes a bit each, or None.
    shape_in
        Of the current, with the batch axis.
    **parameters
        Further ones.
    """

    def __init__(
        self, *, paths: Sequence[Mapping[str, Any]], shape_in: tuple[int, ...], **parameters: Any
    ) -> None:
        super().__init__(paths=paths, shape_in=shape_in, **parameters)
        for number, path in enumerate(paths):
            setattr(self, f"{PORT_IN}{number}", InPort(shape=path["shape_in"]))


class Synapses(_Receiver):
    """Stateless synapses, for neurons of Lava's own."""

    def __init__(self, *, shape_in: tuple[int, ...], **parameters: Any) -> None:
        super().__init__(shape_in=shape_in, **parameters)
        self.a_out = OutPort(shape=shape_in)


class Neurons(_Receiver):
    """A layer: synapses and neurons, which for so many steps integrate what they receive, and for as many fire.

    Parameters
    ----------
    shape_in
        Of the current and of the neurons, with the batch axis.
    vth, bias, v
        The threshold, the bias, and the membrane before the first step, in membrane units; they broadcast.
    start
        The first step, counted from 1, whose current counts.
    ahead
        How many steps later the neurons fire for the first time.
    steps
        For which their current counts, and for which they fire.
    **parameters
        Those of ``_Receiver``, and those that only some neurons have.
    """

    def __init__(
        self,
        *,
        shape_in: tuple[int, ...],
        vth: Array,
        bias: Array,
        v: Array,
        start: int,
        ahead: int,
        steps: int,
        **parameters: Any,
    ) -> None:
        super().__init__(shape_in=shape_in, start=start, ahead=ahead, steps=steps, **parameters)
        self.s_out = OutPort(shape=shape_in)
        self.v = Var(shape=shape_in, init=np.broadcast_to(v, shape_in))
        self.bias = Var(shape=bias.shape, init=bias)
        self.vth = Var(shape=vth.shape, init=vth)


class IF(Neurons):
    """Integrate-and-fire neurons with reset by subtraction, which stock Lava does not have.

    At each step whose input counts ``v += (current << 6) + bias`` (without the shift in floating point); where
    ``v > vth`` a spike is sent and ``v -= vth``. If its parameter ``signed`` is true, -1 is sent and ``v += vth``
    where ``v < 0`` and more 1s than -1s have been sent.
    """


class Digit(Neurons):
    """Neurons that send binary digits from -1 to 1, the highest first, while those of the current arrive.

    ``v = 2 * v + (current << 6)``, and twice the bias in the first step. Where ``3 * v > 4 * vth`` 1 is sent and
    ``v -= 2 * vth``; where ``3 * v < -4 * vth`` and what has been sent is above 0, -1 is sent and
    ``v += 2 * vth``. The last digit compares ``v`` with ``vth`` itself.
    """


class Graded(Neurons):
    """Neurons that send an integer at each step: how many parts of the threshold their current is worth.

    ``v = (current << 6) + bias``; what is sent is ``v * levels / vth``, rounded to the nearest and clipped to
    ``0 ... levels``, which is its parameter.
    """


class MaxPool(_Receiver):
    """Passes on what the leading input of each window adds to its sum, ``sum = radix * sum + current``.

    Parameters
    ----------
    shape_out
        With the batch axis.
    window
        As ``synapses.max_pool`` takes it.
    radix
        How much more a spike is worth than one a step later.
    start, steps
        The first step, counted from 1, whose current counts, and how many do.
    **parameters
        Those of ``_Receiver``.
    """

    def __init__(
        self,
        *,
        shape_out: tuple[int, ...],
        window: dict[str, list[int]],
        radix: int,
        start: int,
        steps: int,
        **parameters: Any,
    ) -> None:
        super().__init__(shape_out=shape_out, window=window, radix=radix, start=start, steps=steps, **parameters)
        self.s_out = OutPort(shape=shape_out)


class Readout(_Receiver):
    """Accumulates the output layer's current, and writes what it has at every step into shared memory.

    Parameters
    ----------
    bias
        Added at every step, or with the radix 2 to start with; it broadcasts.
    radix
        How much more a current is worth than one a step later.
    reads
        ``membrane``: what it has accumulated. ``membrane_max``: the most that it had. ``first_spike``: the steps
        since the first current above 0, times 4097, and the number of such currents.
    start, steps
        The first step, counted from 1, that counts, and how many do.
    memory
        Of 8-byte numbers, for ``(total steps, *shape_in)``; shared.
    **parameters
        Those of ``_Receiver``.
    """

    def __init__(
        self, *, bias: Array, radix: int, reads: str, start: int, steps: int, memory: Any, **parameters: Any
    ) -> None:
        own = {"bias": bias, "radix": radix, "reads": reads, "start": start, "steps": steps, "memory": memory}
        super().__init__(**own, **parameters)


class Recorder(AbstractProcess):  # type: ignore[misc]
    """Records what it receives; no part of the network.

    Parameters
    ----------
    shape
        Of what it receives at a step.
    record
        As a path's, of any type.
    """

    def __init__(self, *, shape: tuple[int, ...], record: Any, name: str) -> None:
        super().__init__(record=record, name=name)
        self.a_in = InPort(shape=shape)
