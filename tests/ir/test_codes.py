"""What every code has to hold, whatever its neurons do inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurocompile.ir import Array
from neurocompile.ir.codes import Code, DigitCode, GradedCode, RateCode
from neurocompile.ir.processes import Decoder, Encoder

CODES: dict[str, Code] = {
    "rate": RateCode(12),
    "signed": RateCode(12, signed=True),
    "wait": RateCode(12, wait=True),
    "digit 1": DigitCode(1),
    "digit 3": DigitCode(3),
    "digit 8": DigitCode(8),
    "graded 4": GradedCode(4),
    "graded 8": GradedCode(8),
}

every_code = pytest.mark.parametrize("code", CODES.values(), ids=list(CODES))

NOTHING = np.zeros(1)
VALUES = np.arange(-500, 3001) / 2000


def current(code: Code, values: Array) -> Array:
    """Bring values to neurons as the compiler's encoder does."""
    sends = "once" if code.radix > 1 else "constant"
    worth = code.radix if code.radix > 1 else 1
    return worth * Encoder(values.shape, sends).encode(values[None], code.steps)  # type: ignore[arg-type]


@every_code
def test_values_are_sent_to_half_of_the_resolution(code: Code) -> None:
    neurons = code.neurons(NOTHING)
    spikes = neurons.run(current(code, VALUES))
    assert len(spikes) == code.steps
    sent = neurons.value(spikes)[0]
    np.testing.assert_allclose(sent, VALUES.clip(0, code.highest), rtol=0, atol=code.resolution / 2 + 1e-12)
    levels = np.unique(sent)
    np.testing.assert_allclose(levels, np.arange(len(levels)) * code.resolution, atol=1e-12)
    assert levels[-1] == pytest.approx(code.highest)


@every_code
def test_a_bias_is_a_value_that_is_always_there(code: Code) -> None:
    biased = code.neurons(VALUES).run(current(code, 0 * VALUES))
    np.testing.assert_array_equal(biased, code.neurons(NOTHING).run(current(code, VALUES)))


@every_code
def test_the_decoder_reads_what_spikes_stand_for(code: Code) -> None:
    neurons = code.neurons(NOTHING)
    spikes = neurons.run(current(code, VALUES))
    decoder = Decoder(NOTHING, 1.0, code.radix)
    scores = decoder.scores(decoder.run(spikes * code.message)[-1], code.steps)
    np.testing.assert_allclose(scores, neurons.value(spikes), atol=1e-12)


@every_code
def test_the_next_layer_sends_on_what_it_receives(code: Code) -> None:
    neurons = code.neurons(NOTHING)
    spikes = neurons.run(current(code, VALUES))
    received = neurons.received(spikes * code.message)
    np.testing.assert_allclose(received, neurons.value(spikes), atol=1e-12)
    np.testing.assert_array_equal(neurons.value(neurons.run(spikes * code.message)), neurons.value(spikes))


@pytest.mark.parametrize("name", sorted(CODES.keys() - {"rate"}))
def test_differences_of_two_layers_come_as_close(name: str) -> None:
    """Whichever comes first, all but neurons that fire too early and take nothing back wait for the other."""
    code = CODES[name]
    neurons = code.neurons(NOTHING)
    first, second = (neurons.run(current(code, x.ravel())) for x in np.meshgrid(VALUES[::25], VALUES[::40]))
    spikes = neurons.run(code.message * (first - 1.0 * second))
    expected = (neurons.value(first) - neurons.value(second)).clip(0, code.highest)
    np.testing.assert_allclose(neurons.value(spikes), expected, rtol=0, atol=code.resolution + 1e-12)


def test_reset_to_zero_starts_at_zero() -> None:
    """What is left of a membrane is lost there, so that a start at half would only add spikes."""
    assert RateCode(8).neurons(NOTHING).v_init == 0.5
    zero = RateCode(8, "zero").neurons(NOTHING)
    assert zero.v_init == 0
    spikes = zero.run(current(RateCode(8), VALUES))
    assert np.all(zero.value(spikes)[0] <= VALUES.clip(0, 1))


def test_codes_of_the_same_parameters_are_equal() -> None:
    assert RateCode(12) == CODES["rate"] != CODES["signed"]
    assert replace(GradedCode(4), bits=8) == CODES["graded 8"]
    assert GradedCode(4).steps == 1
