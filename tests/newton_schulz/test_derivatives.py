"""newton_schulz_jvp and newton_schulz_vjp against 400-bit central differences, by adjointness and by identities.

Limits, to first order, in Frobenius norms and per unit of the direction. The normalization maps E to X_dot/|E| of at
most `start` with an error that is bounded in `start_limits`; the derivative of the polynomial errs by

  * the error of X_k times the norm of the second derivative of the steps that follow, `curvature`,
  * the rounding errors of a step's products, |fl(A B) - A B| <= (k + 2) u |A||B|,
  * for the singular values: the backward error of LAPACK's SVD, 10 max(m, n) u |X|, and the rounding of the divided
    differences, bounded by the same sums in absolute values,

each carried on by the slope of the steps that follow (`slope` of test_iteration), doubled for the higher orders. The
pull-back is the same two maps in the other order. Measured: errors stay below 0.02 of the limit; in double precision
the limit is about 1e-10 of the derivative. In single precision matrices are well conditioned and steps are few, so
that limits stay below 0.03 of the derivative.
"""

from functools import cache

import numpy as np
import pytest
from backends import NUMPY, ct, draw, gaussian, norm
from exact import BITS, exact_polar, lift, lower
from newton_schulz.test_iteration import (
    KINDS,
    complete,
    distance,
    exact_normalized,
    exact_steps,
    floats,
    matrices,
    poly,
    slope,
    start_error,
)

from orthoref import OutsideDomain, newton_schulz_jvp, newton_schulz_vjp
from orthoref.schedules import Normalization, Row, Schedule, get

pytestmark = pytest.mark.sample(6)

METHODS = ("iteration", "singular-values")
SHAPES = [(4, 4), (5, 3), (3, 5), (1, 1), (1, 4), (4, 1)]


def inner(x, y):
    return float(np.sum(np.conj(x).astype("complex128") * y).real)


# --- truth -------------------------------------------------------------------------------------------------------


def exact_derivative(a, e, rows, how, eps=0.0, eps_rule="add"):
    """X_0 in double precision and the derivative in balls: the step 2^-100 leaves an error of 2^-200 |f'''||E|^3."""
    flint = pytest.importorskip("flint", reason="python-flint gives the reference")
    with flint.ctx.workprec(BITS):
        t = flint.acb(flint.arb(2) ** -100)
        up, down = (exact_steps(exact_normalized(lift(a) + lift(e) * h, how, eps, eps_rule), rows) for h in (t, -t))
        return lower(exact_normalized(lift(a), how, eps, eps_rule)), (up - down) * (1 / (2 * t))


@cache
def known(shape, dtype, rows, how, eps=0.0, eps_rule="add", spectrum="geometric", cond=30.0):
    a, e = draw(shape, dtype, spectrum=spectrum, cond=cond, seed=1), gaussian(shape, dtype, 2)
    return a, e, *exact_derivative(a, e, rows, how, eps, eps_rule)


def start_of(a, how):
    """X_0: of this only the size matters."""
    return exact_derivative(a, 0 * a, (), how)[0]


# --- limits ------------------------------------------------------------------------------------------------------


def start_limits(a, start, how, u):
    """Norm of the normalization's derivative and of its error: X_dot = (E - X <g, E>)/t, |g| <= factor."""
    s, f = np.linalg.svd(start)[1], float(how.factor)
    if how.kind == "none":
        return 1.0, 0.0
    x, y = (z if a.shape[0] > a.shape[1] else ct(z) for z in (a.astype(np.result_type(a, np.float64)), start))
    m, n = x.shape
    of_t = start_error(a, how, u, s) / norm(s)
    if how.kind == "aol":
        columns, scaled = np.linalg.norm(x, axis=0), np.linalg.norm(y, axis=0)
        t, gram = columns / scaled, abs(ct(x) @ x)
        # r_j = sum_i Re(conj(sgn G_ij) G_dot_ij), |G_dot_ij| <= |e_i||a_j| + |a_i||e_j|; X_j f^2 r_j/2t^2
        of_r = n**0.5 * columns + np.sum(columns)
        loss = norm(scaled * f**2 / (2 * t**2) * of_r)
        of_signs = (m + 4) * u * np.max(abs(x.T) @ abs(x) / gram)
        return np.max(1 / t) + loss, np.max((of_t + 3 * u) / t) + loss * (of_signs + (m + n + 10) * u + 3 * of_t)
    t, size = norm(a) / norm(s), np.linalg.svd(x)[1]
    of_gradient = {
        "frobenius": lambda: of_t,
        "schatten4": lambda: 3 * of_t + (m + n + 4) * u * (norm(size) / norm(size**2) ** 0.5) ** 3,
        "spectral": lambda: 40 * m * u * size[0] / (size[0] - (size[1] if n > 1 else 0.0)),  # Wedin's theorem
    }[how.kind]()
    along = f * norm(s)
    return (1 + along) / t, (of_t + u + along * (3 * of_t + (m * n + 6) * u + of_gradient)) / t


