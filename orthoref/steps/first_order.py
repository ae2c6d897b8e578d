"""SGD with momentum, Adam and LARS, of gradients or of what they are replaced by: docs/derivations/steps."""

from __future__ import annotations

import numpy as np

from orthoref._polar.decomposition import RankDeficient
from orthoref.arrays import Array, is_complex
from orthoref.steps.balls import norm
from orthoref.steps.directions import Split, View, component_normalized, matrix_shape, normalized, orthogonalized
from orthoref.steps.door import AdamState, MomentumState, Step, enter_step, require_number, require_state, settled


def sgdm(state: MomentumState, g: Array, *, lr: float, momentum: float = 0.9) -> Step:
    """SGD with momentum, the learning rate inside the velocity: V <- momentum V + lr G, W <- W - V.

    Parameters
    ----------
    state : MomentumState
        Its buffer is V.
    g : array of shape (..., m, n)
        Gradient, or any direction in its place.
    lr : float
    momentum : float
        In [0, 1).

    Returns
    -------
    Step

    Raises
    ------
    OutsideDomain
        NaN or infinity; overflow.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    Equation (ORTHO-SGDM), equations 6 and 7 of [TuddenhamPruegelBennettHare2022]_. torch.optim.SGD multiplies by lr
    outside: while lr is constant the steps are the same.
    """
    require_state(state, MomentumState)
    require_number("lr", lr)
    require_number("momentum", momentum, 0.0, 1.0)
    enter_step(g, momentum=state.momentum)
    with np.errstate(all="ignore"):
        v = settled(float(momentum) * state.momentum + float(lr) * g, "the velocity")
    return Step(MomentumState(v, state.step + 1), -v)


