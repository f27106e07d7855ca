"""Trains a converted network for a small number of steps."""
