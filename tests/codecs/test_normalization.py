from __future__ import annotations

import numpy as np
import pytest
from codecs_worlds import WORLDS
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from neurocompile.codecs.normalization import normalize
from neurocompile.errors import DataError

worlds = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
SMALL = st.floats(-4, 4)


@worlds
def test_each_kind_as_it_is_defined(world):
    x = world(np.array([[1.0, 2.0, 5.0], [-1.0, 0.0, 1.0]]))

    def share(kind, **options):
        return np.asarray(normalize(x, kind, **options)[0])

    assert np.allclose(share("minmax"), [[0, 0.25, 1], [0, 0.5, 1]])
    assert np.allclose(share("minmax", scope="batch"), (np.asarray(x) + 1) / 6)
    assert np.allclose(share("sigmoid"), 1 / (1 + np.exp(-np.asarray(x))))
    assert np.allclose(share("clamp"), np.clip(np.asarray(x), 0, 1))
    assert np.allclose(share("clamp", input_range=(-1.0, 4.0)), [[0.4, 0.6, 1], [0, 0.2, 0.4]])
    assert np.allclose(share("none", input_range=(-1.0, 5.0)), (np.asarray(x) + 1) / 6)
    with pytest.raises(DataError, match=r"from -1 to 5 are not all in \[0, 1\]"):
        share("none")


@worlds
@pytest.mark.parametrize("scope", ["sample", "batch"])
def test_what_has_no_contrast_becomes_zeros(world, scope):
    share, stats = normalize(world(np.full((2, 3), 7.0)), "minmax", scope)
    assert not np.asarray(share).any()
    assert np.array_equal(np.asarray(stats.restore(share)), np.full((2, 3), 7.0))


@worlds
@pytest.mark.parametrize(("samples", "scope"), [(1, "sample"), (3, "sample"), (1, "batch")])
def test_one_value_alone_can_not_be_stretched(world, samples, scope):
    with pytest.raises(DataError, match=f"a {scope} of one value") as caught:
        normalize(world(np.full((samples, 1), 0.3)), "minmax", scope)
    assert "'clamp'" in str(caught.value)
    share, _ = normalize(world(np.array([[0.0], [2.0], [1.0]])), "minmax", "batch")
    assert np.asarray(share).ravel().tolist() == [0, 1, 0.5]


@worlds
def test_a_sample_is_stretched_without_the_others_unless_it_is_asked_for(world):
    x = np.random.default_rng(0).normal(size=(4, 5))
    together = np.asarray(normalize(world(x), "minmax")[0])
    alone = [np.asarray(normalize(world(x[i : i + 1]), "minmax")[0])[0] for i in range(4)]
    assert np.array_equal(together, alone)
    assert not np.array_equal(together, np.asarray(normalize(world(x), "minmax", "batch")[0]))


@given(
    st.sampled_from([np.float32, np.float64]).flatmap(
        lambda kind: arrays(
            kind,
            array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=5),
            elements=st.floats(allow_nan=False, allow_infinity=False, width=np.dtype(kind).itemsize * 8),
        )
    ),
    st.sampled_from(["minmax", "sigmoid", "clamp"]),
    st.sampled_from(["sample", "batch"]),
)
def test_finite_values_become_shares_and_keep_their_order(x, kind, scope):
    for world in WORLDS.values():
        share = np.asarray(normalize(world(x), kind, scope)[0])
        assert share.dtype == x.dtype
        assert np.all((share >= 0) & (share <= 1))
        order = np.argsort(x, axis=1, kind="stable")
        assert np.all(np.diff(np.take_along_axis(share, order, 1), axis=1) >= 0)


@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=5), elements=SMALL))
def test_shares_are_turned_back(x):
    for kind, tolerance in (("minmax", 1e-12), ("sigmoid", 1e-4), ("clamp", 1e-12), ("none", 1e-12)):
        share, stats = normalize(x, kind, input_range=(-4.0, 4.0))
        assert np.allclose(stats.restore(share), x, atol=tolerance)
        assert stats.kind == kind
        assert stats.low.shape == (len(x), 1)


def test_shares_at_the_ends_of_a_sigmoid_are_turned_back_finite():
    share, stats = normalize(np.array([[-1e9, 1e9]]), "sigmoid")
    assert share.tolist() == [[0, 1]]
    assert np.isfinite(stats.restore(share)).all()
