"""Cases as files and results as files: what was exported is judged, whatever somebody else wrote is a finding."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import warnings
from copy import deepcopy
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest

import orthoref
from orthoref import conformance, exchange
from orthoref.cli import main
from orthoref.errors import CannotRun, OutsideDomain
from orthoref.oracle import manifest as manifests
from orthoref.oracle import npy, schema
from orthoref.oracle.cases import Call, matrix
from orthoref.oracle.laws import LAWS
from orthoref.oracle.operation import Check, Measured, Measurement, Operation
from orthoref.oracle.operations import OPERATIONS, ROWS

pytestmark = pytest.mark.sample(4)

SHAPES = [(3, 3), (4, 2), (2, 2, 3), (0, 2)]
LEVELS = {*OPERATIONS["polar"].levels.structure, *OPERATIONS["polar"].levels.spectrum}
LEFT = {"general", "diagonal", "geometric", "one_small", "rank_deficient"}
SKIP = ["extreme scale", "gallery", "one singular", "scaled", "cond 1", "cond 1e+08", "cond 1e+11", "cond 1e+13",
        "1/eps", "eps^-1/2", *sorted(LEVELS - LEFT)]  # fmt: skip
OPTIONS = {"dtypes": ["float64", "complex64"], "shapes": SHAPES, "skip": SKIP, "progress": False}


def computed(folder, results, function=orthoref.polar):
    """What a port writes, and where it refuses nothing: the manifest is all that it knows."""
    results.mkdir(exist_ok=True)
    for case in json.loads((folder / "manifest.json").read_text())["cases"]:
        try:
            found = function(*(np.load(folder / each["file"]) for each in case["inputs"]))
        except OutsideDomain:
            continue
        found = found if isinstance(found, tuple) else (found,)
        for each, x in zip(case["outputs"], found, strict=False):
            np.save(results / each["file"], x)
    return results


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One export and right results for it."""
    folder = tmp_path_factory.mktemp("a folder") / "größe 1"
    exchange.export("polar", folder, **OPTIONS)
    return folder, computed(folder, folder.with_name("results"))


@pytest.fixture
def copy(made, tmp_path):
    """The same, to be spoiled."""
    return [Path(shutil.copytree(each, tmp_path / each.name)) for each in made]


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


def sealed(manifest):
    return manifest | {"sha256": manifests.digest(manifest)}


def rewrite(folder, manifest, **options):
    (folder / "manifest.json").write_text(json.dumps(manifest, **options))


def judged(folder, results, **options):
    return exchange.judge(folder, results, progress=False, **options)


# --- right results, wrong results -------------------------------------------------------------------------------------


def test_right_results_hold_and_the_first_line_says_what_was_not_tried(made):
    report = judged(*made)
    assert report.holds and report.count("empty"), report.text()
    line = report.summary()
    assert f"{made[1]} as polar (side=right, " in line and "judged from=files: no laws, nothing narrowed" in line
    assert "nothing narrowed" in json.loads(report.json())["options"]["judged from"]


def test_the_verdicts_are_those_of_check(made, tmp_path):
    """The same reason and the same ratios as for a function that is called."""

    def wrong(a):
        u, h = orthoref.polar(a)
        return np.conj(u), h

    results = computed(made[0], tmp_path / "r", wrong)
    report = judged(made[0], results, limit=9)
    direct = conformance.check(wrong, limit=9, **OPTIONS | {"skip": [*SKIP, "layouts", *(law.name for law in LAWS)]})
    assert report.status == direct.status == "FAILS" and report.limit == 9
    assert report.key == direct.key == "u is conjugated: a conjugate was lost or is too many"
    assert report.where == direct.where and report.worst() == direct.worst()
    assert [o.verdict.state for o in report.outcomes] == [o.verdict.state for o in direct.outcomes]
    assert report.findings()[0].reason == direct.findings()[0].reason
    recreate = report.findings()[0].example.case.recreate
    call, _, files = recreate.partition("  # ")
    given = eval(call, {"orthoref": orthoref})
    np.testing.assert_array_equal(given, np.load(made[0] / files))


def test_results_may_lie_beside_the_inputs(copy):
    folder, results = copy
    for path in results.iterdir():
        shutil.copy(path, folder)
    report = judged(folder, folder)
    assert report.holds and "other files" not in report.options


def test_only_what_was_asked_for_is_missed(tmp_path):
    exchange.export("polar", tmp_path / "e", returns="u", **OPTIONS)
    report = judged(tmp_path / "e", computed(tmp_path / "e", tmp_path / "r"))
    assert report.holds and "returns=u" in report.summary()
    assert len([*(tmp_path / "r").iterdir()]) == len(report.outcomes)


