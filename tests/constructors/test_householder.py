"""Householder products: conventions of LAPACK, torch and JAX, degenerate reflectors, what is reached."""

import numpy as np
import pytest
from backends import ct, gaussian, norm
from constructor_rows import eye_hp, inner, tangent, unitary
from exact import equal, lift, mul, rational
from volume import log_volume

import orthoref
from orthoref import (
    OutsideDomain,
    householder_apply,
    householder_factor,
    householder_factor_jvp,
    householder_log_jacobian,
    householder_matrix,
    householder_matrix_vjp,
    householder_product,
    householder_product_jvp,
    householder_product_vjp,
)

EPS = float(np.finfo("float64").eps)
FIELDS = ("float64", "complex128")

# --- conventions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FIELDS)
@pytest.mark.parametrize(("m", "n"), [(5, 3), (4, 4), (1, 1)])
def test_what_lapack_stores(m, n, dtype):
    """geqrf's output with R still above the diagonal; orgqr's Q; H^H, not H, annihilates for complex tau."""
    linalg = pytest.importorskip("scipy.linalg")
    a = gaussian((m, n), dtype, 1)
    (packed, tau), _ = linalg.qr(a, mode="raw")
    limit = 10 * m * EPS
    assert norm(householder_product(packed, tau, columns=n) - linalg.qr(a, mode="economic")[0]) <= limit
    assert norm(householder_product(packed, tau) - linalg.qr(a)[0]) <= limit
    v = np.tril(packed, -1)[:, 0] + np.eye(m)[0]
    h = householder_matrix(v, tau[0])
    assert norm((ct(h) @ a)[1:, 0]) <= limit * norm(a)
    if dtype == "complex128" and m > 1:
        assert norm((h @ a)[1:, 0]) >= 1e3 * limit and abs(tau[0].imag) >= 1e3 * limit
        assert abs(abs(tau - 1) ** 2 - 1 + (2 * tau.real - abs(tau) ** 2)).max() <= limit
    x = gaussian((m, 2), dtype, 2)
    command = {"float64": "dormqr", "complex128": "zunmqr"}[dtype]
    ormqr = getattr(linalg.lapack, command)
    flip = "T" if dtype == "float64" else "C"
    for adjoint, trans in ((False, "N"), (True, flip)):
        y = householder_apply(packed, x, tau, adjoint=adjoint)
        assert norm(y - ormqr("L", trans, packed, tau, x, 64 * m)[0]) <= limit * norm(x)
        z = householder_apply(packed, ct(x), tau, adjoint=adjoint, side="right")
        assert norm(z - ormqr("R", trans, packed, tau, ct(x), 64 * m)[0]) <= limit * norm(x)


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", FIELDS)
def test_torch_forward_and_backward(dtype):
    torch = pytest.importorskip("torch")
    linalg = pytest.importorskip("scipy.linalg")
    (packed, tau), _ = linalg.qr(gaussian((6, 4), dtype, 3), mode="raw")
    bar = gaussian((6, 4), dtype, 4)
    v, t = (torch.tensor(x, requires_grad=True) for x in (packed, tau))
    q = torch.linalg.householder_product(v, t)
    q.backward(torch.tensor(bar))
    limit = 100 * 6 * EPS  # their sweep and our closed form, ten each, |V|, |tau| <= 2
    assert norm(householder_product(packed, tau, columns=4) - q.detach().numpy()) <= limit
    v_bar, tau_bar, _ = householder_product_vjp(packed, bar, tau)
    assert norm(v_bar - v.grad.numpy()) <= limit * norm(bar) and norm(tau_bar - t.grad.numpy()) <= limit * norm(bar)


@pytest.mark.exhaustive
@pytest.mark.parametrize("value", [1.0, 0.0])
def test_where_torch_has_no_gradient(value):
    """tau |v|^2 = 1 makes H singular, and torch undoes H; tau = 0 drops a reflection."""
    torch = pytest.importorskip("torch")
    v, tau = np.asarray([[1.0], [0.0]]), np.asarray([value])
    x, t = torch.tensor(v, requires_grad=True), torch.tensor(tau, requires_grad=True)
    torch.linalg.householder_product(x, t).backward(torch.ones(2, 1, dtype=x.dtype))
    v_bar, tau_bar, _ = householder_product_vjp(v, np.ones((2, 1)), tau)
    # Q e_1 = e_1 - tau v: v_bar = -tau on the free entry, tau_bar = -1 - v_2
    np.testing.assert_array_equal(v_bar, [[0.0], [-value]])
    np.testing.assert_array_equal(tau_bar, [-1.0])
    assert np.isnan(t.grad.numpy()).any() == (value == 1.0)


