"""Which schedule, normalization, eps and update scale does a black box implement? Docs: docs/which_schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from orthoref._newton_schulz.normalization import normalized
from orthoref._newton_schulz.rounding import store
from orthoref._schedules import presets
from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.errors import OutsideDomain, require
from orthoref.oracle import cases
from orthoref.oracle.lift import lift
from orthoref.oracle.newton_schulz import hypotheses
from orthoref.oracle.newton_schulz.claim import UPDATE_SCALES, Iteration, run
from orthoref.oracle.newton_schulz.hypotheses import Divisor, Rows, Scale, Seen, Table
from orthoref.oracle.newton_schulz.ratios import LIMIT, UNDECIDED, Judged, compare
from orthoref.oracle.precision import PRECISIONS, Precision, precision_of

EPSILONS = (0.0, *hypotheses.EPSILONS)
SMALL_NORMS = (1e-4, 1e-6, 1e-8, 1e-11, 1e-14)
SHAPES = ((24, 24), (12, 27), (27, 12))
CONVERGED = 1e-3  # all outputs this near to 1 tell nothing about the schedule
CLOSE = 3.0  # candidates within this factor of the best error cannot be told apart
CLEAR = 10.0  # the next schedule must be that much farther, where a format is guessed beside
ALIKE = 0.5  # cosine of the angle between two errors; rounding errors are orthogonal to 1/sqrt(24 * 24)
SEEN = 0.02  # of its unit: rounding in a format shows by no less in a dense matrix
RANKED = 8  # candidates that eps is tried with
RENORMALIZED = "renormalised"
UNDERFLOWN = 10.0  # errors of the best candidate in a small probe, over those in the others


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
    around : tuple of str
        What the port does to the input before and to the result after the match.
    dropped : tuple of str
        Probes that gave no finite result.
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
    around: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    def text(self) -> str:
        """The finding for people."""
        return "\n".join([self._finding(), *(f"  not used: {probe}" for probe in self.dropped)])

    def _finding(self) -> str:
        if self.converged:
            return (
                f"the polar factor to {np.max(np.abs(self.outputs - 1)):.2g}: every converged iteration fits, and "
                f"which one cannot be seen from singular values above {self.inputs.min():.3g} of the Frobenius norm"
            )
        if self.match is None:
            low, high = float(self.outputs.min()), float(self.outputs.max())
            far = f"{self.ratio:.3g} times its rounding error away"
            if not np.isfinite(self.ratio):
                far = (
                    "whose rounding errors are as large as the result: these steps explode in the format of the probes"
                )
            return (
                f"none of these. Nearest: {self.best}, {far}\n"
                f"  singular values from {self.inputs.min():.3g} to {self.inputs.max():.3g} (of a Frobenius norm 1) "
                f"become {low:.4g} to {high:.4g}"
            )
        lines = [
            str(self.match),
            *(f"  {each}" for each in self.around),
            f"  computed in {self.precision}: {self.ratio:.3g} of its expected rounding error",
        ]
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
    square one, which show eps; those that raise or give something that is not finite are dropped. Step counts up to 12,
    the norm multiplied by 1, 1.01, 1.02 or 1.05, eps of powers of ten and the update scales in
    ``orthoref.oracle.newton_schulz.claim.UPDATE_SCALES`` are tried; if nothing fits the same of a matrix with rows or
    columns of one norm, and times a number.
    """
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype={dtype!r} of the probes is not float32 or float64")
    chosen = presets.names() if candidates is None else candidates
    schedules = [presets.get(c) if isinstance(c, str) else c for c in chosen]
    if not schedules:
        raise ValueError("candidates is empty")
    for schedule in schedules:
        schedule.require_polynomial()
    dense, small, dropped = _probed(port, convert, dtype)
    table = Table([hypotheses.of_schedule(schedule, hypotheses.MOST)[0] for schedule in schedules])
    with np.errstate(all="ignore"):
        found = _searched(table, dense, small, dtype)
        assert found is not None
        for around, before in _otherwise(table, dense, small) if not found.precision else ():
            other = _searched(table, *before, dtype, around, below=found.ranked[0][0] / CLOSE)
            if other is not None:
                found = other
                break
        inputs, outputs, converged = _scalar_map(dense, found.best)
    error = found.ranked[0][0]
    return Identification(
        match=found.best if found.precision and not converged else None,
        precision=found.precision,
        ratio=found.ratio,
        separation=_separation(found.ranked),
        alike=tuple(str(c) for e, c in found.ranked[1:] if e <= CLOSE * error),
        best=found.best,
        inputs=inputs,
        outputs=outputs,
        converged=converged,
        around=found.around,
        dropped=dropped,
    )


