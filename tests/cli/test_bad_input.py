from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_network
from onnx import helper

Refused = Callable[..., str]

# ---------------------------------------------------------------- the model


def test_a_model_that_is_not_there(refused: Refused) -> None:
    assert "can't read other.onnx: No such file or directory\n  remedy: check the path" in refused("other.onnx")


def test_a_model_that_is_a_folder(refused: Refused) -> None:
    assert "can't read .: Is a directory" in refused(".")


@pytest.mark.parametrize("size", [0, 1, 100, -1, -40])
def test_a_model_that_is_cut_short(refused: Refused, folder: Path, size: int) -> None:
    whole = (folder / "small.onnx").read_bytes()
    (folder / "cut.onnx").write_bytes(whole[:size])
    assert "cut.onnx is no valid ONNX file" in refused("cut.onnx", "--data", "small.npz")


@pytest.mark.parametrize(
    "content", [b"import numpy\n", b"\x89PNG\r\n\x1a\n" + bytes(50), bytes(1000), b"\xff" * 99]
)
def test_a_file_that_is_no_model(refused: Refused, folder: Path, content: bytes) -> None:
    (folder / "other.onnx").write_bytes(content)
    assert "other.onnx is no valid ONNX file" in refused("other.onnx", "--data", "small.npz")


def test_the_data_given_as_a_model(refused: Refused) -> None:
    assert "small.npz is no valid ONNX file" in refused("small.npz")


def test_every_unsupported_node_is_named(refused: Refused, folder: Path) -> None:
    nodes = [
        helper.make_node("Sin", ["image"], ["a"], "first"),
        helper.make_node("Floor", ["a"], ["b"], "second"),
        helper.make_node("Gemm", ["b", "w"], ["c"], "third"),
        helper.make_node("LayerNormalization", ["c", "one"], ["y"], "fourth"),
    ]
    small_network.write_nodes(folder / "odd.onnx", nodes, {"w": np.ones((6, 3)), "one": np.ones(3)})
    message = refused("odd.onnx", "--data", "small.npz")
    for name, op in (("first", "Sin"), ("second", "Floor"), ("fourth", "LayerNormalization")):
        assert f"node '{name}' ({op}): " in message
    assert "third" not in message


# ---------------------------------------------------------------- the data


def save(folder: Path, **arrays: Any) -> None:
    """Write the data with other arrays; None leaves one out."""
    data = {**small_network.data(), **arrays}
    np.savez(folder / "small.npz", **{name: array for name, array in data.items() if array is not None})


def test_data_that_are_not_there(refused: Refused) -> None:
    assert "can't read other.npz: No such file" in refused("small.onnx", "--data", "other.npz")


def test_data_that_are_a_folder(refused: Refused) -> None:
    assert "can't read .: Is a directory" in refused("small.onnx", "--data", ".")


def test_one_array_as_data(refused: Refused) -> None:
    assert "images.npy holds one array" in refused("small.onnx", "--data", "images.npy")


@pytest.mark.parametrize("missing", [["y_test"], ["x_calibration"], ["x_test", "y_test"]])
def test_an_array_is_missing(refused: Refused, folder: Path, missing: list[str]) -> None:
    save(folder, **dict.fromkeys(missing))
    assert f"small.npz lacks {', '.join(missing)}" in refused("small.onnx")


@pytest.mark.parametrize("size", [0, 3, 60, 1000, -1, -30])
def test_data_that_are_cut_short(refused: Refused, folder: Path, size: int) -> None:
    whole = (folder / "small.npz").read_bytes()
    (folder / "small.npz").write_bytes(whole[:size])
    assert "small.npz is no valid .npy or .npz file of plain arrays" in refused("small.onnx")


