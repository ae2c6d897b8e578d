"""What every row of the table gets for free. No operation is named: a new row is tested by being in the table.

A function is tested with its defaults, with every other choice of its claims, and with every other ``method``: one at a
time. The points are drawn from the levels of the row, well conditioned, and rounded to multiples of 2^-10, so that
the neighbours at the distance STEP, which the truth is made of, are binary64 numbers.

The truth are enclosures to 30 digits: J = (f(a + t e_i) - f(a - t e_i))/2t, t = 2^-40, is the derivative up to
t^2/6, about 1e-25, of the third derivative, and 1e-30/2t < 1e-18. The unit of error is that of a function that gives
the exact result at a point a + da, |da| <= n eps |a|, and commits relative errors n eps of the result, to first order:

    n eps (|a| |J| + |f(a)|)                          of the function,
    n eps |e| (|J| + |a| |J'| + |f(a)|/|a|)           of J e and of J^H e;

the last term is the size of what cancels where f is homogeneous, J a = 0. n = max(order, 8), and |J'| is estimated by
second differences along pairs of vectors of random signs: the mean of their squares is the sum of the squares of all
second derivatives. LIMIT is the oracle's 10; measured are at most 0.6 for functions, 2 for derivatives, 1.5 for <,>.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial, wraps
from inspect import signature
from itertools import product
from typing import Any, get_args, get_type_hints

import array_api_compat as compat
import numpy as np
import pytest
from backends import BACKENDS, DEVICE1, JAX, NO_FLOAT64, NUMPY, STRICT, TORCH, Backend, late, norm

from orthoref import OutsideDomain, conformance
from orthoref.oracle.battery import cases
from orthoref.oracle.cases import MEMORY, _laid_out
from orthoref.oracle.laws import LAWS
from orthoref.oracle.operation import Operation
from orthoref.oracle.operations import OPERATIONS
from orthoref.oracle.precision import precision_of

pytestmark = pytest.mark.sample(4)

LIMIT = 10.0
MANY = 8  # a claim with more choices (names of presets) is not gone through
STEP, SECOND, DIGITS, PROBES = 2.0**-40, 2.0**-20, 30, 2
SHAPES = ((1, 1), (2, 2), (3, 3), (3, 2), (2, 3), (3, 1), (1, 3))
LARGER = ((5, 5), (7, 4), (4, 7), (2, 3, 4, 2))
EMPTY = ((0, 3, 3), (3, 0), (0, 3), (0, 0), (2, 0, 3), (2, 4, 0), (0, 2, 2), (0, 4, 2))


# --- functions of the table -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Function:
    """The operation of a row, its JVP or its VJP, under options."""

    row: Operation
    kind: str
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return "-".join((self.row.name, self.kind, *(f"{name}={value}" for name, value in self.options)))

    @property
    def function(self) -> Callable[..., Any]:
        return getattr(self.row, self.kind)

    def __call__(self, *arrays: Any, **more: Any) -> tuple[Any, ...]:
        result = self.function(*arrays, **dict(self.options), **more)
        return tuple(result) if isinstance(result, tuple) else (result,)

    def of(self, kind: str) -> Function:
        """Another function of the row, under those of the options that it takes."""
        taken = signature(getattr(self.row, kind)).parameters
        return Function(self.row, kind, tuple((name, value) for name, value in self.options if name in taken))

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the arrays."""
        dots, bars = ([f"{x}_{y}" for x in names] for names, y in ((self.row.inputs, "dot"), (self.row.outputs, "bar")))
        return (*self.row.inputs, *{"reference": (), "jvp": dots, "vjp": bars}[self.kind])

    def shapes(self, shape: tuple[int, ...]) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Of the arguments and of the results."""
        known = {claim.name for claim in self.row.claims}
        claimed = self.row.claim(**{name: value for name, value in self.options if name in known})
        inputs = [x.shape for x in point(self.row.name, shape, False)]
        outputs = [self.row.shapes(claimed, *inputs)[name] for name in self.row.outputs]
        return {"reference": (inputs, outputs), "jvp": (2 * inputs, outputs), "vjp": (inputs + outputs, inputs)}[
            self.kind
        ]

    def draw(self, shape: tuple[int, ...], dtype: str, batch: tuple[int, ...] = ()) -> list[np.ndarray]:
        """Arguments: in a stack two points in turns, and other directions for each member."""
        complex_, count = dtype.startswith("complex"), int(np.prod(batch))
        members = [point(self.row.name, shape, complex_, i % 2) for i in range(count)]
        arrays = [np.stack(x) if batch else x[0] for x in zip(*members, strict=True)]
        random = np.random.default_rng(len(shape))
        for like in self.shapes(shape)[0][len(arrays) :]:
            x = random.integers(-16, 17, (*([count] if batch else []), *like, 2)) / 8
            arrays.append(x[..., 0] + 1j * x[..., 1] if complex_ else x[..., 0])
        return [x.reshape(*batch, *x.shape[1:] if batch else x.shape).astype(dtype) for x in arrays]


def options_of(row: Operation, kind: str) -> Iterator[tuple[tuple[str, Any], ...]]:
    """None; every other choice of a claim; every other method."""
    parameters = signature(getattr(row, kind)).parameters
    choices = {claim.name: claim.choices for claim in row.claims if len(claim.choices) <= MANY}
    if "method" in parameters:
        choices["method"] = methods(getattr(row, kind))
    yield ()
    for name, values in choices.items():
        if name in parameters:
            yield from (((name, value),) for value in values if value != parameters[name].default)


def methods(function: Callable[..., Any]) -> tuple[str, ...]:
    return get_args(get_type_hints(function)["method"])


PLAIN = [Function(row, kind) for row in OPERATIONS.values() for kind in ("reference", "jvp", "vjp")]
FUNCTIONS = [Function(f.row, f.kind, options) for f in PLAIN for options in options_of(f.row, f.kind)]
DERIVATIVES = [f for f in FUNCTIONS if f.kind == "jvp"]
REFERENCES = [f for f in FUNCTIONS if f.kind == "reference"]
over_plain, over_all, over_derivatives, over_references = (
    pytest.mark.parametrize("f", functions, ids=str) for functions in (PLAIN, FUNCTIONS, DERIVATIVES, REFERENCES)
)
over_backends = pytest.mark.parametrize("backend", [late(backend) for backend in BACKENDS])
over_rows = pytest.mark.parametrize("row", OPERATIONS.values(), ids=OPERATIONS)


@cache
def point(name: str, shape: tuple[int, ...], complex_: bool, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Inputs of a row, without anything that is hard about them."""
    harmless: dict[str, Any] = {
        "members": ("alike",), "memory": ("C",), "structure": ("general",), "spectrum": ("geometric",),
        "cond": (10.0,), "scale": (1.0,), "gallery": (),
    }  # fmt: skip
    levels = replace(OPERATIONS[name].levels, **harmless)
    drawn = cases(levels, dtypes=["complex128" if complex_ else "float64"], shapes=[(2, 2), shape], seed=seed)
    case = next(case for case in drawn if case.shape == shape)
    return tuple(np.round(x * 2.0**10) / 2.0**10 for x in case.inputs().values())


