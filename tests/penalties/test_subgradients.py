"""Where a penalty is not differentiable: the stated policies, that they are subgradients, and refusals."""

import numpy as np
import pytest
from backends import BACKENDS, NUMPY, ct, gaussian, late, norm
from exact import dyadic_unitary

from orthoref import OutsideDomain, penalties

EPS = float(np.finfo("float64").eps)
Q = dyadic_unitary(4, "float64", 1)
C = dyadic_unitary(4, "complex128", 1)


def inner(x, y):
    return float(np.sum((np.conj(x) * y).real))


def directional(f, w, v):
    """f'(W; V), one-sided: extrapolated from two steps, error of order t^2."""
    t = 1e-4
    return (4 * f(w + t * v / 2) - f(w + t * v) - 3 * f(w)) / t


# at these points several branches meet; the Gram matrix that is meant has the options of the call
KINKS = [
    ("mutual_coherence", {"gram": "columns"}, 1.5 * Q),
    ("mutual_coherence", {"gram": "rows"}, 0.5 * C),
    ("mutual_coherence_induced", {"gram": "columns"}, 1.5 * Q + 0.25 * Q @ np.ones((4, 4))),
    ("absolute_sum", {"gram": "columns"}, 2 * Q),
    ("spectral_restricted_isometry", {"gram": "columns"}, 1.5 * Q),
    ("spectral_restricted_isometry", {"gram": "rows"}, np.sqrt(np.array([1.5, 1.5, 0.5, 1.0]))[:, None] * C),
    ("spectral_norm", {}, 2 * Q),
    ("spectral_norm", {}, Q @ np.diag([2.0, 2.0, 1.0, 0.0])),
    ("soft_orthogonality", {"gram": "columns"}, Q),
    ("distance", {}, C),
    ("double_soft_orthogonality", {}, Q),
]


@pytest.mark.parametrize(("name", "options", "w"), KINKS)
@pytest.mark.parametrize("subgradient", ["mean", "first"])
def test_is_a_subgradient(name, options, w, subgradient):
    """<g, V> <= f'(W; V) in every direction: all of these are convex functions of G (of W), so regular."""
    gradient, value = getattr(penalties, f"{name}_gradient"), getattr(penalties, name)
    try:
        g = gradient(w, **options, subgradient=subgradient)
    except ValueError as error:
        assert "is not one of" in str(error) and subgradient == "first"  # noqa: PT017
        return
    for seed in range(20):
        v = gaussian(w.shape, w.dtype.name, seed)
        v = v / norm(v)
        assert inner(g, v) <= directional(lambda x: float(value(x, **options)), w, v) + 1e-5


@pytest.mark.parametrize(("name", "options", "w"), KINKS)
def test_raises(name, options, w):
    with pytest.raises(OutsideDomain, match="batch index"):
        getattr(penalties, f"{name}_gradient")(np.stack([w]), **options, subgradient="raise")
    with pytest.raises(OutsideDomain):
        getattr(penalties, f"{name}_hvp")(w, w, **options)


@pytest.mark.parametrize(("name", "options", "w"), KINKS)
def test_smooth_points_do_not_raise(name, options, w):
    """And all policies agree there."""
    w = gaussian(w.shape, w.dtype.name, 3)
    gradient = getattr(penalties, f"{name}_gradient")
    first = gradient(w, **options, subgradient="raise")
    assert np.array_equal(first, gradient(w, **options))
    getattr(penalties, f"{name}_hvp")(w, w, **options)


def test_mean_and_first_of_entries():
    """2 W F with F the signs of the largest entries over their number; of the first pair."""
    w = 1.5 * Q
    mean = penalties.mutual_coherence_gradient(w, gram="columns")
    assert norm(mean - 2 * w / 4) <= 20 * EPS
    first = penalties.mutual_coherence_gradient(w, gram="columns", subgradient="first")
    assert norm(first - 2 * w @ np.diag([1.0, 0, 0, 0])) <= 20 * EPS


def test_a_pair_of_entries_is_one():
    """(i, j) and (j, i) are the same function: no kink."""
    g = np.array([[1.0, 0.75, 0], [0.75, 1.0, 0], [0, 0, 1.0]])
    w = np.linalg.cholesky(g).T
    got = [penalties.mutual_coherence_gradient(w, gram="columns", subgradient=s) for s in ("mean", "first", "raise")]
    assert norm(got[0] - got[1]) <= 20 * EPS and norm(got[0] - got[2]) <= 20 * EPS
    f = np.array([[0, 1.0, 0], [1.0, 0, 0], [0, 0, 0]]) / 2
    assert norm(got[0] - 2 * w @ f) <= 20 * EPS


