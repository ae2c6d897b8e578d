"""newton_schulz_vjp_jvp against mixed differences in 400 bits, and by its symmetry.

The truth is t = <a_bar_dot, G> = <D^2 X[E, G], x_bar> for random G: of the iteration itself, without any formula for a
derivative. The unit of error is that of the exact result at A + D, |D| <= n eps |A|, and of relative errors n eps of
its terms,

    n eps (|A| |grad t| + (C |N|^2 + 6 L |N| |N|) |E||x_bar||G|)

with N the derivative of the normalization, L and C the norms of the first and second derivative of the steps, and the
second derivative of A/t at most 6 |N|^2, |N| = (1 + |X|)/t: two terms E dt'/t^2, twice X dt dt'/t^2, X d^2t/t (larger
for "spectral" with a small gap and for "aol", and then |grad t| is). n = max(order, 8), LIMIT is the oracle's 10;
|grad t| is estimated along directions of random signs, the mean of whose squares is the square of the norm. Measured:
at most 0.1.
"""

import numpy as np
import pytest
from backends import BACKENDS, NUMPY, draw, gaussian, isometry, late, norm
from exact import BITS, exact_polar, lift, mixed_hp
from newton_schulz.test_derivatives import RATIONAL, curvature, start_limits, start_of
from newton_schulz.test_iteration import KINDS, exact_normalized, exact_steps, slope

from orthoref import OutsideDomain, newton_schulz_jvp, newton_schulz_vjp, newton_schulz_vjp_jvp
from orthoref.schedules import Normalization, Schedule, get

pytestmark = pytest.mark.sample(6)

SHAPES = [(3, 3), (4, 2), (2, 3), (1, 1), (1, 3), (3, 1)]
LIMIT, PROBES, STEP = 10.0, 2, 2.0**-40


def inner(x, y):
    return float(np.sum(np.conj(x).astype("complex128") * y).real)


def single(dtype):
    return dtype in ("float32", "complex64")


def n_eps(a):
    return max(min(a.shape), 8) * float(np.finfo(a.dtype).eps)


def signs(a, seed):
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 1.0], a.shape)
    return x + 1j * rng.choice([-1.0, 1.0], a.shape) if a.dtype.kind == "c" else x


def truths(a, e, x_bar, g, rows, how, eps, eps_rule):
    """<D^2 X[E, G], x_bar> and the norm of its gradient with respect to A."""
    import flint

    def value(x):
        def steps(y):
            return [exact_steps(exact_normalized(y, how, eps, eps_rule), rows)]

        return inner(*mixed_hp(steps, x, e, g), x_bar)

    with flint.ctx.workprec(BITS):
        at = value(lift(a))
        slopes = [(value(lift(a) + lift(signs(a, k)) * flint.acb(STEP)) - at) / STEP for k in range(PROBES)]
    return at, np.sqrt(np.mean(np.square(slopes)))


def terms(a, rows, how):
    """Norm of the second derivative, from those of its parts."""
    start = start_of(a, how)
    s, square = np.linalg.svd(start)[1], a.shape[0] == a.shape[1]
    size = start_limits(a, start, how, 2.0**-53)[0]
    return size**2 * (curvature(s, rows, square) + 6 * slope(s, rows, square))


def check(function, a, e, rows, how, eps=0.0, eps_rule="add"):
    pytest.importorskip("flint", reason="python-flint gives the reference")
    x_bar = gaussian(a.shape, str(a.dtype), 30)
    options = {"steps": len(rows), "normalize": how, "eps": eps, "eps_rule": eps_rule}
    got = function(a, e, x_bar, Schedule("", rows) if rows else "muon", **options)
    assert got.dtype == a.dtype and got.shape == a.shape
    worst = 0.0
    for seed in (20, 21):
        g = gaussian(a.shape, str(a.dtype), seed)
        truth, gradient = truths(a, e, x_bar, g, rows, how, eps, eps_rule)
        size = terms(a, rows, how) * norm(e) * norm(x_bar) * norm(g)
        ratio = abs(inner(got, g) - truth) / (n_eps(a) * (norm(a) * gradient + size))
        assert ratio <= LIMIT
        worst = max(ratio, worst)
    return worst


