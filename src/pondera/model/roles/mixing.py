"""Roles of weights by where their outputs go: gates, branches' ends, routers, heads, adapters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pondera.model.axes import Extent, extents, rooted
from pondera.model.roles.streams import Streams
from pondera.model.roles.uses import Use, is_norm, origin_of
from pondera.model.roles.walks import Walks
from pondera.model.sites import Feed, Follow, Role
from pondera.model.trace import Operation


@dataclass
class Mixing:
    """What is known of weights by where their outputs go.

    Args:
        roles: name → role, with the reason.
        blocks: name → role → block of its out axis, of packed gates.
        follows: name → where its output goes.
    """

    roles: dict[str, tuple[Role, str]] = field(default_factory=dict[str, tuple[Role, str]])
    blocks: dict[str, dict[Role, Extent]] = field(default_factory=dict[str, dict[Role, Extent]])
    follows: dict[str, Follow] = field(default_factory=dict[str, Follow])

    def role(self, name: str, role: Role, why: str) -> None:
        """Keep the first role found."""
        self.roles.setdefault(name, (role, why))

    def follow(self, name: str, follow: Follow) -> None:
        """Keep the first place found."""
        self.follows.setdefault(name, follow)


def mixing_of(
    walks: Walks,
    uses: list[Use],
    owners: dict[int, Use],
    streams: Streams,
    feeds: Mapping[int, Feed],
) -> Mixing:
    """Roles and places of all weights.

    Args:
        walks: the graph.
        uses: of weights, in order.
        owners: value → the use that made it.
        streams: residual streams.
        feeds: operation → what reaches its weight.
    """
    found = Mixing()
    for operation in walks.graph.operations:
        _gates(walks, owners, operation, found)
        _normalised(walks, owners, operation, found)
        _routers(walks, owners, operation, found)
    for addition in streams.additions:
        for use in addition.writers:
            found.follow(use.name, Follow("stream"))
    for use in uses:
        feed = feeds[use.operation.number]
        if feed.source == "weight" and feed.weight:
            target = "activation" if feed.activation else "weight"
            found.follow(feed.weight, Follow(target, feed.label, feed.activation))
    _adapters(walks, uses, owners, found)
    written = {use.name for addition in streams.additions for use in addition.writers}
    _heads(walks, owners, written, found)
    _branches(uses, feeds, written, found)
    return found


def _use_at(walks: Walks, owners: dict[int, Use], number: int) -> Use | None:
    return owners.get(origin_of(walks, number))


def _gates(walks: Walks, owners: dict[int, Use], operation: Operation, found: Mixing) -> None:
    """Two outputs multiplied: the one behind an activation is the gate."""
    live = walks.live(operation)
    if operation.kind != "combine" or operation.label != "mul" or len(live) != 2:
        return
    if is_norm(walks, operation):
        return
    pair = [walks.expression(n) for n in live]
    made = [_use_at(walks, owners, n) for n in live]
    if any(use is None or not use.in_axes for use in made) or pair[0].base == pair[1].base:
        return
    active = [e.function is not None and not e.affine for e in pair]
    for expression, use, gate in zip(pair, made, active, strict=True):
        if use is None or not any(active):
            continue
        if any("softplus" in each.label for each in pair):
            continue  # the step of a state-space layer
        role: Role = "gate" if gate else "up"
        found.follow(use.name, Follow("gate", expression.label, expression.function))
        block = _block(walks, expression.base, use)
        if block is not None:
            found.blocks.setdefault(use.name, {})[role] = block
            continue
        found.role(use.name, role, "multiplied with another weight's output")


def _block(walks: Walks, number: int, use: Use) -> Extent | None:
    """The part of a weight's out axis that a value holds; None for the whole."""
    mine = [e for e in map(rooted, extents(walks.value(number).dims)) if e.axis.owner == use.name]
    parts = [e for e in mine if e.axis.place in use.out_axes and 1 < e.size < e.axis.size]
    return parts[0] if parts else None


