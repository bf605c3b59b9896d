"""Attention: which weights, or which blocks of one, make queries, keys and values."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, Literal

from pondera.model.axes import Extent, extents, rooted
from pondera.model.roles.uses import Use, is_attention, origin_of
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
        for operand, number in _operands(walks, operation, found.logits):
            for use, extent in _sources(walks, owners, number):
                found.operands.setdefault((use.name, operand), []).append(extent)
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
    product = _logits(walks, softmax.inputs[0])
    if product is None:
        return []
    logits.add(product.outputs[0])
    other = operation.inputs[-1]
    return [("query", product.inputs[-2]), ("key", product.inputs[-1]), ("value", other)]


def _logits(walks: Walks, number: int) -> Operation | None:
    """The product of queries and keys behind masks, biases and factors."""
    for _ in range(16):
        base = origin_of(walks, number)
        maker = walks.graph.maker(base)
        if maker is None:
            return None
        live = walks.live(maker)
        if maker.kind == "contract" and len(live) == 2:
            return maker
        if maker.kind not in ("combine", "move", "view") or not live:
            return None
        number = _most_made(walks, live)
    return None


def _most_made(walks: Walks, live: list[int]) -> int:
    """Of several summands the one that is not a mask: that a product of two live values made."""
    for number in live:
        maker = walks.graph.maker(origin_of(walks, number))
        if maker is not None and maker.kind == "contract":
            return number
    return live[0]


def _sources(walks: Walks, owners: dict[int, Use], number: int) -> list[tuple[Use, Extent]]:
    """The weights that an operand is made of, each with the block of its out axis."""
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
    return [
        (use, block)
        for name, use in uses.items()
        if use.in_axes and (block := _block(seen[name], use)) is not None
    ]


def _block(extents_seen: list[Extent], use: Use) -> Extent | None:
    """The largest part that is not the whole: what was split off first; the whole if nothing was."""
    mine = [e for e in extents_seen if e.axis.place in use.out_axes and e.size > 1]
    whole = [e for e in mine if e.size == e.axis.size]
    parts = [e for e in mine if e.size < e.axis.size]
    if not parts:
        return whole[0] if whole else None
    largest = max(e.size for e in parts)
    return next(e for e in parts if e.size == largest)
