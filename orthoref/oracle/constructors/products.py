"""Known mistakes of products of rotations and of reflections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import pi
from typing import Any

import numpy as np

from orthoref.oracle.constructors import truth as exact
from orthoref.oracle.constructors.claim import ROTATIONS, Givens, Householder
from orthoref.oracle.constructors.inputs import below, butterfly_order, order_of
from orthoref.oracle.derivative import Mistake
from orthoref.oracle.residual import ct

MISSING = "a conjugate is missing: right for real, wrong for complex"
TERMS = 12  # longest series that is told
EPS = (1e-12, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)  # that are added to a norm
Values = Mapping[str, np.ndarray]
Blocks = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # entries (i, i), (i, j), (j, i), (j, j)

# Rotations ------------------------------------------------------------------------------------------------------------


def block(theta: np.ndarray, phi: np.ndarray | None) -> Blocks:
    """Of each rotation."""
    c, s = np.cos(theta), np.sin(theta)
    if phi is None:
        return c, -s, s, c
    u = np.exp(1j * phi)
    return c + 0j, -np.conj(u) * s, u * s, c + 0j


def product(blocks: Blocks, pairs: Sequence[tuple[int, int]], n: int) -> np.ndarray:
    """G_1 G_2 ..., whatever the blocks are."""
    q = np.eye(n, dtype=np.result_type(*blocks, np.float64))
    for (i, j), a, b, c, d in zip(pairs, *blocks, strict=True):
        x, y = q[:, i].copy(), q[:, j].copy()
        q[:, i], q[:, j] = x * a + y * c, x * b + y * d
    return q


def givens(values: Values, claimed: Givens, value: np.ndarray, found: np.ndarray) -> Iterator[Mistake]:
    """Orders, signs, units of angles, phases."""
    theta = values["theta"][:, 0]
    phi = values["phase"][:, 0] if "phase" in values else None
    n = butterfly_order(len(theta)) if claimed.order == "butterfly" else order_of(len(theta))
    pairs = exact.planes(n, claimed.order)

    def made(blocks: Blocks, pairs: Sequence[tuple[int, int]] = pairs) -> np.ndarray:
        return product(blocks, pairs, n)

    own = block(theta, phi)
    back = tuple(x[::-1] for x in own)
    adjoint = "conjugate transpose" if phi is not None else "transpose"
    yield "product order reversed: G_N ... G_2 G_1", made(back, pairs[::-1])  # type: ignore[arg-type]
    yield "the angle's sign: every rotation is transposed", made(block(-theta, phi))
    yield f"this is the {adjoint} of the stated convention", ct(value)
    for name in ROTATIONS:
        if name != claimed.order and (name == "butterfly") == (claimed.order == "butterfly"):
            other = exact.planes(n, name)
            yield f"this is order={name}, not {claimed.order}", made(own, other)
            yield f"this is order={name} with the product order reversed, not {claimed.order}", made(back, other[::-1])  # type: ignore[arg-type]
            yield f"this is order={name} with the angle's sign, not {claimed.order}", made(block(-theta, phi), other)
            yield f"this is the {adjoint} of order={name}", ct(made(own, other))
    yield "the angles are taken in reverse order", made(back)  # type: ignore[arg-type]
    flipped = [(n - 1 - j, n - 1 - i) for i, j in pairs]
    yield "rows and columns are counted from the end", made(own, flipped)
    yield "rows and columns are counted from the end, and the angle's sign", made(block(-theta, phi), flipped)
    for words, times in (("degrees are taken for radians", pi / 180), ("the angles are taken 180/pi times", 180 / pi),
                         ("half of the angles", 0.5), ("twice the angles", 2.0)):  # fmt: skip
        yield words, made(block(times * theta, phi))
        yield f"{words}, and the angle's sign", made(block(-times * theta, phi))
    yield "sine and cosine are exchanged", made(block(pi / 2 - theta, phi))
    a, b, c, d = own
    yield "the sines have the same sign: [[c, s], [s, c]]", made((a, c, c, d) if phi is None else (a, -b, c, d))
    yield "reflections in place of rotations: [[c, s], [s, -c]]", made((a, -b, c, -d))
    yield "the cosine is (1 - sin^2)^1/2: its sign is lost", made((np.abs(a), b, c, np.abs(d)))
    yield "the angles are tangents: c = 1/(1 + t^2)^1/2", made(block(np.arctan(theta), phi))
    yield "the angles are tangents of half of the angle", made(block(2 * np.arctan(theta), phi))
    yield from _series(theta, phi, made)
    if len(theta) > 1:
        for words, k in (("the first rotation", 0), ("the last rotation", len(theta) - 1)):
            one = np.arange(len(theta)) != k
            yield f"{words} is lost", made(block(theta * one, phi))
            yield f"{words} alone is made", made(block(theta * ~one, phi))
    if phi is not None:
        yield "the phases are lost", made(block(theta, 0 * phi))
        yield "the sign of the phases is wrong: a conjugate is missing", made(block(theta, -phi))
        yield f"{MISSING} (both sines have the phase e^{{i phi}})", made((a, -c, c, d))
        u = np.exp(1j * phi)
        r, s = np.cos(theta) + 0j, np.sin(theta)
        for words, blocks in (
            ("second row", (r, -s, u * s, u * r)), ("first row", (u * r, -u * s, s, r)),
            ("second column", (r, -u * s, s, u * r)), ("first column", (u * r, -s, u * s, r)),
        ):  # fmt: skip
            yield f"the phase multiplies the {words}: another convention", made(blocks)
        yield "angles and phases are exchanged", made(block(phi, theta))
    yield (
        "only the planes are turned that the first column needs: (0, j)",
        made(block(theta * np.array([i == 0 for i, _ in pairs], bool), phi)),
    )


def _series(theta: np.ndarray, phi: np.ndarray | None, made: Callable[[Blocks], np.ndarray]) -> Iterator[Mistake]:
    """Taylor polynomials of sine and cosine."""
    c, s, term = np.ones_like(theta), theta.copy(), theta.copy()
    u = 1.0 if phi is None else np.exp(1j * phi)
    for k in range(1, TERMS):
        yield f"sine and cosine are truncated series of {k} terms", made((c, -np.conj(u) * s, u * s, c))
        even = term * theta / (2 * k)
        c, term = c + (-1) ** k * even, even * theta / (2 * k + 1)
        s = s + (-1) ** k * term


# Reflections ----------------------------------------------------------------------------------------------------------


def mirrored(v: np.ndarray, tau: np.ndarray, columns: int, *, forward: bool = True, left: Any = None) -> np.ndarray:
    """H_1 H_2 ... [I; 0] with H_i = I - tau_i v_i w_i^H, w = v unless it is given."""
    w = v if left is None else left
    q = np.eye(len(v), columns, dtype=np.result_type(v, tau, np.float64))
    numbers = range(v.shape[1] - 1, -1, -1) if forward else range(v.shape[1])
    for i in numbers:
        q = q - tau[i] * np.outer(v[:, i], np.conj(w[:, i]) @ q)
    return q


def over(x: np.ndarray) -> np.ndarray:
    """1/x, 0 for 0."""
    return np.where(x != 0, 1 / np.where(x != 0, x, 1.0), 0.0)


def householder(values: Values, claimed: Householder, value: np.ndarray, found: np.ndarray) -> Iterator[Mistake]:
    """Orders, conjugates, tau, normalisation, storage."""
    stored = values["v"]
    m, k = stored.shape
    v = below(stored) if claimed.storage == "below" else stored
    lengths = np.linalg.norm(v, axis=0)
    given = "tau" in values
    tau = values["tau"][:, 0] if given else 2 * over(lengths**2)
    forward, columns = claimed.order == "forward", value.shape[1]
    complex_ = np.iscomplexobj(v)

    def made(v: np.ndarray = v, tau: np.ndarray = tau, forward: bool = forward, left: Any = None) -> np.ndarray:
        return mirrored(v, tau, columns, forward=forward, left=left)

    yield "product order reversed" + ("" if complex_ else ": the transpose"), made(forward=not forward)
    if complex_:
        conjugated = np.conj(tau)
        if given:
            yield f"{MISSING} (H for H^H: tau is conjugated)", made(tau=conjugated)
            yield "this is the conjugate transpose of the stated convention", made(tau=conjugated, forward=not forward)
            yield f"{MISSING} (only the real part of tau)", made(tau=tau.real + 0j)
            yield f"{MISSING} (the modulus of tau)", made(tau=np.abs(tau) + 0j)
        yield f"{MISSING} (v v^T in place of v v^H)", made(left=np.conj(v))
        yield f"{MISSING} (v is conjugated)", made(v=np.conj(v))
        yield f"{MISSING} (|v|^2 is v^T v)", made(tau=2 * over(np.sum(v * v, axis=0)))
    others: tuple[tuple[str, np.ndarray], ...] = (
        ("2", np.full(k, 2.0)), ("1", np.ones(k)), ("2/|v|", 2 * over(lengths)), ("1/|v|^2", over(lengths**2)),
    )  # fmt: skip
    if given:
        yield "tau lost: it is 2/|v|^2", made(tau=2 * over(lengths**2))
        yield "reflector normalised although tau is given", made(tau=tau * over(lengths**2))
        yield "tau is taken twice", made(tau=2 * tau)
        yield "tau is halved", made(tau=tau / 2)
        yield "the inverse of tau is taken", made(tau=over(tau))
    else:
        yield "reflector normalised twice: tau = 2/|v|^4", made(tau=2 * over(lengths**4))
        yield "tau = 4/|v|^2: the factor 2 twice", made(tau=4 * over(lengths**2))
    for words, other in others:
        also = {"2": ": reflectors of length 1 are expected", "2/|v|": ": the norm is not squared",
                "1/|v|^2": ": the factor 2 is missing"}.get(words, "")  # fmt: skip
        yield f"tau = {words}{also}", made(tau=other)
    yield from _stored(stored, claimed, tau, given, made)
    for words, i in (("first", 0), ("last", k - 1)):
        if k > 1:
            one = np.arange(k) != i
            yield f"the {words} reflection is lost", made(tau=tau * one)
            yield f"the {words} reflection alone is made", made(tau=tau * ~one)
    yield from _formed(v, tau, forward, columns)
    whole = mirrored(v, tau, m, forward=forward)
    if columns < m:
        yield "the last columns of Q, not the first", whole[:, m - columns :]
        yield "the first rows of Q, conjugate transposed", ct(whole[:columns])
    signs = (-1.0) ** k
    if k % 2:
        yield "2 tau v v^H/2 - I in place of I - tau v v^H: the sign of every reflection", signs * value
    yield "the columns alternate in sign", value * (-1.0) ** np.arange(columns)
    yield "the sign of tau is wrong: I + tau v v^H", made(tau=-tau)
    if not given:
        for eps in EPS:
            yield f"{eps:g} is added to |v|^2", made(tau=2 / (lengths**2 + eps))
            yield f"{eps:g} is added to |v|", made(tau=2 / (lengths + eps) ** 2)


def _stored(stored: np.ndarray, claimed: Householder, tau: np.ndarray, given: bool,
            made: Callable[..., np.ndarray]) -> Iterator[Mistake]:  # fmt: skip
    """Other readings of where reflectors are."""
    lower, full = np.tril(stored), below(stored)
    readings = {
        "the reflectors are taken as they stand, the part on and above the diagonal too": stored,
        "the ones on the diagonal are not set: what stands there is taken": lower,
        "the ones on the diagonal are not set: zeros are taken": np.tril(stored, -1),
        "the reflectors are taken from below the diagonal, with ones on it": full,
        "the part above the diagonal is cut off": lower,
        "the ones stand in the first row": np.concatenate([np.ones_like(stored[:1]), stored[1:]]),
        "reflectors are in rows": stored.T if stored.shape[0] == stored.shape[1] else stored,
    }
    for words, v in readings.items():
        yield words, made(v=v, tau=tau if given else 2 * over(np.linalg.norm(v, axis=0) ** 2))
        if given:
            yield f"{words}; and tau is lost: 2/|v|^2", made(v=v, tau=2 * over(np.linalg.norm(v, axis=0) ** 2))


def _formed(v: np.ndarray, tau: np.ndarray, forward: bool, columns: int) -> Iterator[Mistake]:
    """(CR-WY) I - V T V^H with another T."""
    m, k = v.shape
    one, d, gram = np.eye(k), np.diag(tau), ct(v) @ v
    strict = np.triu(gram, 1) if forward else np.tril(gram, -1)
    other = np.tril(gram, -1) if forward else np.triu(gram, 1)

    def made(t: np.ndarray) -> np.ndarray:
        return np.eye(m, columns) - v @ t @ ct(v[:columns])

    t = np.linalg.solve(one + d @ strict, d)
    yield "the reflections are added, not multiplied: I - V diag(tau) V^H", made(d)
    yield "T is transposed in I - V T V^H", made(t.T)
    yield "the sign of the strict triangle in T is wrong", made(np.linalg.solve(one - d @ strict, d))
    yield "T to first order only: D - D S D", made(d - d @ strict @ d)
    yield "the wrong triangle of V^H V is in T", made(np.linalg.solve(one + d @ other, d))
    yield "T is made of all of V^H V: (I + D V^H V)^-1 D", made(np.linalg.pinv(one + d @ gram) @ d)
    yield "T is made of half of V^H V", made(np.linalg.solve(one + d @ strict / 2, d))
