"""Known mistakes of constructors: another convention, a series that is cut off, a conjugate that is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from math import ceil, log2, pi
from typing import Any

import numpy as np

from orthoref.oracle.constructors import products
from orthoref.oracle.constructors import truth as exact
from orthoref.oracle.constructors.ratios import columns_of, truths
from orthoref.oracle.derivative import Mistake, Truth, multiples, shorter, undone
from orthoref.oracle.fixed import rounded
from orthoref.oracle.operation import Data, Variant
from orthoref.oracle.orthonormal.reasons import not_orthonormal
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import ct, ldexp, norm

FLOAT32 = PRECISIONS["float32"]  # whose truth is found in float64
LIMIT, MUCH = 10.0, 4.0
SHORT = 8.0  # units of a shorter format that its rounding may make of a result
TERMS = 16  # longest series that is told
PADE = 5.37  # |A|_1 at which squaring begins, see [Higham2008]_
Values = Mapping[str, np.ndarray]
MISSING = products.MISSING


def variants(name: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision,
             failed: Mapping[str, float]) -> Iterator[Variant]:  # fmt: skip
    """Known mistakes of one member, as the difference that they make."""
    values = {each: x.value for each, x in inputs.items()}
    truth = truths(name, values, claimed, FLOAT32)[0]["q"]
    found, value = outputs["q"].value, rounded(truth.value)
    mistakes = chain(MISTAKES[name](values, claimed, value, found), of_any_map(truth, values))
    yield from told(outputs, "q", truth, mistakes, precision.eps / FLOAT32.eps)
    yield from shorter(found - value, value, precision, float(min(truth.unit / FLOAT32.eps, SHORT * norm(value))))


def told(outputs: Data, name: str, truth: Truth, mistakes: Iterable[Mistake], eps: float) -> Iterator[Variant]:
    """Mistakes as the difference that they make; one that makes much more than there should be, by its digits."""
    found, value = ldexp(outputs[name].value, -truth.exponent), rounded(truth.value)
    size = float(norm(value))
    unit = LIMIT * eps * float(truth.unit) / max(size, 1e-300)
    for said, made in mistakes:
        if np.shape(made) == found.shape and norm(made) > MUCH * size:
            if norm(found - made) <= unit * norm(made):
                yield Variant(said, said, {name: ldexp(value, truth.exponent)})
        else:
            yield from undone(outputs, name, truth, [(said, made)])


def of_any_map(truth: Truth, values: Values) -> Iterator[Mistake]:
    """What every constructor can be wrong by."""
    value = rounded(truth.value)
    yield "the identity is returned", np.eye(*value.shape)
    for each, x in values.items():
        yield f"q is {each} itself", x
    for said, made in multiples("q", truth, None):
        yield said.replace("is conjugated: the gradient convention of JAX", "is conjugated"), made
    if value.shape[-1] > 1:
        yield "the columns are in reverse order", value[:, ::-1]
        yield "the rows are in reverse order", value[::-1]


# Cayley ---------------------------------------------------------------------------------------------------------------


def transform(a: np.ndarray, top: float, bottom: float) -> np.ndarray:
    """(I + bottom A)^-1 (I - top A)."""
    one = np.eye(len(a))
    try:
        return np.linalg.solve(one + bottom * a, one - top * a)
    except np.linalg.LinAlgError:
        return np.full(a.shape, np.nan)


TIMES = {2.0: "2", 0.5: "1/2", 4.0: "4", 0.25: "1/4"}


def _cayley(values: Values, claimed: Any, value: np.ndarray, found: np.ndarray) -> Iterator[Mistake]:
    a, c = values["a"], claimed.c
    d = columns_of(values)
    signed = "diagonal" in values

    def plain(a: np.ndarray) -> np.ndarray:
        return transform(a, c, c) * d

    yield "this is the transpose of the stated convention: the sign of A", plain(-a)
    if signed:
        q = transform(a, c, c)
        yield "D is missing: (I + c A)^-1 (I - c A)", q
        yield "the other side: D stands on the left", np.swapaxes(d, -1, -2) * q
        yield "the sign of D is wrong", -plain(a)
        yield "this is the transpose of the stated convention, D on the left", ct(plain(a))
        yield "D stands between the factors", np.linalg.solve(np.eye(len(a)) + c * a, np.swapaxes(d, -1, -2) * (
            np.eye(len(a)) - c * a))  # fmt: skip
        yield "D is missing, and the sign of A is wrong", ct(q)
    yield from of_multiples(a, claimed, plain)
    for times, words in TIMES.items():
        if times in (2.0, 0.5):
            yield f"A is taken {words} times in I - c A only", transform(a, times * c, c) * d
            yield f"A is taken {words} times in I + c A only", transform(a, c, times * c) * d
    one, b = np.eye(len(a)), c * a
    yield "the inverse is missing: (I - c A) alone", (one - b) * d
    yield "the inverse is missing: (I + c A)(I - c A)", (one + b) @ (one - b) * d
    yield "the factor I - c A is missing: (I + c A)^-1 alone", transform(a, 0.0, c) * d
    yield "this is (I - c A)^2: a conjugate transpose in place of the inverse", (one - b) @ (one - b) * d
    for words, t in (("-2 c A", -2 * c), ("-c A", -c), ("c A", c), ("2 c A", 2 * c), ("A", 1.0), ("-A", -1.0)):
        yield f"this is the exponential exp({words}), not the Cayley transform", exact.exp(t * a) * d
    yield from of_the_argument(a, plain)
    yield from _neumann(b, d)
    yield from _shifted(b, d, found)
    yield from _angle(a, plain, found, lambda w, phi, *_: [-np.tan(phi / 2) / (c * w)])


def of_multiples(a: np.ndarray, claimed: Any, plain: Callable[[np.ndarray], np.ndarray]) -> Iterator[Mistake]:
    """A taken so many times, as the other forms of the Cayley transform do."""
    for times, words in TIMES.items():
        said = f"A is taken {words} times: this is factor={claimed.factor * times:g}, not {claimed.factor:g}"
        if times == 2.0:
            said += ": the factor 1/2 is missing, or A - A^H is formed of what is skew already"
        yield said, plain(times * a)
        yield f"{said}; and it is the transpose: the sign of A", plain(-times * a)


def of_the_argument(a: np.ndarray, plain: Callable[[np.ndarray], np.ndarray]) -> Iterator[Mistake]:
    """Another matrix in the place of A."""
    low, up, diagonal = np.tril(a, -1), np.triu(a, 1), a * np.eye(len(a))
    if np.iscomplexobj(a):
        yield f"{MISSING} (A - A^T in place of A - A^H, halved: only the real part of A)", plain(a.real + 0j)
        yield f"{MISSING} (only the imaginary part of A)", plain(1j * a.imag)
        yield f"{MISSING} (A is made of its lower triangle L as L - L^T)", plain(low - low.T)
        yield f"{MISSING} (L - L^T with the diagonal of A)", plain(low - low.T + diagonal)
        yield f"{MISSING} (A is made of its upper triangle U as U - U^T)", plain(up - up.T)
        yield f"{MISSING} (the result is conjugated)", plain(np.conj(a))
        yield "the imaginary diagonal of A is lost", plain(a - diagonal)
        yield "the imaginary diagonal of A is taken twice: L - L^H with L its lower triangle", plain(a + diagonal)
        yield "A is made of its upper triangle U as U - U^H, the diagonal twice", plain(a + diagonal)
        yield "only the real part of the result is kept", plain(a).real + 0j
    yield "A is not made skew of its lower triangle L: L alone is used", plain(low)
    yield "A is not made skew of its upper triangle U: U alone is used", plain(up)
    yield "A is made of its lower triangle L as L + L^H: Hermitian, not skew", plain(low + ct(low) + diagonal)
    if len(a) > 1:
        yield "the last row and column of A are lost", plain(_without(a, -1))
        yield "the first row and column of A are lost", plain(_without(a, 0))
    for words, times in (("degrees are taken for radians: pi A/180", pi / 180), ("A is taken 180/pi times", 180 / pi)):
        yield words, plain(times * a)
    size = float(np.linalg.norm(a))
    if size:
        yield "A is normalised: A/|A|", plain(a / size)
        yield "A is normalised: A/|A|_2", plain(a / np.linalg.norm(a, 2))


def _without(a: np.ndarray, i: int) -> np.ndarray:
    a = a.copy()
    a[i], a[:, i] = 0, 0
    return a


def _neumann(b: np.ndarray, d: np.ndarray) -> Iterator[Mistake]:
    """(CR-NEUMANN) (I - (-B)^K) of the transform, and the same with the last power counted twice."""
    q, power = transform(b, 1.0, 1.0), np.eye(len(b))
    total = -np.eye(len(b))  # of 2 (-B)^k, k < K
    for terms in range(1, TERMS + 1):
        total = total + 2 * power
        power = -power @ b
        defect = float(np.linalg.norm(power @ power - (1 + (-1) ** terms) * power))
        said = f"a Neumann series of {terms} terms in place of the inverse: |Q^H Q - I| = {defect:.2g} as predicted"
        yield said, (q - power @ q) * d
        yield f"a Neumann series 2 (I - B + B^2 - ...) - I of {terms} terms in place of the transform", total * d


def _shifted(b: np.ndarray, d: np.ndarray, found: np.ndarray) -> Iterator[Mistake]:
    """(I + B + delta I)^-1 (I - B): delta by least squares."""
    one, x = np.eye(len(b)), found * d
    size = float(np.linalg.norm(x)) ** 2
    if size > 0:
        delta = float(np.sum(np.conj(x) * (one - b - (one + b) @ x)).real) / size
        if 0 < abs(delta) < 1:
            made = np.linalg.solve(one + b + delta * one, one - b) * d
            yield f"{delta:.2g} I is added to I + c A before it is inverted", made


def _angle(a: np.ndarray, plain: Callable[[np.ndarray], np.ndarray], found: np.ndarray,
           times: Callable[..., Iterable[float]]) -> Iterator[Mistake]:  # fmt: skip
    """f(t A), t from the eigenvector of the smallest angle that tells."""
    if not np.all(np.isfinite(found)):
        return
    w, v = np.linalg.eigh(-1j * a)
    telling = [k for k in np.argsort(np.abs(w)) if abs(w[k]) > 1e-3 * max(np.max(np.abs(w)), 1e-300)]
    for k in telling[:1]:
        z = np.einsum("ij,ij->j", np.conj(v), found @ v)
        for t in times(float(w[k]), float(np.angle(z[k])), w, z):
            if np.isfinite(t) and abs(t - 1) > 1e-3:
                yield f"A is taken {t:.5g} times", plain(t * a)


# exp ------------------------------------------------------------------------------------------------------------------


def _exp(values: Values, claimed: Any, value: np.ndarray, found: np.ndarray) -> Iterator[Mistake]:
    a = values["a"]
    one, n = np.eye(len(a)), len(a)
    yield "this is the transpose of the stated convention: exp(-A)", exact.exp(-a)
    for times, words in TIMES.items():
        also = ": A - A^H is formed of what is skew already" if times == 2.0 else ""
        yield f"A is taken {words} times{also}", exact.exp(times * a)
        yield f"A is taken {words} times, and it is the transpose: the sign of A{also}", exact.exp(-times * a)
    for words, c in (
        ("(I - A/2)^-1 (I + A/2)", -0.5), ("(I + A/2)^-1 (I - A/2)", 0.5),
        ("(I - A)^-1 (I + A)", -1.0), ("(I + A)^-1 (I - A)", 1.0),
    ):  # fmt: skip
        yield f"this is the Cayley transform {words}, not the exponential", transform(a, c, c)
    for k in range(1, 13):
        power = one + a / 2**k
        for _ in range(k):
            power = power @ power
        yield f"this is (I + A/{2**k})^{2**k}, not the exponential", power
    needed = max(0, ceil(log2(max(float(np.max(np.sum(np.abs(a), axis=0), initial=0.0)), PADE) / PADE)))
    for few in range(1, min(needed, 2) + 1):
        said = f"{few} squaring{'s' * (few > 1)} too few after a Pade approximant of degree 13: floor in place of ceil?"
        yield said, _pade(a, needed - few)
    yield from _series(a)
    yield from of_the_argument(a, exact.exp)
    yield "the exponential is taken entry by entry", np.exp(a)
    yield "the exponential less I", value - one
    yield "only cos A, the symmetric part, is kept", (value + ct(value)) / 2
    yield "only sin A, the skew part, is kept", (value - ct(value)) / 2
    yield from _rodrigues(a, n)
    yield from _angle(a, exact.exp, found, _turns)


def _turns(w: float, phi: float, all_: np.ndarray, z: np.ndarray) -> Iterator[float]:
    """The t with e^{i t w} = e^{i phi} that fits all eigenvectors best, of those up to some ten turns."""
    t = (phi + 2 * pi * np.arange(-12, 13)) / w
    error = np.max(np.abs(np.exp(1j * t[:, None] * all_) - z), axis=-1)
    best = int(np.argmin(error))
    if error[best] < 0.1:
        yield float(t[best])


def _series(a: np.ndarray) -> Iterator[Mistake]:
    """Taylor polynomials, plain and with squarings."""
    total = term = np.eye(len(a)).astype(a.dtype)
    for degree in range(1, TERMS):
        term = term @ a / degree
        total = total + term
        gram = float(np.linalg.norm(ct(total) @ total - np.eye(len(a))))
        yield f"a truncated series of {degree + 1} terms: |Q^H Q - I| = {gram:.2g} as predicted", total
        if degree <= 8:
            for squarings in range(1, 11):
                yield (
                    f"a truncated series of {degree + 1} terms, and {squarings} squarings",
                    _squared(a, degree, squarings),
                )


def _pade(a: np.ndarray, squarings: int, degree: int = 13) -> np.ndarray:
    """Diagonal Pade approximant and squarings; accurate to binary64 for |A|_1 / 2^squarings <= PADE."""
    a = a / 2**squarings
    top = bottom = term = np.eye(len(a)).astype(a.dtype)
    for k in range(1, degree + 1):
        term = term @ a * ((degree - k + 1) / (k * (2 * degree - k + 1)))
        top, bottom = top + term, bottom + (-1) ** k * term
    total = np.linalg.solve(bottom, top)
    for _ in range(squarings):
        total = total @ total
    return total


def _squared(a: np.ndarray, degree: int, squarings: int) -> np.ndarray:
    a = a / 2**squarings
    total = term = np.eye(len(a)).astype(a.dtype)
    for k in range(1, degree + 1):
        term = term @ a / k
        total = total + term
    for _ in range(squarings):
        total = total @ total
    return total


def _rodrigues(a: np.ndarray, n: int) -> Iterator[Mistake]:
    """(CR-RODRIGUES) I + sin t/t A + (1 - cos t)/t^2 A^2: exact where all angles are t or 0."""
    size = float(np.linalg.norm(a))
    for words, t in (("|A|/sqrt(2)", size / 2**0.5), ("|A|", size)):
        if t > 0:
            made = np.eye(n) + np.sin(t) / t * a + (1 - np.cos(t)) / t**2 * a @ a
            yield f"Rodrigues' formula with the angle {words}: exact for one plane only, n = 3", made


MISTAKES: dict[str, Callable[..., Iterator[Mistake]]] = {
    "cayley": _cayley,
    "skew_exp": _exp,
    "givens_product": products.givens,
    "householder_product": products.householder,
}


def describe(name: str, inputs: Data, outputs: Data, claimed: Any, precision: Precision,
             failed: Mapping[str, float]) -> list[str]:  # fmt: skip
    """Whether it is orthonormal at all, and how far it is from the exact result."""
    if not failed:
        return []
    q = outputs["q"].value
    truth = truths(name, {each: x.value for each, x in inputs.items()}, claimed, FLOAT32)[0]["q"]
    value = rounded(truth.value)
    error = float(norm(ldexp(q, -truth.exponent) - value))
    said = []
    if "orthonormal" in failed:
        said.append(not_orthonormal(q, "columns" if q.shape[0] >= q.shape[1] else "rows"))
    elif q.shape[0] == q.shape[1] and np.isfinite(error):
        said.append("q is orthonormal, but another matrix")
    if 0 < error < np.inf:
        said.append(f"q differs from the exact result by {error / max(float(norm(value)), 1e-300):.2g} of it")
    return said
