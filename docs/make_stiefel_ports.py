# ruff: noqa: E402
"""Judge manifolds of other libraries and write the tables of the page on them: python docs/make_stiefel_ports.py

With the name of a table only that one: "stiefel_ports_table" or "stiefel_derivative_ports_table". Needs torch, JAX,
pymanopt, geotorch, geoopt and geomstats (with joblib, scikit-learn and matplotlib).
"""

from __future__ import annotations

import datetime
import os
import platform
import sys
import warnings
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

os.environ["JAX_ENABLE_X64"] = "1"
setattr(np, "trapz", np.trapezoid)  # noqa: B010 - which geomstats 2.8 asks for

import geomstats.geometry.stiefel
import geoopt
import geotorch
import jax.numpy as jnp
import pymanopt.manifolds
import torch
from rich.progress import track
from torch.nn.utils import parametrizations

import orthoref
from orthoref.oracle import conformance
from orthoref.oracle.autodiff import derivative
from orthoref.oracle.stiefel.adapters import algebra, point_last, trivialization
from orthoref.oracle.stiefel.adapters import pymanopt as of_pymanopt

warnings.simplefilter("ignore")
REAL = {"dtypes": ("float32", "float64")}
ONE = {"dtypes": ("float64",)}
SQUARE = {"shapes": ((2, 2), (3, 3), (5, 5), (16, 16), (4, 3, 3), (2, 17, 17))}
FRAMES = {"shapes": ((3, 1), (2, 2), (5, 2), (4, 4), (8, 3), (16, 5), (3, 5, 2), (4, 6, 6))}  # of positive dimension
CANONICAL = {"metric": "canonical"}


def to_torch(a):
    return torch.asarray(a.astype(a.dtype.newbyteorder("=")))


def stiefel(n, p, k, **options):
    return pymanopt.manifolds.Stiefel(n, p, k=k, **options)


def group(which):
    return lambda n, p, k, **options: getattr(pymanopt.manifolds, which)(n, k=k, **options)


def real_where_x_is(port):
    return lambda x, y: port(x, y) if np.iscomplexobj(x) else port(x, y).real.copy()


def pymanopt_ports():
    qr, polar = stiefel, partial(stiefel, retraction="polar")
    yield "Stiefel.projection", "stiefel.project", of_pymanopt(qr, "projection"), REAL
    yield (
        "Stiefel.euclidean_to_riemannian_gradient",
        "stiefel.gradient",
        of_pymanopt(qr, "euclidean_to_riemannian_gradient"),
        REAL,
    )
    yield (
        "Stiefel.euclidean_to_riemannian_hessian",
        "stiefel.hessian",
        of_pymanopt(qr, "euclidean_to_riemannian_hessian"),
        REAL,
    )
    yield 'Stiefel(retraction="qr").retraction', "stiefel.retract_qr", of_pymanopt(qr, "retraction"), REAL
    yield 'Stiefel(retraction="qr").retraction', "stiefel.retract", of_pymanopt(qr, "retraction"), REAL
    yield 'Stiefel(retraction="polar").retraction', "stiefel.retract_polar", of_pymanopt(polar, "retraction"), REAL
    yield 'Stiefel(retraction="polar").retraction', "stiefel.retract", of_pymanopt(polar, "retraction"), {
        "order": 2, **REAL,
    }  # fmt: skip
    yield "Stiefel.exp", "stiefel.exp", of_pymanopt(qr, "exp"), ONE
    for name, dtypes in (
        ("SpecialOrthogonalGroup", ("float32", "float64")),
        ("UnitaryGroup", ("complex64", "complex128")),
    ):
        made, claimed = group(name), {"dtypes": dtypes, **SQUARE}
        polar = partial(made, retraction="polar")
        yield f"{name}.projection", "stiefel.project", algebra(of_pymanopt(made, "projection"), result=True), claimed
        yield (
            f"{name}.euclidean_to_riemannian_gradient",
            "stiefel.gradient",
            algebra(of_pymanopt(made, "euclidean_to_riemannian_gradient"), result=True),
            claimed,
        )
        yield (
            f"{name}.euclidean_to_riemannian_hessian",
            "stiefel.hessian",
            algebra(of_pymanopt(made, "euclidean_to_riemannian_hessian"), tangent=(2,), result=True),
            claimed,
        )
        yield (
            f'{name}(retraction="qr").retraction',
            "stiefel.retract_qr",
            algebra(of_pymanopt(made, "retraction"), tangent=(0,)),
            claimed,
        )
        yield (
            f'{name}(retraction="polar").retraction',
            "stiefel.retract_polar",
            algebra(of_pymanopt(polar, "retraction"), tangent=(0,)),
            claimed,
        )
        yield f"{name}.exp", "stiefel.exp", algebra(of_pymanopt(made, "exp"), tangent=(0,)), claimed
        log = algebra(of_pymanopt(made, "log"), result=True)
        doubles = {**claimed, "dtypes": dtypes[1:]}
        yield f"{name}.log, real part", "stiefel.log", real_where_x_is(log), doubles


