"""The report as JSON; ``docs/json.md`` describes the fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping as Fields
from importlib.metadata import version
from typing import Any

from neurocompile.backend import Runtime
from neurocompile.budget import Budget
from neurocompile.checker import Check
from neurocompile.codecs.config import CodingScheme, EncoderConfig
from neurocompile.codecs.metrics.encoding import EncodingMetrics
from neurocompile.evaluate import RATES, Evaluation
from neurocompile.mapping import Mapping
from neurocompile.report.compiled import Compiled
from neurocompile.report.deployed import Ran
from neurocompile.search import Search
from neurocompile.significance import PairedLoss
from neurocompile.tuning.result import Tuned

SCHEMA = 1


def compiled(found: Compiled) -> dict[str, Any]:
    """Describe what ``neurocompile MODEL`` found."""
    network, evaluation, deployed = found.network, found.evaluation, found.deployed
    return {
        **_head("compile"),
        "model": found.model,
        "data": "synthetic" if network.synthetic else "given",
        "calibration_images": found.calibration_images,
        "options": dataclasses.asdict(network.options),
        "code": {"name": network.options.code, "reason": found.reason},
        "approximations": [dataclasses.asdict(approximation) for approximation in network.approximations],
        "ann": {"accuracy": evaluation.ann_accuracy},
        "snn": {
            "accuracy": evaluation.accuracy,
            "accuracy_by_step": [float(a) for a in evaluation.accuracy_by_step],
            "agreement": evaluation.agreement,
            "changed_decisions": evaluation.changed_decisions,
            "changed_at_most": evaluation.changed_at_most,
            "images": evaluation.images,
            "steps": evaluation.steps,
            "early_exit": None if evaluation.early_exit is None else dataclasses.asdict(evaluation.early_exit),
            "seconds": evaluation.seconds,
            "by_reference": list(evaluation.by_reference),
            "neurons": sum(evaluation.neurons.values()),
            "spikes_per_neuron": evaluation.spikes_per_neuron,
            "synaptic_operations": evaluation.synaptic_operations,
            "rates": list(RATES),
            "layers": [
                {
                    "name": name,
                    "neurons": evaluation.neurons.get(name),
                    "events": activity.events / evaluation.images,
                    "synaptic_operations": activity.synaptic_operations / evaluation.images,
                    "neurons_by_rate": evaluation.neurons_by_rate(name),
                }
                for name, activity in evaluation.activity.items()
            ],
        },
        "loss": {
            "points": evaluation.loss_points,
            "relative": evaluation.loss_relative,
            **_significance(evaluation.loss),
        },
        "budget": None if found.budget is None else _budget(found.budget),
        "steps_search": None if found.search is None else _search(found.search),
        "deployment": {
            "target": deployed.target,
            "samples": len(deployed.ran.decisions),
            "spikes": deployed.ran.spikes,
            "spike_mismatches": deployed.spike_mismatches,
            "output_mismatches": deployed.output_mismatches,
            "mismatches_by_layer": dict(deployed.mismatches),
            "spikes_sha256": deployed.ran.digest,
            "seconds": deployed.ran.seconds,
        },
        "mapping": None if found.mapping is None else _mapping(found.mapping),
        "cost": None
        if found.cost is None
        else {**dataclasses.asdict(found.cost), "energy_nj": found.cost.energy_nj},
    }


def ran(deployment: str, target: str, steps: int, result: Ran) -> dict[str, Any]:
    """Describe what ``neurocompile run DEPLOYMENT`` found."""
    return {
        **_head("run"),
        "deployment": deployment,
        "target": target,
        "images": len(result.decisions),
        "steps": steps,
        "decisions": [int(d) for d in result.decisions],
        "spikes": {name: activity.events for name, activity in result.activity.items()},
        "spikes_sha256": result.digest,
        "seconds": result.seconds,
    }


def checked(model: str, check: Check) -> dict[str, Any]:
    """Describe what ``neurocompile check MODEL`` found."""
    return {
        **_head("check"),
        "model": model,
        "target": check.target,
        "converts": check.converts,
        "issues": [dataclasses.asdict(issue) for issue in check.issues],
        "approximations": [dataclasses.asdict(approximation) for approximation in check.approximations],
        "parameters": check.parameters,
        "size": None if check.size is None else dataclasses.asdict(check.size),
        "estimate": {
            "images": check.images,
            "steps": check.steps,
            "memory_bytes": check.memory_bytes,
            "seconds": check.seconds,
        },
        "mapping": None if check.mapping is None else _mapping(check.mapping),
    }


def tuned(model: str, settings: Fields[str, Any], found: Tuned) -> dict[str, Any]:
    """Describe what ``neurocompile tune MODEL`` found."""
    return {
        **_head("tune"),
        "model": model,
        "options": dataclasses.asdict(found.network.options),
        "tuning": {**settings, "device": found.device},
        "threads": found.threads,
        "training_images": found.training_images,
        "held_out_images": found.held_out_images,
        "epochs": [dataclasses.asdict(epoch) for epoch in found.epochs],
        "best_epoch": found.best.number,
        "seconds": found.seconds,
        "test_images": found.after.images,
        "ann": {"accuracy": found.after.ann_accuracy},
        "before": _measured(found.before),
        "after": _measured(found.after),
    }


def _measured(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "accuracy": evaluation.accuracy,
        "accuracy_by_step": [float(a) for a in evaluation.accuracy_by_step],
        "spikes_per_neuron": evaluation.spikes_per_neuron,
        "synaptic_operations": evaluation.synaptic_operations,
    }


def _mapping(mapping: Mapping) -> dict[str, Any]:
    return {
        "chip": dataclasses.asdict(mapping.chip),
        "chips": mapping.chips,
        "cores": len(mapping.cores),
        "neurons": mapping.neurons,
        "layers": [
            {
                "name": layer.name,
                "op": layer.op,
                "shape": layer.shape,
                "part": layer.extents,
                "neurons": layer.neurons,
                "cores": layer.cores,
                "largest": dataclasses.asdict(layer.largest),
                "utilisation": layer.largest.utilisation(mapping.chip),
                "bound_by": layer.bound_by,
                "needs": layer.needs,
            }
            for layer in mapping.layers
        ],
        "placement": [
            {
                "layer": core.layer,
                "values": core.box,
                "chip": core.chip,
                "core": core.index,
                "takes": dataclasses.asdict(core.footprint),
                "bound_by": core.footprint.bound_by(mapping.chip),
            }
            for core in mapping.cores
        ],
        "violations": [dataclasses.asdict(issue) for issue in mapping.violations],
    }


def encoded(
    file: str, shape: tuple[int, int], config: EncoderConfig, metrics: dict[CodingScheme, EncodingMetrics]
) -> dict[str, Any]:
    """Describe what ``neurocompile encode FILE --report`` measured."""
    samples, channels = shape
    options = config.to_dict()
    del options["coding_scheme"]
    return {
        **_head("encode"),
        "file": file,
        "samples": samples,
        "channels": channels,
        "options": options,
        "schemes": [{"scheme": name, **dataclasses.asdict(each)} for name, each in metrics.items()],
    }


def runtime(found: Runtime) -> dict[str, Any]:
    """Describe what ``neurocompile lava status`` found."""
    return {
        **_head("lava status"),
        "works": found.issue is None,
        "python": None if found.python is None else str(found.python),
        "version": found.version,
        "named_by": found.named_by,
        "made": [{"folder": str(folder), "bytes": size} for folder, size in found.made.items()],
        "issue": None if found.issue is None else dataclasses.asdict(found.issue),
    }


def _budget(budget: Budget) -> dict[str, Any]:
    return {
        "images": budget.images,
        "points": budget.points,
        "remainder": budget.remainder,
        "by_cause": dict(budget.by_cause),
        "layers": [
            {
                "name": layer.layer,
                "points": layer.points,
                "error": layer.error,
                "causes": {cause: dataclasses.asdict(share) for cause, share in layer.causes.items()},
                "remedy": layer.remedy,
            }
            for layer in budget.layers
        ],
    }


def _search(search: Search) -> dict[str, Any]:
    return {
        "tolerance": search.tolerance,
        "reached": search.reached,
        "chosen": search.chosen.steps,
        "tried": [
            {
                "steps": tried.steps,
                "images": tried.images,
                "changed": tried.changed,
                "points": tried.points,
                "at_most": tried.at_most,
            }
            for tried in search.tried
        ],
    }


def _significance(loss: PairedLoss | None) -> dict[str, Any]:
    names = ("low", "high", "confidence", "p_value", "only_ann_right", "only_snn_right")
    return {name: None if loss is None else getattr(loss, name) for name in names}


def _head(kind: str) -> dict[str, Any]:
    return {"schema": SCHEMA, "report": kind, "neurocompile": version("neurocompile")}
