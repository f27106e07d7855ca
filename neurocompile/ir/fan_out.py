"""How many synapses a spike drives."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neurocompile.ir.graph import Graph
from neurocompile.ir.op import Array
from neurocompile.ir.paths import paths, receivers
from neurocompile.ir.processes import Connections


def fan_out(graph: Graph) -> Mapping[str, Array]:
    """Count, for each value that a source sends, the synapses that it drives at its receivers.

    A pool without weights that takes spikes as they are counts its windows.

    Returns
    -------
    Mapping
        For each source an array of its shape.
    """
    counts: dict[str, Array] = {}
    for receiver in receivers(graph):
        for path in paths(graph, receiver):
            chain = [path.source, *(node.name for node in path.synapses)]
            beyond = np.ones(graph.types[chain[-1]].shape, np.int64)
            for name, node in zip(reversed(chain[:-1]), reversed(path.synapses), strict=True):
                assert isinstance(node.op, Connections)
                beyond = node.op.fan_out(graph.types[name].shape, beyond)
            counts[path.source] = counts.get(path.source, 0) + beyond
    return counts
