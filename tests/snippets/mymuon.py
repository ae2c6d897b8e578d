"""The port that README and docs call mymuon: Muon in torch, computed in bfloat16, and in NumPy."""

import numpy as np


def orthogonalize(g):
    x = g.bfloat16()
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.mT if tall else x).to(g.dtype)


def in_numpy(g):
    x = g.mT if g.shape[-2] > g.shape[-1] else g
    x = x / (np.linalg.norm(x, axis=(-2, -1), keepdims=True) + g.dtype.type(1e-7))
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * (gram @ gram)) @ x
    return x.mT if g.shape[-2] > g.shape[-1] else x
