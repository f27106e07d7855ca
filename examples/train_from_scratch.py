"""Train a spiking network from nothing on inputs whose spikes tell values by their times, and run it on Lava.

``python examples/train_from_scratch.py`` needs PyTorch, and a Python 3.10 or uv to make Lava's environment with.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

import neurocompile as nc
from neurocompile.codecs.encoders import TimeToFirstSpikeEncoder
from neurocompile.losses import LossConfig
from neurocompile.twin import Surrogate

STEPS = 16
DIGITS = Path(__file__).resolve().parents[1] / "models" / "digits-mlp.npz"


def main(epochs: int = 20) -> tuple[float, int]:
    """Train, deploy, and return the accuracy on the test images and the spikes in which Lava differs."""
    torch.manual_seed(0)
    digits = np.load(DIGITS)
    x, x_test = digits["x_calibration"] / 16, digits["x_test"] / 16
    y, y_test = torch.tensor(digits["y_calibration"].astype(np.int64)), digits["y_test"]

    # An untrained network, as processes of Loihi's integers, and the same as a module of PyTorch.
    untrained = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    untrained[0].weight.data *= 4  # One spike in 16 steps is little current.
    network = nc.compile(untrained, x, nc.Options(code="rate", steps=STEPS, precision="int8", encoder="ttfs"))
    twin = network.to_torch(Surrogate("arctan")).float()

    # Each pixel is one spike, the brighter the earlier; the time in which it comes is all that the network gets.
    encoder = TimeToFirstSpikeEncoder(num_steps=STEPS, normalization="none", allow_no_spike=True)
    spikes = torch.tensor(encoder(x).spikes, dtype=torch.float32)
    loss = LossConfig(w_rate=1.0, target_rate=0.1, w_temporal=0.0, w_membrane=0.0).composer()
    optimizer = torch.optim.Adam(twin.parameters(), lr=2e-3)
    for epoch in range(1, epochs + 1):
        for batch in torch.randperm(len(x)).split(50):
            value, log = loss(twin(spikes[batch]).activity(y[batch]))
            optimizer.zero_grad()
            torch.autograd.backward(value)
            optimizer.step()
        print(f"epoch {epoch}: loss {log['total']:.3f}, rate {log['diagnostics']['rate_reg']['rate']:.3f}")

    trained = network.from_torch(twin)
    on_numpy, on_lava = (trained.deploy(target).run(x_test[:50]) for target in ("numpy", "lava"))
    differ = sum(int((on_lava.spikes[layer] != sent).sum()) for layer, sent in on_numpy.spikes.items())
    return trained.evaluate(x_test, y_test).accuracy, differ


if __name__ == "__main__":
    accuracy, differ = main()
    print(f"{100 * accuracy:.1f} % of the test images are right, and {differ} spikes differ on Lava")
