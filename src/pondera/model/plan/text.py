"""A plan in the terminal and in a notebook: a line per group of rows."""

from __future__ import annotations

import html
import io
import shutil
from collections.abc import Sequence

from pondera.model.plan.grouping import Group, counted, grouped, shape_of
from pondera.model.plan.row import PlanRow
from pondera.model.plan.spelling import brief

HEAD = ("parameter", "", "role", "shape", "law", "gain", "std", "decays", "why")
_RIGHT = ("", "gain", "std")
_WIDE = 132  # columns where nobody says how many there are
_NARROW, _ROOMY = 80, 110
_LEFT_OUT = ("gain", "why")  # of a narrow terminal; `explain` tells them


def lines_of(rows: Sequence[PlanRow]) -> list[tuple[str, ...]]:
    """A line per group of rows, in the order of `HEAD`."""
    return [_line(group) for group in grouped(rows)]


def _line(group: Group) -> tuple[str, ...]:
    row = group.first
    law = brief(row.law) if row.ruled else "no rule"
    if len({brief(each.law) for each in group.rows}) > 1:
        law = row.law.name if row.law is not None else law
    rate = "" if row.rate == 1 else f", rate × {row.rate:.3g}"
    decays = ("yes" if row.decay else "no") + rate
    return (
        group.name,
        counted(len(group.rows)),
        group.roles,
        shape_of(group),
        law,
        group.span("gain"),
        group.span("std"),
        decays,
        group.why,
    )


def table_of(title: str, rows: Sequence[PlanRow], notes: Sequence[str]) -> str:
    """The plan as text: by rich where it is installed, in plain columns where it is not."""
    lines = lines_of(rows)
    try:
        body = _rich(lines)
    except ModuleNotFoundError:
        body = columns([HEAD, *lines])
    told = "".join(f"\nnote: {note}" for note in notes)
    return f"{title}\n\n{body}{told}"


def _rich(lines: Sequence[tuple[str, ...]]) -> str:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = max(_NARROW, shutil.get_terminal_size((_WIDE, 24)).columns)
    shown = [k for k, head in enumerate(HEAD) if width >= _ROOMY or head not in _LEFT_OUT]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for head in (HEAD[k] for k in shown):
        side = "right" if head in _RIGHT else "left"
        table.add_column(head, justify=side, overflow="fold", no_wrap=head in _RIGHT)
    for line in lines:
        table.add_row(*(Text(line[k]) for k in shown))
    written = io.StringIO()
    Console(file=written, width=width, color_system=None, legacy_windows=False).print(table)
    printed = (line.rstrip() for line in written.getvalue().splitlines())
    return "\n".join(printed).strip("\n")


def columns(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as text, each column as wide as its widest cell."""
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(wide) for cell, wide in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def page_of(title: str, rows: Sequence[PlanRow], notes: Sequence[str]) -> str:
    """The plan as an HTML table, for notebooks; nothing in it is executed."""
    heads = "".join(f"<th>{html.escape(head)}</th>" for head in HEAD)
    body = "".join(
        f"<tr>{''.join(_cell(head, cell) for head, cell in zip(HEAD, line, strict=True))}</tr>"
        for line in lines_of(rows)
    )
    told = "".join(f"<p>note: {html.escape(note)}</p>" for note in notes)
    return (
        f"<p>{html.escape(title)}</p><table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{body}</tbody></table>{told}"
    )


def _cell(head: str, text: str) -> str:
    side = "right" if head in _RIGHT else "left"
    return f'<td style="text-align:{side}">{html.escape(text)}</td>'


def explained(row: PlanRow) -> str:
    """Everything about one row, a line each."""
    law = "nothing is drawn" if row.law is None else brief(row.law)
    fans = "none" if row.fan_in is None else f"{row.fan_in} in, {row.fan_out} out"
    lines = [
        ("role", f"{row.role}: {row.known}" if row.known else row.role),
        ("shape", f"{shape_of(Group(row.key, (row,)))}, {row.size:,} numbers"),
        ("fans", fans),
        ("law", law if row.ruled else "no rule"),
        ("gain", "—" if row.gain is None else f"{row.gain:.6g}"),
        ("std", "—" if row.std is None else f"{row.std:.6g}"),
        ("why", row.why),
        ("decays", "yes" if row.decay else "no"),
        ("rate", f"× {row.rate:g}"),
        ("stream", row.stream + (f", axes in the order {row.order}" if row.order else "")),
    ]
    return f"{row.key}\n{columns([(f'  {name}', told) for name, told in lines])}"
