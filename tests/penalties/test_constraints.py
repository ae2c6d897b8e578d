"""Bounded singular values and orthonormal rows: values and derivatives against 400 bits, adjoints, domains."""

import numpy as np
import pytest
from backends import BACKENDS, NUMPY, ct, draw, gaussian, late, norm
from constructor_rows import derivative_hp, value_hp
from exact import adjoint_hp, dyadic_unitary, polar_hp

from orthoref import OutsideDomain, penalties, polar, polar_jvp

DTYPES = ("float32", "float64", "complex64", "complex128")
SHAPES = [(5, 3), (3, 5), (4, 4)]
over_dtypes = pytest.mark.parametrize("dtype", DTYPES)
over_shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def inner(x, y):
    return float(np.sum(np.conj(x).astype("complex128") * y).real)


def unit(dtype, n):
    return 10 * max(n, 8) * float(np.finfo(dtype).eps)


def bounded_hp(w, lower, upper):
    """W h(W^H W) with h(t) = clip(root t)/root t, by eigenvectors."""
    import flint

    if w.nrows() < w.ncols():
        return adjoint_hp(bounded_hp(adjoint_hp(w), lower, upper))
    values, vectors = (adjoint_hp(w) * w).eig(right=True)
    n, scaled = w.ncols(), []
    for value in values:
        s = value.real.sqrt()
        bound = min(max(s, flint.arb(lower), key=float), flint.arb(upper), key=float)
        scaled.append(bound / s)
    d = flint.acb_mat(n, n, [scaled[i] if i == j else 0 for i in range(n) for j in range(n)])
    return w * vectors * d * vectors.inv()


def centred_hp(w, gram):
    import flint

    m, n = w.nrows(), w.ncols()
    k = n if gram == "rows" else m
    p = flint.acb_mat(k, k, [flint.acb(int(i == j)) - flint.acb(1) / k for i in range(k) for j in range(k)])
    return w * p if gram == "rows" else p * w


S = np.array([2.5, 1.5, 0.75, 0.25])  # singular values on both sides of [1/2, 2]


def spread(shape, dtype, seed):
    k = min(shape)
    p, _, vh = np.linalg.svd(
        gaussian(shape, "complex128" if dtype.startswith("c") else "float64", seed), full_matrices=False
    )
    return ((p * S[:k]) @ vh).astype(dtype)


@over_dtypes
@over_shapes
def test_bounding_against_400_bits(shape, dtype):
    pytest.importorskip("flint", reason="python-flint gives the reference")
    w, v = spread(shape, dtype, 1), gaussian(shape, dtype, 2)
    bounds = {"lower": 0.5, "upper": 2.0}
    got = penalties.singular_value_bounding(w, **bounds)
    moved = penalties.singular_value_bounding_jvp(w, v, **bounds)
    assert got.dtype == moved.dtype == w.dtype
    hp = lambda a: [bounded_hp(a, 0.5, 2)]  # noqa: E731
    # Lipschitz constants: 1 where nothing is raised, lower/s_min else; of the derivative 1/s_min more, and 1/gap
    assert norm(got - value_hp(hp, (w,))[0]) <= unit(dtype, 4) * 2 * norm(w)
    assert norm(moved - derivative_hp(hp, (w,), (v,))[0]) <= unit(dtype, 4) * 2 * norm(w) * norm(v) / 0.25


@over_dtypes
@over_shapes
def test_bounding_is_the_projection(shape, dtype):
    w = spread(shape, dtype, 3)
    x = penalties.singular_value_bounding(w, lower=0.5, upper=2.0)
    s = np.linalg.svd(x, compute_uv=False)
    assert np.all((s >= 0.5 - unit(dtype, 4)) & (s <= 2 + 2 * unit(dtype, 4)))
    far = norm(np.clip(S[: min(shape)], 0.5, 2) - S[: min(shape)])
    assert abs(norm(w - x) - far) <= unit(dtype, 4) * norm(w)  # no matrix in the band is nearer: Mirsky
    again = penalties.singular_value_bounding(x, lower=0.5, upper=2.0)
    assert norm(again - x) <= unit(dtype, 4) * norm(w)
    wide_band = penalties.singular_value_bounding(w, lower=0.0, upper=10.0)
    assert norm(wide_band - w) <= unit(dtype, 4) * norm(w)
    one = penalties.singular_value_bounding(w, lower=1.0, upper=1.0)
    assert norm(one - polar(w).u) <= unit(dtype, 4) * norm(w) / 0.25