def test_claims_travel(tmp_path):
    exchange.export("polar", tmp_path / "e", side="left", **OPTIONS)
    assert judged(tmp_path / "e", computed(tmp_path / "e", tmp_path / "r")).status == "FAILS"
    left = computed(tmp_path / "e", tmp_path / "l", lambda a: orthoref.polar(a, side="left"))
    assert judged(tmp_path / "e", left).holds


@pytest.mark.exhaustive
def test_newton_schulz_and_what_all_its_cases_show_together(tmp_path):
    claims = {"schedule": "you-6", "eps": 1e-7, "form": "gram", "restart": (2,)}
    options = {"dtypes": ["float32"], "shapes": [(8, 8), (5, 9)], "precision": "bfloat16", "max_cases": 12}
    exchange.export("newton_schulz", tmp_path / "e", progress=False, **options, **claims)
    short = {"schedule": "you-6", "eps": 1e-7, "precision": "bfloat16"}
    results = computed(tmp_path / "e", tmp_path / "r", lambda a: orthoref.newton_schulz(a, **short))
    report = judged(tmp_path / "e", results)
    assert report.status in ("HOLDS", "UNDECIDED") and report.pooled is not None, report.text()
    assert "Gram form restarted at 2" in report.summary() and "precision=bfloat16" in report.summary()
    wrong = computed(tmp_path / "e", tmp_path / "w", lambda a: 1.3 * orthoref.newton_schulz(a, **short))
    assert judged(tmp_path / "e", wrong).status == "FAILS"


def test_16_bit_formats_are_stored_as_float32(tmp_path):
    options = {"dtypes": ["bfloat16"], "shapes": [(8, 8)], "max_cases": 6, "progress": False}
    exchange.export("polar", tmp_path / "e", **options)

    def port(a):
        assert a.dtype == np.float32
        return tuple(orthoref.oracle.cases.cast(x, "bfloat16") for x in orthoref.polar(a))

    assert judged(tmp_path / "e", computed(tmp_path / "e", tmp_path / "r", port)).holds
    rough = computed(tmp_path / "e", tmp_path / "w", lambda a: tuple(x + np.float32(0.05) for x in port(a)))
    assert judged(tmp_path / "e", rough).status == "FAILS"


def test_an_operation_of_several_inputs(tmp_path, monkeypatch):
    """A row that this file has never heard of: A^H B, and an input that is all wrong if the names are exchanged."""

    def measure(inputs, outputs, claimed, precision, limit):
        a, b, y = inputs["a"].value, inputs["b_bar"].value, outputs["y"].value
        error = np.linalg.norm(y - np.swapaxes(a, -2, -1) @ b, axis=(-2, -1))
        return Measured([Measurement("forward", "|Y - A^T B|", error / precision.eps, limit, precision.eps)],
                        np.ones(error.shape, bool))  # fmt: skip

    row = Operation("pair.product", ("a", "b_bar"), ("y",), (Check("forward", "|Y - A^T B|"),), 10.0, measure,
                    variants=lambda *_: iter(()), describe=lambda *_: [],
                    shapes=lambda claimed, a, b: {"y": (*a[:-2], a[-1], b[-1])})  # fmt: skip
    monkeypatch.setitem(ROWS, row.name, row)
    drawn = conformance.battery(dtypes=["float64"], shapes=[(3, 2), (2, 4, 3)], skip=["layouts", "extreme scale"])

    def twice(case):
        call = Call(matrix, ((*case.shape[:-1], 5),), (("seed", 9), ("dtype", "float64")))
        return replace(case, calls=(case.calls[0], ("b_bar", call)))

    monkeypatch.setattr(exchange, "cases_of", lambda *_, **__: [twice(case) for case in drawn[:5]])
    exchange.export(row.name, tmp_path / "e", progress=False)
    words = (tmp_path / "e" / "cases.txt").read_text().splitlines()[0].split(" ")
    assert [word.split(".")[1] for word in words[1:]] == ["a", "b_bar", "y"]
    right = computed(tmp_path / "e", tmp_path / "r", lambda a, b: np.swapaxes(a, -2, -1) @ b)
    assert judged(tmp_path / "e", right).holds
    wrong = computed(tmp_path / "e", tmp_path / "w", lambda a, b: 2 * np.swapaxes(a, -2, -1) @ b)
    report = judged(tmp_path / "e", wrong)
    assert report.status == "FAILS" and "b_bar = orthoref.oracle.cases.matrix(" in report.text()


SLOW = [name for name in ROWS if name not in OPERATIONS and name != "polar_vjp"]


