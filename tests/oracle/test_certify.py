"""Enclosures against truth: zero violations. And refusal where nothing can be proved."""

from __future__ import annotations

import sys

import numpy as np
import pytest

flint = pytest.importorskip("flint")

from exact import exact_polar  # noqa: E402
from flint import acb_mat, arb, arb_mat, ctx  # noqa: E402

from orthoref import NotCertified, OutsideDomain, certify, polar  # noqa: E402
from orthoref.oracle import cases  # noqa: E402
from orthoref.oracle.polar import enclosure  # noqa: E402


def truth(a: np.ndarray):
    """U to about 500 bits by the Denman-Beavers iteration for (A^H A)^(1/2): another route than the library's."""
    kind = acb_mat if np.iscomplexobj(a) else arb_mat
    scalar = complex if np.iscomplexobj(a) else float

    def ct(x):
        return x.transpose().conjugate() if kind is acb_mat else x.transpose()

    m, n = a.shape
    if m < n:
        return ct(truth(a.conj().T))
    x = kind(m, n, [scalar(v) for v in a.ravel()])
    y = (ct(x) * x).mid()
    z = kind(n, n, [int(i == j) for i in range(n) for j in range(n)])
    for _ in range(200):
        y, z = ((y + z.inv()) * 0.5).mid(), ((z + y.inv()) * 0.5).mid()
        gap = y * z - kind(n, n, [int(i == j) for i in range(n) for j in range(n)])
        if all(entry.abs_upper() < arb(2) ** -700 for entry in gap.entries()):
            return x * z.mid()
    raise AssertionError("truth did not converge")


SPECTRA = ("geometric", "one_small", "clustered", "graded", "log_uniform")
SLOW = [pytest.param(shape, marks=pytest.mark.exhaustive) for shape in ((2, 2), (3, 3), (4, 2), (2, 5))]


@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32"])
@pytest.mark.parametrize("shape", [(1, 1), *SLOW])
def test_the_exact_factor_is_inside_and_the_bounds_hold(shape, dtype):
    # 3 x 5 x 5 x 30 = 2250 inputs; the truth has an error below 2^-600: its last step squares 2^-700
    violations = 0
    for spectrum in SPECTRA:
        for seed in range(30):
            cond = 10.0 ** (seed % 13)
            a = cases.matrix(shape, spectrum=spectrum, cond=cond, seed=seed, dtype=dtype)
            u, _ = polar(a)
            found = certify.polar(a, u, digits=12 + seed % 20)
            with ctx.workprec(2000):
                exact = truth(a)
                distance = sum(((x - v) * (x - v).conjugate() if np.iscomplexobj(a) else (x - v) ** 2
                                for x, v in zip(exact.entries(), given(u).entries(), strict=True)), arb(0))  # fmt: skip
                distance = (distance.real if np.iscomplexobj(a) else distance).mid().sqrt()
                slack = arb(0, arb(2) ** -600)  # the error of the truth: a radius may be 0 for a 1 x 1 matrix
                inside = all(
                    ball.overlaps(x.mid() + slack) for ball, x in zip(found.u.entries(), exact.entries(), strict=True)
                )
                low, high = found.u_error
                violations += not (
                    inside and arb(low) <= distance + slack.upper() and distance - slack.upper() <= arb(high)
                )
    assert violations == 0


def given(u: np.ndarray):
    m, n = u.shape
    if np.iscomplexobj(u):
        return acb_mat(m, n, [complex(v) for v in u.ravel()])
    return arb_mat(m, n, [float(v) for v in u.ravel()])


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(("m", "n"), [(4, 4), (7, 4), (9, 8)])
@pytest.mark.parametrize("side", ["right", "left"])
def test_factors_known_exactly(m, n, dtype, side):
    a, u, h, *_ = exact_polar(m, n, [2.0**-k for k in range(n)], dtype)
    if side == "left":
        h = u @ h @ u.conj().T  # dyadic: exact
    found = certify.polar(a, u, h, side=side, digits=40)
    assert found.u_error[1] <= 1e-39 and found.h_error[1] <= 1e-38
    assert all(ball.contains(x) for ball, x in zip(found.u.entries(), given(u).entries(), strict=True))
    assert all(ball.contains(x) for ball, x in zip(found.h.entries(), given(h).entries(), strict=True))
    assert 0 < found.sigma_min <= 2.0 ** -(n - 1)


