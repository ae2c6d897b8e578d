"""Run every tracked number once, without asv, and print a Markdown table.

``python summary.py [REGEX]`` prints; ``python summary.py --update README.md`` also replaces what stands between the
summary markers of that file, with a REGEX the rows that match. The numbers are those of ``asv run``: the same classes,
parameters and functions.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import math
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from importlib import import_module, metadata
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

MODULES = ("import_time", "polar", "kernels", "derivatives", "newton_schulz", "conformance", "judging")
BEGIN, END = "<!-- summary: begin -->", "<!-- summary: end -->"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("regex", nargs="?", default="", help="which benchmarks, as in asv run --bench")
    parser.add_argument("--update", type=Path, metavar="FILE", help="Markdown file with the markers")
    parser.add_argument(
        "--busy", action="store_true", help="leave out ratios on several threads: the machine is not idle"
    )
    options = parser.parse_args()
    note = ["- ratios on several threads left out: the machine was not idle"] if options.busy else []
    wanted, head = re.compile(options.regex), [*machine(), *note]
    before, _, rest = options.update.read_text().partition(BEGIN) if options.update else ("", "", "")
    old, _, after = rest.partition(END)
    kept = [line for line in old.splitlines() if line.startswith("| `") and not wanted.search(line.split("`")[1])]
    if kept and not all(line in old.splitlines() for line in (head[0], head[2])):
        raise SystemExit("the other rows were measured on another machine or with other versions: run all of them")
    lines = sorted([*kept, *rows(wanted, options.busy)], key=lambda line: MODULES.index(line[3:].partition(".")[0]))
    several = ["- not all rows were measured in one run"] if kept else []
    table = ["", "| Benchmark | Parameters | Measured | Limit | |", "| --- | --- | ---: | ---: | --- |", *lines]
    text = "\n".join([*head, *several, *table]) + "\n"
    if options.update is None:
        print(text, end="")
        return
    options.update.write_text(f"{before}{BEGIN}\n{text}{END}{after}")


def machine() -> list[str]:
    """Where the numbers come from."""
    from threadpoolctl import threadpool_info

    import orthoref.oracle.certify  # noqa: F401  loads SciPy's BLAS, where it has one of its own

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    blas = {f"{pool['internal_api']} {pool['version']} ({pool.get('architecture')})" for pool in pools}
    versions = (f"{name} {metadata.version(name)}" for name in ("orthoref", "numpy", "scipy"))
    return [
        f"- {processor()}, {os.cpu_count()} processors, {platform.system()} {platform.machine()}",
        f"- load average when the run started: {os.getloadavg()[0]:.1f}",
        f"- Python {platform.python_version()}, {', '.join(versions)}; BLAS: {', '.join(sorted(blas))}",
        f"- {time.strftime('%Y-%m-%d')}, quick mode {'on' if import_module('benchmarks.common').QUICK else 'off'}",
    ]


def processor() -> str:
    """Model name of the processor, as far as the system tells."""
    try:
        found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def rows(wanted: re.Pattern[str], busy: bool) -> Iterator[str]:
    """One line of the table per benchmark and parameters that could run."""
    for module in MODULES:
        for class_name, cls in inspect.getmembers(import_module(f"benchmarks.{module}"), inspect.isclass):
            if not cls.__module__.endswith(module):
                continue
            for name, function in inspect.getmembers(cls, inspect.isfunction):
                tracked = name.startswith("track_")
                if not (tracked or hasattr(function, "limit")) or not wanted.search(f"{module}.{class_name}.{name}"):
                    continue
                full_name = f"{module}.{class_name}.{name}"
                measured = {}
                for values in product(*cls.params):
                    threads = dict(zip(cls.param_names, values, strict=True)).get("threads", 1)
                    if busy and tracked and threads > 1:
                        continue
                    if not math.isnan(value := run(cls, name, (*cache_of(cls), *values), tracked)):
                        measured[values] = value
                        print(full_name, values, f"{value:.3g}", file=sys.stderr, flush=True)
                if measured and getattr(cls, "only_the_worst", False):
                    worst = max(measured, key=measured.__getitem__)
                    measured = {worst: measured[worst]}
                    full_name += f" (worst of {math.prod(map(len, cls.params))})"
                for values, value in measured.items():
                    yield row(full_name, cls.param_names, values, value, function)


@functools.cache
def cache_of(cls: type) -> tuple[Any, ...]:
    """What asv hands to setup and to the function before the parameters."""
    return (cls().setup_cache(),) if hasattr(cls, "setup_cache") else ()


def run(cls: type, name: str, values: tuple[Any, ...], tracked: bool) -> float:
    """The tracked value, or the seconds of one call; NaN if skipped."""
    instance = cls()
    try:
        if hasattr(instance, "setup"):
            instance.setup(*values)
        start = time.perf_counter()
        result = getattr(instance, name)(*values)
        return float(result) if tracked else time.perf_counter() - start
    except NotImplementedError:
        return math.nan
    finally:
        if hasattr(instance, "teardown"):
            instance.teardown(*values)


def row(name: str, names: tuple[str, ...], values: tuple[Any, ...], measured: float, function: Any) -> str:
    """Line of the table; says where a limit is missed."""
    limit, at_least = getattr(function, "limit", math.inf), getattr(function, "at_least", -math.inf)
    bound = f"<= {limit:g}" if limit < math.inf else f">= {at_least:g}" if at_least > -math.inf else ""
    verdict = "" if at_least <= measured <= limit else "**missed**"
    parameters = ", ".join(f"{key} {value}" for key, value in zip(names, values, strict=True))
    return f"| `{name}` | {parameters} | {measured:.3g} | {bound} | {verdict} |"


if __name__ == "__main__":
    main()
