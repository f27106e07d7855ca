"""The integrate-and-fire simulator in NumPy: the reference for every other backend."""

from neurocompile_numpy.backend import NumpyBackend

__all__ = ["NumpyBackend"]