Pair = tuple[np.ndarray, np.ndarray]


def _probed(
    port: Callable[[Any], Any], convert: Callable[[np.ndarray], Any] | None, dtype: str
) -> tuple[list[Pair], list[Pair], tuple[str, ...]]:
    """Probes and results in float64: dense ones (the diagonal one last), small ones, and what was dropped."""
    square, *others = (cases.matrix(s, cond=100.0, scale=3.7, seed=i, dtype=dtype) for i, s in enumerate(SHAPES))
    diagonal = np.diag(np.geomspace(1, 1e-5, 40)).astype(dtype)
    dense = [square, *others, np.outer(np.arange(1, 9), np.ones(11)).astype(dtype), diagonal]
    small = [(square * (norm / _norm(square))).astype(dtype) for norm in SMALL_NORMS]
    of_dense: list[Pair] = []
    of_small: list[Pair] = []
    failures: list[Exception] = []
    for a, into in [*((a, of_dense) for a in dense), *((a, of_small) for a in small)]:
        try:
            given = a.copy() if convert is None else convert(a.copy())
            before = lift("a", given).value  # convert may round
            x = lift("x", port(given)).value
            if x.shape == a.shape and not np.isfinite(x).all():
                raise ValueError(f"the port returned NaN or infinity for a {a.shape} matrix of norm {_norm(a):.3g}")
        except Exception as error:  # whatever a port raises is a finding
            failures.append(error)
            continue
        if x.shape != a.shape:
            raise ValueError(f"the port returned shape {x.shape} for an input of shape {a.shape}")
        into.append((before, x))
    if len(of_dense) < 3:
        raise failures[0]
    return of_dense, of_small, tuple(str(error).partition("\n")[0] for error in failures)


@dataclass(frozen=True)
class _Search:
    """Candidates by error, the best of them with form and precision if rounding explains it, and what is around it."""

    ranked: list[tuple[float, Iteration]]
    best: Iteration
    precision: str | None
    ratio: float
    around: tuple[str, ...] = ()


def _separation(ranked: Sequence[tuple[float, Iteration]]) -> float:
    """Error of the next distinguishable candidate over that of the best."""
    error = ranked[0][0]
    apart = [e for e, _ in ranked if e > CLOSE * error]
    return apart[0] / error if apart and error else float("inf")


def _otherwise(
    table: Table, dense: Sequence[Pair], small: Sequence[Pair]
) -> Iterator[tuple[tuple[str, ...], tuple[list[Pair], list[Pair]]]]:
    """What ports do before and after: rows or columns of one norm, and a number."""

    def each(change: Callable[[np.ndarray, np.ndarray], Pair]) -> tuple[list[Pair], list[Pair]]:
        return [change(a, x) for a, x in dense], [change(a, x) for a, x in small]

    yield ("of a, its rows scaled to one norm",), each(lambda a, x: (hypotheses.equilibrated(a, 1), x))
    yield ("of a, its columns scaled to one norm",), each(lambda a, x: (hypotheses.equilibrated(a, 0), x))
    times = _multiple(table, *dense[0])
    if times > 0:
        yield (f"times {times:.6g}",), each(lambda a, x: (a, x / times))


def _multiple(table: Table, a: np.ndarray, x: np.ndarray) -> float:
    """The positive number times one of the candidates that is nearest to one result; 0 if there is none."""
    seen, divisors = Seen(a, x), _divisors()
    f = hypotheses.composed(table.coefficients, seen.s[seen.few] / np.asarray([[seen.divisor(d)] for d in divisors]))
    ff, fy = np.einsum("...i,...i->...", f, f), f @ seen.y[seen.few]
    gain = np.where(np.isfinite(ff) & (fy > 0) & table.allowed[:, :, None], fy * fy / ff, 0.0)
    best = np.unravel_index(int(np.argmax(gain)), gain.shape)
    return float(fy[best] / ff[best]) if gain[best] > 0 else 0.0


def _divisors() -> list[Divisor]:
    norms = [Divisor(kind, float(factor)) for kind in hypotheses.KINDS for factor in hypotheses.FACTORS]
    return [*norms, Divisor("none")]


