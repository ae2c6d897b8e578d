"""The truth about derivatives of the polar factors against differences of a 400-bit polar factor, and against ours.

The central differences of step 2^-100 (first order) and 2^-80 (mixed, second order) have 36 digits and more for
condition numbers up to 1e6.
Errors are relative to the natural scale of each derivative: |E|/g for dU, g = (s_n + s_n-1)/2 for real square matrices
and s_n else, |E| for dH, and one power of 1/g more for second derivatives.
"""

from __future__ import annotations

import numpy as np
import pytest
from backends import norm
from exact import BITS, adjoint_hp, lift, polar_hp

from orthoref import polar_jvp, polar_vjp, polar_vjp_jvp
from orthoref.oracle import cases
from orthoref.oracle.dual import real_inner
from orthoref.oracle.fixed import Fixed, ct, rounded
from orthoref.oracle.polar.derivative_ratios import PolarDerivative, truths
from orthoref.oracle.polar.truth import herm, point, pull, pull_along, push, skew
from orthoref.oracle.precision import PRECISIONS
from orthoref.oracle.residual import ldexp

pytestmark = pytest.mark.exhaustive  # 400 bits at many points

flint = pytest.importorskip("flint", reason="python-flint gives the reference")

DIGITS = 30  # of matrices with condition numbers up to 10
SHAPES = [(1, 1), (2, 2), (3, 3), (4, 2), (3, 1)]
SIDES = ("right", "left")
over_shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)
over_dtypes = pytest.mark.parametrize("dtype", ["float64", "complex128"])
over_sides = pytest.mark.parametrize("side", SIDES)


