"""Trust regions: the methods that are special cases, the constrained form, and bounds on problems that are solved."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from orthoref import steps

EPS = 2.0**-52
KINDS = ("frobenius", "spectral", "max", "rms-rms", "1-2", "nuclear")


def gradients(shape=(5, 3), count=6, seed=0):
    return list(np.random.default_rng(seed).standard_normal((count, *shape)))


def run(rule, gs, w, **options):
    """Parameters after each step."""
    state, found = steps.momentum_state(w), []
    for g in gs:
        state, update = rule(state, g, w, **options)
        w = w + update
        found.append(w)
    return found


# --- special cases ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "norm"), [("none", "spectral"), ("sqrt-ratio", "rms-rms")])
@pytest.mark.parametrize("orientation", ["out-in", "in-out"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_muon_is_the_spectral_ball(factor, norm, orientation, weight_decay):
    """One rounding of lr times factor each: the parameters of six steps differ by that at most."""
    gs, w = gradients(), np.ones((5, 3))
    muon = run(steps.muon, gs, w, lr=0.25, momentum=0.75, nesterov=False, schedule=None, factor=factor,
               orientation=orientation, weight_decay=weight_decay)  # fmt: skip
    ball = run(steps.trust_region, gs, w, radius=0.25, momentum=0.75, norm=norm, orientation=orientation,
               decay=0.25 * weight_decay)  # fmt: skip
    for x, y in zip(muon, ball, strict=True):
        assert np.linalg.norm(x - y) <= 6 * 4 * EPS * (np.linalg.norm(w) + 6)
        if factor == "none":
            assert np.array_equal(x, y)


def test_muon_with_a_schedule_that_converges_is_the_spectral_ball():
    gs, w = gradients(), np.zeros((5, 3))
    muon = run(steps.muon, gs, w, lr=1.0, nesterov=False, schedule="newton-schulz-5", steps=25, eps=0.0, factor="none")
    ball = run(steps.trust_region, gs, w, radius=1.0, momentum=0.95)
    assert all(np.linalg.norm(x - y) <= 6 * 25 * 5 * EPS for x, y in zip(muon, ball, strict=True))  # n eps a step


def test_normalised_momentum_is_the_frobenius_ball():
    gs, w, m, x = gradients(), np.ones((5, 3)), 0.0, np.ones((5, 3))
    for g, y in zip(gs, run(steps.trust_region, gs, w, radius=0.5, momentum=0.75, norm="frobenius"), strict=True):
        m = 0.75 * m + 0.25 * g
        x = x - 0.5 * m / np.linalg.norm(m)
        assert np.linalg.norm(x - y) <= 6 * 20 * EPS


def test_sign_sgd_with_momentum_is_the_ball_of_the_largest_entry():
    gs, w, m, x = gradients(), np.ones((5, 3)), 0.0, np.ones((5, 3))
    for g, y in zip(gs, run(steps.trust_region, gs, w, radius=0.5, momentum=0.75, norm="max"), strict=True):
        m = 0.75 * m + 0.25 * g
        x = x - 0.5 * np.sign(m)
        assert np.array_equal(x, y)


def test_without_momentum_the_gradient_is_normalised():
    gs = gradients()
    for kind, rule in (("frobenius", steps.normalized_sgdm), ("1-2", steps.component_normalized_sgdm),
                       ("spectral", steps.orthogonal_sgdm)):  # fmt: skip
        for g in gs:
            zero = steps.momentum_state(g)
            _, update = steps.trust_region(zero, g, radius=0.5, momentum=0.0, norm=kind)
            assert np.array_equal(update, rule(zero, g, lr=0.5, momentum=0.0).update)


def test_orthogonal_sgdm_is_no_muon():
    """The order of momentum and orthogonalization: lengths differ from the second step on."""
    gs = gradients()
    state = other = steps.momentum_state(gs[0])
    for k, g in enumerate(gs):
        state, update = steps.orthogonal_sgdm(state, g, lr=0.1, momentum=0.75)
        other, of_muon = steps.trust_region(other, g, radius=0.1, momentum=0.75)
        s, s_muon = (np.linalg.svd(u)[1] for u in (update, of_muon))
        assert np.allclose(s_muon, 0.1, rtol=20 * EPS, atol=0) and s[0] <= 0.4 * (1 + 50 * EPS)
        assert k == 0 or s[0] > 0.11


# --- one step in exact arithmetic -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "direction"),
    [
        ("frobenius", [[Fraction(3, 13), 0], [Fraction(4, 13), 0], [0, Fraction(-12, 13)]]),
        ("max", [[1, 0], [1, 0], [0, -1]]),
        ("1-2", [[Fraction(3, 5), 0], [Fraction(4, 5), 0], [0, -1]]),
        ("spectral", [[Fraction(3, 5), 0], [Fraction(4, 5), 0], [0, -1]]),
        ("nuclear", [[0, 0], [0, 0], [0, -1]]),
    ],
)
def test_one_step_by_hand(kind, direction):
    """M = M/2 + G/2 = G of singular values 12 and 5; W/4 - S/2 - W/4 W."""
    g = np.asarray([[3.0, 0.0], [4.0, 0.0], [0.0, -12.0]])
    w = np.asarray([[4.0, 8.0], [0.0, 4.0], [8.0, 0.0]])
    state = steps.momentum_state(w)._replace(momentum=g)
    (m, count), update = steps.trust_region(state, g, w, radius=0.5, norm=kind, momentum=0.5, decay=0.25)
    exact = [[float(-Fraction(1, 2) * d - Fraction(v) / 4) for d, v in zip(*rows, strict=True)]
             for rows in zip(direction, w.tolist(), strict=True)]  # fmt: skip
    assert np.array_equal(m, g) and count == 1
    assert np.allclose(update, exact, rtol=0, atol=16 * EPS)


# --- convex problems with known constants -----------------------------------------------------------------------------

SHAPE = (3, 5)
B = 4 * np.random.default_rng(8).standard_normal(SHAPE)


def f(x):
    return 0.5 * np.sum((x - B) ** 2)


def constant(kind, shape=SHAPE):
    """(TR-CONSTANTS) of f."""
    m, n = shape
    of_polar = min(m, n)
    of = {"frobenius": 1, "spectral": of_polar, "max": m * n, "rms-rms": of_polar * m / n, "1-2": n, "nuclear": 1}
    return of[kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4)], ids=str)
def test_the_constants_bound_and_are_attained(kind, shape):
    m, n = shape
    y = np.random.default_rng(9).standard_normal((30, m, n))
    most = {
        "frobenius": np.eye(m, n), "spectral": np.eye(m, n), "max": np.ones(shape), "rms-rms": np.eye(m, n),
        "1-2": np.ones(shape), "nuclear": np.ones(shape),
    }[kind]  # fmt: skip
    ratios = steps.dual_norm(y, kind) / steps.norm(y, kind)
    assert np.all(ratios <= constant(kind, shape) * (1 + 100 * EPS))
    attained = float(steps.dual_norm(most, kind) / steps.norm(most, kind))
    assert attained == pytest.approx(constant(kind, shape), rel=100 * EPS, abs=0)


@pytest.mark.parametrize("kind", KINDS)
def test_descent(kind):
    """Along 40 steps with stochastic gradients; rounding of f is 30 eps f."""
    rng = np.random.default_rng(10)
    w, state, slack = np.zeros(SHAPE), steps.momentum_state(B), []
    for _ in range(40):
        g, before = w - B, w
        noisy = g + 0.3 * rng.standard_normal(SHAPE)
        state, update = steps.trust_region(state, noisy, w, radius=0.2, norm=kind, momentum=0.5)
        w = w + update
        bound = float(steps.descent_bound(g, state.momentum, kind, radius=0.2, smoothness=constant(kind)))
        slack.append(bound - (f(w) - f(before)))
        assert slack[-1] >= -30 * EPS * f(before)
    g = np.zeros(SHAPE)  # at the minimum the bound is attained by the direction that attains the constant
    y = {"max": np.ones(SHAPE), "1-2": np.ones(SHAPE), "nuclear": np.ones(SHAPE)}.get(kind, np.eye(*SHAPE))
    step = steps.lmo(y, kind, radius=0.2)
    assert 0.5 * np.sum(step**2) == pytest.approx(
        float(steps.descent_bound(g, g, kind, radius=0.2, smoothness=constant(kind))), rel=100 * EPS, abs=0
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_bound_is_attained_by_a_vanishing_momentum_that_points_uphill(kind):
    """A linear function, L = 0, M = -t G: it grows by eta |G|_*, the bound is (1 + 2t) eta |G|_*."""
    g, t = B, 2.0**-30
    step = steps.lmo(-t * g, kind, radius=0.5)
    bound = float(steps.descent_bound(g, -t * g, kind, radius=0.5, smoothness=0.0))
    dual = float(steps.dual_norm(g, kind))
    assert np.sum(g * step) == pytest.approx(0.5 * dual, rel=200 * EPS, abs=0)
    assert bound == pytest.approx((1 + 2 * t) * 0.5 * dual, rel=200 * EPS, abs=0)


def solved(kind, radius):
    """The least value of f on the ball, from the projection onto it."""
    s = np.linalg.svd(B)[1]
    if kind == "frobenius":
        return 0.5 * max(np.linalg.norm(B) - radius, 0) ** 2
    if kind == "nuclear":  # soft thresholding by the t with sum (s - t)_+ = radius
        for k in range(len(s), 0, -1):
            t = (s[:k].sum() - radius) / k
            if s[k - 1] > t:
                return 0.5 * (k * t**2 + (s[k:] ** 2).sum())
    lengths = {
        "spectral": s,
        "rms-rms": s * (SHAPE[1] / SHAPE[0]) ** 0.5,
        "max": abs(B),
        "1-2": np.linalg.norm(B, axis=0),
    }[kind]
    excess = np.maximum(lengths - radius, 0)
    return 0.5 * np.sum(excess**2) * (SHAPE[0] / SHAPE[1] if kind == "rms-rms" else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_constrained_form_solves_the_problem_on_the_ball(kind):
    """Steps 2/(k + 2) of Frank and Wolfe: f - min f <= 2 L (2R)^2/(k + 2), and the gap bounds it at every step."""
    radius, least, w = 2.0, solved(kind, 2.0), np.zeros(SHAPE)
    gaps = []
    for k in range(60):
        beta = 2 / (k + 2) if k else 0.99
        g = w - B
        gap = float(steps.duality_gap(w, g, kind, radius=radius))
        excess = f(w) - least
        assert -200 * EPS * f(w) <= excess <= gap + 200 * EPS * f(w)
        assert not k or excess <= 2 * constant(kind) * (2 * radius) ** 2 / (k + 1) * 1.01
        gaps.append(gap)
        _, update = steps.trust_region(
            steps.momentum_state(w), g, w, radius=beta * radius, norm=kind, momentum=0.0, decay=beta
        )
        w = w + update
        assert float(steps.norm(w, kind)) <= radius * (1 + 50 * EPS)
    assert min(gaps[-20:]) < 0.1 * gaps[0] and float(steps.norm(w, kind)) > 0.8 * radius


@pytest.mark.parametrize("kind", KINDS)
def test_decay_keeps_the_ball_and_leads_into_it(kind):
    eta, beta = 0.2, 0.25
    radius = eta / beta
    w = 5 * np.random.default_rng(11).standard_normal(SHAPE)
    state = steps.momentum_state(w)
    for g in gradients(SHAPE, 40, 12):
        before = float(steps.norm(w, kind))
        state, update = steps.trust_region(state, g, w, radius=eta, norm=kind, decay=beta)
        w = w + update
        assert float(steps.norm(w, kind)) - radius <= (1 - beta) * (before - radius) + 20 * EPS * before
    assert float(steps.norm(w, kind)) <= radius * (1 + 1e-3)


def test_the_gap_is_what_its_maximiser_attains():
    w, g = 0.1 * gradients()[0], gradients()[1]
    for kind in KINDS:
        s = steps.lmo(g, kind, radius=0.75)
        gap = float(steps.duality_gap(w, g, kind, radius=0.75))
        assert gap == pytest.approx(np.sum(g * (w - s)), rel=100 * EPS, abs=100 * EPS)


def test_stacks_and_complex_numbers():
    rng = np.random.default_rng(13)
    g = rng.standard_normal((2, 4, 3)) + 1j * rng.standard_normal((2, 4, 3))
    for kind in KINDS:
        _, update = steps.trust_region(steps.momentum_state(g), g, radius=0.5, norm=kind, momentum=0.0)
        gap = steps.duality_gap(update, g, kind, radius=0.5)
        assert gap.shape == (2,) and np.all(abs(gap) <= 200 * EPS * steps.dual_norm(g, kind))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"radius": -1}, "radius"), ({"norm": "l2"}, "kind"), ({"decay": 1.0}, "decay"), ({"decay": 0.1}, "parameter")],
)
def test_refused(options, message):
    g = np.eye(2)
    with pytest.raises(ValueError, match=message):
        steps.trust_region(steps.momentum_state(g), g, **{"radius": 1.0} | options)
    with pytest.raises(ValueError, match="smoothness"):
        steps.descent_bound(g, g, "max", radius=1.0, smoothness=-1.0)