def _searched(
    table: Table,
    dense: Sequence[Pair],
    small: Sequence[Pair],
    dtype: str,
    around: tuple[str, ...] = (),
    below: float = float("inf"),
) -> _Search | None:
    """The candidates with least errors, added up over the probes; eps with the small ones.

    None if the least error is not ``below``, or rounding does not explain it.
    """
    scales = [*UPDATE_SCALES, RENORMALIZED]
    candidates = []
    for see, divisors in (
        (Seen, _divisors()),
        (Seen.aol, [Divisor("aol", float(factor)) for factor in hypotheses.FACTORS]),
    ):
        total = np.zeros((*table.allowed.shape, len(divisors), len(scales)))
        for a, x in dense:
            of_shape = [_scale(name, *a.shape) for name in scales]
            total += np.minimum(np.sqrt(hypotheses.squares(see(a, x), table, divisors, of_shape)), 1.0)
        total[~table.allowed] = np.inf
        best = np.min(total, axis=3)
        for place in np.argsort(best, axis=None, kind="stable")[:RANKED]:
            i, steps, j = np.unravel_index(place, best.shape)
            name = scales[int(np.argmin(total[i, steps, j]))]  # that fits all shapes best
            candidates.append((float(best[i, steps, j]), table.rows[i], int(steps), divisors[j], name))
    candidates.sort(key=lambda candidate: candidate[0])
    if not candidates[0][0] <= below:
        return None
    sight = _Sight([*dense, *small])
    tried = [(rows, steps, each, name) for _, rows, steps, d, name in candidates[:RANKED] for each in _with_eps(d)]
    errors = np.asarray([sight.errors(*each) for each in tried])
    # where no candidate comes as near as elsewhere the numbers have underflowed, and say nothing of eps
    least = np.min(errors, axis=0)
    seen = (least <= UNDERFLOWN * np.max(least[: len(dense)])) | (np.arange(len(least)) < len(dense))
    best_of: dict[tuple[str, int, str, float, str], tuple[float, Iteration, str]] = {}
    for error, (rows, steps, divisor, name) in zip(errors[:, seen].sum(axis=1).tolist(), tried, strict=True):
        key = rows.name, steps, divisor.kind, divisor.factor, name
        if key not in best_of or error < 0.99 * best_of[key][0]:  # of equals the first: no eps
            plain = Iteration(rows.make(), steps, Normalization(), scale="none" if name == RENORMALIZED else name)
            best_of[key] = error, divisor.apply(plain, sight.plain[0]), name
    ranked = sorted(best_of.values(), key=lambda one: one[0])
    alone = [(error, one) for error, one, _ in ranked]
    error, best, name = ranked[0]
    if not error <= below:
        return None
    pairs = sight.pairs
    if name == RENORMALIZED:
        around = (*around, "renormalised: |x|_F = sqrt(min(m, n))")
        pairs = [(a, x * (_norm(run(a, best)) / min(x.shape) ** 0.5)) for a, x in pairs]
    found = _Search(alone, *_explained(alone, pairs, dtype), around)
    return found if found.precision or below == np.inf else None


def _scale(name: str, m: int, n: int) -> Scale:
    if name == RENORMALIZED:
        return Scale(name, 1.0, renormalized=True)
    return Scale(name, UPDATE_SCALES[name](m, n))


