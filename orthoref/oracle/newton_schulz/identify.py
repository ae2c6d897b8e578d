"""Which schedule, normalization, eps and update scale does a black box implement? Docs: docs/which_schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from orthoref._newton_schulz.normalization import normalized
from orthoref._newton_schulz.rounding import store
from orthoref._schedules import presets
from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.errors import OutsideDomain, require
from orthoref.oracle import cases
from orthoref.oracle.lift import lift
from orthoref.oracle.newton_schulz.claim import UPDATE_SCALES, Iteration
from orthoref.oracle.newton_schulz.ratios import LIMIT, UNDECIDED, Judged, compare, fills
from orthoref.oracle.precision import PRECISIONS, precision_of

MAX_STEPS = 12
FACTORS = ("1", "1.01", "1.02", "1.05")
EPSILONS = (0.0, 1e-15, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4)
SMALL_NORMS = (1e-4, 1e-6, 1e-8, 1e-11, 1e-14)
SHAPES = ((24, 24), (12, 27), (27, 12))
CONVERGED = 1e-3  # all outputs this near to 1 tell nothing about the schedule
CLOSE = 3.0  # candidates within this factor of the best error cannot be told apart


@dataclass(frozen=True)
class Identification:
    """What a black box was found to compute.

    Attributes
    ----------
    match : Iteration or None
        The best candidate if its error is explained by rounding, None for "none of these".
    precision : str or None
        Format whose rounding explains the error.
    ratio : float
        Largest ratio of the error to its expected size over the probes: the match is accepted up to 4.
    separation : float
        Error of the next best distinguishable candidate over that of the best: the confidence.
    alike : tuple of str
        Other candidates that these probes and this precision do not tell from the match.
    best : Iteration
        The best candidate, accepted or not.
    inputs, outputs : arrays
        The scalar map: normalized (Frobenius) singular values of a diagonal probe and what became of them.
    converged : bool
        All probes gave the polar factor, which says nothing about the schedule.
    """

    match: Iteration | None
    precision: str | None
    ratio: float
    separation: float
    alike: tuple[str, ...]
    best: Iteration
    inputs: np.ndarray
    outputs: np.ndarray
    converged: bool

    def text(self) -> str:
        """The finding for people."""
        if self.converged:
            return (
                f"the polar factor to {np.max(np.abs(self.outputs - 1)):.2g}: every converged iteration fits, and "
                f"which one cannot be seen from singular values above {self.inputs.min():.3g} of the Frobenius norm"
            )
        if self.match is None:
            low, high = float(self.outputs.min()), float(self.outputs.max())
            return (
                f"none of these. Nearest: {self.best}, {self.ratio:.3g} times its rounding error away\n"
                f"  singular values from {self.inputs.min():.3g} to {self.inputs.max():.3g} (of a Frobenius norm 1) "
                f"become {low:.4g} to {high:.4g}"
            )
        lines = [str(self.match), f"  computed in {self.precision}: {self.ratio:.3g} of its expected rounding error"]
        if self.separation < float("inf"):
            lines.append(f"  the next candidate is {self.separation:.3g} times farther away")
        if self.alike:
            lines += ["  not distinguished by these probes:", *(f"    {other}" for other in self.alike)]
        return "\n".join(lines)

    def figure(self) -> Any:
        """The scalar map as measured, with that of the best candidate: a matplotlib Figure."""
        require("matplotlib", "report")
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axis = figure.subplots()
        x = np.geomspace(self.inputs.min(), self.inputs.max(), 2000)
        probe = np.diag(self.inputs / self.inputs.max())
        start = np.diagonal(normalized(probe, self.best.normalization, self.best.eps, self.best.eps_rule))
        with np.errstate(all="ignore"):  # what diverges is not drawn
            best = self.best.schedule(x * (start[0] / self.inputs[0]), self.best.steps)
        axis.semilogx(x, best, linewidth=1, label=f"{self.best.schedule.name}, {self.best.steps} steps")
        axis.semilogx(self.inputs, self.outputs, ".", color="black", label="measured")
        axis.axhline(1, color="grey", linewidth=0.6)
        axis.set_xlabel("singular value of the input over its Frobenius norm")
        axis.set_ylabel("singular value of the output")
        axis.legend()
        return figure


def identify(
    port: Callable[[Any], Any],
    *,
    convert: Callable[[np.ndarray], Any] | None = None,
    candidates: Sequence[str | Schedule] | None = None,
    dtype: str = "float32",
) -> Identification:
    """Find out which finite Newton-Schulz iteration a function computes.

    Parameters
    ----------
    port : callable
        Takes one matrix and returns one of the same shape.
    convert : callable, optional
        Makes the port's array of a NumPy array.
    candidates : sequence, optional
        Names of presets, or schedules, to look among; all presets by default.
    dtype : str
        Of the probes before ``convert``.

    Returns
    -------
    Identification

    Notes
    -----
    The probes are a square, a wide and a tall matrix, a diagonal one, one of rank one, and small multiples of the
    square one, which show eps. Step counts up to 12, the norm multiplied by 1, 1.01, 1.02 or 1.05, eps of powers of
    ten and the update scales in ``orthoref.oracle.newton_schulz.claim.UPDATE_SCALES`` are tried.
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype={dtype!r} of the probes is not float32 or float64")
    chosen = presets.names() if candidates is None else candidates
    schedules = [presets.get(c) if isinstance(c, str) else c for c in chosen]
    if not schedules:
        raise ValueError("candidates is empty")
    for schedule in schedules:
        schedule.require_polynomial()

    def call(a: np.ndarray) -> np.ndarray:
        x = lift("x", port(a.copy() if convert is None else convert(a.copy()))).value
        if x.shape != a.shape:
            raise ValueError(f"the port returned shape {x.shape} for an input of shape {a.shape}")
        if not np.isfinite(x).all():
            raise ValueError(f"the port returned NaN or infinity for a {a.shape} matrix of norm {_norm(a):.3g}")
        return x

    probes = [cases.matrix(s, cond=100.0, scale=3.7, seed=i, dtype=dtype) for i, s in enumerate(SHAPES)]
    probes.append(np.outer(np.arange(1, 9), np.ones(11)).astype(dtype))
    results = [call(a) for a in probes]
    diagonal = np.diag(np.geomspace(1, 1e-5, 40)).astype(dtype)
    mapped = call(diagonal)
    with np.errstate(all="ignore"):
        # in a diagonal probe every singular value keeps its relative accuracy; AOL sees nothing there
        near, also = (_distances(a, x, schedules) for a, x in ((probes[0], results[0]), (diagonal, mapped)))
        ranked = sorted(near, key=lambda candidate: near[candidate] + also.get(candidate, 1.0))
        scaled = [_scaled(candidate, probes, results) for candidate in ranked[:8]]
        small = [(probes[0] * (norm / _norm(probes[0]))).astype(dtype) for norm in SMALL_NORMS]
        pairs = [*zip(probes, results, strict=True), (diagonal, mapped), *((a, call(a)) for a in small)]
        totals = []
        for candidate in scaled:
            with_eps = min(_with_eps(candidate), key=lambda c: _total(c, pairs))
            totals.append((_total(with_eps, pairs), with_eps))
        totals.sort(key=lambda pair: pair[0])
        error, best = totals[0]
        best, precision, ratio = _explained(best, pairs, dtype)
    outputs = np.diagonal(mapped) / best.factor(*diagonal.shape)
    p, _, vh = np.linalg.svd(probes[0].astype(np.float64))
    away = p.T @ results[0] @ vh.T / best.factor(*probes[0].shape) - np.eye(len(p))
    converged = bool(max(np.max(np.abs(outputs - 1)), np.max(np.abs(away))) <= CONVERGED)
    alike = tuple(str(c) for e, c in totals[1:] if e <= CLOSE * error)
    apart = [e for e, _ in totals if e > CLOSE * error]
    return Identification(
        match=best if precision and not converged else None,
        precision=precision,
        ratio=ratio,
        separation=apart[0] / error if apart and error else float("inf"),
        alike=alike,
        best=best,
        inputs=np.diagonal(diagonal).astype(np.float64) / _norm(diagonal),
        outputs=outputs,
        converged=converged,
    )


