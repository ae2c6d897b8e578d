"""Steps on the Stiefel manifold: exact rational ones, and identities of their formulas."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from orthoref import steps, stiefel
from orthoref.errors import OutsideDomain

EPS = 2.0**-52
THIRD = Fraction(1, 3)
X = [[2 * THIRD, -2 * THIRD], [THIRD, 2 * THIRD], [2 * THIRD, THIRD]]
G = [[1, 2], [0, -1], [3, 1]]


# --- rational matrices ------------------------------------------------------------------------------------------------


def t(x):
    return [list(row) for row in zip(*x, strict=True)]


def mul(x, y):
    columns = t(y)
    return [[sum((Fraction(a) * b for a, b in zip(row, c, strict=True)), Fraction(0)) for c in columns] for row in x]


def add(x, y, c=Fraction(1)):
    return [[a + c * b for a, b in zip(*rows, strict=True)] for rows in zip(x, y, strict=True)]


def eye(n):
    return [[Fraction(int(i == j)) for j in range(n)] for i in range(n)]


def solve(a, b):
    """Gauss and Jordan."""
    rows = [list(map(Fraction, r)) + list(map(Fraction, s)) for r, s in zip(a, b, strict=True)]
    for i in range(len(rows)):
        pivot = next(k for k in range(i, len(rows)) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        rows = [r if k == i else [v - r[i] * w for v, w in zip(r, rows[i], strict=True)] for k, r in enumerate(rows)]
    return [row[len(a) :] for row in rows]


def floats(x):
    return np.asarray([[float(v) for v in row] for row in x])


def skew_of(m, euclidean, x=X):
    """M X^T - X M^T, with (I - X X^T/2) M in the place of M for the Euclidean one."""
    k = add(m, mul(x, mul(t(x), m)), Fraction(-1, 2)) if euclidean else m
    half = mul(k, t(x))
    return add(half, t(half), Fraction(-1))


def cayley(w, lr, x=X):
    b = [[lr / 2 * v for v in row] for row in w]
    return solve(add(eye(3), b, Fraction(-1)), mul(add(eye(3), b), x))


def swept(w, lr, sweeps, x=X):
    y = add(x, mul(w, x), lr)
    for _ in range(sweeps):
        y = add(x, mul(w, add(x, y)), lr / 2)
    return y


def gram_defect(y):
    return add(mul(t(y), y), eye(len(y[0])), Fraction(-1))


NEGATIVE = [[Fraction(-v) for v in row] for row in G]
ZERO = steps.momentum_state(floats(X))


# --- Cayley -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["canonical", "euclidean"])
@pytest.mark.parametrize("lr", [Fraction(1, 4), Fraction(3)])
def test_the_cayley_step_is_that_of_wen_and_yin_in_exact_arithmetic(metric, lr):
    w = skew_of(NEGATIVE, metric == "euclidean")
    state, point = steps.cayley_sgd(ZERO, floats(G), floats(X), lr=float(lr), metric=metric)
    assert np.allclose(point, floats(cayley(w, lr)), rtol=0, atol=64 * EPS)
    assert np.allclose(state.momentum, floats(mul(w, X)), rtol=0, atol=32 * EPS * 4) and state.step == 1
    assert np.allclose(steps.cayley_skew(floats(X), -floats(G), metric=metric), floats(w), rtol=0, atol=32 * EPS * 4)
    assert mul(t(cayley(w, lr)), cayley(w, lr)) == eye(2)


def test_the_first_order_is_minus_the_gradient():
    """W X is minus the gradient of the metric of that name."""
    for metric in ("canonical", "euclidean"):
        w = floats(skew_of(NEGATIVE, metric == "euclidean"))
        assert np.allclose(w @ floats(X), -stiefel.gradient(floats(X), floats(G), metric), rtol=0, atol=64 * EPS)


@pytest.mark.parametrize("sweeps", [1, 2, 3, 5])
def test_sweeps_in_exact_arithmetic(sweeps):
    lr, w = Fraction(1, 8), skew_of(NEGATIVE, True)
    _, point = steps.cayley_sgd(ZERO, floats(G), floats(X), lr=0.125, metric="euclidean", sweeps=sweeps)
    assert np.allclose(point, floats(swept(w, lr, sweeps)), rtol=0, atol=16 * sweeps * EPS)


@pytest.mark.parametrize("sweeps", [1, 2, 3, 4])
@pytest.mark.parametrize("lr", [Fraction(1, 8), Fraction(1)])
def test_the_defect_of_sweeps_is_that_of_exact_arithmetic(sweeps, lr):
    """(LI-DEFECT) against Y^T Y - I of the exact Y; terms of the power sum are |B|^(2s+4) at most."""
    w = skew_of(NEGATIVE, True)
    exact = floats(gram_defect(swept(w, lr, sweeps)))
    size = max(1, np.linalg.norm(float(lr) / 2 * floats(w), 2)) ** (2 * sweeps + 4)
    found = steps.cayley_sweeps_defect(floats(X), floats(w), lr=float(lr), sweeps=sweeps)
    assert np.allclose(found, exact, rtol=0, atol=100 * EPS * size)
    assert np.linalg.norm(found - exact) <= 1e-12 * np.linalg.norm(exact)


@pytest.mark.parametrize(("sweeps", "order"), [(1, 4), (2, 4), (3, 6), (4, 6)])
def test_the_order_of_the_defect(sweeps, order):
    """Even numbers of sweeps gain nothing: t^(s+2), odd ones t^(s+3)."""
    w = skew_of(NEGATIVE, True)
    sizes = [np.linalg.norm(floats(gram_defect(swept(w, Fraction(1, 2**k), sweeps)))) for k in (9, 10)]
    assert np.log2(sizes[0] / sizes[1]) == pytest.approx(order, abs=1e-4)  # the next term is t^2 = 2^-18 as large


def test_the_error_of_sweeps():
    """(LI-ERROR) (I - B)(Y_s - Y) = -2 B^(s+2) X, exactly."""
    lr, w = Fraction(1, 4), skew_of(NEGATIVE, True)
    b = [[lr / 2 * v for v in row] for row in w]
    for sweeps in (1, 2, 3):
        error = add(swept(w, lr, sweeps), cayley(w, lr), Fraction(-1))
        power = mul(b, b)
        for _ in range(sweeps):
            power = mul(power, b)
        assert mul(add(eye(3), b, Fraction(-1)), error) == [[-2 * v for v in row] for row in mul(power, X)]


def test_two_steps_of_li_with_momentum_in_exact_arithmetic():
    """Algorithm 1 of the paper with rational numbers: the cap is not reached, then it is."""
    lr, mu = Fraction(1, 16), Fraction(1, 2)
    x, m = X, [[Fraction(0)] * 2] * 3
    state, point = ZERO, floats(X)
    for g in (G, [[0, 1], [2, 0], [-1, 1]]):
        m = add([[mu * v for v in row] for row in m], g, Fraction(-1))
        w = skew_of(m, True, x)
        x, m = swept(w, lr, 2, x), mul(w, x)
        state, point = steps.cayley_sgd(
            state, np.asarray(g, float), point, lr=float(lr), momentum=0.5, metric="euclidean", sweeps=2,
            contraction=1000.0, check=False,
        )  # fmt: skip
        assert np.allclose(point, floats(x), rtol=0, atol=200 * EPS)
        assert np.allclose(state.momentum, floats(m), rtol=0, atol=400 * EPS)


@pytest.mark.parametrize("size", ["frobenius", "one"])
def test_the_cap_on_the_step(size):
    w = floats(skew_of(NEGATIVE, True))
    norm = np.linalg.norm(w) if size == "frobenius" else abs(w).sum(axis=0).max()
    options = {"metric": "euclidean", "sweeps": 1, "check": False}
    _, capped = steps.cayley_sgd(ZERO, floats(G), floats(X), lr=10.0, contraction=0.5, size=size, eps=0.25, **options)
    _, same = steps.cayley_sgd(ZERO, floats(G), floats(X), lr=1 / (norm + 0.25), **options)
    assert np.allclose(capped, same, rtol=0, atol=64 * EPS)


def test_sweeps_from_the_momentum():
    """One sweep from X + t M: X + t/2 W (2 X + t M), M = -G, which is not tangent."""
    lr, w = Fraction(1, 8), skew_of(NEGATIVE, True)
    exact = add(X, mul(w, add(add(X, X), NEGATIVE, lr)), lr / 2)
    _, point = steps.cayley_sgd(
        ZERO, floats(G), floats(X), lr=0.125, metric="euclidean", sweeps=1, start="momentum", check=False
    )
    assert np.allclose(point, floats(exact), rtol=0, atol=32 * EPS)


def test_many_sweeps_are_the_curve():
    _, exact = steps.cayley_sgd(ZERO, floats(G), floats(X), lr=0.125)
    _, many = steps.cayley_sgd(ZERO, floats(G), floats(X), lr=0.125, sweeps=60)
    assert np.linalg.norm(exact - many) <= 100 * EPS


# --- Riemannian SGD ---------------------------------------------------------------------------------------------------


RETRACTIONS = ("qr", "cholesky_qr", "polar", "cayley", "exp")
TRANSPORTS = ("projection", "qr", "polar", "cayley", "isometric")


def problem(n=6, p=3, complex_=False, seed=0):
    """Tr(X^H A X)/2 on random data: gradient A X."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((n, n)) + (1j * rng.standard_normal((n, n)) if complex_ else 0)
    a = a + a.conj().T
    return a, stiefel.random_point((n, p), rng=rng, dtype=str(a.dtype))


