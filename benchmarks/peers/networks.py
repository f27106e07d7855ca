"""The example networks as PyTorch modules, for the Python of a peer, which need not have ONNX.

They are those of ``models/train_*.py`` without the scaling of the images, so that what a peer converts is a
network of the layers that it knows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def digits_mlp() -> nn.Sequential:
    """Return the multilayer perceptron."""
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the image's size but for the stride, and batch normalisation."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, stride, padding=size // 2), nn.BatchNorm2d(outputs))


def fashion_cnn() -> nn.Sequential:
    """Return the plain convolutional network."""
    return nn.Sequential(
        convolution(1, 16).append(nn.ReLU()),
        nn.AvgPool2d(2),
        convolution(16, 32).append(nn.ReLU()),
        convolution(32, 32).append(nn.ReLU()),
        nn.MaxPool2d(2),
        convolution(32, 96).append(nn.ReLU()),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(96 * 7 * 7, 10),
    )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around which a shortcut leads, projected where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            convolution(inputs, outputs, stride=stride), nn.ReLU(), convolution(outputs, outputs)
        )
        same_shape = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same_shape else convolution(inputs, outputs, size=1, stride=stride)
        self.activation = nn.ReLU()

    def forward(self, features: Tensor) -> Tensor:
        """Return the activated sum of both ways."""
        activated: Tensor = self.activation(self.residual(features) + self.shortcut(features))
        return activated


def fashion_resnet() -> nn.Sequential:
    """Return the residual network."""
    return nn.Sequential(
        convolution(1, 16),
        nn.ReLU(),
        nn.AvgPool2d(2),
        ResidualBlock(16, 16),
        ResidualBlock(16, 32, stride=2),
        ResidualBlock(32, 32),
        ResidualBlock(32, 64, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


BUILDERS = {"digits-mlp": digits_mlp, "fashion-cnn": fashion_cnn, "fashion-resnet": fashion_resnet}


def load(name: str, weights: Mapping[str, NDArray[np.float32]]) -> nn.Sequential:
    """Build a network with the initialisers of its ONNX file, which the exporter names as PyTorch does.

    Parameters
    ----------
    name
        Of the network.
    weights
        The initialisers by name; those of the scaling are left over.

    Returns
    -------
    nn.Sequential
        In evaluation mode.
    """
    network = BUILDERS[name]()
    parameters = {
        key: torch.from_numpy(weights[f"layers.{key}"].copy())
        for key in network.state_dict()
        if not key.endswith("num_batches_tracked")
    }
    network.load_state_dict(parameters, strict=False)
    return network.eval().requires_grad_(False)
