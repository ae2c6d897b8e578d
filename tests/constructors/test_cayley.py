"""Cayley transforms: the conventions in use, what is reached and what is refused, the exact defect of the series."""

from contextlib import suppress

import numpy as np
import pytest
from backends import ct, gaussian, norm
from constructor_rows import skew, unitary
from exact import adjoint, equal, mul, rational
from volume import log_volume

from orthoref import (
    OutsideDomain,
    cayley,
    cayley_jvp,
    cayley_log_jacobian,
    cayley_neumann,
    cayley_neumann_defect,
    cayley_rectangular,
    cayley_vjp,
    inverse_cayley,
    inverse_cayley_jvp,
    skew_exp,
    skew_from_vector,
)

EPS = float(np.finfo("float64").eps)
FIELDS = ("float64", "complex128")


def limit(a, c=1.0):
    """Error of a value in the Frobenius norm: ten units of n eps (1 + |cA|)."""
    return 10 * len(a) * EPS * (1 + c * norm(a)) * len(a) ** 0.5


# --- conventions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FIELDS)
def test_formulas_in_use(dtype):
    a, eye, inv = skew((4, 4), dtype, 1), np.eye(4), np.linalg.inv
    d = np.asarray([1.0, -1, -1, 1], dtype)
    table = [
        ({}, inv(eye + a) @ (eye - a)),  # textbook
        ({"diagonal": d}, inv(eye + a) @ (eye - a) @ np.diag(d)),  # scoRNN
        ({"sign": -1}, inv(eye - a) @ (eye + a)),  # expRNN, PEFT's PSOFT
        ({"sign": -1, "factor": 0.5}, inv(eye - a / 2) @ (eye + a / 2)),  # torch, geotorch
        ({"side": "right"}, (eye - a) @ inv(eye + a)),  # PEFT's OFT and BOFT
        ({"factor": 0.5}, inv(eye + a / 2) @ (eye - a / 2)),  # Wen and Yin, tau = 1
        ({"factor": 0.15, "sign": -1}, inv(eye - 0.15 * a) @ (eye + 0.15 * a)),  # Kong et al., alpha = 0.3
    ]
    for options, q in table:
        assert norm(cayley(a, **options) - q) <= limit(a), options
    np.testing.assert_array_equal(cayley(2 * a, factor=0.5), cayley(a))
    assert norm(cayley(-a) - ct(cayley(a))) <= limit(a)


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", FIELDS)
def test_torch_parametrization_forward_and_backward(dtype):
    """Its A = tril(X) - tril(X)^H, its base, and the gradient of X: tril(2 A_bar)."""
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(4, 4, bias=False, dtype=getattr(torch, dtype))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(unitary((), 4, 4, dtype, 2)))
    layer = torch.nn.utils.parametrizations.orthogonal(layer, orthogonal_map="cayley")
    x, base = layer.parametrizations.weight.original, layer.parametrizations.weight[0].base.numpy()
    with torch.no_grad():
        x.copy_(torch.tensor(gaussian((4, 4), dtype, 3)))
    bar = gaussian((4, 4), dtype, 4)
    layer.weight.backward(torch.tensor(bar))
    low = np.tril(x.detach().numpy())
    a, options = low - ct(low), {"sign": -1, "factor": 0.5}
    assert norm(base @ cayley(a, **options) - layer.weight.detach().numpy()) <= limit(a)
    x_bar = np.tril(2 * cayley_vjp(a, ct(base) @ bar, **options))
    assert norm(x_bar - x.grad.numpy()) <= limit(a) * norm(bar) * (1 + norm(a))


@pytest.mark.parametrize("dtype", FIELDS)
def test_half_is_exp_to_second_order(dtype):
    """cayley(tA, factor=1/2) - exp(-tA) = -t^3 A^3/12 + O(t^4): without the 1/2 they differ in the first order."""
    a = skew((4, 4), dtype, 12)
    for t in (1e-2, 5e-3):
        difference = cayley(t * a, factor=0.5) - skew_exp(-t * a)
        assert norm(difference + t**3 * a @ a @ a / 12) <= t**4 * norm(a) ** 4
        assert norm(cayley(t * a) - skew_exp(-t * a)) >= t * norm(a) / 2


def test_other_triangles():
    """PEFT fills the strict upper triangle by rows: minus the lower one by columns; half the difference is BOFT's."""
    x = gaussian((6,), "float64", 5)
    upper = np.zeros((4, 4))
    upper[np.triu_indices(4, 1)] = x
    np.testing.assert_array_equal(upper - upper.T, -skew_from_vector(x, order="columns"))
    lower = np.zeros((4, 4))
    lower[np.tril_indices(4, -1)] = x
    np.testing.assert_array_equal(lower - lower.T, skew_from_vector(x))


