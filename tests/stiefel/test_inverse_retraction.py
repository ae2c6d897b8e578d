"""Inverse retractions undo retractions; their derivatives, by identities and in 400 bits; where there is none.

Limits. V is computed with an error of n eps of the size of X + V, times the condition of the system that is solved: at
most cond(X + V) for R and S, |M| <= 1 + |V|^2/4 + |V|/2 for Cayley. One bound for all: 10 n eps (1 + |V|)^2, and once
more the same for derivatives.
"""

import numpy as np
import pytest
from backends import JAX_LATE, NUMPY, ct, gaussian, norm
from exact import BITS, adjoint_hp, lift, lower
from retractions import SHAPES, eye_hp, inner, pair, point

from orthoref import OutsideDomain
from orthoref.stiefel import inverse_retraction
from orthoref.stiefel.inverse_retraction import inverse_retract
from orthoref.stiefel.retraction import retract

METHODS = ["qr", "polar", "cayley"]


def function(method, kind=""):
    return getattr(inverse_retraction, f"inverse_retract_{method}{kind}")


def limit(x, v):
    return 10 * x.shape[-2] * float(np.finfo(x.dtype).eps) * (1 + norm(v)) ** 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [*SHAPES, (40, 9), (520, 2)])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_undoes_the_retraction(shape, dtype, method):
    for size in (0.0, 1e-8, 1.0, 10.0):
        x, v = pair(shape, dtype, size, seed=1)
        found = inverse_retract(x, retract(x, v, method), method)
        assert norm(found - v) <= limit(x, v), size
        h = ct(x) @ found
        assert norm(h + ct(h)) <= 10 * x.shape[-2] * float(np.finfo(dtype).eps) * norm(found)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_near_where_there_is_none(shape, dtype, method):
    """A step of 1e4: residual of the equation Y = R(X, V), to what rounding Y leaves of V."""
    x, v = pair(shape, dtype, 1e4, seed=2)
    y = retract(x, v, method)
    assert norm(retract(x, inverse_retract(x, y, method), method, check=False) - y) <= limit(x, v) / 1e4


def test_residual_of_the_lyapunov_equation():
    """At eigenvalues near the imaginary axis the sign iteration alone leaves a thousand times more."""
    x, v = pair((5, 5), "complex128", 1e4, seed=2)
    m = ct(x) @ retract(x, v, "polar")
    s, _ = inverse_retraction.lyapunov(m, 2 * np.eye(5) + 0 * m)
    assert norm(m @ s + s @ ct(m) - 2 * np.eye(5)) <= 10 * 5 * np.finfo(float).eps * norm(s)


def truth(method, x, y):
    """V by definition, real systems of all unknowns at once; x, y of 400-bit balls."""
    import flint

    p, m = x.ncols(), adjoint_hp(x) * y
    if method == "cayley":
        half = (eye_hp(p) + m).inv() * 2
        return y * half + x * adjoint_hp(half) - x * 2
    units = []  # a basis of what R or S may be, over the real numbers
    for i in range(p):
        for j in range(i, p):
            for phase in (1,) if i == j else (1, 1j):
                e = np.zeros((p, p), complex)
                e[i, j] = phase
                if method == "polar":
                    e[j, i] = np.conj(phase)
                units.append(lift(e))

    def flat(h):
        entries = [h[i, j] for i in range(p) for j in range(i, p)]
        return [z.real for z in entries] + [
            z.imag for z, (i, j) in zip(entries, [(i, j) for i in range(p) for j in range(i, p)], strict=True) if i < j
        ]

    images = [flat(m * e + adjoint_hp(m * e)) for e in units]
    system = flint.arb_mat([list(row) for row in zip(*images, strict=True)])
    right = flint.arb_mat([[z] for z in flat(eye_hp(p) * 2)])
    c = system.solve(right)
    r = sum((e * flint.acb(c[k, 0]) for k, e in enumerate(units)), eye_hp(p) * 0)
    return y * r - x


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_derivative_in_400_bits(shape, dtype, method):
    """Along any directions: the formula as a function of two matrices."""
    flint = pytest.importorskip("flint", reason="python-flint gives the reference")
    x, v = pair(shape, dtype, 1.0, seed=3)
    y = retract(x, v, method)
    x_dot, y_dot = gaussian(shape, dtype, 4), gaussian(shape, dtype, 5)
    with flint.ctx.workprec(BITS):
        t = flint.acb(flint.arb(2) ** -100)
        plus, minus = (truth(method, lift(x) + lift(x_dot) * s, lift(y) + lift(y_dot) * s) for s in (t, -t))
        exact = lower((plus - minus) * (1 / (2 * t)))
    found = function(method, "_jvp")(x, y, x_dot, y_dot)
    assert norm(found - exact) <= limit(x, v) * (1 + norm(v)) ** 2 * (norm(x_dot) + norm(y_dot))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [*SHAPES, (40, 9)])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_vjp_is_the_adjoint(shape, dtype, method):
    for size in (1e-8, 3.0):
        x, v = pair(shape, dtype, size, seed=6)
        y = retract(x, v, method)
        x_dot, y_dot, v_bar = (gaussian(shape, dtype, seed) for seed in (7, 8, 9))
        x_bar, y_bar = function(method, "_vjp")(x, y, v_bar)
        forward = inner(function(method, "_jvp")(x, y, x_dot, y_dot), v_bar)
        error = abs(forward - inner(x_dot, x_bar) - inner(y_dot, y_bar))
        assert error <= limit(x, v) * (1 + norm(v)) ** 2 * (norm(x_dot) + norm(y_dot)) * norm(v_bar)


