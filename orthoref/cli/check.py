"""``orthoref check``: a function of another package over the battery."""

from __future__ import annotations

import argparse
import faulthandler
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from orthoref.cli import options as flags
from orthoref.cli import port as ports
from orthoref.cli.output import EXIT, aside, reported, require_report
from orthoref.errors import CannotRun


def add(commands: Any) -> None:
    """The arguments."""
    parser = flags.command(
        commands,
        run,
        "judge a function of another package",
        f"Judge a function over a battery of hard inputs.\n{EXIT}",
        (
            'check scipy.linalg:polar --skip "length 0" --skip byteswapped --html report.html',
            "check mymuon.py:ortho --op newton_schulz --schedule muon --eps 1e-7 --array torch --dtype bfloat16",
            "check mypackage.native:polar --keyword side=right --jobs 4 --max-cases 50 --format github",
        ),
    )
    flags.add_port(parser)
    parser.add_argument(
        "--op", default="polar", help=f"operation to judge it as: {flags.operations()} (default: polar)"
    )
    parser.add_argument("--derivative", nargs="?", const="auto", metavar="MODE",
                        help="judge its derivative, by automatic differentiation: torch, torch vmap, jax, jax jit, "
                        "jax vmap, jax reverse (default: by the arrays it takes)")  # fmt: skip
    parser.add_argument("--kind", choices=("vjp", "jvp", "vjp_jvp"), default="vjp",
                        help="with --derivative: reverse, forward mode, double backward (default: vjp)")  # fmt: skip
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for one call (default: 60)")
    parser.add_argument("--isolate", action="store_true",
                        help="call it in a process of its own: one that is ended by a call (abort, segmentation fault, "
                        "out of memory) is a finding")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=1, metavar="N",
                        help="spread the run over N such processes; the report is the same (default: 1)")  # fmt: skip
    flags.add_claims(parser)
    flags.add_report(parser)


def run(options: argparse.Namespace) -> int:
    """Judge the port."""
    from orthoref.oracle import conformance

    require_report(options)
    port = ports.Elsewhere(options.port, tuple(options.keyword))
    isolated = options.isolate or options.jobs != 1
    with aside():
        report = conformance.check(
            port if isolated else _guarded(port.load(), options.timeout),
            options.op,
            convert=ports.converter(options),
            limit=options.limit,
            timeout=options.timeout,
            name=options.port,
            derivative=_framework(options),
            kind=options.kind,
            isolate=options.isolate,
            jobs=options.jobs,
            **flags.claimed(options),
        )
    faulthandler.cancel_dump_traceback_later()
    return reported(report, options)


def _guarded(port: Callable[..., Any], timeout: float) -> Callable[..., Any]:
    """The port under a second watchdog, in C: native code that hangs and holds the interpreter lock ends the process.

    The traceback goes to stderr; there is no verdict.
    """

    @wraps(port)
    def guarded(*arrays: Any) -> Any:
        faulthandler.dump_traceback_later(2 * timeout + 10, exit=True, file=sys.__stderr__ or 2)
        return port(*arrays)

    return guarded


def _framework(options: argparse.Namespace) -> str | None:
    """The mode of --derivative; without one that of the arrays."""
    if options.derivative != "auto":
        return options.derivative
    kind = ports.kind_of(options)
    if kind not in ("torch", "jax"):
        raise CannotRun("--derivative needs --array torch or --array jax, or a mode")
    return kind
