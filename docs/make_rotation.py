"""Recover a rotation from samples: two penalties under Adam and descent on the manifold. Run by hand:

    python docs/make_rotation.py

Writes docs/rotation_table.md and docs/_static/rotation.png; a minute or two on one core.
"""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import matplotlib
import numpy as np
from rich.progress import track

from orthoref import stiefel

matplotlib.use("Agg")
import matplotlib.pyplot as plt

Array = np.ndarray
HERE = Path(__file__).parent
N, SAMPLES, STEPS = 500, 30, 1000


def squares(w: Array) -> tuple[float, Array]:
    """|W W^T - I|_F^2 and its gradient 4 (W W^T - I) W."""
    g = w @ w.T - np.eye(len(w))
    return float(np.sum(g**2)), 4 * g @ w


def moduli(w: Array) -> tuple[float, Array]:
    """The sum of |W W^T - I|_ij and a subgradient 2 sign(W W^T - I) W."""
    g = w @ w.T - np.eye(len(w))
    return float(np.sum(np.abs(g))), 2 * np.sign(g) @ w


def fit(w: Array, x: Array, y: Array) -> tuple[float, Array]:
    """|X W^T - Y|_F^2 and its gradient 2 (X W^T - Y)^T X."""
    r = x @ w.T - y
    return float(np.sum(r**2)), 2 * r.T @ x


def adam(
    w: Array, x: Array, y: Array, penalty: Callable[[Array], tuple[float, Array]], weight: float
) -> Iterator[Array]:
    """Kingma and Ba's iteration with step 1e-3."""
    m = v = np.zeros_like(w)
    for k in range(1, STEPS + 1):
        yield w
        g = fit(w, x, y)[1] + weight * penalty(w)[1]
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - 1e-3 * (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8)
    yield w


def riemannian(w: Array, x: Array, y: Array) -> Iterator[Array]:
    """Steepest descent in the canonical metric, retracted by QR; the step is 1/2 over the curvature 2 |X|^2."""
    step = 0.5 / (2 * np.linalg.norm(x, 2) ** 2)
    for _ in range(STEPS):
        yield w
        w = stiefel.retract_qr(w, -step * stiefel.gradient(w, fit(w, x, y)[1], "canonical"))
    yield w


def rotation(n: int, rng: np.random.Generator, determinant: int) -> Array:
    """Haar in one component of O(n): a column changes its sign. (All of them would change nothing for even n.)"""
    q = stiefel.random_point((n, n), rng=rng)
    q[:, 0] *= determinant * int(stiefel.component(q))
    return q


def main() -> None:
    rng = np.random.default_rng(2021)
    curves, rows = {}, []
    for n, samples in ((N, SAMPLES), (20, 30)):
        x = rng.random((samples, n))
        rho = rotation(n, rng, 1)
        for determinant in (1, -1):
            start = rotation(n, rng, determinant)
            runs = {"Riemannian gradient": lambda w=start, x=x, r=rho: riemannian(w, x, x @ r.T)}
            if n == N and determinant == 1:
                runs["Adam, sum of squares"] = lambda w=start, x=x, r=rho: adam(w, x, x @ r.T, squares, 1e3)
                runs["Adam, sum of moduli"] = lambda w=start, x=x, r=rho: adam(w, x, x @ r.T, moduli, 1e-3)
                runs["Adam, sum of moduli, weight 1"] = lambda w=start, x=x, r=rho: adam(w, x, x @ r.T, moduli, 1.0)
            for name, run in runs.items():
                points = []
                for w in track(run(), f"{name}, n = {n}", STEPS + 1):
                    points.append((fit(w, x, x @ rho.T)[0], np.sqrt(squares(w)[0])))
                if n == N and determinant == 1:
                    curves[name] = np.array(points)
                distance = np.linalg.norm(w - rho)
                sign = f"{np.linalg.slogdet(w)[0]:+.0f}"
                rows.append((n, samples, determinant, name, *(f"{z:.1e}" for z in points[-1]), f"{distance:.2g}", sign))
    head = ("n", "samples", "det of the start", "method", "fit", "defect", "distance to the rotation", "det at the end")
    made = f"Made on {datetime.date.today().isoformat()}, Python {platform.python_version()}, numpy {version('numpy')}."
    lines = ["<!-- Written by docs/make_rotation.py: do not edit. -->", "", made, ""]
    lines += ["| " + " | ".join(map(str, cells)) + " |" for cells in (head, ["---"] * len(head), *rows)]
    (HERE / "rotation_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw(curves)


def draw(curves: dict[str, Array]) -> None:
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharex=True)
    for (name, points), color, style in zip(
        curves.items(), ("C0", "C1", "C2", "C3"), ("-", "--", "-.", ":"), strict=True
    ):
        for axis, values in zip(axes, points.T, strict=True):
            axis.semilogy(values, style, color=color, label=name)
    axes[0].set(title="fit $|XW^T - Y|_F^2$", xlabel="step")
    axes[1].set(title="defect $|WW^T - I|_F$", xlabel="step")
    axes[1].legend(fontsize=8)
    figure.savefig(HERE / "_static" / "rotation.png", dpi=110)


if __name__ == "__main__":
    main()
