"""Wrong derivatives are refused and named by conformance.check, right ones are not."""

from __future__ import annotations

import re
from importlib import import_module

import pytest
from backends import JAX, TORCH
from meta.wrong_derivative_ports import RIGHT, RIGHT_FORWARD, WRONG, WRONG_FORWARD, WRONG_TWICE

from orthoref import conformance
from orthoref.errors import CannotRun
from orthoref.oracle.battery import names
from orthoref.oracle.cases import SPECTRA, STRUCTURES
from orthoref.oracle.operations import DERIVATIVES

BACKENDS = {"torch": TORCH, "jax": JAX}
LAWS = ("repeatable", "kept", "own memory", "history", "every call", "threads")


def check(entry, kind, **options):
    backend = BACKENDS[entry.framework]
    backend.require()
    returns = "auto" if entry.operation != "polar" else "uh" if len(entry.outputs) > 1 else "u"
    return conformance.check(
        entry.port, entry.operation, derivative=entry.framework, kind=kind, returns=returns, convert=converter(entry),
        progress=False, **entry.claims, **options,
    )  # fmt: skip


def converter(entry):
    """Strides, those of 0 too, arrive as they are in torch."""
    return import_module("torch").from_numpy if entry.framework == "torch" else BACKENDS[entry.framework].asarray


def own_shape(entry):
    """Of the entry's own input: where it is wrong."""
    return entry.on()[0].shape


KINDS = {id(entry): kind for entries, kind in ((WRONG, "vjp"), (WRONG_TWICE, "vjp_jvp"), (WRONG_FORWARD, "jvp"))
         for entry in entries}  # fmt: skip
ALL_WRONG = [*WRONG, *WRONG_TWICE, *WRONG_FORWARD]


# refused, but by the size of the error only: which conjugate is lost depends on phases of singular vectors, or on which
# of several products it is in; rounded cotangents look like close singular values; regularised differences cost 1e-11
# where the values are apart, and that is what the example may show
UNNAMED = ("P is transposed without a conjugate", "x is transposed without a conjugate", "the tangent of real matrices",
           "the cotangent is rounded to bfloat16", "repeated singular values are regularised")  # fmt: skip


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("entry", ALL_WRONG, ids=lambda e: f"{KINDS[id(e)]}-{e.name}")
def test_refused_and_named(entry):
    if entry.name.endswith("detached"):  # the framework sees it: no derivative at all, for any input
        with pytest.raises(CannotRun, match=entry.words):
            check(entry, KINDS[id(entry)], dtypes=entry.dtypes[-1:], shapes=[own_shape(entry)], max_cases=2)
        return
    report = check(
        entry, KINDS[id(entry)], dtypes=entry.dtypes[-1:], shapes=[own_shape(entry)], max_cases=12,
        skip=(*LAWS, *(["extreme scale"] if entry.operation == "polar" and "scale" not in entry.words else [])),
    )  # fmt: skip
    assert not report.holds
    assert entry.name.partition(",")[0] in UNNAMED or re.search(entry.words, report.text()), report.text()


RIGHT_ONES = [(entry, kind) for kind, entries in (
    ("vjp", RIGHT),
    ("jvp", [e for e in (*RIGHT, *RIGHT_FORWARD) if e.forward]),
) for entry in entries]  # fmt: skip


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("entry", "kind"), RIGHT_ONES, ids=lambda x: getattr(x, "name", x))
def test_right_ones_are_not_refused(entry, kind):
    """Within what they claim: condition numbers, distinct singular values, no extreme scales."""
    skip = [f"cond {cond:g}" for cond in (1e2, 1e4, 1e6, 1e8) if cond > entry.cond]
    skip += ["extreme scale", "gallery"]
    if entry.distinct:  # of these, the values of which are apart
        skip += ["cond 1", *(set(SPECTRA) - {"geometric"}), *(set(STRUCTURES) - {"general"})]
    if entry.name == "complex step":  # of a fixed size
        skip += ["tiny", "huge"]
    row = DERIVATIVES[f"{entry.operation}_{kind}"]
    skip = [name for name in skip if name in names(row.levels, row.dtypes)]
    shapes = [(1, 1), (3, 3), (8, 8), (2, 4, 4), *([] if entry.square else [(5, 3), (3, 5), (2, 4, 3)])]
    report = check(entry, kind, dtypes=entry.dtypes, shapes=shapes, skip=skip, max_cases=24)
    assert report.holds, report.text()
