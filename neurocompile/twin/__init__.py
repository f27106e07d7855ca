"""Networks in PyTorch, with neurons that can be trained; they need the extra ``torch``."""

from neurocompile.extras import needing_torch

with needing_torch("neurocompile.twin"):
    from neurocompile.twin.module import Traces, Twin
    from neurocompile.twin.surrogates import Surrogate, SurrogateName
    from neurocompile.twin.trained_graph import trained_graph

__all__ = ["Surrogate", "SurrogateName", "Traces", "Twin", "trained_graph"]