def curvature(s, rows, square):
    """Norm of the second derivative: of f at [[0, X], [X^H, 0]], 2 max |f[x, y, z]| over its eigenvalues +-s and 0.

    The directions of that matrix have sqrt(2) times the norm. p(h)[x, y, z] = p[hx, hy, hz] h[x, y] h[x, z]
    + p[hy, hz] h[x, y, z], hx = h(x).
    """
    z = np.concatenate([s, -s, [] if square else [0.0]])
    x, y = z[:, None, None], z[:, None]
    xy, yz, xz, xyz = 1.0, 1.0, 1.0, 0.0
    for c in map(floats, rows):
        p_xyz = sum(ck * x**i * complete(y, z, 2 * k - 1 - i) for k, ck in enumerate(c) for i in range(2 * k))
        p_xy, p_yz, p_xz = (
            sum(ck * complete(v, w, 2 * k) for k, ck in enumerate(c)) for v, w in ((x, y), (y, z), (x, z))
        )
        xyz = p_xyz * xy * xz + p_yz * xyz
        xy, yz, xz = xy * p_xy, yz * p_yz, xz * p_xz
        x, y, z = (v * poly(c, v**2) for v in (x, y, z))
    return 2 * 2**0.5 * np.max(abs(xyz))


def step_errors(c, s, m, e, u):
    """Rounding errors of X <- c_0 X + X S and of E <- c_0 E + E S + X S_dot for |E| = e."""
    n, sigma, g = len(s), max(s), s**2
    if len(c) == 1:
        return 2 * u * abs(c[0]) * norm(s), 2 * u * abs(c[0]) * e
    of_g, of_g_dot, g_dot = (m + 2) * u * norm(s) ** 2, 2 * (m + 3) * u * norm(s) * e, 2 * sigma * e
    value, dot, of_dot = c[-1] * g, abs(c[-1]) * g_dot, abs(c[-1]) * (of_g_dot + 2 * u * g_dot)
    of_s = abs(c[-1]) * of_g + 2 * u * norm(value)
    for k in range(len(c) - 2, 0, -1):
        size = max(abs(value))
        of_dot = (abs(c[k]) + size) * of_g_dot + g_dot * of_s + max(g) * of_dot + of_g * dot
        of_dot += u * ((n + 5) * (g_dot * norm(value) + norm(g) * dot) + 4 * abs(c[k]) * g_dot)
        dot = (abs(c[k]) + size) * g_dot + max(g) * dot
        of_s = (abs(c[k]) + size) * of_g + max(g) * of_s
        of_s += u * ((n + 3) * norm(g) * norm(value) + 3 * abs(c[k]) * norm(g))
        value = c[k] * g + g * value
    of_x = sigma * of_s + u * ((n + 3) * norm(s) * norm(value) + 3 * abs(c[0]) * norm(s))
    of_e = e * of_s + sigma * of_dot + u * ((n + 5) * (e * norm(value) + norm(s) * dot) + 4 * abs(c[0]) * e)
    return of_x, of_e


