"""The settings in which an optimiser is shown, and the verdict: what differs from the rule, where, and which switch."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import isnan
from typing import Any, Literal, NamedTuple

import numpy as np

from orthoref._polar.decomposition import polar
from orthoref._version import __version__
from orthoref.errors import CannotRun
from orthoref.oracle.optimisers.drive import Port, Seen, Unchanging, refused
from orthoref.oracle.optimisers.ratios import (
    TELLING,
    Next,
    State,
    Unit,
    deviation,
    direction,
    norm,
    stepped,
    unit,
)
from orthoref.oracle.optimisers.reasons import Reason, formats, mistakes, together
from orthoref.oracle.optimisers.reasons import switches as one_switch
from orthoref.steps import PRESETS
from orthoref.steps.directions import matrix_shape

SCHEMA = "orthoref-steps-1"
SHAPES: tuple[tuple[int, ...], ...] = ((24, 6), (6, 24), (8, 8))
KERNEL = (16, 2, 2, 1)
RATE = 0.02
PACKAGES = {"torch": "torch", "optax": "optax", "keras": "keras", "pytorch_optimizer": "pytorch_optimizer"}
TOLD = ("default", "weight decay")  # settings that are held against all mistakes
MOST = 5  # switches at once
NEAR = 10.0  # of their bounds: what is worth saying of errors that are left
TRIED = 12  # records on which a reason is tried before it is held against all


class Setting(NamedTuple):
    """How a port is made, and what it is shown."""

    name: str
    switches: Mapping[str, Any]  # of the rule, given to the port by its own names
    rates: tuple[float, ...]
    scale: Literal["plain", "eps", "zero first"] = "plain"


class Record(NamedTuple):
    """One parameter in one step: the state before, what was seen after, the exact step and its unit."""

    setting: str
    options: Mapping[str, Any]
    label: str
    state: State
    seen: Seen
    exact: Next
    unit: Unit

    @property
    def of_momentum(self) -> float:
        """Error of the momentum over its bound; 0 where no buffer is seen."""
        if self.seen.momentum is None:
            return 0.0
        return norm(self.seen.momentum - self.exact.momentum) / self.unit.momentum if self.unit.momentum else 0.0

    @property
    def of_parameter(self) -> float:
        """Error of the parameter over its bound."""
        return norm(self.seen.parameter - self.exact.parameter) / self.unit.parameter

    @property
    def holds(self) -> bool:
        """Whether both are numbers of at most 1."""
        return self.of_momentum <= 1 and self.of_parameter <= 1


class Told(NamedTuple):
    """How many standard deviations the results lie towards what a reason would make of them."""

    reason: Reason
    deviations: float


@dataclass
class StepReport:
    """What was found of an optimiser.

    Attributes
    ----------
    port : str
    rule : str
        Preset, with the switches that were claimed otherwise.
    options : dict
        Of :func:`orthoref.steps.muon`.
    records : list of Record
    told : Told, optional
        The reason that the results point to most, where the iteration is in a short format.
    faults : list of str
        Broken contracts that no ratio measures.
    reasons : list of str
        What explains the failure.
    notes : list of str
        What could not be shown, and what is not wrong but worth knowing.
    """

    port: str
    rule: str
    options: Mapping[str, Any]
    dtype: str
    seed: int
    records: list[Record] = field(default_factory=list)
    told: Told | None = None
    faults: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether something was judged, and nothing fails."""
        return self.status == "HOLDS"

    @property
    def status(self) -> Literal["HOLDS", "FAILS", "UNDECIDED"]:
        """FAILS, HOLDS, or UNDECIDED where nothing could be judged."""
        if self.faults or self.pointed or not all(record.holds for record in self.records):
            return "FAILS"
        return "HOLDS" if self.records else "UNDECIDED"

    @property
    def pointed(self) -> bool:
        """Whether the results point to a mistake by more than the limit."""
        return self.told is not None and not self.told.deviations <= TELLING

    def summary(self) -> str:
        """One line."""
        failed = sum(not record.holds for record in self.records)
        return (
            f"{self.port}: {self.status} as {self.rule}, {self.dtype}: "
            f"{failed} of {len(self.records)} steps differ, {_count(len(self.rows()), 'setting')}"
        )

    def rows(self) -> list[tuple[str, float, float, str]]:
        """Worst ratios of each setting, momentum and parameter, and where the worse of the two is."""
        found = []
        for name in dict.fromkeys(record.setting for record in self.records):
            of = [record for record in self.records if record.setting == name]
            ms, ws = ([_number(x) for x in column] for column in
                      zip(*((r.of_momentum, r.of_parameter) for r in of), strict=True))  # fmt: skip
            worst = max(zip(ms, ws, of, strict=True), key=lambda each: max(each[0], each[1]))[2]
            found.append((name, max(ms), max(ws), f"{worst.label}, step {worst.state.k}"))
        return found

    def text(self) -> str:
        """Everything, for a reader."""
        lines = [self.summary()]
        rows = self.rows()
        width = max([len(name) for name, *_ in rows] + [7])
        lines.append(f"  {'setting':<{width}}  {'momentum':>9}  {'parameter':>9}  largest at")
        for name, m, w, where in rows:
            tail = "" if m <= 1 and w <= 1 else "  FAIL"
            lines.append(f"  {name:<{width}}  {m:>9.3g}  {w:>9.3g}  {where}{tail}")
        lines.append("  errors over their bounds, at most 1 (MUON-UNIT)")
        if self.told is not None:
            lines.append(
                f"  {self.told.deviations:.2g} standard deviations towards {self.told.reason.key}, <= {TELLING:g} "
                f"(MUON-TELL){'  FAIL' if self.pointed else ''}"
            )
        lines += [f"  {fault}" for fault in self.faults]
        lines += [f"  reason: {reason}" for reason in self.reasons]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    def json(self) -> str:
        """Everything that was measured."""
        told = None if self.told is None else {"reason": self.told.reason.key, "deviations": self.told.deviations}
        return json.dumps({
            "schema": SCHEMA, "orthoref": __version__, "port": self.port, "rule": self.rule, "dtype": self.dtype,
            "seed": self.seed, "status": self.status,
            "options": {name: value if isinstance(value, (int, float, str, type(None))) else str(value)
                        for name, value in self.options.items()},
            "records": [{"setting": r.setting, "parameter": r.label, "step": r.state.k,
                         "momentum_seen": r.seen.momentum is not None, "momentum": _finite(r.of_momentum),
                         "weights": _finite(r.of_parameter), "holds": r.holds} for r in self.records],
            "told": told, "faults": self.faults, "reasons": self.reasons, "notes": self.notes,
        }, indent=1)  # fmt: skip

    def html(self) -> str:
        """One self-contained page."""
        rows = "".join(
            f"<tr class={'ok' if m <= 1 and w <= 1 else 'bad'}><td>{html.escape(name)}<td>{m:.3g}<td>{w:.3g}"
            f"<td>{html.escape(where)}"
            for name, m, w, where in self.rows()
        )
        said = [("fault", x) for x in self.faults] + [("reason", x) for x in self.reasons]
        said += [("note", x) for x in self.notes]
        if self.told is not None:
            towards = f"{self.told.deviations:.2g} standard deviations towards {self.told.reason.key}"
            said.insert(0, ("told", f"{towards}, at most {TELLING:g}"))
        items = "".join(f"<li><b>{kind}</b> {html.escape(text)}" for kind, text in said)
        return (
            f"<!doctype html><meta charset=utf-8><title>{html.escape(self.port)}: {self.status}</title>"
            "<meta name=viewport content='width=device-width'><style>:root{color-scheme:light dark}"
            "body{font:16px system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}td,th{padding:.2rem 1rem;"
            "text-align:left}.bad{color:#c00}@media(prefers-color-scheme:dark){.bad{color:#f77}}</style>"
            f"<h1>{html.escape(self.port)}: {self.status}</h1><p>{html.escape(self.summary())}"
            f"<ul>{items}</ul><table><tr><th>setting<th>momentum<th>parameter<th>largest at{rows}</table>"
            f"<p>Errors over their bounds, at most 1. orthoref {__version__}"
        )


