"""Ports of constructors of orthogonal matrices: WRONG ones with one error each, RIGHT ones by different algorithms.

The errors are those of real libraries and of their authors: conventions, factors, conjugates, orders, truncated series.
All take NumPy stacks; ``words`` is a pattern of the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

Port = Callable[..., Any]


class Entry(NamedTuple):
    """A port, what it is taken for, and (if it is wrong) a pattern of the reason."""

    name: str
    operation: str
    port: Port
    words: str = ""
    claims: dict[str, Any] = {}  # noqa: RUF012 - a NamedTuple
    options: dict[str, Any] = {}  # noqa: RUF012


def ct(x):
    return np.conj(np.swapaxes(x, -1, -2))


def t(x):
    return np.swapaxes(x, -1, -2)


def skew(x):
    return (x - ct(x)) / 2


def inv(x):
    return np.linalg.inv(x)


def solve(a, b):
    return np.linalg.solve(a, b)


def filled(port: Port) -> Port:
    """Empty stacks aside, in the dtype of the input."""

    def called(*arrays):
        x, *arrays = (each.astype(each.dtype.newbyteorder("=")) if each.dtype.byteorder == ">" else each for each in arrays)
        with np.errstate(all="ignore"):
            return np.array(port(x, *arrays), x.dtype) if x.size else np.zeros_like(x)

    return called


# --- Cayley transforms ------------------------------------------------------------------------------------------------


def eye(a):
    return np.eye(a.shape[-1], dtype=a.dtype)


def cayley(a, d=None, *, top=1.0, bottom=1.0, argument=lambda a: a):
    a = argument(a)
    q = solve(eye(a) + bottom * a, eye(a) - top * a)
    return q if d is None else q * d[..., None, :]


def scaled(times):
    return partial(cayley, top=times, bottom=times)


def neumann(a, *, terms=5):
    """PEFT's, with its last power counted once."""
    b = -a
    total = power = eye(a) + 0 * a
    for _ in range(terms - 1):
        power = power @ b
        total = total + power
    return total @ (eye(a) + b)


def neumann_doubled(a, *, terms=6):
    total, power = eye(a) + 0 * a, eye(a) + 0 * a
    for _ in range(terms - 1):
        power = -power @ a
        total = total + 2 * power
    return total


def shifted(a):
    return solve((1 + 1e-4) * eye(a) + a, eye(a) - a)


def in_float32(port):
    short = {"float64": "float32", "complex128": "complex64"}
    return lambda a, *others: port(*(x.astype(short.get(x.dtype.name, x.dtype)) for x in (a, *others)))


def lower_by_transpose(a):
    low = np.tril(a, -1)
    return low - t(low)


def lower_with_diagonal(a):
    low = np.tril(a)
    return low - ct(low)


def flat_batch(port):
    """Members in the order of a transposed stack."""

    def called(a, *others):
        batch = a.shape[:-2]
        q = port(a, *others)
        if len(batch) < 2:
            return q
        return np.swapaxes(q, 0, 1).reshape(q.shape)

    return called


def first_member(port):
    return lambda a: np.broadcast_to(port(a.reshape(-1, *a.shape[-2:])[0]), a.shape)


def rows_of_a_buffer(port):
    """Reads the memory as if it lay in C order."""

    def called(a):
        memory = np.lib.stride_tricks.as_strided(a, a.shape, np.zeros(a.shape, a.dtype).strides)
        return port(np.array(memory)) if a.flags.f_contiguous and not a.flags.c_contiguous else port(a)

    return called


def odd_by_pairs(a):
    """exp by planes of a real Schur form whose last row is forgotten for odd n."""
    q = scipy_expm(a)
    if a.shape[-1] % 2 and a.shape[-1] > 1 and not np.iscomplexobj(a):
        q[..., -1, :] = 0
        q[..., -1, -1] = 1
    return q


def clamped(a):
    """Angles beyond pi are cut, as a parametrisation by tanh or clip does."""
    w, v = np.linalg.eigh(-1j * a)
    q = (v * np.exp(1j * np.clip(w, -3, 3))[..., None, :]) @ ct(v)
    return q if np.iscomplexobj(a) else q.real


# --- exponentials -----------------------------------------------------------------------------------------------------


def scipy_expm(a):
    return scipy.linalg.expm(a) if a.size else a


def expm_of(argument):
    return lambda a: scipy_expm(argument(a))


