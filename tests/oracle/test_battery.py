"""Every pair of levels, and class x batch x dtype, is in some case."""

from __future__ import annotations

from functools import cache
from itertools import combinations, product
from math import prod

import numpy as np
import pytest

import orthoref
from orthoref.oracle import battery
from orthoref.oracle.battery import Levels, cover
from orthoref.oracle.cases import DERIVED, GALLERY, factors_of
from orthoref.oracle.precision import precision_of

FOUR = ("float32", "float64", "complex64", "complex128")
GENERAL = Levels()
FINITE = Levels(  # as a finite iteration sees it: no extreme scales, condition numbers that its schedule reaches
    order=(1, 2, 3, 5, 16, 17, 64, 300),
    spectrum=("geometric", "one_small", "repeated", "rank_deficient", "one_large"),
    cond=(1.0, 10.0, 100.0, 1e3),
    scale=(1.0, 0.0, 1e30, 1e-30, 1e3, 1e-3),
    gallery=(),
)
FAMILIES = pytest.mark.parametrize(
    ("levels", "dtypes"), [(GENERAL, FOUR), (FINITE, ("float32", "bfloat16", "float16"))], ids=["general", "finite"]
)


# The generator


def test_pairs_of_a_small_array_are_all_covered_with_few_rows():
    rows = cover({"a": range(4), "b": range(3), "c": range(3), "d": range(3)})
    for x, y in combinations("abcd", 2):
        assert len({(row[x], row[y]) for row in rows}) == (12 if "a" in (x, y) else 9)
    assert 12 <= len(rows) <= 15  # 12 is the least; all would be 108


def test_strength_one_and_chosen_groups():
    factors = {"a": range(7), "b": range(3), "c": range(3), "d": range(2)}
    assert len(cover(factors, strength=1)) == 7
    rows = cover(factors, strength=1, triples=[("d", "b", "c")])
    assert len({(row["b"], row["c"], row["d"]) for row in rows}) == len(rows) == 18
    assert cover({"a": [1], "b": []}) == []


def test_a_level_none_asks_for_nothing():
    rows = cover({"a": [None, 1], "b": [1, 2], "c": [1, 2]}, allowed=lambda row: row.get("a", 1) is not None)
    assert all(row["a"] == 1 for row in rows) and len(rows) == 4
    only = cover({"a": [None], "b": [1, 2, 3]})
    assert only == []


def test_dead_ends_are_left_again():
    """Sums are odd: the last factor decides, and has no level for a half of the choices before it."""
    names = "abcde"

    def allowed(row):
        return len(row) < 5 or (sum(row.values()) % 2 == 1 and row["a"] != row["b"])

    rows = cover(dict.fromkeys(names, (0, 1, 2)), allowed=allowed)
    assert all(allowed(row) and len(row) == 5 for row in rows)
    everything = [dict(zip(names, x, strict=True)) for x in product(range(3), repeat=5)]
    for x, y in combinations(names, 2):
        assert {(r[x], r[y]) for r in rows} == {(r[x], r[y]) for r in everything if allowed(r)}


def test_the_seed_decides():
    factors = {name: range(4) for name in "abcd"}
    assert cover(factors, seed=1) == cover(factors, seed=1) != cover(factors, seed=2)


# The factors of a matrix


def completes(row, factors):
    """Whether an assignment is part of a complete row: by trying, with nothing but ``allowed``."""
    left = {
        name: [x for x in factors[name] if battery.allowed({**row, name: x})] for name in factors if name not in row
    }
    if not battery.allowed(row) or not all(left.values()):
        return False
    name = min(left, key=lambda name: len(left[name]), default=None)
    return name is None or any(completes({**row, name: level}, factors) for level in left[name])


@cache
def table(levels, dtypes):
    factors = battery.factors(levels, dtypes)
    return factors, cover(factors, triples=[battery.TRIPLE], allowed=battery.allowed)


@FAMILIES
def test_every_allowed_pair_and_the_triples_are_covered(levels, dtypes):
    factors, rows = table(levels, dtypes)
    left = 0
    for group in (*combinations(factors, 2), battery.TRIPLE):
        seen = {tuple(row[name] for name in group) for row in rows}
        for choice in product(*(factors[name] for name in group)):
            if None not in choice and choice not in seen:
                assert not completes(dict(zip(group, choice, strict=True)), factors), (group, choice)
                left += 1
    total = sum(prod(len(factors[name]) for name in pair) for pair in combinations(factors, 2))
    assert left < 0.3 * total  # the constraints leave most pairs


@FAMILIES
def test_parts_of_an_allowed_row_are_allowed(levels, dtypes):
    _, rows = table(levels, dtypes)
    random = np.random.RandomState(0)
    for row in rows:
        assert battery.allowed(row)
        part = {name: row[name] for name in row if random.uniform() < 0.5}
        assert battery.allowed(part), part


