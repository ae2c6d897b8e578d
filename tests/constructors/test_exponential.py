"""Exponential and logarithm: libraries, round trips, eigenvalues that repeat or are -1, large matrices."""

import numpy as np
import pytest
from backends import ct, gaussian, norm
from constructor_rows import skew, unitary
from volume import log_volume

from orthoref import (
    OutsideDomain,
    skew_exp,
    skew_exp_jvp,
    skew_exp_log_jacobian,
    skew_exp_vjp,
    skew_from_vector,
    skew_log,
    skew_log_jvp,
    skew_log_vjp,
)

EPS = float(np.finfo("float64").eps)
FIELDS = ("float64", "complex128")


def limit(a):
    """Ten units of n eps (1 + |A|)."""
    return 10 * a.shape[-1] * EPS * (1 + norm(a))


@pytest.mark.parametrize("dtype", FIELDS)
@pytest.mark.parametrize("n", [1, 2, 7])
def test_scipy(n, dtype):
    linalg = pytest.importorskip("scipy.linalg")
    a = skew((n, n), dtype, 1)
    assert norm(skew_exp(a) - linalg.expm(a)) <= 2 * limit(a)


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", FIELDS)
def test_torch_parametrization_forward_and_backward(dtype):
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(4, 4, bias=False, dtype=getattr(torch, dtype))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(unitary((), 4, 4, dtype, 2)))
    layer = torch.nn.utils.parametrizations.orthogonal(layer, orthogonal_map="matrix_exp")
    x, base = layer.parametrizations.weight.original, layer.parametrizations.weight[0].base.numpy()
    with torch.no_grad():
        x.copy_(torch.tensor(gaussian((4, 4), dtype, 3)))
    bar = gaussian((4, 4), dtype, 4)
    layer.weight.backward(torch.tensor(bar))
    low = np.tril(x.detach().numpy())
    a = low - ct(low)
    assert norm(base @ skew_exp(a) - layer.weight.detach().numpy()) <= 2 * limit(a)
    assert norm(np.tril(2 * skew_exp_vjp(a, ct(base) @ bar)) - x.grad.numpy()) <= 4 * limit(a) * norm(bar)


@pytest.mark.parametrize("dtype", FIELDS)
def test_at_zero_and_at_multiples_of_the_identity(dtype):
    """All eigenvalues are equal: exp(itI) has the derivative e^{it} A_dot, nothing is divided by a difference."""
    e = skew((4, 4), dtype, 5)
    np.testing.assert_array_equal(skew_exp(np.zeros((4, 4), dtype)), np.eye(4))
    assert norm(skew_exp_jvp(np.zeros((4, 4), dtype), e) - e) <= limit(e)
    if dtype == "complex128":
        t = 0.7
        assert norm(skew_exp_jvp(1j * t * np.eye(4), e) - np.exp(1j * t) * e) <= limit(e)
        assert norm(skew_log_jvp(np.exp(1j * t) * np.eye(4), np.exp(1j * t) * e) - e) <= limit(e)


@pytest.mark.parametrize("dtype", FIELDS)
@pytest.mark.parametrize("gap", [0.0, 1e-300, 1e-12, 1e-8, 1e-4])
def test_nearly_equal_eigenvalues(gap, dtype):
    """Two planes, or two lines, that turn at nearly the same rate: by the block form of the derivative.

    exp of [[A, E], [0, A]] has the derivative in the corner, and no eigenvalue enters; by 40 terms of its series.
    """
    a = np.kron(np.diag([0.5, 0.5 + gap]), [[0.0, -1.0], [1.0, 0.0]]).astype(dtype)
    e = skew((4, 4), dtype, 6)
    block = np.block([[a, e], [0 * a, a]])
    total, power = np.eye(8, dtype=dtype), np.eye(8, dtype=dtype)
    for k in range(1, 40):
        power = power @ block / k
        total = total + power
    assert norm(skew_exp_jvp(a, e) - total[:4, 4:]) <= limit(a) * (1 + norm(e))


@pytest.mark.parametrize("dtype", FIELDS)
@pytest.mark.parametrize("size", [1e-300, 1e-8, 1e4, 1e9, 1e150, 1e300])
def test_unitary_whatever_the_size(size, dtype):
    a = skew((5, 5), dtype, 7) * size
    if dtype == "float64" and size >= 1e150:
        with pytest.raises(OutsideDomain, match=r"so large .*, batch index \(1,\)"):
            skew_exp(np.stack([a / size, a]))
        return
    q = skew_exp(a)
    assert norm(ct(q) @ q - np.eye(5)) <= 10 * 5 * EPS * 5**0.5
    if dtype == "float64":
        assert np.linalg.det(q) > 0  # SO(n), and not O(n)