def difference_errors(s, rows, u, square):
    """max over the pairs of sum_k |error of p_k[x, y]| prod_(l != k) |p_l[x, y]|."""
    x, y = s[:, None], np.concatenate([s, -s, [] if square else [0.0]])
    of_x, of_y, factors, errors = 0 * x, 0 * y, [], []
    for c in map(floats, rows):
        factors.append(abs(sum(ck * complete(x, y, 2 * k) for k, ck in enumerate(c))))
        error = (4 * len(c) + 8) * u * sum(abs(ck) * complete(abs(x), abs(y), 2 * k) for k, ck in enumerate(c))
        for z, of_z in ((x, of_x), (y, of_y)):  # p[z, x, y]
            moves = (ck * z**i * complete(x, y, 2 * k - 1 - i) for k, ck in enumerate(c) for i in range(2 * k))
            error = error + of_z * abs(sum(moves))
        errors.append(error)
        of_x, of_y = (
            of_z * abs(sum((2 * k + 1) * ck * z ** (2 * k) for k, ck in enumerate(c)))
            + (3 * len(c) + 4) * u * sum(abs(ck) * abs(z) ** (2 * k + 1) for k, ck in enumerate(c))
            for z, of_z in ((x, of_x), (y, of_y))
        )
        x, y = (z * poly(c, z**2) for z in (x, y))
    return np.max(sum(error * np.prod(factors[:k] + factors[k + 1 :], axis=0) for k, error in enumerate(errors)))


def limit(a, start, rows, how, method="iteration"):
    """Of the error of the derivative, per unit of the direction or of the cotangent."""
    u, s, m = float(np.finfo(a.dtype).eps) / 2, np.linalg.svd(start)[1], max(a.shape)
    n, square, x = len(s), m == len(s), s
    size, of_size = start_limits(a, start, how, u)
    whole = slope(s, rows, square)
    of_start = start_error(a, how, u, s) + (10 * m * u * norm(s) if method == "singular-values" else 0.0)
    total = of_start * curvature(s, rows, square)
    if method == "singular-values":
        # five products with P and V, of norm sqrt(n)
        total += difference_errors(s, rows, u, square) + (4 * m + 8 * n + 24) * n**0.5 * u * whole
    else:
        for k, row in enumerate(rows, start=1):
            of_x, of_e = step_errors(floats(row), x, m, slope(s, rows[: k - 1], square), u)
            x = abs(x * poly(floats(row), x**2))
            total += of_e * slope(x, rows[k:], square)
            total += of_x * slope(s, rows[:k], square) * curvature(x, rows[k:], square)
    return 2 * (size * total + of_size * whole)


def single(dtype):
    return dtype in ("float32", "complex64")


def problem(name, dtype):
    """Steps and condition number."""
    schedule = get(name)
    return (schedule.steps(2), 3.0) if single(dtype) else (schedule.steps(min(5, schedule.default_steps)), 30.0)


# --- the derivative itself ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "dtype"),
    [*(("muon", dtype) for dtype in NUMPY.dtypes), ("cubic5", "complex128"), ("newton-schulz-9", "float64")],
)
def test_against_400_bits(name, dtype, kind, method):
    (rows, cond), how = problem(name, dtype), Normalization(kind, "1.01")
    for shape in SHAPES if name == "muon" else SHAPES[:3]:
        a, e, start, truth = known(shape, dtype, rows, how, cond=cond)
        got = newton_schulz_jvp(a, e, name, steps=len(rows), normalize=how, method=method)
        assert got.dtype == dtype and distance(got, truth) <= limit(a, start, rows, how, method) * norm(e), shape


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["deepseek-v4", "aol-b", "polar-express", "polar-express-nanogpt", "you-6"])
def test_as_shipped(name, method):
    rows, how = get(name).steps(), get(name).normalization
    for shape in SHAPES[:3]:
        a, e, start, truth = known(shape, "complex128", rows, how)
        got = newton_schulz_jvp(a, e, name, method=method)
        assert distance(got, truth) <= limit(a, start, rows, how, method) * norm(e), shape


