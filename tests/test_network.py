from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import onnx
import pytest
import small_network
from neurocompile_numpy.backend import NumpyExecutable
from onnx import TensorProto
from small_network import CLASSES, FEATURES, images, labels

import neurocompile as nc
from neurocompile.errors import BackendError, DataError, DeploymentError, GraphError, ModelError
from neurocompile.ir import Graph, Node, archive
from neurocompile.ir.layers import Input, Linear, ReLU
from neurocompile.ir.processes import Encoder
from neurocompile.options import Balance, Precision
from neurocompile.passes import pipeline
from neurocompile.passes.approximate import Approximation

X = images(40)
Y = labels(40)
CALIBRATION = images(50, seed=3)

CODES: dict[str, dict[str, Any]] = {
    "digit": {"code": "digit", "steps": 6},
    "graded": {"code": "graded", "bits": 5},
    "signed": {"code": "rate", "steps": 12, "signed": True},
    "wait": {"code": "rate", "steps": 12, "wait": True},
    "unsigned": {"code": "rate", "steps": 12, "signed": False},
    "zero": {"code": "rate", "steps": 12, "reset": "zero"},
}
ENDS: dict[str, dict[str, Any]] = {
    "constant-membrane": {},
    "poisson-membrane": {"encoder": "poisson"},
    "constant-count": {"decoder": "count"},
    "poisson-count": {"encoder": "poisson", "decoder": "count"},
}

CHOICES = {
    "-".join((code, precision, ends, balance)): nc.Options(
        **CODES[code], **ENDS[ends], precision=precision, balance=balance, percentile=99.0
    )
    for code, precision, ends, balance in itertools.product(CODES, get_args(Precision), ENDS, get_args(Balance))
    if (not ENDS[ends] or CODES[code]["code"] == "rate") and (code, balance) != ("digit", "ridge")
}


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_network.write_model(tmp_path_factory.mktemp("model") / "small.onnx")


@pytest.fixture(scope="module")
def model(onnx_file: Path) -> nc.Model:
    return nc.Model.read(onnx_file)


@pytest.fixture(scope="module")
def network(onnx_file: Path) -> nc.Network:
    return nc.compile(onnx_file, calibration=CALIBRATION)


@pytest.fixture(scope="module")
def rates(onnx_file: Path) -> nc.Network:
    return nc.compile(onnx_file, CALIBRATION, nc.Options(code="rate", balance="channel"))


def decisions(model: nc.Model, x: np.ndarray) -> np.ndarray:
    return model.reference.run(x).argmax(axis=1)


# ---------------------------------------------------------------- reading a model


def test_a_model_tells_what_it_takes_and_gives(model: nc.Model) -> None:
    assert (model.entry.shape, model.entry.dtype, model.classes) == ((FEATURES,), "float32", CLASSES)


def test_the_import_check_accepts_what_was_read(model: nc.Model) -> None:
    model.check_import(X[:4])


def test_the_import_check_finds_a_tampered_graph(model: nc.Model) -> None:
    def tampered(node: Node) -> Node:
        if isinstance(node.op, Linear) and node.name == "scores":
            changed = dataclasses.replace(node.op, weight=node.op.weight * 1.01)
            return dataclasses.replace(node, op=changed)
        return node

    graph = Graph(tuple(tampered(node) for node in model.graph.nodes), model.graph.outputs)
    with pytest.raises(GraphError, match=r"differs by .* from ONNX Runtime's result") as caught:
        nc.compile(nc.Model(graph, model.reference), CALIBRATION)
    assert "report this" in str(caught.value)


def test_the_import_check_finds_nan(model: nc.Model) -> None:
    weight = np.full((CLASSES, FEATURES), np.nan)
    nodes = (Node("x", Input((FEATURES,))), Node("y", Linear(weight, np.zeros(CLASSES)), ("x",)))
    with pytest.raises(GraphError, match="by nan"):
        nc.Model(Graph(nodes, ("y",)), model.reference).check_import(X[:4])


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't read"):
        nc.compile(tmp_path / "missing.onnx", CALIBRATION)


# ---------------------------------------------------------------- compiling