@pytest.mark.parametrize("size", [1e-12, 1e-3, 1.0])
def test_a_wrong_factor_is_given_its_distance(size):
    a, u, h, *_ = exact_polar(4, 4, [1, 0.5, 0.25, 0.125])
    found = certify.polar(a, u + size * np.eye(4), h)
    true = 2 * np.linalg.norm(np.diag((u + size * np.eye(4)) - u)) / 2  # the perturbation as it was rounded
    assert found.u_error == pytest.approx((true, true), rel=1e-12, abs=0)


@pytest.mark.parametrize(
    "a", [np.ones((3, 3)), np.zeros((2, 2)), np.array([[1.0, 2.0], [2.0, 4.0]]), np.array([[0.0]]), np.eye(4, 3, k=1)]
)
def test_rank_deficient_matrices_are_refused(a):
    with pytest.raises(NotCertified, match="could not be enclosed"):
        certify.polar(a, max_bits=600)


def test_too_many_digits_for_the_bits_are_refused():
    with pytest.raises(NotCertified, match="100 digits: so many digits take more than 300 bits"):
        certify.polar(cases.matrix((3, 3)), digits=100, max_bits=300)
    with pytest.raises(NotCertified, match="with 184 bits"):
        certify.polar(cases.matrix((3, 3), cond=1e15), digits=30, max_bits=200)


@pytest.mark.parametrize("cond", [1e14, 1e15])
def test_ill_conditioned_matrices_are_not(cond):
    a = cases.matrix((5, 5), cond=cond, seed=1)
    found = certify.polar(a, polar(a).u)
    assert found.radius <= 1e-15 and found.u_error[1] <= 100 * 5 * 2.0**-52 * cond


def test_the_approximation_is_not_trusted(monkeypatch):
    # a wrong approximate factor must lead to refusal, or to an enclosure that still contains the truth
    a, u, *_ = exact_polar(4, 4, [1, 0.5, 0.5, 0.25])
    for wrong in (np.eye(4), -u, u.T, 2 * u, u @ np.diag([1, 1, 1, -1]), 0 * u):
        monkeypatch.setattr(enclosure, "_approximate", lambda exact, wrong=wrong: given(wrong))
        if np.array_equal(wrong, u):
            continue
        with pytest.raises(NotCertified):
            certify.polar(a, digits=1, max_bits=200)
    slightly = u + 1e-6 * np.arange(16).reshape(4, 4)
    monkeypatch.setattr(enclosure, "_approximate", lambda exact: given(slightly))
    found = certify.polar(a, digits=1)
    assert all(ball.contains(x) for ball, x in zip(found.u.entries(), given(u).entries(), strict=True))
    assert found.radius >= np.linalg.norm(slightly - u)


def test_the_precision_of_the_context_is_restored():
    for prec in (53, 77):
        with ctx.workprec(prec):
            certify.polar(np.eye(2))
            assert ctx.prec == prec
            with pytest.raises(NotCertified):
                certify.polar(np.zeros((2, 2)), max_bits=300)
            assert ctx.prec == prec
            certify.orthonormal(np.eye(2))
            assert ctx.prec == prec


@pytest.mark.parametrize(
    "name", ["subnormal", "near_overflow", "hilbert", "kahan", "minus_identity", "clustered", "graded"]
)
def test_the_gallery(name):
    a = cases.gallery(name, 6)
    u, h = polar(a)
    found = certify.polar(a, u, h)
    assert found.u_error[1] <= 1e-15 * 6 * max(1, 1e8)  # kappa of the worst of them is 1.5e7


def test_empty_matrices():
    for shape in ((0, 0), (3, 0), (0, 3)):
        found = certify.polar(np.zeros(shape))
        assert found.radius == 0 and (found.u.nrows(), found.u.ncols()) == shape


def test_bounds_of_orthonormality():
    low, high = certify.orthonormal(np.diag([1.0, 2.0]))
    assert low <= 3 <= high and high - low <= 1e-14
    assert certify.orthonormal(np.eye(3, 5))[1] <= 5e-324
    low, high = certify.orthonormal(np.array([[0.6, -0.8], [0.8, 0.6]]))
    assert 0 < low <= high < 1e-15


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([[np.nan]],), OutsideDomain, "a has nan at entry"),
        ((np.eye(2), np.full((2, 2), np.inf)), OutsideDomain, "u has inf"),
        ((np.zeros((2, 3, 3)),), ValueError, "one matrix, not a stack"),
        ((np.eye(3), np.eye(2)), ValueError, "u has shape"),
        (("eye",), TypeError, "a must be an array"),
    ],
)
def test_bad_arguments(arguments, error, words):
    with pytest.raises(error, match=words):
        certify.polar(*arguments)


