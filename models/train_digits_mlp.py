"""Train digits-mlp, a multilayer perceptron on scikit-learn's 8x8 digits, and export it to ONNX."""

import numpy as np
from common import SEED, Dataset, Recipe, fit, make_deterministic, publish
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

TEST_IMAGES = 500
RECIPE = Recipe(epochs=60, batch_size=32, peak_rate=0.05, weight_decay=1e-3, label_smoothing=0.05)


class DigitsMLP(nn.Module):
    """Three linear layers, on pixels from 0 to 16 as the data set has them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return one logit per class."""
        return self.layers(images / 16)


def load() -> Dataset:
    """Split the digits into a training and a test set that have the same share of each class."""
    images, labels = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(
        images.astype(np.float32),
        labels.astype(np.int64),
        test_size=TEST_IMAGES,
        stratify=labels,
        random_state=SEED,
    )
    return Dataset(x_train, y_train, x_test, y_test)


if __name__ == "__main__":
    make_deterministic()
    data, model = load(), DigitsMLP()
    fit(model, data.x_train, data.y_train, RECIPE)
    publish("digits-mlp", model, data)
