"""How errors of derivatives that were computed in a shorter format lie between the bounds of ``derivative.shorter``.

Prints the table of docs/derivations/derivatives. Run by hand: python docs/make_shorter_derivatives.py [MATRICES]
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np

import orthoref
from orthoref import testing
from orthoref._newton_schulz.rounding import store
from orthoref.errors import PortFailure
from orthoref.oracle import cases
from orthoref.oracle.newton_schulz import derivative_reasons as of_newton_schulz
from orthoref.oracle.polar import derivative_reasons as of_polar
from orthoref.oracle.precision import PRECISIONS

FORMATS = ("float32", "tf32", "float16", "bfloat16")
seen: list[tuple[float, float, float, float]] = []


def spy(error, value, precision, unit):
    """In the place of ``shorter``: |error| over unit and over |value|, largest entry, part along the value."""
    size, most, all_ = float(np.linalg.norm(error)), float(np.max(np.abs(error))), float(np.linalg.norm(value))
    along = abs(float(np.sum(np.conj(value) * error).real))
    seen.append((size / unit, size / all_, most / size, along / (all_ * size)))
    return iter(())


of_polar.shorter = of_newton_schulz.shorter = spy


def short(x, name):
    """Rounded to a format, in float32."""
    kept = np.asarray(x, np.float32)
    if name == "tf32":
        return np.ldexp(np.rint(np.ldexp(np.frexp(kept)[0], 11)), np.frexp(kept)[1] - 11).astype(np.float32)
    return kept if name == "float32" else store(kept, name)


def derivatives(a, bar, name):
    """Of inputs rounded to the format, computed in float32, rounded once more."""
    a, bar = short(a, name), short(bar, name)
    yield "polar vjp", lambda: short(orthoref.polar_vjp(a, bar), name), testing.assert_vjp, "polar"
    yield (
        "newton_schulz vjp",
        lambda: short(orthoref.newton_schulz_vjp(a, bar), name),
        testing.assert_vjp,
        "newton_schulz",
    )


def main() -> None:
    """The table: for every format and derivative the least, middle and largest of the four."""
    found = defaultdict(list)
    for k in range(int(sys.argv[1]) if len(sys.argv) > 1 else 60):
        random = np.random.RandomState(k)
        shape = tuple(random.randint(2, 33, 2))
        a = cases.matrix(shape, cond=10.0 ** random.uniform(0, 3), seed=k)
        bar = random.standard_normal(shape)
        for name in FORMATS:
            for kind, compute, assert_, operation in derivatives(a, bar, name):
                seen.clear()
                try:
                    assert_(operation, a, bar, compute().astype(float))
                except (PortFailure, orthoref.OutsideDomain):
                    found[kind, name] += seen[:1]
    print("| derivative | format | cases | error / (unit eps) | error / result | largest entry | along the result |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for (kind, name), each in sorted(found.items()):
        scaled = np.asarray(each) / [PRECISIONS[name].eps, 1, 1, 1]
        cells = (f"{low:.2g} to {high:.2g}" for low, high in zip(scaled.min(0), scaled.max(0), strict=True))
        print(f"| {kind} | {name} | {len(each)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
