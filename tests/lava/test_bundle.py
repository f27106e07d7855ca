"""Bundles: what is written, and that Lava's Python runs it alone with the simulator's spikes."""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conformance.networks import average_pool, compiled, deep, images, mlp, pool_of_spikes, rearranged
from neurocompile_lava import backend, plan
from neurocompile_lava.backend import LavaBackend
from neurocompile_lava.worker import bundle as runner
from neurocompile_lava.worker import guard

from neurocompile import data
from neurocompile.backend import compile_for
from neurocompile.errors import BackendError, DeploymentError
from neurocompile.ir import Array, Graph
from neurocompile.ir.processes import Encoder
from neurocompile.options import Options

PATIENCE = 120.0
STEPS = 6


def written(graph: Graph, folder: Path, x: Array | None = None, steps: int = STEPS) -> Path:
    LavaBackend().bundle(graph, steps, folder, x)
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A bundle of a small network, with three images."""
    return written(compiled(mlp(), Options(precision="int8")), tmp_path / "bundle", images(mlp(), 3))


def run_alone(python: Path, bundle: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [python, "-I", bundle / "run.py", *arguments]
    return subprocess.run(command, cwd=bundle.parent, capture_output=True, text=True, check=False)


def assert_as_simulated(results: Path, graph: Graph, x: Array, steps: int = STEPS) -> None:
    with np.load(results / "spikes.npz") as spikes:
        layers = tuple(spikes)
        assert layers
        simulated = compile_for("numpy", graph).run(x, steps=steps, probes=layers)
        for layer in layers:
            np.testing.assert_array_equal(spikes[layer], simulated.spikes[layer])
            assert spikes[layer].any()
    np.testing.assert_array_equal(np.load(results / "potentials.npy"), simulated.potentials)
    np.testing.assert_array_equal(np.load(results / "decisions.npy"), simulated.decisions[:, -1])


# ---------------------------------------------------------------- by Lava's Python, alone


def test_lavas_python_has_no_neurocompile(lava_python: Path, small: Path) -> None:
    looked = run_alone(lava_python, small, "--help")
    assert looked.returncode == 0, looked.stderr
    program = f"import sys; sys.path.insert(0, {str(small)!r}); import neurocompile_lava.worker.job, neurocompile"
    ran = subprocess.run([lava_python, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert "No module named 'neurocompile'" in ran.stderr


@pytest.mark.parametrize(
    "options",
    [
        Options(code="digit", precision="int8"),
        Options(code="rate", precision="int8", signed=True, balance="max"),
        Options(code="rate", precision="int8", reset="zero", balance="max"),
    ],
    ids=["digit", "signed", "zero"],
)
def test_gives_the_simulators_spikes(lava_python: Path, tmp_path: Path, options: Options) -> None:
    graph, x = compiled(mlp(), options), images(mlp(), 5)
    bundle = written(graph, tmp_path / "bundle")
    before = {path.name for path in bundle.rglob("*")}
    np.save(tmp_path / "images.npy", x)
    ran = run_alone(lava_python, bundle, "--input", "images.npy", "--output", "out/results")
    assert ran.returncode == 0, ran.stderr
    assert "images 1 to 5 of 5" in ran.stderr
    assert_as_simulated(tmp_path / "out" / "results", graph, x)
    assert {path.name for path in bundle.rglob("*")} == before


# ---------------------------------------------------------------- in this process, the worker in Lava's


@pytest.fixture
def run(
    lava_python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str]]]:
    """Run a bundle, and give the exit status and what was said; nothing may be left."""
    stand_in = SimpleNamespace(executable=str(lava_python), version_info=(3, 10, 13), stderr=None)
    monkeypatch.setattr(runner, "sys", stand_in)
    monkeypatch.setattr(importlib.metadata, "version", lambda _: runner.LAVA_VERSION)

    with tempfile.TemporaryDirectory(prefix="t-") as temporary:
        monkeypatch.setattr(tempfile, "tempdir", temporary)

        def main(bundle: Path, *arguments: str) -> tuple[int, str]:
            from sys import stderr

            stand_in.stderr = stderr
            status = runner.main(bundle, ["--output", str(tmp_path / "results"), *arguments])
            assert list(Path(temporary).iterdir()) == []
            return status, capsys.readouterr().err

        yield main


def refused(run: Callable[..., tuple[int, str]], bundle: Path, *arguments: str) -> str:
    status, said = run(bundle, *arguments)
    assert status == 2
    assert "error: " in said
    assert "\n  remedy: " in said

    return said


@pytest.mark.parametrize("precision", ["int8", "float"])
def test_runs_in_batches(
    run: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Any
) -> None:
    monkeypatch.setattr(backend, "_BATCH", 2)
    graph, x = compiled(average_pool(), Options(precision=precision)), images(average_pool(), 3)
    status, said = run(written(graph, tmp_path / "bundle", x))
    assert status == 0, said
    assert "images 1 to 2 of 3\nimages 3 to 3 of 3\n" in said
    assert_as_simulated(tmp_path / "results", graph, x)


def test_poisson_spikes_come_with_the_bundle(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    graph, x = compiled(mlp(), Options(code="rate", encoder="poisson", precision="int8")), images(mlp(), 3)
    bundle = written(graph, tmp_path / "bundle", x)
    np.save(tmp_path / "images.npy", x)
    said = refused(run, bundle, "--input", str(tmp_path / "images.npy"))
    assert "takes spikes, which are laid out when the bundle is exported" in said
    status, said = run(bundle)
    assert status == 0, said
    assert_as_simulated(tmp_path / "results", graph, x)


def test_poisson_spikes_need_images(tmp_path: Path) -> None:
    graph = compiled(mlp(), Options(code="rate", encoder="poisson"))
    with pytest.raises(BackendError, match="the bundle has to hold those of the images"):
        written(graph, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys(inner)


@pytest.mark.parametrize(
    ("network", "options"),
    [
        (mlp, Options(code="rate", precision="int8", signed=True, balance="max")),
        (mlp, Options(code="rate", precision="int8", reset="zero", balance="max")),
        (average_pool, Options(code="graded", precision="int8")),
        (pool_of_spikes, Options(code="digit", precision="int8")),
        (rearranged, Options(code="digit", precision="float")),
    ],
)
def test_the_protocol_is_documented(tmp_path: Path, network: Callable[[], Graph], options: Options) -> None:
    page = (Path(__file__).parents[2] / "docs" / "lava.md").read_text()
    bundle = written(compiled(network(), options), tmp_path / "bundle", images(network(), 1))
    part, document = (json.loads((bundle / name).read_text()) for name in ("plan-0.json", "bundle.json"))
    kinds = {process["kind"] for process in part["processes"]}
    ways = [path for process in part["processes"] for path in process.get("paths", ())]
    operations = {operation["op"] for path in ways for operation in path["operations"]}
    fields = {*keys(part), *keys({**document, "spikes": None}), *kinds, *operations}
    assert fields >= {"version", "kind", "readout", "op", "ceiling"}
    files = [path.name for path in bundle.iterdir() if path.is_file()]
    missing = [name for name in [*fields, *files] if f"`{name}`" not in page]
    assert not missing, f"docs/lava.md lacks {missing}"
    assert f"version {part['version']}" in page
    assert f"`version`, {document['version']};" in page


# ---------------------------------------------------------------- the encoder


@pytest.mark.parametrize("code", ["constant", "once"])
@pytest.mark.parametrize(("levels", "integer"), [(0, False), (255, False), (127, True)])
def test_encodes_as_the_compiler_does(code: Any, levels: int, integer: bool) -> None:
    encoder = Encoder((3, 4), code=code, ceiling=1.7, levels=levels, integer=integer)
    x = np.random.default_rng(3).normal(0, 0.5, (50, 3, 4)).astype(np.float32)
    fields = {name: getattr(encoder, name) for name in ("code", "shape", "ceiling", "levels", "integer", "dtype")}
    stream = runner.encode(x, fields, 5)
    expected = encoder.encode(x, 5)
    assert stream.dtype == expected.dtype
    np.testing.assert_array_equal(np.broadcast_to(stream, expected.shape), expected)


def test_decides_as_the_compiler_does() -> None:
    np.testing.assert_array_equal(runner.decide(np.array([[1, 3, 3], [2, 0, 1]])), [1, 0])
    np.testing.assert_array_equal(runner.decide(np.array([[[-1.0]], [[0.5]]])), [0, 1])


def test_layers_may_have_any_name(tmp_path: Path) -> None:
    batches = [np.zeros((2, 3), np.int8), np.ones((1, 3), np.int8)]
    runner.write_spikes(tmp_path / "spikes.npz", {"file": batches, "/block/Relu": batches})
    with np.load(tmp_path / "spikes.npz", allow_pickle=False) as spikes:
        assert list(spikes) == ["file", "/block/Relu"]
        np.testing.assert_array_equal(spikes["/block/Relu"], [[0] * 3, [0] * 3, [1] * 3])


ENCODER = {"code": "constant", "shape": [2], "ceiling": 1.0, "levels": 0, "integer": False, "dtype": "uint8"}


@pytest.mark.parametrize(
    ("x", "problem"),
    [
        (np.array([["a", "b"]]), "the images hold <U1, not numbers"),
        (np.zeros((3, 4)), r"the images have the shape \(3, 4\); the network takes \(N, 2\)"),
        (np.zeros((0, 2)), r"the images have the shape \(0, 2\)"),
        (np.array(1.0), r"the images have the shape \(\)"),
        (np.array([[0, np.nan]]), "there are NaN or infinite values"),
        (np.array([[0, 0.5]]), "the network takes whole numbers from 0 to 255"),
        (np.array([[0, 9]]), "50 % of the values are beyond 1, the largest in calibration"),
    ],
)
def test_images_that_do_not_fit_are_refused(x: Array, problem: str) -> None:
    with pytest.raises(runner.BundleError, match=problem):
        runner.encode(x, ENCODER, 4)
    assert data._MOST_CLIPPED == runner.MOST_CLIPPED


# ---------------------------------------------------------------- what is refused


def test_images_that_can_not_be_read(run: Callable[..., tuple[int, str]], small: Path, tmp_path: Path) -> None:
    assert "can't read" in refused(run, small, "--input", str(tmp_path / "none.npy"))
    (tmp_path / "broken.npy").write_text("no array")
    assert "give an .npy file" in refused(run, small, "--input", str(tmp_path / "broken.npy"))
    np.savez(tmp_path / "several.npz", a=np.zeros(2))
    assert "holds several arrays" in refused(run, small, "--input", str(tmp_path / "several.npz"))


def test_there_are_no_images(run: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    bundle = written(compiled(mlp(), Options()), tmp_path / "bundle")
    assert "give --input IMAGES.npy" in refused(run, bundle)


@pytest.mark.parametrize(
    "name", ["plan-0.json", "arrays.npz", "images.npy", "bundle.json", "neurocompile_lava/worker/job.py"]
)
def test_a_changed_file_is_refused(run: Callable[..., tuple[int, str]], small: Path, name: str) -> None:
    content = (small / name).read_bytes()
    (small / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert f"{name} is not as it was exported" in refused(run, small)
    (small / name).unlink()
    assert f"{name} is missing in the bundle" in refused(run, small)


@pytest.mark.parametrize("text", [None, "", "{", "[]"])
def test_a_folder_that_is_no_bundle(run: Callable[..., tuple[int, str]], small: Path, text: str | None) -> None:
    (small / "digests.json").unlink()
    if text is not None:
        (small / "digests.json").write_text(text)
    assert "holds no bundle that can be read" in refused(run, small)


def test_a_bundle_of_another_version(
    run: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        newer.setattr(runner, "BUNDLE_VERSION", 7)
        bundle = written(compiled(mlp(), Options()), tmp_path / "bundle", images(mlp(), 1))
    said = refused(run, bundle)
    assert f"the bundle has version 7, this runner reads {runner.BUNDLE_VERSION}" in said


def test_a_plan_of_another_version(
    run: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        newer.setattr("neurocompile_lava.plan.PLAN_VERSION", 99)
        bundle = written(compiled(mlp(), Options()), tmp_path / "bundle", images(mlp(), 1))
    assert "the worker failed: ValueError: the plan has version 99, this worker reads" in refused(run, bundle)


@pytest.mark.parametrize("installed", ["0.9.0", None])
def test_lava_is_missing(
    run: Callable[..., tuple[int, str]], small: Path, monkeypatch: pytest.MonkeyPatch, installed: str | None
) -> None:
    def version(name: str) -> str:
        if installed is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(importlib.metadata, "version", version)
    said = refused(run, small)
    assert f"lava-nc 0.10.0 is needed, and this Python 3.10 has {installed or 'none'}" in said
    assert "--require-hashes --requirement requirements.txt" in said


def test_a_worker_that_dies(run: Callable[..., tuple[int, str]], small: Path) -> None:
    worker = small / "neurocompile_lava" / "worker" / "__main__.py"
    worker.write_text("import sys\nprint('\\n'.join(f'line {n}' for n in range(1000)))\nsys.exit(5)\n")
    digests = json.loads((small / "digests.json").read_text())
    digests.pop("neurocompile_lava/worker/__main__.py")
    (small / "digests.json").write_text(json.dumps(digests))
    said = refused(run, small)
    assert "the worker ended with status 5:\nline 800\n" in said
    assert "line 999\n  remedy: look at what it printed" in said


def test_a_worker_that_hangs(
    run: Callable[..., tuple[int, str]], small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = small / "neurocompile_lava" / "worker" / "__main__.py"
    worker.write_text("import time\ntime.sleep(1000)\n")
    digests = json.loads((small / "digests.json").read_text())
    digests.pop("neurocompile_lava/worker/__main__.py")
    (small / "digests.json").write_text(json.dumps(digests))
    monkeypatch.setattr(guard, "START_SECONDS", 1.0)
    monkeypatch.setattr(guard, "STEP_SECONDS", 0.0)
    assert "the worker did not end within 1 s\n  remedy: run fewer images" in refused(run, small)


def test_a_network_of_several_parts(
    run: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "MOST_PROCESSES", 4)
    graph, x = compiled(deep(), Options(precision="int8")), images(deep(), 3)
    bundle = written(graph, tmp_path / "bundle", x)
    assert len(list(bundle.glob("plan-*.json"))) > 1
    status, said = run(bundle)
    assert status == 0, said
    assert_as_simulated(tmp_path / "results", graph, x)


def test_results_that_can_not_be_written(run: Callable[..., tuple[int, str]], small: Path, tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    assert "File exists" in refused(run, small)


def test_an_interruption(
    run: Callable[..., tuple[int, str]], small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_follow", interrupt)
    assert run(small) == (130, "images 1 to 3 of 3\ninterrupted\n")


def test_a_killed_run_leaves_nothing(lava_python: Path, tmp_path: Path) -> None:
    graph = compiled(mlp(), Options(code="rate", precision="int8"))
    bundle = written(graph, tmp_path / "bundle", images(mlp(), 3), steps=4000)
    with tempfile.TemporaryDirectory(prefix="t-") as temporary:
        environment = {**os.environ, "TMPDIR": temporary}
        with subprocess.Popen([lava_python, "-I", bundle / "run.py"], cwd=tmp_path, env=environment) as started:
            deadline = time.monotonic() + PATIENCE
            while len(list(Path(temporary).iterdir())) < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
            time.sleep(3 * guard._POLL)
            started.send_signal(signal.SIGTERM)
        while list(Path(temporary).iterdir()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(Path(temporary).iterdir()) == []


# ---------------------------------------------------------------- the folder


def test_what_is_there_is_not_written_over(small: Path, tmp_path: Path) -> None:
    graph = compiled(mlp(), Options())
    with pytest.raises(DeploymentError, match="is there already") as caught:
        written(graph, small)
    assert "a new or an empty folder" in str(caught.value)
    (tmp_path / "file").touch()
    with pytest.raises(DeploymentError, match="is there already"):
        written(graph, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert (written(graph, tmp_path / "empty") / "run.py").exists()


def test_a_broken_off_export_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(DeploymentError, match=r"can't write .*bundle: No space left on device"):
        written(compiled(mlp(), Options()), tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_there_is_no_folder_around_it(tmp_path: Path) -> None:
    with pytest.raises(DeploymentError, match=r"can't write .*: No such file or directory"):
        written(compiled(mlp(), Options()), tmp_path / "none" / "bundle")
