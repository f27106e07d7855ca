"""The twin in PyTorch does what the reference semantics define: every spike, and every potential."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from conformance import networks
from conformance.comparison import by_definition
from conformance.networks import Network, compiled, images
from conformance.test_conformance import CASES
from conformance.test_process_graphs import CASES as GRAPHS
from conformance.test_process_graphs import made

from neurocompile.errors import GraphError
from neurocompile.ir import Array, Graph, Node, Op
from neurocompile.ir.processes import (
    ConvSynapses,
    Decoder,
    Encoder,
    IntegrateAndFire,
    LinearSynapses,
    Neurons,
    ReshapeSynapses,
)
from neurocompile.options import Options
from neurocompile.twin import Surrogate, Traces, Twin

SOME = [networks.residual, networks.pool_of_spikes, networks.pool_of_currents]


def ran(twin: Twin, x: Array, steps: int) -> Traces:
    with torch.no_grad():
        return twin(twin.encode(x, steps), membranes=True)


def assert_equal(traces: Traces, graph: Graph, x: Array, steps: int) -> None:
    reference = by_definition(graph, x, steps)
    assert traces.spikes.keys() == reference.spikes.keys()
    for name, spikes in reference.spikes.items():
        np.testing.assert_array_equal(traces.spikes[name].numpy(), spikes, err_msg=name)
    np.testing.assert_array_equal(traces.potentials.numpy(), reference.potentials)


@pytest.mark.parametrize(("network", "options", "count"), CASES)
def test_spikes_and_potentials_of_networks(network: Network, options: Options, count: int) -> None:
    layers = network()
    graph, x = compiled(layers, options), images(layers, count)
    assert options.steps is not None
    assert_equal(ran(Twin(graph), x, options.steps), graph, x, options.steps)


@pytest.mark.parametrize(("name", "integer", "code"), GRAPHS)
def test_spikes_and_potentials_of_processes(name: str, integer: bool, code: str) -> None:
    graph, x = made(name, integer, code)
    assert_equal(ran(Twin(graph), x, 10), graph, x, 10)


@pytest.mark.parametrize("options", [{"code": "rate"}, {"code": "digit", "steps": 6}, {"code": "graded"}], ids=str)
@pytest.mark.parametrize("network", SOME, ids=lambda network: network.__name__)
def test_integers_are_exact_in_float32(network: Network, options: dict[str, object]) -> None:
    layers = network()
    graph = compiled(layers, Options(precision="int8", **options))  # type: ignore[arg-type]
    x, steps = images(layers, 2), 6 if options["code"] != "graded" else 1
    traces = ran(Twin(graph).float(), x, steps)
    assert traces.potentials.dtype == torch.float64
    assert all(stream.dtype == torch.float32 for stream in traces.spikes.values())
    assert_equal(traces, graph, x, steps)


def test_a_stream_that_is_constant_is_multiplied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    twin = Twin(compiled(networks.mlp(), Options(code="rate", steps=5, precision="int8")))
    seen: list[int] = []
    real = torch.nn.functional.linear

    def linear(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return real(x, weight)

    monkeypatch.setattr(torch.nn.functional, "linear", linear)
    ran(twin, images(networks.mlp(), 3), 5)
    assert seen == [3, 15, 15]


@pytest.mark.parametrize("radix", [1, 2])
def test_the_mean_of_the_output_is_the_estimate(radix: int) -> None:
    code = {1: {"code": "rate", "steps": 6}, 2: {"code": "digit", "steps": 6}}[radix]
    layers = networks.mlp()
    graph = compiled(layers, Options(precision="int8", **code))  # type: ignore[arg-type]
    decoder = graph[graph.outputs[0]].op
    assert isinstance(decoder, Decoder)
    x = images(layers, 4)
    traces = ran(Twin(graph), x, 6)
    expected = decoder.scores(by_definition(graph, x, 6).potentials[:, -1], 6)
    np.testing.assert_allclose(traces.scores.numpy(), expected, rtol=1e-9, atol=1e-12)


def test_a_single_output_is_two_classes() -> None:
    layers = networks.one_score()
    traces = ran(Twin(compiled(layers, Options(code="rate", steps=4))), images(layers, 3), 4)
    assert traces.scores.shape == (3, 2)
    assert torch.equal(traces.scores[:, 0], torch.zeros(3))
    decided = by_definition(compiled(layers, Options(code="rate", steps=4)), images(layers, 3), 4).decisions[:, -1]
    np.testing.assert_array_equal(traces.scores.argmax(dim=1).numpy(), decided)


def test_the_activity_is_what_losses_read() -> None:
    layers = networks.mlp()
    twin = Twin(compiled(layers, Options(code="rate", steps=4, precision="int8")))
    targets = torch.tensor([0, 4, 2])
    activity = ran(twin, images(layers, 3), 4).activity(targets)
    assert activity.batch == (3, 4)
    assert list(activity.spikes) == list(activity.membranes) == [n.name for n in neurons(twin.graph)]
    assert activity.output is not None
    assert activity.output.shape == (3, 4, 5)
    # In thresholds, whatever integers these are.
    for name, membranes in activity.membranes.items():
        assert torch.equal(membranes > 1, activity.spikes[name] > 0)
    assert not twin(twin.encode(images(layers, 3), 4)).membranes


def test_membranes_of_digits_are_in_thresholds() -> None:
    layers = networks.mlp()
    traces = ran(Twin(compiled(layers, Options(code="digit", precision="int8"))), images(layers, 3), 8)
    for name, membranes in traces.membranes.items():
        early, spikes = membranes[:, :-1], traces.spikes[name][:, :-1]
        assert torch.equal(early > 2 / 3, spikes == 1)
        assert (early[spikes == -1] < -2 / 3).all()


def test_membranes_of_messages_are_in_thresholds() -> None:
    layers = networks.mlp()
    traces = ran(Twin(compiled(layers, Options(code="graded", precision="int8"))), images(layers, 3), 1)
    for name, membranes in traces.membranes.items():
        # Of a half the message is rounded up, and PyTorch rounds to even.
        difference = (255 * membranes).clamp(0, 255) - traces.spikes[name]
        assert difference.abs().max() <= 0.5 + 1e-9


def neurons(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if isinstance(node.op, Neurons)]


@pytest.mark.parametrize("code", ["constant", "once", "poisson"])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_images_are_encoded_as_the_engine_does(code: str, as_tensor: bool) -> None:
    encoder = Encoder((2, 3), code, 0.75, 0 if code == "poisson" else 255, 4)  # type: ignore[arg-type]
    graph = network_of(encoder)
    x = np.random.default_rng(0).uniform(-1, 1, (5, 2, 3))
    stream = Twin(graph).encode(torch.tensor(x) if as_tensor else x, 7, first=3)
    np.testing.assert_array_equal(stream.numpy(), np.moveaxis(encoder.encode(x, 7, 3), 0, 1))


def network_of(encoder: Encoder, **changed: Array) -> Graph:
    values = {"weight": np.full((2, 6), 0.25), "v_threshold": np.array(1.0), **changed}
    ops: list[Op] = [
        encoder,
        ReshapeSynapses((6,)),
        LinearSynapses(values["weight"]),
        IntegrateAndFire(np.zeros(1), values["v_threshold"], np.array(0.5)),
        Decoder(np.zeros(1)),
    ]
    names = [f"{type(op).__name__}.{i}" for i, op in enumerate(ops)]
    nodes = [Node(name, op, tuple(names[i - 1 : i])) for i, (name, op) in enumerate(zip(names, ops, strict=True))]
    return Graph(tuple(nodes), (names[-1],))


def test_streams_of_ones_own() -> None:
    twin = Twin(network_of(Encoder((2, 3))))
    stream = (torch.rand(4, 9, 2, 3, generator=torch.Generator().manual_seed(0)) < 0.3).double()
    assert twin(stream).potentials.shape == (4, 9, 2)
    for other in (stream > 0, stream.float(), stream.to(torch.uint8)):
        assert torch.equal(twin(other).potentials, twin(stream).potentials)
    with pytest.raises(GraphError, match=r"shape \(4, 2, 3\); the network takes \(B, T, 2, 3\)"):
        twin(stream[:, 0])
    with pytest.raises(GraphError, match="the stream is a ndarray"):
        twin(stream.numpy())


def test_messages_are_shares_to_the_losses() -> None:
    layers = networks.mlp()
    traces = ran(Twin(compiled(layers, Options(code="graded", precision="int8"))), images(layers, 3), 1)
    mask = torch.ones(3, 1, dtype=torch.bool)
    activity = traces.activity(mask=mask)
    assert activity.mask is mask
    for name, messages in traces.spikes.items():
        assert messages.max() > 1
        assert torch.equal(activity.spikes[name], messages / 255)


@pytest.mark.parametrize("options", [{"code": "rate"}, {"code": "digit", "steps": 6}, {"code": "graded"}], ids=str)
@pytest.mark.parametrize("precision", ["float", "int8"])
@pytest.mark.parametrize("network", SOME, ids=lambda network: network.__name__)
def test_gradients_reach_every_layer(network: Network, options: dict[str, object], precision: str) -> None:
    layers = network()
    graph = compiled(layers, Options(precision=precision, **options))  # type: ignore[arg-type]
    twin = Twin(graph, Surrogate("fast_sigmoid", 1.0))
    traces = twin(twin.encode(images(layers, 3), 1 if options["code"] == "graded" else 6))
    traces.scores.square().sum().backward()
    for name, parameter in twin.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert "weight" not in name or parameter.grad.abs().max() > 0, name


def test_the_surrogate_sees_membranes_in_thresholds() -> None:
    """Integers in the thousands have the gradients of the reals that they stand for."""
    layers = networks.mlp()
    x = images(layers, 4)
    gradients = []
    for precision in ("float", "int8"):
        twin = Twin(compiled(layers, Options(code="rate", steps=4, precision=precision)))  # type: ignore[arg-type]
        stream = twin.encode(x, 4).clone().requires_grad_()
        twin(stream).scores.square().sum().backward()
        assert stream.grad is not None
        encoder = twin.graph.inputs[0].op
        assert isinstance(encoder, Encoder)
        gradients.append((stream.grad / encoder.unit).flatten())
    assert torch.corrcoef(torch.stack(gradients))[0, 1] > 0.8


def test_what_has_no_twin_is_told_at_once() -> None:
    class Other(ReshapeSynapses, abstract=True):
        """A process of someone else's."""

    encoder, shape = Encoder((1, 2, 2, 2, 2)), (1, 1, 1, 1, 1)
    nodes = (
        Node("input", encoder),
        Node("conv", ConvSynapses(np.ones((*shape, 1))), ("input",)),
        Node("other", Other((16,)), ("conv",)),
    )
    with pytest.raises(GraphError) as raised:
        Twin(Graph(nodes, ("other",)))
    assert [issue.problem for issue in raised.value.issues] == [
        "PyTorch has no convolutions over 4 axes",
        "has no twin in PyTorch",
        "is no network from one encoder to one decoder",
    ]