def check(
    port: Callable[..., Any],
    rule: str = "auto",
    *,
    switches: Mapping[str, Any] | None = None,
    arguments: Mapping[str, Any] | None = None,
    lr: float = RATE,
    dtype: str = "float32",
    shapes: Sequence[tuple[int, ...]] | None = None,
    count: int = 3,
    seed: int = 0,
    arrays: str = "auto",
    settings: Sequence[str] | None = None,
    name: str = "",
) -> StepReport:
    """Judge an optimiser: see :func:`orthoref.testing.assert_step`."""
    driven = Port(port, arguments, arrays)
    preset = PACKAGES.get(driven.package, "") if rule == "auto" else rule
    if preset not in PRESETS:
        raise CannotRun(
            f"no rule is known of {driven.package or 'this port'}: name the preset that it claims to be, one of "
            f"{', '.join(PRESETS)}" if rule == "auto" else f"rule={rule!r} is none of {', '.join(PRESETS)}"
        )  # fmt: skip
    changed = dict(switches or {})
    if unknown := set(changed) - set(PRESETS[preset]) - {"rms", "storage"}:
        raise CannotRun(f"{', '.join(sorted(unknown))} is no switch of the rule: {', '.join(PRESETS[preset])}")
    options = {**PRESETS[preset], **changed}
    said = preset + "".join(f", {key}={value!r}" for key, value in changed.items())
    report = StepReport(name or getattr(port, "__name__", "port"), said, options, dtype, seed)
    if shapes is None:
        shapes = SHAPES if options["view"] == "matrix" else (*SHAPES, KERNEL)
    for shape in shapes:
        if len(shape) < 2 or 0 in shape or len(matrix_shape(tuple(shape), options["view"])) != 2:
            raise CannotRun(f"{shape} is no matrix under view={options['view']!r}")
    every = list(_settings(driven, options, lr, count))
    if wrong := set(settings or ()) - {setting.name for setting in every}:
        known = ", ".join(setting.name for setting in every)
        raise CannotRun(f"no setting {', '.join(sorted(wrong))} of this port: {known}")
    for setting in every:
        if settings is None or setting.name in settings:
            _show(driven, setting, options, report, [*shapes, shapes[0]], seed)
    _explain(report, kernels=any(len(shape) > 2 for shape in shapes))
    return report


