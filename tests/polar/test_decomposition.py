"""polar() judged by residuals of correctly rounded sums, and against decompositions that are known exactly.

Limits: polar promises |A - UH| <= c eps |A| and |I - U^H U| <= c eps, c = max(n, 8) with n the smaller dimension, in
Frobenius norms; `residual` rounds once per entry (relative 2^-53), so the promise itself is the limit.
"""

from functools import cache
from itertools import product

import numpy as np
import pytest
from backends import (
    BACKENDS,
    DEVICE1,
    JAX,
    NO_FLOAT64,
    NUMPY,
    SPECTRA,
    STRICT,
    TORCH,
    ct,
    draw,
    gaussian,
    isometry,
    norm,
)
from exact import exact_polar, residual

import orthoref
from orthoref import OutsideDomain, polar, polar_condition

pytestmark = pytest.mark.sample(4)

PROMISE = 1.0  # both residuals are measured in units of the promise

OPTIONS = (
    {},
    {"method": "svd"},
    {"method": "newton"},
    {"method": "newton", "scaling": "one-inf"},
    {"method": "qdwh"},
    {"method": "qdwh", "lower": 1e-4},
    {"method": "zolotarev"},
    {"method": "zolotarev", "lower": 1e-4},
)
METHODS = (OPTIONS[1], OPTIONS[2], OPTIONS[3], OPTIONS[4], OPTIONS[6])
SHAPES = ((1, 1), (2, 2), (5, 5), (7, 4), (4, 7), (3, 5, 5), (2, 3, 4, 2))


def name(value):
    return "-".join(map(str, value.values())) or "auto" if isinstance(value, dict) else None


def grid():
    for backend in BACKENDS:
        for dtype in backend.dtypes:
            for shape in shapes(backend, dtype):
                for count, options in enumerate(OPTIONS if backend is NUMPY else METHODS):
                    sides = ("right", "left") if options in ({}, METHODS[1]) else (("right", "left")[count % 2],)
                    for side in sides:
                        label = "-".join(map(str, (backend.name, dtype, *shape, name(options), side)))
                        marks = pytest.mark.exhaustive if backend is JAX else ()
                        yield pytest.param(backend, dtype, shape, options, side, id=label, marks=marks)


def shapes(backend, dtype):
    if backend is JAX:  # compiles every operation for every shape and dtype
        return {"float32": [(5, 5)], "complex128": [(7, 4), (4, 7)]}.get(dtype, [])
    if backend in (STRICT, DEVICE1, NO_FLOAT64):  # NumPy's arithmetic: what matters is that nothing is refused
        return {"float32": [(5, 5), (2, 3, 4, 2)], "complex64": [(7, 4)], "complex128": [(4, 7)]}.get(dtype, [])
    return SHAPES


def promised(a):
    """c eps, the limit in the docstring of polar."""
    return max(8, min(a.shape[-2:])) * float(np.finfo(a.dtype).eps)


def matrices(*stacks):
    return zip(*(x.reshape(-1, *x.shape[-2:]) for x in stacks), strict=True)


def reconstruction(a, u, h, side="right"):
    """|A - UH|/(c eps |A|)."""
    rest = residual(a, u, h) if side == "right" else residual(a, h, u)
    return norm(rest) / (promised(a) * norm(a))


def orthonormality(u):
    """|I - U^H U|/(c eps), of the rows if wide."""
    x = u if u.shape[0] >= u.shape[1] else ct(u)
    return norm(residual(np.eye(x.shape[1]), ct(x), x)) / promised(u)


def negative_part(h, n):
    """-lambda_min(H)/(n eps |H|)."""
    wide = h.astype(np.result_type(h, np.float64))
    return -np.linalg.eigvalsh(wide)[0] / (n * np.finfo(h.dtype).eps * norm(h))


# --- every backend, dtype, shape, side and method -------------------------------------------------------------


@pytest.mark.parametrize(("backend", "dtype", "shape", "options", "side"), list(grid()))
def test_everywhere(backend, dtype, shape, options, side):
    backend.require()
    before = draw(shape, dtype, cond=1e3, seed=len(shape))
    array = backend.asarray(before)
    result = polar(array, side=side, **options)
    assert backend.to_numpy(array).tobytes() == before.tobytes()
    order = shape[-1] if side == "right" else shape[-2]
    for x, expected in zip(result, (shape, (*shape[:-2], order, order)), strict=True):
        assert type(x) is type(array) and x.dtype == array.dtype and x.device == array.device
        assert tuple(x.shape) == expected
    u, h = (backend.to_numpy(x) for x in result)
    for a_i, u_i, h_i in matrices(before, u, h):
        assert reconstruction(a_i, u_i, h_i, side) <= PROMISE
        assert orthonormality(u_i) <= PROMISE
        # the project's limit; eigvalsh itself is good to about eps |H|
        assert negative_part(h_i, min(shape[-2:])) <= 10
    np.testing.assert_array_equal(h, ct(h))  # to the last bit


