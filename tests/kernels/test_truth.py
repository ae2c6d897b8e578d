"""Values and adjoints of the kernels against 400 bits, with the limits of what they replace: see test_rows.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from backends import gaussian, norm
from constructor_rows import ROWS, derivative_hp, inner, tuple_of, value_hp

from orthoref import kernels

pytestmark = pytest.mark.sample(8)
NAMES = {name for kernel in kernels.KERNELS.values() for name in kernel.functions}
CASES = [
    pytest.param(row, dtype, id=f"{row}-{dtype}")
    for row in ROWS if row.name.split()[0] in NAMES for dtype in row.dtypes
]  # fmt: skip


@pytest.fixture
def found(monkeypatch):
    """Every kernel pays; what was found."""
    taken, find = [], kernels.find
    for name, kernel in kernels.KERNELS.items():
        monkeypatch.setitem(kernels.KERNELS, name, replace(kernel, pays=lambda _: True))
    monkeypatch.setattr(kernels, "find", lambda *args: taken.append(find(*args)) or taken[-1])
    return taken


@pytest.mark.parametrize(("row", "dtype"), CASES)
def test_value_and_adjoint(row, dtype, found):
    for package in ("flint", "numba"):
        pytest.importorskip(package)
    xs, dots = row.draw((), dtype, 1)
    unit = 10 * row.n * float(np.finfo(dtype).eps)
    values = tuple_of(row.f(*xs))
    for got, truth in zip(values, value_hp(row.hp, xs), strict=True):
        assert norm(got - truth.reshape(got.shape)) <= unit * (row.size(xs, xs) + norm(truth))
    bars = tuple(gaussian(y.shape, y.dtype.name, 50) for y in values)
    pushed = [y_dot.reshape(y.shape) for y, y_dot in zip(values, derivative_hp(row.hp, xs, dots), strict=True)]
    pulled = tuple_of(row.vjp(xs, bars))
    assert abs(inner(bars, pushed) - inner(pulled, dots)) <= unit * row.size(xs, dots) * sum(map(norm, bars))
    assert found and None not in found