def _settings(port: Port, options: Mapping[str, Any], lr: float, count: int) -> Iterator[Setting]:
    """In what a port is shown: as it is made by default, and with each argument that it has."""
    same = (lr,) * count
    yield Setting("default", {}, same)
    if port.keyword("weight_decay"):
        yield Setting("weight decay", {"weight_decay": 0.125 / lr}, same)
    if port.keyword("nesterov"):
        other = not options["nesterov"]
        yield Setting("with Nesterov" if other else "without Nesterov", {"nesterov": other}, same)
    if port.keyword("momentum"):
        yield Setting("momentum 0.5", {"momentum": 0.5}, same)
    if port.keyword("steps") and options["schedule"] is not None:
        yield Setting("3 steps", {"steps": 3}, same)
    yield Setting("changing rate", {}, tuple(lr * (1, 0.25, 2)[k % 3] for k in range(count)))
    if options["eps"] and options["schedule"] is not None:
        yield Setting("small gradients", {}, same, "eps")
        yield Setting("zero gradient first", {}, same, "zero first")


def _show(
    port: Port, setting: Setting, options: Mapping[str, Any], report: StepReport, shapes: Sequence[tuple[int, ...]],
    seed: int,
) -> None:  # fmt: skip
    """Run the port in a setting, and record every step."""
    options = {**options, **setting.switches}
    rng = np.random.default_rng(seed)
    rounded = _rounding(report.dtype)
    ws = [rounded(0.1 * rng.standard_normal(shape)) for shape in shapes]
    shown = [[rounded(g) for g in gs] for gs in _gradients(rng, shapes, setting, options)]
    try:
        seen = port.run(ws, shown, setting.rates, setting.switches, report.dtype)
    except Unchanging:
        report.notes.append(f"{setting.name}: not shown, the rate of this port cannot be changed between steps")
        return
    except CannotRun:
        raise
    except Exception as error:
        if not report.records:
            raise CannotRun(f"the port cannot be run: {refused(error)}") from error
        report.faults.append(f"{setting.name}: raises {refused(error)}")
        return
    one, other = seen[-1][0].momentum, seen[-1][-1].momentum  # of one shape, with gradients of their own
    if one is not None and other is not None and one.any() and np.array_equal(one, other):
        report.faults.append(f"{setting.name}: two parameters of one shape have the same momentum: they share a buffer")
    for index, shape in enumerate(shapes):
        label = "x".join(map(str, shape)) + (" (the second)" if shape in shapes[:index] else "")
        _record(report, setting, options, label, ws[index], [gs[index] for gs in shown], [s[index] for s in seen])


