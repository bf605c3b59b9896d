"""Attention: which weights, or which blocks of one, make queries, keys and values."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final, Literal

from pondera.model.axes import Extent, extents, rooted
from pondera.model.roles.kinds import is_attention, logits_of, origin_of
from pondera.model.roles.uses import Use
from pondera.model.roles.walks import Walks
from pondera.model.trace import Operation

Operand = Literal["query", "key", "value"]
ORDER: Final[tuple[Operand, ...]] = ("query", "key", "value")


@dataclass
class Attention:
    """What attention reads.

    Args:
        operands: (parameter, operand) → the blocks of its out axis that the operand is made of.
        logits: values that hold attention's logits before the softmax.
    """

    operands: dict[tuple[str, Operand], list[Extent]] = field(
        default_factory=dict[tuple[str, Operand], list[Extent]]
    )
    logits: set[int] = field(default_factory=set[int])

    def of(self, name: str) -> dict[Operand, list[Extent]]:
        """What a parameter makes."""
        return {o: self.operands[name, o] for o in ORDER if (name, o) in self.operands}


def attention_of(walks: Walks, owners: dict[int, Use]) -> Attention:
    """Queries, keys and values of every attention in the graph, fused or written out."""
    found = Attention()
    for operation in walks.graph.operations:
        seen = dict[str, dict[Operand, list[Extent]]]()
        for operand, number in _operands(walks, operation, found.logits):
            for use, parts in _sources(walks, owners, number):
                seen.setdefault(use.name, {})[operand] = parts
        for name, parts in seen.items():
            for operand, extent in _blocks(parts).items():
                found.operands.setdefault((name, operand), []).append(extent)
    return found


def _operands(walks: Walks, operation: Operation, logits: set[int]) -> list[tuple[Operand, int]]:
    """What an operation that mixes values reads as query, key and value."""
    if operation.label.startswith("_scaled_dot_product"):
        pairs = zip(operation.slots, operation.inputs, strict=False)
        return [(slot, number) for slot, number in pairs if slot in ORDER]  # type: ignore[misc]
    if not is_attention(walks, operation):
        return []
    softmax = walks.graph.maker(origin_of(walks, operation.inputs[0]))
    if softmax is None:
        return []
    product = logits_of(walks, softmax)
    if product is None:
        return []
    logits.add(product.outputs[0])
    other = operation.inputs[-1]
    return [("query", product.inputs[-2]), ("key", product.inputs[-1]), ("value", other)]


def _sources(walks: Walks, owners: dict[int, Use], number: int) -> list[tuple[Use, list[Extent]]]:
    """The weights that an operand is made of, each with the parts of its out axis that lead to it."""
    seen = defaultdict[str, list[Extent]](list)
    uses = dict[str, Use]()
    stops = set(owners)

    def at_a_weight(made: Operation) -> bool:
        far = made.kind in ("lookup", "recurrent") or is_attention(walks, made)
        return far or any(output in stops for output in made.outputs)

    for each in walks.back(number, stop=at_a_weight):
        if each in owners:
            uses[owners[each].name] = owners[each]
        for extent in map(rooted, extents(walks.value(each).dims)):
            if extent.axis.owner:
                seen[extent.axis.owner].append(extent)
    found = list[tuple[Use, list[Extent]]]()
    for name, use in uses.items():
        mine = [e for e in seen[name] if e.axis.place in use.out_axes and e.size > 1]
        if use.in_axes and mine:
            found.append((use, mine))
    return found


def _blocks(parts: dict[Operand, list[Extent]]) -> dict[Operand, Extent]:
    """Per operand the largest part that is its own; the whole where none is."""
    counts = Counter(key for extents_seen in parts.values() for key in {*map(_key, extents_seen)})
    found = dict[Operand, Extent]()
    for operand, extents_seen in parts.items():
        if len(parts) == 1:
            return {operand: max(extents_seen, key=lambda e: e.size)}
        own = [e for e in extents_seen if e.size < e.axis.size and counts[_key(e)] == 1]
        shared = [e for e in extents_seen if e.size == e.axis.size]
        found[operand] = max(own or shared or extents_seen, key=lambda e: e.size)
    return found


def _key(extent: Extent) -> tuple[int, int, int]:
    return id(extent.axis), extent.start, extent.size
