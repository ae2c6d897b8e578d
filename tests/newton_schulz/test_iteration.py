"""newton_schulz() against the polynomial iteration in 400-bit balls, by identities, and on every backend.

Limits. X_0 -> X_K is a function of singular values, X = P f(S) V^H, f odd, so its derivative has the Frobenius norm
max |f[s_i, +-s_j]|, with f[s_i, 0] for rectangular X (`slope`, by the product of the steps' divided differences). The
forward error is, to first order, the error of X_0 and the rounding errors of every step, each times the slope of what
follows: the sum in `limit`, doubled for the higher orders. Rounding errors of a step come from

    |fl(A B) - A B| <= (k + 2) u |A||B|   (Higham 2002, (3.13) and Lemma 3.5: complex included; k the inner dimension)

in Frobenius norms and from three roundings per coefficient (its own, the product, the sum). All norms are those of
functions of the exact singular values. Over all presets, normalizations, forms, dtypes and shapes errors stay below
0.08 of the limit (median 0.002: n u is the worst case of a sum, and the slope that of a direction).
"""

from fractions import Fraction
from functools import cache, partial
from itertools import pairwise

import numpy as np
import pytest
from backends import BACKENDS, DEVICE1, JAX, NO_FLOAT64, NUMPY, STRICT, TORCH, ct, draw, gaussian, norm
from exact import BITS, adjoint_hp, dyadic_unitary, lift, lower

from orthoref import OutsideDomain, newton_schulz
from orthoref.schedules import Normalization, Row, Schedule, get, names, qdwh

pytestmark = pytest.mark.sample(4)

KINDS = ("frobenius", "schatten4", "spectral", "aol", "none")
SHAPES = ((5, 5), (6, 3), (3, 6), (1, 1), (1, 4), (4, 1))
FORMS = (("standard", ()), ("gram", ()), ("gram", (2,)))

# --- the definition, in balls ------------------------------------------------------------------------------------


def exact_normalized(a, how, eps=0.0, eps_rule="add"):
    """X_0 of a lifted A."""
    import flint

    wide = a.nrows() <= a.ncols()
    gram = a * adjoint_hp(a) if wide else adjoint_hp(a) * a
    factor = flint.arb(flint.fmpq(how.factor.numerator, how.factor.denominator))

    def with_eps(size):
        return size + eps if eps_rule == "add" else size.max(flint.arb(eps))

    if how.kind == "none":
        return a
    if how.kind == "aol":
        k = gram.nrows()
        scale = flint.acb_mat(k, k)
        for i in range(k):
            row_sum = sum((abs(gram[i, j]) for j in range(k)), flint.arb(0))
            scale[i, i] = 1 / (factor * with_eps(row_sum).sqrt())
        return scale * a if wide else a * scale
    if how.kind == "frobenius":
        size = gram.trace().real.sqrt()
    elif how.kind == "schatten4":
        size = (gram * gram).trace().real.sqrt().sqrt()
    else:
        size = max((x.real for x in gram.eig()), key=float).sqrt()
    return a * flint.acb(1 / with_eps(factor * size))


def exact_steps(x, rows):
    """X <- (c_0 I + c_1 G + ... + c_q G^q) X, G = X X^H, of a lifted wide X, term by term."""
    import flint

    if x.nrows() > x.ncols():
        return adjoint_hp(exact_steps(adjoint_hp(x), rows))
    m = x.nrows()
    for row in rows:
        g = x * adjoint_hp(x)
        power, p = flint.acb_mat(m, m, [int(i == j) for i in range(m) for j in range(m)]), flint.acb_mat(m, m)
        for c in row.numerator:
            p, power = p + power * flint.acb(flint.fmpq(c.numerator, c.denominator)), power * g
        x = p * x
    return x


def exact(a, rows, how, eps=0.0, eps_rule="add"):
    """X_0 in double precision and X_K in balls."""
    flint = pytest.importorskip("flint", reason="python-flint gives the reference")
    with flint.ctx.workprec(BITS):
        start = exact_normalized(lift(a), how, eps, eps_rule)
        return lower(start), exact_steps(start, rows)


@cache
def known(shape, dtype, rows, how, seed=1, cond=100.0):
    """A drawn matrix with its X_0 and X_K."""
    a = draw(shape, dtype, cond=cond, seed=seed)
    return a, *exact(a, rows, how)


def distance(x, truth):
    """|X - truth| in the Frobenius norm, rounded up; the balls are thinner than 2^-200."""
    import flint

    with flint.ctx.workprec(BITS):
        assert all(float(z.real.rad()) + float(z.imag.rad()) < 2.0**-200 for z in truth.entries())
        squares = (z.real * z.real + z.imag * z.imag for z in (lift(x) - truth).entries())
        return float(sum(squares, flint.arb(0)).upper()) ** 0.5


def product(*factors):
    import flint

    with flint.ctx.workprec(BITS):
        first, *others = map(lift, factors)
        for x in others:
            first = first * x
        return first


# --- limits ------------------------------------------------------------------------------------------------------


