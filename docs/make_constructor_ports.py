"""Judge constructors of other libraries and write the table of the page on them: python docs/make_constructor_ports.py

Needs torch, JAX and SciPy.
"""

from __future__ import annotations

import datetime
import platform
import warnings
from importlib.metadata import version
from itertools import count
from pathlib import Path

import jax
import numpy as np
import scipy.linalg
import scipy.stats
import torch
from rich.progress import track
from torch.nn.utils import parametrizations

import orthoref
from orthoref.oracle import conformance

warnings.simplefilter("ignore")
jax.config.update("jax_enable_x64", True)
torch.manual_seed(0)
TORCH_CAYLEY = {"sign": -1, "factor": 0.5}
BELOW = {"tau": "none", "storage": "below", "dtypes": ("float32", "float64")}  # complex input is refused
DOUBLE = {"dtypes": ("float64",)}
SQUARES = {"shapes": ((1000, 2, 2), (1000, 3, 3), (1000, 6, 6))}
WITH_GAIN = {"gain": 2**0.5}


def to_torch(a):
    return torch.asarray(a.astype(a.dtype.newbyteorder("=")))


def to_jax(a):
    return jax.numpy.asarray(np.array(a, a.dtype.newbyteorder("=")))


TORCH, JAX = {"convert": to_torch}, {"convert": to_jax}
FEW = {"battery": "quick", "max_cases": 16, **DOUBLE}  # JAX compiles for every shape


def parametrized(name, shape, dtype):
    """The parametrisation itself, a function of the unconstrained tensor."""
    holder = torch.nn.Module()
    holder.weight = torch.nn.Parameter(torch.eye(*shape[-2:], dtype=dtype).expand(shape).clone())
    parametrizations.orthogonal(holder, "weight", orthogonal_map=name, use_trivialization=False)
    return holder.parametrizations.weight[0]


def torch_map(name):
    """torch takes L with A = L - L^H."""

    def port(a):
        if a.shape[-1] == 0 or a.numel() == 0:
            return torch.zeros_like(a)
        return parametrized(name, a.shape, a.dtype)(a.tril(-1) + torch.diag_embed(a.diagonal(dim1=-2, dim2=-1)) / 2)

    return port


def torch_householder(v):
    """Reflectors below the diagonal; the signs of the columns, on it, are 1."""
    if v.numel() == 0:
        return torch.zeros_like(v)
    eye = torch.eye(*v.shape[-2:], dtype=v.dtype)
    return parametrized("householder", v.shape, v.dtype)(v.tril(-1) + eye)


def torch_ports():
    yield "torch.linalg.householder_product", "householder_product", torch.linalg.householder_product, TORCH
    for kind in ("vjp", "jvp"):
        yield "torch.linalg.householder_product", "householder_product", torch.linalg.householder_product, {
            "derivative": "torch", "kind": kind, **TORCH,
        }  # fmt: skip
    yield "torch.matrix_exp", "skew_exp", torch.matrix_exp, TORCH
    for kind in ("vjp", "jvp"):
        yield "torch.matrix_exp", "skew_exp", torch.matrix_exp, {"derivative": "torch", "kind": kind, **TORCH}
    for name, operation, claims in (("matrix_exp", "skew_exp", {}), ("cayley", "cayley", TORCH_CAYLEY)):
        yield f"parametrizations.orthogonal, {name}", operation, torch_map(name), {**claims, **TORCH}
        yield f"parametrizations.orthogonal, {name}", operation, torch_map(name), {
            "derivative": "torch", **claims, **TORCH,
        }  # fmt: skip
    yield "parametrizations.orthogonal, householder", "householder_product", torch_householder, {**BELOW, **TORCH}
    yield "parametrizations.orthogonal, householder", "householder_product", torch_householder, {
        "derivative": "torch", **BELOW, **TORCH,
    }  # fmt: skip
    yield (
        "torch.nn.init.orthogonal_",
        "orthogonal_init",
        lambda x: torch.nn.init.orthogonal_(torch.empty_like(x)),
        TORCH,
    )
    yield (
        "torch.nn.init.orthogonal_(gain=2**0.5)",
        "orthogonal_init",
        lambda x: torch.nn.init.orthogonal_(torch.empty(x.shape, dtype=x.dtype), gain=2**0.5),
        {**WITH_GAIN, **TORCH},
    )


def jax_init(shape, dtype, keys, **options):
    return jax.nn.initializers.orthogonal(**options)(jax.random.key(next(keys)), shape, dtype)


def jax_ports():
    yield (
        "jax.lax.linalg.householder_product",
        "householder_product",
        jax.lax.linalg.householder_product,
        {**JAX, **FEW},
    )
    for kind in ("vjp", "jvp"):
        yield "jax.lax.linalg.householder_product", "householder_product", jax.lax.linalg.householder_product, {
            "derivative": "jax", "kind": kind, **JAX, **FEW,
        }  # fmt: skip
    yield "jax.scipy.linalg.expm", "skew_exp", jax.scipy.linalg.expm, {**JAX, **FEW}
    for kind in ("vjp", "jvp"):
        yield "jax.scipy.linalg.expm", "skew_exp", jax.scipy.linalg.expm, {
            "derivative": "jax", "kind": kind, **JAX, **FEW,
        }  # fmt: skip
    keys = count()
    yield "jax.nn.initializers.orthogonal", "orthogonal_init", lambda x: jax_init(x.shape, x.dtype, keys), {
        "layout": "jax", **JAX,
    }  # fmt: skip
    yield "jax.nn.initializers.orthogonal", "orthogonal_init", lambda x: jax_init(x.shape, x.dtype, keys), JAX
    yield (
        "jax.nn.initializers.orthogonal(column_axis=0)",
        "orthogonal_init",
        lambda x: jax_init(x.shape, x.dtype, keys, column_axis=0),
        {"layout": "jax", "axis": 0, **JAX},
    )


