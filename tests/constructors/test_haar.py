"""Random matrices: the conventions of SciPy, torch and JAX given their numbers, and whether the distribution is Haar's.

Statistics: seeds are fixed, so that a right sampler never fails here; a new seed fails a test of a right sampler with
probability below 1e-6. (Kolmogorov-Smirnov p-values are exact or conservative; z-values beyond 5 are 6e-7.)
"""

import numpy as np
import pytest
from backends import BACKENDS, ct, gaussian, late, norm
from scipy import stats

from orthoref import OutsideDomain, delta_orthogonal, haar, orthogonal_init

EPS = float(np.finfo("float64").eps)
FIELDS = ("float64", "complex128")
LEVEL = 1e-6
DRAWS = 4000


def defect(q):
    return norm(ct(q) @ q - np.eye(q.shape[-1]))


# --- conventions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_scipy_for_the_same_generator(seed):
    limit = 10 * 4 * EPS * 4
    for options, theirs in (
        ({}, stats.ortho_group),
        ({"special": True}, stats.special_ortho_group),
        ({"dtype": "complex128"}, stats.unitary_group),
    ):
        q = theirs.rvs(4, random_state=np.random.default_rng(seed))
        assert norm(haar(4, rng=np.random.default_rng(seed), **options) - q) <= limit


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (5, 5), (4, 3, 2, 2), (2, 20)])
def test_torch_initialiser_given_its_numbers(shape):
    torch = pytest.importorskip("torch")
    w = torch.empty(shape, dtype=torch.float64)
    torch.manual_seed(1)
    torch.nn.init.orthogonal_(w, gain=1.5)
    torch.manual_seed(1)
    z = torch.empty(shape[0], w.numel() // shape[0], dtype=torch.float64).normal_(0, 1)
    ours = orthogonal_init(shape, gain=1.5, normal=z)
    assert type(ours) is torch.Tensor and norm(ours.numpy() - w.numpy()) <= 10 * 20 * EPS * 1.5 * 5


@pytest.mark.exhaustive
@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", FIELDS)
def test_jax_initialiser_given_its_numbers(shape, axis, dtype):
    jax = pytest.importorskip("jax")
    key = jax.random.key(2)
    w = jax.nn.initializers.orthogonal(0.5, column_axis=axis)(key, shape, dtype)
    columns = shape[axis]
    rows = int(np.prod(shape)) // columns
    z = jax.random.normal(key, (max(rows, columns), min(rows, columns)), dtype)
    ours = orthogonal_init(shape, gain=0.5, layout="jax", axis=axis, normal=z)
    assert norm(np.asarray(ours) - np.asarray(w)) <= 10 * 60 * EPS * 5


@pytest.mark.exhaustive
@pytest.mark.parametrize("shape", [(3, 2, 4), (3, 4, 2, 2), (1, 2, 3, 3, 5)])
def test_jax_delta_orthogonal_given_its_numbers(shape):
    jax = pytest.importorskip("jax")
    key = jax.random.key(3)
    w = jax.nn.initializers.delta_orthogonal(2.0)(key, shape, "float64")
    z = jax.random.normal(key, shape[:-3:-1], "float64")
    ours = delta_orthogonal(shape, gain=2.0, layout="jax", normal=z)
    assert norm(np.asarray(ours) - np.asarray(w)) <= 10 * 5 * EPS * 5


def test_flattenings():
    """(out, in k k) with orthonormal rows, (k k in, out) with orthonormal columns, haiku's (axis, others)."""
    w = orthogonal_init((4, 3, 2, 2), rng=4, dtype="float64", gain=2.0)
    assert defect(ct(w.reshape(4, -1)) / 2) <= 400 * EPS
    w = orthogonal_init((2, 2, 3, 4), layout="jax", rng=4, dtype="float64")
    assert defect(w.reshape(-1, 4)) <= 400 * EPS
    z = gaussian((12, 4), "float64", 5)
    w = orthogonal_init((2, 6, 4), layout="haiku", normal=z)
    q, r = np.linalg.qr(z)
    q = (q * np.sign(np.diagonal(r))).T  # (axis, others): the axis is the shorter one
    np.testing.assert_array_equal(w, np.moveaxis(q.reshape(4, 2, 6), 0, -1))
    np.testing.assert_array_equal(
        orthogonal_init((4, 6), layout="jax", axis=0, normal=gaussian((6, 4), "float64", 6)),
        orthogonal_init((6, 4), layout="jax", normal=gaussian((6, 4), "float64", 6)).T,
    )


@pytest.mark.parametrize("spatial", [(3,), (2, 3), (1, 2, 3)])
def test_delta_orthogonal_is_an_isometry(spatial):
    """Circular convolution with the kernel keeps the norm, in both layouts."""
    fft = np.fft.fftn
    w = delta_orthogonal((5, 3, *spatial), rng=7, dtype="float64")
    x = gaussian((3, *spatial), "float64", 8)
    axes = tuple(range(1, 1 + len(spatial)))
    kernel = fft(w, axes=tuple(range(2, 2 + len(spatial))))
    y = np.fft.ifftn(np.einsum("oi...,i...->o...", kernel, fft(x, axes=axes)), axes=axes)
    assert abs(norm(y) - norm(x)) <= 200 * EPS * norm(x)
    v = delta_orthogonal((*spatial, 3, 5), rng=7, dtype="float64", layout="jax")
    centre = tuple((size - 1) // 2 for size in spatial)
    assert defect(v[centre].T) <= 200 * EPS and norm(v) == pytest.approx(3**0.5, rel=1e-14, abs=0)


@pytest.mark.parametrize("backend", [late(backend) for backend in BACKENDS], indirect=True)
def test_every_library_gets_the_same_numbers(backend):
    like = backend.asarray(np.ones((1, 1), "float32"))
    xp = __import__("array_api_compat").array_namespace(like)
    device = __import__("array_api_compat").device(like)
    for dtype in set(backend.dtypes) & {"float32", "complex64", "complex128"}:
        for options in ({}, {"special": True}, {"method": "reflectors"}):
            q = haar(4, batch=(2,), rng=9, dtype=dtype, xp=xp, device=device, **options)
            assert type(q) is type(like)
            ours = haar(4, batch=(2,), rng=9, dtype=dtype, **options)
            q = backend.to_numpy(q)
            assert q.dtype == dtype and norm(q - ours) <= 100 * float(np.finfo(dtype).eps) * 16
    w = delta_orthogonal((3, 2, 3), rng=9, xp=xp, device=device)
    assert type(w) is type(like)
    assert norm(backend.to_numpy(w) - delta_orthogonal((3, 2, 3), rng=9)) <= 100 * float(np.finfo("float32").eps)


# --- distribution -----------------------------------------------------------------------------------------------------


def samples(kind, dtype, n=3, seed=10):
    if kind == "unfixed":
        z = gaussian((DRAWS, n, n), dtype, seed)
        return np.linalg.qr(z)[0]
    if kind == "uniform numbers":
        return haar(n, normal=np.random.default_rng(seed).random((DRAWS, n, n)).astype(dtype), batch=(DRAWS,))
    return haar(n, batch=(DRAWS,), rng=seed, dtype=dtype, method=kind)


def worst_p_value(q):
    """The smallest p-value of phase (sign) and modulus of q_00 and moments of the trace, once more after a rotation."""
    n = q.shape[-1]
    turn = np.linalg.qr(gaussian((n, n), q.dtype.name, 99))[0]
    p_values = []
    for x in (q, turn @ q):
        first = x[:, 0, 0]
        if np.iscomplexobj(q):
            p_values.append(stats.kstest(np.angle(first), stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue)
            p_values.append(stats.kstest(abs(first) ** 2, stats.beta(1, n - 1).cdf).pvalue)
        else:
            p_values.append(stats.binomtest(int((first > 0).sum()), len(first)).pvalue)
            p_values.append(stats.kstest(first**2, stats.beta(0.5, (n - 1) / 2).cdf).pvalue)
        for power in (1, 2):  # E |tr Q^k|^2 = min(k, n) on U(n)
            trace = np.einsum("...ii->...", np.linalg.matrix_power(x, power))
            mean = trace.mean() - (0 if np.iscomplexobj(q) or power == 1 else 1)  # E tr Q^2 = 1 on O(n)
            z = abs(mean) / (trace.std() / len(trace) ** 0.5)
            p_values.append(2 * stats.norm.sf(z) if not np.iscomplexobj(q) else np.exp(-(z**2)))
    return min(p_values)


@pytest.mark.parametrize("method", ["qr", "reflectors"])
@pytest.mark.parametrize("dtype", FIELDS)
def test_haar(method, dtype):
    q = samples(method, dtype)
    assert defect(q) <= 10 * 3 * EPS * 3**0.5 * DRAWS**0.5
    assert worst_p_value(q) >= LEVEL


@pytest.mark.parametrize(
    ("kind", "dtype"), [("unfixed", "float64"), ("unfixed", "complex128"), ("uniform numbers", "float64")]
)
def test_what_is_not_haar_is_seen(kind, dtype):
    q = samples(kind, dtype)
    assert worst_p_value(q) <= 1e-9
    if (kind, dtype) == ("unfixed", "float64"):
        assert (q[:, 0, 0] < 0).all()  # LAPACK's reflections


@pytest.mark.parametrize("method", ["qr", "reflectors"])
def test_rotations(method):
    """The angle has the density (1 - cos t)/pi in space, and is uniform in the plane."""
    q = haar(3, batch=(DRAWS,), rng=11, special=True, method=method)
    assert abs(np.linalg.det(q) - 1).max() <= 100 * EPS
    t = np.arccos(np.clip((np.einsum("...ii->...", q) - 1) / 2, -1, 1))
    assert stats.kstest(t, lambda s: (s - np.sin(s)) / np.pi).pvalue >= LEVEL
    q = haar(2, batch=(DRAWS,), rng=12, special=True, method=method)
    angle = np.arctan2(q[:, 1, 0], q[:, 0, 0])
    assert stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue >= LEVEL
    q = haar(3, batch=(DRAWS,), rng=13, special=True, method=method, dtype="complex128")
    assert abs(np.linalg.det(q) - 1).max() <= 100 * EPS
    trace = np.einsum("...ii->...", q)
    z = abs((abs(trace) ** 2).mean() - 1) / ((abs(trace) ** 2).std() / DRAWS**0.5)  # E |tr|^2 = 1 on SU(n)
    assert z <= 5


def test_columns_alone():
    for method in ("qr", "reflectors"):
        q = haar(5, 2, batch=(DRAWS,), rng=14, method=method)
        assert q.shape == (DRAWS, 5, 2) and defect(q) <= 100 * EPS * DRAWS**0.5
        assert stats.kstest(q[:, 4, 1] ** 2, stats.beta(0.5, 2).cdf).pvalue >= LEVEL


# --- ends -------------------------------------------------------------------------------------------------------------


def test_rank_deficient_numbers_and_empty_ones():
    """r_jj = 0: the phase is 1, no column is lost."""
    for method in ("qr", "reflectors"):
        for z in (np.zeros((3, 3)), np.ones((3, 2)) + 0j):
            assert defect(haar(*z.shape, normal=z, method=method)) <= 100 * EPS
        assert haar(0, rng=0, method=method).shape == (0, 0) and haar(3, 0, rng=0, method=method).shape == (3, 0)
        assert haar(2, batch=(0,), rng=0, method=method, special=True).shape == (0, 2, 2)
    assert haar(1, rng=0).shape == (1, 1) and abs(haar(1, rng=0)[0, 0]) == 1
    np.testing.assert_array_equal(haar(0, rng=0, special=True), np.zeros((0, 0)))


def test_reproducible():
    np.testing.assert_array_equal(haar(3, rng=5), haar(3, rng=np.random.default_rng(5)))
    assert norm(haar(3) - haar(3)) > 0


def test_wrong():
    for arguments, options in (
        ((-1,), {}), ((2.0,), {}), ((2, 3), {}), ((3, 2), {"special": True}), ((3,), {"method": "svd"}),
        ((3,), {"dtype": "float16"}), ((3, 4), {"normal": np.ones((2, 3))}),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="="):
            haar(*arguments, **options)
    with pytest.raises(OutsideDomain):
        haar(2, normal=np.full((2, 2), np.nan))
    with pytest.raises(TypeError):
        haar(2, normal=[[1.0, 0.0], [0.0, 1.0]])
    for shape, options in (
        ((3,), {}), ((3, 0), {}), ((3, 2.0), {}), ((3, 2), {"gain": 0.0}), ((3, 2), {"gain": np.nan}),
        ((3, 2), {"layout": "mxnet"}), ((3, 2), {"axis": 2}), ((3, 2), {"axis": True}),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="="):
            orthogonal_init(shape, **options)
    for shape in ((3, 2), (2, 3, 4), (1, 1, 2, 2, 2, 2)):
        with pytest.raises(ValueError, match="shape"):
            delta_orthogonal(shape)