def _gradients(
    rng: np.random.Generator, shapes: Sequence[tuple[int, ...]], setting: Setting, options: Mapping[str, Any]
) -> list[list[np.ndarray]]:
    """Independent from step to step, so that every weight of the momentum shows; singular values from 1 to 1/3."""
    drawn = []
    for k in range(len(setting.rates)):
        of_step = []
        for shape in shapes:
            rows, columns = matrix_shape(tuple(shape), options["view"])
            g = polar(rng.standard_normal((rows, columns))).u * rng.uniform(1 / 3, 1, (1, columns))
            if setting.scale == "eps":  # the direction shorter than eps, and of its order
                first = State(np.zeros(shape), np.zeros(shape), g.reshape(shape), 1, 1.0, 1.0, g)
                g = g * (options["eps"] / 4 / norm(direction(first, {**options, "weight_decay": 0.0})[1]))
            elif setting.scale == "zero first" and k == 0:
                g = 0 * g
            of_step.append(g.reshape(shape))
        drawn.append(of_step)
    return drawn


def _rounding(dtype: str) -> Callable[[np.ndarray], np.ndarray]:
    """To the format of the parameters, in float32 so that every library reads it."""
    if dtype not in ("float32", "float64", "bfloat16", "float16"):
        raise CannotRun(f"dtype={dtype!r} is none of float32, float64, bfloat16, float16")
    if dtype != "bfloat16":
        return lambda x: x.astype(dtype)

    def rounded(x: np.ndarray) -> np.ndarray:
        bits = x.astype(np.float32).view(np.uint32)
        up = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
        return up.astype(np.uint32).view(np.float32)

    return rounded


def _record(
    report: StepReport, setting: Setting, options: Mapping[str, Any], label: str, w: np.ndarray,
    gradients: Sequence[np.ndarray], seen: Sequence[Seen],
) -> None:  # fmt: skip
    """Hold every step of one parameter against the rule."""
    computed = options["precision"] or report.dtype
    m, before, carried = np.zeros(w.shape), np.zeros(w.shape), 0.0
    w = np.asarray(w, np.float64)
    for k, (shown, after, lr) in enumerate(zip(gradients, seen, setting.rates, strict=True), start=1):
        g = np.asarray(shown, np.float64)
        where = f"{setting.name}, {label}, step {k}"
        if after.parameter.shape != w.shape or after.dtype != report.dtype:
            report.faults.append(f"{where}: the parameter is {after.dtype} of shape {after.parameter.shape}")
            return
        if k > 1 and seen[k - 2].momentum is not None and after.start is not None \
                and not np.array_equal(after.start, m, equal_nan=True):  # fmt: skip
            report.faults.append(
                f"{where}: the momentum has changed when the next gradient is written: its memory is not its own"
            )
        if k == 1 and after.start is not None and after.start.any():
            report.faults.append(f"{where}: the momentum is not zero before the first step")
        state = State(m, w, g, k, lr, setting.rates[0], before, carried)
        exact, of = stepped(state, options), unit(state, options, report.dtype, computed)
        report.records.append(Record(setting.name, options, label, state, after, exact, of))
        if after.gradient_changed and not any(note.startswith("the gradient") for note in report.notes):
            report.notes.append(f"the gradient is another one after the step ({where})")
        if after.momentum is None:
            m, carried = exact.momentum, of.momentum
            if not any(note.startswith("no momentum") for note in report.notes):
                report.notes.append("no momentum buffer is found in the state: only parameters are judged, and errors "
                                    "of the momentum accumulate")  # fmt: skip
        else:
            m = after.momentum
        w, before = after.parameter, g
        if not (np.isfinite(w).all() and np.isfinite(m).all()):
            report.faults.append(f"{where}: the parameter or the momentum is not finite")
            return