@pytest.mark.parametrize("shape", [(0, 3, 3), (3, 0), (0, 3), (0, 0), (2, 0, 3)])
@pytest.mark.parametrize("side", ["right", "left"])
def test_h_of_an_empty_matrix_is_zero(shape, side):
    assert not np.any(polar(np.zeros(shape), side=side, method="newton", scaling="one-inf").h)


def test_result_is_a_named_tuple():
    result = polar(np.eye(2))
    assert isinstance(result, orthoref.PolarResult) and result._fields == ("u", "h")


@pytest.mark.parametrize("impl", ["auto", "generic"])
def test_impl(impl):
    a = draw((2, 4, 4))
    u, h = polar(a, method="newton", impl=impl)
    assert all(reconstruction(*z) <= PROMISE for z in matrices(a, u, h))


@pytest.mark.parametrize("shape", [(4, 1), (1, 9), (40, 2), (2, 40), (1000, 1), (1000, 2)])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_thin(shape, dtype):
    """The promise does not grow with the length of the columns."""
    measured = []
    for seed in range(6):
        a = draw(shape, dtype, cond=10.0, seed=seed)
        u, h = polar(a)
        measured += [reconstruction(a, u, h), orthonormality(u)]
    assert max(measured) <= PROMISE


# --- spectra, on NumPy -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", METHODS, ids=name)
@pytest.mark.parametrize("shape", [(12, 12), (20, 12), (9, 20)])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_spectra(shape, dtype, options):
    for (seed, spectrum), cond in product(enumerate(SPECTRA), (1.0, 1e3, 1e8, 1 / np.finfo(dtype).eps)):
        a = draw(shape, dtype, spectrum=spectrum, cond=cond, seed=seed)
        u, h = polar(a, **options)
        measured = reconstruction(a, u, h), orthonormality(u), negative_part(h, min(shape)) / 10 * PROMISE
        assert max(measured) <= PROMISE, (spectrum, cond, measured)
        np.testing.assert_array_equal(h, ct(h))


def graded(m, n, dtype):
    """Rows and columns that fall off by 2^-4 each: 12 x 12 has condition number beyond 1/eps."""
    return (2.0 ** (-4 * np.arange(m))[:, None] * gaussian((m, n), dtype, 5) * 2.0 ** (-4 * np.arange(n))).astype(dtype)


@pytest.mark.parametrize("options", METHODS, ids=name)
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
@pytest.mark.parametrize("flip", [False, True])
def test_graded(dtype, options, flip):
    a = graded(12, 8, dtype)
    a = a[::-1, ::-1] if flip else a
    u, h = polar(a, **options)
    assert max(reconstruction(a, u, h), orthonormality(u), negative_part(h, 8) / 10 * PROMISE) <= PROMISE


@pytest.mark.parametrize("options", METHODS, ids=name)
@pytest.mark.parametrize("shape", [(33, 33), (60, 40), (100, 33), (40, 64)])
@pytest.mark.parametrize("cond", [10.0, 1e12])
def test_larger(shape, cond, options):
    a = draw(shape, cond=cond)
    u, h = polar(a, **options)
    assert max(reconstruction(a, u, h), orthonormality(u)) <= PROMISE


@pytest.mark.parametrize("options", METHODS, ids=name)
def test_mixed_stack(options):
    """Zero, singular, ill conditioned and harmless matrices in one stack: none spoils another."""
    a = np.stack([np.zeros((5, 5)), *(draw((5, 5), spectrum=x, cond=1e12, seed=4) for x in SPECTRA), np.eye(5) * 1e200])
    u, h = polar(a, **options)
    for a_i, u_i, h_i in matrices(a, u, h):
        scale = 2.0 ** -np.floor(np.log2(np.max(abs(a_i)) or 1))
        assert orthonormality(u_i) <= 1
        assert not a_i.any() or reconstruction(a_i * scale, u_i, h_i * scale) <= PROMISE


