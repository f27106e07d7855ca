"""Vector instructions, against what they are defined to do, and on CPUs with other ones."""

from __future__ import annotations

import os
import shutil
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
from neurocompile_numpy.events import compiled, vectors
from neurocompile_numpy.events.bits import counts, packed, unpacked
from neurocompile_numpy.events.vectors import BIAS, CHANNELS, MOST_ADDED, UNROLLED, address
from numba import njit

from neurocompile.ir import Array, fixed_point
from neurocompile.ir.processes import IntegrateAndFire

TESTS = Path(__file__).parents[1]

STEPS = 4

add_64, add_128 = vectors.row_adder(64), vectors.row_adder(128)


@njit
def list_by_compression(bits: Array, base: int, to: Array) -> int:
    listed: int = vectors.list_by_compression(address(to), vectors.load_word(address(bits)), base)
    return listed


@njit
def list_by_table(bits: Array, base: int, to: Array) -> int:
    listed: int = vectors.list_by_table(address(to), vectors.load_word(address(bits)), base)
    return listed


@njit
def run_pad(to: Array, number: int) -> None:
    vectors.pad(address(to), number)


@njit
def run_add(rows: Array, numbers: Array, to: Array, exponent: int) -> None:
    if len(to) == 64:
        add_64(address(rows), address(numbers), len(numbers), address(to), exponent, to[0])
    else:
        add_128(address(rows), address(numbers), len(numbers), address(to), exponent, to[0])


@njit
def run_shift(values: Array, exponent: int) -> None:
    for i in range(len(values)):
        values[i] = vectors.shift(values[i], exponent)


@njit
def run_integrate(currents: Array, v: Array, bias: Array) -> None:
    vectors.integrate(address(currents), currents.strides[0], len(currents), address(v), address(bias), v[0])


@njit
def run_tally(bits: Array, totals: Array) -> None:
    vectors.tally(address(bits), bits.strides[0], len(bits), address(totals))


def runner(lanes: int, **how: bool) -> Callable[..., None]:
    run = vectors.neuron_runner(lanes, **how)

    @njit
    def run_neurons(
        currents: Array, v: Array, bias: Array, threshold: Array, sent: Array, up: Array, down: Array
    ) -> None:
        state = address(v), address(bias), address(threshold), address(sent)
        given = address(currents), currents.strides[0], len(currents)
        run(*given, *state, address(up), address(down), up.strides[0], v[0])

    compiled_run: Callable[..., None] = run_neurons
    return compiled_run


RUNNERS = {
    "plain": (32, runner(32)),
    "wide": (64, runner(64)),
    "constant": (32, runner(32, constant=True)),
    "signed": (32, runner(32, signed=True)),
    "zero": (32, runner(32, subtract=False)),
}


@pytest.mark.parametrize("listed", [list_by_compression, list_by_table])
@given(word=st.integers(0, 2**32 - 1), base=st.integers(0, 2**16 - CHANNELS))
def test_lists_the_bits_that_are_set(listed: Callable[..., int], word: int, base: int) -> None:
    to = np.zeros(2 * CHANNELS, np.uint16)
    count = listed(np.array([word], np.uint32), base, to)
    assert to[:count].tolist() == [base + bit for bit in range(CHANNELS) if word >> bit & 1]


def test_fills_a_list_up() -> None:
    to = np.zeros(UNROLLED + 1, np.uint16)
    run_pad(to, 7)
    assert to.tolist() == [7] * UNROLLED + [0]