def floats(row):
    return [float(c) for c in row.numerator]


def poly(c, g):
    return sum(ck * g**k for k, ck in enumerate(c))


def complete(x, y, degree):
    """x^d + x^(d-1) y + ... + y^d, the divided difference of t^(d+1)."""
    total = 1 + 0 * x * y
    for i in range(1, degree + 1):
        total = total * x + y**i
    return total


def slope(s, rows, square):
    """The derivative's norm max |f[s_i, +-s_j]|, f[s_i, 0]: the product of the steps' p[x, y]."""
    x, y = s[:, None], np.concatenate([s, -s, [] if square else [0.0]])
    product = np.ones((1, 1))
    for c in map(floats, rows):
        product = product * sum(ck * complete(x, y, 2 * k) for k, ck in enumerate(c))
        x, y = (z * poly(c, z**2) for z in (x, y))
    return np.max(abs(product))


def horner_error(c, g, u, stored=0.0):
    """Rounding error of S = c_1 G + ... + c_q G^q by Horner's rule S <- c_k G + G S, G with the eigenvalues g.

    One product of order n, three roundings a coefficient, and the rounding of the result to a format (``stored``).
    """
    n, value = len(g), c[-1] * g
    error = 2 * u * norm(value)
    for ck in c[-2:0:-1]:
        error = max(g) * error + u * ((n + 3) * norm(g) * norm(value) + 3 * abs(ck) * norm(g))
        value = ck * g + g * value
        error += stored * norm(value)
    return error


def standard_limit(s, m, rows, u, start, stored=0.0):
    """X <- c_0 X + X S: errors of G count `gram_slope`, those of S times |X|; one product, three roundings."""
    total = start * slope(s, rows, m == len(s))
    for k, row in enumerate(rows, start=1):
        c, of_g = floats(row), ((m + 2) * u + stored) * norm(s) ** 2
        after = s * poly(c, s**2)
        error = u * ((len(s) + 3) * norm(s) * norm(after - c[0] * s) + 3 * abs(c[0]) * norm(s)) + stored * norm(after)
        if len(c) > 1:
            error += of_g * gram_slope(s, [row]) + max(s) * horner_error(c, s**2, u, stored)
        s = abs(after)
        total += error * slope(s, rows[k:], m == len(s))
    return 2 * total


def remaining(s, rows):
    """R(G) = f(s)/s, the product of the p_k(G_k)."""
    value = np.ones_like(s)
    for c in map(floats, rows):
        value, s = value * poly(c, s**2), s * poly(c, s**2)
    return value


def gram_slope(s, rows):
    """max_ij |s_i R[g_i, g_j]|: what an error of G does to X R(G).

    Of products, (v w)[x, y] = v[x, y] w(x) + v(y) w[x, y]; of compositions, p(h)[x, y] = p[h(x), h(y)] h[x, y].
    """
    x, y = s[:, None] ** 2, s**2  # G_k at both points
    inside, value, divided = np.ones((1, 1)), np.ones_like(s), np.zeros((1, 1))  # G_k[x, y], R(y), R[x, y]
    for c in map(floats, rows):
        px, py = poly(c, x), poly(c, y)
        p = inside * sum(ck * complete(x, y, k - 1) for k, ck in enumerate(c) if k)
        value, divided = value * py, divided * px + value * p
        inside = inside * px**2 + y * p * (px + py)
        x, y = x * px**2, y * py**2
    return np.max(abs(s[:, None] * divided))


def gram_limit(s, m, rows, u, start, restarts=()):
    """X = X_0 Q, Q <- Q P, G <- P G P: errors of Q count |X_0||R|, those of G `gram_slope`, between restarts."""
    n, total = len(s), start * slope(s, rows, m == len(s))
    cuts = [0, *sorted(restarts), len(rows)]
    for first, last in pairwise(cuts):
        segment = rows[first:last]
        x, q, errors = s, np.ones(n), (m + 2) * u * norm(s) ** 2 * gram_slope(s, segment)
        for k, c in enumerate(map(floats, segment), start=1):
            g, p = x**2, poly(c, x**2)
            of_p = (horner_error(c, g, u) if len(c) > 1 else 0.0) + u * (3 * abs(c[0]) * n**0.5 + norm(p))
            of_q = max(abs(q)) * of_p + (n + 2) * u * norm(q) * norm(p)
            two_products = norm(p) * norm(g) * max(abs(p)) + norm(p * g) * norm(p)
            of_g = 2 * max(abs(p * g)) * of_p + (n + 2) * u * two_products
            x, q = abs(x * p), q * p
            errors += of_q * max(s) * max(abs(remaining(x, segment[k:]))) + of_g * gram_slope(x, segment[k:])
        total += (errors + (n + 2) * u * norm(s) * norm(q)) * slope(x, rows[last:], m == n)
        s = x
    return 2 * total