@pytest.mark.parametrize("method", METHODS)
def test_degrees_mixed(method):
    """Rows of degree 1, 3, 5, 9 and 1 again, and no rows at all."""
    coefficients = [["0.75"], ["1.5", "-0.5"], ["3.4445", "-4.7750", "2.0315"], ["2.4", "-3", "3", "-1.8", "0.4"], [2]]
    schedule = Schedule.of("mixed", coefficients)
    for steps in (5, 1, 0):
        for shape in SHAPES[:3]:
            rows = schedule.steps(steps)
            a, e, start, truth = known(shape, "complex128", rows, schedule.normalization)
            got = newton_schulz_jvp(a, e, schedule, steps=steps, method=method)
            assert distance(got, truth) <= limit(a, start, rows, schedule.normalization, method) * norm(e), steps


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("eps_rule", ["add", "clamp"])
@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_eps(dtype, kind, eps_rule, method):
    """Below, about and above the norm (its square for "aol"); forward and backward."""
    (rows, cond), how = problem("muon", dtype), Normalization(kind, "1.01")
    for shape in SHAPES[:2]:
        for eps in (0.125, 0.75, 5.0):
            a, e, start, truth = known(shape, dtype, rows, how, eps, eps_rule, cond=cond)
            options = {"steps": len(rows), "normalize": how, "eps": eps, "eps_rule": eps_rule, "method": method}
            bound = limit(a, start, rows, how, method)
            assert distance(newton_schulz_jvp(a, e, **options), truth) <= bound * norm(e)
            x_bar = gaussian(shape, dtype, 3)
            pulled = inner(e, newton_schulz_vjp(a, x_bar, **options))
            assert abs(pulled - inner(lower(truth), x_bar)) <= bound * norm(e) * norm(x_bar)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_vjp_against_400_bits(dtype, kind, method):
    """Entry by entry: <E_ij, A_bar> = <D E_ij, X_bar>."""
    rows, how = get("muon").steps(4), Normalization(kind, "1.01")
    for shape in SHAPES[:3]:
        a, x_bar = draw(shape, dtype, cond=30.0, seed=3), gaussian(shape, dtype, 4)
        a_bar = newton_schulz_vjp(a, x_bar, steps=4, normalize=how, method=method)
        bound = limit(a, start_of(a, how), rows, how, method) * norm(x_bar)
        for i, j in ((0, 0), (shape[0] - 1, 0), (shape[0] // 2, shape[1] - 1)):
            for unit in (1.0, 1j) if a.dtype.kind == "c" else (1.0,):
                e = np.zeros(shape, dtype)
                e[i, j] = unit
                truth = exact_derivative(a, e, rows, how)[1]
                assert abs(inner(e, a_bar) - inner(lower(truth), x_bar)) <= bound


def jacobians(a, schedule, how, method):
    """The matrix of the derivative in 400 bits, by newton_schulz_jvp and, transposed, by newton_schulz_vjp."""
    rows, shape = get(schedule).steps(), a.shape
    truth, pushed, pulled = [], [], []
    for unit in np.eye(a.size).reshape(-1, *shape):
        truth.append(lower(exact_derivative(a, unit, rows, how)[1]).ravel())
        pushed.append(newton_schulz_jvp(a, unit, schedule, normalize=how, method=method).ravel())
        pulled.append(newton_schulz_vjp(a, unit, schedule, normalize=how, method=method).ravel())
    return np.array(truth).T, np.array(pushed).T, np.array(pulled)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("which", ["column", "row", "tall", "square", "repeated"])
def test_the_vjp_keeps_the_digits_of_the_jvp(which, kind, method):
    """A schedule whose steps stretch by 8 each and contract at the end: in the wrong order 50 to 10000 times the error.

    Ten times the error of the JVP, or its roundings at the end: the sums in (DNORM), 4 |D| (m + n) u.
    """
    shape = {"column": (3, 1), "row": (1, 3), "square": (3, 3)}.get(which, (4, 3))
    a = draw(shape, "float64", cond=3.0, seed=24)
    if which == "repeated":
        p, _, vh = np.linalg.svd(a, full_matrices=False)
        a = p @ np.diag([1.0, 0.5, 0.5]) @ vh
    if kind == "none":
        a = a / (2 * norm(a))
    how = Normalization(kind)
    truth, pushed, pulled = jacobians(a, "polar-express-list", how, method)
    floor = 4 * norm(truth) * sum(a.shape) * 2.0**-53
    assert norm(pulled - truth) <= 10 * norm(pushed - truth) + floor


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["frobenius", "schatten4", "none"])
@pytest.mark.parametrize("spectrum", ["clustered", "repeated", "rank-deficient"])
def test_spectra(spectrum, kind, method):
    rows, how = get("muon").steps(), Normalization(kind)
    for shape in ((6, 6), (7, 5), (5, 7)):
        a, e, start, truth = known(shape, "complex128", rows, how, spectrum=spectrum)
        got = newton_schulz_jvp(a, e, normalize=kind, method=method)
        assert distance(got, truth) <= limit(a, start, rows, how, method) * norm(e), shape


EXACT = ([1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.5, 0.5], [1.0, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["frobenius", "schatten4", "none"])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("s", EXACT, ids=["identity", "repeated", "zeros", "rank one"])
def test_exactly_repeated_and_zero(s, dtype, kind, method):
    """Dyadic matrices with these singular values: nothing is divided by their differences."""
    rows, how = get("muon").steps(), Normalization(kind)
    for m, n in ((4, 4), (6, 4)):
        x = exact_polar(m, n, s, dtype, seed=5)
        e = gaussian((m, n), dtype, 6)
        start, truth = exact_derivative(x.a, e, rows, how)
        bound = limit(x.a, start, rows, how, method)
        assert distance(newton_schulz_jvp(x.a, e, normalize=kind, method=method), truth) <= bound * norm(e)
        flipped = newton_schulz_jvp(ct(x.a), ct(e), normalize=kind, method=method)
        assert distance(ct(flipped), truth) <= bound * norm(e)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["spectral", "aol"])
def test_zero_singular_values(kind, method):
    """A column less: the norm is simple, the Gram matrix full."""
    rows, how = get("muon").steps(), Normalization(kind)
    a = draw((6, 4), "complex128", cond=4.0, seed=7) @ draw((4, 6), "complex128", cond=4.0, seed=8)
    a[:, 0] = a[:, 1]
    e = gaussian((6, 6), "complex128", 9)
    start, truth = exact_derivative(a + 0.0, e, rows, how)
    assert distance(newton_schulz_jvp(a, e, normalize=kind, method=method), truth) <= limit(
        a, start, rows, how, method
    ) * norm(e)


# --- identities ----------------------------------------------------------------------------------------------------


@cache
def bounds(shape, dtype, kind, method):
    (rows, cond), how = problem("muon", dtype), Normalization(kind)
    a = draw(shape, dtype, cond=cond, seed=6)
    return a, [limit(a_i, start_of(a_i, how), rows, how, method) for (a_i,) in matrices(a)], len(rows)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(4, 4), (2, 5, 3), (2, 3, 5)])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_adjoint(dtype, shape, kind, method):
    """<D E, X_bar> = <E, D^* X_bar>, forward by one method and backward by the other: two limits."""
    other = METHODS[1 - METHODS.index(method)]
    (a, forward, steps), (_, backward, _) = bounds(shape, dtype, kind, method), bounds(shape, dtype, kind, other)
    e, x_bar = gaussian(shape, dtype, 7), gaussian(shape, dtype, 8)
    x_dot = newton_schulz_jvp(a, e, steps=steps, normalize=kind, method=method)
    a_bar = newton_schulz_vjp(a, x_bar, steps=steps, normalize=kind, method=other)
    for (e_i, bar_i, dot_i, pulled_i), one, two in zip(
        matrices(e, x_bar, x_dot, a_bar), forward, backward, strict=True
    ):
        assert abs(inner(dot_i, bar_i) - inner(e_i, pulled_i)) <= (one + two) * norm(e_i) * norm(bar_i)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(10, 10), (14, 8), (8, 14), (40, 2)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_methods_agree(dtype, shape, kind):
    """Two derivations of one map, forward and backward."""
    rows, how = get("you-5").steps(), Normalization(kind, "1.01")
    a, e = draw(shape, dtype, cond=50.0, seed=10), gaussian(shape, dtype, 11)
    start = start_of(a, how)
    bound = sum(limit(a, start, rows, how, method) for method in METHODS)
    for derivative in (newton_schulz_jvp, newton_schulz_vjp):
        x, y = (derivative(a, e, "you-5", normalize=how, method=method) for method in METHODS)
        assert norm(x - y) <= bound * norm(e)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_along_a_itself(dtype, kind, method):
    """Homogeneous of degree 0 without eps: D A = 0 and <A, D^* X_bar> = 0; not so with eps."""
    rows, how = get("muon").steps(), Normalization(kind)
    for shape in SHAPES:
        a, x_bar = draw(shape, dtype, cond=30.0, seed=12), gaussian(shape, dtype, 13)
        bound = limit(a, start_of(a, how), rows, how, method) * norm(a)
        assert norm(newton_schulz_jvp(a, a, normalize=kind, method=method)) <= bound
        a_bar = newton_schulz_vjp(a, x_bar, normalize=kind, method=method)
        assert abs(inner(a, a_bar)) <= bound * norm(x_bar)
        assert norm(newton_schulz_jvp(a, a, normalize=kind, method=method, eps=0.5)) > 1e-3


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_linear(kind, method):
    """Over the reals; to the last bit for -2."""
    rows, how = get("muon").steps(), Normalization(kind)
    for shape in SHAPES[:3]:
        a, e, f = draw(shape, "complex128", cond=30.0), *(gaussian(shape, "complex128", seed) for seed in (14, 15))
        bound = limit(a, start_of(a, how), rows, how, method)
        for derivative in (newton_schulz_jvp, newton_schulz_vjp):
            x, y, both, minus = (derivative(a, z, normalize=kind, method=method) for z in (e, f, 3 * e + f, -2 * e))
            assert norm(both - 3 * x - y) <= bound * (3 * norm(e) + norm(f) + norm(3 * e + f))
            np.testing.assert_array_equal(minus, -2 * x)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(("j", "k"), [(0, 30), (30, 0), (-40, -20), (700, 600), (0, -900), (900, 1000), (-1000, -1000)])
