"""How much spikes tell of a stimulus: mutual information, estimated from samples."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from neurocompile.errors import DataError, Issue

BiasCorrection = Literal["none", "miller_madow", "panzeri_treves"]

Labels = npt.NDArray[Any]
Counts = npt.NDArray[np.int64]


def mutual_information(
    stimuli: npt.ArrayLike, responses: npt.ArrayLike, correction: BiasCorrection = "panzeri_treves"
) -> float:
    """Estimate the mutual information I(X; S) of discrete stimuli and responses.

    This is the plug-in estimate ``H(X) + H(S) - H(X, S)`` of the observed frequencies, minus its bias. From a
    finite sample the plug-in estimate is too large on average, by ``(sum_x (R_x - 1) - (R - 1)) / (2 N ln 2)`` to
    first order, with N the number of samples, R the number of responses that can occur, and R_x of those that can
    occur with stimulus x.

    Parameters
    ----------
    stimuli, responses
        One label for each sample, shape ``(N,)``, or one word for each, shape ``(N, L)``: rows that are equal are
        the same word.
    correction
        How R is counted. ``miller_madow``: the responses that were seen (Miller, G. A. (1955). Note on the bias of
        information estimates). ``panzeri_treves``: those that were seen and the unseen ones that a Bayesian
        expects (Panzeri, S. and Treves, A. (1996). Analytical estimates of limited sampling biases in different
        information measures. Network 7, 87-107). ``none``: the plug-in estimate as it is.

    Returns
    -------
    float
        In bits: at least 0, and at most the entropy of the stimuli.

    Raises
    ------
    DataError
        If the samples of both are not as many, there are none, or some are NaN.
    """
    stimuli, responses = np.asarray(stimuli), np.asarray(responses)
    _check(stimuli, responses, correction)
    table = _contingency(stimuli, responses)
    samples = int(table.sum())
    of_stimuli = _entropy(table.sum(axis=1))
    plug_in = of_stimuli + _entropy(table.sum(axis=0)) - _entropy(table.ravel())
    if correction != "none":
        relevant = _seen if correction == "miller_madow" else _relevant_responses
        excess = sum(relevant(row) - 1 for row in table) - (table.shape[1] - 1)
        plug_in -= excess / (2 * samples * np.log(2))
    return float(np.clip(plug_in, 0.0, of_stimuli))


def equally_filled_bins(values: npt.ArrayLike, bins: int) -> Counts:
    """Label values by bins that hold about as many of them each; equal values share a bin.

    Parameters
    ----------
    values
        Finite, shape ``(N,)``.
    bins
        At most so many are used.

    Returns
    -------
    numpy.ndarray
        The bin of each value, shape ``(N,)``.
    """
    values = np.asarray(values)
    distinct, which, times = np.unique(values, return_inverse=True, return_counts=True)
    if len(distinct) <= bins:
        return which.reshape(values.shape).astype(np.int64)
    # The middle of each value's ranks, so that a value which is most of them does not share its bin with others.
    middle = np.cumsum(times) - times / 2
    bin_of = np.floor(middle * bins / len(values)).astype(np.int64)
    return bin_of[which].reshape(values.shape)


def bits_per_spike(information_bits: float, spikes: float) -> float:
    """Give the share of the information that each spike carries; without spikes it is 0.

    Parameters
    ----------
    information_bits
        Of a response.
    spikes
        That a response has on average.
    """
    return information_bits / spikes if spikes else 0.0


def _check(stimuli: Labels, responses: Labels, correction: str) -> None:
    issues = []
    for name, labels in (("stimuli", stimuli), ("responses", responses)):
        if labels.ndim not in (1, 2):
            issues.append(Issue(f"the {name} have the shape {list(labels.shape)}, not (N,) or (N, L)"))
        if labels.dtype.kind == "f" and np.isnan(labels).any():
            issues.append(Issue(f"some of the {name} are NaN"))
    if stimuli.ndim and responses.ndim:
        if len(stimuli) != len(responses):
            issues.append(Issue(f"there are {len(stimuli)} stimuli and {len(responses)} responses"))
        elif len(stimuli) == 0:
            issues.append(Issue("there are no samples"))
    if correction not in get_args(BiasCorrection):
        issues.append(
            Issue(f"no bias correction '{correction}'", remedy=f"one of {', '.join(get_args(BiasCorrection))}")
        )
    if issues:
        raise DataError.of(issues)


def _contingency(stimuli: Labels, responses: Labels) -> Counts:
    """Count how often each stimulus (rows) came with each response (columns)."""
    rows, columns = (np.unique(labels, return_inverse=True, axis=0)[1].ravel() for labels in (stimuli, responses))
    shape = int(rows.max()) + 1, int(columns.max()) + 1
    return np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)


def _entropy(counts: Counts) -> float:
    """In bits, of the frequencies that the counts give."""
    share = counts[counts > 0] / counts.sum()
    return -float(share @ np.log2(share))


def _seen(counts: Counts) -> int:
    return int(np.count_nonzero(counts))


def _relevant_responses(counts: Counts) -> int:
    """Estimate how many responses can occur, by the Bayesian count of Panzeri and Treves (1996).

    Responses that were never seen are supposed, one more at a time, as long as the number of responses that one
    would expect to see comes closer to the number that was seen. Seen responses have the probability
    ``(1 - g) (n_i + 1) / (N + R)`` then, and each unseen one ``1 - (N / (N + R)) ** (1 / N)``, g being that of all
    unseen ones together.
    """
    seen, total = _seen(counts), int(counts.sum())
    present = counts[counts > 0]
    # One that was not seen is expected among N samples with the probability R / (N + R), for the one above.
    unseen_share = -np.expm1(-np.log1p(seen / total) / total)
    surplus = -float(np.sum((1 - present / total) ** total))
    for unseen in range(1, len(counts) - seen + 1):
        share = (1 - unseen * unseen_share) * (present + 1) / (total + seen)
        next_surplus = unseen * seen / (total + seen) - float(np.sum((1 - share) ** total))
        if abs(next_surplus) >= abs(surplus):
            return seen + unseen - 1
        surplus = next_surplus
    return len(counts)
