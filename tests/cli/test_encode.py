from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neurocompile.codecs.config import EncoderConfig
from neurocompile.codecs.decoders.spike_decoder import SpikeDecoder
from neurocompile.codecs.encoders import make_encoder
from neurocompile.codecs.metrics.benchmark import METHODS, SCHEMES, benchmark_encoding
from neurocompile.codecs.metrics.reconstruction import r2
from neurocompile.codecs.normalization import NormalizationStats
from neurocompile.codecs.spike_train import PopulationCode, SpikeTrain, TemporalCode, train_of
from neurocompile.commands import encode

X = np.random.default_rng(0).uniform(0, 1, (4, 6))
TIMES = {"encode_wall_time_ms", "decode_wall_time_ms"}


@pytest.fixture
def values(folder: Path) -> Path:
    """The folder, with the files of values that are encoded."""
    np.save(folder / "values.npy", X)
    np.save(folder / "flat.npy", X[0])
    np.savez(folder / "one.npz", x=X)
    np.savez(folder / "two.npz", x=X, y=-X)
    return folder


def read_train(path: Path) -> tuple[SpikeTrain, EncoderConfig, dict[str, np.ndarray]]:
    with np.load(path) as file:
        found = dict(file)
    train = SpikeTrain(
        found["spike_times"],
        found["neuron_ids"],
        float(found["duration_ms"]),
        float(found["dt_ms"]),
        found["num_spikes"],
    )
    return train, EncoderConfig.from_dict(json.loads(str(found["config"]))), found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_written_spikes_are_the_encoders_and_can_be_decoded(
    cli: Callable[..., Any], values: Path, scheme: Any
) -> None:
    options = ("--scheme", scheme, "--time-window-ms", "400", "--dt-ms", "0.5", "--no-normalize-input")
    seed = () if scheme in ("rate_burst", *(s for s in SCHEMES if s.startswith("temporal"))) else ("--seed", "3")
    outcome = cli("encode", "values.npy", *options, *seed, "-o", "spikes.npz")
    assert (outcome.status, outcome.err) == (0, "")
    train, config, found = read_train(values / "spikes.npz")
    assert config == EncoderConfig(scheme, 400.0, 0.5, normalize_input=False, seed=3 if seed else None)
    batch = make_encoder(config)(X)
    neurons = batch.spikes.shape[2]
    np.testing.assert_array_equal(train.dense().reshape(4, neurons, 800), batch.spikes.transpose(0, 2, 1))
    np.testing.assert_array_equal(train.neuron_ids, np.tile(np.arange(neurons), 4))
    words = f"wrote spikes.npz: {batch.spikes.sum()} spikes, 4 x {neurons} neurons, 800 steps of 0.5 ms\n"
    assert outcome.out == words
    code: Any = train
    if scheme == "temporal_rank_order":
        code = TemporalCode(train, "rank_order", rank_order=found["rank_order"])
        np.testing.assert_array_equal(found["rank_order"], np.argsort(-X, axis=1))
    if scheme.startswith("population"):
        size = config.population_size
        rows = np.split(train.dense(), 4 * 6)
        trains = tuple(SpikeTrain.from_dense(row, 0.5) for row in rows)
        code = PopulationCode(trains, found["tuning_centers"], found["tuning_widths"], (0, 1), size, num_samples=4)
    decoded = SpikeDecoder(config).decode(code, METHODS[scheme]).values
    assert r2(X, decoded) > 0.9 or scheme == "temporal_rank_order"


def test_dense_spikes_are_written_step_by_step(cli: Callable[..., Any], values: Path) -> None:
    assert cli("encode", "values.npy", "--scheme", "temporal_ttfs", "--dense", "-o", "dense.npz").status == 0
    with np.load(values / "dense.npz") as file:
        assert set(file) == {"spikes", "duration_ms", "dt_ms", "low", "high", "config"}
        expected = make_encoder(EncoderConfig("temporal_ttfs"))(X).spikes
        np.testing.assert_array_equal(file["spikes"], expected)
        assert (float(file["duration_ms"]), float(file["dt_ms"])) == (100, 0.1)


