"""The iterations by themselves: what they hand to the polishing, and after how many steps."""

import numpy as np
import pytest

from orthoref import polar_condition
from orthoref._polar import newton as newton_
from orthoref._polar import rational, weights
from orthoref.oracle import cases

CONDS = (1.0, 1e2, 1e8, 1e14)
ROUNDING = 10 * 10 * 6 * float(np.finfo("float64").eps)  # at most 10 n eps in each of at most ten steps, n = 6
SPECTRA = ("geometric", "one_small", "arithmetic")


def counted(monkeypatch, module, name):
    calls, function = [], getattr(module, name)
    monkeypatch.setattr(module, name, lambda *arguments: (calls.append(1), function(*arguments))[1])
    return calls


@pytest.mark.parametrize("scaling", ["byers-xu", "one-inf"])
@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_newton_is_near_from_above(monkeypatch, dtype, spectrum, scaling):
    """(zx + 1/(zx))/2 >= 1 for every z: all singular values are at least 1, and at most 1.01; nine steps suffice."""
    for cond in CONDS:
        a = cases.matrix((6, 6), spectrum=spectrum, cond=cond, seed=3, dtype=dtype)
        steps = counted(monkeypatch, newton_, "inverse")
        x = newton_.newton(a, scaling)
        s = np.linalg.svd(x)[1]
        assert s.min() >= 1 - ROUNDING and s.max() <= 1.01, (cond, s)
        assert len(steps) <= 9
        monkeypatch.undo()


def test_steps_of_newton_on_exact_bounds(monkeypatch):
    """diag(1, 1/k) has its bounds for singular values: both are r, then (r + 1/r)/2 = w, then (sqrt w + 1/sqrt w)/2."""
    kappa, seen = 1e12, []
    inverse = newton_.inverse
    monkeypatch.setattr(newton_, "inverse", lambda x: (seen.append(x.diagonal()), inverse(x))[1])
    newton_.newton(np.diag([1.0, 1 / kappa]), "byers-xu")
    value = (kappa**0.5 + kappa**-0.5) / 2
    assert len(seen) == 6
    for x in seen[1:]:
        assert x == pytest.approx(value, rel=1e-12, abs=0)
        value = (value**0.5 + value**-0.5) / 2


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_qdwh_is_near_from_below(monkeypatch, dtype, spectrum):
    """Singular values in [0.99, 1] up to rounding, in six steps."""
    for cond in CONDS:
        a = cases.matrix((6, 6), spectrum=spectrum, cond=cond, seed=3, dtype=dtype)
        steps = counted(monkeypatch, rational, "_times_resolvent")
        s = np.linalg.svd(rational.qdwh(a, None))[1]
        assert s.min() >= rational.TARGET - ROUNDING and s.max() <= 1 + ROUNDING, (cond, s)
        assert len(steps) <= 6
        monkeypatch.undo()


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_zolotarev_is_near_in_two_steps(monkeypatch, dtype, spectrum):
    """Singular values in [0.99, 1] up to rounding, with at most eight resolvents in each of two steps."""
    for cond in CONDS:
        a = cases.matrix((6, 6), spectrum=spectrum, cond=cond, seed=3, dtype=dtype)
        resolvents = counted(monkeypatch, rational, "_times_resolvent")
        s = np.linalg.svd(rational.zolotarev(a, None))[1]
        assert s.min() >= rational.TARGET - ROUNDING and s.max() <= 1 + ROUNDING, (cond, s)
        assert len(resolvents) <= 16
        monkeypatch.undo()


@pytest.mark.parametrize("iteration", [rational.qdwh, rational.zolotarev])
@pytest.mark.parametrize("cond", [1e2, 1e6])
def test_a_lower_bound_of_ones_own(iteration, cond):
    """The bound is of sigma_min/sigma_max, of which the scaling by sqrt(|A|_1 |A|_inf) may take sqrt(n)."""
    a = cases.matrix((6, 6), spectrum="geometric", cond=cond, seed=3)
    s = np.linalg.svd(iteration(a, 1 / cond))[1]
    assert s.min() >= rational.TARGET - ROUNDING and s.max() <= 1 + ROUNDING


@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_condition_of_h_at_zero(dtype):
    """H(0 + E) has the norm of E: the condition number is 1, not 0/0."""
    assert polar_condition(np.zeros((3, 3), dtype), factor="h") == 1


@pytest.mark.parametrize("lower", [0.99, 0.995, 1.0])
def test_order_of_zolotarev_is_at_least_one(lower):
    """Also where nothing is left to do: there is no function of order 0."""
    assert weights.zolotarev_order(lower, rational.TARGET) == 1


@pytest.mark.parametrize("cond", [1.0, 10.0, 1e4])
def test_qdwh_takes_no_step_more_than_its_bound_asks_for(monkeypatch, cond):
    """sqrt(|X|_1 |X|_inf) is at most sqrt(n) |X|_2, for X and for its inverse: the bound is at least 1/(n cond)."""
    lower, most = 1 / (6 * cond), 0
    while lower < rational.TARGET:
        lower, most = weights.halley(lower).lower, most + 1
    steps = counted(monkeypatch, rational, "_times_resolvent")
    rational.qdwh(cases.matrix((6, 6), spectrum="geometric", cond=cond, seed=3), None)
    assert len(steps) <= most < 6
