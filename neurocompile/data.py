"""Images and labels: read from files, and checked before anything runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurocompile.errors import DataError, Issue
from neurocompile.ir import Array

_KEYS = ("x_calibration", "x_test", "y_test")

_TRAINING_PAIRS = (("x_train", "y_train"), ("x_calibration", "y_calibration"))
"""Images and labels to train on, by the names that a file may give them; the first that it has are taken."""

_CALIBRATION = 1_000
"""Training images that thresholds are chosen from, where the file names no others."""

_MOST_CLIPPED = 0.05
"""Of an input's values: a few may be larger than any in calibration, many are on another scale."""


@dataclass(frozen=True)
class Data:
    """What a network is calibrated and measured on.

    Parameters
    ----------
    x_calibration
        Training images ``(N, *shape)``; None where there are none.
    x_test, y_test
        Test images ``(M, *shape)`` and their classes ``(M,)``, None where these are not known.
    """

    x_calibration: Array | None
    x_test: Array
    y_test: Array | None

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Data:
        """Read an ``.npz`` file with the three arrays, without running any code in it.

        Raises
        ------
        DataError
            If the file can't be read, or lacks an array.
        """
        loaded = _load(Path(path))
        if not isinstance(loaded, dict):
            raise DataError(f"{path} holds one array", remedy=f"save an .npz with {', '.join(_KEYS)}")
        missing = [key for key in _KEYS if key not in loaded]
        if missing:
            raise DataError(
                f"{path} lacks {', '.join(missing)}",
                remedy=f"save it with numpy.savez_compressed and the keys {', '.join(_KEYS)}",
            )
        return cls(*(loaded[key] for key in _KEYS))

    def check(self, shape: tuple[int, ...], dtype: str, classes: int) -> None:
        """Compare all arrays with what the network takes and gives.

        Raises
        ------
        DataError
            With every problem found.
        """
        issues = image_issues(self.x_test, shape, "x_test", dtype)
        if self.x_calibration is not None:
            issues = image_issues(self.x_calibration, shape, "x_calibration", dtype) + issues
        if self.x_test.ndim and self.y_test is not None:
            issues += label_issues(self.y_test, len(self.x_test), classes)
        if issues:
            raise DataError.of(issues)


@dataclass(frozen=True)
class TrainingData:
    """What a spiking network is tuned and measured on.

    Parameters
    ----------
    x_train, y_train
        Training images ``(N, *shape)`` and their classes ``(N,)``.
    x_calibration
        Training images from which thresholds are chosen, ``(K, *shape)``.
    x_test, y_test
        Test images ``(M, *shape)`` and their classes ``(M,)``: they are measured on, and nothing else.
    """

    x_train: Array
    y_train: Array
    x_calibration: Array
    x_test: Array
    y_test: Array

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> TrainingData:
        """Read an ``.npz`` file, without running any code in it.

        Training images are ``x_train`` with ``y_train``, or else ``x_calibration`` with ``y_calibration``. Where
        there is no ``x_calibration`` it is up to 1,000 of ``x_train``, evenly spread.

        Raises
        ------
        DataError
            If the file can't be read, or lacks an array.
        """
        loaded = _load(Path(path))
        if not isinstance(loaded, dict):
            names = ", ".join((*_TRAINING_PAIRS[0], *_KEYS[1:]))
            raise DataError(f"{path} holds one array", remedy=f"save an .npz with {names}")
        issues = [
            Issue(f"{path} lacks {key}", remedy="add it with numpy.savez_compressed")
            for key in _KEYS[1:]
            if key not in loaded
        ]
        images, labels = next((pair for pair in _TRAINING_PAIRS if pair[0] in loaded), _TRAINING_PAIRS[0])
        if images not in loaded or labels not in loaded:
            names = " or ".join(" with ".join(pair) for pair in _TRAINING_PAIRS)
            problem = f"{path} lacks {labels if images in loaded else 'images to train on'}: tuning needs labels"
            issues.append(Issue(problem, remedy=f"add {names}"))
        if issues:
            raise DataError.of(issues)
        x_train = loaded[images]
        if x_train.ndim and len(x_train):
            spread = np.linspace(0, len(x_train) - 1, min(len(x_train), _CALIBRATION)).astype(np.intp)
            loaded.setdefault("x_calibration", x_train[spread])
        calibration = loaded.get("x_calibration", x_train)
        return cls(x_train, loaded[labels], calibration, loaded["x_test"], loaded["y_test"])

    def check(self, shape: tuple[int, ...], dtype: str, classes: int) -> None:
        """Compare all arrays with what the network takes and gives.

        Raises
        ------
        DataError
            With every problem found.
        """
        issues = []
        for name in ("x_train", "x_calibration", "x_test"):
            issues += image_issues(getattr(self, name), shape, name, dtype)
        for name, images in (("y_train", self.x_train), ("y_test", self.x_test)):
            if images.ndim:
                issues += label_issues(getattr(self, name), len(images), classes, name)
        if issues:
            raise DataError.of(issues)


