"""Fixed point against rational numbers: both sums and products to 120 bits of the largest terms."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from orthoref.oracle import fixed
from orthoref.oracle.fixed import Fixed, ct, rounded

TINY, HUGE = 2.0**-1074, float(np.finfo(np.float64).max)
SUM = Fraction(1, 2**120)  # half a unit of the last word of the result, and of one term that was moved
PRODUCT = Fraction(1, 2**120)  # the same, times the length of the sum


def exact(x):
    """Rational real and imaginary parts, arrays of Fraction."""
    if isinstance(x, Fixed):
        exponent = np.broadcast_to(x.exponent, x.shape)
        parts = []
        for part in (np.real, np.imag):
            total = np.full(x.shape, Fraction(0), object)
            for i in np.ndindex(x.shape):
                words = [int(part(w)) for w in x.words[(slice(None), *i)]]
                assert all(abs(w) <= 2**19 for w in words)
                scale = Fraction(2) ** (20 * int(exponent[i])) if any(words) else Fraction(0)
                total[i] = scale * sum(Fraction(w, 2 ** (20 * (j + 1))) for j, w in enumerate(words))
            parts.append(total)
        return tuple(parts)
    x = np.asarray(x)
    return tuple(np.array([Fraction(float(z)) for z in part.ravel()], object).reshape(x.shape)
                 for part in (x.real, x.imag))  # fmt: skip


def over(x, y, operation):
    """Of exact complex matrices."""
    if operation == "+":
        return x[0] + y[0], x[1] + y[1]
    if operation == "-":
        return x[0] - y[0], x[1] - y[1]
    if operation == "*":
        return x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]
    return times(x[0], y[0]) - times(x[1], y[1]), times(x[0], y[1]) + times(x[1], y[0])


def times(x, y):
    return (
        np.sum(x[..., :, :, None] * y[..., None, :, :], axis=-2)
        if x.shape[-1]
        else np.zeros((*x.shape[:-1], y.shape[-1]), object)
    )


def largest(x):
    """Of the entries of each matrix."""
    return np.max(np.maximum(abs(x[0]), abs(x[1])), axis=(-2, -1), keepdims=True, initial=Fraction(0))


def close(found, true, bound):
    """Every entry within the bound, which belongs to its matrix."""
    assert found[0].shape == true[0].shape
    return all(np.all(abs(x - y) <= bound) for x, y in zip(found, true, strict=True))


def same(x, y):
    return all(np.array_equal(p, q) for p, q in zip(exact(x), exact(y), strict=True))


def draw(shape, seed, complex_=False, bits=0):
    """Entries of a range of 2^bits, members of very different scale, one zero matrix in a stack of three."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if complex_ else 0)
    x = x * 2.0 ** rng.integers(-bits, 1, shape)
    if len(shape) > 2:
        scale = np.array([2.0**200, 0.0, 2.0**-313])[: shape[0]].reshape(-1, *[1] * (len(shape) - 1))
        x = x * scale
    return x


SHAPES = [(3, 3), (4, 2), (1, 1), (2, 5), (3, 4, 4), (3, 1, 2), (0, 3), (2, 0), (0, 2, 2)]


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bits", [0, 60])
def test_what_is_given_is_kept(shape, bits, complex_):
    """To the last bit: 121 bits hold 53 bits of entries down to 2^-68 of the largest."""
    x = draw(shape, 1, complex_, bits)
    assert same(Fixed.of(x), x)
    assert np.array_equal(Fixed.of(x).rounded(), x)


@pytest.mark.parametrize("scale", [1.0, 0.75, 2.0**-20, 2.0**19, 3.0])
def test_small_entries_are_cut_relative_to_the_largest(scale):
    x = scale * np.array([[1.0, 2.0**-69 * (1 + 2.0**-52)], [2.0**-119, 2.0**-150]])
    y = Fixed.of(x)
    assert close(exact(y), exact(x), largest(exact(x)) / 2**120)
    assert y.rounded()[0, 0] == scale and y.rounded()[1, 0] != 0


@pytest.mark.parametrize("value", [TINY, 3 * TINY, 2.0**-1022, HUGE, -HUGE, 2.0**1023, 1.0, 0.1, 2.0**-1040])
def test_the_ends_of_the_range(value):
    x = np.array([[value, -value / 4], [0.0, value / 2]])
    assert same(Fixed.of(x), x)
    assert np.array_equal(Fixed.of(x).rounded(), x)
    one = Fixed.of(np.array([[value]]))
    square = one @ one  # far outside the range of float64
    assert close(exact(square), over(exact(one), exact(one), "@"), largest(exact(square)) * SUM)
    assert same(one - one, np.zeros((1, 1)))


