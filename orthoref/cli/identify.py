"""``orthoref identify``: which Newton-Schulz iteration a function computes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from orthoref.cli import options as flags
from orthoref.cli import port as ports
from orthoref.cli.output import HOLDS, aside, say, writable
from orthoref.errors import CannotRun, require


def add(commands: Any) -> None:
    """The arguments."""
    parser = flags.command(
        commands,
        run,
        "which Newton-Schulz iteration a function computes",
        "Compare a function with all published schedules, numbers of steps, normalizations, eps and update scales.\n"
        "Exit status: 0 said, whatever was found, 2 could not run.",
        (
            "identify mymuon.py:orthogonalize",
            "identify mymuon.py:orthogonalize --array torch --keyword steps=5 --keyword 'norm=\"fro\"'",
            "identify mymuon.py:orthogonalize --array jax --dtype bfloat16 --candidate muon --candidate you-5",
        ),
    )
    flags.add_port(parser)
    parser.add_argument("--dtype", action="append", metavar="D",
                        help="of the probes: float32, float64, with --array bfloat16 (default: float32)")  # fmt: skip
    parser.add_argument("--candidate", action="append", metavar="NAME", help="look among these schedules; repeat")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the map of the singular values as measured")


def run(options: argparse.Namespace) -> int:
    """Say what was found."""
    from orthoref import schedules
    from orthoref.oracle.run import Raised

    writable(options.plot)
    if options.plot is not None:
        require("matplotlib", "report")
    with aside():
        port = ports.load(options.port, options.keyword)

    def asked(a: Any) -> Any:
        try:
            return port(a)
        except Exception as error:  # whatever a port raises
            raise Raised.by(error) from None

    convert = ports.converter(options)
    try:
        with aside():
            found = schedules.identify(
                asked, convert=convert, candidates=options.candidate,
                dtype="float32" if convert and convert.dtype else (options.dtype or ["float32"])[-1],
            )  # fmt: skip
    except Raised as error:
        raise CannotRun(f"the port raised: {error.hint}") from None
    if options.plot is not None:
        found.figure().savefig(options.plot, dpi=150)
    say(found.text())
    return HOLDS