def by_eigh(a):
    w, v = np.linalg.eigh(-1j * a)
    q = (v * np.exp(1j * w)[..., None, :]) @ ct(v)
    return q if np.iscomplexobj(a) else q.real


def by_eigh_transposed(a):
    w, v = np.linalg.eigh(-1j * a)
    return (v * np.exp(1j * w)[..., None, :]) @ t(v)


def series(a, *, degree=8, squarings=0):
    a = a / 2**squarings
    total = term = eye(a) + 0 * a
    for k in range(1, degree + 1):
        term = term @ a / k
        total = total + term
    for _ in range(squarings):
        total = total @ total
    return total


def squared_euler(a):
    power = eye(a) + a / 1024
    for _ in range(10):
        power = power @ power
    return power


def rodrigues(a):
    size = np.sqrt(np.sum(np.abs(a) ** 2, axis=(-2, -1), keepdims=True) / 2)
    return eye(a) + np.sin(size) / size * a + (1 - np.cos(size)) / size**2 * a @ a


def safe_rodrigues(a):
    size = np.sqrt(np.sum(np.abs(a) ** 2, axis=(-2, -1), keepdims=True) / 2)
    one = np.where(size > 0, size, 1)
    return eye(a) + np.sinc(size / np.pi) * a + (1 - np.cos(size)) / one**2 * a @ a


def series_of_any_norm(a):
    """Enough terms and squarings for every norm."""
    size = float(np.max(np.linalg.norm(a, axis=(-2, -1)), initial=0.25))
    return series(a, degree=18, squarings=int(np.ceil(np.log2(size))) + 2)


def by_schur(a):
    """Single matrices."""
    flat = a.reshape(-1, *a.shape[-2:])
    found = []
    for x in flat:
        s, z = scipy.linalg.schur(x.astype(np.complex128), output="complex")
        q = (z * np.exp(np.diagonal(s))) @ ct(z)
        found.append(q if np.iscomplexobj(a) else q.real)
    return np.reshape(found, a.shape)


# --- derivatives ------------------------------------------------------------------------------------------------------


def cayley_jvp(a, a_dot, d=None, *, c=1.0, left=1, right=1):
    n = inv(eye(a) + c * a)
    q_dot = -2 * c * np.linalg.matrix_power(n, left) @ a_dot @ np.linalg.matrix_power(n, right)
    return q_dot if d is None else q_dot * d[..., None, :]


def cayley_vjp(a, q_bar, *, c=1.0, adjoint=ct, part=skew):
    n = adjoint(inv(eye(a) + c * a))
    return part(-2 * c * n @ q_bar @ n)


def cayley_vjp_by_parts(a, q_bar, *, inverse=True, factor=True):
    """As automatic differentiation: of I - A and of the inverse."""
    n = inv(eye(a) + a)
    q = n @ (eye(a) - a)
    g = ct(n) @ q_bar
    return (-g if factor else 0 * a) - (g @ ct(q) if inverse else 0)


def block_expm(a, e):
    zero = np.zeros_like(a)
    k = np.concatenate([np.concatenate([a, e], -1), np.concatenate([zero, a], -1)], -2)
    return scipy_expm(k)[..., : a.shape[-1], a.shape[-1] :]


def exp_quotients(a, e):
    """Daleckii-Krein."""
    w, v = np.linalg.eigh(-1j * a)
    mean, half = (w[..., :, None] + w[..., None, :]) / 2, (w[..., :, None] - w[..., None, :]) / 2
    f = np.exp(1j * mean) * np.sinc(half / np.pi)
    return v @ (f * (ct(v) @ e @ v)) @ ct(v)


def exp_divided(a, e):
    """Divided differences, 0/0 for equal angles."""
    w, v = np.linalg.eigh(-1j * a)
    f = (np.exp(1j * w)[..., :, None] - np.exp(1j * w)[..., None, :]) / (1j * (w[..., :, None] - w[..., None, :]))
    f = np.where(np.eye(a.shape[-1]) > 0, np.exp(1j * w)[..., :, None], f)
    return v @ (f * (ct(v) @ e @ v)) @ ct(v)


def real_for_real(port):
    return lambda a, e: port(a, e) if np.iscomplexobj(a) else port(a, e).real


