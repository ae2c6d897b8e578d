"""Values, JVP and VJP of the maps that are sums of products: against 400 bits and by the adjoint identity.

Limits. Every result is a sum of at most 12 products of at most 5 matrices, of which X has spectral norm 1. A product
commits n eps of the product of the norms (n <= 7 here, and at least 8 is counted), and the weights 1/beta and 1 - beta
multiply: 10 units of max(n, 8) eps w sum_i |d_i| prod_{j /= i} |a_j|, w = (1 + beta)(1 + 1/beta).
"""

from dataclasses import dataclass, field
from inspect import signature
from math import prod

import numpy as np
import pytest
import stiefel_truth as truth
from backends import gaussian, norm
from stiefel_truth import DTYPES, METRICS, SHAPES, axis_aligned, beta, normal_vector, point, tangent

from orthoref import stiefel

pytestmark = pytest.mark.sample(4)

pytest.importorskip("flint", reason="python-flint gives the reference")


@dataclass(frozen=True)
class Map:
    """A map of X and the other arguments, whose kinds say how to draw them; ``over_c`` are divided by the scale."""

    name: str
    kinds: tuple[str, ...]
    metric: bool = False
    over_c: tuple[int, ...] = (0,)
    number: bool = False
    options: dict = field(default_factory=dict)

    def __call__(self, kind, *arguments, metric=None, **options):
        named = {"metric": metric} if self.metric else {}
        return getattr(stiefel, self.name + kind)(*arguments, **named, **self.options, **options)

    def exact(self, metric, c):
        f = getattr(truth, self.name)
        if self.name == "landing":  # c times the second term, whose x is not divided
            return lambda x, g: f(x, g, 0) + (f(x, g, self.options["attraction"]) - f(x, g, 0)) * c
        return (lambda *a: f(*a, metric)) if self.metric else f

    def scales(self, c):
        return [c if i in self.over_c else 1 for i in range(len(self.kinds))]


MAPS = {
    one.name: one
    for one in (
        Map("project", ("x", "any")),
        Map("normal", ("x", "any")),
        Map("inner", ("x", "tangent", "tangent"), metric=True, number=True),
        Map("norm", ("x", "tangent"), metric=True, number=True),
        Map("gradient", ("x", "any"), metric=True),
        Map("hessian", ("x", "any", "any", "tangent"), metric=True, over_c=(0, 3)),
        Map("weingarten", ("x", "tangent", "normal"), over_c=(0, 1)),
        Map("landing", ("x", "any"), options={"attraction": 0.75}),
    )
}
WITH_METRICS = [
    pytest.param(one, metric, id=f"{one.name}-{metric}")
    for one in MAPS.values()
    for metric in (METRICS if one.metric else (None,))
]


def draw(one, shape, dtype, seed=1, c=1.0, aligned=False):
    x = axis_aligned(shape, dtype, seed, c) if aligned else point(shape, dtype, seed, c)
    kinds = {"any": lambda s: gaussian(shape, dtype, s)}
    kinds |= {"tangent": lambda s: tangent(x, s, c), "normal": lambda s: normal_vector(x, s, c)}
    return [x, *(kinds[kind](seed + 10 + i) for i, kind in enumerate(one.kinds[1:]))]


def directions(one, shape, dtype, seed=50):
    return [gaussian(shape, dtype, seed + i) for i in range(len(one.kinds))]


def weight(metric):
    b = beta(metric) if metric is not None else 1.0
    return (1 + b) * (1 + 1 / b)


def unit(x, metric):
    return 10 * max(x.shape[-2], 8) * float(np.finfo(x.dtype).eps) * weight(metric)


def sizes(one, arguments, c):
    return [1.0, *(norm(a) / s for a, s in zip(arguments[1:], one.scales(c)[1:], strict=True))]


def value_limit(one, arguments, metric, c):
    s = sizes(one, arguments, c)
    terms = s[3] * s[1] + s[2] if one.name == "hessian" else prod(s) + (c if one.name == "landing" else 0)
    return unit(arguments[0], metric) * terms


def jvp_limit(one, arguments, d, metric, c):
    """Of a number or a matrix; the derivative of a norm by x is beta-weighted as all others, by v at most 1/beta."""
    s, e = sizes(one, arguments, c), [norm(x) / k for x, k in zip(d, one.scales(c), strict=True)]
    if one.name == "hessian":
        parts = e[0] * (s[1] * s[3] + s[2]) + e[1] * s[3] + e[2] + s[1] * e[3]
    else:
        parts = sum(e[i] * prod(s[:i] + s[i + 1 :]) for i in range(len(s)))
    if one.name == "landing":
        parts = parts + 3 * c * e[0]
    return unit(arguments[0], metric) * parts + 2.0**-180  # the error of the difference quotients is about 2^-200


def test_every_map_has_its_derivatives():
    for one in MAPS.values():
        assert all(callable(getattr(stiefel, one.name + kind)) for kind in ("", "_jvp", "_vjp"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("one", "metric"), WITH_METRICS)
def test_value(one, metric, dtype):
    for shape in SHAPES:
        for aligned in (False, True):
            a = draw(one, shape, dtype, aligned=aligned)
            got = one("", *a, metric=metric)
            exact = truth.value(one.exact(metric, 1), a, one.scales(1))
            assert norm(got - (exact[0, 0] if one.number else exact)) <= value_limit(one, a, metric, 1), (
                shape,
                aligned,
            )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("one", "metric"), WITH_METRICS)