@pytest.mark.parametrize("options", CHOICES.values(), ids=list(CHOICES))
def test_every_choice_compiles_runs_and_is_stored(model: nc.Model, options: nc.Options, tmp_path: Path) -> None:
    network = nc.compile(model, CALIBRATION, options)
    result = network.deploy("numpy").run(X[:8])
    assert result.potentials.shape == (8, network.steps, CLASSES)
    assert result.spikes["rectified"].any()
    network.save(tmp_path / "network")
    loaded = nc.load(tmp_path / "network")
    assert (loaded.graph, loaded.reference) == (network.graph, None)
    assert loaded.options == network.options == options.resolved(("digit", "graded", "rate"))
    assert loaded.steps == network.steps == network.options.spiking_code.steps
    again = loaded.deploy("numpy").run(X[:8])
    assert np.array_equal(again.potentials, result.potentials)
    assert all(np.array_equal(again.spikes[name], stream) for name, stream in result.spikes.items())


@pytest.mark.parametrize("precision", ["float", "int8"])
@pytest.mark.parametrize("decoder", ["membrane", "count"])
def test_many_steps_come_to_the_networks_decisions(model: nc.Model, precision: Any, decoder: Any) -> None:
    options = nc.Options(code="rate", steps=512, precision=precision, decoder=decoder, balance="channel")
    found = nc.compile(model, CALIBRATION, options).deploy("numpy").run(X).decisions[:, -1]
    assert np.mean(found == decisions(model, X)) >= 0.9


def test_the_membrane_decoder_reads_no_spikes_of_outputs(model: nc.Model) -> None:
    network = nc.compile(model, CALIBRATION, nc.Options(code="rate", steps=16, decoder="membrane"))
    assert network.neurons == {"rectified": 8}
    potentials = network.deploy("numpy").run(X).potentials
    assert (np.diff(potentials, axis=1) < 0).any()


def test_the_count_decoder_counts_spikes_of_outputs(model: nc.Model) -> None:
    network = nc.compile(model, CALIBRATION, nc.Options(code="rate", steps=16, decoder="count", signed=False))
    (outputs,) = set(network.neurons) - {"rectified"}
    assert network.neurons[outputs] == CLASSES
    result = network.deploy("numpy").run(X)
    counts = np.cumsum(result.spikes[outputs].astype(int), axis=1)
    unit = result.potentials.max() / counts.max()
    np.testing.assert_allclose(result.potentials, unit * counts)


def test_an_input_of_bytes_has_255_levels(tmp_path: Path) -> None:
    path = small_network.write_model(tmp_path / "bytes.onnx", dtype=TensorProto.UINT8)
    x = np.random.default_rng(0).integers(0, 255, (20, FEATURES), dtype=np.uint8)
    network = nc.compile(path, x)
    encoder = network.graph.inputs[0].op
    assert isinstance(encoder, Encoder)
    assert (encoder.ceiling, encoder.levels) == (255.0, 255)


def test_calibration_images_of_nothing_but_zeros_compile(model: nc.Model) -> None:
    for code, steps in (("digit", 8), ("graded", 1), ("rate", 32)):
        network = nc.compile(model, np.zeros((5, FEATURES)), nc.Options(code=code))
        assert network.deploy("numpy").run(X[:2]).potentials.shape == (2, steps, CLASSES)


def test_progress_tells_the_stages(model: nc.Model) -> None:
    told: list[tuple[str, int, int]] = []
    network = nc.compile(model, CALIBRATION, progress=lambda *now: told.append(now))
    assert told == [("compiling", i, 4) for i in range(5)]
    told.clear()
    network.evaluate(X, Y, progress=lambda *now: told.append(now))
    assert told[-1] == ("simulating", len(X), len(X))


