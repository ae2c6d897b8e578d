"""A port in a run: how it is called, what its results are, whether they hold."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from inspect import getsourcefile, getsourcelines, unwrap
from pathlib import Path
from typing import Any, NamedTuple

import array_api_compat as compat
import numpy as np

from orthoref.errors import OutsideDomain
from orthoref.oracle.cases import Case
from orthoref.oracle.lift import Lifted, lift
from orthoref.oracle.operation import Operation
from orthoref.oracle.precision import precision_of
from orthoref.oracle.verdict import Verdict, judge
from orthoref.oracle.watchdog import Hung, Watchdog

OURS = tuple(f"{Path(__file__).parents[1] / name}{os.sep}" for name in ("oracle", "cli"))  # who calls a port


@dataclass(frozen=True)
class Called:
    """One call: what was given, as it was before, and what came back, as the port returned it and lifted."""

    given: dict[str, Any]
    before: dict[str, Lifted]
    returned: dict[str, Any]
    outputs: dict[str, Lifted]
    vectors: tuple[str, ...] = field(default=(), kw_only=True)

    def again(self) -> dict[str, Lifted]:
        """The outputs as they are now."""
        return {name: lift(name, x, vector=name in self.vectors) for name, x in self.returned.items()}


class Raised(Exception):
    """What a port raised: exception, message, and the last frame of the port's own file; excused where it may.

    Or, ``unusable``, that what it returned is nothing that can be judged.
    """

    def __init__(self, text: str, kind: str = "", where: str = "", unusable: bool = False) -> None:
        super().__init__(text)
        self.kind, self.where, self.unusable, self.excused = kind, where, unusable, False

    @classmethod
    def by(cls, error: Exception) -> Raised:
        """By the exception that came out of the port."""
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(OURS)]
        last = next((frame for frame in reversed(frames) if frame.filename == frames[0].filename), None)
        where = f"{last.filename}:{last.lineno} in {last.name}" if last else ""
        return cls(described(error), type(error).__name__, where)

    @property
    def fault(self) -> str:
        """For a verdict."""
        return f"{'the result cannot be judged:' if self.unusable else 'raised'} {self}"

    @property
    def hint(self) -> str:
        """What to do if it is raised whatever the input: the call is wrong then, not the result."""
        text = str(self)
        hint = ""
        if "argument" in text and ("missing" in text or "unexpected keyword" in text):
            hint = "; its other arguments are given by --keyword NAME=VALUE, in Python by functools.partial"
        elif self.unusable:
            hint = "; --returns (returns=) says what the port returns"
        elif self.kind in ("TypeError", "AttributeError", "ValueError"):
            hint = "; --array torch, jax or cupy (convert=) makes the arrays that it takes"
        return f"{text}{f' ({self.where})' if self.where else ''}{hint}"


@dataclass(frozen=True)
class Judged:
    """One case of a run: the verdict without reasons, what it takes to explain it if it fails, what was raised."""

    verdict: Verdict
    before: dict[str, Lifted] = field(default_factory=dict)
    outputs: dict[str, Lifted] = field(default_factory=dict)
    raised: Raised | None = None


@dataclass(frozen=True)
class Run:
    """A port, what it claims, and how it is called."""

    port: Callable[..., Any]
    row: Operation
    claimed: Any
    precision: str | None
    limit: float
    convert: Callable[[np.ndarray], Any] | None
    order: tuple[str, ...] | None
    watchdog: Watchdog
    own_memory: bool = True

    def give(self, case: Case) -> tuple[dict[str, Any], dict[str, Lifted]]:
        """Inputs as the port takes them, and lifted: it is judged on what it was given (XLA flushes subnormals)."""
        made = case.inputs()
        given = {name: x if self.convert is None else self.convert(x) for name, x in made.items()}
        before = {name: self.row.lift(name, x) for name, x in given.items()}
        for name, x in before.items():
            real = made[name].dtype.kind == "c" and not case.dtype.startswith("complex")
            wanted = made[name].dtype.name if real else case.dtype  # a complex matrix of real parameters
            if x.dtype != wanted:
                hint = " (jax.config.update('jax_enable_x64', True)?)" if compat.is_jax_array(given[name]) else ""
                raise ValueError(f"convert made {x.dtype} of a {wanted} input{hint}")
        return given, before

    def call(self, given: dict[str, Any], before: dict[str, Lifted]) -> Called:
        """One call; :class:`Raised` whatever the port raises, also if the result is nothing that can be judged."""
        try:
            result = self.watchdog.call(self.port, *given.values())
        except Hung:
            raise
        except Exception as error:  # whatever a port raises is a finding
            raise Raised.by(error) from None
        try:
            returned = outputs(result, self.order, self.row)
            lifted = {name: self.row.lift(name, x) for name, x in returned.items()}
            return Called(given, before, returned, lifted, vectors=self.row.vectors)
        except Exception as error:  # foreign arrays
            text = str(error) if isinstance(error, (TypeError, ValueError)) else described(error)
            raise Raised(text, type(error).__name__, unusable=True) from None

    def called(self, case: Case) -> Called:
        """A call with inputs made anew."""
        return self.call(*self.give(case))

    def format_of(self, case: Case) -> str:
        """The format whose rounding is the unit of error."""
        return self.precision or case.dtype

    def judge(self, case: Case, called: Called, *, reasons: bool = False) -> Verdict:
        """The verdict over one call."""
        try:
            verdict = judge(
                self.row,
                called.before,
                called.outputs,
                self.claimed,
                precision=precision_of(self.format_of(case)),
                limit=self.limit,
                subject=case.id,
                also=self.precision or "",
                reasons=reasons,
            )
        except OutsideDomain as error:  # the exact result does not exist
            return Verdict(case.id, notes=[f"not judged: {error}"])
        except Exception as error:  # no result may end the run
            return Verdict(case.id, faults=[f"the result could not be judged: {described(error)}"])
        verdict.faults.extend(contract(called, self.own_memory))
        return verdict

    def judged(self, case: Case) -> Judged:
        """A call and the verdict over it."""
        before: dict[str, Lifted] = {}
        try:
            given, before = self.give(case)
            called = self.call(given, before)
        except Raised as error:
            outside = self.row.outside(before, self.claimed) if before else ""
            error.excused = bool(outside)
            verdict = Verdict(case.id, notes=[outside]) if outside else Verdict(case.id, faults=[error.fault])
            return Judged(verdict, raised=error)
        verdict = self.judge(case, called)
        return Judged(verdict) if verdict.holds else Judged(verdict, called.before, called.outputs)


def order_of(row: Operation, returns: str) -> tuple[str, ...] | None:
    """Names of what the port returns, None for "auto"."""
    if returns == "auto":
        return None
    order = tuple(returns.split(",")) if "," in returns or returns in row.outputs else tuple(returns)
    required = set(row.outputs) - set(row.optional)
    if not order or len(set(order)) < len(order) or not required <= set(order) <= set(row.outputs):
        raise ValueError(f"returns={returns!r} is not 'auto' or an order of {', '.join(row.outputs)}")
    return order


def outputs(result: Any, order: tuple[str, ...] | None, row: Operation) -> dict[str, Any]:
    """The results by name; a single name takes the first of several."""
    if len(row.outputs) == 1:
        return {row.outputs[0]: result}
    several = isinstance(result, (tuple, list))
    if order is None:
        order = row.outputs if several and len(result) > 1 else row.outputs[:1]
    if len(order) == 1:
        return {order[0]: result[0] if several else result}
    if not several or len(result) < len(order):
        raise TypeError(f"the port returned a {type(result).__name__}, not {len(order)} arrays")
    return dict(zip(order, result, strict=False))


def contract(called: Called, own_memory: bool) -> Iterator[str]:
    """Broken promises that every port makes: inputs untouched, array type and device kept, results in own memory."""
    for name, x in called.given.items():
        try:
            unchanged = np.array_equal(lift(name, x, vector=name in called.vectors).value, called.before[name].value)
        except Exception:  # deleted, donated, reshaped
            unchanged = False
        if not unchanged:
            yield "the input was changed in place" if len(called.given) == 1 else f"{name} was changed in place"
    first = next(iter(called.given.values()), None)
    for name, x in called.returned.items():
        if type(x) is not type(first):
            yield f"{name} is a {_type(x)}, the input a {_type(first)}"
        elif compat.is_array_api_obj(x) and compat.device(x) != compat.device(first):
            yield f"{name} is on device {compat.device(x)}, the input on {compat.device(first)}"
        if own_memory and any(_share(x, a) for a in called.given.values()):
            yield f"{name} shares memory with the input: it changes with it"


def _share(x: Any, a: Any) -> bool:
    """Known for NumPy and torch, by address: a result does not lie between the entries of an input."""
    if isinstance(x, np.ndarray) and isinstance(a, np.ndarray):
        return x.size > 0 and bool(np.may_share_memory(x, a))
    if "torch" in sys.modules and compat.is_torch_array(x) and compat.is_torch_array(a):
        return x.numel() > 0 and int(x.untyped_storage().data_ptr()) == int(a.untyped_storage().data_ptr()) != 0
    return False


class About(NamedTuple):
    """What a report says of a port beside verdicts: arrays, versions of packages, file and line of its source."""

    arrays: str
    versions: dict[str, str]
    source: tuple[str, int] | None


def about(port: Callable[..., Any], convert: Callable[[np.ndarray], Any] | None) -> About:
    """It, where the port is loaded."""
    arrays = _arrays(convert)
    while isinstance(port, partial) or unwrap(port) is not port:
        port = unwrap(port.func if isinstance(port, partial) else port)
    return About(arrays, _versions(port, arrays), _source(port))


def _arrays(convert: Callable[[np.ndarray], Any] | None) -> str:
    """Type and device of the arrays that a port is given."""
    a = np.ones((1, 1), "float32")
    with suppress(Exception):  # it will be said with the first case
        x = a if convert is None else convert(a)
        device = f" on {compat.device(x)}" if compat.is_array_api_obj(x) else ""
        return f"{_type(x)}{device}"
    return ""


def _versions(port: Callable[..., Any], arrays: str) -> dict[str, str]:
    """Of the package that the port is from, and of the library of its arrays."""
    home = getattr(port, "__module__", None) or type(port).__module__
    found = {}
    for root in (each.partition(":")[0].partition(".")[0] for each in (home, arrays)):
        loaded = getattr(sys.modules.get(root), "__version__", None)
        with suppress(PackageNotFoundError, ValueError):
            found[root] = str(loaded) if loaded else version(root)
    return found


def _source(port: Callable[..., Any]) -> tuple[str, int] | None:
    with suppress(OSError, TypeError):  # native, or typed in
        return str(Path(getsourcefile(port) or "").resolve()), getsourcelines(port)[1]
    return None


def described(error: Exception) -> str:
    """Type and first line of an exception; foreign exceptions may be broken themselves."""
    try:
        lines = str(error).splitlines()
    except Exception:
        lines = []
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _type(x: Any) -> str:
    return f"{type(x).__module__.partition('.')[0]}.{type(x).__name__}"
