"""What a wrong factor does in the singular bases: the quantities by themselves, of matrices whose factors are known."""

from __future__ import annotations

import numpy as np
import pytest

from orthoref import polar
from orthoref.oracle.polar import directions
from orthoref.oracle.polar.directions import Directions, recognised, tall
from orthoref.oracle.precision import PRECISIONS

FLOAT64, BFLOAT16 = PRECISIONS["float64"], PRECISIONS["bfloat16"]


def haar(m, k, seed, complex_=True):
    rng = np.random.RandomState(seed)
    return np.linalg.qr(rng.standard_normal((m, k)) + (1j * rng.standard_normal((m, k)) if complex_ else 0))[0]


def made(s, d=None, shape=None, complex_=True, scale=1.0, precision=FLOAT64, wide=False):
    """A = P diag(s) V^H and U = P diag(d) V^H."""
    m = shape or len(s)
    p, v = haar(m, len(s), 1, complex_), haar(len(s), len(s), 2, complex_)
    a, u = (p * np.array(s) * scale) @ v.conj().T, (p * (np.ones(len(s)) if d is None else np.array(d))) @ v.conj().T
    return Directions(*((x.conj().T if wide else x) for x in (a, u)), precision), p, v


def keys(seen):
    return [key for key, _ in recognised(seen)]


def texts(seen):
    return [text for _, text in recognised(seen)]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("shape", [3, 5])
@pytest.mark.parametrize("scale", [1.0, 2.0**-1040, 2.0**900])
def test_the_factors(shape, wide, scale):
    seen, _, _ = made([4.0, 2.0, 1.0], shape=shape, wide=wide, scale=scale)
    one, _, _ = made([4.0, 2.0, 1.0], shape=shape, wide=wide)
    few = 1e-14 if scale > 1e-300 else 1e-8  # subnormal entries have few bits
    np.testing.assert_allclose(seen.unitary, one.u, rtol=0, atol=few)
    for side in ("right", "left"):
        h = polar(one.a, side=side)[1]
        np.testing.assert_allclose(seen.hermitian(side), scale * h, rtol=0, atol=8 * few * scale)
    np.testing.assert_allclose(seen.relative, [1, 0.5, 0.25], rtol=0, atol=few)
    largest = np.maximum(np.abs(seen.a.real), np.abs(seen.a.imag)).max()
    assert 0.5 <= np.ldexp(largest, -seen.exponent[0, 0]) < 1


def test_a_zero_matrix_has_no_relative_singular_values():
    assert Directions(np.zeros((3, 2)), np.ones((3, 2)), FLOAT64).relative.tolist() == [0, 0]


@pytest.mark.parametrize("wide", [False, True])
def test_the_core_and_the_defect(wide):
    seen, _, v = made([4.0, 2.0, 1.0], [1.0, 0.5, -0.25], 5, wide=wide)
    p, _, w = seen.svd
    phases = np.diagonal(w.conj().T @ v)
    np.testing.assert_allclose(np.abs(phases), 1, rtol=1e-14, atol=0)
    np.testing.assert_allclose(seen.core, np.diag([1, 0.5, -0.25]), rtol=0, atol=1e-14)
    np.testing.assert_allclose(seen.defect, np.diag([0, 0.25 - 1, 0.0625 - 1]), rtol=0, atol=1e-14)
    np.testing.assert_allclose(p @ seen.core @ w.conj().T, tall(seen.u), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("m", "n", "units"), [(3, 3, 8), (12, 12, 12), (4096, 2, 2**0.5 * 100), (2, 4096, 2**0.5 * 100)]
)
def test_the_unit(m, n, units):
    assert Directions(np.eye(m, n), np.eye(m, n), FLOAT64).e == pytest.approx(units * 2.0**-52, rel=1e-14, abs=0)