def test_the_mean_does_not_depend_on_the_basis_of_the_eigenspace():
    """The same for W and W Q with a Q that mixes the eigenspace, which the SVD sees as another basis."""
    w = 2 * dyadic_unitary(4, "float64", 2)
    q = dyadic_unitary(4, "float64", 3)
    for name, options in (("spectral_norm", {}), ("spectral_restricted_isometry", {"gram": "columns"})):
        gradient = getattr(penalties, f"{name}_gradient")
        assert norm(gradient(w, **options) @ q - gradient(w @ q, **options)) <= 100 * EPS
    assert norm(penalties.spectral_norm_gradient(w) - w / 8) <= 100 * EPS
    assert norm(penalties.spectral_restricted_isometry_gradient(w, gram="columns") - w / 2) <= 100 * EPS


def test_two_sides_of_one_cancel():
    """Eigenvalues 1/2 and -1/2 of G - I tie; the mean has both."""
    w = np.diag(np.sqrt([1.5, 0.5]))
    got = penalties.spectral_restricted_isometry_gradient(w, gram="columns")
    assert norm(got - np.diag([1, -1]) @ w) <= 100 * EPS
    first = penalties.spectral_restricted_isometry_gradient(w, gram="columns", subgradient="first")
    assert norm(first - 2 * np.diag([1, 0]) @ w) <= 100 * EPS


def test_the_larger_gram_matrix_of_the_restricted_isometry():
    """Singular values below root 2: the eigenvalues of -1 are the largest, the penalty is 1 and does not move."""
    w = gaussian((5, 3), "float64", 4)
    w = w / np.linalg.norm(w, 2)
    assert penalties.spectral_restricted_isometry(w, gram="rows") == 1
    assert not np.any(penalties.spectral_restricted_isometry_gradient(w, gram="rows", subgradient="raise"))
    assert not np.any(penalties.spectral_restricted_isometry_hvp(w, w, gram="rows"))
    # at root 2 one branch of slope and the two that do not move: the mean over three eigenvectors
    w = w * 2**0.5
    g = penalties.spectral_restricted_isometry_gradient(w, gram="rows")
    p, s, vh = np.linalg.svd(w)
    assert norm(g - 2 * s[0] * np.outer(p[:, 0], vh[0]) / 3) <= 1000 * EPS
    with pytest.raises(OutsideDomain):
        penalties.spectral_restricted_isometry_gradient(w, gram="rows", subgradient="raise")


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_distance_of_a_rank_deficient_matrix(dtype):
    q = dyadic_unitary(4, dtype, 5)
    w = (q * np.array([2.0, 0.5, 1.0, 0.0])) @ ct(dyadic_unitary(4, dtype, 6))
    partial = (q * np.array([1.0, 1.0, 1.0, 0.0])) @ ct(dyadic_unitary(4, dtype, 6))
    mean = penalties.distance_squared_gradient(w)
    assert norm(mean - 2 * (w - partial)) <= 100 * EPS
    first = penalties.distance_squared_gradient(w, subgradient="first") / 2
    u = w - first
    assert norm(ct(u) @ u - np.eye(4)) <= 100 * EPS
    for name in ("distance", "distance_squared"):
        with pytest.raises(OutsideDomain, match="not unique"):
            getattr(penalties, f"{name}_gradient")(w, subgradient="raise")
        with pytest.raises(OutsideDomain, match="not unique"):
            getattr(penalties, f"{name}_hvp")(w, w)
    # a ridge: the value falls in both directions from it as fast as the two completions say
    v = np.outer(q[:, 3], ct(dyadic_unitary(4, dtype, 6))[3])
    for side in (1, -1):
        slope = directional(lambda x: float(penalties.distance_squared(x)), w, side * v)
        assert slope == pytest.approx(-2, rel=1e-4, abs=0)


