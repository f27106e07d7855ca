"""Lava: runs a network on Lava's simulator of Loihi, in a Python of its own."""
