"""Truth in more than 500 bits for the enclosures of maps on the Stiefel manifold, by other routes, and nasty inputs.

Complex matrices are real ones of twice the order, [[Re, -Im], [Im, Re]]. What is rational is computed without rounding;
the QR factor by Gram and Schmidt's process, the polar factor by Denman and Beavers's iteration, exponentials by Taylor
series, logarithms by a quasi-Newton iteration with residuals of n x n exponentials.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import log2
from typing import Any, NamedTuple

import numpy as np
from flint import acb, arb, arb_mat, ctx, fmpq, fmpq_mat

from orthoref import stiefel
from orthoref.oracle.stiefel.claim import METRICS

LOG_BITS = 700
BITS = 1000  # of the truth; what it lacks is below TINY
TINY = 2.0**-500
METRIC_FREE = ("project", "retract_qr", "retract_polar", "retract_cayley")
OPERATIONS = ("project", "gradient", "retract_qr", "retract_polar", "retract_cayley", "exp", "log")


def beta(metric: str | float) -> Fraction:
    """Weight of X^H V in the metric."""
    return Fraction(METRICS[metric]) if isinstance(metric, str) else 1 / (2 * (Fraction(metric) + 1))


def doubled(x: np.ndarray, kind: Any = fmpq_mat) -> Any:
    """The entries themselves, of complex matrices as a real one of twice the order."""
    if np.iscomplexobj(x):
        x = np.block([[x.real, -x.imag], [x.imag, x.real]])
    scalar = (lambda value: fmpq(*float(value).as_integer_ratio())) if kind is fmpq_mat else arb
    return kind(*x.shape, [scalar(value) for value in x.ravel()])


def halved(x: Any, complex_: bool) -> list[tuple[arb, arb]]:
    """Real and imaginary part of every entry."""
    rows = [[arb(value) for value in row] for row in x.tolist()]
    if not complex_:
        return [(value, arb(0)) for row in rows for value in row]
    n, p = len(rows) // 2, len(rows[0]) // 2
    return [(rows[i][j], rows[n + i][j]) for i in range(n) for j in range(p)]


def number(kind: Any, value: Fraction | int) -> Any:
    exact = fmpq(value.numerator, value.denominator)
    return exact if kind is fmpq_mat else arb(exact)


def one(like: Any, n: int) -> Any:
    return type(like)(n, n, [int(i == j) for i in range(n) for j in range(n)])


def herm(x: Any) -> Any:
    return (x + x.transpose()) * number(type(x), Fraction(1, 2))


def skew(x: Any) -> Any:
    return (x - x.transpose()) * number(type(x), Fraction(1, 2))


def project(x: Any, v: Any) -> Any:
    return v - x * herm(x.transpose() * v)


def gradient(x: Any, g: Any, c: Fraction) -> Any:
    inside = x.transpose() * g
    return g - x * inside + x * skew(inside) * number(type(x), 1 / c)


def generator(x: Any, v: Any, c: Fraction) -> tuple[Any, Any]:
    """W and D of e^W X e^D: W = T X^H - X T^H, T = V - (1 - c) X X^H V."""
    t = v - x * (x.transpose() * v) * number(type(x), 1 - c)
    return t * x.transpose() - x * t.transpose(), skew(x.transpose() * v) * number(type(x), 1 - 2 * c)


def cayley(x: Any, v: Any, on_manifold: bool) -> Any:
    """On the manifold (I - W/2)^-1 (I + W/2) X; near it by the matrix of order p."""
    half = number(type(x), Fraction(1, 2))
    if on_manifold:
        w = generator(x, v, Fraction(1, 2))[0] * half
        return (one(x, x.nrows()) - w).solve(x + w * x)
    inside = x.transpose() * v
    z = v - x * inside
    m = one(x, x.ncols()) - skew(inside) * half + z.transpose() * z * (half * half)
    return (x + x + z) * m.inv() - x


def gram_schmidt(columns: list[list[acb]]) -> list[list[acb]]:
    """Orthonormalized one by one."""
    done: list[list[acb]] = []
    for column in columns:
        for q in done:
            along = sum((z.conjugate() * y for z, y in zip(q, column, strict=True)), acb(0))
            column = [(y - along * z).mid() for z, y in zip(q, column, strict=True)]
        size = sum((y.real**2 + y.imag**2 for y in column), arb(0)).mid().sqrt()
        done.append([(y / size).mid() for y in column])
    return done


def polar(a: arb_mat) -> arb_mat:
    """A G^(-1/2), G = A^H A, by Denman and Beavers's iteration."""
    y = (a.transpose() * a).mid()
    scale = max(abs(value) for value in y.entries())  # which converges fast near 1
    y, z = (y * (1 / scale)).mid(), one(a, a.ncols())
    for _ in range(400):
        gap = y * z - one(a, a.ncols())
        if all(entry.abs_upper() < arb(2) ** -600 for entry in gap.entries()):
            return (a * z * (1 / scale.sqrt())).mid()
        y, z = ((y + z.inv()) * arb(0.5)).mid(), ((z + y.inv()) * arb(0.5)).mid()
    raise AssertionError("the truth of the polar factor did not converge")


