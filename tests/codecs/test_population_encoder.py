from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from codecs_worlds import WORLDS

from neurocompile.codecs.encoders import PopulationEncoder
from neurocompile.errors import DataError

worlds = pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)


@worlds
def test_gaussian_rates_are_the_documents(world):
    low, high, size, f_max = -2.0, 3.0, 6, 200.0
    encoder = PopulationEncoder(
        population_size=size, normalization="none", input_range=(low, high), max_firing_rate_hz=f_max
    )
    x = np.array([[-2.0, 0.3], [1.7, 3.0]])
    batch = encoder(world(x))
    for sample in range(2):
        for dimension in range(2):
            for j in range(size):
                center = low + j * (high - low) / (size - 1)
                sigma = (high - low) / (size - 1) / 1.5
                rate = f_max * math.exp(-((x[sample, dimension] - center) ** 2) / (2 * sigma**2))
                assert float(batch.aux["rates"][sample, dimension * size + j]) == pytest.approx(rate, rel=1e-5)
    assert np.asarray(batch.aux["population_map"]).tolist() == [0] * 6 + [1] * 6
    assert np.allclose(np.asarray(batch.aux["centers"]), np.linspace(low, high, size))
    assert np.allclose(np.asarray(batch.aux["widths"]), 1 / 1.5)
    assert tuple(batch.spikes.shape) == (2, 25, 12)


@worlds
def test_triangles_add_up_to_one(world):
    encoder = PopulationEncoder(tuning="triangular", normalization="none", max_firing_rate_hz=100.0)
    x = np.linspace(0, 1, 11)
    batch = encoder(world(x))
    rates = np.asarray(batch.aux["rates"]).reshape(11, 8)
    assert np.allclose(rates.sum(1), 100)
    # The population vector of the rates is then the value itself.
    assert np.allclose(rates @ np.asarray(batch.aux["centers"]) / 100, x)


@worlds
def test_uniform_centers_are_the_middles_of_equal_parts(world):
    encoder = PopulationEncoder(population_size=4, centers="uniform", input_range=(0.0, 8.0), sigma=0.5)
    centers, widths = encoder.curves(world(np.ones(1)))
    assert np.asarray(centers).tolist() == [1, 3, 5, 7]
    assert np.asarray(widths).tolist() == [0.5] * 4
    centers, widths = PopulationEncoder(population_size=1, centers="uniform").curves(world(np.ones(1)))
    assert np.asarray(centers).tolist() == [0.5]
    assert np.allclose(np.asarray(widths), 1 / 1.5)


@worlds
def test_spikes_have_the_rates(world):
    options = {"num_steps": 4000, "normalization": "none", "max_firing_rate_hz": 500.0, "seed": 0}
    encoder = PopulationEncoder(**options)
    x = world(np.array([0.4, 0.9]))
    batch = encoder(x)
    rates = np.asarray(batch.aux["rates"]) / 1000
    assert np.all(np.abs(np.asarray(batch.spikes).mean(1) - rates) < 5 * np.sqrt(rates / 4000) + 2 / 4000)
    even = np.asarray(encoder.eval()(x).spikes).sum(1)
    assert np.all(np.abs(even - rates * 4000) <= 0.5 + 1e-6)
    drawn = PopulationEncoder(**options, deterministic_eval=False, jitter_ms=2.0).eval()
    assert not np.array_equal(np.asarray(drawn(x).spikes), np.asarray(drawn(x).spikes))


