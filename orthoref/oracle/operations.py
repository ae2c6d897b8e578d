"""The table: one row per operation, from which conformance runs, tests, docs and benchmarks iterate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from orthoref._newton_schulz import iteration
from orthoref._polar import decomposition
from orthoref.arrays import require_choice
from orthoref.errors import OutsideDomain
from orthoref.oracle import cases, finite, judge, measure
from orthoref.oracle.cases import GALLERY, SPECTRA, Case
from orthoref.oracle.foreign import Lifted
from orthoref.oracle.precision import precision_of


@dataclass(frozen=True)
class Operation:
    """What the oracle knows of an operation.

    ``battery(dtypes, shapes)`` yields the inputs of a conformance run. ``claims`` names what a run may say about the
    port, ``options(**given)`` checks that and completes it. ``judge(a, outputs, precision, limit, subject, **options)``
    turns an input and the outputs of a port into a :class:`~orthoref.oracle.judge.Verdict`, ``outside(a, **options)``
    says why there is nothing to judge at an input, or nothing. ``checks`` names its ratios and describes them, ``unit``
    is what all of them are counted in, ``limits`` names checks with a limit of their own.
    """

    name: str
    primal: Callable[..., Any]
    jvp: Callable[..., Any]
    vjp: Callable[..., Any]
    condition: Callable[..., Any] | None
    battery: Callable[[Sequence[str], Sequence[tuple[int, ...]]], list[Case]]
    claims: tuple[str, ...]
    options: Callable[..., dict[str, Any]]
    judge: Callable[..., judge.Verdict]
    outside: Callable[..., str]
    checks: dict[str, tuple[str, str]]
    outputs: tuple[str, ...]
    default_shapes: tuple[tuple[int, ...], ...]
    default_dtypes: tuple[str, ...]
    limit: float
    unit: str
    limits: dict[str, float]


def polar_options(side: str = "right", rank_deficient: str = "complete") -> dict[str, Any]:
    """Which decomposition, and what U of a rank-deficient matrix may be."""
    require_choice("side", side, ("right", "left"))
    require_choice("rank_deficient", rank_deficient, ("complete", "partial"))
    return {"side": side, "rank_deficient": rank_deficient}


def judge_polar(
    a: Lifted, outputs: dict[str, Lifted], precision: str | None, limit: float, subject: str, **options: Any
) -> judge.Verdict:
    """U and perhaps H."""
    format_ = precision_of(precision or a.dtype or "float64")
    return judge.polar(a, outputs["u"], outputs.get("h"), precision=format_, limit=limit, subject=subject, **options)


def polar_battery(dtypes: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> list[Case]:
    """Every spectrum with cond 1, 1e3, eps^-1/2 and 1/eps, extreme scales, and the gallery for square shapes."""
    found = []
    for dtype in dtypes:
        precision = precision_of(dtype)
        conditions = (1.0, 1e3, precision.eps**-0.5, 1 / precision.eps)
        for shape in shapes:
            for spectrum in SPECTRA:
                # cond = 1 gives the same singular values for every spectrum, and a vector has no other
                vector, all_ = min(shape[-2:]) < 2, spectrum == "geometric"
                some = conditions[:1] if vector else conditions if all_ else conditions[1:]
                found += [cases.drawn(shape, spectrum, cond, dtype, seed=seed) for seed, cond in enumerate(some)]
            for scale in (
                precision.tiny / precision.eps / 8,
                precision.largest / 8,
            ):  # an eighth of the smallest normal
                found.append(cases.drawn(shape, "geometric", 1e3, dtype, scale=scale, seed=7))
        orders = sorted({shape[-1] for shape in shapes if len(shape) == 2 and shape[0] == shape[1]})
        found += [cases.named(name, n, dtype) for n in orders for name in GALLERY]
    return found


def newton_schulz_options(**claimed: Any) -> dict[str, Any]:
    """The schedule and everything else that :func:`orthoref.newton_schulz` takes, and the update scale."""
    return {"claimed": finite.iteration(**claimed)}


def judge_newton_schulz(
    a: Lifted, outputs: dict[str, Lifted], precision: str | None, limit: float, subject: str, **options: Any
) -> judge.Verdict:
    """The result of a finite iteration; a port that computes in less may also return less."""
    x = outputs["x"]
    if precision is not None and x.dtype == precision:
        x = x._replace(dtype=a.dtype)
    format_ = precision_of(precision or a.dtype or "float64")
    return finite.judge(a, x, options["claimed"], precision=format_, limit=limit, subject=subject)


def outside_newton_schulz(a: Lifted, claimed: finite.Iteration, **options: Any) -> str:
    """Without a normalization, or with a factor below 1, some schedules diverge."""
    try:
        finite.run(a.value, claimed)
    except OutsideDomain as error:
        return f"not judged: {error}"
    return ""


def newton_schulz_battery(dtypes: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> list[Case]:
    """Condition sweeps, rank 1, zero, scales of 1e30 and 1e-30, and views that are not contiguous."""
    found = []
    for dtype in dtypes:
        far = 1e30 if precision_of(dtype).largest > 1e38 else 1e3
        for shape in shapes:
            some = (1.0,) if min(shape[-2:]) < 2 else (1.0, 10.0, 1e3)
            found += [
                cases.drawn(shape, spectrum, cond, dtype, seed=seed)
                for spectrum in ("geometric", "one_small", "repeated")
                for seed, cond in enumerate(some)
                if cond > 1 or spectrum == "geometric"
            ]
            if min(shape[-2:]) > 1:
                found.append(cases.drawn(shape, "rank_deficient", 10.0, dtype, seed=3))
                found.append(cases.drawn(shape, "one_large", 1 / precision_of(dtype).eps, dtype, seed=4))
            found += [cases.drawn(shape, "geometric", 10.0 if len(some) > 1 else 1.0, dtype, scale=scale, seed=5)
                      for scale in (0.0, 1 / far, far)]  # fmt: skip
            found.append(cases.drawn(shape, "geometric", some[-1], dtype, seed=6, function="strided"))
            if len(shape) > 2:
                found.append(cases.drawn(shape, "geometric", some[-1], dtype, seed=7, function="uneven"))
    return found


OPERATIONS: dict[str, Operation] = {
    "polar": Operation(
        name="polar",
        primal=decomposition.polar,
        jvp=decomposition.polar_jvp,
        vjp=decomposition.polar_vjp,
        condition=decomposition.polar_condition,
        battery=polar_battery,
        claims=("side", "rank_deficient"),
        options=polar_options,
        judge=judge_polar,
        outside=lambda a, **options: "",
        checks=measure.POLAR,
        outputs=("u", "h"),
        default_shapes=((1, 1), (2, 2), (5, 5), (16, 16), (48, 48), (24, 7), (7, 24), (60, 3), (3, 4, 4)),
        default_dtypes=("float32", "float64", "complex64", "complex128"),
        limit=10.0,
        unit="n eps",
        limits={},
    ),
    "newton_schulz": Operation(
        name="newton_schulz",
        primal=iteration.newton_schulz,
        jvp=iteration.newton_schulz_jvp,
        vjp=iteration.newton_schulz_vjp,
        condition=None,
        battery=newton_schulz_battery,
        claims=("schedule", "steps", "normalize", "eps", "eps_rule", "form", "restart", "scale"),
        options=newton_schulz_options,
        judge=judge_newton_schulz,
        outside=outside_newton_schulz,
        checks=finite.CHECKS,
        outputs=("x",),
        default_shapes=((1, 1), (1, 6), (6, 1), (5, 5), (16, 16), (40, 10), (10, 40), (64, 64), (4, 4, 4), (3, 3, 5)),
        default_dtypes=("float32", "float64"),
        limit=finite.LIMIT,
        unit="",
        limits={"direction": 1.0},
    ),
}