def _explain(report: StepReport, kernels: bool) -> None:
    """Name the switch or the mistake under which all steps would be right."""
    options, computed = report.options, report.options["precision"] or report.dtype
    reasons = [*one_switch(options, kernels), *mistakes()]
    failed = [record for record in report.records if not record.holds]
    if not failed:
        if computed in ("bfloat16", "float16") and not options["adaptive"]:
            plain = [record for record in report.records if record.setting in TOLD]
            report.told = _told(plain or report.records, reasons)
        if not report.pointed:
            return
        assert report.told is not None
        report.reasons = [f"the results point to this: {report.told.reason.sentence}"]
    # those that fit some records are held against all
    typical = _typical(report.records)
    some = (failed or report.records)[:: max(1, len(failed or report.records) // TRIED)]
    fitting = [reason for reason in reasons if _fit(reason, some, typical) <= 1]
    scored = [(score, reason) for reason in fitting if (score := _score(reason, report.records, typical)) is not None]
    if not scored:
        of_formats = formats(options, report.dtype, computed)
        scored = [(1.0, r) for r in of_formats if _fits_in_formats(r, report, computed)][:1]
    if not scored and not report.faults:
        scored = _pairs(report, some, options, kernels, typical)
    nearest, left = (None, np.inf) if scored or report.faults else _several(some, options, kernels, typical)
    if nearest is not None and (score := _score(nearest, report.records, typical)) is not None:
        scored = [(score, nearest)]
    if scored:
        best = min(score for score, _ in scored)
        alike = [reason.sentence for score, reason in scored if score <= 1.02 * best + 1e-12]
        report.reasons = [alike[0]]
        if len(alike) > 1:
            report.reasons.append(f"these steps do not tell it from: {'; '.join(alike[1:4])}")
    elif not report.reasons:
        right = all(record.of_momentum <= 1 for record in report.records)
        seen = any(record.seen.momentum is not None for record in report.records)
        what = "the momentum is right, the update is not" if right and seen else "the momentum is wrong already"
        nothing = "no switch, no few of them together and no known mistake explains it"
        report.reasons = [f"{nothing}: {what}" if seen else nothing]
        if nearest is not None and left <= NEAR:
            report.reasons.append(f"nearest: {nearest.sentence}: that leaves {left:.2g} of a bound of 1")


def _typical(records: Sequence[Record]) -> float:
    """Bounds of parameters relative to their updates, the median."""
    found = [r.unit.parameter / size for r in records if (size := norm(r.exact.parameter - r.state.parameter)) > 0]
    return float(np.median(found)) if found else 0.0


def _ratios(reason: Reason, record: Record, typical: float) -> tuple[float, float]:
    """Errors of momentum and parameter if the reason were the rule, over bounds that grow with its update."""
    try:
        with np.errstate(all="ignore"):
            after = reason.step(record.state, record.options)
            longer = norm(after.parameter - record.state.parameter)
            usual = norm(record.exact.parameter - record.state.parameter)
            grown = max(1.0, longer / usual) if usual > 0 else 1.0
            size = max(1.0, norm(after.momentum) / max(norm(record.exact.momentum), 1e-300))
            m = 0.0
            if record.seen.momentum is not None:
                bound = size * record.unit.momentum
                if reason.iterated:
                    bound += record.unit.parameter / record.unit.weight
                m = norm(record.seen.momentum - after.momentum) / bound if bound else 0.0
            bound = max(grown * record.unit.parameter, typical * longer)
            return m, norm(record.seen.parameter - after.parameter) / bound
    except (ValueError, ArithmeticError):
        return np.inf, np.inf


def _fit(reason: Reason, records: Sequence[Record], typical: float) -> float:
    """The largest ratio; infinite as soon as one is too large."""
    worst = 0.0
    for record in records:
        for ratio in _ratios(reason, record, typical):
            if not ratio <= 1:
                return np.inf
            worst = max(worst, ratio)
    return worst


def _score(reason: Reason, records: Sequence[Record], typical: float) -> float | None:
    """Mean square of the ratios, nothing if one is too large."""
    total = 0.0
    for record in records:
        m, w = _ratios(reason, record, typical)
        if not (m <= 1 and w <= 1):
            return None
        total += m * m + w * w
    return total / max(1, len(records))


def _fits_in_formats(reason: Reason, report: StepReport, computed: str) -> bool:
    """Whether all steps are right to the rounding of a shorter format, and no multiple of the update is missing."""
    if "momentum" in reason.formats and all(record.of_momentum <= 1 for record in report.records):
        return False
    along = size = rest = 0.0
    for record in report.records:
        stored = reason.formats.get("momentum", report.dtype)
        of = unit(record.state, record.options, stored, reason.formats.get("computed", computed))
        m = 0.0 if record.seen.momentum is None else norm(record.seen.momentum - record.exact.momentum)
        if not (m <= of.momentum and norm(record.seen.parameter - record.exact.parameter) <= of.parameter):
            return False
        if of.error is not None:
            x = record.exact.parameter - record.state.parameter
            along += float(np.sum((record.seen.parameter - record.exact.parameter) * x))
            of_diagonal, of_rest = deviation(of, x)
            size += of_diagonal + of.rest * norm(x)
            rest += of_rest
    return abs(along) <= 2 * (size + rest**0.5)


def _pairs(
    report: StepReport, some: Sequence[Record], options: Mapping[str, Any], kernels: bool, typical: float
) -> list[tuple[float, Reason]]:
    """Two switches at once."""
    found = []
    for one, other in combinations(one_switch(options, kernels), 2):
        if set(one.changes) & set(other.changes):
            continue
        pair = together(one, other)
        if _fit(pair, some, typical) <= 1 and (score := _score(pair, report.records, typical)) is not None:
            found.append((score, pair))
    return found


def _several(
    some: Sequence[Record], options: Mapping[str, Any], kernels: bool, typical: float
) -> tuple[Reason | None, float]:
    """Up to ``MOST`` switches, each time the one that brings the steps nearest; and the largest ratio that is left."""

    def away(reason: Reason) -> tuple[float, float]:
        ratios = np.asarray([_ratios(reason, record, typical) for record in some])
        return float(np.sum(np.log(np.clip(ratios, 1.0, 1e300)))), float(np.max(ratios))

    chosen: Reason | None = None
    nearest = left = np.inf
    while left > 1 and (chosen is None or len(chosen.changes) < MOST):
        done: set[str] = set(chosen.changes) if chosen else set()
        more = [one for one in one_switch(options, kernels) if not set(one.changes) & done]
        candidates = [together(chosen, one) if chosen else one for one in more]
        (distance, worst), k = min((away(each), k) for k, each in enumerate(candidates))
        if not distance < nearest:
            break
        chosen, nearest, left = candidates[k], distance, worst
    return chosen, left


def _told(records: Sequence[Record], reasons: Sequence[Reason]) -> Told | None:
    """(MUON-TELL) The reason towards which the results lie most, if they lie nearer to it than to the rule."""
    best: Told | None = None
    for reason in reasons:
        along = half = diagonal = rest = 0.0
        for record in records:
            try:
                after = reason.step(record.state, record.options)
            except (ValueError, ArithmeticError):
                continue
            x = after.parameter - record.exact.parameter
            if not np.isfinite(x).all() or not x.any():
                continue
            along += float(np.sum((record.seen.parameter - record.exact.parameter) * x))
            half += norm(x) ** 2 / 2
            of_diagonal, of_rest = deviation(record.unit, x)
            diagonal += of_diagonal + record.unit.rest * norm(x)
            rest += of_rest
        size = diagonal + rest**0.5
        if along > half and size > 0 and (best is None or along / size > best.deviations):
            best = Told(reason, along / size)
    return best


def _number(x: float) -> float:
    return np.inf if isnan(x) else x


def _finite(x: float) -> float | None:
    return float(x) if np.isfinite(x) else None


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
