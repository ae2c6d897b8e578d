"""The compiled twin of the polar decomposition agrees with the generic one, and is taken only where it exists."""

from __future__ import annotations

import os

import numpy as np
import pytest
from backends import norm

pytest.importorskip("numba")

from orthoref import OutsideDomain, kernels, polar, polar_condition, testing
from orthoref.kernels import newton
from orthoref.oracle import cases

pytestmark = pytest.mark.sample(6)
JIT = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
ORDERS = [1, 2, 3, 8, 13, 16] if JIT else [1, 2, 3]


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("n", ORDERS)
@pytest.mark.parametrize(
    "options", [{}, {"method": "newton", "scaling": "byers-xu"}, {"method": "newton", "scaling": "one-inf"}], ids=str
)
def test_twin(n, dtype, options):
    for spectrum in ("geometric", "one_small", "clustered", "graded"):
        a = cases.matrix((5, n, n), spectrum=spectrum, cond=1e3, seed=n, dtype=dtype)
        u, h = polar(a, impl="kernel", **options)
        generic = polar(a, impl="generic", **options)
        testing.assert_polar(a, u, h, limit=1)
        # both have a backward error of at most max(n, 8) eps |A|, which moves U by at most its condition number
        eps, norms = np.finfo(dtype).eps, np.linalg.norm(a, axis=(-2, -1))
        bound = 2 * max(n, 8) * eps * (1 + polar_condition(a) * norms)
        assert np.all(np.linalg.norm(u - generic.u, axis=(-2, -1)) <= bound)


@pytest.mark.parametrize("cond", [1e6, 1e12, 1e16])
def test_ill_conditioned(cond):
    for spectrum in ("geometric", "one_small", "repeated"):
        a = cases.matrix((20, 8, 8) if JIT else (5, 3, 3), spectrum=spectrum, cond=cond, seed=1)
        testing.assert_polar(a, *polar(a, impl="kernel"), limit=1)


def test_what_the_kernel_cannot_do_is_done_by_the_svd():
    a = np.stack([np.eye(3), np.zeros((3, 3)), np.ones((3, 3)), np.diag([1.0, 1e-300, 1]), -np.eye(3)])
    for x in (a, a * np.exp(0.5j)):
        testing.assert_polar(x, *polar(x, impl="kernel"), limit=1)
        assert newton.polar(x, "byers-xu")[2].tolist() == [True, False, False, False, True]


def test_hard_members_of_a_stack():
    """The oracle judges every one; what is refused is refused in the words of the generic path."""
    regular = cases.matrix((4, 4), cond=10.0, seed=7)
    near = cases.matrix((4, 4), spectrum="one_small", cond=1e15, seed=8)
    deficient = near @ np.diag([1.0, 1, 0, 0]) @ regular
    hard = [
        near,
        deficient,
        0 * near,
        2.0**-1060 * regular,
        2.0**1020 * regular,
        2.0**-1060 * deficient,
        np.eye(4)[::-1],
    ]
    a = np.stack([regular] * 5 + hard + [regular] * 5)
    for x in (a, a * np.exp(0.5j)):
        testing.assert_polar(x, *polar(x, impl="kernel"), limit=1)
        polar(x[:5], impl="kernel", rank_deficient="raise")
    for index, value in (
        (7, np.nan),
        (9, np.inf),
        (2, np.finfo(float).max),
        (0, 1.0),
    ):  # the last two: overflow, rank 1
        x = a.copy()
        x[index] = value
        words = []
        for impl in ("kernel", "generic"):
            with pytest.raises(OutsideDomain) as refused:
                polar(x, impl=impl, rank_deficient="raise" if value == 1 else "complete")
            words.append(str(refused.value))
        assert words[0] == words[1] and f"({index},)" in words[0]


def test_tall_matrices_go_through_their_triangular_factor():
    a = cases.matrix((4, 9, 3), cond=1e3, seed=2)
    testing.assert_polar(a, *polar(a, impl="kernel"), limit=1)


def test_scales():
    a = cases.matrix((16, 4, 4), cond=1e3, seed=5) * 2.0 ** np.linspace(-1000, 1000, 16).astype(int)[:, None, None]
    testing.assert_polar(a, *polar(a, impl="kernel"), limit=1)


