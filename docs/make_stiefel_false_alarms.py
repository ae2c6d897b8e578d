"""Right ports of maps on the Stiefel manifold on random and hard points and tangents: how near to the limits?

Writes docs/stiefel_false_alarms_table.md, after every seed. Run by hand:
python docs/make_stiefel_false_alarms.py [RUNS OF A SEED [FIRST SEED [SEEDS]]]

Needs torch and SciPy. Ports work in float32, float64 or complex numbers of either; for bfloat16 and float16 points,
tangents and results are rounded to the format and everything between is float32, as accelerators do it.
"""

from __future__ import annotations

import datetime
import os
import platform
import sys
import time
from collections import defaultdict
from functools import partial
from importlib.metadata import version
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import scipy.linalg
import torch
from rich.progress import track

import orthoref
from orthoref.oracle import cases
from orthoref.oracle.autodiff import derivative
from orthoref.oracle.lift import Lifted
from orthoref.oracle.operations import GEOMETRY, TANGENT_MAPS
from orthoref.oracle.precision import PRECISIONS

ROWS = GEOMETRY | TANGENT_MAPS
FORMATS = ("float32", "float64", "complex64", "complex128", "bfloat16", "float16")
SHORT = ("bfloat16", "float16")
LARGE = 0.02  # share of points up to 200 x 60
C = {"euclidean": 1.0, "canonical": 0.5}


def ct(x):
    return x.conj().T


def herm(x):
    return (x + ct(x)) / 2


def skew(x):
    return (x - ct(x)) / 2


# --- ports: one matrix each ------------------------------------------------------------------------------------------


def householder(x, v):
    q, r = np.linalg.qr(x + v)
    d = np.diagonal(r)
    return q * (d / np.abs(d))


def torch_householder(x, v):
    q, r = torch.linalg.qr(torch.from_numpy(x + v))
    return (q * torch.sgn(torch.diagonal(r))).numpy()


def cholesky_pass(a):
    return scipy.linalg.solve_triangular(np.linalg.cholesky(ct(a) @ a), ct(a), lower=True).conj().T


def cholesky(x, v):
    return cholesky_pass(x + v)


def cholesky_twice(x, v):
    return cholesky_pass(cholesky_pass(x + v))


def cholesky_of_v(x, v):
    """R^H R = I + V^H V."""
    return scipy.linalg.solve_triangular(np.linalg.cholesky(np.eye(x.shape[1], dtype=x.dtype) + ct(v) @ v), ct(x + v),
                                         lower=True).conj().T  # fmt: skip


def gram_schmidt(a):
    """Modified."""
    q = a.copy()
    for j in range(a.shape[1]):
        q[:, j] /= np.linalg.norm(q[:, j])
        q[:, j + 1 :] -= np.outer(q[:, j], q[:, j].conj() @ q[:, j + 1 :])
    return q


def gram_schmidt_twice(x, v):
    return gram_schmidt(gram_schmidt(x + v))


def polar_svd(x, v):
    p, _, wh = np.linalg.svd(x + v, full_matrices=False)
    return p @ wh


def polar_gram(x, v):
    a = x + v
    s, w = np.linalg.eigh(ct(a) @ a)
    return a @ (w / np.sqrt(s)) @ ct(w)


def polar_newton(x, v):
    q, y = np.linalg.qr(x + v)
    for _ in range(30):
        y = (y + ct(np.linalg.inv(y))) / 2
    return q @ y


def polar_newton_schulz(x, v):
    y = x + v
    y = y / np.linalg.norm(y, 2)
    for _ in range(30):
        y = y @ (3 * np.eye(y.shape[1], dtype=y.dtype) - ct(y) @ y) / 2
    return y


def polar_scipy(x, v):
    return scipy.linalg.polar(x + v)[0]


def cayley_p(x, v):
    a = ct(x) @ v
    z = v - x @ a
    m = np.eye(len(a), dtype=x.dtype) - skew(a) / 2 + ct(z) @ z / 4
    return ct(np.linalg.solve(ct(m), ct(2 * x + z))) - x


def cayley_2p(x, v):
    pv = v - x @ (ct(x) @ v) / 2
    left, right = np.concatenate([pv, x], 1), np.concatenate([x, -pv], 1)
    k = np.eye(left.shape[1], dtype=x.dtype) - ct(right) @ left / 2
    return x + left @ np.linalg.solve(k, ct(right) @ x)


