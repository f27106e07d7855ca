"""Arrays that broadcast against one image, some of whose values do not matter."""

from __future__ import annotations

import numpy as np

from neurocompile.ir import Array
from neurocompile.ir.layers import compact


def settled(values: Array) -> Array:
    """Choose the values of an image that do not matter so that all of a channel's are equal, if they can be.

    Parameters
    ----------
    values
        Of a whole image, NaN for any value.

    Returns
    -------
    Array
        Compact; 1 for a channel of which nothing matters.
    """
    rows = values.reshape(len(values) if values.ndim else 1, -1)
    lowest: Array = np.fmin.reduce(rows, axis=1, keepdims=True)
    lowest = np.where(np.isnan(lowest), 1.0, lowest)
    return compact(np.where(np.isnan(rows), lowest, rows).reshape(values.shape))
