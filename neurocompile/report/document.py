"""The report as JSON; ``docs/json.md`` describes the fields."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from typing import Any

from neurocompile.checker import Check
from neurocompile.evaluate import Evaluation
from neurocompile.network import Network
from neurocompile.report.deployed import Comparison, Ran

SCHEMA = 1


def compiled(model: str, network: Network, evaluation: Evaluation, deployed: Comparison) -> dict[str, Any]:
    """Describe what ``neurocompile MODEL`` found."""
    return {
        **_head("compile"),
        "model": model,
        "options": dataclasses.asdict(network.options),
        "approximations": [dataclasses.asdict(approximation) for approximation in network.approximations],
        "ann": {"accuracy": evaluation.ann_accuracy},
        "snn": {
            "accuracy": evaluation.accuracy,
            "accuracy_by_step": [float(a) for a in evaluation.accuracy_by_step],
            "agreement": evaluation.agreement,
            "images": evaluation.images,
            "steps": evaluation.steps,
            "seconds": evaluation.seconds,
            "neurons": sum(evaluation.neurons.values()),
            "spikes_per_neuron": evaluation.spikes_per_neuron,
            "synaptic_operations": evaluation.synaptic_operations,
            "layers": [
                {
                    "name": name,
                    "neurons": evaluation.neurons.get(name),
                    "events": activity.events / evaluation.images,
                    "synaptic_operations": activity.synaptic_operations / evaluation.images,
                }
                for name, activity in evaluation.activity.items()
            ],
        },
        "loss": {"points": evaluation.loss_points, "relative": evaluation.loss_relative},
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
    }


def _head(kind: str) -> dict[str, Any]:
    return {"schema": SCHEMA, "report": kind, "neurocompile": version("neurocompile")}