# --- truth ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Truth:
    """Value, J and |J'| of every output at a point, as real vectors, matrices and numbers; the norm of the inputs."""

    values: list[np.ndarray]
    jacobians: list[np.ndarray]
    seconds: np.ndarray
    size: float

    def loss(self, k: int) -> float:
        """Error of J_k e in units of n eps |e|."""
        return spectral(self.jacobians[k]) + self.size * self.seconds[k] + norm(self.values[k]) / self.size


def flat(arrays: Any) -> np.ndarray:
    """One real vector of the real and imaginary parts of all entries."""
    wide = [np.asarray(x, np.result_type(x.dtype, np.float64), order="C") for x in arrays]
    return np.concatenate([x.view(np.float64).ravel() for x in wide])


def unflat(x: np.ndarray, like: Any) -> list[np.ndarray]:
    sizes = np.cumsum([y.size * (2 if y.dtype.kind == "c" else 1) for y in like])
    return [part.view(y.dtype).reshape(y.shape) for part, y in zip(np.split(x, sizes[:-1]), like, strict=True)]


def parts(balls: Any, complex_: bool) -> list[Any]:
    """Of the entries of a ball matrix, as `flat` orders them."""
    return [part for z in balls.entries() for part in (z.real, z.imag)] if complex_ else balls.entries()


def enclosed(f: Function) -> dict[str, Any]:
    """The options that change the function, not only the way it is computed."""
    taken = signature(f.row.enclosure).parameters
    return {name: value for name, value in f.options if name in taken}


