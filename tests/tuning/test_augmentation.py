"""Images are mirrored and moved, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from neurocompile.tuning.augmentation import augmented

IMAGES = np.arange(40 * 2 * 3 * 4).reshape(40, 2, 3, 4)


def found(flip: bool, shift: int, seed: int = 0) -> np.ndarray:
    return augmented(IMAGES, flip, shift, np.random.default_rng(seed))


def test_nothing_is_changed_unless_it_is_asked_for() -> None:
    assert found(False, 0) is IMAGES


def test_half_are_mirrored() -> None:
    images = found(True, 0)
    kept = (images == IMAGES).all(axis=(1, 2, 3))
    mirrored = (images == IMAGES[..., ::-1]).all(axis=(1, 2, 3))
    assert (kept ^ mirrored).all()
    assert 10 < kept.sum() < 30


@pytest.mark.parametrize("flip", [False, True])
def test_each_is_moved_in_both_directions_and_its_border_repeated(flip: bool) -> None:
    images = found(flip, 2)
    padded = np.pad(IMAGES, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")
    places = [padded[..., i : i + 3, j : j + 4] for i in range(5) for j in range(5)]
    if flip:
        places += [place[..., ::-1] for place in places]
    matches = np.array([(images == place).all(axis=(1, 2, 3)) for place in places])
    assert matches.any(axis=0).all()
    assert matches.any(axis=1).sum() > 10


def test_all_channels_and_images_without_channels() -> None:
    generator = np.random.default_rng(3)
    plain = augmented(IMAGES[:, 0], True, 1, generator)
    np.testing.assert_array_equal(plain, found(True, 1, 3)[:, 0])


def test_a_seed_repeats() -> None:
    np.testing.assert_array_equal(found(True, 1), found(True, 1))
    assert (found(True, 1) != found(True, 1, 1)).any()
