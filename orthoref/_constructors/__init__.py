"""Orthogonal and unitary matrices from parameters, and back."""
