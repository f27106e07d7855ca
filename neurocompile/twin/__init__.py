"""Networks in PyTorch, with neurons that can be trained; they need the extra ``torch``."""

from neurocompile.extras import needing_torch

with needing_torch("neurocompile.twin"):
    from neurocompile.twin.surrogates import Surrogate, SurrogateName

__all__ = ["Surrogate", "SurrogateName"]
