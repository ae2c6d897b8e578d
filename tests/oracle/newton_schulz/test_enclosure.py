"""Enclosures of the iteration against rational arithmetic: exact inputs whose norms are rational."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

flint = pytest.importorskip("flint")

from exact import exact_polar, mul, rational  # noqa: E402
from flint import acb_mat, arb, arb_mat, fmpq  # noqa: E402

from orthoref import NotCertified, OutsideDomain, certify, schedules  # noqa: E402

PRESET, STEPS = "jordan", 3


def value(s, steps=STEPS):
    """f(s) of a rational s, with the coefficients as they are written."""
    for row in schedules.get(PRESET).steps(steps):
        s = sum((c * s ** (2 * k + 1) for k, c in enumerate(row.numerator)), Fraction(0))
    return s


def inside(balls, truth, radius):
    """Whether a rational matrix is in the balls, and they are small."""
    re, im = (np.vectorize(lambda x: fmpq(x.numerator, x.denominator), otypes=[object])(part) for part in truth)
    entries = [*zip(re.ravel(), im.ravel(), strict=True)]
    for ball, (x, y) in zip(balls.entries(), entries, strict=True):
        real, imag = (ball.real, ball.imag) if isinstance(balls, acb_mat) else (ball, arb(0))
        with flint.ctx.workprec(4000):  # a rational number is rounded on the way
            if not (real.overlaps(arb(x)) and imag.overlaps(arb(y)) and float(real.rad()) <= radius):
                return False
    return True


def times(x, s):
    """X diag(s)."""
    return x[0] * np.array(s, dtype=object), x[1] * np.array(s, dtype=object)


def of(made, divide):
    """The exact result for A = U Q diag(s) Q^H whose singular values are divided by a number."""
    u, q, qh = (rational(x) for x in (made.u, made.q, made.q.conj().T))
    return mul(times(mul(u, q), [value(Fraction(float(s)) / divide) for s in made.s]), qh)


CASES = {  # singular values, options, and the exact divisor
    "frobenius": ([4.0, 4.0, 2.0, 0.0], {}, Fraction(6)),
    "eps added": ([4.0, 4.0, 2.0, 0.0], {"eps": 0.5}, Fraction(13, 2)),
    "eps clamps": ([4.0, 4.0, 2.0, 0.0], {"eps": 7.0, "eps_rule": "clamp"}, Fraction(7)),
    "eps does not clamp": ([4.0, 4.0, 2.0, 0.0], {"eps": 5.0, "eps_rule": "clamp"}, Fraction(6)),
    "spectral": ([3.0, 2.0, 2.0, 1.0], {"normalize": "spectral"}, Fraction(3)),
    "spectral, eps": ([3.0, 2.0, 2.0, 1.0], {"normalize": "spectral", "eps": 0.25}, Fraction(13, 4)),
    "none": ([1.0, 0.5, 0.25, 1.0], {"normalize": "none"}, Fraction(1)),
    "schatten4": ([315.0, 272.0, 120.0, 30.0], {"normalize": "schatten4"}, Fraction(353)),  # Norrie: the fourth powers
}


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_the_exact_result_is_inside(name, wide, dtype):
    s, options, divide = CASES[name]
    made = exact_polar(len(s) + 2, len(s), s, dtype)
    truth = of(made, divide)
    a = made.a.conj().T if wide else made.a
    truth = (truth[0].T, -truth[1].T) if wide else truth
    found = certify.newton_schulz(a, PRESET, steps=STEPS, **options)
    assert found.radius <= 1e-15 and found.x_error is None and isinstance(found.x, (arb_mat, acb_mat))
    assert inside(found.x, truth, 1e-15)
    tight = certify.newton_schulz(a, PRESET, steps=STEPS, digits=60, **options)
    assert tight.radius <= 1e-60 and tight.bits > 3.3 * 60 and inside(tight.x, truth, 1e-60)
    assert not inside(found.x, (truth[0] + Fraction(1, 10**12), truth[1]), 1e-15)


@pytest.mark.parametrize("phase", [1.0, 1j])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(("eps", "root"), [(0.0, 3), (7.0, 4)])
def test_rescaled_columns(eps, root, wide, phase):
    """A = [[2, 1], [1, 2]] D, |A^H A| = [[5, 4], [4, 5]]: every column is divided by sqrt(9 + eps)."""
    a = np.array([[2.0, 1.0], [1.0, 2.0], [0.0, 0.0]]) * np.array([1.0, phase])
    found = certify.newton_schulz(a.conj().T if wide else a, PRESET, steps=STEPS, normalize="aol", eps=eps)
    f3, f1 = value(Fraction(3, root)), value(Fraction(1, root))
    truth = np.array([[f3 + f1, f3 - f1], [f3 - f1, f3 + f1], [0, 0]], dtype=object) / Fraction(2)
    re, im = (truth, 0 * truth) if phase == 1 else (truth * np.array([1, 0]), truth * np.array([0, 1]))
    assert inside(found.x, (re.T, -im.T) if wide else (re, im), 1e-15)


def test_a_zero_column_stays_zero():
    a = np.array([[2.0, 0.0], [0.0, 0.0]])
    found = certify.newton_schulz(a, PRESET, steps=STEPS, normalize="aol")
    truth = np.array([[value(Fraction(1)), 0], [0, 0]], dtype=object) + Fraction(0)
    assert inside(found.x, (truth, 0 * truth), 1e-15)


@pytest.mark.parametrize("shape", [(3, 2), (2, 3)])
def test_zero_gives_zero(shape):
    found = certify.newton_schulz(np.zeros(shape), x=np.eye(*shape))
    assert found.radius <= 1e-300 and (found.x.nrows(), found.x.ncols()) == shape
    assert found.x_error[0] <= 2**0.5 <= found.x_error[1] <= 1.5


@pytest.mark.parametrize("complex_", [False, True])
def test_distance_of_a_given_result(complex_):
    made = exact_polar(4, 4, [4.0, 4.0, 2.0, 0.0], "complex128" if complex_ else "float64")
    x = certify.newton_schulz(made.a, PRESET, steps=STEPS).x
    near = np.array([complex(z) if complex_ else float(z) for z in x.entries()]).reshape(4, 4)
    off = near.copy()
    off[1, 2] += 3 - (4j if complex_ else 0)
    low, high = certify.newton_schulz(made.a, PRESET, off, steps=STEPS).x_error
    assert low <= (5 if complex_ else 3) * (1 + 1e-14) and high >= (5 if complex_ else 3) * (1 - 1e-14)
    assert high - low <= 1e-13
    assert certify.newton_schulz(made.a, PRESET, near, steps=STEPS).x_error[1] <= 1e-14
    imaginary = certify.newton_schulz(np.eye(2), PRESET, 1j * np.eye(2), steps=0, normalize="none")
    assert imaginary.x_error[0] <= 2 <= imaginary.x_error[1]  # a real, x complex


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((np.eye(3), PRESET, np.eye(2)), {}, ValueError, r"x has shape \(2, 2\), not \(3, 3\)"),
        ((np.eye(3),), {"digits": 0}, ValueError, "digits=0"),
        ((np.eye(3),), {"digits": 301}, ValueError, "digits=301"),
        ((np.ones((2, 3, 3)),), {}, ValueError, "one matrix"),
        ((np.array([[np.nan]]),), {}, OutsideDomain, "nan"),
        ((np.eye(3),), {"digits": 20, "max_bits": 143}, NotCertified, "radius inf"),
        (
            (np.diag([1e300, 1.0]),),
            {"normalize": "none", "steps": 2, "max_bits": 200},
            NotCertified,
            "radius .* with 124",
        ),
    ],
)
def test_what_is_refused(arguments, options, error, words):
    with pytest.raises(error, match=words):
        certify.newton_schulz(*arguments, **options)


@pytest.mark.parametrize("digits", [1, 300])
def test_as_many_digits_as_are_asked_for(digits):
    found = certify.newton_schulz(np.diag([3.0, 1.0]), PRESET, steps=1, digits=digits)
    assert 0 < found.radius <= 10.0**-digits and found.bits >= 64 + 4 * digits
