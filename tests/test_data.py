from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from neurocompile.data import Data, TrainingData, image_issues, label_issues, range_issues, read_images
from neurocompile.errors import DataError
from neurocompile.ir import Array

SHAPE = (2, 3)
IMAGES = np.random.default_rng(0).random((4, *SHAPE))
LABELS = np.array([0, 1, 2, 1])


def data(x_calibration: Array = IMAGES, x_test: Array = IMAGES, y_test: Array = LABELS) -> Data:
    return Data(x_calibration, x_test, y_test)


def problems(broken: Data) -> list[str]:
    with pytest.raises(DataError) as caught:
        broken.check(SHAPE, "float32", classes=3)
    assert all(issue.remedy for issue in caught.value.issues)
    return [issue.problem for issue in caught.value.issues]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x_calibration=IMAGES, x_test=IMAGES, y_test=LABELS)
    return path


def test_reads_the_three_arrays(file: Path) -> None:
    read = Data.read(file)
    np.testing.assert_array_equal(read.x_calibration, IMAGES)
    np.testing.assert_array_equal(read.x_test, IMAGES)
    np.testing.assert_array_equal(read.y_test, LABELS)


def test_data_that_fit_pass() -> None:
    data().check(SHAPE, "float32", classes=3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.bool_])
def test_numbers_of_any_type_pass(dtype: type) -> None:
    data(IMAGES.astype(dtype), IMAGES.astype(dtype)).check(SHAPE, "float32", classes=3)


def test_every_problem_at_once() -> None:
    broken = data(IMAGES[:, :1], IMAGES.astype(str), LABELS + 1)
    assert problems(broken) == [
        "x_calibration has the shape (4, 1, 3); the network takes (N, 2, 3)",
        "x_test holds <U32, not numbers",
        "y_test has labels from 1 to 3; the network's classes go from 0 to 2",
    ]


@pytest.mark.parametrize("x", [IMAGES[0], IMAGES.reshape(4, 6), np.array(1.0)])
def test_images_of_another_shape(x: Array) -> None:
    assert f"x_calibration has the shape {x.shape}" in problems(data(x_calibration=x))[0]


def test_scalar_instead_of_test_images() -> None:
    assert "x_test has the shape ()" in problems(data(x_test=np.array(1.0)))[0]


def test_no_images() -> None:
    assert "x_test holds no images" in problems(data(x_test=IMAGES[:0], y_test=LABELS[:0]))[0]


def test_nan_and_infinity_are_counted_by_image() -> None:
    x = IMAGES.copy()
    x[1], x[3, 0, 0] = np.nan, np.inf
    assert problems(data(x_test=x)) == ["x_test has NaN or infinite values in 2 images"]


def test_labels_that_are_no_integers() -> None:
    assert problems(data(y_test=LABELS.astype(float))) == ["y_test holds float64"]


@pytest.mark.parametrize("y", [LABELS[:3], LABELS[:, None]])
def test_one_label_an_image(y: Array) -> None:
    assert problems(data(y_test=y)) == [f"y_test has the shape {y.shape}; there are 4 images"]


@pytest.mark.parametrize("y", [LABELS - 1, LABELS + 1])
def test_labels_beyond_the_classes(y: Array) -> None:
    assert "the network's classes go from 0 to 2" in problems(data(y_test=y))[0]


def test_a_single_output_tells_two_classes_apart() -> None:
    assert label_issues(np.array([0, 1, 1]), 3, outputs=1) == []
    (issue,) = label_issues(np.array([0, 1, 2]), 3, outputs=1)
    assert issue.problem == "y_test has labels from 0 to 2; the network's classes go from 0 to 1"


def test_missing_keys_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x_test=IMAGES)
    with pytest.raises(DataError, match="lacks x_calibration, y_test"):
        Data.read(tmp_path / "data.npz")


def test_single_array_is_no_data_set(tmp_path: Path) -> None:
    np.save(tmp_path / "data.npy", IMAGES)
    with pytest.raises(DataError, match="holds one array"):
        Data.read(tmp_path / "data.npy")


def test_images_from_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    np.testing.assert_array_equal(read_images(tmp_path / "images.npy"), IMAGES)


def test_images_from_npz(file: Path) -> None:
    np.testing.assert_array_equal(read_images(file), IMAGES)


def test_npz_without_images(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", y_test=LABELS)
    with pytest.raises(DataError, match="lacks x_test"):
        read_images(tmp_path / "other.npz")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"can't read .*: No such file or directory\n  remedy: check the path"):
        read_images(tmp_path / "none.npy")


def test_python_objects_are_not_run(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([object()], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"is no valid \.npy or \.npz file of plain arrays"):
        read_images(tmp_path / "objects.npy")


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x93NUMPY\x01\x00"])
def test_no_numpy_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"is no valid \.npy or \.npz file"):
        read_images(tmp_path / "file.npy")


def npy(shape: str) -> bytes:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(16)