def test_powers_of_two(j, k, dtype, kind, method):
    """A 2^k, E 2^j: the derivative times 2^(j-k), to the last bit, and so back."""
    for shape in SHAPES[:3]:
        a, e = draw(shape, dtype, cond=10.0, seed=19), gaussian(shape, dtype, 20)
        for derivative in (newton_schulz_jvp, newton_schulz_vjp):
            x = derivative(a, e, normalize=kind, method=method)
            scaled = derivative(a * 2.0**k, e * 2.0**j, normalize=kind, method=method)
            np.testing.assert_array_equal(scaled, x * 2.0 ** (j - k), err_msg=derivative.__name__)


# --- where there is a derivative and where there is none -----------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("eps_rule", ["add", "clamp"])
@pytest.mark.parametrize("kind", ["frobenius", "schatten4", "spectral"])
def test_zero_matrix_with_eps(kind, eps_rule, method):
    """A/(|A| + eps) = A/eps - A |A|/eps^2 + ...: differentiable at 0, with the derivative E/eps times the slope.

    The coefficients, the quotient and the products: 30 roundings; the SVD of zero has exact factors.
    """
    slope_at_zero = float(get("muon").slope())
    for shape in SHAPES[:3]:
        e = gaussian((2, *shape), "complex128", 21)
        for derivative in (newton_schulz_jvp, newton_schulz_vjp):
            got = derivative(np.zeros_like(e), e, normalize=kind, eps=0.25, eps_rule=eps_rule, method=method)
            assert norm(got - 4 * slope_at_zero * e) <= 30 * 2.0**-53 * norm(4 * slope_at_zero * e)


