"""Jacobians against 400 bits, adjoints, spectra known exactly, sizes, libraries."""

from fractions import Fraction

import numpy as np
import pytest
from backends import BACKENDS, NUMPY, ct, gaussian, late, norm
from constructor_rows import derivative_hp, matrix, value_hp
from exact import dyadic_unitary

from orthoref import OutsideDomain, isometry

DTYPES = ("float32", "float64", "complex64", "complex128")
over_dtypes = pytest.mark.parametrize("dtype", DTYPES)
WIDTHS = (3, 5, 4, 2)


def inner(xs, ys):
    return sum(float(np.sum(np.conj(x).astype("complex128") * y).real) for x, y in zip(xs, ys, strict=True))


def network(dtype, seed, batch=()):
    shapes = list(zip(WIDTHS[1:], WIDTHS, strict=False))
    weights = [gaussian((*batch, *shape), dtype, seed + i) for i, shape in enumerate(shapes)]
    slopes = [gaussian((*batch, shape[0]), dtype, seed + 10 + i) for i, shape in enumerate(shapes)]
    return weights, slopes


def unit(dtype, weights, slopes):
    """L n eps of the product of the norms."""
    product = np.prod([norm(w) * norm(d) for w, d in zip(weights, slopes, strict=True)])
    return 10 * len(weights) * max(WIDTHS) * float(np.finfo(dtype).eps) * float(product)


def product_hp(*arguments):
    """Weights, then slopes as rows: the plain product."""
    import flint

    half, j = len(arguments) // 2, None
    for w, d in zip(arguments[:half], arguments[half:], strict=True):
        n = w.nrows()
        diagonal = flint.acb_mat(n, n, [d[0, i] if i == k else 0 for i in range(n) for k in range(n)])
        j = diagonal * w if j is None else diagonal * w * j
    return [j]


@over_dtypes
def test_against_400_bits(dtype):
    pytest.importorskip("flint", reason="python-flint gives the reference")
    (weights, slopes), (w_dot, d_dot) = network(dtype, 1), network(dtype, 30)
    limit = unit(dtype, weights, slopes)
    got = isometry.input_output_jacobian(weights, slopes)
    assert got.shape == (2, 3) and got.dtype == weights[0].dtype
    assert norm(got - value_hp(product_hp, (*weights, *slopes))[0]) <= limit
    moved = isometry.input_output_jacobian_jvp(weights, slopes, w_dot, d_dot)
    truth = derivative_hp(product_hp, (*weights, *slopes), (*w_dot, *d_dot))[0]
    grown = sum(norm(e) / norm(x) for e, x in zip((*w_dot, *d_dot), (*weights, *slopes), strict=True))
    assert norm(moved - truth) <= limit * grown
    j_bar = gaussian(got.shape, dtype, 60)
    back = isometry.input_output_jacobian_vjp(weights, slopes, j_bar)
    for x, x_bar in zip((*weights, *slopes), (*back.weights_bar, *back.slopes_bar), strict=True):
        assert x.shape == x_bar.shape and x.dtype == x_bar.dtype
    pulled = inner(back.weights_bar, w_dot) + inner(back.slopes_bar, d_dot)
    assert abs(pulled - inner([j_bar], [truth])) <= limit * grown * norm(j_bar)


def test_the_derivative_of_a_network():
    """J times a direction is the derivative of the network itself, in 400 bits: tanh layers, the slopes 1 - x^2."""
    flint = pytest.importorskip("flint", reason="python-flint gives the reference")
    weights, _ = network("float64", 2)
    biases = [gaussian((w.shape[0],), "float64", 70 + i) for i, w in enumerate(weights)]

    def forward(x):
        xs = [x]
        for w, b in zip(weights, biases, strict=True):
            h = matrix(w) * xs[-1] + matrix(b[:, None])
            xs.append(flint.acb_mat(h.nrows(), 1, [z.tanh() for z in h.entries()]))
        return xs

    with flint.ctx.workprec(400):
        x0 = gaussian((3, 1), "float64", 80)
        layers = forward(matrix(x0))
        slopes = [np.array([float((1 - z * z).real) for z in x.entries()]) for x in layers[1:]]
    j = isometry.input_output_jacobian(weights, slopes)
    truth = np.concatenate(
        [derivative_hp(lambda x: [forward(x)[-1]], (x0,), (e[:, None],))[0] for e in np.eye(3)], axis=1
    )
    assert norm(j - truth) <= unit("float64", weights, slopes)


def test_recurrent():
    w, slopes = gaussian((4, 4), "complex128", 3), [gaussian((4,), "complex128", 4 + t) for t in range(5)]
    expected = np.eye(4)
    for d in slopes:
        expected = np.diag(d) @ w @ expected
    got = isometry.recurrent_jacobian(w, slopes)
    assert norm(got - expected) <= 10 * 5 * 4 * 2.0**-52 * norm(w) ** 5 * np.prod([norm(d) for d in slopes])
    # the gradient with respect to the shared weights is the sum over the layers
    v, j_bar = gaussian((4, 4), "complex128", 5), gaussian((4, 4), "complex128", 6)
    back = isometry.input_output_jacobian_vjp([w] * 5, slopes, j_bar)
    moved = isometry.input_output_jacobian_jvp([w] * 5, slopes, [v] * 5, [0 * d for d in slopes])
    assert inner([sum(back.weights_bar)], [v]) == pytest.approx(inner([j_bar], [moved]), rel=1e-12, abs=0)


