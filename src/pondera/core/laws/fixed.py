"""Laws whose std is given, whatever the shape."""

from __future__ import annotations

from dataclasses import dataclass
from math import erf, exp, isfinite, pi, sqrt

from pondera.core.errors import DomainError
from pondera.core.laws.base import STORED, AbstractElementwise, Axes, Shape
from pondera.core.recipes import Recipe, normal_recipe, truncated_recipe, uniform_recipe


def truncated_std(cut: float, /) -> float:
    """Standard deviation of N(0, 1) once both tails beyond ±cut are redrawn.

    Dividing a target std by this number before drawing makes the std of the *returned* values the
    target; without it, cut=2 yields weights 12 % too small.

    Law:
        sqrt(1 - 2*cut*exp(-cut**2/2) / (sqrt(2*pi) * erf(cut/sqrt(2))))

    Args:
        cut: tail cut, in standard deviations before truncation, 0 < cut < ∞.

    Returns:
        Standard deviation after truncation, in the same unit; in (0, 1).

    Raises:
        DomainError: cut is not a positive finite number.

    Limits:
        Relative error below 1e-10: the law cancels at small cuts, so cut/√3·(1 − cut²/15) below 5e-3.

    Source:
        Johnson, Kotz & Balakrishnan 1994, Continuous Univariate Distributions, vol. 1, ch. 13.

    Checked by:
        test_laws.py::test_truncated_std_matches_scipy

    >>> round(truncated_std(2.0), 15)
    0.87962566103424
    """
    if not (isfinite(cut) and cut > 0):
        raise DomainError(
            f"truncated_std: needs 0 < cut < inf; got cut={cut!r}. "
            "For no truncation draw with normal() instead."
        )
    if cut < 5e-3:
        return cut / sqrt(3) * (1 - cut * cut / 15)
    density = exp(-cut * cut / 2) / sqrt(2 * pi)  # φ(cut)
    kept = erf(cut / sqrt(2))  # Φ(cut) − Φ(−cut), the mass not redrawn
    return sqrt(1 - 2 * cut * density / kept)


@dataclass(frozen=True)
class Normal(AbstractElementwise):
    """N(mean, sigma²)."""

    sigma: float
    mean: float

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        return self.sigma

    def recipe(self, shape: Shape, axes: Axes = STORED, /) -> Recipe:
        return normal_recipe(self.sigma, mean=self.mean)


@dataclass(frozen=True)
class TruncatedNormal(AbstractElementwise):
    """A normal with both tails redrawn; sigma is that of the returned values."""

    sigma: float
    mean: float
    cut: float

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        return self.sigma

    def recipe(self, shape: Shape, axes: Axes = STORED, /) -> Recipe:
        parent = self.sigma / truncated_std(self.cut)
        return truncated_recipe(parent, mean=self.mean, lower=-self.cut, upper=self.cut)


@dataclass(frozen=True)
class Uniform(AbstractElementwise):
    """U(low, high)."""

    low: float
    high: float

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        return (self.high - self.low) / sqrt(12)

    def recipe(self, shape: Shape, axes: Axes = STORED, /) -> Recipe:
        return uniform_recipe(self.low, self.high)


@dataclass(frozen=True)
class Constant(AbstractElementwise):
    """One number everywhere."""

    number: float

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        return 0.0

    def recipe(self, shape: Shape, axes: Axes = STORED, /) -> Recipe:
        return uniform_recipe(self.number, self.number)


def normal(*, std: float, mean: float = 0.0) -> Normal:
    """The normal law with a given std.

    Law:
        std

    Args:
        std: standard deviation, 0 ≤ std < ∞.
        mean: mean, |mean| < 2²⁴·std unless std = 0.

    Returns:
        The law.

    Raises:
        DomainError: std negative or not finite, mean not finite or out of float32's reach of std.

    Limits:
        |z| ≤ 6.2304: no outlier beyond, whatever the size of the tensor.

    Source:
        Gauss; drawn by `core.recipes.normal_recipe`.

    Checked by:
        test_laws.py::test_returned_std_is_the_std_promised
    """
    normal_recipe(std, mean=mean)
    return Normal("normal", sigma=float(std), mean=float(mean))


def truncated_normal(*, std: float, mean: float = 0.0, cut: float = 2.0) -> TruncatedNormal:
    """The truncated normal law, corrected: `std` is that of the returned values.

    The uncorrected form, as PyTorch's `trunc_normal_` and timm have it, returns 0.88·std at ±2σ.

    Law:
        std

    Args:
        std: standard deviation of the returned values, 0 ≤ std < ∞.
        mean: mean.
        cut: where both tails end, in standard deviations before truncation; it must keep 2⁻¹² of the mass.

    Returns:
        The law.

    Raises:
        DomainError: std, mean or cut out of range.

    Limits:
        The bounds are ±cut·std/truncated_std(cut), so ±2.27·std at cut=2.

    Source:
        Johnson, Kotz & Balakrishnan 1994, vol. 1, ch. 13; correction as in jax.nn.initializers.

    Checked by:
        test_laws.py::test_returned_std_is_the_std_promised
    """
    law = TruncatedNormal("truncated_normal", sigma=float(std), mean=float(mean), cut=float(cut))
    law.recipe(())
    return law


def uniform(*, low: float, high: float) -> Uniform:
    """The uniform law between two bounds.

    Law:
        (high - low) / sqrt(12)

    Args:
        low: lower bound.
        high: upper bound, low ≤ high; equal bounds give that constant.

    Returns:
        The law.

    Raises:
        DomainError: bounds not finite or reversed.

    Limits:
        A bound is not a std: the std of U(−b, b) is b/√3.

    Source:
        Drawn by `core.recipes.uniform_recipe`.

    Checked by:
        test_laws.py::test_returned_std_is_the_std_promised
    """
    uniform_recipe(low, high)
    return Uniform("uniform", low=float(low), high=float(high))


def constant(number: float, /) -> Constant:
    """The law that puts one number everywhere.

    Law:
        0

    Args:
        number: any finite number.

    Returns:
        The law.

    Raises:
        DomainError: the number is not finite.

    Limits:
        As a weight between layers it makes all units equal for ever: for biases, norms and last layers.

    Source:
        Own.

    Checked by:
        test_laws.py::test_constant_laws_are_constant
    """
    uniform_recipe(number, number)
    return Constant("constant", number=float(number) + 0.0)  # −0.0 is 0.0


def zeros() -> Constant:
    """The law of biases, norm shifts and the last layer of a residual branch: 0.

    Law:
        0

    Returns:
        The law.

    Limits:
        As `constant`.

    Source:
        He et al. 2015, §2.2 (biases 0).

    Checked by:
        test_laws.py::test_constant_laws_are_constant
    """
    return Constant("zeros", number=0.0)


def ones() -> Constant:
    """The law of norm scales: 1.

    Law:
        0

    Returns:
        The law.

    Limits:
        A norm whose forward uses 1 + w wants zeros instead.

    Source:
        Ioffe & Szegedy 2015, "Batch normalization", §3 (γ = 1 leaves the normalised value).

    Checked by:
        test_laws.py::test_constant_laws_are_constant
    """
    return Constant("ones", number=1.0)
