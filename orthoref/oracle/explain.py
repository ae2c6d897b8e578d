"""Why a result fails: known mistakes are undone, one at a time, until the measures accept."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import numpy as np

from orthoref.oracle.lift import Lifted
from orthoref.oracle.operation import Data, Operation, Variant
from orthoref.oracle.precision import Precision


def member(data: Data, index: tuple[int, ...]) -> dict[str, Lifted]:
    """One matrix of every stack."""
    pick: Any = (*index, ...)
    return {name: Lifted(x.value[pick], x.dtype) for name, x in data.items()}


def accepts(row: Operation, inputs: Data, outputs: Data, claimed: Any, precision: Precision, limit: float,
            variant: Variant) -> float | None:  # fmt: skip
    """Largest ratio over its limit under a variant; None if that is refused or cannot be judged."""
    if variant.outputs is not None:
        outputs = {name: Lifted(np.asarray(x), outputs[name].dtype) for name, x in variant.outputs.items()}
    claimed = claimed if variant.claimed is None else variant.claimed
    shapes = row.shapes(claimed, *(x.value.shape for x in inputs.values()))
    if any(x.value.shape != shapes.get(name, x.value.shape) for name, x in outputs.items()):
        return None
    try:
        with np.errstate(all="ignore"):
            found = row.measure(inputs, outputs, claimed, variant.precision or precision, limit)
    except (ValueError, ArithmeticError):  # a schedule that diverges or does not have so many steps
        return None
    if found.faults or not np.all(found.judged) or not all(np.all(each.holds) for each in found.measurements):
        return None
    return max((float(np.max(each.ratio / each.limit)) for each in found.measurements if each.ratio.size), default=0.0)


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
            return f"{name} not finite", [f"{name} has {bad} of {x.value.size} entries that are NaN or infinite"]
    with np.errstate(all="ignore"):
        variants = row.variants(inputs, outputs, claimed, precision, failed)
        if first:
            variants = iter(sorted(variants, key=lambda variant: variant.key != first))
        for _, group in groupby(variants, key=lambda variant: variant.rival and variant.key != first):
            best: tuple[float, Variant] | None = None
            for variant in group:
                ratio = accepts(row, inputs, outputs, claimed, precision, limit, variant)
                if ratio is not None and (best is None or ratio < best[0] / 1.2):  # of equals the first
                    best = ratio, variant
                    if not variant.rival or variant.key == first:
                        break
            if best is not None:
                return best[1].key, [best[1].reason, *row.describe(inputs, outputs, claimed, precision, {})]
        return "", row.describe(inputs, outputs, claimed, precision, failed)
