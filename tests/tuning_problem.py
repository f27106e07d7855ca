"""A problem that a small network solves, with a spiking one that loses some of it in two steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import small_network

import neurocompile as nc
from neurocompile.ir import Array

OPTIONS = nc.Options(code="rate", steps=2, precision="int8", balance="max")
"""Thresholds at the largest activations leave most to be learned."""


def arrays(trained: nc.Model, count: int = 400) -> dict[str, Array]:
    """Images, and what the original network decides, as a data file for tuning has them."""
    x_train, x_test = small_network.images(count, seed=5), small_network.images(200, seed=6)
    y_train, y_test = (trained.reference.run(x).argmax(axis=1) for x in (x_train, x_test))
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def solved(folder: Path, count: int = 400) -> tuple[nc.Model, nc.TrainingData]:
    """Write the network's file, and give the network with data."""
    trained = nc.Model.read(small_network.write_model(folder / "small.onnx", hidden=24))
    found = arrays(trained, count)
    return trained, nc.TrainingData(**found, x_calibration=found["x_train"][:100])


def spikes(network: nc.Network) -> Array:
    result = network.deploy("numpy").run(small_network.images(20, seed=8))
    return np.concatenate([stream.reshape(-1) for stream in result.spikes.values()])
