"""Why a result fails: known mistakes are undone, one at a time, until the measures accept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from orthoref.oracle.lift import Lifted
from orthoref.oracle.operation import Data, Operation, Variant
from orthoref.oracle.precision import Precision

NUMBERS = re.compile(r"((?:b?float|complex|int|tf)\d+)|\d[\d.e+-]*")  # but for those in the names of formats
CLEAR = 2.0  # a mistake that is undone must bring the worst ratio down by this factor


def masked(text: str) -> str:
    """Without the numbers of one case: what two cases have in common."""
    return NUMBERS.sub(lambda found: found[1] or "#", text)


def member(data: Data, index: tuple[int, ...]) -> dict[str, Lifted]:
    """One matrix of every stack."""
    pick: Any = (*index, ...)
    return {name: Lifted(x.value[pick], x.dtype) for name, x in data.items()}


def accepts(row: Operation, inputs: Data, outputs: Data, claimed: Any, precision: Precision, limit: float,
            variant: Variant) -> float | None:  # fmt: skip
    """Largest ratio over its limit under a variant; None if that is refused or cannot be judged."""
    inputs, outputs = _replaced(inputs, variant.inputs), _replaced(outputs, variant.outputs)
    claimed = claimed if variant.claimed is None else variant.claimed
    shapes = row.shapes(claimed, *(x.value.shape for x in inputs.values()))
    if any(x.value.shape != shapes.get(name, x.value.shape) for name, x in outputs.items()):
        return None
    try:
        with np.errstate(all="ignore"):
            limit = min(limit, variant.most)
            found = row.measure(inputs, outputs, claimed, variant.precision or precision, limit)
    except (ValueError, ArithmeticError):  # a schedule that diverges or does not have so many steps
        return None
    if found.faults or not np.all(found.judged) or not all(np.all(each.holds) for each in found.measurements):
        return None
    return max((float(np.max(each.ratio / each.limit)) for each in found.measurements if each.ratio.size), default=0.0)


def accepted(
    row: Operation,
    inputs: Data,
    outputs: Data,
    claimed: Any,
    precision: Precision,
    limit: float,
    failed: Mapping[str, float],
    first: str = "",
) -> Iterator[Variant]:
    """The known mistakes that explain one member, most likely first; with ``first`` the one of that key before them.

    The first costs little more than it takes to measure, all of them as much as there are variants.
    """
    limits = {check.name: check.limit or limit for check in row.checks}
    clear = max((ratio / limits.get(name, limit) for name, ratio in failed.items()), default=np.inf) / CLEAR

    def ratio_of(variant: Variant) -> float:
        ratio = accepts(row, inputs, outputs, claimed, precision, limit, variant)
        return ratio if ratio is not None and not ratio > clear else float("inf")

    with np.errstate(all="ignore"):
        variants: Iterable[Variant] = row.variants(inputs, outputs, claimed, precision, failed)
        if first:
            others = []
            for variant in variants:
                if variant.key != first:
                    others.append(variant)
                elif ratio_of(variant) < np.inf:
                    yield variant
            variants = others
        for rival, group in groupby(variants, key=lambda variant: variant.rival):
            if not rival:
                yield from (variant for variant in group if ratio_of(variant) < np.inf)
                continue
            best = min(((ratio_of(variant), i, variant) for i, variant in enumerate(group)), key=lambda each: each[:2])
            if best[0] < np.inf:
                yield best[2]


def explain(
    row: Operation,
    inputs: Data,
    outputs: Data,
    claimed: Any,
    precision: Precision,
    limit: float,
    failed: Mapping[str, float],
    first: str = "",
) -> tuple[str, list[str]]:
    """Key and text of the reasons for one member that fails; the mistake with the key ``first`` is tried first.

    ``failed`` are the names of the checks that fail with their ratios.
    """
    for name, x in outputs.items():
        bad = int(np.sum(~np.isfinite(x.value)))
        if bad:
            zero = " for a zero input: 0/0?" if not any(each.value.any() for each in inputs.values()) else ""
            said = f"{name} has {bad} of {x.value.size} entries that are NaN or infinite{zero}"
            also = row.describe(inputs, outputs, claimed, precision, {})
            key = f"{name} not finite" + (" at zero" if zero else "") + "".join(f": {each}" for each in also[:1])
            return masked(key), [said, *also]
    for variant in accepted(row, inputs, outputs, claimed, precision, limit, failed, first):
        with np.errstate(all="ignore"):
            return variant.key, [variant.reason, *row.describe(inputs, outputs, claimed, precision, {})]
    with np.errstate(all="ignore"):
        return "", row.describe(inputs, outputs, claimed, precision, failed)


def agreed(found: Iterable[Sequence[str]]) -> str:
    """The key that explains most members, of equals the likeliest, given those that explain each, likeliest first."""
    keys = [list(dict.fromkeys(each)) for each in found]
    every = {key for each in keys for key in each}
    last = max(map(len, keys), default=0)

    def rank(key: str) -> tuple[int, int, str]:
        return -sum(key in each for each in keys), sum(each.index(key) if key in each else last for each in keys), key

    return min(every, key=rank, default="")


def _replaced(data: Data, values: Mapping[str, np.ndarray] | None) -> Data:
    return data if values is None else {name: Lifted(np.asarray(x), data[name].dtype) for name, x in values.items()}
