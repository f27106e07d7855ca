from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import small_network
from onnx import helper


def write(path: Path, *operators: str) -> None:
    nodes = [helper.make_node("Gemm", ["image", "w"], ["v0"], "scores")]
    for i, operator in enumerate(operators):
        output = "y" if i == len(operators) - 1 else f"v{i + 1}"
        nodes.append(helper.make_node(operator, [f"v{i}"], [output], f"node{i}"))
    small_network.write_nodes(path, nodes, {"w": np.ones((small_network.FEATURES, 3))})


def test_a_network_that_converts(cli: Callable[..., Any]) -> None:
    outcome = cli("check", "small.onnx", "--target", "lava")
    assert (outcome.status, outcome.err) == (0, "")
    assert "small.onnx converts for lava" in outcome.out
    assert "83 parameters" in outcome.out
    assert "1 layer of 8 neurons, 72 synapses" in outcome.out
    assert "estimate for 1,000 images over 8 steps" in outcome.out


def test_a_network_that_does_not(cli: Callable[..., Any], folder: Path) -> None:
    write(folder / "odd.onnx", "Det", "Sigmoid", "NonZero", "Relu")
    outcome = cli("check", "odd.onnx")
    assert outcome.status == 2
    assert "odd.onnx does not convert for numpy" in outcome.out
    assert "node 'node0' (Det): has no spiking form" in outcome.out
    assert outcome.out.count("remedy:") == 2


def test_approximations(cli: Callable[..., Any], folder: Path) -> None:
    write(folder / "curved.onnx", "Tanh", "Relu")
    outcome = cli("check", "curved.onnx")
    assert outcome.status == 0
    assert "tanh" in outcome.out
    assert "at most 1 %" in outcome.out


def test_json(cli: Callable[..., Any], folder: Path) -> None:
    write(folder / "odd.onnx", "Det", "Relu")
    outcome = cli("check", "odd.onnx", "--json", "--steps", "8", "--images", "5")
    assert outcome.status == 2
    report = json.loads(outcome.out)
    assert (report["report"], report["converts"], report["size"]) == ("check", False, None)
    assert report["issues"][0]["op"] == "Det"
    assert report["estimate"] == {"images": 5, "steps": 8, "memory_bytes": None, "seconds": None}