def test_integers_beyond_their_widths_are_refused() -> None:
    graph, _ = made("wired neurons", True, "constant")
    broken = [
        Node(node.name, op.scaled(np.array(2**30), np.array(63)), node.inputs)
        if isinstance(op := node.op, IntegrateAndFire)
        else node
        for node in graph.nodes
    ]
    with pytest.raises(GraphError) as raised:
        Twin(Graph(tuple(broken), graph.outputs))
    assert len(raised.value.issues) == 6
    assert raised.value.issues[0].problem == "its bias is beyond Loihi's widths, or not above 0"


def test_it_moves_and_has_a_state_like_any_module() -> None:
    twin = Twin(network_of(Encoder((2, 3))))
    other = Twin(network_of(Encoder((2, 3)), weight=np.ones((2, 6))))
    other.load_state_dict(twin.state_dict())
    x = np.ones((1, 2, 3))
    assert torch.equal(ran(twin, x, 5).potentials, ran(other, x, 5).potentials)
    assert pickle.dumps(twin)
    moved = twin.to("meta")
    assert moved.encode(torch.ones(1, 2, 3, device="meta"), 5).device.type == "meta"
    assert moved(torch.ones(1, 5, 2, 3, device="meta", dtype=torch.float64)).potentials.device.type == "meta"