@pytest.mark.parametrize("complex_", [False, True])
@pytest.mark.parametrize("retraction", RETRACTIONS)
def test_steps_stay_on_the_manifold_with_a_tangent_buffer(retraction, complex_):
    a, x = problem(complex_=complex_)
    state = steps.momentum_state(x)
    for _ in range(4):
        state, x = steps.riemannian_sgd(
            state, a @ x, x, lr=0.05, metric="canonical", momentum=0.5, retraction=retraction
        )
        assert np.linalg.norm(x.conj().T @ x - np.eye(3)) <= 100 * EPS
        half = x.conj().T @ state.momentum
        assert np.linalg.norm(half + half.conj().T) <= 100 * EPS * np.linalg.norm(state.momentum)


@pytest.mark.parametrize("transport", [*TRANSPORTS, "parallel"])
def test_the_momentum_is_transported_and_counts_in_the_next_step(transport):
    """With G = 0 in the second step the point moves along the transported momentum alone."""
    a, x = problem()
    options = {"lr": 0.1, "metric": "euclidean", "momentum": 0.5}
    options["retraction"] = {"projection": "polar", "isometric": "cayley", "parallel": "exp"}.get(transport, transport)
    state, y = steps.riemannian_sgd(steps.momentum_state(x), a @ x, x, transport=transport, **options)
    grad = stiefel.gradient(x, a @ x, "euclidean")
    # to first order in lr the buffer is the gradient, whatever the transport
    short, _ = steps.riemannian_sgd(steps.momentum_state(x), a @ x, x, transport=transport, **options | {"lr": 1e-6})
    assert np.linalg.norm(short.momentum - grad) <= 1e-5 * np.linalg.norm(grad) * np.linalg.norm(grad)
    again, z = steps.riemannian_sgd(state, 0 * x, y, transport=transport, **options)
    back = stiefel.retract(y, -0.05 * state.momentum, options["retraction"],
                           metric="euclidean" if transport == "parallel" else None)  # fmt: skip
    assert np.linalg.norm(z - back) <= 50 * EPS and again.step == 2


