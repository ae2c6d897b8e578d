"""Random correct Newton-Schulz ports on random and structured matrices: how near to the limit do they come?

Writes the table of docs/derivations/newton_schulz. Run by hand: python docs/make_false_alarms.py [MATRICES [SEED]]

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


def polynomial_without_constant(g, c, times=torch.matmul):
    """S by Horner's rule."""
    s = c[-1] * g
    for a in c[-2:0:-1]:
        s = a * g + times(g, s)
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


def mirrored(y, z):
    """Y Z as kernels for Hermitian products compute it: a real diagonal, one triangle, and its mirror image."""
    product = y @ z
    lower = torch.tril(product, -1)
    return lower + lower.mH + torch.diag(torch.diagonal(product).real).to(product.dtype)


def gram(x, rows, restart, formed, update, times=torch.matmul):
    """Gram form; with P formed, and without: c_0 Q + Q S; Q multiplied from either side."""
    g, q = times(x, x.mH), None
    for k, c in enumerate(rows):
        if k in restart:
            x, q = q @ x, None
            g = times(x, x.mH)
        s = polynomial_without_constant(g, c, times) if len(c) > 1 else torch.zeros_like(g)
        p = s + c[0] * torch.eye(len(s), dtype=s.dtype)
        q = p if q is None else update(q, p) if formed else c[0] * q + update(q, s)
        if k + 1 < len(rows):
            half = times(g, p) if formed else c[0] * g + times(g, s)
            g = times(p, half) if formed else c[0] * half + times(s, half)
    return x if q is None else q @ x


def left(q, p):
    return p @ q


STANDARD = {"Horner": horner, "powers": powers, "chain": chain, "shifted": shifted}
GRAM = {
    "Gram, Q P": (True, torch.matmul),
    "Gram, P Q": (True, left),
    "Gram, c_0 Q + Q S": (False, torch.matmul),
    "Gram, c_0 Q + S Q": (False, left),
    "Gram, one triangle": (False, mirrored, mirrored),
}


def compute(a, claimed, precision, way):
    """The result of a port, as float64 or complex128."""
    x = torch.from_numpy(a.copy())
    x = x if x.is_complex() else x.to(getattr(torch, precision))
    tall = x.shape[0] > x.shape[1]
    x = normalized(x.mH if tall else x, claimed)
    rows = claimed.schedule.coefficients(claimed.steps)
    if way in GRAM:
        x = gram(x, rows, claimed.restart, *GRAM[way])
    else:
        for c in rows:
            x = STANDARD[way](x, c) if len(c) > 1 else c[0] * x
    x = (x.mH if tall else x).resolve_conj()
    return x.to(torch.complex128 if x.is_complex() else torch.float64).numpy()


def matrix(random, m, n, dtype):
    """Random, of a chosen spectrum, or with structure that repeats or separates entries or gives them one sign."""
    k = min(m, n)

    def normal(*shape):
        return random.standard_normal(shape) + (1j * random.standard_normal(shape) if dtype == "complex" else 0)

    def spectrum():
        chosen = {"spectrum": random.choice(list(cases.SPECTRA)), "cond": 10.0 ** random.uniform(0, 5)}
        full = "complex128" if dtype == "complex" else "float64"
        return cases.matrix((m, n), **chosen, seed=random.randint(10**6), dtype=full)

    rows, columns = np.arange(m)[:, None], np.arange(n)
    x, y = (rows + 0.5) / m, (columns + 0.5) / n
    frequency, entry, size = random.uniform(0, 10), random.randint(m * n), random.uniform(0.1, 1)
    turn = np.exp(2j * np.pi * random.uniform()) if dtype == "complex" else 1.0
    kinds = {
        "normal": lambda: normal(m, n),
        "rank one": lambda: normal(m, 1) @ normal(1, n),
        "low rank": lambda: normal(m, min(3, k)) @ normal(min(3, k), n),
        "zero rows": lambda: normal(m, n) * (random.uniform(size=(m, 1)) < 0.5),
        "identity": lambda: np.eye(m, n),
        "permutation": lambda: np.eye(m, n)[:, random.permutation(n)] * random.choice([-1, 1], n),
        "graded rows": lambda: normal(m, n) * 10.0 ** random.uniform(-4, 0, (m, 1)),
        "one entry": lambda: np.where(rows * n + columns == entry, 1.3, 0),
        "integers": lambda: random.randint(-2, 3, (m, n)).astype(float),
        "diagonal": lambda: np.pad(np.diag(10.0 ** random.uniform(-3, 0, k)), ((0, m - k), (0, n - k))),
        "spectrum": spectrum,
        "positive": lambda: np.abs(normal(m, n)),
        "constant": lambda: turn * size * np.ones((m, n)),
        "signs": lambda: size * random.choice([-1.0, 1.0], (m, n)),
        "triangular": lambda: size * random.choice([np.triu, np.tril])(np.ones((m, n))),
        "constant and noise": lambda: turn + 10.0 ** random.uniform(-7, 0) * normal(m, n),
        "constant and low rank": lambda: turn + 10.0 ** random.uniform(-3, 0) * normal(m, 1) @ normal(1, n),
        "cosine": lambda: np.cos(frequency * (x + 0.7 * y)) + 0.3 * np.cos(frequency * x * y),
        "kernel": lambda: 1 / (x + y + size),
        "bell": lambda: np.exp(-frequency * (x - y) ** 2),
        "minimum": lambda: np.minimum(x, y),
        "waves": lambda: np.cos(np.pi * x * columns),
        "equal moduli": lambda: size * np.exp(2j * np.pi * random.uniform(size=(m, n))),
        "equal moduli, rank one": lambda: size * np.exp(2j * np.pi * (random.uniform(size=(m, 1)) + frequency * y**2)),
        "Fourier": lambda: size * np.exp(2j * np.pi * rows * columns / max(m, n)),
    }
    kind = random.choice(list(kinds))
    result = kinds[kind]()
    return kind, result if dtype == "complex" else np.real(result)