def test_data_that_are_not_intact(refused: Refused, folder: Path) -> None:
    content = bytearray((folder / "small.npz").read_bytes())
    content[len(content) // 3] ^= 1
    (folder / "small.npz").write_bytes(content)
    assert "small.npz is no valid" in refused("small.onnx")


class Trap:
    """Unpickled, it leaves a file behind."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("sprung"),)


def test_objects_in_the_data_are_not_unpickled(refused: Refused, folder: Path) -> None:
    trap = np.empty(1, object)
    trap[0] = Trap()
    save(folder, y_test=trap)
    assert "small.npz is no valid" in refused("small.onnx")
    (folder / "small.npz").unlink()
    np.save(folder / "trap.npy", trap, allow_pickle=True)
    assert "trap.npy is no valid" in refused("small.onnx", "--data", "trap.npy")
    assert not (folder / "sprung").exists()


IMAGES, LABELS = small_network.images(40), small_network.labels(40)
NAN = np.where(np.arange(40)[:, None] < 2, np.nan, IMAGES)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"x_test": IMAGES[:, 1:]}, "x_test has the shape (40, 5); the network takes (N, 6)"),
        ({"x_test": IMAGES.ravel()}, "x_test has the shape (240,); the network takes (N, 6)"),
        ({"x_test": IMAGES.astype(str)}, "x_test holds <U"),
        ({"x_test": IMAGES + 0j}, "x_test holds complex"),
        ({"x_test": NAN}, "x_test has NaN or infinite values in 2 images"),
        ({"x_test": np.where(np.isnan(NAN), -np.inf, NAN)}, "x_test has NaN or infinite values in 2 images"),
        ({"x_calibration": IMAGES[:0]}, "x_calibration holds no images"),
        ({"x_calibration": NAN}, "x_calibration has NaN or infinite values in 2 images"),
        ({"x_calibration": IMAGES[:, None]}, "x_calibration has the shape (40, 1, 6)"),
        ({"y_test": LABELS[:-1]}, "y_test has the shape (39,); there are 40 images"),
        ({"y_test": np.eye(3, dtype=int)[LABELS]}, "y_test has the shape (40, 3); there are 40 images"),
        ({"y_test": LABELS + 1}, "y_test has labels from 1 to 3; the network's classes go from 0 to 2"),
        ({"y_test": LABELS - 1}, "y_test has labels from -1 to 1"),
        ({"y_test": LABELS + 0.5}, "y_test holds float64"),
        ({"y_test": LABELS.astype(str)}, "y_test holds <U"),
        ({"x_test": IMAGES[:0], "y_test": LABELS[:0]}, "x_test holds no images"),
        ({"x_test": np.float32(1)}, "x_test has the shape ()"),
    ],
)
def test_data_that_do_not_fit(refused: Refused, folder: Path, arrays: dict[str, np.ndarray], problem: str) -> None:
    save(folder, **arrays)
    assert problem in refused("small.onnx")


def test_all_problems_of_the_data_are_told_at_once(refused: Refused, folder: Path) -> None:
    save(folder, x_calibration=IMAGES[:, 1:], x_test=NAN, y_test=LABELS + 9)
    message = refused("small.onnx")
    assert [line.split()[0] for line in message.removeprefix("error: ").splitlines()[::2]] == [
        "x_calibration",
        "x_test",
        "y_test",
    ]


# ---------------------------------------------------------------- images for a deployment


@pytest.fixture
def deployed(cli: Callable[..., Any]) -> None:
    assert cli("small.onnx", "--budget", "0", "-o", "small.nc").status == 0


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    ("images", "problem"),
    [
        (IMAGES[0], "x has the shape (6,); the network takes (N, 6)"),
        (IMAGES[:, 1:], "x has the shape (40, 5)"),
        (IMAGES[:0], "x holds no images"),
        (NAN, "x has NaN or infinite values in 2 images"),
        (IMAGES.astype(str), "x holds <U"),
    ],
)
def test_images_that_do_not_fit(refused: Refused, folder: Path, images: np.ndarray, problem: str) -> None:
    np.save(folder / "images.npy", images)
    assert problem in refused("run", "small.nc", "--input", "images.npy", "-o", "spikes.npz")


@pytest.mark.usefixtures("deployed")
def test_images_that_are_not_there(refused: Refused) -> None:
    assert "can't read other.npy" in refused("run", "small.nc", "--input", "other.npy")


@pytest.mark.usefixtures("deployed")
def test_an_npz_without_images(refused: Refused, folder: Path) -> None:
    save(folder, x_test=None)
    assert "small.npz lacks x_test" in refused("run", "small.nc", "--input", "small.npz")


@pytest.mark.usefixtures("deployed")
def test_images_that_are_no_array(refused: Refused) -> None:
    assert "small.onnx is no valid" in refused("run", "small.nc", "--input", "small.onnx")
