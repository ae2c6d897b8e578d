"""Order of the retractions, and how far 2000 steps of each lead from the manifold. Run by hand:

    python docs/make_stiefel_accuracy.py

Writes docs/stiefel_accuracy_table.md and docs/_static/drift.png, in about a minute.
"""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import matplotlib
import numpy as np
from rich.progress import track

from orthoref import stiefel
from orthoref.oracle.certify import orthonormal

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
METHODS = ("qr", "cholesky_qr", "polar", "cayley", "exp")
METRICS = ("euclidean", "canonical")
SHAPES = ((8, 3), (6, 6))
STEPS, SHAPE = 2000, (128, 32)


def step(x: np.ndarray, v: np.ndarray, method: str, metric: str = "canonical", **options: bool) -> np.ndarray:
    return stiefel.retract(x, v, method, metric=metric if method == "exp" else None, **options)


def slopes() -> Iterator[tuple[str, ...]]:
    """log2 of the ratio of |R(X, tV) - exp(X, tV)| at t = 1/32 and 1/64, real and complex, tall and square."""
    for method in METHODS[:-1]:
        for metric in METRICS:
            found = []
            for shape in SHAPES:
                for dtype in ("float64", "complex128"):
                    rng = np.random.default_rng(7)
                    x = stiefel.random_point(shape, rng=rng, dtype=dtype)
                    v = stiefel.random_tangent(x, metric, rng=rng)
                    v = v / np.linalg.norm(v)
                    far = [
                        np.linalg.norm(step(x, t * v, method) - stiefel.exp(x, t * v, metric)) for t in (1 / 32, 1 / 64)
                    ]
                    found.append(f"{np.log2(far[0] / far[1]):.2f}")
            yield method, metric, *found


def drift(method: str) -> list[float]:
    """Spectral norm of I - X^H X, in units of n eps, after every step of length 1/4 in a random direction; float32."""
    rng = np.random.default_rng(11)
    x, found = stiefel.random_point(SHAPE, rng=rng, dtype="float32"), []
    unit = SHAPE[0] * float(np.finfo("float32").eps)
    for _ in track(range(STEPS), method):
        v = stiefel.project(x, rng.standard_normal(SHAPE, dtype="float32"), check=False)
        x = step(x, np.float32(0.25) * v / np.linalg.norm(v), method, check=False)
        found.append(float(np.max(orthonormal(x)[1])) / unit)
    return found


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (head, ("---",) * len(head), *rows)]


def main() -> None:
    curves = {method: drift(method) for method in METHODS}
    figure, axis = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for (name, values), style in zip(curves.items(), ("-", "--", "-.", ":", (0, (5, 1))), strict=True):
        axis.loglog(range(1, STEPS + 1), values, linestyle=style, label=name)
    axis.set(xlabel="step", ylabel=r"$|I - X^TX|_2$ / (n eps)")
    axis.legend(fontsize="small")
    figure.savefig(HERE / "_static" / "drift.png", dpi=110)
    shown = [10, 100, 1000, 2000]
    heads = tuple(f"{'square' if m == n else 'tall'}, {kind}" for m, n in SHAPES for kind in ("real", "complex"))
    made = f"Made on {datetime.date.today().isoformat()}, Python {platform.python_version()}, numpy {version('numpy')}."
    lines = ["<!-- Written by docs/make_stiefel_accuracy.py: do not edit. -->", "", made, ""]
    lines += table(("retraction", "exp of the metric", *heads), slopes())
    lines += ["", f"float32, {SHAPE[0]} x {SHAPE[1]}: $|I - X^TX|_2$ in units of $n$ eps after so many steps.", ""]
    rows = ((name, *(f"{values[k - 1]:.2g}" for k in shown)) for name, values in curves.items())
    lines += table(("retraction", *map(str, shown)), rows)
    (HERE / "stiefel_accuracy_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
