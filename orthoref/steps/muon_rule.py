"""Muon with every switch that its ports set differently. Derivations: docs/derivations/steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from orthoref._newton_schulz.iteration import Form
from orthoref._newton_schulz.normalization import real_inner
from orthoref._newton_schulz.rounding import EMULATED, store
from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.arrays import Array, require_choice
from orthoref.steps.directions import Split, View, block_sizes, blocks, joined, matrix_shape, orthogonalized
from orthoref.steps.door import (
    MomentumState,
    Step,
    enter_step,
    require_number,
    require_parameter,
    require_state,
    settled,
)

Averaging = Literal["ema", "heavy-ball"]
Orientation = Literal["out-in", "in-out"]
Factor = Literal["none", "sqrt-max-1", "sqrt-ratio", "match-rms"]
FactorOf = Literal["matrix", "last-two"]
Decay = Literal["decoupled", "coupled"]


class Averaged(NamedTuple):
    """The next state, and the direction that is orthogonalized."""

    state: MomentumState
    direction: Array


def averaged(
    state: MomentumState,
    g: Array,
    *,
    momentum: float,
    averaging: Averaging = "ema",
    nesterov: bool = False,
    bias_correction: bool = False,
    storage: str | None = None,
) -> Averaged:
    """Momentum: the average of the gradients, or their decaying sum, with or without a Nesterov step.

    Parameters
    ----------
    state : MomentumState
    g : array of shape (..., m, n)
        Gradient.
    momentum : float
        mu in [0, 1).
    averaging : {"ema", "heavy-ball"}
        M <- mu M + (1 - mu) G, or M <- mu M + G. From zero and with a constant mu the second is 1/(1 - mu) times the
        first: only eps and a mu that changes tell the updates apart, equation (MUON-SAME).
    nesterov : bool
        The direction is mu M + (1 - mu) G (or mu M + G) with the new M, not M itself.
    bias_correction : bool
        As in optax: M/(1 - mu^k) at step k, and mu M/(1 - mu^(k+1)) + (1 - mu) G/(1 - mu^k) with Nesterov. Of "ema".
    storage : {"bfloat16", "float16", "float32"}, optional
        Format that M and the direction are rounded to, once each: what an optimiser of parameters in that format does.

    Returns
    -------
    Averaged
        State and direction.

    Raises
    ------
    OutsideDomain
        NaN or infinity; overflow.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    Equations (MUON-MEAN), (MUON-MIX), (MUON-BIAS).
    """
    require_state(state, MomentumState)
    require_number("momentum", momentum, 0.0, 1.0)
    require_choice("averaging", averaging, ("ema", "heavy-ball"))
    if bias_correction and averaging != "ema":
        raise ValueError("bias_correction belongs to averaging='ema'")
    if storage is not None:
        require_choice("storage", storage, EMULATED)
    enter_step(g, momentum=state.momentum)
    mu, weight, k = float(momentum), 1 - float(momentum) if averaging == "ema" else 1.0, state.step + 1
    with np.errstate(all="ignore"):  # judged at the end
        m = mu * state.momentum + weight * g  # (MUON-MEAN)
        m = store(settled(m, "the momentum"), storage)
        if nesterov:  # (MUON-MIX), (MUON-BIAS)
            for_m, for_g = (mu / (1 - mu ** (k + 1)), weight / (1 - mu**k)) if bias_correction else (mu, weight)
            direction = for_m * m + for_g * g
        else:
            direction = m / (1 - mu**k) if bias_correction else m
    return Averaged(MomentumState(m, k), store(settled(direction, "the direction"), storage))


def update_factor(
    shape: Sequence[int],
    *,
    factor: Factor,
    factor_of: FactorOf = "matrix",
    rms: float = 0.2,
    orientation: Orientation = "out-in",
    view: View = "matrix",
    heads: int | Sequence[int] = 1,
    split: Split = "rows",
) -> tuple[float, ...]:
    """What the learning rate is multiplied by for a parameter of this shape.

    Parameters
    ----------
    shape : sequence of int
        Of the parameter.
    factor : {"none", "sqrt-max-1", "sqrt-ratio", "match-rms"}
        1; max(1, d_out/d_in)^(1/2); (d_out/d_in)^(1/2), the steps of the RMS->RMS norm; rms max(d_out, d_in)^(1/2).
    factor_of : {"matrix", "last-two"}
        Lengths that count: those of the matrix that is orthogonalized, or the last two axes of the array as it is
        stored, which for kernels of convolutions are others.
    rms : float
        Of "match-rms".
    orientation : {"out-in", "in-out"}
        Whether the first of the two lengths is d_out (torch, MLX) or d_in (JAX, Keras).
    view, heads, split
        As in :func:`orthogonalized`; they make the matrix.

    Returns
    -------
    tuple of float
        One for each head.

    Raises
    ------
    TypeError, ValueError
        Wrong type or option; a length 0 where a quotient is asked for.

    Notes
    -----
    Equation (MUON-SCALE).
    """
    require_choice("factor", factor, ("none", "sqrt-max-1", "sqrt-ratio", "match-rms"))
    require_choice("factor_of", factor_of, ("matrix", "last-two"))
    require_choice("orientation", orientation, ("out-in", "in-out"))
    require_number("rms", rms)
    shape = tuple(shape)
    if len(shape) < 2:
        raise ValueError(f"shape={shape} has fewer than 2 axes")
    rows, columns = matrix_shape(shape, view)[-2:]
    sizes = block_sizes(rows if split == "rows" else columns, heads, split)
    if factor_of == "matrix":
        pairs = [(size, columns) if split == "rows" else (rows, size) for size in sizes]
    else:
        pairs = [(shape[-2], shape[-1])] * len(sizes)
    return tuple(_factor(*(pair if orientation == "out-in" else pair[::-1]), factor, float(rms)) for pair in pairs)


def muon(
    state: MomentumState,
    g: Array,
    w: Array | None = None,
    *,
    lr: float,
    momentum: float = 0.95,
    averaging: Averaging = "ema",
    nesterov: bool = True,
    bias_correction: bool = False,
    storage: str | None = None,
    schedule: str | Schedule | None = "muon",
    steps: int | None = None,
    normalize: str | Normalization | None = None,
    eps: float = 1e-7,
    eps_rule: Literal["add", "clamp"] = "add",
    form: Form = "standard",
    restart: Sequence[int] = (),
    precision: str | None = None,
    aliased: bool = False,
    view: View = "matrix",
    heads: int | Sequence[int] = 1,
    split: Split = "rows",
    adaptive: bool = False,
    factor: Factor = "sqrt-max-1",
    factor_of: FactorOf = "matrix",
    factor_on: Literal["lr", "update"] = "lr",
    rms: float = 0.2,
    orientation: Orientation = "out-in",
    weight_decay: float = 0.0,
    decay: Decay = "decoupled",
) -> Step:
    """One step of Muon: the momentum, orthogonalized, scaled and subtracted.

    Parameters
    ----------
    state : MomentumState
        From :func:`momentum_state` or the step before.
    g : array of shape (..., m, n)
        Gradient.
    w : array of the shape of g, optional
        Parameter; weight decay needs it.
    lr : float
        Learning rate.
    momentum, averaging, nesterov, bias_correction, storage
        As in :func:`averaged`.
    schedule, steps, normalize, eps, eps_rule, form, restart, precision
        As in :func:`orthoref.newton_schulz`; ``schedule=None`` is the polar factor itself.
    aliased : bool
        The iteration divides its input in place. Without Nesterov that is the momentum buffer, which the next step then
        finds divided by max(|M|, eps) (or |M| + eps). torch.optim.Muon does it to parameters in bfloat16.
    view, heads, split
        As in :func:`orthogonalized`.
    adaptive : bool
        Multiply the orthogonalized direction O by Re <D, O>, which for the polar factor is the nuclear norm of D.
    factor, factor_of, rms, orientation
        As in :func:`update_factor`.
    factor_on : {"lr", "update"}
        Where the factor is multiplied in. On the update, ``precision`` rounds the product once more.
    weight_decay : float
    decay : {"decoupled", "coupled"}
        The parameter shrinks by lr weight_decay, without the factor; or weight_decay W is added to the gradient, before
        the momentum.

    Returns
    -------
    Step
        State, and the update that is added to the parameter.

    Raises
    ------
    OutsideDomain, NotConverged
        NaN or infinity; overflow; as :func:`orthogonalized`.
    TypeError, ValueError
        Wrong type, shape or option.

    Notes
    -----
    Equation (MUON-STEP). The options of ports: ``PRESETS``; docs/which_muon says where they were read.

    References
    ----------
    [Jordan2024]_, [LiuSuYao2025]_.

    Examples
    --------
    >>> import numpy as np
    >>> from orthoref import steps
    >>> w = np.eye(2)
    >>> state, update = steps.muon(steps.momentum_state(w), np.diag([3.0, -4.0]), lr=0.1, schedule=None)
    >>> update + 0.0
    array([[-0.1,  0. ],
           [ 0. ,  0.1]])
    >>> state, update = steps.muon(state, w, w, lr=0.02, **steps.PRESETS["torch"])
    >>> state.step
    2
    """
    require_number("lr", lr)
    require_number("weight_decay", weight_decay)
    require_choice("decay", decay, ("decoupled", "coupled"))
    require_choice("factor_on", factor_on, ("lr", "update"))
    require_state(state, MomentumState)
    enter_step(g, w, momentum=state.momentum)
    if weight_decay and decay == "coupled":
        with np.errstate(all="ignore"):
            g = g + float(weight_decay) * require_parameter(w, "weight decay")
        g = settled(g, "the gradient with weight decay")
    state, d = averaged(
        state,
        g,
        momentum=momentum,
        averaging=averaging,
        nesterov=nesterov,
        bias_correction=bias_correction,
        storage=storage,
    )
    options: dict[str, Any] = {"schedule": schedule, "normalize": normalize, "eps": eps, "eps_rule": eps_rule}
    if aliased and not nesterov:
        if schedule is None:
            raise ValueError("aliased belongs to a schedule")
        buffer = orthogonalized(
            state.momentum, steps=0, precision=precision, view=view, heads=heads, split=split, **options
        )
        state = state._replace(momentum=buffer)
    options |= {"steps": steps, "form": form, "restart": restart, "precision": precision}
    factors = update_factor(
        g.shape,
        factor=factor,
        factor_of=factor_of,
        rms=rms,
        orientation=orientation,
        view=view,
        heads=heads,
        split=split,
    )
    parts = []
    for block, number in zip(blocks(d, view, heads, split), factors, strict=True):
        o = orthogonalized(block, **options)
        if adaptive:
            o = o * real_inner(block, o)
        o = number * o
        parts.append(store(o, precision) if factor_on == "update" else o)
    o = joined(parts, g, split)
    # (MUON-STEP) Delta = -lr (factor O + weight_decay W)
    with np.errstate(all="ignore"):
        update = -float(lr) * o
        if weight_decay and decay == "decoupled":
            update = update - float(lr) * float(weight_decay) * require_parameter(w, "weight decay")
    return Step(state, settled(update, "the update"))


def _factor(out: int, into: int, factor: Factor, rms: float) -> float:
    if factor == "none":
        return 1.0
    if factor == "match-rms":
        return rms * max(out, into) ** 0.5
    if not out * into:
        raise ValueError(f"factor={factor!r} of a matrix with a side of length 0")
    return (out / into if factor == "sqrt-ratio" else max(1.0, out / into)) ** 0.5
