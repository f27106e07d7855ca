"""From graph to graph: one file a pass, in the order that ``pipeline`` and ``compiler`` give."""
