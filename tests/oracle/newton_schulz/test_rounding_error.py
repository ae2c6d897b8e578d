"""The unit of the finite iteration: result and variances against a simulation of the rounding model."""

from __future__ import annotations

import numpy as np
import pytest

from orthoref import newton_schulz_jvp
from orthoref._schedules import presets
from orthoref.oracle import cases
from orthoref.oracle.newton_schulz.rounding_error import COHERENT, _Carry, _repetition, expected, of_aol, shaken
from orthoref.oracle.precision import PRECISIONS, Precision

U = 2.0**-18  # fine enough for first order, coarse beside the accumulation of 2^-24
COARSE = Precision("bfloat16", 2 * U, 2.0**-133, 3e38)
FORMS = {"standard": ("standard", ()), "gram": ("gram", ()), "restart": ("gram", (2,))}


def normalized(shape, cond=10.0, seed=3, dtype="float64"):
    a = cases.matrix(shape, cond=cond, seed=seed, dtype=dtype)
    return a / (1.02 * np.linalg.norm(a))


def simulated(x, rows, form, restart, random, fused):
    """The iteration with every stored entry multiplied by 1 + U z, z of variance 1, written from the model (STORE).

    Not fused, both terms of a sum are stored and then the sum, and P = c_0 I + S is never formed.
    """

    def store(y):
        return y * (1 + U * random.standard_normal(y.shape))

    def plus(y, z):
        return store(y + z) if fused else store(store(y) + store(z))

    def tail(g, c):
        s = plus(c[-2] * g, c[-1] * (g @ g)) if len(c) > 2 else c[1] * g
        for k in range(len(c) - 3, 0, -1):
            s = plus(c[k] * g, g @ s)
        return s

    x = store(store(x)) * (1 + U * random.standard_normal(3)).prod()
    if form == "standard":
        for c in rows:
            x = plus(c[0] * x, x @ tail(store(x.T @ x), c))
        return x
    if not fused:
        q, g = None, store(x.T @ x)
        for k, c in enumerate(rows):
            if k in restart:
                x = store(x @ q)
                q, g = None, store(x.T @ x)
            s = tail(g, c)
            q = store(c[0] * np.eye(len(g)) + s) if q is None else plus(c[0] * q, q @ s)
            if k + 1 < len(rows):
                h = plus(c[0] * g, g @ s)
                g = plus(c[0] * h, s @ h)
        return store(x @ q)
    q, g = None, store(x.T @ x)
    for k, c in enumerate(rows):
        if k in restart:
            x = store(x @ q)
            q, g = None, store(x.T @ x)
        p = store(c[0] * np.eye(len(g)) + tail(g, c))
        q = p if q is None else store(q @ p)
        if k + 1 < len(rows):
            g = store(store(p @ g) @ p)
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
    draws = {fused: [simulated(x, coefficients, kind, restart, random, fused) - exact for _ in range(100)]
             for fused in (True, False)}  # fmt: skip
    ratios = {fused: np.sqrt(np.mean([np.sum(e**2) for e in seen])) / error.total() for fused, seen in draws.items()}
    # variances are averaged over the entries of every stored matrix: exact for none, an upper bound for the total
    # where the largest singular values are those that the remaining steps carry least. The rounding of a sum of
    # stored terms is not counted: with terms of one size a factor (3/2)^(1/2)
    assert ratios[True] <= 1.0 and 0.35 <= ratios[False] <= 1.5, ratios
    for fused, limit in ((True, 2.0), (False, 2.0 * 1.5**0.5)):
        inside = np.mean([(error.p.T @ e @ error.vh.T) ** 2 for e in draws[fused]], axis=0)
        assert np.all(inside <= limit**2 * error.inside)
        if shape[0] > shape[1]:
            beyond = [(e @ error.vh.T) - error.p @ (error.p.T @ e @ error.vh.T) for e in draws[fused]]
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
    found, _ = _Carry(values, coefficients, dtype == "float64").to_end(0, variance, np.ones(n))
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
    assert one / other == pytest.approx(4, rel=1e-2, abs=0)  # the accumulation in float32 stays
    fine, finer = (expected(x, rows, PRECISIONS[p], kind, restart).total() for p in ("float32", "float64"))
    assert fine / finer == pytest.approx(2.0**29, rel=1e-6, abs=0)  # with the accumulation


def test_shapes_and_signs():
    for m, n in ((1, 1), (4, 4), (9, 3)):
        for kind, restart in FORMS.values():
            error = expected(normalized((m, n)), presets.get("you-6").steps(), PRECISIONS["float16"], kind, restart)
            assert error.inside.shape == (n, n) and error.outside.shape == (n,) and error.rows == m
            assert np.all(error.inside > 0) and np.all(error.outside > 0)
            total = np.sqrt(error.inside.sum() + (m - n) * error.outside.sum())
            assert error.total() == pytest.approx(total, rel=1e-15, abs=0)


def repetition(x):
    """Of a matrix without equal entries."""
    return np.sum(np.abs(x) ** 4) / np.sum(np.abs(x) ** 2) ** 2


