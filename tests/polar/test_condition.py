"""polar_condition against the 2-norm of a Jacobian, and against 400-bit quotients along the worst direction."""

import numpy as np
import pytest
from backends import JAX_LATE, NUMPY, ct, draw, norm
from exact import derivative_hp, exact_polar

from orthoref import polar_condition, polar_jvp

SHAPES = [(1, 1), (2, 2), (4, 4), (4, 2), (2, 4), (3, 1), (1, 3)]


def jacobian(a, factor, side):
    """Columns: the derivative along each real unit direction, real and imaginary parts stacked."""
    units = (1.0, 1j) if np.iscomplexobj(a) else (1.0,)
    basis = np.stack([unit * e for e in np.eye(a.size, dtype=a.dtype).reshape(-1, *a.shape) for unit in units])
    tangent = polar_jvp(np.broadcast_to(a, basis.shape), basis, side=side, factor=factor)
    rows = (tangent.u_dot if factor == "u" else tangent.h_dot).reshape(len(basis), -1)
    return np.concat([rows.real, rows.imag], -1).T


@pytest.mark.parametrize("factor", ["u", "h"])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_is_the_norm_of_the_jacobian(shape, dtype, side, factor):
    for cond in (1.0, 3.0, 1e3):
        a = draw(shape, dtype, cond=cond, seed=1)
        sup = np.linalg.norm(jacobian(a, factor, side), 2)
        kappa = float(polar_condition(a, factor=factor, side=side))
        # columns carry 10 n eps (kappa_U |A|) each (test_derivatives), min(shape) of them at full size; so does kappa
        k = 1 / np.linalg.svd(a)[1][-1]
        limit = 20 * a.size * np.finfo(dtype).eps * k * norm(a) * (k if factor == "u" else 1)
        assert abs(sup - kappa) <= limit, cond


def worst_direction(x, factor, side, rng):
    """E of norm 1 at A = U Q diag(s) Q^H that attains the supremum; singular vectors P = U Q and Q are exact."""
    m, n = x.a.shape
    p, q, s = x.u @ x.q, x.q, x.s
    outside = rng.standard_normal(m)
    outside = outside - p @ (ct(p) @ outside)
    if factor == "u":
        if m > n:
            e = np.outer(outside, q[:, -1].conj())
        elif np.iscomplexobj(x.a):
            e = 1j * np.outer(p[:, -1], q[:, -1].conj())
        else:
            e = np.outer(p[:, -2], q[:, -1]) - np.outer(p[:, -1], q[:, -2])
    elif m > n and side == "left":
        e = np.outer(outside, q[:, 0].conj())
    else:
        e = s[0] * np.outer(p[:, 0], q[:, -1].conj()) + s[-1] * np.outer(p[:, -1], q[:, 0].conj())
        if side == "left":
            e = s[-1] * np.outer(p[:, 0], q[:, -1].conj()) + s[0] * np.outer(p[:, -1], q[:, 0].conj())
    return e / norm(e)


