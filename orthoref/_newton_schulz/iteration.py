"""Newton-Schulz iteration X <- X p(X^H X) and its derivatives. Derivations: docs/derivations/newton_schulz."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, Literal

import numpy as np

from orthoref._newton_schulz.normalization import (
    normalized,
    normalized_jvp,
    normalized_vjp,
    normalized_vjp_jvp,
    resolve,
    scaling,
)
from orthoref._newton_schulz.rounding import EMULATED, store
from orthoref._schedules.presets import named
from orthoref._schedules.row import Row
from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.arrays import Array, at_batch, dtype_name, enter, first_index, namespace, require_choice, require_shape
from orthoref.errors import OutsideDomain
from orthoref.linalg import ct, eye_like, inner, rescale_derivative, unit_scale

Form = Literal["standard", "gram"]


def newton_schulz(
    a: Array,
    schedule: str | Schedule = "muon",
    *,
    steps: int | None = None,
    normalize: str | Normalization | None = None,
    eps: float = 0.0,
    eps_rule: Literal["add", "clamp"] = "add",
    form: Form = "standard",
    restart: Sequence[int] = (),
    precision: str | None = None,
) -> Array:
    r"""The finite Newton-Schulz iteration, U f(Sigma) V^H with f the composed polynomial of a schedule.

    Parameters
    ----------
    a : array of shape (..., m, n)
        float32, float64, complex64 or complex128, in any array-API namespace.
    schedule : str or Schedule
        A preset by name (``orthoref.schedules.names()``) or a polynomial schedule.
    steps : int, optional
        Steps to apply; the schedule's default.
    normalize : str or Normalization, optional
        What ``a`` is divided by first: "frobenius", "schatten4", "spectral", "aol", "none"; by default what
        the schedule assumes.
    eps : float
        In the units of a: added to the norm, or its least value. For "aol" in the units of a^2, of the row sums. With
        0, the zero matrix stays zero.
    eps_rule : {"add", "clamp"}
        X = a/(factor |a| + eps), or a/max(factor |a|, eps); for "aol" sum + eps and max(sum, eps) under the root.
    form : {"standard", "gram"}
        ``"standard"`` multiplies X in every step. ``"gram"`` iterates on the Gram matrix of the smaller side and
        multiplies X once, for strongly rectangular matrices; it is less stable: equation (GRAM).
    restart : sequence of int
        Of ``form="gram"``: steps (counted from 0) before which X is formed and the Gram matrix computed anew.
    precision : {"bfloat16", "float16", "float32"}, optional
        Emulates a port: every stored matrix is rounded to this format, products are accumulated in float32 (equation
        (STORE)). The result has the dtype of ``a``. By default everything is computed in the dtype of ``a``.

    Returns
    -------
    array of shape (..., m, n)
        In the namespace, dtype and device of ``a``.

    Raises
    ------
    OutsideDomain
        NaN or infinity in ``a``, overflow of the emulated format or of the iteration (the normalization lets through
        more than the schedule tolerates).
    TypeError, ValueError
        Wrong type, dtype, number of dimensions or option; more steps than the schedule defines; a rational schedule.

    Notes
    -----
    Flops of one step of degree 2q + 1 for a real matrix with n <= m: 4 n^2 m + 2 (q - 1) n^3; with symmetric products
    at half, 3 n^2 m + (q - 1) n^3. Gram form: 4 n^2 m in all (3 n^2 m) and 2 (q + 2) n^3 a step.

    Scaling a by a power of two changes nothing if eps = 0 and nothing is emulated, from the smallest subnormal to the
    largest number.

    References
    ----------
    [Jordan2024]_, [AmselPerssonMuscoGower2025]_.

    Examples
    --------
    >>> import numpy as np
    >>> import orthoref
    >>> orthoref.newton_schulz(np.diag([3.0, 4.0]), "newton-schulz-5", steps=2).round(3) + 0.0
    array([[0.996, 0.   ],
           [0.   , 1.   ]])
    """
    xp, chosen, rows = _arguments(schedule, steps, normalize, eps, eps_rule, a=a)
    require_choice("form", form, ("standard", "gram"))
    if precision is not None:
        require_choice("precision", precision, EMULATED)
    restarts = _restarts(restart, form, len(rows))
    if 0 in a.shape:
        return xp.zeros_like(a)
    with np.errstate(all="ignore"):  # judged at the end
        working = a if precision is None else xp.astype(a, _single(a, xp))
        _require_bounded(working, f"an entry of a overflows float32, in which {precision} is emulated")
        working = normalized(_tall(store(working, precision)), chosen, eps, eps_rule, precision)
        run = _standard if form == "standard" else _gram
        x = xp.astype(run(working, rows, restarts, precision), a.dtype)
    _require_bounded(x, "the iteration overflows: the schedule does not tolerate these normalized singular values")
    return _like(x, a)


def newton_schulz_jvp(
    a: Array,
    a_dot: Array,
    schedule: str | Schedule = "muon",
    *,
    steps: int | None = None,
    normalize: str | Normalization | None = None,
    eps: float = 0.0,
    eps_rule: Literal["add", "clamp"] = "add",
    method: Literal["iteration", "singular-values"] = "iteration",
) -> Array:
    r"""Derivative of :func:`newton_schulz` at ``a`` along ``a_dot``, the normalization included.

    Parameters
    ----------
    a, a_dot : arrays of shape (..., m, n)
        Point and direction; same namespace, dtype and device.
    schedule, steps, normalize, eps, eps_rule : as there
        As in :func:`newton_schulz`.
    method : {"iteration", "singular-values"}
        Two derivations of the same linear map: the derivative of every step, equation (DSTEP), or the divided
        differences of the composed polynomial at the singular values, equation (DK).

    Returns
    -------
    array of shape (..., m, n)

    Raises
    ------
    OutsideDomain
        Where the normalization is not differentiable: a zero matrix without eps; equal largest singular values for
        "spectral"; an exactly zero entry of the Gram matrix for "aol"; factor |a| = eps with ``eps_rule="clamp"``.
    TypeError, ValueError
        As :func:`newton_schulz`.

    Notes
    -----
    No difference of singular values is divided by: (DK) takes the divided differences of polynomials as sums of
    products. With eps = 0 the derivative along a itself is zero.
    """
    xp, chosen, rows = _arguments(schedule, steps, normalize, eps, eps_rule, a=a, a_dot=a_dot)
    require_choice("method", method, ("iteration", "singular-values"))
    require_shape("a_dot", a_dot, a.shape)
    if 0 in a.shape:
        return xp.zeros_like(a)
    if chosen.kind == "none":
        return _like(_derivative(_tall(a), _tall(a_dot), rows, method), a)
    scale, e_scale = scaling(a, chosen, eps), unit_scale(a_dot)
    x, e = normalized_jvp(_tall(scale.apply(a)), _tall(e_scale.apply(a_dot)), chosen, scale, eps, eps_rule)
    return rescale_derivative(_like(_derivative(x, e, rows, method), a), scale, e_scale)


def newton_schulz_vjp(
    a: Array,
    x_bar: Array,
    schedule: str | Schedule = "muon",
    *,
    steps: int | None = None,
    normalize: str | Normalization | None = None,
    eps: float = 0.0,
    eps_rule: Literal["add", "clamp"] = "add",
    method: Literal["iteration", "singular-values"] = "iteration",
) -> Array:
    r"""Adjoint of :func:`newton_schulz_jvp` for the real inner product Re tr(X^H Y).

    Parameters
    ----------
    a, x_bar : arrays of shape (..., m, n)
        Point and cotangent; same namespace, dtype and device.
    schedule, steps, normalize, eps, eps_rule, method : as there
        As in :func:`newton_schulz_jvp`.

    Returns
    -------
    array of shape (..., m, n)
        ``a_bar`` with ``<newton_schulz_jvp(a, e), x_bar> = <e, a_bar>`` for every e.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`newton_schulz_jvp`.

    Notes
    -----
    The map of the normalized matrix is the gradient of sum F(sigma_i), F' = f: its derivative is its own adjoint,
    equation (SELF). The normalization has to be transposed, and ``"iteration"`` takes the steps from the last to the
    first, keeping every X: in the other order it would lose digits, equation (DNORM).
    """
    xp, chosen, rows = _arguments(schedule, steps, normalize, eps, eps_rule, a=a, x_bar=x_bar)
    require_choice("method", method, ("iteration", "singular-values"))
    require_shape("x_bar", x_bar, a.shape)
    if 0 in a.shape:
        return xp.zeros_like(a)
    if chosen.kind == "none":
        return _like(_derivative(_tall(a), _tall(x_bar), rows, method, adjoint=True), a)
    scale, e_scale = scaling(a, chosen, eps), unit_scale(x_bar)
    x, pull_back = normalized_vjp(_tall(scale.apply(a)), chosen, scale, eps, eps_rule)
    a_bar = _like(pull_back(_derivative(x, _tall(e_scale.apply(x_bar)), rows, method, adjoint=True)), a)
    return rescale_derivative(a_bar, scale, e_scale)


def newton_schulz_vjp_jvp(
    a: Array,
    a_dot: Array,
    x_bar: Array,
    schedule: str | Schedule = "muon",
    *,
    steps: int | None = None,
    normalize: str | Normalization | None = None,
    eps: float = 0.0,
    eps_rule: Literal["add", "clamp"] = "add",
) -> Array:
    r"""Derivative of :func:`newton_schulz_vjp` at ``a`` along ``a_dot``, the cotangent held fixed.

    Parameters
    ----------
    a, a_dot, x_bar : arrays of shape (..., m, n)
        Point, direction and cotangent; same namespace, dtype and device.
    schedule, steps, normalize, eps, eps_rule : as there
        As in :func:`newton_schulz`.

    Returns
    -------
    array of shape (..., m, n)
        ``a_bar_dot``, the derivative of ``newton_schulz_vjp(a + t a_dot, x_bar)`` at t = 0.

    Raises
    ------
    OutsideDomain
        As :func:`newton_schulz_vjp`; the zero matrix where eps is added to its norm; overflow.
    TypeError, ValueError
        As :func:`newton_schulz`.

    Notes
    -----
    ``newton_schulz_vjp(a, x_bar)`` is the gradient of ``<x_bar, x>``, so that this is a Hessian applied to ``a_dot``:
    self-adjoint, ``<w, D[e]> = <e, D[w]>``. It is therefore also what the double backward of a framework returns: with
    w the cotangent of ``a_bar``, the gradient with respect to a is ``newton_schulz_vjp_jvp(a, w, x_bar)``, and the one
    with respect to ``x_bar`` is ``newton_schulz_jvp(a, w)``.

    The sweep from the last step to the first, differentiated step by step, equation (DDSTEP), and the second derivative
    of the norm, (DDNORM). Differences of singular values are divided by for "spectral" only, those from the largest:
    this second derivative itself grows like 1/(sigma_1 - sigma_2). Flops of a step of degree 2q + 1 for a real matrix
    with n <= m: 32 n^2 m + 24 (q - 1) n^3.
    """
    xp, chosen, rows = _arguments(schedule, steps, normalize, eps, eps_rule, a=a, a_dot=a_dot, x_bar=x_bar)
    require_shape("a_dot", a_dot, a.shape)
    require_shape("x_bar", x_bar, a.shape)
    if 0 in a.shape:
        return xp.zeros_like(a)
    if chosen.kind == "none":
        return _like(_bent(_tall(a), _tall(a_dot), _tall(x_bar), rows)[1], a)
    scale, e_scale, bar_scale = scaling(a, chosen, eps), unit_scale(a_dot), unit_scale(x_bar)
    with np.errstate(all="ignore"):  # judged at the end
        x, x_dot, pull_back = normalized_vjp_jvp(_tall(a), _tall(e_scale.apply(a_dot)), chosen, scale, eps, eps_rule)
        a_bar_dot = pull_back(*_bent(x, x_dot, _tall(bar_scale.apply(x_bar)), rows))
    _require_bounded(a_bar_dot, "the derivative overflows")
    return rescale_derivative(_like(a_bar_dot, a), scale, e_scale, bar_scale, degree=-2)


def _tall(a: Array) -> Array:
    """A if it has more rows than columns, else A^H: G is of the smaller side, and A A^H if square, as in ports."""
    return a if a.shape[-2] > a.shape[-1] else ct(a)


def _like(x: Array, a: Array) -> Array:
    return x if a.shape[-2] > a.shape[-1] else ct(x)


def _arguments(
    schedule: str | Schedule,
    steps: int | None,
    normalize: str | Normalization | None,
    eps: Any,
    eps_rule: str,
    **arrays: Array,
) -> tuple[Any, Normalization, tuple[Row, ...]]:
    schedule = named(schedule)
    schedule.require_polynomial()
    require_choice("eps_rule", eps_rule, ("add", "clamp"))
    if not isinstance(eps, (int, float, np.floating)):
        raise TypeError(f"eps must be a number, not {type(eps).__name__}")
    if not 0 <= eps < float("inf"):
        raise ValueError(f"eps={eps!r} is not a finite number from 0 on")
    xp = enter(**arrays)
    return xp, resolve(normalize, schedule), schedule.steps(steps)


def _restarts(restart: Sequence[int], form: str, count: int) -> frozenset[int]:
    if not isinstance(restart, Sequence):
        raise TypeError(f"restart must be a sequence of steps, not {type(restart).__name__}")
    if restart and form != "gram":
        raise ValueError("restart belongs to form='gram'")
    for step in restart:
        if isinstance(step, bool) or not hasattr(step, "__index__") or not 0 < index(step) < count:
            raise ValueError(f"restart={step!r} is not a step between 1 and {count - 1}")
    return frozenset(map(index, restart))


def _single(x: Array, xp: Any) -> Any:
    return xp.complex64 if dtype_name(x).startswith("complex") else xp.float32


def _standard(x: Array, rows: Sequence[Row], _: frozenset[int], precision: str | None) -> Array:
    """(STEP) X <- c_0 X + X S(G), G = X^H X."""
    for row in rows:
        c = _floats(row)
        if len(c) == 1:
            x = store(c[0] * x, precision)
            continue
        g = store(inner(x, x), precision)
        x = store(_plus(x @ (c[1] * g if len(c) == 2 else _tail(g, c, precision)), c[0] * x), precision)
    return x


def _tail(g: Array, c: Sequence[float], precision: str | None) -> Array:
    """S(G) = c_1 G + ... + c_q G^q by Horner's rule, S <- c_k G + G S; q >= 2."""
    s = g @ g
    s *= c[-1]
    s = store(_plus(s, c[-2] * g), precision)
    for k in range(len(c) - 3, 0, -1):
        s = store(_plus(g @ s, c[k] * g), precision)
    return s


