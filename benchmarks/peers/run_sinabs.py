"""Converts and measures with Sinabs's own ``from_model``, in an environment that has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import measuring
from measuring import Job, Spiking
from sinabs.activation import SingleSpike
from sinabs.from_torch import from_model
from sinabs.layers import StatefulLayer
from sinabs.utils import normalize_weights, reset_states
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def spiking(network: nn.Module, **options: Any) -> Spiking:
    """Convert a network, to be run step by step."""
    snn = from_model(network, num_timesteps=1, **options).spiking_model.eval()
    neurons = [module for module in snn.modules() if isinstance(module, StatefulLayer)]
    return Spiking(snn, lambda: reset_states(snn), neurons)


def plain(**options: Any) -> Callable[[Job], Spiking]:
    """Return the conversion with these options."""
    return lambda job: spiking(job.network(), **options)


def normalised(job: Job) -> Spiking:
    """Convert after ``normalize_weights``, which takes one sequence of layers."""
    network = nn.Sequential(*flattened(job.network()))
    modules = dict(network.named_modules())
    activations = [name for name, module in modules.items() if isinstance(module, nn.ReLU)]
    weighted = [name for name, module in modules.items() if isinstance(module, nn.Conv2d | nn.Linear)]
    normalize_weights(network, job.x_calibration, activations, weighted)
    return spiking(network)


def flattened(network: nn.Sequential) -> list[nn.Module]:
    """Return the layers of nested sequences, batch normalisation folded into the convolutions."""
    layers: list[nn.Module] = []
    for layer in network:
        if isinstance(layer, nn.Sequential):
            layers += flattened(layer)
        elif isinstance(layer, nn.BatchNorm2d):
            convolution = layers.pop()
            assert isinstance(convolution, nn.Conv2d)
            layers.append(fuse_conv_bn_eval(convolution, layer))
        else:
            layers.append(layer)
    return layers


if __name__ == "__main__":
    measuring.run(
        ("sinabs", "torch"),
        {
            "from_model": plain(),
            "from_model, SingleSpike": plain(spike_fn=SingleSpike),
            "normalize_weights, from_model": normalised,
        },
    )
