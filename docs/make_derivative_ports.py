"""Judge the derivatives of real ports and write the table of the page on them. Run by hand:

    python docs/make_derivative_ports.py [--battery quick] [NAME ...]

Those whose name contains a NAME are run, the others stay. Needs torch, jax, optax, keras, pytorch-optimizer.
"""

from __future__ import annotations

import argparse
import datetime
import platform
import re
import sys
import time
import warnings
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import jax
import torch

import orthoref
from orthoref.errors import CannotRun
from orthoref.oracle import conformance

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "ports"))
from derivative_ports import PORTS

TABLE = Path(__file__).with_name("derivative_ports_table.md")
PACKAGES = ("numpy", "torch", "jax", "optax", "keras", "pytorch-optimizer")
COMPILED = {"shapes": ((5, 5), (7, 4), (4, 7), (2, 3, 3)), "max_cases": 60}  # JAX compiles for every shape
OPTAX = {"shapes": ((5, 5), (4, 7)), "max_cases": 30}  # and these long
REFUSED = "not differentiable"  # the framework says so for every input
KINDS = {"vjp": "reverse mode", "jvp": "forward mode", "vjp_jvp": "double backward"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--battery", default="default")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    jax.config.update("jax_enable_x64", True)
    torch.set_num_threads(1)
    old = TABLE.read_text(encoding="utf-8") if TABLE.exists() else ""
    kept = {f"`{name}`": text for name, text in re.findall(r"^## `(.*?)`\n(.*?)(?=^## |\Z)", old, re.M | re.S)}
    for port in PORTS:
        heading = f"`{port.name}`"
        if any(name in port.name for name in options.names or [""]):
            kept[heading] = "\n".join(section(port, options.battery)) + "\n"
            write({name: kept[name] for name in (f"`{each.name}`" for each in PORTS) if name in kept})


def write(sections: dict[str, str]) -> None:
    versions = {"Python": platform.python_version(), "orthoref": orthoref.__version__}
    versions |= {package: version(package) for package in PACKAGES}
    lines = [
        "<!-- Written by docs/make_derivative_ports.py: do not edit. -->",
        "",
        f"Run on {datetime.date.today().isoformat()}, {platform.machine()} {platform.system()}, CPU only: "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + ". JAX with `jax_enable_x64`.",
        "",
        f"| Port | {' | '.join(KINDS.values())} |",
        f"| --- {'| --- ' * len(KINDS)}|",
    ]
    for heading, text in sections.items():
        said = [re.search(rf"^### {way}: (.*)$", text, re.M) for way in KINDS.values()]
        lines.append(f"| {heading} | {' | '.join(each[1] if each else '' for each in said)} |")
    body = "\n".join(f"\n## {heading}\n{text.rstrip()}\n" for heading, text in sections.items())
    TABLE.write_text("\n".join(lines) + "\n" + body, encoding="utf-8")


def section(port, battery):
    """One port, its three derivatives."""
    options = {"dtypes": port.dtypes, "skip": [*(["stacks"] * (not port.stacks)), *(["wide"] * (not port.wide))]}
    if port.framework == "jax":
        skipped = {"stacks": lambda shape: len(shape) > 2, "wide": lambda shape: shape[-2] < shape[-1]}
        unclaimed = [skipped[name] for name in options["skip"]]
        shapes = [shape for shape in COMPILED["shapes"] if not any(test(shape) for test in unclaimed)]
        options |= COMPILED | {"shapes": shapes, "skip": []} | (OPTAX if "optax" in port.packages else {})
    if port.operation == "polar":
        options["returns"] = "u" if port.outputs == (0,) else "uh"
    claims = {name: x for name, x in port.claims.items() if name not in ("form", "restart")}  # of the primal only
    for kind, way in KINDS.items():
        start = time.time()
        try:
            report = conformance.check(
                port.function, port.operation, derivative=port.framework, kind=kind, convert=port.convert,
                name=port.name, battery=battery, progress=False, timeout=1200.0, **options, **claims,
            )  # fmt: skip
        except CannotRun as error:
            yield from ("", f"### {way}: {REFUSED}", "", "```text", shortened(str(error)), "```")
            continue
        finally:
            print(f"{port.name}, {way}: {time.time() - start:.0f} s", flush=True)
        yield from ("", f"### {way}: {verdict(report)}", "", "```text")
        head = report.text(examples=0).partition("\n\n")[0].replace(f"{port.name} as ", "")
        ratios = [f"worst ratio {worst(report)}, limit {report.limit:g}"] if worst(report) else []
        yield from (head, *ratios, "```")
        for finding in report.findings():
            case = finding.example.case
            yield from ("", f"{finding.count} cases: {escaped(shortened(finding.reason))}", "", "```text")
            yield from (line for line in finding.example.verdict.lines() if "FAIL" in line)
            yield from (short(case.recreate), "```")
        for note, count in report.notes().items():
            yield from ("", f"{count} cases: {escaped(note)}")


def verdict(report):
    if not report.count("holds") and all(o.verdict.faults and "raised" in o.verdict.faults[0] for o in report.failed):
        return REFUSED
    counts = Counter(outcome.verdict.state for outcome in report.outcomes)
    return {
        "HOLDS": "holds",
        "FAILS": f"fails ({counts['fails']} of {counts['fails'] + counts['holds']})",
        "HOLDS IN RANGE": f"holds but near the limits of the format ({counts['fails']} fail there)",
        "UNDECIDED": f"undecided ({counts['not judged']} of {counts['not judged'] + counts['holds']} not judged)",
    }[report.status]


def worst(report):
    found = {}
    for check in (check for outcome in report.outcomes for check in outcome.verdict.checks):
        found.setdefault(check.name, []).append(check.ratio)
    finite = {name: [x for x in ratios if abs(x) < float("inf")] for name, ratios in found.items()}
    return ", ".join(
        f"{name} {max(finite[name], default=0):.3g}" + (" (and NaN)" if len(finite[name]) < len(found[name]) else "")
        for name in found
    )


def short(recreate):
    return recreate.replace("orthoref.oracle.cases.", "")


def shortened(text):
    """The first line: torch and JAX append how to debug."""
    text = re.sub(r"0x[0-9a-f]+", "0x...", " ".join(text.split()))
    text = re.sub(r"/\S*/(?=[\w.]+\.py:)", "", text)  # folders of this machine
    return text if len(text) <= 300 else text[:300] + " ..."


def escaped(text):
    return re.sub(r"([|<>*_#\[\]])", r"\\\1", text)


if __name__ == "__main__":
    main()
