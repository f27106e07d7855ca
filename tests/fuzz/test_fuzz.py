"""A short run of the fuzzer; ``long_run.py`` is the long one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import get_args

import judgement
import numpy as np
import onnx
import pytest
import seeds
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from judgement import GOOD, Judgement, Outcome, judge
from mutations import change_bytes, change_fields, change_graph, mutate
from third_opinion import evaluate
from worker import Worker

from neurocompile.frontends.onnx_ops import OPERATORS

NOT_CONVERTED = {"branching": "decides while the network runs"}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / seeds.FILE


@pytest.fixture(scope="module")
def worker(path: Path) -> Iterator[Worker]:
    with Worker(path.parent / "log") as worker:
        yield worker


# Without shrinking, so that it takes the same time whatever it finds: the printed case is small anyhow.
@settings(
    max_examples=1000,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(name=st.sampled_from(sorted(seeds.seeds())), number=st.integers(0, 2**32))
def test_changed_models_are_refused_or_right(worker: Worker, path: Path, name: str, number: int) -> None:
    path.write_bytes(mutate(Random(number), seeds.seeds()[name]))
    found = worker.judge(path)
    event(f"{found.outcome} {found.reason}" if found.outcome == "accepted" else found.outcome)
    assert found.outcome in GOOD, found.reason


@pytest.mark.parametrize("name", sorted(seeds.seeds()))
def test_unchanged_models_are_right(worker: Worker, path: Path, name: str) -> None:
    path.write_bytes(seeds.seeds()[name])
    found = worker.judge(path)
    if name in NOT_CONVERTED:
        assert found.outcome == "refused"
        assert NOT_CONVERTED[name] in found.reason
    else:
        assert found == Judgement("accepted", found.reason)
        assert found.reason in ("compared", "not compared: NaN inside")


def test_every_operator_is_in_some_model() -> None:
    models = [onnx.ModelProto.FromString(content) for content in seeds.seeds().values()]
    nodes = [node for proto in models for node in proto.graph.node]
    assert {f"{n.domain}.{n.op_type}" if n.domain else n.op_type for n in nodes} >= set(OPERATORS)


@pytest.mark.parametrize("change", [change_bytes, change_fields, change_graph, mutate])
def test_changes_can_be_repeated(change: Callable[[Random, bytes], bytes]) -> None:
    content = seeds.seeds()["residual"]
    first, second = ([change(Random(number), content) for number in range(50)] for _ in range(2))
    assert first == second
    assert sum(changed != content for changed in first) > 25


# ---------------------------------------------------------------- the judge itself


def saved(folder: Path, name: str) -> Path:
    path = folder / seeds.FILE
    path.write_bytes(seeds.seeds()[name])
    return path


def test_another_result_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, run = saved(tmp_path, "perceptron"), judgement.run
    assert judge(path) == Judgement("accepted", "compared")
    monkeypatch.setattr(judgement, "run", lambda *given: {k: v * 1.01 for k, v in run(*given).items()})
    assert judge(path).outcome == "wrong"
    monkeypatch.setattr(judgement, "run", lambda *given: {k: v[..., :1] for k, v in run(*given).items()})
    assert "has the shape (5, 1) instead of (5, 3)" in judge(path).reason


def test_exceptions_and_greed_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, "perceptron")
    for error, outcome in ((ZeroDivisionError, "crashed"), (MemoryError, "too much memory")):

        def fail(*_: object, error: type[Exception] = error) -> None:
            raise error

        monkeypatch.setattr(judgement, "run", fail)
        assert judge(path).outcome == outcome


def test_third_opinion_in_double_precision() -> None:
    x = np.random.default_rng(0).normal(size=(5, 2, 6, 4))
    result = evaluate(onnx.ModelProto.FromString(seeds.seeds()["residual"]), "x", x)
    assert result.dtype == np.float64
    assert result.shape == (5, 3)


@pytest.mark.parametrize(
    ("program", "outcome", "reason"),
    [
        ("import os, sys; sys.stdin.readline(); os.abort()", "crashed", "Fatal Python error: Aborted"),
        ("import sys; sys.stdin.readline(); print(1, file=sys.stderr)", "crashed", "ended with status"),
        ("import time; time.sleep(60)", "too slow", "not done after 1 s"),
        ('while input():\n print(\'["accepted", "compared"]\', flush=True)', "accepted", "compared"),
    ],
)
def test_worker_survives(tmp_path: Path, program: str, outcome: str, reason: str) -> None:
    (tmp_path / "program.py").write_text(program)
    with Worker(tmp_path / "log", seconds=1, program=tmp_path / "program.py") as worker:
        for _ in range(2):
            found = worker.judge(tmp_path / seeds.FILE)
            assert found.outcome == outcome
            assert reason in found.reason


def test_long_run_prints_a_summary(tmp_path: Path) -> None:
    command = [sys.executable, "long_run.py", "--count", "30", "--workers", "1", "--keep", tmp_path / "bad"]
    run = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    assert run.stderr == ""
    counts = {line[:18].strip(): int(line[18:]) for line in run.stdout.splitlines() if line[18:].strip().isdigit()}
    assert sum(counts[outcome] for outcome in get_args(Outcome)) == 30
    assert run.returncode == (1 if (tmp_path / "bad").exists() else 0)
