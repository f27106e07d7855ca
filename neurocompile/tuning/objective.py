"""What is minimised."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from neurocompile.losses import LossConfig
from neurocompile.losses.precision import full_precision
from neurocompile.tuning.options import LOSSES, LOSSES_OF_STEPS, TuningOptions
from neurocompile.twin import Traces


class Objective:
    """The composed losses, and what the network lacks of the original one's answers.

    Parameters
    ----------
    options
        The weights.

    Raises
    ------
    DataError
        With every field of the losses that there is not, or that has no such value; or if nothing is left to learn
        from.
    """

    def __init__(self, options: TuningOptions) -> None:
        config = LossConfig.from_dict({**LOSSES, **options.losses})
        alone = options.distillation > 0 and not any(config.weights.values())
        self._composer = None if alone else config.composer()
        self._distillation = options.distillation
        self.reads_membranes = config.w_membrane > 0
        self.reads_steps = any(getattr(config, name) > 0 for name in LOSSES_OF_STEPS)

    def __call__(self, traces: Traces, targets: Tensor, teacher: Tensor | None) -> Tensor:
        """Give the loss, a scalar with a gradient.

        Parameters
        ----------
        traces
            What the network did.
        targets
            The classes ``(B,)``.
        teacher
            The logarithms of the original network's probabilities ``(B, C)``; None where these are not learned
            from.
        """
        loss = (
            traces.scores.new_zeros(())
            if self._composer is None
            else self._composer.loss(traces.activity(targets))
        )
        if teacher is None:
            return loss
        with full_precision(targets.device):
            answer = functional.log_softmax(traces.scores.float(), dim=1)
            # Hinton et al. 2015, at the temperature 1.
            divergence = functional.kl_div(answer, teacher, log_target=True, reduction="batchmean")
        return loss + self._distillation * divergence
