"""Muon in NumPy, from the formulas and not from our code, and wrong ones by the mistakes that ports make."""

from __future__ import annotations

import numpy as np

A, B, C = 3.4445, -4.775, 2.0315


def bfloat16(x):
    """Rounded to bfloat16, to nearest, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    bits = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return bits.view(np.float32)


class Muon:
    """As torch.optim.Muon, with the iteration in the format of the parameter."""

    def __init__(self, lr, momentum=0.95, nesterov=True, weight_decay=0.1, ns_steps=5, eps=1e-7):
        self.lr, self.mu, self.nesterov, self.decay, self.steps, self.eps = (
            lr, momentum, nesterov, weight_decay, ns_steps, eps,
        )  # fmt: skip

    def init(self, w):
        return {"momentum": np.zeros_like(w)}

    def mean(self, m, g):
        return self.mu * m + (1 - self.mu) * g

    def mixed(self, m, g):
        return self.mu * m + (1 - self.mu) * g

    def size(self, d):
        return max(np.linalg.norm(d), np.float32(self.eps))

    def polynomial(self, x):
        for _ in range(self.steps):
            gram = x @ x.T
            x = A * x + (B * gram + C * gram @ gram) @ x
        return x

    def orthogonalized(self, d):
        x = (d / self.size(d)).reshape(len(d), -1)
        tall = x.shape[0] > x.shape[1]
        x = self.polynomial(x.T if tall else x)
        return (x.T if tall else x).reshape(d.shape)

    def factor(self, rows, columns):
        return max(1, rows / columns) ** 0.5

    def moved(self, w, o):
        return -self.lr * self.factor(len(w), w[0].size) * o - self.lr * self.decay * w

    def directed(self, state, g):
        m = self.mean(state["momentum"], g)
        return m, self.mixed(m, g) if self.nesterov else m

    def update(self, g, state, w):
        m, d = self.directed(state, g)
        return self.moved(w, self.orthogonalized(d)), {"momentum": m}


class Rearranged(Muon):
    """Right too: the average as a correction of the old one, the larger Gram matrix, the sum in another order."""

    def mean(self, m, g):
        return m + (1 - self.mu) * (g - m)

    def mixed(self, m, g):
        return g + self.mu * (m - g)

    def polynomial(self, x):
        for _ in range(self.steps):
            gram = x @ x.T
            x = A * x + gram @ (B * x + C * (gram @ x))
        return x


class InPlace(Muon):
    """Right too: state, parameter and gradient are written into, as optimisers do."""

    def update(self, g, state, w):
        m = state["momentum"]
        m *= self.mu
        m += (1 - self.mu) * g
        d = m
        if self.nesterov:
            g *= 1 - self.mu
            g += self.mu * m
            d = g
        return self.moved(w, self.orthogonalized(d)), state


class NesterovTwice(Muon):
    def directed(self, state, g):
        m = self.mean(state["momentum"], g)
        return m, self.mixed(self.mixed(m, g), g) if self.nesterov else m


class NesterovUnweighted(Muon):
    def mixed(self, m, g):
        return g + self.mu * m


class NesterovIgnored(Muon):
    def directed(self, state, g):
        m = self.mean(state["momentum"], g)
        return m, self.mixed(m, g)


class NoNesterov(Muon):
    def directed(self, state, g):
        m = self.mean(state["momentum"], g)
        return m, m


class Aliased(Muon):
    """At the first step the buffer is the gradient, not a copy."""

    def update(self, g, state, w):
        state = state if state["momentum"].any() else {"momentum": g}
        change, _ = super().update(g, state, w)
        return change, state if state["momentum"] is g else {"momentum": self.mean(state["momentum"], g)}


class StartsAsGradient(Muon):
    def mean(self, m, g):
        return super().mean(m, g) if m.any() else g.copy()


class HeavyBall(Muon):
    def mean(self, m, g):
        return self.mu * m + g

    def mixed(self, m, g):
        return self.mu * m + g


class Swapped(Muon):
    def mean(self, m, g):
        return (1 - self.mu) * m + self.mu * g

    mixed = mean


class AfterTheStep(Muon):
    def directed(self, state, g):
        return self.mean(state["momentum"], g), state["momentum"]


class GradientOnly(Muon):
    def directed(self, state, g):
        return self.mean(state["momentum"], g), g


class DirectionKept(Muon):
    def directed(self, state, g):
        _, d = super().directed(state, g)
        return d, d


class NotStored(Muon):
    def update(self, g, state, w):
        return super().update(g, state, w)[0], state


class OrthogonalizedFirst(Muon):
    def update(self, g, state, w):
        m, d = self.directed(state, self.orthogonalized(g))
        return self.moved(w, d), {"momentum": m}


class RateInBuffer(Muon):
    def update(self, g, state, w):
        m, d = self.directed(state, self.lr * g)
        return self.moved(w, self.orthogonalized(d)), {"momentum": m}


class ShortBuffer(Muon):
    def mean(self, m, g):
        return bfloat16(super().mean(m, g))


class ShortIteration(Muon):
    def polynomial(self, x):
        x = bfloat16(x)
        for _ in range(self.steps):
            gram = bfloat16(x @ x.T)
            x = bfloat16(A * x + bfloat16(B * gram + C * bfloat16(gram @ gram)) @ x)
        return x


class Coupled(Muon):
    def update(self, g, state, w):
        m, d = self.directed(state, g + self.decay * w)
        return -self.lr * self.factor(*w.shape) * self.orthogonalized(d), {"momentum": m}


class NoDecay(Muon):
    def moved(self, w, o):
        return -self.lr * self.factor(*w.shape) * o


class DecayWithoutRate(Muon):
    def moved(self, w, o):
        return -self.lr * self.factor(*w.shape) * o - self.decay * w


class DecayWithFactor(Muon):
    def moved(self, w, o):
        return -self.lr * self.factor(*w.shape) * (o + self.decay * w)


class DecayAfter(Muon):
    def moved(self, w, o):
        moved = w - self.lr * self.factor(*w.shape) * o
        return moved - self.lr * self.decay * moved - w


class DecayGrows(Muon):
    def moved(self, w, o):
        return -self.lr * self.factor(*w.shape) * o + self.lr * self.decay * w


class DecayInDirection(Muon):
    def update(self, g, state, w):
        m, d = self.directed(state, g)
        return -self.lr * self.factor(*w.shape) * self.orthogonalized(d + self.decay * w), {"momentum": m}


class Uphill(Muon):
    def moved(self, w, o):
        return super().moved(w, -o)


class FactorTurned(Muon):
    def factor(self, rows, columns):
        return max(1, columns / rows) ** 0.5


class FactorWithoutRoot(Muon):
    def factor(self, rows, columns):
        return max(1, rows / columns)


class FactorWithoutMaximum(Muon):
    def factor(self, rows, columns):
        return (rows / columns) ** 0.5


class NoFactor(Muon):
    def factor(self, rows, columns):
        return 1.0


class OtherFactor(Muon):
    def factor(self, rows, columns):
        return 0.2 * max(rows, columns) ** 0.5


class NotTurnedBack(Muon):
    def orthogonalized(self, d):
        x = d / self.size(d)
        x = self.polynomial(x.T if x.shape[0] > x.shape[1] else x)
        return x.reshape(d.shape)


class OneStepMore(Muon):
    def polynomial(self, x):
        self.steps += 1
        x = super().polynomial(x)
        self.steps -= 1
        return x


class EpsAdded(Muon):
    def size(self, d):
        return np.linalg.norm(d) + np.float32(self.eps)


class SmallerEps(Muon):
    def size(self, d):
        return max(np.linalg.norm(d), np.float32(1e-8))


class NoEps(Muon):
    def size(self, d):
        return np.linalg.norm(d)


class EpsInRoot(Muon):
    def size(self, d):
        return np.sqrt(np.sum(d * d) + np.float32(self.eps))


class SpectralNorm(Muon):
    def size(self, d):
        return np.linalg.norm(d.reshape(len(d), -1), 2) if d.any() else np.float32(self.eps)


class OtherMomentum(Muon):
    def __init__(self, lr, **arguments):
        super().__init__(lr, **{"momentum": 0.9} | arguments)


class Shared(Muon):
    """One buffer for all parameters of a shape."""

    buffers: dict = {}  # noqa: RUF012 - the mistake

    def init(self, w):
        return {"momentum": self.buffers.setdefault((w.shape, w.dtype), np.zeros_like(w))}

    def update(self, g, state, w):
        change, after = super().update(g, state, w)
        state["momentum"][...] = after["momentum"]
        return change, state


class NoNesterovAndOneStepMore(OneStepMore, NoNesterov):
    pass


class ThreeSwitches(Muon):
    def mean(self, m, g):
        return self.mu * m + g

    def directed(self, state, g):
        m = self.mean(state["momentum"], g)
        return m, m

    def factor(self, rows, columns):
        return 1.0


class Shorter(Muon):
    def moved(self, w, o):
        return super().moved(w, 0.7 * o)


RIGHT = (Muon, Rearranged, InPlace)
WRONG = {  # what the report must say, and the settings that are enough to see it
    NesterovTwice: ("made twice", ("default",)),
    NesterovUnweighted: ("weight of the other rule", ("default",)),
    NesterovIgnored: ("argument for nesterov is not read", ("default", "without Nesterov")),
    NoNesterov: ("nesterov=False, not True", ("default",)),
    Aliased: ("memory is not its own", ("default",)),
    StartsAsGradient: ("starts as the first gradient", ("default",)),
    HeavyBall: ("averaging='heavy-ball', not 'ema'", ("default",)),
    Swapped: ("exchanged", ("default",)),
    AfterTheStep: ("updated after the step", ("default",)),
    GradientOnly: ("moves by the gradient", ("default",)),
    DirectionKept: ("direction is written into the momentum", ("default",)),
    NotStored: ("new momentum is not stored", ("default",)),
    OrthogonalizedFirst: ("orthogonalized before the momentum", ("default",)),
    RateInBuffer: ("multiplied into the momentum buffer", ("default",)),
    ShortBuffer: ("storage='bfloat16'", ("default",)),
    ShortIteration: ("precision='bfloat16'", ("default",)),
    Coupled: ("decay='coupled', not 'decoupled'", ("weight decay",)),
    NoDecay: ("there is no weight decay", ("weight decay",)),
    DecayWithoutRate: ("not multiplied by the learning rate", ("weight decay",)),
    DecayWithFactor: ("multiplied by the factor of the update", ("weight decay",)),
    DecayAfter: ("shrinks after the update", ("weight decay",)),
    DecayGrows: ("makes the parameter grow", ("weight decay",)),
    DecayInDirection: ("added to the direction after the momentum", ("weight decay",)),
    Uphill: ("wrong sign", ("default",)),
    FactorTurned: ("orientation='in-out', not 'out-in'", ("default",)),
    FactorWithoutRoot: ("has no root", ("default",)),
    FactorWithoutMaximum: ("factor='sqrt-ratio'", ("default",)),
    NoFactor: ("factor='none'", ("default",)),
    OtherFactor: ("factor='match-rms'", ("default",)),
    NotTurnedBack: ("not transposed back", ("default",)),
    OneStepMore: ("steps=6, not 5", ("default",)),
    EpsAdded: ("eps_rule='add', not 'clamp'", ("small gradients",)),
    SmallerEps: ("eps=1e-08, not 1e-07", ("small gradients",)),
    EpsInRoot: ("under the root", ("small gradients",)),
    SpectralNorm: ("normalize='spectral'", ("default",)),
    OtherMomentum: ("momentum=0.9, not 0.95", ("default",)),
    Shared: ("not zero before the first step", ("default",)),
    NoNesterovAndOneStepMore: ("nesterov=False, not True; and steps=6, not 5", ("default",)),
    ThreeSwitches: ("averaging='heavy-ball'", ("default",)),
    Shorter: ("no known mistake explains it: the momentum is right, the update is not", ("default",)),
}
