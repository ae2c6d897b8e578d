"""Assertions about geometry on the Stiefel manifold: of arrays, and of callables over a battery of points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from orthoref.errors import PortFailure
from orthoref.oracle import conformance
from orthoref.oracle.lift import lift
from orthoref.oracle.stiefel.haar import marginals, reason
from orthoref.oracle.stiefel.row import TANGENT
from orthoref.testing._assertions import _assert, assert_orthonormal

Port = Callable[..., Any]
Kind = Literal["any", "qr", "polar", "cayley", "exp"]


def assert_tangent(
    x: Any, v: Any, *, precision: str | None = None, limit: float = TANGENT.limit, recreate: str | None = None
) -> None:
    """Assert that v is tangent to the Stiefel manifold at x.

    Parameters
    ----------
    x, v : arrays of shape (..., n, p)
        A point with orthonormal columns, a tangent; arrays as in :func:`assert_polar`.
    precision, recreate
        As in :func:`assert_polar`.
    limit : float
        Largest accepted |herm(X^H V)|/(e |V|), e the larger of p eps and 8 eps, plus |X^H X - I|.

    Raises
    ------
    PortFailure
        v has a normal component: how large, and which member of a stack.
    OutsideDomain
        x is not on the manifold; NaN or infinity in x.
    TypeError, ValueError
        Arguments that cannot be read.
    """
    __tracebackhide__ = True
    _assert(TANGENT, {"x": x}, {"v": v}, None, precision, limit, recreate, "assert_tangent")


def assert_projection(project: Port, *, vjp: Port | None = None, jvp: Port | None = None, **options: Any) -> None:
    """Assert that project(x, v) is the orthogonal projection onto the tangent space: V - X herm(X^H V).

    Parameters
    ----------
    project : callable
    vjp, jvp : callables, optional
        Its derivatives, judged beside it: ``vjp(x, v, u_bar) -> (x_bar, v_bar)``, ``jvp(x, v, x_dot, v_dot)``. Those
        that a framework makes are judged by ``derivative="torch"`` or "jax", in place of the function itself.
    **options
        Of :func:`orthoref.conformance.check`: ``dtypes``, ``shapes``, ``convert``, ``skip``, ``battery``
        (here "quick" by default), ``precision``, ``limit``, ``seed``, ``derivative``, ``kind``.

    Raises
    ------
    PortFailure
        An AssertionError with the report: the reason, the smallest failing input and the lines that recreate it.
    CannotRun, TypeError, ValueError
        As :func:`orthoref.conformance.check`.

    Notes
    -----
    That it is idempotent, self-adjoint, and has the right range and null space follows from its values.
    """
    __tracebackhide__ = True
    _check("assert_projection", project, "stiefel.project", options, vjp, jvp)


def assert_gradient(
    gradient: Port, *, metric: str | float = "euclidean", vjp: Port | None = None, jvp: Port | None = None,
    **options: Any,
) -> None:  # fmt: skip
    """Assert that gradient(x, egrad) is the Riemannian gradient: <grad, V>_g = Re<egrad, V> for every tangent V.

    Parameters
    ----------
    gradient : callable
    metric : str or float
        "euclidean", "canonical", or alpha > -1 of the family of metrics.
    vjp, jvp : callables, optional
        As in :func:`assert_projection`; they take no metric.
    **options
        As in :func:`assert_projection`.

    Raises
    ------
    PortFailure, CannotRun, TypeError, ValueError
        As :func:`assert_projection`.
    """
    __tracebackhide__ = True
    _check("assert_gradient", gradient, "stiefel.gradient", {"metric": metric, **options}, vjp, jvp)


def assert_hessian(hessian: Port, *, metric: str | float = "euclidean", **options: Any) -> None:
    """Assert that hessian(x, egrad, ehess, v) is the Riemannian Hessian along v, of a function with D^2 f[v] = ehess.

    Parameters
    ----------
    hessian : callable
    metric : str or float
        As in :func:`assert_gradient`.
    **options
        As in :func:`assert_projection`.

    Raises
    ------
    PortFailure, CannotRun, TypeError, ValueError
        As :func:`assert_projection`.
    """
    __tracebackhide__ = True
    _check("assert_hessian", hessian, "stiefel.hessian", {"metric": metric, **options})


def assert_retraction(
    retract: Port,
    *,
    order: int = 1,
    metric: str | float = "euclidean",
    kind: Kind = "any",
    vjp: Port | None = None,
    jvp: Port | None = None,
    **options: Any,
) -> None:
    """Assert that retract(x, v) is a retraction, of this order for this metric, or that it is a certain one.

    Parameters
    ----------
    retract : callable
    order : {1, 2}
        To which it agrees with the geodesics of the metric; 1 is the same for every metric.
    metric : str or float
        As in :func:`assert_gradient`.
    kind : {"any", "qr", "polar", "cayley", "exp"}
        ``"any"`` is judged by what makes it a retraction: on the manifold, R(x, 0) = x, dR(x, 0) = identity, slopes.
        The others by their values, ``"exp"`` by that of the metric.
    vjp, jvp : callables, optional
        As in :func:`assert_projection`, for a kind that has a definite derivative: not "any".
    **options
        As in :func:`assert_projection`.

    Raises
    ------
    PortFailure, CannotRun, TypeError, ValueError
        As :func:`assert_projection`.
    """
    __tracebackhide__ = True
    named = {"qr": "stiefel.retract_qr", "polar": "stiefel.retract_polar", "cayley": "stiefel.retract_cayley"}
    if kind == "any":
        if vjp is not None or jvp is not None:
            raise ValueError("vjp= and jvp= need a kind= of retraction whose derivative they are")
        _check("assert_retraction", retract, "stiefel.retract", {"order": order, "metric": metric, **options})
    elif kind == "exp":
        _check("assert_retraction", retract, "stiefel.exp", {"metric": metric, **options}, vjp, jvp)
    elif kind in named:
        _check("assert_retraction", retract, named[kind], options, vjp, jvp)
    else:
        raise ValueError(f"kind={kind!r} is not one of any, {', '.join(named)}, exp")


def assert_transport(transport: Port, *, kind: Literal["qr", "polar", "cayley", "isometric"], **options: Any) -> None:
    """Assert that transport(x, v, w) is the derivative of a retraction at v along w, or the isometric one of Cayley's.

    Parameters
    ----------
    transport : callable
    kind : {"qr", "polar", "cayley", "isometric"}
    **options
        As in :func:`assert_projection`.

    Raises
    ------
    PortFailure, CannotRun, TypeError, ValueError
        As :func:`assert_projection`.
    """
    __tracebackhide__ = True
    _check("assert_transport", transport, f"stiefel.transport_{kind}", options)


def assert_inverse(
    inverse: Port,
    *,
    kind: Literal["qr", "polar", "cayley", "log"],
    metric: str | float | None = None,
    **options: Any,
) -> None:
    """Assert that inverse(x, y) is the tangent with which a retraction leads from x to y.

    Parameters
    ----------
    inverse : callable
    kind : {"qr", "polar", "cayley", "log"}
    metric : str or float, optional
        Of the logarithm, as in :func:`assert_gradient`.
    **options
        As in :func:`assert_projection`.

    Raises
    ------
    PortFailure, CannotRun, TypeError, ValueError
        As :func:`assert_projection`.
    """
    __tracebackhide__ = True
    name = "stiefel.log" if kind == "log" else f"stiefel.inverse_retract_{kind}"
    _check("assert_inverse", inverse, name, options if metric is None else {"metric": metric, **options})


def assert_haar(x: Any, *, special: bool = False, false_alarm: float = 1e-6) -> None:
    """Assert that a sample of points has the Haar measure, as far as its marginals show.

    Parameters
    ----------
    x : array of shape (N, n, p)
        N points, drawn independently; 1000 and more tell something. Arrays as in :func:`assert_polar`.
    special : bool
        Whether determinants are to be 1 (p = n, real): the measure of the rotations.
    false_alarm : float
        Largest probability that a sample of the Haar measure is refused.

    Raises
    ------
    PortFailure
        The least likely marginal, its probability and what is seen; columns that are not orthonormal.
    TypeError, ValueError
        Arguments that cannot be read.

    Notes
    -----
    Kolmogorov-Smirnov tests of Re u^H X w for axes and generic unit vectors, whose distribution is known, and the sign
    of the determinant: equation (SR-HAAR). Each may refuse with the probability ``false_alarm`` over their number.
    """
    __tracebackhide__ = True
    if isinstance(false_alarm, bool) or not 0 < false_alarm < 1:
        raise ValueError(f"false_alarm={false_alarm!r} is not a probability")
    values = lift("x", x).value
    if values.ndim != 3 or 0 in values.shape or values.shape[1] < values.shape[2]:
        raise ValueError(f"x has shape {values.shape}, not (N, n, p) with n >= p")
    assert_orthonormal(x)
    found = marginals(values, special=special)
    worst = min(found, key=lambda each: each.p)
    if not worst.p >= false_alarm / len(found):
        raise PortFailure(
            f"orthoref.testing.assert_haar: {worst.name} of {len(values)} points is as unlikely as {worst.p:.2g}, "
            f"less than {false_alarm / len(found):.2g}\n  reason: {reason(values, worst)}"
        )


def _check(caller: str, port: Port, operation: str, options: dict[str, Any], vjp: Port | None = None,
           jvp: Port | None = None) -> None:  # fmt: skip
    """The port, and its derivatives if they are given."""
    __tracebackhide__ = True
    given: dict[str, Any] = {"battery": "quick", "progress": False, **options}
    for function, row in ((port, operation), (vjp, f"{operation}_vjp"), (jvp, f"{operation}_jvp")):
        if function is not None:
            report = conformance.check(function, row, **given)
            if not report.holds:
                raise PortFailure(f"orthoref.testing.{caller}: {report.text()}")
