"""How long a deep linear network learns. Derivations: docs/derivations/isometry."""

from __future__ import annotations

from math import inf
from typing import Any

from orthoref.isometry.mean_field import EPS, Estimate


def linear_learning_time(depth: int, start: float, end: float, target: float) -> Estimate:
    """Time in which gradient flow moves one mode of a deep linear network from one strength to another.

    Parameters
    ----------
    depth : int
        L >= 1 layers, each with the strength u^(1/L) of the mode.
    start, end : float
        Strength of the product, 0 < start < end < target (or all the other way round).
    target : float
        Strength s that the data ask for.

    Returns
    -------
    Estimate
        The integral of du/(L u^(2 - 2/L) (s - u)), for the loss (s - u)^2/2 and unit rate.

    Raises
    ------
    ValueError
        Numbers that are not positive, or out of order; a depth that is no positive integer.

    Notes
    -----
    Equation (SAXE); [SaxeMcClellandGanguli2014]_. The largest rate that is stable at the end is 2/(L s^(2 - 2/L)), so
    that the *number of steps* is this time times L s^(2 - 2/L)/2, which is bounded in L for a start of about 1, and
    grows like start^-1 for small ones.

    Examples
    --------
    >>> from orthoref import isometry
    >>> [round(depth * isometry.linear_learning_time(depth, 1.0, 1.9, 2.0).value, 3) for depth in (1, 10, 1000)]
    [2.303, 1.054, 0.974]
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
        raise ValueError(f"depth={depth!r} must be an integer of at least 1")
    numbers: dict[str, Any] = {"start": start, "end": end, "target": target}
    for name, x in numbers.items():
        if isinstance(x, bool) or not isinstance(x, (int, float)) or not 0 < x < inf:
            raise ValueError(f"{name}={x!r} must be a positive finite number")
    if not (start < end < target or start > end > target):
        raise ValueError(f"start={start!r}, end={end!r}, target={target!r}: the strength moves towards the target")
    from math import exp, log

    from scipy.integrate import quad

    # (SAXE) in log u, where the first factor is smooth for small starts
    power = 1 - 2 / depth
    value, error = quad(
        lambda t: exp(-power * t) / (depth * (target - exp(t))),
        log(start),
        log(end),
        epsabs=0.0,
        epsrel=1e-12,
        limit=200,
    )[:2]
    return Estimate(value, error + 16 * EPS * abs(value))