@FAMILIES
def test_cases_are_at_the_levels_of_their_rows(levels, dtypes):
    _, rows = table(levels, dtypes)
    for row in rows:
        case = battery._case(row, 0, {})
        for name, level in row.items():
            if name == "cond" and isinstance(level, str):
                continue
            text = "-" if level is None else level if isinstance(level, str) else f"{level:.3g}"
            assert case.factors[name] == text


def test_what_the_constraints_are_for():
    found = battery.cases(GENERAL, dtypes=FOUR)
    for case in found:
        f, p = case.factors, precision_of(case.dtype)
        assert prod(case.shape) <= battery.ENTRIES and prod(case.shape) * min(case.shape[-2:]) <= battery.FLOPS
        assert (f["order"] == "1") == (f["class"] in ("row", "column", "1x1"))
        assert f["cond"] == "-" or float(f["cond"]) <= 8 / p.eps
        assert f["members"] != "one zero" or prod(case.shape[:-2]) > 1
        if f["structure"] in ("orthonormal", "integer", "smooth") or f["scale"] == "0":
            assert f["spectrum"] == f["cond"] == "-"
    middle = [case for case in found if case.dtype in FOUR[1::2] and case.factors["cond"] in ("1e+11", "1e+13")]
    assert len(middle) > 30  # between 1e9 and 1e14 in double precision
    assert {case.name for case in middle} >= {"geometric", "arithmetic", "log_uniform"}


@FAMILIES
def test_triples_by_the_cases_themselves(levels, dtypes):
    seen = {tuple(case.factors[name] for name in battery.TRIPLE) for case in battery.cases(levels, dtypes=dtypes)}
    wanted = {*product(levels.classes, levels.batch, dtypes)} - {("1x1", "matrix dimension", d) for d in dtypes}
    assert seen == wanted


@FAMILIES
def test_sizes(levels, dtypes):
    quick, default = (battery.cases(levels, dtypes=dtypes, size=size) for size in ("quick", "default"))
    assert {case.id for case in quick} < {case.id for case in default}

    def seen(found):
        return {pair for case in found for pair in case.factors.items() if pair[0] not in DERIVED}

    assert seen(quick) == seen(default)
    assert 40 <= len(quick) <= 70 and len(default) <= 700
    for found in (quick, default):
        work = [prod(case.shape) * min(case.shape[-2:]) for case in found]
        assert work == sorted(work)
        assert len({case.id for case in found}) == len(found)


def test_the_exhaustive_battery_has_the_full_sweep():
    levels = Levels(order=(1, 2, 5), memory=("C", "F"), structure=("general",), scale=(1.0,), gallery_orders=(2,))
    found = battery.cases(levels, dtypes=("float32",), size="exhaustive")
    assert len({case.id for case in found}) == len(found)
    seen = {
        (case.factors["spectrum"], case.factors["cond"])
        for case in found
        if case.shape == (5, 5) and case.factors["structure"] == "general" and case.factors["memory"] == "C"
    }
    conds = {"1", "10", "1e+03", "1e+04", "2.9e+03", "8.39e+06"}
    assert seen >= {*product(levels.spectrum, conds)}
    default = {case.id for case in battery.cases(levels, dtypes=("float32",))}
    assert default < {case.id for case in found}


def test_the_battery_is_a_function_of_its_arguments():
    first = [case.id for case in battery.cases(FINITE, dtypes=["float32"])]
    battery._cases.cache_clear()
    assert [case.id for case in battery.cases(FINITE, dtypes=["float32"])] == first
    other = battery.cases(FINITE, dtypes=["float32"], seed=1)
    assert len({case.id for case in other} & {*first}) < len(first) / 4
    found = battery.cases(FINITE, dtypes=["float32"])
    found.clear()  # the caller's own list
    assert battery.cases(FINITE, dtypes=["float32"])


def test_quick_cases_are_recreated_by_their_lines():
    for case in battery.cases(FINITE, dtypes=("float32", "complex128"), size="quick"):
        a, again = case.matrix(), eval(case.recreate, {"orthoref": orthoref})
        assert a.tobytes() == again.tobytes() and a.strides == again.strides
        assert a.shape == case.shape and np.isfinite(a).all()
        assert case.factors | factors_of(a.shape) == case.factors


@pytest.mark.exhaustive
@FAMILIES
def test_all_cases_can_be_built(levels, dtypes):
    for case in battery.cases(levels, dtypes=dtypes):
        a = case.matrix()
        assert np.isfinite(a).all() and a.shape == case.shape
        if case.factors["scale"] not in ("0", "-") and case.factors["structure"] != "skew":
            assert a.any()  # nothing vanishes below the range of the format