def _plus(fresh: Array, y: Array) -> Array:
    """Sum into an array that nobody else has seen: a pass over new memory costs as much as a tenth of a product."""
    fresh += y  # where arrays are immutable, a new one
    return fresh


def _gram(x: Array, rows: Sequence[Row], restarts: frozenset[int], precision: str | None) -> Array:
    """(GRAM) X_k = X_0 Q_k, P = c_0 I + S(G), Q <- Q P, G <- P G P: all are polynomials in G_0 and commute."""
    q = None
    g = store(inner(x, x), precision)
    for step, row in enumerate(rows):
        if step in restarts:
            x = store(x @ q, precision)
            g, q = store(inner(x, x), precision), None
        c = _floats(row)
        eye = c[0] * eye_like(x)
        p = store(eye + (c[1] * g if len(c) == 2 else _tail(g, c, precision)), precision) if len(c) > 1 else eye
        q = p if q is None else store(q @ p, precision)
        if step + 1 < len(rows) and step + 1 not in restarts:
            g = store(store(p @ g, precision) @ p, precision)
    return x if q is None else store(x @ q, precision)


def _derivative(x: Array, e: Array, rows: Sequence[Row], method: str, adjoint: bool = False) -> Array:
    """Derivative of the composed polynomial at the normalized X along E, or its adjoint, the same map (SELF)."""
    along = {"singular-values": _by_singular_values, "iteration": _pull_back if adjoint else _push_forward}[method]
    with np.errstate(all="ignore"):
        x_dot = along(x, e, rows)
    _require_bounded(x_dot, "the derivative overflows")
    return x_dot