GIVEN = {"diagonal": "given"}
HALF = {"sign": -1, "factor": 0.5}  # torch, geotorch
COMPLEX = {"dtypes": ("complex64", "complex128")}
CONJUGATE = "conjugate is missing.*: right for real, wrong for complex"

_WRONG = [
    ("transpose", "cayley", scaled(-1.0), "transpose of the stated convention"),
    ("torch's for the textbook's", "cayley", scaled(-0.5), "factor=0.5, not 1.*transpose"),
    ("no half", "cayley", scaled(-1.0), "factor=1, not 0.5: the factor 1/2 is missing", HALF),
    ("half too many", "cayley", scaled(0.5), "A is taken 1/2 times: this is factor=0.5"),
    ("A - A^H", "cayley", partial(cayley, argument=lambda a: a - ct(a)), "A - A.H is formed of what is skew already"),
    ("one half", "cayley", partial(cayley, top=0.5), "1/2 times in I - c A only"),
    ("one half below", "cayley", partial(cayley, bottom=0.5), "1/2 times in I . c A only"),
    ("no inverse", "cayley", lambda a: (eye(a) + a) @ (eye(a) - a), "inverse is missing"),
    ("inverse alone", "cayley", lambda a: inv(eye(a) + a), "factor I - c A is missing"),
    ("transpose for inverse", "cayley", lambda a: (eye(a) - a) @ ct(eye(a) + a), r"\(I - c A\).2"),
    ("exp", "cayley", expm_of(lambda a: -2 * a), "exponential exp.-2 c A., not the Cayley"),
    ("five terms", "cayley", neumann, "Neumann series of 5 terms.* as predicted"),
    ("doubled terms", "cayley", neumann_doubled, "Neumann series 2"),
    ("shift", "cayley", shifted, "0.0001 I is added"),
    ("float32", "cayley", in_float32(cayley), "accurate to float32"),
    ("L - L^T", "cayley", partial(cayley, argument=lower_by_transpose), CONJUGATE),
    ("imaginary diagonal twice", "cayley", partial(cayley, argument=lower_with_diagonal), "imaginary diagonal .* twice"),
    ("real part", "cayley", lambda a: cayley(a.real), "only the real part of"),
    ("triangle", "cayley", partial(cayley, argument=lambda a: np.tril(a, -1)), "not made skew .*lower"),
    ("no D", "cayley", lambda a, d: cayley(a), "D is missing", GIVEN),
    ("D on the left", "cayley", lambda a, d: d[..., :, None] * cayley(a), "the other side", GIVEN),
    ("D transposed as well", "cayley", lambda a, d: ct(cayley(a, d)), "transpose.*D on the left", GIVEN),
    ("batch", "cayley", flat_batch(cayley), "for stacks"),
    ("first member", "cayley", first_member(cayley), "for stacks"),
    ("layout", "cayley", rows_of_a_buffer(cayley), "columns in memory one after the other|Fortran|transposed"),
    ("clamped", "skew_exp", clamped, "scale|extreme|full turn|half turn"),
    ("transpose", "skew_exp", expm_of(lambda a: -a), "transpose of the stated convention"),
    ("A - A^H", "skew_exp", expm_of(lambda a: a - ct(a)), "A - A.H is formed"),
    ("Cayley", "skew_exp", scaled(-0.5), r"Cayley transform \(I - A/2\)"),
    ("eight terms", "skew_exp", series, "truncated series of 9 terms: .* as predicted"),
    ("squared series", "skew_exp", partial(series, degree=4, squarings=3), "truncated series of 5 terms, and 3 squar"),
    ("Euler", "skew_exp", squared_euler, r"\(I . A/1024\)"),
    ("Rodrigues", "skew_exp", safe_rodrigues, "Rodrigues"),
    ("Rodrigues, 0/0", "skew_exp", rodrigues, "NaN .* zero input: 0/0"),
    ("entry by entry", "skew_exp", np.exp, "entry by entry"),
    ("V^T", "skew_exp", by_eigh_transposed, "differs from the exact|not orthonormal", {}, COMPLEX),
    ("degrees", "skew_exp", expm_of(lambda a: a * (np.pi / 180)), "degrees are taken for radians"),
    ("times 0.7", "skew_exp", expm_of(lambda a: 0.7 * a), "A is taken 0.7 times"),
    ("odd n", "skew_exp", odd_by_pairs, "not orthonormal|odd|alone"),
    ("float32", "skew_exp", in_float32(by_eigh), "accurate to float32"),
    ("half", "cayley_jvp", lambda a, e: cayley_jvp(a, e) / 2, "q_dot is half"),
    ("one N", "cayley_jvp", partial(cayley_jvp, right=0), "one N is missing"),
    ("commuting", "cayley_jvp", partial(cayley_jvp, left=2, right=0), "as if A and A_dot commuted"),
    ("sign", "cayley_jvp", partial(cayley_jvp, c=-1.0), "transposed convention"),
    ("detached inverse", "cayley_vjp", partial(cayley_vjp_by_parts, inverse=False), "the inverse is detached"),
    ("detached factor", "cayley_vjp", partial(cayley_vjp_by_parts, factor=False), "I - c A is detached"),
    ("N for N^H", "cayley_vjp", partial(cayley_vjp, adjoint=lambda x: x), "N is not transposed"),
    ("N^T for N^H", "cayley_vjp", partial(cayley_vjp, adjoint=t), CONJUGATE),
    ("twice the skew part", "cayley_vjp", partial(cayley_vjp, part=lambda x: 2 * skew(x)), "a_bar is twice"),
    ("Hermitian part", "cayley_vjp", partial(cayley_vjp, part=lambda x: (x + ct(x)) / 2), "a_bar is zero|Hermitian"),
    ("not skew", "cayley_vjp", partial(cayley_vjp, part=lambda x: x), "not skew-Hermitian", {"space": "skew"}),
    ("no factor 1/2", "cayley_vjp", cayley_vjp, "factor=1|A is taken 2 times", {"factor": 0.5}),
    ("conjugated", "cayley_vjp", lambda a, g: np.conj(cayley_vjp(a, g)), "a_bar is conjugated"),
    ("commuting", "skew_exp_jvp", lambda a, e: scipy_expm(a) @ e, "as if A and A_dot commuted: Q A_dot"),
    ("mean", "skew_exp_jvp", lambda a, e: (scipy_expm(a) @ e + e @ scipy_expm(a)) / 2, "the mean"),
    ("0/0 for equal angles", "skew_exp_jvp", real_for_real(exp_divided), "NaN or infinite"),
    ("at A = 0", "skew_exp_jvp", lambda a, e: e.copy(), "straight-through"),
    ("no adjoint", "skew_exp_vjp", block_expm, "at -A: the adjoint is forgotten"),
    ("commuting", "skew_exp_vjp", lambda a, g: skew(ct(scipy_expm(a)) @ g), "as if A and A_dot commuted: skew.Q.H Q_bar"),
    ("A^T", "skew_exp_vjp", lambda a, g: block_expm(t(a), g), CONJUGATE),
]  # fmt: skip