@pytest.mark.parametrize("size", ["quick", "default"])
def test_max_cases_adds_and_never_removes(size):
    before: set[str] = set()
    for number in (1, 2, 10, 50, 10000):
        ids = {case.id for case in battery.cases(FINITE, dtypes=["float32"], size=size, max_cases=number)}
        assert before <= ids and len(ids) <= number
        before = ids
    assert len(before) == len(battery.cases(FINITE, dtypes=["float32"], size=size))


def test_the_first_cases_cover_most():
    found = battery.cases(GENERAL, dtypes=FOUR)

    def pairs(some):
        return len({(x, y) for case in some for x, y in combinations(case.factors.items(), 2) if "-" not in (*x, *y)})

    assert pairs(battery.cases(GENERAL, dtypes=FOUR, max_cases=100)) > 1.2 * pairs(found[::5][:100])


# Claims narrow the battery

FEW = Levels(order=(1, 2, 5, 257, 300), spectrum=("geometric", "graded"), cond=(10.0, 1e13))


@pytest.mark.parametrize(
    ("skip", "factor", "gone"),
    [
        (["stacks"], "batch", {"one axis", "two axes", "length 0", "length 1", "length 2", "matrix dimension"}),
        (["layouts"], "memory", {"F", "transposed", "strided", "negative", "broadcast", "readonly", "unaligned"}),
        (["extreme scale"], "scale", {"near underflow", "near overflow", "squares underflow", "squares overflow"}),
        (["gallery"], "structure", {f"gallery {name}" for name in GALLERY}),
        (["kahan", "hermitian"], "structure", {"gallery kahan", "hermitian"}),
        (["graded"], "spectrum", {"graded"}),
        (["graded"], "structure", {"gallery graded"}),
        (["zero"], "scale", {"0"}),
        (["order 300", "order 257"], "order", {"300", "257"}),
        (["cond 1e+13"], "cond", {"1e+13"}),
        (["square", "1x1"], "class", {"square", "1x1"}),
        (["one zero", "scaled", "one singular", "alike"], "members", {"alike", "one zero", "scaled", "one singular"}),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_levels_can_be_left_out(skip, factor, gone):
    with_, without = (
        {case.factors[factor] for case in battery.cases(FEW, dtypes=FOUR[1::2], skip=s)} for s in ([], skip)
    )
    assert gone <= with_ and without == with_ - gone - ({"byteswapped"} if skip == ["layouts"] else set())


def test_shapes_take_the_place_of_class_order_and_batch():
    shapes = [(16, 16), (24, 7), (2, 3, 3), (0, 3)]
    found = battery.cases(GENERAL, dtypes=["float32"], shapes=shapes)
    assert {case.shape for case in found if "gallery" not in case.factors["structure"]} == {*shapes}
    assert {case.shape for case in found if "gallery" in case.factors["structure"]} == {(16, 16)}
    factors = battery.factors(GENERAL, ["float32"], shapes)
    for x, y in combinations(("members", "memory", "structure", "scale"), 2):
        seen = {(case.factors[x], case.factors[y]) for case in found}
        for a, b in product(factors[x], factors[y]):
            if None not in (a, b):
                text = tuple(level if isinstance(level, str) else f"{level:.3g}" for level in (a, b))
                assert text in seen or not completes({x: a, y: b}, factors)
    large = battery.cases(GENERAL, dtypes=["float32"], shapes=[(1000, 700)])  # the caller's own choice
    assert {case.shape for case in large} == {(1000, 700)}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shapes": [(3.5, 3)]}, r"shape=\(3.5, 3\) is not a tuple"),
        ({"shapes": [(3,)]}, "two or more"),
        ({"shapes": [(3, -1)]}, "non-negative"),
        ({"shapes": [(0, 3), (0, 2, 2)]}, "nothing to judge: all shapes are empty"),
        ({"shapes": []}, "no case is left"),
        ({"dtypes": []}, "no case is left"),
        ({"dtypes": "float32"}, "must be a sequence of names"),
        ({"skip": "gallery"}, "must be a sequence of names"),
        ({"skip": ["galery"]}, r"skip=\['galery'\] is not among square, tall"),
        ({"skip": [*battery.CLASSES, "gallery"]}, "no case is left"),
        ({"size": "huge"}, "size='huge'"),
        ({"max_cases": 0}, "max_cases=0"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(ValueError, match=words):
        battery.cases(GENERAL, **({"dtypes": ["float32"]} | options))


def test_an_unknown_dtype():
    with pytest.raises(TypeError, match="int8 is no format"):
        battery.cases(GENERAL, dtypes=["int8"])
