"""Matrices of Arb balls (python-flint, extra ``certify``): exact input, norms with a direction, distances.

The context precision of python-flint is global; whoever computes restores it on every way out, but the calls are not
thread safe.
"""

from __future__ import annotations

from itertools import chain
from math import inf, nextafter
from typing import Any

import numpy as np

from orthoref.errors import OutsideDomain
from orthoref.oracle.lift import lift

Balls = Any  # flint.arb_mat or flint.acb_mat


def one_finite(name: str, x: Any) -> np.ndarray:
    """One finite matrix, lifted."""
    value = lift(name, x).value
    if value.ndim != 2:
        raise ValueError(f"{name} must be one matrix, not a stack of shape {value.shape}: certify them one by one")
    if not np.isfinite(value).all():
        index = tuple(int(i[0]) for i in np.nonzero(~np.isfinite(value)))
        raise OutsideDomain(f"{name} has {value[index]} at entry {index}")
    return value


def exact_balls(x: np.ndarray, complex_: bool) -> Balls:
    """The matrix itself: every finite binary64 number is an exact ball."""
    from flint import acb_mat, arb_mat

    m, n = x.shape
    kind, scalar = (acb_mat, complex) if complex_ else (arb_mat, float)
    return kind(m, n, [scalar(value) for value in x.ravel()])


def ct(x: Balls) -> Balls:
    """Conjugate transpose."""
    return x.transpose().conjugate() if hasattr(x, "conjugate") else x.transpose()


def eye_like(x: Balls) -> Balls:
    """Identity of the order of the columns."""
    n = x.ncols()
    return type(x)(n, n, [int(i == j) for i in range(n) for j in range(n)])


def blocks(rows: list[list[Balls]]) -> Balls:
    """A matrix of blocks."""
    lines = [chain(*line) for row in rows for line in zip(*(block.tolist() for block in row), strict=True)]
    return type(rows[0][0])([[*line] for line in lines])


def midpoints(x: Balls) -> np.ndarray:
    """Midpoints, rounded to binary64."""
    scalar = complex if hasattr(x, "conjugate") else float
    return np.reshape([scalar(entry.mid()) for entry in x.entries()], (x.nrows(), x.ncols()))


def widen(x: Balls, radius: float) -> Balls:
    """Every entry enlarged by the radius: |X_ij - U_ij| <= |X - U|."""
    from flint import acb, arb

    ball = arb(0, radius)
    if hasattr(x, "conjugate"):
        ball = acb(ball, ball)
    return type(x)(x.nrows(), x.ncols(), [entry + ball for entry in x.entries()])


def upper_norm(x: Balls) -> Any:
    """Exact upper bound of the Frobenius norm, from ``abs_upper``: the square of a ball around 0 may be negative."""
    from flint import arb

    return sum((entry.abs_upper() ** 2 for entry in x.entries()), arb(0)).sqrt().upper()


def lower_norm(x: Balls) -> Any:
    """Lower bound of the Frobenius norm."""
    from flint import arb

    return sum((entry.abs_lower() ** 2 for entry in x.entries()), arb(0)).sqrt().lower()


def distance(given: Balls, exact: Balls) -> tuple[float, float]:
    """Bounds of |given - exact| over all matrices in the balls."""
    return down(lower_norm(given - exact)), up(upper_norm(given - exact))


def up(x: Any) -> float:
    """A binary64 number above: conversion rounds to nearest, one step outwards makes up for it."""
    return nextafter(float(x.upper()), inf)


def down(x: Any) -> float:
    """A binary64 number below, at least 0."""
    return max(0.0, nextafter(float(x.lower()), -inf))
