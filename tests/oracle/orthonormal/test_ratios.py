"""Columns in formats that only store: units by hand, right results, wrong ones of any order."""

from __future__ import annotations

import numpy as np
import pytest

from orthoref import PortFailure, testing
from orthoref.oracle import cases
from orthoref.oracle.orthonormal import ratios
from orthoref.oracle.precision import PRECISIONS, Precision
from orthoref.oracle.residual import half_spacing, rounding_norm, singular_values, spectral_norm

SHORT = ("bfloat16", "float16", "tf32")
BFLOAT16 = PRECISIONS["bfloat16"]


def columns(shape, seed=0):
    return np.linalg.qr(np.random.RandomState(seed).standard_normal(shape))[0]


def test_half_spacings_by_hand():
    x = np.array([1.0, 1.5, 2.0, 0.75, 0.0, 2.0**-133])
    expected = np.array([2.0**-8, 2.0**-8, 2.0**-7, 2.0**-9, 2.0**-134, 2.0**-134])
    assert np.array_equal(half_spacing(x, BFLOAT16), expected)
    assert half_spacing(np.array([3 + 4j]), BFLOAT16)[0] == np.hypot(2.0**-7, 2.0**-6)


def test_units_by_hand():
    q = np.eye(3)
    assert rounding_norm(q, BFLOAT16) == pytest.approx(2 * 2.0**-8, rel=1e-15, abs=0)  # a row and a column of one 1
    found = {name: np.asarray(error / unit) for name, (error, unit) in ratios.residuals(2 * q, BFLOAT16).items()}
    assert found["orthonormal_2"] == pytest.approx(3 / (2 * BFLOAT16.eps), rel=1e-14, abs=0)  # the unit is capped
    assert found["lengths"] == 1 / 2.0**-8
    # one significand: all errors of one sign move |Q|^2/3 by 2 * 2 * 2^-7, more than the cap
    assert found["scale"] == 3 / BFLOAT16.eps
    q = np.diag([1.0, 0.75, 0.75, 0.75])  # two significands: 2/256 and 3 * 1.5/512, and two roundings of a factor
    expected = np.sqrt((2 / 256) ** 2 + (4.5 / 512) ** 2 + (4 / 256) ** 2) / 4
    assert ratios.scale_unit(q, BFLOAT16) == pytest.approx(expected, rel=1e-15, abs=0)


def test_only_formats_that_store_are_judged_so():
    assert set(ratios.orthonormal(np.eye(3))) == {"orthonormal"}
    assert set(ratios.orthonormal(np.eye(3), precision=BFLOAT16)) == {
        "orthonormal",
        "orthonormal_2",
        "lengths",
        "scale",
    }


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (3, 5), (2, 7, 4), (0, 3), (3, 0), (100, 3), (3, 100)])
def test_norms_against_svd(shape):
    x = np.random.RandomState(1).standard_normal(shape) * 1e-170
    s = np.linalg.svd(x, compute_uv=False)
    largest = s[..., 0] if x.size else np.zeros(shape[:-2])
    assert np.allclose(spectral_norm(x), largest, rtol=1e-13, atol=0)
    assert np.allclose(singular_values(x), s, rtol=1e-12, atol=0)
    assert np.isnan(spectral_norm(np.full((2, 2), np.nan)))


def zero_column(q):
    q[:, 3] = 0


def equal_columns(q):
    q[:, 3] = q[:, 5]


def long_column(q):
    q[:, 3] *= 1.02


def longer(q):
    q *= 1.01


def sheared(q):
    q[:, 3] += 0.1 * q[:, 5]


@pytest.mark.parametrize("n", [8, 170, 400])
@pytest.mark.parametrize("wrong", [zero_column, equal_columns, long_column, longer, sheared])
def test_what_is_wrong_in_one_column_is_caught_at_any_order(n, wrong):
    # the Frobenius norm alone, 10 sqrt(n) eps, accepts a zero column from n = 164 on, two equal ones from 328 on
    for q in (np.eye(n), columns((n, n))):
        q = cases.cast(q, "bfloat16").astype(float)
        testing.assert_orthonormal(q, precision="bfloat16")
        wrong(q)
        if wrong is longer and (n == 8 or q[0, 1] == 0):
            continue  # few roundings, or of one significand, may do that
        with pytest.raises(PortFailure):
            testing.assert_orthonormal(q, precision="bfloat16")


def hadamard(n):
    h = np.ones((1, 1))
    while len(h) < n:
        h = np.block([[h, h], [h, -h]])
    return h / np.sqrt(len(h))


def cosine(n):
    i = np.arange(n)
    q = np.cos(np.pi * (i[:, None] + 0.5) * i / n) * np.sqrt(2 / n)
    q[:, 0] /= np.sqrt(2)
    return q


