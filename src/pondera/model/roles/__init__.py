"""Graph → what each parameter is: its role, its true fans, and what surrounds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pondera.model.roles.attention import Attention, attention_of
from pondera.model.roles.mixing import Mixing, mixing_of
from pondera.model.roles.parts import parts_of
from pondera.model.roles.recurrent import recurrent_parts, state_space_role
from pondera.model.roles.small import Small, smalls_of, steps_of
from pondera.model.roles.streams import Streams, streams_of
from pondera.model.roles.uses import Use, feed_of, is_norm, uses_of
from pondera.model.roles.walks import Walks
from pondera.model.sites import Anatomy, Feed, Follow, Part, Role, Site, Writer
from pondera.model.trace import Graph


@dataclass(frozen=True)
class _Findings:
    """All that the walks found."""

    walks: Walks
    by_name: Mapping[str, list[Use]]
    feeds: Mapping[int, Feed]
    streams: Streams
    attention: Attention
    mixing: Mixing
    smalls: Mapping[str, Small]
    recurrent: Mapping[str, str]
    steps: Mapping[str, str]


def roles_of(graph: Graph) -> Anatomy:
    """What each parameter of a network is.

    Args:
        graph: what one pass did.

    Returns:
        A site per parameter, in the model's order.
    """
    found = _findings(graph)
    sites = tuple(_site(found, name) for name in graph.shapes)
    normalised = any(
        operation.kind == "normalise" or is_norm(found.walks, operation)
        for operation in graph.operations
    )
    weights = [use for uses in found.by_name.values() for use in uses if use.in_axes]
    return Anatomy(
        sites=sites,
        normalised=normalised,
        depth=len({use.operation.number for use in weights}),
        streams=len(found.streams.roots),
        answered=graph.answered,
        unseen=tuple(site.name for site in sites if site.role == "unused"),
    )


def _findings(graph: Graph) -> _Findings:
    walks = Walks(graph)
    uses = uses_of(walks)
    owners = {use.output: use for use in uses}
    streams = streams_of(walks, owners)
    feeds = {
        use.operation.number: feed_of(walks, use.entering, owners, streams.sums) for use in uses
    }
    attention = attention_of(walks, owners)
    by_name = dict[str, list[Use]]()
    for use in uses:
        by_name.setdefault(use.name, []).append(use)
    branches = {name for addition in streams.additions for name in addition.scales}
    smalls = smalls_of(walks, owners, attention.logits, branches)
    states = {n for n, s in smalls.items() if _state_space(graph, n, s.role) == "state"}
    return _Findings(
        walks,
        by_name,
        feeds,
        streams,
        attention,
        mixing_of(walks, uses, owners, streams, feeds),
        smalls,
        _recurrent(walks),
        steps_of(walks, owners, states),
    )


def _state_space(graph: Graph, name: str, role: Role) -> Role:
    found = state_space_role(graph.owners[name].leaf, role)
    return found[0] if found else role


def _recurrent(walks: Walks) -> dict[str, str]:
    """Names of the parameters of recurrent layers → which kind of layer."""
    return {
        name: operation.label
        for operation in walks.graph.operations
        if operation.kind == "recurrent"
        for number in operation.inputs
        for name in walks.value(number).parameters
    }


def _site(found: _Findings, name: str) -> Site:
    graph = found.walks.graph
    ties = tuple(full for full, first in graph.ties.items() if first == name)
    plain = Site(
        name,
        graph.shapes[name],
        graph.owners[name],
        (_whole("unused", graph.shapes[name]),),
        ties=ties,
        trained=name not in graph.frozen,
    )
    if name in found.recurrent:
        return _recurrent_site(found, plain)
    if name in found.by_name:
        return _weight_site(found, plain)
    if name in found.smalls:
        return _small_site(found, plain)
    return _with(plain, why="the pass was not seen to use it")


def _with(site: Site, **known: object) -> Site:
    return Site(**{**site.__dict__, **known})  # type: ignore[arg-type]


def _whole(
    role: Role, shape: tuple[int, ...], fan_in: int | None = None, fan_out: int | None = None
) -> Part:
    return Part(role, (0,) * len(shape), shape, fan_in, fan_out)


def _recurrent_site(found: _Findings, plain: Site) -> Site:
    label = found.recurrent[plain.name]
    parts = recurrent_parts(plain.owner, plain.shape, label)
    axes = ((1,), (0,)) if len(plain.shape) > 1 else ((), ())
    kind = f"a gate of {len(parts)}" if len(parts) > 1 else "the kernel"
    why = f"{kind} of a recurrent layer ({label})"
    return _with(plain, parts=parts, in_axes=axes[0], out_axes=axes[1], why=why)


def _small_site(found: _Findings, plain: Site) -> Site:
    small = found.smalls[plain.name]
    role, why = state_space_role(plain.owner.leaf, small.role) or (small.role, small.why)
    if found.steps.get(plain.name) == "time step":
        role, why = "time step", "added before the softplus that makes a state-space layer's step"
    return _with(plain, parts=(_whole(role, plain.shape),), neutral=small.neutral, why=why)


def _weight_site(found: _Findings, plain: Site) -> Site:
    uses = found.by_name[plain.name]
    summed = [use for use in uses if use.in_axes]
    first = summed[0] if summed else uses[0]
    operands = found.attention.of(plain.name)
    parts, why = parts_of(plain, first, operands, found.mixing, found.feeds[first.operation.number])
    if found.steps.get(plain.name) == "time step weight":
        parts = (_whole("time step weight", plain.shape, first.fan_in, first.fan_out),)
        why = "makes the step of a state-space layer"
    tabled = any(use.operation.kind == "lookup" for use in uses)
    if summed and tabled:
        parts = (_whole("embedding", plain.shape, first.fan_in, first.fan_out),)
        why = "rows are looked up in it, and the output is multiplied by it"
    elif tabled:
        parts, why = _table(found, plain, uses[0])
    value = found.walks.value(first.operation.inputs[first.product.weight])
    maker = found.walks.graph.maker(value.number)
    others = value.parameters - {plain.name}
    writer, scaled_by = _writer(found.streams, plain.name)
    attended = "attention" if operands else ""
    return _with(
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
        depth=first.operation.number,
        writer=writer,
        scaled_by=scaled_by,
        uses=len(uses),
        tied_head=bool(summed) and tabled,
        fixed_by=maker.label if others and maker is not None else "",
        why=why,
    )


def _table(found: _Findings, plain: Site, use: Use) -> tuple[tuple[Part, ...], str]:
    """An embedding, or positions where the rows do not depend on the input."""
    live = found.walks.value(use.entering).live
    if live:
        return (_whole("embedding", plain.shape),), "rows are looked up in it by the input"
    return (_whole("position", plain.shape),), "rows are looked up in it by place"


def _writer(streams: Streams, name: str) -> tuple[Writer | None, str]:
    """A weight's place on its stream, and the layer scale between."""
    for number, additions in enumerate(streams.roots.values()):
        for place, addition in enumerate(additions):
            if any(use.name == name for use in addition.writers):
                scale = addition.scales[0] if addition.scales else ""
                return Writer(number, place, len(additions), _per_block(additions)), scale
    return None, ""


def _per_block(additions: list[object]) -> int:
    return 2 if len(additions) % 2 == 0 else 1
