"""What a wrong unitary factor does in the singular bases of A: singular vectors, singular values, which directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import inf

import numpy as np

from orthoref.oracle.orthonormal.reasons import beside_one
from orthoref.oracle.precision import Precision
from orthoref.oracle.residual import ct, exponent_of, inner, ldexp

Law = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Directions:
    """A = P S V^H with m >= n (a wide A is taken by its adjoint) beside a matrix U of its shape."""

    a: np.ndarray
    u: np.ndarray
    precision: Precision

    @cached_property
    def exponent(self) -> np.ndarray:
        """A 2^-exponent has entries of size 1."""
        return exponent_of(self.a)

    @cached_property
    def svd(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """P, s and V of the scaled A or A^H."""
        p, s, vh = np.linalg.svd(ldexp(tall(self.a), -self.exponent), full_matrices=False)
        return p, s, ct(vh)

    @property
    def unitary(self) -> np.ndarray:
        """The polar factor P V^H of A."""
        p, _, v = self.svd
        w = p @ ct(v)
        return w if self.a.shape[0] >= self.a.shape[1] else ct(w)

    def hermitian(self, side: str) -> np.ndarray:
        """The Hermitian factor of A on a side."""
        p, s, v = self.svd
        x = v if (side == "right") == (self.a.shape[0] >= self.a.shape[1]) else p
        return ldexp((x * s) @ ct(x), self.exponent)

    @cached_property
    def e(self) -> float:
        """Unit of error of U."""
        m, n = tall(self.a).shape
        return self.precision.growth(n, m) * self.precision.eps

    @cached_property
    def relative(self) -> np.ndarray:
        """s_i/s_1."""
        s = self.svd[1]
        return s / s[0] if s[0] > 0 else s

    @cached_property
    def core(self) -> np.ndarray:
        """C = P^H U V, the identity for the polar factor."""
        p, _, v = self.svd
        return inner(p, tall(self.u)) @ v

    @cached_property
    def defect(self) -> np.ndarray:
        """V^H (U^H U - I) V."""
        u, v = tall(self.u), self.svd[2]
        return ct(v) @ (inner(u, u) - np.eye(v.shape[1])) @ v

    @cached_property
    def determined(self) -> np.ndarray:
        """Directions that a backward stable method finds."""
        return self.relative > 10 * self.e

    @cached_property
    def tilt(self) -> np.ndarray:
        """Error of the determined directions in a backward stable factor, off the diagonal of C."""
        return 10 * self.e / self.relative[self.determined]

    @cached_property
    def noise(self) -> np.ndarray:
        """The same on the diagonal, which a tilt changes in second order."""
        return 10 * self.e + self.tilt**2 / 10

    @cached_property
    def values(self) -> np.ndarray | None:
        """Diagonal d of U = P diag(d) V^H in the determined directions, if its singular vectors are those of A."""
        c, known = self.core, self.determined
        if not known.any():
            return None
        d = np.diagonal(c)[known]
        beyond = np.maximum(np.abs(d - 1) - self.noise, 0)
        rest = np.abs(c[np.ix_(known, known)] - np.diag(d.real))
        outside = np.linalg.norm(tall(self.u) @ self.svd[2][:, known] - self.svd[0] @ c[:, known], axis=0)
        allowed = 0.05 * np.max(beyond) + self.tilt
        small = np.all(rest <= np.maximum.outer(allowed, allowed)) and np.all(outside <= allowed)
        return d.real if np.max(beyond) > 0 and small else None


def tall(x: np.ndarray) -> np.ndarray:
    """X, or X^H if that is the longer."""
    return x if x.shape[0] >= x.shape[1] else ct(x)


def recognised(seen: Directions) -> Iterator[tuple[str, str]]:
    """Key and text of what U is known to be in place of the polar factor."""
    a, u = ldexp(seen.a, -seen.exponent), seen.u
    multiple = np.vdot(a, u) / np.vdot(a, a) if a.any() else 0.0
    smallest = float(seen.relative[-1])
    if smallest < 0.9 and np.linalg.norm(u - multiple * a) <= 1e-3 * smallest * np.linalg.norm(u):
        yield "u is a", "u is a multiple of a: nothing was made orthonormal"
    yield from _triangular(a, u)
    yield from _products(seen)
    if np.iscomplexobj(seen.a):
        if not u.imag.any() and np.linalg.norm(u - seen.unitary.real) <= 1e-3 * np.linalg.norm(u):
            yield "real part", "u is the real part of what it should be: the imaginary part is lost"
        yield from _lost_conjugate(a, u)
    yield from _shape(seen)


def _triangular(a: np.ndarray, u: np.ndarray) -> Iterator[tuple[str, str]]:
    """Orthonormal factors of A = Q R, Q L, L Q, R Q: which product is triangular."""
    m, n = a.shape
    if min(m, n) < 2:
        return
    right, left = (inner(u, a) if m >= n else None), (inner(ct(a), ct(u)) if m <= n else None)
    for name, product, part in (
        ("QR", right, np.tril),
        ("QL", right, np.triu),
        ("LQ", left, np.triu),
        ("RQ", left, np.tril),
    ):
        if product is not None and np.linalg.norm(part(product, -1 if part is np.tril else 1)) <= 1e-3 * np.linalg.norm(
            product
        ):
            strict = np.linalg.norm(product - np.diag(np.diagonal(product))) > 1e-2 * np.linalg.norm(product)
            if strict:
                article = "an" if name[0] in "LR" else "a"
                yield name, f"u is the orthonormal factor of {article} {name} factorization, not the polar factor"


def _products(seen: Directions) -> Iterator[tuple[str, str]]:
    """P (V^H)^T for P V^H: the moduli of P^H U are then those of V, whatever the signs of the singular vectors."""
    p, s, v = seen.svd
    simple = len(s) > 1 and np.min(s[:-1] - s[1:]) > 1e4 * seen.precision.eps * s[0]
    if simple and seen.a.shape[0] >= seen.a.shape[1]:
        found = np.abs(inner(p, seen.u))
        if (
            np.linalg.norm(found - np.abs(v)) <= 1e-3 * np.linalg.norm(v)
            and np.linalg.norm(seen.u - seen.unitary) > 1e-2
        ):
            yield "u @ vh.T", "u is the product u @ vh.T (or u @ v) of the singular vectors, not u @ vh"


def _lost_conjugate(a: np.ndarray, u: np.ndarray) -> Iterator[tuple[str, str]]:
    """A (A^T A)^(-1/2): U^T U = I, or what eigh makes of A^T A."""
    a, u = tall(a), tall(u)
    text = "a conjugate is lost in the Gram matrix: A^T A for A^H A"
    if np.linalg.norm(u.T @ u - np.eye(u.shape[1])) <= 1e-3 and np.linalg.norm(inner(u, u) - np.eye(u.shape[1])) > 1e-2:
        yield "lost conjugate", text
        return
    w, v = np.linalg.eigh(a.T @ a)
    if w.all() and np.linalg.norm(u - a @ (v / np.sqrt(np.abs(w))) @ ct(v)) <= 1e-3 * np.linalg.norm(u):
        yield "lost conjugate", text


def _shape(seen: Directions) -> Iterator[tuple[str, str]]:
    """Singular values of U as a function of those of A, or an error that grows with s_1/s."""
    d, s = seen.values, seen.relative[seen.determined]
    right = "the singular vectors are right; singular values of u"
    given = d is not None and len(d) > 1 and bool((d > -0.5).all()) and np.ptp(d) > 1e-3 * np.max(np.abs(d - 1))
    if given and d is not None and (name := next(_laws(s, d, seen), "")):
        yield name.partition(":")[0], f"{right} from {beside_one(d.min())} to {beside_one(d.max())}: {name}"
        return
    yield from _growing(seen)
    if not given or d is None:  # equal values are a factor, which the lengths of the columns show
        return
    wrong = np.abs(d - 1) > np.maximum(seen.noise, 0.01 * np.max(np.abs(d - 1)))
    seen_as = f"from {beside_one(d.min())} to {beside_one(d.max())}"
    if wrong.any() and not wrong.all() and np.max(s[wrong]) < np.min(s[~wrong]):
        edge, small = f"below s/s_1 = {np.max(s[wrong]):.2g}", float(d[wrong][np.argmax(np.abs(d[wrong] - 1))])
        if np.max(np.abs(d[wrong])) <= 1e-3:
            yield "truncated", f"{right} are zero {edge}: small singular values of a are cut off"
            return
        seen_as = f"{'fall' if small < 1 else 'rise'} from 1 to {beside_one(small)} {edge}"
    yield "not converged", f"{right} {seen_as}: not converged, or a shift"


def _growing(seen: Directions) -> Iterator[tuple[str, str]]:
    """(COND): eps s_1/min(s_i, s_j) or eps s_1^2/(s_i s_j)."""
    known, s = seen.determined, seen.relative[seen.determined]
    if len(s) < 2:
        return
    error = np.abs(seen.defect)[np.ix_(known, known)]
    worst = float(np.max(error))
    for grows, weight, cause in (
        ("cond", np.minimum.outer(s, s), "divides by H, or multiplies by its inverse"),
        ("cond^2", np.outer(s, s), "forms A^H A"),
    ):
        if 1e3 * seen.e < worst < 0.5 and np.max(error * weight) <= min(100 * seen.e, 1e-3 * worst):
            size = f"{worst:.2g} where s/s_1 = {s[-1]:.2g}, none where it is 1"
            yield f"error grows like {grows}", f"the error grows like {grows} ({size}): {cause}"
            return


def _laws(s: np.ndarray, d: np.ndarray, seen: Directions) -> Iterator[str]:
    """Functions d(s), s in units of s_1, that unfinished or regularised computations make."""
    bad = np.abs(d - 1) > np.maximum(10 * seen.noise, 1e-3 * np.max(np.abs(d - 1)))
    if not bad.any() or not np.max(s[bad]) > 1.1 * np.min(s[bad]):  # any law fits one point
        return

    def fits(found: np.ndarray) -> bool:
        return bool(np.all(np.abs(found - d) <= 0.01 * np.abs(d - 1) + seen.noise))

    with np.errstate(all="ignore"):
        squared = float(np.median(s[bad] ** 2 * (1 / d[bad] ** 2 - 1)))
        linear = float(np.median(s[bad] * (1 / d[bad] - 1)))
        if squared > 0 and fits(s / np.sqrt(s**2 + squared)):
            yield f"a shift: (A^H A + {squared:.2g} |A|_2^2 I)^(-1/2) for (A^H A)^(-1/2)"
        if linear > 0 and fits(s / (s + linear)):
            yield f"a shift: (H + {linear:.2g} |A|_2 I)^(-1) for H^(-1)"
        one = float(np.sqrt(np.sum(seen.relative**2)))
        for scale, norm in ((1.0, "|A|_2"), (1 / one, "|A|"), (inf, "")):
            for text, step in _ITERATIONS.items():
                x = s * scale if norm else s * float(seen.svd[1][0]) * 2.0 ** float(seen.exponent[0, 0])
                for steps in range(1, 41):
                    x = step(x)
                    if not np.all(np.abs(x) <= 1e8):
                        break
                    if fits(x):
                        yield f"not converged: {steps} steps of {text} from A{'/' + norm if norm else ''}"
                        return
            if norm:
                term = total = s * scale
                for order in range(1, 200):
                    term = term * (1 - (s * scale) ** 2) * (2 * order - 1) / (2 * order)
                    total = total + term
                    if fits(total):
                        yield f"a truncated series: {order + 1} terms of (I - (I - A^H A))^(-1/2) for A/{norm}"
                        return


_ITERATIONS: dict[str, Law] = {
    "X (3 I - X^H X)/2": lambda x: x * (3 - x * x) / 2,
    "(X + X^-H)/2": lambda x: (x + 1 / x) / 2,
    "X (15 I - 10 X^H X + 3 (X^H X)^2)/8": lambda x: x * (15 - 10 * x * x + 3 * x**4) / 8,
    "X (3 I + X^H X) (I + 3 X^H X)^-1": lambda x: x * (3 + x * x) / (1 + 3 * x * x),
}
