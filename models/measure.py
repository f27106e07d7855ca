"""Print size, cost and accuracy of the example networks, from their .onnx and .npz files alone."""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
RUNNING_STATISTICS = slice(3, 5)
BATCH_SIZE = 500


def count_parameters(graph: onnx.GraphProto) -> int:
    """Count the trained numbers: every float tensor but constants and BatchNorm's running statistics."""
    statistics = {
        name
        for node in graph.node
        if node.op_type == "BatchNormalization"
        for name in node.input[RUNNING_STATISTICS]
    }
    return sum(
        int(np.prod(tensor.dims))
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.dims and tensor.name not in statistics
    )


def count_macs(model: onnx.ModelProto) -> int:
    """Count the multiply-accumulate operations of the convolutions and linear layers for one image."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    total = 0
    for node in graph.node:
        if node.op_type in {"Conv", "Gemm", "MatMul"}:
            positions = shapes[node.output[0]][2:]
            total += int(np.prod(weights[node.input[1]]) * np.prod(positions, dtype=int))
    return total


def accuracy(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the share of rows whose largest value stands at the label."""
    return float(np.mean(logits.argmax(axis=1) == labels))


def test_accuracy(name: str) -> float:
    """Run the network on its test set with ONNX Runtime."""
    network = onnxruntime.InferenceSession(HERE / f"{name}.onnx", providers=["CPUExecutionProvider"])
    (source,) = network.get_inputs()
    with np.load(HERE / f"{name}.npz") as data:
        images, labels = data["x_test"], data["y_test"]
    batches = (images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE))
    logits = np.concatenate([network.run(None, {source.name: batch})[0] for batch in batches])
    return accuracy(logits, labels)


def report(names: Sequence[str]) -> str:
    """Return a Markdown table with one row for each network."""
    rows = [
        "| network | parameters | MACs per image | test accuracy | opset | operators |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for name in names:
        model = onnx.load(HERE / f"{name}.onnx")
        counts = Counter(node.op_type for node in model.graph.node)
        cells = (
            name,
            f"{count_parameters(model.graph):,}",
            f"{count_macs(model):,}",
            f"{test_accuracy(name):.2%}",
            f"{model.opset_import[0].version}",
            ", ".join(f"{count} {operator}" for operator, count in counts.items()),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="networks to measure; all in this folder by default")
    arguments = parser.parse_args()
    print(report(arguments.names or sorted(path.stem for path in HERE.glob("*.onnx"))))
