"""How scores are printed: an accuracy in per cent, any other score as a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pondera.report.wording import ABSENT, number, percent

_POINTS = " points"


@dataclass(frozen=True)
class Score:
    """One kind of score, by its name.

    >>> accuracy, fit = Score("accuracy"), Score("R²")
    >>> accuracy(0.9736), accuracy.gain(0.872), fit(-0.25), fit.gain(0.5), fit(-3075.2)
    ('97.4%', '+87.2 points', '−0.250', '+0.500', '−3,075')
    >>> accuracy.interval({"low": 0.86, "high": 0.88, "coverage": None}, gain=True)
    '+86.0 to +88.0 points'
    """

    name: str

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Score:
        """The score of a study."""
        return cls(result["setting"]["score"])

    @property
    def is_share(self) -> bool:
        """Whether it is a share of 1, and so said in per cent."""
        return self.name == "accuracy"

    @property
    def axis_format(self) -> str:
        """The d3 format of its axes."""
        return ".3~p" if self.is_share else ".3~g"

    def __call__(self, quantity: float | None) -> str:
        """A score with a fixed number of decimals, so that a column of them lines up."""
        if quantity is None:
            return ABSENT
        if self.is_share:
            return f"{100 * quantity:.1f}%"
        return _decimals(quantity)

    def gain(self, quantity: float) -> str:
        """The difference of two scores, with its sign."""
        sign = "+" if quantity > 0 else ""
        if self.is_share:
            return f"{sign}{100 * quantity:.1f}{_POINTS}".replace("-", "−")
        return sign + _decimals(quantity)

    def interval(self, entry: Mapping[str, Any], *, sure: bool = True, gain: bool = False) -> str:
        """An interval and, if wanted, how sure it is; a dash for none."""
        low, high, coverage = entry["low"], entry["high"], entry["coverage"]
        if low is None or high is None:
            return ABSENT
        said = self.gain if gain else self
        told = f" ({percent(coverage)})" if sure and coverage else ""
        return f"{said(low).removesuffix(_POINTS)} to {said(high)}{told}"


def _decimals(quantity: float) -> str:
    """Three decimals, or none where a score is hopeless."""
    return number(quantity) if abs(quantity) >= 100 else f"{quantity:.3f}".replace("-", "−")
