"""Rigorous enclosures: the rows have none yet; their truth is found in 120 bits, see truth.py."""