def draw(shape, dtype, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    return x + 1j * rng.standard_normal(shape) if dtype == "complex128" else x


def lifted(x):
    """A Fixed, without rounding."""
    rows, columns = x.shape[-2:]
    scale = flint.arb(2) ** (20 * int(np.ravel(x.exponent)[0]))

    def entry(i, j):
        total = flint.acb(0)
        for k, word in enumerate(x.words[:, i, j], start=1):
            total += flint.acb(float(word.real), float(word.imag)) * flint.arb(2) ** (-20 * k)
        return total * scale

    return flint.acb_mat([[entry(i, j) for j in range(columns)] for i in range(rows)])


def size(x):
    """Frobenius norm, as a float: 1e-40 is not rounded to 0."""
    return float(sum(abs(z.mid()) ** 2 for z in x.entries()) ** 0.5)


def factors_hp(a, side):
    u, h = polar_hp(a)
    return u, (h if side == "right" else a * adjoint_hp(u))


def first_hp(a, e, side):
    """dU[E] and dH[E] of lifted matrices."""
    t = flint.acb(flint.arb(2) ** -100)
    pairs = zip(factors_hp(a + e * t, side), factors_hp(a - e * t, side), strict=True)
    return [(x.mid() - y.mid()) * (1 / (2 * t)) for x, y in pairs]


def second_hp(a, e, g, side):
    t = flint.acb(flint.arb(2) ** -80)
    e, g = e * t, g * t
    corners = zip(*(factors_hp(x, side) for x in (a + e + g, a + e - g, a - e + g, a - e - g)), strict=True)
    return [(x.mid() - y.mid() - z.mid() + w.mid()) * (1 / (4 * t * t)) for x, y, z, w in corners]


def gap(a):
    s = np.linalg.svd(a, compute_uv=False)
    real = a.shape[0] == a.shape[1] and not np.iscomplexobj(a)
    return (s[-1] + s[-2]) / 2 if real and len(s) > 1 else s[-1]


def everything(a, e, u_bar, h_bar, side):
    """In fixed point, in the scale of A: dU[E], dH[E], the VJP, its derivative along E; each lifted."""
    at, left = point(a, True), side == "left"
    k = int(at.exponent[0, 0])
    f = [Fixed.of(x) for x in (e, u_bar, h_bar)]
    u_dot, h_dot = push(at, f[0], left)
    scale = flint.arb(2) ** -k
    return (
        lifted(u_dot) * scale,
        lifted(h_dot),
        lifted(pull(at, f[1], None, left)) * scale,
        lifted(pull(at, None, f[2], left)),
        lifted(pull_along(at, f[0], f[1], None, left)) * scale**2,
        lifted(pull_along(at, f[0], None, f[2], left)) * scale,
    )


def basis(shape, dtype):
    """Real directions that span all matrices."""
    for i in np.ndindex(shape):
        for unit in (1.0, 1j) if dtype == "complex128" else (1.0,):
            e = np.zeros(shape, dtype)
            e[i] = unit
            yield i, unit, e


def gathered(values, shape, dtype):
    """The matrix X from all Re <X, E>: its entries are Re + i Im."""
    rows = [[flint.acb(0)] * shape[1] for _ in range(shape[0])]
    for (i, j), unit, value in values:
        rows[i][j] = rows[i][j] + flint.acb(unit.real, unit.imag) * value
    return flint.acb_mat(rows)


def inner_ball(x, y):
    """Re tr(X^H Y)."""
    return sum(p.conjugate() * q for p, q in zip(x.entries(), y.entries(), strict=True)).real.mid()


def errors(a, side, seed=5, second=True):
    """Relative to the natural scales, of the six results of `everything`; the truths are differences of 400 bits."""
    shape, dtype = a.shape, a.dtype.name
    order = shape[1] if side == "right" else shape[0]
    e, u_bar, h_bar = draw(shape, dtype, seed), draw(shape, dtype, seed + 1), draw((order, order), dtype, seed + 2)
    with flint.ctx.workprec(BITS):
        found = everything(a, e, u_bar, h_bar, side)
        hp, bars = lift(a), (lift(u_bar), lift(h_bar))
        true = first_hp(hp, lift(e), side)
        pulled, along = ([], []), ([], [])
        for i, unit, g in basis(shape, dtype):
            for k, dot in enumerate(first_hp(hp, lift(g), side)):
                pulled[k].append((i, complex(unit), inner_ball(dot, bars[k])))
            if second:
                for k, dot in enumerate(second_hp(hp, lift(e), lift(g), side)):
                    along[k].append((i, complex(unit), inner_ball(dot, bars[k])))
        true += [gathered(each, shape, dtype) for each in pulled]
        if second:
            true += [gathered(each, shape, dtype) for each in along]
        c = gap(a)
        lengths = norm(e), norm(u_bar), norm(h_bar)
        scales = (lengths[0] / c, lengths[0], lengths[1] / c, lengths[2],
                  lengths[0] * lengths[1] / c**2, lengths[0] * lengths[2] / c)  # fmt: skip
        return [size(x - y) / s for x, y, s in zip(found, true, scales, strict=False)]


@over_shapes
@over_dtypes
@over_sides
def test_thirty_digits(shape, dtype, side):
    a = cases.matrix(shape, cond=10, seed=2, dtype=dtype)
    assert max(errors(a, side, second=shape != (3, 3))) <= 10.0**-DIGITS


@pytest.mark.parametrize(("cond", "digits"), [(1e3, 27), (1e6, 22)])
@pytest.mark.parametrize(("shape", "dtype"), [((3, 2), "float64"), ((2, 2), "complex128"), ((2, 2), "float64")])
def test_ill_conditioned(cond, digits, shape, dtype):
    """Least where h_bar is differentiated again at a real square matrix: the scale is 1/g, and 1/s_n is divided by."""
    a = cases.matrix(shape, cond=cond, seed=3, dtype=dtype)
    for side in SIDES:
        assert max(errors(a, side)) <= 10.0**-digits


# identities in fixed point: both branches, and points that 400 bits would take long for


def lower_norm(x):
    return norm(x.rounded())


POINTS = {
    "generic": lambda shape, dtype: cases.matrix(shape, cond=10, seed=4, dtype=dtype),
    "repeated": lambda shape, dtype: cases.matrix(shape, spectrum="repeated", cond=4, seed=4, dtype=dtype),
    "identity": lambda shape, dtype: np.broadcast_to(np.eye(*shape[-2:], dtype=dtype), shape).copy(),
    "small": lambda shape, dtype: cases.matrix(shape, spectrum="one_small", cond=1e3, seed=4, dtype=dtype),
    "scaled": lambda shape, dtype: 1e-200 * cases.matrix(shape, cond=3, seed=4, dtype=dtype),
}
IDENTITY = 1e-27


BRANCHED = ((4, 4), (5, 3), (2, 3, 3), (3, 1))
BRANCHES = [(dtype, shape, name, 1) for dtype in ("float64", "complex128") for shape in BRANCHED
            for name in POINTS] + [("float64", (4, 4), "small", -1), ("float64", (2, 3, 3), "small", -1)]  # fmt: skip


@over_sides
@pytest.mark.parametrize(("dtype", "shape", "name", "branch"), BRANCHES, ids=str)
def test_identities(dtype, shape, name, branch, side):
    """The equations that define the factors, differentiated; adjoints; the symmetry of second derivatives."""
    a = POINTS[name](shape, dtype)
    at = point(a, True, branch)
    n = shape[-1]
    e, g, u_bar = (Fixed.of(draw(shape, dtype, k)) for k in (1, 2, 3))
    s_n = np.min(np.abs(at.s), axis=-1)
    eye = np.broadcast_to(np.eye(n), (*shape[:-2], n, n))
    assert np.all(lower_norm(ct(at.u) @ at.u - eye) <= IDENTITY)
    assert np.all(lower_norm(at.u @ at.h - at.a) <= IDENTITY) and np.all(lower_norm(skew(at.h)) <= IDENTITY)
    left = side == "left"
    order = shape[-2] if left else n
    h_bar = Fixed.of(draw((*shape[:-2], order, order), dtype, 4))
    u_dot, h_dot = push(at, e, left)
    u = at.u
    h = u @ at.h @ ct(u) if left else at.h
    product = h_dot @ u + h @ u_dot if left else u_dot @ h + u @ h_dot
    assert np.all(lower_norm(product - e) <= IDENTITY / s_n)
    assert np.all(lower_norm(herm(ct(u) @ u_dot)) <= IDENTITY / s_n)
    assert np.all(lower_norm(skew(h_dot)) <= IDENTITY / s_n)
    for bars in ((u_bar, None), (None, h_bar), (u_bar, h_bar)):
        dots = zip((u_dot, h_dot), bars, strict=True)
        rest = real_inner(e, pull(at, *bars, left))
        for dot, bar in dots:
            rest = rest if bar is None else rest - real_inner(dot, bar)
        assert np.all(np.abs(rest.rounded()).ravel() <= 100 * IDENTITY / s_n.ravel())
        twice = real_inner(pull_along(at, e, *bars, left), g) - real_inner(pull_along(at, g, *bars, left), e)
        assert np.all(np.abs(twice.rounded()).ravel() <= 100 * IDENTITY / s_n.ravel() ** 2)


@pytest.mark.parametrize(
    ("shape", "dtype", "branch"),
    [(shape, dtype, 1) for shape in ((4, 4), (6, 3), (2, 1)) for dtype in ("float64", "complex128")]
    + [((4, 4), "float64", -1)],
)
def test_the_second_derivative_is_that_of_the_first(shape, dtype, branch):
    """A central difference of step t = 2^-26 in fixed point, exact to t^2 and 1e-30/t; the factor is that of A."""
    a = np.round(cases.matrix(shape, spectrum="one_small", cond=8, seed=6, dtype=dtype) * 2.0**20) / 2.0**20
    a = np.ldexp(a.view(float), 1 - int(point(a, False).exponent.item())).view(a.dtype)
    e, u_bar = (np.round(draw(shape, dtype, k) * 2.0**10) / 2.0**10 for k in (1, 2))
    t = 2.0**-26
    at, two = point(a, True, branch), [point(a + sign * t * e, True, branch) for sign in (1, -1)]
    assert at.exponent == two[0].exponent == two[1].exponent
    k = int(at.exponent.item())
    for left in (False, True):
        order = shape[-2] if left else shape[-1]
        h_bar = draw((order, order), dtype, 3)
        for bars in ((u_bar, None), (None, h_bar)):
            bars = [None if x is None else Fixed.of(x) for x in bars]
            difference = (pull(two[0], *bars, left) - pull(two[1], *bars, left)).rounded() / (2 * t)
            along_ = pull_along(at, Fixed.of(e), *bars, left).rounded() * 2.0**-k
            assert norm(along_ - difference) <= 1e-11 * norm(difference)


def test_of_a_stack_each_member():
    a = cases.matrix((3, 4, 3), cond=10, seed=5, members="scaled")
    e, bar = draw(a.shape, "float64", 1), draw(a.shape, "float64", 2)
    stack = point(a, True)
    whole = [f.rounded() for f in (push(stack, Fixed.of(e), False)[0], pull(stack, Fixed.of(bar), None, False),
                                   pull_along(stack, Fixed.of(e), Fixed.of(bar), None, False))]  # fmt: skip
    for k in range(3):
        at = point(a[k], True)
        alone = [f.rounded() for f in (push(at, Fixed.of(e[k]), False)[0], pull(at, Fixed.of(bar[k]), None, False),
                                       pull_along(at, Fixed.of(e[k]), Fixed.of(bar[k]), None, False))]  # fmt: skip
        for x, y in zip(whole, alone, strict=True):
            assert norm(x[k] - y) <= 4e-16 * norm(y)


# against ours


@over_dtypes
@over_sides
@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (6, 3), (3, 6), (2, 3, 5), (2, 5, 3)], ids=str)
@pytest.mark.parametrize("exact", [True, False])
def test_ours(shape, side, dtype, exact):
    """The rows' truths, wide matrices by transposition: both arithmetics within 100 eps of the public functions."""
    precision = PRECISIONS["float64" if exact else "float32"]
    a = 3.7 * cases.matrix(shape, cond=10, seed=7, dtype=dtype)
    *batch, m, n = shape
    order = n if side == "right" else m
    e, u_bar, h_bar = draw(shape, dtype, 1), draw(shape, dtype, 2), draw((*batch, order, order), dtype, 3)
    for factor, bars in (("both", (u_bar, h_bar)), ("u", (u_bar, None)), ("h", (None, h_bar))):
        claimed = PolarDerivative(side, factor)
        given = {name: x for name, x in zip(("u_bar", "h_bar"), bars, strict=True) if x is not None}
        for kind, more, ours in (
            ("vjp", given, (polar_vjp(a, *bars, side=side),)),
            ("vjp_jvp", {"a_dot": e, **given}, (polar_vjp_jvp(a, e, *bars, side=side),)),
            ("jvp", {"a_dot": e}, polar_jvp(a, e, side=side)),
        ):
            (found,) = truths(kind, {"a": a, **more}, claimed, precision)
            names = ("u_dot", "h_dot") if kind == "jvp" else tuple(found)
            for name, x in zip(names, ours, strict=True):
                if name in found:
                    value = ldexp(rounded(found[name].value), found[name].exponent)
                    assert value.shape == x.shape
                    assert np.all(norm(value - x) <= 1e-13 * norm(x) + 1e-30)  # 0 for real numbers
