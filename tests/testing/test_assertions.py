"""The assertions as a caller meets them."""

from __future__ import annotations

import numpy as np
import pytest

from orthoref import OutsideDomain, PortFailure, polar, testing
from orthoref.oracle import cases

A = cases.matrix((2, 6, 4), cond=10, seed=1)
U, H = polar(A)


def test_every_kind_of_array_is_accepted(backend):
    a, u, h = (backend.asarray(x.astype(backend.dtypes[0])) for x in (A, U, H))
    testing.assert_polar(a, u, h)
    testing.assert_polar(a, u)
    testing.assert_orthonormal(u)
    with pytest.raises(PortFailure, match="wrong sign"):
        testing.assert_polar(a, -u, h)


def test_nested_lists():
    testing.assert_polar(A.tolist(), U.tolist(), H.tolist())
    with pytest.raises(PortFailure, match=r"list \(2, 6, 4\)"):
        testing.assert_polar(A.tolist(), A.tolist())


def test_torch_bfloat16():
    torch = pytest.importorskip("torch")
    a = torch.tensor(cases.matrix((40, 20), cond=10, dtype="bfloat16")).bfloat16()
    u, h = (torch.tensor(x).bfloat16() for x in polar(a.double().numpy()))
    testing.assert_polar(a, u, h)
    with pytest.raises(PortFailure, match=r"torch\.bfloat16"):
        testing.assert_polar(a, u * 1.1, h)


def test_a_looser_precision_than_the_storage():
    rough = (U.astype("float32") + 1e-3 * np.sin(np.arange(U.size)).reshape(U.shape)).astype("float32")
    a = A.astype("float32")
    with pytest.raises(PortFailure):
        testing.assert_polar(a, rough)
    testing.assert_polar(a, rough, precision="bfloat16")
    testing.assert_polar(A, U.astype("float32"), precision="float32")  # dtypes may then differ


def test_sides():
    u, left = polar(A, side="left")
    testing.assert_polar(A, u, left, side="left")
    with pytest.raises(PortFailure):
        testing.assert_polar(A, u, left)


def test_the_message_has_every_ratio_and_the_recreation_line():
    with pytest.raises(PortFailure) as failure:
        testing.assert_polar(A, U, 2 * H, recreate="orthoref.oracle.cases.matrix((2, 6, 4), cond=10, seed=1)")
    lines = str(failure.value).splitlines()
    assert lines[0] == "orthoref.testing.assert_polar: 2 of 7 checks failed        numpy.float64 (2, 6, 4)"
    assert lines[1].startswith("  |A - U H| / (|A| 8 eps)  ")
    assert "FAIL  batch index (" in lines[1] and "relative" in lines[1]
    assert lines[-2] == "  reason: h is twice what it should be"
    assert lines[-1] == "  recreate: orthoref.oracle.cases.matrix((2, 6, 4), cond=10, seed=1)"


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        ((A * np.nan, U), {}, OutsideDomain, "nothing to judge"),
        ((A, 3.0), {}, TypeError, "u must be"),
        ((A, U.astype(int)), {}, TypeError, "int64"),
        ((A[0, 0], U), {}, ValueError, "at least 2 dimensions"),
        ((A, U), {"precision": "float8"}, TypeError, "float8"),
        ((A, U), {"side": "above"}, ValueError, "side='above'"),
        ((A, U), {"rank_deficient": "any"}, ValueError, "rank_deficient='any'"),
        ((A, U), {"limit": float("nan")}, ValueError, "limit=nan"),
        ((A, U), {"limit": 0}, ValueError, "limit=0"),
        ((A, U), {"limit": "10"}, TypeError, "limit='10' is no number"),
        ((A, U), {"precision": 16}, TypeError, "precision=16 is no name of a format"),
        ((A, None), {}, TypeError, "u must be an array or a nested list, not NoneType"),
        ((None, U), {}, TypeError, "a must be an array or a nested list, not NoneType"),
        ((A, polar(A)), {}, TypeError, r"u is a PolarResult\(u, h\), not an array: unpack it"),
    ],
)
def test_bad_arguments(arguments, options, error, words):
    with pytest.raises(error, match=words):
        testing.assert_polar(*arguments, **options)


@pytest.mark.parametrize("shape", [(2, 4, 6), (6, 4), (3, 6, 4), (2, 6, 5)])
def test_wrong_shapes_fail(shape):
    with pytest.raises(PortFailure, match="u has shape"):
        testing.assert_polar(A, np.zeros(shape))


def test_orthonormal():
    testing.assert_orthonormal(np.linalg.qr(A)[0])
    testing.assert_orthonormal(np.linalg.qr(A)[0].swapaxes(-1, -2))
    with pytest.raises(PortFailure, match="length 2: a factor is missing"):
        testing.assert_orthonormal(2 * U)
    with pytest.raises(PortFailure, match="orthonormal to float32 only"):
        testing.assert_orthonormal(U + 1e-8)
    with pytest.raises(PortFailure, match="NaN"):
        testing.assert_orthonormal(U * np.nan)
    with pytest.raises(PortFailure, match=r"column 1 has length 1\.5"):
        testing.assert_orthonormal(np.diag([1, 1.5, 1]))
