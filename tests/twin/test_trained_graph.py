"""What was trained comes back into the graph, with the spikes that the module has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_network
import torch

import neurocompile as nc
from neurocompile.errors import BackendError, DataError
from neurocompile.ir import Graph
from neurocompile.ir.fixed_point import THRESHOLD_MAX, split_bias
from neurocompile.ir.processes import Encoder, IntegrateAndFire, LinearSynapses
from neurocompile.twin import Twin

CODES = [
    {"code": "rate", "steps": 3},
    {"code": "rate", "steps": 3, "reset": "zero"},
    {"code": "rate", "steps": 3, "wait": True},
    {"code": "digit", "steps": 5},
    {"code": "graded"},
]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., nc.Network]:
    path = small_network.write_model(tmp_path_factory.mktemp("model") / "small.onnx")

    def compiled(**options: object) -> nc.Network:
        return nc.compile(path, small_network.images(50), nc.Options(**options))  # type: ignore[arg-type]

    return compiled


def trained(network: nc.Network) -> Twin:
    """Train a twin a little, to lesser outputs."""
    twin = network.to_torch()
    optimiser = torch.optim.Adam(twin.parameters(), 0.01)
    for _ in range(5):
        loss = twin(twin.encode(small_network.images(20), network.steps)).scores.square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return twin


def assert_same(network: nc.Network, twin: Twin) -> None:
    x = small_network.images(30, seed=9)
    result = network.deploy("numpy").run(x)
    with torch.no_grad():
        traces = twin(twin.encode(x, network.steps))
    for name, spikes in result.spikes.items():
        np.testing.assert_array_equal(traces.spikes[name].numpy(), spikes, err_msg=name)
    np.testing.assert_array_equal(traces.potentials.numpy(), result.potentials)


@pytest.mark.parametrize("precision", ["float", "int8"])
@pytest.mark.parametrize("options", CODES, ids=str)
def test_untrained_it_is_the_same_graph(
    make: Callable[..., nc.Network], options: dict[str, object], precision: str
) -> None:
    network = make(precision=precision, **options)
    assert network.from_torch(network.to_torch()).graph == network.graph


@pytest.mark.parametrize("options", CODES, ids=str)
def test_trained_integers_spike_as_the_module_does(
    make: Callable[..., nc.Network], options: dict[str, object]
) -> None:
    network = make(precision="int8", **options)
    twin = trained(network)
    back = network.from_torch(twin)
    assert back.graph != network.graph
    assert_same(back, twin)
    for name, op in ((node.name, node.op) for node in back.graph.nodes):
        assert type(op) is type(network.graph[name].op)
        if isinstance(op, LinearSynapses):
            assert op.weight.dtype == np.int8
        if isinstance(op, IntegrateAndFire):
            mantissa, exponent = split_bias(op.bias)
            np.testing.assert_array_equal(mantissa << exponent, op.bias)
            assert not np.any(op.v_threshold % 64)
            assert 0 < op.v_threshold.min() <= op.v_threshold.max() <= THRESHOLD_MAX << 6


@pytest.mark.parametrize("options", CODES, ids=str)
def test_trained_reals_are_rounded_and_spike_as_their_own_twin(
    make: Callable[..., nc.Network], options: dict[str, object]
) -> None:
    network = make(precision="float", **options)
    twin = trained(network)
    back = network.from_torch(twin)
    assert_same(back, back.to_torch())
    for name, fields in twin.fields().items():
        for field, values in fields.items():
            np.testing.assert_allclose(getattr(back.graph[name].op, field), values.numpy(), rtol=0, atol=1e-6)


def test_a_trained_network_is_saved_and_measured_but_has_no_budget(
    make: Callable[..., nc.Network], tmp_path: Path
) -> None:
    network = make(precision="int8", code="rate", steps=3)
    back = network.from_torch(trained(network))
    back.save(tmp_path / "trained.nc")
    assert nc.load(tmp_path / "trained.nc").graph == back.graph
    x, y = small_network.images(20), small_network.labels(20)
    assert back.evaluate(x, y).ann_accuracy is not None
    with pytest.raises(BackendError, match="the network was trained"):
        back.loss_budget(x, y)


def test_it_goes_on_from_float32(make: Callable[..., nc.Network]) -> None:
    network = make(precision="int8", code="rate", steps=3)
    twin = trained(network)
    assert network.from_torch(twin.float()).graph == network.from_torch(twin.double()).graph


def test_what_does_not_fit_is_refused(make: Callable[..., nc.Network], tmp_path: Path) -> None:
    network = make(precision="int8", code="rate", steps=3)
    with pytest.raises(DataError, match="a Linear is no twin of a network"):
        network.from_torch(torch.nn.Linear(2, 2))
    other = nc.compile(
        small_network.write_model(tmp_path / "wide.onnx", hidden=9),
        small_network.images(50),
        nc.Options(code="rate", steps=3),
    )
    with pytest.raises(DataError) as raised:
        network.from_torch(other.to_torch())
    assert len(raised.value.issues) == len(network.graph.nodes)
    first, *rest = network.graph.nodes
    renamed = replace(first, name="renamed")
    inputs = [replace(n, inputs=tuple("renamed" if i == first.name else i for i in n.inputs)) for n in rest]
    graph = replace(network.graph, nodes=(renamed, *inputs))
    with pytest.raises(DataError, match="other nodes"):
        network.from_torch(Twin(graph))


def test_a_network_that_only_looks_the_same_is_refused(make: Callable[..., nc.Network]) -> None:
    network = make(precision="int8", code="rate", steps=3)
    graph = network.graph
    encoder, *rest = graph.nodes
    assert isinstance(encoder.op, Encoder)
    other = replace(encoder, op=replace(encoder.op, ceiling=2 * encoder.op.ceiling))
    with pytest.raises(DataError, match=f"'{encoder.name}' .*the module's network has another ceiling here"):
        network.from_torch(Twin(Graph((other, *rest), graph.outputs)))
    reset = [
        replace(n, op=replace(n.op, signed=False, reset="zero")) if isinstance(n.op, IntegrateAndFire) else n
        for n in graph.nodes
    ]
    with pytest.raises(DataError, match="another reset, signed here"):
        network.from_torch(Twin(Graph(tuple(reset), graph.outputs)))


def test_every_array_that_went_wrong_is_told(make: Callable[..., nc.Network]) -> None:
    network = make(precision="float", code="rate", steps=3)
    twin = network.to_torch()
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            if name.endswith("weight.latent"):
                parameter.fill_(torch.nan)
    with pytest.raises(DataError) as raised:
        network.from_torch(twin)
    assert [issue.problem for issue in raised.value.issues] == ["the module's weight is not finite"] * 2
    for process in twin.processes:
        if hasattr(process, "v_init"):
            process.v_init.latent = torch.nn.Parameter(torch.zeros(3, 3, 3))
    with pytest.raises(DataError, match=r"v_init has the shape \(3, 3, 3\)"):
        network.from_torch(twin)
