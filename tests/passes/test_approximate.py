from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import chain, outputs

from neurocompile.calibration.ranges import ranges, samples
from neurocompile.errors import GraphError
from neurocompile.ir import Array, Graph, Node, Op
from neurocompile.ir.functions import FUNCTIONS
from neurocompile.ir.layers import Add, Affine, Conv, Function, Identity, Input, Linear, Multiply, ReLU, Reshape
from neurocompile.ir.serialization import from_document, to_document
from neurocompile.passes.approximate import TOLERANCE, Approximate, Region, regions
from neurocompile.passes.piecewise import fit

Branch = tuple[str, Op, Sequence[str]]


def network(shape: tuple[int, ...], *layers: Branch, outputs: Sequence[str] = ("y",)) -> Graph:
    return Graph.of([Node("x", Input(shape)), *(Node(n, op, tuple(i)) for n, op, i in layers)], outputs)


def scaled(factor: float) -> Affine:
    return Affine(np.array([factor]), np.zeros(1))


def shifted(summand: float) -> Affine:
    return Affine(np.ones(1), np.array([summand]))


def six() -> ReLU:
    return ReLU(np.array(6.0))


# Each as an exporter writes it, and what it computes.
PRODUCTS: dict[str, tuple[list[Branch], Callable[[Array], Array]]] = {
    "SiLU": (
        [("s", Function("sigmoid"), "x"), ("y", Multiply(), "xs")],
        lambda x: FUNCTIONS["swish"](x, 1, 1),
    ),
    "hard swish": (
        [("a", shifted(3), "x"), ("b", six(), "a"), ("c", Multiply(), "xb"), ("y", scaled(1 / 6), "c")],
        lambda x: FUNCTIONS["hard_swish"](x, 1, 1),
    ),
    "GELU": (
        [
            ("a", scaled(0.5**0.5), "x"),
            ("b", Function("erf"), "a"),
            ("c", shifted(1), "b"),
            ("d", Multiply(), "xc"),
            ("y", scaled(0.5), "d"),
        ],
        lambda x: FUNCTIONS["gelu"](x, 1, 1),
    ),
    "GELU by tanh": (
        [
            ("a", Function("power", 3), "x"),
            ("b", scaled(0.044715), "a"),
            ("c", Add(), "xb"),
            ("d", scaled((2 / np.pi) ** 0.5), "c"),
            ("e", Function("tanh"), "d"),
            ("f", shifted(1), "e"),
            ("g", scaled(0.5), "x"),
            ("y", Multiply(), "gf"),
        ],
        lambda x: FUNCTIONS["gelu_tanh"](x, 1, 1),
    ),
    "mish": (
        [("a", Function("softplus"), "x"), ("b", Function("tanh"), "a"), ("y", Multiply(), "xb")],
        lambda x: FUNCTIONS["mish"](x, 1, 1),
    ),
    "square": ([("y", Multiply(), "xx")], np.square),
    "cube": ([("a", Multiply(), "xx"), ("y", Multiply(), "ax")], lambda x: x**3),
    "through Dropout": (
        [("a", Identity(), "x"), ("b", Function("tanh"), "a"), ("y", Multiply(), "xb")],
        lambda x: x * np.tanh(x),
    ),
}


@pytest.mark.parametrize("case", PRODUCTS)
@pytest.mark.parametrize("shape", [(2, 3, 2), (5,)], ids=["image", "vector"])
def test_products_of_one_value_are_one_region(case: str, shape: tuple[int, ...]) -> None:
    layers, function = PRODUCTS[case]
    graph = network(shape, *layers)
    (region,) = regions(graph)
    assert (region.function, region.input) == ("product", "x")
    result, (found,) = Approximate({"x": (-4, 6)}).rewrite(graph)
    assert not any(isinstance(node.op, Function | Multiply) for node in result.nodes)
    x = np.random.default_rng(0).uniform(-4, 6, (50, *shape))
    expected = function(x)
    (y,) = outputs(result, x)
    assert y.shape == expected.shape
    factor = 1 / 6 if case == "hard swish" else 0.5 if case == "GELU" else 1.0
    assert np.abs(y - expected).max() <= factor * found.error * 1.01
    assert found.relative_error <= TOLERANCE