@over_dtypes
@over_shapes
def test_derivatives_of_bounding(shape, dtype):
    w, v, y = spread(shape, dtype, 4), gaussian(shape, dtype, 5), gaussian(shape, dtype, 6)
    limit = unit(dtype, 4) * norm(v) * norm(y) * 8
    bounds = {"lower": 0.5, "upper": 2.0}
    pushed = penalties.singular_value_bounding_jvp(w, v, **bounds)
    pulled = penalties.singular_value_bounding_vjp(w, y, **bounds)
    assert abs(inner(y, pushed) - inner(pulled, v)) <= limit
    inside = penalties.singular_value_bounding_jvp(w, v, lower=0.0, upper=10.0)
    assert norm(inside - v) <= unit(dtype, 4) * norm(v) * 8
    one = penalties.singular_value_bounding_jvp(w, v, lower=1.0, upper=1.0 + 1e-3)
    u_dot = polar_jvp(w, v).u_dot
    assert norm(one - u_dot) <= 0.01 * norm(u_dot)  # of width 1e-3: not a rounding, a check of the limit


def test_bounding_repeated_singular_values():
    """Equal ones on one side of a bound: no difference is divided by; a spectral function of multiples of frames."""
    q, v = dyadic_unitary(4, "float64", 7), gaussian((4, 4), "float64", 8)
    high = penalties.singular_value_bounding_jvp(3 * q, v, lower=0.5, upper=2.0)
    assert norm(high - polar_jvp(3 * q, v).u_dot * 2) <= unit("float64", 4) * norm(v)
    mid = penalties.singular_value_bounding_jvp(q, v, lower=0.5, upper=2.0)
    assert norm(mid - v) <= unit("float64", 4) * norm(v)


def test_domain_of_bounding():
    w = np.diag([1.0, 2.0])
    with pytest.raises(OutsideDomain, match=r"at a bound, batch index \(1,\)"):
        penalties.singular_value_bounding_jvp(np.stack([w / 3, w]), np.stack([w, w]), lower=0.1, upper=2.0)
    zero = np.diag([1.0, 0.0])
    with pytest.raises(OutsideDomain, match="sigma_min = 0"):
        penalties.singular_value_bounding_jvp(zero, w, lower=0.1, upper=2.0)
    got = penalties.singular_value_bounding_jvp(zero, w, lower=0.0, upper=0.5)  # the ball is convex: no matter
    assert norm(got - np.diag([0.0, 2.0])) <= unit("float64", 2)
    completed = penalties.singular_value_bounding(zero, lower=0.5, upper=2.0)
    assert norm(np.linalg.svd(completed, compute_uv=False) - np.array([1, 0.5])) <= unit("float64", 2)
    for lower, upper in ((-1, 1), (2, 1), (0, np.inf), (True, 2), (np.nan, 1)):
        with pytest.raises(ValueError, match="bounds are numbers"):
            penalties.singular_value_bounding(w, lower=lower, upper=upper)


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_bounding_at_the_ends_of_the_format(size):
    w = size * np.diag([1.0, 0.5])
    got = penalties.singular_value_bounding(w, lower=0.5, upper=2.0)
    assert norm(got - (np.diag([2.0, 2.0]) if size > 1 else np.diag([0.5, 0.5]))) <= unit("float64", 2)
    scaled = penalties.singular_value_bounding(w, lower=0.6 * size, upper=2.0 * size)
    assert norm(scaled / size - np.diag([1.0, 0.6])) <= unit("float64", 2)
    v = np.array([[0.0, 1.0], [0.0, 0.0]])
    moved = penalties.singular_value_bounding_jvp(w, v, lower=0.6 * size, upper=2.0 * size)
    other = penalties.singular_value_bounding_jvp(w / size, v, lower=0.6, upper=2.0)
    assert norm(moved - other) <= unit("float64", 2)


