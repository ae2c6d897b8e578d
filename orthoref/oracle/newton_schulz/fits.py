"""One number of an iteration that is fitted to the scalar map: the norm, or a coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from orthoref._schedules.schedule import Row, Schedule
from orthoref.oracle.newton_schulz.hypotheses import composed

ITERATIONS = 12  # of Gauss and Newton: a coefficient is one number, and near
WIDTH = 64.0  # most that a norm is wrong by


def norm(s: np.ndarray, y: np.ndarray, rows: Sequence[Sequence[float]]) -> float:
    """The c in [1/64, 64] for which f(s/c) is nearest to y, by nested grids: f is no monotone function."""
    table = np.asarray(rows, float)[None]
    best, width = 1.0, WIDTH
    while width > 1 + 2.0**-50:
        found = best * width ** np.linspace(-1, 1, 201)
        error = np.sum((composed(table, s / found[:, None])[0, -1] - y) ** 2, axis=1)
        best = float(found[np.argmin(np.where(np.isfinite(error), error, np.inf))])
        width **= 1 / 25
    return best


def coefficients(
    s: np.ndarray, y: np.ndarray, rows: Sequence[Sequence[float]], alike: bool
) -> list[tuple[float, int | None, int, float]]:
    """What each coefficient has to be for f(s) = y: distance, row, power and value, the nearest first.

    The row is None where all are ``alike`` and change together. Every coefficient is tried, all of them at once:
    d/dc f = x^(2k+1) in its step, carried on by f'.
    """
    table = np.asarray(rows, float)
    steps, powers = table.shape
    places = [(None, k) for k in range(powers)] if alike else [(j, k) for j in range(steps) for k in range(powers)]
    chosen = np.zeros((len(places), steps, powers))
    for i, (j, k) in enumerate(places):
        chosen[i, slice(None) if j is None else j, k] = 1.0
    change, best = np.zeros(len(places)), np.full(len(places), np.inf)
    kept = change
    for _ in range(ITERATIONS):
        x, dx = np.broadcast_to(s, (len(places), len(s))), np.zeros((len(places), len(s)))
        for step in range(steps):
            c = table[step] + change[:, None] * chosen[:, step]
            t = x * x
            value, slope, by = (np.zeros_like(t) for _ in range(3))
            for k in range(powers - 1, -1, -1):
                slope = slope * t + (2 * k + 1) * c[:, k, None]
                value = value * t + c[:, k, None]
                by = by * t + chosen[:, step, k, None]
            x, dx = x * value, slope * dx + x * by
        error = np.sqrt(np.sum((y - x) ** 2, axis=1))
        better = error < best  # False for NaN
        best, kept = np.where(better, error, best), np.where(better, change, kept)
        change = np.where(np.isfinite(error), change + np.sum(dx * (y - x), axis=1) / np.sum(dx * dx, axis=1), kept)
    found = [(float(best[i]), j, k, float(table[j or 0, k] + kept[i])) for i, (j, k) in enumerate(places)]
    return sorted(found, key=lambda one: one[0])


def changed(schedule: Schedule, steps: int, row: int | None, power: int, value: float) -> Schedule:
    """The steps of a schedule with another coefficient."""
    made = [
        Row(tuple(Fraction(value) if k == power else c for k, c in enumerate(each.numerator)))
        if row in (None, i)
        else each
        for i, each in enumerate(schedule.steps(steps))
    ]
    return replace(schedule, name=f"{schedule.name}, one coefficient changed", rows=tuple(made))
