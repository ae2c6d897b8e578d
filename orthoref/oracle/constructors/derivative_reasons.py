"""Known mistakes of derivatives of constructors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from math import pi
from typing import Any

import numpy as np

from orthoref.oracle.constructors import truth as exact
from orthoref.oracle.constructors.claim import ROTATIONS
from orthoref.oracle.constructors.inputs import below
from orthoref.oracle.constructors.products import over
from orthoref.oracle.constructors.ratios import columns_of, reflected, rotations, scaled, skewed, truths
from orthoref.oracle.constructors.reasons import FLOAT32, MISSING, SHORT, TIMES, Values, told
from orthoref.oracle.derivative import Mistake, Truth, multiples, shorter
from orthoref.oracle.fixed import rounded
from orthoref.oracle.operation import Data, Variant
from orthoref.oracle.precision import Precision
from orthoref.oracle.residual import ct, ldexp, norm

TERMS = 10  # longest series that is told


def variants(name: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision,
             failed: Mapping[str, float]) -> Iterator[Variant]:  # fmt: skip
    """Known mistakes of one member, of one output after the other."""
    values = {each: x.value for each, x in inputs.items()}
    truth = truths(name, values, claimed, FLOAT32)[0]
    skew = "a_bar" in outputs and claimed.space == "any"
    looked = {"a_bar": outputs["a_bar"]._replace(value=skewed(outputs["a_bar"].value))} if skew else outputs
    for each in failed or outputs:
        bar = scaled(values["q_bar" if name.endswith("vjp") else next(x for x in values if x.endswith("_dot"))])[0]
        found = ldexp(looked[each].value, -truth[each].exponent)
        mistakes = chain(MISTAKES[name](each, values, claimed, truth[each]), of_any_map(each, truth[each], bar))
        yield from told(looked, each, truth[each], mistakes, precision.eps / FLOAT32.eps)
        value = rounded(truth[each].value)
        unit = min(float(truth[each].unit) / FLOAT32.eps, SHORT * float(norm(value)))
        yield from shorter(found - value, value, precision, unit)


def of_any_map(name: str, truth: Truth, bar: np.ndarray) -> Iterator[Mistake]:
    """What every derivative can be wrong by."""
    value = rounded(truth.value)
    yield from multiples(name, truth, bar if bar.shape == value.shape else None)
    if bar.shape == value.shape and name == "a_bar":
        yield f"straight-through: {name} is the skew part of the cotangent", skewed(bar)


# Cayley ---------------------------------------------------------------------------------------------------------------


def _cayley(kind: str, name: str, values: Values, claimed: Any, truth: Truth) -> Iterator[Mistake]:
    a, c, d = values["a"], claimed.c, columns_of(values)
    moved = scaled(values["a_dot" if kind == "jvp" else "q_bar"])[0]
    vjp = kind == "vjp"
    derivative: Callable[..., Any] = exact.cayley_vjp if vjp else exact.cayley_jvp
    n, q = exact.resolvent(c * a), exact.cayley(a, c, d)
    yield "the derivative of the transposed convention: the sign of A", derivative(a, moved, -c, d)
    for times, words in TIMES.items():
        said = f"A is taken {words} times: this is the derivative for factor={claimed.factor * times:g}"
        yield said, derivative(a, moved, times * c, d)
        yield f"{said}; and of the transposed convention", derivative(a, moved, -times * c, d)
    forgotten = ": N is not transposed, N Q_bar D N in place of N^H Q_bar D N^H" if vjp else ""
    yield f"the derivative at -A{forgotten}", derivative(-a, moved, c, d)
    if "diagonal" in values:
        one = np.ones_like(d)
        yield "D is missing", derivative(a, moved, c, one)
        left = np.swapaxes(d, -1, -2)
        yield (
            "D stands on the left",
            (skewed(-2 * c * ct(n) @ (left * moved) @ ct(n)) if vjp else left * derivative(a, moved, c, one)),
        )
    if vjp:
        g = moved * d
        yield "one N is not transposed: N Q_bar D N^H", skewed(-2 * c * n @ g @ ct(n))
        yield "one N is not transposed: N^H Q_bar D N", skewed(-2 * c * ct(n) @ g @ n)
        yield "only I - c A is differentiated: the inverse is detached", skewed(-c * ct(n) @ g)
        yield "only the inverse is differentiated: I - c A is detached", skewed(-c * ct(n) @ g @ ct(q * d))
        yield "the Hermitian part is returned, not the skew one", ct(n) @ g @ ct(n) * -2 * c - truth_of(truth)
        yield "Q_bar is conjugated: the convention of JAX", derivative(a, np.conj(moved), c, d)
        if np.iscomplexobj(a):
            b = -2 * c * ct(n) @ g @ ct(n)
            yield f"{MISSING} (the skew part by the transpose)", skewed((b - b.T) / 2)
            b = -2 * c * n.T @ g @ n.T
            yield f"{MISSING} (N^T in place of N^H)", skewed(b)
            yield f"{MISSING} (N^T in place of N^H, the skew part by the transpose)", skewed((b - b.T) / 2)
    else:
        yield "only I - c A moves: the inverse is detached", -c * n @ moved * d
        yield "only the inverse moves: I - c A is detached", -c * n @ moved @ q
        yield "one N is missing: -2 c N A_dot", -2 * c * n @ moved * d
        yield "one N is missing: -2 c A_dot N", -2 * c * moved @ n * d
        yield "the derivative as if A and A_dot commuted: -2 c N^2 A_dot", -2 * c * n @ n @ moved * d
        if np.iscomplexobj(a):
            yield f"{MISSING} (N^T in place of N)", -2 * c * n.T @ moved @ n.T * d
    yield "the derivative at A = 0", derivative(0 * a, moved, c, d)
    yield (
        "this is the derivative of exp(-2 c A)",
        (-2 * c * (exact.exp_vjp if vjp else exact.exp_jvp)(-2 * c * a, moved * d if vjp else moved))
        * (1 if vjp else d),
    )
    for terms in range(1, TERMS + 1):
        made = _neumann_vjp(c * a, moved * d, terms) * c if vjp else _neumann_jvp(c * a, c * moved, terms) * d
        yield f"the derivative of a Neumann series of {terms} terms", made


def truth_of(truth: Truth) -> np.ndarray:
    """As float64."""
    return rounded(truth.value)


def _neumann_jvp(b: np.ndarray, b_dot: np.ndarray, terms: int) -> np.ndarray:
    """Of sum_{k < K} (-B)^k (I - B)."""
    total, moved, one = np.eye(len(b)), np.zeros_like(b), np.eye(len(b))
    for _ in range(terms - 1):
        total, moved = one - b @ total, -(b_dot @ total + b @ moved)
    return moved @ (one - b) - total @ b_dot


def _neumann_vjp(b: np.ndarray, q_bar: np.ndarray, terms: int) -> np.ndarray:
    """Its adjoint, which is the same at B^H."""
    return skewed(_neumann_jvp(ct(b), q_bar, terms))


# exp ------------------------------------------------------------------------------------------------------------------


def _exp(kind: str, name: str, values: Values, claimed: Any, truth: Truth) -> Iterator[Mistake]:
    a = values["a"]
    moved = scaled(values["a_dot" if kind == "jvp" else "q_bar"])[0]
    vjp = kind == "vjp"
    derivative: Callable[..., Any] = exact.exp_vjp if vjp else exact.exp_jvp
    q = exact.exp(a)
    yield "the derivative at -A: the adjoint is forgotten" if vjp else "the derivative at -A", derivative(-a, moved)
    yield "the derivative of exp(-A)", -derivative(-a, moved)
    for times, words in TIMES.items():
        yield f"A is taken {words} times", times * derivative(times * a, moved)
        yield f"the derivative at A taken {words} times", derivative(times * a, moved)
    if vjp:
        yield "the derivative as if A and A_dot commuted: skew(Q^H Q_bar)", skewed(ct(q) @ moved)
        yield "the derivative as if A and A_dot commuted: skew(Q_bar Q^H)", skewed(moved @ ct(q))
        yield "skew(Q Q_bar), without the adjoint and as if A and A_dot commuted", skewed(q @ moved)
        yield "the Hermitian part is returned, not the skew one", exact.exp_jvp(ct(a), moved) - truth_of(truth)
        yield "Q_bar is conjugated: the convention of JAX", derivative(a, np.conj(moved))
        if np.iscomplexobj(a):
            full = exact.exp_jvp(ct(a), moved)
            yield f"{MISSING} (the skew part by the transpose)", skewed((full - full.T) / 2)
            yield f"{MISSING} (A^T in place of A^H)", skewed(exact.exp_jvp(a.T, moved))
    else:
        yield "the derivative as if A and A_dot commuted: Q A_dot", q @ moved
        yield "the derivative as if A and A_dot commuted: A_dot Q", moved @ q
        yield "the mean (Q A_dot + A_dot Q)/2: exact to second order only", (q @ moved + moved @ q) / 2
        if np.iscomplexobj(a):
            yield f"{MISSING} (A^T in place of A)", derivative(a.T, moved)
    yield "the derivative at A = 0", derivative(0 * a, moved)
    for words, c in (("(I - A/2)^-1 (I + A/2)", -0.5), ("(I - A)^-1 (I + A)", -1.0)):
        one = np.ones((1, len(a)))
        made = (exact.cayley_vjp if vjp else exact.cayley_jvp)(a, moved, c, one)
        yield f"this is the derivative of the Cayley transform {words}", made
    moving, power = ct(a) if vjp else a, np.eye(len(a)) + 0 * a
    total = term = 0 * moved
    for k in range(1, TERMS + 1):
        term, power = (moving @ term + moved @ power) / k, moving @ power / k  # of A^k/k!
        total = total + term
        yield f"the derivative of a truncated series of {k + 1} terms", skewed(total) if vjp else total


# Products -------------------------------------------------------------------------------------------------------------


def _givens(kind: str, name: str, values: Values, claimed: Any, truth: Truth) -> Iterator[Mistake]:
    """The same derivative for other angles, orders and phases; lost steps of the sweep."""
    vjp = kind == "vjp"

    def made(claims: Any = claimed, **others: Any) -> Any:
        found = truths(f"givens_product_{kind}", {**values, **others}, claims, FLOAT32)[0][name]
        return ldexp(rounded(found.value), found.exponent - truth.exponent)

    theta = values["theta"]
    bars = [each for each in ("theta_dot", "phase_dot", "q_bar") if each in values]
    yield "the angle's sign: the derivative at -theta", made(theta=-theta)
    yield (
        "the angle's sign: the derivative of the product for -theta",
        (
            made(theta=-theta) * (-1 if name == "theta_bar" else 1)
            if vjp
            else made(theta=-theta, theta_dot=-values["theta_dot"])
        ),
    )
    for words, times in (("degrees are taken for radians", pi / 180), ("half of the angles", 0.5),
                         ("twice the angles", 2.0)):  # fmt: skip
        moved = times if name == "theta_bar" else 1
        yield (
            words,
            (
                moved * made(theta=times * theta)
                if vjp
                else made(theta=times * theta, theta_dot=times * values["theta_dot"])
            ),
        )
        yield f"{words}, without the derivative of that", made(theta=times * theta)
    for other in ROTATIONS:
        if other != claimed.order and (other == "butterfly") == (claimed.order == "butterfly"):
            yield f"this is order={other}, not {claimed.order}", made(replace(claimed, order=other))
    count = len(theta)
    back = rounded(truth.value)[::-1] if vjp else made(**{each: values[each][::-1] for each in bars})
    yield "the derivatives are in reverse order", back
    if count > 1:
        for words, k in (("first", 0), ("last", count - 1)):
            one = (np.arange(count) != k)[:, None]
            yield (
                f"the derivative by the {words} angle is lost",
                (rounded(truth.value) * one if vjp else made(**{each: values[each] * one for each in bars})),
            )
    if "phase" in values:
        yield "the phases are lost", made(phase=0 * values["phase"])
        yield "the sign of the phases is wrong: a conjugate is missing", made(phase=-values["phase"])
        if not vjp:
            yield "the derivative by the phases is lost", made(phase_dot=0 * values["phase_dot"])
            yield "the derivative by the angles is lost", made(theta_dot=0 * values["theta_dot"])
        else:
            yield "Q_bar is conjugated: the convention of JAX", made(q_bar=np.conj(values["q_bar"]))
            yield "only the real part of Q_bar is used", made(q_bar=values["q_bar"].real + 0j)
    if vjp:
        yield "the adjoint is taken of Q^H in place of Q", made(q_bar=ct(values["q_bar"]))
        yield "the adjoint is taken of Q^H in place of Q, and the angle's sign", -made(q_bar=ct(values["q_bar"]))
        yield from _not_undone(name, values, claimed, truth)


def _not_undone(name: str, values: Values, claimed: Any, truth: Truth) -> Iterator[Mistake]:
    """W = Q_bar Q^H as it is for all rotations, or Q_bar in its place."""
    if name != "theta_bar" or "phase" in values:
        return
    g, _ = rotations(values, claimed, False)
    q_bar = ldexp(values["q_bar"], -truth.exponent)
    i, j = g.pairs.T
    q = exact.givens(g) + np.zeros((g.n, g.n))
    for words, w in (("Q_bar Q^H", q_bar @ q.T), ("Q^H Q_bar", q.T @ q_bar), ("Q_bar", q_bar)):
        yield f"the sweep does not undo the rotations: entries of {words} are returned", (w[j, i] - w[i, j])[:, None]


def _householder(kind: str, name: str, values: Values, claimed: Any, truth: Truth) -> Iterator[Mistake]:
    """The same derivative for another tau, order or storage; terms that are lost."""
    vjp, given = kind == "vjp", "tau" in values

    def made(claims: Any = claimed, **others: Any) -> Any:
        found = truths(f"householder_product_{kind}", {**values, **others}, claims, FLOAT32)[0].get(name)
        return np.full(1, np.nan) if found is None else ldexp(rounded(found.value), found.exponent - truth.exponent)

    other = "backward" if claimed.order == "forward" else "forward"
    yield "product order reversed", made(replace(claimed, order=other))
    v = values["v"]
    whole = below(v) if claimed.storage == "below" else v
    squares = np.sum(np.abs(whole) ** 2, axis=0)[:, None]
    tau = values["tau"] if given else 2 * over(squares)
    taus, complex_ = replace(claimed, tau="given"), np.iscomplexobj(v)
    lost = {} if vjp else {"tau_dot": 0 * tau}
    if given:
        if not vjp:
            yield "tau is taken for a constant: the derivative by tau is lost", made(**lost)
            yield "v is taken for a constant: the derivative by v is lost", made(v_dot=0 * values["v_dot"])
            if complex_:
                yield f"{MISSING} (tau_dot is conjugated)", made(tau_dot=np.conj(values["tau_dot"]))
        yield "tau is lost: the derivative at tau = 2/|v|^2", made(tau=2 * over(squares) + 0 * tau)
        if complex_:
            yield f"{MISSING} (tau is conjugated)", made(tau=np.conj(tau))
            yield f"{MISSING} (only the real part of tau)", made(tau=tau.real + 0j)
    else:
        yield "tau = 2/|v|^2 is taken for a constant", made(taus, tau=tau, **lost)
        yield (
            "the derivative of tau = 2/|v|^2 has the wrong sign",
            2 * made(taus, tau=tau, **lost) - rounded(truth.value),
        )
    if claimed.storage == "below":
        plain = replace(claimed, storage="full")
        yield "the reflectors are differentiated on and above the diagonal too", made(plain, v=whole)
        yield "the reflectors are taken as they stand, the part on and above the diagonal too", made(plain)
    if vjp:
        yield from _terms(name, values, claimed, truth, tau)
        if complex_:
            yield "Q_bar is conjugated: the convention of JAX", made(q_bar=np.conj(values["q_bar"]))
            yield f"{name}: only the real part", rounded(truth.value).real + 0j
    else:
        yield from _moved_terms(values, claimed, truth)
    k = v.shape[1]
    if k > 1:
        for words, i in (("first", 0), ("last", k - 1)):
            one = np.arange(k) != i
            if vjp:
                kept = rounded(truth.value) * (one if name == "v_bar" else one[:, None])
            else:
                kept = made(**{each: values[each] * (one if each == "v_dot" else one[:, None]) for each in values
                               if each.endswith("_dot")})  # fmt: skip
            yield f"the derivative by the {words} reflection is lost", kept


def _moved_terms(values: Values, claimed: Any, truth: Truth) -> Iterator[Mistake]:
    """The product rule with one of v_dot v^H and v v_dot^H only, or a conjugate less."""
    at = reflected(values, claimed, False)
    v_dots = ldexp(values["v_dot"] * at.mask, -at.exponent - truth.exponent)
    tau_dots = ldexp(values["tau_dot"], 2 * at.exponent - truth.exponent) if "tau" in values else None
    for words, first, second in (
        ("only one of v v^H moves: v_dot v^H", 1, 0),
        ("only one of v v^H moves: v v_dot^H", 0, 1),
        ("v_dot v^H has the wrong sign", -1, 1),
    ):
        q = np.eye(at.r.m, at.r.columns) + 0 * values["v"][0, 0]
        q_dot = 0 * q
        for place in range(len(at.r.v) - 1, -1, -1):
            v, t = at.r.v[place], at.r.tau[place]
            move = exact.column(v_dots, at.r.numbers[place])
            turn, inside = at.r.tau_dot(place, move, tau_dots), ct(v) @ q
            q_dot = q_dot - (v * t) @ (ct(v) @ q_dot + second * ct(move) @ q) - (v * turn + first * move * t) @ inside
            q = q - (v * t) @ inside
        yield words, q_dot


def _terms(name: str, values: Values, claimed: Any, truth: Truth, tau: np.ndarray) -> Iterator[Mistake]:
    """-(conj(tau) H_bar v + tau H_bar^H v) with one term only, or without a conjugate; reflections not undone."""
    at = reflected(values, claimed, False)
    q_bar = ldexp(
        values["q_bar"], -(truth.exponent + at.exponent if name == "v_bar" else truth.exponent - 2 * at.exponent)
    )
    k, complex_ = len(at.r.v), np.iscomplexobj(values["v"])
    bars: dict[str, list[np.ndarray]] = {}
    behind = [np.eye(at.r.m, at.r.columns)]
    for v, t in zip(at.r.v[:0:-1], at.r.tau[:0:-1], strict=True):
        behind.append(behind[-1] - (v * t) @ (ct(v) @ behind[-1]))
    before = q_bar
    for place, s in enumerate(reversed(behind[:k])):
        v, t = at.r.v[place], at.r.tau[place]
        left, right = before @ (ct(s) @ v), s @ (ct(before) @ v)
        scalar = -(ct(v) @ left)
        moving = -v * (scalar.real * (t * t)) if at.r.unit else 0 * v
        for words, bar in (
            ("only one of v v^H is differentiated: the term conj(tau) H_bar v", -np.conj(t) * left + moving),
            ("only one of v v^H is differentiated: the term tau H_bar^H v", -t * right + moving),
            (f"{MISSING} (tau in both terms)", -t * left - t * right + moving),
            (f"{MISSING} (conj(tau) in both terms)", -np.conj(t) * (left + right) + moving),
            (f"{MISSING} (H_bar^T v in place of H_bar^H v)",
             -np.conj(t) * left - t * np.conj(s) @ (before.T @ v) + moving),
        ):  # fmt: skip
            if complex_ or not words.startswith(MISSING):
                bars.setdefault(words, []).append(bar if name == "v_bar" else np.full_like(scalar, np.nan))
        if name == "tau_bar":
            bars.setdefault(f"{MISSING} (tau_bar is conjugated)", []).append(np.conj(scalar))
            bars.setdefault("tau_bar has the wrong sign", []).append(-scalar)
        before = before - (v * np.conj(t)) @ (ct(v) @ before)
    order = np.argsort(at.r.numbers)
    for words, found in bars.items():
        stacked = np.concatenate([found[i] for i in order], axis=1)
        yield words, stacked * at.mask if name == "v_bar" else stacked.T


MISTAKES: dict[str, Callable[..., Iterator[Mistake]]] = {
    f"{name}_{kind}": partial(mistakes, kind)
    for name, mistakes in (
        ("cayley", _cayley),
        ("skew_exp", _exp),
        ("givens_product", _givens),
        ("householder_product", _householder),
    )
    for kind in ("jvp", "vjp")
}


def describe(name: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision,
             failed: Mapping[str, float]) -> list[str]:  # fmt: skip
    """How far each output is from the exact one."""
    if not failed:
        return []
    truth = truths(name, {each: x.value for each, x in inputs.items()}, claimed, FLOAT32)[0]
    said = []
    for each, x in outputs.items():
        value = truth_of(truth[each])
        found = ldexp(x.value, -truth[each].exponent)
        if each == "a_bar" and claimed.space == "skew" and norm(found + ct(found)) > 1e-3 * norm(found):
            said.append(f"{each} is not skew-Hermitian")
        error = float(norm((skewed(found) if each == "a_bar" and claimed.space == "any" else found) - value))
        if each in failed and 0 < error < np.inf:
            share = error / max(float(norm(value)), 1e-300)
            said.append(f"{each} differs from the exact result by {share:.2g} of it")
    return said