@over_dtypes
@pytest.mark.parametrize("shape", [(3, 5), (4, 4), (5, 3)], ids=str)
@pytest.mark.parametrize("center", [True, False])
def test_normalisation_against_400_bits(shape, dtype, center):
    pytest.importorskip("flint", reason="python-flint gives the reference")
    gram = "rows" if shape[0] < shape[1] else "columns"
    if shape[0] == shape[1] and center:
        pytest.skip("4 columns of length 4 are not orthogonal to the ones")
    w, v, y = gaussian(shape, dtype, 9), gaussian(shape, dtype, 10), gaussian(shape, dtype, 11)
    hp = lambda a: [polar_hp(centred_hp(a, gram) if center else a)[0]]  # noqa: E731
    o = {"gram": gram, "center": center}
    axis = 1 if gram == "rows" else 0
    c = w - w.mean(axis, keepdims=True) if center else w
    least = np.linalg.svd(c, compute_uv=False)[-1]
    got, moved = (
        penalties.orthogonal_weight_normalization(w, **o),
        penalties.orthogonal_weight_normalization_jvp(w, v, **o),
    )
    assert norm(got - value_hp(hp, (w,))[0]) <= unit(dtype, 5) * norm(w) / least
    truth = derivative_hp(hp, (w,), (v,))[0]
    assert norm(moved - truth) <= unit(dtype, 5) * norm(w) * norm(v) / least**2
    pulled = penalties.orthogonal_weight_normalization_vjp(w, y, **o)
    assert abs(inner(y, truth) - inner(pulled, v)) <= unit(dtype, 5) * norm(w) * norm(v) * norm(y) / least**2
    gram_of_it = got @ ct(got) if gram == "rows" else ct(got) @ got
    assert norm(gram_of_it - np.eye(min(shape))) <= unit(dtype, 5)
    if center:
        assert norm(got.mean(axis)) <= unit(dtype, 5) / least * norm(w)
        assert norm(pulled.mean(axis)) <= unit(dtype, 5) * norm(pulled)


@over_dtypes
@over_shapes
def test_lowdin(shape, dtype):
    """Named function, same numbers as the polar factor; the definition W (W^H W)^(-1/2) by eigenvectors."""
    w, v, y = gaussian(shape, dtype, 12), gaussian(shape, dtype, 13), gaussian(shape, dtype, 14)
    x = w if shape[0] >= shape[1] else ct(w)
    values, q = np.linalg.eigh(ct(x) @ x)
    definition = x @ (q / np.sqrt(values)) @ ct(q)
    definition = definition if shape[0] >= shape[1] else ct(definition)
    assert norm(penalties.lowdin(w) - definition) <= unit(dtype, 5) * values[-1] / values[0]
    pushed, pulled = penalties.lowdin_jvp(w, v), penalties.lowdin_vjp(w, y)
    assert abs(inner(y, pushed) - inner(pulled, v)) <= unit(dtype, 5) * norm(v) * norm(y) * values[-1] / values[0]
    gram = "rows" if shape[0] < shape[1] else "columns"
    normalized = penalties.orthogonal_weight_normalization(w, gram=gram, center=False)
    assert norm(penalties.lowdin(w) - normalized) <= unit(dtype, 5) * values[-1] / values[0]
    with pytest.raises(OutsideDomain, match="rank deficient"):
        penalties.lowdin(0 * w)