def of_repeated_entries(x, u, v):
    """(REPEAT): X stored twice, and the sum of squares, halved by the root; a sum of k equal terms errs by kv/7."""
    return 2 * u**2 * repetition(x) + v**2 * (x.size / 12 + repetition(x) * (x.size / 14) ** 2)


@pytest.mark.parametrize(
    ("x", "share"),
    [
        (np.zeros((3, 2)), 0.0),
        (np.zeros((3, 0)), 0.0),
        (np.ones((5, 7)), 1.0),
        (np.asarray([[1, -1], [1j, -1j]]), 1.0),
        (np.asarray([[1e-300, 0], [0, -1e-300]]), 1.0),
        (np.diag([3.0, 4.0]), (9**2 + 16**2) / 25**2),
        (np.outer(np.ones(8), [3.0, 4.0]), (9**2 + 16**2) / 25**2),
        (normalized((6, 4)), repetition(normalized((6, 4)))),
    ],
)
def test_the_share_of_equal_entries(x, share):
    assert _repetition(x) == pytest.approx(share, rel=1e-12, abs=0)


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
        total = (start + 2 * u**2 * (1 + repetition(x))) ** 0.5 * 9 * np.linalg.norm(x)
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
    assert expected(x, rows, PRECISIONS["float16"], divisor=1e-3).total() == pytest.approx(1e3 * start, rel=1e-3, abs=0)
    assert expected(0 * x, rows, PRECISIONS["float16"]).total() == 0


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
        stored = (u**2 * (c0**2 + tail**2) + v**2 * tail**2) / m
        inside += of_g * slope**2 + stage + 2 * product * tail**2 + stored
    else:
        stored = (u**2 + v**2) * f**2 / m
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
        return (u**2 * (c0**2 + tail**2) + v**2 * tail**2) * y**2

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
    stored = (u**2 + v**2) * f**2 / m
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
    p, s, vh = np.linalg.svd(x, full_matrices=False)
    values = [s]
    for row in schedule.steps(3):
        values.append(row(values[-1]))
    coefficients = [np.asarray([float(c) for c in row.numerator]) for row in schedule.steps(3)]
    moved = 0.0
    for k in range(4):
        direction = np.zeros_like(x)
        direction[:, k] = x[:, k]
        e = newton_schulz_jvp(x, direction, schedule, steps=3, normalize="none")
        assert np.linalg.norm(e - p @ (p.conj().T @ e)) <= 1e-12  # nothing leaves the range of X
        moved = moved + relative[k] * np.abs(p.conj().T @ e @ vh.conj().T) ** 2
    carry = _Carry(values, coefficients, dtype == "float64")
    assert np.allclose(carry.columns(s, vh, relative), moved, rtol=0, atol=1e-12 * np.max(moved))
    with_norm, with_columns = (
        expected(x, schedule.steps(3), COARSE, of_columns=of).inside for of in (np.zeros(4), relative)
    )
    extra = carry.columns(s, vh, relative) + np.diag(1e-4 * repetition(x) * (s * np.diagonal(carry.minus[0])) ** 2)
    assert np.allclose(with_columns - with_norm, extra, rtol=0, atol=1e-10 * np.max(extra))


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
    ratio = drawn / of_aol(a, t, precision)
    # a mean of 4000 squares of normal numbers is within 15 % but for one in 10^10. One column repeats itself:
    # its error may be that of every entry, which is counted twice
    assert np.all(ratio <= 1.15) and np.all(ratio >= (0.9 if case == "one column" else 0.5)), ratio
    scaled = of_aol(a * 2.0**-900, t * 2.0**-900, precision)
    assert np.allclose(scaled, of_aol(a, t, precision), rtol=1e-12, atol=0)


