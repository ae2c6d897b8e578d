"""One reason for a whole run: few failing cases are explained, and what explains one is tried on others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan, log
from typing import Any

import numpy as np

from orthoref.oracle.explain import accepted, accepts, agreed, explain, masked, member
from orthoref.oracle.operation import Data, Operation
from orthoref.oracle.precision import precision_of
from orthoref.oracle.residual import exponent_of, ldexp
from orthoref.oracle.verdict import Verdict, explained

KINDS = 5  # of failure, of which two cases each are explained from scratch
TELLING = 250  # entries of a case on which mistakes can be told apart
NEAR = 12  # cases near that size among which one is chosen
TRIED = 12  # failing cases on which a reason is tried
CANDIDATES = 3  # reasons that are
MAJORITY = 0.6  # of the cases that it is tried on, to be the reason of the run


@dataclass(frozen=True)
class Failure:
    """A failing case of a run, with what it takes to explain it."""

    verdict: Verdict
    inputs: Data
    outputs: Data
    format: str
    size: int
    frames: bool = False  # the points have orthonormal columns
    vectors: tuple[str, ...] = ()

    @property
    def kind(self) -> tuple[str, ...]:
        """Failing checks and faults, without the numbers in them."""
        faults = map(masked, self.verdict.faults)
        failing = (check for check in self.verdict.checks if not check.holds)
        return (*sorted(f"{check.name}, NaN" if isnan(check.ratio) else check.name for check in failing), *faults)

    @property
    def not_a_number(self) -> bool:
        """Whether a ratio is NaN."""
        return any(isnan(check.ratio) for check in self.verdict.checks)

    @property
    def measured(self) -> bool:
        """Whether a ratio fails."""
        return any(not check.holds for check in self.verdict.checks)


def vote(row: Operation, claimed: Any, limit: float, failures: Sequence[Failure]) -> tuple[list[Verdict], str, str]:
    """Verdicts with reasons, in the order of the failures; the key that explains most of them, and how many it does.

    A reason that explains most of the cases on which it is tried beats what explains a few others.
    """
    verdicts = [failure.verdict for failure in failures]
    chosen = _representatives(failures)
    for i, failure in enumerate(failures):
        if i in chosen or failure.not_a_number:  # what is not finite is described only
            verdicts[i] = _explained(row, claimed, limit, failure)
    tried = _spread([i for i, failure in enumerate(failures) if failure.measured])
    likely = agreed([_keys(row, claimed, limit, failures[i]) for i in _telling(failures)])
    common = Counter(verdict.key for verdict in verdicts).most_common()
    candidates = [key for key in dict.fromkeys([likely, *(key for key, _ in common)]) if key]
    counts = Counter(dict.fromkeys(candidates[:CANDIDATES], 0))
    if len(chosen) > 1 or len(tried) > 1:
        for key in counts:
            counts[key] = _votes(row, claimed, limit, [failures[i] for i in tried], key)
    for key, count in counts.most_common(1):
        if len(tried) > 1 and count >= MAJORITY * len(tried):
            for i in chosen:
                if verdicts[i].key != key and failures[i].measured:
                    verdicts[i] = _explained(row, claimed, limit, failures[i], first=key)
            for i in _smallest(failures):  # of the rarer kinds, if it is theirs
                if not verdicts[i].reasons and _fits(row, claimed, limit, failures[i], key):
                    verdicts[i] = _explained(row, claimed, limit, failures[i], first=key)
            return verdicts, key, f"fits {count} of {len(tried)} failing cases on which it was tried"
    return verdicts, "", ""


def _votes(row: Operation, claimed: Any, limit: float, tried: Sequence[Failure], key: str) -> int:
    """Of how many cases it is the reason; 0 as soon as it cannot be that of most."""
    left = len(tried)
    for failure in tried:
        left -= not _fits(row, claimed, limit, failure, key)
        if left < MAJORITY * len(tried):
            return 0
    return left


def _representatives(failures: Sequence[Failure]) -> list[int]:
    """Of each of the commonest kinds the smallest failing case, and one of moderate size, which tells more."""
    common = _kinds(failures)[:KINDS]
    return [*dict.fromkeys([*_smallest(failures)[:KINDS], *(_most_telling(failures, group) for group in common)])]


def _kinds(failures: Sequence[Failure]) -> list[list[int]]:
    """The failing cases of each kind, the commonest first."""
    kinds: dict[tuple[str, ...], list[int]] = {}
    for i, failure in enumerate(failures):
        if failure.measured:
            kinds.setdefault(failure.kind, []).append(i)
    return sorted(kinds.values(), key=lambda group: -len(group))


def _smallest(failures: Sequence[Failure]) -> list[int]:
    """Of each kind the smallest case."""
    return [min(group, key=lambda i: failures[i].size) for group in _kinds(failures)]


def _most_telling(failures: Sequence[Failure], group: Sequence[int]) -> int:
    """Of the cases nearest to a moderate size the one with the most distinct singular values."""
    near = sorted(group, key=lambda i: _far(failures[i]))[:NEAR]
    return max(near, key=lambda i: _distinct(failures[i]))


def _distinct(failure: Failure) -> float:
    """Number of clusters of the singular values, above a thousandth of the largest, of the worst member.

    Of points with orthonormal columns, where that says nothing, with what else is given beside them, and few zeros; of
    a vector the entries.
    """
    given = _worst(failure)[0]
    inputs = [x.value for x in given.values()]
    if next(iter(given)) in failure.vectors:
        return _separate(np.sort(np.abs(inputs[0]), axis=None)[::-1])
    found = _clusters(inputs[0])
    if not failure.frames or any(x.shape[:-1] != inputs[0].shape[:-1] for x in inputs):
        return found
    sizes = [float(np.max(np.abs(x), initial=0.0)) or 1.0 for x in inputs]
    beside = np.concatenate([x / size for x, size in zip(inputs, sizes, strict=True)], axis=-1)
    return _clusters(beside) + float(np.mean(inputs[0] != 0)) if beside.size else found


def _clusters(a: np.ndarray) -> int:
    a = ldexp(a, -exponent_of(a))  # LAPACK fails on matrices of subnormal numbers
    return _separate(np.linalg.svd(a, compute_uv=False))


def _separate(s: np.ndarray) -> int:
    s = s[s > 1e-3 * np.max(s, initial=0.0)]
    return int(np.sum(s[:-1] > s[1:] * 1.01))


def _far(failure: Failure) -> float:
    return abs(log(max(failure.size, 1) / TELLING))


def _telling(failures: Sequence[Failure]) -> list[int]:
    """A tall, a wide and a square one of moderate size: enough singular values to tell mistakes apart."""
    groups: dict[int, list[int]] = {}
    for i, failure in enumerate(failures):
        arrays = {**failure.inputs, **failure.outputs}
        m, n = next((x.value.shape[-2:] for name, x in arrays.items() if name not in failure.vectors), (0, 0))
        if failure.measured and min(m, n) > 1:
            groups.setdefault((m > n) - (m < n), []).append(i)
    return [_most_telling(failures, group) for group in groups.values()]


def _keys(row: Operation, claimed: Any, limit: float, failure: Failure) -> list[str]:
    """All mistakes that explain the worst member of a case, most likely first."""
    try:
        return [variant.key for variant in accepted(row, *_worst(failure), claimed, precision_of(failure.format), limit,
                                                    _failed(failure))]  # fmt: skip
    except Exception:  # of results that may hold anything
        return []


def _failed(failure: Failure) -> dict[str, float]:
    return {check.name: check.ratio for check in failure.verdict.checks if not check.holds}


def _worst(failure: Failure) -> tuple[Data, Data]:
    index = next(check.index for check in failure.verdict.checks if not check.holds)
    return member(failure.inputs, index), member(failure.outputs, index)


def _spread(indices: list[int]) -> list[int]:
    """At most TRIED of them, evenly."""
    if len(indices) <= TRIED:
        return indices
    return [indices[i] for i in np.linspace(0, len(indices) - 1, TRIED).astype(int)]


def _explained(row: Operation, claimed: Any, limit: float, failure: Failure, first: str = "") -> Verdict:
    format_ = precision_of(failure.format)
    try:
        return explained(failure.verdict, row, failure.inputs, failure.outputs, claimed, format_, limit, first)
    except Exception as error:  # no result may end the run
        return replace(
            failure.verdict, reasons=[f"the failure could not be explained: {type(error).__name__}: {error}"]
        )


def _fits(row: Operation, claimed: Any, limit: float, failure: Failure, key: str) -> bool:
    """Whether the mistake with this key, undone, makes the worst member of a case right, or is what is seen there."""
    format_ = precision_of(failure.format)
    failed, (inputs, outputs) = _failed(failure), _worst(failure)
    try:
        with np.errstate(all="ignore"):
            variants = row.variants(inputs, outputs, claimed, format_, failed)
            found = next((variant for variant in variants if variant.key == key), None)
            if found is None:
                return explain(row, inputs, outputs, claimed, format_, limit, failed)[0] == key
            return accepts(row, inputs, outputs, claimed, format_, limit, found) is not None
    except Exception:  # of results that may hold anything
        return False