def shape(random, large):
    """Small, since few entries do not average; a few up to 300, since long sums do not either."""
    if random.uniform() < large:
        return tuple(int(np.exp(random.uniform(np.log(8), np.log(301)))) for _ in range(2))
    return tuple(1 if random.uniform() < 0.15 else random.randint(1, 20) for _ in range(2))


def draw(random, large=0.1):
    """A precision, a way to compute, a claim, the kind of matrix and a matrix; a share of large ones."""
    precision = random.choice(["bfloat16", "float16", "float32", "float64"])
    wide = precision in ("float32", "float64")
    dtype = "complex" if wide and random.uniform() < 0.25 else "float"
    way = random.choice([*STANDARD, *GRAM])
    schedule = schedules.get(random.choice(NAMES))
    steps = random.randint((len(schedule.rows) if schedule.past == "stop" else 8) + 1)
    restart = ()
    if way in GRAM and steps > 1:
        restart = tuple(sorted({int(k) for k in random.randint(1, steps, random.randint(3))}))
    kind, a = matrix(random, *shape(random, large), dtype)
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
    return precision, way, claimed, kind, a


def ratio_of(precision, way, claimed, a):
    """The larger of both ratios, that of directions in units of its limit 1; None where nothing is judged."""
    x = compute(a, claimed, precision, way)
    with np.errstate(all="ignore"):
        one = compare(a.astype(x.dtype), x, claimed, PRECISIONS[precision])
    if not one.decided:
        return None
    ratio = max(one.forward / one.limit(LIMIT), one.direction) * LIMIT
    return ratio if np.isfinite(ratio) else np.inf


def quantiles(seen):
    """Cells of a table."""
    return " | ".join(f"{q:.2g}" for q in np.quantile(seen or [np.nan], (0.5, 0.99, 0.999, 1)))


def main() -> None:
    count, seed = (int(sys.argv[k]) if len(sys.argv) > k else default for k, default in ((1, 40000), (2, 0)))
    torch.set_num_threads(1)
    random = np.random.RandomState(seed)
    ratios, undecided, kinds, refused = defaultdict(list), defaultdict(int), defaultdict(list), 0
    largest: tuple[float, str] = (0.0, "")
    for _ in track(range(count), description="ports"):
        precision, way, claimed, kind, a = draw(random)
        try:
            ratio = ratio_of(precision, way, claimed, a)
        except orthoref.OutsideDomain:  # the exact iteration diverges
            refused += 1
            continue
        if ratio is None:
            undecided[precision, way] += 1
            continue
        ratios[precision, way].append(ratio)
        kinds[kind].append(ratio)
        described = f"{precision}, {way}: {claimed}, {kind}, {a.dtype}, {a.shape[0]} x {a.shape[1]}"
        if not ratio <= LIMIT / 2:
            print(f"{ratio:.3g}: {described}", flush=True)
        largest = max(largest, (ratio, described))
    versions = f"Python {platform.python_version()}, numpy {version('numpy')}, torch {version('torch')}"
    lines = [
        "<!-- Written by docs/make_false_alarms.py: do not edit. -->",
        "",
        (
            f"{count} matrices from 1 x 1 to 300 x 300, {datetime.date.today().isoformat()}, {platform.machine()} "
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
            lines.append(f"| {precision} | {way} | {len(seen)} | {undecided[precision, way]} | {quantiles(seen)} |")
    lines += ["", "By kind of matrix:", "", "| kind | judged | median | 99 % | 99.9 % | largest |"]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    lines += [f"| {kind} | {len(seen)} | {quantiles(seen)} |" for kind, seen in sorted(kinds.items())]
    Path(__file__).with_name("false_alarms_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
