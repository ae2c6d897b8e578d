"""Ratios and limits become a verdict: what holds, what fails, by how much, where, and what it probably is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from orthoref.errors import OutsideDomain
from orthoref.oracle.explain import explain, member
from orthoref.oracle.operation import Data, Operation, Ratio
from orthoref.oracle.precision import Precision

COMPLEX = {"float32": "complex64", "float64": "complex128"}


@dataclass(frozen=True)
class Verdict:
    """Outcome of judging one result.

    Attributes
    ----------
    subject : str
        What was judged: dtype and shape.
    checks : list of Ratio
    reasons : list of str
        Explanations a person can act on; empty if everything holds.
    faults : list of str
        Broken contracts that no ratio measures: wrong dtype, shape, device, mutated input, exception.
    notes : list of str
        What could not be judged, and why.
    judged : (int, int)
        How many matrices of the stack were judged, of how many.
    key : str
        The mistake that the reasons name, without the numbers of this case.
    observed : object
        What the family pools over a run.
    """

    subject: str
    checks: list[Ratio] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    judged: tuple[int, int] = (0, 0)
    key: str = ""
    observed: Any = None

    @property
    def holds(self) -> bool:
        """Whether every check holds and no contract is broken."""
        return not self.faults and all(check.holds for check in self.checks)

    @property
    def state(self) -> Literal["holds", "fails", "not judged", "empty"]:
        """What can be said of the case; an empty one holds if its shape is right, and that says little."""
        if not self.holds:
            return "fails"
        return "holds" if self.judged[0] else "not judged" if self.judged[1] or self.notes else "empty"

    def lines(self) -> Iterator[str]:
        """One line per check, fault, reason and note."""
        width = max((len(check.text) for check in self.checks), default=0)
        for check in self.checks:
            tail = ""
            if not check.holds:
                where = f"  batch index {check.index}" if check.index else ""
                tail = f"  FAIL{where}  = {check.absolute:.2g} {'relative' if check.relative else 'absolute'}"
            yield f"  {check.text:<{width}}  {check.ratio:>9.3g}  <= {check.limit:.3g}{tail}"
        yield from (f"  {fault}" for fault in self.faults)
        yield from (f"  reason: {reason}" for reason in self.reasons)
        yield from (f"  {note}" for note in self.notes)

    def text(self, caller: str, recreate: str | None = None) -> str:
        """The message of an assertion."""
        failed = sum(not check.holds for check in self.checks) + len(self.faults)
        total = len(self.checks) + len(self.faults)
        lines = [f"{caller}: {failed} of {total} checks failed        {self.subject}", *self.lines()]
        if recreate:
            lines.append(f"  recreate: {recreate}")
        return "\n".join(lines)


def judge(
    row: Operation,
    inputs: Data,
    outputs: Data,
    claimed: Any = None,
    *,
    precision: Precision,
    limit: float | None = None,
    subject: str = "",
    also: str = "",
    reasons: bool = True,
) -> Verdict:
    """Judge outputs for finite inputs; shapes that do not fit are a fault, not an exception.

    Parameters
    ----------
    row : Operation
    inputs, outputs : dict of Lifted
        By the names of the row; optional outputs may be left out.
    claimed : object, optional
        What ``row.claim`` made of the claims; its defaults.
    precision : Precision
        Format whose rounding is the unit of error.
    also : str
        Dtype that outputs may have beside that of the inputs.
    limit : float, optional
        Largest accepted ratio; that of the row.
    subject : str
    reasons : bool
        Whether a failure is explained.
    """
    claimed = row.claim() if claimed is None else claimed
    limit = row.limit if limit is None else limit
    for name, x in inputs.items():
        require_finite(name, x.value)
    faults = dtype_faults(inputs, outputs, also, row.complexes(claimed))
    shapes = row.shapes(claimed, *(inputs[name].value.shape for name in row.inputs if name in inputs))
    misfits = [
        f"{name} has shape {x.value.shape}, not {shapes[name]}"
        for name, x in outputs.items()
        if name in shapes and x.value.shape != shapes[name]
    ]
    if misfits:
        return Verdict(subject, faults=faults + misfits)
    with np.errstate(all="ignore"):  # of results that may hold anything
        measured = row.measure(inputs, outputs, claimed, precision, limit)
    faults += measured.faults
    empty = all(x.value.size == 0 for x in (inputs or outputs).values())
    judged = (0, 0) if empty else (int(np.sum(measured.judged)), int(np.size(measured.judged)))
    checks = [each.worst() for each in measured.measurements]
    verdict = Verdict(subject, checks, [], faults, list(measured.notes), judged, observed=measured.observed)
    if reasons and not all(check.holds for check in checks):
        return explained(verdict, row, inputs, outputs, claimed, precision, limit)
    return verdict


def explained(
    verdict: Verdict, row: Operation, inputs: Data, outputs: Data, claimed: Any, precision: Precision, limit: float,
    first: str = "",
) -> Verdict:  # fmt: skip
    """The verdict with reasons for the worst member that fails."""
    failed = [check for check in verdict.checks if not check.holds]
    index = failed[0].index
    key, reasons = explain(
        row,
        member(inputs, index),
        member(outputs, index),
        claimed,
        precision,
        limit,
        {check.name: check.ratio for check in failed},
        first,
    )
    return replace(verdict, reasons=reasons, key=key)


def dtype_faults(inputs: Data, outputs: Data, also: str = "", complexes: tuple[str, ...] = ()) -> list[str]:
    """Results have the dtype of the input, or the one that they are computed in; nested lists have none.

    ``complexes`` are those that are complex where the input is real.
    """
    given = next((x.dtype for x in inputs.values() if x.dtype), None)

    def wanted(name: str, dtype: str | None) -> str | None:
        return COMPLEX.get(dtype or "", dtype) if name in complexes else dtype

    return [
        f"{name} has dtype {x.dtype}, the input {given}"
        for name, x in outputs.items()
        if None not in (x.dtype, given) and x.dtype not in (wanted(name, given), wanted(name, also))
    ]


def require_finite(name: str, x: np.ndarray) -> None:
    """OutsideDomain for NaN or infinity in an input."""
    finite = np.isfinite(x)
    if not finite.all():
        index = tuple(int(i[0]) for i in np.nonzero(~finite))
        raise OutsideDomain(f"{name} has {x[index]} at index {index}: there is nothing to judge")
