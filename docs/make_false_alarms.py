"""Random correct ports on random and structured matrices: how near to the limits do they come?

Writes the tables of docs/derivations/newton_schulz, after every seed. Run by hand:
python docs/make_false_alarms.py [MATRICES OF A SEED [FIRST SEED [SEEDS]]]

Needs torch. One port is one way to write the iteration down, in the arithmetic of torch on the CPU: nothing is fused,
norms are squared without scaling, so that matrices are of ordinary size. Polar factors and orthonormal columns are
computed in float32 or float64 and rounded once, of any scale.
"""

from __future__ import annotations

import datetime
import os
import platform
import sys
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from rich.progress import track

import orthoref
from orthoref import schedules
from orthoref.oracle import cases
from orthoref.oracle.lift import Lifted
from orthoref.oracle.newton_schulz.claim import Iteration, iteration
from orthoref.oracle.newton_schulz.ratios import LIMIT, compare
from orthoref.oracle.newton_schulz.row import ZERO
from orthoref.oracle.orthonormal.row import ROW as ORTHONORMAL_ROW
from orthoref.oracle.polar.row import ROW as POLAR_ROW
from orthoref.oracle.precision import PRECISIONS
from orthoref.oracle.verdict import judge

FORMATS = ("bfloat16", "float16", "float32", "float64")
LARGE = 0.03  # share of matrices up to 300 x 300
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


def compute(a, claimed, precision, way, turned=False):
    """The result of a port, as float64 or complex128; ``turned``: what comes after the norm, of X^H."""
    x = torch.from_numpy(a.copy())
    x = x if x.is_complex() else x.to(getattr(torch, precision))
    tall = x.shape[0] > x.shape[1]
    x = normalized(x.mH if tall else x, claimed)
    x = x.mH if turned else x
    rows = claimed.schedule.coefficients(claimed.steps)
    if way in GRAM:
        x = gram(x, rows, claimed.restart, *GRAM[way])
    else:
        for c in rows:
            x = STANDARD[way](x, c) if len(c) > 1 else c[0] * x
    x = (x.mH if tall != turned else x).resolve_conj()
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


class Draw(NamedTuple):
    """A port of the iteration and its input; ``turned``: a square X is taken from its other side."""

    precision: str
    way: str
    claimed: Iteration
    kind: str
    a: np.ndarray
    turned: bool

    def __str__(self) -> str:
        shape = f"{self.a.shape[0]} x {self.a.shape[1]}"
        turned = ", from the other side" if self.turned else ""
        return f"{self.precision}, {self.way}{turned}: {self.claimed}, {self.kind}, {self.a.dtype}, {shape}"


def draw(random, large=LARGE):
    """A precision, a way to compute, a claim, the kind of matrix and a matrix; a share of large ones."""
    precision = str(random.choice(FORMATS))
    wide = precision in ("float32", "float64")
    dtype = "complex" if wide and random.uniform() < 0.25 else "float"
    way = str(random.choice([*STANDARD, *GRAM]))
    schedule = schedules.get(random.choice(NAMES))
    steps = random.randint((len(schedule.rows) if schedule.past == "stop" else 8) + 1)
    restart = ()
    if way in GRAM and steps > 1:
        restart = tuple(sorted({int(k) for k in random.randint(1, steps, random.randint(3))}))
    m, n = shape(random, large)
    m = n if random.uniform() < 0.2 else m
    kind, a = matrix(random, m, n, dtype)
    if wide:
        a = a * 10.0 ** random.uniform(*((-7, 7) if precision == "float32" else (-70, 70)))
    elif a.any():  # squares of small numbers underflow in float16, and sums of all squares overflow from 65520 on
        a = a / np.max(np.abs(a)) * (0.5 if a.size > 2**15 else 1.0)
    a = cases.cast(a, dtype_of(precision, dtype))
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
    return Draw(precision, way, claimed, kind, a, m == n and random.uniform() < 0.5)


def dtype_of(precision, kind):
    """The name of a dtype."""
    return {"float32": "complex64", "float64": "complex128"}[precision] if kind == "complex" else precision


def scores(drawn, x=None):
    """Every ratio over its limit, of all that a port (with the result x) is refused for; None if it overflows."""
    if x is None:
        x = compute(drawn.a, drawn.claimed, drawn.precision, drawn.way, drawn.turned)
    if not np.isfinite(x).all():
        return None
    with np.errstate(all="ignore"):
        one = compare(drawn.a.astype(x.dtype), x, drawn.claimed, PRECISIONS[drawn.precision])
    found = {}
    if one.decided:
        found["forward"] = one.forward / one.limit(LIMIT)
    else:
        found["far"] = one.forward * one.unit / one.far if np.isfinite(one.far) else 0.0
        found["largest"] = one.largest
        found["zero"] = np.inf if one.unit <= ZERO and not x.any() else 0.0
    if one.determined.any():
        found |= {"entries": one.entries / LIMIT, "entry": one.entry}
    if one.decided or one.determined.any():
        found["direction"] = one.direction
    if one.sharp:
        found["multiple"] = one.multiple / one.most
    return found