def test_rectangular_as_published():
    u, v = gaussian((3, 3), "complex128", 6), gaussian((2, 3), "complex128", 7)
    a = u - ct(u) + ct(v) @ v
    inverse = np.linalg.inv(np.eye(3) + a)
    q = cayley_rectangular(np.concat([u, v]))
    assert norm(q - np.concat([inverse @ (np.eye(3) - a), -2 * v @ inverse])) <= 10 * 5 * EPS * norm(a) ** 2
    assert norm(ct(q) @ q - np.eye(3)) <= 10 * 5 * EPS * norm(a)
    assert norm(cayley_rectangular(u) - cayley(u - ct(u))) <= limit(2 * u)
    with pytest.raises(ValueError, match="pass the adjoint"):
        cayley_rectangular(np.ones((2, 3)))


# --- what is reached --------------------------------------------------------------------------------------------------


def rotation(t):
    return np.asarray([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])


def test_without_a_diagonal_minus_one_is_no_eigenvalue():
    """(1 - it)/(1 + it) = -1 for no t: the half turn is a limit, and inverse_cayley says how near it is."""
    j = np.asarray([[0.0, -1.0], [1.0, 0.0]])
    for t in 2.0 ** np.arange(0, 30, 3):
        q = cayley(t * j)  # exactly (1 - t^2, 2t)/(1 + t^2)
        gap = 2 / (1 + t * t)
        assert norm(q + np.eye(2)) == pytest.approx(
            2**0.5 * (gap**2 + (2 * t / (1 + t * t)) ** 2) ** 0.5, rel=1e-6, abs=0
        )
    with pytest.raises(OutsideDomain, match=r"eigenvalue of Q D is -1 .* = 0.0e\+00.*batch index \(1,\)"):
        inverse_cayley(np.stack([np.eye(2), -np.eye(2)]))
    with pytest.raises(OutsideDomain, match="eigenvalue of Q D is -1"):
        inverse_cayley(np.diag([1.0, -1.0]))  # det = -1: real, so -1 is an eigenvalue of all of these
    near = rotation(np.pi - 1e-6)
    a = inverse_cayley(near).a
    assert norm(cayley(a) - near) <= limit(a)
    with pytest.raises(OutsideDomain, match="eigenvalue of Q D is -1"):
        inverse_cayley_jvp(-np.eye(2), j)


def hard_orthogonal(dtype):
    yield from (np.eye(n, dtype=dtype) * s for n in (1, 2, 5) for s in (1, -1))
    yield from (np.eye(5, dtype=dtype)[p] for p in ([1, 2, 3, 4, 0], [4, 3, 2, 1, 0], [1, 0, 2, 4, 3]))
    yield np.asarray([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], dtype) / 2
    yield from (unitary((), n, n, dtype, 10 + n) for n in (2, 3, 6, 9))
    for n, t in ((3, np.pi), (4, np.pi - 1e-9), (6, np.pi - 1e-5)):  # eigenvalues at and near -1
        block = np.eye(n)
        block[:2, :2] = rotation(t)
        v = unitary((), n, n, dtype, n)
        yield v @ block @ ct(v)
    if dtype == "complex128":
        yield np.diag(np.exp(1j * np.asarray([np.pi, 3.0, -3.1, 1e-8])))


@pytest.mark.parametrize("dtype", FIELDS)
def test_with_a_diagonal_every_matrix_is_reached(dtype):
    diagonal, beside = (2.0, 6**0.5) if dtype == "complex128" else (0.0, 2**0.5)
    for q in hard_orthogonal(dtype):
        a, d = inverse_cayley(q, diagonal="auto")
        n = len(q)
        rounding = 10 * n * EPS * (1 + norm(a) ** 2)
        np.testing.assert_array_equal(a, -ct(a))
        assert norm(cayley(a, diagonal=d) - q) <= 2 * rounding
        assert (abs(np.diagonal(a)) <= diagonal + rounding).all()
        assert (abs(a - np.diag(np.diagonal(a))) <= beside + rounding).all()
        assert set(d.real) <= {1.0, -1.0}


def test_few_signs_are_changed(monkeypatch):
    """The determinant is at least 1, at most 2^n, and doubles: n times at most. Here: how often, over 200 matrices."""
    module = __import__("orthoref._constructors.cayley", fromlist=["_signs"])
    xp, inverses = __import__("array_api_compat.numpy", fromlist=["linalg"]), []
    original = xp.linalg.inv
    monkeypatch.setattr(xp.linalg, "inv", lambda x: (inverses.append(len(x)), original(x))[1])
    for seed in range(200):
        q = unitary((), 6, 6, "float64", seed)
        inverses.clear()
        d = module._signs(q, xp)
        assert len(inverses) <= 6
        assert np.linalg.det(np.eye(6) + q * d) >= 1 - 1e-9  # |det| of six columns of length 2 at most


def test_stack_of_mixed_signs():
    """One matrix of a stack needs other signs, and more changes, than the others."""
    stack = np.stack([np.eye(4), -np.eye(4), unitary((), 4, 4, "float64", 3), np.diag([1.0, -1, 1, -1])])
    a, d = inverse_cayley(stack, diagonal="auto", sign=-1, factor=0.5)
    for i, q in enumerate(stack):
        alone = inverse_cayley(q, diagonal="auto", sign=-1, factor=0.5)
        np.testing.assert_array_equal(d[i], alone.diagonal)
        assert norm(a[i] - alone.a) <= limit(a[i])


