"""Steps on, or towards, the Stiefel manifold. Derivations: docs/derivations/steps."""

from __future__ import annotations

from math import inf
from typing import Literal

import numpy as np

from orthoref._constructors.door import require_count, require_skew
from orthoref.arrays import Array, namespace, require_choice, require_shape
from orthoref.errors import OutsideDomain
from orthoref.linalg import ct, eye_like, frobenius, hermitian_part, inner
from orthoref.steps.door import (
    MomentumState,
    Move,
    Step,
    enter_step,
    require_number,
    require_state,
    settled,
)
from orthoref.steps.first_order import sgdm
from orthoref.stiefel.landing_field import landing
from orthoref.stiefel.manifold import enter_point, require_tangent
from orthoref.stiefel.metric import Metric
from orthoref.stiefel.retraction import Method, retract, retract_cayley
from orthoref.stiefel.riemannian import gradient
from orthoref.stiefel.tangent import project
from orthoref.stiefel.transports import transport as transported

Transport = Literal["projection", "qr", "polar", "cayley", "isometric", "parallel"]
SkewMetric = Literal["canonical", "euclidean"]


def riemannian_sgd(
    state: MomentumState,
    egrad: Array,
    x: Array,
    *,
    lr: float,
    metric: Metric,
    momentum: float = 0.0,
    retraction: Method = "qr",
    transport: Transport = "projection",
    check: bool = True,
) -> Move:
    """Riemannian SGD with momentum on the Stiefel manifold: gradient, momentum, retraction, transport.

    Parameters
    ----------
    state : MomentumState
        Its buffer is tangent at x.
    egrad, x : arrays of shape (..., n, p), n >= p
        Euclidean gradient and point.
    lr : float
    metric : {"euclidean", "canonical"} or float
        Of the gradient, and of ``retraction="exp"`` and ``transport="parallel"``.
    momentum : float
        mu in [0, 1): M <- mu M + grad.
    retraction : {"qr", "cholesky_qr", "polar", "cayley", "exp"}
        Along -lr M.
    transport : {"projection", "qr", "polar", "cayley", "isometric", "parallel"}
        Of M to the new point, as in :func:`orthoref.stiefel.transport`.
    check : bool
        Whether to refuse points off the manifold and buffers that are not tangent.

    Returns
    -------
    Move
        State, its buffer tangent at the new point, and that point.

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As the functions of :mod:`orthoref.stiefel`.

    Notes
    -----
    Equation (RSGD).
    """
    _enter(state, egrad, x, lr, momentum, check)
    if check:
        require_tangent(x, namespace(x), **{"state.momentum": state.momentum})
    m = settled(float(momentum) * state.momentum + gradient(x, egrad, metric, check=check), "the momentum")
    m = project(x, m, check=check)  # a sum that cancels is tangent relative to its terms only
    v = -float(lr) * m
    along = metric if retraction == "exp" else None
    point = retract(x, v, retraction, metric=along, check=check)
    if transport == "projection":
        m = transported(x, v, m, transport, retraction=retraction, metric=along, check=check)
    else:
        m = transported(x, v, m, transport, metric=metric if transport == "parallel" else None, check=check)
    return Move(MomentumState(m, state.step + 1), point)


def cayley_skew(x: Array, m: Array, *, metric: SkewMetric) -> Array:
    """Skew-Hermitian W with which (I - t W/2)^-1 (I + t W/2) X leaves X along the tangent part of M.

    Parameters
    ----------
    x, m : arrays of shape (..., n, p), n >= p
        Point, and a direction, tangent or not.
    metric : {"canonical", "euclidean"}
        M X^H - X M^H, of [WenYin2013]_; or P M X^H - X M^H P with P = I - X X^H/2, of [LiFuxinTodorovic2020]_. On the
        manifold W X is minus the gradient of that metric where M is minus the Euclidean one.

    Returns
    -------
    array of shape (..., n, n)

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        NaN or infinity; wrong type, shape or option; overflow.

    Notes
    -----
    Equation (CAYLEY-SKEW).
    """
    require_choice("metric", metric, ("canonical", "euclidean"))
    enter_point(x, check=False, m=m)
    k = _left(x, m, metric)
    half = k @ ct(x)
    return settled(half - ct(half), "the skew-Hermitian matrix")