def cayley_n(x, v):
    one = np.eye(len(x), dtype=x.dtype)
    p = one - x @ ct(x) / 2
    w = p @ v @ ct(x) - x @ ct(v) @ p
    return np.linalg.solve(one - w / 2, x + w @ x / 2)


def expm_taylor(s):
    """Degree 18, theta = 1. (torch.matrix_exp 2.13 is wrong in the seventh digit where 3.4e-4 < |S|_1 < 0.05.)"""
    squarings = max(0, int(np.ceil(np.log2(max(np.abs(s).sum(0).max(), 1e-9)))))
    s, one = s / 2.0**squarings, np.eye(len(s), dtype=s.dtype)
    found = one
    for k in range(18, 0, -1):
        found = one + s @ found / k
    for _ in range(squarings):
        found = found @ found
    return found.astype(s.dtype)


def expm_eigh(s):
    w, q = np.linalg.eigh(-1j * s)
    found = (q * np.exp(1j * w)) @ ct(q)
    return (found if np.iscomplexobj(s) else found.real).astype(s.dtype)


def expm_pade(s):
    """[13/13], theta = 5.37 in the 1-norm."""
    b = [64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
         10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0,
         1.0]  # fmt: skip
    b = [each / b[0] for each in b]
    squarings = max(0, int(np.ceil(np.log2(max(np.abs(s).sum(0).max() / 5.37, 1e-9)))))
    s, one = s / 2.0**squarings, np.eye(len(s), dtype=s.dtype)
    s2 = s @ s
    s4 = s2 @ s2
    s6 = s4 @ s2
    u = s @ (s6 @ (b[13] * s6 + b[11] * s4 + b[9] * s2) + b[7] * s6 + b[5] * s4 + b[3] * s2 + b[1] * one)
    w = s6 @ (b[12] * s6 + b[10] * s4 + b[8] * s2) + b[6] * s6 + b[4] * s4 + b[2] * s2 + b[0] * one
    found = np.linalg.solve(w - u, w + u)
    for _ in range(squarings):
        found = found @ found
    return found.astype(s.dtype)


def exp_2p(expm, x, v, c):
    """[X, Q] exp([[2 c A, -B^H], [B, 0]]) [I; 0] exp((1 - 2 c) A), Z = Q B."""
    p = x.shape[1]
    a = skew(ct(x) @ v)
    q, b = np.linalg.qr(v - x @ (ct(x) @ v))
    if len(x) < 2 * p:  # Q has to be orthogonal to X where Z has not full rank
        q, b = beside(x, v)
    s = np.block([[2 * c * a, -ct(b)], [b, np.zeros((len(b), len(b)))]]).astype(x.dtype)
    return np.concatenate([x, q], 1) @ expm(s)[:, :p] @ expm(((1 - 2 * c) * a).astype(x.dtype))


def beside(x, v):
    """An orthonormal complement of X, and the coordinates of Z in it."""
    full = np.linalg.qr(x, mode="complete")[0]
    q = full[:, x.shape[1] :]
    return q, ct(q) @ v


def exp_complement(expm, x, v, c):
    p = x.shape[1]
    a, (q, b) = skew(ct(x) @ v), beside(x, v)
    s = np.block([[2 * c * a, -ct(b)], [b, np.zeros((len(b), len(b)))]]).astype(x.dtype)
    return np.concatenate([x, q], 1) @ expm(s)[:, :p] @ expm(((1 - 2 * c) * a).astype(x.dtype))


def exp_n(expm, x, v, c):
    a = ct(x) @ v
    z = v - x @ a
    omega = 2 * c * x @ skew(a) @ ct(x) + z @ ct(x) - x @ ct(z)
    return expm(omega.astype(x.dtype)) @ x @ expm(((1 - 2 * c) * skew(a)).astype(x.dtype))


def project(x, v):
    return v - x @ herm(ct(x) @ v)


def project_in_parts(x, v):
    a = ct(x) @ v
    return (v - x @ a) + x @ skew(a)


def project_averaged(x, v):
    """(2 V - X X^H V - X V^H X)/2."""
    return v - (x @ (ct(x) @ v) + (x @ ct(v)) @ x) / 2


def gradient_direct(x, g, c):
    return project(x, g) if c == 1 else g - x @ (ct(g) @ x)


def gradient_in_parts(x, g, c):
    a = ct(x) @ g
    return (g - x @ a) + x @ skew(a) / c


