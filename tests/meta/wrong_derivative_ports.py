"""Ports with a backward pass of their own: WRONG ones with one error each, RIGHT ones by different formulas.

A backward pass is written once, for the arrays of any library and the inner product Re tr(X^H Y), as a function
``(a, *bars) -> a_bar``; ``torch_port`` and ``jax_port`` put it behind a forward pass. Nothing imports a framework.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from orthoref.arrays import dtype_name, is_complex, namespace
from orthoref.linalg import ct
from orthoref.oracle import cases

Port = Callable[[Any], Any]
Backward = Callable[..., Any]
Input = Callable[[], tuple[np.ndarray, ...]]


class Wrong(NamedTuple):
    """A port; ``words`` is a pattern of the reason; ``backward`` is wrong on what ``on`` makes, (a, *bars)."""

    name: str
    framework: str
    operation: str
    port: Port
    words: str
    dtypes: tuple[str, ...]
    outputs: tuple[int, ...]
    claims: dict[str, Any]
    backward: Backward
    on: Input


class Right(NamedTuple):
    """A port that is right for condition numbers up to ``cond``.

    ``distinct``: for distinct singular values; ``distinct_twice``: the second derivative is. ``forward``: there is a
    forward mode, too. ``square``: takes no others.
    """

    name: str
    framework: str
    operation: str
    port: Port
    dtypes: tuple[str, ...]
    outputs: tuple[int, ...]
    claims: dict[str, Any]
    cond: float
    distinct: bool = False
    distinct_twice: bool = False
    forward: bool = False
    square: bool = False


BY_HAND: set[Port] = set()


def by_hand(port: Port) -> Port:
    """The port, which has a VJP and no JVP of its own."""
    BY_HAND.add(port)
    return port


def torch_port(forward: Port, backward: Backward) -> Port:
    @cache
    def function() -> Any:
        class Port(import_module("torch").autograd.Function):
            @staticmethod
            def forward(ctx, a):
                ctx.save_for_backward(a)
                return forward(a)

            @staticmethod
            def backward(ctx, *bars):
                return backward(ctx.saved_tensors[0], *bars)

        return Port

    return by_hand(lambda a: function().apply(a))


def jax_port(forward: Port, backward: Backward) -> Port:
    """JAX's cotangents are the conjugates of ours."""

    def pull_back(a, bars):
        bars = bars if isinstance(bars, tuple) else (bars,)
        return (backward(a, *(bar.conj() for bar in bars)).conj(),)

    @cache
    def function() -> Any:
        f = import_module("jax").custom_vjp(forward)
        f.defvjp(lambda a: (forward(a), a), pull_back)
        return f

    return by_hand(lambda a: function()(a))


def torch_forward_port(forward: Port, tangent: Callable[[Any, Any], Any]) -> Port:
    @cache
    def function() -> Any:
        class Port(import_module("torch").autograd.Function):
            @staticmethod
            def forward(ctx, a):
                ctx.save_for_forward(a)
                return forward(a)

            @staticmethod
            def jvp(ctx, a_dot):
                return tangent(ctx.saved_tensors[0], a_dot)

        return Port

    return lambda a: function().apply(a)


def jax_forward_port(forward: Port, tangent: Callable[[Any, Any], Any]) -> Port:
    @cache
    def function() -> Any:
        f = import_module("jax").custom_jvp(forward)
        f.defjvp(lambda point, direction: (forward(*point), tangent(*point, *direction)))
        return f

    return lambda a: function()(a)


MAKERS = {"torch": torch_port, "jax": jax_port}
FORWARD_MAKERS = {"torch": torch_forward_port, "jax": jax_forward_port}
REAL, COMPLEX = ("float32", "float64"), ("complex64", "complex128")
ALL = (*REAL, *COMPLEX)
DOUBLE = ("float64", "complex128")
BOTH = ("torch", "jax")

WRONG: list[Wrong] = []
RIGHT: list[Right] = []


def gaussian(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if dtype.startswith("complex") else 0)
    return x.astype(dtype)


def herm(x):
    return (x + ct(x)) / 2


# --- polar: A = U H, H of order n


def svd(a):
    p, s, vh = namespace(a).linalg.svd(a, full_matrices=False)
    return p, s, ct(vh)


def polar(a):
    p, s, v = svd(a)
    return p @ ct(v), (v * s[..., None, :]) @ ct(v)


def sums(s):
    return s[..., :, None] + s[..., None, :]


def inside(p, s, v, u_bar):
    """P Z V^H, Z_ij = (F_ij - conj(F_ji))/(s_i + s_j), F = P^H U_bar V."""
    f = ct(p) @ u_bar @ v
    return p @ ((f - ct(f)) / sums(s)) @ ct(v)


def outside(p, s, v, u_bar):
    """(I - P P^H) U_bar V S^-1 V^H."""
    if p.shape[-2] == p.shape[-1]:
        return 0 * u_bar
    x = u_bar @ v
    return ((x - p @ (ct(p) @ x)) / s[..., None, :]) @ ct(v)


def of_h(p, s, v, h_bar):
    """P G V^H, G_ij = 2 s_i S_ij/(s_i + s_j), S = V^H sym(H_bar) V."""
    return p @ (2 * s[..., :, None] / sums(s) * (ct(v) @ herm(h_bar) @ v)) @ ct(v)


def of_left_h(p, s, v, h_bar):
    """The same for H = (A A^H)^(1/2): P G V^H + 2 (I - P P^H) sym(H_bar) P V^H, G_ij = 2 s_j S_ij/(s_i + s_j)."""
    x = herm(h_bar) @ p
    f = ct(p) @ x
    return (p @ (2 * s[..., None, :] / sums(s) * f) + 2 * (x - p @ f)) @ ct(v)


def backward(
    a, u_bar, h_bar, *, svd=svd, inside=inside, outside=outside, of_h=of_h, of_left_h=of_left_h, adjoint=ct, back=ct
):
    """The VJP, term by term; a wide A = U H is A^H = H U^H."""
    if a.shape[-2] < a.shape[-1]:
        u_bar, p_s_v = adjoint(u_bar), svd(adjoint(a))
        return back(inside(*p_s_v, u_bar) + outside(*p_s_v, u_bar) + of_left_h(*p_s_v, h_bar))
    p_s_v = svd(a)
    return inside(*p_s_v, u_bar) + outside(*p_s_v, u_bar) + of_h(*p_s_v, h_bar)


