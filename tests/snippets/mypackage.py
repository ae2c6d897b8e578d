"""The ports that README and docs call mypackage: right ones."""

import array_api_compat as compat

import orthoref


def polar(a, side="right"):
    if compat.is_torch_array(a):
        return _svd(a)
    if compat.is_jax_array(a):
        import jax

        return jax.scipy.linalg.polar(a, method="svd")
    return orthoref.polar(a, side=side)


def polar_factor(a):
    """With a backward pass of its own: through the SVD it would be wrong at equal singular values."""
    import torch

    class Polar(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            ctx.save_for_backward(a)
            return torch.from_numpy(orthoref.polar(a.numpy()).u)

        @staticmethod
        def backward(ctx, u_bar):
            (a,) = ctx.saved_tensors
            try:
                return torch.from_numpy(orthoref.polar_vjp(a.numpy(), u_bar.numpy()))
            except orthoref.OutsideDomain:  # no derivative there
                return torch.zeros_like(a)

    return Polar.apply(a)


def _svd(a):
    import torch

    p, s, vh = torch.linalg.svd(a, full_matrices=False)
    return p @ vh, vh.mH @ (s[..., None] * vh)


def polar_backward(a, u_bar, h_bar=None):
    return orthoref.polar_vjp(a, u_bar, h_bar)


def orthogonalize(a):
    return orthoref.newton_schulz(a, "muon", eps=1e-7)
