"""Measures the encoders and decoders of rates on fashion-cnn, and writes ``docs/schemes.md``.

Each row is a run of the command line, over the whole test set in the NumPy simulator, and over some images on
Lava, whose spikes are compared.
"""

from __future__ import annotations

import platform
from typing import Any

from conversion import ROOT, run

STEPS, SAMPLES = 32, 16

SCHEMES = (
    ("constant", "membrane"),
    ("poisson", "membrane"),
    ("bernoulli", "membrane"),
    ("deterministic", "membrane"),
    ("burst", "membrane"),
    ("constant", "membrane_max"),
    ("constant", "count"),
    ("constant", "first_spike"),
    ("deterministic", "first_spike"),
)


def measured(encoder: str, decoder: str) -> dict[str, Any]:
    """Run the command line with a scheme, and give its report."""
    options = ["--target", "lava", "--code", "rate", "--steps", str(STEPS), "--encoder", encoder]
    options += ["--balance", "mse", "--decoder", decoder, "--samples", str(SAMPLES), "--budget", "0"]
    report = run("fashion-cnn", *options).report
    print(encoder, decoder, report["snn"]["accuracy"], flush=True)
    return report


def row(report: dict[str, Any]) -> str:
    """Give a scheme's line of the table."""
    snn, loss, target = report["snn"], report["loss"], report["deployment"]
    by_step = snn["accuracy_by_step"]
    cells = [
        report["options"]["encoder"],
        report["options"]["decoder"],
        *(f"{100 * by_step[step - 1]:.2f}" for step in (4, 8, 16, STEPS)),
        f"{loss['points']:.2f} ({loss['low']:.2f} to {loss['high']:.2f})",
        f"{snn['spikes_per_neuron']:.2f}",
        f"{snn['synaptic_operations'] / 1e6:.1f}",
        f"{target['spike_mismatches']} of {target['spikes']:,}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    reports = [measured(*scheme) for scheme in SCHEMES]
    ann = reports[0]["ann"]["accuracy"]
    page = [
        "# Encoders and decoders of rates",
        "",
        f"Written by `python benchmarks/schemes.py` on {platform.machine()}: fashion-cnn, `--code rate`,",
        f"`--balance mse --steps {STEPS}`, int8, 10,000 test images; the ANN has {100 * ann:.2f} %.",
        f"Accuracies after 4 to {STEPS} steps are those of one network, which is fitted for {STEPS}.",
        f"On Lava {SAMPLES} images ran, whose spikes were compared.",
        "",
        "| encoder | decoder | 4 steps, % | 8 | 16 | 32 | loss, points (95 % confidence) | spikes per neuron "
        "| synaptic operations, millions | mismatches on Lava |",
        "|---|---|" + "---:|" * 8,
        *map(row, reports),
        "",
        "The other codes of [codecs.md](codecs.md) tell a value by when a spike comes, or by which of several",
        "neurons sends it. Neurons that count do not read that. `--encoder ttfs` is there for networks that are",
        "trained to read it ([tuning.md](tuning.md)).",
    ]
    (ROOT / "docs" / "schemes.md").write_text("\n".join(page) + "\n")


if __name__ == "__main__":
    main()
