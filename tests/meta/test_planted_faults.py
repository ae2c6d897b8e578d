"""Faults that ports have, planted one at a time: the oracle must catch each, for the right reason."""

from __future__ import annotations

import numpy as np
import pytest

from orthoref import conformance, polar, testing
from orthoref.errors import PortFailure
from orthoref.oracle import cases

COMPLEX = cases.matrix((6, 6), cond=50, seed=3, dtype="complex128")
REAL = cases.matrix((6, 6), cond=50, seed=3)
TALL = cases.matrix((9, 4), cond=50, seed=3, dtype="complex128")


def rotation(n: int, angle: float) -> np.ndarray:
    r = np.eye(n)
    r[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return r


def off_by(x: np.ndarray, relative: float) -> np.ndarray:
    return x + relative * np.abs(x).max() * np.random.RandomState(0).choice([-1.0, 1.0], x.shape)


# fault of (a, u, h) -> (u, h), and words that the reason must contain
RESULTS = {
    "dropped conjugate of u": (COMPLEX, lambda a, u, h: (u.conj(), h), "conjugated"),
    "dropped conjugate of both": (COMPLEX, lambda a, u, h: (u.conj(), h.conj()), "both factors are conjugated"),
    "dropped conjugate of h": (COMPLEX, lambda a, u, h: (u, h.T), "h is transposed (or conjugated)"),
    "sign of u": (REAL, lambda a, u, h: (-u, h), "u has the wrong sign"),
    "sign of h": (REAL, lambda a, u, h: (u, -h), "h has the wrong sign"),
    "sign of both": (REAL, lambda a, u, h: (-u, -h), "u and h have the wrong sign"),
    "sign of one singular vector": (
        REAL,
        lambda a, u, h: (u @ (np.eye(6) - 2 * np.outer(v := np.linalg.eigh(h)[1][:, 0], v)), h),
        "some singular vectors have the wrong sign",
    ),
    "lost 1/2 in h": (REAL, lambda a, u, h: (u, 2 * h), "h is twice"),
    "1/2 too many in h": (REAL, lambda a, u, h: (u, h / 2), "h is half"),
    "lost 1/2 in u": (REAL, lambda a, u, h: (2 * u, h), "u is twice"),
    "transposed": (REAL, lambda a, u, h: (u.T, h), "u is transposed"),
    "conjugate transpose": (COMPLEX, lambda a, u, h: (u.conj().T, h), "conjugate transpose"),
    "transposed without conjugate": (COMPLEX, lambda a, u, h: (u.T, h), "u is transposed"),
    "swapped": (REAL, lambda a, u, h: (h, u), "u and h are swapped"),
    "square root forgotten": (COMPLEX, lambda a, u, h: (u, h @ h), "square root"),
    "left factor": (REAL, lambda a, u, h: polar(a, side="left"), "other side"),
    "rotated, elementwise plausible": (REAL, lambda a, u, h: (u @ rotation(6, 1e-4), h), "not the polar factor"),
    "QR factor": (REAL, lambda a, u, h: (np.linalg.qr(a)[0], h), "QR factorization"),
    "1e-7 relative": (REAL, lambda a, u, h: (off_by(u, 1e-7), h), "float32 only"),
    "1e-7 relative in h": (REAL, lambda a, u, h: (u, off_by(h, 1e-7)), "not Hermitian"),
    "computed in float32": (
        REAL,
        lambda a, u, h: [x.astype("float64") for x in polar(a.astype("float32"))],
        "float32 only",
    ),
    "one NaN": (REAL, lambda a, u, h: (np.where(np.arange(36).reshape(6, 6) == 7, np.nan, u), h), "1 of 36 entries"),
    "infinite h": (REAL, lambda a, u, h: (u, h * np.inf), "36 of 36 entries"),
    "wrong dtype": (REAL, lambda a, u, h: (u.astype("float32"), h), "u has dtype float32, the input float64"),
    "wrong shape": (TALL, lambda a, u, h: (u.T, h), "u has shape (4, 9), not (9, 4)"),
    "range left": (TALL, lambda a, u, h: (np.linalg.qr(u + 1e-6)[0], h), "not"),
    "h off the null space of u": (
        TALL.conj().T,
        lambda a, u, h: (u, h + 7 * (np.eye(9) - u.conj().T @ u)),
        "h is wrong on the null space of u",
    ),
    "zero": (REAL, lambda a, u, h: (0 * u, 0 * h), "length 0"),
    "identity": (REAL, lambda a, u, h: (np.eye(6), a), "h is not Hermitian"),
}


@pytest.mark.parametrize("fault", RESULTS)
def test_a_wrong_result_is_caught_for_the_right_reason(fault):
    a, plant, words = RESULTS[fault]
    u, h = plant(a, *polar(a))
    with pytest.raises(PortFailure) as failure:
        testing.assert_polar(a, u, h)
    assert words in str(failure.value)


@pytest.mark.parametrize("name", ["conjugate", "sign", "transpose", "rotation", "1e-7", "nan", "qr"])
def test_a_wrong_u_alone_is_caught(name):
    u, _ = polar(COMPLEX)
    wrong = {
        "conjugate": u.conj(),
        "sign": -u,
        "transpose": u.T,
        "rotation": u @ rotation(6, 1e-9),
        "1e-7": off_by(u, 1e-7),
        "nan": u * np.nan,
        "qr": np.linalg.qr(COMPLEX)[0],
    }[name]
    with pytest.raises(PortFailure):
        testing.assert_polar(COMPLEX, wrong)


@pytest.mark.parametrize("index", [(0, 0), (1, 2)])
def test_the_batch_index_of_the_fault_is_named(index):
    a = cases.matrix((2, 3, 5, 5), cond=10, seed=1)
    u, h = polar(a)
    u = u.copy()
    u[index] *= -1
    with pytest.raises(PortFailure, match=rf"batch index \({index[0]}, {index[1]}\)"):
        testing.assert_polar(a, u, h)


def test_h_is_fixed_where_u_is_a_partial_isometry_too():
    with pytest.raises(PortFailure, match="null space of u"):
        testing.assert_polar(
            np.diag([3.0, 2, 0]), np.diag([1.0, 1, 0]), np.diag([3.0, 2, 99]), rank_deficient="partial"
        )
    with pytest.raises(PortFailure):
        testing.assert_polar(np.zeros((0, 3)), np.zeros((0, 3)), 5 * np.eye(3))


@pytest.mark.exhaustive
def test_a_qr_factor_is_caught_in_16_bits():
    for n in (16, 64, 128, 512):
        a = np.random.RandomState(n).standard_normal((n, n))
        q, r = np.linalg.qr(a)
        with pytest.raises(PortFailure):
            testing.assert_polar(a, q * np.sign(np.diagonal(r)), precision="bfloat16")


@pytest.mark.parametrize("precision", ["float16", None])
def test_subnormal_numbers_excuse_no_wrong_u(precision):
    q = np.linalg.qr(np.random.RandomState(0).standard_normal((16, 16)))[0].astype("float32")
    a = (1e-8 * np.random.RandomState(1).standard_normal((16, 16))).astype("float32")
    for x in (a, np.float32(2.0**-149) * np.eye(16, dtype="float32")):
        with pytest.raises(PortFailure):
            testing.assert_polar(x, q, np.zeros((16, 16), "float32"), precision=precision)


def test_huge_factors_are_judged():
    with pytest.raises(PortFailure):
        testing.assert_polar(0.5 * np.eye(3), np.eye(3), 1.7e308 * np.ones((3, 3)))
    with pytest.raises(PortFailure):
        testing.assert_polar(np.zeros((0, 3)), np.zeros((0, 3)), -np.eye(3))


def port_changing_its_input(a):
    result = polar(a)
    a *= 2
    return result


def port_on_another_device(a):
    import array_api_strict as xp

    return tuple(x.to_device(xp.Device("device1")) for x in polar(a))


def raises(a):
    raise FloatingPointError("by design")


def exits(a):
    raise SystemExit(3)


PORTS = {
    "mutated input": (port_changing_its_input, None, "the input was changed in place"),
    "wrong array type": (
        lambda a: [x.tolist() for x in polar(a)],
        None,
        "u is a builtins.list, the input a numpy.ndarray",
    ),
    "wrong device": (port_on_another_device, "strict", "device1"),
    "wrong dtype": (lambda a: tuple(x.astype("float32") for x in polar(a)), None, "u has dtype float32"),
    "exception": (raises, None, "raised FloatingPointError: by design"),
    "sys.exit": (exits, None, "SystemExit(3)"),
    "one output": (lambda a: polar(a).u, None, "not 2 arrays"),
    "nothing": (lambda a: None, None, "not 2 arrays"),
}


@pytest.mark.parametrize("fault", PORTS)
def test_a_broken_contract_is_a_finding(fault):
    port, library, words = PORTS[fault]
    convert = None
    if library == "strict":
        xp = pytest.importorskip("array_api_strict")
        convert = xp.asarray
    report = conformance.check(
        port, returns="uh", dtypes=["float64"], shapes=[(3, 3)], convert=convert, skip=["gallery"], progress=False
    )
    assert not report.holds and len(report.failed) == len(report.outcomes)
    assert words in report.text()


def test_results_in_the_order_h_u_are_recognised():
    report = conformance.check(lambda a: polar(a)[::-1], dtypes=["float64"], shapes=[(4, 4)], progress=False)
    assert "u and h are swapped" in report.text()
    assert conformance.check(
        lambda a: polar(a)[::-1], returns="hu", dtypes=["float64"], shapes=[(4, 4)], progress=False
    ).holds


@pytest.mark.parametrize("n", [1, 4, 64, 256, pytest.param(1024, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("precision", ["bfloat16", "float16", "tf32", "float32", "float64"])
def test_no_unit_is_so_coarse_that_zero_passes(n, precision):
    # (CAP): the limit is at most half of what U = 0 scores, in every precision
    a = np.eye(n)
    with pytest.raises(PortFailure):
        testing.assert_polar(a, 0 * a, precision=precision, limit=1e30)
