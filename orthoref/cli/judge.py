"""``orthoref judge``: the files that a program wrote for an export."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from orthoref.cli import options as flags
from orthoref.cli.output import EXIT, reported, require_report


def add(commands: Any) -> None:
    """The arguments."""
    parser = flags.command(
        commands,
        run,
        "judge the results that a program wrote for an export",
        f"Judge the files that a program in any language wrote for the inputs of an export.\n{EXIT}",
        (
            "judge cases results",
            "judge cases results --name my_port --html report.html",
            "judge cases results --limit 4 --json report.json --quiet",
        ),
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="what orthoref export wrote")
    parser.add_argument("results", metavar="RESULTS", type=Path, help="folder of the results; may be the same")
    parser.add_argument("--name", help="how the report calls the port (default: RESULTS)")
    flags.add_report(parser)


def run(options: argparse.Namespace) -> int:
    """Judge the files."""
    from orthoref.oracle import exchange

    require_report(options)
    report = exchange.judge(
        options.folder, options.results, limit=options.limit, name=options.name, progress=not options.quiet
    )
    return reported(report, options)
