from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import chain

from neurocompile.calibration import thresholds as module
from neurocompile.calibration.thresholds import by_channel, least_squares, simulated
from neurocompile.ir import Array
from neurocompile.ir.codes import Code, DigitCode, GradedCode, RateCode
from neurocompile.ir.layers import ReLU

CODES: tuple[Code, ...] = (RateCode(1), RateCode(4), RateCode(32), DigitCode(1), DigitCode(3), GradedCode(4))


def rounding_error(values: Array, threshold: float, code: Code) -> float:
    """The root of the mean squared distance to the multiples of the resolution up to the highest."""
    levels = np.arange(round(code.highest / code.resolution) + 1) * code.resolution * threshold
    return float(np.sqrt(np.mean(np.abs(values[:, None] - levels).min(axis=1) ** 2)))


def heavy_tailed(seed: int, images: int = 20, channels: int = 3) -> Array:
    rng = np.random.default_rng(seed)
    return rng.exponential(1, (images, channels, 3, 2)) * rng.uniform(0.5, 2, (channels, 1, 1))


@given(seed=st.integers(0, 2**32 - 1), code=st.sampled_from(CODES))
def test_no_threshold_on_a_fine_grid_is_better_by_more_than_the_candidates_lie_apart(
    seed: int, code: Code
) -> None:
    """The distance to the nearest level moves by no more than the threshold does."""
    x = heavy_tailed(seed)
    found = least_squares(chain(x.shape[1:], ReLU()), x, code)["relu1"].reshape(-1)
    for values, threshold in zip(by_channel(x), found, strict=True):
        grid = np.linspace(0.1, 1.5, 200) * values.max()
        best = min(rounding_error(values, t, code) for t in grid)
        # Candidates lie 0.03 of the largest value apart, and 0.1 above it.
        assert rounding_error(values, threshold, code) <= best + 0.05 * values.max()


@pytest.mark.parametrize("code", CODES, ids=repr)
def test_takes_the_candidate_with_the_least_error(code: Code) -> None:
    x = heavy_tailed(1)
    found = least_squares(chain(x.shape[1:], ReLU()), x, code)["relu1"].reshape(-1)
    for values, threshold in zip(by_channel(x), found, strict=True):
        errors = [rounding_error(values, share * values.max(), code) for share in module._SHARES]
        assert rounding_error(values, threshold, code) <= min(errors) * (1 + 1e-9)


def test_few_levels_clip_the_tail() -> None:
    x = heavy_tailed(2, images=200)
    shares = [
        (
            least_squares(chain(x.shape[1:], ReLU()), x, RateCode(steps))["relu1"]
            / x.max(axis=(0, 2, 3), keepdims=True)
        )
        for steps in (2, 8, 256)
    ]
    assert np.all(shares[0] < shares[1])
    assert np.all(shares[1] < shares[2])


def test_values_that_are_levels_are_kept_exactly() -> None:
    x = np.arange(9).reshape(9, 1) / 8
    assert least_squares(chain((1,), ReLU()), x, RateCode(8))["relu1"].tolist() == [1.0]


@pytest.mark.parametrize(
    "own", [np.array(0.5), np.array([0.3, 5.0, 0.7]).reshape(3, 1, 1)], ids=["one", "for each channel"]
)
def test_least_squares_are_not_above_the_ceiling_of_a_relu(own: Array) -> None:
    x = heavy_tailed(3) + 1
    found = least_squares(chain(x.shape[1:], ReLU(own)), x, RateCode(64))["relu1"]
    assert np.all(found <= own)
    # Channels that reach their ceiling have it for their threshold.
    reached = np.broadcast_to(own, (3, 1, 1)) < 1
    np.testing.assert_allclose(found[reached], np.broadcast_to(own, (3, 1, 1))[reached], rtol=0.02)


def test_least_squares_do_not_depend_on_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x = heavy_tailed(4)
    whole = least_squares(chain(x.shape[1:], ReLU()), x, RateCode(8))["relu1"]
    monkeypatch.setattr(module, "_MOST_IMAGES", 3)
    np.testing.assert_array_equal(least_squares(chain(x.shape[1:], ReLU()), x, RateCode(8))["relu1"], whole)