def cayley_sgd(
    state: MomentumState,
    egrad: Array,
    x: Array,
    *,
    lr: float,
    momentum: float = 0.0,
    metric: SkewMetric = "canonical",
    sweeps: int | None = None,
    start: Literal["tangent", "momentum"] = "tangent",
    contraction: float | None = None,
    size: Literal["frobenius", "one"] = "frobenius",
    eps: float = 1e-8,
    check: bool = True,
) -> Move:
    """SGD along the Cayley curve through X, exact or by a fixed-point iteration.

    Parameters
    ----------
    state : MomentumState
        Its buffer is the last direction of motion, tangent at the point before x.
    egrad, x : arrays of shape (..., n, p), n >= p
        Euclidean gradient and point.
    lr : float
    momentum : float
        mu in [0, 1): M <- mu M - G, then W of M, and the buffer becomes W X. Nothing is transported: at the next point
        M is taken as it is.
    metric : {"canonical", "euclidean"}
        As in :func:`cayley_skew`.
    sweeps : int, optional
        Of Y <- X + t/2 W (X + Y), whose fixed point is the Cayley curve: :func:`cayley_sweeps_defect`. By default the
        curve itself.
    start : {"tangent", "momentum"}
        Y = X + t W X, or Y = X + t M, which is not tangent.
    contraction : float, optional
        q: the step is t = min(lr, 2q/(|W| + eps)), so that a sweep contracts by q. By default t = lr.
    size : {"frobenius", "one"}
        Norm of W there: Frobenius, or the largest sum of moduli in a column.
    eps : float
        Of ``contraction``.
    check : bool
        Whether to refuse points off the manifold. A point that sweeps return is off it by their defect.

    Returns
    -------
    Move
        State and point.

    Raises
    ------
    OutsideDomain
        NaN or infinity; off the manifold, with the defect; overflow.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    Equations (WEN-YIN), (LI-SWEEP). The step of [WenYin2013]_ is the default. Algorithm 1 of [LiFuxinTodorovic2020]_:
    ``momentum=0.9, metric="euclidean", sweeps=2, contraction=0.5, check=False``; its code takes ``sweeps=5,
    start="momentum", size="one"``, and never writes the buffer back, so that its momentum is 0.
    """
    _enter(state, egrad, x, lr, momentum, check)
    require_number("eps", eps)
    require_choice("metric", metric, ("canonical", "euclidean"))
    require_choice("start", start, ("tangent", "momentum"))
    require_choice("size", size, ("frobenius", "one"))
    if sweeps is not None:
        require_count("sweeps", sweeps, 1)
    with np.errstate(all="ignore"):
        m = float(momentum) * state.momentum - egrad
        settled(m, "the momentum")
        t = float(lr)
        if contraction is not None:
            require_number("contraction", contraction)
            t = _capped(cayley_skew(x, m, metric=metric), t, float(contraction), size, eps)
        if sweeps is None:
            v = gradient(x, m, metric, check=check)  # W X, and tangent relative to its own size
            point = retract_cayley(x, t * v, check=check)
        else:
            k = _left(x, m, metric)
            v = settled(k @ inner(x, x) - x @ inner(k, x), "the direction")
            point = x + t * (v if start == "tangent" else m)
            for _ in range(sweeps):  # (LI-SWEEP)
                both = x + point
                point = x + t / 2 * (k @ inner(x, both) - x @ inner(k, both))
    return Move(MomentumState(v, state.step + 1), settled(point, "the point"))


def cayley_sweeps_defect(x: Array, skew: Array, *, lr: float, sweeps: int) -> Array:
    """Y^H Y - X^H X after sweeps of :func:`cayley_sgd` from the tangent, in exact arithmetic, by a formula without Y.

    Parameters
    ----------
    x : array of shape (..., n, p)
        Any matrix.
    skew : array of shape (..., n, n)
        Skew-Hermitian W.
    lr : float
        t.
    sweeps : int
        s >= 1.

    Returns
    -------
    array of shape (..., p, p)
        With B = t W/2 and N = B^(s+2): 4 X^H (I - B^2)^-1 (N^2 - N) X for even s, 4 X^H (I - B^2)^-1 (B N - N^2) X for
        odd s. So the last of an even number of sweeps gains nothing in the order of the defect: t^(s+2) for even s,
        t^(s+3) for odd s.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        NaN or infinity; ``skew`` not skew-Hermitian; wrong type, shape or option; overflow.

    Notes
    -----
    Equation (LI-DEFECT).
    """
    require_number("lr", lr)
    require_count("sweeps", sweeps, 1)
    xp = enter_point(x, check=False)
    n = x.shape[-2]
    require_shape("skew", skew, (*x.shape[:-2], n, n))
    require_skew(skew, xp, name="skew")
    if 0 in x.shape:
        return xp.zeros_like(inner(x, x))
    with np.errstate(all="ignore"):
        b = float(lr) / 2 * skew
        power = b @ b
        for _ in range(sweeps):
            power = power @ b
        middle = power @ power - power if sweeps % 2 == 0 else b @ power - power @ power
        defect = 4 * inner(x, xp.linalg.solve(eye_like(b) - b @ b, middle @ x))
    return settled(hermitian_part(defect), "the defect")


