"""Measures what networks on stock Lava lose and send, and writes ``docs/stock.md``.

Each row is a run of the command line, over the whole test set in the NumPy simulator, and over some images on
Lava, whose spikes are compared.
"""

from __future__ import annotations

import platform

from conversion import ROOT, run

SAMPLES = 5

NETWORKS = ("digits-mlp", "fashion-resnet")
FORMS = {
    "`SigmaDelta`": ("--code", "graded"),
    "`ATRLIF`, 32 steps": ("--code", "rate", "--steps", "32"),
    "`LIFReset`, 32 steps": ("--code", "rate", "--steps", "32", "--reset", "zero"),
}


def row(network: str, form: str) -> str:
    """Measure a form of a network, and give its line of the table."""
    options = ["--target", "lava-stock", *FORMS[form], "--samples", str(SAMPLES), "--budget", "0"]
    report = run(network, *options).report
    ann, snn, loss, target = (report[name] for name in ("ann", "snn", "loss", "deployment"))
    cells = [
        network,
        form,
        f"{100 * ann['accuracy']:.2f}",
        f"{100 * snn['accuracy']:.2f}",
        f"{loss['points']:.2f} ({loss['low']:.2f} to {loss['high']:.2f})",
        f"{snn['spikes_per_neuron'] * snn['neurons']:,.0f}",
        f"{snn['synaptic_operations']:,.0f}",
        f"{target['spike_mismatches']} of {target['spikes']:,}",
    ]
    line = f"| {' | '.join(cells)} |"
    print(line, flush=True)
    return line


def main() -> None:
    page = [
        "# What networks on stock Lava lose",
        "",
        f"Written by `python benchmarks/stock.py` on {platform.machine()}: `--target lava-stock`, int8,",
        f"whole test sets. On Lava {SAMPLES} images ran, whose spikes were compared.",
        "fashion-cnn has max pools, which stock Lava lacks.",
        "",
        "| network | neurons | ANN, % | SNN, % | loss, points (95 % confidence) | spikes or messages for an image "
        "| synaptic operations | mismatches on Lava |",
        "|---|---|" + "---:|" * 6,
        *(row(network, form) for network in NETWORKS for form in FORMS),
    ]
    (ROOT / "docs" / "stock.md").write_text("\n".join(page) + "\n")


if __name__ == "__main__":
    main()
