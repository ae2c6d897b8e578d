"""Judge real ports and write ports_table.md. Run by hand, with torch and jax installed: python docs/make_ports.py"""

from __future__ import annotations

import datetime
import platform
import sys
from pathlib import Path

import jax
import numpy as np
import scipy
import torch

import orthoref
from orthoref.oracle import conformance

jax.config.update("jax_enable_x64", True)


def torch_svd(a):
    w, s, vh = torch.linalg.svd(a, full_matrices=False)
    return w @ vh, (vh.mH * s.unsqueeze(-2).to(vh.dtype)) @ vh


def to_torch(a):
    return torch.asarray(a.copy())


def jax_qdwh(a):
    return jax.scipy.linalg.polar(a, method="qdwh")


PORTS = {
    "scipy.linalg.polar": (scipy.linalg.polar, None, {}),
    "torch.linalg.svd, U = W V^H, H = V S V^H": (torch_svd, to_torch, {}),
    'jax.scipy.linalg.polar, method="svd"': (lambda a: jax.scipy.linalg.polar(a, method="svd"), jax.numpy.asarray, {}),
    'jax.scipy.linalg.polar, method="qdwh"': (jax_qdwh, jax.numpy.asarray, {}),
    'jax.scipy.linalg.polar, method="qdwh", partial isometries accepted, tall and square only': (
        jax_qdwh,
        jax.numpy.asarray,
        {
            "rank_deficient": "partial",
            "shapes": ((1, 1), (2, 2), (5, 5), (16, 16), (48, 48), (24, 7), (60, 3), (3, 4, 4)),
        },
    ),
}


def section(name, port, convert, options):
    report = conformance.check(port, returns="uh", convert=convert, progress=False, name=name, **options)
    yield from (f"## `{name}`", "", f"{'Holds' if report.holds else 'Fails'}.", "")
    yield from ("```text", report.text(examples=0).partition("\n\nand ")[0], "```", "")
    for finding in report.findings():
        lines = [line for line in finding.example.verdict.lines() if "FAIL" in line]
        yield from (f"{finding.count} cases: {finding.reason.replace('|', chr(92) + '|').replace('<', '&lt;')}", "")
        yield from ("```text", f"smallest: {finding.example.case.id}", *lines)
        yield from (f"recreate: {finding.example.case.recreate}", "```", "")


def main() -> None:
    versions = {
        "Python": platform.python_version(),
        "orthoref": orthoref.__version__,
        "NumPy": np.__version__,
        "SciPy": scipy.__version__,
        "torch": torch.__version__,
        "jax": jax.__version__,
    }
    lines: list[str] = [
        "<!-- Written by docs/make_ports.py: do not edit. -->",
        "",
        f"Run on {datetime.date.today().isoformat()}, {platform.machine()} {platform.system()}, CPU only: "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + ". JAX with `jax_enable_x64`.",
        "",
    ]
    for name, (port, convert, options) in PORTS.items():
        print(name, file=sys.stderr)
        lines += section(name, port, convert, options)
    path = Path(__file__).with_name("ports_table.md")
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