def _normalised(walks: Walks, owners: dict[int, Use], operation: Operation, found: Mixing) -> None:
    if operation.kind == "normalise" or is_norm(walks, operation):
        use = _use_at(walks, owners, operation.inputs[0])
        if use is not None:
            found.follow(use.name, Follow("norm"))


def _routers(walks: Walks, owners: dict[int, Use], operation: Operation, found: Mixing) -> None:
    """Outputs of which the largest are chosen, or that weigh the outputs of others."""
    if operation.kind == "softmax" and operation.inputs:
        use = _use_at(walks, owners, operation.inputs[0])
        if use is not None and walks.expression(operation.inputs[0]).function is None:
            found.follow(use.name, Follow("softmax"))
    if operation.label not in ("topk", "sort"):
        return
    for number in walks.back(
        operation.inputs[0], stop=lambda made: bool(set(made.outputs) & set(owners))
    ):
        if number in owners and owners[number].in_axes:
            found.role(owners[number].name, "router", "the largest of its outputs are chosen")
            found.follow(owners[number].name, Follow("softmax"))


def _heads(walks: Walks, owners: dict[int, Use], written: set[str], found: Mixing) -> None:
    """Weights whose output the model returns."""
    returned = walks.graph.outputs
    for number in returned:
        if any(n != number and walks.reaches(number, n) for n in returned):
            continue  # kept on the way, as caches and hidden states are
        expression = walks.expression(number)
        maker = walks.graph.maker(expression.base)
        if maker is not None and maker.kind == "softmax":
            expression = walks.expression(maker.inputs[0])
        use = owners.get(origin_of(walks, expression.base))
        if use is None or not use.in_axes or use.name in written or _feeds(walks, owners, use):
            continue
        if expression.function is None or expression.affine:
            found.follow(use.name, Follow("output"))
            found.role(use.name, "head", "the model returns its output")


def _feeds(walks: Walks, owners: dict[int, Use], use: Use) -> bool:
    """Whether further weights read a weight's output: what the model then returns is a state it keeps."""
    return any(
        walks.reaches(use.output, other.entering)
        for other in owners.values()
        if other.in_axes and other.operation.number > use.operation.number
    )


def _adapters(walks: Walks, uses: list[Use], owners: dict[int, Use], found: Mixing) -> None:
    """A narrow pair of weights beside a wide one, with the same input and the sum of both as output."""
    entering = {origin_of(walks, use.entering): use for use in uses}
    for operation in walks.graph.operations:
        live = walks.live(operation)
        if operation.kind != "combine" or operation.label != "add" or len(live) != 2:
            continue
        pair = [_use_at(walks, owners, n) for n in live]
        for up, wide in (pair, pair[::-1]):
            if up is None or wide is None or up.name == wide.name:
                continue
            down = owners.get(origin_of(walks, up.entering))
            if down is None or (
                walks.expression(up.entering).function is not None
                and not walks.expression(up.entering).affine
            ):
                continue
            if origin_of(walks, down.entering) != origin_of(walks, wide.entering):
                continue
            if down.fan_out < min(down.fan_in, up.fan_out) and entering:
                found.roles[down.name] = ("adapter down", f"the narrow way in beside {wide.name}")
                found.roles[up.name] = ("adapter up", f"the narrow way out beside {wide.name}")


def _branches(uses: list[Use], feeds: Mapping[int, Feed], written: set[str], found: Mixing) -> None:
    """The last weight of an MLP branch is its down, the one that feeds it its up."""
    for use in uses:
        feed, writes = feeds[use.operation.number], use.name in written
        if use.operation.kind != "contract":
            continue
        if feed.source == "gated" and writes:
            found.role(use.name, "down", "fed by gated values, written to the stream")
        elif writes and feed.source == "weight" and feed.activation is not None:
            found.role(use.name, "down", f"fed by {feed.label}, written to the stream")
            found.role(feed.weight, "up", f"widens what {use.name} brings back")
