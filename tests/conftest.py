import gc
import os
import sys
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from pkgutil import walk_packages
from zlib import crc32

os.environ.setdefault("JAX_ENABLE_X64", "1")  # before the first import of JAX: float64 is off there by default
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # small matrices in parallel workers: threads cost more than they bring
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

HERE = str(Path(__file__).parent)  # the helpers beside this file (backends, exact), wherever the folder was copied to
if HERE not in sys.path:
    sys.path.insert(0, HERE)

import pytest  # noqa: E402
from backends import BACKENDS, JAX, TORCH  # noqa: E402

SECONDS = pytest.StashKey[float]()
LANE = 2  # exhaustive parameters of a test


def pytest_addoption(parser):
    parser.addoption(
        "--limit-seconds",
        type=float,
        metavar="S",
        help="fail a test that is not marked exhaustive and takes more than S seconds of processor time",
    )


@pytest.fixture(scope="session", autouse=True)
def warm(pytestconfig, request):
    """What the first test would pay for, beside what it tests: imports, fonts, the compiled kernels or their cache."""
    if pytestconfig.getoption("--limit-seconds") is None:
        return
    import numpy as np

    import orthoref

    for module in walk_packages(orthoref.__path__, "orthoref."):
        with suppress(ImportError):  # an extra is missing
            import_module(module.name)
    for name in ("scipy.linalg", "scipy.stats", "flint", "hypothesis.extra.numpy", "rich.console"):
        if find_spec(name.partition(".")[0]) is not None:
            import_module(name)
    if find_spec("matplotlib") is not None:
        figure = import_module("matplotlib.figure").Figure()
        figure.subplots().loglog([1, 2], [1, 2])
        figure.savefig(BytesIO())
    for backend in (TORCH, JAX):
        if find_spec(backend.package) is not None:
            orthoref.newton_schulz(backend.asarray(np.eye(2, dtype="float32")), steps=1)
    request.getfixturevalue("compiled")


@pytest.fixture(scope="session")
def compiled():
    """The kernels, compiled or read from the cache: the tests measure themselves, not the compiler."""
    if find_spec("numba") is None:
        return
    import numpy as np

    import orthoref

    dtypes = ["float32", "float64", "complex64", "complex128"]
    if int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 2:
        dtypes.reverse()  # of two workers each compiles a half, and reads the other one
    for dtype in dtypes:
        x = np.eye(3, dtype=dtype)
        orthoref.polar(x[None], impl="kernel")
        theta = np.ones(3, dtype=x.real.dtype)
        for phase in (None, theta) if np.iscomplexobj(x) else (None,):
            orthoref.givens_apply_vjp(theta, x, x, phase, impl="kernel")


@pytest.hookimpl(tryfirst=True)  # before -m looks at the marks
def pytest_collection_modifyitems(items):
    """``sample(k)``: of the parameters of a test about one in k is fast, drawn by its name, and at least one.

    The others are exhaustive. Of what is exhaustive about ``LANE`` parameters of a test stay so; the rest is by hand.
    """
    for marker, others_are in (("sample", "exhaustive"), ("exhaustive", "by_hand")):
        families = {}
        for item in items:
            if item.get_closest_marker(marker) and not item.get_closest_marker("by_hand") and hasattr(item, "callspec"):
                families.setdefault(item.nodeid.partition("[")[0], []).append(item)
        for family in families.values():
            k = -(-len(family) // LANE) if marker == "exhaustive" else family[0].get_closest_marker(marker).args[0]
            # a hash for each stage: what is not fast has no multiple of the k of a sample
            drawn = {item: crc32(f"{marker} {item.nodeid}".encode()) for item in family}
            chosen = {item for item in family if drawn[item] % k == 0} or {family[0]}
            for item in family:
                if item not in chosen:
                    item.add_marker(others_are)


def pytest_collection_finish():
    gc.freeze()  # the tests are here to stay: to look through them again and again would be charged to some of them


def processor_time():
    """Of this process and of the children that have ended: a loaded machine changes it little."""
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


def slowness():
    """How many times longer Python and small arrays take here and now than where the yardstick takes 50 ms, at least 1.

    The same code takes up to twice the processor time from one process to the next where machines are shared.
    """
    import numpy as np

    a, longest = np.eye(8), 0.0
    for _ in range(5):
        start = processor_time()
        for _ in range(20_000):
            (a @ a).max()
        longest = max(longest, processor_time() - start)
    return max(1.0, longest / 0.05)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    start = processor_time()
    try:
        return (yield)
    finally:
        item.stash[SECONDS] = processor_time() - start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    limit = item.config.getoption("--limit-seconds")
    if limit is None or report.when != "call" or not report.passed:
        return report
    # JAX compiles every operation for every shape and dtype: the first test of a process pays for the others
    if item.get_closest_marker("exhaustive") or "jax" in item.name.lower():
        return report
    if not item.stash[SECONDS] <= limit and not item.stash[SECONDS] <= limit * slowness():
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid}: {item.stash[SECONDS]:.2f} s of processor time, the limit is {limit} s; "
            "make it smaller or mark it exhaustive"
        )
    return report


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request):
    request.param.require()
    return request.param
