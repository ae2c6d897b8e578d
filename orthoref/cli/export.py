"""``orthoref export``: the battery as files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from orthoref.cli import options as flags
from orthoref.cli.output import HOLDS, say


def add(commands: Any) -> None:
    """The arguments."""
    parser = flags.command(
        commands,
        run,
        "write the inputs of a battery for a port in any language",
        "Write the inputs of a battery, and what is expected of a port, as files.\n"
        "Exit status: 0 written, 2 could not run.",
        (
            "export polar cases",
            "export polar cases --dtype float32 --shape 16x16 --shape 40x10 --returns u",
            "export newton_schulz cases --schedule muon --eps 1e-7 --precision bfloat16 --battery quick",
        ),
    )
    parser.add_argument("op", metavar="OPERATION", help=f"one of {flags.operations()}")
    parser.add_argument("folder", metavar="DIR", type=Path, help="new or empty")
    flags.add_claims(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(options: argparse.Namespace) -> int:
    """Write the files."""
    from orthoref.oracle import exchange

    path = exchange.export(options.op, options.folder, **flags.claimed(options))
    say(f"written: {path}; what a program makes of it is judged by: orthoref judge {options.folder} RESULTS")
    return HOLDS
