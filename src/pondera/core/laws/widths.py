"""Normals whose std follows from the network (width, depth, grid), not from the tensor's shape."""

from __future__ import annotations

from math import sqrt
from typing import Final

from pondera.core.errors import DomainError
from pondera.core.laws.base import need_count, need_positive, real
from pondera.core.laws.fixed import Normal

_STEEPEST: Final = 10  # exponent of a power law


def small_normal(*, width: int) -> Normal:
    """The small law of transformers: Glorot's for a feed-forward layer of ratio 4, used for all.

    Law:
        sqrt(2 / (5 * width))

    Args:
        width: of the model (d_model), at least 1.

    Returns:
        The law.

    Raises:
        DomainError: width no such integer.

    Limits:
        Writers into the residual stream want a law that falls with depth, such as wang_normal.

    Source:
        Nguyen & Salazar 2019, "Transformers without tears" (SmallInit); GPT-NeoX `init_functions.py`.

    Checked by:
        test_laws_more.py::test_returned_std_is_the_std_promised
    """
    return _normal("small_normal", sqrt(2 / (5 * need_count("small_normal", "width", width))))


def wang_normal(*, width: int, depth: int) -> Normal:
    """Wang's law for the writers into a residual stream (attention and feed-forward outputs).

    Law:
        2 / (depth * sqrt(width))

    Args:
        width: of the model (d_model), at least 1.
        depth: number of blocks, at least 1.

    Returns:
        The law.

    Raises:
        DomainError: width or depth no such integer.

    Limits:
        Falls as 1/depth, faster than the 1/√depth that keeps the stream level; for GPT-NeoX models.

    Source:
        Wang, mesh-transformer-jax; GPT-NeoX `init_functions.py` (wang_init_method).

    Checked by:
        test_laws_more.py::test_returned_std_is_the_std_promised
    """
    blocks = need_count("wang_normal", "depth", depth)
    return _normal("wang_normal", 2 / (blocks * sqrt(need_count("wang_normal", "width", width))))


def residual_normal(*, depth: int, base_std: float = 0.02, branches: int = 2) -> Normal:
    """GPT-2's law for the writers into a residual stream: a flat std, divided by √(number of writers).

    Law:
        base_std / sqrt(branches * depth)

    Args:
        depth: number of blocks, at least 1.
        base_std: what all other weights have, 0 < base_std < ∞.
        branches: writers in each block; 2 for attention and feed-forward, 1 for Mamba.

    Returns:
        The law.

    Raises:
        DomainError: a number out of range.

    Limits:
        For the writers alone (o_proj, w2); torchtitan and OLMo also divide the gate (w3), which is none.

    Source:
        Radford et al. 2019, "Language models are unsupervised multitask learners", §2.3; Megatron-LM
        `scaled_init_method_normal`.

    Checked by:
        test_laws_more.py::test_returned_std_is_the_std_promised
    """
    law = "residual_normal"
    writers = need_count(law, "branches", branches) * need_count(law, "depth", depth)
    return _normal(law, need_positive(law, "base_std", base_std) / sqrt(writers))


def kan_normal(
    *,
    inputs: int,
    intervals: int,
    order: int = 3,
    gain: float = 1.0,
    basis_power: float = 0.5,
    fan_power: float = 0.5,
) -> Normal:
    """Coefficients of a Kolmogorov–Arnold layer: power law in the number of basis functions and inputs.

    For the spline coefficients and, with powers of its own, for the residual branch.

    Law:
        gain / ((intervals + order + 1)**basis_power * inputs**fan_power)

    Args:
        inputs: how many inputs the layer has, at least 1; stored shapes differ, so it is said.
        intervals: of the grid (G), at least 1.
        order: degree of the splines (k), at least 1.
        gain: factor on the std, positive.
        basis_power: exponent of the number of terms, between −10 and 10.
        fan_power: exponent of the number of inputs, between −10 and 10.

    Returns:
        The law.

    Raises:
        DomainError: a number out of range.

    Limits:
        Empirical: the best powers depend on task and size. With a residual branch there are
        intervals + order + 1 terms; without one pass order − 1.

    Source:
        Rigas, Verma, Alexandridis & Wang 2025, "Initialization schemes for Kolmogorov-Arnold networks:
        an empirical study" (power law); jaxKAN `layers/Spline.py`.

    Checked by:
        test_laws_more.py::test_returned_std_is_the_std_promised
    """
    if not (abs(real(basis_power)) <= _STEEPEST and abs(real(fan_power)) <= _STEEPEST):
        raise DomainError(
            f"laws: kan_normal needs powers between -10 and 10; got basis_power={basis_power!r}, "
            f"fan_power={fan_power!r}. Use 0.5 for both."
        )
    law = "kan_normal"
    terms = need_count(law, "intervals", intervals) + need_count(law, "order", order) + 1
    fan = need_count(law, "inputs", inputs)
    factor = need_positive(law, "gain", gain)
    return _normal(law, factor / (terms**basis_power * fan**fan_power))


def _normal(name: str, std: float) -> Normal:
    return Normal(name, sigma=std, mean=0.0)
