"""What a scheme is: a table from role to rule; and what a rule says of one weight."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pondera.core.errors import DomainError
from pondera.core.laws import AbstractLaw
from pondera.model.schemes.survey import Survey
from pondera.model.sites import Part, Role, Site


@dataclass(frozen=True)
class Ruling:
    """What a scheme says of one weight.

    Args:
        law: the law it is drawn by; None if it is left as it is.
        why: the reason, in words.
        gain: the factor on its std for what feeds it, None where there is none.
        rate: factor on the learning rate.
        decay: whether it decays; None leaves that to the scheme's table and the role.
    """

    law: AbstractLaw | None
    why: str
    gain: float | None = None
    rate: float = 1.0
    decay: bool | None = None


@dataclass(frozen=True)
class Case:
    """One block of one parameter, before a scheme.

    Args:
        scheme: the scheme that is asked.
        survey: the whole network.
        site: the parameter.
        part: the block.
    """

    scheme: Scheme
    survey: Survey
    site: Site
    part: Part

    @property
    def role(self) -> Role:
        """What the block is."""
        return self.part.role

    @property
    def fan_in(self) -> int:
        """Inputs summed over; an error that names the parameter if it sums over none."""
        if not self.part.fan_in:
            raise DomainError(
                f"{self.site.name}: {self.scheme.name} needs a fan_in for the role {self.role!r}; got "
                f"fan_in={self.part.fan_in}. Give it a law of its own: plan[{self.site.name!r}] = …"
            )
        return self.part.fan_in

    @property
    def writers(self) -> int:
        """How many weights write to the stream that it writes to; 0 if it writes to none."""
        return self.site.writer.count if self.site.writer else 0

    @cached_property
    def matrix(self) -> tuple[int, int]:
        """(outputs, everything else) of one of the stacked weights."""
        outputs = 1
        for axis in self.site.out_axes:
            outputs *= self.part.shape[axis]
        rest = 1
        for axis, size in enumerate(self.part.shape):
            if axis not in self.site.out_axes and axis not in self.site.batch_axes:
                rest *= size
        return max(1, outputs), max(1, rest)

    def feed_gain(self) -> float:
        """Exact gain for what feeds it: its activation, or that of the gate; 1 for neither."""
        feed = self.site.feed
        gain = 1.0
        if feed.source == "gated" and feed.gate is not None:
            gain = self.survey.gain(feed.gate, feed.label)  # E (f(u)·v)² = E f², v of variance 1
        elif feed.activation is not None:
            gain = self.survey.gain(feed.activation, feed.label)
        return gain

    def fed_by(self) -> str:
        """What feeds it, in words."""
        feed = self.site.feed
        source = _SOURCES[feed.source]
        if feed.source == "gated":
            return f"{feed.label or 'a gate'} × another flow"
        return f"{feed.label} of {source}" if feed.label else source

    def of(self, site: Site, part: Part | None = None) -> Case:
        """The same question of another parameter."""
        return Case(self.scheme, self.survey, site, part or site.parts[0])

    def said(self) -> Ruling | None:
        """What the scheme says of it."""
        return self.scheme.ruling(self)


_SOURCES = {
    "attention": "mixed values",
    "gated": "a gate",
    "input": "the input",
    "lookup": "an embedding",
    "mixed": "several flows mixed",
    "norm": "a normalisation",
    "stream": "the residual stream",
    "weight": "the layer before",
}

Rule = Callable[[Case], Ruling]


@dataclass(frozen=True)
class Scheme:
    """A named, cited table from role to rule.

    Args:
        name: what the scheme is called.
        title: what it is for, in a few words.
        source: where it comes from.
        rules: role → rule; a role that is absent has no rule.
        named: pattern of the parameter's name, small letters → rule; asked before the roles.
        decays: role → whether it decays, where that differs from what its role says.
        notes: what the model itself must do, or what else to know.
        check: raises a DomainError where the network is none for this scheme.
    """

    name: str
    title: str
    source: str
    rules: Mapping[Role, Rule]
    named: Mapping[str, Rule] = field(default_factory=dict[str, Rule])
    decays: Mapping[Role, bool] = field(default_factory=dict[Role, bool])
    notes: tuple[str, ...] = ()
    check: Callable[[Survey], None] | None = None

    def ruling(self, case: Case) -> Ruling | None:
        """What the scheme says of a block; None if it has no rule."""
        name = case.site.name.lower()
        for pattern, rule in self.named.items():
            if fnmatch.fnmatchcase(name, pattern):
                return rule(case)
        rule = self.rules.get(case.role)
        return rule(case) if rule else None
