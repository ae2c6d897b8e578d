"""Parameters of skew-Hermitian matrices: counts, round trips, what is refused."""

import numpy as np
import pytest
from backends import gaussian
from constructor_rows import tangent, unitary

from orthoref import OutsideDomain, degrees_of_freedom, skew_from_vector, vector_from_skew


@pytest.mark.parametrize("order", ["rows", "columns"])
@pytest.mark.parametrize("field", ["real", "complex"])
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_round_trip(n, field, order):
    x = gaussian((3, degrees_of_freedom(n, n, field=field)), "float64", n)
    a = skew_from_vector(x, field=field, order=order)
    if field == "real":
        n = max(n, 1)  # no entries: order 1, whose only skew matrix is 0
    assert a.shape == (3, n, n) and (a.dtype.kind == "c") == (field == "complex")
    np.testing.assert_array_equal(vector_from_skew(a, order=order), x)


@pytest.mark.parametrize(("m", "n"), [(4, 4), (5, 2), (3, 1), (1, 1)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_degrees_of_freedom_are_the_rank_of_the_tangents(m, n, dtype):
    q = unitary((), m, n, dtype, 1)
    vectors = [tangent(q, seed).ravel() for seed in range(2 * m * n)]
    rows = np.array([np.concatenate([v.real, v.imag]) for v in vectors]).reshape(2 * m * n, -1)
    rank = np.linalg.matrix_rank(rows, tol=1e-10 * np.linalg.norm(rows))
    assert degrees_of_freedom(m, n, field="complex" if dtype == "complex128" else "real") == rank


def test_refused():
    with pytest.raises(ValueError, match="no order n has as many"):
        skew_from_vector(np.ones(4))
    with pytest.raises(ValueError, match="no order n has as many"):
        skew_from_vector(np.ones(3), field="complex")
    with pytest.raises(TypeError, match="x must be real"):
        skew_from_vector(np.ones(3) + 0j)
    with pytest.raises(OutsideDomain, match="not skew-Hermitian"):
        vector_from_skew(np.eye(3))
    for m, n in ((2, 3), (-1, -1), (2.0, 1)):
        with pytest.raises(ValueError, match=r"[mn]="):
            degrees_of_freedom(m, n)
