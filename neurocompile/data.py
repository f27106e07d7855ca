"""Images and labels: read from files, and checked before anything runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurocompile.errors import DataError, Issue
from neurocompile.ir import Array

_KEYS = ("x_calibration", "x_test", "y_test")

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
        raise _invalid(path, str(error)) from error
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


def label_issues(y: Array, images: int, outputs: int) -> list[Issue]:
    """List what is wrong with labels ``(images,)`` for a network of so many outputs."""
    # A single output tells two classes apart.
    classes = max(outputs, 2)
    if y.dtype.kind not in "iu":
        return [Issue(f"y_test holds {y.dtype}", remedy="give each image's class as an integer")]
    if y.shape != (images,):
        return [
            Issue(f"y_test has the shape {y.shape}; there are {images} images", remedy="give one label an image")
        ]
    if images and (y.min() < 0 or y.max() >= classes):
        problem = (
            f"y_test has labels from {y.min()} to {y.max()}; the network's classes go from 0 to {classes - 1}"
        )
        return [Issue(problem, remedy="number the classes from 0, in the order of the network's outputs")]
    return []