def test_jvp(one, metric, dtype):
    for shape in SHAPES:
        for aligned in (False, True):
            a, d = draw(one, shape, dtype, aligned=aligned), directions(one, shape, dtype)
            if one.name == "norm" and shape == (1, 1) and not dtype.startswith("complex"):
                continue  # the tangent is zero
            got = one("_jvp", *a, *d, metric=metric)
            exact = truth.derivative(one.exact(metric, 1), a, d, one.scales(1))
            limit = jvp_limit(one, a, d, metric, 1)
            assert norm(got - (exact[0, 0] if one.number else exact)) <= limit, (shape, aligned)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("one", "metric"), WITH_METRICS)
@pytest.mark.parametrize("c", [1.0, 3.0])
def test_adjoint(one, metric, dtype, c):
    """<JVP(d), y> = <d, VJP(y)>, argument by argument, so that none hides behind another."""
    for shape in SHAPES:
        if one.name == "norm" and shape == (1, 1) and not dtype.startswith("complex"):
            continue
        a, d = draw(one, shape, dtype, seed=3, c=c), directions(one, shape, dtype)
        bar = np.asarray(-1.5, a[0].real.dtype) if one.number else gaussian(shape, dtype, 70)
        pulled = one("_vjp", *a, bar, metric=metric, scale=c)
        assert isinstance(pulled, tuple) and len(pulled) == len(a)
        assert [f.removesuffix("_bar") for f in pulled._fields] == list(
            signature(getattr(stiefel, one.name)).parameters
        )[: len(a)]
        for i in range(len(a)):
            alone = [x if j == i else np.zeros_like(x) for j, x in enumerate(d)]
            left = np.vdot(one("_jvp", *a, *alone, metric=metric, scale=c), bar).real
            right = np.vdot(d[i], pulled[i]).real
            assert abs(left - right) <= 2 * jvp_limit(one, a, alone, metric, c) * norm(bar), (shape, i)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize(("one", "metric"), WITH_METRICS)
@pytest.mark.parametrize("c", [3.0, 1e-3])
def test_scaled(one, metric, dtype, c):
    for shape in ((5, 3), (4, 4)):
        a, d = draw(one, shape, dtype, c=c), directions(one, shape, dtype)
        for got, exact, limit in (
            (one("", *a, metric=metric, scale=c), truth.value(one.exact(metric, c), a, one.scales(c)), value_limit),
            (
                one("_jvp", *a, *d, metric=metric, scale=c),
                truth.derivative(one.exact(metric, c), a, d, one.scales(c)),
                lambda one, a, metric, c, d=d: jvp_limit(one, a, d, metric, c),
            ),
        ):
            assert norm(got - (exact[0, 0] if one.number else exact)) <= limit(one, a, metric, c), shape


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
@pytest.mark.parametrize(("one", "metric"), WITH_METRICS)
def test_stack(one, metric, dtype):
    """Batched = stacked; each matrix has a scale of its own, here 2^0, 2^200 (2^30) and 2^-200 (2^-30) by turns."""
    stack, shape = [], (5, 3)
    big = 2.0 ** (200 if dtype == "float64" else 30)
    for i in range(6):
        a, d = draw(one, shape, dtype, seed=7 * i), directions(one, shape, dtype, seed=90 + 9 * i)
        a[-1] = a[-1] * [1, big, 1 / big][i % 3]
        bar = np.asarray(i - 2.5, a[0].real.dtype) if one.number else gaussian(shape, dtype, i)
        results = [one("", *a, metric=metric), one("_jvp", *a, *d, metric=metric), *one("_vjp", *a, bar, metric=metric)]
        stack.append(([*a], [*d], bar, results))
    together = [np.stack([s[0][j] for s in stack]).reshape(2, 3, *shape) for j in range(len(stack[0][0]))]
    d = [np.stack([s[1][j] for s in stack]).reshape(2, 3, *shape) for j in range(len(together))]
    bar = np.stack([s[2] for s in stack]).reshape((2, 3) if one.number else (2, 3, *shape))
    got = [
        one("", *together, metric=metric),
        one("_jvp", *together, *d, metric=metric),
        *one("_vjp", *together, bar, metric=metric),
    ]
    for k, x in enumerate(got):
        alone = np.stack([s[3][k] for s in stack]).reshape(x.shape)
        assert x.dtype == alone.dtype
        for index in np.ndindex(2, 3):
            # the same sums in another order of addition at most: a few eps of the result's terms
            assert norm(x[index] - alone[index]) <= 200 * float(np.finfo(x.dtype).eps) * norm(alone[index]), (k, index)


@pytest.mark.parametrize("one", MAPS.values(), ids=MAPS)
def test_powers_of_two(one):
    """A factor 2^k on the last argument goes through to the last bit, from near underflow to near overflow."""
    metric = "canonical" if one.metric else None
    for shape in ((5, 3), (4, 4)):
        a = draw(one, shape, "complex128")
        if one.name == "hessian":
            a[2] = np.zeros_like(a[2])  # linear in v then
        if one.name == "landing":
            a[0] = np.eye(*shape) + 0j  # the attraction, of degree 0 in egrad, vanishes
        plain = one("", *a, metric=metric)
        for k in (-1000, -30, 30, 1000):
            moved = one("", *a[:-1], a[-1] * 2.0**k, metric=metric)
            np.testing.assert_array_equal(moved, plain * 2.0**k)