@pytest.mark.usefixtures("values")
def test_a_seed_writes_the_same_bytes(cli: Callable[..., Any], folder: Path) -> None:
    for name in ("a.npz", "b.npz"):
        assert cli("encode", "values.npy", "--seed", "1", "-o", name).status == 0
    assert (folder / "a.npz").read_bytes() == (folder / "b.npz").read_bytes()


@pytest.mark.usefixtures("values")
def test_which_array_is_read(cli: Callable[..., Any], folder: Path) -> None:
    options = ("--scheme", "temporal_ttfs", "-o", "spikes.npz")
    times = []
    for arguments in (("values.npy",), ("one.npz",), ("two.npz", "--array", "x"), ("two.npz", "--array", "y")):
        assert cli("encode", *arguments, *options).status == 0
        times.append(read_train(folder / "spikes.npz")[0].spike_times)
    np.testing.assert_array_equal(times[0], times[1])
    np.testing.assert_array_equal(times[0], times[2])
    assert not np.array_equal(times[0], times[3])
    assert "1 x 6 neurons" in cli("encode", "flat.npy", *options).out


@pytest.mark.usefixtures("values")
def test_the_report_has_every_scheme(cli: Callable[..., Any]) -> None:
    outcome = cli("encode", "values.npy", "--scheme", "all", "--dt-ms", "0.5", "--report")
    assert (outcome.status, outcome.err) == (0, "")
    for word in (*SCHEMES, "bits/s", "accuracy", "sparsity", "energy"):
        assert word in outcome.out


@pytest.mark.usefixtures("values")
def test_the_json_report_is_the_benchmark(cli: Callable[..., Any], folder: Path) -> None:
    options = ("--population-size", "12", "--time-window-ms", "50", "--seed", "5")
    outcome = cli("encode", "values.npy", "--scheme", "all", "--report", "--json", *options)
    assert (outcome.status, outcome.err) == (0, "")
    report = json.loads(outcome.out)
    assert (report["report"], report["file"], report["samples"], report["channels"]) == (
        "encode",
        "values.npy",
        4,
        6,
    )
    config = EncoderConfig(population_size=12, time_window_ms=50.0, seed=5)
    assert report["options"] == {k: v for k, v in config.to_dict().items() if k != "coding_scheme"}
    assert [each["scheme"] for each in report["schemes"]] == list(SCHEMES)
    for each in report["schemes"]:
        expected = vars(benchmark_encoding(X, each.pop("scheme"), config))
        assert {k: v for k, v in each.items() if k not in TIMES} == {
            k: v for k, v in expected.items() if k not in TIMES
        }
    one = cli("encode", "values.npy", "--scheme", "rate_burst", "--report", "--json", "-o", "spikes.npz")
    assert [each["scheme"] for each in json.loads(one.out)["schemes"]] == ["rate_burst"]
    assert (folder / "spikes.npz").exists()


def test_schemes_that_can_not_be_had_are_told_and_the_others_measured(
    cli: Callable[..., Any], folder: Path
) -> None:
    np.save(folder / "wide.npy", np.random.default_rng(1).uniform(0, 1, (2, 300)))
    arguments = ("encode", "wide.npy", "--scheme", "all", "--time-window-ms", "20", "--report")
    outcome = cli(*arguments)
    assert outcome.status == 0
    assert "temporal_phase: PhaseCodingEncoder: a cycle has 250 steps, and the window 200" in outcome.out
    assert (
        "temporal_rank_order: RankOrderEncoder: 300 channels, 1 steps apart, do not fit 200 steps" in outcome.out
    )
    assert "remedy: a window of at least 300 steps" in outcome.out
    report = json.loads(cli(*arguments, "--json").out)
    assert [each["scheme"] for each in report["refused"]] == ["temporal_rank_order", "temporal_phase"]
    assert report["refused"][0]["issues"][0]["problem"] == "300 channels, 1 steps apart, do not fit 200 steps"
    measured = [each["scheme"] for each in report["schemes"]]
    assert measured == [scheme for scheme in SCHEMES if scheme not in ("temporal_rank_order", "temporal_phase")]


