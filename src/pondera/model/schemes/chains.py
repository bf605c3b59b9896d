"""Chains of weights with nothing but an activation between: mirrored, or begun with a quiet signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt
from typing import Any, Final, Literal

from pondera.core import laws
from pondera.core.errors import DomainError
from pondera.core.laws import AbstractLaw
from pondera.model.schemes.ruling import Case
from pondera.model.schemes.survey import Survey
from pondera.model.sites import Site

Position = Literal["first", "hidden", "last"]

_START: Final = 1.5  # variance of the first pre-activations times the depth
_LOUDEST: Final = 0.1  # what the two gains may differ by over the whole depth, as ln of a variance
_HALVINGS: Final = 6


@dataclass(frozen=True)
class Mirrored:
    """A weight's law in a mirrored chain.

    Args:
        law: what it is drawn by.
        gain: the factor on its std.
    """

    law: AbstractLaw
    gain: float


def mirrored_of(case: Case, factor: float = 1.0) -> Mirrored | None:
    """Law of a weight in a mirrored chain; None if it is in none.

    Args:
        case: the weight.
        factor: on the std, beside the gain.
    """
    position = position_of(case)
    if position is None:
        return None
    slope = _slope(case.survey, case.site)
    gain = case.feed_gain() if position == "first" else 1 / (slope or 1.0)
    site = case.site
    plain = not site.spatial_axes or any(step != 1 for step in site.stride)
    law = laws.mirrored_orthogonal if plain else laws.mirrored_delta_orthogonal
    return Mirrored(law(block=position, gain=gain * factor), gain)


def position_of(case: Case) -> Position | None:
    """A weight's place in a mirrored chain."""
    survey, site = case.survey, case.site
    behind = linked(survey, site)
    ahead = any(linked(survey, other) for other in survey.fed.get(site.name, ()))
    if behind:
        return "hidden" if ahead else "last"
    return "first" if ahead else None


def linked(survey: Survey, site: Site) -> bool:
    """Whether it is fed by one weight through an activation that mirrored pairs pass unchanged."""
    return survey.kept(("linked", site.name), lambda: _linked(survey, site))


def _linked(survey: Survey, site: Site) -> bool:
    feed = site.feed
    if feed.source != "weight" or not feed.exact or feed.weight not in survey.by_name:
        return False
    before = survey.by_name[feed.weight]
    if before.writer is not None or not (_plain(before) and _plain(site)):
        return False
    outputs, inputs = before.shape[before.out_axes[0]], site.shape[site.in_axes[0]]
    alone = len(survey.fed[before.name]) == 1
    return alone and outputs == inputs and outputs % 2 == 0 and bool(_slope(survey, site))


def _plain(site: Site) -> bool:
    """One weight, of one use, whole, with one axis in and one out."""
    one_use = site.uses == 1 and site.trained and not site.packed and not site.tied_head
    axes = len(site.in_axes) == len(site.out_axes) == 1 and not site.batch_axes
    return one_use and axes and site.groups == 1 and not site.transposed and not site.fixed_by


def _slope(survey: Survey, site: Site) -> float | None:
    activation = site.feed.activation
    return None if activation is None else survey.odd_slope(activation)


def quiet_std(survey: Survey, activation: Callable[[Any], Any], label: str) -> float:
    """The largest std of pre-activations at which both passes stay level over the network's depth.

    Forward and backward gain differ for all but the ReLU family, and each layer multiplies the
    gradient by their ratio; where the signal is small they meet, and deep chains stay level.

    Args:
        survey: the network, whose depth counts.
        activation: what follows the weight.
        label: its name in print.

    Returns:
        1, or √(1.5/depth) and its halves in variance; 1 where nothing helps.
    """
    depth = max(1, survey.anatomy.depth)
    variances = [1.0, *(min(1.0, _START / depth) / 2**k for k in range(_HALVINGS))]
    for variance in variances:
        if depth * _unequal(survey, activation, label, sqrt(variance)) <= _LOUDEST:
            return sqrt(variance)
    return 1.0


def _unequal(survey: Survey, activation: Callable[[Any], Any], label: str, std: float) -> float:
    """|ln| of the gradient's growth in variance per layer, where the signal is kept level."""
    try:
        forward = survey.gain(activation, label, std=std)
        backward = survey.backward(activation, label, std=std)
    except DomainError:  # no gain, or a jump
        return float("inf")
    return abs(2 * log(forward / backward))


def quiet_gain(case: Case) -> tuple[float, str]:
    """Factor on 1/√fan_in by which a weight passes the level of its chain on, and why."""
    survey, site = case.survey, case.site
    asked, heard = _asked(survey, site), case.feed_gain()
    why = f"exact gain {heard:.6g}, fed by {case.fed_by()}"
    if site.feed.activation is not None and site.feed.source == "weight":
        given = quiet_std(survey, site.feed.activation, site.feed.label)
        heard = survey.gain(site.feed.activation, site.feed.label, std=given) / given
        if given != 1:
            why = f"exact gain for {case.fed_by()} at std {given:.4g}"
        if (
            case.role == "head"
        ):  # raised to 1 here, the first weight would learn 1/std² times too fast
            return given * heard, why
    if asked != 1:
        why += f"; pre-activations of std {asked:.4g}, where both passes stay level"
    return asked * heard, why


def _asked(survey: Survey, site: Site) -> float:
    """The std that the weight's output should have: that of the activation behind it."""
    nexts = [s for s in survey.fed.get(site.name, ()) if s.feed.activation is not None]
    if nexts and nexts[0].feed.activation is not None:
        return quiet_std(survey, nexts[0].feed.activation, nexts[0].feed.label)
    return 1.0
