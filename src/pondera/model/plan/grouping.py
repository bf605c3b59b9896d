"""Rows that differ by a number in their names alone, told as one: blocks.{0..23}.attn.qkv."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pondera.model.plan.row import PlanRow, shown_shape
from pondera.model.plan.spelling import brief

if TYPE_CHECKING:
    from pondera.model.plan.difference import Change

_MOST = 4  # numbers listed one by one
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Group:
    """Rows told as one.

    Args:
        name: their names, with the numbers in braces.
        rows: the rows.
    """

    name: str
    rows: tuple[PlanRow, ...]

    @property
    def first(self) -> PlanRow:
        """The row that stands for all."""
        return self.rows[0]

    @property
    def roles(self) -> str:
        """Their roles."""
        return ", ".join(dict.fromkeys(row.role for row in self.rows))

    @property
    def size(self) -> int:
        """How many numbers they hold together."""
        return sum(row.size for row in self.rows)

    @property
    def why(self) -> str:
        """The reason; where numbers in it differ, those are a dot."""
        reasons = dict.fromkeys(row.why for row in self.rows)
        if len(reasons) == 1:
            return self.first.why
        plain = {_plain(reason) for reason in reasons}
        return plain.pop() if len(plain) == 1 else f"{self.first.why}, …"

    def span(self, field: str) -> str:
        """A number of the rows, or the range that it runs over; "—" where there is none."""
        numbers = sorted({n for row in self.rows if (n := getattr(row, field)) is not None})
        if not numbers:
            return "—"
        low, high = (f"{number:.3g}" for number in (numbers[0], numbers[-1]))
        return low if low == high else f"{low} … {high}"


def grouped(rows: Iterable[PlanRow]) -> list[Group]:
    """Rows of equal shape, law and decay whose names differ by numbers, in order of the first.

    Blocks of a packed parameter are told as one, too, where they are drawn alike.
    """
    found = dict[tuple[Any, ...], list[PlanRow]]()
    for row in rows:
        role = "" if row.packed else row.role
        same = (role, row.packed, row.single_shape, _law(row), row.decay, row.rate, row.kept)
        found.setdefault((pattern_of(row.name), *same), []).append(row)
    return [Group(_named(held), tuple(held)) for held in found.values()]


def _named(rows: Sequence[PlanRow]) -> str:
    labels = list(dict.fromkeys(row.label for row in rows))
    blocks = labels[0] if len(labels) == 1 else f"{{{','.join(labels)}}}"
    return braced([row.name for row in rows]) + (f"#{blocks}" if blocks else "")


def grouped_changes(changes: Sequence[Change]) -> list[tuple[str, str, str, str, str]]:
    """Lines of changes that are equal but for numbers in the names: name, count, field, here, there."""
    found = dict[tuple[str, ...], list[str]]()
    for change in changes:
        key = (pattern_of(change.name), change.field, change.here, change.there)
        found.setdefault(key, []).append(change.name)
    return [(braced(names), counted(len(names)), *key[1:]) for key, names in found.items()]  # type: ignore[misc]


def counted(count: int) -> str:
    """How many, where it is more than one."""
    return f"× {count}" if count > 1 else ""


def shape_of(group: Group) -> str:
    """The shape as people write it; stacked weights as a count of one."""
    row = group.first
    stack = 1
    for count in row.stack:
        stack *= count
    return f"{stack} of {shown_shape(row.single_shape)}" if stack > 1 else shown_shape(row.shape)


def pattern_of(name: str) -> str:
    """A name with its numbers left out."""
    return _NUMBER.sub("{}", name)


def braced(names: Sequence[str]) -> str:
    """Names that differ by numbers as one, the numbers in braces."""
    between = _NUMBER.split(names[0])
    columns = [_braces(set(column)) for column in zip(*map(_NUMBER.findall, names), strict=True)]
    return "".join(a + b for a, b in zip(between, [*columns, ""], strict=True))


def _braces(found: set[str]) -> str:
    if len(found) == 1:
        return found.pop()
    numbers = sorted(map(int, found))
    low, high = numbers[0], numbers[-1]
    if len(numbers) <= 2 or (len(numbers) <= _MOST and numbers != list(range(low, high + 1))):
        return f"{{{','.join(map(str, numbers))}}}"
    if numbers == list(range(low, high + 1)):
        return f"{{{low}..{high}}}"
    return f"{{{low}..{high}: {len(numbers)}}}"


def _law(row: PlanRow) -> str:
    told = brief(row.law) if row.ruled else "no rule"
    return _plain(told) if row.law is not None and row.std else told


def _plain(text: str) -> str:
    """A text with its numbers left out, so that equal sentences about other numbers are equal."""
    return re.sub(r"\d+(\.\d+)?(e[-+]?\d+)?", "·", text)
