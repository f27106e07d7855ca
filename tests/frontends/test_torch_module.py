from __future__ import annotations

import copy
import functools
import io
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_models import model, node, saved
from torch import Tensor, nn
from torch.onnx._internal.exporter._registration import ONNXRegistry
from torch_networks import IMAGE, NETWORKS, network

import neurocompile as nc
from neurocompile.errors import DataError, ModelError, NeurocompileError
from neurocompile.frontends.model import Model
from neurocompile.ir import Array, run
from neurocompile.ir.layers import Input

X = np.random.default_rng(0).random((5, *IMAGE), np.float32)
ROWS = np.random.default_rng(0).random((5, 4), np.float32)


@pytest.fixture(scope="module", autouse=True)
def _registry_of_the_exporter() -> Iterator[None]:
    """Keep what PyTorch makes anew for every export, from the source code of its 500 conversions, in 0.7 s."""
    with pytest.MonkeyPatch.context() as patch:
        kept = staticmethod(functools.cache(ONNXRegistry.from_torchlib))
        patch.setattr(ONNXRegistry, "from_torchlib", kept)
        yield


def output(module: nn.Module, x: Array) -> Array:
    with torch.no_grad():
        return module.eval()(torch.from_numpy(x)).numpy()


def assert_computes(taken: Model, x: Array, expected: Array) -> None:
    found = run(taken.graph, {taken.graph.inputs[0].name: x})[taken.graph.outputs[0]]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(taken.reference.run(x), expected, rtol=1e-5, atol=1e-5)


def assert_imports(module: nn.Module, x: Array = ROWS, dtype: str = "float32") -> None:
    taken = Model.of_module(module, x)
    assert taken.entry == Input(x.shape[1:], dtype)
    assert_computes(taken, x, output(module, x))


@pytest.mark.parametrize("name", NETWORKS)
def test_network_as_a_module(name: str) -> None:
    assert_imports(network(name), X)


# PyTorch doesn't export slices with steps to opset 9.
@pytest.mark.parametrize(
    ("name", "opset"), [(n, o) for n in NETWORKS for o in (9, 13, 17) if (n, o) != ("functional", 9)]
)
def test_network_as_a_file_of_the_torchscript_exporter(name: str, opset: int, tmp_path: Path) -> None:
    module, path = network(name), tmp_path / "model.onnx"
    with warnings.catch_warnings():
        # It announces its own end, and what it would do better for newer opsets.
        warnings.simplefilter("ignore")
        sample = torch.from_numpy(X[:2])
        opened = {"x": {0: "batch"}}
        torch.onnx.export(
            module, (sample,), path, dynamo=False, opset_version=opset, input_names=["x"], dynamic_axes=opened
        )
    assert_computes(Model.read(path), X, output(module, X))


class Counting(nn.Module):
    """Changes its buffers at every call, in place and not."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout())
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("last", torch.zeros(4), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = x[0].detach().clone()
        return self.layers(x)


class Deciding(Counting):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y if y.sum() > 0 else -y


@pytest.mark.parametrize("kind", [Counting, Deciding])
def test_the_module_stays_as_it_is(kind: type[Counting]) -> None:
    module = kind().train()
    module.layers[1].eval()
    module.layers[0].bias.requires_grad_(False)
    called: list[nn.Module] = []
    module.layers[0].register_forward_hook(lambda layer, _, __: called.append(layer))
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    before = copy.deepcopy(tensors)
    flags = [part.training for part in module.modules()]
    try:
        Model.of_module(module, ROWS)
    except ModelError:
        assert kind is Deciding
    assert [part.training for part in module.modules()] == flags
    assert torch.is_grad_enabled()
    after = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    assert all(after[name] is tensor for name, tensor in tensors.items())
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor)
        assert after[name].requires_grad == tensor.requires_grad
        assert type(after[name]) is type(tensor)
    called.clear()
    module(torch.from_numpy(ROWS)).sum().backward()
    assert called == [module.layers[0]]
    assert module.calls == 1


def test_inside_of_inference_mode() -> None:
    module = nn.Linear(4, 3)
    with torch.inference_mode():
        Model.of_module(module, ROWS)
        assert torch.is_inference_mode_enabled()


class AnyArguments(nn.Module):
    def forward(self, *args: Tensor, **_: object) -> Tensor:
        return args[0] * 2


class Dictionary(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": x * 2}


def traced(module: nn.Module) -> nn.Module:
    return torch.jit.trace(module.eval(), torch.from_numpy(ROWS))


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile, traced])
def test_wrapped_modules(wrap: Callable[[nn.Module], nn.Module]) -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    with warnings.catch_warnings():
        # PyTorch is about to give up TorchScript.
        warnings.simplefilter("ignore", DeprecationWarning)
        wrapped = wrap(module)
    assert_computes(Model.of_module(wrapped, ROWS), ROWS, output(module, ROWS))


def test_modules_without_parameters() -> None:
    assert_imports(AnyArguments())


def test_output_in_a_dictionary() -> None:
    assert_computes(Model.of_module(Dictionary(), ROWS), ROWS, 2 * ROWS)


def test_parametrized_weights() -> None:
    normed = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4))
    assert_imports(nn.Sequential(normed, nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3))))


class OneImage(nn.Module):
    """Takes one image at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.view(1, -1))