def _push_forward(x: Array, e: Array, rows: Sequence[Row]) -> Array:
    """(DSTEP) step by step."""
    for row in rows:
        x, e = _with_derivative(x, e, row)
    return e


def _pull_back(x: Array, x_bar: Array, rows: Sequence[Row]) -> Array:
    """(DSTEP) from the last step to the first. The steps commute, their rounding errors do not: (DNORM)."""
    seen = [x]
    for row in rows:
        seen.append(_standard(seen[-1], (row,), frozenset(), None))
    for x, row in zip(reversed(seen[:-1]), reversed(rows), strict=True):
        _, x_bar = _with_derivative(x, x_bar, row)
    return x_bar


def _with_derivative(x: Array, e: Array, row: Row) -> tuple[Array, Array]:
    """E <- c_0 E + E S + X L(E^H X + X^H E), L the derivative of S at G by the same Horner recursion."""
    c = _floats(row)
    if len(c) == 1:
        return c[0] * x, c[0] * e
    g = inner(x, x)
    half = inner(x, e)
    g_dot = half + ct(half)
    s, s_dot = c[-1] * g, c[-1] * g_dot
    for k in range(len(c) - 2, 0, -1):
        s, s_dot = c[k] * g + g @ s, c[k] * g_dot + g_dot @ s + g @ s_dot
    return c[0] * x + x @ s, c[0] * e + e @ s + x @ s_dot


