"""Variance scaling: the std is a gain over the root of a fan. Glorot, He, LeCun and the general form."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Final, Literal

from pondera.core.errors import DomainError, unknown
from pondera.core.laws.base import STORED, AbstractElementwise, Axes, Shape, law_fans
from pondera.core.laws.fixed import truncated_std
from pondera.core.recipes import Recipe, normal_recipe, truncated_recipe, uniform_recipe

Distribution = Literal["normal", "truncated_normal", "uniform"]
Fan = Literal["average", "geometric", "in", "out"]

DISTRIBUTIONS: Final = ("normal", "truncated_normal", "uniform")
FANS: Final = ("average", "geometric", "in", "out")
_CUT: Final = 2.0
_HALVES: Final = ("leaky_relu", "prelu", "relu")  # zero half their input, but for a slope


@dataclass(frozen=True)
class VarianceScaling(AbstractElementwise):
    """std = gain / √fan, in one of three distributions."""

    gain: float
    fan: Fan
    distribution: Distribution

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        return self.gain / sqrt(_fan(self.name, self.fan, shape, axes))

    def recipe(self, shape: Shape, axes: Axes = STORED, /) -> Recipe:
        std = self.std(shape, axes)
        if self.distribution == "normal":
            return normal_recipe(std)
        if self.distribution == "uniform":
            return uniform_recipe(-std * sqrt(3), std * sqrt(3))
        return truncated_recipe(std / truncated_std(_CUT), lower=-_CUT, upper=_CUT)


def variance_scaling(
    *, gain: float = 1.0, fan: Fan = "in", distribution: Distribution = "normal"
) -> VarianceScaling:
    """The general law: every classic is a choice of gain, fan and distribution.

    Law:
        gain / sqrt({"in": fan_in, "out": fan_out, "average": (fan_in + fan_out)/2,
        "geometric": sqrt(fan_in*fan_out)}[fan])

    Args:
        gain: factor on the std (not on the variance), 0 < gain < ∞.
        fan: "in" keeps the signal, "out" the gradient, "average" and "geometric" compromise.
        distribution: "normal", "truncated_normal" (at ±2σ, corrected) or "uniform" (±√3·std).

    Returns:
        The law.

    Raises:
        DomainError: gain not positive and finite, fan or distribution unknown.

    Limits:
        Keras and JAX call `scale` what is gain² here.

    Source:
        Glorot & Bengio 2010, eq. 12 and 16; He et al. 2015, eq. 10 and 14.

    Checked by:
        test_laws.py::test_returned_std_is_the_std_promised
    """
    return _scaling("variance_scaling", gain, fan, distribution)


def glorot_normal(*, gain: float = 1.0) -> VarianceScaling:
    """Glorot's (Xavier's) law, normal.

    Law:
        gain * sqrt(2 / (fan_in + fan_out))

    Assumes:
        an activation that is linear about 0 with slope 1 (tanh; not ReLU, not sigmoid).

    Args:
        gain: factor on the std, positive.

    Returns:
        The law.

    Raises:
        DomainError: gain not positive and finite.

    Limits:
        Behind ReLU the signal halves in variance per layer: use he_normal.

    Source:
        Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks",
        eq. 12.

    Checked by:
        test_laws.py::test_returned_std_is_the_std_promised
    """
    return _scaling("glorot_normal", gain, "average", "normal")


def glorot_uniform(*, gain: float = 1.0) -> VarianceScaling:
    """Glorot's (Xavier's) law, uniform: U(−b, b) with b = √6/√(fan_in + fan_out).

    Law:
        gain * sqrt(2 / (fan_in + fan_out))

    Assumes:
        as glorot_normal.

    Args:
        gain: factor on the std, positive.

    Returns:
        The law.

    Raises:
        DomainError: gain not positive and finite.

    Limits:
        As glorot_normal. U(±1/√fan_in), often printed under this name, is the baseline that the paper
        replaces (its eq. 1).

    Source:
        Glorot & Bengio 2010, eq. 16.

    Checked by:
        test_laws.py::test_returned_std_is_the_std_promised
    """
    return _scaling("glorot_uniform", gain, "average", "uniform")


def he_normal(
    *,
    slope: float = 0.0,
    fan: Fan = "in",
    gain: float | None = None,
    activation: str = "relu",
) -> VarianceScaling:
    """He's (Kaiming's) law, normal.

    Law:
        sqrt(2 / (1 + slope**2)) / sqrt({"in": fan_in, "out": fan_out}[fan])

    Assumes:
        ReLU, or leaky ReLU of the given slope, feeds the weight.

    Args:
        slope: slope of the activation below 0, finite.
        fan: "in" keeps the signal, "out" the gradient.
        gain: replaces √(2/(1 + slope²)), positive.
        activation: what feeds the weight: relu, leaky_relu or prelu, unless gain is given.

    Returns:
        The law.

    Raises:
        DomainError: another activation without a gain; slope, fan or gain out of range.

    Limits:
        Finite width adds noise: over L layers the log of the signal wanders by about √(5L/(4·width)).

    Source:
        He, Zhang, Ren & Sun 2015, "Delving deep into rectifiers", eq. 10, 14 and 15.

    Checked by:
        test_laws.py::test_he_normal_preserves_second_moment_through_relu
    """
    return _scaling("he_normal", _he_gain("he_normal", slope, gain, activation), fan, "normal")


def he_uniform(
    *,
    slope: float = 0.0,
    fan: Fan = "in",
    gain: float | None = None,
    activation: str = "relu",
) -> VarianceScaling:
    """He's (Kaiming's) law, uniform: U(−b, b) with b = √(6/fan_in) for ReLU.

    Law:
        sqrt(2 / (1 + slope**2)) / sqrt({"in": fan_in, "out": fan_out}[fan])

    Assumes:
        as he_normal.

    Args:
        slope: slope of the activation below 0, finite.
        fan: "in" keeps the signal, "out" the gradient.
        gain: replaces √(2/(1 + slope²)), positive.
        activation: what feeds the weight: relu, leaky_relu or prelu, unless gain is given.

    Returns:
        The law.

    Raises:
        DomainError: as he_normal.

    Limits:
        `kaiming_uniform_(a=√5)`, PyTorch's default, is U(±1/√fan_in): a sixth of this variance.

    Source:
        He et al. 2015, eq. 10 and 15; bound √3·std.

    Checked by:
        test_laws.py::test_returned_std_is_the_std_promised
    """
    return _scaling("he_uniform", _he_gain("he_uniform", slope, gain, activation), fan, "uniform")


def lecun_normal(*, gain: float = 1.0) -> VarianceScaling:
    """LeCun's law, normal.

    Law:
        gain / sqrt(fan_in)

    Assumes:
        an activation of second moment 1 at standard normal input (SELU, or LeCun's scaled tanh).

    Args:
        gain: factor on the std, positive.

    Returns:
        The law.

    Raises:
        DomainError: gain not positive and finite.

    Limits:
        Behind ReLU the signal halves in variance per layer.

    Source:
        LeCun, Bottou, Orr & Müller 1998, "Efficient BackProp", eq. 16; Klambauer et al. 2017 for SELU.

    Checked by:
        test_laws.py::test_returned_std_is_the_std_promised
    """
    return _scaling("lecun_normal", gain, "in", "normal")


def lecun_uniform(*, gain: float = 1.0) -> VarianceScaling:
    """LeCun's law, uniform: U(−b, b) with b = √(3/fan_in).

    Law:
        gain / sqrt(fan_in)

    Assumes:
        as lecun_normal.

    Args:
        gain: factor on the std, positive.

    Returns:
        The law.

    Raises:
        DomainError: gain not positive and finite.

    Limits:
        As lecun_normal.

    Source:
        LeCun et al. 1998, eq. 16; bound √3·std.

    Checked by:
        test_laws.py::test_returned_std_is_the_std_promised
    """
    return _scaling("lecun_uniform", gain, "in", "uniform")


def _scaling(name: str, gain: float, fan: Fan, distribution: Distribution) -> VarianceScaling:
    if not (isfinite(gain) and gain > 0):
        raise DomainError(f"laws: {name} needs 0 < gain < inf; got gain={gain!r}. Use gain=1.0.")
    if fan not in FANS:
        raise unknown("laws", "fan", fan, FANS)
    if distribution not in DISTRIBUTIONS:
        raise unknown("laws", "distribution", distribution, DISTRIBUTIONS)
    return VarianceScaling(name, gain=float(gain), fan=fan, distribution=distribution)


def _he_gain(law: str, slope: float, gain: float | None, activation: str) -> float:
    if gain is not None:
        return gain
    if activation not in _HALVES:
        raise DomainError(
            f"laws: {law} assumes an activation that zeroes half its input; got "
            f"activation={activation!r}. Use glorot_uniform, or pass gain=."
        )
    if not isfinite(slope):
        raise DomainError(f"laws: {law} needs a finite slope; got slope={slope!r}. Use slope=0.0.")
    return sqrt(2 / (1 + slope**2))  # E f(z)² = (1 + slope²)/2


def _fan(law: str, fan: Fan, shape: Shape, axes: Axes) -> float:
    fan_in, fan_out = law_fans(law, shape, axes)
    if fan == "in":
        return fan_in
    if fan == "out":
        return fan_out
    return (fan_in + fan_out) / 2 if fan == "average" else sqrt(fan_in * fan_out)
