"""The std of a law for a block whose true fans are known, and the law that is then drawn."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

from pondera.core import laws
from pondera.core.errors import ShapeError
from pondera.core.laws import AbstractLaw
from pondera.core.laws.base import Axes
from pondera.model.sites import Part, Site

_CUT = 2.0  # of every truncated law of the fans
_TABLES = ("embedding", "position", "position bias", "token")


def resolved(law: AbstractLaw, fan_in: int | None, fan_out: int | None) -> AbstractLaw:
    """A law of the fans as a law of a given std, by the true fans; any other law as it is.

    Shapes alone tell the fans of plain layers only: not of groups, strides of transposed
    convolutions, or weights that are packed or stacked.

    Args:
        law: any law.
        fan_in: inputs summed over, None if there are none.
        fan_out: outputs fed.

    Returns:
        A law of the same numbers, whatever the shape.

    Raises:
        ShapeError: a law of the fans, and no fans.
    """
    if isinstance(law, laws.FanPower):
        std = law.gain / _fan(law, "in", fan_in, fan_out) ** law.power
        return _drawn(law.name, law.distribution, std)
    if isinstance(law, laws.VarianceScaling):
        std = law.gain / sqrt(_fan(law, law.fan, fan_in, fan_out))
        return _drawn(law.name, law.distribution, std)
    return law


def _drawn(name: str, distribution: str, std: float) -> AbstractLaw:
    if distribution == "normal":
        return laws.Normal(name, sigma=std, mean=0.0)
    if distribution == "uniform":
        return laws.Uniform(name, low=-std * sqrt(3), high=std * sqrt(3))
    return laws.TruncatedNormal(name, sigma=std, mean=0.0, cut=_CUT)


def _fan(law: AbstractLaw, fan: str, fan_in: int | None, fan_out: int | None) -> float:
    if not fan_in or (fan != "in" and not fan_out):
        raise ShapeError(
            f"laws: {law.name} needs a weight that sums over inputs; got fan_in={fan_in}, "
            f"fan_out={fan_out}. Use laws.zeros(), laws.ones() or laws.normal(std=…)."
        )
    out = fan_out or fan_in
    return {
        "in": fan_in,
        "out": out,
        "average": (fan_in + out) / 2,
        "geometric": sqrt(fan_in * out),
    }[fan]


def std_of(
    law: AbstractLaw,
    shape: Sequence[int],
    axes: Axes,
    *,
    fan_in: int | None,
    fan_out: int | None,
) -> float:
    """Standard deviation of what a law draws for one weight of this shape and these true fans."""
    return resolved(law, fan_in, fan_out).std(tuple(shape), axes)


def mean_of(law: AbstractLaw) -> float:
    """Mean of what a law draws, where it says one; 0 for all that are symmetric."""
    held: Any = law
    if isinstance(law, laws.Constant):
        return held.number
    if isinstance(law, laws.Uniform):
        return (law.low + law.high) / 2
    return getattr(held, "mean", 0.0)


def axes_of(site: Site, shape: Sequence[int]) -> Axes:
    """Axes by which a law takes a block apart; a table of two axes without any is (in, out)."""
    if site.in_axes and site.out_axes:
        return Axes(site.in_axes, site.out_axes)
    return Axes((0,), (1,)) if len(shape) == 2 else Axes()


def stack_of(site: Site, part: Part) -> tuple[int, ...]:
    """Into how many weights each axis of a block is cut: experts, and groups of a convolution."""
    counts = [part.shape[k] if k in site.batch_axes else 1 for k in range(len(part.shape))]
    if part.role in _TABLES:  # rows that are looked up are no weights of their own
        return (1,) * len(counts)
    if site.groups > 1:
        axes = site.in_axes if site.transposed else site.out_axes
        if axes and part.shape[axes[0]] % site.groups == 0:
            counts[axes[0]] = site.groups
    return tuple(counts)


def single(part_shape: Sequence[int], stack: Sequence[int]) -> tuple[int, ...]:
    """Shape of one of the stacked weights."""
    return tuple(n // count for n, count in zip(part_shape, stack, strict=True))


def true_std(law: AbstractLaw, site: Site, part: Part) -> float:
    """Standard deviation of what a law draws for a block."""
    shape = single(part.shape, stack_of(site, part))
    return std_of(law, shape, axes_of(site, shape), fan_in=part.fan_in, fan_out=part.fan_out)
