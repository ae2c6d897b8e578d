"""One table of the constructors and their inverses: points, directions, the same function in 400 bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from backends import ct, gaussian, norm
from exact import BITS, adjoint_hp, lift, lower

Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Row:
    """A function of arrays, its derivatives with the arguments in one order, and how to draw a point and a direction.

    ``size`` bounds the sum of the norms of the terms of the derivative at a point in a direction: what a stable
    evaluation commits is a multiple of n eps of it.
    """

    name: str
    f: Callable[..., Any]
    jvp: Callable[[Arrays, Arrays], Any]
    vjp: Callable[[Arrays, Arrays], Any]
    draw: Callable[[tuple[int, ...], str, int], tuple[Arrays, Arrays]]
    hp: Callable[..., list[Any]]
    size: Callable[[Arrays, Arrays], float]
    n: int
    dtypes: tuple[str, ...] = ("float32", "float64", "complex64", "complex128")
    options: dict[str, Any] = field(default_factory=dict)
    smooth: bool = True

    def __str__(self) -> str:
        return self.name


def tuple_of(x: Any) -> tuple:
    return tuple(x) if isinstance(x, tuple) else (x,)


def inner(xs: Arrays, ys: Arrays) -> float:
    return sum(float(np.sum(np.conj(x).astype("complex128") * y).real) for x, y in zip(xs, ys, strict=True))


def wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.result_type(x, np.float64))


def derivative_hp(hp: Callable[..., list[Any]], xs: Arrays, dots: Arrays) -> list[np.ndarray]:
    """Central difference of step 2^-100 in 400 bits: the error is 2^-200 of the third derivative."""
    import flint

    with flint.ctx.workprec(BITS):
        t = flint.acb(flint.arb(2) ** -100)
        points = [[matrix(x) + matrix(e) * sign for x, e in zip(xs, dots, strict=True)] for sign in (t, -t)]
        return [lower((y1.mid() - y0.mid()) * (1 / (2 * t))) for y1, y0 in zip(*(hp(*p) for p in points), strict=True)]


def value_hp(hp: Callable[..., list[Any]], xs: Arrays) -> list[np.ndarray]:
    import flint

    with flint.ctx.workprec(BITS):
        return [lower(y) for y in hp(*map(matrix, xs))]


def matrix(x: np.ndarray):
    """Vectors as rows."""
    return lift(np.atleast_2d(np.asarray(x)))


def eye_hp(m: int, n: int | None = None):
    import flint

    n = m if n is None else n
    return flint.acb_mat(m, n, [int(i == j) for i in range(m) for j in range(n)])


def column_hp(x, j: int):
    import flint

    return flint.acb_mat(x.nrows(), 1, [x[i, j] for i in range(x.nrows())])


def first_hp(x, p: int):
    import flint

    return flint.acb_mat(x.nrows(), p, [x[i, j] for i in range(x.nrows()) for j in range(p)])


# --- Householder ------------------------------------------------------------------------------------------------------


def householder_hp(v, tau=None, *, columns=None, order="forward", below=False):
    """The plain product of the reflections."""
    import flint

    m, k = v.nrows(), v.ncols()
    q = eye_hp(m)
    for j in range(k):
        entries = [flint.acb(int(i == j)) if below and i <= j else v[i, j] for i in range(m)]
        x = flint.acb_mat(m, 1, entries)
        square = (adjoint_hp(x) * x)[0, 0]
        t = tau[0, j] if tau is not None else (2 / square if square != 0 else flint.acb(0))
        h = eye_hp(m) - x * adjoint_hp(x) * t
        q = q * h if order == "forward" else h * q
    return first_hp(q, m if columns is None else columns)


def draw_reflectors(m: int, k: int, tau: bool):
    def draw(batch, dtype, seed):
        v = gaussian((*batch, m, k), dtype, seed)
        dot = gaussian((*batch, m, k), dtype, seed + 1)
        if not tau:
            return (v,), (dot,)
        # not unitary: |tau - tau_0| of about 1/2, one reflection dropped, one singular
        v = v / 2
        square = np.sum(abs(np.tril(v, -1)) ** 2, axis=-2) + 1
        t = (2 / square * (1 + gaussian((*batch, k), dtype, seed + 2) / 4)).astype(dtype)
        t[..., 0] = 0
        if k > 1:
            t[..., 1] = (1 / square[..., 1]).astype(dtype)
        return (v, t), (dot, gaussian((*batch, k), dtype, seed + 3))

    return draw


def reflector_size(below: bool):
    def size(xs, dots):
        v, dot = wide(xs[0]), wide(dots[0])
        if below:
            v, dot = np.tril(v, -1) + np.eye(*v.shape), np.tril(dot, -1)
        lengths, moves = np.linalg.norm(v, axis=-2), np.linalg.norm(dot, axis=-2)
        if len(xs) == 1:
            return float(np.sum(8 * moves / lengths)) * v.shape[-1]
        tau, tau_dot = abs(wide(xs[1])), abs(wide(dots[1]))
        growth = float(np.prod(np.maximum(1, abs(1 - wide(xs[1]) * lengths**2))))
        return growth * v.shape[-1] * float(np.sum(4 * tau * lengths * moves + 2 * tau_dot * lengths**2))

    return size


def _householder(xs, dots=None):
    """v, tau in the order of the public functions."""
    return xs if dots is None else [z for pair in zip(xs, dots, strict=True) for z in pair]


def product_row(name, m, k, *, tau=False, below=False, **options):
    import orthoref

    storage = {"storage": "below"} if below and not tau else {}
    back = {key: value for key, value in options.items() if key != "columns"} | storage
    options = options | storage

    def vjp(xs, bars):
        v_bar, tau_bar, _ = orthoref.householder_product_vjp(xs[0], bars[0], *xs[1:], **back)
        return (v_bar,) if tau_bar is None else (v_bar, tau_bar)

    return Row(
        f"householder_product {name}",
        lambda *xs: orthoref.householder_product(*xs, **options),
        lambda xs, dots: orthoref.householder_product_jvp(*_householder(xs, dots), **options),
        vjp,
        draw_reflectors(m, k, tau),
        lambda *xs: [
            householder_hp(*xs, below=below, columns=options.get("columns"), order=options.get("order", "forward"))
        ],
        reflector_size(below),
        max(m, k),
    )


def matrix_row(tau):
    import orthoref

    def draw(batch, dtype, seed):
        xs, dots = draw_reflectors(4, 1, False)(batch, dtype, seed)
        xs, dots = (xs[0][..., 0],), (dots[0][..., 0],)
        if tau:
            xs, dots = (*xs, gaussian((*batch,), dtype, seed + 5)), (*dots, gaussian((*batch,), dtype, seed + 6))
        return tuple(map(np.asarray, xs)), tuple(map(np.asarray, dots))

    def hp(v, tau=None):
        return [householder_hp(v.transpose(), tau)]

    def size(xs, dots):
        return reflector_size(False)(tuple(x[..., None] for x in xs), tuple(x[..., None] for x in dots))

    def vjp(xs, bars):
        v_bar, tau_bar, _ = orthoref.householder_matrix_vjp(xs[0], bars[0], *xs[1:])
        return (v_bar,) if tau_bar is None else (v_bar, tau_bar)

    return Row(
        f"householder_matrix{' tau' if tau else ''}",
        orthoref.householder_matrix,
        lambda xs, dots: orthoref.householder_matrix_jvp(*_householder(xs, dots)),
        vjp, draw, hp, size, 4,
    )  # fmt: skip


def apply_row(name, side, adjoint, tau, **options):
    import orthoref

    m, k, c = 5, 3, 2
    options = {"side": side, "adjoint": adjoint, **options}

    def draw(batch, dtype, seed):
        xs, dots = draw_reflectors(m, k, tau)(batch, dtype, seed)
        shape = (*batch, m, c) if side == "left" else (*batch, c, m)
        x, dot = gaussian(shape, dtype, seed + 7), gaussian(shape, dtype, seed + 8)
        return (xs[0], x, *xs[1:]), (dots[0], dot, *dots[1:])

    def hp(v, x, tau_=None):
        q = householder_hp(v, tau_, below=tau, order=options.get("order", "forward"))
        q = adjoint_hp(q) if adjoint else q
        return [q * x if side == "left" else x * q]

    def jvp(xs, dots):
        taus = () if not tau else (xs[2], dots[2])
        return orthoref.householder_apply_jvp(xs[0], xs[1], dots[0], dots[1], *taus, **options)

    def vjp(xs, bars):
        v_bar, tau_bar, x_bar = orthoref.householder_apply_vjp(xs[0], xs[1], bars[0], *xs[2:], **options)
        return (v_bar, x_bar) if tau_bar is None else (v_bar, x_bar, tau_bar)

    def size(xs, dots):
        of_q = reflector_size(tau)((xs[0], *xs[2:]), (dots[0], *dots[2:]))
        growth = 1.0
        if tau:
            square = np.sum(abs(np.tril(wide(xs[0]), -1)) ** 2, axis=-2) + 1
            growth = float(np.prod(np.maximum(1, abs(1 - wide(xs[2]) * square))))
        return of_q * norm(xs[1]) + 4 * k * growth * norm(dots[1])

    return Row(f"householder_apply {name}", lambda *xs: orthoref.householder_apply(*xs, **options),
               jvp, vjp, draw, hp, size, m)  # fmt: skip


def unitary(batch, m, p, dtype, seed):
    """Orthonormal columns to the last bits of the dtype, by QR in twice the precision where there is one."""
    q, _ = np.linalg.qr(wide(gaussian((*batch, m, p), dtype, seed)))
    return q.astype(dtype)


def tangent(q, seed):
    z = wide(gaussian(q.shape, q.dtype.name, seed))
    w = wide(q)
    return (z - w @ (ct(w) @ z + ct(z) @ w) / 2).astype(q.dtype)


def orthonormal_hp(q):
    """The unitary polar factor of a matrix that is nearly one: Newton-Schulz in 400 bits."""
    eye = eye_hp(q.ncols())
    for _ in range(9):
        q = (q * (eye * 3 - adjoint_hp(q) * q) / 2).mid()
    return q


def factor_hp(q, diagonal):
    """LU without pivoting of Q D^* - I, and d, as the definition says."""
    import flint

    q = orthonormal_hp(q)
    m, p = q.nrows(), q.ncols()
    w = [[q[i, j] for j in range(p)] for i in range(m)]
    v, tau, d = eye_hp(m, p), [], []
    for j in range(p):
        alpha = w[j][j]
        if diagonal == "none":
            dj = flint.acb(1)
        elif diagonal == "sign":
            dj = flint.acb(-1 if alpha.real.mid() >= 0 else 1)
        else:
            dj = -alpha / (alpha * alpha.conjugate()).real.sqrt()
        d.append(dj)
        tau.append(1 - alpha * dj.conjugate())
        last = j == m - 1
        for i in range(j + 1, m):
            v[i, j] = w[i][j] / (alpha - dj)
        if not last:
            # subtract the column of L times the row of U for all columns to the right, where U = w[j]
            for k in range(j + 1, p):
                for i in range(j + 1, m):
                    w[i][k] = w[i][k] - v[i, j] * w[j][k]
    return [v, flint.acb_mat([tau]), flint.acb_mat([d])]


def factor_row(m, p, diagonal):
    import orthoref

    def draw(batch, dtype, seed):
        q = unitary(batch, m, p, dtype, seed)
        return (q,), (tangent(q, seed + 1),)

    def size(xs, dots):
        # the factors L and U of an LU factorization and their inverses, as they are
        q = wide(xs[0])
        q = q @ (3 * np.eye(p) - ct(q) @ q) / 2  # orthonormal in float64, too
        v, _, d = orthoref.householder_factor(q, diagonal=diagonal)
        l_inv = np.linalg.inv(v[:p])
        x = (q * d.conj() - np.eye(m, p))[:p]
        u = l_inv @ x
        if m == p:
            u[-1, -1] = 1
        loss = norm(l_inv) * norm(v) * norm(np.linalg.inv(u)) * norm(u)
        if diagonal == "phase" and np.iscomplexobj(v):
            loss *= norm(np.linalg.inv(np.tril((l_inv * np.linalg.inv(u).T).real + np.eye(p)))) * p
        return loss**2 * norm(dots[0])

    return Row(
        f"householder_factor {m}x{p} {diagonal}",
        lambda q: orthoref.householder_factor(q, diagonal=diagonal),
        lambda xs, dots: orthoref.householder_factor_jvp(*xs, *dots, diagonal=diagonal),
        lambda xs, bars: orthoref.householder_factor_vjp(*xs, *bars, diagonal=diagonal),
        draw, lambda q: factor_hp(q, diagonal), size, m,
    )  # fmt: skip


# --- skew-Hermitian matrices and Cayley transforms --------------------------------------------------------------------


def skew(shape, dtype, seed):
    a = gaussian(shape, dtype, seed)
    return (a - ct(a)) / 2


def skew_vector_row(n, field, order):
    import orthoref

    count = n * n if field == "complex" else n * (n - 1) // 2

    def draw(batch, dtype, seed):
        return (gaussian((*batch, count), dtype, seed),), (gaussian((*batch, count), dtype, seed + 1),)

    def hp(x):
        import flint

        a, k = flint.acb_mat(n, n), n * (n - 1) // 2
        pairs = [(i, j) for i in range(n) for j in range(i)]
        if order == "columns":
            pairs = sorted(pairs, key=lambda pair: pair[::-1])
        for place, (i, j) in enumerate(pairs):
            z = x[0, place] + (x[0, place + k] * 1j if field == "complex" else 0)
            a[i, j], a[j, i] = z, -z.conjugate()
        for j in range(n if field == "complex" else 0):
            a[j, j] = x[0, 2 * k + j] * 1j
        return [a]

    return Row(
        f"skew_from_vector {n} {field} {order}",
        lambda x: orthoref.skew_from_vector(x, field=field, order=order),
        lambda xs, dots: orthoref.skew_from_vector_jvp(*xs, *dots, field=field, order=order),
        lambda xs, bars: (orthoref.skew_from_vector_vjp(*xs, *bars, order=order),),
        draw, hp, lambda xs, dots: 2 * norm(dots[0]), 1, ("float32", "float64"),
    )  # fmt: skip


def vector_skew_row(n, order):
    import orthoref

    def draw(batch, dtype, seed):
        return (skew((*batch, n, n), dtype, seed),), (skew((*batch, n, n), dtype, seed + 1),)

    def hp(a):
        import flint

        pairs = [(i, j) for i in range(n) for j in range(i)]
        if order == "columns":
            pairs = sorted(pairs, key=lambda pair: pair[::-1])
        low = [a[i, j] for i, j in pairs]
        if all(z.imag == 0 for z in a.entries()) and n > 1:
            return [flint.acb_mat([low])]
        return [flint.acb_mat([[z.real for z in low] + [z.imag for z in low] + [a[j, j].imag for j in range(n)]])]

    return Row(
        f"vector_from_skew {n} {order}",
        lambda a: orthoref.vector_from_skew(a, order=order),
        lambda xs, dots: orthoref.vector_from_skew_jvp(*xs, *dots, order=order),
        lambda xs, bars: (orthoref.vector_from_skew_vjp(*xs, *bars, order=order),),
        draw, hp, lambda xs, dots: norm(dots[0]), 1,
    )  # fmt: skip


def signs(n):
    return np.where(np.arange(n) % 3 == 1, -1.0, 1.0)


def cayley_hp(a, c=1, d=None):
    import flint

    eye = eye_hp(a.nrows())
    q = (eye + a * flint.acb(c)).solve(eye - a * flint.acb(c))
    return q if d is None else q * lift(np.diag(d))


def cayley_row(name, n, *, diagonal=False, side="left", **options):
    import orthoref

    c = options.get("sign", 1) * options.get("factor", 1.0)

    def kind(a):
        return options | ({"diagonal": signs_like(a)} if diagonal else {})

    def draw(batch, dtype, seed):
        return (skew((*batch, n, n), dtype, seed),), (skew((*batch, n, n), dtype, seed + 1),)

    def size(xs, dots):
        return 2 * c**2 * norm(dots[0]) * (1 + abs(c) * norm(xs[0])) + 1

    return Row(
        f"cayley {name}",
        lambda a: orthoref.cayley(a, side=side, **kind(a)),
        lambda xs, dots: orthoref.cayley_jvp(*xs, *dots, **kind(xs[0])),
        lambda xs, bars: (orthoref.cayley_vjp(*xs, *bars, **kind(xs[0])),),
        draw, lambda a: [cayley_hp(a, c, signs(n) if diagonal else None)], size, n,
    )  # fmt: skip


def signs_like(a):
    """The signs in the library, dtype and device of a, by arithmetic with a itself."""
    import array_api_compat as compat

    xp = compat.array_namespace(a)
    return xp.asarray(signs(a.shape[-1]).tolist(), dtype=a.dtype, device=compat.device(a))


def inverse_cayley_row(name, n, *, diagonal=None, **options):
    import orthoref

    c = options.get("sign", 1) * options.get("factor", 1.0)

    def kind(q):
        return options | ({"diagonal": signs_like(q)} if diagonal else {})

    def draw(batch, dtype, seed):
        a = wide(skew((*batch, n, n), dtype, seed))
        q = np.linalg.solve(np.eye(n) + a, np.eye(n) - a) * (signs(n) if diagonal else 1)
        q = q.astype(dtype)
        return (q,), (tangent(q, seed + 1),)

    def hp(q):
        import flint

        q = orthonormal_hp(q) * lift(np.diag(signs(n) if diagonal else np.ones(n)))
        return [(eye_hp(n) + q).solve(eye_hp(n) - q) * (1 / flint.acb(c))]

    def size(xs, dots):
        loss = norm(np.linalg.inv(np.eye(n) + wide(xs[0]) * (signs(n) if diagonal else 1)))
        return 2 / abs(c) * loss**2 * (1 + 2 * loss) * (1 + norm(dots[0]))

    return Row(
        f"inverse_cayley {name}",
        lambda q: orthoref.inverse_cayley(q, **kind(q)).a,
        lambda xs, dots: orthoref.inverse_cayley_jvp(*xs, *dots, **kind(xs[0])),
        lambda xs, bars: (orthoref.inverse_cayley_vjp(*xs, *bars, **kind(xs[0])),),
        draw, hp, size, n,
    )  # fmt: skip


def rectangular_row(m, n):
    import orthoref

    def draw(batch, dtype, seed):
        return (gaussian((*batch, m, n), dtype, seed),), (gaussian((*batch, m, n), dtype, seed + 1),)

    def hp(x):
        import flint

        u = flint.acb_mat(n, n, [x[i, j] for i in range(n) for j in range(n)])
        v = flint.acb_mat(m - n, n, [x[i, j] for i in range(n, m) for j in range(n)])
        a, eye = u - adjoint_hp(u) + adjoint_hp(v) * v, eye_hp(n)
        above, below = (eye + a).solve(eye - a), v * (eye + a).inv() * -2
        return [flint.acb_mat(m, n, list(above.entries()) + list(below.entries()))]

    def size(xs, dots):
        x = norm(xs[0])
        return 2 * norm(dots[0]) * (1 + x) * (1 + 2 * x + x * x) + 1

    return Row(
        f"cayley_rectangular {m}x{n}", orthoref.cayley_rectangular,
        lambda xs, dots: orthoref.cayley_rectangular_jvp(*xs, *dots),
        lambda xs, bars: (orthoref.cayley_rectangular_vjp(*xs, *bars),),
        draw, hp, size, m,
    )  # fmt: skip


def neumann_row(n, terms, **options):
    import orthoref

    c = options.get("sign", 1) * options.get("factor", 1.0)

    def draw(batch, dtype, seed):
        return (skew((*batch, n, n), dtype, seed),), (skew((*batch, n, n), dtype, seed + 1),)

    def hp(a):
        import flint

        b, total, power = a * flint.acb(-c), eye_hp(n), eye_hp(n)
        for _ in range(terms - 1):
            power = power * b
            total = total + power
        return [total * (eye_hp(n) + b)]

    def size(xs, dots):
        return terms**2 * max(1, abs(c)) * (1 + abs(c) * norm(xs[0])) ** terms * (norm(dots[0]) + 1)

    return Row(
        f"cayley_neumann {n} {terms}", lambda a: orthoref.cayley_neumann(a, terms=terms, **options),
        lambda xs, dots: orthoref.cayley_neumann_jvp(*xs, *dots, terms=terms, **options),
        lambda xs, bars: (orthoref.cayley_neumann_vjp(*xs, *bars, terms=terms, **options),),
        draw, hp, size, n,
    )  # fmt: skip


def defect_hp(a, terms):
    q = eye_hp(a.nrows())
    power = eye_hp(a.nrows())
    for _ in range(terms - 1):
        power = -power * a
        q = q + power
    q = q * (eye_hp(a.nrows()) - a)
    return adjoint_hp(q) * q - eye_hp(a.nrows())


# --- exponential and logarithm ----------------------------------------------------------------------------------------


def exp_row(n):
    import orthoref

    def draw(batch, dtype, seed):
        return (skew((*batch, n, n), dtype, seed),), (skew((*batch, n, n), dtype, seed + 1),)

    return Row(
        f"skew_exp {n}", orthoref.skew_exp,
        lambda xs, dots: orthoref.skew_exp_jvp(*xs, *dots),
        lambda xs, bars: (orthoref.skew_exp_vjp(*xs, *bars),),
        draw, lambda a: [a.exp()], lambda xs, dots: (1 + norm(xs[0])) * norm(dots[0]) + 1, n,
    )  # fmt: skip


def root_hp(x):
    """Principal square root by the iteration of Denman and Beavers."""
    y, z = x, eye_hp(x.nrows())
    for _ in range(12):
        y, z = ((y + z.inv()) / 2).mid(), ((z + y.inv()) / 2).mid()
    return y


def log_hp(q):
    """Twenty square roots, then 2 artanh of what is left, |.|^60 < 2^-1000."""
    x = orthonormal_hp(q)
    for _ in range(20):
        x = root_hp(x)
    eye = eye_hp(x.nrows())
    y = ((x - eye) * (x + eye).inv()).mid()
    square, power, total = y * y, y, y
    for k in range(3, 60, 2):
        power = (power * square).mid()
        total = total + power / k
    return total * 2**21


def log_row(n):
    import orthoref

    def draw(batch, dtype, seed):
        q = orthoref.skew_exp(wide(skew((*batch, n, n), dtype, seed)) * 0.7).astype(dtype)
        return (q,), (tangent(q, seed + 1),)

    def size(xs, dots):
        w = np.angle(np.linalg.eigvals(wide(xs[0])))
        x = (w.max() - w.min()) / 2
        loss = 1 / np.sinc(x / np.pi)
        return loss**2 * (1 + norm(dots[0])) * n

    return Row(
        f"skew_log {n}", orthoref.skew_log,
        lambda xs, dots: orthoref.skew_log_jvp(*xs, *dots),
        lambda xs, bars: (orthoref.skew_log_vjp(*xs, *bars),),
        draw, lambda q: [log_hp(q)], size, n,
    )  # fmt: skip


# --- Givens -----------------------------------------------------------------------------------------------------------


def real_of(dtype):
    return {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)


def rotation_hp(n, i, j, theta, phase=None):
    import flint

    u = flint.acb(1) if phase is None else (phase * 1j).exp()
    g = eye_hp(n)
    g[i, i] = g[j, j] = theta.cos()
    g[i, j], g[j, i] = -u.conjugate() * theta.sin(), u * theta.sin()
    return g


def givens_hp(theta, n, phase=None, order="columns"):
    """The plain product of the rotations."""
    import orthoref

    q = eye_hp(n)
    for k, (i, j) in enumerate(orthoref.givens_pairs(n, order=order)):
        q = q * rotation_hp(n, i, j, theta[0, k], None if phase is None else phase[0, k])
    return q


def rotation_row(convention, complex_):
    import orthoref

    options = {"convention": convention}

    def draw(batch, dtype, seed):
        xs = tuple(np.asarray(gaussian((*batch,), dtype, seed + k)) for k in (0, 1))
        return xs, tuple(np.asarray(gaussian((*batch,), dtype, seed + k)) for k in (2, 3))

    def hp(a, b):
        import flint

        a, b = a[0, 0], b[0, 0]
        r = ((a * a.conjugate()).real + (b * b.conjugate()).real).sqrt()
        if complex_:
            r = r * a / (a * a.conjugate()).real.sqrt()
        elif convention == "rotg":
            r = r if (a if abs(a) > abs(b) else b).real > 0 else -r
        elif convention == "lartg":
            r = r if a.real > 0 else -r
        c = (a / r).real if complex_ else a / r
        s = b / r if not complex_ else b * r.conjugate() / (r * r.conjugate()).real
        if complex_:  # G = [[c, -s^*], [s, c]] has the first column (a, b)/r
            s = b / r
        return [flint.acb_mat([[z]]) for z in (c, s, r)]

    def size(xs, dots):
        h = (norm(xs[0]) ** 2 + norm(xs[1]) ** 2) ** 0.5
        least = norm(xs[0]) if complex_ else h
        return 4 * sum(map(norm, dots)) * (1 + 1 / h) * (1 + 1 / least)

    return Row(
        f"givens_rotation {convention}{' complex' if complex_ else ''}",
        lambda a, b: orthoref.givens_rotation(a, b, **options),
        lambda xs, dots: orthoref.givens_rotation_jvp(*xs, *dots, **options),
        lambda xs, bars: orthoref.givens_rotation_vjp(*xs, *bars, **options),
        draw, hp, size, 4, ("complex64", "complex128") if complex_ else ("float32", "float64"),
    )  # fmt: skip


def angles(batch, count, phases, dtype, seed):
    return tuple(gaussian((*batch, count), dtype, seed + 10 * k) for k in range(1 + phases))


def givens_row(n, order, phases):
    import orthoref

    name = order if isinstance(order, str) else "planes"
    count = len(orthoref.givens_pairs(n, order=order))

    def draw(batch, dtype, seed):
        return angles(batch, count, phases, dtype, seed), angles(batch, count, phases, dtype, seed + 1)

    def jvp(xs, dots):
        rest = (xs[1], dots[1]) if phases else ()
        return orthoref.givens_product_jvp(xs[0], n, dots[0], *rest, order=order)

    def vjp(xs, bars):
        out = orthoref.givens_product_vjp(xs[0], n, bars[0], *xs[1:], order=order)
        return (out.theta_bar, out.phase_bar) if phases else (out.theta_bar,)

    return Row(
        f"givens_product {n} {name}{' phases' if phases else ''}",
        lambda theta, *phase: orthoref.givens_product(theta, n, *phase, order=order),
        jvp, vjp, draw, lambda theta, phase=None: [givens_hp(theta, n, phase, order)],
        lambda xs, dots: 2 * count**0.5 * sum(map(norm, dots)) + 1, max(count, 1), ("float32", "float64"),
    )  # fmt: skip


def givens_matrix_row(phases):
    import orthoref

    def draw(batch, dtype, seed):
        xs, dots = (tuple(np.asarray(x[..., 0]) for x in angles(batch, 1, phases, dtype, k)) for k in (seed, seed + 1))
        return xs, dots

    def jvp(xs, dots):
        rest = (xs[1], dots[1]) if phases else ()
        return orthoref.givens_matrix_jvp(xs[0], 4, dots[0], *rest, i=1, j=3)

    def vjp(xs, bars):
        out = orthoref.givens_matrix_vjp(xs[0], 4, bars[0], *xs[1:], i=1, j=3)
        return (out.theta_bar, out.phase_bar) if phases else (out.theta_bar,)

    return Row(
        f"givens_matrix{' phase' if phases else ''}",
        lambda theta, *phase: orthoref.givens_matrix(theta, 4, *phase, i=1, j=3),
        jvp, vjp, draw,
        lambda theta, phase=None: [rotation_hp(4, 1, 3, theta[0, 0], None if phase is None else phase[0, 0])],
        lambda xs, dots: 4 * sum(map(norm, dots)) + 1, 2, ("float32", "float64"),
    )  # fmt: skip


def givens_apply_row(n, order, phases, side, adjoint):
    import orthoref

    count, c = len(orthoref.givens_pairs(n, order=order)), 2
    options = {"side": side, "adjoint": adjoint, "order": order}

    def draw(batch, dtype, seed):
        shape = (*batch, n, c) if side == "left" else (*batch, c, n)

        def one(k):
            theta, *phase = angles(batch, count, phases, real_of(dtype), k)
            return (theta, gaussian(shape, dtype, k + 5), *phase)

        return one(seed), one(seed + 1)

    def hp(theta, x, phase=None):
        q = givens_hp(theta, n, phase, order)
        q = adjoint_hp(q) if adjoint else q
        return [q * x if side == "left" else x * q]

    def jvp(xs, dots):
        rest = (xs[2], dots[2]) if phases else ()
        return orthoref.givens_apply_jvp(xs[0], xs[1], dots[0], dots[1], *rest, **options)

    def vjp(xs, bars):
        out = orthoref.givens_apply_vjp(xs[0], xs[1], bars[0], *xs[2:], **options)
        return (out.theta_bar, out.x_bar, out.phase_bar) if phases else (out.theta_bar, out.x_bar)

    return Row(
        f"givens_apply {n} {order} {side}{' adjoint' if adjoint else ''}{' phases' if phases else ''}",
        lambda *xs: orthoref.givens_apply(*xs, **options), jvp, vjp, draw, hp,
        lambda xs, dots: 2 * count**0.5 * (sum(map(norm, dots)) * norm(xs[1]) + norm(dots[1])), count,
        ("complex64", "complex128") if phases else ("float32", "float64", "complex64", "complex128"),
    )  # fmt: skip


def givens_factor_hp(q, order):
    """Elimination as the definition says, from the columns or from the rows."""
    import flint

    q = orthonormal_hp(q)
    n, real = q.nrows(), all(z.imag == 0 for z in q.entries())
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    if order == "rows":
        pairs = [(i, j) for j in range(n) for i in range(j)][::-1]
    thetas, phases = [], []
    for i, j in pairs:
        a, b = (q[i, i], q[j, i]) if order == "columns" else (q[j, j], q[j, i])
        if real:
            theta, phase = flint.acb(flint.arb.atan2(b.real, a.real)), None
        else:
            theta = flint.acb(flint.arb.atan2(abs(b), abs(a)))
            phase = flint.acb((b / a).arg())
        back = adjoint_hp(rotation_hp(n, i, j, theta, phase))
        q = back * q if order == "columns" else q * back
        thetas.append(theta)
        phases.append(phase)
    if order == "rows":
        thetas, phases = thetas[::-1], phases[::-1]
    diagonal = flint.acb_mat([[q[i, i] for i in range(n)]])
    angles_ = [flint.acb_mat([thetas]) if thetas else flint.acb_mat(1, 0)]
    if real and n > 1:
        return [*angles_, diagonal]
    return [*angles_, flint.acb_mat([phases]) if phases else flint.acb_mat(1, 0), diagonal]


def givens_factor_row(n, order):
    import orthoref

    def real(x):
        return tuple(y for y in x if y is not None)

    def draw(batch, dtype, seed):
        q = unitary(batch, n, n, dtype, seed)
        return (q,), (tangent(q, seed + 1),)

    def vjp(xs, bars):
        bars = bars if len(bars) == 3 else (bars[0], None, bars[1])
        return (orthoref.givens_factor_vjp(*xs, *bars, order=order),)

    def size(xs, dots):
        # what is divided by: the sides of every triangle, again in its derivative
        q = wide(xs[0])
        f = orthoref.givens_factor(q @ (3 * np.eye(n) - ct(q) @ q) / 2, order=order)
        loss, pairs = 1.0, orthoref.givens_pairs(n, order=order)
        group = {}
        for (i, j), t in zip(pairs, f.theta, strict=True):
            group.setdefault(i if order == "columns" else j, []).append(t)
        for ts in group.values():
            # the entries eliminated one after the other are products of sines and cosines
            length = (
                np.prod(abs(np.cos(ts))) if f.phase is not None else np.prod(np.sort(abs(np.cos(ts)))[: len(ts) - 1])
            )
            loss += 1 / length + (sum(1 / abs(np.sin(ts))) / length if f.phase is not None else 0)
        return loss**2 * (1 + norm(dots[0]))

    return Row(
        f"givens_factor {n} {order}", lambda q: real(orthoref.givens_factor(q, order=order)),
        lambda xs, dots: real(orthoref.givens_factor_jvp(*xs, *dots, order=order)),
        vjp, draw, lambda q: givens_factor_hp(q, order), size, n,
    )  # fmt: skip


def rows() -> list[Row]:
    return [
        product_row("4x4", 4, 4),
        product_row("5x3", 5, 3),
        product_row("3x5", 3, 5),
        product_row("5x3 columns backward", 5, 3, columns=2, order="backward"),
        product_row("1x1", 1, 1),
        product_row("5x3 below", 5, 3, below=True),
        product_row("5x3 tau", 5, 3, tau=True, below=True, columns=3),
        product_row("4x4 tau backward", 4, 4, tau=True, below=True, order="backward"),
        matrix_row(False),
        matrix_row(True),
        apply_row("left", "left", False, False),
        apply_row("left adjoint tau", "left", True, True),
        apply_row("right tau backward", "right", False, True, order="backward"),
        apply_row("right adjoint", "right", True, False),
        *[factor_row(*shape, diagonal) for shape in ((4, 4), (5, 2), (1, 1)) for diagonal in ("phase", "sign", "none")],
        skew_vector_row(4, "real", "rows"),
        skew_vector_row(3, "complex", "columns"),
        skew_vector_row(1, "complex", "rows"),
        vector_skew_row(4, "columns"),
        vector_skew_row(3, "rows"),
        cayley_row("4", 4),
        cayley_row("5 right", 5, side="right"),
        cayley_row("3 sign factor diagonal", 3, diagonal=True, sign=-1, factor=0.5),
        cayley_row("1", 1),
        inverse_cayley_row("4", 4),
        inverse_cayley_row("3 sign factor diagonal", 3, diagonal=True, sign=-1, factor=0.5),
        inverse_cayley_row("1", 1),
        rectangular_row(5, 2),
        rectangular_row(3, 3),
        *[rotation_row(convention, False) for convention in ("lartg", "rotg", "positive")],
        rotation_row("lartg", True),
        givens_matrix_row(False),
        givens_matrix_row(True),
        givens_row(4, "columns", False),
        givens_row(5, "rows", True),
        givens_row(5, "brickwall", False),
        givens_row(5, "round_robin", True),
        givens_row(4, "butterfly", True),
        givens_row(1, "columns", False),
        givens_row(3, ((0, 2), (0, 2), (1, 2)), True),
        givens_apply_row(4, "columns", False, "left", True),
        givens_apply_row(5, "brickwall", True, "right", False),
        givens_apply_row(4, "butterfly", True, "right", True),
        givens_factor_row(4, "columns"),
        givens_factor_row(3, "rows"),
        exp_row(4),
        exp_row(3),
        exp_row(1),
        log_row(4),
        log_row(3),
        log_row(1),
        neumann_row(3, 1),
        neumann_row(3, 4, sign=-1, factor=0.5),
    ]


ROWS = rows()