# Polar factors and orthonormal columns. Each way takes a torch tensor in the format that it computes in, float32 where
# results are stored in 16 bits, and says for which matrices it is backward stable.


def h_of(u, a, side):
    """The Hermitian part of U^H A, or of A U^H."""
    h = u.mH @ a if side == "right" else a @ u.mH
    return (h + h.mH) / 2


def by_svd(a, side, store):
    p, s, vh = torch.linalg.svd(a, full_matrices=False)
    s = s.to(a.dtype)
    return p @ vh, (vh.mH * s) @ vh if side == "right" else (p * s) @ p.mH


def by_svd_of_stored_vectors(a, side, store):
    p, s, vh = torch.linalg.svd(a, full_matrices=False)
    p, s, vh = store(p), s.to(a.dtype), store(vh)
    return p @ vh, (vh.mH * s) @ vh if side == "right" else (p * s) @ p.mH


def by_svd_and_product(a, side, store):
    p, _, vh = torch.linalg.svd(a, full_matrices=False)
    return p @ vh, h_of(p @ vh, a, side)


def by_svd_and_product_of_stored(a, side, store):
    p, _, vh = torch.linalg.svd(a, full_matrices=False)
    u = store(p @ vh)
    return u, h_of(u, a, side)


def partial_by_svd(a, side, store):
    p, s, vh = torch.linalg.svd(a, full_matrices=False)
    s = torch.where(s > max(8, len(s)) * torch.finfo(s.dtype).eps * s[0], s, torch.zeros_like(s))
    u = (p * (s > 0)) @ vh
    return u, (vh.mH * s.to(a.dtype)) @ vh if side == "right" else (p * s.to(a.dtype)) @ p.mH


def by_newton(a, side, store):
    """X <- (g X + X^-H/g)/2, scaled by Frobenius norms while it is far from unitary; of R if A = Q R is not square."""
    tall = a if a.shape[0] >= a.shape[1] else a.mH
    q, x = torch.linalg.qr(tall)
    for _ in range(60):
        inverse = torch.linalg.inv(x).mH
        g = (torch.linalg.vector_norm(inverse) / torch.linalg.vector_norm(x)) ** 0.5
        g = g if abs(g - 1) > 0.01 else 1.0
        before, x = x, (g * x + inverse / g) / 2
        if torch.linalg.vector_norm(x - before) <= 1e-3 * torch.finfo(x.dtype).eps ** 0.5:
            break
    u = q @ x
    u = u if tall is a else u.mH
    return u, h_of(u, a, side)


def by_qdwh(a, side, store):
    return tuple(torch.from_numpy(each) for each in orthoref.polar(a.resolve_conj().numpy(), side=side, method="qdwh"))


def by_eigenvectors(a, side, store):
    tall = a if a.shape[0] >= a.shape[1] else a.mH
    t, v = torch.linalg.eigh(tall.mH @ tall)
    u = tall @ (v * t.to(a.dtype) ** -0.5) @ v.mH
    u = u if tall is a else u.mH
    return u, h_of(u, a, side)


POLAR = {  # the largest condition number, in units of 1/eps, or for 1 itself
    "SVD": (by_svd, np.inf),
    "SVD, vectors stored": (by_svd_of_stored_vectors, np.inf),
    "SVD, H = U^H A": (by_svd_and_product, np.inf),
    "SVD, H of the stored U": (by_svd_and_product_of_stored, np.inf),
    "SVD, partial": (partial_by_svd, np.inf),
    "Newton": (by_newton, 1e-2),
    "QDWH": (by_qdwh, np.inf),
    "eigenvectors of A^H A": (by_eigenvectors, 0.0),
}
WELL = 3.0  # condition number up to which A^H A loses nothing


def by_qr(a):
    return torch.linalg.qr(a)[0]


def left_vectors(a):
    return torch.linalg.svd(a, full_matrices=False)[0]


def eigenvectors(a):
    return torch.linalg.eigh(a @ a.mH)[1]


def reflectors(a):
    """The first columns of the product of Householder matrices."""
    return torch.linalg.qr(a, mode="complete")[0][:, : a.shape[1]]


def unitary_factor(a):
    p, _, vh = torch.linalg.svd(a, full_matrices=False)
    return p @ vh


