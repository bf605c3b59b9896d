"""Graph → what each parameter is: its role, its true fans, and what surrounds it."""

from __future__ import annotations

from dataclasses import replace

from pondera.model.roles.adapters import adapters_of
from pondera.model.roles.attention import attention_of
from pondera.model.roles.experts import stacked
from pondera.model.roles.feeds import feed_of
from pondera.model.roles.findings import Findings
from pondera.model.roles.flows import prepared
from pondera.model.roles.kinds import is_norm
from pondera.model.roles.making import making_of
from pondera.model.roles.mixing import mixing_of
from pondera.model.roles.recurrent import recurrent_layers, state_space_role
from pondera.model.roles.site import site_of
from pondera.model.roles.small import smalls_of, steps_of
from pondera.model.roles.streams import streams_of
from pondera.model.roles.uses import Use, uses_of
from pondera.model.roles.walks import Walks
from pondera.model.sites import Anatomy
from pondera.model.trace import Graph


def roles_of(graph: Graph) -> Anatomy:
    """What each parameter of a network is.

    Args:
        graph: what one pass did, with the further passes that saw more parameters.

    Returns:
        A site per parameter, in the model's order.
    """
    first = _anatomy(graph)
    sites = {site.name: site for site in first.sites}
    for other in map(_anatomy, graph.further):
        late = {site.name: site for site in other.sites if site.role != "unused"}
        sites |= {name: late[name] for name in late if sites[name].role == "unused"}
    answered = (*first.answered, *(told for each in graph.further for told in each.answered))
    return replace(
        first,
        sites=tuple(sites.values()),
        answered=tuple(dict.fromkeys(answered)),
        unseen=tuple(site.name for site in sites.values() if site.role == "unused"),
    )


def _anatomy(graph: Graph) -> Anatomy:
    found = _findings(prepared(graph))
    walks = found.walks
    return Anatomy(
        sites=tuple(site_of(found, name) for name in graph.shapes),
        normalised=any(o.kind == "normalise" or is_norm(walks, o) for o in walks.graph.operations),
        depth=_longest(found),
        streams=len(found.streams.roots),
        answered=graph.answered,
    )


def _findings(graph: Graph) -> Findings:
    walks = Walks(graph)
    making = making_of(walks)
    uses = stacked(walks, uses_of(walks, making))
    owners = {use.output: use for use in reversed(uses) if use.output >= 0}
    adapters = adapters_of(walks, owners)
    skips = {n for n, owner in graph.owners.items() if _is_skip(owner.leaf)}
    streams = streams_of(walks, owners, skips)
    feeds = {
        use.operation.number: feed_of(walks, use.entering, owners, streams.sums) for use in uses
    }
    attention = attention_of(walks, owners)
    branches = {name for addition in streams.additions for name in addition.scales}
    smalls = smalls_of(walks, owners, attention.logits, branches)
    states = {n for n, owner in graph.owners.items() if state_space_role(owner.leaf) == "state"}
    mixing = mixing_of(walks, uses, owners, streams, feeds)
    mixing.roles |= adapters.roles
    return Findings(
        walks=walks,
        by_name=_by_name(uses),
        owners=owners,
        feeds=feeds,
        streams=streams,
        attention=attention,
        mixing=mixing,
        smalls=smalls,
        making=making,
        recurrent=recurrent_layers(graph),
        steps=steps_of(walks, owners, states),
    )


def _by_name(uses: list[Use]) -> dict[str, list[Use]]:
    found = dict[str, list[Use]]()
    for use in uses:
        found.setdefault(use.name, []).append(use)
    return found


def _is_skip(leaf: str) -> bool:
    return state_space_role(leaf) == "skip"


def _longest(found: Findings) -> int:
    """How many weights a signal passes on its longest way."""
    weighing = {
        use.operation.number for uses in found.by_name.values() for use in uses if use.in_axes
    }
    passed = dict[int, int]()
    for operation in found.walks.graph.operations:
        before = max((passed.get(n, 0) for n in operation.inputs), default=0)
        here = operation.number in weighing or operation.kind == "recurrent"
        passed |= dict.fromkeys(operation.outputs, before + here)
    return max(passed.values(), default=0)
