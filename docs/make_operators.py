"""Writes the tables of docs/operators.md from the code."""

from pathlib import Path

from neurocompile.frontends.onnx_ops import OPERATORS, REFUSALS
from neurocompile.passes.approximate import TOLERANCE

PAGE = Path(__file__).with_name("operators.md")

FIDELITIES = {
    "synapses": "exact",
    "wires": "exact",
    "currents": "exact",
    "folded": "exact",
    "neurons": "in the limit of many steps",
    "piecewise neurons": f"within {100 * TOLERANCE:g} % of the function's span, in the limit of many steps",
    "max pool": "in the limit of many steps",
    "decoder": "exact",
}


def supported() -> str:
    """Give the table of the operators that are converted."""
    lines = ["| operator | spiking form | fidelity | what is converted |", "|---|---|---|---|"]
    for name, operator in sorted(OPERATORS.items()):
        lines.append(f"| {name} | {operator.form} | {FIDELITIES[operator.form]} | {operator.conditions} |")
    return "\n".join(lines)


def refused() -> str:
    """Give the table of the operators that are not."""
    lines = ["| operator | why | instead |", "|---|---|---|"]
    lines += [f"| {name} | {problem} | {remedy} |" for name, (problem, remedy) in sorted(REFUSALS.items())]
    return "\n".join(lines)


def page(text: str) -> str:
    """Give the page with its tables made anew."""
    for name, table in (("supported", supported()), ("refused", refused())):
        start, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        before, rest = text.split(start)
        _, after = rest.split(end)
        text = before + start + table + end + after
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
