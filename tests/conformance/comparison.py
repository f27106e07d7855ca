"""What a backend's result is compared with, and how."""

from __future__ import annotations

import numpy as np

from neurocompile import backend
from neurocompile.backend import Result, measure_activity
from neurocompile.ir import Array, Graph, run
from neurocompile.ir.paths import Source
from neurocompile.ir.processes import Encoder, Neurons

WHOLE = tuple(name for name in backend.names() if name != "lava-stock")
"""The targets that take every graph; tests/lava/test_stock_backend.py has the one that does not."""


def neurons(graph: Graph) -> list[str]:
    return [node.name for node in graph.nodes if isinstance(node.op, Neurons)]


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


def found(tested: str, graph: Graph, x: Array, steps: int) -> Result:
    """Give the tested backend's result."""
    executable = backend.compile_for(tested, graph)
    result = executable.run(x, steps=steps, probes=neurons(graph))
    executable.close()
    return result


def assert_equal(found: Result, reference: Result) -> None:
    assert found.spikes.keys() == reference.spikes.keys()
    for name, spikes in reference.spikes.items():
        assert (found.spikes[name].dtype, found.spikes[name].shape) == (spikes.dtype, spikes.shape)
        assert np.count_nonzero(found.spikes[name] != spikes) == 0, f"the spikes of {name} differ"
    np.testing.assert_array_equal(found.potentials, reference.potentials, strict=True)
    assert found.activity == reference.activity