def _bent(x: Array, x_dot: Array, x_bar: Array, rows: Sequence[Row]) -> tuple[Array, Array]:
    """(DDSTEP) The pull-back of X_bar through all steps, and its derivative along X_dot."""
    seen, x_bar_dot = [], namespace(x).zeros_like(x_bar)
    with np.errstate(all="ignore"):
        for row in rows:
            seen.append((x, x_dot))
            x, x_dot = _with_derivative(x, x_dot, row)
        for (x, x_dot), row in zip(reversed(seen), reversed(rows), strict=True):
            x_bar, x_bar_dot = _with_second_derivative(x, x_dot, x_bar, x_bar_dot, row)
    _require_bounded(x_bar_dot, "the derivative overflows")
    return x_bar, x_bar_dot


def _with_second_derivative(x: Array, x_dot: Array, e: Array, e_dot: Array, row: Row) -> tuple[Array, Array]:
    """The derivative of a step along E, and its derivative when X moves along X_dot and E along E_dot.

    With G_E = E^H X + X^H E and S_E = L(G_E): E' = c_0 E + E S + X S_E, and the product rule once more.
    """
    c = _floats(row)
    if len(c) == 1:
        return c[0] * e, c[0] * e_dot
    g, g_dot, g_e = inner(x, x), _twice_hermitian(inner(x, x_dot)), _twice_hermitian(inner(x, e))
    g_e_dot = _twice_hermitian(inner(x_dot, e) + inner(x, e_dot))
    s, s_dot, s_e, s_e_dot = (c[-1] * z for z in (g, g_dot, g_e, g_e_dot))
    for k in range(len(c) - 2, 0, -1):
        s_e_dot = c[k] * g_e_dot + g_e_dot @ s + g_e @ s_dot + g_dot @ s_e + g @ s_e_dot
        s_e = c[k] * g_e + g_e @ s + g @ s_e
        s_dot = c[k] * g_dot + g_dot @ s + g @ s_dot
        s = c[k] * g + g @ s
    moved = c[0] * e_dot + e_dot @ s + e @ s_dot + x_dot @ s_e + x @ s_e_dot
    return c[0] * e + e @ s + x @ s_e, moved