@pytest.mark.parametrize("outputs", [64, 128])
@given(
    rows=st.integers(0, 2**32 - 1),
    numbers=hnp.arrays(np.uint16, st.integers(1, 3 * MOST_ADDED // 2), elements=st.integers(0, 6)),
    exponent=st.integers(-3, 3),
)
def test_rows_are_added_to_what_there_is(outputs: int, rows: int, numbers: Array, exponent: int) -> None:
    """More of them than 16 bits hold the sum of, too."""
    weights = np.random.default_rng(rows).choice([-128, -127, -1, 0, 5, 127], (7, outputs))
    numbers = numbers[: -(len(numbers) % UNROLLED) or None].copy()
    total = weights[numbers].sum(axis=0)
    lower, upper = weights[:, : outputs // 2] + BIAS, weights[:, outputs // 2 :]
    to = np.arange(outputs, dtype=np.int32)
    run_add((lower + 256 * upper).astype(np.int16), numbers, to, exponent)
    np.testing.assert_array_equal(to, np.arange(outputs) + fixed_point.shift(total, exponent))
    reals = np.ones(outputs)
    run_add((weights * 1000).astype(np.int32), numbers, reals, exponent)
    np.testing.assert_array_equal(reals, 1 + total * 1000 * 2.0**exponent)


@given(values=hnp.arrays(np.int32, 5, elements=st.integers(-(2**20), 2**20)), exponent=st.integers(-9, 9))
def test_shifts(values: Array, exponent: int) -> None:
    reals, shifted = values / 8, values.copy()
    run_shift(shifted, exponent)
    np.testing.assert_array_equal(shifted, fixed_point.shift(values, exponent))
    run_shift(reals, exponent)
    np.testing.assert_array_equal(reals, values / 8)


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("kind", RUNNERS)
@given(seed=st.integers(0, 2**32 - 1), far=st.booleans())
def test_neurons_are_those_of_the_reference(kind: str, real: bool, seed: int, far: bool) -> None:
    """Currents that wrap around and membranes that saturate among them."""
    rng = np.random.default_rng(seed)
    size = 2**23 if far else 2**10
    lanes, run = RUNNERS[kind]

    def drawn(low: int, *more: int) -> Array:
        found = rng.integers(low, size, (*more, lanes))
        return found / 8 if real else found.astype(np.int32)

    current, bias, threshold, start = drawn(-size, STEPS), drawn(-size), drawn(1), drawn(-size)
    if kind == "constant":
        current[:] = current[0]
    neurons = IntegrateAndFire(
        *(values if real else values.astype(np.int64) for values in (bias, threshold, start)),
        reset="zero" if kind == "zero" else "subtract",
        signed=kind == "signed",
    )
    expected = neurons.run(current[:, None])[:, 0]
    v, sent = start.copy(), np.zeros(lanes, np.int32)
    up, down = np.zeros((2, STEPS, lanes // 8), np.uint8)
    run(current, v, bias, threshold, sent, up, down)
    bits = [np.unpackbits(each, axis=1, bitorder="little").astype(np.int8) for each in (up, down)]
    np.testing.assert_array_equal(bits[0] - bits[1], expected)
    if kind == "signed":
        np.testing.assert_array_equal(sent, expected.sum(axis=0))


@given(seed=st.integers(0, 2**32 - 1))
def test_integration_is_that_of_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    v, bias, *currents = rng.integers(-(2**23) + 1, 2**23, (2 + STEPS, CHANNELS)).astype(np.int32)
    expected = v.copy()
    for current in currents:
        fixed_point.integrate(expected, current, bias)
    run_integrate(np.array(currents), v, bias)
    np.testing.assert_array_equal(v, expected)


@given(bits=hnp.arrays(np.uint32, 255, fill=st.just(2**32 - 1)))
def test_counts_bits(bits: Array) -> None:
    totals = np.arange(CHANNELS, dtype=np.int32)
    run_tally(bits, totals)
    found = np.unpackbits(bits[:, None].view(np.uint8), axis=1, bitorder="little").sum(axis=0)
    np.testing.assert_array_equal(totals, np.arange(CHANNELS) + found)


@pytest.mark.parametrize("signed", [False, True])
@given(seed=st.integers(0, 2**32 - 1))
def test_spikes_are_the_same_in_bits(signed: bool, seed: int) -> None:
    spikes = np.random.default_rng(seed).integers(-1 if signed else 0, 2, (2, 5, 3, 2 * CHANNELS)).astype(np.int8)
    given_ = spikes if signed else spikes.astype(np.bool_)
    bits = packed(given_, signed=signed)
    assert bits.shape == (2, 6 if signed else 3, 5, 2)
    found = unpacked(bits, signed=signed)
    assert found.dtype == given_.dtype
    np.testing.assert_array_equal(found, given_)
    by_place = counts(bits).reshape(3, -1, 2 * CHANNELS).sum(axis=1)
    np.testing.assert_array_equal(by_place, np.count_nonzero(spikes, axis=(0, 1)))


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
    def njit_without_a_folder(*, cache: bool = False, **how: Any) -> Callable[..., Any]:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        decorated: Callable[..., Any] = njit(**how)
        return decorated

    monkeypatch.setattr(compiled, "njit", njit_without_a_folder)
    assert compiled.compiled(lambda x: x + 1)(2) == 3


KEPT = """
from neurocompile_numpy.events import bits
import numpy as np
bits.counts(np.zeros((1, 1, 1, 1), np.uint32))
print(sum(bits._count.stats.cache_hits.values()))
"""


def test_a_kernel_is_kept_until_any_of_its_parts_changes(tmp_path: Path) -> None:
    """Numba itself looks at the file of the kernel only."""
    package = tmp_path / "neurocompile_numpy"
    shutil.copytree(Path(compiled.__file__).parents[1], package, ignore=shutil.ignore_patterns("__pycache__"))
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    hits = []
    for run in range(3):
        if run == 2:
            (package / "events" / "vectors.py").touch()
        done = subprocess.run(
            [sys.executable, "-c", KEPT], env=environment, capture_output=True, text=True, check=True
        )
        hits.append(int(done.stdout))
    assert hits == [0, 1, 0]