NO_DERIVATIVE = [
    pytest.param(np.zeros((2, 2)), {}, "a is the zero matrix: its normalization", id="zero"),
    pytest.param(np.zeros((2, 3)), {"eps_rule": "clamp"}, "a is the zero matrix", id="zero, wide"),
    pytest.param(np.zeros((3, 2)), {"normalize": "schatten4"}, "a is the zero matrix", id="zero, Schatten-4"),
    pytest.param(np.zeros((2, 2)), {"normalize": "spectral"}, "a is the zero matrix", id="zero, spectral"),
    pytest.param(np.zeros((2, 2)), {"normalize": "aol"}, "an entry of the Gram matrix is zero", id="zero, AOL"),
    pytest.param(np.diag([1.0, 2.0]), {"normalize": "aol"}, "an entry of the Gram matrix is zero", id="AOL"),
    pytest.param(np.eye(2), {"normalize": "spectral"}, "the largest singular value is not simple", id="spectral"),
    pytest.param(
        np.diag([3.0, 3.0 * (1 - 2**-52), 1.0])[:, [2, 1, 0]], {"normalize": "spectral"}, "not simple", id="near"
    ),
    pytest.param(
        np.diag([3j, -3.0])[:, :, None][..., 0], {"normalize": "spectral"}, "not simple", id="spectral, complex"
    ),
    pytest.param(np.array([[3.0, 4.0]]), {"eps": 5.0, "eps_rule": "clamp"}, "= eps: the clamped norm", id="clamp"),
    pytest.param(
        np.array([[3.0], [4.0]]),
        {"eps": 10.0, "eps_rule": "clamp", "normalize": Normalization("schatten4", 2)},
        "= eps: the clamped norm",
        id="clamp, Schatten-4",
    ),
    pytest.param(
        np.array([[3.0, 4.0, 0.0], [0.0, 5.0, 2.0]]),
        {"eps": 49.0, "eps_rule": "clamp", "normalize": "aol"},
        "a row sum equals eps",
        id="clamp, AOL",
    ),
]


