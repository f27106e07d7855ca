"""From a file to a graph of layers."""
