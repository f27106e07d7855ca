"""What the training scripts share: the data sets' files, the training loop and the export to ONNX."""

import argparse
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import torch
from measure import accuracy, report
from numpy.typing import NDArray
from onnxscript import optimizer
from onnxscript.rewriter import rewrite
from onnxscript.rewriter.rules.common import materialize_reshape_shape_rule
from torch import Tensor, nn

HERE = Path(__file__).resolve().parent
SEED = 2024
CALIBRATION_IMAGES = 1_000
VALIDATION_IMAGES = 5_000

FASHION_MNIST_FILES = {
    "x_train": "train-images-idx3-ubyte.gz",
    "y_train": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}


class Dataset(NamedTuple):
    """Images and labels, for training and for the one measurement at the end."""

    x_train: NDArray[np.generic]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.generic]
    y_test: NDArray[np.int64]


@dataclass(frozen=True)
class Recipe:
    """A fixed training schedule: one cycle of SGD whose last weights are the result."""

    epochs: int
    batch_size: int = 128
    peak_rate: float = 0.1
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    augment: Callable[[Tensor], Tensor] = lambda images: images


def make_deterministic() -> None:
    """Seed PyTorch and let it use nothing that gives another result on a second run."""
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(2)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes: a magic number that ends in the rank, the shape, the values."""
    content = gzip.decompress(path.read_bytes())
    rank = content[3]
    shape = np.frombuffer(content, ">u4", count=rank, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def load_fashion_mnist(folder: Path) -> Dataset:
    """Read Fashion-MNIST as uint8 images of shape (1, 28, 28) and int64 labels."""
    missing = [name for name in FASHION_MNIST_FILES.values() if not (folder / name).is_file()]
    if missing:
        raise SystemExit(
            f"{folder} has no {', '.join(missing)}: --data takes the folder with the four .gz files of "
            "Fashion-MNIST, see https://github.com/zalandoresearch/fashion-mnist"
        )
    arrays = {key: read_idx(folder / name) for key, name in FASHION_MNIST_FILES.items()}
    return Dataset(
        x_train=arrays["x_train"][:, np.newaxis],
        y_train=arrays["y_train"].astype(np.int64),
        x_test=arrays["x_test"][:, np.newaxis],
        y_test=arrays["y_test"].astype(np.int64),
    )


def flip_and_shift(images: Tensor, reach: int = 1) -> Tensor:
    """Mirror half of the images, and move each by up to ``reach`` pixels in both directions."""
    count, _, height, width = images.shape
    padded = nn.functional.pad(images, (reach,) * 4)[:, 0]
    offsets = torch.randint(2 * reach + 1, (2, count, 1))
    rows = offsets[0] + torch.arange(height)
    columns = offsets[1] + torch.arange(width)
    mirrored = torch.rand(count, 1) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    sample = torch.arange(count)[:, None, None]
    return padded[sample, rows[:, :, None], columns[:, None, :]][:, None]


def fit(model: nn.Module, images: NDArray[np.generic], labels: NDArray[np.int64], recipe: Recipe) -> None:
    """Train the model as the recipe says, and leave it in evaluation mode."""
    x, y = torch.from_numpy(images.copy()), torch.from_numpy(labels)
    steps_per_epoch = len(x) // recipe.batch_size
    optimiser = torch.optim.SGD(
        model.parameters(), recipe.peak_rate, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.peak_rate, epochs=recipe.epochs, steps_per_epoch=steps_per_epoch, pct_start=0.2
    )
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)
    model.train().to(memory_format=torch.channels_last)
    for epoch in range(1, recipe.epochs + 1):
        total = 0.0
        for batch in torch.randperm(len(x)).split(recipe.batch_size)[:steps_per_epoch]:
            loss = loss_of(model(recipe.augment(x[batch])), y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch:3d}/{recipe.epochs}  training loss {total / steps_per_epoch:.4f}", flush=True)
    model.eval().to(memory_format=torch.contiguous_format)


def export(model: nn.Module, example: Tensor, path: Path) -> None:
    """Write the model as one ONNX file that still has its BatchNormalization nodes.

    The exporter's own optimisation would fold them into the convolutions. Of its steps only those are
    taken that remove the shape arithmetic around the real operators.
    """
    program = torch.onnx.export(
        model,
        (example,),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        optimize=False,
        verbose=False,
    )
    assert program is not None
    optimizer.fold_constants(program.model)
    rewrite(program.model, [materialize_reshape_shape_rule])
    onnx.save(without_traces(program.model_proto), path)


def without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove what the exporter noted about the source code: stack traces with the paths of files."""
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    for part in (model, graph, *graph.node, *values):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return model


def save_data(path: Path, data: Dataset) -> None:
    """Write the test set and as many training images of each class as calibration needs."""
    classes = np.unique(data.y_train)
    generator = np.random.default_rng(SEED)
    members = (np.flatnonzero(data.y_train == label) for label in classes)
    per_class = CALIBRATION_IMAGES // len(classes)
    chosen = np.sort(np.concatenate([generator.choice(m, per_class, replace=False) for m in members]))
    np.savez_compressed(
        path,
        x_calibration=data.x_train[chosen],
        x_test=data.x_test,
        y_test=data.y_test,
        y_calibration=data.y_train[chosen],
    )


def publish(name: str, model: nn.Module, data: Dataset) -> None:
    """Write the network and its data next to this file, and print what a user of the two gets."""
    export(model, torch.from_numpy(data.x_test[:2].copy()), HERE / f"{name}.onnx")
    save_data(HERE / f"{name}.npz", data)
    print(report([name]))


def train_on_fashion_mnist(name: str, architecture: Callable[[], nn.Module], recipe: Recipe) -> None:
    """Train and publish a network, or with ``--validate`` score the recipe on held-out training images."""
    parser = argparse.ArgumentParser(description=f"Train {name} and export it to ONNX.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the four .gz files")
    parser.add_argument(
        "--validate",
        action="store_true",
        help=f"hold out {VALIDATION_IMAGES} training images, print the accuracy on them and write nothing",
    )
    arguments = parser.parse_args()
    data = load_fashion_mnist(arguments.data)
    make_deterministic()
    model = architecture()
    if arguments.validate:
        fit(model, data.x_train[:-VALIDATION_IMAGES], data.y_train[:-VALIDATION_IMAGES], recipe)
        with torch.no_grad():
            logits = model(torch.from_numpy(data.x_train[-VALIDATION_IMAGES:].copy())).numpy()
        print(f"validation accuracy {accuracy(logits, data.y_train[-VALIDATION_IMAGES:]):.2%}")
    else:
        fit(model, data.x_train, data.y_train, recipe)
        publish(name, model, data)