@pytest.mark.parametrize("options", [*METHODS, OPTIONS[5], OPTIONS[7]], ids=name)
@pytest.mark.parametrize("backend", [NUMPY, STRICT, TORCH], ids=lambda x: x.name)
def test_batched_is_stacked(backend, options):
    """Both are within kappa 2c eps |A| + c eps of the truth (see forward_limit), so twice that apart."""
    backend.require()
    a = draw((3, 4, 5, 5), cond=1e4, seed=9)
    u = backend.to_numpy(polar(backend.asarray(a), **options).u)
    for a_i, u_i in matrices(a, u):
        alone = backend.to_numpy(polar(backend.asarray(a_i), **options).u)
        assert norm(u_i - alone) <= 2 * forward_limit(a_i, 2 / np.sum(np.linalg.svd(a_i)[1][-2:]))


@pytest.mark.parametrize("options", OPTIONS[2:], ids=name)
@pytest.mark.parametrize("shape", [(4, 4), (9, 9), (10, 6), (6, 10), (3, 5, 5)])
def test_iterations_need_no_svd(monkeypatch, shape, options):
    """The SVD takes over what an iteration misses, and with it hides a broken one: here there is no SVD."""

    def refuse(x):
        raise AssertionError("the iteration missed its bounds and fell back on the SVD")

    monkeypatch.setattr("orthoref._polar.decomposition.svd", refuse)
    for dtype, cond in product(NUMPY.dtypes, (1.0, 1e2, 1e4, 1e10)):
        # a false bound may fall back
        cond = min(cond, 1e-2 / float(np.finfo(dtype).eps), 1 / options.get("lower", 1e-16))
        a = draw(shape, dtype, cond=cond, seed=21)
        u, h = polar(a, impl="generic", **options)
        measured = [max(reconstruction(*z), orthonormality(z[1])) for z in matrices(a, u, h)]
        assert all(x <= PROMISE for x in measured), (dtype, cond, measured)


# --- exact truth -----------------------------------------------------------------------------------------------


def forward_limit(a, kappa):
    """|U - U_exact| for a result that keeps the promises.

    U H = A + D with |D| <= c eps |A|. With W = polar(U), |U - W| <= |I - U^H U| <= c eps, and W H, of which W is
    the polar factor, differs from A by at most |D| + |W - U||H| <= 2 c eps |A|: |U - U_exact| <= kappa 2 c eps |A|
    + c eps to first order. The factor 2 covers the higher orders while kappa 2 c eps |A| <= 1/4.
    """
    shift = kappa * 2 * promised(a) * norm(a)
    assert shift <= 0.25
    return 2 * shift + promised(a)


