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


def test_a_chip(cli: Callable[..., Any]) -> None:
    outcome = cli("check", "small.onnx", "--target", "lava", "--chip", "loihi2")
    assert (outcome.status, outcome.err) == (0, "")
    assert "2 cores on 1 chip of 120, 11 neurons" in outcome.out
    assert "  chip 0: 0 rectified, 1 decoder\n" in outcome.out
    assert "needs microcode: rectified\n" in outcome.out
    report = json.loads(cli("check", "small.onnx", "--chip", "loihi2", "--json").out)["mapping"]
    assert (report["chip"]["name"], report["chips"], report["cores"], report["neurons"]) == ("loihi2", 1, 2, 11)
    assert [layer["name"] for layer in report["layers"]] == ["rectified", "decoder"]
    assert [(core["layer"], core["values"], core["chip"], core["core"]) for core in report["placement"]] == [
        ("rectified", [[0, 8]], 0, 0),
        ("decoder", [[0, 3]], 0, 1),
    ]
    assert report["violations"] == []


def test_loihi_1_resets_to_zero(cli: Callable[..., Any]) -> None:
    outcome = cli("check", "small.onnx", "--target", "lava", "--chip", "loihi1")
    assert outcome.status == 0
    assert "needs" not in outcome.out
    outcome = cli("check", "small.onnx", "--target", "lava", "--chip", "loihi1", "--code", "digit")
    assert outcome.status == 2
    assert "node 'rectified' (DigitNeurons): sends more than spikes of one bit" in outcome.out


def test_a_chip_that_a_network_does_not_fit(cli: Callable[..., Any], folder: Path) -> None:
    nodes = [
        helper.make_node("Gemm", ["image", "w"], ["wide"], "wide"),
        helper.make_node("Relu", ["wide"], ["spikes"], "spikes"),
        helper.make_node("Gemm", ["spikes", "u"], ["y"], "narrow"),
    ]
    weights = {"w": np.ones((small_network.FEATURES, 5000)), "u": np.ones((5000, 2))}
    small_network.write_nodes(folder / "wide.onnx", nodes, weights)
    outcome = cli("check", "wide.onnx", "--target", "lava", "--chip", "loihi1")
    assert outcome.status == 2
    assert "wide.onnx does not convert for lava" in outcome.out
    problem = "node 'decoder' (Decoder): a single neuron takes 5000 input axons; a core of loihi1 has 4096"
    assert f"{problem}\n  remedy: narrow or pool the layer before it\n" in outcome.out
    assert "in 122 %" in outcome.out
    assert cli("check", "wide.onnx", "--target", "lava", "--chip", "loihi2").status == 0


def test_a_chip_that_does_not_exist(cli: Callable[..., Any]) -> None:
    outcome = cli("check", "small.onnx", "--chip", "loihi3")
    assert outcome.status == 2
    assert "loihi3" in outcome.err