# --- series -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("terms", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", FIELDS)
def test_defect_formula_is_exact(terms, dtype):
    """In rational arithmetic, of a matrix of small dyadic numbers: not a bit is rounded."""
    a = np.asarray([[0, 1, -2], [-1, 0, 1], [2, -1, 0]]) / 4
    if dtype == "complex128":
        a = a + 1j * np.asarray([[1, 2, 0], [2, 0, 1], [0, 1, -1]]) / 4
    options = {"terms": terms, "sign": -1, "factor": 0.5}
    q = rational(cayley_neumann(a, **options))
    gram = mul(adjoint(q), q)
    eye = rational(np.eye(3))
    assert equal(rational(cayley_neumann_defect(a, **options)), (gram[0] - eye[0], gram[1] - eye[1]))


@pytest.mark.parametrize("theta", [0.5, 1.0, 2.0])
def test_five_terms_of_peft(theta):
    """I + 2Q + 2Q^2 + 2Q^3 + Q^4: singular values |1 - theta^4|, 0 at theta = 1, and no sign of divergence before 1."""
    s = theta * np.asarray([[0.0, -1.0], [1.0, 0.0]])
    series = np.eye(2) + 2 * s + 2 * s @ s + 2 * s @ s @ s + s @ s @ s @ s
    q = cayley_neumann(s, terms=4, sign=-1)
    assert norm(q - series) <= 10 * 2 * EPS * (1 + theta) ** 5
    assert abs(np.linalg.svd(q)[1] - abs(1 - theta**4)).max() <= 10 * 2 * EPS * (1 + theta) ** 5


# --- accuracy, ends of the range --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FIELDS)
@pytest.mark.parametrize("size", [1e-200, 1e-9, 1e3, 1e6, 1e9])
def test_defect_grows_with_the_size_of_a(size, dtype):
    a = skew((6, 6), dtype, 8) * size
    for side in ("left", "right"):
        q = cayley(a, side=side)
        assert norm(ct(q) @ q - np.eye(6)) <= 2 * limit(a)


def test_numbers_without_a_digit():
    """At 1e300 the even order is -I to rounding; of odd order the axis is fixed whatever the size."""
    even, odd = skew((2, 2), "float64", 9), skew((3, 3), "float64", 9)
    assert norm(cayley(even * 1e300) + np.eye(2)) <= 20 * EPS
    with np.errstate(all="ignore"), suppress(OutsideDomain):  # I + A may be singular in floating point
        assert np.isfinite(cayley(odd * 1e300)).all()


def test_empty_and_wrong():
    assert cayley(np.zeros((0, 0))).shape == (0, 0) and cayley(np.zeros((0, 3, 3))).shape == (0, 3, 3)
    assert inverse_cayley(np.zeros((2, 0, 0)), diagonal="auto").diagonal.shape == (2, 0)
    assert cayley_rectangular(np.zeros((3, 0))).shape == (3, 0)
    assert cayley_log_jacobian(np.zeros((2, 0, 0))).shape == (2,)
    a = skew((3, 3), "float64", 10)
    for options in ({"sign": 2}, {"sign": True}, {"factor": 0.0}, {"factor": np.inf}, {"factor": "1"}, {"side": "up"}):
        with pytest.raises(ValueError, match=r"sign|factor|side"):
            cayley(a, **options)
    for diagonal, error in ((np.ones(2), "diagonal has shape"), (np.asarray([1.0, 1.0, 0.5]), "1 and -1")):
        with pytest.raises(ValueError, match=error):
            cayley(a, diagonal=diagonal)
    with pytest.raises(TypeError, match="diagonal"):
        cayley(a, diagonal=[1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="is not one of"):
        inverse_cayley(np.eye(3), diagonal="best")
    with pytest.raises(OutsideDomain, match=r"a is not skew-Hermitian: .* = 1.0e\+00 \|A\|"):
        cayley(np.eye(2))
    with pytest.raises(OutsideDomain, match="a_dot is not skew-Hermitian"):
        cayley_jvp(a, np.eye(3))
    with pytest.raises(OutsideDomain, match="q is not unitary"):
        inverse_cayley(2 * np.eye(3))
    with pytest.raises(ValueError, match="must be square"):
        cayley(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="terms=0"):
        cayley_neumann(a, terms=0)


# --- volume -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["real", "complex"])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_log_jacobian(n, field):
    count = n * n if field == "complex" else n * (n - 1) // 2
    a = skew_from_vector(gaussian((count,), "float64", 11), field=field)
    for options in ({}, {"sign": -1, "factor": 0.5}):
        q = cayley(a, **options)
        value, error = log_volume(q, n, lambda x: cayley_jvp(a, skew_from_vector(x, field=field), **options), count)  # noqa: B023
        factor = options.get("factor", 1.0)
        assert abs(float(cayley_log_jacobian(a, factor=factor)) - value) <= error * (1 + norm(a)) + limit(a)
