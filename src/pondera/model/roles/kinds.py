"""What operations amount to: normalisation, attention, parts of a value."""

from __future__ import annotations

from pondera.model.roles.walks import Walks
from pondera.model.trace import Operation


def part_origin(walks: Walks, number: int) -> int:
    """The value of which this one is a part."""
    while True:
        maker = walks.graph.maker(number)
        if maker is None or maker.kind != "view":
            return number
        number = walks.expression(maker.inputs[0]).base
        if walks.graph.maker(number) is None:
            return number


def origin_of(walks: Walks, number: int) -> int:
    """The value that this one begins with, parts taken as the whole."""
    return part_origin(walks, walks.expression(number).base)


def is_norm(walks: Walks, maker: Operation) -> bool:
    """Whether an operation divides a value by a statistic of itself."""
    live = walks.live(maker)
    if maker.kind != "combine" or maker.label not in ("mul", "div") or len(live) != 2:
        return False
    for entering, by in (live, live[::-1]):
        of = walks.statistic_of(by)
        if of is not None and _same_stuff(walks, entering, of):
            return True
    return False


def _same_stuff(walks: Walks, entering: int, of: int) -> bool:
    one, other = (uncentred(walks, walks.expression(n).base) for n in (entering, of))
    return one == other or (walks.reaches(other, entering) and _near(walks, other, entering))


def uncentred(walks: Walks, number: int) -> int:
    """What a value was before its mean was taken off."""
    maker = walks.graph.maker(number)
    live = walks.live(maker) if maker is not None and maker.label == "sub" else []
    if len(live) == 2 and walks.statistic_of(live[1]) is not None:
        return walks.expression(live[0]).base
    return number


def _near(walks: Walks, early: int, late: int) -> bool:
    """Whether only pointwise operations and statistics lie between two values."""
    plain = ("combine", "pointwise", "reduce", "view")
    for number in walks.back(late, stop=lambda made: early in made.outputs):
        maker = walks.graph.maker(number)
        if maker is not None and maker.kind not in plain and early not in maker.outputs:
            return False
    return True


def is_attention(walks: Walks, maker: Operation) -> bool:
    """Whether an operation mixes values by weights that add to one, made of two values' products."""
    if maker.label.startswith("_scaled_dot_product"):
        return True
    if maker.kind != "contract" or maker.product is None or len(walks.live(maker)) < 2:
        return False
    first = walks.graph.maker(origin_of(walks, maker.inputs[0]))
    return first is not None and first.kind == "softmax" and logits_of(walks, first) is not None


def logits_of(walks: Walks, softmax: Operation) -> Operation | None:
    """The product of queries and keys behind masks, biases and factors."""
    number = softmax.inputs[0]
    for _ in range(16):
        maker = walks.graph.maker(origin_of(walks, number))
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
