"""``orthoref schedule``: coefficients, and what is proved about them."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthoref.cli import options as flags
from orthoref.cli.output import HOLDS, say, to_reader, writable
from orthoref.errors import CannotRun, NotCertified, OutsideDomain

if TYPE_CHECKING:
    from orthoref._schedules.certificate import Certificate
    from orthoref._schedules.schedule import Schedule


def add(commands: Any) -> None:
    """The arguments."""
    schedule = flags.command(
        commands,
        run,
        "coefficients of a Newton-Schulz iteration, with a certificate",
        "Print the coefficients of a schedule and what is proved about it (which needs the extra certify).\n"
        "Numbers are taken exactly as written. Exit status: 0 printed, whatever the certificate says, 2 could not run.",
        (
            "schedule polar-express --dtype bfloat16",
            "schedule --minimax 1e-3 --steps 6 --safety 0.01 --plot schedule.png",
            "schedule --compare muon polar-express you-6 --lower 1e-2",
        ),
    )
    what = schedule.add_mutually_exclusive_group(required=True)
    what.add_argument("name", nargs="?", metavar="NAME", help="of a published schedule, for instance polar-express")
    what.add_argument("--minimax", metavar="LOWER", help="design the best composition for [LOWER, 1]")
    what.add_argument("--compare", nargs="+", metavar="NAME", help="certificates of several in one table")
    what.add_argument("--list", action="store_true", help="all names, with their aliases and sources")
    schedule.add_argument("--degree", type=int, metavar="D", help="with --minimax: of each polynomial (default: 5)")
    schedule.add_argument("--cushion", metavar="C", help="with --minimax: see schedules.minimax (default: 0)")
    schedule.add_argument("--safety", metavar="S", help="with --minimax: margin for rounding errors (default: 0)")
    schedule.add_argument("--steps", type=int, metavar="N", help="default: the schedule's own; 5 with --minimax")
    schedule.add_argument("--lower", metavar="L", help="certify [L, U] (default: 1e-3; with --minimax: LOWER)")
    schedule.add_argument("--upper", default="1", metavar="U", help="(default: 1)")
    schedule.add_argument("--dtype", metavar="D", help="round the coefficients to bfloat16, float16, tf32 or float32")
    schedule.add_argument("--plot", type=Path, metavar="FILE", help="draw output against input, for instance f.png")
    schedule.add_argument("--json", type=Path, metavar="FILE", help="write everything that is printed")


def run(options: argparse.Namespace) -> int:
    """Print, draw, write."""
    from orthoref.oracle.newton_schulz import present

    if options.list:
        say(present.listing())
        return HOLDS
    writable(options.plot, options.json)
    chosen = _chosen(options)
    if find_spec("flint") is None and not (options.compare or options.plot or options.json):
        say(present.uncertified(_rounded(chosen[0], options), options.steps))
        return HOLDS
    pairs = [_certified(schedule, options) for schedule in chosen]
    if options.plot is not None:
        present.figure(pairs).savefig(options.plot, dpi=150)
    if options.json is not None:
        found = {"schema": "orthoref-schedules-1", "schedules": [present.record(*pair) for pair in pairs]}
        options.json.write_text(json.dumps(found, indent=1, allow_nan=False), encoding="utf-8")
    with to_reader():
        if options.compare:
            present.show([certificate for _, certificate in pairs])
        else:
            print(present.text(*pairs[0]))
    return HOLDS


def _chosen(options: argparse.Namespace) -> list[Schedule]:
    from orthoref import schedules

    design = {key: value for key in ("degree", "cushion", "safety") if (value := getattr(options, key)) is not None}
    if options.minimax is not None:
        return [schedules.minimax(options.minimax, 5 if options.steps is None else options.steps, **design)]
    if design:
        raise CannotRun(f"--{next(iter(design))} needs --minimax")
    # an alias stays what the user wrote
    return [replace(schedules.get(name), name=name) for name in options.compare or [options.name]]


def _rounded(schedule: Schedule, options: argparse.Namespace) -> Schedule:
    return schedule if options.dtype is None else schedule.rounded(options.dtype)


def _certified(schedule: Schedule, options: argparse.Namespace) -> tuple[Schedule, Certificate]:
    from orthoref import schedules

    lower = next(x for x in (options.lower, options.minimax, "1e-3") if x is not None)
    try:
        certificate = schedules.certify(schedule, lower, options.upper, steps=options.steps, dtype=options.dtype)
    except (NotCertified, OutsideDomain) as error:
        raise CannotRun(f"{schedule.name}: {error}") from error
    return _rounded(schedule, options), certificate
