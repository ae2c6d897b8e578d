"""Random orthogonal and unitary matrices, and initialisers of layers. Derivations: docs/derivations/constructors."""

from __future__ import annotations

from math import inf, prod
from typing import Any, Literal

import array_api_compat as compat
import numpy as np

from orthoref._constructors.door import require_count
from orthoref._constructors.householder import householder_product
from orthoref.arrays import FLOATING, Array, Namespace, enter, is_complex, require_choice, require_shape

Layout = Literal["torch", "jax", "haiku"]
Random = Any  # a seed or a numpy.random.Generator


def haar(
    n: int,
    p: int | None = None,
    *,
    rng: Random = None,
    normal: Array | None = None,
    batch: tuple[int, ...] = (),
    special: bool = False,
    method: Literal["qr", "reflectors"] = "qr",
    dtype: str = "float64",
    xp: Namespace = np,
    device: Any = None,
) -> Array:
    r"""Random matrices with orthonormal columns, uniformly distributed.

    Parameters
    ----------
    n, p : int
        n rows, p <= n columns, n if not given.
    rng : int or numpy.random.Generator, optional
        Seed or source of the normal numbers; the system's randomness if not given.
    normal : array of shape (..., n, p), optional
        Independent standard normal numbers (real and imaginary parts of one variance) to use in the place of rng. The
        result is in its namespace, dtype and device.
    batch : tuple of int
        Leading axes.
    special : bool
        Determinant 1, of a square matrix.
    method : {"qr", "reflectors"}
        QR decomposition with the phases of diag(R), or Stewart's product of reflections, which looks at
        the lower triangle only.
    dtype : {"float64", "float32", "complex128", "complex64"}
    xp : namespace
        Of the result, an array-API module; ``torch``, ``jax.numpy`` and the like go through array-api-compat.
    device : device, optional
        Of the result.

    Returns
    -------
    array of shape (..., n, p)

    Raises
    ------
    OutsideDomain
        NaN or infinity in ``normal``.
    TypeError, ValueError
        Wrong type, dtype, shape or option.

    Notes
    -----
    Equations (HAAR) and (HAAR-REFLECTORS), [Stewart1980]_, [Mezzadri2007]_. Without the phases Q is what the sign
    choices of the QR routine make of it, and not Haar distributed: LAPACK's has Q[0, 0] < 0 always.

    The numbers are drawn by NumPy in float64, all real parts before all imaginary ones, whatever the namespace:
    SciPy's ``ortho_group``, ``unitary_group``, ``special_ortho_group`` return the same matrix for the same generator.

    A random matrix has no derivative; that of Q by the normal numbers is the one of the QR decomposition.

    Examples
    --------
    >>> import numpy as np
    >>> import orthoref
    >>> q = orthoref.haar(3, rng=0, special=True)
    >>> np.allclose(q.T @ q, np.eye(3), rtol=0, atol=1e-15 * 10), round(np.linalg.det(q), 12)
    (True, np.float64(1.0))
    """
    p = n if p is None else p
    require_count("n", n)
    require_count("p", p)
    require_choice("method", method, ("qr", "reflectors"))
    if p > n:
        raise ValueError(f"p={p} columns of length n={n} cannot be orthonormal")
    if special and p != n:
        raise ValueError("special=True needs a square matrix: others have no determinant")
    z, xp = _normal((*batch, n, p), rng, normal, dtype, xp, device)
    q = _from_qr(z, xp) if method == "qr" else _from_reflectors(z, xp)
    if special and n:
        # (HAAR) the first row by the conjugate of the determinant
        sign = xp.linalg.slogdet(q).sign
        first = q[..., :1, :] * (xp.conj(sign) if is_complex(q) else sign)[..., None, None]
        q = xp.concat([first, q[..., 1:, :]], axis=-2)
    return q