@pytest.mark.exhaustive
def test_torch_parametrization():
    """tau from tril(X, -1), signs from the diagonal of X."""
    torch = pytest.importorskip("torch")
    layer = torch.nn.utils.parametrizations.orthogonal(
        torch.nn.Linear(3, 6, bias=False, dtype=torch.float64), orthogonal_map="householder"
    )
    x = layer.parametrizations.weight.original.detach().numpy()
    q = householder_product(x, storage="below", columns=3) * np.trunc(np.diagonal(x))
    base = layer.parametrizations.weight[0]
    base = getattr(base, "base", None)
    q = q if base is None else base.numpy() @ q
    assert norm(q - layer.weight.detach().numpy()) <= 60 * EPS


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", FIELDS)
def test_jax_forward(dtype):
    jax = pytest.importorskip("jax")
    linalg = pytest.importorskip("scipy.linalg")
    (packed, tau), _ = linalg.qr(gaussian((6, 4), dtype, 3), mode="raw")
    q = jax.lax.linalg.householder_product(jax.numpy.asarray(packed), jax.numpy.asarray(tau))
    assert norm(householder_product(packed, tau, columns=4) - np.asarray(q)) <= 60 * EPS


@pytest.mark.parametrize("dtype", FIELDS)
def test_order_columns_and_storage(dtype):
    v = gaussian((5, 3), dtype, 5)
    h = [householder_matrix(v[:, i]) for i in range(3)]
    limit = 10 * 5 * EPS
    assert norm(householder_product(v) - h[0] @ h[1] @ h[2]) <= limit
    assert norm(householder_product(v, order="backward") - h[2] @ h[1] @ h[0]) <= limit
    assert norm(householder_product(v, columns=2) - householder_product(v)[:, :2]) <= limit
    below = np.tril(v, -1) + np.eye(5, 3)
    np.testing.assert_array_equal(householder_product(v, storage="below"), householder_product(below))
    assert householder_product(v, columns=0).shape == (5, 0)


# --- degenerate reflectors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FIELDS)
def test_zero_reflectors_are_dropped(dtype):
    v, e, bar = (gaussian((4, 3), dtype, seed) for seed in (6, 7, 8))
    v[:, 1] = 0
    some = [0, 2]
    limit = 10 * 4 * EPS * (1 + norm(e) / norm(v[:, 0]) + norm(e) / norm(v[:, 2])) * norm(bar)
    assert norm(householder_product(v) - householder_product(v[:, some])) <= limit
    assert norm(householder_product_jvp(v, e) - householder_product_jvp(v[:, some], e[:, some])) <= limit
    v_bar = householder_product_vjp(v, bar).v_bar
    assert not v_bar[:, 1].any()
    assert norm(v_bar[:, some] - householder_product_vjp(v[:, some], bar).v_bar) <= limit
    np.testing.assert_array_equal(householder_product(np.zeros((3, 2), dtype)), np.eye(3))


@pytest.mark.parametrize("dtype", FIELDS)
def test_all_tau_zero(dtype):
    """Q = I, and Q_dot = -sum tau_dot_i v_i v_i^H whatever v does."""
    v, e, t = gaussian((4, 3), dtype, 9), gaussian((4, 3), dtype, 10), gaussian((3,), dtype, 11)
    zero = np.zeros_like(t)
    np.testing.assert_array_equal(householder_product(v, zero), np.eye(4))
    x = np.tril(v, -1) + np.eye(4, 3)
    assert norm(householder_product_jvp(v, e, zero, t) + (x * t) @ ct(x)) <= 40 * EPS * norm(x) ** 2 * norm(t)


@pytest.mark.parametrize("dtype", FIELDS)
def test_cotangents_are_orthogonal_to_unnormalised_reflectors(dtype):
    v, bar = gaussian((6, 4), dtype, 12), gaussian((6, 6), dtype, 13)
    v_bar = householder_product_vjp(v, bar).v_bar
    products = np.sum((v.conj() * v_bar).real, axis=0)
    assert (abs(products) <= 10 * 6 * EPS * 4 * 4 * norm(bar)).all()


@pytest.mark.parametrize("power", [-1000, -600, 600, 1000])
def test_unnormalised_reflectors_have_no_scale(power):
    v, e, bar = (gaussian((4, 3), "float64", seed) for seed in (14, 15, 16))
    s = 2.0**power
    np.testing.assert_array_equal(householder_product(v * s), householder_product(v))
    np.testing.assert_array_equal(householder_product_jvp(v * s, e * s), householder_product_jvp(v, e))
    if abs(power) < 1000:
        np.testing.assert_array_equal(
            householder_product_vjp(v * s, bar).v_bar * s, householder_product_vjp(v, bar).v_bar
        )


