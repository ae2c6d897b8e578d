"""Faults that ports have, planted one at a time: the oracle must catch each, for the right reason."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from orthoref import conformance, polar, testing
from orthoref.errors import CannotRun, PortFailure
from orthoref.oracle import cases
from orthoref.oracle.precision import PRECISIONS

pytestmark = pytest.mark.sample(4)

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
        "1 of 6 directions of u is reversed",
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
    "1e-7 relative in h": (REAL, lambda a, u, h: (u, off_by(h, 1e-7)), "h is accurate to float32 only"),
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
    "zero": (REAL, lambda a, u, h: (0 * u, 0 * h), "u is zero"),
    "identity": (REAL, lambda a, u, h: (np.eye(6), a), "h is not Hermitian"),
}


R = cases.matrix((24, 24), cond=50, seed=3)
C = cases.matrix((12, 12), cond=50, seed=3, dtype="complex128")
T = cases.matrix((40, 9), cond=50, seed=3, dtype="complex128")
W = cases.matrix((9, 40), cond=50, seed=4, dtype="complex128")
ILL = cases.matrix((24, 24), cond=1e6, seed=5)
NOISE = np.random.RandomState(0).standard_normal((24, 24))


def put(x: np.ndarray, place, value) -> np.ndarray:
    x = x.copy()
    x[place] = value
    return x


def svd(a: np.ndarray):
    return np.linalg.svd(a, full_matrices=False)


def on_singular_values(a: np.ndarray, f) -> np.ndarray:
    p, s, vh = svd(a)
    return (p * f(s)) @ vh


def iterated(x: np.ndarray, steps: int, step) -> np.ndarray:
    for _ in range(steps):
        x = step(x)
    return x


def cubic(x: np.ndarray) -> np.ndarray:
    return 1.5 * x - 0.5 * x @ (x.conj().T @ x)


def newton(x: np.ndarray) -> np.ndarray:
    return (x + np.linalg.inv(x).conj().T) / 2


def gram(a: np.ndarray) -> np.ndarray:
    """A (A^H A)^(-1/2)."""
    w, v = np.linalg.eigh(a.conj().T @ a)
    return a @ (v / np.sqrt(w)) @ v.conj().T


def transposed_gram(a: np.ndarray) -> np.ndarray:
    """A (A^T A)^(-1/2), as eigh takes it."""
    w, v = np.linalg.eigh(a.T @ a)
    return a @ (v / np.sqrt(abs(w))) @ v.conj().T


def reversed_(a: np.ndarray, which) -> np.ndarray:
    p, s, vh = svd(a)
    return (p * put(np.ones(len(s)), which, -1)) @ vh


def with_its_h(a: np.ndarray, u: np.ndarray):
    h = u.conj().T @ a
    return u, (h + h.conj().T) / 2


def ql(a: np.ndarray) -> np.ndarray:
    return np.linalg.qr(a[:, ::-1])[0][:, ::-1]


def adjoint(f, a: np.ndarray) -> np.ndarray:
    return f(a.conj().T).conj().T


def qr(a: np.ndarray) -> np.ndarray:
    return np.linalg.qr(a)[0]


def exp_of_skew(x: np.ndarray) -> np.ndarray:
    w, v = np.linalg.eigh(1j * (x - x.T))
    return ((v * np.exp(-1j * w)) @ v.conj().T).real


# fault of (a, u, h) -> u or (u, h), and words that the reason must contain
SEEN = {
    "8 cubic steps": (R, lambda a, u, h: iterated(a / np.linalg.norm(a, 2), 8, cubic), "8 steps of X (3 I - X^H X)/2"),
    "20 cubic steps, Frobenius": (ILL, lambda a, u, h: iterated(a / np.linalg.norm(a), 20, cubic), "20 steps of"),
    "5 Newton steps": (R, lambda a, u, h: iterated(a, 5, newton), "5 steps of (X + X^-H)/2"),
    "ridge": (
        ILL,
        lambda a, u, h: on_singular_values(a, lambda s: s / np.sqrt(s**2 + 1e-8)),
        "a shift: (A^H A + 1e-08 |A|_2^2 I)^(-1/2)",
    ),
    "small ridge, tall": (
        T,
        lambda a, u, h: on_singular_values(a, lambda s: s / np.sqrt(s**2 + 1e-10)),
        "a shift: (A^H A + 1e-10 |A|_2^2 I)^(-1/2)",
    ),
    "shift of h": (W, lambda a, u, h: on_singular_values(a, lambda s: s / (s + 1e-6)), "(H + 1e-06 |A|_2 I)^(-1)"),
    "series": (
        R,
        lambda a, u, h: on_singular_values(
            a,
            lambda s: (
                s * (1 + sum(np.prod([1 - 0.5 / j for j in range(1, k + 1)]) * (1 - s**2) ** k for k in range(1, 30)))
            ),
        ),
        "30 terms of",
    ),
    "unknown": (
        ILL,
        lambda a, u, h: on_singular_values(a, lambda s: 1 - 0.12 * np.exp(-s / 1e-4)),
        "vectors are right; singular values of u fall from 1 to 0.881194 below s/s_1 = 0.00041: not converged",
    ),
    "cut off": (
        ILL,
        lambda a, u, h: on_singular_values(a, lambda s: 1.0 * (s > 1e-4)),
        "singular values of u are zero below",
    ),
    "Gram matrix": (ILL, lambda a, u, h: gram(a), "grows like cond^2"),
    "Gram matrix, wide": (ILL[:9], lambda a, u, h: adjoint(gram, a), "forms A^H A"),
    "Gram matrix, tall": (ILL[:, :9], lambda a, u, h: gram(a), "forms A^H A"),
    "inverse": (ILL, lambda a, u, h: a @ np.linalg.inv(h), "columns are not orthonormal"),
    "one entry": (R, lambda a, u, h: put(u, (3, 4), 0), "entry (3, 4) of u alone is wrong"),
    "one entry by 4e-13": (R, lambda a, u, h: put(u, (3, 4), u[3, 4] + 4e-13), "entry (3, 4) of u alone is wrong"),
    "one row": (T, lambda a, u, h: put(u, 3, 2 * u[3]), "row 3 of u alone is wrong"),
    "two rows swapped": (R, lambda a, u, h: put(u, [3, 4], u[[4, 3]]), "1 of 24 directions of u is reversed"),
    "rows shifted": (R, lambda a, u, h: np.roll(u, 1, axis=0), "not the polar factor"),
    "one column negated": (R, lambda a, u, h: put(u, (slice(None), 5), -u[:, 5]), "column 5 of u alone is wrong"),
    "one entry of h": (R, lambda a, u, h: (u, put(h, (3, 4), h[3, 4] + 1e-9)), "entry (3, 4) of h alone is wrong"),
    "one row of h": (R, lambda a, u, h: (u, put(h, 3, h[4])), "row 3 of h alone is wrong"),
    "three directions": (R, lambda a, u, h: reversed_(a, [1, 5, 7]), "3 of 24 directions of u are reversed"),
    "a direction, h": (R, lambda a, u, h: (reversed_(a, [1]), h), "1 of 24 directions of u is reversed"),
    "two directions of both": (R, lambda a, u, h: with_its_h(a, reversed_(a, [1, 2])), "2 of 24 directions of u are"),
    "wide, three directions": (W, lambda a, u, h: reversed_(a, [1, 5, 7]), "3 of 9 directions of u are reversed"),
    "QL": (R, lambda a, u, h: ql(a), "a QL factorization"),
    "QL, tall": (T, lambda a, u, h: ql(a), "a QL factorization"),
    "LQ": (R, lambda a, u, h: adjoint(qr, a), "an LQ factorization"),
    "LQ, wide": (W, lambda a, u, h: adjoint(qr, a), "an LQ factorization"),
    "RQ": (C, lambda a, u, h: adjoint(ql, a), "an RQ factorization"),
    "u is zero": (T, lambda a, u, h: (0 * u, h), "u is zero"),
    "u is a": (R, lambda a, u, h: a / np.linalg.norm(a), "u is a multiple of a"),
    "u @ vh.T": (R, lambda a, u, h: svd(a)[0] @ svd(a)[2].T, "u @ vh.T"),
    "u @ vh.T, complex": (C, lambda a, u, h: svd(a)[0] @ svd(a)[2].T, "u @ vh.T"),
    "u @ v, complex and tall": (T, lambda a, u, h: svd(a)[0] @ svd(a)[2].conj().T, "u @ vh.T (or u @ v)"),
    "A^T A": (C, lambda a, u, h: transposed_gram(a), "a conjugate is lost in the Gram matrix"),
    "A^T A, tall": (T, lambda a, u, h: transposed_gram(a), "a conjugate is lost in the Gram matrix"),
    "real part": (C, lambda a, u, h: u.real + 0j, "the imaginary part is lost"),
    "float32, ill-conditioned": (
        ILL,
        lambda a, u, h: polar(a.astype("float32"))[0].astype("float64"),
        "accurate to float32 only",
    ),
    "noise of float32": (R, lambda a, u, h: u + 3e-8 * NOISE, "accurate to float32 only"),
    "stored in bfloat16": (R, lambda a, u, h: cases.cast(u, "bfloat16").astype("float64"), "accurate to bfloat16 only"),
    "stored in float16": (R, lambda a, u, h: u.astype("float16").astype("float64"), "accurate to float16 only"),
    "h stored in float32": (
        R,
        lambda a, u, h: (u, h.astype("float32").astype("float64")),
        "h is accurate to float32 only",
    ),
    "noise of no format": (R, lambda a, u, h: u + 1e-11 * NOISE, "columns are not orthonormal"),
    "a larger error beside": (
        R,
        lambda a, u, h: 1.0007 * u @ exp_of_skew(0.06 * NOISE),
        "reason: U^H A is not Hermitian by 0.",
    ),
    "h 7 percent too large": (R, lambda a, u, h: (u, 1.07 * h), "h is 1.07 times what it should be"),
}


@pytest.mark.parametrize("fault", SEEN)
def test_what_is_seen_of_a_wrong_result_is_said(fault):
    a, plant, words = SEEN[fault]
    wrong = plant(a, *polar(a))
    with pytest.raises(PortFailure) as failure:
        testing.assert_polar(a, *(wrong if isinstance(wrong, tuple) else (wrong,)))
    assert words in str(failure.value)
    if "only" not in words:  # no shorter format is named for what is none
        assert "only" not in str(failure.value)


@pytest.mark.parametrize("n", [12, 170, pytest.param(700, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("fault", ["u", "h", "reversed", "rotated", "h in one direction", "h skew"])
def test_short_formats_are_not_vacuous(fault, n):
    # in Frobenius norms alone all of these pass from some order below 700 on, 1.03 U and 1.07 H at any
    random = np.random.RandomState(n)
    p, v = (np.linalg.qr(random.standard_normal((n, n)))[0] for _ in range(2))
    s = np.linspace(1, 0.3, n)
    u, h = p @ v.T, (v * s) @ v.T
    a = cases.cast((p * s) @ v.T, "bfloat16").astype(float)
    testing.assert_polar(a, cases.cast(u, "bfloat16"), cases.cast(h, "bfloat16"), precision="bfloat16")
    first = v[:, :1] @ v[:, :1].T
    turn = np.eye(n) - first - v[:, 1:2] @ v[:, 1:2].T + v[:, :1] @ v[:, 1:2].T - v[:, 1:2] @ v[:, :1].T
    u, h = {
        "u": (1.03 * u, h),
        "h": (u, 1.07 * h),
        "reversed": (u - 2 * u @ first, h),
        "rotated": (u @ turn, h),
        "h in one direction": (u, h - 0.2 * first),
        "h skew": (u, h + 0.2 * (v[:, :1] @ v[:, 1:2].T - v[:, 1:2] @ v[:, :1].T)),
    }[fault]
    u, h = cases.cast(u, "bfloat16"), cases.cast(h, "bfloat16")
    with pytest.raises(PortFailure):
        testing.assert_polar(a, u, h, precision="bfloat16")
    if fault in ("u", "reversed", "rotated"):
        with pytest.raises(PortFailure):
            testing.assert_polar(a, u, precision="bfloat16")


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


@pytest.mark.parametrize("n", [16, 64, 128, pytest.param(512, marks=pytest.mark.exhaustive)])
def test_a_qr_factor_is_caught_in_16_bits(n):
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
    if a[0, 0] > 0:
        raise FloatingPointError("by design")
    return polar(a)


def exits(a):
    if a[0, 0] > 0:
        raise SystemExit(3)
    return polar(a)


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
    "one output": (lambda a: polar(a).u if a[0, 0] > 0 else polar(a), None, "not 2 arrays"),
    "nothing": (lambda a: None if a[0, 0] > 0 else polar(a), None, "not 2 arrays"),
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
    assert not report.holds
    assert words in report.text()


@pytest.mark.parametrize(
    ("port", "words"),
    [
        (lambda a: polar(a).u, "not 2 arrays.*returns="),
        (lambda a: None, "not 2 arrays"),
        (lambda a, b: polar(a), "missing 1 required positional argument: 'b'.*functools.partial"),
        (lambda a: a.unknown(), "has no attribute 'unknown'.*test_planted_faults.py:.*convert="),
    ],
)
def test_what_every_input_raises_is_no_verdict(port, words):
    with pytest.raises(CannotRun, match=words):
        conformance.check(port, returns="uh", dtypes=["float64"], shapes=[(3, 3)], progress=False)


def test_results_in_the_order_h_u_are_recognised():
    some = {"dtypes": ["float64"], "shapes": [(4, 4)], "max_cases": 40, "progress": False}
    report = conformance.check(lambda a: polar(a)[::-1], **some)
    assert "u and h are swapped" in report.text()
    assert conformance.check(lambda a: polar(a)[::-1], returns="hu", **some).holds


@pytest.mark.parametrize("n", [1, 4, 64, 256, pytest.param(1024, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("precision", ["bfloat16", "float16", "tf32", "float32", "float64"])
def test_no_unit_is_so_coarse_that_zero_passes(n, precision):
    # (CAP): the limit is at most half of what U = 0 scores, in every precision
    a = np.eye(n)
    with pytest.raises(PortFailure):
        testing.assert_polar(a, 0 * a, precision=precision, limit=1e30)


def householder(n: int) -> np.ndarray:
    return np.eye(n) - np.full((n, n), 2 / n)


HOSTILE = {  # right factors (a, u, h) of matrices whose entries round alike, have no determined direction, or are few
    "identity": (np.eye(9), np.eye(9), np.eye(9)),
    "constant": (np.ones((6, 6)), -householder(6), np.ones((6, 6))),  # minus the identity where any sign is right
    "reflection": (3 * householder(50), householder(50), 3 * np.eye(50)),
    "zero": (np.zeros((5, 3)), np.eye(5, 3), np.zeros((3, 3))),
    "vector": (np.full((77, 1), 0.3), np.full((77, 1), 77**-0.5), np.full((1, 1), 0.3 * 77**0.5)),
    "row": (np.arange(1.0, 9)[None], np.arange(1.0, 9)[None] / np.sqrt(204), None),
}


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "tf32", "float32", "float64"])
@pytest.mark.parametrize("name", HOSTILE)
def test_strange_right_results_pass(name, precision):
    def rounded(x):
        if precision in ("float32", "float64"):
            return x.astype(precision).astype(float)
        return cases._round_to(x, PRECISIONS[precision]).astype(float)

    a, u, h = HOSTILE[name]
    a = rounded(a)
    testing.assert_polar(a, rounded(u), precision=precision)
    if h is not None:
        testing.assert_polar(a, rounded(u), rounded(h), precision=precision)


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "tf32"])
@pytest.mark.parametrize("shape", [(40, 40), (90, 7), (7, 90), (5000, 2)])
def test_factors_stored_in_short_formats_and_multiplied_pass(shape, precision):
    def rounded(x):
        return cases._round_to(x, PRECISIONS[precision]).astype(float)

    for seed, spectrum in enumerate(cases.SPECTRA):
        a = rounded(cases.matrix(shape, spectrum=spectrum, cond=1e4, seed=seed))
        p, s, vh = (rounded(x) for x in svd(a))
        u, h = rounded(p @ vh), rounded(rounded(vh.T * s) @ vh)
        testing.assert_polar(a, u, h, precision=precision)
        p, _, vh = svd(a.astype("float32"))
        u = rounded(p @ vh)
        testing.assert_polar(a, u, rounded(u.T @ a), precision=precision)
        testing.assert_polar(a, u, precision=precision)


@pytest.mark.parametrize("order", ["X (3/2 I - G/2)", "3/2 X - X G/2"])
def test_an_iteration_that_runs_in_bfloat16_passes(order):
    torch = pytest.importorskip("torch")
    for n, cond in ((8, 2), (64, 50), (64, 1e3)):
        a = torch.tensor(cases.matrix((n, n), cond=cond, seed=n, dtype="bfloat16")).bfloat16()
        x = a / a.float().norm().bfloat16()
        for _ in range(40):
            g = x.mT @ x
            x = x @ (1.5 * torch.eye(n).bfloat16() - 0.5 * g) if order[0] == "X" else 1.5 * x - 0.5 * (x @ g)
        h = x.mT @ a
        testing.assert_polar(a, x, (h + h.mT) / 2)
        testing.assert_orthonormal(x)


def long_result(m: int, n: int):
    a = np.random.RandomState(0).standard_normal((m, n))
    return (a, qr(a)) if m >= n else (a, adjoint(qr, a))


@pytest.mark.parametrize(
    "shape",
    [
        (40_000, 2),
        (3, 20_000),
        pytest.param((100_000, 2), marks=pytest.mark.exhaustive),
        pytest.param((1_000_000, 4), marks=pytest.mark.exhaustive),
        pytest.param((4, 1_000_000), marks=pytest.mark.exhaustive),
    ],
)
@pytest.mark.parametrize("options", [{}, {"rank_deficient": "partial"}, {"precision": "bfloat16"}, {"side": "left"}])
def test_judging_and_explaining_cost_a_small_multiple_of_the_memory(shape, options):
    a, u = long_result(*shape)
    tracemalloc.start()
    with pytest.raises(PortFailure, match="reason"):
        testing.assert_polar(a, 0.9 * u, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= 8 * (a.nbytes + u.nbytes)