def gradient_n(x, g, c):
    """Of the canonical metric 2 skew(G X^H) X less half of what it has outside: (I - X X^H/2) ..."""
    w = g @ ct(x) - x @ ct(g)
    return w @ x if c == 0.5 else w @ x - x @ (ct(x) @ (w @ x)) / 2


def in_torch(name):
    """Forward passes whose derivative torch finds."""

    def qr(x, v):
        q, r = torch.linalg.qr(x + v)
        return q * torch.sgn(torch.diagonal(r))

    def cholesky(x, v):
        a = x + v
        return torch.linalg.solve_triangular(torch.linalg.cholesky(a.mH @ a).mH, a, upper=True, left=False)

    def newton_schulz(x, v):
        y = x + v
        y = y / torch.linalg.matrix_norm(y, 2).detach()
        for _ in range(24):
            y = y @ (3 * torch.eye(y.shape[1], dtype=y.dtype) - y.mH @ y) / 2
        return y

    def cayley(x, v):
        a = x.mH @ v
        z = v - x @ a
        m = torch.eye(len(a), dtype=x.dtype) - (a - a.mH) / 4 + z.mH @ z / 4
        return torch.linalg.solve(m, 2 * x + z, left=False) - x

    def expm(s):
        found = one = torch.eye(len(s), dtype=s.dtype)
        for k in range(12, 0, -1):
            found = one + s @ found / (64 * k)
        for _ in range(6):
            found = found @ found
        return found

    def exponential(x, v):
        a = x.mH @ v
        z = v - x @ a
        turn = (a - a.mH) / 2
        omega = 2 * x @ turn @ x.mH + z @ x.mH - x @ z.mH
        return expm(omega) @ x @ expm(-turn)

    def projection(x, v):
        a = x.mH @ v
        return v - x @ (a + a.mH) / 2

    return {each.__name__: each for each in (qr, cholesky, newton_schulz, cayley, exponential, projection)}[name]


def pulled(name):
    vjp = derivative(in_torch(name), "torch", "vjp", inputs=2)
    return lambda *arrays: [each.resolve_conj().numpy() for each in vjp(*map(torch.from_numpy, arrays))]


EXPONENTIALS = {
    "2p x 2p, SciPy": partial(exp_2p, scipy.linalg.expm),
    "2p x 2p, Taylor": partial(exp_2p, expm_taylor),
    "2p x 2p, Pade": partial(exp_2p, expm_pade),
    "2p x 2p, eigenvalues": partial(exp_2p, expm_eigh),
    "complement, SciPy": partial(exp_complement, scipy.linalg.expm),
    "n x n, SciPy": partial(exp_n, scipy.linalg.expm),
    "n x n, Taylor": partial(exp_n, expm_taylor),
    "n x n, eigenvalues": partial(exp_n, expm_eigh),
}
PORTS = {
    "stiefel.project": {"V - X herm": project, "in parts": project_in_parts, "averaged": project_averaged},
    "stiefel.gradient": {"direct": gradient_direct, "in parts": gradient_in_parts, "n x n": gradient_n},
    "stiefel.retract_qr": {"Householder": householder, "Householder, torch": torch_householder, "Cholesky": cholesky,
                           "Cholesky twice": cholesky_twice, "Cholesky of I + V^H V": cholesky_of_v,
                           "Gram-Schmidt twice": gram_schmidt_twice},
    "stiefel.retract_polar": {"SVD": polar_svd, "Gram": polar_gram, "Newton": polar_newton, "SciPy": polar_scipy,
                              "Newton-Schulz": polar_newton_schulz},
    "stiefel.retract_cayley": {"p x p": cayley_p, "2p x 2p": cayley_2p, "n x n": cayley_n},
    "stiefel.exp": EXPONENTIALS,
    "stiefel.project_vjp": {"torch": pulled("projection")},
    "stiefel.retract_qr_vjp": {"QR, torch": pulled("qr"), "Cholesky, torch": pulled("cholesky")},
    "stiefel.retract_polar_vjp": {"Newton-Schulz, torch": pulled("newton_schulz")},
    "stiefel.retract_cayley_vjp": {"p x p, torch": pulled("cayley")},
    "stiefel.exp_vjp": {"n x n, torch": pulled("exponential")},
}  # fmt: skip
METRICS = ("stiefel.gradient", "stiefel.exp")