@pytest.mark.parametrize(("a", "options", "message"), NO_DERIVATIVE)
@pytest.mark.parametrize("method", METHODS)
def test_outside_domain(a, options, message, method):
    harmless = gaussian(a.shape, str(a.dtype), 22)
    stack = np.stack([harmless, a, harmless])[:, None]
    for derivative in (newton_schulz_jvp, newton_schulz_vjp):
        with pytest.raises(OutsideDomain, match=rf"{message}.*, batch index \(1, 0\)$"):
            derivative(stack, stack, method=method, **options)
        with pytest.raises(OutsideDomain, match=rf"{message}.*differentiable$"):
            derivative(a, a, method=method, **options)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("eps", "factor"), [(4.999, 1), (5.001, 1), (5, "1.001"), (5, "0.999")])
def test_beside_the_kink(eps, factor, method):
    """factor |A| beside eps, on both sides: the derivative of that side."""
    a, e, how = np.array([[3.0, 4.0]]), np.array([[1.0, -0.5]]), Normalization("frobenius", factor)
    rows = get("muon").steps()
    start, truth = exact_derivative(a, e, rows, how, eps, "clamp")
    got = newton_schulz_jvp(a, e, normalize=how, eps=eps, eps_rule="clamp", method=method)
    assert distance(got, truth) <= limit(a, start, rows, how, method) * norm(e)


@pytest.mark.parametrize("method", METHODS)
def test_none_is_differentiable_everywhere(method):
    """At 0, at equal singular values, with a Gram matrix of zeros: the slope at 0 and at the identity."""
    schedule, e = get("newton-schulz-3"), gaussian((3, 3), "complex128", 23)
    at_zero = newton_schulz_jvp(0 * e, e, schedule, steps=4, normalize="none", method=method)
    assert norm(at_zero - 1.5**4 * e) <= 50 * 2.0**-53 * norm(1.5**4 * e)
    # f(1) = 1, f'(1) = 0, f[1, -1] = 1: the skew part
    at_one = newton_schulz_jvp(np.eye(3) + 0j, e, schedule, steps=4, normalize="none", method=method)
    bound = limit(np.eye(3) + 0j, np.eye(3), schedule.steps(4), Normalization("none"), method)
    assert norm(at_one - (e - ct(e)) / 2) <= bound * norm(e)


@pytest.mark.parametrize("method", METHODS)
def test_overflow(method):
    a = np.stack([np.eye(2), 1e200 * np.eye(2)])
    for derivative in (newton_schulz_jvp, newton_schulz_vjp):
        with pytest.raises(OutsideDomain, match=r"the derivative overflows, batch index \(1,\)"):
            derivative(a, a, normalize="none", method=method)


