"""Terms of the unit of error one at a time: all sources but one are switched off."""

from types import SimpleNamespace

import numpy as np

from orthoref.oracle.newton_schulz import rounding_error
from orthoref.oracle.newton_schulz.rounding_error import Arithmetic, Variance


def only(m, n, **what):
    """Sources that are all zero but for ``what``."""

    def nothing(*_):
        return 0.0

    zero = dict.fromkeys(("entries_alike", "gram_alike", "product_alike", "terms_alike"), 0.0)
    zero |= dict.fromkeys(("summed", "added", "gram", "next_gram", "tail"), nothing)
    none = Variance(np.zeros((n, n)), np.zeros(n))
    return SimpleNamespace(
        **(zero | {"m": m, "n": n, "arithmetic": Arithmetic(0.0, 0.0, 0.0), "nothing": lambda: none} | what)
    )


def test_errors_that_all_entries_of_a_product_have_in_common():
    """(GRAM-ERROR), one step p = 3 - 2t: stages of P err by their terms, X Q by the largest eigenvalue of Q for all."""
    s, c = np.array([1.0, 0.1]), np.array([3.0, -2.0])
    p, tail = 3 - 2 * s**2, -2 * s**2
    made = rounding_error._segment([s, s * p], [c], only(9, 2, product_alike=1.0))
    expected = s**2 * (2 * (abs(p) + abs(tail)) ** 2 + max(p) ** 2)
    np.testing.assert_allclose(made.inside, np.diag(expected), rtol=1e-14, atol=0)
    assert (made.outside == 0).all()