@pytest.mark.usefixtures("values")
def test_jitter_is_for_the_schemes_that_take_it(cli: Callable[..., Any]) -> None:
    options = ("--dt-ms", "0.5", "--report", "--json")
    still, moved = (
        {
            each["scheme"]: each
            for each in json.loads(cli("encode", "values.npy", "--scheme", "all", *more).out)["schemes"]
        }
        for more in (options, (*options, "--jitter-ms", "5", "--seed", "1"))
    )
    assert list(moved) == list(SCHEMES)
    for scheme in ("rate_burst", "temporal_rank_order"):
        assert moved[scheme]["reconstruction_accuracy"] == still[scheme]["reconstruction_accuracy"]
    assert moved["temporal_ttfs"]["reconstruction_accuracy"] < still["temporal_ttfs"]["reconstruction_accuracy"]


def test_a_seed_that_was_drawn_is_told(cli: Callable[..., Any], values: Path) -> None:
    configs = []
    for _ in range(2):
        outcome = cli("encode", "values.npy", "--report", "--json", "-o", "spikes.npz")
        train, config, _ = read_train(values / "spikes.npz")
        report = json.loads(outcome.out)
        assert report["options"]["seed"] == config.seed
        assert report["refused"] == []
        np.testing.assert_array_equal(train.dense(), train_of(make_encoder(config)(X), 0.1).dense())
        rate = 1000 * train.num_spikes.sum() / (X.size * 100)
        assert report["schemes"][0]["mean_firing_rate_hz"] == pytest.approx(rate)
        configs.append(config)
    assert configs[0] != configs[1]


def test_values_come_back_in_their_own_unit(cli: Callable[..., Any], folder: Path) -> None:
    x = np.random.default_rng(2).uniform(-40, 90, (3, 8))
    np.save(folder / "values.npy", x)
    assert cli("encode", "values.npy", "--scheme", "temporal_ttfs", "-o", "spikes.npz").status == 0
    train, config, found = read_train(folder / "spikes.npz")
    shares = SpikeDecoder(config).decode(train, "time_to_first_spike").values
    values = NormalizationStats("minmax", found["low"], found["high"]).restore(shares)
    np.testing.assert_allclose(values, x, atol=0.1)


def test_help_of_encode(cli: Callable[..., Any]) -> None:
    outcome = cli("encode", "--help")
    assert (outcome.status, outcome.err) == (0, "")
    for word in ("FILE", "--scheme", "--array", "--no-normalize-input", "--dense", "--report", "-o", "--json"):
        assert word in outcome.out


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (np.array([0.5, np.nan, np.inf]), "bad.npy holds NaN or infinities, in 2 places"),
        (np.zeros((0, 3)), "bad.npy is empty: it has the shape [0, 3]"),
        (np.zeros((2, 3, 4)), "bad.npy has the shape [2, 3, 4]\n  remedy: give (channels) or (samples, channels)"),
        (np.array(0.5), "bad.npy has the shape []"),
        (np.array(["a", "b"]), "bad.npy has the type <U1"),
        (np.array([1j]), "bad.npy has the type complex128"),
        (np.array([{}], dtype=object), "(it is another kind of file, or holds Python objects)"),
    ],
)
def test_values_that_cannot_be_encoded(refused: Callable[..., str], values: Path, data: Any, problem: str) -> None:
    np.save(values / "bad.npy", data, allow_pickle=True)
    assert problem in refused("encode", "bad.npy", "--report", "-o", "spikes.npz")


