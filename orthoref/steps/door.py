"""The door of the steps: what a rule takes in and what it gives back."""

from __future__ import annotations

from math import inf
from typing import Any, NamedTuple

import numpy as np

from orthoref.arrays import Array, Namespace, at_batch, enter, first_index, namespace, require_shape
from orthoref.errors import OutsideDomain


class MomentumState(NamedTuple):
    """What a rule with one buffer remembers.

    Attributes
    ----------
    momentum : array of the shape of the parameter
    step : int
        Number of steps made.
    """

    momentum: Array
    step: int


class AdamState(NamedTuple):
    """What Adam remembers.

    Attributes
    ----------
    mean : array of the shape of the parameter
        Average of the directions.
    square : array of the shape of the parameter
        Average of their squared moduli, entry by entry.
    step : int
        Number of steps made.
    """

    mean: Array
    square: Array
    step: int


class Step(NamedTuple):
    """The next state, and what is added to the parameter."""

    state: Any
    update: Array


class Move(NamedTuple):
    """The next state, and the next point of a manifold: a sum would leave it by a rounding."""

    state: Any
    point: Array


def momentum_state(w: Array) -> MomentumState:
    """State of a rule with momentum before its first step: zeros.

    Parameters
    ----------
    w : array of shape (..., m, n)
        The parameter, or anything of its shape, dtype and device.

    Returns
    -------
    MomentumState

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`orthoref.arrays.enter`.
    """
    return MomentumState(enter(w=w).zeros_like(w), 0)


def adam_state(w: Array) -> AdamState:
    """State of :func:`adam` before its first step: zeros.

    Parameters
    ----------
    w : array of shape (..., m, n)
        The parameter, or anything of its shape, dtype and device.

    Returns
    -------
    AdamState

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`orthoref.arrays.enter`.
    """
    xp = enter(w=w)
    return AdamState(xp.zeros_like(w), xp.zeros_like(w), 0)


def enter_step(g: Array, w: Array | None = None, **buffers: Array) -> Namespace:
    """Take in a gradient, the buffers of a state and, where one is given, the parameter: all of one shape."""
    others = buffers if w is None else {"w": w, **buffers}
    xp = enter(g=g, **others)
    for name, x in others.items():
        require_shape(name, x, g.shape)
    return xp


def require_state(state: Any, kind: type[MomentumState] | type[AdamState]) -> None:
    """Refuse what is no state of that kind, or has a count that is none."""
    if not isinstance(state, kind):
        raise TypeError(f"state must be a {kind.__name__}, not {type(state).__name__}")
    step = state.step
    if isinstance(step, bool) or not isinstance(step, int) or step < 0:
        raise ValueError(f"state.step={step!r} is not a number of steps")


def require_number(name: str, value: Any, low: float = 0.0, high: float = inf) -> None:
    """Refuse what is no finite number between low and high, high excluded."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating)):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    if not low <= value < high:
        raise ValueError(f"{name}={value!r} is not in [{low:g}, {high:g})")


def require_parameter(w: Array | None, why: str) -> Array:
    """The parameter, refused where there is none."""
    if w is None:
        raise ValueError(f"{why} needs the parameter w")
    return w


def settled(x: Array, what: str) -> Array:
    """X, refused where it overflows."""
    xp = namespace(x)
    finite = xp.isfinite(x)
    if not bool(xp.all(finite)):
        raise OutsideDomain(f"{what} overflows" + at_batch(first_index(~finite, xp)[:-2]))
    return x