def _distances(a: np.ndarray, x: np.ndarray, schedules: Sequence[Schedule]) -> dict[Iteration, float]:
    """|x - c f(a)|_F/|x|_F of every schedule, number of steps and normalization; c any of the update scales."""
    known = {scale(*a.shape) for scale in UPDATE_SCALES.values()}
    found = {}
    for normalization in _normalizations():
        p, s, vh = np.linalg.svd(normalized(a.astype(np.float64).T, normalization, 0.0, "add"), full_matrices=False)
        seen = p.T @ x.T @ vh.T
        for schedule in schedules:
            most = len(schedule.rows) if schedule.past == "stop" else MAX_STEPS
            f = s
            for count, row in enumerate(schedule.steps(most), start=1):
                f = row(f)
                if not np.isfinite(f).all():
                    break
                error = min(_norm(seen - c * np.diag(f)) for c in known) / max(_norm(x), 1e-300)
                found[Iteration(schedule, count, normalization)] = error
    return found


def _normalizations() -> Iterator[Normalization]:
    for kind in ("frobenius", "schatten4", "spectral", "aol"):
        for factor in FACTORS:
            yield Normalization(kind, Fraction(factor))
    yield Normalization("none")


def _scaled(candidate: Iteration, probes: Sequence[np.ndarray], results: Sequence[np.ndarray]) -> Iteration:
    """With the update scale that fits all shapes best."""
    pairs = list(zip(probes, results, strict=True))
    return min((replace(candidate, scale=scale) for scale in UPDATE_SCALES), key=lambda c: _total(c, pairs))


