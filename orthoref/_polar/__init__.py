"""Polar decomposition. ``decomposition`` holds the public functions, the other files one method each."""
