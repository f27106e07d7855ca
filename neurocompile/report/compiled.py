"""All that ``neurocompile MODEL`` found."""

from __future__ import annotations

from dataclasses import dataclass

from neurocompile.budget import Budget
from neurocompile.evaluate import Evaluation
from neurocompile.mapping import Mapping
from neurocompile.mapping.energy import Estimate
from neurocompile.network import Network
from neurocompile.report.deployed import Comparison
from neurocompile.search import Search


@dataclass(frozen=True)
class Compiled:
    """What was compiled, and what was measured of it.

    Parameters
    ----------
    model
        The file.
    reason
        Why its code was taken.
    calibration_images
        From which thresholds were chosen; 0 where synthetic ones stood in.
    network
        What was compiled.
    evaluation
        On all test images.
    deployed
        On the target.
    budget
        Where the loss comes from; None if that was not asked for.
    search
        For the fewest steps; None if these were given.
    mapping
        To a chip; None if none was asked for.
    cost
        Of an image on Loihi 1; None for any other chip.
    """

    model: str
    reason: str
    calibration_images: int
    network: Network
    evaluation: Evaluation
    deployed: Comparison
    budget: Budget | None = None
    search: Search | None = None
    mapping: Mapping | None = None
    cost: Estimate | None = None