def read_images(path: str | os.PathLike[str]) -> Array:
    """Read images from an ``.npy`` file, or from the ``x_test`` of an ``.npz``.

    Raises
    ------
    DataError
        If there are none to be read.
    """
    loaded = _load(Path(path))
    if isinstance(loaded, dict):
        if "x_test" not in loaded:
            raise DataError(f"{path} lacks x_test", remedy="save the images under that key, or as an .npy file")
        return loaded["x_test"]
    return loaded


def read_array(path: str | os.PathLike[str], name: str | None = None) -> Array:
    """Read an ``.npy`` file, or an array of an ``.npz`` file: the only one, or the one with a name.

    Raises
    ------
    DataError
        If there is none to be read, or if it is not told which.
    """
    loaded = _load(Path(path))
    if not isinstance(loaded, dict):
        if name is not None:
            raise DataError(f"{path} holds one array without a name", remedy=f"leave out the name {name}")
        return loaded
    if not loaded:
        raise DataError(f"{path} holds no arrays", remedy="save one in it")
    if name is None and len(loaded) > 1:
        raise DataError(f"{path} holds several arrays", remedy=f"name one of {', '.join(loaded)}")
    if name is not None and name not in loaded:
        raise DataError(f"{path} holds no array {name}", remedy=f"name one of {', '.join(loaded)}")
    return loaded[next(iter(loaded)) if name is None else name]


def _load(path: Path) -> Array | dict[str, Array]:
    try:
        with path.open("rb") as file:
            # Memory-mapped files would follow changes on disk, and pickled ones would run code: neither is read.
            loaded = np.load(file, allow_pickle=False)
            arrays: Array | dict[str, Array] = loaded if isinstance(loaded, np.ndarray) else dict(loaded)
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror or error}", remedy="check the path") from error
    except Exception as error:  # zipfile, its decompressors and NumPy's header parser raise many kinds
        # What NumPy takes for a pickle it advises to load as one.
        why = "it is another kind of file, or holds Python objects" if "pickle" in str(error) else str(error)
        raise _invalid(path, why) from error
    others = [key for key in arrays if not isinstance(arrays[key], np.ndarray)] if isinstance(arrays, dict) else []
    if others:
        raise _invalid(path, f"{', '.join(others)} holds something else")
    return arrays


def _invalid(path: Path, why: str) -> DataError:
    return DataError(
        f"{path} is no valid .npy or .npz file of plain arrays ({why})",
        remedy="save it again with numpy.save or numpy.savez_compressed, without Python objects",
    )


def image_issues(x: Array, shape: tuple[int, ...], name: str, dtype: str) -> list[Issue]:
    """List what is wrong with images ``(N, *shape)`` for a model that declares a type."""
    if x.dtype.kind not in "fiub":
        return [Issue(f"{name} holds {x.dtype}, not numbers", remedy="save the images as float32 or uint8")]
    if x.ndim and not len(x):
        return [Issue(f"{name} holds no images", remedy="give one or more")]
    if x.ndim == 0 or x.shape[1:] != shape:
        expected = ", ".join(("N", *map(str, shape)))
        return [
            Issue(f"{name} has the shape {x.shape}; the network takes ({expected})", remedy="reshape the images")
        ]
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        bad = int(np.count_nonzero(~np.isfinite(x.reshape(len(x), -1)).all(axis=1)))
        return [Issue(f"{name} has NaN or infinite values in {bad} images", remedy="leave these images out")]
    if dtype == "uint8" and x.dtype != np.uint8 and not np.array_equal(x, np.clip(np.rint(x), 0, 255)):
        problem = f"{name} goes from {x.min():g} to {x.max():g}; the network takes whole numbers from 0 to 255"
        return [Issue(problem, remedy="give the images unscaled: the network scales them itself")]
    return []


def range_issues(x: Array, ceiling: float) -> list[Issue]:
    """List what is wrong with images whose values the encoder would clip."""
    beyond = float(np.mean(np.abs(x.astype(np.float64)) > ceiling))
    if beyond <= _MOST_CLIPPED:
        return []
    problem = f"{100 * beyond:.0f} % of the values are beyond {ceiling:g}, the largest that it was calibrated on"
    return [Issue(problem, remedy="scale the images as those of the calibration, or calibrate it on such images")]


def label_issues(y: Array, images: int, outputs: int, name: str = "y_test") -> list[Issue]:
    """List what is wrong with labels ``(images,)`` for a network of so many outputs."""
    # A single output tells two classes apart.
    classes = max(outputs, 2)
    if y.dtype.kind not in "iu":
        return [Issue(f"{name} holds {y.dtype}", remedy="give each image's class as an integer")]
    if y.shape != (images,):
        return [
            Issue(f"{name} has the shape {y.shape}; there are {images} images", remedy="give one label an image")
        ]
    if images and (y.min() < 0 or y.max() >= classes):
        problem = (
            f"{name} has labels from {y.min()} to {y.max()}; the network's classes go from 0 to {classes - 1}"
        )
        return [Issue(problem, remedy="number the classes from 0, in the order of the network's outputs")]
    return []