def test_zero():
    zero, x = Fixed.of(np.zeros((2, 2))), Fixed.of(draw((2, 2), 3))
    for made in (zero + zero, zero @ zero, zero @ x @ zero, zero * zero, zero @ zero @ zero - zero, -zero, zero.H):
        assert np.array_equal(made.rounded(), np.zeros((2, 2)))
    assert same(zero + x, x.rounded()) and same(x - zero, x.rounded()) and same((zero @ zero) + x, x.rounded())
    assert same((x - x) + x, x.rounded())


PAIRS = [((3, 3), (3, 3)), ((4, 2), (2, 3)), ((2, 5), (5, 1)), ((3, 4, 4), (3, 4, 4)), ((3, 4, 2), (2, 3)),
         ((2, 3), (3, 3, 2)), ((3, 0), (0, 2)), ((0, 2, 2), (0, 2, 2))]  # fmt: skip


@pytest.mark.parametrize("complex_", [(False, False), (True, True), (True, False)], ids=str)
@pytest.mark.parametrize("shapes", PAIRS, ids=str)
@pytest.mark.parametrize("bits", [0, 40])
def test_products(shapes, bits, complex_):
    a, b = (draw(shape, k, c, bits) for k, (shape, c) in enumerate(zip(shapes, complex_, strict=True)))
    x, y = Fixed.of(a), Fixed.of(b)
    n = shapes[0][-1]
    for left, right in ((x, y), (x, b), (a, y)):
        found, true = exact(left @ right), over(exact(x), exact(y), "@")
        assert close(found, true, n * largest(exact(x)) * largest(exact(y)) * PRODUCT)


SUMS = [((3, 3), (3, 3)), ((3, 2, 2), (3, 2, 2)), ((3, 2, 2), (2, 2)), ((2, 1), (2, 3)), ((1, 1), (3, 2)),
        ((3, 1, 1), (3, 2, 4)), ((1, 3), (3, 2, 3)), ((0, 2), (0, 2)), ((0, 2, 2), (2, 2))]  # fmt: skip


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("shapes", SUMS, ids=str)
@pytest.mark.parametrize("operation", ["+", "-", "*"])
def test_entrywise(shapes, operation, complex_):
    a, b = (draw(shape, k, complex_) for k, shape in enumerate(shapes))
    x, y = Fixed.of(a), Fixed.of(b)
    true = over(exact(x), exact(y), operation)
    sizes = largest(exact(x)), largest(exact(y))
    bound = sizes[0] * sizes[1] * PRODUCT if operation == "*" else np.maximum(*sizes) * SUM
    function = {"+": lambda x, y: x + y, "-": lambda x, y: x - y, "*": lambda x, y: x * y}[operation]
    for left, right in ((x, y), (x, b), (a, y)):
        assert close(exact(function(left, right)), true, bound)


@pytest.mark.parametrize("distance", [0, 1, 19, 20, 21, 53, 119, 139, 160, 400, 2000])
def test_sums_of_different_exponents(distance):
    """What lies below 120 bits of the larger one is lost, not what lies above."""
    big, small = draw((3, 3), 1) * 2.0**900, draw((3, 3), 2)
    small = np.ldexp(small, 900 - distance) if distance < 1900 else small * TINY
    x, y = Fixed.of(big), Fixed.of(small)
    true = over(exact(x), exact(y), "+")
    assert close(exact(x + y), true, largest(exact(x)) * SUM) and close(exact(y + x), true, largest(exact(x)) * SUM)
    assert close(exact((x + y) - x), exact(y), 2 * largest(exact(x)) * SUM)  # cancellation leaves what was kept


def test_numbers():
    x = Fixed.of(draw((3, 2), 4, True))
    for number in (0, 1, -2, 0.1, 3.4445, 1e-30, 1e300):
        at = exact(np.full((1, 1), float(number)))
        size = largest(exact(x)) * abs(Fraction(number))
        for made in (x * number, number * x):
            assert close(exact(made), over(exact(x), at, "*"), size * PRODUCT)
        bound = max(largest(exact(x))[0, 0], abs(Fraction(number))) * SUM
        assert close(exact(number - x), over(at, exact(x), "-"), bound)
        assert close(exact(x - number), over(exact(x), at, "-"), bound)
        assert close(exact(x + number), over(exact(x), at, "+"), bound)


