"""Orthogonal and unitary matrices from parameters: what a port of such a map has to be, and how it can be wrong."""