def test_empty():
    for shape, columns in (((0, 0), None), ((3, 0), 2), ((0, 3), None), ((2, 3, 0), None)):
        v = np.zeros(shape)
        q = householder_product(v, columns=columns)
        np.testing.assert_array_equal(q, np.broadcast_to(np.eye(*q.shape[-2:]), q.shape))
        assert not householder_product_jvp(v, v, columns=columns).any()
        assert householder_product_vjp(v, q).v_bar.shape == shape
        x = np.ones((*q.shape[:-1], 2))
        np.testing.assert_array_equal(householder_apply(v, x), x)
    assert householder_product(np.zeros((0, 4, 2))).shape == (0, 4, 4)
    assert householder_log_jacobian(np.zeros((2, 3, 0))).shape == (2,)
    assert householder_factor(np.zeros((3, 0))).v.shape == (3, 0)


# --- exact ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_exact_on_dyadic_reflectors(dtype):
    """v of four entries of modulus 1, tau = 1/2: nothing is rounded."""
    rng = np.random.default_rng(17)
    phases = [1, 1j, -1, -1j] if dtype.startswith("complex") else [1.0, -1.0]
    v = rng.choice(phases, (4, 3)).astype(dtype)
    truth = rational(np.eye(4))
    for i in range(3):
        x = v[:, i : i + 1]
        truth = mul(truth, rational(np.eye(4) - x @ ct(x) / 2))
    assert equal(rational(householder_product(v)), truth)
    assert equal(rational(householder_product(v, np.full(3, 0.5, dtype), storage="full")), truth)


# --- what is reached --------------------------------------------------------------------------------------------------


def test_hermitian_reflections_miss_a_phase():
    """det H = -1 for every Hermitian reflection: n of them have a real determinant, diag(i, 1) has not."""
    for seed in range(5):
        q = householder_product(gaussian((3, 3), "complex128", seed))
        assert abs(np.linalg.det(q) + 1) <= 100 * EPS
    target = np.diag([1j, 1.0])
    v, tau, d = householder_factor(target)
    np.testing.assert_array_equal(tau.imag, 0)
    assert norm(householder_product(v, tau) * d - target) <= 20 * EPS  # with a phase diagonal they reach it
    assert abs(np.prod(d).conj() * np.linalg.det(target) - 1) <= 20 * EPS and abs(np.prod(d).imag) >= 0.5
    v, tau, d = householder_factor(target, diagonal="none")  # and with complex tau they need none
    assert norm(householder_product(v, tau) - target) <= 20 * EPS and abs(tau.imag).max() >= 0.5
    np.testing.assert_array_equal(d, 1)


DEGENERATE = [
    np.eye(4),
    -np.eye(4),
    np.eye(4)[[1, 2, 3, 0]],
    np.diag([1.0, -1, 1, -1]),
    np.eye(4)[::-1],
    np.ones((1, 1)),
]


@pytest.mark.parametrize("dtype", FIELDS)
@pytest.mark.parametrize("diagonal", ["phase", "sign", "none"])
def test_every_orthogonal_matrix_is_reached(diagonal, dtype):
    phases = np.exp(1j * np.arange(4)) if dtype == "complex128" else 1.0
    some = [
        *(x.astype(dtype) for x in DEGENERATE),
        *(unitary((), 5, p, dtype, p) for p in (1, 3, 5)),
        np.eye(4) * phases,
    ]
    for q in some:
        m, p = q.shape
        v, tau, d = householder_factor(q, diagonal=diagonal)
        assert norm(householder_product(v, tau, columns=p) * d - q) <= 10 * m * EPS * p
        np.testing.assert_array_equal(np.triu(v), np.eye(m, p))
        if diagonal == "none":
            np.testing.assert_array_equal(d, 1)
        else:
            assert (tau.real >= 1 - 10 * m * EPS).all() and norm(v) ** 2 <= 2 * p * (1 + 10 * m * EPS)
        if diagonal == "phase":
            np.testing.assert_array_equal(tau.imag, 0)
        if diagonal == "sign":
            np.testing.assert_array_equal(abs(d.real), 1)


@pytest.mark.parametrize("dtype", FIELDS)
@pytest.mark.parametrize(("m", "p"), [(5, 5), (6, 3)])
def test_parameters_to_matrix_to_parameters(m, p, dtype):
    """The other way is as accurate as the derivative of the first is far from singular."""
    v = np.tril(gaussian((m, p), dtype, 18), -1) + np.eye(m, p)
    tau = (2 / np.sum(abs(v) ** 2, axis=0)).astype(dtype)
    back = householder_factor(householder_product(v, columns=p), diagonal="none")
    free = np.argwhere(np.tril(np.ones((m, p)), -1))
    units = [1, 1j] if dtype == "complex128" else [1.0]
    rows = []
    for i, j in free:
        for unit in units:
            e = np.zeros((m, p), dtype)
            e[i, j] = unit
            dot = householder_product_jvp(v, e, columns=p).ravel()
            rows.append(np.concatenate([dot.real, dot.imag]))
    loss = 1 / np.linalg.svd(np.array(rows))[1][-1]
    assert norm(back.v - v) <= 10 * m * EPS * loss * norm(v) and norm(back.tau - tau) <= 10 * m * EPS * loss * norm(v)