@pytest.mark.parametrize("name", ["polar_vjp", *(pytest.param(name, marks=pytest.mark.exhaustive) for name in SLOW)])
def test_derivatives(name, tmp_path):
    """Rows that nothing here names: a point and (co)tangents in, and a factor of two found."""
    row = ROWS[name]
    options = {"dtypes": ["float32"], "shapes": [(3, 2)], "max_cases": 4,
               "skip": ["extreme scale", *({"huge"} & {*row.levels.cotangent})]}  # fmt: skip
    exchange.export(name, tmp_path / "e", progress=False, **options)
    manifest = manifest_of(tmp_path / "e")
    assert (
        manifest["inputs"][0] == row.inputs[0]
        and set(manifest["inputs"]) <= {*row.inputs}
        and len(manifest["inputs"]) > 1
    )
    assert not {"transposed", "strided"} & {case["factors"]["cotangent"] for case in manifest["cases"]}
    right = judged(tmp_path / "e", computed(tmp_path / "e", tmp_path / "r", row.reference))
    assert right.status in ("HOLDS", "UNDECIDED"), right.text()

    def twice(*inputs):
        found = row.reference(*inputs)
        return tuple(2 * x for x in found) if isinstance(found, tuple) else 2 * found

    assert judged(tmp_path / "e", computed(tmp_path / "e", tmp_path / "w", twice)).status == "FAILS"


# --- results as others write them -------------------------------------------------------------------------------------


def save(path, x, **options):
    with path.open("wb") as file:
        np.lib.format.write_array(file, np.asarray(x), **options)


def header(path, text, x=None):
    text = text.encode() + b"\n"
    data = b"" if x is None else x.tobytes()
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data)


@pytest.mark.parametrize(
    "written",
    [
        lambda path, x: save(path, np.asfortranarray(x)),
        lambda path, x: save(path, x.astype(x.dtype.newbyteorder(">"))),
        lambda path, x: save(path, np.asfortranarray(x.astype(x.dtype.newbyteorder(">")))),
        lambda path, x: save(path, x, version=(2, 0)),
        lambda path, x: header(path, f"{{'shape':{x.shape},'fortran_order':False,'descr':'{x.dtype.str}'}}", x),
    ],
    ids=["Fortran order", "big endian", "both", "version 2", "no padding"],
)  # fmt: skip
def test_other_ways_to_write_the_same(written, copy):
    folder, results = copy
    for path in results.iterdir():
        written(path, np.load(path))
    assert judged(folder, results).holds


def huge(path, x):
    header(path, "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000000000)}")


def link(path, x):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def folder_instead(path, x):
    path.unlink()
    path.mkdir()


def pipe(path, x):
    path.unlink()
    os.mkfifo(path)


def closed(path):
    path.chmod(0)
    if os.access(path, os.R_OK):
        path.chmod(0o600)
        pytest.skip("whoever runs this may read everything")


class Evil:
    """What unpickling would run."""

    def __reduce__(self):
        return exec, ("raise SystemExit('unpickled')",)


def objects(path, x):
    a = np.empty((3, 3), object)
    a[...] = Evil()
    save(path, a, allow_pickle=True)


DAMAGES = {
    "missing": (lambda path, x: path.unlink(), "u is missing"),
    "empty file": (lambda path, x: path.write_bytes(b""), "u is no .npy file"),
    "header cut": (lambda path, x: path.write_bytes(path.read_bytes()[:20]), "u is no .npy file"),
    "truncated": (lambda path, x: path.write_bytes(path.read_bytes()[:-8]), "u has 64 bytes of data, not 72"),
    "no data": (lambda path, x: path.write_bytes(path.read_bytes()[:-72]), "u has 0 bytes of data, not 72"),
    "longer": (lambda path, x: path.write_bytes(path.read_bytes() + b"\0"), "u has 73 bytes of data, not 72"),
    "magic": (lambda path, x: path.write_bytes(b"PK" + path.read_bytes()[2:]), "u is no .npy file"),
    "version 3": (lambda path, x: save(path, x, version=(3, 0)), "u is not of version 1.0 or 2.0"),
    "text": (lambda path, x: np.savetxt(path, x), "u is no .npy file"),
    "raw": (lambda path, x: path.write_bytes(x.tobytes()), "u is no .npy file"),
    "huge": (huge, "u has shape (1000000000, 1000000000), not (3, 3)"),
    "code": (lambda path, x: header(path, "__import__('os').abort()"), "u is no .npy file"),
    "deep": (lambda path, x: header(path, "(" * 9000), "u is no .npy file"),
    "long": (lambda path, x: header(path, " " * 60000), "u is no .npy file"),
    "descr": (lambda path, x: header(path, "{'descr':'<\x1b[2J','fortran_order':False,'shape':(3,3)}"), "u is no .npy"),
    "negative": (lambda path, x: header(path, "{'descr':'<f8','fortran_order':False,'shape':(-3,-3)}", x),
                 "u has shape (-3, -3), not (3, 3)"),
    "objects": (objects, "u holds object, not float32"),
    "records": (lambda path, x: save(path, np.zeros((3, 3), [("a", "O")]), allow_pickle=True), "u holds [("),
    "parts": (lambda path, x: header(path, "{'descr':('<f8',(9,)),'fortran_order':False,'shape':(3,3)}"), "u holds"),
    "integers": (lambda path, x: save(path, np.eye(3, dtype="int64")), "u holds int64, not float32"),
    "half": (lambda path, x: save(path, x.astype("float16")), "u holds float16, not float32"),
    "single": (lambda path, x: save(path, x.astype("float32")), "u has dtype float32, the input float64"),
    "complex": (lambda path, x: save(path, x.astype(complex)), "u has dtype complex128, the input float64"),
    "shape": (lambda path, x: save(path, x[:2]), "u has shape (2, 3), not (3, 3)"),
    "flat": (lambda path, x: save(path, x.ravel()), "u has shape (9,), not (3, 3)"),
    "stack": (lambda path, x: save(path, x[None]), "u has shape (1, 3, 3), not (3, 3)"),
    "NaN": (lambda path, x: save(path, np.full_like(x, np.nan)), "u has 9 of 9 entries that are NaN or infinite"),
    "wrong": (lambda path, x: save(path, x.T), "U"),
    "link": (link, "u is a link"),
    "folder": (folder_instead, "u is no file"),
    "pipe": (pipe, "u is no file"),
    "closed": (lambda path, x: closed(path), "u cannot be read: Permission denied"),
}  # fmt: skip


