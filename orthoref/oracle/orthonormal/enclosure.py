"""Rigorous bounds of the distance of columns from orthonormal ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from orthoref.errors import require
from orthoref.oracle.balls import ct, down, exact_balls, eye_like, lower_norm, one_finite, up, upper_norm


def orthonormal(q: Any, *, bits: int = 256) -> tuple[float, float]:
    """Rigorous lower and upper bounds of |I - Q^H Q| (|I - Q Q^H| if wide) in the Frobenius norm.

    Parameters
    ----------
    q : array of shape (m, n)
        As in :func:`polar`.
    bits : int
        Precision of the ball arithmetic; the two bounds agree to about this many bits of 1.
    """
    require("flint", "certify")
    from flint import ctx

    q = one_finite("q", q)
    with ctx.workprec(bits):
        x = exact_balls(q if q.shape[0] >= q.shape[1] else q.conj().T, np.iscomplexobj(q))
        rest = ct(x) * x - eye_like(x)
        return down(lower_norm(rest)), up(upper_norm(rest))
