from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import small_network

import neurocompile as nc
from neurocompile.backend import Result
from neurocompile.report.compiled import Compiled
from neurocompile.report.deployed import Comparison


class Report(NamedTuple):
    """What the reports are made of, and that of a compilation itself."""

    network: nc.Network
    evaluation: nc.Evaluation
    deployed: Comparison
    result: Result

    @property
    def compiled(self) -> Compiled:
        return Compiled("small.onnx", "as asked for", 500, self.network, self.evaluation, self.deployed)


@pytest.fixture(scope="session")
def make_report(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Report]:
    path = small_network.write_model(tmp_path_factory.mktemp("model") / "small.onnx")
    trained = nc.Model.read(path)

    def make(options: nc.Options | None = None, samples: int = 7) -> Report:
        chosen = options or nc.Options(code="rate", steps=20, balance="channel")
        network = nc.compile(trained, small_network.images(50, seed=3), chosen)
        evaluation = network.evaluate(small_network.images(40), small_network.labels(40))
        result = network.deploy("numpy").run(small_network.images(samples))
        return Report(network, evaluation, Comparison.of("numpy", [result], [result]), result)

    return make


@pytest.fixture(scope="session")
def report(make_report: Callable[..., Report]) -> Report:
    return make_report()


@pytest.fixture
def spoiled(report: Report) -> Comparison:
    """A run on a target that lost three spikes."""
    spikes = {name: stream.copy() for name, stream in report.result.spikes.items()}
    fired = np.argwhere(spikes["rectified"])[:3]
    spikes["rectified"][tuple(fired.T)] = False
    activity = {name: replace(a, events=a.events - 3) for name, a in report.result.activity.items()}
    result = Result(report.result.potentials, activity, spikes, 0.5)
    return Comparison.of("lava", [result], [report.result])
