"""Draw the phase diagram, singular values against depth, learning times; write isometry_table.md.

Run by hand, about two minutes: python docs/make_isometry.py
All seeds are fixed. Bars and intervals are 95 percent of the mean over the stated number of networks.
"""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import matplotlib as mpl
import numpy as np

from orthoref import haar, isometry

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
PHI = {"tanh": np.tanh, "relu": lambda h: np.maximum(h, 0), "hard_tanh": lambda h: np.clip(h, -1, 1)}
SLOPE = {
    "tanh": lambda h: np.cosh(h) ** -2.0,
    "relu": lambda h: (h > 0) * 1.0,
    "hard_tanh": lambda h: (abs(h) < 1) * 1.0,
}
BLUE, RED, GREY = "#1f5fa8", "#b5382a", "#777777"


def main() -> None:
    """All of it."""
    lines = [*phase(), *depth(), *learning()]
    (HERE / "isometry_table.md").write_text("\n".join(lines) + "\n")


# --- order and chaos --------------------------------------------------------------------------------------------------


def phase() -> list[str]:
    """Critical lines, and growth rates measured in networks of width 300."""
    figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
    sigma_w, sigma_b = np.linspace(0.6, 3, 33), np.linspace(0, 1, 11)
    table = np.array([[rate(w, b, "tanh") for w in sigma_w] for b in sigma_b])
    norm = mpl.colors.TwoSlopeNorm(1, 0.2, 2.2)
    levels = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2]
    shades = axes.contourf(sigma_w, sigma_b, table, levels, cmap="RdBu_r", alpha=0.5, extend="both", norm=norm)
    figure.colorbar(shades, label="$\\chi$ of tanh at its fixed point")
    qs = [0.0, *np.geomspace(1e-3, 60, 60)]
    for name, style in (("tanh", "-"), ("hard_tanh", "--"), ("unit_erf", ":")):
        points = [isometry.critical_point(float(q), name) for q in qs]
        w, b = [p.sigma_w for p in points], [p.sigma_b for p in points]
        axes.plot(w, b, "k" + style, label=f"{name}: $\\chi = 1$", linewidth=1.5)
    for name, marker in (("linear", "o"), ("relu", "s")):
        point = isometry.critical_point(1.0, name)
        axes.plot(
            point.sigma_w, point.sigma_b, marker, color="black", clip_on=False, zorder=5, label=f"{name}: one point"
        )
    rng, rows, wrong = np.random.default_rng(1), [], 0
    for w in (0.8, 1.1, 1.5, 2.0, 2.6):
        for b in (0.05, 0.3, 0.6, 0.9):
            mean, half = measured(w, b, rng)
            truth = isometry.chi(isometry.fixed_point(w, b, "tanh").value, w, "tanh").value
            wrong += not abs(mean - truth) <= half + 0.02 * truth
            fill = RED if mean - half > 1 else BLUE if mean + half < 1 else "white"
            axes.plot(w, b, "D", markersize=6, markerfacecolor=fill, markeredgecolor="black", zorder=4)
            rows.append((w, b, mean, half, truth))
    axes.plot([], [], "D", markerfacecolor=RED, markeredgecolor="black", label="measured: growing")
    axes.plot([], [], "D", markerfacecolor=BLUE, markeredgecolor="black", label="measured: shrinking")
    axes.plot([], [], "D", markerfacecolor="white", markeredgecolor="black", label="measured: not decided")
    axes.set(xlabel="$\\sigma_w$", ylabel="$\\sigma_b$", xlim=(0.6, 3), ylim=(0, 1))
    axes.text(0.72, 0.62, "order", fontsize=13)
    axes.text(2.2, 0.15, "chaos", fontsize=13)
    figure.legend(loc="outside lower center", fontsize=8, ncols=4)
    figure.savefig(HERE / "_static" / "isometry_phase.png", dpi=110)
    far, right = max(abs(mean / truth - 1) for _, _, mean, _, truth in rows), len(rows) - wrong
    return [
        f"Growth of squared lengths a layer, tanh, {len(rows)} points, 20 networks each of width 300 over 12 layers:",
        f"at most {100 * far:.1f} % from $\\chi(q^*)$, and for {right} of {len(rows)} points within the 95 % interval",
        "of the mean, widened by 2 % for the finite width.",
        "",
    ]


def rate(sigma_w: float, sigma_b: float, name: str) -> float:
    """Chi at the fixed point."""
    return isometry.chi(isometry.fixed_point(float(sigma_w), float(sigma_b), name).value, float(sigma_w), name).value


