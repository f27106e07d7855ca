"""The integrate-and-fire simulator in NumPy: the reference for every other backend."""
