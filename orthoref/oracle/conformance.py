"""Run somebody's function over a battery of hard inputs and report what holds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import array_api_compat as compat
import numpy as np

from orthoref.oracle.cases import GALLERY, SPECTRA, Case
from orthoref.oracle.lift import Lifted, lift
from orthoref.oracle.operation import Operation
from orthoref.oracle.operations import OPERATIONS
from orthoref.oracle.precision import precision_of
from orthoref.oracle.report import Outcome, Report
from orthoref.oracle.residual import condition
from orthoref.oracle.verdict import Verdict, judge
from orthoref.oracle.watchdog import Hung, Watchdog


def check(
    port: Callable[..., Any],
    operation: str = "polar",
    *,
    returns: str = "auto",
    dtypes: Sequence[str] | None = None,
    shapes: Sequence[tuple[int, ...]] | None = None,
    convert: Callable[[np.ndarray], Any] | None = None,
    precision: str | None = None,
    limit: float | None = None,
    skip: Sequence[str] = (),
    timeout: float = 60.0,
    progress: bool = True,
    name: str | None = None,
    **options: Any,
) -> Report:
    """Judge a port of an operation over its battery of inputs.

    Parameters
    ----------
    port : callable
        Takes one array of shape (..., m, n). Exceptions are findings; so is a call that does not return.
    operation : str
        A row of ``orthoref.oracle.operations.OPERATIONS``: "polar" or "newton_schulz".
    returns : str
        What a port of "polar" returns: U alone, or a tuple that begins with (U, H) or (H, U). "auto" takes a tuple for
        (U, H).
    dtypes, shapes : sequences
        What the port claims to support; by default those of the table: four dtypes for "polar", float32 and float64 for
        "newton_schulz", tall, square, wide matrices and a stack. A case outside the claim is not run.
    convert : callable, optional
        Makes the port's array of a NumPy array; the identity by default.
    precision : str, optional
        Format the port computes in, where that is less than the dtype.
    limit : float, optional
        Largest accepted ratio: by default 10 for "polar", 4 for "newton_schulz".
    skip : sequence of str
        Families of cases outside the port's claim: a spectrum, "gallery", "extreme scale", or a gallery name.
    timeout : float
        Seconds for one call. After it the run ends: the report says which case hung.
    progress : bool
        Progress bar on stderr, if ``rich`` is installed.
    name : str, optional
        How the report calls the port.
    **options
        What the port claims to compute. "polar": ``side``, ``rank_deficient`` as in
        :func:`orthoref.testing.assert_polar`. "newton_schulz": ``schedule``, ``steps``, ``normalize``, ``eps``,
        ``eps_rule``, ``form``, ``restart``, ``scale`` as in :func:`orthoref.testing.assert_newton_schulz`.

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
    row = OPERATIONS[operation]
    limit = row.limit if limit is None else limit
    if not 0 < limit < float("inf"):
        raise ValueError(f"limit={limit!r} is not a positive number")
    if precision is not None:
        precision_of(precision)
    order = _order(row, returns)
    if unknown := set(options) - {claim.name for claim in row.claims}:
        known = ", ".join(claim.name for claim in row.claims)
        raise TypeError(f"{operation} has no option {', '.join(sorted(unknown))}: it has {known}")
    claimed = row.claim(**options)
    said = ({"returns": returns} if row.optional else {}) | {"claimed": str(claimed)}
    report = Report(name or _name_of(port), row, limit, said)
    with Watchdog(timeout) as watchdog:
        run = _Run(port, row, claimed, precision, limit, convert, order, watchdog)
        for case in _shown(cases, progress, report.port):
            hung = False
            try:
                verdict = run.judged(case)
            except Hung as error:
                verdict, hung = Verdict(case.id, faults=[str(error)]), True
            report.outcomes.append(Outcome(case, condition(case.matrix()), verdict))
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
    families = {*SPECTRA, *GALLERY, "gallery", "extreme scale", "strided", "uneven", "zero"}
    if unknown := set(skip) - families:
        raise ValueError(f"skip={sorted(unknown)} is not among {', '.join(sorted(families))}")
    dtypes = row.default_dtypes if dtypes is None else dtypes
    shapes = row.default_shapes if shapes is None else shapes
    found = [case for case in row.cases(dtypes, shapes) if not {case.family, case.name} & set(skip)]
    if not found:
        raise ValueError("no case is left: dtypes, shapes and skip exclude everything")
    return found


