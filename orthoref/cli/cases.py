"""``orthoref cases``: what a run would show."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from orthoref.cli import options as flags
from orthoref.cli.output import HOLDS, say


def add(commands: Any) -> None:
    """The arguments."""
    parser = flags.command(
        commands,
        run,
        "the inputs that a run would show",
        "List the inputs that a run would show: levels of each factor with the number of cases, then for each case\n"
        "its name and the line that recreates it. Exit status: 0 listed, 2 could not run.",
        (
            "cases polar | head -20",
            "cases polar --dtype float32 --shape 16x16 --skip 'extreme scale' --quiet",
            "cases newton_schulz_vjp --battery quick --max-cases 30 --seed 1",
        ),
    )
    parser.add_argument("op", metavar="OPERATION", help=f"one of {flags.operations()}")
    flags.add_battery(parser)
    parser.add_argument("--quiet", action="store_true", help="names and lines only")


def run(options: argparse.Namespace) -> int:
    """List them."""
    from orthoref.oracle import conformance

    cases = conformance.battery(options.op, size=options.battery, **flags.shown(options))
    lines = []
    if not options.quiet:
        lines = [f"{len(cases)} cases of {options.op}"]
        for factor in cases[0].factors:
            levels = Counter(case.factors[factor] for case in cases)
            lines.append(f"  {factor}: " + ", ".join(f"{level} ({count})" for level, count in levels.items()))
        lines.append("")
    width = max(len(case.id) for case in cases)
    lines += [f"{case.id:{width}}  {case.recreate.replace(chr(10), '; ')}" for case in cases]
    say("\n".join(lines))
    return HOLDS