@pytest.mark.usefixtures("values")
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("none.npy", "--report"), "can't read none.npy: No such file or directory"),
        (("small.onnx", "--report"), "small.onnx is no valid .npy or .npz file"),
        (("two.npz", "--report"), "two.npz holds several arrays\n  remedy: name one of x, y"),
        (("two.npz", "--array", "z", "--report"), "two.npz holds no array z\n  remedy: name one of x, y"),
        (("values.npy", "--array", "x", "--report"), "values.npy holds one array without a name"),
        (("empty.npz", "--report"), "empty.npz holds no arrays"),
        (("values.npy",), "there is nothing to do\n  remedy: add --report, or --output FILE"),
        (("values.npy", "--report", "--time-window-ms", "0.05"), "is shorter than a step of 0.1 ms"),
        (("values.npy", "--report", "--dt-ms", "0"), "dt_ms=0.0 is no number above 0"),
        (("values.npy", "--report", "--max-firing-rate-hz", "nan"), "max_firing_rate_hz=nan is no number"),
        (("values.npy", "--report", "--max-firing-rate-hz", "20000"), "20000.0 can't be had with steps of 0.1 ms"),
        (
            ("values.npy", "--report", "--rate-includes-refractory"),
            "can't be had with steps of 0.1 ms and a refractory period of 2.0 ms\n  remedy: at most 476.19 Hz",
        ),
        (("values.npy", "--report", "--min-firing-rate-hz", "2000"), "is above max_firing_rate_hz=1000.0"),
        (
            ("values.npy", "--report", "--scheme", "population_gaussian", "--population-size", "1"),
            "population_size=1: the distance between centers",
        ),
        (("values.npy", "--report", "--jitter-ms", "-1"), "jitter_ms=-1.0 is no number from 0"),
        (
            ("values.npy", "--report", "--scheme", "rate_burst", "--jitter-ms", "1"),
            "--jitter-ms does nothing here",
        ),
        (
            ("values.npy", "--report", "--scheme", "rate_burst", "--seed", "1"),
            "--seed does nothing here\n  remedy: leave it out",
        ),
        (("values.npy", "--report", "--refractory-period-ms", "1e30"), "has more than 2147483648 steps of 0.1 ms"),
        (("values.npy", "--report", "--refractory-period-ms", "1e17"), "has more than 2147483648 steps of 0.1 ms"),
        (("values.npy", "--report", "--jitter-ms", "1e30"), "has more than 2147483648 steps of 0.1 ms"),
        (
            ("two.npz", "--array", "y", "--no-normalize-input", "--report", "--scheme", "all"),
            "are not all in [0, 1]",
        ),
        (("two.npz", "--array", "y", "--no-normalize-input", "--report"), "are not all in [0, 1]"),
        (("values.npy", "--report", "--scheme", "morse"), "Invalid value"),
        (("values.npy", "--report", "--dt-ms", "fast"), "--dt-ms takes a number, not 'fast'"),
        (("values.npy", "--report", "--population-size", "4"), "--population-size does nothing here"),
        (("values.npy", "--report", "--scheme", "temporal_ttfs", "--seed", "1"), "--seed does nothing here"),
        (("values.npy", "--report", "--dense"), "--dense does nothing here"),
        (("values.npy", "--json", "-o", "spikes.npz"), "--json does nothing here"),
        (("values.npy", "--scheme", "all", "-o", "spikes.npz"), "--output takes the spikes of one scheme"),
        (("values.npy", "-o", "none/spikes.npz"), "can't write none/spikes.npz: there is no folder none"),
        (("values.npy", "-o", "values.npy"), "would replace a file that this command reads"),
        (
            ("values.npy", "-o", "s.npz", "--scheme", "temporal_rank_order", "--time-window-ms", "0.5"),
            "6 channels",
        ),
    ],
)
def test_what_is_refused(refused: Callable[..., str], folder: Path, arguments: Any, problem: str) -> None:
    np.savez(folder / "empty.npz")
    assert problem in refused("encode", *arguments)


@pytest.mark.usefixtures("values")
def test_everything_is_told_at_once(refused: Callable[..., str]) -> None:
    options = ("--dt-ms", "-1", "--jitter-ms", "nan", "--population-size", "4", "--dense", "--json")
    message = refused("encode", "two.npz", *options)
    for problem in (
        "there is nothing to do",
        "dt_ms=-1.0 is no number above 0",
        "jitter_ms=nan is no number from 0",
        "--population-size does nothing here",
        "--dense does nothing here",
        "--json does nothing here",
        "two.npz holds several arrays",
    ):
        assert message.count(problem) == 1
    assert message.count("remedy: ") == 7


@pytest.mark.usefixtures("values")
def test_spikes_that_would_be_too_many(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "_MOST_STEPS", 100_000)
    message = refused("encode", "values.npy", "--scheme", "population_triangular", "-o", "spikes.npz")
    assert "240 neurons in 1000 steps are more than are encoded at once" in message
    monkeypatch.setattr(encode, "_MOST_STEPS", 5_000)
    message = refused("encode", "values.npy", "--scheme", "all", "--population-size", "20", "--report")
    assert message == (
        "error: 6 neurons in 1000 steps are more than are encoded at once\n"
        "  remedy: give fewer values, longer steps or a shorter window\n"
        "120 neurons in 1000 steps are more than are encoded at once\n"
        "  remedy: give fewer values, longer steps or a shorter window"
    )