def test_without_momentum_it_is_retraction_along_the_gradient():
    """Polar retraction in NumPy: the polar factor of X - lr (G - X sym(X^T G))."""
    a, x = problem()
    g = a @ x
    _, point = steps.riemannian_sgd(steps.momentum_state(x), g, x, lr=0.1, metric="euclidean", retraction="polar")
    sym = (x.T @ g + g.T @ x) / 2
    u, _, vh = np.linalg.svd(x - 0.1 * (g - x @ sym), full_matrices=False)
    assert np.linalg.norm(point - u @ vh) <= 100 * EPS


def test_the_cayley_step_is_a_riemannian_one():
    a, x = problem()
    _, point = steps.cayley_sgd(steps.momentum_state(x), a @ x, x, lr=0.1)
    _, same = steps.riemannian_sgd(steps.momentum_state(x), a @ x, x, lr=0.1, metric="canonical", retraction="cayley")
    assert np.linalg.norm(point - same) <= 100 * EPS


def test_they_find_the_smallest_eigenvalues():
    """0 and 1 with a gap of 1: near the minimum a step of length 1/2 halves the distance, and quarters the value."""
    q = stiefel.random_point((5, 5), rng=np.random.default_rng(5), dtype="float64")
    a, x0 = (q * [0.0, 0.0, 1.0, 1.0, 1.0]) @ q.T, np.linalg.qr(q[:, :2] + q[:, 2:4] + 0.2 * q[:, 3:])[0]
    for rule in (
        lambda s, x: steps.riemannian_sgd(s, a @ x, x, lr=0.5, metric="euclidean", momentum=0.1),
        lambda s, x: steps.cayley_sgd(s, a @ x, x, lr=0.5),
        lambda s, x: steps.cayley_sgd(s, a @ x, x, lr=0.5, momentum=0.1, metric="euclidean"),
    ):
        state, x = steps.momentum_state(x0), x0
        for _ in range(25):
            state, x = rule(state, x)
        assert np.trace(x.T @ a @ x) <= 2 * 4.0**-20