def adam(state: AdamState, g: Array, *, lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> Step:
    """Adam, with both corrections of the bias.

    Parameters
    ----------
    state : AdamState
        From :func:`adam_state` or the step before.
    g : array of shape (..., m, n)
        Gradient, or any direction in its place.
    lr : float
    beta1, beta2 : float
        In [0, 1).
    eps : float
        Added to the root, after the correction.

    Returns
    -------
    Step

    Raises
    ------
    OutsideDomain
        NaN or infinity; overflow; a zero root with eps = 0.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    Equation (ADAM-STEP), [KingmaBa2015]_. Complex entries: squared moduli, one rate for both parts.
    """
    require_state(state, AdamState)
    require_number("lr", lr)
    require_number("beta1", beta1, 0.0, 1.0)
    require_number("beta2", beta2, 0.0, 1.0)
    require_number("eps", eps)
    xp, k = enter_step(g, mean=state.mean, square=state.square), state.step + 1
    with np.errstate(all="ignore"):
        size = xp.abs(g) ** 2
        mean = beta1 * state.mean + (1 - beta1) * g
        square = beta2 * state.square + (1 - beta2) * (xp.astype(size, g.dtype) if is_complex(g) else size)
        root = xp.sqrt((xp.real(square) if is_complex(g) else square) / (1 - beta2**k)) + eps
        update = -lr * (mean / (1 - beta1**k)) / root
    state = AdamState(settled(mean, "the mean"), settled(square, "the mean square"), k)
    return Step(state, settled(update, "the update"))


def lars(
    state: MomentumState,
    g: Array,
    w: Array,
    *,
    lr: float,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    trust: float = 1e-3,
    view: View = "matrix",
) -> Step:
    """Layer-wise adaptive rate scaling: SGD with momentum whose rate is trust |W|/(|G| + weight_decay |W|).

    Parameters
    ----------
    state : MomentumState
        Its buffer is the velocity.
    g, w : arrays of shape (..., m, n)
        Gradient, or any direction in its place, and parameter.
    lr : float
        Global rate, inside the velocity.
    momentum : float
        In [0, 1).
    weight_decay : float
        Coupled: the velocity takes G + weight_decay W.
    trust : float
        Trust coefficient.
    view : {"matrix", "first-axis", "last-axis"}
        As in :func:`orthogonalized`: whether an array of more axes is a stack or one layer.

    Returns
    -------
    Step

    Raises
    ------
    OutsideDomain
        NaN or infinity; overflow.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    Equation (LARS-STEP), algorithm 1 of [YouGitmanGinsburg2017]_, which does not say what happens where |W| or the
    denominator is 0: the local rate is 1 there, as in the ports.
    """
    require_state(state, MomentumState)
    for name, value in (("lr", lr), ("weight_decay", weight_decay), ("trust", trust)):
        require_number(name, value)
    require_number("momentum", momentum, 0.0, 1.0)
    xp = enter_step(g, w, momentum=state.momentum)
    with np.errstate(all="ignore"):
        shape = matrix_shape(tuple(g.shape), view)
        of_w, of_g = (norm(xp.reshape(x, shape), "frobenius")[..., None, None] for x in (w, g))
        below = of_g + float(weight_decay) * of_w
        defined = (of_w > 0) & (below > 0)
        one = xp.ones_like(below)
        local = xp.where(defined, float(trust) * of_w / xp.where(defined, below, one), one)
        local = local if view == "matrix" else local[0, 0]
        v = float(momentum) * state.momentum + float(lr) * local * (g + float(weight_decay) * w)
    return Step(MomentumState(settled(v, "the velocity"), state.step + 1), -v)


def orthogonal_sgdm(
    state: MomentumState,
    g: Array,
    *,
    lr: float,
    momentum: float = 0.9,
    view: View = "matrix",
    rank_deficient: RankDeficient = "partial",
) -> Step:
    """Orthogonal-SGDM: every gradient is replaced by its unitary polar factor, then momentum; Muon does the reverse.

    Parameters
    ----------
    state : MomentumState
    g : array of shape (..., m, n)
        Gradient.
    lr, momentum : float
        As in :func:`sgdm`.
    view, rank_deficient
        As in :func:`orthogonalized`. The paper has the components as columns, P by N: kernels with the outputs first
        are ``view="first-axis"``, of which the factor is the transpose.

    Returns
    -------
    Step

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`orthogonalized` and :func:`sgdm`.

    Notes
    -----
    Equation (ORTHO-SGDM), equations 4 to 7 of [TuddenhamPruegelBennettHare2022]_. With more components than parameters
    of each there are no orthonormal columns: the rows are orthonormal then.
    """
    return sgdm(state, orthogonalized(g, view=view, rank_deficient=rank_deficient), lr=lr, momentum=momentum)


def orthogonal_adam(
    state: AdamState,
    g: Array,
    *,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    view: View = "matrix",
    rank_deficient: RankDeficient = "partial",
) -> Step:
    """Orthogonal-Adam: Adam of the unitary polar factors of the gradients.

    Parameters
    ----------
    state : AdamState
    g : array of shape (..., m, n)
        Gradient.
    lr, beta1, beta2, eps : float
        As in :func:`adam`.
    view, rank_deficient
        As in :func:`orthogonal_sgdm`.

    Returns
    -------
    Step

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`orthogonalized` and :func:`adam`.
    """
    o = orthogonalized(g, view=view, rank_deficient=rank_deficient)
    return adam(state, o, lr=lr, beta1=beta1, beta2=beta2, eps=eps)


def orthogonal_lars(
    state: MomentumState,
    g: Array,
    w: Array,
    *,
    lr: float,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    trust: float = 1e-3,
    view: View = "matrix",
    rank_deficient: RankDeficient = "partial",
) -> Step:
    """Orthogonal-LARS: LARS of the unitary polar factors of the gradients.

    Parameters
    ----------
    state : MomentumState
    g, w : arrays of shape (..., m, n)
        Gradient and parameter.
    lr, momentum, weight_decay, trust : float
        As in :func:`lars`.
    view, rank_deficient
        As in :func:`orthogonal_sgdm`.

    Returns
    -------
    Step

    Raises
    ------
    OutsideDomain, NotConverged, TypeError, ValueError
        As :func:`orthogonalized` and :func:`lars`.

    Notes
    -----
    The norm that LARS divides by is then the root of the rank: the local rate no longer sees the gradient.
    """
    o = orthogonalized(g, view=view, rank_deficient=rank_deficient)
    return lars(state, o, w, lr=lr, momentum=momentum, weight_decay=weight_decay, trust=trust, view=view)


def normalized_sgdm(state: MomentumState, g: Array, *, lr: float, momentum: float = 0.9, view: View = "matrix") -> Step:
    """Normalised SGD with momentum: every gradient is divided by its Frobenius norm, then momentum.

    Parameters
    ----------
    state : MomentumState
    g : array of shape (..., m, n)
        Gradient; the zero matrix stays zero.
    lr, momentum : float
        As in :func:`sgdm`.
    view
        As in :func:`normalized`.

    Returns
    -------
    Step

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`sgdm`.

    Notes
    -----
    To normalise the momentum, not the gradient, is ``trust_region(norm="frobenius")``: every step has the same length.
    """
    return sgdm(state, normalized(g, view=view), lr=lr, momentum=momentum)


def component_normalized_sgdm(
    state: MomentumState,
    g: Array,
    *,
    lr: float,
    momentum: float = 0.9,
    components: Split = "columns",
    view: View = "matrix",
) -> Step:
    """Component-normalised SGD with momentum: every column of the gradient is divided by its norm, then momentum.

    Parameters
    ----------
    state : MomentumState
    g : array of shape (..., m, n)
        Gradient; a zero column stays zero.
    lr, momentum : float
        As in :func:`sgdm`.
    components, view
        As in :func:`component_normalized`.

    Returns
    -------
    Step

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`sgdm`.
    """
    return sgdm(state, component_normalized(g, components=components, view=view), lr=lr, momentum=momentum)