def test_bad_options():
    with pytest.raises(ValueError, match="digits=0"):
        certify.polar(np.eye(2), digits=0)
    with pytest.raises(ValueError, match="side='up'"):
        certify.polar(np.eye(2), side="up")


@pytest.mark.parametrize("complex_", [False, True])
def test_the_bounds_are_those_of_the_theorem(monkeypatch, complex_):
    """(C3) to (C5) of A = diag(2, 1) and X = diag(0.9, 0.95): K = X^H A, l = 1/|K^-1|."""
    kind = acb_mat if complex_ else arb_mat
    monkeypatch.setattr(enclosure, "_approximate", lambda exact: kind([[0.9, 0], [0, 0.95]]))
    with ctx.workprec(200):
        _, radius, sigma = enclosure._enclose(kind([[2, 0], [0, 1]]))
    e = np.hypot(1 - 0.9**2, 1 - 0.95**2)
    d = np.hypot(2 - 0.9 * 1.8, 1 - 0.95 * 0.95) + e * np.hypot(1.8, 0.95)
    smallest = 1 / np.hypot(1 / 1.8, 1 / 0.95)
    assert d < smallest
    assert radius == pytest.approx(2 * d / (2 * smallest - d) + e, rel=1e-14, abs=0)
    assert sigma == pytest.approx(smallest - d, rel=1e-13, abs=0)


def test_trials_double_the_bits_until_max_bits():
    a = np.diag([1.0, 1e-60]) @ np.array([[0.6, 0.8], [-0.8, 0.6]])
    assert certify.polar(a).bits == 8 * (64 + 4 * 15)
    assert certify.polar(a, max_bits=992).bits == 992
    with pytest.raises(NotCertified, match="with 496 bits"):
        certify.polar(a, max_bits=991)
    with pytest.raises(NotCertified, match="so many digits take more than 123 bits"):
        certify.polar(np.eye(2), max_bits=123)


def test_balls_are_complex_where_something_is():
    a, u = np.diag([2.0, 1.0]), np.eye(2)
    assert isinstance(certify.polar(a).u, arb_mat) and isinstance(certify.polar(a, u, a).h, arb_mat)
    for arguments in ((a + 0j,), (a, u + 0j), (a, None, a + 0j)):
        assert isinstance(certify.polar(*arguments).u, acb_mat)
    off = certify.polar(a, u + 1j * np.diag([0.5, 0])).u_error
    assert off[0] <= 0.5 <= off[1] <= 0.5001


@pytest.mark.parametrize("shape", [(2, 2), (4, 2), (2, 4)])
@pytest.mark.parametrize("side", ["right", "left"])
def test_errors_of_given_factors(shape, side):
    a = cases.matrix(shape, cond=5, seed=1, dtype="complex128")
    u, h = polar(a, side=side)
    u, h = u.copy(), h.copy()
    u[1, 0] += 3e-3
    h[0, 1] += 4e-3j
    found = certify.polar(a, u, h, side=side)
    for (low, high), by in ((found.u_error, 3e-3), (found.h_error, 4e-3)):
        assert by - 1e-13 <= low <= high <= by + 1e-13


def test_bounds_of_orthonormality_of_complex_and_wide_columns():
    q = np.array([[1.0, 0.5j], [0.0, 1.0], [0.0, 0.0]])
    expected = np.sqrt(2 * 0.5**2 + 0.25**2)
    for x in (q, q.conj().T):
        low, high = certify.orthonormal(x)
        assert low <= expected * (1 + 1e-15) and high >= expected * (1 - 1e-15) and high - low <= 1e-15
    coarse = certify.orthonormal(np.array([[1 / 3]]), bits=20)
    assert coarse[1] - coarse[0] > 1e-8


def test_what_is_no_matrix_of_columns():
    assert certify.orthonormal([[1, 0], [0, 1]])[1] <= 5e-324
    with pytest.raises(OutsideDomain, match="q has nan at entry"):
        certify.orthonormal(np.array([[np.nan]]))
    with pytest.raises(ValueError, match="one matrix, not a stack"):
        certify.orthonormal(np.ones((2, 3, 3)))


@pytest.mark.parametrize("enclose", [certify.polar, certify.orthonormal, certify.newton_schulz])
def test_without_flint_the_extra_is_named(enclose, monkeypatch):
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(ImportError, match="certify"):
        enclose(np.eye(2))
