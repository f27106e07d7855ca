"""Every backend gives what the processes' reference semantics define: the same spikes, not about as many."""

from __future__ import annotations

import neurocompile_lava.backend
import neurocompile_numpy.backend
import numpy as np
import pytest
from conformance import networks
from conformance.comparison import WHOLE, assert_equal, by_definition, expected, found, neurons
from conformance.networks import Network, compiled, images

from neurocompile import backend
from neurocompile.options import CodeName, Options

CHOICES: dict[str, dict[str, object]] = {
    "int8": {"precision": "int8"},
    "zero": {"reset": "zero"},
    "signed": {"signed": True},
    "wait": {"wait": True},
    "poisson": {"encoder": "poisson"},
    "bernoulli": {"encoder": "bernoulli"},
    "deterministic": {"encoder": "deterministic"},
    "burst": {"encoder": "burst"},
    "ttfs": {"encoder": "ttfs"},
    "count": {"decoder": "count"},
    "first_spike": {"decoder": "first_spike"},
    "membrane_max": {"decoder": "membrane_max"},
    "digit": {"code": "digit", "steps": 8},
    "digit3": {"code": "digit", "steps": 3},
    "graded": {"code": "graded", "steps": 1},
    "graded4": {"code": "graded", "steps": 1, "bits": 4},
}


def case(network: Network, *choices: str, count: int = 3, steps: int = 12) -> object:
    """Name a case by what differs from rates of reals."""
    chosen: dict[str, object] = {"code": "rate", "steps": steps, "signed": False}
    for choice in choices:
        chosen |= CHOICES[choice]
    name = "-".join([network.__name__, *choices, f"{count}x{chosen['steps']}"])
    return pytest.param(network, Options(**chosen), count, id=name)  # type: ignore[arg-type]


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
    case(networks.residual, "int8", "burst", "first_spike", steps=16),
    case(networks.residual, "bernoulli", "membrane_max"),
    case(networks.average_pool, "signed", "deterministic", "first_spike"),
    case(networks.residual, "int8", "ttfs", steps=16),
    case(networks.mlp, "int8", "zero", "deterministic", "membrane_max"),
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
    case(networks.one_axis, "int8"),
    case(networks.one_axis, "poisson"),
    case(networks.three_axes, "int8", "poisson"),
    case(networks.three_axes),
    case(networks.rearranged, "int8"),
    case(networks.rearranged, "zero", "poisson"),
    case(networks.branches, "int8", steps=16),
    case(networks.branches, "int8", "zero", "poisson"),
    case(networks.branches),
    case(networks.branches_before_pools, "int8", steps=16),
    case(networks.branches_before_pools, "poisson"),
    case(networks.branches_before_pools, "int8", "poisson", count=1),
    case(networks.dense_block, "int8"),
    case(networks.dense_block, "zero"),
    case(networks.dilated_pools, "int8"),
    case(networks.dilated_pools, "poisson"),
    case(networks.clipped, "int8"),
    case(networks.clipped, "zero", "poisson"),
    case(networks.mobile, "int8", "count"),
    case(networks.mobile, "poisson"),
    case(networks.pool_of_signed_values, "int8"),
    case(networks.pool_of_signed_values, "poisson"),
    case(networks.smooth, "int8"),
    case(networks.smooth, "zero"),
    case(networks.shares, "int8"),
    case(networks.one_score),
    case(networks.one_score, "int8", "zero"),
    case(networks.residual, "int8", "signed"),
    case(networks.pool_of_spikes, "signed"),
    case(networks.two_shortcuts, "signed", "poisson", "count"),
    case(networks.residual, "wait", steps=6),
    case(networks.branches_before_pools, "int8", "wait", steps=6),
    case(networks.pool_of_currents, "int8", "wait", "poisson"),
    case(networks.two_shortcuts, "int8", "wait", "poisson", "count", count=1),
    case(networks.deep, "int8", "digit"),
    case(networks.pool_of_spikes, "int8", "digit3"),
    case(networks.pool_of_input, "int8", "digit"),
    case(networks.pool_of_currents, "digit"),
    case(networks.residual, "digit3"),
    case(networks.positive, "int8", "digit", count=1),
    case(networks.branches_before_pools, "int8", "digit"),
    case(networks.pool_of_signed_values, "digit"),
    case(networks.rearranged, "int8", "digit3"),
    case(networks.deep, "graded4"),
    case(networks.pool_of_spikes, "int8", "graded4"),
    case(networks.pool_of_currents, "graded"),
    case(networks.residual, "int8", "graded"),
    case(networks.branches, "int8", "graded", count=1),
]


@pytest.mark.parametrize("tested", WHOLE)
@pytest.mark.parametrize(("network", "options", "count"), CASES)
def test_runs_as_defined(tested: str, network: Network, options: Options, count: int) -> None:
    layers = network()
    graph = compiled(layers, options)
    x = images(layers, count)
    assert options.steps is not None
    assert_equal(found(tested, graph, x, options.steps), expected(tested, graph, x, options.steps))


@pytest.mark.parametrize("tested", WHOLE)
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
    result = executable.run(
        x, steps=8, probes=neurons(graph), progress=lambda _, done, total: seen.append((done, total))
    )
    assert_equal(result, reference)
    shares = [done / total for done, total in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert result.seconds > 0


@pytest.mark.parametrize("tested", WHOLE)
def test_records_only_what_is_probed(tested: str) -> None:
    layers = networks.mlp()
    graph = compiled(layers, Options())
    name = neurons(graph)[1]
    result = backend.compile_for(tested, graph).run(images(layers, 2), steps=4, probes=[name])
    assert list(result.spikes) == [name]


@pytest.mark.parametrize("code", ["rate", "digit", "graded"])
@pytest.mark.parametrize("network", networks.NETWORKS, ids=lambda network: network.__name__)
def test_the_networks_are_alive(network: Network, code: CodeName) -> None:
    """Equal spikes say little of a network whose neurons all send the same, all the time."""
    layers = network()
    options = Options(code=code, precision="int8", signed=False)
    steps = {"rate": 12, "digit": 8, "graded": 1}[code]
    for name, spikes in by_definition(compiled(layers, options), images(layers, 3), steps).spikes.items():
        values, counts = np.unique(spikes, return_counts=True)
        assert counts.max() < 0.98 * spikes.size, name
        assert code != "digit" or values.tolist() == [-1, 0, 1]
        assert code != "rate" or spikes.mean() < 0.8