@pytest.mark.parametrize("method", METHODS)
@JAX_LATE
def test_stacks_in_every_namespace(backend, method):
    dtype = backend.dtypes[-1]
    pairs = [pair((6, 3), dtype, size, seed=10) for size in (1e-6, 1.0, 5.0)]
    x, v = (np.stack(z) for z in zip(*pairs, strict=True))
    y = retract(x, v, method)
    X, Y, V_bar = (backend.asarray(z) for z in (x, y, v))
    found = inverse_retract(X, Y, method)
    assert type(found) is type(X) and found.dtype == X.dtype
    pushed = backend.to_numpy(function(method, "_jvp")(X, Y, V_bar, V_bar))
    pulled = [backend.to_numpy(z) for z in function(method, "_vjp")(X, Y, V_bar)]
    for i, w in enumerate(backend.to_numpy(found)):
        assert norm(w - v[i]) <= limit(x[i], v[i])
        size = limit(x[i], v[i]) * (1 + norm(v[i])) ** 2 * norm(v[i])
        assert norm(pushed[i] - function(method, "_jvp")(x[i], y[i], v[i], v[i])) <= size
        for a, b in zip(pulled, function(method, "_vjp")(x[i], y[i], v[i]), strict=True):
            assert norm(a[i] - b) <= size


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("c", [4.0, 2.0**-600, 2.0**600])
def test_scaled(method, c):
    x, v = pair((6, 3), "complex128", 1.0, seed=11)
    y = retract(x, v, method)
    np.testing.assert_array_equal(inverse_retract(x * c, y * c, method, scale=c), c * inverse_retract(x, y, method))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(0, 5, 2), (3, 5, 0)])
def test_empty(shape, method):
    x = np.zeros(shape)
    assert inverse_retract(x, x, method).shape == function(method, "_jvp")(x, x, x, x).shape == shape
    assert [z.shape for z in function(method, "_vjp")(x, x, x)] == [shape, shape]


X = point((4, 2), "float64")
TURN = X @ np.asarray([[0.0, -1.0], [1.0, 0.0]])
NONE = [
    pytest.param("qr", X, -X, r"min r_ii = -1 .*batch index \(1,\)", id="qr, antipodal"),
    pytest.param("qr", X, X * np.asarray([1.0, -1.0]), "min r_ii", id="qr, one column antipodal"),
    pytest.param("qr", X, TURN, "min r_ii", id="qr, a minor vanishes"),
    pytest.param("polar", X, -X, r"misses I by .*batch index \(1,\)", id="polar, antipodal"),
    pytest.param("polar", X, TURN, "positive real parts", id="polar, imaginary eigenvalues"),
    pytest.param("polar", X, X * np.asarray([1.0, -1.0]), "positive real parts", id="polar, one column antipodal"),
    pytest.param("cayley", X, -X, r"-1 is an eigenvalue .*batch index \(1,\)", id="cayley, antipodal"),
    pytest.param("cayley", X, X * np.asarray([1.0, -1.0]), "-1 is an eigenvalue", id="cayley, one column antipodal"),
]


@pytest.mark.parametrize(("method", "x", "y", "message"), NONE)
def test_no_tangent_leads_there(method, x, y, message):
    x, y = np.stack([x, x]), np.stack([x if "batch" in message else y, y])
    calls = [
        lambda: inverse_retract(x, y, method),
        lambda: function(method, "_jvp")(x, y, x, y),
        lambda: function(method, "_vjp")(x, y, x),
    ]
    for call in calls:
        with pytest.raises(OutsideDomain, match=f"no retraction of a tangent vector at x: .*{message}"):
            call()


def test_cayley_reaches_what_polar_and_qr_do_not():
    v = inverse_retract(X, TURN, "cayley")
    assert norm(retract(X, v, "cayley") - TURN) <= 40 * np.finfo(float).eps


@pytest.mark.parametrize("method", METHODS)
def test_wrong_input(method):
    with pytest.raises(OutsideDomain, match="x is not on the manifold"):
        inverse_retract(2 * X, X, method)
    with pytest.raises(OutsideDomain, match="y is not on the manifold"):
        inverse_retract(X, 2 * X, method)
    with pytest.raises(ValueError, match="y has shape"):
        inverse_retract(X, X[:, :1], method)
    with pytest.raises(ValueError, match="the others have none"):
        inverse_retract(X, X, method, metric="canonical")


def test_by_name():
    x, v = pair((5, 2), "float64", 0.5, seed=12)
    with pytest.raises(ValueError, match="method='svd'"):
        inverse_retract(x, x, "svd")
    with pytest.raises(ValueError, match="exp needs a metric"):
        inverse_retract(x, x, "exp")
    y = retract(x, v, "cholesky_qr")
    np.testing.assert_array_equal(inverse_retract(x, y, "cholesky_qr"), inverse_retract(x, y, "qr"))
    y = retract(x, v, "exp", metric="canonical")
    assert norm(inverse_retract(x, y, "exp", metric="canonical") - v) <= limit(x, v)