@pytest.mark.parametrize("shape", ["(1000000000000, 1000)", "(-2, -1)", "((((("])
@pytest.mark.parametrize("packed", [False, True], ids=["npy", "npz"])
def test_forged_header(tmp_path: Path, shape: str, packed: bool) -> None:
    path = tmp_path / "file"
    if packed:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("x_test.npy", npy(shape))
    else:
        path.write_bytes(npy(shape))
    with pytest.raises(DataError, match=r"is no valid \.npy or \.npz file"):
        read_images(path)


def test_entry_that_is_no_array(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "file.npz", "w") as file:
        file.writestr("x_test", "text")
    with pytest.raises(DataError, match=r"is no valid \.npy or \.npz file"):
        read_images(tmp_path / "file.npz")


@pytest.mark.parametrize("flip", [0x01, 0x06, 0xFF])
def test_any_byte_changed(tmp_path: Path, flip: int) -> None:
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x_test=LABELS)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
        try:
            np.testing.assert_array_equal(read_images(path), LABELS)
        except DataError:
            continue


def test_truncated_anywhere(file: Path) -> None:
    whole = file.read_bytes()
    for end in range(0, len(whole), 7):
        file.write_bytes(whole[:end])
        with pytest.raises(DataError):
            Data.read(file)


@pytest.mark.parametrize("x", [IMAGES / 255, IMAGES.astype(np.int64) + 256, IMAGES - 300.0])
def test_images_on_another_scale_than_bytes(x: np.ndarray) -> None:
    (issue,) = image_issues(x, SHAPE, "x", "uint8")
    assert "the network takes whole numbers from 0 to 255" in issue.problem
    assert issue.remedy == "give the images unscaled: the network scales them itself"


def test_whole_numbers_pass_for_bytes() -> None:
    assert image_issues(np.full((2, *SHAPE), 255.0), SHAPE, "x", "uint8") == []
    assert image_issues(np.full((2, *SHAPE), 7, np.uint8), SHAPE, "x", "uint8") == []


def test_images_beyond_the_calibration() -> None:
    x = np.linspace(-1, 16, 200).reshape(-1, 1)
    (issue,) = range_issues(x, 1.0)
    assert "beyond 1, the largest that it was calibrated on" in issue.problem
    assert range_issues(x, 15.5) == []


def training_file(path: Path, **arrays: Array) -> Path:
    np.savez(path, **{"x_test": IMAGES, "y_test": LABELS, **arrays})
    return path


def test_training_images_under_either_name(tmp_path: Path) -> None:
    other = IMAGES + 1
    read = TrainingData.read(training_file(tmp_path / "a.npz", x_calibration=IMAGES, y_calibration=LABELS))
    np.testing.assert_array_equal(read.x_train, IMAGES)
    np.testing.assert_array_equal(read.x_calibration, IMAGES)
    np.testing.assert_array_equal(read.y_train, LABELS)
    both = {"x_train": other, "y_train": LABELS, "x_calibration": IMAGES}
    read = TrainingData.read(training_file(tmp_path / "b.npz", **both))
    np.testing.assert_array_equal(read.x_train, other)
    np.testing.assert_array_equal(read.x_calibration, IMAGES)


def test_of_many_training_images_some_calibrate(tmp_path: Path) -> None:
    x, y = np.arange(2500.0).reshape(-1, 1), np.zeros(2500, int)
    read = TrainingData.read(training_file(tmp_path / "data.npz", x_train=x, y_train=y))
    assert len(read.x_calibration) == 1000
    assert (read.x_calibration[0, 0], read.x_calibration[-1, 0]) == (0, 2499)
    assert np.diff(read.x_calibration[:, 0]).max() == 3


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"x_train": IMAGES}, "lacks y_train: tuning needs labels"),
        ({"x_calibration": IMAGES}, "lacks y_calibration: tuning needs labels"),
        ({}, "lacks images to train on: tuning needs labels"),
    ],
)
def test_training_data_without_labels(tmp_path: Path, arrays: dict[str, Array], problem: str) -> None:
    with pytest.raises(DataError, match=problem) as raised:
        TrainingData.read(training_file(tmp_path / "data.npz", **arrays))
    assert raised.value.issues[0].remedy == "add x_train with y_train or x_calibration with y_calibration"


def test_everything_that_training_data_lack_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x_train=IMAGES)
    with pytest.raises(DataError) as raised:
        TrainingData.read(tmp_path / "data.npz")
    assert len(raised.value.issues) == 3
    np.save(tmp_path / "data.npy", IMAGES)
    with pytest.raises(DataError, match="holds one array"):
        TrainingData.read(tmp_path / "data.npy")


def test_training_data_that_do_not_fit() -> None:
    TrainingData(IMAGES, LABELS, IMAGES, IMAGES, LABELS).check(SHAPE, "float32", classes=3)
    with pytest.raises(DataError) as raised:
        TrainingData(IMAGES, LABELS[:3], IMAGES[:0], np.array(1.0), LABELS + 1).check(SHAPE, "float32", classes=3)
    assert [issue.problem for issue in raised.value.issues] == [
        "x_calibration holds no images",
        "x_test has the shape (); the network takes (N, 2, 3)",
        "y_train has the shape (3,); there are 4 images",
    ]
