"""Random correct Newton-Schulz ports on random and structured matrices: how near to the limit do they come?

Writes the table of docs/derivations/newton_schulz. Run by hand: python docs/make_false_alarms.py [MATRICES]

Needs torch. One port is one way to write the iteration down, in the arithmetic of torch on the CPU: nothing is fused,
norms are squared without scaling, so that matrices are of ordinary size.
"""

from __future__ import annotations

import datetime
import os
import platform
import sys
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from rich.progress import track

import orthoref
from orthoref import schedules
from orthoref.oracle import cases
from orthoref.oracle.newton_schulz.claim import iteration
from orthoref.oracle.newton_schulz.ratios import LIMIT, compare
from orthoref.oracle.precision import PRECISIONS

NAMES = [name for name in schedules.names() if schedules.get(name).rows[0].polynomial]


def normalized(x, claimed):
    """X/t of a wide X, as ports do it: the norm in the dtype of X."""
    how, eps = claimed.normalization, claimed.eps

    def level(size, eps):
        return size + eps if claimed.eps_rule == "add" else torch.clamp(size, min=eps)

    factor = float(how.factor)
    if how.kind == "none":
        return x
    if how.kind == "aol":
        t = factor * torch.sqrt(level((x @ x.mH).abs().sum(-1, keepdim=True), eps))
    elif how.kind == "frobenius":
        t = level(factor * torch.linalg.vector_norm(x), eps)
    elif how.kind == "schatten4":
        t = level(factor * torch.linalg.vector_norm(x @ x.mH) ** 0.5, eps)
    else:
        fine = x if x.dtype.itemsize > 2 else x.float()
        t = level(factor * torch.linalg.matrix_norm(fine, 2).to(x.real.dtype), eps)
    return torch.where(t > 0, x / t, torch.zeros_like(x))


def polynomial_without_constant(g, c):
    """S by Horner's rule."""
    s = c[-1] * g
    for a in c[-2:0:-1]:
        s = a * g + g @ s
    return s


def horner(x, c):
    return c[0] * x + polynomial_without_constant(x @ x.mH, c) @ x


def powers(x, c):
    power = g = x @ x.mH
    s = c[1] * g
    for a in c[2:]:
        power = power @ g
        s = s + a * power
    return c[0] * x + s @ x


def chain(x, c):
    g, y, z = x @ x.mH, c[0] * x, x
    for a in c[1:]:
        z = g @ z
        y = y + a * z
    return y


def shifted(x, c):
    s = polynomial_without_constant(x @ x.mH, c)
    return (s + c[0] * torch.eye(len(s), dtype=s.dtype)) @ x


def gram(x, rows, restart, formed):
    """Gram form; with P formed, and without: c_0 Q + S Q."""
    g, q = x @ x.mH, None
    for k, c in enumerate(rows):
        if k in restart:
            x, q = q @ x, None
            g = x @ x.mH
        s = polynomial_without_constant(g, c) if len(c) > 1 else torch.zeros_like(g)
        p = s + c[0] * torch.eye(len(s), dtype=s.dtype)
        q = p if q is None else p @ q if formed else c[0] * q + s @ q
        if k + 1 < len(rows):
            g = p @ (g @ p) if formed else c[0] * (c[0] * g + s @ g) + (c[0] * g + s @ g) @ s
    return x if q is None else q @ x


STANDARD = {"Horner": horner, "powers": powers, "chain": chain, "shifted": shifted}
GRAM = {"Gram, P formed": True, "Gram, P not formed": False}


def compute(a, claimed, precision, way):
    """The result of a port, as float64 or complex128."""
    x = torch.from_numpy(a.copy())
    x = x if x.is_complex() else x.to(getattr(torch, precision))
    tall = x.shape[0] > x.shape[1]
    x = normalized(x.mH if tall else x, claimed)
    rows = claimed.schedule.coefficients(claimed.steps)
    if way in GRAM:
        x = gram(x, rows, claimed.restart, GRAM[way])
    else:
        for c in rows:
            x = STANDARD[way](x, c) if len(c) > 1 else c[0] * x
    x = (x.mH if tall else x).resolve_conj()
    return x.to(torch.complex128 if x.is_complex() else torch.float64).numpy()


