"""polar_jvp against a 400-bit derivative, polar_jvp and polar_vjp by the identities that define them.

Limits: the formulas are evaluated with an SVD of A + D, |D| <= n eps |A|. U_dot changes with A by at most
3 kappa^2 |D||E| (kappa = 1/sigma_n, every factor 1/(s_i + s_j) <= kappa/2 is differentiated once) and H_dot by
3 kappa |D||E|; products with P, V and weights of relative error eps add a few n eps of the result. Hence

    |error of U_dot| <= 10 n eps (kappa |A|) kappa |E|        |error of H_dot| <= 10 n eps (kappa |A|) |E|.
"""

import numpy as np
import pytest
from backends import NUMPY, ct, draw, gaussian, norm
from exact import derivative_hp, exact_polar

import orthoref
from orthoref import OutsideDomain, polar, polar_jvp, polar_vjp

SHAPES = [(1, 1), (2, 2), (5, 5), (7, 4), (4, 7), (5, 1), (1, 4)]


def inner(x, y):
    return float(np.sum(np.conj(x).astype("complex128") * y).real)


def n_eps(a):
    return min(a.shape[-2:]) * float(np.finfo(a.dtype).eps)


def kappa(a):
    return 1 / float(np.linalg.svd(a.astype(np.result_type(a, np.float64)))[1][-1])


def limits(a, e):
    k = kappa(a)
    loss = 10 * n_eps(a) * k * norm(a)
    return loss * k * norm(e), loss * norm(e)


def order(shape, side):
    return shape[-1] if side == "right" else shape[-2]


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_against_400_bits(shape, dtype, side):
    pytest.importorskip("flint", reason="python-flint gives the reference")
    for cond in (1.0, 30.0, 1e3 if dtype in ("float32", "complex64") else 1e6):
        a, e = draw(shape, dtype, cond=cond, seed=1), gaussian(shape, dtype, 2)
        truth = derivative_hp(a, e, side)
        got = polar_jvp(a, e, side=side)
        for x, y, limit in zip(got, truth, limits(a, e), strict=True):
            assert norm(x - y) <= limit, cond


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_gauge_and_product_rule(shape, dtype, side):
    """U^H U_dot is skew, H_dot Hermitian, A_dot = U_dot H + U H_dot: rounding only, relative to |U_dot|, |A_dot|.

    U and H carry n eps, the derivatives `limits`; the product rule multiplies the error of U_dot by |H| <= |A|.
    """
    a, e = draw(shape, dtype, cond=30.0, seed=10), gaussian(shape, dtype, 11)
    u, h = polar(a, side=side)
    u_dot, h_dot = polar_jvp(a, e, side=side)
    u_limit, h_limit = limits(a, e)
    g = ct(u) @ u_dot if shape[0] >= shape[1] else u_dot @ ct(u)
    assert norm(g + ct(g)) <= 2 * u_limit
    product = u_dot @ h + u @ h_dot if side == "right" else h @ u_dot + h_dot @ u
    assert norm(product - e) <= u_limit * norm(a) + h_limit * 2
    np.testing.assert_array_equal(h_dot, ct(h_dot))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_along_a_itself(shape, dtype, side):
    """U is homogeneous of degree 0 and H of degree 1."""
    a = draw(shape, dtype, cond=30.0, seed=12)
    u_dot, h_dot = polar_jvp(a, a, side=side)
    u_limit, h_limit = limits(a, a)
    assert norm(u_dot) <= u_limit and norm(h_dot - polar(a, side=side).h) <= h_limit


@pytest.mark.parametrize("n", [1, 3, 6])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_at_the_identity(n, dtype):
    """All singular values are equal: U_dot = skew(E), H_dot = sym(E)."""
    e = gaussian((n, n), dtype, 13)
    u_dot, h_dot = polar_jvp(np.eye(n, dtype=dtype), e)
    limit = 10 * n_eps(e) * norm(e)
    assert norm(u_dot - (e - ct(e)) / 2) <= limit and norm(h_dot - (e + ct(e)) / 2) <= limit