def geoopt_ports():
    for name, made, metric in (
        ("EuclideanStiefel", geoopt.EuclideanStiefel(), "euclidean"),
        ("EuclideanStiefelExact", geoopt.EuclideanStiefelExact(), "euclidean"),
        ("CanonicalStiefel", geoopt.CanonicalStiefel(), "canonical"),
    ):
        claimed = {**REAL, "convert": to_torch}
        yield f"{name}.proju", "stiefel.project", made.proju, claimed
        yield f"{name}.egrad2rgrad", "stiefel.gradient", made.egrad2rgrad, {**claimed, "metric": metric}
        yield f"{name}.retr", "stiefel.retract", made.retr, {**claimed, "metric": metric}
        if name == "CanonicalStiefel":
            yield f"{name}.retr", "stiefel.retract_cayley", made.retr, claimed
            yield f"{name}.transp_follow_retr", "stiefel.transport_isometric", made.transp_follow_retr, claimed
        elif name == "EuclideanStiefel":
            yield f"{name}.retr", "stiefel.retract_qr", made.retr, claimed
        yield f"{name}.expmap", "stiefel.exp", made.expmap, {**claimed, "metric": metric}


def geomstats_ports():
    doubles = {**ONE, **FRAMES}

    def metric(n, p):
        return geomstats.geometry.stiefel.Stiefel(n, p).metric

    yield "Stiefel.to_tangent", "stiefel.project", point_last(geomstats.geometry.stiefel.Stiefel, "to_tangent"), doubles
    yield "StiefelCanonicalMetric.exp", "stiefel.exp", point_last(metric, "exp"), {**doubles, **CANONICAL}
    yield (
        "StiefelCanonicalMetric.retraction",
        "stiefel.retract",
        point_last(metric, "retraction"),
        {**doubles, **CANONICAL},
    )
    yield "StiefelCanonicalMetric.retraction", "stiefel.retract_qr", point_last(metric, "retraction"), doubles
    yield "StiefelCanonicalMetric.lifting", "stiefel.inverse_retract_qr", point_last(metric, "lifting"), doubles
    yield "StiefelCanonicalMetric.log", "stiefel.log", point_last(metric, "log"), {**doubles, **CANONICAL}


def by_geotorch(triv):
    def set_base(x):
        layer = geotorch.Stiefel(x.shape, triv=triv).to(to_torch(x).dtype)
        layer.right_inverse(to_torch(x))
        return lambda v: layer(to_torch(v)).detach().numpy(), layer.base.numpy()

    return trivialization(set_base)


def by_torch(orthogonal_map):
    def set_base(x):
        module = torch.nn.Linear(x.shape[1], x.shape[0], bias=False, dtype=to_torch(x).dtype)
        parametrizations.orthogonal(module, orthogonal_map=orthogonal_map, use_trivialization=True)
        module.weight = to_torch(x)
        made = module.parametrizations.weight[0]
        return lambda v: made(to_torch(v)).detach().numpy(), made.base.numpy()

    return trivialization(set_base)


