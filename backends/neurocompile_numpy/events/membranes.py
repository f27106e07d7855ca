"""From spikes to spikes: the currents of a few places, and the neurons there, over all steps.

What neurons compute is defined by ``IntegrateAndFire.run`` and ``DigitNeurons.run``. Currents and membranes are
``int32`` or ``float64``, as the bias is, and are never in memory for more than a few places.
"""

from __future__ import annotations

import numpy as np

from neurocompile.ir import Array
from neurocompile_numpy.events.compiled import compiled, part
from neurocompile_numpy.events.drive import Room, drive
from neurocompile_numpy.events.vectors import CHANNELS, address, digit_step, integrate, neuron_runner

_run_64, _run_32 = neuron_runner(2 * CHANNELS), neuron_runner(CHANNELS)
_run_constant = neuron_runner(CHANNELS, constant=True)
_run_signed = neuron_runner(CHANNELS, signed=True)
_run_to_zero = neuron_runner(CHANNELS, subtract=False)


@compiled
def currents(
    way: Array,
    tap: Array,
    entry: Array,
    block: Array,
    weight: Array,
    output: Array,
    other: Array,
    frame: Array,
    room: Room,
    tile: Array,
    received: Array,
) -> None:
    """Add up the currents that reach each place at each step.

    Parameters
    ----------
    way, tap, entry, block, weight, output
        As of ``drive``.
    other, frame
        Currents of any other kind, ``(images, frames, places, outputs)``, and for each step which frame it gets,
        -1 for none; no frames where there are none.
    room, tile
        For lists, and for the currents ``(steps, outputs)`` of some steps that are computed together.
    received
        ``(images, steps, places, outputs)``: the result.
    """
    images, steps, places, outputs = received.shape
    together = len(tile)
    for p in range(images * places):
        for low in range(0, steps, together):
            some = tile[: min(together, steps - low)]
            _fill(other, frame, p, low, some)
            drive(way, tap, entry, block, weight, output, room, p, low, some)
            for t in range(len(some)):
                for n in range(outputs):
                    received[p // places, low + t, p % places, n] = some[t, n]


@compiled
def fire(
    way: Array,
    tap: Array,
    entry: Array,
    block: Array,
    weight: Array,
    output: Array,
    other: Array,
    frame: Array,
    room: Room,
    tile: Array,
    bias: Array,
    threshold: Array,
    start: Array,
    subtract: bool,
    signed: bool,
    wait: bool,
    bits: Array,
) -> None:
    """Run ``IntegrateAndFire``.

    Parameters
    ----------
    way, tap, entry, block, weight, output, other, frame, room, tile
        As of ``currents``.
    bias, threshold, start
        ``(places, outputs)``, or ``(1, outputs)`` where all places are alike: ``start`` are the membranes before
        the first step.
    subtract, signed, wait
        As of ``IntegrateAndFire``.
    bits
        The spikes ``(images, rows, steps, words)``, as ``packed``: the result.
    """
    (images, rows, steps, words), outputs = bits.shape, bias.shape[1]
    places = rows // 2 if signed else rows
    together = len(tile)
    v, sent, silence = np.empty(outputs, start.dtype), np.empty(outputs, np.int32), np.zeros(outputs, start.dtype)
    # A current that never changes is read where it is.
    constant = len(way) == 0 and other.shape[1] == 1 and frame[0] == frame[-1] == 0
    given, stride = address(tile), tile.strides[0]
    for p in range(images * places):
        own = p % places % len(bias)
        _begin(start[own], v, sent)
        up = address(bits) + p * (1 + signed) * steps * words * 4
        state = address(v), address(bias[own]), address(threshold[own]), address(sent)
        if constant:
            given = address(other) + p * other.strides[2]
            _step(given, 0, steps, *state, up, up + steps * words * 4, outputs, subtract, signed, wait, v[0])
        else:
            for low in range(0, steps, together):
                some = tile[: min(together, steps - low)]
                _fill(other, frame, p, low, some)
                drive(way, tap, entry, block, weight, output, room, p, low, some)
                now = up + low * words * 4
                down = now + steps * words * 4
                _step(given, stride, len(some), *state, now, down, outputs, subtract, signed, wait, v[0])
        if wait:
            # The bias has been added at every step already.
            none = address(silence)
            state = address(v), none, address(threshold[own]), address(sent)
            _step(none, 0, steps, *state, up, up + steps * words * 4, outputs, subtract, signed, False, v[0])


@compiled
def digits(
    way: Array,
    tap: Array,
    entry: Array,
    block: Array,
    weight: Array,
    output: Array,
    other: Array,
    frame: Array,
    room: Room,
    tile: Array,
    bias: Array,
    half: Array,
    early: Array,
    never: Array,
    ahead: int,
    bits: Array,
) -> None:
    """Run ``DigitNeurons``.

    Parameters
    ----------
    way, tap, entry, block, weight, output, other, frame, room, tile
        As of ``currents``; all steps are computed together.
    bias, half, early
        The bias, half of what a digit is worth, and the membrane above which one is sent that is not the last; as
        those of ``fire``.
    never
        What no membrane is above, ``(outputs,)``.
    ahead
        As of ``DigitNeurons``.
    bits
        As of ``fire``, with two rows for each place.
    """
    (images, rows, steps, words), outputs = bits.shape, bias.shape[1]
    places = rows // 2
    v, sent, silence = np.empty(outputs, bias.dtype), np.empty(outputs, np.int32), np.zeros(outputs, bias.dtype)
    nowhere = np.empty(words, np.uint32)
    for p in range(images * places):
        _fill(other, frame, p, 0, tile)
        drive(way, tap, entry, block, weight, output, room, p, 0, tile)
        own = p % places % len(bias)
        _begin(bias[own], v, sent)
        first = address(bits) + 2 * p * steps * words * 4
        for k in range(-ahead, steps):
            up, down = first + k * words * 4, first + (steps + k) * words * 4
            limit = early[own] if k < steps - 1 else half[own]
            if k < 0:
                up = down = address(nowhere)
                limit = never
            received = tile[k + ahead] if k + ahead < steps else silence
            for n in range(0, outputs, CHANNELS):
                m, bit, total = n * v.itemsize, n // 8, address(sent) + 4 * n
                given, beyond, worth = address(received) + m, address(limit) + m, address(half[own]) + m
                digit_step(address(v) + m, given, beyond, worth, total, up + bit, down + bit, v[0])


@part
def _begin(start: Array, v: Array, sent: Array) -> None:
    for n in range(len(v)):
        v[n], sent[n] = start[n], 0


@part
def _fill(other: Array, frame: Array, p: int, low: int, tile: Array) -> None:
    """Begin with the currents that no spikes bring."""
    (_, _, places, outputs), steps = other.shape, len(tile)
    for t in range(steps):
        f = frame[low + t]
        for n in range(outputs):
            tile[t, n] = other[p // places, f, p % places, n] if f >= 0 else 0


@part
def _step(
    given: int,
    stride: int,
    steps: int,
    v: int,
    bias: int,
    threshold: int,
    sent: int,
    up: int,
    down: int,
    outputs: int,
    subtract: bool,
    signed: bool,
    wait: bool,
    like: float,
) -> None:
    """Run the neurons of a place, by the addresses of what they have."""
    size, to_bits = (8 if isinstance(like, float) else 4), outputs // 8
    n = 0
    while n < outputs:
        m, bit, lanes = n * size, n // 8, CHANNELS
        if wait:
            integrate(given + m, stride, steps, v + m, bias + m, like)
        else:
            state = given + m, stride, steps, v + m, bias + m, threshold + m, sent + 4 * n, up + bit, down + bit
            if signed:
                _run_signed(*state, to_bits, like)
            elif not subtract:
                _run_to_zero(*state, to_bits, like)
            elif stride == 0:
                _run_constant(*state, to_bits, like)
            elif outputs - n >= 2 * CHANNELS:
                _run_64(*state, to_bits, like)
                lanes = 2 * CHANNELS
            else:
                _run_32(*state, to_bits, like)
        n += lanes
