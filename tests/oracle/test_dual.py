"""Dual numbers against polynomials in d, d^2 = 0, in rational numbers; nested ones against two of them, d and e."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from orthoref.oracle import dual as duals
from orthoref.oracle.dual import Dual, conj, ct, dual, modulus, real, real_inner, reciprocal, root, total
from orthoref.oracle.fixed import Fixed, rounded

DIGITS = 2.0**-110


def draw(shape, seed, complex_=False):
    rng = np.random.default_rng(seed)
    x = rng.integers(-9, 10, shape) / 4
    return x + 1j * rng.integers(-9, 10, shape) / 4 if complex_ else x


def polynomial(count, shape, seed, complex_=False):
    """Coefficients of 1, d (, e, de), and the dual number of them."""
    parts = [draw(shape, seed + k, complex_) for k in range(count)]
    return parts, nested(parts)


def nested(parts):
    if len(parts) == 1:
        return parts[0]
    half = len(parts) // 2
    return Dual(nested(parts[:half]), nested(parts[half:]))


def flat(x, count):
    """Coefficients of a dual number; those of a constant are 0."""
    if count == 1:
        return [x]
    x = dual(x)
    value = flat(x.value, count // 2)
    return value + (flat(x.dot, count // 2) if x.dot is not None else [0 * y for y in value])


def multiplied(x, y, times):
    """The product of polynomials in which every letter has the square 0: bits of the index are letters."""
    return [sum(times(x[i], y[k ^ i]) for i in range(len(x)) if i & k == i) for k in range(len(x))]


def equal(found, true):
    return all(np.array_equal(p, q) for p, q in zip(flat(found, len(true)), true, strict=True))


counts = pytest.mark.parametrize("count", [2, 4, 8])
complex_or_real = pytest.mark.parametrize("complex_", [False, True])


@counts
@complex_or_real
def test_ring(count, complex_):
    """Small multiples of 1/16: float64 makes no error."""
    (x, dx), (y, dy) = (polynomial(count, (3, 3), seed, complex_) for seed in (0, 50))
    assert equal(dx + dy, [p + q for p, q in zip(x, y, strict=True)])
    assert equal(dx - dy, [p - q for p, q in zip(x, y, strict=True)])
    assert equal(-dx, [-p for p in x])
    assert equal(dx @ dy, multiplied(x, y, np.matmul))
    assert equal(dx * dy, multiplied(x, y, np.multiply))
    assert equal(dx * 2.0, [2 * p for p in x])


@counts
@complex_or_real
def test_linear_maps(count, complex_):
    x, dx = polynomial(count, (4, 3), 1, complex_)
    y, dy = polynomial(count, (4, 3), 60, complex_)
    assert equal(ct(dx), [p.conj().T for p in x]) and equal(conj(dx), [p.conj() for p in x])
    assert equal(real(dx), [p.real for p in x])
    for axis in (-2, -1, (-2, -1)):
        assert equal(total(dx, axis), [p.sum(axis=axis, keepdims=True) for p in x])
        inner = multiplied([p.conj() for p in x], y, np.multiply)
        assert equal(real_inner(dx, dy, axis), [p.real.sum(axis=axis, keepdims=True) for p in inner])


@counts
def test_constants_have_no_derivative(count):
    x, dx = polynomial(count, (3, 3), 2)
    c = draw((3, 3), 90)
    constant = [c] + [0 * c] * (count - 1)
    for one in (c, dual(c)):
        assert equal(dx + one, [x[0] + c, *x[1:]]) and equal(dx - one, [x[0] - c, *x[1:]])
        assert equal(dx @ one, multiplied(x, constant, np.matmul)) and equal(
            dx * one, multiplied(x, constant, np.multiply)
        )
    if count == 2:  # a constant on the left is one of the same depth
        assert equal(dual(c) @ dx, multiplied(constant, x, np.matmul))
    alone = ct(dual(c)) @ dual(c) + dual(c) * dual(c) - real_inner(dual(c), dual(c))
    assert alone.dot is None and reciprocal(dual(np.abs(c) + 1)).dot is None and root(dual(np.abs(c) + 1)).dot is None
    assert (-dual(c)).dot is None
    assert dual(dx) is dx


def test_an_array_on_the_left_is_refused():
    """NumPy would take the pair for a stack of two."""
    x = Dual(draw((2, 2), 1), draw((2, 2), 2))
    for operation in (np.matmul, np.multiply, np.add, np.subtract):
        with pytest.raises(TypeError):
            operation(draw((2, 2), 3), x)
    with pytest.raises(TypeError):
        draw((2, 2), 3) @ x


def fractions(x):
    return np.array([Fraction(float(z)) for z in x.ravel()], object).reshape(x.shape)


@counts
@pytest.mark.parametrize("arithmetic", [np.asarray, Fixed.of], ids=["float64", "fixed"])
def test_reciprocal_and_root(count, arithmetic):
    """Against x r = 1 and r r = x in rational numbers, coefficient by coefficient."""
    rng = np.random.default_rng(3)
    parts = [rng.uniform(1, 2, (2, 3))] + [rng.standard_normal((2, 3)) for _ in range(count - 1)]
    x = nested([arithmetic(p) for p in parts])
    exact = [fractions(p) for p in parts]
    bound = Fraction(DIGITS if arithmetic is Fixed.of else 2.0**-46)
    one = [fractions(np.ones((2, 3)))] + [fractions(np.zeros((2, 3)))] * (count - 1)

    def rational(y):
        return [of_fixed(p) if isinstance(p, Fixed) else fractions(p) for p in flat(y, count)]

    r = rational(reciprocal(x))
    for found, true in zip(multiplied(exact, r, np.multiply), one, strict=True):
        assert np.all(abs(found - true) <= bound)
    s = rational(root(x))
    for found, true in zip(multiplied(s, s, np.multiply), exact, strict=True):
        assert np.all(abs(found - true) <= bound)


def of_fixed(x):
    scale = np.array([Fraction(2) ** (20 * int(e)) for e in np.broadcast_to(x.exponent, x.shape).ravel()], object)
    words = [
        np.array([Fraction(int(w)) for w in word.ravel()], object) / 2 ** (20 * j) for j, word in enumerate(x.words, 1)
    ]
    return (scale * sum(words)).reshape(x.shape)


@pytest.mark.parametrize("size", [1.0, 2.0**-400, 2.0**333, 3.0e-160, 7.0e150])
def test_fixed_reciprocal_and_root_of_any_size(size):
    x = Fixed.of(size * np.array([[1.0, 1.7], [1.3, 9.9]]))
    r, s = reciprocal(x), root(x)
    assert np.all(abs(of_fixed(x * r) - 1) <= DIGITS)
    assert np.all(abs(of_fixed(s * s - x) / of_fixed(x)) <= DIGITS)


@complex_or_real
def test_modulus(complex_):
    """|x|^2 = Re conj(x) x, and its derivative Re conj(x) x_dot/|x|."""
    x, e = draw((3, 3), 1, complex_) + 10, draw((3, 3), 2, complex_)
    for arithmetic, bound in ((np.asarray, 1e-14), (Fixed.of, 1e-14)):
        found = modulus(Dual(arithmetic(x), arithmetic(e)))
        assert np.allclose(rounded(found.value), np.abs(x), rtol=bound, atol=0)
        assert np.allclose(rounded(found.dot), (x.conj() * e).real / np.abs(x), rtol=bound, atol=bound)
        assert not np.iscomplexobj(rounded(found.dot))


@complex_or_real
def test_fixed_parts_agree_with_float64(complex_):
    """Every function takes them, and they are exact: multiples of 1/16 come back as they are."""
    for f, kinds in product(
        (lambda x, y: x @ y - y * x, lambda x, y: ct(x) @ y + real(y), lambda x, y: conj(x) * total(y, -1),
         lambda x, y: x * real_inner(x, y)),
        ((2, 2), (4, 4), (2, 1)),
    ):  # fmt: skip
        x, y = (
            nested([draw((3, 3), 10 * k + seed, complex_) for k in range(n)])
            for seed, n in zip((1, 2), kinds, strict=True)
        )
        x = x if isinstance(x, Dual) else dual(x)
        y = y if isinstance(y, Dual) else dual(y)
        low, high = f(x, y), f(in_fixed(x), in_fixed(y))
        for p, q in zip(flat(low, 4), flat(high, 4), strict=True):
            assert np.array_equal(p, rounded(q) if isinstance(q, Fixed) else q)


def in_fixed(x):
    if isinstance(x, Dual):
        return Dual(in_fixed(x.value), None if x.dot is None else in_fixed(x.dot))
    return Fixed.of(x)


def test_a_planted_fault_is_seen(monkeypatch):
    """The product rule without one of its terms."""
    monkeypatch.setattr(Dual, "__matmul__", lambda x, y: Dual(x.value @ y.value, x.dot @ y.value))
    (x, dx), (y, dy) = (polynomial(2, (3, 3), seed) for seed in (0, 50))
    assert not equal(dx @ dy, multiplied(x, y, np.matmul))
    assert duals.Dual is Dual
