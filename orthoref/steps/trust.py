"""Non-Euclidean trust region with momentum. Derivations: docs/derivations/steps."""

from __future__ import annotations

import numpy as np

from orthoref._newton_schulz.normalization import real_inner
from orthoref.arrays import Array
from orthoref.steps.balls import Norm, Orientation, dual_norm, lmo
from orthoref.steps.door import (
    MomentumState,
    Step,
    enter_step,
    require_number,
    require_parameter,
    require_state,
    settled,
)
from orthoref.steps.muon_rule import averaged


def trust_region(
    state: MomentumState,
    g: Array,
    w: Array | None = None,
    *,
    radius: float,
    norm: Norm = "spectral",
    momentum: float = 0.9,
    decay: float = 0.0,
    orientation: Orientation = "out-in",
) -> Step:
    """One step of the trust-region gradient method with momentum in any of the norms.

    Parameters
    ----------
    state : MomentumState
        From :func:`momentum_state`, or with the first gradient as momentum.
    g : array of shape (..., m, n)
        Gradient.
    w : array of the shape of g, optional
        Parameter; decay needs it.
    radius : float
        eta, of the ball in which the step minimises <M, .>.
    norm : {"frobenius", "spectral", "max", "rms-rms", "1-2", "nuclear"}
        Of the ball.
    momentum : float
        1 - alpha in [0, 1): M <- (1 - alpha) M + alpha G.
    decay : float
        beta in [0, 1): the ball is around (1 - beta) W. The iterates then stay in the ball of radius eta/beta around 0
        once they are there; the step is the one of Frank and Wolfe on it, of length beta.
    orientation : {"out-in", "in-out"}
        As in :func:`norm`.

    Returns
    -------
    Step
        State, and the update that is added to the parameter: lmo(M, radius) - decay W.

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`averaged` and :func:`lmo`.

    Notes
    -----
    Equation (TR-STEP); [Kovalev2025]_. Muon with the exact polar factor, ``averaging="ema"``, ``nesterov=False`` and
    lr = radius is "spectral", and decay = lr weight_decay; with ``factor="sqrt-ratio"`` it is "rms-rms". SGD with
    normalized momentum is "frobenius", signSGD with momentum "max".
    """
    require_number("decay", decay, 0.0, 1.0)
    require_state(state, MomentumState)
    enter_step(g, w, momentum=state.momentum)
    state, m = averaged(state, g, momentum=momentum)
    update = lmo(m, norm, radius=radius, orientation=orientation)
    if decay:
        update = update - float(decay) * require_parameter(w, "decay")
    return Step(state, settled(update, "the update"))


def duality_gap(w: Array, g: Array, kind: Norm, *, radius: float, orientation: Orientation = "out-in") -> Array:
    """Largest decrease <G, W - S> of the linear model over the ball norm(S) <= radius.

    Parameters
    ----------
    w, g : arrays of shape (..., m, n)
        Point and gradient there.
    kind : {"frobenius", "spectral", "max", "rms-rms", "1-2", "nuclear"}
        Norm of the ball.
    radius : float
    orientation : {"out-in", "in-out"}
        As in :func:`norm`.

    Returns
    -------
    real array of shape (...)
        Re tr(G^H W) + radius dual_norm(G). For w in the ball it is not negative, zero exactly at stationary points,
        and for a convex function at least f(W) - min f over the ball.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`dual_norm`.

    Notes
    -----
    Equation (TR-GAP); [Jaggi2013]_.
    """
    require_number("radius", radius)
    enter_step(g, w)
    with np.errstate(all="ignore"):
        gap = real_inner(g, w) + float(radius) * dual_norm(g, kind, orientation=orientation)[..., None, None]
    return settled(gap, "the gap")[..., 0, 0]


def descent_bound(
    g: Array,
    m: Array,
    kind: Norm,
    *,
    radius: float,
    smoothness: float,
    orientation: Orientation = "out-in",
) -> Array:
    """Upper bound on f(W + lmo(M)) - f(W) for a function that is smooth in the norm.

    Parameters
    ----------
    g, m : arrays of shape (..., m, n)
        Gradient at W, and what the step took for it.
    kind : {"frobenius", "spectral", "max", "rms-rms", "1-2", "nuclear"}
        Norm of the ball.
    radius : float
        Of the step.
    smoothness : float
        L with dual_norm(grad f(X) - grad f(Y)) <= L norm(X - Y).
    orientation : {"out-in", "in-out"}
        As in :func:`norm`.

    Returns
    -------
    real array of shape (...)
        -radius dual_norm(G) + 2 radius dual_norm(G - M) + L radius^2/2.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`dual_norm`.

    Notes
    -----
    Equation (TR-DESCENT); [Kovalev2025]_.
    """
    require_number("radius", radius)
    require_number("smoothness", smoothness)
    enter_step(g, m=m)
    missed = dual_norm(g - m, kind, orientation=orientation)
    eta = float(radius)
    return eta * (2 * missed - dual_norm(g, kind, orientation=orientation)) + float(smoothness) * eta**2 / 2
