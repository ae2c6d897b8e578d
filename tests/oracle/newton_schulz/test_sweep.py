"""The sweeps of the finite iteration in fixed point against differences of it in 400 bits, and against ours.

Errors are relative to |e|/|a|, |x_bar|/|a|, |e||x_bar|/|a|^2: the result does not change with the size of a.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from backends import norm
from exact import BITS, lift
from newton_schulz.test_iteration import KINDS, exact_normalized, exact_steps
from oracle.polar.test_truth import basis, draw, gathered, inner_ball, lifted, size

from orthoref import newton_schulz_jvp, newton_schulz_vjp, newton_schulz_vjp_jvp
from orthoref.oracle import cases
from orthoref.oracle.dual import Dual, dual
from orthoref.oracle.fixed import Fixed, ct, rounded
from orthoref.oracle.newton_schulz import sweep
from orthoref.oracle.newton_schulz.claim import iteration
from orthoref.oracle.newton_schulz.derivative_ratios import outcome, truths
from orthoref.oracle.precision import PRECISIONS
from orthoref.oracle.residual import ldexp
from orthoref.schedules import Normalization

pytestmark = pytest.mark.exhaustive  # 400 bits at many points

flint = pytest.importorskip("flint", reason="python-flint gives the reference")

DIGITS = 30


def claim(kind, steps=3, eps=0.0, rule="add", schedule="muon", factor="1.01"):
    return iteration(schedule, steps=steps, normalize=Normalization(kind, factor), eps=eps, eps_rule=rule)


class Row(NamedTuple):
    numerator: tuple[Fraction, ...]


def rounded_to_float64(numbers):
    """Coefficients are numbers of binary64, as ports have them."""
    return tuple(Fraction(float(c)) for c in numbers)


def errors(a, claimed, seed=5):
    """Of the JVP, the VJP and its derivative along a direction."""
    shape, dtype = a.shape, a.dtype.name
    e, bar = draw(shape, dtype, seed), draw(shape, dtype, seed + 1)
    eps = np.full((1, 1), claimed.eps)
    turn = ct if shape[0] <= shape[1] else lambda x: x  # of the tall: "aol" of a square matrix goes by its rows
    x, others = Fixed.of(turn(a)), {"a_dot": Fixed.of(turn(e)), "x_bar": Fixed.of(turn(bar))}
    rows = [Row(rounded_to_float64(row.numerator)) for row in claimed.schedule.steps(claimed.steps)]
    how = replace(claimed.normalization, factor=Fraction(float(claimed.normalization.factor)))
    with flint.ctx.workprec(BITS):
        found = [lifted(turn(outcome(kind, x, others, claimed, eps))) for kind in ("jvp", "vjp", "vjp_jvp")]

        def f(x):
            return exact_steps(exact_normalized(x, how, claimed.eps, claimed.eps_rule), rows).mid()

        t, s = (flint.acb(flint.arb(2) ** -k) for k in (100, 80))
        hp, e_hp, bar_hp = lift(a), lift(e), lift(bar)
        true, pulled, along = [(f(hp + e_hp * t) - f(hp - e_hp * t)) * (1 / (2 * t))], [], []
        for i, unit, g in basis(shape, dtype):
            g = lift(g)
            dot = (f(hp + g * t) - f(hp - g * t)) * (1 / (2 * t))
            pulled.append((i, complex(unit), inner_ball(dot, bar_hp)))
            es, gs = e_hp * s, g * s
            mixed = (f(hp + es + gs) - f(hp + es - gs) - f(hp - es + gs) + f(hp - es - gs)) * (1 / (4 * s * s))
            along.append((i, complex(unit), inner_ball(mixed, bar_hp)))
        true += [gathered(pulled, shape, dtype), gathered(along, shape, dtype)]
        scales = norm(e) / norm(a), norm(bar) / norm(a), norm(e) * norm(bar) / norm(a) ** 2
        return [size(x - y) / scale for x, y, scale in zip(found, true, scales, strict=True)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (2, 3), (1, 1), (3, 1)], ids=str)
def test_thirty_digits(shape, dtype, kind):
    a = cases.matrix(shape, cond=10, seed=3, dtype=dtype)
    assert max(errors(a, claim(kind))) <= 10.0**-DIGITS


@pytest.mark.parametrize("eps", [0.125, 0.75, 5.0])  # below, about and above the norm
@pytest.mark.parametrize("rule", ["add", "clamp"])
@pytest.mark.parametrize("kind", KINDS[:4])
def test_eps(kind, rule, eps):
    a = cases.matrix((3, 2), cond=10, seed=3, dtype="complex128")
    assert max(errors(a, claim(kind, 2, eps, rule))) <= 10.0**-DIGITS


@pytest.mark.parametrize(("schedule", "steps"), [("jordan", 5), ("cubic5", 4), ("muon", 0), ("muon", 1)])
def test_schedules(schedule, steps):
    a = cases.matrix((3, 2), cond=10, seed=8)
    assert max(errors(a, claim("frobenius", steps, schedule=schedule))) <= 10.0**-DIGITS


def test_a_planted_fault_is_seen(monkeypatch):
    """1e-25 of the gradient of the norm."""
    original = sweep.pulled
    a, c = cases.matrix((3, 2), cond=10, seed=3), claim("frobenius")

    def wrong(n, *rest):
        return original(n._replace(gradient=n.gradient + n.gradient * 1e-25), *rest)

    monkeypatch.setattr(sweep, "pulled", wrong)
    assert max(errors(a, c)) > 1e-27


# against ours


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 4, 3), (2, 3, 4)], ids=str)
@pytest.mark.parametrize(("eps", "rule"), [(0.0, "add"), (0.25, "add"), (75.0, "clamp")])
def test_ours(shape, dtype, kind, eps, rule):
    """The row's truths, update scale included: both arithmetics within 1e-12 of the public functions."""
    a = (1.0 if kind == "none" else 300.0) * cases.matrix(shape, cond=10, seed=7, dtype=dtype)
    e, bar = draw(shape, dtype, 1), draw(shape, dtype, 2)
    options = {"steps": 2, "normalize": Normalization(kind, "1.01"), "eps": eps, "eps_rule": rule}
    claimed = iteration("muon", scale="0.2 sqrt(max(m, n))", **options)
    for which, others, ours in (
        ("vjp", {"x_bar": bar}, newton_schulz_vjp(a, bar, "muon", **options)),
        ("jvp", {"a_dot": e}, newton_schulz_jvp(a, e, "muon", **options)),
        ("vjp_jvp", {"a_dot": e, "x_bar": bar}, newton_schulz_vjp_jvp(a, e, bar, "muon", **options)),
    ):
        size = norm(bar) / norm(a) if which == "vjp" else norm(e) / norm(a)
        size = size * norm(bar) / norm(a) if which == "vjp_jvp" else size
        for name in ("float32", "float64"):  # found in float64, and in fixed point
            if name == "float64" and (which, kind) == ("vjp_jvp", "spectral") and len(shape) > 2:
                continue  # takes long
            ((found,),) = (each.values() for each in truths(which, {"a": a, **others}, claimed, PRECISIONS[name]))
            value = ldexp(rounded(found.value), found.exponent)
            assert value.shape == ours.shape
            assert np.all(norm(value - claimed.factor(*shape[-2:]) * ours) <= 1e-12 * size)


