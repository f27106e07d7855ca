"""Write the data file with which ``neurocompile tune`` tunes the networks of Fashion-MNIST."""

import argparse
from pathlib import Path

import numpy as np
from common import HERE, load_fashion_mnist


def main() -> None:
    """Write all training images with their labels, the calibration images and the test set."""
    parser = argparse.ArgumentParser(description="Write Fashion-MNIST as neurocompile tune reads it.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the four .gz files")
    parser.add_argument("output", type=Path, help="the .npz file to write")
    arguments = parser.parse_args()
    data = load_fashion_mnist(arguments.data)
    with np.load(HERE / "fashion-cnn.npz") as published:
        calibration = published["x_calibration"]
    np.savez_compressed(arguments.output, x_calibration=calibration, **data._asdict())


if __name__ == "__main__":
    main()
