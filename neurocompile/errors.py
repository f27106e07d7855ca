"""What neurocompile raises: every message names the place, the problem and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Issue:
    """One problem, as it is shown to the user.

    Parameters
    ----------
    problem
        What is wrong, in one line.
    node, op
        The node that it is about and its operator, where there is one.
    remedy
        What the user can do about it.
    """

    problem: str
    node: str | None = None
    op: str | None = None
    remedy: str | None = None

    def __str__(self) -> str:
        place = ""
        if self.node is not None:
            place = f"node '{self.node}'" + (f" ({self.op})" if self.op else "") + ": "
        elif self.op is not None:
            place = f"{self.op}: "
        remedy = f"\n  remedy: {self.remedy}" if self.remedy else ""
        return f"{place}{self.problem}{remedy}"


class NeurocompileError(Exception):
    """The root of every error that a user can cause or mend.

    Parameters
    ----------
    problem
        What is wrong, in one line.
    node, op
        The node that it is about and its operator, where there is one.
    remedy
        What the user can do about it.
    more
        Further problems of the same input, so that all are told at once.
    """

    def __init__(
        self,
        problem: str,
        node: str | None = None,
        op: str | None = None,
        remedy: str | None = None,
        more: Sequence[Issue] = (),
    ) -> None:
        # All fields go to super().__init__, so that the error survives pickling between processes.
        super().__init__(problem, node, op, remedy, tuple(more))
        self.issues: tuple[Issue, ...] = (Issue(problem, node, op, remedy), *more)

    @classmethod
    def of(cls, issues: Sequence[Issue]) -> NeurocompileError:
        """Make one error of several issues; there must be at least one."""
        first, *more = issues
        return cls(first.problem, first.node, first.op, first.remedy, more)

    def __str__(self) -> str:
        return "\n".join(str(issue) for issue in self.issues)


class ModelError(NeurocompileError):
    """The model file can't be read, or holds what can't be converted."""


class DataError(NeurocompileError):
    """Data or options do not fit the model or the task."""


class GraphError(NeurocompileError):
    """A graph breaks a rule of the IR."""


class DeploymentError(NeurocompileError):
    """A deployment file can't be written or read."""


class BackendError(NeurocompileError):
    """A backend can't be had, can't take the graph, or failed while it ran."""


class DependencyError(NeurocompileError, ImportError):
    """A package that only an extra installs is missing."""
