"""The laws beyond the classics: one entry each, with the std of its source and a shape to draw."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import integrate, stats

from pondera.core import laws
from pondera.core.laws.base import Axes

TORCH = Axes((1,), (0,))
NORMAL, UNIFORM = stats.norm(), stats.uniform(-math.sqrt(3), math.sqrt(12))
KERNEL = (3, 5, 12, 64)  # fans 180 and 960
DENSE = (64, 1024)


@dataclass(frozen=True)
class Case:
    """A law, the std that its source gives, and what its standardised draws follow."""

    law: laws.AbstractLaw
    std: float
    shape: tuple[int, ...] = DENSE
    axes: Axes = Axes()  # noqa: RUF009
    follows: object = NORMAL
    mean: float = 0.0


def _softplus_std() -> tuple[float, float]:
    """(mean, std) of ln(e^t − 1), t log-uniform in [0.001, 0.1], by SciPy's quadrature."""
    first, last = math.log(0.001), math.log(0.1)
    moments = [
        integrate.quad(lambda u, k=k: math.log(math.expm1(math.exp(u))) ** k, first, last)[0]
        / (last - first)
        for k in (1, 2)
    ]
    return moments[0], math.sqrt(moments[1] - moments[0] ** 2)


_LOG = stats.loguniform(0.001, 0.1)
_RATE = stats.uniform(1, 15)
_SOFT = _softplus_std()

# each element is drawn by itself: moments and distribution
DRAWN = {
    "siren first": Case(laws.siren_first(), 1 / 64 / math.sqrt(3), follows=UNIFORM),
    "siren first, torch": Case(
        laws.siren_first(), 1 / 1024 / math.sqrt(3), axes=TORCH, follows=UNIFORM
    ),
    "siren hidden": Case(laws.siren_hidden(), math.sqrt(2 / 64) / 30, follows=UNIFORM),
    "siren gain": Case(laws.siren_hidden(omega=5, gain=1.5), 1.5 / 8 / 5, follows=UNIFORM),
    "torch uniform": Case(laws.torch_uniform(), 1 / math.sqrt(3 * 180), KERNEL, follows=UNIFORM),
    "mup output": Case(laws.mup_output_normal(gain=2.0), 2 / 64),
    "small": Case(laws.small_normal(width=64), math.sqrt(2 / (5 * 64))),
    "wang": Case(laws.wang_normal(width=64, depth=12), 2 / 12 / 8),
    "residual": Case(laws.residual_normal(depth=8), 0.02 / 4),
    "residual, one writer": Case(laws.residual_normal(depth=9, base_std=0.3, branches=1), 0.1),
    "kan": Case(laws.kan_normal(inputs=16, intervals=5), 1 / 3 / 4),
    "kan, powers": Case(
        laws.kan_normal(inputs=8, intervals=4, order=3, gain=3.0, basis_power=2, fan_power=1), 3 / 512
    ),
    "log uniform": Case(
        laws.log_uniform(low=0.001, high=0.1), _LOG.std(), mean=_LOG.mean(),
        follows=stats.loguniform(0.001, 0.1, loc=-_LOG.mean() / _LOG.std(), scale=1 / _LOG.std()),
    ),
    "log steps": Case(
        laws.log_time_steps(), math.log(100) / math.sqrt(12), mean=math.log(0.01), follows=UNIFORM
    ),
    "softplus steps": Case(laws.softplus_time_steps(), _SOFT[1], mean=_SOFT[0], follows=None),
    "mamba2": Case(
        laws.mamba2_decay(),
        math.sqrt(_RATE.expect(lambda x: np.log(x) ** 2) - _RATE.expect(np.log) ** 2),
        mean=_RATE.expect(np.log),
        follows=None,
    ),
}  # fmt: skip

# the sum of squares is exact, up to rounding
EXACT = {
    "unit rows": Case(laws.unit_rows(gain=3.0), 3 / math.sqrt(1024)),
    "unit rows, output": Case(laws.unit_rows(per="output"), 1 / math.sqrt(180), KERNEL),
    "unit rows, input": Case(laws.unit_rows(per="input"), 1 / math.sqrt(960), KERNEL),
    "unit rows, torch": Case(laws.unit_rows(per="output"), 1 / 32, axes=TORCH),
    "delta": Case(laws.delta_orthogonal(gain=1.4), 1.4 / math.sqrt(64 * 15), KERNEL),
    "delta, torch": Case(laws.delta_orthogonal(), 1 / math.sqrt(24 * 3), (24, 6, 3), axes=TORCH),
    "mirrored delta": Case(
        laws.mirrored_delta_orthogonal(), math.sqrt(32 / 6 / 32 / 15), KERNEL
    ),
    "hadamard": Case(laws.hadamard_orthogonal(gain=0.7), 0.7 / 32),
    "hadamard, once": Case(laws.hadamard_orthogonal(products=1), 1 / 32, axes=TORCH),
    "hadamard, field": Case(laws.hadamard_orthogonal(), 1 / 16, (4, 4, 16, 24)),
}  # fmt: skip

# nothing is drawn, or not everywhere: the std is that of the entries
PATTERNS = {
    "identity": Case(laws.identity(gain=2.0), 2 * math.sqrt(1 / 1024 - 1 / 1024**2)),
    "dirac": Case(laws.dirac(), math.sqrt(12 / 11520 - (12 / 11520) ** 2), KERNEL),
    "dirac, groups": Case(
        laws.dirac(groups=4), math.sqrt(48 / 11520 - (48 / 11520) ** 2), KERNEL
    ),
    "tiled": Case(
        laws.tiled_identity(), math.sqrt(0.085**2 / 64 + 1 / 64 - 1 / 64**2), DENSE
    ),
    "sparse": Case(laws.sparse(), math.sqrt(15 / 64)),
    "sparse, share": Case(laws.sparse(sparsity=0.9, nonzero_std=2.0), 2 * math.sqrt(6 / 64)),
    "sparse, input": Case(laws.sparse(per="input"), math.sqrt(15 / 960), KERNEL),
    "legs state": Case(laws.hippo_legs_state(), 0.0, (2, 24, 24)),
    "legs input": Case(laws.hippo_legs_input(), 0.0, (3, 24)),
    "s4d lin": Case(laws.s4d_lin(), 0.0, (3, 24)),
    "s4d inv": Case(laws.s4d_inv(), 0.0, (3, 24)),
    "s4d real": Case(laws.s4d_real(), 0.0, (3, 24)),
    "s4d real, plain": Case(laws.s4d_real(form="plain"), 0.0, (24,)),
}  # fmt: skip

ALL = {**DRAWN, **EXACT, **PATTERNS}
