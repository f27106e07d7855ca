"""Codecs: from values to spikes and back, in NumPy and in PyTorch."""
