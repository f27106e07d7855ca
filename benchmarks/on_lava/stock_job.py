"""Writes a workload for ``restart.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from simulation.workloads import Workload


def write(network: Workload, images: int, steps: int, file: Path) -> None:
    """Write a network of layers in a row, with so many images."""
    x = network.images(images)
    arrays: dict[str, Any] = {"images": np.moveaxis(x, 1, -1) if x.ndim > 2 else x}
    layers: list[dict[str, Any]] = []
    given = network.shape
    for number, (layer, shape) in enumerate(zip(network.layers, network.shapes, strict=True)):
        (branch,) = layer.branches
        weight = branch.weight.astype(np.int32 if network.integer else np.float64)
        # Lava shifts a threshold, which would fail for a float, and a process that fails hangs.
        vth = int(layer.threshold) if network.integer else layer.threshold
        described: dict[str, Any] = {"weight": f"weight{number}", "bias": f"bias{number}", "vth": vth}
        if weight.ndim > 2:
            # Lava convolves, where others correlate, and its channels come last.
            weight = weight[:, :, ::-1, ::-1].transpose(0, 2, 3, 1)
            pad = weight.shape[1] // 2
            described |= {"kind": "conv", "stride": [branch.stride] * 2, "padding": [pad] * 2}
            described["shape"] = [*given[1:], given[0]]
        else:
            described["kind"] = "dense"
            if len(given) > 1:
                weight = np.moveaxis(weight.reshape(-1, *given), 1, -1).reshape(len(weight), -1)
        arrays |= {
            f"weight{number}": np.ascontiguousarray(weight),
            f"bias{number}": layer.bias.astype(weight.dtype),
        }
        layers.append(described)
        given = shape
    # What the output neurons have integrated is read at the end, so they must not fire.
    layers[-1]["vth"] = 2**17 - 1
    settings = {"layers": layers, "steps": steps, "fixed": network.integer}
    np.savez(file, **arrays, **{name: json.dumps(value) for name, value in settings.items()})
