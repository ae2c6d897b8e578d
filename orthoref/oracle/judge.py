"""Ratios and limits become a verdict: what holds, what fails, by how much, where, and what it probably is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np

from orthoref.errors import OutsideDomain
from orthoref.oracle import diagnosis, measure
from orthoref.oracle.foreign import Lifted
from orthoref.oracle.precision import Precision, precision_of


@dataclass(frozen=True)
class Check:
    """One line of a verdict: the worst ratio of a stack against its limit. ``absolute`` is relative to ``of``."""

    name: str
    text: str
    ratio: float
    limit: float
    absolute: float
    index: tuple[int, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the ratio is a number and within its limit."""
        return self.ratio <= self.limit  # False for NaN


@dataclass(frozen=True)
class Verdict:
    """Outcome of judging one result.

    Attributes
    ----------
    subject : str
        What was judged: dtype and shape.
    checks : list of Check
    reasons : list of str
        Explanations a person can act on; empty if everything holds.
    faults : list of str
        Broken contracts that no ratio measures: wrong dtype, shape, device, mutated input, exception.
    """

    subject: str
    checks: list[Check] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether every check holds and no contract is broken."""
        return not self.faults and all(check.holds for check in self.checks)

    def lines(self) -> Iterator[str]:
        """One line per check, fault and reason."""
        width = max((len(check.text) for check in self.checks), default=0)
        for check in self.checks:
            tail = ""
            if not check.holds:
                where = f"  batch index {check.index}" if check.index else ""
                tail = (
                    f"  FAIL{where}  = {check.absolute:.2g} {'absolute' if check.name == 'orthonormal' else 'relative'}"
                )
            yield f"  {check.text:<{width}}  {check.ratio:>9.3g}  <= {check.limit:.3g}{tail}"
        yield from (f"  {fault}" for fault in self.faults)
        yield from (f"  reason: {reason}" for reason in self.reasons)

    def text(self, caller: str, recreate: str | None = None) -> str:
        """The message of an assertion."""
        failed = sum(not check.holds for check in self.checks) + len(self.faults)
        total = len(self.checks) + len(self.faults)
        lines = [f"{caller}: {failed} of {total} checks failed        {self.subject}", *self.lines()]
        if recreate:
            lines.append(f"  recreate: {recreate}")
        return "\n".join(lines)


def polar(
    a: Lifted,
    u: Lifted,
    h: Lifted | None = None,
    *,
    precision: Precision,
    side: str = "right",
    rank_deficient: str = "complete",
    limit: float = 10.0,
    subject: str = "",
) -> Verdict:
    """Judge polar factors of a finite matrix; shapes that do not fit are a fault, not an exception."""
    _require_finite(a.value)
    if u.dtype is not None:  # results round on the subnormal grid of what they are stored in
        precision = precision._replace(tiny=precision_of(u.dtype).tiny)
    faults = dtype_faults(a, u=u, h=h)
    *batch, m, n = a.value.shape
    order = n if side == "right" else m
    for name, x, shape in (("u", u, (*batch, m, n)), ("h", h, (*batch, order, order))):
        if x is not None and x.value.shape != shape:
            faults.append(f"{name} has shape {x.value.shape}, not {shape}")
    if any(" has shape " in fault for fault in faults):
        return Verdict(subject, faults=faults)

    def ratios(a: Any, u: Any, h: Any, **other: Any) -> dict[str, np.ndarray]:
        return measure.polar(a, u, h, **({"side": side, "precision": precision, "isometry": isometry} | other))

    isometry = "full" if rank_deficient == "complete" else "partial"
    found = ratios(a.value, u.value, None if h is None else h.value)
    checks = _checks(found, measure.POLAR, precision, min(m, n), limit, left=side == "left", wide=m < n)
    if h is None:  # the Hermitian part of U^H A has been taken for H
        checks = [check for check in checks if check.name not in ("hermitian", "consistent")]
    reasons = []
    bad = next((check for check in checks if not check.holds), None)
    if bad is not None:
        pick: Any = (*bad.index, ...)
        with np.errstate(all="ignore"):  # of results that may hold anything
            reasons = diagnosis.polar(
                a.value[pick],
                u.value[pick],
                None if h is None else h.value[pick],
                side,
                ratios,
                checks,
                limit,
                precision,
            )
    return Verdict(subject, checks, reasons, faults)


def orthonormal(q: Lifted, *, precision: Precision, limit: float = 10.0, subject: str = "") -> Verdict:
    """Judge orthonormal columns (rows of a wide matrix)."""
    m, n = q.value.shape[-2:]
    found = measure.orthonormal(q.value, precision=precision)
    text = {"orthonormal": ("|I - Q^H Q|" if m >= n else "|I - Q Q^H|", "")}
    checks = _checks(found, text, precision, min(m, n), limit)
    worst: Any = (*checks[0].index, ...)
    with np.errstate(all="ignore"):
        reasons = [] if all(c.holds for c in checks) else diagnosis.orthonormal(q.value[worst])
    return Verdict(subject, checks, reasons)


def dtype_faults(a: Lifted, **results: Lifted | None) -> list[str]:
    """Results must have the dtype of the input; nested lists have none."""
    return [
        f"{name} has dtype {x.dtype}, the input {a.dtype}"
        for name, x in results.items()
        if x is not None and None not in (x.dtype, a.dtype) and x.dtype != a.dtype
    ]


def _require_finite(a: np.ndarray) -> None:
    finite = np.isfinite(a)
    if not finite.all():
        index = tuple(int(i[0]) for i in np.nonzero(~finite))
        raise OutsideDomain(f"a has {a[index]} at index {index}: there is nothing to judge")


def _checks(
    found: dict[str, np.ndarray],
    texts: dict[str, tuple[str, str]],
    precision: Precision,
    n: int,
    limit: float,
    *,
    left: bool = False,
    wide: bool = False,
) -> list[Check]:
    checks = []
    for name, ratio in found.items():
        relative = name != "orthonormal"
        unit = (precision.relative(n) if relative else precision.growth(n)) * precision.eps
        what, of = texts[name]
        if left:
            what = what.replace("U H", "H U").replace("U^H A", "A U^H")
        if wide and name == "orthonormal":
            what = what.replace("U^H U", "U U^H")
        index = _worst(ratio)
        value = float(ratio[index]) if ratio.size else 0.0
        # (CAP) never more than half of what U = 0 scores, so that no unit, however coarse, makes a check vacuous
        trivial = sqrt(n) if name == "orthonormal" else 1.0
        checks.append(
            Check(
                name,
                f"{what} / ({of + ' ' if of else ''}{precision.unit(n, relative)})",
                value,
                min(limit, trivial / 2 / unit) if n else limit,
                value * unit,
                index,
            )
        )
    return checks


def _worst(ratio: np.ndarray) -> tuple[int, ...]:
    """Index of the largest ratio, the first NaN if there is one."""
    if not ratio.size:
        return ()
    flat = np.where(np.isnan(ratio), np.inf, ratio)
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(flat)), ratio.shape))
