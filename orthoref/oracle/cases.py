"""Hard inputs: matrices drawn by spectrum, and a gallery of named ones with declared properties.

Every input is a pure function of its arguments; :attr:`Case.recreate` is the call. The random numbers come from
``numpy.random.RandomState``, whose streams are frozen; the values still differ in the last bits between BLAS
libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
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
) -> np.ndarray:
    """Random matrix (stack) P diag(s) Q^H with Haar distributed P and Q and prescribed s.

    Parameters
    ----------
    shape : (..., m, n)
    spectrum : str
        One of ``SPECTRA``, where each is defined; s_1 = 1 and s_k = 1/cond unless it says otherwise.
    cond : float
        Ratio of the extreme singular values, at least 1.
    scale : float
        Factor on the whole matrix, applied last (products below the smallest normal number round there).
    det : {"+", "-"}, optional
        Sign of the determinant of real square nonsingular matrices.
    seed : int
    dtype : str
        float32, float64, complex64, complex128; "bfloat16" and "float16" give float32 arrays whose entries are
        exactly representable in those formats.

    Returns
    -------
    array of the shape and dtype
    """
    *batch, m, n = (int(d) for d in shape)
    if spectrum not in SPECTRA:
        raise ValueError(f"spectrum={spectrum!r} is not one of {', '.join(SPECTRA)}")
    if not cond >= 1:
        raise ValueError(f"cond={cond!r} is less than 1")
    if det is not None and (m != n or dtype.startswith("complex") or spectrum == "rank_deficient"):
        raise ValueError("det needs real square nonsingular matrices")
    random = np.random.RandomState(seed)
    stack = [_one(random, m, n, spectrum, cond, det, dtype) for _ in range(prod(batch))]
    values = np.asarray(stack).reshape(*batch, m, n) * scale
    return cast(values, dtype)


def cast(values: np.ndarray, dtype: str) -> np.ndarray:
    """Round to a dtype; the 16-bit formats come back as float32 arrays."""
    if dtype in ("bfloat16", "float16"):
        return _round_to(values, precision_of(dtype))
    return np.asarray(values).astype(dtype)


def _one(
    random: np.random.RandomState, m: int, n: int, spectrum: str, cond: float, det: str | None, dtype: str
) -> np.ndarray:
    k = min(m, n)
    complex_ = dtype.startswith("complex")
    p, q = _haar(random, m, k, complex_), _haar(random, n, k, complex_)
    if spectrum == "graded":
        a = cond ** -_ramp(m)[:, None] * (p @ q.conj().T)
    else:
        a = p * _singular_values(random, k, spectrum, cond, dtype) @ q.conj().T
    if det is not None and k and np.sign(np.linalg.det(p @ q.T)) != (1 if det == "+" else -1):
        a[:, 0] = -a[:, 0]
    return a


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


def strided(shape: Sequence[int], **options: Any) -> np.ndarray:
    """The same numbers as :func:`matrix`, in every second column of a wider array: not contiguous."""
    a = matrix(shape, **options)
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def uneven(shape: Sequence[int], **options: Any) -> np.ndarray:
    """:func:`matrix` with the members of the stack times 1, 1/2, 1/4, ...: no norm fits two of them."""
    a = matrix(shape, **options)
    return a * (2.0 ** -np.arange(prod(a.shape[:-2]))).reshape(*a.shape[:-2], 1, 1).astype(a.dtype)


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


def gallery(name: str, n: int, *, dtype: str = "float64") -> np.ndarray:
    """Named matrix of order n; see ``GALLERY`` for what each is and which properties it has."""
    if name not in GALLERY:
        raise ValueError(f"name={name!r} is not one of {', '.join(GALLERY)}")
    return cast(GALLERY[name].build(n, precision_of(dtype)), dtype)


@dataclass(frozen=True)
class Case:
    """One input of a battery. ``id`` is stable over releases, ``recreate`` evaluates to ``matrix()``."""

    id: str
    family: str
    name: str
    dtype: str
    recreate: str

    def matrix(self) -> np.ndarray:
        """Build the input anew, so that nothing a port did to it can be seen by the next."""
        function, _, arguments = self.recreate.removeprefix("orthoref.oracle.cases.").partition("(")
        return eval(
            f"{function}({arguments}", {"matrix": matrix, "gallery": gallery, "strided": strided, "uneven": uneven}
        )  # our own text


def drawn(
    shape: Sequence[int],
    spectrum: str,
    cond: float,
    dtype: str,
    *,
    scale: float = 1.0,
    seed: int = 0,
    function: Literal["matrix", "strided", "uneven"] = "matrix",
) -> Case:
    """Case of :func:`matrix`, :func:`strided` or :func:`uneven`."""
    shape, cond, scale, seed = tuple(int(d) for d in shape), float(cond), float(scale), int(seed)
    size = "x".join(map(str, shape))
    scaled = "" if scale == 1 else f"-scale={scale:.3g}"
    arguments = f"spectrum={spectrum!r}, cond={cond!r}, " + ("" if scale == 1 else f"scale={scale!r}, ")
    return Case(
        id=f"{dtype}-{size}-{spectrum}-cond={cond:.3g}{scaled}-seed={seed}"
        + ("" if function == "matrix" else f"-{function}"),
        family=function if function != "matrix" else spectrum if scale == 1 else "extreme scale" if scale else "zero",
        name=spectrum,
        dtype=dtype,
        recreate=f"orthoref.oracle.cases.{function}({shape}, {arguments}seed={seed}, dtype={dtype!r})",
    )


def named(name: str, n: int, dtype: str) -> Case:
    """Case of :func:`gallery`."""
    n = int(n)
    return Case(
        f"{dtype}-{n}x{n}-{name}",
        "gallery",
        name,
        dtype,
        f"orthoref.oracle.cases.gallery({name!r}, {n}, dtype={dtype!r})",
    )
