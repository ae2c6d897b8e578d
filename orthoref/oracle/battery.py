"""All factors of an input covered with few cases.

Faults of real software need few conditions at once, most of them one or two. A covering array shows every pair of
levels, and chosen triples, in some case; the number of cases grows like the product of the two largest factors and
not like the product of all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from itertools import combinations, product
from math import prod
from typing import Any, Literal

import numpy as np

from orthoref.oracle import cases as cases_
from orthoref.oracle.cases import CONDS, FREE, GALLERY, MEMBERS, MEMORY, SCALES, SPECTRA, SQUARE, STRUCTURES, Case
from orthoref.oracle.precision import precision_of

Row = dict[str, Any]


# The generator --------------------------------------------------------------------------------------------------------


def cover(
    factors: Mapping[str, Sequence[Any]],
    *,
    strength: int = 2,
    triples: Sequence[tuple[str, ...]] = (),
    allowed: Callable[[Row], bool] = lambda row: True,
    seed: int = 0,
) -> list[Row]:
    """Covering array of mixed strength under constraints.

    Parameters
    ----------
    factors : mapping
        Name of a factor -> its levels (hashable). The level None stands for "has no meaning here": it is covered by
        nothing and covers nothing.
    strength : int
        Every allowed choice of levels for this many factors is in some row.
    triples : sequence of tuples of str
        Factors whose allowed choices of levels are covered too; any number of factors each.
    allowed : callable
        Whether a partial assignment, ``{factor: level}``, can be part of a row. What it refuses it must refuse for
        every extension. A choice is allowed if it is part of a complete row that is.
    seed : int
        Breaks ties; the rows are a function of the arguments.

    Returns
    -------
    list of dict
        Rows in the order of their making, each with a level for every factor.

    Notes
    -----
    Greedy, one row at a time (Cohen, Dalal, Fredman and Patton, IEEE Trans. Softw. Eng. 23(7), 1997): a row begins with
    a choice not yet covered and takes for one factor after the other the level that covers most, oftener the first than
    another where several cover as much; where no level is allowed it goes back. That is quick if factors that constrain
    others come before them.
    """
    names, random = [*factors], np.random.RandomState(seed)
    levels = [list(factors[name]) for name in names]
    if not all(levels):
        return []
    places = range(len(names))
    groups = [tuple(sorted(names.index(name) for name in triple)) for triple in triples]
    groups += [group for group in combinations(range(len(names)), strength) if group not in groups]

    def choices(group: tuple[int, ...]) -> np.ndarray:
        """For every choice of levels of a group whether it is allowed by itself."""
        all_ = product(*(levels[i] for i in group))
        found = [allowed({names[i]: level for i, level in zip(group, choice, strict=True)}) for choice in all_]
        return np.array(found, bool).reshape([len(levels[i]) for i in group])

    can = {pair: choices(pair) for pair in combinations(range(len(names)), 2)}  # looked up instead of asked
    can |= {(j, i): table.T for (i, j), table in can.items()}
    open_ = {group: can[group].copy() if group in can else choices(group) for group in groups}  # still to be covered
    for group, table in open_.items():
        for axis, i in enumerate(group):
            np.moveaxis(table, axis, 0)[[level is None for level in levels[i]]] = False
    # of each factor: the groups it is in, as the others in it and the open choices with its own level first
    views = [
        [
            ([j for j in group if j != i], np.moveaxis(table, group.index(i), 0))
            for group, table in open_.items()
            if i in group
        ]
        for i in places
    ]

    # sets of levels as bits of an int: fits[i][level][j] are those of factor j that go with a level of factor i
    fits = [
        [
            [sum(1 << x for x, yes in enumerate(can[i, j][level].tolist()) if yes) if j != i else -1 for j in places]
            for level in range(len(levels[i]))
        ]
        for i in places
    ]

    def narrowed(possible: list[int], i: int, level: int) -> list[int]:
        """Levels of the other factors that go with a level, of those that were possible."""
        return [old & new for old, new in zip(possible, fits[i][level], strict=True)]

    def complete(row: list[int], possible: list[int]) -> list[int] | None:
        """The row with a level in place of each -1, the best of those that leave a complete row; None if none does."""
        if -1 not in row:
            return row
        if not all(possible):
            return None
        i = row.index(-1)
        gain = 0.75 * random.uniform(size=len(levels[i]))
        gain[0] += 0.25
        for others, table in views[i]:
            picked: list[Any] = [row[j] for j in others]
            if -1 not in picked:
                gain += table[:, *picked]
        for level in np.argsort(-gain).tolist():
            if possible[i] >> level & 1:
                longer = [*row[:i], level, *row[i + 1 :]]
                if allowed({names[j]: levels[j][x] for j, x in enumerate(longer) if x >= 0}):
                    found = complete(longer, narrowed(possible, i, level))
                    if found is not None:
                        return found
        return None

    rows = []
    for group in sorted(groups, key=len, reverse=True):  # triples first: the pairs come with them
        for choice in random.permutation(np.argwhere(open_[group])).tolist():
            if open_[group][tuple(choice)]:
                row, possible = [-1] * len(names), [-1] * len(names)
                for i, level in zip(group, choice, strict=True):
                    row[i], possible = level, narrowed(possible, i, level)
                found = complete(row, possible)
                open_[group][tuple(choice)] = False  # also where no row has it
                if found is not None:
                    for other in groups:
                        open_[other][tuple(found[i] for i in other)] = False
                    rows.append({name: levels[i][found[i]] for i, name in enumerate(names)})
    return rows


# Factors and levels of a matrix ---------------------------------------------------------------------------------------

CLASSES = ("square", "tall", "wide", "nearly square", "very tall", "row", "column", "1x1", "empty")
EMPTY = ("empty", "0x0")  # of any shape, and square
ORDERS = (1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 257, 300)
BATCHES = ("none", "one axis", "two axes", "length 0", "length 1", "length 2", "matrix dimension")
STACKS = ("one axis", "two axes", "length 2", "matrix dimension")  # of at least two matrices
GROUPS: dict[str, tuple[tuple[str, str], ...]] = {
    "stacks": tuple(("batch", level) for level in BATCHES[1:]),
    "layouts": tuple(("memory", level) for level in MEMORY if level != "C"),
    "gallery": tuple(("structure", f"gallery {name}") for name in GALLERY),
}

ENTRIES = 2**17  # largest input of a generated case: order 300, or 33 matrices of order 33
LARGE = 100  # orders above see few levels of the other factors, since what they cost grows with the cube
SEEN_BY_LARGE: dict[str, tuple[Any, ...]] = {
    "memory": ("C", "F", "strided"),
    "structure": ("general", "hermitian", "triangular", None),
    "spectrum": ("geometric", "repeated", "rank_deficient", None),
    "cond": (10.0, 1e3, 1e8, "1/eps", None),
    "scale": (1.0, None),
}
QUICK = 40  # cases of the quick battery before the levels that these do not have
FLOPS = 2**25  # largest count * m * n * min(m, n), what an SVD costs up to a factor: order 300, but one matrix only


@dataclass(frozen=True)
class Levels:
    """What a family wants to see of each factor; the defaults are for functions of any one matrix.

    ``cond`` and ``scale`` hold numbers and names in ``cases.CONDS`` and ``cases.SCALES``. A condition number beyond
    8/eps of a dtype and a number for the scale that leaves its range are left out for that dtype.
    """

    classes: tuple[str, ...] = CLASSES
    order: tuple[int, ...] = ORDERS
    batch: tuple[str, ...] = BATCHES
    members: tuple[str, ...] = tuple(MEMBERS)
    memory: tuple[str, ...] = tuple(MEMORY)
    structure: tuple[str, ...] = tuple(STRUCTURES)
    spectrum: tuple[str, ...] = tuple(name for name in SPECTRA if name != "almost_equal")  # hard for derivatives only
    cond: tuple[float | str, ...] = (1.0, 10.0, 1e3, 1e4, 1e8, 1e11, 1e13, *CONDS)
    scale: tuple[float | str, ...] = (1.0, 0.0, *SCALES)
    gallery: tuple[str, ...] = tuple(GALLERY)
    gallery_orders: tuple[int, ...] = (1, 2, 5, 16, 33)
    cotangent: tuple[str, ...] = ()
    entries: int = ENTRIES
    frames: bool = (
        False  # points with orthonormal columns: no more columns than rows, a spectrum where there can be one
    )
    draw: Callable[..., np.ndarray] = cases_.matrix  # what makes the input of a shape, a structure, ...
    shapes: tuple[tuple[int, ...], ...] = ()  # in the place of class, order and batch


PLAIN = Levels()
TRIPLE = ("class", "batch", "dtype")


def factors(
    levels: Levels, dtypes: Sequence[str], shapes: Sequence[tuple[int, ...]] | None = None
) -> dict[str, tuple[Any, ...]]:
    """Factors and levels for :func:`cover`; with ``shapes`` one factor "shape" for class, order and batch."""
    size = {"shape": tuple(shapes)} if shapes is not None else {
        "class": levels.classes, "order": (*levels.order, None), "batch": levels.batch,
    }  # fmt: skip
    return size | {
        "members": (*levels.members, None),
        "memory": levels.memory,
        "structure": (*levels.structure, None),
        "spectrum": (*levels.spectrum, None),
        "cond": (*levels.cond, None),
        "scale": (*levels.scale, None),
        "dtype": tuple(dtypes),
        **({"cotangent": levels.cotangent} if levels.cotangent else {}),
    }


def allowed(row: Row, entries: int = ENTRIES, frames: bool = False, spectra: bool = True) -> bool:
    """Whether levels go together; of a partial assignment, whether they may. No input has more than ``entries``.

    ``frames``: none has more columns than rows, and all have a spectrum that can, where there are ``spectra``.

    None is where a factor has no meaning, and only there: order of empty matrices, members of less than two matrices,
    values of no matrix, spectrum and cond of vectors, of zero and of the structures that have their own.
    """
    if "shape" in row:
        row = row | cases_.factors_of(row["shape"])
        del row["order"]
    class_, batch, structure, scale = (row.get(name, ...) for name in ("class", "batch", "structure", "scale"))
    members, spectrum, cond, dtype = (row.get(name, ...) for name in ("members", "spectrum", "cond", "dtype"))

    def none_iff(name: str, yes: bool, *needed: str) -> bool:
        """A level is None if it has to be, and only then; the latter once the factors are known that decide it."""
        level = row.get(name, ...)
        return level is ... or (level is None if yes else level is not None or any(f not in row for f in needed))

    vector = class_ in ("row", "column", "1x1")
    nothing = class_ in EMPTY or batch == "length 0"
    own = nothing or vector or structure is None or structure in FREE or scale is None or scale == 0
    p = None if dtype is ... else precision_of(dtype)
    return (
        none_iff("order", class_ in EMPTY, "class")
        and ("order" not in row or class_ is ... or (row["order"] == 1) == vector)
        and ({"class", "order", "batch"} - {*row} or _fits(class_, row["order"], batch, entries, frames))
        and none_iff("members", nothing or batch in ("none", "length 1"), "class", "batch")
        and not (row.get("memory") == "broadcast" and (batch == "none" or members not in (..., None, "alike")))
        and none_iff("structure", nothing or scale is None, "class", "batch")
        and none_iff("scale", nothing or structure is None, "class", "batch")
        and none_iff("spectrum", own or cond is None, "class", "batch", "structure", "scale")
        and none_iff("cond", own or spectrum is None, "class", "batch", "structure", "scale")
        and not (
            frames and spectra and spectrum is None and not own and {"class", "batch", "structure", "scale"} <= {*row}
        )
        and ((row.get("order") or 0) < LARGE or all(row.get(f, some[0]) in some for f, some in SEEN_BY_LARGE.items()))
        and not (structure in SQUARE and class_ not in (..., "square"))
        and not (structure == "real" and p and not dtype.startswith("complex"))
        and not (structure == "integer" and scale not in (..., 1.0))
        and not (scale == 0 and (structure not in (..., "general") or members not in (..., None, "alike")))
        and not (members == "scaled" and scale in ("near underflow", "squares underflow"))
        and not (spectrum == "graded" and structure not in (..., "general", "real", "triangular"))
        and not (row.get("cotangent") in ("tiny", "huge") and scale not in (..., None, 1.0))
        and not (p and isinstance(cond, float) and cond > 8 / p.eps)
        and not (p and isinstance(scale, float) and scale and not p.tiny / p.eps / 8 <= scale <= p.largest / 8)
    )


def _fits(class_: str, order: int | None, batch: str, entries: int = ENTRIES, frames: bool = False) -> bool:
    """Whether there are shapes at these levels, and none beyond the bounds on size and work."""
    shapes = _shapes(class_, order, batch, frames)
    return bool(shapes) and all(prod(s) <= entries and prod(s) * min(s[-2:]) <= FLOPS for s in shapes)


@cache
def _shapes(class_: str, order: int | None, batch: str, frames: bool = False) -> tuple[tuple[int, ...], ...]:
    """Shapes at these levels, from which cases take turns."""
    if class_ in EMPTY:
        plain = [(0, 4), (4, 0), (0, 0)] if class_ == "empty" else [(0, 0)]
    elif order is None:
        return ()
    else:
        k = order
        plain = {
            "square": [(k, k)],
            "1x1": [(1, 1)],
            "row": [(1, 5), (1, 64), (1, 17), (1, 300)],
            "column": [(5, 1), (64, 1), (17, 1), (300, 1)],
            "nearly square": [(k + 1, k), (k, k + 1)],
            "tall": [(3 * k if k < 40 else 3 * k // 2, k)],
            "wide": [(k, 3 * k if k < 40 else 3 * k // 2)],
            "very tall": [(20 * k, k)],
        }[class_]
    found = []
    for m, n in plain:
        if frames and m < n:
            continue
        lengths: dict[str, list[tuple[int, ...]]] = {
            "none": [()],
            "one axis": [(next(d for d in (3, 4, 5, 6) if d not in (m, n)),)],
            "two axes": [(2, 3)],
            "length 0": [(0,)],
            "length 1": [(1,)],
            "length 2": [(2,)],
            "matrix dimension": [(d,) for d in sorted({m, n}) if d > 2 and d * m * n <= ENTRIES],
        }
        found += [(*axes, m, n) for axes in lengths[batch]]
    return tuple(found)


# Cases ----------------------------------------------------------------------------------------------------------------


def cases(
    levels: Levels,
    *,
    dtypes: Sequence[str],
    shapes: Sequence[tuple[int, ...]] | None = None,
    skip: Sequence[str] = (),
    size: Literal["quick", "default", "exhaustive"] = "default",
    seed: int = 0,
    max_cases: int | None = None,
) -> list[Case]:
    """Inputs that cover the levels, from small to large.

    Parameters
    ----------
    levels : Levels
        What the family wants to see.
    dtypes : sequence of str
    shapes : sequence of tuples of int, optional
        Only these, instead of class, order and batch.
    skip : sequence of str
        Levels to leave out: any name in :func:`names`.
    size : {"quick", "default", "exhaustive"}
        Every level once, in cases of "default"; every pair of levels, and class x batch x dtype; that with four seeds,
        and every spectrum with every condition number and dtype.
    seed : int
        Another seed gives another battery with the same coverage.
    max_cases : int, optional
        At most so many, those that cover most pairs of levels first: a larger number adds cases and removes none.

    Returns
    -------
    list of orthoref.oracle.cases.Case

    Raises
    ------
    ValueError
        Unknown names, shapes that are none, or nothing is left to judge.
    """
    for option, value in (("dtypes", dtypes), ("skip", skip)):
        if isinstance(value, str):
            raise ValueError(f"{option}={value!r} must be a sequence of names, not one")
    if size not in ("quick", "default", "exhaustive"):
        raise ValueError(f"size={size!r} is not one of quick, default, exhaustive")
    if max_cases is not None and not max_cases >= 1:
        raise ValueError(f"max_cases={max_cases!r} is not a positive number")
    for dtype in dtypes:
        precision_of(dtype)
    known = names(levels, dtypes)
    if unknown := [name for name in skip if name not in known]:
        raise ValueError(f"skip={unknown} is not among {', '.join(known)}")
    shapes = levels.shapes or None if shapes is None else shapes
    checked = None if shapes is None else tuple(dict.fromkeys(map(cases_.checked_shape, shapes)))
    found = _cases(levels, tuple(dict.fromkeys(dtypes)), checked, frozenset(skip), size, int(seed))
    if not found:
        raise ValueError("no case is left: dtypes, shapes and skip exclude everything")
    if all(case.factors["class"] == "empty" or case.factors["batch"] == "length 0" for case in found):
        raise ValueError("nothing to judge: all shapes are empty")
    return list(found) if max_cases is None else sorted(by_coverage(found)[:max_cases], key=_small_first)


def names(levels: Levels, dtypes: Sequence[str]) -> dict[str, tuple[tuple[str, str], ...]]:
    """What ``skip`` knows: name -> the levels (factor, text) that it stands for.

    Levels by their name, those that are numbers with the factor before it ("order 64", "cond 1e+08", "scale 1e+30"),
    gallery matrices, and the groups stacks, layouts, extreme scale, gallery.
    """
    known: dict[str, tuple[tuple[str, str], ...]] = {}
    for factor, all_ in factors(levels, dtypes).items():
        for level in all_:
            if level is not None:
                name = level if isinstance(level, str) else f"{factor} {level:g}"
                known[name] = (*known.get(name, ()), (factor, _text(level)))
    for name in levels.gallery:
        known[name] = (*known.get(name, ()), ("structure", f"gallery {name}"))
    known["zero"] = (*known.get("zero", ()), ("scale", "0"))
    known["extreme scale"] = tuple(("scale", _text(level)) for level in levels.scale if level not in (0.0, 1.0))
    return known | GROUPS


def _text(level: Any) -> str:
    return level if isinstance(level, str) else f"{level:.3g}" if isinstance(level, (int, float)) else str(level)


@lru_cache(maxsize=16)
def _cases(
    levels: Levels,
    dtypes: tuple[str, ...],
    shapes: tuple[tuple[int, ...], ...] | None,
    skip: frozenset[str],
    size: str,
    seed: int,
) -> tuple[Case, ...]:
    known = names(levels, dtypes)
    without = {pair for name in skip for pair in known[name]}
    kept = {
        factor: tuple(level for level in all_ if level is None or (factor, _text(level)) not in without)
        for factor, all_ in factors(levels, dtypes, shapes).items()
    }
    if shapes is not None:
        kept["shape"] = tuple(s for s in shapes if not without & set(cases_.factors_of(s).items()))
    first = "class" if shapes is None else "shape"
    triples = [TRIPLE] if shapes is None else [(first, "dtype")]
    rows: list[Row] = []
    for i in range(4 if size == "exhaustive" else 1):
        rows += cover(
            kept,
            triples=triples,
            allowed=partial(allowed, entries=levels.entries, frames=levels.frames, spectra=bool(levels.spectrum)),
            seed=seed + 1000 * i,
        )
    turn: dict[Any, int] = {}
    found = [_case(row, seed + number, turn, levels) for number, row in enumerate(rows)]
    if size == "exhaustive":
        found += _sweep(kept, len(rows) + seed, levels)
    found += _named(levels, kept, shapes, without, size, seed)
    found = [*{case.id: case for case in found}.values()]
    return tuple(sorted(_quick(found) if size == "quick" else found, key=_small_first))


def _quick(found: Sequence[Case]) -> list[Case]:
    """The first cases by coverage, and one for each level that is in none of them."""
    ordered, chosen, seen = by_coverage(found), [], set[tuple[str, str]]()
    for number, case in enumerate(ordered):
        levels = {pair for pair in case.factors.items() if pair[0] not in cases_.DERIVED}
        if number < QUICK or not seen >= levels:
            chosen.append(case)
            seen |= levels
    return chosen


def _case(row: Row, seed: int, turn: dict[Any, int], levels: Levels = PLAIN) -> Case:
    """Case of a row; rows of the same size take its shapes in turns."""
    shape = row.get("shape")
    if shape is None:
        key = row["class"], row["order"], row["batch"]
        shapes = _shapes(*key, levels.frames)
        shape = shapes[turn.setdefault(key[0], 0) % len(shapes)]
        turn[key[0]] += 1
    case = cases_.drawn(
        shape,
        row["spectrum"],
        row["cond"],
        row["dtype"],
        scale=1.0 if row["scale"] is None else row["scale"],
        seed=seed,
        structure=row["structure"] or "general",
        members=row["members"] or "alike",
        memory=row["memory"],
        function=levels.draw,
    )
    return _facing(case, row)


def _facing(case: Case, row: Row) -> Case:
    """The case at the row's level of the factor "cotangent", if there is one."""
    return replace(case, factors=case.factors | {"cotangent": row["cotangent"]}) if "cotangent" in row else case