def pair(shape, dtype, cond=10.0, seed=1):
    return draw(shape, dtype, cond=3.0 if single(dtype) else cond, seed=seed), gaussian(shape, dtype, seed + 1)


# --- against 400 bits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_against_400_bits(dtype, shape, kind):
    rows = get("muon").steps(2 if single(dtype) else 3)
    check(newton_schulz_vjp_jvp, *pair(shape, dtype), rows, Normalization(kind, "1.01"))


@pytest.mark.parametrize("eps", [0.125, 0.75, 5.0])
@pytest.mark.parametrize("eps_rule", ["add", "clamp"])
@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_eps(dtype, kind, eps_rule, eps):
    """Below, about and above the norm (its square for "aol")."""
    for shape in SHAPES[:3]:
        a, e = pair(shape, dtype)
        check(newton_schulz_vjp_jvp, a, e, get("muon").steps(2), Normalization(kind, "1.01"), eps, eps_rule)


@pytest.mark.parametrize("name", ["deepseek-v4", "aol-b", "polar-express", "newton-schulz-9", "you-6"])
def test_schedules(name):
    schedule = get(name)
    for shape in SHAPES[:2]:
        check(newton_schulz_vjp_jvp, *pair(shape, "complex128"), schedule.steps(4), schedule.normalization)


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_degrees_mixed(steps):
    """Rows of degree 1, 3, 5, 9 and 1 again, and no rows at all."""
    coefficients = [["0.75"], ["1.5", "-0.5"], ["3.4445", "-4.7750", "2.0315"], ["2.4", "-3", "3", "-1.8", "0.4"], [2]]
    schedule = Schedule.of("mixed", coefficients)
    for kind in ("frobenius", "none"):
        check(newton_schulz_vjp_jvp, *pair((4, 3), "complex128"), schedule.steps(steps), Normalization(kind))


