"""Roles of weights by where their outputs go: gates, branches' ends, routers, heads, adapters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Final

from pondera.model.axes import Extent, extents, rooted
from pondera.model.roles.feeds import beneath, is_modulated, mixes
from pondera.model.roles.kinds import is_norm, origin_of, uncentred
from pondera.model.roles.streams import Streams
from pondera.model.roles.uses import Use
from pondera.model.roles.walks import Expression, Walks
from pondera.model.sites import Feed, Follow, Role
from pondera.model.trace import Operation

_CHOICES: Final = frozenset("argmax sort topk".split())
_SQUASHED: Final = frozenset("exp hardsigmoid sigmoid softplus tanh log_sigmoid_forward".split())


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
    written = {use.name for addition in streams.additions for use in addition.writers}
    _heads(walks, owners, written, found, feeds)
    ended = {
        use.operation.number: beneath(walks, use.entering, owners, streams.sums)
        for use in uses
        if use.name in written
    }
    _branches(uses, feeds, ended, found)
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
    _gates_of_attention(walks, live, made, pair, found)
    if any(use is None or not use.in_axes for use in made) or pair[0].base == pair[1].base:
        return
    active = [e.function is not None and not e.affine for e in pair]
    if all(active):  # a clamp alone is no gate
        active = [not e.label.split(", ")[-1].startswith("clamp") for e in pair]
    within = [walks.reaches(one.base, other.base) for one, other in (pair, pair[::-1])]
    for expression, use, gate in zip(pair, made, active, strict=True):
        if use is None or not any(active):
            continue
        if any("softplus" in each.label for each in pair):
            continue  # the step of a state-space layer
        role: Role = "gate" if gate else "up"
        if role == "up" and any(within):
            continue  # its own output gates it
        found.follow(use.name, Follow("gate", expression.label, expression.function))
        block = _block(walks, expression.base, use)
        if block is not None:
            found.blocks.setdefault(use.name, {})[role] = block
            continue
        found.role(use.name, role, "multiplied with another weight's output")


def _gates_of_attention(
    walks: Walks,
    live: list[int],
    made: list[Use | None],
    pair: list[Expression],
    found: Mixing,
) -> None:
    """What is multiplied with what attention mixed."""
    for use, expression, other in zip(made, pair, live[::-1], strict=True):
        if use is not None and use.in_axes and expression.function and mixes(walks, other):
            found.role(use.name, "gate", "multiplied with what attention mixed")
            found.follow(use.name, Follow("gate", expression.label, expression.function))


def _block(walks: Walks, number: int, use: Use) -> Extent | None:
    """The part of a weight's out axis that a value holds; None for the whole."""
    mine = [e for e in map(rooted, extents(walks.value(number).dims)) if e.axis.owner == use.name]
    parts = [e for e in mine if e.axis.place in use.out_axes and 1 < e.size < e.axis.size]
    return parts[0] if parts else None


def _modulating(walks: Walks, owners: dict[int, Use], live: list[int], found: Mixing) -> None:
    """What stretches a normalised value: a gate if made of that value itself, a modulation if not."""
    small, large = sorted(live, key=lambda n: prod(walks.value(n).shape))
    use, expression = _use_at(walks, owners, small), walks.expression(small)
    if use is None or not use.in_axes:
        return
    if walks.reaches(walks.expression(large).base, small):
        found.role(use.name, "gate", "multiplied with what it is made of")
        found.follow(use.name, Follow("gate", expression.label, expression.function))
    else:
        found.follow(use.name, Follow("norm", "modulation"))


def _normalised(walks: Walks, owners: dict[int, Use], operation: Operation, found: Mixing) -> None:
    live = walks.live(operation)
    if operation.kind == "combine" and is_modulated(walks, operation, live):
        _modulating(walks, owners, live, found)
    if operation.kind == "normalise" or is_norm(walks, operation):
        whole = uncentred(walks, walks.expression(operation.inputs[0]).base)
        use = _use_at(walks, owners, whole)
        if use is not None:
            found.follow(use.name, Follow("norm"))


