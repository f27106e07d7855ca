"""What a network did with a batch, as the losses read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from neurocompile.errors import DataError, Issue

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True, eq=False)
class Activity:
    """What a network did with a batch of B sequences of T steps.

    The tensors may be of any real type, and of different ones. Gradients flow through those that require them.

    Parameters
    ----------
    spikes
        Of the layers whose activity is regularised, by the layers' names, ``(B, T, *shape)``.
    membranes
        Of the same or other layers, likewise.
    output
        The spikes of the neurons that stand for classes, ``(B, T, C)``; or what they receive at each step, where
        the decoder reads that.
    targets
        The class of each sequence, ``(B,)``, whole numbers from 0 to C - 1.
    mask
        Which steps are valid, bool ``(B, T)``, at least one of each sequence; None stands for all. What the
        tensors hold at other steps is not read, be it NaN.

    Raises
    ------
    DataError
        With every tensor that does not fit.
    """

    spikes: Mapping[str, Tensor] = field(default_factory=dict)
    membranes: Mapping[str, Tensor] = field(default_factory=dict)
    output: Tensor | None = None
    targets: Tensor | None = None
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        issues = list(self._type_issues()) or list(self._issues())
        if issues:
            raise DataError.of(issues)

    @property
    def batch(self) -> tuple[int, int]:
        """B and T."""
        size, steps = next(self._recorded())[1].shape[:2]
        return size, steps

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return next(self._recorded())[1].device

    @property
    def valid(self) -> Tensor:
        """The mask, bool ``(B, T)``."""
        return torch.ones(self.batch, dtype=torch.bool, device=self.device) if self.mask is None else self.mask

    def flat(self, values: Tensor) -> Tensor:
        """Give what was recorded as ``(B, T, N)``, in float32 or float64, with 0 at steps that are not valid.

        Sums of float16 overflow at 65504 and skip spikes from 2048 on, where its numbers are 2 apart; sums of
        bfloat16 do so from 256 on. Neurons are in the order in which they lie in memory, so that those of
        convolutions, with channels last, need no copy.
        """
        exact = values if values.dtype == torch.float64 else values.float()
        axes = sorted(range(2, exact.dim()), key=exact.stride, reverse=True)
        flat = exact.permute(0, 1, *axes).reshape(*self.batch, -1)
        return flat if self.mask is None else flat.masked_fill(~self.mask[..., None], 0)

    def _recorded(self) -> Iterator[tuple[Issue, Tensor]]:
        """List the tensors of values over time, each with an issue that names it."""
        for kind, layers in (("spikes", self.spikes), ("membranes", self.membranes)):
            for name, values in layers.items():
                yield Issue(kind, node=name), values
        if self.output is not None:
            yield Issue("output"), self.output

    def _type_issues(self) -> Iterator[Issue]:
        others = ((Issue("targets"), self.targets), (Issue("mask"), self.mask))
        for place, values in (*self._recorded(), *others):
            if not isinstance(values, Tensor | None):
                problem = f"{place.problem}: a {type(values).__name__} is no tensor"
                yield Issue(problem, place.node, remedy="give what torch.as_tensor makes of it")

    def _issues(self) -> Iterator[Issue]:
        expected: tuple[int, ...] | None = None
        for place, values in self._recorded():
            shape = tuple(values.shape)
            if values.is_complex() or len(shape) < 2 or not values.numel():
                problem = f"{place.problem}: {values.dtype} of the shape {shape}"
                yield Issue(problem, place.node, remedy="give real values (B, T, *shape), none of them 0")
            elif expected is None:
                expected = shape[:2]
            elif shape[:2] != expected:
                problem = f"{place.problem}: (B, T) is {shape[:2]}, and {expected} before"
                yield Issue(problem, place.node, remedy="record all layers of one batch, with the batch first")
        if expected is None:
            yield Issue("no activity was recorded", remedy="give spikes, membranes or the output")
            return
        if self.output is not None and self.output.dim() != 3:
            problem = f"output: the shape is {tuple(self.output.shape)}"
            yield Issue(problem, remedy="give (B, T, C), one neuron a class")
        if self.targets is not None:
            yield from self._target_issues(self.targets, expected[0])
        if self.mask is not None:
            yield from self._mask_issues(self.mask, expected)

    def _target_issues(self, targets: Tensor, size: int) -> Iterator[Issue]:
        if targets.dtype not in _INTEGERS or targets.shape != (size,):
            problem = f"targets: {targets.dtype} of the shape {tuple(targets.shape)}"
            yield Issue(problem, remedy=f"give whole numbers of the shape ({size},)")
            return
        least, most = int(targets.min()), int(targets.max())
        classes = most + 1 if self.output is None else self.output.shape[-1]
        if least < 0 or most >= classes:
            problem = f"targets: from {least} to {most}, and there are {classes} classes"
            yield Issue(problem, remedy=f"give classes from 0 to {classes - 1}")

    def _mask_issues(self, mask: Tensor, batch: tuple[int, ...]) -> Iterator[Issue]:
        if mask.dtype != torch.bool or mask.shape != batch:
            problem = f"mask: {mask.dtype} of the shape {tuple(mask.shape)}"
            yield Issue(problem, remedy=f"give torch.bool of the shape {batch}")
            return
        empty = (~mask.any(dim=1)).nonzero().flatten().tolist()
        if empty:
            problem = f"mask: the sequences {', '.join(map(str, empty))} have no valid step"
            yield Issue(problem, remedy="leave them out of the batch")


def mean_over_time(values: Tensor, valid: Tensor) -> Tensor:
    """Give the mean of ``(B, T, N)`` over valid steps, ``(B, N)``; values are 0 at the others.

    Every sequence has a valid step, as ``Activity`` has checked: nothing is divided by 0.
    """
    return values.sum(dim=1) / valid.sum(dim=1, keepdim=True)
