"""What exporters write imports, and computes what ONNX Runtime computes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx_models import assert_equals_onnxruntime, saved
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from tensorflow_models import TENSORFLOW
from torch_networks import IMAGE, network
from zoo_models import OTHERS, ZOO

from neurocompile.frontends.model import Model
from neurocompile.ir import Array, run

GRAPHS = {**TENSORFLOW, **ZOO, **OTHERS}


@pytest.mark.parametrize("name", GRAPHS)
def test_graph(name: str, tmp_path: Path) -> None:
    onnx.checker.check_model(GRAPHS[name])
    assert_equals_onnxruntime(GRAPHS[name], tmp_path)


def test_initializers_that_are_inputs() -> None:
    """In files of the first IR versions they had to be."""
    assert all(len(proto.graph.input) > 3 and proto.ir_version == 3 for proto in ZOO.values())


FUNCTIONS = """
<ir_version: 8, opset_import: ["" : 18, "pkg.layers" : 1]>
network (float[N, 3, 6, 6] x) => (float[N, 4] y)
    <
        float[3, 3, 1, 1] w = {1, -1, 0, 0, 1, -1, -1, 0, 1},
        float[4, 3, 1, 1] v = {1, 2, -1, 0, 1, 0, 1, 1, 1, -1, 0, 0}
    >
{
    first = pkg.layers.Residual (x, w)
    second = pkg.layers.Block <slope = 0.3> (first, v)
    pooled = GlobalAveragePool (second)
    y = Flatten (pooled)
}
<domain: "pkg.layers", opset_import: ["" : 18, "pkg.layers" : 1]>
Residual (x, w) => (y)
{
    a = pkg.layers.Block <slope = 0.1> (x, w)
    y = Add (a, x)
}
<domain: "pkg.layers", opset_import: ["" : 18]>
Block <slope> (x, w) => (y)
{
    a = Conv (x, w)
    y = LeakyRelu <alpha : float = @slope> (a)
}
"""


def test_functions_of_the_model_itself(tmp_path: Path) -> None:
    """As exporters write modules: one calls another, and attributes are handed on."""
    assert_equals_onnxruntime(onnx.parser.parse_model(FUNCTIONS), tmp_path)


@pytest.mark.parametrize("opset", [18, 21, 23])
def test_opsets_of_the_dynamo_exporter(opset: int, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        # From its own use of what PyTorch deprecates.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network("curves"),
            (torch.rand(2, *IMAGE),),
            path,
            dynamo=True,
            opset_version=opset,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    proto = onnx.load(path)
    assert proto.opset_import[0].version == opset
    assert_equals_onnxruntime(proto, tmp_path)


# ---------------------------------------------------------------- scikit-learn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 6)).astype(np.float32)
TWO = (X[:, 0] > 0).astype(int)
THREE = np.digitize(X[:, 1], [-0.5, 0.5])
NAMES = np.array(["ant", "bee", "cat"])[THREE]


def classifier(**options: Any) -> MLPClassifier:
    return MLPClassifier(hidden_layer_sizes=(8,), max_iter=20, random_state=0, **options)


def trained(estimator: Any, y: Array) -> Any:
    with warnings.catch_warnings():
        # After so few rounds training has not converged.
        warnings.simplefilter("ignore")
        return estimator.fit(X, y)


def exported(estimator: Any, folder: Path, **options: Any) -> Path:
    from skl2onnx import to_onnx

    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    return saved(to_onnx(estimator, X[:1], options={id(last): options} if options else None), folder)


def assert_gives(path: Path, expected: Array) -> None:
    model = Model.read(path)
    found = run(model.graph, {model.graph.inputs[0].name: X})[model.graph.outputs[0]]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(model.reference.run(X), expected, atol=1e-5)
    assert model.classes == expected.shape[1]


@pytest.mark.parametrize(
    ("make", "classes"),
    [
        (classifier, TWO),
        (classifier, THREE),
        (classifier, NAMES),
        (lambda: classifier(activation="tanh"), THREE),
        (lambda: make_pipeline(StandardScaler(), classifier()), THREE),
        (lambda: make_pipeline(MinMaxScaler(), PCA(4), classifier(activation="logistic")), NAMES),
    ],
    ids=["two classes", "three classes", "named classes", "tanh", "scaler", "pipeline"],
)
def test_classifier_of_scikit_learn(make: Callable[[], Any], classes: Array, tmp_path: Path) -> None:
    """Its first output is the label: the probabilities beside it are what the network computes."""
    estimator = trained(make(), classes)
    assert_gives(exported(estimator, tmp_path, zipmap=False), estimator.predict_proba(X))


@pytest.mark.parametrize("classes", [TWO, NAMES], ids=["two classes", "named classes"])
def test_classifier_of_scikit_learn_with_a_dictionary_for_each_image(classes: Array, tmp_path: Path) -> None:
    """The exporter's default: the probabilities are no output, but what the dictionaries are made of."""
    estimator = trained(classifier(), classes)
    assert_gives(exported(estimator, tmp_path), estimator.predict_proba(X))


@pytest.mark.parametrize("scaled", [False, True])
def test_regressor_of_scikit_learn(scaled: bool, tmp_path: Path) -> None:
    regressor = MLPRegressor(hidden_layer_sizes=(8, 8), max_iter=20, random_state=0)
    estimator = trained(make_pipeline(StandardScaler(), regressor) if scaled else regressor, X.sum(1))
    assert_gives(exported(estimator, tmp_path), estimator.predict(X)[:, None])
