from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
import small_network

import neurocompile as nc
from neurocompile.budget import Budget, LayerLoss, Share
from neurocompile.causes import Cause
from neurocompile.report import document
from neurocompile.report.deployed import Comparison
from neurocompile.search import Search, Tried
from neurocompile.significance import PairedLoss, share_at_most


def as_read(value: dict[str, Any]) -> dict[str, Any]:
    """What a reader of the JSON gets; NaN and the like are none."""
    found: dict[str, Any] = json.loads(json.dumps(value, allow_nan=False))
    return found


def test_a_compilation_has_the_documented_fields(report: Any) -> None:
    evaluation, deployed = report.evaluation, report.deployed
    found = as_read(document.compiled(report.compiled))
    assert (found["schema"], found["report"], found["model"]) == (1, "compile", "small.onnx")
    options = nc.Options(code="rate", steps=20, balance="channel", percentile=99.9, signed=False)
    assert found["options"] == dataclasses.asdict(options)
    assert found["calibration_images"] == 500
    assert found["code"] == {"name": "rate", "reason": "as asked for"}
    assert (found["data"], found["budget"], found["steps_search"]) == ("given", None, None)
    assert found["ann"] == {"accuracy": evaluation.ann_accuracy}
    snn = found["snn"]
    assert snn["accuracy"] == snn["accuracy_by_step"][-1] == evaluation.accuracy
    assert snn["accuracy_by_step"] == evaluation.accuracy_by_step.tolist()
    assert (snn["images"], snn["steps"], snn["neurons"]) == (40, 20, 8)
    assert snn["agreement"] == evaluation.agreement
    assert snn["seconds"] == evaluation.seconds
    assert snn["spikes_per_neuron"] == evaluation.spikes_per_neuron
    assert snn["synaptic_operations"] == evaluation.synaptic_operations
    assert found["loss"] == {
        "points": evaluation.loss_points,
        "relative": evaluation.loss_relative,
        "low": evaluation.loss.low,
        "high": evaluation.loss.high,
        "confidence": 0.95,
        "p_value": evaluation.loss.p_value,
        "only_ann_right": evaluation.loss.only_ann_right,
        "only_snn_right": evaluation.loss.only_snn_right,
    }
    assert snn["changed_decisions"] == evaluation.changed_decisions
    assert snn["changed_at_most"] == evaluation.changed_at_most
    assert found["deployment"] == {
        "target": "numpy",
        "samples": 7,
        "spikes": deployed.ran.spikes,
        "spike_mismatches": 0,
        "output_mismatches": 0,
        "mismatches_by_layer": {"rectified": 0, "potentials": 0},
        "spikes_sha256": deployed.ran.digest,
        "seconds": deployed.ran.seconds,
    }


def test_shares_are_fractions_and_the_loss_is_in_points(report: Any) -> None:
    found = document.compiled(report.compiled)
    ann, snn = found["ann"]["accuracy"], found["snn"]["accuracy"]
    assert all(0 <= share <= 1 for share in (ann, snn, found["snn"]["agreement"]))
    assert found["loss"]["points"] == 100 * (ann - snn)
    assert found["loss"]["low"] <= found["loss"]["points"] <= found["loss"]["high"]
    changed, images = found["snn"]["changed_decisions"], found["snn"]["images"]
    assert changed / images == pytest.approx(1 - found["snn"]["agreement"])
    assert changed / images <= found["snn"]["changed_at_most"] <= 1


def test_the_layers_add_up(report: Any) -> None:
    snn = document.compiled(report.compiled)["snn"]
    assert [(layer["name"], layer["neurons"]) for layer in snn["layers"]] == [("image", None), ("rectified", 8)]
    assert sum(layer["synaptic_operations"] for layer in snn["layers"]) == snn["synaptic_operations"]
    assert snn["layers"][1]["events"] / 8 == snn["spikes_per_neuron"]