def test_exact_where_the_words_suffice():
    """Integers of 20 bits: products and sums have no error at all."""
    rng = np.random.default_rng(5)
    x, y = (rng.integers(-(2**20), 2**20, (6, 6)).astype(float) for _ in range(2))
    product = Fixed.of(x) @ Fixed.of(y)
    assert same(product, x @ y)  # below 2^53: BLAS is exact, too
    cube = product @ Fixed.of(x)
    assert np.array_equal(exact(cube)[0], over(exact(product), exact(x), "@")[0])


@pytest.mark.parametrize("complex_", [False, True])
def test_long_sums_are_split(monkeypatch, complex_):
    x, y = draw((2, 23), 1, complex_), draw((23, 3), 2, complex_)
    whole = Fixed.of(x) @ Fixed.of(y)
    for long in (1, 5, 22, 23):
        monkeypatch.setattr(fixed, "LONG", long)
        split = Fixed.of(x) @ Fixed.of(y)
        bound = 23 * largest(exact(x)) * largest(exact(y)) * PRODUCT
        assert close(exact(split), exact(whole), bound)


@pytest.mark.parametrize("complex_", [False, True])
def test_the_longest_sum_is_exact(complex_):
    """(WORDS) The largest words, all of one sign: no sum of a product leaves 2^53. One of them is odd."""
    word = 2.0**19
    x = np.full((7, 1, fixed.LONG), word) * (1 - 1j if complex_ else 1)  # re re - im im and re im + im re add up
    y = np.full((7, fixed.LONG, 1), word) * (1 + 1j if complex_ else 1)
    x[:, 0, 0] -= 1
    zero = np.zeros((1, 1), int)
    found = Fixed(x, zero) @ Fixed(y, zero)
    total = over(exact(Fixed(x[:, :, :1], zero)), exact(Fixed(y[:, :1], zero)), "*")
    rest = over(exact(Fixed(x[:, :, 1:2], zero)), exact(Fixed(y[:, 1:2], zero)), "*")
    true = tuple(p + (fixed.LONG - 1) * q for p, q in zip(total, rest, strict=True))
    assert close(exact(found), true, fixed.LONG * SUM)


def test_the_other_operations():
    for complex_ in (False, True):
        a = draw((3, 4, 2), 7, complex_)
        x = Fixed.of(a)
        assert x.shape == a.shape and x.H.shape == (3, 2, 4)
        assert same(x.H, np.conj(a.swapaxes(-1, -2))) and same(-x, -a)
        assert same(ct(x), ct(a)) and np.array_equal(rounded(x), rounded(a))
        for axis, count in ((-2, 4), (-1, 2), ((-2, -1), 8)):
            found, true = exact(x.sum(axis)), [np.sum(part, axis=axis, keepdims=True) for part in exact(x)]
            assert close(found, tuple(true), count * largest(exact(x)) * SUM)


def test_a_member_does_not_depend_on_the_others():
    a, b = draw((3, 4, 4), 1), draw((3, 4, 4), 2)
    x, y = Fixed.of(a), Fixed.of(b)
    for function in (lambda x, y: x @ y, lambda x, y: x + y, lambda x, y: x * y, lambda x, y: x @ y - y.H @ x):
        whole = exact(function(x, y))
        for k in range(3):
            alone = exact(function(Fixed.of(a[k]), Fixed.of(b[k])))
            assert all(np.array_equal(p[k], q) for p, q in zip(whole, alone, strict=True))


def test_operands_are_left_alone():
    x, y = Fixed.of(draw((3, 3), 1)), Fixed.of(draw((3, 3), 2))
    for z in (x, y):
        z.words.flags.writeable = z.exponent.flags.writeable = False
    for made in (x + y, x - y, x @ y, x * y, x.sum(-1), x.H @ y, -x, 2.0 * x, 1.0 - x):
        assert np.isfinite(made.rounded()).all()


def test_a_long_chain():
    """Ten products and sums keep 110 bits."""
    a = draw((4, 4), 9) / 16
    x, true, low = Fixed.of(a), exact(a), a
    for _ in range(10):
        x = x @ x - Fixed.of(a)
        low = low @ low - a
        true = over(over(true, true, "@"), exact(a), "-")
        true = tuple(
            np.array([Fraction(round(z * 2**300), 2**300) for z in p.ravel()], object).reshape(4, 4) for p in true
        )
        size = largest(true)[0, 0]
        assert size < 2**10
    assert close(exact(x), true, size / 2**110)
    assert not close(exact(low), true, size / 2**60)
