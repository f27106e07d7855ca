"""What docs/codecs.md names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "codecs.md").read_text()
TESTS = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))


def test_named_tests_are_there():
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named
    assert not [name for name in named if f"def {name}(" not in TESTS]


def test_named_files_are_there():
    package = ROOT / "neurocompile" / "codecs"
    named = set(re.findall(r"`([\w/]+\.py)`", PAGE))
    assert "encoders/rate.py" in named
    places = (package, ROOT, ROOT / "tests" / "codecs")
    assert not [name for name in named if not any((place / name).exists() for place in places)]