@dataclass(frozen=True)
class _Run:
    """A port, what it claims, and how it is called."""

    port: Callable[..., Any]
    row: Operation
    claimed: Any
    precision: str | None
    limit: float
    convert: Callable[[np.ndarray], Any] | None
    order: tuple[str, ...] | None
    watchdog: Watchdog

    def judged(self, case: Case) -> Verdict:
        """One case: inputs made, port called, outputs judged, contract checked."""
        given = {
            name: x if self.convert is None else self.convert(x)
            for name, x in zip(self.row.inputs, [case.matrix()], strict=True)
        }
        # the port is judged on what it was given: XLA flushes subnormal numbers when it copies
        before = {name: lift(name, x) for name, x in given.items()}
        self._require_dtype(before, given, case)
        if outside := self.row.outside(before, self.claimed):
            return Verdict(case.id, notes=[outside])
        try:
            result = self.watchdog.call(self.port, *given.values())
            outputs = _outputs(result, self.order, self.row)
            lifted = {name: lift(name, x) for name, x in outputs.items()}
        except Hung:
            raise
        except Exception as error:  # whatever a port raises is a finding
            return Verdict(case.id, faults=[f"raised {_described(error)}"])
        try:
            format_ = precision_of(self.precision or case.dtype)
            verdict = judge(
                self.row,
                before,
                lifted,
                self.claimed,
                precision=format_,
                limit=self.limit,
                subject=case.id,
                also=self.precision or "",
            )
            verdict.faults.extend(_contract(before, given, outputs))
            return verdict
        except Exception as error:  # no result may end the run
            return Verdict(case.id, faults=[f"the result could not be judged: {_described(error)}"])

    def _require_dtype(self, before: dict[str, Lifted], given: dict[str, Any], case: Case) -> None:
        for name, x in before.items():
            if x.dtype != case.dtype:
                hint = " (jax.config.update('jax_enable_x64', True)?)" if compat.is_jax_array(given[name]) else ""
                raise ValueError(f"convert made {x.dtype} of a {case.dtype} input{hint}")


def _described(error: Exception) -> str:
    try:
        lines = str(error).splitlines()
    except Exception:  # foreign exceptions may be broken themselves
        lines = []
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _order(row: Operation, returns: str) -> tuple[str, ...] | None:
    """Names of what the port returns, None for "auto"."""
    if returns == "auto":
        return None
    order = tuple(returns.split(",")) if "," in returns else tuple(returns)
    required = set(row.outputs) - set(row.optional)
    if len(set(order)) < len(order) or not required <= set(order) <= set(row.outputs):
        raise ValueError(f"returns={returns!r} is not 'auto' or an order of {', '.join(row.outputs)}")
    return order


def _outputs(result: Any, order: tuple[str, ...] | None, row: Operation) -> dict[str, Any]:
    """The results by name; a single name takes the first of several."""
    if len(row.outputs) == 1:
        return {row.outputs[0]: result}
    several = isinstance(result, (tuple, list))
    if order is None:
        order = row.outputs if several and len(result) > 1 else row.outputs[:1]
    if len(order) == 1:
        return {order[0]: result[0] if several else result}
    if not several or len(result) < len(order):
        raise TypeError(f"the port returned a {type(result).__name__}, not {len(order)} arrays")
    return dict(zip(order, result, strict=False))


def _contract(before: dict[str, Lifted], given: dict[str, Any], outputs: dict[str, Any]) -> Iterator[str]:
    for name, x in given.items():
        try:
            unchanged = np.array_equal(lift(name, x).value, before[name].value)
        except Exception:  # deleted, donated, reshaped
            unchanged = False
        if not unchanged:
            yield "the input was changed in place" if len(given) == 1 else f"{name} was changed in place"
    first = next(iter(given.values()))
    for name, x in outputs.items():
        if type(x) is not type(first):
            yield f"{name} is a {_type(x)}, the input a {_type(first)}"
        elif compat.is_array_api_obj(x) and compat.device(x) != compat.device(first):
            yield f"{name} is on device {compat.device(x)}, the input on {compat.device(first)}"


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
