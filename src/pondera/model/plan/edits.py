"""Which rows a pattern means, and what becomes of them."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pondera.core.errors import DomainError, ShapeError, unknown
from pondera.core.laws import AbstractLaw
from pondera.model.plan.row import PlanRow
from pondera.model.plan.spelling import read_law

_BESIDE = ("bias", "norm shift", "recurrent bias")  # beside a module's weight


def matching(rows: Sequence[PlanRow], pattern: str) -> list[int]:
    """Places of the rows that a pattern means.

    A pattern is a parameter's name, a row's (`name#block`), or a module's path, which means the
    module's weight without its bias; `*`, `?` and `[…]` as in fnmatch.

    Args:
        rows: of the plan.
        pattern: what to look for.

    Returns:
        Places, in order; at least one.

    Raises:
        DomainError: nothing matches; the nearest names are told.
    """
    if not isinstance(pattern, str):
        raise DomainError(
            f"plan: rows are chosen by name; got {pattern!r}. Use a pattern such as 'blocks.*.mlp.down'."
        )
    found = [k for k, row in enumerate(rows) if _means(row, pattern)]
    if not found:
        of_module = [k for k, row in enumerate(rows) if fnmatch.fnmatchcase(_path(row), pattern)]
        found = [k for k in of_module if rows[k].role not in _BESIDE] or of_module
    if not found:
        known = {row.name for row in rows} | {row.key for row in rows}
        raise unknown(
            "plan", "name or pattern", pattern, known | {_path(row) for row in rows} - {""}
        )
    return found


def _means(row: PlanRow, pattern: str) -> bool:
    return any(
        name == pattern or fnmatch.fnmatchcase(name, pattern) for name in (row.name, row.key)
    )


def _path(row: PlanRow) -> str:
    return row.name.rpartition(".")[0]


def law_of(asked: Any) -> AbstractLaw | None:
    """A law, or what spells one; None for "keep".

    Raises:
        DomainError: neither.
    """
    if isinstance(asked, AbstractLaw):
        return asked
    if isinstance(asked, str):
        return read_law(asked)
    raise DomainError(
        f"plan: a row takes a law of pondera.laws, or 'keep'; got {asked!r}. Write laws.zeros(), with "
        "brackets."
    )


def with_law(rows: Sequence[PlanRow], pattern: str, asked: Any) -> tuple[PlanRow, ...]:
    """All rows, those that the pattern means with another law.

    Raises:
        DomainError, ShapeError: nothing matches, or the law does not fit a row; the row is named.
    """
    law = law_of(asked)
    why = "left alone, by hand" if law is None else "by hand"
    chosen = set(matching(rows, pattern))
    return tuple(r.with_law(law, why) if k in chosen else r for k, r in enumerate(rows))


def changed(rows: Sequence[PlanRow], pattern: str, **fields: Any) -> tuple[PlanRow, ...]:
    """All rows, those that the pattern means with other decay, rate, stream or order of axes.

    Raises:
        DomainError, ShapeError: nothing matches, or a field that no such row can have.
    """
    chosen = matching(rows, pattern)
    given = {name: held for name, held in fields.items() if held is not None}
    for place in chosen:
        _need_fields(rows[place], given)
    made = tuple(replace(r, **given) if k in chosen else r for k, r in enumerate(rows))
    need_streams(made)
    return made


def _need_fields(row: PlanRow, given: dict[str, Any]) -> None:
    order = given.get("order")
    if order is not None and sorted(order) != list(range(len(row.shape))):
        raise ShapeError(
            f"plan: {row.key} needs an order that names each of its {len(row.shape)} axes once; got "
            f"order={tuple(order)}. Use {tuple(reversed(range(len(row.shape))))} to transpose it."
        )
    rate = given.get("rate")
    if rate is not None and not 0 <= rate < float("inf"):
        raise DomainError(
            f"plan: {row.key} needs 0 <= rate < inf; got rate={rate!r}. Use 1 for the rate itself."
        )


def need_streams(rows: Sequence[PlanRow]) -> None:
    """No two rows share a stream: they would get equal numbers.

    Raises:
        DomainError: two do.
    """
    count = Counter(row.stream for row in rows)
    for stream, times in count.items():
        if times > 1:
            twins = [row.key for row in rows if row.stream == stream]
            raise DomainError(
                f"plan: each row needs a stream of its own; got stream={stream!r} for "
                f"{' and '.join(twins[:3])}. Name another, or their numbers would be equal."
            )
