"""What a command writes: to a reader that may go away, verdicts, files."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from orthoref.errors import CannotRun

if TYPE_CHECKING:
    from orthoref.oracle.report import Report

HOLDS, FAILS, COULD_NOT_RUN, UNDECIDED, IN_RANGE = range(5)
STATUS = {"HOLDS": HOLDS, "FAILS": FAILS, "UNDECIDED": UNDECIDED, "HOLDS IN RANGE": IN_RANGE}
STYLE = {"HOLDS": "bold green", "FAILS": "bold red", "UNDECIDED": "bold yellow", "HOLDS IN RANGE": "bold yellow"}
EXIT = "Exit status: 0 holds, 1 fails, 2 no verdict, 3 undecided, 4 holds but for inputs near the limits of the format."


@contextmanager
def to_reader() -> Iterator[None]:
    """Standard output, where a reader that has seen enough (``| head``) is no error."""
    try:
        yield
        if sys.stdout is not None:  # closed
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor is it one when the interpreter ends


@contextmanager
def aside() -> Iterator[None]:
    """What foreign code prints goes to stderr, where it changes the working folder, that ends here."""
    with chdir("."), redirect_stdout(sys.stderr):
        yield


def say(text: str) -> None:
    """Print."""
    with to_reader():
        print(text)


def writable(*paths: Path | None) -> None:
    """CannotRun for a file that cannot be written, before anything is computed."""
    for path, times in Counter(path.absolute() for path in paths if path is not None).items():
        if times > 1:
            raise CannotRun(f"{path} is to be written twice")
        if not path.parent.is_dir():
            raise CannotRun(f"no folder {path.parent} to write {path.name} to")
        if path.is_dir():
            raise CannotRun(f"{path} is a folder")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise CannotRun(f"{path} cannot be written")


def require_report(options: argparse.Namespace) -> None:
    """What the files of a report need, before the run."""
    writable(options.html, options.json, options.junit)


def reported(report: Report, options: argparse.Namespace) -> int:
    """Print the verdict, write what was asked for; the exit status."""
    from orthoref.cli import machines

    with to_reader():
        show(report, options.quiet)
        if options.format == "github":
            print(machines.github(report))
    for path, text in ((options.json, report.json), (options.html, report.html)):
        if path is not None:
            path.write_text(text(), encoding="utf-8")
    if options.junit is not None:
        options.junit.write_text(machines.junit(report), encoding="utf-8")
    return STATUS[report.status]


def show(report: Report, quiet: bool) -> None:
    """The verdict, with rich if that is installed."""
    if quiet:
        print(report.summary())
        return
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        print(report.text())
        return
    first, _, rest = report.text().partition("\n")
    console = Console(soft_wrap=True, highlight=False)
    console.print(Text(first, style=STYLE[report.status]))
    console.print(Text(rest))
