"""Judge real ports and write the tables of the page on ports. Run by hand: python docs/make_ports.py

Needs torch, jax, optax, keras and pytorch-optimizer.
"""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import version
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"  # before keras is imported

import jax
import keras
import optax
import optax.contrib._muon
import scipy
import torch
import torch.optim._muon
from pytorch_optimizer.optimizer.utils import matrix as newton_schulz_ports
from rich.progress import track

import orthoref
from orthoref.oracle import conformance
from orthoref.schedules import identify

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

NEWTON_SCHULZ = {"schedule": "jordan", "steps": 5}
OPTAX = {"frobenius": (1e-8, "add"), "spectral": (1e-8, "add"), "aol": (1e-8, "clamp"), "schatten": (1e-4, "clamp")}
STACKS = ((1, 1), (1, 6), (6, 1), (5, 5), (16, 16), (40, 10), (10, 40), (64, 64))
SHAPES = {"shapes": STACKS}


def torch_muon(a):
    return torch.optim._muon._zeropower_via_newtonschulz(a, (3.4445, -4.7750, 2.0315), 5, 1e-7)


def keras_muon(a):
    return keras.optimizers.Muon(learning_rate=1e-3).zeropower_via_newtonschulz5(a, 5)


def optax_muon(mode):
    def port(a):
        rows = jax.numpy.asarray((3.4445, -4.7750, 2.0315), a.real.dtype)
        return optax.contrib._muon.orthogonalize_via_newton_schulz(a, rows, 5, mode, 1e-8)

    return jax.jit(port)


CLAMPED = {**NEWTON_SCHULZ, "eps": 1e-7, "eps_rule": "clamp"}
SCHULZ_PORTS = {
    "torch.optim.Muon, float32 gradients": (
        torch_muon,
        to_torch,
        {**CLAMPED, **SHAPES, "precision": "bfloat16", "dtypes": ("float32",)},
    ),
    "torch.optim.Muon, bfloat16 gradients": (
        torch_muon,
        lambda a: to_torch(a).bfloat16(),
        {**CLAMPED, **SHAPES, "precision": "bfloat16", "dtypes": ("bfloat16",)},
    ),
    **{
        f"optax.contrib.muon, preconditioning {mode}": (
            optax_muon(mode),
            jax.numpy.asarray,
            {
                **NEWTON_SCHULZ,
                **SHAPES,
                "normalize": "schatten4" if mode == "schatten" else mode,
                "eps": eps,
                "eps_rule": rule,
                "dtypes": ("float32", "float64", "complex64"),
            },
        )
        for mode, (eps, rule) in OPTAX.items()
    },
    "keras.optimizers.Muon, torch backend": (keras_muon, to_torch, {**NEWTON_SCHULZ, "eps": 1e-7}),
    "pytorch_optimizer, zero_power_via_newton_schulz_5": (
        newton_schulz_ports.zero_power_via_newton_schulz_5,
        to_torch,
        {**CLAMPED, "precision": "bfloat16", "dtypes": ("float32",)},
    ),
    "pytorch_optimizer, zero_power_via_gram_newton_schulz": (
        newton_schulz_ports.zero_power_via_gram_newton_schulz,
        to_torch,
        {**CLAMPED, "precision": "float16", "dtypes": ("float32",), "form": "gram", "restart": (2,)},
    ),
}


def section(operation, name, port, convert, options):
    options = {"returns": "uh", **options} if operation == "polar" else options
    report = conformance.check(port, operation, convert=convert, progress=False, name=name, **options)
    yield from (f"## `{name}`", "", f"{report.status.capitalize()}.", "")
    yield from ("```text", report.text(examples=0).partition("\n\nand ")[0], "```", "")
    for finding in report.findings():
        lines = [line for line in finding.example.verdict.lines() if "FAIL" in line]
        yield from (f"{finding.count} cases: {finding.reason.replace('|', chr(92) + '|').replace('<', '&lt;')}", "")
        yield from ("```text", f"smallest: {finding.example.case.id}", *lines)
        yield from (f"recreate: {finding.example.case.recreate}", "```", "")
    if operation == "newton_schulz":
        yield from ("`orthoref.schedules.identify` says:", "", "```text")
        yield from (identify(port, convert=convert).text(), "```", "")


def write(filename, operation, ports, packages):
    versions = {"Python": platform.python_version(), "orthoref": orthoref.__version__}
    versions |= {package: version(package) for package in packages}
    lines: list[str] = [
        "<!-- Written by docs/make_ports.py: do not edit. -->",
        "",
        f"Run on {datetime.date.today().isoformat()}, {platform.machine()} {platform.system()}, CPU only: "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + ". JAX with `jax_enable_x64`.",
        "",
    ]
    for name, (port, convert, options) in track(ports.items(), description=operation):
        lines += section(operation, name, port, convert, options)
    path = Path(__file__).with_name(filename)
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def main() -> None:
    write("ports_table.md", "polar", PORTS, ("numpy", "scipy", "torch", "jax"))
    write(
        "newton_schulz_ports_table.md",
        "newton_schulz",
        SCHULZ_PORTS,
        ("numpy", "torch", "jax", "optax", "keras", "pytorch-optimizer"),
    )


if __name__ == "__main__":
    main()
