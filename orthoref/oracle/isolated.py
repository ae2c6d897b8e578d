"""A port in processes of its own: what ends one (abort, segmentation fault, out of memory) is a finding.

Arrays are made, the port is called and its contract is checked there. With one process the inputs as they were and the
results come back lifted, and are judged here, out of reach of the port; with several each judges what it has called,
and the verdicts come back in the order of the cases.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from queue import LifoQueue
from tempfile import mkstemp
from types import TracebackType
from typing import Any

import numpy as np

from orthoref.errors import CannotRun
from orthoref.oracle.cases import Case
from orthoref.oracle.laws import LAWS, broken
from orthoref.oracle.lift import Lifted
from orthoref.oracle.operation import Law
from orthoref.oracle.operations import ROWS
from orthoref.oracle.run import About, Called, Judged, Raised, Run, about, contract, described
from orthoref.oracle.verdict import Verdict
from orthoref.oracle.watchdog import Hung, Watchdog

MOST = 10  # processes that a port may end before the rest of the cases is left
START = 300.0  # seconds that loading a port may take
CALLS = 100  # more than a law makes
FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$', re.MULTILINE)


class Died(Raised):
    """The port ended its process."""

    def __init__(self, status: int | None, where: str = "") -> None:
        super().__init__(f"ended its process: {_described(status)}{where and f' ({where})'}", "Died")

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
    """Another process, begun when it is first asked, and anew when it has died."""

    def __init__(self, recipe: bytes, timeout: float) -> None:
        self._recipe = recipe
        self._timeout = timeout
        self._process: Any = None
        self._over = False

    def ask(self, *request: Any, calls: int = 1) -> Any:
        """The answer; :class:`Died` if there is none, :class:`Hung` if it does not come in time."""
        if self._process is None:
            self._begin()
        try:
            if self._over:  # since it was begun
                raise EOFError
            self._pipe.send(request)
            return self._answer(calls * (2 * self._timeout) + 10)
        except (EOFError, OSError):
            raise Died(*self.end()) from None

    def _begin(self) -> None:
        context = get_context("spawn")
        file, self._last = mkstemp(prefix="orthoref-")  # what the interpreter says when it dies
        os.close(file)
        self._pipe, other = context.Pipe()
        # no daemon: a port may have processes of its own
        process = context.Process(target=_serve, args=(other, self._last))
        process.start()
        self._process = process
        other.close()
        try:
            self._pipe.send_bytes(self._recipe)
            self._answer(START)
        except (EOFError, OSError):
            raise CannotRun(
                f"the process of the port ended when it was loaded: {_described(self.end()[0])} "
                "(a script that runs this needs `if __name__ == '__main__':`)"
            ) from None

    def _answer(self, seconds: float) -> Any:
        if not self._pipe.poll(seconds):
            self.end()
            raise Hung(f"did not return within {seconds:g} s")
        answer, error = self._pipe.recv()
        if error is not None:
            raise error
        return answer

    def kill(self) -> None:
        """End the process whatever it does; who waits for an answer hears of it."""
        self._over = True
        process = self._process
        if process is not None:
            process.kill()

    def end(self) -> tuple[int | None, str]:
        """End the process if there is one; its exit status, and where it was when it died."""
        if self._process is None:
            return None, ""
        self._pipe.close()
        self._process.join(1)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        status, self._process = self._process.exitcode, None
        last = Path(self._last)
        frame = FRAME.search(last.read_text(encoding="utf-8", errors="replace"))
        last.unlink()
        return status, f"{Path(frame[1]).name}:{frame[2]} in {frame[3]}" if frame else ""


class Team:
    """Context manager: one process or several, which answer what is asked in the order in which it is asked."""

    def __init__(self, recipe: Recipe, jobs: int) -> None:
        try:
            pickled = pickle.dumps(recipe)
        except Exception as error:
            raise CannotRun(
                f"isolate= and jobs= need a port and a convert= that can be pickled, functions of a module: {error}"
            ) from None
        self.jobs = jobs
        self._deaths = 0
        self._children = [Child(pickled, recipe.timeout) for _ in range(jobs)]
        self._idle: LifoQueue[Child] = LifoQueue()  # what one was given last is what it is asked about next
        for child in self._children:
            self._idle.put(child)
        self._threads = ThreadPoolExecutor(jobs)

    def __enter__(self) -> Team:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for child in {*self._children} - {*self._idle.queue}:
            child.kill()
        self._threads.shutdown()
        for child in self._children:
            child.end()

    def ask(self, *request: Any) -> Any:
        """The answer of one of them."""
        return next(self.answers([request]))()

    def answers(self, requests: Iterable[tuple[Any, ...]], calls: int = 1) -> Iterator[Callable[[], Any]]:
        """For each request a function that waits for its answer and returns or raises it; to be called in this order.

        :class:`Ended`, whoever has answered what, if the answers so far have cost too many processes.
        """
        futures = [self._threads.submit(self._asked, request, calls) for request in requests]
        return (partial(self._answer, future) for future in futures)

    def _asked(self, request: tuple[Any, ...], calls: int) -> Any:
        child = self._idle.get()
        try:
            return child.ask(*request, calls=calls)
        finally:
            self._idle.put(child)

    def _answer(self, future: Future[Any]) -> Any:
        try:
            return future.result()
        except Died as error:
            self._deaths += 1
            if self._deaths >= MOST:
                raise Ended(str(error)) from None
            raise


@dataclass(frozen=True)
class Seen(Called):
    """A call that was made in another process, and what its contract says."""

    faults: tuple[str, ...] = ()


@dataclass(frozen=True)
class Isolated(Run):
    """A run whose port is called in other processes."""

    team: Team = field(kw_only=True)

    def give(self, case: Case) -> tuple[dict[str, Any], dict[str, Lifted]]:
        """Inputs as the port takes them stay there; lifted."""
        return {}, self.team.ask("give", case)

    def call(self, given: dict[str, Any], before: dict[str, Lifted]) -> Called:
        """One call with what was given last."""
        outputs, faults = self.team.ask("call")
        return Seen(given, before, {}, outputs, tuple(faults))

    def judge(self, case: Case, called: Called, *, reasons: bool = False) -> Verdict:
        """The verdict over one call."""
        verdict = super().judge(case, called, reasons=reasons)
        verdict.faults.extend(called.faults if isinstance(called, Seen) else ())
        return verdict

    def about(self) -> About:
        """As :func:`orthoref.oracle.run.about`, there."""
        try:
            return self.team.ask("about")
        except (Raised, Hung):  # it will be said with the first case
            return About("", {}, None)

    def judged_cases(self, cases: Iterable[Case]) -> Iterator[Judged]:
        """The verdicts, in order."""
        if self.team.jobs == 1:
            yield from map(self.judged, cases)
            return
        for case, answer in zip(cases, self.team.answers(("judged", case) for case in cases), strict=True):
            try:
                yield answer()
            except Died as error:
                yield Judged(Verdict(case.id, faults=[error.fault]), raised=error)

    def broken_laws(self, trials: Iterable[tuple[Law, Case, Case]]) -> Iterator[str]:
        """How each law is broken, or nothing; it is tried as a whole there."""
        requests = (("law", law.name, case, other) for law, case, other in trials)
        for (law, _, _), answer in zip(trials, self.team.answers(requests, CALLS), strict=True):
            try:
                yield answer()
            except Raised as error:
                yield f"{law.text}: {error.fault}"


def _serve(pipe: Any, last: str) -> None:
    """The other process."""
    sys.stdout = sys.stderr
    with (
        suppress(EOFError, BrokenPipeError, KeyboardInterrupt),
        open(last, "w", encoding="utf-8") as file,  # noqa: PTH123 - of the interpreter, too
    ):
        faulthandler.enable(file)
        try:
            recipe: Recipe = pickle.loads(pipe.recv_bytes())
            port = recipe.port if recipe.wrap is None else recipe.wrap(recipe.port)
        except Exception as error:  # loading runs foreign code
            pipe.send((None, error if isinstance(error, CannotRun) else CannotRun(described(error))))
            return
        pipe.send((None, None))
        with Watchdog(recipe.timeout) as watchdog:
            run = Run(port, ROWS[recipe.operation], watchdog=watchdog, **recipe.run)
            server = _Server(recipe.port, run)
            while True:
                name, *arguments = pipe.recv()
                try:
                    with np.errstate(all="ignore"):
                        pipe.send((getattr(server, name)(*arguments), None))
                except Hung as error:
                    pipe.send((None, error))
                    return
                except (Raised, ValueError, CannotRun) as error:
                    pipe.send((None, error))


class _Server:
    def __init__(self, port: Callable[..., Any], run: Run) -> None:
        self.port, self.run = port, run
        self.given: tuple[dict[str, Any], dict[str, Lifted]] = {}, {}

    def about(self) -> About:
        return about(self.port, self.run.convert)

    def give(self, case: Case) -> dict[str, Lifted]:
        self.given = self.run.give(case)
        return self.given[1]

    def call(self) -> tuple[dict[str, Lifted], list[str]]:
        called = self.run.call(*self.given)
        return called.outputs, [*contract(called, self.run.own_memory)]

    def judged(self, case: Case) -> Judged:
        return self.run.judged(case)

    def law(self, name: str, case: Case, other: Case) -> str:
        law = next(law for law in (*LAWS, *self.run.row.laws) if law.name == name)
        return broken(self.run, law, case, other)


def _described(status: int | None) -> str:
    if status is None or status >= 0:
        return f"exit status {status}"
    name = signal.Signals(-status).name if -status in {*signal.Signals} else f"signal {-status}"
    return name + (" (out of memory?)" if name == "SIGKILL" else "")
