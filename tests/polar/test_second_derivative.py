"""polar_vjp_jvp against mixed differences in 400 bits, and by its symmetry.

The truth is <a_bar_dot, G> = <D^2 U[E, G], u_bar> + <D^2 H[E, G], h_bar> for random G: of the function itself, without
any formula for a derivative. The unit of error is that of a function that takes the exact result t = <a_bar_dot, G> at
A + D, |D| <= n eps |A|, and commits relative errors n eps of its terms, which are at most 6 kappa^2 |E||u_bar| and
11 kappa |E||h_bar| (see the derivation page):

    n eps (|A| |grad t| + kappa^2 |E||u_bar||G|)     or     n eps (|A| |grad t| + kappa |E||h_bar||G|),

n = max(order, 8), and LIMIT is the oracle's 10. |grad t| is estimated in 400 bits by differences along directions of
random signs: the mean of their squares is the square of the norm. Measured: at most 0.4.
"""

import numpy as np
import pytest
from backends import BACKENDS, NUMPY, ct, draw, gaussian, isometry, late, norm
from exact import BITS, adjoint_hp, exact_polar, lift, mixed_hp, polar_hp

from orthoref import OutsideDomain, polar, polar_jvp, polar_vjp, polar_vjp_jvp
from orthoref._polar import derivatives

pytestmark = pytest.mark.sample(4)

SHAPES = [(1, 1), (2, 2), (3, 3), (4, 2), (2, 4), (3, 1), (1, 2)]
LIMIT, PROBES = 10.0, 2
SIDES = ("right", "left")


def inner(x, y):
    return float(np.sum(np.conj(x).astype("complex128") * y).real)


def n_eps(a):
    return max(min(a.shape), 8) * float(np.finfo(a.dtype).eps)


def kappa(a):
    """Condition of U, for H too: 1/s_n, and 2/(s_n + s_{n-1}) for a real square matrix."""
    s = np.linalg.svd(a.astype(np.result_type(a, np.float64)))[1]
    return 2 / (s[-1] + s[-2]) if a.shape[0] == a.shape[1] > 1 and a.dtype.kind == "f" else 1 / s[-1]


def factors_hp(a):
    """U, H right, H left."""
    u, h = polar_hp(a)
    return u, h, a * adjoint_hp(u)