def a_file(folder, output="u"):
    """The result of a general 3 x 3 matrix in float64."""
    for case in manifest_of(folder)["cases"]:
        factors = case["factors"]
        if case["dtype"] == "float64" and case["inputs"][0]["shape"] == [3, 3] and factors["structure"] == "general":
            return next(each["file"] for each in case["outputs"] if each["name"] == output), case["id"]
    raise AssertionError("no such case")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_is_a_finding(damage, copy):
    folder, results = copy
    spoil, words = DAMAGES[damage]
    file, case = a_file(folder)
    try:
        spoil(results / file, np.load(results / file))
    except AttributeError:
        pytest.skip("no pipes here")
    report = judged(folder, results)
    assert report.status == "FAILS"
    (failed,) = report.failed
    assert failed.case.id == case
    (finding,) = report.findings()
    assert words in finding.reason or any(words in line for line in failed.verdict.lines()), report.text()
    assert "\x1b" not in report.text()
    json.loads(report.json())


@pytest.mark.parametrize("damage", ["missing", "truncated", "shape", "pipe"])
def test_an_optional_result_is_missed_where_it_was_asked_for(damage, copy):
    folder, results = copy
    file, case = a_file(folder, "h")
    DAMAGES[damage][0](results / file, np.load(results / file))
    (failed,) = judged(folder, results).failed
    assert failed.case.id == case and failed.verdict.faults[0].startswith("h ") and failed.verdict.judged == (1, 1)


def test_a_huge_shape_is_refused_before_anything_is_allocated(tmp_path):
    huge(tmp_path / "x.npy", None)
    with pytest.raises(npy.Unreadable, match="has shape"):
        npy.load(tmp_path / "x.npy", (3, 3))
    with pytest.raises(npy.Unreadable, match="has 0 bytes of data, not 80"):  # also where that is expected
        npy.load(tmp_path / "x.npy", (10**9, 10**9))


def test_whatever_is_in_a_file_it_is_an_array_or_unreadable(tmp_path):
    """Bytes changed, cut out and put in; most of the header, which is parsed."""
    random, path = np.random.default_rng(0), tmp_path / "x.npy"
    for order in (np.ascontiguousarray, np.asfortranarray):
        save(path, order(np.arange(6.0).reshape(2, 3)))
        whole, read, said = path.read_bytes(), 0, []
        for _ in range(150):
            data = bytearray(whole)
            for place in random.integers(0, 70, random.integers(1, 4)):
                if random.random() < 0.7:
                    data[place] = random.choice(list(b"\x00\x01\xff <>=|fciO8'(),L" + whole[:70]))
                else:
                    del data[place : place + random.integers(0, 3)]
            path.write_bytes(data)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    x = npy.load(path, (2, 3))
            except npy.Unreadable as error:
                said.append(str(error))
            else:
                read += 1
                assert x.shape == (2, 3) and x.dtype.name in npy.NUMBERS and x.dtype.isnative
        assert 0 < read < 75 and len(said) == 150 - read and all(map(str.isprintable, said))


def test_many_missing_results_are_one_finding(copy):
    folder, results = copy
    kept = {file for file, _ in (a_file(folder), a_file(folder, "h"))}
    for path in results.iterdir():
        if path.name not in kept:
            path.unlink()
    report = judged(folder, results)
    (finding,) = report.findings()
    assert finding.reason == "u is missing; h is missing" and finding.count == len(report.outcomes) - 1


