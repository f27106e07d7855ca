"""Whether a measured loss is more than the chance of which images were in the test set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class PairedLoss:
    """The accuracy of one network, the ANN, minus that of another, the SNN, on the same images.

    Only images that one network has right and the other wrong tell them apart, so these are what is counted.

    Parameters
    ----------
    images
        How many, at least one.
    only_ann_right, only_snn_right
        The images on which only this network decides right.
    confidence
        That the interval from ``low`` to ``high`` holds the loss on all the images there are.
    """

    images: int
    only_ann_right: int
    only_snn_right: int
    confidence: float = 0.95

    @classmethod
    def of(cls, ann_right: npt.NDArray[np.bool_], snn_right: npt.NDArray[np.bool_]) -> PairedLoss:
        """Count, from whether each network decides right on each image."""
        only_ann, only_snn = np.sum(ann_right & ~snn_right), np.sum(snn_right & ~ann_right)
        return cls(len(ann_right), int(only_ann), int(only_snn))

    @property
    def points(self) -> float:
        """The loss, in percentage points."""
        return 100 * (self.only_ann_right - self.only_snn_right) / self.images

    @property
    def low(self) -> float:
        """The lower end of the interval, in percentage points; at most 0 unless ``measurable``."""
        return self._interval[0]

    @property
    def high(self) -> float:
        """The upper end; at least 0 unless ``measurable``."""
        return self._interval[1]

    @property
    def p_value(self) -> float:
        """How likely networks of equal accuracy differ as much as these or more, by McNemar's exact test.

        McNemar, Q. (1947). Note on the sampling error of the difference between correlated proportions or
        percentages. Psychometrika 12, 153-157; with binomial probabilities instead of the normal ones.
        """
        differ = self.only_ann_right + self.only_snn_right
        if not differ:
            return 1.0
        # Takes longer to import than all of neurocompile, and only a report needs it.
        from scipy.stats import binomtest

        return float(binomtest(self.only_ann_right, differ).pvalue)

    @property
    def measurable(self) -> bool:
        """Whether the test finds a difference: a loss, or a gain if ``points`` is negative."""
        return self.p_value < 1 - self.confidence

    @property
    def _interval(self) -> tuple[float, float]:
        low, high = score_interval(self.images, self.only_ann_right, self.only_snn_right, self.confidence)
        # The exact test is the more cautious of the two: the 0 that it does not rule out is not ruled out here.
        if not self.measurable:
            low, high = min(low, 0.0), max(high, 0.0)
        return 100 * low, 100 * high


def score_interval(images: int, only_first: int, only_second: int, confidence: float) -> tuple[float, float]:
    """Bound the difference of two shares that were counted on the same images.

    This is the interval of Tango, T. (1998). Equivalence test and confidence interval for the difference in
    proportions for the paired-sample design. Statistics in Medicine 17, 891-908. It holds the difference about as
    often as it should where few images or none make it, and the usual interval shrinks to a point.

    Parameters
    ----------
    images
        How many.
    only_first, only_second
        The images that count for this share alone.
    confidence
        That the interval holds the difference.

    Returns
    -------
    tuple
        The lower and the upper end, as fractions.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return -_upper_end(images, only_second, only_first, z), _upper_end(images, only_first, only_second, z)


def _upper_end(n: int, b: int, c: int, z: float) -> float:
    """Find the largest difference that is within z standard deviations of the measured one.

    With increasing difference the score falls from 0 to below -z, and bisection finds where it passes it.
    """
    inside, outside = (b - c) / n, 1.0
    # Each halves what is left, until a float can't be halved any more.
    for _ in range(60):
        difference = (inside + outside) / 2
        # The most likely share of c if this were the difference: Tango's equation for the constrained estimate.
        linear = (2 * n - b + c) * difference - b - c
        quadratic = linear**2 + 8 * n * c * difference * (1 - difference)
        share = (math.sqrt(max(0.0, quadratic)) - linear) / (4 * n)
        variance = n * max(0.0, 2 * share + difference * (1 - difference))
        if n * difference - (b - c) <= z * math.sqrt(variance):
            inside = difference
        else:
            outside = difference
    return inside


def share_at_most(count: int, total: int, confidence: float = 0.95) -> float:
    """Bound from above a share of which a sample was counted.

    This is the one-sided bound of Clopper, C. J. and Pearson, E. S. (1934). The use of confidence or fiducial
    limits illustrated in the case of the binomial. Biometrika 26, 404-413.

    Parameters
    ----------
    count, total
        How many of how many.
    confidence
        That the share is at most what is returned.
    """
    # As in p_value.
    from scipy.stats import binomtest

    return float(binomtest(count, total, alternative="less").proportion_ci(confidence, method="exact").high)
