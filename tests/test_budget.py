from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import model, node, saved
from strategies import chain

import neurocompile as nc
from neurocompile import budget as module
from neurocompile.backend import decide
from neurocompile.budget import Budget, LayerLoss, Share, loss_budget
from neurocompile.causes import Cause
from neurocompile.conversion import Conversion
from neurocompile.errors import BackendError, DataError
from neurocompile.ir import Array, Graph, run
from neurocompile.ir.codes import Code, DigitCode, RateCode
from neurocompile.ir.layers import Linear, ReLU
from neurocompile.ir.processes import Encoder
from neurocompile.passes.balance import Balance
from neurocompile.passes.lower import Lower
from neurocompile.passes.quantize import Quantize
from neurocompile.passes.round_weights import RoundWeights

MODELS = Path(__file__).parents[1] / "models"
COUNT = 60

CHOICES: dict[str, dict[str, Any]] = {
    "soft": {"code": "rate", "steps": 4, "signed": False},
    "zero": {"code": "rate", "steps": 8, "reset": "zero"},
    "poisson": {"code": "rate", "steps": 4, "encoder": "poisson"},
    "signed": {"code": "rate", "steps": 2, "signed": True},
    "wait": {"code": "rate", "steps": 3, "wait": True},
    "count": {"code": "rate", "steps": 8, "decoder": "count"},
    "digit": {"code": "digit", "steps": 2},
    "graded": {"code": "graded", "bits": 4},
}


@cache
def data() -> dict[str, Array]:
    with np.load(MODELS / "digits-mlp.npz") as arrays:
        return {name: arrays[name][:80] for name in arrays}


@cache
def compiled(name: str, precision: str = "float") -> nc.Network:
    options = nc.Options(**CHOICES[name], precision=precision)  # type: ignore[arg-type]
    return nc.compile(MODELS / "digits-mlp.onnx", data()["x_calibration"], options)


@cache
def measured(name: str, precision: str = "float") -> Budget:
    return compiled(name, precision).loss_budget(data()["x_test"][:COUNT], data()["y_test"][:COUNT])


def layer(budget: Budget, name: str) -> LayerLoss:
    return next(found for found in budget.layers if found.layer == name)


def causes(budget: Budget) -> set[str]:
    return {cause for found in budget.layers for cause in found.causes}


@pytest.mark.parametrize("precision", ["float", "int8"])
@pytest.mark.parametrize("name", CHOICES)
def test_shares_add_up_to_the_measured_loss(name: str, precision: str) -> None:
    budget, network = measured(name, precision), compiled(name, precision)
    evaluation = network.evaluate(data()["x_test"][:COUNT], data()["y_test"][:COUNT])
    assert budget.points == pytest.approx(evaluation.loss_points)
    assert budget.remainder == pytest.approx(0, abs=1e-9)
    assert sum(budget.by_cause.values()) == pytest.approx(budget.points, abs=1e-9)
    assert budget.images == COUNT


@pytest.mark.parametrize("name", CHOICES)
def test_layers_are_the_input_the_neurons_and_the_decoder(name: str) -> None:
    network = compiled(name)
    assert network.conversion is not None
    names = {network.graph.inputs[0].name, *network.neurons, network.conversion.ann.outputs[0]}
    if name == "count":
        names |= set(network.graph.outputs)
    assert {found.layer for found in measured(name).layers} <= names | set(network.graph.outputs)
    points = [found.points for found in measured(name).layers]
    assert points == sorted(points, reverse=True)


def test_parts_of_the_images_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poisson spikes are those of the image's place in the whole."""
    whole = measured("poisson")
    monkeypatch.setattr(module, "_BYTES", 1)
    x, y = data()["x_test"][:COUNT], data()["y_test"][:COUNT]
    parts = compiled("poisson").loss_budget(x, y)
    assert {found.layer: found.points for found in parts.layers} == {f.layer: f.points for f in whole.layers}
    for found in parts.layers:
        for cause, share in found.causes.items():
            assert share.error == pytest.approx(layer(whole, found.layer).causes[cause].error, abs=1e-9)


def test_tells_of_the_progress() -> None:
    seen: list[tuple[int, int]] = []
    x, y = data()["x_test"][:COUNT], data()["y_test"][:COUNT]
    compiled("digit").loss_budget(x, y, progress=lambda _, done, total: seen.append((done, total)))
    assert seen[-1] == (COUNT, COUNT)
    assert seen == sorted(seen)


