"""What a port says of itself: the conventions of a constructor."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from orthoref.oracle.operation import Claim

SIGN = Claim("sign", 1, "of A in the Cayley transform: 1, the textbook's (I + A)^-1 (I - A), or -1", kind=int)
FACTOR = Claim("factor", 1.0, "of A in the Cayley transform, positive", kind=float)
SIDE = Claim("side", "left", "where the inverse stands: the factors commute", ("left", "right"))
DIAGONAL = Claim("diagonal", "none", "given: the port takes the signs of the columns as well", ("none", "given"))


ROTATIONS = ("columns", "rows", "brickwall", "round_robin", "butterfly")
PLANES = Claim("order", "columns", "of the planes of the rotations in the product G_1 G_2 ...", ROTATIONS)
PHASE = Claim("phase", "none", "given: the port takes phases as well, the product is complex", ("none", "given"))
ORDER = Claim("order", "forward", "of the reflections: H_1 H_2 ... or backward", ("forward", "backward"))
STORAGE = Claim(
    "storage", "auto", "below: reflectors as LAPACK stores them; full: as they are; auto: below with tau, full without",
    ("auto", "below", "full"),
)  # fmt: skip
TAU = Claim("tau", "given", "given: the port takes tau as well; none: it is 2/|v|^2", ("given", "none"))
COLUMNS = Claim("columns", "thin", "of the product: as many as there are reflectors, or all", ("thin", "full"))
SPECIAL = Claim("special", "no", "yes: determinants are 1, the measure of the rotations", ("no", "yes"))
FALSE_ALARM = Claim(
    "false_alarm", 1e-9, "probability with which one sample of the right measure is refused", kind=float
)
GAIN = Claim("gain", 1.0, "factor on the orthonormal matrix", kind=float)
LAYOUTS = ("torch", "jax", "haiku")
LAYOUT = Claim("layout", "torch", "how a weight is a matrix: (axis, others), jax: (others, axis)", LAYOUTS)
AXIS = Claim("axis", None, "that is kept: 0 of torch, -1 of jax and haiku, if not given", kind=int)
SPACE = Claim(
    "space", "any", "skew: a cotangent of A is skew-Hermitian itself; any: its skew part counts", ("any", "skew")
)


@dataclass(frozen=True)
class Cayley:
    """(I + c A)^-1 (I - c A) D, c = sign factor."""

    sign: int = 1
    factor: float = 1.0
    side: str = "left"
    diagonal: str = "none"
    space: str = "any"

    def __post_init__(self) -> None:
        if self.sign not in (1, -1) or isinstance(self.sign, bool):
            raise ValueError(f"sign={self.sign!r} is not 1 or -1")
        if not 0 < self.factor < inf or isinstance(self.factor, bool):
            raise ValueError(f"factor={self.factor!r} is not positive")
        require("side", self.side, SIDE)
        require("diagonal", self.diagonal, DIAGONAL)
        require("space", self.space, SPACE)

    @property
    def c(self) -> float:
        """Of c A."""
        return self.sign * self.factor

    def __str__(self) -> str:
        return f"sign={self.sign}, factor={self.factor:g}, side={self.side}, diagonal={self.diagonal}"


@dataclass(frozen=True)
class Skew:
    """A map of skew-Hermitian matrices without options."""

    space: str = "any"

    def __post_init__(self) -> None:
        require("space", self.space, SPACE)

    def __str__(self) -> str:
        return "no options"


@dataclass(frozen=True)
class Givens:
    """Product of rotations in an order of their planes."""

    order: str = "columns"
    phase: str = "none"

    def __post_init__(self) -> None:
        require("order", self.order, PLANES)
        require("phase", self.phase, PHASE)

    def __str__(self) -> str:
        return f"order={self.order}, phase={self.phase}"


@dataclass(frozen=True)
class Householder:
    """Product of reflections I - tau v v^H."""

    storage: str = "auto"
    tau: str = "given"
    order: str = "forward"
    columns: str = "thin"

    def __post_init__(self) -> None:
        for name, claim in (("storage", STORAGE), ("tau", TAU), ("order", ORDER), ("columns", COLUMNS)):
            require(name, getattr(self, name), claim)
        if self.storage == "auto":
            object.__setattr__(self, "storage", "below" if self.tau == "given" else "full")

    def __str__(self) -> str:
        return f"storage={self.storage}, tau={self.tau}, order={self.order}, columns={self.columns}"


@dataclass(frozen=True)
class Haar:
    """Uniform on the matrices with orthonormal columns, or on the rotations."""

    special: str = "no"
    false_alarm: float = 1e-9

    def __post_init__(self) -> None:
        require("special", self.special, SPECIAL)
        require_probability(self.false_alarm)

    def __str__(self) -> str:
        return f"special={self.special}, false_alarm={self.false_alarm:g}"


@dataclass(frozen=True)
class Init:
    """Gain times a uniform orthonormal matrix, laid out as a weight."""

    gain: float = 1.0
    layout: str = "torch"
    axis: int | None = None
    false_alarm: float = 1e-9

    def __post_init__(self) -> None:
        require("layout", self.layout, LAYOUT)
        require_probability(self.false_alarm)
        if not 0 < self.gain < inf or isinstance(self.gain, bool):
            raise ValueError(f"gain={self.gain!r} is not positive")
        if isinstance(self.axis, bool) or not isinstance(self.axis, int | None):
            raise ValueError(f"axis={self.axis!r} is no integer")

    def __str__(self) -> str:
        axis = "" if self.axis is None else f", axis={self.axis}"
        return f"gain={self.gain:g}, layout={self.layout}{axis}, false_alarm={self.false_alarm:g}"


def require_probability(value: float) -> None:
    """ValueError for what is none."""
    if isinstance(value, bool) or not 0 < value < 1:
        raise ValueError(f"false_alarm={value!r} is not a probability")


def require(name: str, value: object, claim: Claim) -> None:
    """ValueError for a word that is no choice of a claim."""
    if value not in claim.choices:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(claim.choices)}")
