"""Writes ``docs/proof.md``: what became of each test case that the onnx package brings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import onnx
import onnxruntime
from cases import KINDS, load
from verdicts import Outcome, Verdict, judge, supported

PAGE = Path(__file__).resolve().parents[2] / "docs" / "proof.md"


def main() -> None:
    PAGE.write_text("\n".join(page()) + "\n")
    print(f"wrote {PAGE}")


def page() -> list[str]:
    return [
        "# The importer against ONNX's own test cases",
        "",
        f"Written by `python tests/proof/report.py` with onnx {onnx.__version__} and ONNX Runtime "
        f"{onnxruntime.__version__}.",
        "",
        "The onnx package brings test cases for every operator: a model, its inputs and the outputs expected.",
        "Each is imported as a trained network would be: one input is the data, the others are constants. Every",
        "input of reals or bytes is tried as the data, and then all of them together; with the batch of the case,",
        "and with an open one; what would be a batch of single numbers also as one image. Models older than opset",
        "7 are converted to it first.",
        "",
        "A case is **right** if all that could be imported computes the shapes and values that onnx lists, to the",
        "1e-3 that onnx allows, and those of ONNX Runtime wherever that runs the model, to 1e-4 of the largest.",
        "Outputs of integers beside real ones, such as the places of maxima, are left out by the importer.",
        "It is **refused** if no way to import it is without an operator or a form of one that is not converted;",
        "the reason is that of the first way. An **error** is an exception that does not tell the user what is",
        "not converted. A case does **not apply** if no input can be a network's data.",
        "",
        *by_kind(),
        "",
        "## Supported operators",
        "",
        "The cases whose model holds the operator alone, and how many with others as well are right.",
        "",
        *by_operator(),
        "",
        "## Why cases do not apply",
        "",
        *reasons_table(),
    ]


def by_kind() -> list[str]:
    rows = []
    for kind in KINDS:
        judged = [judge(case) for case in load(kind)]
        compared = sum(verdict.onnxruntime for verdict in judged if verdict.outcome == "right")
        rows.append([kind, str(len(judged)), *counts(judged), str(compared)])
    total = [str(sum(int(row[i]) for row in rows)) for i in range(1, len(rows[0]))]
    head = ["kind", "cases", *COUNTED, "compared with ONNX Runtime"]
    return table(head, [*rows, ["all", *total]])


def by_operator() -> list[str]:
    rows = []
    for op in supported():
        holding = [case for kind in KINDS for case in load(kind) if op in case.ops]
        alone = [judge(case) for case in holding if len(case.ops) == 1]
        among = sum(judge(case).outcome == "right" for case in holding if len(case.ops) > 1)
        reasons = Counter(verdict.reason for verdict in alone if verdict.outcome == "refused")
        rows.append([op, str(len(alone)), *counts(alone), str(among), listed(reasons)])
    head = ["operator", "cases", *COUNTED, "right, with others", "refused because"]
    return table(head, rows, texts=(0, len(head) - 1))


def reasons_table() -> list[str]:
    judged = [judge(case) for kind in KINDS for case in load(kind)]
    reasons = Counter(verdict.reason for verdict in judged if verdict.outcome == "not applicable")
    return table(["it", "cases"], [[reason, str(count)] for reason, count in in_order(reasons)])


COUNTED: tuple[Outcome, ...] = ("right", "refused", "wrong", "error", "not applicable")


def counts(judged: Iterable[Verdict]) -> list[str]:
    found = Counter(verdict.outcome for verdict in judged)
    return [str(found[outcome]) for outcome in COUNTED]


def listed(reasons: Counter[str]) -> str:
    return "; ".join(reason if count == 1 else f"{reason} ({count})" for reason, count in in_order(reasons))


def in_order(reasons: Counter[str]) -> list[tuple[str, int]]:
    return sorted(reasons.items(), key=lambda item: (-item[1], item[0]))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], texts: Sequence[int] = (0,)) -> list[str]:
    """Write a Markdown table; the columns that are no texts hold numbers."""
    rule = "|".join("---" if i in texts else "---:" for i in range(len(head)))
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(head)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in cells)]


if __name__ == "__main__":
    main()
