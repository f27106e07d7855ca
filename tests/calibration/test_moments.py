from __future__ import annotations

import numpy as np
import pytest
from strategies import balanced, chain

from neurocompile.calibration import moments as module
from neurocompile.calibration.moments import second_moments
from neurocompile.ir import Array, Graph, run
from neurocompile.ir.codes import Code, DigitCode, GradedCode, RateCode
from neurocompile.ir.layers import AvgPool, Conv, Linear, ReLU
from neurocompile.ir.processes import Encoder, Neurons
from neurocompile.passes.lower import Lower

CODES: dict[str, Code] = {"rate": RateCode(512), "digit": DigitCode(10), "graded": GradedCode(8)}
RNG = np.random.default_rng(0)
X = RNG.uniform(0, 1, (60, 4))
VECTORS = chain(
    (4,),
    Linear(RNG.normal(size=(5, 4)), RNG.normal(size=5) * 0.3),
    ReLU(),
    Linear(RNG.normal(size=(3, 5)), RNG.normal(size=3) * 0.3),
)
PLANES = chain(
    (2, 5, 4),
    Conv(RNG.normal(size=(4, 2, 3, 2)), np.zeros(4), stride=(2, 1), padding=(1, 0, 0, 1)),
    ReLU(),
    Conv(RNG.normal(size=(6, 2, 2, 2)), np.zeros(6), groups=2),
    ReLU(),
    AvgPool((1, 2)),
)
PLANE_IMAGES = RNG.uniform(0, 1, (7, 2, 5, 4))


def stages(layers: Graph, x: Array, code: Code) -> tuple[Graph, Graph]:
    """The balanced layers, and the processes that they become."""
    found = balanced(layers, x, code.highest)
    encoder = Encoder((), "once" if code.radix > 1 else "constant", 1.0, 255)
    return found, Lower(encoder, code)(found)


def by_definition(rows: Array) -> Array:
    """The mean product of each two inputs, a constant 1 among them."""
    size = rows.shape[1] + 1
    found = np.zeros((size, size))
    for row in rows:
        values = [*row, 1.0]
        for i in range(size):
            for j in range(size):
                found[i, j] += values[i] * values[j] / len(rows)
    return found


SENT = {"rate": 1.0, "digit": 1.0, "graded": 255.0}
"""The message that stands for a threshold."""


@pytest.mark.parametrize("name", CODES)
def test_moments_of_what_linear_layers_receive(name: str) -> None:
    layers, processes = stages(VECTORS, X, CODES[name])
    found = second_moments(layers, processes, X, CODES[name])
    # What is sent once is worth twice as much as the same in each of two steps and more.
    entry = np.rint(255 * X) / (2 if name == "digit" else 1)
    np.testing.assert_allclose(found["linear1"], by_definition(entry)[None, None])
    hidden = np.clip(run(layers, {"x": X}, keep=["relu2"])["relu2"], 0, CODES[name].highest)
    np.testing.assert_allclose(found["linear3"], by_definition(hidden * SENT[name])[None, None])


@pytest.mark.parametrize("name", CODES)
def test_moments_are_near_those_of_real_spikes(name: str) -> None:
    code = CODES[name]
    layers, processes = stages(VECTORS, X, code)
    found = second_moments(layers, processes, X, code)
    stream = processes["x"].op.encode(X, code.steps)
    neurons = processes["relu2"].op
    assert isinstance(neurons, Neurons)
    spikes = run(processes, {"x": stream}, keep=["relu2"])["relu2"]
    sent = neurons.value(spikes) * SENT[name]
    np.testing.assert_allclose(found["linear3"][0, 0], by_definition(sent), atol=0.01 * SENT[name] ** 2)
    received = neurons.value(stream) if name == "digit" else stream.mean(axis=0)
    np.testing.assert_allclose(found["linear1"][0, 0], by_definition(received))


@pytest.mark.parametrize("name", CODES)
def test_the_last_row_and_column_are_those_of_a_constant_1(name: str) -> None:
    layers, processes = stages(PLANES, PLANE_IMAGES, CODES[name])
    for moments in second_moments(layers, processes, PLANE_IMAGES, CODES[name]).values():
        np.testing.assert_allclose(moments, np.swapaxes(moments, 2, 3))
        np.testing.assert_allclose(moments[..., -1, -1], 1)
        assert np.all(moments[..., -1, :-1] >= 0)
        assert np.any(moments[..., -1, :-1] > 0)


def test_convolutions_take_the_mean_over_all_places_of_their_output() -> None:
    code = CODES["rate"]
    layers, processes = stages(PLANES, PLANE_IMAGES, code)
    found = second_moments(layers, processes, PLANE_IMAGES, code)
    padded = np.pad(np.rint(255 * PLANE_IMAGES), ((0, 0), (0, 0), (1, 0), (0, 1)))
    rows = [image[:, i : i + 3, j : j + 2].ravel() for image in padded for i in range(0, 4, 2) for j in range(4)]
    np.testing.assert_allclose(found["conv1"], by_definition(np.stack(rows))[None, None])
    hidden = np.clip(run(layers, {"x": PLANE_IMAGES}, keep=["relu2"])["relu2"], 0, 1)
    for group, moments in enumerate(found["conv3"]):
        channels = hidden[:, 2 * group : 2 * group + 2]
        rows = [image[:, 0:2, j : j + 2].ravel() for image in channels for j in range(hidden.shape[3] - 1)]
        assert hidden.shape[2] == 2
        np.testing.assert_allclose(moments[0], by_definition(np.stack(rows)))


def test_parts_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    code = CODES["rate"]
    layers, processes = stages(PLANES, PLANE_IMAGES, code)
    whole = second_moments(layers, processes, PLANE_IMAGES, code)
    monkeypatch.setattr(module, "_MOST_IMAGES", 3)
    parts = second_moments(layers, processes, PLANE_IMAGES, code)
    assert parts.keys() == whole.keys()
    for name, moments in whole.items():
        np.testing.assert_allclose(parts[name], moments)


def test_many_inputs_are_measured_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    code = CODES["rate"]
    layers, processes = stages(VECTORS, X, code)
    whole = second_moments(layers, processes, X, code)["linear3"][0, 0]
    monkeypatch.setattr(module, "_MOST_INPUTS", 4)
    (blocks,) = second_moments(layers, processes, X, code)["linear3"]
    first, second = [0, 1, 2, 5], [3, 4, 5]
    np.testing.assert_allclose(blocks[0], whole[np.ix_(first, first)])
    # The second block has one input less, in whose place there is a 0.
    np.testing.assert_allclose(blocks[1][np.ix_([0, 1, 3], [0, 1, 3])], whole[np.ix_(second, second)])
    assert not np.any(blocks[1][2])
