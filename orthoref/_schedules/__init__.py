"""Schedules of Newton-Schulz and rational iterations: what they are, published ones, design, certificates."""
