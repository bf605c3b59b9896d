"""Time steps and decay rates of state-space layers, drawn evenly on a logarithmic scale."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, log, sinh, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from pondera.core.errors import DomainError
from pondera.core.laws.base import STORED, AbstractPlaced, Axes, Shape, cast, real
from pondera.core.laws.fixed import Uniform
from pondera.core.places import Place
from pondera.core.recipes import uniform_recipe
from pondera.core.scattered import drawn

_NARROW = 1.001  # high/low below which a log-uniform number is taken as uniform


@dataclass(frozen=True)
class LogUniform(AbstractPlaced):
    """exp(U(ln low, ln high))."""

    low: float
    high: float

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        low, high = self.low, self.high
        if high <= _NARROW * low:
            return (high - low) / sqrt(12)
        span, share = log(high) - log(low), low / high
        return high * sqrt((1 - share**2) / (2 * span) - ((1 - share) / span) ** 2)

    def at(
        self, place: Place, axes: Axes, /, *, seed: int, name: str, dtype: str
    ) -> npt.NDArray[Any]:
        return cast(_log_uniform(place, self.low, self.high, seed, name), dtype)


@dataclass(frozen=True)
class SoftplusSteps(AbstractPlaced):
    """The number whose softplus is a log-uniform time step."""

    low: float
    high: float
    floor: float

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        first, last = log(self.low), log(self.high)
        if first == last:
            return 0.0
        kink = min(max(first, log(self.floor) if self.floor else first), last)
        node, weight = np.polynomial.legendre.leggauss(64)
        step = np.append(np.exp(kink + (last - kink) * (node + 1) / 2), exp(kink))
        mass = np.append((last - kink) * weight / 2, kink - first) / (last - first)
        numbers = _softplus_inverse(step)
        return float(np.sqrt(mass @ np.square(numbers - mass @ numbers)))

    def at(
        self, place: Place, axes: Axes, /, *, seed: int, name: str, dtype: str
    ) -> npt.NDArray[Any]:
        step = _log_uniform(place, self.low, self.high, seed, name)
        return cast(_softplus_inverse(np.maximum(step, self.floor)), dtype)


@dataclass(frozen=True)
class LogOfUniform(AbstractPlaced):
    """ln U(low, high)."""

    low: float
    high: float

    def std(self, shape: Shape, axes: Axes = STORED, /) -> float:
        low, high = self.low, self.high
        if high <= _NARROW * low:
            return 2 * (1 - low / high) / (1 + low / high) / sqrt(12)
        half = min((log(high) - log(low)) / 2, 700.0)  # no sinh beyond; the ratio is 0 long before
        return sqrt(1 - (half / sinh(half)) ** 2)

    def at(
        self, place: Place, axes: Axes, /, *, seed: int, name: str, dtype: str
    ) -> npt.NDArray[Any]:
        recipe = uniform_recipe(self.low, self.high)
        rate = drawn(place, recipe=recipe, seed=seed, name=name, dtype="float64")
        return cast(np.log(np.clip(rate, self.low, self.high)), dtype)


def log_uniform(*, low: float, high: float) -> LogUniform:
    """Positive numbers, even on a logarithmic scale: exp(U(ln low, ln high)).

    Law:
        high * sqrt((1 - (low/high)**2) / (2*(log(high) - log(low)))
        - ((1 - low/high) / (log(high) - log(low)))**2)

    Args:
        low: lower bound, positive.
        high: upper bound, low ≤ high < ∞; equal bounds give that constant.

    Returns:
        The law.

    Raises:
        DomainError: bounds not positive, not finite or reversed.

    Limits:
        exp is the machine's: equal across machines to 1 ulp of float64, before the rounding.

    Source:
        The density 1/(x·ln(high/low)); Gu, Goel & Ré 2022 (S4) for time steps.

    Checked by:
        test_laws_more.py::test_returned_std_is_the_std_promised
    """
    return LogUniform("log_uniform", *_bounds("log_uniform", low, high))


def log_time_steps(*, low: float = 0.001, high: float = 0.1) -> Uniform:
    """The logarithm of a log-uniform time step, as S4, S4D and S5 store it: U(ln low, ln high).

    Law:
        log(high / low) / sqrt(12)

    Args:
        low: shortest time step, positive.
        high: longest, low ≤ high < ∞.

    Returns:
        The law.

    Raises:
        DomainError: bounds not positive, not finite or reversed.

    Limits:
        The steps should span one over the lengths of what is to be remembered: 10 to 1000 by default.

    Source:
        Gu, Goel & Ré 2022, "Efficiently modeling long sequences with structured state spaces" (dt_min,
        dt_max of the code).

    Checked by:
        test_laws_more.py::test_returned_std_is_the_std_promised
    """
    first, last = _bounds("log_time_steps", low, high)
    return Uniform("log_time_steps", low=log(first), high=log(last))


def softplus_time_steps(
    *, low: float = 0.001, high: float = 0.1, floor: float = 1e-4
) -> SoftplusSteps:
    """Mamba's bias of the time step: its softplus is log-uniform.

    Law:
        t + log(1 − exp(−t)), t = max(exp(U(log(low), log(high))), floor); std by 64-point quadrature

    Args:
        low: shortest time step, positive.
        high: longest, low ≤ high < ∞.
        floor: least step after the draw, 0 ≤ floor ≤ high.

    Returns:
        The law.

    Raises:
        DomainError: bounds not positive, not finite or reversed; floor out of range.

    Limits:
        exp and log are the machine's: equal across machines to some ulp of float64, before the rounding.
        A later pass that zeroes all biases undoes it.

    Source:
        Gu & Dao 2023, "Mamba", §3.6 and its code; the same per head in Mamba-2.

    Checked by:
        test_laws_state.py::test_softplus_undoes_its_inverse
    """
    first, last = _bounds("softplus_time_steps", low, high)
    if not 0 <= real(floor) <= last:
        raise DomainError(
            f"laws: softplus_time_steps needs 0 <= floor <= high; got floor={floor!r}, "
            f"high={high!r}. Use floor=0.0 for none."
        )
    return SoftplusSteps("softplus_time_steps", low=first, high=last, floor=float(floor))


def mamba2_decay(*, low: float = 1.0, high: float = 16.0) -> LogOfUniform:
    """Mamba-2's A_log, one per head: ln A with A ~ U(low, high).

    Law:
        sqrt(1 - ((log(high) - log(low))/2 / sinh((log(high) - log(low))/2))**2)

    Args:
        low: slowest decay, positive.
        high: fastest, low ≤ high < ∞.

    Returns:
        The law.

    Raises:
        DomainError: bounds not positive, not finite or reversed.

    Limits:
        low = 0, as some code has it, can draw −∞. log is the machine's: equal across machines to 1 ulp
        of float64, before the rounding. Not to be decayed.

    Source:
        Dao & Gu 2024, "Transformers are SSMs" (Mamba-2): A_init_range of the code.

    Checked by:
        test_laws_more.py::test_returned_std_is_the_std_promised
    """
    return LogOfUniform("mamba2_decay", *_bounds("mamba2_decay", low, high))


def _bounds(law: str, low: float, high: float) -> tuple[float, float]:
    if not 0 < real(low) <= real(high) < inf:
        raise DomainError(
            f"laws: {law} needs finite 0 < low <= high; got low={low!r}, high={high!r}. "
            "Swap the bounds?"
        )
    return float(low), float(high)


def _log_uniform(
    place: Place, low: float, high: float, seed: int, name: str
) -> npt.NDArray[np.float64]:
    """Drawn as integers and rounded once; only then the exponential."""
    recipe = uniform_recipe(log(low), log(high))
    power = drawn(place, recipe=recipe, seed=seed, name=name, dtype="float64")
    return np.clip(np.exp(power), low, high)


def _softplus_inverse(step: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """ln(e^t − 1), written so that neither short nor long steps cancel."""
    return step + np.log(-np.expm1(-step))
