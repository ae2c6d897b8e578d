"""Ports of constructors of orthogonal matrices: WRONG ones with one error each, RIGHT ones by different algorithms.

The errors are those of real libraries and of their authors: conventions, factors, conjugates, orders, truncated series.
All take NumPy stacks; ``words`` is a pattern of the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
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
    where: dict[str, Any] = {}  # noqa: RUF012 - cases that show it, if a generic one does not


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
        x, *arrays = (
            each.astype(each.dtype.newbyteorder("=")) if each.dtype.byteorder == ">" else each for each in arrays
        )
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


# --- products of rotations and of reflections -------------------------------------------------------------------------


def order_of(theta):
    n = round((1 + np.sqrt(1 + 8 * theta.shape[-1])) / 2)
    assert n * (n - 1) // 2 == theta.shape[-1]
    return n


def columns_of(n):
    return [(i, j) for i in range(n) for j in range(i + 1, n)]


def rows_of(n):
    return [(i, j) for j in range(n) for i in range(j)]


def brickwall_of(n):
    return [(i, i + 1) for layer in range(n) for i in range(layer % 2, n - 1, 2)]


def butterfly_of(n):
    return [(i, i + s) for s in 2 ** np.arange(round(np.log2(n))) for i in range(n) if not i & s]


def butterfly_order(theta):
    return next(n for n in 2 ** np.arange(1, 12) if n * round(np.log2(n)) == 2 * theta.shape[-1])


def rotations(theta, phase=None, *, planes=columns_of, order=order_of, cos=np.cos, sin=np.sin, reverse=False, sign=1,
              conjugate=np.conj):  # fmt: skip
    """From the right, column by column."""
    theta = sign * theta
    if theta.shape[-1] == 0:
        return np.ones((*theta.shape[:-1], 1, 1), theta.dtype if phase is None else np.result_type(theta, 1j))
    n = order(theta)
    c, s = cos(theta), sin(theta)
    u = np.ones_like(theta) if phase is None else np.exp(1j * phase).astype(np.result_type(theta.dtype, np.complex64))
    q = np.zeros((*theta.shape[:-1], n, n), u.dtype) + np.eye(n, dtype=theta.dtype)
    numbers = list(enumerate(planes(n)))
    for k, (i, j) in reversed(numbers) if reverse else numbers:
        x, y = q[..., i].copy(), q[..., j].copy()
        a, b, w = (z[..., k, None] for z in (c, s, u))
        q[..., i], q[..., j] = a * x + w * b * y, a * y - conjugate(w) * b * x
    return q


def rotations_as_matrices(theta):
    n = order_of(theta)
    q = np.eye(n, dtype=theta.dtype) + np.zeros((*theta.shape[:-1], 1, 1), theta.dtype)
    for k, (i, j) in enumerate(columns_of(n)):
        g = np.eye(n, dtype=theta.dtype) + np.zeros((*theta.shape[:-1], 1, 1), theta.dtype)
        c, s = np.cos(theta[..., k]), np.sin(theta[..., k])
        g[..., i, i], g[..., i, j], g[..., j, i], g[..., j, j] = c, -s, s, c
        q = q @ g
    return q


def rotations_by_expm(theta):
    n = order_of(theta)
    q = np.eye(n, dtype=theta.dtype) + np.zeros((*theta.shape[:-1], 1, 1), theta.dtype)
    for k, (i, j) in enumerate(columns_of(n)):
        a = np.zeros_like(q)
        a[..., i, j], a[..., j, i] = -theta[..., k], theta[..., k]
        q = q @ scipy_expm(a)
    return q


def short_sine(x):
    return x - x**3 / 6 + x**5 / 120


def short_cosine(x):
    return 1 - x**2 / 2 + x**4 / 24


def angles_from_the_left(theta):
    """G_1 (G_2 (... I)): row by row."""
    n = order_of(theta)
    q = np.eye(n, dtype=theta.dtype) + np.zeros((*theta.shape[:-1], 1, 1), theta.dtype)
    for k, (i, j) in reversed(list(enumerate(columns_of(n)))):
        x, y = q[..., i, :].copy(), q[..., j, :].copy()
        c, s = np.cos(theta[..., k, None]), np.sin(theta[..., k, None])
        q[..., i, :], q[..., j, :] = c * x - s * y, s * x + c * y
    return q


def filled_product(port: Port) -> Port:
    """Of angles: empty stacks aside, and native byte order."""

    def called(theta, *arrays):
        given = [x.astype(x.dtype.newbyteorder("=")) for x in (theta, *arrays)]
        return np.array(port(*given), order="C")

    return called


def below(v):
    return np.tril(v, -1) + np.eye(*v.shape[-2:], dtype=v.dtype)


def two_over(v):
    squares = np.sum(np.abs(v) ** 2, axis=-2)
    return np.where(squares > 0, 2 / np.where(squares > 0, squares, 1), 0)


def reflections(v, tau=None, *, stored=below, columns=None, reverse=False, adjoint=np.conj, tau_of=None):
    """From the last one, on the identity."""
    v = stored(v)
    tau = (tau_of or two_over)(v) if tau is None or tau_of else tau
    m, k = v.shape[-2:]
    q = np.zeros((*v.shape[:-2], m, columns or k), v.dtype) + np.eye(m, columns or k, dtype=v.dtype)
    for i in range(k) if reverse else range(k - 1, -1, -1):
        w = v[..., i : i + 1]
        q = q - tau[..., i, None, None] * w @ (t(adjoint(w)) @ q)
    return q


def as_it_is(v):
    return v


def whole_reflections(v, **options):
    """Without tau; scaled to a largest entry of 1 first."""
    size = np.max(np.abs(v), axis=-2, keepdims=True)
    return reflections(v / np.where(size > 0, size, 1), stored=as_it_is, **options)


def compact(v, tau, *, product=True):
    """WY."""
    v = below(v)
    k = v.shape[-1]
    gram, d = np.triu(ct(v) @ v, 1), tau[..., None] * np.eye(k, dtype=v.dtype)
    middle = solve(np.eye(k, dtype=v.dtype) + d @ gram, d) if product else d
    return np.eye(v.shape[-2], k, dtype=v.dtype) - v @ middle @ ct(v[..., :k, :])


def by_lapack(v, tau):
    """orgqr, ungqr: matrix by matrix."""
    name = "ungqr" if np.iscomplexobj(v) else "orgqr"
    function = scipy.linalg.get_lapack_funcs(name, (v,))
    flat = zip(v.reshape(-1, *v.shape[-2:]), tau.reshape(-1, tau.shape[-1]), strict=True)
    return np.reshape([function(np.asfortranarray(a), b)[0] for a, b in flat], v.shape)


def normalised_columns(v):
    return v / np.linalg.norm(v, axis=-2, keepdims=True)


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
    """Of a direction of length 1, as it is linear in that."""
    size = np.max(np.abs(e), axis=(-2, -1), keepdims=True)
    size = np.where(size > 0, size, 1)
    e = e / size
    zero = np.zeros_like(a)
    k = np.concatenate([np.concatenate([a, e], -1), np.concatenate([zero, a], -1)], -2)
    return size * scipy_expm(k)[..., : a.shape[-1], a.shape[-1] :]


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


def rotations_jvp(theta, theta_dot, *, planes=columns_of, sign=1, last=True):
    """The product rule, matrix by matrix."""
    if theta.shape[-1] == 0:
        return np.zeros((*theta.shape[:-1], 1, 1), theta.dtype)
    n = order_of(theta)
    q = np.eye(n, dtype=theta.dtype) + np.zeros((*theta.shape[:-1], 1, 1), theta.dtype)
    q_dot, numbers = np.zeros_like(q), list(enumerate(planes(n)))
    for k, (i, j) in numbers:
        g, g_dot = np.eye(n, dtype=theta.dtype) + 0 * q, 0 * q
        c, s, e = np.cos(theta[..., k]), sign * np.sin(theta[..., k]), theta_dot[..., k]
        g[..., i, i], g[..., i, j], g[..., j, i], g[..., j, j] = c, -s, s, c
        if last or k < len(numbers) - 1:
            g_dot[..., i, i], g_dot[..., j, j] = -sign * s * e, -sign * s * e
            g_dot[..., i, j], g_dot[..., j, i] = -sign * c * e, sign * c * e
        q, q_dot = q @ g, q_dot @ g + q @ g_dot
    return q_dot


def rotations_vjp(theta, q_bar, *, planes=columns_of, undone=True):
    """A sweep that undoes the rotations."""
    theta_bar = np.zeros_like(theta)
    if theta.shape[-1] == 0:
        return theta_bar
    n = order_of(theta)
    w = q_bar @ t(rotations(theta, planes=planes))
    for k, (i, j) in enumerate(planes(n)):
        theta_bar[..., k] = w[..., j, i] - w[..., i, j]
        if undone:
            g = np.eye(n, dtype=theta.dtype) + 0 * w
            c, s = np.cos(theta[..., k]), np.sin(theta[..., k])
            g[..., i, i], g[..., i, j], g[..., j, i], g[..., j, j] = c, -s, s, c
            w = t(g) @ w @ g
    return theta_bar


def rotations_vjp_by_products(theta, q_bar):
    """<dQ/d theta_k, Q_bar>, one after the other."""
    if theta.shape[-1] == 0:
        return np.zeros_like(theta)
    bars = [
        np.sum(rotations_jvp(theta, np.broadcast_to(e, theta.shape)) * q_bar, axis=(-2, -1))
        for e in np.eye(theta.shape[-1], dtype=theta.dtype)
    ]
    return np.stack(bars, axis=-1)


def reflections_jvp(v, tau, v_dot, tau_dot, *, moving=True, both=True):
    v, v_dot = below(v), np.tril(v_dot, -1)
    m, k = v.shape[-2:]
    q = np.zeros_like(v) + np.eye(m, k, dtype=v.dtype)
    q_dot = np.zeros_like(q)
    for i in range(k - 1, -1, -1):
        w, e = v[..., i : i + 1], v_dot[..., i : i + 1]
        a, b = tau[..., i, None, None], tau_dot[..., i, None, None] * moving
        q_dot = q_dot - a * w @ (ct(w) @ q_dot) - b * w @ (ct(w) @ q) - a * e @ (ct(w) @ q) - both * a * w @ (ct(e) @ q)
        q = q - a * w @ (ct(w) @ q)
    return q_dot


def reflections_vjp(v, q_bar, tau=None, *, stored=below, adjoint=np.conj, constant=False, one=False, undo=False):
    """Reverse mode over stored products; ``undo``: by division, as torch does."""
    whole, unit = stored(v), tau is None
    tau = two_over(whole) if unit else tau
    k = whole.shape[-1]
    s = np.zeros((*v.shape[:-2], *q_bar.shape[-2:]), v.dtype) + np.eye(*q_bar.shape[-2:], dtype=v.dtype)
    products = [s]
    for i in range(k - 1, 0, -1):
        w = whole[..., i : i + 1]
        products.append(products[-1] - tau[..., i, None, None] * w @ (ct(w) @ products[-1]))
    v_bar, tau_bar = np.zeros_like(whole), np.zeros((*whole.shape[:-2], k), v.dtype)
    q = products[-1] - tau[..., 0, None, None] * whole[..., :1] @ (ct(whole[..., :1]) @ products[-1]) if k else s
    for i in range(k):
        w, a = whole[..., i : i + 1], tau[..., i, None, None]
        if undo:
            squares = np.sum(np.abs(w) ** 2, axis=(-2, -1))[..., None, None]
            q = q - a / (a * squares - 1) * w @ (ct(w) @ q)
        s = q if undo else products[k - 1 - i]
        left, right = q_bar @ (ct(s) @ w), s @ (ct(q_bar) @ w)
        scalar = -(ct(w) @ left)
        bar = -adjoint(a) * left - (0 if one else a * right)
        if unit and not constant:
            bar = bar - w * scalar.real * a * a
        v_bar[..., i : i + 1], tau_bar[..., i] = bar, scalar[..., 0, 0]
        q_bar = q_bar - np.conj(a) * w @ (ct(w) @ q_bar)
    v_bar = np.tril(v_bar, -1) if stored is below else v_bar
    return v_bar if unit else (v_bar, tau_bar)


def lapack_vjp(**options):
    return lambda v, tau, q_bar: reflections_vjp(v, q_bar, tau, **options)


def conjugated_tau_bar(v, tau, q_bar):
    v_bar, tau_bar = reflections_vjp(v, q_bar, tau)
    return v_bar, np.conj(tau_bar)


def above_too(v, tau, q_bar):
    return reflections_vjp(below(v), q_bar, tau, stored=as_it_is)


def several(port: Port) -> Port:
    """Of several results: in the dtype and the shape of the inputs, empty ones aside."""

    def called(v, tau, q_bar):
        given = [x.astype(x.dtype.newbyteorder("=")) for x in (v, tau, q_bar)]
        with np.errstate(all="ignore"):
            return tuple(np.array(x) for x in port(*given)) if v.size else (np.zeros_like(v), np.zeros_like(tau))

    return called


# --- random matrices --------------------------------------------------------------------------------------------------


def signed(z):
    q, r = np.linalg.qr(z)
    d = np.diagonal(r, axis1=-2, axis2=-1)
    return q * (d / np.abs(d))[..., None, :]


def unsigned(z):
    return np.linalg.qr(z)[0]


def rotations_only(z):
    q = signed(z)
    if q.shape[-1] == q.shape[-2]:
        q[..., :, :1] *= np.conj(np.linalg.det(q))[..., None, None]
    return q


def by_polar(z):
    u, _, w = np.linalg.svd(z, full_matrices=False)
    return u @ w


def gram_schmidt(z):
    columns = []
    for j in range(z.shape[-1]):
        c = z[..., j : j + 1]
        for q in 2 * columns:
            c = c - q * (ct(q) @ c)
        columns.append(c / np.linalg.norm(c, axis=-2, keepdims=True))
    return np.concatenate(columns, axis=-1)


def flattened(of_matrix, gain=1.0):
    """torch's layout."""

    def called(x):
        m = x.reshape(x.shape[0], -1)
        q = of_matrix(m) if m.shape[0] >= m.shape[1] else t(of_matrix(t(m)))
        return gain * q.reshape(x.shape)

    return called