@st.composite
def cases(draw: st.DrawFn) -> tuple[Graph, Array]:
    """A function between layers, on images or vectors, and images for it."""
    name = draw(st.sampled_from(["elu", "gelu", "sigmoid", "softplus", "swish", "tanh"]))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    shape = draw(st.sampled_from([(2, 3, 4), (2, 6), (3,), (1, 2, 2, 2)]))
    weight = rng.normal(size=(3, shape[0], *[1] * max(1, len(shape) - 1))) * draw(st.sampled_from([0.1, 1, 5]))
    before: list[Op] = [Conv(weight, rng.normal(size=3))]
    if len(shape) == 1:
        before = [Linear(weight[..., 0], rng.normal(size=3))]
    return chain(shape, *before, Function(name, alpha=1.2)), rng.normal(size=(7, *shape))


def measured(graph: Graph, x: Array) -> Approximate:
    names = [region.input for region in regions(graph)]
    return Approximate(ranges(graph, x, names), samples=samples(graph, x, names))


@given(case=cases())
def test_the_result_is_within_the_stated_error(case: tuple[Graph, Array]) -> None:
    graph, x = case
    result, (found,) = measured(graph, x).rewrite(graph)
    (before,), (after,) = outputs(graph, x), outputs(result, x)
    assert np.abs(after - before).max() <= found.error * 1.01 + 1e-12
    assert found.relative_error <= TOLERANCE


@given(case=cases())
def test_the_result_is_the_fit(case: tuple[Graph, Array]) -> None:
    graph, x = case
    (region,) = regions(graph)
    low, high = ranges(graph, x, [region.input])[region.input]
    lines = fit(region, low, high, TOLERANCE).lines
    result = Approximate({region.input: (low, high)})(graph)
    # Beyond the range too.
    (source,) = outputs(Graph.of(graph.nodes, [region.input]), 2 * x)
    np.testing.assert_allclose(outputs(result, 2 * x)[0], lines(source), rtol=0, atol=1e-9 * np.abs(source).max())


@given(case=cases())
def test_leaves_its_input_unchanged_and_does_it_once(case: tuple[Graph, Array]) -> None:
    graph, x = case
    before = from_document(*to_document(graph))
    rewrite = measured(graph, x)
    once = rewrite(graph)
    assert graph == before
    assert rewrite(once) == once


def test_ramps_are_one_layer_of_neurons_with_thresholds_of_one() -> None:
    graph = chain((2, 3, 3), Function("tanh"))
    result, (found,) = Approximate({"x": (-3, 3)}).rewrite(graph)
    (neurons,) = (node for node in result.nodes if isinstance(node.op, ReLU))
    assert result.types[neurons.name].shape == (2 * found.segments, 3, 3)
    assert neurons.op.ceiling.shape == (2 * found.segments, 1, 1)
    assert np.all(neurons.op.ceiling == 1)


def test_a_function_that_goes_on_has_a_ramp_without_a_ceiling() -> None:
    result = Approximate({"x": (-3, 3)})(chain((1, 1, 1), Function("softplus")))
    (neurons,) = (node.op for node in result.nodes if isinstance(node.op, ReLU))
    assert np.sort(neurons.ceiling, axis=None)[-2:].tolist() == [1, np.inf]


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
@pytest.mark.parametrize(("name", "ramps"), [("gelu", 3), ("hard_swish", 0)])
def test_any_shape(shape: tuple[int, ...], name: str, ramps: int) -> None:
    # Hard swish is straight where its input is large.
    limits = (4.0, 9.0) if name == "hard_swish" else (-8.0, 8.0)
    result, (found,) = Approximate({"x": limits}).rewrite(chain(shape, Function(name, 0)))
    assert found.segments == ramps
    assert result.types[result.outputs[0]].shape == shape


def test_records_what_was_done() -> None:
    graph = chain((2,), Function("tanh"), Function("sigmoid"))
    _, found = Approximate({"x": (-3, 2), "function1": (-1, 1)}).rewrite(graph)
    assert [(a.node, a.function, a.low, a.high) for a in found] == [
        ("function1", "tanh", -3, 2),
        ("function2", "sigmoid", -1, 1),
    ]
    for approximation in found:
        span = np.ptp(FUNCTIONS[approximation.function](np.array([approximation.low, approximation.high]), 1, 1))
        assert approximation.error == pytest.approx(approximation.relative_error * span)


def test_what_something_else_reads_stays() -> None:
    layers: list[Branch] = [("s", Function("sigmoid"), "x"), ("m", Multiply(), "xs"), ("y", Add(), "ms")]
    graph = network((3,), *layers)
    assert [(region.node, region.function) for region in regions(graph)] == [("s", "sigmoid"), ("m", "product")]
    result = Approximate({"x": (-3, 3)})(graph)
    x = np.linspace(-3, 3, 30).reshape(10, 3)
    np.testing.assert_allclose(outputs(result, x)[0], outputs(graph, x)[0], atol=0.06)


