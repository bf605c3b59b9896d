"""How bounds stand, in the terminal: a row per parameter, with those columns that say something."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pondera.report.standing import Standing, heading
from pondera.report.wording import ABSENT, clipped, share, short

_NAME = 40  # characters of a parameter's name


def standing_table(standing: Standing) -> Table:
    """The table for a rich console; 80 columns are enough.

    Args:
        standing: {"rows": a row per parameter, "steps": n}, as `BoundsReport.plain` gives it.

    Returns:
        A rich table.
    """
    table = Table(
        title=Text(heading(standing), style="bold"),
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("parameter", overflow="fold", min_width=8)
    table.add_column("bound", overflow="fold", min_width=9)
    epochs = any(row["timescale_epochs"] is not None for row in standing["rows"])
    rows = [_cells(row, epochs) for row in standing["rows"]]
    shown = [title for title in _NUMBERS if any(row[title] != ABSENT for row in rows)]
    for title in shown:
        table.add_column(title, justify="right", no_wrap=True)
    for row, cells in zip(standing["rows"], rows, strict=True):
        named = Text(clipped(row["name"], _NAME))
        kept = Text(f"{row['bound'].split('(')[0]}, {row['way']}")
        table.add_row(named, kept, *(Text(cells[title]) for title in shown))
    return table


_NUMBERS = ("λ", "realised", "zeros", "groups", "τ steps", "epochs", "RMS", "at rest")


def _cells(row: dict[str, Any], epochs: bool) -> dict[str, str]:
    """The numbers of one parameter, as narrow as they can be read."""
    cells = (
        short(row["strength"]),
        short(None if row["realised"] is None else row["realised"] + 0.0),  # no -0
        share(row["zeros"] / row["size"]) if row["size"] else ABSENT,
        ABSENT if row["groups"] is None else f"{row['groups_left']}/{row['groups']}",
        ABSENT if epochs else short(row["timescale_steps"]),  # one of the two is enough
        short(row["timescale_epochs"]),
        short(row["rms"]),
        short(row["equilibrium"]),
    )
    return dict(zip(_NUMBERS, cells, strict=True))