def start_error(a, how, u, s):
    """Error of X_0 = A/t: |X_0| times the relative error of t and three roundings; for "aol" the worst column's.

    Frobenius: a sum of 2mn squares; Schatten-4: the product A^H A, and a sum of n^2; spectral: LAPACK's SVD is
    backward stable with a modest constant, 10 max(m, n) u; AOL: row sums of |G_ij|, whose entries cancel.
    """
    x = a.astype(np.result_type(a, np.float64))
    x = x / (np.max(abs(x)) or 1.0)
    x = x if a.shape[0] > a.shape[1] else ct(x)
    (m, n), gram = x.shape, abs(ct(x) @ x)
    relative = {
        "frobenius": lambda: m * n + 4,
        "schatten4": lambda: ((m + 2) * norm(x) ** 2 / norm(gram) + n * n + 4) / 2 + 2,
        "spectral": lambda: 10 * m,
        "aol": lambda: ((m + 2) * np.max(np.sum(abs(x.T) @ abs(x), 0) / np.sum(gram, 0)) + n) / 2 + 2,
        "none": lambda: -3,
    }[how.kind]()
    return (relative + 3) * u * norm(s)


def limit(a, start, rows, how, form="standard", restarts=()):
    """Of the error of the computed X_K; ``start`` is X_0."""
    u, s = float(np.finfo(a.dtype).eps) / 2, np.linalg.svd(start)[1]
    by_form = partial(gram_limit, restarts=restarts) if form == "gram" else standard_limit
    return by_form(s, max(a.shape), rows, u, start_error(a, how, u, s))


def matrices(*stacks):
    return zip(*(x.reshape(-1, *x.shape[-2:]) for x in stacks), strict=True)


def integers(shape, dtype, bits=10, seed=3):
    """Integers below 2^bits in size: products with dyadic unitaries and powers of two are exact."""
    return np.round(2.0**bits * draw(shape, dtype, cond=30.0, seed=seed)).astype(dtype)


# --- every schedule, normalization, form, dtype and shape ---------------------------------------------------------


# a real format of one precision and a complex one of the other; all four where less is varied
BOTH = ["float64", "complex64", *(pytest.param(x, marks=pytest.mark.exhaustive) for x in ("float32", "complex128"))]


@pytest.mark.parametrize("dtype", BOTH)
@pytest.mark.parametrize("name", names())
def test_schedules(name, dtype):
    """As shipped: the published number of steps and normalization."""
    schedule = get(name)
    rows, how = schedule.steps(), schedule.normalization
    for shape in SHAPES[:3]:
        a, start, x = known(shape, dtype, rows, how)
        for form, restart in FORMS:
            got = newton_schulz(a, name, form=form, restart=restart)
            assert distance(got, x) <= limit(a, start, rows, how, form, restart), (shape, form, restart)


@pytest.mark.parametrize("dtype", BOTH)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["muon", "newton-schulz-9"])
def test_normalizations(name, kind, dtype):
    schedule = get(name)
    rows, how = schedule.steps(4), Normalization(kind, "1.01")
    for shape in SHAPES:
        a, start, x = known(shape, dtype, rows, how, seed=2)
        for form, restart in FORMS:
            got = newton_schulz(a, schedule, steps=4, normalize=how, form=form, restart=restart)
            assert distance(got, x) <= limit(a, start, rows, how, form, restart), (shape, form, restart)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(24, 24), (30, 12), (12, 30), (600, 2), (2, 1030)])
def test_larger(shape, kind):
    """The last two take the Gram matrix in blocks of rows."""
    rows, how = get("muon").steps(), Normalization(kind)
    a, start, x = known(shape, "float64", rows, how)
    for form, restart in FORMS:
        got = newton_schulz(a, normalize=kind, form=form, restart=restart)
        assert distance(got, x) <= limit(a, start, rows, how, form, restart), form


@pytest.mark.parametrize("form", ["standard", "gram"])
def test_degrees_mixed(form):
    """Rows of degree 1 (a scaling), 3, 5, 9 and 1 again."""
    rows = [["0.75"], ["1.5", "-0.5"], ["3.4445", "-4.7750", "2.0315"], ["2.4", "-3", "3", "-1.8", "0.4"], ["1.25"]]
    schedule = Schedule.of("mixed", rows)
    for shape in SHAPES:
        a, start, x = known(shape, "complex128", schedule.rows, schedule.normalization)
        got = newton_schulz(a, schedule, form=form)
        assert distance(got, x) <= limit(a, start, schedule.rows, schedule.normalization, form)


@pytest.mark.parametrize("restart", [(1,), (4, 2), (1, 2, 3, 4)])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_restarts(dtype, restart):
    schedule = get("muon")
    rows, how = schedule.steps(), schedule.normalization
    for shape in SHAPES[:3]:
        a, start, x = known(shape, dtype, rows, how)
        got = newton_schulz(a, form="gram", restart=restart)
        assert distance(got, x) <= limit(a, start, rows, how, "gram", restart)


