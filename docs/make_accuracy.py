"""Writes accuracy_results.json, which the page accuracy shows: python docs/make_accuracy.py."""

import json
import os
import platform
from functools import partial
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # the matrices are small: threads cost more than they bring

import numpy as np
import scipy.linalg

import orthoref
from orthoref.oracle import cases, conformance

DTYPES = ("float32", "float64", "complex64", "complex128")
METHODS = ("svd", "newton", "qdwh", "zolotarev")
PORTS = {f"orthoref, {method}": partial(orthoref.polar, method=method) for method in METHODS}
PORTS["scipy.linalg.polar"] = scipy.linalg.polar


def quantiles(values):
    """Median, 95 % and maximum."""
    return " / ".join(f"{x:.2g}" for x in (np.median(values), np.quantile(values, 0.95), np.max(values)))


def residuals(name):
    """Ratios over the default battery."""
    report = conformance.check(PORTS[name], returns="uh", dtypes=DTYPES, progress=False, name=name)
    found = {
        (dtype, check): [
            (min(o.condition, 1e18), c.ratio)
            for o in report.outcomes
            if o.case.dtype == dtype
            for c in o.verdict.checks
            if c.name == check
        ]
        for dtype in DTYPES
        for check in report.checks
    }
    return {
        "summary": report.summary(),
        "quantiles": {
            dtype: {check: quantiles([r for _, r in found[dtype, check]]) for check in report.checks}
            for dtype in DTYPES
        },
        "points": {
            check: [[float(f"{x:.3g}") for x in point] for point in found["float64", check]]
            for check in ("backward", "orthonormal")
        },
    }


def forward(method, dtype):
    """Upper bound of |u - U| over eps kappa_U |A|, for full-rank inputs that can be told from singular ones."""
    eps = np.finfo(dtype).eps
    found = []
    for shape in ((2, 2), (6, 6), (12, 5)):
        for spectrum in ("geometric", "one_small", "one_large", "clustered", "graded"):
            for cond in (1e1, 1e3, 0.01 / eps):
                a = cases.matrix(shape, spectrum=spectrum, cond=cond, dtype=dtype, seed=1)
                u, _ = orthoref.polar(a, method=method)
                upper = orthoref.certify.polar(a, u, digits=25).u_error[1]
                exact = a.astype("complex128" if a.dtype.kind == "c" else "float64")
                kappa = orthoref.polar_condition(exact)
                found.append(upper / (eps * float(kappa) * np.linalg.norm(exact)))
    return quantiles(found)


def main():
    """All of it."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    results = {
        "versions": {
            "machine class": f"{platform.machine()}, {platform.system()}",
            "Python": platform.python_version(),
            "orthoref": orthoref.__version__,
            "NumPy": f"{np.__version__} with {blas['name']} {blas['version']}",
            "SciPy": scipy.__version__,
        },
        "residuals": {name: residuals(name) for name in PORTS},
        "forward": {method: {dtype: forward(method, dtype) for dtype in DTYPES} for method in METHODS},
    }
    Path(__file__).with_name("accuracy_results.json").write_text(json.dumps(results, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