def orthogonal_init(
    shape: tuple[int, ...],
    *,
    gain: float = 1.0,
    layout: Layout = "torch",
    axis: int | None = None,
    rng: Random = None,
    normal: Array | None = None,
    dtype: str = "float32",
    xp: Namespace = np,
    device: Any = None,
) -> Array:
    r"""Orthogonal initialisation of a weight, with the flattening of a framework.

    Parameters
    ----------
    shape : tuple of int
        At least two axes, none empty. No axis is a batch.
    gain : float
        Factor, positive.
    layout : {"torch", "jax", "haiku"}
        Flattened to a matrix of shape (axis, others) for ``"torch"`` (``torch.nn.init.orthogonal_``) and
        ``"haiku"`` (``haiku.initializers.Orthogonal``), (others, axis) for ``"jax"`` (jax, flax, keras). Orthonormal
        are the columns of a tall one and the rows of a wide one.
    axis : int, optional
        The axis that is kept: 0 for ``"torch"``, -1 for the others.
    rng, dtype, xp, device : options
        As in :func:`haar`.
    normal : array, optional
        As in :func:`haar`: of shape (axis, others) for ``"torch"``, with the larger dimension first for the others.
        With the numbers that a framework has drawn, the result is the framework's.

    Returns
    -------
    array of the given shape

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`haar`; fewer than two axes, an empty axis, a gain that is not positive.

    Notes
    -----
    Kernels of convolutions are (out, in, ...) in torch and (..., in, out) in JAX: one has orthonormal rows where the
    other has orthonormal columns, and the slices of neither are orthonormal. :func:`delta_orthogonal` is an orthogonal
    convolution.

    Examples
    --------
    >>> import numpy as np
    >>> import orthoref
    >>> w = orthoref.orthogonal_init((4, 2, 3, 3), rng=0, dtype="float64").reshape(4, -1)
    >>> np.allclose(w @ w.T, np.eye(4), rtol=0, atol=1e-14)
    True
    """
    require_choice("layout", layout, ("torch", "jax", "haiku"))
    shape = _shape(shape, 2, inf)
    gain = _gain(gain)
    k = (0 if layout == "torch" else -1) if axis is None else axis
    if isinstance(k, bool) or not isinstance(k, int) or not -len(shape) <= k < len(shape):
        raise ValueError(f"axis={axis!r} of a shape of {len(shape)} axes")
    k %= len(shape)
    kept, others = shape[k], tuple(shape[:k]) + tuple(shape[k + 1 :])
    rows, columns = (prod(others), kept) if layout == "jax" else (kept, prod(others))
    as_drawn = (rows, columns) if layout == "torch" else (max(rows, columns), min(rows, columns))
    z, xp = _normal(as_drawn, rng, normal, dtype, xp, device)
    q = _from_qr(z if z.shape[0] >= z.shape[1] else z.mT, xp)
    q = q if rows >= columns else q.mT
    if layout == "jax":
        return gain * xp.moveaxis(xp.reshape(q, (*others, kept)), -1, k)
    return gain * xp.moveaxis(xp.reshape(q, (kept, *others)), 0, k)


