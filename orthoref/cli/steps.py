"""``orthoref check --op muon``: an optimiser as its package has it."""

from __future__ import annotations

import argparse
import ast
from typing import Any

from orthoref.cli import port as ports
from orthoref.cli.output import STATUS, aside, require_report, show, to_reader
from orthoref.errors import CannotRun

NAME = "muon"
CLAIMS = ("schedule", "steps", "normalize", "eps", "eps_rule", "precision")  # flags that are switches of the rule
NOT_HERE: dict[str, Any] = {  # flags of other operations, with what they are by default
    "derivative": None, "isolate": False, "jobs": 1, "junit": None, "format": "text", "limit": None, "device": None,
    "battery": "default", "max_cases": None, "skip": [],
}  # fmt: skip


def add(parser: argparse.ArgumentParser) -> None:
    """The arguments."""
    group = parser.add_argument_group("with --op muon")
    what = "of orthoref.steps.PRESETS, what the optimiser claims to be (default: by its package)"
    group.add_argument("--preset", default="auto", metavar="NAME", help=what)
    how = "option of orthoref.steps.muon in which it claims to differ from the preset; repeat"
    group.add_argument("--switch", action="append", default=[], metavar="NAME=VALUE", help=how)


def run(options: argparse.Namespace) -> int:
    """Judge the optimiser."""
    from orthoref.oracle.optimisers import judge

    for name, default in NOT_HERE.items():
        if getattr(options, name) != default:
            raise CannotRun(f"--{name.replace('_', '-')} does not go with --op {NAME}")
    dtypes = options.dtype or ["float32"]
    if len(dtypes) > 1:
        raise CannotRun(f"--op {NAME} takes one --dtype at a time")
    require_report(options)
    switches = {name: value for name in CLAIMS if (value := getattr(options, name, None)) is not None}
    switches |= dict(map(_switch, options.switch))
    with aside():
        report = judge.check(
            ports.load(options.port, options.keyword),
            options.preset,
            switches=switches,
            dtype=dtypes[0],
            shapes=options.shape,
            seed=options.seed,
            arrays=options.array,
            name=options.port,
        )
    with to_reader():
        show(report, options.quiet)
    for path, text in ((options.json, report.json), (options.html, report.html)):
        if path is not None:
            path.write_text(text(), encoding="utf-8")
    return STATUS[report.status]


def _switch(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise CannotRun(f"--switch {text!r} is not of the form NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value