def planted(
    layers: Graph, thresholds: dict[str, Array], code: Code, *, integer: bool = False, ceiling: float = 1.0
) -> Conversion:
    """A network that was compiled with these thresholds."""
    (entry,) = layers.inputs
    encoder = Encoder(layers.types[entry.name].shape, "once" if code.radix > 1 else "constant", ceiling, 255)
    processes = Lower(encoder, code)(Balance(thresholds)(layers))
    processes = Quantize()(processes) if integer else RoundWeights()(processes)
    return Conversion(layers, layers, thresholds, code, processes)


def ann_decisions(layers: Graph, x: Array) -> Array:
    (scores,) = run(layers, {layers.inputs[0].name: x}).values()
    return decide(scores)


def budget_of(conversion: Conversion, x: Array) -> Budget:
    ann = ann_decisions(conversion.ann, x)
    return loss_budget(conversion, ann, x, ann, steps=conversion.code.steps, remedies={})


def hidden(seed: int = 0) -> Graph:
    rng = np.random.default_rng(seed)
    return chain(
        (6,),
        Linear(rng.normal(size=(10, 6)), 0.2 * rng.normal(size=10)),
        ReLU(),
        Linear(rng.normal(size=(4, 10)), np.zeros(4)),
    )


X = np.random.default_rng(1).integers(0, 256, (80, 6)) / 255


def largest_of(layers: Graph) -> Array:
    return np.asarray(run(layers, {"x": X}, keep=["relu2"])["relu2"].max(axis=0))


def test_errors_of_one_layer_by_definition() -> None:
    """Clipped at the threshold, and then rounded to a quarter of it."""
    layers, code = hidden(), RateCode(4)
    threshold = 0.5 * largest_of(layers) + 0.01
    found = layer(budget_of(planted(layers, {"relu2": threshold}, code), X), "relu2").causes
    values = run(layers, {"x": X}, keep=["relu2"])["relu2"]
    clipped = np.minimum(values, threshold)
    rounded = np.floor(clipped / threshold * 4 + 0.5) / 4 * threshold
    size = np.sqrt(np.sum(values**2))
    assert found["clipping"].error == pytest.approx(np.sqrt(np.sum((clipped - values) ** 2)) / size, rel=1e-4)
    assert found["resolution"].error == pytest.approx(np.sqrt(np.sum((rounded - clipped) ** 2)) / size, rel=1e-2)


def test_points_of_one_layer_by_definition() -> None:
    layers, code = hidden(), RateCode(4)
    threshold = 0.4 * largest_of(layers) + 0.01
    budget = budget_of(planted(layers, {"relu2": threshold}, code), X)
    ann = ann_decisions(layers, X)
    clipped = np.minimum(run(layers, {"x": X}, keep=["relu2"])["relu2"], threshold)
    wrong = np.mean(decide(run(layers, {"relu2": clipped}, keep=["linear3"])["linear3"]) != ann)
    assert wrong > 0
    assert layer(budget, "relu2").causes["clipping"].points == pytest.approx(100 * wrong)


@pytest.mark.parametrize("code", [RateCode(64), RateCode(64, signed=True), DigitCode(8)], ids=repr)
def test_thresholds_that_were_cut_to_a_half_are_found_as_clipping(code: Code) -> None:
    network = compiled("digit")
    assert network.conversion is not None
    ann = network.conversion.ann
    cut = {name: 0.5 * threshold for name, threshold in network.conversion.thresholds.items()}
    ceiling = float(data()["x_calibration"].max())
    budget = budget_of(planted(ann, cut, code, ceiling=ceiling), data()["x_test"][:COUNT])
    for name in cut:
        assert layer(budget, name).worst == "clipping"
    assert max(budget.by_cause, key=lambda cause: budget.by_cause[cause]) == "clipping"


def test_few_steps_are_found_as_resolution() -> None:
    budget = measured("wait")
    for name in compiled("wait").neurons:
        assert layer(budget, name).worst == "resolution"
        assert layer(budget, name).remedy == "more --steps"


