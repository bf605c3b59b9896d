"""The words of the tables: each gives a rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import sqrt
from typing import Any

from pondera.core import laws
from pondera.core.laws import AbstractLaw
from pondera.model.schemes.ruling import Case, Rule, Ruling
from pondera.model.sites import Role


def every(roles: Iterable[Role], rule: Rule) -> dict[Role, Rule]:
    """One rule for several roles."""
    return dict.fromkeys(roles, rule)


def fixed(law: AbstractLaw, why: str, *, gain: float | None = None, rate: float = 1.0) -> Rule:
    """The same law everywhere."""
    ruling = Ruling(law, why, gain, rate)
    return lambda case: ruling


def zero(why: str) -> Rule:
    """0 everywhere."""
    return fixed(laws.zeros(), why)


def left(why: str) -> Rule:
    """Left as it is."""
    ruling = Ruling(None, why)
    return lambda case: ruling


def flat(std: float, *, cut: float | None = None) -> Rule:
    """One std whatever the shape; truncated if there is a cut."""
    tails = "" if cut is None else f", tails beyond ±{cut:g}σ redrawn"
    return fixed(spread(std, cut=cut), f"{std:g} for every such weight{tails}")


def spread(std: float, *, cut: float | None = None) -> AbstractLaw:
    """The normal law of a std, truncated if there is a cut."""
    return laws.normal(std=std) if cut is None else laws.truncated_normal(std=std, cut=cut)


def over_root(power: float = 0.5, *, factor: float = 1.0, cut: float | None = None) -> Rule:
    """A factor over a power of fan_in."""
    told = "√fan_in" if power == 0.5 else f"fan_in^{power:g}"

    def rule(case: Case) -> Ruling:
        std = factor / case.fan_in**power
        return Ruling(spread(std, cut=cut), f"{factor:g}/{told}, fan_in {case.fan_in}")

    return rule


def fed(law: Any, **options: Any) -> Rule:
    """A law of the fans with the exact gain of what feeds the weight."""

    def rule(case: Case) -> Ruling:
        gain = case.feed_gain()
        why = f"exact gain {gain:.6g}, fed by {case.fed_by()}"
        return Ruling(law(gain=gain, **options), why, gain)

    return rule


def written(plain: Rule) -> Rule:
    """As `plain`, and divided by √(number of writers) where it writes to a residual stream."""

    def rule(case: Case) -> Ruling:
        ruling = plain(case)
        return thinned(case, ruling, case.writers) if writes(case) else ruling

    return rule


def writes(case: Case) -> bool:
    """Whether it writes to a residual stream, and no layer scale stands between."""
    return case.writers > 0 and not case.site.scaled_by


def thinned(case: Case, ruling: Ruling, writers: int) -> Ruling:
    """A ruling for one of several writers to a stream: std ÷ √writers."""
    law, factor = ruling.law, 1 / sqrt(writers)
    why = f"{ruling.why}; ÷√{writers} for the writers to its stream"
    if isinstance(law, laws.Normal):
        law = laws.normal(std=law.sigma * factor)
    elif isinstance(law, laws.TruncatedNormal):
        law = laws.truncated_normal(std=law.sigma * factor, cut=law.cut)
    elif isinstance(law, laws.Uniform):
        law = laws.uniform(low=law.low * factor, high=law.high * factor)
    elif law is not None and hasattr(law, "gain"):
        law = _regained(law, factor)
    return Ruling(law, why, ruling.gain, ruling.rate, ruling.decay)


def _regained(law: Any, factor: float) -> AbstractLaw:
    """The same law with another gain; one whose gain is its name's becomes the general one."""
    if isinstance(law, laws.FanPower) and law.power == 0.5:
        return laws.variance_scaling(gain=law.gain * factor, distribution=law.distribution)
    return replace(law, gain=law.gain * factor)


def joint_fan_out(case: Case) -> int:
    """fan_out of all blocks of a packed parameter together, as a library that takes it for one counts."""
    return sum(part.fan_out or 0 for part in case.site.parts)