def test_the_divisors_of_aol_by_hand():
    # two columns of one entry, 1 and d: G = [[1, d], [d, d^2]], t^2 = 1 + d and d + d^2
    d, u, v, w = 2.0**-10, 2.0**-11, 2.0**-24, 2.0**-25
    gram = np.asarray([[1, d], [d, d**2]])
    variance = u**2 * gram**2 + v**2 * np.asarray([[1 / 3, d**2], [d**2, d**4 / 3]]) + w**2
    bias = np.sqrt(gram**2 + variance) - gram
    share = (1 + 4 * d**4 + d**8) / (1 + d**2) ** 4  # d occurs twice
    alike = v**2 / 6 + share * (u**2 + (3 * v / 7) ** 2)
    t4 = gram.sum(axis=1) ** 2
    found = 3 * u**2 + (variance.sum(axis=1) + bias.sum(axis=1) ** 2 + alike * t4) / (4 * t4)
    a = np.asarray([[1.0, d]])
    assert np.allclose(of_aol(a, t4**0.25, PRECISIONS["float16"]), found, rtol=1e-12, atol=0)
    assert np.array_equal(of_aol(np.zeros((3, 2)), np.ones(2), PRECISIONS["float16"]), np.zeros(2))
    of_zero = of_aol(np.asarray([[1.0, 0.0]]), np.ones(2), PRECISIONS["float16"])
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
    assert shaken(first, rows, PRECISIONS["bfloat16"]) == pytest.approx(by_x, rel=1e-10, abs=0)

    def p(row, t):
        return sum(float(c) * t**k for k, c in enumerate(row.numerator))

    def gram(t, row, *rest):  # p(t) p(t p^2) ...
        return p(row, t) * gram(t * p(row, t) ** 2, *rest) if rest else p(row, t)

    t, factor = s**2, p(f, s**2)
    tail = factor - float(f.numerator[0])
    next_t = t * factor**2
    of_g = u**2 * t**2 + v**2 * (1 + 2 / 3) * t**2
    product = u**2 * (float(f.numerator[0]) ** 2 + tail**2) + v**2 * tail**2
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
            error = (u**2 + v**2 * (1 + 2 / 3)) ** 0.5 * at_restart**2
            moved += [at_restart * p(h, at_restart**2 + sign * error) for sign in (4, -4)]
        else:
            y = next_t * p(g, next_t) ** 2
            b = p(g, next_t)
            c0 = float(g.numerator[0])
            last = u**2 * (c0**2 + (b - c0) ** 2) + v**2 * (b - c0) ** 2
            size = (last * next_t**2 * b**2 + last * (next_t * b) ** 2) ** 0.5
            moved += [s * factor * b * p(h, y + sign * size) for sign in (4, -4)]
        by_gram = max(by_x, *(abs(z - exact) for z in moved))
        found = shaken(first, rows, PRECISIONS["bfloat16"], "gram", restart)
        assert found == pytest.approx(by_gram, rel=1e-9, abs=0)
        assert by_gram > by_x or s < 0.5  # one of them sees the Gram matrix


def test_shaken_by_the_error_of_a_step():
    # the error of one singular value after step k, to all orders
    rows = presets.get("cans-5").steps(4)
    error = expected(np.diag([0.93, 0.25, 0.2]) / 1.01, rows, PRECISIONS["bfloat16"])
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
        one, none = (shaken(error._replace(stored=of), rows, PRECISIONS["float64"]) for of in ({k: deviation}, {}))
        assert one == pytest.approx(max(moved), rel=1e-9, abs=0) and one > 1e6 * none


def test_shaken_by_an_error_that_leaves_nothing():
    # x (3 - x^2)/2 takes 1.6 and 1.6 + 0.12 to 1, but 1.6 + 0.24 > 3^(1/2) to -1: a quarter of 2
    rows = presets.get("newton-schulz-3").steps(30)
    error = expected(np.asarray([[1.6]]), rows, PRECISIONS["float64"])._replace(stored={0: np.asarray([0.06])})
    assert shaken(error, rows, PRECISIONS["float64"]) == pytest.approx(0.5, rel=1e-6, abs=0)


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
    found = shaken(error, rows, PRECISIONS["float64"], of_columns=np.asarray([size, size / 8]) ** 2)
    assert found == pytest.approx(max(moved), rel=1e-9, abs=0)
    for lost in (1 / 8, 1.0, np.inf):
        assert shaken(error, rows, PRECISIONS["float64"], of_columns=np.asarray([lost, 0.0]) ** 2) == np.inf


@pytest.mark.parametrize("n", [2, 4, 25])
def test_shaken_by_the_norm_of_the_error_of_a_gram_matrix(n):
    # X = I: an entry of G has the variance u^2 |G|^2/n^2 = u^2/n, eigenvalues move by up to 2 sqrt(n) sigma, and
    # p = (3 - t)/2 by half of that; f' = 0, so that errors of X hardly count
    (row,) = presets.get("newton-schulz-3").steps(1)
    u, v = 2.0**-8, 2.0**-24
    sigma = (u**2 / n + v**2 * (1 + 1 / 3)) ** 0.5
    error = expected(np.eye(n), (row,), PRECISIONS["bfloat16"], "gram")._replace(stored={})
    by_x = [abs(row(1 + e) - 1) * n**0.5 for e in (4 * u, -4 * u)]
    found = shaken(error, (row,), PRECISIONS["bfloat16"], "gram")
    assert found == pytest.approx(max(4, 2 * n**0.5) * sigma / 2, rel=1e-10, abs=0) and found > max(by_x)
    assert shaken(error, (row,), PRECISIONS["bfloat16"]) == pytest.approx(max(by_x), rel=1e-10, abs=0)


def test_a_negative_eigenvalue_of_a_stored_gram_matrix_runs_away():
    rows = presets.get("deepseek-v4").steps(8)
    error = expected(np.diag([0.9, 1e-3]), rows, PRECISIONS["bfloat16"], "gram")._replace(stored={})
    assert shaken(error, rows, PRECISIONS["bfloat16"], "gram") > 10 * shaken(error, rows, PRECISIONS["bfloat16"])
    assert shaken(error, rows, PRECISIONS["float64"], "gram") < 1e-6
    error = expected(np.diag([0.9, 0.0]), rows, PRECISIONS["bfloat16"], "gram")._replace(stored={})
    assert shaken(error, rows, PRECISIONS["bfloat16"], "gram") == np.inf  # of 0 times infinity
