"""Known mistakes on the Stiefel manifold, and what can be said where none of them fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from orthoref.oracle.derivative import Mistake, Truth, multiples, shorter, undone
from orthoref.oracle.fixed import rounded
from orthoref.oracle.operation import Data, Variant
from orthoref.oracle.orthonormal.reasons import not_orthonormal
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import ct, inner, ldexp, norm
from orthoref.oracle.stiefel import truth as exact
from orthoref.oracle.stiefel.claim import METRICS
from orthoref.oracle.stiefel.ratios import OUTPUT, RETRACTIONS, TRANSPORTS, truths
from orthoref.oracle.stiefel.truth import gradient, herm, hessian, project, scaled, skew

FLOAT32 = PRECISIONS["float32"]  # whose truth is found in float64


def variants(name: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision,
             failed: Mapping[str, float]) -> Iterator[Variant]:  # fmt: skip
    """Known mistakes of one member, as the difference that they make."""
    values = {each: x.value for each, x in inputs.items()}
    output = OUTPUT[name]
    truth = truths(name, values, claimed, FLOAT32)[0][output]
    found = ldexp(outputs[output].value, -truth.exponent)
    yield from undone(outputs, output, truth, MISTAKES[name](values, claimed, truth, found))
    yield from undone(outputs, output, truth, _any(output, truth, values))
    error, value = found - rounded(truth.value), rounded(truth.value)
    yield from shorter(error, value, precision, float(truth.unit) / FLOAT32.eps)


def _any(output: str, truth: Truth, values: Mapping[str, np.ndarray]) -> Iterator[Mistake]:
    """What every map can be wrong by; an argument that is returned."""
    for each, x in values.items():
        yield f"{output} is {each} itself", ldexp(x, -truth.exponent)
    for said, made in multiples(output, truth, None):
        yield said.replace("is conjugated: the gradient convention of JAX", "is conjugated"), made


# Projection and gradients ---------------------------------------------------------------------------------------------

GRADIENT = {
    "euclidean": "V - X herm(X^H V)",
    "canonical": "V - X V^H X",
}


def _project(values: Mapping[str, np.ndarray], claimed: Any, truth: Truth, found: np.ndarray) -> Iterator[Mistake]:
    x, v = values["x"], scaled(values["v"])[0]
    yield (
        "not idempotent: it doubles X skew(X^H V): this is the canonical gradient map V - X V^H X, not a projection",
        gradient(x, v, 0.5),
    )
    yield from _tangential(x, v, "V")
    yield (
        "half of the canonical gradient map, skew(V X^H) X: it halves the component outside the range of X",
        gradient(x, v, 0.5) / 2,
    )
    given = values["v"]
    yield "the arguments are exchanged: X is projected at V", ldexp(x - given @ herm(ct(given) @ x), -truth.exponent)
    yield from _conjugates(x, v, "V")


def _gradient(values: Mapping[str, np.ndarray], claimed: Any, truth: Truth, found: np.ndarray) -> Iterator[Mistake]:
    x, g = values["x"], scaled(values["egrad"])[0]
    for name, c in METRICS.items():
        if c != claimed.c:
            yield f"this is the gradient for the {name} metric, not for {claimed.metric}", gradient(x, g, c)
    yield "half of the canonical gradient: skew(G X^H) X", gradient(x, g, 0.5) / 2
    yield "twice half: the metric's weight of X^H V is inverted", gradient(x, g, 1 / claimed.c)
    yield from _tangential(x, g, "G")
    own = x @ skew(ct(x) @ g) / claimed.c
    yield "the part outside the range of X is lost: exact for p = n only", own
    if claimed.c == 0.5:
        yield "a conjugate is missing in G - X G^H X: right for real, wrong for complex", g - x @ g.T @ x
        yield "the conjugate is without the transposition in G - X G^H X", _product(g, x, np.conj(g), x)
        yield "the product is X^H G in place of G^H X", g - x @ ct(x) @ g
        yield "the sign of X G^H X is wrong", g + x @ ct(g) @ x
        yield "the factor 1/2 is applied: G - X G^H X/2", g - x @ ct(g) @ x / 2
    yield "the adjoint is projected: X^H in place of X", project(x, np.conj(g))
    yield from _conjugates(x, g, "G")


def _product(g: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> Any:
    return g - a @ b @ c if a.shape[-1] == b.shape[-2] and b.shape[-1] == c.shape[-2] else np.full(1, np.nan)


def _tangential(x: np.ndarray, v: np.ndarray, name: str) -> Iterator[Mistake]:
    """Wrong factors and parts of V - X herm(X^H V)."""
    inside = ct(x) @ v
    p = f"X^H {name}"
    yield (
        f"X X^H {name} is taken out: the horizontal (Grassmann) projection, the part X skew({p}) is lost",
        v - x @ inside,
    )
    yield f"the factor 1/2 of herm({p}) = ({p} + {name}^H X)/2 is lost", v - x @ (inside + ct(inside))
    yield f"the factor 1/2 of herm({p}) is there twice", v - x @ herm(inside) / 2
    yield f"skew({p}) is taken out in place of herm({p})", v - x @ skew(inside)
    yield f"the part outside the range of X is lost: X skew({p}), exact for p = n only", x @ skew(inside)
    yield f"the normal part X herm({p}) is returned, not the tangent one", x @ herm(inside)
    yield f"the sign of X herm({p}) is wrong", v + x @ herm(inside)
    yield f"half of X X^H {name} is taken out", v - x @ inside / 2
    yield (
        f"the skew part is added with the wrong sign: {name} - X X^H {name} - X skew({p})",
        v - x @ inside - x @ skew(inside),
    )
    yield f"the factor 1/2 of skew({p}) is lost", v - x @ inside + 2 * x @ skew(inside)
    yield f"the factor 1/2 of skew({p}) is there twice", v - x @ inside + x @ skew(inside) / 2
    yield f"the diagonal of herm({p}) alone is taken out: the product of spheres", v - x * np.diagonal(inside).real
    triangle = np.triu(inside) + ct(np.triu(inside, 1))
    yield f"herm({p}) is made of the upper triangle of {p} alone", v - x @ triangle
    lower = np.tril(inside) + ct(np.tril(inside, -1))
    yield f"herm({p}) is made of the lower triangle of {p} alone", v - x @ lower
    if x.shape[-2] == x.shape[-1]:
        yield f"projected on the other side: {name} - herm({name} X^H) X with a wrong order", v - herm(inside) @ x
        yield f"left-invariant form returned: skew({p}) without the factor X", skew(inside)


def _conjugates(x: np.ndarray, v: np.ndarray, name: str) -> Iterator[Mistake]:
    """Of complex data."""
    if not np.iscomplexobj(x):
        return
    why = "a conjugate is missing: right for real, wrong for complex"
    inside, plain = ct(x) @ v, x.T @ v
    yield f"{why} (X^T {name} in place of X^H {name}, and the transpose of it)", v - x @ (plain + plain.T) / 2
    yield f"{why} (the transpose of X^H {name} in place of its adjoint)", v - x @ (inside + inside.T) / 2
    yield f"{why} (X^T {name} in place of X^H {name})", v - x @ herm(plain)
    yield f"{why} (real parts only of X^H {name})", v - x @ herm(inside.real)
    yield f"{why} (herm by conjugation, without transposition)", v - x @ inside.real
    yield f"{why} (X is conjugated)", v - np.conj(x) @ herm(inside)
    yield f"{why} (X^T {name} in X skew(X^H {name}))", v - x @ inside + x @ (inside - inside.T) / 2
    yield f"{why} ({name} is conjugated)", project(x, np.conj(v))


def _hessian(values: Mapping[str, np.ndarray], claimed: Any, truth: Truth, found: np.ndarray) -> Iterator[Mistake]:
    x, g, h, v = (values[each] for each in ("x", "egrad", "ehess", "v"))
    c, inside = claimed.c, ct(x) @ g
    for name, other in METRICS.items():
        if other != c:
            yield f"this is the Hessian for the {name} metric, not for {claimed.metric}", hessian(x, g, h, v, other)
    grads = {"": c} | {f", with the {name} gradient map": other for name, other in METRICS.items() if other != c}
    for also, weight in grads.items():
        for words, form in (
            ("D^2 f[V] alone is projected: the curvature term V herm(X^H G) is missing", h),
            ("V herm(X^H G) is used for a metric that is not Euclidean", h - v @ herm(inside)),
            ("herm is missing: V X^H G in place of V herm(X^H G)", h - v @ inside),
            ("V G^H X in place of V herm(X^H G)", h - v @ ct(inside)),
            ("the factor 1/2 of herm(X^H G) is lost", h - v @ (inside + ct(inside))),
            ("the factor 1/2 of herm(X^H G) is there twice", h - v @ herm(inside) / 2),
            ("the sign of V herm(X^H G) is wrong", h + v @ herm(inside)),
            ("V skew(X^H G) in place of V herm(X^H G)", h - v @ skew(inside)),
            ("X herm(V^H G) in place of V herm(X^H G)", h - x @ herm(ct(v) @ g)),
            ("G herm(X^H V) in place of V herm(X^H G)", h - g @ herm(ct(x) @ v)),
            ("the Riemannian gradient is used in V herm(X^H G)", h - v @ herm(ct(x) @ gradient(x, g, c))),
            ("a conjugate is missing: right for real, wrong for complex (transpose of X^H G)",
             h - v @ (inside + inside.T) / 2),
            ("a conjugate is missing: right for real, wrong for complex (X^T G)", h - v @ herm(x.T @ g)),
            ("a conjugate is missing: right for real, wrong for complex (X^T G and G^T X)",
             h - v @ (x.T @ g + g.T @ x) / 2),
        ):  # fmt: skip
            yield words + also, gradient(x, form, weight)
        if c != 1:
            z, a = v - x @ ct(x) @ v, ct(x) @ v
            bent = g @ a - x @ (ct(x) @ g @ a)
            form, extra = h - v @ herm(inside), x @ (ct(z) @ g) - bent
            for words, made in (
                ("the terms of the metric (1 - c)(...) have the wrong sign", form - (1 - c) * extra),
                ("the terms of the metric are twice too large", form + 2 * (1 - c) * extra),
                ("the term X Z^H G of the metric is missing", form - (1 - c) * bent),
                ("the term G A of the metric is missing", form + (1 - c) * x @ (ct(z) @ g)),
            ):
                yield words + also, gradient(x, made, weight)
    yield "it is not projected: D^2 f[V] - V herm(X^H G)", h - v @ herm(inside)
    yield "the derivative of the gradient field along V is not projected", gradient_along(x, g, h, v, c)
    yield "egrad and ehess are exchanged", hessian(x, h, g, v, c)
    yield "v and ehess are exchanged", hessian(x, g, v, h, c)


def gradient_along(x: np.ndarray, g: np.ndarray, h: np.ndarray, v: np.ndarray, c: float) -> np.ndarray:
    """D grad f[V] of the formula (SR-GRADIENT), G changing by H."""
    inside, change = ct(x) @ g, ct(v) @ g + ct(x) @ h
    return h + v @ (skew(inside) / c - inside) + x @ (skew(change) / c - change)


# Retractions ----------------------------------------------------------------------------------------------------------

MAPS: dict[str, Callable[..., Any]] = {
    "the QR retraction": exact.qr,
    "the polar retraction": exact.polar,
    "the Cayley retraction": exact.cayley,
    "the exponential map of the Euclidean metric": partial(exact.exp, c=1.0),
    "the exponential map of the canonical metric": partial(exact.exp, c=0.5),
}
OWN = dict(zip(("stiefel.retract_qr", "stiefel.retract_polar", "stiefel.retract_cayley"), MAPS, strict=False))


def _retraction(name: str, values: Mapping[str, np.ndarray], claimed: Any, truth: Truth,
                found: np.ndarray) -> Iterator[Mistake]:  # fmt: skip
    x, v = values["x"], values["v"]
    own = OWN.get(name, f"the exponential map of the {getattr(claimed, 'metric', '')} metric")
    claim = partial(exact.exp, c=claimed.c) if name == "stiefel.exp" else MAPS[own]
    for words, map_ in MAPS.items():
        if words.lower() != own.lower():
            yield f"this is {words}, not {own}", map_(x, v)
    yield from _signs(x, v, rounded(truth.value), found)
    if name == "stiefel.retract_cayley":
        yield from _cayley(x, v)
    if name == "stiefel.exp":
        yield from _exp(x, v, claimed.c)
    for words, map_ in {own: claim, **MAPS}.items():
        of = "" if words == own else f", and this is {words}"
        yield f"the sign of the step is wrong: R(X, -V){of}", map_(x, -v)
        yield f"the step is twice too long{of}: R(X, 2 V)", map_(x, 2 * v)
        yield f"the step is half of V{of}: R(X, V/2)", map_(x, v / 2)
        a = x @ ct(x) @ v
        yield f"the derivative at zero is V + X X^H V, not V: not a retraction{of}", map_(x, v + a)
        yield f"the derivative at zero is V - X X^H V, not V: X^H V is lost{of}", map_(x, v - a)
        yield f"the derivative at zero is X X^H V, not V: exact for p = n only{of}", map_(x, a)
        yield f"the part X X^H V of the step is halved{of}", map_(x, v - a / 2)
        yield f"the sign of X X^H V is wrong{of}", map_(x, v - 2 * a)
        if np.iscomplexobj(x):
            yield (
                f"a conjugate is missing: right for real, wrong for complex (V is conjugated){of}",
                map_(x, np.conj(v)),
            )
            yield f"the result is conjugated{of}", np.conj(map_(x, v))
    yield "X + V is returned, not brought back to the manifold", x + v
    lengths = np.linalg.norm(x + v, axis=-2, keepdims=True)
    yield "the columns of X + V are normalised one by one: the product of spheres", (x + v) / lengths
    a = x + v
    yield (
        "one Newton-Schulz step in place of the polar factor: A (3 I - A^H A)/2",
        a @ (3 * np.eye(len(ct(a))) - ct(a) @ a) / 2,
    )
    turned, size = np.linalg.norm(v), np.linalg.norm(v)
    if turned:
        yield "the step is normalised: R(X, V/|V|)", claim(x, v / size)
    if x.shape[-2] == x.shape[-1]:
        yield "multiplied on the other side: R(I, V X^H) taken with X^H V", _left(claim, x, v)


def _left(claim: Callable[..., Any], x: np.ndarray, v: np.ndarray) -> Any:
    one = np.eye(len(x)).astype(x.dtype)
    return claim(one, skew(ct(x) @ v)) @ x


def _signs(x: np.ndarray, v: np.ndarray, value: np.ndarray, found: np.ndarray) -> Iterator[Mistake]:
    """Columns that differ by a sign or a phase."""
    along = np.sum(np.conj(value) * found, axis=0)
    if not np.all(np.abs(np.abs(along) - 1) < 0.01):
        return
    phases = along / np.abs(along)
    if np.any(np.abs(phases - 1) > 0.01):
        negative = "signs" if not np.iscomplexobj(value) or np.all(np.abs(phases.imag) < 0.01) else "phases"
        yield f"the {negative} of columns are wrong: QR without making the diagonal of R positive", value * phases


def _cayley(x: np.ndarray, v: np.ndarray) -> Iterator[Mistake]:
    """(I - W/2)^-1 (I + W/2) X with another W or other factors."""
    n = len(x)
    one, p = np.eye(n), np.eye(n) - x @ ct(x) / 2
    w = p @ v @ ct(x) - x @ ct(v) @ p
    whole = v @ ct(x) - x @ ct(v)

    def turned(w: np.ndarray, left: float = 0.5, right: float = 0.5) -> Any:
        try:
            return np.linalg.solve(one - left * w, x + right * w @ x)
        except np.linalg.LinAlgError:
            return np.full(x.shape, np.nan)

    yield "P_X is missing: W = V X^H - X V^H counts X^H V twice, the derivative at zero is V + X X^H V", turned(whole)
    yield (
        "P_X = I - X X^H, the factor 1/2 in it is lost: X^H V is lost",
        turned((one - x @ ct(x)) @ v @ ct(x) - x @ ct(v) @ (one - x @ ct(x))),
    )
    yield "P_X is missing, and the factors 1/2 too: (I - W)^-1 (I + W) X", turned(whole, 1.0, 1.0)
    yield "the factors 1/2 are missing: (I - W)^-1 (I + W) X", turned(w, 1.0, 1.0)
    yield "only one factor 1/2 is missing: (I - W/2)^-1 (I + W) X", turned(w, 0.5, 1.0)
    yield "only one factor 1/2 is missing: (I - W)^-1 (I + W/2) X", turned(w, 1.0, 0.5)
    yield "the sign of W is wrong, and P_X is missing", turned(-whole)
    yield "the factors 1/2 are 1/4: half of the step", turned(w, 0.25, 0.25)
    yield "P_X is on one side only: W = P V X^H - X V^H", turned(p @ v @ ct(x) - x @ ct(v))
    yield "the factors have the same sign: (I + W/2)^-1 (I + W/2) X = X", x + 0 * v
    if np.iscomplexobj(x):
        yield (
            "a conjugate is missing: right for real, wrong for complex (W by transposes)",
            turned(p @ v @ x.T - x @ v.T @ p),
        )
        p = one - x @ x.T / 2
        yield (
            "a conjugate is missing: right for real, wrong for complex (W and P_X by transposes)",
            turned(p @ v @ x.T - x @ v.T @ p.T),
        )
    inside = skew(ct(x) @ v)
    z = v - x @ ct(x) @ v
    for words, k, j in (
        ("Z^H Z/2 in place of Z^H Z/4", -0.5, 0.5),
        ("Z^H Z in place of Z^H Z/4", -0.5, 1.0),
        ("Z^H Z/4 is missing", -0.5, 0.0),
        ("the sign of Z^H Z/4 is wrong", -0.5, -0.25),
        ("A in place of A/2", -1.0, 0.25),
        ("the sign of A/2 is wrong", 0.5, 0.25),
        ("A/2 is missing", 0.0, 0.25),
    ):
        m = np.eye(x.shape[-1]) + k * inside + j * inner(z, z)
        yield f"{words} in (2 X + Z)(I - A/2 + Z^H Z/4)^-1 - X", (2 * x + z) @ np.linalg.pinv(m) - x
    yield (
        "V^H V/4 in place of Z^H Z/4",
        (2 * x + z) @ np.linalg.pinv(np.eye(x.shape[-1]) - inside / 2 + inner(v, v) / 4) - x,
    )
    yield (
        "V in place of Z in 2 X + Z",
        (2 * x + v) @ np.linalg.pinv(np.eye(x.shape[-1]) - inside / 2 + inner(z, z) / 4) - x,
    )
    for q, words in ((w, ""), (whole, ", P_X is missing")):
        y = x + q @ x
        for count in range(1, 8):
            yield f"the fixed-point iteration Y = X + W (X + Y)/2 is ended after {count} steps{words}", y
            y = x + q @ (x + y) / 2


def _exp(x: np.ndarray, v: np.ndarray, c: float) -> Iterator[Mistake]:
    """Blocks and factors of (SR-EXP)."""
    p = x.shape[-1]
    a = skew(ct(x) @ v)
    z = v - x @ ct(x) @ v
    both, zero, one = np.concatenate([x, z], axis=-1), np.zeros((p, p)), np.eye(p)

    def made(first: np.ndarray, s: np.ndarray, last: np.ndarray) -> Any:
        return both @ exact.expm(np.block([[first, -s], [one, zero]]))[:, :p] @ exact.expm(last)

    s, rest = inner(z, z), (1 - 2 * c) * a
    yield "the factor exp((1 - 2 c) X^H V) is missing", made(2 * c * a, s, 0 * a)
    yield "the sign of the exponent of the last factor is wrong", made(2 * c * a, s, -rest)
    yield "V^H V in place of Z^H Z", made(2 * c * a, inner(v, v), rest)
    yield "the first block is halved", made(c * a, s, rest)
    yield "the first block is doubled", made(4 * c * a, s, rest)
    yield "the sign of the block Z^H Z is wrong", made(2 * c * a, -s, rest)
    yield "the sign of X^H V is wrong", made(-2 * c * a, s, -rest)
    yield "X^H V is left out", made(zero, s, 0 * a)
    yield (
        "the Taylor polynomial X + V + (acceleration)/2 in place of the geodesic",
        x + v + exact.acceleration(x, v, c) / 2,
    )
    for count in range(1, 7):
        yield f"the series of exp is ended after {count} terms", _series(x, z, a, c, count)


def _series(x: np.ndarray, z: np.ndarray, a: np.ndarray, c: float, count: int) -> Any:
    p = x.shape[-1]
    k = np.block([[2 * c * a, -inner(z, z)], [np.eye(p), np.zeros((p, p))]])

    def partial_sum(k: np.ndarray) -> np.ndarray:
        total = term = np.eye(len(k)).astype(k.dtype)
        for j in range(1, count + 1):
            term = term @ k / j
            total = total + term
        return total

    return np.concatenate([x, z], axis=-1) @ partial_sum(k)[:, :p] @ partial_sum((1 - 2 * c) * a)


# Transports -----------------------------------------------------------------------------------------------------------

CARRIED: dict[str, Callable[..., Any]] = {
    "the derivative of the QR retraction": exact.transport_qr,
    "the derivative of the polar retraction": exact.transport_polar,
    "the derivative of the Cayley retraction": exact.transport_cayley,
    "the isometric transport of the Cayley retraction": exact.transport_isometric,
}
POINTS = {"": lambda x, v: x, "QR": exact.qr, "polar": exact.polar, "Cayley": exact.cayley}


def _transport(own: str, values: Mapping[str, np.ndarray], claimed: Any, truth: Truth,
               found: np.ndarray) -> Iterator[Mistake]:  # fmt: skip
    x, v, w = (values[each] for each in ("x", "v", "w"))
    for words, map_ in CARRIED.items():
        if words != own:
            yield f"this is {words}, not {own}", map_(x, v, w)
    for words, point in POINTS.items():
        y = point(x, v)
        where = f"the {words} retraction of V" if words else "X itself"
        yield f"W is projected at {where}: this is the transport by projection, not {own}", project(y, w)
        yield f"W is horizontally projected at {where}: Y skew(Y^H W) is lost", w - y @ (ct(y) @ w)
        yield f"W - Y W^H Y at {where}: the canonical gradient map of W", gradient(y, w, 0.5)
    yield "V is taken with the wrong sign: transported to R(X, -V)", CARRIED[own](x, -v, w)
    yield "V and W are exchanged", CARRIED[own](x, w, v)
    yield "V is taken twice: transported to R(X, 2 V)", CARRIED[own](x, 2 * v, w)
    y = OWN_POINT[own](x, v)
    yield "it is not projected: Y (X^H W) + (I - X X^H) W", y @ (ct(x) @ w) + w - x @ (ct(x) @ w)
    if own == "the derivative of the QR retraction":
        yield from transport_qr(x, v, w)
    if own == "the isometric transport of the Cayley retraction":
        n = len(x)
        whole = v @ ct(x) - x @ ct(v)
        one = np.eye(n)
        yield "P_X is missing: W = V X^H - X V^H", np.linalg.solve(one - whole / 2, w + whole @ w / 2)
        back = np.linalg.solve(one + whole / 2, w - whole @ w / 2)
        yield "the adjoint is applied, P_X is missing", back
        yield "the transport is backwards: the adjoint is applied", CARRIED[own](x, -v, w)
    if np.iscomplexobj(x):
        yield (
            "a conjugate is missing: right for real, wrong for complex (W is conjugated)",
            CARRIED[own](x, v, np.conj(w)),
        )


OWN_POINT = dict(zip(CARRIED, (exact.qr, exact.polar, exact.cayley, exact.cayley), strict=True))


def transport_qr(x: np.ndarray, v: np.ndarray, w: np.ndarray) -> Iterator[Mistake]:
    """Wrong parts of (SR-TRANSPORT-QR)."""
    q, _, over = exact.qr_factors(x + v)
    b = w @ over
    inside = ct(q) @ b
    below = np.tril(inside, -1)
    turn, outside = below - ct(below), b - q @ inside
    if np.iscomplexobj(x):
        yield "i Im diag of Y^H W R^-1 is missing: right for real, wrong for complex", outside + q @ turn
        yield (
            "a conjugate is missing: right for real, wrong for complex (rho by transposes)",
            (outside + q @ (below - below.T + skew(inside * np.eye(len(inside))))),
        )
    turn = turn + skew(inside * np.eye(len(inside)))
    above = np.triu(inside, 1)
    yield "rho takes what is above the diagonal", outside + q @ (above - ct(above) + skew(inside * np.eye(len(inside))))
    yield "the sign of rho is wrong", outside - q @ turn
    yield "the part outside the range of Y is lost: exact for p = n only", q @ turn
    yield "the part Y rho(Y^H W R^-1) is lost", outside
    yield "R^-1 is missing", w - q @ (ct(q) @ w) + _rho(q, w)
    yield "skew(Y^H W R^-1) in place of rho", outside + q @ skew(inside)


def _rho(q: np.ndarray, b: np.ndarray) -> Any:
    inside = ct(q) @ b
    below = np.tril(inside, -1)
    return q @ (below - ct(below) + skew(inside * np.eye(len(inside))))


MISTAKES: dict[str, Callable[..., Iterator[Mistake]]] = {
    "stiefel.project": _project,
    "stiefel.gradient": _gradient,
    "stiefel.hessian": _hessian,
    **{name: partial(_retraction, name) for name in RETRACTIONS},
    **{name: partial(_transport, own) for name, own in zip(TRANSPORTS, CARRIED, strict=True)},
}


def describe(name: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision,
             failed: Mapping[str, float]) -> list[str]:  # fmt: skip
    """What is seen of one member: off the manifold, not tangent, which component errs."""
    if not failed:
        return []
    values = {each: x.value for each, x in inputs.items()}
    x, output = values["x"], next(iter(outputs))
    found = outputs[output].value
    said = []
    if "orthonormal" in failed:
        said.append(not_orthonormal(found, "columns"))
    if name not in OUTPUT:
        return said
    truth = truths(name, values, claimed, FLOAT32)[0][output]
    error = ldexp(found, -truth.exponent) - rounded(truth.value)
    size = float(norm(error))
    if not 0 < size < np.inf:
        return said
    inside = ct(x) @ error
    parts = {
        "X skew(X^H .)": float(norm(skew(inside))),
        "X herm(X^H .)": float(norm(herm(inside))),
        "(I - X X^H) .": float(norm(error - x @ inside)),
    }
    where = ", ".join(f"{part / size:.0%} in {each}" for each, part in parts.items() if part > 1e-3 * size)
    of = f"{output} differs from the exact result by {size / max(float(norm(rounded(truth.value))), 1e-300):.2g} of it"
    said.append(f"{of}: {where}")
    return said
