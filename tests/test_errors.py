from __future__ import annotations

import pickle

import pytest

from neurocompile.errors import (
    BackendError,
    DataError,
    DependencyError,
    DeploymentError,
    GraphError,
    Issue,
    ModelError,
    NeurocompileError,
)

KINDS = [NeurocompileError, ModelError, DataError, GraphError, DeploymentError, BackendError, DependencyError]


@pytest.mark.parametrize(
    ("issue", "text"),
    [
        (Issue("is odd"), "is odd"),
        (Issue("is odd", "conv1", "Conv"), "node 'conv1' (Conv): is odd"),
        (Issue("is odd", "conv1"), "node 'conv1': is odd"),
        (Issue("is odd", op="Conv"), "Conv: is odd"),
        (Issue("is odd", "conv1", "Conv", "mend it"), "node 'conv1' (Conv): is odd\n  remedy: mend it"),
    ],
)
def test_issue_names_place_problem_and_remedy(issue: Issue, text: str) -> None:
    assert str(issue) == text


@pytest.mark.parametrize("kind", KINDS)
def test_survives_pickling(kind: type[NeurocompileError]) -> None:
    error = kind("is odd", "conv1", "Conv", "mend it", [Issue("is even", "conv2")])
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # made by this test
    assert type(copy) is kind
    assert copy.issues == error.issues
    assert str(copy) == str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_shows_all_issues(kind: type[NeurocompileError]) -> None:
    issues = [Issue("is odd", "a", remedy="mend it"), Issue("is even", "b"), Issue("is prime")]
    error = kind.of(issues)
    assert type(error) is kind
    assert error.issues == tuple(issues)
    assert str(error) == "node 'a': is odd\n  remedy: mend it\nnode 'b': is even\nis prime"


@pytest.mark.parametrize("kind", KINDS)
def test_one_root_for_all(kind: type[NeurocompileError]) -> None:
    assert issubclass(kind, NeurocompileError)
