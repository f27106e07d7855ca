"""The page of the measurement on Lava, from its numbers."""

from __future__ import annotations

from typing import Any


def page(results: dict[str, Any]) -> str:
    """Write the page in Markdown."""
    lines = [
        "# Speed on Lava",
        "",
        f"Written by `make bench-lava` on {results['machine']}, with lava-nc {results['lava']}.",
        f"Before it began, other programs kept {results['load_before']} cores busy (the load average).",
        "",
        f"Images a second over {results['steps']} steps, by the clock, all in one run: *all* counts everything,",
        "from the start of Lava's Python to its end, and *steps* only the time in which Lava does steps.",
        "*Restart* is stock `Dense`, `Conv` and `LIF` processes, made anew for every image, and `Var.get` for the",
        "result.",
        "`lava-stock` has stock processes too, but many images in one run, and spikes are recorded; `lava` is",
        "neurocompile's own, one process for a layer, with many images side by side. *Times* is *lava* against",
        "*restart*.",
        "",
        "The small networks have random weights and thresholds at which 13 % of the neurons fire: the MLP is",
        "784-256-10, the CNN Conv 16, Conv 32 with stride 2, Linear 10, on 28 x 28 pixels. The trained ones of",
        "`models/` run on `lava` alone.",
        "",
        "| network | restart: steps | all | lava-stock: steps | all | lava: images | steps | all"
        " | times: steps | all |",
        "|---|" + "---:|" * 9,
    ]
    for case in results["cases"]:
        cells = [f"{case['network']}, {case['precision']}"]
        for name in ("restart", "lava-stock"):
            found = case.get(name)
            cells += [f"{found[kind]:.3g}" for kind in ("steps", "all")] if found else ["", ""]
        ours = case["lava"]
        cells += [str(ours["images"]), f"{ours['steps']:,.4g}", f"{ours['all']:,.4g}"]
        restart = case.get("restart")
        cells += [f"{ours[kind] / restart[kind]:,.0f}" for kind in ("steps", "all")] if restart else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
