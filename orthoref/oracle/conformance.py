"""Run somebody's function over a battery of hard inputs and report what holds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import array_api_compat as compat
import numpy as np

from orthoref.oracle import measure
from orthoref.oracle.cases import GALLERY, SPECTRA, Case
from orthoref.oracle.foreign import Lifted, lift
from orthoref.oracle.judge import Verdict
from orthoref.oracle.operations import OPERATIONS, Operation
from orthoref.oracle.precision import precision_of
from orthoref.oracle.report import Outcome, Report
from orthoref.oracle.watchdog import Hung, Watchdog

Returns = Literal["auto", "u", "uh", "hu"]
DTYPES = ("float32", "float64", "complex64", "complex128")


def check(
    port: Callable[..., Any],
    operation: str = "polar",
    *,
    returns: Returns = "auto",
    side: Literal["right", "left"] = "right",
    dtypes: Sequence[str] = DTYPES,
    shapes: Sequence[tuple[int, ...]] | None = None,
    convert: Callable[[np.ndarray], Any] | None = None,
    rank_deficient: Literal["complete", "partial"] = "complete",
    precision: str | None = None,
    limit: float = 10.0,
    skip: Sequence[str] = (),
    timeout: float = 60.0,
    progress: bool = True,
    name: str | None = None,
) -> Report:
    """Judge a port of an operation over its battery of inputs.

    Parameters
    ----------
    port : callable
        Takes one array of shape (..., m, n). Exceptions are findings; so is a call that does not return.
    operation : str
        A row of ``orthoref.oracle.operations.OPERATIONS``: "polar".
    returns : {"auto", "u", "uh", "hu"}
        What the port returns: U alone, or a tuple that begins with (U, H) or (H, U). "auto" takes a tuple for (U, H).
    side : {"right", "left"}
        Which decomposition it computes.
    dtypes, shapes : sequences
        What the port claims to support; by default four dtypes and the shapes of the table, tall, square, wide and a
        stack. A case outside the claim is not run.
    convert : callable, optional
        Makes the port's array of a NumPy array; the identity by default.
    rank_deficient : {"complete", "partial"}
        As in :func:`orthoref.testing.assert_polar`.
    precision : str, optional
        Format the port computes in, where that is less than the dtype.
    limit : float
        Largest accepted ratio.
    skip : sequence of str
        Families of cases outside the port's claim: a spectrum, "gallery", "extreme scale", or a gallery name.
    timeout : float
        Seconds for one call. After it the run ends: the report says which case hung.
    progress : bool
        Progress bar on stderr, if ``rich`` is installed.
    name : str, optional
        How the report calls the port.

    Returns
    -------
    Report
        ``report.holds``, ``report.text()``, ``report.json()``, ``report.html()``.

    Notes
    -----
    Beside the ratios of the operation every case checks that the result has the input's dtype, array type and device,
    the right shape, and that the input was not changed.
    """
    cases = battery(operation, dtypes=dtypes, shapes=shapes, skip=skip)
    if not limit > 0:
        raise ValueError(f"limit={limit!r} is not positive")
    row = OPERATIONS[operation]
    for option, value, choices in (
        ("returns", returns, ("auto", "u", "uh", "hu")),
        ("side", side, ("right", "left")),
        ("rank_deficient", rank_deficient, ("complete", "partial")),
    ):
        if value not in choices:
            raise ValueError(f"{option}={value!r} is not one of {', '.join(map(repr, choices))}")
    options = {"side": side, "rank_deficient": rank_deficient, "limit": limit}
    report = Report(name or _name_of(port), operation, row.checks, limit, {"returns": returns, "side": side})
    with Watchdog(timeout) as watchdog:
        for case in _shown(cases, progress, report.port):
            hung = False
            try:
                verdict = _judge(port, row, case, convert, returns, precision, options, watchdog)
            except Hung as error:
                verdict, hung = Verdict(case.id, faults=[str(error)]), True
            report.outcomes.append(Outcome(case, measure.condition(case.matrix()), verdict))
            if hung:
                report.stopped = f"{len(cases) - len(report.outcomes)} cases not run after the port hung"
                break
    return report


def battery(
    operation: str = "polar",
    *,
    dtypes: Sequence[str] | None = None,
    shapes: Sequence[tuple[int, ...]] | None = None,
    skip: Sequence[str] = (),
) -> list[Case]:
    """The inputs that :func:`check` runs, for other tests to use.

    Parameters
    ----------
    operation, dtypes, shapes, skip
        As in :func:`check`; None for the defaults.

    Returns
    -------
    list of orthoref.oracle.cases.Case

    Raises
    ------
    ValueError
        Unknown operation, or nothing is left.
    """
    if operation not in OPERATIONS:
        raise ValueError(f"operation={operation!r} is not one of {', '.join(OPERATIONS)}")
    row = OPERATIONS[operation]
    for option, value in (("dtypes", dtypes), ("skip", skip)):
        if isinstance(value, str):
            raise ValueError(f"{option}={value!r} must be a sequence of names, not one")
    families = {*SPECTRA, *GALLERY, "gallery", "extreme scale"}
    if unknown := set(skip) - families:
        raise ValueError(f"skip={sorted(unknown)} is not among {', '.join(sorted(families))}")
    dtypes = DTYPES if dtypes is None else dtypes
    shapes = row.default_shapes if shapes is None else shapes
    found = [case for case in row.battery(dtypes, shapes) if not {case.family, case.name} & set(skip)]
    if not found:
        raise ValueError("no case is left: dtypes, shapes and skip exclude everything")
    return found


def _judge(
    port: Callable[..., Any],
    row: Operation,
    case: Case,
    convert: Callable[[np.ndarray], Any] | None,
    returns: Returns,
    precision: str | None,
    options: dict[str, Any],
    watchdog: Watchdog,
) -> Verdict:
    a = case.matrix()
    given = a if convert is None else convert(a)
    before = lift("a", given)  # the port is judged on what it was given: XLA flushes subnormal numbers when it copies
    if before.dtype != case.dtype:
        hint = " (jax.config.update('jax_enable_x64', True)?)" if compat.is_jax_array(given) else ""
        raise ValueError(f"convert made {before.dtype} of a {case.dtype} input{hint}")
    try:
        result = watchdog.call(port, given)
        outputs = _outputs(result, returns)
        lifted = {name: lift(name, x) for name, x in outputs.items()}
    except Hung:
        raise
    except Exception as error:  # whatever a port raises is a finding
        return Verdict(case.id, faults=[f"raised {_described(error)}"])
    try:
        return _judged(case, row, before, given, lifted, outputs, precision, options)
    except Exception as error:  # no result may end the run
        return Verdict(case.id, faults=[f"the result could not be judged: {_described(error)}"])


def _described(error: Exception) -> str:
    try:
        lines = str(error).splitlines()
    except Exception:  # foreign exceptions may be broken themselves
        lines = []
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _judged(
    case: Case,
    row: Operation,
    before: Lifted,
    given: Any,
    lifted: dict[str, Lifted],
    outputs: dict[str, Any],
    precision: str | None,
    options: dict[str, Any],
) -> Verdict:
    verdict = row.judge(
        before,
        lifted["u"],
        lifted.get("h"),
        precision=precision_of(precision or before.dtype or "float64"),
        subject=case.id,
        **options,
    )
    verdict.faults.extend(_contract(before, given, outputs))
    return verdict


def _outputs(result: Any, returns: Returns) -> dict[str, Any]:
    several = isinstance(result, (tuple, list))
    if returns == "auto":
        returns = "uh" if several and len(result) > 1 else "u"
    if returns == "u":
        return {"u": result[0] if several else result}
    if not several or len(result) < 2:
        raise TypeError(f"the port returned a {type(result).__name__}, not two factors")
    return dict(zip(returns, result, strict=False))


def _contract(before: Lifted, given: Any, outputs: dict[str, Any]) -> Iterator[str]:
    try:
        unchanged = np.array_equal(lift("a", given).value, before.value)
    except Exception:  # deleted, donated, reshaped
        unchanged = False
    if not unchanged:
        yield "the input was changed in place"
    for name, x in outputs.items():
        if type(x) is not type(given):
            yield f"{name} is a {_type(x)}, the input a {_type(given)}"
        elif compat.is_array_api_obj(x) and compat.device(x) != compat.device(given):
            yield f"{name} is on device {compat.device(x)}, the input on {compat.device(given)}"


def _type(x: Any) -> str:
    return f"{type(x).__module__.partition('.')[0]}.{type(x).__name__}"


def _name_of(port: Callable[..., Any]) -> str:
    module = getattr(port, "__module__", None) or type(port).__module__
    return f"{module}.{getattr(port, '__qualname__', type(port).__qualname__)}"


def _shown(cases: Sequence[Case], progress: bool, name: str) -> Iterable[Case]:
    if not progress:
        return cases
    try:
        from rich.console import Console
        from rich.progress import track
    except ImportError:
        return cases
    return track(cases, description=name, console=Console(file=sys.stderr), transient=True)