def test_normalisation_refuses():
    with pytest.raises(ValueError, match="4 rows of length 4 cannot be made orthonormal and orthogonal to the ones"):
        penalties.orthogonal_weight_normalization(np.eye(4), gram="rows")
    with pytest.raises(ValueError, match="5 columns of length 4"):
        penalties.orthogonal_weight_normalization(np.ones((4, 5)), gram="columns", center=False)
    with pytest.raises(OutsideDomain, match="rank deficient"):
        penalties.orthogonal_weight_normalization(np.ones((2, 5)), gram="rows")
    with pytest.raises(ValueError, match="gram='smaller'"):
        penalties.orthogonal_weight_normalization(np.eye(3, 5), gram="smaller")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_margin(dtype):
    """Against rational functions of exp in 400 bits; the derivative keeps its relative accuracy far out."""
    flint = pytest.importorskip("flint", reason="python-flint gives the reference")
    p = np.array([-80.0, -3.0, -1e-3, 0.0, 0.5, 20.0, 85.0], dtype)
    s, one = penalties.spectral_margin(p, margin=0.25), np.ones_like(p)
    slope = penalties.spectral_margin_jvp(p, one, margin=0.25)
    eps = float(np.finfo(dtype).eps)
    with flint.ctx.workprec(400):
        for got, of, at in zip(s, slope, p, strict=True):
            sigmoid = 1 / (1 + (-flint.arb(float(at))).exp())
            assert abs(float(got) - float(2 * flint.arb(0.25) * (sigmoid - 0.5) + 1)) <= 4 * eps
            truth = float(flint.arb(0.5) * sigmoid * (1 - sigmoid))
            assert abs(float(of) - truth) <= 16 * eps * truth
    assert np.all((s >= 0.75) & (s <= 1.25)) and s[3] == 1
    assert np.array_equal(penalties.spectral_margin_vjp(p, one, margin=0.25), slope)
    assert np.array_equal(penalties.spectral_margin(p, margin=0), one)
    assert penalties.spectral_margin(np.asarray(0.0), margin=1).shape == ()
    for margin in (-0.1, 1.5, np.nan, True):
        with pytest.raises(ValueError, match="between 0 and 1"):
            penalties.spectral_margin(p, margin=margin)
    with pytest.raises(TypeError, match="p must be real"):
        penalties.spectral_margin(p + 0j, margin=0.5)
    with pytest.raises(ValueError, match="p_dot has shape"):
        penalties.spectral_margin_jvp(p, one[1:], margin=0.5)


CALLS = {
    "bounding": lambda w, v: penalties.singular_value_bounding(w, lower=0.5, upper=2.0),
    "bounding_jvp": lambda w, v: penalties.singular_value_bounding_jvp(w, v, lower=0.5, upper=2.0),
    "bounding_vjp": lambda w, v: penalties.singular_value_bounding_vjp(w, v, lower=0.5, upper=2.0),
    "normalization": lambda w, v: penalties.orthogonal_weight_normalization(w, gram="columns"),
    "normalization_jvp": lambda w, v: penalties.orthogonal_weight_normalization_jvp(w, v, gram="columns"),
    "normalization_vjp": lambda w, v: penalties.orthogonal_weight_normalization_vjp(w, v, gram="columns"),
    "lowdin": lambda w, v: penalties.lowdin(w),
    "lowdin_jvp": penalties.lowdin_jvp,
    "lowdin_vjp": penalties.lowdin_vjp,
}


@pytest.mark.parametrize("backend", [late(backend) for backend in BACKENDS if backend is not NUMPY], indirect=True)
@pytest.mark.parametrize("name", CALLS)
def test_other_libraries_and_stacks(name, backend):
    for dtype in (d for d in ("float32", "complex128") if d in backend.dtypes):
        w, v = draw((2, 5, 3), dtype, cond=5.0, seed=3), gaussian((2, 5, 3), dtype, 4)
        call = CALLS[name]
        got = call(backend.asarray(w), backend.asarray(v))
        assert type(got) is type(backend.asarray(w))
        got, one = backend.to_numpy(got), np.stack([call(w[i], v[i]) for i in range(2)])
        assert got.dtype == one.dtype and norm(got - one) <= unit(dtype, 5) * norm(v) * 64
    if name == "lowdin":
        p = backend.asarray(np.zeros((2, 3), "float32"))
        assert backend.to_numpy(penalties.spectral_margin(p, margin=0.5)).tolist() == np.ones((2, 3)).tolist()


@pytest.mark.parametrize("name", CALLS)
def test_refusals(name):
    w = draw((5, 3), "float64", cond=5.0, seed=3)
    broken = w.copy()
    broken[0, 0] = np.nan
    with pytest.raises(OutsideDomain):
        CALLS[name](broken, w)
    with pytest.raises(TypeError):
        CALLS[name](w.tolist(), w)
    if name.endswith("p"):
        with pytest.raises(OutsideDomain):
            CALLS[name](w, broken)
        with pytest.raises(ValueError, match="has shape"):
            CALLS[name](w, w[:-1])