def test_batch_of_one() -> None:
    module = OneImage()
    taken = Model.of_module(module, ROWS)
    expected = np.concatenate([output(module, row[None]) for row in ROWS])
    assert_computes(taken, ROWS, expected)


def test_one_image_is_enough() -> None:
    module = nn.Linear(4, 3)
    taken = Model.of_module(module, ROWS[:1])
    assert_computes(taken, ROWS, output(module, ROWS))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions_are_taken_as_single(dtype: torch.dtype) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).to(dtype)
    taken = Model.of_module(module, X.astype(np.float64))
    assert taken.entry == Input(IMAGE, "float32")
    assert next(module.parameters()).dtype == dtype
    expected = output(copy.deepcopy(module).float(), X)
    assert_computes(taken, X, expected)


class Bytes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.float() / 255)


def test_bytes_that_the_module_casts_itself() -> None:
    assert_imports(Bytes(), (255 * ROWS).astype(np.uint8), "uint8")


@pytest.mark.parametrize("dtype", ["u1", "i8", ">f4"])
def test_images_of_any_type_are_cast_as_the_module_needs_them(dtype: str) -> None:
    module, x = nn.Linear(4, 3), (4 * ROWS).astype(dtype)
    taken = Model.of_module(module, x)
    assert taken.entry == Input((4,), "float32")
    assert_computes(taken, x, output(module, x.astype(np.float32)))


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class TwoOutputs(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * x, 3 * x


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


def scripted() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(nn.Linear(4, 3))


def weight_norm() -> nn.Module:
    with warnings.catch_warnings():
        # PyTorch has a newer one.
        warnings.simplefilter("ignore", FutureWarning)
        return nn.utils.weight_norm(nn.Linear(4, 3)).double()


REFUSALS: dict[str, tuple[Callable[[], nn.Module], Array, type[NeurocompileError], str]] = {
    "control flow": (Deciding, ROWS, ModelError, "what it computes with depends on the values of the images"),
    "operator": (
        lambda: nn.AdaptiveMaxPool2d(3),
        X,
        ModelError,
        "No ONNX function found for <OpOverload(op='aten.",
    ),
    "script": (scripted, ROWS, ModelError, "it is one of TorchScript, whose Python code is gone"),
    "no weights yet": (lambda: nn.LazyLinear(3), ROWS, ModelError, "the module has lazy layers"),
    "precision": (weight_norm, ROWS, ModelError, "the module is not in float32, and can't be copied: Runtime"),
    "random": (Noisy, ROWS, ModelError, "draws random numbers"),
    "two inputs": (TwoInputs, ROWS, DataError, "missing 1 required positional argument: 'y'"),
    "two outputs": (TwoOutputs, ROWS, ModelError, "the model has the outputs"),
    "images of another shape": (
        lambda: nn.Linear(5, 3),
        ROWS,
        DataError,
        "the module can't take an image of float32 (4,): RuntimeError: mat1 and mat2 shapes cannot be multiplied",
    ),
    "bytes of another shape": (lambda: nn.Linear(5, 3), ROWS.astype(np.uint8), DataError, "image of uint8 (4,)"),
    "no images": (lambda: nn.Linear(4, 3), ROWS[:0], DataError, "float32 of the shape (0, 4)"),
    "a number": (lambda: nn.Linear(4, 3), np.array(1.0), DataError, "float64 of the shape ()"),
    "text": (lambda: nn.Linear(4, 3), ROWS.astype(str), DataError, "the calibration images are <U32"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_are_short_and_quiet(case: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, images, kind, problem = REFUSALS[case]
    with warnings.catch_warnings(record=True) as warned, pytest.raises(kind) as caught:
        Model.of_module(make(), images)
    assert problem in str(caught.value)
    assert len(caught.value.issues) == 1
    assert caught.value.issues[0].remedy
    assert len(str(caught.value).splitlines()) == 2
    assert not warned
    assert capfd.readouterr() == ("", "")


class Talkative(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        print("at work")
        warnings.warn("careful", stacklevel=1)
        logging.getLogger("torch.talkative").error("trouble")
        return x.flatten(1) * 2


def test_the_exporter_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    streams, disabled = (sys.stdout, sys.stderr), logging.root.manager.disable
    with warnings.catch_warnings(record=True) as warned:
        Model.of_module(Talkative(), X)
    assert not warned
    assert capfd.readouterr() == ("", "")
    assert (sys.stdout, sys.stderr) == streams
    assert logging.root.manager.disable == disabled


def test_several_threads() -> None:
    streams = sys.stdout, sys.stderr
    modules = [nn.Linear(4, 3) for _ in range(3)]
    start = threading.Barrier(len(modules))

    def take(module: nn.Module) -> Model:
        start.wait()
        return Model.of_module(module, ROWS)

    with ThreadPoolExecutor(len(modules)) as pool:
        taken = list(pool.map(take, modules))
    for module, found in zip(modules, taken, strict=True):
        assert_computes(found, ROWS, output(module, ROWS))
    assert (sys.stdout, sys.stderr) == streams


def test_exporter_that_is_not_installed() -> None:
    script = """
import sys
sys.modules["onnxscript"] = None
import numpy as np, torch
from neurocompile.frontends.model import Model
try:
    Model.of_module(torch.nn.Linear(4, 3), np.ones((2, 4)))
except Exception as error:
    print(type(error).__name__, error)
"""
    assert ran(script) == (
        "ModelError PyTorch exports modules with the help of onnxscript, which is not installed\n"
        '  remedy: pip install "neurocompile[torch]"\n'
    )


def test_files_are_compiled_without_pytorch(tmp_path: Path) -> None:
    path = saved(model([node("MatMul", ["x", "w"], "y")], (None, 4), {"w": ROWS[:4]}), tmp_path)
    script = f"""
import sys
sys.modules["torch"] = None
import numpy as np, neurocompile as nc
print(nc.compile({str(path)!r}, calibration=np.ones((2, 4), np.float32)).classes)
"""
    assert ran(script) == "4\n"


def ran(script: str) -> str:
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, text=True)
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_compile_takes_a_module() -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).train()
    compiled = nc.compile(module, calibration=ROWS)
    assert compiled.classes == 3
    assert module.training


def test_compile_takes_what_was_exported_before() -> None:
    assert nc.compile(Model.of_module(nn.Linear(4, 3), ROWS), calibration=ROWS).classes == 3


def test_compile_refuses_anything_else() -> None:
    with pytest.raises(ModelError, match="the model is a BytesIO"):
        nc.compile(io.BytesIO(), calibration=ROWS)  # type: ignore[arg-type]


def test_an_export_that_computes_something_else_is_told() -> None:
    """PyTorch's exporter leaves out what ONNX does not have."""
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AvgPool2d(2, divisor_override=3))
    with pytest.raises(ModelError, match="exports computes something else than the module: it differs by"):
        Model.of_module(module, np.random.default_rng(0).random((2, 1, 6, 6), np.float32))
