"""The command ``orthoref``."""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthoref._version import __version__
from orthoref.errors import CannotRun, NotCertified, NotConverged, OutsideDomain

if TYPE_CHECKING:
    from orthoref._schedules.certificate import Certificate
    from orthoref._schedules.schedule import Schedule
    from orthoref.oracle.operation import Claim
    from orthoref.oracle.report import Report

HOLDS, FAILS, COULD_NOT_RUN, UNDECIDED = 0, 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Exit status 0: holds, or no verdict asked for; 1: fails; 2: could not run; 3: undecided."""
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
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_check(commands)
    _add_export(commands)
    _add_judge(commands)
    _add_schedule(commands)
    return parser


def _add_check(commands: Any) -> None:
    check = commands.add_parser(
        "check",
        help="judge a function of another package",
        description="Judge a function over a battery of hard inputs. "
        "Exit status: 0 holds, 1 fails, 2 could not run, 3 undecided.",
    )
    check.set_defaults(run=_check)
    check.add_argument("port", metavar="MODULE:FUNCTION", help="for instance scipy.linalg:polar")
    check.add_argument("--op", default="polar", help="operation to judge it as (default: polar)")
    check.add_argument("--array", choices=("auto", "numpy", "torch", "jax", "cupy"), default="auto",
                       help="arrays it takes (default: by the name of its module)")  # fmt: skip
    check.add_argument("--derivative", nargs="?", const="auto", metavar="MODE",
                       help="judge its derivative, by automatic differentiation: torch, torch vmap, jax, jax jit, "
                       "jax vmap, jax reverse (default: by the arrays it takes)")  # fmt: skip
    check.add_argument("--kind", choices=("vjp", "jvp", "vjp_jvp"), default="vjp",
                       help="with --derivative: reverse, forward mode, double backward (default: vjp)")  # fmt: skip
    _add_claims(check)
    check.add_argument("--timeout", type=float, default=60.0, help="seconds for one call (default: 60)")
    _add_report(check)


def _add_export(commands: Any) -> None:
    export = commands.add_parser(
        "export",
        help="write the inputs of a battery for a port in any language",
        description="Write the inputs of a battery, and what is expected of a port, as files. "
        "Exit status: 0 written, 2 could not run.",
    )
    export.set_defaults(run=_export)
    export.add_argument("op", metavar="OPERATION", help="for instance polar")
    export.add_argument("folder", metavar="DIR", type=Path, help="new or empty")
    _add_claims(export)
    export.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_judge(commands: Any) -> None:
    judge = commands.add_parser(
        "judge",
        help="judge the results that a program wrote for an export",
        description="Judge the files that a program in any language wrote for the inputs of an export. "
        "Exit status: 0 holds, 1 fails, 2 could not run, 3 undecided.",
    )
    judge.set_defaults(run=_judge)
    judge.add_argument("folder", metavar="DIR", type=Path, help="what orthoref export wrote")
    judge.add_argument("results", metavar="RESULTS", type=Path, help="folder of the results; may be the same")
    judge.add_argument("--name", help="how the report calls the port (default: RESULTS)")
    _add_report(judge)


def _add_claims(command: Any) -> None:
    """What a port says of itself, and how much of the battery it is shown."""
    command.add_argument(
        "--returns", default="auto", metavar="NAMES", help="what it returns, for instance uh (default: auto)"
    )
    command.add_argument(
        "--dtype",
        action="append",
        metavar="D",
        help="claimed dtype; repeat for several (default: float32, float64; polar: complex as well)",
    )
    command.add_argument(
        "--shape", action="append", metavar="MxN", type=_shape, help="claimed shape such as 8x8, 5x3 or 2x4x4; repeat"
    )
    for name, claims in _claims().items():
        about = "; ".join(f"{operation}: {claim.help}" for operation, claim in claims.items())
        claim = next(iter(claims.values()))
        flag = f"--{name.replace('_', '-')}"
        more = {"action": "append"} if claim.repeated else {}
        command.add_argument(flag, help=about, type=claim.kind, metavar=name.upper(), **more)
    command.add_argument(
        "--precision", help="format it computes in, if less than the dtype: float32, tf32, bfloat16, ..."
    )
    command.add_argument(
        "--skip",
        action="append",
        default=[],
        metavar="FAMILY",
        help="level of the battery, or law, outside the claim; repeat",
    )
    command.add_argument("--battery", choices=("quick", "default", "exhaustive"), default="default",
                         help="how much of it is run (default: default)")  # fmt: skip
    command.add_argument("--seed", type=int, default=0, help="another seed, another battery (default: 0)")
    command.add_argument("--max-cases", type=int, metavar="N", help="at most so many, those that cover most first")


def _add_report(command: Any) -> None:
    command.add_argument("--limit", type=float, help="largest accepted ratio (default: 10; newton_schulz: 4)")
    command.add_argument("--html", type=Path, metavar="FILE", help="write the report with plots")
    command.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    command.add_argument("--quiet", action="store_true", help="one line only, no progress bar")


def _add_schedule(commands: Any) -> None:
    schedule = commands.add_parser(
        "schedule",
        help="coefficients of a Newton-Schulz iteration, with a certificate",
        description="Print the coefficients of a schedule and what is proved about it. Numbers are taken exactly as "
        "written. Exit status: 0 printed, whatever the certificate says, 2 could not run.",
    )
    schedule.set_defaults(run=_schedule)
    what = schedule.add_mutually_exclusive_group(required=True)
    what.add_argument("name", nargs="?", metavar="NAME", help="of a published schedule, for instance polar-express")
    what.add_argument("--minimax", metavar="LOWER", help="design the best composition for [LOWER, 1]")
    what.add_argument("--compare", nargs="+", metavar="NAME", help="certificates of several in one table")
    what.add_argument("--list", action="store_true", help="all names with their sources")
    schedule.add_argument("--degree", type=int, metavar="D", help="with --minimax: of each polynomial (default: 5)")
    schedule.add_argument("--cushion", metavar="C", help="with --minimax: see schedules.minimax (default: 0)")
    schedule.add_argument("--safety", metavar="S", help="with --minimax: margin for rounding errors (default: 0)")
    schedule.add_argument("--steps", type=int, metavar="N", help="default: the schedule's own; 5 with --minimax")
    schedule.add_argument("--lower", metavar="L", help="certify [L, U] (default: 1e-3; with --minimax: LOWER)")
    schedule.add_argument("--upper", default="1", metavar="U", help="(default: 1)")
    schedule.add_argument("--dtype", metavar="D", help="round the coefficients to bfloat16, float16, tf32 or float32")
    schedule.add_argument("--plot", type=Path, metavar="FILE", help="draw output against input, for instance f.png")
    schedule.add_argument("--json", type=Path, metavar="FILE", help="write everything that is printed")


def _check(options: argparse.Namespace) -> int:
    from orthoref.oracle import conformance

    _require_report(options)
    port = _load(options.port)
    report = conformance.check(
        _guarded(port, options.timeout),
        options.op,
        convert=_converter(options.array, options.port),
        limit=options.limit,
        timeout=options.timeout,
        name=options.port,
        derivative=_framework(options),
        kind=options.kind,
        **_claimed(options),
    )
    faulthandler.cancel_dump_traceback_later()
    return _reported(report, options)


def _export(options: argparse.Namespace) -> int:
    from orthoref.oracle import exchange

    path = exchange.export(options.op, options.folder, **_claimed(options))
    print(f"written: {path}; what a program makes of it is judged by: orthoref judge {options.folder} RESULTS")
    return HOLDS


def _judge(options: argparse.Namespace) -> int:
    from orthoref.oracle import exchange

    _require_report(options)
    report = exchange.judge(
        options.folder, options.results, limit=options.limit, name=options.name, progress=not options.quiet
    )
    return _reported(report, options)


def _claimed(options: argparse.Namespace) -> dict[str, Any]:
    """What ``_add_claims`` asked for, as arguments."""
    return {
        "returns": options.returns,
        "dtypes": options.dtype,
        "shapes": options.shape,
        "precision": options.precision,
        "skip": options.skip,
        "battery": options.battery,
        "seed": options.seed,
        "max_cases": options.max_cases,
        "progress": not options.quiet,
        **{claim: value for claim in _claims() if (value := getattr(options, claim)) is not None},
    }


def _require_report(options: argparse.Namespace) -> None:
    _writable(options.html, options.json)
    if options.html is not None:
        _require("matplotlib", "--html")


def _reported(report: Report, options: argparse.Namespace) -> int:
    _show(report, options.quiet)
    if options.json is not None:
        options.json.write_text(report.json(), encoding="utf-8")
    if options.html is not None:
        options.html.write_text(report.html(), encoding="utf-8")
    return {"HOLDS": HOLDS, "FAILS": FAILS, "UNDECIDED": UNDECIDED}[report.status]


def _framework(options: argparse.Namespace) -> str | None:
    """The mode of --derivative; without one that of the arrays."""
    if options.derivative != "auto":
        return options.derivative
    kind = options.array if options.array != "auto" else options.port.partition(".")[0].partition(":")[0]
    if kind not in ("torch", "jax"):
        raise CannotRun("--derivative needs --array torch or --array jax, or a mode")
    return kind


def _claims() -> dict[str, dict[str, Claim]]:
    """Every claim of the table by name, and which operations have it."""
    from orthoref.oracle.operations import ROWS

    found: dict[str, dict[str, Claim]] = {}
    for operation, row in ROWS.items():
        for claim in row.claims:
            found.setdefault(claim.name, {})[operation] = claim
    return found


def _writable(*paths: Path | None) -> None:
    for path in paths:
        if path is not None and not path.absolute().parent.is_dir():
            raise CannotRun(f"no folder {path.absolute().parent} to write {path.name} to")
        if path is not None and path.is_dir():
            raise CannotRun(f"{path} is a folder")


def _schedule(options: argparse.Namespace) -> int:
    from orthoref.oracle.newton_schulz import present

    if options.list:
        print(present.listing())
        return HOLDS
    _writable(options.plot, options.json)
    pairs = [_certified(schedule, options) for schedule in _chosen(options)]
    if options.plot is not None:
        present.figure(pairs).savefig(options.plot, dpi=150)
    if options.json is not None:
        found = {"schema": "orthoref-schedules-1", "schedules": [present.record(*pair) for pair in pairs]}
        options.json.write_text(json.dumps(found, indent=1, allow_nan=False), encoding="utf-8")
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
    return [schedules.get(name) for name in options.compare or [options.name]]


def _certified(schedule: Schedule, options: argparse.Namespace) -> tuple[Schedule, Certificate]:
    from orthoref import schedules

    lower = next(x for x in (options.lower, options.minimax, "1e-3") if x is not None)
    try:
        certificate = schedules.certify(schedule, lower, options.upper, steps=options.steps, dtype=options.dtype)
    except (NotCertified, OutsideDomain) as error:
        raise CannotRun(f"{schedule.name}: {error}") from error
    return schedule if options.dtype is None else schedule.rounded(options.dtype), certificate


def _guarded(port: Callable[..., Any], timeout: float) -> Callable[..., Any]:
    """The port under a second watchdog, in C: native code that hangs and holds the interpreter lock ends the process.

    The traceback goes to stderr, the exit status is 1.
    """

    def guarded(*arrays: Any) -> Any:
        faulthandler.dump_traceback_later(2 * timeout + 10, exit=True, file=sys.__stderr__ or 2)
        return port(*arrays)

    return guarded


def _load(name: str) -> Callable[..., Any]:
    module_name, colon, attribute = name.partition(":")
    if not colon or not attribute:
        raise CannotRun(f"{name!r} is not of the form MODULE:FUNCTION")
    sys.path.insert(0, "")
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:  # importing runs foreign code
        raise CannotRun(f"cannot load {name}: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise CannotRun(f"{name} is a {type(found).__name__}, not a function")
    return found


def _converter(kind: str, port: str) -> Callable[[Any], Any] | None:
    if kind == "auto":
        kind = port.partition(".")[0].partition(":")[0]
    if kind == "torch":
        torch = _require("torch", "--array torch")
        return torch.from_numpy  # layouts too: a copy would be in C order
    if kind == "jax":
        jax = _require("jax", "--array jax")
        jax.config.update("jax_enable_x64", True)
        return jax.numpy.asarray
    if kind == "cupy":
        return _require("cupy", "--array cupy").asarray
    return None


def _require(module: str, why: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise CannotRun(f"{why} needs {module}: {error}") from error


def _shape(text: str) -> tuple[int, ...]:
    parts = text.lower().split("x")
    shape = tuple(int(part) if part.isdecimal() else -1 for part in parts)
    if len(shape) < 2 or min(shape) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a shape of at least two dimensions")
    return shape


def _show(report: Report, quiet: bool) -> None:
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
    console.print(
        Text(first, style={"HOLDS": "bold green", "FAILS": "bold red", "UNDECIDED": "bold yellow"}[report.status])
    )
    console.print(Text(rest))


def _version() -> str:
    return f"orthoref {__version__}"


if __name__ == "__main__":
    raise SystemExit(main())
