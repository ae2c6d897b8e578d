"""Run somebody's function over a battery of hard inputs and report what holds."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import log, prod
from typing import Any, Literal, get_args

import numpy as np

from orthoref.arrays import require_choice
from orthoref.errors import CannotRun
from orthoref.oracle import autodiff
from orthoref.oracle import battery as batteries
from orthoref.oracle.cases import MEMORY, Case
from orthoref.oracle.isolated import Died, Isolated, Recipe, Team
from orthoref.oracle.laws import LAWS, broken, chosen, laws_of
from orthoref.oracle.narrow import narrowed
from orthoref.oracle.operation import Law, Operation
from orthoref.oracle.operations import ROWS
from orthoref.oracle.precision import PRECISIONS, precision_of
from orthoref.oracle.report import Outcome, Report
from orthoref.oracle.run import Called, Judged, Raised, Run, about, order_of
from orthoref.oracle.verdict import Verdict
from orthoref.oracle.vote import Failure, vote
from orthoref.oracle.watchdog import Hung, Watchdog

Size = Literal["quick", "default", "exhaustive"]
TYPICAL = 250  # entries of a case that is neither special for its size nor slow
OWN_MEMORY = "own memory"  # a promise about each result, that a port need not make
CONVERTED = ("C", "F", "transposed", "strided")  # layouts that other libraries can take over from NumPy


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
    battery: Size = "default",
    seed: int = 0,
    max_cases: int | None = None,
    timeout: float = 60.0,
    progress: bool = True,
    name: str | None = None,
    derivative: str | None = None,
    kind: Literal["vjp", "jvp", "vjp_jvp"] = "vjp",
    isolate: bool = False,
    jobs: int = 1,
    **claims: Any,
) -> Report:
    """Judge a port of an operation over its battery of inputs.

    Parameters
    ----------
    port : callable
        Takes one array of shape (..., m, n). Exceptions are findings; so is a call that does not return.
    operation : str
        A row of ``orthoref.oracle.operations.ROWS``: "polar", "newton_schulz", "cayley", ..., or one of their
        derivatives, "polar_vjp", "polar_jvp", "polar_vjp_jvp", "newton_schulz_vjp", ..., for a port that is itself the
        derivative: it takes the arrays named in the row's ``inputs``.
    returns : str
        What a port of several outputs returns: their names in order, "u", "uh" or "hu" for "polar". "auto" takes a
        tuple for all of them, anything else for the first.
    dtypes, shapes : sequences
        What the port claims to support; by default four dtypes, all classes of shapes, stacks included. A case outside
        the claim is not run.
    convert : callable, optional
        Makes the port's array of a NumPy array; the identity by default. The array may be a view with strides.
    precision : str, optional
        Format the port computes in, where that is less than the dtype.
    limit : float, optional
        Largest accepted ratio: by default 10 for "polar", 4 for "newton_schulz".
    skip : sequence of str
        What is outside the port's claim: levels of the battery ("stacks", "extreme scale", "cond 1e+11", a spectrum, a
        structure, "gallery", ...) and laws ("repeatable", "kept", "own memory", "history", "every call", "threads").
    battery : {"quick", "default", "exhaustive"}
        Every level of every factor; every pair of levels; several such arrays and full sweeps.
    seed : int
        Another seed, another battery with the same coverage.
    max_cases : int, optional
        At most so many cases, those that cover most first.
    timeout : float
        Seconds for one call. After it the run ends: the report says which case hung.
    progress : bool
        Progress bar on stderr, if ``rich`` is installed.
    name : str, optional
        How the report calls the port.
    derivative : str, optional
        Judge not what the port returns but its derivative, as a framework finds it: "torch", "torch vmap", "jax",
        "jax jit", "jax vmap", "jax reverse", see :mod:`orthoref.oracle.autodiff`. ``convert`` is that of the framework.
    kind : {"vjp", "jvp", "vjp_jvp"}
        Which derivative: reverse mode, forward mode, or the derivative of the first along a direction (double
        backward).
    isolate : bool
        Call the port in a process of its own: one that is ended by a call (abort, segmentation fault, out of memory)
        is a finding, and another is begun. The port and ``convert`` are functions of a module then, so that they can be
        loaded there.
    jobs : int
        Spread the calls and their judging over so many processes, as ``isolate`` does over one. The report is the
        same, in the same order.
    **claims
        What the port claims to compute. "polar": ``side``, ``rank_deficient`` as in
        :func:`orthoref.testing.assert_polar`. "newton_schulz": ``schedule``, ``steps``, ``normalize``, ``eps``,
        ``eps_rule``, ``form``, ``restart``, ``scale`` as in :func:`orthoref.testing.assert_newton_schulz`. "stiefel":
        ``metric``, ``order`` where there is one; ``scale``, the c of X^H X = c^2 I.

    Returns
    -------
    Report
        ``report.holds``, ``report.status``, ``report.text()``, ``report.json()``, ``report.html()``.

    Raises
    ------
    CannotRun
        The port raised the same exception, or returned nothing that can be judged, for every input.
    TypeError, ValueError
        Arguments that cannot be read, unknown names.

    Notes
    -----
    Beside the ratios of the operation every case checks that the result has the input's dtype, array type and device,
    the right shape, and that the input was not changed. On a few cases that hold the laws are tried: what several calls
    have to do with each other.
    """
    if not callable(port):
        raise TypeError(f"port must be a function, not {type(port).__name__}")
    name = name or _name_of(port)
    if jobs < 1:
        raise ValueError(f"jobs={jobs} is not a positive number")
    wrap = None
    if derivative is not None:
        wrap, operation, returns, claims = _differentiated(operation, returns, derivative, kind, claims)
    row = row_of(operation)
    limit = limit_of(row, limit)
    require_choice("battery", battery, get_args(Size))
    if precision is not None:
        precision_of(precision)
    order = order_of(row, returns)
    claimed = claim_of(row, claims)
    if convert is None and (short := [d for d in dtypes or () if d in PRECISIONS and not hasattr(np, d)]):
        raise ValueError(f"dtypes={short} needs convert=: NumPy has no {short[0]}")
    laws = [law for law in laws_of(row) if law.name not in skip]
    layouts = None if convert is None else CONVERTED
    free = shapes is None and not row.levels.shapes  # plainer cases may have others
    cases = cases_of(row, claimed, layouts, dtypes=dtypes, shapes=shapes, skip=skip, size=battery, seed=seed,
                     max_cases=max_cases)  # fmt: skip
    said = said_of(row, claimed, returns, dtypes, shapes, precision, skip, battery, seed, max_cases)
    report = Report(name, row, limit, said | {"derivative": derivative or ""})
    formats = [precision_of(precision or dtype) for dtype in dtypes or row.dtypes]
    report.hazards = [*row.hazards(claimed, max(formats, key=lambda each: each.eps))]
    how = {"claimed": claimed, "precision": precision, "limit": limit, "convert": convert, "order": order,
           "own_memory": OWN_MEMORY not in skip}  # fmt: skip
    if isolate or jobs > 1:
        with Team(Recipe(port, wrap, row.name, how, timeout), min(jobs, len(cases))) as team:
            isolated = Isolated(port, row, watchdog=Watchdog(timeout), team=team, **how)
            report.describe(isolated.about())
            _judge(isolated, cases, laws, report, progress, dtypes or row.dtypes, free)
        return report
    report.describe(about(port, convert))
    with Watchdog(timeout) as watchdog:
        run = Run(port if wrap is None else wrap(port), row, watchdog=watchdog, **how)
        _judge(run, cases, laws, report, progress, dtypes or row.dtypes, free)
    return report


def _differentiated(
    operation: str, returns: str, framework: str, kind: autodiff.Kind, claims: dict[str, Any]
) -> tuple[Callable[..., Any], str, str, dict[str, Any]]:
    """What makes the derivative of a port, the row that judges it, and which outputs are differentiated."""
    if operation not in (able := [name for name in ROWS if f"{name}_vjp" in ROWS and f"{name}_jvp" in ROWS]):
        raise ValueError(f"derivative= belongs to one of {', '.join(able)}, not {operation!r}")
    require_choice("derivative", framework, tuple(autodiff.MODES))
    require_choice("kind", kind, autodiff.Mode._fields)
    if f"{operation}_{kind}" not in ROWS:
        raise ValueError(f"{operation} has no row for kind={kind!r}")
    row, derived = ROWS[operation], ROWS[f"{operation}_{kind}"]
    order = order_of(row, returns) or row.outputs
    if len(row.outputs) > 1:
        claims = {"factor": "both" if len(order) > 1 else order[0], **claims}
        wanted = row.outputs if claims["factor"] == "both" else (claims["factor"],)
    else:
        wanted = row.outputs
    places = tuple(order.index(name) for name in wanted)
    tangents = ",".join(f"{name}_dot" for name in wanted) if kind == "jvp" and len(row.outputs) > 1 else "auto"
    known = {claim.name for claim in derived.claims}
    primal = {claim.name for claim in row.claims} - known  # how it is evaluated does not matter to the derivative
    claims = {name: value for name, value in claims.items() if name not in primal}
    given = [row.inputs[0], *(name for name in derived.companions(claim_of(derived, claims)) if name in row.inputs)]
    inputs = sum(f"{name}_bar" in ROWS[f"{operation}_vjp"].outputs for name in given)
    wrap = partial(autodiff.derivative, framework=framework, kind=kind, outputs=places, inputs=inputs,
                   constants=len(given) - inputs, axes=1 if row.inputs[0] in row.vectors else 2)  # fmt: skip
    return wrap, f"{operation}_{kind}", tangents, claims


def battery(
    operation: str = "polar",
    *,
    dtypes: Sequence[str] | None = None,
    shapes: Sequence[tuple[int, ...]] | None = None,
    skip: Sequence[str] = (),
    size: Size = "default",
    seed: int = 0,
    max_cases: int | None = None,
) -> list[Case]:
    """The inputs that :func:`check` runs, for other tests to use.

    Parameters
    ----------
    operation, dtypes, shapes, skip, seed, max_cases
        As in :func:`check`; None for the defaults.
    size : str
        ``battery`` there.

    Returns
    -------
    list of orthoref.oracle.cases.Case

    Raises
    ------
    ValueError
        Unknown operation, or nothing is left.
    """
    row = row_of(operation)
    return cases_of(row, row.claim(), None, dtypes=dtypes, shapes=shapes, skip=skip, size=size, seed=seed,
                    max_cases=max_cases)  # fmt: skip


def row_of(operation: str) -> Operation:
    """A row of the table by name."""
    if not isinstance(operation, str) or operation not in ROWS:
        raise ValueError(f"operation={operation!r} is not one of {', '.join(ROWS)}")
    return ROWS[operation]


def limit_of(row: Operation, limit: float | None) -> float:
    """Largest accepted ratio; None for that of the row."""
    limit = row.limit if limit is None else limit
    if not 0 < limit < float("inf"):
        raise ValueError(f"limit={limit!r} is not a positive number")
    return limit


def claim_of(row: Operation, claims: Mapping[str, Any]) -> Any:
    """The claims as one object, checked."""
    if unknown := set(claims) - {claim.name for claim in row.claims}:
        known = ", ".join(claim.name for claim in row.claims)
        raise TypeError(f"{row.name} has no option {', '.join(sorted(unknown))}: it has {known}")
    return row.claim(**claims)


def said_of(row: Operation, claimed: Any, returns: str, dtypes: Sequence[str] | None,
            shapes: Sequence[tuple[int, ...]] | None, precision: str | None, skip: Sequence[str], battery: str,
            seed: int, max_cases: int | None) -> dict[str, str]:  # fmt: skip
    """What was claimed and what was run, in words."""
    return {
        "returns": returns if row.optional else "auto",
        "claimed": str(claimed),
        "dtypes": ", ".join(dtypes or row.dtypes),
        "shapes": "all" if shapes is None else ", ".join("x".join(map(str, shape)) for shape in shapes),
        "precision": precision or "",
        "skip": ", ".join(skip),
        "battery": battery if not seed else f"{battery}, seed {seed}",
        "max_cases": "" if max_cases is None else str(max_cases),
    }


def cases_of(row: Operation, claimed: Any, layouts: Sequence[str] | None, *, dtypes: Sequence[str] | None,
             shapes: Sequence[tuple[int, ...]] | None, skip: Sequence[str], **options: Any) -> list[Case]:  # fmt: skip
    """The battery of a row; in these memory layouts only, if they are given."""
    if isinstance(skip, str):
        raise ValueError(f"skip={skip!r} must be a sequence of names, not one")
    for name, number, least in (("seed", options["seed"], 0), ("max_cases", options["max_cases"], 1)):
        if number is not None and not (isinstance(number, (int, np.integer)) and least <= number < 2**32):
            raise ValueError(f"{name}={number!r} is not a whole number between {least} and 2^32 - 1")
    laws = {OWN_MEMORY, *(law.name for law in (*LAWS, *row.laws))}
    levels = row.shown(claimed, row.levels)
    if layouts is not None:
        memory = tuple(level for level in levels.memory if level in layouts)
        cotangent = tuple(level for level in levels.cotangent if level in layouts or level not in MEMORY)
        levels = replace(levels, memory=memory, cotangent=cotangent)
    else_ = [name for name in skip if name not in laws]
    # a layout that is not among the levels need not be skipped
    else_ = [name for name in else_ if name in levels.memory or name not in row.levels.memory]
    dtypes = row.dtypes if dtypes is None else dtypes
    found = batteries.cases(levels, dtypes=dtypes, shapes=shapes, skip=else_, **options)
    if (size := row.size(claimed)) != 1:
        found = [case.times(size) for case in found]
    return [case.accompanied(row.companions(claimed), *row.inputs[:1]) for case in found]


def _judge(run: Run, cases: Sequence[Case], laws: Sequence[Law], report: Report, progress: bool,
           dtypes: Sequence[str], shapes: bool) -> None:  # fmt: skip
    """Every case, then the laws, then the reasons of what failed."""
    failures: dict[int, Failure] = {}
    raised: list[Raised] = []
    observed: list[Any] = []
    try:
        results = run.judged_cases(cases) if isinstance(run, Isolated) else map(run.judged, cases)
        for case, result in zip(shown(cases, progress, report.port), results, strict=True):
            if result.raised is not None and not isinstance(result.raised, Died):
                raised.append(result.raised)
            take(run, case, result, result.verdict, report, failures, observed)
        _require_a_result(raised, report.outcomes)
        held = chosen([(outcome.case, outcome.verdict.state == "holds") for outcome in report.outcomes])
        others = [next((each for each in reversed(held) if each.shape != case.shape), case) for case in held]
        trials = [(law, case, other) for case, other in zip(held, others, strict=True) for law in laws]
        found = run.broken_laws(trials) if isinstance(run, Isolated) else (broken(run, *trial) for trial in trials)
        for (law, case, _), words in zip(trials, found, strict=True):
            verdict = Verdict(case.id, faults=[words] if words else [], judged=(1, 1))
            report.outcomes.append(Outcome(case, verdict, law.call, law.name))
    except Hung as error:
        case = cases[len(report.outcomes)] if len(report.outcomes) < len(cases) else cases[-1]
        report.outcomes.append(Outcome(case, Verdict(case.id, faults=[str(error)])))
        report.stopped = f"{max(len(cases) - len(report.outcomes), 0)} cases not run after {error.ended}"
    drawn = [outcome.case for outcome in report.failed if not outcome.law and outcome.case.drawn]
    if drawn and not report.stopped:
        small = min(drawn, key=lambda case: prod(case.shape))
        typical = min(drawn, key=lambda case: abs(log(max(prod(case.shape), 1) / TYPICAL)))
        with suppress(Hung):  # plainer cases are extra
            report.narrowed = [narrowed(run, case, tuple(dtypes), shapes) for case in dict.fromkeys((small, typical))]
    conclude(run, cases, report, failures, observed)


def take(run: Run, case: Case, called: Called | Judged, verdict: Verdict, report: Report, failures: dict[int, Failure],
         observed: list[Any]) -> None:  # fmt: skip
    """The verdict over one case into the report, with what it takes to explain it later."""
    if not verdict.holds and called.before:
        failures[len(report.outcomes)] = Failure(
            verdict, called.before, called.outputs, run.format_of(case), prod(case.shape), run.row.levels.frames,
            run.row.vectors,
        )  # fmt: skip
    if verdict.observed is not None:
        observed.append(verdict.observed)
    report.outcomes.append(Outcome(case, verdict))


def conclude(run: Run, cases: Sequence[Case], report: Report, failures: dict[int, Failure],
             observed: list[Any]) -> None:  # fmt: skip
    """Reasons of what failed, and what only the whole run shows."""
    verdicts, key, fits = vote(run.row, run.claimed, run.limit, list(failures.values()))
    for i, verdict in zip(failures, verdicts, strict=True):
        report.outcomes[i] = replace(report.outcomes[i], verdict=verdict)
    report.key, report.fits = key, fits
    if run.row.pool is not None and observed:
        report.pool(run.row.pool(observed, run.claimed, precision_of(run.precision or cases[0].dtype)))


def _require_a_result(raised: Sequence[Raised], outcomes: Sequence[Outcome]) -> None:
    """CannotRun if every call raised the same kind of exception, whatever its words: that is no finding about the port.

    Nothing is an excuse only where something else is not; empty results say nothing.
    """
    bad = [error for error in raised if not error.excused]
    returned = sum(outcome.verdict.state != "empty" for outcome in outcomes) - len(raised)
    if not bad or returned > 0 or len({(error.kind, error.unusable) for error in bad}) > 1:
        return
    text, count = Counter(map(str, bad)).most_common(1)[0]
    often = "" if count == len(bad) else f" or the like ({count} times)"
    typical = next(error for error in bad if str(error) == text)
    what = "returned nothing that can be judged for any" if typical.unusable else "raised the same for all"
    raise CannotRun(f"the port {what} of {len(raised)} inputs{often}: {typical.hint}")


def _name_of(port: Callable[..., Any]) -> str:
    module = getattr(port, "__module__", None) or type(port).__module__
    return f"{module}.{getattr(port, '__qualname__', type(port).__qualname__)}"


def shown(cases: Sequence[Case], progress: bool, name: str) -> Iterable[Case]:
    """The cases, behind a progress bar."""
    if not progress:
        return cases
    try:
        from rich.console import Console
        from rich.progress import track
    except ImportError:
        return cases
    return track(cases, description=name, console=Console(file=sys.stderr), transient=True)