def delta_orthogonal(
    shape: tuple[int, ...],
    *,
    gain: float = 1.0,
    layout: Literal["torch", "jax"] = "torch",
    rng: Random = None,
    normal: Array | None = None,
    dtype: str = "float32",
    xp: Namespace = np,
    device: Any = None,
) -> Array:
    r"""Kernel of a convolution that is an isometry: an orthonormal matrix at its centre, zero elsewhere.

    Parameters
    ----------
    shape : tuple of int
        (out, in, k, ...) for ``"torch"``, (k, ..., in, out) for ``"jax"``; one to three spatial axes, in <= out.
    gain : float
        Factor, positive.
    layout : {"torch", "jax"}
        Order of the axes; ``"jax"`` is ``jax.nn.initializers.delta_orthogonal``.
    rng, dtype, xp, device : options
        As in :func:`haar`.
    normal : array of shape (out, in), optional
        As in :func:`haar`.

    Returns
    -------
    array of the given shape
        At entry (k - 1)//2 of every spatial axis a matrix from :func:`haar`, of shape (out, in) for ``"torch"``, its
        transpose for ``"jax"``.

    Raises
    ------
    OutsideDomain, TypeError, ValueError
        As :func:`haar`; the wrong number of axes, more inputs than outputs.

    Notes
    -----
    [XiaoBahriSohlDicksteinSchoenholzPennington2018]_.

    Examples
    --------
    >>> import numpy as np
    >>> import orthoref
    >>> w = orthoref.delta_orthogonal((4, 2, 3), rng=0, dtype="float64")
    >>> np.allclose(w[:, :, 1].T @ w[:, :, 1], np.eye(2), rtol=0, atol=1e-14), w[:, :, 0].any(), w[:, :, 2].any()
    (True, np.False_, np.False_)
    """
    require_choice("layout", layout, ("torch", "jax"))
    shape = _shape(shape, 3, 5)
    gain = _gain(gain)
    outputs, inputs = shape[:2] if layout == "torch" else shape[:-3:-1]
    spatial = shape[2:] if layout == "torch" else shape[:-2]
    if inputs > outputs:
        raise ValueError(f"shape {shape} has {inputs} inputs and {outputs} outputs: no isometry")
    z, xp = _normal((outputs, inputs), rng, normal, dtype, xp, device)
    q = gain * _from_qr(z, xp)
    at_centre = xp.ones((1,) * len(spatial), dtype=q.dtype, device=compat.device(q))
    for k, size in enumerate(spatial):
        hot = xp.astype(xp.arange(size, device=compat.device(q)) == (size - 1) // 2, q.dtype)
        at_centre = at_centre * xp.reshape(hot, (1,) * k + (size,) + (1,) * (len(spatial) - k - 1))
    if layout == "jax":
        return at_centre[..., None, None] * q.mT
    return xp.reshape(q, (outputs, inputs) + (1,) * len(spatial)) * at_centre


def _from_qr(z: Array, xp: Namespace) -> Array:
    """(HAAR) Q diag(r_jj/|r_jj|), 1 where r_jj = 0."""
    if 0 in z.shape:
        return z
    q, r = xp.linalg.qr(z)
    return q * _phase(xp.linalg.diagonal(r), xp)[..., None, :]


def _from_reflectors(z: Array, xp: Namespace) -> Array:
    """(HAAR-REFLECTORS) v_j = x_j + phase(x_jj) |x_j| e_j of the columns below the diagonal, times -phase(x_jj)."""
    *_, n, p = z.shape
    if 0 in z.shape:
        return z
    x = xp.tril(z)
    phase = _phase(xp.linalg.diagonal(x), xp)
    size = xp.astype(xp.linalg.vector_norm(x, axis=-2), z.dtype)
    v = x + xp.eye(n, p, dtype=z.dtype, device=compat.device(z)) * (phase * size)[..., None, :]
    return -householder_product(v, columns=p) * phase[..., None, :]


def _phase(x: Array, xp: Namespace) -> Array:
    size = xp.astype(xp.abs(x), x.dtype)
    return xp.where(size != 0, x / xp.where(size != 0, size, xp.ones_like(x)), xp.ones_like(x))


def _normal(
    shape: tuple[int, ...], rng: Random, normal: Array | None, dtype: str, xp: Namespace, device: Any
) -> tuple[Array, Namespace]:
    """The normal numbers that were given, or drawn: real parts before imaginary parts, in float64."""
    if normal is not None:
        xp = enter(normal=normal)
        require_shape("normal", normal, shape)
        return normal, xp
    require_choice("dtype", dtype, FLOATING)
    generator = rng if isinstance(rng, np.random.Generator) else np.random.default_rng(rng)
    z = generator.standard_normal(shape)
    if dtype.startswith("complex"):
        z = (z + 1j * generator.standard_normal(shape)) / 2**0.5
    z = xp.asarray(z.astype(dtype), device=device)
    return z, compat.array_namespace(z)


def _shape(shape: tuple[int, ...], least: int, most: float) -> tuple[int, ...]:
    shape = tuple(shape)
    if not least <= len(shape) <= most:
        raise ValueError(
            f"shape={shape} must have at least {least}" + ("" if most == inf else f", at most {most}") + " axes"
        )
    for size in shape:
        require_count("shape", size, 1)
    return shape


def _gain(gain: float) -> float:
    if isinstance(gain, bool) or not isinstance(gain, (int, float)) or not 0 < gain < inf:
        raise ValueError(f"gain={gain!r} must be a positive finite number")
    return float(gain)
