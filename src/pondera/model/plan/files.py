"""A plan as a TOML file: a table per row, laws as calls, nothing that a person cannot edit."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pondera.core.errors import DomainError, ShapeError, placed
from pondera.model.plan.edits import need_streams
from pondera.model.plan.row import PlanRow
from pondera.model.plan.spelling import read_law, spelled
from pondera.model.schemes.base import KINDS

VERSION: Final = 1
_NUMBERS: Final = re.compile(r"\[\n(?: +\d+,\n)+\]")
_HEAD: Final = """\
# A plan of Pondera: a table per parameter, or per block of a packed one (name#block).
# Edit law ("keep" leaves a parameter alone), decay, rate, stream and order; std and gain follow.
# stream: equal streams give equal numbers; order: axes as another framework stores them, [1, 0] transposes.

"""
_PARAMETER: Final[Mapping[str, type | tuple[type, ...]]] = {
    "role": str,
    "shape": list,
    "law": str,
    "why": str,
    "offset": list,
    "stored": list,
    "in_axes": list,
    "out_axes": list,
    "stack": list,
    "fan_in": int,
    "fan_out": int,
    "gain": (int, float),
    "std": (int, float),
    "decay": bool,
    "rate": (int, float),
    "factor": (int, float),
    "stream": str,
    "order": list,
    "trained": bool,
    "known": str,
}


@dataclass(frozen=True)
class Held:
    """What a file holds.

    Args:
        scheme: name of the scheme that the plan was made by.
        model: what the model was called.
        rows: the rows.
        notes: what else to know.
    """

    scheme: str
    model: str
    rows: tuple[PlanRow, ...]
    notes: tuple[str, ...] = ()


def write_plan(held: Held, path: str | Path) -> None:
    """Write a plan, whole or not at all.

    Args:
        held: the plan.
        path: of the file.

    Raises:
        DomainError: a law that is none of Pondera's, or a file that cannot be written.
    """
    text = text_of(held)
    target = Path(path)
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, target)
    except OSError as fault:
        raise DomainError(
            f"plan: {target} cannot be written; {fault.strerror or fault}. Name another file."
        ) from None


def text_of(held: Held) -> str:
    """The file's text."""
    import tomli_w

    head = {"pondera": VERSION, "scheme": held.scheme, "model": held.model}
    notes = {"notes": list(held.notes)} if held.notes else {}
    tables = {row.key: _table(row) for row in held.rows}
    text = tomli_w.dumps({**head, **notes, "parameters": tables})
    return _HEAD + _NUMBERS.sub(_on_one_line, text)


def _on_one_line(found: re.Match[str]) -> str:
    """A list of numbers as people write it."""
    return f"[{', '.join(re.findall('[0-9]+', found[0]))}]"


def _table(row: PlanRow) -> dict[str, Any]:
    """What a row's table says: nothing that is empty, whole or the default."""
    whole = not row.packed
    law = {} if not row.ruled else {"law": spelled(row.law)}
    optional = {
        "gain": row.gain,
        "std": row.std,
        "fan_in": row.fan_in,
        "fan_out": row.fan_out,
        "in_axes": list(row.in_axes) or None,
        "out_axes": list(row.out_axes) or None,
        "offset": None if whole else list(row.offset),
        "stored": None if whole else list(row.stored),
        "stack": list(row.stack) if any(count > 1 for count in row.stack) else None,
        "rate": None if row.rate == 1 else row.rate,
        "factor": None if row.factor == 1 else row.factor,
        "stream": None if row.stream == row.key else row.stream,
        "order": list(row.order) or None,
        "trained": None if row.trained else False,
        "known": row.known or None,
    }
    said = {"role": row.role, "shape": list(row.shape), **law, "decay": row.decay, "why": row.why}
    return said | {name: held for name, held in optional.items() if held is not None}


def read_plan(path: str | Path) -> Held:
    """What a file holds.

    Args:
        path: of the file.

    Returns:
        The plan; std and gain follow from the laws, whatever the file says.

    Raises:
        DomainError: no such file, no plan, or a field that no row can have; the row is named.
        ShapeError: a law that does not fit its row.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        told = getattr(fault, "strerror", None) or "it is no text"
        raise DomainError(f"plan: {path} cannot be read; {told}. Name a saved plan.") from None
    return held_in(text, str(path))


def held_in(text: str, place: str) -> Held:
    """What a file's text holds; `place` names the file in errors."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise DomainError(f"plan: {place} is no TOML; {fault}. Mend that line.") from None
    if tables.get("pondera") != VERSION or not isinstance(tables.get("parameters"), dict):
        raise DomainError(
            f"plan: {place} must be a plan of version {VERSION}; got pondera={tables.get('pondera')!r}. "
            "Save it anew with this version of Pondera."
        )
    rows = tuple(_row(key, table, place) for key, table in tables["parameters"].items())
    need_streams(rows)
    notes = tuple(map(str, tables.get("notes", ())))
    return Held(str(tables.get("scheme", "")), str(tables.get("model", "")), rows, notes)


def _row(key: str, table: Any, place: str) -> PlanRow:
    given = _checked(key, table, place)
    name, _, label = key.partition("#")
    shape = tuple(given["shape"])
    text = given.get("law")
    try:
        law = None if text is None else read_law(text)
        row = PlanRow(
            name,
            shape,
            given["role"],
            law,
            given.get("why", ""),
            label=label,
            offset=tuple(given.get("offset", (0,) * len(shape))),
            stored=tuple(given.get("stored", shape)),
            in_axes=tuple(given.get("in_axes", ())),
            out_axes=tuple(given.get("out_axes", ())),
            stack=tuple(given.get("stack", (1,) * len(shape))),
            fan_in=given.get("fan_in"),
            fan_out=given.get("fan_out"),
            gain=given.get("gain"),
            decay=given.get("decay", False),
            rate=float(given.get("rate", 1.0)),
            factor=float(given.get("factor", 1.0)),
            stream=given.get("stream", key),
            order=tuple(given.get("order", ())),
            kept=text is not None and law is None,
            trained=given.get("trained", True),
            known=given.get("known", ""),
        )
        if row.law is not None:
            row.std_by(row.law)
    except (DomainError, ShapeError) as fact:
        raise placed(f"{place}: {key}", fact) from None
    return row


def _checked(key: str, table: Any, place: str) -> dict[str, Any]:
    """A row's fields, each of its type."""
    fields: dict[str, Any] = table if isinstance(table, dict) else {}
    for need in ("role", "shape"):
        if need not in fields:
            raise DomainError(f"plan: {place}: {key} needs {need}; got none. Save the plan anew.")
    for name, held in fields.items():
        kind = _PARAMETER.get(name)
        numbers = not isinstance(held, list) or all(_is_index(each) for each in held)
        if kind is None or not isinstance(held, kind) or not numbers:
            wanted = f"a field named one of {', '.join(_PARAMETER)}" if kind is None else name
            raise DomainError(
                f"plan: {place}: {key} needs {wanted}; got {name}={held!r}. Mend that line."
            )
    if fields["role"] not in KINDS:
        raise DomainError(
            f"plan: {place}: {key} needs a role that Pondera knows; got role={fields['role']!r}. "
            "Save the plan anew."
        )
    order: Sequence[int] = fields.get("order", ())
    if order and sorted(order) != list(range(len(fields["shape"]))):
        raise ShapeError(
            f"plan: {place}: {key} needs an order that names each axis once; got order={order}. "
            "Mend that line."
        )
    return fields


def _is_index(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0
