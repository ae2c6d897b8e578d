"""The command ``orthoref``: one file a command, what they share in ``options``, ``port`` and ``output``."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from orthoref._version import __version__
from orthoref.cli.output import COULD_NOT_RUN, to_reader
from orthoref.errors import CannotRun, NotConverged

COMMANDS = ("check", "identify", "schedule", "cases", "export", "judge")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Exit status 0: holds, or no verdict asked for; 1: fails; 2: could not run; 3: undecided; 4: holds but for inputs
    near the limits of the format.
    """
    with to_reader():  # --help, too
        options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (CannotRun, ModuleNotFoundError, NotConverged, OSError, OverflowError, TypeError, ValueError) as error:
        print(f"orthoref: {error}", file=sys.stderr)
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
