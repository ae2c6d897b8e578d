"""Hard inputs: matrices drawn by spectrum, structure and memory layout, and a gallery of named ones.

Every input is a pure function of its arguments; :attr:`Case.recreate` is the call. The random numbers come from
``numpy.random.RandomState``, whose streams are frozen; the values still differ in the last bits between BLAS
libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log2, prod, sqrt
from typing import Any, Literal

import numpy as np

from orthoref.oracle.precision import Precision, precision_of

Spectrum = Literal[
    "geometric",
    "arithmetic",
    "log_uniform",
    "one_small",
    "one_large",
    "clustered",
    "repeated",
    "rank_deficient",
    "graded",
    "almost_equal",
]
SPECTRA: dict[str, str] = {
    "geometric": "s_i = cond^(-(i-1)/(k-1))",
    "arithmetic": "equally spaced from 1 to 1/cond",
    "log_uniform": "log s_i uniform in [-log cond, 0], both ends attained",
    "one_small": "1, ..., 1, 1/cond",
    "one_large": "1, 1/cond, ..., 1/cond",
    "clustered": "half at 1, half at 1/cond, spread by 2 eps inside a cluster",
    "repeated": "half exactly 1, half exactly 1/cond (before rounding)",
    "rank_deficient": "geometric, the last third (at least one) exactly 0 (before rounding)",
    "graded": "row i scaled by cond^(-(i-1)/(m-1)), all singular values of the unscaled matrix 1",
    "almost_equal": "equally spaced from 1 to 1 - 1/(2 cond): near an isometry",
}


Structure = Literal[
    "general",
    "hermitian",
    "definite",
    "skew",
    "triangular",
    "diagonal",
    "monomial",
    "permutation",
    "integer",
    "real",
    "orthonormal",
    "positive",
    "smooth",
]
STRUCTURES: dict[str, str] = {
    "general": "P diag(s) Q^H with Haar distributed P and Q",
    "hermitian": "square, P diag(s_1, -s_2, s_3, ...) P^H, exactly Hermitian",
    "definite": "square, P diag(s) P^H, exactly Hermitian",
    "skew": "square, i times hermitian; real: pairs +-i s of a spectrum half as long, and one 0 if the order is odd",
    "triangular": "upper trapezoidal factor R of the QR decomposition of general",
    "diagonal": "s in random order on the diagonal, with random signs (phases)",
    "monomial": "the same in random rows and columns, one in each",
    "permutation": "ones in random rows and columns, one in each; all s_i = 1",
    "integer": "entries of modulus at most 4, full rank; no spectrum",
    "real": "general with real values, in a complex dtype",
    "orthonormal": "P Q^H, all s_i = 1",
    "positive": "entries (and imaginary parts) between 1/2 and 1, over sqrt(2 m n); no spectrum",
    "smooth": "Cauchy matrix 1/(1 + x_i + y_j), complex 1/(1 + x_i + i y_j), over sqrt(m n); no spectrum",
}
SQUARE = ("hermitian", "definite", "skew")  # structures of square matrices only
FREE = ("permutation", "integer", "orthonormal", "positive", "smooth")  # what spectrum and cond do not reach

Members = Literal["alike", "one zero", "one singular", "scaled"]
MEMBERS: dict[str, str] = {
    "alike": "every member drawn in the same way",
    "one zero": "member number N // 2 of N is 0",
    "one singular": "member number N // 2 of N has s_k = 0 (before rounding); no spectrum: last row and column 0",
    "scaled": "members times powers of two that fall from 1 to eps",
}

Memory = Literal[
    "C", "F", "transposed", "strided", "negative", "broadcast", "readonly", "unaligned", "byteswapped"
]  # fmt: skip
MEMORY: dict[str, str] = {
    "C": "C order",
    "F": "Fortran order: first axis fastest, batch axes too",
    "transposed": "view of a C array with the last two axes exchanged",
    "strided": "every second column of a wider array, NaN between",
    "negative": "rows and columns of a C array read backwards",
    "broadcast": "the first batch axis has stride 0: all members along it are the first one",
    "readonly": "not writeable",
    "unaligned": "begins one byte after an aligned address",
    "byteswapped": "the other byte order",
}

# By name, for a format: what no one number says for all of them.
CONDS: dict[str, Callable[[Precision], float]] = {
    "eps^-1/2": lambda p: p.eps**-0.5,
    "1/eps": lambda p: 1 / p.eps,
}
SCALES: dict[str, Callable[[Precision], float]] = {
    "near underflow": lambda p: p.tiny / p.eps / 8,  # an eighth of the smallest normal number
    "squares underflow": lambda p: sqrt(p.tiny) / 16,
    "squares overflow": lambda p: 16 * sqrt(p.largest),
    "near overflow": lambda p: p.largest / 8,
}


def matrix(
    shape: Sequence[int],
    *,
    spectrum: Spectrum = "geometric",
    cond: float = 1e3,
    scale: float = 1.0,
    det: Literal["+", "-"] | None = None,
    seed: int = 0,
    dtype: str = "float64",
    structure: Structure = "general",
    members: Members = "alike",
    memory: Memory = "C",
) -> np.ndarray:
    """Random matrix (stack) with prescribed singular values s, structure and memory layout.

    Parameters
    ----------
    shape : (..., m, n)
    spectrum : str
        One of ``SPECTRA``, where each is defined; s_1 = 1 and s_k = 1/cond unless it says otherwise. "graded" is for
        the structures general, real and triangular.
    cond : float
        Ratio of the extreme singular values, at least 1; "almost_equal" has a meaning of its own.
    scale : float
        Factor on the whole matrix, applied last (products below the smallest normal number round there).
    det : {"+", "-"}, optional
        Sign of the determinant of real square nonsingular matrices; structure "general", members "alike".
    seed : int
    dtype : str
        float32, float64, complex64, complex128; "bfloat16" and "float16" give float32 arrays whose entries are
        exactly representable in those formats.
    structure : str
        One of ``STRUCTURES``. Those in ``FREE`` have singular values of their own; the norm is at most 1 for all but
        "integer".
    members : str
        One of ``MEMBERS``; all but "alike" need a stack of at least two matrices.
    memory : str
        One of ``MEMORY``; "broadcast" needs a batch axis. The values are those of ``memory="C"``, but for "broadcast".

    Returns
    -------
    array of the shape and dtype
    """
    *batch, m, n = checked_shape(shape)
    for name, value, table in (
        ("spectrum", spectrum, SPECTRA),
        ("structure", structure, STRUCTURES),
        ("members", members, MEMBERS),
        ("memory", memory, MEMORY),
    ):
        if value not in table:
            raise ValueError(f"{name}={value!r} is not one of {', '.join(table)}")
    complex_ = dtype.startswith("complex")
    if not cond >= 1:
        raise ValueError(f"cond={cond!r} is less than 1")
    if det is not None and (
        m != n or complex_ or spectrum == "rank_deficient" or structure != "general" or members != "alike"
    ):
        raise ValueError("det needs real square nonsingular matrices, structure='general' and members='alike'")
    if structure in SQUARE and m != n:
        raise ValueError(f"structure={structure!r} needs square matrices, not {m} x {n}")
    if structure == "real" and not complex_:
        raise ValueError(f"structure='real' needs a complex dtype, not {dtype}")
    if spectrum == "graded" and structure in ("hermitian", "definite", "skew", "diagonal", "monomial"):
        raise ValueError(f"spectrum='graded' is not defined for structure={structure!r}")
    if members != "alike" and prod(batch) < 2:
        raise ValueError(f"members={members!r} needs a stack of at least two matrices")
    if memory == "broadcast":
        if not batch or members != "alike":
            raise ValueError("memory='broadcast' needs a batch axis and members='alike'")
        drawn_ = [1, *batch[1:]]
    else:
        drawn_ = batch
    random, count, dtype_ = np.random.RandomState(seed), prod(drawn_), "float64" if structure == "real" else dtype
    stack = [
        _one(random, m, n, spectrum, cond, det, dtype_, structure, members == "one singular" and i == count // 2)
        for i in range(count)
    ]
    values = np.asarray(stack).reshape(count, m, n)
    if members == "one zero":
        values[count // 2] = 0
    if members == "scaled":
        values *= 2.0 ** np.round(np.linspace(0, log2(precision_of(dtype).eps), count))[:, None, None]
    return _laid_out(cast(values.reshape(*drawn_, m, n) * scale, dtype), memory, (*batch, m, n))


def checked_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape as a tuple of int; ValueError unless it is two or more non-negative integers."""
    given: list[Any] = list(shape) if isinstance(shape, (tuple, list)) else []
    if len(given) < 2 or any(isinstance(d, bool) or not isinstance(d, (int, np.integer)) or d < 0 for d in given):
        raise ValueError(f"shape={shape!r} is not a tuple of two or more non-negative integers")
    return tuple(int(d) for d in given)


