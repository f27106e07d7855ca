"""The blocks of well-known networks, small, as their authors and torchvision write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

IMAGE = (3, 16, 16)
CLASSES = 5


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Make a convolution with BatchNorm and without an activation."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class Basic(nn.Module):
    """ResNet's basic block; one ReLU module is used twice."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = convolution(inputs, outputs, 3, stride)
        self.relu = nn.ReLU(inplace=True)
        self.second = convolution(outputs, outputs)
        self.downsample = convolution(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.second(self.relu(self.first(x)))
        out += identity
        return self.relu(out)


class Bottleneck(nn.Module):
    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolution(channels, width, 1), nn.ReLU(), convolution(width, width), nn.ReLU()
        )
        self.expand = convolution(width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.expand(self.layers(x)) + x)


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(3, 8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
        self.blocks = nn.Sequential(Basic(8, 8), Basic(8, 12, 2), Bottleneck(12, 6))
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.head = nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(self.pool(self.blocks(self.stem(x))), 1))


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.shortcut = stride == 1 and inputs == outputs
        self.layers = nn.Sequential(
            convolution(inputs, hidden, 1),
            nn.ReLU6(inplace=True),
            convolution(hidden, hidden, 3, stride, groups=hidden),
            nn.ReLU6(inplace=True),
            convolution(hidden, outputs, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.shortcut else self.layers(x)


class MobileNetV2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            convolution(3, 8, 3, 2),
            nn.ReLU6(),
            InvertedResidual(8, 6, 1, 2),
            InvertedResidual(6, 6, 1, 3),
            InvertedResidual(6, 8, 2, 3),
            convolution(8, 16, 1),
            nn.ReLU6(),
        )
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(16, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.adaptive_avg_pool2d(self.features(x), 1).reshape(x.shape[0], -1))


class Fire(nn.Module):
    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.narrow = nn.Conv2d(squeezed, expanded, 1)
        self.wide = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.narrow(x)), F.relu(self.wide(x))], 1)


class SqueezeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            Fire(8, 4, 6),
            Fire(12, 4, 8),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Conv2d(16, CLASSES, 1), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(self.classifier(self.features(x)), 1)


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    batch, channels, height, width = x.size()
    x = x.view(batch, groups, channels // groups, height, width)
    x = torch.transpose(x, 1, 2).contiguous()
    return x.view(batch, channels, height, width)


class ShuffleUnit(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        branch = outputs // 2
        self.short = nn.Sequential(
            convolution(inputs, inputs, 3, stride, inputs), convolution(inputs, branch, 1), nn.ReLU()
        )
        self.long = nn.Sequential(
            convolution(inputs if stride > 1 else branch, branch, 1),
            nn.ReLU(),
            convolution(branch, branch, 3, stride, branch),
            convolution(branch, branch, 1),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            kept, changed = x.chunk(2, dim=1)
            out = torch.cat((kept, self.long(changed)), dim=1)
        else:
            out = torch.cat((self.short(x), self.long(x)), dim=1)
        return channel_shuffle(out, 2)


class ShuffleNetV2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(convolution(3, 6), nn.ReLU(), ShuffleUnit(6, 12, 2), ShuffleUnit(12, 12, 1))
        self.head = nn.Linear(12, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean([2, 3]))


class DenseLayer(nn.Module):
    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 2 * growth, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(2 * growth), nn.Conv2d(2 * growth, growth, 3, 1, 1, bias=False)

    def forward(self, features: list[Tensor]) -> Tensor:
        bottleneck = self.conv1(F.relu(self.norm1(torch.cat(features, 1))))
        return self.conv2(F.relu(self.norm2(bottleneck)))


class DenseNet(nn.Module):
    """The features that a block hands on have signs: BatchNorm and ReLU come before each convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(3, 6), nn.ReLU())
        self.layers = nn.ModuleList([DenseLayer(6, 4), DenseLayer(10, 4)])
        self.transition = nn.Sequential(nn.BatchNorm2d(14), nn.ReLU(), nn.Conv2d(14, 8, 1), nn.AvgPool2d(2, 2))
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for layer in self.layers:
            features.append(layer(features))
        x = F.relu(self.norm(self.transition(torch.cat(features, 1))))
        return self.head(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


class Inception(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch1 = nn.Sequential(convolution(inputs, 4, 1), nn.ReLU())
        self.branch2 = nn.Sequential(convolution(inputs, 3, 1), nn.ReLU(), convolution(3, 4), nn.ReLU())
        self.branch3 = nn.Sequential(convolution(inputs, 2, 1), nn.ReLU(), convolution(2, 3, 5), nn.ReLU())
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True), convolution(inputs, 3, 1), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class GoogLeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            convolution(3, 6, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), Inception(6), Inception(14)
        )
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.head = nn.Linear(14, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.flatten(self.pool(self.features(x)), 1))


class VGG(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.ReLU(True),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(6, 8, 3, padding=1),
            nn.ReLU(True),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.ReLU(True),
            nn.MaxPool2d(2, 2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(nn.Linear(32, 16), nn.ReLU(True), nn.Dropout(), nn.Linear(16, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(x.view(x.size(0), -1))


class UNet(nn.Module):
    """Classifies every pixel; ``up`` doubles the size and halves the channels."""

    def __init__(self, up: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.down1, self.down2 = self.twice(3, 4), self.twice(4, 8)
        self.up, self.merged = up(8, 4), self.twice(8, 4)
        self.out = nn.Conv2d(4, 2, 1)

    @staticmethod
    def twice(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(convolution(inputs, outputs), nn.ReLU(), convolution(outputs, outputs), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        fine = self.down1(x)
        coarse = self.down2(F.max_pool2d(fine, 2))
        return self.out(self.merged(torch.cat([fine, self.up(coarse)], dim=1)))


def transposed_up(inputs: int, outputs: int) -> nn.Module:
    return nn.ConvTranspose2d(inputs, outputs, 2, stride=2)


def nearest_up(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Upsample(scale_factor=2), convolution(inputs, outputs, 1))


class Functional(nn.Module):
    """Functional calls, a layer that is used twice, and branches that are split, joined, stacked and selected."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1))
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.shared = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.head = nn.Linear(128, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.stem((x - self.mean) / 0.25))
        x = F.relu(self.shared(x))
        x = F.max_pool2d(F.relu(self.shared(x) + x), 2)
        first, second = torch.chunk(x, 2, dim=1)
        third, fourth = torch.split(F.pad(x, (1, 0, 0, 1))[:, :, 1:, :-1], [2, 6], dim=1)
        x = torch.cat([second, first], 1) + torch.cat((fourth, third), dim=1)
        x = torch.stack([x, 2 * x], dim=1).mean(1)
        x = F.avg_pool2d(x[:, :, ::2], 2, stride=(1, 2)).narrow(2, 1, 2)
        x = torch.cat([x, x.flip(1)], 2).permute(0, 2, 3, 1)
        return F.log_softmax(self.head(torch.flatten(x, 1)), dim=1)


class Curves(nn.Module):
    """Activations that are curves."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, stride=2)
        self.layers = nn.Sequential(nn.SiLU(), nn.Conv2d(6, 6, 1), nn.GELU(), nn.Conv2d(6, 6, 1), nn.Hardswish())
        self.head = nn.Sequential(nn.Linear(6, 8), nn.Sigmoid(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(self.stem(x)).mean((2, 3)))


class Signals(nn.Module):
    """1-D: the rows of the image one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 6, 5, stride=2, padding=2)
        self.pool = nn.MaxPool1d(3, 2, 1)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(F.elu(self.conv(x.flatten(2)))).amax(-1))


NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    "ResNet": ResNet,
    "MobileNetV2": MobileNetV2,
    "SqueezeNet": SqueezeNet,
    "ShuffleNetV2": ShuffleNetV2,
    "DenseNet": DenseNet,
    "GoogLeNet": GoogLeNet,
    "VGG": VGG,
    "U-Net": lambda: UNet(transposed_up),
    "U-Net, nearest": lambda: UNet(nearest_up),
    "functional": Functional,
    "curves": Curves,
    "signals": Signals,
}


def network(name: str) -> nn.Module:
    """Make a network whose BatchNorms have statistics, in evaluation mode."""
    torch.manual_seed(0)
    module = NETWORKS[name]()
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, 0, 0.3)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.3)
    return module.eval()