def parametrization_ports():
    for library, make in (("geotorch.Stiefel, triv=", by_geotorch), ("torch parametrizations.orthogonal, ", by_torch)):
        names = ("expm", "cayley") if make is by_geotorch else ("matrix_exp", "cayley")
        dtypes = {**(REAL if make is by_geotorch else {}), "skip": ("repeatable", "kept")}  # the rest of Q is random
        yield f"{library}{names[0]}", "stiefel.exp", make(names[0]), {**dtypes, **CANONICAL}
        yield f"{library}{names[1]}", "stiefel.retract_cayley", make(names[1]), dtypes


def step_only(set_base):
    """The gradient of a parametrisation in V alone: its base point is a constant."""

    def vjp(x, v, y_bar):
        if not x.numel():
            return torch.zeros_like(x)
        found = []
        for members in zip(*(z.reshape(-1, *x.shape[-2:]) for z in (x, v, y_bar)), strict=True):
            forward, q = set_base(members[0])

            def retract(v, forward=forward, q=q):
                turned = q.mT @ v
                return forward(torch.tril(turned, -1) + torch.tril(turned - torch.tril(turned, -1)) / 2)

            found.append(derivative(retract, "torch", "vjp")(members[1], members[2]))
        return torch.stack(found).reshape(x.shape)

    return vjp


def geotorch_base(triv):
    def set_base(x):
        layer = geotorch.Stiefel(x.shape, triv=triv).to(x.dtype)
        layer.right_inverse(x)
        return layer, layer.base.detach()

    return set_base


def torch_base(orthogonal_map):
    def set_base(x):
        module = torch.nn.Linear(x.shape[1], x.shape[0], bias=False, dtype=x.dtype)
        parametrizations.orthogonal(module, orthogonal_map=orthogonal_map, use_trivialization=True)
        module.weight = x
        made = module.parametrizations.weight[0]
        return made, made.base.detach()

    return set_base


def polar_of_svd(x, v):
    p, _, wh = torch.linalg.svd(x + v, full_matrices=False)
    return p @ wh


def polar_of_eigh(x, v):
    a = x + v
    s, w = torch.linalg.eigh(a.mH @ a)
    return a @ (w * s.rsqrt()[..., None, :]) @ w.mH


def positive_qr(x, v):
    q, r = torch.linalg.qr(x + v)
    return q * torch.sgn(torch.diagonal(r, dim1=-2, dim2=-1))[..., None, :]


def torch_derivatives():
    claimed = {"convert": to_torch, "derivative": "torch"}
    yield "svd, u @ vh of X + V", "stiefel.retract_polar", polar_of_svd, claimed
    yield "eigh of the Gram matrix of X + V", "stiefel.retract_polar", polar_of_eigh, claimed
    yield "qr of X + V, diagonal made positive", "stiefel.retract_qr", positive_qr, claimed


def jax_derivatives():
    def polar_of_svd(x, v):
        p, _, wh = jnp.linalg.svd(x + v, full_matrices=False)
        return p @ wh

    def positive_qr(x, v):
        q, r = jnp.linalg.qr(x + v)
        d = jnp.diagonal(r, axis1=-2, axis2=-1)
        return q * (d / jnp.abs(d))[..., None, :]

    claimed = {**FRAMES, "convert": jnp.asarray, "derivative": "jax", "timeout": 600}  # it compiles for every shape
    yield "svd, u @ vh of X + V", "stiefel.retract_polar", polar_of_svd, claimed
    yield "qr of X + V, diagonal made positive", "stiefel.retract_qr", positive_qr, claimed