def drawn(group, seed):
    random = np.random.default_rng(seed)
    return lambda z: group.rvs(z.shape[-1], size=z.shape[0], random_state=random).astype(z.dtype)


def lapack(v, tau):
    if v.size == 0:
        return np.zeros_like(v)
    function = scipy.linalg.get_lapack_funcs("ungqr" if np.iscomplexobj(v) else "orgqr", (v,))
    native = v.astype(v.dtype.newbyteorder("=")), tau.astype(tau.dtype.newbyteorder("="))
    flat = zip(native[0].reshape(-1, *v.shape[-2:]), native[1].reshape(-1, tau.shape[-1]), strict=True)
    return np.reshape([function(np.asfortranarray(a), b)[0] for a, b in flat], v.shape)


def scipy_ports():
    yield "scipy.linalg.lapack.orgqr, ungqr", "householder_product", lapack, {}
    yield "scipy.linalg.expm", "skew_exp", lambda a: scipy.linalg.expm(a.astype(a.dtype.newbyteorder("="))), {}
    yield "scipy.stats.ortho_group", "haar", drawn(scipy.stats.ortho_group, 1), {**SQUARES, **DOUBLE}
    yield "scipy.stats.special_ortho_group", "haar", drawn(scipy.stats.special_ortho_group, 2), {
        "special": "yes", **SQUARES, **DOUBLE,
    }  # fmt: skip
    yield "scipy.stats.special_ortho_group", "haar", drawn(scipy.stats.special_ortho_group, 3), {**SQUARES, **DOUBLE}
    yield "scipy.stats.unitary_group", "haar", drawn(scipy.stats.unitary_group, 4), {
        "dtypes": ("complex128",), **SQUARES,
    }  # fmt: skip
    yield "numpy.linalg.qr of normal numbers", "haar", lambda z: np.linalg.qr(z)[0], DOUBLE


LIBRARIES = {"torch": torch_ports, "JAX": jax_ports, "SciPy and NumPy": scipy_ports}
SAID = ("sign", "factor", "tau", "storage", "special", "gain", "layout", "axis", "dtypes")


def cell(text):
    return text.replace("|", r"\|").replace("<", "&lt;")


def judged(name, operation, port, claimed):
    """Verdict, reason and smallest failing input of one port."""
    said = ", ".join(f"{key}={value:.5g}" if isinstance(value, float) else f"{key}={value}"
                     for key, value in claimed.items() if key in SAID and key != "dtypes")  # fmt: skip
    kind = f"{claimed.get('kind', 'vjp')} of " if "derivative" in claimed else ""
    try:
        report = conformance.check(port, operation, progress=False, name=name, **claimed)
    except Exception as error:
        words = cell(f"{type(error).__name__}: {error}"[:170])
        return f"| `{name}` | {kind}`{operation}` {said} | could not run | {words} | |"
    head = f"| `{name}` | {kind}`{operation}` {said} | {report.status.lower()} "
    if report.holds:
        return f"{head}| | |"
    findings = report.findings()
    smallest = min(report.failed, key=lambda outcome: (np.prod(outcome.case.shape), outcome.case.id))
    why = report.key or findings[0].reason
    share = f"{len(report.failed)} of {len(report.outcomes)} cases" + (
        f"; {cell(report.where)}" if report.where else ""
    )
    return f"{head}| {cell(why)} ({share}) | `{smallest.case.id}` |"


def after_a_step(name, **options):
    """|Q^T Q - I| and the distance from the point before, after one step of SGD with weight decay and no gradient."""
    torch.manual_seed(1)
    layer = torch.nn.Linear(8, 8, bias=False, dtype=torch.float64)
    parametrizations.orthogonal(layer, orthogonal_map=name, **options)
    before = layer.weight.detach().clone()
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1, weight_decay=0.5)
    (0 * layer.weight.sum()).backward()
    optimiser.step()
    after = layer.weight.detach()
    off = float(torch.linalg.norm(after.T @ after - torch.eye(8, dtype=after.dtype)))
    moved = float(torch.linalg.norm(after - before))
    return f"| {name}, use_trivialization={options.get('use_trivialization', True)} | {off:.1e} | {moved:.2g} |"


def main() -> None:
    packages = ("numpy", "scipy", "torch", "jax")
    versions = {"Python": platform.python_version(), "orthoref": orthoref.__version__}
    versions |= {package: version(package) for package in packages}
    lines = [
        "<!-- Written by docs/make_constructor_ports.py: do not edit. -->",
        "",
        f"Run on {datetime.date.today().isoformat()}, {platform.machine()} {platform.system()}, CPU only: "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
        + ".",
    ]
    for library, ports in LIBRARIES.items():
        lines += ["", f"## {library}", "", "| port | judged as | verdict | why | smallest failing case |",
                  "|---|---|---|---|---|"]  # fmt: skip
        lines += [judged(*each) for each in track([*ports()], description=library)]
        lines += ["", "16 inputs of the quick battery, but for the initialisers."] * (library == "JAX")
    lines += ["", "## A parametrised weight after a step with weight decay", "",
              "One step of SGD, learning rate 0.1, weight decay 0.5, zero gradient, order 8.", "",
              "| parametrisation | norm of Q^T Q - I | distance moved |", "|---|---|---|"]  # fmt: skip
    lines += [after_a_step(name) for name in ("matrix_exp", "cayley", "householder")]
    lines += [after_a_step(name, use_trivialization=False) for name in ("matrix_exp", "cayley")]
    path = Path(__file__).with_name("constructor_ports_table.md")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