# --- points and tangents ---------------------------------------------------------------------------------------------


def shape(random):
    """Small, a few larger, squares and columns among them."""
    p = 1 if random.uniform() < 0.15 else int(random.randint(1, 13))
    if random.uniform() < LARGE:
        p = int(random.randint(13, 61))
        return int(min(200, p + random.randint(0, 4 * p))), p
    return (p, p) if random.uniform() < 0.2 else (int(p + random.randint(0, 25)), p)


def point(random, n, p, dtype):
    """A kind of point, in double precision."""
    wide = "complex128" if dtype.startswith("complex") else "float64"
    kinds = {
        "Haar": lambda: cases.matrix((n, p), structure="orthonormal", dtype=wide, seed=random.randint(10**6)),
        "columns of I": lambda: np.eye(n, p),
        "permutation": lambda: cases.matrix((n, p), structure="permutation", dtype=wide, seed=random.randint(10**6)),
        "signs": lambda: cases.matrix((n, p), structure="monomial", spectrum="repeated", cond=1.0, dtype=wide,
                                      seed=random.randint(10**6)),
        "near I": lambda: np.linalg.qr(np.eye(n, p) + 1e-6 * random.standard_normal((n, p)))[0],
        "reflector": lambda: reflector(random.standard_normal(n))[:, :p],
        "Fourier": lambda: np.linalg.qr(np.cos(np.pi * np.outer(np.arange(n) + 0.5, np.arange(p)) / n))[0],
    }  # fmt: skip
    kind = str(random.choice(list(kinds)))
    return kind, np.asarray(kinds[kind]()).astype(wide)


def reflector(u):
    return np.eye(len(u)) - 2 * np.outer(u, u) / (u @ u)


def tangent(random, x):
    """A kind of tangent of a random length from 1e-9 to 12."""
    n, p = x.shape
    complex_ = np.iscomplexobj(x)

    def normal(*shape):
        return random.standard_normal(shape) + (1j * random.standard_normal(shape) if complex_ else 0)

    g = normal(n, p)
    z = g - x @ (ct(x) @ g)
    turn = np.diag(np.resize([1.0, 1.0, 0.5], max(p - 1, 0)), 1)
    kinds = {
        "generic": lambda: x @ skew(ct(x) @ g) + z,
        "vertical": lambda: x @ skew(ct(x) @ g),
        "horizontal": lambda: z,
        "rank one": lambda: (u := normal(n, 1)) @ ct(w := normal(p, 1)) - x @ herm(ct(x) @ u @ ct(w)),
        "equal singular values": lambda: np.linalg.qr(z)[0] if n >= 2 * p else x @ skew(normal(p, p)),
        "graded": lambda: (z * 10.0 ** -np.linspace(0, 8, p)) + x @ skew(ct(x) @ g) * 1e-4,
        "plane rotations": lambda: x @ skew(turn),
        "mostly vertical": lambda: x @ skew(ct(x) @ g) + 1e-6 * z,
        "one column": lambda: z * (np.arange(p) == 0),
    }
    kind = str(random.choice(list(kinds)))
    v = kinds[kind]()
    v = v - x @ herm(ct(x) @ v)
    size = np.linalg.norm(v)
    length = 0.0 if random.uniform() < 0.02 else 10.0 ** random.uniform(-9, 1.08)
    return kind, v / size * length if size > 1e-12 else 0 * v


def draw(random):
    """An operation, a port, a format, its inputs, what it claims, and a description."""
    every = [(operation, name) for operation, ports in PORTS.items() for name in ports]
    operation, name = every[random.randint(len(every))]
    dtype = str(random.choice(FORMATS if "_vjp" not in operation and operation != "stiefel.exp" else FORMATS[:4]))
    n, p = shape(random)
    if operation.startswith("stiefel.exp"):  # whose truth takes long
        n, p = min(n, 40), min(p, 12)
    of_x, x = point(random, n, p, dtype)
    of_v, v = tangent(random, x)
    if operation in ("stiefel.project", "stiefel.gradient", "stiefel.project_vjp"):
        of_v, v = "any matrix", v + x @ herm(random.standard_normal((p, p))) * 10.0 ** random.uniform(-6, 2)
    bar = [random.standard_normal((n, p)) + (1j * random.standard_normal((n, p)) if np.iscomplexobj(x) else 0)]
    arrays = [cases.cast(each, dtype) for each in (x, v, *(bar if operation.endswith("_vjp") else []))]
    claims = {"metric": str(random.choice(list(C)))} if operation in METRICS else {}
    said = f"{operation} {name}, {dtype}, {n} x {p}, {of_x}, {of_v}, |V| = {np.linalg.norm(v):.2g} {claims or ''}"
    return operation, name, dtype, arrays, claims, said


