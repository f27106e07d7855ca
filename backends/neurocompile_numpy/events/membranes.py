"""Kernels of neurons: some thousand at a time, step after step.

What they compute is defined by ``IntegrateAndFire.run`` and ``DigitNeurons.run``. Membranes are ``int32`` or
``float64``, and neurons fill whole vectors.
"""

from __future__ import annotations

import numpy as np
from numba import int32

from neurocompile.ir import Array
from neurocompile_numpy.events import vectors
from neurocompile_numpy.events.compiled import compiled
from neurocompile_numpy.events.vectors import LANES

_plain_step = vectors.neuron_stepper(subtract=True, signed=False)
_signed_step = vectors.neuron_stepper(subtract=True, signed=True)
_step_to_zero = vectors.neuron_stepper(subtract=False, signed=False)


@compiled
def integrate(currents: Array, frame: Array, bias: Array, v: Array, block: int) -> None:
    """Integrate in silence.

    Parameters
    ----------
    currents, frame
        ``(images, frames, neurons)``, and for each step which frame it gets, -1 for none.
    bias
        ``(neurons,)``, or ``(block,)`` where all blocks are alike.
    v
        The membranes ``(images, neurons)``, before the first step and after the last.
    block
        Neurons whose membranes stay in the cache over all steps.
    """
    neurons, silence = v.shape[1], np.zeros(block, currents.dtype)
    for image in range(len(v)):
        for low in range(0, neurons, block):
            high, own = min(low + block, neurons), low if len(bias) == neurons else 0
            for f in frame:
                received = currents[image, f, low:high] if f >= 0 else silence
                _integrate(v[image, low:high], received, bias[own : own + high - low])


@compiled
def fire(
    currents: Array,
    frame: Array,
    bias: Array,
    threshold: Array,
    v: Array,
    sent: Array,
    spikes: Array,
    first: int,
    block: int,
    subtract: bool,
    signed: bool,
) -> None:
    """Integrate and fire, step after step.

    Parameters
    ----------
    currents, frame, bias, v, block
        As of ``integrate``.
    threshold
        As ``bias``.
    sent
        How many spikes were sent and not taken back, as ``v``.
    spikes, first
        ``(images, steps, neurons)``: the result, and the step that is the first.
    subtract, signed
        As of ``IntegrateAndFire``.
    """
    images, _, neurons = spikes.shape
    silence = np.zeros(block, currents.dtype)
    for image in range(images):
        for low in range(0, neurons, block):
            high, own = min(low + block, neurons), low if len(bias) == neurons else 0
            to, count = v[image, low:].ctypes.data, sent[image, low:].ctypes.data
            added, limit = bias[own:].ctypes.data, threshold[own:].ctypes.data
            for t in range(len(frame)):
                f = frame[t]
                received = currents[image, f, low:high] if f >= 0 else silence
                given, out = received.ctypes.data, spikes[image, first + t, low:].ctypes.data
                for n in range(0, high - low, LANES):
                    # Bytes of membranes, of counts and of spikes.
                    m, c = n * v.itemsize, n * sent.itemsize
                    if signed:
                        _signed_step(to + m, given + m, added + m, limit + m, count + c, out + n, bias[0])
                    elif subtract:
                        _plain_step(to + m, given + m, added + m, limit + m, count + c, out + n, bias[0])
                    else:
                        _step_to_zero(to + m, given + m, added + m, limit + m, count + c, out + n, bias[0])


@compiled
def digits(
    currents: Array, frame: Array, bias: Array, half: Array, early: Array, spikes: Array, block: int, ahead: int
) -> None:
    """Run digit neurons.

    Parameters
    ----------
    currents, frame, bias, block
        As of ``integrate``.
    half, early
        Half of what a digit is worth, and the membrane above which one is sent that is not the last; as ``bias``.
    spikes
        The result, as of ``fire``.
    ahead
        As of ``DigitNeurons``.
    """
    images, steps, neurons = spikes.shape
    silence, none = np.zeros(block, currents.dtype), np.zeros(block, bias.dtype)
    for image in range(images):
        for low in range(0, neurons, block):
            high, own = min(low + block, neurons), low if len(bias) == neurons else 0
            before = slice(own, own + high - low)
            v, worth, first = bias[before].copy(), half[before], early[before]
            not_last, last = -first, -worth
            total = np.zeros(high - low, np.int32)
            for k in range(-ahead, steps):
                for n in range(len(v)):
                    v[n] = v[n] + v[n]
                f = frame[k + ahead] if k + ahead < steps else -1
                _integrate(v, currents[image, f, low:high] if f >= 0 else silence, none)
                if k < 0:
                    continue
                fired, is_last = spikes[image, k, low:high], k == steps - 1
                limit, lowest = (worth, last) if is_last else (first, not_last)
                for n in range(len(v)):
                    fired[n] = v[n] > limit[n]
                for n in range(len(v)):
                    fired[n] -= (v[n] < lowest[n]) & (total[n] > 0)
                for n in range(len(v)):
                    total[n] = int32(total[n] + total[n]) + fired[n]
                for n in range(len(v)):
                    v[n] -= (worth[n] + worth[n]) * fired[n]


@compiled
def _integrate(v: Array, current: Array, bias: Array) -> None:
    """Add a current and a bias to membranes."""
    to, given, added = v.ctypes.data, current.ctypes.data, bias.ctypes.data
    for n in range(0, len(v), LANES):
        m = n * v.itemsize
        vectors.integrate(to + m, given + m, added + m, v[0])
