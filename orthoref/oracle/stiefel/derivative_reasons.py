"""Known mistakes in derivatives on the Stiefel manifold, and what can be said where none of them fits.

All in what the tangent bundle sees, (SR-REDUCED).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from orthoref.oracle.derivative import MULTIPLES, Mistake, Truth, shorter
from orthoref.oracle.fixed import rounded
from orthoref.oracle.operation import Data, Variant
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import ct, inner, ldexp, norm
from orthoref.oracle.stiefel import truth as exact
from orthoref.oracle.stiefel.derivative_ratios import FREE, Kind, inputs_of, outputs_of, seen, truths
from orthoref.oracle.stiefel.derivative_truth import PULL, PUSH, exp_along, reduced
from orthoref.oracle.stiefel.ratios import INPUTS
from orthoref.oracle.stiefel.reasons import transport_qr as mistaken_qr
from orthoref.oracle.stiefel.truth import herm, project, skew

FLOAT32 = PRECISIONS["float32"]  # whose truth is found in float64
EQUAL = 1e-3  # relative distance of singular values that a derivative through the SVD does not survive in float32
MAPS = {
    "the QR retraction": ("stiefel.retract_qr", 1.0),
    "the polar retraction": ("stiefel.retract_polar", 1.0),
    "the Cayley retraction": ("stiefel.retract_cayley", 1.0),
    "the exponential map of the Euclidean metric": ("stiefel.exp", 1.0),
    "the exponential map of the canonical metric": ("stiefel.exp", 0.5),
    "the gradient for the Euclidean metric, the projection": ("stiefel.gradient", 1.0),
    "the gradient for the canonical metric": ("stiefel.gradient", 0.5),
}
Found = tuple[Any, ...]  # one array for each output
Wrong = tuple[str, Found]
CONJUGATE = "a conjugate is missing: right for real, wrong for complex"


def variants(kind: Kind, name: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision,
             failed: Mapping[str, float]) -> Iterator[Variant]:  # fmt: skip
    """Known mistakes of one member, as the difference that they make in all outputs."""
    values = {each: x.value for each, x in inputs.items()}
    if not values["x"].size:
        return
    found = truths(kind, name, values, claimed, FLOAT32)[0]
    given = dict(outputs) if kind == "jvp" else seen(name, inputs, outputs, False)
    exponent = next(iter(found.values())).exponent
    if kind == "vjp":
        yield from _constant(outputs_of(kind, name), outputs, given, found)
    for each in inputs_of(kind, name)[2:]:
        values[each] = ldexp(values[each], -exponent)
    mistakes = (_jvp if kind == "jvp" else _vjp)(name, values, claimed.c)
    yield from _undone(outputs_of(kind, name), given, found, mistakes)
    for each in failed:
        value = rounded(found[each].value)
        error = ldexp(given[each].value, -exponent) - value
        if _lost(name, values, error, value, precision):
            continue
        for variant in shorter(error, value, precision, float(found[each].unit) / FLOAT32.eps):
            right = {other: x.value if other == each or other not in failed
                     else ldexp(rounded(found[other].value), exponent) for other, x in given.items()}  # fmt: skip
            yield Variant(variant.key, variant.reason, right, precision=variant.precision)


def _constant(names: tuple[str, ...], outputs: Data, given: Data, truth: Mapping[str, Truth]) -> Iterator[Variant]:
    """One of two cotangents is zero; that of X then errs by what belongs to the other one, too."""
    zero = [each for each in outputs if not outputs[each].value.any()]
    if len(zero) == 1:
        right = {each: ldexp(rounded(truth[each].value), truth[each].exponent) for each in given}
        if zero[0] == names[0]:
            right |= {each: x.value for each, x in given.items() if each != names[0]}
        said = f"{zero[0]} is zero: {zero[0].removesuffix('_bar')} is treated as constant"
        yield Variant(said, said, right)


def _undone(names: tuple[str, ...], outputs: Data, truth: Mapping[str, Truth], mistakes: Iterable[Wrong]
            ) -> Iterator[Variant]:  # fmt: skip
    """Each mistake taken out of all outputs, if that is most of their error."""
    scaled = {each: ldexp(x.value, -truth[each].exponent) for each, x in outputs.items()}
    values = {each: rounded(truth[each].value) for each in outputs}
    half = sum(float(norm(scaled[each] - values[each])) for each in outputs) / 2
    if not np.isfinite(half):
        return
    for said, found in mistakes:
        made = dict(zip(names, found, strict=True))
        if any(np.shape(made[each]) != values[each].shape for each in outputs):
            continue
        if sum(float(norm(scaled[each] - made[each])) for each in outputs) <= half:
            right = {each: x.value - ldexp(np.asarray(made[each]) - values[each], truth[each].exponent)
                     for each, x in outputs.items()}  # fmt: skip
            if all(np.iscomplexobj(outputs[each].value) or not np.iscomplexobj(x) for each, x in right.items()):
                yield Variant(said, said, right)


# Adjoints -------------------------------------------------------------------------------------------------------------


def _vjp(name: str, values: Mapping[str, np.ndarray], c: float) -> Iterator[Wrong]:
    """(x_bar, v_bar) of wrong formulas, as the tangent bundle sees them."""
    x, v = (values[each] for each in INPUTS[name])
    bar = values[inputs_of("vjp", name)[-1]]
    first, second = outputs_of("vjp", name)
    for said, pair in _pairs(name, x, v, bar, c, f"{first} and {second}"):
        yield said, reduced(x, v, *pair, free=name in FREE)
    right = reduced(x, v, *PULL[name](x, v, bar, c), free=name in FREE)
    for factor, words in MULTIPLES.items():
        said = "has the wrong sign" if factor == -1 else f"is {words} of what it should be"
        yield f"{first} {said}", (factor * right[0], right[1])
        yield f"{second} {said}", (right[0], factor * right[1])


def _pairs(name: str, x: np.ndarray, v: np.ndarray, bar: np.ndarray, c: float, both: str) -> Iterator[Wrong]:
    """The same before the reduction."""
    pull = partial(PULL[name], c=c)
    right = pull(x, v, bar)
    yield f"{both} are zero", (0 * bar, 0 * bar)
    for factor, words in MULTIPLES.items():
        said = "have the wrong sign" if factor == -1 else f"are {words} of what they should be"
        yield f"{both} {said}", (factor * right[0], factor * right[1])
    if np.iscomplexobj(bar):
        yield f"{both} are conjugated: the gradient convention of JAX", (np.conj(right[0]), np.conj(right[1]))
        yield "the cotangent is conjugated: the gradient convention of JAX", pull(x, v, np.conj(bar))
        turned = pull(x, v, np.conj(bar))
        yield (
            "cotangent and result are conjugated: the gradient convention of JAX",
            (np.conj(turned[0]), np.conj(turned[1])),
        )
    yield "x_bar and the other one are exchanged", right[::-1]
    yield "straight-through: the cotangent itself is returned for both", (bar, bar)
    yield "straight-through: the cotangent itself is returned for V, nothing for X", (0 * bar, bar)
    yield "straight-through: the cotangent itself is returned for X, nothing for V", (bar, 0 * bar)
    if name not in FREE:
        yield "the derivative at V = 0 is returned: V is treated as constant where it multiplies", pull(x, 0 * v, bar)
    yield "the derivative at -V is returned", pull(x, -v, bar)
    yield "the cotangent is projected at X: it belongs to the result", pull(x, v, project(x, bar))
    for words, (other, weight) in MAPS.items():
        if (other in FREE) == (name in FREE) and (other, weight) != (name, c):
            yield f"this is the adjoint of the derivative of {words}", PULL[other](x, v, bar, weight)
    yield from BACK[name](x, v, bar, c)
    if np.iscomplexobj(x):  # dual numbers of the transposes
        yield f"{CONJUGATE} (X is conjugated)", pull(np.conj(x), v, bar)
        yield f"{CONJUGATE} (V is conjugated)", pull(x, np.conj(v), bar)
        yield f"{CONJUGATE} (X and V are conjugated)", pull(np.conj(x), np.conj(v), bar)


def _back_project(x: np.ndarray, v: np.ndarray, bar: np.ndarray, c: float) -> Iterator[Wrong]:
    """-U_bar herm(X^H V) - V herm(X^H U_bar), P_X(U_bar)."""
    one, two = -bar @ herm(inner(x, v)), -v @ herm(inner(x, bar))
    right, inside = project(x, bar), inner(x, bar)
    lost = -v @ ct(inside) - bar @ inner(v, x)
    yield "this is the adjoint of the derivative of V - X X^H V: X skew(X^H V) is lost", (lost, bar - x @ inside)
    yield "P_X is missing: v_bar is the cotangent itself", (one + two, bar)
    yield "v_bar is u_bar - X X^H u_bar: X skew(X^H u_bar) is lost", (one + two, bar - x @ inside)
    yield "v_bar is u_bar - X u_bar^H X, the canonical gradient map", (one + two, exact.gradient(x, bar, 0.5))
    yield "the factor 1/2 of herm(X^H u_bar) is lost in v_bar", (one + two, bar - x @ (inside + ct(inside)))
    yield "x_bar: the term V herm(X^H u_bar) is missing", (one, right)
    yield "x_bar: the term u_bar herm(X^H V) is missing", (two, right)
    yield "x_bar: the sign of V herm(X^H u_bar) is wrong", (one - two, right)
    yield "x_bar: the sign of u_bar herm(X^H V) is wrong", (two - one, right)
    yield "x_bar: the factor 1/2 of herm(X^H V) is lost", (2 * one + two, right)
    yield "x_bar: the factor 1/2 of herm(X^H u_bar) is lost", (one + 2 * two, right)
    yield "x_bar: X^H V in place of herm(X^H V)", (-bar @ inner(x, v) + two, right)
    yield "x_bar: X^H u_bar in place of herm(X^H u_bar)", (one - v @ inside, right)
    yield "x_bar: X herm(V^H u_bar) in place of V herm(X^H u_bar): transposed", (one - x @ herm(inner(v, bar)), right)
    if np.iscomplexobj(x):
        plain, turned = x.T @ bar, x.T @ v
        yield f"{CONJUGATE} (X^T u_bar in v_bar)", (one + two, bar - x @ (plain + plain.T) / 2)
        yield f"{CONJUGATE} (transposes of X^H u_bar)", (one + two, bar - x @ (inside + inside.T) / 2)
        yield f"{CONJUGATE} (X^T V in x_bar)", (-bar @ (turned + turned.T) / 2 + two, right)
        yield f"{CONJUGATE} (X^T u_bar in x_bar)", (one - v @ (plain + plain.T) / 2, right)


def _back_gradient(x: np.ndarray, g: np.ndarray, bar: np.ndarray, c: float) -> Iterator[Wrong]:
    """U_bar N(X^H G)^H + G N(X^H U_bar)^H, U_bar + X N(X^H U_bar)."""

    def weighed(inside: np.ndarray) -> np.ndarray:
        return skew(inside) / c - inside

    at, of = weighed(inner(x, g)), weighed(inner(x, bar))
    one, two, right = bar @ ct(at), g @ ct(of), bar + x @ of
    yield "egrad_bar is the cotangent itself", (one + two, bar)
    yield "x_bar: the term of the cotangent's own X^H grad_bar is missing", (one, right)
    yield "x_bar: the term grad_bar N(X^H G)^H is missing", (two, right)
    yield "x_bar: N is not transposed in the first term: grad_bar N(X^H G)", (bar @ at + two, right)
    yield "x_bar: N is not transposed in the second term: G N(X^H grad_bar)", (one + g @ of, right)
    yield "x_bar: N is not transposed", (bar @ at + g @ of, right)
    yield "x_bar: the sign of the first term is wrong", (two - one, right)
    yield "x_bar: the sign of the second term is wrong", (one - two, right)
    if np.iscomplexobj(x):
        yield f"{CONJUGATE} (transposes in x_bar)", (bar @ at.T + g @ of.T, right)
        yield f"{CONJUGATE} (X^T in egrad_bar)", (one + two, bar + x @ weighed(x.T @ bar))


def _back_qr(x: np.ndarray, v: np.ndarray, bar: np.ndarray, c: float) -> Iterator[Wrong]:
    """((I - Y Y^H) Y_bar + Y rho*(Y^H Y_bar)) R^-H."""
    y, r, over = exact.qr_factors(x + v)
    inside = inner(y, bar)
    diagonal = skew(inside * np.eye(len(inside)))
    outer, turned = bar - y @ inside, inside - ct(inside)
    below, above = np.tril(turned, -1), np.triu(turned, 1)
    up = ct(over)
    for words, top in (
        ("triu for tril: what is above the diagonal of Y^H y_bar - y_bar^H Y is taken", outer + y @ (above + diagonal)),
        ("the sign of the part in the range of Y is wrong", outer - y @ (below + diagonal)),
        ("the factor 1/2 is there twice: half of the part in the range of Y", outer + y @ (below + diagonal) / 2),
        ("half is lost: skew(Y^H y_bar) in place of its triangle", outer + y @ turned / 2),
        ("both triangles are taken: Y^H y_bar - y_bar^H Y in place of its lower one", outer + y @ turned),
        ("the part outside the range of Y is missing: exact for p = n only", y @ (below + diagonal)),
        ("the part in the range of Y is missing", outer),
        ("R is treated as constant: y_bar R^-H", bar),
        (
            "the lower triangle of Y^H y_bar alone is taken, without its adjoint",
            outer + y @ (np.tril(inside, -1) + diagonal),
        ),
        ("the diagonal is taken too", outer + y @ (below + inside * np.eye(len(inside)))),
    ):
        yield words, (top @ up,) * 2
    right = outer + y @ (below + diagonal)
    yield "R^-H is missing", (right,) * 2
    yield "R^-1 in place of R^-H", (right @ over,) * 2
    yield "R^H in place of R^-H", (right @ ct(r),) * 2
    if np.iscomplexobj(x):
        yield (
            "i Im diag(Y^H y_bar) is missing: the phases of the diagonal of R, right for real, wrong for complex",
            ((outer + y @ below) @ up,) * 2,
        )
        yield (
            "i Im diag(Y^H y_bar) is taken twice: right for real, wrong for complex",
            ((outer + y @ (below + 2 * diagonal)) @ up,) * 2,
        )
        yield f"{CONJUGATE} (R^-T in place of R^-H)", (right @ over.T,) * 2
        plain = np.tril(inside - inside.T, -1)
        yield f"{CONJUGATE} (Y^H y_bar less its transpose)", ((outer + y @ plain) @ up,) * 2
        yield (
            f"{CONJUGATE} (Y^H y_bar less its transpose, with i Im diag)",
            ((outer + y @ (plain + diagonal)) @ up,) * 2,
        )


def _back_polar(x: np.ndarray, v: np.ndarray, bar: np.ndarray, c: float) -> Iterator[Wrong]:
    """U L + (I - U U^H) U_bar H^-1, H L + L H = U^H U_bar - U_bar^H U."""
    a = x + v
    p, s, vh = np.linalg.svd(a, full_matrices=False)
    u, w = p @ vh, ct(vh)
    inside = inner(u, bar)
    outer, sums = bar - u @ inside, s[:, None] + s

    def over_h(b: np.ndarray) -> Any:
        return (b @ w / s) @ vh

    def turned(k: np.ndarray, by: np.ndarray = sums) -> Any:
        return u @ w @ ((vh @ k @ w) / by) @ vh

    k = inside - ct(inside)
    for words, found in (
        ("H is treated as constant in X + V = Y H: y_bar H^-1", over_h(bar)),
        ("half is lost: skew(Y^H y_bar) in place of Y^H y_bar - y_bar^H Y", turned(k / 2) + over_h(outer)),
        ("the part in the range of Y is twice too large", turned(2 * k) + over_h(outer)),
        ("the sign of the part in the range of Y is wrong", turned(-k) + over_h(outer)),
        ("the part outside the range of Y is missing: exact for p = n only", turned(k)),
        ("the part outside the range of Y is not divided by H", turned(k) + outer),
        ("the part in the range of Y is missing", over_h(outer)),
        (
            "projected onto the tangent space at Y, but not divided by sums of singular values",
            u @ skew(inside) + outer,
        ),
        ("the cotangent is not projected: Y^H y_bar in place of its skew-Hermitian part",
         turned(2 * inside) + over_h(outer)),
        ("products of singular values where sums belong", turned(k, s[:, None] * s * 2) + over_h(outer)),
        ("squares of singular values where sums belong", turned(k, s[:, None] ** 2 + s**2) + over_h(outer)),
    ):  # fmt: skip
        yield words, (found, found)
    gaps = s[:, None] - s
    with np.errstate(all="ignore"):
        divided = np.where(np.eye(len(s), dtype=bool), 0.0, vh @ k @ w / np.where(gaps == 0, np.inf, gaps))
    made = u @ w @ divided @ vh + over_h(outer)
    yield "differences of singular values where sums belong", (made, made)
    if np.iscomplexobj(x):
        phaseless = np.where(np.eye(len(s), dtype=bool), 0.0, vh @ k @ w) / sums
        made = u @ w @ phaseless @ vh + over_h(outer)
        yield "the imaginary diagonal (the phases) is missing: right for real, wrong for complex", (made, made)
        made = turned(inside - inside.T) + over_h(outer)
        yield f"{CONJUGATE} (Y^H y_bar less its transpose)", (made, made)


def _back_cayley(x: np.ndarray, v: np.ndarray, bar: np.ndarray, c: float) -> Iterator[Wrong]:
    """F = Y_bar M^-H, M_bar = -(X + Y)^H F: parts that are left out or weighed wrongly."""
    s, _, over, z = exact.cayley_parts(x, v)
    f = bar @ ct(over)

    def made(f: np.ndarray, m_bar: np.ndarray, gram: float = 0.5, turn: float = -0.5, inside: float = 1.0,
             own: float = 1.0, top: float = 2.0) -> Found:  # fmt: skip
        z_bar = f + gram * z @ herm(m_bar)
        a_bar = turn * skew(m_bar) - inside * inner(x, z_bar)
        return v @ ct(a_bar) - z_bar @ (ct(v) @ x) * inside + top * f - own * bar, z_bar + x @ a_bar

    m_bar = -inner(s, f)
    yield "M = I - X^H V/2 + Z^H Z/4 is treated as constant", made(f, 0 * m_bar)
    yield "Z^H Z/4 in M is treated as constant", made(f, m_bar, gram=0.0)
    yield "X^H V/2 in M is treated as constant", made(f, m_bar, turn=0.0)
    yield "half of Z herm(M_bar): the factor 2 of Z^H Z is lost", made(f, m_bar, gram=0.25)
    yield "twice Z herm(M_bar)", made(f, m_bar, gram=1.0)
    yield "the factor 1/2 of X^H V/2 is lost", made(f, m_bar, turn=-1.0)
    yield "the sign of M_bar is wrong", made(f, -m_bar)
    yield "the sign of the derivative of X^H V/2 is wrong", made(f, m_bar, turn=0.5)
    yield "X^H V in Z = V - X X^H V is treated as constant", made(f, m_bar, inside=0.0)
    yield "Y in place of X + Y in M_bar", made(f, -inner(s - x, f))
    yield "the last -X of (2 X + Z) M^-1 - X is treated as constant", made(f, m_bar, own=0.0)
    yield "2 X in (2 X + Z) M^-1 - X is treated as constant", made(f, m_bar, top=0.0)
    g = bar @ over
    yield "M^-1 in place of M^-H: the adjoint is not taken", made(g, -inner(s, g))
    halved = _halved(PULL["stiefel.retract_cayley"], x, v, bar, c)
    yield "the step is halved: the derivative is that of R(X, V/2) for V", halved
    yield from _back_cayley_n(x, v, bar, s)
    if np.iscomplexobj(x):
        g = bar @ over.T
        yield f"{CONJUGATE} (M^-T in place of M^-H)", made(g, -inner(s, g))
        yield f"{CONJUGATE} ((X + Y)^T in place of (X + Y)^H)", made(f, -s.T @ f)


def _back_cayley_n(x: np.ndarray, v: np.ndarray, bar: np.ndarray, s: np.ndarray) -> Iterator[Wrong]:
    """Of (I - W/2)^-1 (I + W/2) X, W = P X^H - X P^H = L R^H: F = (I - W/2)^-H Y_bar, W_bar = F (X + Y)^H/2."""
    p = v - x @ inner(x, v) / 2
    left, right = np.concatenate([p, x], axis=-1), np.concatenate([x, -p], axis=-1)

    def solved(b: np.ndarray, sign: float) -> np.ndarray:
        """(I - sign W/2)^-1 B."""
        k = np.eye(left.shape[-1]) - sign * inner(right, left) / 2
        return b + sign * left @ np.linalg.solve(k, inner(right, b)) / 2

    def made(f: np.ndarray, adjoint: float = 1.0) -> Found:
        p_bar = (f @ inner(s, x) - adjoint * s @ inner(f, x)) / 2
        x_bar = f - left @ inner(right, f) / 2 + (s @ inner(f, p) - adjoint * f @ inner(s, p)) / 2
        return x_bar - (p_bar @ inner(v, x) + v @ inner(p_bar, x)) / 2, p_bar - x @ inner(x, p_bar) / 2

    yield "(I - W/2)^-1 in place of (I - W/2)^-H: the adjoint is not taken", made(solved(bar, 1))
    yield "W_bar alone in place of W_bar - W_bar^H: half of W = P V X^H - X V^H P is constant", made(solved(bar, -1), 0)


def _halved(pull: Callable[..., Found], x: np.ndarray, v: np.ndarray, bar: np.ndarray, c: float) -> Found:
    x_bar, v_bar = pull(x, v / 2, bar, c)
    return x_bar, v_bar / 2


def _back_exp(x: np.ndarray, v: np.ndarray, bar: np.ndarray, c: float) -> Iterator[Wrong]:
    """The product rule for (SR-EXP): parts that are left out or weighed wrongly."""
    p = x.shape[-1]
    inside = skew(inner(x, v))
    z = v - x @ inner(x, v)
    k = exact.block(2 * c * inside, -inner(z, z), np.eye(p), np.zeros((p, p)))
    turn, both, one, two = (1 - 2 * c) * inside, exact.block_row(x, z), np.eye(2 * p, p), np.eye(2 * p, p, -p)
    e, last = exact.expm(k), exact.expm(turn)
    first = e @ one

    def made(gram: float = 1.0, block: float = 1.0, factor: float = 1.0, frame: float = 1.0, inner_: float = 1.0,
             commuting: bool = False, at: np.ndarray | None = None) -> Found:  # fmt: skip
        moved = bar @ ct(last)
        a_bar = factor * (1 - 2 * c) * skew(exp_along(-turn, ct(both @ first) @ bar)[1]) + 0 * inside
        given = ct(both) @ moved @ one.T
        k_bar = ct(e) @ given if commuting else exp_along(ct(k) if at is None else at, given)[1]
        a_bar = a_bar + block * 2 * c * skew(one.T @ k_bar @ one)
        both_bar = frame * moved @ ct(first)
        z_bar = both_bar @ two - 2 * gram * z @ herm(one.T @ k_bar @ two)
        a_bar = a_bar - inner_ * inner(x, z_bar)
        return v @ ct(a_bar) - inner_ * z_bar @ (ct(v) @ x) + both_bar @ one, z_bar + x @ a_bar

    yield "the exponential of the blocks is treated as constant", made(gram=0.0, block=0.0)
    yield "the factor exp((1 - 2 c) X^H V) is treated as constant", made(factor=0.0)
    yield "the block 2 c X^H V is treated as constant", made(block=0.0)
    yield "the block Z^H Z is treated as constant", made(gram=0.0)
    yield "half of the block Z^H Z: the factor 2 is lost", made(gram=0.5)
    yield "the frame [X, Z] (or Q of the QR decomposition of Z) is treated as constant", made(frame=0.0)
    yield "X^H V in Z = V - X X^H V is treated as constant", made(inner_=0.0)
    yield "exp(K) E in place of the derivative of exp: as if K and E commuted", made(commuting=True)
    yield "the derivative of exp at K in place of K^H: the adjoint is not taken", made(at=k)
    yield "the sign of the factor exp((1 - 2 c) X^H V) is wrong in its derivative", made(factor=-1.0)
    if np.iscomplexobj(x):
        yield f"{CONJUGATE} (the derivative of exp at K^T)", made(at=k.T)


BACK: dict[str, Callable[..., Iterator[Wrong]]] = {
    "stiefel.project": _back_project,
    "stiefel.gradient": _back_gradient,
    "stiefel.retract_qr": _back_qr,
    "stiefel.retract_polar": _back_polar,
    "stiefel.retract_cayley": _back_cayley,
    "stiefel.exp": _back_exp,
}


# Derivatives along a direction ----------------------------------------------------------------------------------------


def _jvp(name: str, values: Mapping[str, np.ndarray], c: float) -> Iterator[Wrong]:
    """y_dot of wrong formulas."""
    x, v, x_dot, v_dot = (values[each] for each in inputs_of("jvp", name))
    for said, made in _along(name, x, v, x_dot, v_dot, c):
        yield said, (made,)


def _along(name: str, x: np.ndarray, v: np.ndarray, x_dot: np.ndarray, v_dot: np.ndarray,
           c: float) -> Iterator[Mistake]:  # fmt: skip
    push = partial(PUSH[name], c=c)
    right, of = push(x, v, x_dot, v_dot), outputs_of("jvp", name)[0]
    yield f"{of} is zero", 0 * right
    for factor, words in MULTIPLES.items():
        yield f"{of} has the wrong sign" if factor == -1 else f"{of} is {words} of what it should be", factor * right
    if np.iscomplexobj(right):
        yield f"{of} is conjugated", np.conj(right)
    yield "X is treated as constant: the part of x_dot is missing", push(x, v, 0 * x_dot, v_dot)
    yield "V is treated as constant: the part of v_dot is missing", push(x, v, x_dot, 0 * v_dot)
    yield "the sign of the part of x_dot is wrong", push(x, v, -x_dot, v_dot)
    yield "the sign of the part of v_dot is wrong", push(x, v, x_dot, -v_dot)
    yield "half of the part of x_dot", push(x, v, x_dot / 2, v_dot)
    yield "half of the part of v_dot", push(x, v, x_dot, v_dot / 2)
    yield "twice the part of x_dot", push(x, v, 2 * x_dot, v_dot)
    yield "twice the part of v_dot", push(x, v, x_dot, 2 * v_dot)
    yield "x_dot and v_dot are exchanged", push(x, v, v_dot, x_dot)
    yield "straight-through: the sum of the directions is returned", x_dot + v_dot
    yield "straight-through: v_dot is returned", v_dot
    yield "straight-through: x_dot is returned", x_dot
    if name not in FREE:
        yield (
            "the derivative at V = 0 is returned: V is treated as constant where it multiplies",
            push(x, 0 * v, x_dot, v_dot),
        )
    yield "the derivative at -V is returned", push(x, -v, x_dot, v_dot)
    for words, (other, weight) in MAPS.items():
        if (other in FREE) == (name in FREE) and (other, weight) != (name, c):
            yield f"this is the derivative of {words}", PUSH[other](x, v, x_dot, v_dot, weight)
    if name == "stiefel.retract_qr":
        yield from mistaken_qr(x, v, x_dot + v_dot)
        yield "R is treated as constant: (X_dot + V_dot) R^-1", (x_dot + v_dot) @ exact.qr_factors(x + v)[2]
    if name == "stiefel.project":
        moved = inner(x_dot, v) + inner(x, v_dot)
        yield (
            "this is the derivative of V - X X^H V: X skew(X^H V) is lost",
            v_dot - x_dot @ inner(x, v) - x @ moved,
        )
        yield "the term X herm(X_dot^H V) is missing", right + x @ herm(inner(x_dot, v))
        yield "the term X_dot herm(X^H V) is missing", right + x_dot @ herm(inner(x, v))
        yield "P_X is missing: v_dot in place of P_X(v_dot)", right + v_dot - project(x, v_dot)
    for words, made in _conjugated(x, v, x_dot, v_dot, push):
        yield words, made
    pull = PULL[name](x, v, x_dot + v_dot, c)
    yield "it is the adjoint that is returned", pull[0]
    yield "it is the adjoint that is returned (of V)", pull[1]


def _conjugated(x: np.ndarray, v: np.ndarray, x_dot: np.ndarray, v_dot: np.ndarray,
                push: Callable[..., np.ndarray]) -> Iterator[Mistake]:  # fmt: skip
    if np.iscomplexobj(x):
        yield f"{CONJUGATE} (x_dot is conjugated)", push(x, v, np.conj(x_dot), v_dot)
        yield f"{CONJUGATE} (v_dot is conjugated)", push(x, v, x_dot, np.conj(v_dot))
        yield f"{CONJUGATE} (the directions are conjugated)", push(x, v, np.conj(x_dot), np.conj(v_dot))


def describe(kind: Kind, name: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision,
             failed: Mapping[str, float]) -> list[str]:  # fmt: skip
    """Which output errs by how much, and whether singular values that are equal may be why."""
    values = {each: x.value for each, x in inputs.items()}
    x, v = (values[each] for each in INPUTS[name])
    bad = any(not np.isfinite(each.value).all() for each in outputs.values())
    if not x.size or not (failed or bad):
        return []
    said = []
    if failed and not bad:
        found = truths(kind, name, values, claimed, FLOAT32)[0]
        given = outputs if kind == "jvp" else seen(name, inputs, outputs, False)
        for each, y in given.items():
            value = rounded(found[each].value)
            error = float(norm(ldexp(y.value, -found[each].exponent) - value))
            part = error / max(float(norm(value)), 1e-300)
            right = "" if each in failed else ", which is right"
            said.append(f"{each} differs from the exact one by {part:.2g} of it{right}")
    outside = v - x @ inner(x, v)
    rank = np.linalg.svd(outside, compute_uv=False)
    if name == "stiefel.exp" and rank[-1] <= EQUAL * max(rank[0], 1e-300):
        said.append(
            "Z = V - X X^H V is rank deficient, or nearly: a derivative through its QR decomposition divides by R, and "
            "this map does not need it"
        )
    closest = _closest(x + v)
    if name not in (*FREE, "stiefel.exp") and closest is not None and closest <= EQUAL:
        said.append(
            "singular values of X + V are equal or nearly so: a derivative through the SVD or an eigenvalue "
            "decomposition divides by their differences, and none of these maps needs them"
        )
    return said


def _lost(name: str, values: Mapping[str, np.ndarray], error: np.ndarray, value: np.ndarray,
          precision: Precision) -> bool:  # fmt: skip
    """Whether a division by differences of singular values explains the error, which looks like a shorter format's."""
    x, v = (values[each] for each in INPUTS[name])
    closest = None if name in (*FREE, "stiefel.exp") else _closest(x + v)
    rounding = 16 * precision.eps * float(norm(value))
    return closest is not None and closest <= EQUAL and float(norm(error)) * closest <= rounding


def _closest(a: np.ndarray) -> float | None:
    """Distance of the two closest singular values, relative to the largest."""
    s = np.linalg.svd(a, compute_uv=False)
    return float(np.min(s[:-1] - s[1:]) / s[0]) if len(s) > 1 and s[0] > 0 else None
