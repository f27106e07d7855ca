"""Every backend gives what the processes' reference semantics define: the same spikes, not about as many."""

from __future__ import annotations

import neurocompile_lava.backend
import neurocompile_numpy.backend
import numpy as np
import pytest
from conformance import networks
from conformance.networks import Network, compiled, images

from neurocompile import backend
from neurocompile.backend import Result, measure_activity
from neurocompile.ir import Array, Graph, run
from neurocompile.ir.paths import Source
from neurocompile.ir.processes import Encoder, IntegrateAndFire
from neurocompile.options import Options


def case(network: Network, *options: str, count: int = 3, steps: int = 12) -> object:
    """Name a case by what differs from the defaults of ``Options``."""
    fields = {"int8": "precision", "zero": "reset", "poisson": "encoder", "count": "decoder"}
    chosen = Options(steps=steps, **{fields[o]: o for o in options})  # type: ignore[arg-type]
    return pytest.param(network, chosen, count, id="-".join([network.__name__, *options, f"{count}x{steps}"]))


CASES = [
    case(networks.mlp),
    case(networks.mlp, "int8", "zero", "poisson", "count", count=1, steps=20),
    case(networks.deep, "int8", steps=1),
    case(networks.deep, "zero", "poisson", count=1, steps=2),
    case(networks.average_pool, "int8", "poisson"),
    case(networks.global_average_pool, "int8", "zero"),
    case(networks.pool_of_spikes, "int8"),
    case(networks.pool_of_spikes, "zero", "poisson"),
    case(networks.pool_of_input, "int8", "poisson"),
    case(networks.pool_of_currents, "int8"),
    case(networks.pool_of_currents, "poisson"),
    case(networks.residual, "int8", "count", steps=16),
    case(networks.residual, "int8", "zero", "poisson"),
    case(networks.residual, "poisson", count=1),
    case(networks.two_shortcuts, "int8", "zero"),
    case(networks.two_shortcuts, "poisson", "count"),
    case(networks.bias_map, "int8", "zero", "count", count=1),
    case(networks.bias_map),
    case(networks.conv_of_conv, "int8", "poisson"),
    case(networks.conv_of_conv, "zero", steps=1),
    case(networks.positive, "int8"),
    case(networks.windows, "int8"),
    case(networks.windows, "zero", "poisson"),
]


def neurons(graph: Graph) -> list[str]:
    return [node.name for node in graph.nodes if isinstance(node.op, IntegrateAndFire)]


def by_definition(graph: Graph, x: Array, steps: int) -> Result:
    """Run a graph by its operators' own semantics, all images and steps at once."""
    (entry,) = graph.inputs
    assert isinstance(entry.op, Encoder)
    sources = [node.name for node in graph.nodes if isinstance(node.op, Source)]
    values = run(graph, {entry.name: entry.op.encode(x, steps)}, keep=[*sources, *graph.outputs])
    streams = {name: np.moveaxis(stream, 0, 1) for name, stream in values.items()}
    return Result(
        streams[graph.outputs[0]],
        measure_activity(graph, {name: np.count_nonzero(streams[name], axis=(0, 1)) for name in sources}),
        {name: streams[name] for name in neurons(graph)},
        0.0,
    )


def expected(tested: str, graph: Graph, x: Array, steps: int) -> Result:
    """Give the NumPy backend's result; its own is compared with the definition."""
    if tested == "numpy":
        return by_definition(graph, x, steps)
    return backend.compile_for("numpy", graph).run(x, steps=steps, probes=neurons(graph))


def assert_equal(found: Result, reference: Result) -> None:
    assert found.spikes.keys() == reference.spikes.keys()
    for name, spikes in reference.spikes.items():
        assert found.spikes[name].shape == spikes.shape
        assert np.count_nonzero(found.spikes[name] != spikes) == 0, f"the spikes of {name} differ"
    np.testing.assert_array_equal(found.potentials, reference.potentials, strict=True)
    assert found.activity == reference.activity


@pytest.mark.parametrize("tested", backend.names())
@pytest.mark.parametrize(("network", "options", "count"), CASES)
def test_runs_as_defined(tested: str, network: Network, options: Options, count: int) -> None:
    layers = network()
    graph = compiled(layers, options)
    x = images(layers, count)
    executable = backend.compile_for(tested, graph)
    found = executable.run(x, steps=options.steps, probes=neurons(graph))
    executable.close()
    assert_equal(found, expected(tested, graph, x, options.steps))


@pytest.mark.parametrize("tested", backend.names())
def test_batches_do_not_show(tested: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are run some at a time; the last batch may be smaller."""
    layers = networks.average_pool()
    graph = compiled(layers, Options(precision="int8", reset="zero", encoder="poisson"))
    x = images(layers, 5)
    reference = by_definition(graph, x, 8)
    monkeypatch.setattr(neurocompile_numpy.backend, "_MOST_IMAGES", 2)
    monkeypatch.setattr(neurocompile_lava.backend, "_BATCH", 3)
    seen: list[tuple[int, int]] = []
    executable = backend.compile_for(tested, graph)
    found = executable.run(
        x, steps=8, probes=neurons(graph), progress=lambda _, done, total: seen.append((done, total))
    )
    assert_equal(found, reference)
    shares = [done / total for done, total in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert found.seconds > 0


@pytest.mark.parametrize("tested", backend.names())
def test_records_only_what_is_probed(tested: str) -> None:
    layers = networks.mlp()
    graph = compiled(layers, Options())
    name = neurons(graph)[1]
    found = backend.compile_for(tested, graph).run(images(layers, 2), steps=4, probes=[name])
    assert list(found.spikes) == [name]


@pytest.mark.parametrize("network", networks.NETWORKS, ids=lambda network: network.__name__)
def test_the_networks_are_alive(network: Network) -> None:
    """Equal spikes say little of a network that is silent, or that fires all the time."""
    layers = network()
    graph = compiled(layers, Options(precision="int8"))
    for name, spikes in by_definition(graph, images(layers, 3), 12).spikes.items():
        assert 0.02 < spikes.mean() < 0.8, name
