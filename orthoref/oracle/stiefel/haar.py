"""Whether a sample of points is uniform: marginals of the Haar measure, each with a known distribution.

(SR-HAAR) For unit vectors u, w, X w is uniform on the unit sphere: with t = Re u^H X w, (1 + t)/2 is beta distributed,
both parameters (d - 1)/2, d = n real or 2 n complex.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PAIRS = 8  # of generic vectors, beside pairs of axes


class Marginal(NamedTuple):
    """A statistic, the probability that the Haar measure deviates as much, and what is seen."""

    name: str
    p: float
    seen: str


def marginals(x: np.ndarray, *, special: bool = False) -> list[Marginal]:
    """Kolmogorov-Smirnov tests of (SR-HAAR) over a sample of shape (N, n, p); the determinant if p = n is real."""
    from scipy import stats

    count, n, p = x.shape
    complex_ = np.iscomplexobj(x)
    random = np.random.RandomState(0)
    directions = {f"x[{i}, {j}]": (np.eye(n)[i], np.eye(p)[j]) for i in {0, n - 1} for j in {0, p - 1}}
    for i in range(PAIRS):
        u, w = (random.standard_normal((2, d)) for d in (n, p))
        u, w = (a[0] + 1j * a[1] if complex_ else a[0] for a in (u, w))
        directions[f"u^H X w, pair {i}"] = u / np.linalg.norm(u), w / np.linalg.norm(w)
    found = []
    for name, (u, w) in directions.items():
        for part, factor in (("Re ", 1.0), ("Im ", -1j)) if complex_ else (("", 1.0),):
            t = (factor * np.einsum("i,kij,j->k", np.conj(u), x, w)).real
            seen = f"{np.mean(t > 0):.3g} of {count} are positive, mean square {np.mean(t**2):.3g}"
            d = 2 * n if complex_ else n
            if d == 1:
                p_value = float(stats.binomtest(int(np.sum(t > 0)), count).pvalue)
            else:
                shape = (d - 1) / 2
                p_value = float(stats.kstest((1 + t) / 2, stats.beta(shape, shape).cdf).pvalue)
            found.append(Marginal(part + name, p_value, f"{seen}, not {1 / d:.3g}"))
    if n == p and not complex_:
        positive = int(np.sum(np.linalg.slogdet(x)[0] > 0))
        p_value = float(positive == count) if special else float(stats.binomtest(positive, count).pvalue)
        found.append(Marginal("det X", p_value, f"{positive} of {count} determinants are positive"))
    return found


def reason(x: np.ndarray, worst: Marginal) -> str:
    """What a sample that is not uniform looks like."""
    if np.all(np.ptp(x, axis=0) == 0):
        return "all points are the same"
    if np.iscomplexobj(x) and not x.imag.any():
        return "all points are real"
    first = x[:, 0, 0].real
    if np.all(first <= 0) or np.all(first >= 0):
        never = "positive" if np.all(first <= 0) else "negative"
        return f"x[0, 0] is never {never}: QR without making the diagonal of R positive"
    return f"{worst.name}: {worst.seen}"