@pytest.mark.parametrize("shape", [(8, 8), (9, 4)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_repeated_singular_values(shape, dtype):
    """Exactly repeated and dyadic: (DH) by the Sylvester equation H H_dot + H_dot H = A^H E + E^H A, exact data."""
    m, n = shape
    x = exact_polar(m, n, [1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25][:n], dtype, seed=14)
    e = gaussian(shape, dtype, 15)
    u_dot, h_dot = polar_jvp(x.a, e)
    u_limit, h_limit = limits(x.a, e)
    right_side = ct(x.a) @ e + ct(e) @ x.a
    assert norm(x.h @ h_dot + h_dot @ x.h - right_side) <= 2 * norm(x.h) * h_limit
    assert norm(u_dot @ x.h + x.u @ h_dot - e) <= norm(x.h) * u_limit + h_limit * n**0.5


@pytest.mark.parametrize(
    "s", [[3.0, 2.0, 0.0], [3.0, 2.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.0], [2.0, 0.0]]
)
def test_one_zero_singular_value(s):
    """U of a real square matrix stays differentiable: Omega = U^T U_dot is the skew solution of
    H Omega + Omega H = U^T E - E^T U, unique while s_n + s_{n-1} > 0. U is the one of the SVD.
    """
    n = len(s)
    x = exact_polar(n, n, s, seed=16)
    e = gaussian((n, n), "float64", 17)
    u = polar(x.a, method="svd").u
    u_dot = polar_jvp(x.a, e, factor="u").u_dot
    omega = u.T @ u_dot
    # as `limits`, with 2/(s_n + s_{n-1}) in the place of kappa; the Sylvester operator multiplies by 2 |H|
    k = 2 / (s[-1] + s[-2])
    limit = 10 * n_eps(x.a) * (k * norm(x.a)) * k * norm(e)
    assert norm(omega + omega.T) <= limit
    assert norm(x.h @ omega + omega @ x.h - (u.T @ e - e.T @ u)) <= 2 * norm(x.h) * limit
    # and the adjoint there: DU is its own
    u_bar = gaussian((n, n), "float64", 18)
    assert abs(inner(u_dot, u_bar) - inner(e, polar_vjp(x.a, u_bar))) <= limit * norm(u_bar)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [(5, 5), (6, 3), (3, 6)])
@pytest.mark.parametrize(("j", "k"), [(0, 900), (0, -900), (-700, -1000), (1000, 1000), (1000, 100), (-1000, -1000)])
def test_powers_of_two(shape, dtype, j, k):
    """E 2^j, A 2^k: U_dot times 2^(j-k), H_dot times 2^j, to the last bit."""
    a, e, u_bar = draw(shape, dtype, cond=10.0), gaussian(shape, dtype, 1), gaussian(shape, dtype, 2)
    u_dot, h_dot = polar_jvp(a, e)
    scaled = polar_jvp(a * 2.0**k, e * 2.0**j)
    np.testing.assert_array_equal(scaled.u_dot, u_dot * 2.0 ** (j - k))
    np.testing.assert_array_equal(scaled.h_dot, h_dot * 2.0**j)
    pulled = polar_vjp(a * 2.0**k, u_bar * 2.0**j)
    np.testing.assert_array_equal(pulled, polar_vjp(a, u_bar) * 2.0 ** (j - k))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("shape", [(5, 5), (6, 3), (3, 6)])
def test_one_factor_alone(shape, side):
    a, e = draw(shape), gaussian(shape, "float64", 1)
    both, u, h = (polar_jvp(a, e, side=side, factor=factor) for factor in ("both", "u", "h"))
    assert isinstance(both, orthoref.PolarTangent) and both._fields == ("u_dot", "h_dot")
    assert u.h_dot is None and h.u_dot is None
    np.testing.assert_array_equal(u.u_dot, both.u_dot)
    np.testing.assert_array_equal(h.h_dot, both.h_dot)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("shape", [(5, 5), (6, 3), (3, 6)])
def test_cotangents_add_up(shape, side):
    a, u_bar = draw(shape, cond=10.0), gaussian(shape, "float64", 1)
    h_bar = gaussian((order(shape, side),) * 2, "float64", 2)
    both = polar_vjp(a, u_bar, h_bar, side=side)
    parts = polar_vjp(a, u_bar, None, side=side), polar_vjp(a, None, h_bar, side=side)
    # one rounded addition
    assert norm(both - parts[0] - parts[1]) <= 2 * n_eps(a) * (norm(parts[0]) + norm(parts[1]))
    skew = h_bar - h_bar.T  # H_dot is Hermitian: skew cotangents vanish
    assert norm(polar_vjp(a, None, skew, side=side)) <= 10 * n_eps(a) * norm(skew)


def test_empty_single_factor():
    a = np.zeros((0, 3))
    assert not np.any(polar_jvp(a, a).h_dot)
    assert polar_jvp(a, a, factor="u").h_dot is None and polar_jvp(a, a, factor="h").u_dot is None


# --- where there is no derivative -------------------------------------------------------------------------------

NO_DERIVATIVE = [
    pytest.param(np.diag([3.0, 2.0, 0.0]), "both", "polar factors are not differentiable", id="h"),
    pytest.param(np.diag([3.0, 2.0, 0.0]), "h", "polar factors are not differentiable", id="h alone"),
    pytest.param(np.diag([3.0, 0.0, 0.0]), "u", "u is not differentiable", id="u, two zeros"),
    pytest.param(np.diag([3.0, 2.0, 0.0]) + 0j, "u", "not differentiable", id="u, complex"),
    pytest.param(np.diag([3.0, 2.0, 0.0])[:, [0, 2]], "u", "not differentiable", id="u, tall"),
    pytest.param(np.diag([3.0, 2.0, 0.0])[[0, 2]], "u", "not differentiable", id="u, wide"),
    pytest.param(np.zeros((1, 1)), "h", "not differentiable", id="absolute value at 0"),
]


@pytest.mark.parametrize(("a", "factor", "message"), NO_DERIVATIVE)
def test_outside_domain(a, factor, message):
    sigma = r"sigma_min = 0, " if a.shape == (1, 1) else r"sigma_min = 0, sigma_\{n-1\} = [023], sigma_max = 3"
    stack = np.stack([np.eye(*a.shape), a])
    with pytest.raises(OutsideDomain, match=rf"{message}: {sigma}.*batch index \(1,\)"):
        polar_jvp(stack, stack, factor=factor)
    u_bar, h_bar = stack, np.zeros((2, *(a.shape[-1],) * 2), a.dtype)
    with pytest.raises(OutsideDomain, match=rf"{message}: {sigma}.*batch index \(1,\)"):
        polar_vjp(stack, u_bar if factor != "h" else None, h_bar if factor != "u" else None)


@pytest.mark.parametrize("factor", ["both", "u", "h"])
def test_below_working_precision(factor):
    """1e-17 is nothing beside 1; the tolerance is max(m, n) eps sigma_max."""
    with pytest.raises(OutsideDomain, match="sigma_min = 1e-17"):
        polar_jvp(np.diag([1.0, 1e-17, 1e-17]), np.eye(3), factor=factor)


def test_message_keeps_the_scale():
    with pytest.raises(OutsideDomain, match=r"sigma_min = 0, sigma_\{n-1\} = 2e-200, sigma_max = 3e-200"):
        polar_jvp(np.diag([2e-200, 3e-200, 0.0]), np.eye(3))


# --- what is refused --------------------------------------------------------------------------------------------


def test_shape_of_h_bar_depends_on_the_side():
    a = draw((5, 3))
    for side, other in (("right", 5), ("left", 3)):
        with pytest.raises(ValueError, match=r"^h_bar has shape"):
            polar_vjp(a, None, np.eye(other), side=side)


@pytest.mark.parametrize("options", [{"factor": "x"}, {"factor": None}])
def test_wrong_option(options):
    with pytest.raises(ValueError, match="is not one of"):
        polar_jvp(np.eye(2), np.eye(2), **options)


def test_nothing_to_pull_back():
    with pytest.raises(ValueError, match="both None"):
        polar_vjp(np.eye(2), None)
