"""The assertion about constructors of orthogonal matrices."""

from __future__ import annotations

import numpy as np
import pytest

import orthoref
from orthoref import testing
from orthoref.errors import PortFailure
from orthoref.testing import assert_orthogonal_constructor

FEW = {"dtypes": ["float64"], "shapes": [(4, 4)], "max_cases": 2,
       "skip": ("repeatable", "kept", "own memory", "history", "every call", "threads")}  # fmt: skip


def cayley(a):
    one = np.eye(a.shape[-1], dtype=a.dtype)
    return np.linalg.solve(one + a, one - a)


def test_it_is_found():
    assert "assert_orthogonal_constructor" in dir(testing)
    assert testing.assert_orthogonal_constructor is assert_orthogonal_constructor


def test_right_ones_with_their_derivatives_pass():
    assert_orthogonal_constructor(
        cayley, "cayley", jvp=orthoref.cayley_jvp, vjp=orthoref.cayley_vjp, side="right", **FEW
    )
    assert_orthogonal_constructor(orthoref.skew_exp, "skew_exp", vjp=orthoref.skew_exp_vjp, space="skew", **FEW)


def test_a_wrong_one_is_refused_with_its_reason():
    with pytest.raises(PortFailure, match="this is the transpose of the stated convention"):
        assert_orthogonal_constructor(cayley, "cayley", sign=-1, **FEW)


def test_a_wrong_derivative_is_refused_with_its_reason():
    def half(a, q_bar):
        return orthoref.cayley_vjp(a, q_bar) / 2

    with pytest.raises(PortFailure, match="a_bar is half of what it should be"):
        assert_orthogonal_constructor(cayley, "cayley", vjp=half, **FEW)

    def transposed(a, a_dot):
        return np.swapaxes(orthoref.cayley_jvp(a, a_dot), -1, -2)

    with pytest.raises(PortFailure, match=r"q_dot is transposed|transposed convention|at -A"):
        assert_orthogonal_constructor(cayley, "cayley", jvp=transposed, **FEW)


def test_the_derivative_of_a_framework():
    torch = pytest.importorskip("torch")

    def detached(a):
        one = torch.eye(a.shape[-1], dtype=a.dtype)
        return torch.linalg.solve((one + a).detach(), one - a)

    with pytest.raises(PortFailure, match="the inverse is detached"):
        assert_orthogonal_constructor(detached, "cayley", derivative="torch", convert=torch.asarray, **FEW)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="kind='qr' is not one of"):
        assert_orthogonal_constructor(cayley, "qr")
    with pytest.raises(ValueError, match="haar has no derivatives"):
        assert_orthogonal_constructor(orthoref.oracle.operations.CONSTRUCTORS["haar"].reference, "haar", vjp=cayley,
                                      dtypes=["float64"], shapes=[(200, 2, 2)])  # fmt: skip
    with pytest.raises(TypeError, match="has no option colour"):
        assert_orthogonal_constructor(cayley, "cayley", colour=1)
