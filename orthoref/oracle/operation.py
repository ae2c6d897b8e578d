"""The vocabulary of a row of the operations table. Dataclasses only: nothing here knows an operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orthoref.oracle.battery import Levels
from orthoref.oracle.cases import Companion
from orthoref.oracle.lift import Lifted, lift
from orthoref.oracle.precision import Precision

Data = Mapping[str, Lifted]


@dataclass(frozen=True)
class Claim:
    """Something that a port says of itself. Flags, validation, defaults and help texts come from here.

    ``kind`` makes the value of a command-line word; ``choices`` are the accepted values, if they can be listed;
    a ``repeated`` claim is a sequence.
    """

    name: str
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    kind: Callable[[str], Any] = str
    repeated: bool = False


@dataclass(frozen=True)
class Check:
    """What is measured of given inputs and outputs, however they were computed.

    ``text`` is the error, ``of`` the size that it is relative to. ``limit`` is the check's own, where the run's limit
    does not apply.
    """

    name: str
    text: str
    of: str = ""
    limit: float | None = None


@dataclass(frozen=True)
class Ratio:
    """One line of a verdict: the worst ratio of a stack against its limit; ``absolute`` is the error itself."""

    name: str
    text: str
    ratio: float
    limit: float
    absolute: float
    index: tuple[int, ...] = ()
    relative: bool = True

    @property
    def holds(self) -> bool:
        """Whether the ratio is a number and within its limit."""
        return self.ratio <= self.limit  # False for NaN


@dataclass(frozen=True)
class Measurement:
    """One check over a stack: ratios, limits and what a ratio of 1 is in relative terms, of the batch shape."""

    name: str
    text: str
    ratio: np.ndarray
    limit: np.ndarray | float
    unit: np.ndarray | float
    relative: bool = True

    @property
    def holds(self) -> np.ndarray:
        """Whether the ratios are numbers within their limits."""
        return self.ratio <= self.limit

    def worst(self) -> Ratio:
        """The ratio that exceeds its limit most; the first NaN if there is one."""
        if not self.ratio.size:
            return Ratio(self.name, self.text, 0.0, float(np.max(self.limit, initial=0.0)), 0.0, (), self.relative)
        limit, unit = (np.broadcast_to(x, self.ratio.shape) for x in (self.limit, self.unit))
        with np.errstate(all="ignore"):
            excess = np.where(limit > 0, self.ratio / limit, self.ratio)
        excess = np.where(np.isnan(self.ratio), np.inf, excess)
        index = tuple(int(i) for i in np.unravel_index(int(np.argmax(excess)), excess.shape))
        ratio = float(self.ratio[index])
        absolute = float(ratio * unit[index])
        return Ratio(self.name, self.text, ratio, float(limit[index]), absolute, index, self.relative)


@dataclass(frozen=True)
class Measured:
    """What the measures of a family say of one result.

    ``judged`` flags the members of the stack that could be judged (ratios of others are NaN-free zeros), ``notes`` say
    why others could not, ``faults`` what is wrong although no ratio says so. ``observed`` is what the family wants to
    pool over a whole run.
    """

    measurements: Sequence[Measurement]
    judged: np.ndarray
    notes: Sequence[str] = ()
    faults: Sequence[str] = ()
    observed: Any = None


@dataclass(frozen=True)
class Variant:
    """A known mistake, undone: the inputs, outputs, the claim or the format under which the result would be right.

    ``key`` is the mistake without the numbers of this case: what two cases of one run have in common. Neighbours that
    are ``rival`` compete: of those that the measures accept the best wins. ``most`` is the largest accepted ratio,
    where that is less than the limit.
    """

    key: str
    reason: str
    outputs: Mapping[str, np.ndarray] | None = None
    claimed: Any = None
    precision: Precision | None = None
    rival: bool = False
    most: float = float("inf")
    inputs: Mapping[str, np.ndarray] | None = None


@dataclass(frozen=True)
class Law:
    """What several calls of a port have to do with each other.

    ``broken(run, case, other)`` says how it is broken, or nothing; ``run`` calls and judges, see
    :mod:`orthoref.oracle.run`, and ``other`` is a case of another shape, if there is one.
    ``call`` is its level of the factor "call" in the table of passes and failures.
    """

    name: str
    text: str
    call: str
    broken: Callable[..., str]


@dataclass(frozen=True)
class Operation:
    """A row of the table: what the oracle knows of an operation.

    Attributes
    ----------
    name : str
        Dotted public name, without ``orthoref.``.
    inputs, outputs : tuple of str
        Names of the arrays; ``optional`` outputs may be left out.
    reference, jvp, vjp, condition : callables
        Ours; the derivatives and the condition number where there are.
    claims : tuple of Claim
        What a port may say of itself; ``claim(**given)`` checks it and returns it as one object.
    shapes : callable
        ``shapes(claimed, *input shapes)``: the shapes of the outputs by name.
    checks : tuple of Check
    measure : callable
        ``measure(inputs, outputs, claimed, precision, limit)``: a :class:`Measured`.
    variants : callable
        ``variants(inputs, outputs, claimed, precision, failed)`` of one member: known mistakes, most likely first;
        ``failed`` holds the ratios of the checks that fail.
    describe : callable
        ``describe(inputs, outputs, claimed, precision, failed)`` of one member: what is seen, if no mistake is known;
        with an empty ``failed`` what has to be said beside a known one.
    outside : callable
        ``outside(inputs, claimed)``: why there is nothing to judge at an input, or nothing.
    companions : callable
        ``companions(claimed)``: (co)tangents that belong to the first input, by name, and the shape that each is like,
        with the names of those that it belongs to beside: see :func:`orthoref.oracle.cases.cotangent`, or a function
        that takes its place. Inputs that it leaves out are not given.
    size : callable
        ``size(claimed)``: factor on the first input of every case.
    vectors : tuple of str
        Inputs and outputs of shape (..., n); the oracle has them as columns (..., n, 1).
    random : bool
        A port may return something else for the same input: the laws about equal bits are not tried.
    complexes : callable
        ``complexes(claimed)``: outputs that are complex where the first input is real.
    shown : callable
        ``shown(claimed, levels)``: what of the levels a claim leaves, and what draws its inputs.
    levels : Levels
        Of the factors of an input, what a conformance run shows: see :mod:`orthoref.oracle.battery`.
    limit : float
        Largest accepted ratio; ``unit`` says of what.
    pool : callable, optional
        ``pool(observed, claimed, precision)``: a :class:`Measured` of a whole run.
    hazards : callable
        ``hazards(claimed, precision)``: what the claim itself does that its maker may not want, in sentences.
    enclosure : callable, optional
        A rigorous enclosure of the exact result, from ``orthoref.certify``.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    checks: tuple[Check, ...]
    limit: float
    measure: Callable[[Data, Data, Any, Precision, float], Measured]
    variants: Callable[..., Iterator[Variant]]
    describe: Callable[..., list[str]]
    shapes: Callable[..., dict[str, tuple[int, ...]]] = lambda claimed, *inputs: {}
    claims: tuple[Claim, ...] = ()
    claim: Callable[..., Any] = lambda: None
    reference: Callable[..., Any] | None = None
    levels: Levels = Levels()  # noqa: RUF009 - frozen
    dtypes: tuple[str, ...] = ("float32", "float64", "complex64", "complex128")
    unit: str = ""
    optional: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()
    random: bool = False
    complexes: Callable[[Any], tuple[str, ...]] = lambda claimed: ()
    shown: Callable[[Any, Levels], Levels] = lambda claimed, levels: levels
    outside: Callable[..., str] = lambda inputs, claimed: ""
    companions: Callable[[Any], Mapping[str, Companion]] = lambda claimed: {}
    size: Callable[[Any], float] = lambda claimed: 1.0
    jvp: Callable[..., Any] | None = None
    vjp: Callable[..., Any] | None = None
    condition: Callable[..., Any] | None = None
    pool: Callable[..., Measured] | None = None
    hazards: Callable[..., Sequence[str]] = lambda claimed, precision: ()
    enclosure: Callable[..., Any] | None = None
    laws: tuple[Law, ...] = ()

    def lift(self, name: str, x: Any) -> Lifted:
        """An input or output."""
        return lift(name, x, vector=name in self.vectors)

    def asked(self, claimed: Any, inputs: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """Shapes of the outputs as a port returns them, of inputs as it takes them."""
        columns = [(*shape, 1) if name in self.vectors else shape for name, shape in inputs.items()]
        found = self.shapes(claimed, *columns)
        return {name: shape[:-1] if name in self.vectors else shape for name, shape in found.items()}
