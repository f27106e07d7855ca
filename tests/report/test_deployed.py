from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import small_network

from neurocompile.report.deployed import Comparison, Ran


def digest_of(result: Any) -> str:
    return Ran.of([result]).digest


def test_equal_runs_have_no_mismatches(report: Any) -> None:
    assert len(report.deployed.ran.decisions) == 7
    assert report.deployed.ran.spikes == sum(int(stream.sum()) for stream in report.result.spikes.values()) > 0
    assert report.deployed.mismatches == {"rectified": 0, "potentials": 0}
    assert report.deployed.spike_mismatches == report.deployed.output_mismatches == 0
    assert report.deployed.equal


def test_lost_spikes_are_counted(report: Any, spoiled: Comparison) -> None:
    assert spoiled.mismatches == {"rectified": 3, "potentials": 0}
    assert (spoiled.spike_mismatches, spoiled.output_mismatches, spoiled.equal) == (3, 0, False)
    assert spoiled.ran.spikes == report.deployed.ran.spikes - 3
    assert spoiled.ran.digest != report.deployed.ran.digest


def test_other_outputs_are_no_spike_mismatches(report: Any) -> None:
    other = dataclasses.replace(report.result, potentials=report.result.potentials + 1)
    compared = Comparison.of("lava", [other], [report.result])
    assert (compared.spike_mismatches, compared.output_mismatches) == (0, other.potentials.size)
    assert not compared.equal


def test_a_run_in_parts_is_the_same_run(report: Any) -> None:
    images = small_network.images(7)
    with report.network.deploy("numpy") as deployment:
        first, second = (
            deployment.executable.run(part, steps=20, probes=("rectified",)) for part in (images[:3], images[3:])
        )
    in_parts, whole = Ran.of([first, second]), Ran.of([report.result])
    assert in_parts.digest == whole.digest
    assert in_parts.activity == whole.activity
    assert np.array_equal(in_parts.decisions, whole.decisions)


def test_the_digest_is_of_the_spikes_alone(report: Any) -> None:
    digest = digest_of(report.result)
    later = dataclasses.replace(report.result, seconds=99.0, potentials=report.result.potentials + 1)
    as_integers = {name: stream.astype(np.int8) for name, stream in report.result.spikes.items()}
    renamed = {f"{name}.": stream for name, stream in report.result.spikes.items()}
    turned = {name: stream[::-1] for name, stream in report.result.spikes.items()}
    assert digest_of(later) == digest
    assert digest_of(dataclasses.replace(report.result, spikes=as_integers)) == digest
    assert digest_of(dataclasses.replace(report.result, spikes=renamed)) != digest
    assert digest_of(dataclasses.replace(report.result, spikes=turned)) != digest