def test_a_small_sum_of_large_terms_is_a_tangent_still():
    """The momentum cancels the gradient but for 1e-9: relative to that the terms are no tangents."""
    a, x = problem()
    g = a @ x
    grad = stiefel.gradient(x, g, "euclidean")
    state = steps.momentum_state(x)._replace(momentum=-2 * grad * (1 - 1e-9))
    state, point = steps.riemannian_sgd(state, g, x, lr=0.1, metric="euclidean", momentum=0.5)
    assert np.linalg.norm(point - x) <= 1e-9 * np.linalg.norm(grad)
    with pytest.raises(OutsideDomain, match=r"state\.momentum is not tangent"):
        steps.riemannian_sgd(state._replace(momentum=x), g, x, lr=0.1, metric="euclidean")


# --- landing ----------------------------------------------------------------------------------------------------------


def test_a_landing_step_in_exact_arithmetic():
    """skew(G X^T) X + X (X^T X - I)/2, X off the manifold."""
    x = [[Fraction(1), Fraction(1, 2)], [Fraction(0), Fraction(1)], [Fraction(1, 4), Fraction(0)]]
    half = mul(G, t(x))
    psi = [[v / 2 for v in row] for row in add(half, t(half), Fraction(-1))]
    field = add(mul(psi, x), mul(x, gram_defect(x)), Fraction(1, 2))
    state, update = steps.landing_sgd(ZERO, floats(G), floats(x), lr=0.25, attraction=0.5)
    assert np.allclose(update, -0.25 * floats(field), rtol=0, atol=32 * EPS)
    state, update = steps.landing_sgd(state, floats(G), floats(x), lr=0.25, attraction=0.5, momentum=0.5)
    assert np.allclose(update, -0.375 * floats(field), rtol=0, atol=32 * EPS)
    # (LAND-DEFECT), exactly
    eta, y, d = Fraction(1, 4), add(x, field, Fraction(-1, 4)), gram_defect(x)
    pulled = add(d, add(d, mul(d, d)), -2 * eta * Fraction(1, 2))
    assert gram_defect(y) == add(pulled, mul(t(field), field), eta**2)


