"""Assertions about geometry: of arrays and of callables."""

from __future__ import annotations

import numpy as np
import pytest
from backends import TORCH
from meta import wrong_stiefel_backward as backward
from meta import wrong_stiefel_ports as ports

from orthoref import OutsideDomain, testing
from orthoref.errors import PortFailure
from orthoref.oracle import cases

FEW = {"shapes": [(5, 3), (3, 3)], "dtypes": ["float64", "complex128"], "max_cases": 2,
       "skip": ["repeatable", "kept", "history", "threads", "every call"]}  # fmt: skip


ONE = {"shapes": [(4, 2)], "dtypes": ["complex128"], "max_cases": 1, "skip": [*FEW["skip"], "own memory"]}


@pytest.fixture(scope="module", autouse=True)
def warm():
    """What the first call loads is not charged to a test."""
    TORCH.require()
    TORCH.asarray(np.eye(2))


def whole(function):
    return ports.unchecked(function)


def point(shape=(2, 6, 3), dtype="complex128"):
    x = cases.matrix(shape, structure="orthonormal", dtype=dtype)
    return x, cases.cotangent(x, like="tangent", dtype=dtype, seed=1)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("scale", [1.0, 2.0**-80, 2.0**80, 0.0])
def test_tangents_hold(dtype, scale):
    x, v = point(dtype=dtype)
    testing.assert_tangent(x, scale * v)


def test_what_is_not_tangent_is_named_with_its_parts():
    x, v = point()
    v[1] += 1e-9 * x[1]
    with pytest.raises(PortFailure, match=r"batch index \(1,\)(.|\n)*not tangent: 1.*e-09 \|V\| is normal"):
        testing.assert_tangent(x, v)
    testing.assert_tangent(x, v, precision="float32")


def test_a_point_off_the_manifold_is_no_verdict():
    x, v = point()
    with pytest.raises(OutsideDomain, match="x is not on the manifold"):
        testing.assert_tangent(1.001 * x, v)


def test_tensors():
    TORCH.require()
    x, v = point(dtype="float32")
    testing.assert_tangent(TORCH.asarray(x), TORCH.asarray(v))


RIGHT = [
    ("assert_projection", ports.euclidean, {}),
    ("assert_gradient", ports.canonical_gradient, {"metric": "canonical"}),
    ("assert_hessian", ports.hessian, {}),
    ("assert_retraction", ports.qr_fixed, {}),
    ("assert_retraction", ports.polar, {"order": 2}),
    ("assert_retraction", ports.qr_fixed, {"kind": "qr"}),
    ("assert_retraction", ports.polar, {"kind": "polar"}),
    ("assert_retraction", ports.cayley_small, {"kind": "cayley"}),
    ("assert_retraction", ports.exp_canonical, {"kind": "exp", "metric": "canonical"}),
    ("assert_transport", ports.transport_qr, {"kind": "qr"}),
    ("assert_transport", ports.transport_isometric, {"kind": "isometric"}),
    ("assert_inverse", ports.inverse_cayley, {"kind": "cayley"}),
]


@pytest.mark.parametrize(("name", "port", "options"), RIGHT)
def test_right_ports_hold(name, port, options):
    getattr(testing, name)(whole(port), **options, **FEW)


WRONG = [
    ("assert_projection", ports.canonical_gradient, {}, "not idempotent"),
    ("assert_gradient", ports.canonical_gradient, {}, "gradient for the canonical metric, not for euclidean"),
    ("assert_hessian", ports.hessian_without_curvature, {}, "curvature term"),
    ("assert_retraction", ports.polar, {"kind": "qr"}, "this is the polar retraction"),
    ("assert_retraction", ports.cayley_small, {"kind": "exp", "metric": "canonical"}, "this is the Cayley retraction"),
    ("assert_transport", ports.transport_qr, {"kind": "polar"}, "this is the derivative of the QR retraction"),
    ("assert_inverse", ports.inverse_cayley, {"kind": "polar"}, "this is the inverse of the Cayley retraction"),
    (
        "assert_inverse",
        ports.inverse_cayley,
        {"kind": "log", "metric": "canonical"},
        "not the logarithm of the Canonical",
    ),
]


@pytest.mark.parametrize(("name", "port", "options", "words"), WRONG)
def test_wrong_ports_do_not(name, port, options, words):
    with pytest.raises(PortFailure, match=f"orthoref.testing.{name}(.|\n)*{words}"):
        getattr(testing, name)(whole(port), **options, **FEW)


def test_the_order_of_a_retraction_is_a_law():
    few = {**FEW, "max_cases": 5, "shapes": [(5, 3)], "dtypes": ["complex128"]}
    with pytest.raises(PortFailure, match="first order only; it is second order for the canonical metric"):
        testing.assert_retraction(whole(ports.cayley_small), order=2, **few)
    with pytest.raises(PortFailure, match=r"derivative at zero is V \+ X X\^H V"):
        testing.assert_retraction(whole(ports.along_both(ports.polar)), **few)


def test_derivatives_beside_the_function():
    qr, forward = backward.unchecked(backward.qr), backward.unchecked(backward.qr_jvp)
    testing.assert_retraction(whole(ports.qr_fixed), kind="qr", vjp=qr, jvp=forward, **ONE)
    testing.assert_projection(whole(ports.euclidean), vjp=backward.unchecked(backward.project), **ONE)
    with pytest.raises(ValueError, match="vjp= and jvp= need a kind="):
        testing.assert_retraction(ports.qr_fixed, vjp=qr)


@pytest.mark.parametrize(("name", "port", "options", "words"), [
    ("retraction", ports.qr_fixed, {"kind": "qr", "vjp": backward.polar}, "derivative of the polar retraction"),
    ("retraction", ports.qr_fixed, {"kind": "qr", "jvp": backward.polar_jvp}, "derivative of the polar retraction"),
    ("gradient", ports.canonical_gradient, {"metric": "canonical", "vjp": backward.gradient}, "for the Euclidean"),
])  # fmt: skip
def test_wrong_derivatives_beside_the_function(name, port, options, words):
    options = {key: backward.unchecked(value) if callable(value) else value for key, value in options.items()}
    with pytest.raises(PortFailure, match=words):
        getattr(testing, f"assert_{name}")(whole(port), **options, **(ONE | {"max_cases": 2}))  # the first has V = 0


def test_options_are_checked():
    with pytest.raises(ValueError, match="kind='lu' is not one of"):
        testing.assert_retraction(ports.polar, kind="lu")
    with pytest.raises(ValueError, match="is not euclidean"):
        testing.assert_gradient(ports.euclidean, metric="flat")
    with pytest.raises(TypeError, match="has no option metric"):
        testing.assert_inverse(ports.inverse_cayley, kind="cayley", metric="canonical")
