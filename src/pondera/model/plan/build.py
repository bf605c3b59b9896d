"""Anatomy and scheme → a row per block of each parameter."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import isfinite

from pondera.core.errors import DomainError, ShapeError, placed
from pondera.model.plan.row import PlanRow
from pondera.model.schemes.base import KINDS
from pondera.model.schemes.ruling import Case, Ruling, Scheme
from pondera.model.schemes.spread import stack_of, true_std
from pondera.model.schemes.survey import Survey
from pondera.model.sites import Anatomy, Part, Site


@dataclass(frozen=True)
class Built:
    """A scheme's answer for a network.

    Args:
        rows: in the model's order.
        notes: what else to know.
    """

    rows: tuple[PlanRow, ...]
    notes: tuple[str, ...]


def built(anatomy: Anatomy, scheme: Scheme) -> Built:
    """All rows of a network by a scheme.

    Args:
        anatomy: what its parameters are.
        scheme: the table.

    Raises:
        DomainError, ShapeError: the network is none for this scheme; the parameter is named.
    """
    survey = Survey(anatomy)
    if scheme.check is not None:
        scheme.check(survey)
    rows = tuple(row for site in anatomy.sites for row in _site_rows(scheme, survey, site))
    return Built(rows, (*scheme.notes, *_answers(anatomy)))


def _answers(anatomy: Anatomy) -> tuple[str, ...]:
    return tuple(
        f"the pass depends on numbers, and was given an answer: {a}" for a in anatomy.answered
    )


def _site_rows(scheme: Scheme, survey: Survey, site: Site) -> list[PlanRow]:
    labels = labels_of(site)
    return [
        _row(Case(scheme, survey, site, part), label)
        for part, label in zip(site.parts, labels, strict=True)
    ]


def labels_of(site: Site) -> tuple[str, ...]:
    """A name for each block of a packed parameter, unique in it: its own, or its role, numbered if need be."""
    if not site.packed:
        return ("",)
    plain = [(part.label or part.role).replace(" ", "_") for part in site.parts]
    count, seen = Counter(plain), Counter[str]()
    labels = list[str]()
    for name in plain:
        labels.append(f"{name}.{seen[name]}" if count[name] > 1 else name)
        seen[name] += 1
    return tuple(labels)


def _row(case: Case, label: str) -> PlanRow:
    site, part = case.site, case.part
    ruling = _ruling(case)
    law = ruling.law if ruling else None
    why = ruling.why if ruling else _no_rule(case)
    key = f"{site.name}#{label}" if label else site.name
    return PlanRow(
        site.name,
        part.shape,
        part.role,
        law,
        why + _also(site),
        label=label,
        offset=part.offset or (0,) * len(part.shape),
        stored=site.shape,
        in_axes=site.in_axes,
        out_axes=site.out_axes,
        stack=stack_of(site, part),
        fan_in=part.fan_in,
        fan_out=part.fan_out,
        gain=ruling.gain if ruling else None,
        decay=_decays(case, ruling),
        rate=ruling.rate if ruling else 1.0,
        stream=key,
        kept=ruling is not None and law is None,
        trained=site.trained,
        known=_known(case),
    )


def _ruling(case: Case) -> Ruling | None:
    if not case.site.trained:
        return Ruling(None, "left as it is: frozen, it will not be trained")
    if case.part.role == "unused":
        return None
    try:
        ruling = case.said()
        if ruling is not None and ruling.law is not None:
            _need_std(ruling, case.site, case.part)
    except (DomainError, ShapeError) as fact:
        raise fact if case.site.name in str(fact) else placed(case.site.name, fact) from None
    return ruling


def _need_std(ruling: Ruling, site: Site, part: Part) -> None:
    """The law fits the block."""
    if ruling.law is not None and not isfinite(std := true_std(ruling.law, site, part)):
        raise DomainError(f"laws: {ruling.law.name} gives no std; got std={std}. Use another law.")


def _no_rule(case: Case) -> str:
    if case.part.role == "unused":
        return "no rule: the forward pass was not seen to use it"
    return f"no rule: {case.scheme.name} says nothing of the role {case.part.role!r}"


def _also(site: Site) -> str:
    again = f"; the first of its {site.uses} uses" if site.uses > 1 and not site.tied_head else ""
    tied = f"; tied to {', '.join(site.ties)}" if site.ties else ""
    return again + tied


def _decays(case: Case, ruling: Ruling | None) -> bool:
    if not case.site.trained:
        return False
    if ruling is not None and ruling.decay is not None:
        return ruling.decay
    role = case.part.role
    return case.scheme.decays.get(role, KINDS[role] == "weight")


def _known(case: Case) -> str:
    fed = f"fed by {case.fed_by()}" if case.part.fan_in else ""
    writer = case.site.writer
    place = f"writer {writer.place + 1} of {writer.count} to its stream" if writer else ""
    return "; ".join(told for told in (case.site.why, fed, place) if told)
