"""``neurocompile encode``: values as spikes, and what each coding scheme is worth on them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np

from neurocompile.codecs.arrays import admit
from neurocompile.codecs.config import CodingScheme, EncoderConfig
from neurocompile.codecs.encoders import Encoder, make_encoder
from neurocompile.codecs.metrics.benchmark import SCHEMES, benchmark_encoding, metrics_tables
from neurocompile.codecs.metrics.encoding import EncodingMetrics
from neurocompile.codecs.spike_batch import SpikeBatch
from neurocompile.codecs.spike_train import train_of
from neurocompile.console import Debug, Flag, Json, Output, check_output, standard_output
from neurocompile.data import read_array
from neurocompile.errors import DataError, Issue, NeurocompileError
from neurocompile.ir import Array
from neurocompile.ir.archive import write_npz
from neurocompile.report import document

_MOST_STEPS = 1 << 30
"""Of all neurons together: each takes a byte, and several while times are made of them."""

_POPULATIONS = ("population_gaussian", "population_triangular")
_RATES = ("rate_poisson", *_POPULATIONS)
_READ_BY: Mapping[str, Sequence[str]] = {
    "max_firing_rate_hz": _RATES,
    "min_firing_rate_hz": _RATES,
    "rate_includes_refractory": _RATES,
    "refractory_period_ms": (*_RATES, "rate_burst"),
    "population_size": _POPULATIONS,
    "phase_frequency_hz": ("temporal_phase",),
    "jitter_ms": ("rate_poisson", "temporal_ttfs", "temporal_phase", *_POPULATIONS),
}
"""The schemes that an option is for, of those that are not for all."""


def encode_command(
    file: Path,
    /,
    *,
    scheme: CodingScheme | Literal["all"] = "rate_poisson",
    array: str | None = None,
    time_window_ms: float | None = None,
    dt_ms: float | None = None,
    max_firing_rate_hz: float | None = None,
    min_firing_rate_hz: float | None = None,
    refractory_period_ms: float | None = None,
    rate_includes_refractory: bool | None = None,
    population_size: int | None = None,
    phase_frequency_hz: float | None = None,
    jitter_ms: float | None = None,
    normalize_input: bool = True,
    seed: int | None = None,
    dense: Flag = False,
    report: Flag = False,
    output: Output = None,
    json_: Json = False,
    debug: Debug = False,
) -> int:
    """Encode values as spikes, and measure what coding schemes tell of them and cost.

    Parameters
    ----------
    file
        Values, (channels) or (samples, channels): an .npy file, or an .npz file.
    scheme
        How values become spikes; all for the report on every scheme that can be had.
    array
        Which array of an .npz file with several.
    time_window_ms
        The window; 100 if not given.
    dt_ms
        A step of it; 0.1 if not given.
    max_firing_rate_hz
        The rate of the value 1, of a neuron that is ready; 1000 if not given.
    min_firing_rate_hz
        The rate of the value 0; 0 if not given.
    refractory_period_ms
        So long after a spike there is none; 2 if not given.
    rate_includes_refractory
        Whether the rates are those with the refractory period counted in.
    population_size
        Neurons for each value; 10 if not given.
    phase_frequency_hz
        Of the oscillation that phases refer to; 40 if not given.
    jitter_ms
        The standard deviation of noise on spike times, but of bursts and ranks; 0 if not given.
    normalize_input
        Stretch each sample's values to [0, 1]; else they have to be in it.
    seed
        Of all that is drawn; another one each time if not given, which is told in the file and the report.
    dense
        Write zeros and ones for every step instead of times.
    report
        Measure information, accuracy, rate, latency, sparsity, energy and time.
    output
        Write the spikes to this .npz file.
    json_
        Print the report as one JSON object.
    debug
        Show the traceback of an error.
    """
    del debug
    options: dict[str, Any] = {
        "time_window_ms": time_window_ms,
        "dt_ms": dt_ms,
        "max_firing_rate_hz": max_firing_rate_hz,
        "min_firing_rate_hz": min_firing_rate_hz,
        "refractory_period_ms": refractory_period_ms,
        "rate_includes_refractory": rate_includes_refractory,
        "population_size": population_size,
        "phase_frequency_hz": phase_frequency_hz,
        "jitter_ms": jitter_ms,
        "normalize_input": normalize_input,
        "seed": seed,
    }
    given = {name: value for name, value in options.items() if value is not None}
    schemes = SCHEMES if scheme == "all" else (scheme,)
    issues = [*_idle_issues(schemes, given), *_use_issues(scheme, output, dense, report, json_)]
    if _draws(schemes, given):
        # What is measured is what is written, and can be had again.
        given.setdefault("seed", secrets.randbits(32))
    configs: dict[CodingScheme, EncoderConfig] = {}
    refused: dict[CodingScheme, list[Issue]] = {each: [] for each in schemes}
    for each in schemes:
        with _noting(refused[each]):
            configs[each] = _config(each, given)
    with _noting(issues):
        check_output(output, file)
    with _noting(issues):
        x = _values(file, array)
        for each, config in configs.items():
            # The report is measured some samples at a time.
            refused[each] += _size_issues(x.shape[1] if output is None else x.size, config)
    _check(issues, refused)
    batch = None
    if output is not None:
        encoder = make_encoder(configs[schemes[0]])
        batch = encoder(x)
    metrics: dict[CodingScheme, EncodingMetrics] = {}
    for each in schemes if report else ():
        if not refused[each]:
            with _noting(refused[each]):
                metrics[each] = benchmark_encoding(x, each, configs[each])
    _check([], refused)
    config = next(configs[each] for each in schemes if not refused[each])
    if output is not None and batch is not None:
        write_npz(output, _contents(batch, encoder, config, dense))
    with standard_output() as console:
        if json_:
            told = document.encoded(str(file), x.shape, config, metrics)
            told["refused"] = [
                {"scheme": each, "issues": [asdict(issue) for issue in why]}
                for each, why in refused.items()
                if why
            ]
            print(json.dumps(told))
            return 0
        if batch is not None:
            samples, steps, neurons = batch.spikes.shape
            sizes = f"{samples} x {neurons} neurons, {steps} steps of {config.dt_ms:g} ms"
            console.out(f"wrote {output}: {np.count_nonzero(batch.spikes)} spikes, {sizes}", highlight=False)
        if report:
            console.print(*metrics_tables(metrics), sep="")
            for each, why in refused.items():
                for issue in why:
                    console.out(f"{each}: {issue}", highlight=False)
    return 0


def _config(scheme: CodingScheme, given: Mapping[str, Any]) -> EncoderConfig:
    """Make the options of a scheme of those that were given, and see that there is an encoder of them."""
    # Noise that would destroy a scheme's code is for the others.
    jittered = scheme in _READ_BY["jitter_ms"]
    options = {name: value for name, value in given.items() if jittered or name != "jitter_ms"}
    config = EncoderConfig(coding_scheme=scheme, **options)
    make_encoder(config)
    return config


def _check(issues: Sequence[Issue], refused: Mapping[CodingScheme, Sequence[Issue]]) -> None:
    """Raise what is wrong, and why schemes can't be had if none can."""
    if all(refused.values()):
        issues = [*issues, *(issue for why in refused.values() for issue in why)]
    if issues:
        raise DataError.of(list(dict.fromkeys(issues)))


