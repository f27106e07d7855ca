"""Networks on stock Lava's processes alone, against the simulator."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from conformance.networks import (
    Builder,
    Network,
    bias_map,
    compiled,
    conv_of_conv,
    deep,
    dense_block,
    global_average_pool,
    images,
    mlp,
    one_score,
    pool_of_spikes,
    residual,
    shares,
    two_shortcuts,
    windows,
)
from neurocompile_lava import plan, stock, stock_parts, stock_plan
from neurocompile_lava import runtime as lava_runtime
from neurocompile_lava.stock import StockLavaBackend, StockLavaExecutable

from neurocompile.backend import compile_for
from neurocompile.errors import BackendError
from neurocompile.ir import Array, Graph, Node
from neurocompile.ir.layers import AvgPool
from neurocompile.ir.processes import ConvSynapses, Decoder, Encoder, GradedNeurons, Neurons, PoolSynapses
from neurocompile.options import Options

STEPS, IMAGES = 12, 4
ZERO = Options(code="rate", reset="zero", signed=False)
INT8 = Options(code="rate", reset="zero", signed=False, precision="int8")
SUBTRACT = Options(code="rate", precision="int8", target="lava-stock")
GRADED = Options(code="graded", precision="int8", target="lava-stock")

NETWORKS = (
    mlp,
    deep,
    global_average_pool,
    residual,
    two_shortcuts,
    bias_map,
    windows,
    dense_block,
    shares,
    one_score,
)


def problems(graph: Graph) -> list[tuple[str | None, str]]:
    return [(issue.node, issue.problem) for issue in StockLavaBackend().check(graph)]


def compare(graph: Graph, x: Array, python: Path) -> None:
    """Compare every spike of every layer, and what the outputs accumulate."""
    layers = {node.name: node.op for node in graph.nodes if isinstance(node.op, Neurons)}
    names = list(layers)
    steps = 1 if any(isinstance(op, GradedNeurons) for op in layers.values()) else STEPS
    found = StockLavaExecutable(graph, python).run(x, steps=steps, probes=names)
    expected = compile_for("numpy", graph).run(x, steps=steps, probes=names)
    np.testing.assert_array_equal(found.potentials, expected.potentials)
    for name in names:
        assert found.spikes[name].dtype == layers[name].sends
        assert expected.spikes[name].any()
        np.testing.assert_array_equal(found.spikes[name], expected.spikes[name])
    assert found.activity == expected.activity


@pytest.mark.parametrize("network", NETWORKS)
def test_integers_are_equal(network: Network, lava_python: Path) -> None:
    layers = network()
    graph = compiled(layers, INT8)
    assert problems(graph) == []
    compare(graph, images(layers, IMAGES), lava_python)


@pytest.mark.parametrize("options", [GRADED, SUBTRACT], ids=["graded", "subtract"])
@pytest.mark.parametrize("network", NETWORKS)
def test_copies_are_equal(network: Network, options: Options, lava_python: Path) -> None:
    """Images run side by side, in neurons that can't be set back and get their biases through synapses."""
    layers = network()
    graph = compiled(layers, options)
    assert problems(graph) == []
    compare(graph, images(layers, IMAGES), lava_python)


