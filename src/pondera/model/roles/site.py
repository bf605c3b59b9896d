"""Findings → the site of one parameter."""

from __future__ import annotations

from dataclasses import replace

from pondera.model.roles.feeds import feed_of
from pondera.model.roles.findings import Findings
from pondera.model.roles.parts import part_of, parts_of, sliced_parts
from pondera.model.roles.recurrent import recurrent_parts, state_space_kind
from pondera.model.roles.splines import is_spline
from pondera.model.roles.uses import Use
from pondera.model.sites import Feed, Follow, Part, Site


def site_of(found: Findings, name: str) -> Site:
    """What a parameter is, by what was found.

    Args:
        found: the findings.
        name: the parameter's name.
    """
    graph = found.walks.graph
    plain = Site(
        name,
        graph.shapes[name],
        graph.owners[name],
        (part_of("unused", graph.shapes[name]),),
        ties=tuple(full for full, first in graph.ties.items() if first == name),
        trained=name not in graph.frozen,
        why="the pass was not seen to use it",
    )
    if name in found.recurrent:
        return _recurrent_site(found, plain)
    if name in found.by_name:
        return _weight_site(found, plain)
    if name in found.making.lengths:
        return _length_site(found, plain)
    if name in found.smalls:
        return _small_site(found, plain)
    return _other_site(found, plain)


def _other_site(found: Findings, plain: Site) -> Site:
    label = found.read.get(plain.name)
    if label is None:
        return plain
    why = f"read by {label}, without a part in what the model's inputs meet"
    return replace(plain, parts=(part_of("other", plain.shape),), why=why)


def _length_site(found: Findings, plain: Site) -> Site:
    weight, how = found.making.lengths[plain.name], found.making.fixed[plain.name]
    plainly = "scale", f"multiplies {weight} before its use ({how})"
    role, why = state_space_kind(plain.owner.leaf, "scale") or plainly
    return replace(plain, parts=(part_of(role, plain.shape),), fixed_by=how, why=why)


def _recurrent_site(found: Findings, plain: Site) -> Site:
    operation = found.recurrent[plain.name]
    parts = recurrent_parts(plain.owner, plain.shape, operation.label)
    axes = ((1,), (0,)) if len(plain.shape) > 1 else ((), ())
    kind = f"gates of {len(parts)}" if len(parts) > 1 else "the kernel"
    first = parts[0].role == "recurrent input" and "_l0" in plain.owner.leaf + "_l0"
    entering = feed_of(found.walks, operation.inputs[0], found.owners, found.streams.sums)
    return replace(
        plain,
        parts=parts,
        in_axes=axes[0],
        out_axes=axes[1],
        feed=entering if first else Feed(),
        depth=found.ranks[operation.number],
        why=f"{kind} of a recurrent layer ({operation.label})",
    )


def _small_site(found: Findings, plain: Site) -> Site:
    small = found.smalls[plain.name]
    role, why = state_space_kind(plain.owner.leaf, small.role) or (small.role, small.why)
    if found.steps.get(plain.name) == "time step":
        role, why = "time step", "added before the softplus that makes a state-space layer's step"
    made = replace(plain, parts=(part_of(role, plain.shape),), neutral=small.neutral, why=why)
    operation = found.walks.graph.operations[small.operation]
    if operation.kind != "normalise":
        return made
    feed = feed_of(found.walks, operation.inputs[0], found.owners, found.streams.sums)
    return replace(made, feed=feed, writer=found.ends.get(operation.number))


def _weight_site(found: Findings, plain: Site) -> Site:
    uses = found.by_name[plain.name]
    first = next((use for use in uses if use.in_axes), uses[0])
    parts, why = _parts(found, plain, uses, first)
    writer, scaled_by = found.writers.get(plain.name, (None, ""))
    attended = bool(found.attention.of(plain.name))
    tabled = any(use.operation.kind == "lookup" for use in uses)
    return replace(
        plain,
        parts=parts,
        in_axes=first.in_axes,
        out_axes=first.out_axes,
        batch_axes=first.batch_axes,
        spatial_axes=first.spatial_axes,
        groups=first.product.groups,
        stride=first.product.stride,
        transposed=first.product.transposed,
        feed=found.feeds[first.operation.number],
        follow=Follow("attention") if attended else found.mixing.follows.get(plain.name, Follow()),
        depth=found.ranks[first.operation.number],
        writer=writer,
        scaled_by=scaled_by,
        uses=len(uses),
        tied_head=bool(first.in_axes) and tabled,
        fixed_by=found.making.fixed.get(plain.name, ""),
        why=why,
    )


def _parts(
    found: Findings, plain: Site, uses: list[Use], first: Use
) -> tuple[tuple[Part, ...], str]:
    fans = first.fan_in, first.fan_out
    if plain.name in found.making.factors:
        factor = found.making.factors[plain.name]
        return (part_of(factor.role, plain.shape, *fans),), factor.why
    if found.steps.get(plain.name) == "time step weight":
        why = "makes the step of a state-space layer"
        return (part_of("time step weight", plain.shape, *fans),), why
    if any(use.operation.kind == "lookup" for use in uses):
        return _table(found, plain, uses, first)
    kind = state_space_kind(plain.owner.leaf, "dense")
    if kind is not None:
        return (part_of(kind[0], plain.shape, *fans),), kind[1]
    if is_spline(found.walks, first):
        why = "weighs the basis functions of a spline"
        return (part_of("spline", plain.shape, *fans),), why
    sliced = sliced_parts(found.walks, plain, uses, found.smalls.get(plain.name))
    if sliced and not found.attention.of(plain.name):
        role = found.mixing.roles.get(plain.name, ("dense", ""))[0] if first.batch_axes else "dense"
        parts = (replace(p, role=role) if p.role == "dense" else p for p in sliced)
        return tuple(parts), "several weights in one parameter, each used by itself"
    operands = found.attention.of(plain.name)
    return parts_of(plain, first, operands, found.mixing, found.feeds[first.operation.number])


def _table(
    found: Findings, plain: Site, uses: list[Use], first: Use
) -> tuple[tuple[Part, ...], str]:
    """An embedding, perhaps the head, too; or positions where the rows do not depend on the input."""
    if first.in_axes:
        why = "rows are looked up in it, and the output is multiplied by it"
        return (part_of("embedding", plain.shape, first.fan_in, first.fan_out),), why
    rows, walks = uses[0].entering, found.walks
    made = (walks.graph.maker(n) for n in walks.back(rows, stop=lambda made: made.kind == "lookup"))
    counted = any(maker is not None and maker.label == "cumsum" for maker in made)
    small = found.smalls.get(plain.name)
    if small is not None and small.role == "position bias":
        return (part_of("position bias", plain.shape),), small.why
    live = walks.value(rows).live and not counted
    told = "by the input" if live else "by place"
    role = "embedding" if live else "position"
    return (part_of(role, plain.shape),), f"rows are looked up in it {told}"