def matrix(random, m, n, dtype):
    """Random, of a chosen spectrum, or with structure that repeats or separates entries."""
    k = min(m, n)

    def normal(*shape):
        return random.standard_normal(shape) + (1j * random.standard_normal(shape) if dtype == "complex" else 0)

    kind = random.randint(12)
    if kind == 0:
        return normal(m, 1) @ normal(1, n)
    if kind == 1:
        return normal(m, n) * (random.uniform(size=(m, 1)) < 0.5)
    if kind == 2:
        return np.eye(m, n)
    if kind == 3:
        return np.ones((m, n))
    if kind == 4:
        return np.eye(m, n)[:, random.permutation(n)] * random.choice([-1, 1], n)
    if kind == 5:
        return normal(m, n) * 10.0 ** random.uniform(-4, 0, (m, 1))
    if kind == 6:
        return np.where(np.arange(m * n).reshape(m, n) == random.randint(m * n), 1.3, 0)
    if kind == 7:
        return random.randint(-2, 3, (m, n)).astype(float)
    if kind == 8:
        return np.pad(np.diag(10.0 ** random.uniform(-3, 0, k)), ((0, m - k), (0, n - k)))
    if kind == 9:
        spectrum, cond = random.choice(list(cases.SPECTRA)), 10.0 ** random.uniform(0, 5)
        return cases.matrix((m, n), spectrum=spectrum, cond=cond, seed=random.randint(10**6), dtype=dtype + "128"
                            if dtype == "complex" else "float64")  # fmt: skip
    return np.abs(normal(m, n)) if kind == 10 else normal(m, n)


def draw(random):
    """A precision, a way to compute, a claim and a matrix."""
    precision = random.choice(["bfloat16", "float16", "float32", "float64"])
    wide = precision in ("float32", "float64")
    dtype = "complex" if wide and random.uniform() < 0.25 else "float"
    way = random.choice([*STANDARD, *GRAM, *GRAM])
    schedule = schedules.get(random.choice(NAMES))
    steps = random.randint((len(schedule.rows) if schedule.past == "stop" else 8) + 1)
    restart = ()
    if way in GRAM and steps > 1:
        restart = tuple(sorted({int(k) for k in random.randint(1, steps, random.randint(3))}))
    m, n = (1 if random.uniform() < 0.15 else random.randint(1, 20) for _ in range(2))
    a = matrix(random, m, n, dtype)
    if wide:
        a = a * 10.0 ** random.uniform(*((-7, 7) if precision == "float32" else (-70, 70)))
    elif a.any():  # squares of small numbers underflow in float16
        a = a / np.max(np.abs(a))
    format_ = {"float32": "complex64", "float64": "complex128"}.get(precision) if dtype == "complex" else precision
    a = cases.cast(a, format_)
    normalize = schedule.normalization.kind
    if random.uniform() < 0.3:
        normalize = str(random.choice(["frobenius", "schatten4", "spectral", "aol"]))
    size = float(np.linalg.norm(a)) ** (2 if normalize == "aol" else 1)
    claimed = iteration(
        schedule,
        steps=steps,
        normalize=normalize if normalize != schedule.normalization.kind else None,
        eps=0.0 if random.uniform() < 0.5 else size * float(10.0 ** random.uniform(-9, 0)),
        eps_rule=random.choice(["add", "clamp"]),
        form="gram" if way in GRAM else "standard",
        restart=restart,
    )
    return precision, way, claimed, a


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 40000
    torch.set_num_threads(1)
    random = np.random.RandomState(0)
    ratios, undecided, refused = defaultdict(list), defaultdict(int), 0
    largest: tuple[float, str] = (0.0, "")
    for _ in track(range(count), description="ports"):
        precision, way, claimed, a = draw(random)
        x = compute(a, claimed, precision, way)
        try:
            with np.errstate(all="ignore"):
                one = compare(a.astype(x.dtype), x, claimed, PRECISIONS[precision])
        except orthoref.OutsideDomain:  # the exact iteration diverges
            refused += 1
            continue
        if not one.decided:
            undecided[precision, way] += 1
            continue
        ratio = max(one.forward, LIMIT * one.direction)
        ratio = ratio if np.isfinite(ratio) else np.inf
        ratios[precision, way].append(ratio)
        largest = max(largest, (ratio, f"{precision}, {way}: {claimed}, {a.shape[0]} x {a.shape[1]}"))
    versions = f"Python {platform.python_version()}, numpy {version('numpy')}, torch {version('torch')}"
    lines = [
        "<!-- Written by docs/make_false_alarms.py: do not edit. -->",
        "",
        (
            f"{count} matrices from 1 x 1 to 19 x 19, {datetime.date.today().isoformat()}, {platform.machine()} "
            f"{platform.system()}, {versions}. For {refused} of them the claimed iteration itself diverges. "
            f"Above the limit: {sum(ratio > LIMIT for each in ratios.values() for ratio in each)}. "
            f"The largest: {largest[0]:.3g} ({largest[1]})."
        ),
        "",
        "| precision | port | judged | not judged | median | 99 % | 99.9 % | largest |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for precision in ("bfloat16", "float16", "float32", "float64"):
        for way in (*STANDARD, *GRAM):
            seen = ratios[precision, way]
            shown = " | ".join(f"{q:.2g}" for q in np.quantile(seen, (0.5, 0.99, 0.999, 1)))
            lines.append(f"| {precision} | {way} | {len(seen)} | {undecided[precision, way]} | {shown} |")
    Path(__file__).with_name("false_alarms_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
