"""Image classifiers of all the well-known topologies, with random weights."""

from __future__ import annotations

import numpy as np
import pytest
from light_zoo import NAMES, STEPS, WITH_LRN, difference, image, run_spikes, saved

import neurocompile as nc
from neurocompile.errors import ModelError
from neurocompile.frontends.model import Model

QUICK = ("squeezenet", "shufflenet", "resnet50")
"""Those whose compilation takes seconds; ``python tests/proof/light_zoo.py`` compiles all of them."""


@pytest.mark.parametrize("name", NAMES)
def test_layers_equal_onnxruntime(name: str) -> None:
    with saved(name, lrn=False) as path:
        assert difference(Model.read(path), image()) < 1e-5


@pytest.mark.parametrize("name", WITH_LRN)
def test_lrn_alone_is_refused(name: str) -> None:
    with saved(name) as path, pytest.raises(ModelError) as refused:
        Model.read(path)
    assert {issue.op for issue in refused.value.issues} == {"LRN"}


@pytest.mark.parametrize("name", QUICK)
def test_spikes(name: str) -> None:
    with saved(name) as path:
        network = nc.compile(path, image(), nc.Options(code="rate", steps=STEPS, balance="channel"))
    result = run_spikes(network, image())
    assert result.potentials.shape[:2] == (1, STEPS)
    assert network.classes == 1000
    assert np.isfinite(result.potentials).all()
    assert all(activity.events for activity in result.activity.values())
