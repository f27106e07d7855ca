from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_models import imported
from torch import nn

from neurocompile.frontends.onnx_reference import OnnxReference


class Residual(nn.Module):
    """What image classifiers are made of, flattened by ``view``."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.BatchNorm2d(4))
        self.pools = nn.Sequential(nn.MaxPool2d(2), nn.Dropout(0.5), nn.AvgPool2d(2))
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = self.pools(torch.relu(self.block(x) + x))
        return self.head(x.view(x.size(0), -1))


class Pooled(nn.Module):
    """A global mean as head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, stride=2)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


def export(module: nn.Module, path: Path, batch: int | None, *, dynamo: bool) -> None:
    torch.manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    opened = {}
    if batch is None:
        opened = (
            {"dynamic_shapes": ({0: torch.export.Dim("batch")},)}
            if dynamo
            else {"dynamic_axes": {"x": {0: "batch"}}}
        )
    with warnings.catch_warnings():
        # PyTorch announces the end of its older exporter, and uses a deprecated function in its newer one.
        warnings.filterwarnings("ignore", "You are using the legacy TorchScript", DeprecationWarning)
        warnings.filterwarnings("ignore", "The feature will be removed", DeprecationWarning)
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
        torch.onnx.export(
            module.eval(),
            (torch.rand(batch or 2, 1, 8, 8),),
            path,
            dynamo=dynamo,
            input_names=["x"],
            output_names=["y"],
            verbose=False,
            **opened,
        )


@pytest.mark.parametrize("batch", [None, 1, 4], ids=["open batch", "batch of 1", "batch of 4"])
@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "TorchScript"])
def test_export_of_a_module(tmp_path: Path, batch: int | None, dynamo: bool) -> None:
    module, path = Residual(), tmp_path / "model.onnx"
    export(module, path, batch, dynamo=dynamo)
    x = np.random.default_rng(0).random((6, 1, 8, 8), np.float32)
    expected = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(imported(path, x)[1], expected, atol=1e-5)
    np.testing.assert_allclose(OnnxReference(path).run(x), expected, atol=1e-5)


@pytest.mark.parametrize("dynamo", [True, False], ids=["dynamo", "TorchScript"])
def test_global_mean(tmp_path: Path, dynamo: bool) -> None:
    module, path = Pooled(), tmp_path / "model.onnx"
    export(module, path, None, dynamo=dynamo)
    x = np.random.default_rng(0).random((3, 1, 8, 8), np.float32)
    np.testing.assert_allclose(imported(path, x)[1], module(torch.from_numpy(x)).detach().numpy(), atol=1e-5)
