"""Inputs and batteries: what the tests of the families do not look at."""

import numpy as np
import pytest

from orthoref.oracle import battery, cases


@pytest.mark.parametrize(
    ("scale", "family"),
    [
        (0.0, "zero"),
        (1e30, "extreme scale"),
        (1e-30, "extreme scale"),
        ("near overflow", "extreme scale"),
        (1.0, "arithmetic"),
    ],
)
def test_family_by_scale(scale, family):
    spectrum, cond = (None, None) if scale == 0 else ("arithmetic", 10.0)
    assert cases.drawn((3, 3), spectrum, cond, "float64", scale=scale).family == family


def test_kahan_hides_its_smallest_singular_value():
    """Kahan 1966: (A^-1)_1n = c(1+c)^(n-2)/a_nn, so sigma_n is smaller than every |r_ii| of A = R by (1+c)^(n-2) c."""
    a = cases.gallery("kahan", 33)
    assert 1000 * np.linalg.svd(a)[1][-1] <= np.abs(np.diagonal(a)).min()
    # c^2 + s^2 = 1: all columns have the same norm, and pivoting finds nothing to do
    np.testing.assert_allclose(np.linalg.norm(a, axis=0), 1, rtol=33 * np.finfo("float64").eps, atol=0)


def test_a_stack_as_long_as_the_smaller_dimension_where_the_larger_would_be_too_much():
    """16 x 320 x 16 is within the bound on the size, 320 x 320 x 16 is not; both for 3 x 60 x 3."""
    assert battery._shapes("very tall", 16, "matrix dimension") == ((16, 320, 16),)
    assert battery._shapes("very tall", 3, "matrix dimension") == ((3, 60, 3), (60, 60, 3))
    assert battery._fits("very tall", 16, "matrix dimension")


@pytest.mark.parametrize(("factor", "level"), [("memory", "C"), ("structure", "general"), ("scale", 1.0)])
def test_the_sweep_needs_all_of_its_levels(factor, level):
    kept = battery.factors(battery.Levels(), ["float32"])
    assert next(battery._sweep(kept, 0, battery.Levels()), None) is not None
    without = kept | {factor: tuple(x for x in kept[factor] if x != level)}
    assert next(battery._sweep(without, 0, battery.Levels()), None) is None


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_real_values_in_complex_dtypes_only(dtype):
    assert battery.allowed({"structure": "real", "dtype": dtype}) == dtype.startswith("complex")
    assert battery.allowed({"structure": "real"})


@pytest.mark.parametrize("structure", ["integer", "positive"])
@pytest.mark.parametrize("shape", [(3, 2, 4), (3, 4, 2), (3, 3, 3)])
def test_one_member_of_a_stack_is_singular(shape, structure):
    a = cases.matrix(shape, structure=structure, members="one singular", seed=1)
    s = np.linalg.svd(a, compute_uv=False)
    assert sum(s[:, -1] <= 8 * np.finfo("float64").eps * s[:, 0]) == 1


def test_ids_of_gallery_cases():
    """Stable over releases, and different for different inputs."""
    assert cases.named("hilbert", 3, "float64").id == "float64-3x3-hilbert"
    assert cases.named("hilbert", 3, "float64", memory="F").id == "float64-3x3-hilbert-F"
    a = cases.named("hilbert", 3, "float64", memory="F").matrix()
    assert a.flags.f_contiguous and not a.flags.c_contiguous


@pytest.mark.parametrize(("shape", "seen"), [((1, 1), True), ((3, 3), True), ((2, 3), False), ((2, 3, 3), False)])
def test_the_gallery_at_square_shapes(shape, seen):
    found = battery.cases(battery.Levels(), dtypes=["float32"], shapes=[shape])
    assert any(case.family == "gallery" for case in found) == seen
    assert all(case.shape == shape for case in found)


def test_the_graded_matrix_falls_by_powers_of_two():
    np.testing.assert_allclose(
        np.diagonal(cases.gallery("graded", 20)), 2.0 ** (1 - np.arange(20)), rtol=2 * np.finfo("float64").eps, atol=0
    )


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1.0, 2.0, "near overflow"])
def test_drawn_matrices_have_their_scale(scale):
    case = cases.drawn(
        (3, 3), None if scale == 0 else "arithmetic", None if scale == 0 else 10.0, "float64", scale=scale
    )
    factor = cases.SCALES[scale](cases.precision_of("float64")) if isinstance(scale, str) else scale
    assert np.linalg.norm(case.matrix() / (factor or 1), 2) == pytest.approx(factor and 1, rel=1e-14, abs=0)


def test_shapes_that_are_not_skipped_remain():
    found = battery.cases(battery.Levels(), dtypes=["float32"], shapes=[(3, 3), (12, 4)], skip=["F", "tall"])
    assert {case.shape for case in found} == {(3, 3)} and any(case.drawn for case in found)


@pytest.mark.parametrize("name", ["bfloat16", "float16", "tf32"])
def test_relative_unit_of_the_short_formats(name):
    """Rounding U once more changes U H by eps/2 |H|: one eps for every order, and sqrt(n) for U itself."""
    precision = cases.precision_of(name)
    assert [precision.relative(n) for n in (1, 9, 100)] == [1, 1, 1]
    assert [precision.growth(n) for n in (1, 9, 100)] == [1, 3, 10]


@pytest.mark.parametrize("complex_", [False, True])
def test_orthonormal_factors_have_no_preferred_sign(complex_):
    """Haar: every entry of Q has mean 0 and mean square 1/n, and so over 400 draws a mean of about 1/sqrt(400 n)."""
    random, n = np.random.RandomState(0), 3
    mean = np.mean([cases._haar(random, n, n, complex_) for _ in range(400)], axis=0)
    assert np.abs(mean).max() <= 5 / (400 * n) ** 0.5


@pytest.mark.parametrize("n", [3, 5, 16])
def test_integers_of_the_gallery(n):
    """2 on the diagonal, 1 below and in a corner: two in each row and column; determinant 2^n - (-1)^n."""
    a = cases._integers(n)
    assert (np.count_nonzero(a, axis=0) == 2).all() and (np.count_nonzero(a, axis=1) == 2).all()
    assert a.sum() == 3 * n and np.linalg.det(a) == pytest.approx(2**n - (-1) ** n, rel=1e-12, abs=0)
