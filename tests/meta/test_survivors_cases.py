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
    assert next(battery._sweep(kept, 0), None) is not None
    without = kept | {factor: tuple(x for x in kept[factor] if x != level)}
    assert next(battery._sweep(without, 0), None) is None


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
