"""Known mistakes of derivatives of constructors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

import numpy as np

from orthoref.oracle.constructors import truth as exact
from orthoref.oracle.constructors.ratios import columns_of, scaled, skewed, truths
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
        yield "D stands on the left", (
            skewed(-2 * c * ct(n) @ (left * moved) @ ct(n)) if vjp else left * derivative(a, moved, c, one)
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
    yield "this is the derivative of exp(-2 c A)", (
        -2 * c * (exact.exp_vjp if vjp else exact.exp_jvp)(-2 * c * a, moved * d if vjp else moved)
    ) * (1 if vjp else d)
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


MISTAKES: dict[str, Callable[..., Iterator[Mistake]]] = {
    f"{name}_{kind}": (lambda mistakes, kind: lambda *given: mistakes(kind, *given))(mistakes, kind)
    for name, mistakes in (
        ("cayley", _cayley), ("skew_exp", _exp), ("givens_product", lambda *_: iter(())), ("householder_product", lambda *_: iter(())),
    )  # fmt: skip
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
