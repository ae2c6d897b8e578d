"""Writes optimisers_output.md, which the page how_to_judge_an_optimiser shows: python docs/make_optimisers.py."""

import importlib.util
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")
from orthoref.oracle.optimisers.judge import TOLD, check

HERE = Path(__file__).parent
PORTS = ("torch.optim:Muon", "optax.contrib:muon", "pytorch_optimizer:Muon", "keras.optimizers:Muon")

ALIASED = (
    "`torch.optim.Muon` without Nesterov's step divides the buffer of a parameter in bfloat16 in place: "
    "{doc}`which_muon`."
)
REFUSED = (
    "Wrong optimisers, written after mistakes of ports, are refused with the iteration in float32. S: the same mistake "
    "with the iteration in bfloat16."
)


def load(name):
    """MODULE:NAME."""
    home, _, attribute = name.partition(":")
    return getattr(importlib.import_module(home), attribute)


def wrong_ones():
    """The wrong optimisers of the tests."""
    spec = importlib.util.spec_from_file_location("wrong", HERE.parent / "tests" / "meta" / "wrong_optimisers.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def main():
    """The page."""
    lines = ["```text", check(load(PORTS[0]), name=PORTS[0]).text(), "```", ""]
    lines += ["| port | parameters | verdict | largest ratio, momentum | parameter | reason |",
              "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for name in PORTS:
        for dtype in ("float32", "bfloat16"):
            if name.startswith("keras") and dtype == "bfloat16":
                continue
            report = check(load(name), name=name, dtype=dtype)
            m, w = (max(column) for column in list(zip(*report.rows(), strict=True))[1:3])
            said = "; ".join([*report.faults[:1], *report.reasons[:1]])
            lines.append(f"| `{name}` | {dtype} | {report.status} | {m:.2g} | {w:.2g} | {said} |")
    lines += ["", ALIASED, "", REFUSED, "", "| mistake | what the report says | S: refused | S: says the same |",
              "| --- | --- | --- | --- |"]  # fmt: skip
    wrong = wrong_ones()
    plain = {"switches": {"precision": None}, "shapes": [(12, 3), (3, 12)], "count": 2}
    for port, (said, settings) in wrong.WRONG.items():
        report = check(port, "torch", settings=settings, **plain)
        cells = ["-", "-"]
        if port.polynomial is wrong.Muon.polynomial:
            short = type(port.__name__, (wrong.ShortIteration, port), {})
            of = check(short, "torch", settings=sorted({*settings, TOLD[0]}))
            same = said in "; ".join(of.faults + of.reasons)
            cells = ["yes" if answer else "no" for answer in (of.status == "FAILS", same)]
        assert report.status == "FAILS", port
        first = [*report.faults, *report.reasons][0]
        lines.append(f"| `{port.__name__}` | {first} | {' | '.join(cells)} |")
    (HERE / "optimisers_output.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
