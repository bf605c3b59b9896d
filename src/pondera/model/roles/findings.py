"""All that the walks through one graph found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from pondera.model.roles.attention import Attention
from pondera.model.roles.making import Making
from pondera.model.roles.mixing import Mixing
from pondera.model.roles.small import Small
from pondera.model.roles.streams import Addition, Streams
from pondera.model.roles.uses import Use
from pondera.model.roles.walks import Walks
from pondera.model.sites import Feed, Writer
from pondera.model.trace import Operation


@dataclass(frozen=True)
class Findings:
    """What is known of a graph before its sites are written.

    Args:
        walks: the graph.
        by_name: parameter → its uses as a weight.
        owners: value → the use that made it.
        feeds: operation → what reaches its weight.
        streams: residual streams.
        attention: queries, keys and values.
        mixing: roles by where outputs go.
        smalls: parameters that are no weights.
        making: weights that are made of several parameters.
        recurrent: parameter → the recurrent layer that reads it.
        steps: parameters that make the steps of state-space layers → their role.
    """

    walks: Walks
    by_name: Mapping[str, list[Use]]
    owners: Mapping[int, Use]
    feeds: Mapping[int, Feed]
    streams: Streams
    attention: Attention
    mixing: Mixing
    smalls: Mapping[str, Small]
    making: Making
    recurrent: Mapping[str, Operation]
    steps: Mapping[str, str]

    @cached_property
    def ranks(self) -> dict[int, int]:
        """Operation with a weight → how many came before it."""
        uses = (use for uses in self.by_name.values() for use in uses)
        numbers = {use.operation.number for use in uses}
        numbers |= {operation.number for operation in self.recurrent.values()}
        return {number: place for place, number in enumerate(sorted(numbers))}

    @cached_property
    def writers(self) -> dict[str, tuple[Writer, str]]:
        """Weight → its place on a stream, and the layer scale between."""
        found = dict[str, tuple[Writer, str]]()
        for writer, addition in self._additions():
            scale = addition.scales[0] if addition.scales else ""
            for use in addition.writers:
                found.setdefault(use.name, (writer, scale))
        return found

    @cached_property
    def ends(self) -> dict[int, Writer]:
        """Normalisation that ends a branch → the branch's place on its stream."""
        return {
            number: writer
            for writer, addition in reversed(list(self._additions()))
            for number in addition.norms
        }

    def _additions(self) -> list[tuple[Writer, Addition]]:
        return [
            (Writer(number, place, len(additions), 2 - len(additions) % 2), addition)
            for number, additions in enumerate(self.streams.roots.values())
            for place, addition in enumerate(additions)
        ]

    @cached_property
    def read(self) -> dict[str, str]:
        """Parameter → label of the first operation that reads what is made of it."""
        found = dict[str, str]()
        for operation in self.walks.graph.operations:
            for number in operation.inputs:
                for name in self.walks.value(number).parameters:
                    found.setdefault(name, operation.label)
        return found