@pytest.mark.parametrize("factor", ["u", "h"])
@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("shape", [(4, 4), (6, 4)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("wide", [False, True])
def test_is_attained(shape, dtype, side, factor, wide):
    """The quotient |DX(A)E|/|E| in 400 bits for the worst E: kappa up to the rounding of E, sigma and |.|."""
    pytest.importorskip("flint", reason="python-flint gives the reference")
    x = exact_polar(*shape, [2.0, 1.0, 0.25, 2.0**-5], dtype, seed=3)
    e = worst_direction(x, factor, side, np.random.default_rng(0))
    attained = norm(derivative_hp(x.a, e, side)[factor == "h"])
    if wide:
        kappa = polar_condition(ct(x.a), factor=factor, side={"right": "left", "left": "right"}[side])
    else:
        kappa = polar_condition(x.a, factor=factor, side=side)
    # sigma_n is found to n eps |A|: relatively 4 eps |A|/2^-5; E is rounded to a few eps, times kappa |E| <= 2^5
    limit = 4 * np.finfo(dtype).eps * norm(x.a) * 2**5 * 2
    assert abs(attained / float(kappa) - 1) <= limit


@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_known_values(dtype):
    """On diagonal matrices LAPACK's singular values are exact, so only the formula rounds: 4 operations."""
    eps = float(np.finfo(dtype).eps)
    a = np.diag([3.0, 1.0, 0.5]).astype(dtype)
    u = 2 / 1.5 if a.dtype.kind == "f" else 2
    r = 0.5 / 3
    for x, side, expected_u, expected_h in (
        (a, "right", u, (2 * (1 + r * r)) ** 0.5 / (1 + r)),
        (a[:, :2], "right", 1, (2 * (1 + 1 / 9)) ** 0.5 / (4 / 3)),
        (a[:, :2], "left", 1, 2**0.5),
        (a[:2], "left", 1, (2 * (1 + 1 / 9)) ** 0.5 / (4 / 3)),
        (a[:2], "right", 1, 2**0.5),
    ):
        assert abs(float(polar_condition(x, factor="u", side=side)) / expected_u - 1) <= 4 * eps
        assert abs(float(polar_condition(x, factor="h", side=side)) / expected_h - 1) <= 4 * eps


def test_real_number():
    assert polar_condition(np.asarray([[[-3.0]], [[2.0]]])).tolist() == [0.0, 0.0]
    assert polar_condition(np.asarray([[-3.0]]), factor="h") == 1


def test_complex_number():
    assert abs(float(polar_condition(np.asarray([[3 - 4j]]))) - 0.2) <= 4 * np.finfo(float).eps * 0.2


@pytest.mark.parametrize(
    ("a", "expected"),
    [
        (np.diag([2.0, 1.0, 0.0]), 2.0),  # still differentiable
        (np.diag([2.0, 0.0, 0.0]), np.inf),
        (np.diag([2.0, 1.0, 0.0]) + 0j, np.inf),
        (np.diag([2.0, 1.0, 0.0])[:, [0, 2]], np.inf),
        (np.diag([2.0, 1.0, 0.0])[[0, 2]], np.inf),
        (np.zeros((2, 2)), np.inf),
        (np.zeros((1, 1), complex), np.inf),
    ],
)
def test_singular(a, expected):
    assert polar_condition(np.stack([a, a])).tolist() == [expected, expected]


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [(8, 8), (9, 5)])
def test_hidden_singularity(shape, dtype):
    """Rank n-2 behind dyadic rotations, exactly: two singular values of order n eps are computed instead of zero."""
    n = shape[1]
    x = exact_polar(*shape, [1.0] * (n - 2) + [0.0, 0.0], dtype, seed=1)
    assert polar_condition(x.a) >= 1 / (n * np.finfo(x.a.dtype).eps)


@pytest.mark.parametrize("k", [-1000, -600, 1000])
@pytest.mark.parametrize("shape", [(4, 4), (6, 3)])
def test_powers_of_two(shape, k):
    a = draw(shape, cond=10.0)
    assert polar_condition(a * 2.0**k) == polar_condition(a) * 2.0**-k
    assert polar_condition(a * 2.0**k, factor="h") == polar_condition(a, factor="h")


def test_extremes():
    assert polar_condition(np.eye(3) * 2.0**-1060) == np.inf  # 2^1060 is beyond the largest number
    assert polar_condition(np.eye(3) * 2.0**1023) == 2.0**-1023
    assert polar_condition(np.eye(3) * 2.0**-1060, factor="h") == 1
    assert polar_condition(np.eye(2, dtype="float32") * np.float32(2.0**-126)) == 2.0**126


@JAX_LATE
@pytest.mark.parametrize("factor", ["u", "h"])
def test_kind_of_array(backend, factor):
    for dtype in backend.dtypes[:: 3 if backend.name == "jax" else 1]:
        a = backend.asarray(draw((2, 3, 4, 2), dtype))
        kappa = polar_condition(a, factor=factor)
        assert type(kappa) is type(a) and kappa.device == a.device and tuple(kappa.shape) == (2, 3)
        assert backend.to_numpy(kappa).dtype == np.empty(0, dtype).real.dtype


@pytest.mark.parametrize("shape", [(0, 3, 3), (4, 0), (2, 0, 3)])
def test_empty(shape):
    assert polar_condition(np.zeros(shape)).shape == shape[:-2]


@pytest.mark.parametrize("options", [{"factor": "both"}, {"side": "up"}])
def test_wrong_option(options):
    with pytest.raises(ValueError, match="is not one of"):
        polar_condition(np.eye(2), **options)
