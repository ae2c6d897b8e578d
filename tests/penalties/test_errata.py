"""The errata of the literature on penalties: the printed formula, why it is wrong, and the right one. docs/errata."""

from fractions import Fraction

import numpy as np
import pytest
from backends import ct, gaussian, norm
from exact import dyadic_unitary

from orthoref import penalties

W = np.array([[1.0, 2.0], [0.0, 1.0]])


def square(a):
    """Sum of squares of fractions."""
    return sum(Fraction(x) ** 2 for x in a.ravel())


def exact_slope(f, w, v):
    """Derivative at 0 of a polynomial of degree 4 in t, exactly: five fractions determine it."""
    frac = np.vectorize(lambda x: Fraction(float(x)))
    w, v = frac(w), frac(v)
    values = {t: f(w + t * v) for t in (-2, -1, 1, 2)}
    return (8 * (values[1] - values[-1]) - (values[2] - values[-2])) / 12


def eye(n):
    return np.array([[Fraction(int(i == j)) for j in range(n)] for i in range(n)])


def test_p1_order_of_the_factors():
    """4 W (W W^T - I) is no gradient of |W W^T - I|^2, square; for other shapes it does not exist."""
    v = np.array([[0.0, 1.0], [0.0, 0.0]])
    slope = exact_slope(lambda w: square(w @ w.T - eye(2)), W, v)
    printed = float(np.sum(4 * W @ (W @ W.T - np.eye(2)) * v))
    right = float(np.sum(4 * (W @ W.T - np.eye(2)) @ W * v))
    assert slope == right == np.sum(penalties.soft_orthogonality_squared_gradient(W, gram="rows") * v) != printed
    wide = np.ones((2, 3))
    with pytest.raises(ValueError, match="mismatch in its core dimension"):
        wide @ (wide @ wide.T - np.eye(2))


def test_p2_gradient_of_the_gain_adjusted_penalty():
    """(4/g^4) W (W W^T - I) does not vanish where the penalty is zero; W g^2 is missing, and the order."""
    g, q = 2.0, dyadic_unitary(4, "float64", 1)
    w = g * q
    assert penalties.gain_adjusted(w, gain=g, gram="rows") == 0
    assert not np.any(penalties.gain_adjusted_gradient(w, gain=g, gram="rows"))
    printed = 4 / g**4 * w @ (w @ w.T - np.eye(4))
    assert norm(printed) == pytest.approx(4 / g**4 * g * (g**2 - 1) * 2, rel=1e-14, abs=0)
    v = np.array([[0.0, 1.0], [0.0, 0.0]])
    slope = exact_slope(lambda x: square(x @ x.T / Fraction(4) - eye(2)), W, v)
    assert slope == np.sum(penalties.gain_adjusted_gradient(W, gain=g, gram="rows") * v)


def test_p3_one_is_not_the_identity():
    """mean((W^T W/g^2 - 1)^2): not zero at g times an orthogonal matrix, zero where all columns are the same."""
    g, n = 2.0, 4

    def printed(w):
        return np.mean((w.T @ w / g**2 - 1) ** 2)

    assert printed(g * dyadic_unitary(n, "float64", 2)) == (n * n - n) / n**2
    column = g * np.eye(n)[:, :1]
    redundant = np.tile(column, (1, n))  # rank 1
    assert printed(redundant) == 0 and np.linalg.matrix_rank(redundant) == 1
    # and the mean is 1/n^2 of the sum in the formula
    w = gaussian((n, n), "float64", 3)
    r = w.T @ w / g**2 - np.eye(n)
    assert np.mean(r**2) == pytest.approx(penalties.gain_adjusted(w, gain=g, gram="columns") / n**2, rel=1e-13, abs=0)


def test_p4_norm_of_a_scaled_orthogonal_matrix():
    """W W^T = g^2 I has the spectral norm g, not g^2."""
    w = 3 * dyadic_unitary(4, "float64", 3)
    assert np.array_equal(w @ w.T, 9 * np.eye(4))
    assert penalties.spectral_norm(w) == pytest.approx(3, rel=1e-15, abs=0)


def test_p5_orthonormal_columns_are_not_orthonormal_rows():
    """{W of n x k : W W^T = I} is empty for k < n; the manifold is W^T W = I."""
    w = np.eye(5, 2)
    assert penalties.soft_orthogonality(w, gram="columns") == 0
    for seed in range(20):  # the least value over all W is n - k: (SO2)
        assert penalties.soft_orthogonality_squared(gaussian((5, 2), "float64", seed), gram="rows") >= 3


def test_p6_what_is_squared():
    """SO and DSO with and without squares: same name, other gradients, and DSO is never zero if not square."""
    q = dyadic_unitary(4, "float64", 4)
    for t in (1e-2, 1e-4, 1e-6):  # towards an orthogonal matrix
        w = (1 + t) * q
        assert norm(penalties.soft_orthogonality_gradient(w, gram="rows")) == pytest.approx(
            2 * (1 + t), rel=1e-9, abs=0
        )
        assert norm(penalties.soft_orthogonality_squared_gradient(w, gram="rows")) <= 17 * t
    tall = q[:, :3]
    assert penalties.double_soft_orthogonality(tall) == 1
    assert penalties.double_soft_orthogonality_squared(tall) == 1
    # without squares the double one also has other gradients than the single one
    w = gaussian((5, 3), "float64", 5)
    single = penalties.soft_orthogonality_squared_gradient(w, gram="columns")
    squares, norms = (
        penalties.double_soft_orthogonality_squared_gradient(w),
        penalties.double_soft_orthogonality_gradient(w),
    )
    assert norm(squares - 2 * single) <= 1e-13 * norm(single)
    columns, rows = (penalties.soft_orthogonality(w, gram=gram) for gram in ("columns", "rows"))
    assert norm(norms - single * (1 / columns + 1 / rows) / 2) <= 1e-13 * norm(norms)


