"""Losses for training spiking networks, and how they are put together; they need the extra ``torch``."""

from neurocompile.extras import needing_torch

with needing_torch("neurocompile.losses"):
    from neurocompile.losses.activity import Activity
    from neurocompile.losses.composer import LossLog, SNNLossComposer
    from neurocompile.losses.config import LossConfig
    from neurocompile.losses.isi import ISIRegularization
    from neurocompile.losses.membrane import MembraneRegularization
    from neurocompile.losses.probspikes import ProbSpikes
    from neurocompile.losses.rate import RateRegularization
    from neurocompile.losses.temporal import TemporalConsistency
    from neurocompile.losses.term import Diagnostics, LayerTerm, LossTerm

__all__ = [
    "Activity",
    "Diagnostics",
    "ISIRegularization",
    "LayerTerm",
    "LossConfig",
    "LossLog",
    "LossTerm",
    "MembraneRegularization",
    "ProbSpikes",
    "RateRegularization",
    "SNNLossComposer",
    "TemporalConsistency",
]
