"""Ways between layers of neurons, where they are put in another order."""

from __future__ import annotations

import numpy as np
import pytest

from neurocompile.ir.processes import ConvSynapses, PoolSynapses, ReshapeSynapses, ScaleSynapses
from neurocompile.passes.ways import Step, Way, scaled_behind_pools

POOL = Step("pool", PoolSynapses((2, 2), (2, 2)), (2, 2, 2))
FLAT = Step("flat", ReshapeSynapses((8,)), (8,))
CONV = Step("conv", ConvSynapses(np.ones((2, 2, 1, 1))), (2, 4, 4))


def way(*steps: Step) -> Way:
    return Way("relu", (2, 4, 4), steps)


def scale(weight: object, shape: tuple[int, ...] = (2, 4, 4)) -> Step:
    return Step("scale", ScaleSynapses(np.array(weight)), shape)


@pytest.mark.parametrize("weight", [[0.5], [[[0.5]], [[2.0]]]], ids=["one", "of channels"])
def test_a_scale_goes_behind_pools(weight: object) -> None:
    moved = scaled_behind_pools(way(scale(weight), POOL, FLAT))
    assert [step.name for step in moved.steps] == ["pool", "scale", "flat"]
    assert moved.steps[1].shape == (2, 2, 2)
    x = np.random.default_rng(0).integers(0, 9, (1, 1, 2, 4, 4))
    results = []
    for steps in (way(scale(weight), POOL, FLAT).steps, moved.steps):
        values = x.astype(np.float64)
        for step in steps:
            values = step.op.run(values)
        results.append(values)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(
    "kept",
    [
        way(POOL, scale([0.5], (2, 2, 2))),
        way(scale([0.5])),
        way(scale([0.5]), CONV, POOL),
        way(CONV, POOL),
        way(scale(np.arange(32.0).reshape(2, 4, 4)), POOL),
    ],
    ids=["behind", "no pool", "other weights", "no scale", "of each place"],
)
def test_all_else_stays(kept: Way) -> None:
    assert scaled_behind_pools(kept) is kept