@contextmanager
def _noting(issues: list[Issue]) -> Iterator[None]:
    """Note what an error tells, and go on, so that everything is told at once."""
    try:
        yield
    except NeurocompileError as error:
        issues += error.issues


def _values(file: Path, name: str | None) -> Array:
    """Read ``(samples, channels)``."""
    x: Array = admit(read_array(file, name), str(file))
    if x.ndim not in (1, 2):
        remedy = "give (channels) or (samples, channels): flatten images"
        raise DataError(f"{file} has the shape {list(x.shape)}", remedy=remedy)
    return np.atleast_2d(x)


def _size_issues(values: int, config: EncoderConfig) -> Iterator[Issue]:
    """Tell of more spikes than are encoded at once."""
    neurons = values * (config.population_size if config.coding_scheme in _POPULATIONS else 1)
    if neurons * config.num_steps > _MOST_STEPS:
        problem = f"{neurons} neurons in {config.num_steps} steps are more than are encoded at once"
        yield Issue(problem, remedy="give fewer values, longer steps or a shorter window")


def _contents(batch: SpikeBatch, encoder: Encoder, config: EncoderConfig, dense: bool) -> dict[str, Array]:
    """Name what the file holds, as docs/codecs.md tells."""
    found: dict[str, Any] = {}
    if dense:
        found["spikes"] = batch.spikes
    else:
        train = train_of(batch, encoder.dt_ms)
        for name in ("spike_times", "neuron_ids", "num_spikes"):
            found[name] = getattr(train, name)
    found["duration_ms"] = config.num_steps * config.dt_ms
    found["dt_ms"] = config.dt_ms
    names = {"rank_order": "rank_order", "centers": "tuning_centers", "widths": "tuning_widths"}
    found |= {name: batch.aux[key] for key, name in names.items() if key in batch.aux}
    found["low"], found["high"] = batch.aux["normalization"].low, batch.aux["normalization"].high
    found["config"] = json.dumps(config.to_dict())
    return {name: np.asarray(value) for name, value in found.items()}


def _idle_issues(schemes: Sequence[CodingScheme], given: Mapping[str, Any]) -> Iterator[Issue]:
    """List what was given and would be left out in silence."""
    for name in given:
        readers = _READ_BY.get(name, schemes)
        if not set(readers) & set(schemes):
            remedy = f"leave it out, or choose --scheme {' or '.join(readers)}"
            yield Issue(f"--{name.replace('_', '-')} does nothing here", remedy=remedy)
    if "seed" in given and not _draws(schemes, given):
        jittered = set(_READ_BY["jitter_ms"]) & set(schemes)
        yield Issue(
            "--seed does nothing here", remedy="leave it out" + (", or add --jitter-ms" if jittered else "")
        )


def _draws(schemes: Sequence[CodingScheme], given: Mapping[str, Any]) -> bool:
    """Tell whether spikes depend on a seed."""
    return bool(given.get("jitter_ms") or set(_RATES) & set(schemes))


def _use_issues(scheme: str, output: Path | None, dense: bool, report: bool, as_json: bool) -> Iterator[Issue]:
    if output is None and not report:
        yield Issue("there is nothing to do", remedy="add --report, or --output FILE")
    if output is not None and scheme == "all":
        yield Issue("--output takes the spikes of one scheme", remedy=f"choose one of {', '.join(SCHEMES)}")
    if dense and output is None:
        yield Issue("--dense does nothing here", remedy="leave it out, or add --output FILE")
    if as_json and not report:
        yield Issue("--json does nothing here", remedy="leave it out, or add --report")