def test_p7_one_column_has_no_corners():
    """| |x|^2 - 1 | of one vector is a function of its length: its gradient points to the nearest unit vector.

    Coordinates matter from two columns on, where the sum has entries beside the diagonal.
    """
    x = np.array([[0.01], [1.5]])
    for name in ("absolute_sum", "soft_orthogonality_squared"):
        g = getattr(penalties, f"{name}_gradient")(x, gram="columns")
        assert abs(float(g[0, 0] * x[1, 0] - g[1, 0] * x[0, 0])) <= 1e-15 * norm(g) * norm(x)  # parallel
    assert norm(penalties.absolute_sum_gradient(x, gram="columns") / (2 * x) - 1) <= 1e-15  # not (1, 1)
    # what does single out axes: the same matrix in another basis of its columns
    w = gaussian((4, 2), "float64", 6)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    a, b = (float(penalties.absolute_sum(z, gram="columns")) for z in (w, w @ turn))
    c, d = (float(penalties.soft_orthogonality_squared(z, gram="columns")) for z in (w, w @ turn))
    assert abs(a - b) > 0.1 * a and abs(c - d) <= 1e-13 * c
    # and the kink: near an orthogonal matrix its gradient does not get small
    q = dyadic_unitary(4, "float64", 5)
    assert norm(penalties.absolute_sum_gradient((1 + 1e-9) * q, gram="rows")) > 3
    assert norm(penalties.soft_orthogonality_squared_gradient((1 + 1e-9) * q, gram="rows")) < 1e-7


def test_p8_minus_one_and_the_determinant():
    """det(-Q) = (-1)^n det Q: nothing is flipped for even n, 500 in the script."""
    for n in (2, 3, 4, 5):
        q = np.eye(n)
        q[0, 0] = -1
        assert np.linalg.det(q) == -1 and np.linalg.det(-q) == (-1) ** (n + 1)
    sign, _ = np.linalg.slogdet(-np.diag([-1.0] + 499 * [1.0]))
    assert sign == -1
    q[0] *= -1  # one row does it for every n
    assert np.linalg.det(q) == 1


def test_p9_eigenvalues_are_not_singular_values():
    """A spectrum within [1 - m, 1 + m] bounds nothing: eigenvalues 1, 1 and norms of 1 and more."""
    w = np.array([[1.0, 100.0], [0.0, 1.0]])
    assert np.array_equal(np.linalg.eigvals(w), [1, 1])
    assert penalties.spectral_norm(w) > 100
    assert penalties.distance(w) > 99
    bounded = penalties.singular_value_bounding(w, lower=0.9, upper=1.1)
    assert penalties.spectral_norm(bounded) <= 1.1 * (1 + 1e-14)
    # and eigenvalues of modulus 1 in number for orthogonal matrices: i, -i are in no interval about 1
    assert np.allclose(abs(np.linalg.eigvals(np.array([[0.0, -1], [1, 0]])) - 1), 2**0.5, rtol=1e-15, atol=0)


def test_p10_restricted_isometry_of_the_wrong_side():
    """W^T W of a wide matrix (a convolution with more inputs than outputs): the penalty is at least 1, and flat."""
    w = gaussian((3, 12), "float64", 7)
    w = w / np.linalg.norm(w, 2)
    assert penalties.spectral_restricted_isometry(w, gram="columns") == 1
    assert not np.any(penalties.spectral_restricted_isometry_gradient(w, gram="columns", subgradient="raise"))
    assert penalties.spectral_restricted_isometry(w, gram="rows") < 1
    assert norm(penalties.spectral_restricted_isometry_gradient(w, gram="rows")) > 0


def test_p10_the_code_in_circulation():
    """Three normalised products and their inner product, squared: the square of two products, gradient and all."""
    torch = pytest.importorskip("torch")
    w, z = gaussian((5, 3), "float64", 8) / 2, gaussian((3,), "float64", 9)
    a = torch.tensor(w, requires_grad=True)
    r = a.T @ a - torch.eye(3, dtype=torch.float64)
    u = torch.nn.functional.normalize(torch.tensor(z), dim=0)
    v = torch.nn.functional.normalize(r @ u, dim=0)
    u = torch.nn.functional.normalize(r @ v, dim=0)
    sigma = torch.dot(u, r @ v)
    (sigma**2).backward()
    value = penalties.spectral_restricted_isometry_power(w, z, gram="columns")
    gradient = penalties.spectral_restricted_isometry_power_gradient(w, z, gram="columns")
    assert abs(float(sigma.detach()) - float(value)) <= 1e-14 * float(value)
    assert norm(a.grad.numpy() - 2 * float(value) * gradient) <= 1e-13 * norm(a.grad.numpy())


def test_p11_a_matrix_with_a_conjugate_has_two_conjugates():
    """W^T W of a complex matrix is no Gram matrix: its penalty is zero at no unitary matrix but the real ones."""
    q = dyadic_unitary(4, "complex128", 6)
    assert penalties.soft_orthogonality(q, gram="columns") == 0
    assert norm(q.T @ q - np.eye(4)) > 1 and norm(ct(q) @ q - np.eye(4)) == 0
