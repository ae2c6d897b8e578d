"""Ports in any language: the cases of a battery as files, and the verdict over the files that a program wrote."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from inspect import signature
from math import inf, isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np

from orthoref.errors import CannotRun
from orthoref.oracle import manifest as manifests
from orthoref.oracle import npy
from orthoref.oracle.cases import Case
from orthoref.oracle.conformance import Size, cases_of, claim_of, conclude, limit_of, row_of, said_of, shown, take
from orthoref.oracle.manifest import Filed
from orthoref.oracle.operation import Operation
from orthoref.oracle.precision import precision_of
from orthoref.oracle.report import Report, environment
from orthoref.oracle.run import Called, Run, order_of
from orthoref.oracle.verdict import Verdict
from orthoref.oracle.watchdog import Watchdog

FILE = 2**20  # bytes of data in one file, where the shapes are not asked for: what few cases with a wide H exceed
SMALL = 128  # entries of all arrays of a case that is written out in the manifest, with an enclosure of the result
DIGITS, BITS = 20, 1024  # of the enclosures: what float64 rounds off the midpoints is more


def export(
    operation: str,
    folder: str | os.PathLike[str],
    *,
    returns: str = "auto",
    dtypes: Sequence[str] | None = None,
    shapes: Sequence[tuple[int, ...]] | None = None,
    precision: str | None = None,
    skip: Sequence[str] = (),
    battery: Size = "default",
    seed: int = 0,
    max_cases: int | None = None,
    progress: bool = True,
    **claims: Any,
) -> Path:
    """Write the inputs of a battery for a port that cannot be called from Python.

    Parameters
    ----------
    operation : str
        As in :func:`orthoref.conformance.check`, like what is not named here.
    folder : path
        New or empty.
    returns : str
        The outputs that the port writes; "auto" for all of them.
    dtypes, shapes, precision, skip, battery, seed, max_cases, progress
        What the port claims to support, and how much of it is shown. All arrays are in C order: files have no other
        memory layouts.
    **claims
        What the port claims to compute: strings and numbers, no objects.

    Returns
    -------
    pathlib.Path
        The manifest.

    Raises
    ------
    CannotRun
        The folder is not empty.
    TypeError, ValueError
        Arguments that cannot be read, unknown names.

    Notes
    -----
    The files are described on the page "Ports in any language" and in ``orthoref/oracle/manifest.schema.json``. With
    the extra ``certify`` the manifest has the exact results of small cases, as far as they can be proved.
    """
    row = row_of(operation)
    claimed = claim_of(row, claims)
    if precision is not None:
        precision_of(precision)
    outputs = order_of(row, returns) or row.outputs
    for name, value in claims.items():
        if not isinstance(value, (str, int, float, list, tuple, type(None))):
            raise ValueError(f"{name}={value!r} cannot be exported: a claim is a name or a number")
    cases = cases_of(row, claimed, ("C",), dtypes=dtypes, shapes=shapes, skip=skip, size=battery, seed=seed,
                     max_cases=max_cases)  # fmt: skip
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise CannotRun(f"{target} is not empty")
    flint = {"python-flint": version("python-flint")} if find_spec("flint") is not None else {}
    said = said_of(row, claimed, returns, dtypes, shapes, precision, skip, battery, seed, max_cases)
    largest = FILE if shapes is None else inf
    found = [
        _written(
            target, f"{number:04d}", case, row, claimed, claims, outputs, bool(flint), largest, f"{operation} {said}"
        )
        for number, case in enumerate(shown(cases, progress, operation))
    ]
    written = [case for case in found if case]
    if not written:
        raise ValueError(f"no case is left: all have files of more than {FILE} bytes")
    if len(written) < len(found):
        said["left out"] = f"{len(found) - len(written)} cases with files of more than {FILE} bytes"
    return manifests.write(
        target,
        {
            "schema": manifests.SCHEMA,
            "environment": environment() | flint,
            "operation": operation,
            "claims": {name: [*value] if isinstance(value, tuple) else value for name, value in claims.items()},
            "precision": precision,
            "options": said,
            "inputs": [name for name in row.inputs if any(name == each["name"] for each in written[0]["inputs"])],
            "outputs": [*outputs],
            "cases": written,
        },
    )


def judge(
    folder: str | os.PathLike[str],
    results: str | os.PathLike[str],
    *,
    limit: float | None = None,
    name: str | None = None,
    progress: bool = True,
) -> Report:
    """Judge the results that a program wrote for an export.

    Parameters
    ----------
    folder : path
        What :func:`export` wrote.
    results : path
        Where the files are that the manifest names as outputs; may be the same folder.
    limit, progress
        As in :func:`orthoref.conformance.check`.
    name : str, optional
        How the report calls the port; the path of the results.

    Returns
    -------
    orthoref.oracle.report.Report
        As of :func:`orthoref.conformance.check`. A result that is missing or cannot be read is a finding.

    Raises
    ------
    CannotRun
        The manifest or an input is not what was exported; no result is there.

    Notes
    -----
    The port cannot be called again: there are no laws, and no failing case is made plainer. The first line says so.
    """
    source, found = Path(folder), Path(results)
    manifest = manifests.read(source)
    row, claimed, cases = manifests.checked(source, manifest)
    limit = limit_of(row, limit)
    others = _others(found, cases)
    said = manifest["options"] | {"judged from": "files: no laws, nothing narrowed"} | others
    report = Report(name or str(found), row, limit, said)
    run = Run(_never, row, claimed, manifest["precision"], limit, None, None, Watchdog(1.0))
    failures: dict[int, Any] = {}
    observed: list[Any] = []
    for case in shown(cases, progress, report.port):
        assert isinstance(case, Filed)
        called, verdict = _one(run, case, found)
        take(run, case, called, verdict, report, failures, observed)
    conclude(run, cases, report, failures, observed)
    return report


def _written(folder: Path, number: str, case: Case, row: Operation, claimed: Any, claims: dict[str, Any],
             outputs: Sequence[str], certified: bool, largest: float, salt: str) -> dict[str, Any]:  # fmt: skip
    """A case into files, and what the manifest says of it; nothing if a file would be too large.

    The names of the files hold a digest of the inputs and of what is claimed: the results of another export have other
    names.
    """
    made = case.inputs()
    given = {name: made[name] for name in row.inputs if name in made}
    shapes = row.asked(claimed, {name: x.shape for name, x in given.items()})
    first = next(iter(given.values())).dtype
    if max(*(x.nbytes for x in given.values()), *(prod(shapes[each]) * first.itemsize for each in outputs)) > largest:
        return {}
    content = b"".join([f"{salt} {case.recreate}".encode(), *(x.tobytes() for x in given.values())])
    stem = f"{number}-{hashlib.sha256(content).hexdigest()[:8]}"
    asked = {each: {"name": each, "file": f"{stem}.{each}.npy", "shape": [*shapes[each]], "dtype": first.name}
             for each in outputs}  # fmt: skip
    inputs = []
    for name, x in given.items():
        file = f"{stem}.{name}.npy"
        inputs.append({"name": name, "file": file, "shape": [*x.shape], "dtype": x.dtype.name,
                       "sha256": npy.save(folder / file, x)})  # fmt: skip
    entries = sum(prod(each["shape"]) for each in (*inputs, *asked.values()))
    if 0 < entries <= SMALL and all(map(np.size, given.values())):
        for entry, x in zip(inputs, given.values(), strict=True):
            entry["values"] = _hexadecimal(x)
        for name, (midpoint, radius) in (_exact(row, claims, [*given.values()]) if certified else {}).items():
            if name in asked:
                asked[name] |= {"midpoint": _hexadecimal(midpoint), "radius": _hexadecimal(radius)}
    return {"id": case.id, "family": case.family, "dtype": case.dtype, "factors": case.factors,
            "recreate": case.recreate, "inputs": inputs, "outputs": [*asked.values()]}  # fmt: skip


def _hexadecimal(x: np.ndarray) -> list[str]:
    """Entries in C order; of complex ones both parts."""
    flat = np.ascontiguousarray(x).ravel()
    return [float(part).hex() for part in (flat.view(flat.real.dtype) if np.iscomplexobj(flat) else flat)]


def _exact(row: Operation, claims: dict[str, Any], inputs: Sequence[np.ndarray]) -> dict[str, tuple[np.ndarray, Any]]:
    """Midpoints in float64 of each output, and the radius of each member of the stack; nothing if one is not proved."""
    if row.enclosure is None:
        return {}
    taken = signature(row.enclosure).parameters
    defaults = {claim.name: claim.default for claim in row.claims}
    if any(name not in taken and value != defaults[name] for name, value in claims.items()):
        return {}  # of another function, perhaps
    options = {name: value for name, value in (claims | {"digits": DIGITS, "max_bits": BITS}).items() if name in taken}
    batch = inputs[0].shape[:-2]
    try:
        members = [row.enclosure(*(x[index] for x in inputs), **options) for index in np.ndindex(batch)]
    except (ArithmeticError, ValueError):
        return {}
    found = {}
    for name in row.outputs:
        rounded = [_rounded(getattr(each, name)) for each in members if hasattr(each, name)]
        if rounded and all(isfinite(radius) for _, radius in rounded):
            found[name] = np.stack([midpoint for midpoint, _ in rounded]), np.asarray([radius for _, radius in rounded])
    return found


def _rounded(balls: Any) -> tuple[np.ndarray, float]:
    """Midpoints as float64, and a bound on the distance of all that is in the balls from them, entry by entry."""
    from flint import acb, arb, ctx

    from orthoref.oracle.balls import up

    complex_ = hasattr(balls, "conjugate")
    values, radius = [], 0.0
    with ctx.workprec(BITS):
        for ball in balls.entries():
            near = complex(float(ball.real.mid()), float(ball.imag.mid())) if complex_ else float(ball.mid())
            if not np.isfinite(near):
                return np.asarray([[np.nan]]), inf
            values.append(near)
            radius = max(radius, up((ball - (acb(near) if complex_ else arb(near))).abs_upper()))
    return np.reshape(values, (balls.nrows(), balls.ncols())), radius


def _one(run: Run, case: Filed, results: Path) -> tuple[Called, Verdict]:
    """The results of one case, and the verdict without reasons."""
    given = case.inputs()
    before = {name: run.row.lift(name, x) for name, x in given.items()}
    returned, faults = {}, []
    for each in case.outputs:
        try:
            returned[each["name"]] = npy.load(results / each["file"], tuple(each["shape"]))
        except npy.Unreadable as error:
            faults.append(f"{each['name']} {error}")
    if returned and set(run.row.outputs) - set(run.row.optional) <= set(returned):
        lifted = {name: run.row.lift(name, x) for name, x in returned.items()}
        called = Called(given, before, returned, lifted, vectors=run.row.vectors)
        verdict = run.judge(case, called)
        verdict.faults.extend(faults)
        return called, verdict
    outside = run.row.outside(before, run.claimed)
    verdict = Verdict(case.id, notes=[outside]) if outside else Verdict(case.id, faults=faults)
    return Called(given, before, {}, {}), verdict


def _others(results: Path, cases: Sequence[Filed]) -> dict[str, str]:
    """Files that look like results and are none, for the report; CannotRun if no result is there."""
    if not results.is_dir():
        raise CannotRun(f"{results} is no folder")
    there = {path.name for path in results.iterdir() if path.suffix == ".npy"}
    asked = {each["file"] for case in cases for each in case.outputs}
    given = {Path(call.arguments[0]).name for case in cases for _, call in case.calls}
    if not there & asked:
        other = f"; {min(there - given)[:60]!a} is of another export?" if there - given else ""
        raise CannotRun(f"{results} has none of the {len(asked)} results, {min(asked)} and so on{other}")
    if unknown := sorted(there - asked - given):
        return {"other files": f"{len(unknown)}, the first {unknown[0][:60]!a}"}
    return {}


def _never(*inputs: Any) -> Any:
    raise AssertionError("there is no port to call")
