"""What a port says of its geometry."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

from orthoref.oracle.operation import Claim

METRICS = {"euclidean": 1.0, "canonical": 0.5}


def metric(word: Any) -> str | float:
    """A name, or the number alpha of the family of metrics."""
    if word in METRICS:
        return str(word)
    try:
        alpha = float(word)
    except (TypeError, ValueError):
        alpha = -inf
    if not -1 < alpha < inf or isinstance(word, bool):
        raise ValueError(f"metric={word!r} is not euclidean, canonical or a number alpha > -1")
    return alpha


def weight(name: str | float) -> float:
    """C of the metric |Z|^2 + c |A|^2: (SR-METRIC) c = 1/(2 (alpha + 1)), Euclidean alpha = -1/2, canonical 0."""
    return METRICS[name] if isinstance(name, str) else 1 / (2 * (name + 1))


METRIC = Claim("metric", "euclidean", "euclidean, canonical, or alpha > -1", kind=metric)
ORDER = Claim("order", 1, "order of the retraction for the metric: 1 or 2", kind=int)


@dataclass(frozen=True)
class Geometry:
    """A metric; ``c`` is its weight."""

    metric: str | float = "euclidean"

    def __post_init__(self) -> None:
        object.__setattr__(self, "metric", metric(self.metric))

    @property
    def c(self) -> float:
        """Of (SR-METRIC)."""
        return weight(self.metric)

    def __str__(self) -> str:
        return f"metric={self.metric}"


@dataclass(frozen=True)
class Retraction(Geometry):
    """A metric, and the order in which a retraction agrees with its geodesics."""

    order: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in (1, 2) or isinstance(self.order, bool):
            raise ValueError(f"order={self.order!r} is not 1 or 2")

    def __str__(self) -> str:
        return f"order={self.order}, metric={self.metric}"


@dataclass(frozen=True)
class Nothing:
    """A map without options; the retractions that are first order for every metric, and their relatives."""

    c: float = 1.0

    def __str__(self) -> str:
        return "no options"