def scores(operation, name, dtype, arrays, claims):
    """Ratios over limits by check; None if it is not judged."""
    row = ROWS[operation]
    claimed = row.claim(**claims)
    port = PORTS[operation][name]
    with np.errstate(all="ignore"):
        found = port(*(each.copy() for each in arrays), *([claimed.c] if claims else []))
        found = [cases.cast(each, dtype) for each in (found if isinstance(found, list) else [found])]
        inputs = {each: Lifted(widened(x), dtype) for each, x in zip(row.inputs, arrays, strict=True)}
        outputs = {each: Lifted(widened(x), dtype) for each, x in zip(row.outputs, found, strict=True)}
        precision = PRECISIONS[{"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)]
        measured = row.measure(inputs, outputs, claimed, precision, row.limit)
    if not np.all(measured.judged):
        return None if all(each.holds.all() for each in measured.measurements) else {"not judged": np.inf}
    return {each.name: float(each.ratio / each.limit) for each in measured.measurements}


def widened(x):
    return x.astype(np.complex128 if np.iscomplexobj(x) else np.float64)


# --- table -----------------------------------------------------------------------------------------------------------


def quantiles(values):
    values = np.sort(values)
    return " | ".join(f"{float(each):.2g}" for each in (np.median(values), np.quantile(values, 0.99), values[-1]))


def table(seeds, runs, worst, undecided, refused, checks):
    lines = [
        "<!-- Written by docs/make_stiefel_false_alarms.py: do not edit. -->",
        "",
        f"{runs} runs, seeds {seeds[0]} to {seeds[-1]}, {datetime.date.today().isoformat()}, {platform.machine()} "
        f"{platform.system()}, Python {platform.python_version()}, "
        + ", ".join(f"{each} {version(each)}" for each in ("numpy", "scipy", "torch"))
        + f", orthoref {orthoref.__version__}. Refused: {len(refused)}. Ratios are over their limits: above 1 a port "
        "is refused.",
        "",
        *(f"- refused: {each}" for each in refused[:20]),
        *([""] if refused else []),
        "| judged as | port | judged | not judged | median | 99 % | largest |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for key in ((operation, name) for operation, ports in PORTS.items() for name in ports):
        values = [each for (operation, name, _), found in worst.items() if (operation, name) == key for each in found]
        open_ = sum(count for (operation, name, _), count in undecided.items() if (operation, name) == key)
        if values:
            lines.append(f"| `{key[0]}` | {key[1]} | {len(values)} | {open_} | {quantiles(values)} |")
    lines += ["", "By format and check:", "", "| format | judged as | check | judged | median | 99 % | largest |",
              "| --- | --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for (dtype, operation, check), values in sorted(checks.items()):
        lines.append(f"| {dtype} | `{operation}` | {check} | {len(values)} | {quantiles(values)} |")
    Path(__file__).with_name("stiefel_false_alarms_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    size, first, count = (int(each) for each in (*sys.argv[1:], *("1000", "0", "10")[len(sys.argv) - 1 :]))
    worst, undecided, checks, refused, runs = defaultdict(list), defaultdict(int), defaultdict(list), [], 0
    began = time.process_time()
    for seed in range(first, first + count):
        random = np.random.RandomState(seed)
        for _ in track(range(size), description=f"seed {seed}"):
            operation, name, dtype, arrays, claims, said = draw(random)
            found = scores(operation, name, dtype, arrays, claims)
            runs += 1
            key = operation, name, dtype
            if found is None:
                undecided[key] += 1
                continue
            top = max(found, key=lambda each: found[each] if found[each] == found[each] else np.inf)
            if not found[top] <= 1:
                refused.append(f"{said}, seed {seed}: {top} {found[top]:.3g}")
                print(refused[-1], flush=True)
            worst[key].append(found[top])
            for check, value in found.items():
                checks[dtype, operation, check].append(value)
        table(range(first, seed + 1), runs, worst, undecided, refused, checks)
        print(f"seed {seed}: {runs} runs, {len(refused)} refused, {time.process_time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
