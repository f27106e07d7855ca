from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given
from neurocompile_numpy import backend
from neurocompile_numpy.backend import NumpyBackend, NumpyExecutable
from neurocompile_numpy.events.engine import Engine
from strategies import FINE_CODES, RATE, chain, images, layer_graphs, lowered

from neurocompile.backend import Activity
from neurocompile.errors import BackendError, GraphError
from neurocompile.ir import Array, Graph, Node, run
from neurocompile.ir.layers import AvgPool, Conv, Linear, MaxPool, ReLU, Reshape
from neurocompile.ir.processes import CurrentSum, Decoder, Encoder, ScaleSynapses
from neurocompile.parallel import threads
from neurocompile.passes.lower import Lower
from neurocompile.passes.quantize import Quantize
from neurocompile.passes.round_weights import RoundWeights

RNG = np.random.default_rng(0)
LAYERS = chain(
    (1, 6, 6),
    Conv(RNG.normal(size=(3, 1, 3, 3)), RNG.normal(size=3) / 8),
    ReLU(),
    MaxPool((2, 2), (2, 2)),
    Conv(RNG.normal(size=(4, 3, 2, 2)) / 2, np.zeros(4), padding=(1, 1, 0, 0)),
    ReLU(),
    AvgPool((2, 2), (2, 2)),
    Reshape((4,)),
    Linear(RNG.normal(size=(5, 4)), np.zeros(5)),
)
X = images(LAYERS, 9)
REAL = RoundWeights()(lowered(LAYERS, X))
POISSON = RoundWeights()(Lower(Encoder((), "poisson"), RATE)(LAYERS))
OTHER_CODES = {name: code for name, code in FINE_CODES.items() if name != "rate"}
GRAPHS = {
    "real": REAL,
    "integer": Quantize()(lowered(LAYERS, X)),
    "poisson": POISSON,
    **{name: RoundWeights()(lowered(LAYERS, X, code=code)) for name, code in OTHER_CODES.items()},
    **{f"{name}, integer": Quantize()(lowered(LAYERS, X, code=code)) for name, code in OTHER_CODES.items()},
}
NEURONS = ("relu2", "relu5")
STEPS = 10

every_graph = pytest.mark.parametrize("graph", GRAPHS.values(), ids=list(GRAPHS))


def streams(graph: Graph, x: Array, steps: int) -> dict[str, Array]:
    """All streams by the operators' reference semantics, all images at once: ``(T, B, *shape)``."""
    stream = graph["x"].op.encode(x, steps)
    return run(graph, {"x": stream}, keep=[node.name for node in graph.nodes])


def on_threads(count: int, graph: Graph) -> NumpyExecutable:
    with threads(count):
        return NumpyExecutable(graph)


@every_graph
def test_follows_the_reference_semantics(graph: Graph) -> None:
    expected = streams(graph, X, STEPS)
    result = NumpyExecutable(graph).run(X, steps=STEPS, probes=NEURONS)
    np.testing.assert_array_equal(result.potentials, np.moveaxis(expected["decoder"], 0, 1))
    for name in NEURONS:
        np.testing.assert_array_equal(result.spikes[name], np.moveaxis(expected[name], 0, 1))


@every_graph
@pytest.mark.parametrize("images_of_a_chunk", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 3])
def test_does_not_depend_on_chunks_and_threads(
    monkeypatch: pytest.MonkeyPatch, graph: Graph, images_of_a_chunk: int, count: int
) -> None:
    whole = on_threads(1, graph).run(X, steps=STEPS, probes=NEURONS)
    monkeypatch.setattr(backend, "_MOST_IMAGES", images_of_a_chunk)
    parts = on_threads(count, graph).run(X, steps=STEPS, probes=NEURONS)
    np.testing.assert_array_equal(parts.potentials, whole.potentials)
    assert parts.activity == whole.activity
    for name in NEURONS:
        np.testing.assert_array_equal(parts.spikes[name], whole.spikes[name])


@pytest.mark.parametrize("name", [name for name in GRAPHS if not name.startswith(("wait", "digit"))])
def test_fewer_steps_give_the_first_part(name: str) -> None:
    """But of neurons that wait for the last step, and of digits, the last of which is rounded."""
    executable = NumpyExecutable(GRAPHS[name])
    long, short = (executable.run(X, steps=steps, probes=NEURONS) for steps in (24, 9))
    np.testing.assert_array_equal(long.potentials[:, :9], short.potentials)
    np.testing.assert_array_equal(long.decisions[:, :9], short.decisions)
    np.testing.assert_array_equal(long.spikes["relu2"][:, :9], short.spikes["relu2"])


@every_graph
def test_counts_events_of_encoder_neurons_and_pools(graph: Graph) -> None:
    expected = streams(graph, X, STEPS)
    activity = NumpyExecutable(graph).run(X, steps=STEPS).activity
    assert list(activity) == ["x", "relu2", "maxpool3", "relu5"]
    for name, found in activity.items():
        assert found.events == np.count_nonzero(expected[name])


