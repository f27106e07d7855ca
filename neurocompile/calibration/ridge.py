"""Ridge regression of weights."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from neurocompile.ir import Array

_MOST_INPUTS = 2048
"""Beyond, the system of equations has a row for each sample instead, of which as many are taken."""


@dataclass
class Ridge:
    """Fits a change of weights to what their sums lack, from samples in parts (Hoerl and Kennard 1970).

    ``change = (A' A + penalty * mean(diag(A' A)) * I)^-1 A' R`` with ``A`` the inputs of the weights and ``R``
    what the outputs lack. So weights stay near to those there are where the samples do not tell.

    Parameters
    ----------
    groups, inputs, outputs
        The size of the weights: ``(groups, outputs, inputs)``.
    """

    groups: int
    inputs: int
    outputs: int
    _gram: Array = field(init=False)
    _moments: Array = field(init=False)
    _samples: list[tuple[Array, Array]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self._is_large:
            self._gram = np.zeros((self.groups, self.inputs, self.inputs))
            self._moments = np.zeros((self.groups, self.inputs, self.outputs))

    @property
    def _is_large(self) -> bool:
        return self.inputs > _MOST_INPUTS

    def add(self, inputs: Array, lacking: Array) -> None:
        """Take samples ``(groups, n, inputs)`` and ``(groups, n, outputs)``."""
        if self._is_large:
            room = _MOST_INPUTS - sum(a.shape[1] for a, _ in self._samples)
            self._samples.append((inputs[:, :room], lacking[:, :room]))
        else:
            transposed = np.swapaxes(inputs, 1, 2)
            self._gram += transposed @ inputs
            self._moments += transposed @ lacking

    def change(self, penalty: float) -> Array:
        """Give the change of the weights, ``(groups, outputs, inputs)``."""
        if self._is_large:
            inputs, lacking = (np.concatenate(parts, axis=1) for parts in zip(*self._samples, strict=True))
            kernel = inputs @ np.swapaxes(inputs, 1, 2)
            weights = _solve(kernel, lacking, penalty * np.trace(kernel, axis1=1, axis2=2) / self.inputs)
            return np.swapaxes(np.swapaxes(inputs, 1, 2) @ weights, 1, 2)
        scale = penalty * np.trace(self._gram, axis1=1, axis2=2) / self.inputs
        return np.swapaxes(_solve(self._gram, self._moments, scale), 1, 2)


def _solve(matrix: Array, right: Array, diagonal: Array) -> Array:
    # Inputs that are always 0 leave nothing to divide by.
    diagonal = np.maximum(diagonal, np.finfo(float).tiny)
    solved: Array = np.linalg.solve(matrix + diagonal[:, None, None] * np.eye(matrix.shape[1]), right)
    return solved