EXACT = [
    (m, n, dtype, bits)
    for m, n in ((1, 1), (4, 4), (8, 8), (9, 5))
    for dtype, cond in (("float32", 10), ("float64", 30), ("complex64", 10), ("complex128", 30))
    for bits in (0, cond // 2, cond)
    if n > 1 or bits == 0
]


@cache
def exact_case(m, n, dtype, bits):
    s = [2.0 ** -round(bits * i / max(n - 1, 1)) for i in range(n)]
    return exact_polar(m, n, s, dtype, seed=m)


def exact_kappa(x):
    m, n = x.a.shape
    if np.iscomplexobj(x.a) or m > n:
        return 1 / float(x.s[-1])
    return 2 / float(x.s[-1] + x.s[-2]) if n > 1 else 0.0


@pytest.fixture(scope="module")
def exact_cases():
    """Built once, before the first test that looks at them."""
    for case in EXACT:
        exact_case(*case)


@pytest.mark.usefixtures("exact_cases")
@pytest.mark.parametrize("options", METHODS, ids=name)
def test_exact_unitary_factor(options):
    for case in EXACT:
        x = exact_case(*case)
        for a, truth in ((x.a, x.u), (ct(x.a), ct(x.u))):
            assert norm(polar(a, **options).u - truth) <= forward_limit(x.a, exact_kappa(x)), (case, a.shape)


@pytest.mark.parametrize("options", METHODS, ids=name)
def test_exact_hermitian_factor(options):
    """H is the exact one of W H = A + D', |D'| <= 2 c eps |A|, and kappa_H <= sqrt(2); factor 2 as above."""
    for case in EXACT:
        x = exact_case(*case)
        limit = 2 * 2**0.5 * 2 * promised(x.a) * norm(x.a)
        for a, side in ((x.a, "right"), (ct(x.a), "left")):
            assert norm(polar(a, side=side, **options).h - x.h) <= limit, (case, side)


@pytest.mark.parametrize("options", OPTIONS, ids=name)
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_exact_larger_hermitian_factor(dtype, options):
    """(A A^H)^(1/2) = U H U^H of order m; limit as above."""
    x = exact_case(9, 5, dtype, 8)
    limit = 2 * 2**0.5 * 2 * promised(x.a) * norm(x.a)
    for a, side in ((x.a, "left"), (ct(x.a), "right")):
        assert norm(polar(a, side=side, **options).h - x.u @ x.h @ ct(x.u)) <= limit


# --- scale -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", OPTIONS, ids=name)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", [(5, 5), (7, 4)])
def test_powers_of_two_change_no_bit_of_u(shape, dtype, options):
    a = draw(shape, dtype, cond=100.0)
    u, h = polar(a, **options)
    for k in (-1000, -537, -1, 3, 511, 1000):
        scaled = polar(a * 2.0**k, **options)
        np.testing.assert_array_equal(scaled.u, u, err_msg=f"2^{k}")
        np.testing.assert_array_equal(scaled.h, h * 2.0**k, err_msg=f"2^{k}")


@pytest.mark.parametrize("k", [-110, 110])
@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_powers_of_two_in_single_precision(dtype, k):
    a = draw((5, 5), dtype, cond=100.0)
    np.testing.assert_array_equal(polar(a * a.dtype.type(2.0**k)).u, polar(a).u)


def integers(shape, dtype):
    x = np.round(2.0**20 * draw(shape, dtype, cond=100.0))
    return x.astype(dtype)


@pytest.mark.parametrize("options", OPTIONS, ids=name)
@pytest.mark.parametrize(("dtype", "k"), [("float64", -1074), ("complex128", -1074), ("float32", -149)])
@pytest.mark.parametrize("backend", [NUMPY, STRICT, TORCH], ids=lambda x: x.name)
def test_subnormal(backend, dtype, k, options):
    """Integers times the smallest number: scaling is exact, so u has the bits it has for the integers."""
    backend.require()
    a = integers((4, 4), dtype)
    tiny = a * a.real.dtype.type(2.0**k)
    u, h = polar(backend.asarray(tiny), **options)
    expected = polar(backend.asarray(a), **options)
    np.testing.assert_array_equal(backend.to_numpy(u), backend.to_numpy(expected.u))
    # h is rounded to a multiple of 2^k by two divisions: 1/2 ulp and 1/2 ulp, in each component
    integral = backend.to_numpy(h).astype("complex128") * 2.0 ** (-k // 2) * 2.0 ** (-k - -k // 2)
    rest = integral - backend.to_numpy(expected.h)
    assert np.max(np.abs([rest.real, rest.imag])) <= 1


@pytest.mark.parametrize("options", OPTIONS, ids=name)
@pytest.mark.parametrize("backend", [NUMPY, STRICT, TORCH], ids=lambda x: x.name)
def test_near_overflow(backend, options):
    """|A|_F overflows, H does not."""
    backend.require()
    a = draw((6, 6), spectrum="arithmetic", cond=2.0)
    u, h = (backend.to_numpy(x) for x in polar(backend.asarray(a * 2.0**1023), **options))
    assert max(reconstruction(a, u, h * 2.0**-1023), orthonormality(u)) <= PROMISE


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_overflowing_h(options):
    a = np.stack([np.eye(4), np.eye(4)])
    a[1, :, 0] = 1.5e308  # h_11 = 3e308
    with pytest.raises(OutsideDomain, match=r"h overflows.*float64.*batch index \(1,\)"):
        polar(a, **options)


# --- rank deficiency -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", OPTIONS, ids=name)
@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_zero(shape, dtype, options):
    u, h = polar(np.zeros(shape, dtype), **options)
    assert not h.any() and np.allclose(abs(u), np.eye(*shape), rtol=0, atol=0)


SINGULAR = {"square": (8, 8), "tall": (9, 5), "wide": (5, 9)}


@cache
def singular(shape, dtype, rank):
    """Exactly singular A with its exact partial isometry and the exact projector on range(A^H)."""
    m, n = max(shape), min(shape)
    x = exact_polar(m, n, [2.0 ** -min(i, 3) if i < rank else 0.0 for i in range(n)], dtype, seed=rank)
    u = x.u @ x.q[:, :rank] @ ct(x.q[:, :rank])
    return (x.a, u) if shape[0] >= shape[1] else (ct(x.a), ct(u))


@pytest.mark.parametrize("kind", SINGULAR)
@pytest.mark.parametrize("rank", [0, 1, 3, 4])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
@pytest.mark.parametrize("side", ["right", "left"])
def test_partial_isometry(kind, rank, dtype, side):
    """Subspaces turn by |D|/sigma_r, the factor between them by kappa |D|, |D| <= 2 c eps |A| (forward_limit)."""
    a, truth = singular(SINGULAR[kind], dtype, rank)
    u, h = polar(a, rank_deficient="partial", side=side)
    limit = (3 * 8 * 2 * norm(a) + 1) * promised(a)  # 1/sigma_r <= 8; two subspaces and the factor
    assert norm(u - truth) <= limit
    assert rank == 0 or reconstruction(a, u, h, side) <= PROMISE
    # U^H U is the projector on range(A^H) and U U^H that on range(A)
    assert norm(ct(u) @ u - ct(truth) @ truth) <= 2 * limit and norm(u @ ct(u) - truth @ ct(truth)) <= 2 * limit


@pytest.mark.parametrize("options", METHODS, ids=name)
@pytest.mark.parametrize("kind", SINGULAR)
@pytest.mark.parametrize("rank", [0, 1, 3, 4])
def test_completed(kind, rank, options):
    for dtype in NUMPY.dtypes:
        a, truth = singular(SINGULAR[kind], dtype, rank)
        u, h = polar(a, rank_deficient="complete", **options)
        assert orthonormality(u) <= PROMISE and (rank == 0 or reconstruction(a, u, h) <= PROMISE), dtype
        # on range(A^H) there is no freedom; limit as for the partial isometry
        if a.shape[0] >= a.shape[1]:
            assert norm(u @ ct(truth) @ truth - truth) <= (3 * 8 * 2 * norm(a) + 1) * promised(a), dtype


@pytest.mark.parametrize("options", METHODS, ids=name)
@pytest.mark.parametrize("kind", SINGULAR)
@pytest.mark.parametrize("rank", [0, 1, 4])
def test_raise(kind, rank, options):
    a = np.stack([draw(SINGULAR[kind]), singular(SINGULAR[kind], "float64", rank)[0]])
    with pytest.raises(OutsideDomain, match=r"rank deficient.*sigma_min = .*sigma_max = .*batch index \(1,\)"):
        polar(a, rank_deficient="raise", **options)


@pytest.mark.parametrize("options", METHODS, ids=name)
@pytest.mark.parametrize("rank_deficient", ["raise", "partial", "complete"])
def test_full_rank_is_not_deficient(rank_deficient, options):
    a = draw((6, 6), cond=1e12)
    u, h = polar(a, rank_deficient=rank_deficient, **options)
    assert max(reconstruction(a, u, h), orthonormality(u)) <= PROMISE


def test_sigma_in_the_message():
    with pytest.raises(OutsideDomain, match=r"sigma_min = 0, .*sigma_max = 3e\+200"):
        polar(np.diag([2e200, 3e200, 0.0]), rank_deficient="raise")


# --- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"impl": "fast"}, "impl='fast'"),
        ({"method": "newton", "scaling": "frobenius"}, "scaling='frobenius'"),
        ({"scaling": "one-inf"}, "scaling belongs to method='newton', not 'auto'"),
        ({"method": "qdwh", "scaling": "byers-xu"}, "scaling belongs"),
        ({"lower": 0.5}, "lower belongs"),
        ({"method": "newton", "lower": 0.5}, "lower belongs"),
        ({"method": "qdwh", "lower": 0.0}, "lower=0.0 is not in"),
        ({"method": "qdwh", "lower": 1.5}, "lower=1.5 is not in"),
        ({"method": "zolotarev", "lower": -1.0}, "lower=-1.0 is not in"),
        ({"method": "zolotarev", "lower": float("nan")}, "lower=nan is not in"),
    ],
)
def test_wrong_option(options, message):
    with pytest.raises(ValueError, match=message):
        polar(np.eye(2), **options)


@pytest.mark.parametrize("device", [DEVICE1, NO_FLOAT64], ids=lambda x: x.name)
def test_condition_stays_on_the_device(device):
    device.require()
    a = device.asarray(draw((3, 4, 4), "float32"))
    assert polar_condition(a).device == a.device


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_wrong_lower_bound_costs_no_accuracy(options):
    """The documentation allows any value of lower."""
    a = draw((6, 6), spectrum="one-small", cond=1e10)
    if "lower" in options:
        for lower in (1e-16, 1e-3, 1.0):
            u, h = polar(a, **{**options, "lower": lower})
            assert max(reconstruction(a, u, h), orthonormality(u)) <= PROMISE


@pytest.mark.parametrize("options", OPTIONS, ids=name)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_unitary_input(dtype, options):
    """A unitary to c eps is its own factor: kappa <= 1, so U moves by no more than forward_limit and its defect."""
    a = isometry(7, 4, dtype, 1)
    assert norm(polar(a, **options).u - a) <= forward_limit(a, 1.0) + promised(a)