def test_other_files_are_named(copy):
    folder, results = copy
    np.save(results / "U_3.npy", np.eye(3))
    (results / "log.txt").write_text("done")
    report = judged(folder, results)
    assert report.holds and report.options["other files"] == "1, the first 'U_3.npy'"


@pytest.mark.parametrize("change", [{"seed": 1}, {"side": "left"}, {"returns": "u"}, {"max_cases": 12}])
def test_results_of_another_export_are_no_verdict(change, made, tmp_path):
    exchange.export("polar", tmp_path / "e", **OPTIONS | change)
    with pytest.raises(CannotRun, match=r"has none of the .* results.*npy' is of another export\?"):
        judged(tmp_path / "e", made[1])


def test_no_results_are_no_verdict(made, tmp_path):
    with pytest.raises(CannotRun, match="has none of the"):
        judged(made[0], tmp_path)
    with pytest.raises(CannotRun, match="is no folder"):
        judged(made[0], tmp_path / "nowhere")
    with pytest.raises(CannotRun, match=r"no manifest\.json in .*orthoref export"):
        judged(tmp_path, made[1])


# --- an export that is not what it was --------------------------------------------------------------------------------


def at(*path):
    """An edit of the manifest: the value at a path."""

    def edit(manifest):
        *parts, last, value = path
        for part in parts:
            manifest = manifest[part]
        manifest[last] = value(manifest[last]) if callable(value) else value

    return edit


def without(*path):
    def edit(manifest):
        *parts, last = path
        for part in parts:
            manifest = manifest[part]
        del manifest[last]

    return edit