@pytest.mark.parametrize("kind", ["frobenius", "schatten4", "none"])
@pytest.mark.parametrize("s", [[1.0] * 4, [1.0, 1.0, 0.5, 0.5], [1.0, 0.5, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]], ids=str)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_exactly_repeated_and_zero(dtype, s, kind):
    for m in (4, 5):
        x = exact_polar(m, 4, s, dtype, seed=5)
        check(newton_schulz_vjp_jvp, x.a, gaussian((m, 4), dtype, 6), get("muon").steps(2), Normalization(kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spectrum", ["geometric", "one-small", "clustered", "repeated"])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_spectra(dtype, spectrum, kind):
    """Condition number 1e6. The largest singular value is simple for the spectral norm: the others are moved."""
    for shape in ((4, 4), (5, 3)):
        a = draw(shape, dtype, spectrum=spectrum, cond=1e6, seed=26)
        if kind == "spectral":
            p, s, vh = np.linalg.svd(a, full_matrices=False)
            a = p @ np.diag([2.0, *s[1:]]) @ vh
        check(newton_schulz_vjp_jvp, a, gaussian(shape, dtype, 27), get("muon").steps(3), Normalization(kind))


@pytest.mark.parametrize("t", [1e-2, 1e-5, 1e-8])
@pytest.mark.parametrize("kind", ["frobenius", "schatten4", "aol", "none"])
def test_near_the_manifold(kind, t):
    """A = Q (I + t S): all singular values cluster."""
    s, q = gaussian((3, 3), "complex128", 28), isometry(4, 3, "complex128", 29)
    a = q @ (np.eye(3) + t * (s + s.conj().T))
    if kind == "aol":  # no zero in the Gram matrix, which is near the identity otherwise
        a = a @ np.array([[1.0, 0.5, 0.25], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
    check(newton_schulz_vjp_jvp, a, gaussian((4, 3), "complex128", 31), get("muon").steps(3), Normalization(kind))


@pytest.mark.parametrize("gap", [1e-2, 1e-5])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_spectral_norm_with_a_small_gap(dtype, gap):
    """The second derivative of s_1 grows like 1/(s_1 - s_2), and its own derivative with the square."""
    for shape in ((3, 3), (4, 3)):
        p, _, vh = np.linalg.svd(draw(shape, dtype, seed=7), full_matrices=False)
        a = p @ np.diag([1.0, 1.0 - gap, 0.3]) @ vh
        check(newton_schulz_vjp_jvp, a, gaussian(shape, dtype, 8), get("muon").steps(2), Normalization("spectral"))


# --- identities -------------------------------------------------------------------------------------------------------


def identity_limit(a, kind, steps, *factors):
    """Twice the second part of the unit: both sides start from the same computed X_k, norm and slopes, so that what
    differs are the roundings of the products that follow, n eps of the terms.
    """
    return (
        2
        * LIMIT
        * n_eps(a)
        * terms(a, get("muon").steps(steps), Normalization(kind))
        * np.prod([norm(x) for x in factors])
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [*SHAPES, (6, 6), (7, 4), (4, 7), (600, 2)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_self_adjoint(dtype, shape, kind):
    """<w, D[e]> = <e, D[w]>: a Hessian."""
    a, e = pair(shape, dtype, cond=3.0, seed=9)
    w, x_bar = gaussian(shape, dtype, 11), gaussian(shape, dtype, 12)
    one, two = (newton_schulz_vjp_jvp(a, z, x_bar, steps=2, normalize=kind) for z in (e, w))
    assert abs(inner(w, one) - inner(e, two)) <= identity_limit(a, kind, 2, e, w, x_bar)


@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_along_a_itself(dtype, kind):
    """The VJP is homogeneous of degree -1 without eps."""
    for shape in SHAPES:
        a, x_bar = pair(shape, dtype, cond=3.0, seed=13)
        got = newton_schulz_vjp_jvp(a, a, x_bar, steps=2, normalize=kind)
        a_bar = newton_schulz_vjp(a, x_bar, steps=2, normalize=kind)
        assert norm(got + a_bar) <= identity_limit(a, kind, 2, a, x_bar)


@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(
    ("i", "j", "k"), [(0, 0, 400), (0, 0, -400), (300, -500, 100), (-900, -900, -1000), (800, -1000, -400)]
)
def test_powers_of_two(i, j, k, dtype, kind):
    """E 2^i, x_bar 2^j, A 2^k: times 2^(i+j-2k), to the last bit."""
    for shape in SHAPES[:3]:
        a, e = pair(shape, dtype)
        x_bar = gaussian(shape, dtype, 14)
        scaled = newton_schulz_vjp_jvp(a * 2.0**k, e * 2.0**i, x_bar * 2.0**j, normalize=kind)
        plain = newton_schulz_vjp_jvp(a, e, x_bar, normalize=kind)
        np.testing.assert_array_equal(scaled, plain * np.ldexp(1.0, i + j - 2 * k))


# --- where there is a second derivative and where there is none -------------------------------------------------------


@pytest.mark.parametrize("kind", ["frobenius", "schatten4", "spectral"])
def test_zero_matrix(kind):
    """A/max(|A|, eps) is linear about 0 and f odd: nothing. A/(|A| + eps) has |A| A in it."""
    for shape in SHAPES:
        e = gaussian((2, *shape), "complex128", 15)
        zero = np.zeros_like(e)
        assert not np.any(newton_schulz_vjp_jvp(zero, e, e, normalize=kind, eps=0.25, eps_rule="clamp"))
        with pytest.raises(OutsideDomain, match=r"zero matrix: .*no second derivative, batch index \(0,\)"):
            newton_schulz_vjp_jvp(zero, e, e, normalize=kind, eps=0.25)


@pytest.mark.parametrize("kind", ["frobenius", "schatten4", "spectral"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_matrix_that_vanishes_beside_eps(dtype, kind):
    """A/(nu + eps) = A/eps - nu A/eps^2: minus the second derivative of nu(A) A over eps^2, of degree 0 in A.

    It depends on the direction of A, however small A is. A = s b c^T of rank one: nu = s for all three, with b and c
    of length 1, and E = E c c^T, so that |E c| is that of a vector.
    """
    b, c = np.array([[2.0], [-1.0], [2.0]]) / 3, np.array([[3.0], [4.0]]) / 5
    tiny = float(np.finfo(dtype).smallest_subnormal)
    a = (np.array([[6.0, 8.0], [-3.0, -4.0], [6.0, 8.0]]) * tiny).astype(dtype)
    e, x_bar = (gaussian((3, 1), dtype, seed) @ c.T.astype(dtype) for seed in (16, 17))
    bc = b @ c.T
    along, pulled = inner(bc, e), inner(bc, x_bar)
    truth = -(x_bar * along + bc * inner(e, x_bar) + (e - bc * along) * pulled) / 2.0**24
    got = newton_schulz_vjp_jvp(a, e, x_bar, steps=0, normalize=kind, eps=2.0**12)
    size = norm(e) * norm(x_bar) / 2.0**24
    assert norm(got - truth) <= 40 * float(np.finfo(dtype).eps) * size  # sums of 6 products, a few roundings each


@pytest.mark.parametrize(
    ("a", "options", "message"),
    [
        (np.zeros((2, 3)), {}, "a is the zero matrix"),
        (np.zeros((2, 2)), {"normalize": "spectral"}, "a is the zero matrix"),
        (np.diag([1.0, 2.0]), {"normalize": "aol"}, "an entry of the Gram matrix is zero"),
        (np.eye(2), {"normalize": "spectral"}, "the largest singular value is not simple"),
        (np.array([[3.0, 4.0]]), {"eps": 5.0, "eps_rule": "clamp"}, "= eps: the clamped norm"),
        (
            np.array([[3.0, 4.0, 0.0], [0.0, 5.0, 2.0]]),
            {"eps": 49.0, "eps_rule": "clamp", "normalize": "aol"},
            "a row sum equals eps",
        ),
        (1e200 * np.eye(2), {"normalize": "none"}, "the derivative overflows"),
        (2.0**-700 * np.eye(2), {}, "the derivative overflows"),
    ],
)
def test_outside_domain(a, options, message):
    harmless = draw(a.shape, cond=3.0, seed=22)
    stack = np.stack([harmless, a, harmless])[:, None]
    with pytest.raises(OutsideDomain, match=rf"{message}.*, batch index \(1, 0\)$"):
        newton_schulz_vjp_jvp(stack, np.ones_like(stack), np.ones_like(stack), **options)


# --- arrays and options -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", [late(backend) for backend in BACKENDS])
def test_stack_is_its_members(backend, kind):
    """On every library, in its types, and inputs left alone."""
    backend.require()
    for shape in SHAPES[:3]:
        dtype = "complex128" if "complex128" in backend.dtypes else "complex64"
        arrays = (
            draw((2, 2, *shape), dtype, cond=3.0, seed=17),
            *(gaussian((2, 2, *shape), dtype, seed) for seed in (18, 19)),
        )
        given = [backend.asarray(x) for x in arrays]
        got = newton_schulz_vjp_jvp(*given, steps=2, normalize=kind)
        assert type(got) is type(given[0]) and got.dtype == given[0].dtype and got.device == given[0].device
        assert all(np.array_equal(backend.to_numpy(x), y) for x, y in zip(given, arrays, strict=True))
        for index in np.ndindex(2, 2):
            a, e, x_bar = (x[index] for x in arrays)
            one = newton_schulz_vjp_jvp(a, e, x_bar, steps=2, normalize=kind)
            assert norm(backend.to_numpy(got)[index] - one) <= identity_limit(a, kind, 2, e, x_bar)


@pytest.mark.parametrize("shape", [(0, 3, 3), (3, 0), (0, 3), (2, 4, 0), (0, 4, 2)])
def test_empty(shape):
    a = np.zeros(shape, "complex64")
    got = newton_schulz_vjp_jvp(a, a, a)
    assert got.shape == shape and got.dtype == a.dtype


@pytest.mark.parametrize("where", ["a", "a_dot", "x_bar"])
def test_what_is_refused(where):
    good = {name: draw((2, 3, 2)) for name in ("a", "a_dot", "x_bar")}
    bad = {name: x.copy() for name, x in good.items()}
    bad[where][1, 2, 0] = np.nan
    with pytest.raises(OutsideDomain, match=rf"^{where} has nan at entry \(2, 0\), batch index \(1,\)"):
        newton_schulz_vjp_jvp(**bad)
    with pytest.raises(TypeError, match="differ in dtype"):
        newton_schulz_vjp_jvp(**good | {where: good[where].astype("float32")})
    for shape in ((2, 2, 3), (3, 2), (1, 2, 3, 2)):
        with pytest.raises(ValueError, match="has shape"):
            newton_schulz_vjp_jvp(**good | {where: np.ones(shape)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": RATIONAL}, "is rational"),
        ({"steps": -1}, "is not a number of steps"),
        ({"eps": -1.0}, "is not a finite number from 0 on"),
        ({"eps_rule": "max"}, "eps_rule='max' is not one of"),
        ({"normalize": "nuclear"}, "nuclear"),
    ],
)
def test_wrong_option(options, message):
    with pytest.raises(ValueError, match=message):
        newton_schulz_vjp_jvp(np.eye(2), np.eye(2), np.eye(2), **options)


# --- faults -----------------------------------------------------------------------------------------------------------


def right(*x, **o):
    return newton_schulz_vjp_jvp(*x, **o)


WRONG = {
    "conjugated": lambda *x, **o: right(*x, **o).conj(),
    "negative": lambda *x, **o: -right(*x, **o),
    "half": lambda *x, **o: right(*x, **o) / 2,
    "off by 1e-9": lambda *x, **o: right(*x, **o) * (1 + 1e-9),
    "the JVP": lambda a, e, x_bar, *x, **o: newton_schulz_jvp(a, e, *x, **o),
    "the VJP": lambda a, e, *x, **o: newton_schulz_vjp(a, *x, **o),
    "direction and cotangent exchanged": lambda a, e, x_bar, *x, **o: right(a, x_bar, e, *x, **o),
    "a step less": lambda *x, **o: right(*x, **o | {"steps": 1}),
    "the norm a constant": lambda a, e, x_bar, s, steps, **_: (
        right(a / norm(a), e, x_bar, s, steps=steps, normalize="none") / norm(a) ** 2
    ),
    "cotangent conjugated": lambda a, e, x_bar, *x, **o: right(a, e, x_bar.conj(), *x, **o),
    "in single precision": lambda a, e, x_bar, *x, **o: right(
        *(y.astype("complex64") for y in (a, e, x_bar)), *x, **o
    ).astype("complex128"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_fault_is_found(fault):
    a, e = pair((4, 2), "complex128", cond=3.0, seed=23)
    with pytest.raises(AssertionError):
        check(WRONG[fault], a, e, get("muon").steps(2), Normalization("frobenius"))


# --- extra: the double backward of torch ------------------------------------------------------------------------------


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["frobenius", "none"])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_double_backward_of_torch(dtype, kind):
    """Gradients of <w, a_bar> with respect to a and to x_bar, of a plain loop."""
    torch = pytest.importorskip("torch", reason="differentiates twice")
    for shape in SHAPES[:3]:
        a, w = pair(shape, dtype, cond=3.0, seed=24)
        x_bar = gaussian(shape, dtype, 26)
        point, bar = (torch.tensor(z, requires_grad=True) for z in (a, x_bar))
        x = point / torch.linalg.matrix_norm(point) if kind == "frobenius" else point
        for c0, c1, c2 in 2 * [(3.4445, -4.7750, 2.0315)]:
            g = x @ x.mH
            x = c0 * x + (c1 * g + c2 * g @ g) @ x
        (a_bar,) = torch.autograd.grad(x, point, bar, create_graph=True)
        of_a, of_bar = torch.autograd.grad(a_bar, (point, bar), torch.tensor(w))
        limit = identity_limit(a, kind, 2, w, x_bar)
        options = {"steps": 2, "normalize": kind}
        assert norm(of_a.numpy() - newton_schulz_vjp_jvp(a, w, x_bar, "jordan", **options)) <= limit
        assert norm(of_bar.numpy() - newton_schulz_jvp(a, w, "jordan", **options)) <= limit
