"""The compiled sequences of rotations agree with the generic ones.

Units. A rotation commits at most 3 roundings of eps/2 in an entry of a row, |c a - s b| <= |(a, b)|: after L levels the
columns differ from the exact ones by at most 3 L eps/2 of their length, up to second order, complex multiplication
takes that to 6 L eps/2. Two computations differ by at most the sum, 3 L eps and 6 L eps: below 8 L eps. A derivative
by an angle is a sum over 2 c products, and its operands are off by that much: (8 L + 2 c) eps |Z| |Z_bar|, both ways.
"""

from __future__ import annotations

import numpy as np
import pytest
from backends import gaussian, norm

pytest.importorskip("numba")

import orthoref
from orthoref import givens_apply, givens_apply_vjp, givens_pairs, givens_product, givens_product_vjp
from orthoref._constructors.givens import ORDERS, plan_of

pytestmark = pytest.mark.sample(6)
DTYPES = ["float32", "float64", "complex64", "complex128"]


def draw(n, columns, order, dtype, batch=(), phases=True):
    real = dtype.replace("complex64", "float32").replace("complex128", "float64")
    count = len(givens_pairs(n, order=order))
    theta, phase = (gaussian((*batch, count), real, seed) for seed in (1, 2))
    x, y_bar = (gaussian((*batch, n, columns), dtype, seed) for seed in (3, 4))
    return theta, x, y_bar, phase if dtype.startswith("complex") and phases else None


def unit(x, n, order):
    return 8 * plan_of(n, order).levels * float(np.finfo(x.dtype).eps)


def agree(theta, x, y_bar, phase, order, **options):
    n = x.shape[-1 if options.get("side") == "right" else -2]
    for one in [x[i] for i in np.ndindex(x.shape[:-2])]:
        assert norm(one) > 0
    twin, generic = (givens_apply(theta, x, phase, order=order, impl=impl, **options) for impl in ("kernel", "generic"))
    assert twin.dtype == generic.dtype and twin.shape == generic.shape
    if phase is None and not np.iscomplexobj(x):
        assert np.array_equal(twin, generic)  # the operations on a row are the same, in the same order
    else:
        assert norm(twin - generic) <= unit(x, n, order) * norm(x)
    twin, generic = (
        givens_apply_vjp(theta, x, y_bar, phase, order=order, impl=impl, **options) for impl in ("kernel", "generic")
    )
    bound = 2 * (unit(x, n, order) + 2 * x.size / n * float(np.finfo(x.dtype).eps)) * norm(x) * norm(y_bar)
    assert (twin.phase_bar is None) == (generic.phase_bar is None) == (phase is None)
    for a, b in zip(twin, generic, strict=True):
        if a is not None:
            assert a.dtype == b.dtype and a.shape == b.shape
            assert norm(a.ravel() - b.ravel()) <= bound * max(1, theta.size) ** 0.5


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_all_orders(n, order, dtype):
    if order == "butterfly" and n & (n - 1):
        pytest.skip("a power of two")
    agree(*draw(n, 5, order, dtype), order)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("columns", [1, 63, 64, 65, 128, 130])
def test_blocks_of_columns(columns, dtype):
    agree(*draw(4, columns, "columns", dtype), "columns")


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_sides_stacks_and_layouts(side, adjoint, dtype):
    order = "round_robin"
    theta, x, y_bar, phase = draw(5, 5, order, dtype, (2, 3))
    x, y_bar = np.asfortranarray(x), y_bar[::-1]
    theta = np.repeat(theta, 2, axis=-1)[..., ::2]
    for one in (theta, x, y_bar):
        one.flags.writeable = False
    agree(theta, x, y_bar, phase, order, side=side, adjoint=adjoint)


def test_complex_matrices_without_phases():
    agree(*draw(4, 3, "rows", "complex128", phases=False), "rows")


def test_planes_of_the_callers_own():
    order = [(0, 3), (0, 3), (1, 2), (0, 1)]
    agree(*draw(4, 4, order, "complex128"), order)


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_to_do(dtype):
    for n, columns, batch in ((3, 0, ()), (0, 3, ()), (1, 1, ()), (3, 2, (0,)), (0, 0, (2,))):
        theta, x, y_bar, phase = draw(n, columns, "columns", dtype, batch)
        y = givens_apply(theta, x, phase, impl="kernel")
        assert y.shape == x.shape and np.array_equal(y, givens_apply(theta, x, phase, impl="generic"))
        bars = givens_apply_vjp(theta, x, y_bar, phase, impl="kernel")
        assert bars.theta_bar.shape == theta.shape and not bars.theta_bar.any() and bars.x_bar.shape == x.shape


def test_quarter_turns_to_the_last_bit():
    """Entries 0, 1 and -1 only: c and s are put in the place of the cosine and sine."""
    from orthoref.kernels.givens import apply, unwind

    rng = np.random.default_rng(0)
    pairs = np.asarray(givens_pairs(6, order="brickwall"))
    k = rng.integers(0, 4, len(pairs))
    c, s = np.cos(k * np.pi / 2).round() + 0.0, np.sin(k * np.pi / 2).round() + 0.0
    x = rng.integers(-8, 9, (6, 7)) / 4
    expected = [list(row) for row in x]
    for (i, j), a, b in list(zip(pairs, c, s, strict=True))[::-1]:
        up = [a * p - b * q for p, q in zip(expected[i], expected[j], strict=True)]
        expected[j] = [b * p + a * q for p, q in zip(expected[i], expected[j], strict=True)]
        expected[i] = up
    assert np.array_equal(apply(x, pairs, c, s, False), expected)
    assert np.array_equal(apply(apply(x, pairs, c, s, False), pairs, c, s, True), x)
    y_bar = rng.integers(-8, 9, (6, 7)) / 2
    by_theta, none, x_bar = unwind(np.asarray(expected), y_bar, pairs, c, s, None)
    assert none is None and np.array_equal(x_bar, apply(y_bar, pairs, c, s, True))
    assert by_theta[0] == y_bar[1] @ expected[0] - y_bar[0] @ expected[1]


def test_auto_takes_it_from_256_entries_on(monkeypatch):
    from orthoref.kernels import givens

    called = []
    monkeypatch.setattr(givens, "apply", lambda x, *_: called.append(x.shape) or x)
    for n in (8, 16):
        givens_product(np.zeros(n * (n - 1) // 2), n)
    assert called == [(16, 16)]


def test_product_and_its_adjoint():
    theta, _, q_bar, phase = draw(6, 6, "columns", "complex128", (2,))
    for one in (None, phase):
        bar = q_bar.real.copy() if one is None else q_bar
        twin, generic = (givens_product(theta, 6, one, impl=impl) for impl in ("kernel", "generic"))
        assert norm(twin - generic) <= unit(twin, 6, "columns") * norm(generic)
        twin, generic = (givens_product_vjp(theta, 6, bar, one, impl=impl) for impl in ("kernel", "generic"))
        bound = 2 * (unit(theta, 6, "columns") + 2 * 6 * np.finfo("float64").eps) * norm(bar) * theta.size
        assert norm(twin.theta_bar - generic.theta_bar) <= bound
        assert one is None or norm(twin.phase_bar - generic.phase_bar) <= bound
    with pytest.raises(ValueError, match="impl='fast'"):
        orthoref.givens_product(theta, 6, impl="fast")