def test_the_budget_holds_every_cause_of_every_layer(report: Any) -> None:
    causes: dict[Cause, Share] = {"clipping": Share(0.5, 0.25), "arrival": Share(-0.125, 0.5)}
    budget = Budget(40, 1.0, (LayerLoss("hidden", causes, {"arrival": "--wait"}), LayerLoss("decoder", {})))
    found = as_read(document.compiled(dataclasses.replace(report.compiled, budget=budget)))["budget"]
    assert found == {
        "images": 40,
        "points": 1.0,
        "remainder": 0.625,
        "by_cause": {"clipping": 0.5, "arrival": -0.125},
        "layers": [
            {
                "name": "hidden",
                "points": 0.375,
                "error": pytest.approx(math.hypot(0.25, 0.5)),
                "causes": {
                    "clipping": {"points": 0.5, "error": 0.25},
                    "arrival": {"points": -0.125, "error": 0.5},
                },
                "remedy": "--wait",
            },
            {"name": "decoder", "points": 0, "error": 0.0, "causes": {}, "remedy": "leave it as it is"},
        ],
    }


def test_the_measured_budget_can_be_written(report: Any) -> None:
    budget = report.network.loss_budget(small_network.images(40), small_network.labels(40))
    found = as_read(document.compiled(dataclasses.replace(report.compiled, budget=budget)))["budget"]
    assert {layer["name"] for layer in found["layers"]} == {"image", "rectified", "decoder"}
    assert found["points"] == pytest.approx(report.evaluation.loss_points)
    assert found["points"] == pytest.approx(sum(found["by_cause"].values()) + found["remainder"])


def test_the_search_for_steps(report: Any) -> None:
    tried = (Tried(1, 25, 3, None), Tried(2, 25, 1, PairedLoss(25, 1, 0)))
    found = as_read(document.compiled(dataclasses.replace(report.compiled, search=Search(5.0, tried))))
    first, second = found["steps_search"].pop("tried")
    assert found["steps_search"] == {"tolerance": 5.0, "reached": True, "chosen": 2}
    expected = {"steps": 1, "images": 25, "changed": 3, "points": 12.0, "at_most": 100 * share_at_most(3, 25)}
    assert first == expected
    assert second == {"steps": 2, "images": 25, "changed": 1, "points": 4.0, "at_most": PairedLoss(25, 1, 0).high}


def test_mismatches(report: Any, spoiled: Comparison) -> None:
    found = as_read(document.compiled(dataclasses.replace(report.compiled, deployed=spoiled)))["deployment"]
    assert (found["target"], found["spike_mismatches"]) == ("lava", 3)
    assert found["mismatches_by_layer"] == {"rectified": 3, "potentials": 0}


def test_a_loaded_network_has_null_for_what_is_not_known(report: Any) -> None:
    evaluation = dataclasses.replace(report.evaluation, ann_accuracy=None, agreement=None, loss=None)
    found = as_read(document.compiled(dataclasses.replace(report.compiled, evaluation=evaluation)))
    assert found["ann"]["accuracy"] is None
    assert len(found["loss"]) == 8
    assert set(found["loss"].values()) == {None}
    snn = found["snn"]
    assert (snn["agreement"], snn["changed_decisions"], snn["changed_at_most"]) == (None,) * 3


def test_a_run_has_the_documented_fields(report: Any) -> None:
    found = as_read(document.ran("small.nc", "numpy", 20, report.deployed.ran))
    assert found == {
        "schema": 1,
        "report": "run",
        "neurocompile": found["neurocompile"],
        "deployment": "small.nc",
        "target": "numpy",
        "images": 7,
        "steps": 20,
        "decisions": report.result.decisions[:, -1].tolist(),
        "spikes": {name: activity.events for name, activity in report.result.activity.items()},
        "spikes_sha256": report.deployed.ran.digest,
        "seconds": report.result.seconds,
    }
