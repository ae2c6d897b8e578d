"""The command ``orthoref``: one file a command, what they share in ``options``, ``port`` and ``output``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from orthoref._version import __version__
from orthoref.cli.output import COULD_NOT_RUN, to_reader
from orthoref.errors import CannotRun, NotConverged

INTERRUPTED = 130
COMMANDS = ("check", "identify", "schedule", "cases", "export", "judge")


EXPECTED = (
    CannotRun, MemoryError, ModuleNotFoundError, NotConverged, OSError, OverflowError, TypeError, ValueError,
)  # fmt: skip


def command() -> int:
    """:func:`main` in a process whose end is watched: if a port ends it, its exit status is no verdict."""
    if not hasattr(os, "fork"):
        return main()
    done, mine = os.pipe()
    child = os.fork()
    if not child:
        try:
            return main()
        finally:  # argparse leaves by SystemExit
            os.write(mine, b".")
    os.close(mine)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it hears that itself
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(child, number))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.set_blocking(done, False)  # processes of the port may hold the other end
    try:
        finished = os.read(done, 1)
    except BlockingIOError:
        finished = b""
    if finished:
        return status
    if status == -signal.SIGTERM:
        return 128 + signal.SIGTERM
    how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
    print(f"orthoref: no verdict: the process was ended ({how}); if a port does that, check --isolate makes a finding "
          "of it", file=sys.stderr)  # fmt: skip
    return COULD_NOT_RUN


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Exit status 0: holds, or no verdict asked for; 1: fails; 2: could not run; 3: undecided; 4: holds but for inputs
    near the limits of the format.
    """
    with to_reader():  # --help, too
        options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except EXPECTED as error:
        print(f"orthoref: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("orthoref: interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception:  # a fault of ours: no verdict
        traceback.print_exc()
    return COULD_NOT_RUN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="orthoref", description="Reference orthogonality and an oracle for ports of it."
    )
    parser.add_argument("--version", action="version", version=f"orthoref {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in COMMANDS:
        import_module(f"orthoref.cli.{name}").add(commands)
    return parser