ORTHONORMAL = {
    "QR": by_qr,
    "product of reflectors": reflectors,
    "singular vectors": left_vectors,
    "eigenvectors": eigenvectors,
    "unitary polar factor": unitary_factor,
}


class Factors(NamedTuple):
    """A port of a row other than the iteration, its input and its outputs."""

    row: str
    precision: str
    way: str
    claimed: Any
    kind: str
    a: np.ndarray
    outputs: dict[str, np.ndarray]

    def __str__(self) -> str:
        shape = f"{self.a.shape[0]} x {self.a.shape[1]}"
        return f"{self.row}, {self.precision}, {self.way}: {self.claimed}, {self.kind}, {self.a.dtype}, {shape}"


def draw_factors(random, row, large=LARGE):
    """Polar factors or orthonormal columns as they come from a right port; of 16-bit formats rounded at the end."""
    precision = str(random.choice(FORMATS))
    fine = "float32" if precision != "float64" else "float64"
    wide = precision in ("float32", "float64")
    dtype = "complex" if wide and random.uniform() < 0.25 else "float"
    kind, a = matrix(random, *shape(random, large), dtype)
    a = a / (np.max(np.abs(a), initial=0.0) or 1.0)
    reach = {"float16": (-4, 1), "float64": (-200, 200)}.get(precision, (-25, 25))
    a = cases.cast(a * 10.0 ** random.uniform(*reach), dtype_of(precision, dtype))

    def store(x):
        return x if wide else x.to(getattr(torch, precision)).to(x.dtype)

    exponent = int(np.frexp(np.max(np.abs(a), initial=0.0))[1])
    scaled = torch.from_numpy(a * np.asarray(2.0**-exponent, a.real.dtype))
    if row == "orthonormal":
        way, claimed = str(random.choice(list(ORTHONORMAL))), None
        tall = scaled if a.shape[0] >= a.shape[1] else scaled.mH
        q = ORTHONORMAL[way](tall)
        outputs = {"q": q if random.uniform() < 0.7 else q.mH}
    else:
        s = np.linalg.svd(scaled.numpy().astype(np.complex128), compute_uv=False)
        cond = s[0] / s[-1] if s[-1] > 0 else np.inf
        stable = [way for way, (_, most) in POLAR.items() if cond <= max(WELL, most / PRECISIONS[fine].eps)]
        ways = [way for way in stable if not wide or "stored" not in way]
        way, side = str(random.choice(ways)), str(random.choice(["right", "left"]))
        claimed = POLAR_ROW.claim(side=side, rank_deficient="partial" if way == "SVD, partial" else "complete")
        u, h = POLAR[way][0](scaled, side, store)
        outputs = {"u": u, "h": h * 2.0**exponent} if random.uniform() < 0.7 else {"u": u}
    outputs = {name: store(x).resolve_conj().numpy() for name, x in outputs.items()}
    return Factors(row, precision, way, claimed, kind, a, outputs)


def scores_of_factors(drawn):
    """Every ratio over its limit; None if it overflows."""
    if not all(np.isfinite(x).all() for x in drawn.outputs.values()):
        return None

    def lifted(x):
        full = np.complex128 if np.iscomplexobj(x) else np.float64
        short = drawn.precision in ("bfloat16", "float16")
        return Lifted(x.astype(full), drawn.precision if short else str(x.dtype))

    row = POLAR_ROW if drawn.row == "polar" else ORTHONORMAL_ROW
    inputs = {name: lifted(drawn.a) for name in row.inputs}
    outputs = {name: lifted(x) for name, x in drawn.outputs.items()}
    verdict = judge(row, inputs, outputs, drawn.claimed, precision=PRECISIONS[drawn.precision], reasons=False)
    found = {check.name: check.ratio / check.limit for check in verdict.checks}
    return found | ({"fault": np.inf} if verdict.faults else {})


class Seen:
    """What the runs of a table have scored."""

    def __init__(self) -> None:
        self.ways, self.checks, self.kinds = defaultdict(list), defaultdict(list), defaultdict(list)
        self.undecided, self.overflows, self.outside = defaultdict(int), defaultdict(int), 0
        self.refused, self.largest = 0, defaultdict(lambda: (0.0, ""))

    def add(self, drawn, found) -> None:
        """One run."""
        row = getattr(drawn, "row", "newton_schulz")
        key = row, drawn.precision, drawn.way
        if found is None:
            self.overflows[key] += 1
            return
        found = {check: ratio if np.isfinite(ratio) else np.inf for check, ratio in found.items()}
        for check, ratio in found.items():
            self.checks[row, drawn.precision, check].append(ratio)
        # (LARGEST) is a bound, and what converges comes near to it
        rated = {check: ratio for check, ratio in found.items() if check != "largest" or ratio > 1} or {"none": 0.0}
        worst = max(rated, key=rated.get)
        ratio = rated[worst]
        self.largest[row] = max(self.largest[row], (ratio, f"{worst}: {drawn}"))
        if found.keys() <= {"far", "largest", "zero"}:  # nothing else was judged
            self.undecided[key] += 1
        else:
            self.ways[key].append(ratio)
            self.kinds[row, drawn.kind].append(ratio)
        self.refused += ratio > 1
        if not ratio <= 0.5:
            print(f"{worst} {ratio:.3g}: {drawn}", flush=True)


