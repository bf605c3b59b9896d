"""The classic schemes: one rule for every weight that is summed over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from types import MappingProxyType
from typing import Final

from pondera.core import laws
from pondera.core.errors import DomainError, placed
from pondera.core.fans import Fans, fans
from pondera.core.gains import gain, odd_slope
from pondera.core.laws import AbstractLaw
from pondera.core.laws.base import Axes, matrix_shape
from pondera.core.orthogonal import Block
from pondera.model.graph import Feed, Network, Use


@dataclass(frozen=True)
class Ruling:
    """What a scheme says of one weight.

    Args:
        law: the law it is drawn by.
        gain: the factor on its std.
        why: the reason, in words.
    """

    law: AbstractLaw
    gain: float
    why: str


@dataclass(frozen=True)
class Scheme:
    """A named rule for dense and convolutional weights.

    Args:
        name: what the scheme is called.
        rule: network and index of a use → ruling.
        source: where it comes from.
    """

    name: str
    rule: Callable[[Network, int], Ruling]
    source: str


def true_fans(use: Use) -> Fans:
    """Fans of one use; a grouped convolution's output feeds one group only."""
    fan_in, fan_out = fans(use.shape, in_axes=use.in_axes, out_axes=use.out_axes)
    return Fans(fan_in, fan_out // use.groups)


def feed_gain(use: Use) -> float:
    """Exact forward gain of the activation that feeds a weight; 1 where none does."""
    if use.feed.activation is None:
        return 1.0
    try:
        return gain(use.feed.activation)
    except DomainError as fact:
        told = str(fact).replace(repr(use.feed.activation), repr(use.feed.label))
        raise placed(use.name, DomainError(told)) from None


def _fed_by(feed: Feed) -> str:
    names = {
        "input": "the input",
        "lookup": "an embedding",
        "mixed": "several values mixed",
        "norm": "a normalisation",
        "weight": "the layer before",
    }
    return f"{feed.label} of {names[feed.source]}" if feed.label else names[feed.source]


def _glorot(network: Network, index: int) -> Ruling:
    use = network.uses[index]
    if use.groups == 1:
        return Ruling(laws.glorot_uniform(), 1.0, "√6/√(fan_in + fan_out) on both sides")
    bound = sqrt(6 / sum(true_fans(use)))
    why = f"Glorot's bound with the fans of one of {use.groups} groups"
    return Ruling(laws.uniform(low=-bound, high=bound), 1.0, why)


def _he(network: Network, index: int) -> Ruling:
    feed = network.uses[index].feed
    exact = (
        "exact: fed by " if feed.label == "relu" else "as in the paper, for every layer; fed by "
    )
    return Ruling(laws.he_normal(), sqrt(2), exact + _fed_by(feed))


def _lecun(network: Network, index: int) -> Ruling:
    return Ruling(laws.lecun_normal(), 1.0, "1/√fan_in, whatever feeds it")


def _orthogonal(network: Network, index: int) -> Ruling:
    use = network.uses[index]
    exact = feed_gain(use)
    rows, columns = matrix_shape(use.shape, Axes(use.in_axes, use.out_axes))
    widening = sqrt(max(1.0, rows / columns))  # orthonormal columns alone would lose this
    sure = "" if use.feed.source == "mixed" else "exact "
    joint = f"; all {use.groups} groups as one matrix" if use.groups > 1 else ""
    why = f"{sure}gain {exact:.6g}, fed by {_fed_by(use.feed)}{joint}"
    return Ruling(laws.orthogonal(gain=exact * widening), exact, why)


def _mirrored(network: Network, index: int) -> Ruling:
    block, factor = mirrored_block(network, index)
    why = f"{block} of {len(network.uses)} mirrored layers, fed by {_fed_by(network.uses[index].feed)}"
    return Ruling(laws.mirrored_orthogonal(block=block, gain=factor), factor, why)


def mirrored_block(network: Network, index: int) -> tuple[Block, float]:
    """Place and gain of a weight in a mirrored chain.

    Raises:
        DomainError: the network is no such chain; says where and why.
    """
    use, last = network.uses[index], len(network.uses) - 1
    reason = _break(network, index)
    if reason:
        raise DomainError(
            f"mirrored: needs one chain of dense layers with f(u) − f(−u) = c·u between them; got "
            f"{use.name}, {reason}. Use scheme='orthogonal'."
        )
    if index == 0:
        return "first", 1.0
    return ("last" if index == last else "hidden"), 1.0 / (_slope(use.feed) or 1.0)


def _break(network: Network, index: int) -> str:
    """Why the chain breaks at this use; empty if it does not."""
    use, last = network.uses[index], len(network.uses) - 1
    if last == 0:
        return "the only layer"
    if network.frozen:
        return f"and {len(network.frozen)} frozen parameters"
    if use.role != "dense":
        return "a convolution"
    if [other.name for other in network.uses].count(use.name) > 1:
        return "which is used more than once"
    if index == last and not _follows(network.last, last, activated=False):
        return "whose output is not what the model returns"
    rows, _ = matrix_shape(use.shape, Axes(use.in_axes, use.out_axes))
    if index < last and rows % 2:
        return f"of odd width {rows}"
    if index == 0:
        plain = use.feed.source == "input" and use.feed.activation is None
        return "" if plain else f"fed by {_fed_by(use.feed)}"
    if not _follows(use.feed, index - 1, activated=True):
        return f"fed by {_fed_by(use.feed)} and not by an activation of the layer before alone"
    return "" if _slope(use.feed) else f"fed by {use.feed.label}"


def _slope(feed: Feed) -> float | None:
    """The c of f(u) − f(−u) = c·u; None if there is none."""
    try:
        return odd_slope(feed.activation or "identity")
    except DomainError:  # not finite everywhere: no such c
        return None


def _follows(feed: Feed, use: int, *, activated: bool) -> bool:
    chained = feed.source == "weight" and feed.use == use and feed.exact
    return chained and (feed.activation is not None) == activated


SCHEMES: Final = MappingProxyType(
    {
        scheme.name: scheme
        for scheme in (
            Scheme("glorot", _glorot, "Glorot & Bengio 2010, eq. 16"),
            Scheme("he", _he, "He et al. 2015, eq. 10"),
            Scheme("lecun", _lecun, "LeCun et al. 1998, eq. 16"),
            Scheme("mirrored", _mirrored, 'Balduzzi et al. 2017 ("looks linear")'),
            Scheme("orthogonal", _orthogonal, "Saxe et al. 2013; gain by quadrature"),
        )
    }
)