WRONG = [Entry(e[0], e[1], filled(e[2]), *e[3:]) for e in _WRONG]

_RIGHT = [
    ("solve", "cayley", cayley),
    ("solve from the right", "cayley", lambda a: t(solve(t(eye(a) + a), t(eye(a) - a)))),
    ("inverse", "cayley", lambda a: inv(eye(a) + a) @ (eye(a) - a)),
    ("2 N - I", "cayley", lambda a: 2 * inv(eye(a) + a) - eye(a)),
    ("by eigh", "cayley", lambda a: by_eigh_cayley(a)),
    ("torch's", "cayley", scaled(-0.5), HALF),
    ("with D", "cayley", cayley, GIVEN),
    ("SciPy", "skew_exp", scipy_expm),
    ("eigh", "skew_exp", by_eigh),
    ("Schur", "skew_exp", by_schur),
    ("series", "skew_exp", series_of_any_norm),
    ("N A N", "cayley_jvp", cayley_jvp),
    ("N A N", "cayley_vjp", cayley_vjp, {"space": "skew"}),
    ("by parts", "cayley_vjp", cayley_vjp_by_parts),
    ("block", "skew_exp_jvp", block_expm),
    ("quotients", "skew_exp_jvp", real_for_real(exp_quotients)),
    ("block", "skew_exp_vjp", lambda a, g: block_expm(ct(a), g)),
]


def by_eigh_cayley(a):
    w, v = np.linalg.eigh(-1j * a)
    q = (v * np.exp(-2j * np.arctan(w))[..., None, :]) @ ct(v)
    return q if np.iscomplexobj(a) else q.real


RIGHT = [Entry(e[0], e[1], filled(e[2]), "", *e[3:]) for e in _RIGHT]
