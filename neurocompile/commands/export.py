"""``neurocompile export``: a compiled network as a folder that runs without the compiler."""

from __future__ import annotations

from pathlib import Path

from neurocompile.backend import Bundler, find
from neurocompile.console import Debug, standard_output
from neurocompile.data import read_images
from neurocompile.errors import BackendError, DataError
from neurocompile.network import load


def export_command(
    deployment: Path, /, *, lava_bundle: Path, input: Path | None = None, debug: Debug = False
) -> int:
    """Write a saved deployment to a folder that runs on another machine, without neurocompile.

    Parameters
    ----------
    deployment
        A file that was written by --output.
    lava_bundle
        The folder to write, new or empty: it runs with Lava's Python alone, as its README.md tells.
    input
        Images to put into it: an .npy file, or an .npz file with x_test. Poisson spikes need them, since they are
        drawn here.
    debug
        Show the traceback of an error.
    """
    del debug
    network = load(deployment)
    x = None if input is None else read_images(input)
    issues = [] if x is None else network.input_issues(x)
    if issues:
        raise DataError.of(issues)
    backend = find("lava")
    if not isinstance(backend, Bundler):
        raise BackendError(
            "the installed target 'lava' writes no bundles", remedy="install the one that comes with neurocompile"
        )
    issues = list(backend.check(network.graph))
    if issues:
        raise BackendError.of(issues)
    backend.bundle(network.graph, network.steps, lava_bundle, x)
    with standard_output() as console:
        console.out(f"wrote {lava_bundle}: see {lava_bundle / 'README.md'}", highlight=False)
    return 0
