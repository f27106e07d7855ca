from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.backend import decide
from neurocompile.early_exit import EarlyExit, ExitRule, leads

# Three images, three steps and two outputs: the second image is decided otherwise at first.
POTENTIALS = np.array([[[3, 0], [5, 0], [9, 0]], [[2, 0], [1, 2], [0, 5]], [[0, 1], [0, 4], [0, 6]]])


def drawn(seed: int, outputs: int, images: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).integers(-2, 6, (images, 7, outputs)).cumsum(axis=1)


def test_a_lead_is_that_over_the_next_output() -> None:
    assert leads(POTENTIALS).tolist() == [[3, 5, 9], [2, 1, 5], [1, 4, 6]]


def test_a_single_output_leads_over_none() -> None:
    assert leads(np.array([[[-3.0], [2.0]]])).tolist() == [[3, 2]]


def test_a_lead_is_safe_beyond_any_that_was_lost() -> None:
    rule = ExitRule.of(POTENTIALS)
    assert rule.safe.tolist() == [2, 0, 0]
    assert rule.images == 3
    assert rule.exits(POTENTIALS).tolist() == [0, 1, 1]


def test_figures_are_those_of_the_steps_at_which_images_stop() -> None:
    rule = ExitRule(np.array([1.5, 0, 0]), 9)
    exits = rule.exits(POTENTIALS)
    assert exits.tolist() == [0, 0, 1]
    found = EarlyExit.of(exits, decide(POTENTIALS), np.array([0, 1, 1]), rule)
    assert found == EarlyExit(4 / 3, 2 / 3, 1, 9)


@given(seed=st.integers(0, 2**32 - 1), outputs=st.integers(1, 4))
def test_the_images_that_it_is_learned_from_keep_their_decisions(seed: int, outputs: int) -> None:
    potentials = drawn(seed, outputs)
    rule = ExitRule.of(potentials)
    exits, decisions = rule.exits(potentials), decide(potentials)
    assert EarlyExit.of(exits, decisions, decisions[:, -1], rule).changed_decisions == 0
    # Any step sooner was one at which the lead was not safe.
    for image, step in enumerate(exits):
        assert np.all(leads(potentials)[image, :step] <= rule.safe[:step])