@pytest.mark.parametrize(
    "options",
    [
        nc.Options(),
        nc.Options(code="graded", precision="int8"),
        nc.Options(code="rate"),
        nc.Options(precision="int8", encoder="poisson", seed=7),
    ],
)
def test_compiling_twice_gives_the_same_bytes(onnx_file: Path, tmp_path: Path, options: nc.Options) -> None:
    first, second = (nc.compile(onnx_file, CALIBRATION, options) for _ in range(2))
    assert first.graph == second.graph
    first.save(tmp_path / "first")
    second.save(tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_another_seed_gives_other_poisson_spikes(model: nc.Model) -> None:
    first, same, other = (
        nc.compile(model, CALIBRATION, nc.Options(encoder="poisson", seed=seed)).deploy("numpy").run(X).potentials
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("x", "problem"),
    [
        (np.zeros((0, FEATURES)), "holds no images"),
        (np.zeros((4, FEATURES + 1)), r"shape \(4, 7\); the network takes \(N, 6\)"),
        (np.zeros(FEATURES), r"shape \(6,\)"),
        (np.float64(1), r"shape \(\)"),
        (np.full((4, FEATURES), np.nan), "NaN or infinite values in 4 images"),
        (np.full((4, FEATURES), "a"), "not numbers"),
    ],
)
def test_calibration_images_that_do_not_fit(model: nc.Model, x: np.ndarray, problem: str) -> None:
    with pytest.raises(DataError, match=f"^calibration .*{problem}") as caught:
        nc.compile(model, x)
    assert caught.value.issues[0].remedy


# ---------------------------------------------------------------- options


def test_numpys_integers_are_stored_too(model: nc.Model, tmp_path: Path) -> None:
    options = nc.Options(steps=np.int64(8), bits=np.int8(5), seed=np.uint8(3))
    nc.compile(model, CALIBRATION, options).save(tmp_path / "network")
    assert nc.load(tmp_path / "network").options == nc.Options(steps=8, bits=5, seed=3).resolved(ALL_CODES)


ALL_CODES = ("digit", "graded", "rate")


def test_synthetic_images_choose_the_largest_value_of_each_channel(model: nc.Model) -> None:
    for code in ALL_CODES:
        found = nc.compile(model, options=nc.Options(code=code))
        assert found.synthetic
        assert (found.options.balance, found.options.percentile) == ("channel", 100)
    assert nc.compile(model, options=nc.Options(balance="mse")).options.balance == "mse"


# ---------------------------------------------------------------- evaluating


def test_evaluation_compares_with_the_model(model: nc.Model, network: nc.Network) -> None:
    evaluation = network.evaluate(X, Y)
    ann, snn = decisions(model, X), network.deploy("numpy").run(X).decisions
    assert evaluation.images == len(X)
    assert evaluation.ann_accuracy == np.mean(ann == Y)
    assert evaluation.agreement == np.mean(ann == snn[:, -1])
    assert np.array_equal(evaluation.accuracy_by_step, np.mean(snn == Y[:, None], axis=0))


def test_evaluation_for_another_number_of_steps(rates: nc.Network) -> None:
    whole = rates.evaluate(X, Y).accuracy_by_step
    assert np.array_equal(rates.evaluate(X, Y, steps=10).accuracy_by_step, whole[:10])


def test_a_loaded_network_needs_no_model(tmp_path: Path) -> None:
    path = small_network.write_model(tmp_path / "small.onnx")
    network = nc.compile(path, CALIBRATION)
    network.save(tmp_path / "network")
    path.unlink()
    loaded = nc.load(tmp_path / "network")
    ours, theirs = loaded.evaluate(X, Y), network.evaluate(X, Y)
    assert np.array_equal(ours.accuracy_by_step, theirs.accuracy_by_step)
    assert ours.activity == theirs.activity
    assert (ours.ann_accuracy, ours.agreement, ours.loss_points, ours.loss_relative) == (None,) * 4


@pytest.mark.parametrize(
    ("x", "y", "problem"),
    [
        (X[:, 1:], Y, "^x has the shape"),
        (X[:0], Y[:0], "^x holds no images"),
        (np.float32(3), Y, "^x has the shape"),
        (X, Y[:-1], "there are 40 images"),
        (X, 3, "there are 40 images"),
        (X, Y + 1, "labels from 1 to 3"),
        (X, Y - 1, "labels from -1"),
        (X, Y.astype(float), "holds float64"),
    ],
)
def test_images_or_labels_that_do_not_fit(network: nc.Network, x: Any, y: Any, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        network.evaluate(x, y)


@pytest.mark.parametrize("steps", [0, -1, 2.5, 5000])
def test_steps_that_can_not_be(network: nc.Network, steps: Any) -> None:
    with pytest.raises(DataError, match="is not in 1 to 4096"):
        network.evaluate(X, Y, steps=steps)
    with pytest.raises(DataError, match="is not in 1 to 4096"):
        network.deploy("numpy").run(X, steps=steps)


# ---------------------------------------------------------------- deploying


@pytest.mark.parametrize(
    "options",
    [
        nc.Options(precision="int8"),
        nc.Options(code="graded", precision="int8"),
        nc.Options(code="rate", steps=16, precision="int8"),
        nc.Options(code="rate", steps=16, reset="zero"),
        nc.Options(code="rate", steps=6, wait=True, precision="int8"),
    ],
)
def test_lava_fires_the_simulated_spikes(model: nc.Model, options: nc.Options) -> None:
    network = nc.compile(model, CALIBRATION, options)
    with network.deploy("lava") as deployment:
        found = deployment.run(X[:6])
    expected = network.deploy("numpy").run(X[:6])
    assert found.spikes.keys() == expected.spikes.keys() == network.neurons.keys()
    assert np.array_equal(found.potentials, expected.potentials)
    assert all(np.array_equal(found.spikes[name], expected.spikes[name]) for name in found.spikes)


def test_a_deployment_runs_for_some_steps_and_probes(network: nc.Network) -> None:
    deployment = network.deploy("numpy")
    result = deployment.run(X[:3].tolist(), steps=5, probes=["image", "rectified"])
    assert {name: stream.shape for name, stream in result.spikes.items()} == {
        "image": (3, 5, FEATURES),
        "rectified": (3, 5, 8),
    }
    assert deployment.run(X[:3], probes=[]).spikes == {}


@pytest.mark.parametrize("probes", [["nothing"], ["rectified", "nothing"], ["scores"]])
def test_probes_of_what_sends_no_spikes(network: nc.Network, probes: list[str]) -> None:
    with pytest.raises(BackendError, match=f"no spikes of {probes[-1]}.*\n.*probe some of image, rectified"):
        network.deploy("numpy").run(X[:3], probes=probes)


def test_images_that_do_not_fit_the_deployment(network: nc.Network) -> None:
    with pytest.raises(DataError, match="x has NaN or infinite values in 1 images"):
        network.deploy("numpy").run(np.vstack([X[:3], np.full((1, FEATURES), np.inf)]))


def test_an_unknown_target(network: nc.Network) -> None:
    with pytest.raises(BackendError, match=r"no target 'loihi'\n.*lava, lava-stock, numpy"):
        network.deploy("loihi")


def test_leaving_a_deployment_closes_it(network: nc.Network, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(NumpyExecutable, "close", lambda _: closed.append(True))
    with network.deploy("numpy"):
        assert not closed
    assert closed


# ---------------------------------------------------------------- loading


Edit = Callable[[dict[str, Any]], object]

APPROXIMATION = tuple(field.name for field in dataclasses.fields(Approximation))

EDITS: dict[str, tuple[Edit, str]] = {
    "other format": (lambda d: d.update(format="something"), "no deployment of neurocompile"),
    "no format": (lambda d: d.pop("format"), "no deployment of neurocompile"),
    "no schema": (lambda d: d.pop("schema"), "no deployment of neurocompile"),
    "newer": (lambda d: d.update(schema=9, compiler="7.0"), "has schema 9, of neurocompile 7.0"),
    "no graph": (lambda d: d.pop("graph"), "graph is malformed"),
    "graph of nothing": (lambda d: d.update(graph=None), "graph is malformed"),
    "no outputs": (lambda d: d["graph"].update(outputs=[]), "no outputs"),
    "output is no decoder": (lambda d: d["graph"].update(outputs=["rectified"]), "no spiking network"),
    "no options": (lambda d: d.pop("options"), "options are malformed"),
    "options of nothing": (lambda d: d.update(options=None), "options are malformed"),
    "option too many": (lambda d: d["options"].update(speed=3), "options are malformed"),
    "wrong steps": (lambda d: d["options"].update(steps=2.5), "steps=2.5"),
    "wrong choice": (lambda d: d["options"].update(reset="none"), "reset='none'"),
    "approximations of nothing": (lambda d: d.update(approximations=None), "approximations are malformed"),
    "approximation of nothing": (lambda d: d.update(approximations=[{}]), "approximations are malformed"),
    "wrong approximation": (
        lambda d: d.update(approximations=[dict.fromkeys(APPROXIMATION, 1)]),
        "approximations are malformed",
    ),
    "wrong percentile": (lambda d: d["options"].update(percentile=[]), r"percentile=\[\]"),
    "steps left open": (lambda d: d["options"].update(steps=None), "options are malformed"),
    "code left open": (lambda d: d["options"].update(code="auto"), "options are malformed"),
}


@pytest.mark.parametrize("case", EDITS)
def test_an_edited_deployment_is_refused(network: nc.Network, tmp_path: Path, case: str) -> None:
    edit, problem = EDITS[case]
    network.save(tmp_path / "network")
    document, arrays = archive.read(tmp_path / "network")
    edit(document)
    archive.write(tmp_path / "network", document, arrays)
    with pytest.raises(DeploymentError, match=problem) as caught:
        nc.load(tmp_path / "network")
    assert str(caught.value)


def test_a_graph_that_is_not_compiled_is_refused(network: nc.Network, tmp_path: Path) -> None:
    layers = Graph((Node("image", Input((3,))), Node("relu", ReLU(), ("image",))), ("relu",))
    two_outputs = Graph(network.graph.nodes, network.graph.outputs * 2)
    for graph in (layers, two_outputs):
        dataclasses.replace(network, graph=graph).save(tmp_path / "network")
        with pytest.raises(DeploymentError, match="no spiking network"):
            nc.load(tmp_path / "network")


# ---------------------------------------------------------------- the passes' own check


@dataclass(frozen=True)
class Doubles:
    """A pass with a defect: it claims to be exact and doubles every weight."""

    fidelity: ClassVar[str] = "exact"

    def __call__(self, graph: Graph) -> Graph:
        nodes = [
            dataclasses.replace(node, op=dataclasses.replace(node.op, weight=2 * node.op.weight))
            if isinstance(node.op, Linear)
            else node
            for node in graph.nodes
        ]
        return Graph(tuple(nodes), graph.outputs)


def test_a_broken_pass_is_named(model: nc.Model) -> None:
    with pytest.raises(GraphError, match=r"the pass Doubles changed the network's output by [\d.]+"):
        pipeline.apply((*pipeline.SIMPLIFY, Doubles()), model.graph, X[:4])


def test_a_broken_pass_stops_the_compiler(model: nc.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "SIMPLIFY", (Doubles(),))
    with pytest.raises(GraphError, match="the pass Doubles"):
        nc.compile(model, CALIBRATION)


def test_the_small_network_is_valid_onnx(onnx_file: Path) -> None:
    onnx.checker.check_model(onnx.load(onnx_file), full_check=True)


def test_runs_in_parts_are_the_same_run(network: nc.Network, monkeypatch: pytest.MonkeyPatch) -> None:
    x = small_network.images(7)
    with network.deploy("numpy") as deployment:
        whole = deployment.run(x)
        monkeypatch.setattr("neurocompile.network._PART", 3)
        parts = list(deployment.run_in_parts(x))
    assert [len(part.potentials) for part in parts] == [3, 3, 1]
    assert np.array_equal(np.concatenate([part.potentials for part in parts]), whole.potentials)


def test_recordings_that_do_not_fit_are_refused(network: nc.Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurocompile.network._MOST_RECORDED", 100)
    with network.deploy("numpy") as deployment, pytest.raises(DataError, match="spikes of 7 images") as caught:
        deployment.run(small_network.images(7))
    assert caught.value.issues[0].remedy == "run fewer images at a time, or probe fewer layers"


@pytest.mark.parametrize(
    "options",
    [
        nc.Options(code="rate", steps=4096, balance="channel", percentile=100),
        nc.Options(code="digit", steps=10),
        nc.Options(code="graded", balance="channel", percentile=100),
    ],
    ids=lambda options: options.code,
)
def test_the_estimate_is_near_the_original(model: nc.Model, options: nc.Options) -> None:
    x = CALIBRATION  # beyond which values are clipped
    network = nc.compile(model, x, options)
    with network.deploy("numpy") as deployment:
        estimate = network.estimate(deployment.run(x, probes=()))
    assert np.abs(estimate - model.reference.run(x)).max() < 0.02


def test_images_on_another_scale_are_refused(network: nc.Network) -> None:
    with pytest.raises(DataError, match=r"beyond .*, the largest that it was calibrated on"):
        network.evaluate(10 * small_network.images(5), small_network.labels(5))


def test_scaled_images_for_a_network_of_bytes_are_refused(tmp_path: Path) -> None:
    path = small_network.write_model(tmp_path / "bytes.onnx", dtype=TensorProto.UINT8)
    with pytest.raises(DataError, match=r"calibration goes from .* the network takes whole numbers"):
        nc.compile(path, np.abs(small_network.images(5)))