def jax_flattened(of_matrix):
    """The last axis against the others."""

    def called(x):
        m = x.reshape(-1, x.shape[-1])
        q = of_matrix(m) if m.shape[0] >= m.shape[1] else t(of_matrix(t(m)))
        return q.reshape(x.shape)

    return called


def uniform_numbers(x):
    random = np.random.RandomState(int(abs(x.flat[0].real) * 1e6) % 2**31)
    return signed(random.uniform(size=x.shape).astype(x.dtype))


# --- other libraries --------------------------------------------------------------------------------------------------


def by_torch(function):
    """Of tensors: ``function(torch, *tensors)``."""

    def called(*arrays):
        torch = pytest.importorskip("torch")
        return function(torch, *(torch.asarray(np.array(x, order="C")) for x in arrays)).numpy()

    return called


def by_jax(function):
    """Of JAX arrays: ``function(jax, *arrays)``."""

    def called(*arrays):
        jax = pytest.importorskip("jax")
        jax.config.update("jax_enable_x64", True)
        return np.asarray(function(jax, *map(jax.numpy.asarray, arrays)))

    return called


def torch_parametrization(name):
    """Of skew-Hermitian A: torch takes L with A = L - L^H."""

    def function(torch, a):
        found = []
        for x in a.reshape(-1, *a.shape[-2:]):
            layer = torch.nn.Linear(x.shape[0], x.shape[0], bias=False, dtype=x.dtype)
            torch.nn.utils.parametrizations.orthogonal(layer, orthogonal_map=name, use_trivialization=False)
            found.append(layer.parametrizations.weight[0](x.tril(-1) + torch.diag(x.diagonal()) / 2).detach())
        return torch.stack(found).reshape(a.shape)

    return by_torch(function)


