"""The unit of the finite iteration: result and variances against a simulation of the rounding model."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from orthoref import newton_schulz, newton_schulz_jvp
from orthoref._schedules import presets
from orthoref.oracle import cases
from orthoref.oracle.newton_schulz.claim import iteration
from orthoref.oracle.newton_schulz.ratios import compare
from orthoref.oracle.newton_schulz.rounding_error import (
    COHERENT,
    Arithmetic,
    Carry,
    ColumnNorms,
    Exact,
    Norm,
    Sources,
    Variance,
    _mirrored,
    accumulated,
    alike,
    expected,
    neglected,
    shaken,
)
from orthoref.oracle.precision import PRECISIONS, Precision

pytestmark = pytest.mark.sample(6)

U = 2.0**-18  # fine enough for first order, coarse beside the accumulation of 2^-24
COARSE = Precision("bfloat16", 2 * U, 2.0**-133, 3e38)
FORMS = {"standard": ("standard", ()), "gram": ("gram", ()), "restart": ("gram", (2,))}


def normalized(shape, cond=10.0, seed=3, dtype="float64"):
    a = cases.matrix(shape, cond=cond, seed=seed, dtype=dtype)
    return a / (1.02 * np.linalg.norm(a))


def triangle(y):
    """The lower one, and its mirror image."""
    lower = np.tril(y)
    return lower + np.tril(lower, -1).T


def simulated(x, rows, form, restart, random, fused, side="Q P"):
    """The iteration with every stored entry multiplied by 1 + U z, z of variance 1, written from the model (STORE).

    Not fused, both terms of a sum are stored and then the sum, and P = c_0 I + S is never formed. ``side``: "Q P",
    "P Q", or "one triangle" of all matrices of order n, and its mirror image.
    """

    def store(y):
        return y * (1 + U * random.standard_normal(y.shape))

    def symmetric(y):
        return triangle(store(y)) if side == "one triangle" else store(y)

    def plus(y, z, store=symmetric):
        return store(y + z) if fused else store(store(y) + store(z))

    def times(q, p):
        return p @ q if side == "P Q" else q @ p

    def tail(g, c):
        s = plus(c[-2] * g, c[-1] * (g @ g)) if len(c) > 2 else c[1] * g
        for k in range(len(c) - 3, 0, -1):
            s = plus(c[k] * g, g @ s)
        return s

    x = store(store(x)) * (1 + U * random.standard_normal(3)).prod()
    if form == "standard":
        for c in rows:
            x = plus(c[0] * x, x @ tail(symmetric(x.T @ x), c), store)
        return x
    q, g = None, symmetric(x.T @ x)
    for k, c in enumerate(rows):
        if k in restart:
            x = store(x @ q)
            q, g = None, symmetric(x.T @ x)
        s = tail(g, c)
        p = symmetric(c[0] * np.eye(len(g)) + s)
        if fused:
            q = p if q is None else symmetric(times(q, p))
            g = symmetric(symmetric(p @ g) @ p) if side != "one triangle" else symmetric(p @ symmetric(g @ p))
        else:
            q = p if q is None else plus(c[0] * q, times(q, s))
            h = plus(c[0] * g, g @ s)
            g = plus(c[0] * h, s @ h)
    return store(x @ q)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["jordan", "newton-schulz-3", "newton-schulz-7", "you-6", "polar-express-nanogpt"])
@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (12, 3)])
def test_the_error_is_that_of_the_model(shape, name, form):
    kind, restart = FORMS[form]
    schedule = presets.get(name)
    rows = schedule.steps(min(schedule.default_steps, 6))
    coefficients = [[float(c) for c in row.numerator] for row in rows]
    x = normalized(shape)
    error = expected(x, rows, COARSE, kind, restart)
    random, exact = np.random.RandomState(0), (error.p * error.f) @ error.vh
    sides = ("Q P", "P Q", "one triangle") if kind == "gram" else ("Q P",)
    draws = {
        (fused, side): [simulated(x, coefficients, kind, restart, random, fused, side) - exact for _ in range(50)]
        for fused in (True, False)
        for side in sides
    }
    ratios = {way: np.sqrt(np.mean([np.sum(e**2) for e in seen])) / error.total() for way, seen in draws.items()}
    # variances are averaged over the entries of every stored matrix: exact for none, an upper bound for the total
    # where the largest singular values are those that the remaining steps carry least. The rounding of a sum of
    # stored terms is not counted: with terms of one size a factor (3/2)^(1/2). In the Gram form every entry has the
    # larger variance of both sides, and what one triangle adds: at most 3^(1/2) times the worst of them
    assert all(ratio <= (1.0 if fused else 1.5) for (fused, _), ratio in ratios.items()), ratios
    assert max(ratios[False, side] for side in sides) >= (0.35 if kind == "standard" else 0.35 / 3**0.5), ratios
    for (fused, _), seen in draws.items():
        limit = 2.0 if fused else 2.0 * 1.5**0.5
        inside = np.mean([(error.p.T @ e @ error.vh.T) ** 2 for e in seen], axis=0)
        assert np.all(inside <= limit**2 * error.inside)
        if shape[0] > shape[1]:
            beyond = [(e @ error.vh.T) - error.p @ (error.p.T @ e @ error.vh.T) for e in seen]
            column = np.mean([np.sum(e**2, axis=0) for e in beyond], axis=0) / (shape[0] - shape[1])
            assert np.all(column <= limit**2 * error.outside)


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("n", [1, 4])
def test_independent_entries_are_carried_to_the_end(n, dtype):
    # (CARRY) of variances: independent entries before the first step, entry by entry at the end
    rows = presets.get("you-6").steps(3)
    coefficients = [np.asarray([float(c) for c in row.numerator]) for row in rows]
    s = np.linspace(0.9, 0.2, n) if n > 1 else np.asarray([0.9])
    values = [s]
    for row in rows:
        values.append(row(values[-1]))
    random = np.random.RandomState(1)
    variance = random.uniform(0.1, 1, (n, n))
    seen = 0.0
    for _ in range(3000 if n == 1 else 1500):
        e = random.standard_normal((n, n))
        if dtype == "complex128":
            e = (e + 1j * random.standard_normal((n, n))) / 2**0.5
        e = np.sqrt(variance) * e
        moved = newton_schulz_jvp(
            np.diag(s).astype(dtype), e.astype(dtype), presets.get("you-6"), steps=3, normalize="none"
        )
        seen = seen + np.abs(moved) ** 2
    found = Carry(values, coefficients, dtype == "float64").to_end(0, Variance(variance, np.ones(n))).inside
    ratio = seen / (3000 if n == 1 else 1500) / found
    # a mean of 1500 squares of normal numbers is within 25 % but for one in 10^10
    assert np.all(np.abs(ratio - 1) <= 0.25), ratio


@pytest.mark.parametrize("name", presets.names())
@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (11, 4)])
def test_the_result_is_f_of_the_singular_values(name, shape):
    schedule = presets.get(name)
    for dtype in ("float64", "complex128"):
        x = normalized(shape, dtype=dtype)
        error = expected(x, schedule.steps(), PRECISIONS["float32"])
        s = np.linalg.svd(x, compute_uv=False)
        assert np.allclose(error.s, s, rtol=1e-13, atol=0)
        assert np.allclose(error.f, schedule(s), rtol=1e-11, atol=0)
        assert np.allclose((error.p * error.s) @ error.vh, x, rtol=0, atol=1e-14)
        transcribed = x
        for c in schedule.coefficients():
            g = transcribed.conj().T @ transcribed
            power, step = np.eye(shape[1]), 0
            for coefficient in c:
                step, power = step + coefficient * transcribed @ power, power @ g
            transcribed = step
        assert np.linalg.norm((error.p * error.f) @ error.vh - transcribed) <= 1e-11 * np.linalg.norm(transcribed)


@pytest.mark.parametrize("form", FORMS)
def test_zero_has_no_error(form):
    kind, restart = FORMS[form]
    for shape in ((4, 4), (5, 2), (1, 1)):
        error = expected(np.zeros(shape), presets.get("jordan").steps(), PRECISIONS["float32"], kind, restart)
        assert np.array_equal(error.f, np.zeros(shape[1])) and error.total() == 0


@pytest.mark.parametrize("form", FORMS)
def test_the_unit_is_proportional_to_the_precision(form):
    kind, restart = FORMS[form]
    x, rows = normalized((7, 5)), presets.get("jordan").steps()
    one, other = (expected(x, rows, COARSE._replace(eps=2 * u), kind, restart).total() for u in (U, U / 4))
    # the accumulation in float32 stays; rho is a mean over 8 grids
    assert one / other == pytest.approx(4, rel=0.05, abs=0)
    fine, finer = (expected(x, rows, PRECISIONS[p], kind, restart).total() for p in ("float32", "float64"))
    assert fine / finer == pytest.approx(2.0**29, rel=0.02, abs=0)  # with the accumulation


def test_shapes_and_signs():
    for m, n in ((1, 1), (4, 4), (9, 3)):
        for kind, restart in FORMS.values():
            error = expected(normalized((m, n)), presets.get("you-6").steps(), PRECISIONS["float16"], kind, restart)
            assert error.inside.shape == (n, n) and error.outside.shape == (n,) and error.rows == m
            assert np.all(error.inside > 0) and np.all(error.outside > 0)
            total = np.sqrt(error.inside.sum() + (m - n) * error.outside.sum())
            assert error.total() == pytest.approx(total, rel=1e-15, abs=0)


def of_repeated_entries(x, u, v):
    """(REPEAT): X stored twice, and the sum of squares, halved by the root; a sum of k equal terms errs by kv/7."""
    return 2 * u**2 * alike(x, 2 * u) + v**2 * (x.size / 12 + alike(x, v * x.size / 2) * (x.size / 14) ** 2)


@pytest.mark.parametrize(
    ("x", "share"),
    [
        (np.zeros((3, 2)), 0.0),
        (np.zeros((3, 0)), 0.0),
        (np.ones((5, 7)), 1.0),
        (np.asarray([[1, -1], [1j, -1j]]), 1.0),
        (np.asarray([[1e-300, 0], [0, -1e-300]]), 1.0),
        (np.exp(2j * np.pi * np.outer(np.arange(5), np.arange(7)) / 11), 1.0),
    ],
)
def test_the_share_of_equal_entries(x, share):
    for grid in (0.0, 1e-7, 0.1):
        assert alike(x, grid) == pytest.approx(share, rel=1e-6, abs=0)
        assert alike(2.0**-50 * x, grid) == alike(x, grid)


def test_the_share_of_different_entries_is_that_of_their_fourth_powers():
    # |sum w_j e^(i theta_j)|^2, theta_j independent: mean sum w_j^2 = r, standard deviation below r; of 8 positions
    # of the grid and 40 matrices, a mean within 5/(8 40)^(1/2) < 0.3 of it
    random = np.random.RandomState(0)
    for shape in ((2, 1), (6, 4), (20, 30)):
        matrices = [random.standard_normal(shape) for _ in range(40)]
        exact = [np.sum(x**4) / np.sum(x**2) ** 2 for x in matrices]
        for grid in (2.0**-23, 2.0**-14):
            # neighbours of nearly one modulus are alike: of two numbers a few times in 40
            assert np.mean([alike(x, grid) for x in matrices]) == pytest.approx(np.mean(exact), rel=0.3, abs=0)


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.1, 10.0])
def test_entries_that_are_nearly_equal_are_rounded_alike(spread):
    """Stored in u: the error that all entries have in common, for numbers that spread over a part of the grid."""
    u, random, common = 2.0**-9, np.random.RandomState(0), []
    noise = spread * 2 * u * random.standard_normal(400)
    for centre in np.exp(random.uniform(0, np.log(2), 400)):
        x = centre * (1 + noise)
        error = np.round(x / (2 * u)) * (2 * u) - x  # the grid of [1, 2)
        common.append(np.vdot(x, error) / np.vdot(x, x) / u)
    # of what is alike, u^2/3/centre^2 on average: 1/(8 log 2), (0.42 u)^2
    expected_share = alike(1 + noise, 2 * u)
    seen = np.mean(np.square(common)) * 8 * np.log(2)
    assert seen <= 1.5 * expected_share + 0.01
    assert (expected_share > 0.9) if spread <= 0.02 else (expected_share < 0.9)
    assert expected_share < 0.02 or spread < 1


def test_a_sum_of_equal_terms():
    """Sequential sums of k equal numbers: the root mean square of the relative error, over the numbers, is kv/7."""
    v, random = 2.0**-24, np.random.RandomState(0)
    for k in (300, 1000, 4000):
        errors = []
        for term in random.uniform(1, 2, 300).astype("float32"):
            total = float(np.cumsum(np.full(k, term))[-1])
            errors.append(total / (k * float(term)) - 1)
        assert 0.5 <= np.sqrt(np.mean(np.square(errors))) / (k * v / COHERENT) <= 1.1


def test_rows_of_one_coefficient_only_multiply():
    # f(x) = 3 x twice: the input is stored twice, t three times, each product once, all relative to the same matrix
    from orthoref._schedules.schedule import Schedule

    rows = Schedule.of("triple", [[3], [3]]).steps()
    for shape in ((1, 1), (6, 2)):
        x = normalized(shape)
        error = expected(x, rows, PRECISIONS["float32"])
        assert np.allclose(error.f, 9 * error.s, rtol=1e-14, atol=0)
        u = PRECISIONS["float32"].eps / 2
        start = 5 * u**2 + of_repeated_entries(x, u, u)
        total = (start + 2 * u**2 * (1 + alike(x, 2 * u))) ** 0.5 * 9 * np.linalg.norm(x)
        assert error.total() == pytest.approx(total, rel=1e-12, abs=0)


def test_no_steps_store_the_input_only():
    x = normalized((6, 4))
    error = expected(x, (), PRECISIONS["float32"])
    total = (5 * 2.0**-48 + of_repeated_entries(x, 2.0**-24, 2.0**-24)) ** 0.5 * np.linalg.norm(x)
    assert error.total() == pytest.approx(total, rel=1e-12, abs=0)
    assert np.array_equal(error.f, error.s)


def test_what_underflows_is_counted():
    # half the smallest subnormal number for every entry of X_0, and of A in units of t, carried on by the slope at 0
    x, rows, w = 1e-30 * normalized((6, 4)), presets.get("jordan").steps(), 2.0**-25
    slope = float(np.prod([float(row.numerator[0]) for row in rows]))
    start = w * 24**0.5 * slope
    total = expected(x, rows, PRECISIONS["float16"]).total()
    assert 2**0.5 * start <= total <= 1.1 * 2**0.5 * start  # and of the later X_k, a geometric sum
    assert expected(x, rows, PRECISIONS["float16"], norm=Norm(1e-3)).total() == pytest.approx(
        1e3 * start, rel=1e-3, abs=0
    )
    assert expected(0 * x, rows, PRECISIONS["float16"]).total() == 0


@pytest.mark.parametrize("gap", [0.0, 1e-6, 1e-4, 1e-2])
def test_what_dqds_neglects(gap):
    """(NEGLECTED) against the singular values of bidiagonal matrices: one entry of 100 eps, or a chain of them."""
    eps = 2.0**-23
    e = 100 * eps
    s = np.array([1.0, 1 - gap])
    two = np.linalg.norm(np.diag(s) + np.diag([e * s[1]], 1), 2)
    lower = (np.hypot(gap, e) - gap) / 2  # what two values do: half of e where they are equal, else e^2/(4g)
    assert two - 1 <= neglected(s, eps) <= 4.1 * lower
    chain = np.diag(np.r_[1, np.full(7, 1 - gap)]) + np.diag(np.full(7, e * (1 - gap)), 1)
    apart = np.array([1, np.linalg.norm(chain[1:, 1:], 2)])
    moved = np.linalg.norm(chain, 2) - max(apart)
    assert 0 < moved <= neglected(np.sort(apart)[::-1] / max(apart), eps) * max(apart)
    assert neglected(np.array([1.0]), eps) == neglected(np.zeros(3), eps) == 0
    assert neglected(np.array([1.0, 0.5]), eps) <= 5 * e**2


def test_the_gram_form_is_less_stable_for_small_singular_values():
    rows = presets.get("polar-express-nanogpt").steps()
    x = normalized((16, 16), cond=1e4)
    standard, gram = (expected(x, rows, PRECISIONS["bfloat16"], form).total() for form in ("standard", "gram"))
    assert gram > 3 * standard
    tame = normalized((16, 16), cond=2)
    standard, gram = (expected(tame, rows, PRECISIONS["bfloat16"], form).total() for form in ("standard", "gram"))
    assert gram < 10 * standard


@pytest.mark.parametrize("form", ["standard", "gram"])
def test_one_step_of_a_column_of_ones(form):
    """The table of sources by hand, for n = 1, sigma = 1 and all entries equal: rho = 1."""
    m, u, v, w = 500, 2.0**-11, 2.0**-24, 2.0**-25
    (row,) = presets.get("jordan").steps(1)
    c0, c1, c2 = (float(c) for c in row.numerator)
    tail, slope = c1 + c2, c1 + 2 * c2  # S and S' at t = 1
    f, f_dot = c0 + tail, c0 + 3 * c1 + 5 * c2
    # A, X_0 and t; of the part outside the range of P, one entry has the variance of the stored numbers over m
    start = 2 * u**2 / m + 2 * w**2
    relative = 5 * u**2 + v**2 * (m / 12 + (m / 14) ** 2)
    before = (start + relative) * f_dot**2
    inside, outside = before, start * f**2
    of_g = u**2 + v**2 * (1 + m / 3) + w**2 + u**2 + (v * m / 7) ** 2
    product = u**2 + (v / 7) ** 2
    stage = u**2 * (c1**2 + c2**2) + 4 / 3 * v**2 * c2**2
    if form == "standard":
        summed = 4 / 3 * v**2 * tail**2 / m
        stored = u**2 * (c0**2 + tail**2) / m + summed
        formed = u**2 / 3 * f**2 * (1 + 1 / m) + summed  # (ORDERS): P stored, and X P
        assert formed > stored
        inside += of_g * slope**2 + stage + 2 * product * tail**2 + formed
    else:
        stored = (u**2 + 4 / 3 * v**2) * f**2 / m
        of_p = u**2 * (f**2 + tail**2) + stage + 3 * product * (abs(f) + abs(tail)) ** 2
        inside += of_g * slope**2 + of_p + product * f**2 + stored
    inside += u**2 * f**2 + w**2
    outside += stored + w**2
    error = expected(np.full((m, 1), m**-0.5), (row,), PRECISIONS["float16"], form)
    assert error.inside.item() == pytest.approx(inside, rel=1e-12, abs=0)
    assert error.stored[1].item() == pytest.approx((inside - before) ** 0.5, rel=1e-12, abs=0)
    assert error.outside.item() == pytest.approx(outside, rel=1e-12, abs=0)


def test_two_gram_steps_of_a_column_of_ones():
    """(GRAM) by hand for n = 1, sigma = 1: Q = p(G) p(H), H = p(G)^2 G, and what errors of each do to Q."""
    m, u, v, w = 500, 2.0**-11, 2.0**-24, 2.0**-25
    rows = presets.get("you-6").steps(2)
    (a0, a1, a2), (b0, b1, b2) = ([float(c) for c in row.numerator] for row in rows)
    s, p = a1 + a2, a0 + a1 + a2  # S and P of the first step at G = 1, and of the second at H
    h = p**2
    z = b1 * h + b2 * h**2
    r = b0 + z
    p_dot, r_dot = a1 + 2 * a2, b1 + 2 * b2 * h
    of_sum = u**2 + (v / 7) ** 2  # a product of matrices of one entry, stored, in units of the sizes it adds
    of_first = u**2 * (p**2 + s**2) + u**2 * (a1**2 + a2**2) + 4 / 3 * v**2 * a2**2
    of_second = u**2 * (r**2 + z**2) + u**2 * ((b1 * h) ** 2 + (b2 * h**2) ** 2) + 4 / 3 * v**2 * (b2 * h**2) ** 2

    def product(y, c0, tail):
        return (u**2 * (c0**2 + tail**2) + 4 / 3 * v**2 * tail**2) * y**2

    by_h = p * r_dot
    by_p = r + by_h * 2 * p  # H = P G P holds two of them
    by_g = p_dot * by_p + by_h * p**2
    # P of the second step and Q P, each with its repeated entries
    of_q = p**2 * of_second + product(p, b0, z) + 3 * of_sum * (p * (abs(r) + abs(z))) ** 2
    # P of the first step goes into Q and into H; its repeated entries are counted in Q only, those of H below
    of_q += (r**2 + (by_h * 2 * p) ** 2) * of_first + 3 * of_sum * (r * (abs(p) + abs(s))) ** 2
    # G P and P (G P)
    of_h = product(1, a0, s) * p**2 + product(p, a0, s) + w**2 + 3 * of_sum * ((abs(p) + abs(s)) * abs(p)) ** 2
    of_g = u**2 + v**2 * (1 + m / 3) + w**2 + u**2 + (v * m / 7) ** 2
    f, f_dot = p * r, p * r + 2 * by_g
    stored = (u**2 + 4 / 3 * v**2) * f**2 / m
    start = 2 * u**2 / m + 2 * w**2
    relative = 5 * u**2 + v**2 * (m / 12 + (m / 14) ** 2)
    inside = (start + relative) * f_dot**2 + of_q + by_h**2 * of_h + by_g**2 * of_g
    inside += of_sum * f**2 + stored + u**2 * f**2 + w**2
    error = expected(np.full((m, 1), m**-0.5), rows, PRECISIONS["float16"], "gram")
    assert error.inside.item() == pytest.approx(inside, rel=1e-12, abs=0)
    assert error.outside.item() == pytest.approx(start * f**2 + stored + w**2, rel=1e-12, abs=0)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_relative_errors_of_columns_are_carried_to_the_end(dtype):
    """(AOL-ERROR): the sum over k of d_k^2 |P^H f'(X)[X e_k e_k^H] V|^2 entry by entry, by the library's derivative."""
    schedule, shape = presets.get("you-6"), (7, 4)
    x, relative = normalized(shape, dtype=dtype), np.asarray([1e-4, 0.0, 2e-6, 3e-5])
    exact = Exact.of(x, schedule.steps(3), "standard", ())
    p, vh = exact.p, exact.vh
    moved = 0.0
    for k in range(4):
        direction = np.zeros_like(x)
        direction[:, k] = x[:, k]
        e = newton_schulz_jvp(x, direction, schedule, steps=3, normalize="none")
        assert np.linalg.norm(e - p @ (p.conj().T @ e)) <= 1e-12  # nothing leaves the range of X
        moved = moved + relative[k] * np.abs(p.conj().T @ e @ vh.conj().T) ** 2
    carry = Carry(exact.values, exact.coefficients, dtype == "float64")
    u = COARSE.eps / 2
    moved = moved + np.diag(1e-4 * alike(x, 2 * u) * (exact.values[0] * np.diagonal(carry.minus[0])) ** 2)
    norm = ColumnNorms(np.ones(4), relative)
    sources = Sources(x, p, vh, Arithmetic.of(COARSE))
    assert np.allclose(norm.error(sources, carry, exact)[0], moved, rtol=0, atol=1e-12 * np.max(moved))
    none = ColumnNorms(np.ones(4), np.zeros(4))
    without, with_columns = (expected(x, schedule.steps(3), COARSE, norm=of).inside for of in (none, norm))
    assert np.allclose(with_columns - without, moved, rtol=0, atol=1e-10 * np.max(moved))


@pytest.mark.parametrize("case", ["graded", "dense", "one column", "with eps"])
def test_the_divisors_of_aol(case):
    """(AOL-ERROR) against the model: |G| with errors put in, of the columns of A."""
    m, eps, random = 40, 0.0, np.random.RandomState(0)
    a = random.standard_normal((m, 6))
    if case == "graded":  # orthogonal columns: every product of two of them is an error
        a = np.linalg.qr(a)[0] * 10.0 ** -np.arange(6)
    if case == "one column":
        a = a[:, :1]
    if case == "with eps":
        eps, a = 4.0, a * 10.0 ** -np.arange(6)
    precision = PRECISIONS["bfloat16"]
    u, v, norms = precision.eps / 2, 2.0**-24, np.linalg.norm(a, axis=0)
    gram = a.T @ a
    t = np.sqrt(np.abs(gram).sum(axis=0) + eps)
    accumulated = v * norms[:, None] * norms * np.where(np.eye(len(gram)), (m / 3) ** 0.5, 1)
    drawn = 0.0
    for _ in range(4000):
        g = gram * (1 + u * random.standard_normal(gram.shape)) + accumulated * random.standard_normal(gram.shape)
        stored = (1 + u * random.standard_normal((3, len(gram)))).prod(axis=0)
        drawn = drawn + ((np.sqrt(np.abs(g).sum(axis=0) + eps) * stored / t - 1) ** 2) / 4000
    found = ColumnNorms.of(a, t, precision).relative
    ratio = drawn / found
    # a mean of 4000 squares of normal numbers is within 15 % but for one in 10^10. One column repeats itself:
    # its error may be that of every entry, which is counted twice
    assert np.all(ratio <= 1.15) and np.all(ratio >= (0.9 if case == "one column" else 0.5)), ratio
    scaled = ColumnNorms.of(a * 2.0**-900, 3 * t * 2.0**-900, precision, factor=3.0).relative
    assert np.allclose(scaled, found, rtol=1e-12, atol=0)


def test_the_divisors_of_aol_by_hand():
    # two columns of one entry, 1 and d: G = [[1, d], [d, d^2]], t^2 = 1 + d and d + d^2
    d, u, v, w = 2.0**-10, 2.0**-11, 2.0**-24, 2.0**-25
    gram = np.asarray([[1, d], [d, d**2]])
    variance = u**2 * gram**2 + v**2 * 4 / 3 * gram**2 + w**2
    bias = np.sqrt(gram**2 + variance) - gram
    same = v**2 / 6 + u**2 * alike(gram, 2 * u) + (2 * v / 7) ** 2 * alike(gram, 2 * v)
    same += (v / 7) ** 2 * alike(np.asarray([1, d]), v)
    t4 = gram.sum(axis=1) ** 2
    found = 3 * u**2 + (variance.sum(axis=1) + bias.sum(axis=1) ** 2 + same * t4) / (4 * t4)
    a = np.asarray([[1.0, d]])
    assert np.allclose(ColumnNorms.of(a, t4**0.25, PRECISIONS["float16"]).relative, found, rtol=1e-12, atol=0)
    assert not ColumnNorms.of(np.zeros((3, 2)), np.ones(2), PRECISIONS["float16"]).relative.any()
    of_zero = ColumnNorms.of(np.asarray([[1.0, 0.0]]), np.ones(2), PRECISIONS["float16"]).relative
    assert of_zero[1] == 0 and np.isfinite(of_zero[0])


@pytest.mark.parametrize("s", [0.97, 0.05])  # where more, and where less moves the result further
def test_shaken_by_four_units(s):
    """(SHAKEN) for n = 1, by evaluating the polynomials: near 1 in the standard form, near 0 in the Gram form."""
    rows = presets.get("polar-express").steps(3)
    f, g, h = rows
    x, u, v = np.asarray([[0.6], [0.8]]) * s, 2.0**-8, 2.0**-24
    first = expected(x, rows, PRECISIONS["bfloat16"])._replace(stored={})
    moved = [h(g(f(s * (1 + e)))) for e in (4 * u, -4 * u)]
    moved += [h(g(f(s) * (1 + e))) for e in (4 * u, -4 * u)]
    moved += [h(g(f(s)) * (1 + e)) for e in (4 * u, -4 * u)]
    by_x = max(abs(y - h(g(f(s)))) for y in moved)
    assert shaken(first) == pytest.approx(by_x, rel=1e-10, abs=0)

    def p(row, t):
        return sum(float(c) * t**k for k, c in enumerate(row.numerator))

    # of the column (0.6, 0.8): from 0 to 0.36 to 1, and the entries differ so much that their errors do
    summed = 1 + 0.36**2 / 3 + (0.36**2 + 0.36 + 1) / 3

    def gram(t, row, *rest):  # p(t) p(t p^2) ...
        return p(row, t) * gram(t * p(row, t) ** 2, *rest) if rest else p(row, t)

    t, factor = s**2, p(f, s**2)
    tail = factor - float(f.numerator[0])
    next_t = t * factor**2
    of_g = u**2 * t**2 + v**2 * summed * t**2
    product = u**2 * (float(f.numerator[0]) ** 2 + tail**2) + 4 / 3 * v**2 * tail**2
    of_h = product * t**2 * factor**2 + product * (t * factor) ** 2
    at_restart = f(g(s))
    exact = s * gram(t, f, g, h)
    for restart in ((), (2,)):
        moved = []
        for sign in (4, -4):
            if not restart:
                moved.append(s * gram(t + sign * of_g**0.5, f, g, h))
                moved.append(s * factor * gram(next_t + sign * of_h**0.5, g, h))
            else:
                moved.append(h(s * gram(t + sign * of_g**0.5, f, g)))
                moved.append(h(s * factor * gram(next_t + sign * of_h**0.5, g)))
        if restart:
            at_restart = g(f(s))
            error = (u**2 + v**2 * summed) ** 0.5 * at_restart**2
            moved += [at_restart * p(h, at_restart**2 + sign * error) for sign in (4, -4)]
        else:
            y = next_t * p(g, next_t) ** 2
            b = p(g, next_t)
            c0 = float(g.numerator[0])
            last = u**2 * (c0**2 + (b - c0) ** 2) + 4 / 3 * v**2 * (b - c0) ** 2
            size = (last * next_t**2 * b**2 + last * (next_t * b) ** 2) ** 0.5
            moved += [s * factor * b * p(h, y + sign * size) for sign in (4, -4)]
        by_gram = max(by_x, *(abs(z - exact) for z in moved))
        found = shaken(expected(x, rows, PRECISIONS["bfloat16"], "gram", restart)._replace(stored={}))
        assert found == pytest.approx(by_gram, rel=1e-9, abs=0)
        assert by_gram > by_x or s < 0.5  # one of them sees the Gram matrix


def test_shaken_by_the_error_of_a_step():
    # the error of one singular value after step k, to all orders
    rows = presets.get("cans-5").steps(4)
    error = expected(np.diag([0.93, 0.25, 0.2]) / 1.01, rows, PRECISIONS["float64"])
    for k in (1, 2, 3, 4):
        x = error.s
        for row in rows[:k]:
            x = row(x)
        deviation = np.asarray([0.0, 0.02, 0.0])
        moved = []
        for times in (2, -2, 4, -4):
            y = x + times * deviation
            for row in rows[k:]:
                y = row(y)
            moved.append(np.max(np.abs(y - error.f)) * (1 if abs(times) == 2 else 1 / 4))
        one, none = (shaken(error._replace(stored=of)) for of in ({k: deviation}, {}))
        assert one == pytest.approx(max(moved), rel=1e-9, abs=0) and one > 1e6 * none


def test_shaken_by_an_error_that_leaves_nothing():
    # x (3 - x^2)/2 takes 1.6 and 1.6 + 0.12 to 1, but 1.6 + 0.24 > 3^(1/2) to -1: a quarter of 2
    rows = presets.get("newton-schulz-3").steps(30)
    error = expected(np.asarray([[1.6]]), rows, PRECISIONS["float64"])._replace(stored={0: np.asarray([0.06])})
    assert shaken(error) == pytest.approx(0.5, rel=1e-6, abs=0)


@pytest.mark.parametrize("size", [1e-3, 0.03, 0.06])
def test_shaken_by_the_divisors_of_columns(size):
    # orthogonal columns: a factor on one of them is one on a singular value; t^2 changes by 2 4d, all of them at once
    rows = presets.get("newton-schulz-3").steps(6)
    x = np.asarray([[0.6, 0.0], [0.0, 0.9], [0.0, 0.0]])
    error = expected(x, rows, PRECISIONS["float64"])._replace(stored={})
    moved = []
    for sign in (4, -4):
        y = np.diagonal(x) / np.sqrt(1 + 2 * sign * np.asarray([size, size / 8]))
        for row in rows:
            y = row(y)
        moved.append(np.linalg.norm(y - np.asarray([error.f[1], error.f[0]])))
    found = shaken(error._replace(norm=ColumnNorms(np.ones(2), np.asarray([size, size / 8]) ** 2)))
    assert found == pytest.approx(max(moved), rel=1e-9, abs=0)
    for lost in (1 / 8, 1.0, np.inf):
        assert shaken(error._replace(norm=ColumnNorms(np.ones(2), np.asarray([lost, 0.0]) ** 2))) == np.inf


@pytest.mark.parametrize("n", [2, 4, 25])
def test_shaken_by_the_norm_of_the_error_of_a_gram_matrix(n):
    # X = I: an entry of G has the variance u^2 |G|^2/n^2 = u^2/n, eigenvalues move by up to 2 sqrt(n) sigma, and
    # p = (3 - t)/2 by half of that; f' = 0, so that errors of X hardly count
    (row,) = presets.get("newton-schulz-3").steps(1)
    u = 2.0**-8
    error = expected(np.eye(n), (row,), PRECISIONS["bfloat16"], "gram")._replace(stored={})
    sigma = (u**2 / n + error.sources.arithmetic.v**2 * np.sum(accumulated(np.eye(n))) / n**2) ** 0.5
    by_x = [abs(row(1 + e) - 1) * n**0.5 for e in (4 * u, -4 * u)]
    found = shaken(error)
    assert found == pytest.approx(max(4, 2 * n**0.5) * sigma / 2, rel=1e-10, abs=0) and found > max(by_x)
    standard = expected(np.eye(n), (row,), PRECISIONS["bfloat16"])._replace(stored={})
    assert shaken(standard) == pytest.approx(max(by_x), rel=1e-10, abs=0)


def test_a_negative_eigenvalue_of_a_stored_gram_matrix_runs_away():
    rows = presets.get("deepseek-v4").steps(8)

    def by(x, precision, form="gram"):
        return shaken(expected(np.diag(x), rows, PRECISIONS[precision], form)._replace(stored={}))

    assert by([0.9, 1e-3], "bfloat16") > 10 * by([0.9, 1e-3], "bfloat16", "standard")
    assert by([0.9, 1e-3], "float64") < 1e-6
    assert by([0.9, 0.0], "bfloat16") == np.inf  # of 0 times infinity


def sequential(x, y, dtype):
    """X^H Y, term after term, every partial sum rounded."""
    total = np.zeros((x.shape[1], y.shape[1]), dtype)
    for row, other in zip(x.astype(dtype).conj(), y.astype(dtype), strict=True):
        total = total + np.outer(row, other)
    return total


def structured(name, m, n):
    random = np.random.RandomState(2)
    x, y = np.arange(m)[:, None] / m, np.arange(n) / n
    return {
        "normal": random.standard_normal((m, n)),
        "positive": random.uniform(size=(m, n)),
        "constant and noise": 1 + 0.01 * random.standard_normal((m, n)),
        "smooth": np.cos(5 * (x + 0.7 * y)) + 0.3 * np.cos(9 * x * y),
        "halves": np.where(x < 0.5, 1, -1) ** np.arange(n) * random.uniform(1, 2, (m, n)),
        "waves": np.cos(np.pi * (x + 0.5 / m) * np.arange(n)) * random.uniform(1, 1.01, (m, n)),
    }[name]


@pytest.mark.parametrize(
    ("y", "sums"),
    [
        (np.ones((48, 1)), 48 / 3 + 1),  # (k/m)^2 m^2 on average m^2/3, and |y_i|^2|y_j|^2 in units of |y|^4 = m^2
        (np.ones((8, 1)), 8 / 3 + 1),
        (np.repeat([1.0, -1.0], 24)[:, None] * [[1.0, 0.0]] + [[0.0, 1.0]], 48 / 12 + 1),  # up to m/2 and back to 0
    ],
)
def test_partial_sums_by_hand(y, sums):
    m, found = len(y), accumulated(y)
    assert found[0, -1] == pytest.approx(sums * m**2, rel=1e-12, abs=0)
    assert found[0, 0] == pytest.approx((m / 3 + 1) * m**2, rel=1e-12, abs=0)


def test_partial_sums_of_random_orthonormal_columns_wander():
    # a bridge from 0 to 0: (k/m)(1 - k/m)/m, 1/6 in all; of 20 * 19 pairs the mean to 10 per cent or so
    found = accumulated(np.linalg.qr(np.random.RandomState(0).standard_normal((400, 20)))[0])
    off = found[~np.eye(20, dtype=bool)]
    assert np.mean(off) == pytest.approx(1 + 1 / 6, rel=0.05, abs=0)
    # on the diagonal they grow: 400/3, and up to 1/6 more or less of it
    assert np.mean(np.diagonal(found)) == pytest.approx(1 + 400 / 3, rel=0.05, abs=0)


@pytest.mark.parametrize("name", ["normal", "positive", "constant and noise", "smooth", "halves", "waves"])
def test_a_product_is_accumulated_as_it_says(name):
    """(ACCUMULATED) against sequential sums in float16: X^H X, and a product of order n whose factors commute."""
    m, n, v = 240, 30, 2.0**-11
    x = structured(name, m, n)
    x = x.astype("float16").astype(float) / 16
    p, s, vh = np.linalg.svd(x, full_matrices=False)
    sources = Sources(x, p, vh, Arithmetic(0.0, v, 0.0))
    error = np.linalg.norm(sequential(x, x, "float16").astype(float) - x.T @ x)
    # terms are rounded, too; the mean square of a rounding is (0.42 v)^2; terms of a sum are rounded as it is
    assert 0.15 <= error / (n * sources.gram(s) ** 0.5) <= 1.0
    y = (vh.T * s) @ vh
    error = np.linalg.norm(sequential(y, y, "float16").astype(float) - y @ y)
    size = np.linalg.norm(y - y.astype("float16").astype(float)) * s[0] * 2  # the factors are not in the format
    assert 0.1 * sources.summed(s, s) ** 0.5 <= error <= sources.summed(s, s) ** 0.5 + size


@pytest.mark.parametrize(
    ("name", "schedule", "restart"),
    [("triangular", "you-6", (2,)), ("constant and noise", "newton-schulz-5", ()), ("positive", "jordan", ())],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_terms_of_one_sign_are_no_false_alarm(name, schedule, restart, dtype):
    """Ratios of 15.6, 13.6 (order 200), 1.6 with errors that wander off the diagonal."""
    a = 0.3 * np.triu(np.ones((60, 400))) if name == "triangular" else structured(name, 100, 100)
    a = a.astype(dtype)
    for form, of in (("gram", restart), ("standard", ())):
        x = newton_schulz(a, schedule, form=form, restart=of)
        claimed = iteration(schedule, form=form, restart=of)
        one = compare(a.astype("float64"), x.astype("float64"), claimed, PRECISIONS[dtype])
        assert one.decided and one.forward <= 2.5


def mirrored(y, z):
    return triangle(y @ z)


def in_gram_form(x, rows, left, times=np.matmul):
    """Of a wide normalized matrix, with Q P or P Q, as a port would write it."""
    g, q, eye = times(x, x.T), None, np.eye(len(x), dtype=x.dtype)
    for row in rows:
        c = [x.dtype.type(c) for c in row]
        s = c[-1] * g
        for k in range(len(c) - 2, 0, -1):
            s = c[k] * g + times(g, s)
        p = s + c[0] * eye
        q = p if q is None else times(p, q) if left else times(q, p)
        g = times(p, times(g, p))
    return q @ x


@pytest.mark.parametrize("name", ["jordan", "polar-express-nanogpt"])
def test_both_sides_of_the_product_with_q(name):
    """A matrix of rank 2 in float32: one side errs far more, and neither is refused."""
    random, schedule = np.random.RandomState(4), presets.get(name)
    claimed, ratios = iteration(name, form="gram"), {False: [], True: []}
    for _ in range(5):
        a = (random.standard_normal((24, 2)) @ random.standard_normal((2, 40))).astype("float32")
        normed = a / (a.dtype.type(schedule.normalization.factor) * np.linalg.norm(a))
        for left in (False, True):
            x = in_gram_form(normed, schedule.coefficients(), left).astype("float64")
            ratios[left].append(compare(a.astype("float64"), x, claimed, PRECISIONS["float32"]).forward)
    assert max(ratios[False] + ratios[True]) <= 2.0
    assert max(np.median(ratios[side]) for side in (False, True)) >= 0.1
    assert np.median(ratios[False]) > 2 * np.median(ratios[True])  # wide: X_k = Q_k X_0


@pytest.mark.parametrize("left", [False, True])
def test_one_triangle_of_the_products_with_q(left):
    """(MIRROR) A matrix of rank 1 in float64, seven steps: without it the ratio is 30 and more."""
    schedule = presets.get("newton-schulz-9")
    claimed = iteration(schedule, form="gram", steps=7, normalize="spectral")
    ratios = []
    for seed in range(5):
        random = np.random.RandomState(seed)
        a = np.outer(random.standard_normal(33), random.standard_normal(60))
        x = in_gram_form(a / np.linalg.norm(a, 2), schedule.coefficients(7), left, mirrored)
        ratios.append(compare(a, x, claimed, PRECISIONS["float64"]).forward)
    assert max(ratios) <= 2.0 and np.median(ratios) >= 0.05, ratios


def test_entries_of_nearly_equal_modulus():
    """complex64, |a_ij| equal up to rounding: a norm that is summed term after term scored 7 to 14."""
    phase = np.exp(2j * np.pi * np.random.RandomState(0).uniform(size=(64, 1000)))
    a, claimed = (0.7 * phase).astype("complex64"), iteration("jordan")
    squares = np.cumsum((a.real**2 + a.imag**2).ravel(), dtype="float32")
    x = a / np.sqrt(squares[-1])
    for c in claimed.schedule.coefficients():
        c0, c1, c2 = map(np.float32, c)
        g = x @ x.conj().T
        x = c0 * x + (c1 * g + c2 * g @ g) @ x
    one = compare(a.astype("complex128"), x.astype("complex128"), claimed, PRECISIONS["float32"])
    assert 0.1 <= one.forward <= 2.5


def squares_of_partial_sums(terms):
    """Of matrices that are added one after the other, linear between; and their sum."""
    sums = np.cumsum([0 * terms[0], *terms], axis=0)
    return sum(np.sum(np.abs(a) ** 2 + np.real(a.conj() * b) + np.abs(b) ** 2) / 3 for a, b in pairwise(sums))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_all_partial_sums_of_a_product_from_those_of_the_singular_vectors(dtype):
    """(ACCUMULATED) of X^H X and of a product of commuting matrices, in the basis in which they are computed."""
    x = normalized((11, 6), dtype=dtype)
    p, s, vh = np.linalg.svd(x, full_matrices=False)
    sources = Sources(x, p, vh, Arithmetic(0.0, 1.0, 0.0))
    grows = squares_of_partial_sums([np.outer(row.conj(), row) for row in x])
    found = float(s**2 @ sources.left @ s**2)
    assert found == pytest.approx(grows + np.sum(s**2) ** 2, rel=1e-12, abs=0)
    y, z = s**3 - 0.2, 1.5 - s
    left, right = ((vh.conj().T * e) @ vh for e in (y, z))
    grows = squares_of_partial_sums([np.outer(left[:, k], right[k]) for k in range(6)])
    assert sources.summed(y, z) == pytest.approx(grows + np.sum(y**2) * np.sum(z**2), rel=1e-12, abs=0)


def test_equal_terms_in_sums_of_different_length():
    x, v = np.triu(np.ones((9, 9))), 2.0**-20
    p, _, vh = np.linalg.svd(x)
    sources = Sources(x, p, vh, Arithmetic(0.0, v, 0.0))
    assert sources.gram_alike == pytest.approx((9 * v / 7) ** 2, rel=1e-9, abs=0)
    assert 0.5 * sources.gram_alike <= sources.terms_alike < sources.gram_alike
    assert sources.product_alike < 0.5 * (9 * v / 7) ** 2


def test_what_one_triangle_turns_around():
    """(MIRROR) against the iteration of a Gram matrix of order 2, an error in G_1; Q keeps its Hermitian part.

    An error of G_0 is one of all that follows: everything still commutes.
    """
    rows, s, small = presets.get("you-6").coefficients(4), np.asarray([0.8, 0.1]), 1e-6
    coefficients = [np.asarray([float(c) for c in row]) for row in rows]
    values = [s]
    for c in coefficients:
        values.append(values[-1] * np.polynomial.polynomial.polyval(values[-1] ** 2, c))

    class One:
        """Variances: 1 of the entries of G_1, 1 of those of G_0 where it makes no difference."""

        n = 2

        @staticmethod
        def gram(s):
            return 1.0

        @staticmethod
        def next_gram(c, t):
            return float(np.array_equal(t, values[0] ** 2))

    g, q, turned = np.diag(s**2), np.eye(2), []
    for k, c in enumerate(coefficients):
        g = g + (k == 1) * small * np.asarray([[0.0, 1.0], [1.0, 0.0]])
        p = sum(a * np.linalg.matrix_power(g, power) for power, a in enumerate(c))
        product = q @ p
        turned.append(2 * ((product - product.T)[0, 1] / 2 / small) ** 2 / 4)
        q, g = (product + product.T) / 2, p @ g @ p
    found = _mirrored(values, coefficients, One())
    assert found[0] == 0 and np.allclose(found[1:], turned[1:], rtol=1e-5, atol=0) and min(turned[1:]) > 1e-3