def at(
    shape: tuple[int, ...] = (5, 3),
    dtype: str = "complex128",
    *,
    u: float = 1,
    h: float = 1,
    bar: Callable[[np.ndarray], np.ndarray] = np.asarray,
    **options: Any,
) -> Input:
    """A point with its cotangents, times ``u`` and ``h``, ``bar`` of that of U."""

    def make() -> tuple[np.ndarray, ...]:
        a = cases.matrix(shape, dtype=dtype, **({"cond": 10, "seed": 1} | options))
        u_bar, h_bar = gaussian(shape, dtype, 2), gaussian((*shape[:-2], shape[-1], shape[-1]), dtype, 3)
        return a, bar((u * u_bar).astype(dtype)), (h * h_bar).astype(dtype)

    return make


def wrong(
    words: str,
    on: Input,
    dtypes: tuple[str, ...] = ALL,
    frameworks: tuple[str, ...] = ("torch",),
    operation: str = "polar",
    **claims: Any,
) -> Callable[[Backward], Backward]:
    """Puts a backward pass into the table, named after the function, once for each framework."""

    def keep(function: Backward) -> Backward:
        forward = polar if operation == "polar" else partial(newton_schulz, **claims)
        outputs = (0, 1) if operation == "polar" else (0,)
        said = {} if operation == "polar" else claims_of(**claims)
        for framework in frameworks:
            name = f"{function.__name__.replace('_', ' ').strip()}, {framework}"
            port = MAKERS[framework](forward, function)
            WRONG.append(Wrong(name, framework, operation, port, words, dtypes, outputs, said, function, on))
        return function

    return keep


# conjugates


@wrong("conjugate", at(), COMPLEX, BOTH)
def the_gradient_is_conjugated(a, u_bar, h_bar):
    """The convention of JAX, in torch; its opposite in JAX."""
    return backward(a, u_bar.conj(), h_bar.conj()).conj()


@wrong("conjugate", at(), COMPLEX, BOTH)
def only_the_result_is_conjugated(a, u_bar, h_bar):
    return backward(a, u_bar, h_bar).conj()


@wrong("conjugate", at(), COMPLEX)
def P_is_transposed_without_a_conjugate(a, u_bar, h_bar):  # noqa: N802
    def part(p, s, v, u_bar):
        f = p.mT @ u_bar @ v
        return p @ ((f - ct(f)) / sums(s)) @ ct(v)

    return backward(a, u_bar, h_bar, inside=part)


@wrong("conjugate|skew", at((4, 4)), COMPLEX)
def the_skew_part_is_that_of_real_matrices(a, u_bar, h_bar):
    def part(p, s, v, u_bar):
        f = ct(p) @ u_bar @ v
        return p @ ((f - f.mT) / sums(s)) @ ct(v)

    return backward(a, u_bar, h_bar, inside=part)


@wrong("conjugate", at((4, 4)), COMPLEX)
def h_bar_is_symmetrised_without_a_conjugate(a, u_bar, h_bar):
    return backward(a, u_bar, (h_bar + h_bar.mT) / 2)


@wrong("imaginary|phase|diagonal|conjugate", at((1, 1)), COMPLEX)
def phases_have_no_derivative(a, u_bar, h_bar):
    """The diagonal of Z, zero for real matrices, is taken for zero."""

    def part(p, s, v, u_bar):
        f = ct(p) @ u_bar @ v
        return p @ (off_diagonal(f - ct(f)) / sums(s)) @ ct(v)

    return backward(a, u_bar, h_bar, inside=part)


def off_diagonal(x):
    xp = namespace(x)
    return xp.where(xp.eye(x.shape[-1]) > 0, xp.zeros_like(x), x)


# shapes


@wrong("outside the column space", at((7, 3)), ALL, BOTH)
def the_part_outside_the_column_space_is_missing(a, u_bar, h_bar):
    return backward(a, u_bar, h_bar, outside=lambda p, s, v, u_bar: 0 * u_bar)


@wrong("outside", at((7, 3), cond=1e3))
def the_part_outside_is_divided_by_the_largest_singular_value(a, u_bar, h_bar):
    def part(p, s, v, u_bar):
        return outside(p, 0 * s + s[..., :1], v, u_bar)

    return backward(a, u_bar, h_bar, outside=part)


@wrong("conjugate|wide", at((3, 5)), COMPLEX)
def wide_matrices_are_transposed_without_a_conjugate(a, u_bar, h_bar):
    return backward(a, u_bar, h_bar, adjoint=lambda x: x.mT, back=lambda x: x.mT)


@wrong("wide|h_bar|row space", at((3, 5)))
def h_of_a_wide_matrix_has_only_the_part_in_the_row_space(a, u_bar, h_bar):
    def part(p, s, v, h_bar):
        return p @ (2 * s[..., None, :] / sums(s) * (ct(p) @ herm(h_bar) @ p)) @ ct(v)

    return backward(a, u_bar, h_bar, of_left_h=part)


@wrong("stack|member|batch", at((3, 4, 4), members="scaled"))
def every_member_has_the_singular_values_of_the_first(a, u_bar, h_bar):
    def part(a):
        p, s, v = svd(a)
        return p, s[(0,) * (s.ndim - 1)] + 0 * s, v

    return backward(a, u_bar, h_bar, svd=part)


@wrong("stack|member|batch", at((3, 4, 4)))
def the_cotangent_is_averaged_over_the_stack(a, u_bar, h_bar):
    xp = namespace(a)
    if a.ndim > 2 and a.shape[0]:
        u_bar = 0 * u_bar + xp.mean(u_bar, axis=0, keepdims=True)
    return backward(a, u_bar, h_bar)


# factors and signs


@wrong("twice", at(), ALL, BOTH)
def twice(a, u_bar, h_bar):
    return 2 * backward(a, u_bar, h_bar)


@wrong("half", at())
def half_of_the_part_inside(a, u_bar, h_bar):
    """The skew part F/2 - F^H/2 is divided by the sums."""
    return backward(a, u_bar, h_bar, inside=lambda *x: inside(*x) / 2)


@wrong("half|h_bar", at())
def half_of_h(a, u_bar, h_bar):
    return backward(a, u_bar, h_bar / 2)


@wrong("sign|-1|negative", at())
def the_sign(a, u_bar, h_bar):
    return -backward(a, u_bar, h_bar)


@wrong("sign|h_bar", at())
def the_sign_of_h(a, u_bar, h_bar):
    return backward(a, u_bar, -h_bar)


@wrong("straight-through", at(), ALL, BOTH)
def straight_through(a, u_bar, h_bar):
    return 1 * u_bar


