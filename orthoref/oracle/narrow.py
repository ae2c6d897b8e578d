"""What a failing case needs to fail: one factor after the other is brought to a plain level, and the port asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from orthoref.oracle.cases import Case, factors_of
from orthoref.oracle.factors import phrase
from orthoref.oracle.run import Raised, Run

SINGLE = {"float64": "float32", "complex128": "complex64"}
DOUBLE = {short: long for long, short in SINGLE.items()}
REAL = {"complex64": "float32", "complex128": "float64"}
COMPLEX = {real: complex_ for complex_, real in REAL.items()}


class Narrowed(NamedTuple):
    """The plainest case found that fails, and the levels without any of which it holds.

    ``repeated`` is false where the case holds if it is asked again.
    """

    case: Case
    needs: tuple[str, ...]
    repeated: bool = True

    def __str__(self) -> str:
        if not self.repeated:
            return "a failing case holds when it is asked again: that depends on earlier calls, or on chance"
        if not self.needs:
            return ""
        *others, last = self.needs
        needs = f"{', '.join(others)} and {last}" if others else last
        change = "any of these" if others else "this"
        return f"a failing case made plainer fails only {needs}: with {change} changed it holds"


def narrowed(run: Run, case: Case, dtypes: tuple[str, ...], shapes: bool) -> Narrowed:
    """Delta debugging over the factors: at most one call for each. ``shapes``: whether others may be given."""
    if not _fails(run, case):
        return Narrowed(case, (), False)
    needs = []
    for words, change in _changes(dtypes, shapes, run.row.levels.structure):
        plainer = change(case)
        if plainer is None or _vanishes(case, plainer):
            continue
        if _fails(run, plainer):
            case = plainer
        else:
            needs.append(words(case))
    return Narrowed(case, tuple(dict.fromkeys(needs)))


def _vanishes(case: Case, plainer: Case) -> bool:
    """Whether an input would be lost: a real skew-Hermitian matrix of order 1 is 0."""
    try:
        with np.errstate(all="ignore"):
            inputs = [next(iter(each.inputs().values())) for each in (plainer, case)]
    except ValueError:
        return False
    return bool(np.any(inputs[1]) and not np.any(inputs[0]))


Change = tuple[Callable[[Case], str], Callable[[Case], "Case | None"]]


def _changes(dtypes: tuple[str, ...], shapes: bool, structures: tuple[str, ...]) -> Iterator[Change]:
    """In the order in which they are tried: the plain level of a factor, None where the case is at it."""

    def option(name: str, plain: Any) -> Change:
        def words(case: Case) -> str:
            return phrase(name, case.factors[name])

        def change(case: Case) -> Case | None:
            options = dict(case.calls[0][1].options)
            return (
                None
                if options.get(name, plain) == plain or case.factors[name] == "-"
                else case.changed(**{name: plain})
            )

        return words, change

    yield option("memory", "C")
    yield option("members", "alike")
    if shapes:
        yield (lambda case: phrase("batch", case.factors["batch"])), _single
    yield option("scale", 1.0)
    if "general" in structures:
        yield option("structure", "general")
        yield option("spectrum", "geometric")
        yield option("cond", 10.0)
    else:
        yield option("structure", structures[0])
    yield (lambda case: "in double precision"), _retyped(SINGLE, dtypes)
    yield (lambda case: "in single precision"), _retyped(DOUBLE, dtypes)
    yield (lambda case: "for complex dtypes"), _retyped(REAL, dtypes)
    yield (lambda case: "for real dtypes"), _retyped(COMPLEX, dtypes)
    if shapes:
        yield (lambda case: f"for {_orientation(case)} matrices"), _square
        yield (lambda case: f"for order {min(case.shape[-2:])}"), _next_order


def _retyped(table: dict[str, str], dtypes: tuple[str, ...]) -> Callable[[Case], Case | None]:
    def change(case: Case) -> Case | None:
        other = table.get(case.dtype)
        real = other is not None and not other.startswith("complex")
        unlike = real and dict(case.calls[0][1].options).get("structure") == "real"
        return None if other not in dtypes or unlike else case.changed(dtype=other)

    return change


def _single(case: Case) -> Case | None:
    return case.changed(case.shape[-2:], members="alike") if len(case.shape) > 2 else None


def _orientation(case: Case) -> str:
    return factors_of(case.shape)["orientation"]


def _square(case: Case) -> Case | None:
    *batch, m, n = case.shape
    return None if m == n else case.changed((*batch, min(m, n), min(m, n)))


def _next_order(case: Case) -> Case | None:
    *batch, m, n = case.shape
    return case.changed((*batch, m + 1, n + 1))


def _fails(run: Run, case: Case) -> bool:
    """Whether the port fails, by whatever; a case that cannot be made or judged does not count."""
    try:
        with np.errstate(all="ignore"):  # a scale of another dtype
            given = run.give(case)
    except ValueError:  # levels that do not go together
        return False
    if not all(np.isfinite(x.value).all() for x in given[1].values()):
        return False
    try:
        return not run.judge(case, run.call(*given)).holds
    except Raised:
        return True