def test_some_of_many_values_stand_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    x = heavy_tailed(5, images=300)
    whole = least_squares(chain(x.shape[1:], ReLU()), x, RateCode(8))["relu1"]
    monkeypatch.setattr(module, "_MOST_VALUES", 900)
    some = least_squares(chain(x.shape[1:], ReLU()), x, RateCode(8))["relu1"]
    np.testing.assert_allclose(some, whole, rtol=0.35)
    assert np.any(some != whole)


def test_dead_channel_gets_a_twentieth_of_the_largest_threshold() -> None:
    x = np.array([[-1.0, 0.5], [-2.0, 1.0]])
    found = least_squares(chain((2,), ReLU()), x, RateCode(2))["relu1"]
    assert found[0] == pytest.approx(found[1] / 20)


@pytest.mark.parametrize("shape", [(), (3,), (3, 4), (2, 3, 4, 2)], ids=len)
def test_thresholds_broadcast_against_images_of_any_shape(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).random((5, *shape))
    found = least_squares(chain(shape, ReLU()), x, RateCode(4))["relu1"]
    assert found.size == (shape[0] if shape else 1)
    assert np.broadcast_shapes(found.shape, (1, *shape)) == (1, *shape)


def test_channels_come_first() -> None:
    x = np.arange(24).reshape(2, 3, 4)
    assert by_channel(x)[1].tolist() == [4, 5, 6, 7, 16, 17, 18, 19]
    assert by_channel(np.arange(3)).tolist() == [[0, 1, 2]]


def fired(currents: Array, threshold: float, code: RateCode) -> float:
    """What one neuron sends, in thresholds, by the definition of integrate-and-fire."""
    v = 0.5 * threshold if code.reset == "subtract" else 0.0
    sent = 0
    for current in currents:
        v += current
        if v > threshold:
            sent += 1
            v = v - threshold if code.reset == "subtract" else 0.0
        elif code.signed and v < 0 and sent > 0:
            sent -= 1
            v += threshold
    return sent / len(currents)


RATES = (RateCode(5), RateCode(5, signed=True), RateCode(5, "zero"))


@pytest.mark.parametrize("code", RATES, ids=repr)
def test_simulated_takes_the_candidate_with_the_least_error(code: RateCode) -> None:
    rng = np.random.default_rng(6)
    current = rng.normal(0.4, 1, (5, 7, 3, 2)) * np.array([1.0, 3.0, 0.2]).reshape(3, 1)
    wanted = np.maximum(current.mean(axis=0), 0)
    found = simulated(current, wanted, code.neurons(np.zeros(1)))
    for channel in range(3):
        values = wanted[:, channel].reshape(-1)
        streams = current[:, :, channel].reshape(5, -1).T
        errors = {}
        for share in module._FEWER_SHARES:
            threshold = share * values.max()
            sent = [fired(stream, threshold, code) * threshold for stream in streams]
            errors[threshold] = sum((s - v) ** 2 for s, v in zip(sent, values, strict=True))
        assert found[channel] == pytest.approx(min(errors, key=lambda t: errors[t]))


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_simulated_digits_take_the_candidate_with_the_least_rounding_error(steps: int) -> None:
    values = np.random.default_rng(7).exponential(1, (40, 1))
    current = np.zeros((steps, *values.shape))
    current[0] = 2 * values
    code = DigitCode(steps)
    (found,) = simulated(current, values, code.neurons(np.zeros(1)))
    errors = [rounding_error(values[:, 0], share * values.max(), code) for share in module._FEWER_SHARES]
    assert rounding_error(values[:, 0], found, code) == pytest.approx(min(errors))


def test_channel_that_should_be_silent_gets_a_small_threshold() -> None:
    wanted = np.array([[0.0, 1.0], [0.0, 0.5]])
    found = simulated(np.broadcast_to(wanted, (4, 2, 2)), wanted, RateCode(4).neurons(np.zeros(1)))
    assert 0 < found[0] < 0.01 * found[1]
