"""Thresholds that stock neurons hold."""

from __future__ import annotations

import numpy as np
import pytest

from neurocompile.errors import GraphError
from neurocompile.ir import Node
from neurocompile.ir.processes import GradedNeurons, IntegrateAndFire
from neurocompile.passes.stock_units import stock_unit

ONE = np.ones(1)


@pytest.mark.parametrize(
    ("threshold", "chosen"), [(255, 255), (509, 255), (510, 510), (20000, 255 << 6), (65535, 255 << 7)]
)
def test_messages_are_a_power_of_two_apart(threshold: int, chosen: int) -> None:
    node = Node("relu", GradedNeurons(ONE, ONE, 255), ("current",))
    np.testing.assert_allclose(stock_unit(np.array([1 / threshold]), node), 1 / chosen)


@pytest.mark.parametrize(("threshold", "chosen"), [(1, 2), (2, 2), (3, 2), (501, 500), (4096, 1024)])
def test_half_a_threshold_is_whole_and_small(threshold: int, chosen: int) -> None:
    node = Node("relu", IntegrateAndFire(ONE, ONE, ONE), ("current",))
    np.testing.assert_allclose(stock_unit(np.array([1 / threshold]), node), 1 / chosen)


def test_messages_without_room_are_refused() -> None:
    node = Node("relu", GradedNeurons(ONE, ONE, 255), ("current",))
    with pytest.raises(GraphError, match=r"node 'relu' .*more thresholds at once than 24 bits have room for"):
        stock_unit(np.array([1 / 254]), node)