def measured(
    sigma_w: float, sigma_b: float, rng: np.random.Generator, n: int = 300, runs: int = 20
) -> tuple[float, float]:
    """Geometric mean of the growth of |v|^2 over 12 layers from the fixed point on, and half its interval."""
    q, rates = isometry.fixed_point(sigma_w, sigma_b, "tanh").value, []
    for _ in range(runs):
        h, v, total = rng.standard_normal(n) * sqrt(q), rng.standard_normal(n), 0.0
        for layer in range(15):
            w = rng.standard_normal((n, n)) * (sigma_w / sqrt(n))
            v = w @ (SLOPE["tanh"](h) * v)
            h = w @ np.tanh(h) + sigma_b * rng.standard_normal(n)
            size = np.linalg.norm(v)
            if layer >= 3:
                total += 2 * np.log(size)
            if layer == 2:
                total = 0.0
            v = v / size
        rates.append(np.exp(total / 12))
    return float(np.mean(rates)), 1.96 * float(np.std(rates)) / sqrt(runs)


# --- singular values against depth ------------------------------------------------------------------------------------


def depth() -> list[str]:
    """The largest squared singular value and the variance on the critical line, theory and networks of width 200."""
    n, runs, depths = 200, 12, (1, 2, 4, 8, 16, 32, 64)
    cases = [("relu", 1.0), ("hard_tanh", 0.6), ("tanh", 1 / 64)]
    figure, axes = plt.subplots(2, 3, figsize=(11, 6.4), sharex=True, layout="constrained")
    lines = ["| activation | weights | $L$ | $s_{\\max}^2$, networks | theory | variance, networks | theory |",
             "| --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    rng = np.random.default_rng(2)
    for column, (name, q) in enumerate(cases):
        point = isometry.critical_point(q, name)
        for weights, color in (("gaussian", RED), ("orthogonal", BLUE)):
            draws = [jacobians(name, weights, point, n, depths, rng) for _ in range(runs)]
            largest = np.array([[s[0] for s in run] for run in draws])
            spread = np.array([[np.mean(s**2) / np.mean(s) ** 2 - 1 for s in run] for run in draws])
            grid = sorted({round(x) for x in np.geomspace(1, 64, 30)})
            theory = [isometry.largest_squared_singular_value(k, q, point.sigma_w, name, weights) for k in grid]
            of_theory = [
                isometry.squared_singular_value_variance(k, q, point.sigma_w, name, weights).value for k in grid
            ]
            for row, (values, curve) in enumerate(((largest, theory), (spread, of_theory))):
                half = 1.96 * values.std(0) / sqrt(runs)
                axes[row, column].plot(grid, curve, color=color, label=f"{weights}, infinite width")
                axes[row, column].errorbar(depths, values.mean(0), half, fmt="o", color=color, markersize=4, capsize=3,
                                           label=f"width {n}, {runs} networks")  # fmt: skip
            for k in (4, 64):
                at, of = depths.index(k), grid.index(k)
                cells = [f"{v.mean(0)[at]:.3g} ± {1.96 * v.std(0)[at] / sqrt(runs):.2g}" for v in (largest, spread)]
                row = (
                    f"{name}, $q^* = {q:.3g}$",
                    weights,
                    k,
                    cells[0],
                    f"{theory[of]:.3g}",
                    cells[1],
                    f"{of_theory[of]:.3g}",
                )
                lines.append(f"| {' | '.join(map(str, row))} |")
        title = f"{name}, $q^* = {q:.3g}$, $\\sigma_w = {point.sigma_w:.3f}$, $\\sigma_b = {point.sigma_b:.3g}$"
        axes[0, column].set_title(title, fontsize=9)
        axes[0, column].set(xscale="log", yscale="log")
        axes[1, column].set(xscale="log", yscale="log", xlabel="depth $L$")
    axes[0, 0].set_ylabel("$s_{\\max}^2$")
    axes[1, 0].set_ylabel("variance of $s^2$ / mean$^2$")
    axes[0, 0].legend(fontsize=8)
    figure.savefig(HERE / "_static" / "isometry_depth.png", dpi=110)
    return [*lines, ""]


def jacobians(name, weights, point, n, depths, rng):
    """Squared singular values of the Jacobian at the stated depths of one network that starts at its fixed point."""
    h, j, found = rng.standard_normal(n) * sqrt(point.q), np.eye(n), []
    for layer in range(1, max(depths) + 1):
        x = PHI[name](h)
        if name == "relu":  # whose fixed points are all q: kept where it starts, as finite width makes it wander
            h = h * sqrt(point.q / np.mean(h * h))
            x = PHI[name](h)
        w = point.sigma_w * (haar(n, rng=rng) if weights == "orthogonal" else rng.standard_normal((n, n)) / sqrt(n))
        h = w @ x + point.sigma_b * rng.standard_normal(n)
        j = SLOPE[name](h)[:, None] * (w @ j)
        if layer in depths:
            found.append(np.linalg.svd(j, compute_uv=False) ** 2)
    return found


# --- learning time ----------------------------------------------------------------------------------------------------


KINDS = {"aligned": "black", "orthogonal": BLUE, "gaussian": RED}
NAMES = {"aligned": "orthogonal, product $I$", "orthogonal": "orthogonal", "gaussian": "Gaussian"}


def learning() -> list[str]:
    """Steps of gradient descent until a deep linear network has learned a positive definite matrix."""
    n, depths, runs, limit = 16, (1, 2, 4, 8, 16, 32), 4, 400
    rates = np.geomspace(0.02, 2, 25)
    steps = {kind: np.zeros((runs, len(depths))) for kind in KINDS}
    for kind, table in steps.items():
        for run in range(runs):
            for at, k in enumerate(depths):
                table[run, at] = train(kind, k, n, rates / k, limit, np.random.default_rng(100 * run + k))[0]
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
    lines = [
        "| depth | steps: orthogonal, product $I$ | orthogonal | Gaussian | mode equation |",
        "| --- | --- | --- | --- | --- |",
    ]
    theory = [isometry.linear_learning_time(k, 1.0, 1.98, 2.0).value * k * 2.0 ** (2 - 2 / k) for k in depths]
    for kind, color in KINDS.items():
        mean, half = steps[kind].mean(0), 1.96 * steps[kind].std(0) / sqrt(runs)
        axes[0].errorbar(depths, mean, half, fmt="o-", color=color, capsize=3, markersize=4, label=NAMES[kind])
    axes[0].plot(depths, theory, "--", color=GREY, label="largest mode, (SAXE)")
    axes[0].set(xscale="log", yscale="log", xlabel="depth $L$", ylabel="steps at the best rate", ylim=(0.5, 800))
    axes[0].legend(fontsize=8, loc="lower right", framealpha=0.95)
    for at, (k, of) in enumerate(zip(depths, theory, strict=True)):
        values = [steps[kind][:, at] for kind in KINDS]
        ends = [" (limit)" if v.max() >= limit else "" for v in values]
        cells = [f"{v.mean():.0f} ± {1.96 * v.std() / sqrt(runs):.0f}{x}" for v, x in zip(values, ends, strict=True)]
        lines.append(f"| {k} | {' | '.join(cells)} | {of:.1f} |")
    for panel, kind in zip(axes[1:], ("orthogonal", "gaussian"), strict=True):
        _, history = train(kind, 8, n, rates / 8, limit, np.random.default_rng(8))
        band, color = isometry.singular_value_band(history), KINDS[kind]
        t = np.arange(len(history))
        panel.fill_between(
            t, band.mean - band.deviation, band.mean + band.deviation, color=color, alpha=0.3, linewidth=0
        )
        panel.plot(t, band.mean, color=color, label="mean and deviation")
        panel.plot(t, band.largest, color="black", linewidth=0.8, label="largest, smallest")
        panel.plot(t, band.smallest, color="black", linewidth=0.8)
        panel.set(xlabel="step", ylim=(0, 2))
        panel.set_title(f"singular values of the first of 8 layers, {NAMES[kind]}", fontsize=9)
        panel.legend(fontsize=8, loc="upper right")
    figure.savefig(HERE / "_static" / "isometry_learning.png", dpi=110)
    return lines


def train(kind, layers, n, rates, limit, rng):
    """Least steps over the rates until |W_L ... W_1 - T|^2 is 1e-4 of |T|^2, and the first layer on the way.

    T is positive definite with eigenvalues from 1 to 2. "aligned": orthogonal weights whose product is the identity, so
    that the modes are those of the equation; "orthogonal": Haar, of determinant 1 in all; "gaussian": variance 1/n.
    """
    basis = haar(n, rng=rng)
    target = (basis * np.linspace(1, 2, n)) @ basis.T
    if kind == "gaussian":
        start = rng.standard_normal((layers, n, n)) / sqrt(n)
    else:
        start = np.stack([haar(n, rng=rng, special=True) for _ in range(layers)])
    if kind == "aligned":
        product = np.eye(n)
        for w in start[:-1]:
            product = w @ product
        start[-1] = product.T
    ws = np.repeat(start[:, None], len(rates), axis=1)  # layers, rates, n, n
    done, history, alive = np.full(len(rates), float(limit)), [ws[0].copy()], np.ones(len(rates), bool)
    for step in range(limit):
        below = [np.broadcast_to(np.eye(n), ws[0].shape)]
        for w in ws:
            below.append(w @ below[-1])
        back = below[-1] - target
        loss = np.sum(back**2, axis=(1, 2)) / np.sum(target**2)
        alive &= loss < 1e3
        done = np.where(alive & (loss < 1e-4) & (done == limit), step, done)
        if (done < limit).any():
            break
        back = np.where(alive[:, None, None], back, 0)
        for i in range(layers - 1, -1, -1):
            gradient = back @ below[i].swapaxes(1, 2)
            back = ws[i].swapaxes(1, 2) @ back
            ws[i] = ws[i] - rates[:, None, None] * gradient
        ws[:, ~alive] = 0
        history.append(ws[0].copy())
    best = int(np.argmin(done))
    return float(done[best]), np.stack([w[best] for w in history])


if __name__ == "__main__":
    main()