def require_truth(row: Operation) -> None:
    pytest.importorskip("flint", reason="python-flint gives the reference")
    if row.enclosure is None:
        pytest.skip(f"{row.name} has no enclosure")


def truth(f: Function, shape: tuple[int, ...], complex_: bool, seed: int) -> Truth:
    return _truth(f.row.name, tuple(enclosed(f).items()), shape, complex_, seed)


@cache
def _truth(name: str, options: tuple[tuple[str, Any], ...], shape: tuple[int, ...], complex_: bool, seed: int) -> Truth:
    import flint

    row, inputs = OPERATIONS[name], point(name, shape, complex_, seed)

    def exact(x: np.ndarray) -> list[list[Any]]:
        """Real and imaginary parts of each output, as balls."""
        found = row.enclosure(*unflat(x, inputs), digits=DIGITS, **dict(options))
        return [parts(getattr(found, output), complex_) for output in row.outputs]

    def difference(x: np.ndarray, e: np.ndarray) -> list[list[Any]]:
        up, down = x + e, x - e
        assert np.all(up - x == e) and np.all(x - down == e)  # no rounding
        pairs = zip(exact(up), exact(down), strict=True)
        return [[p - m for p, m in zip(*pair, strict=True)] for pair in pairs]

    x, random = flat(inputs), np.random.default_rng(seed)
    with flint.ctx.workprec(400):
        columns = [[floats(y, 2 * STEP) for y in difference(x, e)] for e in STEP * np.eye(x.size)]
        jacobians = [np.array(block).T for block in zip(*columns, strict=True)]
        squares = np.zeros(len(row.outputs))
        for _ in range(PROBES):
            d, e = SECOND * random.choice([-1.0, 1.0], (2, x.size))
            pairs = zip(difference(x + d, e), difference(x - d, e), strict=True)
            cross = [[p - m for p, m in zip(*pair, strict=True)] for pair in pairs]
            squares += [norm(floats(y, 4 * SECOND**2)) ** 2 for y in cross]
        values = [floats(y, 1.0) for y in exact(x)]
    return Truth(values, jacobians, np.sqrt(squares / PROBES), norm(x))


def floats(balls: list[Any], divisor: float) -> np.ndarray:
    return np.array([float(z.mid() / divisor) for z in balls])


def units(f: Function, known: Truth, arrays: list[np.ndarray]) -> list[float]:
    """Unit of error of each result of one member."""
    precision, outputs = precision_of(arrays[0].dtype.name), range(len(f.row.outputs))
    n_eps = precision.growth(min(arrays[0].shape[-2:])) * precision.eps
    if f.kind == "reference":
        return [n_eps * (known.size * spectral(known.jacobians[k]) + norm(known.values[k])) for k in outputs]
    lost = [n_eps * norm(flat(arrays[len(f.row.inputs) :])) * known.loss(k) for k in outputs]
    return lost if f.kind == "jvp" else [sum(lost)]


def excess(f: Function, known: Truth, arrays: list[np.ndarray], results: list[np.ndarray]) -> float:
    """Largest error of a result of one member, in units of error."""
    if f.kind == "vjp":
        errors = [flat(results) - np.concatenate(known.jacobians).T @ flat(arrays[len(f.row.inputs) :])]
    else:
        along = [] if f.kind == "reference" else flat(arrays[len(f.row.inputs) :])
        truths = known.values if f.kind == "reference" else [j @ along for j in known.jacobians]
        errors = [flat([x]) - truth for x, truth in zip(results, truths, strict=True)]
    return max(norm(error) / unit for error, unit in zip(errors, units(f, known, arrays), strict=True))


def spectral(j: np.ndarray) -> float:
    return float(np.linalg.norm(j, 2))


def inner(xs: Any, ys: Any) -> float:
    return sum(float(np.sum(np.conj(x).astype("complex128") * y).real) for x, y in zip(xs, ys, strict=True))


# --- checks: each takes a function, so that broken ones can be shown to fail ------------------------------------------