@pytest.mark.parametrize("kind", KINDS)
def test_dual_numbers_in_float64_agree_with_fixed_point(kind):
    """The unit of error is computed with the former."""
    a, e, bar = cases.matrix((5, 3), cond=10, seed=9), draw((5, 3), "float64", 1), draw((5, 3), "float64", 2)
    claimed, eps = claim(kind), np.zeros((1, 1))
    for which in ("vjp", "jvp", "vjp_jvp"):
        low = outcome(which, a, {"a_dot": e, "x_bar": bar}, claimed, eps)
        high = outcome(which, Fixed.of(a), {"a_dot": Fixed.of(e), "x_bar": Fixed.of(bar)}, claimed, eps)
        assert norm(low - rounded(high)) <= 1e-13 * norm(low)
    twice = sweep.forward(Dual(Dual(a, e), None), claimed, eps).value
    assert norm(twice.dot - outcome("jvp", a, {"a_dot": e}, claimed, eps)) <= 1e-13 * norm(twice.dot)
    assert sweep.backward(dual(a), dual(bar), claimed, eps).dot is None


@pytest.mark.parametrize(
    ("rule", "kind", "known"), [("add", "vjp_jvp", False), ("add", "vjp", True), ("clamp", "vjp_jvp", True)]
)
def test_a_norm_with_eps_added_has_no_second_derivative_at_zero(rule, kind, known):
    """A/(|A| + eps): |A| is not differentiable at 0, where clamping makes it a constant."""
    a = np.stack([np.zeros((3, 2)), np.ones((3, 2))])
    inputs = {"a": a, "x_bar": np.ones_like(a)} | ({"a_dot": np.ones_like(a)} if kind == "vjp_jvp" else {})
    (found,) = truths(kind, inputs, iteration("jordan", eps=1e-2, eps_rule=rule), PRECISIONS["float32"])
    (truth,) = found.values()
    assert np.isfinite(truth.unit).tolist() == [known, True]
