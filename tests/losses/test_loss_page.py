"""The page names tests and defaults that there are."""

import re
from dataclasses import fields
from pathlib import Path

from neurocompile.losses import LossConfig

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "losses.md").read_text()


def test_every_test_that_it_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 40
    for file, test in named:
        path = ROOT / file if "/" in file else Path(__file__).parent / file
        assert f"def {test}(" in path.read_text(), (file, test)


def test_it_lists_every_option_with_its_default() -> None:
    config = LossConfig()
    for option in fields(config):
        assert re.search(rf"`{option.name}` {re.escape(str(getattr(config, option.name)))}(?![\w.]*\d)", PAGE), (
            option
        )