def call(f: Function, backend: Backend, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Results as NumPy arrays, if they are of the kind of the arguments and these are left alone."""
    given = [backend.asarray(x) for x in arrays]
    results = f(*given)
    for name, before, after in zip(f.arguments, arrays, given, strict=True):
        assert backend.to_numpy(after).tobytes() == before.tobytes(), f"{name} was changed"
    like = given[0]
    for x in results:
        assert type(x) is type(like), "type"
        assert x.dtype == like.dtype, "dtype"
        assert x.device == like.device, "device"
    return [backend.to_numpy(x) for x in results]


def check_kind(f: Function, backend: Backend, dtype: str, shape: tuple[int, ...]) -> None:
    """Array type, dtype, device and shape of the results; arguments untouched."""
    results = call(f, backend, f.draw(shape, dtype))
    assert [x.shape for x in results] == f.shapes(shape)[1], "shape"


def check_truth(f: Function, backend: Backend, dtype: str, shape: tuple[int, ...], batch: tuple[int, ...] = (),
                memory: str = "C") -> None:  # fmt: skip
    """Every member of a stack within LIMIT units of the truth: what it would be within alone."""
    require_truth(f.row)
    arrays = f.draw(shape, dtype, batch)
    if memory == "C":
        results = call(f, backend, arrays)
    else:
        results = [np.asarray(x) for x in f(*(_laid_out(x, memory, x.shape) for x in arrays))]
    assert [x.shape for x in results] == [(*batch, *expected) for expected in f.shapes(shape)[1]], "shape"
    for count, i in enumerate(np.ndindex(batch)):
        known = truth(f, shape, dtype.startswith("complex"), count % 2)
        ratio = excess(f, known, [x[i] for x in arrays], [x[i] for x in results])
        assert ratio <= LIMIT, f"{ratio:.3g} units, member {i}"


def check_adjoint(f: Function, backend: Backend, dtype: str, shape: tuple[int, ...]) -> None:
    """<J e, y> = <e, J^H y>. Each side is the sum over the members of products with rounded results."""
    back = f.of("vjp")
    forward, backward = f.draw(shape, dtype), back.draw(shape, dtype)
    inputs = len(f.row.inputs)
    e, y = forward[inputs:], backward[inputs:]
    pushed, pulled = call(f, backend, forward), call(back, backend, backward)
    norms = [
        [np.linalg.norm(flat([x[i] for x in xs])) for i in np.ndindex(shape[:-2])] for xs in (e, y, pushed, pulled)
    ]
    of_e, of_y, of_pushed, of_pulled = map(np.array, norms)
    precision = precision_of(dtype)
    unit = precision.growth(min(shape[-2:])) * precision.eps * np.sum(of_pushed * of_y + of_e * of_pulled)
    assert abs(inner(pushed, y) - inner(e, pulled)) <= LIMIT * unit, "not the adjoint"


def check_empty(f: Function, backend: Backend, shape: tuple[int, ...]) -> None:
    check_kind(f, backend, "float32", shape)


BAD = (np.nan, np.inf, -np.inf, complex(0, np.nan), complex(np.inf, 1))


def check_not_finite(f: Function, backend: Backend, bad: complex) -> None:
    """Refused with the name of the argument, the entry and the batch index."""
    good = f.draw((3, 2), "complex64" if isinstance(bad, complex) else "float32", (2, 3))
    for where, name in enumerate(f.arguments):
        arrays = [x.copy() for x in good]
        arrays[where][1, 2, -1, 0] = bad
        entry = rf"\({arrays[where].shape[-2] - 1}, 0\)"
        with pytest.raises(OutsideDomain, match=rf"^{name} has .*(nan|inf).* at entry {entry}, batch index \(1, 2\)$"):
            f(*map(backend.asarray, arrays))


def check_dtypes(f: Function) -> None:
    """16-bit, long and integer arrays, and what is no array of matrices."""
    good = f.draw((3, 2), "float64")
    for where, name in enumerate(f.arguments):
        eye = np.eye(*good[where].shape)
        wrong = [
            *((eye.astype(dtype), dtype) for dtype in ("float16", "int64", "bool", "object")),
            (eye.astype("longdouble"), "float|longdouble"),
            *((x, "must be an array") for x in ([[1.0]], 1.0, "a")),
            *((x, "must be ") for x in (np.ma.masked_array(eye), eye.view(np.matrix))),
        ]
        for x, words in wrong:
            with pytest.raises(TypeError, match=rf"^{name} .*({words})"):
                f(*good[:where], x, *good[where + 1 :])
    with pytest.raises(TypeError, match=rf"^{f.arguments[0]} must be an array"):
        f(None, *good[1:])


def check_dimensions(f: Function, backend: Backend) -> None:
    good = [backend.asarray(x) for x in f.draw((3, 2), "float32")]
    for where, name in enumerate(f.arguments):
        for shape in ((), (3,), (0,)):
            with pytest.raises(ValueError, match=rf"^{name} must have at least 2 dimensions"):
                f(*good[:where], backend.asarray(np.ones(shape, "float32")), *good[where + 1 :])


def check_shapes(f: Function) -> None:
    """Directions and cotangents of the shapes that the point implies, and no broadcasting."""
    good, inputs = f.draw((3, 2), "float64"), len(f.row.inputs)
    for where, name in [*enumerate(f.arguments)][inputs:]:
        m, n = good[where].shape
        for shape in ((m + 1, n), (m, n + 1), (2, m, n), (1, m, n)):
            with pytest.raises(ValueError, match=rf"^{name} has shape"):
                f(*good[:where], np.ones(shape), *good[where + 1 :])


def check_mixed(f: Function, other: Backend) -> None:
    """Namespaces, dtypes and devices are not mixed: the message names both arguments."""
    first, *others = f.arguments
    for where, name in enumerate(others, start=1):
        good = f.draw((3, 2), "float32")

        def mixed(one: Backend, two: Backend, arrays: list[np.ndarray] = good, where: int = where) -> None:
            f(*((two if i == where else one).asarray(x) for i, x in enumerate(arrays)))

        for one, two in ((NUMPY, other), (other, NUMPY)):
            with pytest.raises(TypeError, match=f"{first} and {name} differ in namespace"):
                mixed(one, two)
        for dtype in ("float64", "complex64"):
            wide = [x.astype(dtype) if i == where else x for i, x in enumerate(good)]
            with pytest.raises(TypeError, match=f"{first} and {name} differ in dtype: float32 and {dtype}"):
                mixed(other, other, wide)
        if other is STRICT:
            for one, two in ((DEVICE1, NO_FLOAT64), (STRICT, DEVICE1)):
                with pytest.raises(ValueError, match=f"{first} and {name} differ in device"):
                    mixed(one, two)


def check_options(f: Function) -> None:
    """Values of claims that are none, with the values that are; options that are none. Also of empty matrices."""
    taken = signature(f.function).parameters

    def called(**option: Any) -> Any:
        return f(*f.draw((3, 2), "float64"), **option)

    def called_with_nothing(**option: Any) -> Any:
        return f(*f.draw((0, 2), "float64"), **option)

    choices = [(claim.name, claim.choices, f.row.claim) for claim in f.row.claims if claim.choices]
    options = [(name, values) for name, values, _ in choices if name in taken]
    if "method" in taken:
        options.append(("method", methods(f.function)))
    choices += [(*option, target) for option in options for target in (called, called_with_nothing)]
    for name, values, target in choices:
        with pytest.raises(ValueError, match="'no such' is not one of ") as error:
            target(**{name: "no such"})
        text = str(error.value)
        assert text.startswith(name.removesuffix("e")), text  # "normalization" for "normalize"
        assert all(value in text for value in values), text
    for target in (f.row.claim, called):
        with pytest.raises(TypeError, match="no_such"):
            target(no_such=1)


def check_signature(f: Function) -> None:
    """Arrays first, under the names of the convention; then the options, by name only."""
    parameters = [*signature(f.function).parameters.values()]
    assert [parameter.name for parameter in parameters[: len(f.arguments)]] == [*f.arguments]
    claims = {claim.name for claim in f.row.claims}
    for parameter in parameters[len(f.arguments) :]:
        assert parameter.kind is parameter.KEYWORD_ONLY or parameter.name in claims


def check_enclosure(f: Function, dtype: str, shape: tuple[int, ...]) -> None:
    """The certified bounds of the reference's error contain it, and it is a rounding error."""
    require_truth(f.row)
    import flint

    arrays = f.draw(shape, dtype)
    results = call(f, NUMPY, arrays)
    found = f.row.enclosure(*arrays, **dict(zip(f.row.outputs, results, strict=True)), **enclosed(f))
    known = truth(f, shape, dtype.startswith("complex"), 0)
    assert found.radius <= 1e-15
    for name, result, unit in zip(f.row.outputs, results, units(f, known, arrays), strict=True):
        low, high = getattr(found, f"{name}_error")
        with flint.ctx.workprec(400):
            balls = parts(getattr(found, name), dtype.startswith("complex"))
            errors = [flint.arb(x) - z.mid() for x, z in zip(flat([result]).tolist(), balls, strict=True)]
            distance = float(sum((error**2 for error in errors), flint.arb(0)).sqrt())
            wide = float(sum((z.rad() ** 2 for z in balls), flint.arb(0)).sqrt())
        # for any matrix in the balls; each of the three numbers is rounded to a float or to the next one
        around = 1e-15 * distance + 1e-322
        assert distance - wide - around <= low <= distance + around
        assert distance - around <= high <= distance + wide + around
        assert high <= LIMIT * unit, "the reference is not where the enclosure is"


def check_battery(f: Function, **battery: Any) -> None:
    """The reference holds where a port has to."""
    claims = {claim.name for claim in f.row.claims}
    claimed = {name: value for name, value in f.options if name in claims}
    report = conformance.check(partial(f.function, **dict(f.options)), f.row.name, progress=False, **battery, **claimed)
    assert report.status in ("HOLDS", "UNDECIDED") and report.count("holds"), report.text()


# --- the table --------------------------------------------------------------------------------------------------------


@over_plain
def test_signature(f):
    check_signature(f)


def seen(backend: Backend) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Dtypes and shapes: JAX compiles for each of them, array-api-strict has the arithmetic of NumPy."""
    dtypes = backend.dtypes[2:3] if backend is JAX else backend.dtypes
    return product(dtypes, LARGER[2:3] if backend is JAX else LARGER if backend in (NUMPY, TORCH) else LARGER[2:])


@over_all
@over_backends
def test_kind_of_result(f, backend):
    backend.require()
    for dtype, shape in seen(backend):
        check_kind(f, backend, dtype, shape)


@over_all
@over_backends
def test_empty(f, backend):
    backend.require()
    for shape in EMPTY:
        check_empty(f, backend, shape)


@over_all
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_truth(f, dtype, shape):
    if shape == (3, 3) and dtype.startswith("complex"):
        shape = (4, 1)  # 18 real numbers take too much time
    check_truth(f, NUMPY, dtype, shape)


@over_all
@over_backends
def test_a_stack_gives_what_its_members_give(f, backend):
    backend.require()
    dtype = "float64" if "float64" in backend.dtypes else "float32"
    check_truth(f, backend, dtype, (3, 2), batch=(2, 3))
    check_truth(f, backend, dtype, (2, 3), batch=(2,))
    check_truth(f, backend, dtype, (2, 2), batch=(1, 2, 1))


@over_all
def test_memory(f):
    for memory in MEMORY:
        if memory == "broadcast":  # which makes all members the first
            continue
        for shape in ((3, 2), (2, 3)):
            check_truth(f, NUMPY, "float64", shape, batch=(2,), memory=memory)


@over_derivatives
@over_backends
def test_adjoint(f, backend):
    backend.require()
    for dtype, shape in seen(backend):
        check_adjoint(f, backend, dtype, shape)


@over_references
@pytest.mark.parametrize("dtype", NUMPY.dtypes)
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 2), (2, 3)], ids=lambda shape: "x".join(map(str, shape)))
def test_enclosure_contains_the_reference(f, dtype, shape):
    check_enclosure(f, dtype, shape)


@over_plain
@over_backends
@pytest.mark.parametrize("bad", BAD)
def test_not_finite(f, backend, bad):
    backend.require()
    check_not_finite(f, backend, bad)


@over_plain
def test_what_is_no_array_of_floating_point_matrices(f):
    check_dtypes(f)


@over_plain
@over_backends
def test_no_matrices(f, backend):
    backend.require()
    check_dimensions(f, backend)


@over_plain
def test_wrong_shapes(f):
    check_shapes(f)


@over_plain
@pytest.mark.parametrize("other", [STRICT, TORCH, late(JAX)], ids=lambda backend: backend.name)
def test_mixed(f, other):
    other.require()
    check_mixed(f, other)


@over_plain
def test_wrong_options(f):
    check_options(f)


WITHOUT_LAWS = [law.name for law in LAWS]


@over_references
def test_the_reference_holds_some_of_its_battery(f):
    check_battery(f, dtypes=["float64"], shapes=[(4, 4), (5, 3), (2, 3, 4)], max_cases=12, skip=WITHOUT_LAWS)


@pytest.mark.exhaustive
@over_rows
def test_the_reference_holds_its_battery(row):
    check_battery(Function(row, "reference"))


@pytest.mark.exhaustive
@over_references
def test_the_reference_holds_the_quick_battery(f):
    check_battery(f, battery="quick", dtypes=["float64"], skip=WITHOUT_LAWS)


@pytest.mark.exhaustive
@over_references
def test_no_false_alarm(f):
    """Ten batteries of small matrices."""
    for seed in range(10):
        check_battery(f, battery="quick", shapes=[(3, 3), (8, 8), (9, 4), (2, 3, 5)], seed=seed, skip=WITHOUT_LAWS)


# --- a table that cannot fail says nothing ----------------------------------------------------------------------------


MUTABLE = replace(NUMPY, asarray=np.array)
Make = Callable[..., Any]


def results(change: Callable[[Any], Any]) -> Callable[[Make], Make]:
    """The function with every result changed."""

    def broken(function: Make) -> Make:
        @wraps(function)
        def wrong(*arrays: Any, **options: Any) -> Any:
            result = function(*arrays, **options)
            return tuple(map(change, result)) if isinstance(result, tuple) else change(result)

        return wrong

    return broken


def arguments(change: Callable[[Any], Any]) -> Callable[[Make], Make]:
    """The function of changed arguments."""

    def broken(function: Make) -> Make:
        @wraps(function)
        def wrong(*arrays: Any, **options: Any) -> Any:
            return function(*map(change, arrays), **options)

        return wrong

    return broken


def options(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Make], Make]:
    def broken(function: Make) -> Make:
        @wraps(function)
        def wrong(*arrays: Any, **given: Any) -> Any:
            return function(*arrays, **change(given))

        return wrong

    return broken


def overwritten(x: Any) -> Any:
    y = x.copy()
    x *= 2
    return y


def on_the_cpu(x: Any) -> Any:
    return compat.to_device(x, STRICT.asarray(np.ones(1)).device)


def renamed(function: Make) -> Make:
    return lambda x, *more, **given: function(x, *more, **given)


def refuse_empty(x: Any) -> Any:
    if 0 in x.shape:
        raise ValueError("an empty matrix")
    return x


def finite(x: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(x), x, 0)


def widened(x: Any, dtype: Any) -> Any:
    return x.astype("float64") if getattr(x, "dtype", None) == dtype else x


every, tangents = ("reference", "jvp", "vjp"), ("jvp", "vjp")
F64, C128 = (NUMPY, "float64"), (NUMPY, "complex128")
FAULTS = [
    pytest.param(kinds, breaks, check, given, found, id=name)
    for name, kinds, breaks, check, given, found in (
        ("float64 for float32", every, results(lambda x: x.astype("float64")),
         check_kind, (NUMPY, "float32", (3, 2)), "^dtype"),
        ("float32 inside", every, results(lambda x: x.astype("float32").astype(x.dtype)),
         check_truth, (*F64, (3, 2)), "units, member"),
        ("another array type", every, results(np.asarray), check_kind, (TORCH, "float32", (3, 2)), "^type"),
        ("another device", every, results(on_the_cpu), check_kind, (DEVICE1, "float32", (3, 2)), "^device"),
        ("input overwritten", every, arguments(overwritten), check_kind, (MUTABLE, "float64", (3, 2)), "was changed"),
        ("input is written to", every, arguments(overwritten), check_kind, (*F64, (3, 2)), "read-only"),
        ("transposed", every, results(lambda x: x.mT), check_kind, (*F64, (3, 2)), "^shape"),
        ("batch axes flattened", every, results(lambda x: x.reshape(-1, *x.shape[-2:])),
         check_kind, (*F64, (2, 3, 4, 2)), "^shape"),
        ("first batch axis dropped", every, results(lambda x: x[0]),
         check_truth, (*F64, (3, 2), (2, 3)), "^shape"),
        ("of the first member", every, arguments(lambda x: x[:1] + 0 * x),
         check_truth, (*F64, (3, 2), (3,)), r"units, member \(1,\)"),
        ("memory order", every, arguments(lambda x: x.ravel(order="K").reshape(x.shape)),
         check_truth, (*F64, (3, 2), (2,), "F"), "units, member"),
        ("relative error 1e-11", every, results(lambda x: x * (1 + 1e-11)),
         check_truth, (*F64, (3, 2)), "units, member"),
        ("conjugated", every, results(np.conj), check_truth, (*C128, (3, 2)), "units, member"),
        ("conjugated adjoint", ("vjp",), results(np.conj), check_adjoint, (*C128, (3, 2)), "adjoint"),
        ("adjoint lost 1/2", ("vjp",), results(lambda x: 2 * x), check_adjoint, (*F64, (3, 2)), "adjoint"),
        ("adjoint off by 1e-12", ("vjp",), results(lambda x: x * (1 + 1e-12)),
         check_adjoint, (*F64, (3, 2)), "adjoint"),
        ("empty refused", every, arguments(refuse_empty), check_empty, (NUMPY, (2, 0, 3)), "an empty matrix"),
        ("shape of empty", every, results(lambda x: x[..., :0]), check_empty, (NUMPY, (0, 3)), "^shape"),
        ("NaN accepted", every, arguments(finite), check_not_finite, (NUMPY, np.nan), "DID NOT RAISE"),
        ("infinity accepted", every, arguments(finite), check_not_finite, (NUMPY, np.inf), "DID NOT RAISE"),
        ("another batch index", every, arguments(lambda x: x.reshape(-1, *x.shape[-2:])),
         check_not_finite, (NUMPY, np.nan), r"batch index \(5,\)"),
        ("half precision taken", every, arguments(lambda x: widened(x, np.float16)),
         check_dtypes, (), "DID NOT RAISE|Regex pattern"),
        ("integers taken", every, arguments(lambda x: widened(x, np.int64)),
         check_dtypes, (), "DID NOT RAISE|Regex pattern"),
        ("directions cut to shape", tangents, arguments(lambda x: x[..., :3, :2]), check_shapes, (), "DID NOT RAISE"),
        ("namespaces mixed", tangents, arguments(lambda x: x if isinstance(x, np.ndarray) else x.numpy()),
         check_mixed, (TORCH,), "DID NOT RAISE"),
        ("dtypes mixed", tangents, arguments(lambda x: x if isinstance(x, np.ndarray) else x.double()),
         check_mixed, (TORCH,), "DID NOT RAISE"),
        ("devices mixed", tangents, arguments(lambda x: x if isinstance(x, np.ndarray) else on_the_cpu(x)),
         check_mixed, (STRICT,), "DID NOT RAISE"),
        ("wrong values ignored", every, options(lambda given: {k: v for k, v in given.items() if v != "no such"}),
         check_options, (), "DID NOT RAISE"),
        ("unknown options ignored", every, options(lambda given: {k: v for k, v in given.items() if k != "no_such"}),
         check_options, (), "DID NOT RAISE"),
        ("other names", every, renamed, check_signature, (), "'x'"),
        ("error of 1e-11", ("reference",), results(lambda x: x * (1 + 1e-11)),
         check_enclosure, ("float64", (3, 2)), "not where the enclosure is"),
    )
]  # fmt: skip


@over_rows
@pytest.mark.parametrize(("kinds", "breaks", "check", "given", "found"), FAULTS)
@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_a_broken_row_is_found(row, kinds, breaks, check, given, found):
    for x in given:
        if isinstance(x, Backend):
            x.require()
    for kind in kinds:
        broken = Function(replace(row, **{kind: breaks(getattr(row, kind))}), kind)
        f = broken.of("jvp") if check is check_adjoint else broken
        with pytest.raises((AssertionError, ValueError, pytest.fail.Exception), match=found):
            check(f, *given)


@over_rows
def test_an_enclosure_of_something_else_is_found(row):
    require_truth(row)
    other = replace(row, enclosure=lambda *arrays, **given: row.enclosure(*(x[::-1] for x in arrays), **given))
    with pytest.raises(AssertionError, match="not where the enclosure is"):
        check_enclosure(Function(other, "reference"), "float64", (3, 2))


@over_rows
def test_a_wrong_reference_does_not_hold(row, monkeypatch):
    wrong = replace(row, reference=results(lambda x: x * 1.001)(row.reference))
    silent = replace(row, variants=lambda *_: iter(()), describe=lambda *_: [])  # diagnosis takes time
    monkeypatch.setitem(OPERATIONS, row.name, silent)
    with pytest.raises(AssertionError, match="FAILS"):
        check_battery(Function(wrong, "reference"), dtypes=["float64"], shapes=[(4, 4)], max_cases=2, skip=WITHOUT_LAWS)
