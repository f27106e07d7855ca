"""The page of the comparison, from its numbers."""

from __future__ import annotations

from typing import Any

OURS = "neurocompile"


def page(results: dict[str, Any]) -> str:
    """Write the page in Markdown."""
    roof = results["roofline"]
    cases = results["cases"]
    main = [case for case in cases if (case["rate"], case["steps"]) == (0.13, 32)] or cases
    tools = list(cases[0]["tools"])
    versions = ", ".join(f"{name} {tool['version']}" for name, tool in cases[0]["tools"].items())
    lines = [
        "# Speed of the simulator",
        "",
        f"Written by `make bench-speed` on {results['machine']}, with {versions}.",
        "",
        "Images for a second of processor time on one core: the median of five turns, which the simulators take",
        "in one run. All have the same weights, images and neurons (integrate and fire, reset by subtraction);",
        "float32 weights are put on a grid on which the sums of neurocompile are exact.",
        "*Differing counts* are those of the output neurons, of 160, in the order of the peers; SpikingJelly and",
        "Sinabs fire where a neuron reaches its threshold, and are compared with a run of ours that does so too.",
        "",
        "## 32 steps, 13 % of the neurons at a step",
        "",
        *_table(main, tools),
        "",
        "Against the fastest peer, and against what the core can do at most:",
        "",
        *_roofline(main, roof),
        "",
        "*Dense* is the time that all multiplications would take in a matrix product of this core:",
        f"{roof['float32']:.0f} billion a second of float32 (NumPy's BLAS), {roof['int8']:.0f} of int8 (ONNX",
        f"Runtime). *Events* is the time of the synaptic operations alone, at {roof['events']:.0f} billion a",
        "second, with all rows of weights in the nearest cache.",
        "",
    ]
    others = [case for case in cases if case not in main]
    if others:
        lines += ["## Other rates and numbers of steps: cnn, int8", "", *_table(others, tools), ""]
    lines += [
        "## Peak memory in MB",
        "",
        "*More* is what runs of neurocompile take on top of the program and its weights.",
        "",
        *_memory(cases, tools),
        "",
        *_lava(results["lava"]),
        "## Poisson encoding",
        "",
        "1,000 values over 1,000 steps of 0.1 ms, up to 200 Hz, with pauses of 20 steps:",
        f"{results['encoding']['intervals']:.2f} ms by intervals, as neurocompile draws them, and",
        f"{results['encoding']['steps']:.2f} ms in a loop over the steps.",
        "",
    ]
    return "\n".join(lines)


def _name(case: dict[str, Any]) -> str:
    return f"{case['network']}, {case['precision']} | {100 * case['rate']:.0f} % | {case['steps']}"


def _header(columns: list[str]) -> list[str]:
    return [f"| network | rate | steps | {' | '.join(columns)} |", "|---|---:|---:|" + "---:|" * len(columns)]


def _table(cases: list[dict[str, Any]], tools: list[str]) -> list[str]:
    lines = _header([*tools, "times the fastest peer", "differing counts"])
    for case in cases:
        found = case["tools"]
        rates = [f"{found[name]['images_per_second']:,.4g}" for name in tools]
        differing = ", ".join(str(found[name]["differing_counts"]) for name in tools if name != OURS)
        lines.append(f"| {_name(case)} | {' | '.join(rates)} | {_ratio(case):.1f} | {differing} |")
    return lines


def _ratio(case: dict[str, Any]) -> float:
    rates = {name: tool["images_per_second"] for name, tool in case["tools"].items()}
    ratio: float = rates.pop(OURS) / max(rates.values())
    return ratio


def _roofline(cases: list[dict[str, Any]], roof: dict[str, float]) -> list[str]:
    columns = ["synaptic operations", "of the dense ones", "times dense float32", "times dense int8", "of events"]
    lines = _header(columns)
    for case in cases:
        seconds = 1 / case["tools"][OURS]["images_per_second"]
        dense, synaptic = case["multiplications"], case["synaptic_operations"]
        cells = [
            f"{synaptic:,.0f}",
            f"{100 * synaptic / dense:.1f} %",
            f"{dense / roof['float32'] / 1e9 / seconds:.2f}",
            f"{dense / roof['int8'] / 1e9 / seconds:.2f}",
            f"{100 * synaptic / roof['events'] / 1e9 / seconds:.0f} %",
        ]
        lines.append(f"| {_name(case)} | {' | '.join(cells)} |")
    return lines


def _memory(cases: list[dict[str, Any]], tools: list[str]) -> list[str]:
    lines = _header([*tools, "more"])
    for case in cases:
        peaks = [f"{case['tools'][name]['peak_mb']:.0f}" for name in tools]
        peaks.append(f"{case['tools'][OURS]['more_mb']:.0f}")
        lines.append(f"| {_name(case)} | {' | '.join(peaks)} |")
    return lines


def _lava(found: list[dict[str, Any]]) -> list[str]:
    if not found:
        return []
    lines = [
        "## Lava",
        "",
        "The same networks on Lava's simulator, in the processes that neurocompile makes for it, which take many",
        "images at once, by the clock:",
        "",
        *_header(["images", "images a second", "times as long as neurocompile on a core", "differing counts"]),
    ]
    for case in found:
        rate, slower = f"{case['images_per_second']:.4g}", f"{case['slower']:.0f}"
        cells = f"{case['images']} | {rate} | {slower} | {case['differing_counts']}"
        lines.append(f"| {_name(case)} | {cells} |")
    return [*lines, ""]
