"""What an export says of itself: ``manifest.json``, written, read and checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from orthoref.errors import CannotRun
from orthoref.oracle import npy
from orthoref.oracle.cases import Call, Case
from orthoref.oracle.conformance import claim_of, row_of
from orthoref.oracle.operation import Operation
from orthoref.oracle.precision import precision_of
from orthoref.oracle.schema import faults

SCHEMA = "orthoref-export-1"
NAME, INDEX = "manifest.json", "cases.txt"
LARGEST = 2**28  # bytes of a manifest
SHOWN = 5  # faults of one


@dataclass(frozen=True)
class Filed(Case):
    """A case whose inputs are in files; ``outputs`` are the results that it asks for, as the manifest has them."""

    size: tuple[int, ...] = ()
    line: str = ""
    outputs: tuple[dict[str, Any], ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first input."""
        return self.size

    @property
    def recreate(self) -> str:
        """The call that made the inputs, and where they are."""
        return f"{self.line}  # {', '.join(Path(call.arguments[0]).name for _, call in self.calls)}"


def write(folder: Path, manifest: dict[str, Any]) -> Path:
    """The index, and last the manifest: without it there is no export."""
    names, cases = (*manifest["inputs"], *manifest["outputs"]), manifest["cases"]
    lines = []
    for case in cases:
        files = {each["name"]: each["file"] for each in (*case["inputs"], *case["outputs"])}
        lines.append(" ".join([case["id"], *(files[name] for name in names)]) + "\n")
    (folder / INDEX).write_text("".join(lines), encoding="ascii", newline="\n")
    path = folder / NAME
    text = json.dumps(manifest | {"sha256": digest(manifest)}, indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="ascii", newline="\n")
    return path


def digest(manifest: dict[str, Any]) -> str:
    """Of everything but itself, however it is laid out."""
    rest = {name: value for name, value in manifest.items() if name != "sha256"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def read(folder: Path) -> dict[str, Any]:
    """The manifest of an export, after its schema and its digest; CannotRun says what is wrong with it."""
    path = folder / NAME
    if not path.is_file():
        raise CannotRun(f"no {NAME} in {folder}: is it what `orthoref export` wrote?")
    if path.stat().st_size > LARGEST:
        raise CannotRun(f"{path} has {path.stat().st_size} bytes, more than {LARGEST}")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise CannotRun(f"{path} cannot be read: {error}") from error
    version = manifest.get("schema") if isinstance(manifest, dict) else None
    if isinstance(version, str) and version != SCHEMA:
        raise CannotRun(f"{path} has the schema {version[:60]!r}; this orthoref reads {SCHEMA!r}")
    _require(path, list(faults(manifest, schema(), schema())))
    if digest(manifest) != manifest["sha256"]:
        raise CannotRun(f"{path} was changed after it was written: what is claimed and shown is said at the export")
    return manifest


def checked(folder: Path, manifest: dict[str, Any]) -> tuple[Operation, Any, list[Filed]]:
    """Row, claim and cases; CannotRun where they contradict each other."""
    path = folder / NAME
    row = row_of(manifest["operation"])
    claimed = claim_of(row, manifest["claims"])
    if manifest["precision"] is not None:
        precision_of(manifest["precision"])
    outputs = tuple(manifest["outputs"])
    wrong = []
    inputs = [name for name in row.inputs if name in manifest["inputs"]]  # some belong to a claim only
    if manifest["inputs"] != inputs or row.inputs[0] not in inputs:
        wrong.append(f"inputs are {manifest['inputs']}, of {row.name} {[*row.inputs]}")
    if not set(row.outputs) - set(row.optional) <= set(outputs) <= set(row.outputs) or len({*outputs}) < len(outputs):
        wrong.append(f"outputs are {[*outputs]}, of {row.name} {[*row.outputs]}")
    _require(path, wrong)
    seen: set[str] = set()
    for i, case in enumerate(manifest["cases"]):
        at, files = f"cases[{i}]", [*case["inputs"], *case["outputs"]]
        precision_of(case["dtype"])
        given = {each["name"]: tuple(each["shape"]) for each in case["inputs"]}
        asked = {each["name"]: tuple(each["shape"]) for each in case["outputs"]}
        if [each["name"] for each in files] != [*inputs, *outputs] or len(given) != len(inputs):
            wrong.append(f"{at} has the arrays {[each['name'] for each in files]}, not {[*inputs, *outputs]}")
            continue
        try:
            shapes = row.asked(claimed, given)
        except ValueError as error:
            wrong.append(f"{at} has inputs of shapes {[*given.values()]}: {error}")
            continue
        wrong += [f"{at} wants {name} of shape {asked[name]}, not {shapes[name]}" for name in outputs
                  if asked[name] != shapes[name]]  # fmt: skip
        for name in (case["id"], *(each["file"] for each in files)):
            wrong += [f"{at} has {name} a second time"] * (name in seen)
            seen.add(name)
    _require(path, wrong)
    return row, claimed, [_case(folder, case) for case in manifest["cases"]]


def _case(folder: Path, case: dict[str, Any]) -> Filed:
    calls = []
    for each in case["inputs"]:
        file = str(folder / each["file"]), tuple(each["shape"]), each["dtype"], each["sha256"]
        calls.append((each["name"], Call(_input, file, ())))
    size = tuple(case["inputs"][0]["shape"])
    return Filed(case["id"], case["family"], case["family"], case["dtype"], tuple(calls), case["factors"], size,
                 case["recreate"], tuple(case["outputs"]))  # fmt: skip


def _input(path: str, shape: tuple[int, ...], dtype: str, sha256: str) -> np.ndarray:
    """An input as it was exported: on another one no verdict would mean anything."""
    try:
        x = npy.load(Path(path), shape, sha256)
        if x.dtype.name != dtype:
            raise npy.Unreadable(f"has dtype {x.dtype}, not {dtype}")
    except npy.Unreadable as error:
        raise CannotRun(f"the input {path} {error}: it is not what was exported") from error
    return x


@cache
def schema() -> dict[str, Any]:
    """The schema that ships with the package."""
    text = resources.files(__package__).joinpath("manifest.schema.json").read_text(encoding="ascii")
    return json.loads(text)


def _require(path: Path, wrong: Sequence[str]) -> None:
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise CannotRun(f"{path}: {'; '.join(wrong[:SHOWN])}{more}")


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no number of JSON")