SWEEP = ((2, 2), (5, 5), (16, 16), (24, 7), (7, 24), (3, 4, 4))


def _sweep(kept: Mapping[str, Sequence[Any]], seed: int, levels: Levels) -> Iterator[Case]:
    """Every spectrum with every condition number and dtype, at some shapes."""
    plain = {"members": None, "memory": "C", "structure": "general", "scale": 1.0}
    plain |= {"cotangent": "generic"} if "cotangent" in kept else {}
    if not all(level is None or level in kept[name] for name, level in plain.items()):
        return
    shapes = kept.get("shape") or [
        s for s in SWEEP if all(cases_.factors_of(s)[name] in kept[name] for name in ("class", "batch"))
    ]
    for shape, spectrum, cond, dtype in product(shapes, kept["spectrum"], kept["cond"], kept["dtype"]):
        row = plain | {"shape": shape, "spectrum": spectrum, "cond": cond, "dtype": dtype}
        row["members"] = "alike" if cases_.factors_of(shape)["batch"] in STACKS else None
        if None not in (spectrum, cond) and allowed(row):
            yield _case(row, seed, {}, levels)


def _named(
    levels: Levels,
    kept: Mapping[str, Sequence[Any]],
    shapes: Sequence[tuple[int, ...]] | None,
    without: set[tuple[str, str]],
    size: str,
    seed: int,
) -> list[Case]:
    """The gallery: every pair of matrix, order and dtype; exhaustive: all three."""
    orders = levels.gallery_orders if shapes is None else [s[0] for s in shapes if len(s) == 2 and s[0] == s[1] > 0]
    factors_: dict[str, Sequence[Any]] = {
        "structure": [name for name in levels.gallery if ("structure", f"gallery {name}") not in without],
        "order": [n for n in orders if not without & set(cases_.factors_of((n, n)).items())],
        "dtype": kept["dtype"],
    }
    if "cotangent" in kept:
        factors_["cotangent"] = kept["cotangent"]
    if ("memory", "C") in without:
        return []
    strength = 3 if size == "exhaustive" else 2
    return [
        _facing(cases_.named(row["structure"], row["order"], row["dtype"]), row)
        for row in cover(factors_, strength=strength, seed=seed)
    ]


def _small_first(case: Case) -> tuple[int, str]:
    shape = case.shape
    return prod(shape) * min(shape[-2:]), case.id


def by_coverage(found: Sequence[Case]) -> list[Case]:
    """The same cases, each time the one with most pairs of levels that no case before it has."""
    if not found:
        return []
    names_ = [name for name in found[0].factors if name not in cases_.DERIVED]
    ids: dict[Any, int] = {}
    pairs = np.array([
        [
            0 if "-" in (case.factors[a], case.factors[b])
            else ids.setdefault((a, b, case.factors[a], case.factors[b]), len(ids) + 1)
            for a, b in combinations(names_, 2)
        ]
        for case in found
    ])  # fmt: skip
    new = np.ones(len(ids) + 1, bool)
    new[0] = False
    left, order = np.arange(len(found)), []
    while left.size:
        best = int(np.argmax(new[pairs[left]].sum(axis=1)))
        order.append(found[left[best]])
        new[pairs[left[best]]] = False
        left = np.delete(left, best)
    return order