def quantiles(seen):
    """Cells of a table."""
    return " | ".join(f"{q:.2g}" for q in np.quantile(seen or [np.nan], (0.5, 0.99, 0.999, 1)))


def table(head, rows):
    """Lines of a table."""
    return [f"| {' | '.join(map(str, cells))} |" for cells in (head, ["---"] * len(head), *rows)]


def report(seen, count, seeds):
    """The tables."""
    versions = f"Python {platform.python_version()}, numpy {version('numpy')}, torch {version('torch')}"
    ratio, described = seen.largest["newton_schulz"]
    others = sum(len(each) for (row, *_), each in seen.ways.items() if row != "newton_schulz")
    lines = [
        "<!-- Written by docs/make_false_alarms.py: do not edit. -->",
        "",
        (
            f"{count} matrices from 1 x 1 to 300 x 300, seeds {seeds[0]} to {seeds[-1]}, "
            f"{datetime.date.today().isoformat()}, {platform.machine()} {platform.system()}, {versions}; beside them "
            f"{others} polar factors and orthonormal columns. Refused: {seen.refused}. Ratios are over their limits: "
            f"above 1 a port is refused. The largest of the iteration: {ratio:.3g} ({described}). "
            f"For {seen.outside} matrices the claimed iteration itself diverges."
        ),
    ]
    quantile = ("median", "99 %", "99.9 %", "largest")
    for row, (words, names) in ROWS.items():
        keys = [(row, precision, way) for precision in FORMATS for way in names]
        lines += ["", f"{words}, the largest ratio of each run:", ""]
        lines += table(
            ("precision", "port", "judged", "not judged", "overflows", *quantile),
            [
                (*key[1:], len(seen.ways[key]), seen.undecided[key], seen.overflows[key], quantiles(seen.ways[key]))
                for key in keys
                if seen.ways[key] or seen.undecided[key] or seen.overflows[key]
            ],
        )
        checks = sorted((key for key in seen.checks if key[0] == row), key=lambda key: (FORMATS.index(key[1]), key[2]))
        lines += ["", "By check:", ""]
        lines += table(
            ("precision", "check", "runs", *quantile),
            [(*key[1:], len(seen.checks[key]), quantiles(seen.checks[key])) for key in checks],
        )
    kinds = sorted((kind, each) for (row, kind), each in seen.kinds.items() if row == "newton_schulz")
    lines += ["", "The iteration by kind of matrix:", ""]
    lines += table(("kind", "judged", *quantile), [(kind, len(each), quantiles(each)) for kind, each in kinds])
    return "\n".join(lines) + "\n"


ROWS = {
    "newton_schulz": ("Newton-Schulz iterations", (*STANDARD, *GRAM)),
    "polar": ("Polar factors", tuple(POLAR)),
    "orthonormal": ("Orthonormal columns", tuple(ORTHONORMAL)),
}


def run(seed, count, seen) -> None:
    """One seed: so many iterations, for each eighth a polar decomposition, for each sixteenth orthonormal columns."""
    random = np.random.RandomState(seed)
    for k in range(count):
        drawn = draw(random)
        try:
            seen.add(drawn, scores(drawn))
        except orthoref.OutsideDomain:  # the exact iteration diverges
            seen.outside += 1
        for row, every in (("polar", 8), ("orthonormal", 16)):
            if k % every == 0:
                try:
                    factors = draw_factors(random, row)
                except torch.linalg.LinAlgError as error:  # of repeated singular values, once in ten thousand
                    print(f"seed {seed}, matrix {k}: {error}", flush=True)
                    continue
                seen.add(factors, scores_of_factors(factors))


def main() -> None:
    count, first, seeds = (int(x) for x in [*sys.argv[1:4], *("2000", "0", "50")[len(sys.argv) - 1 :]])
    torch.set_num_threads(1)
    seen = Seen()
    for k in track(range(seeds), description="seeds"):
        run(first + k, count, seen)  # the table grows with every seed
        text = report(seen, (k + 1) * count, range(first, first + k + 1))
        Path(__file__).with_name("false_alarms_table.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
