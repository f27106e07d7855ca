"""Draws the pictures of ``docs/codecs.md``: spikes of each scheme, tuning curves, and what comes back.

python docs/make_codec_pictures.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neurocompile.codecs.config import CodingScheme, EncoderConfig
from neurocompile.codecs.decoders.delta import DeltaDecoder
from neurocompile.codecs.decoders.spike_decoder import SpikeDecoder
from neurocompile.codecs.encoders import DeltaEncoder, PopulationEncoder, make_encoder
from neurocompile.codecs.metrics.benchmark import METHODS, SCHEMES
from neurocompile.codecs.spike_train import train_of

DOCS = Path(__file__).resolve().parent
BLUE, RED, GREY = "#2171b5", "#d94801", "#7f7f7f"

THETA = 0.05
SIGNAL = 0.5 + 0.4 * np.sin(np.linspace(0, 4 * np.pi, 200)) * np.linspace(0.4, 1, 200)


def config(scheme: CodingScheme) -> EncoderConfig:
    """Return the document's options with a seed."""
    return EncoderConfig(scheme, normalize_input=False, seed=0)


def delta_encoder() -> DeltaEncoder:
    """Return the encoder of the signal."""
    return DeltaEncoder(num_steps=len(SIGNAL), normalization="none", theta_up=THETA, theta_down=THETA)


def marks(panel: Axes, spikes: Any, heights: Any, dt_ms: float, colour: str = BLUE) -> None:
    """Draw spikes ``(T, N)``, each neuron at its height."""
    steps, neurons = np.nonzero(spikes)
    panel.plot(steps * dt_ms, heights[neurons], "|", color=colour, markersize=4, markeredgewidth=0.7)


def rasters() -> Figure:
    """Draw the spikes of 21 values, of the population of one, and of a signal."""
    figure, axes = plt.subplots(2, 4, figsize=(11, 5.4), layout="constrained")
    values = np.linspace(0, 1, 21)
    for panel, scheme in zip(axes.flat, SCHEMES, strict=False):
        options = config(scheme)
        population = scheme.startswith("population")
        batch = make_encoder(options)(np.array([0.6]) if population else values)
        heights = np.linspace(0, 1, options.population_size) if population else values
        marks(panel, batch.spikes[0], heights, options.dt_ms)
        panel.set_title(f"{scheme}, of 0.6" if population else scheme)
        panel.set_ylabel("preferred value" if population else "value")
        # A step apart, ranks are over soon.
        end = 3.0 if scheme == "temporal_rank_order" else options.time_window_ms
        panel.set_xlim(-0.02 * end, 1.02 * end)
        panel.set_ylim(-0.05, 1.05)
        panel.set_xlabel("ms")
    panel = axes.flat[-1]
    on, off = np.split(delta_encoder()(SIGNAL[None, :, None]).spikes[0], 2, axis=1)
    panel.plot(SIGNAL, color=GREY, linewidth=1)
    for spikes, height, colour in ((on, 1.05, BLUE), (off, -0.05, RED)):
        marks(panel, spikes, np.array([height]), 1.0, colour)
    panel.set_title("delta: ON above, OFF below")
    panel.set_ylabel("value")
    panel.set_xlabel("step")
    return figure


def tuning() -> Figure:
    """Draw the rates of a population against the value."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), sharey=True, layout="constrained")
    values = np.linspace(0, 1, 181)
    for panel, scheme in zip(axes, ("population_gaussian", "population_triangular"), strict=True):
        encoder = make_encoder(config(scheme))
        assert isinstance(encoder, PopulationEncoder)
        for rates in encoder(values[:, None]).aux["rates"].T:
            panel.plot(values, rates, linewidth=1.2)
        panel.set_title(scheme)
        panel.set_xlabel("value")
    axes[0].set_ylabel("rate of a ready neuron, Hz")
    return figure


def reconstruction() -> Figure:
    """Draw what is decoded against what was encoded."""
    figure, axes = plt.subplots(2, 4, figsize=(11, 5.4), layout="constrained")
    values = np.random.default_rng(0).uniform(0, 1, 80)
    for panel, scheme in zip(axes.flat, SCHEMES, strict=False):
        options = config(scheme)
        train = train_of(make_encoder(options)(values), options.dt_ms)
        decoded = SpikeDecoder(options).decode(train, METHODS[scheme]).values
        panel.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        panel.plot(values, decoded.ravel(), ".", color=BLUE, markersize=3)
        panel.set_title(f"{scheme}\nby {METHODS[scheme]}")
        panel.set_xlabel("value")
        panel.set_ylabel("decoded")
    panel = axes.flat[-1]
    found = DeltaDecoder(theta_up=THETA, theta_down=THETA)(delta_encoder()(SIGNAL[None, :, None]))
    panel.plot(SIGNAL, color=GREY, linewidth=1)
    panel.plot(np.ravel(found.aux["reconstruction"]), color=BLUE, linewidth=1)
    panel.set_title("delta\nevery step")
    panel.set_xlabel("step")
    panel.set_ylabel("value, decoded")
    return figure


def main() -> None:
    """Write the pictures."""
    plt.switch_backend("svg")
    plt.rcParams.update({"svg.hashsalt": "codecs", "svg.fonttype": "none", "font.size": 8, "axes.titlesize": 9})
    for name, draw in (("rasters", rasters), ("tuning", tuning), ("reconstruction", reconstruction)):
        path = DOCS / f"codecs-{name}.svg"
        draw().savefig(path, metadata={"Date": None})
        # Matplotlib ends lines with spaces.
        path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


if __name__ == "__main__":
    main()
