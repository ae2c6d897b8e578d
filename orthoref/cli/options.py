"""Arguments that several commands take."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orthoref.oracle.operation import Claim


def command(commands: Any, run: Callable[[argparse.Namespace], int], help_: str, description: str,
            examples: Sequence[str]) -> argparse.ArgumentParser:  # fmt: skip
    """A command named like its file, with examples at the end of its help."""
    parser = commands.add_parser(
        run.__module__.rpartition(".")[2],
        help=help_,
        description=description,
        epilog="\n".join(["examples:", *(f"  orthoref {example}" for example in examples)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def operations() -> str:
    """All operations, for a help text."""
    from orthoref.oracle.operations import ROWS

    return ", ".join(ROWS)


def add_port(parser: argparse.ArgumentParser) -> None:
    """The function of another package, and how it is called."""
    parser.add_argument("port", metavar="MODULE:FUNCTION", help="for instance scipy.linalg:polar, or FILE.py:FUNCTION")
    parser.add_argument("--keyword", action="append", default=[], metavar="NAME=VALUE",
                        help="further argument of the function, a Python literal or text; repeat")  # fmt: skip
    parser.add_argument("--array", choices=("auto", "numpy", "torch", "jax", "cupy"), default="auto",
                        help="arrays it takes (default: by the name of its module)")  # fmt: skip
    parser.add_argument("--device", metavar="D", help="where its arrays are, for instance cuda or cuda:1")


def add_battery(parser: argparse.ArgumentParser) -> None:
    """What of the battery is shown."""
    parser.add_argument("--dtype", action="append", metavar="D",
                        help="claimed dtype; repeat for several (default: float32, float64; of most operations complex "
                        "as well). bfloat16 and float16 with --array, alone")  # fmt: skip
    parser.add_argument("--shape", action="append", metavar="MxN", type=shape,
                        help="claimed shape such as 8x8, 5x3 or 2x4x4; repeat")  # fmt: skip
    parser.add_argument("--skip", action="append", default=[], metavar="FAMILY",
                        help="level of the battery, or law, outside the claim, for instance stacks, layouts, "
                        "'extreme scale', gallery, rank_deficient, repeatable; repeat")  # fmt: skip
    parser.add_argument("--battery", choices=("quick", "default", "exhaustive"), default="default",
                        help="how much of it is run (default: default)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="another seed, another battery (default: 0)")
    parser.add_argument("--max-cases", type=int, metavar="N", help="at most so many, those that cover most first")


def add_claims(parser: argparse.ArgumentParser) -> None:
    """What a port says of itself, and how much of the battery it is shown."""
    add_battery(parser)
    group = parser.add_argument_group("what the port claims to compute")
    group.add_argument("--returns", default="auto", metavar="NAMES",
                       help="what it returns, for instance uh (default: auto)")  # fmt: skip
    group.add_argument("--precision",
                       help="format it computes in, if less than the dtype: float32, tf32, bfloat16, ...")  # fmt: skip
    for name, claims in _claims().items():
        claim = next(iter(claims.values()))
        same = len({_values(each) for each in claims.values()}) == 1
        about = "; ".join(f"{', '.join(names)}: {help_}" for help_, names in _said(claims, same).items())
        more: dict[str, Any] = {"action": "append"} if claim.repeated else {}
        help_ = (about + (_values(claim) if same else "")).replace("%", "%%")
        kinds = list(dict.fromkeys(each.kind for each in claims.values()))
        group.add_argument(f"--{name.replace('_', '-')}", help=help_, type=kinds[0] if len(kinds) == 1 else _any(kinds),
                           metavar=name.upper(), **more)  # fmt: skip


def _values(claim: Claim) -> str:
    default = "" if claim.default in (None, (), "") else f" (default: {claim.default})"
    return (f"; one of {', '.join(claim.choices)}" if claim.choices else "") + default


def _any(kinds: Sequence[Callable[[str], Any]]) -> Callable[[str], Any]:
    """What the first of several kinds makes of a word that operations understand differently: numbers before words."""

    def made(text: str) -> Any:
        for kind in sorted(kinds, key=lambda kind: kind is str):
            try:
                return kind(text)
            except ValueError:
                continue
        raise ValueError(text)

    return made


def _said(claims: dict[str, Claim], same: bool) -> dict[str, list[str]]:
    """Each help text, with its own values unless all have the same, and the operations that it is for.

    A derivative goes by its operation.
    """
    found: dict[str, list[str]] = {}
    for operation, claim in claims.items():
        names = found.setdefault(claim.help + ("" if same else _values(claim)), [])
        if not any(operation.startswith(f"{name}_") for name in names):
            names.append(operation)
    return found


def add_report(parser: argparse.ArgumentParser) -> None:
    """How it is judged, and what is written."""
    group = parser.add_argument_group("the report")
    group.add_argument("--limit", type=float, help="largest accepted ratio (default: 10; newton_schulz: 4)")
    group.add_argument("--html", type=Path, metavar="FILE", help="write the report with plots")
    group.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    group.add_argument("--junit", type=Path, metavar="FILE", help="write a JUnit test suite, one test a case")
    group.add_argument("--format", choices=("text", "github"), default="text",
                       help="github: annotations after the text, one a finding (default: text)")  # fmt: skip
    group.add_argument("--quiet", action="store_true", help="one line only, no progress bar")


def claimed(options: argparse.Namespace) -> dict[str, Any]:
    """What ``add_claims`` asked for, as arguments."""
    return {
        "returns": options.returns,
        "precision": options.precision,
        "progress": not options.quiet,
        "battery": options.battery,
        **shown(options),
        **{claim: value for claim in _claims() if (value := getattr(options, claim)) is not None},
    }


def shown(options: argparse.Namespace) -> dict[str, Any]:
    """What ``add_battery`` asked for, but for the size."""
    return {
        "dtypes": options.dtype,
        "shapes": options.shape,
        "skip": options.skip,
        "seed": options.seed,
        "max_cases": options.max_cases,
    }


def _claims() -> dict[str, dict[str, Claim]]:
    """Every claim of the table by name, and which operations have it."""
    from orthoref.oracle.operations import ROWS

    found: dict[str, dict[str, Claim]] = {}
    for operation, row in ROWS.items():
        for claim in row.claims:
            found.setdefault(claim.name, {})[operation] = claim
    return found


def shape(text: str) -> tuple[int, ...]:
    """2x4x4 as a tuple."""
    parts = text.lower().split("x")
    found = tuple(int(part) if part.isdecimal() else -1 for part in parts)
    if len(found) < 2 or min(found) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a shape of at least two dimensions")
    return found