FILE = ("cases", 1, "inputs", 0, "file")
MALFORMED = {
    "absolute": (at(*FILE, "/etc/passwd"), r"cases\[1\]\.inputs\[0\]\.file is '/etc/passwd', which does not match"),
    "parent": (at(*FILE, lambda file: f"../{file}"), r"file is '\.\./0001"),
    "below": (at(*FILE, lambda file: f"x/{file}"), "file is 'x/0001"),
    "backslash": (at(*FILE, "..\\a.a.npy"), "does not match"),
    "drive": (at(*FILE, "c:0.a.npy"), "does not match"),
    "line end": (at(*FILE, lambda file: f"{file}\n"), "does not match"),
    "zero byte": (at(*FILE, lambda file: f"{file}\0"), "does not match"),
    "capitals": (at(*FILE, str.upper), "does not match"),
    "output": (at("cases", 1, "outputs", 0, "file", "../u.npy"), r"outputs\[0\]\.file is '\.\./u\.npy'"),
    "no file": (without(*FILE), r"cases\[1\]\.inputs\[0\] has no 'file'"),
    "no claims": (without("claims"), "the whole has no 'claims'"),
    "more": (at("extra", 1), "the whole has 'extra', which means nothing"),
    "number": (at("cases", 1, "id", 7), r"cases\[1\]\.id is 7, no string"),
    "empty": (at("cases", []), "cases has 0 items, not 1 or more"),
    "no list": (at("cases", {}), "cases is {}, no array"),
    "negative": (at("cases", 1, "inputs", 0, "shape", [-1, 3]), r"shape\[0\] is -1, less than 0"),
    "true": (at("cases", 1, "inputs", 0, "shape", [True, 3]), r"shape\[0\] is True, no integer"),
    "fraction": (at("cases", 1, "inputs", 0, "shape", [1.5, 3]), r"shape\[0\] is 1\.5, no integer"),
    "objects": (at("cases", 1, "inputs", 0, "dtype", "object"), "dtype is 'object', not one of float32"),
    "escape": (at("cases", 1, "recreate", "\x1b[2J"), "recreate is"),
    "claim": (at("claims", {"side": {"left": 1}}), r"claims\.side is .*, no string or number or array or null"),
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_manifest_is_refused(name, copy):
    folder, results = copy
    edit, words = MALFORMED[name]
    manifest = manifest_of(folder)
    if name == "more":
        manifest["extra"] = None
    edit(manifest)
    rewrite(folder, sealed(manifest))
    with pytest.raises(CannotRun, match=words):
        judged(folder, results)


@pytest.mark.parametrize("name", [None, *MALFORMED])
def test_the_schema_says_the_same_to_a_validator_of_others(name, made):
    jsonschema = pytest.importorskip("jsonschema")
    manifest = manifest_of(made[0])
    if name == "more":
        manifest["extra"] = None
    if name is not None:
        MALFORMED[name][0](manifest)
    ours = [*schema.faults(manifest, manifests.schema(), manifests.schema())]
    validator = jsonschema.Draft202012Validator(manifests.schema())
    validator.check_schema(manifests.schema())
    if name in ("line end", "fraction"):  # there $ stands before a line end too, as in Python
        assert ours
        return
    assert bool(ours) != validator.is_valid(manifest) and bool(ours) == (name is not None)


def test_the_schema_uses_what_we_understand():
    def words(each):
        if isinstance(each, dict):
            yield from each
            for name, value in each.items():
                inner = value.values() if name in ("properties", "$defs") else [value]
                for one in inner:
                    yield from words(one) if name not in ("const", "enum", "required") else ()

    names = {name for each in (manifests.schema(), *manifests.schema()["$defs"].values()) for name in words(each)}
    properties = {word for word in names if not word.startswith("$")} - schema.KNOWN
    assert not properties - set(str(manifests.schema()).replace("'", '"').split('"'))  # names of fields only
    with pytest.raises(KeyError):
        [*schema.faults(1, {"type": "colour"}, {})]


CONTRADICTIONS = {
    "shape of a result": (at("cases", 1, "outputs", 0, "shape", [7, 7]), r"cases\[1\] wants u of shape \(7, 7\), not"),
    "other output": (at("cases", 1, "outputs", 0, "name", "x"), r"cases\[1\] has the arrays"),
    "outputs": (at("outputs", ["h"]), r"outputs are \['h'\]"),
    "inputs": (at("inputs", ["b"]), r"inputs are \['b'\], of polar \['a'\]"),
    "twice": (lambda m: m["cases"].append(deepcopy(m["cases"][0])), "a second time"),
    "same file": (lambda m: m["cases"][1]["outputs"].__setitem__(0, m["cases"][2]["outputs"][0]), "a second time"),
    "operation": (at("operation", "cube"), "operation='cube' is not one of"),
    "claims": (at("claims", {"side": "top"}), "side='top'"),
    "option": (at("claims", {"schedule": "muon"}), "polar has no option schedule"),
    "precision": (at("precision", "float33"), "float33 is no format"),
    "dtype": (at("cases", 1, "dtype", "int8"), "int8 is no format"),
    "vector": (at("cases", 1, "inputs", 0, "shape", [4]), r"cases\[1\] has inputs of shapes \[\(4,\)\]: not enough"),
    "stored": (at("cases", 1, "inputs", 0, "dtype", "complex128"), "has dtype float64, not complex128"),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_manifest_that_contradicts_itself_is_refused(name, copy):
    folder, results = copy
    edit, words = CONTRADICTIONS[name]
    manifest = manifest_of(folder)
    edit(manifest)
    rewrite(folder, sealed(manifest))
    with pytest.raises((CannotRun, ValueError, TypeError), match=words):
        judged(folder, results)
    assert main(["judge", str(folder), str(results), "--quiet"]) == 2


@pytest.mark.parametrize(
    "edit",
    [at("claims", {"side": "left"}), lambda m: m["cases"].pop(), at("options", "skip", ""), at("precision", "tf32")],
)
def test_a_changed_manifest_is_refused(edit, copy):
    folder, results = copy
    manifest = manifest_of(folder)
    edit(manifest)
    rewrite(folder, manifest)
    with pytest.raises(CannotRun, match="was changed after it was written"):
        judged(folder, results)


def test_another_layout_of_the_manifest_is_the_same(copy):
    folder, results = copy
    rewrite(folder, dict(reversed(manifest_of(folder).items())), indent=7)
    assert judged(folder, results).holds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read"),
        ("[1]", r"the whole is \[1\], no object"),
        ("null", "no object"),
        ('{"schema": "orthoref-export-2"}', "has the schema 'orthoref-export-2'; this orthoref reads"),
        ('{"schema": NaN}', "NaN is no number of JSON"),
        ("[" * 100_000, "cannot be read"),
        (b"\xff\xfe{}", "cannot be read"),
        ("{", "cannot be read"),
    ],
)
def test_what_is_no_manifest(text, words, copy):
    folder, results = copy
    (folder / "manifest.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(CannotRun, match=words):
        judged(folder, results)


def test_a_manifest_of_any_size_is_not_read(copy, monkeypatch):
    monkeypatch.setattr(manifests, "LARGEST", 100)
    with pytest.raises(CannotRun, match="more than 100"):
        judged(*copy)


def another_value(path):
    np.save(path, np.load(path) * 2)


def away(path):
    path.rename(path.parent.parent / path.name)
    path.symlink_to(path.parent.parent / path.name)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (another_value, "has another digest"),
        (lambda path: save(path, np.asfortranarray(np.load(path))), "has another digest"),
        (Path.unlink, "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "bytes of data, not"),
        (away, "is a link"),
    ],
)
def test_on_another_input_there_is_no_verdict(spoil, words, copy):
    folder, results = copy
    spoil(folder / a_file(folder)[0].replace(".u.", ".a."))
    with pytest.raises(CannotRun, match=f"the input .* {words}.*: it is not what was exported"):
        judged(folder, results)