@over_dtypes
def test_orthogonal_weights_are_a_perfect_isometry(dtype):
    """Exactly: linear layers with entries k/4."""
    weights = [dyadic_unitary(4, dtype, i) for i in range(50)]
    s = isometry.spectrum(isometry.input_output_jacobian(weights, [np.ones(4, dtype)] * 50))
    eps = float(np.finfo(dtype).eps)
    assert np.all(abs(s.singular_values - 1) <= 80 * eps)
    assert abs(s.condition - 1) <= 80 * eps and abs(s.mean - 1) <= 160 * eps and s.variance <= (160 * eps) ** 2


def test_spectrum_of_known_matrices():
    q, p = dyadic_unitary(4, "complex128", 1), dyadic_unitary(4, "complex128", 2)
    s = np.array([4.0, 2.0, 1.0, 0.5])
    got = isometry.spectrum((q * s) @ p)
    squares = [Fraction(x) ** 2 for x in s]
    mean = sum(squares) / 4
    variance = sum((x - mean) ** 2 for x in squares) / 4
    assert np.all(abs(got.singular_values - s) <= 40 * 2.0**-52 * 4)
    assert float(got.condition) == pytest.approx(8, rel=1e-14, abs=0)
    assert float(got.mean) == pytest.approx(float(mean), rel=1e-14, abs=0)
    assert float(got.variance) == pytest.approx(float(variance), rel=1e-14, abs=0)
    assert np.isinf(isometry.spectrum(np.diag([1.0, 0.0])).condition)
    assert isometry.spectrum(np.zeros((2, 3))).condition == np.inf
    wide = isometry.spectrum(np.eye(2, 5))
    assert wide.singular_values.shape == (2,) and wide.mean == 1 and wide.variance == 0
    with pytest.raises(ValueError, match="without entries"):
        isometry.spectrum(np.zeros((0, 3)))


def test_sizes():
    """300 layers of gain 2^10 and 2^-10: products of 2^3000 on the way; a spectrum near the ends of the format."""
    q = dyadic_unitary(4, "float64", 3)
    weights = [q * 2.0**10] * 300 + [q * 2.0**-10] * 300
    j = isometry.input_output_jacobian(weights, [np.ones(4)] * 600)
    assert norm(ct(j) @ j - np.eye(4)) <= 6000 * 4 * 2.0**-52
    with pytest.raises(OutsideDomain, match="overflows"):
        isometry.input_output_jacobian(weights[:300], [np.ones(4)] * 300)
    slopes = [np.full(4, 2.0**20)] * 100 + [np.full(4, 2.0**-20)] * 100
    j = isometry.input_output_jacobian([q] * 200, slopes)
    assert norm(ct(j) @ j - np.eye(4)) <= 2000 * 4 * 2.0**-52
    tiny = isometry.spectrum(1e-150 * q)
    assert float(tiny.mean) == pytest.approx(1e-300, rel=1e-13, abs=0)
    with pytest.raises(OutsideDomain, match="the value overflows"):
        isometry.spectrum(1e200 * q)


@pytest.mark.parametrize("backend", [late(backend) for backend in BACKENDS if backend is not NUMPY], indirect=True)
def test_other_libraries_and_stacks(backend):
    for dtype in (d for d in ("float32", "complex128") if d in backend.dtypes):
        weights, slopes = network(dtype, 7, (2,))
        given = [list(map(backend.asarray, xs)) for xs in (weights, slopes)]
        got = isometry.input_output_jacobian(*given)
        assert type(got) is type(given[0][0])
        one = np.stack(
            [isometry.input_output_jacobian([w[i] for w in weights], [d[i] for d in slopes]) for i in range(2)]
        )
        limit = unit(dtype, weights, slopes)
        assert norm(backend.to_numpy(got) - one) <= limit
        moved = isometry.input_output_jacobian_jvp(*given, *given)  # homogeneous of degree 6
        assert norm(backend.to_numpy(moved) - 6 * one) <= 6 * limit
        back = isometry.input_output_jacobian_vjp(*given, got)
        pulled = [backend.to_numpy(x) for x in back.weights_bar]
        assert inner(pulled, weights) == pytest.approx(
            3 * norm(one) ** 2, rel=1e-3 if dtype == "float32" else 1e-12, abs=0
        )
        s, plain = isometry.spectrum(got), isometry.spectrum(one)
        for x, y in zip(s, plain, strict=True):
            x = backend.to_numpy(x)
            assert x.dtype == y.dtype and x.shape == y.shape
            assert norm(x - y) <= limit * (1 + norm(y)) ** 2


def test_refusals():
    weights, slopes = network("float64", 8)
    for call in (
        isometry.input_output_jacobian,
        lambda w, d: isometry.input_output_jacobian_vjp(w, d, np.ones((2, 3))),
    ):
        for w, d, match in (
            ([], [], "0 weights and 0 slopes"),
            (weights, slopes[:-1], "3 weights and 2 slopes"),
            (weights[::-1], slopes[::-1], r"weights\[1\] has shape"),
            (weights, [slopes[1], *slopes[1:]], r"slopes\[0\] has shape"),
        ):
            with pytest.raises(ValueError, match=match):
                call(w, d)
        broken = [weights[0], weights[1] * np.nan, weights[2]]
        with pytest.raises(OutsideDomain, match=r"weights\[1\] has nan"):
            call(broken, slopes)
        with pytest.raises(TypeError, match=r"slopes\[2\] must be an array"):
            call(weights, [*slopes[:2], slopes[2].tolist()])
    with pytest.raises(ValueError, match=r"j_bar has shape"):
        isometry.input_output_jacobian_vjp(weights, slopes, np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"weights_dot\[0\] has shape|weights\[0\]"):
        isometry.input_output_jacobian_jvp(weights[:1], slopes[:1], [weights[0][:, :2]], slopes[:1])