def test_reset_to_zero_is_found() -> None:
    options = nc.Options(code="rate", reset="zero", steps=64, balance="channel")
    network = nc.compile(MODELS / "digits-mlp.onnx", data()["x_calibration"], options)
    budget = network.loss_budget(data()["x_test"][:COUNT], data()["y_test"][:COUNT])
    for name in network.neurons:
        assert layer(budget, name).worst == "reset"
        assert layer(budget, name).remedy == "--reset subtract"
    assert "reset" not in causes(measured("soft"))


def test_poisson_spikes_are_found_as_encoding() -> None:
    found = layer(measured("poisson"), "images")
    assert (found.worst, found.remedy) == ("encoding", "--encoder constant")
    assert found.error > 10 * layer(measured("signed"), "images").error


def test_weights_that_use_few_of_their_bits_are_found_as_integer_weights() -> None:
    """An input that is always 0 has a weight that is 60 times larger than all others."""
    rng = np.random.default_rng(0)
    first = rng.normal(size=(10, 6))
    first[:, 5] = 60
    layers = chain((6,), Linear(first, np.zeros(10)), ReLU(), Linear(rng.normal(size=(4, 10)), np.zeros(4)))
    x = X.copy()
    x[:, 5] = 0
    threshold = run(layers, {"x": x}, keep=["relu2"])["relu2"].max(axis=0) + 0.01
    code = DigitCode(8)
    coarse = layer(budget_of(planted(layers, {"relu2": threshold}, code, integer=True), x), "relu2")
    assert coarse.worst == "integer weights"
    fine = layer(budget_of(planted(layers, {"relu2": threshold}, code), x), "relu2")
    assert fine.causes["integer weights"].error < 0.01 * coarse.causes["integer weights"].error


def deep(code: Code) -> Budget:
    """Layers whose currents come unevenly from the second on."""
    rng = np.random.default_rng(2)
    ops = [op for _ in range(4) for op in (Linear(rng.normal(0.1, 0.5, (8, 8)), 0.1 * rng.normal(size=8)), ReLU())]
    layers = chain((8,), *ops, Linear(rng.normal(size=(3, 8)), np.zeros(3)))
    x = np.random.default_rng(3).random((60, 8))
    names = [node.name for node in layers.nodes if isinstance(node.op, ReLU)]
    values = run(layers, {"x": x}, keep=names)
    thresholds = {name: np.maximum(values[name].max(axis=0), 0.1) / code.highest for name in names}
    return budget_of(planted(layers, thresholds, code), x)


def arrival(budget: Budget, name: str) -> float:
    share = layer(budget, name).causes.get("arrival")
    return 0.0 if share is None else share.error


@pytest.mark.parametrize(
    ("code", "exact"), [(RateCode(8), False), (RateCode(8, wait=True), True), (DigitCode(5), True)]
)
def test_a_constant_input_arrives_evenly_and_what_waits_has_all_of_it(code: Code, exact: bool) -> None:
    budget = deep(code)
    assert arrival(budget, "relu2") == pytest.approx(0, abs=1e-12)
    for name in ("relu4", "relu6", "relu8"):
        assert (arrival(budget, name) < 0.01) == exact
    if not exact:
        assert layer(budget, "relu8").worst == "arrival"


def test_decisions_that_straight_lines_change_are_found_as_approximation() -> None:
    network = compiled("digit")
    assert network.conversion is not None
    assert network.reference is not None
    x, y = data()["x_test"][:COUNT], data()["y_test"][:COUNT]
    original = ann_decisions(network.conversion.ann, x.astype(np.float64))
    assert "approximation" not in causes(loss_budget(network.conversion, original, x, y, steps=2, remedies={}))
    # As if three images that are right were wrong before.
    right = np.flatnonzero(original == y)[:3]
    original[right] = (original[right] + 1) % 10
    budget = loss_budget(network.conversion, original, x, y, steps=2, remedies={})
    found = layer(budget, "all layers")
    assert found.causes.keys() == {"approximation"}
    assert found.points == pytest.approx(-100 * 3 / COUNT)
    assert budget.remainder == pytest.approx(0, abs=1e-9)


def gelu(folder: Path, size: float) -> Path:
    rng = np.random.default_rng(0)
    weights = {
        "w1": (size * rng.normal(size=(6, 16))).astype(np.float32),
        "w2": rng.normal(size=(16, 3)).astype(np.float32),
    }
    nodes = [node("MatMul", ["x", "w1"], "h"), node("Gelu", ["h"], "g"), node("MatMul", ["g", "w2"], "y")]
    return saved(model(nodes, ["N", 6], weights, opset=20), folder)