class _Sight:
    """Every pair in the bases of its input; in those of the rescaled one once for every eps."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = pairs
        self.plain = [Seen(a, x) for a, x in pairs]
        self.aol: dict[tuple[float, str], list[Seen]] = {}

    def errors(self, rows: Rows, steps: int, divisor: Divisor, scale: str) -> list[float]:
        """Relative errors of a candidate; none counts more than 1."""
        seen = self.plain
        if divisor.kind == "aol":
            rule: Any = divisor.rule
            key = divisor.eps, rule
            if key not in self.aol:
                self.aol[key] = [Seen.aol(a, x, divisor.eps, rule) for a, x in self.pairs]
            seen = self.aol[key]
        found = []
        for one in seen:
            f = rows.value(one.s / one.divisor(divisor), steps)
            factor = _scale(scale, *one.shape).of(f, float(f @ f))
            error = float(np.hypot(one.rest, np.linalg.norm(one.y - factor * f))) / max(one.size, 1e-300)
            found.append(min(error, 1.0) if np.isfinite(error) else 1.0)
        return found


def _with_eps(divisor: Divisor) -> Iterator[Divisor]:
    yield divisor
    for eps in EPSILONS[1:] if divisor.kind != "none" else ():
        yield replace(divisor, eps=eps, rule="add")
        yield replace(divisor, eps=eps, rule="clamp")
    for eps in (1e-7, 1e-9, 1e-15) if divisor.kind not in ("none", "aol") else ():
        yield replace(divisor, eps=eps, rule="squared clamp")  # the roots of others are in the list


def _scalar_map(dense: Sequence[Pair], best: Iteration) -> tuple[np.ndarray, np.ndarray, bool]:
    """Singular values over their Frobenius norm, what became of them, and whether all became 1."""
    seen = [Seen(a, x) for a, x in dense]
    away = [one.rest + np.max(np.abs(one.y / best.factor(*one.shape) - 1), initial=0.0) for one in (seen[0], seen[-1])]
    a, x = dense[-1]
    if np.array_equal(a, np.diag(np.diagonal(a))):  # every singular value keeps its relative accuracy
        inputs, outputs = np.diagonal(a), np.diagonal(x)
    else:
        inputs, outputs = seen[0].s, seen[0].y
    return inputs / _norm(inputs), outputs / best.factor(*x.shape), max(away) <= CONVERGED


def _explained(
    ranked: Sequence[tuple[float, Iteration]], pairs: Sequence[Pair], dtype: str
) -> tuple[Iteration, str | None, float]:
    """Form and finest format whose rounding explains all errors of the best, and the largest ratio in it.

    Results that are all numbers of a shorter format were stored in it. Otherwise one has to show in every dense probe,
    explain the errors without any to spare, leave no other schedule near, and wander: rounding in a format scores
    between a few hundredths and about one of its unit, and who rounds everything else away explains anything.
    """
    best = ranked[0][1]
    coarser = [name for name in ("float32", "float16", "bfloat16") if PRECISIONS[name].eps > precision_of(dtype).eps]
    stored = [name for name in coarser[::-1] if all(np.array_equal(_store(x, name), x) for _, x in pairs)][:1]
    others = [error for error, one in ranked if (one.schedule.name, one.steps) != (best.schedule.name, best.steps)]
    clear = bool(others) and others[0] >= CLEAR * ranked[0][0]
    forms = [best, replace(best, form="gram"), *[replace(best, form="gram", restart=(2,))] * (best.steps > 2)]
    working = stored or [dtype]
    shorter = coarser if not stored and clear and _wanders(pairs, best) else []
    found = []
    for form in forms:
        for name in (*working, *shorter):
            # the ratio of the best is shown, whatever it is
            most = 1.0 if name in shorter else LIMIT if form is not best else float("inf")
            ratio, least = _ratios(pairs, form, PRECISIONS[name], most)
            if ratio <= 1 and (name in working or least >= SEEN):
                return form, name, ratio
            if name in working:
                found.append((ratio, form, name))
    ratio, form, name = min(found, key=lambda one: one[0])
    return (form, name, ratio) if ratio <= LIMIT else (best, None, found[0][0])


def _ratios(pairs: Sequence[Pair], claimed: Iteration, precision: Precision, most: float) -> tuple[float, float]:
    """Largest ratio of all, and least of the first; infinity as soon as one is above ``most``."""
    judged = []
    for a, x in reversed(pairs):  # what is hidden in the dense ones shows in the small ones
        judged.append(compare(a, x, claimed, precision))
        if judged[-1].decided and not judged[-1].forward <= most:
            return float("inf"), 0.0
    ratios = [one.forward for one in judged if one.decided] or [_undecided(one) for one in judged]
    return max(ratios), min(one.forward for one in judged[-len(SHAPES) :])


def _wanders(pairs: Sequence[Pair], best: Iteration) -> bool:
    """Whether a matrix and a multiple of it have different errors, as rounding makes, and no mistake."""
    errors = [x - best.factor(*a.shape) * run(a, best) for a, x in pairs if a.shape == SHAPES[0]][:2]
    if len(errors) < 2:  # some were dropped
        return False
    return abs(float(np.vdot(*errors))) <= ALIKE * _norm(errors[0]) * _norm(errors[1])


def _undecided(one: Judged) -> float:
    """Its ratio if the result is near, all the same: a unit as large as the result explains anything."""
    near = one.forward * one.unit <= UNDECIDED
    return one.forward if near else float("inf")


def _store(x: np.ndarray, precision: str) -> np.ndarray:
    """X rounded to the format; NaN where that overflows."""
    try:
        return x.astype(np.float32) if precision == "float32" else store(x, precision)
    except OutsideDomain:
        return np.full_like(x, np.nan)


def _norm(x: np.ndarray) -> float:
    return float(np.linalg.norm(x))
