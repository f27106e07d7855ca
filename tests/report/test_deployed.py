from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from neurocompile.report.deployed import DeployedRun, spikes_digest


def test_equal_runs_have_no_mismatches(report: Any) -> None:
    assert report.deployed.samples == 7
    assert report.deployed.spikes == sum(int(stream.sum()) for stream in report.result.spikes.values()) > 0
    assert report.deployed.mismatches == {"rectified": 0, "potentials": 0}
    assert report.deployed.spike_mismatches == 0


def test_lost_spikes_are_counted(report: Any, spoiled: DeployedRun) -> None:
    assert spoiled.mismatches == {"rectified": 3, "potentials": 0}
    assert spoiled.spike_mismatches == 3
    assert spoiled.spikes == report.deployed.spikes - 3
    assert spoiled.digest != report.deployed.digest


def test_the_digest_is_of_the_spikes_alone(report: Any) -> None:
    digest = spikes_digest(report.result)
    later = dataclasses.replace(report.result, seconds=99.0, potentials=report.result.potentials + 1)
    as_integers = {name: stream.astype(np.int8) for name, stream in report.result.spikes.items()}
    renamed = {f"{name}.": stream for name, stream in report.result.spikes.items()}
    turned = {name: stream[::-1] for name, stream in report.result.spikes.items()}
    assert spikes_digest(later) == digest
    assert spikes_digest(dataclasses.replace(report.result, spikes=as_integers)) == digest
    assert spikes_digest(dataclasses.replace(report.result, spikes=renamed)) != digest
    assert spikes_digest(dataclasses.replace(report.result, spikes=turned)) != digest
