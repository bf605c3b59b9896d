"""Which blocks of a weight have which role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pondera.model.axes import Extent, extents, rooted
from pondera.model.roles.attention import Operand
from pondera.model.roles.mixing import Mixing
from pondera.model.roles.small import Small
from pondera.model.roles.uses import Use
from pondera.model.roles.walks import Walks
from pondera.model.sites import Feed, Part, Role, Site


def parts_of(
    plain: Site,
    use: Use,
    operands: Mapping[Operand, list[Extent]],
    mixing: Mixing,
    feed: Feed,
) -> tuple[tuple[Part, ...], str]:
    """The parts of a weight, and why.

    Args:
        plain: its site, so far.
        use: its first use.
        operands: what attention makes of it.
        mixing: roles by where outputs go.
        feed: what reaches it.
    """
    if operands:
        blocks: dict[Role, Extent] = {role: extents[0] for role, extents in operands.items()}
        return _blocks(plain, use, blocks, "attention's")
    if plain.name in mixing.blocks and len(mixing.blocks[plain.name]) > 1:
        return _blocks(plain, use, mixing.blocks[plain.name], "a gated MLP's")
    if plain.name in mixing.roles:
        role, why = mixing.roles[plain.name]
        return (_whole(plain, use, role),), why
    if feed.source == "attention":
        return (_whole(plain, use, "attention out"),), "fed by what attention mixed"
    role = "convolution" if use.operation.kind == "convolve" else "dense"
    return (_whole(plain, use, role),), f"{role} weight"


def part_of(
    role: Role, shape: tuple[int, ...], fan_in: int | None = None, fan_out: int | None = None
) -> Part:
    """A parameter as one part."""
    return Part(role, (0,) * len(shape), shape, fan_in, fan_out)


def _whole(plain: Site, use: Use, role: Role, label: str = "") -> Part:
    return replace(part_of(role, plain.shape, use.fan_in, use.fan_out), label=label)


def sliced_parts(
    walks: Walks, plain: Site, uses: list[Use], small: Small | None
) -> tuple[Part, ...]:
    """One part per slice of a parameter of which slices are used as weights; none if it is used whole.

    Args:
        walks: the graph.
        plain: the parameter's site, so far.
        uses: its uses.
        small: what it is besides a weight, such as a bias; of what the uses leave.
    """
    found = dict[int, Part]()
    for use in uses:
        dims = walks.value(use.operation.inputs[use.product.weight]).dims
        mine = [e for e in map(rooted, extents(dims)) if e.axis.owner == plain.name]
        cut = [e for e in mine if e.size < e.axis.size]
        if len(cut) != 1 or not cut[0].whole:
            return ()
        found.setdefault(cut[0].start, _cut_part(plain, use, cut[0], mine))
    axis = next(
        (k for part in found.values() for k, n in enumerate(part.shape) if n < plain.shape[k]), 0
    )
    return _filled(plain, axis, found, small)


def _cut_part(plain: Site, use: Use, cut: Extent, mine: list[Extent]) -> Part:
    part = _part(plain, use, "dense", cut)
    return replace(part, fan_out=use.fan_out, label="")


def _filled(
    plain: Site, axis: int, found: dict[int, Part], small: Small | None
) -> tuple[Part, ...]:
    """The parts in order, with what lies between them; none if they overlap."""
    parts, at = list[Part](), 0
    for start in [*sorted(found), plain.shape[axis] if plain.shape else 0]:
        if start < at:
            return ()
        if start > at:
            shape = tuple(start - at if k == axis else n for k, n in enumerate(plain.shape))
            offset = tuple(at if k == axis else 0 for k in range(len(plain.shape)))
            parts.append(Part(small.role if small else "other", offset, shape))
        if start in found:
            parts.append(found[start])
            at = start + found[start].shape[axis]
    return tuple(parts) if len(parts) > 1 else ()


def _blocks(
    plain: Site, use: Use, blocks: Mapping[Role, Extent], whose: str
) -> tuple[tuple[Part, ...], str]:
    """One part per block that lies in one piece; one for all where heads are interleaved."""
    names = " and ".join(blocks) if len(blocks) < 3 else ", ".join(blocks)
    why = f"makes {whose} {names}"
    first = next(iter(blocks))
    whole = [role for role, extent in blocks.items() if extent.size == extent.axis.size]
    if len(blocks) == 1 or whole:
        return (_whole(plain, use, first, "" if len(blocks) == 1 else names),), why
    axis = next(iter(blocks.values())).axis.place
    if not all(extent.whole and extent.axis.place == axis for extent in blocks.values()):
        size = next(iter(blocks.values())).size
        return (
            Part(
                first, (0,) * len(plain.shape), plain.shape, use.fan_in, size, f"{names}, by head"
            ),
        ), why
    ordered = sorted(blocks.items(), key=lambda item: item[1].start)
    if not _covers(plain, axis, [extent for _, extent in ordered]):
        return (_whole(plain, use, first, names),), why
    return tuple(_part(plain, use, role, extent) for role, extent in ordered), why


def _covers(plain: Site, axis: int, blocks: list[Extent]) -> bool:
    """Whether the blocks follow each other without gap or overlap."""
    at = 0
    for block in blocks:
        if block.start != at:
            return False
        at = block.stop
    return at == plain.shape[axis]


def _part(plain: Site, use: Use, role: Role, extent: Extent) -> Part:
    axis = extent.axis.place
    offset = tuple(extent.start if k == axis else 0 for k in range(len(plain.shape)))
    shape = tuple(extent.size if k == axis else n for k, n in enumerate(plain.shape))
    return Part(role, offset, shape, use.fan_in, extent.size, role)