def test_what_is_determined_and_how_well():
    e = 8 * FLOAT64.eps
    seen, _, _ = made([1.0, 1e-3, 20 * e, 5 * e])
    assert seen.determined.tolist() == [True, True, True, False]
    s = seen.relative[:3]
    np.testing.assert_allclose(seen.tilt, 10 * e / s, rtol=1e-14, atol=0)
    np.testing.assert_allclose(seen.noise, 10 * e + (10 * e / s) ** 2 / 10, rtol=1e-14, atol=0)
    np.testing.assert_allclose(s, [1, 1e-3, 20 * e], rtol=0.2, atol=0)


@pytest.mark.parametrize("wide", [False, True])
def test_values_of_u_in_the_bases_of_a(wide):
    d = [1.0, 0.9, 0.5, -0.2]
    seen, p, v = made([4.0, 3.0, 2.0, 1.0], d, 6, wide=wide)
    np.testing.assert_allclose(seen.values, d, rtol=0, atol=1e-14)
    assert made([4.0, 3.0, 2.0, 1.0])[0].values is None  # the polar factor
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    turned = (p * d) @ turn @ v.conj().T
    assert Directions(seen.a, turned.conj().T if wide else turned, FLOAT64).values is None
    outside = (p * d) @ v.conj().T + 0.2 * haar(6, 6, 1)[:, 4:5] @ v[:, :1].conj().T
    assert Directions(seen.a, outside.conj().T if wide else outside, FLOAT64).values is None


def test_values_of_undetermined_directions_are_not_asked_for():
    seen, _, _ = made([1.0, 0.5, 1e-16], [0.9, 0.8, 0.3])
    np.testing.assert_allclose(seen.values, [0.9, 0.8], rtol=0, atol=1e-13)
    assert Directions(0 * seen.a, seen.u, FLOAT64).values is None


def test_small_errors_off_the_diagonal_are_those_of_a_tilt():
    """Of 1/20 of the error on the diagonal, and no more."""
    seen, p, v = made([3.0, 2.0, 1.0], [1.0, 0.9, 0.8])
    for off, given in ((0.009, True), (0.011, False)):
        core = np.diag([1.0, 0.9, 0.8]).astype(complex)
        core[0, 2] = off
        found = Directions(seen.a, p @ core @ v.conj().T, FLOAT64).values
        assert (found is not None) == given


S = 2.0 ** -np.arange(9.0)


def named_after(d, s=S, **options):
    return texts(made(list(s), list(d), **options)[0])


def test_shifts():
    squared = named_after(S / np.sqrt(S**2 + 1e-4))
    shift = "a shift: (A^H A + 0.0001 |A|_2^2 I)^(-1/2) for (A^H A)^(-1/2)"
    assert squared == [f"the singular vectors are right; singular values of u from 0.363851 to 0.99995: {shift}"]
    assert keys(made(list(S), list(S / np.sqrt(S**2 + 1e-4)))[0]) == ["a shift"]
    linear = "a shift: (H + 0.02 |A|_2 I)^(-1) for H^(-1)"
    assert linear in named_after(S / (S + 0.02))[0] and linear in named_after(S / (S + 0.02), 4.0 * S)[0]
    assert linear in named_after(S / (S + 0.02), wide=True, shape=12)[0]