def test_a_function_behind_a_region_is_one_of_its_own() -> None:
    graph = network((3,), ("m", Multiply(), "xx"), ("y", Function("tanh"), "m"))
    assert [(region.node, region.input) for region in regions(graph)] == [("m", "x"), ("y", "m")]


def test_the_nearest_value_is_taken() -> None:
    graph = network(
        (3,), ("a", ReLU(), "x"), ("s", Function("sigmoid"), "a"), ("y", Multiply(), ["a", "s"]), outputs=("y",)
    )
    (region,) = regions(graph)
    assert region.input == "a"


def test_a_region_ends_at_what_is_not_of_single_values() -> None:
    per_channel = Affine(np.arange(1.0, 4.0), np.zeros(3))
    graph = network((3,), ("a", per_channel, "x"), ("s", Function("sigmoid"), "a"), ("y", Multiply(), "as"))
    assert [region.input for region in regions(graph)] == ["a"]


GATE = Linear(np.eye(3), np.zeros(3))


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param([("a", GATE, "x"), ("y", Multiply(), "xa")], id="gate"),
        pytest.param([("a", Affine(np.arange(3.0), np.zeros(3)), "x"), ("y", Multiply(), "xa")], id="channels"),
        pytest.param([("a", ReLU(np.arange(1.0, 4.0)), "x"), ("y", Multiply(), "xa")], id="ceilings"),
        pytest.param([("a", GATE, "x"), ("b", GATE, "x"), ("y", Multiply(), "ab")], id="attention"),
    ],
)
def test_products_of_computed_values_are_refused(layers: list[Branch]) -> None:
    graph = network((3,), *layers)
    with pytest.raises(GraphError, match=r"node 'y' \(Multiply\): multiplies two values that are both computed"):
        regions(graph)


def test_all_of_them_at_once() -> None:
    graph = network(
        (3,), ("a", GATE, "x"), ("m", Multiply(), "xa"), ("b", Function("tanh"), "m"), ("y", Multiply(), "ab")
    )
    with pytest.raises(GraphError) as caught:
        regions(graph)
    assert [issue.node for issue in caught.value.issues] == ["m", "y"]
    assert all(issue.remedy for issue in caught.value.issues)


def test_functions_that_are_not_finite_are_refused_all_at_once() -> None:
    graph = network((3,), ("a", Function("log"), "x"), ("b", Function("sqrt"), "x"), ("y", Add(), "ab"))
    with pytest.raises(GraphError) as caught:
        Approximate({"x": (-1, 1)})(graph)
    assert [(issue.node, issue.op) for issue in caught.value.issues] == [("a", "Function"), ("b", "Function")]
    assert "is not finite for every input from -1 to 1" in caught.value.issues[0].problem


@pytest.mark.parametrize("value", [0.0, 3.0, -1e-6, 1e9])
def test_an_input_that_does_not_vary(value: float) -> None:
    graph = chain((2,), Function("softplus"))
    result, (found,) = Approximate({"x": (value, value)}).rewrite(graph)
    assert found.low < value < found.high
    x = np.full((1, 2), value)
    (expected,), (y,) = outputs(graph, x), outputs(result, x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=found.error * 1.01 + 1e-12 * abs(value))


def test_names_of_the_model_may_look_like_those_that_it_makes() -> None:
    graph = network((3,), ("y.ramps", ReLU(), "x"), ("y", Function("tanh"), ["y.ramps"]), outputs=("y",))
    x = np.linspace(0, 3, 30).reshape(10, 3)
    result, (found,) = Approximate({"y.ramps": (0, 3)}).rewrite(graph)
    assert np.abs(outputs(result, x)[0] - np.tanh(x)).max() <= found.error * 1.01


def test_nothing_to_approximate() -> None:
    graph = chain((4,), ReLU(), Reshape((2, 2)))
    assert Approximate({}).rewrite(graph) == (graph, ())


def test_a_region_computes_its_function() -> None:
    layers, function = PRODUCTS["GELU by tanh"]
    (region,) = regions(network((2, 3, 4), *layers))
    assert isinstance(region, Region)
    x = np.linspace(-5, 5, 11)
    np.testing.assert_allclose(region(x), function(x))
