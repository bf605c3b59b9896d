"""The starts and the bounds of a study in their order, each with the marks by which pictures show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pondera.report.theme import LIGHT
from pondera.report.wording import clipped

# 8 colours, 7 dashes and 7 shapes: the cycles meet again only at the 57th arm.
DASHES = ((1, 0), (8, 3), (2, 3), (10, 3, 2, 3), (5, 2), (14, 3), (6, 2, 1, 2, 1, 2))
SHAPES = (
    "circle",
    "square",
    "triangle-up",
    "diamond",
    "triangle-down",
    "cross",
    "triangle-left",
)


@dataclass(frozen=True)
class Arm:
    """One start or bound: its key in the result, its name in print, its place in the order."""

    key: str
    label: str
    place: int
    winner: bool

    @property
    def series(self) -> int:
        """Index into a theme's series colours."""
        return self.place % len(LIGHT.series)

    @property
    def dash(self) -> tuple[int, ...]:
        """Lengths of stroke and gap, in pixels."""
        return DASHES[self.place % len(DASHES)]

    @property
    def shape(self) -> str:
        """Vega's name for the shape of its points."""
        return SHAPES[self.place % len(SHAPES)]


def arms_of(result: Mapping[str, Any]) -> tuple[Arm, ...]:
    """The starts of a study: those that raced, then those that were only looked at.

    A start is called by its title; where two share one, the key tells them apart.
    """
    race = result["race"]
    keys = [*race, *(key for key in result["looks"] if key not in race)]
    titles = {key: clipped(race.get(key, {}).get("title") or key) for key in keys}
    return _told_apart(titles, result["answer"]["winner"], first=0)


def bounds_of(result: Mapping[str, Any]) -> tuple[Arm, ...]:
    """The bounds of a study; none where its second half was left out.

    Their places go on where those of the starts end, so that no bound wears a start's marks.
    """
    half = result.get("bounds")
    if not half:
        return ()
    titles = {key: clipped(entry["title"] or key) for key, entry in half["arms"].items()}
    return _told_apart(titles, half["answer"]["winner"], first=len(arms_of(result)))


def _told_apart(titles: Mapping[str, str], winner: str | None, *, first: int) -> tuple[Arm, ...]:
    """Arms by their titles, each with its key behind it where another has the same."""
    shared = Counter(titles.values())
    return tuple(
        Arm(
            key=key,
            label=title if shared[title] == 1 else f"{title} ({key})",
            place=place,
            winner=key == winner,
        )
        for place, (key, title) in enumerate(titles.items(), first)
    )
