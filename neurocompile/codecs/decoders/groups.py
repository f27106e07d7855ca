"""Which neurons of a population stand for the same value."""

from __future__ import annotations

from dataclasses import dataclass

import array_api_compat
import numpy as np

from neurocompile.codecs.arrays import Array, admit, as_numpy, namespace
from neurocompile.codecs.spike_batch import SpikeBatch
from neurocompile.errors import DataError, Issue


@dataclass(frozen=True, eq=False)
class Groups:
    """The neurons of each group.

    Parameters
    ----------
    members
        ``(G, P)``, indices of neurons in ascending order; a group of less than P ends with any.
    present
        ``(G, P)``, 1 for a member and 0 for what fills a smaller group up.
    """

    members: Array
    present: Array

    @classmethod
    def of(cls, batch: SpikeBatch, spikes: Array) -> Groups:
        """Read the ``population_map`` of a batch, whose spikes are ``(B, T, N)``.

        Raises
        ------
        DataError
            If there is none, or it does not give each neuron a group, 0 to G - 1, and each group a neuron.
        """
        owners = batch.aux.get("population_map")
        if owners is None:
            raise DataError(
                "the batch has no population_map", remedy="put (N,) into its aux: the group of each neuron"
            )
        owners = as_numpy(owners)
        issues = []
        neurons = int(spikes.shape[2])
        if owners.shape != (neurons,):
            issues.append(Issue(f"population_map has the shape {list(owners.shape)}, for {neurons} neurons"))
        if owners.dtype.kind not in "iu":
            issues.append(Issue(f"population_map has the type {owners.dtype}, not whole numbers"))
        elif owners.size:
            if owners.min() < 0:
                issues.append(Issue(f"population_map has the group {owners.min()}"))
            empty = np.setdiff1d(np.arange(min(owners.max(), owners.size) + 1), owners)
            if empty.size:
                issues.append(Issue(f"population_map leaves {empty.size} groups empty, the first is {empty[0]}"))
        if issues:
            raise DataError.of(issues)
        sizes = np.bincount(owners)
        order = np.argsort(owners, kind="stable")
        place = np.arange(sizes.max())
        present = place < sizes[:, None]
        first = np.cumsum(sizes) - sizes
        members = order[np.where(present, first[:, None] + place, 0)]
        xp, device = namespace(spikes), array_api_compat.device(spikes)
        return cls(
            xp.asarray(members, dtype=xp.int64, device=device),
            xp.asarray(present, dtype=spikes.dtype, device=device),
        )

    def split(self, of_neurons: Array) -> Array:
        """Turn ``(B, N)`` into ``(B, G, P)``, with 0 where a group has fewer neurons."""
        return of_neurons[:, self.members] * self.present

    def tuning(self, batch: SpikeBatch, name: str) -> Array:
        """Return ``centers`` or ``widths`` of the batch as ``(P,)``, or as ``(G, P)`` where groups differ.

        Raises
        ------
        DataError
            If there are none, they are not finite, widths are not above 0, or they do not fit the groups.
        """
        tuning = batch.aux.get(name)
        if tuning is None:
            raise DataError(
                f"the batch has no {name} of tuning curves",
                remedy=f"put them into its aux as '{name}': (P,), (G, P) or (N,)",
            )
        tuning = admit(tuning, name)
        xp = namespace(tuning, self.present)
        tuning = xp.astype(tuning, self.present.dtype)
        if name == "widths" and not bool(xp.all(tuning > 0)):
            raise DataError("widths are not all above 0", remedy="give the widths of the tuning curves")
        groups, size = (int(n) for n in self.present.shape)
        even = bool(xp.all(self.present == 1))
        if even and tuple(tuning.shape) in ((size,), (groups, size)):
            return tuning
        neurons = int(xp.sum(self.present))
        if tuple(tuning.shape) == (neurons,):
            return tuning[self.members]
        raise DataError(
            f"{name} have the shape {list(tuning.shape)}, for {groups} groups of {size} neurons",
            remedy=f"one for each of {neurons} neurons"
            + (f", or {[groups, size]}, or {[size]} for all groups" if even else ""),
        )