# --- what an export says ----------------------------------------------------------------------------------------------


def numbers(words, like):
    """Entries of a manifest, without orthoref."""
    flat = np.array([float.fromhex(word) for word in words])
    return (flat[::2] + 1j * flat[1::2] if like.startswith("complex") else flat).astype(like)


def test_small_cases_are_in_the_manifest(made):
    folder, _ = made
    for case in manifest_of(folder)["cases"]:
        for each in case["inputs"]:
            array = np.load(folder / each["file"], allow_pickle=False)
            data = (folder / each["file"]).read_bytes()
            assert array.shape == tuple(each["shape"]) and array.dtype.name == each["dtype"]
            assert array.flags.c_contiguous and data[6:8] == b"\x01\x00"
            assert hashlib.sha256(data).hexdigest() == each["sha256"]
            assert ("values" in each) == (array.size > 0)
            if array.size:
                np.testing.assert_array_equal(numbers(each["values"], each["dtype"]), array.ravel(), strict=True)


@pytest.mark.parametrize("operation", ["polar", "newton_schulz"])
def test_what_is_expected_contains_the_exact_result(operation, tmp_path):
    """Against the enclosure to 40 digits; and the radius is a rounding error of float64."""
    flint = pytest.importorskip("flint")
    options = {"shapes": [(2, 2), (3, 2), (2, 2, 2)], "skip": ["zero", "gallery"], "max_cases": 8, "progress": False}
    exchange.export(operation, tmp_path / "e", dtypes=["float64", "complex64"], **options)
    found = 0
    for case in manifest_of(tmp_path / "e")["cases"]:
        a = np.load(tmp_path / "e" / case["inputs"][0]["file"])
        for each in case["outputs"]:
            if "radius" not in each:
                continue
            found += 1
            wide = "complex128" if each["dtype"].startswith("complex") else "float64"
            near = numbers(each["midpoint"], wide).reshape(each["shape"])
            radii = numbers(each["radius"], "float64").reshape(a.shape[:-2])
            for index in np.ndindex(a.shape[:-2]):
                radius = float(radii[index])
                assert 0 < radius <= 4e-16 * max(np.abs(near[index]).max(), 1e-306)
                with flint.ctx.workprec(2000):
                    exact = getattr(OPERATIONS[operation].enclosure(a[index], digits=40), each["name"])
                    mid = [flint.acb(complex(x)) for x in near[index].ravel()]
                    errors = [abs(flint.acb(x) - y) for x, y in zip(exact.entries(), mid, strict=True)]
                    assert all(bool(error <= radius) for error in errors)
    assert found > 4


def test_nothing_is_expected_that_is_not_proved(tmp_path):
    options = {"dtypes": ["float64"], "shapes": [(2, 2)], "max_cases": 9, "progress": False}
    exchange.export("newton_schulz", tmp_path / "s", scale="sqrt(m/n)", **options)  # our balls know no scale
    exchange.export("newton_schulz", tmp_path / "n", scale="none", **options)
    assert not any("radius" in each for case in manifest_of(tmp_path / "s")["cases"] for each in case["outputs"])
    if "python-flint" in manifest_of(tmp_path / "n")["environment"]:
        assert any("radius" in each for case in manifest_of(tmp_path / "n")["cases"] for each in case["outputs"])
    exchange.export("polar", tmp_path / "p", **options)
    for case in manifest_of(tmp_path / "p")["cases"]:
        singular = np.linalg.matrix_rank(np.load(tmp_path / "p" / case["inputs"][0]["file"])) == 0
        assert not (singular and "radius" in case["outputs"][0])


def test_the_index(made):
    folder, _ = made
    manifest = manifest_of(folder)
    lines = [line.split(" ") for line in (folder / "cases.txt").read_text().splitlines()]
    assert [line[0] for line in lines] == [case["id"] for case in manifest["cases"]]
    for line, case in zip(lines, manifest["cases"], strict=True):
        assert line[1:] == [each["file"] for each in (*case["inputs"], *case["outputs"])]
    assert {path.name for path in folder.iterdir()} == {"manifest.json", "cases.txt", *(line[1] for line in lines)}


def test_files_have_one_memory_layout_and_no_case_is_spent_on_others(tmp_path):
    exchange.export("polar", tmp_path / "e", battery="quick", dtypes=["float32"], max_cases=20, progress=False)
    assert {case["factors"]["memory"] for case in manifest_of(tmp_path / "e")["cases"]} == {"C"}


