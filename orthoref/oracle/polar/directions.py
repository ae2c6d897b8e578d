"""What a wrong unitary factor does in the singular bases of A: singular vectors, singular values, which directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import inf

import numpy as np

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
        """Directions that a backward stable method finds to three digits."""
        return self.relative > 1e3 * self.e

    @cached_property
    def values(self) -> np.ndarray | None:
        """Diagonal d of U = P diag(d) V^H in the determined directions, if its singular vectors are those of A."""
        c, known = self.core, self.determined
        if not known.any():
            return None
        d = np.diagonal(c)[known]
        worst = np.max(np.abs(d - 1))
        # the singular vectors of a backward stable factor err by e s_1/s_i
        noise = 10 * self.e / self.relative[known][-1]
        rest = c[np.ix_(known, known)] - np.diag(d)
        outside = tall(self.u) @ self.svd[2][:, known] - self.svd[0] @ c[:, known]
        off = max(np.max(np.abs(rest)), np.max(np.linalg.norm(outside, axis=0)), np.max(np.abs(d.imag)))
        return d.real if off <= 0.05 * worst and worst > noise else None


def tall(x: np.ndarray) -> np.ndarray:
    """X, or X^H if that is the longer."""
    return x if x.shape[0] >= x.shape[1] else ct(x)


def recognised(seen: Directions) -> Iterator[tuple[str, str]]:
    """Key and text of what U is known to be in place of the polar factor."""
    a, u = ldexp(seen.a, -seen.exponent), seen.u
    multiple = np.vdot(a, u) / np.vdot(a, a) if a.any() else 0.0
    if abs(multiple) and np.linalg.norm(u - multiple * a) <= 1e-3 * np.linalg.norm(u) * (seen.relative[-1] < 0.9):
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
    simple = len(s) > 1 and np.min(s[:-1] - s[1:]) > 1e6 * seen.precision.eps * s[0]
    if simple and seen.a.shape[0] >= seen.a.shape[1]:
        found = np.abs(inner(p, seen.u))
        if np.linalg.norm(found - np.abs(v)) <= 1e-3 * np.linalg.norm(v) and np.linalg.norm(found - ct(found)) > 1e-2:
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
    right = "the singular vectors are right; "
    if d is not None and len(d) > 1 and (d > -0.5).all():
        wrong = np.abs(d - 1) > max(10 * seen.e, 0.01 * np.max(np.abs(d - 1)))
        name = next(_laws(s, d, seen), "")
        limits = f"from {d.min():.6g} to {d.max():.6g}"
        if np.ptp(d) <= 1e-3 * np.max(np.abs(d - 1)):
            return  # a factor, which the lengths of the columns show
        if name:
            yield name.partition(":")[0], f"{right}singular values of u {limits}: {name}"
        elif wrong.any() and not wrong.all() and np.max(s[wrong]) < np.min(s[~wrong]):
            edge, small = float(np.max(s[wrong])), float(d[wrong][np.argmax(np.abs(d[wrong] - 1))])
            if np.max(np.abs(d[wrong])) <= 1e-3:
                yield (
                    "truncated",
                    f"{right}u is zero on the directions below s/s_1 = {edge:.2g}: small singular values are cut off",
                )
            else:
                way = "fall" if small < 1 else "rise"
                yield (
                    "not converged",
                    (
                        f"{right}singular values of u {way} from 1 to {small:.6g} below s/s_1 = {edge:.2g}: "
                        "not converged, or a shift"
                    ),
                )
        else:
            yield "not converged", f"{right}singular values of u {limits}: not converged, or a shift"
        return
    s = seen.relative
    if s[-1] <= 0 or len(s) < 2:
        return
    error = np.abs(seen.defect)
    worst = float(np.max(error))
    for grows, weight, cause in (  # (COND): eps s_1/min(s_i, s_j), eps s_1^2/(s_i s_j)
        ("cond", np.minimum.outer(s, s), "divides by H, or multiplies by its inverse"),
        ("cond^2", np.outer(s, s), "forms A^H A"),
    ):
        if worst > 1e3 * seen.e and np.max(error * weight) <= min(100 * seen.e, 1e-3 * worst):
            size = f"{worst:.2g} where s/s_1 = {s[-1]:.2g}, none where it is 1"
            yield f"error grows like {grows}", f"the error grows like {grows} ({size}): {cause}"
            return


def _laws(s: np.ndarray, d: np.ndarray, seen: Directions) -> Iterator[str]:
    """Functions d(s), s in units of s_1, that unfinished or regularised computations make."""
    bad = np.abs(d - 1) > 0.1 * np.max(np.abs(d - 1))
    error = np.max(np.abs(d - 1))

    def fits(found: np.ndarray) -> bool:
        return bool(np.max(np.abs(found - d)) <= 1e-3 * error)

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