def geoopt_derivatives():
    claimed = {**REAL, "convert": to_torch, "derivative": "torch"}
    euclidean, canonical = geoopt.EuclideanStiefel(), geoopt.CanonicalStiefel()
    yield "EuclideanStiefel.proju", "stiefel.project", euclidean.proju, claimed
    yield "EuclideanStiefel.egrad2rgrad", "stiefel.gradient", euclidean.egrad2rgrad, claimed
    yield "CanonicalStiefel.egrad2rgrad", "stiefel.gradient", canonical.egrad2rgrad, {**claimed, **CANONICAL}
    yield "EuclideanStiefel.retr", "stiefel.retract_qr", euclidean.retr, claimed
    yield "EuclideanStiefel.expmap", "stiefel.exp", euclidean.expmap, claimed


def parametrization_derivatives():
    for name, make, triv, operation, options in (
        ("geotorch.Stiefel, triv=expm", geotorch_base, "expm", "stiefel.exp", CANONICAL),
        ("geotorch.Stiefel, triv=cayley", geotorch_base, "cayley", "stiefel.retract_cayley", {}),
        ("torch parametrizations.orthogonal, matrix_exp", torch_base, "matrix_exp", "stiefel.exp", CANONICAL),
        ("torch parametrizations.orthogonal, cayley", torch_base, "cayley", "stiefel.retract_cayley", {}),
    ):
        yield name, f"{operation}_vjp", step_only(make(triv)), {
            **REAL, **options, "returns": "v_bar", "convert": to_torch, "skip": ("repeatable", "kept"),
        }  # fmt: skip


DERIVATIVES = {
    "torch": torch_derivatives,
    "JAX": jax_derivatives,
    "geoopt": geoopt_derivatives,
    "geotorch and torch, the step alone": parametrization_derivatives,
}

LIBRARIES = {
    "pymanopt": pymanopt_ports,
    "geoopt": geoopt_ports,
    "geomstats": geomstats_ports,
    "geotorch and torch": parametrization_ports,
}


def cell(text):
    return text.replace("|", r"\|").replace("<", "&lt;")


def judged(name, operation, port, claimed):
    """Verdict, reason and smallest failing input of one port."""
    said = ", ".join(f"{key}={value}" for key, value in claimed.items() if key in ("metric", "order", "derivative"))
    try:
        report = conformance.check(port, operation, progress=False, name=name, **claimed)
    except Exception as error:
        return (
            f"| `{name}` | `{operation}` {said} | could not run | {cell(f'{type(error).__name__}: {error}'[:150])} | |"
        )
    head = f"| `{name}` | `{operation}` {said} | {report.status.lower()} "
    if report.holds:
        return f"{head}| | |"
    findings = report.findings()
    smallest = min(report.failed, key=lambda outcome: (np.prod(outcome.case.shape), outcome.case.id))
    why = report.key or findings[0].reason
    share = f"{len(report.failed)} of {len(report.outcomes)} cases"
    return f"{head}| {cell(why)} ({share}) | `{smallest.case.id}` |"


def main() -> None:
    packages = ("numpy", "torch", "jax", "pymanopt", "geoopt", "geomstats", "geotorch")
    versions = {"Python": platform.python_version(), "orthoref": orthoref.__version__}
    versions |= {package: version(package) for package in packages}
    for name in sys.argv[1:] or TABLES:
        lines = [
            "<!-- Written by docs/make_stiefel_ports.py: do not edit. -->",
            "",
            f"Run on {datetime.date.today().isoformat()}, {platform.machine()} {platform.system()}, CPU only: "
            + ", ".join(f"{package} {number}" for package, number in versions.items())
            + ".",
        ]
        for library, ports in TABLES[name].items():
            head = f"{'#' * LEVEL[name]} {library}"
            lines += [
                "",
                head,
                "",
                "| port | judged as | verdict | why | smallest failing case |",
                "|---|---|---|---|---|",
            ]
            for each in track([*ports()], description=library):
                lines.append(judged(*each))
                Path(__file__).with_name(f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


TABLES = {"stiefel_ports_table": LIBRARIES, "stiefel_derivative_ports_table": DERIVATIVES}
LEVEL = {"stiefel_ports_table": 2, "stiefel_derivative_ports_table": 3}

if __name__ == "__main__":
    main()
