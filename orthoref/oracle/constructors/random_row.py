"""Rows of random matrices: samples of the Haar measure, orthogonal initialisations of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from math import log, prod, sqrt
from typing import Any

import numpy as np

from orthoref._constructors import haar
from orthoref.oracle.battery import Levels
from orthoref.oracle.cases import Case
from orthoref.oracle.constructors.claim import AXIS, FALSE_ALARM, GAIN, LAYOUT, LAYOUTS, SPECIAL, Haar, Init
from orthoref.oracle.constructors.inputs import normal
from orthoref.oracle.operation import Check, Data, Law, Measured, Measurement, Operation, Variant
from orthoref.oracle.orthonormal.ratios import residuals
from orthoref.oracle.orthonormal.reasons import not_orthonormal
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import ct, ratio
from orthoref.oracle.run import Run
from orthoref.oracle.stiefel.haar import Marginal, marginals, reason

LIMIT = 10.0
FEWEST = 100  # points that are a sample
CALLS = 300  # of an initialiser, for its distribution
SMALL = 64  # entries of a weight that is drawn so often
ORTHONORMAL = Check("orthonormal", "|I - Q^H Q|")
UNIFORM = Check("haar", "log p / log(false_alarm/tests)", limit=1.0)
PLAIN = Levels(
    classes=("square",),
    members=("alike",),
    memory=("C", "F", "readonly"),
    structure=("general",),
    spectrum=(),
    cond=(),
    scale=(1.0,),
    gallery=(),
    draw=normal,
)
SAMPLES = replace(PLAIN, shapes=((2000, 1, 1), (2000, 2, 2), (2000, 3, 2), (1500, 4, 4), (1000, 7, 3), (1000, 5, 5)))
WEIGHTS = replace(
    PLAIN,
    shapes=((1, 1), (3, 3), (4, 4), (6, 3), (3, 6), (1, 5), (5, 1), (16, 16), (64, 24), (4, 2, 3), (8, 2, 3, 3),
            (3, 3, 2, 8)),
)  # fmt: skip


def surprise(found: list[Marginal], false_alarm: float) -> tuple[float, Marginal]:
    """(CR-HAAR) log p / log(false_alarm/count) of the least likely marginal: above 1 with that probability at most."""
    worst = min(found, key=lambda each: each.p)
    return log(max(worst.p, 1e-300)) / log(false_alarm / len(found)), worst


def measure_sample(inputs: Data, outputs: Data, claimed: Haar, precision: Precision, limit: float) -> Measured:
    """Orthonormal columns, and the distribution of the sample."""
    q = outputs["q"].value
    count = q.shape[0] if q.ndim == 3 else 0
    error, e = residuals(q, precision)["orthonormal"]
    size = sqrt(min(q.shape[-2:])) / 2 / e if q.size else limit
    checks = [Measurement("orthonormal", f"{ORTHONORMAL.text} / (n eps)", ratio(error, e), min(limit, size), e, False)]
    judged = np.full(q.shape[:-2], q.size > 0)
    if q.shape[-2] < q.shape[-1]:
        return Measured([], np.zeros(q.shape[:-2], bool), [f"not judged: {q.shape[-2]} rows, {q.shape[-1]} columns"])
    if q.ndim == 2:
        return Measured(checks, judged, ["of a single matrix the distribution is not judged"])
    if count < FEWEST:
        return Measured(checks, np.zeros(q.shape[:-2], bool), [f"not judged: {count} matrices are no sample"])
    if np.all(np.isfinite(q)):
        found, _ = surprise(marginals(q, special=claimed.special == "yes"), claimed.false_alarm)
        checks.append(Measurement("haar", UNIFORM.text, np.asarray(found), 1.0, 1.0, False))
    return Measured(checks, judged)


def describe_sample(inputs: Data, outputs: Data, claimed: Haar, precision: Precision,
                    failed: Mapping[str, float]) -> list[str]:  # fmt: skip
    """Columns that are not orthonormal; what is seen of the distribution."""
    q = outputs["q"].value
    if not failed:
        return []
    if q.ndim == 2:
        return [not_orthonormal(q, "columns")]
    _, worst = surprise(marginals(q, special=claimed.special == "yes"), claimed.false_alarm)
    return [f"not Haar: {seen(q, worst)}: p = {worst.p:.2g}"]


def seen(q: np.ndarray, worst: Marginal) -> str:
    """What a sample that is not uniform looks like."""
    if q.shape[1] > 1 and np.any(np.ptp(q, axis=0) > 0) and np.all(q[..., 0].real >= 0):
        return "the first column is never negative: of numbers between 0 and 1, not normal ones?"
    return reason(q, worst)


def variants_of_sample(inputs: Data, outputs: Data, claimed: Haar, precision: Precision,
                       failed: Mapping[str, float]) -> Iterator[Variant]:  # fmt: skip
    """The other component, a QR decomposition as it is, a factor, a shorter format."""
    q = outputs["q"].value
    if q.ndim == 2:
        size = float(np.linalg.norm(q)) / sqrt(q.shape[-1])
        if size > 0 and abs(size - 1) > 1e-3:
            said = f"columns have length {size:.5g}, not 1: a gain"
            yield Variant("columns have another length: a gain", said, outputs={"q": q / size})
        yield from (
            Variant(f"accurate to {low}", f"columns are orthonormal to {low} only", precision=PRECISIONS[low])
            for low in ("float32", "tf32", "float16", "bfloat16")
            if PRECISIONS[low].eps > 2 * precision.eps
        )
        return
    if not np.iscomplexobj(q) and q.shape[-1] == q.shape[-2]:
        other = replace(claimed, special="no" if claimed.special == "yes" else "yes")
        said = "all determinants are 1: rotations only" if other.special == "yes" else "reflections are among them"
        yield Variant(said, f"{said}; this is special={other.special}", claimed=other)
    first = q[:, 0, 0].real
    if np.all(first <= 0) or np.all(first >= 0):
        random = np.random.RandomState(0)
        turn = random.uniform(-np.pi, np.pi, (len(q), 1, q.shape[-1]))
        phases = np.exp(1j * turn) if np.iscomplexobj(q) else np.sign(turn)
        always = "<" if np.all(first <= 0) else ">"
        said = f"not Haar: Q[0,0] {always} 0 always: QR without making the diagonal of R positive"
        yield Variant(said, said, outputs={"q": q * phases})


def matrix_of(w: np.ndarray, claimed: Init) -> np.ndarray:
    """(CR-INIT) A weight as the matrix that is orthonormal."""
    axis = claimed.axis if claimed.axis is not None else 0 if claimed.layout == "torch" else -1
    if not -w.ndim <= axis < w.ndim:
        raise ValueError(f"axis={axis} of a weight of {w.ndim} axes")
    flat = np.moveaxis(w, axis, 0).reshape(w.shape[axis], -1)
    return flat.T if claimed.layout == "jax" else flat


def measure_weight(inputs: Data, outputs: Data, claimed: Init, precision: Precision, limit: float) -> Measured:
    """Orthonormal columns of a tall matrix, rows of a wide one, up to the gain."""
    m = matrix_of(outputs["w"].value, claimed) / claimed.gain
    if not m.size:
        return Measured([], np.zeros((), bool))
    error, e = residuals(m, precision)["orthonormal"]
    capped = min(limit, sqrt(min(m.shape)) / 2 / e)
    text = f"{ORTHONORMAL.text} / (n eps), Q the {claimed.layout} matrix over the gain"
    return Measured([Measurement("orthonormal", text, ratio(error, e), capped, e, False)], np.asarray(True))


def variants_of_weight(inputs: Data, outputs: Data, claimed: Init, precision: Precision,
                       failed: Mapping[str, float]) -> Iterator[Variant]:  # fmt: skip
    """Other gains and layouts."""
    w = outputs["w"].value
    layouts = (claimed.layout, *(each for each in LAYOUTS if each != claimed.layout))
    for axis, layout in product((None, 0, -1), layouts):
        other = replace(claimed, layout=layout, axis=axis)
        m = matrix_of(w, other)
        gain = float(np.linalg.norm(m)) / sqrt(max(min(m.shape), 1))
        own = layout == claimed.layout and axis == claimed.axis
        named = f"this is layout={layout}" + ("" if axis is None else f", axis={axis}")
        if not own:
            yield Variant(named, f"{named}, not {str(claimed).partition(', ')[2].rpartition(', ')[0]}", claimed=other)
        if 0 < gain < np.inf and abs(gain - claimed.gain) > 1e-4 * gain:
            also = "" if own else f", and {named}"
            said = f"the gain is {gain:.5g}, not {claimed.gain:.5g}"
            yield Variant(f"the gain is another{also}", said + also, claimed=replace(other, gain=gain))


def describe_weight(inputs: Data, outputs: Data, claimed: Init, precision: Precision,
                    failed: Mapping[str, float]) -> list[str]:  # fmt: skip
    """A kernel with one slice, or rows and columns."""
    w = outputs["w"].value
    if not failed:
        return []
    m = matrix_of(w, claimed) / claimed.gain
    said = [not_orthonormal(m, "columns" if m.shape[0] >= m.shape[1] else "rows")]
    if w.ndim > 2:
        ends = ((0, 1), (w.ndim - 2, w.ndim - 1))
        for first, last in ends:
            slices = np.moveaxis(w, (first, last), (-2, -1)).reshape(-1, w.shape[first], w.shape[last])
            lengths = np.linalg.norm(slices, axis=(-2, -1))
            if np.sum(lengths > 0) == 1:
                said.append("all slices but one are zero: a delta-orthogonal kernel, an orthogonal convolution")
                return said
            errors = [residuals(x, precision)["orthonormal"] for x in slices]
            if all(np.all(error <= LIMIT * e) for error, e in errors):
                said.append("every slice is orthonormal: the kernel was taken for a stack of matrices")
                return said
    return said


def uniform(run: Run, case: Case, other: Case) -> str:
    """(CR-HAAR) over many calls of an initialiser."""
    if prod(case.shape) > SMALL:
        return ""
    drawn = []
    for _ in range(CALLS):
        case = case.reseeded()
        drawn.append(matrix_of(run.called(case).outputs["w"].value, run.claimed) / run.claimed.gain)
    x = np.stack(drawn)
    x = x if x.shape[-2] >= x.shape[-1] else ct(x)
    found, worst = surprise(marginals(x), run.claimed.false_alarm)
    if found <= 1:
        return ""
    said = seen(x, worst).replace("all points are the same", f"{CALLS} calls return the same: a fixed seed?")
    return f"not Haar: {said}: p = {worst.p:.2g} of {CALLS} weights"


def reference_haar(normal: Any, **claims: Any) -> Any:
    """Ours, of the given numbers."""
    claimed = Haar(**claims)
    return haar.haar(
        *normal.shape[-2:], batch=tuple(normal.shape[:-2]), normal=normal, special=claimed.special == "yes"
    )


def reference_init(normal: Any, **claims: Any) -> Any:
    """Ours, of the given numbers in another order."""
    claimed = Init(**claims)
    m = matrix_of(np.asarray(normal), claimed)
    numbers = m if claimed.layout == "torch" or m.shape[0] >= m.shape[1] else m.T
    options: dict[str, Any] = {"gain": claimed.gain, "layout": claimed.layout, "axis": claimed.axis}
    return haar.orthogonal_init(normal.shape, normal=np.ascontiguousarray(numbers), **options)


ROWS = (
    Operation(
        name="haar",
        inputs=("normal",),
        outputs=("q",),
        claims=(SPECIAL, FALSE_ALARM),
        claim=Haar,
        shapes=lambda claimed, normal: {"q": tuple(normal)},
        checks=(ORTHONORMAL, UNIFORM),
        measure=measure_sample,
        variants=variants_of_sample,
        describe=describe_sample,
        levels=SAMPLES,
        limit=LIMIT,
        unit="n eps; log(false_alarm/tests)",
        reference=reference_haar,
        random=True,
    ),
    Operation(
        name="orthogonal_init",
        inputs=("normal",),
        outputs=("w",),
        claims=(GAIN, LAYOUT, AXIS, FALSE_ALARM),
        claim=Init,
        shapes=lambda claimed, normal: {"w": tuple(normal)},
        checks=(ORTHONORMAL,),
        measure=measure_weight,
        variants=variants_of_weight,
        describe=describe_weight,
        levels=WEIGHTS,
        limit=LIMIT,
        unit="n eps",
        reference=reference_init,
        dtypes=("float32", "float64"),
        random=True,
        laws=(Law("haar", "weights of many calls are uniform", "repeated", uniform),),
    ),
)