@wrong("straight-through|tangent|projection", at())
def the_cotangent_is_only_projected(a, u_bar, h_bar):
    """Onto the tangent space of the Stiefel manifold, U_bar - U sym(U^H U_bar)."""
    if a.shape[-2] < a.shape[-1]:
        return ct(the_cotangent_is_only_projected(ct(a), ct(u_bar), h_bar))
    u = polar(a)[0]
    return u_bar - u @ herm(ct(u) @ u_bar)


# H


@wrong("h_bar is ignored", at(), ALL, BOTH)
def h_bar_is_ignored(a, u_bar, h_bar):
    return backward(a, u_bar, 0 * h_bar)


@wrong("u_bar is ignored", at())
def u_bar_is_ignored(a, u_bar, h_bar):
    return backward(a, 0 * u_bar, h_bar)


@wrong("h_bar", at())
def h_bar_is_taken_skew(a, u_bar, h_bar):
    return backward(a, u_bar, h_bar, of_h=skew_of_h, of_left_h=partial(skew_of_h, left=True))


def skew_of_h(p, s, v, h_bar, left=False):
    y = (h_bar - ct(h_bar)) / 2
    if left:
        return p @ (2 * s[..., None, :] / sums(s) * (ct(p) @ y @ p)) @ ct(v)
    return p @ (2 * s[..., :, None] / sums(s) * (ct(v) @ y @ v)) @ ct(v)


@wrong("h_bar", at((4, 4)))
def h_bar_is_not_symmetrised(a, u_bar, h_bar):
    def part(p, s, v, h_bar):
        return p @ (2 * s[..., :, None] / sums(s) * (ct(v) @ h_bar @ v)) @ ct(v)

    return backward(a, u_bar, h_bar, of_h=part)


@wrong("h_bar|weight", at((4, 4)))
def the_weights_of_h_are_transposed(a, u_bar, h_bar):
    def part(p, s, v, h_bar):
        return p @ (2 * s[..., None, :] / sums(s) * (ct(v) @ herm(h_bar) @ v)) @ ct(v)

    return backward(a, u_bar, h_bar, of_h=part)


@wrong("h_bar|constant", at((4, 4)))
def u_is_constant_in_h(a, u_bar, h_bar):
    """H = U^H A, with the derivative of A alone."""
    return backward(a, u_bar, 0 * h_bar) + polar(a)[0] @ herm(h_bar)


@wrong("constant", at((4, 4), h=0))
def h_is_constant_in_u(a, u_bar, h_bar):
    """U = A H^-1, with the derivative of A alone."""

    def part(p, s, v, u_bar):
        return ((u_bar @ v) / s[..., None, :]) @ ct(v)

    return backward(a, u_bar, h_bar, inside=part, outside=lambda p, s, v, u_bar: 0 * u_bar)


# denominators


@wrong("difference|singular value decomposition|SVD", at((4, 4)), ALL, BOTH)
def differences_of_singular_values_instead_of_sums(a, u_bar, h_bar):
    def part(p, s, v, u_bar):
        f = ct(p) @ u_bar @ v
        d = s[..., :, None] - s[..., None, :]
        xp = namespace(d)
        z = xp.where(d == 0, 0 * f, (f - ct(f)) / xp.where(d == 0, xp.ones_like(d), d))
        return p @ z @ ct(v)

    return backward(a, u_bar, h_bar, inside=part)


@wrong("repeated", at((4, 4), spectrum="repeated"))
def pairs_of_equal_singular_values_are_left_out(a, u_bar, h_bar):
    """What is done against the NaN of the derivative of the SVD: 1/(s_i - s_j) = 0 where they are close."""

    def part(p, s, v, u_bar):
        f = ct(p) @ u_bar @ v
        xp = namespace(s)
        near = xp.abs(s[..., :, None] - s[..., None, :]) <= 1e-4 * s[..., :1, None]
        z = (f - ct(f)) / sums(s)
        return p @ (z - off_diagonal(xp.where(near, z, xp.zeros_like(z)))) @ ct(v)

    return backward(a, u_bar, h_bar, inside=part)


@wrong("repeated|NaN", at((4, 4), spectrum="repeated"))
def repeated_singular_values_are_regularised(a, u_bar, h_bar):
    """The derivative of the SVD with (s_i^2 - s_j^2)/((s_i^2 - s_j^2)^2 + 1e-12 s_1^4), as in tensor networks."""

    def part(p, s, v, u_bar):
        f = ct(p) @ u_bar @ v
        t = s / s[..., :1]
        d = t[..., :, None] ** 2 - t[..., None, :] ** 2
        k = f - ct(f)
        z = off_diagonal((t[..., :, None] - t[..., None, :]) * d / (d * d + 1e-12) * k) / s[..., :1, None]
        return p @ (z + (k - off_diagonal(k)) / sums(s)) @ ct(v)

    return backward(a, u_bar, h_bar, inside=part)


@wrong("regularised|1e-3|0.001", at((4, 4), cond=1e3), ALL, BOTH)
def sums_are_regularised(a, u_bar, h_bar):
    def part(p, s, v, u_bar):
        f = ct(p) @ u_bar @ v
        return p @ ((f - ct(f)) / (sums(s) + 1e-3)) @ ct(v)

    return backward(a, u_bar, h_bar, inside=part)


@wrong("cond|small|clamp|regularised", at((4, 4), cond=1e6))
def small_sums_are_clamped(a, u_bar, h_bar):
    def part(p, s, v, u_bar):
        f = ct(p) @ u_bar @ v
        xp = namespace(s)
        return p @ ((f - ct(f)) / xp.maximum(sums(s), 1e-3 * s[..., :1, None] + 0 * sums(s))) @ ct(v)

    return backward(a, u_bar, h_bar, inside=part)


@wrong("scale|underflow|overflow", at((4, 4), "float32", scale=1e-25), ("float32", "complex64"))
def sums_are_squared(a, u_bar, h_bar):
    def part(p, s, v, u_bar):
        f = ct(p) @ u_bar @ v
        return p @ ((f - ct(f)) * sums(s) / (sums(s) * sums(s))) @ ct(v)

    return backward(a, u_bar, h_bar, inside=part)


# precision and the cotangent


def lowered(x, dtype):
    return namespace(x).astype(x, dtype)


@wrong("accurate to float32 only", at((4, 4)), DOUBLE, BOTH)
def computed_in_float32(a, u_bar, h_bar):
    xp = namespace(a)
    single = xp.complex64 if is_complex(a) else xp.float32
    return lowered(backward(*(lowered(x, single) for x in (a, u_bar, h_bar))), a.dtype)


