"""Train fashion-resnet, a residual network on Fashion-MNIST, and export it to ONNX."""

from common import Recipe, flip_and_shift, train_on_fashion_mnist
from torch import Tensor, nn

RECIPE = Recipe(epochs=50, label_smoothing=0.1, augment=flip_and_shift)


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Return a convolution that keeps the image's size but for the stride, and batch normalisation."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, size, stride, padding=size // 2), nn.BatchNorm2d(outputs))


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
        return self.activation(self.residual(features) + self.shortcut(features))


class FashionResNet(nn.Module):
    """A stem, four residual blocks, global average pooling and one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
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

    def forward(self, images: Tensor) -> Tensor:
        """Return one logit per class for images of bytes."""
        return self.layers(images.float() / 255)


if __name__ == "__main__":
    train_on_fashion_mnist("fashion-resnet", FashionResNet, RECIPE)