def test_counts_synaptic_operations() -> None:
    """The last layer is all to all behind a pool that each spike reaches once: five synapses a spike."""
    layers = chain((1, 4, 4), ReLU(), AvgPool((2, 2), (2, 2)), Reshape((4,)), Linear(np.ones((5, 4)), np.zeros(5)))
    graph = lowered(layers, np.abs(images(layers)))
    activity = NumpyExecutable(graph).run(np.abs(images(layers)), steps=10).activity
    assert activity["relu1"].events > 0
    assert activity["relu1"].synaptic_operations == 5 * activity["relu1"].events


def test_source_that_nothing_reads_drives_no_synapses() -> None:
    graph = lowered(chain((2,), ReLU()), np.ones((1, 2)))
    assert NumpyExecutable(graph).run(np.zeros((1, 2)), steps=3).activity["relu1"] == Activity(0, 0, np.zeros(2))


@pytest.mark.parametrize("name", ["x", "conv1", "maxpool3", "decoder"])
def test_any_process_can_be_probed(name: str) -> None:
    expected = streams(REAL, X, 6)[name]
    np.testing.assert_array_equal(
        NumpyExecutable(REAL).run(X, steps=6, probes=[name]).spikes[name], np.moveaxis(expected, 0, 1)
    )


def test_probe_of_no_process_is_refused() -> None:
    with pytest.raises(BackendError, match=r"there are no processes \['relu9'\] to probe"):
        NumpyExecutable(REAL).run(X, steps=6, probes=["relu9"])


def test_tells_its_progress() -> None:
    told: list[tuple[str, int, int]] = []
    on_threads(1, REAL).run(X, steps=4, progress=lambda *progress: told.append(progress))
    assert told[-1] == ("simulating", 9, 9)


def test_chunks_bound_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """However little is allowed, at least one image runs at a time."""
    monkeypatch.setattr(backend, "_CHUNK_BYTES", 1)
    told: list[int] = []
    on_threads(1, REAL).run(X, steps=4, progress=lambda _, done, __: told.append(done))
    assert told == list(range(1, 10))


@pytest.mark.parametrize(("branches", "at_once"), [(2, 15), (5, 11), (29, 2), (87, 1), (200, 1)])
def test_currents_that_meet_are_in_memory_together(
    monkeypatch: pytest.MonkeyPatch, branches: int, at_once: int
) -> None:
    """Streams of 16 reals: what never changes is held once, and the sum at 3 steps, as is what is read from it."""
    monkeypatch.setattr(backend, "_CHUNK_BYTES", 10 * 3 * 16 * 8 * 3)
    names = [f"branch{i}" for i in range(branches)]
    graph = Graph(
        (
            Node("x", Encoder((16,))),
            *(Node(name, ScaleSynapses(np.ones(1)), ("x",)) for name in names),
            Node("sum", CurrentSum(), tuple(names)),
            Node("decoder", Decoder(np.zeros(1)), ("sum",)),
        ),
        ("decoder",),
    )
    told: list[int] = []
    on_threads(1, graph).run(np.ones((20, 16)), steps=3, progress=lambda _, done, __: told.append(done))
    assert told == [*range(at_once, 20, at_once), 20]


def test_interruption_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: str, __: int, ___: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(backend, "_MOST_IMAGES", 1)
    with pytest.raises(KeyboardInterrupt):
        on_threads(2, REAL).run(X, steps=2, progress=interrupt)


@given(graph=layer_graphs(most_outputs=1))
def test_takes_every_graph_of_processes(graph: Graph) -> None:
    x = images(graph)
    try:
        processes = lowered(graph, x)
    except GraphError as error:
        assume("not rectified" not in str(error))
        raise
    assert not NumpyBackend().check(processes)
    executable = NumpyBackend().compile(processes)
    assert executable.run(x, steps=3).potentials.shape[:2] == (len(x), 3)
    executable.close()


@pytest.mark.parametrize("steps", [16, 512])
def test_memory_is_that_of_a_chunk_whatever_the_images_and_steps(steps: int) -> None:
    """Of room that is reserved; what is not listed in it is never touched."""
    layers = chain(
        (1, 24, 24),
        Conv(RNG.normal(size=(16, 1, 3, 3)), np.zeros(16), padding=(1,) * 4),
        ReLU(),
        Conv(RNG.normal(size=(16, 16, 3, 3)), np.zeros(16), padding=(1,) * 4),
        ReLU(),
        Reshape((16 * 24 * 24,)),
        Linear(RNG.normal(size=(2, 16 * 24 * 24)) / 64, np.zeros(2)),
    )
    x = images(layers, 40)
    graph = Quantize()(lowered(layers, x[:4]))
    executable = on_threads(1, graph)
    executable.run(x[:1], steps=2)
    tracemalloc.start()
    try:
        executable.run(x, steps=steps)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * max(backend._CHUNK_BYTES, Engine(graph).bytes_of_image(steps))


def test_tells_which_layers_run_by_the_reference() -> None:
    assert NumpyExecutable(GRAPHS["integer"]).run(X, steps=2).by_reference == ()
    graded = NumpyExecutable(GRAPHS["graded, integer"]).run(X, steps=1).by_reference
    assert graded == ("relu2", "maxpool3", "conv4", "relu5", "linear8")
