"""What reaches a weight: a source, then a pointwise function of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from pondera.model.roles.kinds import is_attention, is_norm, origin_of, part_origin
from pondera.model.roles.uses import Use
from pondera.model.roles.walks import Expression, Walks
from pondera.model.sites import Feed
from pondera.model.trace import Operation


def feed_of(walks: Walks, number: int, owners: Mapping[int, Use], residual: set[int]) -> Feed:
    """What reaches a weight that this value enters.

    Args:
        walks: the graph.
        number: the entering value.
        owners: value → the use that made it.
        residual: numbers of the operations that add to a residual stream.
    """
    expression = walks.expression(number)
    origin = part_origin(walks, expression.base)
    maker = walks.graph.maker(origin)
    label, function = expression.label, expression.function
    if origin in owners and maker is not None:
        if maker.kind == "lookup":
            return _plain("lookup", expression)
        return Feed("weight", owners[origin].name, function, label, expression.exact)
    if maker is None:
        return _plain("input" if walks.value(origin).given else "mixed", expression)
    if maker.kind == "normalise" or is_norm(walks, maker):
        return Feed("norm", "", function, label, expression.exact)
    if is_attention(walks, maker):
        return _plain("attention", expression)
    if maker.number in residual:
        return _plain("stream", expression)
    return _of_several(walks, maker, expression, owners, residual)


def _of_several(
    walks: Walks,
    maker: Operation,
    expression: Expression,
    owners: Mapping[int, Use],
    residual: set[int],
) -> Feed:
    """The feed where several values meet: joined, modulated, gated or added embeddings."""
    live, label, function = walks.live(maker), expression.label, expression.function
    if not live:
        return _plain("mixed", expression)
    if maker.kind == "move" and label == "" and not walks.value(live[0]).integer:
        return _gathered(walks, live, owners, residual)
    if maker.kind == "combine" and is_modulated(walks, maker, live):
        return Feed("norm", "", function, label, False)
    if maker.kind == "combine" and maker.label == "mul" and len(live) == 2:
        if any(mixes(walks, n) for n in live):
            return replace(_gated(walks, expression, live), source="attention", exact=False)
        return _gated(walks, expression, live)
    if maker.kind == "combine" and maker.label == "add":
        made = [walks.graph.maker(part_origin(walks, walks.expression(n).base)) for n in live]
        if made and all(m is not None and m.kind == "lookup" for m in made):
            return _plain("lookup", expression)
    return _plain("mixed", expression)


def mixes(walks: Walks, number: int) -> bool:
    """Whether a value is what attention mixed."""
    maker = walks.graph.maker(origin_of(walks, number))
    return maker is not None and is_attention(walks, maker)


def beneath(walks: Walks, number: int, owners: Mapping[int, Use], residual: set[int]) -> Feed:
    """What reaches the normalisation that a value comes from; what reaches the value if there is none."""
    maker = walks.graph.maker(origin_of(walks, number))
    if maker is None or not (maker.kind == "normalise" or is_norm(walks, maker)):
        return feed_of(walks, number, owners, residual)
    entering = (walks.live(maker) or [number])[0]
    return feed_of(walks, entering, owners, residual)


def _gathered(walks: Walks, live: list[int], owners: Mapping[int, Use], residual: set[int]) -> Feed:
    """The feed of what is joined, where all parts come from the same kind of source."""
    floats = [n for n in live if not walks.value(n).integer][:8]
    feeds = [feed_of(walks, number, owners, residual) for number in floats]
    first = replace(feeds[0], exact=False)
    if any((f.source, f.label) != (first.source, first.label) for f in feeds):
        return Feed(exact=False)
    return first


def is_modulated(walks: Walks, maker: Operation, live: list[int]) -> bool:
    """Whether a normalised value is stretched or shifted by one that is the same at many places."""
    if maker.label not in ("add", "mul") or len(live) != 2:
        return False
    first, second = sorted(live, key=lambda n: -prod(walks.value(n).shape))
    if prod(walks.value(first).shape) <= prod(walks.value(second).shape):
        return False
    source = walks.graph.maker(origin_of(walks, first))
    if source is None:
        return False
    if source.kind == "normalise" or is_norm(walks, source):
        return True
    return source.kind == "combine" and is_modulated(walks, source, walks.live(source))


def _plain(source: str, expression: Expression) -> Feed:
    """A feed of unknown spread: shifting and stretching it is on purpose and not to be undone."""
    function = None if expression.affine else expression.function
    label = expression.label if function else ""
    return Feed(source, "", function, label, expression.exact)  # type: ignore[arg-type]


def _gated(walks: Walks, expression: Expression, live: list[int]) -> Feed:
    gate = next((e for e in map(walks.expression, live) if e.function and not e.affine), None)
    if gate is None:
        return Feed("gated", "", None, "", expression.exact)
    return Feed("gated", "", None, gate.label, expression.exact, gate.function)