@pytest.mark.parametrize("form", ["standard", "gram"])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_steps_compose(dtype, form):
    """A restart is what two calls do, to the last bit; without it the Gram form rounds differently."""
    a, rows = draw((7, 4), dtype), get("you-5").steps()
    once = newton_schulz(a, "you-5", form=form, restart=(2,) if form == "gram" else ())
    first = newton_schulz(a, "you-5", steps=2, form=form)
    np.testing.assert_array_equal(newton_schulz(first, Schedule("", rows[2:]), normalize="none", form=form), once)
    assert form == "standard" or not np.array_equal(newton_schulz(a, "you-5", form="gram"), once)


@pytest.mark.parametrize(
    ("name", "steps", "order"),
    [
        ("you-5", 7, (0, 1, 2, 3, 4, 0, 1)),  # cycles
        ("aol-a", 5, (0, 1, 2, 3, 0)),
        ("polar-express", 3, (0, 1, 2)),
        ("polar-express", 9, (0, 1, 2, 3, 4, 5, 6, 7, 7)),  # repeats
        ("two-step-tail", 3, (0, 0, 0)),
        ("cubic5", 4, (0, 1, 2, 3)),  # stops
        ("muon", 1, (0,)),
    ],
)
def test_which_rows(name, steps, order):
    schedule = get(name)
    rows = tuple(schedule.rows[i] for i in order)
    a, start, x = known((4, 3), "float64", rows, schedule.normalization)
    for form in ("standard", "gram"):
        got = newton_schulz(a, name, steps=steps, form=form)
        assert distance(got, x) <= limit(a, start, rows, schedule.normalization, form)


@pytest.mark.parametrize("name", ["you-6", "cubic5", "aol-b", "polar-express-gram"])
def test_past_the_last_row(name):
    count = len(get(name).rows)
    with pytest.raises(ValueError, match=rf"^steps={count + 1}: schedule '{name}' has {count} rows"):
        newton_schulz(np.eye(2), name, steps=count + 1)


