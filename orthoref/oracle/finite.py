"""Judging a finite Newton-Schulz iteration, and explaining a result that fails.

The reference is the same schedule in float64, the unit the rounding error that the form and the precision imply.
Derivation: docs/derivations/newton_schulz.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from orthoref._newton_schulz.iteration import newton_schulz
from orthoref._newton_schulz.normalization import normalized, resolve
from orthoref._schedules import presets
from orthoref._schedules.schedule import Normalization, Row, Schedule
from orthoref.arrays import require_choice
from orthoref.errors import OutsideDomain
from orthoref.oracle.foreign import Lifted
from orthoref.oracle.forward_error import ColumnNorms, Expected, Norm, expected, shaken
from orthoref.oracle.judge import Check, Verdict, dtype_faults
from orthoref.oracle.precision import PRECISIONS, Precision

LIMIT = 4.0  # the unit counts every rounding with its largest size u, not its root mean square u/sqrt(3)
UNDECIDED = 0.25  # rounding errors of this part of the result: nothing can be judged
SMALLEST = -200  # exponent of a normalized matrix whose errors can be squared and squared again
LINEAR = 2.0**-100  # cubes of smaller numbers are lost beside them
ZERO = 0.5  # unit up to which zero is refused where nothing else is judged
SLIGHT = 2.0**-9  # relative: what a rounding to bfloat16 changes
DIRECTION = 10.0  # root mean squares of its rounding error that a direction must exceed to have a sign

CHECKS = {
    "forward": ("|X - f(A)|", "rms rounding error"),
    "direction": ("1 - min Re(p_i^H X v_i)/f(s_i)", ""),
}
UPDATE_SCALES: dict[str, Callable[[int, int], float]] = {
    "none": lambda m, n: 1.0,
    "sqrt(max(1, m/n))": lambda m, n: max(1.0, m / n) ** 0.5,
    "sqrt(max(1, n/m))": lambda m, n: max(1.0, n / m) ** 0.5,
    "0.2 sqrt(max(m, n))": lambda m, n: 0.2 * max(m, n) ** 0.5,
    "sqrt(m/n)": lambda m, n: (m / n) ** 0.5,
    "sqrt(n/m)": lambda m, n: (n / m) ** 0.5,
    "sqrt(max(m, n))": lambda m, n: max(m, n) ** 0.5,
}


@dataclass(frozen=True)
class Iteration:
    """What a port claims to compute: the arguments of :func:`orthoref.newton_schulz`, and a factor on the result."""

    schedule: Schedule
    steps: int
    normalization: Normalization
    eps: float = 0.0
    eps_rule: Literal["add", "clamp"] = "add"
    form: Literal["standard", "gram"] = "standard"
    restart: tuple[int, ...] = ()
    scale: str = "none"

    def __str__(self) -> str:
        eps = f", eps {self.eps:.3g} ({self.eps_rule})" if self.eps else ""
        scale = f", times {self.scale}" if self.scale != "none" else ""
        restart = f" restarted at {', '.join(map(str, self.restart))}" if self.restart else ""
        form = f", Gram form{restart}" if self.form == "gram" else ""
        return f"{self.schedule.name}, {self.steps} steps, norm {self.normalization}{eps}{form}{scale}"

    def factor(self, m: int, n: int) -> float:
        """The update scale for a matrix of shape (m, n)."""
        return UPDATE_SCALES[self.scale](m, n)


def iteration(
    schedule: str | Schedule = "muon",
    *,
    steps: int | None = None,
    normalize: str | Normalization | None = None,
    eps: float = 0.0,
    eps_rule: Literal["add", "clamp"] = "add",
    form: Literal["standard", "gram"] = "standard",
    restart: Sequence[int] = (),
    scale: str = "none",
) -> Iteration:
    """An :class:`Iteration` from the arguments of :func:`orthoref.newton_schulz`, checked."""
    schedule = presets.get(schedule) if isinstance(schedule, str) else schedule
    if not isinstance(schedule, Schedule):
        raise TypeError(f"schedule must be a name or a Schedule, not {type(schedule).__name__}")
    require_choice("scale", scale, tuple(UPDATE_SCALES))
    count = len(schedule.steps(steps))
    options: Any = {"normalize": normalize, "eps": eps, "eps_rule": eps_rule, "form": form, "restart": restart}
    newton_schulz(np.zeros((1, 2)), schedule, steps=count, **options)  # checks the rest
    return Iteration(schedule, count, resolve(normalize, schedule), eps, eps_rule, form, tuple(restart), scale)


@dataclass(frozen=True)
class Judged:
    """One matrix against the exact iteration: the reference, the two ratios, and errors relative to |f(A)|_F.

    ``unit`` is the root mean square of the rounding error, ``shaken`` what a few of them do to all orders.
    """

    reference: np.ndarray
    unit: float
    forward: float
    direction: float
    shaken: float

    @property
    def decided(self) -> bool:
        """Whether the rounding errors leave something to judge, and the first order is enough to say so."""
        return self.noise <= UNDECIDED

    def limit(self, limit: float) -> float:
        """The limit, but never more than 0.9 of what zero scores."""
        return min(limit, 0.9 / self.unit) if self.unit else limit

    @property
    def noise(self) -> float:
        """Part of the result that rounding errors are, or may be beyond first order."""
        return max(self.unit, self.shaken)


def compare(a: np.ndarray, x: np.ndarray, claimed: Iteration, precision: Precision) -> Judged:
    """Ratios of one result x for one matrix a, both float64 or complex128."""
    m, n = a.shape
    factor = claimed.factor(m, n)
    reference = factor * run(a, claimed)
    tall = a if m > n else a.conj().T
    start = normalized(tall, claimed.normalization, claimed.eps, claimed.eps_rule)
    aol = claimed.normalization.kind == "aol"
    sizes, starts = (np.max(np.abs(z), axis=0 if aol else None, initial=0.0) for z in (tall, start))
    divisor = np.divide(sizes, starts, out=np.ones_like(sizes), where=starts > 0)
    norm = (
        ColumnNorms.of(tall, divisor, precision, float(claimed.normalization.factor)) if aol else Norm(float(divisor))
    )
    rows = claimed.schedule.steps(claimed.steps)
    lift = _lift(float(np.max(starts, initial=0.0)), rows)
    lifted = precision._replace(tiny=min(precision.tiny * 2.0**lift, 2.0**100))
    error = expected(start * 2.0**lift, rows, lifted, claimed.form, claimed.restart, norm)
    beyond = shaken(error)
    # in float64 the reference is as inaccurate as the port
    unit = factor * max(error.total(), beyond / 4) * (2**0.5 if precision.name == "float64" else 1.0)
    difference, size = (float(np.linalg.norm(z * 2.0**lift)) for z in (x - reference, reference))
    forward = 0.0 if difference == 0 else difference / unit if unit > 0 else float("inf")
    turned = _turned((x if m > n else x.conj().T) * 2.0**lift, error, factor)
    if not size:  # zero, or its square is
        return Judged(reference, float("inf") if reference.any() or unit else 0.0, forward, turned, 0.0)
    return Judged(reference, unit / size, forward, turned, factor * beyond / size)


def _lift(size: float, rows: Sequence[Row]) -> int:
    """The k for which errors of 2^k X_0 can be squared twice; 0 if X_0 is not small or the iteration not linear."""
    if not 0 < size < 2.0**SMALLEST:
        return 0
    x = size
    for row in rows:
        x = abs(float(row(x)))
        if not row.numerator[0] or x > LINEAR:
            return 0
    return SMALLEST - int(np.frexp(size)[1])


def run(a: np.ndarray, claimed: Iteration) -> np.ndarray:
    """The iteration in float64, which is 2^29 times finer than float32."""
    return newton_schulz(
        a,
        claimed.schedule,
        steps=claimed.steps,
        normalize=claimed.normalization,
        eps=claimed.eps,
        eps_rule=claimed.eps_rule,
    )


def _turned(x: np.ndarray, error: Expected, factor: float) -> float:
    """(SIGNS) max of 1 - Re(p_i^H X v_i)/f_i over the directions whose f_i stands out of its rounding error."""
    along = np.real(np.einsum("ij,ik,jk->j", error.p.conj(), x, error.vh.conj())) / factor
    noise = np.sqrt(np.diagonal(error.inside) + (error.total() / max(error.f.size, 1)) ** 2)
    # below the rank tolerance of the SVD that made them, p_i and v_i mean nothing
    known = error.s > max(8, error.s.size) * PRECISIONS["float64"].eps * np.max(error.s, initial=0.0)
    clear = known & (np.abs(error.f) > DIRECTION * noise)
    if not clear.any():
        return 0.0
    return float(np.max(1 - along[clear] / error.f[clear]))


def judge(
    a: Lifted,
    x: Lifted,
    claimed: Iteration,
    *,
    precision: Precision,
    limit: float = LIMIT,
    subject: str = "",
) -> Verdict:
    """Judge the result of a finite iteration of finite matrices; a stack matrix by matrix."""
    finite = np.isfinite(a.value)
    if not finite.all():
        index = tuple(int(i[0]) for i in np.nonzero(~finite))
        raise OutsideDomain(f"a has {a.value[index]} at index {index}: there is nothing to judge")
    faults = dtype_faults(a, x=x)
    if x.value.shape != a.value.shape:
        return Verdict(subject, faults=[*faults, f"x has shape {x.value.shape}, not {a.value.shape}"])
    if not a.value.size:
        return Verdict(subject, faults=faults)
    indices = list(np.ndindex(a.value.shape[:-2]))
    with np.errstate(all="ignore"):
        judged = {i: compare(a.value[i], x.value[i], claimed, precision) for i in indices}
        decided = [i for i in indices if judged[i].decided]
        undecided = [i for i in indices if not judged[i].decided]
        reasons = []
        if undecided:
            part = judged[undecided[0]].noise
            reasons.append(
                f"{len(undecided)} of {len(indices)} not judged: in {precision.name} the rounding errors alone are "
                f"{part:.2g} of the result (form {claimed.form!r}, schedule {claimed.schedule.name!r})"
            )
            bad = [i for i in undecided if not np.isfinite(x.value[i]).all()]
            faults += [f"x has entries that are NaN or infinite{f', batch index {i}' if i else ''}" for i in bad[:1]]
            # an error of 100 % of the result, in every entry: no sum of roundings
            zero = [i for i in undecided if judged[i].unit <= ZERO and not x.value[i].any()]
            faults += [f"x is zero{f', batch index {i}' if i else ''}" for i in zero[:1]]
        if not decided:
            return Verdict(subject, [], reasons, faults)
        checks = [_check("forward", decided, judged, limit), _check("direction", decided, judged, 1.0)]
        failing = next((check for check in checks if not check.holds), None)
        if failing is not None:
            i = failing.index
            reasons = diagnose(a.value[i], x.value[i], claimed, precision, limit)
    return Verdict(subject, checks, reasons, faults)


def _check(name: str, indices: list[tuple[int, ...]], judged: dict[tuple[int, ...], Judged], limit: float) -> Check:
    ratios = {i: getattr(judged[i], name) for i in indices}

    def excess(i: tuple[int, ...]) -> float:
        ratio = ratios[i] / judged[i].limit(limit) if name == "forward" else ratios[i]
        return float("inf") if np.isnan(ratio) else ratio

    worst = max(indices, key=excess)
    one = judged[worst]
    what, of = CHECKS[name]
    limit = one.limit(limit) if name == "forward" else limit
    relative = ratios[worst] * one.unit if name == "forward" and one.unit else ratios[worst]
    return Check(name, f"{what} / {of}" if of else what, ratios[worst], limit, relative, worst)


def diagnose(a: np.ndarray, x: np.ndarray, claimed: Iteration, precision: Precision, limit: float = LIMIT) -> list[str]:
    """Reasons for one matrix whose result fails: known mistakes are undone one at a time until the ratio accepts."""
    if not np.isfinite(x).all():
        return [f"x has {np.sum(~np.isfinite(x))} of {x.size} entries that are NaN or infinite"]

    def accepted(x: np.ndarray, other: Iteration = claimed) -> float | None:
        """Its ratio, None if it is refused."""
        try:
            found = compare(a, x, other, precision)
        except (ValueError, ArithmeticError):  # a schedule that diverges or does not have so many steps
            return None
        return found.forward if found.decided and found.forward <= found.limit(limit) and found.direction <= 1 else None

    largest = float(np.max(np.abs(a), initial=0.0))
    squared = largest > (precision.largest / a.size) ** 0.5
    overflow = [f"|a|^2 overflows {precision.name}: a norm has to scale before it squares"] if squared else []
    if not x.any():
        return ["x is zero", *overflow]
    if np.max(np.abs(x - a)) <= SLIGHT * np.max(np.abs(x)) < np.inf:
        return [
            "x equals a: the input was returned, or overwritten with the result (judge a copy made before the call)"
        ]
    for reason, candidate in _undone(x):
        if accepted(candidate) is not None:
            return [reason]
    with_ratio = [
        (ratio, reason) for reason, other in _alternatives(claimed) if (ratio := accepted(x, other)) is not None
    ]
    if with_ratio:
        best = min(ratio for ratio, _ in with_ratio)
        return [next(reason for ratio, reason in with_ratio if ratio <= 1.2 * best)]  # of equals the first
    judged = compare(a, x, claimed, precision)
    reference = judged.reference
    weight = float(np.vdot(reference, reference).real)
    multiple = float(np.vdot(reference, x).real) / weight if weight else 0.0
    if multiple > 0 and abs(multiple - 1) > SLIGHT and accepted(x / multiple) is not None:
        known = [s for s, of in UPDATE_SCALES.items() if abs(of(*a.shape) / multiple - 1) < 0.01]
        return [f"x is {multiple:.4g} times what it should be" + (f": the update scale {known[0]}" if known else "")]
    if np.iscomplexobj(a) and np.linalg.norm(x - _without_conjugates(a, claimed)) <= 0.1 * np.linalg.norm(
        x - reference
    ):
        return ["X X^T was computed in place of X X^H: a conjugate was lost"]
    times = _other_norm(a, x, claimed)
    other_norm = Normalization(claimed.normalization.kind, claimed.normalization.factor * Fraction(times))
    if accepted(x, replace(claimed, normalization=other_norm)) is not None:
        if abs(times - 1) <= SLIGHT:
            return [f"the norm is wrong by {times - 1:+.2g} of it: computed in a shorter format?"]
        return [
            f"a was divided by {times:.6g} times its norm: another norm, or that of something else than this matrix"
        ]
    where = _concentrated(x - reference)
    if where:
        return [f"the error sits in {where}"]
    for low in ("float32", "float16", "bfloat16"):
        # the unit bounds every rounding: a result in this format scores less than 1
        if PRECISIONS[low].eps <= precision.eps:
            continue
        below = compare(a, x, claimed, PRECISIONS[low])
        if below.decided and below.forward <= 1 and fills(a, x, claimed):
            return [f"accurate to {low} only: somewhere on the way the working precision was {low}"]
    reasons = overflow
    if min(a.shape) > 2 and not fills(a, x, claimed):
        reasons.append("right singular vectors, wrong singular values: a coefficient or a row differs")
    if judged.direction > 1:
        reasons.append("a singular direction has changed its sign")
    reasons.append("x is not this iteration, and none of the known variants of it")
    return reasons


def _without_conjugates(a: np.ndarray, claimed: Iteration) -> np.ndarray:
    """The iteration with X^T X for X^H X."""
    tall = a if a.shape[0] > a.shape[1] else a.conj().T
    x = normalized(tall, claimed.normalization, claimed.eps, claimed.eps_rule)
    for row in claimed.schedule.steps(claimed.steps):
        c = [float(v) for v in row.numerator]
        g = x.T @ x
        tail = 0 * g
        for v in c[:0:-1]:
            tail = v * g + g @ tail
        x = c[0] * x + x @ tail
    return claimed.factor(*a.shape) * (x if tall is a else x.conj().T)


def _other_norm(a: np.ndarray, x: np.ndarray, claimed: Iteration) -> float:
    """The c for which f(a/(c |a|)) is nearest to x in its singular values."""
    tall, y = (a, x) if a.shape[0] > a.shape[1] else (a.conj().T, x.conj().T)
    x0 = normalized(tall, claimed.normalization, claimed.eps, claimed.eps_rule)
    p, s, vh = np.linalg.svd(x0, full_matrices=False)
    seen = np.real(np.einsum("ij,ik,jk->j", p.conj(), y, vh.conj())) / claimed.factor(*a.shape)
    best, width = 1.0, 64.0
    while width > 1 + 2.0**-50:
        found = best * width ** np.linspace(-1, 1, 401)
        moved = s / found[:, None]
        for row in claimed.schedule.steps(claimed.steps):
            moved = row(moved)
        error = np.sum((moved - seen) ** 2, axis=1)
        best = float(found[np.argmin(np.where(np.isfinite(error), error, np.inf))])
        width **= 1 / 50
    return best


def _concentrated(error: np.ndarray) -> str:
    """The entry, row or column with nearly all of an error that should be spread, or nothing."""
    squares = np.abs(error) ** 2
    part = squares / squares.sum()
    if min(error.shape) >= 4:
        if part.max() > 0.9:
            return f"entry {tuple(int(i) for i in np.unravel_index(np.argmax(part), part.shape))}"
        for axis, name in ((1, "row"), (0, "column")):
            if part.sum(axis).max() > 0.9:
                return f"{name} {int(np.argmax(part.sum(axis)))}"
    return ""


def fills(a: np.ndarray, x: np.ndarray, claimed: Iteration) -> bool:
    """Whether the error leaves the singular directions, as rounding does and a wrong coefficient does not."""
    if min(a.shape) <= 2:
        return True
    tall, y = (a, x) if a.shape[0] > a.shape[1] else (a.conj().T, x.conj().T)
    p, _, vh = np.linalg.svd(
        normalized(tall, claimed.normalization, claimed.eps, claimed.eps_rule), full_matrices=False
    )
    reference = claimed.factor(*a.shape) * run(a, claimed)
    error = p.conj().T @ (y - (reference if tall is a else reference.conj().T)) @ vh.conj().T
    return bool(np.linalg.norm(error - np.diag(np.diagonal(error))) >= 0.1 * np.linalg.norm(error))


def _undone(x: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    yield "x has the wrong sign", -x
    if x.shape[0] == x.shape[1]:
        yield "rows and columns are swapped: x is the transpose of the result", x.T
        if np.iscomplexobj(x):
            yield "x is the conjugate transpose of the result", x.conj().T
    if np.iscomplexobj(x):
        yield "x is conjugated: a conjugate was lost or is too many", x.conj()


def _alternatives(claimed: Iteration) -> Iterator[tuple[str, Iteration]]:
    schedule, how = claimed.schedule, claimed.normalization
    if how.factor != 1:
        without = replace(claimed, normalization=Normalization(how.kind))
        yield f"the norm was not multiplied by {float(how.factor):.10g}", without
    for factor in ("1.01", "1.02", "1.05"):
        if how.factor != Fraction(factor):
            yield (
                f"the norm was multiplied by {factor}",
                replace(claimed, normalization=Normalization(how.kind, Fraction(factor))),
            )
    for factor in ("1.01", "1.02", "1.05"):
        for last in (True, False):
            rows = "every row" if last else "every row but the last"
            plain = schedule.scaled(1 / Fraction(factor), last=last)
            yield (
                f"this is the schedule without its safety factor {factor} (in {rows})",
                replace(claimed, schedule=plain),
            )
            safe = schedule.scaled(factor, last=last)
            yield f"this is the schedule with a safety factor {factor} (in {rows})", replace(claimed, schedule=safe)
    for steps in (claimed.steps - 1, claimed.steps + 1):
        if steps >= 0:
            yield f"{steps} steps were taken, not {claimed.steps}", replace(claimed, steps=steps)
    if claimed.steps > len(schedule.rows):
        for past in ("repeat", "cycle"):
            if past != schedule.past:
                after = "repeats the last row" if past == "repeat" else "cycles"
                yield f"past its last row the port {after}", replace(claimed, schedule=replace(schedule, past=past))
    for kind in ("frobenius", "schatten4", "spectral", "aol", "none"):
        if kind != how.kind:
            before = ", or a had been normalized in place" if kind == "none" else ""
            yield f"the normalization is {kind}, not {how}{before}", replace(claimed, normalization=Normalization(kind))
    for name in presets.names():
        other = presets.get(name)
        if other.name != schedule.name:
            for steps in {claimed.steps, other.default_steps}:
                yield (
                    f"these are the coefficients of {name}, {steps} steps",
                    replace(claimed, schedule=other, steps=steps),
                )
    if claimed.eps:
        yield "eps is missing", replace(claimed, eps=0.0)
        rule: Literal["add", "clamp"] = "clamp" if claimed.eps_rule == "add" else "add"
        yield f"eps goes into the norm by {rule!r}, not {claimed.eps_rule!r}", replace(claimed, eps_rule=rule)
    else:
        for eps in (1e-7, 1e-8, 1e-6, 1e-15):
            yield f"an eps of {eps:g} is added to the norm", replace(claimed, eps=eps)
