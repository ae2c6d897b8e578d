"""Identities between penalties, their invariances, and what they are at known matrices."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from backends import ct, gaussian, isometry, norm
from exact import adjoint, dyadic_unitary, mul, rational

from orthoref import OutsideDomain, penalties, polar

SHAPES = [(5, 3), (3, 5), (4, 4), (1, 6)]
over_shapes = pytest.mark.parametrize("shape", SHAPES)
over_dtypes = pytest.mark.parametrize("dtype", ["float64", "complex128"])
EPS = float(np.finfo("float64").eps)
UNITARILY_INVARIANT = [
    ("soft_orthogonality", {"gram": "columns"}),
    ("soft_orthogonality_squared", {"gram": "rows"}),
    ("gain_target", {"gain": 1.5, "gram": "smaller"}),
    ("spectral_restricted_isometry", {"gram": "smaller"}),
    ("double_soft_orthogonality", {}),
    ("scale_free", {"gram": "columns"}),
    ("spectral_norm", {}),
    ("distance", {}),
    ("distance_squared", {}),
]


def unit(w, power):
    """10 max(k, 8) eps of the size of the terms, |W|^2 + root k to the power of the Gram matrix."""
    return 10 * max(*w.shape, 8) * EPS * (norm(w) ** 2 + max(w.shape) ** 0.5) ** power


def singular(w):
    return np.linalg.svd(w, compute_uv=False)


@over_dtypes
@over_shapes
def test_double_soft_is_twice_soft_and_the_difference_of_the_sides(shape, dtype):
    # (DSO2)
    w = gaussian(shape, dtype, 1)
    soft = penalties.soft_orthogonality_squared(w, gram="smaller")
    double = penalties.double_soft_orthogonality_squared(w)
    assert abs(double - (2 * soft + abs(shape[0] - shape[1]))) <= unit(w, 2)
    larger = "rows" if shape[0] > shape[1] else "columns"
    assert abs(penalties.soft_orthogonality_squared(w, gram=larger) - soft - abs(shape[0] - shape[1])) <= unit(w, 2)


@over_shapes
def test_double_soft_in_rational_arithmetic(shape):
    """The same without rounding: entries k/4, fractions."""
    w = np.round(4 * gaussian(shape, "complex128", 2)) / 4
    a = rational(w)

    def square(g, k):
        re, im = g
        return sum((re - np.eye(k, dtype=int)).ravel() ** 2) + sum(im.ravel() ** 2)

    columns, rows = square(mul(adjoint(a), a), shape[1]), square(mul(a, adjoint(a)), shape[0])
    assert rows - columns == shape[0] - shape[1]
    assert Fraction(float(penalties.double_soft_orthogonality_squared(w))) == columns + rows


@over_dtypes
@over_shapes
def test_in_singular_values(shape, dtype):
    w = gaussian(shape, dtype, 3) / 2
    s = singular(w)
    fixed = max(shape) - min(shape)
    larger = "rows" if shape[0] > shape[1] else "columns"
    for gram, more in (("smaller", 0), (larger, fixed)):
        value = penalties.soft_orthogonality_squared(w, gram=gram)
        assert abs(value - (np.sum((s**2 - 1) ** 2) + more)) <= unit(w, 2)
        worst = max([*abs(s**2 - 1), 1.0 if more else 0.0])
        assert abs(penalties.spectral_restricted_isometry(w, gram=gram) - worst) <= unit(w, 1)
        k = len(s) + more
        free = k**2 * np.sum(s**4) / np.sum(s**2) ** 2 - k
        assert abs(penalties.scale_free(w, gram=gram) - free) <= 10 * k**2 * EPS
    assert abs(penalties.distance_squared(w) - (norm(w) ** 2 - 2 * s.sum() + len(s))) <= unit(w, 1)
    assert abs(penalties.distance(w) - norm(w - polar(w).u)) <= unit(w, 1)


@over_dtypes
@over_shapes
def test_order_of_the_norms(shape, dtype):
    """|R|_2 <= |R| <= |R|_1, |R|_max <= |R|_2 <= |R|_inf, the power iteration from below, the distance between."""
    w = gaussian(shape, dtype, 4) / 2
    k = min(shape)
    z = gaussian((k,), dtype, 5)
    values = {
        name: float(getattr(penalties, name)(w, gram="smaller"))
        for name in (
            "mutual_coherence",
            "spectral_restricted_isometry",
            "soft_orthogonality",
            "absolute_sum",
            "mutual_coherence_induced",
        )
    }
    powers = [
        float(penalties.spectral_restricted_isometry_power(w, z, gram="smaller", products=p)) for p in (1, 2, 3, 200)
    ]
    slack = 1 + 100 * EPS
    chain = [values["mutual_coherence"], values["spectral_restricted_isometry"]]
    for high in ("soft_orthogonality", "absolute_sum"):
        chain.append(values[high])
    assert all(a <= b * slack for a, b in pairwise(chain))
    assert chain[1] <= values["mutual_coherence_induced"] * slack
    assert values["absolute_sum"] <= k * values["soft_orthogonality"] * slack
    chain = [*powers, values["spectral_restricted_isometry"]]
    assert all(a <= b * slack for a, b in pairwise(chain))
    far, s = float(penalties.distance(w)), singular(w)
    assert values["soft_orthogonality"] <= far * (s[0] + 1) * slack and far <= values["soft_orthogonality"] * slack


@over_dtypes
def test_the_power_iteration_is_another_function(dtype):
    """Two products are below the norm, and their gradient is neither that of the norm nor 2 W herm(u v^H)."""
    w, z = gaussian((5, 3), dtype, 6) / 2, gaussian((3,), dtype, 7)
    exact = penalties.spectral_restricted_isometry(w, gram="columns")
    two = penalties.spectral_restricted_isometry_power(w, z, gram="columns")
    assert two < 0.999 * exact
    gradient = penalties.spectral_restricted_isometry_power_gradient(w, z, gram="columns")
    exact_gradient = penalties.spectral_restricted_isometry_gradient(w, gram="columns")
    r = ct(w) @ w - np.eye(3)
    v = r @ z / np.linalg.norm(r @ z)
    u = r @ v / np.linalg.norm(r @ v)
    held = w @ (np.outer(u, v.conj()) + np.outer(v, u.conj()))
    assert norm(gradient - exact_gradient) > 0.01 * norm(gradient)
    assert norm(gradient - held) > 0.01 * norm(gradient)
    # it is the same at an eigenvector, and after many products
    vectors = np.linalg.eigh(r)[1]
    at = np.argmax(abs(np.linalg.eigvalsh(r)))
    for start, products in ((vectors[:, at], 2), (z, 400)):
        value = penalties.spectral_restricted_isometry_power(w, start, gram="columns", products=products)
        assert abs(value - exact) <= unit(w, 1)
    many = penalties.spectral_restricted_isometry_power_gradient(w, z, gram="columns", products=400)
    values = np.sort(abs(np.linalg.eigvalsh(r)))
    assert norm(many - exact_gradient) <= unit(w, 1) * norm(w) / (values[-1] - values[-2])


@pytest.mark.parametrize(("name", "options"), UNITARILY_INVARIANT)
@over_dtypes
def test_unitary_invariance(name, options, dtype):
    """f(P W Q) = f(W), and the gradient is P grad Q."""
    w = gaussian((5, 3), dtype, 8)
    p, q = isometry(5, 5, dtype, 9), isometry(3, 3, dtype, 10)
    if dtype == "float64":
        p, q = p.real, q.real
    value, gradient = getattr(penalties, name), getattr(penalties, f"{name}_gradient")
    assert abs(value(w, **options) - value(p @ w @ q, **options)) <= unit(w, 2)
    assert norm(p @ gradient(w, **options) @ q - gradient(p @ w @ q, **options)) <= unit(w, 2) * 10


@pytest.mark.parametrize(
    "name", ["absolute_sum", "mutual_coherence", "mutual_coherence_induced", "off_diagonal", "cosine"]
)
def test_penalties_of_entries_know_the_basis(name):
    """Invariant on the side that G sums over, not on its own side."""
    w = gaussian((5, 3), "float64", 11)
    p, q = isometry(5, 5, "float64", 12).real, isometry(3, 3, "float64", 13).real
    value = getattr(penalties, name)
    assert abs(value(w, gram="columns") - value(p @ w, gram="columns")) <= unit(w, 2)
    assert abs(value(w, gram="columns") - value(w @ q, gram="columns")) > 0.01 * value(w, gram="columns")


@over_dtypes
@over_shapes
def test_gain(shape, dtype):
    w, v = gaussian(shape, dtype, 14), gaussian(shape, dtype, 15)
    for gain in (0.5, 3.0, 1e-3):
        g4 = gain**4
        target, adjusted = (
            [f(w, gain=gain, gram="rows") for f in (getattr(penalties, n), getattr(penalties, f"{n}_gradient"))]
            for n in ("gain_target", "gain_adjusted")
        )
        for a, b in zip(target, adjusted, strict=True):
            assert norm(a - g4 * b) <= 20 * EPS * norm(a)
        soft = penalties.soft_orthogonality_squared(w / gain, gram="rows")
        assert abs(adjusted[0] - soft) <= unit(w / gain, 2)
        a, b = (getattr(penalties, f"{n}_hvp")(w, v, gain=gain, gram="rows") for n in ("gain_target", "gain_adjusted"))
        assert norm(a - g4 * b) <= 20 * EPS * norm(a)
    u = isometry(max(shape), min(shape), dtype, 16).astype(dtype)
    u = u if shape[0] >= shape[1] else ct(u)
    assert penalties.gain_target(3 * u, gain=3.0, gram="smaller") <= unit(3 * u, 1) ** 2
    with pytest.raises(ValueError, match="gain=0"):
        penalties.gain_adjusted(w, gain=0, gram="rows")
    with pytest.raises(ValueError, match="no normal number of float32"):
        penalties.gain_adjusted(w.real.astype("float32"), gain=1e-42, gram="rows")


def test_gain_far_from_the_matrix():
    """Sizes of gain and matrix that have no common scale: g^4 alone would leave the range."""
    w = 1e-100 * gaussian((3, 3), "float64", 17)
    assert (
        abs(
            penalties.gain_adjusted(w, gain=1e-100, gram="rows")
            - penalties.gain_adjusted(1e100 * w, gain=1.0, gram="rows")
        )
        <= 100 * EPS * norm(1e100 * w) ** 4
    )
    assert penalties.gain_target(w, gain=1e50, gram="rows") == pytest.approx(3e200, rel=1e-14, abs=0)
    with pytest.raises(OutsideDomain, match="the value overflows"):
        penalties.gain_adjusted(1e200 * w, gain=1e-10, gram="rows")


@over_dtypes
@over_shapes
def test_off_diagonal_and_lengths_make_soft(shape, dtype):
    w = gaussian(shape, dtype, 18)
    for gram, axis in (("columns", 0), ("rows", 1)):
        lengths = np.sum(abs(w) ** 2, axis=axis)
        soft = penalties.soft_orthogonality_squared(w, gram=gram)
        assert abs(penalties.off_diagonal(w, gram=gram) + np.sum((lengths - 1) ** 2) - soft) <= unit(w, 2)
        y = w / np.expand_dims(lengths**0.5, axis)
        assert abs(penalties.cosine(w, gram=gram) - penalties.off_diagonal(y, gram=gram)) <= unit(y, 2)


@over_dtypes
@over_shapes
def test_what_is_ignored_is_orthogonal_to_the_gradient(shape, dtype):
    w = gaussian(shape, dtype, 19)
    g = penalties.scale_free_gradient(w, gram="columns")
    assert abs(np.sum((w.conj() * g).real)) <= unit(w, 1) * (norm(g) + 1)
    for gram, axis in (("columns", 0), ("rows", 1)):
        g = penalties.cosine_gradient(w, gram=gram)
        assert np.all(abs(np.sum((w.conj() * g).real, axis=axis)) <= unit(w, 1) * (norm(g) + 1))
    for c in (1e-90, 3.0, 1e120):
        assert abs(penalties.scale_free(c * w, gram="rows") - penalties.scale_free(w, gram="rows")) <= 1000 * EPS
        assert abs(penalties.cosine(c * w, gram="rows") - penalties.cosine(w, gram="rows")) <= 1000 * EPS


@over_shapes
def test_the_gram_matrix_does_not_matter_to_the_gradient_of_the_square(shape):
    """W (W^H W - I) = (W W^H - I) W: (SO2-GRAD)."""
    w = gaussian(shape, "complex128", 20)
    columns, rows = (penalties.soft_orthogonality_squared_gradient(w, gram=gram) for gram in ("columns", "rows"))
    assert norm(columns - rows) <= unit(w, 1) * 4 * norm(w)


@over_dtypes
@over_shapes
def test_zero_at_orthonormal_matrices(shape, dtype):
    """Exactly: entries k/4."""
    k, n = max(shape), min(shape)
    w = dyadic_unitary(k, dtype, 3)[:, :n]
    w = w if shape[0] >= shape[1] else ct(w)
    for name in ("soft_orthogonality", "soft_orthogonality_squared", "off_diagonal", "mutual_coherence",
                 "mutual_coherence_induced", "absolute_sum", "cosine", "scale_free"):  # fmt: skip
        assert getattr(penalties, name)(w, gram="smaller") == 0
        assert not np.any(getattr(penalties, f"{name}_gradient")(w, gram="smaller"))
    assert penalties.spectral_restricted_isometry(w, gram="smaller") <= unit(w, 1)
    assert not np.any(penalties.spectral_restricted_isometry_gradient(w, gram="smaller"))
    z = np.ones(n, dtype)
    assert penalties.spectral_restricted_isometry_power(w, z, gram="smaller") == 0
    assert not np.any(penalties.spectral_restricted_isometry_power_gradient(w, z, gram="smaller"))
    assert penalties.distance(w) <= unit(w, 1) and not np.any(penalties.distance_gradient(w))
    assert norm(penalties.distance_squared_gradient(w)) <= unit(w, 1)
    # the larger Gram matrix cannot be the identity
    larger = "rows" if shape[0] > shape[1] else "columns"
    if k > n:
        assert penalties.soft_orthogonality_squared(w, gram=larger) == k - n
        assert not np.any(penalties.spectral_restricted_isometry_gradient(w, gram=larger, subgradient="raise"))


def test_hessian_at_the_minimum_is_eight_times_the_symmetric_part():
    """D^2 |W^H W - I|^2 at W^H W = I: zero on tangents, 8 X sym(X^H V) beside them."""
    x = dyadic_unitary(6, "complex128", 4)[:, :3]
    v = gaussian((6, 3), "complex128", 21)
    s = ct(x) @ v
    got = penalties.soft_orthogonality_squared_hvp(x, v, gram="columns")
    assert norm(got - 4 * x @ (s + ct(s))) <= unit(v, 1)
    assert norm(penalties.distance_squared_hvp(x, v) - x @ (s + ct(s))) <= unit(v, 1)


@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_newton_from_the_gradient_and_the_hessian(gain):
    """A Newton step in the span of W scaling solves the scalar problem: the derivatives belong to one function."""
    w = 1.1 * gain * dyadic_unitary(4, "float64", 5)
    gradient = penalties.gain_target_gradient(w, gain=gain, gram="rows")
    bent = penalties.gain_target_hvp(w, w, gain=gain, gram="rows")
    t, g2 = 1.1, gain**2
    assert norm(gradient - 4 * g2 * (t**2 - 1) * w) <= unit(w, 2)
    assert norm(bent - 4 * g2 * (3 * t**2 - 1) * w) <= unit(w, 2)
