"""Which factor of the inputs failures concentrate on, found from the table of passes and failures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np

CHANCE = 1e-3  # largest chance that any explanation of its kind fits so well by accident
FURTHER = 0.1  # the same for one more property of all failing cases: the sentence is true without it, and with it

# How a level reads after "fails only". What is not listed reads "for FACTOR LEVEL".
PHRASES: dict[str, dict[str, str]] = {
    "class": {
        "1x1": "for 1 x 1 matrices",
        "empty": "for empty matrices",
        "row": "for rows",
        "column": "for columns",
        **{level: f"for {level} matrices" for level in ("square", "nearly square", "very tall")},
        "tall": "for tall matrices of at least two columns, but not very tall",
        "wide": "for wide matrices of at least two rows",
    },
    "orientation": {level: f"for {level} matrices" for level in ("tall", "wide", "square")},
    "batch": {
        "none": "for single matrices",
        "one axis": "for stacks with one axis",
        "two axes": "for stacks with two axes",
        "length 0": "for stacks of length 0",
        "length 1": "for stacks of length 1",
        "length 2": "for stacks of length 2",
        "matrix dimension": "for stacks as long as a dimension of their matrices",
    },
    "members": {
        "alike": "for stacks of members that are alike",
        "one zero": "for stacks with a zero member",
        "one singular": "for stacks with a singular member",
        "scaled": "for stacks of members of very different scales",
    },
    "memory": {
        "C": "in C order",
        "F": "in Fortran order",
        "transposed": "for transposed views",
        "strided": "for strided columns",
        "negative": "for negative strides",
        "broadcast": "for broadcast axes",
        "readonly": "for read-only input",
        "unaligned": "for unaligned input",
        "byteswapped": "for input of the other byte order",
    },
    "structure": {
        "hermitian": "for indefinite Hermitian input",
        "definite": "for positive definite input",
        "skew": "for skew-Hermitian input",
        "integer": "for integer-valued input",
        "real": "for real values in a complex dtype",
        "orthonormal": "for input that is orthonormal already",
        "general": "for input without structure",
        **{s: f"for {s} input" for s in ("triangular", "diagonal", "monomial", "permutation", "positive", "smooth")},
    },
    "scale": {
        "0": "for zero input",
        "1": "at scale 1",
        "squares underflow": "where squares underflow",
        "squares overflow": "where squares overflow",
        "near underflow": "near underflow",
        "near overflow": "near overflow",
    },
    "dtype": {d: f"in {d}" for d in ("float32", "float64", "complex64", "complex128", "float16", "bfloat16")},
    "cotangent": {
        "vertical": "for tangents X A",
        "horizontal": "for tangents with X^H V = 0",
        **{length: f"for tangents of length {length}" for length in ("1e-8", "1e-4", "0.01", "0.1", "10")},
    },
    "call": {"first": "in the first call", "second": "in the second call", "steps": "in several steps"},
}

# Levels that belong together: factor -> phrase -> levels.
GROUPS: dict[str, dict[str, set[str]]] = {
    "class": {
        "for matrices that are not square": {"nearly square", "tall", "very tall", "wide", "row", "column"},
        "for vectors": {"row", "column", "1x1"},
    },
    "batch": {
        "for stacks": {"one axis", "two axes", "length 0", "length 1", "length 2", "matrix dimension"},
        "for stacks with one axis": {"one axis", "length 0", "length 1", "length 2", "matrix dimension"},
        "for stacks of several matrices with one axis": {"one axis", "length 2", "matrix dimension"},
        "for stacks of several matrices": {"one axis", "two axes", "length 2", "matrix dimension"},
    },
    "members": {
        "for stacks whose members differ": {"one zero", "one singular", "scaled"},
        "for stacks with a zero or singular member": {"one zero", "one singular"},
    },
    "memory": {
        "for layouts other than C order": {"F", "transposed", "strided", "negative", "broadcast"},
        "for columns in memory one after the other": {"F", "transposed"},
        "for views with strides": {"strided", "negative"},
        "for input that is not writeable": {"broadcast", "readonly"},
    },
    "structure": {
        "for Hermitian input": {"hermitian", "definite"},
        "for input with many zeros": {"triangular", "diagonal", "monomial", "permutation"},
    },
    "spectrum": {"for equal or clustered singular values": {"clustered", "repeated", "one_small", "one_large"}},
    "dtype": {
        "for complex dtypes": {"complex64", "complex128"},
        "for real dtypes": {"float32", "float64", "float16", "bfloat16"},
        "in single precision": {"float32", "complex64"},
        "in double precision": {"float64", "complex128"},
        "in 16 bits": {"float16", "bfloat16"},
    },
}
ORDERED = {
    "order": "for order",
    "cond": "at condition number",
    "rows": "for row count",
    "columns": "for column count",
}
DIVISORS = (2, 4, 8, 16, 32)  # of the order: vector lengths and blocks


class Explanation(NamedTuple):
    """A property of inputs: the cases that have it, the factor it is about, and how it reads."""

    factor: str
    phrase: str
    has: np.ndarray


def concentrated(outcomes: Sequence[tuple[dict[str, str], bool]]) -> str:
    r"""Sentence that says on which inputs the failures concentrate, or "".

    Parameters
    ----------
    outcomes : sequence of (factors, holds)
        Level of every factor, as in :attr:`orthoref.oracle.cases.Case.factors`, and whether the case holds.

    Returns
    -------
    str
        "fails only in Fortran order": every failing case has the property, and every case that has it fails.
        "fails only in Fortran order (20 of 31 such cases)": every failing case has it, a twelfth of those that have it
        fail or more.
        "fails mostly ...: 57 of 60 failing cases, 57 of 58 such cases": three quarters of the failing cases or more
        have it, half of those that have it fail or more.
        "fails partly ...: 33 of 60 failing cases, 33 of 33 such cases; otherwise ...": a quarter and nine tenths. The
        cases that have it are then left out, and what is found in the others follows.
        "": all cases fail or hold, or no property is distinguished.

    Notes
    -----
    Of N cases F fail, n have a property, f of these fail. With failures placed at random f or more would meet with
    probability p = sum_{j >= f} C(n, j) C(N - n, F - j) / C(N, F) (Fisher's exact test). A property is admitted if
    k p <= ``CHANCE`` with k the number of properties of its kind that were tried. The one with the least k p is told,
    "partly" where nothing else is admitted. The kinds are single levels, groups of levels, bounds on the order or the
    condition number, divisors of the order, ranges, and pairs. k is largest for pairs: a simple property wins unless a
    pair tells failing from passing cases clearly better. One failing case in a battery of hundreds is never explained,
    two are by a level that hardly any other case has.

    Empty inputs are left out if all of them hold: nothing could have failed there.
    """
    table = list(outcomes)
    empty = [f.get("class") == "empty" or f.get("batch") == "length 0" for f, _ in table]
    if all(holds for (_, holds), nothing in zip(table, empty, strict=True) if nothing):
        table = [outcome for outcome, nothing in zip(table, empty, strict=True) if not nothing]
    failed = np.array([not holds for _, holds in table], bool)
    total, failing = len(table), int(failed.sum())
    if failing in (0, total):
        return ""
    names = dict.fromkeys(name for factors, _ in table for name in factors)
    columns = {name: np.array([factors.get(name, "-") for factors, _ in table]) for name in names}
    candidates = [*_candidates(columns, failed)]
    for whole in (True, False):
        fitting = [
            (k * _fisher(total, failing, n, f), number)
            for number, (k, n, f, _) in enumerate(candidates)
            if (_nearly_all(f, n, failing) if whole else _nearly_only(f, n, failing))
        ]
        chance, number = min(fitting, default=(1.0, 0))
        if chance <= CHANCE:
            break
    else:
        return ""
    _, n, f, properties = candidates[number]
    has = np.logical_and.reduce([e.has for e in properties])
    if f == failing < n and (third := _narrower(columns, failed, has)) is not None:
        properties, has = (*properties, third), has & third.has
        n = int(has.sum())
    phrase = _joined(*properties)
    if f == failing:
        return f"fails only {phrase}" + (f" ({f} of {n} such cases)" if f < n else "")
    sentence = (
        f"fails {'mostly' if whole else 'partly'} {phrase}: {f} of {failing} failing cases, {f} of {n} such cases"
    )
    if not whole:
        others = concentrated([outcome for outcome, one in zip(table, has, strict=True) if not one])
        return sentence + (f"; otherwise {others}" if others else "")
    return sentence


def _narrower(columns: dict[str, np.ndarray], failed: np.ndarray, has: np.ndarray) -> Explanation | None:
    """A further property that all failing cases have and few others of those that have the first."""
    total, failing = int(has.sum()), int(failed.sum())
    found = [e for kind in (_levels, _groups, _bounds, _divisors) for e in _distinct(kind(columns))]
    fitting = [
        (len(found) * _fisher(total, failing, int((e.has & has).sum()), failing), number)
        for number, e in enumerate(found)
        if e.has[failed].all()
    ]
    chance, number = min(fitting, default=(1.0, 0))
    return found[number] if chance <= FURTHER else None


def _nearly_all(f: int, n: int, failing: int) -> bool:
    return (f == failing and 12 * f >= n) or (4 * f >= 3 * failing and 2 * f >= n)


def _nearly_only(f: int, n: int, failing: int) -> bool:
    return 4 * f >= failing and 10 * f >= 9 * n


def _candidates(
    columns: dict[str, np.ndarray], failed: np.ndarray
) -> Iterator[tuple[int, int, int, tuple[Explanation, ...]]]:
    """Number of properties of the kind, of cases that have this one, of failing ones among them; the property."""
    singles: list[Explanation] = []
    columns = {
        name: columns[name] for name in sorted(columns, key=lambda name: name != "orientation")
    }  # plain words first
    for kind in (_levels, _groups, _bounds, _divisors, _ranges):
        found = _distinct(kind(columns))
        yield from ((len(found), int(e.has.sum()), int((e.has & failed).sum()), (e,)) for e in found)
        if kind is not _ranges:  # two bounds are a pair already
            singles += found
    # pairs by matrix products: tens of thousands
    has = np.array([e.has for e in singles], float).reshape(len(singles), len(failed))
    both, both_failed = has @ has.T, (has * failed) @ has.T
    factor = np.array([e.factor for e in singles])
    tried = np.triu(factor[:, None] != factor)
    k = int(tried.sum())
    for i, j in np.argwhere(tried & (4 * both_failed >= failed.sum())).tolist():  # what the weakest form requires
        yield k, int(both[i, j]), int(both_failed[i, j]), (singles[i], singles[j])


@lru_cache(maxsize=10000)
def _fisher(total: int, failing: int, n: int, f: int) -> float:
    """Chance that f or more of the failing cases are among n given ones."""
    ways = sum(comb(n, j) * comb(total - n, failing - j) for j in range(f, min(n, failing) + 1))
    return ways / comb(total, failing)  # a quotient of integers, rounded once


def _levels(columns: dict[str, np.ndarray]) -> Iterator[Explanation]:
    for factor, column in columns.items():
        for level in np.unique(column).tolist():
            if level != "-" and (factor, level) != ("call", "first"):  # laws are tried on what holds
                yield Explanation(factor, phrase(factor, level), column == level)


def phrase(factor: str, level: str) -> str:
    """How a level reads after "fails only"."""
    if factor in ORDERED:
        return f"{ORDERED[factor]} {level}"
    if level.startswith("gallery "):
        return f"for the {level.removeprefix('gallery ').replace('_', ' ')} matrices of the gallery"
    return PHRASES.get(factor, {}).get(level, f"for {factor} {level}")


def _groups(columns: dict[str, np.ndarray]) -> Iterator[Explanation]:
    for factor, groups in GROUPS.items():
        if factor in columns:
            for phrase, levels in groups.items():
                yield Explanation(factor, phrase, np.isin(columns[factor], [*levels]))
    if "structure" in columns:
        named = np.char.startswith(columns["structure"], "gallery ")
        yield Explanation("structure", "for matrices of the gallery", named)
    if "scale" in columns:
        size = {"near underflow": 0.1, "squares underflow": 0.1, "near overflow": 10.0, "squares overflow": 10.0}
        scale = np.array([size[s] if s in size else 1.0 if s == "-" else float(s) for s in columns["scale"].tolist()])
        yield Explanation("scale", "for input of extreme scale", (scale != 1) & (scale != 0))
        yield Explanation("scale", "for input of small scale", (scale < 1) & (scale != 0))
        yield Explanation("scale", "for input of large scale", scale > 1)


def _numbers(column: np.ndarray) -> np.ndarray:
    return np.array([np.nan if level == "-" else float(level) for level in column.tolist()])


def _bounds(columns: dict[str, np.ndarray]) -> Iterator[Explanation]:
    for factor, phrase in ORDERED.items():
        if factor in columns:
            numbers = _numbers(columns[factor])
            for bound in np.unique(numbers[~np.isnan(numbers)]).tolist():
                yield Explanation(factor, f"{phrase}s of at least {bound:.3g}", numbers >= bound)
                yield Explanation(factor, f"{phrase}s of at most {bound:.3g}", numbers <= bound)


def _ranges(columns: dict[str, np.ndarray]) -> Iterator[Explanation]:
    for factor, phrase in ORDERED.items():
        if factor in columns:
            numbers = _numbers(columns[factor])
            for low, high in combinations(np.unique(numbers[~np.isnan(numbers)]).tolist(), 2):
                has = (numbers >= low) & (numbers <= high)
                yield Explanation(factor, f"{phrase}s from {low:.3g} to {high:.3g}", has)


def _divisors(columns: dict[str, np.ndarray]) -> Iterator[Explanation]:
    for factor, what in (("order", "orders"), ("rows", "numbers of rows"), ("columns", "numbers of columns")):
        if factor in columns:
            number = _numbers(columns[factor])
            for d in DIVISORS:
                divisible, not_ = ("even", "odd") if d == 2 else (f"divisible by {d}", f"not divisible by {d}")
                for word, has in ((divisible, number % d == 0), (not_, number % d > 0)):
                    yield Explanation(factor, f"for {word} {what}" if d == 2 else f"for {what} {word}", has)


def _distinct(found: Iterator[Explanation]) -> list[Explanation]:
    """Without those that all or no cases have, and the first of those that the same cases have."""
    kept: dict[bytes, Explanation] = {}
    for e in found:
        if e.has.any() and not e.has.all():
            kept.setdefault(e.has.tobytes(), e)
    return [*kept.values()]


def _joined(*properties: Explanation) -> str:
    """All of them at once; phrases that begin with "for" come first, stacks before all, then what is stacked."""
    kinds = ("batch", "class", "orientation")
    first, *others = sorted(
        properties, key=lambda e: (not e.phrase.startswith("for "), kinds.index(e.factor) if e.factor in kinds else 3)
    )
    text, of_what = first.phrase, first.factor == "batch"
    for e in others:
        rest = e.phrase.removeprefix("for ")
        if e.phrase == rest:
            text += f" {rest}"
        elif of_what and e.factor in kinds:
            what = {"for single matrices": "for single", "for stacks of several matrices": "for stacks of several"}
            text = f"{what.get(text, text + ' of')} {rest}"
        else:
            text += f" with {rest}"
        of_what = False
    return text