def test_zero_of_the_power_iteration():
    z = np.ones(4)
    assert penalties.spectral_restricted_isometry_power(Q, z, gram="columns") == 0
    with pytest.raises(OutsideDomain, match="vanishes"):
        penalties.spectral_restricted_isometry_power_gradient(Q, z, gram="columns", subgradient="raise")
    w = np.diag([2.0, 1.0, 1.0, 0.5])
    with pytest.raises(OutsideDomain, match="maps z to zero"):  # R z = 0 though R is not
        penalties.spectral_restricted_isometry_power(w, np.array([0, 1.0, 1.0, 0]), gram="columns")
    with pytest.raises(OutsideDomain, match="z is zero"):
        penalties.spectral_restricted_isometry_power(w, np.zeros(4), gram="columns")
    with pytest.raises(OutsideDomain, match="the value vanishes"):
        penalties.spectral_restricted_isometry_power_gradient(w, np.array([0, 1.0, 1.0, 0]), gram="columns", products=1)
    for products in (0, True, 1.0):
        with pytest.raises(ValueError, match="must be an integer of at least 1"):
            penalties.spectral_restricted_isometry_power(w, z, gram="columns", products=products)


def test_noise_is_no_direction():
    """A matrix orthonormal to rounding: G - I is rounding error, and so would be its direction."""
    w = np.linalg.qr(gaussian((6, 4), "float64", 7))[0]
    assert norm(ct(w) @ w - np.eye(4)) > 0
    for name in ("soft_orthogonality", "mutual_coherence", "mutual_coherence_induced", "spectral_restricted_isometry"):
        assert not np.any(getattr(penalties, f"{name}_gradient")(w, gram="columns"))
    assert not np.any(penalties.distance_gradient(w))


@pytest.mark.parametrize("name", ["scale_free", "cosine"])
def test_zeros_are_refused_where_lengths_are_divided_by(name):
    w = np.stack([np.eye(3), np.zeros((3, 3)) if name == "scale_free" else np.diag([1.0, 0.0, 1.0])])
    for call in (getattr(penalties, name), getattr(penalties, f"{name}_gradient")):
        with pytest.raises(OutsideDomain, match=r"zero.*batch index \(1,\)"):
            call(w, gram="columns")


def test_unknown_policy():
    with pytest.raises(ValueError, match="subgradient='zero' is not one of 'mean', 'raise'"):
        penalties.soft_orthogonality_gradient(Q, gram="rows", subgradient="zero")


def test_ties_up_to_rounding_are_ties():
    """Diagonal entries of 1.5^2 Q^H Q - I that differ in the last digits: the mean over all of them."""
    w = 1.5 * np.linalg.qr(gaussian((6, 4), "float64", 8))[0]
    diagonal = np.sum(w * w, axis=0)
    assert np.ptp(diagonal) > 0
    for name, k in (("mutual_coherence", 4), ("spectral_restricted_isometry", 4)):
        got = getattr(penalties, f"{name}_gradient")(w, gram="columns")
        assert norm(got - 2 * w / k) <= 1000 * EPS
    got = penalties.mutual_coherence_induced_gradient(w, gram="columns")
    assert abs(inner(got, w) - 2 * 1.5**2) <= 1000 * EPS  # of every row: the diagonal entry, and rounding
    assert norm(penalties.spectral_norm_gradient(w) - w / 6) <= 1000 * EPS


@pytest.mark.parametrize("backend", [late(backend) for backend in BACKENDS if backend is not NUMPY], indirect=True)
def test_policies_in_other_libraries(backend):
    """The first of equal entries and rows is the same everywhere; of equal singular values, a subgradient of norm 1."""
    for dtype in (d for d in ("float32", "complex128") if d in backend.dtypes):
        w = (1.5 * dyadic_unitary(4, dtype, 1)).astype(dtype)
        eps = float(np.finfo(dtype).eps)
        for name in ("mutual_coherence", "mutual_coherence_induced"):
            gradient = getattr(penalties, f"{name}_gradient")
            got = backend.to_numpy(gradient(backend.asarray(w), gram="columns", subgradient="first"))
            assert norm(got - gradient(w, gram="columns", subgradient="first")) <= 100 * eps
        got = backend.to_numpy(penalties.spectral_norm_gradient(backend.asarray(w), subgradient="first"))
        assert got.dtype == w.dtype and abs(norm(got) - 1) <= 100 * eps
        z = backend.asarray(w)
        got = backend.to_numpy(penalties.spectral_restricted_isometry_gradient(z, gram="rows", subgradient="first"))
        assert abs(norm(got) - 3) <= 100 * eps
        with pytest.raises(OutsideDomain):
            penalties.mutual_coherence_induced_gradient(z, gram="rows", subgradient="raise")
