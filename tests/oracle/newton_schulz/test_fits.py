"""One number fitted to the scalar map: every power and row, near and far, and what does not converge."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from orthoref._schedules import presets
from orthoref.oracle.newton_schulz import fits

S = np.geomspace(1, 1e-2, 9)
JORDAN = presets.get("jordan")
ROWS = [tuple(float(c) for c in row.numerator) for row in JORDAN.steps(5)]


def f(s, rows):
    for row in rows:
        s = sum(c * s ** (2 * k + 1) for k, c in enumerate(row))
    return s


@pytest.mark.parametrize("c", [1 / 63.5, 0.1, 0.5, 0.999999, 1.0, 1.0000001, 1.02, 2.5, 30.0, 63.5])
def test_a_norm_in_the_whole_range_is_found(c):
    with np.errstate(all="ignore"):  # of norms for which it diverges
        for rows in (ROWS[:1], ROWS[:3], ROWS):
            s = S * min(c, 1)
            assert fits.norm(s, f(s / c, rows), rows) == pytest.approx(c, rel=1e-11, abs=0)


def test_norms_beyond_the_range_are_not():
    """64 times all the grids inside: 64^(1 + 1/25 + 1/25^2 + ...)."""
    with np.errstate(all="ignore"):
        found = fits.norm(S, f(S / 100, ROWS[:1]), ROWS[:1])
    assert found == pytest.approx(64 ** (25 / 24), rel=1e-12, abs=0)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("power", [0, 1, 2])
@pytest.mark.parametrize("times", [1.001, 0.99])
def test_a_coefficient_of_all_rows(steps, power, times):
    rows = ROWS[:steps]
    wrong = [tuple(c * times if k == power else c for k, c in enumerate(row)) for row in rows]
    with np.errstate(all="ignore"):
        found = fits.coefficients(S, f(S, wrong), rows, alike=True)
    assert len(found) == 3 and [each[0] for each in found] == sorted(each[0] for each in found)
    distance, row, at, value = found[0]
    assert (row, at) == (None, power) and distance <= 1e-11
    assert value == pytest.approx(times * rows[0][power], rel=1e-10, abs=0)
    assert found[1][0] > 1e-6


@pytest.mark.parametrize("row", [0, 2, 4])
@pytest.mark.parametrize("power", [0, 1, 2])
def test_a_coefficient_of_one_row(row, power):
    rows = [tuple(float(c) for c in each.numerator) for each in presets.get("polar-express").steps(5)]
    wrong = [
        tuple(c * 1.0001 if (j, k) == (row, power) else c for k, c in enumerate(each)) for j, each in enumerate(rows)
    ]
    with np.errstate(all="ignore"):
        found = fits.coefficients(S, f(S, wrong), rows, alike=False)
    assert len(found) == 15
    distance, at, k, value = found[0]
    assert (at, k) == (row, power) and distance <= 1e-11
    assert value == pytest.approx(1.0001 * rows[row][power], rel=1e-9, abs=0)


def test_the_best_of_the_steps_is_kept():
    """Gauss and Newton from a distance: never farther than where it began."""
    y = np.full_like(S, 40.0)
    with np.errstate(all="ignore"):
        found = fits.coefficients(S, y, ROWS, alike=True)
    start = np.sqrt(np.sum((f(S, ROWS) - y) ** 2))
    assert all(np.isfinite(distance) and distance <= start for distance, *_ in found)
    for distance, _, power, value in found:
        rows = [tuple(value if k == power else c for k, c in enumerate(row)) for row in ROWS]
        assert np.sqrt(np.sum((f(S, rows) - y) ** 2)) == pytest.approx(distance, rel=1e-9, abs=0)


def test_nothing_is_wrong():
    with np.errstate(all="ignore"):
        for distance, row, power, value in fits.coefficients(S, f(S, ROWS), ROWS, alike=True):
            assert distance <= 1e-14 and row is None
            assert value == pytest.approx(ROWS[0][power], rel=1e-12, abs=0)


@pytest.mark.parametrize("row", [None, 0, 2])
@pytest.mark.parametrize("power", [0, 1, 2])
def test_a_schedule_with_another_coefficient(row, power):
    made = fits.changed(JORDAN, 3, row, power, 0.625)
    steps = made.steps(3)
    assert len(made.rows) == 3
    for i, (old, new) in enumerate(zip(JORDAN.steps(3), steps, strict=True)):
        for k, (before, after) in enumerate(zip(old.numerator, new.numerator, strict=True)):
            assert after == (Fraction(5, 8) if row in (None, i) and k == power else before)
        assert new.denominator == old.denominator