def _with_eps(candidate: Iteration) -> Iterator[Iteration]:
    rules: tuple[Literal["add", "clamp"], ...] = ("add", "clamp")
    for eps in EPSILONS:
        for rule in rules[: 2 if eps else 1]:
            yield replace(candidate, eps=eps, eps_rule=rule)


def _total(candidate: Iteration, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Relative errors over the probes, added up."""
    return sum(_error(candidate, a, x) for a, x in pairs)


def _error(candidate: Iteration, a: np.ndarray, x: np.ndarray) -> float:
    tall, y = (a, x) if a.shape[0] > a.shape[1] else (a.conj().T, x.conj().T)
    x0 = normalized(tall.astype(np.float64), candidate.normalization, candidate.eps, candidate.eps_rule)
    for row in candidate.schedule.steps(candidate.steps):
        c = [float(v) for v in row.numerator]
        g = x0.conj().T @ x0
        tail = c[-1] * g
        for v in c[-2:0:-1]:
            tail = v * g + g @ tail
        x0 = c[0] * x0 + (x0 @ tail if len(c) > 1 else 0)
    error = _norm(y - candidate.factor(*a.shape) * x0) / max(_norm(y), 1e-300)
    return min(error, 1.0) if np.isfinite(error) else 1.0


def _explained(
    best: Iteration, pairs: Sequence[tuple[np.ndarray, np.ndarray]], dtype: str
) -> tuple[Iteration, str | None, float]:
    """Form and finest format whose rounding explains all errors, and the largest ratio in it.

    Results that are all numbers of a 16-bit format were stored in it. Otherwise a format shorter than the probes' has
    to show in every dense probe: rounding in a format scores between a few hundredths and about one of its unit.
    """
    stored = [name for name in ("bfloat16", "float16") if all(np.array_equal(_store(x, name), x) for _, x in pairs)]
    formats = stored[:1] or [name for name in ("float64", "float32", "float16", "bfloat16") if name in _coarser(dtype)]
    found = {}
    for form in (best, replace(best, form="gram"), replace(best, form="gram", restart=(2,))):
        if any(step >= best.steps for step in form.restart):
            continue
        for name in formats:
            judged = [compare(a.astype(np.float64), x, form, PRECISIONS[name]) for a, x in pairs]
            ratios = [one.forward for one in judged if one.decided] or [_undecided(one) for one in judged]
            dense = min(one.forward for one in judged[: len(SHAPES)])
            shorter = name not in (dtype, *stored)
            if shorter and (dense < 0.02 or not fills(pairs[0][0].astype(np.float64), pairs[0][1], best)):
                continue  # another coefficient or eps, not a shorter format
            found[form, name] = max(ratios)
    for most in (1.0, LIMIT):
        for (form, name), ratio in found.items():
            if ratio <= most:
                return form, name, ratio
    return best, None, min(found.values(), default=float("inf"))


def _undecided(one: Judged) -> float:
    """Its ratio if the result is near, all the same: a unit as large as the result explains anything."""
    near = one.forward * one.unit <= UNDECIDED
    return one.forward if near else float("inf")


def _coarser(dtype: str) -> list[str]:
    return [name for name, precision in PRECISIONS.items() if precision.eps >= precision_of(dtype).eps]


def _store(x: np.ndarray, precision: str) -> np.ndarray:
    """X rounded to the format; NaN where that overflows."""
    try:
        return store(x, precision)
    except OutsideDomain:
        return np.full_like(x, np.nan)


def _norm(x: np.ndarray) -> float:
    return float(np.linalg.norm(x))