def landing_sgd(
    state: MomentumState, egrad: Array, x: Array, *, lr: float, attraction: float, momentum: float = 0.0
) -> Step:
    """SGD with momentum along the landing field: no retraction, the manifold is approached.

    Parameters
    ----------
    state : MomentumState
    egrad, x : arrays of shape (..., n, p), n >= p
        Euclidean gradient and point, on the manifold or not.
    lr : float
        :func:`landing_safe_lr` keeps the defect below a bound.
    attraction : float
        As in :func:`orthoref.stiefel.landing`.
    momentum : float
        As in :func:`sgdm`.

    Returns
    -------
    Step

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`orthoref.stiefel.landing` and :func:`sgdm`.

    Notes
    -----
    Equation (LAND-STEP), [AblinPeyre2022]_.
    """
    return sgdm(state, landing(x, egrad, attraction=attraction), lr=lr, momentum=momentum)


def landing_safe_lr(x: Array, egrad: Array, *, attraction: float, tolerance: float = 0.5) -> Array:
    """A learning rate up to which a landing step without momentum keeps |X^H X - I| <= tolerance.

    Parameters
    ----------
    x, egrad : arrays of shape (..., n, p), n >= p
        Point with |X^H X - I| <= tolerance in the Frobenius norm, and Euclidean gradient there.
    attraction : float
        As in :func:`orthoref.stiefel.landing`.
    tolerance : float
        In (0, 1).

    Returns
    -------
    real array of shape (...)
        Infinite where every rate is safe: no field and no attraction.

    Raises
    ------
    OutsideDomain
        NaN or infinity; a point with a larger defect; overflow.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    Equation (LAND-SAFE), [AblinPeyre2022]_: the rates up to the smallest root, and to 1/(2 attraction).
    """
    require_number("tolerance", tolerance, 0.0, 1.0)
    field = landing(x, egrad, attraction=attraction)
    xp = namespace(x)
    d = frobenius(inner(x, x) - eye_like(x))
    if not bool(xp.all(d <= tolerance)):
        raise OutsideDomain(f"|X^H X - I| = {float(xp.max(d)):.1e} is more than tolerance={tolerance:g}")
    g = frobenius(field)
    some = g > 0
    g = xp.where(some, g, xp.ones_like(g))
    pull = float(attraction) * d * (1 - d)
    root = (pull + xp.sqrt(pull**2 + g**2 * (tolerance - d))) / g**2
    root = xp.where(some, root, xp.full_like(root, inf))
    most = 0.5 / attraction if attraction else inf
    return xp.minimum(root, xp.full_like(root, most))[..., 0, 0]


def _left(x: Array, m: Array, metric: str) -> Array:
    """(CAYLEY-SKEW) K with W = K X^H - X K^H."""
    return m if metric == "canonical" else m - x @ inner(x, m) / 2


def _capped(w: Array, lr: float, q: float, size: str, eps: float) -> Array:
    xp = namespace(w)
    if size == "frobenius":
        norm = frobenius(w)
    else:
        norm = xp.max(xp.sum(xp.abs(w), axis=-2, keepdims=True), axis=-1, keepdims=True)
    most = 2 * q / (norm + eps)
    return xp.minimum(most, xp.full_like(most, lr))


def _enter(state: MomentumState, egrad: Array, x: Array, lr: float, momentum: float, check: bool) -> None:
    require_state(state, MomentumState)
    require_number("lr", lr)
    require_number("momentum", momentum, 0.0, 1.0)
    enter_step(egrad, x, momentum=state.momentum)
    enter_point(x, check=check)