@pytest.mark.parametrize("attraction", [0.0, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_safe_rates_keep_the_defect(attraction, size):
    rng = np.random.default_rng(4)
    for k in range(20):
        near = np.eye(3) + 0.1 * k / 20 * rng.standard_normal((3, 3))
        x = stiefel.random_point((5, 3), rng=rng, dtype="float64") @ near
        g = size * rng.standard_normal((5, 3))
        if not np.linalg.norm(x.T @ x - np.eye(3)) <= 0.5:
            continue
        lr = float(steps.landing_safe_lr(x, g, attraction=attraction))
        for part in (1.0, 0.3):
            _, update = steps.landing_sgd(steps.momentum_state(x), g, x, lr=part * lr, attraction=attraction)
            y = x + update
            assert np.linalg.norm(y.T @ y - np.eye(3)) <= 0.5 + 50 * EPS


@pytest.mark.parametrize("h", [0.0, 10.0])
def test_the_safe_rate_by_hand(h):
    """X = 5/4 e_1, G = h e_2: Delta = 9/16, Lambda = lambda 5/4 Delta e_1 + 25/32 h e_2; G = 0 leaves 1/(2 lambda)."""
    x, g = np.asarray([[1.25], [0.0]]), np.asarray([[0.0], [h]])
    d, lam, eps = 0.5625, 0.5, 0.75
    square = (lam * 1.25 * d) ** 2 + (25 / 32 * h) ** 2
    lr = float(steps.landing_safe_lr(x, g, attraction=lam, tolerance=eps))
    p = lam * d * (1 - d)
    root = (p + np.sqrt(p**2 + square * (eps - d))) / square
    assert (root < 1 / (2 * lam)) == (h > 0)
    assert lr == pytest.approx(min(1 / (2 * lam), root), rel=16 * EPS, abs=0)
    assert float(steps.landing_safe_lr(np.eye(2), 0 * np.eye(2), attraction=0.0)) == np.inf
    with pytest.raises(OutsideDomain, match="more than tolerance"):
        steps.landing_safe_lr(2 * x, x, attraction=1.0)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sweeps": 0}, "sweeps"),
        ({"start": "zero"}, "start"),
        ({"size": "two"}, "size"),
        ({"metric": "bi-invariant"}, "metric"),
        ({"contraction": -1.0}, "contraction"),
        ({"eps": -1.0}, "eps"),
        ({"momentum": 1.0}, "momentum"),
        ({"lr": -1.0}, "lr"),
    ],
)
def test_refused(options, message):
    with pytest.raises(ValueError, match=message):
        steps.cayley_sgd(ZERO, floats(G), floats(X), **{"lr": 0.1} | options)


def test_points_off_the_manifold_are_refused_unless_they_are_asked_for():
    x = 1.1 * floats(X)
    for rule in (steps.cayley_sgd, lambda *a, **o: steps.riemannian_sgd(*a, metric="canonical", **o)):
        with pytest.raises(OutsideDomain, match="not on the manifold"):
            rule(ZERO, floats(G), x, lr=0.1)
    steps.cayley_sgd(ZERO, floats(G), x, lr=0.1, sweeps=2, check=False)
    with pytest.raises(OutsideDomain, match="not skew-Hermitian"):
        steps.cayley_sweeps_defect(x, np.ones((3, 3)), lr=0.1, sweeps=1)
    with pytest.raises(ValueError, match="tolerance"):
        steps.landing_safe_lr(x, x, attraction=1.0, tolerance=2.0)