@worlds
def test_learned_centers_are_where_values_are(world):
    rng = np.random.default_rng(0)
    clusters = np.array([0.1, 0.15, 0.8])
    samples = np.stack([rng.choice(clusters, 3000) + rng.normal(0, 0.005, 3000), rng.uniform(0, 1, 3000)], 1).clip(
        0, 1
    )
    encoder = PopulationEncoder(population_size=3, normalization="none")
    assert encoder.fit(world(samples)) is encoder
    centers, widths = encoder.curves(world(np.ones(1)))
    assert np.allclose(np.asarray(centers)[0], clusters, atol=0.005)
    assert np.allclose(np.asarray(centers)[1], [1 / 6, 1 / 2, 5 / 6], atol=0.05)
    # Widths go by the farther neighbour.
    assert np.allclose(np.asarray(widths)[0] * 1.5, [0.05, 0.65, 0.65], atol=0.01)
    batch = encoder(world(np.array([[0.8, 0.5]])))
    rates = np.asarray(batch.aux["rates"])[0]
    assert rates[:3].argmax() == 2
    assert rates[3:].argmax() == 1
    with pytest.raises(DataError, match="learned for 2 values, and the input has 3"):
        encoder(world(np.full((1, 3), 0.5)))


@worlds
def test_learning_begins_with_quantiles_and_ends_where_nothing_moves(world):
    encoder = PopulationEncoder(population_size=2, normalization="none")
    samples = world(np.array([[0.0], [0.25], [0.75], [1.0], [1.0]]))
    encoder.fit(samples, rounds=0)
    assert np.asarray(encoder.learned_centers).tolist() == [[0.25, 1]]
    encoder.fit(samples)
    assert np.allclose(np.asarray(encoder.learned_centers), [[0.125, 2.75 / 3]])


def test_rates_have_a_gradient_to_learned_centers():
    encoder = PopulationEncoder(population_size=3, centers="learned", normalization="none")
    encoder.learned_centers = torch.nn.Parameter(torch.tensor([0.1, 0.5, 0.9]))
    batch = encoder(torch.tensor([0.4]))
    batch.aux["rates"].sum().backward()
    gradient = encoder.learned_centers.grad
    # A center is drawn to the value.
    assert gradient[0] > 0
    assert gradient[1] < 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PopulationEncoder(population_size=1), "divides by one less than their number"),
        (lambda: PopulationEncoder(population_size=0), "population_size=0"),
        (lambda: PopulationEncoder(sigma=1e-9), "sigma=1e-09"),
        (lambda: PopulationEncoder(jitter_ms=-1.0), "jitter_ms=-1"),
        (lambda: PopulationEncoder(centers="learned")(np.ones(3)), "not learned yet"),
        (lambda: PopulationEncoder().fit(np.ones(3)), r"samples are \(S, N\)"),
        (lambda: PopulationEncoder(normalization="none").fit(np.ones((9, 1))), "from 1 different values"),
        (lambda: PopulationEncoder(normalization="none").fit(np.full((9, 1), 2.0)), r"not all in \[0, 1\]"),
    ],
)
def test_populations_that_can_not_be_are_refused(make, message):
    with pytest.raises(DataError, match=message):
        make()


def test_learned_centers_have_to_ascend_and_to_be_of_the_world():
    encoder = PopulationEncoder(population_size=2, centers="learned")
    wrong = (np.array([1.0, 0.0]), np.array([0.0, 0.5, 1.0]), np.array(0.5), np.zeros((1, 1, 2)))
    for centers in wrong:
        encoder.learned_centers = centers
        with pytest.raises(DataError, match="do not ascend"):
            encoder(np.linspace(0, 1, 3))
    encoder.learned_centers = np.array([0.0, np.nan])
    with pytest.raises(DataError, match="learned_centers holds NaN"):
        encoder(np.linspace(0, 1, 3))
    encoder.learned_centers = torch.tensor([0.0, 1.0])
    with pytest.raises(DataError, match="not all NumPy arrays"):
        encoder(np.linspace(0, 1, 3))


def test_tuning_keeps_its_shape_where_it_has_that_of_the_input():
    # 4 pictures of 4 pixels, and 4 neurons for each.
    pictures = np.random.default_rng(0).random((4, 1, 2, 2))
    encoder = PopulationEncoder(population_size=4, normalization="none").fit(pictures.reshape(4, 4))
    assert encoder(pictures).aux["centers"].shape == (4, 4)