RIGHT = {  # columns whose entries round alike, which no random model sees
    "hadamard": hadamard(32),
    "cosine": cosine(30),
    "fourier": np.fft.fft(np.eye(12)) / np.sqrt(12),
    "householder": np.eye(50) - np.full((50, 50), 2 / 50),
    "constant": np.full((300, 1), 1 / np.sqrt(300)),
    "wavelet": np.kron(np.eye(8), hadamard(2)),
    "permutation": np.roll(np.eye(9), 1, axis=0),
    "row": np.full((1, 77), 1 / np.sqrt(77)),
}


@pytest.mark.parametrize("precision", SHORT)
@pytest.mark.parametrize("name", RIGHT)
def test_entries_that_round_alike_pass(name, precision):
    def rounded(x):
        return cases._round_to(x, PRECISIONS[precision]).astype(float)

    q = RIGHT[name]
    q = rounded(q.real) + 1j * rounded(q.imag) if np.iscomplexobj(q) else rounded(q)
    testing.assert_orthonormal(q, precision=precision)


@pytest.mark.parametrize("precision", SHORT)
def test_random_columns_score_at_most_half_of_the_limits(precision):
    for seed in range(60):
        m = 1 + np.random.RandomState(seed).randint(60)
        q = columns((m, 1 + seed % m), seed)
        q = cases._round_to(q, PRECISIONS[precision]).astype(float)
        found = ratios.orthonormal(q, precision=PRECISIONS[precision])
        assert found["orthonormal_2"] <= 2 and found["lengths"] <= 1 and found["scale"] <= 5


def test_long_columns():
    # 250000 equal entries summed by a plain loop in 32 lanes of float32: each lane errs alike, (LONG)
    m = 250_000
    one = np.ones((m // 32, 32), "float32") / np.float32(7)
    lanes = np.cumsum(one * one, axis=0, dtype="float32")[-1]
    q = (one / np.sqrt(np.sum(lanes, dtype="float32"))).reshape(-1, 1)
    off = abs(np.sum(q.astype(float) ** 2) - 1)
    assert off > 10 * 8 * 2.0**-23
    testing.assert_orthonormal(q)
    with pytest.raises(PortFailure):
        testing.assert_orthonormal((1 + 4e-3) * q)
    growth = PRECISIONS["float32"].growth
    sizes = ((1, 80), (1, 2048), (4, 1000), (4, 25600), (4, 51200), (1, 2**20), (300, 4096))
    assert [growth(n, m) for n, m in sizes] == [8, 100, 200, 200, 400, 4096, 100 * 300**0.5]


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (1, 1), (2, 6, 3)])
@pytest.mark.parametrize("times", [0.3, 1.0, 3.0])
def test_every_ratio_is_its_formula(shape, times):
    """(R2) and (S1) to (S3), written out, of columns that are too short, too long and complex."""
    rng, (m, n), k = np.random.RandomState(3), shape[-2:], min(shape[-2:])
    q = times * (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(m + n)
    adjoint = q.conj().swapaxes(-1, -2)
    rest = np.eye(k) - (adjoint @ q if m >= n else q @ adjoint)
    squares = (np.abs(q) ** 2).sum(axis=-2 if m >= n else -1)
    expected = {
        "orthonormal": np.linalg.norm(rest, axis=(-2, -1)) / (np.sqrt(k) * BFLOAT16.eps),
        "orthonormal_2": np.linalg.svd(rest, compute_uv=False)[..., 0] / (2 * ratios.unit_2(q, BFLOAT16)),
        "lengths": np.max(np.abs(np.sqrt(squares) - 1), axis=-1) / (BFLOAT16.eps / 2),
        "scale": np.abs(squares.mean(axis=-1) - 1) / ratios.scale_unit(q, BFLOAT16),
    }
    found = ratios.orthonormal(q, precision=BFLOAT16)
    assert found.keys() == expected.keys()
    for name, ratio in found.items():
        np.testing.assert_allclose(ratio, expected[name], rtol=1e-12, atol=0, err_msg=name)
    long = ratios.orthonormal(q)
    np.testing.assert_allclose(
        long["orthonormal"], np.linalg.norm(rest, axis=(-2, -1)) / (8 * 2.0**-52), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize(("m", "n"), [(100, 5), (171, 5), (297, 8), (1000, 8), (4000, 8)])
def test_columns_of_ones_orthonormalised_by_lapack_hold(m, n, dtype):
    """Terms of one sign and size, added in one accumulator: (LONG) for short sums, up to 24 without."""
    a = np.tril(np.ones((m, n))).astype(dtype) * (1 + 0.5j if dtype.startswith("complex") else 1)
    testing.assert_orthonormal(np.linalg.qr(a)[0])
    testing.assert_orthonormal(np.linalg.svd(a.T, full_matrices=False)[2])


def test_the_unit_of_long_columns_grows_up_to_1000_entries_and_from_25600_on():
    assert [Precision.long(m) for m in (0, 10, 1000, 1001, 25600, 51200)] == [0, 1, 100, 100, 100, 200]