def test_no_derivative():
    """No reflector for a column of the identity; no phase of a zero pivot."""
    q = np.eye(3)
    skew = np.asarray([[0.0, -1, 0], [1, 0, 0], [0, 0, 0]])
    with pytest.raises(OutsideDomain, match=r"tau = 0, is not differentiable, column 0, batch index \(1,\)"):
        householder_factor_jvp(np.stack([-q, q]), np.stack([skew, skew]), diagonal="none")
    flip = q[[1, 0, 2]] + 0j
    with pytest.raises(OutsideDomain, match="phase of a zero pivot is not differentiable, column 0"):
        householder_factor_jvp(flip, flip @ skew)
    assert householder_factor_jvp(flip, flip @ skew, diagonal="sign").v.shape == (3, 3)
    with pytest.raises(OutsideDomain, match="q_dot is not tangent"):
        householder_factor_jvp(q, q)
    with pytest.raises(OutsideDomain, match="q is not unitary"):
        householder_factor(2 * q)


# --- volume -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "p"), [(4, 4), (5, 2), (3, 1), (1, 1)])
def test_log_jacobian_real(m, p):
    v = gaussian((m, p), "float64", 19)

    def push(x):
        e = np.zeros((m, p))
        e[np.tril_indices(m, -1, p)] = x
        return householder_product_jvp(v, e, columns=p, storage="below")

    count = len(np.tril_indices(m, -1, p)[0])
    q = householder_product(v, storage="below")
    value, limit = log_volume(q, p, push, count)
    assert abs(float(householder_log_jacobian(v)) - value) <= limit


@pytest.mark.parametrize(("m", "p"), [(3, 3), (4, 2), (1, 1)])
def test_log_jacobian_complex(m, p):
    """With the phases on the right, whose coordinates come last."""
    v, d = gaussian((m, p), "complex128", 20), np.exp(1j * np.arange(1, p + 1))
    where = np.tril_indices(m, -1, p)
    count = len(where[0])
    first = householder_product(v, storage="below", columns=p)

    def push(x):
        e = np.zeros((m, p), "complex128")
        e[where] = x[:count] + 1j * x[count : 2 * count]
        return (householder_product_jvp(v, e, columns=p, storage="below") + first * (1j * x[2 * count :])) * d

    q = householder_product(v, storage="below")
    q[:, :p] *= d
    value, limit = log_volume(q, p, push, 2 * count + p)
    assert abs(float(householder_log_jacobian(v)) - value) <= limit


def test_log_jacobian_of_long_reflectors():
    """tau = 2/(1 + |x|^2) far beyond the range of squares."""
    x = np.asarray([[7.0], [3e200], [4e200]])
    assert float(householder_log_jacobian(x)) == pytest.approx(2 * (np.log(2) - 2 * np.log(5e200)), rel=1e-14, abs=0)


# --- wrong input ------------------------------------------------------------------------------------------------------


def test_wrong_options():
    v = np.ones((3, 2))
    for options in (
        {"order": "left"},
        {"storage": "lapack"},
        {"columns": 4},
        {"columns": -1},
        {"columns": True},
        {"columns": 1.0},
    ):
        with pytest.raises(ValueError, match=r"one of|columns"):
            householder_product(v, **options)
    with pytest.raises(ValueError, match="at most m = 2"):
        householder_product(np.ones((2, 3)), storage="below")
    with pytest.raises(ValueError, match="belong together"):
        householder_product_jvp(v, v, np.ones(2))
    with pytest.raises(ValueError, match="tau has shape"):
        householder_product(v, np.ones(3))
    with pytest.raises(ValueError, match="x has shape"):
        householder_apply(v, np.ones((2, 3)))
    with pytest.raises(ValueError, match="is not one of"):
        householder_factor(np.eye(2), diagonal="unit")
    with pytest.raises(ValueError, match="at least 1 dimension"):
        householder_matrix(np.asarray(1.0))
    with pytest.raises(TypeError, match="must be an array"):
        householder_matrix([1.0])
    with pytest.raises(ValueError, match=r"h_bar has shape \(3, 2\)"):
        householder_matrix_vjp(np.ones(3), np.ones((3, 2)))


def test_the_identity_in_400_bits_is_one():
    pytest.importorskip("flint")
    assert eye_hp(3) == lift(np.eye(3)) and inner((np.eye(2),), (np.eye(2),)) == 2
    q = unitary((), 3, 2, "float64", 0)
    assert norm(ct(q) @ tangent(q, 1) + ct(tangent(q, 1)) @ q) <= 100 * EPS
    assert orthoref.householder_factor is householder_factor
