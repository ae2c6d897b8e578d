"""What a port says of its geometry."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, nan
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


def scale(word: Any) -> float:
    """C of the manifold X^H X = c^2 I."""
    try:
        number = float(word)
    except (TypeError, ValueError):
        number = nan
    if not 0 < number < inf or isinstance(word, bool):
        raise ValueError(f"scale={word!r} is not a positive number")
    return number


METRIC = Claim("metric", "euclidean", "euclidean, canonical, or alpha > -1", kind=metric)
SCALE = Claim("scale", 1.0, "c of the manifold X^H X = c^2 I")
ORDER = Claim("order", 1, "order of the retraction for the metric: 1 or 2", kind=int)


@dataclass(frozen=True)
class Points:
    """A map without options, on X^H X = scale^2 I; the retractions that are first order for every metric have none."""

    scale: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", scale(self.scale))

    @property
    def c(self) -> float:
        """Of (SR-METRIC)."""
        return 1.0

    def said(self) -> list[str]:
        """What is claimed, in words."""
        return [] if self.scale == 1 else [f"scale={self.scale:g}"]

    def __str__(self) -> str:
        return ", ".join(self.said()) or "no options"


@dataclass(frozen=True)
class Geometry(Points):
    """A metric; ``c`` is its weight."""

    metric: str | float = "euclidean"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "metric", metric(self.metric))

    @property
    def c(self) -> float:
        """Of (SR-METRIC)."""
        return weight(self.metric)

    def said(self) -> list[str]:
        """What is claimed, in words."""
        return [f"metric={self.metric}", *super().said()]


@dataclass(frozen=True)
class Retraction(Geometry):
    """A metric, and the order in which a retraction agrees with its geodesics."""

    order: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in (1, 2) or isinstance(self.order, bool):
            raise ValueError(f"order={self.order!r} is not 1 or 2")

    def said(self) -> list[str]:
        """What is claimed, in words."""
        return [f"order={self.order}", *super().said()]