def signs(a, seed):
    """Of norm 1 in each real component."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-1.0, 1.0], a.shape)
    return x + 1j * rng.choice([-1.0, 1.0], a.shape) if a.dtype.kind == "c" else x


def bars(a, seed=30):
    """Cotangents of U, H right and H left."""
    m, n = a.shape
    return [gaussian(shape, str(a.dtype), seed + k) for k, shape in enumerate(((m, n), (n, n), (m, m)))]


def truths(a, e, cotangents, g, nudge=None):
    """For U, H right and H left: <D^2[E, G], cotangent>, and the norm of its gradient with respect to A."""
    import flint

    def values(x):
        return np.array([inner(y, z) for y, z in zip(mixed_hp(factors_hp, x, e, g), cotangents, strict=True)])

    with flint.ctx.workprec(BITS):
        points, step = [lift(a)], 2.0**-40
        if nudge is not None:  # extrapolated from two neighbours
            points, step = [lift(a) + lift(nudge) * flint.acb(2.0**-k) for k in (30, 29)], 2.0**-34
        at = [values(x) for x in points]
        probes = [lift(signs(a, 40 + k)) * flint.acb(step) for k in range(PROBES)]
        slopes = [(values(points[0] + probe) - at[0]) / step for probe in probes]
    return at[0] if nudge is None else 2 * at[0] - at[1], np.sqrt(np.mean(np.square(slopes), axis=0))


def check(function, a, e, nudge=None, parts=(0, 1, 2)):
    """Every part alone, and both cotangents together."""
    pytest.importorskip("flint", reason="python-flint gives the reference")
    k, cotangents, worst = kappa(a), bars(a), 0.0
    u_bar, h_bars = cotangents[0], dict(zip(SIDES, cotangents[1:], strict=True))
    got = [function(a, e, u_bar)] + [function(a, e, None, h_bars[side], side=side) for side in SIDES if 1 in parts]
    for seed in (20, 21):
        g = gaussian(a.shape, str(a.dtype), seed)
        truth, gradient = truths(a, e, cotangents, g, nudge)
        sizes = [k**power * norm(e) * norm(bar) * norm(g) for power, bar in zip((2, 1, 1), cotangents, strict=True)]
        units = n_eps(a) * (norm(a) * gradient + sizes)
        for part in parts:
            worst = max(worst, abs(inner(got[part], g) - truth[part]) / units[part])
            assert abs(inner(got[part], g) - truth[part]) <= LIMIT * units[part], ("u", *SIDES)[part]
        for part, side in enumerate(SIDES, start=1) if 1 in parts else ():
            both = inner(function(a, e, u_bar, h_bars[side], side=side), g)
            assert abs(both - truth[0] - truth[part]) <= LIMIT * (units[0] + units[part])
    return worst


def single(dtype):
    return dtype in ("float32", "complex64")


# --- against 400 bits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cond", [1.0, 30.0, 1e6])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_against_400_bits(shape, dtype, cond):
    cond = min(cond, 1e3) if single(dtype) else cond
    check(polar_vjp_jvp, draw(shape, dtype, cond=cond, seed=1), gaussian(shape, dtype, 2))


@pytest.mark.parametrize("spectrum", ["clustered", "repeated", "one-small"])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_spectra(shape, dtype, spectrum):
    check(polar_vjp_jvp, draw(shape, dtype, spectrum=spectrum, cond=1e3, seed=3), gaussian(shape, dtype, 4))


@pytest.mark.parametrize("s", [[1.0] * 4, [1.0, 1.0, 0.5, 0.5], [1.0, 0.5, 0.5, 0.5]], ids=str)
@pytest.mark.parametrize("m", [4, 5])
@pytest.mark.parametrize("along", ["anything", "a", "diagonal"])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_exactly_repeated(dtype, along, m, s):
    """Dyadic matrices: the identity (up to a unitary factor) and exact pairs; E that splits them and that does not."""
    x = exact_polar(m, 4, s, dtype, seed=5)
    diagonal = x.u @ (x.q * [1.0, 2.0, 3.0, 4.0]) @ ct(x.q)
    check(polar_vjp_jvp, x.a, {"anything": gaussian((m, 4), dtype, 6), "a": x.a, "diagonal": diagonal}[along])


@pytest.mark.parametrize("t", [1e-2, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("shape", [(3, 3), (4, 2)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_near_the_manifold(shape, dtype, t):
    """A = Q (I + t S), and at the manifold itself to the accuracy of a rounding: no digits are lost."""
    m, n = shape
    s = gaussian((n, n), dtype, 7)
    a = isometry(m, n, dtype, 8) @ (np.eye(n) + t * (s + ct(s)))
    assert check(polar_vjp_jvp, a, gaussian(shape, dtype, 9)) <= 1


@pytest.mark.parametrize("s", [[1.0, 0.5, 0.0], [1.0, 1.0, 1.0, 0.0], [1.0, 0.5, 0.25, 0.25, 0.0], [1.0, 0.0]], ids=str)
def test_one_zero_singular_value(s):
    """Real square: U stays differentiable. The truth lies on the branch of the U of the SVD, at s_n -> 0."""
    n = len(s)
    x = exact_polar(n, n, s, seed=10)
    null = x.q[:, -1:]
    check(polar_vjp_jvp, x.a, gaussian((n, n), "float64", 11), polar(x.a, method="svd").u @ null @ null.T, parts=(0,))


def test_a_complex_number():
    """z/|z| along i z: the line z (1 + it) has the argument arctan t, u (1 + it)/(1 + t^2)^(1/2), u'' = -u."""
    a = np.array([[3.0 + 4.0j]])
    np.testing.assert_allclose(polar_vjp_jvp(a, 1j * a, 1j * a), -a / 5, rtol=1e-14, atol=0)


# --- identities -------------------------------------------------------------------------------------------------------


def rounding(a, *factors):
    """Twice the second part of the unit, less its kappa: both sides have the same P, s, V, and n eps of their terms."""
    return 2 * LIMIT * n_eps(a) * np.prod([norm(x) for x in factors])


def other_svd(a, *factors):
    """Both sides take D at A + D, |D| <= n eps |A|: the third derivatives are at most 88 kappa^3 for U, for H |A| times
    that and 18 kappa^2 (derivation page), together 106 n eps (kappa |A|)^2 of the second ones, here less their kappa.
    """
    return 2 * 106 * n_eps(a) * max(kappa(a) * norm(a), 1) ** 2 * np.prod([norm(x) for x in factors])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shape", [*SHAPES, (8, 8), (9, 5), (5, 9), (600, 2)])
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
def test_self_adjoint(shape, dtype, side):
    """<w, D[e]> = <e, D[w]>: a Hessian."""
    a, e, w = draw(shape, dtype, cond=3.0, seed=12), gaussian(shape, dtype, 13), gaussian(shape, dtype, 14)
    u_bar, *h_bars = bars(a)
    h_bar, k = h_bars[SIDES.index(side)], kappa(a)
    for options, limit in (
        ((u_bar,), rounding(a, e, w, u_bar) * k**2),
        ((None, h_bar), rounding(a, e, w, h_bar) * k),
    ):
        one, two = (polar_vjp_jvp(a, x, *options, side=side) for x in (e, w))
        assert abs(inner(w, one) - inner(e, two)) <= limit


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_along_a_itself(shape, dtype, side):
    """The VJP is homogeneous of degree -1 in its first part and 0 in the second: D[A] is -A_bar and 0."""
    a = draw(shape, dtype, cond=3.0, seed=15)
    u_bar, *h_bars = bars(a)
    h_bar, k = h_bars[SIDES.index(side)], kappa(a)
    pulled = polar_vjp(a, u_bar, side=side)
    assert norm(polar_vjp_jvp(a, a, u_bar, side=side) + pulled) <= rounding(a, a, u_bar) * k**2
    assert norm(polar_vjp_jvp(a, a, None, h_bar, side=side)) <= rounding(a, a, h_bar) * k


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_the_part_of_u_is_symmetric_in_the_cotangent(shape, dtype):
    """U is a gradient itself, of the nuclear norm: D^2 U[E, u_bar], a third derivative, in any order."""
    a, e, w = draw(shape, dtype, cond=3.0, seed=16), gaussian(shape, dtype, 17), gaussian(shape, dtype, 18)
    one, two = polar_vjp_jvp(a, e, w), polar_vjp_jvp(a, w, e)
    assert norm(one - two) <= rounding(a, e, w) * kappa(a) ** 2


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_skew_cotangents_of_h_vanish(shape, dtype):
    a, e = draw(shape, dtype, cond=3.0), gaussian(shape, dtype, 19)
    for side, order in zip(SIDES, reversed(shape), strict=True):
        y = gaussian((order, order), dtype, 20)
        assert not np.any(polar_vjp_jvp(a, e, None, y - ct(y), side=side))


@pytest.mark.parametrize(
    ("i", "j", "k"),
    [(0, 0, 400), (0, 0, -400), (300, -500, 100), (-900, -900, -1000), (800, -1000, -400), (900, 900, 1000)],
)
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_powers_of_two(dtype, shape, i, j, k):
    """E 2^i, bars 2^j, A 2^k: times 2^(i+j-2k) and 2^(i+j-k), to the last bit."""
    a, e = draw(shape, dtype, cond=10.0), gaussian(shape, dtype, 21)
    u_bar, *h_bars = bars(a)
    scaled = polar_vjp_jvp(a * 2.0**k, e * 2.0**i, u_bar * 2.0**j)
    np.testing.assert_array_equal(scaled, np.ldexp(1.0, i + j - 2 * k) * polar_vjp_jvp(a, e, u_bar))
    for side, h_bar in zip(SIDES, h_bars, strict=True):
        if -1000 < i + j - k < 1000:
            scaled = polar_vjp_jvp(a * 2.0**k, e * 2.0**i, None, h_bar * 2.0**j, side=side)
            plain = polar_vjp_jvp(a, e, None, h_bar, side=side)
            np.testing.assert_array_equal(scaled, np.ldexp(1.0, i + j - k) * plain)


# --- arrays -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
@pytest.mark.parametrize("dtype", ["float64", "complex64"])
@pytest.mark.parametrize("backend", [late(backend) for backend in BACKENDS])
def test_stack_is_its_members(backend, dtype, shape):
    """On every library, in its types; NumPy's inputs are read-only. One routine for all: the same bits, or BLAS's."""
    backend.require()
    if dtype not in backend.dtypes:
        dtype = "float32"
    a, e = (draw((2, 3, *shape), dtype, cond=10.0, seed=seed) for seed in (22, 23))
    for side, order in zip(SIDES, reversed(shape), strict=True):
        arrays = a, e, gaussian(a.shape, dtype, 24), gaussian((2, 3, order, order), dtype, 25)
        given = [backend.asarray(x) for x in arrays]
        got = polar_vjp_jvp(*given, side=side)
        assert type(got) is type(given[0]) and got.dtype == given[0].dtype and got.device == given[0].device
        assert all(np.array_equal(backend.to_numpy(x), y) for x, y in zip(given, arrays, strict=True))
        for index in np.ndindex(2, 3):
            one = polar_vjp_jvp(*(x[index] for x in arrays), side=side)
            limit = other_svd(a[index], e[index]) * sum(
                kappa(a[index]) ** power * norm(x[index]) for power, x in zip((2, 1), arrays[2:], strict=True)
            )
            assert norm(backend.to_numpy(got)[index] - one) <= limit


def test_directions_of_one_point():
    """The inner entry: one singular value decomposition, many directions."""
    for shape in ((3, 3), (5, 2), (520, 2)):  # the last in blocks of rows
        a, e = draw(shape, "complex128", cond=10.0), gaussian((3, *shape), "complex128", 26)
        u_bar, *h_bars = bars(a)
        p, s, vh = np.linalg.svd(a, full_matrices=False)
        for side, h_bar in zip(SIDES, h_bars, strict=True):
            for options in ((u_bar,), (None, h_bar), (u_bar, h_bar)):
                many = derivatives.second(p, s, ct(vh), e, *options, side=side)
                alone = np.stack([polar_vjp_jvp(a, one, *options, side=side) for one in e])
                limit = other_svd(a, e) * (kappa(a) ** 2 * norm(u_bar) + kappa(a) * norm(h_bar))
                assert norm(many - alone) <= limit


@pytest.mark.parametrize("shape", [(0, 3, 3), (3, 0), (0, 3), (2, 4, 0), (0, 4, 2)])
def test_empty(shape):
    a = np.zeros(shape, "complex64")
    h_bar = np.zeros((*shape[:-1], shape[-2]), "complex64")
    got = polar_vjp_jvp(a, a, a, h_bar, side="left")
    assert got.shape == shape and got.dtype == a.dtype


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "parts", "message"),
    [
        (np.diag([3.0, 2.0, 0.0]), "h", "the polar factors are not differentiable"),
        (np.diag([3.0, 2.0, 0.0]), "uh", "the polar factors are not differentiable"),
        (np.diag([3.0, 0.0, 0.0]), "u", "u is not differentiable"),
        (np.diag([3.0, 2.0, 0.0]) + 0j, "u", "not differentiable"),
        (np.diag([3.0, 2.0, 0.0])[:, [0, 2]], "u", "not differentiable"),
        (np.diag([3.0, 2.0, 0.0])[[0, 2]], "u", "not differentiable"),
    ],
)
def test_outside_domain(a, parts, message):
    stack = np.stack([np.eye(*a.shape), a])
    h_bar = np.zeros((2, *(a.shape[-1],) * 2), a.dtype)
    with pytest.raises(OutsideDomain, match=rf"{message}: sigma_min = 0, .*batch index \(1,\)"):
        polar_vjp_jvp(stack, stack, stack if "u" in parts else None, h_bar if "h" in parts else None)


@pytest.mark.parametrize("where", ["a", "a_dot", "u_bar", "h_bar"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_not_finite(where, bad):
    arrays = {name: draw((2, 3, 3)) for name in ("a", "a_dot", "u_bar", "h_bar")}
    arrays[where][1, 2, 0] = bad
    with pytest.raises(OutsideDomain, match=rf"^{where} has {bad} at entry \(2, 0\), batch index \(1,\)"):
        polar_vjp_jvp(**arrays)


def test_overflow():
    a, e = draw((2, 3, 3), cond=3.0), gaussian((2, 3, 3), "float64", 27)
    small = np.array([1.0, 2.0**-600])[:, None, None]
    for bar, options in ((e, ()), (None, (e / small,))):
        with pytest.raises(OutsideDomain, match=r"the derivative overflows, batch index \(1,\)"):
            polar_vjp_jvp(a * small, e, bar, *options)


@pytest.mark.parametrize("where", ["a_dot", "u_bar", "h_bar"])
def test_shapes(where):
    arrays = {"a": draw((3, 2)), "a_dot": draw((3, 2)), "u_bar": draw((3, 2)), "h_bar": draw((2, 2))}
    for wrong in ((2, 3), (1, *arrays[where].shape), (4, 4)):
        with pytest.raises(ValueError, match=rf"^{where} has shape"):
            polar_vjp_jvp(**arrays | {where: np.ones(wrong)})
    with pytest.raises(TypeError, match=rf"^a and {where} differ in dtype"):
        polar_vjp_jvp(**arrays | {where: arrays[where].astype("float32")})
    with pytest.raises(ValueError, match=r"^h_bar has shape \(2, 2\), the other arguments imply \(3, 3\)"):
        polar_vjp_jvp(**arrays, side="left")


def test_wrong_option():
    eye = np.eye(2)
    with pytest.raises(ValueError, match="side='up' is not one of"):
        polar_vjp_jvp(eye, eye, eye, side="up")
    with pytest.raises(ValueError, match="both None"):
        polar_vjp_jvp(eye, eye, None)


# --- faults -----------------------------------------------------------------------------------------------------------

WRONG = {
    "conjugated": lambda *x, **o: polar_vjp_jvp(*x, **o).conj(),
    "negative": lambda *x, **o: -polar_vjp_jvp(*x, **o),
    "half": lambda *x, **o: polar_vjp_jvp(*x, **o) / 2,
    "off by 1e-9": lambda *x, **o: polar_vjp_jvp(*x, **o) * (1 + 1e-9),
    "the JVP": lambda a, e, *bars, **o: polar_jvp(a, e, factor="u").u_dot,
    "the VJP": lambda a, e, *bars, **o: polar_vjp(a, *bars, **o),
    "nothing": lambda a, *_, **o: 0 * a,
    "in single precision": lambda *x, **o: polar_vjp_jvp(
        *(None if y is None else y.astype("complex64") for y in x), **o
    ).astype("complex128"),
    "without the part outside the range": lambda a, *x, **o: (lambda u: u @ ct(u) @ polar_vjp_jvp(a, *x, **o))(
        polar(a).u
    ),
    "cotangents conjugated": lambda a, e, *bars, **o: polar_vjp_jvp(
        a, e, *(None if y is None else y.conj() for y in bars), **o
    ),
    "divided by differences": lambda a, e, *bars, **o: (
        (polar_vjp(a + 1e-5 * e, *bars, **o) - polar_vjp(a - 1e-5 * e, *bars, **o)) / 2e-5
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_fault_is_found(fault):
    a, e = draw((4, 2), "complex128", cond=3.0, seed=28), gaussian((4, 2), "complex128", 29)
    with pytest.raises(AssertionError):
        check(WRONG[fault], a, e)


# --- extra: the double backward of torch ------------------------------------------------------------------------------


@pytest.mark.exhaustive
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_double_backward_of_torch(shape, dtype):
    """Through the SVD, away from repeated values. Gradients of <w, a_bar> with respect to a and to u_bar."""
    torch = pytest.importorskip("torch", reason="differentiates twice")
    a, w, u_bar = draw(shape, dtype, cond=4.0, seed=31), *(gaussian(shape, dtype, seed) for seed in (32, 33))
    x, y = (torch.tensor(z, requires_grad=True) for z in (a, u_bar))
    p, _, vh = torch.linalg.svd(x, full_matrices=False)
    (a_bar,) = torch.autograd.grad(p @ vh, x, y, create_graph=True)
    of_a, of_bar = torch.autograd.grad(a_bar, (x, y), torch.tensor(w))
    # the differences of singular values cost torch a factor of about s_1/min |s_i - s_j| = 2 twice
    limit = 10 * other_svd(a, w, u_bar) * kappa(a) ** 2
    assert norm(of_a.numpy() - polar_vjp_jvp(a, w, u_bar)) <= limit
    assert norm(of_bar.numpy() - polar_jvp(a, w, factor="u").u_dot) <= limit
