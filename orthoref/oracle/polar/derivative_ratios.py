"""Exact derivatives of the polar decomposition, and what a backward error changes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from orthoref.arrays import require_choice
from orthoref.oracle.derivative import Truth, operator_norm
from orthoref.oracle.fixed import Fixed, ct
from orthoref.oracle.operation import Claim
from orthoref.oracle.polar.truth import Point, along, herm, point, pull, pull_along, push
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import exponent_of, ldexp, norm

CLAIMS = (
    Claim("side", "right", "a = u h or a = h u", ("right", "left")),
    Claim("factor", "both", "factors that are differentiated", ("both", "u", "h")),
)


@dataclass(frozen=True)
class PolarDerivative:
    """Which decomposition, and which of its factors."""

    side: Literal["right", "left"] = "right"
    factor: Literal["both", "u", "h"] = "both"

    def __post_init__(self) -> None:
        for each in CLAIMS:
            require_choice(each.name, getattr(self, each.name), each.choices)

    def __str__(self) -> str:
        return f"side={self.side}, {'u and h' if self.factor == 'both' else self.factor}"


def bars(claimed: PolarDerivative) -> dict[str, str]:
    """Cotangents and the shape that each is like."""
    return {
        **({"u_bar": "input"} if claimed.factor != "h" else {}),
        **({"h_bar": claimed.side} if claimed.factor != "u" else {}),
    }


def truths(
    kind: str, inputs: Mapping[str, np.ndarray], claimed: PolarDerivative, precision: Precision
) -> list[dict[str, Truth]]:
    """Of a real square matrix that is singular to working precision both branches of U are right."""
    if inputs["a"].shape[-2] < inputs["a"].shape[-1]:  # A = U H is A^H = H U^H
        turned = {name: x if name == "h_bar" else ct(x) for name, x in inputs.items()}
        other = PolarDerivative("left" if claimed.side == "right" else "right", claimed.factor)
        found = truths(kind, turned, other, precision)
        return [
            {name: each if name == "h_dot" else each._replace(value=ct(each.value)) for name, each in branch.items()}
            for branch in found
        ]  # fmt: skip
    a = inputs["a"]
    exact = precision.eps <= PRECISIONS["float64"].eps
    n = a.shape[-1]
    first = _truth(kind, inputs, claimed, precision, point(a, exact), point(a, False))
    found = [first]
    s = point(a, False).s
    if a.shape[-2] == n and not np.iscomplexobj(a):
        close = s[..., -1] <= 10 * precision.growth(n) * precision.eps * s[..., 0]
        if close.any():
            second = _truth(kind, inputs, claimed, precision, point(a, exact, -1), point(a, False, -1))
            found.append({
                name: each._replace(unit=np.where(close, each.unit, 0.0)) for name, each in second.items()
            })  # fmt: skip
    return found


def _truth(kind: str, inputs: Mapping[str, np.ndarray], claimed: PolarDerivative, precision: Precision, exact: Point,
           near: Point) -> dict[str, Truth]:  # fmt: skip
    """(DERIVATIVE-UNIT) of the polar decomposition, with every input scaled by a power of two."""
    m, n = near.a.shape[-2:]
    left, e = claimed.side == "left", near.exponent
    unit = precision.growth(n, m) * precision.eps
    size = norm(near.a)
    smooth, of_u, of_h = differentiable(near, claimed, precision), 2 / gap(near), np.sqrt(2.0)

    def arithmetic(x: np.ndarray | None) -> Any:
        return Fixed.of(x) if isinstance(exact.a, Fixed) and x is not None else x

    def done(value: Any, exponent: np.ndarray, changed: np.ndarray, reach: np.ndarray) -> Truth:
        unit_ = np.where(smooth, unit * (changed * size + reach), np.inf)
        return Truth(value, exponent, unit_, reach)

    if kind == "jvp":
        f = exponent_of(inputs["a_dot"])
        e_dot = ldexp(inputs["a_dot"], -f)
        u_dot, h_dot = push(exact, arithmetic(e_dot), left)
        length = norm(e_dot)
        found = {}
        if claimed.factor != "h":
            changed = operator_norm(lambda x: pull_along(near, x, e_dot, None, left), near.a)
            found["u_dot"] = done(u_dot, f - e, changed, of_u * length)
        if claimed.factor != "u":
            changed = operator_norm(
                lambda x: second(near, e_dot, x, left), near.a, lambda y: pull_along(near, e_dot, None, y, left)
            )
            # (HDOT-UNIT) U^H A, differentiated with a U that errs by itself: terms that cancel do not err alike
            found["h_dot"] = done(h_dot, f, changed + of_u * length, of_h * length)
        return found

    u_bar, h_bar = inputs.get("u_bar"), inputs.get("h_bar")
    g = exponent_of(inputs["a_dot"]) if kind == "vjp_jvp" else np.zeros_like(e)
    order = 1 if kind == "vjp" else 2
    exponents = [exponent_of(x) - k * e for x, k in ((u_bar, order), (h_bar, order - 1)) if x is not None]
    common = np.max(exponents, axis=0)
    u_bar = None if u_bar is None else ldexp(u_bar, -common - order * e)
    h_bar = None if h_bar is None else ldexp(h_bar, -common - (order - 1) * e)
    zero = np.zeros(near.a.shape[:-2])
    lengths = [zero if x is None else norm(x) for x in (u_bar, h_bar)]
    reach = of_u * lengths[0] + of_h * lengths[1]
    if kind == "vjp":
        value = pull(exact, arithmetic(u_bar), arithmetic(h_bar), left)
        changed = operator_norm(lambda x: pull_along(near, x, u_bar, h_bar, left), near.a)
        return {"a_bar": done(value, common, changed, reach)}
    e_dot = ldexp(inputs["a_dot"], -g)
    value = pull_along(exact, arithmetic(e_dot), arithmetic(u_bar), arithmetic(h_bar), left)
    changed = third(inputs, near, e_dot, u_bar, h_bar, left)
    steep = operator_norm(lambda x: pull_along(near, x, u_bar, h_bar, left), near.a)
    return {"a_bar_dot": done(value, common + g, changed, steep * norm(e_dot) + of_u * reach * norm(e_dot))}


def second(at: Point, e: np.ndarray, x: np.ndarray, left: bool) -> np.ndarray:
    """D^2 H[E, X], from H = U^H A (A U^H): its adjoint in X is S -> pull_along(E, S)."""
    u_dot, u_x, both = along(at, e), along(at, x), pull_along(at, e, x, None, left)  # the adjoint of dU is dU
    if left:
        return herm(x @ ct(u_dot) + e @ ct(u_x) + at.a @ ct(both))
    return herm(ct(u_dot) @ x + ct(u_x) @ e + ct(both) @ at.a)


def third(inputs: Mapping[str, np.ndarray], at: Point, e: np.ndarray, u_bar: Any, h_bar: Any, left: bool) -> np.ndarray:
    """Norm of the derivative of the second derivative: its Frobenius norm, from difference quotients, three probes.

    Steps of a thousandth of the distance at which U stops being smooth, on the branch of U that A is on: the quotient
    has six digits, the estimate one.
    """
    random, squares = np.random.RandomState(1), 0.0
    complex_ = np.iscomplexobj(at.a)
    for _ in range(3):
        x = random.standard_normal(at.a.shape) + (1j * random.standard_normal(at.a.shape) if complex_ else 0)
        h = (1e-3 * (gap(at) / 2 if h_bar is None else np.abs(at.s[..., -1])) / norm(x))[..., None, None]
        two = []
        for t in (1, -1):
            near = [
                point(at.a + t * h * x, False, branch) for branch in ((1, -1) if at.square and not complex_ else (1,))
            ]
            found = [pull_along(each, e, u_bar, h_bar, left) for each in near]
            nearest = np.argmin([norm(each.u - at.u) for each in near], axis=0)
            two.append(np.take_along_axis(np.stack(found), nearest[None, ..., None, None], axis=0)[0])
        squares = squares + (norm(two[0] - two[1]) / (2 * h[..., 0, 0])) ** 2
    return np.sqrt(squares / 3)


def differentiable(at: Point, claimed: PolarDerivative, precision: Precision) -> np.ndarray:
    """Whether the factors have derivatives, to working precision."""
    m, n = at.a.shape[-2:]
    smallest = np.abs(at.s[..., -1]) if claimed.factor != "u" else gap(at) / 2
    return smallest > precision.growth(n, m) * precision.eps * at.s[..., 0]


def gap(at: Point) -> np.ndarray:
    """2 over the condition number of U: s_n + s_(n-1) of a real square matrix, else 2 s_n."""
    s = np.abs(at.s)
    real = at.square and not np.iscomplexobj(at.a)
    return s[..., -1] + s[..., -2] if real and s.shape[-1] > 1 else 2 * s[..., -1]
