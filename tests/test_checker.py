from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_models import model, node, saved

from neurocompile.checker import check
from neurocompile.errors import BackendError, DataError, ModelError

MODELS = Path(__file__).resolve().parent.parent / "models"
IMAGE = (None, 2, 6, 6)


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "parameters", "layers", "neurons"),
    [("fashion-cnn", 89_194, 4, 29_792), ("fashion-resnet", 96_714, 9, 27_136), ("digits-mlp", 17_226, 2, 192)],
)
@pytest.mark.parametrize("target", ["numpy", "lava"])
def test_networks_that_convert(name: str, parameters: int, layers: int, neurons: int, target: str) -> None:
    found = check(MODELS / f"{name}.onnx", target)
    assert found.converts
    assert found.parameters == parameters
    assert found.size is not None
    assert (found.size.layers, found.size.neurons) == (layers, neurons)
    assert found.seconds is not None
    assert 0 < found.seconds < 3600
    assert found.memory_bytes is not None
    assert found.memory_bytes > 100e6


def test_time_and_memory_grow_with_images_and_steps() -> None:
    few, many = (
        check(MODELS / "fashion-cnn.onnx", steps=steps, images=images)
        for steps, images in [(8, 10), (4096, 10**6)]
    )
    assert few.seconds is not None
    assert many.seconds is not None
    assert few.seconds < many.seconds
    assert few.memory_bytes is not None
    assert many.memory_bytes is not None
    assert few.memory_bytes < many.memory_bytes


def test_everything_that_does_not_convert_is_told_at_once(tmp_path: Path) -> None:
    nodes = [
        node("LRN", ["x"], "a", size=3),
        node("Conv", ["a", "w"], "b"),
        node("Sigmoid", ["b"], "c"),
        node("GlobalAveragePool", ["x"], "gate"),
        node("Mul", ["c", "gate"], "d"),
        node("Softmax", ["d"], "e", axis=1),
        node("Relu", ["e"], "y"),
    ]
    found = check(saved(model(nodes, IMAGE, {"w": weights(2, 2, 3, 3)}, opset=13), tmp_path))
    assert not found.converts
    assert [(issue.node, issue.op) for issue in found.issues] == [
        ("a", "LRN"),
        ("e", "Softmax"),
        ("d", "Multiply"),
    ]
    assert all(issue.remedy for issue in found.issues)
    assert (found.size, found.seconds, found.memory_bytes) == (None, None, None)
    assert found.parameters == 36


def test_what_stands_in_for_a_refused_node_is_no_input(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], "a"), node("LRN", ["a"], "b", size=3), node("Add", ["a", "b"], "y")]
    assert [issue.op for issue in check(saved(model(nodes, IMAGE), tmp_path)).issues] == ["LRN"]


def test_approximations_are_told_with_their_size(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], "a"),
        node("Sigmoid", ["a"], "s"),
        node("Mul", ["a", "s"], "silu"),
        node("Exp", ["silu"], "e"),
        node("Add", ["e", "one"], "f"),
        node("Log", ["f"], "y"),
    ]
    found = check(saved(model(nodes, IMAGE, {"w": weights(2, 2, 3, 3), "one": weights(1) * 0 + 3}), tmp_path))
    assert found.converts
    assert [(a.node, a.function, a.tolerance) for a in found.approximations] == [
        ("silu", "product", 0.01),
        ("e", "exp", 0.01),
        ("y", "log", 0.01),
    ]
    assert all(a.segments > 1 for a in found.approximations)
    assert found.size is not None
    assert found.size.neurons >= 32 * sum(a.segments for a in found.approximations)


def test_jumps_are_refused(tmp_path: Path) -> None:
    nodes = [node("Greater", ["x", "c"], "a"), node("Where", ["a", "x", "c"], "b"), node("Relu", ["b"], "y")]
    path = saved(model(nodes, IMAGE, {"c": np.zeros(1, np.float32)}), tmp_path)
    assert check(path).converts
    nodes = [node("Greater", ["x", "c"], "a"), node("Where", ["a", "one", "c"], "y")]
    found = check(
        saved(model(nodes, IMAGE, {"c": np.zeros(1, np.float32), "one": np.ones(1, np.float32)}), tmp_path)
    )
    assert [(i.op, i.problem[:5]) for i in found.issues] == [("Function", "jumps"), ("Choose", "jumps")]


def test_limits_of_the_target(tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["x", "w"], "a"),
        node("Relu", ["a"], "b"),
        node("MaxPool", ["b"], "y", kernel_shape=[2, 2]),
    ]
    path = saved(model(nodes, IMAGE, {"w": weights(3, 2, 3, 3)}), tmp_path)
    assert check(path, "numpy").converts
    found = check(path, "lava-stock")
    assert [issue.problem for issue in found.issues] == ["stock Lava has no max pool"]
    assert found.size is not None


def test_signed_pools_get_neurons(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w"], "a"), node("MaxPool", ["a"], "y", kernel_shape=[2, 2])]
    found = check(saved(model(nodes, IMAGE, {"w": weights(3, 2, 3, 3)}), tmp_path))
    assert found.size is not None
    assert found.size.neurons == 3 * 4 * 4


def test_inputs_that_can_not_be_read(tmp_path: Path) -> None:
    found = check(saved(model([node("Relu", ["x"], "y")], (None, 1, "height", "width")), tmp_path))
    assert "only the first axis" in found.issues[0].problem
    assert found.parameters == 0


def test_two_inputs_and_outputs(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], "a"), node("Flatten", ["a"], "b")]
    proto = model([*nodes, node("Add", ["x", "z"], "c")], IMAGE, outputs=["b", "a", "c"])
    proto.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, IMAGE))
    found = check(saved(proto, tmp_path))
    assert [issue.problem[:15] for issue in found.issues] == ["has the outputs", "has the inputs "]


def test_what_is_no_question(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't read"):
        check(tmp_path / "none.onnx")
    with pytest.raises(BackendError, match="there is no target 'loihi9'"):
        check(MODELS / "digits-mlp.onnx", "loihi9")
    with pytest.raises(DataError) as caught:
        check(MODELS / "digits-mlp.onnx", steps=0, images=0)
    assert len(caught.value.issues) == 2


def test_a_chip() -> None:
    found = check(MODELS / "fashion-cnn.onnx", "lava", chip="loihi1")
    assert not found.converts
    assert found.mapping is not None
    assert found.issues == found.mapping.violations
    assert "4704 input axons" in found.issues[0].problem
    found = check(MODELS / "fashion-resnet.onnx", "lava", chip="loihi1")
    assert found.converts
    assert found.mapping is not None
    assert found.mapping.chips == 1
    assert check(MODELS / "fashion-resnet.onnx", "lava").mapping is None


def test_no_such_chip_is_told_with_the_rest() -> None:
    with pytest.raises(DataError) as caught:
        check(MODELS / "digits-mlp.onnx", steps=0, images=0, chip="loihi9")  # type: ignore[arg-type]
    assert len(caught.value.issues) == 3
    with pytest.raises(DataError, match="there is no chip 'loihi9'"):
        check(MODELS / "digits-mlp.onnx", chip="loihi9")  # type: ignore[arg-type]
