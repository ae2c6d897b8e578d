"""A port in a process of its own: what ends that process (abort, segmentation fault, out of memory) is a finding.

Arrays are made, the port is called and its contract is checked there; the inputs as they were and the results come back
lifted, and are judged here.
"""

from __future__ import annotations

import faulthandler
import pickle
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from types import TracebackType
from typing import Any

import numpy as np

from orthoref.errors import CannotRun
from orthoref.oracle.cases import Case
from orthoref.oracle.laws import LAWS, broken
from orthoref.oracle.lift import Lifted
from orthoref.oracle.operation import Law
from orthoref.oracle.operations import ROWS
from orthoref.oracle.run import Called, Raised, Run, contract
from orthoref.oracle.verdict import Verdict
from orthoref.oracle.watchdog import Hung, Watchdog

MOST = 10  # processes that a port may end before the rest of the cases is left
START = 300.0  # seconds that loading a port may take
CALLS = 100  # more than a law makes


class Died(Raised):
    """The port ended its process."""

    def __init__(self, status: int | None) -> None:
        Exception.__init__(self, f"ended its process: {_described(status)}")
        self.where, self.kind = "", "Died"

    @property
    def fault(self) -> str:
        """For a verdict."""
        return str(self)


class Ended(Hung):
    """The port ended its process too often."""

    ended = f"the port had ended its process {MOST} times"


@dataclass(frozen=True)
class Recipe:
    """What a run in another process is made of; all of it can be pickled."""

    port: Callable[..., Any]
    wrap: Callable[..., Any] | None
    operation: str
    run: dict[str, Any]
    timeout: float


class Child:
    """Context manager: the other process, begun anew when it has died."""

    def __init__(self, recipe: Recipe) -> None:
        try:
            self._recipe = pickle.dumps(recipe)
        except Exception as error:
            raise CannotRun(
                f"isolate= needs a port and a convert= that can be pickled, functions of a module: {error}"
            ) from None
        self._timeout = recipe.timeout
        self._deaths = 0
        self._process: Any = None

    def __enter__(self) -> Child:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._end()

    def ask(self, *request: Any, calls: int = 1) -> Any:
        """The answer; :class:`Died` if there is none, :class:`Hung` if it does not come in time."""
        if self._process is None:
            self._begin()
        try:
            self._pipe.send(request)
            return self._answer(calls * (2 * self._timeout) + 10)
        except (EOFError, OSError):
            status = self._end()
            self._deaths += 1
            if self._deaths >= MOST:
                raise Ended(str(Died(status))) from None
            raise Died(status) from None

    def _begin(self) -> None:
        context = get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other,), daemon=True)
        self._process.start()
        other.close()
        try:
            self._pipe.send_bytes(self._recipe)
            self._answer(START)
        except (EOFError, OSError):
            raise CannotRun(f"the port ended its process when it was loaded: {_described(self._end())}") from None

    def _answer(self, seconds: float) -> Any:
        if not self._pipe.poll(seconds):
            self._end()
            raise Hung(f"did not return within {seconds:g} s")
        kind, *answer = self._pipe.recv()
        if kind == "raised":
            text, name, where = answer
            error = Raised.__new__(Raised, text)
            error.kind, error.where = name, where
            raise error
        if kind != "answer":
            raise {"hung": Hung, "value": ValueError, "cannot": CannotRun}[kind](*answer)
        return answer[0]

    def _end(self) -> int | None:
        self._pipe.close()
        self._process.join(1)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        status, self._process = self._process.exitcode, None
        return status


@dataclass(frozen=True)
class Seen(Called):
    """A call that was made in another process, and what its contract says."""

    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Isolated(Run):
    """A run whose port is called in another process."""

    child: Child = field(kw_only=True)

    def give(self, case: Case) -> tuple[dict[str, Any], dict[str, Lifted]]:
        """Inputs as the port takes them stay there; lifted."""
        return {}, self.child.ask("give", case)

    def call(self, given: dict[str, Any], before: dict[str, Lifted]) -> Called:
        """One call with what was given last."""
        outputs, faults = self.child.ask("call")
        return Seen(given, before, {}, outputs, tuple(faults))

    def judge(self, case: Case, called: Called, *, reasons: bool = False) -> Verdict:
        """The verdict over one call."""
        verdict = super().judge(case, called, reasons=reasons)
        verdict.faults.extend(called.faults if isinstance(called, Seen) else ())
        return verdict

    def broken(self, law: Law, case: Case, other: Case) -> str:
        """A law is tried as a whole there."""
        try:
            return self.child.ask("law", law.name, case, other, calls=CALLS)
        except Raised as error:
            return f"{law.text}: {error.fault}"


def _serve(pipe: Any) -> None:
    """The other process."""
    faulthandler.enable()
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        try:
            recipe: Recipe = pickle.loads(pipe.recv_bytes())
            port = recipe.port if recipe.wrap is None else recipe.wrap(recipe.port)
        except Exception as error:  # loading runs foreign code
            pipe.send(("cannot", str(error) if isinstance(error, CannotRun) else f"{type(error).__name__}: {error}"))
            return
        pipe.send(("answer", None))
        with Watchdog(recipe.timeout) as watchdog:
            run = Run(port, ROWS[recipe.operation], watchdog=watchdog, **recipe.run)
            server = _Server(run)
            while True:
                name, *arguments = pipe.recv()
                try:
                    pipe.send(("answer", getattr(server, name)(*arguments)))
                except Raised as error:
                    pipe.send(("raised", str(error), error.kind, error.where))
                except Hung as error:
                    pipe.send(("hung", str(error)))
                    return
                except ValueError as error:
                    pipe.send(("value", str(error)))


class _Server:
    def __init__(self, run: Run) -> None:
        self.run = run
        self.given: tuple[dict[str, Any], dict[str, Lifted]] = {}, {}

    def give(self, case: Case) -> dict[str, Lifted]:
        with np.errstate(all="ignore"):
            self.given = self.run.give(case)
        return self.given[1]

    def call(self) -> tuple[dict[str, Lifted], list[str]]:
        called = self.run.call(*self.given)
        return called.outputs, [*contract(called, self.run.own_memory)]

    def law(self, name: str, case: Case, other: Case) -> str:
        law = next(law for law in (*LAWS, *self.run.row.laws) if law.name == name)
        return broken(self.run, law, case, other)


def _described(status: int | None) -> str:
    if status is None or status >= 0:
        return f"exit status {status}"
    name = signal.Signals(-status).name if -status in {*signal.Signals} else f"signal {-status}"
    return name + (" (out of memory?)" if name == "SIGKILL" else "")
