"""Residual streams: which additions continue them, and which weights write to them."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

from pondera.model.roles.kinds import origin_of
from pondera.model.roles.uses import Use
from pondera.model.roles.walks import Walks
from pondera.model.trace import Operation


@dataclass(frozen=True)
class Addition:
    """One addition to a residual stream.

    Args:
        operation: the sum.
        stream: number of the value that the stream began with.
        branch: the value that is added.
        writers: uses of the weights whose outputs it is.
        scales: names of the parameters that multiply the branch on its way.
        norms: numbers of the normalisations between the writers and the stream.
    """

    operation: Operation
    stream: int
    branch: int
    writers: tuple[Use, ...]
    scales: tuple[str, ...] = ()
    norms: tuple[int, ...] = ()


@dataclass
class Streams:
    """All residual streams of a network.

    Args:
        additions: in order.
        roots: stream → its additions.
    """

    additions: list[Addition] = field(default_factory=list[Addition])
    roots: dict[int, list[Addition]] = field(default_factory=dict[int, list[Addition]])

    @property
    def sums(self) -> set[int]:
        """Numbers of the operations that add."""
        return {addition.operation.number for addition in self.additions}


def streams_of(walks: Walks, owners: dict[int, Use], skips: Set[str] = frozenset()) -> Streams:
    """Every addition of a branch to the value that it was made of.

    Args:
        walks: the graph.
        owners: value → the use that made it.
        skips: names of the parameters that multiply a way past a state-space layer: no streams.
    """
    found, began = Streams(), dict[int, int]()
    for operation in walks.graph.operations:
        live = walks.live(operation)
        if operation.kind != "combine" or operation.label != "add" or len(live) != 2:
            continue
        if operation.outputs[0] in owners:
            continue  # an adapter's sum
        pair = _stream_and_branch(walks, owners, began, *live)
        if pair is None or skips & set(walks.expression(pair[0]).scales):
            continue
        kept, branch = pair
        stream = _begin(walks, began, kept)
        began[operation.outputs[0]] = stream
        writers, scales, norms = _writers(walks, owners, branch, kept)
        addition = Addition(operation, stream, branch, tuple(writers), tuple(scales), tuple(norms))
        found.additions.append(addition)
        found.roots.setdefault(stream, []).append(addition)
    return found


def _begin(walks: Walks, began: dict[int, int], kept: int) -> int:
    """The stream that a value belongs to, through activations and normalisations of its sums."""
    number = origin_of(walks, kept)
    maker = walks.graph.maker(number)
    while number not in began and maker is not None and maker.kind == "normalise":
        number = origin_of(walks, maker.inputs[0])
        maker = walks.graph.maker(number)
    return began.get(number, number)


def _stream_and_branch(
    walks: Walks, owners: dict[int, Use], began: dict[int, int], one: int, other: int
) -> tuple[int, int] | None:
    """Which of two summands is the stream; None if neither is made of the other."""
    first, second = walks.expression(one).base, walks.expression(other).base
    if first == second:
        return None
    for kept, base, branch in ((one, first, other), (other, second, one)):
        between = walks.ancestors[branch] & ~walks.ancestors[kept]
        if walks.reaches(base, branch) and _weights(walks, owners, between):
            return kept, branch
    member, rival = began.get(first), began.get(second)
    if member is not None and rival is None and walks.reaches(member, other):
        return one, other  # a branch beside another, from before it was added
    if rival is not None and member is None and walks.reaches(rival, one):
        return other, one
    return _shortcut(walks, owners, one, other)


def _weights(walks: Walks, owners: dict[int, Use], bits: int) -> int:
    """How many weights' outputs are in a set of values."""
    return sum(1 for number, use in owners.items() if bits >> number & 1 and use.in_axes)


def _shortcut(walks: Walks, owners: dict[int, Use], one: int, other: int) -> tuple[int, int] | None:
    """A projection beside a longer branch from the same value, as where a ResNet changes its width."""
    bits_one, bits_other = walks.ancestors[one], walks.ancestors[other]
    if not bits_one & bits_other:
        return None
    own = _weights(walks, owners, bits_one & ~bits_other)
    others = _weights(walks, owners, bits_other & ~bits_one)
    if own == 1 and others >= 2 and _projects(walks, owners, one, other):
        return one, other
    if others == 1 and own >= 2 and _projects(walks, owners, other, one):
        return other, one
    return None


def _projects(walks: Walks, owners: dict[int, Use], number: int, branch: int) -> bool:
    """Whether a summand is a weight's output, perhaps normalised, of what the branch is made of, too."""
    expression = walks.expression(number)
    maker = walks.graph.maker(expression.base)
    if maker is not None and maker.kind == "normalise":
        expression = walks.expression(maker.inputs[0])
    use = owners.get(expression.base)
    return (
        use is not None and expression.affine and walks.reaches(_before_pools(walks, use), branch)
    )


def _before_pools(walks: Walks, use: Use) -> int:
    """What a projection reads, before it was pooled."""
    expression = walks.expression(use.entering)
    maker = walks.graph.maker(use.entering)
    if maker is not None and maker.kind in ("reduce", "view") and not expression.function:
        return expression.base
    return use.entering


def _writers(
    walks: Walks, owners: dict[int, Use], branch: int, kept: int
) -> tuple[list[Use], list[str], list[int]]:
    """The weights whose outputs are added, and the scales and normalisations between."""
    writers, scales, norms = list[Use](), list[str](), list[int]()
    left, seen = [branch], set[int]()
    while left:
        number = left.pop(0)
        if number in seen or len(seen) > 256:
            continue
        seen.add(number)
        expression = walks.expression(number)
        scales += expression.scales
        base = origin_of(walks, number)
        if base in owners:
            writers.append(owners[base])
            continue
        maker = walks.graph.maker(base)
        if maker is not None and maker.kind == "normalise":
            norms.append(maker.number)
        left += _before(walks, base, kept)
    unique = {use.name: use for use in writers}.values()
    return list(unique), list(dict.fromkeys(scales)), norms


def _before(walks: Walks, base: int, kept: int) -> list[int]:
    """What a branch is made of, where that is a sum, a gate, a normalisation or a gathering."""
    maker = walks.graph.maker(base)
    if maker is None:
        return []
    live = walks.live(maker)
    if maker.kind == "normalise":
        return live[:1]
    if maker.kind == "combine" and maker.label == "add":
        return [n for n in live if n != kept]
    if maker.kind == "combine" and maker.label in ("mul", "div") and len(live) == 2:
        own = [n for n in live if walks.reaches(origin_of(walks, kept), n)]
        return own[:1] if len(own) == 1 else live
    if maker.kind in ("move", "reduce") or maker.label in ("floor_divide",):
        return live
    return []
