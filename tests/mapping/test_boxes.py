"""What a box of a stream depends on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.ir import Op
from neurocompile.ir.processes import (
    ConvSynapses,
    LinearSynapses,
    PoolSynapses,
    ReshapeSynapses,
    ScaleSynapses,
    SpikeMaxPool,
    WireSynapses,
)
from neurocompile.mapping.boxes import Box, intersection, needed, slices, tiles, volume, whole

RNG = np.random.default_rng(0)
STEPS: dict[str, tuple[tuple[int, ...], Op]] = {
    "conv": ((4, 9, 7), ConvSynapses(RNG.normal(size=(6, 4, 3, 2)), stride=(2, 1), padding=(1, 0, 0, 1))),
    "groups": ((4, 9, 7), ConvSynapses(RNG.normal(size=(6, 2, 3, 3)), groups=2, dilation=(2, 1))),
    "depthwise": ((4, 9, 7), ConvSynapses(RNG.normal(size=(4, 1, 2, 2)), groups=4)),
    "padded": ((2, 5), ConvSynapses(RNG.normal(size=(3, 2, 2)), stride=(3,), padding=(4, 4))),
    "pool": ((3, 6, 6), PoolSynapses((2, 3), (2, 2), (1, 0, 0, 0))),
    "max pool": ((3, 6, 6), SpikeMaxPool((2, 3), (2, 2))),
    "linear": ((5,), LinearSynapses(RNG.normal(size=(7, 5)))),
    "scale": ((3, 4, 2), ScaleSynapses(RNG.normal(size=(3, 1, 1)))),
    "flatten": ((3, 4, 2), ReshapeSynapses((24,))),
    "unflatten": ((24,), ReshapeSynapses((3, 4, 2))),
    "reshape": ((4, 6), ReshapeSynapses((3, 4, 2))),
    "transpose": ((3, 4, 2), WireSynapses(np.moveaxis(np.arange(24).reshape(3, 4, 2), 0, -1))),
    "pad": ((2, 4), WireSynapses(np.pad(np.arange(8).reshape(2, 4), 2, constant_values=-1))),
    "any": ((2, 4), WireSynapses(RNG.integers(-1, 8, (5, 3)))),
}


def output_shape(name: str) -> tuple[int, ...]:
    shape, op = STEPS[name]
    return op.run(np.zeros((1, 1, *shape))).shape[2:]


@pytest.mark.parametrize("name", STEPS)
@given(data=st.data())
def test_nothing_outside_matters(name: str, data: st.DataObject) -> None:
    shape, op = STEPS[name]
    box = tuple(
        tuple(sorted(data.draw(st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True))))
        for n in output_shape(name)
    )
    x = np.random.default_rng(1).normal(size=(1, 1, *shape)) ** 2 + 1
    inside = needed(op, box, shape)
    only = np.zeros_like(x)
    only[(..., *slices(inside))] = x[(..., *slices(inside))]
    picked = (..., *slices(box))
    np.testing.assert_array_equal(op.run(only)[picked], op.run(x)[picked])


@pytest.mark.parametrize("name", [name for name in STEPS if name not in ("padded", "pad", "any", "reshape")])
def test_the_whole_needs_the_whole(name: str) -> None:
    shape, op = STEPS[name]
    inside = needed(op, whole(output_shape(name)), shape)
    # The last row or column may be under no window.
    assert all(n - 1 <= end - start <= n for (start, end), n in zip(inside, shape, strict=True))


def test_an_empty_box_needs_nothing() -> None:
    shape, op = STEPS["conv"]
    assert volume(needed(op, ((0, 0), (0, 4), (0, 7)), shape)) == 0
    silent = WireSynapses(np.full((3,), -1))
    assert volume(needed(silent, whole((3,)), (2, 2))) == 0


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), min_size=0, max_size=3))
def test_tiles_hold_each_value_once(axes: list[tuple[int, int]]) -> None:
    shape, extents = tuple(n for n, _ in axes), tuple(e for _, e in axes)
    counts = np.zeros(shape, int)
    for box in tiles(shape, extents):
        assert all(0 < end - start <= e for (start, end), e in zip(box, extents, strict=True))
        counts[slices(box)] += 1
    assert np.all(counts == 1)


boxes = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)).map(sorted).map(tuple), min_size=2, max_size=2)


@given(boxes, boxes)
def test_intersection(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> None:
    first, second = np.zeros((5, 5), bool), np.zeros((5, 5), bool)
    left: Box = tuple(a)
    right: Box = tuple(b)
    first[slices(left)], second[slices(right)] = True, True
    assert volume(intersection(left, right)) == np.count_nonzero(first & second)
