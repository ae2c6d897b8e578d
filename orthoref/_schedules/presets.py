"""Published coefficient lists, digit by digit. The sources and how the lists differ: docs/which_schedule."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from orthoref._schedules.design import pade_row
from orthoref._schedules.row import Row
from orthoref._schedules.schedule import Normalization, Past, Schedule

FROBENIUS, AOL = Normalization("frobenius"), Normalization("aol")
ALIASES = {"muon": "jordan", "cubic": "newton-schulz-3", "cans": "cans-5"}
TWO = {"quintic": "the Pade iteration newton-schulz-5, and you-5 in Emerging-Optimizers and timm"}  # things of one name


def names() -> list[str]:
    """Names of the presets, without aliases."""
    return list(PRESETS)


def get(name: str) -> Schedule:
    """A preset by name or alias.

    Raises
    ------
    ValueError
        There is none of that name.
    """
    found = PRESETS.get(ALIASES.get(name, name)) if isinstance(name, str) else None
    if isinstance(name, str) and name in TWO:
        raise ValueError(f"schedule {name!r} is said of two: {TWO[name]}")
    if found is None:
        raise ValueError(f"schedule {name!r} is not one of {', '.join([*PRESETS, *ALIASES])}")
    return found


def named(schedule: str | Schedule) -> Schedule:
    """The argument ``schedule`` of public functions: a preset by name, or the schedule itself."""
    if isinstance(schedule, str):
        return get(schedule)
    if not isinstance(schedule, Schedule):
        raise TypeError(f"schedule must be a name or a Schedule, not {type(schedule).__name__}")
    return schedule


def _parse(rows: str) -> list[list[str]]:
    return [line.replace(",", " ").split() for line in rows.strip().splitlines()]


def _listed(
    name: str,
    rows: str,
    source: str,
    past: Past = "stop",
    normalization: Normalization = FROBENIUS,
    **options: Any,
) -> Schedule:
    return Schedule.of(name, _parse(rows), source=source, past=past, normalization=normalization, **options)


def _constant(name: str, row: Row, steps: int, source: str) -> Schedule:
    return Schedule(name, (row,), FROBENIUS, "repeat", steps, source)


def _over_1024(rows: Sequence[Sequence[int]]) -> tuple[Row, ...]:
    return tuple(Row(tuple(Fraction(c, 1024) for c in row)) for row in rows)


POLAR_EXPRESS = _listed(
    "polar-express-list",
    """
    8.28721201814563   -23.595886519098837 17.300387312530933
    4.107059111542203  -2.9478499167379106 0.5448431082926601
    3.9486908534822946 -2.908902115962949  0.5518191394370137
    3.3184196573706015 -2.488488024314874  0.51004894012372
    2.300652019954817  -1.6689039845747493 0.4188073119525673
    1.891301407787398  -1.2679958271945868 0.37680408948524835
    1.8750014808534479 -1.2500016453999487 0.3750001645474248
    1.875              -1.25               0.375
    """,
    "Amsel, Persson, Musco and Gower 2025, as published: minimax('1e-3', 8, cushion='0.02407327424182761'), without a "
    "safety factor; tolerates nothing above 1",
    "repeat",
)
JORDAN = _listed(
    "jordan",
    "3.4445 -4.7750 2.0315",
    "Jordan 2024, Muon: found by search for a large slope at 0; does not converge",
    "repeat",
    default_steps=5,
)

_ALL = (
    _constant("newton-schulz-3", pade_row(1), 10, "Pade [1/0], Kenney and Laub 1991"),
    _constant("newton-schulz-5", pade_row(2), 8, "Pade [2/0], Kenney and Laub 1991"),
    _constant("newton-schulz-7", pade_row(3), 7, "Pade [3/0], Kenney and Laub 1991"),
    _constant("newton-schulz-9", pade_row(4), 6, "Pade [4/0], Kenney and Laub 1991"),
    _listed(
        "two-step-tail",
        "2 -1.5 0.5",
        "(2, -3/2, 1/2): last steps of DeepSeek-V4; optax tests",
        "repeat",
        default_steps=5,
    ),
    JORDAN,
    _listed(
        "you-5",
        """
        4.0848 -6.8946 2.9270
        3.9505 -6.3029 2.6377
        3.7418 -5.5913 2.3037
        2.8769 -3.1427 1.2046
        2.8366 -3.0525 1.2012
        """,
        "Cesista and You 2025 (modded-nanogpt), also in Emerging-Optimizers and timm, 'dion' of optax. Past the last "
        "row ports cycle or repeat",
        "cycle",
    ),
    Schedule(
        "you-6",
        _over_1024(
            (
                (3955, -8306, 5008),
                (3735, -6681, 3463),
                (3799, -6499, 3211),
                (4019, -6385, 2906),
                (2677, -3029, 1162),
                (2172, -1833, 682),
            )
        ),
        source="You 2025 (modula): integers over 1024; never exceeds 1",
    ),
    _listed(
        "deepseek-v4",
        "3.4445 -4.7750 2.0315\n" * 8 + "2 -1.5 0.5\n" * 2,
        "DeepSeek-V4: Jordan's row eight times, then (2, -3/2, 1/2) twice",
        "repeat",
    ),
    _listed(
        "cubic5",
        """
        3.3656576 -3.3420992
        2.5744352 -1.4957376
        2.5368962 -1.4312570
        2.4418906 -1.2764040
        2.2230472 -0.9630650
        """,
        "Huang 2026: relaxed cubic band, lower = 7e-3",
    ),
    _listed(
        "aol-a",
        """
        4.0098 -7.0585 2.4635
        3.4585 -5.5479 2.5959
        2.7573 -3.2939 1.4254
        2.7215 -3.0494 1.3169
        """,
        "flash-newton-schulz, first version; 'aol' of Emerging-Optimizers. Made for AOL rescaling",
        "cycle",
        AOL,
    ),
    _listed(
        "aol-b",
        """
        4.6051 -9.6552 5.6769
        4.7505 -6.0861 2.1790
        2.7763 -2.3190 0.5523
        2.4231 -2.2861 0.8193
        """,
        "Turbo-Muon (Boissin et al. 2025): genetic search on random spectra. Made for AOL rescaling",
        "stop",
        AOL,
    ),
    _listed(
        "cans-5",
        """
        8.4703 -25.1081 18.6293
        4.1828 -3.1087 0.5806
        3.9619 -2.9541 0.5630
        3.2866 -2.4647 0.5074
        2.2737 -1.6447 0.4162
        """,
        "CANS (Grishina, Smirnov and Rakhuba 2025) as shipped by Emerging-Optimizers: minimax('1e-3', 5) to four "
        "decimals",
        "repeat",
    ),
    POLAR_EXPRESS,
    Schedule(
        "polar-express",
        POLAR_EXPRESS.scaled("1.01", last=False).rows,
        Normalization("frobenius", Fraction("1.01")),
        "repeat",
        8,
        "Amsel, Persson, Musco and Gower 2025, as run: all rows but the last with x/1.01 for x, norm times 1.01",
    ),
    _listed(
        "polar-express-nvidia",
        """
        8.2051 -22.9019 16.4607
        4.0664 -2.8612 0.5184
        3.9096 -2.8234 0.5250
        3.2856 -2.4153 0.4853
        2.2779 -1.6198 0.3985
        1.8726 -1.2307 0.3585
        1.8564 -1.2132 0.3568
        1.8750 -1.2500 0.3750
        """,
        "Emerging-Optimizers and its copies: the same rounded to four decimals, norm without the factor",
        "repeat",
    ),
    _listed(
        "polar-express-nanogpt",
        """
        8.156554524902461 -22.48329292557795 15.878769915207462
        4.042929935166739 -2.808917465908714 0.5000178451051316
        3.8916678022926607 -2.772484153217685 0.5060648178503393
        3.285753657755655 -2.3681294933425376 0.46449024233003106
        2.3465413258596377 -1.7097828382687081 0.42323551169305323
        """,
        "modded-nanogpt, nanochat, dion: minimax('1e-3', 5, cushion='0.02', safety='0.02'); nanochat multiplies the "
        "norm by 1.01, modded-nanogpt by 1.02",
        "stop",
        Normalization("frobenius", Fraction("1.02")),
    ),
    _listed(
        "polar-express-timm",
        """
        8.237312490495555 -23.157747414558198 16.680568411445915
        4.082441999064835 -2.893047735332586 0.5252849256975648
        3.9263479922546582 -2.8547468034765298 0.5318022422894988
        3.2982187133085143 -2.424541981026706 0.48632008358844075
        2.2970369434552573 -1.63662558125903 0.4002628455953627
        1.8763805351440397 -1.2347896577722228 0.35891887501668385
        1.8564423485617974 -1.2132449880935525 0.3568003487825883
        1.8749994008682747 -1.2499988017229169 0.3749994008546422
        """,
        "timm 'polar_express': minimax('1e-3', 8, cushion='0.02', safety='0.01')",
        "repeat",
    ),
    _listed(
        "polar-express-timm-safer",
        """
        8.156554524902461 -22.48329292557795 15.878769915207462
        4.0429299351667245 -2.808917465908704 0.5000178451051299
        3.8916678022926563 -2.7724841532176825 0.5060648178503389
        3.285753657755658 -2.3681294933425394 0.46449024233003117
        2.3005307116270983 -1.6111665557258408 0.3833374427545273
        1.8631210546382593 -1.2042160621002727 0.3421879560523383
        1.8382572152247512 -1.1779263289537742 0.3396513038637379
        1.8749999923301852 -1.2499999836060613 0.374999991275876
        """,
        "timm 'polar_express_safer': minimax('1e-3', 8, cushion='0.02', safety='0.02'); its first five rows are not "
        "the list of modded-nanogpt",
        "repeat",
    ),
    Schedule(
        "polar-express-gram",
        Schedule("", POLAR_EXPRESS.rows[:5]).scaled("1.05").rows,
        FROBENIUS,
        "stop",
        5,
        "gram-newton-schulz: the first five published rows, x/1.05 for x in all of them, the last one too",
    ),
)
PRESETS: dict[str, Schedule] = {schedule.name: schedule for schedule in _ALL}