def test_signed_permutations_to_the_last_bit():
    """Every step is exact: X^-T = X, the scale is 1."""
    rng = np.random.default_rng(0)
    a = np.stack([np.eye(5)[rng.permutation(5)] * rng.choice([-1.0, 1.0], 5) for _ in range(20)])
    for scale in (1.0, 4.0):
        u, h = polar(scale * a, impl="kernel")
        assert np.array_equal(u, a) and np.array_equal(h, scale * np.broadcast_to(np.eye(5), a.shape))


def test_a_matrix_does_not_depend_on_its_neighbours():
    a = np.concatenate([cases.matrix((30, 4, 4), cond=cond, seed=3) for cond in (1, 1e3, 1e9)])
    together = polar(a, impl="kernel")
    alone = [polar(a[i : i + 1], impl="kernel") for i in range(0, 90, 7)]
    assert np.array_equal(together.u[::7], np.concatenate([one.u for one in alone]))
    assert np.array_equal(together.h[::7], np.concatenate([one.h for one in alone]))


def test_it_is_deterministic_and_leaves_its_input_alone():
    a = cases.matrix((50, 4, 4), cond=1e6, seed=3)[::2].swapaxes(-1, -2)
    a.flags.writeable = False
    first, second = (polar(a, impl="kernel") for _ in range(2))
    assert np.array_equal(first.u, second.u) and np.array_equal(first.h, second.h)


def test_stacks_of_stacks_and_of_nothing():
    a = cases.matrix((2, 3, 4, 4), seed=1)
    u = polar(a, impl="kernel").u
    assert np.array_equal(u[1, 2], polar(a[1], impl="kernel").u[2])
    for shape in ((0, 4, 4), (3, 0, 0)):
        assert polar(np.zeros(shape), impl="kernel").u.shape == shape


@pytest.mark.parametrize(
    ("shape", "dtype", "options"),
    [
        ((4, 4), "float64", {}),
        ((3, 33, 33), "float64", {}),
        ((3, 33, 33), "complex64", {}),
        ((3, 5, 4), "float64", {}),
        ((3, 4, 4), "float64", {"method": "qdwh"}),
        ((3, 4, 4), "float64", {"rank_deficient": "partial"}),
    ],
)
def test_where_there_is_none_kernel_raises_and_auto_does_not(shape, dtype, options):
    a = cases.matrix(shape, dtype=dtype)
    with pytest.raises(ValueError, match="kernel"):
        polar(a, impl="kernel", **options)
    polar(a, impl="auto", **options)


def test_other_arrays_have_none():
    xp = pytest.importorskip("array_api_strict")
    with pytest.raises(ValueError, match="NumPy arrays, not array_api_strict"):
        polar(xp.asarray(np.eye(3)[None]), method="newton", impl="kernel")


def test_auto_takes_it_for_many(monkeypatch):
    taken = []
    monkeypatch.setattr(newton, "polar", lambda x, _: taken.append(x.shape) or (x, x, np.ones(len(x), dtype=bool)))
    for count, n in ((511, 4), (512, 4), (15, 32), (16, 32)):
        for impl in ("auto", "generic"):
            polar(np.broadcast_to(np.eye(n), (count, n, n)), impl=impl)
            polar(np.broadcast_to(np.eye(n), (count, n, n)), impl=impl, method="newton")
    assert taken == [(512, 4, 4)] * 2 + [(16, 32, 32)] * 2
    assert kernels.find("newton.polar", np.zeros((1000, 3, 3)), "auto") is newton.polar


@pytest.mark.skipif(JIT, reason="compiled as a part of the iteration only")
def test_inverse_of_many():
    """Against the residual bound of Gauss-Jordan with partial pivoting, per matrix."""
    from orthoref.kernels import lanes

    rng = np.random.default_rng(4)
    for n in range(1, 6):
        x = rng.standard_normal((16, n, n)) + 1j * rng.standard_normal((16, n, n))
        x[:, 0, 0] *= 1e-20  # no pivot
        a, a_im = (np.ascontiguousarray(np.moveaxis(part, 0, -1)) for part in (x.real, x.imag))
        work = [np.zeros((2, n, 16)) for _ in range(2)], [np.zeros((1, 2, 16)) for _ in range(2)]
        lanes.invert(a, a_im, *work[0], np.zeros((n, 16), dtype=np.int64), *work[1])
        y = np.moveaxis(a + 1j * a_im, -1, 0)
        assert norm(y @ x - np.eye(n)) <= 8 * n**2 * np.finfo("float64").eps * norm(x) * norm(y)