GIVEN = {"diagonal": "given"}
HALF = {"sign": -1, "factor": 0.5}  # torch, geotorch
PHASED = {"phase": "given"}
UNIT = {"tau": "none"}
SAMPLE = {"shapes": [(400, 3, 2)], "dtypes": ("complex128",)}
REAL_SAMPLE = {"shapes": [(400, 3, 3)], "dtypes": ("float64",), "max_cases": 1}
SINGULAR = {"shapes": [(4, 3)], "dtypes": ["float64"], "max_cases": 24}
FAR = ("extreme scale",)
STACK = {"shapes": [(2, 3, 4, 4)], "dtypes": ["float64"], "max_cases": 4}
SMALL = {"shapes": [(3, 3)], "dtypes": ["float64"], "max_cases": 16}
BUTTERFLY = {"order": "butterfly"}
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
    ("imaginary diagonal twice", "cayley", partial(cayley, argument=lower_with_diagonal), "imaginary diag.* twice"),
    ("real part", "cayley", lambda a: cayley(a.real), "only the real part of"),
    ("triangle", "cayley", partial(cayley, argument=lambda a: np.tril(a, -1)), "not made skew .*lower"),
    ("no D", "cayley", lambda a, d: cayley(a), "D is missing", GIVEN),
    ("D on the left", "cayley", lambda a, d: d[..., :, None] * cayley(a), "the other side", GIVEN),
    ("D transposed as well", "cayley", lambda a, d: ct(cayley(a, d)), "transpose.*D on the left", GIVEN),
    ("batch", "cayley", flat_batch(cayley), "for stacks", {}, {}, STACK),
    ("first member", "cayley", first_member(cayley), "for stacks", {}, {}, STACK),
    ("layout", "cayley", rows_of_a_buffer(cayley), "columns in memory one after the other|Fortran|transposed", {}, {},
     {"shapes": [(5, 5)], "dtypes": ["float64"]}),
    ("clamped", "skew_exp", clamped, "scale|extreme|full turn|half turn", {}, {}, SMALL),
    ("transpose", "skew_exp", expm_of(lambda a: -a), "transpose of the stated convention"),
    ("A - A^H", "skew_exp", expm_of(lambda a: a - ct(a)), "A - A.H is formed"),
    ("Cayley", "skew_exp", scaled(-0.5), r"Cayley transform \(I - A/2\)"),
    ("eight terms", "skew_exp", series, "truncated series of 9 terms: .* as predicted"),
    ("squared series", "skew_exp", partial(series, degree=4, squarings=3), "truncated series of 5 terms, and 3 squar"),
    ("Euler", "skew_exp", squared_euler, r"\(I . A/1024\)"),
    ("Rodrigues", "skew_exp", safe_rodrigues, "Rodrigues"),
    ("Rodrigues, 0/0", "skew_exp", rodrigues, "NaN .* zero input: 0/0", {}, {}, SMALL),
    ("entry by entry", "skew_exp", np.exp, "entry by entry"),
    ("V^T", "skew_exp", by_eigh_transposed, "differs from the exact|not orthonormal", {}, COMPLEX),
    ("degrees", "skew_exp", expm_of(lambda a: a * (np.pi / 180)), "degrees are taken for radians"),
    ("times 0.7", "skew_exp", expm_of(lambda a: 0.7 * a), "A is taken 0.7 times"),
    ("odd n", "skew_exp", odd_by_pairs, "not orthonormal|odd|alone", {}, {}, SMALL),
    ("float32", "skew_exp", in_float32(by_eigh), "accurate to float32"),
    ("reversed", "givens_product", partial(rotations, reverse=True), "product order reversed"),
    ("sign", "givens_product", partial(rotations, sign=-1), "the angle's sign"),
    ("transpose", "givens_product", lambda x: t(rotations(x)), "transpose of the stated convention"),
    ("degrees", "givens_product", lambda x: rotations(np.deg2rad(x).astype(x.dtype)), "degrees are taken for radians"),
    ("half", "givens_product", partial(rotations, sign=0.5), "half of the angles"),
    ("rows", "givens_product", partial(rotations, planes=rows_of), "this is order=rows, not columns"),
    ("brickwall", "givens_product", partial(rotations, planes=brickwall_of), "this is order=brickwall"),
    ("columns", "givens_product", rotations, "this is order=columns, not round_robin", {"order": "round_robin"}),
    ("series", "givens_product", partial(rotations, cos=short_cosine, sin=short_sine), "truncated series of 3 terms"),
    ("|cos|", "givens_product", partial(rotations, cos=lambda x: np.sqrt(1 - np.sin(x) ** 2)), "its sign is lost"),
    ("cos for sin", "givens_product", partial(rotations, cos=np.sin, sin=np.cos), "sine and cosine are exchanged"),
    ("butterfly, reversed", "givens_product", partial(rotations, planes=butterfly_of, order=butterfly_order,
     reverse=True), "product order reversed", {"order": "butterfly"}),
    ("no phase", "givens_product", lambda x, p: rotations(x, 0 * p), "phases are lost", PHASED),
    ("-phase", "givens_product", lambda x, p: rotations(x, -p), "sign of the phases", PHASED),
    ("one phase", "givens_product", partial(rotations, conjugate=lambda u: u), CONJUGATE, PHASED),
    ("float32", "givens_product", lambda x: rotations(x.astype("float32")).astype(x.dtype), "accurate to float32"),
    ("odd n", "givens_product", lambda x: rotations(x * (np.arange(x.shape[-1]) < x.shape[-1] - order_of(x) % 2)),
     "last rotation is lost|odd"),
    ("n = 2", "givens_product", lambda x: rotations(-x if x.shape[-1] == 1 else x), "order 2|angle's sign", {}, {},
     {"shapes": [(2, 2)], "max_cases": 2}),
    ("reversed", "householder_product", partial(reflections, reverse=True), "product order reversed"),
    ("tau lost", "householder_product", lambda v, tau: reflections(v), "tau lost"),
    ("conjugated tau", "householder_product", lambda v, tau: reflections(v, np.conj(tau)), "H for H.H"),
    ("adjoint", "householder_product", lambda v, tau: reflections(v, np.conj(tau), reverse=True), "transpose"),
    ("v^T", "householder_product", partial(reflections, adjoint=lambda x: x), "v v.T in place of v v.H"),
    ("R as well", "householder_product", partial(reflections, stored=as_it_is), "on and above the diagonal too"),
    ("no ones", "householder_product", partial(reflections, stored=np.tril), "what stands there is taken"),
    ("zeros", "householder_product", partial(reflections, stored=lambda v: np.tril(v, -1)), "zeros are taken"),
    ("sum", "householder_product", partial(compact, product=False), "added, not multiplied"),
    ("1/tau", "householder_product", lambda v, tau: reflections(v, 2 * tau), "tau is taken twice"),
    ("normalised", "householder_product", lambda v, tau: reflections(normalised_columns(below(v)), tau,
     stored=as_it_is), "normalised although tau is given"),
    ("last columns", "householder_product", lambda v, tau: reflections(v, tau, columns=v.shape[-2])[
     ..., v.shape[-2] - v.shape[-1] :], "last columns of Q"),
    ("batch", "householder_product", lambda v, tau: reflections(v, np.broadcast_to(tau[:1], tau.shape)),
     "for stacks|differs"),
    ("normalised twice", "householder_product", partial(whole_reflections, tau_of=lambda v: two_over(v) ** 2 / 2),
     "normalised|differs|not orthonormal", UNIT),
    ("normalised twice, plain", "householder_product", partial(reflections, stored=as_it_is,
     tau_of=lambda v: two_over(v) ** 2 / 2), "reflector normalised twice", UNIT, {"skip": ("extreme scale",)}),
    ("factor 2", "householder_product", partial(whole_reflections, tau_of=lambda v: two_over(v) / 2),
     "the factor 2 is missing", UNIT),
    ("unit v", "householder_product", partial(reflections, stored=as_it_is, tau_of=lambda v: 2 + 0 * two_over(v)),
     "reflectors of length 1 are expected", UNIT),
    ("0/0", "householder_product", lambda v: reflections(normalised_columns(v), stored=as_it_is,
     tau_of=lambda v: 2 + 0 * two_over(v)), "zero reflector|NaN", UNIT, {}, SINGULAR),
    ("eps", "householder_product", partial(reflections, stored=as_it_is, tau_of=lambda v: 2 / (np.sum(np.abs(v) ** 2,
     axis=-2) + 1e-6).astype(v.dtype)), "1e-06 is added to", UNIT),
    ("k < n", "householder_product", lambda v: whole_reflections(v), "has shape", {"columns": "full", **UNIT}),
    ("no signs", "haar", unsigned, r"not Haar: Q\[0,0\] < 0 always: QR without making", {}, SAMPLE),
    ("rotations", "haar", rotations_only, "rotations only; this is special=yes", {}, {}, REAL_SAMPLE),
    ("not special", "haar", signed, "reflections are among them", {"special": "yes"},
     {"shapes": [(400, 3, 3)], "dtypes": ("float64",)}, REAL_SAMPLE),
    ("copies", "haar", lambda z: np.repeat(signed(z[:1]), len(z), axis=0), "all points are the same", {}, SAMPLE),
    ("uniform numbers", "haar", uniform_numbers, "between 0 and 1", {}, {"dtypes": ("float64",)}, REAL_SAMPLE),
    ("normal numbers", "haar", lambda z: z / np.sqrt(z.shape[-2]), "columns are not orthonormal", {}, SAMPLE),
    ("gain", "orthogonal_init", flattened(signed, gain=2**0.5), "the gain is 1.4142, not 1"),
    ("no gain", "orthogonal_init", flattened(signed), "the gain is 1, not 1.4142", {"gain": 2**0.5}),
    ("JAX's layout", "orthogonal_init", jax_flattened(signed), "this is layout=jax, not layout=torch"),
    ("torch's layout", "orthogonal_init", flattened(signed), "this is layout=torch, not layout=jax", {"layout": "jax"}),
    ("no signs", "orthogonal_init", flattened(unsigned), "never positive|never negative", {}, {},
     {"shapes": [(6, 3)], "dtypes": ("float64",)}),
    ("half", "cayley_jvp", lambda a, e: cayley_jvp(a, e) / 2, "q_dot is half"),
    ("one N", "cayley_jvp", partial(cayley_jvp, right=0), "one N is missing"),
    ("commuting", "cayley_jvp", partial(cayley_jvp, left=2, right=0), "as if A and A_dot commuted"),
    ("sign", "cayley_jvp", partial(cayley_jvp, c=-1.0), "transposed convention"),
    ("detached inverse", "cayley_vjp", partial(cayley_vjp_by_parts, inverse=False), "the inverse is detached"),
    ("detached factor", "cayley_vjp", partial(cayley_vjp_by_parts, factor=False), "I - c A is detached"),
    ("N for N^H", "cayley_vjp", partial(cayley_vjp, adjoint=lambda x: x), "the derivative at -A: N is not transposed"),
    ("N^T for N^H", "cayley_vjp", partial(cayley_vjp, adjoint=t), CONJUGATE),
    ("twice the skew part", "cayley_vjp", partial(cayley_vjp, part=lambda x: 2 * skew(x)), "a_bar is twice"),
    ("Hermitian part", "cayley_vjp", partial(cayley_vjp, part=lambda x: (x + ct(x)) / 2), "a_bar is zero|Hermitian"),
    ("not skew", "cayley_vjp", partial(cayley_vjp, part=lambda x: x), "not skew-Hermitian", {"space": "skew"}),
    ("no factor 1/2", "cayley_vjp", cayley_vjp, "factor=1|A is taken 2 times", {"factor": 0.5}),
    ("conjugated", "cayley_vjp", lambda a, g: np.conj(cayley_vjp(a, g)), "a_bar is conjugated"),
    ("commuting", "skew_exp_jvp", lambda a, e: scipy_expm(a) @ e, "as if A and A_dot commuted: Q A_dot"),
    ("mean", "skew_exp_jvp", lambda a, e: (scipy_expm(a) @ e + e @ scipy_expm(a)) / 2, "the mean"),
    ("0/0 for equal angles", "skew_exp_jvp", real_for_real(exp_divided), "NaN or infinite", {}, {}, SMALL),
    ("at A = 0", "skew_exp_jvp", lambda a, e: e.copy(), "the derivative at A = 0"),
    ("no adjoint", "skew_exp_vjp", block_expm, "at -A: the adjoint is forgotten"),
    ("sign", "givens_product_jvp", partial(rotations_jvp, sign=-1), "the angle's sign"),
    ("rows", "givens_product_jvp", partial(rotations_jvp, planes=rows_of), "this is order=rows"),
    ("degrees", "givens_product_jvp", lambda x, e: rotations_jvp(x, e * (np.pi / 180)), "q_dot differs"),
    ("last angle", "givens_product_jvp", partial(rotations_jvp, last=False), "by the last angle is lost"),
    ("not undone", "givens_product_vjp", partial(rotations_vjp, undone=False), "does not undo .*Q_bar Q.H"),
    ("rows", "givens_product_vjp", partial(rotations_vjp, planes=rows_of), "this is order=rows"),
    ("reversed", "givens_product_vjp", lambda x, g: rotations_vjp(x, g)[..., ::-1], "in reverse order"),
    ("transposed", "givens_product_vjp", lambda x, g: rotations_vjp(x, t(g)), "adjoint is taken of Q.H"),
    ("half", "givens_product_vjp", lambda x, g: rotations_vjp(x, g) / 2, "theta_bar is half"),
    ("tau is constant", "householder_product_jvp", partial(reflections_jvp, moving=False), "is taken for a constant"),
    ("one term", "householder_product_jvp", partial(reflections_jvp, both=False), "only one of v v.H moves: v_dot v.H"),
    ("one term", "householder_product_vjp", lapack_vjp(one=True), "only one of v v.H is differentiated"),
    ("tau, not conj tau", "householder_product_vjp", lapack_vjp(adjoint=lambda x: x), CONJUGATE),
    ("conjugated tau_bar", "householder_product_vjp", conjugated_tau_bar, "tau_bar is conjugated"),
    ("above the diagonal", "householder_product_vjp", above_too, "on and above the diagonal too"),
    ("torch's division", "householder_product_vjp", lapack_vjp(undo=True), "singular tau|NaN", {}, {}, SINGULAR),
    ("v_bar alone", "householder_product_vjp", lambda v, tau, g: reflections_vjp(v, g, tau)[0], "tau_bar is missing"),
    ("constant tau", "householder_product_vjp", partial(reflections_vjp, stored=as_it_is, constant=True),
     "is taken for a constant", UNIT),
    ("commuting", "skew_exp_vjp", lambda a, g: skew(ct(scipy_expm(a)) @ g), "A and A_dot commuted: skew.Q.H Q_bar"),
    ("A^T", "skew_exp_vjp", lambda a, g: block_expm(t(a), g), CONJUGATE),
]  # fmt: skip


