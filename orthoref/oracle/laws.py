"""What calls of a port have to do with each other, whatever it computes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from orthoref.oracle.cases import Case
from orthoref.oracle.operation import Data, Law, Operation
from orthoref.oracle.run import Called, Raised, Run, described
from orthoref.oracle.watchdog import Hung

WORKERS, ROUNDS, CALLS = 4, 4, 40
SMALL = 1000  # entries of an input that is given so many times


def repeatable(run: Run, case: Case, other: Case) -> str:
    """Bit by bit."""
    first, second = run.called(case), run.called(case)
    return "" if _same(first.outputs, second.outputs) else "the second call with the same input gives another result"


def kept(run: Run, case: Case, other: Case) -> str:
    """A workspace that is returned and used again shows in the result of the call before."""
    first = run.called(case)
    run.called(case.reseeded())
    return "" if _same(first.outputs, first.again()) else "the first result is changed by the second call"


def history(run: Run, case: Case, other: Case) -> str:
    """What a port remembers, by shape or by address, is wrong for the next input."""
    run.called(case)
    later = case.reseeded()
    if broken := _broken(run, later, run.called(later)):
        return f"after a call with another input of the same shape: {broken}"
    if broken := _broken(run, other, run.called(other)):
        return f"after a call with another shape: {broken}"
    broken = _broken(run, case, run.called(case))
    return f"after calls with other inputs: {broken}" if broken else ""


def threads(run: Run, case: Case, other: Case) -> str:
    """The same calls from several threads at once."""
    members = [case if i % 2 else case.reseeded() for i in range(WORKERS)]
    given = [[run.give(each) for _ in range(ROUNDS)] for each in members]

    def work(inputs: Sequence[tuple[dict[str, Any], Data]]) -> list[Any]:
        return [run.port(*arguments.values()) for arguments, _ in inputs]

    def all_at_once() -> list[list[Any]]:
        with ThreadPoolExecutor(WORKERS) as pool:
            return list(pool.map(work, given))

    results = run.watchdog.call(all_at_once)
    for each, inputs, found in zip(members, given, results, strict=True):
        for (arguments, before), result in zip(inputs, found, strict=True):
            called = Run.call(_returning(run, result), arguments, dict(before))
            if broken := _broken(run, each, called):
                return f"called from {WORKERS} threads at once: {broken}"
    return ""


def every_call(run: Run, case: Case, other: Case) -> str:
    """The same input many times: a fault that shows now and then."""
    if prod(case.shape) > SMALL:
        return ""
    first, wrong, words = run.called(case), 0, ""
    for _ in range(CALLS):
        called = run.called(case)
        if not _same(first.outputs, called.outputs) and (broken := _broken(run, case, called)):
            wrong, words = wrong + 1, broken
    return f"{wrong} of {CALLS} calls with the same input: {words}" if wrong else ""


LAWS = (
    Law("repeatable", "the same input gives the same bits", "second", repeatable),
    Law("kept", "a result is not changed by a later call", "second", kept),
    Law("history", "earlier calls change nothing", "later", history),
    Law("every call", "repeated calls all hold", "repeated", every_call),
    Law("threads", "calls from several threads hold", "threads", threads),
)


def laws_of(row: Operation) -> tuple[Law, ...]:
    """The laws that are tried of an operation."""
    return (*(law for law in LAWS if law.name == "kept" or not row.random), *row.laws)


def broken(run: Run, law: Law, case: Case, other: Case) -> str:
    """How a law is broken at a case, or nothing; an exception breaks it."""
    try:
        return law.broken(run, case, other)
    except Hung:
        raise
    except Raised as error:
        return f"{law.text}: raised {error}"
    except Exception as error:  # in a thread
        return f"{law.text}: raised {described(error)}"


def chosen(outcomes: Iterable[tuple[Case, bool]]) -> list[Case]:
    """Small cases for the laws, among those that hold: single and stacked, square, tall, wide; one large."""
    found: dict[Any, Case] = {}
    for case, holds in outcomes:
        factors = case.factors
        usable = holds and case.drawn and 0 not in case.shape and factors["scale"] in ("1", "-")  # "-": its own
        if not usable or factors["class"] not in ("square", "tall", "wide"):
            continue
        order = int(factors["order"])
        stack, large = factors["batch"] != "none", order >= 64
        if large:
            found.setdefault("large", case)
        elif order >= 3:
            found.setdefault((factors["class"], stack), case)
            found.setdefault(case.dtype, case)
    return [*dict.fromkeys(found.values())]


def _broken(run: Run, case: Case, called: Called) -> str:
    verdict = run.judge(case, called)
    if verdict.holds:
        return ""
    failed = [check for check in verdict.checks if not check.holds]
    return verdict.faults[0] if verdict.faults else f"{failed[0].text} = {failed[0].ratio:.3g} > {failed[0].limit:.3g}"


def _same(x: Data, y: Data) -> bool:
    return x.keys() == y.keys() and all(
        np.array_equal(x[name].value, y[name].value, equal_nan=True) and x[name].dtype == y[name].dtype for name in x
    )


def _returning(run: Run, result: Any) -> Run:
    """The run of a port that has already returned."""
    return replace(run, port=lambda *_: result)
