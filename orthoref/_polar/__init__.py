"""Polar decomposition. Public functions in ``decomposition`` and ``derivatives``, one file per iteration beside."""
