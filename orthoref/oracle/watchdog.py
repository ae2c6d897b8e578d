"""Calls with a time limit, in one worker thread."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from queue import Empty, Queue
from threading import TIMEOUT_MAX, Thread
from types import TracebackType
from typing import Any


class Hung(Exception):
    """A call did not return in time; ``ended`` says why nothing more is called."""

    ended = "the port hung"


class _Stopped(BaseException):
    """Raised inside the worker; a BaseException, so that ``except Exception`` in a port does not catch it."""


class Watchdog:
    """Context manager whose ``call`` gives up after ``timeout`` seconds.

    The call runs in a daemon thread. Python code that hangs is stopped by an exception raised in that thread; native
    code that hangs cannot be stopped from within the process and is left behind. (The command line adds
    ``faulthandler``, which ends the process even if native code holds the interpreter lock.)
    """

    def __init__(self, timeout: float) -> None:
        if not 0 < timeout <= TIMEOUT_MAX / 4:
            raise ValueError(f"timeout={timeout!r} is not between 0 and {TIMEOUT_MAX / 4:.3g} seconds")
        self.timeout = timeout
        self._work: Queue[tuple[Callable[..., Any], tuple[Any, ...]] | None] = Queue()
        self._done: Queue[tuple[Any, BaseException | None]] = Queue()
        self._thread = Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Watchdog:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._work.put(None)

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The function's result or exception; :class:`Hung` after the timeout, and then call no more."""
        self._work.put((function, arguments))
        try:
            result, error = self._done.get(timeout=self.timeout)
        except Empty:
            if self._thread.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread.ident), ctypes.py_object(_Stopped)
                )
            raise Hung(f"did not return within {self.timeout:g} s") from None
        if error is not None:
            raise error
        return result

    def _serve(self) -> None:
        try:
            while (job := self._work.get()) is not None:
                function, arguments = job
                try:
                    self._done.put((function(*arguments), None))
                except _Stopped:
                    raise
                except Exception as error:
                    self._done.put((None, error))
                except BaseException as error:  # a port that calls sys.exit() must not end the run
                    self._done.put((None, RuntimeError(f"{type(error).__name__}({error})")))
        except _Stopped:
            pass
