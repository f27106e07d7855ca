"""The resource mapper: which neurocores of a Loihi chip a network takes, and what bounds them."""

from neurocompile.mapping.chips import CHIPS, Chip, ChipName, find
from neurocompile.mapping.footprint import Footprint
from neurocompile.mapping.mapper import Core, Layer, Mapping, map_graph

__all__ = ["CHIPS", "Chip", "ChipName", "Core", "Footprint", "Layer", "Mapping", "find", "map_graph"]
