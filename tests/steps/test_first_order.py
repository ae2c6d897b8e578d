"""SGD, Adam and LARS in exact arithmetic; directions from their definitions."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt

import numpy as np
import pytest

from orthoref import steps
from orthoref.errors import OutsideDomain

EPS = 2.0**-52
G = np.asarray([[3.0, 0.0], [4.0, 0.0], [0.0, -12.0]])


def test_sgdm_by_hand():
    """V = V/2 + G/4 twice: 1/4 and 3/8 of G, exactly."""
    state = steps.momentum_state(G)
    for weight in (0.25, 0.375):
        state, update = steps.sgdm(state, G, lr=0.25, momentum=0.5)
        assert np.array_equal(state.momentum, weight * G) and np.array_equal(update, -weight * G)
    assert state.step == 2


@pytest.mark.parametrize(
    ("rule", "direction"),
    [
        (steps.orthogonal_sgdm, G / [5, 12]),
        (steps.normalized_sgdm, G / 13),
        (steps.component_normalized_sgdm, G / [5, 12]),
        (lambda s, g, **o: steps.component_normalized_sgdm(s, g, components="rows", **o), np.sign(G)),
    ],
)
def test_the_gradient_is_replaced_before_the_momentum(rule, direction):
    state = steps.momentum_state(G)
    for weight in (0.25, 0.375):
        state, update = rule(state, weight * G, lr=0.25, momentum=0.5)
        assert np.allclose(update, -weight * direction, rtol=0, atol=16 * EPS)


def test_adam_by_hand():
    """One entry: G = 3, then 4, beta = 1/2, 3/4: means 3, 11/3; squares 9, (27/16 + 4)/(7/16) = 13."""
    state, rates = steps.adam_state(np.ones((1, 1))), {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 0.25}
    for g, mean, square in ((3.0, Fraction(3), 9), (4.0, Fraction(11, 3), 13)):
        state, update = steps.adam(state, np.asarray([[g]]), **rates)
        assert float(update[0, 0]) == pytest.approx(-0.5 * float(mean) / (sqrt(square) + 0.25), rel=8 * EPS, abs=0)
    assert state.mean[0, 0] == 2.75 and state.square[0, 0] == 9 * 3 / 16 + 4 and state.step == 2


def test_the_first_step_of_adam_is_the_sign():
    g = np.random.default_rng(0).standard_normal((4, 3)) ** 5
    _, update = steps.adam(steps.adam_state(g), g, lr=1.0, eps=0.0)
    assert np.allclose(update, -np.sign(g), rtol=8 * EPS, atol=0)


def test_adam_of_complex_entries_has_one_rate_for_both_parts():
    g = np.asarray([[3.0 + 4.0j, -1.0j]])
    _, update = steps.adam(steps.adam_state(g), g, lr=1.0, eps=0.0)
    assert np.allclose(update, [[-0.6 - 0.8j, 1.0j]], rtol=8 * EPS, atol=0)


def test_orthogonal_adam_is_adam_of_the_factor():
    state = steps.adam_state(G)
    for scale in (1.0, 7.0):
        state, update = steps.orthogonal_adam(state, scale * G, lr=0.5, beta1=0.5, beta2=0.75)
        o = G / [5, 12]
        assert np.allclose(state.mean, (1 - 0.5**state.step) * o, rtol=0, atol=16 * EPS)
        assert np.allclose(update[o != 0], (-0.5 * np.sign(o))[o != 0], rtol=1e-7, atol=0)  # eps = 1e-8 over 0.6


@pytest.mark.parametrize("view", ["matrix", "first-axis"])
def test_lars_by_hand(view):
    """|W| = 26, |G| = 13, wd = 1/2: rate 1/4 26/(13 + 13) = 1/4; V = V/2 + 1/4 (G + W/2)/2."""
    w, state = 2 * G, steps.momentum_state(G)
    for weight in (1, 1.5):
        state, update = steps.lars(state, G, w, lr=0.5, momentum=0.5, weight_decay=0.5, trust=0.25, view=view)
        assert np.allclose(update, -weight * 0.125 * (G + w / 2), rtol=0, atol=8 * EPS * 13)


def test_a_layer_of_more_axes_has_one_rate_or_a_stack_one_each():
    g = np.stack([G, 2 * G])
    w = np.stack([G, G])
    _, stack = steps.lars(steps.momentum_state(g), g, w, lr=1.0, trust=1.0)
    assert np.allclose(stack[0], -G, rtol=8 * EPS, atol=0) and np.allclose(stack[1], -G, rtol=8 * EPS, atol=0)
    _, layer = steps.lars(steps.momentum_state(g), g, w, lr=1.0, trust=1.0, view="first-axis")
    assert np.allclose(layer, -g * sqrt(2 / 5), rtol=8 * EPS, atol=0)
    assert np.allclose(steps.normalized(g, view="first-axis"), g / (13 * sqrt(5)), rtol=8 * EPS, atol=0)
    assert np.allclose(steps.normalized(g), w / 13, rtol=8 * EPS, atol=0)


def test_the_rate_of_lars_is_one_where_its_quotient_is_not_defined():
    for w, g, expected in ((0 * G, G, -G), (G, 0 * G, 0 * G)):
        _, update = steps.lars(steps.momentum_state(G), g, w, lr=1.0, trust=0.5)
        assert np.array_equal(update, expected)


def test_orthogonal_lars_does_not_see_the_size_of_the_gradient():
    w, zero = np.ones((3, 2)), steps.momentum_state(G)
    updates = [steps.orthogonal_lars(zero, scale * G, w, lr=1.0, trust=0.5).update for scale in (1e-3, 1, 1e3)]
    for update in updates:  # |W| = sqrt(6), |O| = sqrt(2)
        assert np.allclose(update, -0.5 * sqrt(3) * G / [5, 12], rtol=32 * EPS, atol=32 * EPS)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (2, 6, 4)], ids=str)
def test_the_orthogonal_direction_is_the_nearest_frame(shape):
    """Equations 4 and 5 of the paper, and that no other frame is nearer; rows where there are too few of them."""
    g = np.random.default_rng(1).standard_normal(shape)
    o, rng = steps.orthogonalized(g), np.random.default_rng(2)
    small = min(shape[-2:])
    gram = np.swapaxes(o, -1, -2) @ o if shape[-2] >= shape[-1] else o @ np.swapaxes(o, -1, -2)
    assert np.allclose(gram, np.eye(small), rtol=0, atol=10 * 6 * EPS)
    for _ in range(20):
        other = steps.orthogonalized(o + 0.1 * rng.standard_normal(shape))
        assert np.all(np.linalg.norm(g - other, axis=(-2, -1)) >= np.linalg.norm(g - o, axis=(-2, -1)) * (1 - 20 * EPS))


def test_rank_deficient_gradients():
    low = np.outer([3.0, 4.0, 0.0], [1.0, 2.0, 2.0])
    assert np.allclose(steps.orthogonalized(low), low / 15, rtol=0, atol=20 * EPS)
    full = steps.orthogonalized(low, rank_deficient="complete")
    assert np.allclose(full.T @ full, np.eye(3), rtol=0, atol=30 * EPS) and np.sum(full * low) == pytest.approx(
        15, rel=30 * EPS, abs=0
    )
    with pytest.raises(OutsideDomain):
        steps.orthogonal_sgdm(steps.momentum_state(low), low, lr=1.0, rank_deficient="raise")


def test_a_zero_column_stays_zero_and_a_small_one_has_length_one():
    g = np.asarray([[0.0, 3e-200, -1e300], [0.0, 4e-200, 0.0]])
    assert np.allclose(steps.component_normalized(g), [[0, 0.6, -1], [0, 0.8, 0]], rtol=8 * EPS, atol=0)
    assert np.array_equal(steps.component_normalized(g.T, components="rows").T, steps.component_normalized(g))
    kernel = g.reshape(1, 2, 3)
    assert np.array_equal(steps.component_normalized(kernel, view="last-axis")[0], steps.component_normalized(g))


def test_normalized_far_from_one():
    for scale in (1e300, 1e-300):
        assert np.allclose(steps.normalized(scale * G), G / 13, rtol=8 * EPS, atol=0)
    assert not steps.normalized(0 * G).any() and steps.normalized(np.zeros((2, 0))).shape == (2, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, a: steps.sgdm(s, G, lr=-1), "lr"),
        (lambda s, a: steps.sgdm(s, G, lr=1, momentum=1), "momentum"),
        (lambda s, a: steps.adam(a, G, lr=1, beta1=1), "beta1"),
        (lambda s, a: steps.adam(a, G, lr=1, beta2=-1), "beta2"),
        (lambda s, a: steps.adam(a, G, lr=1, eps=-1), "eps"),
        (lambda s, a: steps.adam(a, 0 * G, lr=1, eps=0), "the update overflows"),
        (lambda s, a: steps.lars(s, G, G, lr=1, trust=-1), "trust"),
        (lambda s, a: steps.lars(s, G, np.ones((2, 2)), lr=1), "shape"),
        (lambda s, a: steps.component_normalized(G, components="heads"), "components"),
        (lambda s, a: steps.sgdm(s, np.full((3, 2), 1.7e308), lr=2), "the velocity overflows"),
    ],
)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(steps.momentum_state(G), steps.adam_state(G))


def test_states_are_not_mixed_up():
    with pytest.raises(TypeError, match="AdamState"):
        steps.adam(steps.momentum_state(G), G, lr=1)
    with pytest.raises(TypeError, match="MomentumState"):
        steps.sgdm(steps.adam_state(G), G, lr=1)