def test_a_smooth_activation_counts_only_where_it_changes_decisions(tmp_path: Path) -> None:
    x = np.random.default_rng(1).uniform(-1, 1, (300, 6)).astype(np.float32)
    network = nc.compile(gelu(tmp_path, 1.0), x, nc.Options(code="digit"))
    assert network.conversion is not None
    assert network.reference is not None
    before = decide(network.reference.run(x))
    changed = np.any(before != ann_decisions(network.conversion.ann, x.astype(np.float64)))
    budget = network.loss_budget(x)
    assert ("approximation" in causes(budget)) == changed
    assert budget.remainder == pytest.approx(0, abs=1e-9)
    some = x[before == ann_decisions(network.conversion.ann, x.astype(np.float64))]
    assert "approximation" not in causes(network.loss_budget(some))


def test_without_labels_what_the_original_network_decides_is_right() -> None:
    network, x = compiled("signed"), data()["x_test"][:COUNT]
    budget = network.loss_budget(x)
    evaluation = network.evaluate(x)
    assert evaluation.changed_decisions is not None
    assert budget.points == pytest.approx(100 * evaluation.changed_decisions / COUNT)
    assert budget.remainder == pytest.approx(0, abs=1e-9)


def test_a_loaded_network_does_not_know_the_original_one(tmp_path: Path) -> None:
    compiled("digit").save(tmp_path / "digits.nc")
    loaded = nc.load(tmp_path / "digits.nc")
    with pytest.raises(BackendError, match="does not hold the original network"):
        loaded.loss_budget(data()["x_test"][:4], data()["y_test"][:4])


@pytest.mark.parametrize(
    ("x", "y", "problem"),
    [
        (np.zeros((2, 3)), None, "x has the shape"),
        (np.full((2, 64), np.nan), None, "NaN"),
        (np.zeros((2, 64)), np.zeros(3, int), "there are 2 images"),
        (np.zeros((2, 64)), np.array([0, 10]), "labels from 0 to 10"),
    ],
    ids=["shape", "nan", "labels", "classes"],
)
def test_refuses_images_and_labels_that_do_not_fit(x: Array, y: Array | None, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        compiled("digit").loss_budget(x, y)


def test_what_a_layer_adds_and_what_is_worst() -> None:
    causes: dict[Cause, Share] = {"fit": Share(-1, 0.9), "clipping": Share(2, 0.3), "resolution": Share(0.5, 0.4)}
    found = LayerLoss("relu", causes, {"clipping": "clip less", "resolution": "be finer"})
    assert found.points == 1.5
    assert found.error == pytest.approx(np.sqrt(0.81 + 0.09 + 0.16))
    assert (found.worst, found.remedy) == ("fit", "be finer")
    assert replace(found, remedies={"clipping": "clip less"}).remedy == "clip less"
    assert replace(found, remedies={}).remedy == "leave it as it is"


def test_a_layer_that_is_nearly_right_is_left_alone() -> None:
    small = LayerLoss("relu", {"clipping": Share(0, 0.005)}, {"clipping": "clip less"})
    assert (small.worst, small.remedy) == ("clipping", "leave it as it is")
    assert LayerLoss("relu", {}).worst is None


def test_a_budget_tells_what_is_left_over() -> None:
    layers = (
        LayerLoss("a", {"reset": Share(1, 0.1)}),
        LayerLoss("b", {"reset": Share(2, 0.1), "fit": Share(-1, 0)}),
    )
    budget = Budget(100, 2.5, layers)
    assert budget.remainder == 0.5
    assert budget.by_cause == {"fit": -1, "reset": 3}
    assert replace(budget, layers=()).remainder == 2.5


def test_the_decoder_of_a_network_of_reals_is_not_to_become_one() -> None:
    """Only the fit is off there: what is left of rounding is nothing."""
    for name in ("soft", "signed", "wait", "graded", "zero"):
        for found in measured(name).layers:
            assert found.remedy != "--precision float"


def test_one_message_does_not_take_more_steps() -> None:
    for found in measured("graded").layers:
        assert found.remedy != "more --steps"
