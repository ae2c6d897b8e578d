"""Right derivatives judged: random ports, points and (co)tangents. Writes derivative_false_alarms_table.md.

    python docs/make_derivative_false_alarms.py [COUNT [SEED]]

The ports are those of tests/meta that are right by another formula, each within what it claims: condition number,
distinct singular values, dtype. Every ratio above half of the limit is printed with what recreates it.
"""

from __future__ import annotations

import datetime
import os
import platform
import sys
import warnings
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

for name, value in (("OMP_NUM_THREADS", "1"), ("JAX_ENABLE_X64", "1"), ("JAX_PLATFORMS", "cpu")):
    os.environ.setdefault(name, value)
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
from backends import JAX, TORCH
from meta.wrong_derivative_ports import RIGHT, RIGHT_FORWARD, Right
from rich.progress import track

from orthoref.oracle import cases
from orthoref.oracle.autodiff import derivative
from orthoref.oracle.lift import lift
from orthoref.oracle.operations import DERIVATIVES
from orthoref.oracle.precision import precision_of

BACKENDS = {"torch": TORCH, "jax": JAX}
COMPILED = ((3, 3), (5, 2), (2, 4))  # of JAX, which compiles for every shape
SPECTRA = ("geometric", "log_uniform", "one_small", "repeated", "clustered", "almost_equal")
SEPARATE = ("geometric",)  # of ports that are right where singular values are


def tasks() -> list[tuple[Right, str]]:
    """Ports and kinds of derivative that they are right in."""
    backward = [(entry, "vjp") for entry in RIGHT]
    forward = [(entry, "jvp") for entry in (*RIGHT, *RIGHT_FORWARD) if entry.forward]
    twice = [(entry, "vjp_jvp") for entry in RIGHT if entry.framework == "torch"]
    return backward + forward + twice


def draw(random: np.random.RandomState, entry: Right, kind: str) -> cases.Case:
    """A case within the claims of a port."""
    if entry.framework == "jax":
        shape = COMPILED[random.randint(len(COMPILED))]
    else:
        shape = tuple(int(np.exp(random.uniform(0, np.log(25)))) for _ in range(2))
        shape = ((3,) if random.uniform() < 0.2 else ()) + shape
    if entry.square:
        shape = (*shape[:-1], shape[-2])
    dtype = str(random.choice(entry.dtypes))
    single = dtype in ("float32", "complex64")
    distinct = entry.distinct or (kind == "vjp_jvp" and entry.distinct_twice)
    most = entry.cond**0.5 if kind == "vjp_jvp" else entry.cond  # claims are about the first derivative
    cond = 10.0 ** random.uniform(0.5 if distinct else 0, np.log10(min(most, 1e4 if single else 1e7)))
    if distinct and kind == "vjp_jvp":  # 1/gap^2 is a true loss
        shape = (*shape[:-2], *(min(size, 4) for size in shape[-2:]))
    k = min(shape[-2:])
    if distinct:  # neighbours apart by a factor of at least 1.5, which ends at the largest condition number
        cond = max(cond, 1.5 ** (k - 1))
        if cond > entry.cond:
            shape, cond = (*shape[:-2], min(shape[-2], 4), min(shape[-1], 4)), entry.cond
            shape = (*shape[:-1], shape[-2]) if entry.square else shape
    case = cases.drawn(
        shape,
        str(random.choice(SEPARATE if distinct else SPECTRA)),
        cond,
        dtype,
        # torch's backward pass of a complex SVD multiplies what cancels on the diagonal by |A|^2 in place of 1
        scale=float(10.0 ** random.uniform(-3, 0 if distinct and dtype.startswith("complex") else 3)),
        seed=int(random.randint(10**6)),
    )
    case.factors["cotangent"] = str(random.choice(["generic", "tangent", "normal", "expanded", "transposed"]))
    return case


def judged(entry: Right, kind: str, case: cases.Case) -> list[float]:
    """Ratios over their limit; none where nothing is judged."""
    row = DERIVATIVES[f"{entry.operation}_{kind}"]
    claims = dict(entry.claims)
    if entry.operation == "polar":
        claims["factor"] = {(0,): "u", (1,): "h", (0, 1): "both"}[entry.outputs]
    claimed = row.claim(**claims)
    inputs = case.accompanied(row.companions(claimed)).inputs()
    backend = BACKENDS[entry.framework]
    given = [backend.asarray(np.ascontiguousarray(x)) for x in inputs.values()]
    try:
        found = derivative(entry.port, entry.framework, kind, outputs=entry.outputs)(*given)
    except RuntimeError as error:
        if "svd_backward" not in str(error):
            raise
        return []  # torch refuses by an absolute tolerance: no result
    found = found if isinstance(found, tuple) else (found,)
    names = row.outputs if entry.operation != "polar" or kind != "jvp" else [row.outputs[i] for i in entry.outputs]
    data, outputs = (
        {name: lift(name, x) for name, x in zip(keys, values, strict=True)}
        for keys, values in ((inputs, given), (names, found))
    )
    with np.errstate(all="ignore"):
        measured = row.measure(data, outputs, claimed, precision_of(case.dtype), row.limit)
    if not np.any(measured.judged):
        return []
    ratios = [float(np.max(np.where(np.isnan(x.ratio), np.inf, x.ratio) / x.limit)) for x in measured.measurements]
    return [max(ratios)]


def main() -> None:
    count, seed = (int(sys.argv[k]) if len(sys.argv) > k else default for k, default in ((1, 2000), (2, 0)))
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    random = np.random.RandomState(seed)
    ratios, undecided = defaultdict(list), defaultdict(int)
    largest = (0.0, "")
    every = tasks()
    for i in track(range(count), description="derivatives"):
        entry, kind = every[i % len(every)]
        case = draw(random, entry, kind)
        key = entry.name, kind, "single" if case.dtype in ("float32", "complex64") else "double"
        found = judged(entry, kind, case)
        if not found:
            undecided[key] += 1
            continue
        ratios[key] += found
        described = f"{entry.name}, {kind}: {case.id}, {case.factors['cotangent']}"
        if not found[0] <= 0.5:
            print(f"{found[0]:.3g}: {described}", flush=True)
        largest = max(largest, (found[0], described))
    above = sum(ratio > 1 for each in ratios.values() for ratio in each)
    lines = [
        "<!-- Written by docs/make_derivative_false_alarms.py: do not edit. -->",
        "",
        (
            f"{count} derivatives, {datetime.date.today().isoformat()}, {platform.machine()} {platform.system()}, "
            f"Python {platform.python_version()}, numpy {version('numpy')}, torch {version('torch')}, "
            f"jax {version('jax')}. Ratios are parts of the limit. Above the limit: {above}. "
            f"The largest: {largest[0]:.2g} ({largest[1]})."
        ),
        "",
        "| port | derivative | precision | judged | not judged | median | 99 % | largest |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for key in sorted({*ratios, *undecided}):
        cells = " | ".join(f"{q:.2g}" for q in np.quantile(ratios[key] or [np.nan], (0.5, 0.99, 1)))
        lines.append(f"| {' | '.join(key)} | {len(ratios[key])} | {undecided[key]} | {cells} |")
    Path(__file__).with_name("derivative_false_alarms_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