def test_cases_with_large_files_are_left_out_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(exchange, "FILE", 2000)
    options = {"dtypes": ["float64"], "max_cases": 20, "progress": False}
    exchange.export("polar", tmp_path / "e", **options)
    manifest = manifest_of(tmp_path / "e")
    assert manifest["options"]["left out"] == f"{20 - len(manifest['cases'])} cases with files of more than 2000 bytes"
    sizes = [8 * prod(each["shape"]) for case in manifest["cases"] for each in (*case["inputs"], *case["outputs"])]
    assert max(sizes) <= 2000 and len(manifest["cases"]) < 20
    exchange.export("polar", tmp_path / "f", shapes=[(20, 20)], **options | {"max_cases": 2})  # asked for
    assert len(manifest_of(tmp_path / "f")["cases"]) == 2 and "left out" not in manifest_of(tmp_path / "f")["options"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"operation": "cube"}, "operation='cube'"),
        ({"returns": "x"}, "returns='x'"),
        ({"side": "top"}, "side='top'"),
        ({"dtypes": "float64"}, "must be a sequence"),
        ({"skip": ["galery"]}, "skip="),
        ({"operation": "newton_schulz", "schedule": orthoref.schedules.get("muon")}, "a claim is a name or a number"),
    ],
)
def test_bad_options_write_nothing(options, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        exchange.export(**{"operation": "polar", "folder": tmp_path / "e", "progress": False} | options)
    assert not (tmp_path / "e").exists()


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(CannotRun, match="is not empty"):
        exchange.export("polar", tmp_path, **OPTIONS)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


# --- the commands -----------------------------------------------------------------------------------------------------


def test_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    few = ["--dtype", "float64", "--shape", "3x3", "--shape", "4x2", "--max-cases", "6", "--side", "left"]
    assert main(["export", "polar", "mit Leerzeichen/é", *few, "--quiet"]) == 0
    assert "orthoref judge mit Leerzeichen/é RESULTS" in capsys.readouterr().out
    folder = tmp_path / "mit Leerzeichen" / "é"
    computed(folder, tmp_path / "right", lambda a: orthoref.polar(a, side="left"))
    computed(folder, tmp_path / "wrong", lambda a: orthoref.polar(-a, side="left"))
    arguments = ["judge", str(folder)]
    assert main([*arguments, "right", "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("right as polar (side=left, ")
    assert main([*arguments, "wrong", "--name", "my port", "--json", "r.json"]) == 1
    assert "my port as polar" in capsys.readouterr().out and json.loads(Path("r.json").read_text())["status"] == "FAILS"
    assert main([*arguments, "nowhere"]) == main(["judge", "nowhere", "right"]) == 2
    assert main([*arguments, "right", "--limit", "-1"]) == main([*arguments, "right", "--json", "no/r.json"]) == 2
    assert main(["export", "polar", str(folder), *few]) == main(["export", "cube", "e"]) == 2
    assert main(["export", "polar", "e", "--max-cases", "0"]) == 2
    assert main(["export", "polar", "e", "--schedule", "muon"]) == 2


def test_too_little_to_judge_is_undecided(tmp_path, monkeypatch):
    """In bfloat16 the Gram form loses everything in so many steps."""
    few = ["--dtype", "float32", "--shape", "3x3", "--max-cases", "3"]
    claims = ["--precision", "bfloat16", "--form", "gram", "--steps", "9"]
    assert main(["export", "newton_schulz", str(tmp_path / "e"), *few, *claims, "--quiet"]) == 0
    results = computed(tmp_path / "e", tmp_path / "r", lambda a: orthoref.newton_schulz(a, form="gram", steps=9))
    assert main(["judge", str(tmp_path / "e"), str(results), "--quiet"]) == 3


@pytest.mark.exhaustive
def test_html(copy, tmp_path):
    pytest.importorskip("matplotlib")
    folder, results = copy
    (results / a_file(folder)[0]).unlink()
    assert main(["judge", *map(str, copy), "--html", str(tmp_path / "r.html"), "--quiet"]) == 1
    assert "u is missing" in (tmp_path / "r.html").read_text()


@pytest.mark.exhaustive
@pytest.mark.parametrize("operation", ["polar", "newton_schulz", "polar_vjp"])
def test_a_default_battery_takes_less_than_30_s_and_50_mb(operation, tmp_path):
    """Both commands, and both folders; docs/exchange.md says what was measured."""
    start = time.process_time()
    exchange.export(operation, tmp_path / "e", progress=False)
    exported = time.process_time() - start
    computed(tmp_path / "e", tmp_path / "r", ROWS[operation].reference)
    start = time.process_time()
    report = judged(tmp_path / "e", tmp_path / "r")
    took = time.process_time() - start
    sizes = [sum(path.stat().st_size for path in folder.iterdir()) / 1e6 for folder in (tmp_path / "e", tmp_path / "r")]
    print(operation, len(report.outcomes), f"{exported:.1f} s, {took:.1f} s", *(f"{size:.0f} MB" for size in sizes))
    assert report.holds, report.text()
    assert max(exported, took) <= 30 and max(sizes) <= 50