def _twice_hermitian(x: Array) -> Array:
    return x + ct(x)


def _by_singular_values(x: Array, e: Array, rows: Sequence[Row]) -> Array:
    """(DK) P (f[s_i, s_j] sym(F)_ij + f[s_i, -s_j] skew(F)_ij) V^H + (I - P P^H) E V f[s_j, 0] V^H, F = P^H E V."""
    xp = namespace(x)
    p, s, vh = xp.linalg.svd(x, full_matrices=False)
    ev = e @ ct(vh)
    f = inner(p, ev)
    rowwise, columnwise = s[..., :, None], s[..., None, :]
    minus = _divided_difference(rowwise, columnwise, rows)
    plus = _divided_difference(rowwise, -columnwise, rows)
    inside = (minus * (f + ct(f)) + plus * (f - ct(f))) / 2
    if x.shape[-2] == x.shape[-1]:
        return p @ inside @ vh
    return (p @ inside + (ev - p @ f) * _divided_difference(columnwise, 0 * columnwise, rows)) @ vh


def _divided_difference(x: Array, y: Array, rows: Sequence[Row]) -> Array:
    """f[x, y] of the composition, the product of the steps' p[x, y] = sum_k c_k (x^2k + x^(2k-1) y + ... + y^2k)."""
    product = 0 * (x + y) + 1
    for row in rows:
        c = _floats(row)
        step, powers = c[0] + 0 * product, 1 + 0 * product
        for k, coefficient in enumerate(c[1:], start=1):
            # x^2k + ... + y^2k = y^2k + x (x^(2k-1) + ... + y^(2k-1))
            odd = y ** (2 * k - 1) + x * powers
            powers = y ** (2 * k) + x * odd
            step = step + coefficient * powers
        product = product * step
        x, y = (z * sum(coefficient * z ** (2 * k) for k, coefficient in enumerate(c)) for z in (x, y))
    return product


def _floats(row: Row) -> list[float]:
    return [float(c) for c in row.numerator]


def _require_bounded(x: Array, what: str) -> None:
    xp = namespace(x)
    finite = xp.all(xp.isfinite(x), axis=(-2, -1))
    if not bool(xp.all(finite)):
        raise OutsideDomain(what + at_batch(first_index(~finite, xp)))
