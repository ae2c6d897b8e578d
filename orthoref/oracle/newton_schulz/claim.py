"""What a port of a finite Newton-Schulz iteration claims to compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from orthoref._newton_schulz.iteration import newton_schulz
from orthoref._newton_schulz.normalization import resolve
from orthoref._schedules import presets
from orthoref._schedules.schedule import Normalization, Schedule
from orthoref.arrays import require_choice

UPDATE_SCALES: dict[str, Callable[[int, int], float]] = {
    "none": lambda m, n: 1.0,
    "sqrt(max(1, m/n))": lambda m, n: max(1.0, m / n) ** 0.5,
    "sqrt(max(1, n/m))": lambda m, n: max(1.0, n / m) ** 0.5,
    "0.2 sqrt(max(m, n))": lambda m, n: 0.2 * max(m, n) ** 0.5,
    "sqrt(m/n)": lambda m, n: (m / n) ** 0.5,
    "sqrt(n/m)": lambda m, n: (n / m) ** 0.5,
    "sqrt(max(m, n))": lambda m, n: max(m, n) ** 0.5,
}


@dataclass(frozen=True)
class Iteration:
    """What a port claims to compute: the arguments of :func:`orthoref.newton_schulz`, and a factor on the result."""

    schedule: Schedule
    steps: int
    normalization: Normalization
    eps: float = 0.0
    eps_rule: Literal["add", "clamp"] = "add"
    form: Literal["standard", "gram"] = "standard"
    restart: tuple[int, ...] = ()
    scale: str = "none"
    alias: str = field(default="", compare=False)  # of the schedule, as it was asked for

    def __str__(self) -> str:
        eps = f", eps {self.eps:.3g} ({self.eps_rule})" if self.eps else ""
        scale = f", times {self.scale}" if self.scale != "none" else ""
        restart = f" restarted at {', '.join(map(str, self.restart))}" if self.restart else ""
        form = f", Gram form{restart}" if self.form == "gram" else ""
        return f"{self.name}, {self.steps} steps, norm {self.normalization}{eps}{form}{scale}"

    @property
    def name(self) -> str:
        """Of the schedule, as it was asked for."""
        return self.alias if presets.ALIASES.get(self.alias) == self.schedule.name else self.schedule.name

    def factor(self, m: int, n: int) -> float:
        """The update scale for a matrix of shape (m, n)."""
        return UPDATE_SCALES[self.scale](m, n)


def iteration(
    schedule: str | Schedule = "muon",
    *,
    steps: int | None = None,
    normalize: str | Normalization | None = None,
    eps: float = 0.0,
    eps_rule: Literal["add", "clamp"] = "add",
    form: Literal["standard", "gram"] = "standard",
    restart: Sequence[int] = (),
    scale: str = "none",
) -> Iteration:
    """An :class:`Iteration` from the arguments of :func:`orthoref.newton_schulz`, checked."""
    alias = schedule if isinstance(schedule, str) else ""
    schedule = presets.get(schedule) if isinstance(schedule, str) else schedule
    if not isinstance(schedule, Schedule):
        raise TypeError(f"schedule must be a name or a Schedule, not {type(schedule).__name__}")
    require_choice("scale", scale, tuple(UPDATE_SCALES))
    count = len(schedule.steps(steps))
    options: Any = {"normalize": normalize, "eps": eps, "eps_rule": eps_rule, "form": form, "restart": restart}
    newton_schulz(np.zeros((1, 2)), schedule, steps=count, **options)  # checks the rest
    return Iteration(schedule, count, resolve(normalize, schedule), eps, eps_rule, form, tuple(restart), scale, alias)


def run(a: np.ndarray, claimed: Iteration) -> np.ndarray:
    """The iteration in float64, which is 2^29 times finer than float32."""
    return newton_schulz(
        a,
        claimed.schedule,
        steps=claimed.steps,
        normalize=claimed.normalization,
        eps=claimed.eps,
        eps_rule=claimed.eps_rule,
    )