def taylor(s: arb_mat) -> arb_mat:
    """e^S by its series, after as many halvings as make S small, and squarings."""
    size, halvings = float(sum((abs(value) for value in s.entries()), arb(0)).upper()), 0
    while not size < 0.5:
        size, halvings = size / 2, halvings + 1
    s = (s * (arb(2) ** -halvings)).mid()
    total = term = one(s, s.nrows())
    for k in range(1, ctx.prec):
        term = (term * s * (arb(1) / k)).mid()
        total = total + term
        if k * (log2(k) - 1.5) > ctx.prec:  # k! 2^k
            break
    for _ in range(halvings):
        total = (total * total).mid()
    return total.mid()


def geodesic(x: arb_mat, v: arb_mat, c: Fraction) -> arb_mat:
    """For X on the manifold: n x n."""
    w, d = generator(x, v, c)
    return taylor(w) * x * taylor(d)


def exp(x: arb_mat, v: arb_mat, c: Fraction, on_manifold: bool) -> arb_mat:
    """Near the manifold what (SR-EXP) says of the entries."""
    if on_manifold:
        return geodesic(x, v, c)
    inside = x.transpose() * v
    a, z, p = skew(inside), v - x * inside, x.ncols()
    k = arb_mat(2 * p, 2 * p)
    corner = z.transpose() * z
    for i in range(p):
        k[p + i, i] = 1
        for j in range(p):
            k[i, j], k[i, p + j] = a[i, j] * arb(number(fmpq_mat, 2 * c)), -corner[i, j]
    e = taylor(k).tolist()
    top, bottom = (arb_mat([row[:p] for row in rows]) for rows in (e[:p], e[p:]))
    return (x * top + z * bottom) * taylor(a * arb(number(fmpq_mat, 1 - 2 * c)))


def log(x: np.ndarray, y: np.ndarray, metric: str | float) -> arb_mat:
    """V in T_X with e^W X e^D = Y, nearest points; the derivative of exp in float64, residuals in many bits."""
    complex_, c = np.iscomplexobj(x), beta(metric)
    points = [polar(doubled(z, arb_mat)) for z in (x, y)]
    ctx.prec = LOG_BITS  # which the caller restores
    near = [floats(z, complex_) for z in points]
    start = stiefel.log(*near, metric)
    columns = []
    for unit in np.eye(start.size):
        for factor in (1, 1j)[: 1 + complex_]:
            e = stiefel.project(near[0], (factor * unit).reshape(start.shape).astype(start.dtype))
            columns.append(flat(stiefel.exp_jvp(near[0], start, np.zeros_like(start), e, metric)))
    down = np.linalg.pinv(np.array(columns).T, rcond=1e-8)
    v = project(points[0], doubled(start, arb_mat)).mid()
    for attempt in range(72):
        rest = points[1] - geodesic(points[0], v, c)
        size = max(abs(value) for value in rest.entries())
        if size < TINY / 2**40:
            return v
        if attempt < 60:
            step = down @ flat(floats(rest * (1 / size), complex_))
            step = (step[::2] + 1j * step[1::2] if complex_ else step).reshape(start.shape)
            move = doubled(step, arb_mat) * size.mid()
        else:  # nearly conjugate points
            move = newton(*points, v, c, rest, complex_)
        v = project(points[0], v + move).mid()
    raise AssertionError(f"the truth of the logarithm did not converge: {float(size)}")