def circle(n, angles, seed):
    u = unitary((), n, n, "complex128", seed)
    return (u * np.exp(1j * np.asarray(angles))) @ ct(u)


def hard_unitary():
    yield from (np.eye(n) * z for n in (1, 4) for z in (1, -1 + 0j, 1j))
    yield from (np.eye(6, dtype=complex)[p] for p in ([1, 2, 3, 4, 5, 0], [5, 4, 3, 2, 1, 0]))
    yield circle(20, np.linspace(-np.pi, np.pi, 20, endpoint=False), 8)  # the widest gap is pi/10
    yield circle(5, [np.pi, np.pi - 1e-9, -np.pi + 1e-9, 3.0, -3.0], 9)
    yield circle(6, [1.0, 1.0, 1.0, 1 + 1e-12, -2.0, -2.0], 10)
    yield circle(5, 2 * np.pi * 0.6180339887498949 * np.arange(1, 6), 11)  # opposite to the turns that are tried
    yield unitary((), 8, 8, "complex128", 12)
    yield np.asarray([[1, 1, 1, 1], [1, 1j, -1, -1j], [1, -1, 1, -1], [1, -1j, -1, 1j]]) / 2


def test_every_unitary_matrix_has_a_logarithm():
    for q in hard_unitary():
        q = np.asarray(q, complex)
        a = skew_log(q)
        np.testing.assert_array_equal(a, -ct(a))
        assert norm(skew_exp(a) - q) <= 2 * limit(a)
        assert abs(np.linalg.eigvalsh(1j * a)).max() <= np.pi + limit(a)


@pytest.mark.parametrize("n", [2, 3, 6])
@pytest.mark.parametrize("dtype", FIELDS)
def test_parameters_to_matrix_to_parameters(n, dtype):
    a = skew((n, n), dtype, 13)
    a = a * (3.0 / np.linalg.norm(a, 2))
    loss = 3.0 / np.sin(3.0)  # x/sin x at half the largest difference of eigenvalues
    assert norm(skew_log(skew_exp(a)) - a) <= 2 * loss * limit(a)


def test_half_turns():
    """Of a real matrix refused with the distance, of the same matrix as a complex one answered."""
    turn = np.diag([-1.0, -1.0, 1.0])
    with pytest.raises(OutsideDomain, match=r"eigenvalue of q is -1 .* pi - \|w\| = .* batch index \(1,\)"):
        skew_log(np.stack([np.eye(3), turn]))
    with pytest.raises(OutsideDomain, match="eigenvalue of q is -1"):
        skew_log(np.diag([1.0, -1.0]))
    a = skew_log(turn + 0j)
    assert norm(a - 1j * np.pi * np.diag([1, 1, 0])) <= limit(a) and norm(skew_exp(a) - turn) <= limit(a)
    for f in (skew_log_jvp, skew_log_vjp):
        with pytest.raises(OutsideDomain, match="eigenvalue of q is -1"):
            f(turn + 0j, turn @ skew((3, 3), "complex128", 14))
    t = np.pi - 1e-7
    near = np.asarray([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    assert norm(skew_log(near) - t * np.asarray([[0.0, -1], [1, 0]])) <= 40 * EPS  # commutes: no loss in the plane


def test_empty_and_wrong():
    assert skew_exp(np.zeros((2, 0, 0))).shape == (2, 0, 0) and skew_log(np.zeros((0, 3, 3))).shape == (0, 3, 3)
    assert skew_exp_log_jacobian(np.zeros((2, 0, 0))).shape == (2,)
    with pytest.raises(OutsideDomain, match="not skew-Hermitian"):
        skew_exp(np.eye(2))
    with pytest.raises(OutsideDomain, match="q is not unitary"):
        skew_log(np.ones((2, 2)))
    with pytest.raises(OutsideDomain, match="q_dot is not tangent"):
        skew_log_jvp(np.eye(2), np.eye(2))


@pytest.mark.parametrize("field", ["real", "complex"])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_log_jacobian(n, field):
    count = n * n if field == "complex" else n * (n - 1) // 2
    a = skew_from_vector(gaussian((count,), "float64", 15), field=field)
    value, error = log_volume(skew_exp(a), n, lambda x: skew_exp_jvp(a, skew_from_vector(x, field=field)), count)
    assert abs(float(skew_exp_log_jacobian(a)) - value) <= error * (1 + norm(a)) + limit(a)


def test_conjugate_points():
    """Eigenvalues that differ by 2 pi i: a direction is lost."""
    a = 2j * np.pi * np.diag([1.0, 0.0])
    e = np.asarray([[0.0, 1.0], [-1.0, 0.0]]) + 0j
    assert norm(skew_exp_jvp(a, e)) <= 10 * EPS and float(skew_exp_log_jacobian(a)) <= -70
