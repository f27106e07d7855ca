"""Train fashion-cnn, a plain convolutional network on Fashion-MNIST, and export it to ONNX."""

from common import Recipe, flip_and_shift, train_on_fashion_mnist
from torch import Tensor, nn

RECIPE = Recipe(epochs=45, label_smoothing=0.1, augment=flip_and_shift)


def convolution(inputs: int, outputs: int) -> nn.Sequential:
    """Return a 3x3 convolution, batch normalisation and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


class FashionCNN(nn.Module):
    """Four convolutions with both kinds of pooling between them, and one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolution(1, 16),
            nn.AvgPool2d(2),
            convolution(16, 32),
            convolution(32, 32),
            nn.MaxPool2d(2),
            convolution(32, 96),
            nn.Dropout(0.3),
            nn.Flatten(),
            nn.Linear(96 * 7 * 7, 10),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return one logit per class for images of bytes."""
        return self.layers(images.float() / 255)


if __name__ == "__main__":
    train_on_fashion_mnist("fashion-cnn", FashionCNN, RECIPE)