STEPS = {
    "X (3 I - X^H X)/2": lambda x: x * (3 - x**2) / 2,
    "(X + X^-H)/2": lambda x: (x + 1 / x) / 2,
    "X (15 I - 10 X^H X + 3 (X^H X)^2)/8": lambda x: x * (15 - 10 * x**2 + 3 * x**4) / 8,
    "X (3 I + X^H X) (I + 3 X^H X)^-1": lambda x: x * (3 + x**2) / (1 + 3 * x**2),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize(("norm", "times"), [("/|A|_2", 1.0), ("/|A|", np.sqrt(np.sum(S**2))), ("", 0.8)])
@pytest.mark.parametrize("steps", [1, 3])
def test_unfinished_iterations(name, norm, times, steps):
    """Of A/|A|_2, A/|A| and A itself, which is 0.8 of the matrix of norm 1."""
    x = S / times if norm else times * S
    for _ in range(steps):
        x = STEPS[name](x)
    (said,) = named_after(x, S if norm else times * S)
    assert keys(made(list(S if norm else times * S), list(x))[0]) == ["not converged"]
    assert f"not converged: {steps} steps of {name} from A{norm}" in said


@pytest.mark.parametrize(("norm", "times"), [("A/|A|_2", 1.0), ("A/|A|", np.sqrt(np.sum(S**2)))])
@pytest.mark.parametrize("terms", [4, 20])
def test_truncated_series(norm, times, terms):
    """(1 - y)^(-1/2) = sum_k (2k - 1)!!/(2k)!! y^k, y = 1 - x^2."""
    x = S / times
    c, total = 1.0, np.zeros_like(x)
    for k in range(terms):
        total += c * x * (1 - x**2) ** k
        c *= (2 * k + 1) / (2 * k + 2)
    assert f"a truncated series: {terms} terms of (I - (I - A^H A))^(-1/2) for {norm}" in named_after(total)[0]


def test_values_that_follow_no_law():
    d = np.where(S < 0.1, 0.7 + 0.1 * np.cos(np.arange(9.0)), 1.0)
    assert (
        "singular values of u fall from 1 to 0.634636 below s/s_1 = 0.062: not converged, or a shift"
        in named_after(d)[0]
    )
    up = np.where(S < 0.1, 1.3 + 0.1 * np.cos(np.arange(9.0)), 1.0)
    assert "rise from 1 to" in named_after(up)[0]
    mixed = np.where(np.arange(9) % 2, 0.7, 1.0)
    assert "singular values of u from 0.7 to 1: not converged, or a shift" in named_after(mixed)[0]
    cut = np.where(S < 0.1, 0.0, 1.0)
    seen = "the singular vectors are right; singular values of u are zero below s/s_1 = 0.062"
    assert named_after(cut) == [f"{seen}: small singular values of a are cut off"]
    assert named_after(np.full(9, 0.9)) == []  # one factor: the lengths of the columns show it
    assert named_after(np.where(S < 0.1, -1.0, 1.0)) == []  # reversed directions


def test_products_of_triangular_factors():
    a = haar(5, 5, 3) @ np.diag([5.0, 4, 3, 2, 1]) @ haar(5, 5, 4)
    q = np.linalg.qr(a)[0]
    assert (
        texts(Directions(a, q, FLOAT64))[0] == "u is the orthonormal factor of a QR factorization, not the polar factor"
    )
    flip = np.eye(5)[::-1]
    found = {
        "QR": q,
        "QL": np.linalg.qr(a @ flip)[0] @ flip,
        "LQ": np.linalg.qr(a.conj().T)[0].conj().T,
        "RQ": (np.linalg.qr(a.conj().T @ flip)[0] @ flip).conj().T,
    }
    for name, u in found.items():
        assert keys(Directions(a, u, FLOAT64))[0] == name
        article = "an" if name[0] in "LR" else "a"
        assert f"of {article} {name} factorization" in texts(Directions(a, u, FLOAT64))[0]
    long = a[:, :3]
    assert keys(Directions(long, np.linalg.qr(long)[0], FLOAT64))[0] == "QR"
    assert keys(Directions(long.conj().T, np.linalg.qr(long)[0].conj().T, FLOAT64))[0] == "LQ"
    assert keys(Directions(np.eye(5), np.eye(5), FLOAT64)) == []  # diagonal: its own polar factor
    assert keys(Directions(np.array([[2.0]]), np.array([[-1.0]]), FLOAT64)) == []


def test_a_multiple_of_a():
    a = made([4.0, 2.0, 1.0])[0].a
    assert keys(Directions(a, 0.3 * a, FLOAT64))[0] == "u is a" and keys(Directions(a, -1j * a, FLOAT64))[0] == "u is a"
    assert keys(Directions(2.0**-1060 * a, 0.25 * a, FLOAT64))[0] == "u is a"
    assert "u is a" not in keys(Directions(a, a + 0.1 * haar(3, 3, 7), FLOAT64))
    alike = made([1.0, 0.95, 0.91])[0].a  # nearly orthonormal: a factor nearly right
    assert "u is a" not in keys(Directions(alike, alike, FLOAT64))


def test_a_real_part():
    seen, _, _ = made([4.0, 2.0, 1.0])
    assert keys(Directions(seen.a, seen.u.real + 0j, FLOAT64)) == ["real part"]
    assert "real part" not in keys(Directions(seen.a, seen.u.real * 1.1 + 0j, FLOAT64))
    assert "real part" not in keys(Directions(seen.a, seen.u.real + 1e-5j * np.eye(3), FLOAT64))


def test_products_of_singular_vectors():
    for complex_, m in ((True, 3), (False, 3), (True, 5)):
        seen, _, _ = made([4.0, 2.0, 1.0], shape=m, complex_=complex_)
        p, _, v = seen.svd
        for product in (p @ v, p @ v.conj()):
            assert keys(Directions(seen.a, product, FLOAT64)) == ["u @ vh.T"], (complex_, m)
        assert keys(Directions(seen.a, p @ v.conj().T, FLOAT64)) == []
    repeated, _, _ = made([2.0, 2.0, 1.0])  # whose singular vectors are not determined
    p, _, v = repeated.svd
    assert "u @ vh.T" not in keys(Directions(repeated.a, p @ v, FLOAT64))


@pytest.mark.parametrize(("m", "wide"), [(4, False), (6, False), (6, True)])
def test_a_lost_conjugate(m, wide):
    a = haar(m, 4, 5) @ np.diag([4.0, 3, 2, 1]) @ haar(4, 4, 6)
    w, v = np.linalg.eig(a.T @ a)
    root = v @ np.diag(w**-0.5) @ np.linalg.inv(v)  # U^T U = I
    u = a @ root
    w, v = np.linalg.eigh(a.T @ a)
    for made_ in (u, a @ (v / np.sqrt(np.abs(w))) @ v.conj().T):
        seen = Directions(a.conj().T, made_.conj().T, FLOAT64) if wide else Directions(a, made_, FLOAT64)
        assert "lost conjugate" in keys(seen)


@pytest.mark.parametrize(("power", "key"), [(1, "error grows like cond"), (2, "error grows like cond^2")])
def test_errors_that_grow_with_the_condition(power, key):
    """The worst is that of the smallest singular value, and all are 20 units over min(s_i, s_j) or s_i s_j."""
    e, s = 8 * FLOAT64.eps, 10.0 ** -np.arange(6.0)
    p, v = haar(6, 6, 1), haar(6, 6, 2)
    weight = np.minimum.outer(s, s) if power == 1 else np.outer(s, s)
    core = np.eye(6) + 20 * e / weight * np.where(np.eye(6) == 1, 1, np.random.RandomState(0).choice([-1, 1], (6, 6)))
    seen = Directions((p * s) @ v.conj().T, p @ core @ v.conj().T, FLOAT64)
    found = dict(recognised(seen))
    assert key in found and "s/s_1 = 1e-05, none where it is 1): " in found[key]
    assert found[key].endswith("forms A^H A" if power == 2 else "divides by H, or multiplies by its inverse")
    assert sum("grows" in each for each in found) == 1


def test_an_error_that_is_everywhere_does_not_grow():
    seen, p, v = made(10.0 ** -np.arange(6.0))
    core = np.eye(6) + 1e-8 * np.random.RandomState(0).standard_normal((6, 6))
    assert not any("grows" in key for key in keys(Directions(seen.a, p @ core @ v.conj().T, FLOAT64)))


def test_the_iterations_are_those_that_are_named():
    assert directions._ITERATIONS.keys() == STEPS.keys()
    x = np.array([0.3, 0.9, 1.2])
    for name, step in STEPS.items():
        np.testing.assert_allclose(directions._ITERATIONS[name](x), step(x), rtol=1e-15, atol=0)