def test_a_large_network_runs_again_for_each_image(lava_python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = compiled(mlp(), GRADED)
    monkeypatch.setattr(stock, "_SYNAPSES", 1)
    compare(graph, images(mlp(), 2), lava_python)


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("options", [INT8, ZERO], ids=["integers", "reals"])
def test_images_follow_each_other(
    options: Options, copies: int, lava_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one leaves behind would be seen in the next; with three copies, the second round is not full."""
    graph = compiled(residual(), options)
    monkeypatch.setattr(stock, "_SYNAPSES", copies * stock_plan.plan(graph).synapses)
    compare(graph, images(residual(), IMAGES), lava_python)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (Options(code="graded", precision="int8"), "its thresholds or biases are none that stock neurons hold"),
        (Options(code="rate", signed=False, precision="int8"), "its thresholds or biases are none"),
        (Options(code="graded"), "stock Lava has neurons for its code in integers only"),
    ],
)
def test_what_was_compiled_for_another_target_is_refused(options: Options, problem: str) -> None:
    with pytest.raises(BackendError, match=problem) as raised:
        StockLavaBackend().compile(compiled(mlp(), options))
    assert [issue.node for issue in raised.value.issues] == ["relu2", "relu4"]


@pytest.mark.parametrize("network", [mlp, residual])
def test_reals_are_equal(network: Network, lava_python: Path) -> None:
    layers = network()
    compare(compiled(layers, ZERO), images(layers, IMAGES), lava_python)


def test_poisson_spikes_of_both_signs(lava_python: Path) -> None:
    graph = compiled(mlp(), Options(code="rate", reset="zero", signed=False, precision="int8", encoder="poisson"))
    compare(graph, images(mlp(), IMAGES) * np.array([1, -1] * 7), lava_python)


def test_a_network_runs_again_where_there_is_no_room_to_record_all(
    lava_python: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = compiled(residual(), INT8)
    monkeypatch.setattr(plan, "MOST_PROCESSES", len(stock_plan.plan(graph).processes) + 2)
    compare(graph, images(residual(), IMAGES), lava_python)


@pytest.mark.parametrize("options", [GRADED, SUBTRACT, INT8, ZERO], ids=["graded", "subtract", "zero", "reals"])
def test_deep_networks_run_in_parts(options: Options, lava_python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What leads around a layer is read from a part before."""
    monkeypatch.setattr(stock_parts, "MOST_PROCESSES", 10)
    graph = compiled(residual(), options)
    parts = stock_parts.subgraphs(graph)
    assert [len(part.inputs) for part in parts] == [1, 2, 2]
    assert all(len(stock_plan.plan(part).processes) <= 8 for part in parts)
    compare(graph, images(residual(), IMAGES), lava_python)


def test_a_layer_of_too_many_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock_parts, "MOST_PROCESSES", 4)
    found = problems(compiled(residual(), INT8))
    assert {problem for _, problem in found} >= {"takes 6 Lava processes; more than 4 start slowly or never"}


def test_only_neurons_are_recorded() -> None:
    executable = StockLavaExecutable(compiled(mlp(), INT8), Path("python"))
    with pytest.raises(BackendError, match=r"Lava does not record \['decoder'\]"):
        executable.run(images(mlp(), 1), steps=1, probes=["decoder"])


def test_every_process_that_is_not_stock_is_named() -> None:
    graph = compiled(pool_of_spikes(), Options(code="digit", precision="int8"))
    found = problems(graph)
    neurons = {problem for _, problem in found if "neurons" in problem}
    assert neurons == {"stock Lava has no such neurons"}
    assert "stock Lava has no max pool" in {problem for _, problem in found}


def test_weights_of_weights_are_refused() -> None:
    found = dict(problems(compiled(conv_of_conv(), ZERO)))
    assert "its currents go on through weights, which need neurons between" in found.values()


def test_a_pool_of_currents_that_were_rounded_is_refused() -> None:
    graph = Graph(
        (
            Node("x", Encoder((1, 4), levels=1, integer=True)),
            Node("weights", ConvSynapses(np.ones((2, 1, 1), np.int8), -1), ("x",)),
            Node("pool", PoolSynapses((2,)), ("weights",)),
            Node("decoder", Decoder(np.zeros(1, np.int64)), ("pool",)),
        ),
        ("decoder",),
    )
    assert problems(graph) == [("weights", "its currents are rounded before they are summed up by a pool")]


def test_a_path_that_waits_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stock_plan, "MOST_DELAY", 0)
    found = [problem for _, problem in problems(compiled(residual(), INT8))]
    assert "a path to it has to wait 1 steps, and synapses wait 0 at most" in found


def test_windows_that_add_weights_up_beyond_eight_bits_are_refused() -> None:
    b = Builder(1, 6)
    b.conv(3, 1)
    b.relu()
    b.add(AvgPool((3,), (1,)))
    b.conv(3, 3)
    with pytest.raises(BackendError, match="a pool with overlapping windows makes weights of"):
        StockLavaBackend().compile(compiled(b.classify(), INT8))


def test_a_folder_that_can_not_be_written_is_named(
    lava_python: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(BackendError, match="the files of a run on Lava can't be written"):
        StockLavaExecutable(compiled(mlp(), INT8), lava_python).run(images(mlp(), 1), steps=1)


def test_the_runtime_is_the_same(monkeypatch: pytest.MonkeyPatch, lava_python: Path) -> None:
    monkeypatch.setenv(lava_runtime.PYTHON_VARIABLE, str(lava_python))
    StockLavaBackend().compile(compiled(mlp(), INT8)).close()
