"""Vector instructions, against what they are defined to do, and on CPUs with other ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from neurocompile_numpy.events import compiled, drive, vectors
from neurocompile_numpy.events.lists import Events
from neurocompile_numpy.events.vectors import LANES
from numba import njit

from neurocompile.ir import Array, fixed_point
from neurocompile.ir.processes import IntegrateAndFire

TESTS = Path(__file__).parents[1]

add_integers, add_reals = drive.ADD_INTEGERS, drive.ADD_REALS


@njit
def run_append(codes: Array, base: int, to: Array) -> None:
    vectors.append(to.ctypes.data, codes.ctypes.data, base)


@njit
def run_masks(values: Array) -> tuple[int, int]:
    found: tuple[int, int] = vectors.masks(values.ctypes.data)
    return found


@njit
def run_expand(lanes: Array, base: int, to: Array) -> None:
    vectors.expand(to.ctypes.data, lanes.ctypes.data, base)


@njit
def run_count_ones(bits: int) -> int:
    ones: int = vectors.count_ones(bits)
    return ones


@njit
def run_add(rows: Array, numbers: Array, to: Array) -> None:
    add_integers(rows.ctypes.data, rows.strides[0], numbers.ctypes.data, len(numbers), to.ctypes.data)


@njit
def run_add_reals(rows: Array, numbers: Array, to: Array) -> None:
    add_reals(rows.ctypes.data, rows.strides[0], numbers.ctypes.data, len(numbers), to.ctypes.data)


@njit
def run_integrate(v: Array, current: Array, bias: Array) -> None:
    vectors.integrate(v.ctypes.data, current.ctypes.data, bias.ctypes.data, v[0])


def step_of(*, subtract: bool, signed: bool) -> Callable[..., None]:
    step = vectors.neuron_stepper(subtract=subtract, signed=signed)

    @njit
    def run_step(v: Array, current: Array, bias: Array, threshold: Array, count: Array, spikes: Array) -> None:
        values, limits = (v.ctypes.data, current.ctypes.data), (bias.ctypes.data, threshold.ctypes.data)
        step(values[0], values[1], limits[0], limits[1], count.ctypes.data, spikes.ctypes.data, v[0])

    run: Callable[..., None] = run_step
    return run


STEPS = {
    "plain": step_of(subtract=True, signed=False),
    "signed": step_of(subtract=True, signed=True),
    "zero": step_of(subtract=False, signed=False),
}


@given(codes=hnp.arrays(np.uint32, LANES), base=st.integers(-(2**31), 2**31 - 1))
def test_append(codes: Array, base: int) -> None:
    to = np.zeros(LANES, np.uint32)
    run_append(codes, base, to)
    np.testing.assert_array_equal(to, (codes.astype(np.int64) + base) % 2**32)


@given(values=hnp.arrays(np.int8, LANES))
def test_masks(values: Array) -> None:
    positive, negative = run_masks(values)
    assert positive == sum(1 << int(lane) for lane in np.flatnonzero(values > 0))
    assert negative == sum(1 << int(lane) for lane in np.flatnonzero(values < 0))


@given(lanes=hnp.arrays(np.uint8, LANES // 2), base=st.integers(0, 2**31))
def test_expand(lanes: Array, base: int) -> None:
    to = np.zeros(LANES // 2, np.uint32)
    run_expand(lanes, base, to)
    np.testing.assert_array_equal(to, lanes + np.uint32(base))


@given(bits=st.integers(0, 2**16 - 1))
def test_count_ones(bits: int) -> None:
    assert run_count_ones(bits) == bits.bit_count()


@given(
    rows=hnp.arrays(np.int8, (7, 4 * LANES)),
    numbers=hnp.arrays(np.uint32, st.integers(1, 250), elements=st.integers(0, 6)),
)
def test_rows_are_added_to_what_there_is(rows: Array, numbers: Array) -> None:
    to = np.arange(4 * LANES, dtype=np.int32)
    run_add(rows, numbers, to)
    np.testing.assert_array_equal(to, np.arange(4 * LANES) + rows[numbers].sum(axis=0, dtype=np.int64))
    reals = np.ones(2 * LANES)
    run_add_reals(rows[:, : 2 * LANES] / 8, numbers, reals)
    np.testing.assert_array_equal(reals, 1 + (rows[numbers, : 2 * LANES] / 8).sum(axis=0))


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("kind", STEPS)
@given(seed=st.integers(0, 2**32 - 1), far=st.booleans())
def test_a_step_of_neurons_is_that_of_the_reference(kind: str, real: bool, seed: int, far: bool) -> None:
    """Currents that wrap around and membranes that saturate among them."""
    rng = np.random.default_rng(seed)
    size = 2**23 if far else 2**10

    def drawn(low: int) -> Array:
        found = rng.integers(low, size, LANES)
        return found / 8 if real else found.astype(np.int32)

    current, bias, threshold, start = drawn(-size), drawn(-size), drawn(1), drawn(-size)
    neurons = IntegrateAndFire(
        *(values if real else values.astype(np.int64) for values in (bias, threshold, start)),
        reset="zero" if kind == "zero" else "subtract",
        signed=kind == "signed",
    )
    v, count = start.copy(), np.zeros(LANES, np.int32)
    for expected in neurons.run(np.broadcast_to(current, (4, 1, LANES))):
        spikes = np.empty(LANES, np.int8)
        STEPS[kind](v, current, bias, threshold, count, spikes)
        np.testing.assert_array_equal(spikes, expected[0])


@given(seed=st.integers(0, 2**32 - 1))
def test_integration_is_that_of_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    v, current, bias = rng.integers(-(2**23) + 1, 2**23, (3, LANES)).astype(np.int32)
    expected = v.copy()
    fixed_point.integrate(expected, current, bias)
    run_integrate(v, current, bias)
    np.testing.assert_array_equal(v, expected)


@given(spikes=hnp.arrays(np.int8, (2, 3, 2, 2 * LANES), elements=st.integers(-1, 1)))
def test_events_are_the_spikes(spikes: Array) -> None:
    events = Events.of(spikes)
    for index in np.ndindex(2, 3, 2):
        first, last = events.start[index], events.start[(*index[:2], index[2] + 1)]
        found = sorted(events.codes[first:last].tolist())
        of_place = 4 * LANES * index[2]
        expected = [of_place + c + 2 * LANES * (s < 0) for c, s in enumerate(spikes[index]) if s]
        assert found == sorted(expected)


PROGRAM = """
import hashlib
import numpy as np
import pytest
from strategies import images, lowered
from test_numpy_backend import GRAPHS, NEURONS, X
from neurocompile_numpy.backend import NumpyExecutable

digest = hashlib.sha256()
for name in ("integer", "signed, integer", "digit, integer", "real"):
    result = NumpyExecutable(GRAPHS[name]).run(X, steps=10, probes=NEURONS)
    for stream in (result.potentials, *result.spikes.values()):
        digest.update(np.ascontiguousarray(stream).tobytes())
print(digest.hexdigest())
"""


def test_every_cpu_gives_the_same() -> None:
    """With the vectors of this CPU, and with those that LLVM makes of the least that its kind has."""
    paths = os.pathsep.join([str(TESTS), str(TESTS / "numpy_backend"), *sys.path])
    found = set()
    for cpu in ({}, {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}):
        environment = {**os.environ, **cpu, "PYTHONPATH": paths}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_a_kernel_that_can_not_be_kept_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def njit_without_a_folder(*, nogil: bool, cache: bool = False) -> Callable[..., Any]:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        decorated: Callable[..., Any] = njit(nogil=nogil)
        return decorated

    monkeypatch.setattr(compiled, "njit", njit_without_a_folder)
    assert compiled.compiled(lambda x: x + 1)(2) == 3