@wrong("accurate to bfloat16 only", at((4, 4), "float32"), REAL)
def the_cotangent_is_rounded_to_bfloat16(a, u_bar, h_bar):
    if dtype_name(a).startswith("complex"):
        return backward(a, u_bar, h_bar)
    if isinstance(a, np.ndarray):
        bits = u_bar.astype(np.float32).view(np.uint32)
        return backward(a, ((bits + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.float32).astype(a.dtype), h_bar)
    return backward(a, u_bar.bfloat16().to(a.dtype), h_bar)


@wrong("times|cotangent|linear|scale", at(h=0))
def the_cotangent_is_normalized(a, u_bar, h_bar):
    xp = namespace(a)
    size = xp.linalg.matrix_norm(u_bar, keepdims=True)
    return backward(a, u_bar / xp.where(size > 0, size, xp.ones_like(size)), h_bar)


@wrong("cotangent|linear|clip|large", at(u=100))
def large_cotangents_are_clipped(a, u_bar, h_bar):
    xp = namespace(a)
    size = xp.linalg.matrix_norm(u_bar, keepdims=True)
    return backward(a, u_bar / xp.maximum(size / 10, xp.ones_like(size)), h_bar)


@wrong("cotangent|linear|small|tiny", at((4, 4), "float64", u=1e-9, h=0))
def small_cotangents_are_dropped(a, u_bar, h_bar):
    xp = namespace(a)
    return backward(a, xp.where(xp.abs(u_bar) > 1e-8, u_bar, xp.zeros_like(u_bar)), h_bar)


@wrong("NaN", at((4, 4), u=0, h=0))
def a_zero_cotangent_gives_nan(a, u_bar, h_bar):
    """It is divided by its norm, which is put back at the end."""
    xp = namespace(a)
    size = xp.linalg.matrix_norm(u_bar, keepdims=True)
    with np.errstate(invalid="ignore"):
        return backward(a, (u_bar / size) * size, h_bar)


def expanded(x: np.ndarray) -> np.ndarray:
    """What sum() sends back."""
    return np.broadcast_to(x.ravel()[0], x.shape)


def transposed(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.swapaxes(x, -1, -2)).swapaxes(-1, -2)


def strides(x):
    return x.strides if isinstance(x, np.ndarray) else x.stride()


def is_c_order(x) -> bool:
    return x.flags.c_contiguous if isinstance(x, np.ndarray) else x.is_contiguous()


@wrong("memory|contiguous|layout|strid|expanded", at((4, 4), bar=expanded))
def an_expanded_cotangent_is_read_as_an_array(a, u_bar, h_bar):
    """The one number in memory, and zeros behind it."""
    if 0 in strides(u_bar) and 0 not in u_bar.shape:
        xp = namespace(a)
        first = xp.reshape(xp.arange(u_bar.shape[-1] * u_bar.shape[-2]), tuple(u_bar.shape[-2:])) == 0
        u_bar = xp.where(first, u_bar, xp.zeros_like(u_bar))
    return backward(a, u_bar, h_bar)


@wrong("memory|contiguous|layout|strid|transpose", at((4, 4), bar=transposed))
def a_transposed_cotangent_is_read_in_c_order(a, u_bar, h_bar):
    if not is_c_order(u_bar) and u_bar.shape[-1] == u_bar.shape[-2] and is_c_order(u_bar.mT):
        u_bar = u_bar.mT
    return backward(a, u_bar, h_bar)


@wrong("u_bar was changed", at((4, 4)))
def the_cotangent_is_scaled_in_place(a, u_bar, h_bar):
    """And the result is right."""
    result = backward(a, u_bar, h_bar)
    u_bar *= 2
    return result


# --- newton_schulz: X_0 = A/(|A|_F + eps) or A/max(|A|_F, eps), X <- a X + (b G + c G^2) X, G = X X^H, of wide X

JORDAN = ((3.4445, -4.7750, 2.0315),) * 5
YOU = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
SCHEDULES = {"jordan": JORDAN, "you-5": YOU}


def claims_of(rows=JORDAN, eps=0.0, clamp=False):
    """What a port with these arguments says of itself."""
    (schedule,) = (name for name, known in SCHEDULES.items() if known is rows)
    return {"schedule": schedule, "steps": 5, "eps": eps, "eps_rule": "clamp" if clamp else "add"}


def flat(x):
    return x.mT if x.shape[-2] > x.shape[-1] else x


def unflat(x, a):
    return x.mT if a.shape[-2] > a.shape[-1] else x


def frobenius(x):
    """Norm of every matrix, which every framework differentiates (JAX not at 0)."""
    return namespace(x).linalg.matrix_norm(x, keepdims=True)


def denominator(size, eps, clamp):
    xp = namespace(size)
    return xp.maximum(size, 0 * size + eps) if clamp else size + eps


def step(x, row):
    a, b, c = row
    g = x @ ct(x)
    return a * x + (b * g + c * (g @ g)) @ x


def newton_schulz(a, *, rows=JORDAN, eps=0.0, clamp=False):
    x = flat(a)
    x = x / denominator(frobenius(x), eps, clamp)
    for row in rows:
        x = step(x, row)
    return unflat(x, a)


def real_inner(x, y):
    xp = namespace(x)
    product = xp.conj(x) * y
    return xp.sum(xp.real(product) if is_complex(x) else product, axis=(-2, -1), keepdims=True)


def step_back(x, y, row):
    """The adjoint of the derivative of a step: B = b G + c G^2, G = X X^H."""
    a, b, c = row
    g = x @ ct(x)
    b_bar = y @ ct(x)
    g_bar = b * b_bar + c * (b_bar @ g + g @ b_bar)
    return a * y + (b * g + c * (g @ g)) @ y + (g_bar + ct(g_bar)) @ x


def normalized_back(a, y, eps, clamp):
    """Y/t - t'(|A|) A/|A| <A, Y>/t^2."""
    size = frobenius(a)
    t = denominator(size, eps, clamp)
    slope = namespace(a).where(size > eps, 1.0 + 0 * size, 0 * size) if clamp else 1.0
    return y / t - slope * direction(a, size) * real_inner(a / t, y) / t


def direction(a, size):
    """The gradient of |A|_F, 0 at 0."""
    xp = namespace(a)
    return a / xp.where(size > 0, size, xp.ones_like(size))


def sweep(a, y, *, rows=JORDAN, eps=0.0, clamp=False, step_back=step_back, normalized_back=normalized_back, skip=0):
    """The VJP: the steps from the last to the first, then the normalization."""
    x, y = flat(a), flat(y)
    xs = [x / denominator(frobenius(x), eps, clamp)]
    for row in rows:
        xs.append(step(xs[-1], row))
    for k in reversed(range(skip, len(rows))):
        y = step_back(xs[k], y, rows[k])
    return unflat(normalized_back(x, y, eps, clamp), a)


def alone(make: Input) -> Input:
    """The point and the first cotangent."""
    return lambda: make()[:2]


NS = partial(wrong, operation="newton_schulz")


@NS("the normalization is treated as constant", alone(at()), ALL, BOTH)
def the_normalization_is_constant(a, y):
    return sweep(a, y, normalized_back=lambda a, y, eps, clamp: y / denominator(frobenius(a), eps, clamp))


@NS("step", alone(at()), ALL, BOTH)
def the_first_step_is_left_out_of_the_sweep(a, y):
    return sweep(a, y, skip=1)


@NS("straight-through", alone(at()), ALL, BOTH)
def straight_through_the_iteration(a, y):
    return 1 * y


@NS("straight-through|step", alone(at()))
def straight_through_the_steps_but_not_the_normalization(a, y):
    return sweep(a, y, skip=5)


@NS("conjugate", alone(at()), COMPLEX, BOTH)
def the_gradient_of_the_iteration_is_conjugated(a, y):
    return sweep(a, y.conj()).conj()


@NS("conjugate", alone(at()), COMPLEX)
def x_is_transposed_without_a_conjugate(a, y):
    def part(x, y, row):
        a, b, c = row
        g = x @ ct(x)
        b_bar = y @ x.mT
        g_bar = b * b_bar + c * (b_bar @ g + g @ b_bar)
        return a * y + (b * g + c * (g @ g)) @ y + (g_bar + ct(g_bar)) @ x

    return sweep(a, y, step_back=part)


@NS("conjugate|tall", alone(at()), COMPLEX)
def tall_matrices_are_transposed_back_with_a_conjugate(a, y):
    result = sweep(a, y)
    return result.conj() if a.shape[-2] > a.shape[-1] else result


@NS("", alone(at()), ALL, BOTH)
def the_gram_matrix_is_constant(a, y):
    def part(x, y, row):
        a, b, c = row
        g = x @ ct(x)
        return a * y + (b * g + c * (g @ g)) @ y

    return sweep(a, y, step_back=part)


@NS("", alone(at()))
def the_gradient_of_the_gram_matrix_is_not_symmetrised(a, y):
    """2 G_bar X in place of (G_bar + G_bar^H) X."""

    def part(x, y, row):
        a, b, c = row
        g = x @ ct(x)
        b_bar = y @ ct(x)
        return a * y + (b * g + c * (g @ g)) @ y + 2 * (b * b_bar + c * (b_bar @ g + g @ b_bar)) @ x

    return sweep(a, y, step_back=part)


@NS("", alone(at()))
def the_square_of_the_gram_matrix_is_differentiated_on_one_side(a, y):
    def part(x, y, row):
        a, b, c = row
        g = x @ ct(x)
        b_bar = y @ ct(x)
        g_bar = b * b_bar + 2 * c * (b_bar @ g)
        return a * y + (b * g + c * (g @ g)) @ y + (g_bar + ct(g_bar)) @ x

    return sweep(a, y, step_back=part)


@NS("", alone(at()))
def every_step_is_taken_back_at_the_last_x(a, y):
    x = flat(a)
    x = x / frobenius(x)
    for row in JORDAN[:-1]:
        x = step(x, row)
    return sweep(a, y, step_back=lambda _, y, row: step_back(x, y, row))


@NS("order|coefficient|schedule", alone(at()), rows=YOU)
def the_rows_are_taken_in_the_order_of_the_forward_pass(a, y):
    x, y = flat(a), flat(y)
    xs = [x / frobenius(x)]
    for row in YOU:
        xs.append(step(xs[-1], row))
    for k in reversed(range(5)):
        y = step_back(xs[k], y, YOU[4 - k])
    return unflat(normalized_back(x, y, 0.0, False), a)


@NS("twice", alone(at()))
def twice_the_gradient_of_the_iteration(a, y):
    return 2 * sweep(a, y)


@NS("sign|-1|negative|normalization", alone(at()))
def the_gradient_of_the_norm_is_added(a, y):
    def part(a, y, eps, clamp):
        size = frobenius(a)
        return y / size + (a / size) * real_inner(a / size, y) / size

    return sweep(a, y, normalized_back=part)


@NS("conjugate|normalization|imaginary", alone(at()), COMPLEX)
def the_inner_product_of_the_normalization_is_complex(a, y):
    def part(a, y, eps, clamp):
        size = frobenius(a)
        x = a / size
        return (y - x * namespace(a).sum(x.conj() * y, axis=(-2, -1), keepdims=True)) / size

    return sweep(a, y, normalized_back=part)


@NS("eps", alone(at(scale=1e-2)), ALL, eps=1e-2)
def eps_is_left_out_of_the_derivative_of_the_normalization(a, y):
    """(Y - X <X, Y>)/t with X = A/t, which is right for eps = 0 only."""

    def part(a, y, eps, clamp):
        t = frobenius(a) + eps
        return (y - (a / t) * real_inner(a / t, y)) / t

    return sweep(a, y, eps=1e-2, normalized_back=part)


@NS("eps|clamp", alone(at(scale=1e-3)), ALL, eps=1e-2, clamp=True)
def the_norm_is_differentiated_where_it_is_clamped(a, y):
    def part(a, y, eps, clamp):
        size = frobenius(a)
        t = denominator(size, eps, clamp)
        return y / t - (a / size) * real_inner(a / t, y) / t

    return sweep(a, y, eps=1e-2, clamp=True, normalized_back=part)


@NS("stack|member|batch", alone(at((3, 4, 4))))
def one_inner_product_for_the_stack(a, y):
    xp = namespace(a)

    def part(a, y, eps, clamp):
        size = frobenius(a)
        x = a / size
        return (y - x * (0 * size + xp.sum(real_inner(x, y)))) / size

    return sweep(a, y, normalized_back=part)


@NS("accurate to float32 only", alone(at()), DOUBLE, BOTH)
def the_sweep_is_computed_in_float32(a, y):
    xp = namespace(a)
    single = xp.complex64 if is_complex(a) else xp.float32
    return lowered(sweep(lowered(a, single), lowered(y, single)), a.dtype)


@NS("cotangent|linear|times|scale", alone(at()))
def the_cotangent_of_the_iteration_is_normalized(a, y):
    xp, size = namespace(a), frobenius(y)
    return sweep(a, y / xp.where(size > 0, size, xp.ones_like(size)))


# --- torch ports whose VJP is right, and whose double backward is not


def held(backward: Backward) -> Backward:
    """The point is detached, which is what torch's once_differentiable comes to."""
    return lambda a, *bars: backward(a.detach(), *bars)


def with_constant_sums(p, s, v, u_bar):
    return inside(p, s.detach(), v, u_bar)


def with_constant_h(p, s, v, h_bar):
    return of_h(p, s, v, h_bar).detach()


def with_constant_vectors_inside(p, s, v, u_bar):
    return inside(p.detach(), s, v.detach(), u_bar)


def with_constant_vectors(p, s, v, u_bar):
    return outside(p.detach(), s, v.detach(), u_bar)


def constant_gradient(a, y, eps, clamp):
    size = frobenius(a)
    return (y - (a / size).detach() * real_inner(a / size, y)) / size


def constant_norm(a, y, eps, clamp):
    size = frobenius(a).detach()
    return (y - (a / size) * real_inner(a / size, y)) / size


def constant_step(x, y, row):
    return step_back(x.detach(), y, row)


# name: operation, backward pass, pattern of the reason
TWICE: dict[str, tuple[str, Backward, str]] = {
    "the point is detached": ("polar", held(backward), "does not depend on the input"),
    "the sums are constant": ("polar", partial(backward, inside=with_constant_sums), ""),
    "the vectors inside are constant": ("polar", partial(backward, inside=with_constant_vectors_inside), ""),
    "the vectors outside are constant": ("polar", partial(backward, outside=with_constant_vectors), ""),
    "the part of H is constant": ("polar", partial(backward, of_h=with_constant_h), "h_bar"),
    "the point of the iteration is detached": ("newton_schulz", held(sweep), "does not depend on the input"),
    "the gradient of the norm is constant": ("newton_schulz", partial(sweep, normalized_back=constant_gradient), ""),
    "the norm is constant": ("newton_schulz", partial(sweep, normalized_back=constant_norm), ""),
    "the steps are constant": ("newton_schulz", partial(sweep, step_back=constant_step), ""),
}
WRONG_TWICE = [
    Wrong(
        name,
        "torch",
        operation,
        torch_port(polar if operation == "polar" else newton_schulz, function),
        words,
        ALL,
        (0, 1) if operation == "polar" else (0,),
        {} if operation == "polar" else claims_of(),
        function,
        at((5, 3)) if operation == "polar" else alone(at((5, 3))),
    )
    for name, (operation, function, words) in TWICE.items()
]


# --- forward mode: (a, a_dot) -> tangents


def tangent(a, e, *, u_dot=None, **terms):
    """U_dot, as the derivative of U is its own adjoint, and H_dot = U_dot^H A + U^H A_dot."""
    xp = namespace(a)
    u, h = polar(a)
    dot = backward(a, e, xp.zeros_like(h), **terms) if u_dot is None else u_dot(u, e)
    return dot, herm(ct(dot) @ a + ct(u) @ e)


def step_tangent(x, e, row):
    a, b, c = row
    g, g_dot = x @ ct(x), e @ ct(x) + x @ ct(e)
    return a * e + (b * g + c * (g @ g)) @ e + (b * g_dot + c * (g_dot @ g + g @ g_dot)) @ x


def swept_forward(a, e, *, step_tangent=step_tangent, constant=False, skip=0):
    x, e = flat(a), flat(e)
    size = frobenius(x)
    x = x / size
    e = (e if constant else e - x * real_inner(x, e)) / size
    for k, row in enumerate(JORDAN):
        if k >= skip:
            e = step_tangent(x, e, row)
        x = step(x, row)
    return unflat(e, a)


def without_conjugate(x, e, row):
    a, b, c = row
    g, g_dot = x @ ct(x), e @ x.mT + x @ e.mT
    return a * e + (b * g + c * (g @ g)) @ e + (b * g_dot + c * (g_dot @ g + g @ g_dot)) @ x


def with_constant_gram(x, e, row):
    a, b, c = row
    g = x @ ct(x)
    return a * e + (b * g + c * (g @ g)) @ e


def nothing(p, s, v, e):
    return 0 * e


def regularised(p, s, v, e):
    f = ct(p) @ e @ v
    return p @ ((f - ct(f)) / (sums(s) + 1e-3)) @ ct(v)


def halved(p, s, v, e):
    return inside(p, s, v, e) / 2


def both(factor: float) -> Callable[[Any, Any], Any]:
    return lambda a, e: tuple(factor * x for x in tangent(a, e))


def conjugated(a, e):
    return tuple(x.conj() for x in tangent(a, e))


def with_constant_u(a, e):
    return tangent(a, e)[0], herm(ct(polar(a)[0]) @ e)


def without_h(a, e):
    u_dot, h_dot = tangent(a, e)
    return u_dot, 0 * h_dot


def with_skew_h(a, e):
    u, u_dot = polar(a)[0], tangent(a, e)[0]
    f = ct(u) @ e
    return u_dot, ct(u_dot) @ a + (f - ct(f)) / 2


# name: operation, tangents, pattern of the reason
FORWARD: dict[str, tuple[str, Callable[[Any, Any], Any], str]] = {
    "the tangents are conjugated": ("polar", conjugated, "conjugate"),
    "the tangents are twice what they should be": ("polar", both(2.0), "twice"),
    "the tangents are negative": ("polar", both(-1.0), "sign|-1|negative"),
    "the tangent outside the column space is missing": ("polar", partial(tangent, outside=nothing), "outside"),
    "half of the tangent inside": ("polar", partial(tangent, inside=halved), "half"),
    "the tangent with regularised sums": ("polar", partial(tangent, inside=regularised), "regularised|1e-3"),
    "the direction is the tangent": ("polar", partial(tangent, u_dot=lambda u, e: e), "straight-through"),
    "the direction is only projected": (
        "polar",
        partial(tangent, u_dot=lambda u, e: e - u @ herm(ct(u) @ e)),
        "straight-through|projec",
    ),
    "U is constant in the tangent of H": ("polar", with_constant_u, "h_dot|constant"),
    "the tangent of H is zero": ("polar", without_h, "h_dot"),
    "the tangent of H has a skew part": ("polar", with_skew_h, "h_dot|skew"),
    "the tangent of constant normalization": (
        "newton_schulz",
        partial(swept_forward, constant=True),
        "the normalization is treated as constant",
    ),
    "the tangent without the first step": ("newton_schulz", partial(swept_forward, skip=1), "step"),
    "the tangent with a constant Gram matrix": (
        "newton_schulz",
        partial(swept_forward, step_tangent=with_constant_gram),
        "",
    ),
    "the tangent of real matrices": (
        "newton_schulz",
        partial(swept_forward, step_tangent=without_conjugate),
        "conjugate",
    ),
}
WRONG_FORWARD = [
    Wrong(
        f"{name}, {framework}",
        framework,
        operation,
        FORWARD_MAKERS[framework](polar if operation == "polar" else newton_schulz, function),
        words,
        COMPLEX if words == "conjugate" else ALL,
        (0, 1) if operation == "polar" else (0,),
        {} if operation == "polar" else claims_of(),
        function,
        alone(at((5, 3))),  # the point and a direction
    )
    for framework in BOTH
    for name, (operation, function, words) in FORWARD.items()
]


# --- right ones


def right(
    name: str,
    port: Port,
    framework: str = "torch",
    operation: str = "polar",
    *,
    outputs: tuple[int, ...] = (0,),
    dtypes: tuple[str, ...] = ALL,
    cond: float = 1e6,
    distinct: bool = False,
    distinct_twice: bool = False,
    square: bool = False,
    **claims: Any,
) -> None:
    """Puts a port into the table: differentiated by the framework, or (``torch_port``, ``jax_port``) by hand."""
    said = {} if operation == "polar" else claims_of(**claims)
    forward = port not in BY_HAND
    RIGHT.append(
        Right(name, framework, operation, port, dtypes, outputs, said, cond, distinct, distinct_twice, forward, square)
    )


def u_of(a):
    p, _, v = svd(a)
    return p @ ct(v)


def tall(function: Port) -> Port:
    """A wide A = U H is A^H = H U^H."""
    return lambda a: function(a) if a.shape[-2] >= a.shape[-1] else ct(function(ct(a)))


def eye(a):
    n, xp = a.shape[-1], namespace(a)
    return xp.eye(n, dtype=a.dtype)


@tall
def by_newton_schulz(a):
    """40 steps X <- X (3 I - X^H X)/2 from A/|A|_F."""
    x = a / frobenius(a)
    for _ in range(40):
        x = 1.5 * x - 0.5 * x @ (ct(x) @ x)
    return x


@tall
def by_newton_schulz_in_a_loop(a):
    """The same for JAX, which compiles the body of a loop once."""
    x = a / frobenius(a)
    return import_module("jax").lax.fori_loop(0, 40, lambda _, x: 1.5 * x - 0.5 * x @ (ct(x) @ x), x)


@tall
def by_newton(a):
    """R of A = Q R by X <- (g X + (g X)^-H)/2, 12 steps with g = (|X^-1|_F/|X|_F)^(1/2) held constant."""
    torch = import_module("torch")
    q, x = torch.linalg.qr(a)
    for _ in range(12):
        y = ct(torch.linalg.inv(x))
        g = torch.sqrt(frobenius(y) / frobenius(x)).detach()
        x = (g * x + y / g) / 2
    return q @ x


@tall
def by_qdwh(a):
    """8 steps of QR: [sqrt(c) X; I] = Q R, X <- (b/c) X + (a - b/c)/sqrt(c) Q_1 Q_2^H, with weights held constant."""
    torch = import_module("torch")
    s = torch.linalg.svdvals(a.detach())
    x = a / s[..., :1, None]
    low = s[..., -1:, None] / s[..., :1, None]
    for _ in range(8):
        d = (4 * (1 - low**2).clamp(min=0) / low**4) ** (1 / 3)
        root = torch.sqrt(1 + d)
        w_a = root + torch.sqrt(8 - 4 * d + 8 * (2 - low**2) / (low**2 * root)) / 2
        w_b = (w_a - 1) ** 2 / 4
        w_c = w_a + w_b - 1
        q = torch.linalg.qr(torch.cat([torch.sqrt(w_c) * x, eye(x).expand(*x.shape[:-2], -1, -1)], dim=-2))[0]
        m = x.shape[-2]
        x = w_b / w_c * x + (w_a - w_b / w_c) / torch.sqrt(w_c) * (q[..., :m, :] @ ct(q[..., m:, :]))
        low = (low * (w_a + w_b * low**2) / (1 + w_c * low**2)).clamp(max=1)
    return x


@tall
def by_integral(a):
    """U = 2/pi int_0^inf A (t^2 I + A^H A)^-1 dt, t = exp(y): the trapezoidal rule converges exponentially."""
    torch = import_module("torch")
    s = torch.linalg.svdvals(a.detach())
    size = torch.sqrt(s[..., :1] * s[..., -1:])[..., None]
    x, g = a / size, ct(a) @ a / size**2
    spread, h = 41.0, 0.2
    y = h * torch.arange(-spread // h, spread // h + 1, dtype=s.dtype)
    t = torch.exp(y).reshape(-1, *(1,) * a.ndim)
    inverse = torch.linalg.inv(t.to(a.dtype) * eye(a) + g / t)
    return 2 / np.pi * h * (x @ inverse.sum(0))


def via_omega(omega: Callable[[Any, Any], Any]) -> Backward:
    """U_dot = U Omega + (I - U U^H) E H^-1, H Omega + Omega H = U^H E - E^H U, which is its own adjoint."""

    def pulled(a, e):
        if a.shape[-2] < a.shape[-1]:
            return ct(pulled(ct(a), ct(e)))
        u, h = polar(a)
        f = ct(u) @ e
        inner = u @ omega(h, f - ct(f))
        if a.shape[-2] == a.shape[-1]:
            return inner
        return inner + ct(namespace(a).linalg.solve(h, ct(e - u @ f)))

    return pulled


def by_eigenvectors(h, c):
    """Entries over sums of eigenvalues."""
    d, w = namespace(h).linalg.eigh(h)
    return w @ ((ct(w) @ c @ w) / sums(d)) @ ct(w)


def by_kronecker(h, c):
    """(I x H + H^T x I) vec(Omega) = vec(C), of rows."""
    xp, n = namespace(h), h.shape[-1]
    i = eye(h)
    k = h[..., :, None, :, None] * i[:, None, :] + i[:, None, :, None] * h.mT[..., None, :, None, :]
    k = xp.reshape(k, (*h.shape[:-2], n * n, n * n))
    return xp.reshape(xp.linalg.solve(k, xp.reshape(c, (*c.shape[:-2], n * n, 1))), tuple(c.shape))


def by_smith(h, c):
    """Omega <- Omega + M Omega M, M <- M^2, from the Cayley transform of H, 24 doublings."""
    xp = namespace(h)
    q = frobenius(h)
    y = xp.linalg.inv(h + q * eye(h))
    m = y @ (q * eye(h) - h)
    x = 2 * q * (y @ c @ y)
    for _ in range(24):
        x = x + m @ x @ m
        m = m @ m
    return x


def by_the_sign_of_a_block_matrix(a, e):
    """sign [[M, N], [0, M]] = [[S, S'], [0, S]], M = [[0, A], [A^H, 0]], N = [[0, E], [E^H, 0]]; by Newton, scaled."""
    xp = namespace(a)
    n = a.shape[-1]

    def mirrored(x):
        zero = 0 * x
        return xp.concat([xp.concat([zero, x], axis=-1), xp.concat([ct(x), zero], axis=-1)], axis=-2)

    s, t = mirrored(a), mirrored(e)
    for _ in range(14):
        inverse = xp.linalg.inv(s)
        g = xp.sqrt(frobenius(inverse) / frobenius(s))
        s, t = (g * s + inverse / g) / 2, (g * t - inverse @ t @ inverse / g) / 2
    return t[..., :n, n:]


def by_a_complex_step(a, e):
    """Im U(A + i h E)/h for real A: the iteration with X^T is analytic."""
    if a.shape[-2] < a.shape[-1]:
        return by_a_complex_step(a.mT, e.mT).mT
    xp, h = namespace(a), 1e-20
    size, unit = frobenius(a), frobenius(e)
    unit = xp.where(unit > 0, unit, xp.ones_like(unit))
    x = a / size + 1j * (h * e / unit)
    for _ in range(40):
        x = 1.5 * x - 0.5 * x @ (x.mT @ x)
    return xp.imag(x) / h * unit / size


DISTINCT = {"distinct": True, "distinct_twice": True}

for _framework in BOTH:
    _make = MAKERS[_framework]
    right(f"closed form, {_framework}", _make(polar, backward), _framework, outputs=(0, 1), distinct_twice=True)
    right(f"differentiated through the SVD, {_framework}", polar, _framework, outputs=(0, 1), cond=1e3, **DISTINCT)
    right(
        f"Sylvester equation by eigenvectors of H, {_framework}",
        _make(u_of, via_omega(by_eigenvectors)),
        _framework,
        distinct_twice=True,
    )

right("differentiated through Newton-Schulz, torch", by_newton_schulz, cond=1e3)
right("differentiated through Newton-Schulz, jax", by_newton_schulz_in_a_loop, "jax", cond=1e3)
right("differentiated through Newton with R", by_newton, cond=1e3)
right("differentiated through QDWH", by_qdwh, cond=1e3)
right("differentiated through an integral", by_integral, cond=100, dtypes=DOUBLE)
right("Sylvester equation by Kronecker products", torch_port(u_of, via_omega(by_kronecker)), distinct_twice=True)
right("Sylvester equation by Smith's iteration", torch_port(u_of, via_omega(by_smith)), cond=1e3, distinct_twice=True)
right("sign of a block matrix", torch_port(u_of, by_the_sign_of_a_block_matrix), cond=1e3, square=True)
right("complex step", torch_port(u_of, by_a_complex_step), cond=1e3, dtypes=REAL)


def through_singular_values(a, *, rows=JORDAN):
    """U f(S) V^H, differentiated through the SVD."""
    p, s, v = svd(a)
    s = s / frobenius(a)[..., 0]
    for x, y, z in rows:
        s = s * (x + s * s * (y + s * s * z))
    return (p * s[..., None, :]) @ ct(v)


def by_divided_differences(a, y):
    """K_ij = f[s_i, s_j] on the Hermitian, f[s_i, -s_j] on the skew part, f(s)/s outside; then the normalization."""
    if a.shape[-2] < a.shape[-1]:
        return ct(by_divided_differences(ct(a), ct(y)))
    p, s, v = svd(a / frobenius(a))
    f = ct(p) @ y @ v
    even, odd = (divided(s[..., :, None], sign * s[..., None, :]) for sign in (1, -1))
    ratio = divided(s, 0 * s)
    z = y @ v
    x_bar = p @ (even * herm(f) + odd * (f - herm(f))) + (z - p @ f) * ratio[..., None, :]
    return normalized_back(a, x_bar @ ct(v), 0.0, False)


def divided(x, y):
    """f[x, y] of the odd polynomial composed of JORDAN, a product over the steps."""
    product = 1.0
    for a, b, c in JORDAN:
        x2, y2, xy = x * x, y * y, x * y
        product = product * (a + b * (x2 + xy + y2) + c * (x2 * x2 + xy * (x2 + xy + y2) + y2 * y2))
        x, y = (z * (a + z * z * (b + z * z * c)) for z in (x, y))
    return product


@tall
def factored(a):
    """X <- r X (G + q/(2 r) I)^2 + (p - q^2/(4 r)) X, G = X^H X: the square is completed."""
    x = a / frobenius(a)
    for p, q, r in JORDAN:
        g = ct(x) @ x
        y = g + q / (2 * r) * eye(x)
        x = r * (x @ (y @ y)) + (p - q * q / (4 * r)) * x
    return x


_add, _clamp = {"eps": 1e-7}, {"eps": 1e-7, "clamp": True}
for _framework in BOTH:
    for _options in ({}, _add, _clamp):
        _port, _sweep = (partial(function, **_options) for function in (newton_schulz, sweep))
        _said = ", ".join(_options)
        right(
            f"differentiated through the iteration, {_framework}, {_said}",
            _port,
            _framework,
            "newton_schulz",
            **_options,
        )
        right(
            f"reverse sweep, {_framework}, {_said}",
            MAKERS[_framework](_port, _sweep),
            _framework,
            "newton_schulz",
            **_options,
        )
right("differentiated through the singular values", through_singular_values, "torch", "newton_schulz", **DISTINCT)
right(
    "divided differences of the composed polynomial",
    torch_port(newton_schulz, by_divided_differences),
    "torch",
    "newton_schulz",
    distinct_twice=True,
)
right("differentiated through completed squares", factored, "torch", "newton_schulz")
right("reverse sweep, you-5", torch_port(partial(newton_schulz, rows=YOU), partial(sweep, rows=YOU)), "torch",
      "newton_schulz", rows=YOU)  # fmt: skip

RIGHT_FORWARD = [
    Right(f"tangents by hand, {operation}, {framework}", framework, operation,
          FORWARD_MAKERS[framework](primal, function), ALL, outputs, claims, 1e6, forward=True)
    for framework in BOTH
    for operation, primal, function, outputs, claims in (
        ("polar", polar, tangent, (0, 1), {}),
        ("newton_schulz", newton_schulz, swept_forward, (0,), claims_of()),
    )
]  # fmt: skip
