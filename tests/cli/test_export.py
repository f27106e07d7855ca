from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_network

import neurocompile as nc
from neurocompile.commands import export
from neurocompile.errors import Issue


@pytest.fixture
def deployed(folder: Path) -> Path:
    network = nc.compile(folder / "small.onnx", small_network.images(20), nc.Options(precision="int8"))
    network.save(folder / "small.nc")
    return folder


def test_writes_a_bundle(cli: Callable[..., Any], deployed: Path) -> None:
    outcome = cli("export", "small.nc", "--lava-bundle", "bundle", "--input", "images.npy")
    assert outcome == (0, "wrote bundle: see bundle/README.md\n", "")
    for name in ("run.py", "README.md", "requirements.txt", "plan-0.json", "arrays.npz", "bundle.json"):
        assert (deployed / "bundle" / name).is_file()
    np.testing.assert_array_equal(np.load(deployed / "bundle" / "images.npy"), small_network.images(5))
    assert cli("export", "small.nc", "--lava-bundle", "other").status == 0
    assert not (deployed / "other" / "images.npy").exists()


def test_help(cli: Callable[..., Any]) -> None:
    outcome = cli("export", "--help")
    assert (outcome.status, outcome.err) == (0, "")
    for word in ("DEPLOYMENT", "--lava-bundle", "--input"):
        assert word in outcome.out


def test_what_is_refused(refused: Callable[..., str], deployed: Path) -> None:
    assert "--lava-bundle is missing" in refused("export", "small.nc")
    assert "can't read none.nc" in refused("export", "none.nc", "--lava-bundle", "bundle")
    message = refused("export", "small.nc", "--lava-bundle", "none/bundle")
    assert "can't write none/bundle: No such file or directory\n  remedy: give a folder in" in message
    np.save(deployed / "large.npy", np.full((3, 6), 1e9))
    message = refused("export", "small.nc", "--lava-bundle", "bundle", "--input", "large.npy")
    assert "100 % of the values are beyond" in message
    (deployed / "full").mkdir()
    (deployed / "full" / "file").touch()
    assert "full is there already" in refused("export", "small.nc", "--lava-bundle", "full")


@pytest.mark.usefixtures("deployed")
def test_a_network_that_does_not_fit(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    issues = [Issue("it is too deep", remedy="use fewer layers")]
    monkeypatch.setattr("neurocompile_lava.plan.issues", lambda _graph: iter(issues))
    assert "it is too deep\n  remedy: use fewer" in refused("export", "small.nc", "--lava-bundle", "bundle")


@pytest.mark.usefixtures("deployed")
def test_a_target_that_writes_no_bundles(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "find", lambda _: object())
    assert "writes no bundles" in refused("export", "small.nc", "--lava-bundle", "bundle")
