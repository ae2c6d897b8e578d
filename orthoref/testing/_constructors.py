"""Assertions about functions that make orthogonal and unitary matrices from parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from orthoref.arrays import require_choice
from orthoref.errors import PortFailure
from orthoref.oracle import conformance
from orthoref.oracle.operations import ROWS

Kind = Literal["cayley", "skew_exp", "givens_product", "householder_product", "haar", "orthogonal_init"]
KINDS = ("cayley", "skew_exp", "givens_product", "householder_product", "haar", "orthogonal_init")


def assert_orthogonal_constructor(
    port: Callable[..., Any],
    kind: Kind,
    *,
    derivative: str | None = None,
    jvp: Callable[..., Any] | None = None,
    vjp: Callable[..., Any] | None = None,
    **options: Any,
) -> None:
    """Assert that a function makes the orthogonal or unitary matrices that a convention says, and its derivatives.

    Parameters
    ----------
    port : callable
        ``port(a)`` of a skew-Hermitian matrix (..., n, n) for "cayley" and "skew_exp"; ``port(theta)`` of angles
        (..., n(n - 1)/2) for "givens_product"; ``port(v, tau)`` of reflectors (..., m, k) and (..., k) for
        "householder_product"; ``port(normal)`` of normal numbers for "haar", (N, n, p), and "orthogonal_init": it may
        take the shape and the dtype of them only.
    kind : str
    derivative : str, optional
        Judge the VJP that a framework finds as well: "torch", "jax", ... as in :func:`orthoref.conformance.check`.
    jvp, vjp : callable, optional
        Derivatives of the port: ``jvp(*inputs, *dots)``, ``vjp(*inputs, q_bar)`` for Re tr(X^H Y), a tuple of several.
    **options
        The convention: ``sign``, ``factor``, ``diagonal`` of "cayley"; ``order``, ``phase`` of "givens_product";
        ``storage``, ``tau``, ``order``, ``columns`` of "householder_product"; ``special``, ``false_alarm`` of "haar";
        ``gain``, ``layout``, ``axis`` of "orthogonal_init". And those of :func:`orthoref.conformance.check`:
        ``dtypes``, ``shapes``, ``convert``, ``skip``, ``battery`` (here "quick" by default), ``precision``, ``seed``.

    Raises
    ------
    PortFailure
        An AssertionError with the report: the reason, the smallest failing input and the lines that recreate it.
    CannotRun, TypeError, ValueError
        As :func:`orthoref.conformance.check`.

    Notes
    -----
    The units are derived on the page "Judging constructors". A sample of the right measure is refused with the
    probability ``false_alarm``, equation (CR-HAAR).
    """
    __tracebackhide__ = True
    require_choice("kind", kind, KINDS)
    if (derivative, jvp, vjp) != (None, None, None) and f"{kind}_vjp" not in ROWS:
        raise ValueError(f"{kind} has no derivatives")
    _judged(port, kind, kind, options)
    if derivative is not None:
        _judged(port, kind, f"{kind}_vjp", options | {"derivative": derivative})
    for name, function in ((f"{kind}_jvp", jvp), (f"{kind}_vjp", vjp)):
        if function is not None:
            _judged(function, name, name, options)


def _judged(port: Callable[..., Any], operation: str, row: str, options: dict[str, Any]) -> None:
    """As an operation; claims that only other rows of the kind know are left out."""
    __tracebackhide__ = True
    kind = next(kind for kind in KINDS if row.startswith(kind))
    family = {claim.name for name, each in ROWS.items() if name.startswith(kind) for claim in each.claims}
    others = family - {claim.name for claim in ROWS[row].claims}
    given: dict[str, Any] = {"battery": "quick", "progress": False}
    given |= {name: value for name, value in options.items() if name not in others}
    report = conformance.check(port, operation, **given)
    if not report.holds:
        raise PortFailure(f"orthoref.testing.assert_orthogonal_constructor: {report.text()}")
