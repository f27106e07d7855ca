"""The Python examples of the documents run as they stand, and what the documents describe is there."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurocompile.cli import main

ROOT = Path(__file__).resolve().parent.parent


DOCUMENTS = ("README.md", "docs/codecs.md", "docs/quick-start.md", "docs/losses.md", "docs/tuning.md")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_examples_run(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    assert blocks
    (tmp_path / "models").mkdir()
    for file in (ROOT / "models").glob("digits-mlp.*"):
        shutil.copy(file, tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    exec("\n".join(blocks), {})


def test_json_fields_are_documented(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "json.md").read_text()
    digits = ROOT / "models" / "digits-mlp.onnx"
    monkeypatch.chdir(tmp_path)
    with np.load(digits.with_suffix(".npz")) as data:
        np.save("images.npy", data["x_test"][:2])
        np.save("values.npy", data["x_test"][:2].reshape(2, -1))

    def printed(*arguments: str) -> dict[str, Any]:
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--json"])
        assert ended.value.code == 0
        report = json.loads(capsys.readouterr().out)
        assert f"`schema` is {report['schema']}" in page
        return report

    options = ("--target", "numpy", "--steps", "auto", "--tolerance", "1", "--samples", "2", "--budget", "100")
    options += ("--chip", "loihi1", "--reset", "zero")
    reports = {
        "neurocompile MODEL --json": printed(str(digits), *options, "-o", "digits.nc"),
        "neurocompile run DEPLOYMENT --json": printed("run", "digits.nc", "--input", "images.npy"),
        "neurocompile tune MODEL --json": printed("tune", str(digits), "--epochs", "1"),
        "neurocompile encode FILE --report --json": printed("encode", "values.npy", "--report"),
        "neurocompile check MODEL --json": printed("check", str(digits), "--chip", "loihi2"),
    }
    # It is the same in both, and described once.
    assert set(reports["neurocompile MODEL --json"].pop("mapping")) == set(
        reports["neurocompile check MODEL --json"]["mapping"]
    )
    for title, report in reports.items():
        assert_documented(page, title, report)


@pytest.mark.usefixtures("stand_in")
def test_json_fields_of_lava_status_are_documented(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "json.md").read_text()
    for command, status in (("status", 2), ("install", 0), ("status", 0)):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["lava", command, *(["--json"] if command == "status" else [])])
        assert ended.value.code == status
        if command == "status":
            assert_documented(page, "neurocompile lava status --json", json.loads(capsys.readouterr().out))


def assert_documented(page: str, title: str, report: dict[str, Any]) -> None:
    _, section = page.split(f"## `{title}`\n")
    table, *_ = section.split("\n## ")
    missing = [key for key in dict.fromkeys(leaves(report)) if not is_documented(key, table)]
    assert not missing, f"docs/json.md lacks {', '.join(missing)} of {title}"


MAPPINGS = {"deployment.mismatches_by_layer", "budget.by_cause", "spikes"}
"""Fields whose keys are the names of layers or causes."""


def leaves(value: Any, name: str = "") -> Iterator[str]:
    """Name every field that holds no object, such as `snn.steps`; elements of lists have no index."""
    if isinstance(value, dict) and name not in MAPPINGS:
        for key, field in value.items():
            yield from leaves(field, f"{name}.{key}" if name else key)
    elif isinstance(value, list) and any(isinstance(element, dict) for element in value):
        for element in value:
            yield from leaves(element, name)
    else:
        yield name


def is_documented(key: str, table: str) -> bool:
    """Whether a table has a row for a field, or one for an object around it that names the field."""
    for fields, description in re.findall(r"^\| (.+?) \| (.+) \|$", table, re.MULTILINE):
        for field in re.findall(r"`(.+?)`", fields):
            if key == field:
                return True
            inner = key.removeprefix(f"{field}.").split(".")
            if key.startswith(f"{field}.") and all(f"`{part}`" in description for part in inner):
                return True
    return False


def test_the_readme_tells_what_the_proof_counts() -> None:
    row = re.search(r"\| all \| (.+) \|", (ROOT / "docs" / "proof.md").read_text())
    assert row is not None
    cases, right, refused, wrong, errors, others, _ = (int(n) for n in row[1].split(" | "))
    assert wrong == errors == 0
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"Of the {cases:,} cases that the onnx package brings, {right} are computed" in readme
    assert f"{refused:,} are refused with a reason, {others} have no network's data" in readme


def test_links_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("models/*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