@pytest.mark.parametrize("form", ["standard", "gram"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_no_steps(dtype, kind, form):
    """The normalized matrix."""
    how = Normalization(kind, "1.01")
    for shape in SHAPES:
        a, _, x = known(shape, dtype, (), how)
        got = newton_schulz(a, steps=0, normalize=how, form=form)
        s = np.linalg.svd(lower(x))[1]
        assert distance(got, x) <= start_error(a, how, float(np.finfo(dtype).eps) / 2, s)


def test_default_normalization():
    """The schedule's, with its factor; an explicit one replaces it, factor and all."""
    a = np.diag([3.0, 4.0])
    for name, expected in (
        ("muon", a / 5),
        ("polar-express", a / Fraction("5.05")),
        ("polar-express-nanogpt", a / 5.1),
        ("aol-a", np.eye(2)),
    ):
        np.testing.assert_allclose(newton_schulz(a, name, steps=0), expected.astype(float), rtol=1e-15)
    np.testing.assert_array_equal(newton_schulz(a, "polar-express", steps=0, normalize="frobenius"), a / 5)
    np.testing.assert_array_equal(newton_schulz(a, steps=0, normalize=Normalization("spectral", 2)), a / 8)
    np.testing.assert_array_equal(newton_schulz(a, "polar-express", steps=0, normalize="none"), a)


# --- eps ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [0, -60, 60, -1000, 900])
@pytest.mark.parametrize(
    ("kind", "factor", "eps", "eps_rule", "t"),
    [
        ("frobenius", 1, 3.0, "add", 8),
        ("frobenius", 2, 6.0, "add", 16),
        ("frobenius", 2, 16.0, "clamp", 16),
        ("frobenius", 2, 4.0, "clamp", 10),
        ("schatten4", 2, 6.0, "add", 16),
        ("schatten4", 1, 8.0, "clamp", 8),
        ("schatten4", 1, 4.0, "clamp", 5),
        ("spectral", 2, 6.0, "add", 16),
        ("spectral", 1, 8.0, "clamp", 8),
        ("spectral", 1, 2.0, "clamp", 5),
    ],
)
def test_eps_in_fractions(kind, factor, eps, eps_rule, t, k):
    """X = A/t, t = factor |A| + eps or max(factor |A|, eps): |A| = 5 for the row (3, 4), and eps scales with A.

    t is exact but for the SVD of "spectral" (10 n u), the quotient is rounded once.
    """
    a = np.array([[3.0, 4.0]]) * 2.0**k
    how = Normalization(kind, factor)
    got = newton_schulz(a, steps=0, normalize=how, eps=eps * 2.0**k, eps_rule=eps_rule)
    errors = [abs(Fraction(float(x)) - Fraction(numerator, t)) * t for x, numerator in zip(got[0], (3, 4), strict=True)]
    assert max(errors) <= 4 * (21 if kind == "spectral" else 1) * Fraction(2) ** -53


@pytest.mark.parametrize("k", [0, -60, 60, -500, 450])
@pytest.mark.parametrize(("eps", "eps_rule", "squares"), [(19.0, "add", (64, 68)), (47.0, "clamp", (47, 49))])
def test_eps_of_aol(eps, eps_rule, squares, k):
    """t_i^2 = sum_j |G_ij| + eps, eps in the units of A^2: rows (3, 4, 0) and (0, 5, 2), |G| = [[25, 20], [20, 29]].

    Square root and quotient are rounded: two units in the last place.
    """
    a = np.array([[3.0, 4.0, 0.0], [0.0, 5.0, 2.0]])
    got = newton_schulz(a * 2.0**k, steps=0, normalize="aol", eps=eps * 4.0**k, eps_rule=eps_rule)
    np.testing.assert_array_max_ulp(got, a / np.sqrt(squares)[:, None], 2)


@pytest.mark.parametrize("eps_rule", ["add", "clamp"])
@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_eps(dtype, kind, eps_rule):
    """Below, about and above the norm (its square for "aol"), against the truth."""
    rows, how = get("muon").steps(), Normalization(kind, "1.01")
    for shape in SHAPES[:3]:
        a = draw(shape, dtype, cond=10.0, seed=5)
        for eps in (1e-3, 0.75, 5.0):
            start, x = exact(a, rows, how, eps, eps_rule)
            got = newton_schulz(a, normalize=how, eps=eps, eps_rule=eps_rule)
            assert distance(got, x) <= limit(a, start, rows, how), (shape, eps)


@pytest.mark.parametrize("eps_rule", ["add", "clamp"])
@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
@pytest.mark.parametrize("k", [-40, -75, -100])
def test_far_below_eps(k, dtype, kind, eps_rule):
    """A/eps times the slope at 0, to the relative precision of everything else: all limits are homogeneous."""
    rows, how = get("muon").steps(), Normalization(kind)
    a = draw((4, 3), dtype, cond=10.0, seed=5) * np.dtype(dtype).type(2.0**k).real
    start, x = exact(a, rows, how, 1e-7, eps_rule)
    got = newton_schulz(a, normalize=how, eps=1e-7, eps_rule=eps_rule)
    assert distance(got, x) <= limit(a, start, rows, how)


@pytest.mark.parametrize("eps_rule", ["add", "clamp"])
@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_eps_that_overflows_in_units_of_a(dtype, kind, eps_rule):
    """Beside eps = 4 a subnormal matrix has no norm: t = 4, and 2 for AOL, where eps is in units of A^2."""
    x = (np.arange(1, 13).reshape(4, 3) * np.finfo(dtype).smallest_subnormal).astype(dtype)
    a = x * (2 if kind == "aol" else 4)
    assert np.array_equal(newton_schulz(a, steps=0, normalize=kind, eps=4.0, eps_rule=eps_rule), x)
    factor = Normalization(kind, 3)  # of t in AOL, of the norm elsewhere
    threefold = newton_schulz(a * (3 if kind == "aol" else 1), steps=0, normalize=factor, eps=4.0, eps_rule=eps_rule)
    assert np.array_equal(threefold, x)


@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_a_factor_that_overflows(dtype, kind):
    """X = A/t is below every number, with eps and without."""
    largest = float(np.finfo(dtype).max)
    for eps in (0.0, 1e-7):
        got = newton_schulz(1e3 * draw((4, 3), dtype, seed=5), normalize=Normalization(kind, largest), eps=eps)
        assert np.max(np.abs(got)) <= 1e6 / largest


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["standard", "gram"])
@pytest.mark.parametrize("options", [{}, {"eps": 1e-7}, {"eps": 1e-7, "eps_rule": "clamp"}, {"precision": "bfloat16"}])
def test_zero(options, kind, form):
    for dtype in NUMPY.dtypes:
        for shape in SHAPES:
            got = newton_schulz(np.zeros(shape, dtype), normalize=kind, form=form, **options)
            assert got.dtype == dtype and got.shape == shape and not got.any()


@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_zero_rows_of_aol(dtype):
    """They stay zero; the others are what they are without them."""
    a = draw((3, 5), dtype, seed=6)
    wide = np.insert(a, 1, 0, axis=0)
    start, x = exact(a, get("aol-a").steps(), Normalization("aol"))
    for form in ("standard", "gram"):
        got = newton_schulz(wide, "aol-a", form=form)
        assert not got[1].any()
        assert distance(got[[0, 2, 3]], x) <= limit(a, start, get("aol-a").steps(), Normalization("aol"), form)


# --- AOL ---------------------------------------------------------------------------------------------------------


def hostile(dtype):
    yield np.ones((4, 6), dtype)  # rank one: the norm is exactly 1
    yield np.ones((6, 6), dtype)
    yield np.outer([1, -2, 3, 5], [1, 1, 7, 2]).astype(dtype)
    yield np.vander(np.arange(1, 6)).astype(dtype)
    yield np.tri(7, dtype=dtype)
    yield np.eye(5, dtype=dtype) + np.eye(5, k=1, dtype=dtype)
    yield (2.0 ** -np.arange(8)[:, None] * gaussian((8, 9), dtype, 1)).astype(dtype)
    for seed in range(20):
        yield gaussian((5, 5 + seed), dtype, seed)


@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_aol_is_a_contraction(dtype):
    """|X|_2 <= 1 by Gershgorin's theorem, up to the error of X_0; attained by matrices of ones."""
    for a in hostile(dtype):
        for x in (newton_schulz(a, steps=0, normalize="aol"), ct(newton_schulz(ct(a), steps=0, normalize="aol"))):
            s = np.linalg.svd(x.astype(np.result_type(dtype, np.float64)))[1]
            assert s[0] <= 1 + start_error(a, Normalization("aol"), float(np.finfo(dtype).eps) / 2, s)
    assert abs(newton_schulz(np.ones((4, 6), dtype), steps=0, normalize="aol")[0, 0] ** 2 * 24 - 1) < 1e-6


@pytest.mark.parametrize("dtype", NUMPY.dtypes)
@pytest.mark.parametrize("shape", [(4, 4), (4, 6), (6, 4)])
@pytest.mark.parametrize("power", [0, 1, 4])
def test_aol_of_a_diagonal(shape, dtype, power):
    """d_i/|d_i|: the square is rounded, the root, the quotient, in complex arithmetic twice."""
    d = gaussian((4,), dtype, 2) * (10.0 ** (power * np.arange(4))).astype(dtype)
    a = np.zeros(shape, dtype)
    a[range(4), range(4)] = d
    x = newton_schulz(a, steps=0, normalize="aol")
    assert np.count_nonzero(x) == 4
    assert np.max(abs(np.diagonal(x) - d / abs(d))) <= 4 * np.finfo(dtype).eps


@pytest.mark.parametrize(("dtype", "tiny"), [("float32", 1e-23), ("float64", 1e-170), ("complex128", 1e-250j)])
def test_aol_of_rows_of_very_different_size(dtype, tiny):
    """The square of the second row underflows beside the first one; the row is not zero."""
    eps = np.finfo(dtype).eps
    x = newton_schulz(np.diag(np.array([1, tiny], dtype)), steps=0, normalize="aol")
    assert np.max(abs(x - np.diag([1, tiny / abs(tiny)]))) <= 4 * eps
    # r_1 = 5 + 5|tiny|, r_2 = 5|tiny| + 25|tiny|^2: (1, 2)/sqrt 5 and, up to |tiny|, tiny (3, 4)/sqrt(11 |tiny|)
    x = newton_schulz(np.array([[1, 2], [3 * tiny, 4 * tiny]], dtype), steps=0, normalize="aol")
    second = np.array([3, 4]) * (tiny / abs(tiny)) * (abs(tiny) / 11) ** 0.5
    assert np.max(abs(x[0] - np.array([1, 2]) / 5**0.5)) <= 8 * eps
    assert np.max(abs(x[1] - second)) <= 8 * eps * np.max(abs(second))


@pytest.mark.parametrize("shape", [(4, 8), (8, 4)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_aol_sees_one_side_only(shape, dtype):
    """f(A U) = f(A) U for unitary U on the larger side; the rescaled side takes phases and permutations."""
    rows, how = get("aol-a").steps(), Normalization("aol")
    a = integers(shape, dtype)
    a = a if shape[0] < shape[1] else ct(a)
    u = dyadic_unitary(8, dtype, 4)
    permute = np.eye(4, dtype=dtype)[[2, 0, 3, 1]] * ((1, -1, 1j, -1j) if dtype == "complex128" else (1, -1, -1, 1))
    start, _ = exact(a, rows, how)
    bound = 2 * limit(a, start, rows, how)

    def f(x):
        return newton_schulz(x, "aol-a") if shape[0] < shape[1] else ct(newton_schulz(ct(x), "aol-a"))

    assert distance(f(a @ u), product(f(a), u)) <= bound
    assert distance(f(permute @ a), product(permute, f(a))) <= bound


# --- identities ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", NUMPY.dtypes)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("form", "restart"), FORMS)
def test_odd(dtype, kind, form, restart):
    """To the last bit: rounding is symmetric."""
    for shape in SHAPES[:3]:
        a = draw(shape, dtype)
        x, y = (newton_schulz(z, normalize=kind, form=form, restart=restart) for z in (a, -a))
        np.testing.assert_array_equal(y, -x)


@pytest.mark.parametrize("dtype", NUMPY.dtypes)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["standard", "gram"])
def test_conjugate_transpose(dtype, kind, form):
    """f(A^H) = f(A)^H, but for AOL of square matrices, which are rescaled from the left."""
    rows, how = get("muon").steps(), Normalization(kind)
    for shape in SHAPES[1:] if kind == "aol" else SHAPES:
        a, start, _ = known(shape, dtype, rows, how)
        x, y = (newton_schulz(z, normalize=kind, form=form) for z in (a, ct(a)))
        assert norm(ct(y) - x) <= 2 * limit(a, start, rows, how, form)


@pytest.mark.parametrize("kind", ["frobenius", "schatten4", "spectral"])
@pytest.mark.parametrize("form", ["standard", "gram"])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_unitary_invariance(dtype, kind, form):
    """f(U A V) = U f(A) V; integers times quarters: U A V is exact."""
    rows, how = get("muon").steps(), Normalization(kind)
    for m, n in ((8, 8), (8, 5), (5, 8)):
        a = integers((m, n), dtype)
        u, v = dyadic_unitary(m, dtype, 5), dyadic_unitary(n, dtype, 6)
        start, _ = exact(a, rows, how)
        x, y = (newton_schulz(z, normalize=kind, form=form) for z in (a, u @ a @ v))
        assert distance(y, product(u, x, v)) <= 2 * limit(a, start, rows, how, form)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_real_matrices_as_complex_ones(dtype, kind):
    real = {"complex64": "float32", "complex128": "float64"}[dtype]
    rows, how = get("muon").steps(), Normalization(kind)
    for shape in SHAPES[:3]:
        a, start, x = known(shape, real, rows, how)
        for form, restart in FORMS:
            got = newton_schulz(a.astype(dtype), normalize=kind, form=form, restart=restart)
            assert not got.imag.any()
            assert distance(got, x) <= limit(a, start, rows, how, form, restart)


@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize(("form", "restart"), FORMS)
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_powers_of_two_change_nothing(dtype, form, restart, kind):
    """To the last bit, from multiples of the smallest subnormal to the largest exponent."""
    info = np.finfo(dtype)
    smallest = round(np.log2(info.smallest_subnormal))
    for shape in SHAPES:
        a = integers(shape, dtype)
        largest = info.maxexp - 1 - int(np.floor(np.log2(max(np.max(abs(a.real)), np.max(abs(a.imag))))))
        x = newton_schulz(a, normalize=kind, form=form, restart=restart)
        for k in (smallest, smallest + 1, smallest // 2, -30, -17, -1, 1, 17, 30, largest // 2, largest - 1, largest):
            half = k // 2
            scaled = a * info.dtype.type(2.0**half) * info.dtype.type(2.0 ** (k - half))
            got = newton_schulz(scaled, normalize=kind, form=form, restart=restart)
            np.testing.assert_array_equal(got, x, err_msg=f"{shape}, 2^{k}")


# --- stacks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("form", ["standard", "gram"])
def test_mixed_stack(kind, form):
    """Zero, subnormal, huge, rank one and harmless matrices: each as if alone."""
    b = integers((4, 3), "float64")
    harmless = np.stack([np.ones((4, 3)), b, -b[::-1], b])
    a = np.concatenate([np.zeros((1, 4, 3)), harmless * 2.0 ** np.array([0, -1074, 1010, 0])[:, None, None]])
    x = newton_schulz(a, normalize=kind, form=form)
    rows, how = get("muon").steps(), Normalization(kind)
    assert not x[0].any()
    for a_i, x_i in zip(harmless, x[1:], strict=True):
        start, truth = exact(a_i, rows, how) if kind != "spectral" or a_i[0, 0] != 1 else rank_one(a_i, rows)
        assert distance(x_i, truth) <= limit(a_i, start, rows, how, form)


def rank_one(a, rows):
    """Of ones, where the balls do not tell the zero singular values apart: |A|_2 = |A|_F."""
    return exact(a, rows, Normalization("frobenius"))


@pytest.mark.parametrize("options", [{"form": "gram", "restart": (1,)}, {"precision": "bfloat16"}])
def test_empty(options):
    for shape in ((0, 3), (3, 0), (0, 2, 2), (0, 0), (2, 0, 3)):
        assert newton_schulz(np.zeros(shape, "float32"), **options).shape == shape


# --- every backend -------------------------------------------------------------------------------------------------


def grid():
    for backend in BACKENDS:
        for dtype in backend.dtypes:
            for shape in shapes(backend, dtype):
                for count, kind in enumerate(KINDS if backend is not JAX else KINDS[:2]):
                    for form, restart in FORMS[count % 2 :: 2]:
                        label = "-".join(map(str, (backend.name, dtype, *shape, kind, form, *restart)))
                        marks = pytest.mark.exhaustive if backend is JAX else ()
                        yield pytest.param(backend, dtype, shape, kind, form, restart, id=label, marks=marks)


def shapes(backend, dtype):
    if backend is JAX:  # compiles every operation for every shape and dtype
        return [(2, 3, 6)] if dtype == "complex64" else []
    if backend in (STRICT, DEVICE1, NO_FLOAT64):  # NumPy's arithmetic: what matters is that nothing is refused
        return {"float32": [(5, 5)], "complex64": [(6, 3)], "complex128": [(2, 3, 6)]}.get(dtype, [])
    return [(5, 5), (6, 3), (2, 3, 6)]


@cache
def known_stack(shape, dtype, kind):
    a = draw(shape, dtype, cond=100.0, seed=9)
    return a, [exact(a_i, get("muon").steps(), Normalization(kind)) for (a_i,) in matrices(a)]


@pytest.mark.parametrize(("backend", "dtype", "shape", "kind", "form", "restart"), list(grid()))
def test_backends(backend, dtype, shape, kind, form, restart):
    backend.require()
    before, truths = known_stack(shape, dtype, kind)
    a = backend.asarray(before)
    x = newton_schulz(a, normalize=kind, form=form, restart=restart)
    assert type(x) is type(a) and x.dtype == a.dtype and x.device == a.device and tuple(x.shape) == shape
    assert backend.to_numpy(a).tobytes() == before.tobytes()
    rows, how = get("muon").steps(), Normalization(kind)
    for (a_i, x_i), (start, truth) in zip(matrices(before, backend.to_numpy(x)), truths, strict=True):
        assert distance(x_i, truth) <= limit(a_i, start, rows, how, form, restart)


@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize(("dtype", "k"), [("float64", -1074), ("complex128", -1074), ("float32", -149)])
@pytest.mark.parametrize("backend", [STRICT, TORCH], ids=lambda x: x.name)
def test_subnormal_on_other_backends(backend, dtype, k, kind):
    backend.require()
    a = integers((4, 3), dtype)
    x = newton_schulz(backend.asarray(a), normalize=kind)
    tiny = newton_schulz(backend.asarray(a * a.real.dtype.type(2.0**k)), normalize=kind)
    np.testing.assert_array_equal(backend.to_numpy(tiny), backend.to_numpy(x))


# --- outside the domain ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["standard", "gram"])
@pytest.mark.parametrize("size", [10.0, 1e100, 1e300])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_overflow(form, size, dtype):
    """f grows like x^(5^5) beyond what the schedule tolerates."""
    a = np.stack([np.eye(3), np.eye(3) * size, np.eye(3)]).astype(dtype)[:, None]
    with pytest.raises(OutsideDomain, match=r"^the iteration overflows.*, batch index \(1, 0\)$"):
        newton_schulz(a, normalize="none", form=form)
    with pytest.raises(OutsideDomain, match=r"values$"):
        newton_schulz(a[1, 0], normalize="none", form=form)


def test_overflow_of_a_bad_factor():
    """|A|_F/1000: singular values of 1000."""
    with pytest.raises(OutsideDomain, match="iteration overflows"):
        newton_schulz(np.eye(2), normalize=Normalization("frobenius", "1e-3"), steps=8)


# --- what is refused -------------------------------------------------------------------------------------------------

RATIONAL = Schedule("halley", (Row((Fraction(3), Fraction(1)), (Fraction(1), Fraction(3))),))


@pytest.mark.parametrize("schedule", [RATIONAL, qdwh(0.1)])
def test_rational_schedule(schedule):
    with pytest.raises(ValueError, match="is rational"):
        newton_schulz(np.eye(2), schedule)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eps": "1e-7"}, "^eps must be a number, not str"),
        ({"eps": None}, "^eps must be a number, not NoneType"),
        ({"eps": 1j}, "^eps must be a number, not complex"),
        ({"eps": np.array([1.0, 2.0])}, "^eps must be a number, not ndarray"),
        ({"restart": 2, "form": "gram"}, "^restart must be a sequence of steps, not int"),
        ({"restart": np.array([1, 2]), "form": "gram"}, "^restart must be a sequence of steps, not ndarray"),
    ],
)
def test_wrong_type_of_option(options, message):
    with pytest.raises(TypeError, match=message):
        newton_schulz(np.eye(2), **options)


@pytest.mark.parametrize("schedule", [3, None, ((1.5, -0.5),), get("muon").rows[0]])
def test_not_a_schedule(schedule):
    with pytest.raises(TypeError, match=rf"^schedule must be a name or a Schedule, not {type(schedule).__name__}"):
        newton_schulz(np.eye(2), schedule)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": -1}, r"^steps=-1 is not a number of steps"),
        ({"steps": 2.0}, r"^steps=2.0 is not"),
        ({"steps": True}, r"^steps=True is not"),
        ({"eps": -1e-7}, r"^eps=-1e-07 is not a finite number from 0 on"),
        ({"eps": float("nan")}, r"^eps=nan is not"),
        ({"eps": float("inf")}, r"^eps=inf is not"),
        ({"precision": "tf32"}, r"^precision='tf32' is not one of 'bfloat16', 'float16', 'float32'"),
        ({"precision": "float64"}, r"^precision='float64' is not one of"),
        ({"restart": (1,)}, r"^restart belongs to form='gram'"),
        ({"restart": (0,), "form": "gram"}, r"^restart=0 is not a step between 1 and 4"),
        ({"restart": (2, 5), "form": "gram"}, r"^restart=5 is not a step between 1 and 4"),
        ({"restart": (2,), "form": "gram", "steps": 2}, r"^restart=2 is not a step between 1 and 1"),
        ({"restart": (-1,), "form": "gram"}, r"^restart=-1 is not"),
        ({"restart": (1.0,), "form": "gram"}, r"^restart=1.0 is not"),
        ({"restart": (True,), "form": "gram"}, r"^restart=True is not"),
    ],
)
def test_wrong_option(options, message):
    for shape in ((2, 2), (0, 2)):  # also where there is nothing to do
        with pytest.raises(ValueError, match=message):
            newton_schulz(np.ones(shape), **options)


def test_normalize_is_a_name_or_a_normalization():
    with pytest.raises(TypeError, match="normalize must be a name or a Normalization, not int"):
        newton_schulz(np.eye(2), normalize=2)
