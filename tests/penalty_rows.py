"""One table of the penalties: the functions, how to draw a point, the same value in 400 bits, and sizes for limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from backends import ct, gaussian, norm
from exact import BITS, adjoint_hp, lift, mixed_hp

from orthoref import penalties


@dataclass(frozen=True)
class Row:
    """A penalty with its options.

    ``slopes(w)`` bounds the first and the second derivative of the outer function: of G (``of_gram``) or of W itself.
    """

    name: str
    hp: Callable[[Any], Any]
    slopes: Callable[[np.ndarray], tuple[float, float]]
    options: dict[str, Any] = field(default_factory=dict)
    of_gram: bool = True
    shape: tuple[int, int] = (4, 3)
    start: bool = False
    label: str = ""
    lengths: float = 0.0

    def draw(self, dtype: str, seed: int, batch: tuple[int, ...] = ()) -> np.ndarray:
        """A point; with ``lengths`` columns (rows) of about that one: then the largest entries are not diagonal."""
        w = draw((*batch, *self.shape), dtype, seed)
        if not self.lengths:
            return w
        rows = self.options["gram"] == "rows" or (self.options["gram"] == "smaller" and self.shape[0] < self.shape[1])
        steps = 1 + np.arange(order(self)) / 16
        unit = (
            self.lengths
            * (steps[:, None] if rows else steps)
            / np.linalg.norm(w, axis=-1 if rows else -2, keepdims=True)
        )
        return (w * unit).astype("complex64" if dtype.startswith("complex") else "float32").astype(dtype)

    def __str__(self) -> str:
        return f"{self.name} {self.label or self.options.get('gram', '')} {self.shape[0]}x{self.shape[1]}".replace(
            "  ", " "
        )

    def extra(self, batch: tuple[int, ...], dtype: str) -> tuple[np.ndarray, ...]:
        """The start of the power iteration."""
        return (np.broadcast_to(START[: order(self)], (*batch, order(self))).astype(dtype),) if self.start else ()

    def value(self, w, extra=()):
        return getattr(penalties, self.name)(w, *extra, **self.options)

    def gradient(self, w, extra=(), **policy):
        return getattr(penalties, f"{self.name}_gradient")(w, *extra, **self.options, **policy)

    def hvp(self, w, v, extra=()):
        return getattr(penalties, f"{self.name}_hvp")(w, *extra, v, **self.options)

    def limits(self, w: np.ndarray, dtype: str) -> tuple[float, float, float]:
        """What a stable evaluation commits in the value, the gradient, and the Hessian for a direction of norm 1.

        max(k, 8) eps in the argument of the outer function, G - I of size |W|^2 + root k (W of size |W|), and in every
        product; the third derivative is bounded by 3 (second)^2/first, as it is for norms.
        """
        one, two = self.slopes(w)
        three, size, k = 3 * two**2 / one, norm(w), max(w.shape)
        unit = 10 * max(k, 8) * float(np.finfo(dtype).eps)
        if not self.of_gram:
            return tuple(unit * x for x in (one * (size + k**0.5), one + two * size, two + three * size))
        g = size**2 + k**0.5
        return (
            unit * one * g,
            unit * 2 * size * (one + two * g),
            unit * (2 * (one + two * g) + 4 * size**2 * (two + three * g)),
        )


# degree in W of the value where W is large, and of value, gradient and Hessian where it is small
DEGREES = {
    "soft_orthogonality": (2, (0, 1, 0)),
    "soft_orthogonality_squared": (4, (0, 1, 0)),
    "double_soft_orthogonality": (2, (0, 1, 0)),
    "double_soft_orthogonality_squared": (4, (0, 1, 0)),
    "gain_target": (4, (0, 1, 0)),
    "gain_adjusted": (4, (0, 1, 0)),
    "off_diagonal": (4, (4, 3, 2)),
    "mutual_coherence": (2, (0, 1, 0)),
    "mutual_coherence_induced": (2, (0, 1, 0)),
    "absolute_sum": (2, (0, 1, 0)),
    "spectral_restricted_isometry": (2, (0, 1, 0)),
    "spectral_restricted_isometry_power": (2, (0, 1, 0)),
    "scale_free": (0, (0, -1, -2)),
    "cosine": (0, (0, -1, -2)),
    "spectral_norm": (1, (1, 0, -1)),
    "distance": (1, (0, 0, -1)),
    "distance_squared": (2, (0, 0, -1)),
}

START = np.array([0.5, -1.25, 0.75, 1.5])


def order(row: Row) -> int:
    m, n = row.shape
    return {"columns": n, "rows": m, "smaller": min(m, n)}[row.options.get("gram", "smaller")]


def draw(shape, dtype, seed):
    """Entries that float32 has, of size about 1/2: the truth of both precisions is one."""
    return (gaussian(shape, "complex64" if dtype.startswith("complex") else "float32", seed) / 2).astype(dtype)


# --- in 400 bits ------------------------------------------------------------------------------------------------------


def number(x):
    import flint

    return flint.acb_mat([[flint.acb(x)]])


def eye(n):
    import flint

    return flint.acb_mat(n, n, [int(i == j) for i in range(n) for j in range(n)])


def gram_hp(w, gram):
    rows = gram == "rows" or (gram == "smaller" and w.nrows() < w.ncols())
    return w * adjoint_hp(w) if rows else adjoint_hp(w) * w


def square(x):
    """Squared Frobenius norm."""
    return sum((z.real**2 + z.imag**2 for z in x.entries()), 0 * x[0, 0].real)


def eigenvalues(g):
    return sorted((z.real for z in g.eig()), key=lambda x: float(x.mid()))


def singular_values(w):
    return [x.sqrt() for x in eigenvalues(gram_hp(w, "smaller"))]


def largest(values):
    return max(values, key=lambda x: float(x.mid()))


def size_of(z):
    """|z|, with the sign of a real number kept inside the root."""
    return (z.real**2 + z.imag**2).sqrt()


def residual_hp(w, gram, gain=1):
    g = gram_hp(w, gram)
    return g - eye(g.nrows()) * gain


def off_hp(g):
    import flint

    n = g.nrows()
    return flint.acb_mat(n, n, [0 if i == j else g[i, j] for i in range(n) for j in range(n)])


def cosine_hp(w, gram):
    g = gram_hp(w, gram)
    n = g.nrows()
    return sum(
        (size_of(g[i, j]) ** 2 / (g[i, i] * g[j, j]).real for i in range(n) for j in range(n) if i != j),
        0 * g[0, 0].real,
    )


def scale_free_hp(w, gram):
    g = gram_hp(w, gram)
    n = g.nrows()
    return square(g * (n / sum((g[i, i] for i in range(n)), 0 * g[0, 0])) - eye(n))


def power_hp(w, gram, products):
    r = residual_hp(w, gram)
    v = lift(START[: r.nrows(), None])
    for _ in range(products - 1):
        v = r * v
    return (square(r * v) / square(v)).sqrt()


def restricted_hp(w, gram):
    fixed = {"columns": w.ncols(), "rows": w.nrows(), "smaller": 0}[gram] > min(w.nrows(), w.ncols())
    values = [abs(x - 1) for x in eigenvalues(gram_hp(w, "smaller"))]
    return largest([*values, 0 * values[0] + 1] if fixed else values)


# --- bounds of the derivatives of outer functions ---------------------------------------------------------------------


def residual(w, gram, gain=1.0):
    w = w.astype(np.result_type(w, np.float64))
    w = ct(w) if gram == "rows" or (gram == "smaller" and w.shape[0] < w.shape[1]) else w
    return ct(w) @ w - gain * np.eye(w.shape[1])


def of_square(gram, gain=1.0, scale=1.0):
    return lambda w: (2 * scale * norm(residual(w, gram, gain)), 2 * scale)


def of_entries(gram, which):
    def slopes(w):
        size = abs(residual(w, gram))
        k = len(size)
        used = {"largest": size.max(), "row": size[size.sum(1).argmax()].min(), "all": size.min()}[which]
        count = {"largest": 1.0, "row": k**0.5, "all": float(k)}[which]
        return count, count / used

    return slopes


def gap(values, at):
    others = np.delete(values, at)
    return float(abs(others - values[at]).min(initial=np.inf))


def of_isometry(gram):
    def slopes(w):
        values = np.linalg.svd(w, compute_uv=False) ** 2 - 1
        return 1.0, 2 / gap(values, abs(values).argmax())

    return slopes


def of_norm(w):
    s = np.linalg.svd(w, compute_uv=False)
    return 1.0, 2 / min(gap(s, 0), s[0])


def of_distance(squared):
    def slopes(w):
        s = np.linalg.svd(w, compute_uv=False)
        far, bend = float(np.linalg.norm(s - 1)), 1 + 2 / float(s.min())
        return (2 * far + 1, 2 * bend) if squared else (1.0, 2 * bend / far)

    return slopes


def of_power(gram, products):
    def slopes(w):
        r, v, loss = residual(w, gram), START[: len(residual(w, gram))], 1.0
        for _ in range(products):
            b = r @ v
            loss *= 1 + np.linalg.norm(r, 2) * np.linalg.norm(v) / np.linalg.norm(b)
            v = b
        return loss, loss**2 / np.linalg.norm(r)

    return slopes


def of_angles(gram, each):
    def slopes(w):
        w = w.astype(np.result_type(w, np.float64))
        w = ct(w) if gram == "rows" or (gram == "smaller" and w.shape[0] < w.shape[1]) else w
        k = w.shape[1]
        length = np.linalg.norm(w, axis=0).min() if each else norm(w) / k**0.5
        return 4 * k**1.5 / length, 16 * k**1.5 / length**2

    return slopes


def table() -> list[Row]:
    grams = [("columns", (4, 3)), ("rows", (4, 3)), ("smaller", (2, 3)), ("columns", (3, 3)), ("smaller", (3, 1))]
    rows = []
    for gram, shape in grams:
        o = {"gram": gram}
        some = [
            Row("soft_orthogonality", lambda w, g=gram: square(residual_hp(w, g)).sqrt(),
                lambda w, g=gram: (1.0, 1 / norm(residual(w, g))), o),
            Row("soft_orthogonality_squared", lambda w, g=gram: square(residual_hp(w, g)), of_square(gram), o),
            Row("gain_target", lambda w, g=gram: square(residual_hp(w, g, 4)), of_square(gram, 4), o | {"gain": 2.0}),
            Row("gain_adjusted", lambda w, g=gram: square(residual_hp(w, g, 2.25)) / 2.25**2,
                of_square(gram, 2.25, 2.25**-2), o | {"gain": 1.5}),
            Row("off_diagonal", lambda w, g=gram: square(off_hp(gram_hp(w, g))),
                lambda w, g=gram: (2 * norm(residual(w, g)) + 1, 2.0), o),
            Row("mutual_coherence", lambda w, g=gram: largest([size_of(z) for z in residual_hp(w, g).entries()]),
                of_entries(gram, "largest"), o, lengths=1.1),
            Row("mutual_coherence_induced", lambda w, g=gram: largest(
                [sum(map(size_of, row), 0 * row[0].real) for row in residual_hp(w, g).tolist()]),
                of_entries(gram, "row"), o, lengths=1.1),
            Row("absolute_sum", lambda w, g=gram: sum(map(size_of, residual_hp(w, g).entries()), 0 * w[0, 0].real),
                of_entries(gram, "all"), o),
            Row("spectral_restricted_isometry", lambda w, g=gram: restricted_hp(w, g), of_isometry(gram), o),
            Row("spectral_restricted_isometry_power", lambda w, g=gram: power_hp(w, g, 2), of_power(gram, 2), o,
                start=True),
            Row("scale_free", lambda w, g=gram: scale_free_hp(w, g), of_angles(gram, False), o, of_gram=False),
            Row("cosine", lambda w, g=gram: cosine_hp(w, g), of_angles(gram, True), o, of_gram=False),
        ]  # fmt: skip
        rows += [replaced(row, shape) for row in some]
    rows += [
        Row("spectral_restricted_isometry_power", lambda w: power_hp(w, "rows", 4), of_power("rows", 4),
            {"gram": "rows", "products": 4}, start=True, shape=(3, 4), label="rows 4 products"),
        Row("spectral_restricted_isometry", lambda w: restricted_hp(w, "columns"), of_isometry("columns"),
            {"gram": "columns"}, lengths=0.5, label="columns short"),
        Row("spectral_restricted_isometry_power", lambda w: power_hp(w, "columns", 1), of_power("columns", 1),
            {"gram": "columns", "products": 1}, start=True, label="columns 1 product"),
    ]  # fmt: skip
    for shape in ((4, 3), (2, 3), (3, 3), (1, 1)):
        some = [
            Row("double_soft_orthogonality",
                lambda w: sum(square(residual_hp(w, g)).sqrt() for g in ("columns", "rows")),
                lambda w: (2.0, sum(1 / norm(residual(w, g)) for g in ("columns", "rows")))),
            Row("double_soft_orthogonality_squared",
                lambda w: sum(square(residual_hp(w, g)) for g in ("columns", "rows")),
                lambda w: tuple(2 * x for x in of_square("rows")(w))),
            Row("spectral_norm", lambda w: largest(singular_values(w)), of_norm, of_gram=False),
            Row("distance", lambda w: sum(((s - 1) ** 2 for s in singular_values(w)), 0 * w[0, 0].real).sqrt(),
                of_distance(False), of_gram=False),
            Row("distance_squared", lambda w: sum(((s - 1) ** 2 for s in singular_values(w)), 0 * w[0, 0].real),
                of_distance(True), of_gram=False),
        ]  # fmt: skip
        rows += [replaced(row, shape) for row in some]
    return rows


def replaced(row: Row, shape: tuple[int, int]) -> Row:
    from dataclasses import replace

    return replace(row, shape=shape)


ROWS = table()


@cache
def truth(index: int, complex_: bool, seed: int) -> tuple[float, list[tuple[np.ndarray, float, float]]]:
    """Value, and for some directions G the numbers <G, gradient> and <G, Hessian V>, all in 400 bits."""
    import flint

    row, dtype = ROWS[index], "complex128" if complex_ else "float64"
    w, v, along = row.draw(dtype, seed), draw(row.shape, dtype, seed + 1), []
    with flint.ctx.workprec(BITS):
        a, t = lift(w), flint.acb(flint.arb(2) ** -100)
        value = float(row.hp(a))
        for k in range(3):
            g = draw(row.shape, dtype, seed + 2 + k)
            up, down = (row.hp(a + lift(g) * sign) for sign in (t, -t))
            first = float(((up.mid() - down.mid()) / (2 * t.real)).mid())
            along.append((g, first, float(mixed_hp(lambda x: [number(row.hp(x))], a, v, g)[0][0, 0].real)))
    return value, along