@pytest.mark.parametrize(("dtype", "k"), [("float32", 80), ("complex128", 600)])
def test_overflow_of_the_scale(dtype, k):
    """The derivative is homogeneous of degree -1 in A and 1 in E: 2^2k where |A| = 2^-k, |E| = 2^k."""
    small, large = (np.ldexp(1.0, power).astype(dtype) for power in (-k, k))
    a, e = gaussian((2, 2), dtype, 1), gaussian((2, 2), dtype, 2)
    for derivative in (newton_schulz_jvp, newton_schulz_vjp):
        with pytest.raises(OutsideDomain, match=r"the derivative overflows, batch index \(1,\)"):
            derivative(np.stack([a, small * a]), np.stack([e, large * e]))
        assert np.array_equal(derivative(small * a, small * e), derivative(a, e))
        assert np.array_equal(derivative(large * a, large * e), derivative(a, e))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_aol_of_rows_of_very_different_size(dtype):
    """To first order, row by row: |y| and |x| sum_i (|x_i||y| + |y_i||x|) t_i/t, times the error of the signs of G."""
    sizes = 2.0 ** np.array([0, -600, -200])[:, None]
    a, e, x_bar = (gaussian((3, 4), dtype, seed) for seed in (1, 2, 3))
    a, e, how = sizes * a, sizes * e, Normalization("aol")
    start, truth = exact_derivative(a, e, (), how)
    x_dot, a_bar = (
        derivative(a, z, steps=0, normalize=how)
        for derivative, z in ((newton_schulz_jvp, e), (newton_schulz_vjp, x_bar))
    )
    t = np.max(abs(a), axis=1) / np.max(abs(start), axis=1)
    x, y = np.linalg.norm(start, axis=1), np.linalg.norm(e / t[:, None], axis=1)
    condition = np.max((abs(a / sizes) @ abs(a / sizes).T) / abs((a / sizes) @ ct(a / sizes)))
    terms = y + x * np.sum((x[:, None] * y + y[:, None] * x) * (t[:, None] / t), axis=0)
    bound = 100 * 2.0**-53 * condition * terms
    assert np.all(np.linalg.norm(x_dot - lower(truth), axis=1) <= bound)
    # <x_dot, x_bar> = <e, a_bar>, row by row because the sizes differ
    left, right = np.sum((ct(x_bar).T * x_dot).real), np.sum((ct(e).T * a_bar).real)
    assert abs(left - right) <= 2 * np.sum(bound * np.linalg.norm(x_bar, axis=1))


RATIONAL = Schedule("halley", (Row((3, 1), (1, 3)),))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": RATIONAL}, "is rational"),
        ({"steps": -1}, "is not a number of steps"),
        ({"schedule": "cubic5", "steps": 6}, "has 5 rows"),
        ({"eps": -1.0}, "is not a finite number from 0 on"),
    ],
)
def test_wrong_option(options, message):
    for derivative in (newton_schulz_jvp, newton_schulz_vjp):
        with pytest.raises(ValueError, match=message):
            derivative(np.eye(2), np.eye(2), **options)


@pytest.mark.parametrize("eps_rule", ["add", "clamp"])
@pytest.mark.parametrize("kind", ["frobenius", "schatten4", "spectral", "aol"])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_eps_that_overflows_in_units_of_a(dtype, kind, eps_rule):
    """Beside eps = 4 a subnormal matrix has no norm: the derivative is that of A/4, of A/2 for AOL."""
    a = (np.arange(1, 13).reshape(4, 3) * np.finfo(dtype).smallest_subnormal).astype(dtype)
    e = draw((4, 3), dtype, cond=10.0, seed=5)
    options = {"steps": 0, "normalize": kind, "eps": 4.0, "eps_rule": eps_rule}
    for derivative in (newton_schulz_jvp, newton_schulz_vjp):
        assert np.array_equal(derivative(a, e, **options), e / (2 if kind == "aol" else 4))