def _routers(walks: Walks, owners: dict[int, Use], operation: Operation, found: Mixing) -> None:
    """Outputs of which the largest are chosen, or that weigh the outputs of others."""
    if operation.kind == "softmax" and operation.inputs:
        use = _use_at(walks, owners, operation.inputs[0])
        if use is not None and walks.expression(operation.inputs[0]).function is None:
            found.follow(use.name, Follow("softmax"))
            if use.in_axes and _over_features(walks, operation, use) and _weighs(walks, operation):
                found.role(use.name, "router", "the softmax of its outputs weighs other outputs")
    if operation.label not in _CHOICES or not _chooses(walks, operation):
        return
    for number in walks.back(
        operation.inputs[0], stop=lambda made: made.product is not None or made.kind == "recurrent"
    ):
        if number in owners and owners[number].in_axes:
            found.role(owners[number].name, "router", "the largest of its outputs are chosen")
            found.follow(owners[number].name, Follow("softmax"))


def _over_features(walks: Walks, softmax: Operation, use: Use) -> bool:
    """Whether a softmax runs over what a weight makes, not over places."""
    dims = walks.value(softmax.inputs[0]).dims
    over = [e for e in map(rooted, extents(dims[k] for k in softmax.over)) if e.size > 1]
    return bool(over) and all(e.axis.owner == use.name for e in over)


def _weighs(walks: Walks, operation: Operation) -> bool:
    """Whether what comes out is multiplied with live values, and not returned."""
    left, seen = list(operation.outputs), set[int]()
    while left and len(seen) < 64:
        number = left.pop(0)
        seen.add(number)
        for reader in walks.readers.get(number, []):
            two = len(walks.live(reader)) > 1
            if two and (reader.label == "mul" or reader.kind == "contract"):
                return True
            if reader.kind in ("view", "pointwise", "move", "combine"):
                left += [n for n in reader.outputs if n not in seen]
    return False


def _chooses(walks: Walks, operation: Operation) -> bool:
    """Whether what is chosen decides on something: it is read again and not merely returned."""
    return operation.label != "argmax" or bool(walks.readers.get(operation.outputs[0]))


def _heads(
    walks: Walks,
    owners: dict[int, Use],
    written: set[str],
    found: Mixing,
    feeds: Mapping[int, Feed],
) -> None:
    """Weights whose output the model returns."""

    def attended(use: Use) -> bool:
        return feeds[use.operation.number].source == "attention"

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
        squashed = _SQUASHED & set(expression.label.split(", "))
        if (expression.function is None or expression.affine or squashed) and not attended(use):
            found.follow(use.name, Follow("output"))
            found.role(use.name, "head", "the model returns its output")


def _feeds(walks: Walks, owners: dict[int, Use], use: Use) -> bool:
    """Whether further weights read a weight's output: what the model then returns is a state it keeps."""
    return any(
        walks.reaches(use.output, other.entering)
        for other in owners.values()
        if other.in_axes and other.operation.number > use.operation.number
    )


def _branches(
    uses: list[Use], feeds: Mapping[int, Feed], ended: Mapping[int, Feed], found: Mixing
) -> None:
    """The last weight of an MLP branch is its down, the one that feeds it its up; also past a norm."""
    for use in uses:
        feed = ended.get(use.operation.number)
        if use.operation.kind != "contract" or feed is None:
            continue
        if feed.source == "attention":
            found.role(use.name, "attention out", "fed by what attention mixed")
        elif feed.source == "gated":
            found.role(use.name, "down", "fed by gated values, written to the stream")
        elif feed.source == "weight" and feed.activation is not None:
            found.role(use.name, "down", f"fed by {feed.label}, written to the stream")
            found.role(feed.weight, "up", f"widens what {use.name} brings back")