def cast(values: np.ndarray, dtype: str) -> np.ndarray:
    """Round to a dtype; the 16-bit formats come back as float32 arrays."""
    if dtype in ("bfloat16", "float16"):
        return _round_to(values, precision_of(dtype))
    return np.asarray(values).astype(dtype)


def _one(
    random: np.random.RandomState,
    m: int,
    n: int,
    spectrum: str,
    cond: float,
    det: str | None,
    dtype: str,
    structure: str,
    singular: bool,
) -> np.ndarray:
    k = min(m, n)
    complex_ = dtype.startswith("complex")
    if structure in ("integer", "positive", "smooth"):
        a = {"integer": _integer, "positive": _positive, "smooth": _smooth}[structure](random, m, n, complex_)
        if singular:
            a[m - 1 :, :] *= m > n
            a[:, n - 1 :] *= n > m
        return a

    def singular_values(k: int) -> np.ndarray:
        ones = structure in FREE or spectrum == "graded"
        s = np.ones(k) if ones else _singular_values(random, k, spectrum, cond, dtype)
        if singular:
            s[-1:] = 0
        return s

    if structure in ("diagonal", "monomial", "permutation"):
        a = np.zeros((m, n), "complex128" if complex_ else "float64")
        rows, columns = (random.permutation(d)[:k] if structure != "diagonal" else np.arange(k) for d in (m, n))
        a[rows, columns] = random.permutation(singular_values(k))
        if structure != "permutation":
            turn = random.uniform(size=k)
            a[rows, columns] *= np.exp(2j * np.pi * turn) if complex_ else np.where(turn < 0.5, -1, 1)
        return a

    p = _haar(random, m, k, complex_)
    if structure == "skew" and not complex_:
        half = p[:, 0 : k - k % 2 : 2] * singular_values(k // 2) @ p[:, 1::2].T
        return half - half.T
    if structure in SQUARE:
        signs = 1 if structure == "definite" else (-1) ** np.arange(k)
        a = p * (signs * singular_values(k)) @ p.conj().T
        a = (a + a.conj().T) / 2
        return 1j * a if structure == "skew" else a

    q = _haar(random, n, k, complex_)
    a = p * singular_values(k) @ q.conj().T
    if spectrum == "graded" and structure not in FREE:
        a = cond ** -_ramp(m)[:, None] * a
    if structure == "triangular":
        r = np.zeros_like(a)
        r[:k] = np.linalg.qr(a, mode="r")
        return r
    if det is not None and k and np.sign(np.linalg.det(p @ q.T)) != (1 if det == "+" else -1):
        a[:, 0] = -a[:, 0]
    return a


COTANGENTS: dict[str, str] = {
    "generic": "independent normal entries over the root of their number",
    "tangent": "what moves along the manifold: U K + N, K skew-Hermitian, N outside the range; of H Hermitian",
    "normal": "U S, S Hermitian: the nearest isometry U stays; of H skew-Hermitian",
    "zero": "0",
    "tiny": "generic, squares underflow",
    "huge": "generic, squares overflow",
    "expanded": "one number for all entries, with strides of 0: what the sum of all entries sends back",
    "transposed": "generic, the last two axes exchanged in memory",
    "strided": "generic, every second column of a wider array, NaN between",
}
TANGENTS: dict[str, str] = {
    "generic": "X K + N, K skew-Hermitian, X^H N = 0: half of the squares in each, where there are both",
    "vertical": "X K only",
    "horizontal": "N only",
    "zero": "0",
    "1e-8": "generic, length 1e-8",
    "1e-4": "generic, length 1e-4",
    "0.01": "generic, length 0.01",
    "0.1": "generic, length 0.1",
    "10": "generic, length 10",
    "tiny": "generic, squares underflow",
    "huge": "generic, squares overflow",
    "transposed": "generic, the last two axes exchanged in memory",
    "strided": "generic, every second column of a wider array, NaN between",
}
GENERIC = ("ambient", "direction", "lifted")  # whatever the kind of what they stand beside, but for its memory


def cotangent(
    point: np.ndarray,
    *others: np.ndarray,
    kind: str = "generic",
    like: Literal["input", "right", "left", "tangent", "neighbour", "ambient", "direction", "lifted"] = "input",
    seed: int = 0,
    dtype: str = "float64",
) -> np.ndarray:
    """Cotangent or direction that belongs to a matrix (stack).

    Parameters
    ----------
    point : array of shape (..., m, n)
    *others : arrays of the same shape
        The tangent V and the direction X_dot of "lifted".
    kind : str
        One of ``COTANGENTS``; of ``TANGENTS`` if ``like`` is "tangent" or "neighbour". For "ambient", "direction" and
        "lifted" one of either: they are generic, and the kind says where they lie in memory only.
    like : {"input", "right", "left", "tangent", "neighbour", "ambient", "direction", "lifted"}
        Of the shape of the point, of a factor on its right, (..., n, n), or on its left, (..., m, m); a tangent of the
        Stiefel manifold at a point with orthonormal columns (of length c, and then c times as long); the point of it
        nearest to the sum of both. "ambient" is any matrix of the shape of the point, "direction" a tangent X_dot,
        "lifted" a V_dot with which the pair (X, V) moves along the tangent bundle: W - X herm(V^H X_dot)/c^2, W
        tangent.
    seed : int
    dtype : str
        As in :func:`matrix`.

    Returns
    -------
    array of the shape and dtype; the Frobenius norm of each matrix is about 1, but for "zero", "tiny", "huge", numbers
    """
    kinds = {**COTANGENTS, **TANGENTS} if like in GENERIC else TANGENTS if like in _AT_A_FRAME else COTANGENTS
    if kind not in kinds:
        raise ValueError(f"kind={kind!r} is not one of {', '.join(kinds)}")
    if like in GENERIC and kind not in ("transposed", "strided"):
        kind = "generic"
    *batch, m, n = point.shape
    shape = (*batch, *{"right": (n, n), "left": (m, m)}.get(like, (m, n)))
    random, complex_ = np.random.RandomState(seed), dtype.startswith("complex")
    size = sqrt(max(shape[-1] * shape[-2], 1))

    def normal() -> np.ndarray:
        values = random.standard_normal(shape) / size
        return values + 1j * random.standard_normal(shape) / size if complex_ else values

    if kind == "expanded":
        value = cast(np.full((1,) * len(shape), (0.75 - 0.5j if complex_ else 0.75) / size), dtype)
        return np.lib.stride_tricks.as_strided(value, shape, (0,) * len(shape))
    values = normal()
    if like in _AT_A_FRAME and values.size:
        x, length = _frame(point.astype(values.dtype))
        values = _tangent(x, values, kind) * (length if like in ("tangent", "neighbour") else 1.0)
        if like == "lifted":
            v, x_dot = (other.astype(values.dtype) / length for other in others)
            inside = v.conj().swapaxes(-1, -2) @ x_dot
            values = values - x @ (inside + inside.conj().swapaxes(-1, -2)) * (length / 2)
    elif kind in ("tangent", "normal") and values.size:
        sign = 1 if (like != "input" and kind == "tangent") or (like == "input" and kind == "normal") else -1
        if like != "input":
            values = (values + sign * values.conj().swapaxes(-1, -2)) / 2
        else:
            a = point.astype(np.complex128 if complex_ else np.float64)
            u, _, vh = np.linalg.svd(a * 2.0 ** -np.frexp(np.abs(a).max(initial=1e-300))[1], full_matrices=False)
            u = u @ vh
            right = m >= n
            inside = u.conj().swapaxes(-1, -2) @ values if right else values @ u.conj().swapaxes(-1, -2)
            part = (inside + sign * inside.conj().swapaxes(-1, -2)) / 2
            rest = values - (u @ inside if right else inside @ u)
            values = (u @ part if right else part @ u) + (rest if kind == "tangent" else 0)
    scale = {"zero": 0.0, "tiny": SCALES["squares underflow"], "huge": SCALES["squares overflow"],
             **{each: float(each) for each in ("1e-8", "1e-4", "0.01", "0.1", "10")}}.get(kind, 1.0)  # fmt: skip
    values = values * (scale(precision_of(dtype)) if callable(scale) else scale)
    if like == "neighbour" and values.size:
        u, _, vh = np.linalg.svd(point.astype(values.dtype) + values, full_matrices=False)
        values = u @ vh * _frame(point.astype(values.dtype))[1]
    values = cast(values, dtype)
    return _laid_out(values, kind if kind in ("transposed", "strided") else "C", shape)


def _frame(x: np.ndarray) -> tuple[np.ndarray, Any]:
    """X/c and c of X^H X = c^2 I; X itself and 1 where that is c to rounding."""
    length = np.linalg.norm(x, axis=(-2, -1), keepdims=True) / sqrt(x.shape[-1])
    return (x, 1.0) if np.all(np.abs(length - 1) < 1e-4) else (x / np.where(length > 0, length, 1.0), length)


_AT_A_FRAME = ("tangent", "neighbour", "direction", "lifted")


def _tangent(x: np.ndarray, values: np.ndarray, kind: str) -> np.ndarray:
    """X K + N of length 1, K and N from values; ``values`` again where X does not have orthonormal columns."""
    inside = x.conj().swapaxes(-1, -2) @ values
    parts = [x @ (inside - inside.conj().swapaxes(-1, -2)), values - x @ inside]
    if x.shape[-2] <= x.shape[-1]:
        parts[1] = 0 * parts[1]
    else:
        parts[1] = parts[1] - x @ (x.conj().swapaxes(-1, -2) @ parts[1])  # once more: to rounding
    if kind in ("vertical", "horizontal"):
        parts[kind == "vertical"] = 0 * values
    found = sum(_unit(part) for part in parts)
    return _unit(np.asarray(found))


def _unit(x: np.ndarray) -> np.ndarray:
    size = np.linalg.norm(x, axis=(-2, -1), keepdims=True)
    return np.where(size > 1e-8, x / np.where(size > 0, size, 1.0), 0.0)


def _integer(random: np.random.RandomState, m: int, n: int, complex_: bool) -> np.ndarray:
    """Odd on the diagonal, even below: modulo 2 triangular with ones, so the leading determinant is odd."""
    a = random.randint(-3, 4, (m, n)).astype(float)
    i, j = np.indices((m, n))
    a = np.where(i == j, 2 * np.floor(a / 2) + 1, np.where(i > j, 2 * np.trunc(a / 2), a))
    # 2 i times integers leave the determinant odd in Z[i]/(2)
    return a + 2j * random.randint(-1, 2, (m, n)) if complex_ else a


def _positive(random: np.random.RandomState, m: int, n: int, complex_: bool) -> np.ndarray:
    a = random.uniform(0.5, 1, (m, n))
    return (a + 1j * random.uniform(0.5, 1, (m, n)) if complex_ else a) / sqrt(max(2 * m * n, 1))


def _smooth(random: np.random.RandomState, m: int, n: int, complex_: bool) -> np.ndarray:
    x, y = np.sort(random.uniform(size=m)), np.sort(random.uniform(size=n))
    return 1 / (1 + x[:, None] + (1j * y if complex_ else y)) / sqrt(max(m * n, 1))


def _singular_values(random: np.random.RandomState, k: int, spectrum: str, cond: float, dtype: str) -> np.ndarray:
    ramp, small = _ramp(k), 1 / cond
    halves = np.where(np.arange(k) < (k + 1) // 2, 1.0, small)
    if spectrum == "arithmetic":
        return 1 - ramp * (1 - small)
    if spectrum == "log_uniform":
        inner = np.sort(random.uniform(size=k))[::-1]
        return cond ** -np.where(ramp == 0, 0, np.where(ramp == 1, 1, 1 - inner))
    if spectrum == "one_small":
        return np.where(ramp == 1, small, 1.0)
    if spectrum == "one_large":
        return np.where(ramp == 0, 1.0, small)
    if spectrum == "clustered":
        return halves * (1 - 2 * precision_of(dtype).eps * random.uniform(size=k))
    if spectrum == "repeated":
        return halves
    if spectrum == "almost_equal":
        return 1 - ramp * small / 2
    geometric = cond**-ramp
    if spectrum == "rank_deficient":
        return np.where(np.arange(k) < k - max(1, k // 3), geometric, 0.0)
    return geometric


def _ramp(k: int) -> np.ndarray:
    """0, ..., 1; a single 0 for k = 1."""
    return np.arange(k) / max(k - 1, 1)


def _haar(random: np.random.RandomState, m: int, k: int, complex_: bool) -> np.ndarray:
    g = random.standard_normal((m, k))
    if complex_:
        g = g + 1j * random.standard_normal((m, k))
    q, r = np.linalg.qr(g)
    d = np.diagonal(r)
    return q * (d / np.abs(d))


def _round_to(values: np.ndarray, precision: Precision) -> np.ndarray:
    """Nearest number of a 16-bit format, ties to even, as float32."""
    _, exponent = np.frexp(values)
    spacing = np.maximum(np.ldexp(precision.eps, exponent - 1), precision.tiny)
    rounded = np.round(values / spacing) * spacing
    return np.where(np.abs(rounded) > precision.largest, np.copysign(np.inf, values), rounded).astype(np.float32)


def _laid_out(a: np.ndarray, memory: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array in a memory layout; ``shape`` is that after broadcasting."""
    if memory == "F":
        return np.asfortranarray(a)
    if memory == "transposed":
        return np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2)
    if memory == "strided":
        wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan, a.dtype)
        wide[..., ::2] = a
        return wide[..., ::2]
    if memory == "negative":
        return np.ascontiguousarray(a[..., ::-1, ::-1])[..., ::-1, ::-1]
    if memory == "broadcast":
        return np.broadcast_to(a, shape)
    if memory == "readonly":
        a.flags.writeable = False
    if memory == "unaligned":
        moved = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
        moved[...] = a
        return moved
    if memory == "byteswapped":
        return a.astype(a.dtype.newbyteorder())
    return a


@dataclass(frozen=True)
class Named:
    """A gallery matrix of order n: ``build(n, precision)`` and the properties that a test verifies."""

    build: Callable[[int, Precision], np.ndarray]
    properties: tuple[str, ...]
    about: str


def _permutation(n: int, _: Precision) -> np.ndarray:
    return np.roll(np.eye(n), 1, axis=0)


def _jordan(n: int, _: Precision) -> np.ndarray:
    return np.eye(n, k=1)


def _hilbert(n: int, _: Precision) -> np.ndarray:
    i = np.arange(n)
    return 1.0 / (i[:, None] + i + 1)


def _kahan(n: int, _: Precision) -> np.ndarray:
    s, c = np.sin(1.2), np.cos(1.2)
    return s ** np.arange(n)[:, None] * (np.eye(n) - c * np.triu(np.ones((n, n)), 1))


def _graded(n: int, _: Precision) -> np.ndarray:
    d = 2.0 ** -np.arange(n)
    return np.sqrt(d)[:, None] * np.sqrt(d) * (2 * np.eye(n) + np.eye(n, k=1) - np.eye(n, k=-1))


def _clustered(n: int, precision: Precision) -> np.ndarray:
    return np.diag(1 + precision.eps * np.arange(n))


def _integers(n: int) -> np.ndarray:
    """Nonsingular, neither symmetric nor normal, entries 0, 1, 2: 2 on the diagonal, 1 below and in a corner."""
    a = 2 * np.eye(n) + np.eye(n, k=-1)
    a[:1, -1:] = 1
    return a


def _subnormal(n: int, precision: Precision) -> np.ndarray:
    return _integers(n) * (precision.tiny / precision.eps / 8)  # exact, an eighth to a quarter of the smallest normal


def _near_overflow(n: int, precision: Precision) -> np.ndarray:
    return _integers(n) / 4 * precision.largest


def _bfloat16(n: int, _: Precision) -> np.ndarray:
    i = np.arange(1, n * n + 1).reshape(n, n)
    return ((i * 37) % 127 - 63) / 64 + np.eye(n) * 2


GALLERY: dict[str, Named] = {
    "zero": Named(lambda n, _: np.zeros((n, n)), ("rank 0",), "h = 0, every orthogonal u is right"),
    "identity": Named(lambda n, _: np.eye(n), ("orthogonal", "positive definite"), "all singular values equal"),
    "minus_identity": Named(lambda n, _: -np.eye(n), ("orthogonal", "symmetric"), "u = -I, h = I"),
    "permutation": Named(_permutation, ("orthogonal",), "cyclic shift, eigenvalues on the unit circle"),
    "rank_one": Named(lambda n, _: np.ones((n, n)), ("rank 1", "symmetric"), "n - 1 free columns of u"),
    "jordan": Named(_jordan, ("nilpotent", "rank n-1"), "singular values 1, ..., 1, 0"),
    "hilbert": Named(_hilbert, ("positive definite",), "u = I though the condition number exceeds 1/eps for n > 12"),
    "kahan": Named(_kahan, ("upper triangular", "nonsingular"), "small singular value that QR does not show"),
    "graded": Named(_graded, ("nonsingular",), "entries fall by 2^-n along the diagonal"),
    "clustered": Named(_clustered, ("positive definite", "diagonal"), "singular values 1 + k eps, one ulp apart"),
    "subnormal": Named(_subnormal, ("nonsingular", "subnormal"), "a quarter of the smallest normal number"),
    "near_overflow": Named(
        _near_overflow, ("nonsingular", "near overflow"), "largest entry a quarter or half of the largest number"
    ),
    "bfloat16": Named(_bfloat16, ("nonsingular", "bfloat16"), "entries with at most 8 significant bits"),
}


def gallery(name: str, n: int, *, dtype: str = "float64", memory: Memory = "C", scale: float = 1.0) -> np.ndarray:
    """Named matrix of order n; see ``GALLERY`` for what each is and which properties it has.

    ``scale`` is a factor on it, ``memory`` as in :func:`matrix`, but for "broadcast": there is no batch axis.
    """
    if name not in GALLERY:
        raise ValueError(f"name={name!r} is not one of {', '.join(GALLERY)}")
    if memory not in MEMORY or memory == "broadcast":
        raise ValueError(f"memory={memory!r} is not one of {', '.join(m for m in MEMORY if m != 'broadcast')}")
    values = GALLERY[name].build(n, precision_of(dtype))
    return _laid_out(cast(values if scale == 1 else scale * values, dtype), memory, (n, n))


Companion = str | tuple[str, ...] | Callable[..., np.ndarray]  # what another input is like: see Case.accompanied


@dataclass(frozen=True)
class Call:
    """A function of this module and its arguments: one input."""

    function: Callable[..., np.ndarray]
    arguments: tuple[Any, ...]
    options: tuple[tuple[str, Any], ...]

    def __call__(self) -> np.ndarray:
        """The input, built anew."""
        return self.function(*(x() if isinstance(x, Call) else x for x in self.arguments), **dict(self.options))

    def changed(self, shape: tuple[int, ...] | None = None, **options: Any) -> Call:
        """The call with another shape or other options; of a cotangent the dtype and, of its point, all of them."""
        point = self.point
        if point is not None:
            own = {name: options[name] for name in ("dtype", "kind") if name in options}
            arguments = tuple(x.changed(shape, **options) if isinstance(x, Call) else x for x in self.arguments)
            return Call(self.function, arguments, tuple((dict(self.options) | own).items()))
        options.pop("kind", None)
        return Call(self.function, (shape or self.arguments[0],), tuple((dict(self.options) | options).items()))

    def reseeded(self) -> Call:
        """The call with the next seed."""
        seed = dict(self.options).get("seed", 0) + 1
        if self.point is not None:
            arguments = tuple(x.reseeded() if isinstance(x, Call) else x for x in self.arguments)
            return Call(self.function, arguments, tuple((dict(self.options) | {"seed": seed}).items()))
        return self.changed(seed=seed)

    @property
    def point(self) -> Call | None:
        """Of a cotangent the call that makes the point."""
        return next((x for x in self.arguments if isinstance(x, Call)), None)

    @property
    def drawn(self) -> bool:
        """Whether the input comes from :func:`matrix` or the like, of any shape and seed, or belongs to such a one."""
        return self.function is not gallery if self.point is None else self.point.drawn

    def __str__(self) -> str:
        given = [
            *(str(x) if isinstance(x, Call) else repr(x) for x in self.arguments),
            *(f"{name}={value!r}" for name, value in self.options),
        ]
        return f"{self.function.__module__}.{self.function.__qualname__}({', '.join(given)})"


@dataclass(frozen=True)
class Case:
    """Inputs of one call of a port.

    ``id`` is stable over releases and fit for ``pytest -k``. ``calls`` names the inputs, in order. ``factors`` says at
    which level of each factor of a battery the case is, as text; "-" where a factor has no meaning.
    """

    id: str
    family: str
    name: str
    dtype: str
    calls: tuple[tuple[str, Call], ...]
    factors: dict[str, str] = field(hash=False)

    def inputs(self) -> dict[str, np.ndarray]:
        """Build the inputs anew, so that nothing a port did to them can be seen by the next."""
        return {name: call() for name, call in self.calls}

    def matrix(self) -> np.ndarray:
        """Build the first input anew."""
        return self.calls[0][1]()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first input, without building it; of parameters that of the matrix that they make."""
        call = self.calls[0][1]
        return (call.arguments[1],) * 2 if call.function is gallery else call.arguments[0]

    @property
    def drawn(self) -> bool:
        """Whether all inputs come from :func:`matrix` or the like, of any shape and seed."""
        return all(call.drawn for _, call in self.calls)

    def changed(self, shape: tuple[int, ...] | None = None, **options: Any) -> Case:
        """The case with another shape or other options of :func:`matrix`, for each input."""
        calls = tuple((name, call.changed(shape, **options)) for name, call in self.calls)
        return replace(self, id=f"{self.id}, changed", dtype=options.get("dtype", self.dtype), calls=calls)

    def reseeded(self) -> Case:
        """Other numbers of the same kind."""
        return replace(self, calls=tuple((name, call.reseeded()) for name, call in self.calls))

    def times(self, factor: float) -> Case:
        """The case with its first input times a number, which is no level of the factor "scale"."""
        (name, call), *others = self.calls
        options = dict(call.options)
        options["scale"] = options.get("scale", 1.0) * factor
        calls = ((name, Call(call.function, call.arguments, tuple(options.items()))), *others)
        return replace(self, id=f"{self.id}-times{factor:g}", calls=calls, factors=self.factors | {"scale": "-"})

    def accompanied(self, companions: Mapping[str, Companion], first: str | None = None) -> Case:
        """The case with (co)tangents of the kind of its factor "cotangent": names, and the shape that each is like.

        Names after what it is like are those of companions that it belongs to. A function in its place takes the point,
        kind, seed and dtype. ``first`` renames the first input.
        """
        if first is not None:
            self = replace(self, calls=((first, self.calls[0][1]), *self.calls[1:]))
        if not companions:
            return self
        point, kind = self.calls[0][1], self.factors.get("cotangent", "generic")
        seed = dict(point.options).get("seed", 0)
        calls: dict[str, Call] = {}
        for i, (name, given) in enumerate(companions.items(), start=1):
            like, *others = given if isinstance(given, tuple) else (given,)
            calls[name] = Call(like if callable(like) else cotangent, (point, *(calls[each] for each in others)), (
                ("kind", kind), *((("like", like),) if isinstance(like, str) and like != "input" else ()),
                ("seed", seed + 7 * i), ("dtype", self.dtype),
            ))  # fmt: skip
        return replace(self, id=f"{self.id}-{kind.replace(' ', '_')}", calls=self.calls + tuple(calls.items()))

    @property
    def recreate(self) -> str:
        """The call that evaluates to ``matrix()``; where there are several inputs a line ``name = call`` for each."""
        if len(self.calls) == 1:
            return str(self.calls[0][1])
        lines = []
        for i, (name, call) in enumerate(self.calls):
            text = str(call)
            for each, before in self.calls[:i][::-1]:  # as arguments, those first that hold others
                text = text.replace(f"({before},", f"({each},").replace(f" {before},", f" {each},")
            lines.append(f"{name} = {text}")
        return "\n".join(lines)


def drawn(
    shape: Sequence[int],
    spectrum: str | None,
    cond: float | str | None,
    dtype: str,
    *,
    scale: float | str = 1.0,
    seed: int = 0,
    structure: str = "general",
    members: str = "alike",
    memory: str = "C",
    argument: str = "a",
    function: Callable[..., np.ndarray] = matrix,
) -> Case:
    """Case of :func:`matrix`, or of another function that takes the options of its own that are given.

    ``spectrum`` and ``cond`` are None where they mean nothing; ``cond`` may be a name in ``CONDS``, ``scale`` one in
    ``SCALES``.
    """
    shape, seed, precision = checked_shape(shape), int(seed), precision_of(dtype)
    number = None if cond is None else CONDS[cond](precision) if isinstance(cond, str) else float(cond)
    factor = SCALES[scale](precision) if isinstance(scale, str) else float(scale)
    scale_text = scale if isinstance(scale, str) else f"{factor:.3g}"
    options = {
        **({} if spectrum is None else {"spectrum": spectrum}),
        **({} if number is None else {"cond": number}),
        **({} if factor == 1 else {"scale": factor}),
        "seed": seed,
        "dtype": dtype,
        **({} if structure == "general" else {"structure": structure}),
        **({} if members == "alike" else {"members": members}),
        **({} if memory == "C" else {"memory": memory}),
    }
    parts = [
        *([] if structure == "general" else [structure]),
        *([] if spectrum is None else [spectrum]),
        *([] if number is None else [f"cond{number:.3g}"]),
        *([] if factor == 1 else [scale_text if isinstance(scale, str) else f"scale{scale_text}"]),
        *([] if members == "alike" else [members]),
        *([] if memory == "C" else [memory]),
    ]
    nothing = 0 in shape
    values = {
        "members": "-" if nothing or prod(shape[:-2]) < 2 else members,
        "memory": memory,
        "structure": "-" if nothing else structure,
        "spectrum": "-" if nothing or spectrum is None else spectrum,
        "cond": "-" if nothing or number is None else f"{number:.3g}",
        "scale": "-" if nothing else scale_text,
        "dtype": dtype,
    }
    return Case(
        id=_id(dtype, shape, *parts, f"seed{seed}"),
        family=_family(spectrum, structure, factor),
        name=spectrum or structure,
        dtype=dtype,
        calls=((argument, Call(function, (shape,), tuple(options.items()))),),
        factors=factors_of(shape) | values,
    )


def named(name: str, n: int, dtype: str, *, memory: str = "C", argument: str = "a") -> Case:
    """Case of :func:`gallery`."""
    n = int(n)
    options = {"dtype": dtype} | ({} if memory == "C" else {"memory": memory})
    dashes = dict.fromkeys(("spectrum", "cond", "scale"), "-")
    values = {"members": "-", "memory": memory, "structure": f"gallery {name}"} | dashes | {"dtype": dtype}
    return Case(
        id=_id(dtype, (n, n), name, *([] if memory == "C" else [memory])),
        family="gallery",
        name=name,
        dtype=dtype,
        calls=((argument, Call(gallery, (name, n), tuple(options.items()))),),
        factors=factors_of((n, n)) | values,
    )


def _id(dtype: str, shape: tuple[int, ...], *parts: str) -> str:
    return "-".join((dtype, "x".join(map(str, shape)), *parts)).replace(" ", "_")


def _family(spectrum: str | None, structure: str, scale: float) -> str:
    if scale != 1:
        return "extreme scale" if scale else "zero"
    return spectrum if structure == "general" and spectrum else structure


DERIVED = ("orientation", "rows", "columns")  # factors that follow from class and order: for explanations only


def factors_of(shape: tuple[int, ...]) -> dict[str, str]:
    """Levels of the factors class, orientation, order (the smaller dimension) and batch that a shape is at."""
    *batch, m, n = shape
    k = min(m, n)
    if k <= 1:
        class_ = "empty" if not k else "1x1" if m == n else "row" if m == 1 else "column"
    elif m == n:
        class_ = "square"
    elif abs(m - n) == 1:
        class_ = "nearly square"
    else:
        class_ = "wide" if m < n else "very tall" if m >= 10 * n else "tall"
    if len(batch) != 1:
        axes = "none" if not batch else "two axes" if prod(batch) else "length 0"
    elif batch[0] <= 2:
        axes = f"length {batch[0]}"
    else:
        axes = "matrix dimension" if batch[0] in (m, n) else "one axis"
    orientation = "square" if m == n else "tall" if m > n else "wide"
    return {
        "class": class_,
        "orientation": orientation,
        "order": str(k) if k else "-",
        "rows": str(m),
        "columns": str(n),
        "batch": axes,
    }
