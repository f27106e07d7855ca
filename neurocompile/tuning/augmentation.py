"""Training images as they might have been taken: mirrored, and moved."""

from __future__ import annotations

import numpy as np

from neurocompile.ir import Array


def augmented(images: Array, flip: bool, shift: int, generator: np.random.Generator) -> Array:
    """Mirror half of the images, and move each in both directions.

    Parameters
    ----------
    images
        ``(B, ..., H, W)``.
    flip
        Whether each is mirrored, left to right, with a probability of one half.
    shift
        By how many pixels each is moved at most, along H and along W; at the border the outermost pixels are
        repeated.
    generator
        Of the chance.
    """
    if not flip and not shift:
        return images
    count, (height, width) = len(images), images.shape[-2:]
    down, right = generator.integers(-shift, shift, (2, count, 1), endpoint=True)
    rows = (np.arange(height) + down).clip(0, height - 1)
    columns = (np.arange(width) + right).clip(0, width - 1)
    mirrored = (generator.random((count, 1)) < 0.5) & flip
    columns = np.where(mirrored, columns[:, ::-1], columns)
    planes = images.reshape(count, -1, height, width)
    moved: Array = planes[np.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return np.moveaxis(moved, -1, 1).reshape(images.shape)
