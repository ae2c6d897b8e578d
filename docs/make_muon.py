"""Writes muon_table.md, which the page how_to_judge_muon shows: python docs/make_muon.py."""

from functools import partial
from pathlib import Path

import orthoref

SHAPES = [(16, 16), (40, 10), (10, 40)]


def rows():
    """How many cases of an emulated port fail a claim."""
    for schedule in ("muon", "polar-express", "you-5", "newton-schulz-5"):
        for precision in ("bfloat16", "float32"):
            port = partial(orthoref.newton_schulz, schedule="muon", precision=precision)
            cells = []
            for limit in (4, 1):
                report = orthoref.conformance.check(
                    port, "newton_schulz", schedule=schedule, steps=5, precision=precision, limit=limit, progress=False,
                    dtypes=["float32"], shapes=SHAPES, skip=["zero", "extreme scale"], max_cases=40,
                )  # fmt: skip
                cells.append(f"{report.count('fails')} of {report.count('fails') + report.count('holds')}")
            yield schedule, precision, *cells


def main():
    """The table."""
    head = ("claimed, 5 steps", "precision", "fail at limit 4", "fail at limit 1")
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * 4, *rows())]
    Path(__file__).with_name("muon_table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
