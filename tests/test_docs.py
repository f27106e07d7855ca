"""The Python examples of the documents run as they stand."""

import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("document", ["README.md", "docs/quick-start.md"])
def test_examples_run(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    assert blocks
    (tmp_path / "models").mkdir()
    for file in (ROOT / "models").glob("digits-mlp.*"):
        shutil.copy(file, tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    exec("\n".join(blocks), {})


def test_json_fields_are_documented() -> None:
    from neurocompile.report import document

    text = (ROOT / "docs" / "json.md").read_text()
    assert f"`schema` is {document.SCHEMA}" in text


def test_links_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("models/*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
