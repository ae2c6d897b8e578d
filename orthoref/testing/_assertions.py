"""Assertions for anybody's test suite, inside pytest or without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Literal

from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.errors import NotJudged, PortFailure
from orthoref.oracle.lift import Lifted, lift
from orthoref.oracle.newton_schulz.row import ROW as NEWTON_SCHULZ
from orthoref.oracle.operation import Operation
from orthoref.oracle.operations import ROWS
from orthoref.oracle.orthonormal.row import ROW as ORTHONORMAL
from orthoref.oracle.polar.row import ROW as POLAR
from orthoref.oracle.precision import precision_of
from orthoref.oracle.verdict import judge

record: Callable[..., None] | None = None  # what the pytest plugin makes of every verdict


def assert_polar(
    a: Any,
    u: Any,
    h: Any = None,
    *,
    side: Literal["right", "left"] = "right",
    rank_deficient: Literal["complete", "partial"] = "complete",
    precision: str | None = None,
    limit: float = 10.0,
    recreate: str | None = None,
) -> None:
    """Assert that u (and h) are polar factors of a, as accurate as a backward stable method makes them.

    Parameters
    ----------
    a, u, h : arrays of shapes (..., m, n), (..., m, n), (..., n, n) (or (..., m, m) for side="left")
        NumPy, CuPy, torch (bfloat16 and CUDA too), JAX, anything with DLPack or ``__array__``, nested lists. They
        are lifted exactly to float64 for judging. ``h`` may be left out.
    side : {"right", "left"}
        a = u h or a = h u.
    rank_deficient : {"complete", "partial"}
        ``"partial"`` accepts a partial isometry for a rank-deficient a.
    precision : str, optional
        Format whose rounding is the unit of error: "float64", "float32", "tf32", "float16", "bfloat16". By default that
        of u's dtype, and then u and h must have the dtype of a. Name it where a float32 result was computed in less.
    limit : float
        Largest accepted ratio, in units of n eps (sqrt(n) eps for 16-bit formats) with n = min(m, n). Never more than
        half of what u = 0 scores, so that the assertion can fail. The checks that 16-bit formats have beside, in units
        of the rounding of the entries, keep limits of their own.
    recreate : str, optional
        Line that recreates the input, printed with a failure.

    Raises
    ------
    PortFailure
        An AssertionError whose message lists every ratio, the batch index, the reason and ``recreate``.
    OutsideDomain
        NaN or infinity in a: there is nothing to judge.
    TypeError, ValueError
        Arguments that cannot be read.

    Notes
    -----
    A factorization is accepted on its residuals, not on closeness to another implementation: u of an ill-conditioned
    matrix may differ from the exact factor by eps times the condition number. :func:`orthoref.certify.polar` bounds
    that distance rigorously.
    """
    __tracebackhide__ = True
    _assert(
        POLAR,
        {"a": a},
        {"u": u} if h is None else {"u": u, "h": h},
        POLAR.claim(side=side, rank_deficient=rank_deficient),
        precision,
        limit,
        recreate,
    )


def assert_newton_schulz(
    a: Any,
    x: Any,
    schedule: str | Schedule = "muon",
    *,
    steps: int | None = None,
    normalize: str | Normalization | None = None,
    eps: float = 0.0,
    eps_rule: Literal["add", "clamp"] = "add",
    form: Literal["standard", "gram"] = "standard",
    restart: Sequence[int] = (),
    scale: str = "none",
    precision: str | None = None,
    limit: float = NEWTON_SCHULZ.limit,
    recreate: str | None = None,
) -> None:
    """Assert that x is this finite Newton-Schulz iteration of a, as accurate as the format and the form allow.

    Parameters
    ----------
    a, x : arrays of shape (..., m, n)
        As in :func:`assert_polar`. ``a`` as it was before the call: take a copy where the port may write into it.
    schedule, steps, normalize, eps, eps_rule, form, restart
        What the port claims to compute, as in :func:`orthoref.newton_schulz`.
    scale : str
        Update scale: "none", "sqrt(max(1, m/n))", "sqrt(max(1, n/m))", "0.2 sqrt(max(m, n))", "sqrt(m/n)", "sqrt(n/m)",
        "sqrt(max(m, n))".
    precision : str, optional
        Format whose rounding is the unit of error: "float64", "float32", "float16", "bfloat16". By default that of x's
        dtype, and then x must have the dtype of a.
    limit : float
        Largest accepted ratio of |x - f(a)|_F to the root mean square of its rounding error.
    recreate : str, optional
        Line that recreates the input, printed with a failure.

    Raises
    ------
    PortFailure
        An AssertionError with the ratios, the batch index and the reason: another schedule, another number of steps, a
        safety factor too many or too few, an update scale, rows and columns swapped, a lower precision, ...
    OutsideDomain
        NaN or infinity in a.
    NotJudged
        An OutsideDomain: no matrix can be judged because in this precision and form rounding errors alone are more
        than a quarter of the result. In a test with the mark ``orthoref_cases`` it is a skip with the reason.
    TypeError, ValueError
        Arguments that cannot be read.

    Notes
    -----
    The reference is the same schedule in float64. The unit counts every rounding of the model (STORE) with the unit
    roundoff and carries it to the end by the derivative of the remaining steps: equations (SOURCES), (CARRY), (GRAM).
    """
    __tracebackhide__ = True
    claimed = NEWTON_SCHULZ.claim(
        schedule=schedule,
        steps=steps,
        normalize=normalize,
        eps=eps,
        eps_rule=eps_rule,
        form=form,
        restart=restart,
        scale=scale,
    )
    _assert(NEWTON_SCHULZ, {"a": a}, {"x": x}, claimed, precision, limit, recreate)


def assert_orthonormal(
    q: Any, *, precision: str | None = None, limit: float = 10.0, recreate: str | None = None
) -> None:
    """Assert that q has orthonormal columns, or orthonormal rows if it is wide.

    Parameters
    ----------
    q : array of shape (..., m, n)
        As in :func:`assert_polar`.
    precision, limit, recreate
        As in :func:`assert_polar`; the ratio is |I - Q^H Q|/(n eps) in the Frobenius norm, n = min(m, n). In 16-bit
        formats also its spectral norm, the lengths of the columns and the mean of their squares.

    Raises
    ------
    PortFailure
        An AssertionError with the ratio, the batch index and the reason.
    """
    __tracebackhide__ = True
    _assert(ORTHONORMAL, {}, {"q": q}, None, precision, limit, recreate)


def assert_vjp(
    operation: str,
    a: Any,
    cotangents: Any,
    a_bar: Any,
    *,
    precision: str | None = None,
    limit: float | None = None,
    recreate: str | None = None,
    **claims: Any,
) -> None:
    """Assert that a_bar is the gradient of Re<f(a), cotangents> at a, f an operation of this library.

    Parameters
    ----------
    operation : str
        "polar", "newton_schulz", or one of several inputs: "stiefel.project", "stiefel.gradient",
        "stiefel.retract_qr", "stiefel.retract_polar", "stiefel.retract_cayley", "stiefel.exp".
    a : array of shape (..., m, n), or a tuple of arrays
        The point, anything that :func:`assert_polar` takes; of several inputs all of them: ``(x, v)``.
    cotangents : array, sequence of arrays and None, or dict
        One for each output, in order or by name: ``(u_bar, h_bar)``, ``{"h_bar": h_bar}``, or a single array for the
        first. What is None or left out is not differentiated.
    a_bar : array of shape (..., m, n), or a tuple of arrays
        The adjoint of the derivative, for the real inner product Re tr(X^H Y): what torch returns, the conjugate of
        what JAX returns for conjugated cotangents. Of several inputs one for each, ``(x_bar, v_bar)``; None for x_bar
        where it is not computed. They are judged as far as directions along the tangent bundle see them, (SR-REDUCED).
    precision, recreate
        As in :func:`assert_polar`.
    limit : float, optional
        Largest accepted ratio of |a_bar - exact| to what a backward error of a and of the cotangents changes: 10 for
        "polar", 4 for "newton_schulz".
    **claims
        "polar": ``side``. "newton_schulz": ``schedule``, ``steps``, ``normalize``, ``eps``, ``eps_rule``, ``scale``.
        "stiefel.gradient", "stiefel.exp": ``metric``.

    Raises
    ------
    PortFailure
        An AssertionError with the ratio, the batch index and the reason.
    OutsideDomain
        NaN or infinity in the inputs.
    NotJudged
        An OutsideDomain: no derivative there, or one that the format does not determine.
    TypeError, ValueError
        Arguments that cannot be read.

    Notes
    -----
    The exact derivative is found in float64, for float64 results in fixed point of 120 bits. The unit is equation
    (DERIVATIVE-UNIT), for "newton_schulz" equation (SWEEP), for "stiefel" equation (SR-DERIVATIVE-UNIT).
    """
    __tracebackhide__ = True
    row, points = _derivative(operation, "vjp", a)
    given = _named("cotangents", cotangents, row.inputs[len(points) :])
    found = {row.outputs[0]: a_bar} if len(points) == 1 else _named("a_bar", a_bar, row.outputs)
    _assert_derivative(row, given, {**points, **given}, found, claims, precision, limit, recreate)


def assert_jvp(
    operation: str,
    a: Any,
    a_dot: Any,
    tangents: Any,
    *,
    precision: str | None = None,
    limit: float | None = None,
    recreate: str | None = None,
    **claims: Any,
) -> None:
    """Assert that tangents are the derivative of an operation at a along a_dot.

    Parameters
    ----------
    operation, a, precision, limit, recreate, **claims
        As in :func:`assert_vjp`.
    a_dot : array of shape (..., m, n), or a tuple of arrays
        The direction; of several inputs one for each, ``(x_dot, v_dot)``, along the tangent bundle:
        X^H X_dot skew-Hermitian and, where V is tangent, X_dot^H V + X^H V_dot, too.
    tangents : array, sequence of arrays and None, or dict
        One for each output, in order or by name: ``(u_dot, h_dot)``, ``{"h_dot": h_dot}``, or a single array for the
        first.

    Raises
    ------
    PortFailure, OutsideDomain, TypeError, ValueError
        As :func:`assert_vjp`.
    """
    __tracebackhide__ = True
    row, points = _derivative(operation, "jvp", a)
    names = row.inputs[len(points) :]
    directions = {names[0]: a_dot} if len(names) == 1 else _all("a_dot", a_dot, names)
    given = _named("tangents", tangents, row.outputs)
    _assert_derivative(row, given, points | directions, given, claims, precision, limit, recreate)


def _assert_derivative(
    row: Operation, given: dict[str, Any], inputs: dict[str, Any], outputs: dict[str, Any], claims: dict[str, Any],
    precision: str | None, limit: float | None, recreate: str | None,
) -> None:  # fmt: skip
    """``given`` says which factors of a polar decomposition are differentiated."""
    __tracebackhide__ = True
    if row.name.startswith("polar"):
        claims["factor"] = "both" if len(given) == 2 else next(iter(given))[0]
    operation, _, kind = row.name.rpartition("_")
    caller = f"assert_{kind}({operation!r})"
    _assert(row, inputs, outputs, row.claim(**claims), precision, _limit(row, limit), recreate, caller)


def _derivative(operation: str, kind: str, a: Any) -> tuple[Operation, dict[str, Any]]:
    """The row, and the inputs of the operation by name."""
    able = [name for name in ROWS if f"{name}_vjp" in ROWS]
    if operation not in able:
        raise ValueError(f"operation={operation!r} is not one of {', '.join(able)}")
    names = ROWS[operation].inputs
    return ROWS[f"{operation}_{kind}"], {names[0]: a} if len(names) == 1 else _all("a", a, names)


def _all(argument: str, values: Any, names: Sequence[str]) -> dict[str, Any]:
    """As many arrays as names."""
    if not isinstance(values, (tuple, list)) or len(values) != len(names):
        raise ValueError(f"{argument} must be {len(names)} arrays: {', '.join(names)}")
    return dict(zip(names, values, strict=True))


def _limit(row: Operation, limit: float | None) -> float:
    return row.limit if limit is None else limit


def _named(argument: str, values: Any, names: Sequence[str]) -> dict[str, Any]:
    """Arrays by name, without those that are None."""
    if isinstance(values, dict):
        if unknown := set(values) - set(names):
            raise ValueError(f"{argument} has {', '.join(sorted(unknown))}: known are {', '.join(names)}")
        pairs = [(name, values[name]) for name in names if name in values]
    elif isinstance(values, (tuple, list)) and not (values and isinstance(values[0], (tuple, list, int, float))):
        if not 1 <= len(values) <= len(names):
            raise ValueError(f"{argument} are {len(values)}, not {len(names)}: {', '.join(names)}")
        pairs = [*zip(names, values, strict=False)]
    else:
        pairs = [(names[0], values)]
    given = {name: x for name, x in pairs if x is not None}
    if not given:
        raise ValueError(f"{argument}: all are None")
    return given


def _assert(
    row: Operation,
    inputs: dict[str, Any],
    outputs: dict[str, Any],
    claimed: Any,
    precision: str | None,
    limit: float,
    recreate: str | None,
    caller: str = "",
) -> None:
    __tracebackhide__ = True
    for option, value, kind in (("limit", limit, Real), ("precision", precision, str | None)):
        if not isinstance(value, kind):
            raise TypeError(f"{option}={value!r} is no {'number' if kind is Real else 'name of a format'}")
    if not 0 < limit < float("inf"):
        raise ValueError(f"limit={limit!r} is not a positive number")
    for name, x in {**inputs, **outputs}.items():
        if hasattr(x, "_fields"):  # no stack of matrices, but several results
            raise TypeError(f"{name} is a {type(x).__name__}({', '.join(x._fields)}), not an array: unpack it")
    data, results = ({name: lift(name, x) for name, x in arrays.items()} for arrays in (inputs, outputs))
    stored = next((x.dtype for x in (*results.values(), *data.values()) if x.dtype), "float64")
    for name, like in row.companions(claimed).items():
        *batch, m, n = data[row.inputs[0]].value.shape
        of = like[0] if isinstance(like, tuple) else str(like)
        expected = (*batch, *{"right": (n, n), "left": (m, m)}.get(of, (m, n)))
        if data[name].value.shape != expected:
            raise ValueError(f"{name} has shape {data[name].value.shape}, not {expected}")
    if precision is not None:  # dtypes may then differ
        data = {name: Lifted(x.value, None) for name, x in data.items()}
    first = next(iter(outputs.values()))
    shape = next(iter((data or results).values())).value.shape
    verdict = judge(
        row,
        data,
        results,
        claimed,
        precision=precision_of(precision or stored),
        limit=limit,
        subject=_subject(first, next(iter(results.values())).dtype, precision, shape),
    )
    if record is not None:
        record(row, data, results, claimed, precision, limit, recreate, verdict)
    if not verdict.holds:
        raise PortFailure(verdict.text(f"orthoref.testing.{caller or f'assert_{row.name}'}", recreate))
    if verdict.state == "not judged" and verdict.notes:
        raise NotJudged(verdict.notes[0])


def _subject(x: Any, stored: str | None, precision: str | None, shape: tuple[int, ...]) -> str:
    kind = "list" if isinstance(x, (list, tuple)) else f"{type(x).__module__.partition('.')[0]}.{stored}"
    return f"{kind} {shape}" + (f", judged as {precision}" if precision else "")