def entry(name, operation, port, *others):
    pair = operation == "householder_product_vjp" and name != "v_bar alone" and not (others and UNIT in others)
    door = filled_product if operation.startswith("givens_product") else several if pair else filled
    return Entry(name, operation, door(port), *others)


WRONG = [entry(*e) for e in _WRONG]

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
    ("columns", "givens_product", rotations),
    ("rows from the left", "givens_product", angles_from_the_left),
    ("matrices", "givens_product", rotations_as_matrices),
    ("exponentials", "givens_product", rotations_by_expm),
    ("phases", "givens_product", rotations, PHASED),
    ("butterfly", "givens_product", partial(rotations, planes=butterfly_of, order=butterfly_order), BUTTERFLY),
    ("brickwall", "givens_product", partial(rotations, planes=brickwall_of), {"order": "brickwall", **PHASED}),
    ("plain", "householder_product", reflections),
    ("WY", "householder_product", compact),
    ("LAPACK", "householder_product", by_lapack),
    ("backward", "householder_product", partial(reflections, reverse=True), {"order": "backward"}),
    ("whole", "householder_product", partial(reflections, stored=as_it_is), {"storage": "full"}),
    ("unnormalised", "householder_product", whole_reflections, UNIT),
    ("full", "householder_product", lambda v: whole_reflections(v, columns=v.shape[-2]), {"columns": "full", **UNIT}),
    ("product rule", "givens_product_jvp", rotations_jvp),
    ("undone", "givens_product_vjp", rotations_vjp),
    ("product rule", "givens_product_vjp", rotations_vjp_by_products),
    ("product rule", "householder_product_jvp", reflections_jvp),
    ("stored products", "householder_product_vjp", lapack_vjp()),
    ("unnormalised", "householder_product_vjp", partial(reflections_vjp, stored=as_it_is), UNIT, {"skip": FAR}),
    ("QR", "haar", signed),
    ("polar factor", "haar", by_polar),
    ("Gram-Schmidt", "haar", gram_schmidt),
    ("rotations", "haar", rotations_only, {"special": "yes"}, {"shapes": [(1000, 3, 3)], "dtypes": ("float64",)}),
    ("QR", "orthogonal_init", flattened(signed)),
    ("SVD", "orthogonal_init", flattened(by_polar)),
    ("JAX's layout", "orthogonal_init", jax_flattened(signed), {"layout": "jax"}),
    ("torch", "skew_exp", by_torch(lambda torch, a: torch.matrix_exp(a))),
    ("torch orthogonal, matrix_exp", "skew_exp", torch_parametrization("matrix_exp")),
    ("torch orthogonal, cayley", "cayley", torch_parametrization("cayley"), HALF),
    ("torch", "householder_product", by_torch(lambda torch, v, tau: torch.linalg.householder_product(v, tau))),
    ("JAX", "householder_product", by_jax(lambda jax, v, tau: jax.lax.linalg.householder_product(v, tau))),
    ("JAX", "skew_exp", by_jax(lambda jax, a: jax.scipy.linalg.expm(a))),
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


RIGHT = [entry(*e[:3], "", *e[3:]) for e in _RIGHT]