def newton(x: arb_mat, y: arb_mat, v: arb_mat, c: Fraction, rest: arb_mat, complex_: bool) -> arb_mat:
    """The tangent along which exp changes by the rest, by differences of 2^-150; normals go to normals."""
    h, shape = arb(2) ** -150, (x.nrows() // (1 + complex_), x.ncols() // (1 + complex_))
    units, columns = [], []
    for k in range(shape[0] * shape[1]):
        for factor in (1, 1j)[: 1 + complex_]:
            unit = factor * np.eye(shape[0] * shape[1])[k].reshape(shape)
            units.append(doubled(unit.astype("complex128" if complex_ else "float64"), arb_mat))
            w = project(x, units[-1]) * h
            moved = (geodesic(x, v + w, c) - geodesic(x, v - w, c)) * (1 / (2 * h))
            columns.append(parts(project(y, moved) + y * herm(x.transpose() * units[-1]), complex_))
    found = arb_mat(columns).transpose().mid().solve(arb_mat([[z] for z in parts(project(y, rest), complex_)]))
    return sum((unit * z.mid() for unit, z in zip(units, found.entries(), strict=True)), v * 0)


def parts(x: arb_mat, complex_: bool) -> list[arb]:
    """Real coordinates."""
    return [z for both in halved(x, complex_) for z in both[: 1 + complex_]]


def floats(x: arb_mat, complex_: bool) -> np.ndarray:
    pairs = [complex(float(a.mid()), float(b.mid())) for a, b in halved(x, complex_)]
    found = np.array(pairs).reshape(x.nrows() // (1 + complex_), x.ncols() // (1 + complex_))
    return found if complex_ else found.real


def flat(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x).ravel().view(x.real.dtype)


class Case(NamedTuple):
    """A map, its two arguments, and whether they are on the manifold without rounding."""

    name: str
    x: np.ndarray
    v: np.ndarray
    metric: str | float
    exact: bool

    def arguments(self) -> tuple[Any, ...]:
        return (self.x, self.v) if self.name in METRIC_FREE else (self.x, self.v, self.metric)


def truth(case: Case) -> list[tuple[arb, arb]]:
    """Real and imaginary part of every entry; the precision of the context has to be BITS."""
    name, x, v, metric, exact = case
    complex_ = np.iscomplexobj(x)
    if name in ("project", "gradient", "retract_cayley"):
        a, b = doubled(x), doubled(v)
        if name == "project":
            return halved(project(a, b), complex_)
        return halved(gradient(a, b, beta(metric)) if name == "gradient" else cayley(a, b, exact), complex_)
    a, b = doubled(x, arb_mat), doubled(v, arb_mat)
    if name == "retract_qr":
        entries, p = [acb(*pair) for pair in halved(a + b, complex_)], x.shape[1]
        columns = gram_schmidt([entries[j::p] for j in range(p)])
        return [(column[i].real, column[i].imag) for i in range(x.shape[0]) for column in columns]
    if name == "log":
        return halved(log(x, v, metric), complex_)
    return halved(polar(a + b) if name == "retract_polar" else exp(a, b, beta(metric), exact), complex_)


def broken(case: Case, certificate: Any, given: np.ndarray) -> str:
    """What of the certificate does not hold, of the error of ``given`` too; nothing if it does."""
    with ctx.workprec(BITS):
        exact, slack = truth(case), arb(0, TINY)
        balls = [(z.real, z.imag) for z in certificate.value.entries()]
        middle = [(a.mid(), b.mid()) for a, b in balls]
        if not all(
            s.overlaps(t + slack) for pair in zip(balls, exact, strict=True) for s, t in zip(*pair, strict=True)
        ):
            return "the exact value is not inside"
        far = distance(middle, exact)
        if not far < certificate.radius + slack.upper():
            return f"radius {certificate.radius} where the midpoint is {float(far)} away"
        off = distance([(arb(z.real), arb(z.imag)) for z in given.ravel().tolist()], exact)
        low, high = certificate.error
        if not (arb(low) < off + slack.upper() and off < arb(high) + slack.upper()):
            return f"error {certificate.error} where it is {float(off)}"
    return ""


def distance(one_: list[tuple[arb, arb]], other: list[tuple[arb, arb]]) -> arb:
    squares = ((s - t).mid() ** 2 for pair in zip(one_, other, strict=True) for s, t in zip(*pair, strict=True))
    return sum(squares, arb(0)).mid().sqrt()


# --- inputs -----------------------------------------------------------------------------------------------------------

SHAPES = ((1, 1), (2, 1), (4, 1), (2, 2), (3, 3), (4, 4), (4, 2), (5, 3), (5, 2), (6, 4))
POINTS = ("generic", "axis-aligned", "exact", "float32")
VECTORS = ("tangent", "vertical", "horizontal", "clustered", "one column")
SIZES = (0.0, 1e-300, 1e-20, 1e-8, 1e-4, 0.1, 1.0, 3.0, 10.0, 1e3, 1e6)
ALL_METRICS = ("euclidean", "canonical", 1.5, -0.75, -0.2)
HADAMARD = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
UNITARY = np.array([[1 + 1j, 1 - 1j], [1 - 1j, 1 + 1j]]) / 2


def permutation(n: int, complex_: bool, rng: np.random.Generator) -> np.ndarray:
    """Columns of the identity in another order, with signs (phases)."""
    phases = np.array([1, 1j, -1, -1j]) if complex_ else np.array([1.0, -1.0])
    return np.eye(n)[:, rng.permutation(n)] * rng.choice(phases, n)


def exact_point(n: int, p: int, complex_: bool, rng: np.random.Generator) -> np.ndarray:
    """Orthonormal without rounding: products of permutations and of orthogonal matrices with dyadic entries."""
    q = permutation(n, complex_, rng)
    block = UNITARY if complex_ else HADAMARD
    for _ in range(4):
        turn = np.eye(n, dtype=q.dtype)
        k = len(block)
        if n >= k:
            turn[:k, :k] = block
        q = turn @ permutation(n, complex_, rng) @ q
    return q[:, :p]


def drawn(name: str, rng: np.random.Generator, shapes: Sequence[tuple[int, int]] = SHAPES) -> Case:
    """A case of an operation: sizes, points and vectors of every kind."""
    n, p = shapes[rng.integers(len(shapes))]
    complex_, metric = bool(rng.integers(2)), ALL_METRICS[rng.integers(len(ALL_METRICS))]
    kind = POINTS[rng.integers(len(POINTS))]
    if kind == "exact":
        x = exact_point(n, p, complex_, rng)
    elif kind == "axis-aligned":
        x = permutation(n, complex_, rng)[:, :p]
    else:
        x = stiefel.random_point((n, p), rng=rng, dtype="complex128" if complex_ else "float64")
        x = x.astype("complex64" if complex_ else "float32").astype(x.dtype) if kind == "float32" else x
    if name == "log":
        return Case(name, x, _neighbour(x, metric, rng), metric, False)
    size = SIZES[rng.integers(len(SIZES))]
    if name in ("project", "gradient") and rng.integers(2):
        v = _gaussian(x, rng) * size
    else:
        v = direction(x, VECTORS[rng.integers(len(VECTORS))], rng) * size
    exact = kind in ("exact", "axis-aligned")
    if exact:  # and its tangent: few bits, so that products are exact
        v = _few_bits(v, x) if np.linalg.norm(v) > 1e-280 else 0 * v
    return Case(name, x, v, metric, exact)


def _few_bits(v: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Tangent at the exact X without rounding: of a matrix with 11 bits."""
    unit = 2.0 ** np.ceil(np.log2(np.linalg.norm(v)) - 11) if v.any() else 1.0
    v = np.round(v.real / unit) + (1j * np.round(v.imag / unit) if np.iscomplexobj(v) else 0)
    inside = np.conj(x.T) @ v
    return (v - x @ ((inside + np.conj(inside.T)) / 2)) * unit


def direction(x: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """A tangent vector of norm 1 to rounding, or zero where there is none of that kind."""
    g = _gaussian(x, rng)
    if kind == "clustered":  # singular values that differ by 1e-9
        q, _ = np.linalg.qr(g)
        g = q * (1 + 1e-9 * rng.standard_normal(x.shape[1]))
    if kind == "one column":
        g[:, 1:] = 0
    inside = np.conj(x.T) @ g
    a, z = (inside - np.conj(inside.T)) / 2, g - x @ inside
    z = z - x @ (np.conj(x.T) @ z)
    z = 0 * z if x.shape[0] == x.shape[1] else z
    v = {"vertical": x @ a, "horizontal": z}.get(kind, x @ a + z)
    size = np.linalg.norm(v)
    return v / size if size > 0 else v


def _gaussian(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    g = rng.standard_normal(x.shape)
    return g + 1j * rng.standard_normal(x.shape) if np.iscomplexobj(x) else g


def _neighbour(x: np.ndarray, metric: str | float, rng: np.random.Generator) -> np.ndarray:
    """The end of a geodesic: 1e-12 long to almost as long as half a closed one, of one column too."""
    near = np.linalg.qr(x)[0] if np.iscomplexobj(x) else stiefel.retract(x, 0 * x, "polar", check=False)
    near = stiefel.retract(near, 0 * near, "polar", check=False)
    v = direction(near, VECTORS[rng.integers(len(VECTORS))], rng)
    length = float(stiefel.norm(near, v, metric, check=False)) or 1.0
    limit = np.pi * min(1.0, float(beta(metric)) ** 0.5 * (1 if np.iscomplexobj(x) else 2**0.5))
    size = rng.choice([1e-12, 1e-6, 0.01, 0.3, 0.6, 0.85, 0.99, 1 - 1e-4])
    return stiefel.exp(near, v * (size * limit / length), metric, check=False)
