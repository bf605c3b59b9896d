"""Where an axis begins, ends and is labelled, decided from the numbers that it has to show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

from pondera.report.wording import number, power_of_ten

_ROOM = 0.03  # space beyond the outermost points, as a share of what lies between
_SMALLEST, _LARGEST = 1e-250, 1e250  # beyond them the room would leave the floats
MOST_TICKS = 7
_STRIDES = (1, 2, 5, 10, 20, 50, 100)  # decades between two labels


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic axis that has a place for zero: its lower end."""

    low: float
    high: float
    ticks: tuple[float, ...]
    holds_zero: bool  # some quantity is zero or less, and stands at `low`

    @property
    def labels(self) -> dict[float, str]:
        """What stands at each tick; the floor is labelled as the zero that it holds."""
        numbers = {tick: number(tick) for tick in self.ticks}
        if self.high / self.low >= 1e3:
            numbers = {tick: power_of_ten(round(log10(tick))) for tick in self.ticks}
        return ({self.low: "0"} if self.holds_zero else {}) | numbers


@dataclass(frozen=True)
class ScoreAxis:
    """A linear axis of scores; hopeless ones stand at its lower end."""

    low: float
    high: float
    shows_chance: bool
    clips: bool  # some score lies below `low`


def finite(quantities: Iterable[float | None]) -> list[float]:
    """The quantities that are numbers."""
    return [quantity for quantity in quantities if quantity is not None and isfinite(quantity)]


def log_axis(quantities: Iterable[float | None]) -> LogAxis:
    """The axis that shows all of `quantities`, with a floor for those that have no logarithm."""
    numbers = finite(quantities)
    positive = [
        min(max(quantity, _SMALLEST), _LARGEST) for quantity in numbers if quantity > 0
    ] or [0.1, 1.0]
    holds_zero = any(quantity <= 0 for quantity in numbers)
    least, most = log10(min(positive)), log10(max(positive))
    room = max(0.1, _ROOM * (most - least))
    floored = max(1.0, 4 * room) if holds_zero else room
    low, high = 10.0 ** (least - floored), 10.0 ** (most + room)
    return LogAxis(low, high, _log_ticks(10.0 ** (least - room), high), holds_zero)


def _log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Powers of ten inside [low, high], or more where those are fewer than three."""
    first, last = ceil(log10(low)), floor(log10(high))
    if last - first >= 2:
        stride = next(stride for stride in _STRIDES if (last - first) / stride <= MOST_TICKS)
        aligned = -(-first // stride) * stride
        return tuple(10.0**power for power in range(aligned, last + 1, stride))
    fine = [step * 10.0**power for power in range(first - 1, last + 1) for step in (1, 2, 5)]
    inside = tuple(tick for tick in fine if low <= tick <= high)
    return inside if len(inside) > 2 else even_ticks(low, high)


def even_ticks(low: float, high: float) -> tuple[float, ...]:
    """Multiples of 1, 2 or 5 times a power of ten inside [low, high], six at most.

    >>> even_ticks(0.07, 0.98)
    (0.2, 0.4, 0.6000000000000001, 0.8)
    """
    least = (high - low) / 5
    power = 10.0 ** floor(log10(least))
    step = next(many * power for many in (1, 2, 5, 10) if many * power >= least)
    return tuple(step * place for place in range(ceil(low / step), floor(high / step) + 1))


def span(last: float, *, first: float = 0.0) -> tuple[float, float]:
    """The interval from `first` to `last` with room for the outermost points.

    >>> span(100.0)
    (-1.5, 101.5)
    """
    room = _ROOM / 2 * (last - first)
    return first - room, last + room


def score_axis(scores: Iterable[float | None], chance: float | None) -> ScoreAxis:
    """The axis that shows the scores, with chance on it unless that would crush them.

    A score farther below chance than half of the best gain (R² knows no floor) is
    put at the lower end, so that one hopeless run does not hide the race.
    """
    numbers = finite(scores) or [chance or 0.0]
    best, worst = max(numbers), min(numbers)
    guess = worst if chance is None else chance
    bottom = guess - max(0.5 * (best - guess), 0.05)
    low, shows_chance = max(worst, bottom), chance is not None
    if worst - guess > 4 * (best - worst) > 0:
        shows_chance = False
    else:
        low, best = min(low, guess), max(best, guess)
    room = _ROOM * (best - low) or 0.05
    return ScoreAxis(low - room, best + room, shows_chance, clips=worst < bottom)
